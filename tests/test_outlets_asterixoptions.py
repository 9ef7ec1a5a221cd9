"""What is wrong on the command line is said with the option and a cure."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapters.errors import ConfigError
from adapters.outlets.asterixoptions import plane, senders, source_of


def test_what_is_right_is_read() -> None:
    assert source_of("25/100") == (25, 100)
    assert senders(["25/201=R1", "25/11=R2"]) == {"R1": (25, 201), "R2": (25, 11)}
    assert plane("") is None
    lat, lon = plane("90e-1,-180") or (0.0, 0.0)
    assert (lat, lon) == pytest.approx((0.15707963, -3.14159265))


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((source_of, text) for text in ("", "25", "256/1", "1/2/3", "a/b")),
        *((senders, text) for text in ("R1", "25/201=", "25/999=R1", "25/1=R 1")),
        *((plane, text) for text in ("x", "1", "1,2,3", "91,0", "nan,0", "0,inf")),
    ],
)
def test_what_is_wrong_is_refused(read: Callable[..., object], text: str) -> None:
    with pytest.raises(ConfigError, match="--"):
        read([text] if read is senders else text)


def test_a_sensor_has_one_number() -> None:
    with pytest.raises(ConfigError, match="again"):
        senders(["25/201=R1", "25/202=R1"])
