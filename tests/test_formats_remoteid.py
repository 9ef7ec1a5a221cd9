"""Remote ID: real beacons as their transmitter was set, every value of every field, and back again."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import dpkt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.formats import remoteid
from adapters.formats.remoteid import BasicId, Heard, Location, Transmitters
from adapters.wire import Decoded, rfc3339_exact
from fusion.schema import SensorKind, SensorSpec

BEACONS = "recordings/remoteid-odid/odid_wifi_bcn_sample.pcap"
SPEC = SensorSpec("D1", 0, SensorKind.REMOTE_ID)
RX_US = 1_795_000_500_000_000  # twenty-one minutes and forty seconds after a full hour
AFTER_HOUR_S = RX_US // 100_000 % 36_000 / 10.0
NAME = BasicId(1, 2, "MFG1A0123456789")


def place(**said: Any) -> Location:
    """A drone in the air that knows all of itself."""
    known = {
        "status": 2, "direction_deg": 90.0, "speed_horizontal_mps": 12.0, "speed_vertical_mps": -2.5, "lat_deg": 54.5,
        "lon_deg": 25.25, "altitude_baro_m": 310.0, "altitude_geo_m": 330.5, "height_m": 80.0,
        "horizontal_accuracy": 11, "vertical_accuracy": 4, "speed_accuracy": 3, "time_s": AFTER_HOUR_S,
    }  # fmt: skip
    return Location(**{**known, **said})


def gathered(*heard: Heard, known: Transmitters | None = None, rx_us: int = RX_US) -> Decoded:
    return remoteid.gathered(
        [(rx_us, one) for one in heard], SPEC, rx_us, Transmitters() if known is None else known, {}
    )


def test_a_pack_is_a_plot_under_its_serial_number() -> None:
    raw = remoteid.pack([NAME, place()])
    heard = [Heard("a", rfc3339_exact(RX_US - 40_000), text) for text in (raw.hex(), base64.b64encode(raw).decode())]
    for one in (*heard, Heard("a", "", "", NAME, place())):
        batch = remoteid.decode(remoteid.encode("D1", [one], 3, 7), SPEC, RX_US).batch
        assert (len(batch), batch.boot, batch.seq) == (1, 3, 7)
        assert np.degrees([batch.lat_rad[0], batch.lon_rad[0]]) == pytest.approx([54.5, 25.25])
        assert (batch.height_m[0], batch.pressure_height_m[0], batch.t_us[0]) == (330.5, 310.0, RX_US)
        assert batch.velocity_east_mps[0] == pytest.approx(12.0)
        assert batch.velocity_north_mps[0] == pytest.approx(0.0, abs=1e-9)
        assert batch.velocity_up_mps[0] == -2.5
        assert batch.sigma_position_m[0] == pytest.approx(3.0 / 2.4477, rel=1e-4)
        assert batch.sigma_height_m[0] == pytest.approx(10.0 / 1.96, rel=1e-4)
        assert batch.sigma_velocity_mps[0] == pytest.approx(1.0 / 2.4477, rel=1e-4)
        assert (batch.serial[0], batch.category[0], batch.on_ground[0]) == (b"MFG1A0123456789", 13, 0)


def test_what_is_not_known_is_not_measured() -> None:
    nothing = Location(lat_deg=54.5, lon_deg=25.25)
    raw = Heard("a", "", remoteid.encode_message(nothing).hex())
    for one in (raw, Heard("a", "", "", None, nothing)):
        batch = gathered(one).batch
        for name in ("height_m", "pressure_height_m", "velocity_east_mps", "velocity_north_mps", "velocity_up_mps"):
            assert np.isnan(getattr(batch, name)[0]), name
        for name in ("sigma_position_m", "sigma_height_m", "sigma_velocity_mps"):
            assert np.isnan(getattr(batch, name)[0]), name
        assert (batch.t_us[0], batch.serial[0], batch.category[0], batch.on_ground[0]) == (RX_US, b"", -1, -1)
    assert gathered(Heard("a", "", "", None, Location(lat_deg=0.0, lon_deg=0.0))).rejected == {"no-position": 1}


@pytest.mark.parametrize(("field", "column"), [
    ("horizontal_accuracy", "sigma_position_m"), ("vertical_accuracy", "sigma_height_m"),
    ("speed_accuracy", "sigma_velocity_mps"), ("status", "on_ground"), ("baro_accuracy", ""), ("time_accuracy", ""),
])  # fmt: skip
def test_every_value_of_every_list_is_taken(field: str, column: str) -> None:
    for value in range(16):
        one = place(**{field: value})
        (back,) = remoteid.messages(remoteid.encode_message(one))
        assert getattr(back, field) == value
        assert not column or len(getattr(gathered(Heard("a", "", "", None, one)).batch, column)) == 1
    for value in range(16):
        batch = gathered(Heard("a", "", "", BasicId(1, value, "X"), place())).batch
        assert batch.category[0] in (-1, 12, 13, 22)


def test_accuracies_are_the_bounds_of_the_standard() -> None:
    """F3411 tables; 95 %: a better category is never a larger sigma, and an unknown one is none."""
    for table, known in ((remoteid.SIGMA_PLACE_M, 12), (remoteid.SIGMA_HEIGHT_M, 6), (remoteid.SIGMA_SPEED_MPS, 4)):
        assert len(table) == 16
        assert np.isfinite(table).tolist() == [False, *[True] * known, *[False] * (15 - known)]
        assert (np.diff(table[1 : known + 1]) < 0).all()


def test_a_name_said_before_belongs_to_its_transmitter_for_a_minute() -> None:
    known = Transmitters()
    first = gathered(Heard("a", "", "", NAME), Heard("b", "", "", None, place()), known=known).batch
    assert first.serial.tolist() == [b""]
    for later_s, serial in ((50, b"MFG1A0123456789"), (61, b"")):
        rx_us = RX_US + later_s * 1_000_000
        moved = place(lat_deg=54.6 + later_s / 100, time_s=rx_us % 3_600_000_000 / 1e6)
        assert gathered(Heard("a", "", "", None, moved), known=known, rx_us=rx_us).batch.serial.tolist() == [serial]


def test_a_repeated_message_is_one_plot() -> None:
    known, one, other = Transmitters(), Heard("a", "", "", None, place()), Heard("b", "", "", None, place())
    assert len(gathered(one, one, one, other, known=known).batch) == 2
    assert len(gathered(one, known=known).batch) == 0


@pytest.mark.parametrize(("kind", "text", "serial"), [
    (1, "ABC\0\0", b"ABC"), (2, "FIN87astrdge12k8", b"FIN87astrdge12k8"), (3, "x" * 16, b""), (4, "abc", b""),
    (0, "", b""), (1, "a\x01b", b""), (1, "\xe4", b""), (1, " A ", b"A"),
])  # fmt: skip
def test_only_ids_that_are_text_and_last_are_serial_numbers(kind: int, text: str, serial: bytes) -> None:
    basic = BasicId(kind, 2, text)
    raw = Heard("a", "", remoteid.pack([basic, place()]).hex())
    assert gathered(raw).batch.serial.tolist() == [serial]
    assert gathered(Heard("a", "", "", basic, place())).batch.serial.tolist() == [serial]


@settings(max_examples=80)
@given(st.integers(0, 35_999), st.integers(0, 12_000), st.integers(-40, 8_000))
def test_a_time_after_the_hour_is_in_the_hour_that_fits(start_ds: int, hours: int, late_ds: int) -> None:
    measured_us = (hours * 36_000 + start_ds) * 100_000 + 1_752_000_000 * 1_000_000
    found = remoteid.measured_us(measured_us // 100_000 % 36_000 / 10.0, measured_us + late_ds * 100_000)
    assert found == (measured_us if late_ds <= 100 else -1)


def test_a_clock_that_nobody_can_believe_is_told_and_the_arrival_taken() -> None:
    for time_s in (3_600.5, 10.0, -1.0):
        made = gathered(Heard("a", "", "", None, place(time_s=time_s)))
        assert (made.batch.t_us[0], made.rejected) == (RX_US, {"clock-not-believed": 1})


@pytest.mark.parametrize("raw", [
    "", "zz", "00", "f0190a" + "00" * 250, "f01901", "f01801" + "00" * 24, "f01901" + "f0" * 25, "60" * 25, "10" * 24,
])  # fmt: skip
def test_what_is_no_message_falls_by_its_reason(raw: str) -> None:
    made = gathered(Heard("a", "", raw), Heard("b", "", "", None, place()))
    assert (len(made.batch), made.rejected) == (1, {"malformed": 1} if raw else {})


def test_messages_that_say_nothing_of_a_plot_are_no_fault() -> None:
    for kind in remoteid.OTHERS:
        assert remoteid.messages(bytes([kind << 4 | 2]) + b"\xff" * 24) == []


def test_the_operators_place_is_nowhere_in_what_is_made() -> None:
    system = (
        bytes([4 << 4 | 2, 1]) + (545_000_001).to_bytes(4, "little") + (251_000_001).to_bytes(4, "little") + bytes(15)
    )
    raw = bytes([0xF2, 25, 2]) + remoteid.encode_message(place()) + system
    batch = gathered(Heard("a", "", raw.hex())).batch
    assert len(batch) == 1
    assert not any(abs(np.degrees(batch.lat_rad) - 54.5000001) < 1e-8)


def halves(low: int, high: int) -> st.SearchStrategy[float]:
    """Steps of a half."""
    return st.integers(2 * low, 2 * high).map(lambda n: n / 2)


LOCATION = st.builds(
    place,
    direction_deg=st.integers(0, 361).map(float), speed_horizontal_mps=st.integers(0, 255).map(lambda n: n * 0.25),
    speed_vertical_mps=halves(-62, 63), lat_deg=st.floats(-90, 90), lon_deg=st.floats(-180, 180),
    altitude_baro_m=halves(-1_000, 30_000), altitude_geo_m=halves(-1_000, 30_000), height_m=halves(-1_000, 30_000),
    height_type=st.integers(0, 1), time_s=st.integers(0, 36_000).map(lambda n: n / 10),
)  # fmt: skip


@settings(max_examples=100)
@given(LOCATION)
def test_what_is_encoded_reads_back(sent: Location) -> None:
    (got,) = remoteid.messages(remoteid.encode_message(sent))
    assert isinstance(got, Location)
    for name in Location.__struct_fields__:
        step = 5.1e-8 if name in ("lat_deg", "lon_deg") else 1e-9
        assert getattr(got, name) == pytest.approx(getattr(sent, name), abs=step), name


@settings(max_examples=150)
@given(st.binary(max_size=240), st.booleans())
def test_no_octets_at_all_break_it(octets: bytes, packed: bool) -> None:
    body = bytes([0xF2, 25, len(octets) // 25]) + octets if packed else octets
    made = gathered(Heard("a", "", body.hex()))
    assert set(made.rejected) <= {"malformed", "no-position", "clock-not-believed", "out-of-range"}
    assert len(made.batch) <= 9


def test_transmitters_without_end_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remoteid, "MOST_TRANSMITTERS", 8)
    known = Transmitters()
    for n in range(50):
        known.named(f"{n}", NAME, RX_US)
        assert known.is_new(f"{n}", place())
    assert len(known) <= 8
    assert known.who("49", RX_US) == (b"MFG1A0123456789", 13)


@pytest.mark.real_data
def test_real_beacons_are_as_their_transmitter_was_set(data: Path) -> None:
    """A test transmitter that flew a circle near Hillsboro at 20.5 m/s, with neither climb nor pressure height."""
    known, found = Transmitters(), list[Decoded]()
    with (data / BEACONS).open("rb") as file:
        for time_s, octets in dpkt.pcap.UniversalReader(file):
            start = octets.find(b"\xfa\x0b\xbc\x0d")  # vendor and type of the element; a counter, then the pack
            raw = octets[start + 5 :].hex()[: 2 * (3 + 25 * 9)]
            found.append(gathered(Heard("a", "", raw), known=known, rx_us=round(time_s * 1e6)))
    assert len(found) == 21
    batches = [one.batch for one in found if len(one.batch)]
    assert len(batches) > 10
    assert {bytes(b.serial[0]) for b in batches} == {b""}  # it says that its id is of no kind
    moving = [b for b in batches if np.isfinite(b.velocity_east_mps[0])]
    assert {round(float(np.hypot(b.velocity_east_mps[0], b.velocity_north_mps[0])), 3) for b in moving} == {20.5}
    for batch in batches:
        assert np.degrees([batch.lat_rad[0], batch.lon_rad[0]]) == pytest.approx([45.54, -122.96], abs=0.03)
        assert np.isnan([batch.velocity_up_mps[0], batch.pressure_height_m[0]]).all()
