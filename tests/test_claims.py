"""The history of claims: what each fault looks like, that honest aircraft are left alone, that memory is bounded."""

from __future__ import annotations

import copy
import csv
import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusion.claims import path as cp
from fusion.claims.history import HOLD_US, MOST_IDENTITIES, ClaimWatch, key_of
from fusion.coverage import sensor_table
from fusion.geo import ecef
from fusion.integrity import Reason
from fusion.schema import US_PER_S, PlotKind, Plots, SensorKind, SensorSpec, plots, take
from tests import claimsky
from tests.airpicture import picture
from tests.claimsky import START_US, Sky

ADDRESS = 0x4B1815
SAMPLES = "recordings/adsb-traffic-samples"


def watch(*radars: SensorSpec) -> ClaimWatch:
    return ClaimWatch((claimsky.receiver(), *radars))


def said(t_s: float, east_m: float, north_m: float, ve: float, vn: float, **more: Any) -> Plots:
    """One claim."""
    lat, lon = claimsky.place(np.array([east_m]), np.array([north_m]))
    t_us = np.array([START_US + round(t_s * US_PER_S)])
    row: dict[str, Any] = {
        "height_m": 1_000.0, "sigma_position_m": 12.0, "sigma_velocity_mps": 1.0, "address": ADDRESS, "category": 1,
        "nic": 8, "nacp": 9, "velocity_up_mps": 0.0, **more,
    }  # fmt: skip
    columns: dict[str, Any] = {name: np.array([value]) for name, value in row.items()}
    return plots(
        "A0", PlotKind.POSITION, int(t_us[0]) + 200_000, t_us, lat_rad=lat, lon_rad=lon,
        velocity_east_mps=np.array([ve]), velocity_north_mps=np.array([vn]), **columns,
    )  # fmt: skip


def reasons(made: ClaimWatch, address: int = ADDRESS, now_us: int = -1) -> set[Reason]:
    """Every verdict that stands for an address."""
    (row,) = made._rows(np.array([address]))
    if row < 0:
        return set()
    now_us = made._newest_us if now_us < 0 else now_us
    return {
        Reason(int(p[cp.REASON])) for p in made._place_i[row] if p[cp.BAD_US] > 0 and now_us - p[cp.BAD_US] <= HOLD_US
    }


def hear(made: ClaimWatch, path: Callable[[float], Plots], seconds: int, from_s: int = 0) -> ClaimWatch:
    for t_s in range(from_s, from_s + seconds):
        made.hear([path(float(t_s))])
    return made


def straight(t_s: float) -> Plots:
    return said(t_s, 50.0 * t_s, 0.0, 50.0, 0.0)


def circling(t_s: float) -> Plots:
    turn = np.radians(12.0) * t_s
    return said(t_s, 150.0 * np.sin(turn), -150.0 * np.cos(turn), 31.4 * np.cos(turn), 31.4 * np.sin(turn))


@pytest.mark.parametrize("path", [straight, circling], ids=["straight", "circling"])
@pytest.mark.parametrize("every", [1, 5])
def test_ordinary_flight_is_believed(path: Callable[[float], Plots], every: int) -> None:
    made = watch()
    for t_s in range(0, 300, every):
        made.hear([path(float(t_s))])
        assert not reasons(made)


@pytest.mark.parametrize(
    "name, path, expected, within_s",
    [
        ("frozen", lambda t: said(t, 0.0, 0.0, 60.0, 0.0), Reason.POSITION_FROZEN, 25),
        ("against its velocity", lambda t: said(t, 80.0 * t, 0.0, 0.0, 80.0), Reason.POSITION_AGAINST_VELOCITY, 25),
        ("half as fast", lambda t: said(t, 120.0 * t, 0.0, 240.0, 0.0), Reason.POSITION_AGAINST_VELOCITY, 25),
        ("jump", lambda t: said(t, 50.0 * t + (20_000.0 if t > 20 else 0.0), 0.0, 50.0, 0.0), Reason.POSITION_JUMP, 26),
        (
            "two of one address",
            lambda t: said(t, 50.0 * t, 20_000.0 * (t % 2), 50.0, 0.0),
            Reason.DUPLICATE_ADDRESS,
            12,
        ),
        (
            "too fast for a glider",
            lambda t: said(t, 200.0 * t, 0.0, 200.0, 0.0, category=11),
            Reason.IMPOSSIBLE_MOTION,
            8,
        ),
        (
            "too slow for an airliner",
            lambda t: said(t, 20.0 * t, 0.0, 20.0, 0.0, category=5),
            Reason.IMPOSSIBLE_MOTION,
            8,
        ),
        (
            "turns at once, over and over",
            lambda t: said(t, 0.0, 0.0, 0.0, 200.0 * (-1) ** int(t), category=5),
            Reason.IMPOSSIBLE_MOTION,
            10,
        ),
        (
            "climbs like a rocket",
            lambda t: said(t, 50.0 * t, 0.0, 50.0, 0.0, velocity_up_mps=180.0),
            Reason.IMPOSSIBLE_MOTION,
            8,
        ),
    ],
)
def test_faults_are_named(name: str, path: Callable[[float], Plots], expected: Reason, within_s: int) -> None:
    assert expected in reasons(hear(watch(), path, within_s)), name


def test_one_bad_decode_is_no_fault() -> None:
    def path(t_s: float) -> Plots:
        return said(t_s, 50.0 * t_s, 100_000.0 if t_s in (10, 40, 80) else 0.0, 50.0, 0.0)

    made = watch()
    for t_s in range(120):
        made.hear([path(float(t_s))])
        assert not reasons(made)


def test_a_claim_that_declares_no_accuracy_is_not_held_to_it() -> None:
    assert not reasons(hear(watch(), lambda t: said(t, 50.0 * t, 0.0, 90.0, 0.0, sigma_position_m=10_000.0), 60))


def test_a_verdict_ends_half_a_minute_after_its_last_evidence() -> None:
    made = hear(watch(), lambda t: said(t, 0.0, 0.0, 60.0, 0.0), 30)
    assert reasons(made)
    hear(made, lambda t: said(t, 60.0 * (t - 30), 0.0, 60.0, 0.0), 60, 30)
    assert not reasons(made)


def test_a_path_flown_before_is_known_again_whoever_repeats_it() -> None:
    def flight(t_s: float, address: int, at_s: float) -> Plots:
        batch = circling(t_s)
        return replace(batch, t_us=batch.t_us + round((at_s - t_s) * US_PER_S), address=np.array([address], np.int32))

    made = watch()
    for t_s in range(200):
        made.hear([flight(t_s + t_s * 1e-3, ADDRESS, t_s)])  # never the same place twice
    found = np.inf
    for t_s in range(120):
        made.hear([flight(t_s + t_s * 1e-3, 0x123456, 400.0 + t_s)])
        if Reason.REPLAYED in reasons(made, 0x123456):
            found = min(found, t_s)
    assert found <= 90
    assert not reasons(made, ADDRESS)


def test_two_airliners_on_one_airway_are_no_replay() -> None:
    luck = np.random.default_rng(3)
    made = watch()
    for t_s in range(400):
        for n in range(4):
            noise = luck.normal(0.0, 4.0, 2)
            made.hear([said(t_s, 230.0 * (t_s - 60 * n) + noise[0], noise[1], 230.0, 0.0, address=100 + n, category=5)])
            assert not reasons(made, 100 + n)


def test_mode_s_replies_say_where_an_address_really_is() -> None:
    (radar,) = claimsky.radars(5.0)
    sensors = (claimsky.receiver(), radar)
    luck = np.random.default_rng(1)
    made = watch(radar)
    assert sensor_table(sensors)[1, 0] > 0
    for t_s in range(120):
        batches = []
        for n in range(8):  # the first lies by ten kilometres after a minute, the others never
            east, north = 60.0 * t_s, 9_000.0 * n
            moved = 10_000.0 if n == 0 and t_s >= 60 else 0.0
            batches.append(said(t_s, east, north + moved, 60.0, 0.0, address=100 + n))
            if t_s % 5 == 0:
                lat, lon = claimsky.place(np.array([east]), np.array([north]))
                seen = claimsky.radar_plots(radar, sensors, ecef(lat, lon, np.array([1_000.0])), np.array([t_s]), luck)
                batches.append(replace(seen, address=np.array([100 + n], np.int32)))
        made.hear(batches)
    assert Reason.SEEN_ELSEWHERE in reasons(made, 100)
    assert not any(reasons(made, 100 + n) for n in range(1, 8))


def test_a_radar_that_disagrees_with_everybody_is_itself_what_is_wrong() -> None:
    (radar,) = claimsky.radars(5.0)
    sensors = (claimsky.receiver(), radar)
    luck = np.random.default_rng(1)
    made = watch(radar)
    for t_s in range(100):
        for n in range(8):
            made.hear([said(t_s, 60.0 * t_s, 9_000.0 * n, 60.0, 0.0, address=100 + n)])
            if t_s % 5 == 0:
                lat, lon = claimsky.place(np.array([60.0 * t_s]), np.array([9_000.0 * n]))
                seen = claimsky.radar_plots(
                    radar, sensors, ecef(lat, lon, np.array([1e3])), np.array([float(t_s)]), luck
                )
                turned = (seen.azimuth_rad + np.radians(20.0)) % (2 * np.pi)
                made.hear([replace(seen, azimuth_rad=turned, address=np.array([100 + n], np.int32))])
    assert not any(reasons(made, 100 + n) for n in range(8))


def test_clean_traffic_of_a_thousand_flights_is_not_doubted() -> None:
    """Share of aircraft-seconds with a verdict: none at all here, one in a thousand is the most that is allowed."""
    sky, made, wrong = Sky(1_000, seed=11), watch(), 0
    for _ in range(180):
        sky.step()
        batch = sky.claims()
        made.hear([batch])
        places = made._place_i[made._rows(sky.address)]
        recent = (places[:, :, cp.BAD_US] > 0) & (batch.rx_us - places[:, :, cp.BAD_US] <= HOLD_US)
        wrong += int(recent.any(axis=1).sum())
    assert wrong / (1_000 * 180) <= 0.001


AIRLINER = {"speed_mps": 230.0, "height_m": 10_000.0, "agl_m": 9_900.0, "p_low": 0.0, "p_slow": 0.0}
DRONE = {"speed_mps": 45.0, "height_m": 200.0, "agl_m": 150.0, "p_low": 0.9, "p_slow": 1.0}


@pytest.mark.parametrize(
    ("flight", "range_m", "says", "unproven"),
    [
        (AIRLINER, 60_000.0, {}, False),
        (AIRLINER, 200_000.0, {}, True),  # it kept silent where the receiver hears
        (AIRLINER, 60_000.0, {"height_m": 2_000.0}, True),  # it says another height
        (DRONE, 60_000.0, {}, True),
    ],
)
def test_who_comes_into_earshot_and_begins_to_claim(
    flight: dict[str, float], range_m: float, says: dict[str, float], unproven: bool
) -> None:
    """Radar follows it alone from 90 s before it comes to 50 km from the receiver, where the claims begin."""
    spec = replace(
        claimsky.receiver(), lat_rad=np.radians(claimsky.LAT_DEG), lon_rad=np.radians(claimsky.LON_DEG),
        height_m=100.0, range_max_m=range_m,
    )  # fmt: skip
    made = ClaimWatch((spec,))
    speed, height_m = flight["speed_mps"], flight["height_m"]
    for second in range(-90, 40):
        east_m = -56_000.0 + speed * second
        lat, lon = claimsky.place(np.array([east_m]), np.array([0.0]))
        now_us = START_US + second * US_PER_S
        claims = second >= 0
        row = {
            "lat_rad": float(lat[0]), "lon_rad": float(lon[0]), "height_m": height_m, "agl_m": flight["agl_m"],
            "speed_mps": speed, "course_rad": np.pi / 2, "birth_us": START_US - 100 * US_PER_S, "radar_us": now_us,
            "claim_us": now_us if claims else -1, "address": ADDRESS if claims else -1,
        }  # fmt: skip
        if claims:
            made.hear([said(second, east_m, 0.0, speed, 0.0, **{"height_m": height_m, "category": 5, **says})])
        tracks, facts = picture([row], now_us)
        p_low, p_slow = np.array([flight["p_low"]]), np.array([flight["p_slow"]])
        doubts = made.look(tracks, facts, np.array([claims]), p_low, p_slow)
    assert doubts.unproven.tolist() == [unproven]
    assert reasons(made) == set()


@pytest.mark.parametrize(("heard_by", "replying"), [("radar", True), ("claim", False)])
def test_a_reply_counts_though_a_quicker_radar_without_codes_saw_it_since(heard_by: str, replying: bool) -> None:
    sensors = (claimsky.receiver(), *claimsky.radars(4.0))
    made = ClaimWatch(sensors)
    lat, lon = claimsky.place(np.array([0.0]), np.array([0.0]))
    seen = claimsky.radar_plots(
        sensors[1], sensors, ecef(lat, lon, np.array([1e3])), np.array([1.0]), np.random.default_rng(1)
    )
    if heard_by == "radar":
        made.hear([replace(seen, mode3a=np.array([0o121], np.int32))])
    else:
        made.hear([said(1.0, 0.0, 0.0, 60.0, 0.0, mode3a=0o121), seen])
    reply_us = int(seen.t_us[0]) if heard_by == "radar" else START_US + US_PER_S
    row = {"mode3a": 0o121, "mode3a_us": reply_us, "radar_us": START_US + 2 * US_PER_S}
    tracks, facts = picture([row], START_US + 2 * US_PER_S)
    doubts = made.look(tracks, facts, np.array([False]), np.ones(1), np.ones(1))
    assert doubts.replying.tolist() == [replying]


def test_remote_id_is_followed_by_its_serial() -> None:
    serials = np.array([b"", b"1596F3A", b"1596F3B", b"1596F3A", b"X" * 20], "S20")
    key = key_of(np.full(5, -1, np.int32), serials)
    assert key[0] == -1
    assert key[1] == key[3]
    assert len(set(key.tolist())) == 4
    assert (key[1:] > 0xFFFFFF).all()
    made = ClaimWatch((SensorSpec("A0", 0, SensorKind.REMOTE_ID),))
    for t_s in range(30):
        batch = said(t_s, 0.0, 0.0, 15.0, 40.0, address=-1)
        made.hear([replace(batch, serial=np.array([b"1596F3A"], "S20"))])
    assert Reason.POSITION_FROZEN in reasons(made, int(key[1]))


def test_the_book_forgets_who_was_heard_longest_ago_and_never_grows() -> None:
    made = watch()
    base = said(0.0, 0.0, 0.0, 50.0, 0.0)
    for wave in range(8):
        many = take(base, np.zeros(4_000, np.int64))
        addresses = np.arange(4_000, dtype=np.int32) + 4_000 * wave
        t_us = many.t_us + wave * US_PER_S
        made.hear([replace(many, address=addresses, t_us=t_us)])
        assert made._count <= MOST_IDENTITIES
        assert made._count == int((made._keys >= 0).sum())
    assert (made._rows(np.arange(28_000, 32_000)) >= 0).all()
    assert made.unwatched == 0
    flood = take(base, np.zeros(20_000, np.int64))
    made.hear([replace(flood, address=np.arange(20_000, dtype=np.int32) + 100_000, t_us=flood.t_us + 20 * US_PER_S)])
    assert made._count == MOST_IDENTITIES
    assert made.unwatched > 0


def test_a_snapshot_goes_on_as_if_nothing_had_happened() -> None:
    sky = Sky(50, seed=2, bad_decodes=0.05)
    whole, other = watch(), watch()
    for second in range(60):
        sky.step()
        batch = sky.claims()
        whole.hear([batch])
        other.hear([batch])
        if second == 29:
            kept = copy.deepcopy(other.snapshot())
            other = watch()
            other.restore(kept)
    for a, b in zip(whole._place_i, other._place_i, strict=True):
        assert np.array_equal(a, b)
    assert np.array_equal(whole._memory, other._memory)
    assert np.array_equal(whole._place_f, other._place_f, equal_nan=True)


def recorded(path: Path, from_s: float = 0.0, until_s: float = np.inf) -> list[Plots]:
    """A recording, or these seconds of it, as batches of one second. What the network held and repeated is no claim."""
    raw = path.read_bytes()
    rows = list(csv.DictReader((gzip.decompress(raw) if path.suffix == ".gz" else raw).decode().splitlines()))
    names = ("t_unix", "lat", "lon", "baro_alt_ft", "gs_kt", "track_deg", "vrate_ftmin")
    c = {n: np.array([float(r[n]) if r[n] else np.nan for r in rows]) for n in names}
    address = np.array([int(r["icao24"], 16) for r in rows])
    ground = np.array([r.get("onground") == "True" for r in rows])
    order = np.lexsort((c["t_unix"], address))
    same = np.diff(address[order]) == 0
    held = np.r_[False, same & (np.diff(c["lat"][order]) == 0) & (np.diff(c["lon"][order]) == 0)]
    keep = order[~held & np.isfinite(c["lat"][order]) & np.isfinite(c["t_unix"][order])]
    keep = keep[np.argsort(c["t_unix"][keep], kind="stable")]
    since_s = c["t_unix"][keep] - c["t_unix"][keep[0]]
    keep = keep[(since_s >= from_s) & (since_s < until_s)]
    speed, course = c["gs_kt"] * 0.514444, np.radians(c["track_deg"])
    batches = []
    for part in np.split(keep, np.flatnonzero(np.diff(np.floor(c["t_unix"][keep]))) + 1):
        t_us = np.round(c["t_unix"][part] * US_PER_S).astype(np.int64)
        batches.append(
            plots(
                "A0", PlotKind.POSITION, int(t_us.max()), t_us,
                lat_rad=np.radians(c["lat"][part]), lon_rad=np.radians(c["lon"][part]),
                pressure_height_m=np.clip(c["baro_alt_ft"][part] * 0.3048, -1_500.0, 60_000.0),
                velocity_east_mps=(speed * np.sin(course))[part], velocity_north_mps=(speed * np.cos(course))[part],
                velocity_up_mps=np.clip(c["vrate_ftmin"][part] * 0.00508, -500.0, 500.0),
                address=address[part], on_ground=ground[part],
            )
        )  # fmt: skip
    return batches


def doubted(batches: list[Plots]) -> tuple[int, int]:
    """(aircraft-seconds heard, of those with a verdict)."""
    made, heard, wrong = watch(), 0, 0
    for batch in batches:
        made.hear([batch])
        places = made._place_i[made._rows(np.unique(batch.address).astype(np.int64))]
        recent = (places[:, :, cp.BAD_US] > 0) & (batch.rx_us - places[:, :, cp.BAD_US] <= HOLD_US)
        heard += len(places)
        wrong += int(recent.any(axis=1).sum())
    return heard, wrong


@pytest.mark.real_data
def test_real_traffic_is_believed(data: Path) -> None:
    """Airliners around Paris, gliders, helicopters, a survey: at most 0.1 % of the aircraft-seconds."""
    total = np.zeros(2, np.int64)
    names = (
        "ambulances_rega_sg ambulances_samu31 gliders_alpi_italiane gliders_luberon surveys_mecsek_mountains "
        "featured_easter_rabbit"
    )
    for name in names.split():
        total += doubted(recorded(data / SAMPLES / f"{name}.csv"))
    paris = data / SAMPLES / "collections_quickstart.csv.gz"
    total += doubted(recorded(paris, 3_000.0, 4_200.0))  # 20 minutes of three hours
    assert total[0] > 20_000
    assert total[1] / total[0] <= 0.001


@pytest.mark.real_data
def test_a_recording_with_held_positions_is_doubted(data: Path) -> None:
    with (data / SAMPLES / "noisy_noisy_time_issue.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    made = watch()
    found = set()
    for r in rows[1_500:3_500]:
        speed, course = float(r["gs_kt"] or "nan") * 0.514444, np.radians(float(r["track_deg"] or "nan"))
        t_us = np.array([round(float(r["t_unix"]) * US_PER_S)])
        made.hear([
            plots(
                "A0", PlotKind.POSITION, int(t_us[0]), t_us, lat_rad=[np.radians(float(r["lat"]))],
                lon_rad=[np.radians(float(r["lon"]))], velocity_east_mps=[speed * np.sin(course)],
                velocity_north_mps=[speed * np.cos(course)], address=[0x4B1815],
            )
        ])  # fmt: skip
        found |= reasons(made, 0x4B1815)
    assert Reason.POSITION_FROZEN in found
