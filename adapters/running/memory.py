"""How a service that runs for months holds its memory: what it let go of goes back to the system.

The C library gives out a block of megabytes apart from the others and returns it when it is freed, until the first is
freed: then it takes blocks of that size out of its heap, where a small one behind it keeps the room for ever, and every
thread has a heap of its own. A state of sixty megabytes is frozen every few seconds: after a flood 100 MB stayed.

And of the compiler, which loads kernels from their cache and does nothing from then on, 60 MB of code stay mapped that
a start looked into: more than the tracks of a flood take. They are let go of, and come back from the file when called.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # M_* of malloc.h
_APART_BYTES = 1 << 20  # from here on a block stands apart: what a tick needs many of is smaller
_TOP_BYTES = 8 << 20  # more than this at the top of the heap is returned
_ARENAS = 2
_DONTNEED = 4  # MADV_DONTNEED of Linux
_COMPILER = "libllvmlite"


def give_back() -> bool:
    """Call it early. False: this C library has no such words, and memory is what it costs."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    asked = ((_MMAP_THRESHOLD, _APART_BYTES), (_TRIM_THRESHOLD, _TOP_BYTES), (_ARENA_MAX, _ARENAS))
    answers = [mallopt(what, value) for what, value in asked]
    return answers == [1, 1, 1]


def settle() -> int:
    """Call it when all that stays is there. Returns how many bytes of the compiler's code were resident.

    Borders, kernels and modules are never looked through again: a tick would stand for 100 ms.
    """
    gc.freeze()
    try:
        madvise = ctypes.CDLL(None, use_errno=True).madvise
        found = list(_code_of(_COMPILER, Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace")))
    except (AttributeError, OSError, TypeError):
        return 0  # no such system, and memory is what it costs
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return sum(resident for start, size, resident in found if madvise(start, size, _DONTNEED) == 0)


def _code_of(library: str, smaps: str) -> Iterator[tuple[int, int, int]]:
    """(address, bytes, bytes resident) of each part of a library that is read from its file and was never written."""
    start = size = resident = 0
    is_code = False
    for line in smaps.splitlines():
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            first, _, last = name.partition("-")
            start, size = int(first, 16), int(last, 16) - int(first, 16)
            is_code = rest[1:2] == "-" and Path(line).name.startswith(library)
        elif name == "Rss:":
            resident = 1024 * int(rest.split()[0])
        elif name == "Anonymous:" and is_code and rest.split()[0] == "0":
            yield start, size, resident
