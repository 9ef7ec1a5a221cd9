"""Whoever sends a command or a report that cannot be read hears why, where an answer was asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from adapters.decode import MAX_UNFIT, TICK
from adapters.envelope import enveloped
from adapters.service import Core
from fusion.schema import Frame, SensorKind, SensorSpec
from tests import shipped

NOW_US = 1_795_824_000_000_000
ID = "0123456789abcdef"
COMMAND = {"schema": "vedette.command.v1", "alert_id": ID, "operator": "J. Petraitis"}
TO = "vedette/v1/demo/answer/me"
GUARD = SensorSpec("G1", 3, SensorKind.SIGHTING)


@pytest.fixture(scope="module")
def core() -> Core:
    loaded = shipped.configuration()
    known = replace(loaded, sensors=(*loaded.sensors, GUARD), partners=("LV",))
    return Core(known, shipped.zones(), 1, lambda _frame, _reason, _detail: None)


def answers(core: Core, source: str, payload: bytes, to: str = TO, times: int = 1) -> list[dict[str, Any]]:
    """What leaves for the sender of a message, when the same comes so many times before a tick."""
    frame = enveloped(Frame(0, NOW_US, source, payload), (), to, b"7")
    _, turn, _ = core.work([frame] * times, Frame(0, NOW_US, TICK, b""))
    told = [message for message in turn.others if message.topic == to]
    assert all((message.correlation, message.retain) == (b"7", False) for message in told)
    return [json.loads(message.payload) for message in told]


@pytest.mark.parametrize(
    ("source", "changed", "detail"),
    [
        ("cmd/identify", {"identity": "baddie"}, "out-of-range: Invalid enum value 'baddie' - at `$.identity`"),
        ("cmd/acknowledge", {"operator": None}, "malformed: Expected `str`, got `null` - at `$.operator`"),
        ("cmd/acknowledge", {"alert_id": "1"}, "out-of-range"),
        ("cmd/acknowledge", {"incident_id": ID}, "missing-field: alert_id or incident_id, one of the two"),
        ("cmd/shoot", {}, "unknown-command: shoot"),
        ("partner/LV/cmd/close", {}, "unknown-command: a neighbour takes what was handed over to it"),
    ],
)
def test_a_command_that_cannot_be_read_is_answered(
    core: Core, source: str, changed: dict[str, Any], detail: str
) -> None:
    (said,) = answers(core, source, json.dumps({**COMMAND, **changed}).encode())
    assert (said["schema"], said["ok"], said["verb"]) == ("vedette.answer.v1", False, source.rpartition("/")[2])
    assert said["detail"].startswith(detail)


@pytest.mark.parametrize("payload", [b"", b"{not json", b"[1]", b"\xff", b'{"schema": "vedette.command.v1"}'])
def test_what_is_no_command_is_answered_too(core: Core, payload: bytes) -> None:
    (said,) = answers(core, "cmd/acknowledge", payload)
    assert said["ok"] is False
    assert "operator" not in said


def test_a_report_of_a_sensor_that_nobody_declared_is_answered(core: Core) -> None:
    (said,) = answers(core, "in/G9/sighting", b"{}")
    assert (said["schema"], said["sensor"], said["ok"]) == ("vedette.sighting-answer.v1", "G9", False)
    assert said["detail"] == "unknown-sensor: G9"
    (said,) = answers(core, "in/G1/sighting", b"{}")
    assert said["detail"].startswith("wrong-schema")


def test_nothing_is_answered_where_an_answer_would_pass_for_something_else(core: Core) -> None:
    assert answers(core, "cmd/acknowledge", b"{", "vedette/v1/demo/alert/1") == []
    assert answers(core, "in/R1/plots", b"{") == []  # a machine: counted, and in the quarantine


def test_a_flood_of_bad_commands_is_not_a_flood_of_answers(core: Core) -> None:
    assert len(answers(core, "cmd/acknowledge", b"{", times=3 * MAX_UNFIT)) == MAX_UNFIT
