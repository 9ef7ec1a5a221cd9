"""Formats that come in: what is right reads back, what is wrong is refused by its reason, nothing else gets out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import wire
from adapters.envelope import enveloped
from adapters.formats import clock, command, met, plots, readsb, sensorstatus, watermark
from adapters.modes.accuracies import SIGMA_BY_NACP_M
from fusion import schema
from fusion.numbers import MAX_RUNS, Run
from fusion.schema import Answer, Command, Frame, Met, PlotKind, Plots, SensorStatus
from tests.samples import ADSB, AIRCRAFT, BEARING, GOOD, ORDER, RADAR, T_US, feed, message, reason

# --- vedette.plots.v1 ---


def test_a_message_of_plots_is_read_into_si_and_radians() -> None:
    full = {
        **GOOD,
        "elevation_deg": 1.5,
        "doppler_mps": -40,
        "pressure_height_m": 300.5,
        "mode3a": "7700",
        "address": "4CA123",
        "callsign": "LOT12 ",
        "on_ground": False,
        "category": 13,
    }
    decoded = plots.decode(message([GOOD, full]), RADAR, 77)
    batch = decoded.batch
    assert decoded.rejected == {}
    assert (batch.sensor, batch.kind, batch.rx_us, batch.boot, batch.seq) == ("R1", PlotKind.POLAR, 77, 3, 9)
    assert batch.t_us.tolist() == [T_US, T_US]
    assert batch.azimuth_rad.tolist() == [np.pi / 2] * 2
    assert batch.range_m.tolist() == [41250.0] * 2
    assert np.isnan(batch.elevation_rad[0])
    assert batch.elevation_rad[1] == pytest.approx(np.radians(1.5))
    assert batch.doppler_mps[1] == -40.0
    assert batch.mode3a.tolist() == [-1, 0o7700]
    assert batch.address.tolist() == [-1, 0x4CA123]
    assert batch.callsign.tolist() == [b"", b"LOT12"]
    assert batch.on_ground.tolist() == [-1, 0]
    assert batch.category.tolist() == [-1, 13]


def test_the_ends_of_the_circle_and_of_the_earth_are_in_range() -> None:
    ends = [{**GOOD, "azimuth_deg": 0}, {**GOOD, "azimuth_deg": 360.0, "elevation_deg": 90}]
    assert plots.decode(message(ends), RADAR, 1).rejected == {}
    poles = [{"time": GOOD["time"], "lat_deg": lat, "lon_deg": lon} for lat in (-90, 90) for lon in (-180, 180)]
    assert plots.decode(message(poles, sensor="A1", kind="position"), ADSB, 1).rejected == {}


@pytest.mark.parametrize(
    "changed, expected",
    [
        ({"schema": "vedette.plots.v2"}, "wrong-schema"),
        ({"schema": ...}, "wrong-schema"),
        ({"sensor": "R2"}, "unknown-sensor"),
        ({"sensor": ...}, "missing-field"),
        ({"kind": "position"}, "wrong-sensor-kind"),
        ({"kind": "sonar"}, "out-of-range"),
        ({"plots": ...}, "missing-field"),
        ({"plots": {}}, "malformed"),
        ({"boot": -5}, "out-of-range"),
        ({"seq": 2**60}, "out-of-range"),
        ({"seq": 1.5}, "malformed"),
    ],
)
def test_a_fault_of_the_whole_message_refuses_it(changed: dict[str, Any], expected: str) -> None:
    assert reason(plots.decode, message([GOOD], **changed), RADAR, 1) == expected


def test_too_many_plots_are_refused_before_any_is_looked_at() -> None:
    assert reason(plots.decode, message([0] * (wire.MAX_PLOTS + 1)), RADAR, 1) == "too-many-plots"
    assert plots.decode(message([0] * wire.MAX_PLOTS), RADAR, 1).rejected == {"malformed": wire.MAX_PLOTS}


@pytest.mark.parametrize(
    "bad, expected",
    [
        ({**GOOD, "range_m": -1}, "out-of-range"),
        ({**GOOD, "range_m": "41250"}, "malformed"),
        ({**GOOD, "range_m": None}, "malformed"),
        ({**GOOD, "range_m": True}, "malformed"),
        ({"time": GOOD["time"], "range_m": 5.0}, "missing-field"),
        ({"range_m": 5.0, "azimuth_deg": 1.0}, "missing-field"),
        ({**GOOD, "time": "2026-11-23T06:15:00"}, "bad-time"),
        ({**GOOD, "time": "1970-01-01T00:00:00Z"}, "bad-time"),
        ({**GOOD, "time": 1795414500}, "bad-time"),
        ({**GOOD, "azimuth_deg": 361}, "out-of-range"),
        ({**GOOD, "mode3a": "7800"}, "out-of-range"),
        ({**GOOD, "mode3a": 7700}, "malformed"),
        ({**GOOD, "address": "~4ca12"}, "out-of-range"),
        ({**GOOD, "callsign": "TOO LONG 1"}, "out-of-range"),
        ({**GOOD, "callsign": "K\u00d6LN"}, "out-of-range"),
        ({**GOOD, "nic": 12}, "out-of-range"),
        ([], "malformed"),
        (None, "malformed"),
    ],
)
def test_a_bad_plot_costs_that_plot_only(bad: Any, expected: str) -> None:
    decoded = plots.decode(message([GOOD, bad, GOOD]), RADAR, 1)
    assert decoded.rejected == {expected: 1}
    assert len(decoded.batch) == 2
    assert decoded.batch.seq == 9


def test_an_infinite_number_costs_its_plot_only_and_nan_the_message() -> None:
    whole = message([GOOD, {**GOOD, "range_m": 12345.0}])
    assert plots.decode(whole.replace(b"12345.0", b"1e999"), RADAR, 1).rejected == {"not-finite": 1}
    assert reason(plots.decode, whole.replace(b"12345.0", b"NaN"), RADAR, 1) == "not-finite"
    assert reason(plots.decode, whole.replace(b"12345.0", b"oops"), RADAR, 1) == "malformed"


def test_an_empty_message_and_one_of_only_bad_plots_give_an_empty_batch() -> None:
    assert len(plots.decode(message([]), RADAR, 1).batch) == 0
    decoded = plots.decode(message([{}, 5]), RADAR, 1)
    assert len(decoded.batch) == 0
    assert decoded.rejected == {"missing-field": 1, "malformed": 1}


LIMITED = {name: limits for name, limits in schema.LIMITS.items() if not name.startswith("azimuth")}


def number(low: float, high: float) -> st.SearchStrategy[float]:
    """A finite number within limits, or NaN for not measured."""
    return st.floats(low, high, allow_nan=False) | st.just(float("nan"))


@st.composite
def batches(draw: st.DrawFn, kind: PlotKind, sensor: str) -> Plots:
    """Any batch that the door lets through."""
    n = draw(st.integers(1, 4))
    needed = schema.NEEDED[kind]
    given_: dict[str, object] = {}
    for name, (low, high) in schema.LIMITS.items():
        one = st.floats(low, high, allow_nan=False) if name in needed else number(low, high)
        given_[name] = draw(st.lists(one, min_size=n, max_size=n))
    t_us = draw(st.lists(st.integers(wire.EARLIEST_US, wire.LATEST_US - 1), min_size=n, max_size=n))
    for name, high_ in (("address", 0xFFFFFF), ("mode3a", 0o7777), ("nic", 11), ("nacp", 11), ("nacv", 7)):
        given_[name] = draw(st.lists(st.integers(-1, high_), min_size=n, max_size=n))
    given_["category"] = draw(st.lists(st.integers(-1, 24), min_size=n, max_size=n))
    given_["on_ground"] = draw(st.lists(st.integers(-1, 1), min_size=n, max_size=n))
    words = st.text("ABCXYZ019", max_size=8).map(str.encode)
    given_["callsign"] = draw(st.lists(words, min_size=n, max_size=n))
    return schema.plots(sensor, kind, 5, np.array(t_us), draw(st.integers(-1, 9)), draw(st.integers(-1, 9)), **given_)


# Steps of the wire; half of one is lost at most. The limits themselves must survive the rounding too.
STEP = {"lat_rad": 2e-9, "lon_rad": 2e-9}


def check_same(sent: Plots, got: Plots) -> None:
    """Equal as far as the wire resolves: 1 mm, 1e-6 degrees (1e-7 on the ground), and exactly in everything else."""
    assert (got.sensor, got.kind, got.boot, got.seq) == (sent.sensor, sent.kind, sent.boot, sent.seq)
    assert got.t_us.tolist() == sent.t_us.tolist()
    for name in schema.F8_FIELDS:
        step = STEP.get(name, 2e-8 if name.endswith("_rad") else 1e-3)
        np.testing.assert_allclose(getattr(got, name), getattr(sent, name), rtol=0, atol=step, err_msg=name)
    for name in (*schema.INT_FIELDS, "callsign", "serial"):
        assert getattr(got, name).tolist() == getattr(sent, name).tolist(), name


@settings(max_examples=30)
@given(batches(PlotKind.POLAR, "R1"))
def test_polar_plots_survive_the_wire(batch: Plots) -> None:
    decoded = plots.decode(plots.encode(batch), RADAR, 5)
    assert decoded.rejected == {}
    check_same(batch, decoded.batch)


@settings(max_examples=30)
@given(batches(PlotKind.POSITION, "A1"))
def test_positions_survive_the_wire(batch: Plots) -> None:
    decoded = plots.decode(plots.encode(batch), ADSB, 5)
    assert decoded.rejected == {}
    check_same(batch, decoded.batch)


@settings(max_examples=30)
@given(batches(PlotKind.BEARING, "B1"))
def test_bearings_survive_the_wire(batch: Plots) -> None:
    decoded = plots.decode(plots.encode(batch), BEARING, 5)
    assert decoded.rejected == {}
    check_same(batch, decoded.batch)


# --- readsb ---


def test_an_aircraft_of_readsb_becomes_a_plot_in_si() -> None:
    batch = readsb.decode(feed(AIRCRAFT), ADSB, 5).batch
    assert batch.t_us.tolist() == [1_584_445_210_250_000]  # now - seen_pos
    assert batch.lat_rad[0] == np.radians(46.885757)
    assert batch.pressure_height_m[0] == pytest.approx(304.8)
    assert batch.height_m[0] == pytest.approx(335.28)
    assert batch.velocity_east_mps[0] == pytest.approx(51.4444, abs=1e-3)
    assert batch.velocity_north_mps[0] == pytest.approx(0.0, abs=1e-9)
    assert batch.velocity_up_mps[0] == pytest.approx(3.048)
    assert batch.sigma_position_m[0] == pytest.approx(30.0 / 2.4477, rel=1e-4)  # NACp 9: EPU < 30 m in 95 %
    assert batch.sigma_velocity_mps[0] == pytest.approx(3.0 / 2.4477, rel=1e-4)  # NACv 2: < 3 m/s in 95 %
    assert batch.sigma_height_m[0] == pytest.approx(45.0 / 1.96, rel=1e-4)
    assert (batch.address[0], batch.mode3a[0], batch.category[0]) == (0x473F9A, 0o7000, 1)
    assert (batch.nic[0], batch.nacp[0], batch.nacv[0], batch.sil[0]) == (8, 9, 2, 3)
    assert (batch.callsign[0], batch.on_ground[0]) == (b"HAYCG", 0)


def test_accuracy_categories_run_from_unknown_to_three_metres() -> None:
    expected = [18520.0, 18520 / 2.4477, 7408 / 2.4477, 3704 / 2.4477, 1852 / 2.4477, 926 / 2.4477, 555.6 / 2.4477]
    expected += [185.2 / 2.4477, 92.6 / 2.4477, 30 / 2.4477, 10 / 2.4477, 3 / 2.4477]
    batch = readsb.decode(feed(*({**AIRCRAFT, "nac_p": n} for n in range(12))), ADSB, 5).batch
    np.testing.assert_allclose(batch.sigma_position_m, expected, rtol=1e-4)
    batch = readsb.decode(feed(*({**AIRCRAFT, "nac_v": n} for n in range(5))), ADSB, 5).batch
    np.testing.assert_allclose(batch.sigma_velocity_mps, [10.0, 4.0854, 1.22562, 0.40854, 0.122562], rtol=1e-4)


def test_the_names_of_older_receivers_mean_the_same() -> None:
    names = {"alt_baro": "altitude", "gs": "speed", "baro_rate": "vert_rate"}
    new = {**AIRCRAFT, "gs": 120.0, "track": 90.0, "alt_baro": 9_000, "baro_rate": -640}
    new.pop("geom_rate", None)
    old = {names.get(key, key): value for key, value in new.items()}
    got, same = (readsb.decode(feed(one), ADSB, 5).batch for one in (old, new))
    for name in ("pressure_height_m", "velocity_east_mps", "velocity_up_mps", "on_ground"):
        assert getattr(got, name).tolist() == getattr(same, name).tolist(), name
    assert got.velocity_up_mps[0] == pytest.approx(-640 * 0.3048 / 60)


def test_what_readsb_does_not_know_is_not_measured() -> None:
    batch = readsb.decode(feed({"hex": "~2a0001", "lat": 46.0, "lon": 18.0, "alt_baro": "ground"}), ADSB, 5).batch
    assert batch.address.tolist() == [-1]
    assert batch.on_ground.tolist() == [1]
    for name in ("pressure_height_m", "height_m", "velocity_east_mps", "sigma_position_m", "sigma_velocity_mps"):
        assert np.isnan(getattr(batch, name)).all(), name
    assert (batch.mode3a[0], batch.category[0], batch.nacp[0], batch.callsign[0]) == (-1, -1, -1, b"")


def test_aircraft_without_a_new_position_are_no_plots_and_not_counted() -> None:
    silent = {k: v for k, v in AIRCRAFT.items() if k not in ("lat", "lon")}
    held = {**AIRCRAFT, "seen_pos": 1.0}  # was in the message a second ago
    decoded = readsb.decode(feed(silent, held, AIRCRAFT), ADSB, 5)
    assert len(decoded.batch) == 1
    assert decoded.rejected == {}


@pytest.mark.parametrize(
    "bad, expected",
    [
        ({**AIRCRAFT, "lat": "46.8"}, "malformed"),
        ({**AIRCRAFT, "lat": 91.0}, "out-of-range"),
        ({**AIRCRAFT, "alt_geom": 1e9}, "out-of-range"),
        ({"lat": 46.0, "lon": 18.0}, "missing-field"),
        ({**AIRCRAFT, "seen_pos": -1e300}, "bad-time"),
        (17, "malformed"),
    ],
)
def test_a_bad_aircraft_costs_itself_only(bad: object, expected: str) -> None:
    decoded = readsb.decode(feed(AIRCRAFT, bad, AIRCRAFT), ADSB, 5)
    assert decoded.rejected == {expected: 1}
    assert len(decoded.batch) == 2


def test_odd_integrity_and_identity_fields_are_left_out_not_refused() -> None:
    odd = {**AIRCRAFT, "nac_p": 15, "nic": -3, "squawk": "9999", "category": "Z9", "flight": "\u00d6 \x01"}
    batch = readsb.decode(feed({**odd, "hex": "xyz"}), ADSB, 5).batch
    assert (batch.nacp[0], batch.nic[0], batch.mode3a[0], batch.category[0]) == (-1, -1, -1, -1)
    assert (batch.callsign[0], batch.address[0]) == (b"", -1)


@pytest.mark.parametrize(
    "payload, expected",
    [
        (b'{"aircraft":[]}', "missing-field"),
        (b'{"now":1584445210.0}', "missing-field"),
        (feed(now="12:00"), "malformed"),
        (feed(now=12), "bad-time"),
        (feed(*[{}] * 2001), "too-many-plots"),
        (b"[]", "malformed"),
    ],
)
def test_a_fault_of_the_whole_feed_refuses_it(payload: bytes, expected: str) -> None:
    assert reason(readsb.decode, payload, ADSB, 5) == expected
    assert reason(readsb.decode, feed(AIRCRAFT), RADAR, 5) == "wrong-sensor-kind"


def test_a_batch_survives_readsb_but_for_its_sigmas() -> None:
    luck = np.random.default_rng(3)
    n = 40
    sent = schema.plots(
        *("A1", PlotKind.POSITION, 5, T_US - luck.integers(0, 900_000, n), 4, 8),
        lat_rad=np.radians(luck.uniform(-90, 90, n)),
        lon_rad=np.radians(luck.uniform(-180, 180, n)),
        height_m=luck.uniform(-100, 12_000, n),
        pressure_height_m=np.where(luck.random(n) < 0.3, np.nan, luck.uniform(-100, 12_000, n)),
        velocity_east_mps=luck.normal(0, 100, n),
        velocity_north_mps=luck.normal(0, 100, n),
        velocity_up_mps=luck.normal(0, 5, n),
        address=luck.integers(-1, 1 << 24, n),
        mode3a=luck.integers(-1, 0o10000, n),
        nacp=luck.integers(-1, 12, n),
        nacv=luck.integers(-1, 5, n),
        category=luck.choice([-1, 1, 3, 5, 10, 11, 13], n),
        callsign=luck.choice(np.array([b"", b"LOT123"], "S8"), n),
    )
    got = readsb.decode(readsb.encode(sent), ADSB, 5).batch
    assert (got.boot, got.seq) == (4, 8)
    assert np.abs(got.t_us - sent.t_us).max() == 0
    tolerance = {"lat_rad": 2e-9, "lon_rad": 2e-9, "height_m": 2e-3, "pressure_height_m": 2e-3}
    tolerance |= {"velocity_east_mps": 0.01, "velocity_north_mps": 0.01, "velocity_up_mps": 5e-4}
    for name, atol in tolerance.items():
        np.testing.assert_allclose(getattr(got, name), getattr(sent, name), rtol=0, atol=atol, err_msg=name)
    for name in ("address", "mode3a", "nacp", "nacv", "category", "callsign"):
        assert getattr(got, name).tolist() == getattr(sent, name).tolist(), name
    np.testing.assert_array_equal(got.sigma_position_m, SIGMA_BY_NACP_M[sent.nacp + 1])


# --- the small ones ---


def test_weather_reads_back() -> None:
    report = Met("R1", 5, T_US + 7, 1008.25)
    assert met.decode(met.encode(report), RADAR, 5) == report
    windy = Met("R1", 5, T_US, 1000.0, (6.5, -2.25))
    assert met.decode(met.encode(windy), RADAR, 5) == windy
    half = met.encode(windy).replace(b',"wind_north_mps":-2.25', b"")
    assert reason(met.decode, half, RADAR, 5) == "missing-field"
    assert reason(met.decode, met.encode(Met("R1", 5, T_US, 1000.0, (500.0, 0.0))), RADAR, 5) == "out-of-range"
    assert reason(met.decode, met.encode(Met("R2", 5, T_US, 1000.0)), RADAR, 5) == "unknown-sensor"
    assert reason(met.decode, met.encode(Met("R1", 5, T_US, 29.92)), RADAR, 5) == "out-of-range"  # inches of mercury


def test_a_sensor_status_reads_back() -> None:
    said = SensorStatus("R1", 5, T_US + 7, "degraded", "channel B, null")
    assert sensorstatus.decode(sensorstatus.encode(said), RADAR, 5) == said
    unknown = sensorstatus.encode(SensorStatus("R1", 5, T_US, "fine"))
    assert reason(sensorstatus.decode, unknown, RADAR, 5) == "out-of-range"


def test_a_tick_and_a_watermark_read_back() -> None:
    assert clock.decode(clock.encode(T_US + 1)) == T_US + 1
    runs = [Run(3, 5, 77), Run(3, 80, 81), Run(2, 0, 4)]
    assert watermark.decode(watermark.encode("R1", runs)) == ("R1", runs)
    plain = watermark.encode("R1", [Run(3, 0, 77)])
    assert b"first_seq" not in plain and b"also" not in plain  # as those have always read it who know no such thing
    assert watermark.decode(plain) == ("R1", [Run(3, 0, 77)])
    assert watermark.decode(watermark.encode("R1", [Run(-1, 0, 77)])) == ("R1", [Run(0, 0, 77)])


def test_the_longest_watermark_fits_into_a_message() -> None:
    far = 2**53
    payload = watermark.encode("R" * 64, [Run(far, far - 2 * n, far - 2 * n) for n in range(MAX_RUNS)])
    assert len(payload) < 65_000 and len(watermark.decode(payload)[1]) == MAX_RUNS
    assert reason(clock.decode, b'{"schema":"vedette.clock.v1","time":"soon"}') == "bad-time"


def test_a_command_and_what_travels_beside_it_survive_the_frame() -> None:
    frame = Frame(1, 5, "cmd/identify", command.encode(ORDER))
    wrapped = enveloped(frame, [("x", "y")], ORDER.response_topic, ORDER.correlation)
    assert (wrapped.seq, wrapped.rx_us, wrapped.source) == (1, 5, "cmd/identify")
    assert command.decode(wrapped.payload, "identify", 5) == ORDER
    bare = command.decode(frame.payload, "acknowledge", 5)
    assert (bare.response_topic, bare.correlation, bare.identity) == ("", b"", "")


def test_an_envelope_does_not_open_an_envelope_from_outside() -> None:
    frame = Frame(1, 5, "cmd/close", command.encode(ORDER))
    twice = enveloped(enveloped(frame, (), "vedette/v1/x/answer/me"))
    assert reason(command.decode, twice.payload, "close", 5) == "wrong-schema"


@pytest.mark.parametrize("topic", ["vedette/v1/x/alert/1", "a/+/b", "#", "$SYS/x", "a\nb", "vedette", "x" * 201])
def test_no_answer_goes_where_it_would_pass_for_something_else(topic: str) -> None:
    frame = enveloped(Frame(1, 5, "cmd/close", command.encode(ORDER)), (), topic)
    assert reason(command.decode, frame.payload, "close", 5) == "out-of-range"


@pytest.mark.parametrize("verb", ["acknowledge", "close", "hand-over", "take"])
def test_a_command_about_an_incident_arrives_as_it_was_sent(verb: str) -> None:
    sent = Command(5, verb, "", "Ada", "flies to Latvia", incident_id="fedcba9876543210", to="LV")
    assert command.decode(command.encode(sent), verb, 5) == sent
    answer = json.loads(command.encode_answer(Answer(sent, True, "done"), wire.Names("lt"), 12))
    assert (answer["incident_id"], "alert_id" in answer) == ("fedcba9876543210", False)


def test_a_neighbour_takes_in_its_own_name_and_says_nothing_else() -> None:
    said = Command(5, "take", "", "Kpt. Berzins", incident_id="fedcba9876543210", to="PL")
    assert command.decode_from("LV", command.encode(said), "take", 5) == replace(
        said, to="LV", operator="LV: Kpt. Berzins"
    )
    assert reason(lambda p, *_: command.decode_from("LV", p, "close", 5), command.encode(said)) == "unknown-command"
    about_an_alert = command.encode(replace(said, incident_id="", alert_id="fedcba9876543210"))
    assert reason(lambda p, *_: command.decode_from("LV", p, "take", 5), about_an_alert) == "missing-field"


def test_a_command_is_about_one_thing() -> None:
    good = {"schema": command.SCHEMA, "operator": "Ada", "alert_id": "0" * 16, "incident_id": "1" * 16}
    for changed in (good, {**good, "alert_id": "", "incident_id": ""}, {"schema": command.SCHEMA, "operator": "Ada"}):
        assert reason(command.decode, json.dumps(changed).encode(), "close", 5) in ("missing-field", "out-of-range")
    one = {**good, "alert_id": "", "to": "L\x00V"}
    del one["alert_id"]
    assert reason(command.decode, json.dumps(one).encode(), "hand-over", 5) == "out-of-range"


def test_bad_commands_are_refused_by_reason() -> None:
    good = {"schema": command.SCHEMA, "alert_id": "0123456789abcdef", "operator": "Ada"}

    def refused(**changed: object) -> str:
        return reason(command.decode, json.dumps({**good, **changed}).encode(), "close", 5)

    assert reason(command.decode, json.dumps(good).encode(), "shoot", 5) == "unknown-command"
    assert refused(alert_id="x") == "out-of-range"
    assert refused(operator=" ") == "out-of-range"
    assert refused(operator="A\nB") == "out-of-range"
    assert refused(reason="x" * 501) == "out-of-range"
    assert refused(identity="enemy") == "out-of-range"
    oversized = enveloped(Frame(1, 5, "cmd/close", b"x" * (wire.MAX_PAYLOAD_BYTES + 1)))
    assert reason(command.decode, oversized.payload, "close", 5) == "oversized"
    assert reason(command.decode, enveloped(Frame(1, 5, "c", b"\xff")).payload, "close", 5) == "not-utf8"


def test_the_answer_to_a_command_names_it() -> None:
    answer = command.encode_answer(Answer(ORDER, False, "no such alert"), wire.Names("lt"), 12)
    assert json.loads(answer) == {
        "schema": "vedette.answer.v1",
        "site": "lt",
        "seq": 12,
        "command_time": "1970-01-01T00:00:00.000Z",
        "verb": "identify",
        "alert_id": "0123456789abcdef",
        "operator": "J. Petraitis",
        "ok": False,
        "detail": "no such alert",
    }
