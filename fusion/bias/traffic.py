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

from fusion.bare import BARE
from fusion.filters.params import M_A, M_B, M_C, M_H, M_SA, M_SB, M_SC, M_SH, M_SV, M_VE, M_VN, M_VU, ROW
from fusion.geo import ecef_1, enu_axes_1, geodetic_1, polar_1, wrap_pi_1
from fusion.kernels import PLOTS, Rec, signature
from fusion.schema import F8, I8, US_PER_S, PlotKind

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

# Of one address: reports kept, newest time, time before which it is not to be used (both us), which report is newest.
C_USED, C_NEWEST, C_DOUBT, C_LEAD = range(4)
STATE = 4

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


@njit(
    signature("UniTuple(int64, 2)", PLOTS, "int64[::1]", HELDS, "int64", HELDS, "int64"),
    cache=True,
    nogil=True,
    **BARE,
)
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


@njit(signature("UniTuple(int64, 2)", HELDS, "int64, int64, int64", HELDS), cache=True, nogil=True, **BARE)
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


@njit(signature("boolean", HELDS, "int64, int64"), cache=True, nogil=True, **BARE)
def _after_1(held: Rec, a: int, b: int) -> bool:
    """Of two plots of one time: does a come after b, by what they say?"""
    one, other = held[a], held[b]
    if one.address != other.address:
        return bool(one.address > other.address)
    if one.row[M_A] != other.row[M_A]:
        return bool(one.row[M_A] > other.row[M_A])
    if one.row[M_B] != other.row[M_B]:
        return bool(one.row[M_B] > other.row[M_B])
    return bool(one.row[M_SA] > other.row[M_SA])


@njit(signature("int64[::1]", HELDS, "int64"), cache=True, nogil=True)
def in_order_1(held: Rec, n: int) -> I8:
    """Order of the first n plots by measured time, whatever the order in which they came."""
    key = np.empty(n, np.int64)
    for i in range(n):
        key[i] = held[i].t_us
    order = np.argsort(key, kind="mergesort")
    for i in range(1, n):  # few have one time to the microsecond
        k = i
        while k > 0 and key[order[k]] == key[order[k - 1]] and _after_1(held, order[k - 1], order[k]):
            order[k - 1], order[k] = order[k], order[k - 1]
            k -= 1
    return order


@njit(signature("void", HELDS, "int64[::1], int64[:, ::1], float64[:, ::1]"), cache=True, nogil=True, **BARE)
def report_n(said: Rec, order: I8, who: I8, out: F8) -> None:
    """Claims, in this order, as time, address and code (3, n) and reports (n, REPORT); R_SP is NaN where one says too
    little. No climb told is taken as level."""
    for i in range(order.shape[0]):
        plot = said[order[i]]
        row, r = plot.row, out[i]
        who[0, i], who[1, i], who[2, i] = plot.t_us, plot.address, plot.mode3a
        r[R_T] = plot.t_us
        r[R_SP] = row[M_SA] if not math.isnan(row[M_C]) else math.nan
        r[R_SH], r[R_SV] = row[M_SC], row[M_SV]
        r[R_X], r[R_X + 1], r[R_X + 2] = ecef_1(row[M_A], row[M_B], row[M_C])
        ex, ey, ez, nx, ny, nz, ux, uy, uz = enu_axes_1(row[M_A], row[M_B])
        up = 0.0 if math.isnan(row[M_VU]) else row[M_VU]
        r[R_V] = ex * row[M_VE] + nx * row[M_VN] + ux * up
        r[R_V + 1] = ey * row[M_VE] + ny * row[M_VN] + uy * up
        r[R_V + 2] = ez * row[M_VE] + nz * row[M_VN] + uz * up


@njit("int64(int64, int64[::1], int64[::1])", cache=True, nogil=True, **BARE)
def _slot_1(address: int, key: I8, bucket: I8) -> int:
    """Where in the buckets (a power of two of them, open addressing) the slot of an address stands, or may be put."""
    k = (address * 40_503) & (bucket.size - 1)
    while bucket[k] >= 0 and key[bucket[k]] != address:
        k = (k + 1) & (bucket.size - 1)
    return int(k)


@njit("void(int64[::1], int64[::1])", cache=True, nogil=True, **BARE)
def index_1(key: I8, bucket: I8) -> None:
    """Write the slot of every address into the buckets."""
    bucket[:] = -1
    for slot in range(key.size):
        bucket[_slot_1(key[slot], key, bucket)] = slot


@njit("int64(int64[::1], int64[::1], int64[::1], int64[::1])", cache=True, nogil=True, **BARE)
def find_n(address: I8, key: I8, bucket: I8, slot: I8) -> int:
    """Fill in the slot of each address, -1 for none; returns how many have none."""
    none = 0
    for i in range(address.size):
        slot[i] = bucket[_slot_1(address[i], key, bucket)]
        none += slot[i] < 0
    return int(none)


@njit(f"void(int64[:, ::1], int64[::1], {_M}, {_T}, int64[:, ::1], int64[::1])", cache=True, nogil=True)
def keep_1(who: I8, slot: I8, reports: F8, ring: F8, state: I8, code: I8) -> None:
    """Put reports (n, REPORT) of time, address, code (3, n) into the rings of their slots; the oldest of a full ring
    goes. `state` (slots, STATE): see C_USED and after.

    An address whose place does not follow from its nearest report is in doubt for `DOUBT_US`.
    """
    for i in range(slot.size):
        s, new = slot[i], reports[i]
        if s < 0 or math.isnan(new[R_SP]):
            continue
        n = state[s, C_USED]
        near, oldest = -1, 0
        for k in range(n):
            if near < 0 or abs(ring[s, k, R_T] - new[R_T]) < abs(ring[s, near, R_T] - new[R_T]):
                near = k
            if ring[s, k, R_T] < ring[s, oldest, R_T]:
                oldest = k
        if who[2, i] >= 0:
            code[s] = who[2, i]
        if near >= 0:
            old = ring[s, near]
            dt = (new[R_T] - old[R_T]) * 1e-6
            away = 0.0
            moving = not math.isnan(old[R_V])
            for c in range(3):
                v = old[R_V + c] if moving else 0.0
                away += (new[R_X + c] - old[R_X + c] - v * dt) ** 2
            slack = 200.0 + 6.0 * (new[R_SP] + old[R_SP]) + 10.0 * dt * dt + (0.0 if moving else 400.0 * abs(dt))
            if abs(dt) < 30.0 and away > slack * slack:
                state[s, C_DOUBT] = max(state[s, C_DOUBT], who[0, i] + DOUBT_US)
            if abs(dt) < APART_S:
                continue
        if n < REPORTS:
            oldest = n
            state[s, C_USED] = n + 1
        elif new[R_T] <= ring[s, oldest, R_T]:
            continue
        ring[s, oldest] = new
        if who[0, i] > state[s, C_NEWEST]:
            state[s, C_NEWEST], state[s, C_LEAD] = who[0, i], oldest


@njit(f"boolean({_M}, int64, float64, {_V})", cache=True, nogil=True, **BARE)
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


@njit(f"UniTuple(float64, 5)({_V}, {_V})", cache=True, nogil=True, **BARE)
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


@njit("boolean(int64, int64, int64, int64)", cache=True, nogil=True, **BARE)
def _strangers_1(address: int, code: int, key: int, claim_code: int) -> bool:
    """True where address or code say that plot and claim are two objects."""
    if address >= 0:
        return address != key
    return code >= 0 and claim_code >= 0 and code != claim_code


@njit(f"float64({_T}, int64[:, ::1], int64, float64, {_V}, {_M}, {_V})", cache=True, nogil=True, **BARE)
def _rough_1(ring: F8, state: I8, s: int, t_us: float, site: F8, rough: F8, at: F8) -> float:
    """About where a claim is at a time: range and its rate, east, north and their rates seen from a site, into row s.

    Returns the range, NaN where nothing is known. Its newest report carried on, or carried back by a moment, is enough.
    """
    lead, known = state[s, C_LEAD], False
    dt = (t_us - ring[s, lead, R_T]) * 1e-6
    if abs(dt) < 4.0 and not math.isnan(ring[s, lead, R_V]):
        for c in range(3):
            at[3 + c] = ring[s, lead, R_V + c]
            at[c] = ring[s, lead, R_X + c] + at[3 + c] * dt
        known = True
    elif dt < REACH_S + 4.0 and expect_1(ring[s], state[s, C_USED], t_us, at):
        known = True
    if not known:
        return math.nan
    dx, dy, dz = at[0] - site[0], at[1] - site[1], at[2] - site[2]
    r = math.sqrt(dx * dx + dy * dy + dz * dz)
    rough[s, 0] = r
    rough[s, 1] = (at[3] * dx + at[4] * dy + at[5] * dz) / max(r, 100.0)
    rough[s, 2] = site[3] * dx + site[4] * dy + site[5] * dz
    rough[s, 3] = site[6] * dx + site[7] * dy + site[8] * dz
    rough[s, 4] = site[3] * at[3] + site[4] * at[4] + site[5] * at[5]
    rough[s, 5] = site[6] * at[3] + site[7] * at[4] + site[8] * at[5]
    return r


@njit(signature("boolean", HELDS, f"int64, {_V}, {_V}, {_V}, {_V}"), cache=True, nogil=True, **BARE)
def _pair_1(plots: Rec, i: int, site: F8, at: F8, window: F8, p: F8) -> bool:
    """What plot i measured less what a claim at a place lets expect, into p (PAIR,); False beyond the window."""
    row = plots[i].row
    r, az, el, rdot, azdot = seen_from_1(site, at)
    p[P_DR] = row[M_A] - r
    p[P_DAZ] = wrap_pi_1(row[M_B] - az)
    if abs(p[P_DR]) > window[0] or abs(p[P_DAZ]) > window[1] or math.isnan(at[7]):
        return False
    ce, se = math.cos(el), math.sin(el)
    across = max(r * ce, 100.0)
    p[P_DEL] = row[M_C] - el
    p[P_DH] = row[M_H] - geodetic_1(at[0], at[1], at[2])[2] if not math.isnan(row[M_H]) else math.nan
    p[P_R], p[P_RDOT], p[P_AZDOT] = r, rdot, azdot
    p[P_VR] = row[M_SA] ** 2 + ce * ce * at[6] + se * se * at[7]
    p[P_VAZ] = row[M_SB] ** 2 + at[6] / (across * across)
    p[P_VEL] = row[M_SC] ** 2 + (ce * ce * at[7] + se * se * at[6]) / (r * r)
    p[P_VH] = row[M_SH] ** 2 + at[7]
    p[P_VC] = at[6]
    return True


@njit(
    signature(
        "int64", HELDS, f"int64[::1], int64, {_T}, int64[:, ::1], int64[::1], int64[::1], {_V}, {_V}, {_V}, {_V}, {_M}"
    ),
    cache=True,
    nogil=True,
)
def pair_1(
    plots: Rec, chosen: I8, number: int, ring: F8, state: I8, key: I8, claim_code: I8, site: F8, window: F8, bias: F8,
    turn: F8, out: F8,
) -> int:  # fmt: skip
    """Pair plots of one radar with every claim within the window; returns the pairs written to `out`.

    Args:
        plots: POLAR plots; chosen (n,) those to pair, in order of time; number: counter of the first.
        ring, state, key, claim_code: the table of claims, one slot an address.
        window: half widths (range_m, azimuth_rad), and the half width in range of a vote for a turned north mark.
        bias: range offset, gain and azimuth taken as known for those votes.
        turn: votes for a turn of the north mark, one bin a degree, added to.
    """
    n_claims, n = key.size, chosen.size
    if n == 0:
        return 0
    middle_us = plots[chosen[n // 2]].t_us
    rough = np.empty((n_claims, 6))
    at = np.empty(8)
    ring_of = np.full(RINGS, -1, np.int64)
    after = np.empty(n_claims, np.int64)
    for s in range(n_claims - 1, -1, -1):
        if state[s, C_USED] > 0 and state[s, C_DOUBT] < middle_us:
            r = _rough_1(ring, state, s, float(middle_us), site, rough, at)
            if r < RINGS * RING_M:
                k = int(r / RING_M)
                after[s] = ring_of[k]
                ring_of[k] = s
    count = 0
    wide = math.tan(window[1] + 0.01)
    for i in range(n):
        plot = plots[chosen[i]]
        row = plot.row
        ahead_s = (plot.t_us - middle_us) * 1e-6
        measured = row[M_A]
        sa, ca = math.sin(row[M_B]), math.cos(row[M_B])
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
            off = measured - rough[mine, 0] - rough[mine, 1] * ahead_s
            if abs(off) > window[0] + 100.0 or _strangers_1(plot.address, plot.mode3a, key[mine], claim_code[mine]):
                continue
            east, north = rough[mine, 2] + rough[mine, 4] * ahead_s, rough[mine, 3] + rough[mine, 5] * ahead_s
            across, along = sa * north - ca * east, sa * east + ca * north
            if abs(off - bias[0] - bias[1] * rough[mine, 0]) < window[2]:
                turned = wrap_pi_1(math.atan2(across, along) - bias[2])
                turn[int(math.floor(turned * TURN_BINS / (2.0 * math.pi) + 0.5)) % TURN_BINS] += 1.0
            if abs(across) > wide * along or count == out.shape[0]:
                continue
            if not expect_1(ring[mine], state[mine, C_USED], float(plot.t_us), at) or at[6] > SIGMA_MOST_M**2:
                continue
            p = out[count]
            if _pair_1(plots, chosen[i], site, at, window, p):
                p[P_T], p[P_PLOT], p[P_SLOT] = float(plot.t_us), float(number + i), float(mine)
                known = plot.address == key[mine] or (plot.mode3a >= 0 and plot.mode3a == claim_code[mine])
                p[P_KNOWN] = 1.0 if known else 0.0
                count += 1
    return count


class Claims:
    """The last reports of every address. At most `most` addresses: of more, those heard longest ago go."""

    def __init__(self, most: int = 4_096) -> None:
        self._most = most
        self.key: I8 = np.empty(0, np.int64)  # (slots,) address
        self.code: I8 = np.empty(0, np.int64)  # (slots,) Mode 3/A, -1 none
        self.state: I8 = np.empty((0, STATE), np.int64)
        self.ring: F8 = np.empty((0, REPORTS, REPORT))
        self._bucket: I8 = np.full(1 << (2 * most).bit_length(), -1, np.int64)  # slots by address

    def add(self, who: I8, reports: F8) -> I8:
        """Keep reports (n, REPORT) of time, address and code (3, n), in order of time. Returns slots given to other
        addresses than before, of which nothing may be believed any more."""
        key, slot = who[1], np.empty(who.shape[1], np.int64)
        given = np.empty(0, np.int64)
        if find_n(key, self.key, self._bucket, slot):
            new = np.unique(key[(slot < 0) & ~np.isnan(reports[:, R_SP])])[: self._most]
            if len(new):
                given = self._give(new)
                index_1(self.key, self._bucket)
                find_n(key, self.key, self._bucket, slot)
        keep_1(who, slot, reports, self.ring, self.state, self.code)
        return given

    def _give(self, new: I8) -> I8:
        """Slots for new addresses: fresh ones as long as there is room, then those heard longest ago."""
        grown = max(0, min(len(new), self._most - len(self.key)))
        taken = np.argsort(self.state[:, C_NEWEST], kind="stable")[: len(new) - grown]
        self.state = np.concatenate([self.state, np.empty((grown, STATE), np.int64)])
        slots = np.concatenate([np.arange(len(self.key), len(self.key) + grown), taken])
        self.key = np.concatenate([self.key, np.full(grown, -1, np.int64)])
        self.code = np.concatenate([self.code, np.full(grown, -1, np.int64)])
        self.ring = np.concatenate([self.ring, np.full((grown, REPORTS, REPORT), np.nan)])
        self.key[slots], self.code[slots] = new, -1
        self.state[slots] = 0, -(2**62), -(2**62), 0
        return np.asarray(taken, np.int64)

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything needed to go on."""
        return {name: getattr(self, name).copy() for name in ("key", "code", "state", "ring")}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `snapshot`."""
        for name, value in state.items():
            setattr(self, name, value.copy())
        index_1(self.key, self._bucket)
