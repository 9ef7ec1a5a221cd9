"""Track ids to pass over: read back as written, refused otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.formats import skip
from fusion.schema import Invalid


@given(st.integers(0, skip.MAX_IDS))
def test_it_reads_back(ids: int) -> None:
    assert skip.decode(skip.encode(ids)) == ids


@pytest.mark.parametrize(
    "payload",
    [
        skip.encode(-1),
        skip.encode(skip.MAX_IDS + 1),
        b"{}",
        b"",
        b'{"schema":"vedette.skip.v1"}',
        b'{"schema":"vedette.skip.v1","ids":1.5}',
    ],
)
def test_what_is_none_is_refused(payload: bytes) -> None:
    with pytest.raises(Invalid):
        skip.decode(payload)
