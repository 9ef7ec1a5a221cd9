"""Compile every kernel before it is needed, and say so: `python -m adapters.warm`, or `warm()` from a command.

Kernels carry explicit types, so importing their module compiles them; the result is kept in the cache that
`adapters.log.prepare_numerics` chooses. The first time takes about a minute, after that a second.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

from adapters import log

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
    """Import all kernels; `report` gets a line before each module. Returns the seconds it took."""
    start = time.monotonic()
    names = modules()
    for step, name in enumerate(names, 1):
        if name not in sys.modules:
            report(f"compiling kernels {step} of {len(names)}: {name}")
            importlib.import_module(name)
    return time.monotonic() - start


def main() -> None:
    """One moving line on a terminal, plain lines elsewhere."""
    log.prepare_numerics()
    before, after = ("\r\033[K", "") if sys.stdout.isatty() else ("", "\n")

    def report(line: str) -> None:
        print(f"{before}  {line}", end=after, flush=True)

    seconds = warm(report)
    print(f"{before}  kernels are ready ({seconds:.0f} s)")


if __name__ == "__main__":
    main()
