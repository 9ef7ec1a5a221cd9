"""The service's own small HTTP door: `/metrics`, `/healthz`, `/readyz`. Nothing else, and never on a public address
unless the configuration says so."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from adapters.errors import ConfigError
from adapters.metrics import CONTENT_TYPE, Metrics

Ready = Callable[[], tuple[bool, str]]
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 2.0  # a scraper in the middle of its request may finish; after that it is cut off


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the service decides when to end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def application(metrics: Metrics, ready: Ready) -> Starlette:
    """The three pages. `ready` says whether the service does its work now, and why not."""

    async def show_metrics(_request: Request) -> Response:
        return Response(metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    async def show_health(_request: Request) -> Response:
        return PlainTextResponse("ok\n")  # that the event loop answers is the whole statement

    async def show_ready(_request: Request) -> Response:
        good, reason = ready()
        return PlainTextResponse(f"{reason}\n", status_code=200 if good else 503)

    return Starlette(
        routes=[
            Route("/metrics", show_metrics),
            Route("/healthz", show_health),
            Route("/readyz", show_ready),
        ]
    )


def bind(host: str, port: int, file: str = "service.toml", key: str = "http") -> socket.socket:
    """A listening socket, so that a taken port is found before anything else starts. Raises ConfigError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        problem = f"cannot listen on {host}:{port} ({error.strerror or error})"
        cure = "free the port, set another, or 0 for any free one"
        raise ConfigError(file, key, problem, cure) from error
    return sock


@asynccontextmanager
async def serve(host: str, port: int, metrics: Metrics, ready: Ready) -> AsyncIterator[int]:
    """Serve inside the running event loop for the length of the `async with` block; yields the port taken.

    Raises:
        ConfigError: the address cannot be had.
    """
    with closing(bind(host, port)) as sock:
        async with running(application(metrics, ready), sock):
            yield int(sock.getsockname()[1])


@asynccontextmanager
async def running(
    app: ASGIApp, sock: socket.socket, ws: Literal["none", "websockets-sansio"] = "none"
) -> AsyncIterator[None]:
    """Serve an application at a bound socket in the running event loop for the length of the `async with` block."""
    settings = uvicorn.Config(
        app,
        lifespan="off",
        ws=ws,
        ws_max_size=4_096,  # a viewer has nothing to say
        ws_per_message_deflate=False,  # costs more CPU than the bytes are worth
        http="h11",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(STOP_TIMEOUT_S),
    )
    server = _Server(settings)
    task = asyncio.create_task(server.serve(sockets=[sock]), name="http")
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not server.started:
                if task.done():
                    await task
                    raise RuntimeError("the HTTP server ended while starting")
                await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await asyncio.wait([task], timeout=2 * STOP_TIMEOUT_S)
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
