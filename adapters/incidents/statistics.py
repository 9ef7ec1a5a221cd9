"""Where incidents come again: counts by stretch of the border and ISO week."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from adapters.incidents.drawing import M_PER_DEG
from fusion import geo
from fusion.borders.border import OTHER, SEA
from fusion.cases.record import Incident
from fusion.schema import F8, I1

SECTOR_M = 25_000.0  # a border guard's stretch; finer splits one gap in two, coarser joins two

Counts = dict[str, Counter[str]]  # sector -> ISO week -> incidents


def counted(incidents: Sequence[Incident], edge: F8, facing: I1) -> Counts:
    """Incidents as they were raised, by sector and week.

    `edge` (k, 4) lat, lon, lat, lon radians and `facing` (k,): pieces of the outer edge, as `fusion.zones.Zones` has
    them. A sector is named by the state concerned and the middle of its stretch.
    """
    pieces = edge[(facing == OTHER) | (facing == SEA)]
    lat, lon = pieces[:, [0, 2]].mean(axis=1), pieces[:, [1, 3]].mean(axis=1)
    counts: Counts = {}
    for incident in incidents:
        counts.setdefault(_sector(incident, lat, lon), Counter())[_week(incident.raised_us)] += 1
    return {sector: counts[sector] for sector in sorted(counts, key=lambda s: (-counts[s].total(), s))}


def _sector(incident: Incident, lat: F8, lon: F8) -> str:
    """The cell of about 25 km of the border point nearest to where the first object was."""
    first = incident.members[0]
    if not len(lat) or not (math.isfinite(first.lat_rad) and math.isfinite(first.lon_rad)):
        return f"{incident.near_state} place not known".strip()
    nearest = int(np.argmin(geo.inverse(first.lat_rad, first.lon_rad, lat, lon)[0]))
    step = SECTOR_M / M_PER_DEG
    row = math.floor(math.degrees(lat[nearest]) / step)
    middle_lat = (row + 0.5) * step
    wide = step / max(0.1, math.cos(math.radians(middle_lat)))  # one width for a whole row
    middle_lon = (math.floor(math.degrees(lon[nearest]) / wide) + 0.5) * wide
    north, east = f"{abs(middle_lat):.2f} {'NS'[middle_lat < 0]}", f"{abs(middle_lon):.2f} {'EW'[middle_lon < 0]}"
    return f"{incident.near_state} {north} {east}".strip()


def _week(us: int) -> str:
    year, week, _ = datetime.fromtimestamp(us / 1e6, UTC).isocalendar()
    return f"{year}-W{week:02d}"


def table(counts: Counts) -> str:
    """As text: a line a sector, the busiest first, a column a week."""
    weeks = sorted({week for by_week in counts.values() for week in by_week})
    width = max([len(sector) for sector in counts] + [6])
    lines = [f"{'sector':<{width}}  {'all':>5}  {'  '.join(weeks)}".rstrip()]
    for sector, by_week in counts.items():
        cells = "  ".join(f"{by_week[week] or '':>{len(week)}}" for week in weeks)
        lines.append(f"{sector:<{width}}  {by_week.total():>5}  {cells}".rstrip())
    return "\n".join(lines) + "\n"
