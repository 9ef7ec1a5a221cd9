"""What every bridge shares: numbers, what waits for the broker, what was refused."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np

from adapters.bridges.common import MOST_REASONS, MOST_WAITING, OTHERS, Heard, Numbered, Tally, parts, take
from adapters.formats import plots as plots_format
from fusion.schema import Frame, PlotKind, SensorKind, SensorSpec, plots
from replay.door import MOST_PLOTS

RX_US = 1_774_000_000_000_000
SPEC = SensorSpec("R1", 0, SensorKind.RADAR_2D, 0.9, 0.4, 100.0)


def test_every_message_has_its_number_and_reads_back() -> None:
    n = 2 * MOST_PLOTS + 5
    batch = plots("R1", PlotKind.POLAR, RX_US, np.full(n, RX_US), range_m=np.full(n, 5e4), azimuth_rad=np.ones(n))
    assert [len(part) for part in parts(batch)] == [MOST_PLOTS, MOST_PLOTS, 5]
    numbers = Numbered(boot=7)
    frames = numbers.frames(Heard([batch])) + numbers.frames(Heard([batch]))
    read = [plots_format.decode(frame.payload, SPEC, frame.rx_us).batch for frame in frames]
    assert [(b.boot, b.seq) for b in read] == [(7, seq) for seq in range(6)]
    assert max(len(frame.payload) for frame in frames) < 65_536


def test_while_the_broker_is_away_the_oldest_fall_and_are_counted() -> None:
    waiting, tally = deque[Frame](), Tally()
    made = [Frame(n, RX_US, "in/R1/plots", b"") for n in range(MOST_WAITING + 3)]
    take(Heard(pieces=1), made, waiting, tally)
    assert (len(waiting), waiting[0].seq, tally.fell) == (MOST_WAITING, 3, 3)
    assert "3 messages fell" in tally.words()


def test_reasons_without_end_are_not_kept_by_name() -> None:
    tally = Tally()
    for n in range(300):
        heard = Heard(refused=Counter({f"radar-{n // 256}/{n % 256}": 2}))
        tally.note(heard, 0)
    assert sum(tally.refused.values()) == 600
    assert len(tally.refused) == MOST_REASONS + 1
    assert tally.refused[OTHERS] == 2 * (300 - MOST_REASONS)
