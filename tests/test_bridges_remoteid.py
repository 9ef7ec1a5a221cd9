"""Lines of a Remote ID receiver become plots; names said apart are put together; nothing stops it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bridges.common import Heard
from adapters.bridges.remoteid import RemoteId
from adapters.formats import remoteid
from tests.test_formats_remoteid import NAME, RX_US, place


def line(transmitter: str, **said: Any) -> bytes:
    """One of them."""
    return json.dumps({"transmitter": transmitter, **said}).encode() + b"\n"


def hear(receiver: RemoteId, octets: bytes) -> Heard:
    """What octets add."""
    heard = Heard()
    receiver.hear([(RX_US, octets)], heard)
    return heard


def test_messages_that_come_one_by_one_are_put_together() -> None:
    receiver = RemoteId("D1")
    assert not hear(receiver, line("a", raw=remoteid.encode_message(NAME).hex())).batches
    both = line("a", raw=remoteid.encode_message(place()).hex()) + line("b", raw=remoteid.encode_message(place()).hex())
    heard = hear(receiver, both + both)
    assert [batch.serial.tolist() for batch in heard.batches] == [[NAME.uas_id.encode(), b""]]
    assert (heard.pieces, dict(heard.refused)) == (4, {})


def test_bad_lines_fall_by_reason() -> None:
    good = line("a", location={"lat_deg": 54.5, "lon_deg": 25.2})
    bad = (
        line("a", raw="zz"),
        b"nonsense\n",
        b"{}\n",
        line("a", location={"lat_deg": 1}),
        line("a", time="noon", raw=""),
    )
    heard = hear(RemoteId("D1"), b"".join([*bad, good, line("a", location={"lat_deg": 99, "lon_deg": 1})]))
    assert dict(heard.refused) == {"malformed": 2, "missing-field": 2, "bad-time": 1, "out-of-range": 1}
    assert [len(batch) for batch in heard.batches] == [1]


@settings(max_examples=80)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_octets_at_all_stop_it(pieces: list[bytes]) -> None:
    receiver = RemoteId("D1")
    for piece in pieces:
        hear(receiver, piece)
    receiver.cut()
    heard = hear(receiver, line("a", location={"lat_deg": 54.5, "lon_deg": 25.2}))
    assert [len(batch) for batch in heard.batches] == [1]
