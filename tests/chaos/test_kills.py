"""Faults of the service itself: it dies at named places, is stopped, its disk and its clock go wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.faults import SERVICE, schedule
from tests.chaos.stand import Stand

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with Stand(tmp_path_factory.mktemp("chaos")) as running:
        yield running


@pytest.mark.parametrize("seed", range(len(SERVICE)))
def test_an_alert_comes_through_every_fault_of_the_service(stand: Stand, seed: int) -> None:
    stand.fly(f"seed {seed}", schedule(seed, SERVICE))
    assert stand.sensors.unfused.fell == 0


def test_then_the_books_balance(stand: Stand) -> None:
    faults = stand.close_books()
    assert not faults, "\n".join([*faults, stand.tale()])
