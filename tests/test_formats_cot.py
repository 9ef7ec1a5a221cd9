"""Cursor on Target: what an event claims of an object, and that every event reads back as it was said."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import samples
from adapters.formats import cot, track
from adapters.rows import Told
from adapters.samples import NOW_US
from fusion.schema import Alert, Invalid

SITE = "lt-east"


def told(**changes: object) -> Told:
    said = track.told(track.encode(samples.tracks(), samples.assessment(), 0, samples.NAMES, 1, samples.forecast()))
    return msgspec.structs.replace(said, **changes)


CIVIL = {
    "cooperative": True,
    "address": "503c01",
    "callsign": "LTV01",
    "category": 5,
    "last_radar_time": "2026-11-23T06:14:59.600Z",
}

# --- what an event claims ---


def test_an_object_is_unknown_until_more_is_known() -> None:
    assert cot.track(told(), SITE).type == "a-u-A"


def test_civil_is_who_says_so_live_is_seen_by_radar_and_not_contradicted() -> None:
    assert cot.track(told(**CIVIL), SITE).type == "a-n-A-C-F"
    assert cot.track(told(**CIVIL | {"category": 10}), SITE).type == "a-n-A-C-H"
    assert cot.track(told(**CIVIL | {"category": 12}), SITE).type == "a-n-A-C-L"
    for missing in (
        {"cooperative": False},
        {"contradicted": True},
        {"doubt": "unproven"},
        {"last_radar_time": None},
        {"address": None},
        {"category": None},
        {"category": 6},  # of high performance: military as often
        {"category": 13},  # unmanned
    ):
        assert cot.track(told(**CIVIL | missing), SITE).type == "a-u-A", missing


@pytest.mark.parametrize(
    ("identity", "kind"), [("friend", "f"), ("neutral", "n"), ("suspect", "s"), ("hostile", "h"), ("unknown", "u")]
)
def test_only_a_person_says_friend_suspect_or_hostile_and_the_event_says_who(identity: str, kind: str) -> None:
    alert = replace(samples.alarm(), identity=identity, identity_by="J. Petraitis", identity_reason="seen by patrol")
    event = cot.track(told(**CIVIL), SITE, alert)
    assert event.type == f"a-{kind}-A"
    assert f"Identified as {identity} by J. Petraitis: seen by patrol." in event.remarks
    nobody = replace(alert, identity_by="")
    assert cot.track(told(), SITE, nobody).type == "a-u-A"


def test_without_a_person_no_combination_makes_a_friend_or_a_foe() -> None:
    choices = {
        "cooperative": (True, False),
        "contradicted": (None, True),
        "doubt": (None, "unproven"),
        "address": (None, "503c01"),
        "category": (None, *range(25)),
        "last_radar_time": (None, "2026-11-23T06:14:59.600Z"),
    }
    for values in itertools.product(*choices.values()):
        kind = cot.track(told(**dict(zip(choices, values, strict=True))), SITE, samples.alarm()).type
        assert kind == "a-u-A" or kind.startswith("a-n-A-C-"), values


def test_what_is_simulated_says_so_in_every_field_that_a_person_sees() -> None:
    event = cot.track(told(simulated=True), SITE)
    assert (event.how, event.callsign) == ("m-s", "SIM 5:17")
    assert event.remarks.startswith("SIMULATED.")
    alert = cot.alert(replace(samples.alarm(), simulated=True, mode="exercise"), SITE, NOW_US)
    assert (alert.how, alert.callsign) == ("m-s", "SIM Alert 5:17")
    assert alert.remarks.startswith("SIMULATED. EXERCISE.")
    exercise = replace(samples.alarm(), simulated=False, mode="exercise")
    assert cot.alert(exercise, SITE, NOW_US).callsign == "EXERCISE Alert 5:17"
    assert cot.track(told(mode="exercise"), SITE).callsign == "EXERCISE 5:17"
    assert cot.track(told(), SITE).how == "m-f"
    played = cot.track(told(**CIVIL), SITE, replayed=True)
    assert (played.how, played.callsign, played.remarks[:7]) == ("m-s", "REPLAY LTV01", "REPLAY.")
    assert cot.alert(samples.alarm(), SITE, NOW_US, replayed=True).callsign == "REPLAY Alert 5:17"


def test_errors_are_one_sigma_and_what_is_not_known_is_9999999() -> None:
    event = cot.track(told(), SITE)
    assert (event.hae_m, event.le_m) == (371.0, 55.0)
    # Half axes of the covariance that the sample publishes; the circle holds the longer one.
    variances, axes = np.linalg.eigh(np.array([[6_100.0, -1_500.0], [-1_500.0, 2_092.0]]))
    assert event.ce_m == pytest.approx(np.sqrt(variances[1]))
    own = {name: float(value) for name, value in event.own if name.startswith("ellipse_")}
    assert (own["ellipse_major_m"], own["ellipse_minor_m"]) == pytest.approx(np.sqrt(variances[::-1]), abs=0.05)
    assert own["ellipse_azimuth_deg"] == pytest.approx(np.degrees(np.arctan2(*axes[:, 1])) % 180.0, abs=0.05)
    assert cot.track(told(cov_east_north_m2=None), SITE).ce_m == 64.0
    unknown = cot.track(told(height_known=False, height_m=None, sigma_height_m=None), SITE)
    point = ElementTree.fromstring(cot.encode(unknown)).find("point")
    assert point is not None
    assert (point.get("hae"), point.get("ce"), point.get("le")) == ("9999999.0", "81.2", "9999999.0")
    assert "Height not known." in unknown.remarks


def test_a_track_without_a_place_is_no_event() -> None:
    with pytest.raises(Invalid, match="missing-field"):
        cot.track(told(lat_deg=None), SITE)


def test_an_alert_has_one_uid_from_its_first_word_to_its_cancel() -> None:
    alert = samples.alarm()
    states = [alert, replace(alert, state="acknowledged", acknowledged_by="ada"), replace(alert, state="closed")]
    events = [cot.alert(said, SITE, NOW_US) for said in states]
    assert {event.uid for event in events} == {f"vedette.lt-east.alert.{alert.id}"}
    assert [event.type for event in events] == ["b-a-g", "b-a-g", "b-a-o-can"]
    assert b'<emergency cancel="true" type="Geo-fence Breached">' in cot.encode(events[2])
    assert b"cancel" not in cot.encode(events[0])
    assert events[0].linked == cot.track_uid(SITE, alert.track)
    assert alert.sentence in events[0].remarks
    nowhere = cot.alert(replace(alert, lat_rad=math.nan), SITE, NOW_US)
    assert (nowhere.lat_deg, nowhere.lon_deg) == (0.0, 0.0)
    assert math.isnan(nowhere.ce_m)


def test_an_encoding_that_is_none_is_refused() -> None:
    for encoding in (b"utk-8", b"utf-7"):
        with pytest.raises(Invalid):
            cot.decode(b"<?xml version='1.0' encoding='" + encoding + b"'?>" + cot.encode(cot.track(told(), SITE)))


def test_a_delete_names_what_it_takes_off_the_map() -> None:
    root = ElementTree.fromstring(cot.encode(cot.delete("vedette.x.track.1:2", NOW_US)))
    link = root.find("detail/link")
    assert link is not None
    assert (root.get("type"), link.get("uid")) == ("t-x-d-d", "vedette.x.track.1:2")
    assert root.find("detail/__forcedelete") is not None


# --- how it is written ---

TEXT = st.text(max_size=20).map(lambda text: cot._ILLEGAL.sub("", text).replace("\r", ""))
NUMBER = st.floats(0.0, 9e5).map(lambda x: round(x, 1)) | st.just(math.nan)
EVENTS = st.builds(
    cot.Event,
    uid=TEXT,
    type=st.sampled_from(["a-u-A", "b-a-g", "b-a-o-can"]),
    how=st.sampled_from(["m-f", "m-s"]),
    t_us=st.integers(NOW_US, 2 * NOW_US).map(lambda us: us // 1000 * 1000),
    stale_us=st.integers(NOW_US, 2 * NOW_US).map(lambda us: us // 1000 * 1000),
    lat_deg=st.floats(-90, 90).map(lambda x: round(x, 7)),
    lon_deg=st.floats(-180, 180).map(lambda x: round(x, 7)),
    hae_m=NUMBER | st.floats(-400.0, 0.0).map(lambda x: round(x, 1)),
    ce_m=NUMBER,
    le_m=NUMBER,
    callsign=TEXT,
    course_deg=st.floats(0, 360).map(lambda x: round(x, 1)) | st.just(math.nan),
    speed_mps=NUMBER,
    remarks=TEXT,
    linked=TEXT,
    emergency=TEXT,
    own=st.lists(st.tuples(st.sampled_from(["a", "b"]), TEXT), max_size=2, unique_by=lambda pair: pair[0]).map(tuple),
)


@given(EVENTS)
def test_an_event_reads_back_as_it_was_written(event: cot.Event) -> None:
    read = cot.decode(cot.encode(event))
    for name in cot.Event.__slots__:
        ours, theirs = getattr(event, name), getattr(read, name)
        assert ours == theirs or (math.isnan(ours) and math.isnan(theirs)), name


def test_characters_that_xml_has_not_become_its_sign_of_replacement() -> None:
    event = cot.Event("u", "a-u-A", "m-f", NOW_US, NOW_US, remarks="a\x00b\x0b\ud800c", callsign="\uffff")
    read = cot.decode(cot.encode(event))
    assert (read.remarks, read.callsign) == ("a\ufffdb\ufffd\ufffdc", "\ufffd")


@given(st.lists(EVENTS, max_size=5), st.integers(1, 400))
def test_a_stream_comes_apart_into_its_events_wherever_it_is_cut(events: list[cot.Event], size: int) -> None:
    stream = b"\n".join(map(cot.encode, events))
    waiting, found = bytearray(), list[bytes]()
    for at in range(0, len(stream), size):
        waiting += stream[at : at + size]
        found += cot.split(waiting)
    assert found == [cot.encode(event) for event in events]
    assert waiting == b""


def test_a_stream_without_an_end_is_refused() -> None:
    with pytest.raises(Invalid, match="oversized"):
        list(cot.split(bytearray(70_000)))


GOOD = cot.encode(cot.track(told(), SITE))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "malformed"),
        (b"<event/>", "malformed"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]>' + GOOD, "malformed"),
        (GOOD.replace(b"uid=", b"guid="), "missing-field"),
        (GOOD.replace(b'lat="54', b'lat="154'), "out-of-range"),
        (GOOD.replace(b'lat="54', b'lat="nan" x="'), "out-of-range"),
        (GOOD.replace(b'hae="371.0"', b'hae="high"'), "out-of-range"),
        (GOOD.replace(b'hae="371.0"', b'hae="-inf"'), "out-of-range"),
        (GOOD.replace(b'time="2026', b'time="1926'), "bad-time"),
        (GOOD + b" " * 70_000, "oversized"),
    ],
)
def test_what_is_no_event_is_refused_with_a_reason(payload: bytes, reason: str) -> None:
    assert cot.decode(GOOD).uid == "vedette.lt-east.track.5:17"
    with pytest.raises(Invalid) as refused:
        cot.decode(payload)
    assert refused.value.reason == reason


@given(st.binary(max_size=80), st.integers(0, len(GOOD)))
def test_no_bytes_do_anything_else(noise: bytes, at: int) -> None:
    for payload in (noise, GOOD[:at] + noise + GOOD[at:]):
        try:
            cot.decode(payload)
        except Invalid:
            continue


def test_an_alert_of_any_kind_is_an_event() -> None:
    alert: Alert = replace(samples.alarm(), sentence='<&">\n\x00', near_state="", lat_rad=math.nan)
    assert '<&">\n\ufffd' in cot.decode(cot.encode(cot.alert(alert, SITE, NOW_US))).remarks
