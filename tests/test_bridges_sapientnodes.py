"""Nodes of others connect, register and report; who is not named, or speaks before it has registered, is not heard."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import typer
from sapient_msg_pydantic.bsi_flex_335_v2_0.sapient_message import SapientMessage as Checked

from adapters.bridges import receivers, sapientnodes
from adapters.bridges.common import Heard
from adapters.bridges.sapientnodes import Nodes
from adapters.formats import sapient
from adapters.outlets.sapient import SapientOutlet
from adapters.samples import NAMES
from fusion.schema import SensorKind, SensorSpec
from tests.broker_scene import until
from tests.sapientpeer import NODE, frames
from tests.test_formats_sapient import HEAD, IDS, SEEN
from tests.test_outlets_cot import listener

pytestmark = pytest.mark.alone
OURS = sapient.Node("99999999-2222-4333-8444-555555555555", "test")
RADAR = SensorSpec("R1", 0, SensorKind.RADAR_3D, 0.95, 0.44, 100.0)
REGISTRATION = {
    "node_definition": [{"node_type": "NODE_TYPE_RADAR"}], "icd_version": "BSI Flex 335 v2.0",
    "capabilities": [{"category": "detection", "type": "radar"}],
    "status_definition": {"status_interval": {"units": "TIME_UNITS_SECONDS", "value": 5}},
    "mode_definition": [{"mode_name": "x", "mode_type": "MODE_TYPE_PERMANENT",
                         "settle_time": {"units": "TIME_UNITS_SECONDS", "value": 1}, "task": {}}],
    "config_data": [{"manufacturer": "a", "model": "b"}],
}  # fmt: skip
OTHER = NODE[:-1] + "6"


@dataclass
class Told:
    """What the bridge has said so far."""

    plots: list[str] = field(default_factory=list)
    states: list[tuple[str, str]] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    def take(self, heard: Heard) -> None:
        self.plots += [batch.sensor for batch in heard.batches for _ in batch.t_us]
        self.states += [(word.sensor, word.state) for word in heard.words]
        for reason, count in heard.refused.items():
            self.refused[reason] = self.refused.get(reason, 0) + count


async def played(scene: Callable[[int, Told], Any]) -> Told:
    """The bridge on a free port, with a scene beside it."""
    nodes, told = Nodes(OURS, {NODE: RADAR}), Told()

    async def listen() -> None:
        async for heard in nodes.heard("127.0.0.1", 0):
            told.take(heard)

    task = asyncio.create_task(listen())
    try:
        await until(lambda: nodes.port > 0)
        await scene(nodes.port, told)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return told


def said(*contents: dict[str, Any], node: str = NODE) -> list[bytes]:
    return frames([{**HEAD, "node_id": node, **content} for content in contents])


async def answer(reader: asyncio.StreamReader) -> Any:
    """One message, held to the rules of the standard by a library of others."""
    length = int.from_bytes(await asyncio.wait_for(reader.readexactly(4), 30), "little")
    message = sapient.read(await reader.readexactly(length))
    Checked.from_pb2(message)
    return message


def test_a_node_registers_reports_says_how_it_is_and_goes() -> None:
    registration, seen, worse, bye = said(
        {"registration": REGISTRATION},
        {"detection_report": {**IDS, "range_bearing": SEEN}},
        *({"status_report": {"report_id": IDS["report_id"], "system": system, "info": "INFO_NEW", "mode": "x"}}
          for system in ("SYSTEM_WARNING", "SYSTEM_GOODBYE")),
    )  # fmt: skip

    async def scene(port: int, told: Told) -> None:
        await until(lambda: told.states == [("R1", "off")])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for octet in registration:
            writer.write(bytes([octet]))  # torn into single octets
        ack = await answer(reader)
        assert (ack.registration_ack.acceptance, ack.destination_id, ack.node_id) == (True, NODE, OURS.id)
        steps: list[tuple[bytes, Callable[[], bool]]] = [
            (seen, lambda: told.plots == ["R1"]), (worse, lambda: told.states[-1] == ("R1", "degraded")),
            (bye, lambda: told.states[-1] == ("R1", "off")),
        ]  # fmt: skip
        for octets, what in steps:
            writer.write(octets)
            await until(what)
        writer.close()

    told = asyncio.run(played(scene))
    assert told.states[0] == ("R1", "off")
    assert ("R1", "ok") in told.states
    assert not told.refused


def test_who_is_not_named_is_refused_and_who_has_not_registered_is_not_heard() -> None:
    (stranger,) = said({"registration": REGISTRATION}, node=OTHER)
    (early,) = said({"detection_report": {**IDS, "range_bearing": SEEN}})

    async def scene(port: int, told: Told) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(stranger)
        ack = await answer(reader)
        assert not ack.registration_ack.acceptance
        assert list(ack.registration_ack.ack_response_reason) == ["no sensor is named for this node"]
        assert await reader.read() == b""
        writer.close()
        for octets in (early, b"\xff\xff\xff\x7f", b"\x02\x00\x00\x00\xff\xff"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(octets)
            assert await reader.read() == b""
            writer.close()
        await until(lambda: sum(told.refused.values()) == 4)

    told = asyncio.run(played(scene))
    assert told.refused == {"unknown-node": 2, "oversized": 1, "malformed": 1}
    assert not told.plots


def test_one_bad_message_of_a_registered_node_costs_that_message_alone() -> None:
    registration, seen, late = said(
        {"registration": REGISTRATION},
        {"detection_report": {**IDS, "range_bearing": SEEN}},
        {"timestamp": "9999-01-01T00:00:00Z", "detection_report": {**IDS, "range_bearing": SEEN}},
    )

    async def scene(port: int, told: Told) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(registration)
        await answer(reader)
        writer.write(b"\x02\x00\x00\x00\xff\xff" + late + seen)
        await until(lambda: told.plots == ["R1"])
        writer.close()

    assert asyncio.run(played(scene)).refused == {"malformed": 1, "bad-time": 1}


def test_a_node_that_falls_silent_or_is_one_too_many_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sapientnodes, "DEAF_S", 0.5)
    monkeypatch.setattr(sapientnodes, "MOST_CONNECTIONS", 1)
    (registration,) = said({"registration": REGISTRATION})

    async def scene(port: int, told: Told) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(registration)
        await answer(reader)
        second, closing = await asyncio.open_connection("127.0.0.1", port)
        assert await second.read() == b""
        closing.close()
        await until(lambda: told.refused == {"too-many-nodes": 1})
        assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()
        await until(lambda: told.states[-1] == ("R1", "off"))

    asyncio.run(played(scene))


def test_an_address_that_cannot_be_listened_at_is_refused_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without_broker(source: AsyncIterator[Heard], *_: object) -> int:
        async def hear() -> None:
            async for _ in source:
                pass

        asyncio.run(hear())
        return 0

    monkeypatch.setattr(receivers, "pass_on", without_broker)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(typer.Exit) as ended:
        receivers.sapient(listen=f"127.0.0.1:{taken.getsockname()[1]}", radar=[f"{NODE}=R1"])
    assert ended.value.exit_code == 2
    assert "--listen" in capsys.readouterr().err


def test_our_own_outlet_is_such_a_node() -> None:
    async def scene(port: int, told: Told) -> None:
        out = SapientOutlet(("127.0.0.1", port), sapient.Node(NODE, NAMES.site), 0.1)
        task = asyncio.create_task(out.serve(listener()))
        await until(lambda: out.connects == 1)
        await until(lambda: told.states[-1:] == [("R1", "degraded")])  # it has no word of its service
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: told.states[-1] == ("R1", "off"))

    asyncio.run(played(scene))
