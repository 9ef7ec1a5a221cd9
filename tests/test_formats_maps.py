"""KML and CZML, and GeoJSON once more: GDAL and a library of CZML find in them what we said, and so do we."""

from __future__ import annotations

import asyncio
import json
import math
import random
import socket
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import shapely
from geographiclib.geodesic import Geodesic

from adapters import samples
from adapters.broker import now_us
from adapters.formats import czml, geojson, kml, track
from adapters.outlets.maps import Files, as_czml, as_kml, czml_pages, kml_pages
from adapters.outlets.web import Web
from adapters.rows import Told, ellipse, outline
from adapters.samples import NOW_US
from fusion.schema import Alert, Invalid
from tests.broker_scene import until
from tests.mapjudge import read
from tests.scene import NAMES, table
from tests.test_outlets_cot import hear, listener, say
from tests.test_outlets_held import track_payload

RAISED = samples.alarm()


def rows(n: int = 40) -> list[Told]:
    tracks, assessment = table(n)
    return [track.told(payload) for payload in track.encode_rows(tracks, assessment, range(n), NAMES, 1)]


def told(**changes: Any) -> Told:
    said = track.told(track.encode(samples.tracks(), samples.assessment(), 0, samples.NAMES, 1, samples.forecast()))
    return msgspec.structs.replace(said, **changes)


def test_gdal_finds_in_kml_what_we_said(tmp_path: Path) -> None:
    given = rows()
    found = read("ogr", kml.encode(given, [RAISED], NOW_US, "lt-east"), tmp_path / "picture.kml")
    assert {name: (layer["driver"], layer["crs"]) for name, layer in found.items()} == dict.fromkeys(
        ("Tracks", "Uncertainty", "Alerts"), ("LIBKML", "EPSG:4326")
    )
    marks = found["Tracks"]["features"]
    assert [mark["id"] for mark in marks] == [row.id for row in given]
    for row, mark in zip(given, marks, strict=True):
        assert mark["at"][:2] == [row.lon_deg, row.lat_deg]
        above = row.agl_m is not None
        assert (mark["altitudeMode"], len(mark["at"])) == (("relativeToGround", 3) if above else ("clampToGround", 2))
        if row.agl_m is not None:
            assert mark["at"][2] == pytest.approx(max(row.agl_m, 0.0))
        assert mark["Name"] == (row.callsign or row.id)
        for name in ("speed_mps", "course_deg", "height_m", "var_east_m2", "p_low", "address", "border_distance_m"):
            value = getattr(row, name)
            assert mark.get(name, "None") == ("None" if value is None else str(value)), name
    assert [one["at"] for one in found["Uncertainty"]["features"]] == ["polygon"] * len(given)
    (alert,) = found["Alerts"]["features"]
    assert (alert["id"], alert["severity"], alert["description"]) == (RAISED.id, "2", RAISED.sentence)


def test_gdal_finds_in_geojson_what_we_said(tmp_path: Path) -> None:
    given = rows()
    payload = geojson.collection([*map(geojson.track, given), geojson.alert(RAISED)], NOW_US, "lt-east")
    (layer,) = read("ogr", payload, tmp_path / "picture.geojson").values()
    assert layer["driver"] == "GeoJSON"
    *marks, alert = layer["features"]
    for row, mark in zip(given, marks, strict=True):
        place = [row.lon_deg, row.lat_deg] + ([] if row.height_m is None else [row.height_m])
        assert mark["at"][: len(place)] == place
        assert float(mark["speed_mps"]) == row.speed_mps
        assert mark["id"] == row.id
    assert (alert["sentence"], alert["state"]) == (RAISED.sentence, "raised")


def test_a_library_of_czml_takes_every_packet_and_finds_what_we_said(tmp_path: Path) -> None:
    given = rows()
    packets = [*(czml.track(row) for row in given), czml.alert(RAISED), czml.gone("track.5:3")]
    head, *found = read("czml", czml.encode(packets, "lt-east"), tmp_path / "picture.czml")
    assert (head["id"], head["version"]) == ("document", "1.0")
    for row, packet in zip(given, found, strict=False):
        assert packet["id"] == f"track.{row.id}"
        # that library keeps a position as it was given
        assert packet["position"]["cartographicDegrees"] == [row.lon_deg, row.lat_deg, row.height_m or 0.0]
        spread = ellipse(row)
        assert spread is not None
        assert packet["ellipse"]["semiMajorAxis"] == pytest.approx(spread.major_m, abs=0.06)
        assert math.degrees(-packet["ellipse"]["rotation"]) == pytest.approx(spread.azimuth_deg, abs=0.01)
        assert packet["properties"]["speed_mps"] == row.speed_mps
        grounded = "heightReference" in packet["point"]
        assert grounded == (row.height_m is None)
    assert found[-1] == {"id": "track.5:3", "delete": True}
    assert (found[-2]["id"], found[-2]["description"]) == (f"alert.{RAISED.id}", RAISED.sentence)


def test_an_outline_is_the_ellipse_on_the_ground() -> None:
    row = told()
    spread, ring = ellipse(row), outline(row)
    assert spread is not None
    assert ring[0] == ring[-1]
    far = [Geodesic.WGS84.Inverse(row.lat_deg, row.lon_deg, lat, lon) for lat, lon in ring]
    assert max(one["s12"] for one in far) == pytest.approx(spread.major_m, abs=0.1)
    assert min(one["s12"] for one in far) == pytest.approx(spread.minor_m, abs=0.1)
    longest = max(far, key=lambda one: one["s12"])
    assert longest["azi1"] % 180.0 == pytest.approx(spread.azimuth_deg, abs=0.1)
    scale = np.cos(np.radians(row.lat_deg or 0.0)) * 111_320.0 * 111_320.0
    area = shapely.Polygon([(lon, lat) for lat, lon in ring]).area * scale
    assert area == pytest.approx(math.pi * spread.major_m * spread.minor_m, rel=0.03)
    assert outline(told(var_east_m2=None)) == []


def test_both_read_back_as_they_were() -> None:
    given = rows()
    marks = kml.decode(kml.encode(given, [RAISED], NOW_US, "lt-east"))
    assert [mark.folder for mark in marks] == [kml.TRACKS] * len(given) + [kml.ALERTS]
    for row, mark in zip(given, marks, strict=False):
        said = {name: value for name, value in msgspec.to_builtins(row).items() if name in mark.said}
        read_back = {
            name: value if isinstance(said[name], str) else msgspec.json.decode(value)
            for name, value in mark.said.items()
        }
        assert read_back == {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}
        assert (mark.lat_deg, mark.lon_deg) == (row.lat_deg, row.lon_deg)
    packets = czml.decode(czml.encode([czml.track(row) for row in given], "lt-east"))
    for row, packet in zip(given, packets, strict=True):
        assert msgspec.convert({**packet.properties, "schema": "vedette.track.v1"}, Told) == row


def test_what_is_played_is_named_so_and_words_cannot_break_out() -> None:
    row = told(callsign='<b>&"x"', simulated=True)
    (mark,) = kml.decode(kml.encode([row], [], NOW_US, "<site>"))
    assert mark.name == 'SIM <b>&"x"'
    assert czml.track(row)["name"] == 'SIM <b>&"x"'
    assert czml.track(told(), replayed=True)["label"]["text"] == "REPLAY 5:17"
    said = replace(RAISED, sentence="<script>alert(1)</script> & more", simulated=True)
    assert "<script" not in czml.alert(said)["description"]
    assert b"<script" not in kml.encode([], [said], NOW_US, "x")
    assert kml.decode(kml.encode([], [said], NOW_US, "x"))[0].name.startswith("SIM Alert")
    drill = replace(samples.alarm(), mode="exercise")
    assert kml.decode(kml.encode([], [drill], NOW_US, "x"))[0].name.startswith("EXERCISE Alert")
    assert czml.alert(drill)["name"].startswith("EXERCISE Alert")


def test_an_alert_has_one_id_and_its_end_is_a_delete() -> None:
    states: list[Alert] = [RAISED, replace(RAISED, state="acknowledged"), replace(RAISED, state="closed")]
    packets = [czml.alert(said) for said in states]
    assert {packet["id"] for packet in packets} == {f"alert.{RAISED.id}"}
    assert packets[2] == {"id": f"alert.{RAISED.id}", "delete": True}
    for wrong in (replace(RAISED, lat_rad=math.nan),):
        assert kml.decode(kml.encode([], [wrong], NOW_US, "x")) == ()
        with pytest.raises(Invalid, match="missing-field"):
            czml.alert(wrong)
    with pytest.raises(Invalid, match="missing-field"):
        czml.track(told(lat_deg=None))
    assert kml.decode(kml.encode([told(lat_deg=None)], [], NOW_US, "x")) == ()


def test_injured_files_are_refused_for_a_reason() -> None:
    luck, reasons = random.Random(5), set[str]()
    whole: list[tuple[Any, bytes]] = [
        (kml.decode, kml.encode([told()], [RAISED], NOW_US, "x")), (czml.decode, czml.encode([czml.track(told())], "x"))
    ]  # fmt: skip
    for n in range(2_000):
        decode, good = whole[n % 2]
        injured = bytearray(good)
        for _ in range(luck.randint(1, 3)):
            injured[luck.randrange(len(injured))] = luck.randrange(32, 127)
        try:
            decode(bytes(injured[: luck.randint(1, len(injured))]) if n % 3 else bytes(injured))
        except Invalid as fault:
            reasons.add(fault.reason)
    assert reasons <= {"malformed", "missing-field", "out-of-range", "wrong-schema", "not-finite", "not-utf8"}
    assert len(reasons) >= 3


def test_they_are_served_and_written_and_a_viewer_asks_again(tmp_path: Path) -> None:
    to = listener()
    hear(to, "track/5:17", track_payload(17, now_us()))
    say(to, RAISED)
    web = Web("0.0.0.0", 0, (*kml_pages(), *czml_pages()))
    path = tmp_path / "picture.kml"

    def get(name: str) -> tuple[str, bytes]:
        with urllib.request.urlopen(f"http://127.0.0.1:{web.port}/{name}", timeout=30) as answer:
            return answer.headers["Content-Type"], answer.read()

    async def play() -> list[tuple[str, bytes]]:
        tasks = [asyncio.create_task(web.serve(to)), asyncio.create_task(Files(as_kml, 0.1, path).serve(to))]
        await web.ready.wait()
        found = [await asyncio.to_thread(get, name) for name in ("picture.kml", "vedette.kml", "picture.czml")]
        await until(path.exists)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return found

    (kind, picture), (_, link), (_, packets) = asyncio.run(play())
    assert kind.startswith("application/vnd.google-earth.kml+xml")
    assert [mark.id for mark in kml.decode(picture)] == ["track.5:17", f"alert.{RAISED.id}"]
    assert [mark.id for mark in kml.decode(path.read_bytes())] == ["track.5:17", f"alert.{RAISED.id}"]
    href = f"<href>http://127.0.0.1:{web.port}/picture.kml</href><refreshMode>onInterval</refreshMode>"
    assert href.encode() in link, "where it was asked, not every address of the host"
    assert [packet.id for packet in czml.decode(packets)] == ["track.5:17", f"alert.{RAISED.id}"]
    assert json.loads(as_czml(to))[0]["name"] == f"Vedette {to.site}"
    assert socket.has_ipv6
