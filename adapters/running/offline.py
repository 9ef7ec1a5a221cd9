"""A recording straight into an engine, without a broker, and whether it says the same as the service did.

Every `start` frame begins a new engine with its epoch; a recording that begins in the middle of a run begins at its
first checkpoint. Wherever the service recorded a digest, ours must be the same: bit for bit, the same tracks, alerts
and incidents.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from adapters.config import Config
from adapters.kernelcache import processor
from adapters.running.checkpoint import MOST_PARTS, BadCheckpoint, Parts, of_messages, unpacked
from adapters.running.outputs import CHECKPOINT, DIGEST, Digest, read_digest
from adapters.running.startframe import decode, epoch_of
from adapters.service import Core
from adapters.wire import rfc3339
from fusion.schema import Event, Frame, Invalid
from fusion.zones import Zones
from replay.log import START, TICK
from replay.mcapfile import Output
from replay.mcapread import Item

Heard = Callable[[int, Sequence[Event]], None]  # tick time, what the engine said
Told = Callable[[Sequence[Output]], None]  # what would be recorded of a tick
OUTPUTS = ("tracks", "alerts", "incidents")


@dataclass(slots=True)
class Verdict:
    """What an offline replay came to."""

    ticks: int = 0
    frames: int = 0
    compared: int = 0  # digests of the recording
    digest: Digest = field(default_factory=Digest)  # ours at the end
    differs_us: int = -1  # the first digest that is not ours; -1 none
    differs: tuple[str, ...] = ()  # in what
    notes: list[str] = field(default_factory=list)  # why a difference would be no wonder

    @property
    def same(self) -> bool:
        """Everything that could be compared is equal, and something could."""
        return self.compared > 0 and self.differs_us < 0

    def words(self) -> str:
        """One line for people."""
        if self.differs_us >= 0:
            return f"DIFFERENT from {rfc3339(self.differs_us)} on, in {', '.join(self.differs)}"
        if not self.compared:
            return "nothing to compare with: the recording holds no digests"
        return f"identical: {self.compared} digests of tracks, alerts and incidents"


class Offline:
    """Runs items of a recording. `hear` is told of every tick, `tell` what would be recorded of it."""

    def __init__(self, config: Config, zones: Zones, hear: Heard | None = None, tell: Told | None = None) -> None:
        self._config, self._zones, self._hear, self._tell = config, zones, hear, tell
        self._core: Core | None = None
        self._frames: list[Frame] = []
        self._parts = Parts()
        self._entry: deque[bytes] = deque(maxlen=MOST_PARTS)  # messages of a checkpoint to enter by
        self._heard = 0  # such messages
        self._awaits = False  # the recording begins in the middle of a run: frames before its checkpoint are of no use
        self.verdict = Verdict()

    def run(self, items: Iterable[Item]) -> Verdict:
        """All of them; may be called again to go on."""
        for item in items:
            if isinstance(item, Output):
                self._awaits |= item.topic in (START, CHECKPOINT)
                self._compare(item)
            else:
                self._enter(item)
        if self._core is not None:
            self.verdict.digest = self._core.outputs.digest
        return self.verdict

    def _enter(self, frame: Frame) -> None:
        self.verdict.frames += 1
        if frame.source == START:
            self._begin(frame)
            return
        if self._core is None:
            if self._awaits:
                return
            self._core = self._new(0)
        if frame.source != TICK:
            self._frames.append(frame)
            return
        events, turn, _ = self._core.work(self._frames, frame)
        self._frames = []
        self.verdict.ticks += 1
        if self._tell is not None:
            self._tell(turn.outputs)
        if self._hear is not None:
            self._hear(frame.rx_us, events)

    def _begin(self, frame: Frame) -> None:
        told = decode(frame.payload)
        if told.get("config_hash") != self._config.hash:
            self.verdict.notes.append("the configuration is not the one that was recorded")
        if told.get("processor") != processor():
            self.verdict.notes.append("another processor: compiled code may round differently")
        self._core = self._new(epoch_of(told))

    def _resume(self, output: Output) -> None:
        """Enter in the middle of a run."""
        self._entry.append(output.payload)
        self._heard += 1
        first = self._parts.hear(output.payload, self._heard)
        if first < 0:
            return
        told = list(self._entry)[first - self._heard - 1 :]
        self._entry.clear()
        try:
            about, state = unpacked(of_messages(told), self._config.hash)
        except BadCheckpoint as error:
            self.verdict.notes.append(f"a checkpoint cannot be used: {error}")
            return
        self._core = self._new(about.epoch)
        self._core.restore(state)

    def _new(self, epoch: int) -> Core:
        return Core(self._config, self._zones, epoch, lambda _frame, _reason, _detail: None)

    def _compare(self, output: Output) -> None:
        if output.topic == CHECKPOINT and self._core is None:
            self._resume(output)
        if output.topic != DIGEST or self._core is None or self.verdict.differs_us >= 0:
            return
        try:
            theirs = read_digest(output.payload)
        except Invalid as fault:
            self.verdict.notes.append(f"a digest cannot be read ({fault.reason})")
            return
        ours = self._core.outputs.digest
        self.verdict.compared += 1
        differs = tuple(name for name in OUTPUTS if getattr(ours, name) != getattr(theirs, name))
        if differs:
            self.verdict.differs_us, self.verdict.differs = output.t_us, differs
