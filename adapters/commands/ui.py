"""`vedette ui`: the operator's page, a process of its own beside the service."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters import log
from adapters.errors import refusals

if TYPE_CHECKING:
    from adapters.config import Config
    from adapters.ui.settings import UiFile
    from fusion.coverage import Coverage
    from fusion.zones import Zones

DONE = 0


def ui(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="Folder with service.toml and, where there are users, ui.toml.")
    ] = Path("config"),
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Instead of the configured one.")] = None,
    token: Annotated[str, typer.Option(help="Make a token for this user, show what to put into ui.toml, end.")] = "",
    log_level: Annotated[str, typer.Option("--log-level", help="Least severe event to log.")] = "info",
    log_style: Annotated[str, typer.Option("--log-style", help="auto, text or json.")] = "auto",
) -> None:
    """Serve the operator's page: map, alerts, sensors, acknowledge. It hears the broker and never touches the service.

    On 127.0.0.1 everybody on this machine may do everything; for others see docs/how-to/watch.md. Ends on SIGTERM or
    Ctrl-C.

    \b
    Examples:
      vedette ui --config config/
      vedette ui --port 9000
      vedette ui --token "J. Petraitis"
    """
    log.setup(log_level, log_style)
    if token:
        _show_token(token)
        raise typer.Exit(DONE)
    with refusals():
        from adapters import config as configuration
        from adapters.ui import settings

        chosen = settings.load(config)
        if port is not None:
            chosen = settings.checked(chosen.model_copy(update={"port": port}), config / settings.FILE)
        asyncio.run(_serve(configuration.load(config), chosen))
    raise typer.Exit(DONE)


async def _serve(config: Config, settings: UiFile) -> None:
    from adapters.ui.coverage import CoverageMap
    from adapters.ui.dossiers import Dossiers
    from adapters.ui.listener import Listener
    from adapters.ui.observed import Observed
    from adapters.ui.past import Past
    from adapters.ui.reports import Reports
    from adapters.ui.server import Page, serve
    from adapters.ui.sightings import Sightings
    from adapters.ui.watchlog import WatchLog

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    listener = Listener(config.site, config.broker)
    past = Past(config.record_dir, config.data_dir / "alerts.jsonl")
    reports = Reports(config.data_dir / "incidents.db", config.zone_paths, config.record_dir)
    dossiers = Dossiers(config, settings.dossier_max_bytes)
    watch, sightings = WatchLog(config.data_dir, past.happened), Sightings(listener, config.sensors)
    observed = Observed(config.sensors)
    listener.sky.see = observed.see
    cover = CoverageMap(config.sensors, lambda: _coverage(config), observed)
    more = [
        *cover.routes(),
        *past.routes(),
        *reports.routes(),
        *dossiers.routes(),
        *watch.routes(),
        *sightings.routes(),
    ]
    page = Page(listener, lambda: _basemap(config, settings.band_m), more)
    watch.open()
    try:
        async with serve(page, listener, settings) as port:
            log.get("ui").info("serving", address=f"http://{settings.host}:{port}/")
            await stop.wait()
    finally:
        await dossiers.close()
        watch.close()


def _basemap(config: Config, band_m: float) -> dict[str, Any]:
    from adapters.config import load_zones
    from adapters.ui.basemap import basemap

    return basemap(config, load_zones(config), band_m)


def _coverage(config: Config) -> tuple[Coverage, Zones]:
    from adapters.config import load_coverage, load_zones

    zones = load_zones(config)
    return load_coverage(config, zones), zones


def _show_token(name: str) -> None:
    token = secrets.token_urlsafe(24)
    print(f"The token of {name}, shown once: {token}")
    print(f'\n[[users]]\nname = "{name}"\nrole = "acknowledge"  # or "view", "admin"')
    print(f'token_sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"')
