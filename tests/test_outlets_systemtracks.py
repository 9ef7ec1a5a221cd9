"""Published tracks as columns of CAT062: what is said arrives, and what is not said is not made up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from geographiclib.geodesic import Geodesic
from msgspec.structs import replace

from adapters.asterix import DAY_US
from adapters.formats import cat062, track
from adapters.formats.cat062 import COMBINED, COOPERATIVE, NOT_COOPERATIVE, NOT_DEFINED, SystemTracks
from adapters.outlets.systemtracks import Sender, ended_tracks, system_tracks
from adapters.rows import Told
from adapters.wire import rfc3339
from tests.test_outlets_held import track_payload

SENDER = Sender(25, 100)
T_US = 1_774_000_000_000_000


def told(**given: Any) -> Told:
    """A track that the service could publish, with these fields instead."""
    return replace(track.told(track_payload(17, T_US)), **given)


def made(*rows: Told, sender: Sender = SENDER) -> SystemTracks:
    n = len(rows)
    return system_tracks(rows, list(range(1, n + 1)), [False] * n, [row.simulated for row in rows], sender)


def test_what_a_track_says_arrives() -> None:
    row = told(address="489abc", callsign="lot12", mode3a="1234", category=13, turn_deg_s=-3.0, climb_mps=2.0)
    t = made(row)
    assert (t.sac[0], t.sic[0], t.service[0], t.number[0], t.day_us[0]) == (25, 100, 1, 1, T_US % DAY_US)
    assert np.degrees([t.lat_rad[0], t.lon_rad[0]]) == pytest.approx([row.lat_deg, row.lon_deg])
    course = np.degrees(np.arctan2(t.velocity_x_mps[0], t.velocity_y_mps[0])) % 360.0
    assert course == pytest.approx(row.course_deg)
    assert np.hypot(t.velocity_x_mps[0], t.velocity_y_mps[0]) == pytest.approx(row.speed_mps)
    assert (t.address[0], t.callsign[0], t.mode3a[0], t.category[0]) == (0x489ABC, b"LOT12", 0o1234, 13)
    assert (t.turn[0], t.pace[0], t.vertical[0]) == (2, 3, 1)
    assert (t.sigma_x_m[0], t.sigma_y_m[0]) == pytest.approx(np.sqrt([row.var_east_m2 or 0, row.var_north_m2 or 0]))
    assert t.cov_xy_m2[0] == row.cov_east_north_m2
    assert (t.sigma_velocity_x_mps[0], t.sigma_velocity_y_mps[0]) == (
        row.sigma_velocity_east_mps,
        row.sigma_velocity_north_mps,
    )
    assert t.sigma_climb_mps[0] == row.sigma_climb_mps
    assert t.height_m[0] == row.height_m
    assert np.isnan([t.level_m[0], t.pressure_height_m[0], t.x_m[0]]).all()


def test_what_is_not_said_is_not_made_up() -> None:
    t = made(
        told(height_m=None, climb_mps=None, speed_mps=None, callsign=None, address=None, mode3a=None, category=None)
    )
    assert np.isnan([t.height_m[0], t.climb_mps[0], t.velocity_x_mps[0]]).all()
    assert (t.callsign[0], t.address[0], t.mode3a[0], t.category[0]) == (b"", -1, -1, -1)
    assert np.isnan([t.acceleration_x_mps2[0], t.acceleration_y_mps2[0]]).all()
    plain = made(told(var_east_m2=None, var_north_m2=None, cov_east_north_m2=None, sigma_velocity_east_mps=None,
                      sigma_velocity_north_mps=None, sigma_horizontal_m=70.0, sigma_speed_mps=3.0))  # fmt: skip
    assert (plain.sigma_x_m[0], plain.sigma_y_m[0], plain.cov_xy_m2[0]) == pytest.approx((70.0, 70.0, 0.0))
    assert (plain.sigma_velocity_x_mps[0], plain.sigma_velocity_y_mps[0]) == (3.0, 3.0)
    assert (t.geometric[0], t.height_source[0], t.vertical[0]) == (0, 0, 3)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("inconsistent", {"contradicted": True}), ("coasting", {"status": "coasting"}),
        ("simulated", {"simulated": True}),
        ("doubtful", {"existence": 0.7}), ("doubtful", {"object_class": "fixed-echo"}), ("mono", {"sensors": ("R1",)}),
    ],
)  # fmt: skip
def test_a_bit_is_set_for_its_reason_alone(field: str, changes: dict[str, Any]) -> None:
    plain = told(existence=0.99, sensors=("R1", "R2"), contradicted=None, object_class=None, status="confirmed")
    before, after = made(plain), made(replace(plain, **changes))
    bits = ("inconsistent", "coasting", "simulated", "doubtful", "mono")
    assert [getattr(before, name)[0] for name in bits] == [0] * 5
    assert [name for name in bits if getattr(after, name)[0]] == [field]


def test_from_which_probability_on_a_track_is_no_longer_doubtful_is_a_choice() -> None:
    rows = [told(existence=p) for p in (0.59, 0.61, 0.79, 0.81)]
    assert made(*rows).doubtful.tolist() == [1, 1, 1, 0]
    assert made(*rows, sender=Sender(25, 100, least_existence=0.6)).doubtful.tolist() == [1, 0, 0, 0]


def ago(seconds: float) -> str:
    return rfc3339(T_US - round(seconds * 1e6))


@pytest.mark.parametrize(
    ("radar_s", "claim_s", "address", "sensing"),
    [(4.0, 1.0, "489abc", COMBINED), (40.0, 1.0, "489abc", COOPERATIVE), (4.0, None, None, NOT_COOPERATIVE),
     (4.0, 40.0, "489abc", NOT_DEFINED), (40.0, None, None, NOT_DEFINED)],
)  # fmt: skip
def test_ages_say_who_saw_it_last(radar_s: float, claim_s: float | None, address: str | None, sensing: int) -> None:
    row = told(last_radar_time=ago(radar_s), last_claim_time=None if claim_s is None else ago(claim_s), address=address,
               mode3a=None, first_plot_time=ago(20.0))  # fmt: skip
    t = made(row)
    assert t.age_s[0] == 20.0
    assert t.psr_age_s[0] == radar_s
    assert t.adsb_age_s[0] == pytest.approx(np.nan if claim_s is None else claim_s, nan_ok=True)
    assert (t.psr_old[0], t.adsb_old[0]) == (radar_s > 30.0, claim_s is None or claim_s > 30.0)
    assert t.sensing[0] == sensing


@pytest.mark.parametrize(("ago_s", "told_m"), [(4.0, 3_048.0), (30.0, 3_048.0), (30.5, np.nan), (None, np.nan)])
def test_a_level_is_told_with_its_age_while_it_is_fresh(ago_s: float | None, told_m: float) -> None:
    when = None if ago_s is None else ago(ago_s)
    t = made(told(pressure_height_m=None if ago_s is None else 3_048.0, pressure_height_time=when))
    assert t.pressure_height_m.tolist() == pytest.approx([told_m], nan_ok=True)
    assert t.pressure_height_age_s.tolist() == pytest.approx([np.nan if np.isnan(told_m) else ago_s], nan_ok=True)
    said, faults = cat062.decode(b"".join(cat062.encode(t)))
    assert (said.pressure_height_m.tolist(), faults) == (pytest.approx([told_m], nan_ok=True), {})


@pytest.mark.parametrize(
    ("text", "age_s"),
    [("2026-03-20T09:46:30.000Z", 10.0), ("2026-03-20T11:46:30+02:00", 10.0), ("2026-03-20T09:46:50Z", 0.0),
     ("yesterday", np.nan), ("0001-01-01T00:00:00+23:00", np.nan), ("", np.nan), ("Z", np.nan)],
)  # fmt: skip
def test_a_time_that_is_none_is_no_age_and_spoils_no_other(text: str, age_s: float) -> None:
    t = made(told(first_plot_time=text), told(first_plot_time=ago(4.0)))
    assert t.age_s.tolist() == pytest.approx([age_s, 4.0], nan_ok=True)


@pytest.mark.parametrize("turn_deg_s", [3.0, -1.5])
def test_a_turn_is_an_acceleration_to_its_side(turn_deg_s: float) -> None:
    """As the velocity a second later, on the circle that is flown, says."""
    row = told(turn_deg_s=turn_deg_s, speed_mps=100.0, course_deg=30.0)
    t = made(row)
    after = np.radians(30.0 + np.array([-0.01, 0.01]) * turn_deg_s)
    numeric = 100.0 * np.array([np.diff(np.sin(after))[0], np.diff(np.cos(after))[0]]) / 0.02
    assert [t.acceleration_x_mps2[0], t.acceleration_y_mps2[0]] == pytest.approx(numeric, rel=1e-6)


def test_the_plane_turns_accuracies_and_acceleration_with_the_velocity() -> None:
    """Along its course this object is unsure and not across; so it is in the plane, whatever way east is there."""
    lat, lon = 54.6, 25.3
    end = Geodesic.WGS84.Direct(lat, lon, 80.0, 300_000.0)
    course = 60.0
    s, c = np.sin(np.radians(course)), np.cos(np.radians(course))
    row = told(lat_deg=end["lat2"], lon_deg=end["lon2"], height_m=0.0, course_deg=course, speed_mps=100.0,
               turn_deg_s=2.0, var_east_m2=1e4 * s * s, var_north_m2=1e4 * c * c,
               cov_east_north_m2=1e4 * s * c)  # fmt: skip
    t = made(row, sender=Sender(25, 100, 1, (np.radians(lat), np.radians(lon))))
    velocity = np.array([t.velocity_x_mps[0], t.velocity_y_mps[0]]) / 100.0
    assert np.degrees(np.arctan2(*velocity)) - course < -1.0, "the meridians converge by more than a degree here"
    assert np.array([t.sigma_x_m[0], t.sigma_y_m[0]]) == pytest.approx(100.0 * np.abs(velocity))
    assert t.cov_xy_m2[0] == pytest.approx(1e4 * velocity[0] * velocity[1])
    acceleration = np.array([t.acceleration_x_mps2[0], t.acceleration_y_mps2[0]])
    assert acceleration == pytest.approx(100.0 * np.radians(2.0) * np.array([velocity[1], -velocity[0]]), rel=0.01)


def test_a_plane_has_its_own_east_and_north() -> None:
    """100 km north-east of the centre: the distance is that of the geodesic, and east there is not east here."""
    end = Geodesic.WGS84.Direct(54.6, 25.3, 45.0, 100_000.0)
    row = told(lat_deg=end["lat2"], lon_deg=end["lon2"], height_m=0.0, course_deg=90.0, speed_mps=100.0)
    t = made(row, sender=Sender(25, 100, 1, (np.radians(54.6), np.radians(25.3))))
    assert np.hypot(t.x_m[0], t.y_m[0]) == pytest.approx(100_000.0, abs=10.0)
    assert np.degrees(np.arctan2(t.x_m[0], t.y_m[0])) == pytest.approx(45.0, abs=0.01)
    turned = Geodesic.WGS84.Inverse(end["lat2"], end["lon2"], 54.6, 25.3)["azi1"] + 180.0 - 45.0
    assert np.degrees(np.arctan2(t.velocity_x_mps[0], t.velocity_y_mps[0])) == pytest.approx(90.0 - turned, abs=0.05)


def test_the_last_message_says_who_and_that() -> None:
    t = ended_tracks([3, 9], T_US, True, SENDER)
    assert t.number.tolist() == [3, 9]
    assert t.ended.tolist() == t.simulated.tolist() == [1, 1]
    assert np.isnan(t.lat_rad).all()
