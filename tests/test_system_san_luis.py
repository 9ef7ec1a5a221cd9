"""One real MSSR (San Luis, Argentina, 23 minutes of 3 March 2026): one track per Mode 3/A code, through a broker.

The radar is declared in the test's own sensors.toml. Its recording was made by a computer whose clock was 26 minutes
behind the radar's time of day; uncorrected, every plot is from the future and refused, which the second test shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.formats import plots as plots_format
from adapters.wire import parse_time
from fusion import geo
from fusion.schema import Frame
from replay import log
from tests import recordings
from tests.running import Ear, Mosquitto, Service, ports, vedette, write_config

pytestmark = pytest.mark.real_data
TICK_US = 500_000
ENOUGH = 5  # plots of a code from which on it must have its track; the codes with one plot are garbled replies
SETTLE_SCANS = 3
GAP_S = 60.0  # eight missed scans: the object may be taken for gone, and come back with a new number


@dataclass(frozen=True)
class Flown:
    """What the recording holds and what came out."""

    frames: list[Frame]
    pictures: dict[int, list[dict[str, Any]]]  # tracks of every full picture by its time
    metrics: dict[str, float]


def replayed(folder: Path, frames: list[Frame]) -> tuple[dict[int, list[dict[str, Any]]], dict[str, float]]:
    recording = folder / "san-luis.jsonl.gz"
    log.write(recording, frames)
    http_port, _ = ports()
    with Mosquitto(folder / "broker") as broker:
        radar = recordings.SAN_LUIS_RADAR
        config = write_config(folder / "config", broker.port, [radar], {radar.id: "plots"}, http_port)
        # What is asked for here are full pictures, once in five seconds: many between them only take time.
        with (config / "service.toml").open("a", encoding="utf-8") as file:
            file.write(f"\n[publish]\npicture_ms = {TICK_US // 1000}\n")
        with Service(config, http_port, "--clock", "feed") as service:
            with Ear(broker.port, "picture/+", "alert-log") as ear:
                address = f"127.0.0.1:{broker.port}"
                player = vedette("replay", str(recording), "--speed", "max", "--broker", address, "--site", "test")
                assert player.wait(240) == 0
                pictures: dict[int, list[dict[str, Any]]] = {}
                for part in ear.of("picture/"):
                    pictures.setdefault(parse_time(part["time"]), []).extend(part.get("tracks", []))
                assert ear.of("alert-log") == []  # another continent
            metrics = service.metrics("vedette_")
            assert service.stop() == 0
    return pictures, metrics


@pytest.fixture(scope="module")
def flown(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Flown:
    frames = recordings.san_luis(data, tick_us=TICK_US)
    pictures, metrics = replayed(tmp_path_factory.mktemp("san-luis"), frames)
    return Flown(frames, pictures, metrics)


def plots_by_code(frames: list[Frame]) -> dict[int, list[int]]:
    """Measured times of every Mode 3/A code in the recording."""
    found: dict[int, list[int]] = {}
    for frame in frames:
        if frame.source == "tick":
            continue
        batch = plots_format.decode(frame.payload, recordings.SAN_LUIS_RADAR, frame.rx_us).batch
        for code, t_us in zip(batch.mode3a.tolist(), batch.t_us.tolist(), strict=True):
            found.setdefault(code, []).append(t_us)
    found.pop(-1, None)
    return found


def segments(flown: Flown) -> dict[int, list[list[int]]]:
    """Per code with enough plots, its measured times, cut where the radar itself lost the object for a minute."""
    found: dict[int, list[list[int]]] = {}
    for code, times in plots_by_code(flown.frames).items():
        if len(times) < ENOUGH:
            continue
        times.sort()
        cuts = [i for i in range(1, len(times)) if times[i] - times[i - 1] > GAP_S * 1e6]
        found[code] = [times[i:j] for i, j in zip([0, *cuts], [*cuts, len(times)], strict=True)]
    return found


def test_one_track_per_code(flown: Flown) -> None:
    """Never two at a time, and a new number only where the radar had lost the object for a minute."""
    expected = segments(flown)
    assert len(expected) == 13
    assert sum(len(parts) > 1 for parts in expected.values()) == 3
    ids: dict[int, set[str]] = {}
    nameless: dict[str, list[tuple[float, float]]] = {}
    for shown in flown.pictures.values():
        codes = [int(track["mode3a"], 8) for track in shown if "mode3a" in track]
        assert len(codes) == len(set(codes)), "one code on two tracks"
        for track in shown:
            if "mode3a" in track:
                ids.setdefault(int(track["mode3a"], 8), set()).add(track["id"])
            else:
                nameless.setdefault(track["id"], []).append((track["lat_deg"], track["lon_deg"]))
    assert set(ids) == set(expected)
    for code, names in ids.items():
        assert len(names) <= len(expected[code]), f"code {code:04o}: {names}"
    # Replies whose code did not validate make no track of their own, but for two stretches of them, each under a minute
    # and at the edge of view, where nothing else was: objects that really flew there.
    without = [places for name, places in nameless.items() if name not in set().union(*ids.values())]
    assert len(without) <= 2
    for places in without:
        assert len(places) <= 12, "pictures of five seconds"
        lat, lon = np.radians(places).T
        radar = recordings.SAN_LUIS_RADAR
        away_m, _, _ = geo.inverse(np.full(len(lat), radar.lat_rad), np.full(len(lat), radar.lon_rad), lat, lon)
        assert away_m.min() > 250_000.0


def test_every_track_is_there_from_its_third_scan_to_its_last_plot(flown: Flown) -> None:
    period_us = round(recordings.SAN_LUIS_RADAR.period_s * 1e6)
    for code, parts in segments(flown).items():
        for times in parts:
            if len(times) < ENOUGH:
                continue
            from_us, until_us = times[SETTLE_SCANS - 1] + period_us // 2, times[-1]
            due = [t_us for t_us in flown.pictures if from_us <= t_us <= until_us]
            shown = [t_us for t_us in due if f"{code:04o}" in {t.get("mode3a") for t in flown.pictures[t_us]}]
            assert len(shown) >= 0.98 * len(due), f"code {code:04o}: in {len(shown)} of {len(due)} pictures"


def test_the_innovations_are_what_the_declared_noise_explains(flown: Flown) -> None:
    """Mean normalised innovation squared per degree of freedom over all plots: 1 for a filter that knows its noise."""
    ratio = flown.metrics['vedette_sensor_innovation_ratio{sensor="UIS"}']
    assert 0.3 <= ratio <= 1.5


def test_nothing_is_lost(flown: Flown) -> None:
    count = sum(
        len(plots_format.decode(frame.payload, recordings.SAN_LUIS_RADAR, frame.rx_us).batch)
        for frame in flown.frames
        if frame.source != "tick"
    )
    assert count == 1640
    assert flown.metrics["vedette_items_used_total"] == count
    assert flown.metrics["vedette_items_received_total"] == count


def test_uncorrected_the_recording_is_refused_as_from_the_future(data: Path, tmp_path: Path) -> None:
    whole = recordings.san_luis(data, clock_s=0.0, tick_us=TICK_US)
    minutes_us = 5 * 60 * 1_000_000
    until_us = (whole[0].rx_us // 1_000_000) * 1_000_000 + minutes_us
    frames = [frame for frame in whole if frame.rx_us <= until_us]
    sent = sum(1 for f in frames if f.source != "tick")
    pictures, metrics = replayed(tmp_path, frames)
    assert sent > 100
    assert metrics['vedette_items_rejected_total{reason="future"}'] >= sent
    assert metrics["vedette_items_used_total"] == 0
    assert all(shown == [] for shown in pictures.values())
