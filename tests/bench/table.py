"""The one table: a row for each figure, a column for each tracker; printed, and written into docs/benchmarks.md."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

OURS = "Vedette"
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
PACKAGES = ("numpy", "numba", "scipy", "filterpy", "stonesoup")
NOT_RUN = "-"


class Table:
    """Figures as text, in the order in which rows and columns first came."""

    def __init__(self) -> None:
        self._cells: dict[str, dict[str, str]] = {}
        self._columns: dict[str, None] = {OURS: None}
        self._notes: list[str] = []

    def put(self, row: str, column: str, value: float | str, form: str = ",.0f") -> None:
        """One figure."""
        self._columns.setdefault(column)
        self._cells.setdefault(row, {})[column] = value if isinstance(value, str) else format(value, form)

    def note(self, text: str) -> None:
        """A line below the table."""
        if text not in self._notes:
            self._notes.append(text)

    def text(self) -> str:
        """Markdown, aligned so that it reads well in a terminal too."""
        columns = list(self._columns)
        lines = [["", *columns]]
        lines += [[row, *(cells.get(c, NOT_RUN) for c in columns)] for row, cells in self._cells.items()]
        width = [max(len(line[i]) for line in lines) for i in range(len(columns) + 1)]
        rule = ["-" * width[0], *("-" * (w - 1) + ":" for w in width[1:])]
        body = []
        for line in [lines[0], rule, *lines[1:]]:
            cells = [line[0].ljust(width[0]), *(c.rjust(w) for c, w in zip(line[1:], width[1:], strict=True))]
            body.append("| " + " | ".join(cells) + " |")
        return "\n".join([*body, "", *(f"- {note}" for note in self._notes)])


def machine() -> str:
    """What it ran on and with, in a few lines of Markdown."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return "\n".join(
        [
            f"- {datetime.now(UTC):%Y-%m-%d}, commit {_commit()}",
            f"- {model}, {os.cpu_count()} cores; one is used; load average before the run {os.getloadavg()[0]:.1f}",
            f"- {platform.system()}, Python {platform.python_version()}, {versions}",
        ]
    )


def _commit() -> str:
    asking = ["git", "describe", "--always", "--dirty"]
    asked = subprocess.run(asking, check=False, cwd=ROOT, capture_output=True, text=True)
    return asked.stdout.strip() if asked.returncode == 0 else "unknown"


def write(about: str, table: Table, minutes: float) -> None:
    """Replace docs/benchmarks.md."""
    PAGE.write_text(
        "# Benchmarks\n\n"
        "Written by `make bench ARGS=--write`, never by hand. Every figure is of this one run; how each is measured,\n"
        "and how the peers are set up, is in `tests/bench`.\n\n"
        f"{about}\n- the run took {minutes:.0f} minutes\n\n{table.text()}\n",
        encoding="utf-8",
    )
