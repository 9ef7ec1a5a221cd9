"""What the sensors that look by themselves cover at a height above ground: as the tracker counts it, drawn on the map.

A place is covered where one look gives a plot of an ordinary object (1 m^2) there with COVERED or more, by range,
horizon, terrain and cone of silence (fusion/coverage.py). What a sensor's record says of a place is not in it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import shapely
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from adapters.incidents.drawing import collection, feature
from adapters.ui.basemap import DIGITS
from adapters.ui.observed import Observed
from fusion import geo
from fusion.borders.terrain import sample
from fusion.coverage import COVERED, LOOKING

if TYPE_CHECKING:
    from fusion.coverage import Coverage
    from fusion.schema import F8, SensorSpec
    from fusion.zones import Zones

AZIMUTHS, STEPS = 180, 96  # cells around a sensor: 2 degrees, and a 96th of the range
SIMPLE_DEG = 0.002
LEAST_M, MOST_M = 10, 20_000  # heights that may be asked for
HELD_MAX = 8  # heights that are kept


def covered(spec: SensorSpec, coverage: Coverage, zones: Zones, agl_m: float) -> shapely.Geometry:
    """Where a sensor of `coverage` sees at this height above ground: polygons in degrees, x is longitude."""
    azimuths: F8 = np.linspace(0.0, 2.0 * math.pi, AZIMUTHS + 1)
    edges_m: F8 = np.linspace(0.0, spec.range_max_m, STEPS + 1)
    lat, lon = _places(spec, azimuths[:-1] + math.pi / AZIMUTHS, edges_m[:-1] + 0.5 * edges_m[1])
    ground_m = np.maximum(np.nan_to_num(sample(zones.terrain, lat, lon)), 0.0)
    xyz = geo.ecef(lat, lon, ground_m + np.nan_to_num(sample(zones.geoid, lat, lon)) + agl_m)
    seen = (coverage.detection(xyz)[:, spec.index] >= COVERED).reshape(AZIMUTHS, STEPS)
    corners = np.degrees(np.stack(_places(spec, azimuths, edges_m)[::-1], axis=-1)).reshape(AZIMUTHS + 1, STEPS + 1, 2)
    corners[-1], corners[:, 0] = corners[0], corners[0, 0]  # the same to the last bit, or seams stay
    cells = [cell for a in range(AZIMUTHS) for cell in _runs(seen[a], corners[a], corners[a + 1])]
    return shapely.coverage_union_all(cells)


def _places(spec: SensorSpec, azimuth_rad: F8, distance_m: F8) -> tuple[F8, F8]:
    """Latitude and longitude, (azimuths x distances,)."""
    azimuth, distance = (grid.ravel() for grid in np.meshgrid(azimuth_rad, distance_m, indexing="ij"))
    here = (np.full(azimuth.shape, spec.lat_rad), np.full(azimuth.shape, spec.lon_rad))
    lat, lon, _ = geo.direct(*here, azimuth, distance)
    return lat, lon


def _runs(seen: Any, left: F8, right: F8) -> list[shapely.Polygon]:
    """One polygon for each stretch of a sector that is seen; with all corners, so that neighbours meet exactly."""
    ends = np.flatnonzero(np.diff(np.concatenate(([0], seen.astype(np.int8), [0]))))
    return [shapely.Polygon([*left[i : j + 1], *right[i : j + 1][::-1]]) for i, j in ends.reshape(-1, 2).tolist()]


class CoverageMap:
    """`/coverage?agl_m=150`: a polygon for each sensor that looks. `load`: a second of work, done when first asked."""

    def __init__(
        self, sensors: tuple[SensorSpec, ...], load: Callable[[], tuple[Coverage, Zones]], observed: Observed
    ) -> None:
        self._observed = observed
        self._sensors = [spec for spec in sensors if spec.has_site and spec.kind in LOOKING]
        self._load = load
        self._loaded: tuple[Coverage, Zones] | None = None
        self._held: dict[int, bytes] = {}
        self._turn = asyncio.Lock()

    def routes(self) -> list[BaseRoute]:
        """Where to ask."""
        return [Route("/coverage", self._get), Route("/observed", self._seen)]

    async def _seen(self, request: Request) -> Response:
        outlines = self._observed.outlines(_height_m(request))
        told = [feature("LineString", ring, {"sensor": name, "observed": True}) for name, ring in outlines]
        return Response(msgspec.json.encode(collection(told)), media_type="application/geo+json")

    async def _get(self, request: Request) -> Response:
        agl_m = _height_m(request)
        if not LEAST_M <= agl_m <= MOST_M:
            return PlainTextResponse(f"agl_m is {LEAST_M} to {MOST_M}\n", 400)
        async with self._turn:
            if agl_m not in self._held:
                if len(self._held) >= HELD_MAX:
                    del self._held[next(iter(self._held))]
                self._held[agl_m] = await run_in_threadpool(self.drawn, agl_m)
        return Response(self._held[agl_m], media_type="application/geo+json")

    def drawn(self, agl_m: int) -> bytes:
        """GeoJSON."""
        if self._loaded is None:
            self._loaded = self._load()
        features = []
        for spec in self._sensors:
            shape = covered(spec, *self._loaded, agl_m).simplify(SIMPLE_DEG)
            said = shapely.geometry.mapping(shapely.transform(shape, lambda xy: np.round(xy, DIGITS)))
            if not shape.is_empty:
                features.append(feature(said["type"], said["coordinates"], {"sensor": spec.id, "agl_m": agl_m}))
        return msgspec.json.encode(collection(features))


def _height_m(request: Request) -> int:
    """What was asked for; 0: no height."""
    try:
        return int(request.query_params.get("agl_m", ""))
    except ValueError:
        return 0
