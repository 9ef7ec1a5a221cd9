"""A service that watches a scene, in this process: what `vedette run` leaves in its data folder, without broker and
clock. For tests of what is made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

import pytest

from adapters import config as configuration
from adapters.commands import simulate
from adapters.config import Config
from adapters.formats import command
from adapters.incidents.database import IncidentDb, kept_of
from adapters.running import checkpoint, startframe
from adapters.running.checkpoint import About, code, frozen, packed
from adapters.running.outputs import CHECKPOINT
from adapters.running.recorder import Recorder
from adapters.service import Core, names_of
from adapters.store import AlertJournal, DataDir
from fusion.cases.record import Incident, IncidentChanged
from fusion.schema import US_PER_S, Command, Frame
from replay.log import START, TICK
from replay.mcapfile import Output
from replay.simulate import Scenario
from tests import shipped
from tests.running import write_config

SCENE = "lithuania-2025-07-28"
SECONDS = 44
CHECKPOINTS_S = (10, 20, 30)


@dataclass
class Watched:
    """Where it all lies, and the incident as it was told last."""

    folder: Path
    config: Config
    start_us: int
    incidents: dict[str, Incident] = field(default_factory=dict)

    @property
    def incident(self) -> Incident:
        """The first."""
        return next(iter(self.incidents.values()))


def refused(_frame: Frame, _reason: str, _detail: str) -> None:
    """Nobody looks at what a scene's own messages are refused for."""


def frames_of(scene: Scenario, seconds: float) -> list[Frame]:
    """The first seconds of a scene as frames with ticks, numbered from 2 on."""
    until_us = scene.start_us + round(seconds * US_PER_S)
    played = takewhile(lambda frame: frame.rx_us <= until_us, scene.frames(simulate.encode))
    return [replace(f, seq=f.seq + 2) for f in played]


def watch(
    folder: Path, seconds: int = SECONDS, more: str = "", restart_s: int = -1, close_s: int = -1,
    say: Callable[[Path], None] = lambda _folder: None,
) -> Watched:  # fmt: skip
    """Run a service over the scene. `restart_s`: it goes on in a file of its own then; `close_s`: a person closes the
    first incident; `say` may change the configuration first."""
    scene = Scenario.load(SCENE)
    write_config(folder, 1883, scene.sensors, simulate.formats(scene), 9464, more)
    say(folder)
    loaded = configuration.load(folder, environ={})
    made = Watched(folder, loaded, scene.start_us)
    core = Core(loaded, shipped.zones(), 1, refused)
    names = names_of(loaded, shipped.zones())
    with ThreadPoolExecutor(1) as syncer, DataDir(loaded.data_dir) as data_dir:
        data_dir.raise_epoch()
        recorder = Recorder(loaded.record_dir, loaded.record, lambda _topic, _payload: None, syncer)
        began = Frame(1, scene.start_us, START, startframe.encode(loaded, 1, scene.start_us))
        recorder.begin(1, began)
        with AlertJournal(data_dir.journal_path) as journal, IncidentDb(data_dir.incidents_path, names) as database:
            service = _Service(made, core, recorder, journal, database, scene.start_us)
            for frame in frames_of(scene, seconds):
                service.take(frame, restart_s, close_s)
        recorder.close()
    return made


class _Service:
    """What `vedette run` does with a tick, one thing after the other."""

    def __init__(
        self, made: Watched, core: Core, recorder: Recorder, journal: AlertJournal, database: IncidentDb, start_us: int
    ) -> None:
        self._made, self._core, self._recorder = made, core, recorder
        self._journal, self._database, self._start_us = journal, database, start_us
        self._waiting: list[Frame] = []
        self._shift = 0

    def take(self, frame: Frame, restart_s: int, close_s: int) -> None:
        at_s = (frame.rx_us - self._start_us) / US_PER_S
        frame = replace(frame, seq=frame.seq + self._shift)
        if frame.source != TICK:
            self._waiting.append(frame)
            return
        if at_s == close_s:
            order = Command(0, "close", "", "Lt Jonaitis", "it has landed", incident_id=self._made.incident.id)
            self._shift += 1
            self._waiting.append(Frame(frame.seq, frame.rx_us, "cmd/close", command.encode(order)))
            frame = replace(frame, seq=frame.seq + 1)
        if at_s == restart_s:
            said = startframe.encode(self._made.config, 1, frame.rx_us)
            self._recorder.go_on(1, Frame(0, frame.rx_us, START, said))
        self._turn(frame, at_s in CHECKPOINTS_S)

    def _turn(self, tick: Frame, is_kept: bool) -> None:
        self._recorder.write([*self._waiting, tick], tick.rx_us)
        events, turn, _ = self._core.work(self._waiting, tick)
        self._waiting = []
        self._journal.append(turn.journal)
        kept = kept_of(tick.rx_us, events, len(self._journal), self._journal.head)
        if kept is not None:
            assert self._database.offer([kept])
        self._recorder.say(turn.outputs)
        if is_kept:
            about = About(1, tick.seq, tick.rx_us, self._made.config.hash, code())
            data = packed(about, frozen(self._core.snapshot()))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(checkpoint, "PART_BYTES", len(data) // 2)  # three parts, as those of a large picture
                for part in checkpoint.messages(data, tick.rx_us):
                    self._recorder.say([Output(tick.rx_us, CHECKPOINT, part)])
        for event in events:
            if isinstance(event, IncidentChanged):
                self._made.incidents[event.incident.id] = event.incident


def of_kind(outputs: Sequence[Output], topic: str) -> list[Output]:
    """Those of one topic."""
    return [output for output in outputs if output.topic == topic]
