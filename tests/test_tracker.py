"""The tracker on small skies: one track per object, in any order of arrival, and the same again after a restore."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from fusion.borders.terrain import Grid
from fusion.filters.params import M_C
from fusion.geo import geodetic
from fusion.kernels import X
from fusion.rows import head_of, plots_of
from fusion.schema import US_PER_S, PlotKind, Plots, Tracks, TrackStatus, plots
from fusion.tracker import Tracker, TrackerParams
from tests.sky import (
    ADSB,
    FLAT,
    LAT,
    LON,
    RADAR,
    SENSORS,
    SITES,
    START_US,
    claim,
    clutter,
    line,
    place,
    play,
    scan,
)


def end(seconds: float) -> int:
    return START_US + round(seconds * US_PER_S)


def misses_m(tracks: Tracks, where: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(tracks.state[:, :3] - where, axis=1))


def test_radar_and_adsb_of_one_aircraft_are_one_track() -> None:
    rng, path = np.random.default_rng(1), line(40_000, 30_000, 3_000, -80, 60)
    batches = [claim(path, float(t), 0xABCDEF, rng, callsign=[b"LYV12"], category=[3]) for t in range(60)]
    for t in range(0, 60, 5):
        batches += scan(RADAR, [path], t, rng) + scan(FLAT, [path], t, rng)
    tracker = play(Tracker(SENSORS, epoch=4), batches, 61.0)
    tracks = tracker.table(end(60.0))
    assert len(tracks) == 1
    assert tracks.name(0).startswith("4:")
    assert (tracks.address[0], tracks.callsign[0], tracks.category[0]) == (0xABCDEF, b"LYV12", 3)
    assert tracks.status[0] == TrackStatus.CONFIRMED
    assert misses_m(tracks, place(path, 60.0))[0] < 40.0
    assert min(tracks.claim_us[0], tracks.radar_us[0]) > end(53.0)
    assert tracks.sensors[0] == 0b111
    assert tracks.unseen[0] > np.log(0.5)
    assert int(tracks.hits[0]) == len(batches)


def test_a_claim_that_joins_a_radar_track_takes_it_over_without_doubling() -> None:
    rng, path = np.random.default_rng(2), line(40_000, 30_000, 900, -45, 20)
    batches = [b for t in range(0, 90, 5) for b in scan(RADAR, [path], t, rng)]
    batches += [claim(path, float(t), 0x123456, rng) for t in range(40, 90)]
    early = play(Tracker(SENSORS), batches, 35.0).table(end(35.0))
    late = play(Tracker(SENSORS), batches, 91.0).table(end(90.0))
    assert early.id.tolist() == late.id.tolist()
    assert (early.address.tolist(), late.address.tolist()) == ([-1], [0x123456])


@pytest.mark.parametrize("seed", range(3))
def test_claims_that_fall_silent_do_not_end_what_radar_found_and_cannot_see_now(seed: int) -> None:
    """A slow object that radar followed flies behind the horizon. Whether somebody spoke for it or not, it coasts."""

    leaves = line(118_500, 12_000, 300, 45, 4)

    def lasts_s(spoken: bool) -> float:
        rng = np.random.default_rng(seed)
        batches = [b for t in range(0, 60, 5) for b in scan(RADAR, [leaves], t, rng)]
        batches += [b for t in range(0, 200, 5) for b in clutter(RADAR, t, rng, 5)]  # the radar is on
        if spoken:
            batches += [claim(leaves, float(t), 0x4000AB, rng) for t in range(45, 65)]
        tracker, batches, last_s = Tracker(SENSORS), sorted(batches, key=lambda b: (b.rx_us, b.sensor)), 0.0
        for second in range(1, 200):
            tracker.step([b for b in batches if end(second - 1.0) < b.rx_us <= end(second)], end(second))
            near = misses_m(tracker.table(end(second)), place(leaves, second)) < 5_000.0
            last_s = float(second) if near.any() else last_s
        return last_s

    assert lasts_s(True) >= lasts_s(False) + 10.0


def test_late_plots_are_fused_at_their_own_time() -> None:
    rng, path = np.random.default_rng(3), line(-20_000, 50_000, 2_000, 70, -10)
    batches = [b for t in range(0, 60, 5) for b in scan(RADAR, [path], t, rng)]
    batches += [claim(path, t + 0.37, 7, rng) for t in range(0, 60, 4)]
    held = [replace(b, rx_us=b.rx_us + int(rng.integers(0, 6 * US_PER_S))) for b in batches]
    straight = play(Tracker(SENSORS), batches, 75.0).table(end(60.0))
    shuffled = play(Tracker(SENSORS), held, 75.0).table(end(60.0))
    assert len(straight) == len(shuffled) == 1
    np.testing.assert_allclose(shuffled.state, straight.state, atol=0.5)
    assert shuffled.hits.tolist() == straight.hits.tolist() == [len(batches)]


def test_a_slow_tight_object_is_confirmed_by_its_second_plot_within_clutter() -> None:
    rng, path = np.random.default_rng(4), line(30_000, 20_000, 400, 12, 8)
    batches = [b for t in range(0, 60, 5) for b in clutter(RADAR, t, rng, 20)]
    batches += [b for t in range(30, 60, 5) for b in scan(RADAR, [path], t, rng)]
    tracks = play(Tracker(SENSORS), batches, 37.0).table(end(37.0))
    assert (misses_m(tracks, place(path, 37.0)) < 500.0).sum() == 1


def test_clutter_alone_makes_next_to_no_tracks() -> None:
    rng = np.random.default_rng(5)
    batches = [b for t in range(0, 200, 5) for b in clutter(RADAR, t, rng, 40)]
    tracker = play(Tracker(SENSORS), batches, 200.0)
    assert len(tracker.table(end(200.0))) <= 1
    assert tracker.counts["tentative"] < 200, "what never came again is forgotten"
    assert len(tracker.drain_dropped()) <= 6


def test_an_object_that_vanishes_in_view_is_dropped_and_one_whose_radar_falls_silent_coasts() -> None:
    rng, path = np.random.default_rng(6), line(30_000, 20_000, 1_500, 40, 8)
    noise = [b for t in range(0, 120, 5) for b in clutter(RADAR, t, rng, 15)]
    seen = [b for t in range(0, 50, 5) for b in scan(RADAR, [path], t, rng)]
    vanished = play(Tracker(SENSORS), noise + seen, 100.0)
    assert (misses_m(vanished.table(end(100.0)), place(path, 100.0)) < 3_000.0).sum() == 0
    assert [why for _, why in vanished.drain_dropped()].count("dropped") >= 1
    silent = play(Tracker(SENSORS), [b for b in noise + seen if b.rx_us < end(50.0)], 75.0)
    tracks = silent.table(end(75.0))
    assert (misses_m(tracks, place(path, 75.0)) < 1_000.0).sum() == 1


def test_a_radar_that_comes_back_does_not_kill_what_it_missed_while_off() -> None:
    rng, path = np.random.default_rng(15), line(-40_000, 30_000, 3_000, 70, 10)
    batches = [claim(path, float(t), 77, rng) for t in range(200)]
    batches += [b for t in (*range(0, 40, 5), *range(180, 200, 5)) for b in scan(RADAR, [path], t, rng)]
    batches += [b for t in (*range(0, 40, 5), *range(180, 200, 5)) for b in clutter(RADAR, t, rng, 30)]
    tracker = play(Tracker(SENSORS), batches, 181.0)
    tracks = tracker.table(end(181.0))
    assert (tracks.address == 77).sum() == 1
    assert tracks.existence[tracks.address == 77][0] > 0.9
    assert tracks.unseen[tracks.address == 77][0] > np.log(0.01)
    assert 1 not in [number for number, _ in tracker.drain_dropped()], "its first number"


def test_a_tracker_without_sensors_has_an_empty_table() -> None:
    tracker = Tracker(())
    assert tracker.step([], START_US) == 0
    assert len(tracker.table(START_US)) == 0


def test_a_track_that_leaves_coverage_says_so() -> None:
    rng, path = np.random.default_rng(7), line(150_000, 100_000, 9_000, 220, 150)
    batches = [b for t in range(0, 90, 5) for b in scan(RADAR, [path], t, rng)]
    batches += [b for t in range(0, 400, 5) for b in clutter(RADAR, t, rng, 10)]
    inside = [b for b in batches if len(b) > 1 or b.range_m[0] < RADAR.range_max_m]
    tracker = play(Tracker(SENSORS), inside, 400.0)
    reasons = [why for _, why in tracker.drain_dropped()]
    assert "left coverage" in reasons


def test_a_claim_that_radar_should_see_and_does_not_becomes_unlikely() -> None:
    rng, real, false = np.random.default_rng(8), line(-30_000, 30_000, 3_000, 70, 0), line(30_000, 30_000, 3_000, 70, 0)
    batches = [claim(p, float(t), a, rng) for t in range(60) for p, a in ((real, 1), (false, 2))]
    batches += [b for t in range(0, 60, 5) for b in scan(RADAR, [real], t, rng)]
    tracks = play(Tracker(SENSORS), batches, 60.5).table(end(60.0))
    assert sorted(tracks.address.tolist()) == [1, 2]
    honest, liar = int(np.flatnonzero(tracks.address == 1)[0]), int(np.flatnonzero(tracks.address == 2)[0])
    assert tracks.unseen[honest] > np.log(0.5)
    assert tracks.unseen[liar] < np.log(0.01)
    assert tracks.radar_us[liar] == -1


def test_an_address_does_not_override_physics() -> None:
    rng, real, other = np.random.default_rng(9), line(0, 40_000, 3_000, 70, 0), line(60_000, -40_000, 3_000, 70, 0)
    batches = [claim(real, float(t), 0xCAFE, rng) for t in range(40)]
    batches += [claim(other, t + 0.5, 0xCAFE, rng) for t in range(20, 40)]
    tracks = play(Tracker(SENSORS), batches, 40.5).table(end(40.0))
    assert tracks.address.tolist() == [0xCAFE, 0xCAFE]
    assert misses_m(tracks, place(real, 40.0))[0] < 50.0
    assert misses_m(tracks, place(other, 40.0))[1] < 50.0


def test_neighbours_whose_plots_come_in_different_ticks_keep_their_numbers() -> None:
    rng = np.random.default_rng(10)
    paths = [line(60_000 + 600 * k, 30_000 - 500 * k, 500, -48, 10) for k in range(4)]
    batches = [b for t in range(0, 150, 5) for b in scan(RADAR, paths, t, rng, 0.9)]
    batches = [replace(b, rx_us=b.rx_us + int(rng.integers(0, 400_000))) for b in batches]
    batches += [b for t in range(0, 150, 5) for b in clutter(RADAR, t, rng, 15)]
    early = play(Tracker(SENSORS), batches, 60.0).table(end(60.0))
    late = play(Tracker(SENSORS), batches, 150.0).table(end(150.0))
    for path in paths:
        first, last = misses_m(early, place(path, 60.0)), misses_m(late, place(path, 150.0))
        assert first.min() < 600.0
        assert last.min() < 600.0
        assert early.id[first.argmin()] == late.id[last.argmin()]


def test_pressure_height_meets_geoid_and_qnh() -> None:
    geoid = Grid(LAT - 0.1, LON - 0.1, 0.05, np.full((6, 6), 25.0, np.float32))
    batch = plots(
        "R2", PlotKind.POLAR, START_US, np.array([START_US]), range_m=[50_000.0], azimuth_rad=[1.0],
        pressure_height_m=[1_000.0], mode3a=[0o1234],
    )  # fmt: skip
    plain, with_geoid = Tracker(SENSORS), Tracker(SENSORS, geoid=geoid)
    with_geoid.set_qnh(1023.25, 2.0)
    heights = []
    for tracker in (plain, with_geoid):
        tracker.step([batch], START_US)
        place_of = tracker._bank.track(int(tracker._bank.live()[0]))[X : X + 3]
        heights.append(float(geodetic(place_of[None])[2][0]))
    assert heights[0] == pytest.approx(1_000.0, abs=5.0)
    assert heights[1] == pytest.approx(1_000.0 + 25.0 + 82.9, abs=8.0)


def test_a_reported_geometric_height_goes_before_pressure() -> None:
    batch = plots(
        "A0", PlotKind.POSITION, START_US, np.array([START_US] * 2), lat_rad=[LAT] * 2, lon_rad=[LON] * 2,
        height_m=[500.0, np.nan], pressure_height_m=[900.0, 900.0],
    )  # fmt: skip
    row = plots_of([batch], [head_of(ADSB)], SITES, None, Tracker(SENSORS).pressure.numbers)["row"]
    assert row[:, M_C].tolist() == [500.0, 900.0]


def test_mode_3a_codes_keep_crossing_aircraft_apart() -> None:
    rng = np.random.default_rng(11)
    paths = (line(40_000, 30_000, 3_000, -60, 0), line(30_000, 30_150, 3_100, 60, 0))
    batches: list[Plots] = []
    for t in range(0, 180, 5):
        for path, code in zip(paths, (0o1111, 0o2222), strict=True):
            batches += [replace(b, mode3a=np.array([code], np.int32)) for b in scan(FLAT, [path], t, rng)]
    tracks = play(Tracker(SENSORS), batches, 180.0).table(end(179.0))
    assert sorted(tracks.mode3a.tolist()) == [0o1111, 0o2222]
    assert len(batches) - 2 <= int(tracks.hits.sum()) <= len(batches)


def test_the_time_of_a_mode_3a_code_is_that_of_the_last_plot_that_carried_one() -> None:
    rng, path = np.random.default_rng(31), line(30_000, 20_000, 1_500, 60, 8)
    batches = [claim(path, t, 0x503C01, rng, mode3a=[0o7000]) for t in range(20)]
    batches += [b for t in range(0, 60, 5) for b in scan(RADAR, [path], t, rng)]
    tracks = play(Tracker(SENSORS), batches, 62.0).table(end(62.0))
    assert len(tracks) == 1
    assert tracks.mode3a[0] == 0o7000
    assert tracks.mode3a_us[0] == tracks.claim_us[0] == START_US + 19 * US_PER_S
    assert tracks.radar_us[0] > START_US + 50 * US_PER_S
    silent = play(Tracker(SENSORS), [b for b in batches if b.sensor != "A0"], 62.0).table(end(62.0))
    assert (silent.mode3a[0], silent.mode3a_us[0]) == (-1, -1)


def test_the_pressure_height_of_a_track_is_the_newest_that_was_measured() -> None:
    rng, path = np.random.default_rng(31), line(30_000, 20_000, 1_500, 60, 8)
    batches = [b for t in range(0, 60, 5) for b in scan(RADAR, [path], t, rng)]
    answers = [claim(path, t, 0x503C01, rng, pressure_height_m=[1_400.0 + t]) for t in range(20)]
    late = replace(answers.pop(9), rx_us=answers[-1].rx_us + US_PER_S)
    tracks = play(Tracker(SENSORS), [*batches, *answers, late], 62.0).table(end(62.0))
    assert tracks.pressure_height_m.tolist() == [1_419.0], "as it was measured, and a late one is not the newest"
    assert tracks.pressure_height_us.tolist() == [START_US + 19 * US_PER_S]
    silent = play(Tracker(SENSORS), batches, 62.0).table(end(62.0))
    assert (np.isnan(silent.pressure_height_m).tolist(), silent.pressure_height_us.tolist()) == ([True], [-1])


def test_clutter_that_crowds_near_the_radar_makes_no_track_that_lasts() -> None:
    """Even in range instead of in area, and low: as birds and ground echoes are."""
    tracker, rng = Tracker(SENSORS), np.random.default_rng(8)
    batches = []
    for t in range(0, 300, 5):
        for batch in clutter(RADAR, t, rng, 40):
            reach = rng.uniform(1_000.0, RADAR.range_max_m, len(batch))
            low = np.minimum(3_000.0 * rng.random(len(batch)) / reach, 1.2)
            batches.append(replace(batch, range_m=reach, elevation_rad=low))
    surest = 0
    for t in range(60, 301, 10):
        play_from(tracker, batches, t - 10 if t > 60 else 0, t)
        tracks = tracker.table(end(t))
        surest += int(((tracks.hits >= 3) & (tracks.existence >= 0.9)).sum())
    assert surest == 0


def test_a_landed_aircraft_ends_its_track() -> None:
    rng, path = np.random.default_rng(12), line(10_000, 10_000, 300, 70, 0)
    batches = [claim(path, float(t), 99, rng) for t in range(20)]
    batches += [claim(path, float(t), 99, rng, on_ground=[1]) for t in range(20, 25)]
    tracker = play(Tracker(SENSORS), batches, 26.0)
    assert len(tracker.table(end(26.0))) == 0
    assert [why for _, why in tracker.drain_dropped()] == ["landed"]


def test_every_plot_is_used_and_counted() -> None:
    rng = np.random.default_rng(13)
    batches = clutter(RADAR, 0.0, rng, 50) + clutter(FLAT, 0.0, rng, 50)
    tracker = Tracker(SENSORS)
    assert tracker.step(sorted(batches, key=lambda b: int(b.t_us[0])), end(6.0)) == sum(len(b) for b in batches)
    assert tracker.step([], end(6.1)) == 0


def equal(a: Tracks, b: Tracks) -> bool:
    values = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
    return all(x.tobytes() == y.tobytes() if isinstance(x, np.ndarray) else x == y for x, y in values)


def busy_sky() -> list[Plots]:
    rng = np.random.default_rng(14)
    paths = [line(20_000 + 700 * k, 40_000 - 900 * k, 800 + 100 * k, -40, 12 - k) for k in range(5)]
    batches = [b for t in range(0, 80, 5) for spec in (RADAR, FLAT) for b in scan(spec, paths, t, rng, 0.85)]
    batches += [b for t in range(0, 80, 5) for spec in (RADAR, FLAT) for b in clutter(spec, t, rng, 25)]
    batches += [claim(paths[0], float(t), 5, rng) for t in range(80)]
    return [replace(b, rx_us=b.rx_us + int(rng.integers(0, 900_000))) for b in batches]


def test_a_restored_tracker_goes_on_bit_for_bit() -> None:
    batches = busy_sky()
    whole = play(Tracker(SENSORS), batches, 80.0)
    again = Tracker(SENSORS)
    for k in range(4):
        part = play(Tracker(SENSORS), [], 0.0)
        part.restore(again.snapshot())
        again = part
        sent = [b for b in batches if end(20.0 * k) < b.rx_us <= end(20.0 * (k + 1))]
        play_from(again, sent, 20.0 * k, 20.0 * (k + 1))
    straight = Tracker(SENSORS)
    for k in range(4):
        play_from(
            straight, [b for b in batches if end(20.0 * k) < b.rx_us <= end(20.0 * (k + 1))], 20.0 * k, 20.0 * (k + 1)
        )
    assert equal(again.table(end(80.0)), straight.table(end(80.0)))
    assert again.counts == straight.counts == whole.counts
    assert again.drain_dropped() == straight.drain_dropped()


def play_from(tracker: Tracker, batches: list[Plots], begin_s: float, end_s: float) -> None:
    for tick in range(round(begin_s * 10) + 1, round(end_s * 10) + 1):
        now_us = START_US + tick * 100_000
        due = [b for b in batches if now_us - 100_000 < b.rx_us <= now_us]
        due.sort(key=lambda b: (int(b.t_us.min()), b.sensor, b.t_us.tobytes(), b.azimuth_rad.tobytes()))
        tracker.step(due, now_us)


def test_a_full_table_starts_nothing_new_and_says_so() -> None:
    batches = busy_sky()
    small = Tracker(SENSORS, TrackerParams(most_tracks=12))
    play(small, batches, 40.0)
    assert sum(small.counts.values()) <= 12
    assert small.limits.refused > 0
    assert Tracker(SENSORS).limits == play(Tracker(SENSORS), batches, 40.0).limits, "a large one is never full"


def test_sensor_statistics_find_honest_noise() -> None:
    batches = busy_sky()
    stats = play(Tracker(SENSORS), batches, 80.0).sensor_stats()
    assert stats.hits[ADSB.index] == sum(b.sensor == "A0" and b.rx_us <= end(80.0) for b in batches)
    assert 0.5 < stats.nis[RADAR.index] < 1.5
    assert 10.0 < stats.clutter_per_scan[RADAR.index] < 40.0
    assert stats.misses[RADAR.index] > 0


def test_params_are_numbers_with_meaning() -> None:
    params = TrackerParams()
    assert 0.0 < params.p_delete_new < params.p_delete < params.p_confirm < params.p_most < 1.0
    assert isinstance(FLAT.sigma_elevation_rad, float)
