"""Can what an object reports of itself be true?

ADS-B and Remote ID are claims. A claim is contradicted when radar that covers the place keeps missing the object, or
sees it elsewhere, when the same 24-bit address is alive at two places, or when the reported flight cannot be. What
needs memory is found by `fusion/claims/history.py`; here it is joined with the picture. Nothing here says why: a faulty
transponder and a false report look the same. docs/explanation/integrity.md tells the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np

from fusion.claims.history import Doubts
from fusion.schema import B1, F8, I1, I8, US_PER_S, Tracks


class Motion(Protocol):
    """The part of `ZoneFacts` or `Assessment` that is looked at here; each (n,)."""

    @property
    def height_m(self) -> F8: ...
    @property
    def height_known(self) -> B1: ...
    @property
    def sigma_height_m(self) -> F8: ...
    @property
    def sigma_horizontal_m(self) -> F8: ...
    @property
    def course_rad(self) -> F8: ...
    @property
    def speed_mps(self) -> F8: ...
    @property
    def sigma_speed_mps(self) -> F8: ...
    @property
    def climb_mps(self) -> F8: ...


class Reason(IntEnum):
    """Why a claim is contradicted; the last one, why a claim that is not contradicted does not exempt."""

    NONE = 0
    UNSEEN_BY_RADAR = 1
    DUPLICATE_ADDRESS = 2
    IMPOSSIBLE_MOTION = 3
    SEEN_ELSEWHERE = 4
    POSITION_JUMP = 5
    POSITION_AGAINST_VELOCITY = 6
    POSITION_FROZEN = 7
    REPLAYED = 8
    UNPROVEN = 9


REASON_TEXTS = {
    Reason.UNSEEN_BY_RADAR: "radar that covers the place does not see it",
    Reason.DUPLICATE_ADDRESS: "the same address is reported at another place",
    Reason.IMPOSSIBLE_MOTION: "the reported flight is not possible for the reported kind of aircraft",
    Reason.SEEN_ELSEWHERE: "radar sees it at another place than it reports",
    Reason.POSITION_JUMP: "its reported position jumped further than it can have flown",
    Reason.POSITION_AGAINST_VELOCITY: "its reported positions do not agree with its reported speed and course",
    Reason.POSITION_FROZEN: "its reported position stands still while it reports speed",
    Reason.REPLAYED: "it repeats the very positions of an earlier flight",
    Reason.UNPROVEN: "its report began only after radar had followed it without one",
}


def doubt_text(reason: int) -> str:
    """What an officer is told of a claim that is doubted, as part of a sentence; empty for Reason.NONE."""
    if reason == Reason.NONE:
        return ""
    means = "does not exempt it" if reason == Reason.UNPROVEN else "contradicted"
    return f"its own report {means} because {REASON_TEXTS[Reason(reason)]}"


@dataclass(frozen=True, slots=True)
class IntegrityParams:
    """Limits, each with its reason."""

    unseen_log_p: float = float(np.log(0.005))  # one chance in 200 that radar missed a real object so often
    lost_log_p: float = float(np.log(1e-4))  # ... in 10,000 where radar had seen it: it was there, and among hundreds
    # that fly for hours at the edge of one radar, some are missed six times in a row every hour
    live_s: float = 30.0  # a claim or radar plot older than this says nothing of now
    duplicate_live_s: float = 10.0  # both of two like addresses refreshed within this: ADS-B repeats each second,
    # and an abandoned track of the same aircraft is not a second aircraft
    duplicate_m: float = 3_000.0  # apart by more than this and
    duplicate_sigmas: float = 5.0  # more than this many sigmas of both: nearer ones may be one aircraft tracked twice
    sigmas: float = 3.0  # of speed or height: a limit counts as broken only beyond noise
    climb_mps: float = 150.0  # sustained; an airliner climbs at 20, a fast jet at 200 in a zoom
    height_m: float = 21_000.0  # service ceiling of anything that breathes air but a handful of types
    twin_m: float = 6_000.0  # from a claim to the radar track that is the same flight out of place: 0.5 degrees at
    # 400 km, or 25 s late at 240 m/s
    twin_mps: float = 15.0  # and as fast, on the same course, within this and sigmas of both
    code_m: float = 100_000.0  # a discrete Mode 3/A code belongs to one flight in an area of this size (ICAO Doc 4444)
    around_m: float = 150_000.0  # claims that radar sees in place, this near, speak for the radar


# Ground speed limits by emitter category (CAT021 I020), m/s, tail wind included; NaN: the general limit.
_GENERAL_MPS = 1_000.0  # above the fastest aircraft in service
_FASTEST_MPS = np.full(128, np.nan)
_FASTEST_MPS[1] = 300.0  # light, up to 15,500 lb: light jets 220, jet stream 80
_FASTEST_MPS[2:6] = 420.0  # small to heavy: the ground speed record of an airliner is 369
_FASTEST_MPS[10] = 180.0  # rotorcraft: 131 by the fastest compound, wind 40
_FASTEST_MPS[11] = 150.0  # gliders: 78 never exceed, wave flights in 60 of wind
_FASTEST_MPS[12] = 120.0  # lighter than air: the jet stream
_FASTEST_MPS[15] = 100.0  # ultralight, hang glider, paraglider
_FASTEST_MPS[20:22] = 90.0  # surface vehicles
_FASTEST_MPS[22:25] = 10.0  # obstacles
_MANOEUVRABLE, _BALLOON, _SPACE = 6, 12, 14  # categories that may climb or fly beyond the general limits


@dataclass(frozen=True, slots=True)
class Integrity:
    """For each row of a `Tracks` table."""

    contradicted: B1  # (n,)
    reason: I1  # (n,) Reason; UNPROVEN where the claim stands uncontradicted but does not exempt


def check(
    tracks: Tracks, motion: Motion, params: IntegrityParams | None = None, doubts: Doubts | None = None
) -> Integrity:
    """Judge the claims of every row; rows without a live claim are never contradicted.

    `doubts` is what `ClaimWatch.look` said of the same table; without it only the table itself is judged.
    """
    params = params or IntegrityParams()
    claim_live = live(tracks.claim_us, tracks.t_us, params.live_s)
    radar_live = live(tracks.radar_us, tracks.t_us, params.live_s)
    reason = np.zeros(len(tracks), np.int8) if doubts is None else doubts.reason.copy()
    excused = np.zeros(len(tracks), np.bool_) if doubts is None else doubts.excused
    # The last written wins, so the strongest evidence is written last.
    reason[claim_live & impossible(tracks, motion, params) & ~excused] = Reason.IMPOSSIBLE_MOTION
    twice = duplicated(tracks, motion, params)
    twice |= (reason == Reason.DUPLICATE_ADDRESS) & ~_keeps_address(tracks, radar_live)
    reason[reason == Reason.DUPLICATE_ADDRESS] = Reason.NONE
    reason[claim_live & twice] = Reason.DUPLICATE_ADDRESS
    least_log_p = np.where(tracks.radar_us >= 0, params.lost_log_p, params.unseen_log_p)
    unseen = claim_live & ~radar_live & (tracks.unseen < least_log_p) & ~excused
    unseen &= ~_seen_as_twin(tracks, unseen, radar_live, params)
    elsewhere, in_doubt = seen_elsewhere(tracks, motion, unseen, radar_live, params)
    reason[unseen & ~in_doubt] = Reason.UNSEEN_BY_RADAR
    reason[elsewhere] = Reason.SEEN_ELSEWHERE
    reason[~claim_live] = Reason.NONE
    contradicted = reason != Reason.NONE
    if doubts is not None:
        reason[~contradicted & doubts.unproven] = Reason.UNPROVEN
    return Integrity(contradicted, reason)


def live(last_us: I8, t_us: int, within_s: float) -> B1:
    """(n,) where something last happened within `within_s` before `t_us`; -1 is never."""
    return np.asarray((last_us >= 0) & (t_us - last_us <= within_s * US_PER_S), np.bool_)


def impossible(tracks: Tracks, motion: Motion, params: IntegrityParams) -> B1:
    """(n,) where speed, climb or height is beyond the reported kind of aircraft."""
    category = np.clip(tracks.category, 0, len(_FASTEST_MPS) - 1)
    limit_mps = np.where(np.isnan(_FASTEST_MPS[category]), _GENERAL_MPS, _FASTEST_MPS[category])
    limit_mps = np.where(category == _SPACE, np.inf, limit_mps)
    steep = np.abs(motion.climb_mps) - params.sigmas * motion.sigma_speed_mps > params.climb_mps
    high = motion.height_known & (motion.height_m - params.sigmas * motion.sigma_height_m > params.height_m)
    too_fast = motion.speed_mps - params.sigmas * motion.sigma_speed_mps > limit_mps
    may_climb = (category == _MANOEUVRABLE) | (category == _SPACE)
    may_be_high = may_climb | (category == _BALLOON)
    return np.asarray(too_fast | (steep & ~may_climb) | (high & ~may_be_high), np.bool_)


def duplicated(tracks: Tracks, motion: Motion, params: IntegrityParams) -> B1:
    """(n,) where the address is alive at another place too.

    When radar sees exactly one object of a group, that one keeps its address and the others are contradicted; when it
    sees none or several, all are, because nothing tells which of them the address belongs to.
    """
    result = np.zeros(len(tracks), np.bool_)
    fresh = live(tracks.claim_us, tracks.t_us, params.duplicate_live_s) & (tracks.address >= 0)
    rows = np.flatnonzero(fresh)
    rows = rows[np.argsort(tracks.address[rows], kind="stable")]
    _, starts, counts = np.unique(tracks.address[rows], return_index=True, return_counts=True)
    radar_live = live(tracks.radar_us, tracks.t_us, params.live_s)
    for group in np.flatnonzero(counts > 1):
        members = rows[starts[group] : starts[group] + counts[group]]
        apart = _apart(tracks, motion, members, params)
        members = members[apart]
        seen = radar_live[members]
        result[members[~seen] if np.count_nonzero(seen) == 1 else members] = True
    return result


def _apart(tracks: Tracks, motion: Motion, members: I8, params: IntegrityParams) -> B1:
    """(m,) where a member is too far from some other member to be the same object."""
    place = tracks.state[members, :3]
    difference = place[:, None, :] - place[None, :, :]
    distance_m = np.sqrt((difference**2).sum(axis=2))
    sigma_m = motion.sigma_horizontal_m[members]
    limit_m = params.duplicate_m + params.duplicate_sigmas * (sigma_m[:, None] + sigma_m[None, :])
    return np.asarray((distance_m > limit_m).any(axis=1), np.bool_)


def _keeps_address(tracks: Tracks, radar_live: B1) -> B1:
    """(n,) the one row of its address that radar sees."""
    rows = np.flatnonzero(radar_live & (tracks.address >= 0))
    _, first, counts = np.unique(tracks.address[rows], return_index=True, return_counts=True)
    result = np.zeros(len(tracks), np.bool_)
    result[rows[first[counts == 1]]] = True
    return result


def seen_elsewhere(
    tracks: Tracks, motion: Motion, unseen: B1, radar_live: B1, params: IntegrityParams
) -> tuple[B1, B1]:
    """Of the rows `unseen` in place: (those that radar sees elsewhere, those of which nothing is said), each (n,).

    The flight out of place is a radar track that claims nothing and has the same discrete Mode 3/A code, or the same
    motion nearby. Where more claims are out of place than radar sees in place, it is the radar that is wrong
    (registration), or nobody can tell: then nothing is said.
    """
    elsewhere, in_doubt = np.zeros(len(tracks), np.bool_), np.zeros(len(tracks), np.bool_)
    mine = np.flatnonzero(unseen)
    alone = np.flatnonzero(radar_live & ~live(tracks.claim_us, tracks.t_us, params.live_s))
    if not len(mine) or not len(alone):
        return elsewhere, in_doubt
    place = tracks.state[:, :3]
    twin = _near(place[mine], place[alone], params.twin_m) & _same_motion(motion, mine, alone, params)
    twin |= _near(place[mine], place[alone], params.code_m) & _same_code(tracks, mine, alone)
    out = mine[twin.any(axis=1)]
    if not len(out):
        return elsewhere, in_doubt
    good = np.flatnonzero(radar_live & live(tracks.claim_us, tracks.t_us, params.live_s))
    agree = _near(place[out], place[good], params.around_m).sum(axis=1)
    trusted = agree >= _near(place[out], place[out], params.around_m).sum(axis=1)
    elsewhere[out[trusted]] = True
    in_doubt[out] = True
    return elsewhere, in_doubt


def _seen_as_twin(tracks: Tracks, unseen: B1, radar_live: B1, params: IntegrityParams) -> B1:
    """(n,) rows whose address has another track in the same place, which radar sees: one aircraft tracked twice."""
    result = np.zeros(len(tracks), np.bool_)
    mine, others = np.flatnonzero(unseen), np.flatnonzero(radar_live)
    same = (tracks.address[mine, None] == tracks.address[None, others]) & (tracks.address[mine, None] >= 0)
    same &= _near(tracks.state[mine, :3], tracks.state[others, :3], params.duplicate_m)
    result[mine] = same.any(axis=1)
    return result


def _near(a_m: F8, b_m: F8, within_m: float) -> B1:
    """(a, b) which places (.., 3) are within a distance."""
    return np.asarray(((a_m[:, None, :] - b_m[None, :, :]) ** 2).sum(axis=2) <= within_m**2, np.bool_)


def _same_motion(motion: Motion, mine: I8, alone: I8, params: IntegrityParams) -> B1:
    east, north = motion.speed_mps * np.sin(motion.course_rad), motion.speed_mps * np.cos(motion.course_rad)
    apart = np.hypot(east[mine, None] - east[None, alone], north[mine, None] - north[None, alone])
    sigma = motion.sigma_speed_mps[mine, None] + motion.sigma_speed_mps[None, alone]
    return np.asarray(apart <= params.twin_mps + params.sigmas * sigma, np.bool_)


def _same_code(tracks: Tracks, mine: I8, alone: I8) -> B1:
    """(mine, alone) of one discrete Mode 3/A code; codes that end in 00 are shared by many, 7777 is a test."""
    code = tracks.mode3a
    discrete = (code >= 0) & (code % 64 != 0) & (code != 0o7777)
    return np.asarray((code[mine, None] == code[None, alone]) & discrete[mine, None], np.bool_)
