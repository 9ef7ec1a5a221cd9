"""Messages: numbered, delayed as declared, overtaking only where they may, lost at the declared rate."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.schema import F8, Plots, check_plots
from replay.plan import SimSensor
from replay.simulate import Scenario
from tests.test_simulate import START_US, plan, radar, ring


def sent(sensor: SimSensor) -> list[Plots]:
    return list(Scenario(plan([sensor], ring(24, 30_000.0, 3_000.0))).batches())


def delays_s(batches: list[Plots]) -> F8:
    """Arrival after the end of the tenth of a second that the message reports."""
    ends = [np.floor((b.t_us[0] - START_US) / 1e5) * 0.1 + 0.1 for b in batches]
    return np.array([(b.rx_us - START_US) / 1e6 - end for b, end in zip(batches, ends, strict=True)], np.float64)


def test_delay_is_the_declared_latency_and_an_exponential_jitter() -> None:
    found = delays_s(sent(SimSensor(radar(latency_s=0.8), jitter_s=0.3, overtakes=True)))
    assert len(found) > 800
    assert found.min() == pytest.approx(0.8, abs=0.005)
    assert found.mean() == pytest.approx(1.1, abs=0.05)
    assert found.std() == pytest.approx(0.3, rel=0.15)


def test_messages_arrive_in_order_of_arrival_and_overtake_only_where_they_may() -> None:
    orders = []
    for overtakes in (False, True):
        batches = sent(SimSensor(radar(), jitter_s=0.3, overtakes=overtakes))
        rx_us = [b.rx_us for b in batches]
        assert rx_us == sorted(rx_us)
        for batch in batches:
            check_plots(batch)
        orders.append([b.seq for b in batches])
    assert orders[0] == sorted(orders[0])
    assert orders[1] != sorted(orders[1])
    assert sorted(orders[1]) == orders[0]


def test_overtaking_changes_when_messages_come_and_not_what_they_say() -> None:
    fifo, free = (
        sorted(sent(SimSensor(radar(), jitter_s=0.3, overtakes=overtakes)), key=lambda b: b.seq)
        for overtakes in (False, True)
    )
    assert [b.range_m.tolist() for b in fifo] == [b.range_m.tolist() for b in free]


def test_lost_messages_leave_a_gap_in_the_numbers() -> None:
    whole, some = sent(SimSensor(radar())), sent(SimSensor(radar(), loss=0.2))
    assert len(some) / len(whole) == pytest.approx(0.8, abs=0.05)
    kept = {b.seq: b for b in whole}
    assert all(kept[b.seq].range_m.tolist() == b.range_m.tolist() for b in some)
