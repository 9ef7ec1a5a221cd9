"""What was let go of goes back to the system, which it does not by itself."""

from __future__ import annotations

import subprocess
import sys

from adapters.running import memory
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


COMPILER = """
from adapters import kernelcache, lean
kernelcache.prepare()
lean.install_with_numba()
from fusion import geo
from adapters.running import memory

def resident_mb():
    pages = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    return int(pages["RssFile"].split()[0]) / 1024

def answer():
    return geo.ecef_1(0.9, 0.4, 100.0)

first, before = answer(), resident_mb()
told = memory.settle() / 2**20
after = resident_mb()
from numba import njit
compiled = njit("float64(float64)")(lambda x: x * 2.0)
assert answer() == first and compiled(2.0) == 4.0
print(told, before - after)
"""


def test_the_code_of_a_compiler_that_has_nothing_to_do_is_let_go_of_and_comes_back() -> None:
    said = subprocess.check_output([sys.executable, "-c", COMPILER], cwd=ROOT, timeout=120)
    told_mb, gone_mb = map(float, said.split())
    assert told_mb > 30.0
    assert abs(told_mb - gone_mb) < 2.0


def test_only_what_a_file_still_holds_is_let_go_of() -> None:
    """What was written (an address put in when the library was loaded) is nowhere else."""
    smaps = """\
1000-5000 r-xp 00000000 fe:00 7 /env/libllvmlite.so
Rss:                  12 kB
Anonymous:             0 kB
5000-6000 r--p 00004000 fe:00 7 /env/libllvmlite.so
Rss:                   4 kB
Anonymous:             4 kB
6000-7000 rw-p 00005000 fe:00 7 /env/libllvmlite.so
Rss:                   4 kB
Anonymous:             0 kB
7000-8000 r-xp 00000000 fe:00 9 /env/libother.so
Rss:                   4 kB
Anonymous:             0 kB
8000-9000 r-xp 00000000 00:00 0
Rss:                   4 kB
Anonymous:             0 kB
"""
    assert list(memory._code_of("libllvmlite", smaps)) == [(0x1000, 0x4000, 12 * 1024)]
