"""Raw 1090 MHz becomes plots: where an independent decoder finds them too, with what was said in pieces."""

from __future__ import annotations

import gzip
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rs1090
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bridges.beast import Beast, Ticks
from adapters.bridges.common import Heard
from adapters.modes import squitter
from adapters.modes.accuracies import SIGMA_BY_NACP_M, SIGMA_BY_NACV_MPS
from fusion.schema import I8, Plots
from tests import squitters
from tests.test_squitter import FLIGHT, octets_of

RX_US = 1_795_000_000_000_000
ONE = np.array([0x4840D6])


def hear(receiver: Beast, *octets: squitters.U1, after_s: float = 0.0) -> tuple[Plots | None, Counter[str]]:
    """Messages that come together at a time."""
    rx_us, heard = RX_US + round(after_s * 1e6), Heard()
    together = np.concatenate(octets)
    receiver.hear([(rx_us, squitters.frames(together, np.full(len(together), 1 + round(after_s * 12e6))))], heard)
    assert len(heard.batches) <= 1
    return (heard.batches[0] if heard.batches else None), heard.refused


def place(odd: int, lat_deg: float = 54.5, lon_deg: float = 25.25, address: I8 = ONE) -> squitters.U1:
    """A position 3,000 m high."""
    n = len(address)
    lat, lon, height = np.full(n, lat_deg), np.full(n, lon_deg), np.full(n, 3_000.0)
    return squitters.positions(address, lat, lon, height, np.full(n, odd))


def test_what_an_aircraft_said_in_pieces_is_one_plot() -> None:
    receiver = Beast("A1")
    batch, refused = hear(
        receiver, squitters.names(ONE, "LOT12"), squitters.states(ONE, nacp=10),
        squitters.velocities(ONE, np.array([100.0]), np.array([-50.0])), place(0),
    )  # fmt: skip
    assert batch is None  # one message does not tell where on earth
    assert not refused
    batch, refused = hear(receiver, place(1), after_s=0.5)
    assert batch is not None
    assert not refused
    assert np.degrees([batch.lat_rad[0], batch.lon_rad[0]]) == pytest.approx([54.5, 25.25], abs=3e-5)
    assert batch.pressure_height_m[0] == pytest.approx(3_000.0, abs=4.0)
    assert batch.height_m[0] - batch.pressure_height_m[0] == pytest.approx(30.48)
    assert batch.velocity_east_mps[0] == pytest.approx(100.0, abs=0.3)
    assert batch.velocity_north_mps[0] == pytest.approx(-50.0, abs=0.3)
    assert (batch.address[0], batch.callsign[0], batch.category[0]) == (0x4840D6, b"LOT12", 3)
    assert (batch.nic[0], batch.nacp[0], batch.nacv[0], batch.sil[0], batch.on_ground[0]) == (8, 10, 2, 3, 0)
    assert batch.sigma_position_m[0] == SIGMA_BY_NACP_M[11]
    assert batch.sigma_velocity_mps[0] == SIGMA_BY_NACV_MPS[3]
    assert abs(batch.t_us[0] - RX_US - 500_000) <= 1


def test_a_code_comes_in_a_reply_of_an_address_that_is_known() -> None:
    octets = np.zeros((1, 14), np.uint8)
    octets[0, :3], octets[0, 2:4] = (21 << 3, 0, 0), (0b00001010, 0b10101010)  # all of A and C, none of B and D
    reply = squitter.sealed(octets)
    reply[0, -3:] ^= np.array([0x48, 0x40, 0xD6], np.uint8)  # an interrogated aircraft adds its address
    receiver = Beast("A1")
    hear(receiver, reply, place(0))
    batch, _ = hear(receiver, place(1), after_s=0.2)
    assert batch is not None
    assert batch.mode3a[0] == -1  # nobody had that address yet: it may have been an error
    hear(receiver, reply, after_s=0.3)
    batch, _ = hear(receiver, place(0), after_s=0.4)
    assert batch is not None
    assert batch.mode3a[0] >= 0
    batch, _ = hear(receiver, place(1), after_s=61.0)
    assert batch is not None
    assert (batch.mode3a[0], batch.callsign[0]) == (-1, b"")


def test_one_message_is_enough_where_the_place_is_known() -> None:
    receiver = Beast("A1")
    hear(receiver, place(0), place(1))
    batch, _ = hear(receiver, place(1, 54.9, 25.5), after_s=300.0)
    assert batch is not None
    assert np.degrees([batch.lat_rad[0], batch.lon_rad[0]]) == pytest.approx([54.9, 25.5], abs=3e-5)
    assert hear(receiver, place(1, 55.5), after_s=901.0)[0] is None


def test_two_aircraft_under_one_address_make_no_third_place() -> None:
    receiver, places = Beast("A1"), []
    refused = Counter[str]()
    hear(receiver, place(0), place(1))
    for n in range(1, 200):
        far = n % 3 == 0
        batch, reasons = hear(receiver, place(n % 2, 54.5 - 0.8 * far, 25.25 + 0.8 * far), after_s=n / 4)
        refused += reasons
        if batch is not None:
            places.append(np.degrees(batch.lat_rad[0]))
    assert refused["ambiguous-position"] > 50
    assert all(min(abs(lat - 54.5), abs(lat - 53.7)) < 1e-3 for lat in places)
    hear(receiver, place(0, 10.0, 10.0), place(1, 10.0, 10.0), after_s=90.0)  # and a new beginning is believed
    batch, _ = hear(receiver, place(0, 10.0, 10.0), after_s=90.5)
    assert batch is not None
    assert np.degrees(batch.lat_rad[0]) == pytest.approx(10.0, abs=3e-5)


def test_noise_and_foreign_addresses() -> None:
    broken = place(0)
    broken[0, 7] ^= 1
    foreign = place(0)
    foreign[0, 0] = 18 << 3 | 1
    foreign = squitter.sealed(foreign)
    other = place(1)
    other[0, 0] = 18 << 3 | 1
    other = squitter.sealed(other)
    batch, refused = hear(Beast("A1"), broken, foreign, place(1), other)
    assert refused == {"parity": 1}
    assert batch is not None
    assert batch.address.tolist() == [-1]  # the pair of who has no address of ICAO's, not of who has that number


def test_the_receivers_counter_tells_when_and_not_after_it_came() -> None:
    clock = Ticks()
    assert (clock.times_us(np.array([12_000, 612_000, -1]), RX_US) - RX_US).tolist() == [-50_000, 0, 0]
    assert (clock.times_us(np.array([1_212_000]), RX_US + 90_000) - RX_US).tolist() == [50_005]  # 40 ms on the way
    assert clock.times_us(np.array([5]), RX_US + 15_000_000).tolist() == [RX_US + 15_000_000]  # it began anew


def test_a_backlog_is_of_the_time_when_it_was_received() -> None:
    clock, found = Ticks(), list[int]()
    for n in range(50):  # ten frames a second; between 2 and 4 s nothing comes through, then all within 0.2 s
        after_us = n * 100_000
        delay_us = 4_000_000 + (n - 20) * 10_000 - after_us if 20 <= n < 40 else 0
        t_us = clock.times_us(np.array([after_us * 12 + 7]), RX_US + after_us + delay_us)
        found.append(int(t_us[0]) - RX_US - after_us)
    assert max(map(abs, found)) < 1_000


def test_a_counter_that_began_anew_close_by_is_believed_after_half_a_minute() -> None:
    clock = Ticks()
    clock.times_us(np.array([12]), RX_US)
    off = [
        int(clock.times_us(np.array([n * 12_000_000 + 12]), RX_US + n * 1_000_000 + 4_000_000)[0]) for n in range(1, 60)
    ]
    late_us = [RX_US + n * 1_000_000 + 4_000_000 - t_us for n, t_us in enumerate(off, 1)]
    assert late_us[0] > 3_900_000
    assert max(late_us[30:]) < 1_000


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 300_000)), min_size=1, max_size=30))
def test_delays_on_the_way_are_taken_out(told: list[tuple[int, int]]) -> None:
    clock, sent_us, least = Ticks(), RX_US, 10**9
    for gap_us, delay_us in told:
        sent_us += gap_us
        least = min(least, delay_us)
        t_us = clock.times_us(np.array([(sent_us - RX_US) * 12 + 1_000]), sent_us + delay_us)
        assert t_us[0] <= sent_us + delay_us
        assert sent_us - 84 <= t_us[0] <= sent_us + least + (sent_us - RX_US) * 2e-4 + 84


@pytest.mark.real_data
def test_a_real_flight_is_where_an_independent_decoder_finds_it(data: Path) -> None:
    lines = gzip.decompress((data / FLIGHT).read_bytes()).decode().splitlines()[1:]
    times = [round(float(line.split(",")[0]) * 1e6) for line in lines]
    hexes = [line.split(",")[1] for line in lines]
    octets, long = octets_of(hexes)
    receiver, heard, t_us = Beast("A1"), Heard(), np.array(times)
    cuts = np.searchsorted(t_us, np.arange(t_us[0], t_us[-1] + 20_000_000, 20_000_000))
    for a, b in pairwise(cuts.tolist()):
        if b > a:
            receiver.read(octets[a:b], long[a:b], t_us[a:b], int(t_us[b - 1]), heard)
    ours = {
        int(t): place
        for batch in heard.batches
        for t, *place in zip(batch.t_us, np.degrees(batch.lat_rad), np.degrees(batch.lon_rad), strict=True)
    }
    theirs: dict[int, list[Any]] = {
        times[n]: [found["latitude"], found["longitude"]]
        for n, found in enumerate(map(dict, rs1090.decode(hexes, [us / 1e6 for us in times])))
        if found.get("latitude") is not None
    }
    assert theirs.keys() <= ours.keys()
    assert len(ours) - len(theirs) < 150  # they want another pair where we know the place
    assert not heard.refused
    np.testing.assert_allclose([ours[t] for t in theirs], list(theirs.values()), rtol=0, atol=1e-9)


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=80), max_size=6), st.data())
def test_no_octets_at_all_stop_it(pieces: list[bytes], data: st.DataObject) -> None:
    receiver, heard = Beast("A1"), Heard()
    good = squitters.frames(np.concatenate([place(0), place(1)]), np.array([12, 24]))
    for piece in pieces:
        cut = data.draw(st.integers(0, len(good)))
        receiver.hear([(RX_US, piece + good[cut:])], heard)
    assert all(count > 0 for count in heard.refused.values())
    receiver.cut()
    after = Heard()
    receiver.hear([(RX_US + 700_000_000, good)], after)
    assert [len(batch) for batch in after.batches] == [1]
