"""A browser for ASGI applications, without a network: requests through httpx, sockets by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
from starlette.types import ASGIApp

ORIGIN = "http://127.0.0.1:8080"


class Browser:
    """Keeps cookies, follows nothing, and comes from `address`."""

    def __init__(self, app: ASGIApp, address: str = "127.0.0.1") -> None:
        self._app, self._address = app, address
        self._cookies = httpx.Cookies()

    def get(self, path: str, **more: Any) -> httpx.Response:
        """GET."""
        return self.ask("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        """POST, from a page of ours unless `headers` says otherwise."""
        return self.ask("POST", path, **{"headers": {"origin": ORIGIN}, **more})

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Any request."""

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, client=(self._address, 5000))
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=self._cookies) as client:
                answer = await client.request(method, path, **more)
                self._cookies.update(client.cookies)
                return answer

        return asyncio.run(asked())

    def socket(self, path: str, headers: Mapping[str, str], most: int = 1) -> list[str]:
        """What a socket says, at most so many texts; empty: it was refused."""
        said: list[str] = []
        enough = asyncio.Event()
        named = {"host": ORIGIN.removeprefix("http://"), **headers}
        scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "scheme": "ws",
            "subprotocols": [],
            "client": (self._address, 5000),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }
        steps = iter([{"type": "websocket.connect"}])

        async def receive() -> Any:
            for step in steps:
                return step
            await enough.wait()
            return {"type": "websocket.disconnect", "code": 1000}

        async def send(message: Any) -> None:
            if message["type"] == "websocket.send":
                said.append(message["text"])
            if len(said) >= most or message["type"] == "websocket.close":
                enough.set()

        async def run() -> None:
            async with asyncio.timeout(30):
                await self._app(scope, receive, send)

        asyncio.run(run())
        return said
