"""A simulated scene as text: the plain stream that `vedette track` reads, and the truth that `vedette score` judges by.

Encoding only: `formats/stream.py` reads the stream. Times are seconds since the start of the scene in both files, so
that `time` of a track and `time` of a truth are the same clock. Numbers end where no sensor measures finer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np

from fusion.geo import enu_axes
from fusion.schema import US_PER_S, PlotKind, Plots, SensorKind, SensorSpec
from replay.simulate import Truth

CARRIED = (SensorKind.RADAR_2D, SensorKind.RADAR_3D, SensorKind.ADSB)  # what the plain stream has words for

NOBODY: Mapping[str, float] = MappingProxyType({})


def header(sensors: tuple[SensorSpec, ...], tick_s: float) -> bytes:
    """The first line of a stream: what a tracker is told of the sensors. Kinds without words are left out."""
    rows = [_sensor(s) for s in sensors if s.kind in CARRIED]
    places = [(r["lat"], r["lon"]) for r in rows if "lat" in r]
    origin = [round(float(v), 4) for v in np.mean(places, axis=0)] if places else None
    said = {"hdr": 1, "tick": tick_s} | ({"origin": origin} if origin else {}) | {"sensors": rows}
    return _dump(said)


def _sensor(s: SensorSpec) -> dict[str, Any]:
    if s.kind == SensorKind.ADSB:
        return {"s": s.id, "adsb": True, "period": s.period_s, "lat_s": s.latency_s}
    three = s.kind == SensorKind.RADAR_3D
    place = {"lat": round(math.degrees(s.lat_rad), 9), "lon": round(math.degrees(s.lon_rad), 9), "alt": s.height_m}
    numbers = {
        "dims": 3 if three else 2,
        "period": s.period_s,
        "rmax": s.range_max_m,
        "s_rng": s.sigma_range_m,
        "s_az": round(math.degrees(s.sigma_azimuth_rad), 6),
    }
    more = {"s_el": round(math.degrees(s.sigma_elevation_rad), 6)} if three else {}
    quality = {"pd": s.detection_probability, "clutter_per_scan": s.clutter_per_scan, "lat_s": s.latency_s}
    return {"s": s.id, **place, **numbers, **more, **quality}


def plots(batch: Plots, start_us: int) -> str:
    """The lines of one batch of a sensor that the stream carries."""
    arrived = (batch.rx_us - start_us) / US_PER_S
    times = ((batch.t_us - start_us) / US_PER_S).tolist()
    head = f'"arr":{arrived:.6f},"s":"{batch.sensor}"'
    if batch.kind == PlotKind.POLAR:
        three = bool(np.isfinite(batch.elevation_rad).all())
        columns = (batch.range_m, np.degrees(batch.azimuth_rad), np.degrees(batch.elevation_rad))
        rows = zip(times, *(c.tolist() for c in columns), strict=True)
        if three:
            return "".join(
                f'{{"t":{t:.6f},{head},"k":"r3","rng":{r:.2f},"az":{a:.6f},"el":{e:.6f}}}\n' for t, r, a, e in rows
            )
        return "".join(f'{{"t":{t:.6f},{head},"k":"r2","rng":{r:.2f},"az":{a:.6f}}}\n' for t, r, a, _ in rows)
    claimed = (
        np.degrees(batch.lat_rad), np.degrees(batch.lon_rad), batch.height_m, batch.velocity_east_mps,
        batch.velocity_north_mps, batch.velocity_up_mps, batch.sigma_position_m, batch.sigma_height_m,
        batch.sigma_velocity_mps,
    )  # fmt: skip
    address = [f'"icao":"{icao:06x}",' if icao >= 0 else "" for icao in batch.address.tolist()]
    return "".join(
        f'{{"t":{t:.6f},{head},"k":"adsb",{icao}"lat":{la:.8f},"lon":{lo:.8f},"alt":{al:.2f},'
        f'"ve":{ve:.3f},"vn":{vn:.3f},"vu":{vu:.3f},"sp":{sp:.2f},"sa":{sa:.2f},"sv":{sv:.3f}}}\n'
        for t, icao, la, lo, al, ve, vn, vu, sp, sa, sv in zip(
            times, address, *(c.tolist() for c in claimed), strict=True
        )
    )


def tick(seconds: float) -> str:
    """The line that says how far the clock of arrival has come."""
    return f'{{"tick":{seconds}}}\n'


def truth_header(sensors: tuple[SensorSpec, ...], start_us: int, step_s: float, scenario: str, seed: int) -> bytes:
    """The first line of a truth: `start` in seconds since 1970 (UTC), which is second 0 of the lines after it."""
    rows = [{"s": s.id, "kind": s.kind.name.lower().replace("_", "-")} for s in sensors]
    said = {"truth": 1, "start": start_us / US_PER_S, "step": step_s, "scenario": scenario, "seed": seed}
    return _dump(said | {"sensors": rows})


def truth(at: Truth, start_us: int, first_hit_s: Mapping[str, float] = NOBODY) -> str:
    """One line for every object in the air, with the second of its first plot where that is known.

    `seen`: some sensor that measures places has a real chance to see it, or hears it. An object with `fault` ghost or
    replayed is only a broadcast, and never `seen`: no track of it is right, and what follows it was deceived.
    """
    seconds = (at.t_us - start_us) / US_PER_S
    axes = enu_axes(at.lat_rad, at.lon_rad)
    enu = np.einsum("nij,nj->ni", axes, at.velocity_mps)
    hits = [f',"first_hit":{first_hit_s[name]:.3f}' if name in first_hit_s else "" for name in at.id]
    names = zip(at.id, at.kind or ("",) * len(at.id), at.fault or ("",) * len(at.id), hits, strict=True)
    columns = (np.degrees(at.lat_rad), np.degrees(at.lon_rad), at.height_m, *enu.T, at.visible, at.cooperative)
    rows = zip(names, *(c.tolist() for c in columns), strict=True)
    word = ("false", "true")
    return "".join(
        f'{{"time":{seconds},"id":"{name}","class":"{kind}","lat":{la:.8f},"lon":{lo:.8f},"alt":{al:.2f},'
        f'"ve":{ve:.3f},"vn":{vn:.3f},"vu":{vu:.3f},"seen":{word[seen]},"cooperative":{word[says]},"fault":"{fault}"{hit}}}\n'
        for (name, kind, fault, hit), la, lo, al, ve, vn, vu, seen, says in rows
    )


def _dump(said: dict[str, Any]) -> bytes:
    return msgspec.json.encode(said) + b"\n"
