"""A bridge as a process: it passes on what a source says until it is told to end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from adapters.bridges.common import Heard, Tally
    from adapters.broker import BrokerSettings

    Deliver = Callable[[AsyncIterator[Heard], BrokerSettings, str, Sequence[str], Tally], Coroutine[None, None, None]]

DONE, FAILED = 0, 1


def pass_on(
    source: AsyncIterator[Heard], sensors: Sequence[str], broker: str, site: str, deliver: Deliver | None = None
) -> int:
    """Pass on what these sensors say until told to end; says what came, and gives the status of the process.

    `deliver`: how it goes to the broker, where not as `common.bridge` does it.

    Raises:
        ConfigError: no address of a broker.
        OSError: of the source.
    """
    import asyncio
    import contextlib
    import signal

    from adapters import config as configuration
    from adapters import feed
    from adapters.bridges import common
    from adapters.broker import PublishDenied

    place, settings = configuration.broker_at(broker, site)
    tally = common.Tally()

    async def until_told() -> None:
        passing = asyncio.create_task((deliver or common.bridge)(source, settings, place, sensors, tally))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, passing.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await passing

    try:
        asyncio.run(until_told())
    except (feed.NoBroker, PublishDenied) as error:
        typer.echo(f"vedette: {error}", err=True)
        return FAILED
    typer.echo(tally.words(), err=True)
    return DONE
