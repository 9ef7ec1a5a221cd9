"""Raw 1090 MHz at work: frames of a thousand aircraft, from octets to plots, beside another decoder of the same."""

from __future__ import annotations

import time

import rs1090

from adapters.bridges.beast import Beast
from adapters.bridges.common import Heard
from adapters.formats import beast
from tests import squitters

AIRCRAFT, SECONDS = 1_000, 12
START_US = 1_795_000_000_000_000


def measure(aircraft: int = AIRCRAFT, seconds: int = SECONDS) -> tuple[float, float]:
    """Frames per second of CPU: ours, batches of a tenth of a second, from octets of Beast to plots with the place and
    all that the aircraft said before; rs1090's, all at once, from hex to what each message says and its place.
    """
    batches = squitters.traffic(aircraft, seconds)
    receiver, heard = Beast("A1"), Heard()
    start = time.process_time()
    for after_us, octets in batches:
        receiver.hear([(START_US + after_us, octets)], heard)
    ours = heard.pieces / (time.process_time() - start)
    if heard.refused or not heard.batches:
        raise AssertionError(f"{heard.refused} refused")  # a rate of what was thrown away would be none
    hexes, times_s = [], []
    for after_us, octets in batches:
        frames, _, _ = beast.decode(octets)
        hexes += [row.tobytes().hex() for row in frames.octets]
        times_s += [after_us / 1e6] * len(frames)
    start = time.process_time()
    rs1090.decode(hexes, times_s)
    return ours, len(hexes) / (time.process_time() - start)
