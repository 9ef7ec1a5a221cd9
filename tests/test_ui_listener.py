"""What the page could not take is said, once, and not every second."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from adapters.broker import BrokerSettings, Incoming, now_us
from adapters.ui import listener as listening
from adapters.ui.listener import Listener
from tests.test_ui_sky import alert, picture


def test_after_a_broker_was_away_no_picture_is_live_until_one_came() -> None:
    one = Listener("test", BrokerSettings("127.0.0.1"))

    def hear(subject: str, payload: bytes, generation: int) -> dict[str, object]:
        one._take(Incoming(f"vedette/v1/test/{subject}", payload, 0, False, 1, generation, now_us()), one.sky)
        return one.pulse()

    assert "age_s" in hear("picture-delta", picture([1], 0, full=True), 1)
    assert "age_s" not in hear("alert/a1", alert("a1"), 2)
    assert "age_s" in hear("picture-delta", picture([1], 1, full=True), 2)


def test_what_is_not_shown_is_said_with_its_reason_and_not_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    one = Listener("test", BrokerSettings("127.0.0.1"))
    with capture_logs() as said:
        one._say_losses()
        assert said == []
        one.sky.take("alert/x", b"no JSON", now_s[0])
        one._say_losses()
        one._say_losses()
        one._connection.traffic.overflow = 7
        one._say_losses()  # too soon after the last
        now_s[0] += listening.LOSSES_EVERY_S
        one._say_losses()
    warned = [{key: value for key, value in line.items() if key not in ("log_level", "logger")} for line in said]
    assert warned == [
        {"event": "not shown", "alert": 1},
        {"event": "not shown", "alert": 1, "dropped: too many at once": 7},
    ]
