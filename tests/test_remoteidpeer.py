"""A second decoder of Remote ID beside ours: what we write, every list of words, and every real frame that there is."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dpkt
import msgspec
import numpy as np
import pytest

from adapters.formats import remoteid
from adapters.formats.remoteid import BasicId, Location
from tests.conftest import ROOT

PYTHON = ROOT / ".venv" / "judges" / "remoteid" / "bin" / "python"
RECORDINGS = "recordings/remoteid-odid"
MESSAGE, PACK = 25, 3  # octets of a message, and before the first of a pack
BEACON, NAN = bytes.fromhex("fa0bbc0d"), bytes.fromhex("8869199d9209")  # vendor element; service of neighbour awareness
STATUS = ("undeclared", "ground", "airborne", "emergency")
KINDS = (  # of aircraft, as it calls them
    "none", "aeroplane", "helicopter/multirotor", "gyroplane", "VTOL", "ornithopter", "glider", "kite", "free balloon",
    "captive balloon", "airship", "parachute", "rocket", "tethered", "ground obstacle", "other",
)  # fmt: skip


def judged(bodies: Sequence[bytes]) -> list[dict[str, Any]]:
    """What the other decoder reads; an error with the line that installs it, never a skip."""
    if not PYTHON.exists():
        raise RuntimeError(f"homewatch is not installed at {PYTHON}. Cure: make test")
    line, text = [str(PYTHON), str(ROOT / "tests" / "judges" / "remoteid.py")], "".join(f"{b.hex()}\n" for b in bodies)
    done = subprocess.run(line, input=text, capture_output=True, text=True, timeout=120, check=True)
    return [json.loads(one) for one in done.stdout.splitlines()]


def same(ours: BasicId | Location, theirs: dict[str, Any]) -> bool:
    """Whether both read the same; it rounds speeds to a tenth, has no code for "not known", and no place on a zero."""
    if isinstance(ours, BasicId):
        return (ours.uas_id.split("\0")[0].strip(), KINDS[ours.ua_type]) == (theirs["basic_id"], theirs["ua_type"])
    place = [math.nan if value == 0.0 else value for value in (ours.lat_deg, ours.lon_deg)]
    said = [math.nan if value is None else value for value in (theirs["lat"], theirs["lon"])]
    unknown = ours.speed_horizontal_mps == remoteid.NO_SPEED_MPS
    return (
        place == pytest.approx(said, abs=1e-9, nan_ok=True)
        and theirs["speed_ms"] == (None if unknown else round(ours.speed_horizontal_mps, 1))
        and (theirs["alt_m"], theirs["height_agl_m"]) == (ours.altitude_geo_m, ours.height_m)
        and theirs["status"] == (STATUS[ours.status] if ours.status < len(STATUS) else "?")
    )


def parts(pack: bytes) -> list[bytes]:
    """The messages of a pack that say who and where."""
    found = [pack[PACK + MESSAGE * n : PACK + MESSAGE * (n + 1)] for n in range(pack[2])]
    return [one for one in found if one[0] >> 4 in (0, 1)]


def test_it_reads_what_we_write() -> None:
    rng, made = np.random.default_rng(11), list[BasicId | Location]()
    for n in range(4_000):
        half = rng.integers(-2_000, 60_000, 3) / 2.0
        fast = float(rng.integers(0, 255)) * 0.25 if n % 2 else 63.75 + float(rng.integers(1, 254)) * 0.75
        made += [
            Location(
                status=n % 16, lat_deg=int(rng.integers(-9 * 10**8, 9 * 10**8)) / 1e7,
                lon_deg=int(rng.integers(-18 * 10**8, 18 * 10**8)) / 1e7, speed_horizontal_mps=fast,
                altitude_baro_m=half[0], altitude_geo_m=half[1], height_m=half[2],
            ),
            BasicId(n % 5, n % 16, f"1596F{n:015d}"[: 1 + n % 20]),
        ]  # fmt: skip
    octets = [remoteid.encode_message(one) for one in made]
    wrong = [(one, said) for one, said in zip(made, judged(octets), strict=True) if not same(one, said)]
    assert wrong == []
    again = [remoteid.messages(one)[0] for one in octets]
    assert [one for one, said in zip(again, judged(octets), strict=True) if not same(one, said)] == []


def test_a_difference_is_seen() -> None:
    one = Location(lat_deg=54.5, lon_deg=25.25, altitude_geo_m=330.5)
    (theirs,) = judged([remoteid.encode_message(one)])
    assert same(one, theirs)
    changes: list[dict[str, Any]] = [
        {"lat_deg": 54.6}, {"altitude_geo_m": 331.0}, {"height_m": 5.0}, {"status": 2}, {"speed_horizontal_mps": 1.0},
    ]  # fmt: skip
    for wrong in changes:
        assert not same(msgspec.structs.replace(one, **wrong), theirs)


def packs(path: Path) -> list[bytes]:
    """Every pack of a capture, out of the element of a beacon or the service of neighbour awareness."""
    found = list[bytes]()
    with path.open("rb") as file:
        for _, frame in dpkt.pcap.UniversalReader(file):
            for mark, skip in ((BEACON, 1), (NAN, 5)):
                at = frame.find(mark) + len(mark) + skip
                if frame.find(mark) >= 0 and len(frame) > at and frame[at] >> 4 == 0xF:
                    found.append(frame[at : at + PACK + MESSAGE * frame[at + 2]])
    return found


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "places"), [("odid_wifi_bcn_sample.pcap", 21), ("odid_wifi_sample.pcap", 31)])
def test_every_real_message_is_read_as_it_reads_it(data: Path, name: str, places: int) -> None:
    found = packs(data / RECORDINGS / name)
    ours = [one for pack in found for one in remoteid.messages(pack)]
    theirs = judged([one for pack in found for one in parts(pack)])
    assert len(ours) == len(theirs)
    assert [one for one, said in zip(ours, theirs, strict=True) if not same(one, said)] == []
    assert sum(isinstance(one, Location) for one in ours) == places
