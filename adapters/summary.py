"""What `vedette check` says about a configuration that is good: enough to see that it is the one that was meant."""

from __future__ import annotations

import math
from collections import Counter

from adapters.config import Config
from fusion.schema import SensorKind, SensorSpec
from fusion.zones import Zones


def summary(config: Config, zones: Zones | None) -> str:
    """Plain lines, one a subject. `zones` None: borders were not read."""
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
    lines.append(("hash", config.hash))
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in lines) + "\nThis configuration is good."


def _sensor(spec: SensorSpec, form: str) -> str:
    kind = SensorKind(spec.kind).name.lower().replace("_", "-")
    place = "no site"
    if spec.has_site:
        place = f"at {math.degrees(spec.lat_rad):.4f} {math.degrees(spec.lon_rad):.4f}, {spec.range_max_m / 1000:g} km"
    return f"{kind}, {form}, {place}, every {spec.period_s:g} s"
