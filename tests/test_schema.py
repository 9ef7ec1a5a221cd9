"""The contract of a batch: what is filled in, what is refused, and that the quick check says what a slow one would."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import schema
from fusion.columns import COLUMNS
from fusion.schema import Invalid, PlotKind, Plots, check_plots, fill, plots, take

T_US = np.array([1_000, 2_000, 3_000])
POLAR: dict[str, Any] = {"range_m": [1.0, 2.0, 3.0], "azimuth_rad": [0.1, 0.2, 0.3]}


def reason(batch: Plots) -> str:
    try:
        check_plots(batch)
    except Invalid as refused:
        return str(refused)
    return ""


def by_hand(batch: Plots) -> str:
    """Number by number, in the order that `check_plots` promises."""
    for f in fields(batch):
        value = getattr(batch, f.name)
        if isinstance(value, np.ndarray) and value.shape != (len(batch),):
            return f"length: {f.name} has shape {value.shape}, expected ({len(batch)},)"
    for name in schema.NEEDED[batch.kind]:
        if any(math.isnan(v) for v in getattr(batch, name).tolist()):
            return f"missing-field: {name}"
    for name, (low, high) in schema.LIMITS.items():
        values = [v for v in getattr(batch, name).tolist() if not math.isnan(v)]
        if any(math.isinf(v) for v in values):
            return f"not-finite: {name}"
        if any(not low <= v <= high for v in values):
            return f"out-of-range: {name} outside {low:g}..{high:g}"
    for name, bits in (("address", 24), ("mode3a", 12)):
        if any(not -1 <= v < 2**bits for v in getattr(batch, name).tolist()):
            return f"out-of-range: {name} is {bits} bits"
    return ""


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, ""),
        ({"height_m": np.zeros(2)}, "length: height_m has shape (2,), expected (3,)"),
        ({"t_us": np.zeros((3, 1), np.int64)}, "length: t_us has shape (3, 1), expected (3,)"),
        ({"azimuth_rad": np.array([0.1, np.nan, 0.3])}, "missing-field: azimuth_rad"),
        ({"range_m": np.array([1.0, np.inf, -7.0])}, "not-finite: range_m"),
        ({"doppler_mps": np.array([np.nan, -np.inf, 0.0])}, "not-finite: doppler_mps"),
        ({"doppler_mps": np.array([np.nan, 3_001.0, 0.0])}, "out-of-range: doppler_mps outside -3000..3000"),
        ({"doppler_mps": np.full(3, np.nan)}, ""),
        ({"address": np.array([0, -1, 1 << 24], np.int32)}, "out-of-range: address is 24 bits"),
        ({"address": np.array([0, -1, 0xFFFFFF], np.int32)}, ""),
        ({"mode3a": np.array([0, -2, 5], np.int32)}, "out-of-range: mode3a is 12 bits"),
    ],
)
def test_what_the_door_refuses(changes: dict[str, np.ndarray], expected: str) -> None:
    batch = replace(plots("R1", PlotKind.POLAR, 5, T_US, **POLAR), **changes)  # type: ignore[arg-type]
    assert reason(batch) == by_hand(batch) == expected


def test_an_empty_batch_is_a_batch() -> None:
    assert len(plots("R1", PlotKind.POLAR, 5, np.empty(0, np.int64))) == 0


_VALUES = {
    "f8": st.one_of(st.just(math.nan), st.floats(-4e3, 4e3), st.sampled_from([math.inf, -math.inf, 1e7, -1e7, 0.0])),
    "i4": st.sampled_from([-2, -1, 0, 0o10000, 1 << 24]),
    "i1": st.sampled_from([-2, -1, 0, 100]),
    "S8": st.just(b"A"),
    "S20": st.just(b""),
}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PlotKind), st.sets(st.sampled_from(sorted(COLUMNS)), max_size=4), st.data())
def test_the_check_agrees_with_one_that_looks_at_every_number(
    kind: PlotKind, names: set[str], draw: st.DataObject
) -> None:
    columns: dict[str, Any] = {name: [0.5, 0.5] for name in schema.NEEDED[kind]}
    for name in sorted(names):
        columns[name] = draw.draw(st.lists(_VALUES[COLUMNS[name]], min_size=2, max_size=2))
    batch = fill("R1", kind, 5, T_US[:2], **columns)
    assert reason(batch) == by_hand(batch)


def test_take_keeps_rows_and_scalars() -> None:
    batch = take(plots("R1", PlotKind.POLAR, 5, T_US, 1, 2, **POLAR), np.array([True, False, True]))
    assert (batch.sensor, batch.boot, batch.seq, batch.t_us.tolist()) == ("R1", 1, 2, [1_000, 3_000])
    assert batch.range_m.tolist() == [1.0, 3.0]
    assert np.isnan(batch.height_m).all()
