"""The simulation finds known faults: each of them was in the shell once, or is the one that everybody makes."""

from __future__ import annotations

import pytest

from tests.simulation.faulty import FAULTS, planted
from tests.simulation.strikes import Strike
from tests.simulation.world import simulate

SLOW = [Strike("slow disk", 2.05, 1.0), Strike("power cut", 2.3, 0.1)]  # the state is on its way, and not there
SCHEDULES = {  # what brings each to light, with whose luck, and the words of it
    "published before it is journalled": (1, [Strike("power cut", 0.0, 0.1, 1, "write journal", 1)], "not journalled"),
    "claimed before it is kept": (2, SLOW, "items"),
    "not told again": (3, [Strike("broker killed and emptied", 3.3, 0.3)], "at the broker"),
    "the database is left behind": (1, [Strike("killed", 0.0, 0.1, 1, "post alert", 2)], "database"),
    "closed by name and raised again": (2, [Strike("power cut", 0.0, 0.1, 1, "post alert", 2)], "after closed"),
    "half a tick is journalled": (2, [Strike("killed", 0.0, 0.1, 1, "write journal", 1)], "lost"),
    "kept back and not told": (1, [Strike("killed", 0.0, 0.1, 1, "post alert", 1)], "nobody heard of"),
    "counted from the first number heard": (1_273, [Strike("broker killed and emptied", 0.637, 0.773)], "items"),
    "arrivals by the machine's clock": (
        2_034,
        [Strike("black hole", 1.776, 5.069, line="alerts"), Strike("clock far back", 2.733, 2.43)],
        "from the future",
    ),
    "the journal is not synced": (2, [Strike("power cut", 2.06, 0.1)], "not journalled"),
    "the state is not synced": (2, [Strike("power cut", 2.7, 0.1)], "the checkpoint is refused"),
    "acknowledged first": (2, [Strike("killed", 5.314, 0.1)], "the order is done"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_known_fault_is_found_and_the_shell_is_free_of_it(name: str) -> None:
    seed, strikes, words = SCHEDULES[name]
    with planted(name):
        found = simulate(seed, strikes).faults
    assert any(words in fault for fault in found), found
    assert simulate(seed, strikes).faults == []
