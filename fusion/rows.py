"""Plots as the tracker takes them: measurement rows with defaults filled in, heights above the ellipsoid, places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from fusion.filters.params import (
    M_A,
    M_B,
    M_C,
    M_H,
    M_KIND,
    M_SA,
    M_SB,
    M_SC,
    M_SH,
    M_SITE,
    M_SV,
    M_VE,
    M_VN,
    M_VU,
    ROW,
)
from fusion.geo import geodetic_1
from fusion.kernels import HEIGHT_SIGMA_M, PLOT, PLOTS, Rec, born_1, signature
from fusion.schema import B1, F8, PlotKind, Plots, SensorSpec
from fusion.terrain import Grid, sample


def plots_of(batch: Plots, spec: SensorSpec, sites: F8, geoid: Grid | None, qnh_m: float, sigma_m: float) -> Rec:
    """One batch as an array (n,) of kernels.PLOT; arguments as for `rows_of`."""
    found = np.zeros(len(batch), PLOT)
    found["t_us"] = batch.t_us
    found["rx_us"] = batch.rx_us
    found["sensor"] = spec.index
    found["kind"] = int(batch.kind)
    for name in ("address", "mode3a", "category", "on_ground", "callsign", "serial"):
        found[name] = getattr(batch, name)
    found["slot"] = found["id"] = -1
    row = rows_of(batch, spec, sites, geoid, qnh_m, sigma_m)
    found["row"] = row
    found["place"], found["reach"] = places(row, sites)
    return found


def stack(parts: Sequence[Rec]) -> Rec:
    """Arrays of PLOT one after the other; np.concatenate spends 80 us on comparing their field names."""
    out = np.empty(sum(len(part) for part in parts), PLOT)
    at = 0
    for part in parts:
        out[at : at + len(part)] = part
        at += len(part)
    return out


def rows_of(batch: Plots, spec: SensorSpec, sites: F8, geoid: Grid | None, qnh_m: float, sigma_m: float) -> F8:
    """Measurement rows (n, ROW) of one batch.

    Args:
        batch: plots of the sensor `spec`.
        sites: geo.site_table of all sensors, in order of index.
        geoid: height of mean sea level above the ellipsoid; without it the two are taken as one.
        qnh_m: metres to add to a pressure height for height above mean sea level.
        sigma_m: one sigma of the result of that correction.
    """
    n = len(batch)
    row = np.full((n, ROW), np.nan)
    row[:, M_KIND] = int(batch.kind)
    row[:, M_SITE] = spec.index if spec.has_site else -1
    pressure = batch.pressure_height_m + qnh_m
    if batch.kind == PlotKind.POSITION:
        row[:, M_A] = batch.lat_rad
        row[:, M_B] = batch.lon_rad
        row[:, M_SA] = _given(batch.sigma_position_m, spec.sigma_position_m)
        height = batch.height_m
        sigma = _given(batch.sigma_height_m, spec.sigma_height_m)
        by_pressure = np.isnan(height) & ~np.isnan(pressure)
        if by_pressure.any():
            height = np.where(by_pressure, pressure + _undulation(geoid, batch.lat_rad, batch.lon_rad), height)
            sigma = np.where(by_pressure, sigma_m, sigma)
        row[:, M_C] = height
        row[:, M_SC] = sigma
        row[:, M_VE] = batch.velocity_east_mps
        row[:, M_VN] = batch.velocity_north_mps
        row[:, M_VU] = batch.velocity_up_mps
        row[:, M_SV] = _given(batch.sigma_velocity_mps, spec.sigma_velocity_mps)
        return row
    row[:, M_B] = batch.azimuth_rad
    row[:, M_SB] = _given(batch.sigma_azimuth_rad, spec.sigma_azimuth_rad)
    sigma = _given(batch.sigma_elevation_rad, spec.sigma_elevation_rad)
    row[:, M_SC] = sigma
    row[:, M_C] = np.where(np.isnan(sigma), np.nan, batch.elevation_rad)
    if batch.kind == PlotKind.POLAR:
        row[:, M_A] = batch.range_m
        row[:, M_SA] = _given(batch.sigma_range_m, spec.sigma_range_m)
        with_height = ~np.isnan(pressure)
        if with_height.any():
            row[:, M_H] = pressure
            row[:, M_SH] = sigma_m
            if geoid is not None:
                place, _ = places(row, sites)
                lat, lon = _geodetic(place)
                row[:, M_H] += _undulation(geoid, lat, lon)
    return row


@njit("Tuple((float64[:, ::1], float64[::1]))(float64[:, ::1], float64[:, ::1])", cache=True, nogil=True)
def places(row: F8, sites: F8) -> tuple[F8, F8]:
    """Where each row points, ECEF (n, 3), and how far the object may be from there (n,), one generous sigma.

    A bearing points nowhere: its place is the sensor itself and its reach a million metres.
    """
    n = row.shape[0]
    place = np.empty((n, 3))
    reach = np.empty(n)
    x = np.empty(6)
    p = np.empty((6, 6))
    for i in range(n):
        if int(row[i, M_KIND]) == 2:
            place[i] = sites[int(row[i, M_SITE]), :3]
            reach[i] = 1e6
            continue
        born_1(row[i], sites, 1.0, x, p)
        place[i] = x[:3]
        reach[i] = min(np.sqrt(p[0, 0] + p[1, 1] + p[2, 2]), 2.0 * HEIGHT_SIGMA_M)
    return place, reach


@njit("UniTuple(float64[::1], 2)(float64[:, ::1])", cache=True, nogil=True)
def _geodetic(place: F8) -> tuple[F8, F8]:
    lat = np.empty(place.shape[0])
    lon = np.empty(place.shape[0])
    for i in range(place.shape[0]):
        lat[i], lon[i], _ = geodetic_1(place[i, 0], place[i, 1], place[i, 2])
    return lat, lon


def _undulation(geoid: Grid | None, lat_rad: F8, lon_rad: F8) -> F8:
    if geoid is None:
        return np.zeros(len(lat_rad))
    return np.nan_to_num(sample(geoid, lat_rad, lon_rad), nan=0.0)


def _given(values: F8, default: float) -> F8:
    return np.where(np.isnan(values), default, values)


@njit(signature("boolean[::1]", PLOTS, PLOTS, "float64"), cache=True, nogil=True)
def near_1(old: Rec, new: Rec, distance_m: float) -> B1:
    """Which of the old plots (n,) stand within distance_m of a new one."""
    found = np.zeros(old.shape[0], np.bool_)
    for i in range(old.shape[0]):
        a = old[i].place
        for k in range(new.shape[0]):
            b = new[k].place
            square = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2
            found[i] = found[i] or square < distance_m * distance_m
    return found
