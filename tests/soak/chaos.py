"""Campaigns of faults on real processes, and of hostile bytes on every decoder."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.soak.campaign import Campaign, Counts, Verdict, total

SCHEDULES = 10  # of one piece: one broker and one service for all of them
SIMULATED = 100  # seeds of one piece
INJURED = 100_000  # messages of one piece
STALL_S = 0.1
FORMATS = (
    "alert", "area", "clock", "command", "envelope", "incident", "ledger", "met", "opensky", "plots", "readsb",
    "remoteid", "search", "sighting", "status", "track", "watermark",
)  # fmt: skip


def flown(piece: str) -> Counts:
    """Schedules from a seed on, of faults of the broker or of the service: "service 40"."""
    from tests.chaos.faults import BROKER, SERVICE, schedule
    from tests.chaos.stand import Stand

    which, first = piece.split()
    kinds = BROKER if which == "broker" else SERVICE
    with tempfile.TemporaryDirectory() as folder, Stand(Path(folder)) as stand:
        for seed in range(int(first), int(first) + SCHEDULES):
            stand.fly(f"seed {seed}", schedule(seed, kinds))
        faults = stand.close_books()
        assert not faults, "\n".join([*faults, stand.tale()])
        told = " ".join(stand.told)
        return {
            "schedules": SCHEDULES, "restarts": told.count("started again"), "items": stand.sensors.items,
            "sent_again": stand.sensors.unfused.again,
        }  # fmt: skip


def judge_flown(found: Sequence[Counts]) -> list[Verdict]:
    """Each piece closes its own books; the page shows over what."""
    schedules, items = total(found, "schedules"), total(found, "items")
    words = f"{schedules:g} schedules: 0 alerts lost, invented or conflicting; {items:g} items, none unaccounted for"
    return [Verdict(schedules > 0, words)]


def simulated(piece: str) -> Counts:
    """Seeds of the simulation of the shell, from this one on."""
    from tests.simulation.world import least, simulate

    first = int(piece)
    deaths = restarts = cold = 0
    simulated_s = 0.0
    for seed in range(first, first + SIMULATED):
        went = simulate(seed)
        if went.faults:
            needed = "; ".join(map(str, least(seed, went.strikes)))
            raise AssertionError(f"python -m tests.simulation {seed}: {went.faults[0]} (with {needed})")
        deaths, restarts, cold = deaths + went.deaths, restarts + went.ends, cold + went.cold
        simulated_s += went.passed_s
    return {"seeds": SIMULATED, "deaths": deaths, "ends": restarts, "cold_starts": cold, "simulated_s": simulated_s}


def judge_simulated(found: Sequence[Counts]) -> list[Verdict]:
    """A seed with a fault is a failed piece."""
    count, deaths = total(found, "seeds"), total(found, "deaths")
    words = (
        f"{count:,.0f} seeds, {deaths:,.0f} deaths: 0 alerts lost, invented or conflicting, every item accounted for"
    )
    return [Verdict(deaths > 0, words)]


def injured(piece: str) -> Counts:
    """Injured messages of one format: "plots 3"."""
    from tests.test_formats_hostile import DECODERS, REASONS, mutated, refused_or_fine

    assert sorted(DECODERS) == sorted(FORMATS)
    name, seed = piece.split()
    decode, sample = DECODERS[name]
    luck = random.Random(f"{name} {seed}")
    fine = 0
    longest_s = 0.0
    for _ in range(INJURED):
        payload = mutated(sample, luck)
        begun_s = time.thread_time()
        outcome = refused_or_fine(decode, payload)
        longest_s = max(longest_s, time.thread_time() - begun_s)
        assert outcome in REASONS | {"fine"}, (outcome, payload)
        fine += outcome == "fine"
    assert longest_s < STALL_S, f"one message took {longest_s:.3f} s of CPU"
    return {"messages": INJURED, "fine": fine}


def judge_injured(found: Sequence[Counts]) -> list[Verdict]:
    """No piece crashed or stalled, or it would have failed."""
    count = total(found, "messages")
    return [Verdict(count > 0, f"{count:,.0f} injured messages: no crash, none took {1000 * STALL_S:g} ms of CPU")]


CAMPAIGNS = (
    Campaign(
        "chaos",
        "Faults on real processes: what the service journalled and a third party heard is what an undisturbed run of "
        "the same feed raises, and every item is accounted for.",
        tuple(f"{which} {seed}" for seed in range(100, 200, SCHEDULES) for which in ("service", "broker")),
        flown,
        judge_flown,
    ),
    Campaign(
        "simulated-faults",
        "The shell between a simulated broker, disk and clock, killed or cut off at any step: the same account.",
        tuple(str(first) for first in range(1_001, 6_001, SIMULATED)),
        simulated,
        judge_simulated,
    ),
    Campaign(
        "hostile",
        "A million injured messages of every format: each is refused for a reason that is counted, or nothing was "
        "wrong in it.",
        tuple(f"{name} {seed}" for name in FORMATS for seed in range(1, 11)),
        injured,
        judge_injured,
    ),
)
