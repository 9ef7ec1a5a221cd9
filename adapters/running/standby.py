"""`vedette run --standby`: a second service on the same folder that waits, warmed up, until the first one is gone.

The folder's lock is the arbiter: the kernel gives it free in the moment in which its holder ends, killed or not. Until
then the spare has everything loaded and has gone on once from the other's checkpoint and recording, for nothing but to
have run every kernel that a start needs; it writes nothing, serves nothing and has no connection to the broker. It
costs the memory of a service that rests, and no CPU to speak of. Two such services, each started again when it ends,
take turns (docs/how-to/record-and-verify.md).
"""

from __future__ import annotations

import importlib
import signal
import time
from dataclasses import dataclass
from types import FrameType

import structlog

from adapters.config import Config, load_zones
from adapters.errors import ConfigError
from adapters.payloadschema import schemas
from adapters.running import memory
from adapters.running.checkpoint import BadCheckpoint
from adapters.running.starting import gone_on
from adapters.service import Core
from adapters.store import DataDir, Verification, verify
from fusion.schema import Frame
from fusion.zones import Zones

AGAIN_S = 5.0  # the other may have no checkpoint yet: it keeps one a second after its first tick
PROTOCOLS = ("uvicorn.protocols.http.h11_impl", "uvicorn.loops.auto", "uvicorn.lifespan.off")  # loaded on demand
_log = structlog.get_logger("vedette.standby")


@dataclass(slots=True)
class Ready:
    """What a start need not make any more."""

    zones: Zones | None = None
    core: Core | None = None  # untouched, of the epoch that the other had
    journal: Verification | None = None  # as far as it was read


def wait(config: Config, folder: DataDir) -> Ready:
    """Return when `folder` is ours, and locked.

    Raises:
        ConfigError: the folder cannot be written, or borders cannot be read.
        SystemExit: SIGTERM or SIGINT ended the waiting.
    """
    before = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ready = Ready()
        zones = ready.zones = load_zones(config)
        for name in PROTOCOLS:
            importlib.import_module(name)
        schemas()
        warmed = False
        while not folder.taken(AGAIN_S if not warmed else 3600.0):
            warmed = warmed or _warmed(config, zones, folder, ready)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    _log.warning("standing by no longer: the folder is ours", folder=str(folder.path), warmed=warmed)
    return ready


def _warmed(config: Config, zones: Zones, folder: DataDir, ready: Ready) -> bool:
    """Go on once as if the other were gone, and throw it away. False: there is nothing to go on from yet."""
    begun_s = time.monotonic()
    try:
        trial = gone_on(config, zones, folder, _unheard, say=False)
        ready.core = Core(config, zones, trial.epoch, _unheard)
        ready.journal = verify(folder.journal_path)
    except (BadCheckpoint, ConfigError, OSError) as error:
        _log.info("standing by, not warmed up yet", why=str(error))
        return False
    memory.settle()
    took_s = round(time.monotonic() - begun_s, 3)
    _log.info("standing by, warmed up", epoch=trial.epoch, ticks=len(trial.turns), took_s=took_s)
    return True


def _unheard(_frame: Frame, _reason: str, _detail: str) -> None:
    """The other has told it."""


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
