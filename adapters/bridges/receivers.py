"""`vedette bridge sbs` and its like: receivers that are listened to over TCP or asked over HTTP."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import typer

from adapters import log
from adapters.errors import ConfigError, refusals

if TYPE_CHECKING:
    from adapters.bridges.common import Heard

DONE, FAILED = 0, 1
Connect = Annotated[str, typer.Option("--connect", help="HOST:PORT of the receiver.")]
Sensor = Annotated[str, typer.Option("--sensor", help="The sensor's id in sensors.toml.")]
Broker = Annotated[str, typer.Option("--broker", help="HOST or HOST:PORT.")]
Site = Annotated[str, typer.Option("--site", help="Site in the topics, vedette/v1/SITE/...")]
_SENSOR = re.compile(r"[A-Za-z0-9_-]{1,32}")


def sbs(connect: Connect, sensor: Sensor, broker: Broker = "127.0.0.1:1883", site: Site = "demo") -> None:
    """A receiver that sends SBS (BaseStation) lines, on TCP port 30003 of readsb, dump1090 and others.

    A receiver that is away is looked for again for ever, and its sensor is `off` meanwhile. Ends with SIGTERM or
    Ctrl-C; status 1 when the broker refuses or was never there. The account is VEDETTE_BROKER_USER and
    VEDETTE_BROKER_PASSWORD.

    \b
    Example:
      vedette bridge sbs --connect 127.0.0.1:30003 --sensor ADSB1 --broker broker.example:1883 --site lt-east
    """
    log.setup("info")
    with refusals():
        from adapters.bridges.sbs import Sbs
        from adapters.bridges.source import from_tcp

        host, port = address(connect)
        source = from_tcp(host, port, named(sensor), Sbs(sensor))
        code = pass_on(source, sensor, broker, site)
    raise typer.Exit(code)


def address(connect: str) -> tuple[str, int]:
    """Host and port. Raises ConfigError."""
    host, _, port = connect.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        cure = "write for example 127.0.0.1:30003"
        raise ConfigError("command line", "--connect", f"{connect!r} is not HOST:PORT", cure)
    return host.strip("[]"), int(port)


def named(sensor: str) -> str:
    """The id of a sensor. Raises ConfigError."""
    if not _SENSOR.fullmatch(sensor):
        cure = "letters, digits, - and _, at most 32"
        raise ConfigError("command line", "--sensor", f"{sensor!r} is no sensor's id", cure)
    return sensor


def pass_on(source: AsyncIterator[Heard], sensor: str, broker: str, site: str) -> int:
    """Pass on what one sensor says until told to end; says what came. Raises ConfigError."""
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
        passing = asyncio.create_task(common.bridge(source, settings, place, [sensor], tally))
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
