"""SAPIENT (BSI Flex 335 v2.0): a fusion node that tells what it sees, and nodes that tell it. Protobuf over a stream.

Said: registration, status, detection reports (our tracks), alerts. Read: what nodes say of themselves, detection
reports. Tasks are neither said nor read: nothing here can point, steer or disturb anything. What is simulated, an
exercise or replayed says so in `additional_information` and first of all in an alert's words.

Every message on a stream is its length, four octets, the least first, and then itself. Objects and alerts have ULIDs
there, made of our own ids (`adapters/ulids.py`), and a site has one node.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from sapient_msg.bsi_flex_335_v2_0.alert_pb2 import Alert as Warned
from sapient_msg.bsi_flex_335_v2_0.detection_report_pb2 import DetectionReport
from sapient_msg.bsi_flex_335_v2_0.location_pb2 import (
    LOCATION_COORDINATE_SYSTEM_LAT_LNG_DEG_M,
    LOCATION_COORDINATE_SYSTEM_LAT_LNG_RAD_M,
    LOCATION_DATUM_WGS84_E,
    Location,
)
from sapient_msg.bsi_flex_335_v2_0.range_bearing_pb2 import (
    RANGE_BEARING_COORDINATE_SYSTEM_DEGREES_KM,
    RANGE_BEARING_COORDINATE_SYSTEM_DEGREES_M,
    RANGE_BEARING_COORDINATE_SYSTEM_RADIANS_KM,
    RANGE_BEARING_COORDINATE_SYSTEM_RADIANS_M,
    RANGE_BEARING_DATUM_TRUE,
    RangeBearing,
)
from sapient_msg.bsi_flex_335_v2_0.registration_ack_pb2 import RegistrationAck
from sapient_msg.bsi_flex_335_v2_0.registration_pb2 import Registration
from sapient_msg.bsi_flex_335_v2_0.sapient_message_pb2 import SapientMessage
from sapient_msg.bsi_flex_335_v2_0.status_report_pb2 import StatusReport
from sapient_msg.bsi_flex_335_v2_0.velocity_pb2 import SPEED_UNITS_MS

from adapters.played import MARKS, marks
from adapters.rows import Told
from adapters.ulids import alert_id, object_id, of_ulid, ulid
from adapters.wire import EARLIEST_US, LATEST_US, Decoded, stand
from fusion.schema import Alert, Invalid, PlotKind, SensorKind, SensorSpec

ICD = "BSI Flex 335 v2.0"
MODE = "surveillance"  # our one mode of working
MOST_OCTETS = 1 << 20  # of one message: a node that says more is not followed
_HEAD = 4
# Errors of a place are in the units of its numbers, degrees: of a sigma this is good to a hundredth.
DEGREE_M = 111_320.0
UNBELIEVED_M = 50_000.0  # a sigma beyond: somebody wrote metres where degrees belong
LOST = "lost"  # state of an object that is no more
# The classes of Flex 335 that ours are; a class that has none there is told by our own word.
_CLASSES = {
    "fixed-wing-drone": ("Air vehicle", "UAV fixed wing"),
    "small-multicopter": ("Air vehicle", "UAV rotary wing"),
    "light-aircraft": ("Air vehicle", "Manned fixed wing"),
    "ultralight": ("Air vehicle", "Manned fixed wing"),
    "glider": ("Air vehicle", "Manned fixed wing"),
    "airliner": ("Air vehicle", "Manned fixed wing"),
    "fast-jet": ("Air vehicle", "Manned fixed wing"),
    "rotorcraft": ("Air vehicle", "Manned rotary wing"),
    "bird-flock": ("Animal", "Bird"),
    "paraglider": ("Air vehicle", ""),
    "balloon": ("Air vehicle", ""),
    "fast-low-flyer": ("Air vehicle", ""),
}
_URGENT = {
    1: (Warned.ALERT_TYPE_CRITICAL, Warned.DISCRETE_PRIORITY_HIGH),
    2: (Warned.ALERT_TYPE_WARNING, Warned.DISCRETE_PRIORITY_MEDIUM),
    3: (Warned.ALERT_TYPE_INFORMATION, Warned.DISCRETE_PRIORITY_LOW),
}
_INFO = (  # of a track: our own names, with their units
    "status", "callsign", "address", "mode3a", "serial", "state", "near_state", "border_distance_m", "time_to_border_s",
    "agl_m", "contradicted", "doubt", "course_deg", "speed_mps",
)  # fmt: skip


def node_of(site: str) -> str:
    """The UUID of a site's node, always the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"vedette:{site}"))


# --- on the stream ---


def frame(message: SapientMessage) -> bytes:
    """A message as it goes on the stream."""
    payload: bytes = message.SerializeToString()
    return len(payload).to_bytes(_HEAD, "little") + payload


def split(waiting: bytearray) -> Iterator[bytes]:
    """Whole messages from the front of a stream, which is cut by them.

    Raises:
        Invalid: `oversized`: what comes next says that it is longer than any message of this kind; the stream cannot be
            followed any more.
    """
    while len(waiting) >= _HEAD:
        length = int.from_bytes(waiting[:_HEAD], "little")
        if length > MOST_OCTETS:
            raise Invalid("oversized", f"a message of {length} octets")
        if len(waiting) < _HEAD + length:
            return
        payload = bytes(waiting[_HEAD : _HEAD + length])
        del waiting[: _HEAD + length]
        yield payload


def read(payload: bytes) -> SapientMessage:
    """One message. Raises Invalid: `malformed`, `missing-field` (who says it)."""
    try:
        message = SapientMessage.FromString(payload)
    except DecodeError as error:
        raise Invalid("malformed", str(error)[:80]) from None
    if not message.node_id:
        raise Invalid("missing-field", "node_id")
    return message


# --- what we say ---


@dataclass(frozen=True, slots=True)
class Node:
    """Who we are there."""

    id: str  # UUID
    site: str
    version: str = ""


def _stamp(us: int) -> Timestamp:
    return Timestamp(seconds=us // 1_000_000, nanos=us % 1_000_000 * 1_000)


def _said(node: Node, us: int, marked: Sequence[str] = (), **content: Message) -> SapientMessage:
    parts: dict[str, Any] = dict(content)
    message = SapientMessage(timestamp=_stamp(us), node_id=node.id, **parts)
    if marked:
        message.additional_information = " ".join(marked)
    return message


def _seconds(value: float) -> Registration.Duration:
    return Registration.Duration(units=Registration.TIME_UNITS_SECONDS, value=value)


def _unit(name: str) -> str:
    """That of a number, the last part of its name; the standard wants a word for all else too."""
    end = name.rpartition("_")[2]
    return end if end in ("m", "s", "deg", "mps") else "none"


def registration(node: Node, us: int, status_every_s: float) -> SapientMessage:
    """The first word: a fusion node that reports tracks, and takes no task."""
    where = Registration.LocationType(
        location_units=LOCATION_COORDINATE_SYSTEM_LAT_LNG_DEG_M, location_datum=LOCATION_DATUM_WGS84_E
    )
    speed = Registration.VelocityType(location_datum=LOCATION_DATUM_WGS84_E)
    speed.enu_velocity_units.east_north_rate_units = SPEED_UNITS_MS
    speed.enu_velocity_units.up_rate_units = SPEED_UNITS_MS
    kinds: dict[str, list[str]] = {}
    for upper, lower in _CLASSES.values():
        kinds.setdefault(upper, [])
        if lower and lower not in kinds[upper]:
            kinds[upper].append(lower)
    classes = Registration.DetectionClassDefinition(
        confidence_definition=Registration.CONFIDENCE_DEFINITION_MULTI_CLASS,
        class_definition=[
            Registration.ClassDefinition(
                type=upper, sub_class=[Registration.SubClass(type=lower, level=1) for lower in lowers]
            )
            for upper, lowers in kinds.items()
        ],
    )
    detections = Registration.DetectionDefinition(
        location_type=where,
        velocity_type=speed,
        detection_class_definition=[classes],
        detection_report=[
            Registration.DetectionReport(
                category=Registration.DETECTION_REPORT_CATEGORY_OBJECT, type=name, units=_unit(name)
            )
            for name in _INFO
        ],
    )
    mode = Registration.ModeDefinition(
        mode_name=MODE,
        mode_type=Registration.MODE_TYPE_PERMANENT,
        settle_time=_seconds(0.0),
        detection_definition=[detections],
        task=Registration.TaskDefinition(
            region_definition=Registration.RegionDefinition(
                region_type=[Registration.REGION_TYPE_AREA_OF_INTEREST], region_area=[where]
            )
        ),
    )
    said = Registration(
        node_definition=[Registration.NodeDefinition(node_type=Registration.NODE_TYPE_FUSION_NODE)],
        icd_version=ICD,
        name=f"Vedette {node.site}",
        short_name=node.site[:32],
        capabilities=[Registration.Capability(category="fusion", type="tracks and alerts")],
        status_definition=Registration.StatusDefinition(status_interval=_seconds(status_every_s)),
        mode_definition=[mode],
        config_data=[
            Registration.ConfigurationData(manufacturer="Vedette", model="Vedette", software_version=node.version)
        ],
    )
    return _said(node, us, registration=said)


def status(node: Node, us: int, well: bool, new: bool, words: Sequence[tuple[str, bool]] = ()) -> SapientMessage:
    """How we are; `words`: what is wrong, and whether it comes from outside."""
    said = StatusReport(
        report_id=ulid((us // 1_000) << 80 | (1 << 80) - 1),
        system=StatusReport.SYSTEM_OK if well else StatusReport.SYSTEM_WARNING,
        info=StatusReport.INFO_NEW if new else StatusReport.INFO_UNCHANGED,
        mode=MODE,
        status=[
            StatusReport.Status(
                status_level=StatusReport.STATUS_LEVEL_WARNING_STATUS,
                status_type=StatusReport.STATUS_TYPE_EXTERNAL_FAULT
                if outside
                else StatusReport.STATUS_TYPE_INTERNAL_FAULT,
                status_value=text,
            )
            for text, outside in words
        ],
    )
    return _said(node, us, status_report=said)


def goodbye(node: Node, us: int) -> SapientMessage:
    """The last word of an orderly end."""
    message = status(node, us, True, True)
    message.status_report.system = StatusReport.SYSTEM_GOODBYE
    return message


def _place(lat_deg: float, lon_deg: float, height_m: float | None = None) -> Location:
    place = Location(
        x=lon_deg, y=lat_deg, coordinate_system=LOCATION_COORDINATE_SYSTEM_LAT_LNG_DEG_M, datum=LOCATION_DATUM_WGS84_E
    )
    if height_m is not None:
        place.z = height_m
    return place


def _errors(place: Location, told: Told) -> None:
    """One sigma of each axis, in the units of the place's numbers."""
    both = told.sigma_horizontal_m
    east = math.sqrt(told.var_east_m2) if told.var_east_m2 is not None else both
    north = math.sqrt(told.var_north_m2) if told.var_north_m2 is not None else both
    if east is not None and north is not None:
        place.x_error = east / DEGREE_M / max(math.cos(math.radians(place.y)), 0.01)
        place.y_error = north / DEGREE_M
    if told.sigma_height_m is not None and place.HasField("z"):
        place.z_error = told.sigma_height_m


def detection(node: Node, told: Told, replayed: bool = False, lost_us: int = -1) -> SapientMessage:
    """The report of a track with a place; with `lost_us` its last one, said at that time.

    Raises:
        Invalid: `missing-field` where it has no place, `malformed`.
    """
    if told.lat_deg is None or told.lon_deg is None:
        raise Invalid("missing-field", f"place of track {told.id}")
    us = told.t_us if lost_us < 0 else lost_us
    name = object_id(told.id)
    place = _place(told.lat_deg, told.lon_deg, told.height_m)
    _errors(place, told)
    report = DetectionReport(
        report_id=ulid((us // 1_000) << 80 | of_ulid(name)),
        object_id=name,
        state=told.status if lost_us < 0 else LOST,
        location=place,
        id=told.callsign or told.serial or told.address or "",
        classification=_classes(told),
        object_info=[
            DetectionReport.TrackObjectInfo(type=key, value=_text(value))
            for key in _INFO
            if (value := getattr(told, key)) is not None
        ],
    )
    if told.existence is not None:
        report.detection_confidence = told.existence
    if told.speed_mps is not None and told.course_deg is not None:
        _velocity(report, told, told.speed_mps, math.radians(told.course_deg))
    return _said(node, us, marks(told.simulated, told.mode, replayed), detection_report=report)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _velocity(report: DetectionReport, told: Told, speed_mps: float, course_rad: float) -> None:
    velocity = report.enu_velocity
    velocity.east_rate, velocity.north_rate = speed_mps * math.sin(course_rad), speed_mps * math.cos(course_rad)
    if told.climb_mps is not None:
        velocity.up_rate = told.climb_mps
    for field, value in (
        ("east_rate_error", told.sigma_velocity_east_mps),
        ("north_rate_error", told.sigma_velocity_north_mps),
        ("up_rate_error", told.sigma_climb_mps),
    ):
        if value is not None:
            setattr(velocity, field, value)


def _classes(told: Told) -> list[DetectionReport.DetectionReportClassification]:
    """The class that is named and those that it may be too, the more probable first."""
    likely = [(told.object_class, told.p_class)] if told.object_class else []
    likely += [(other.object_class, other.p_class) for other in told.other_classes or ()]
    found = []
    for name, probability in likely:
        upper, lower = _CLASSES.get(name or "", (name or "", ""))
        one = DetectionReport.DetectionReportClassification(type=upper)
        if probability is not None:
            one.confidence = probability
        within: Any = one
        for level, word in enumerate([word for word in (lower, name) if word and word != upper], 1):
            within = within.sub_class.add(type=word, level=level)
        found.append(one)
    return found


def alert(node: Node, said: Alert, us: int, replayed: bool = False) -> SapientMessage:
    """The alert as it stands, under the same id from its first word to its last; a closed one is CLEAR.

    Raises:
        Invalid: `malformed`, of an id that is none of ours.
    """
    kind, priority = _URGENT.get(said.severity, _URGENT[3])
    standing = Warned.ALERT_STATUS_ACTIVE
    if said.state == "acknowledged" or said.acknowledged_by:
        standing = Warned.ALERT_STATUS_ACKNOWLEDGE
    if said.state == "closed":
        standing = Warned.ALERT_STATUS_CLEAR
    marked = marks(said.simulated, said.mode, replayed)
    words = [*marked, said.sentence, said.close_reason if said.state == "closed" else ""]
    warned = Warned(
        alert_id=alert_id(said.id, said.raised_us),
        alert_type=kind,
        status=standing,
        description=" ".join(word for word in words if word),
        priority=priority,
        additional_information=f"vedette alert {said.id}, rule {said.rule}, track {said.track}",
    )
    if math.isfinite(said.lat_rad) and math.isfinite(said.lon_rad):
        warned.location.CopyFrom(_place(math.degrees(said.lat_rad), math.degrees(said.lon_rad)))
    warned.associated_detection.add(node_id=node.id, object_id=object_id(said.track))
    return _said(node, us, marked, alert=warned)


def answer(node: Node, to: str, us: int, why_not: str = "") -> SapientMessage:
    """To a node that registered here: accepted, or why not."""
    said = RegistrationAck(acceptance=not why_not, ack_response_reason=[why_not] if why_not else [])
    message = _said(node, us, registration_ack=said)
    message.destination_id = to
    return message


# --- what others say ---

_STATES = {
    StatusReport.SYSTEM_OK: "ok", StatusReport.SYSTEM_WARNING: "degraded", StatusReport.SYSTEM_ERROR: "degraded",
    StatusReport.SYSTEM_GOODBYE: "off",
}  # fmt: skip


def state_of(message: SapientMessage) -> tuple[str, str]:
    """State and words of a status report, as we tell those of a sensor."""
    report = message.status_report
    words = "; ".join(one.status_value for one in report.status if one.status_value)
    return _STATES.get(report.system, "degraded"), words or StatusReport.System.Name(report.system).lower()


_PLACE_UNITS = {
    LOCATION_COORDINATE_SYSTEM_LAT_LNG_DEG_M: math.pi / 180.0,
    LOCATION_COORDINATE_SYSTEM_LAT_LNG_RAD_M: 1.0,
}
_BEARING_UNITS = {
    RANGE_BEARING_COORDINATE_SYSTEM_DEGREES_M: (math.pi / 180.0, 1.0),
    RANGE_BEARING_COORDINATE_SYSTEM_RADIANS_M: (1.0, 1.0),
    RANGE_BEARING_COORDINATE_SYSTEM_DEGREES_KM: (math.pi / 180.0, 1_000.0),
    RANGE_BEARING_COORDINATE_SYSTEM_RADIANS_KM: (1.0, 1_000.0),
}
_BEARING_KINDS = {SensorKind.RADAR_2D: PlotKind.POLAR, SensorKind.RADAR_3D: PlotKind.POLAR}


def plot(message: SapientMessage, spec: SensorSpec, rx_us: int) -> Decoded:
    """A detection report as one plot of that sensor: a position, a polar plot where it has a range and the sensor is a
    radar, else a bearing from the sensor's own site.

    A height above the geoid is not taken: whose geoid is not said. `state` lost is no plot, and no fault.

    Raises:
        Invalid: missing-field, bad-time, out-of-range, played (another of us says so in its words), wrong-schema (a
            coordinate system or datum that is not ours to turn: UTM, magnetic, of a platform).
    """
    report = message.detection_report
    if not message.HasField("timestamp"):
        raise Invalid("missing-field", "timestamp")
    t_us = message.timestamp.seconds * 1_000_000 + message.timestamp.nanos // 1_000
    if not EARLIEST_US <= t_us < LATEST_US:  # it may be beyond 64 bits
        raise Invalid("bad-time", "not between the years 2000 and 2100")
    if message.additional_information.startswith(MARKS):
        raise Invalid("played", message.additional_information[:60])
    if report.HasField("location"):
        kind, columns = PlotKind.POSITION, _position(report.location)
        if report.HasField("enu_velocity"):
            columns |= _moving(report.enu_velocity)
    elif report.HasField("range_bearing"):
        columns = _bearing(report.range_bearing)
        kind = _BEARING_KINDS.get(spec.kind, PlotKind.BEARING)
        if kind is PlotKind.BEARING:
            columns = {name: value for name, value in columns.items() if "range" not in name}
    else:
        raise Invalid("missing-field", "location or range_bearing")
    times = np.array([] if report.state.lower() == LOST else [t_us], np.int64)
    arrays = {name: np.full(len(times), value, np.float64) for name, value in columns.items()}
    return stand(spec, kind, rx_us, times, -1, -1, arrays, {})


def _given(message: Any, name: str, unit: float = 1.0) -> float:
    return getattr(message, name) * unit if message.HasField(name) else math.nan


class Place(NamedTuple):
    """A location of theirs. NaN: not said, or not believed."""

    lat_rad: float
    lon_rad: float
    z_m: float
    datum: int  # above what z is
    sigma_east_m: float
    sigma_north_m: float
    sigma_z_m: float


def place_of(said: Location) -> Place:
    """A location. Raises Invalid: wrong-schema (UTM)."""
    unit = _PLACE_UNITS.get(said.coordinate_system)
    if unit is None:
        raise Invalid("wrong-schema", "coordinate system of a location")
    lat_rad, scale = _given(said, "y", unit), math.degrees(unit) * DEGREE_M
    sigmas = _given(said, "x_error", scale * math.cos(lat_rad)), _given(said, "y_error", scale)
    east_m, north_m = (sigma if 0.0 < sigma < UNBELIEVED_M else math.nan for sigma in sigmas)
    z_m, sigma_z_m = _given(said, "z"), _positive(_given(said, "z_error"))
    return Place(lat_rad, _given(said, "x", unit), z_m, said.datum, east_m, north_m, sigma_z_m)


def _position(said: Location) -> dict[str, float]:
    place = place_of(said)
    above = place.datum == LOCATION_DATUM_WGS84_E
    return {
        "lat_rad": place.lat_rad,
        "lon_rad": place.lon_rad,
        "height_m": place.z_m if above else math.nan,
        "sigma_position_m": math.hypot(place.sigma_east_m, place.sigma_north_m) / math.sqrt(2.0),
        "sigma_height_m": place.sigma_z_m if above else math.nan,
    }


def _moving(velocity: Any) -> dict[str, float]:
    sigmas = [_given(velocity, name) for name in ("east_rate_error", "north_rate_error")]
    return {
        "velocity_east_mps": _given(velocity, "east_rate"),
        "velocity_north_mps": _given(velocity, "north_rate"),
        "velocity_up_mps": _given(velocity, "up_rate"),
        "sigma_velocity_mps": _positive(math.hypot(*sigmas) / math.sqrt(2.0)),
    }


def _bearing(seen: RangeBearing) -> dict[str, float]:
    units = _BEARING_UNITS.get(seen.coordinate_system)
    if units is None or seen.datum != RANGE_BEARING_DATUM_TRUE:
        raise Invalid("wrong-schema", "coordinate system or datum of a bearing")
    angle, length = units
    return {
        "range_m": _given(seen, "range", length),
        "azimuth_rad": _given(seen, "azimuth", angle) % (2.0 * math.pi),
        "elevation_rad": _given(seen, "elevation", angle),
        "sigma_range_m": _positive(_given(seen, "range_error", length)),
        "sigma_azimuth_rad": _positive(_given(seen, "azimuth_error", angle)),
        "sigma_elevation_rad": _positive(_given(seen, "elevation_error", angle)),
    }


def _positive(value: float) -> float:
    return value if value > 0.0 else math.nan
