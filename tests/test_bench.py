"""The machinery of `make bench` on a sky of seconds: peers track, owners are right, figures come out."""

from __future__ import annotations

import io
import math
import time

import numpy as np
import pytest

from fusion import tracker as module
from fusion.registration import Registration
from fusion.schema import PlotKind
from fusion.tracker import Tracker
from tests.bench import __main__ as bench
from tests.bench import bench_asterix, bench_beast, bench_stages, quality, speed
from tests.bench.peers.choice import PERFECT, makers
from tests.bench.scenes import ORIGIN, WINDOW_US, Scene, scene
from tests.bench.table import NOT_RUN, OURS, Table


@pytest.fixture(scope="module")
def sky() -> Scene:
    """Twenty-four objects for as long as it takes to judge them three times."""
    return scene(24, 41.0, seed=3, told=True)


def test_owners_follow_the_addresses_that_plots_carry(sky: Scene) -> None:
    claims = [
        (batch, own)
        for window, theirs in zip(sky.windows, sky.owners, strict=True)
        for batch, own in zip(window, theirs, strict=True)
        if batch.kind == PlotKind.POSITION
    ]
    assert len(claims) > 100
    assert all((own >= 0).all() for _, own in claims)
    pairs = {(int(a), int(o)) for batch, own in claims for a, o in zip(batch.address, own, strict=True)}
    assert len({a for a, _ in pairs}) == len({o for _, o in pairs}) == len(pairs)


def test_false_plots_own_nothing_and_most_radar_plots_of_few_objects_are_false(sky: Scene) -> None:
    radar = np.concatenate(
        [
            own
            for window, theirs in zip(sky.windows, sky.owners, strict=True)
            for batch, own in zip(window, theirs, strict=True)
            if batch.kind == PlotKind.POLAR
        ]
    )
    per_s = sum(s.clutter_per_scan / s.period_s for s in sky.sensors if s.has_site)
    assert (radar < 0).sum() == pytest.approx(per_s * sky.seconds, rel=0.15)


@pytest.mark.parametrize("name", sorted(makers()))
def test_every_peer_tracks_most_objects_and_little_else(sky: Scene, name: str) -> None:
    got = bench.judge_peer(sky, name)
    assert got.score.overall.siap.completeness > 0.8
    assert got.score.overall.siap.spuriousness < 0.15
    assert got.score.overall.siap.position_accuracy_m < 200.0
    assert got.plots_per_cpu_s > 0.0


def test_being_told_whose_plot_is_whose_is_the_upper_mark(sky: Scene) -> None:
    told, guessing = (bench.judge_peer(sky, name).score for name in (PERFECT, "filterpy IMM"))
    assert told.gospa.total_m.mean() < guessing.gospa.total_m.mean()
    assert told.overall.siap.completeness >= guessing.overall.siap.completeness


def test_a_place_in_the_plane_comes_back(sky: Scene) -> None:
    plane = makers()["filterpy KF"](sky.sensors, 1.0).plane
    lat, lon = np.radians([53.0, 54.5, 56.0]), np.radians([21.0, 23.5, 26.0])
    back_lat, back_lon = plane.geodetic(plane.xy(lat, lon))
    assert np.abs(back_lat - lat).max() < 1e-9
    assert np.abs(back_lon - lon).max() < 1e-9
    assert np.abs(plane.xy(np.array([ORIGIN[0]]), np.array([ORIGIN[1]]))).max() < 1e-6


def test_ours_is_measured_on_windows_and_through_lines(sky: Scene) -> None:
    got = speed.ours(sky, 20.0)
    assert got.plots_per_cpu_s > 100.0
    assert 0.0 <= got.p50_ms <= got.p99_ms
    assert got.tracks == len(_run(sky).table(len(sky.windows) * WINDOW_US))
    assert speed.through_lines(sky, 20.0) > 100.0
    assert speed.as_lines(sky).count(b'"tick":') == 1 + int(sky.seconds)  # the header names the step of ticks


def test_the_marked_stream_notes_when_its_reader_asks_for_what_lies_behind(sky: Scene) -> None:
    text, first = speed.as_lines(sky), speed.as_lines(sky.first(20.0))
    assert text.startswith(first)
    stream = speed.Marked(text, len(first))
    pieces = [stream.read1(60_000)]
    while sum(map(len, pieces)) < len(first):
        assert stream.passed_s == math.inf
        pieces.append(stream.read1(60_000))
    assert b"".join(pieces) == first
    while piece := stream.read1(60_000):
        pieces.append(piece)
    assert b"".join(pieces) == text
    assert 0.0 < stream.passed_s <= time.process_time()


def test_a_scene_with_mixed_latencies_has_both() -> None:
    late = scene(20, 8.0, mixed_latency=True)
    ages = [(batch.rx_us - batch.t_us.max()) / 1e6 for window in late.windows for batch in window]
    assert min(ages) < 0.35
    assert max(ages) > 1.2


def test_arrays_are_counted_once_wherever_they_hang() -> None:
    class Holder:
        def __init__(self) -> None:
            self.a = np.zeros(1_000)
            self.view = self.a[:10]
            self.more = [np.zeros(100), {"x": np.zeros(10)}]

    assert speed.array_bytes(Holder()) == 8 * 1_110


def test_the_tracker_holds_its_tracks_in_arrays(sky: Scene) -> None:
    tracker = _run(sky)
    assert speed.array_bytes(tracker) > 100 * len(tracker.table(len(sky.windows) * WINDOW_US))


def test_quality_counts_what_was_given(sky: Scene) -> None:
    got = quality.judge(OURS, sky, *quality.ours(sky))
    assert got.score.overall.siap.completeness > 0.8
    assert math.isfinite(float(got.score.ospa_m.mean()))


def test_the_table_shows_what_was_not_run() -> None:
    table = Table()
    table.put("row one", OURS, 1_234.5)
    table.put("row two", "other", 0.25, ".2f")
    table.note("a note")
    text = io.StringIO(table.text())
    lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in text]
    assert lines[0] == ["", OURS, "other"]
    assert lines[2] == ["row one", "1,234", NOT_RUN]
    assert lines[3] == ["row two", NOT_RUN, "0.25"]
    assert table.text().endswith("- a note")


def test_asterix_is_read_and_written_by_all_who_are_named() -> None:
    got = bench_asterix.measure(least_s=0.0, few=20)
    assert [len(rates) for rates in got.values()] == [3, 2, 1]
    assert min(rate for rates in got.values() for rate in rates.values()) > 0.0


def _run(sky: Scene) -> Tracker:
    tracker = Tracker(sky.sensors)
    for window, batches in enumerate(sky.windows):
        tracker.step(batches, (window + 1) * WINDOW_US)
    return tracker


def test_raw_frames_are_measured_beside_another_decoder() -> None:
    assert min(bench_beast.measure(aircraft=20, seconds=2)) > 100.0


def test_the_stages_of_a_step_are_timed_and_left_as_they_were(sky: Scene) -> None:
    step, observe = vars(module)["step_1"], Registration.observe
    found = bench_stages.measure(sky.first(6.0), 2.0)
    assert list(found) == [*bench_stages.STAGES, bench_stages.REST]
    assert all(us > 0.0 for us in found.values())
    assert vars(module)["step_1"] is step and Registration.observe is observe
