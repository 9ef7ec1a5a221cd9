"""What is refused whatever it is about, and in which words."""

from __future__ import annotations

import pytest

from fusion.cases.orders import MAX_TEXT, VERBS, refusal
from fusion.schema import Command

ALERT, INCIDENT = "0123456789abcdef", "fedcba9876543210"


def order(verb: str, **given: str) -> Command:
    values = {"operator": "Lt Jonaitis", "reason": "seen by patrol", "identity": "neutral", "to": "LV", **given}
    about = {"incident_id": INCIDENT} if "alert_id" not in given else {}
    return Command(1, verb, **{"alert_id": "", **about, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize("verb", VERBS[:-1])
def test_every_verb_of_an_incident_is_in_order(verb: str) -> None:
    assert refusal(order(verb)) == ""


@pytest.mark.parametrize("verb", ["acknowledge", "identify", "close"])
def test_these_are_in_order_for_an_alert_too(verb: str) -> None:
    assert refusal(order(verb, alert_id=ALERT)) == ""


@pytest.mark.parametrize(
    "given, words",
    [
        (order("engage"), "unknown command: acknowledge, identify, close, hand-over, take or mode"),
        (order("close", alert_id=ALERT, incident_id=INCIDENT), "name an alert or an incident, one of the two"),
        (order("close", alert_id=""), "name an alert or an incident, one of the two"),
        (order("take", alert_id=ALERT), "take is for incidents: name the incident of this alert"),
        (order("acknowledge", operator=" "), "no operator: a command needs the name of a person"),
        (order("hand-over", to="x" * (MAX_TEXT + 1)), "names and reason may have 500 characters each"),
        (order("identify", identity="ghost"), "identity is one of friend, neutral, suspect, hostile, unknown"),
        (order("identify", identity="friend", reason=""), "identifying needs a reason: how is it known?"),
        (order("identify", identity="unknown", reason=" "), "identifying needs a reason: how is it known?"),
        (order("close", reason=" "), "closing needs a reason"),
        (order("hand-over", to=" "), "handing over needs a recipient: who shall take it?"),
        (order("hand-over", reason=""), "handing over needs a reason"),
        (order("mode", to="peace"), "the mode is of the whole service: name no alert and no incident"),
        (order("mode", alert_id="", to="war"), "say in `to` which mode: peace, tension or exercise"),
        (order("mode", alert_id="", to="peace", reason=" "), "changing the mode needs a reason"),
        (order("mode", alert_id="", to="exercise"), ""),
    ],
)
def test_what_is_missing_is_said(given: Command, words: str) -> None:
    assert refusal(given) == words
