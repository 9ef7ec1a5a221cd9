"""Which broker a command talks to: the one of its options, or that of the configuration folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.broker import BrokerSettings


def chosen(folder: Path, address: str, site: str) -> tuple[str, BrokerSettings]:
    """Site and broker: from the folder, unless `address` names one; `site` overrides. Raises ConfigError."""
    from adapters import config as configuration

    if address:
        return configuration.broker_at(address, site)
    found, settings = configuration.load_broker(folder)
    return site or found, settings
