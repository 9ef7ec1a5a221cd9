"""What the project ships fits together: the example sensors are those of the scene that the first minutes use."""

from __future__ import annotations

import math
from dataclasses import fields

from replay.simulate import Scenario
from tests import shipped


def test_the_shipped_sensors_are_those_of_the_shipped_scene() -> None:
    configured = shipped.configuration()
    scene = Scenario.load("lithuania-2025-07-28")
    assert [spec.id for spec in configured.sensors] == [spec.id for spec in scene.sensors]
    for ours, theirs in zip(configured.sensors, scene.sensors, strict=True):
        for field in fields(ours):
            a, b = getattr(ours, field.name), getattr(theirs, field.name)
            if field.name == "clutter_per_scan" or (isinstance(a, float) and math.isnan(a) and math.isnan(b)):
                continue  # how much clutter there is, no configuration knows exactly
            assert a == b or math.isclose(a, b, rel_tol=1e-9), f"{ours.id}.{field.name}: {a} is not {b}"
    assert configured.formats == {s.spec.id: s.format for s in scene.plan.sensors}
