"""Compile every kernel before it is needed, and say so: `python -m adapters.warm`, or `warm()` from a command.

Kernels carry explicit types, so importing their module compiles them; the result is kept in the cache that
`adapters.log.prepare_numerics` chooses. The first time takes about a minute, after that a second.

What compiles keeps 60 MB for as long as it lives, and a service lives for months: another process compiles for it.
"""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from adapters import kernelcache, log

PACKAGES = ("fusion", "replay", "adapters")


def modules() -> tuple[str, ...]:
    """Names of our modules that hold compiled kernels, in order of name."""
    root = Path(__file__).resolve().parent.parent
    found = []
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            if "\n@njit(" in path.read_text(encoding="utf-8"):
                found.append(".".join(path.relative_to(root).with_suffix("").parts))
    return tuple(found)


def warm(report: Callable[[str], None]) -> float:
    """Import all kernels; `report` gets a line before each module that takes time. Returns the seconds it took."""
    start = time.monotonic()
    if any(name not in sys.modules for name in modules()):
        if not kernelcache.whole().exists():
            _compile_elsewhere(report)
        _import_all(report)
    return time.monotonic() - start


def _compile_elsewhere(report: Callable[[str], None]) -> None:
    """By this module as a command. Where that fails, whoever imports compiles: slower for its life, and no worse."""
    command = [sys.executable, "-m", "adapters.warm"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            report(line.strip())


def _import_all(report: Callable[[str], None]) -> None:
    names = modules()
    doing = "loading" if kernelcache.whole().exists() else "compiling"
    for step, name in enumerate(names, 1):
        if name not in sys.modules:
            report(f"{doing} kernels {step} of {len(names)}: {name}")
            importlib.import_module(name)
    with contextlib.suppress(OSError):
        kernelcache.whole().touch()


def main() -> None:
    """One moving line on a terminal, plain lines elsewhere."""
    log.prepare_numerics()
    before, after = ("\r\033[K", "") if sys.stdout.isatty() else ("", "\n")

    def report(line: str) -> None:
        print(f"{before}  {line}", end=after, flush=True)

    start = time.monotonic()
    _import_all(report)
    seconds = time.monotonic() - start
    print(f"{before}  kernels are ready ({seconds:.0f} s)")


if __name__ == "__main__":
    main()
