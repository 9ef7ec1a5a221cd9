"""`vedette top`: the sky in a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from adapters.errors import WRONG, refusals


def top(
    config: Annotated[Path, typer.Option("--config", "-c", help="Folder with service.toml.")] = Path("config"),
    operator: Annotated[str, typer.Option(help="Who acknowledges; without it you are asked.")] = "",
) -> None:
    """Show alerts, tracks and sensors in this terminal, the most urgent first, and acknowledge with A.

    It hears the broker as the page does and never touches the service. Q or Ctrl-Q ends.

    \b
    Examples:
      vedette top --config config/
      vedette top --operator "J. Petraitis"
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        typer.echo("vedette top needs a terminal. Cure: run it in one; `vedette tail` prints lines", err=True)
        raise typer.Exit(WRONG)
    with refusals():
        from adapters import config as configuration

        found = configuration.load(config)
    from adapters import log
    from adapters.ui.listener import Listener
    from adapters.ui.top import Top

    log.setup("critical", "json")  # what is logged would be written over the tables
    Top(Listener(found.site, found.broker), operator.strip()).run()
