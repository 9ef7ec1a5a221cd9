"""What a measurement row says of a state: its components, linearised. See params.py for the rows."""

from __future__ import annotations

import math

from numba import njit

from fusion.bare import BARE, FAR
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
)
from fusion.geo import A_M, E2, ecef_1, enu_axes_1, normal_1
from fusion.schema import F8, PlotKind

# Compiled code here takes arrays with a place in them, (array, offset), instead of slices: numba counts references to
# every slice with an atomic operation, which takes longer than the arithmetic.
LIN = 6  # one linearised component: block (0 position, 3 velocity), H (3), innovation, variance
MOST = 6  # components of one row
ANCHOR = MOST * LIN  # behind them: what `anchor_1` keeps
SCRATCH = ANCHOR + 12  # length of the scratch `w` as far as this file uses it
POSITION, POLAR = int(PlotKind.POSITION), int(PlotKind.POLAR)


@njit("float64(float64, float64)", cache=True, nogil=True, **BARE)
def _angle_1(across: float, along: float) -> float:
    """atan2(across, along), by its series where that is exact to rounding: innovations are small."""
    t = across / along if along > 0.0 else 1.0
    if abs(t) > 0.05:
        return math.atan2(across, along)
    q = t * t  # the first term left out is 2e-17 of the angle
    return t * (1.0 - q * (1 / 3 - q * (1 / 5 - q * (1 / 7 - q * (1 / 9 - q * (1 / 11))))))


@njit("void(float64[::1], int64, float64[::1])", cache=True, nogil=True, **BARE)
def anchor_1(r: F8, ro: int, w: F8) -> None:
    """What the row r[ro:] says whatever the state, worked out once for all models, into the scratch w.

    POSITION: east, north, up (3 each) and the measured place (3). Others: sine and cosine of azimuth and elevation.
    """
    assert 0 <= ro < FAR
    if int(r[ro + M_KIND]) != POSITION:
        w[ANCHOR] = math.sin(r[ro + M_B])
        w[ANCHOR + 1] = math.cos(r[ro + M_B])
        w[ANCHOR + 2] = math.sin(r[ro + M_C])
        w[ANCHOR + 3] = math.cos(r[ro + M_C])
        return
    e0, e1, e2, n0, n1, n2, u0, u1, u2 = enu_axes_1(r[ro + M_A], r[ro + M_B])
    w[ANCHOR] = e0
    w[ANCHOR + 1] = e1
    w[ANCHOR + 2] = e2
    w[ANCHOR + 3] = n0
    w[ANCHOR + 4] = n1
    w[ANCHOR + 5] = n2
    w[ANCHOR + 6] = u0
    w[ANCHOR + 7] = u1
    w[ANCHOR + 8] = u2
    if not math.isnan(r[ro + M_C]):
        across = A_M / math.sqrt(1.0 - E2 * u2 * u2)  # geo.ecef_1, with the sines and cosines that the axes are made of
        out = (across + r[ro + M_C]) * n2
        w[ANCHOR + 9] = out * e1
        w[ANCHOR + 10] = -out * e0
        w[ANCHOR + 11] = (across * (1.0 - E2) + r[ro + M_C]) * u2


@njit("int64(float64[::1], int64, float64[::1], int64, float64[::1], int64)", cache=True, nogil=True, **BARE)
def _position_1(r: F8, ro: int, x: F8, xo: int, w: F8, wo: int) -> int:
    assert 0 <= ro < FAR and 0 <= xo < FAR and 0 <= wo < FAR
    if math.isnan(r[ro + M_C]):
        known = False
        px, py, pz = ecef_1(r[ro + M_A], r[ro + M_B], normal_1(x[xo], x[xo + 1], x[xo + 2])[3])
    else:
        known = True
        px, py, pz = w[ANCHOR + 9], w[ANCHOR + 10], w[ANCHOR + 11]
    px -= x[xo]
    py -= x[xo + 1]
    pz -= x[xo + 2]
    o = wo
    for c in range(3 if known else 2):
        h0 = w[ANCHOR + 3 * c]
        h1 = w[ANCHOR + 3 * c + 1]
        h2 = w[ANCHOR + 3 * c + 2]
        sigma = r[ro + M_SC] if c == 2 else r[ro + M_SA]
        w[o] = 0.0
        w[o + 1] = h0
        w[o + 2] = h1
        w[o + 3] = h2
        w[o + 4] = h0 * px + h1 * py + h2 * pz
        w[o + 5] = sigma * sigma
        o += LIN
    for c in range(3):
        if not math.isnan(r[ro + M_VE + c]):
            h0 = w[ANCHOR + 3 * c]
            h1 = w[ANCHOR + 3 * c + 1]
            h2 = w[ANCHOR + 3 * c + 2]
            w[o] = 3.0
            w[o + 1] = h0
            w[o + 2] = h1
            w[o + 3] = h2
            w[o + 4] = r[ro + M_VE + c] - h0 * x[xo + 3] - h1 * x[xo + 4] - h2 * x[xo + 5]
            w[o + 5] = r[ro + M_SV] * r[ro + M_SV]
            o += LIN
    return (o - wo) // LIN


@njit("void(float64[::1], int64, float64[:, ::1], float64[::1], int64, float64, float64, float64[::1], int64)",
      cache=True, nogil=True, **BARE)  # fmt: skip
def _range_rate_1(r: F8, ro: int, sites: F8, x: F8, xo: int, steep: float, level: float, w: F8, o: int) -> None:
    """`steep` and `level`: sine and cosine of the elevation of the line of sight."""
    i = int(r[ro + M_SITE])
    along = 0.0
    square = 0.0
    for k in range(3):
        h = level * (w[ANCHOR] * sites[i, 3 + k] + w[ANCHOR + 1] * sites[i, 6 + k]) + steep * sites[i, 9 + k]
        w[o + 1 + k] = h
        along += h * x[xo + 3 + k]
        square += x[xo + 3 + k] * x[xo + 3 + k]
    across2 = max(square - along * along, 0.0)
    w[o] = 3.0
    w[o + 4] = r[ro + M_RATE] - along
    w[o + 5] = r[ro + M_SRATE] * r[ro + M_SRATE] + across2 * r[ro + M_SB] * r[ro + M_SB]


@njit("void(float64[::1], int64, float64[::1], int64, float64[::1], int64)", cache=True, nogil=True, **BARE)
def _height_1(r: F8, ro: int, x: F8, xo: int, w: F8, o: int) -> None:
    w[o] = 0.0
    w[o + 1], w[o + 2], w[o + 3], h = normal_1(x[xo], x[xo + 1], x[xo + 2])
    w[o + 4] = r[ro + M_H] - h
    w[o + 5] = r[ro + M_SH] * r[ro + M_SH]


@njit(
    "int64(float64[::1], int64, float64[:, ::1], float64[::1], int64, float64[::1], int64)",
    cache=True,
    nogil=True,
    **BARE,
)
def linearise_1(r: F8, ro: int, sites: F8, x: F8, xo: int, w: F8, wo: int) -> int:
    """Components of the measurement row r[ro:] at the state x[xo:]: their number; they are written to w[wo:], LIN each.

    `anchor_1` of the same row, into the same scratch w, came before.
    """
    assert 0 <= ro < FAR and 0 <= xo < FAR and 0 <= wo < FAR
    kind = int(r[ro + M_KIND])
    if kind == POSITION:
        return _position_1(r, ro, x, xo, w, wo)
    i = int(r[ro + M_SITE])
    dx = x[xo] - sites[i, 0]
    dy = x[xo + 1] - sites[i, 1]
    dz = x[xo + 2] - sites[i, 2]
    e0, e1, e2 = sites[i, 3], sites[i, 4], sites[i, 5]
    n0, n1, n2 = sites[i, 6], sites[i, 7], sites[i, 8]
    u0, u1, u2 = sites[i, 9], sites[i, 10], sites[i, 11]
    e = e0 * dx + e1 * dy + e2 * dz
    n = n0 * dx + n1 * dy + n2 * dz
    u = u0 * dx + u1 * dy + u2 * dz
    level2 = e * e + n * n
    range_m = math.sqrt(level2 + u * u)
    one = 1.0 / max(range_m, 1e-9)
    ground = math.sqrt(level2)
    o = wo
    if kind == POLAR:
        w[o] = 0.0
        w[o + 1] = dx * one
        w[o + 2] = dy * one
        w[o + 3] = dz * one
        w[o + 4] = r[ro + M_A] - range_m
        w[o + 5] = r[ro + M_SA] * r[ro + M_SA]
        o += LIN
    if not math.isnan(r[ro + M_B]):
        flat = 1.0 / max(level2, 1.0)  # straight above the antenna azimuth says nothing: keep it finite
        w[o] = 0.0
        w[o + 1] = (n * e0 - e * n0) * flat
        w[o + 2] = (n * e1 - e * n1) * flat
        w[o + 3] = (n * e2 - e * n2) * flat
        w[o + 4] = _angle_1(w[ANCHOR] * n - w[ANCHOR + 1] * e, w[ANCHOR] * e + w[ANCHOR + 1] * n)
        w[o + 5] = r[ro + M_SB] * r[ro + M_SB]
        o += LIN
    if not math.isnan(r[ro + M_C]):
        s = u * one * one
        flat = 1.0 / max(ground, 1.0)
        w[o] = 0.0
        w[o + 1] = (u0 - s * dx) * flat
        w[o + 2] = (u1 - s * dy) * flat
        w[o + 3] = (u2 - s * dz) * flat
        sine, cosine = w[ANCHOR + 2], w[ANCHOR + 3]
        w[o + 4] = _angle_1(sine * ground - cosine * u, cosine * ground + sine * u)
        w[o + 5] = r[ro + M_SC] * r[ro + M_SC]
        o += LIN
    if kind == POLAR:
        if not math.isnan(r[ro + M_H]):
            _height_1(r, ro, x, xo, w, o)
            o += LIN
        if not math.isnan(r[ro + M_RATE]):
            if math.isnan(r[ro + M_C]):
                _range_rate_1(r, ro, sites, x, xo, u * one, ground * one, w, o)
            else:
                _range_rate_1(r, ro, sites, x, xo, w[ANCHOR + 2], w[ANCHOR + 3], w, o)
            o += LIN
    return (o - wo) // LIN
