"""Alerts on drawn nights, counted as DESIGN 5 says; a campaign is many nights, each a piece of its own.

A *positive* is a drone-class object that in truth is slow, low, and near or inside the border (inside: having been
outside), silent, and within some sensor's coverage, for 10 s without a break. It is *hit* when an alert about it is
raised before 20 s after that. Every other alerted object is a *false* one, and so is every alerted track on nothing.
A drone that is never low, or never within coverage for so long, is neither: it is counted as `other`.

The watch has been on for BEFORE_S when the night begins: what was raised and closed before does not count, what is
still open does. In the first minutes after a start everything is new at once, and what is new is told; that is judged
apart (`cold`).

Within coverage: some sensor finds the object with at least COVERED in one look, all of range, horizon, and echo taken
into account. An alert is about the object that its track is nearest to in place and velocity when it is raised.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from adapters.service import engine_of
from fusion import geo
from fusion.engine import Engine
from fusion.schema import B1, F8, US_PER_S, Alert, AlertChanged, Event, SensorKind
from fusion.zones import AGL, DISTANCE, Zones
from replay import night
from replay.plan import Plan
from replay.simulate import Scenario
from replay.sky import Sky
from tests import shipped
from tests.classsky import KIND_CLASS, paired

DRONES = ("FIXED_WING_DRONE", "SMALL_MULTICOPTER", "FAST_LOW_FLYER")
STEP_S = 2.0  # of the truth
HOLDS_S, WITHIN_S = 10.0, 20.0
COVERED = 0.5
WARNING_S = 60.0
BEFORE_S = 300.0  # the watch has been on for so long when the night begins
SETTLED_S = 40.0  # an object that is within coverage for so long could have been known: 10 s, 20 s, and a slow turn
TICK_US, PICTURE_MS = 500_000, 1_000  # coarser than the service's 100 ms, for speed: alerts come up to 1 s later
THEATRES = ("baltic", "poland-east", "danube")


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the objects of one scene."""

    positives: tuple[str, ...]
    hit: tuple[str, ...]
    quick: tuple[str, ...]  # of these, within 20 s of the beginning of the 10 s
    false: tuple[tuple[str, str, float], ...]  # object ("" none), its first rule, second of the scene
    other: tuple[str, ...]  # drones that are no positives, alerted
    late: tuple[tuple[str, float, float], ...]  # positives not hit: when it was one, its first alert (inf none)
    crossings: tuple[str, ...]  # positives that cross inwards, in coverage for long enough before to be warned of
    warned: tuple[str, ...]  # of these, alerted 60 s before
    raised: int
    hours: float

    def counts(self) -> dict[str, int]:
        """What a campaign adds up."""
        sizes = {
            n: len(getattr(self, n)) for n in ("positives", "hit", "quick", "false", "other", "crossings", "warned")
        }
        return sizes | {"raised": self.raised, "seconds": round(self.hours * 3_600)}


@dataclass(frozen=True, slots=True)
class Met:
    """From when on an object is a positive, when it crosses inwards, and whether it could be warned of; inf: never."""

    from_s: float
    crosses_s: float
    foreseeable: bool


def shipped_engine(scene: Scenario) -> Engine:
    """An engine as the shipped configuration makes it, with the sensors of the scene."""
    config = replace(
        shipped.configuration(),
        sensors=scene.sensors,
        formats={s.spec.id: s.format for s in scene.plan.sensors},
        simulated=True,
        picture_ms=PICTURE_MS,
    )
    return engine_of(config, shipped.zones(), 1)


def met(plan: Plan) -> dict[str, Met]:
    """Every drone of the plan that is a positive at some time, by the truth."""
    zones, words, sky = shipped.zones(), shipped.rules().words, Sky(plan)
    drones = [row for row, o in enumerate(plan.objects) if KIND_CLASS.get(o.kind) in DRONES and not o.cooperative]
    if not drones:
        return {}
    times = np.arange(0.0, plan.duration_s, STEP_S)
    rows = np.array(drones)
    shape = len(times), len(rows)
    holds: B1 = np.zeros(shape, np.bool_)
    out_m: F8 = np.zeros(shape)
    been_out = np.zeros(len(rows), np.bool_)
    for k, t_s in enumerate(times.tolist()):
        xyz, velocity, alive = sky.fleet.at(t_s, rows)
        distance_m, agl_m = _ground(zones, xyz)
        seen = alive & covered(sky, plan, rows, xyz)
        near = (distance_m > 0.0) & (distance_m <= words.near_m)
        been_out |= alive & near
        slow = _ground_speed(xyz, velocity) <= words.slow_mps
        inside = (distance_m <= 0.0) & been_out
        holds[k] = seen & slow & (agl_m <= words.low_m) & (near | inside)
        out_m[k] = np.where(alive, distance_m, np.nan)
    found = {}
    for k, row in enumerate(drones):
        from_s = _first_run(times, holds[:, k], HOLDS_S)
        if math.isfinite(from_s):
            found[plan.objects[row].id] = _met(times, from_s, out_m[:, k], holds[:, k])
    return found


def _met(times: F8, from_s: float, out_m: F8, holds: B1) -> Met:
    """The first crossing that goes a kilometre deep, and whether it held for long enough before to warn of it."""
    deep = np.flatnonzero(out_m < -1_000.0)
    before = np.flatnonzero(out_m[: deep[0]] > 0.0) if len(deep) else deep
    if not len(before):
        return Met(from_s, math.inf, False)
    crosses_s = float(times[before[-1] + 1])
    span = (times >= crosses_s - WARNING_S - SETTLED_S) & (times < crosses_s)
    long_enough = crosses_s - times[0] >= WARNING_S + SETTLED_S
    return Met(from_s, crosses_s, bool(long_enough and holds[span].all()))


def _first_run(times: F8, holds: B1, lasts_s: float) -> float:
    """When it has first held for so long; inf never."""
    since = math.inf
    for t_s, true in zip(times.tolist(), holds.tolist(), strict=True):
        since = min(since, t_s) if true else math.inf
        if t_s - since >= lasts_s:
            return float(t_s)
    return math.inf


def _ground(zones: Zones, xyz: F8) -> tuple[F8, F8]:
    """Distance to the border (out +) and height above ground of true places (n, 3)."""
    state = np.concatenate([xyz, np.zeros_like(xyz)], axis=1)
    out, _ = zones._fill(state, np.zeros((len(xyz), 6, 6)))
    return out[:, DISTANCE].copy(), out[:, AGL].copy()


def covered(sky: Sky, plan: Plan, rows: np.ndarray, xyz: F8) -> B1:
    """(n,) whether one look of some radar finds the objects `rows`, at true places (n, 3), with an even chance."""
    best = np.zeros(len(rows))
    for sensor in plan.sensors:
        if sensor.spec.kind in (SensorKind.RADAR_2D, SensorKind.RADAR_3D):
            best = np.maximum(best, sky.radar_chance(sensor, rows, xyz)[0])
    return np.asarray(best >= COVERED, np.bool_)


def _ground_speed(xyz: F8, velocity: F8) -> F8:
    lat, lon, _ = geo.geodetic(xyz)
    axes = geo.enu_axes(lat, lon)
    return np.asarray(np.hypot(*(np.einsum("nj,nj->n", axes[:, k], velocity) for k in (0, 1))), np.float64)


@dataclass(frozen=True, slots=True)
class Told:
    """What was alerted: by object, when first, and the first that counts: open after BEFORE_S, or raised later."""

    first: dict[str, float]  # second of the scene
    counted: dict[str, tuple[float, str]]  # second, and rule
    raised: int  # after BEFORE_S


def told(scene: Scenario, before_s: float = BEFORE_S) -> Told:
    """Every alert of a scene, by the object that its track is on when it is raised.

    An alerted track on nothing has a name of its own, "nothing:" and the track.
    """
    first: dict[str, float] = {}
    counted: dict[str, tuple[float, str]] = {}
    still: dict[str, tuple[str, str]] = {}  # alert id -> object and rule, of what is open before it counts
    raised = 0
    engine = shipped_engine(scene)
    for tick_us, events in _played(engine, scene):
        t_s = (tick_us - scene.start_us) / US_PER_S
        alerts = [e.alert for e in events if isinstance(e, AlertChanged)]
        if t_s > before_s and still:
            counted |= {about: (before_s, rule) for about, rule in still.values()}
            still = {}
        for alert in alerts:
            if alert.state == "closed":
                still.pop(alert.id, None)
        new = [alert for alert in alerts if alert.state == "raised"]
        for alert, about in zip(new, _abouts(engine, scene, new, tick_us), strict=True):
            first.setdefault(about, t_s)
            if t_s <= before_s:
                still[alert.id] = about, alert.rule
            else:
                counted.setdefault(about, (t_s, alert.rule))
                raised += 1
    return Told(first, counted, raised)


def _played(engine: Engine, scene: Scenario) -> Iterator[tuple[int, list[Event]]]:
    waiting = scene.batches()
    batch = next(waiting, None)
    for tick_us in range(scene.start_us + TICK_US, scene.end_us + 1, TICK_US):
        while batch is not None and batch.rx_us <= tick_us:
            engine.feed(batch)
            batch = next(waiting, None)
        yield tick_us, engine.tick(tick_us)


def _abouts(engine: Engine, scene: Scenario, alerts: Sequence[Alert], tick_us: int) -> list[str]:
    if not alerts:
        return []
    tracks, truth = engine.tracker.table(tick_us), scene.truth(tick_us)
    on = paired(tracks, engine.zones.facts(tracks), truth)
    names = [tracks.name(row) for row in range(len(tracks))]
    rows = [int(on[names.index(alert.track)]) for alert in alerts]
    return [truth.id[row] if row >= 0 else f"nothing:{a.track}" for row, a in zip(rows, alerts, strict=True)]


def account_of(plan: Plan, alerts: Told, before_s: float = BEFORE_S) -> Account:
    """Alerts against the truth."""
    kinds = {o.id: KIND_CLASS.get(o.kind, "") for o in plan.objects}
    drones = {o.id for o in plan.objects if kinds[o.id] in DRONES and not o.cooperative}
    all_met = met(plan)
    before = {name for name, m in all_met.items() if m.from_s <= before_s}
    positives = {name: m for name, m in all_met.items() if name not in before}
    at_s = {name: alerts.first.get(name, math.inf) for name in positives}
    hit = tuple(n for n, m in positives.items() if at_s[n] <= m.from_s + WITHIN_S)
    crossings = tuple(n for n, m in positives.items() if m.foreseeable)
    return Account(
        positives=tuple(positives),
        hit=hit,
        quick=tuple(n for n, m in positives.items() if at_s[n] <= m.from_s - HOLDS_S + WITHIN_S),
        false=tuple((n, rule, t) for n, (t, rule) in sorted(alerts.counted.items()) if n not in drones),
        other=tuple(n for n in sorted(alerts.counted) if n in drones and n not in positives and n not in before),
        late=tuple((n, positives[n].from_s, at_s[n]) for n in positives if n not in hit),
        crossings=crossings,
        warned=tuple(n for n in crossings if at_s[n] <= positives[n].crosses_s - WARNING_S),
        raised=alerts.raised,
        hours=(plan.duration_s - before_s) / 3_600,
    )


def watched(plan: Plan) -> Account:
    """The account of one scene, run through the engine as shipped."""
    return account_of(plan, told(Scenario(plan)))


@cache
def mixed(seed: int, duration_s: float = 1_500.0) -> Plan:
    """The mixed night of a seed, in the theatres by turns."""
    return night.night(THEATRES[seed % len(THEATRES)], shipped.zones().at, seed, duration_s)


def run(piece: int) -> dict[str, int]:
    """One mixed night of the campaign."""
    found = watched(mixed(piece))
    false = Counter(f"false:{name.split(':')[0].split('-')[0]}" for name, _, _ in found.false)
    return found.counts() | dict(false)


def interval(part: int, whole: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if not whole:
        return 0.0, 1.0
    z, p = 1.96, part / whole
    middle, half = p + z * z / (2 * whole), z * math.sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole))
    return (middle - half) / (1 + z * z / whole), (middle + half) / (1 + z * z / whole)


def added(counts: Sequence[dict[str, int]]) -> Counter[str]:
    """All pieces together."""
    total: Counter[str] = Counter()
    for piece in counts:
        total.update(piece)
    return total


def civil(number: int, duration_s: float = 1_200.0) -> dict[str, int]:
    """A busy day of 500 civil flights at the border: every raised alert is a nuisance."""
    plan = night.night(THEATRES[number % len(THEATRES)], shipped.zones().at, number, duration_s, mix=night.CIVIL)
    found = told(Scenario(plan), BEFORE_S)
    about = Counter(f"false:{name.split(':')[0].split('-')[0]}" for name in found.counted)
    seconds = round(duration_s - BEFORE_S)
    return {"seconds": seconds, "tracks": len(plan.objects), "nuisance": len(found.counted)} | dict(about)
