"""The player's timetable, without a clock: which frame is due when, and the ticks between frames.

Ticks are frames too. A log recorded live has its own; one made from a feed has none, and gets one every 100 ms of feed
time here, so that a replay at any speed drives the engine by the same ticks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from fusion.schema import US_PER_S, Frame
from replay.log import TICK

TICK_US = 100_000  # as live: nothing waits longer than this to be fused
MAX_SPEED = 10_000.0


@dataclass(frozen=True, slots=True)
class Due:
    """A frame and when to send it."""

    after_s: float  # seconds after the start of play; 0 throughout at the highest speed
    frame: Frame


def parse_speed(text: str) -> float:
    """The factor of `--speed`: "1", "10", "10x" or "max" (infinity: no waiting).

    Raises:
        ValueError: not a number above 0 and at most 10,000, nor "max".
    """
    if text.strip().lower() == "max":
        return math.inf
    try:
        speed = float(text.strip().lower().removesuffix("x"))
    except ValueError:
        speed = math.nan
    if not 0.0 < speed <= MAX_SPEED:
        raise ValueError(f'speed "{text}" is not a number above 0 and at most {MAX_SPEED:g}, nor "max"')
    return speed


def with_ticks(
    frames: Iterable[Frame], tick_us: int = TICK_US, from_us: int = -1, until_us: int = -1
) -> Iterator[Frame]:
    """Put ticks between frames that have none, at whole multiples of `tick_us`, and number everything anew from 0.

    The tick of time T comes after every frame with rx_us <= T and before any later one; the last tick closes the last
    frame, or is the last multiple up to `until_us` where that is later. `from_us` starts them before the first frame.
    Where arrival time steps back, the frame keeps its own time and the ticks go on from the newest time seen.
    Raises ValueError for a frame that is a tick already.
    """
    seq = 0
    next_us = -(-from_us // tick_us) * tick_us if from_us >= 0 else -1
    for frame in frames:
        if frame.source == TICK:
            raise ValueError("the frames have ticks of their own")
        if next_us < 0:
            next_us = -(-frame.rx_us // tick_us) * tick_us
        while frame.rx_us > next_us:
            yield Frame(seq, next_us, TICK, b"")
            seq += 1
            next_us += tick_us
        yield replace(frame, seq=seq)
        seq += 1
    while next_us >= 0:
        yield Frame(seq, next_us, TICK, b"")
        seq += 1
        next_us += tick_us
        if next_us > until_us:
            return


def pace(frames: Iterable[Frame], speed: float, start_us: int = -1) -> Iterator[Due]:
    """Say when each frame is due at `speed` times real time, counted from `start_us`, or else from the first frame.

    Due times are absolute, so a slow sender catches up and never drifts. Order is the order given; a frame whose
    arrival time steps back is due at once.
    """
    newest_s = 0.0
    for frame in frames:
        if start_us < 0:
            start_us = frame.rx_us
        newest_s = max(newest_s, (frame.rx_us - start_us) / US_PER_S / speed)
        yield Due(newest_s, frame)
