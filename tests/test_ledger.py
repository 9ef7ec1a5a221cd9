"""The ledger on the ways of real incidents, with and without the errors of a tracker, and along invented borders."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.files import zonefiles
from fusion import geo
from fusion.borders.ledger import FORGET_US, KEPT_FIRST, MAX_ENTRIES, Ledger
from fusion.borders.passing import LedgerParams
from fusion.cases.record import Passage, PassageKind
from fusion.identity import assess
from fusion.rules import Words
from fusion.schema import Tracks, TrackStatus, take
from tests import shipped
from tests.airpicture import SENSORS
from tests.bench import bench_ledger
from tests.overflight import (
    CONFIG,
    SENSOR_IDS,
    T0_US,
    WAYS,
    S,
    Truth,
    agreed,
    east_of,
    exactly,
    filtered,
    fly,
    second,
    sky,
    states,
    table,
    three,
    truth,
    zigzag,
)  # fmt: skip
from tests.states import bits, kept

PLOTS_M = (28.0, 160.0, 800.0)  # errors of plots that make tracks of about 30, 120 and 500 m
# Where the errors are as large as the visit is deep, or the flight is a tangent, no ledger can be right every time.
TOO_COARSE = {("plauru-2023", 800.0), ("rezekne-straight", 800.0)}
NOISY = [name for name in WAYS if name not in ("bistrita-2022", "rezekne-2024", "olesno-2025", "tyszowce-2024")]
SEEDS = 40
ON_S = {"missile-2024": 30.0}  # the way given ends so soon after the border that no radar has seen it


@cache
def drawn() -> list[tuple[str, shapely.Geometry]]:
    return [(s.code, s.shape) for s in zonefiles._states(sorted((CONFIG / "zones" / "osm").glob("*.geojson")), 25.0)[0]]


def raw_changes(flown: Truth) -> list[tuple[str, str, float]]:
    """(state left, state entered, second) by shapely on the polygons as given, every touch told."""
    lat, lon, _ = geo.geodetic(flown.state[:, :3])
    codes = np.full(len(lat), "", "U2")
    for code, shape in drawn():
        codes[shapely.contains_xy(shape, np.degrees(lon), np.degrees(lat))] = code
    at = np.flatnonzero(codes[1:] != codes[:-1])
    return [(str(codes[i]), str(codes[i + 1]), 0.5 * float(flown.t_s[i] + flown.t_s[i + 1])) for i in at]


def by_track(told: Sequence[Passage]) -> list[list[Passage]]:
    found: dict[str, list[Passage]] = {}
    for entry in told:
        found.setdefault(entry.track, []).append(entry)
    return list(found.values())


def kinds(entries: Sequence[Passage]) -> list[str]:
    return [entry.kind.value for entry in entries]


def check_chain(entries: Sequence[Passage]) -> None:
    """Whatever is flown, a ledger tells one story."""
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    assert [kind in ("first", "seam") for kind in kinds(entries[:1])] == [True] * len(entries[:1])
    current, visited, pair = None, [], None
    for before, entry in pairwise([None, *entries]):
        assert entry is not None
        assert 0.0 <= entry.probability <= 1.0
        assert entry.t_us <= entry.told_us
        assert entry.sigma_t_s >= 0.0
        if before is not None:
            assert before.t_us <= entry.t_us
            assert before.told_us <= entry.told_us
        if entry.kind is PassageKind.FIRST:
            assert current is None
            current = entry.state
        elif entry.kind is PassageKind.SEAM:
            assert pair is None
            assert current in (None, entry.state)
            assert entry.other != entry.state
            current, pair = entry.state, (entry.state, entry.other)
        elif entry.kind is PassageKind.CLEAR:
            assert pair == (entry.state, entry.other)
            pair = None
        elif entry.kind is PassageKind.EXIT:
            # Out of a seam it may leave the second of the two: it was over both.
            assert entry.state == current or (pair is not None and entry.state == pair[1])
            current, pair = ("" if not entry.other else current), None
        else:
            if entry.other:
                assert before is not None
                assert (before.kind, before.state, before.other) == (PassageKind.EXIT, entry.other, entry.state)
                assert (before.t_us, before.lat_rad, before.sigma_t_s) == (entry.t_us, entry.lat_rad, entry.sigma_t_s)
            assert (entry.kind is PassageKind.RE_ENTER) == (entry.state in visited)
            current, pair = entry.state, None
        if current and current not in visited:
            visited.append(current)


@pytest.mark.parametrize("name", WAYS)
def test_real_flights_pass_the_states_that_they_passed(name: str) -> None:
    way, speed_mps, expected = WAYS[name]
    flown = truth(way, speed_mps, on_s=ON_S.get(name, 0.0))
    told = fly(Ledger(shipped.zones(), SENSOR_IDS), exactly(flown))
    check_chain(told)
    assert states(told) == [code for code, _ in expected]
    raw = raw_changes(flown)
    into = [e for e in told if e.kind in (PassageKind.ENTER, PassageKind.RE_ENTER)]
    for entry in into:
        near = [t_s for _, code, t_s in raw if code == entry.state and abs(t_s - second(entry)) <= 2.0]
        assert near, f"{entry.state} at {second(entry)} s: {raw}"
    since = [0.0, *(second(entry) for entry in into), float(flown.t_s[-1]) - ON_S.get(name, 0.0)]
    for (code, wanted_s), (start_s, end_s) in zip(expected, pairwise(since), strict=True):
        if wanted_s is not None:
            assert end_s - start_s == pytest.approx(wanted_s, abs=max(6.0, 0.02 * wanted_s)), code


@pytest.mark.parametrize(
    ("told", "wanted", "same"),
    [("", "ab", 0), ("ab", "ab", 2), ("aba", "ab", 2), ("ba", "ab", 1), ("abab", "aabb", 3), ("acb", "ab", 2)],
)
def test_events_agree_in_their_order(told: str, wanted: str, same: int) -> None:
    assert agreed(told, wanted) == agreed(wanted, told) == same


@pytest.mark.parametrize("name", NOISY)
def test_real_flights_as_a_tracker_sees_them_keep_their_order(name: str) -> None:
    """Of all seeds at most one in a hundred is wrong, and none has more entries than passages and seams explain.

    One size of error for each flight, by turns; the campaign `ledger` flies them all.
    """
    way, speed_mps, expected = WAYS[name]
    wanted = [code for code, _ in expected]
    flown = truth(way, speed_mps, step_s=2.0, on_s=ON_S.get(name, 0.0))
    right = count = 0
    sizes = [plot_m for plot_m in PLOTS_M if (name, plot_m) not in TOO_COARSE]
    plot_m = sizes[NOISY.index(name) % len(sizes)]
    lists = by_track(fly(Ledger(shipped.zones(), SENSOR_IDS), filtered(flown, plot_m, SEEDS)))
    assert len(lists) == SEEDS
    for entries in lists:
        check_chain(entries)
        seams = kinds(entries).count("seam")
        assert seams <= len(wanted)
        count += 1
        right += states(entries) == wanted
    assert right >= 0.99 * count


def test_the_tracks_that_are_flown_are_as_wrong_as_they_say() -> None:
    flown = truth([[54.4, 25.9], [54.6, 25.5]], 40.0)
    sigmas = []
    for plot_m in PLOTS_M:
        *_, last = filtered(flown, plot_m, 400)
        off = last.state - flown.state[-1]
        squares = np.einsum("ni,nij,nj->n", off, np.linalg.inv(last.cov), off)
        assert np.mean(squares) == pytest.approx(6.0, abs=0.6)
        sigmas.append(math.sqrt(last.cov[0, 0, 0]))
    assert sigmas[0] <= 31.0
    assert sigmas[-1] >= 350.0


@pytest.mark.parametrize("plot_m", [50.0, 200.0])
@pytest.mark.parametrize("name", ["grindu-2023", "lithuania-2025-07-10", "lithuania-2025-07-28"])
def test_the_time_of_an_entry_is_as_wrong_as_it_says(name: str, plot_m: float) -> None:
    way, speed_mps, _ = WAYS[name]
    flown = truth(way, speed_mps)
    true_s = raw_changes(flown)[-1][2]
    near = np.abs(flown.t_s - true_s) <= 300.0
    flown = Truth(flown.t_s[near], flown.state[near])
    told = fly(Ledger(shipped.zones(), SENSOR_IDS), filtered(flown, plot_m, 100))
    entered = [entry for entry in told if entry.kind is PassageKind.ENTER]
    assert len(entered) == 100
    off = np.array([(second(entry) - true_s) / entry.sigma_t_s for entry in entered])
    assert np.mean(np.abs(off) <= 2.0) >= 0.9
    assert abs(np.mean(off)) <= 0.6


def test_an_entry_says_when_where_how_surely_and_by_whom() -> None:
    flown = truth([east_of(-8.0), east_of(8.0)], 50.0)
    told = fly(Ledger(zigzag(0.001, 5_000.0), SENSOR_IDS), exactly(flown, 60.0, 5.0))
    first, left, entered = told
    assert (first.kind, first.state, first.other, first.t_us) == (PassageKind.FIRST, "OO", "", T0_US)
    assert (left.kind, left.state, left.other) == (PassageKind.EXIT, "OO", "AA")
    assert (entered.kind, entered.state, entered.other) == (PassageKind.ENTER, "AA", "OO")
    assert second(entered) == pytest.approx(160.0, abs=0.3)
    assert math.degrees(entered.lon_rad) == pytest.approx(20.0, abs=1e-4)
    assert math.degrees(entered.lat_rad) == pytest.approx(50.5, abs=1e-3)
    assert entered.sigma_m == pytest.approx(60.0, rel=0.01)
    assert entered.sigma_t_s == pytest.approx(math.hypot(60.0, 25.0) / 50.0, rel=0.02)
    assert 170.0 <= (entered.told_us - T0_US) / S <= 185.0
    assert entered.probability > 0.999
    assert left.probability > 0.999
    assert (entered.sensors, entered.plots) == (("R1", "R2"), 3 + (entered.told_us - T0_US) // (5 * S))
    assert not entered.sea
    assert not entered.disputed


def test_the_facts_alone_and_the_whole_assessment_tell_the_same() -> None:
    flown = truth([east_of(-2.0), east_of(2.0)], 50.0)
    zones_ = zigzag(0.001, 5_000.0)
    ledger = Ledger(zones_, SENSOR_IDS)
    told = []
    for tracks in exactly(flown):
        told += ledger.step(tracks, assess(tracks, zones_.facts(tracks), Words(), SENSORS), tracks.t_us)
    assert told == fly(Ledger(zones_, SENSOR_IDS), exactly(flown))
    assert kinds(told) == ["first", "exit", "enter"]
    assert tuple(told) == ledger.entries(1)


def test_a_prediction_is_no_evidence() -> None:
    """Over the border while coasting, or without a plot since: nothing, until it is seen there."""
    flown = truth([east_of(-2.0), east_of(8.0)], 50.0)
    ledger = Ledger(zigzag(0.001, 5_000.0), SENSOR_IDS)
    looks = list(exactly(flown, 30.0, 5.0))
    unseen = [replace(tracks, hits=np.full(1, 9, np.int32)) for tracks in looks[30:90]]
    coasting = [replace(tracks, status=np.full(1, TrackStatus.COASTING, np.int8)) for tracks in looks[90:140]]
    assert kinds(fly(ledger, iter(looks[:30] + unseen + coasting))) == ["first"]
    told = fly(ledger, iter(looks[140:]))
    assert kinds(told) == ["exit", "enter"]
    assert second(told[1]) == pytest.approx(40.0, abs=0.5), "dated back to where it must have crossed"


@pytest.mark.parametrize("plots", [1, 20])
def test_one_look_tells_nothing_however_many_plots_it_has(plots: int) -> None:
    flown = truth([east_of(-8.0), east_of(-8.0, 50.52)], 50.0)
    jump = truth([east_of(8.0), east_of(8.0, 50.52)], 50.0)
    cov = np.diag([30.0**2] * 3 + [4.0] * 3)[None]
    looks = [table(t, (jump if t == 20 else flown).state[t][None], cov, 10 + plots * t) for t in range(40)]
    ledger = Ledger(zigzag(0.001, 5_000.0), SENSOR_IDS)
    assert kinds(fly(ledger, iter(looks))) == ["first"]


SEAMS = [(0.001, 5_000.0), (150.0, 800.0), (300.0, 2_000.0), (300.0, 6_000.0), (600.0, 3_000.0)]


@pytest.mark.parametrize("amplitude_m, period_m", SEAMS)
def test_along_a_border_that_zigzags_a_flight_is_a_seam_and_does_not_flap(amplitude_m: float, period_m: float) -> None:
    """200 m beside the middle of it, 25 km: a naive ledger has two entries for every turn of the border."""
    border = zigzag(amplitude_m, period_m)
    flown = truth([east_of(-0.2, 50.3), east_of(-0.2, 50.53)], 48.0)
    told = fly(Ledger(border, SENSOR_IDS), exactly(flown))
    check_chain(told)
    assert kinds(told).count("seam") == 1
    assert kinds(told)[-1] == "seam"
    assert len(told) <= 6
    seam = told[-1]
    assert sorted((seam.state, seam.other)) == ["AA", "OO"]
    for plot_m in (50.0, 200.0):
        for entries in by_track(fly(Ledger(border, SENSOR_IDS), filtered(flown, plot_m, SEEDS))):
            check_chain(entries)
            assert "seam" in kinds(entries)
            assert len(entries) <= 8, [(entry.kind, entry.state, second(entry)) for entry in entries]


def test_back_and_forth_for_an_hour_is_told_a_few_times_only() -> None:
    """Two minutes and a kilometre deep each time are visits, but not for ever."""
    flown = truth([east_of(0.0, 50.05), east_of(0.0, 50.9)], 40.0)
    told = fly(Ledger(zigzag(1_200.0, 12_000.0), SENSOR_IDS), exactly(flown))
    check_chain(told)
    assert kinds(told)[-1] == "seam"
    assert len(told) <= 4 * LedgerParams().often


@pytest.mark.parametrize("side_km", [-1.0, 1.0])
def test_a_seam_is_left_into_the_same_state_or_into_the_other(side_km: float) -> None:
    way = [east_of(-1.0, 50.2), east_of(-1.0, 50.4), east_of(12.0 * side_km, 50.45)]
    told = fly(Ledger(zigzag(0.001, 5_000.0), SENSOR_IDS), exactly(truth(way, 48.0)))
    check_chain(told)
    assert kinds(told) == (["first", "seam", "clear"] if side_km < 0 else ["first", "seam", "exit", "enter"])
    assert (told[1].state, told[1].other) == ("OO", "AA")
    assert (told[-1].state, told[-1].other) == (("OO", "AA") if side_km < 0 else ("AA", "OO"))


def test_a_straight_crossing_is_no_seam_however_slow() -> None:
    for speed_mps in (8.0, 15.0, 48.0, 250.0):
        flown = truth([east_of(-5.0, 50.5), east_of(5.0, 50.53)], speed_mps)
        told = fly(Ledger(zigzag(300.0, 6_000.0), SENSOR_IDS), exactly(flown))
        assert kinds(told) == ["first", "exit", "enter"], speed_mps


def test_alternation_that_is_left_says_which_state_it_was_last_over() -> None:
    way = [east_of(0.0, 50.2), east_of(0.0, 50.4), east_of(-12.0, 50.45)]
    told = fly(Ledger(zigzag(300.0, 6_000.0), SENSOR_IDS), exactly(truth(way, 48.0)))
    check_chain(told)
    assert "seam" in kinds(told)
    assert (told[-1].kind, told[-1].state) in ((PassageKind.RE_ENTER, "OO"), (PassageKind.ENTER, "OO"))
    assert states(told)[-1] == "OO"


def test_along_the_edge_of_the_territorial_sea_nothing_is_a_seam() -> None:
    """The open sea is nobody's: there is one state only to be told."""
    told = fly(Ledger(three(), SENSOR_IDS), exactly(truth([[51.49, 20.5], [51.49, 21.5]], 48.0)))
    assert kinds(told) == ["first"]
    out = fly(Ledger(three(), SENSOR_IDS), exactly(truth([[51.4, 21.0], [51.6, 21.0], [51.4, 21.05]], 48.0)))
    check_chain(out)
    assert [(e.kind.value, e.state, e.other) for e in out] == [
        ("first", "AA", ""), ("exit", "AA", ""), ("re-enter", "AA", ""),
    ]  # fmt: skip
    assert states(out) == ["AA", "", "AA"]


def test_water_and_disputed_ground_are_marked() -> None:
    way, speed_mps, _ = WAYS["romania-2024"]
    told = fly(Ledger(shipped.zones(), SENSOR_IDS), exactly(truth(way, speed_mps)))
    assert [(entry.kind.value, entry.state, entry.sea) for entry in told] == [
        ("first", "", False), ("enter", "RO", True), ("exit", "RO", False), ("enter", "UA", False),
    ]  # fmt: skip
    through = fly(Ledger(three(), SENSOR_IDS), exactly(truth([[50.5, 19.5], [50.5, 20.5]], 100.0)))
    assert [(entry.state, entry.disputed) for entry in through] == [("CC", False), ("CC", True), ("AA", True)]


JUNCTION = st.tuples(st.floats(50.85, 51.15), st.floats(19.8, 20.2))


@settings(max_examples=25)
@given(st.lists(JUNCTION, min_size=2, max_size=7, unique=True), st.floats(10.0, 260.0), st.sampled_from([50.0, 400.0]))
def test_whatever_is_flown_the_ledger_tells_one_story(
    way: list[tuple[float, float]], speed_mps: float, plot_m: float
) -> None:
    flown = truth(way, speed_mps, step_s=2.0)
    flown = Truth(flown.t_s[:500], flown.state[:500])
    if len(flown.t_s) < 2:
        return
    for entries in by_track(fly(Ledger(three(), SENSOR_IDS), filtered(flown, plot_m, 4))):
        check_chain(entries)


def test_a_full_ledger_keeps_its_beginning_and_its_end_and_counts_the_rest() -> None:
    ledger = Ledger(zigzag(0.001, 5_000.0), SENSOR_IDS)
    way = [east_of(20.0 * (-1) ** i, 50.3 + 0.001 * i) for i in range(60)]
    told = fly(ledger, exactly(truth(way, 250.0)))
    check_chain(told)
    kept = ledger.entries(1)
    assert len(told) > MAX_ENTRIES + 20
    assert len(kept) <= MAX_ENTRIES
    assert len(kept) + ledger.left_out == len(told)
    assert list(kept[:KEPT_FIRST]) == told[:KEPT_FIRST]
    assert list(kept[-40:]) == told[-40:]
    later = [entry.number for entry in kept if entry.number > KEPT_FIRST + 1]
    assert later == list(range(later[0], len(told) + 1))
    times = [entry.t_us for entry in kept if entry.kind is not PassageKind.FIRST]
    assert all(times.count(t_us) == 2 for t_us in times), "exit and enter of one time go together"


def still(seconds: int) -> Iterator[Tracks]:
    """Two tracks that stand, one on each side."""
    places = np.array([east_of(-8.0), east_of(8.0)])
    lat, lon = np.radians(places).T
    state = np.hstack([geo.ecef(lat, lon, np.full(2, 400.0)), np.zeros((2, 3))])
    for t_s in range(seconds):
        yield table(float(t_s), state, np.tile(np.diag([900.0] * 3 + [4.0] * 3), (2, 1, 1)), 5 + t_s)


def test_what_has_ended_is_forgotten() -> None:
    border = zigzag(0.001, 5_000.0)
    ledger = Ledger(border, SENSOR_IDS)
    fly(ledger, still(4))
    assert [entry.state for entry in (*ledger.entries(1), *ledger.entries(2))] == ["OO", "AA"]
    ledger.ended([(1, "left coverage")])
    assert (ledger.entries(1), len(ledger.entries(2)), ledger.entries(77)) == ((), 1, ())
    *_, last = still(2)
    gone = take(replace(last, t_us=last.t_us + FORGET_US), np.zeros(2, np.bool_))
    assert ledger.step(gone, border.facts(gone), last.t_us + FORGET_US - S) == []
    assert len(ledger.entries(2)) == 1
    ledger.step(gone, border.facts(gone), last.t_us + FORGET_US + 3 * S)
    assert ledger.entries(2) == ()


def test_a_new_epoch_starts_empty() -> None:
    ledger = Ledger(zigzag(0.001, 5_000.0), SENSOR_IDS)
    fly(ledger, still(4))
    told = fly(ledger, (replace(tracks, epoch=8) for tracks in still(4)))
    assert [(entry.track, entry.number) for entry in told] == [("8:1", 1), ("8:2", 1)]


def test_broken_and_no_tracks_are_borne() -> None:
    border = zigzag(0.001, 5_000.0)
    ledger = Ledger(border, SENSOR_IDS)
    looks = list(still(8))
    for look in (3, 4):
        broken = looks[look].state.copy()
        broken[0] = np.nan
        looks[look] = replace(looks[look], state=broken)
    told = fly(ledger, iter(looks))
    assert [entry.track for entry in told] == ["7:1", "7:2"]
    none = take(looks[-1], np.zeros(2, np.bool_))
    assert ledger.step(none, border.facts(none), looks[-1].t_us) == []


def test_a_track_does_not_depend_on_its_neighbours() -> None:
    flown = truth([east_of(-1.0, 50.3), east_of(0.5, 50.4), east_of(-6.0, 50.45)], 48.0)
    border = zigzag(300.0, 2_000.0)
    looks = list(filtered(flown, 200.0, 6))
    together = fly(Ledger(border, SENSOR_IDS), iter(looks))
    for row in range(6):
        alone = fly(Ledger(border, SENSOR_IDS), (take(tracks, np.arange(6) == row) for tracks in looks))
        assert alone == [entry for entry in together if entry.track == f"7:{row + 1}"]
        assert alone


def test_a_restored_ledger_goes_on_as_if_nothing_had_happened() -> None:
    flown = truth([east_of(-1.0, 50.3), east_of(0.3, 50.35), east_of(0.0, 50.42), east_of(-6.0, 50.45)], 48.0)
    border = zigzag(300.0, 2_000.0)
    looks = list(filtered(flown, 200.0, 5))
    whole = Ledger(border, SENSOR_IDS)
    told = fly(whole, iter(looks))
    assert "seam" in kinds(told)
    for cut in range(20, len(looks), 45):
        before, after = Ledger(border, SENSOR_IDS), Ledger(border, SENSOR_IDS)
        start = fly(before, iter(looks[:cut]))
        after.restore(kept(before.snapshot()))
        assert start + fly(after, iter(looks[cut:])) == told
        assert bits(after.snapshot()) == bits(whole.snapshot())


def test_with_other_states_a_snapshot_is_no_use() -> None:
    ledger, other = Ledger(zigzag(0.001, 5_000.0), SENSOR_IDS), Ledger(three(), SENSOR_IDS)
    fly(ledger, still(4))
    other.restore(ledger.snapshot())
    assert other.entries(1) == ()


DIGEST = """
from tests.test_ledger import *
flown = truth([east_of(-1.0, 50.3), east_of(0.5, 50.4)], 48.0)
told = fly(Ledger(zigzag(300.0, 2_000.0), SENSOR_IDS), filtered(flown, 200.0, 6))
print(len(told), [tuple(getattr(entry, f.name) for f in fields(Passage)) for entry in told])
"""


def test_the_same_bits_for_any_hash_seed() -> None:
    assert fields(Passage)
    said = [
        subprocess.run(
            [sys.executable, "-c", DIGEST], check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("0", "4711")
    ]
    assert said[0] == said[1]
    assert int(said[0].split()[0]) > 6


@pytest.mark.parametrize("border_km", [0.0, 5.0])
def test_five_thousand_tracks_cost_little(border_km: float) -> None:
    """Beside what the engine asks of the same tracks ten times a second; in milliseconds: `make bench`."""
    ledger_s, facts_s = bench_ledger.looked(border_km=border_km)
    assert np.median(np.array(ledger_s) / facts_s) <= 0.6
    assert max(ledger_s) <= 2.0 * np.median(facts_s)


def test_the_sky_of_the_benchmark_has_passages() -> None:
    told = fly(Ledger(shipped.zones(), SENSOR_IDS), sky(300, 60, 5.0))
    assert kinds(told).count("enter") >= 10
    for entries in by_track(told):
        check_chain(entries)
