"""A service that dies at a tick of a scene and starts again, without broker and clock: for tests and the soak."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from adapters import config as configuration
from adapters.commands import simulate
from adapters.running import startframe
from adapters.running.checkpoint import About, code, frozen, packed, save
from adapters.running.outputs import Digest
from adapters.running.recorder import Recorder
from adapters.running.starting import start
from adapters.service import Core
from adapters.store import DataDir
from fusion.schema import US_PER_S, Frame
from replay.log import START, TICK
from replay.simulate import Scenario
from tests import shipped
from tests.running import write_config

SCENES = ("lithuania-2025-07-28", "hungary-from-serbia", "plauru-2023-09-04")
SECONDS = 24


@dataclass(frozen=True, slots=True)
class Went:
    """How it went."""

    reason: str  # of a cold start; "" went on
    ticks: int
    ticks_again: int  # that the start took from the recording
    digest_whole: Digest
    digest_after: Digest


def refused(_frame: Frame, _reason: str, _detail: str) -> None:
    """Nobody looks at what a scene's own messages are refused for."""


def play(core: Core, frames: Sequence[Frame]) -> None:
    """Frames into a core, tick by tick."""
    waiting: list[Frame] = []
    for frame in frames:
        if frame.source == TICK:
            core.work(waiting, frame)
            waiting = []
        else:
            waiting.append(frame)


def crash(folder: Path, seed: int) -> Went:
    """Die at a tick of chance, up to two seconds after the checkpoint, in the middle of writing the next tick."""
    rng = random.Random(seed)
    scene = Scenario.load(rng.choice(SCENES))
    write_config(folder, 1883, scene.sensors, simulate.formats(scene), 9464)
    loaded = configuration.load(folder, environ={})
    until_us = scene.start_us + SECONDS * US_PER_S
    played = takewhile(lambda frame: frame.rx_us <= until_us, scene.frames(simulate.encode))
    frames = [replace(f, seq=f.seq + 2) for f in played]
    ends = [n + 1 for n, frame in enumerate(frames) if frame.source == TICK]
    saved = rng.randrange(len(ends) - 21)
    died = saved + rng.randrange(20)
    half = rng.randrange(ends[died], ends[died + 1])  # frames of the next tick that were written too
    core = Core(loaded, shipped.zones(), 1, refused)
    with ThreadPoolExecutor(1) as syncer:
        recorder = Recorder(loaded.record_dir, loaded.record, lambda _topic, _payload: None, syncer)
        recorder.begin(1, Frame(1, scene.start_us, START, startframe.encode(loaded, 1, scene.start_us)))
        for frame in frames[:half]:
            recorder.write([frame], frame.rx_us)
        play(core, frames[: ends[saved]])
        about = About(1, frames[ends[saved] - 1].seq, frames[ends[saved] - 1].rx_us, loaded.hash, code())
        data = packed(about, frozen(core.snapshot()))
        play(core, frames[ends[saved] :])
        with DataDir(loaded.data_dir) as data_dir:
            data_dir.raise_epoch()
            save(data_dir.checkpoint_path, data)
            found = start(loaded, shipped.zones(), data_dir, refused, is_feed=False)
        recorder.close()
    play(found.core, frames[half:])
    return Went(found.reason, len(ends), len(found.turns), core.outputs.digest, found.core.outputs.digest)
