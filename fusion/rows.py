"""Plots as the tracker takes them: measurement rows with defaults filled in, heights above the ellipsoid, places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numba import njit, types

from fusion.associate import ROW_AT, STEP_SCRATCH, row_of_1
from fusion.bias.pressure import (
    F8_COLUMN,
    FAR_M_PER_M,
    I1_COLUMN,
    I4_COLUMN,
    I8_COLUMN,
    P_LEARNT,
    P_SPREAD,
    P_X,
    corrected_1,
)
from fusion.birth import place_1, reach_1
from fusion.borders.terrain import Grid, sample
from fusion.columns import unmeasured
from fusion.filters.params import (
    M_A,
    M_B,
    M_C,
    M_H,
    M_KIND,
    M_RATE,
    M_SA,
    M_SB,
    M_SC,
    M_SH,
    M_SITE,
    M_SRATE,
    M_SV,
    M_VE,
    M_VN,
    M_VU,
    ROW,
)
from fusion.geo import geodetic
from fusion.kernels import BEARING, PLOT, PLOTS, POSITION, Rec, signature
from fusion.schema import B1, F8, I1, I4, I8, Plots, SensorSpec

BEARING_REACH_M = 1e6  # a bearing points nowhere: its place is the sensor itself, and the object may be this far
# A head: what every batch of a sensor shares. Index, site, and its sigmas.
H_INDEX, H_SITE, H_RANGE, H_AZIMUTH, H_ELEVATION, H_POSITION, H_HEIGHT, H_VELOCITY, H_DOPPLER = range(9)
_SHARED = types.float64[::1], types.float64[:, ::1], types.float64[::1], types.int64  # head, sites, correction, rx_us
_BYTES = np.dtype((np.void, PLOT.itemsize))


def head_of(spec: SensorSpec) -> F8:
    """What every batch of a sensor shares, by H_INDEX and after."""
    site = spec.index if spec.has_site else -1
    sigmas = (
        spec.sigma_range_m, spec.sigma_azimuth_rad, spec.sigma_elevation_rad, spec.sigma_position_m,
        spec.sigma_height_m, spec.sigma_velocity_mps, spec.sigma_doppler_mps,
    )  # fmt: skip
    return np.array([spec.index, site, *sigmas])


def plots_of(batches: Sequence[Plots], heads: Sequence[F8], sites: F8, geoid: Grid | None, pressure: F8) -> Rec:
    """Batches, each of its sensor, as one array (n,) of kernels.PLOT, one behind the other.

    Args:
        heads: `head_of` the sensor of each batch.
        sites: geo.site_table of all sensors, in order of index.
        geoid: height of mean sea level above the ellipsoid; without it the two are taken as one.
        pressure: `Pressure.numbers`, which turn a pressure height into one above mean sea level.

    What is wrong with the correction is common to all plots, but a row's sigma is taken as of this row alone: a track
    whose height only pressure tells is surer of it than the correction is. `fusion.bias.pressure` never gives less than
    20 m, nine times the white part (steps of 25 ft), which makes up for about as many plots as a filter remembers at
    the least sigma, and for no more than that.
    """
    ends = list(accumulate([batch.t_us.size for batch in batches], initial=0))
    found = np.zeros(ends[-1], PLOT)
    for batch, head, at, end in zip(batches, heads, ends[:-1], ends[1:], strict=True):
        _fill(found[at:end], batch, head, sites, geoid, pressure)
    return found


def _fill(found: Rec, batch: Plots, head: F8, sites: F8, geoid: Grid | None, pressure: F8) -> None:
    kind = int(batch.kind)
    said = batch.address, batch.mode3a, batch.category, batch.on_ground
    shared = head, sites, pressure, batch.rx_us
    if kind == POSITION:
        position_1(
            found, *shared, batch.t_us, batch.lat_rad, batch.lon_rad, batch.sigma_position_m, batch.height_m,
            batch.sigma_height_m, batch.pressure_height_m, batch.velocity_east_mps, batch.velocity_north_mps,
            batch.velocity_up_mps, batch.sigma_velocity_mps, *said,
        )  # fmt: skip
    else:
        polar_1(
            found, *shared, kind, batch.t_us, batch.range_m, batch.azimuth_rad, batch.elevation_rad,
            batch.sigma_range_m, batch.sigma_azimuth_rad, batch.sigma_elevation_rad, batch.pressure_height_m,
            batch.doppler_mps, *said,
        )  # fmt: skip
    if not unmeasured(batch.callsign):
        found["callsign"] = batch.callsign
    if not unmeasured(batch.serial):
        found["serial"] = batch.serial
    if geoid is not None and kind != BEARING and not unmeasured(batch.pressure_height_m):
        _above_ellipsoid(found, batch, sites, geoid)


def _above_ellipsoid(found: Rec, batch: Plots, sites: F8, geoid: Grid) -> None:
    """Pressure height is above mean sea level: add what that is above the ellipsoid."""
    by_pressure = ~np.isnan(batch.pressure_height_m)
    if batch.kind == POSITION:
        by_pressure &= np.isnan(batch.height_m)
    if not by_pressure.any():
        return
    column = M_C if batch.kind == POSITION else M_H
    lat, lon, _ = geodetic(found["place"])
    undulation = np.nan_to_num(sample(geoid, lat, lon), nan=0.0)
    found["row"][:, column] += np.where(by_pressure, undulation, 0.0)
    place_n(found, sites)


@njit("float64(float64, float64)", cache=True, nogil=True)
def _given_1(value: float, default: float) -> float:
    return default if math.isnan(value) else value


@njit(signature("void", PLOTS, "int64, float64[:, ::1], float64[::1]"), cache=True, nogil=True)
def _place_1(found: Rec, i: int, sites: F8, w: F8) -> None:
    """Where row i points, and how far the object may be from there, one generous sigma; `w` is scratch."""
    row_of_1(found, i, w)
    place = found[i].place
    if int(w[ROW_AT + M_KIND]) == BEARING:
        s = int(w[ROW_AT + M_SITE])
        for k in range(3):
            place[k] = sites[s, k]
        found[i].reach = BEARING_REACH_M
        return
    place[0], place[1], place[2] = place_1(w, ROW_AT, sites)
    found[i].reach = reach_1(w, ROW_AT)


@njit(signature("void", PLOTS, "float64[:, ::1]"), cache=True, nogil=True)
def place_n(found: Rec, sites: F8) -> None:
    """`place` and `reach` of every row."""
    w = np.empty(STEP_SCRATCH)
    for i in range(found.shape[0]):
        _place_1(found, i, sites, w)


@njit(
    types.void(PLOTS, *_SHARED, *[types.int64] * 2, types.boolean[::1], F8_COLUMN, *[I4_COLUMN] * 2, *[I1_COLUMN] * 2),
    cache=True,
    nogil=True,
)
def _said_1(
    found: Rec, head: F8, sites: F8, correction: F8, rx_us: int, kind: int, sigma: int, by_pressure: B1, pressure: F8,
    address: I4, mode3a: I4, category: I1, on_ground: I1,
) -> None:  # fmt: skip
    """What else the plots carry, and their places. Far from the traffic that taught the correction of pressure heights
    one is less sure: that goes into the column `sigma` of the rows `by_pressure`."""
    w = np.empty(STEP_SCRATCH)
    for i in range(found.shape[0]):
        found[i].rx_us = rx_us
        found[i].sensor = np.int64(head[H_INDEX])
        found[i].kind = kind
        found[i].address = address[i]
        found[i].mode3a = mode3a[i]
        found[i].category = category[i]
        found[i].on_ground = on_ground[i]
        found[i].pressure_m = pressure[i]
        found[i].slot = -1
        found[i].id = -1
        _place_1(found, i, sites, w)
        if not by_pressure[i] or correction[P_LEARNT] == 0.0:
            continue
        place, row = found[i].place, found[i].row
        dx, dy, dz = place[0] - correction[P_X], place[1] - correction[P_X + 1], place[2] - correction[P_X + 2]
        more_m = FAR_M_PER_M * max(math.sqrt(dx * dx + dy * dy + dz * dz) - correction[P_SPREAD], 0.0)
        row[sigma] = math.sqrt(row[sigma] * row[sigma] + more_m * more_m)
        _place_1(found, i, sites, w)


@njit(
    types.void(PLOTS, *_SHARED, I8_COLUMN, *[F8_COLUMN] * 10, I4_COLUMN, I4_COLUMN, I1_COLUMN, I1_COLUMN),
    cache=True, nogil=True,
)  # fmt: skip
def position_1(
    found: Rec, head: F8, sites: F8, correction: F8, rx_us: int, t_us: I8, lat: F8, lon: F8, sigma: F8, height: F8,
    sigma_height: F8, pressure: F8, east: F8, north: F8, up: F8, sigma_velocity: F8, address: I4, mode3a: I4,
    category: I1, on_ground: I1,
) -> None:  # fmt: skip
    """Plots of kind POSITION. Geometric height goes before pressure height. `head`: see `head_of`."""
    by_pressure = np.empty(found.shape[0], np.bool_)
    for i in range(found.shape[0]):
        found[i].t_us = t_us[i]
        row = found[i].row
        row[M_KIND] = POSITION
        row[M_A] = lat[i]
        row[M_B] = lon[i]
        row[M_SA] = _given_1(sigma[i], head[H_POSITION])
        row[M_SB] = math.nan
        by_pressure[i] = math.isnan(height[i]) and not math.isnan(pressure[i])
        if by_pressure[i]:
            row[M_C], row[M_SC] = corrected_1(correction, 0, pressure[i])
        else:
            row[M_C] = height[i]
            row[M_SC] = _given_1(sigma_height[i], head[H_HEIGHT])
        row[M_VE] = east[i]
        row[M_VN] = north[i]
        row[M_VU] = up[i]
        row[M_SV] = _given_1(sigma_velocity[i], head[H_VELOCITY])
        row[M_SITE] = head[H_SITE]
    said = address, mode3a, category, on_ground
    _said_1(found, head, sites, correction, rx_us, POSITION, M_SC, by_pressure, pressure, *said)


@njit(
    types.void(PLOTS, *_SHARED, types.int64, I8_COLUMN, *[F8_COLUMN] * 8, I4_COLUMN, I4_COLUMN, I1_COLUMN, I1_COLUMN),
    cache=True, nogil=True,
)  # fmt: skip
def polar_1(
    found: Rec, head: F8, sites: F8, correction: F8, rx_us: int, kind: int, t_us: I8, range_m: F8, azimuth: F8,
    elevation: F8, sigma_range: F8, sigma_azimuth: F8, sigma_elevation: F8, pressure: F8, doppler: F8, address: I4,
    mode3a: I4, category: I1, on_ground: I1,
) -> None:  # fmt: skip
    """Plots of kind POLAR and BEARING. `head`: see `head_of`."""
    polar = kind != BEARING
    by_pressure = np.empty(found.shape[0], np.bool_)
    for i in range(found.shape[0]):
        found[i].t_us = t_us[i]
        row = found[i].row
        for k in range(ROW):
            row[k] = math.nan
        row[M_KIND] = kind
        row[M_B] = azimuth[i]
        row[M_SB] = _given_1(sigma_azimuth[i], head[H_AZIMUTH])
        row[M_SC] = _given_1(sigma_elevation[i], head[H_ELEVATION])
        row[M_C] = math.nan if math.isnan(row[M_SC]) else elevation[i]
        row[M_SITE] = head[H_SITE]
        by_pressure[i] = polar and not math.isnan(pressure[i])
        if polar:
            row[M_A] = range_m[i]
            row[M_SA] = _given_1(sigma_range[i], head[H_RANGE])
            row[M_H], row[M_SH] = corrected_1(correction, 0, pressure[i])
            row[M_RATE] = doppler[i]
            row[M_SRATE] = head[H_DOPPLER]
    said = address, mode3a, category, on_ground
    _said_1(found, head, sites, correction, rx_us, kind, M_SH, by_pressure, pressure, *said)


@njit(signature("int64[::1]", PLOTS, "int64"), cache=True, nogil=True)
def order_1(found: Rec, slice_us: int) -> I8:
    """Order of the plots by (slice, sensor, kind, time), stable."""
    n = found.shape[0]
    key = np.empty(n, np.int64)
    least = found[0].t_us // slice_us if n > 0 else 0
    for i in range(n):
        least = min(least, found[i].t_us // slice_us)
    for i in range(n):
        plot = found[i]
        number = plot.t_us // slice_us - least
        key[i] = ((number * 65_536 + plot.sensor) * 4 + plot.kind) * slice_us + plot.t_us % slice_us
    return np.argsort(key, kind="mergesort")


def take(plots: Rec, which: I8 | B1) -> Rec:
    """The chosen plots, in this order: numpy copies a record field by field, and one of bytes at once."""
    taken: Rec = plots.view(_BYTES)[which].view(PLOT)
    return taken
