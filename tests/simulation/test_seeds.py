"""Whatever happens to it, the shell loses no alert, invents none, contradicts none, and accounts for every message."""

from __future__ import annotations

import pytest

from tests.simulation.strikes import DEATHS, OTHERS, POINTS, schedule
from tests.simulation.world import Outcome, least, simulate

SEEDS = 30  # thousands of them are a campaign of the soak


def tale(went: Outcome) -> str:
    """What happened, the least that makes it happen, and how to see it again."""
    needed = [str(strike) for strike in least(went.seed, went.strikes)]
    again = f"python -m tests.simulation {went.seed}"
    return "\n".join([*went.log[-60:], "", *went.faults, "with:", *needed, again])


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_nothing_is_lost_invented_or_contradicted(seed: int) -> None:
    went = simulate(seed)
    assert not went.faults, tale(went)


def test_a_seed_is_the_same_run_again() -> None:
    once, again = simulate(10), simulate(10)
    assert once.log == again.log
    assert once.points == again.points
    assert once.deaths, "nothing happens in it"


def test_a_process_that_dies_holds_up_no_other() -> None:
    """It died while a thread of it read a certificate, and the next one waited for that thread for ever."""
    assert simulate(4_325).faults == []


def test_seeds_strike_everything_everywhere() -> None:
    drawn = [strike for seed in range(1, 500) for strike in schedule(seed)]
    assert {strike.kind for strike in drawn} == {*DEATHS, *OTHERS}
    assert {strike.point for strike in drawn} == {*POINTS, ""}
    assert schedule(3) == schedule(3)
