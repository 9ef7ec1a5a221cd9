"""Columns: what was not measured costs nothing, cannot be written to, and is in the order that a batch is built in."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from fusion.columns import COLUMNS, SHARED, unmeasured
from fusion.schema import PlotKind, Plots, fill, plots

T_US = np.array([1_000, 2_000, 3_000])
POLAR: dict[str, Any] = {"range_m": [1.0, 2.0, 3.0], "azimuth_rad": [0.1, 0.2, 0.3]}


def test_columns_stand_in_the_order_of_the_batch() -> None:
    names = [f.name for f in fields(Plots)]
    assert names[names.index("seq") + 1 :] == list(COLUMNS)


def test_what_is_not_given_is_not_measured_and_cannot_be_written() -> None:
    batch = plots("R1", PlotKind.POLAR, 5, T_US, **POLAR)
    assert batch.range_m.tolist() == [1.0, 2.0, 3.0]
    for name, code in COLUMNS.items():
        value = getattr(batch, name)
        assert value.dtype == np.dtype(code)
        assert value.shape == (3,)
        assert value.flags.c_contiguous
        if name not in POLAR:
            assert np.isnan(value).all() if code == "f8" else set(value.tolist()) <= {-1, b""}
            assert not value.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        batch.height_m[0] = 1.0


def test_a_batch_longer_than_the_shared_columns_has_its_own() -> None:
    n = SHARED + 1
    batch = plots("R1", PlotKind.POLAR, 5, np.zeros(n, np.int64), range_m=np.ones(n), azimuth_rad=np.ones(n))
    assert np.isnan(batch.height_m).all()
    assert (batch.address == -1).all()
    assert len(batch.height_m) == len(batch.serial) == n


def test_a_field_that_plots_does_not_have_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match=r"unknown plot fields: \['colour', 'size'\]"):
        fill("R1", PlotKind.POLAR, 5, T_US, size=[1], colour=[2], **POLAR)


def test_only_a_shared_column_is_known_to_be_empty() -> None:
    batch = plots("R1", PlotKind.POLAR, 5, T_US, **POLAR, elevation_rad=[np.nan] * 3)
    assert unmeasured(batch.height_m)
    assert unmeasured(batch.mode3a[1:])
    assert not unmeasured(batch.range_m)
    assert not unmeasured(batch.elevation_rad)
    assert not unmeasured(np.full(6, np.nan)[:3])
