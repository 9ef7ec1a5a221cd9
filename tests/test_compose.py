"""What runs in containers: parsed strictly, and everything that needs no container engine is started for real."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from adapters.config import ENVIRONMENT
from adapters.metrics import Metrics
from adapters.outlets import listener
from tests.conftest import ROOT, need
from tests.mosquitto import free_port
from tests.running import Service

CONFIG = ROOT / "config"
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"
FULL_VERSION = re.compile(r":v?\d+\.\d+\.\d+(-[a-z0-9-]+)?$")
PASSWORDS = {"vedette": "one", "operator": "two", "outlet": "four", "R1": "three", "R2": "three"}

Duration = Annotated[str, Field(pattern=r"^(\d+(ms|s|m|h))+$")]
Size = Annotated[str, Field(pattern=r"^\d+[kmg]$")]


class Strict(BaseModel):
    """An option that is not listed here is refused: it is misspelt, or somebody has to learn what it does."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Build(Strict):
    context: str
    dockerfile: str


class Logging(Strict):
    driver: Literal["json-file"]
    options: dict[Literal["max-size", "max-file"], str]


class Healthcheck(Strict):
    test: list[str]
    interval: Duration
    timeout: Duration
    retries: int
    start_period: Duration


class DependsOn(Strict):
    condition: Literal["service_started", "service_healthy", "service_completed_successfully"]


class Container(Strict):
    image: str
    build: Build | None = None
    user: str | None = None
    command: list[str]
    environment: dict[str, str] = {}
    depends_on: dict[str, DependsOn] = {}
    ports: list[str] = []
    volumes: list[str] = []
    tmpfs: list[str] = []
    healthcheck: Healthcheck
    restart: Literal["unless-stopped"]
    read_only: Literal[True]
    cap_drop: list[Literal["ALL"]] = Field(min_length=1)
    security_opt: list[Literal["no-new-privileges:true"]] = Field(min_length=1)
    logging: Logging
    stop_grace_period: Duration | None = None
    mem_limit: Size


class Compose(Strict):
    name: str
    services: dict[str, Container]
    volumes: dict[str, dict[str, str]]


def read_compose() -> Compose:
    """docker-compose.yml through the strict models; `x-` keys only carry anchors."""
    raw = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return Compose.model_validate({key: value for key, value in raw.items() if not key.startswith("x-")})


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8")))
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def test_compose_has_only_known_options(not_run: Callable[[str], None]) -> None:
    compose = read_compose()
    assert sorted(compose.services) == ["mosquitto", "prometheus", "vedette"]
    not_run("docker-compose.yml and Dockerfile were parsed, not built or started (no container engine is used)")


def test_compose_mounts_only_what_exists() -> None:
    compose = read_compose()
    named = set()
    for service in compose.services.values():
        for volume in service.volumes:
            source, target, *mode = volume.split(":")
            assert target.startswith("/")
            if source.startswith("."):
                assert (ROOT / source).exists(), f"{volume}: {source} does not exist"
                assert mode == ["ro"], f"{volume}: the project's own files are read only in a container"
            else:
                named.add(source)
    assert named == set(compose.volumes)


def test_compose_pins_images_and_keeps_ports_on_this_machine() -> None:
    for name, service in read_compose().services.items():
        assert FULL_VERSION.search(service.image), f"{name}: {service.image} has no full version"
        for port in service.ports:
            assert port.startswith("127.0.0.1:"), f"{name}: {port} is open to the network"
        if service.build is None:
            assert service.user and not service.user.startswith("0"), f"{name} would run as root"


def test_compose_waits_only_for_services_that_exist() -> None:
    compose = read_compose()
    for service in compose.services.values():
        assert set(service.depends_on) <= set(compose.services)


def test_compose_sets_only_variables_that_the_service_reads() -> None:
    given = set(read_compose().services["vedette"].environment)
    assert given <= set(ENVIRONMENT), f"the service does not read {sorted(given - set(ENVIRONMENT))}"
    in_image = {word.split("=")[0] for kind, text in instructions() if kind == "ENV" for word in text.split()}
    assert {name for name in in_image if name.startswith("VEDETTE_")} <= set(ENVIRONMENT)


def test_compose_gives_the_broker_the_variables_its_start_script_reads() -> None:
    script = (CONFIG / "mosquitto-start.sh").read_text(encoding="utf-8")
    read = set(re.findall(r"\$\{?(VEDETTE_\w+)", script))
    assert read == set(read_compose().services["mosquitto"].environment)


def test_compose_and_prometheus_agree_on_address() -> None:
    scrape = yaml.safe_load((CONFIG / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    targets = [target for job in scrape for group in job["static_configs"] for target in group["targets"]]
    assert targets == ["vedette:9464"]
    assert "127.0.0.1:9464:9464" in read_compose().services["vedette"].ports


def test_dockerfile_is_pinned_and_ends_without_root() -> None:
    known = {"FROM", "ENV", "WORKDIR", "RUN", "COPY", "LABEL", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK"}
    lines = instructions()
    assert {kind for kind, _ in lines} <= known | {"ENTRYPOINT", "CMD"}
    for kind, text in lines:
        if kind == "FROM":
            assert FULL_VERSION.search(text.split()[0]), f"FROM {text} has no full version"
    users = [text for kind, text in lines if kind == "USER"]
    assert users and not users[-1].startswith(("0", "root"))
    assert lines.index(("USER", users[-1])) < next(i for i, (kind, _) in enumerate(lines) if kind == "ENTRYPOINT")


def test_dockerfile_copies_only_what_exists_and_reaches_the_builder() -> None:
    allowed = [
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    ]
    copied = [
        source
        for kind, text in instructions()
        if kind == "COPY" and not text.startswith("--from")
        for source in text.split()[:-1]
    ]
    assert sorted(copied) == sorted(allowed)
    for source in copied:
        assert (ROOT / source).exists(), f"COPY {source}: no such file"


@dataclass(frozen=True, slots=True)
class Broker:
    """A real Mosquitto with our configuration, accounts and access list."""

    port: int

    def _login(self, user: str) -> list[str]:
        login = ["-u", user, "-P", PASSWORDS[user]] if user else []
        return ["-V", "mqttv5", "-h", "127.0.0.1", "-p", str(self.port), *login]

    def publish(self, user: str, topic: str, text: str = "x", retain: bool = False) -> bool:
        """True when the broker took it (QoS 1, positive acknowledgement)."""
        line = [need("mosquitto_pub"), *self._login(user), "-q", "1", "-t", topic, "-m", text, *(["-r"] * retain)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=10, check=False)
        return done.returncode == 0 and "failed" not in done.stderr.lower()

    def hears(self, user: str, topic: str) -> bool:
        """True when the account receives the retained message of a topic."""
        line = [need("mosquitto_sub"), *self._login(user), "-t", topic, "-C", "1", "-W", "1"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=10, check=False)
        return done.returncode == 0 and done.stdout.strip() == "kept"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Mosquitto as docker-compose.yml starts it; only paths and port are this test's own."""
    folder = tmp_path_factory.mktemp("mosquitto")
    port = free_port()
    text = (CONFIG / "mosquitto.conf").read_text(encoding="utf-8")
    moved = {
        "listener 1883": f"listener {port} 127.0.0.1",
        "/run/mosquitto/passwd": f"{folder}/passwd",
        "/mosquitto/config/mosquitto.acl": f"{folder}/mosquitto.acl",
        "/mosquitto/data/": f"{folder}/",
    }
    for old, new in moved.items():
        assert text.count(old) == 1, f"{old} must stand in mosquitto.conf once"
        text = text.replace(old, new)
    if os.geteuid() == 0:
        text += "\nuser root\n"  # else Mosquitto gives root up and cannot read this folder
    (folder / "mosquitto.conf").write_text(text, encoding="utf-8")
    shutil.copy(CONFIG / "mosquitto.acl", folder / "mosquitto.acl")
    need("mosquitto")
    environment = {
        **os.environ,
        "MOSQUITTO_CONF": f"{folder}/mosquitto.conf",
        "MOSQUITTO_ACCOUNTS": f"{folder}/passwd",
        "VEDETTE_BROKER_PASSWORD": PASSWORDS["vedette"],
        "VEDETTE_OPERATOR_PASSWORD": PASSWORDS["operator"],
        "VEDETTE_OUTLET_PASSWORD": PASSWORDS["outlet"],
        "VEDETTE_SENSOR_PASSWORD": PASSWORDS["R1"],
        "VEDETTE_SENSORS": "R1 R2",
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([CONFIG / "mosquitto-start.sh"], env=environment, stderr=log, stdout=log)
        try:
            _wait_for(port, process, folder / "log")
            yield Broker(port)
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        assert process.poll() is None, f"Mosquitto ended: {log.read_text()}"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"Mosquitto does not answer: {log.read_text()}"
            time.sleep(0.05)


def test_broker_refuses_strangers(broker: Broker) -> None:
    assert not broker.publish("", "vedette/v1/home/in/R1/plots")


def test_a_sensor_speaks_for_itself_only(broker: Broker) -> None:
    assert broker.publish("R1", "vedette/v1/home/in/R1/plots")
    assert broker.publish("R1", "vedette/v1/home/in/R1/status")
    assert not broker.publish("R1", "vedette/v1/home/in/R2/plots")
    assert not broker.publish("R1", "vedette/v1/home/in/clock")
    assert not broker.publish("R1", "vedette/v1/home/track/0:1")
    assert not broker.publish("R1", "vedette/v1/home/cmd/close")


def test_a_sensor_hears_its_own_watermark_only(broker: Broker) -> None:
    assert broker.publish("vedette", "vedette/v1/home/in/R1/watermark", "kept", retain=True)
    assert broker.publish("vedette", "vedette/v1/home/track/0:1", "kept", retain=True)
    assert broker.hears("R1", "vedette/v1/home/in/R1/watermark")
    assert not broker.hears("R2", "vedette/v1/home/in/R1/watermark")
    assert not broker.hears("R1", "vedette/v1/home/track/0:1")


def test_the_service_publishes_every_output_and_no_input(broker: Broker) -> None:
    for topic in ("track/0:1", "picture/0", "picture-delta", "alert/ab", "alert-log", "sensor/R1/health", "status"):
        assert broker.publish("vedette", f"vedette/v1/home/{topic}"), topic
    assert not broker.publish("vedette", "vedette/v1/home/in/R1/plots")
    assert not broker.publish("vedette", "vedette/v1/home/cmd/close")


def test_a_neighbour_hears_what_is_meant_for_it_and_nothing_else(broker: Broker) -> None:
    for topic in ("partner/R1/alert/ab", "partner/R1/track/0:1", "partner/R2/track/0:1"):
        assert broker.publish("vedette", f"vedette/v1/home/{topic}", "kept", retain=True)
    assert broker.hears("R1", "vedette/v1/home/partner/R1/alert/ab")
    assert broker.hears("R1", "vedette/v1/home/partner/R1/track/+")
    assert not broker.hears("R1", "vedette/v1/home/partner/R2/track/0:1")
    assert not broker.publish("R1", "vedette/v1/home/partner/R1/track/0:1")
    assert broker.publish("R1", "vedette/v1/home/partner/R1/cmd/take")
    assert not broker.publish("R1", "vedette/v1/home/partner/R2/cmd/take")
    assert not broker.publish("R1", "vedette/v1/home/partner/R1/cmd/close")


def test_an_operator_sees_all_and_commands_only(broker: Broker) -> None:
    assert broker.publish("vedette", "vedette/v1/home/alert/cd", "kept", retain=True)
    assert broker.hears("operator", "vedette/v1/home/alert/cd")
    assert broker.publish("operator", "vedette/v1/home/cmd/acknowledge")
    assert not broker.publish("operator", "vedette/v1/home/alert/cd")
    assert broker.publish("operator", "vedette/v1/home/in/G1/sighting")
    assert not broker.publish("operator", "vedette/v1/home/in/R1/plots")


def test_an_outlet_hears_the_picture_that_it_passes_on_and_says_nothing(broker: Broker) -> None:
    """As wide as its own subscriptions, and no wider: no raw input, no commands, no words for neighbours."""
    for topic in (
        "track/0:2",
        "alert/ee",
        "sensor/R1/health",
        "status",
        "partner/R1/alert/ee",
        "incident/1",
        "answer/a",
    ):
        assert broker.publish("vedette", f"vedette/v1/home/{topic}", "kept", retain=True), topic
    for topic, _ in listener._TOPICS:
        if topic != "picture-delta":  # never retained
            assert broker.hears("outlet", f"vedette/v1/home/{topic}"), topic
    for topic in ("partner/R1/alert/ee", "incident/1", "answer/a", "in/R1/watermark"):
        assert not broker.hears("outlet", f"vedette/v1/home/{topic}"), topic
    for topic in ("track/0:2", "alert/ee", "status", "in/R1/plots", "in/outlet/plots", "cmd/acknowledge", "cmd/mode"):
        heard = topic == "in/outlet/plots"  # the pattern of sensors: an account speaks for a sensor of its name, if any
        assert broker.publish("outlet", f"vedette/v1/home/{topic}") == heard, topic


def test_the_service_works_with_this_broker_and_the_environment_of_compose(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped configuration as docker-compose.yml starts it: nothing that it needs is denied."""
    http_port = free_port()
    own = {
        "VEDETTE_BROKER_HOST": "127.0.0.1",
        "VEDETTE_BROKER_PORT": str(broker.port),
        "VEDETTE_BROKER_PASSWORD": PASSWORDS["vedette"],
        "VEDETTE_HTTP_HOST": "127.0.0.1",
        "VEDETTE_HTTP_PORT": str(http_port),
        "VEDETTE_DATA_DIR": str(tmp_path / "data"),
    }
    for name, value in {**read_compose().services["vedette"].environment, **own}.items():
        monkeypatch.setenv(name, value)
    service = Service(CONFIG, http_port)
    service.log = tmp_path / "run.log"
    with service:
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        plot = {"time": moment, "range_m": 50_000.0, "azimuth_deg": 90.0, "elevation_deg": 2.0}
        head = {"schema": "vedette.plots.v1", "sensor": "R1", "boot": 1, "seq": 1, "kind": "polar"}
        assert broker.publish("R1", "vedette/v1/demo/in/R1/plots", json.dumps({**head, "plots": [plot]}))
        deadline = time.monotonic() + 30
        while service.metric("vedette_items_used_total") < 1:
            assert time.monotonic() < deadline, service.log.read_text()
            time.sleep(0.1)
        assert sum(service.metrics("vedette_publish_denied_total").values()) == 0, service.log.read_text()
        assert service.metric("vedette_items_unaccounted") == 0
        assert service.stop() == 0
    assert "refused" not in service.log.read_text()


def test_broker_keeps_the_numbers_that_were_measured() -> None:
    lines = dict(
        line.split(None, 1)
        for line in (CONFIG / "mosquitto.conf").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    wanted = {
        "allow_anonymous": "false",
        "set_tcp_nodelay": "true",
        "max_inflight_messages": "1000",
        "max_queued_messages": "100000",
        "max_packet_size": "65536",
    }
    assert {name: lines.get(name) for name in wanted} == wanted
    assert "autosave_on_changes" not in lines


def promtool(*words: str) -> None:
    """Run promtool; its output is the failure."""
    done = subprocess.run([need("promtool"), *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_its_configuration() -> None:
    promtool("check", "config", "config/prometheus.yml")


def test_alert_rules_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", "tests/data/prometheus-rules-test.yml")


def test_alert_rules_name_only_metrics_that_exist() -> None:
    rules = yaml.safe_load((CONFIG / "prometheus-rules.yml").read_text(encoding="utf-8"))
    used = {
        name
        for group in rules["groups"]
        for rule in group["rules"]
        for name in re.findall(r"\bvedette_\w+", rule["expr"])
    }
    assert used
    text = Metrics().render().decode()
    known = {name + end for name in re.findall(r"(?m)^# TYPE (\w+) ", text) for end in ("", "_bucket")}
    assert used <= known, f"no such metric: {sorted(used - known)}"
