"""Real recordings as frames, and simulated sensors that look at the same aircraft. For tests only: never shipped."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from adapters.formats import plots as plots_format
from adapters.formats import readsb
from fusion.schema import US_PER_S, Frame, PlotKind, Plots, SensorKind, SensorSpec, plots
from replay import player
from replay.motion import from_points
from replay.scenario import SimObject, SimSensor, Transponder, load_plan
from replay.simulate import Scenario

NM_M, FOOT_M = 1852.0, 0.3048
MECSEK = "recordings/adsb-traffic-samples/surveys_mecsek_mountains.csv"
SAN_LUIS = "recordings/asterix-argentina-sanluis/plots_cat048.csv"
# The recording computer's clock was 26 minutes behind the radar's time of day. Uncorrected, every plot is from the
# future and is refused as such; corrected by the smallest difference found plus half a second.
SAN_LUIS_CLOCK_S = 1582.25
MECSEK_FROM_S = 900.0  # of the recording: the aircraft leaves for the south of the hills, towards the border
GEOID_HUNGARY_M = 44.0

# The recording holds no CAT034 I120: the place is that of San Luis airport, good to a few hundred metres, which moves
# the picture but not its shape. Noise: the recording's fixed test transponder scatters by 0.8 m and 0.006 degrees, the
# steps of CAT048 are 7 m and 0.0055 degrees, and real replies of aircraft scatter several times more than a fixed one.
SAN_LUIS_RADAR = SensorSpec(
    id="UIS",
    index=0,
    kind=SensorKind.RADAR_2D,
    lat_rad=np.radians(-33.2732),
    lon_rad=np.radians(-66.3564),
    height_m=730.0,
    period_s=7.62,
    range_max_m=480_000.0,
    sigma_range_m=12.0,
    sigma_azimuth_rad=np.radians(0.03),
    detection_probability=0.85,
    clutter_per_scan=0.5,
    latency_s=0.6,
)


@dataclass(frozen=True, slots=True)
class Fix:
    """One line of the recording."""

    t_us: int
    lat_deg: float
    lon_deg: float
    baro_ft: float
    gs_kt: float
    track_deg: float
    rate_ftmin: float


def mecsek(data: Path) -> list[Fix]:
    """Every fix of the survey flight HAYCG of 17 March 2020."""
    with (data / MECSEK).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = ("lat", "lon", "baro_alt_ft", "gs_kt", "track_deg", "vrate_ftmin")
    return [Fix(round(float(r["t_unix"]) * US_PER_S), *(float(r[n]) for n in names)) for r in rows]


def readsb_frames(fixes: list[Fix], sensor: str) -> Iterator[Frame]:
    """The recording as messages of a readsb receiver, each half a second after the fix."""
    for fix in fixes:
        rx_us = fix.t_us + US_PER_S // 2
        aircraft = {
            "hex": "473f9a",
            "flight": "HAYCG   ",
            "squawk": "7000",
            "alt_baro": round(fix.baro_ft / 25) * 25,
            "gs": round(fix.gs_kt, 1),
            "track": round(fix.track_deg % 360.0, 1),
            "baro_rate": round(fix.rate_ftmin / 64) * 64,
            "lat": fix.lat_deg,
            "lon": fix.lon_deg,
            "seen_pos": 0.5,
            "category": "A1",
            "nic": 8,
            "nac_p": 8,
            "nac_v": 1,
            "sil": 3,
        }
        message = {"now": rx_us / US_PER_S, "messages": 1, "aircraft": [aircraft]}
        yield Frame(0, rx_us, f"in/{sensor}/plots", json.dumps(message).encode())


def over_hungary(data: Path, duration_s: float) -> tuple[Scenario, list[Frame]]:
    """The drone from Serbia with the real survey flight among the twelve simulated ones; frames with ticks.

    The radars are simulated and look at the real aircraft where it truly was; its ADS-B is the recording itself, from
    a second receiver A2 (period 10 s, as recorded).
    """
    fixes = mecsek(data)
    start_us = fixes[0].t_us + round(MECSEK_FROM_S * US_PER_S)
    plan = load_plan("hungary-from-serbia")
    t_s = np.array([(f.t_us - start_us) / US_PER_S for f in fixes])
    near = (t_s >= -60.0) & (t_s <= duration_s + 60.0)
    height_m = np.array([f.baro_ft for f in fixes]) * FOOT_M + GEOID_HUNGARY_M
    flight = from_points(
        t_s[near],
        np.radians([f.lat_deg for f in fixes])[near],
        np.radians([f.lon_deg for f in fixes])[near],
        height_m[near],
    )
    says = Transponder(address=0x473F9A, callsign=b"HAYCG", mode3a=0o7000, category=1, adsb=False)
    survey = SimObject("survey", flight, rcs_m2=2.5, transponder=says)
    receiver = next(s for s in plan.sensors if s.spec.id == "A1")
    second = replace(receiver, spec=replace(receiver.spec, id="A2", period_s=10.0))
    sensors = sorted([*plan.sensors, second], key=lambda s: s.spec.id)
    plan = replace(
        plan,
        start_us=start_us,
        duration_s=duration_s,
        qnh_hpa=1013.25,  # the recorded pressure heights are used as true heights above the sea
        sensors=tuple(replace(s, spec=replace(s.spec, index=i)) for i, s in enumerate(sensors)),
        objects=(*plan.objects, survey),
        quiet=(*plan.quiet, "survey"),
    )
    scenario = Scenario(plan)
    end_us = scenario.end_us
    made = scenario.frames(encode, ticks=False)
    simulated = [f for f in made if not f.source.startswith("in/A2/") and f.rx_us <= end_us]
    real = [f for f in readsb_frames(fixes, "A2") if start_us <= f.rx_us <= end_us]
    merged = sorted([*simulated, *real], key=lambda f: (f.rx_us, f.source))
    return scenario, list(player.with_ticks(merged, from_us=start_us, until_us=end_us))


def encode(sensor: SimSensor, batch: Plots) -> bytes:
    """Encode a simulated batch in its sensor's own wire format."""
    return {"plots": plots_format.encode, "readsb": readsb.encode}[sensor.format](batch)


def san_luis(data: Path, clock_s: float = SAN_LUIS_CLOCK_S, tick_us: int = player.TICK_US) -> list[Frame]:
    """All plots of the San Luis radar as our own JSON, a message for every 0.2 s of arrival; frames with ticks."""
    with (data / SAN_LUIS).open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["rho_nm"] and r["theta_deg"]]
    groups: dict[int, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(int(float(row["rx_unix"]) * 5), []).append(row)
    frames = [_san_luis_message(seq, groups[slot], clock_s) for seq, slot in enumerate(sorted(groups))]
    return list(player.with_ticks(frames, tick_us, until_us=-(-frames[-1].rx_us // US_PER_S) * US_PER_S))


def _san_luis_message(seq: int, rows: list[dict[str, str]], clock_s: float) -> Frame:
    rx_us = max(round((float(r["rx_unix"]) + clock_s) * US_PER_S) for r in rows)
    midnight_us = rx_us - rx_us % (86_400 * US_PER_S)  # 16:23 to 16:46 UTC: no wrap
    batch = plots(
        "UIS",
        PlotKind.POLAR,
        rx_us,
        np.array([midnight_us + round(float(r["tod_s"]) * US_PER_S) for r in rows]),
        boot=1,
        seq=seq,
        range_m=[float(r["rho_nm"]) * NM_M for r in rows],
        azimuth_rad=[np.radians(float(r["theta_deg"])) for r in rows],
        pressure_height_m=[float(r["fl"]) * 100 * FOOT_M if r["fl"] else np.nan for r in rows],
        mode3a=[int(r["mode3a"], 8) if r["mode3a"] and r["mode3a_v"] != "1" else -1 for r in rows],
    )
    return Frame(seq, rx_us, "in/UIS/plots", plots_format.encode(batch))
