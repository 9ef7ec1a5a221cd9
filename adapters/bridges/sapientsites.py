"""What SAPIENT nodes say of themselves, and what a radar's places are as measurements from where it stands.

A place that somebody tells is an opinion, unless it is a sensor's own measurement with its own errors. That it is one,
the node itself says: it has registered as a radar or lidar, in modes that do no tracking (a track says again what was
said before), its status reports say where it stands, and the place comes with errors. Then the place is turned into
range, azimuth and elevation from there, and its errors with it. Correlation between range and azimuth is lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import structlog
from sapient_msg.bsi_flex_335_v2_0.registration_pb2 import Registration
from sapient_msg.bsi_flex_335_v2_0.sapient_message_pb2 import SapientMessage

from adapters.formats import sapient
from adapters.formats.sapient import Place
from adapters.wire import Decoded, stand
from fusion import geo
from fusion.schema import Invalid, PlotKind, Plots, SensorSpec

RANGING = (Registration.NODE_TYPE_RADAR, Registration.NODE_TYPE_LIDAR)
TRACKING = (Registration.TRACKING_TYPE_TRACK, Registration.TRACKING_TYPE_TRACK_WITH_RE_ID)
_log = structlog.get_logger("vedette.bridge")


@dataclass(slots=True)
class _Node:
    """What one node has said of itself."""

    why_not: str = "unregistered"  # why its places are no measurements; "" they are
    site: Place | None = None


class Sites:
    """The nodes that are named, and where they stand."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}

    def learn(self, name: str, message: SapientMessage) -> None:
        """Take in a registration or a status report of a node that is named. Raises Invalid: wrong-schema."""
        node = self._nodes.setdefault(name, _Node())
        kind = message.WhichOneof("content")
        if kind == "registration":
            node.why_not = _why_not(message.registration)
        elif kind == "status_report" and message.status_report.HasField("node_location"):
            place = sapient.place_of(message.status_report.node_location)
            if not (abs(place.lat_rad) <= math.pi / 2.0 and abs(place.lon_rad) <= math.pi):
                raise Invalid("out-of-range", "where a node stands")
            if node.site is None:
                where = {"lat_deg": math.degrees(place.lat_rad), "lon_deg": math.degrees(place.lon_rad)}
                _log.info("the node says where it is", node=name, **where, z_m=place.z_m)
            node.site = place

    def polar(self, name: str, message: SapientMessage, spec: SensorSpec, rx_us: int, placed: Plots) -> Decoded:
        """The place that a radar reports (already read as `placed`) as a plot from where it stands.

        Raises:
            Invalid: `unregistered`, `no-measurement` (it is no radar), `tracked`, `no-site`, `missing-field` (errors).
        """
        node = self._nodes.get(name, _Node())
        if node.why_not:
            raise Invalid(node.why_not, name)
        if node.site is None:
            raise Invalid("no-site", "no status report has said where it stands")
        if not len(placed):  # lost
            return stand(spec, PlotKind.POLAR, rx_us, placed.t_us, -1, -1, {}, {})
        seen = sapient.place_of(message.detection_report.location)
        if math.isnan(seen.sigma_east_m) or math.isnan(seen.sigma_north_m):
            raise Invalid("missing-field", "errors of a location")
        columns = {key: np.array([value]) for key, value in _seen_from(node.site, seen).items()}
        return stand(spec, PlotKind.POLAR, rx_us, placed.t_us, -1, -1, columns, {})


def _why_not(said: Registration) -> str:
    kinds = [one.node_type for one in said.node_definition]
    if not any(kind in RANGING for kind in kinds):
        return "no-measurement"
    return "tracked" if any(mode.tracking_type in TRACKING for mode in said.mode_definition) else ""


def _seen_from(site: Place, seen: Place) -> dict[str, float]:
    """Range, azimuth, elevation and their sigmas. Heights count where both are above the same; else it is level."""
    level = math.isnan(seen.z_m) or math.isnan(site.z_m) or seen.datum != site.datum
    base_m = site.z_m if math.isfinite(site.z_m) else 0.0
    there = geo.ecef([seen.lat_rad], [seen.lon_rad], [base_m if level else seen.z_m])
    (range_m,), (azimuth,), (elevation,) = geo.polar(geo.site_row(site.lat_rad, site.lon_rad, base_m), there)
    east, north = seen.sigma_east_m, seen.sigma_north_m
    along_m = math.hypot(east * math.sin(azimuth), north * math.cos(azimuth))
    across_m = math.hypot(east * math.cos(azimuth), north * math.sin(azimuth))
    up_m = seen.sigma_z_m if math.isfinite(seen.sigma_z_m) else 0.0
    found = {
        "range_m": range_m,
        "azimuth_rad": azimuth % (2.0 * math.pi),
        "sigma_range_m": math.hypot(along_m * math.cos(elevation), up_m * math.sin(elevation)),
        "sigma_azimuth_rad": min(across_m / max(range_m * math.cos(elevation), 1.0), math.pi),
    }
    if not level and up_m:
        across_up_m = math.hypot(up_m * math.cos(elevation), along_m * math.sin(elevation))
        found |= {"elevation_rad": elevation, "sigma_elevation_rad": min(across_up_m / max(range_m, 1.0), math.pi)}
    return found
