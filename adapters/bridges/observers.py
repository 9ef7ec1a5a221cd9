"""`vedette bridge bearings` and `vedette bridge sightings`: who hears directions, and what people report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from adapters import log
from adapters.bridges.passing import pass_on
from adapters.bridges.receivers import Broker, Site, address, named
from adapters.errors import ConfigError, refusals

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from adapters.bridges.common import Heard

Udp = Annotated[str, typer.Option("--udp", help="HOST:PORT to listen at for datagrams.")]
File = Annotated[Path | None, typer.Option("--file", help="A file that grows.")]
All = Annotated[bool, typer.Option("--all", help="Read what is in the file already, too.")]


def bearings(
    sensor: Annotated[str, typer.Option("--sensor", help="The sensor's id in sensors.toml, of every line.")] = "",
    source: Annotated[
        list[str] | None, typer.Option(help="NAME=SENSOR for each source that names itself, instead.")
    ] = None,
    connect: Annotated[str, typer.Option("--connect", help="HOST:PORT that sends lines of JSON over TCP.")] = "",
    udp: Udp = "",
    file: File = None,
    is_all: All = False,
    kraken: Annotated[str, typer.Option("--kraken", help="Address of a KrakenSDR's DOA_value.html.")] = "",
    every: Annotated[float, typer.Option(min=0.1, max=60.0, help="Seconds between two questions to it.")] = 1.0,
    broker: Broker = "127.0.0.1:1883",
    site: Site = "demo",
) -> None:
    """Microphones, radio direction finders, cameras: whoever tells directions, as lines of JSON or as a KrakenSDR does.

    Over TCP or HTTP a source that is away is looked for again for ever, and its sensor is `off` meanwhile; so it is
    with a file that is not there. Ends with SIGTERM or Ctrl-C; status 1 when the broker refuses or was never there. The
    account is VEDETTE_BROKER_USER and VEDETTE_BROKER_PASSWORD.

    \b
    Examples:
      vedette bridge bearings --connect 192.0.2.7:30200 --sensor SOUND1 --broker broker.example:1883 --site lt-east
      vedette bridge bearings --udp 0.0.0.0:30200 --source mic-1=SOUND1 --source mic-2=SOUND2 --site lt-east
      vedette bridge bearings --kraken http://192.0.2.8:8081/DOA_value.html --sensor RDF1 --site lt-east
    """
    log.setup("info")
    with refusals():
        from adapters.bridges.asked import Page, from_http, is_address
        from adapters.bridges.bearings import ANY, Bearings, Kraken, Named
        from adapters.bridges.datagrams import from_udp
        from adapters.bridges.growing import Growing, from_file
        from adapters.bridges.source import from_tcp

        _one_of({"--connect": connect, "--udp": udp, "--file": file, "--kraken": kraken})
        if bool(sensor) == bool(source):
            raise ConfigError("command line", "--sensor", "neither or both of --sensor and --source", "take one")
        names = Named({ANY: named(sensor)} if sensor else dict(_source(text) for text in source or ()))
        sensors = names.sensors()
        if kraken and not is_address(kraken):
            cure = "write for example http://192.0.2.8:8081/DOA_value.html"
            raise ConfigError("command line", "--kraken", f"{kraken!r} is no address of a web server", cure)
        heard = (
            from_http(Page(kraken), every, Kraken(names), *sensors) if kraken
            else from_tcp(*address(connect), sensors[0], Bearings(names), *sensors[1:]) if connect
            else from_file(Growing(file, is_all), Bearings(names), *sensors) if file
            else from_udp(*address(udp, "--udp"), "", Bearings(names, whole=True))
        )  # fmt: skip
        try:
            code = pass_on(names.heard(cast("AsyncGenerator[Heard, None]", heard)), sensors, broker, site)
        except OSError as error:
            raise ConfigError("command line", "--udp", f"{udp}: {error.strerror}", "choose a free address") from None
    raise typer.Exit(code)


def sightings(
    sensor: Annotated[str, typer.Option("--sensor", help="The id in sensors.toml, of kind sighting.")],
    file: File = None,
    is_all: All = False,
    connect: Annotated[str, typer.Option("--connect", help="HOST:PORT that sends lines over TCP.")] = "",
    zone: Annotated[str, typer.Option("--zone", help="Of times that name none: Europe/Vilnius.")] = "",
    broker: Broker = "127.0.0.1:1883",
    site: Site = "demo",
) -> None:
    """What people report, as rows of a CSV table that somebody adds to, or as lines over TCP: CSV or objects of JSON.

    A report is said again until the service has answered what became of it; the answer stands in the log. A source that
    is away is looked for again for ever, and its sensor is `off` meanwhile. Ends as `vedette bridge bearings` does.

    \b
    Examples:
      vedette bridge sightings --file reports.csv --sensor G1 --zone Europe/Vilnius --site lt-east
      vedette bridge sightings --connect 192.0.2.9:30300 --sensor G1 --broker broker.example:1883 --site lt-east
    """
    log.setup("info")
    with refusals():
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        from adapters.bridges.growing import Growing, from_file
        from adapters.bridges.reports import Reports, deliver
        from adapters.bridges.source import from_tcp

        _one_of({"--file": file, "--connect": connect})
        try:
            hours = ZoneInfo(zone) if zone else None
        except (ZoneInfoNotFoundError, ValueError, OSError):
            cure = "write for example Europe/Vilnius"
            raise ConfigError("command line", "--zone", f"{zone!r} is no time zone", cure) from None
        reports = Reports(named(sensor), hours)
        heard = (
            from_file(Growing(file, is_all, header=True), reports, sensor)
            if file
            else from_tcp(*address(connect), sensor, reports)
        )
        code = pass_on(heard, [sensor], broker, site, deliver)
    raise typer.Exit(code)


def _one_of(sources: dict[str, object]) -> None:
    if len([name for name, value in sources.items() if value]) != 1:
        words = ", ".join(sources)
        raise ConfigError("command line", next(iter(sources)), f"none or several of {words}", "take one")


def _source(text: str) -> tuple[str, str]:
    name, _, sensor = text.rpartition("=")
    if not name:
        raise ConfigError("command line", "--source", f"{text[:80]!r} is not NAME=SENSOR", "write mic-1=SOUND1")
    return name, named(sensor)
