"""Reports of incidents over HTTP: one page that needs nothing else, and files for maps beside it, from the database."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from adapters.errors import ConfigError
from adapters.incidents import borderlines, mapfiles, report
from adapters.incidents.database import read_only
from adapters.incidents.reading import Dossier, dossier, find, of_alert
from adapters.incidents.recorded import recorded
from adapters.incidents.words import dossier_command as command
from adapters.ui.answers import as_json

_ID = re.compile(r"[0-9a-f]{16}")
# The report carries its style with it, and nothing else may be in it: not even that is `unsafe-inline`.
_STYLE = base64.b64encode(hashlib.sha256(report.STYLE.encode()).digest()).decode()
# In a sandbox it may do nothing but hand out the files beside it.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE}'; frame-ancestors 'none'; base-uri 'none'; sandbox allow-downloads"
)
FILES: dict[str, tuple[str, str, Callable[[Dossier], bytes]]] = {  # ending -> name, kind, how it is made
    "geojson": ("GeoJSON", "application/geo+json", lambda of: msgspec.json.encode(report.geojson([of]))),
    "kml": ("KML", "application/vnd.google-earth.kml+xml", mapfiles.kml),
    "czml": ("CZML", "application/json", mapfiles.czml),
}


class Reports:
    """`/report/{incident}`, the same as `.html` to keep and as each of `FILES`; `/incident-of/{alert}` finds its id."""

    def __init__(self, database: Path, borders: tuple[Path, ...], recordings: Path) -> None:
        self._database, self._borders, self._recordings = database, borders, recordings

    def routes(self) -> list[BaseRoute]:
        """Where to ask."""
        return [
            Route("/report/{incident}.{ending}", self._file),
            Route("/report/{incident}", self._page),
            Route("/incident-of/{alert}", self._incident),
        ]

    async def _incident(self, request: Request) -> Response:
        """Of what is over nobody is told any more: the database knows."""

        def found() -> str:
            with read_only(self._database) as db:
                return of_alert(db, request.path_params["alert"])

        try:
            return as_json({"incident": await run_in_threadpool(found)})
        except ConfigError as error:
            return PlainTextResponse(f"{error}\n", 503)

    async def _page(self, request: Request) -> Response:
        incident = request.path_params["incident"]
        return await self._answer(request, lambda of: self.html(of, links(incident)), "text/html", {})

    async def _file(self, request: Request) -> Response:
        incident, ending = request.path_params["incident"], request.path_params["ending"]
        _, kind, make = FILES.get(ending, ("", "text/html", self.html))
        if ending not in FILES and ending != "html":
            return PlainTextResponse("no such file\n", 404)
        name = f'attachment; filename="incident-{incident}.{ending}"'
        return await self._answer(request, make, kind, {"Content-Disposition": name})

    async def _answer(
        self, request: Request, make: Callable[[Dossier], str | bytes], kind: str, headers: dict[str, str]
    ) -> Response:
        incident = request.path_params["incident"]
        if not _ID.fullmatch(incident):
            return PlainTextResponse("no such incident\n", 404)
        try:
            found = await run_in_threadpool(self._made, incident, make)
        except ConfigError as error:
            return PlainTextResponse(f"{error}\n", 503)
        if found is None:
            return PlainTextResponse("no such incident yet: it is written a moment after it is told\n", 404)
        if kind == "text/html":
            headers["Content-Security-Policy"] = POLICY
        return Response(found, media_type=kind, headers=headers)

    def _made(self, incident: str, make: Callable[[Dossier], str | bytes]) -> str | bytes | None:
        """What is made of an incident; None: there is none. Raises ConfigError."""
        with read_only(self._database) as db:
            of = dossier(db, incident) if find(db, incident) else None
        return None if of is None else make(of)

    def html(self, of: Dossier, beside: str = "") -> str:
        """The report; `beside` is markup that stands before it."""
        seen = recorded(self._recordings, of)
        return report.report(of, lambda box: borderlines.drawn(self._borders, box), beside, seen)


def links(incident: str) -> str:
    """Where the files beside a report are, as markup that is not printed. A dossier takes the whole piece of the
    recordings: it is asked for on the page (`adapters/ui/dossiers.py`), or made by hand."""
    names = {"html": "this report", **{ending: name for ending, (name, _, _) in FILES.items()}}
    made = (f'<a href="/report/{incident}.{ending}" download>{name}</a>' for ending, name in names.items())
    whole = f"key E on the page, or <code>{command(incident)}</code>"
    return f"<nav>Save: {' · '.join(made)} · all of it with the recording: {whole}</nav>"
