"""The picture as whole files for map viewers, KML and CZML: written anew, or answered over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from adapters.broker import now_us
from adapters.formats import czml, kml
from adapters.outlets.geojson import replace_file
from adapters.outlets.listener import Listener
from adapters.outlets.web import REFRESH_S, Make, Page
from fusion.schema import Invalid


class Files:
    """A file that is written anew every `every_s`, until cancelled."""

    def __init__(self, make: Make, every_s: float, file: Path) -> None:
        self._make, self._every_s, self._file = make, every_s, file
        self._written = 0

    def words(self) -> str:
        """One line for people."""
        return f"{self._written} files written"

    async def serve(self, listener: Listener) -> None:
        """Write. Raises OSError where that cannot be done."""
        while True:
            text = self._make(listener)
            await asyncio.to_thread(replace_file, self._file, text)
            self._written += 1
            await asyncio.sleep(self._every_s)


def as_kml(listener: Listener) -> bytes:
    """All tracks and open alerts as KML."""
    held = listener.held
    return kml.encode(list(held.tracks()), held.alerts(), now_us(), listener.site, held.replayed)


def as_czml(listener: Listener) -> bytes:
    """All tracks and open alerts as CZML; what has no place is left out."""
    held, packets = listener.held, []
    alerted = {said.track for said in held.alerts()}
    for told in held.tracks():
        with contextlib.suppress(Invalid):
            packets.append(czml.track(told, told.id in alerted, held.replayed))
    for said in held.alerts():
        with contextlib.suppress(Invalid):
            packets.append(czml.alert(said, held.replayed))
    return czml.encode(packets, listener.site)


def kml_pages() -> tuple[Page, ...]:
    """`/picture.kml`, and `/vedette.kml`, which makes a viewer ask for it again and again where it asked for this."""
    media = "application/vnd.google-earth.kml+xml"

    def again(listener: Listener, ours: str) -> bytes:
        return kml.link(f"{ours}/picture.kml", REFRESH_S, listener.site)

    return (Page("/picture.kml", media, as_kml), Page("/vedette.kml", media, as_kml, again))


def czml_pages() -> tuple[Page, ...]:
    """`/picture.czml`."""
    return (Page("/picture.czml", "application/json", as_czml),)
