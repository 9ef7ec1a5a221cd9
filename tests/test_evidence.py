"""What radar sees and what an object says of itself are evidence of two kinds: neither proves the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fusion.associate import CLAIM, FOUND, HITS, LEVEL, LEVEL_US, LOOKS, ODDS, SEEN
from fusion.clutter import S_CLUTTER, S_NEW
from fusion.existence import account_1
from fusion.schema import US_PER_S, Plots, Tracks
from fusion.tracker import Tracker
from tests.sky import RADAR, SENSORS, START_US, Path, claim, clutter, line, play, scan

SLOW = line(30_000, 20_000, 400, 40, 10)  # low and slow: what must not be made of claims, nor unmade
SAID = 0x4000AB


def end(seconds: float) -> int:
    return START_US + round(seconds * US_PER_S)


def looks(at_s: list[int], seed: int = 1) -> list[Plots]:
    """Radar sees the slow object in scans that start at these times; the radar is on all the time."""
    rng = np.random.default_rng(seed)
    seen = [b for t in at_s for b in scan(RADAR, [SLOW], t, rng)]
    return seen + [b for t in range(0, 100, 5) for b in clutter(RADAR, t, rng, 5)]


def says(times_s: list[float]) -> list[Plots]:
    return [claim(SLOW, t, SAID, np.random.default_rng(2)) for t in times_s]


def picture(batches: list[Plots], at_s: float) -> Tracks:
    return play(Tracker(SENSORS), batches, at_s).table(end(at_s))


def test_one_plot_and_one_claim_are_no_track() -> None:
    """Together they are likely enough, and each by itself is not."""
    tracker = play(Tracker(SENSORS), [*looks([0]), *says([2.0])], 3.5)
    bank = tracker._bank
    (slot,) = [slot for slot in bank.live().tolist() if bank.meta[slot, CLAIM] >= 0]
    assert (bank.meta[slot, HITS], bank.meta[slot, LOOKS]) == (2, 1), "they are one track"
    assert bank.belief[slot, ODDS] > np.log(0.95 / 0.05) > bank.belief[slot, SEEN]
    assert len(tracker.table(end(3.5))) == 0


def test_two_claims_publish_what_is_claimed_and_no_plot() -> None:
    tracks = picture([*looks([0]), *says([2.0, 3.0])], 3.5)
    assert tracks.address.tolist() == [SAID]
    assert (tracks.claim_us[0], tracks.radar_us[0]) == (end(3.0), -1)


def test_radar_publishes_by_its_second_plot_whatever_is_claimed() -> None:
    tracks = picture([*looks([0, 5]), *says([2.0])], 6.0)
    silent = picture(looks([0, 5]), 6.0)
    assert tracks.radar_us.tolist() == silent.radar_us.tolist() != [-1]
    assert tracks.confirmed_us.tolist() == silent.confirmed_us.tolist()


def test_a_false_plot_where_something_is_claimed_is_not_radar_that_sees_it() -> None:
    claims = says([float(t) for t in range(60)])
    tracks = picture([*claims, *looks([35])], 50.0)
    assert tracks.address.tolist() == [SAID]
    assert tracks.radar_us.tolist() == [-1]
    assert picture([*claims, *looks([35, 40])], 50.0).radar_us[0] > end(40.0), "two in a row are"


def test_what_was_lost_is_seen_anew_from_a_first_plot_and_that_can_be_taken_back() -> None:
    tracker = Tracker(SENSORS)
    meta, belief = tracker._bank.meta[:1], tracker._bank.belief[:1]
    sensor, rules = tracker._numbers[RADAR.index], tracker._rules
    first = min(np.log(sensor[S_NEW] / sensor[S_CLUTTER]), 0.0)
    meta[0, LOOKS], belief[0, SEEN] = 7, -9.0  # less than a new track may have
    gained = account_1(0, True, False, 8.0, 0.0, sensor, meta, belief, rules)
    assert belief[0, SEEN] == pytest.approx(first), "wherever it was claimed to be"
    assert belief[0, SEEN] - gained == pytest.approx(-9.0)
    again = account_1(0, True, False, 8.0, 0.0, sensor, meta, belief, rules)
    assert belief[0, SEEN] == pytest.approx(first + 8.0)
    assert again == pytest.approx(8.0)
    assert account_1(0, True, True, 8.0, 0.0, sensor, meta, belief, rules) == 0.0, "a claim shows nothing"
    assert belief[0, SEEN] == pytest.approx(first + 8.0)
    assert meta[0, LOOKS] == 9


@pytest.mark.parametrize("first", [True, False])
def test_silence_of_a_claim_ends_only_what_a_claim_began(first: bool) -> None:
    """Claims that join before radar's second plot do not own what radar finds; claims that were first do."""
    begin = 0.0 if first else 1.5
    times = [begin + t for t in range(30)]
    batches = [*looks([0, 5, 10, 15, 20]), *says(times)]
    tracker = play(Tracker(SENSORS), batches, 31.0)
    bank = tracker._bank
    (slot,) = [slot for slot in bank.live().tolist() if bank.meta[slot, CLAIM] >= 0]
    assert bank.meta[slot, FOUND] == (-1 if first else 1)


def lasts_s(path: Path, from_s: int, others_heard: bool) -> float:
    """How long a track is shown whose object vanishes after 60 s, to radar and receiver at once; it is claimed from
    `from_s` on."""
    rng = np.random.default_rng(3)
    other = line(-40_000, 20_000, 9_000, 200, 0)
    batches = [b for t in range(0, 60, 5) for b in scan(RADAR, [path], t, rng)]
    batches += [b for t in range(0, 120, 5) for b in clutter(RADAR, t, rng, 5)]
    batches += [claim(path, float(t), SAID, rng) for t in range(from_s, 60)]
    batches += [claim(other, t + 0.3, SAID + 1, rng) for t in range(120 if others_heard else 60)]
    batches.sort(key=lambda b: (b.rx_us, b.sensor))
    tracker, last_s = Tracker(SENSORS), 0.0
    for second in range(1, 120):
        tracker.step([b for b in batches if end(second - 1.0) < b.rx_us <= end(second)], end(second))
        last_s = float(second) if SAID in tracker.table(end(second)).address else last_s
    return last_s - 60.0


def test_what_radar_and_receiver_lose_at_once_ends_sooner_than_what_radar_loses() -> None:
    fast = line(-30_000, 20_000, 9_000, 200, 0)
    both, deaf = lasts_s(fast, 0, others_heard=True), lasts_s(fast, 0, others_heard=False)
    assert 5.0 < both <= 16.0
    assert both + 5.0 <= deaf, "a receiver that hears nobody says nothing"


def test_what_radar_found_slow_is_not_ended_sooner_by_who_spoke_for_it() -> None:
    assert lasts_s(SLOW, 25, others_heard=True) >= lasts_s(SLOW, 25, others_heard=False) - 1.0


def test_of_two_tracks_of_one_object_what_either_saw_counts() -> None:
    bank = play(Tracker(SENSORS), [*looks([0, 5]), *says([40.0, 41.0])], 42.0)._bank
    claimed = [slot for slot in bank.live().tolist() if bank.meta[slot, CLAIM] >= 0]
    (keep,) = claimed
    seen = play(Tracker(SENSORS), looks([0, 5]), 6.0)._bank
    (drop,) = [slot for slot in seen.live().tolist() if seen.meta[slot, HITS] == 2]
    odds = seen.belief[drop, ODDS]
    bank.belief[drop + 100], bank.meta[drop + 100] = seen.belief[drop], seen.meta[drop]
    bank.meta[drop + 100, LEVEL_US], bank.belief[drop + 100, LEVEL] = end(41.5), 1_200.0
    bank.meta[keep, LEVEL_US], bank.belief[keep, LEVEL] = end(41.0), 1_000.0
    bank.absorb(keep, drop + 100)
    assert (bank.meta[keep, LEVEL_US], bank.belief[keep, LEVEL]) == (end(41.5), 1_200.0)
    assert bank.meta[keep, LOOKS] == 2
    assert bank.belief[keep, SEEN] == odds


def test_a_plot_that_is_taken_back_takes_what_it_proved_with_it() -> None:
    """Neighbours whose plots of a scan come in several ticks are given out again: as if they had come at once."""
    pair = [SLOW, line(30_300, 20_300, 400, 40, 10)]
    rng = np.random.default_rng(4)
    seen = [b for t in range(0, 30, 5) for b in scan(RADAR, pair, t, rng)]
    late = [b if k % 2 else replace(b, rx_us=b.rx_us + 7 * US_PER_S // 10) for k, b in enumerate(seen)]
    claims = [claim(pair[0], t + 0.5, SAID, rng) for t in range(30)]
    at_once, in_turn = (play(Tracker(SENSORS), [*claims, *plots], 32.0) for plots in (seen, late))
    for tracker in (at_once, in_turn):
        bank = tracker._bank
        (slot,) = [slot for slot in bank.live().tolist() if bank.meta[slot, CLAIM] >= 0]
        assert bank.meta[slot, LOOKS] == 6
        assert bank.belief[slot, SEEN] <= bank.belief[slot, ODDS] + 1e-9


def test_radar_contradicts_a_claim_only_while_it_is_made() -> None:
    """An aircraft that lands out of hearing is no ghost for being missed thereafter; one that radar misses while it
    speaks is."""
    quiet = looks([])
    spoken = picture([*quiet, *says([float(t) for t in range(30)])], 25.0)
    assert spoken.unseen[0] < np.log(0.01)
    heard = [*looks([0, 5, 10]), *says([float(t) for t in range(14)])]
    silent = picture(heard, 40.0)
    assert silent.address.tolist() == [SAID]
    assert silent.unseen[0] > np.log(0.05), "one look at most was due when it spoke last"


@pytest.mark.parametrize(("category", "contradicted"), [(5, True), (13, False)])
def test_radar_contradicts_only_what_it_would_see(category: int, contradicted: bool) -> None:
    """At the end of a radar's range an airliner is always seen and a small drone hardly ever."""
    far = line(120_000, 120_000, 6_000, -60, 10)
    rng = np.random.default_rng(3)
    claims = [claim(far, float(t), SAID, rng, category=[category]) for t in range(40)]
    tracks = picture([*looks([]), *claims], 40.0)
    assert tracks.address.tolist() == [SAID]
    assert (tracks.unseen[0] < np.log(0.01)) == contradicted
