"""The running service against a real Mosquitto: bad input, commands, topics, restart, last will."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from adapters.commands import simulate
from adapters.formats import alert as alert_format
from adapters.formats import command, met, plots, sensorstatus
from adapters.store import verify
from adapters.wire import Names, parse_time
from fusion.schema import Command, Met, PlotKind, SensorStatus
from fusion.schema import plots as make_plots
from replay.simulate import Scenario
from tests import shipped
from tests.running import BASE, Ear, Mosquitto, Service, ports, vedette, write_config

pytestmark = pytest.mark.alone


@dataclass
class Stand:
    """A broker, a service on it, and an ear on everything."""

    broker: Mosquitto
    service: Service
    ear: Ear
    config: Path


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("service")
    http_port, _ = ports()
    scenario = Scenario.load("lithuania-2025-07-28")
    with Mosquitto(folder / "broker") as broker:
        formats = simulate.formats(scenario)
        neighbours = '[publish]\npartners = ["LV", "PL"]'
        config = write_config(folder / "config", broker.port, scenario.sensors, formats, http_port, neighbours)
        with Service(config, http_port) as service, Ear(broker.port, "#") as ear:
            yield Stand(broker, service, ear, config)


def now_us() -> int:
    return time.time_ns() // 1000


def radar_message(seq: int, boot: int = 1, **more: float) -> bytes:
    """One plot far from the border, never twice at the same place: no track comes of it."""
    t_us = now_us()
    values = {"range_m": [20_000.0 + 9_000.0 * (seq % 7)], "azimuth_rad": [4.9]}
    batch = make_plots("R1", PlotKind.POLAR, t_us, np.array([t_us]), boot=boot, seq=seq, **values)
    message = json.loads(plots.encode(batch))
    message["plots"][0].update(more)
    return json.dumps(message).encode()


def rejected(stand: Stand) -> dict[str, float]:
    found = stand.service.metrics("vedette_items_rejected_total")
    return {name.split('"')[1]: value for name, value in found.items()}


def used_at_rest(stand: Stand) -> float:
    """The items used so far, once what the tests before sent is among them: the number stood for two seconds."""
    count, since = -1.0, time.monotonic()
    deadline = since + 30
    while time.monotonic() - since < 2:
        assert time.monotonic() < deadline, "the number of items used does not come to rest"
        now = stand.service.metric("vedette_items_used_total")
        if now != count:
            count, since = now, time.monotonic()
        time.sleep(0.1)
    return count


BAD: tuple[tuple[str, str, bytes], ...] = (
    ("malformed", "in/R1/plots", b'{"schema": "vedette.plots.v1", '),
    ("malformed", "in/R1/plots", b"[1, 2, 3]"),
    (
        "not-finite",
        "in/R1/plots",
        b'{"schema": "vedette.plots.v1", "sensor": "R1", "kind": "polar", "plots": [{"range_m": NaN}]}',
    ),
    ("not-utf8", "in/R1/plots", b'{"schema": "\xff\xfe"}'),
    ("oversized", "in/R1/plots", b'{"schema": "' + b"x" * 70_000 + b'"}'),
    ("wrong-schema", "in/R1/plots", b'{"schema": "vedette.plots.v9", "sensor": "R1", "kind": "polar", "plots": []}'),
    (
        "unknown-sensor",
        "in/R77/plots",
        b'{"schema": "vedette.plots.v1", "sensor": "R77", "kind": "polar", "plots": []}',
    ),
    ("unknown-topic", "in/R1/registration", b"{}"),
    ("unknown-command", "cmd/fire", b"{}"),
    ("wrong-schema", "cmd/close", b"{}"),
    ("wrong-schema", "in/R1/met", b"{}"),
    ("unknown-command", "partner/LV/cmd/close", b"{}"),
)


def test_bad_input_of_every_kind_is_counted_quarantined_acknowledged_and_changes_nothing(stand: Stand) -> None:
    used = used_at_rest(stand)
    before = rejected(stand)
    for _reason, topic, payload in BAD:
        stand.ear.publish(topic, payload)
    far = json.loads(radar_message(0))
    far["plots"][0]["range_m"] = -5.0
    del far["boot"], far["seq"]
    stand.ear.publish("in/R1/plots", json.dumps(far).encode())
    ahead = json.loads(radar_message(0))
    ahead["plots"][0]["time"] = "2099-01-01T00:00:00Z"
    del ahead["boot"], ahead["seq"]
    stand.ear.publish("in/R1/plots", json.dumps(ahead).encode())
    expected = dict(before)
    for reason in [reason for reason, _, _ in BAD] + ["out-of-range", "future"]:
        expected[reason] = expected.get(reason, 0.0) + 1
    deadline = time.monotonic() + 20
    while rejected(stand) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    assert rejected(stand) == expected
    assert used_at_rest(stand) == used
    assert stand.service.metric("vedette_items_unaccounted") == 0
    samples = (stand.config / "var" / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()
    reasons = {json.loads(line)["reason"] for line in samples}
    assert {*(reason for reason, _, _ in BAD), "out-of-range", "future"} <= reasons
    assert stand.service.get("/readyz")[0] == 200


def test_a_repeated_message_is_a_duplicate_and_the_watermark_says_so(stand: Stand) -> None:
    messages = {seq: radar_message(seq, boot=77) for seq in (0, 1, 3)}  # one that is measured anew is no repetition
    for seq in (0, 1, 1, 3):
        stand.ear.publish("in/R1/plots", messages[seq])
    told = {"boot": 77, "seq": 1, "also": [[77, 3, 3]]}
    stand.ear.wait_for(lambda ear: any(told.items() <= m.items() for m in ear.of("in/R1/watermark")))
    deadline = time.monotonic() + 20  # the numbers follow a moment after what was sent
    while stand.service.metric("vedette_items_duplicate_total") < 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert stand.service.metric("vedette_items_duplicate_total") >= 1
    stand.ear.publish("in/R1/plots", radar_message(2, boot=77))
    stand.ear.wait_for(lambda ear: any(m["boot"] == 77 and m["seq"] == 3 for m in ear.of("in/R1/watermark")))


def test_a_numbered_message_that_is_refused_as_a_whole_is_not_asked_for_again(stand: Stand) -> None:
    stand.ear.publish("in/R1/plots", radar_message(0, boot=80))
    wrong = json.loads(radar_message(1, boot=80))
    wrong["kind"] = "position"
    before = rejected(stand)["wrong-sensor-kind"]
    stand.ear.publish("in/R1/plots", json.dumps(wrong).encode())
    stand.ear.publish("in/R1/plots", json.dumps(wrong).encode())  # again: a duplicate, not a second refusal
    stand.ear.publish("in/R1/plots", radar_message(2, boot=80))
    stand.ear.wait_for(lambda ear: any(m["boot"] == 80 and m["seq"] == 2 for m in ear.of("in/R1/watermark")))
    used_at_rest(stand)  # the numbers follow a moment after what was sent
    assert rejected(stand)["wrong-sensor-kind"] == before + 1


def test_status_and_weather_of_a_sensor_are_taken(stand: Stand) -> None:
    t_us = now_us()
    stand.ear.publish("in/R2/status", sensorstatus.encode(SensorStatus("R2", t_us, t_us, "degraded", "ice")))
    stand.ear.publish("in/R2/met", met.encode(Met("R2", t_us, t_us, 1003.5)))
    stand.ear.wait_for(lambda ear: any(h["state"] == "degraded" for h in ear.of("sensor/R2/health")))


def test_a_replayed_message_is_refused_by_a_live_service(stand: Stand) -> None:
    used = used_at_rest(stand)
    before = rejected(stand)["bad-time"]
    stand.ear.publish("in/R1/plots", radar_message(9, boot=78), user=[("rx_us", str(now_us())), ("seq", "1")])
    stand.ear.publish("in/clock", b'{"schema": "vedette.clock.v1", "time": "2026-11-23T06:00:00Z"}')
    deadline = time.monotonic() + 20
    while rejected(stand)["bad-time"] < before + 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert rejected(stand)["bad-time"] == before + 2
    assert used_at_rest(stand) == used


def test_the_whole_path_live(stand: Stand) -> None:
    """The drone of the shipped scenario, as live sensors send it: track, alert, command, answer, restart."""
    address = f"127.0.0.1:{stand.broker.port}"
    options = ("--publish", "--broker", address, "--site", "test", "--seconds", "90")
    sender = vedette("simulate", "lithuania-2025-07-28", *options)
    try:
        stand.ear.wait_for(lambda ear: any(a["state"] == "raised" for a in ear.of("alert-log")))
        raised = next(a for a in stand.ear.of("alert-log") if a["state"] == "raised")
        assert raised["rule"] == "low-slow-near", raised["sentence"]
        assert "Lithuania" in raised["sentence"]
        _topics(stand, raised)
        _acknowledge(stand, raised["id"])
        _hand_over(stand, raised["track"])
        _latency(stand)
        _kill_and_go_on(stand, raised)
        again = _kill_and_start_cold(stand, raised["id"])
        _kill_the_broker(stand, again)
    finally:
        sender.terminate()
        sender.wait(30)


def _topics(stand: Stand, raised: dict[str, str]) -> None:
    stand.ear.wait_for(lambda ear: any(t["id"] == raised["track"] for t in ear.of("track/")), 20)
    stand.ear.wait_for(lambda ear: bool(ear.of(f"alert/{raised['id']}")), 10)
    stand.ear.wait_for(lambda ear: any(p["full"] for p in ear.of("picture/0")), 10)
    with Ear(stand.broker.port, "alert/#", "status", "sensor/+/health", "picture/+") as late:
        late.wait_for(lambda ear: len({topic for topic, _, _ in ear.heard}) >= 6, 10)
        held = {topic for topic, payload, retained in late.heard if retained and payload}
    assert {f"alert/{raised['id']}", "status", "sensor/A1/health", "sensor/R1/health", "picture/0"} <= held
    for topic, payload, _ in stand.ear.heard:
        if payload and not topic.startswith(("in/", "cmd/")) and "/cmd/" not in topic:
            text = payload.decode("utf-8")
            assert text.startswith('{"schema":"vedette.'), (topic, text[:80])
            assert "NaN" not in text
            assert len(payload) <= 48 * 1024


def _acknowledge(stand: Stand, alert_id: str) -> None:
    asked = Command(now_us(), "acknowledge", alert_id, "J. Petraitis")
    stand.ear.publish("cmd/acknowledge", command.encode(asked), BASE + "answer/test", b"42")
    stand.ear.wait_for(lambda ear: bool(ear.of("answer/test")), 10)
    assert stand.ear.of("answer/test")[-1]["ok"] is True
    stand.ear.wait_for(lambda ear: any(a["state"] == "acknowledged" for a in ear.of("alert-log")), 10)


def _hand_over(stand: Stand, track: str) -> None:
    """To a neighbour, who sees the incident, is the only one who can take it, and is told so where it asked."""
    incident_id = next(i["id"] for i in stand.ear.of("incident/") if track in [m["track"] for m in i["members"]])
    asked = Command(now_us(), "hand-over", "", "J. Petraitis", "flies to Latvia", incident_id=incident_id, to="LV")
    stand.ear.publish("cmd/hand-over", command.encode(asked))
    seen = f"partner/LV/incident/{incident_id}"
    stand.ear.wait_for(lambda ear: any(i["state"] == "handed-over" for i in ear.of(seen)), 10)
    taken = command.encode(replace(asked, verb="take", operator="Kpt. Berzins", to="PL", reason=""))
    for name in ("PL", "LV"):
        stand.ear.publish(f"partner/{name}/cmd/take", taken, f"{BASE}answer/{name}/1", b"43")
    stand.ear.wait_for(lambda ear: bool(ear.of("answer/PL/1") and ear.of("answer/LV/1")), 10)
    (refused,), (done,) = (stand.ear.of(f"answer/{name}/1") for name in ("PL", "LV"))
    assert (refused["ok"], refused["detail"]) == (False, "handed over to LV, not to PL")
    assert done["ok"] is True
    stand.ear.wait_for(lambda ear: any(i.get("taken_by") == "LV: Kpt. Berzins" for i in ear.of(seen)), 10)


def _latency(stand: Stand) -> None:
    """Pictures come ten times a second."""
    deltas = stand.ear.of("picture-delta")
    times_us = sorted({parse_time(delta["time"]) for delta in deltas})
    gaps_s = np.diff(times_us) / 1e6
    assert np.median(gaps_s) == pytest.approx(0.1, abs=0.03)


def _kill_and_go_on(stand: Stand, raised: dict[str, str]) -> None:
    """kill -9: the last will says so; the service goes on with the same tracks, and raises nothing twice."""
    _all_heard(stand)
    seen = len(stand.ear.of("alert-log"))
    stand.service.kill()
    stand.ear.wait_for(lambda ear: ear.of("status")[-1]["state"] == "offline", 20)
    shown = len(stand.ear.of("picture-delta"))
    stand.service.start()
    stand.ear.wait_for(lambda ear: ear.of("status")[-1]["state"] == "live", 20)

    def followed(ear: Ear) -> bool:
        return any(t["id"] == raised["track"] for p in ear.of("picture-delta")[shown:] for t in p.get("tracks", ()))

    stand.ear.wait_for(followed, 20)
    after = stand.ear.of("alert-log")[seen:]
    assert not [a for a in after if a["state"] == "raised" and a["track"] == raised["track"]]
    assert not [a for a in after if a["id"] == raised["id"] and a["state"] == "closed"]
    assert "going on from the checkpoint" in stand.service.log.read_text(encoding="utf-8")


def _kill_and_start_cold(stand: Stand, alert_id: str) -> str:
    """With a damaged checkpoint a start is a cold one: what is open stays open and is found again, not raised twice."""
    _all_heard(stand)
    seen = len(stand.ear.of("alert-log"))
    stand.service.kill()
    path = stand.config / "var" / "checkpoint"
    spoilt = bytearray(path.read_bytes())
    spoilt[len(spoilt) // 2] ^= 4
    path.write_bytes(spoilt)
    stand.service.start()
    stand.ear.wait_for(lambda ear: ear.of("status")[-1]["state"] == "live", 20)
    first = int(alert_id_epoch(stand, alert_id))

    def after(ear: Ear) -> list[dict[str, object]]:
        return [a for a in ear.of("alert-log")[seen:] if a["id"] == alert_id]

    stand.ear.wait_for(lambda ear: any(str(a["track"]).startswith(f"{first + 1}:") for a in after(ear)))
    unseen = after(stand.ear)[0]
    assert str(unseen["sentence"]).startswith("Not seen since the picture was reset")
    assert str(unseen["track"]).startswith(f"{first}:")
    assert {a["state"] for a in after(stand.ear)} == {"updated"}
    assert not [a for a in stand.ear.of("alert-log")[seen:] if a["state"] == "raised"]
    stand.ear.wait_for(lambda ear: "picture reset" in ear.of("status")[-1].get("detail", ""), 20)
    assert "damaged" in stand.ear.of("status")[-1]["detail"]
    _all_heard(stand)
    return alert_id


def _all_heard(stand: Stand) -> None:
    """Every entry of the journal is heard once; an entry is written before it is told, so the ear may be a step behind.

    Who kills the service waits for this first: between the entry and its message nothing has to be told again.
    """

    def told(ear: Ear) -> bool:
        transitions = {(one["id"], one["number"]) for one in ear.of("incident/")}  # told again on reconnect
        found = verify(stand.config / "var" / "alerts.jsonl")
        assert found.ok or found.torn, found.problem  # it may be written just now
        return bool(transitions) and found.entries == len(ear.of("alert-log")) + len(transitions)

    stand.ear.wait_for(told, 20)


def _kill_the_broker(stand: Stand, alert_id: str) -> None:
    """kill -9 of a broker that saved nothing: status, pictures and the open alert are there again by themselves."""
    stand.broker.kill()
    (stand.broker.folder / "mosquitto.db").unlink(missing_ok=True)
    stand.broker.start()
    with Ear(stand.broker.port, "#") as fresh:
        fresh.wait_for(lambda ear: bool(ear.of(f"alert/{alert_id}")), 20)
        fresh.wait_for(lambda ear: any(s["state"] == "live" for s in ear.of("status")), 20)
        fresh.wait_for(lambda ear: any(p["full"] for p in ear.of("picture/0")), 20)
        fresh.wait_for(lambda ear: bool(ear.of("track/")), 20)


def alert_id_epoch(stand: Stand, alert_id: str) -> str:
    """Epoch of the track of an alert."""
    return str(next(a for a in stand.ear.of("alert-log") if a["id"] == alert_id)["track"].split(":")[0])


def test_every_published_alert_reads_back(stand: Stand) -> None:
    payloads = [payload for topic, payload, _ in stand.ear.heard if topic == "alert-log"]
    zones = shipped.zones()
    assert payloads
    for payload in payloads:
        alert = alert_format.decode(payload)
        heard = json.loads(payload)
        names = Names("test", zones.codes, zones.names)
        assert alert_format.decode(alert_format.encode(alert, names, heard["seq"])) == alert
        assert json.loads(alert_format.encode(alert, names, heard["seq"])) == heard
        assert alert.simulated
        assert alert.quantities
        assert alert.clears


def test_it_ends_in_order(stand: Stand) -> None:
    with Ear(stand.broker.port, "status") as ear:
        assert stand.service.stop() == 0
        ear.wait_for(lambda heard: heard.of("status")[-1]["state"] == "offline", 10)
