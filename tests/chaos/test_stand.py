"""Faults of the broker and the line, on real processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.faults import BROKER, schedule
from tests.chaos.stand import Stand

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with Stand(tmp_path_factory.mktemp("chaos")) as running:
        yield running


@pytest.mark.parametrize("seed", range(len(BROKER)))
def test_an_alert_comes_through_every_fault_of_broker_and_line(stand: Stand, seed: int) -> None:
    stand.fly(f"seed {seed}", schedule(seed, BROKER))
    assert stand.sensors.unfused.fell == 0


def test_then_the_books_balance(stand: Stand) -> None:
    faults = stand.close_books()
    assert not faults, "\n".join([*faults, stand.tale()])
