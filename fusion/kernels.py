"""What happens to one track as compiled loops: fusing a plot at its own time, taking one back, looking ahead.

A track is one row of SLAB float64. It holds the state, the measurement rows of the last seconds, and four states of
the past, its checkpoints: two whole ones close behind the newest plot, and two older ones as one Gaussian each. A plot
that comes late is put where it belongs in time; filtering goes on from the checkpoint before it. So arrival order does
not change the answer as far as the whole checkpoints reach back, and next to nothing beyond. Rows and checkpoints
that a full track gives up are the oldest: what fed a track so densely no longer needs what is so late.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import from_dtype, njit
from numba.core.sigutils import normalize_signature
from numpy.typing import NDArray

from fusion.bare import BARE, FAR
from fusion.birth import born_all_1, place_only_1
from fusion.filters.imm import combine_1, glance_1, predict_1
from fusion.filters.models import COV, MEAN, STATE, TRIANGLE, VELOCITY, WORK, predict_3, spread_3, update_3
from fusion.filters.params import M_KIND, MODELS, ROW
from fusion.geo import up_1
from fusion.schema import F8, I8, PlotKind

POSITION = int(PlotKind.POSITION)
POLAR = int(PlotKind.POLAR)
BEARING = int(PlotKind.BEARING)

ROWS = 12  # measurement rows kept: 8 s of ADS-B and three radars, much longer for what only radar sees
LAG_US = 500_000.0  # the newest checkpoint is this old: most late plots are younger than twice that
SPAN_US = 3_000_000.0  # between the older ones
BACK_US = 3_000_000.0  # so far a plot is compared with the state carried backwards, further with a checkpoint

# Places in a row of the slab. Times are microseconds, exact in a float64. AT is where the state stands behind the
# beginning of the row: it and the two whole checkpoints take turns in three places, as copies of a state are what a
# plot would wait for.
N, LOST, V_SIGMA, T, X, WIDE, FAST_WIDE, AT = 0, 1, 2, 3, 4, 10, 11, 12
# A checkpoint: rows before it (-1: not there), its time, then where its state stands, or mode, mean, covariance of a
# Gaussian.
GAUSS = MODELS + 6 + TRIANGLE
NEWER = AT + 1
NEW = NEWER + 3
STATES = NEW + 3
OLD = STATES + 3 * STATE
OLDER = OLD + 2 + GAUSS
RING = OLDER + 2 + GAUSS
ENTRY = 1 + ROW  # time, measurement row
SLAB = RING + ROWS * ENTRY

# Compiled code takes the whole slab as one vector and the place where a track begins in it: see measure.py.
TRACK = "float64[::1], int64"
ENV = "float64[:, ::1], float64[::1]"  # site table, filter table
# The scratch `w`: the filter's own, then a state and a spare one.
A, B = WORK, WORK + STATE
SCRATCH = B + STATE

# One plot on its way through the tracker. `slot`, `id`, `gain`, `hit_us` say what became of it: the slot and the id of
# the track that took it, the log-odds it added, to existence and to what is seen of it, and that track's last hit by
# the same sensor before it; `booked` is 1 once the look that made it has taught what a look teaches. No padding: equal
# plots are equal bytes.
PLOT = np.dtype(
    [
        ("t_us", "i8"), ("rx_us", "i8"), ("sensor", "i8"), ("kind", "i8"), ("row", "f8", (ROW,)), ("place", "f8", (3,)),
        ("reach", "f8"), ("address", "i8"), ("mode3a", "i8"), ("category", "i8"), ("on_ground", "i8"),
        ("pressure_m", "f8"),
        ("slot", "i8"), ("id", "i8"), ("gain", "f8"), ("seen", "f8"), ("hit_us", "i8"), ("booked", "i8"),
        ("callsign", "S8"), ("serial", "S24"),
    ],
    align=True,
)  # fmt: skip
PLOTS = from_dtype(PLOT)[::1]
WORDS = 4  # of eight bytes, callsign and serial of a plot, at its end: compiled code has no text
Rec = NDArray[np.void]  # an array of PLOT


def signature(returns: str, *parts: object) -> object:
    """A numba signature from pieces: types, or text such as `ENV`."""
    parse: Any = normalize_signature  # numba is not typed
    arguments: list[object] = []
    for part in parts:
        arguments += parse(f"({part},)")[0] if isinstance(part, str) else [part]
    return parse(f"{returns}()")[1](*arguments)


@njit("int64(float64[::1], int64)", cache=True, nogil=True, **BARE)
def state_at_1(b: F8, o: int) -> int:
    """Where the state of a track stands."""
    return o + int(b[o + AT])


@njit("int64(float64[::1], int64, int64)", cache=True, nogil=True, **BARE)
def _whole_1(b: F8, o: int, c: int) -> int:
    """Where the state of the whole checkpoint b[c:] of a track stands."""
    return o + int(b[c + 2])


@njit("void(float64[::1], int64)", cache=True, nogil=True, **BARE)
def _sum_up_1(b: F8, o: int) -> None:
    """Mean of the mixture; its variance of place along the ground (both axes together) and of velocity, from the
    state."""
    s = state_at_1(b, o)
    assert 0 <= o < FAR and 0 <= s < FAR
    for a in range(6):
        m = s + MEAN + a
        b[o + X + a] = b[s] * b[m] + b[s + 1] * b[m + 6] + b[s + 2] * b[m + 12]
    u0, u1, u2 = up_1(b[o + X], b[o + X + 1], b[o + X + 2])
    wide = 0.0
    fast = 0.0
    for j in range(MODELS):
        c = s + COV + TRIANGLE * j
        steep = u0 * (u0 * b[c] + 2.0 * (u1 * b[c + 1] + u2 * b[c + 2]))
        steep += u1 * (u1 * b[c + 6] + 2.0 * u2 * b[c + 7]) + u2 * u2 * b[c + 11]
        place = b[c] + b[c + 6] + b[c + 11] - steep
        speed = b[c + VELOCITY] + b[c + VELOCITY + 3] + b[c + VELOCITY + 5]
        climb = 0.0
        for a in range(3):
            d = b[s + MEAN + 6 * j + a] - b[o + X + a]
            e = b[s + MEAN + 6 * j + 3 + a] - b[o + X + 3 + a]
            climb += d * (u0 if a == 0 else (u1 if a == 1 else u2))
            place += d * d
            speed += e * e
        wide += b[s + j] * (place - climb * climb)
        fast += b[s + j] * speed
    b[o + WIDE] = wide
    b[o + FAST_WIDE] = fast


@njit("void(float64[::1], int64, float64[::1], int64, int64)", cache=True, nogil=True, **BARE)
def _copy_1(into: F8, io: int, of: F8, oo: int, n: int) -> None:
    assert 0 <= io < FAR and 0 <= oo < FAR
    for i in range(n):
        into[io + i] = of[oo + i]


@njit("void(float64[::1], int64, float64, float64, float64[::1], int64)", cache=True, nogil=True, **BARE)
def _compress_1(b: F8, c: int, rows: float, t_us: float, s: F8, so: int) -> None:
    """A whole state as a checkpoint of one Gaussian, at b[c:]."""
    b[c] = rows
    b[c + 1] = t_us
    _copy_1(b, c + 2, s, so, MODELS)
    combine_1(s, so, b, c + 2 + MODELS, b, c + 8 + MODELS)


@njit("void(float64[::1], int64, float64[::1], int64)", cache=True, nogil=True, **BARE)
def _expand_1(b: F8, c: int, s: F8, so: int) -> None:
    _copy_1(s, so, b, c + 2, MODELS)
    for j in range(MODELS):
        _copy_1(s, so + MEAN + 6 * j, b, c + 2 + MODELS, 6)
        _copy_1(s, so + COV + TRIANGLE * j, b, c + 8 + MODELS, TRIANGLE)


@njit("void(float64[::1], int64, float64, float64, float64[::1], int64)", cache=True, nogil=True, **BARE)
def _capture_1(b: F8, o: int, rows: float, t_us: float, s: F8, so: int) -> None:
    """Renew every checkpoint that stands behind so many rows."""
    for c in (o + NEWER, o + NEW):
        if b[c] == rows:
            b[c + 1] = t_us
            _copy_1(b, _whole_1(b, o, c), s, so, STATE)
    for c in (o + OLD, o + OLDER):
        if b[c] == rows:
            _compress_1(b, c, rows, t_us, s, so)


@njit("void(float64[::1], int64)", cache=True, nogil=True, **BARE)
def _newest_1(b: F8, o: int) -> None:
    """A copy of the state becomes the newest checkpoint."""
    b[o + NEWER] = b[o + N]
    b[o + NEWER + 1] = b[o + T]
    _copy_1(b, _whole_1(b, o, o + NEWER), b, state_at_1(b, o), STATE)


@njit("void(float64[::1], int64)", cache=True, nogil=True, **BARE)
def _keep_1(b: F8, o: int) -> None:
    """Before a new state is settled: keep the one there is as the newest checkpoint, when the one before is old enough.
    It stays where it stands; the new one gets the place of the checkpoint that is given up."""
    if b[o + NEWER] >= 0.0 and b[o + T] - b[o + NEWER + 1] < LAG_US:
        return
    if b[o + NEW] >= 0.0 and (b[o + OLD] < 0.0 or b[o + NEW + 1] - b[o + OLD + 1] > SPAN_US):
        _copy_1(b, o + OLDER, b, o + OLD, 2 + GAUSS)
        _compress_1(b, o + OLD, b[o + NEW], b[o + NEW + 1], b, _whole_1(b, o, o + NEW))
    free = b[o + NEWER + 2]
    if b[o + NEWER] >= 0.0:
        free = b[o + NEW + 2]
        _copy_1(b, o + NEW, b, o + NEWER, 3)
    b[o + NEWER] = b[o + N]
    b[o + NEWER + 1] = b[o + T]
    b[o + NEWER + 2] = b[o + AT]
    b[o + AT] = free


@njit("void(float64[::1], int64, int64)", cache=True, nogil=True, **BARE)
def _drop_1(b: F8, o: int, rows: int) -> None:
    """Give up the oldest rows, and the checkpoints before them."""
    kept = int(b[o + N]) - rows
    _copy_1(b, o + RING, b, o + RING + rows * ENTRY, kept * ENTRY)
    b[o + N] = kept
    b[o + LOST] = 1.0
    for c in (o + NEWER, o + NEW, o + OLD, o + OLDER):
        b[c] = b[c] - rows if b[c] >= rows else -1.0


@njit("void(float64[::1], int64)", cache=True, nogil=True, **BARE)
def _make_room_1(b: F8, o: int) -> None:
    """Drop rows up to the oldest checkpoint that frees any, which becomes the base."""
    if b[o + OLDER] <= 0.0:
        if b[o + OLD] > 0.0:
            _copy_1(b, o + OLDER, b, o + OLD, 2 + GAUSS)
            b[o + OLD] = -1.0
        elif b[o + NEW] > 0.0:
            _compress_1(b, o + OLDER, b[o + NEW], b[o + NEW + 1], b, _whole_1(b, o, o + NEW))
        else:
            if b[o + NEWER] <= 0.0:  # a flood of plots within LAG_US: they shorten the memory
                _newest_1(b, o)
            _compress_1(b, o + OLDER, b[o + NEWER], b[o + NEWER + 1], b, _whole_1(b, o, o + NEWER))
    _drop_1(b, o, int(b[o + OLDER]))


@njit(f"UniTuple(float64, 2)({TRACK}, int64, {ENV}, float64[::1])", cache=True, nogil=True, **BARE)
def _load_1(b: F8, o: int, k: int, sites: F8, table: F8, w: F8) -> tuple[float, float]:
    """The newest checkpoint behind at most k rows into w[A:]: (rows before it, its time); (-1, 0) where none is."""
    for c in (o + NEWER, o + NEW):
        if 0.0 <= b[c] <= k:
            _copy_1(w, A, b, _whole_1(b, o, c), STATE)
            return b[c], b[c + 1]
    for c in (o + OLD, o + OLDER):
        if 0.0 <= b[c] <= k:
            _expand_1(b, c, w, A)
            return b[c], b[c + 1]
    if b[o + LOST] == 0.0 and k >= 1:
        born_all_1(b, o + RING + 1, sites, b[o + V_SIGMA], table, w, A)
        return 1.0, b[o + RING]
    return -1.0, 0.0


@njit(
    f"float64({TRACK}, int64, int64, float64, boolean, {ENV}, float64[::1])",
    cache=True,
    nogil=True,
    **BARE,
)
def _roll_1(b: F8, o: int, k: int, until: int, t_us: float, renew: bool, sites: F8, table: F8, w: F8) -> float:
    """Filter rows k .. until - 1 on from the state w[A:] at t_us; returns the time of the result, which is there."""
    if renew:
        _capture_1(b, o, k, t_us, w, A)
    for i in range(k, until):
        at = o + RING + i * ENTRY
        predict_3(w, A, table, (b[at] - t_us) * 1e-6, w)
        update_3(b, at + 1, sites, w)
        spread_3(w, w, A)
        t_us = b[at]
        if renew:
            _capture_1(b, o, i + 1, t_us, w, A)
    return t_us


@njit(f"void({TRACK}, float64, float64[::1], int64)", cache=True, nogil=True, **BARE)
def _settle_1(b: F8, o: int, t_us: float, s: F8, so: int) -> None:
    """Make s[so:] the track's state."""
    _copy_1(b, state_at_1(b, o), s, so, STATE)
    b[o + T] = t_us
    _sum_up_1(b, o)


@njit(
    f"void({TRACK}, float64, float64[::1], int64, float64, {ENV}, float64[::1])",
    cache=True,
    nogil=True,
    **BARE,
)
def start_1(b: F8, o: int, t_us: float, r: F8, ro: int, v_sigma: float, sites: F8, table: F8, w: F8) -> None:
    """A new track at b[o:] from the plot r[ro:]."""
    b[o + N] = 1.0
    b[o + LOST] = 0.0
    b[o + V_SIGMA] = v_sigma
    for c in (o + NEWER, o + NEW, o + OLD, o + OLDER):
        b[c] = -1.0
    b[o + AT] = STATES
    b[o + NEWER + 2] = STATES + STATE
    b[o + NEW + 2] = STATES + 2 * STATE
    b[o + RING] = t_us
    _copy_1(b, o + RING + 1, r, ro, ROW)
    born_all_1(b, o + RING + 1, sites, v_sigma, table, w, A)
    _settle_1(b, o, t_us, w, A)


@njit(f"int64({TRACK}, float64)", cache=True, nogil=True, **BARE)
def before_1(b: F8, o: int, t_us: float) -> int:
    """How many rows are not younger than t_us."""
    k = int(b[o + N])
    while k > 0 and b[o + RING + (k - 1) * ENTRY] > t_us:
        k -= 1
    return k


@njit(f"void({TRACK}, int64, float64, float64[::1], int64)", cache=True, nogil=True, **BARE)
def _insert_1(b: F8, o: int, k: int, t_us: float, r: F8, ro: int) -> None:
    n = int(b[o + N])
    for i in range(o + RING + n * ENTRY - 1, o + RING + k * ENTRY - 1, -1):
        b[i + ENTRY] = b[i]
    at = o + RING + k * ENTRY
    b[at] = t_us
    _copy_1(b, at + 1, r, ro, ROW)
    b[o + N] = n + 1
    for c in (o + NEWER, o + NEW, o + OLD, o + OLDER):
        if b[c] > k:
            b[c] += 1.0


@njit(
    f"UniTuple(float64, 3)({TRACK}, float64, float64[::1], int64, float64, {ENV}, float64[::1])",
    cache=True,
    nogil=True,
    **BARE,
)
def _fuse_late_1(
    b: F8, o: int, t_us: float, r: F8, ro: int, gate: float, sites: F8, table: F8, w: F8
) -> tuple[float, float, float]:
    k = before_1(b, o, t_us)
    rows, base_us = _load_1(b, o, k, sites, table, w)
    if rows < 0.0:
        if b[o + LOST] == 1.0 or int(r[ro + M_KIND]) == BEARING:  # a direction is no place to start from
            return 0.0, 0.0, 0.0
        _insert_1(b, o, 0, t_us, r, ro)  # older than the first plot: the track begins with it
        rows, base_us = _load_1(b, o, 1, sites, table, w)
        at_us = _roll_1(b, o, 1, int(b[o + N]), base_us, True, sites, table, w)
        _settle_1(b, o, at_us, w, A)
        return 1.0, 0.0, 0.0
    if t_us < base_us:
        return 0.0, 0.0, 0.0
    at_us = _roll_1(b, o, int(rows), k, base_us, False, sites, table, w)
    predict_3(w, A, table, (t_us - at_us) * 1e-6, w)
    _, nearest, comps, booked = update_3(r, ro, sites, w)
    if not nearest <= gate + 2.5 * comps:
        return -1.0, booked, comps
    _insert_1(b, o, k, t_us, r, ro)
    spread_3(w, w, A)
    at_us = _roll_1(b, o, k + 1, int(b[o + N]), t_us, True, sites, table, w)
    _settle_1(b, o, at_us, w, A)
    return 1.0, booked, comps


@njit(
    f"UniTuple(float64, 3)({TRACK}, float64, float64[::1], int64, float64, {ENV}, float64[::1])",
    cache=True,
    nogil=True,
    **BARE,
)
def fuse_1(
    b: F8, o: int, t_us: float, r: F8, ro: int, gate: float, sites: F8, table: F8, w: F8
) -> tuple[float, float, float]:
    """Fuse the plot r[ro:] into the track b[o:] at its own time, filtering again what is younger.

    Returns (1 done, 0 older than what the track remembers, -1 refused by the gate; NIS to book; components). Only 1
    has changed the state. The gate is a squared Mahalanobis distance, widened by 2.5 a component.
    """
    if int(b[o + N]) == ROWS:
        _make_room_1(b, o)
    if t_us < b[o + T]:
        return _fuse_late_1(b, o, t_us, r, ro, gate, sites, table, w)
    predict_3(b, state_at_1(b, o), table, (t_us - b[o + T]) * 1e-6, w)
    _, nearest, comps, booked = update_3(r, ro, sites, w)
    if not nearest <= gate + 2.5 * comps:
        return -1.0, booked, comps
    _keep_1(b, o)
    at = o + RING + int(b[o + N]) * ENTRY
    b[at] = t_us
    _copy_1(b, at + 1, r, ro, ROW)
    b[o + N] += 1.0
    spread_3(w, b, state_at_1(b, o))
    b[o + T] = t_us
    _sum_up_1(b, o)
    return 1.0, booked, comps


@njit(
    f"UniTuple(float64, 4)({TRACK}, float64, float64[::1], int64, {ENV}, float64[::1])",
    cache=True,
    nogil=True,
    **BARE,
)
def score_1(
    b: F8, o: int, t_us: float, r: F8, ro: int, sites: F8, table: F8, w: F8
) -> tuple[float, float, float, float]:
    """How well a plot, anchored (measure.anchor_1), fits a track at the plot's own time: as `imm.update_1`. The track
    is not changed.

    A plot a little older than the newest is compared with the state carried backwards, an older one with the newest
    checkpoint before it.
    """
    place_only = place_only_1(r, ro)
    base_us = b[o + T]
    at = state_at_1(b, o)
    if t_us < base_us - BACK_US:
        for c in (o + OLDER, o + OLD):
            if b[c] >= 0.0 and b[c + 1] <= t_us:
                _expand_1(b, c, w, B)
                base_us = b[c + 1]
                at = -1
        for c in (o + NEW, o + NEWER):
            if b[c] >= 0.0 and b[c + 1] <= t_us:
                base_us = b[c + 1]
                at = _whole_1(b, o, c)
    dt_s = (t_us - base_us) * 1e-6
    if place_only:
        if at >= 0:
            return glance_1(b, at, table, dt_s, r, ro, sites, w)
        return glance_1(w, B, table, dt_s, r, ro, sites, w)
    if at >= 0:
        predict_3(b, at, table, dt_s, w)
    else:
        predict_3(w, B, table, dt_s, w)
    return update_3(r, ro, sites, w)


@njit(f"int64({TRACK}, float64, float64[::1], int64, {ENV}, float64[::1])", cache=True, nogil=True, **BARE)
def undo_1(b: F8, o: int, t_us: float, r: F8, ro: int, sites: F8, table: F8, w: F8) -> int:
    """Take a fused plot out of a track again. Returns 1 done; 0 cannot be done, nothing changed; 2 it was the only
    plot of the track, which the caller ends."""
    n = int(b[o + N])
    for k in range(n - 1, -1, -1):
        at = o + RING + k * ENTRY
        if b[at] < t_us:
            return 0
        same = b[at] == t_us
        for i in range(ROW):
            mine = b[at + 1 + i]
            other = r[ro + i]
            same = same and (mine == other or (math.isnan(mine) and math.isnan(other)))
        if not same:
            continue
        if k == 0 and b[o + LOST] == 0.0:
            return 2 if n == 1 else 0
        rows, base_us = _load_1(b, o, k, sites, table, w)
        if rows < 0.0:
            return 0
        _copy_1(b, at, b, at + ENTRY, (n - 1 - k) * ENTRY)
        b[o + N] = n - 1
        for c in (o + NEWER, o + NEW, o + OLD, o + OLDER):
            if b[c] > k:
                b[c] -= 1.0
        at_us = _roll_1(b, o, int(rows), n - 1, base_us, True, sites, table, w)
        _settle_1(b, o, at_us, w, A)
        return 1
    return 0


@njit(
    "void(int64[::1], float64, float64[::1], float64[::1], float64[:, ::1], float64[:, :, ::1], float64[:, ::1])",
    cache=True,
    nogil=True,
)
def ahead_n(slots: I8, t_us: float, slab: F8, table: F8, out_x: F8, out_p: F8, out_mode: F8) -> None:
    """State (n, 6), covariance (n, 6, 6) and mode (n, 3) of the tracks in `slots`, carried to t_us."""
    s = np.empty(STATE)
    x = np.empty(6)
    p = np.empty(TRIANGLE)
    w = np.empty(WORK)
    for i in range(slots.shape[0]):
        o = slots[i] * SLAB
        predict_1(slab, state_at_1(slab, o), table, (t_us - slab[o + T]) * 1e-6, s, 0, w)
        combine_1(s, 0, x, 0, p, 0)
        for j in range(MODELS):
            out_mode[i, j] = s[j]
        for a in range(6):
            out_x[i, a] = x[a]
        k = 0
        for a in range(6):
            for c in range(a, 6):
                out_p[i, a, c] = p[k]
                out_p[i, c, a] = p[k]
                k += 1
