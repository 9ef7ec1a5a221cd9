"""What was let go of goes back to the system, which it does not by itself."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT

SCRIPT = """
import sys
import ctypes
from pathlib import Path
from adapters.running import memory

if sys.argv[1] == "asked":
    assert memory.give_back()
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def block(size):
    made = c.malloc(size)
    ctypes.memset(made, 1, size)
    return made

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

before = resident_mb()
c.free(block(30 << 20))
large = []
for _ in range(10):
    large.append(block(8 << 20))
    block(100_000)  # and stays
for each in large:
    c.free(each)
print(resident_mb() - before)
"""


def test_large_blocks_are_given_back() -> None:
    left_mb = {
        word: float(subprocess.check_output([sys.executable, "-c", SCRIPT, word], cwd=ROOT, timeout=60))
        for word in ("asked", "not asked")
    }
    assert left_mb["asked"] < 10.0
    assert left_mb["not asked"] > 50.0  # else there is nothing to ask for, and the file can go
