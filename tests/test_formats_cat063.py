"""CAT063 beside an independent decoder: random messages, and what we wrote ourselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.asterixitems import ANGLE_UNIT_RAD, NM_M
from adapters.formats import cat063
from adapters.formats.cat063 import GAIN_UNIT, RANGE_UNIT_M, TIME_UNIT_S, Sensors
from tests.asterixjudge import JUDGES, anything, judged, ours, part, quantity, theirs

NUMBERS: dict[str, tuple[str, tuple[str, ...], str | None, float]] = {
    "time_bias_s": ("070", (), "ms", 1e-3),
    "range_gain": ("090", ("PRG",), None, 1.0),
    "range_bias_m": ("090", ("PRB",), "NM", NM_M),
    "azimuth_bias_rad": ("091", (), "°", np.pi / 180.0),
    "elevation_bias_rad": ("092", (), "°", np.pi / 180.0),
}
WORDS = {
    "service": ("015", ()),
    "sensor_sac": ("050", ("SAC",)),
    "sensor_sic": ("050", ("SIC",)),
    "state": ("060", ("CON",)),
}


def check(s: Sensors, row: int, record: Any) -> None:
    for field, (name, parts, unit, scale) in NUMBERS.items():
        item = record.get_item(name)
        value = np.nan if item is None else quantity(item, unit, *parts) * scale
        assert getattr(s, field)[row] == pytest.approx(value, abs=1e-9, nan_ok=True), field
    for field, (name, parts) in WORDS.items():
        said = part(record.get_item(name), *parts)
        assert getattr(s, field)[row] == (-1 if said is None else said), field
    assert s.inhibited[row] == bool(part(record.get_item("060"), "OPS"))
    assert s.silent[row] == bool(part(record.get_item("060"), "NPW"))


def test_any_message_says_what_the_other_decoder_reads() -> None:
    assert sorted(cat063.LAYOUT.column) == sorted(JUDGES[63].cv_record.cv_items_dict)
    data = anything(cat063.LAYOUT, 40, seed=7)
    assert ours(cat063.LAYOUT, data) == theirs(cat063.LAYOUT, data)
    found, faults = cat063.decode(data)
    assert not faults
    for row, record in enumerate(judged(63, data)):
        check(found, row, record)


def random_sensors(rng: np.random.Generator, n: int) -> Sensors:
    def column(low: int, high: int) -> Any:
        return rng.integers(low, high, n, endpoint=True).astype(np.int32)

    def measured(unit: float, where: Any) -> Any:
        return np.where(where, column(-32_768, 32_767) * unit, np.nan)

    ranged, timed, turned, raised = (rng.random(n) < 0.7 for _ in range(4))
    return Sensors(
        sac=column(0, 255), sic=column(0, 255), service=column(-1, 255), sensor_sac=column(0, 255),
        day_us=column(0, 86_400 * 128 - 1).astype(np.int64) * 15_625 // 2, sensor_sic=column(0, 255),
        state=column(0, 3).astype(np.int8), inhibited=rng.random(n) < 0.3, silent=rng.random(n) < 0.3,
        time_bias_s=measured(TIME_UNIT_S, timed), range_gain=measured(GAIN_UNIT, ranged),
        range_bias_m=measured(RANGE_UNIT_M, ranged), azimuth_bias_rad=measured(ANGLE_UNIT_RAD, turned),
        elevation_bias_rad=measured(ANGLE_UNIT_RAD, raised),
    )  # fmt: skip


@settings(max_examples=20)
@given(st.integers(0, 1 << 32), st.integers(1, 10))
def test_what_is_written_reads_back_here_and_there(seed: int, n: int) -> None:
    sensors = random_sensors(np.random.default_rng(seed), n)
    octets = b"".join(cat063.encode(sensors))
    again, faults = cat063.decode(octets)
    assert not faults
    for name in Sensors.__dataclass_fields__:
        own, back = getattr(sensors, name), getattr(again, name)
        assert np.allclose(own, back, rtol=1e-12, atol=0.0, equal_nan=True), name
    for row, record in enumerate(judged(63, octets)):
        check(sensors, row, record)
