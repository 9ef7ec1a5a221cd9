"""The picture over HTTP, for who asks: GeoJSON, and the files of tar1090. One answer a second is made, for all."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.broker import now_us
from adapters.formats import readsb
from adapters.http import bind, running
from adapters.outlets.geojson import whole
from adapters.outlets.listener import Listener
from adapters.version import package_version
from fusion import geo
from fusion.schema import SensorSpec

REFRESH_S = 1.0
RING_POINTS = 72
Make = Callable[[Listener], bytes]


@dataclass(frozen=True, slots=True)
class Page:
    """What one path answers. `make` is called at most once a second, however many ask; a short answer that names the
    address under which we were asked, http://HOST:PORT, is made by `naming` each time."""

    path: str
    media: str
    make: Make
    naming: Callable[[Listener, str], bytes] | None = None


class Web:
    """Pages of the picture on one address, until cancelled."""

    def __init__(self, host: str, port: int, pages: Sequence[Page]) -> None:
        self._pages = tuple(pages)
        self._sock = bind(host, port, "command line", "--listen")
        self.port = int(self._sock.getsockname()[1])
        self.answers = 0
        self.ready = asyncio.Event()  # it answers
        self._made: dict[str, tuple[float, bytes]] = {}

    def words(self) -> str:
        """One line for people."""
        return f"port {self.port}: {self.answers} answers given"

    async def serve(self, listener: Listener) -> None:
        """Answer, for ever."""
        routes = [Route(page.path, self._answering(page, listener)) for page in self._pages]
        with closing(self._sock):
            async with running(Starlette(routes=routes), self._sock):
                self.ready.set()
                await asyncio.Event().wait()

    def _answering(self, page: Page, listener: Listener) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            self.answers += 1
            if page.naming is not None:
                return Response(page.naming(listener, str(request.base_url).rstrip("/")), media_type=page.media)
            now_s = asyncio.get_running_loop().time()
            made_s, body = self._made.get(page.path, (-math.inf, b""))
            if now_s - made_s >= REFRESH_S / 2.0:
                body = page.make(listener)
                self._made[page.path] = (now_s, body)
            # A map on another site's page may read it; it holds nothing that the asker may not see.
            headers = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
            return Response(body, media_type=page.media, headers=headers)

        return answer


def geojson_pages() -> tuple[Page, ...]:
    """`/picture.geojson`: tracks and open alerts."""

    def make(listener: Listener) -> bytes:
        return whole(listener.held, listener.site, now_us())

    return (Page("/picture.geojson", "application/geo+json", make),)


def tar1090_pages(sensors: Sequence[SensorSpec]) -> tuple[Page, ...]:
    """`/data/aircraft.json`, `receiver.json` and `outline.json`, below `/data/` and at the top."""
    sites = [spec for spec in sensors if spec.has_site]
    lat = lon = None
    if sites:
        lat = round(math.degrees(math.fsum(spec.lat_rad for spec in sites) / len(sites)), 5)
        lon = round(math.degrees(math.fsum(spec.lon_rad for spec in sites) / len(sites)), 5)
    place = readsb.receiver(f"vedette {package_version()}", round(1000 * REFRESH_S), lat, lon)
    rings = readsb.outline([_ring(spec) for spec in sites])

    def aircraft(listener: Listener) -> bytes:
        alerts: dict[str, list[str]] = {}
        for said in listener.held.alerts():
            alerts.setdefault(said.track, []).append(said.id)
        # Those whose own word is believed first: they keep an address that another claims too.
        tracks = sorted(listener.held.tracks(), key=lambda told: (not told.cooperative, told.id))
        return readsb.picture(tracks, now_us(), alerts, listener.held.number, listener.held.replayed)

    made: tuple[tuple[str, Make], ...] = (
        ("aircraft.json", aircraft),
        ("receiver.json", lambda _: place),
        ("outline.json", lambda _: rings),
    )
    return tuple(Page(f"{folder}{name}", "application/json", make) for folder in ("/data/", "/") for name, make in made)


def _ring(spec: SensorSpec) -> list[tuple[float, float]]:
    """What a sensor is declared to reach, terrain not asked: (lat, lon) in degrees, from north on."""
    azimuth_rad = np.arange(RING_POINTS) * (2.0 * math.pi / RING_POINTS)
    far_m = np.full(RING_POINTS, spec.range_max_m)
    lat, lon, _ = geo.direct(spec.lat_rad, spec.lon_rad, azimuth_rad, far_m)
    return list(zip(np.degrees(lat).round(5).tolist(), np.degrees(lon).round(5).tolist(), strict=True))
