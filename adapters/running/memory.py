"""How a service that runs for months holds its memory: what it let go of goes back to the system.

The C library gives out a block of megabytes apart from the others and returns it when it is freed, until the first is
freed: then it takes blocks of that size out of its heap, where a small one behind it keeps the room for ever, and every
thread has a heap of its own. A state of sixty megabytes is frozen every few seconds: after a flood 100 MB stayed.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # M_* of malloc.h
_APART_BYTES = 1 << 20  # from here on a block stands apart: what a tick needs many of is smaller
_TOP_BYTES = 8 << 20  # more than this at the top of the heap is returned
_ARENAS = 2


def give_back() -> bool:
    """Call it early. False: this C library has no such words, and memory is what it costs."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    asked = ((_MMAP_THRESHOLD, _APART_BYTES), (_TRIM_THRESHOLD, _TOP_BYTES), (_ARENA_MAX, _ARENAS))
    answers = [mallopt(what, value) for what, value in asked]
    return answers == [1, 1, 1]
