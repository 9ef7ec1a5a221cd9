"""`vedette simulate`: what it writes and publishes is what the wire formats read back."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from adapters.broker import BrokerSettings, now_us
from adapters.commands import simulate
from adapters.errors import ConfigError
from adapters.formats import plots, readsb, stream
from fusion.schema import Plots
from replay import log, scenario
from replay.simulate import Scenario
from tests.mosquitto import Mosquitto
from tests.test_replay_command import Listener

NAME = "lithuania-2025-07-28"


def batches_until(scene: Scenario, seconds: float) -> list[Plots]:
    return [b for b in scene.batches() if b.rx_us <= scene.start_us + seconds * 1e6]


def test_a_written_scenario_reads_back_as_the_same_plots(tmp_path: Path) -> None:
    path = tmp_path / "scene.jsonl.gz"
    assert simulate.simulate(NAME, out=path, seconds=12.0, err=io.StringIO()) == 0
    scene = Scenario.load(NAME)
    specs = {s.id: s for s in scene.sensors}
    formats = simulate.formats(scene)
    assert formats == {"A1": "readsb", "R1": "plots", "R2": "plots"}
    frames = list(log.read(path))
    assert sum(f.source == "tick" for f in frames) == 121  # every 100 ms from the start to 12 s
    read: Counter[str] = Counter()
    batches = batches_until(scene, 12.0)
    wanted = {name: iter([b for b in batches if b.sensor == name]) for name in specs}
    for frame in frames:
        if frame.source == "tick":
            continue
        sensor = frame.source.split("/")[1]
        decode = readsb.decode if formats[sensor] == "readsb" else plots.decode
        decoded = decode(frame.payload, specs[sensor], frame.rx_us)
        assert decoded.rejected == {}
        batch = next(wanted[sensor])
        assert batch.rx_us == frame.rx_us
        assert len(decoded.batch) == len(batch)
        read[sensor] += len(batch)
        assert np.abs(decoded.batch.t_us - batch.t_us).max() <= 1_000
        for name, within in (("range_m", 0.1), ("azimuth_rad", 1e-6), ("lat_rad", 1e-8), ("pressure_height_m", 0.1)):
            np.testing.assert_allclose(getattr(decoded.batch, name), getattr(batch, name), atol=within, rtol=0)
        assert decoded.batch.address.tolist() == batch.address.tolist()
        assert decoded.batch.mode3a.tolist() == batch.mode3a.tolist()
    assert sum(read.values()) == sum(len(b) for b in batches)
    assert min(read.values()) > 20


def test_the_same_scenario_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        simulate.simulate(NAME, out=tmp_path / name, seconds=5.0, err=io.StringIO())
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    simulate.simulate(NAME, out=tmp_path / "c.jsonl.gz", seconds=5.0, seed=3, err=io.StringIO())
    assert (tmp_path / "a.jsonl.gz").read_bytes() != (tmp_path / "c.jsonl.gz").read_bytes()


def test_published_sensors_look_live(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        settings = BrokerSettings(broker.host, broker.port, client_id="test")
        before_us = now_us()
        with Listener(broker, "sim") as listener:
            assert simulate.simulate(NAME, None, settings, "sim", seconds=3.0, err=io.StringIO()) == 0
            expected = len(batches_until(Scenario.load(NAME), 3.0))
            arrived = list(listener.wait_for(expected))
    assert len(arrived) == expected
    assert expected > 10
    topics = Counter(i.topic for i in arrived)
    assert set(topics) == {f"vedette/v1/sim/in/{s}/plots" for s in ("A1", "R1", "R2")}
    assert all(i.user == () for i in arrived)
    spec = next(s for s in Scenario.load(NAME).sensors if s.id == "R2")
    for incoming in arrived:
        if "/R2/" in incoming.topic:
            batch = plots.decode(incoming.payload, spec, incoming.rx_us).batch
            assert batch.t_us.min() > before_us
            assert batch.t_us.max() < incoming.rx_us  # nothing is told before it happened
            assert batch.boot * 1_000_000 >= before_us - 1_000_000  # another start than the last time


def test_a_scenario_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    for name in scenario.names():
        assert simulate.simulate(name) == 0
    said = capsys.readouterr().err
    assert "hungary-from-serbia: Hungary: a drone from Serbia" in said
    assert "expected: low-slow-near or low-slow-unknown-height for gerbera between 3 and 60 s" in said


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"one of bistrita-2022-03-13, .*hungary-from-serbia"):
        simulate.simulate("atlantis")
    with pytest.raises(ConfigError, match="--out"):
        simulate.simulate(NAME, out=tmp_path / "no" / "such.jsonl", seconds=1.0, err=io.StringIO())


def test_a_stream_and_its_truth_share_one_clock(tmp_path: Path) -> None:
    said = io.StringIO()
    sky, true = tmp_path / "sky.jsonl", tmp_path / "truth.jsonl.gz"
    assert simulate.simulate("mixed-sky", seconds=6.0, objects=50, err=said, stream=sky, truth=true) == 0
    assert "without D1, F1, M1" in said.getvalue()
    lines = sky.read_bytes().splitlines()
    specs = stream.decode_header(lines[0])
    assert {s.id for s in specs} == {"A1", "P1", "R1", "R2", "R3", "R4", "R5", "R6", "S1", "S2"}
    read, refused = stream.Decoder(specs).decode(b"\n".join(lines[1:]) + b"\n")
    assert refused == []
    clock_us = 0
    for sensor, rx_us in zip(read.sensor.tolist(), read.rx_us.tolist(), strict=True):
        if sensor == stream.TICK:
            assert rx_us == clock_us + 1_000_000
            clock_us = rx_us
        else:
            assert clock_us <= rx_us < clock_us + 1_000_000
    assert clock_us == 6_000_000
    assert (read.sensor != stream.TICK).sum() > 500
    with gzip.open(true, "rt", encoding="utf-8") as opened:
        truth = [json.loads(line) for line in opened]
    assert truth[0]["scenario"] == "mixed-sky"
    assert {row["time"] for row in truth[1:]} == {float(second) for second in range(7)}
    scene = Scenario.load("mixed-sky", total=50)
    assert truth[0]["start"] == scene.start_us / 1e6
    assert [row["id"] for row in truth[1:] if row["time"] == 4.0] == list(scene.truth(scene.start_us + 4_000_000).id)
    assert all(row["class"] for row in truth[1:])
    hits = {row["id"]: row["first_hit"] for row in truth[1:] if "first_hit" in row}
    assert len(hits) > 20
    assert min(hits.values()) < 1.0 < max(hits.values()) < 6.0


def test_the_same_seed_gives_the_same_stream_and_truth(tmp_path: Path) -> None:
    texts = []
    for number, seed in enumerate((3, 3, 4)):
        sky, true = tmp_path / f"s{number}", tmp_path / f"t{number}"
        simulate.simulate("mixed-sky", seconds=2.0, seed=seed, objects=40, err=io.StringIO(), stream=sky, truth=true)
        texts.append((sky.read_bytes(), true.read_bytes()))
    assert texts[0] == texts[1]
    assert texts[0][0] != texts[2][0]
    assert texts[0][1] != texts[2][1]
    with pytest.raises(ConfigError, match="--truth"):
        simulate.simulate(NAME, truth=tmp_path / "no" / "such", seconds=1.0, err=io.StringIO())
