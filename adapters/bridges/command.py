"""`vedette bridge`: what others send, passed on to MQTT, numbered and sent again until the service has it."""

from __future__ import annotations

import errno
import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters import log
from adapters.bridges import observers, receivers
from adapters.bridges.passing import DONE, pass_on
from adapters.errors import ConfigError, refusals

if TYPE_CHECKING:
    from adapters.bridges.asterix import Ear

bridge = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Pass on what receivers and radars of others send."
)
bridge.command()(observers.bearings)
bridge.command()(receivers.beast)
bridge.command()(receivers.opensky)
bridge.command()(receivers.readsb)
bridge.command()(receivers.remoteid)
bridge.command()(receivers.sapient)
bridge.command()(receivers.sbs)
bridge.command()(observers.sightings)
_SENDER = re.compile(r"(\d{1,3}(?:/\d{1,3}){1,2})=([A-Za-z0-9_-]{1,32})")


@bridge.callback()
def options() -> None:
    """Each reads one wire and publishes it as Vedette's own messages."""


@bridge.command()
def asterix(
    radar: Annotated[
        list[str] | None, typer.Option(help="SAC/SIC=SENSOR, for each radar (CAT048, CAT034, CAT015): 25/201=R1.")
    ] = None,
    station: Annotated[list[str] | None, typer.Option(help="The same for each ADS-B ground station (CAT021).")] = None,
    neighbour: Annotated[
        list[str] | None, typer.Option(help="The same for each tracker of others (CAT062, CAT015).")
    ] = None,
    finder: Annotated[
        list[str] | None,
        typer.Option(help="The same for each direction finder (CAT205, CAT015); or SAC/SIC/IDENT=SENSOR."),
    ] = None,
    udp: Annotated[str, typer.Option(help="HOST:PORT to listen at.")] = "",
    group: Annotated[str, typer.Option(help="Multicast group to join there.")] = "",
    capture: Annotated[
        Path | None, typer.Option(help="Read a capture (.pcap, .pcapng) instead and write a log, --out.")
    ] = None,
    day: Annotated[str, typer.Option(help="The capture is plain ASTERIX, begun on this day: 2026-03-20.")] = "",
    out: Annotated[Path | None, typer.Option(help="Log to write: .jsonl, .jsonl.gz or .jsonl.zst.")] = None,
    shift_s: Annotated[float, typer.Option(help="Added to the capture's times, where its clock was wrong.")] = 0.0,
    broker: Annotated[str, typer.Option("--broker", help="HOST or HOST:PORT.")] = "127.0.0.1:1883",
    site: Annotated[str, typer.Option("--site", help="Site in the topics, vedette/v1/SITE/...")] = "demo",
) -> None:
    """Who sends ASTERIX, over UDP to the broker, or from a capture to a log for `replay`: radars (CAT048 and CAT034),
    ADS-B ground stations (CAT021), trackers of neighbours (CAT062), radio direction finders (CAT205), and sensors of
    what does not answer (CAT015): each is a radar, a finder or a tracker as you name it.

    What is no target, of another category or of a sender that is not named is counted by reason and skipped. Ends with
    SIGTERM or Ctrl-C; status 1 when the broker refuses or was never there. The account is VEDETTE_BROKER_USER and
    VEDETTE_BROKER_PASSWORD.

    \b
    Examples:
      vedette bridge asterix --udp 0.0.0.0:8600 --radar 25/201=R1 --broker broker.example:1883 --site lt-east
      vedette bridge asterix --udp 192.0.2.7:8600 --group 239.1.2.3 --radar 25/201=R1 --radar 25/11=R2
      vedette bridge asterix --udp 0.0.0.0:8600 --station 25/31=ADSB1 --neighbour 26/1=WEST --finder 25/40=RDF1
      vedette bridge asterix --capture night.pcap --radar 25/201=R1 --out night.jsonl.gz
      vedette bridge asterix --capture night.ast --day 2026-03-20 --radar 25/201=R1 --out night.jsonl.gz
    """
    log.setup("info")
    with refusals():
        ear = _ear(radar or [], station or [], neighbour or [], finder or [])
        if (capture is None) == (not udp) or (capture is None) != (out is None):
            raise ConfigError("command line", "--udp", "neither or both of --udp and --capture with --out", "take one")
        if day and capture is None:
            raise ConfigError("command line", "--day", "it is for --capture", "leave it out")
        code = _written(capture, out, ear, day, shift_s) if capture and out else _live(udp, group, ear, broker, site)
    raise typer.Exit(code)


def _ear(radars: list[str], stations: list[str], neighbours: list[str], finders: list[str]) -> Ear:
    from adapters.bridges.asterix import Ear

    if not (radars or stations or neighbours or finders):
        raise ConfigError("command line", "--radar", "nobody to listen to is named", "write for example 25/201=R1")
    words = (("--radar", radars), ("--station", stations), ("--neighbour", neighbours), ("--finder", finders))
    named = [dict(_named_once(option, texts)) for option, texts in words]
    sensors = [name for one in named for name in dict.fromkeys(one.values())]
    if len(sensors) != len(dict.fromkeys(sensors)):
        raise ConfigError("command line", "--radar", "one sensor for senders of two kinds", "give each its own sensor")
    return Ear(*named)


def _named_once(option: str, texts: list[str]) -> list[tuple[tuple[int, ...], str]]:
    found = [_named(option, text) for text in texts]
    for (who, _), text in zip(found, texts, strict=True):
        if sum(who == other for other, _ in found) > 1:
            problem = f"{text!r}: this SAC and SIC is given to two sensors"
            raise ConfigError("command line", option, problem, "name one sensor for it")
    return found


def _named(option: str, text: str) -> tuple[tuple[int, ...], str]:
    found = _SENDER.fullmatch(text)
    who = tuple(map(int, found[1].split("/"))) if found is not None else ()
    if found is None or max(who) > 255 or (len(who) == 3 and option != "--finder"):
        raise ConfigError("command line", option, f"{text!r} is not SAC/SIC=SENSOR", "write for example 25/201=R1")
    return who, found[2]


def _written(capture: Path, out: Path, ear: Ear, day: str, shift_s: float) -> int:
    from adapters.bridges.asterix import frames, from_pcap
    from adapters.bridges.common import Tally
    from adapters.bridges.rawfile import datagrams, day_of
    from replay import log as framelog

    tally = Tally()
    if out.exists():
        raise ConfigError("command line", "--out", f"{out} is there already", "name a new file")
    try:
        day_us = day_of(day) if day else -1
    except ValueError:
        raise ConfigError("command line", "--day", f"{day!r} is no day", "write for example 2026-03-20") from None
    heard_at = datagrams(capture, day_us) if day else from_pcap(capture)
    try:
        framelog.write(out, frames(heard_at, ear, tally, round(shift_s * 1e6)))
    except (OSError, ValueError) as error:
        cure = "give a .pcap or .pcapng file, or plain ASTERIX with --day"
        raise ConfigError("command line", "--capture", f"{capture}: {error}", cure) from None
    typer.echo(f"{out}: {tally.words()}")
    return DONE


def _live(udp: str, group: str, ear: Ear, broker: str, site: str) -> int:
    from adapters.bridges.datagrams import from_udp

    host, _, port = udp.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ConfigError("command line", "--udp", f"{udp!r} is not HOST:PORT", "write for example 0.0.0.0:8600")
    if group and not _is_multicast(group):
        raise ConfigError("command line", "--group", f"{group!r} is no multicast group", "write for example 239.1.2.3")
    try:
        return pass_on(from_udp(host, int(port), group, ear), ear.sensors(), broker, site)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        cure = "end what listens there, or choose another port" if taken else "choose an address of this machine"
        raise ConfigError("command line", "--udp", f"{udp}: {error.strerror or error}", cure) from None


def _is_multicast(group: str) -> bool:
    try:
        return ipaddress.IPv4Address(group).is_multicast
    except ValueError:
        return False
