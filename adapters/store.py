"""What the service keeps on disk: one folder, one owner.

    lock                held while the service runs; a second service on the same folder is refused
    checkpoint          the state at a tick of the last second, to go on from (adapters/running/checkpoint.py)
    epoch               start number of the track ids; only a cold start raises it, and it never goes back
    boot                which start of the machine it was: another one may have lost the last second
    quarantine.jsonl    samples of refused input, bounded
    alerts.jsonl        every alert and incident transition, chained by hashes, synced before it is published
    incidents.db        what happened, to ask (adapters/incidents/database.py); the journal stays the primary record

The writes of journal and epoch block until they are on the disk; call them from the writer thread.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from adapters.errors import ConfigError

GENESIS = "0" * 64  # the hash before the first entry
LINE_MAX_BYTES = 1_000_000  # of one entry: ten times a message of the largest incident
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TAKE_EVERY_S = 0.02  # a spare looks whether the folder is free: of a second that a hand-over may last
QUARANTINE_FIRST = 100  # of every reason the first 100 are kept whole ...
QUARANTINE_THEN_EVERY = 100  # ... then one in a hundred: a flood of one kind must not wash out the others
QUARANTINE_PAYLOAD_BYTES = 512  # the beginning shows what it was


class InUse(ConfigError):
    """Another process holds the folder."""


class DataDir:
    """The service's folder, held exclusively from `open` (or `with`) to `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    @property
    def journal_path(self) -> Path:
        """The alert journal."""
        return self.path / "alerts.jsonl"

    @property
    def told_path(self) -> Path:
        """How far of the journal was published."""
        return self.path / "alerts.told"

    @property
    def checkpoint_path(self) -> Path:
        """The state to go on from."""
        return self.path / "checkpoint"

    @property
    def incidents_path(self) -> Path:
        """The incident database."""
        return self.path / "incidents.db"

    @property
    def quarantine_path(self) -> Path:
        """Samples of refused input."""
        return self.path / "quarantine.jsonl"

    def open(self) -> Self:
        """Make the folder if needed and lock it.

        Raises:
            ConfigError: it cannot be written, or another process holds it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            problem = f"{self.path} cannot be written ({error.strerror})"
            raise ConfigError("service.toml", "data_dir", problem, "name a folder that this user may write") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(lock, 32).decode("ascii", "replace").strip()
            os.close(lock)
            problem = f"{self.path} is in use by process {owner or 'unknown'}"
            raise InUse("service.toml", "data_dir", problem, "stop it, or name another folder") from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock
        return self

    def taken(self, patience_s: float) -> bool:
        """As `open`, when it gets free within this time; False when another process still holds it.

        Raises:
            ConfigError: it cannot be written.
        """
        until_s = time.monotonic() + patience_s
        while True:
            try:
                self.open()
            except InUse:
                if time.monotonic() > until_s:
                    return False
                time.sleep(TAKE_EVERY_S)
            else:
                return True

    def close(self) -> None:
        """Give the folder free. Twice does no harm."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self if self._lock >= 0 else self.open()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def epoch(self) -> int:
        """The epoch of the newest cold start; 0 before the first.

        Raises:
            ConfigError: the file is damaged: starting from 0 again would give track ids twice.
        """
        path = self.path / "epoch"
        if not path.exists():
            return 0
        text = path.read_bytes()
        if not text.endswith(b"\n") or not text.strip().isdigit():
            cure = "write into it a number larger than the epoch of any track id published so far"
            raise ConfigError(str(path), "epoch", f"holds {text[:40]!r}, not a number", cure)
        return int(text)

    def boots(self) -> int:
        """How often the machine was started anew since the folder was first used: each time, what no disk had taken by
        then is lost. A state that is kept says how many of them it knows of."""
        path = self.path / "boot"
        kept = path.read_bytes() if path.exists() else b""
        digits, _, before = kept.partition(b" ")
        count = int(digits) if digits.isdigit() else 0
        try:
            now = BOOT_ID.read_bytes().strip()
        except OSError:
            return count  # not told here
        if before != now:
            count += bool(kept)
            self._replace("boot", b"%d %s" % (count, now))
        return count

    def raise_epoch(self, above: int = 0) -> int:
        """Take the next epoch, after `above` too, on the disk before it is returned."""
        if self._lock < 0:
            raise RuntimeError("the folder must be open: the lock keeps an epoch from being taken twice")
        value = max(self.epoch(), above) + 1
        self._replace("epoch", f"{value}\n".encode())
        return value

    def _replace(self, name: str, content: bytes) -> None:
        """On the disk when this returns, whole or as it was."""
        fresh = self.path / f"{name}.new"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            _write_all(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        fresh.rename(self.path / name)
        _sync_folder(self.path)


class Quarantine:
    """Samples of refused input as JSON lines: time, reason, topic, size, and the first bytes in base64.

    Bounded: at half of `max_bytes` the file becomes `<name>.1` and a new one begins. A disk that cannot be written
    loses the sample and nothing else: refused input must never stop the service.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.failed = 0  # samples lost because the disk refused them
        self._half = max_bytes // 2
        self._seen: dict[str, int] = {}

    def add(self, rx_us: int, reason: str, topic: str, payload: bytes) -> bool:
        """Offer one refused message; True when it was written."""
        count = self._seen.get(reason, 0)
        self._seen[reason] = count + 1
        if count >= QUARANTINE_FIRST and count % QUARANTINE_THEN_EVERY:
            return False
        sample = {
            "rx_us": rx_us,
            "reason": reason,
            "topic": topic[:200],
            "size": len(payload),
            "head_b64": base64.b64encode(payload[:QUARANTINE_PAYLOAD_BYTES]).decode(),
        }
        line = msgspec.json.encode(sample) + b"\n"
        try:
            return self._append(line)
        except OSError:
            self.failed += 1
            return False

    def _append(self, line: bytes) -> bool:
        if len(line) > self._half:
            return False
        size = self.path.stat().st_size if self.path.exists() else 0
        if size + len(line) > self._half:
            self.path.replace(self.path.with_name(self.path.name + ".1"))
        with self.path.open("ab") as file:
            file.write(line)
        return True


@dataclass(frozen=True, slots=True)
class Verification:
    """What a look through a journal found."""

    entries: int  # good entries from the start
    good_bytes: int  # length of the file up to there
    head: str  # hash of the last good entry
    problem: str = ""  # "" when all is good
    line: int = 0  # where, counted from 1
    torn: bool = False  # the problem is only an unfinished last line: a write that never was acknowledged

    @property
    def ok(self) -> bool:
        """True when every entry is there and unchanged."""
        return not self.problem


class JournalError(Exception):
    """The journal is damaged or cannot be written; alerts must not go out unrecorded."""


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    n: int
    previous: str
    hash: str
    payload: str


class AlertJournal:
    """Alert transitions, one JSON line each, every line carrying the hash of the one before.

    hash = sha256(previous + "\\n" + n + "\\n" + payload), so no entry can be changed, taken out or put in between
    without every hash after it changing. What it cannot show by itself is that entries at the very end were cut off:
    compare `head` with a copy kept elsewhere.
    """

    def __init__(self, path: Path, known: Verification | None = None) -> None:
        """`known`: what this process has verified of it before; it is read on from there."""
        self.path = path
        self._known = known
        self._fd = -1
        self._broken = ""
        self.dropped_bytes = 0  # an unfinished line cut off at opening
        self._state = Verification(0, 0, GENESIS)

    @property
    def head(self) -> str:
        """Hash of the newest entry."""
        return self._state.head

    def __len__(self) -> int:
        return self._state.entries

    def open(self) -> Self:
        """Verify the whole file and make ready to append. An unfinished last line (power cut) is cut off.

        Raises:
            JournalError: an entry was changed or is unreadable.
            OSError: the file cannot be opened.
        """
        made = not self.path.exists()
        known = self._known if self._known and _ends_with(self.path, self._known) else None
        found = verify(self.path, known)
        if found.problem and not found.torn:
            raise JournalError(f"{self.path}:{found.line}: {found.problem}")
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.dropped_bytes = os.fstat(self._fd).st_size - found.good_bytes
        if self.dropped_bytes:
            os.ftruncate(self._fd, found.good_bytes)
        os.fsync(self._fd)
        if made:
            _sync_folder(self.path.parent)
        os.lseek(self._fd, 0, os.SEEK_END)
        self._state = Verification(found.entries, found.good_bytes, found.head)
        return self

    def append(self, payloads: Iterable[bytes]) -> None:
        """Add entries and return when they are on the disk: all of them or none.

        Raises:
            JournalError: the disk refused. After a failed sync nobody knows what the disk holds, so the journal
                takes nothing more until it is opened again.
            ValueError: a payload is not UTF-8.
        """
        if self._fd < 0:
            raise JournalError("the journal is not open")
        if self._broken:
            raise JournalError(self._broken)
        n, head, lines = self._state.entries, self._state.head, bytearray()
        for payload in payloads:
            text = payload.decode("utf-8")
            digest = _digest(head, n, text)
            lines += msgspec.json.encode(_Line(n, head, digest, text)) + b"\n"
            n, head = n + 1, digest
        if not lines:
            return
        try:
            _write_all(self._fd, lines)
            os.fdatasync(self._fd)
        except OSError as error:
            self._broken = f"{self.path} could not be written ({error.strerror})"
            os.ftruncate(self._fd, self._state.good_bytes)
            raise JournalError(self._broken) from error
        self._state = Verification(n, self._state.good_bytes + len(lines), head)

    def entries(self) -> Iterator[bytes]:
        """The payloads from the first, as they were appended. Raises JournalError at the first bad entry."""
        for found in _walk(self.path):
            if isinstance(found, Verification):
                if found.problem and not found.torn:
                    raise JournalError(f"{self.path}:{found.line}: {found.problem}")
                return
            yield found.payload.encode()

    def close(self) -> None:
        """Give the file free. Twice does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def verify(path: Path, known: Verification | None = None) -> Verification:
    """Look through a journal, from the good entries `known` on. A missing file is an empty one."""
    result = Verification(0, 0, GENESIS)
    for found in _walk(path, known):
        if isinstance(found, Verification):
            result = found
    return result


def _ends_with(path: Path, known: Verification) -> bool:
    """The last of the known entries stands where it stood: a disk that refused may have had it cut off since."""
    if not known.entries or not path.exists() or path.stat().st_size < known.good_bytes:
        return False
    with path.open("rb") as file:
        first = max(0, known.good_bytes - LINE_MAX_BYTES)
        file.seek(first)
        line = file.read(known.good_bytes - first).removesuffix(b"\n").rpartition(b"\n")[2]
    return f'"hash":"{known.head}"'.encode() in line[:300]


def _walk(path: Path, known: Verification | None = None) -> Iterator[_Line | Verification]:
    """Every good entry, then one Verification."""
    decoder = msgspec.json.Decoder(_Line)
    n, good, head = (known.entries, known.good_bytes, known.head) if known else (0, 0, GENESIS)
    if not path.exists():
        yield Verification(n, good, head)
        return
    with path.open("rb") as file:
        file.seek(good)
        for raw in file:
            torn = not raw.endswith(b"\n")  # only the last line can be without its end
            try:
                line = decoder.decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                yield Verification(n, good, head, f"not an entry ({error})", n + 1, torn)
                return
            problem = _check(line, n, head)
            if problem or torn:
                yield Verification(n, good, head, problem or "the last line has no end", n + 1, torn)
                return
            yield line
            n, good, head = n + 1, good + len(raw), line.hash
    yield Verification(n, good, head)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a journal as it stands there."""

    n: int
    previous: str
    hash: str
    payload: bytes
    line: bytes  # with its newline


def lines(path: Path) -> Iterator[Entry]:
    """Every good entry, whole. Raises JournalError at the first bad one."""
    for found in _walk(path):
        if isinstance(found, Verification):
            if found.problem and not found.torn:
                raise JournalError(f"{path}:{found.line}: {found.problem}")
            return
        yield Entry(found.n, found.previous, found.hash, found.payload.encode(), msgspec.json.encode(found) + b"\n")


def piece_of(data: bytes) -> tuple[list[Entry], str]:
    """Entries of a piece that was cut out of a journal, and why the next one does not follow; "" when all do."""
    found: list[Entry] = []
    for raw in data.splitlines(keepends=True):
        try:
            line = msgspec.json.decode(raw, type=_Line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return found, f"not an entry ({error})"
        before = found[-1] if found else None
        problem = _check(line, before.n + 1 if before else line.n, before.hash if before else line.previous)
        if problem:
            return found, problem
        found.append(Entry(line.n, line.previous, line.hash, line.payload.encode(), raw))
    return found, ""


def _check(line: _Line, n: int, head: str) -> str:
    if line.n != n:
        return f"entry {n} expected, found {line.n}"
    if line.previous != head:
        return "does not follow the entry before it"
    if line.hash != _digest(head, n, line.payload):
        return "was changed: its hash does not fit"
    return ""


def _digest(previous: str, n: int, payload: str) -> str:
    return hashlib.sha256(f"{previous}\n{n}\n{payload}".encode()).hexdigest()


def _write_all(fd: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
