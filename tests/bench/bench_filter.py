"""One three-model step (predict and update of a 3D radar plot): compiled against filterpy, same work, same run."""

from __future__ import annotations

import time

import numpy as np

from fusion.filters.imm import Imm, predict_1, update_1
from fusion.filters.models import STATE, WORK
from fusion.filters.params import M_A, M_B, M_C, M_KIND, M_SA, M_SB, M_SC, M_SITE, ROW, ImmParams
from fusion.filters.reference import ReferenceImm
from fusion.geo import ecef, polar, site_table
from fusion.schema import F8, PlotKind, SensorKind, SensorSpec

STEPS_OURS, STEPS_ORACLE = 200_000, 400


def _work() -> tuple[F8, F8, F8]:
    spec = SensorSpec("R", 0, SensorKind.RADAR_3D, 0.95, 0.42, 100.0)
    sites = site_table([spec])
    x = np.append(ecef(np.array([0.96]), np.array([0.43]), np.array([2_000.0]))[0], [30.0, -20.0, 10.0])
    r, az, el = (float(v[0]) for v in polar(sites[0], x[None, :3]))
    row = np.full(ROW, np.nan)
    row[[M_KIND, M_A, M_B, M_C, M_SA, M_SB, M_SC, M_SITE]] = PlotKind.POLAR, r, az, el, 60.0, 0.002, 0.004, 0
    return x, row, sites


def measure() -> tuple[float, float]:
    """Microseconds of one step, ours and filterpy's."""
    x, row, sites = _work()
    cov = np.diag([1e4] * 3 + [400.0] * 3)
    ours, moved, work = Imm(x, cov, ImmParams()), np.empty(STATE), np.empty(WORK)
    start = time.process_time()
    for _ in range(STEPS_OURS):
        predict_1(ours.state, 0, ours.table, 1.0, moved, 0, work)
        update_1(moved, 0, row, 0, sites, work)
    ours_us = (time.process_time() - start) / STEPS_OURS * 1e6
    oracle = ReferenceImm(x, cov)
    start = time.process_time()
    for _ in range(STEPS_ORACLE):
        oracle.predict(1.0)
        oracle.update(row, sites)
    oracle_us = (time.process_time() - start) / STEPS_ORACLE * 1e6
    return ours_us, oracle_us
