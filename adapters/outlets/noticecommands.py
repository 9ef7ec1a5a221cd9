"""`vedette out webhook` and `vedette out mail`: options into who is told, of what, and how."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from adapters import log
from adapters.errors import ConfigError, refusals
from adapters.outlets.command import DEFAULT_FOLDER, Broker, Folder, Site, listening, place_of

if TYPE_CHECKING:
    from adapters.outlets.notices import Wanted

Severity = Annotated[int, typer.Option(min=1, max=3, help="Alerts as severe as that, or more (1).")]
State = Annotated[list[str] | None, typer.Option(help="Only alerts that concern this state: LT.")]
Recipient = Annotated[list[str] | None, typer.Option(help="Only alerts whose rule names this recipient.")]
Played = Annotated[bool, typer.Option("--played", help="Tell simulations, exercises and replays too, marked as such.")]
MOST_SECRET_OCTETS = 4_096


def add(to: typer.Typer) -> None:
    """Both commands."""
    to.command()(webhook)
    to.command()(mail)


def webhook(
    url: Annotated[str, typer.Option(help="https://... to POST to. May be a file: @FILE with the URL in it.")],
    secret_file: Annotated[Path | None, typer.Option(help="File of the secret that signs every body.")] = None,
    header_file: Annotated[Path | None, typer.Option(help="File of headers to add, NAME: VALUE a line.")] = None,
    severity: Severity = 2,
    state: State = None,
    recipient: Recipient = None,
    played: Played = False,
    config: Folder = DEFAULT_FOLDER,
    broker: Broker = "",
    site: Site = "",
) -> None:
    """Word of alerts to a web hook: a POST of JSON when one is raised, acknowledged, identified, changes or closes.

    Tried again for 15 minutes, with the same Idempotency-Key. Redirections are not followed.

    \b
    Examples:
      vedette out webhook --url https://duty.example/hooks/vedette --secret-file hook.secret
      vedette out webhook --url @hook.url --severity 1 --state LT --broker 127.0.0.1:1883 --site lt-east
    """
    log.setup("info")
    with refusals():
        from adapters.brokerchoice import chosen
        from adapters.outlets.notices import Notices
        from adapters.outlets.webhook import Hook

        where, _ = chosen(config, broker, site)
        address = _secret(Path(url[1:]), "--url").decode(errors="replace") if url.startswith("@") else url
        secret = _secret(secret_file, "--secret-file") if secret_file is not None else b""
        hook = Hook(_url(address), where, secret, _headers(header_file))
        outlet = Notices(_wanted(severity, state, recipient, played), hook)
        code = listening("webhook", config, broker, site, outlet.serve, outlet.words)
    raise typer.Exit(code)


def mail(
    smtp: Annotated[str, typer.Option(help="HOST:PORT of the server that takes the mail.")],
    sender: Annotated[str, typer.Option(help="Address that it comes from.")],
    to: Annotated[list[str], typer.Option(help="Address that is told; may be repeated.")],
    user: Annotated[str, typer.Option(help="Name at the server.")] = "",
    password_file: Annotated[Path | None, typer.Option(help="File of the password.")] = None,
    tls: Annotated[str, typer.Option(help="starttls, implicit, or none.")] = "starttls",
    tls_ca: Annotated[Path | None, typer.Option(help="PEM of the authority; default: those of the system.")] = None,
    link: Annotated[str, typer.Option(help="Address of the operator's page, to be named in the mail.")] = "",
    severity: Severity = 2,
    state: State = None,
    recipient: Recipient = None,
    played: Played = False,
    config: Folder = DEFAULT_FOLDER,
    broker: Broker = "",
    site: Site = "",
) -> None:
    """Word of alerts by mail: one thread an alert, when it is raised, acknowledged, identified, changes or closes.

    \b
    Examples:
      vedette out mail --smtp mail.example:587 --user vedette --password-file mail.secret --sender vedette@example.org --to duty@example.org
      vedette out mail --smtp 127.0.0.1:25 --tls none --sender vedette@example.org --to duty@example.org --link https://watch.example
    """  # noqa: E501
    log.setup("info")
    with refusals():
        from adapters.brokerchoice import chosen
        from adapters.outlets.mail import Mail, Server
        from adapters.outlets.notices import Notices

        where, _ = chosen(config, broker, site)
        if tls not in ("starttls", "implicit", "none"):
            raise ConfigError("command line", "--tls", f"{tls!r} is none", "take one of starttls, implicit, none")
        if bool(user) != (password_file is not None):
            raise ConfigError("command line", "--user, --password-file", "one is there without the other", "give both")
        if user and tls == "none":
            raise ConfigError("command line", "--tls", "none would send the password in clear", "use starttls")
        password = _secret(password_file, "--password-file").decode(errors="replace") if password_file else ""
        for option, addresses in (("--sender", [sender]), ("--to", to)):
            for one in addresses:
                if re.fullmatch(r"[^\s,<>@\"]+@[^\s,<>@\"]+", one) is None:
                    raise ConfigError("command line", option, f"{one[:80]!r} is no address", "write duty@example.org")
        server = Server(*place_of(smtp, "--smtp"), tls, user, password, str(tls_ca) if tls_ca else None)
        outlet = Notices(_wanted(severity, state, recipient, played), Mail(server, where, sender, to, link))
        code = listening("mail", config, broker, site, outlet.serve, outlet.words)
    raise typer.Exit(code)


def _wanted(severity: int, state: list[str] | None, recipient: list[str] | None, played: bool) -> Wanted:
    from adapters.outlets.notices import Wanted

    concerned = tuple(one.upper() for one in state or ())
    if not all(re.fullmatch("[A-Z]{2}", one) for one in concerned):
        raise ConfigError("command line", "--state", "is no code of two letters", "write for example LT")
    return Wanted(severity, concerned, tuple(recipient or ()), played)


def _secret(path: Path, option: str) -> bytes:
    """What a file of a secret holds, without the line end. Raises ConfigError."""
    try:
        found = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError("command line", option, f"{path}: {error.strerror}", "check path and rights") from None
    if not 0 < len(found) <= MOST_SECRET_OCTETS:
        cure = f"put 1 to {MOST_SECRET_OCTETS} octets into it"
        raise ConfigError("command line", option, f"{path} holds {len(found)} octets", cure)
    return found


def _url(text: str) -> str:
    """An address that can be posted to. What is wrong is told without the address: it may hold a secret."""
    import httpx

    try:
        found = urlsplit(text)
        good = found.scheme in ("http", "https") and bool(httpx.URL(text).host) and found.port != 0
    except (ValueError, httpx.InvalidURL):
        good = False
    if not good:
        raise ConfigError(
            "command line", "--url", "is no address of a web server", "write for example https://host/path"
        )
    if found.username or found.password:
        cure = "put them into --header-file as Authorization"
        raise ConfigError("command line", "--url", "has a user or a password in it", cure)
    return text


def _headers(path: Path | None) -> dict[str, str]:
    found: dict[str, str] = {}
    lines = [] if path is None else _secret(path, "--header-file").decode("latin-1").splitlines()
    for number, line in enumerate(lines, 1):
        name, colon, value = line.partition(":")
        if not colon or re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) is None or not value.strip().isprintable():
            raise ConfigError(str(path), f"line {number}", "is no header", "write NAME: VALUE", number)
        found[name] = value.strip()
    return found
