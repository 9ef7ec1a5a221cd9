"""What leaves for maps and networks, there and back, a hundred thousand tracks of every format: by us and by others."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from geojson_pydantic import FeatureCollection
from sapient_msg_pydantic.bsi_flex_335_v2_0.sapient_message import SapientMessage as Checked

from adapters import samples, ulids
from adapters.formats import cot, czml, geojson, kml, readsb, sapient, track
from adapters.rows import OtherClass, Told
from adapters.samples import NOW_US
from fusion.classes import NAMES as CLASSES
from fusion.schema import SensorKind, SensorSpec
from tests.mapjudge import read
from tests.soak.campaign import Campaign, Counts, Verdict, seeds, total

TRACKS = 2_500  # of a piece, in every format
PIECES = 40
LETTERS = "ABCÄßŽ<>&\"' ;,\t\\/0123"
SITE = "lt-east"
NODE = sapient.Node(sapient.node_of(SITE), SITE, "0.1.0")
NEIGHBOUR = SensorSpec("N1", 0, SensorKind.TRACK)
RECEIVER = SensorSpec("A1", 0, SensorKind.ADSB)


def any_track(rng: np.random.Generator, counter: int) -> Told:
    """A track with everything that it may have, or without; numbers have the decimals that a row has."""
    base = track.told(track.encode(samples.tracks(), samples.assessment(), 0, samples.NAMES, 1, samples.forecast()))

    def number(low: float, high: float, digits: int) -> float | None:
        return None if rng.random() < 0.2 else round(float(rng.uniform(low, high)), digits) + 0.0

    def word(most: int) -> str | None:
        return None if rng.random() < 0.3 else "".join(rng.choice(list(LETTERS), rng.integers(1, most + 1)).tolist())

    major, minor, turn = rng.uniform(1.0, 3_000.0), rng.uniform(0.1, 1.0), rng.uniform(0.0, math.pi)
    a, b, s, c = major**2, (major * minor) ** 2, math.sin(turn), math.cos(turn)
    known = bool(rng.random() < 0.7)
    kind = str(rng.choice([*CLASSES[1:], ""]))
    return msgspec.structs.replace(
        base,
        id=f"{rng.integers(0, 1 << 31)}:{counter}",
        lat_deg=round(float(rng.uniform(-89.0, 89.0)), 6),
        lon_deg=round(float(rng.uniform(-180.0, 180.0)), 6),
        height_known=known,
        height_m=round(float(rng.uniform(-400.0, 30_000.0)), 1) if known else None,
        sigma_height_m=number(0.1, 900.0, 1) if known else None,
        agl_m=number(0.0, 20_000.0, 1) if known else None,
        climb_mps=number(-80.0, 80.0, 1) if known else None,
        speed_mps=number(0.0, 900.0, 1),
        course_deg=number(0.0, 359.99, 2),
        sigma_horizontal_m=round(math.sqrt((a + b) / 2.0), 1),
        var_east_m2=round(a * s * s + b * c * c, 1),
        var_north_m2=round(a * c * c + b * s * s, 1),
        cov_east_north_m2=round((a - b) * s * c, 1),
        sigma_velocity_east_mps=number(0.1, 90.0, 1),
        sigma_velocity_north_mps=number(0.1, 90.0, 1),
        sigma_climb_mps=number(0.1, 20.0, 1),
        existence=number(0.0, 1.0, 3),
        object_class=kind or None,
        p_class=round(float(rng.uniform(0.5, 1.0)), 2) if kind else None,
        other_classes=(OtherClass("balloon", 0.07),) if rng.random() < 0.5 else None,
        callsign=word(8),
        serial=word(20),
        address=f"{rng.integers(1, 1 << 24):06x}" if rng.random() < 0.5 else None,
        mode3a=f"{rng.integers(0, 0o10000):04o}" if rng.random() < 0.5 else None,
        contradicted=True if rng.random() < 0.2 else None,
        border_distance_m=number(-9e4, 4e5, 0),
        time_to_border_s=number(0.0, 1_800.0, 1),
    )


def near(one: float | None, other: float | None, within: float) -> bool:
    """Both unknown, or as near as the format's last decimal."""
    one, other = (math.nan if value is None else value for value in (one, other))
    return math.isnan(one) == math.isnan(other) and not abs(one - other) > within


def as_cot(rows: Sequence[Told]) -> int:
    """How many tracks are not as they were."""
    wrong = 0
    for row in rows:
        event = cot.track(row, SITE)
        back = cot.decode(cot.encode(event))
        numbers = (("lat_deg", 1e-7), ("lon_deg", 1e-7), ("hae_m", 0.051), ("ce_m", 0.051), ("le_m", 0.051),
                   ("course_deg", 0.051), ("speed_mps", 0.051))  # fmt: skip
        alike = all(near(getattr(event, name), getattr(back, name), within) for name, within in numbers)
        words = ("uid", "type", "how", "linked", "emergency")
        alike &= all(getattr(event, name) == getattr(back, name) for name in words)
        alike &= back.callsign == cot._ILLEGAL.sub("\ufffd", event.callsign)
        wrong += not (alike and dict(back.own) == dict(event.own) and back.remarks == event.remarks)
    return wrong


def as_geojson(rows: Sequence[Told]) -> int:
    """By us to the last field; by geojson-pydantic and GDAL the places and speeds."""
    payload = geojson.collection([*map(geojson.track, rows)], NOW_US, SITE)
    wrong = sum(one != row for one, row in zip(geojson.decode(payload).tracks, rows, strict=True))
    found: Any = FeatureCollection.model_validate_json(payload)
    for row, feature in zip(rows, found.features, strict=True):
        place = tuple(value for value in (row.lon_deg, row.lat_deg, row.height_m) if value is not None)
        wrong += (feature.id, tuple(feature.geometry.coordinates)) != (row.id, place)
    with tempfile.TemporaryDirectory() as folder:
        (layer,) = read("ogr", payload, Path(folder, "a.geojson")).values()
    for row, mark in zip(rows, layer["features"], strict=True):
        wrong += (mark["id"], mark["at"][:2]) != (row.id, [row.lon_deg, row.lat_deg])
        wrong += row.speed_mps is not None and float(mark["speed_mps"]) != row.speed_mps
    return wrong


def as_kml(rows: Sequence[Told]) -> int:
    """By us and by GDAL: places, names and data."""
    payload, wrong = kml.encode(rows, [], NOW_US, SITE), 0
    with tempfile.TemporaryDirectory() as folder:
        marks = read("ogr", payload, Path(folder, "a.kml"))["Tracks"]["features"]
    for row, ours, theirs in zip(rows, kml.decode(payload), marks, strict=True):
        said = {name: value for name, value in msgspec.to_builtins(row).items() if name in ours.said}
        back = {
            name: value if isinstance(said[name], str) else msgspec.json.decode(value)
            for name, value in ours.said.items()
        }
        wrong += back != {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}
        wrong += (ours.lat_deg, ours.lon_deg) != (row.lat_deg, row.lon_deg)
        wrong += (theirs["id"], theirs["at"][:2]) != (row.id, [row.lon_deg, row.lat_deg])
    return wrong


def as_czml(rows: Sequence[Told]) -> int:
    """By us to the last field; by czml3 the places."""
    payload, wrong = czml.encode([czml.track(row) for row in rows], SITE), 0
    with tempfile.TemporaryDirectory() as folder:
        _, *found = read("czml", payload, Path(folder, "a.czml"))
    for row, ours, theirs in zip(rows, czml.decode(payload), found, strict=True):
        wrong += msgspec.convert({**ours.properties, "schema": "vedette.track.v1"}, Told) != row
        place = [row.lon_deg, row.lat_deg, row.height_m or 0.0]
        wrong += (theirs["id"], theirs["position"]["cartographicDegrees"]) != (f"track.{row.id}", place)
    return wrong


def as_aircraft(rows: Sequence[Told]) -> int:
    """By our own reader of receivers: places, speeds, codes and addresses."""
    wrong = 0
    for at in range(0, len(rows), 50):  # a message of MQTT holds no more
        some = rows[at : at + 50]
        payload = readsb.picture(some, some[0].t_us, {}, 1)
        made = readsb.decode(payload, RECEIVER, some[0].t_us)
        wrong += sum(made.rejected.values()) + (len(made.batch) != len(some))
        for row, lat, lon, code in zip(
            some, made.batch.lat_rad.tolist(), made.batch.lon_rad.tolist(), made.batch.mode3a.tolist(), strict=True
        ):
            wrong += not (near(math.degrees(lat), row.lat_deg, 1e-9) and near(math.degrees(lon), row.lon_deg, 1e-9))
            wrong += (f"{code:04o}" if code >= 0 else None) != row.mode3a
    return wrong


def as_sapient(rows: Sequence[Told]) -> int:
    """By us as a neighbour's position; by sapient-pydantic, which holds it to the standard."""
    wrong = 0
    for row in rows:
        (payload,) = sapient.split(bytearray(sapient.frame(sapient.detection(NODE, row))))
        message = sapient.read(payload)
        Checked.from_pb2(message)
        batch = sapient.plot(message, NEIGHBOUR, row.t_us).batch
        wrong += ulids.track_of(message.detection_report.object_id) != row.id
        place = math.degrees(batch.lat_rad[0]), math.degrees(batch.lon_rad[0]), batch.height_m[0]
        asked = (row.lat_deg, 1e-9), (row.lon_deg, 1e-9), (row.height_m, 1e-9)
        wrong += not all(near(found, said, within) for found, (said, within) in zip(place, asked, strict=True))
    return wrong


FORMATS: dict[str, Callable[[Sequence[Told]], int]] = {
    "cot": as_cot, "geojson": as_geojson, "kml": as_kml, "czml": as_czml, "aircraft": as_aircraft,
    "sapient": as_sapient,
}  # fmt: skip


def there_and_back(piece: str, tracks: int = TRACKS) -> Counts:
    """Random tracks of this seed, through every format."""
    rng = np.random.default_rng(int(piece))
    rows = [any_track(rng, counter) for counter in range(tracks)]
    return {"tracks": tracks, **{f"otherwise_{name}_count": check(rows) for name, check in FORMATS.items()}}


def all_alike(found: Sequence[Counts]) -> list[Verdict]:
    n = total(found, "tracks")
    wrong = {name: total(found, f"otherwise_{name}_count") for name in FORMATS}
    words = ", ".join(f"{name} {count:g}" for name, count in wrong.items())
    return [Verdict(not any(wrong.values()), f"{n:,.0f} tracks in each format; read otherwise: {words}; none may be")]


CAMPAIGNS = (
    Campaign("texts", "Random tracks as CoT, GeoJSON, KML, CZML, aircraft.json and SAPIENT: read back by us, and by "
             "GDAL, czml3, geojson-pydantic and sapient-pydantic.", seeds(PIECES), there_and_back, all_alike),
)  # fmt: skip
