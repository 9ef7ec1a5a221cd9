"""A disk that keeps what was synced: the functions of `os` that the shell writes with, over a folder of real files.

What was written and not synced survives the death of a process, and a power cut only by luck: of a file its old
content, its new one, or a part of that, perhaps with zeros behind; of names that were made, changed or taken away in a
folder that was not synced since, the first few. The incident database writes by itself and is let be.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.simulation.loop import LIFE, Killed, Life

OWN = ("lock", "incidents.db", "quarantine")  # files that begin so are not ours to lose


@dataclass(frozen=True, slots=True)
class _Open:
    path: str
    inode: int
    life: Life


class Disk:
    """Use `installed` around all that writes."""

    def __init__(self, root: Path, luck: random.Random) -> None:
        self.root = root
        self.full = False
        self.sync_s = 0.0  # every sync takes this long
        self.broken_syncs = 0  # so many of the next are refused
        self._luck = luck
        self._open: dict[int, _Open] = {}
        self._durable: dict[int, bytes] = {}  # by inode: what a sync has brought to the disk
        self._names: dict[str, int] = {}  # path -> inode, as the disk has it
        self._pending: list[tuple[str, int]] = []  # the same, not synced: -1 takes the name away
        self._gone: dict[int, bytes] = {}  # content of inodes that have lost their name
        self._real: dict[str, Callable[..., Any]] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The functions of `os` are ours within."""
        ours: dict[str, Callable[..., Any]] = {
            "open": self._opened, "close": self._closed, "dup": self._dup, "write": self._write, "fsync": self._sync,
            "fdatasync": self._sync, "ftruncate": self._truncate, "rename": self._rename, "replace": self._rename,
            "unlink": self._unlink,
        }  # fmt: skip
        self._real = {name: getattr(os, name) for name in ours}
        usage = shutil.disk_usage
        for name, function in ours.items():
            setattr(os, name, function)

        def free(_path: object) -> Any:
            return SimpleNamespace(free=0 if self.full else 2**40)

        shutil.disk_usage = free  # type: ignore[assignment]
        try:
            yield
        finally:
            shutil.disk_usage = usage
            for name, function in self._real.items():
                setattr(os, name, function)

    def let_go(self, life: Life) -> None:
        """The process is dead: its files are closed, and with them its lock."""
        for fd in [fd for fd, file in self._open.items() if file.life is life]:
            del self._open[fd]
            with suppress(OSError):
                self._real["close"](fd)

    def power_cut(self) -> list[str]:
        """Only what the disk has is left; what became of every file."""
        names = dict(self._names)
        for path, inode in self._pending[: self._luck.randint(0, len(self._pending))]:
            names[path] = inode
            if inode < 0:
                del names[path]
        now = {path: os.stat(path).st_ino for path in self._files()}
        contents = dict(self._gone)
        contents.update({inode: Path(path).read_bytes() for path, inode in now.items()})
        told = []
        kept: dict[str, bytes] = {}
        for path, inode in sorted(names.items()):
            old, new = self._durable.get(inode, b""), contents.get(inode, b"")
            kept[path] = self._survives(old, new)
            told.append(f"{Path(path).name}: synced {len(old)}, written {len(new)}, left {len(kept[path])}")
        told += [f"{Path(path).name}: never there" for path in now if path not in kept]
        for path in now:
            self._real["unlink"](path)
        self._durable, self._names, self._pending, self._gone = {}, {}, [], {}
        for path, data in kept.items():
            Path(path).write_bytes(data)
            inode = os.stat(path).st_ino
            self._durable[inode], self._names[path] = data, inode
        return told

    def _survives(self, old: bytes, new: bytes) -> bytes:
        roll = self._luck.random()
        if new == old or roll < 0.3:
            return old
        if roll < 0.5:
            return new
        first = len(old) if new.startswith(old) else 0
        cut = self._luck.randint(first, len(new))
        return new[:cut] + bytes(len(new) - cut if roll > 0.85 else 0)

    def _files(self) -> list[str]:
        return sorted(str(p) for p in self.root.rglob("*") if p.is_file() and not p.name.startswith(OWN))

    # --- os ---

    def _ours(self, path: Any) -> Life | None:
        """Whose business it is; None: nobody's whom we watch."""
        life = LIFE.get()
        if life is None or not isinstance(path, str | os.PathLike):
            return None
        text = os.fspath(path)
        return life if text.startswith(str(self.root)) else None

    def _opened(self, path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        life = self._ours(path)
        if life is None:
            return int(self._real["open"](path, flags, mode, **more))
        text = os.fspath(path)
        makes = bool(flags & os.O_CREAT) and not os.path.exists(text)
        life.point("make" if makes else "open")
        if makes and self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), text)
        fd = int(self._real["open"](path, flags, mode, **more))
        inode = os.fstat(fd).st_ino
        self._open[fd] = _Open(text, inode, life)
        if makes and not Path(text).name.startswith(OWN):
            self._durable.pop(inode, None)
            self._pending.append((text, inode))
        return fd

    def _closed(self, fd: int) -> None:
        life = LIFE.get()
        if self._open.pop(fd, None) is not None or life is None or life.alive:  # else it was closed by its death
            self._real["close"](fd)

    def _dup(self, fd: int) -> int:
        other = int(self._real["dup"](fd))
        if fd in self._open:
            self._open[other] = self._open[fd]
        return other

    def _write(self, fd: int, data: Any) -> int:
        file = self._open.get(fd)
        if file is None:
            return int(self._real["write"](fd, data))
        if not file.life.alive:
            raise Killed
        spare = int(self._real["dup"](fd))  # death closes the other one
        try:
            if file.life.is_due(_kind("write", file.path)):
                self._real["write"](spare, memoryview(data)[: self._luck.randint(0, len(data))])
                raise Killed
        finally:
            self._real["close"](spare)
        if self.full:
            done = self._luck.randint(0, len(data) - 1)
            if not done:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.path)
            return int(self._real["write"](fd, memoryview(data)[:done]))
        return int(self._real["write"](fd, data))

    def _sync(self, fd: int) -> None:
        life = LIFE.get()
        if life is None:
            return
        path = self._open[fd].path if fd in self._open else os.readlink(f"/proc/self/fd/{fd}")
        if not path.startswith(str(self.root)):
            return
        life.point(_kind("sync", path))
        life.begun_s += self.sync_s
        if self.broken_syncs:
            self.broken_syncs -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        found = os.fstat(fd)
        if os.path.isdir(path):
            self._settle(path)
        else:
            with open(f"/proc/self/fd/{fd}", "rb") as file:
                self._durable[found.st_ino] = file.read()

    def _settle(self, folder: str) -> None:
        rest = []
        for path, inode in self._pending:
            if os.path.dirname(path) != folder:
                rest.append((path, inode))
            elif inode < 0:
                self._names.pop(path, None)
            else:
                self._names[path] = inode
        self._pending = rest

    def _truncate(self, fd: int, length: int) -> None:
        if fd in self._open:
            self._open[fd].life.point("truncate")
        self._real["ftruncate"](fd, length)

    def _rename(self, source: Any, target: Any, **more: Any) -> None:
        life = self._ours(source)
        if life is not None:
            life.point("rename")
            self._bury(os.fspath(target))
            inode = os.stat(source).st_ino
            self._pending += [(os.fspath(target), inode), (os.fspath(source), -1)]
        self._real["rename"](source, target, **more)

    def _unlink(self, path: Any, **more: Any) -> None:
        life = self._ours(path)
        if life is not None:
            life.point("unlink")
            if os.path.exists(path) and not Path(path).name.startswith(OWN):
                self._bury(os.fspath(path))
                self._pending.append((os.fspath(path), -1))
        self._real["unlink"](path, **more)

    def _bury(self, path: str) -> None:
        with suppress(OSError):
            self._gone[os.stat(path).st_ino] = Path(path).read_bytes()


def _kind(what: str, path: str) -> str:
    """The journal is a kind of its own: there is little of it, and all depends on it."""
    return f"{what} journal" if path.endswith("alerts.jsonl") else what
