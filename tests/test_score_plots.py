"""The pictures show what they say: counts in the legends, a curve per class, and what is missed and false in colour."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapters.commands import score_plots
from replay.score import Rules, Score, score
from tests.score_scene import LAT, LON, Row, tracks_of, truth_of


@pytest.fixture(scope="module")
def found() -> Score:
    """One object tracked, one missed, one ghost."""
    truth = [Row(t, k, 9_000.0 * k, 0.0) for t in range(61) for k in range(2)]
    tracks = [Row(t, 0, 100.0, 0.0) for t in range(61)] + [Row(t, 1, 50_000.0, 0.0) for t in range(61)]
    return score(truth_of(truth, [0, 1]), tracks_of(tracks), Rules(start_s=0.0, origin_rad=(LAT, LON)))


def colours(path: Path) -> dict[str, int]:
    """How many pixels are exactly of a colour."""
    with Image.open(path) as image:
        counted = image.convert("RGB").getcolors(maxcolors=image.width * image.height) or []
    found: dict[str, int] = {}
    for count, colour in counted:
        assert isinstance(colour, tuple)
        red, green, blue = colour[:3]
        found[f"#{red:02x}{green:02x}{blue:02x}"] = count
    return found


def test_the_map_shows_the_missed_and_the_false(found: Score, tmp_path: Path) -> None:
    score_plots.draw(found, ("seen", "unseen"), tmp_path)
    shown = colours(tmp_path / "map.png")
    assert shown.get(score_plots.MISSED, 0) > 20
    assert shown.get(score_plots.FALSE, 0) > 20
    over_time = colours(tmp_path / "gospa.png")
    assert over_time.get(score_plots.MISSED, 0) > 100 or over_time.get(score_plots.FALSE, 0) > 100


def test_legends_count(found: Score) -> None:
    (axes,) = score_plots._map(found).axes
    names = axes.get_legend_handles_labels()[1]
    assert names == ["object, tracked (13)", "track on an object (13)", "object, missed (13)", "false track (13)"]


def test_a_curve_of_what_was_never_tracked_ends_below_one(found: Score) -> None:
    scene = found.scene
    assert scene.delay_s[0] == 0.0
    assert math.isnan(scene.delay_s[1])
    (axes,) = score_plots._curves("", "", "")[0].axes
    values = np.array([1.0, np.nan, 3.0, np.nan])
    score_plots._by_class(axes, values, np.zeros(4, np.int64), ("a", "b"), "s")
    (curve,) = axes.get_lines()
    assert np.asarray(curve.get_ydata()).max() == 0.5
    assert axes.get_legend_handles_labels()[1] == ["a: median 2 s, 95 % 2.9 s, never 2 (of 4)"]
