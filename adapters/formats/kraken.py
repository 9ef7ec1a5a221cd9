"""KrakenSDR's `DOA_value.html` ("Kraken App" format): where a radio transmitter is, a line of numbers for each channel.

Fields of a line, by the text that its makers give and the program that writes it (krakensdr_doa): 1 time, milliseconds
of the Unix clock; 2 angle of arrival; 3 confidence; 4 power, dB; 5 frequency, Hz; 6 antennas; 7 latency, ms; 8 station;
9, 10 latitude and longitude; 11, 12 heading of the antennas by GNSS and by compass; 13 which of the two; 14 to 17 kept
for later; from 18 on the power from each of 360 directions.

Some versions write field 2 clockwise and others counter-clockwise, and nothing in a line says which. The 360 powers
always go counter-clockwise from where the antennas point: the sense of field 2 is the one in which it finds the
greatest of them, and a line in which it finds that in neither, or in both, is refused. How sure a bearing is is not
said in any unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.wire import parse_time
from fusion.schema import Invalid

HEAD = 17  # fields before the powers
DIRECTIONS = 360
ROUNDED_DB = 0.0101  # powers have two decimals
MOST_CHANNELS = 64


@dataclass(frozen=True, slots=True)
class Line:
    """One channel at one moment. Angles in degrees: those of the antennas, not of the earth."""

    t_ms: int
    angle_deg: float  # field 2
    confidence: float
    power_db: float
    frequency_hz: int
    station: str
    lat_deg: float
    lon_deg: float
    heading_deg: float  # of the antennas, from true north
    powers: tuple[float, ...]  # from each direction, counter-clockwise

    @property
    def t_us(self) -> int:
        """When it was heard, microseconds UTC."""
        return self.t_ms * 1_000

    def azimuth_rad(self) -> float:
        """From true north, clockwise, where the power is greatest.

        Raises:
            Invalid: `inconsistent`: it is not where field 2 says, or there twice.
        """
        turns = dict.fromkeys(round(turn % 360.0, 6) for turn in (self.angle_deg, -self.angle_deg))
        most = max(self.powers) - ROUNDED_DB
        found = [turn for turn in turns if self.powers[round(turn) % DIRECTIONS] >= most]
        if len(found) != 1:
            raise Invalid("inconsistent", f"angle {self.angle_deg:g} and the powers of {self.station[:40]!r}")
        return math.radians((self.heading_deg - found[0]) % 360.0)


def decode(body: bytes) -> tuple[list[Line], dict[str, int]]:
    """The lines of an answer, and how many fell by reason: malformed, missing-field, out-of-range, bad-time,
    not-finite, not-utf8, inconsistent (field 2 is not where the power is greatest), too-many-plots (channels)."""
    found, rejected = list[Line](), dict[str, int]()
    for count, raw in enumerate(line for line in body.splitlines() if line.strip()):
        try:
            if count >= MOST_CHANNELS:
                raise Invalid("too-many-plots")
            found.append(_line(raw))
        except Invalid as fault:
            rejected[fault.reason] = rejected.get(fault.reason, 0) + 1
    return found, rejected


def _line(raw: bytes) -> Line:
    try:
        fields = [field.strip() for field in raw.decode("utf-8").split(",")]
    except UnicodeDecodeError:
        raise Invalid("not-utf8") from None
    if len(fields) != HEAD + DIRECTIONS:
        raise Invalid("missing-field", f"{len(fields)} fields, not {HEAD + DIRECTIONS}")
    try:
        t_ms, frequency_hz = int(fields[0]), int(float(fields[4]))
        angle, confidence, power, lat, lon, gnss, compass = (
            float(fields[n].strip("[]")) for n in (1, 2, 3, 8, 9, 10, 11)
        )
        powers = tuple(float(field) for field in fields[HEAD:])
    except (ValueError, OverflowError):
        raise Invalid("malformed", "a number") from None
    heading = compass if fields[12].lower().startswith("comp") else gnss
    if not all(math.isfinite(value) for value in (angle, heading, *powers)):
        raise Invalid("not-finite")
    if abs(angle) > 360.0 or abs(heading) > 360.0:
        raise Invalid("out-of-range", "an angle")
    parse_time(t_ms / 1_000.0)
    made = Line(t_ms, angle, confidence, power, frequency_hz, fields[7], lat, lon, heading, powers)
    made.azimuth_rad()
    return made


def encode(lines: Sequence[Line]) -> bytes:
    """An answer that reads back as these, as the program writes it."""
    made = []
    for one in lines:
        head = (
            one.t_ms, one.angle_deg, one.confidence, one.power_db, one.frequency_hz, "UCA", 100, one.station,
            one.lat_deg, one.lon_deg, one.heading_deg, one.heading_deg, "GPS", "R", "R", "R", "R",
        )  # fmt: skip
        made.append(", ".join([*map(str, head), *(f"{power:.2f}" for power in one.powers)]) + " \n")
    return "".join(made).encode()
