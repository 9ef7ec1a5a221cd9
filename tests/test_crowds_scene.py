"""A day of migration at the border, through the whole engine: one event for the birds, one for the farm, one drone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fusion.cases.record import Crowd, CrowdKind
from fusion.schema import US_PER_S, Alert, AlertChanged
from replay import account
from replay.simulate import Scenario
from tests import shipped

SCENE = Path(__file__).parent / "data" / "birds.toml"
KNOWN_S = 30  # by then the crowds are known, and what was raised before has closed 20 s later
UNTIL_S = 150
PICTURE_US = 500_000


@pytest.fixture(scope="module")
def day() -> tuple[Scenario, list[Alert], list[Crowd], list[Alert]]:
    """The scene, every transition, every word of crowds, and what is open in the end."""
    scene, alerts, crowds = Scenario.load(SCENE), [], []
    engine = shipped.engine(scene.sensors, picture_us=PICTURE_US)
    for _, events in shipped.play(engine, scene, UNTIL_S):
        alerts += [event.alert for event in events if isinstance(event, AlertChanged)]
        crowds += [event for event in events if isinstance(event, Crowd)]
    return scene, alerts, crowds, engine.watch.open_alerts()


def test_the_birds_are_one_event_and_the_farm_another(
    day: tuple[Scenario, list[Alert], list[Crowd], list[Alert]],
) -> None:
    scene, _, crowds, _ = day
    last = [crowd for crowd in crowds if crowd.t_us >= scene.start_us + (UNTIL_S - 1) * US_PER_S]
    assert sorted(crowd.kind for crowd in last) == [CrowdKind.FIXED, CrowdKind.FLOCK]
    count = {crowd.kind: crowd.count for crowd in last}
    assert count[CrowdKind.FLOCK] > 120
    assert count[CrowdKind.FIXED] > 40


def test_the_drone_is_raised_and_stays_so(day: tuple[Scenario, list[Alert], list[Crowd], list[Alert]]) -> None:
    scene, alerts, _, still = day
    drone = [alert for alert in alerts if account.about(scene, alert) == "gerbera"]
    raised_s = min((alert.raised_us - scene.start_us) / US_PER_S for alert in drone)
    assert raised_s < 60.0
    assert "gerbera" in [account.about(scene, alert) for alert in still]


def test_few_alerts_of_the_two_hundred_are_left(day: tuple[Scenario, list[Alert], list[Crowd], list[Alert]]) -> None:
    scene, alerts, _, still = day
    later = [a for a in alerts if a.state == "raised" and a.raised_us >= scene.start_us + KNOWN_S * US_PER_S]
    of = Counter(str(account.about(scene, alert)).split("-")[0] for alert in later)
    print("raised once the crowds are known:", dict(of), "open in the end:", len(still))
    assert of["geese"] + of["farm"] <= 5
    assert len(still) <= 3
