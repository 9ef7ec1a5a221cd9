"""Formats that go out: names end in their unit, what is missing is absent, what must read back does so exactly."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import samples, wire
from adapters.formats import alert, health, picture, status, track
from adapters.rows import Row, rows_of
from fusion.schema import Alert, Health, ObjectClass, Picture, Quantity, TrackStatus
from tests.scene import NAMES, T_US, table

UNITLESS = {  # words that are not quantities
    *("schema", "site", "seq", "id", "status", "state", "cooperative", "contradicted", "disputed", "height_known"),
    "doubt",
    *(
        "sensors",
        "object_class",
        "protected_area",
        "other_classes",
        "near_state",
        "address",
        "callsign",
        "mode3a",
        "serial",
        "category",
        "existence",
    ),
    *("full", "part", "parts", "tracks", "dropped", "reason", "time"),
}
UNITS = ("deg", "m", "m2", "mps", "s", "hz", "time", "count")


def values(message: Any) -> list[Any]:
    """Every value inside a message."""
    if isinstance(message, dict):
        return [v for inner in message.values() for v in values(inner)]
    if isinstance(message, list):
        return [v for inner in message for v in values(inner)]
    return [message]


def names_of(message: Any) -> set[str]:
    """Every key inside a message."""
    if isinstance(message, dict):
        return set(message) | {k for inner in message.values() for k in names_of(inner)}
    if isinstance(message, list):
        return {k for inner in message for k in names_of(inner)}
    return set()


# --- tracks ---


def test_a_track_message_says_what_the_table_says() -> None:
    tracks, assessment = table(50)
    for row in range(50):
        said = json.loads(track.encode(tracks, assessment, row, NAMES, 5))
        assert next(iter(said)) == "schema"
        assert said["schema"] == "vedette.track.v1"
        assert (said["site"], said["seq"], said["time"]) == ("test", 5, wire.rfc3339(T_US))
        assert said["id"] == tracks.name(row)
        assert said["status"] == TrackStatus(tracks.status[row]).name.lower()
        assert said["lat_deg"] == pytest.approx(np.degrees(assessment.lat_rad[row]), abs=1e-6)
        assert said["speed_mps"] == pytest.approx(assessment.speed_mps[row], abs=0.06)
        assert said["cooperative"] is bool(assessment.cooperative[row])
        assert said.get("contradicted", False) is bool(assessment.contradicted[row])
        assert said["last_plot_time"] == wire.rfc3339(int(tracks.update_us[row]))
        assert said.get("last_claim_time") == (
            wire.rfc3339(int(tracks.claim_us[row])) if tracks.claim_us[row] >= 0 else None
        )
        code = int(assessment.state[row])
        assert said.get("state") == (NAMES.codes[code] if code >= 0 else None)
        mask = int(tracks.sensors[row])
        assert said["sensors"] == [s for i, s in enumerate(NAMES.sensor_ids) if mask >> i & 1]
        kind = ObjectClass(assessment.object_class[row])
        assert said.get("object_class") == (kind.name.lower().replace("_", "-") if kind else None)


def test_an_unknown_height_is_absent_with_all_that_hangs_on_it() -> None:
    tracks, assessment = table(30)
    assessment = replace(assessment, height_known=np.arange(30) % 2 == 0)
    for row, said in enumerate(map(json.loads, track.encode_rows(tracks, assessment, range(30), NAMES, 1))):
        vertical = {"height_m", "sigma_height_m", "agl_m", "sigma_agl_m", "climb_mps"} & set(said)
        assert len(vertical) == (5 if row % 2 == 0 else 0)
        assert said["height_known"] is (row % 2 == 0)


def test_no_message_holds_null_and_every_number_ends_in_its_unit() -> None:
    tracks, assessment = table(200)
    said = [json.loads(m) for m in track.encode_rows(tracks, assessment, range(200), NAMES, 1)]
    near = samples.forecast()
    deep = replace(near, p_turn=np.array([0.9]), turn_radps=np.array([0.02]), depth_band_m=np.array([10_000.0]))
    for ahead in (near, deep):
        said.append(json.loads(track.encode(samples.tracks(), samples.assessment(), 0, samples.NAMES, 1, ahead)))
    assert None not in values(said)
    found = names_of(said)
    assert found >= set(Row.__struct_fields__), "a field that never appears is not tested"
    for name in found - UNITLESS:
        assert name.startswith("p_") or name.rsplit("_", 1)[-1] in UNITS, name


def test_many_rows_say_the_same_as_one_by_one() -> None:
    tracks, assessment = table(20)
    many = track.encode_rows(tracks, assessment, [3, 17, 4], NAMES, 40)
    assert many == [track.encode(tracks, assessment, row, NAMES, 40 + i) for i, row in enumerate((3, 17, 4))]


def test_nearly_north_is_north() -> None:
    tracks, assessment = table(3)
    course = np.radians([359.999, 0.0, 359.994])
    said = [row.course_deg for row in rows_of(tracks, replace(assessment, course_rad=course), NAMES)]
    assert said == [0.0, 0.0, 359.99]


# --- pictures ---


def test_the_parts_of_a_picture_together_are_the_picture() -> None:
    tracks, assessment = table(700)
    dropped = tuple((n, "left coverage") for n in range(1000, 1800))
    parts = picture.encode(Picture(T_US, True, tracks, assessment, dropped), NAMES, 9)
    assert len(parts) > 3
    assert all(len(part) <= 48 * 1024 for part in parts)
    said = [json.loads(part) for part in parts]
    assert all((m["schema"], m["seq"], m["full"], m["parts"]) == (picture.SCHEMA, 9, True, len(parts)) for m in said)
    assert [m["part"] for m in said] == list(range(len(parts)))
    assert [t["id"] for m in said for t in m.get("tracks", [])] == [tracks.name(i) for i in range(700)]
    assert [d["id"] for m in said for d in m.get("dropped", [])] == [f"7:{n}" for n, _ in dropped]
    assert None not in values(said)


def test_an_empty_picture_is_one_message() -> None:
    tracks, assessment = table(0)
    (part,) = picture.encode(Picture(T_US, False, tracks, assessment), NAMES, 9)
    said = json.loads(part)
    assert (said["full"], said["part"], said["parts"], "tracks" in said) == (False, 0, 1, False)


def test_a_picture_row_is_a_part_of_the_track_message() -> None:
    tracks, assessment = table(40)
    (part,) = picture.encode(Picture(T_US, True, tracks, assessment), NAMES, 9)
    whole = [json.loads(m) for m in track.encode_rows(tracks, assessment, range(40), NAMES, 1)]
    for row, said in zip(json.loads(part)["tracks"], whole, strict=True):
        assert row.items() <= said.items()


def test_rows_are_made_by_the_column() -> None:
    """Two thousand rows together cost at most a tenth of two thousand single ones: a ratio, whatever the machine."""
    tracks, assessment = table(2_000)
    delta = Picture(T_US, False, tracks, assessment)

    def best(call: Any) -> float:
        costs = []
        for _ in range(3):
            began = time.process_time()
            call()
            costs.append(time.process_time() - began)
        return min(costs)

    whole = best(lambda: picture.encode(delta, NAMES, 1))
    singles = best(lambda: [track.encode(tracks, assessment, row, NAMES, 1) for row in range(0, 2_000, 20)]) * 20
    assert whole < singles / 10


# --- alerts ---

ALERT = Alert(
    id="0123456789abcdef",
    rule="low-slow-near",
    rule_version=2,
    severity=1,
    state="raised",
    track="7:12",
    episode=0,
    raised_us=T_US,
    t_us=T_US + 1,
    first_plot_us=T_US - 9_000_000,
    confirmed_us=T_US - 5_000_000,
    lat_rad=0.9588,
    lon_rad=0.44251,
    overflown="BY",
    near_state="LT",
    disputed=False,
    quantities=(
        Quantity("speed_mps", 41.7, 1.2, "<= 80 with p >= 0.8"),
        Quantity("height_known", True),
        Quantity("state", "BY", condition="is other"),
        Quantity("distance_m", float("nan"), float("nan")),
    ),
    sensors=("R1", "R2"),
    sentence="Slow, low object, unknown, 23 km outside Lithuania over Belarus.",
    clears="it leaves, or speed above 80 m/s",
    recipients=("duty-officer",),
)


def same(a: object, b: object) -> bool:
    """Equal, where NaN equals NaN."""
    return repr(a) == repr(b)


def test_an_alert_reads_back_exactly() -> None:
    got = alert.decode(alert.encode(ALERT, NAMES, 3))
    numbers = (*ALERT.quantities[:3], Quantity("distance_m", float("nan")))  # a sigma that is not finite is no sigma
    assert same(got, replace(ALERT, quantities=numbers))


def test_an_alert_says_its_states_by_name_and_has_no_nulls() -> None:
    said = json.loads(alert.encode(ALERT, NAMES, 3))
    assert next(iter(said)) == "schema"
    assert (said["overflown_name"], said["near_state_name"]) == ("Belarus", "Lithuania")
    assert None not in values(said)
    assert "acknowledged_time" not in said
    nowhere = json.loads(alert.encode(replace(ALERT, overflown="", near_state="XX"), NAMES, 3))
    assert "overflown" not in nowhere
    assert "near_state_name" not in nowhere


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
PLACES = st.floats(-np.pi, np.pi) | st.floats(-90, 90).map(lambda degrees: float(np.radians(degrees)))


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    """Any alert that the engine can make."""
    times = st.integers(wire.EARLIEST_US, wire.LATEST_US - 1)
    optional = times | st.just(-1)
    value = st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | TEXTS
    sigma = st.none() | st.floats(0, 1e9)
    return replace(
        ALERT,
        raised_us=draw(times),
        t_us=draw(times),
        first_plot_us=draw(optional),
        confirmed_us=draw(optional),
        acknowledged_us=draw(optional),
        lat_rad=draw(PLACES),
        lon_rad=draw(PLACES),
        overflown=draw(st.sampled_from(["", "BY", "XX"])),
        disputed=draw(st.booleans()),
        delayed=draw(st.booleans()),
        simulated=draw(st.booleans()),
        quantities=tuple(draw(st.lists(st.builds(Quantity, TEXTS, value, sigma, TEXTS), max_size=3))),
        sensors=tuple(draw(st.lists(TEXTS, max_size=3))),
        sentence=draw(TEXTS),
        clears=draw(TEXTS),
        recipients=tuple(draw(st.lists(TEXTS, max_size=3))),
        acknowledged_by=draw(TEXTS),
        identity_by=draw(TEXTS),
        identity_reason=draw(TEXTS),
        close_reason=draw(TEXTS),
    )


@given(alerts())
def test_every_alert_reads_back_exactly(made: Alert) -> None:
    payload = alert.encode(made, NAMES, 3)
    got = alert.decode(payload)
    assert got == made
    assert alert.encode(got, NAMES, 3) == payload


def test_a_position_on_the_wire_is_as_short_as_its_radians_allow() -> None:
    short = json.loads(alert.encode(replace(ALERT, lat_rad=float(np.radians(54.5)), lon_rad=0.0), NAMES, 1))
    assert (short["lat_deg"], short["lon_deg"]) == (54.5, 0.0)
    text = alert.encode(ALERT, NAMES, 1).decode()
    digits = re.search(r'"lat_deg":([0-9.]+)', text)
    assert digits is not None
    assert len(digits[1]) <= 20


def test_an_alert_without_a_place_reads_back_as_nan() -> None:
    got = alert.decode(alert.encode(replace(ALERT, lat_rad=float("nan"), lon_rad=float("inf")), NAMES, 1))
    assert np.isnan(got.lat_rad)
    assert np.isnan(got.lon_rad)


# --- health, status ---


def test_health_leaves_out_what_is_not_known() -> None:
    nan = float("nan")
    never = Health("R2", T_US, "never", -1, -1, 0.0, nan, nan, 0, 0)
    assert json.loads(health.encode(never, 4)) == {
        "schema": "vedette.health.v1",
        "sensor": "R2",
        "seq": 4,
        "time": "2026-11-23T06:15:00.123Z",
        "state": "never",
        "rate_hz": 0.0,
        "hits_count": 0,
        "misses_count": 0,
    }
    seen = json.loads(health.encode(Health("R1", T_US, "ok", T_US, T_US, 33.333, 1.2345, 0.98, 9, 1, "fine"), 5))
    assert (seen["rate_hz"], seen["lag_s"], seen["nis"], seen["detail"]) == (33.33, 1.234, 0.98, "fine")
    assert seen["last_plot_time"] == "2026-11-23T06:15:00.123Z"


def test_the_status_and_the_will_have_one_shape() -> None:
    info = status.StatusInfo("lt", T_US, "live", epoch=3, tracks={"confirmed": 2, "coasting": 0}, received=10, used=9)
    said = json.loads(status.encode(info))
    assert said == {
        "schema": "vedette.status.v1",
        "site": "lt",
        "time": "2026-11-23T06:15:00.123Z",
        "state": "live",
        "simulated": False,
        "mode": "peace",
        "epoch": 3,
        "tracks_count": {"confirmed": 2, "coasting": 0},
        "received_count": 10,
        "used_count": 9,
    }
    last = json.loads(status.will("lt"))
    assert last == {"schema": said["schema"], "site": "lt", "state": "offline"}


# --- read back by who passes it on ---


def test_health_and_status_read_back() -> None:
    said = Health("R1", T_US, "ok", T_US - 1_000, -1, 11.4, 0.41, float("nan"), 812, 77, "fine", samples._bias())
    read = health.decode(health.encode(said, 1))
    assert (read.sensor, read.t_us, read.last_us, read.last_rx_us, read.rate_hz) == ("R1", T_US, T_US - 1_000, -1, 11.4)
    assert np.isnan(read.nis)
    assert read.bias is not None
    for name in ("range_m", "range_gain", "azimuth_rad", "sigma_azimuth_rad", "time_s", "elevation_rad"):
        assert getattr(read.bias, name) == pytest.approx(getattr(samples._bias(), name), abs=1e-5, nan_ok=True), name
    assert health.decode(health.encode(replace(said, bias=None, rate_hz=2.0), 1)).bias is None
    info = samples._status()
    assert status.decode(status.encode(info)) == info
    assert status.decode(status.will("x")).state == "offline"


def test_a_track_and_a_picture_read_back() -> None:
    tracks, assessment = table(20)
    for row, payload in enumerate(track.encode_rows(tracks, assessment, range(20), NAMES, 1)):
        said = json.loads(payload)
        told = track.told(payload)
        assert {name: getattr(told, name) for name in ("id", "lat_deg", "course_deg", "sigma_speed_mps")} == {
            name: said.get(name) for name in ("id", "lat_deg", "course_deg", "sigma_speed_mps")
        }
        assert (told.t_us, told.id) == (T_US, tracks.name(row))
    parts = picture.encode(Picture(T_US, True, tracks, assessment, ((3, "merged"),)), NAMES, 7)
    read = [picture.decode(part) for part in parts]
    assert [row.id for part in read for row in part.tracks] == [tracks.name(row) for row in range(20)]
    assert [(ended.id, ended.reason) for part in read for ended in part.dropped] == [(f"{tracks.epoch}:3", "merged")]
