"""The frame of load: reads back, and refuses what it cannot mean."""

from __future__ import annotations

import pytest

from adapters.formats import load
from fusion.schema import Invalid
from fusion.thinning import MOST, Load


@pytest.mark.parametrize("level", range(MOST + 1))
def test_what_is_written_reads_back(level: int) -> None:
    assert load.decode(load.encode(Load(5, level), 0.3105), 5) == Load(5, level)
    assert b'"busy_ms":310.5' in load.encode(Load(5, level), 0.3105)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"schema":"vedette.load.v1","level":4}', "out-of-range"),
        (b'{"schema":"vedette.load.v1","level":-1}', "out-of-range"),
        (b'{"schema":"vedette.load.v1","level":1.5}', "malformed"),
        (b'{"schema":"vedette.load.v1"}', "missing-field"),
        (b'{"schema":"vedette.clock.v1","level":1}', "wrong-schema"),
        (b"{", "malformed"),
    ],
)
def test_what_it_cannot_mean_is_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(Invalid) as refused:
        load.decode(payload, 5)
    assert refused.value.reason == reason
