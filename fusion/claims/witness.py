"""What radar knew of every track before a claim came to it: a claim must not take an object out of the watch.

The invariant: *a claim neither confirms nor cancels what radar alone had found.* A track is **bare** once radar has
followed it (three plots, published) while it said nothing. A claim that comes to a bare track is shown, but it exempts
only when something that no sender on the ground can arrange speaks for it:

- it was made within `FIRST_S` of the object's first plot, measured by the sensors' clocks: three quick radars can have
  three plots before a transponder that repeats once a second has been heard at all; or

- radar itself receives a Mode 3/A reply from that place; or
- it is the identity that this track had before it fell silent (a receiver outage); or
- radar had followed this identity elsewhere, claim and plot together, for long enough; or
- it came far from every border that is watched, and radar has agreed with it over two minutes since; or
- no receiver could have heard it before (**out of earshot**: past range or horizon of all of them), radar alone had it
  as fast and as high as airliners fly for a whole minute of that, the claim began as it came into earshot, says the
  same speed, course and height as radar, and radar has agreed with it since.

The last one asks radar, not the claim, what the object is: what radar alone has as low, as slow, of unknown height, or
silent within earshot, stays in the watch however well a claim is timed at a receiver's horizon.

Otherwise the object stays what radar made of it: no less slow and no less low than radar alone had it. The memory goes
over to the track that takes the place of a bare one (merged, landed, lost and found again), so that ending the track
does not help either: times of a first plot and of silence in earshot go over too. A claim that was there before radar
saw anything, or with its first plots, is an ordinary cooperative aircraft and is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fusion.schema import B1, F8, I8, US_PER_S, Tracks

BARE_HITS = 3  # plots of a track that counts as known, as the shipped rules have it
FIRST_S = (
    3.0  # from the first plot to a claim that is still there from the start. ADS-B repeats once a second and more;
)
# no shipped rule alerts so soon (third plot, and then 3 s of dwell), so that no open alert is cancelled
LIVE_S = 30.0
AGREES = 3  # radar plots on a claiming track, over
AGREES_S = 10.0  # this long, and the identity is one that radar has followed
FAR_M = 60_000.0  # outside the border by more than this: twice what counts as near
EARN_S, EARN_AGREES = 120.0, 10  # of agreement, for a claim that came to a bare track far from any border
AIRLINER_MPS, AIRLINER_M = 120.0, 3_000.0  # faster and higher above ground than this, by radar alone, surely
ALOFT_S = 60.0  # like this for so long, out of earshot
EARSHOT_S = 10.0  # from earshot to a claim that begins there: at the edge half of the messages are lost and more
HEIR_S = 60.0  # a bare track may be found again, or taken over, within this
HEIR_M, HEIR_MPS, HEIR_SPEED_MPS = 1_500.0, 15.0, 25.0  # at most this far from where it should be, and as fast
MOST_LOST = 256  # bare tracks remembered after they ended, the newest

FIELDS = (
    "id bare p_low p_slow own key since_us far edge agrees radar_us reply_us state seen_us first_us aloft_us "
    "earshot_us alike_us"
).split()
INHERITED = ("p_low", "p_slow", "first_us", "aloft_us", "earshot_us")


@dataclass(frozen=True, slots=True)
class Sight:
    """What is looked at beside the table; each (n,)."""

    key: I8  # identity claimed, -1 none
    claiming: B1
    coded: B1  # its newest radar plot carried its Mode 3/A code
    p_low: F8
    p_slow: F8
    distance_m: F8  # to the border, positive outside
    followed: B1  # the identity is one that radar has followed
    doubted: B1  # the claim is contradicted now
    airliner: B1  # as fast and as high as AIRLINER_* say, surely
    earshot: B1  # a receiver of ADS-B surely hears what is there; looked at only where it is `airliner`
    alike: B1  # the claim says what the track does: speed, course and height


@dataclass(frozen=True, slots=True)
class Finding:
    """What follows; each (n,)."""

    unproven: B1  # a claim that does not exempt
    replying: B1  # radar received a Mode 3/A code from it lately
    p_low: F8  # at least what radar alone had; NaN where it does not apply
    p_slow: F8
    follows: B1  # radar has now agreed with this identity for long enough


class Witness:
    """Memory of as many rows as the table has, and of the bare tracks that ended lately."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.epoch = -1
        self._table: dict[str, np.ndarray] = _rows(0)
        self._lost: dict[str, np.ndarray] = _rows(0)

    def look(self, tracks: Tracks, sight: Sight, listened_us: int) -> Finding:
        """Take in the table of this moment; by `listened_us` a reply is old."""
        if tracks.epoch != self.epoch:
            self._clear()
            self.epoch = tracks.epoch
        now_us = tracks.t_us
        mine, new = self._align(tracks.id, tracks.birth_us, now_us)
        live = (tracks.radar_us >= 0) & (now_us - tracks.radar_us <= LIVE_S * US_PER_S)
        plot = tracks.radar_us > mine["radar_us"]
        was_live = (mine["radar_us"] >= 0) & (now_us - mine["radar_us"] <= LIVE_S * US_PER_S)
        mine["reply_us"] = np.where(sight.coded, tracks.radar_us, mine["reply_us"])
        replying = (mine["reply_us"] >= 0) & (listened_us - mine["reply_us"] <= LIVE_S * US_PER_S)
        self._inherit(tracks, mine, (new | ~was_live) & live & ~replying & ~sight.followed, now_us)
        alone = live & ~sight.claiming & ~replying & (tracks.hits >= BARE_HITS)
        mine["bare"] |= alone
        for name in ("p_low", "p_slow"):
            mine[name] = np.where(alone, getattr(sight, name), mine[name])
        mine["aloft_us"] = np.where(alone, _since(mine["aloft_us"], sight.airliner, now_us), mine["aloft_us"])
        heard = alone & sight.airliner & sight.earshot & (mine["earshot_us"] < 0)
        mine["earshot_us"] = np.where(heard, now_us, mine["earshot_us"])
        begins = sight.claiming & ((mine["since_us"] < 0) | (sight.key != mine["key"]))
        self._begin(mine, tracks, begins)
        mine["far"] = np.where(begins, ~(sight.distance_m <= FAR_M), mine["far"])
        mine["since_us"] = np.where(sight.claiming, np.where(begins, now_us, mine["since_us"]), -1)
        mine["key"] = np.where(sight.claiming, sight.key, -1)
        mine["agrees"] = np.where(begins | ~sight.claiming, 0, mine["agrees"] + (plot & live))
        self._prove(mine, sight, now_us)
        mine["radar_us"] = np.maximum(tracks.radar_us, mine["radar_us"])
        mine["state"] = np.where((plot | new)[:, None], tracks.state, mine["state"])
        mine["seen_us"] = np.where(plot | new, now_us, mine["seen_us"])
        self._table = mine
        unproven = mine["bare"] & sight.claiming & ~replying
        held_s = (now_us - mine["since_us"]) / US_PER_S
        follows = sight.claiming & ~mine["bare"] & ~sight.doubted & (sight.key >= 0)
        follows &= (mine["agrees"] >= AGREES) & (held_s >= AGREES_S)
        return Finding(
            unproven,
            replying,
            np.where(unproven, mine["p_low"], np.nan),
            np.where(unproven, mine["p_slow"], np.nan),
            follows,
        )

    def _begin(self, mine: dict[str, np.ndarray], tracks: Tracks, begins: B1) -> None:
        """Claims that begin: with the first plots, or at the edge of earshot."""
        claim_us = tracks.claim_us
        mine["bare"] &= ~(begins & (claim_us - mine["first_us"] <= FIRST_S * US_PER_S))
        aloft = (mine["aloft_us"] >= 0) & (claim_us - mine["aloft_us"] >= ALOFT_S * US_PER_S)
        silent = (mine["earshot_us"] >= 0) & (claim_us - mine["earshot_us"] > EARSHOT_S * US_PER_S)
        mine["edge"] = np.where(begins, aloft & ~silent & (tracks.address >= 0), mine["edge"])

    def beside(self, place: F8, t_us: I8, key: I8, within_m: float) -> B1:
        """(n,) ECEF places (n, 3) at t_us within a distance of a bare track, of an identity that is not its own."""
        bare = np.flatnonzero(self._table["bare"])
        if not len(bare) or not len(place):
            return np.zeros(len(place), np.bool_)
        state, seen_us, own = (self._table[name][bare] for name in ("state", "seen_us", "own"))
        age_s = np.clip((t_us[:, None] - seen_us[None]) / US_PER_S, -HEIR_S, HEIR_S)
        apart = place[:, None, :] - state[None, :, :3] - state[None, :, 3:] * age_s[:, :, None]
        near = ((apart**2).sum(axis=2) <= within_m**2) & (own[None] != key[:, None])
        return np.asarray(near.any(axis=1), np.bool_)

    def snapshot(self) -> dict[str, Any]:
        """Everything needed to go on."""
        table = {name: column.copy() for name, column in self._table.items()}
        return {"epoch": self.epoch, "table": table, "lost": {n: c.copy() for n, c in self._lost.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        self.epoch = state["epoch"]
        self._table = {name: column.copy() for name, column in state["table"].items()}
        self._lost = {name: column.copy() for name, column in state["lost"].items()}

    def _align(self, ids: I8, birth_us: I8, now_us: int) -> tuple[dict[str, np.ndarray], B1]:
        """The memory in the order of the table, and which rows are new; bare rows that left go to `_lost`."""
        old = self._table
        here = np.minimum(np.searchsorted(ids, old["id"]), max(len(ids) - 1, 0))
        gone = old["bare"] & (ids[here] != old["id"]) if len(ids) else old["bare"]
        if gone.any():
            self._lost = {name: np.concatenate([self._lost[name], old[name][gone]])[-MOST_LOST:] for name in FIELDS}
        fresh = now_us - self._lost["seen_us"] <= HEIR_S * US_PER_S
        if not fresh.all():
            self._lost = {name: column[fresh] for name, column in self._lost.items()}
        mine = _rows(len(ids))
        at = np.minimum(np.searchsorted(old["id"], ids), max(len(old["id"]) - 1, 0))
        kept = old["id"][at] == ids if len(old["id"]) else np.zeros(len(ids), np.bool_)
        for name in FIELDS:
            mine[name][kept] = old[name][at[kept]]
        mine["id"] = ids.copy()
        mine["first_us"][~kept] = birth_us[~kept]
        return mine, ~kept

    def _inherit(self, tracks: Tracks, mine: dict[str, np.ndarray], may: B1, now_us: int) -> None:
        """Rows that radar took up just now, where a bare track is or should be, are that object."""
        rows = np.flatnonzero(may & ~mine["bare"])
        if not len(rows):
            return
        bare = mine["bare"]
        state = np.concatenate([self._lost["state"], mine["state"][bare]])
        seen_us = np.concatenate([self._lost["seen_us"], mine["seen_us"][bare]])
        if not len(state):
            return
        age_s = (now_us - seen_us) / US_PER_S
        place = state[:, :3] + state[:, 3:] * age_s[:, None]
        apart_m = np.sqrt(((tracks.state[rows, None, :3] - place[None]) ** 2).sum(axis=2))
        apart_mps = np.sqrt(((tracks.state[rows, None, 3:] - state[None, :, 3:]) ** 2).sum(axis=2))
        heirs = (apart_m <= HEIR_M + HEIR_MPS * age_s) & (apart_mps <= HEIR_SPEED_MPS) & (age_s <= HEIR_S)
        nearest = np.argmin(np.where(heirs, apart_m, np.inf), axis=1)
        for name in INHERITED:
            source = np.concatenate([self._lost[name], mine[name][bare]])
            mine[name][rows] = np.where(heirs.any(axis=1), source[nearest], mine[name][rows])
        mine["own"][rows] = np.where(heirs.any(axis=1), -1, mine["own"][rows])
        mine["bare"][rows] = heirs.any(axis=1)

    def _prove(self, mine: dict[str, np.ndarray], sight: Sight, now_us: int) -> None:
        """A claim on a bare row that has earned it makes the row an ordinary one again."""
        held_s = (now_us - mine["since_us"]) / US_PER_S
        earned = mine["far"] & (held_s >= EARN_S) & (mine["agrees"] >= EARN_AGREES)
        known = (sight.key >= 0) & (sight.key == mine["own"])
        mine["alike_us"] = _since(mine["alike_us"], sight.alike & sight.claiming, now_us)
        alike = (mine["alike_us"] >= 0) & (now_us - mine["alike_us"] >= AGREES_S * US_PER_S)
        came = mine["edge"] & alike & (held_s >= AGREES_S) & (mine["agrees"] >= AGREES)
        proven = sight.claiming & ~sight.doubted & (known | sight.followed | earned | came)
        mine["bare"] &= ~proven
        mine["own"] = np.where(sight.claiming & ~mine["bare"], sight.key, mine["own"])


def _since(before_us: I8, true: B1, now_us: int) -> I8:
    """Since when it has been true without a break; -1 where it is not."""
    return np.where(true, np.where(before_us < 0, now_us, before_us), -1)


def _rows(n: int) -> dict[str, np.ndarray]:
    """n rows of which nothing is known."""
    times = [name for name in FIELDS if name.endswith("_us")]
    never = {name: np.full(n, -1, np.int64) for name in ("id", "own", "key", *times)}
    flags = {name: np.zeros(n, np.bool_) for name in ("bare", "far", "edge")}
    numbers = {name: np.full(n, np.nan) for name in ("p_low", "p_slow")}
    table = {**never, **flags, **numbers, "agrees": np.zeros(n, np.int64), "state": np.zeros((n, 6))}
    return {name: table[name] for name in FIELDS}
