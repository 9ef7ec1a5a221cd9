"""Rows of the page's picture: what the service publishes, in the order that the header names."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.rows import rows_of
from adapters.ui.picture import COLUMNS, UNITS, compact, decode
from adapters.wire import dump
from fusion.cases.trail import LOW_SLOW_P
from fusion.schema import Invalid
from tests.test_ui_sky import TIME, picture


def told(**more: object) -> dict[str, object]:
    """The compact row of one published row, by name."""
    row = {"id": "1:1", "status": "confirmed", "cooperative": False, "height_known": True, "sensors": ["R1"], **more}
    head = {"schema": "vedette.picture.v1", "time": TIME}
    message = decode(dump({**head, "tracks": [{**row, "plots_count": 1}]}))
    return dict(zip(COLUMNS, compact(message.tracks[0]), strict=True))


def test_the_header_names_columns_and_units() -> None:
    units = dict(zip(COLUMNS, UNITS, strict=True))
    assert len(units) == len(COLUMNS)
    assert (units["lat_deg"], units["speed_mps"], units["border_distance_m"], units["time_to_border_s"]) == (
        "deg",
        "mps",
        "m",
        "s",
    )
    assert (units["id"], units["state"], units["last_plot_us"]) == ("", "", "us")


def test_every_column_is_one_that_the_service_publishes() -> None:
    published = {*rows_of.__globals__["Row"].__struct_fields__}
    assert {*COLUMNS} - published == {"low_slow", "last_plot_us"}


def test_values_are_as_published_and_what_is_unknown_is_null() -> None:
    row = told(lat_deg=54.543212345, lon_deg=25.7, speed_mps=41.6, last_plot_time=TIME)
    assert (row["lat_deg"], row["lon_deg"], row["speed_mps"]) == (54.54321, 25.7, 41.6)
    assert row["last_plot_us"] == 1_795_414_500_000_000
    assert (row["agl_m"], row["callsign"], row["contradicted"]) == (None, "", False)


@pytest.mark.parametrize("p_low", [None, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("p_slow", [None, 0.0, 0.5, 1.0])
def test_low_and_slow_is_the_word_of_the_service(p_low: float | None, p_slow: float | None) -> None:
    given = {name: value for name, value in (("p_low", p_low), ("p_slow", p_slow)) if value is not None}
    both = np.where(p_low is None, 1.0, p_low or 0.0) * (p_slow or 0.0)
    assert told(**given)["low_slow"] is bool(both >= LOW_SLOW_P)


def test_another_message_is_refused() -> None:
    with pytest.raises(Invalid, match="wrong-schema"):
        decode(dump({"schema": "vedette.plots.v1", "time": TIME}))
    assert decode(picture([1, 2], 7, True)).seq == 7
