"""SAPIENT messages: every one holds what the standard asks for, and others' reports become the plots that they say."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from geographiclib.geodesic import Geodesic
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from sapient_msg_pydantic.bsi_flex_335_v2_0.sapient_message import SapientMessage as Checked

from adapters import samples, ulids
from adapters.formats import sapient, track
from adapters.rows import Told
from adapters.samples import NOW_US
from fusion.classes import NAMES as CLASSES
from fusion.schema import Invalid, PlotKind, SensorKind, SensorSpec
from tests.sapientpeer import NODE, frames

OURS = sapient.Node(sapient.node_of("lt-east"), "lt-east", "0.1.0")
RADAR = SensorSpec("R1", 0, SensorKind.RADAR_3D, 0.95, 0.44, 100.0)
EAR = SensorSpec("E1", 1, SensorKind.BEARING, 0.95, 0.44, 100.0)
TRACKER = SensorSpec("T1", 2, SensorKind.TRACK)


def told(**changes: object) -> Told:
    said = track.told(track.encode(samples.tracks(), samples.assessment(), 0, samples.NAMES, 1, samples.forecast()))
    return msgspec.structs.replace(said, **changes)


def read(message: Any) -> dict[str, Any]:
    """As it stands on the wire, held to the rules of the standard by a library of others, as JSON."""
    (payload,) = sapient.split(bytearray(sapient.frame(message)))
    Checked.from_pb2(sapient.read(payload))  # raises where anything mandatory is not there, or an id is none
    said: dict[str, Any] = json_format.MessageToDict(sapient.read(payload), preserving_proto_field_name=True)
    return said


def test_every_message_holds_what_the_standard_asks_for() -> None:
    first = read(sapient.registration(OURS, NOW_US, 5.0))
    assert first["registration"]["icd_version"] == "BSI Flex 335 v2.0"
    assert first["registration"]["node_definition"] == [{"node_type": "NODE_TYPE_FUSION_NODE"}]
    assert "command" not in first["registration"]["mode_definition"][0]["task"], "it takes no tasks"
    words = [("sensor R1: stale", True)]
    said = read(sapient.status(OURS, NOW_US, False, True, words))["status_report"]
    assert (said["system"], said["info"], said["status"][0]["status_value"]) == (
        "SYSTEM_WARNING", "INFO_NEW", "sensor R1: stale"
    )  # fmt: skip
    assert read(sapient.status(OURS, NOW_US, True, False))["status_report"]["system"] == "SYSTEM_OK"
    assert read(sapient.goodbye(OURS, NOW_US))["status_report"]["system"] == "SYSTEM_GOODBYE"
    for name in (None, *CLASSES):
        read(sapient.detection(OURS, told(object_class=name)))
    read(sapient.detection(OURS, told(height_m=None, speed_mps=None, sigma_horizontal_m=None, other_classes=None)))


def test_a_track_is_told_with_what_is_known_of_it() -> None:
    row = told(callsign="LOT12", contradicted=True)
    said = read(sapient.detection(OURS, row))["detection_report"]
    place = said["location"]
    assert (place["x"], place["y"], place["z"]) == (row.lon_deg, row.lat_deg, row.height_m)
    assert (place["coordinate_system"][-9:], place["datum"][-7:]) == ("LNG_DEG_M", "WGS84_E")
    # Errors of a place are in its own units: a sigma east and north, walked there by a geodesic
    for azimuth, variance, error, axis in ((90.0, row.var_east_m2, "x_error", "lon2"), (0.0, row.var_north_m2, "y_error", "lat2")):  # fmt: skip # noqa: E501
        end = Geodesic.WGS84.Direct(place["y"], place["x"], azimuth, math.sqrt(variance or 0.0))
        assert place[error] == pytest.approx(end[axis] - place["y" if axis == "lat2" else "x"], rel=0.01)
    assert place["z_error"] == row.sigma_height_m
    velocity = said["enu_velocity"]
    assert math.hypot(velocity["east_rate"], velocity["north_rate"]) == pytest.approx(row.speed_mps)
    assert math.degrees(math.atan2(velocity["east_rate"], velocity["north_rate"])) % 360.0 == pytest.approx(304.0)
    assert velocity["east_rate_error"] == pytest.approx(row.sigma_velocity_east_mps)
    assert said["detection_confidence"] == pytest.approx(row.existence)
    assert (said["id"], said["state"]) == ("LOT12", "confirmed")
    likely, other = said["classification"]
    assert (likely["type"], likely["confidence"]) == ("Air vehicle", pytest.approx(0.86))
    assert likely["sub_class"] == [
        {"type": "UAV fixed wing", "level": 1, "sub_class": [{"type": "fixed-wing-drone", "level": 2}]}
    ]
    assert other["sub_class"][0]["sub_class"][0]["type"] == "ultralight"
    assert {"type": "contradicted", "value": "true"} in said["object_info"]
    last = read(sapient.detection(OURS, row, lost_us=NOW_US + 9))["detection_report"]
    assert (last["state"], last["object_id"]) == ("lost", said["object_id"])
    assert last["report_id"] != said["report_id"] or last["state"] != said["state"]


def test_an_alert_has_one_id_from_its_first_word_to_its_end() -> None:
    raised = samples.alarm()
    lives = [
        raised,
        replace(raised, state="acknowledged", acknowledged_by="ada", severity=1, t_us=NOW_US + 5_000_000),
        replace(raised, state="closed", close_reason="landed"),
    ]
    said = [read(sapient.alert(OURS, one, NOW_US))["alert"] for one in lives]
    assert len({one["alert_id"] for one in said}) == 1
    assert ulids.alert_of(said[0]["alert_id"]) == raised.id
    assert [one["status"][13:] for one in said] == ["ACTIVE", "ACKNOWLEDGE", "CLEAR"]
    assert [(one["alert_type"][11:], one["priority"][18:]) for one in said[:2]] == [
        ("WARNING", "MEDIUM"), ("CRITICAL", "HIGH")
    ]  # fmt: skip
    assert said[0]["description"] == raised.sentence
    assert said[2]["description"].endswith("landed")
    seen = said[0]["associated_detection"][0]
    assert (seen["node_id"], ulids.track_of(seen["object_id"])) == (OURS.id, raised.track)
    assert "location" not in read(sapient.alert(OURS, replace(raised, lat_rad=math.nan), NOW_US))["alert"]


def test_what_is_played_says_so_first() -> None:
    played = sapient.detection(OURS, told(simulated=True, mode="exercise"))
    assert played.additional_information == "SIMULATED. EXERCISE."
    warned = sapient.alert(OURS, replace(samples.alarm(), simulated=True), NOW_US, replayed=True)
    assert warned.alert.description.startswith("SIMULATED. REPLAY. ")
    assert not sapient.detection(OURS, told()).additional_information


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**48 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**48 - 1))
def test_our_ids_come_back_from_theirs(epoch: int, counter: int, name: int, raised_ms: int) -> None:
    assert ulids.track_of(ulids.object_id(f"{epoch}:{counter}")) == f"{epoch}:{counter}"
    assert ulids.alert_of(ulids.alert_id(f"{name:016x}", raised_ms * 1_000 + 7)) == f"{name:016x}"


@pytest.mark.parametrize("text", ["", "5", "5:x", "-1:2", f"{1 << 32}:1", f"1:{1 << 48}"])
def test_what_is_no_track_of_ours_has_no_id_there(text: str) -> None:
    with pytest.raises(Invalid, match="malformed"):
        ulids.object_id(text)


@pytest.mark.parametrize("text", ["", "0" * 25, "0" * 27, "8" + "0" * 25, "U" * 26])
def test_what_is_no_ulid_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="malformed"):
        ulids.of_ulid(text)
    for name in ("", "8c1f0a52d3b94e6", "x" * 16):
        with pytest.raises(Invalid, match="malformed"):
            ulids.alert_id(name, NOW_US)


# --- what others say, written by the bindings of others ---

HEAD = {"timestamp": "2026-11-23T06:15:00.250Z", "node_id": NODE}
IDS = {"report_id": "01M83GP8N0000001800000000H", "object_id": "0000000000000001800000000H"}
PLACE = {
    "x": 25.5, "y": 54.5, "z": 300.0, "x_error": 0.001, "y_error": 0.0005, "z_error": 30.0,
    "coordinate_system": "LOCATION_COORDINATE_SYSTEM_LAT_LNG_DEG_M", "datum": "LOCATION_DATUM_WGS84_E",
}  # fmt: skip
SEEN = {
    "range": 12.5, "azimuth": 370.0, "elevation": 2.0, "range_error": 0.05, "azimuth_error": 0.5,
    "coordinate_system": "RANGE_BEARING_COORDINATE_SYSTEM_DEGREES_KM", "datum": "RANGE_BEARING_DATUM_TRUE",
}  # fmt: skip


def payloads(*reports: dict[str, Any]) -> list[bytes]:
    written = frames([{**HEAD, "detection_report": {**IDS, **report}} for report in reports])
    return [payload for one in written for payload in sapient.split(bytearray(one))]


def test_reports_of_others_become_plots() -> None:
    speed = {"east_rate": 10.0, "north_rate": -20.0, "east_rate_error": 1.0, "north_rate_error": 1.0}
    placed, polar = payloads({"location": PLACE, "enu_velocity": speed}, {"range_bearing": SEEN})
    batch = sapient.plot(sapient.read(placed), TRACKER, NOW_US).batch
    assert (batch.sensor, batch.kind, batch.t_us.tolist()) == ("T1", PlotKind.POSITION, [1_795_414_500_250_000])
    assert np.degrees([batch.lat_rad[0], batch.lon_rad[0]]) == pytest.approx([54.5, 25.5])
    east = Geodesic.WGS84.Inverse(54.5, 25.5, 54.5, 25.501)["s12"]
    north = Geodesic.WGS84.Inverse(54.5, 25.5, 54.5005, 25.5)["s12"]
    assert batch.sigma_position_m[0] == pytest.approx(math.sqrt((east**2 + north**2) / 2.0), rel=0.01)
    assert (batch.height_m[0], batch.sigma_height_m[0], batch.velocity_north_mps[0]) == (300.0, 30.0, -20.0)
    assert batch.sigma_velocity_mps[0] == pytest.approx(1.0)
    seen = sapient.plot(sapient.read(polar), RADAR, NOW_US).batch
    assert (seen.kind, seen.range_m[0]) == (PlotKind.POLAR, 12_500.0)
    assert np.degrees([seen.azimuth_rad[0], seen.elevation_rad[0]]) == pytest.approx([10.0, 2.0])
    assert (seen.sigma_range_m[0], math.degrees(seen.sigma_azimuth_rad[0])) == pytest.approx((50.0, 0.5))
    heard = sapient.plot(sapient.read(polar), EAR, NOW_US).batch
    assert heard.kind is PlotKind.BEARING
    assert not np.isfinite(heard.range_m).any()


def test_what_is_not_ours_to_turn_or_believe_is_left_out() -> None:
    geoid = {**PLACE, "datum": "LOCATION_DATUM_WGS84_G", "x_error": 80.0, "y_error": 80.0}
    found, lost, empty = payloads({"location": geoid}, {"location": PLACE, "state": "Lost"}, {})
    batch = sapient.plot(sapient.read(found), TRACKER, NOW_US).batch
    assert np.isnan([batch.height_m, batch.sigma_height_m, batch.sigma_position_m]).all()
    assert len(sapient.plot(sapient.read(lost), TRACKER, NOW_US).batch) == 0
    with pytest.raises(Invalid, match="missing-field"):
        sapient.plot(sapient.read(empty), TRACKER, NOW_US)
    for report in (
        {"location": {**PLACE, "coordinate_system": "LOCATION_COORDINATE_SYSTEM_UTM_M"}},
        {"range_bearing": {**SEEN, "datum": "RANGE_BEARING_DATUM_MAGNETIC"}},
    ):
        with pytest.raises(Invalid, match="wrong-schema"):
            sapient.plot(sapient.read(payloads(report)[0]), RADAR, NOW_US)
    for report in ({"location": {**PLACE, "y": 95.0}}, {"location": {**PLACE, "y": "NaN"}}):
        assert len(sapient.plot(sapient.read(payloads(report)[0]), TRACKER, NOW_US).batch) == 0


def test_our_own_reports_read_back_as_plots() -> None:
    row = told()
    batch = sapient.plot(sapient.detection(OURS, row), TRACKER, NOW_US).batch
    assert np.degrees([batch.lat_rad[0], batch.lon_rad[0]]) == pytest.approx([row.lat_deg, row.lon_deg])
    assert batch.sigma_position_m[0] == pytest.approx(row.sigma_horizontal_m, rel=0.01)
    assert batch.t_us[0] == row.t_us


def test_a_stream_is_cut_into_messages_wherever_it_is_torn() -> None:
    whole = b"".join(sapient.frame(sapient.detection(OURS, told(id=f"5:{n}"))) for n in range(20))
    waiting, found = bytearray(), list[bytes]()
    for start in range(0, len(whole), 37):
        waiting += whole[start : start + 37]
        found += sapient.split(waiting)
    assert (len(found), len(waiting)) == (20, 0)
    assert [ulids.track_of(sapient.read(p).detection_report.object_id) for p in found] == [f"5:{n}" for n in range(20)]
    with pytest.raises(Invalid, match="oversized"):
        list(sapient.split(bytearray(b"\xff\xff\xff\x7f")))


def test_injured_messages_are_counted_and_nothing_else_comes_out() -> None:
    luck = random.Random(3)
    whole = [
        *payloads({"location": PLACE}, {"range_bearing": SEEN}),
        sapient.frame(sapient.detection(OURS, told()))[4:],
    ]
    reasons = dict[str, int]()
    for n in range(3_000):
        injured = bytearray(whole[n % 3])
        for _ in range(luck.randint(1, 4)):
            injured[luck.randrange(len(injured))] = luck.randrange(256)
        try:
            sapient.plot(sapient.read(bytes(injured[: luck.randint(0, len(injured))])), TRACKER, NOW_US)
        except Invalid as fault:
            reasons[fault.reason] = reasons.get(fault.reason, 0) + 1
    assert set(reasons) <= {"malformed", "missing-field", "wrong-schema", "out-of-range", "not-finite", "bad-time"}
    assert reasons["malformed"] > 100
    assert json.dumps(reasons)


@pytest.mark.parametrize("seconds", [2**62, -(2**62), 0])
def test_a_time_that_is_none_is_refused_however_far_it_lies(seconds: int) -> None:
    message = sapient.read(payloads({"range_bearing": SEEN})[0])
    message.timestamp.seconds = seconds
    with pytest.raises(Invalid, match="bad-time"):
        sapient.plot(message, RADAR, NOW_US)


def test_what_another_of_us_plays_is_not_taken_for_the_sky() -> None:
    for said in ({"simulated": True}, {"mode": "exercise"}):
        with pytest.raises(Invalid, match="played"):
            sapient.plot(sapient.detection(OURS, told(**said)), TRACKER, NOW_US)
    with pytest.raises(Invalid, match="played"):
        sapient.plot(sapient.detection(OURS, told(), replayed=True), TRACKER, NOW_US)


def test_units_are_those_of_numbers() -> None:
    (mode,) = read(sapient.registration(OURS, NOW_US, 5.0))["registration"]["mode_definition"]
    units = {one["type"]: one["units"] for one in mode["detection_definition"][0]["detection_report"]}
    assert (units["border_distance_m"], units["course_deg"], units["callsign"]) == ("m", "deg", "none")
