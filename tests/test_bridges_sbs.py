"""Lines of a receiver become plots that carry what each aircraft said in other messages, while it is fresh."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from adapters.bridges.common import Heard
from adapters.bridges.sbs import Sbs
from fusion.schema import Plots

RX_US = 1_795_000_000_000_000


def line(kind: int, after_s: float, values: str, zone_h: int = 2, address: str = "4CA2D6") -> bytes:
    """A message; `values` are the fields from the callsign on."""
    when = datetime.fromtimestamp(RX_US / 1e6 + after_s, UTC) + timedelta(hours=zone_h)
    text = f"{when:%Y/%m/%d,%H:%M:%S}.{when.microsecond // 1000:03d}"
    return f"MSG,{kind},1,1,{address},1,{text},{text},{values}\r\n".encode()


def name(after_s: float) -> bytes:
    return line(1, after_s, "RYR1427 ,,,,,,,,,,,")


def place(after_s: float, address: str = "4CA2D6") -> bytes:
    return line(3, after_s, ",10000,,,54.5,25.25,,,0,0,0,0", address=address)


def speed(after_s: float) -> bytes:
    return line(4, after_s, ",,200,90,,,-640,,,,,")


def squawk(after_s: float) -> bytes:
    return line(6, after_s, ",10000,,,,,,7000,0,0,0,0")


def hear(receiver: Sbs, *lines: bytes, at_s: float = 0.0) -> tuple[Plots | None, Counter[str]]:
    heard = Heard()
    receiver.hear([(RX_US + round(at_s * 1e6), b"".join(lines))], heard)
    assert len(heard.batches) <= 1
    return (heard.batches[0] if heard.batches else None), heard.refused


def test_what_an_aircraft_said_before_is_in_its_plot() -> None:
    batch, refused = hear(Sbs("A1"), name(0), squawk(0.1), speed(0.2), place(0.5), at_s=0.6)
    assert batch is not None
    assert not refused
    assert (batch.sensor, len(batch), batch.rx_us) == ("A1", 1, RX_US + 600_000)
    assert batch.t_us[0] == RX_US + 500_000  # in the zone that fits
    assert np.degrees([batch.lat_rad[0], batch.lon_rad[0]]) == pytest.approx([54.5, 25.25])
    assert batch.velocity_east_mps[0] == pytest.approx(200 * 1852 / 3600)
    assert batch.velocity_north_mps[0] == pytest.approx(0.0, abs=1e-9)
    assert batch.velocity_up_mps[0] == pytest.approx(-640 * 0.3048 / 60)
    assert batch.pressure_height_m[0] == pytest.approx(3_048.0)
    assert (batch.address[0], batch.mode3a[0], batch.callsign[0]) == (0x4CA2D6, 0o7000, b"RYR1427")
    assert batch.on_ground[0] == 0


def test_what_is_too_old_is_not() -> None:
    receiver = Sbs("A1")
    assert hear(receiver, name(0), squawk(0), speed(0))[0] is None  # without a place there is no plot
    for after_s, velocity, code in ((4.0, True, True), (6.0, False, True), (61.0, False, False), (599.0, False, False)):
        batch, _ = hear(receiver, place(after_s), at_s=after_s)
        assert batch is not None
        assert bool(np.isfinite(batch.velocity_east_mps[0])) is velocity
        assert bool(batch.mode3a[0] >= 0) is code
        assert batch.callsign[0] == b"RYR1427"
    batch, _ = hear(receiver, place(601.0), place(601.0, "4CA2D7"), at_s=601.0)
    assert batch is not None
    assert batch.callsign.tolist() == [b"", b""]


def test_a_clock_that_nobody_can_believe_is_told_and_the_arrival_taken() -> None:
    batch, refused = hear(Sbs("A1"), place(-100.0))
    assert batch is not None
    assert batch.t_us[0] == RX_US
    assert refused == {"clock-not-believed": 1}


def test_torn_and_strange_lines_stop_nothing() -> None:
    receiver, whole = Sbs("A1"), place(0.0)
    assert hear(receiver, whole[:30])[0] is None
    batch, refused = hear(
        receiver, whole[30:], b"\xff\xfe\n", b"MSG,3,1\n", b"AIR,,1\n", whole.replace(b"10000", b"9999999")
    )
    assert batch is not None
    assert len(batch) == 1
    assert refused == {"malformed": 2, "not-a-message": 1, "out-of-range": 1}
    hear(receiver, whole[:30])
    receiver.cut()
    batch, refused = hear(receiver, whole[30:], whole)
    assert batch is not None
    assert (len(batch), dict(refused)) == (1, {"malformed": 1})
