"""The picture over HTTP: what tar1090 and maps of GeoJSON ask for, made once a second however many ask."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from adapters import samples
from adapters.broker import BrokerSettings, now_us
from adapters.errors import ConfigError
from adapters.formats import alert as alerts
from adapters.formats import geojson, readsb
from adapters.outlets.listener import Listener
from adapters.outlets.web import Page, Web, geojson_pages, tar1090_pages
from adapters.samples import NAMES, NOW_US
from adapters.wire import rfc3339
from fusion.schema import SensorKind, SensorSpec
from tests.mosquitto import Mosquitto, free_port
from tests.test_formats_cot import told
from tests.test_outlets_held import BASE, track_payload

RADAR = SensorSpec("R1", 0, SensorKind.RADAR_2D, lat_rad=0.95, lon_rad=0.45, height_m=100.0, range_max_m=100_000.0)
CLAIMING = {"address": "503c01", "callsign": "LTV01", "mode3a": "4521", "category": 5, "cooperative": True}

# README-json.md of readsb: what a key may hold. Written by hand from there, so that not only we read what we wrote.
README: dict[str, Callable[[Any], bool]] = {
    "hex": lambda v: isinstance(v, str) and len(v.removeprefix("~")) == 6 and int(v.removeprefix("~"), 16) >= 0,
    "type": lambda v: v in ("adsb_icao", "adsb_other", "mlat", "mode_s", "other"),
    "flight": lambda v: isinstance(v, str) and len(v) == 8,
    "alt_baro": lambda v: isinstance(v, int) and -2_000 <= v <= 200_000,
    "alt_geom": lambda v: isinstance(v, int) and -2_000 <= v <= 200_000,
    "gs": lambda v: 0 <= v < 4_000,
    "track": lambda v: 0 <= v < 360,
    "geom_rate": lambda v: isinstance(v, int),
    "squawk": lambda v: len(v) == 4 and all(digit in "01234567" for digit in v),
    "category": lambda v: len(v) == 2 and v[0] in "ABCD" and v[1] in "01234567",
    "lat": lambda v: -90 <= v <= 90,
    "lon": lambda v: -180 <= v <= 180,
    "seen": lambda v: v >= 0,
    "seen_pos": lambda v: v >= 0,
    "dbFlags": lambda v: v in range(16),
    "vedette": lambda v: isinstance(v, dict),  # ours: maps pass it over
}


def test_aircraft_json_is_what_readsb_documents_and_what_the_tracks_are() -> None:
    one = told(**CLAIMING)
    other = told(id="5:18", height_known=False, height_m=None, climb_mps=None, course_deg=360.0)
    payload = readsb.picture([one, other], NOW_US + 500_000, {"5:18": ("a1",)}, 7)
    said = json.loads(payload)
    assert (said["now"], said["messages"]) == ((NOW_US + 500_000) / 1e6, 7)
    for aircraft in said["aircraft"]:
        for key, value in aircraft.items():
            assert README[key](value), (key, value)
    first, second = said["aircraft"]
    assert (first["hex"], first["flight"], first["squawk"], first["category"]) == ("503c01", "LTV01   ", "4521", "A5")
    assert (first["alt_geom"], first["gs"], first["seen_pos"], first["seen"]) == (1217, 80.9, 0.5, 0.9)
    assert "dbFlags" not in first
    assert (second["hex"], second["dbFlags"], second["track"]) == ("~000012", 2, 0.0)
    assert second["vedette"] == {
        "id": "5:18", "status": "confirmed", "object_class": "fixed-wing-drone", "sigma_horizontal_m": 64.0,
        "var_east_m2": 6100.0, "var_north_m2": 2092.0, "cov_east_north_m2": -1500.0, "sigma_height_m": 55.0,
        "alerts": ["a1"],
    }  # fmt: skip
    assert not {"alt_geom", "alt_baro", "geom_rate", "flight"} & set(second)


def test_the_level_is_told_while_such_maps_keep_it() -> None:
    fresh, old = (rfc3339(NOW_US - s * 1_000_000) for s in (30, 31))
    tracks = [told(pressure_height_m=3_048.0, pressure_height_time=when) for when in (fresh, old)]
    said = json.loads(readsb.picture(tracks, NOW_US, {}, 1))
    assert [aircraft.get("alt_baro") for aircraft in said["aircraft"]] == [10_000, None]
    assert README["alt_baro"](10_000)


def test_our_own_reader_of_receivers_finds_the_same_places() -> None:
    tracks = [told(**CLAIMING), told(id="5:18", lat_deg=54.6), told(id="5:19", lat_deg=None)]
    spec = SensorSpec("A1", 0, SensorKind.ADSB, period_s=5.0)
    read = readsb.decode(readsb.picture(tracks, NOW_US, {}, 1), spec, NOW_US)
    assert (read.rejected, len(read.batch)) == ({}, 2)
    assert [round(math.degrees(lat), 6) for lat in read.batch.lat_rad] == [54.5431, 54.6]
    assert list(read.batch.t_us) == [NOW_US, NOW_US]
    assert list(read.batch.address) == [0x503C01, -1]
    assert read.batch.height_m == pytest.approx([371.0, 371.0], abs=0.2)
    assert math.hypot(read.batch.velocity_east_mps[0], read.batch.velocity_north_mps[0]) == pytest.approx(
        41.6, abs=0.03
    )


def test_two_that_claim_one_address_stay_two_on_the_map() -> None:
    tracks = [told(**CLAIMING), told(id="5:18", **CLAIMING)]
    said = json.loads(readsb.picture(tracks, NOW_US, {}, 1))
    assert [aircraft["hex"] for aircraft in said["aircraft"]] == ["503c01", "~000012"]


def test_what_is_simulated_or_replayed_says_so_where_a_map_shows_it() -> None:
    tracks = [told(simulated=True), told(id="5:18", simulated=True, **CLAIMING), told(id="5:19", callsign="LTV01")]
    said = json.loads(readsb.picture(tracks, NOW_US, {}, 1, replayed=True))
    assert [aircraft["flight"] for aircraft in said["aircraft"]] == ["SIM     ", "SIMLTV01", "REPLTV01"]


def test_receiver_and_outline() -> None:
    assert json.loads(readsb.receiver("vedette 1", 1000)) == {"version": "vedette 1", "refresh": 1000, "history": 0}
    pages = {page.path: page for page in tar1090_pages([RADAR])}
    listener = Listener(BrokerSettings("127.0.0.1"), "x", "test")
    where = json.loads(pages["/data/receiver.json"].make(listener))
    assert (where["lat"], where["lon"]) == (round(math.degrees(0.95), 5), round(math.degrees(0.45), 5))
    (ring,) = json.loads(pages["/data/outline.json"].make(listener))["multiRange"]
    from geographiclib.geodesic import Geodesic

    far_m = [Geodesic.WGS84.Inverse(where["lat"], where["lon"], lat, lon)["s12"] for lat, lon in ring]
    assert far_m == pytest.approx([100_000.0] * 72, abs=3.0)


@pytest.mark.alone
def test_pages_answer_and_are_made_once_for_many_who_ask() -> None:
    made = []
    listener = Listener(BrokerSettings("127.0.0.1"), NAMES.site, "test")
    listener.held.take(f"{BASE}track/5:17", track_payload(17, now_us()), False, now_us())
    raised = samples.alarm()
    listener.held.take(f"{BASE}alert/{raised.id}", alerts.encode(raised, NAMES, 1), False, now_us())

    def count(_: Listener) -> bytes:
        made.append(1)
        return b"{}"

    async def play() -> None:
        pages = (*geojson_pages(), *tar1090_pages([RADAR]), Page("/counted", "application/json", count))
        web = Web("127.0.0.1", 0, pages)
        task = asyncio.create_task(web.serve(listener))
        await asyncio.wait_for(web.ready.wait(), 30)

        def get(path: str) -> tuple[str, bytes]:
            with urllib.request.urlopen(f"http://127.0.0.1:{web.port}{path}", timeout=20) as answer:
                return answer.headers["Content-Type"], answer.read()

        kind, body = await asyncio.to_thread(get, "/picture.geojson")
        read = geojson.decode(body)
        assert (kind, [t.id for t in read.tracks], [a.id for a in read.alerts]) == (
            "application/geo+json", ["5:17"], [raised.id]
        )  # fmt: skip
        kind, body = await asyncio.to_thread(get, "/data/aircraft.json")
        (aircraft,) = json.loads(body)["aircraft"]
        assert (kind, aircraft["vedette"]["alerts"], aircraft["dbFlags"]) == ("application/json", [raised.id], 2)
        start_s = time.monotonic()
        answers = await asyncio.gather(*(asyncio.to_thread(get, "/counted") for _ in range(30)))
        assert [body for _, body in answers] == [b"{}"] * 30
        assert len(made) <= 1 + 2 * (time.monotonic() - start_s)
        assert web.words() == f"port {web.port}: 32 answers given"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(play())


def test_a_port_that_is_taken_is_refused_with_a_cure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="--listen"):
        Web("127.0.0.1", taken.getsockname()[1], ())


@pytest.mark.alone
def test_the_command_serves_tar1090_from_a_broker(tmp_path_factory: pytest.TempPathFactory) -> None:
    port = free_port()
    with Mosquitto(tmp_path_factory.mktemp("broker")) as broker:
        words = ["out", "tar1090", "--listen", f"127.0.0.1:{port}", "--broker", f"127.0.0.1:{broker.port}"]
        line = [sys.executable, "-m", "adapters.cli", *words, "--site", NAMES.site]
        with subprocess.Popen(line, stderr=subprocess.DEVNULL) as run:
            body = b""
            deadline = time.monotonic() + 90
            while not body and time.monotonic() < deadline:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/aircraft.json", timeout=5) as answer:
                        body = answer.read()
                except OSError:
                    time.sleep(0.1)
            run.terminate()
            assert run.wait(60) == 0
    assert json.loads(body)["aircraft"] == []
