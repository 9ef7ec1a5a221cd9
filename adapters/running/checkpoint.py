"""The state of a service at one tick, as bytes: what a start goes on from, and what a recording can be entered by.

    vedette checkpoint 2
    sha256 of all that follows
    {"epoch": 7, "seq": 41233, "tick_us": ..., "config_hash": ..., "code": ...}
    zstandard of: how many parts, the length of each (64 bits, little-endian), a pickle, its arrays

In a recording it stands in parts of a megabyte, one message each: a state may have a hundred, and whoever writes a
message holds it several times over.

A checkpoint is of one configuration and one code. Whatever is truncated, flipped, foreign or from the future is refused
with the reason, and then a start is a cold one. Reading makes only the core's own records and arrays of numpy: a pickle
could name anything, and a recording may come from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import pickle
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import zstandard

import fusion
from adapters.wire import dump, rfc3339_exact

SCHEMA = "vedette.checkpoint.v1"
VERSION = 2
MOST_PARTS = 512
MAX_STATE_BYTES = 2**31  # ten times the largest picture: a length that is not believed
PART_BYTES = 2**20  # of a message of a recording, and of what is packed at once
_MAGIC = b"vedette checkpoint "
_DIGEST_BYTES = 64  # hexadecimal
_PART = re.compile(rb'"part":([0-9]{1,6}),"parts":([0-9]{1,6}),')
_HEAD_BYTES = 200  # of a message, in which it says which part it is
_NUMPY = {
    ("numpy", "dtype"), ("numpy", "ndarray"), ("numpy._core.numeric", "_frombuffer"),
    ("numpy._core.multiarray", "scalar"), ("numpy._core.multiarray", "_reconstruct"),
}  # fmt: skip


State = list[bytes | memoryview]  # a pickle, then the arrays that it speaks of, in order
Data = bytes | bytearray


class BadCheckpoint(ValueError):
    """A checkpoint that must not be used; says why."""


@dataclass(frozen=True, slots=True)
class About:
    """What a checkpoint is of."""

    epoch: int
    seq: int  # number of the last frame that is in it, which is a tick
    tick_us: int
    config_hash: str
    code: str
    boots: int = 0  # of the machine, that it knows of


@cache
def code() -> str:
    """A hash of the source of core and shell: state, what was told of it included, has the shape the code gave it."""
    root = Path(fusion.__file__ or "").parent.parent
    total = hashlib.sha256()
    for path in sorted(path for package in ("fusion", "adapters") for path in (root / package).rglob("*.py")):
        total.update(path.relative_to(root).as_posix().encode() + b"\n" + path.read_bytes())
    return total.hexdigest()


def frozen(state: dict[str, Any]) -> State:
    """The state as bytes, before anything changes it: call where the engine rests.

    Its arrays are taken as they are, since a snapshot holds copies: sixty megabytes of five thousand tracks are not
    copied once more, and the engine stands for half as long.
    """
    arrays: list[pickle.PickleBuffer] = []
    body = io.BytesIO()
    _Writer(body, 5, buffer_callback=arrays.append).dump(state)
    return [body.getvalue(), *(array.raw() for array in arrays)]


def packed(about: About, state: State) -> bytearray:
    """A checkpoint of a frozen state, which is empty afterwards: each part is let go of when it is packed."""
    lengths = [memoryview(part).nbytes for part in state]
    table = np.array([len(lengths), *lengths], "<i8").tobytes()
    squeeze = zstandard.ZstdCompressor(level=1).compressobj(size=len(table) + sum(lengths))
    data = bytearray(b"%s%d\n%s\n" % (_MAGIC, VERSION, bytes(_DIGEST_BYTES)))
    begin = len(data)
    data += msgspec.json.encode(asdict(about)) + b"\n"
    state.insert(0, table)
    state.reverse()
    while state:
        part = memoryview(state.pop())
        for at in range(0, len(part), PART_BYTES):
            data += squeeze.compress(part[at : at + PART_BYTES])
    data += squeeze.flush()
    with memoryview(data) as view:
        digest = hashlib.sha256(view[begin:]).hexdigest().encode()
    data[begin - 1 - _DIGEST_BYTES : begin - 1] = digest
    return data


class Kept:
    """A frozen state and what it is of, packed once by whoever asks first; from any thread."""

    def __init__(self, about: About, state: State) -> None:
        self.about = about
        self._state, self._data = state, bytearray()
        self._lock = threading.Lock()

    def packed(self) -> bytearray:
        """The checkpoint. Nobody changes it."""
        with self._lock:
            if self._state:
                self._data = packed(self.about, self._state)
            return self._data


def epoch_of(data: Data) -> int:
    """The epoch that an undamaged checkpoint of any version of the program names; 0 without."""
    first, _, rest = data.partition(b"\n")
    digest, _, rest = rest.partition(b"\n")
    if not first.startswith(_MAGIC) or digest != hashlib.sha256(rest).hexdigest().encode():
        return 0
    try:
        return max(0, msgspec.json.decode(rest.partition(b"\n")[0], type=_Numbered).epoch)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0


def unpacked(data: Data, config_hash: str) -> tuple[About, dict[str, Any]]:
    """What a checkpoint holds.

    Raises:
        BadCheckpoint: it is none, damaged, of another version, configuration or code.
    """
    first, _, rest = data.partition(b"\n")
    if not first.startswith(_MAGIC) or not first.removeprefix(_MAGIC).isdigit():
        raise BadCheckpoint("it is not a checkpoint")
    version = int(first.removeprefix(_MAGIC)[:9])
    if version != VERSION:
        raise BadCheckpoint(f"it has version {version}, and this is version {VERSION}")
    digest, _, rest = rest.partition(b"\n")
    if digest != hashlib.sha256(rest).hexdigest().encode():
        raise BadCheckpoint("it is truncated or damaged: its hash does not fit")
    head, _, body = rest.partition(b"\n")
    try:
        about = msgspec.json.decode(head, type=About)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadCheckpoint(f"its head cannot be read ({error})") from error
    if about.config_hash != config_hash:
        raise BadCheckpoint("it is of another configuration")
    if about.code != code():
        raise BadCheckpoint("it is of another version of the program")
    try:
        if zstandard.frame_content_size(body) > MAX_STATE_BYTES:  # it is what is allocated, whatever the limit given
            raise ValueError("too large")
        state = _loaded(zstandard.ZstdDecompressor().decompress(body, MAX_STATE_BYTES))
    except Exception as error:  # whatever a forged pickle makes of its reader
        raise BadCheckpoint(f"its state cannot be read ({error})") from error
    if not isinstance(state, dict):
        raise BadCheckpoint("its state is not one")
    return about, state


def _loaded(body: bytes) -> object:
    """What was frozen. Every array owns its bytes, so that it can be changed and lies as compiled code wants it."""
    count = int.from_bytes(body[:8], "little")
    at, whole = 8 * (count + 1), memoryview(body)
    if count <= 0 or at > len(body):
        raise ValueError("its parts are not there")
    lengths = np.frombuffer(body, "<i8", count, 8)
    ends = at + np.cumsum(lengths)
    if (lengths < 0).any() or int(ends[-1]) != len(body):
        raise ValueError("its parts do not fit")
    parts = [whole[end - length : end] for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)]
    return _Reader(io.BytesIO(parts[0]), buffers=(bytearray(part) for part in parts[1:])).load()


def save(path: Path, data: Data) -> None:
    """Put it in the place of the one before, on the disk: after a crash there is the old one or the new one.

    Raises:
        OSError: the disk refused; the old one is still there.
    """
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def messages(data: Data, t_us: int) -> Iterator[bytes]:
    """A checkpoint as a recording keeps it, part by part."""
    parts = max(1, -(-len(data) // PART_BYTES))
    for part in range(parts):
        head = {"schema": SCHEMA, "time": rfc3339_exact(t_us), "part": part + 1, "parts": parts, "state_b64": ""}
        with memoryview(data) as view:
            text = base64.b64encode(view[part * PART_BYTES : (part + 1) * PART_BYTES])
        yield b"".join((dump(head).removesuffix(b'"}'), text, b'"}'))


class Parts:
    """Hears the messages of recorded checkpoints in order, and says which is whole."""

    def __init__(self) -> None:
        self._at = self._heard = 0

    def hear(self, payload: bytes, at: int) -> int:
        """`at`: where this message stands. Where the first part of a checkpoint stood that is whole with this one; else
        -1. What is no part of one is let be."""
        found = _PART.search(payload, 0, _HEAD_BYTES)
        part, parts = (int(found[1]), int(found[2])) if found else (1, 1)  # or all of it, as before there were parts
        if part == 1:
            self._at, self._heard = at, 0
        self._heard = self._heard + 1 if part == self._heard + 1 else -1
        return self._at if part == parts == self._heard <= MOST_PARTS else -1


def of_messages(payloads: Sequence[bytes]) -> bytes:
    """The checkpoint in all its messages of a recording. Raises BadCheckpoint."""
    try:
        told = (msgspec.json.decode(payload, type=_Message) for payload in payloads)
        return b"".join(base64.b64decode(part.state_b64, validate=True) for part in told)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadCheckpoint(f"its message cannot be read ({error})") from error


class _Numbered(msgspec.Struct):
    epoch: int


class _Message(msgspec.Struct):
    schema: str
    state_b64: str


class _Writer(pickle.Pickler):
    def reducer_override(self, thing: Any) -> Any:
        """Members of enumerations by class and value: Python 3.11.2, which is Debian's, writes `getattr` for them."""
        return (type(thing), (thing.value,)) if isinstance(thing, Enum) else NotImplemented


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NUMPY:
            return super().find_class(module, name)
        if module.startswith("fusion.") and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and (is_dataclass(found) or issubclass(found, Enum)):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a state")
