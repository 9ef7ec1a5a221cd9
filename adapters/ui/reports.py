"""Reports of incidents over HTTP: one page that needs nothing else, and GeoJSON beside it, from the database."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from adapters.errors import ConfigError
from adapters.incidents import borderlines, report
from adapters.incidents.database import read_only
from adapters.incidents.reading import dossier, find

_ID = re.compile(r"[0-9a-f]{16}")
# The report carries its style with it, and nothing else may be in it: not even that is `unsafe-inline`.
_STYLE = base64.b64encode(hashlib.sha256(report.STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE}'; frame-ancestors 'none'; base-uri 'none'; sandbox"


class Reports:
    """`/report/{incident}` and `/report/{incident}.geojson`."""

    def __init__(self, database: Path, borders: tuple[Path, ...]) -> None:
        self._database, self._borders = database, borders

    def routes(self) -> list[BaseRoute]:
        """Where to ask."""
        return [Route("/report/{incident}.geojson", self._geojson), Route("/report/{incident}", self._html)]

    async def _html(self, request: Request) -> Response:
        return await self._answer(request, self.html, "text/html", {"Content-Security-Policy": POLICY})

    async def _geojson(self, request: Request) -> Response:
        return await self._answer(request, self.geojson, "application/geo+json", {})

    async def _answer(self, request: Request, made: Any, kind: str, headers: dict[str, str]) -> Response:
        incident = request.path_params["incident"]
        if not _ID.fullmatch(incident):
            return PlainTextResponse("no such incident\n", 404)
        try:
            found = await run_in_threadpool(made, incident)
        except ConfigError as error:
            return PlainTextResponse(f"{error}\n", 503)
        if found is None:
            return PlainTextResponse("no such incident yet: it is written a moment after it is told\n", 404)
        return Response(found, media_type=kind, headers=headers)

    def html(self, incident: str) -> str | None:
        """The report; None: there is no such incident. Raises ConfigError."""
        with read_only(self._database) as db:
            of = dossier(db, incident) if find(db, incident) else None
        return None if of is None else report.report(of, lambda box: borderlines.drawn(self._borders, box))

    def geojson(self, incident: str) -> bytes | None:
        """The same for a map. Raises ConfigError."""
        with read_only(self._database) as db:
            of = dossier(db, incident) if find(db, incident) else None
        return None if of is None else msgspec.json.encode(report.geojson([of]))
