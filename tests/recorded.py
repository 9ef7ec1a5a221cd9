"""A recording as `vedette run` makes it, without broker and clock: a sky with every type of sensor."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from adapters import config as configuration
from adapters.commands import simulate
from adapters.config import Config
from adapters.formats import plots as plots_format
from adapters.running import checkpoint, startframe
from adapters.running.checkpoint import packed
from adapters.running.outputs import CHECKPOINT, Digest
from adapters.running.recorder import Recorder
from adapters.running.starting import Saver
from adapters.service import Core
from fusion.schema import US_PER_S, Frame, PlotKind, Plots, SensorKind, SensorSpec
from fusion.schema import plots as make_plots
from replay import player
from replay.log import START, TICK
from replay.mcapfile import Output
from replay.simulate import Scenario
from tests import shipped
from tests.running import write_config

SCENE, ADSB = "mixed-sky", "A1"
SCENE_S = 900  # then the next one begins, of other chance, from sensors that have started anew
T0_US = 1_753_670_400_000_000
NEIGHBOUR = SensorSpec(id="T1", index=0, kind=SensorKind.TRACK, sigma_position_m=60.0, latency_s=0.3)
ALL_KINDS = set(SensorKind)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording and the configuration of who made it."""

    config: Config
    path: Path
    digest: Digest  # in the end
    raised: int  # transitions of alerts


def sensors(scene: Scenario) -> tuple[SensorSpec, ...]:
    """Those of the scene and a neighbour who sends tracks, in order of id."""
    whole = sorted([*scene.sensors, NEIGHBOUR], key=lambda spec: spec.id)
    return tuple(replace(spec, index=n) for n, spec in enumerate(whole))


def feed(seconds: int) -> Iterator[Frame]:
    """So much of the sky, with ticks, numbered from 2."""
    end_us = T0_US + seconds * US_PER_S
    made = player.with_ticks(_messages(end_us), from_us=T0_US, until_us=end_us)
    return (replace(frame, seq=frame.seq + 2) for frame in made)


def _messages(end_us: int) -> Iterator[Frame]:
    for part, start_us in enumerate(range(T0_US, end_us, SCENE_S * US_PER_S)):
        scene = Scenario.load(SCENE, start_us, seed=part + 1, boot=part + 1)
        until_us = min(end_us, start_us + SCENE_S * US_PER_S)
        spec = {sensor.spec.id: sensor for sensor in scene.plan.sensors}
        for batch in scene.batches():
            if batch.rx_us > until_us:
                break
            payload = simulate.encode(spec[batch.sensor], batch)
            yield Frame(0, batch.rx_us, f"in/{batch.sensor}/plots", payload)
            if batch.sensor == ADSB and len(batch):
                yield Frame(0, batch.rx_us, f"in/{NEIGHBOUR.id}/plots", _retold(batch))


def _retold(batch: Plots) -> bytes:
    """What a neighbour's system makes of the same aircraft."""
    told = make_plots(
        NEIGHBOUR.id,
        PlotKind.POSITION,
        batch.rx_us,
        batch.t_us,
        boot=batch.boot,
        seq=batch.seq,
        lat_rad=batch.lat_rad,
        lon_rad=batch.lon_rad,
        sigma_position_m=np.full(len(batch), NEIGHBOUR.sigma_position_m),
    )
    return b'{"simulated":true,' + plots_format.encode(told).removeprefix(b"{")


def record(folder: Path, seconds: int) -> Recorded:
    """Run it, and keep it as the service does: frames, what was said, a checkpoint every minute."""
    scene = Scenario.load(SCENE)
    formats = {**simulate.formats(scene), NEIGHBOUR.id: "plots"}
    write_config(folder, 1883, sensors(scene), formats, 9464)
    loaded = configuration.load(folder, environ={})
    core = Core(loaded, shipped.zones(), 1, lambda _frame, _reason, _detail: None)
    raised = 0
    with ThreadPoolExecutor(1) as syncer:
        recorder = Recorder(loaded.record_dir, loaded.record, lambda _topic, _payload: None, syncer)
        saver = Saver(None, loaded.hash, syncer)
        recorder.begin(1, Frame(1, T0_US, START, startframe.encode(loaded, 1, T0_US)))
        waiting: list[Frame] = []
        for frame in feed(seconds):
            if frame.source != TICK:
                waiting.append(frame)
                continue
            recorder.write([*waiting, frame], frame.rx_us)
            _, turn, _ = core.work(waiting, frame)
            recorder.say(turn.outputs)
            raised += len(turn.changed)
            waiting = []
            if saver.is_due_in_recording(frame.rx_us, recorder.is_fresh):
                state = packed(saver.about(1, frame), saver.freeze(core))
                parts = checkpoint.messages(state, frame.rx_us)
                recorder.say([Output(frame.rx_us, CHECKPOINT, part) for part in parts])
        recorder.close()
    (path,) = loaded.record_dir.glob("*.mcap")
    assert {spec.kind for spec in loaded.sensors} == ALL_KINDS
    assert core.engine.counters.balance() == 0
    return Recorded(loaded, path, core.outputs.digest, raised)
