"""A working service is killed with a warmed spare beside it, again and again: for the suite and the soak."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.broker import now_us
from adapters.commands import simulate
from adapters.wire import parse_time
from fusion.schema import US_PER_S
from tests.running import PATIENCE_S, Ear, Mosquitto, ports, vedette, write_config

WARMED = "standing by, warmed up"
MINE = "standing by no longer"
WENT_ON = "going on from the checkpoint"
SETTLE_S = 15.0  # tracks of a scene that has just begun


@dataclass(frozen=True, slots=True)
class Steps:
    """One takeover, in its steps."""

    fresh_s: float  # from the kill to the first picture with plots fused after it
    lock_s: float  # ... of which until the kernel gave the folder's lock to the spare
    going_on_s: float  # ... and from the checkpoint through what was recorded after it
    ticks: int  # recorded after the checkpoint

    @property
    def rest_s(self) -> float:
        """Connections, subscriptions, what is owed, and the first tick of its own."""
        return self.fresh_s - self.lock_s - self.going_on_s


@dataclass(slots=True)
class Takeovers:
    """How they went."""

    steps: list[Steps] = field(default_factory=list)
    spare_bytes: int = 0  # resident, of a spare that stands by
    tracks: int = 0  # in the newest full picture before the last kill
    epochs: list[int] = field(default_factory=list)  # that the status told, in order
    raised: int = 0  # alerts
    twice: list[str] = field(default_factory=list)  # see `twice`
    closed: list[str] = field(default_factory=list)  # why alerts closed


class Spare:
    """`vedette run --standby` as a process, with a log of its own."""

    def __init__(self, config: Path, number: int) -> None:
        self.log = config / f"spare-{number}.log"
        with self.log.open("wb") as log:
            self.process = vedette("run", "--config", str(config), "--standby", stdout=log, stderr=log)

    def said(self, words: str, seconds: float = PATIENCE_S) -> None:
        """Wait until its log says this."""
        self.wait_for(lambda: words in self.log.read_text(encoding="utf-8"), seconds)

    def wait_for(self, what: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, self.log.read_text(encoding="utf-8")
            time.sleep(0.05)

    def line(self, words: str) -> dict[str, Any]:
        """The line of its log that says this."""
        lines = map(json.loads, self.log.read_text(encoding="utf-8").splitlines())
        return next(line for line in lines if line["event"].startswith(words))

    def steps(self, killed_us: int, fresh_s: float) -> Steps:
        """Of the takeover that it has done."""
        lock_s = (parse_time(self.line(MINE)["timestamp"]) - killed_us) / US_PER_S
        went = self.line(WENT_ON)
        return Steps(fresh_s, lock_s, float(went["took_s"]), int(went["ticks_after"]))

    def resident_bytes(self) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)


def take_over(folder: Path, scene_name: str, objects: int | None, kills: int) -> Takeovers:
    """Kill the working one `kills` times."""
    scene = simulate.load(scene_name, objects=objects)
    http_port, _ = ports()
    went = Takeovers()
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder / "broker"))
        config = write_config(folder / "config", broker.port, scene.sensors, simulate.formats(scene), http_port)
        working = Spare(config, 0)  # of a folder that nobody holds: it begins at once
        stack.callback(working.kill)
        ear = stack.enter_context(Ear(broker.port, "picture-delta", "status", "alert-log"))
        working.wait_for(lambda: any(s["state"] == "live" for s in ear.of("status")))
        more = ("--objects", str(objects)) if objects else ()
        feed = vedette(
            *("simulate", scene_name, "--publish", "--broker", f"127.0.0.1:{broker.port}", "--site", "test", *more),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(feed.wait)
        stack.callback(feed.kill)
        ear.wait_for(lambda heard: bool(_rows(heard)))
        time.sleep(SETTLE_S)
        for number in range(1, kills + 1):
            waiting = Spare(config, number)
            stack.callback(waiting.kill)
            waiting.said(WARMED, 5 * PATIENCE_S)  # beside a service that works and the sensors of a thousand objects
            went.spare_bytes = waiting.resident_bytes()
            went.tracks = max(int(s.get("tracks_count", {}).get("confirmed", 0)) for s in ear.of("status")[-3:])
            seen = len(ear.of("picture-delta"))
            killed_us, begun_s = now_us(), time.monotonic()
            working.kill()
            ear.wait_for(lambda heard, seen=seen: bool(_rows(heard, seen + 1)))  # type: ignore[misc]
            fresh_s = time.monotonic() - begun_s
            waiting.said(WENT_ON)
            went.steps.append(waiting.steps(killed_us, fresh_s))
            working = waiting
        told = ear.of("alert-log")
        went.raised = sum(a["state"] == "raised" for a in told)
        went.twice = twice(told)
        went.closed = [str(a["close_reason"]) for a in told if a["state"] == "closed"]
        went.epochs = [int(s["epoch"]) for s in ear.of("status") if "epoch" in s]
    return went


def twice(told: Sequence[Mapping[str, Any]]) -> list[str]:
    """Alerts that were raised although the same rule had one open for the same track, or otherwise under the same id.

    A track may have another rule's alert instead (`superseded by ...`), or another of the same rule after a close. The
    same message once more is no second alert: what nobody may have heard is said again.
    """
    open_: dict[tuple[str, str], str] = {}
    raised: dict[str, Mapping[str, Any]] = {}
    found = []
    for a in told:
        name, of = str(a["id"]), (str(a["track"]), str(a["rule"]))
        if a["state"] == "closed":
            open_.pop(of, None)
        elif a["state"] == "raised" and raised.get(name) != a:
            if of in open_ or name in raised:
                found.append(name)
            open_[of], raised[name] = name, a
    return found


def _rows(heard: Ear, first: int = 0) -> list[object]:
    """Tracks of the deltas heard from this one on; what had left before a kill may still come."""
    return [row for delta in heard.of("picture-delta")[first:] for row in delta.get("tracks", ())]
