"""The type in which registration tells the systematic errors of one radar; `schema.Health` carries it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class SensorBias:
    """Systematic errors of one radar against common traffic: measured minus true, each with one sigma; NaN unknown."""

    sensor: str
    state: str = "no-common-traffic"  # ok, relative, settling, no-common-traffic, inconsistent
    applied: bool = False  # some of it is taken off the sensor's plots
    believed: bool = True  # False: its plots neither move nor start tracks
    pairs: int = 0  # plots that the estimate rests on
    aircraft: int = 0  # and how many aircraft they are of
    range_m: float = np.nan  # offset; measured range = true (1 + gain) + offset
    sigma_range_m: float = np.nan
    range_gain: float = np.nan
    sigma_range_gain: float = np.nan
    azimuth_rad: float = np.nan
    sigma_azimuth_rad: float = np.nan
    elevation_rad: float = np.nan
    sigma_elevation_rad: float = np.nan
    time_s: float = np.nan  # how far its clock is ahead
    sigma_time_s: float = np.nan
    pressure_height_m: float = np.nan  # of reported pressure height, corrected by QNH; never taken off
    sigma_pressure_height_m: float = np.nan
    detail: str = ""  # in words, with numbers
