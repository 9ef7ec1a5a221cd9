"""What is remembered of a flight beside its alerts: the states it passed, where to look for it, the incident it is.

Types only; each is made in the module named beside it. Frozen, plain values: they leave as messages and go on record.
Times are int64 microseconds UTC, -1 none; places are WGS84 radians, NaN none; probabilities 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

Point = tuple[int, float, float, float]  # t_us, lat_rad, lon_rad, height_m above the ellipsoid (NaN: not known)


class PassageKind(StrEnum):
    """What happened between a track and the states under it."""

    FIRST = "first"  # the first state a track was seen over
    ENTER = "enter"
    EXIT = "exit"
    RE_ENTER = "re-enter"  # into a state that this track was over before, after another or none
    SEAM = "seam"  # it flies along the border of two states: neither can be told for minutes, or both in turn
    CLEAR = "clear"  # a seam is over, and it is over the state that it was over before and never surely left


@dataclass(frozen=True, slots=True)
class Passage:
    """One entry of the jurisdiction ledger of a track (`fusion/borders/ledger.py`). EXIT and ENTER of one line share a
    time.
    """

    track: str  # "epoch:counter"
    number: int  # of this track's entries, from 1
    kind: PassageKind
    state: str  # ISO code entered or left, "" for the open sea or where no data is
    other: str  # where it came from (enter), where it went (exit), the second state of a seam, also of one that is over
    t_us: int  # when, as measured: the moment at which both states were equally probable
    sigma_t_s: float
    told_us: int  # tick at which it was sure enough to be told
    lat_rad: float
    lon_rad: float
    sigma_m: float  # of the place, one sigma of each horizontal axis
    probability: float  # when told: to be over `state`, of an exit to be out of it
    disputed: bool  # two states claim the ground
    sea: bool  # territorial sea
    sensors: tuple[str, ...]  # that saw the object in the 30 s before
    plots: int  # fused until then


def state_entered(passage: Passage) -> str | None:
    """The state that a track is over from this entry on, "" the open sea; None: no passage from one to another."""
    if passage.kind in (PassageKind.FIRST, PassageKind.ENTER, PassageKind.RE_ENTER):
        return passage.state
    return "" if passage.kind is PassageKind.EXIT and not passage.other else None


@dataclass(frozen=True, slots=True)
class Contour:
    """Where an object is with a probability: polygons of (lat, lon) radians, closed, each (k, 2) as tuples."""

    probability: float
    area_m2: float
    rings: tuple[tuple[tuple[float, float], ...], ...]


@dataclass(frozen=True, slots=True)
class SearchArea:
    """Where to look for an object that was lost (`fusion/cases/lost.py`). It grows until it is found or `until_us`."""

    track: str
    number: int  # of this track's areas: it is told anew as it grows
    t_us: int  # for which it holds
    lost_us: int  # measured time of the last plot
    why: str  # how the track ended
    lat_rad: float  # last seen
    lon_rad: float
    height_m: float
    speed_mps: float
    course_rad: float
    contours: tuple[Contour, ...]  # in order of probability
    states: tuple[str, ...]  # ISO codes that the widest contour touches
    assumed: tuple[str, ...]  # in words: class, endurance, wind, and where they come from
    ended: bool = False  # seen again, found, or given up; `why` says which


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a person saw or heard (`in/{sensor}/sighting`)."""

    sensor: str
    rx_us: int
    t_us: int  # when it was seen
    id: str  # of the report, by its sender
    lat_rad: float  # of the object, or of the observer where a bearing is given
    lon_rad: float
    sigma_m: float
    bearing_rad: float = np.nan  # from the observer, true north
    sigma_bearing_rad: float = np.nan
    distance_m: float = np.nan  # estimated by the observer
    height_m: float = np.nan  # above ground, estimated by the observer
    words: str = ""  # as said; shown as text, never understood
    reporter: str = ""  # a role, such as "border guard", never a private name
    found: bool = False  # an object on the ground
    elevation_rad: float = np.nan  # above the observer's horizon
    sigma_t_s: float = 60.0  # of the time: people look at the clock afterwards
    response_topic: str = ""  # where the sender wants to hear what became of it
    correlation: bytes = b""


def cited_as(sensor: str, report: str) -> str:
    """How an incident cites a report by its sensor and id."""
    return f"{sensor}/{report}"


@dataclass(frozen=True, slots=True)
class Match:
    """One track, or an earlier sighting, that a sighting may be of."""

    track: str  # "epoch:counter", or "sighting {sensor}/{id}"
    probability: float
    away_m: float  # from where the sighting puts the object to where the track was then, or was last seen
    away_s: float  # the sighting's time less that of the place compared; positive: the sighting was later
    rests_on: str  # "track", "search", "sighting"


@dataclass(frozen=True, slots=True)
class Member:
    """One object of an incident."""

    track: str
    alerts: tuple[str, ...]  # ids, in order of raising
    first_plot_us: int
    confirmed_us: int
    alert_us: int
    state: str  # in sight, coasting, or why it ended
    t_us: int  # last told
    lat_rad: float
    lon_rad: float
    states: tuple[str, ...]  # passed, in order, with repeats; "" the open sea
    identity: str = "unknown"  # of this object, set only by a person
    identity_by: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """What an officer answers for: one object, or a swarm, from the first alert until a person or its end closes it
    (`fusion/incidents.py`). The id is the same after a restart and in a replay."""

    id: str  # 16 hex digits, hash of the id of its first alert
    number: int  # of this transition, from 1
    change: str  # one of fusion.cases.casefile.CHANGES
    state: str  # open, acknowledged, handed-over, closed
    t_us: int  # this transition
    raised_us: int
    severity: int  # of its most severe open alert; the last one once none is open
    worst: int  # most severe ever
    severity_reason: str  # why it is what it is, and what it was before
    title: str
    sentence: str  # of its most urgent member, readable aloud, with the number of the others
    near_state: str
    states: tuple[str, ...]  # ISO codes that its members were over, in order of time, once each
    members: tuple[Member, ...]  # in order of joining
    recipients: tuple[str, ...]
    mode: str = "peace"  # peace, tension, exercise
    simulated: bool = False
    acknowledged_by: str = ""
    acknowledged_us: int = -1
    identity: str = "unknown"  # of all its members, set only by a person
    identity_by: str = ""
    identity_reason: str = ""
    handed_to: str = ""
    handed_by: str = ""
    handed_reason: str = ""
    handed_us: int = -1
    taken_by: str = ""  # the neighbour's own acknowledgement
    taken_us: int = -1
    sightings: tuple[str, ...] = ()  # ids of reports cited as evidence
    close_reason: str = ""
    reopened_us: int = -1  # a member alerted again after it was closed; what was acknowledged before is in the record


class CrowdKind(StrEnum):
    """Why many are one event of an area."""

    FLOCK = "flock"  # slow, silent, many, and with one another: as birds on migration fly
    FIXED = "fixed"  # close together and standing still since first seen: as wind turbines are


@dataclass(frozen=True, slots=True)
class Crowd:
    """Many objects alike as one event of an area (`fusion/redlines/crowds.py`): they raise no alerts of their own."""

    number: int  # counts up from 1; never used twice in one epoch
    kind: CrowdKind
    state: str  # open, over
    since_us: int
    t_us: int
    lat_rad: float  # centre
    lon_rad: float
    radius_m: float  # of the circle around it that holds them all
    count: int  # objects now
    most: int  # the most that it was
    inside: int  # of those now, inside the allied border
    speed_mps: float  # median of all, over ground
    course_rad: float
    spread_mps: float  # median difference from that velocity
    low_m: float  # above ground: nine of ten with a known height are between these; NaN none is known
    high_m: float
    states: tuple[str, ...]  # ISO codes overflown, in the order of the border data
    members: tuple[int, ...]  # track counters, ascending; the first thousand


@dataclass(frozen=True, slots=True)
class Withheld:
    """A red line held, and no alert was raised, because the activity is notified (`fusion/redlines/volumes.py`):
    journalled when it begins and when it ends."""

    track: str
    rule: str
    rule_version: int
    severity: int
    volume: str  # id of the notified activity
    owner: str
    reason: str
    since_us: int
    t_us: int
    lat_rad: float  # where the object was when it began
    lon_rad: float
    ended: str = ""  # why it ended; "" it began


@dataclass(frozen=True, slots=True)
class PassageNoted:
    """A track came over a state or left it."""

    passage: Passage
    ledger: tuple[Passage, ...]  # all entries of its track as they stand, this one among them


@dataclass(frozen=True, slots=True)
class SearchChanged:
    """Where to look for a lost object."""

    area: SearchArea


@dataclass(frozen=True, slots=True)
class SightingJudged:
    """What became of a sighting (`fusion/cases/sightings.py`); told to its sender, and again when a tentative one
    joins.
    """

    sighting: Sighting
    t_us: int
    ok: bool  # False: refused, `detail` says why
    detail: str
    track: str = ""  # it belongs to this one; "" refused, or a tentative object of its own
    matches: tuple[Match, ...] = ()  # the most probable first


@dataclass(frozen=True, slots=True)
class IncidentChanged:
    """An incident was raised or changed: journalled, then published."""

    incident: Incident
    before: tuple[tuple[str, tuple[Point, ...]], ...] = ()  # by track: where who has just entered it had been, to keep


# What is remembered of flights, of all that an engine says.
Noted = PassageNoted | SearchChanged | IncidentChanged | SightingJudged | Withheld | Crowd
