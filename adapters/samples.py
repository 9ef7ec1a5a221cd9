"""One example of every message, made by the encoders themselves: docs/reference/messages.md shows them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from adapters.formats import (
    alert,
    area,
    clock,
    command,
    health,
    incident,
    interference,
    ledger,
    met,
    picture,
    plots,
    readsb,
    search,
    sensorstatus,
    sighting,
    status,
    track,
    withheld,
)
from adapters.formats import watermark as mark
from adapters.wire import Names
from fusion import schema
from fusion.bias.sensorbias import SensorBias
from fusion.borders.outlook import Forecast, blank
from fusion.cases.record import (
    Contour,
    Crowd,
    CrowdKind,
    Incident,
    Match,
    Member,
    Passage,
    PassageKind,
    SearchArea,
    Sighting,
    SightingJudged,
    Withheld,
)
from fusion.claims.gnss import Interference
from fusion.geo import enu_axes
from fusion.numbers import Run
from fusion.schema import (
    F8,
    US_PER_S,
    Alert,
    Answer,
    Assessment,
    Command,
    Health,
    Met,
    PlotKind,
    Quantity,
    Tracks,
)

NOW_US = 1_795_414_500 * US_PER_S  # 2026-11-23T06:15:00Z
_LAT_RAD, _LON_RAD = np.radians((54.5431, 25.7298))
NAMES = Names("lt-east", ("BY", "LT"), ("Belarus", "Lithuania"), ("A1", "R1", "R2"))


@dataclass(frozen=True, slots=True)
class Sample:
    """One message: `topic` below vedette/v1/{site}/, who says it, how it travels, and its bytes.

    Without `payload` it is the same message as on another topic, which `about` names.
    """

    topic: str
    sender: str
    travels: str
    about: str
    payload: Callable[[], bytes] | None = None


def radar_plots() -> bytes:
    """Two plots of a 3D radar."""
    t_us = np.array([NOW_US - 410_000, NOW_US - 402_000])
    return plots.encode(
        schema.plots(
            "R1",
            PlotKind.POLAR,
            NOW_US,
            t_us,
            boot=3,
            seq=1234,
            range_m=[41_250.0, 88_410.5],
            azimuth_rad=np.radians([73.2, 73.9]),
            elevation_rad=[np.radians(1.1), np.nan],
            mode3a=[-1, 0o4521],
            pressure_height_m=[np.nan, 3_048.0],
        )
    )


def aircraft() -> bytes:
    """One aircraft as readsb reports it."""
    return readsb.encode(
        schema.plots(
            "A1",
            PlotKind.POSITION,
            NOW_US,
            np.array([NOW_US - 200_000]),
            lat_rad=[np.radians(54.85)],
            lon_rad=[np.radians(23.6)],
            pressure_height_m=[6_096.0],
            velocity_east_mps=[180.0],
            velocity_north_mps=[-60.0],
            address=[0x503C01],
            callsign=[b"LTV01"],
            nic=[8],
            nacp=[10],
            nacv=[3],
            sil=[3],
            category=[5],
        )
    )


def tracks() -> Tracks:
    """One confirmed track of a drone."""
    row = {
        "id": 17, "birth_us": NOW_US - 40 * US_PER_S, "confirmed_us": NOW_US - 30 * US_PER_S,
        "update_us": NOW_US - 400_000, "rx_us": NOW_US - 10_000, "existence": 0.998,
        "status": schema.TrackStatus.CONFIRMED, "claim_us": -1, "radar_us": NOW_US - 400_000,
        "height_us": NOW_US - 400_000, "pressure_height_m": np.nan, "hits": 14, "unseen": 0.0, "sensors": 0b110,
    }  # fmt: skip
    columns = _columns(Tracks, "state", "cov", "mode")
    return Tracks(
        epoch=5,
        t_us=NOW_US,
        state=np.zeros((1, 6)),
        cov=_spread(np.array([[6_100.0, -1_500.0], [-1_500.0, 2_092.0]]), 2.4),
        mode=np.array([[0.7, 0.1, 0.2]]),
        **{name: np.array([row.get(name, -1)], _dtype(kind)) for name, kind in columns},
        callsign=np.array([b""], "S8"),
        serial=np.array([b""], "S20"),
    )


def _spread(place_m2: F8, sigma_velocity_mps: float) -> F8:
    """The covariance of the track in ECEF: its place in east and north, all else alike."""
    axes = enu_axes(_LAT_RAD, _LON_RAD)[0]
    cov = np.diag([0.0, 0.0, 55.0**2, *3 * (sigma_velocity_mps**2,)])
    cov[:2, :2] = place_m2
    cov[:3, :3] = axes.T @ cov[:3, :3] @ axes
    return cov[None]


def assessment() -> Assessment:
    """What is known of it."""
    row = {
        "lat_rad": _LAT_RAD, "lon_rad": _LON_RAD, "height_m": 371.0, "sigma_height_m": 55.0,
        "sigma_horizontal_m": 64.0, "speed_mps": 41.6, "sigma_speed_mps": 2.4, "course_rad": np.radians(304.0),
        "climb_mps": 0.2, "state": 0, "p_state": 1.0, "near_state": 1, "distance_m": 7_190.0,
        "sigma_distance_m": 66.0, "p_inside": 0.0, "time_to_border_s": 173.0, "sigma_time_s": 11.0,
        "crossing_lat_rad": np.radians(54.5772), "crossing_lon_rad": np.radians(25.6376), "agl_m": 196.0,
        "sigma_agl_m": 68.0, "height_known": True, "p_low": 1.0, "p_slow": 1.0, "object_class": 1, "p_class": 0.86,
    }  # fmt: skip
    columns = {n: np.array([row.get(n, 0)], _dtype(kind)) for n, kind in _columns(Assessment, "p_classes")}
    likely = {schema.ObjectClass.FIXED_WING_DRONE: 0.86, schema.ObjectClass.ULTRALIGHT: 0.1}
    return Assessment(**columns, p_classes=np.array([[likely.get(kind, 0.003) for kind in schema.ObjectClass]]))


def forecast() -> Forecast:
    """What is ahead of it."""
    row = {
        "p_crossing": 0.97, "time_s": 173.0, "time_low_s": 156.0, "time_high_s": 195.0, "sigma_time_s": 11.0,
        "sigma_place_m": 410.0, "p_turn": 0.03, "band_m": 15_000.0, "time_band_s": 300.0, "diverged": True,
        "diverged_m": 640.0, "diverged_s": 48.0, "area": 0, "ahead": 0, "area_distance_m": 38_400.0,
        "area_time_s": 790.0,
    }  # fmt: skip
    made = {name: np.array([value], getattr(blank(1), name).dtype) for name, value in row.items()}
    return replace(blank(1), **made, area_names=("Vilnius airport",))


def _columns(table: type[Tracks] | type[Assessment], *without: str) -> list[tuple[str, str]]:
    skipped = {"epoch", "t_us", "callsign", "serial", *without}
    return [(field.name, str(field.type)) for field in fields(table) if field.name not in skipped]


def _dtype(kind: str) -> str:
    """Numpy's name of an array type of fusion.schema."""
    return {"F8": "f8", "I8": "i8", "I4": "i4", "I2": "i2", "I1": "i1", "U8": "u8", "B1": "?"}[kind]


def alarm() -> Alert:
    """The alert that follows."""
    return Alert(
        id="8c1f0a52d3b94e67",
        rule="low-slow-near",
        rule_version=1,
        severity=2,
        state="raised",
        track="5:17",
        episode=1,
        raised_us=NOW_US,
        t_us=NOW_US,
        first_plot_us=NOW_US - 40 * US_PER_S,
        confirmed_us=NOW_US - 30 * US_PER_S,
        lat_rad=float(np.radians(54.5431)),
        lon_rad=float(np.radians(25.7298)),
        overflown="BY",
        near_state="LT",
        disputed=False,
        quantities=(
            Quantity("speed_mps", 41.6, 2.4, "<= 80 with p >= 0.8"),
            Quantity("distance_m", 7_190.0, 66.0, "<= 30000"),
        ),
        sensors=("R1", "R2"),
        sentence="Slow, low object, unknown, 7.2 km outside Lithuania over Belarus; seen by R1 and R2.",
        clears="more than 33 km from the border, or a live cooperative identity, for 20 s",
        recipients=("air-surveillance",),
    )


def happened() -> Incident:
    """The incident that it belongs to, a minute later."""
    first = alarm()
    return Incident(
        id="5b0c3d1e9f27a864",
        number=9,
        change="severity",
        state="acknowledged",
        t_us=NOW_US + 62 * US_PER_S,
        raised_us=NOW_US,
        severity=1,
        worst=1,
        severity_reason="1 (was 2): low-slow-inside took over from low-slow-near",
        title="2 objects inside Lithuania",
        sentence="One of 2 objects: Slow, low object, unknown, 1.2 km inside Lithuania; seen by R1 and R2.",
        near_state="LT",
        states=("BY", "LT"),
        members=(
            Member("5:17", (first.id, "c05f3a4471b0de92"), NOW_US - 40 * US_PER_S, NOW_US - 30 * US_PER_S, NOW_US,
                   "in sight", NOW_US + 62 * US_PER_S, 0.952263, 0.447291, ("BY", "LT")),
            Member("5:21", ("1f0d88b26c9e4a30",), NOW_US - 22 * US_PER_S, NOW_US - 15 * US_PER_S, NOW_US + 8 * US_PER_S,
                   "coasting", NOW_US + 62 * US_PER_S, 0.952051, 0.448102, ("BY",)),
        ),
        recipients=("air-surveillance", "duty-officer"),
        acknowledged_by="J. Petraitis",
        acknowledged_us=NOW_US + 21 * US_PER_S,
        sightings=("G1/17",),
    )  # fmt: skip


def passages() -> tuple[Passage, ...]:
    """The states that it passed, three minutes later."""
    seen = Passage(
        track="5:17",
        number=1,
        kind=PassageKind.FIRST,
        state="BY",
        other="",
        t_us=NOW_US - 30 * US_PER_S,
        sigma_t_s=0.0,
        told_us=NOW_US - 28 * US_PER_S,
        lat_rad=float(np.radians(54.537)),
        lon_rad=float(np.radians(25.7452)),
        sigma_m=88.0,
        probability=0.9999,
        disputed=False,
        sea=False,
        sensors=("R1",),
        plots=5,
    )
    left = replace(
        seen,
        number=2,
        kind=PassageKind.EXIT,
        other="LT",
        t_us=NOW_US + 173 * US_PER_S,
        sigma_t_s=1.6,
        told_us=NOW_US + 181 * US_PER_S,
        lat_rad=float(np.radians(54.5772)),
        lon_rad=float(np.radians(25.6376)),
        sigma_m=61.5,
        sensors=("R1", "R2"),
        plots=71,
    )
    return seen, left, replace(left, number=3, kind=PassageKind.ENTER, state="LT", other="BY")


def sought() -> SearchArea:
    """Where to look for it once it is lost, four minutes later."""

    def ring(*corners: tuple[float, float]) -> tuple[tuple[float, float], ...]:
        return tuple((math.radians(lat), math.radians(lon)) for lat, lon in (*corners, corners[0]))

    half = ring((54.587, 25.614), (54.631, 25.513), (54.662, 25.562), (54.602, 25.643))
    most = ring((54.551, 25.702), (54.602, 25.421), (54.716, 25.438), (54.694, 25.611), (54.583, 25.733))
    return SearchArea(
        track="5:17",
        number=9,
        t_us=NOW_US + 300 * US_PER_S,
        lost_us=NOW_US + 58 * US_PER_S,
        why="left coverage",
        lat_rad=math.radians(54.5583),
        lon_rad=math.radians(25.6891),
        height_m=365.0,
        speed_mps=41.2,
        course_rad=math.radians(306.0),
        contours=(Contour(0.5, 22_400_000.0, (half,)), Contour(0.9, 214_000_000.0, (most,))),
        states=("BY", "LT"),
        assumed=("class: fixed-wing-drone 86%, ultralight 10%", "in the air for at most 60 min",
                 "wind 7 m/s from 291 deg, reported by R1"),
    )  # fmt: skip


def reported() -> Sighting:
    """What a border guard saw of it."""
    return Sighting(
        sensor="G1",
        rx_us=NOW_US + 95 * US_PER_S,
        t_us=NOW_US + 45 * US_PER_S,
        id="17",
        lat_rad=math.radians(54.571),
        lon_rad=math.radians(25.688),
        sigma_m=50.0,
        bearing_rad=math.radians(172.0),
        distance_m=1_500.0,
        words="grey, like a moped, low over the forest",
        reporter="border guard",
    )


def joined() -> SightingJudged:
    """What became of the report."""
    detail = "joined to track 5:17, probability 0.98"
    matches = (Match("5:17", 0.983, 410.0, 0.0, "track"),)
    return SightingJudged(reported(), NOW_US + 96 * US_PER_S, True, detail, "5:17", matches)


def crowd() -> Crowd:
    """Birds on migration, as one event."""
    return Crowd(
        number=4,
        kind=CrowdKind.FLOCK,
        state="open",
        since_us=NOW_US - 610 * US_PER_S,
        t_us=NOW_US,
        lat_rad=math.radians(54.41),
        lon_rad=math.radians(25.83),
        radius_m=36_900.0,
        count=144,
        most=151,
        inside=61,
        speed_mps=10.6,
        course_rad=math.radians(239.0),
        spread_mps=5.2,
        low_m=140.0,
        high_m=720.0,
        states=("LT", "BY"),
        members=(21, 22, 25),
    )


def _bias() -> SensorBias:
    return SensorBias(
        "R1",
        "ok",
        applied=True,
        pairs=214,
        aircraft=31,
        range_m=121.4,
        sigma_range_m=5.2,
        range_gain=2e-6,
        sigma_range_gain=4.1e-5,
        azimuth_rad=0.0094,
        sigma_azimuth_rad=0.0001,
        time_s=0.0,
        sigma_time_s=0.021,
        detail="range +121 m, azimuth +0.539 deg from 214 plots of 31 aircraft; taken off: range, azimuth",
    )


def _command() -> Command:
    return Command(NOW_US, "identify", "8c1f0a52d3b94e67", "J. Petraitis", "seen by patrol", "suspect")


def _status() -> status.StatusInfo:
    return status.StatusInfo(
        "lt-east", NOW_US, "live", epoch=5, version="0.1.0", config_hash="1f6c0d",
        started_us=NOW_US - 86_400 * US_PER_S, tracks={"confirmed": 14, "coasting": 1, "tentative": 9},
        open_alerts=1, sensors={"ok": 3}, received=81_230, used=81_112, seq=4717, load_level=0, shed=0,
    )  # fmt: skip


def samples() -> tuple[Sample, ...]:
    """Every kind of message, inputs first."""
    return (*_inputs(), *_outputs())


def _inputs() -> tuple[Sample, ...]:
    sensor, qos1 = "a sensor", "QoS 1"
    return (
        Sample("in/R1/plots", sensor, qos1, "plots of a sensor, a batch per message", radar_plots),
        Sample("in/A1/plots", sensor, qos1, 'the same with `format = "readsb"`: aircraft.json as it is', aircraft),
        Sample("in/N1/plots", sensor, qos1, 'the same with `format = "track"`: a neighbour\'s `track/{id}` as it is'),
        Sample("in/R1/status", sensor, qos1, "the sensor's own word about itself",
               lambda: sensorstatus.encode(schema.SensorStatus("R1", NOW_US, NOW_US, "degraded", "channel B"))),
        Sample("in/R1/met", sensor, qos1, "pressure at mean sea level, and where known the wind",
               lambda: met.encode(Met("R1", NOW_US, NOW_US, 1_008.2, (6.5, -2.5)))),
        Sample("in/G1/sighting", "a person", qos1, "what a person saw, from where, or what was found on the ground",
               lambda: sighting.encode(reported())),
        Sample("cmd/identify", "an operator", qos1,
               "`cmd/acknowledge`, `cmd/identify`, `cmd/close`; with `incident_id` for an incident",
               lambda: command.encode(_command())),
        Sample("cmd/hand-over", "an operator", qos1, "an incident to a neighbour, who answers with `take`",
               lambda: command.encode(Command(NOW_US, "hand-over", "", "J. Petraitis", "flies to Latvia",
                                              incident_id="5b0c3d1e9f27a864", to="LV"))),
        Sample("partner/LV/cmd/take", "a neighbour", qos1,
               "under its own account: it takes what was handed over to it; `operator` is who says so there",
               lambda: command.encode(Command(NOW_US, "take", "", "Kpt. Berzins", incident_id="5b0c3d1e9f27a864"))),
        Sample("cmd/mode", "an operator", qos1, "the mode of the whole service: peace, tension or exercise",
               lambda: command.encode(Command(NOW_US, "mode", "", "J. Petraitis", "exercise, week 48", to="exercise"))),
        Sample("in/clock", "a replay", qos1, "the tick of a replayed feed, only with `--clock feed`",
               lambda: clock.encode(NOW_US)),
    )  # fmt: skip


def _outputs() -> tuple[Sample, ...]:
    qos1, kept = "QoS 1", "QoS 0, retained 15 s"
    return (
        Sample("track/5:17", "Vedette", kept, "one track; an empty payload when it has ended",
               lambda: track.encode(tracks(), assessment(), 0, NAMES, 4711, forecast())),
        Sample("picture/0", "Vedette", kept, "all tracks, every 5 s, in parts of at most 48 KiB",
               lambda: picture.encode(schema.Picture(NOW_US, True, tracks(), assessment()), NAMES, 4712)[0]),
        Sample("picture-delta", "Vedette", "QoS 0", "the tracks that changed, and those that ended",
               lambda: picture.encode(
                   schema.Picture(NOW_US, False, schema.take(tracks(), np.zeros(1, np.bool_)),
                                  schema.take(assessment(), np.zeros(1, np.bool_)), ((12, "left coverage"),)),
                   NAMES, 4713)[0]),
        Sample("alert/8c1f0a52d3b94e67", "Vedette", "QoS 1, retained until closed",
               "one alert as it stands; every transition also on `alert-log`",
               lambda: alert.encode(alarm(), NAMES, 4714)),
        Sample("alert-log", "Vedette", qos1, "every transition of every alert, the same as `alert/{id}`"),
        Sample("incident/5b0c3d1e9f27a864", "Vedette", "QoS 1, retained until closed",
               "one incident as it stands: an object, or a swarm, from its first alert on",
               lambda: incident.encode(happened(), NAMES, 4715)),
        Sample("ledger/5:17", "Vedette", "QoS 1, retained 10 min",
               "the states that a track was over, in order, told anew with each entry and every 5 min",
               lambda: ledger.encode(passages(), NAMES, 4714)),
        Sample("withheld", "Vedette", qos1, "a red line that raised no alert: the activity is notified",
               lambda: withheld.encode(
                   Withheld("5:17", "low-slow-near", 2, 2, "pabrade-range", "Army, Pabrade training area",
                            "reconnaissance drones", NOW_US, NOW_US, float(np.radians(54.99)),
                            float(np.radians(25.87))), NAMES, 4716)),
        Sample("search/5:17", "Vedette", "QoS 1, retained 10 min",
               "where to look for a lost object: GeoJSON, told anew as it grows; "
               "`ended` with `why` when it is found, seen again or given up",
               lambda: search.encode(sought(), NAMES, 4716)),
        Sample("answer/...", "Vedette", qos1, "to the response topic of a sighting: what became of it, or why not",
               lambda: sighting.answer(joined(), NAMES, 4716)),
        Sample("partner/LV/alert/8c1f0a52d3b94e67", "Vedette", "QoS 1, retained until closed",
               "for every neighbour in `partners`, the same as `alert/{id}`"),
        Sample("partner/LV/track/5:17", "Vedette", kept,
               "for every neighbour in `partners`, the same as `track/{id}` while the track has an open alert; "
               "an empty payload when it has none any more, or has ended"),
        Sample("partner/LV/incident/5b0c3d1e9f27a864", "Vedette", "QoS 1, retained until closed",
               "for every neighbour in `partners`, the same as `incident/{id}`"),
        Sample("partner/LV/search/5:17", "Vedette", "QoS 1, retained 10 min",
               "for every neighbour in `partners`, the same as `search/{id}`"),
        Sample("answer/...", "Vedette", qos1,
               "to the response topic of a command, with its correlation data: what became of it, or why not",
               lambda: command.encode_answer(Answer(_command(), True, "identity is suspect"), NAMES, 4715)),
        Sample("sensor/R1/health", "Vedette", "QoS 0, retained", "what we know of a sensor, on change and every 5 s",
               lambda: health.encode(
                   Health("R1", NOW_US, "ok", NOW_US - 400_000, NOW_US - 10_000, 11.4, 0.41, 1.04, 812, 77,
                          bias=_bias()), 4716)),
        Sample("area/4", "Vedette", "QoS 1, retained 15 s",
               "many alike, such as birds or wind turbines, that raise no alerts of their own: at once when it begins "
               "and ends, and every 5 s; an empty payload when it is over",
               lambda: area.encode(crowd(), NAMES, 4717)),
        Sample("interference/3", "Vedette", "QoS 1, retained 15 s",
               "GNSS interference in an area, on change of state and every 5 s; an empty payload when it is over",
               lambda: interference.encode(
                   Interference(3, "open", NOW_US - 95 * US_PER_S, NOW_US, float(np.radians(54.62)),
                                float(np.radians(22.91)), 84_000.0, 11, 13, 12), NAMES.site, 4717)),
        Sample("in/R1/watermark", "Vedette", "QoS 1, retained", "which messages of this sensor need not be sent again",
               lambda: mark.encode("R1", [Run(3, 17, 1234), Run(3, 5, 9)])),
        Sample("status", "Vedette", "QoS 1, retained, last will", "is the service there, and how is it",
               lambda: status.encode(_status())),
    )  # fmt: skip
