"""A broker, a service behind a relay, sensors and a witness: flies schedules one by one, then closes the books."""

from __future__ import annotations

import json
import os
import random
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from adapters.formats import alert, command, watermark
from adapters.store import AlertJournal
from fusion.schema import US_PER_S, Command
from tests.chaos import accountant, sky
from tests.chaos.faults import Fault
from tests.chaos.sensors import Sensors
from tests.mosquitto import Mosquitto
from tests.relay import Relay
from tests.running import BASE, Service, ports
from tests.shipped import ROOT

PATIENCE_S = 90.0
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class Witness:
    """A third party that keeps what it hears of alerts and watermarks, and comes back after the broker."""

    def __init__(self, port: int) -> None:
        self.log: list[bytes] = []
        self.alerts: dict[str, list[bytes]] = {}
        self.marks: dict[str, int] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="witness", protocol=paho.MQTTv5)
        self._client.on_message = self._on_message
        self._client.on_connect = self._on_connect
        self._client.reconnect_delay_set(1, 1)
        lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        lasting.SessionExpiryInterval = 600
        self._client.connect("127.0.0.1", port, keepalive=5, clean_start=False, properties=lasting)
        self._client.loop_start()

    def _on_connect(self, *_: object) -> None:
        self._client.subscribe([(BASE + topic, 1) for topic in TOPICS])

    def _on_message(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        topic, payload = message.topic.removeprefix(BASE), bytes(message.payload)
        if topic == "alert-log":
            self.log.append(payload)
        elif topic.startswith("alert/"):
            self.alerts.setdefault(topic.removeprefix("alert/"), []).append(payload)
        elif payload:
            sensor, runs = watermark.decode(payload)
            self.marks[sensor] = max(runs).last

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


TOPICS = ("alert-log", "alert/+", "in/+/watermark")


class Stand:
    """Use as a context manager; then `fly` schedules, then `close_books`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []  # what was done, with the time
        self._orders = 0
        self._stack = ExitStack()
        self._number = 0
        self._pid = self._exit = -1
        self._lives = 1

    def __enter__(self) -> Self:
        with self._stack as stack:
            self.broker = stack.enter_context(Mosquitto(self.folder / "broker"))
            self.relay = stack.enter_context(Relay(self.broker.port))
            http_port, _ = ports()
            self.config = sky.write(self.folder / "config", self.relay.port, http_port)
            self.service = Service(self.config, http_port)  # for its questions only: the spawner starts it
            self._spawner = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.spawner", str(self.config)],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            stack.callback(self._end_spawner)
            self.start()
            self.witness = Witness(self.broker.port)
            stack.callback(lambda: self.witness.close())
            self.sensors = stack.enter_context(Sensors(self.broker.port))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # --- the service ---

    def start(self) -> None:
        """Start the service and wait until it is ready."""
        self._pid = int(self._ask("start"))
        self._exit = os.pidfd_open(self._pid)
        self.wait_for(lambda: self.service.get("/readyz")[0] == 200, "ready")

    def _ask(self, word: str) -> str:
        assert self._spawner.stdin is not None and self._spawner.stdout is not None
        self._spawner.stdin.write(word + "\n")
        self._spawner.stdin.flush()
        return self._spawner.stdout.readline()

    def _end_spawner(self) -> None:
        with suppress(OSError):
            os.kill(self._pid, signal.SIGCONT)
        self._spawner.communicate(timeout=30)

    def died(self) -> bool:
        """True when the service is no more."""
        return bool(select.select([self._exit], [], [], 0.0)[0])

    def revive(self) -> None:
        """As systemd does: start it again when it has ended."""
        if self.died():
            os.close(self._exit)
            self.told.append(f"ended with {self._ask('wait').strip()}, started again")
            self._pid = int(self._ask("start"))
            self._exit = os.pidfd_open(self._pid)
            self._lives += 1

    def hook(self, **values: Any) -> None:
        """Tell the service's hooks; one that has just died does not hear it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out, suppress(OSError):
            out.sendto(json.dumps(values).encode(), str(self.config / "hooks.sock"))

    def wait_for(self, what: Callable[[], bool], words: str) -> None:
        """Wait until it is so, reviving the service meanwhile."""
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            self.revive()
            assert self.sensors_well(), "the sensors ended"
            assert time.monotonic() < deadline, f"not within {PATIENCE_S:.0f} s: {words}\n" + self.tale()
            time.sleep(0.05)

    def sensors_well(self) -> bool:
        """False when the thread of the sensors has ended by itself."""
        return not hasattr(self, "sensors") or self.sensors.problem is None

    def tale(self) -> str:
        """What happened, for a test that failed."""
        log = (self.config / "run.log").read_text(encoding="utf-8").splitlines()[-15:]
        return "\n".join([*self.told[-12:], f"unfused {len(self.sensors.unfused)}", *log])

    # --- a schedule ---

    def fly(self, name: str, faults: list[Fault]) -> None:
        """Two objects appear, faults strike; on until the alert of the low one was heard and all is fused."""
        now_us = time.time_ns() // 1000
        pair = [sky.Flight(self._number + n, low=not n, from_us=now_us) for n in range(2)]
        self._number += 2
        before = {*self.witness.alerts}
        self.sensors.flights += pair
        self.told.append(f"{name}: {faults}")
        struck = [threading.Thread(target=self._strike, args=(fault,)) for fault in faults]
        for thread in struck:
            thread.start()
        self.wait_for(lambda: not any(thread.is_alive() for thread in struck), "the faults are over")
        self.hook(die="")
        self.wait_for(lambda: bool(self._alert_heard(pair[0], before)), f"an alert of flight {pair[0].number}")
        self._fused()
        end_us = time.time_ns() // 1000
        ended = [sky.Flight(flight.number, flight.low, flight.from_us, end_us) for flight in pair]
        self.sensors.flights[-2:] = ended
        if pair[0].number % 4 == 0:
            self._close(self._alert_heard(pair[0], before))

    def _fused(self) -> None:
        due = self.sensors.last
        self.wait_for(lambda: all(self.witness.marks.get(s, -1) >= due[s] for s in due), f"watermarks {due}")

    def _close(self, name: str) -> None:
        """A person closes the alert; it goes off the broker."""
        order = command.encode(Command(0, "close", name, "watch", "seen enough"))
        out = paho.Client(CallbackAPIVersion.VERSION2, client_id="person", protocol=paho.MQTTv5)
        out.connect("127.0.0.1", self.broker.port)
        out.loop_start()
        out.publish(BASE + "cmd/close", order, 1).wait_for_publish(10.0)
        self._orders += 1
        self.wait_for(lambda: self.witness.alerts[name][-1] == b"", f"alert {name} is closed")
        self._fused()  # by then the order is acknowledged too: it has no number, and would count twice
        out.disconnect()
        out.loop_stop()

    def _alert_heard(self, flight: sky.Flight, before: set[str]) -> str:
        for name in [*self.witness.alerts]:
            told = next(filter(None, self.witness.alerts[name]), b"")
            if name not in before and told and accountant.flight_of(alert.decode(told), [flight]):
                return name
        return ""

    def _strike(self, fault: Fault) -> None:
        time.sleep(fault.after_s)
        kind, _, where = fault.kind.partition(" when ")
        if where:
            lives = self._lives  # the death itself is seen by who revives it: the pidfd is one thread's alone
            self.hook(die=where)  # and it goes on until it came there
            deadline = time.monotonic() + 10.0
            while self._lives == lives and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(fault.lasts_s)
            return
        begin, end = STRIKES[kind]
        begin(self, fault)
        time.sleep(fault.lasts_s)
        end(self, fault)

    # --- the end ---

    def close_books(self) -> list[str]:
        """End all flights, wait until nothing is open, and count."""
        self.sensors.be_quiet()
        self.wait_for(lambda: not len(self.sensors.unfused), "all is fused")
        self.wait_for(lambda: self.witness.marks == self.sensors.last, "watermarks of all")
        self.wait_for(lambda: self.service.get("/readyz")[0] == 200, "ready")
        self.sensors.__exit__(None, None, None)
        last = self.sensors.last
        log, alerts, kept = [*self.witness.log], dict(self.witness.alerts), self._kept()
        entries = list(AlertJournal(self.config / "var" / "alerts.jsonl").entries())  # later than what was heard
        items, deadline = self.sensors.items + self._orders, time.monotonic() + 10.0
        while True:  # numbers are shown a moment after the watermark has left
            metrics = self.service.metrics("vedette_items")
            counters = {
                "used": metrics["vedette_items_used_total"],
                "late": metrics["vedette_items_late_total"],
                "future": metrics.get('vedette_items_rejected_total{reason="future"}', 0.0),
            }
            if sum(counters.values()) >= items or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        counters["unaccounted"] = metrics["vedette_items_unaccounted"]
        self.told.append(f"counted: { {name: count for name, count in metrics.items() if count} }")
        # Counters begin anew with a cold start, which is right after a disk or a clock that nobody can go on from.
        cold = int((self.config / "var" / "epoch").read_text(encoding="utf-8")) > 1
        expected = sky.undisturbed(sky.loaded(self.config), self.sensors.sent)
        books = accountant.Books(
            self.sensors.flights, expected, entries, log, alerts, kept, counters,
            items, self.sensors.wrong, last, dict(self.witness.marks), cold,
        )  # fmt: skip
        return accountant.faults(books)

    def _kept(self) -> dict[str, bytes]:
        """Retained alerts as a newcomer gets them."""
        kept: dict[str, bytes] = {}
        ready = threading.Event()
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="newcomer", protocol=paho.MQTTv5)

        def on_message(_client: object, _userdata: object, message: paho.MQTTMessage) -> None:
            if message.topic == "end":
                ready.set()
            else:
                kept[message.topic.rsplit("/", 1)[1]] = bytes(message.payload)

        client.on_message = on_message
        client.connect("127.0.0.1", self.broker.port)
        client.loop_start()
        client.subscribe([(BASE + "alert/+", 1), ("end", 1)])
        client.publish("end", b"", 1)
        assert ready.wait(30.0)
        client.disconnect()
        client.loop_stop()
        return kept


def _limit(stand: Stand, size: float) -> None:
    with suppress(ProcessLookupError):
        resource.prlimit(stand._pid, resource.RLIMIT_FSIZE, (int(size), -1) if size >= 0 else UNLIMITED)


def _stranger(stand: Stand, fault: Fault, payloads: list[tuple[str, bytes, bool]], name: str = "stranger") -> None:
    """Somebody else connects, says something, stays for a while under a name that may be ours."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", stand.broker.port, clean_start=False)
    client.loop_start()
    for topic, payload, retain in payloads:
        client.publish(BASE + topic, payload, 1, retain)
    time.sleep(fault.lasts_s)
    client.disconnect()
    client.loop_stop()


def _poison(fault: Fault, retain: bool) -> list[tuple[str, bytes, bool]]:
    from tests.test_formats_hostile import DECODERS, mutated

    luck = random.Random(fault.after_s)
    found = []
    for name, what in (("plots", "plots"), ("met", "met"), ("status", "status"), ("command", "plots")):
        body = mutated(DECODERS[name][1], luck).replace(b'"R1"', b'"?"')
        found += [(f"in/{sensor}/{what}", body, retain) for sensor in (*sky.SENSORS, "nobody")]
    return found


def _signal(number: signal.Signals) -> Callable[[Stand, Fault], None]:
    def strike(stand: Stand, _fault: Fault) -> None:
        with suppress(ProcessLookupError):
            os.kill(stand._pid, number)

    return strike


def _emptied(stand: Stand, _fault: Fault) -> None:
    stand.broker.kill()
    (stand.broker.folder / "mosquitto.db").unlink(missing_ok=True)


def _set_sensor(stand: Stand, seconds: float) -> None:
    stand.sensors.clock_us = round(seconds * US_PER_S)


def _nothing(_stand: Stand, _fault: Fault) -> None:
    return


def _started(stand: Stand, _fault: Fault) -> None:
    stand.broker.start()


def _reopened(stand: Stand, _fault: Fault) -> None:
    stand.relay.cut()
    stand.relay.open()


def _opened(stand: Stand, _fault: Fault) -> None:
    stand.relay.open()


STRIKES: dict[str, tuple[Callable[[Stand, Fault], None], Callable[[Stand, Fault], None]]] = {
    "broker killed": (lambda s, _: s.broker.kill(), _started),
    "broker killed and emptied": (_emptied, _started),
    "broker stopped": (lambda s, _: s.broker.pause(), lambda s, _: s.broker.resume()),
    "refused": (lambda s, _: s.relay.refuse(), _opened),
    "reset": (lambda s, _: s.relay.cut(), _opened),
    "black hole": (lambda s, _: s.relay.hold(), _opened),
    "slow line": (lambda s, _: s.relay.slow(0.05, 40_000.0), _opened),
    "name taken": (lambda s, f: _stranger(s, f, [], "vedette-in"), _nothing),
    "rubbish retained": (lambda s, f: _stranger(s, f, _poison(f, True)), _reopened),
    "poison": (lambda s, f: _stranger(s, f, _poison(f, False)), _nothing),
    "killed": (_signal(signal.SIGKILL), _nothing),
    "stopped": (_signal(signal.SIGSTOP), _signal(signal.SIGCONT)),
    "slow disk": (lambda s, _: s.hook(sync_s=0.7), lambda s, _: s.hook(sync_s=0.0)),
    "full disk": (lambda s, _: _limit(s, 1.0), lambda s, _: _limit(s, -1.0)),
    "clock forward": (lambda s, _: s.hook(clock_s=3.0), lambda s, _: s.hook(clock_s=2.0)),
    "clock back": (lambda s, _: s.hook(clock_s=-1.5), lambda s, _: s.hook(clock_s=0.0)),
    "sensor clock": (lambda s, _: _set_sensor(s, 600.0), lambda s, _: _set_sensor(s, 0.0)),
}
