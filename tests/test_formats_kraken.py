"""Lines as a KrakenSDR writes them: in both senses of its angle, and what contradicts itself is not believed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.formats import kraken
from adapters.formats.kraken import Line

T_MS = 1_795_435_200_123


def powers(*most: int) -> tuple[float, ...]:
    """A spectrum that is greatest there, as a real one is: with a slope to both sides."""
    return tuple(round(40.0 - min(min((n - m) % 360, (m - n) % 360) for m in most) / 9.0, 2) for n in range(360))


def line(**changed: Any) -> Line:
    """A good one: the transmitter is 40 degrees to the left of antennas that point to 100."""
    good = Line(T_MS, 40.0, 8.5, -21.3, 433_920_000, "RDF-hill", 54.5, 25.2, 100.0, powers(40))
    return replace(good, **changed)


def test_fields_stand_where_its_makers_say() -> None:
    text = f"{T_MS}, 40, 8.5, -21.3, 433920000, UCA, 182, RDF-hill, 54.5, 25.2, 100.0, 100.0, GPS, R, R, R, R"
    text += "".join(f", {power:.2f}" for power in powers(40)) + " \n"
    ((found,), rejected) = kraken.decode(text.encode())
    assert not rejected
    assert found == line()
    assert found.t_us == T_MS * 1_000
    assert math.degrees(found.azimuth_rad()) == pytest.approx(60.0)


@pytest.mark.parametrize(("heading", "counter", "azimuth"), [(0, 90, 270), (350, 340, 10), (10, 0, 10), (90, 180, 270)])
def test_the_bearing_is_the_heading_less_the_angle_whatever_its_sense(heading: int, counter: int, azimuth: int) -> None:
    for angle in (counter, 360 - counter, -counter):
        one = line(angle_deg=float(angle), heading_deg=float(heading), powers=powers(counter))
        assert math.degrees(one.azimuth_rad()) == pytest.approx(azimuth)


def test_a_compass_is_taken_where_it_is_the_one_that_counts() -> None:
    fields = kraken.encode([line()]).decode().split(", ")
    fields[10:13] = ["5.0", "100.0", "Compass"]
    ((found,), _) = kraken.decode(", ".join(fields).encode())
    assert found.heading_deg == 100.0


@given(st.integers(0, 359), st.integers(0, 3_599).map(lambda tenths: tenths / 10.0), st.integers(T_MS - 10**10, T_MS))
def test_what_is_written_reads_back(counter: int, heading: float, t_ms: int) -> None:
    lines = [line(t_ms=t_ms, angle_deg=float(counter), heading_deg=heading, powers=powers(counter)), line()]
    assert kraken.decode(kraken.encode(lines)) == (lines, {})


def test_what_is_wrong_costs_its_own_line() -> None:
    good = kraken.encode([line()])

    def with_field(n: int, value: str) -> bytes:
        fields = good.decode().split(", ")
        fields[n] = value
        return ", ".join(fields).encode()

    bad = [
        with_field(0, "noon"), with_field(0, "1"), with_field(1, "nan"), with_field(10, "999"), b"1, 2, 3\n",
        kraken.encode([line(angle_deg=200.0)]), kraken.encode([line(powers=powers(40, 320))]), b"\xff\xfe\n",
    ]  # fmt: skip
    found, rejected = kraken.decode(b"".join([*bad, good]))
    assert found == [line()]
    assert rejected == {
        "malformed": 1, "bad-time": 1, "not-finite": 1, "out-of-range": 1, "missing-field": 1, "inconsistent": 2,
        "not-utf8": 1,
    }  # fmt: skip
    found, rejected = kraken.decode(good * (kraken.MOST_CHANNELS + 3))
    assert (len(found), rejected) == (kraken.MOST_CHANNELS, {"too-many-plots": 3})


@given(st.binary(max_size=400))
def test_no_octets_at_all_stop_it(body: bytes) -> None:
    found, rejected = kraken.decode(body)
    assert len(found) + sum(rejected.values()) == sum(1 for one in body.splitlines() if one.strip())
