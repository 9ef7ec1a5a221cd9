"""Common traffic: what aircraft say of themselves, kept for a while, paired with what a radar saw at the same time.

A table holds the last reports of every address. For a radar plot every claim near it is put at the plot's own time,
between two reports or carried on from the nearest, and turned into what the radar should have measured: range,
azimuth, elevation, and their rates. Measured minus expected, with its variance, is one pair. A plot may be in several
pairs; which of them is true is found later, because one bias explains all true pairs and none of the false ones.
"""

from __future__ import annotations

import math

import numpy as np
from numba import from_dtype, njit

from fusion.filters.params import M_A, M_B, M_C, M_H, M_SA, M_SB, M_SC, M_SH, M_SV, M_VE, M_VN, M_VU, ROW
from fusion.geo import ecef_1, enu_axes_1, geodetic_1, polar_1, wrap_pi_1
from fusion.kernels import PLOTS, Rec, signature
from fusion.schema import B1, F8, I8, US_PER_S, PlotKind

REPORTS = 16  # kept per address: 16 s of one receiver
APART_S = 0.4  # reports of one address closer in time than this say the same
REACH_S = 8.0  # a claim is carried on this long after, or before, its nearest report
BETWEEN_S = 12.0  # and filled in between two reports no further apart than this
TURN_MPS2 = 2.0  # acceleration that the way between reports may hide, one sigma: a standard turn at 200 m/s is 10
SIGMA_MOST_M = 300.0  # a claim less sure of its place than this tells nothing of a radar
DOUBT_US = 30 * US_PER_S  # an address that jumped is not used for so long: shared by two, or made up

# One kept report: time (us, exact in float64), ECEF place, ECEF velocity, sigma horizontal, vertical, of velocity.
R_T, R_X, R_V, R_SP, R_SH, R_SV = 0, 1, 4, 7, 8, 9
REPORT = 10

# One pair: measured time, number of the plot, slot of the claim; measured minus expected range, azimuth, elevation,
# height; expected range and the rates of range and azimuth; variances of the four differences; share of the claim's own
# horizontal variance; 1 where an address or a code says that the two belong together.
P_T, P_PLOT, P_SLOT, P_DR, P_DAZ, P_DEL, P_DH, P_R, P_RDOT, P_AZDOT, P_VR, P_VAZ, P_VEL, P_VH, P_VC, P_KNOWN = range(16)
PAIR = 16

TURN_BINS = 360
RING_M = 2_000.0  # claims are looked up by range in rings so wide
RINGS = 256
SPEED_MOST_MPS = 400.0  # range rate of anything that says where it is
_POSITION, _POLAR = int(PlotKind.POSITION), int(PlotKind.POLAR)

# A plot that waits, of a radar or a claim: everything pairing needs.
HELD = np.dtype(
    [("t_us", "i8"), ("rx_us", "i8"), ("sensor", "i8"), ("address", "i8"), ("mode3a", "i8"), ("row", "f8", (ROW,))],
    align=True,
)
HELDS = from_dtype(HELD)[::1]
_V, _M, _T = "float64[::1]", "float64[:, ::1]", "float64[:, :, ::1]"


@njit(signature("UniTuple(int64, 2)", PLOTS, "int64[::1]", HELDS, "int64", HELDS, "int64"), cache=True, nogil=True)
def sort_out_n(plots: Rec, role: I8, radar: Rec, n_radar: int, claim: Rec, n_claim: int) -> tuple[int, int]:
    """Keep polar plots of radars (role 1 of their sensor) and places of claims with an address (role 2); returns how
    many there are now of each. What has no room is left out."""
    for i in range(plots.shape[0]):
        plot = plots[i]
        if role[plot.sensor] == 1 and plot.kind == _POLAR and n_radar < radar.shape[0]:
            into = radar[n_radar]
            n_radar += 1
        elif role[plot.sensor] == 2 and plot.kind == _POSITION and plot.address >= 0 and n_claim < claim.shape[0]:
            into = claim[n_claim]
            n_claim += 1
        else:
            continue
        into.t_us = plot.t_us
        into.rx_us = plot.rx_us
        into.sensor = plot.sensor
        into.address = plot.address
        into.mode3a = plot.mode3a
        for k in range(ROW):
            into.row[k] = plot.row[k]
    return n_radar, n_claim


@njit(signature("UniTuple(int64, 2)", HELDS, "int64, int64, int64", HELDS), cache=True, nogil=True)
def take_n(held: Rec, n: int, sensor: int, until_us: int, out: Rec) -> tuple[int, int]:
    """Move the plots of one radar that arrived until then to `out`; (how many moved, how many stay, in order)."""
    moved, stay = 0, 0
    for i in range(n):
        if held[i].sensor == sensor and held[i].rx_us <= until_us:
            out[moved] = held[i]
            moved += 1
        else:
            held[stay] = held[i]
            stay += 1
    return moved, stay


@njit(signature("void", HELDS, "float64[:, ::1]"), cache=True, nogil=True)
def report_n(said: Rec, out: F8) -> None:
    """Claims (n,) as reports (n, REPORT); R_SP is NaN where one says too little. No climb told is taken as level."""
    for i in range(said.shape[0]):
        row, r = said[i].row, out[i]
        r[R_T] = said[i].t_us
        r[R_SP] = row[M_SA] if not math.isnan(row[M_C]) else math.nan
        r[R_SH], r[R_SV] = row[M_SC], row[M_SV]
        r[R_X], r[R_X + 1], r[R_X + 2] = ecef_1(row[M_A], row[M_B], row[M_C])
        ex, ey, ez, nx, ny, nz, ux, uy, uz = enu_axes_1(row[M_A], row[M_B])
        up = 0.0 if math.isnan(row[M_VU]) else row[M_VU]
        r[R_V] = ex * row[M_VE] + nx * row[M_VN] + ux * up
        r[R_V + 1] = ey * row[M_VE] + ny * row[M_VN] + uy * up
        r[R_V + 2] = ez * row[M_VE] + nz * row[M_VN] + uz * up


@njit(f"void(int64[::1], int64[::1], {_M}, {_T}, int64[::1], int64[::1], int64[::1])", cache=True, nogil=True)
def keep_1(t_us: I8, slot: I8, reports: F8, ring: F8, used: I8, newest_us: I8, doubt_us: I8) -> None:
    """Put reports (n, REPORT) of the addresses in `slot` (n,) into their rings; the oldest of a full ring goes.

    An address whose place does not follow from its nearest report is in doubt for `DOUBT_US`.
    """
    for i in range(t_us.size):
        s, n, new = slot[i], used[slot[i]], reports[i]
        near, oldest = -1, 0
        for k in range(n):
            if near < 0 or abs(ring[s, k, R_T] - new[R_T]) < abs(ring[s, near, R_T] - new[R_T]):
                near = k
            if ring[s, k, R_T] < ring[s, oldest, R_T]:
                oldest = k
        if near >= 0:
            old = ring[s, near]
            dt = (new[R_T] - old[R_T]) * 1e-6
            away = 0.0
            moving = not math.isnan(old[R_V])
            for c in range(3):
                v = old[R_V + c] if moving else 0.0
                away += (new[R_X + c] - old[R_X + c] - v * dt) ** 2
            slack = 200.0 + 6.0 * (new[R_SP] + old[R_SP]) + 10.0 * dt * dt + (0.0 if moving else 400.0 * abs(dt))
            if abs(dt) < 30.0 and math.sqrt(away) > slack:
                doubt_us[s] = max(doubt_us[s], t_us[i] + DOUBT_US)
            if abs(dt) < APART_S:
                continue
        if n < REPORTS:
            ring[s, n] = new
            used[s] = n + 1
        elif new[R_T] > ring[s, oldest, R_T]:
            ring[s, oldest] = new
        newest_us[s] = max(newest_us[s], t_us[i])


@njit(f"boolean({_M}, int64, float64, {_V})", cache=True, nogil=True)
def expect_1(ring: F8, used: int, t_us: float, out: F8) -> bool:
    """Place, velocity (ECEF), horizontal and vertical variance of one claim at t_us, into out (8,). False: not known.

    Between two reports with velocity the cubic through both; without, the straight line; else the nearest carried on.
    """
    a, b = -1, -1
    for k in range(used):
        t = ring[k, R_T]
        if t <= t_us and (a < 0 or t > ring[a, R_T]):
            a = k
        if t > t_us and (b < 0 or t < ring[b, R_T]):
            b = k
    if a >= 0 and b >= 0 and ring[b, R_T] - ring[a, R_T] <= BETWEEN_S * 1e6:
        span = (ring[b, R_T] - ring[a, R_T]) * 1e-6
        s = (t_us - ring[a, R_T]) * 1e-6 / span
        both = not (math.isnan(ring[a, R_V]) or math.isnan(ring[b, R_V]))
        sag = 0.5 * TURN_MPS2 * s * (1.0 - s) * span * span * (0.25 if both else 1.0)
        for c in range(3):
            pa, pb = ring[a, R_X + c], ring[b, R_X + c]
            out[3 + c] = (pb - pa) / span
            if both:
                va, vb = ring[a, R_V + c] * span, ring[b, R_V + c] * span
                s2, s3 = s * s, s * s * s
                out[c] = (
                    (2.0 * s3 - 3.0 * s2 + 1.0) * pa
                    + (s3 - 2.0 * s2 + s) * va
                    + (3.0 * s2 - 2.0 * s3) * pb
                    + (s3 - s2) * vb
                )
            else:
                out[c] = pa + s * (pb - pa)
        out[6] = (1.0 - s) * ring[a, R_SP] ** 2 + s * ring[b, R_SP] ** 2 + sag * sag
        out[7] = (1.0 - s) * ring[a, R_SH] ** 2 + s * ring[b, R_SH] ** 2
        return True
    k = a
    if k < 0 or (b >= 0 and ring[b, R_T] - t_us < t_us - ring[a, R_T]):
        k = b
    if k < 0 or math.isnan(ring[k, R_V]) or abs(t_us - ring[k, R_T]) > REACH_S * 1e6:
        return False
    dt = (t_us - ring[k, R_T]) * 1e-6
    for c in range(3):
        out[c] = ring[k, R_X + c] + ring[k, R_V + c] * dt
        out[3 + c] = ring[k, R_V + c]
    drift = (ring[k, R_SV] * dt) ** 2 + (0.5 * TURN_MPS2 * dt * dt) ** 2
    out[6] = ring[k, R_SP] ** 2 + drift
    out[7] = ring[k, R_SH] ** 2 + drift
    return True


@njit(f"UniTuple(float64, 5)({_V}, {_V})", cache=True, nogil=True)
def seen_from_1(site: F8, at: F8) -> tuple[float, float, float, float, float]:
    """Range, azimuth, elevation, rate of range and rate of azimuth of a place and velocity (ECEF, at[:6])."""
    r, az, el = polar_1(site, at[0], at[1], at[2])
    e = site[3] * at[3] + site[4] * at[4] + site[5] * at[5]
    n = site[6] * at[3] + site[7] * at[4] + site[8] * at[5]
    u = site[9] * at[3] + site[10] * at[4] + site[11] * at[5]
    along = e * math.sin(az) + n * math.cos(az)
    across = e * math.cos(az) - n * math.sin(az)
    rdot = along * math.cos(el) + u * math.sin(el)
    return r, az, el, rdot, across / max(r * math.cos(el), 100.0)


@njit("boolean(int64, int64, int64, int64)", cache=True, nogil=True)
def _strangers_1(address: int, code: int, key: int, claim_code: int) -> bool:
    """True where address or code say that plot and claim are two objects."""
    if address >= 0:
        return address != key
    return code >= 0 and claim_code >= 0 and code != claim_code


@njit(
    f"int64(int64[::1], {_M}, int64[::1], int64[::1], int64, {_T}, int64[::1], int64[::1], int64[::1], int64[::1], "
    f"{_V}, {_V}, {_V}, {_V}, {_M})",
    cache=True,
    nogil=True,
)
def pair_1(
    t_us: I8, row: F8, address: I8, code: I8, number: int, ring: F8, used: I8, doubt_us: I8, key: I8, claim_code: I8,
    site: F8, window: F8, bias: F8, turn: F8, out: F8,
) -> int:  # fmt: skip
    """Pair the plots (n,) of one radar with every claim within the window; returns the pairs written to `out`.

    Args:
        row: measurement rows (n, ROW) of POLAR plots; number: counter of the first plot.
        ring, used, doubt_us, key, claim_code: the table of claims, one slot an address.
        window: half widths (range_m, azimuth_rad), and the half width in range of a vote for a turned north mark.
        bias: range offset, gain and azimuth taken as known for those votes.
        turn: votes for a turn of the north mark, one bin a degree, added to.
    """
    n_claims, n = key.size, t_us.size
    middle_us = float(t_us[n // 2])
    rough = np.full((n_claims, 4), np.nan)
    at = np.empty(8)
    for s in range(n_claims):
        if used[s] > 0 and doubt_us[s] < t_us[n // 2] and expect_1(ring[s], used[s], middle_us, at):
            rough[s, 0], rough[s, 1], _, rough[s, 2], rough[s, 3] = seen_from_1(site, at)
    ring_of = np.full(RINGS, -1, np.int64)
    after = np.full(n_claims, -1, np.int64)
    for s in range(n_claims - 1, -1, -1):
        if rough[s, 0] < RINGS * RING_M:
            k = int(rough[s, 0] / RING_M)
            after[s] = ring_of[k]
            ring_of[k] = s
    count = 0
    for i in range(n):
        ahead_s = (t_us[i] - middle_us) * 1e-6
        measured = row[i, M_A]
        reach = window[0] + 100.0 + SPEED_MOST_MPS * abs(ahead_s)
        k = max(0, int((measured - reach) / RING_M)) - 1
        last = min(RINGS - 1, int((measured + reach) / RING_M))
        s = -1
        while True:
            while s < 0 and k < last:
                k += 1
                s = ring_of[k]
            if s < 0:
                break
            mine = s
            s = after[s]
            far = abs(measured - rough[mine, 0] - rough[mine, 2] * ahead_s)
            if not far < window[0] + 100.0 or _strangers_1(address[i], code[i], key[mine], claim_code[mine]):
                continue
            turned = wrap_pi_1(row[i, M_B] - bias[2] - rough[mine, 1] - rough[mine, 3] * ahead_s)
            off = measured - rough[mine, 0] - rough[mine, 2] * ahead_s - bias[0] - bias[1] * rough[mine, 0]
            if abs(off) < window[2]:
                turn[int(math.floor(turned * TURN_BINS / (2.0 * math.pi) + 0.5)) % TURN_BINS] += 1.0
            if abs(wrap_pi_1(turned + bias[2])) > window[1] + 0.01 or count == out.shape[0]:
                continue
            if not expect_1(ring[mine], used[mine], float(t_us[i]), at) or at[6] > SIGMA_MOST_M * SIGMA_MOST_M:
                continue
            r, az, el, rdot, azdot = seen_from_1(site, at)
            p = out[count]
            p[P_DR] = measured - r
            p[P_DAZ] = wrap_pi_1(row[i, M_B] - az)
            if abs(p[P_DR]) > window[0] or abs(p[P_DAZ]) > window[1] or math.isnan(at[7]):
                continue
            ce, se = math.cos(el), math.sin(el)
            across = max(r * ce, 100.0)
            p[P_T], p[P_PLOT], p[P_SLOT] = float(t_us[i]), float(number + i), float(mine)
            p[P_DEL] = row[i, M_C] - el
            p[P_DH] = row[i, M_H] - geodetic_1(at[0], at[1], at[2])[2] if not math.isnan(row[i, M_H]) else math.nan
            p[P_R], p[P_RDOT], p[P_AZDOT] = r, rdot, azdot
            p[P_VR] = row[i, M_SA] ** 2 + ce * ce * at[6] + se * se * at[7]
            p[P_VAZ] = row[i, M_SB] ** 2 + at[6] / (across * across)
            p[P_VEL] = row[i, M_SC] ** 2 + (ce * ce * at[7] + se * se * at[6]) / (r * r)
            p[P_VH] = row[i, M_SH] ** 2 + at[7]
            p[P_VC] = at[6]
            p[P_KNOWN] = 1.0 if address[i] == key[mine] or (code[i] >= 0 and code[i] == claim_code[mine]) else 0.0
            count += 1
    return count


class Claims:
    """The last reports of every address. At most `most` addresses: of more, those heard longest ago go."""

    def __init__(self, most: int = 4_096) -> None:
        self._most = most
        self.key: I8 = np.empty(0, np.int64)  # (slots,) address
        self.code: I8 = np.empty(0, np.int64)  # (slots,) Mode 3/A, -1 none
        self.used: I8 = np.empty(0, np.int64)  # (slots,) reports kept
        self.newest_us: I8 = np.empty(0, np.int64)  # (slots,)
        self.doubt_us: I8 = np.empty(0, np.int64)  # (slots,) not to be used for plots before this
        self.ring: F8 = np.empty((0, REPORTS, REPORT))
        self._order: I8 | None = None  # of the slots by address; None: to be found again

    def add(self, t_us: I8, key: I8, code: I8, reports: F8) -> I8:
        """Keep reports (n, REPORT) of addresses `key` (n,), in order of time. Returns slots given to other addresses
        than before, of which nothing may be believed any more."""
        slot, kept = self._find(key)
        given = np.empty(0, np.int64)
        if not kept.all():
            given = self._give(np.unique(key[~kept])[: self._most])
            slot, kept = self._find(key)
        slot, t_us, code, reports = slot[kept], t_us[kept], code[kept], reports[kept]
        keep_1(t_us, slot, np.ascontiguousarray(reports), self.ring, self.used, self.newest_us, self.doubt_us)
        told = code >= 0
        self.code[slot[told]] = code[told]
        return given

    def _find(self, key: I8) -> tuple[I8, B1]:
        """(n,) slot of each address, and whether it has one."""
        if len(self.key) == 0:
            return np.zeros(len(key), np.int64), np.zeros(len(key), np.bool_)
        if self._order is None:
            self._order = np.argsort(self.key, kind="stable")
        slot = self._order[np.minimum(np.searchsorted(self.key, key, sorter=self._order), len(self.key) - 1)]
        return slot, np.asarray(self.key[slot] == key)

    def _give(self, new: I8) -> I8:
        """Slots for new addresses: fresh ones as long as there is room, then those heard longest ago."""
        self._order = None
        room = min(len(new), self._most - len(self.key))
        grown = max(0, room)
        taken = np.argsort(self.newest_us, kind="stable")[: len(new) - grown]
        for name, value in (("key", -1), ("code", -1), ("used", 0), ("newest_us", -(2**62)), ("doubt_us", -(2**62))):
            column = np.concatenate([getattr(self, name), np.full(grown, value, np.int64)])
            column[taken] = value
            setattr(self, name, column)
        if grown:
            self.ring = np.concatenate([self.ring, np.full((grown, REPORTS, REPORT), np.nan)])
        slots = np.concatenate([np.arange(len(self.key) - grown, len(self.key)), taken])
        self.key[slots] = new
        return np.asarray(taken, np.int64)

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything needed to go on."""
        names = ("key", "code", "used", "newest_us", "doubt_us", "ring")
        return {name: getattr(self, name).copy() for name in names}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `snapshot`."""
        self._order = None
        for name, value in state.items():
            setattr(self, name, value.copy())
