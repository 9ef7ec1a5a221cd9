"""What happens to one track as compiled loops: birth from a plot, fusing a plot at its own time, looking ahead.

The bank of tracks is a handful of arrays with one slot a track; `BANK` lists them in the order every function takes
them. Each track keeps a ring of its last posteriors with the measurement that made each: a plot that comes late is
put where it belongs in time and everything after it is filtered again, so that arrival order does not change the
answer as long as the ring reaches back.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import from_dtype, njit
from numba.core.sigutils import normalize_signature
from numpy.typing import NDArray

from fusion.filters.imm import (
    START,
    combine_1,
    correct_1,
    likelihood_1,
    linearise_1,
    move_1,
    predict_1,
    update_1,
)
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
    MODELS,
    ROW,
)
from fusion.geo import (
    ecef_1,
    ecef_from_polar_1,
    ecef_from_range_height_1,
    enu_axes_1,
    geodetic_1,
)
from fusion.schema import F8, I8, PlotKind

POSITION = int(PlotKind.POSITION)
BEARING = int(PlotKind.BEARING)
RING = 24  # posteriors kept per track: 10 s at the report rates of one ADS-B receiver and a few radars
# One posterior: time (us, exact in a float64), mean, packed upper triangles, mode probabilities, measurement row.
H_T, H_MEAN, H_COV, H_MODE, H_ROW = 0, 1, 19, 82, 85
HIST = H_ROW + ROW
COUNT, HEAD, LOST = 0, 1, 2  # columns of `ring`: entries, physical place of the oldest, 1 once the birth fell out

# mean, cov, mode, time_us, x, p (moments of the mixture), hist, ring, v_sigma
BANK = (
    "float64[:, :, ::1], float64[:, :, :, ::1], float64[:, ::1], int64[::1], float64[:, ::1], float64[:, :, ::1], "
    "float64[:, :, ::1], int64[:, ::1], float64[::1]"
)
# scratch of one track: mean, cov, mode, lin
WORK = "float64[:, ::1], float64[:, :, ::1], float64[::1], float64[:, ::1]"
ENV = "float64[:, ::1], float64[::1]"  # site table, filter table

# One plot on its way through the tracker. `slot`, `id`, `gain`, `hit_us` say what became of it: the slot and the id of
# the track that took it, the log-odds it added, and that track's last hit by the same sensor before it.
PLOT = np.dtype(
    [
        ("t_us", "i8"), ("rx_us", "i8"), ("sensor", "i8"), ("kind", "i8"), ("row", "f8", (ROW,)), ("place", "f8", (3,)),
        ("reach", "f8"), ("address", "i8"), ("mode3a", "i8"), ("category", "i8"), ("on_ground", "i8"),
        ("slot", "i8"), ("id", "i8"), ("gain", "f8"), ("hit_us", "i8"), ("callsign", "S8"), ("serial", "S20"),
    ],
    align=True,
)  # fmt: skip
PLOTS = from_dtype(PLOT)[::1]
Rec = NDArray[np.void]  # an array of PLOT


def signature(returns: str, *parts: object) -> object:
    """A numba signature from pieces: types, or text such as `BANK`."""
    parse: Any = normalize_signature  # numba is not typed
    arguments: list[object] = []
    for part in parts:
        arguments += parse(f"({part},)")[0] if isinstance(part, str) else [part]
    return parse(f"{returns}()")[1](*arguments)


CLIMB_SIGMA_MPS = 8.0  # vertical speed of a new track: airliners climb at up to 20, most fly level
HEIGHT_PRIOR_M = 1_000.0  # an object of unknown height: this far above the radar's horizon there. What tells nobody
HEIGHT_SIGMA_M = 2_500.0  # its height mostly flies low; airliners, which do tell, are within four sigma
EFFECTIVE_EARTH_M = 8_500_000.0  # 4/3 of the radius

# Speeds of what flies, as equally likely zero-mean scales per horizontal axis (m/s): hover and drift, drones and light
# aircraft, helicopters and fast light aircraft, airliners. Their mixture is close to 1/v: for two plots apart in time
# it says how much likelier a slow object is than two false plots.
SCALES = (12.0, 40.0, 100.0, 200.0)


@njit("float64(float64[::1], float64[:, ::1])", cache=True, nogil=True)
def height_prior_1(row: F8, sites: F8) -> float:
    """Ellipsoid height to assume for a plot that carries none."""
    if int(row[M_KIND]) == POSITION:
        return HEIGHT_PRIOR_M
    antenna = max(sites[int(row[M_SITE]), 14], 10.0)
    beyond = max(row[M_A] - math.sqrt(2.0 * EFFECTIVE_EARTH_M * antenna), 0.0)
    return float(min(beyond * beyond / (2.0 * EFFECTIVE_EARTH_M) + HEIGHT_PRIOR_M, 12_000.0))


@njit("void(float64[::1], float64[::1], float64[:, ::1])", cache=True, nogil=True)
def _born_position_1(row: F8, x: F8, p: F8) -> None:
    known = not math.isnan(row[M_C])
    place = ecef_1(row[M_A], row[M_B], row[M_C] if known else HEIGHT_PRIOR_M)
    axes = enu_axes_1(row[M_A], row[M_B])
    for c in range(3):
        sigma = row[M_SA] if c < 2 else (row[M_SC] if known else HEIGHT_SIGMA_M)
        for i in range(3):
            for j in range(3):
                p[i, j] += sigma * sigma * axes[3 * c + i] * axes[3 * c + j]
    for i in range(3):
        x[i] = place[i]


@njit("void(float64[::1], float64[:, ::1], float64[::1], float64[:, ::1])", cache=True, nogil=True)
def _born_polar_1(row: F8, sites: F8, x: F8, p: F8) -> None:
    site = sites[int(row[M_SITE])]
    reach = max(row[M_A], 1.0)
    if not math.isnan(row[M_C]) and (math.isnan(row[M_H]) or row[M_SC] * reach < row[M_SH]):
        place = ecef_from_polar_1(site, reach, row[M_B], row[M_C])
        steep = row[M_SC] * reach
    else:
        with_height = not math.isnan(row[M_H])
        height = row[M_H] if with_height else height_prior_1(row, sites)
        place = ecef_from_range_height_1(site, reach, row[M_B], height)
        steep = -(row[M_SH] if with_height else HEIGHT_SIGMA_M)
    lat, lon, _ = geodetic_1(place[0], place[1], place[2])
    axes = enu_axes_1(lat, lon)
    # Unit vectors: along the ray, to its right (in the site's horizontal plane), and across both.
    rx = (place[0] - site[0]) / reach
    ry = (place[1] - site[1]) / reach
    rz = (place[2] - site[2]) / reach
    s = math.sin(row[M_B])
    c = math.cos(row[M_B])
    ax = c * site[3] - s * site[6]
    ay = c * site[4] - s * site[7]
    az = c * site[5] - s * site[8]
    ex = ry * az - rz * ay
    ey = rz * ax - rx * az
    ez = rx * ay - ry * ax
    if steep < 0.0:  # a sigma of height: how far along the third vector that is
        steep = -steep / max(abs(ex * axes[6] + ey * axes[7] + ez * axes[8]), 0.2)
    wide = max(row[M_SB] * reach, 1.0)
    for i in range(3):
        x[i] = place[i]
        ri = rx if i == 0 else (ry if i == 1 else rz)
        ai = ax if i == 0 else (ay if i == 1 else az)
        ei = ex if i == 0 else (ey if i == 1 else ez)
        for j in range(3):
            rj = rx if j == 0 else (ry if j == 1 else rz)
            aj = ax if j == 0 else (ay if j == 1 else az)
            ej = ex if j == 0 else (ey if j == 1 else ez)
            p[i, j] = row[M_SA] * row[M_SA] * ri * rj + wide * wide * ai * aj + steep * steep * ei * ej


@njit("void(float64[::1], float64[:, ::1], float64, float64[::1], float64[:, ::1])", cache=True, nogil=True)
def born_1(row: F8, sites: F8, v_sigma: float, x: F8, p: F8) -> None:
    """State (6,) and covariance (6, 6) from one plot of kind POSITION or POLAR; velocity unknown to `v_sigma`."""
    x[:] = 0.0
    p[:, :] = 0.0
    if int(row[M_KIND]) == POSITION:
        _born_position_1(row, x, p)
    else:
        _born_polar_1(row, sites, x, p)
    lat, lon, _ = geodetic_1(x[0], x[1], x[2])
    axes = enu_axes_1(lat, lon)
    for c in range(3):
        known = int(row[M_KIND]) == POSITION and not math.isnan(row[M_VE + c])
        sigma = row[M_SV] if known else (CLIMB_SIGMA_MPS if c == 2 else v_sigma)
        for i in range(3):
            if known:
                x[3 + i] += row[M_VE + c] * axes[3 * c + i]
            for j in range(3):
                p[3 + i, 3 + j] += sigma * sigma * axes[3 * c + i] * axes[3 * c + j]


@njit("void(float64[::1], int64, float64[:, ::1], float64[:, :, ::1], float64[::1])", cache=True, nogil=True)
def _pack_1(entry: F8, t_us: int, mean: F8, cov: F8, mode: F8) -> None:
    entry[H_T] = t_us
    k = H_COV
    for j in range(MODELS):
        entry[H_MODE + j] = mode[j]
        for a in range(6):
            entry[H_MEAN + 6 * j + a] = mean[j, a]
            for b in range(a, 6):
                entry[k] = cov[j, a, b]
                k += 1


@njit("void(float64[::1], float64[:, ::1], float64[:, :, ::1], float64[::1])", cache=True, nogil=True)
def _unpack_1(entry: F8, mean: F8, cov: F8, mode: F8) -> None:
    k = H_COV
    for j in range(MODELS):
        mode[j] = entry[H_MODE + j]
        for a in range(6):
            mean[j, a] = entry[H_MEAN + 6 * j + a]
            for b in range(a, 6):
                cov[j, a, b] = entry[k]
                cov[j, b, a] = entry[k]
                k += 1


@njit(f"void({BANK}, int64, int64, {ENV}, {WORK})", cache=True, nogil=True)
def refilter_1(
    mean: F8, cov: F8, mode: F8, time_us: I8, x: F8, p: F8, hist: F8, ring: I8, v_sigma: F8, slot: int,
    k: int, sites: F8, table: F8, mean_w: F8, cov_w: F8, mode_w: F8, lin: F8,
) -> None:  # fmt: skip
    """Filter entries k.. of the ring again from entry k - 1, and make the newest the track's state."""
    n = ring[slot, COUNT]
    head = ring[slot, HEAD]
    base = hist[slot, (head + k - 1) % RING]
    _unpack_1(base, mean[slot], cov[slot], mode[slot])
    t_us = base[H_T]
    for i in range(k, n):
        entry = hist[slot, (head + i) % RING]
        predict_1(mean[slot], cov[slot], mode[slot], table, (entry[H_T] - t_us) * 1e-6, mean_w, cov_w, mode_w)
        update_1(mean_w, cov_w, mode_w, entry[H_ROW:HIST], sites, lin)
        t_us = entry[H_T]
        _pack_1(entry, int(t_us), mean_w, cov_w, mode_w)
        mean[slot] = mean_w
        cov[slot] = cov_w
        mode[slot] = mode_w
    time_us[slot] = int(t_us)
    combine_1(mean[slot], cov[slot], mode[slot], x[slot], p[slot])


@njit(f"void({BANK}, int64, {ENV}, {WORK})", cache=True, nogil=True)
def _restart_1(
    mean: F8, cov: F8, mode: F8, time_us: I8, x: F8, p: F8, hist: F8, ring: I8, v_sigma: F8, slot: int,
    sites: F8, table: F8, mean_w: F8, cov_w: F8, mode_w: F8, lin: F8,
) -> None:  # fmt: skip
    """Entry 0 of the ring becomes a birth from its own measurement row."""
    entry = hist[slot, ring[slot, HEAD]]
    born_1(entry[H_ROW:HIST], sites, v_sigma[slot], mean_w[0], cov_w[0])
    for j in range(MODELS):
        mean_w[j] = mean_w[0]
        cov_w[j] = cov_w[0]
        mode_w[j] = table[START + j]
    _pack_1(entry, int(entry[H_T]), mean_w, cov_w, mode_w)


@njit(f"void({BANK}, int64, int64, float64[::1], float64, {ENV}, {WORK})", cache=True, nogil=True)
def start_1(
    mean: F8, cov: F8, mode: F8, time_us: I8, x: F8, p: F8, hist: F8, ring: I8, v_sigma: F8, slot: int,
    t_us: int, row: F8, speed: float, sites: F8, table: F8, mean_w: F8, cov_w: F8, mode_w: F8, lin: F8,
) -> None:  # fmt: skip
    """A new track in `slot` from one plot."""
    ring[slot, COUNT] = 1
    ring[slot, HEAD] = 0
    ring[slot, LOST] = 0
    v_sigma[slot] = speed
    hist[slot, 0, H_T] = t_us
    hist[slot, 0, H_ROW:HIST] = row
    _restart_1(mean, cov, mode, time_us, x, p, hist, ring, v_sigma, slot, sites, table, mean_w, cov_w, mode_w, lin)
    refilter_1(mean, cov, mode, time_us, x, p, hist, ring, v_sigma, slot, 1, sites, table, mean_w, cov_w, mode_w, lin)


@njit(f"int64({BANK}, int64, int64)", cache=True, nogil=True)
def before_1(
    mean: F8, cov: F8, mode: F8, time_us: I8, x: F8, p: F8, hist: F8, ring: I8, v_sigma: F8, slot: int, t_us: int
) -> int:
    """How many entries of the ring are not younger than t_us."""
    k = ring[slot, COUNT]
    while k > 0 and hist[slot, (ring[slot, HEAD] + k - 1) % RING, H_T] > t_us:
        k -= 1
    return int(k)


@njit(f"boolean({BANK}, int64, int64, float64[::1], {ENV}, {WORK})", cache=True, nogil=True)
def fuse_1(
    mean: F8, cov: F8, mode: F8, time_us: I8, x: F8, p: F8, hist: F8, ring: I8, v_sigma: F8, slot: int,
    t_us: int, row: F8, sites: F8, table: F8, mean_w: F8, cov_w: F8, mode_w: F8, lin: F8,
) -> bool:  # fmt: skip
    """Fuse a plot at its own time, filtering again what is younger. False: older than the ring, state unchanged."""
    k = before_1(mean, cov, mode, time_us, x, p, hist, ring, v_sigma, slot, t_us)
    if k == 0 and (ring[slot, LOST] == 1 or int(row[M_KIND]) == BEARING):  # a direction is no place to start from
        return False
    if ring[slot, COUNT] == RING:  # drop the oldest
        if k <= 1:  # it would stand at or right behind the entry that has to go: nothing left to start from
            return False
        ring[slot, HEAD] = (ring[slot, HEAD] + 1) % RING
        ring[slot, COUNT] -= 1
        ring[slot, LOST] = 1
        k -= 1
    n = ring[slot, COUNT]
    head = ring[slot, HEAD]
    for i in range(n, k, -1):
        hist[slot, (head + i) % RING] = hist[slot, (head + i - 1) % RING]
    place = hist[slot, (head + k) % RING]
    place[H_T] = t_us
    place[H_ROW:HIST] = row
    ring[slot, COUNT] = n + 1
    if k == 0:
        _restart_1(mean, cov, mode, time_us, x, p, hist, ring, v_sigma, slot, sites, table, mean_w, cov_w, mode_w, lin)
        k = 1
    refilter_1(mean, cov, mode, time_us, x, p, hist, ring, v_sigma, slot, k, sites, table, mean_w, cov_w, mode_w, lin)
    return True


@njit(f"UniTuple(float64, 4)({BANK}, int64, int64, float64[::1], {ENV}, {WORK})", cache=True, nogil=True)
def score_1(
    mean: F8, cov: F8, mode: F8, time_us: I8, x: F8, p: F8, hist: F8, ring: I8, v_sigma: F8, slot: int,
    t_us: int, row: F8, sites: F8, table: F8, mean_w: F8, cov_w: F8, mode_w: F8, lin: F8,
) -> tuple[float, float, float, float]:  # fmt: skip
    """How well a plot fits a track at the plot's own time: as `imm.likelihood_1`.

    A plot older than the newest is compared with the posterior before it; one older than the ring with the oldest
    posterior carried backwards. The track is not changed.
    """
    if t_us >= time_us[slot]:
        dt_s = (t_us - time_us[slot]) * 1e-6
        predict_1(mean[slot], cov[slot], mode[slot], table, dt_s, mean_w, cov_w, mode_w)
    else:
        k = before_1(mean, cov, mode, time_us, x, p, hist, ring, v_sigma, slot, t_us)
        entry = hist[slot, (ring[slot, HEAD] + max(k, 1) - 1) % RING]
        base_mean = np.empty((MODELS, 6))
        base_cov = np.empty((MODELS, 6, 6))
        base_mode = np.empty(MODELS)
        _unpack_1(entry, base_mean, base_cov, base_mode)
        dt_s = (t_us - entry[H_T]) * 1e-6
        predict_1(base_mean, base_cov, base_mode, table, dt_s, mean_w, cov_w, mode_w)
    return likelihood_1(mean_w, cov_w, mode_w, row, sites, lin)


@njit(f"UniTuple(float64, 4)({BANK}, int64, int64, float64[::1], {ENV}, {WORK})", cache=True, nogil=True)
def score_first_1(
    mean: F8, cov: F8, mode: F8, time_us: I8, x: F8, p: F8, hist: F8, ring: I8, v_sigma: F8, slot: int,
    t_us: int, row: F8, sites: F8, table: F8, mean_w: F8, cov_w: F8, mode_w: F8, lin: F8,
) -> tuple[float, float, float, float]:  # fmt: skip
    """As `score_1` for a track of one plot without velocity: its likelihood over the mixture of `SCALES`, and as
    fourth the velocity sigma (m/s per axis) that the pair of plots suggests."""
    entry = hist[slot, ring[slot, HEAD]]
    dt_s = (t_us - entry[H_T]) * 1e-6
    log_l = lin[lin.shape[0] - 1]
    nearest = math.inf
    n = 0.0
    best = -math.inf
    for k in range(len(SCALES)):
        born_1(entry[H_ROW:HIST], sites, SCALES[k], mean_w[0], cov_w[0])
        move_1(mean_w[0], cov_w[0], math.inf, 1.0, 0.3, dt_s)
        comps = linearise_1(row, sites, mean_w[0], lin)
        log_l[k], nis = correct_1(mean_w[0], cov_w[0], lin, comps)
        best = max(best, log_l[k])
        nearest = min(nearest, nis)
        n = comps
    total = 0.0
    square = 0.0
    for k in range(len(SCALES)):
        w = math.exp(log_l[k] - best)
        total += w
        square += w * SCALES[k] * SCALES[k]
    return best + math.log(total / len(SCALES)), nearest, n, math.sqrt(square / total)


@njit(f"int64({BANK}, int64, int64, float64[::1], {ENV}, {WORK})", cache=True, nogil=True)
def undo_1(
    mean: F8, cov: F8, mode: F8, time_us: I8, x: F8, p: F8, hist: F8, ring: I8, v_sigma: F8, slot: int,
    t_us: int, row: F8, sites: F8, table: F8, mean_w: F8, cov_w: F8, mode_w: F8, lin: F8,
) -> int:  # fmt: skip
    """Take a fused plot out of a track again. Returns 1 done; 0 cannot be done, nothing changed; 2 it was the only
    plot of the track, which the caller ends."""
    n = ring[slot, COUNT]
    head = ring[slot, HEAD]
    for k in range(n - 1, -1, -1):
        entry = hist[slot, (head + k) % RING]
        if entry[H_T] < t_us:
            return 0
        same = entry[H_T] == t_us
        for c in range(ROW):
            a = entry[H_ROW + c]
            b = row[c]
            same = same and (a == b or (math.isnan(a) and math.isnan(b)))
        if not same:
            continue
        if k == 0:
            return 2 if n == 1 and ring[slot, LOST] == 0 else 0
        for i in range(k, n - 1):
            hist[slot, (head + i) % RING] = hist[slot, (head + i + 1) % RING]
        ring[slot, COUNT] = n - 1
        refilter_1(
            mean, cov, mode, time_us, x, p, hist, ring, v_sigma, slot, k, sites, table, mean_w, cov_w, mode_w, lin
        )
        return 1
    return 0
