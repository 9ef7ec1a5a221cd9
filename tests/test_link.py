"""How soon a link that died without a word is known, on a clock of our own; the rest is in tests/test_mqtt.py."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from adapters.broker import BrokerSettings
from adapters.link import LOOK_S, Link
from adapters.mqtt import Connection


def test_whenever_a_link_dies_it_is_known_within_four_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock of our own: the newest byte came at any moment between two looks at the keep-alive."""
    now_s = [1_000.0]
    monkeypatch.setattr(paho, "time_func", lambda: now_s[0])

    async def noticed_after_s(phase_s: float) -> float:
        link = Link(Connection(BrokerSettings("x")), BrokerSettings("x"), None)
        client: Any = link._client
        module: Any = paho
        connected = ReasonCode(PacketTypes.CONNACK)
        link._on_connect(client, None, None, connected)
        client._state = module._ConnectionState.MQTT_CS_CONNECTED
        client._last_msg_out = client._last_bytes_received = now_s[0] + phase_s
        client._send_pingreq = lambda: setattr(client, "_ping_t", now_s[0])
        died_s = now_s[0] + phase_s
        with closing(socket.socket()) as client._sock:
            while client.loop_misc() == paho.MQTT_ERR_SUCCESS:
                now_s[0] += LOOK_S
        link.clear()
        return now_s[0] - died_s

    async def scene() -> None:
        after_s = [await noticed_after_s(n * LOOK_S / 20) for n in range(20)]
        assert 3.0 < max(after_s) < 2 * BrokerSettings("x").keepalive_s - LOOK_S / 2 <= 4.0
        assert min(after_s) > BrokerSettings("x").keepalive_s, "a broker that hesitates is given up"

    asyncio.run(scene())
