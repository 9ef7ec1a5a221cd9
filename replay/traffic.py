"""A mixed sky drawn from a seed: so many of each class over a region, in groups, escorted, some with false claims.

Every object is drawn from a generator of its own, seeded by scene, block, class and number: more of one class changes
nothing for the others, and faults change nothing in the flights.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fusion import geo
from fusion.schema import F8
from replay import company, objects
from replay.manners import Drift, Fixed, Start
from replay.motion import Flight, thin
from replay.objects import ClassSpec
from replay.plan import Beacon, ClaimFault, SimObject, Transponder

LONGEST_S = 3_600.0  # one flight; in a longer scene another takes its place
GROUPED = ("shahed", "gerbera", "parodiya")  # launched together, on one plan
ESCORT_MPS = (95.0, 130.0)  # a fighter near its slowest
PLAN_FAULTS = ("ghost", "replayed")  # these make objects of their own
_RANKS = {name: number for number, name in enumerate(sorted(objects.CATALOGUE))}
_FIRST_ADDRESS = 0x400000
_NUMBER_BITS, _RANK_BITS = 14, 5  # of an address: number in its class, class; above them the block
MAX_BLOCKS = 8
MAX_OF_CLASS = (1 << _NUMBER_BITS) // 2  # the upper half of the numbers is for ghosts
_NACP, _NACP_SHARE = (8, 9, 10, 11), (0.1, 0.4, 0.4, 0.1)
_NACV, _NACV_SHARE = (1, 2, 3), (0.3, 0.6, 0.1)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Traffic:
    """One block: what flies around one place."""

    name: str
    lat_rad: float
    lon_rad: float
    radius_m: float
    counts: tuple[tuple[str, int], ...]  # class, how many at a time, apart from those that come and go
    come_and_go: float = 0.0  # part of them that appears or ends within the scene
    course_rad: float = 0.0  # mean of the first courses
    spread_rad: float = math.pi  # evenly to both sides of it
    group: tuple[int, int] = (1, 1)  # least and most drones of one launch
    escorts: int = 0  # jets beside silent slow objects
    wind_east_mps: float = 0.0
    wind_north_mps: float = 0.0
    faults: tuple[tuple[str, float], ...] = ()  # kind of plan.FAULTS or of PLAN_FAULTS, part of those that broadcast


def draw(traffic: Traffic, block: int, seed: int, duration_s: float, ground_m: float) -> tuple[SimObject, ...]:
    """The objects of one block, in order of class as counted and number.

    `block` is its number in the scene, below MAX_BLOCKS: no two blocks use one address.
    """
    drawn: list[SimObject] = []
    for name, count in traffic.counts:
        drawn += _of_class(traffic, block, objects.CATALOGUE[name], count, seed, duration_s, ground_m)
    drawn += _escorts(traffic, seed, drawn)
    return tuple(_faulty(traffic, seed, duration_s, drawn))


def scaled(blocks: tuple[Traffic, ...], total: int) -> tuple[Traffic, ...]:
    """The same proportions with so many objects in all (rounded so that the sum is exact; what stands stays)."""
    counts = [(b, c, n) for b, block in enumerate(blocks) for c, (name, n) in enumerate(block.counts) if _moves(name)]
    whole = sum(n for _, _, n in counts)
    ends = [round(total * part / whole) for part in np.cumsum([n for _, _, n in counts]).tolist()] if whole else []
    new = {(b, c): end - start for (b, c, _), start, end in zip(counts, [0, *ends[:-1]], ends, strict=True)}
    return tuple(
        replace(block, counts=tuple((name, new.get((b, c), n)) for c, (name, n) in enumerate(block.counts)))
        for b, block in enumerate(blocks)
    )


def _moves(name: str) -> bool:
    return not isinstance(objects.CATALOGUE[name].manner, Fixed)


def _rng(seed: int, *words: object) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(" ".join(map(str, words)).encode())])


def _of_class(
    traffic: Traffic, block: int, spec: ClassSpec, count: int, seed: int, duration_s: float, ground_m: float
) -> Iterator[SimObject]:
    number, made = 0, 0
    while made < count:
        rng = _rng(seed, traffic.name, spec.name, number)
        size = 1
        if spec.name in GROUPED:
            size = min(int(rng.integers(traffic.group[0], traffic.group[1] + 1)), count - made)
        from_s, until_s = _stay(traffic, duration_s, rng) if _moves(spec.name) else (0.0, duration_s)
        while from_s < until_s:
            lasts_s = min(until_s - from_s, LONGEST_S) if _moves(spec.name) else until_s - from_s
            lead = objects.draw(spec, rng, _start(traffic, spec, from_s, lasts_s, ground_m, rng), max(lasts_s, 2.0))
            for flight in company.group(lead, size, rng) if size > 1 else [lead]:
                if number >= MAX_OF_CLASS:
                    return
                yield dressed(traffic.name, block, spec, number, flight, rng)
                number += 1
            from_s += LONGEST_S if _moves(spec.name) else lasts_s
        made += size


def _stay(traffic: Traffic, duration_s: float, rng: np.random.Generator) -> tuple[float, float]:
    """From when until when: the whole scene, or it appears or ends within it."""
    comes, when = rng.random(), float(rng.uniform(0.1, 0.9)) * duration_s
    if comes >= traffic.come_and_go:
        return 0.0, duration_s
    return (0.0, when) if comes < traffic.come_and_go / 2 else (when, duration_s)


def _start(
    traffic: Traffic, spec: ClassSpec, from_s: float, lasts_s: float, ground_m: float, rng: np.random.Generator
) -> Start:
    """A place from which half of a straight flight leads to an even spread over the region."""
    away, around = traffic.radius_m * math.sqrt(rng.random()), float(rng.uniform(0.0, math.tau))
    lat, lon, _ = geo.direct_1(traffic.lat_rad, traffic.lon_rad, around, away)
    heading = (traffic.course_rad + float(rng.uniform(-1.0, 1.0)) * traffic.spread_rad) % math.tau
    usual = 200.0 if spec.name == "airliner" else spec.speed_mps[1]
    back = 0.0 if isinstance(spec.manner, Drift | Fixed) else min(usual * lasts_s / 2, traffic.radius_m)
    lat, lon, _ = geo.direct_1(lat, lon, (heading + math.pi) % math.tau, back)
    gust = rng.normal(1.0, 0.15)
    return Start(lat, lon, heading, from_s, ground_m, traffic.wind_east_mps * gust, traffic.wind_north_mps * gust)


def dressed(name: str, block: int, spec: ClassSpec, number: int, flight: Flight, rng: np.random.Generator) -> SimObject:
    """A flight with the echo and the voice of its class. Block, class and number make its address: give each once."""
    says, beacon, link = _voice(spec, block, number, rng)
    return SimObject(
        id=f"{name}-{spec.name}-{number}",
        flight=thin(flight),
        rcs_m2=objects.draw_rcs(spec, rng),
        transponder=says,
        kind=spec.name,
        beacon=beacon,
        data_link=link,
        heard_m=spec.heard_m,
        blade_mps=spec.blade_mps,
    )


def _voice(
    spec: ClassSpec, block: int, number: int, rng: np.random.Generator
) -> tuple[Transponder | None, Beacon | None, bool]:
    """What the object says of itself: each voice with the probability of its class."""
    word, flarm, remote, link = rng.random(4).tolist()
    e = spec.emits
    adsb, mode_s, mode_ac = e.adsb, e.adsb + e.mode_s, e.adsb + e.mode_s + e.mode_ac
    address = _FIRST_ADDRESS + (((block << _RANK_BITS) | _RANKS[spec.name]) << _NUMBER_BITS) + number
    letters = "".join(rng.choice(list(_LETTERS), 3).tolist())
    airline = spec.name in ("airliner", "fast-jet")
    says = None
    if word < mode_ac:
        nacp = int(rng.choice(_NACP, p=_NACP_SHARE))
        says = Transponder(
            address=address if word < mode_s else -1,
            callsign=(f"{letters}{number % 10_000}" if airline else f"LY{letters}").encode()[:8],
            mode3a=int(rng.integers(0o1000, 0o7000)) if airline or rng.random() < 0.4 else 0o7000,
            category=spec.category,
            adsb=word < adsb,
            mode_s=word < mode_s,
            nacp=nacp,
            nacv=int(rng.choice(_NACV, p=_NACV_SHARE)),
            nic=min(nacp, 8),
            gva=2 if rng.random() < 0.85 else 1,
        )
    beacon = None
    if flarm < e.flarm:
        beacon = Beacon("flarm", f"FLR{address:06X}".encode())
    if remote < e.remote_id:
        beacon = Beacon("remote-id", f"1581F{address:08d}".encode())
    return says, beacon, link < e.data_link


def _escorts(traffic: Traffic, seed: int, drawn: list[SimObject]) -> list[SimObject]:
    """Jets beside the first silent slow objects."""
    slow = [o for o in drawn if o.kind in GROUPED or o.kind in ("smuggling-balloon", "orlan-10", "forpost")]
    jets = []
    for number, lead in enumerate(slow[: traffic.escorts]):
        rng = _rng(seed, traffic.name, "escort", number)
        flight = company.escort(_dense(lead.flight), float(rng.uniform(*ESCORT_MPS)), rng)
        rcs = objects.draw_rcs(objects.CATALOGUE["fast-jet"], rng)
        jets.append(SimObject(f"{traffic.name}-escort-{number}", thin(flight), rcs, kind="fast-jet", heard_m=10_000.0))
    return jets


def _dense(flight: Flight) -> Flight:
    """The same flight with a knot a second."""
    t_s = np.arange(flight.t_s[0], flight.t_s[-1], 1.0)
    return Flight(t_s, np.stack([np.interp(t_s, flight.t_s, flight.xyz_m[:, axis]) for axis in range(3)], axis=1))


def _faulty(traffic: Traffic, seed: int, duration_s: float, drawn: list[SimObject]) -> list[SimObject]:
    """The same objects with faults in what they say, and the broadcasts that have no object behind them."""
    out = list(drawn)
    nothing: list[SimObject] = []
    talkers = [row for row, o in enumerate(drawn) if o.transponder is not None and o.transponder.adsb]
    for kind, part in traffic.faults:
        for row in talkers:
            thing = drawn[row]
            rng = _rng(seed, thing.id, kind)
            if rng.random() >= part:
                continue
            if kind == "duplicate":
                _double(out, row, talkers[int(rng.integers(len(talkers)))])
            elif kind in PLAN_FAULTS:
                nothing.append(_broadcast(thing, kind, duration_s, rng))
            else:
                out[row] = replace(out[row], faults=(*out[row].faults, _fault(kind, duration_s, rng)))
    return out + nothing


def _fault(kind: str, duration_s: float, rng: np.random.Generator) -> ClaimFault:
    from_s = float(rng.uniform(0.1, 0.6)) * duration_s
    until_s = from_s + float(rng.uniform(60.0, 300.0))
    bearing = float(rng.uniform(0.0, math.tau))
    if kind == "degraded":
        return ClaimFault(kind, -math.inf, math.inf, float(rng.integers(5, 7)))
    if kind == "late":
        return ClaimFault(kind, -math.inf, math.inf, float(rng.uniform(1.0, 5.0)))
    if kind == "jump":
        return ClaimFault(kind, from_s, until_s, float(rng.uniform(2_000.0, 20_000.0)), bearing)
    if kind == "drift":
        return ClaimFault(kind, from_s, until_s, float(rng.uniform(5.0, 30.0)), bearing)
    return ClaimFault(kind, from_s, until_s)


def _double(out: list[SimObject], row: int, other: int) -> None:
    """Give one object the address of another, and label both."""
    one, two = out[row], out[other]
    if row == other or one.transponder is None or two.transponder is None:
        return
    out[row] = _labelled(replace(one, transponder=replace(one.transponder, address=two.transponder.address)))
    out[other] = _labelled(two)


def _labelled(thing: SimObject) -> SimObject:
    if any(fault.kind == "duplicate" for fault in thing.faults):
        return thing
    return replace(thing, faults=(*thing.faults, ClaimFault("duplicate", -math.inf, math.inf)))


def _broadcast(thing: SimObject, kind: str, duration_s: float, rng: np.random.Generator) -> SimObject:
    """A broadcast with nothing behind it: an invented flight with its own address, or an earlier flight again."""
    says = thing.transponder or Transponder()
    if kind == "ghost":
        turn, shift = float(rng.uniform(0.3, 2 * math.pi - 0.3)), 0.0
        says = replace(says, address=says.address | 1 << (_NUMBER_BITS - 1), callsign=says.callsign[::-1])
        flight = Flight(thing.flight.t_s, _turned(thing.flight, turn))
    else:
        shift = float(rng.uniform(0.1, 0.5)) * duration_s
        flight = Flight(thing.flight.t_s + shift, thing.flight.xyz_m)
    return SimObject(f"{thing.id}-{kind}", flight, transponder=says, kind=thing.kind, nothing=kind)


def _turned(flight: Flight, turn_rad: float) -> F8:
    """The same way turned about the vertical of its own first third: a course that nobody flies."""
    lat, lon, _ = (v[0] for v in geo.geodetic(flight.xyz_m[len(flight.t_s) // 3]))
    axes = geo.enu_axes(lat, lon)[0]
    c, s = math.cos(turn_rad), math.sin(turn_rad)
    centre = flight.xyz_m[len(flight.t_s) // 3]
    east, north, up = ((flight.xyz_m - centre) * axis for axis in axes)
    e, n, u = (v.sum(axis=1)[:, None] for v in (east, north, up))
    return np.asarray(centre + axes[0] * (c * e + s * n) + axes[1] * (c * n - s * e) + axes[2] * u)
