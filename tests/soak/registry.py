"""Every campaign by its name. A new file of them is one line here."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from tests.soak.campaign import Campaign

MODULES = (
    "tests.soak.suite",
    "tests.soak.flights",
    "tests.soak.nights",
    "tests.soak.restarts",
    "tests.soak.evidence",
    "tests.soak.chaos",
    "tests.soak.floods",
    "tests.soak.replays",
    "tests.soak.receivers",
    "tests.soak.outlets",
    "tests.soak.asterix",
    "tests.soak.texts",
)


def campaigns(modules: Sequence[str] = MODULES) -> tuple[Campaign, ...]:
    """In the order in which the page has them."""
    found: list[Campaign] = []
    for name in modules:
        found += import_module(name).CAMPAIGNS
    names = [campaign.name for campaign in found]
    assert len({*names}) == len(names), f"a name twice: {names}"
    for campaign in found:
        assert campaign.pieces, campaign.name
        assert len({*campaign.pieces}) == len(campaign.pieces), f"{campaign.name}: a piece twice"
    return tuple(found)
