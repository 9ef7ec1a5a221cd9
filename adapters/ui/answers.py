"""What the page's routes have in common: bodies with a limit, answers as JSON, and whether something was done."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

BODY_MAX = 4_096  # more than anybody has to say


async def body_of(request: Request) -> bytes | None:
    """What was sent; None: too much."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_MAX:
            return None
    return body


def as_json(content: Any, status: int = 200) -> Response:
    """Anything that msgspec encodes."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def told(ok: bool, detail: str, status: int = 200) -> Response:
    """What became of something that was asked for."""
    return as_json({"ok": ok, "detail": detail}, status)
