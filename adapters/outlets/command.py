"""`vedette out`: what the service publishes, in the formats of others, by a process of its own beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters import log
from adapters.errors import ConfigError, refusals

if TYPE_CHECKING:
    from adapters.outlets.listener import Serve

DONE, FAILED = 0, 1
out = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Give the picture to maps and systems of others: geojson."
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
      vedette out geojson --lines | jq .properties
    """
    log.setup("info")
    with refusals():
        from adapters.outlets.geojson import GeoJson

        if (file is None) == (not lines):
            raise ConfigError("command line", "--file", "one of --file and --lines is needed", "name one of them")
        outlet = GeoJson(every_s, file)
        code = listening("geojson", config, broker, site, outlet.serve, outlet.words)
    raise typer.Exit(code)


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
