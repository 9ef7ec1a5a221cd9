"""Record the README's picture: `python -m tests.demo_picture` runs the demo for 40 s and keeps what its terminal shows.

rich's export names web fonts; those lines are taken out, because a page of ours asks nobody else for anything.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, Group
from rich.text import Text

from adapters.log import prepare_numerics

prepare_numerics()

from adapters.commands import demo, demo_view  # noqa: E402
from replay.simulate import Scenario  # noqa: E402

OUT = Path(__file__).resolve().parent.parent / "docs" / "images" / "demo.svg"
SECONDS = 40.0
WIDTH = 118


class Recorded(demo_view.View):
    """The demo's view on a terminal that exists only in memory; its last state stays."""

    console: Console

    def __init__(self, out: object) -> None:
        super().__init__(io.StringIO())
        self._console = Console(file=io.StringIO(), record=True, force_terminal=True, width=WIDTH, highlight=False)
        Recorded.console = self._console

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say nothing: a picture does not wait."""
        yield

    def begin(self, scene: Scenario) -> None:
        """The scene starts; every drawing in between would stay in the record."""
        self._scene = scene

    def refresh(self) -> None:
        """Nothing moves in a picture."""

    def close(self) -> None:
        """Draw what moves, as it stood at the end."""
        self._console.print(Group(Text(self._counts()), self._table()))


def main() -> int:
    """Status 1 when the expected alert did not come: then there is no picture."""
    setattr(demo, "View", Recorded)  # noqa: B010 - the demo offers no way to hand in a view, and needs none
    status = demo.demo(seconds=SECONDS)
    svg = Recorded.console.export_svg(title="make demo")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    if status == 0:
        OUT.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")
        print(f"wrote {OUT}")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
