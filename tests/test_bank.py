"""The memory of the tracker: what is kept twice stays equal, and a free slot remembers nobody."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.associate import ADDRESS, GRASP, N_GRASP, NEAR, NOWHERE, STALE, STATUS, TOP, WAKE
from fusion.bank import Bank
from fusion.kernels import FAST_WIDE, SLAB, T
from fusion.schema import I8, US_PER_S, Plots
from fusion.tracker import Tracker
from tests.sky import RADAR, SENSORS, START_US, claim, clutter, line, play, scan


def sky() -> list[Plots]:
    """A swarm that contends for plots, claims that join a radar track and land, clutter that comes to nothing."""
    rng = np.random.default_rng(11)
    swarm = [line(30_000 + 500 * k, 40_000 + 300 * (k % 3), 800, 40, 10) for k in range(6)]
    jet = line(-30_000, 20_000, 3_000, 90, 40)
    batches = [b for t in range(0, 40, 5) for b in scan(RADAR, [*swarm, jet], t, rng) + clutter(RADAR, t, rng, 20)]
    batches += [claim(jet, t + 0.4, 0xABC, rng, callsign=[b"LYV12"], serial=[b"A" * 20]) for t in range(15, 30)]
    return [*batches, claim(jet, 31.0, 0xABC, rng, on_ground=[1])]


def differs(bank: Bank) -> list[int]:
    """Live slots whose row in `near` is not what slab and belief say."""
    slab = bank.slab.reshape(-1, SLAB)
    said = np.column_stack([slab[:, T : FAST_WIDE + 1], bank.belief[:, GRASP]])
    assert said.shape[1] == NEAR == N_GRASP + 1
    return [slot for slot in bank.live().tolist() if not np.array_equal(said[slot], bank.near[slot])]


def test_what_the_gate_asks_is_what_the_tracks_are() -> None:
    for until_s in (13.0, 26.0, 39.0):
        tracker = play(Tracker(SENSORS), sky(), until_s)
        assert not differs(tracker._bank)
    assert len(tracker.table(START_US + 39 * US_PER_S)) >= 6, "there was something to compare"
    other = Tracker(SENSORS)
    other.restore(tracker.snapshot())
    assert not differs(other._bank)
    assert np.array_equal(other._bank.near[other._bank.live()], tracker._bank.near[tracker._bank.live()])


def chained(first: I8, after: I8) -> list[int]:
    """All slots that chains hold; every chain must rise."""
    found: list[int] = []
    for start in first[first >= 0].tolist():
        chain = [start]
        while (following := int(after[chain[-1]])) >= 0:
            chain.append(following)
        assert chain == sorted(chain)
        found += chain
    return sorted(found)


@pytest.mark.parametrize("until_s", [13.05, 26.05, 30.55, 31.55, 39.05])
def test_every_track_is_found_by_place_and_address_and_what_ended_by_neither(until_s: float) -> None:
    """In the middle of a second of measured time, when nothing was chained anew of late."""
    tracker = play(Tracker(SENSORS), sky(), until_s)
    bank = tracker._bank
    first, after, cell, named, namesake = bank.chains()
    live = bank.live()
    gone = [slot for slot in chained(first, after) if bank.meta[slot, STATUS] < 0]
    assert [slot for slot in chained(first, after) if slot not in gone] == live.tolist()
    assert not gone or bank.counts[STALE] == 1, "what a merger or a landing ended waits for the next step"
    assert (cell[live] != NOWHERE).all()
    said = live[bank.meta[live, ADDRESS] >= 0]
    assert [slot for slot in chained(named, namesake) if bank.meta[slot, STATUS] >= 0] == said.tolist()


def test_a_track_that_is_left_alone_is_what_it_would_be_if_it_were_looked_at_every_tick() -> None:
    left, looked = Tracker(SENSORS), Tracker(SENSORS)
    scene = sky()
    asked = 0
    for tick in range(1, 390):
        now_us = START_US + tick * 100_000
        batches = [b for b in scene if now_us - 100_000 < b.rx_us <= now_us]
        left.step(batches, now_us)
        looked._bank.belief[:, WAKE] = 0.0
        looked.step(batches, now_us)
        top = int(left._bank.counts[TOP])
        asked += int((left._bank.belief[:top, WAKE] <= left._newest_us + 100_000).sum()) / max(top, 1) < 0.5
        if tick % 10 == 0:
            one, other = left.table(now_us), looked.table(now_us)
            assert one.id.tolist() == other.id.tolist()
            np.testing.assert_allclose(one.existence, other.existence, atol=0.02)
            np.testing.assert_allclose(one.state, other.state, rtol=1e-9)
    assert asked > 300, "most tracks are left alone in most ticks"
    assert sorted(left.drain_dropped()) == sorted(looked.drain_dropped())


def test_a_track_that_was_merged_or_landed_leaves_a_slot_without_names() -> None:
    tracker = play(Tracker(SENSORS), sky(), 30.0)
    named = tracker.table(START_US + 30 * US_PER_S)
    assert named.callsign[named.address == 0xABC].tolist() == [b"LYV12"]
    assert named.serial[named.address == 0xABC].tolist() == [b"A" * 20]
    assert named.serial.dtype == "S20"
    tracker = play(Tracker(SENSORS), sky(), 35.0)
    assert [why for _, why in tracker.drain_dropped()].count("landed") == 1
    assert not tracker._bank.names.any()
    bank = tracker._bank
    free = bank.meta[: bank.counts[TOP], STATUS] < 0
    assert free.any() and (bank.meta[: bank.counts[TOP]][free] == -1).all()
