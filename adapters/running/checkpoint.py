"""The state of a service at one tick, as bytes: what a start goes on from, and what a recording can be entered by.

    vedette checkpoint 2
    sha256 of all that follows
    {"epoch": 7, "seq": 41233, "tick_us": ..., "config_hash": ..., "code": ...}
    zstandard of: how many parts, the length of each (64 bits, little-endian), a pickle, its arrays

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
from collections.abc import Sequence
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
MAX_STATE_BYTES = 2**31  # ten times the largest picture: a length that is not believed
_MAGIC = b"vedette checkpoint "
_NUMPY = {
    ("numpy", "dtype"), ("numpy", "ndarray"), ("numpy._core.numeric", "_frombuffer"),
    ("numpy._core.multiarray", "scalar"), ("numpy._core.multiarray", "_reconstruct"),
}  # fmt: skip


State = Sequence[bytes | memoryview]  # a pickle, then the arrays that it speaks of, in order


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
    body = pickle.dumps(state, 5, buffer_callback=arrays.append)
    return [body, *(array.raw() for array in arrays)]


def packed(about: About, state: State) -> bytes:
    """A checkpoint of a frozen state."""
    lengths = [memoryview(part).nbytes for part in state]
    table = np.array([len(lengths), *lengths], "<i8").tobytes()
    squeeze = zstandard.ZstdCompressor(level=1).compressobj(size=len(table) + sum(lengths))
    parts = [msgspec.json.encode(asdict(about)) + b"\n", *(squeeze.compress(part) for part in (table, *state))]
    parts.append(squeeze.flush())
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return b"".join([b"%s%d\n%s\n" % (_MAGIC, VERSION, digest.hexdigest().encode()), *parts])


def epoch_of(data: bytes) -> int:
    """The epoch that an undamaged checkpoint of any version of the program names; 0 without."""
    first, _, rest = data.partition(b"\n")
    digest, _, rest = rest.partition(b"\n")
    if not first.startswith(_MAGIC) or digest != hashlib.sha256(rest).hexdigest().encode():
        return 0
    try:
        return max(0, msgspec.json.decode(rest.partition(b"\n")[0], type=_Numbered).epoch)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0


def unpacked(data: bytes, config_hash: str) -> tuple[About, dict[str, Any]]:
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


def save(path: Path, data: bytes) -> None:
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


def message(data: bytes, t_us: int) -> bytes:
    """A checkpoint as a recording keeps it."""
    head = dump({"schema": SCHEMA, "time": rfc3339_exact(t_us), "state_b64": ""}).removesuffix(b'"}')
    return b"".join((head, base64.b64encode(data), b'"}'))  # 36 MB of six thousand tracks: once, and not as text too


def of_message(payload: bytes) -> bytes:
    """The checkpoint in a message of a recording. Raises BadCheckpoint."""
    try:
        told = msgspec.json.decode(payload, type=_Message)
        return base64.b64decode(told.state_b64, validate=True)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadCheckpoint(f"its message cannot be read ({error})") from error


class _Numbered(msgspec.Struct):
    epoch: int


class _Message(msgspec.Struct):
    schema: str
    state_b64: str


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NUMPY:
            return super().find_class(module, name)
        if module.startswith("fusion.") and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and (is_dataclass(found) or issubclass(found, Enum)):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a state")
