"""What we know of each sensor: when it last spoke, how fast, how late, and whether its innovations make sense.

A silent sensor and a quiet sky must not look alike: a sensor is `stale` when nothing arrived for three of its periods
(and at least ten seconds), whatever it last said of itself. Rates are counted in one-second bins over half a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fusion.bias.sensorbias import SensorBias
from fusion.schema import F8, I8, US_PER_S, Health, Plots, SensorSpec, SensorStatus

RATE_BINS = 30  # seconds over which a rate is counted
LAG_RING = 64  # newest batches whose lag enters the median
STALE_PERIODS = 3.0
STALE_AT_LEAST_S = 10.0
DEAF_US = 10 * US_PER_S  # when nobody at all was heard for so long, nobody's silence says anything
SPOKEN_US = 30 * US_PER_S  # after it, so long: by then whoever speaks has spoken again (`live_s` of the rules)


@dataclass(slots=True)
class _Sensor:
    last_us: int = -1
    last_rx_us: int = -1
    bin_s: int = 0  # second that the newest bin stands for
    lag_count: int = 0
    word: str = "ok"
    detail: str = ""


class SensorWatch:
    """Follows every sensor. All times come in as data."""

    def __init__(self, sensors: Sequence[SensorSpec]) -> None:
        self._specs = tuple(sensors)
        self._row = {spec.id: i for i, spec in enumerate(self._specs)}
        self._sensors = [_Sensor() for _ in self._specs]
        self._bins = np.zeros((len(self._specs), RATE_BINS), np.int64)
        self._lags_s = np.full((len(self._specs), LAG_RING), np.nan)
        self._heard_us = -1  # the newest time of which any sensor told, an empty sky included
        self._deaf = (-1, -1)  # the newest stretch of which nobody told: from, until

    def heard(self, batch: Plots) -> None:
        """Note a batch that was admitted; an empty one is a sign of life too."""
        row = self._row[batch.sensor]
        sensor = self._sensors[row]
        sensor.last_rx_us = max(sensor.last_rx_us, batch.rx_us)
        self._turn(row, batch.rx_us)
        self._told_of(int(batch.t_us.max()) if len(batch) else batch.rx_us)
        if len(batch) == 0:
            return
        self._bins[row, sensor.bin_s % RATE_BINS] += len(batch)
        sensor.last_us = max(sensor.last_us, int(batch.t_us.max()))
        self._lags_s[row, sensor.lag_count % LAG_RING] = (batch.rx_us - float(np.median(batch.t_us))) / US_PER_S
        sensor.lag_count += 1

    def _told_of(self, t_us: int) -> None:
        if self._heard_us >= 0 and t_us - self._heard_us > DEAF_US:
            self._deaf = (self._heard_us + DEAF_US, t_us)
        self._heard_us = max(self._heard_us, t_us)

    def listened_us(self, now_us: int) -> int:
        """The time by which somebody's silence counts: `now_us`, less what passed while nobody at all was heard.

        A broken line or a service that is behind silences all at once, and says nothing of any of them.
        """
        if self._heard_us < 0:
            return now_us
        begin_us, end_us = self._deaf
        listened_us = now_us - (end_us - begin_us) * (end_us >= 0 and now_us - end_us <= SPOKEN_US)
        return min(listened_us, self._heard_us + DEAF_US)

    def said(self, status: SensorStatus) -> None:
        """Note a sensor's own word about itself."""
        sensor = self._sensors[self._row[status.sensor]]
        sensor.word, sensor.detail = status.state, status.detail
        sensor.last_rx_us = max(sensor.last_rx_us, status.rx_us)

    def report(
        self, now_us: int, nis: F8, hits: I8, misses: I8, biases: Sequence[SensorBias | None] = ()
    ) -> list[Health]:
        """One `Health` per sensor in order of index; `nis`, `hits`, `misses` and `biases`, by sensor index, come from
        the tracker. A sensor that registration does not believe is `degraded`, whatever it says of itself.
        """
        known = tuple(biases) or (None,) * len(self._specs)
        return [
            _judged(self._one(row, now_us, float(nis[row]), int(hits[row]), int(misses[row])), known[row])
            for row in range(len(self._specs))
        ]

    def snapshot(self) -> dict[str, object]:
        """Everything needed to go on, as plain values and arrays."""
        rows = [[s.last_us, s.last_rx_us, s.bin_s, s.lag_count, s.word, s.detail] for s in self._sensors]
        silence = (self._heard_us, self._deaf)
        return {"rows": rows, "bins": self._bins.copy(), "lags_s": self._lags_s.copy(), "silence": silence}

    def restore(self, state: dict[str, object]) -> None:
        """Go on from `snapshot`."""
        self._sensors = [_Sensor(*row) for row in state["rows"]]  # type: ignore[attr-defined]
        self._bins = np.array(state["bins"], np.int64)
        self._lags_s = np.array(state["lags_s"], np.float64)
        self._heard_us, self._deaf = state["silence"]  # type: ignore[misc]

    def _turn(self, row: int, now_us: int) -> None:
        """Empty the bins of the seconds that passed unheard."""
        sensor, now_s = self._sensors[row], now_us // US_PER_S
        gap = now_s - sensor.bin_s
        if gap <= 0:
            return
        for second in range(max(sensor.bin_s + 1, now_s - RATE_BINS + 1), now_s + 1):
            self._bins[row, second % RATE_BINS] = 0
        sensor.bin_s = now_s

    def _one(self, row: int, now_us: int, nis: float, hits: int, misses: int) -> Health:
        spec, sensor = self._specs[row], self._sensors[row]
        self._turn(row, now_us)
        silence_s = (now_us - sensor.last_rx_us) / US_PER_S
        patience_s = max(STALE_AT_LEAST_S, STALE_PERIODS * spec.period_s)
        if sensor.last_rx_us < 0:
            state = "never"
        elif silence_s > patience_s:
            state = "stale"
        else:
            state = sensor.word
        lags = self._lags_s[row]
        lag_s = float(np.nanmedian(lags)) if sensor.lag_count else float("nan")
        rate_hz = float(self._bins[row].sum()) / RATE_BINS
        return Health(
            spec.id, now_us, state, sensor.last_us, sensor.last_rx_us, rate_hz, lag_s, nis, hits, misses, sensor.detail
        )


def _judged(health: Health, bias: SensorBias | None) -> Health:
    """With what is known of the sensor's bias; what it is not believed for comes before its own words."""
    if bias is None:
        return health
    if bias.believed:
        return replace(health, bias=bias)
    detail = f"not believed: {bias.detail}" + (f"; says of itself: {health.detail}" if health.detail else "")
    return replace(health, bias=bias, state="degraded" if health.state == "ok" else health.state, detail=detail)
