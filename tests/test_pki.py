"""Certificates and access lists that `vedette pki` makes, on a real Mosquitto: who is refused, and where it shows."""

from __future__ import annotations

import re
import socket
import ssl
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from typer.testing import CliRunner, Result

from adapters import pki
from adapters.cli import app
from adapters.pki import Wanted
from adapters.samples import samples
from tests.mosquitto import Mosquitto, find
from tests.shipped import ROOT

pytestmark = pytest.mark.alone
PATIENCE_S = 60.0
DENIED = 135  # MQTT 5: not authorized
WANTED = Wanted(("A1", "R1"), ("LV",), ("localhost", "127.0.0.1"), "test", 2)


def vedette(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["pki", *map(str, words)], catch_exceptions=False)


def wait_for(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return what()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki") / "pki"
    pki.generate(folder, ROOT / "config", WANTED)
    return folder


@pytest.fixture(scope="module")
def broker(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """The configuration as it was made, on a free port of this machine, with its log in a file."""
    made = Mosquitto(tmp_path_factory.mktemp("broker"))
    lines = (keys / "mosquitto.conf").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("persistence", "log_dest", "log_timestamp"))]
    made.extra_conf = "\n".join(kept).replace("listener 8883", f"listener {made.port} 127.0.0.1")
    with made:
        yield made


@contextmanager
def joined(broker: Mosquitto, keys: Path, who: str, topics: str = "") -> Iterator[tuple[paho.Client, list[str]]]:
    """A client with the certificate of `who`, connected; and the topics and payloads that it hears."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=who.replace("/", "-"), protocol=paho.MQTTv5)
    context = ssl.create_default_context(cafile=str(keys / "ca.pem"))
    context.load_cert_chain(keys / f"{who}.pem", keys / f"{who}.key")
    client.tls_set_context(context)
    heard: list[str] = []
    up, subscribed = threading.Event(), threading.Event()
    client.on_connect = lambda *_: up.set()
    client.on_message = lambda _client, _data, message: heard.append(f"{message.topic} {message.payload.decode()}")
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert up.wait(PATIENCE_S)
    if topics:
        client.subscribe(f"vedette/v1/test/{topics}", 1)
        assert subscribed.wait(PATIENCE_S)
    yield client, heard
    client.disconnect()
    client.loop_stop()


def published(client: paho.Client, topic: str, retain: bool = False, payload: bytes = b"x") -> int:
    """The broker's reason code for one publish; 16 of a good one that nobody hears counts as 0."""
    codes: dict[int, int] = {}
    client.on_publish = lambda _client, _data, mid, reason, _properties: codes.update({mid: reason.value})
    sent = client.publish(f"vedette/v1/test/{topic}", payload, 1, retain)
    assert wait_for(lambda: sent.mid in codes)
    return 0 if codes[sent.mid] == 16 else codes[sent.mid]


def test_everybody_has_a_certificate_and_nobody_else_reads_a_key(keys: Path) -> None:
    pems = sorted(path.relative_to(keys).as_posix() for path in keys.rglob("*.pem"))
    assert pems == [
        "broker.pem", "ca.pem", "operator.pem", "outlet.pem", "partners/LV.pem", "sensors/A1.pem", "sensors/R1.pem",
        "vedette.pem",
    ]  # fmt: skip
    for key in keys.rglob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600, key
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    for pem in pems[:1] + pems[2:]:
        line = [find("openssl"), "verify", "-CAfile", str(keys / "ca.pem"), str(keys / pem)]
        assert subprocess.run(line, capture_output=True, timeout=60, check=False).returncode == 0
    assert not list(keys.rglob("*.csr")) + list(keys.rglob("*.ext"))


def test_what_is_sent_under_ones_own_name_arrives(broker: Mosquitto, keys: Path) -> None:
    with joined(broker, keys, "vedette", "in/#") as (_, heard), joined(broker, keys, "sensors/R1") as (radar, _):
        assert published(radar, "in/R1/plots") == 0
        assert wait_for(lambda: heard == ["vedette/v1/test/in/R1/plots x"])


def test_retained_state_stays_as_the_service_said_it(broker: Mosquitto, keys: Path) -> None:
    with joined(broker, keys, "vedette") as (service, _):
        assert published(service, "status", retain=True, payload=b"ours") == 0
    with joined(broker, keys, "sensors/R1") as (radar, _):
        assert published(radar, "status", retain=True, payload=b"theirs") == DENIED
        assert published(radar, "status", retain=True, payload=b"") == DENIED  # an empty one would clear it
    with joined(broker, keys, "operator", "status") as (_, heard):
        assert wait_for(lambda: heard == ["vedette/v1/test/status ours"])


@pytest.mark.parametrize(
    "who, topic, retain",
    [
        ("sensors/R1", "in/A1/plots", False),  # another sensor's
        ("sensors/R1", "alert/5b0c3d1e", True),  # our outputs
        ("sensors/R1", "alert-log", False),
        ("sensors/R1", "picture/0", True),
        ("sensors/R1", "status", True),  # retained state of ours
        ("sensors/R1", "in/R1/watermark", True),
        ("sensors/R1", "cmd/acknowledge", False),
        ("sensors/R1", "in/clock", False),
        ("partners/LV", "partner/LT/cmd/take", False),  # another neighbour's
        ("partners/LV", "in/LV/plots", False),  # a neighbour is no sensor
        ("partners/LV", "partner/LV/alert/5b0c3d1e", True),
        ("operator", "alert/5b0c3d1e", True),
        ("operator", "in/R1/plots", False),
        ("outlet", "track/1:2", True),
        ("outlet", "alert/5b0c3d1e", True),
        ("outlet", "cmd/acknowledge", False),
        ("outlet", "in/R1/plots", False),
        ("vedette", "in/R1/plots", False),  # not even the service
    ],
)
def test_what_is_not_ones_own_is_refused_and_the_broker_says_so(
    broker: Mosquitto, keys: Path, who: str, topic: str, retain: bool
) -> None:
    name = who.replace("/", "-")
    hearer = "vedette" if who == "operator" else "operator"
    with joined(broker, keys, hearer, "#") as (_, heard), joined(broker, keys, who) as (client, _):
        assert published(client, topic, retain) == DENIED
        logged = re.compile(rf"Denied PUBLISH from {name} .*'vedette/v1/test/{re.escape(topic)}'")
        assert wait_for(lambda: bool(logged.search(broker.log_path.read_text("utf-8", "replace"))))
        assert f"vedette/v1/test/{topic} x" not in heard


def test_what_is_not_for_one_is_not_heard(broker: Mosquitto, keys: Path) -> None:
    with (
        joined(broker, keys, "vedette") as (service, _),
        joined(broker, keys, "partners/LV", "#") as (_, partner),
        joined(broker, keys, "sensors/R1", "#") as (_, radar),
        joined(broker, keys, "outlet", "#") as (_, outlet),
    ):
        for topic in ("partner/LT/alert/1", "alert/1", "track/1:2"):
            assert published(service, topic) == 0
        assert published(service, "partner/LV/alert/1") == 0
        assert published(service, "in/R1/watermark") == 0
        assert wait_for(lambda: bool(partner) and bool(radar) and len(outlet) >= 2)
        assert partner == ["vedette/v1/test/partner/LV/alert/1 x"]
        assert radar == ["vedette/v1/test/in/R1/watermark x"]
        assert sorted(line for line in outlet if "/status " not in line) == [  # a status is retained from before
            "vedette/v1/test/alert/1 x", "vedette/v1/test/track/1:2 x"
        ]  # fmt: skip


@pytest.fixture(scope="module")
def strangers(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Who is nobody of ours: without a certificate, of another authority, and one whose time is over."""
    other = tmp_path_factory.mktemp("other") / "pki"
    pki.generate(other, ROOT / "config", WANTED)
    old = tmp_path_factory.mktemp("old")
    request = [
        find("openssl"),
        "req",
        "-new",
        "-subj",
        "/CN=R1",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]
    subprocess.run(
        [*request, "-nodes", "-keyout", "R1.key", "-out", "R1.csr"], cwd=old, check=True, capture_output=True
    )
    sign = ["x509", "-req", "-in", "R1.csr", "-CA", str(keys / "ca.pem"), "-CAkey", str(keys / "ca.key"), "-days", "0"]
    subprocess.run([find("openssl"), *sign, "-out", "R1.pem"], cwd=old, check=True, capture_output=True)
    time.sleep(1.5)  # it was valid until now
    return {"another authority": other / "sensors" / "R1", "expired": old / "R1"}


@pytest.mark.parametrize(
    "who, words",
    [
        ("no certificate", "peer did not return a certificate"),
        ("another authority", "certificate verify failed"),
        ("expired", "certificate verify failed"),
        ("no TLS", "wrong version number"),
    ],
)
def test_who_is_nobody_of_ours_is_not_let_in_and_the_broker_says_so(
    broker: Mosquitto, keys: Path, strangers: dict[str, Path], who: str, words: str
) -> None:
    before = broker.log_path.stat().st_size
    connect = b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03R1x"
    context = ssl.create_default_context(cafile=str(keys / "ca.pem"))
    if who in strangers:
        context.load_cert_chain(f"{strangers[who]}.pem", f"{strangers[who]}.key")
    answer = b""
    link = socket.create_connection(("127.0.0.1", broker.port), timeout=PATIENCE_S)
    try:
        if who != "no TLS":
            link = context.wrap_socket(link, server_hostname="127.0.0.1")
        link.sendall(connect)
        answer = link.recv(100)
    except OSError:  # an alert of TLS, or a connection that is reset
        assert answer == b""
    finally:
        link.close()
    assert answer == b""
    assert wait_for(lambda: words in broker.log_path.read_text("utf-8", "replace")[before:])


def test_the_access_list_lets_the_service_say_all_that_it_says() -> None:
    made = pki.access_list((ROOT / "config" / "mosquitto.acl").read_text(encoding="utf-8"), WANTED)
    service = re.search(r"^user vedette$(.*?)(?=^user |\Z)", made, re.MULTILINE | re.DOTALL)
    assert service
    allowed = re.findall(r"^topic (?:readwrite|write) (\S+)$", service[1], re.MULTILINE)
    ours = [s.topic for s in samples() if s.sender == "Vedette"]
    assert [t for t in ours if not any(paho.topic_matches_sub(a, f"vedette/v1/test/{t}") for a in allowed)] == []
    assert "replay" not in made
    assert "%u" not in made
    assert "vedette/v1/+" not in made


def test_nothing_is_overwritten_and_wrong_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for words, key in (
        (("--out", tmp_path / "there"), "--out"),
        (("--out", tmp_path / "a", "--sensor", "../evil"), "--sensor"),
        (("--out", tmp_path / "a", "--sensor", "vedette"), "--sensor"),
        (("--out", tmp_path / "a", "--sensor", "R1", "--partner", "R1"), "--sensor"),
        (("--out", tmp_path / "a", "--sensor", "R1/#"), "--sensor"),
        (("--out", tmp_path / "a", "--host", "a,DNS:*"), "--host"),
        (("--out", tmp_path / "a", "--site", "+"), "--site"),
        (("--out", tmp_path / "a", "--config", tmp_path), "file"),
    ):
        done = vedette(*words)
        assert done.exit_code == 2, done.output
        assert f" {key}: " in done.stderr
        assert "Cure: " in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_command_makes_it_and_says_what_to_do(tmp_path: Path) -> None:
    done = vedette("--out", tmp_path / "pki", "--sensor", "R1", "--config", ROOT / "config", "--host", "::1")
    assert done.exit_code == 0, done.output
    assert "an authority and 5 certificates, valid for 30 days" in done.stdout
    assert (tmp_path / "pki" / "sensors" / "R1.pem").exists()
