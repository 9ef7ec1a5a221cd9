"""The memory of the tracker: what is kept twice stays equal, and a free slot remembers nobody."""

from __future__ import annotations

import numpy as np

from fusion.associate import GRASP, N_GRASP, NEAR, STATUS, TOP
from fusion.bank import Bank
from fusion.kernels import FAST_WIDE, SLAB, T
from fusion.schema import US_PER_S, Plots
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
