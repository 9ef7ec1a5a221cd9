"""`vedette simulate`: a scenario into a frame log, into a plain stream with its truth, or live to a broker."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import TextIO

import numpy as np

from adapters import feed
from adapters.broker import BrokerSettings, PublishDenied, now_us
from adapters.errors import ConfigError
from adapters.formats import plots, readsb
from adapters.formats import scene as lines
from adapters.resend import Unfused
from adapters.wire import rfc3339
from fusion.schema import US_PER_S, Plots
from replay import log, player, scenario
from replay.simulate import Scenario

FUSED_PATIENCE_S = 20.0  # at the end, for a service that was killed meanwhile or waits for a slow disk
LEAD_S = 1.0  # a live scene starts this much after now, so that its first message is not late


def encode(sensor: scenario.SimSensor, batch: Plots) -> bytes:
    """One batch in the wire format of its sensor, marked: a service that is not simulated refuses it."""
    payload = readsb.encode(batch) if sensor.format == "readsb" else plots.encode(batch)
    return b'{"simulated":true,' + payload.removeprefix(b"{")


def formats(scene: Scenario) -> Mapping[str, str]:
    """Wire format by sensor id, as `sensors.toml` says it."""
    return {sensor.spec.id: sensor.format for sensor in scene.plan.sensors}


def load(name_or_path: str | Path, seed: int | None = None, objects: int | None = None) -> Scenario:
    """A scenario by name or path, at its own time. Raises ConfigError."""
    return _load(name_or_path, None, seed, 1, objects)


def load_now(name_or_path: str | Path, seed: int | None = None, objects: int | None = None) -> Scenario:
    """A scenario that begins in a moment, from sensors that have just started. Raises ConfigError."""
    now = now_us()
    return _load(name_or_path, now + round(LEAD_S * US_PER_S), seed, now // US_PER_S, objects)


def _load(name_or_path: str | Path, start_us: int | None, seed: int | None, boot: int, objects: int | None) -> Scenario:
    try:
        return Scenario.load(name_or_path, start_us, seed, boot, objects)
    except scenario.BadScenario as error:
        raise ConfigError(error.file, error.key, error.problem, error.cure) from error


def simulate(
    name_or_path: str | Path,
    out: Path | None = None,
    settings: BrokerSettings | None = None,
    site: str = "",
    seconds: float | None = None,
    seed: int | None = None,
    err: TextIO | None = None,
    stream: Path | None = None,
    truth: Path | None = None,
    objects: int | None = None,
) -> int:
    """Write a scenario to files, or publish it to a broker as live sensors, in real time from now.

    `out` is a frame log, `stream` the plain stream of `vedette track`, `truth` what really was, a line an object and
    second. With none of them it prints what the scenario is. `seconds` cuts it short, `objects` says how many to draw.

    Returns:
        0; 1 when the broker does not answer or refuses.

    Raises:
        ConfigError: no such scenario, a bad one, or a file that cannot be written.
    """
    shown = sys.stderr if err is None else err
    scene = load(name_or_path, seed, objects) if settings is None else load_now(name_or_path, seed, objects)
    end_us = scene.end_us if seconds is None else min(scene.end_us, scene.start_us + round(seconds * US_PER_S))
    shown.write(describe(scene) + "\n")
    if out is not None:
        frames = takewhile(lambda frame: frame.rx_us <= end_us, scene.frames(encode))
        with _writable(out, "--out"):
            count = log.write(out, frames)
        shown.write(f"{out}: {count} frames, {(end_us - scene.start_us) / US_PER_S:.0f} s\n")
    if stream is not None:
        shown.write(f"{stream}: {_write(stream, '--stream', stream_lines(scene, end_us))} lines\n")
        left_out = [s.id for s in scene.sensors if s.kind not in lines.CARRIED]
        if left_out:
            shown.write(f"  without {', '.join(left_out)}: the plain stream carries radars and ADS-B only\n")
    if truth is not None:
        shown.write(f"{truth}: {_write(truth, '--truth', truth_lines(scene, end_us))} lines\n")
    if settings is None:
        return 0
    try:
        return asyncio.run(_publish(scene, end_us, settings, site, shown))
    except KeyboardInterrupt:
        shown.write("stopped\n")
        return 0


def stream_lines(scene: Scenario, end_us: int, step_us: int = US_PER_S) -> Iterator[bytes]:
    """The plain stream of a scene in order of arrival, some lines at a time, with a tick every `step_us`.

    A plot that arrives at the very time of a tick comes after it.
    """
    yield lines.header(scene.sensors, step_us / US_PER_S)
    carried = {s.id for s in scene.sensors if s.kind in lines.CARRIED}
    next_us = scene.start_us + step_us
    for batch in takewhile(lambda batch: batch.rx_us <= end_us, scene.batches()):
        while next_us <= batch.rx_us:
            yield lines.tick((next_us - scene.start_us) / US_PER_S).encode()
            next_us += step_us
        if batch.sensor in carried:
            yield lines.plots(batch, scene.start_us).encode()
    while next_us <= end_us:
        yield lines.tick((next_us - scene.start_us) / US_PER_S).encode()
        next_us += step_us


def truth_lines(scene: Scenario, end_us: int, step_us: int = US_PER_S) -> Iterator[bytes]:
    """The truth of a scene every `step_us` from its start, all lines of one time together."""
    plan = scene.plan
    first_hit_s = first_hits(scene, end_us)
    yield lines.truth_header(scene.sensors, scene.start_us, step_us / US_PER_S, plan.name, plan.seed)
    for t_us in range(scene.start_us, end_us + 1, step_us):
        yield lines.truth(scene.truth(t_us), scene.start_us, first_hit_s).encode()


def first_hits(scene: Scenario, end_us: int) -> dict[str, float]:
    """Seconds of the scene at which the first plot of each object was measured, by radar or ADS-B; none: not there."""
    first = np.full(len(scene.plan.objects), np.inf)
    carried = {s.id for s in scene.sensors if s.kind in lines.CARRIED}
    for batch, owner in takewhile(lambda pair: pair[0].rx_us <= end_us, scene.owned()):
        if batch.sensor in carried:
            of = owner >= 0
            np.minimum.at(first, owner[of], (batch.t_us[of] - scene.start_us) / US_PER_S)
    return {o.id: second for o, second in zip(scene.plan.objects, first.tolist(), strict=True) if second < np.inf}


def _write(path: Path, option: str, parts: Iterator[bytes]) -> int:
    """Write the parts, compressed by the ending; the file appears when it is complete. Returns the number of lines."""
    part = path.with_name(path.name + ".part")
    count = 0
    with _writable(path, option):
        with log.open_write(part, path.suffix) as file:
            for text in parts:
                file.write(text)
                count += text.count(b"\n")
        part.replace(path)
    return count


@contextmanager
def _writable(path: Path, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cure = "give a path that can be written"
        raise ConfigError(str(path), option, error.strerror or str(error), cure) from error


def describe(scene: Scenario) -> str:
    """What the scenario is, what is in it and what is expected, in lines."""
    plan = scene.plan
    said = [f"{plan.name}: {plan.title}", *(f"  {line}" for line in plan.about)]
    said.append(f"  from {rfc3339(scene.start_us)} for {plan.duration_s:.0f} s, seed {plan.seed}")
    said.append(f"  sensors: {', '.join(f'{s.id} ({s.kind.name.lower()})' for s in scene.sensors)}")
    said.append(f"  objects: {len(plan.objects)}, of them cooperative: {sum(o.cooperative for o in plan.objects)}")
    for expect in plan.expect:
        rules = " or ".join(expect.rules)
        said.append(f"  expected: {rules} for {expect.object} between {expect.from_s:.0f} and {expect.until_s:.0f} s")
    return "\n".join(said)


async def _publish(scene: Scenario, end_us: int, settings: BrokerSettings, site: str, shown: TextIO) -> int:
    try:
        marks = [(f"vedette/v1/{site}/in/{sensor.id}/watermark", 1) for sensor in scene.sensors]
        async with feed.connected(settings, "simulate", marks) as connection:
            unfused = Unfused()
            sender = feed.Sender(connection, site, recorded=False, unfused=unfused)
            async with sender.watched():
                await feed.play(sender, live_schedule(scene, end_us), lambda frame, sent: None)
                await sender.fused(FUSED_PATIENCE_S)
    except feed.NoBroker as error:
        shown.write(f"vedette: {error}\n")
        return 1
    except PublishDenied as error:
        shown.write(f"vedette: the broker refused a message: {error}\n")
        return 1
    again = f", {unfused.again} of them again" if unfused.again else ""
    missing = len(unfused) + unfused.fell
    said = f"; the service has not said that it has {missing} of them" if missing and unfused.is_heard else ""
    shown.write(f"done: {sender.sent} messages published{again}{said}\n")
    return 0


def live_schedule(scene: Scenario, end_us: int) -> Iterator[player.Due]:
    """The scene's messages, each due when the sensor would send it by this machine's clock."""
    frames = takewhile(lambda frame: frame.rx_us <= end_us, scene.frames(encode, ticks=False))
    yield from player.pace(frames, 1.0, start_us=now_us())
