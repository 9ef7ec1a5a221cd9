"""Who hears directions and what people report, as processes beside a real Mosquitto and a real service."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapters.bridges.command import bridge
from adapters.broker import now_us
from adapters.formats import bearing, kraken
from adapters.formats.bearing import Bearing, State
from adapters.wire import rfc3339
from fusion.schema import SensorKind, SensorSpec
from tests.mosquitto import Mosquitto, free_port
from tests.running import SITE, Ear, Service, vedette, write_config
from tests.test_formats_kraken import line

pytestmark = pytest.mark.alone
POST = SensorSpec("G1", 0, SensorKind.SIGHTING, math.radians(54.5), math.radians(25.3), 150.0)


@contextlib.contextmanager
def bridged(broker: Mosquitto, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A bridge that runs, and ends well."""
    run = vedette("bridge", *words, "--broker", f"127.0.0.1:{broker.port}", "--site", SITE, stderr=subprocess.PIPE)
    try:
        yield run
    finally:
        run.terminate()
        _, said = run.communicate(timeout=60.0)
    assert run.returncode == 0, said.decode()


def said_of(ear: Ear, topic: str) -> list[float]:
    """The bearings that were published there."""
    return [plot["azimuth_deg"] for message in ear.of(topic) for plot in message["plots"]]


def test_bearings_arrive_over_every_wire_numbered_and_outlive_their_source(tmp_path: Path) -> None:
    def told(degrees: float, source: str = "") -> bytes:
        return bearing.encode_line(Bearing(now_us(), math.radians(degrees), source=source))

    with Mosquitto(tmp_path / "broker") as broker, Ear(broker.port, "in/#") as ear:
        server = socket.create_server(("127.0.0.1", 0))
        where = f"127.0.0.1:{server.getsockname()[1]}"
        with bridged(broker, "bearings", "--connect", where, "--sensor", "SOUND1"):
            first, _ = server.accept()
            first.sendall(told(10.0) + bearing.encode_line(State("degraded", "wind")))
            ear.wait_for(lambda heard: said_of(heard, "in/SOUND1/plots") == [10.0])
            server.close()  # it goes away ...
            first.close()
            ear.wait_for(lambda heard: "off" in [one["state"] for one in heard.of("in/SOUND1/status")])
            server = socket.create_server(("127.0.0.1", int(where.rpartition(":")[2])))  # ... and comes again
            second, _ = server.accept()
            second.sendall(told(20.0))
            ear.wait_for(lambda heard: said_of(heard, "in/SOUND1/plots") == [10.0, 20.0])
            second.close()
        server.close()
        assert [message["seq"] for message in ear.of("in/SOUND1/plots")] == [0, 1]
        assert {"ok", "degraded", "off"} <= {one["state"] for one in ear.of("in/SOUND1/status")}

        port = free_port()
        words = ("bearings", "--udp", f"127.0.0.1:{port}", "--source", "a=SOUND2", "--source", "b=SOUND3")
        with bridged(broker, *words), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            arrived = threading.Event()
            while not arrived.wait(0.1):  # nobody says when a datagram may be sent
                for degrees, source in ((30.0, "a"), (40.0, "b")):
                    sender.sendto(told(degrees, source)[:-1], ("127.0.0.1", port))
                if said_of(ear, "in/SOUND2/plots") and said_of(ear, "in/SOUND3/plots"):
                    arrived.set()
        assert set(said_of(ear, "in/SOUND2/plots")) == {30.0}
        assert set(said_of(ear, "in/SOUND3/plots")) == {40.0}

        path = tmp_path / "lines"
        path.write_bytes(told(1.0))
        with bridged(broker, "bearings", "--file", str(path), "--all", "--sensor", "SOUND4"):
            ear.wait_for(lambda heard: said_of(heard, "in/SOUND4/plots") == [1.0])
            with path.open("ab") as file:
                file.write(told(50.0))
            ear.wait_for(lambda heard: said_of(heard, "in/SOUND4/plots") == [1.0, 50.0])

        class Finder(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(kraken.encode([line(t_ms=now_us() // 1_000)]))

            def log_message(self, *_: Any) -> None:
                pass

        asked = HTTPServer(("127.0.0.1", 0), Finder)
        threading.Thread(target=asked.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{asked.server_port}/DOA_value.html"
        with bridged(broker, "bearings", "--kraken", url, "--every", "0.2", "--sensor", "RDF1"):
            ear.wait_for(lambda heard: len(said_of(heard, "in/RDF1/plots")) >= 2)
        asked.shutdown()
        asked.server_close()
        assert set(said_of(ear, "in/RDF1/plots")) == {60.0}
        assert "ok" in [one["state"] for one in ear.of("in/RDF1/status")]


def test_reports_reach_a_service_that_comes_later_and_its_answers_come_back(tmp_path: Path) -> None:
    """The table is there before the service is: the report is said again until somebody answers."""
    path = tmp_path / "reports.csv"
    path.write_text("time;lat_deg;lon_deg;words;id\n", encoding="utf-8")
    with Mosquitto(tmp_path / "broker") as broker, Ear(broker.port, "answer/#", "in/#") as ear:
        http = free_port()
        config = write_config(tmp_path / "config", broker.port, [POST], {"G1": "plots"}, http)
        with bridged(broker, "sightings", "--file", str(path), "--sensor", "G1", "--zone", "Europe/Vilnius") as run:
            ear.wait_for(lambda heard: bool(heard.of("in/G1/status")))
            with path.open("a", encoding="utf-8") as file:
                file.write(f'{rfc3339(now_us())};54,52;25,33;"like a moped; low";a1\n')
                file.write(f"{rfc3339(now_us() + 3_600_000_000)};54,52;25,33;tomorrow;a2\n")
                file.write("noon;54;25;;a3\n")
            ear.wait_for(lambda heard: len(heard.of("in/G1/sighting")) >= 2)
            with Service(config, http):
                ear.wait_for(lambda heard: {one["id"] for one in heard.of("answer/G1/reports")} == {"a1", "a2"})
            assert run.poll() is None
    answers = {one["id"]: one for one in ear.of("answer/G1/reports")}
    assert answers["a1"]["ok"]
    assert not answers["a2"]["ok"]
    assert answers["a2"]["detail"].startswith("future")
    (first, *_) = ear.of("in/G1/sighting")
    assert (first["id"], first["words"], first["lat_deg"]) == ("a1", "like a moped; low", 54.52)
    assert json.dumps(answers)


@pytest.mark.parametrize(
    "words",
    [
        ["bearings"], ["bearings", "--connect", "127.0.0.1:1"], ["bearings", "--connect", "here", "--sensor", "S1"],
        ["bearings", "--connect", "127.0.0.1:1", "--udp", "127.0.0.1:2", "--sensor", "S1"],
        ["bearings", "--connect", "127.0.0.1:1", "--sensor", "S1", "--source", "a=S1"],
        ["bearings", "--connect", "127.0.0.1:1", "--source", "S1"], ["bearings", "--kraken", "here", "--sensor", "S1"],
        ["sightings", "--sensor", "G1"], ["sightings", "--sensor", "G 1", "--connect", "127.0.0.1:1"],
        ["sightings", "--sensor", "G1", "--connect", "127.0.0.1:1", "--zone", "Nowhere/Else"],
    ],
)  # fmt: skip
def test_wrong_words_are_refused_with_a_cure(words: list[str]) -> None:
    done = CliRunner().invoke(bridge, words)
    assert done.exit_code == 2
    assert "Cure: " in done.output
