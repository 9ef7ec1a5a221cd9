"""What every peer sees: plots as plain rows, and a flat system plane of the kind that air traffic trackers use.

A place in the plane is east and north in metres in the tangent frame of an origin, of the point at zero height; height
above the ellipsoid is kept apart. Within 350 km of the origin the plane shortens distances by less than 0.15 %.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusion import geo
from fusion.schema import F8, PlotKind, Plots, SensorSpec

SEEN = np.dtype(
    [("t", "f8"), ("sensor", "i4"), ("radar", "?"), ("a", "f8"), ("b", "f8"), ("c", "f8"), ("s_a", "f8"), ("s_b", "f8")]
    + [("s_c", "f8"), ("vx", "f8"), ("vy", "f8"), ("s_v", "f8"), ("address", "i8"), ("owner", "i8")]
)
Seen = NDArray[np.void]
UNKNOWN_HEIGHT_M, UNKNOWN_SIGMA_M = 3_000.0, 4_000.0


class Plane:
    """Frame and sensors. Radar rows carry range, azimuth, elevation; claims latitude, longitude, height."""

    def __init__(self, sensors: tuple[SensorSpec, ...], lat_rad: float, lon_rad: float) -> None:
        self.sensors = sensors
        self.index = {spec.id: i for i, spec in enumerate(sensors)}
        self.period_s = np.array([spec.period_s for spec in sensors])
        self.sites = geo.site_table(sensors)
        self.frame = geo.site_row(lat_rad, lon_rad, 0.0)
        self.site_xy = np.array([self.xy(np.array([s[12]]), np.array([s[13]]))[0] for s in self.sites])

    def xy(self, lat_rad: F8, lon_rad: F8) -> F8:
        """Places in the plane, (n, 2)."""
        away = geo.ecef(lat_rad, lon_rad, np.zeros(len(lat_rad))) - self.frame[:3]
        return np.stack([away @ self.frame[3:6], away @ self.frame[6:9]], axis=1)

    def geodetic(self, xy: F8) -> tuple[F8, F8]:
        """Latitude and longitude (n,) of places in the plane: the point of zero height, found by two refinements."""
        up = np.zeros(len(xy))
        lat = lon = up
        for _ in range(3):
            frame = np.concatenate([xy, up[:, None]], axis=1)
            place = self.frame[:3] + frame @ self.frame[3:12].reshape(3, 3)
            lat, lon, height = geo.geodetic(place)
            up = up - height
        return lat, lon

    def rows(self, batch: Plots, owners: NDArray[np.int64] | None) -> Seen:
        """One batch as rows; `owners` says whose plot each is (-1 nobody's), for the peer that is told."""
        spec = self.sensors[self.index[batch.sensor]]
        out = np.zeros(len(batch), SEEN)
        out["t"], out["sensor"], out["radar"] = batch.t_us / 1e6, self.index[batch.sensor], batch.kind == PlotKind.POLAR
        out["address"], out["owner"] = batch.address, -1 if owners is None else owners
        if batch.kind == PlotKind.POLAR:
            out["a"], out["b"], out["c"] = batch.range_m, batch.azimuth_rad, batch.elevation_rad
            out["s_a"] = _or(batch.sigma_range_m, spec.sigma_range_m)
            out["s_b"] = _or(batch.sigma_azimuth_rad, spec.sigma_azimuth_rad)
            out["s_c"] = _or(batch.sigma_elevation_rad, spec.sigma_elevation_rad)
        else:
            out["a"], out["b"], out["c"] = batch.lat_rad, batch.lon_rad, batch.height_m
            out["s_a"] = out["s_b"] = _or(batch.sigma_position_m, spec.sigma_position_m)
            out["s_c"] = _or(batch.sigma_height_m, spec.sigma_height_m)
            out["s_v"] = _or(batch.sigma_velocity_mps, spec.sigma_velocity_mps)
            second = self.xy(*_moved(batch)) - self.xy(batch.lat_rad, batch.lon_rad)
            out["vx"], out["vy"] = second[:, 0], second[:, 1]
        return out

    def heights(self, plots: Seen) -> tuple[F8, F8]:
        """Height and its sigma by each plot of one sensor alone; a 2D radar says nothing."""
        height, sigma = plots["c"].copy(), plots["s_c"].copy()
        if plots["radar"][0] and not np.isnan(height[0]):
            site = self.sites[plots["sensor"][0]]
            height = geo.geodetic(geo.ecef_from_polar(site, plots["a"], plots["b"], plots["c"]))[2]
            sigma *= plots["a"]
        flat = np.isnan(height)
        height[flat], sigma[flat] = UNKNOWN_HEIGHT_M, UNKNOWN_SIGMA_M
        return height, sigma

    def places(self, plots: Seen, height_m: F8, sigma_m: F8) -> tuple[F8, F8]:
        """Where plots (n,) of one sensor lie if at these heights, (n, 2), and their covariance (n, 2, 2)."""
        if not plots["radar"][0]:
            return self.xy(plots["a"], plots["b"]), plots["s_a"][:, None, None] ** 2 * np.eye(2)
        s = int(plots["sensor"][0])
        lat, lon, _ = geo.geodetic(geo.ecef_from_range_height(self.sites[s], plots["a"], plots["b"], height_m))
        place = self.xy(lat, lon)
        line = place - self.site_xy[s]
        ground = np.maximum(np.hypot(line[:, 0], line[:, 1]), 1.0)
        e, n = line.T / ground
        rise = np.minimum((height_m - self.sites[s, 14]) / np.maximum(ground, 1_000.0), 5.0)
        var_along = plots["s_a"] ** 2 * (1.0 + rise**2) + (rise * sigma_m) ** 2
        var_across = (plots["s_b"] * ground) ** 2
        cov = np.empty((len(plots), 2, 2))
        cov[:, 0, 0] = var_along * e * e + var_across * n * n
        cov[:, 1, 1] = var_along * n * n + var_across * e * e
        cov[:, 0, 1] = cov[:, 1, 0] = (var_along - var_across) * e * n
        return place, cov


def _moved(batch: Plots) -> tuple[F8, F8]:
    """Where each claimed object is a second later: turns its east and north into those of the plane."""
    course = np.arctan2(batch.velocity_east_mps, batch.velocity_north_mps)
    speed = np.hypot(batch.velocity_east_mps, batch.velocity_north_mps)
    lat, lon, _ = geo.direct(batch.lat_rad, batch.lon_rad, course, speed)
    return lat, lon


def _or(values: F8, default: float) -> F8:
    return np.where(np.isnan(values), default, values)
