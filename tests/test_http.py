"""The small HTTP door, inside a running event loop, started and stopped without touching signals."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket

import httpx
import pytest

from adapters import http
from adapters.errors import ConfigError
from adapters.metrics import Metrics

pytestmark = pytest.mark.alone


def get(paths: list[str], ready: http.Ready = lambda: (True, "ready")) -> list[httpx.Response]:
    async def scene() -> list[httpx.Response]:
        async with http.serve("127.0.0.1", 0, Metrics(), ready) as port, httpx.AsyncClient() as client:
            return [await client.get(f"http://127.0.0.1:{port}{path}") for path in paths]

    return asyncio.run(scene())


def test_metrics_are_prometheus_text() -> None:
    (answer,) = get(["/metrics"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"\nvedette_items_received_total 0.0\n" in answer.content


def test_alive_is_not_ready() -> None:
    alive, ready = get(["/healthz", "/readyz"], lambda: (False, "no broker since 12 s"))
    assert (alive.status_code, alive.text) == (200, "ok\n")
    assert (ready.status_code, ready.text) == (503, "no broker since 12 s\n")


def test_ready_is_asked_anew_every_time() -> None:
    states = iter([(False, "warming up"), (True, "ready")])
    assert [answer.status_code for answer in get(["/readyz", "/readyz"], lambda: next(states))] == [503, 200]


def test_nothing_else_is_served() -> None:
    assert [answer.status_code for answer in get(["/", "/docs", "/metrics/../etc/passwd"])] == [404, 404, 404]
    (answer,) = get(["/metrics"])
    assert "server" not in answer.headers  # which software this is concerns nobody outside


def test_the_service_keeps_its_signals() -> None:
    async def scene() -> None:
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        async with http.serve("127.0.0.1", 0, Metrics(), lambda: (True, "")):
            assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before

    asyncio.run(scene())


def test_the_port_is_free_again_and_no_task_is_left() -> None:
    async def scene() -> None:
        async with http.serve("127.0.0.1", 0, Metrics(), lambda: (True, "")) as first:
            pass
        async with http.serve("127.0.0.1", first, Metrics(), lambda: (True, "")) as second:
            assert second == first
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scene())
    gc.collect()  # a socket left open would be a warning here, and warnings are errors


def test_a_client_that_hangs_does_not_hold_up_the_end() -> None:
    async def scene() -> float:
        loop = asyncio.get_running_loop()
        async with http.serve("127.0.0.1", 0, Metrics(), lambda: (True, "")) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")  # and never the empty line
            await writer.drain()
            start = loop.time()
        took = loop.time() - start
        writer.close()
        return took

    assert asyncio.run(scene()) < 2 * http.STOP_TIMEOUT_S + 3.0


def test_a_failure_inside_the_block_ends_the_server_too() -> None:
    async def scene() -> None:
        async with http.serve("127.0.0.1", 0, Metrics(), lambda: (True, "")):
            raise LookupError("the service failed")

    with pytest.raises(LookupError, match="the service failed"):
        asyncio.run(scene())


def test_a_taken_port_is_refused_with_a_cure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as refused:
            http.bind("127.0.0.1", port)
    assert refused.value.key == "http"
    assert f"127.0.0.1:{port}" in refused.value.problem
    assert "0 for any free one" in refused.value.cure


def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1"):
        http.bind("192.0.2.1", 0)  # TEST-NET-1, RFC 5737
