"""Who may do what: passwords, access rules and certificates, on a real Mosquitto."""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from adapters.broker import BrokerSettings, Outgoing, PublishDenied, tls_context
from adapters.commands.simulate import formats
from adapters.mqtt import Connection
from adapters.samples import samples
from replay.simulate import Scenario
from tests.broker_scene import play, running, settings_of, take, until
from tests.mosquitto import Mosquitto, find, passwords
from tests.running import Ear, Service, ports, write_config
from tests.shipped import ROOT

pytestmark = pytest.mark.alone


def test_the_shipped_rules_let_the_service_say_everything_that_it_says() -> None:
    rules = (ROOT / "config" / "mosquitto.acl").read_text(encoding="utf-8")
    service = re.search(r"^user vedette$(.*?)(?=^user |\Z)", rules, re.MULTILINE | re.DOTALL)
    assert service
    allowed = re.findall(r"^topic (?:readwrite|write) (\S+)$", service[1], re.MULTILINE)
    ours = [s.topic for s in samples() if s.sender == "Vedette"]
    assert len(ours) > 12
    missing = [t for t in ours if not any(paho.topic_matches_sub(a, f"vedette/v1/x/{t}") for a in allowed)]
    assert missing == []


def test_a_refusal_by_access_rules_is_an_error_of_that_publish(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    (folder / "acl").write_text("user ada\ntopic readwrite allowed/#\n", encoding="utf-8")
    known = passwords(folder, {"ada": "secret"})
    conf = f"allow_anonymous false\npassword_file {known}\nacl_file {folder / 'acl'}"

    async def scene() -> None:
        settings = replace(settings_of(broker), username="ada", password="secret")
        assert "secret" not in repr(settings)
        async with running(Connection(settings)) as connection:
            with pytest.raises(PublishDenied, match="Not authorized"):
                await connection.publish("forbidden/1", b"x", 1)
            errors = await connection.publish_many(
                [Outgoing("allowed/1", b"", 1), Outgoing("forbidden/2", b"", 1), Outgoing("allowed/2", b"", 1)]
            )
            assert [type(e) for e in errors] == [type(None), PublishDenied, type(None)]
            assert connection.connected
            assert connection.traffic.denied == 2
        wrong = Connection(replace(settings, password="wrong"))
        task = asyncio.create_task(wrong.run())
        await until(lambda: "not connected" not in wrong.problem)
        assert "Not authorized" in wrong.problem
        assert not wrong.connected
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with Mosquitto(folder, conf) as broker:
        play(scene())


def test_a_service_that_is_refused_says_so_and_goes_on(tmp_path: Path) -> None:
    """A denied publish is an alarm (VedettePublishDenied), from the first word to the last, and no success."""
    folder = tmp_path / "broker"
    folder.mkdir()
    (folder / "acl").write_text("topic readwrite #\ntopic deny vedette/v1/test/status\n", encoding="utf-8")
    scene = Scenario.load("lithuania-2025-07-28")
    http_port, _ = ports()
    with Mosquitto(folder, f"allow_anonymous true\nacl_file {folder / 'acl'}") as broker:
        config = write_config(tmp_path / "config", broker.port, scene.sensors, formats(scene), http_port)
        with Service(config, http_port) as service, Ear(broker.port, "#") as ear:
            ear.wait_for(lambda heard: len(heard.of("picture-delta")) > 20)
            denied = service.metric('vedette_publish_denied_total{kind="status"}')
            assert denied >= 2, "the word at the connection, and one a second"
            assert service.get("/readyz") == (200, "ready\n")
            assert not ear.of("status")
            assert service.stop() == 0
    refused = [line for line in service.log.read_text(encoding="utf-8").splitlines() if "the broker refused" in line]
    assert len(refused) >= denied
    assert all("vedette/v1/test/status" in line for line in refused)


def certificates(folder: Path) -> None:
    """An authority, a server of 127.0.0.1 and a client, by the openssl command line."""
    folder.mkdir()
    openssl = find("openssl")

    def run(*words_: str) -> None:
        subprocess.run([openssl, *words_], cwd=folder, check=True, capture_output=True, timeout=60)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    ca = ("-x509", "-days", "2", "-subj", "/CN=test authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run("req", *ca, *key, "-keyout", "ca.key", "-out", "ca.pem")
    for name, use in (("server", "serverAuth"), ("client", "clientAuth")):
        run("req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        extensions = folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={use}\n", encoding="utf-8")
        made = ("-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", extensions.name, "-days", "2")
        run("x509", "-req", *made, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")


def test_tls_with_a_client_certificate_and_without_trust_no_connection(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    certificates(keys)
    conf = (
        f"cafile {keys / 'ca.pem'}\ncertfile {keys / 'server.pem'}\nkeyfile {keys / 'server.key'}\n"
        "require_certificate true\nuse_identity_as_username true\nallow_anonymous false"
    )

    async def scene() -> None:
        trusted = replace(settings_of(broker), timeout_s=2.0, tls=True, tls_ca=str(keys / "ca.pem"))
        full = replace(trusted, tls_cert=str(keys / "client.pem"), tls_key=str(keys / "client.key"))
        async with running(Connection(full, [("t", 1)])) as connection:
            await connection.publish("t", b"x" * 50_000, 1)
            assert len((await take(connection, 1))[0].payload) == 50_000
        for settings in (replace(full, tls_ca=""), trusted, replace(full, tls_ca=str(keys / "missing.pem"))):
            refused = Connection(settings)
            task = asyncio.create_task(refused.run())
            await until(lambda r=refused: "not connected" not in r.problem)  # type: ignore[misc]
            await asyncio.sleep(0.2)
            assert not refused.connected
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    with Mosquitto(tmp_path / "broker", conf) as broker:
        play(scene())


def test_tls_with_user_and_password_and_no_certificate_of_our_own(tmp_path: Path) -> None:
    keys, folder = tmp_path / "keys", tmp_path / "broker"
    certificates(keys)
    folder.mkdir()
    conf = (
        f"certfile {keys / 'server.pem'}\nkeyfile {keys / 'server.key'}\n"
        f"allow_anonymous false\npassword_file {passwords(folder, {'ada': 'secret'})}"
    )

    async def scene() -> None:
        trusted = replace(settings_of(broker), tls=True, tls_ca=str(keys / "ca.pem"))
        async with running(Connection(replace(trusted, username="ada", password="secret"), [("t", 1)])) as connection:
            link = connection._link
            assert link is not None
            assert isinstance(link._client.socket(), ssl.SSLSocket)
            await connection.publish("t", b"x", 1)
            assert (await take(connection, 1))[0].payload == b"x"
        for settings in (replace(trusted, username="ada", password="wrong"), trusted):
            refused = Connection(settings)
            task = asyncio.create_task(refused.run())
            await until(lambda r=refused: "Not authorized" in r.problem)  # type: ignore[misc]
            assert not refused.connected
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    with Mosquitto(folder, conf) as broker:
        play(scene())


def test_the_tls_context_verifies_and_never_asks_for_a_password(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    certificates(keys)
    settings = BrokerSettings("x", tls=True, tls_ca=str(keys / "ca.pem"))
    context = tls_context(settings)
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert tls_context(BrokerSettings("x")) is None
    with pytest.raises(OSError, match="No such file"):
        tls_context(replace(settings, tls_ca=str(tmp_path / "none.pem")))
    with pytest.raises(ssl.SSLError):
        tls_context(replace(settings, tls_cert=str(keys / "client.pem"), tls_key=str(keys / "server.key")))
