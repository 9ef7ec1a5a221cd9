"""An incident as something to hand on: a report to read and print, GeoJSON for a map, CSV for a table.

Whatever came from the network is text: escaped in HTML, and in CSV kept from being taken for a formula. The report
needs nothing but itself: no scripts, no fonts, no pictures from elsewhere.
"""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from adapters.incidents.drawing import ATTRIBUTION, Box, Place, Sketch, collection, degrees, feature, svg
from adapters.incidents.reading import Dossier
from adapters.incidents.recorded import Recorded
from adapters.incidents.words import Section, iso, sections
from fusion.cases.casefile import clock
from fusion.cases.record import Incident

Borders = Callable[[Box], tuple[list[list[Place]], list[tuple[str, Place]]]]
FURTHEST_M = 50_000.0  # a border further away is not shown: the trail would be a dot
STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1c2126;max-width:60rem;margin:1.5rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:1.6rem 0 .4rem;border-bottom:1px solid #b9c2ca}
.said{font-size:1.1rem}.mark{color:#a01818;font-weight:700}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0}
th,td{border-bottom:1px solid #e4e8eb;overflow-wrap:break-word}td:first-child{white-space:nowrap}
td{font-variant-numeric:tabular-nums}svg{width:100%;height:auto;border:1px solid #b9c2ca}
.ground{fill:#f3f5f2}.search{fill:#e8a33d;fill-opacity:.22;stroke:#b36a00;stroke-dasharray:4 3}
.border{fill:none;stroke:#50585f;stroke-width:1.4}.trail{fill:none;stroke-width:2.4}
svg .mark{fill:none;stroke:#111;stroke-width:2}.bar{stroke:#111;stroke-width:3}
text{font:12px system-ui,sans-serif;fill:#1c2126}.state{font-size:15px;fill:#7a858e;text-anchor:middle}
.credit{font-size:10px;text-anchor:end;fill:#50585f}footer{margin-top:2rem;font-size:.8rem;color:#50585f}
nav{font-size:.9rem;margin-bottom:.8rem}
@media print{nav{display:none}}
@media print{body{margin:0;max-width:none;font-size:11px}h2{break-after:avoid}tr,svg{break-inside:avoid}}
"""


def report(of: Dossier, borders: Borders | None, beside: str = "", seen: Recorded | None = None) -> str:
    """The report as one HTML page. `borders`: lines and names for a box; None: a map without borders. `beside`: markup
    that stands before it, on a screen only. `seen`: what recordings have of it; None: nobody looked."""
    i = of.incident
    title = html.escape(f"{i.title} ({i.id})")
    words = " ".join([*["SIMULATED"] * i.simulated, *["EXERCISE"] * (i.mode == "exercise")])
    marks = f'<p class="mark">{words}</p>' if words else ""
    sketch = sketch_of(of)
    box = sketch.box()
    credit = ""
    if box is not None and borders is not None:
        sketch.borders, sketch.names = borders(box)
        credit = f" Borders {ATTRIBUTION}."
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head><body>',
        f'{beside}<h1>{html.escape(i.title)}</h1>{marks}<p class="said">{html.escape(i.sentence)}</p>',
        svg(sketch, box) if box is not None else "<p>No place is known.</p>",
        *(_table(part) for part in sections(of, seen)),
        f"<footer>Vedette detects, identifies and warns; it says nothing of intent.{credit} The journal that this "
        "record follows from is chained by hashes: <code>vedette journal</code> verifies it.</footer></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _table(part: Section) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in part.columns)
    rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in part.rows)
    return f"<h2>{html.escape(part.title)}</h2><table>{f'<tr>{head}</tr>' if head else ''}{rows}</table>"


def sketch_of(of: Dossier) -> Sketch:
    """What of an incident has a place."""
    sketch = Sketch()
    for member in of.incident.members:
        points = of.trails.get(member.track, ())
        line = [(degrees(lat), degrees(lon)) for _, lat, lon, _ in points]
        last = _place(member.lat_rad, member.lon_rad)
        if last is not None and (not points or member.t_us > points[-1][0]):
            line.append(last)
        if line:
            sketch.trails.append((member.track, line if len(line) > 1 else line * 2))
    for told in (item.incident for item in of.transitions if item.incident.change == "raised"):
        at = _place(told.members[0].lat_rad, told.members[0].lon_rad)
        if at is not None:
            sketch.marks.append(("first alert", at))
    for alert in of.alerts:  # a map of something near a border shows that border
        at = _place(alert.lat_rad, alert.lon_rad)
        away_m = next((q.value for q in alert.quantities if q.name == "distance_m"), math.nan)
        if at is not None and isinstance(away_m, float) and math.isfinite(away_m):
            sketch.around.append((at, min(abs(away_m), FURTHEST_M)))
    for search in of.searches:
        polygons = [item["geometry"]["coordinates"] for item in search["features"][1:]]
        for polygon in reversed(polygons):
            sketch.areas += [[[(lat, lon) for lon, lat in ring] for ring in rings] for rings in polygon]
    return sketch


def _place(lat_rad: float, lon_rad: float) -> Place | None:
    known = math.isfinite(lat_rad) and math.isfinite(lon_rad)
    return (degrees(lat_rad), degrees(lon_rad)) if known else None


def geojson(dossiers: Sequence[Dossier]) -> dict[str, Any]:
    """Trails, alerts, and search areas as one FeatureCollection (RFC 7946)."""
    features: list[dict[str, Any]] = []
    for of in dossiers:
        about = {"incident": of.incident.id, "title": of.incident.title, "simulated": of.incident.simulated}
        for member in of.incident.members:
            points = of.trails.get(member.track, ())
            more = {"kind": "trail", "track": member.track, "times": [iso(point[0]) for point in points]}
            line = [_position(lat, lon, height) for _, lat, lon, height in points]
            if len(line) > 1:
                features.append(feature("LineString", line, {**about, **more}))
            at = _place(member.lat_rad, member.lon_rad)
            if at is not None:
                last = {"kind": "last-place", "track": member.track, "time": iso(member.t_us), "state": member.state}
                features.append(feature("Point", [at[1], at[0]], {**about, **last}))
        for alert in of.alerts:
            at = _place(alert.lat_rad, alert.lon_rad)
            if at is not None:
                said = {"kind": "alert", "alert": alert.id, "rule": alert.rule, "severity": alert.severity}
                features.append(feature("Point", [at[1], at[0]], {**about, **said, "sentence": alert.sentence}))
        for search in of.searches:
            features += [{**item, "properties": {**about, **item["properties"]}} for item in search["features"]]
    return collection(features)


def _position(lat: float, lon: float, height: float) -> list[float]:
    here = [degrees(lon), degrees(lat)]
    return [*here, round(height, 1)] if math.isfinite(height) else here


COLUMNS = (
    "incident", "state", "severity", "worst_severity", "raised_time", "changed_time", "near_state", "states",
    "objects_count", "title", "identity", "identity_by", "acknowledged_by", "handed_to", "taken_by",
    "first_plot_to_confirmed_s", "confirmed_to_alert_s", "alert_to_acknowledged_s", "acknowledged_to_taken_s",
    "lat_deg", "lon_deg", "close_reason", "simulated",
)  # fmt: skip


def table(incidents: Sequence[Incident]) -> str:
    """One line an incident, as CSV (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for i in incidents:
        c = clock(i)
        steps = ((c.first_plot_us, c.confirmed_us, c.alert_us), (c.called_us, c.acknowledged_us, c.taken_us))
        spans = [(b - a) / 1e6 if a >= 0 and b >= a else "" for part in steps for a, b in pairwise(part)]
        at = _place(i.members[0].lat_rad, i.members[0].lon_rad) or ("", "")
        writer.writerow(
            _cell(value)
            for value in (
                i.id, i.state, i.severity, i.worst, iso(i.raised_us), iso(i.t_us), i.near_state, " ".join(i.states),
                len(i.members), i.title, i.identity, i.identity_by, i.acknowledged_by, i.handed_to, i.taken_by,
                *spans, *at, i.close_reason, i.simulated,
            )
        )  # fmt: skip
    return out.getvalue()


def _cell(value: object) -> object:
    """A text that a spreadsheet would run as a formula gets a quote before it (OWASP, CSV injection)."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value
