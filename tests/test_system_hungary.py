"""Real light aircraft over Hungary, a simulated drone from Serbia, through a real Mosquitto, at the feed's own time.

The ADS-B of the survey flight HAYCG is the recording; two simulated radars look at it, at twelve more simulated
cooperative aircraft and at the drone. `vedette replay` publishes, `vedette run --clock feed` fuses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.formats import alert as alert_format
from adapters.wire import parse_time
from fusion.schema import Alert
from replay import account, log
from replay.simulate import Scenario
from tests import recordings
from tests.running import Ear, Mosquitto, Service, ports, vedette, write_config

pytestmark = pytest.mark.real_data
DURATION_S = 300.0
SETTLED_S = 30.0  # from here on every object must have its one track


@dataclass(frozen=True)
class Night:
    """What came out of the replay."""

    scenario: Scenario
    pictures: list[dict[str, Any]]  # full ones, one message a part
    alerts: list[Alert]  # every transition
    statuses: list[dict[str, Any]]
    metrics: dict[str, float]


@pytest.fixture(scope="module")
def night(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("hungary")
    scenario, frames = recordings.over_hungary(data, DURATION_S)
    recording = folder / "hungary.jsonl.zst"
    log.write(recording, frames)
    formats = {s.spec.id: s.format for s in scenario.plan.sensors}
    http_port, _ = ports()
    with Mosquitto(folder / "broker") as broker:
        config = write_config(folder / "config", broker.port, scenario.sensors, formats, http_port)
        with Service(config, http_port, "--clock", "feed") as service:
            with Ear(broker.port, "picture/+", "alert-log", "status") as ear:
                player = vedette(
                    "replay", str(recording), "--speed", "max", "--broker", f"127.0.0.1:{broker.port}", "--site", "test"
                )
                assert player.wait(180) == 0
                metrics = service.metrics("vedette_")
                found = Night(
                    scenario,
                    ear.of("picture/"),
                    [alert_format.decode(payload) for topic, payload, _ in ear.heard if topic == "alert-log"],
                    ear.of("status"),
                    metrics,
                )
            assert service.stop() == 0
    return found


def rows(night: Night) -> dict[int, list[dict[str, Any]]]:
    """Tracks of every full picture by its time."""
    found: dict[int, list[dict[str, Any]]] = {}
    for part in night.pictures:
        found.setdefault(parse_time(part["time"]), []).extend(part.get("tracks", []))
    return found


def scored(night: Night) -> account.Result:
    scorer = account.Scorer()
    for t_us, tracks in sorted(rows(night).items()):
        if t_us >= night.scenario.start_us + SETTLED_S * 1e6:
            lat = np.radians([track["lat_deg"] for track in tracks])
            lon = np.radians([track["lon_deg"] for track in tracks])
            scorer.add(night.scenario.truth(t_us), [track["id"] for track in tracks], lat, lon)
    return scorer.result()


def test_one_track_per_object(night: Night) -> None:
    result = scored(night)
    assert result.samples >= (DURATION_S - SETTLED_S) / 5 - 2
    assert result.mean_objects == pytest.approx(14.0, abs=0.5)
    assert abs(result.count_error) <= 0.02
    assert result.completeness >= 0.98
    assert result.spurious <= 0.02
    for found in result.objects:
        assert len(found.tracks) == 1, f"{found.id} changed its track: {found.tracks}"


def test_radar_and_the_real_adsb_are_one_track(night: Night) -> None:
    """The survey flight is fed by its recorded ADS-B and by both radars, and stands in every picture once."""
    seen: set[str] = set()
    for t_us, tracks in rows(night).items():
        if t_us < night.scenario.start_us + SETTLED_S * 1e6:
            continue
        mine = [track for track in tracks if track.get("address") == "473f9a"]
        assert len(mine) == 1
        seen |= set(mine[0]["sensors"])
    assert {"A2", "R1"} <= seen


def test_cooperative_traffic_raises_nothing(night: Night) -> None:
    judged = account.judge_alerts(night.scenario, night.alerts)
    assert judged.wrong == ()
    named = {account.about(night.scenario, a) for a in night.alerts if a.state == "raised"}
    assert named == {"drone"}


def test_the_drone_is_told_before_it_crosses_with_state_distance_time_and_reason(night: Night) -> None:
    judged = account.judge_alerts(night.scenario, night.alerts)
    assert judged.unmet == ()
    first = min((a for a in night.alerts if a.state == "raised"), key=lambda a: a.raised_us)
    assert (first.overflown, first.near_state) == ("RS", "HU")
    numbers = {q.name: q for q in first.quantities}
    assert 0 < float(numbers["distance_m"].value) < 30_000
    assert numbers["distance_m"].sigma is not None
    assert "time_to_border_s" in numbers
    assert {"R1", "R2"} & set(first.sensors)
    for word in ("Hungary", "Serbia", "m/s", "above ground", "predicted to cross"):
        assert word in first.sentence
    for word in ("hostile", "armed", "deliberate"):
        assert word not in first.sentence.lower()
    assert first.rule == "low-slow-near"
    assert first.simulated
    crossing_s = 180.0  # by the scenario
    assert (first.raised_us - night.scenario.start_us) / 1e6 <= crossing_s - 60.0
    inside = [a for a in night.alerts if a.rule == "low-slow-inside" and a.state == "raised"]
    assert len(inside) == 1
    assert abs((inside[0].raised_us - night.scenario.start_us) / 1e6 - crossing_s) <= 20.0


def test_the_service_says_that_it_shows_a_replay(night: Night) -> None:
    assert {s["state"] for s in night.statuses} <= {"starting", "replay", "offline"}
    assert any(s["state"] == "replay" for s in night.statuses)


def test_every_plot_is_accounted_for(night: Night) -> None:
    m = night.metrics
    assert m["vedette_items_received_total"] > 5_000
    assert m["vedette_items_unaccounted"] == 0
    assert m["vedette_items_used_total"] == m["vedette_items_received_total"]
    assert not math.isnan(m['vedette_sensor_innovation_ratio{sensor="A2"}'])
