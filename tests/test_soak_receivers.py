"""A sample of the soak's campaign on receivers: injured streams stop no bridge, and what is whole is read again."""

from __future__ import annotations

import pytest

from tests.soak.receivers import STREAM, WHOLE_EVERY, judge_streamed, streamed


@pytest.mark.parametrize("name", sorted(STREAM))
def test_injured_streams_stop_no_bridge(name: str) -> None:
    counts = streamed(f"{name} 1", 4 * WHOLE_EVERY)
    assert counts["streams"] == 4 * WHOLE_EVERY
    (verdict,) = judge_streamed([counts])
    assert verdict.holds, verdict.words
