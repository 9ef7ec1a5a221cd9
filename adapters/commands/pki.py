"""`vedette pki`: certificates and broker configuration for a test deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapters.errors import refusals


def pki(
    out: Annotated[Path, typer.Option(help="Folder to make; it must not exist.")],
    sensor: Annotated[list[str] | None, typer.Option(help="Id of a sensor; again for each of them.")] = None,
    partner: Annotated[list[str] | None, typer.Option(help="Name of a neighbour, as in publish.partners.")] = None,
    host: Annotated[list[str] | None, typer.Option(help="Name or address that clients know the broker by.")] = None,
    site: Annotated[str, typer.Option(help="Site of the topics, vedette/v1/SITE/...")] = "demo",
    days: Annotated[int, typer.Option(min=1, max=825, help="How long the certificates are valid.")] = 30,
    config: Annotated[Path, typer.Option("--config", "-c", help="Folder with mosquitto.conf and .acl.")] = Path(
        "config"
    ),
) -> None:
    """Make an authority and certificates for broker, service, operator, sensors and neighbours, and the Mosquitto
    configuration in which each may say only its own. For tests and small sites; docs/how-to/secure.md tells what a real
    one has of its own.

    \b
    Examples:
      vedette pki --out pki --sensor A1 --sensor R1 --sensor R2
      vedette pki --out pki --sensor R1 --partner LV --host mqtt.example --site lt-east --days 90
    """
    with refusals():
        from adapters.pki import Wanted, generate

        hosts = tuple(host or ("localhost", "127.0.0.1"))
        made = generate(out, config, Wanted(tuple(sensor or ()), tuple(partner or ()), hosts, site, days))
        print(f"{out}: an authority and {len(made)} certificates, valid for {days} days")
        print(f"broker:  mosquitto -c {out}/mosquitto.conf")
        print(
            f'service: tls = true, port = 8883, tls_ca = "{out}/ca.pem", tls_cert = "{out}/vedette.pem", tls_key = ...'
        )
