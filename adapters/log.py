"""Logs: structlog to standard error, one event a line; standard output belongs to the answers.

Also the little that must be set before numba and numpy are imported.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from adapters import kernelcache

LEVELS = ("debug", "info", "warning", "error")
STYLES = ("auto", "text", "json")


def setup(level: str = "info", style: str = "auto", stream: TextIO | None = None) -> None:
    """Send our own events and those of the libraries to `stream` (standard error).

    `style`: "text" for people, "json" for machines, "auto" takes text on a terminal and json elsewhere. Colour only on
    a terminal and never under NO_COLOR (no-color.org).
    """
    out = sys.stderr if stream is None else stream
    terminal = out.isatty()
    text = style == "text" or (style == "auto" and terminal)
    renderer: structlog.types.Processor
    if text:
        renderer = structlog.dev.ConsoleRenderer(
            colors=terminal and not os.environ.get("NO_COLOR"),
            # The usual one prints the local variables of every frame, and a password is one of them.
            exception_formatter=structlog.dev.plain_traceback,
        )
    else:
        renderer = structlog.processors.JSONRenderer()
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.types.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if not text:
        last.append(structlog.processors.format_exc_info)
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*last, _name_first, renderer])
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for chatty in ("aiomqtt", "mqtt", "uvicorn", "numba", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: `log.get("service").info("connected", host=host)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(f"vedette.{name}")
    return logger


def prepare_numerics() -> None:
    """Before numba or numpy is imported: see `kernelcache.prepare`."""
    kernelcache.prepare()


def _name_first(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Time, level and event at the left, so that json lines line up."""
    order = ("timestamp", "level", "logger", "event")
    return {key: event[key] for key in order if key in event} | {k: v for k, v in event.items() if k not in order}
