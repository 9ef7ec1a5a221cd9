"""Kernels loaded lean: the same answers from the cache, no compiler in memory, and still something to compile with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
from numba import njit

@njit("float64(float64)", cache=True)
def inner(x):
    return x * x + 1.0

@njit("float64(float64[::1])", cache=True)
def total(values):
    out = 0.0
    for k in range(values.shape[0]):
        out += inner(values[k])
    return out
"""
AT_ONCE = 'assert lean.install(), "the numba of constraints.txt is not the one that adapters/lean.py knows"'
WITH_NUMBA = 'lean.install_with_numba()\nlean.install_with_numba()\nassert "numba" not in sys.modules'
RUN = """
import sys
from adapters import lean
{install}
import numpy as np
import kernels
print(len(kernels.total.overloads), len(kernels.inner.overloads))
print(kernels.total(np.arange(4.0)), sum(kernels.total.stats.cache_hits.values()), len(kernels.inner.overloads))
(compiled,) = kernels.total.overloads.values()
print(compiled.library._shared_module is None, "numba.np.arrayobj" in sys.modules)
from numba import njit

@njit("float64(float64)")
def outer(x):
    return kernels.inner(x) - 1.0

print(outer(3.0))
try:
    kernels.total("text")
except TypeError:
    print("refused")
"""


def run(folder: Path, install: str) -> list[str]:
    env = {**os.environ, "PYTHONPATH": f"{Path.cwd()}:{folder}", "NUMBA_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", RUN.replace("{install}", install)],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("install", [AT_ONCE, WITH_NUMBA], ids=["at once", "with numba"])
def test_a_kernel_from_the_cache_comes_without_its_compiler_and_can_still_be_compiled_into_others(
    tmp_path: Path, install: str
) -> None:
    (tmp_path / "kernels.py").write_text(MODULE, encoding="utf-8")
    assert run(tmp_path, install) == ["1 1", "18.0 0 1", "False True", "9.0", "refused"], "compiled at import"
    assert run(tmp_path, install) == ["0 0", "18.0 1 0", "True False", "9.0", "refused"], "from the cache when called"
