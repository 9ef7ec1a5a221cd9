"""Every kernel is compiled before it is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adapters import warm
from tests.conftest import ROOT
from tests.test_tidy import SOURCES, compiled


def test_every_module_with_a_kernel_is_found() -> None:
    holding = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES if list(compiled(path))}
    assert set(warm.modules()) == holding
    assert "fusion.kernels" in holding


def test_the_command_compiles_and_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "adapters.warm"], capture_output=True, text=True, timeout=600, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "ing kernels 1 of " in done.stdout
    assert "kernels are ready" in done.stdout.splitlines()[-1]


FIRST_START = """
import sys
from adapters import kernelcache, lean, warm
kernelcache.prepare()
lean.install_with_numba()
if sys.argv[1] == "here":
    warm._compile_elsewhere = lambda report: None
said = []
warm.warm(said.append)
compiled = any("compiling kernels" in line for line in said)
print("numba.np.arrayobj" in sys.modules, compiled, kernelcache.whole().exists())
"""


@pytest.mark.parametrize(("where", "said"), [("elsewhere", "False"), ("here", "True")])
def test_a_first_start_has_another_process_compile(tmp_path: Path, where: str, said: str) -> None:
    """A service that compiled keeps the compiler in its memory."""
    cache = shutil.copytree(os.environ["NUMBA_CACHE_DIR"], tmp_path / "cache")
    missing = [*cache.glob("whole-*"), *cache.rglob("geo.isa_height_1*")]
    for path in missing:
        path.unlink()
    assert any(path.suffix == ".nbi" for path in missing)
    env = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", FIRST_START, where]
    told = [subprocess.check_output(command, env=env, cwd=ROOT, timeout=600, text=True).split() for _ in range(2)]
    assert told == [[said, "True", "True"], ["False", "False", "True"]]


def test_what_is_loaded_is_not_compiled_again() -> None:
    warm.warm(lambda line: None)
    said: list[str] = []
    assert warm.warm(said.append) < 1.0
    assert said == []
