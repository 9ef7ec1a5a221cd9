"""The Beast format: raw replies of 1090 MHz as receivers send them on TCP port 30005 (Mode-S Beast; readsb, dump1090).

    1a 33 | 6 octets of time | 1 of signal | 14 octets of Mode S        ('1' Mode A/C, 2; '2' short, 7; '3' long, 14)

An octet 1a within a frame is sent twice. The time counts ticks of 12 MHz from anywhere; zero, or the letters `MLAT`
after ff 00, say nothing. What the octets mean is `adapters/modes/squitter.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.schema import B1, I8

ESCAPE = 0x1A
TICKS_PER_US = 12
MODE_AC, SHORT, LONG, STATUS, POSITION, RECEIVER = (*b"12345", 0xE3)
HEAD = 9  # escape, kind, time, signal
MODE_S_OCTETS = 14
_LENGTH = np.zeros(256, np.int64)  # of a whole frame, by kind; 0: no kind that anybody knows
for _kind, _octets in ((MODE_AC, 2), (SHORT, 7), (LONG, 14), (STATUS, 14), (POSITION, 14)):
    _LENGTH[_kind] = HEAD + _octets
_LENGTH[RECEIVER] = 10  # who received the next one: eight octets and no time
_MLAT = int.from_bytes(b"\xff\x00MLAT", "big")
_COLUMNS = np.arange(HEAD + MODE_S_OCTETS)
_POWERS = np.int64(256) ** np.arange(5, -1, -1)
U1 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frames:
    """n frames, in the order in which they came."""

    kind: U1  # (n,)
    ticks: I8  # (n,) of 12 MHz; -1 not said
    signal: U1  # (n,) amplitude, 255 the most
    octets: U1  # (n, 14) of Mode S, a short one behind seven zeros; whatever for other kinds

    def __len__(self) -> int:
        return len(self.kind)


def decode(data: bytes) -> tuple[Frames, int, dict[str, int]]:
    """Whole frames, how many octets of `data` they and what fell take, and how many fell by reason.

    The rest is a frame that is not whole yet: put it before what comes next. Reasons: `truncated` (a frame begins
    within another), `unknown-frame`, `not-a-frame` (octets between frames).
    """
    # A single escape at the end may be half of a pair, or a beginning: it waits.
    waiting = (len(data) - len(data.rstrip(b"\x1a"))) % 2
    raw = np.frombuffer(data, np.uint8, len(data) - waiting)
    escape = raw == ESCAPE
    # Within a run of escapes every pair is one octet; an odd one at its end begins a frame.
    index = np.arange(len(raw))
    before = np.maximum.accumulate(np.where(escape, -1, index)) if len(raw) else index
    second = escape & ((index - before) % 2 == 0)
    ends_run = escape & ~np.append(escape[1:], np.zeros(min(len(raw), 1), np.bool_))
    begins = ends_run & ~second
    body = raw[~second]
    place = np.cumsum(~second) - 1
    starts_raw = np.flatnonzero(begins)
    starts = place[starts_raw]
    follow = np.append(starts[1:], len(body))
    kind = np.append(body, np.uint8(0))[starts + 1]
    length = _LENGTH[kind]
    room = follow - starts
    faults: dict[str, int] = {}
    used = len(raw)
    if len(starts) and (room[-1] < 2 or room[-1] < length[-1]):  # it may still become whole
        used = int(starts_raw[-1])
        starts, kind, length, room = starts[:-1], kind[:-1], length[:-1], room[:-1]
    for reason, bad in (
        ("unknown-frame", length == 0),
        ("truncated", room < length),
        ("not-a-frame", (length > 0) & (room > length)),
    ):
        if bad.any():
            faults[reason] = int(np.count_nonzero(bad))
    if used and (not begins[0]):  # the tail of something that began before we listened
        faults["not-a-frame"] = faults.get("not-a-frame", 0) + 1
    whole = (length > 0) & (room >= length) & (kind != RECEIVER)
    return _frames(body, starts[whole], kind[whole]), used, faults


def encode(frames: Frames) -> bytes:
    """The octets of frames; they read back."""
    made = bytearray()
    for n in range(len(frames)):
        kind = int(frames.kind[n])
        octets = int(_LENGTH[kind]) - HEAD
        ticks = int(frames.ticks[n])
        said = frames.octets[n].tobytes()
        inner = ticks.to_bytes(6, "big") if ticks >= 0 else bytes(6)
        inner += bytes([int(frames.signal[n])]) + (said[-octets:] if kind == SHORT else said[:octets])
        made += bytes([ESCAPE, kind]) + inner.replace(b"\x1a", b"\x1a\x1a")
    return bytes(made)


def _frames(body: U1, starts: I8, kind: U1) -> Frames:
    padded = np.append(body, np.zeros(HEAD + MODE_S_OCTETS, np.uint8))
    rows = padded[starts[:, None] + _COLUMNS]
    octets = rows[:, HEAD:]
    short: B1 = kind == SHORT
    if short.any():
        octets = octets.copy()
        octets[short, 7:] = octets[short, :7]
        octets[short, :7] = 0
    ticks = rows[:, 2:8].astype(np.int64) @ _POWERS
    return Frames(kind, np.where((ticks == 0) | (ticks == _MLAT), -1, ticks), rows[:, 8], octets)
