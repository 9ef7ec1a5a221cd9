"""Every shipped scenario keeps its word: the alerts it expects come, no other does, and every object has one track.

`make soak` watches all of every scene. `make test` watches the beginning, until the first thing expected has to be
there; scenes that come to that later than SOON_S are left to the soak, and so are all but a seeded few of those that
are there. What a scene expects later than it is watched is not asked for.

A scene that does not keep its word is in KNOWN with exactly what is wrong. Anything else, more or less, fails.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, takewhile
from pathlib import Path

import numpy as np
import pytest

from adapters import config as configuration
from adapters.broker import BrokerSettings
from adapters.commands import demo, simulate
from adapters.decode import Door
from adapters.service import engine_of, run
from fusion import geo
from fusion.cases.record import Passage, PassageNoted, state_entered
from fusion.schema import US_PER_S, Alert, AlertChanged, Event, Frame, Picture
from replay import account, player, scenario
from replay.simulate import Scenario
from tests import shipped

SETTLE_S = 30.0  # after which every object that could be seen has been
UNTIL_S = 140.0  # of the scenes of civil traffic that stays
SOON_S = 130.0
QUIET_S = 60.0  # of a scene that expects nothing
MEANDER_S = 12.0  # over a state for no longer, in truth: its border meanders, and the ledger counts no visit
WHOLE = os.environ.get("VEDETTE_HYPOTHESIS") == "soak"
PICTURE_MS = 500
OLD = ("hungary-from-serbia", "lithuania-2025-07-28")  # civil traffic that stays: every object has one track
WRITTEN = {n: tomllib.loads((scenario.SHIPPED / f"{n}.toml").read_text("utf-8")) for n in scenario.names()}
TOLD = tuple(n for n, file in WRITTEN.items() if "expect" in file or "others_quiet" in file)
KNOWN: dict[str, tuple[str, ...]] = {
    # 38 changes of number in 35 minutes; the one at 1,903 s begins a track of a jet whose replies are not yet heard.
    "romania-2024-09-08": ("jet-1: incursion",),
}


def until(name: str) -> float:
    """So much of a scene is watched, seconds; 0 none of it."""
    if WHOLE:
        return float(WRITTEN[name]["duration_s"])
    soonest_s = min((float(e["until_s"]) for e in WRITTEN[name].get("expect", ())), default=QUIET_S) + 1.0
    if name in OLD:
        return max(UNTIL_S, soonest_s)
    return soonest_s if soonest_s <= SOON_S else 0.0


def few(most: int = 3, seed: int = 4) -> tuple[str, ...]:
    """The scenes that `make test` watches: the old ones, the quiet night, and some of the rest, drawn by a seed."""
    if WHOLE:
        return TOLD
    rest = [n for n in TOLD if n not in OLD and until(n) > 0.0]
    drawn = np.random.default_rng(seed).permutation(len(rest))[:most]
    return tuple(sorted({*OLD, "quiet-night", *(rest[k] for k in drawn.tolist())}))


def flown_over(track_ids: Sequence[str], passages: Sequence[Passage]) -> tuple[str, ...]:
    """The states that these tracks of one object were over, in order of time, as the ledger has them."""
    mine = sorted((p for p in passages if p.track in track_ids), key=lambda p: (p.t_us, p.number))
    states = [state for passage in mine if (state := state_entered(passage)) is not None]
    return tuple(state for state, _ in groupby(states))


def faults(found: account.AlertScore, picture: account.Result) -> tuple[str, ...]:
    """What is wrong, each kind once, in order."""
    said = {f"{e.object}: no {' or '.join(e.rules)}" for e in found.unmet}
    said |= {f"{about or 'nothing'}: {alert.rule}" for alert, about in found.wrong}
    said |= {"incomplete"} if picture.completeness <= 0.97 else set()
    return tuple(sorted(said))


def played(
    scene: Scenario, folder: Path, until_s: float
) -> tuple[list[Alert], account.Result, list[str], list[Passage]]:
    """Run the whole path from wire bytes to alerts, without a broker; alerts, score, refusals and passages."""
    demo._write_config(folder, demo.CONFIG, scene, BrokerSettings("127.0.0.1", 1), 2)
    config = replace(configuration.load(folder, environ={}), picture_ms=PICTURE_MS)
    engine = engine_of(config, configuration.load_zones(config), 1)
    refused: list[str] = []
    door = Door(engine, config.formats, lambda frame, reason, detail: refused.append(f"{frame.source} {reason}"))
    judge, alerts, passages = account.Scorer(), [], []

    def sink(tick: Frame, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, AlertChanged):
                alerts.append(event.alert)
            elif isinstance(event, PassageNoted):
                passages.append(event.passage)
            elif isinstance(event, Picture) and event.full and tick.rx_us >= scene.start_us + SETTLE_S * US_PER_S:
                names = [event.tracks.name(row) for row in range(len(event.tracks))]
                judge.add(scene.truth(event.t_us), names, event.assessment.lat_rad, event.assessment.lon_rad)

    end_us = scene.start_us + round(until_s * US_PER_S)
    raw = takewhile(lambda f: f.rx_us <= end_us, scene.frames(simulate.encode, ticks=False))
    ticked = player.with_ticks(raw, PICTURE_MS * 1000, scene.start_us, min(end_us, scene.end_us))
    run(ticked, engine, door, sink)
    assert engine.counters.balance() == 0
    return alerts, judge.result(), refused, passages


@pytest.mark.parametrize("name", few())
def test_a_scenario_keeps_its_word(name: str, tmp_path: Path) -> None:
    scene = Scenario.load(name)
    until_s = until(name)
    asked = tuple(e for e in scene.plan.expect if e.until_s <= until_s)
    assert asked or not scene.plan.expect
    alerts, picture, refused, passages = played(scene, tmp_path, until_s)
    assert refused == []
    found = account.judge_alerts(Scenario(replace(scene.plan, expect=asked)), alerts)
    wrong = list(faults(found, picture))
    for passed in scene.plan.ledger if WHOLE else ():
        tracks = next((o.tracks for o in picture.objects if o.id == passed.object), ())
        states = flown_over(tracks, passages)
        if states != passed.states:
            wrong.append(f"{passed.object}: over {' '.join(states)}")
    assert tuple(sorted(wrong)) == (KNOWN.get(name, ()) if WHOLE else ()), found.wrong
    for expect, alert in found.met:
        assert account.about(scene, alert) == expect.object
        assert np.isfinite(alert.lat_rad)
        if alert.t_us >= scene.start_us + SETTLE_S * US_PER_S:  # before, no picture was compared with the truth
            assert alert.track in next(o.tracks for o in picture.objects if o.id == expect.object)
        assert expect.object in scene.truth(alert.t_us).id
    if name in OLD:
        assert abs(picture.count_error) < 0.05
        assert picture.changes == 0
        assert all(len(o.tracks) == 1 for o in picture.objects)


@pytest.mark.parametrize("name", [n for n, file in WRITTEN.items() if "ledger" in file])
def test_the_truth_of_a_scenario_passes_the_states_it_says(name: str) -> None:
    plan = scenario.load_plan(name)
    zones = shipped.zones()
    flights = {o.id: o.flight for o in plan.objects}
    for passed in plan.ledger:
        flight = flights[passed.object]
        t_s = np.arange(max(0.0, np.ceil(flight.t_s[0])), min(plan.duration_s, flight.t_s[-1]))
        xyz = np.stack([np.interp(t_s, flight.t_s, flight.xyz_m[:, k]) for k in range(3)], axis=1)
        lat, lon, _ = geo.geodetic(xyz)
        over = [zones.at(*place)[0] for place in zip(lat.tolist(), lon.tolist(), strict=True)]
        visits = [(code, len(list(run))) for code, run in groupby(over)]
        stays = [code for code, lasts_s in visits if lasts_s > MEANDER_S]
        assert tuple(code for code, _ in groupby(stays)) == passed.states, passed.object
        for state, least_s, most_s in passed.inside_s:
            assert least_s <= over.count(state) <= most_s, (passed.object, state, over.count(state))


@pytest.mark.parametrize("name", OLD)
def test_the_drone_crosses_the_border_at_second_180(name: str, tmp_path: Path) -> None:
    scene = Scenario.load(name)
    demo._write_config(tmp_path, demo.CONFIG, scene, BrokerSettings("127.0.0.1", 1), 2)
    zones = configuration.load_zones(configuration.load(tmp_path, environ={}))
    expect = scene.plan.expect[0]
    inside = {}
    for at_s in (0, 175, 185):
        truth = scene.truth(scene.start_us + at_s * US_PER_S)
        row = truth.id.index(expect.object)
        code, distance_m = zones.at(float(truth.lat_rad[row]), float(truth.lon_rad[row]))
        inside[at_s] = (code == expect.near_state, distance_m < 0)
    assert inside == {0: (False, False), 175: (False, False), 185: (True, True)}


def test_without_the_drone_nothing_is_alerted(tmp_path: Path) -> None:
    plan = scenario.load_plan("hungary-from-serbia")
    scene = Scenario(replace(plan, objects=tuple(o for o in plan.objects if o.cooperative), expect=()))
    alerts, _, _, _ = played(scene, tmp_path, 60.0)
    assert [a.sentence for a in alerts if a.state == "raised"] == []
