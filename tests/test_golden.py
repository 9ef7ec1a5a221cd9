"""The golden run has not changed unless somebody meant it to."""

from __future__ import annotations

import difflib

from tests import golden


def test_the_picture_is_the_one_we_reviewed() -> None:
    kept = golden.FILE.read_text(encoding="utf-8")
    now = golden.render()
    changed = "".join(difflib.unified_diff(kept.splitlines(True), now.splitlines(True), "kept", "now", n=0))
    assert kept == now, f"the picture changed; if that was meant: python -m tests.golden\n{changed[:4000]}"


def test_it_holds_what_matters() -> None:
    text = golden.FILE.read_text(encoding="utf-8")
    assert " raised low-slow-near gerbera" in text
    assert " raised low-slow-inside gerbera" in text
    assert "nothing" not in text
    assert "late 0 rejected 0" in text
