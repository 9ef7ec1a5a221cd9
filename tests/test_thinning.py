"""What is left out under load: only what known airliners repeat, the same in every order, and nothing else changes."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from fusion.engine import Engine
from fusion.rules import Words
from fusion.schema import AlertChanged, ObjectClass, Picture, PlotKind, Plots, SensorKind, SensorSpec, plots
from fusion.thinning import CLASS, DISTRESS, EVERY_S, MOST, PICTURES, Load, Thinning, known_airliners
from replay.simulate import Scenario
from tests import shipped
from tests.bench import bench_live
from tests.test_engine import digest

NOBODY = np.empty(0, np.int64)
SECONDS = 33.0
FROM_S = 20.0


def claims(sensor: str, *said: tuple[float, int]) -> Plots:
    """A batch of claims (seconds, address)."""
    n = len(said)
    t_us = np.array([round(t * 1e6) for t, _ in said])
    address = np.array([a for _, a in said], np.int32)
    lat_rad, lon_rad = np.full(n, 0.95), np.full(n, 0.44)
    return plots(sensor, PlotKind.POSITION, int(t_us.max()), t_us, lat_rad=lat_rad, lon_rad=lon_rad, address=address)


@dataclass
class Run:
    """One engine over one sky."""

    engine: Engine
    digests: list[str] = field(default_factory=list)
    ended: list[tuple[int, str]] = field(default_factory=list)
    shown: Picture | None = None


Sky = tuple[Scenario, list[Plots]]


@pytest.fixture(scope="module")
def sky() -> Sky:
    """Seventy airliners that everybody hears and four radars see."""
    scenario = bench_live.scene(120, SECONDS + 5.0)
    return scenario, list(scenario.batches())


def played(sky: Sky, level: int, batches: list[Plots] | None = None, cut_s: float = -1.0) -> Run:
    """The whole sky, with the level from `FROM_S` on; `cut_s`: goes on from there in another engine."""
    scenario, made = sky
    run = Run(shipped.engine(scenario.sensors))
    waiting = list(batches or made)
    for n in range(1, round(SECONDS * 10) + 1):
        tick_us = scenario.start_us + n * shipped.TICK_US
        while waiting and waiting[0].rx_us <= tick_us:
            run.engine.feed(waiting.pop(0))
        if n == round(FROM_S * 10):
            run.engine.feed(Load(tick_us, level))
        if n == round(cut_s * 10):
            state = copy.deepcopy(run.engine.snapshot())
            run.engine = shipped.engine(scenario.sensors)
            run.engine.restore(state)
        events = run.engine.tick(tick_us)
        run.digests.append(digest(events))
        for event in events:
            if isinstance(event, Picture):
                run.shown = event if event.full else run.shown
                run.ended += event.dropped
    return run


@pytest.fixture(scope="module")
def calm(sky: Sky) -> Run:
    return played(sky, 0)


@pytest.fixture(scope="module")
def flooded(sky: Sky) -> Run:
    return played(sky, MOST)


def test_most_claims_of_airliners_fall_and_every_one_is_counted(sky: Sky, calm: Run, flooded: Run) -> None:
    counters = flooded.engine.counters
    assert counters.balance() == 0
    assert counters.received == calm.engine.counters.received
    assert list(counters.shed) == [CLASS]
    said = sum(len(b) for b in sky[1] if b.sensor == "A1" and b.rx_us > sky[0].start_us + round(FROM_S * 1e6))
    assert 0.3 * said < counters.shed[CLASS] < (1.0 - 1.0 / EVERY_S[MOST]) * said + 1.0
    assert not calm.engine.counters.shed


def test_no_track_is_lost_for_it_and_none_moves_far(calm: Run, flooded: Run) -> None:
    assert calm.shown is not None and flooded.shown is not None
    assert flooded.ended == calm.ended
    a, b = calm.shown.tracks, flooded.shown.tracks
    assert a.id.tolist() == b.id.tolist()
    assert a.status.tolist() == b.status.tolist()
    apart_m = np.linalg.norm(a.state[:, :3] - b.state[:, :3], axis=1)
    assert np.median(apart_m) < 50.0
    assert apart_m.max() < 400.0


def test_what_radars_say_and_what_is_not_a_known_airliner_is_all_fused(sky: Sky, flooded: Run) -> None:
    """The log of what was fused is not kept, so the thinning is asked itself, with all that it knew at the end."""
    _, batches = sky
    thinning = flooded.engine.thinning
    known = thinning.snapshot()["address"]
    assert 0 < len(known) < len(np.unique(np.concatenate([b.address for b in batches if b.sensor == "A1"])))
    state = thinning.snapshot()
    try:
        left, shed = thinning.thin(batches)
    finally:
        thinning.restore(state)
    assert shed > 0
    for sensor in ("R1", "R2", "R3", "R4"):
        assert sum(len(b) for b in left if b.sensor == sensor) == sum(len(b) for b in batches if b.sensor == sensor)
    before, after = (np.concatenate([b.address for b in bs if b.sensor == "A1"]) for bs in (batches, left))
    assert np.count_nonzero(~np.isin(before, known)) == np.count_nonzero(~np.isin(after, known))


def test_the_same_is_left_out_in_any_order_of_arrival_and_after_a_cut(sky: Sky, flooded: Run) -> None:
    ticks: dict[int, list[Plots]] = {}
    for batch in sky[1]:
        ticks.setdefault(-(-(batch.rx_us - sky[0].start_us) // shipped.TICK_US), []).append(batch)
    backwards = [batch for slot in sorted(ticks) for batch in reversed(ticks[slot])]
    assert played(sky, MOST, backwards).digests == flooded.digests
    assert played(sky, MOST, cut_s=FROM_S + 8.0).digests == flooded.digests
    assert played(sky, MOST, cut_s=FROM_S).digests == flooded.digests  # asked for, and not yet in force


def test_a_drone_is_told_all_the_same_with_the_next_picture() -> None:
    scenario = Scenario.load("lithuania-2025-07-28", start_us=shipped.START_US)
    told = []
    for level in (0, MOST):
        engine, alerts = shipped.engine(scenario.sensors), []
        for tick_us, events in shipped.play(engine, scenario, 60.0):
            alerts += [e.alert for e in events if isinstance(e, AlertChanged) and e.alert.state == "raised"]
            if tick_us == scenario.start_us + shipped.TICK_US:
                engine.feed(Load(tick_us, level))
        told.append(alerts)
    calm, thin = told
    assert calm and [(a.id, a.rule, a.track) for a in calm] == [(a.id, a.rule, a.track) for a in thin]
    later_us = [b.raised_us - a.raised_us for a, b in zip(calm, thin, strict=True)]
    assert 0 <= min(later_us) <= max(later_us) < PICTURES[MOST] * shipped.TICK_US


def test_who_is_a_known_airliner(calm: Run) -> None:
    assert calm.shown is not None
    tracks, a, words = calm.shown.tracks, calm.shown.assessment, Words()
    known = known_airliners(tracks, a, words, NOBODY)
    row = int(np.flatnonzero(known)[0])
    assert known.sum() > 10
    changed = {
        "status": replace(tracks, status=np.full_like(tracks.status, 0)),
        "address": replace(tracks, address=np.full_like(tracks.address, -1)),
    }
    changed |= {oct(code): replace(tracks, mode3a=np.full_like(tracks.mode3a, code)) for code in DISTRESS}
    for name, table in changed.items():
        assert not known_airliners(table, a, words, NOBODY).any(), name
    for name, value in (
        ("cooperative", False),
        ("doubt", 1),
        ("object_class", ObjectClass.UNKNOWN),
        ("height_known", False),
        ("p_low", np.nan),
        ("p_low", 0.02),
        ("p_slow", 0.02),
        ("distance_m", words.near_m),
        ("distance_m", -words.near_m),
    ):
        judged = replace(a, **{name: np.full_like(getattr(a, name), value)})
        assert not known_airliners(tracks, judged, words, NOBODY).any(), name
    assert not known_airliners(tracks, a, words, tracks.id[[row]])[row]


def thinned(level: int = 1, sensors: tuple[str, ...] = ("A1", "A2"), known: tuple[int, ...] = (7, 9)) -> Thinning:
    made = Thinning([SensorSpec(name, n, SensorKind.ADSB) for n, name in enumerate(sensors)])
    made.restore({"level": level, "address": np.array(known, np.int32), "kept_us": np.full(len(known), -1, np.int64)})
    return made


def fused(batches: list[Plots]) -> list[tuple[str, float, int]]:
    return [(b.sensor, t / 1e6, a) for b in batches for t, a in zip(b.t_us.tolist(), b.address.tolist(), strict=True)]


def test_the_newest_of_a_tick_is_kept_and_then_one_every_so_often() -> None:
    made = thinned()
    left, shed = made.thin([claims("A1", (1.0, 7), (1.1, 9), (1.2, 5)), claims("A2", (1.3, 7), (1.05, 9))])
    assert fused(left) == [("A1", 1.1, 9), ("A1", 1.2, 5), ("A2", 1.3, 7)]
    assert shed == 2
    assert made.thin([claims("A1", (3.2, 7), (3.2, 9))])[1] == 1  # 7: 1.9 s after the last
    assert made.thin([claims("A1", (3.3, 7))])[1] == 0
    assert made.thin([claims("A1", (3.2, 7))]) == ([], 1)  # older than what was fused


def test_of_two_alike_exactly_one_is_kept() -> None:
    left, shed = thinned().thin([claims("A1", (1.0, 7), (1.0, 7)), claims("A2", (1.0, 7))])
    assert (fused(left), shed) == ([("A2", 1.0, 7)], 2)


def test_nothing_falls_at_level_0_nor_of_an_address_on_two_tracks(calm: Run) -> None:
    batch = [claims("A1", (1.0, 7), (1.1, 7))]
    made = thinned()
    made.set(Load(0, 0))
    assert made.thin(batch) == (batch, 0)
    assert calm.shown is not None
    tracks, a = calm.shown.tracks, calm.shown.assessment
    made.set(Load(0, 2))
    made.look(tracks, a, Words(), NOBODY)
    known = made.snapshot()["address"]
    twice = replace(tracks, address=np.where(tracks.address == known[0], known[1], tracks.address))
    made.look(twice, a, Words(), NOBODY)
    assert made.snapshot()["address"].tolist() == known[2:].tolist()


def test_remote_id_and_radar_are_never_thinned() -> None:
    kinds = (SensorKind.REMOTE_ID, SensorKind.RADAR_2D, SensorKind.TRACK)
    made = Thinning([SensorSpec(f"S{n}", n, kind) for n, kind in enumerate(kinds)])
    made.restore({"level": MOST, "address": np.array([7], np.int32), "kept_us": np.array([10_000_000])})
    batches = [claims(f"S{n}", (10.1, 7), (10.2, 7)) for n in range(len(kinds))]
    assert made.thin(batches) == (batches, 0)


@pytest.mark.parametrize("level", [-1, MOST + 1])
def test_a_level_that_does_not_exist_is_a_broken_invariant(level: int) -> None:
    with pytest.raises(ValueError, match="load level"):
        thinned().set(Load(0, level))
