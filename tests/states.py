"""Snapshots in tests: sent through a checkpoint as a restart sends them, and compared to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from adapters.running.checkpoint import About, code, frozen, packed, unpacked

ABOUT = About(1, 0, 0, "", code())


def kept(state: Any) -> Any:
    """A snapshot of any part, after it has been a file."""
    return unpacked(packed(ABOUT, frozen({"part": state})), ABOUT.config_hash)[1]["part"]


def bits(value: object) -> bytes:
    """All bits of nested plain values and arrays, by key, without regard to the order of keys."""
    if isinstance(value, np.ndarray) and value.dtype.names is not None:  # field by field: between them lies padding
        return b"".join(name.encode() + bits(value[name]) for name in value.dtype.names)
    if isinstance(value, np.ndarray):
        return str(value.dtype).encode() + str(value.shape).encode() + value.tobytes()
    if isinstance(value, dict):
        return b"".join(str(key).encode() + bits(value[key]) for key in sorted(value, key=str))
    if isinstance(value, list | tuple):
        return b"".join(bits(item) for item in value)
    return repr(value).encode()
