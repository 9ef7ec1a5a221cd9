"""What registration finds reaches the health of the sensor, its message, and the engine's events."""

from __future__ import annotations

import json

import numpy as np

from adapters.formats import health as message
from fusion.bias.sensorbias import SensorBias
from fusion.health import SensorWatch
from fusion.schema import US_PER_S, Health, HealthChanged, PlotKind, SensorKind, SensorSpec, SensorStatus, plots
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


def test_silence_counts_only_while_somebody_is_heard() -> None:
    """A line that was broken for a minute makes nobody silent, neither meanwhile nor at once when it is back."""
    watch = SensorWatch([SPEC])

    def hear(at_s: int, empty: bool = False) -> None:
        t_us = NOW_US + at_s * US_PER_S
        at = np.array([] if empty else [t_us], np.int64)
        ones = np.ones(len(at))
        watch.heard(plots("R1", PlotKind.POLAR, t_us, at, range_m=1e4 * ones, azimuth_rad=ones))

    def listened_s(now_s: int) -> float:
        return (watch.listened_us(NOW_US + now_s * US_PER_S) - NOW_US) / US_PER_S

    assert listened_s(100) == 100, "nobody was ever heard: it is as it was"
    hear(0)
    hear(5, empty=True)  # a radar that sees nothing listens too
    assert [listened_s(s) for s in (5, 14, 15, 16, 60)] == [5, 14, 15, 15, 15]
    hear(60)
    assert [listened_s(s) for s in (60, 65)] == [15, 20]
    for s in range(65, 96, 5):
        hear(s)
    assert [listened_s(s) for s in (90, 91)] == [45, 91]
    again = SensorWatch([SPEC])
    again.restore(watch.snapshot())
    assert again.listened_us(NOW_US + 80 * US_PER_S) == watch.listened_us(NOW_US + 80 * US_PER_S)
