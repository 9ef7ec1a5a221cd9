"""Every kernel is compiled before it is needed."""

from __future__ import annotations

import subprocess
import sys

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
    assert "compiling kernels 1 of " in done.stdout
    assert "kernels are ready" in done.stdout.splitlines()[-1]


def test_what_is_loaded_is_not_compiled_again() -> None:
    warm.warm(lambda line: None)
    said: list[str] = []
    assert warm.warm(said.append) < 1.0
    assert said == []
