"""The second formats as processes beside a real Mosquitto: SAPIENT out and in, CAP drafts, KML and CZML files."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters import samples, ulids
from adapters.bridges.command import bridge
from adapters.broker import now_us
from adapters.formats import alert, cap, czml, kml, status
from adapters.outlets.command import out
from adapters.samples import NAMES
from adapters.wire import rfc3339
from tests.broker_scene import until
from tests.mosquitto import Mosquitto
from tests.running import Ear
from tests.sapientpeer import NODE, Peer, frames
from tests.test_formats_sapient import IDS, SEEN
from tests.test_outlets_held import track_payload
from tests.test_outlets_listener import Publish, scene

pytestmark = pytest.mark.alone
RAISED = samples.alarm()
SITE = "test"


async def started(words: Sequence[str], broker: Mosquitto) -> asyncio.subprocess.Process:
    where = ["--broker", f"127.0.0.1:{broker.port}", "--site", SITE]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "adapters.cli", *words, *where, stderr=asyncio.subprocess.DEVNULL
    )


async def ended(runs: Sequence[asyncio.subprocess.Process]) -> list[int]:
    for run in runs:
        run.terminate()
    return [await run.wait() for run in runs]


async def told(say: Publish) -> None:
    await say("status", status.encode(status.StatusInfo(SITE, now_us(), "live", 5)))
    await say("track/5:17", track_payload(17, now_us()))
    await say(f"alert/{RAISED.id}", alert.encode(RAISED, NAMES, 1))


def test_a_network_civil_protection_and_maps_are_told_the_same(tmp_path: Path) -> None:
    drafts, earth, cesium = tmp_path / "drafts", tmp_path / "picture.kml", tmp_path / "picture.czml"

    def ids(read: Callable[[bytes], Sequence[kml.Mark | czml.Packet]], path: Path) -> list[str]:
        return [one.id for one in read(path.read_bytes())] if path.exists() else []

    async def play(broker: Mosquitto, peer: Peer) -> list[int]:
        async with scene(broker, SITE) as (_, say):
            await told(say)
            runs = [
                await started(["out", "sapient", "--connect", f"127.0.0.1:{peer.port}", "--every", "0.2"], broker),
                await started(["out", "cap", "--folder", str(drafts), "--sender", "warnings@example.org"], broker),
                await started(["out", "kml", "--file", str(earth), "--every", "0.2"], broker),
                await started(["out", "czml", "--file", str(cesium), "--every", "0.2"], broker),
            ]
            said = await asyncio.to_thread(peer.next, "alert")
            assert ulids.alert_of(said["alert"]["alert_id"]) == RAISED.id
            await until(lambda: (drafts / f"{RAISED.id}.1.xml").exists())
            both = ["track.5:17", f"alert.{RAISED.id}"]
            await until(lambda: ids(kml.decode, earth) == both and ids(czml.decode, cesium) == both)
            closed = replace(RAISED, state="closed", close_reason="closed by J. Petraitis: a balloon")
            await say(f"alert/{RAISED.id}", alert.encode(closed, NAMES, 2))
            while said["alert"]["status"] != "ALERT_STATUS_CLEAR":
                said = await asyncio.to_thread(peer.next, "alert")
            await until(lambda: (drafts / f"{RAISED.id}.2.xml").exists())
            await until(lambda: ids(kml.decode, earth) == ids(czml.decode, cesium) == ["track.5:17"])
            return await ended(runs)

    with Mosquitto(tmp_path / "broker") as broker, Peer() as peer:
        assert asyncio.run(play(broker, peer)) == [0, 0, 0, 0]
    first, last = (cap.decode((drafts / f"{RAISED.id}.{n}.xml").read_bytes()) for n in (1, 2))
    assert (first.type, first.level, last.type, last.references) == ("Alert", "red", "Cancel", (first.id,))


def test_what_a_node_of_a_network_sees_arrives_at_the_broker(tmp_path: Path) -> None:
    async def play(broker: Mosquitto, ear: Ear, server: socket.socket) -> int:
        connect = f"127.0.0.1:{server.getsockname()[1]}"
        run = await started(["bridge", "sapient", "--connect", connect, "--bearing", f"{NODE}=SOUND1"], broker)
        handler, _ = await asyncio.to_thread(server.accept)
        report = {"timestamp": rfc3339(now_us()), "node_id": NODE, "detection_report": {**IDS, "range_bearing": SEEN}}
        (octets,) = frames([report])
        with closing(handler):
            handler.sendall(octets)
            await asyncio.to_thread(ear.wait_for, lambda heard: bool(heard.of("in/SOUND1/plots")))
        (code,) = await ended([run])
        return code

    with (
        Mosquitto(tmp_path / "broker") as broker,
        socket.create_server(("127.0.0.1", 0)) as server,
        Ear(broker.port, "in/#") as ear,
    ):
        assert asyncio.run(play(broker, ear, server)) == 0
        (message,) = ear.of("in/SOUND1/plots")
        assert "ok" in [said["state"] for said in ear.of("in/SOUND1/status")]
    assert (message["kind"], message["seq"]) == ("bearing", 0)
    assert message["plots"][0]["azimuth_deg"] == pytest.approx(10.0)
    assert "range_m" not in message["plots"][0]


@pytest.mark.parametrize(
    "words",
    [
        ["sapient", "--connect", "nowhere"], ["sapient", "--connect", "127.0.0.1:5020", "--node", "7"],
        ["sapient", "--connect", "127.0.0.1:5020", "--tls-ca", "ca.pem"],
        ["cap", "--folder", "x", "--sender", "a b"], ["cap", "--folder", "x", "--sender", "a", "--status", "actual"],
        ["cap", "--folder", "x", "--sender", "a", "--areas", "nowhere.geojson", "--broker", "127.0.0.1:1883"],
        ["kml"], ["czml", "--file", "x", "--listen", "127.0.0.1:8084"], ["kml", "--listen", "here"],
    ],
)  # fmt: skip
def test_wrong_words_are_refused_with_a_cure(words: list[str]) -> None:
    done = CliRunner().invoke(out, words)
    assert done.exit_code == 2
    assert "Cure: " in done.output


@pytest.mark.parametrize(
    "words",
    [[], ["--radar", "7=R1"], ["--radar", f"{NODE}=R 1"], ["--radar", f"{NODE}=R1", "--tracker", f"{NODE}=T1"],
     ["--radar", f"{NODE}=R1", "--bearing", f"{NODE[:-1]}6=R1"]],
)  # fmt: skip
def test_nodes_are_named_once_and_by_uuid(words: list[str]) -> None:
    done = CliRunner().invoke(bridge, ["sapient", "--connect", "127.0.0.1:5005", *words])
    assert done.exit_code == 2
    assert "Cure: " in done.output
