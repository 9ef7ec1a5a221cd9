"""`vedette out`: what the service publishes, in the formats of others, by a process of its own beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from adapters import log
from adapters.errors import ConfigError, refusals

if TYPE_CHECKING:
    import ssl

    from adapters.outlets.listener import Outlet, Serve
    from fusion.schema import SensorSpec

DONE, FAILED = 0, 1
out = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Give the picture to others: asterix, cap, cot, czml, geojson, kml, mail, sapient, tar1090, webhook.",
)
Folder = Annotated[Path, typer.Option("--config", "-c", help="Folder with service.toml.")]
Broker = Annotated[str, typer.Option("--broker", help="HOST or HOST:PORT instead of the configured broker.")]
Site = Annotated[str, typer.Option("--site", help="Site in the topics; default: the configured one.")]
DEFAULT_FOLDER = Path("config")


@out.callback()
def options() -> None:
    """Each listens to the service's topics and speaks one format. Ends with SIGTERM or Ctrl-C."""


@out.command()
def geojson(
    file: Annotated[Path | None, typer.Option(help="File to write anew every --every seconds.")] = None,
    listen: Annotated[str, typer.Option(help="HOST:PORT to answer GET /picture.geojson at.")] = "",
    lines: Annotated[bool, typer.Option("--lines", help="Every change as a line on standard output.")] = False,
    every_s: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two states.")] = 1.0,
    config: Folder = DEFAULT_FOLDER,
    broker: Broker = "",
    site: Site = "",
) -> None:
    """GeoJSON (RFC 7946): tracks and alerts as points with the properties of our own messages.

    \b
    Examples:
      vedette out geojson --file picture.geojson --broker 127.0.0.1:1883 --site lt-east
      vedette out geojson --listen 127.0.0.1:8082
      vedette out geojson --lines | jq .properties
    """
    log.setup("info")
    with refusals():
        from adapters.outlets.geojson import GeoJson

        if (file is not None) + lines + bool(listen) != 1:
            raise ConfigError("command line", "--file", "one of --file, --lines and --listen is needed", "name one")
        if file is not None:
            check_replaceable(file)
        outlet: Outlet = GeoJson(every_s, file)
        if listen:
            from adapters.outlets.web import Web, geojson_pages

            outlet = Web(*place_of(listen, "--listen"), geojson_pages())
        code = listening("geojson", config, broker, site, outlet.serve, outlet.words)
    raise typer.Exit(code)


@out.command()
def kml(
    file: Annotated[Path | None, typer.Option(help="File to write anew every --every seconds.")] = None,
    listen: Annotated[str, typer.Option(help="HOST:PORT to answer GET /vedette.kml and /picture.kml at.")] = "",
    every_s: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two states.")] = 1.0,
    config: Folder = DEFAULT_FOLDER,
    broker: Broker = "",
    site: Site = "",
) -> None:
    """KML, for Google Earth: tracks above the ground, where each is with one sigma, open alerts.

    \b
    Examples:
      vedette out kml --listen 127.0.0.1:8083 --broker 127.0.0.1:1883 --site lt-east
      vedette out kml --file picture.kml --every 5
    """
    _as_map("kml", file, listen, every_s, config, broker, site)


@out.command()
def czml(
    file: Annotated[Path | None, typer.Option(help="File to write anew every --every seconds.")] = None,
    listen: Annotated[str, typer.Option(help="HOST:PORT to answer GET /picture.czml at.")] = "",
    every_s: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two states.")] = 1.0,
    config: Folder = DEFAULT_FOLDER,
    broker: Broker = "",
    site: Site = "",
) -> None:
    """CZML, for Cesium: the same, with heights above the WGS84 ellipsoid.

    \b
    Example:
      vedette out czml --listen 127.0.0.1:8084 --broker 127.0.0.1:1883 --site lt-east
    """
    _as_map("czml", file, listen, every_s, config, broker, site)


def _as_map(
    name: str, file: Path | None, listen: str, every_s: float, config: Path, broker: str, site: str
) -> NoReturn:
    log.setup("info")
    log.prepare_numerics()
    with refusals():
        from adapters.outlets.maps import Files, as_czml, as_kml, czml_pages, kml_pages

        if (file is not None) == bool(listen):
            raise ConfigError("command line", "--file", "one of --file and --listen is needed", "name one")
        if file is not None:
            check_replaceable(file)
            outlet: Outlet = Files(as_kml if name == "kml" else as_czml, every_s, file)
        else:
            from adapters.outlets.web import Web

            where = place_of(listen, "--listen")
            outlet = Web(*where, kml_pages() if name == "kml" else czml_pages())
        code = listening(name, config, broker, site, outlet.serve, outlet.words)
    raise typer.Exit(code)


@out.command()
def cot(
    tcp: Annotated[str, typer.Option(help="HOST:PORT of a TAK server.")] = "",
    udp: Annotated[str, typer.Option(help="HOST:PORT to send datagrams to; a multicast group too.")] = "",
    tls: Annotated[bool, typer.Option("--tls", help="TLS over --tcp.")] = False,
    tls_ca: Annotated[Path | None, typer.Option(help="PEM of the authority; default: those of the system.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM of our certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM of its key.")] = None,
    every_s: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two words of a track.")] = 1.0,
    config: Folder = DEFAULT_FOLDER,
    broker: Broker = "",
    site: Site = "",
) -> None:
    """Cursor on Target, for TAK (ATAK, WinTAK, TAK servers): tracks and alerts, and their end.

    An object is unknown (a-u-A) unless a person identified it, or its own word is live, radar has seen the same and its
    category is one of civil aircraft (a-n-A-C). An alert is cancelled under the uid under which it was raised.

    \b
    Examples:
      vedette out cot --tcp tak.example:8087
      vedette out cot --tcp tak.example:8089 --tls --tls-ca ca.pem --tls-cert me.pem --tls-key me.key
      vedette out cot --udp 239.2.3.1:6969 --broker 127.0.0.1:1883 --site lt-east
    """
    log.setup("info")
    with refusals():
        from adapters.outlets.cot import CotOutlet, Datagrams, Stream

        if bool(tcp) == bool(udp):
            raise ConfigError("command line", "--tcp", "one of --tcp and --udp is needed", "name one of them")
        if (tls and udp) or (not tls and (tls_ca or tls_cert or tls_key)):
            raise ConfigError("command line", "--tls", "TLS is for --tcp with --tls", "add or leave out the options")
        host, port = place_of(tcp or udp, "--tcp" if tcp else "--udp")
        link = (
            Datagrams(host, port) if udp else Stream(host, port, _context(tls_ca, tls_cert, tls_key) if tls else None)
        )
        outlet = CotOutlet(link, every_s)
        code = listening("cot", config, broker, site, outlet.serve, outlet.words)
    raise typer.Exit(code)


@out.command()
def tar1090(
    listen: Annotated[str, typer.Option(help="HOST:PORT to answer at.")] = "127.0.0.1:8081",
    config: Folder = DEFAULT_FOLDER,
    broker: Broker = "",
    site: Site = "",
) -> None:
    """aircraft.json, receiver.json and outline.json over HTTP, for tar1090 and maps that read the same.

    Below /data/ and at the top. Tracks that no transponder names are shown as ~ and their number; what has an open
    alert is marked as interesting. The outline is what sensors are declared to reach; with --broker it is empty.

    \b
    Examples:
      vedette out tar1090 --listen 127.0.0.1:8081
      vedette out tar1090 --broker 127.0.0.1:1883 --site lt-east
    """
    log.setup("info")
    log.prepare_numerics()
    with refusals():
        from adapters.outlets.web import Web, tar1090_pages

        outlet = Web(*place_of(listen, "--listen"), tar1090_pages(() if broker else _sensors(config)))
        code = listening("tar1090", config, broker, site, outlet.serve, outlet.words)
    raise typer.Exit(code)


def _sensors(folder: Path) -> Sequence[SensorSpec]:
    from adapters import config as configuration

    return configuration.load(folder).sensors


def _context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    import ssl

    try:
        context = ssl.create_default_context(cafile=ca)
        if cert is not None:
            context.load_cert_chain(cert, key, password="")
    except OSError as error:  # ssl.SSLError is one
        problem = f"cannot be used: {error.strerror or error}"
        raise ConfigError("command line", "--tls-ca, --tls-cert, --tls-key", problem, "give PEM files") from None
    return context


@out.command()
def asterix(
    source: Annotated[str, typer.Option(help="SAC/SIC that our messages carry.")],
    udp: Annotated[str, typer.Option(help="HOST:PORT to send datagrams to; a multicast group too.")] = "",
    file: Annotated[Path | None, typer.Option(help="File to append the same data blocks to.")] = None,
    sensor: Annotated[list[str] | None, typer.Option(help="SAC/SIC=SENSOR whose state is told: 25/201=R1.")] = None,
    centre: Annotated[str, typer.Option(help="LAT,LON of the plane of I100 and I185, degrees; without: no I100.")] = "",
    service: Annotated[int, typer.Option(min=0, max=255, help="Service identification, I015.")] = 1,
    false_below: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Probability of existence below which a track is told with PFT.")
    ] = 0.8,
    every_s: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two words of a track.")] = 1.0,
    most: Annotated[int, typer.Option("--most", min=200, max=65_000, help="Octets of a data block.")] = 1_400,
    config: Folder = DEFAULT_FOLDER,
    broker: Broker = "",
    site: Site = "",
) -> None:
    """ASTERIX, for air traffic displays: CAT062 tracks, CAT065 and CAT063 state, CAT004 alerts.

    Simulated tracks say so; alerts of a simulation or an exercise are kept back: CAT004 cannot say what they are.

    \b
    Examples:
      vedette out asterix --source 25/100 --udp 192.0.2.20:8600 --sensor 25/201=R1
      vedette out asterix --source 25/100 --udp 239.1.2.4:8600 --file night.ast --broker 127.0.0.1:1883 --site lt-east
    """
    log.setup("info")
    with refusals():
        from adapters.outlets.asterix import AsterixOutlet, Teller
        from adapters.outlets.asterixoptions import plane, senders, source_of
        from adapters.outlets.cot import Datagrams
        from adapters.outlets.systemtracks import Sender

        if not udp and file is None:
            raise ConfigError("command line", "--udp", "neither --udp nor --file is there", "name one or both of them")
        if file is not None:
            check_folder(file)
        link = Datagrams(*place_of(udp, "--udp")) if udp else None
        teller = Teller(Sender(*source_of(source), service, plane(centre), false_below), senders(sensor or []), most)
        outlet = AsterixOutlet(teller, every_s, link, file)
        code = listening("asterix", config, broker, site, outlet.serve, outlet.words)
    raise typer.Exit(code)


@out.command()
def sapient(
    connect: Annotated[str, typer.Option("--connect", help="HOST:PORT of a fusion node or a message handler.")],
    node: Annotated[str, typer.Option(help="UUID that we have there; without one it is made of the site's name.")] = "",
    played: Annotated[bool, typer.Option("--played", help="Tell simulations, exercises and replays too.")] = False,
    tls: Annotated[bool, typer.Option("--tls", help="TLS.")] = False,
    tls_ca: Annotated[Path | None, typer.Option(help="PEM of the authority; default: those of the system.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM of our certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM of its key.")] = None,
    every_s: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two words of a track.")] = 1.0,
    config: Folder = DEFAULT_FOLDER,
    broker: Broker = "",
    site: Site = "",
) -> None:
    """SAPIENT (BSI Flex 335 v2.0), as a fusion node: registration, status, detection reports and alerts.

    It takes no tasks. A class says what an object looks like, never what it means to do.

    \b
    Examples:
      vedette out sapient --connect apex.example:5020 --broker 127.0.0.1:1883 --site lt-east
      vedette out sapient --connect 192.0.2.9:5020 --tls --tls-ca ca.pem --tls-cert me.pem --tls-key me.key
    """
    log.setup("info")
    with refusals():
        from adapters.brokerchoice import chosen
        from adapters.formats.sapient import Node, node_of
        from adapters.outlets.sapient import SapientOutlet
        from adapters.version import package_version

        if not tls and (tls_ca or tls_cert or tls_key):
            raise ConfigError("command line", "--tls", "its files are there, and it is not", "add --tls")
        place, context = place_of(connect, "--connect"), _context(tls_ca, tls_cert, tls_key) if tls else None
        where, _ = chosen(config, broker, site)
        ours = Node(uuid_of(node, "--node") if node else node_of(where), where, package_version())
        outlet = SapientOutlet(place, ours, every_s, played, context)
        code = listening("sapient", config, broker, site, outlet.serve, outlet.words)
    raise typer.Exit(code)


@out.command()
def cap(
    folder: Annotated[Path, typer.Option(help="Folder to write drafts into, a file each.")],
    sender: Annotated[str, typer.Option(help="Who sends, as CAP wants it: warnings@example.org.")],
    status: Annotated[str, typer.Option(help="Status: Test, Exercise, Draft, Actual.")] = "Test",
    sender_name: Annotated[str, typer.Option(help="Name of the sender for people.")] = "",
    red_s: Annotated[
        float, typer.Option("--red-within", min=0.0, help="Seconds to the border from which it is red.")
    ] = 300.0,
    reach_s: Annotated[
        float, typer.Option("--reach", min=10.0, max=7_200.0, help="Seconds of flight that are warned of.")
    ] = 600.0,
    turn_deg: Annotated[
        float, typer.Option("--turn", min=5.0, max=180.0, help="Degrees to each side that it may turn.")
    ] = 90.0,
    severity: Annotated[int, typer.Option(min=1, max=3, help="Alerts as severe as that, or more (1).")] = 2,
    state: Annotated[list[str] | None, typer.Option(help="Only alerts that concern this state: LT.")] = None,
    areas: Annotated[Path | None, typer.Option(help="GeoJSON of areas to name instead of a polygon.")] = None,
    area_code: Annotated[str, typer.Option(help="Property of an area with its code.")] = "code",
    area_name: Annotated[str, typer.Option(help="Property of an area with its name.")] = "name",
    config: Folder = DEFAULT_FOLDER,
    broker: Broker = "",
    site: Site = "",
) -> None:
    """Drafts of CAP 1.2 warnings into a folder, for civil protection to read, change and send. Nothing is sent.

    Red: take shelter; the object is inside the border, or crosses it soon. Yellow: be ready. Then updates, and at the
    end an all-clear, or a cancel where a person closed the alert or called the object harmless. What is played is
    never Actual.

    \b
    Examples:
      vedette out cap --folder drafts --sender warnings@example.org --broker 127.0.0.1:1883 --site lt-east
      vedette out cap --folder drafts --sender warnings@example.org --areas municipalities.geojson --area-code EMMA_ID
    """
    log.setup("info")
    log.prepare_numerics()
    with refusals():
        from adapters.brokerchoice import chosen
        from adapters.files.warnareas import load
        from adapters.formats.cap import STATUSES
        from adapters.outlets.cap import CapFiles, Drafter, Wanted
        from adapters.outlets.reach import Reach

        if not re.fullmatch(r"[^\s,<&]+", sender):
            cure = "write for example warnings@example.org"
            raise ConfigError("command line", "--sender", "may have no blank, comma, < or &", cure)
        claimed = next((one for one in STATUSES if one == status), None)
        if claimed is None:
            raise ConfigError("command line", "--status", f"{status!r} is none", f"take one of {', '.join(STATUSES)}")
        concerned = tuple(one.upper() for one in state or ())
        if not all(re.fullmatch("[A-Z]{2}", one) for one in concerned):
            raise ConfigError("command line", "--state", "is no code of two letters", "write for example LT")
        where, _ = chosen(config, broker, site)
        places = load(areas, area_code, area_name) if areas is not None else ()
        reach = Reach(reach_s, turn_deg)
        wanted = Wanted(where, sender, claimed, sender_name, red_s, severity, concerned, reach, places)
        try:
            outlet = CapFiles(Drafter(wanted), folder)
        except OSError as error:
            raise ConfigError(
                "command line", "--folder", f"{folder}: {error.strerror}", "check path and rights"
            ) from None
        code = listening("cap", config, broker, site, outlet.serve, outlet.words)
    raise typer.Exit(code)


def uuid_of(text: str, option: str) -> str:
    """A UUID in its usual form. Raises ConfigError."""
    import uuid

    try:
        return str(uuid.UUID(text))
    except ValueError:
        cure = "write for example fb3c36d4-981c-53a8-b9c5-75c0f0a6984a"
        raise ConfigError("command line", option, f"{text[:60]!r} is no UUID", cure) from None


def place_of(text: str, option: str) -> tuple[str, int]:
    """HOST and PORT of `HOST:PORT` or `[IPv6]:PORT`. Raises ConfigError."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\s:\[\]/@]+)):([0-9]{1,5})", text)
    if found is None or not int(found[3]) <= 65_535:
        raise ConfigError("command line", option, f"{text!r} is not HOST:PORT", "write for example 127.0.0.1:8087")
    return found[1] or found[2], int(found[3])


def check_replaceable(file: Path) -> None:
    """A file that is written anew takes the place of what has its name: of a device or pipe too, for good.

    Raises:
        ConfigError: what is there is no ordinary file, or its folder is not there.
    """
    if file.exists() and not file.is_file():
        raise ConfigError("command line", "--file", f"{file} is no ordinary file", "name one, or a new one")
    check_folder(file)


def check_folder(file: Path) -> None:
    """A file can be where it is named. Raises ConfigError."""
    if file.is_dir():
        raise ConfigError("command line", "--file", f"{file} is a folder", "name a file in it")
    if not file.parent.is_dir():
        raise ConfigError("command line", "--file", f"the folder {file.parent} is not there", "make it first")


def listening(name: str, config: Path, broker: str, site: str, serve: Serve, words: Callable[[], str]) -> int:
    """Listen under this name and serve until SIGTERM or SIGINT, which is a good end. Raises ConfigError."""
    import asyncio
    import signal

    from adapters.brokerchoice import chosen
    from adapters.outlets.listener import Listener, attend

    place, settings = chosen(config, broker, site)

    async def until_told() -> None:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await attend(Listener(settings, place, name), serve, words)

    try:
        asyncio.run(until_told())
    except asyncio.CancelledError:
        pass
    except BrokenPipeError:
        pass  # `vedette out geojson --lines | head` has seen enough
    except OSError as error:
        typer.echo(f"vedette: {error}", err=True)
        return FAILED
    return DONE
