"""`vedette bridge sbs` and its like: receivers that are listened to over TCP or asked over HTTP."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated

import typer

from adapters import log
from adapters.bridges.passing import pass_on
from adapters.errors import ConfigError, refusals

if TYPE_CHECKING:
    from adapters.bridges.opensky import Box

Connect = Annotated[str, typer.Option("--connect", help="HOST:PORT of the receiver.")]
Sensor = Annotated[str, typer.Option("--sensor", help="The sensor's id in sensors.toml.")]
Broker = Annotated[str, typer.Option("--broker", help="HOST or HOST:PORT.")]
Site = Annotated[str, typer.Option("--site", help="Site in the topics, vedette/v1/SITE/...")]
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
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
        code = pass_on(source, [sensor], broker, site)
    raise typer.Exit(code)


def beast(connect: Connect, sensor: Sensor, broker: Broker = "127.0.0.1:1883", site: Site = "demo") -> None:
    """A receiver that sends raw 1090 MHz in the Beast format, on TCP port 30005 of readsb, dump1090 and others.

    Read are identification, position, velocity and quality of ADS-B (also TIS-B and ADS-R), and the codes of replies.
    The rest is as for `vedette bridge sbs`.

    \b
    Example:
      vedette bridge beast --connect 127.0.0.1:30005 --sensor ADSB1 --broker broker.example:1883 --site lt-east
    """
    log.setup("info")
    with refusals():
        from adapters.bridges.beast import Beast
        from adapters.bridges.source import from_tcp

        host, port = address(connect)
        source = from_tcp(host, port, named(sensor), Beast(sensor))
        code = pass_on(source, [sensor], broker, site)
    raise typer.Exit(code)


def readsb(
    sensor: Sensor,
    url: Annotated[str, typer.Option("--url", help="Address of aircraft.json.")] = "",
    every: Annotated[float, typer.Option(min=0.1, max=60.0, help="Seconds between two questions.")] = 1.0,
    connect: Annotated[str, typer.Option("--connect", help="HOST:PORT of its --net-json-port instead.")] = "",
    broker: Broker = "127.0.0.1:1883",
    site: Site = "demo",
) -> None:
    """A receiver that runs readsb (or dump1090, tar1090): its aircraft.json over HTTP, or its lines of JSON over TCP.

    A position is passed on once, however often it is told. The rest is as for `vedette bridge sbs`.

    \b
    Examples:
      vedette bridge readsb --url http://192.0.2.7/tar1090/data/aircraft.json --sensor ADSB1 --site lt-east
      vedette bridge readsb --connect 192.0.2.7:30047 --sensor ADSB1 --broker broker.example:1883
    """
    log.setup("info")
    with refusals():
        if bool(url) == bool(connect):
            raise ConfigError("command line", "--url", "neither or both of --url and --connect", "take one")
        from adapters.bridges.asked import Page, from_http, is_address
        from adapters.bridges.readsb import Readsb

        if url and not is_address(url):
            cure = "write for example http://192.0.2.7/tar1090/data/aircraft.json"
            raise ConfigError("command line", "--url", f"{url!r} is no address of a web server", cure)
        from adapters.bridges.source import from_tcp

        receiver = Readsb(named(sensor))
        source = from_http(Page(url), every, receiver, sensor) if url else from_tcp(*address(connect), sensor, receiver)
        code = pass_on(source, [sensor], broker, site)
    raise typer.Exit(code)


def opensky(
    sensor: Sensor,
    box: Annotated[
        str, typer.Option("--box", help="SOUTH,WEST,NORTH,EAST in degrees. Left out: all of --url, the whole world.")
    ] = "",
    every: Annotated[float, typer.Option(min=5.0, max=3600.0, help="Seconds between two questions.")] = 10.0,
    url: Annotated[str, typer.Option("--url", help="Address of the states.")] = "",
    token_url: Annotated[str, typer.Option("--token-url", help="Address at which an account has its token.")] = "",
    broker: Broker = "127.0.0.1:1883",
    site: Site = "demo",
) -> None:
    """State vectors of the OpenSky Network, asked for over HTTP. Terms of use and credits are theirs.

    An account is an API client of OpenSky: VEDETTE_OPENSKY_CLIENT and VEDETTE_OPENSKY_SECRET. What a day of questions
    costs in credits is said at the start. Without credits the sensor is `off` until there are more. Positions come
    seconds late, and their accuracy is not told. The rest is as for `vedette bridge sbs`.

    \b
    Examples:
      vedette bridge opensky --box 53.5,22.5,56.5,28 --every 216 --sensor OSKY --broker broker.example:1883
      vedette bridge opensky --url https://opensky-network.org/api/states/own --sensor OSKY --site lt-east
    """
    log.setup("info")
    with refusals():
        from adapters.bridges.asked import from_http, is_address
        from adapters.bridges.opensky import STATES_URL, TOKEN_URL, States, receiver, say_cost

        asked, at = url or STATES_URL, token_url or TOKEN_URL
        for option, told in (("--url", asked), ("--token-url", at)):
            if not is_address(told):
                cure = f"write for example {STATES_URL if option == '--url' else TOKEN_URL}"
                raise ConfigError("command line", option, f"{told!r} is no address of a web server", cure)
        question = States(asked, _box(box), *_account(), at)
        say_cost(question, every)
        code = pass_on(from_http(question, every, receiver(named(sensor)), sensor), [sensor], broker, site)
    raise typer.Exit(code)


def _box(text: str) -> Box | None:
    from adapters.bridges.opensky import box_of

    if not text:
        return None
    try:
        found = box_of([float(part) for part in text.split(",")])
    except ValueError:
        found = None
    if found is None:
        cure = "write SOUTH,WEST,NORTH,EAST, for example 53.5,22.5,56.5,28"
        raise ConfigError("command line", "--box", f"{text[:80]!r} is no box of the earth", cure)
    return found


def _account() -> tuple[str, str]:
    client_id, secret = os.environ.get("VEDETTE_OPENSKY_CLIENT", ""), os.environ.get("VEDETTE_OPENSKY_SECRET", "")
    if bool(client_id) != bool(secret):
        missing = "VEDETTE_OPENSKY_SECRET" if client_id else "VEDETTE_OPENSKY_CLIENT"
        raise ConfigError("environment", missing, "it is not set, and the other half of the account is", "set both")
    return client_id, secret


def remoteid(connect: Connect, sensor: Sensor, broker: Broker = "127.0.0.1:1883", site: Site = "demo") -> None:
    """A receiver of Remote ID that sends a line of JSON for everything that it hears, over TCP.

    Raw messages and packs of opendroneid (hex or base64), or their fields. Where the operator stands is not read. The
    rest is as for `vedette bridge sbs`.

    \b
    Example:
      vedette bridge remoteid --connect 127.0.0.1:30100 --sensor RID1 --broker broker.example:1883 --site lt-east
    """
    log.setup("info")
    with refusals():
        from adapters.bridges.remoteid import RemoteId
        from adapters.bridges.source import from_tcp

        host, port = address(connect)
        source = from_tcp(host, port, named(sensor), RemoteId(sensor))
        code = pass_on(source, [sensor], broker, site)
    raise typer.Exit(code)


def sapient(
    connect: Annotated[str, typer.Option("--connect", help="HOST:PORT of a message handler.")] = "",
    listen: Annotated[str, typer.Option("--listen", help="HOST:PORT at which nodes connect to us instead.")] = "",
    radar: Annotated[
        list[str] | None, typer.Option(help="UUID=SENSOR of a node that measures ranges: a radar.")
    ] = None,
    bearing: Annotated[
        list[str] | None, typer.Option(help="The same of one that tells bearings: sound, radio.")
    ] = None,
    tracker: Annotated[list[str] | None, typer.Option(help="The same of one that tells places.")] = None,
    broker: Broker = "127.0.0.1:1883",
    site: Site = "demo",
) -> None:
    """A SAPIENT network (BSI Flex 335 v2.0): detection reports of the nodes that are named.

    With --connect they come from a message handler; with --listen nodes connect here and register, and their status is
    that of their sensors. What is of other nodes, or no detection, is counted. Nobody is tasked. The rest is as for
    `vedette bridge sbs`.

    \b
    Examples:
      vedette bridge sapient --listen 0.0.0.0:5020 --radar fb3c36d4-981c-53a8-b9c5-75c0f0a6984a=R1 --site lt-east
      vedette bridge sapient --connect apex.example:5005 --radar fb3c36d4-981c-53a8-b9c5-75c0f0a6984a=R1 --site lt-east
    """
    log.setup("info")
    with refusals():
        from adapters.bridges.sapient import Sapient
        from adapters.bridges.source import from_tcp
        from fusion.schema import SensorKind, SensorSpec

        kinds = ((radar, "--radar", SensorKind.RADAR_3D), (bearing, "--bearing", SensorKind.BEARING))
        nodes: dict[str, SensorSpec] = {}
        for texts, option, kind in (*kinds, (tracker, "--tracker", SensorKind.TRACK)):
            for text in texts or ():
                name, sensor = node_named(text, option)
                if name in nodes or sensor in [spec.id for spec in nodes.values()]:
                    raise ConfigError("command line", option, f"{text!r} names one again", "give each its own sensor")
                nodes[name] = SensorSpec(sensor, len(nodes), kind)
        if bool(connect) == bool(listen):
            raise ConfigError("command line", "--connect", "neither or both of --connect and --listen", "take one")
        if not nodes:
            raise ConfigError("command line", "--radar", "no node is named", "write --radar UUID=R1")
        sensors = [spec.id for spec in nodes.values()]
        if listen:
            from adapters.bridges.sapientnodes import Nodes
            from adapters.formats.sapient import Node, node_of

            source = Nodes(Node(node_of(site), site), nodes).heard(*address(listen, "--listen"))
        else:
            source = from_tcp(*address(connect), sensors[0], Sapient(nodes), *sensors[1:])
        try:
            code = pass_on(source, sensors, broker, site)
        except OSError as error:
            cure = "choose a free address of this machine"
            raise ConfigError("command line", "--listen", f"{listen}: {error.strerror}", cure) from None
    raise typer.Exit(code)


def node_named(text: str, option: str) -> tuple[str, str]:
    """UUID in lower case and sensor of `UUID=SENSOR`. Raises ConfigError."""
    node, _, sensor = text.partition("=")
    if not _UUID.fullmatch(node.lower()) or not _SENSOR.fullmatch(sensor):
        cure = "write for example fb3c36d4-981c-53a8-b9c5-75c0f0a6984a=R1"
        raise ConfigError("command line", option, f"{text[:80]!r} is not UUID=SENSOR", cure)
    return node.lower(), sensor


def address(connect: str, option: str = "--connect") -> tuple[str, int]:
    """Host and port. Raises ConfigError."""
    host, _, port = connect.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        cure = "write for example 127.0.0.1:30003"
        raise ConfigError("command line", option, f"{connect!r} is not HOST:PORT", cure)
    return host.strip("[]"), int(port)


def named(sensor: str) -> str:
    """The id of a sensor. Raises ConfigError."""
    if not _SENSOR.fullmatch(sensor):
        cure = "letters, digits, - and _, at most 32"
        raise ConfigError("command line", "--sensor", f"{sensor!r} is no sensor's id", cure)
    return sensor
