"""What registration finds reaches the health of the sensor, its message, and the engine's events."""

from __future__ import annotations

import json

import numpy as np

from adapters.formats import health as message
from fusion.bias.sensorbias import SensorBias
from fusion.health import SensorWatch
from fusion.schema import Health, HealthChanged, PlotKind, SensorKind, SensorSpec, SensorStatus, plots
from replay.simulate import Scenario
from tests import shipped

NOW_US = 1_795_414_500_000_000
SPEC = SensorSpec("R1", 0, SensorKind.RADAR_2D, 0.9, 0.4, 100.0, 5.0)
NONE = np.zeros(1, np.int64)


def health(bias: SensorBias | None, word: str = "ok") -> Health:
    """Of a radar that just spoke."""
    watch = SensorWatch([SPEC])
    watch.heard(plots("R1", PlotKind.POLAR, NOW_US, np.array([NOW_US]), range_m=[1e4], azimuth_rad=[1.0]))
    watch.said(SensorStatus("R1", NOW_US, NOW_US, word, "one transmitter"))
    (found,) = watch.report(NOW_US, np.ones(1), NONE, NONE, (bias,))
    return found


def test_a_radar_that_is_not_believed_is_degraded_and_says_why_first() -> None:
    wrong = SensorBias("R1", "inconsistent", believed=False, detail="clock ahead by about 5.0 s")
    found = health(wrong)
    assert found.state == "degraded" and found.bias == wrong
    assert found.detail == "not believed: clock ahead by about 5.0 s; says of itself: one transmitter"
    assert health(wrong, "off").state == "off"
    fine = health(SensorBias("R1", "ok"))
    assert fine.state == "ok" and fine.detail == "one transmitter"
    assert health(None).bias is None


def test_the_message_tells_biases_with_their_uncertainty_and_leaves_out_what_is_unknown() -> None:
    bias = SensorBias("R1", "ok", True, pairs=20, aircraft=4, azimuth_rad=0.01, sigma_azimuth_rad=0.001, detail="fine")
    told = json.loads(message.encode(health(bias), 1))["bias"]
    assert told == {
        "state": "ok",
        "applied": True,
        "believed": True,
        "plots_count": 20,
        "aircraft_count": 4,
        "azimuth_deg": 0.573,
        "sigma_azimuth_deg": 0.0573,
        "detail": "fine",
    }
    assert "bias" not in json.loads(message.encode(health(None), 1))


def test_the_engine_tells_the_bias_of_every_radar_and_of_nothing_else() -> None:
    scenario = Scenario.load("lithuania-2025-07-28", start_us=shipped.START_US)
    until_us = scenario.start_us + 20_000_000
    batches = [batch for batch in scenario.batches() if batch.rx_us <= until_us]
    engine = shipped.engine(scenario.sensors)
    seen: dict[str, Health] = {}
    for _, events in shipped.play(engine, scenario, 20.0, batches):
        seen.update({e.health.sensor: e.health for e in events if isinstance(e, HealthChanged)})
    assert seen["A1"].bias is None
    for radar in ("R1", "R2"):
        bias = seen[radar].bias
        assert bias is not None and bias.believed and bias.detail
