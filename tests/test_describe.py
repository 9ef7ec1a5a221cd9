"""What an alert says it rests on."""

from __future__ import annotations

import numpy as np

from fusion.redlines.describe import Tables, quantities
from fusion.rules import Condition, Rule, Scene, Words


def test_of_alternatives_only_those_that_hold_are_told_as_reasons() -> None:
    either = (Condition("time_to_border", "<=", 60.0), Condition("speed", ">=", 30.0))
    rule = Rule("r", 1, 2, "", (Condition("", "any", either=either),))

    def reasons(speed_mps: float) -> dict[str, str]:
        scene = Scene(1, {"time_to_border": np.array([190.0]), "speed": np.array([speed_mps])}, {}, {}, {})
        return {told.name: told.condition for told in quantities(rule, scene, 0, Tables((), (), (), Words()))}

    assert reasons(42.0) == {"speed_mps": ">= 30", "time_to_border_s": ""}
    # Where an alert lives on its `keep` alone it still says what it was raised for.
    assert reasons(20.0) == {"time_to_border_s": "<= 60", "speed_mps": ">= 30"}
