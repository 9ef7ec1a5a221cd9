"""What a plot may carry beside its times: names, types, physical limits, and columns for what was not measured.

Most fields of most plots were not measured. Their columns are slices of one read-only array for each type, shared by
all batches: a small batch costs what it carries, and to check it costs what it carries too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

F8_FIELDS = (
    "range_m azimuth_rad elevation_rad sigma_range_m sigma_azimuth_rad sigma_elevation_rad doppler_mps "
    "lat_rad lon_rad sigma_position_m height_m sigma_height_m pressure_height_m "
    "velocity_east_mps velocity_north_mps velocity_up_mps sigma_velocity_mps"
).split()
INT_FIELDS = "address mode3a nic nacp nacv sil category on_ground".split()
COLUMNS = {  # every array field of schema.Plots after `seq`, in its order, and its type
    **dict.fromkeys(F8_FIELDS, "f8"),
    **{name: "i4" if name in ("address", "mode3a") else "i1" for name in INT_FIELDS},
    "callsign": "S8",
    "serial": "S20",
}
_HALF_PI = np.pi / 2
LIMITS = {  # inclusive physical limits; NaN always passes
    "range_m": (0.0, 1_000_000.0),
    "azimuth_rad": (0.0, 2 * np.pi),
    "elevation_rad": (-_HALF_PI, _HALF_PI),
    "sigma_range_m": (0.1, 50_000.0),
    "sigma_azimuth_rad": (1e-6, np.pi),
    "sigma_elevation_rad": (1e-6, np.pi),
    "doppler_mps": (-3_000.0, 3_000.0),
    "lat_rad": (-_HALF_PI, _HALF_PI),
    "lon_rad": (-np.pi, np.pi),
    "sigma_position_m": (0.1, 50_000.0),
    "height_m": (-1_500.0, 60_000.0),
    "sigma_height_m": (0.1, 20_000.0),
    "pressure_height_m": (-1_500.0, 60_000.0),
    "velocity_east_mps": (-3_000.0, 3_000.0),
    "velocity_north_mps": (-3_000.0, 3_000.0),
    "velocity_up_mps": (-500.0, 500.0),
    "sigma_velocity_mps": (0.01, 1_000.0),
}
SHARED = 1_024  # plots; a longer batch gets columns of its own for what was not measured
_NOTHING: dict[str, float | bytes] = {"f8": np.nan, "i4": -1, "i1": -1, "S8": b"", "S20": b""}
_DTYPES = {name: np.dtype(code) for name, code in COLUMNS.items()}


def _read_only(n: int) -> dict[str, NDArray[Any]]:
    made = {code: np.full(n, value, code) for code, value in _NOTHING.items()}
    for column in made.values():
        column.setflags(write=False)
    return made


_BLANK = _read_only(SHARED)
_NAN, _NONE, _NO_NAME, _NO_SERIAL = (_BLANK[code] for code in ("f8", "i4", "S8", "S20"))


@lru_cache(maxsize=256)
def _blank(n: int) -> dict[str, NDArray[Any]]:
    return {name: _BLANK[code][:n] for name, code in COLUMNS.items()}


def columns_of(n: int, given: Mapping[str, object]) -> dict[str, Any]:
    """All columns in the order of `COLUMNS`: those given, as arrays of their type, and (n,) of nothing for the others.

    Raises:
        TypeError: a name that is not a column.
    """
    unknown = [name for name in given if name not in COLUMNS]
    if unknown:
        raise TypeError(f"unknown plot fields: {sorted(unknown)}")
    if n <= SHARED:
        made = _blank(n).copy()
    else:
        blank = _read_only(n)
        made = {name: blank[code] for name, code in COLUMNS.items()}
    for name, value in given.items():
        made[name] = np.asarray(value, _DTYPES[name])
    return made


def unmeasured(column: NDArray[Any]) -> bool:
    """True for a shared column of numbers (but int8) or names, which holds nothing. False proves nothing."""
    base = column.base
    return base is _NAN or base is _NONE or base is _NO_NAME or base is _NO_SERIAL
