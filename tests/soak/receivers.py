"""A campaign of injured streams on every bridge of receivers: what follows an injury is read as if there were none."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence

import numpy as np

from adapters.bridges.bearings import ANY, Bearings, Named
from adapters.bridges.beast import Beast
from adapters.bridges.common import Heard
from adapters.bridges.readsb import Readsb
from adapters.bridges.remoteid import RemoteId
from adapters.bridges.reports import Reports
from adapters.bridges.sbs import Sbs
from adapters.bridges.source import Listener
from adapters.wire import rfc3339
from tests.soak.campaign import Campaign, Counts, Verdict, total

STREAMS = 20_000  # of one piece, a second apart
WHOLE_EVERY = 50  # streams, one of them without an injury
STALL_S = 0.25
START_US = 1_795_000_000_000_000
SPICE = [b"\x1a", b"\x1a\x1a", b"\x1a3", b"\n", b",", b"{", b'"', b"\xff", b"NaN", b"9" * 400, b"[" * 500, b"MSG,3,"]


def beast(at_us: int) -> bytes:
    """Two positions of one aircraft, its name and its velocity."""
    from tests import squitters

    address, height = np.array([0x4840D6]), np.full(1, 3_000.0)
    place = [
        squitters.positions(address, np.full(1, 54.5), np.full(1, 25.0), height, np.array([odd])) for odd in (0, 1)
    ]
    speed = squitters.velocities(address, np.full(1, 100.0), np.full(1, 50.0))
    octets = np.concatenate([*place, squitters.names(address, "LOT12"), speed])
    return squitters.frames(octets, np.full(4, (at_us - START_US) * 12 + 1))


def sbs(at_us: int) -> bytes:
    """A name, a velocity and a position."""
    head = b"1,1,4CA2D6,1,2026/11/23,06:15:00.123,2026/11/23,06:15:00.150"
    tails = (b"RYR1427,,,,,,,,,,,", b",,200,90,,,-640,,,,,", b",10000,,,54.5,25.25,,,0,0,0,0")
    del at_us  # its clock is not believed, and nothing is lost by it
    return b"".join(b"MSG,%d,%s,%s\r\n" % (kind, head, tail) for kind, tail in zip((1, 4, 3), tails, strict=True))


def readsb(at_us: int) -> bytes:
    """An aircraft of the JSON port."""
    said = {"hex": "4ca2d6", "flight": "RYR1427", "lat": 54.5, "lon": 25.25, "alt_baro": 9_000, "gs": 200.5}
    return json.dumps({"now": at_us / 1e6, **said, "track": 90.0, "nac_p": 9, "seen_pos": 0.25}).encode() + b"\n"


def remoteid(at_us: int) -> bytes:
    """A drone, taken apart and raw."""
    from adapters.formats.remoteid import BasicId, Location, pack

    place = Location(
        status=2, lat_deg=54.5, lon_deg=25.25, altitude_geo_m=160.0, time_s=at_us // 100_000 % 36_000 / 10.0
    )
    raw = {"transmitter": "a", "raw": pack([BasicId(1, 2, "MFG1A0123456789"), place]).hex()}
    apart = {"transmitter": "b", "location": {"lat_deg": 54.5, "lon_deg": 25.25}}
    return b"".join(json.dumps(one).encode() + b"\n" for one in (raw, apart))


def bearings(at_us: int) -> bytes:
    """Two directions and a state."""
    from adapters.formats.bearing import Bearing, State, encode_line

    return encode_line(Bearing(at_us, 1.0)) + encode_line(State("ok")) + encode_line(Bearing(at_us, 2.0, 0.1, 0.05))


def reports(at_us: int) -> bytes:
    """A report as an object; a table that was torn would tear what follows, and is for the tests of its format."""
    said = {"time": at_us / 1e6, "lat_deg": 54.5, "lon_deg": 25.25, "words": "like a moped", "id": str(at_us)}
    return json.dumps({**said, "time": rfc3339(at_us)}).encode() + b"\n"


STREAM: dict[str, tuple[Callable[[str], Listener], Callable[[int], bytes]]] = {
    "beast": (Beast, beast), "bearings": (lambda name: Bearings(Named({ANY: name})), bearings),
    "readsb": (Readsb, readsb), "remoteid": (RemoteId, remoteid), "reports": (Reports, reports), "sbs": (Sbs, sbs),
}  # fmt: skip


def injured_stream(stream: bytes, luck: random.Random) -> bytes:
    """After one to four injuries."""
    body = bytearray(stream)
    for _ in range(luck.randint(1, 4)):
        at, kind = luck.randrange(len(body) + 1), luck.randrange(3)
        if kind == 0:
            body[at:at] = luck.choice(SPICE)
        elif kind == 1:
            del body[at : at + luck.randint(1, 12)]
        elif at < len(body):
            body[at] = luck.randrange(256)
    return bytes(body)


def streamed(piece: str, streams: int = STREAMS) -> Counts:
    """Injured streams of one format through one bridge: "beast 3"."""
    make, sample = STREAM[piece.split(maxsplit=1)[0]]
    luck, receiver = random.Random(piece), make("A1")
    octets = refused = plots = 0
    longest_s = 0.0
    for n in range(streams):
        at_us, heard = START_US + n * 1_000_000, Heard()
        stream = sample(at_us)
        whole = n % WHOLE_EVERY == WHOLE_EVERY - 1
        if whole:
            receiver.cut()
        else:
            stream = injured_stream(stream, luck)
        cuts = sorted(luck.randrange(len(stream) + 1) for _ in range(luck.randrange(3)))
        begun_s = time.thread_time()
        for first, last in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            receiver.hear([(at_us, stream[first:last])], heard)
        longest_s = max(longest_s, time.thread_time() - begun_s)
        found = sum(map(len, heard.batches)) + len(heard.reports)
        assert found or not whole, (piece, n, dict(heard.refused))
        octets, plots, refused = octets + len(stream), plots + found, refused + sum(heard.refused.values())
    assert longest_s < STALL_S, f"one stream took {longest_s:.3f} s of CPU"
    return {"streams": streams, "octets": octets, "plots": plots, "refused": refused}


def judge_streamed(found: Sequence[Counts]) -> list[Verdict]:
    """No piece crashed, stalled or stayed deaf, or it would have failed."""
    streams, plots, refused = (total(found, name) for name in ("streams", "plots", "refused"))
    words = f"{streams:,.0f} streams, {plots:,.0f} plots, {refused:,.0f} faults counted: no crash, and none stays deaf"
    return [Verdict(plots > 0 and refused > 0, words)]


CAMPAIGNS = (
    Campaign(
        "receivers",
        "Injured streams of receivers (Beast, SBS, JSON lines, Remote ID, directions, reports), cut anywhere: each "
        "fault is counted, and a whole stream after it gives its plots.",
        tuple(f"{name} {seed}" for name in STREAM for seed in range(1, 6)),
        streamed,
        judge_streamed,
    ),
)
