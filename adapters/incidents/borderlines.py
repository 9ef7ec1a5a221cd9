"""Border lines for a map: what of the configured border files lies in a box, simplified to what a map can show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import shapely

from adapters.files import zonefiles
from adapters.incidents.drawing import WIDTH_PX, Box, Place

Named = tuple[str, Place]


def drawn(paths: Sequence[Path], box: Box) -> tuple[list[list[Place]], list[Named]]:
    """Lines of the borders in a box (west, south, east, north, degrees), and where to write the names of the states.

    Raises:
        ConfigError: a border file cannot be read.
    """
    step_deg = (box[2] - box[0]) / WIDTH_PX
    lines: list[list[Place]] = []
    names: dict[str, tuple[float, Place]] = {}  # by name: the largest part of the state that is in the box
    for path in zonefiles.border_files(paths):
        for feature in zonefiles.read_borders(path).features:
            shape = feature.geometry
            many = shape.coordinates if isinstance(shape, zonefiles.MultiPolygon) else [shape.coordinates]
            for rings in many:
                outlines = [shapely.LineString([p[:2] for p in ring]) for ring in rings]
                lines += [line for ring in outlines for line in _clipped(ring, box, step_deg)]
                area = shapely.make_valid(shapely.Polygon(outlines[0])).intersection(shapely.box(*box))
                name = feature.properties.name or feature.properties.iso_a2
                if area.area > names.get(name, (0.0, (0.0, 0.0)))[0]:
                    at = area.representative_point()
                    names[name] = (area.area, (at.y, at.x))
    return lines, [(name, at) for name, (_, at) in sorted(names.items())]


def _clipped(ring: shapely.LineString, box: Box, step_deg: float) -> list[list[Place]]:
    inside = shapely.clip_by_rect(ring, *box).simplify(step_deg)
    parts = inside.geoms if hasattr(inside, "geoms") else [inside]
    return [[(y, x) for x, y in part.coords] for part in parts if len(part.coords) > 1]
