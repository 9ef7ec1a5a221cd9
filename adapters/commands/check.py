"""What `vedette check` says about a configuration that is good: enough to see that it is the one that was meant."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from adapters.config import Config
from fusion import geo
from fusion.coverage import C_ANTENNA, C_GROUND, C_LEAST, C_LOOKS, C_SCREEN, Coverage
from fusion.schema import SensorKind, SensorSpec
from fusion.zones import Zones

LOW_M = 100.0  # the object whose reach is shown: a drone that hides


def summary(config: Config, zones: Zones | None, coverage: Coverage | None) -> str:
    """Plain lines, one a subject. `zones` and `coverage` None: borders and terrain were not read."""
    broker, http = config.broker, config.http
    safety = "TLS" if broker.tls else "no TLS"
    user = f"user {broker.username}" if broker.username else "no user"
    severities = Counter(rule.severity for rule in config.rules.rules)
    lines = [
        ("site", f"{config.site}{', simulated' if config.simulated else ''}, clock {config.clock}"),
        ("broker", f"{broker.host}:{broker.port}, {safety}, {user}, client {broker.client_id}"),
        ("http", f"http://{http.host}:{http.port}/metrics"),
        ("data", str(config.data_dir)),
        *((f"sensor {spec.id}", _sensor(spec, config.formats[spec.id])) for spec in config.sensors),
        *((f"rule {rule.id}", f"version {rule.version}, severity {rule.severity}") for rule in config.rules.rules),
        ("rules", ", ".join(f"{count} of severity {level}" for level, count in sorted(severities.items()))),
    ]
    if zones is not None:
        states = Counter(zones.alliance)
        counts = ", ".join(f"{count} {alliance}" for alliance, count in sorted(states.items()))
        lines.append(("borders", f"{len(zones.codes)} states ({counts}), accurate to {config.border_accuracy_m:g} m"))
        lines.append(("", zones.attribution))
    if coverage is not None:
        looking = [spec for spec in config.sensors if coverage.table[spec.index, C_LOOKS] > 0.0]
        lines += [(f"coverage {spec.id}", _coverage(spec, coverage)) for spec in looking]
    lines.append(("hash", config.hash))
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in lines) + "\nThis configuration is good."


def _sensor(spec: SensorSpec, form: str) -> str:
    kind = SensorKind(spec.kind).name.lower().replace("_", "-")
    place = "no site"
    if spec.has_site:
        place = f"at {math.degrees(spec.lat_rad):.4f} {math.degrees(spec.lon_rad):.4f}, {spec.range_max_m / 1000:g} km"
    return f"{kind}, {form}, {place}, every {spec.period_s:g} s"


def _coverage(spec: SensorSpec, coverage: Coverage) -> str:
    """How high the antenna is, how far it sees a low object, and what terrain says to that."""
    row = coverage.table[spec.index]
    over_m = row[C_ANTENNA] - row[C_GROUND]
    near_m, far_m = np.quantile(_reach_m(spec, coverage), [0.05, 0.95])
    words = [f"antenna {over_m:.0f} m over its surroundings"]
    if row[C_ANTENNA] > spec.height_m:
        words[0] += f", though {row[C_ANTENNA] - spec.height_m:.0f} m lower by height_m (above the ellipsoid?)"
    words.append(f"an object {LOW_M:.0f} m over them is seen to {near_m / 1000:.0f}-{far_m / 1000:.0f} km")
    if row[C_SCREEN] < 0.0:
        words.append("no terrain known")
    else:
        words.append("coarse terrain only widens" if row[C_LEAST] > 0.0 else "terrain hides")
    return "; ".join(words)


def _reach_m(spec: SensorSpec, coverage: Coverage) -> np.ndarray:
    """Distance along each of 72 azimuths over which the object is seen at least half as often as in full view, m."""
    row = coverage.table[spec.index]
    step_m = max(spec.range_max_m / 400.0, 100.0)
    far_m = np.arange(step_m, spec.range_max_m, step_m)
    azimuth, distance_m = (a.ravel() for a in np.meshgrid(np.arange(72) * math.radians(5.0), far_m, indexing="ij"))
    lat, lon, _ = geo.direct(spec.lat_rad, spec.lon_rad, azimuth, distance_m)
    xyz = geo.ecef(lat, lon, np.full(len(lat), row[C_GROUND] + LOW_M))
    seen = coverage.detection(xyz, math.log(1e6))[:, spec.index].reshape(72, -1) >= 0.5 * row[C_LOOKS]
    return np.asarray(seen.sum(axis=1) * step_m)
