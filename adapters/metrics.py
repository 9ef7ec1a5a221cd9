"""What Prometheus scrapes. Every name starts with `vedette_`; a track id is never a label.

The accounting and the sensor numbers are kept by the engine; this file only holds its latest snapshot and turns it
into counters at a scrape, so every scrape sees numbers of one moment and their sum balances.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.version import package_version
from fusion.bias.pressure import PressureEstimate
from fusion.bias.sensorbias import SensorBias
from fusion.cases.casefile import CHANGES, clock
from fusion.cases.record import Incident
from fusion.schema import US_PER_S, Counters, Health, TrackStatus
from fusion.thinning import CLASS
from fusion.tracker import TrackerLimits

if TYPE_CHECKING:
    from adapters.running.recorder import Recorder

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every counter, with its start time, that nothing here reads
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Known reasons start at zero, so that rate() sees the first one.
REJECT_REASONS = (
    "oversized not-utf8 malformed wrong-schema unknown-sensor wrong-sensor-kind missing-field not-finite out-of-range "
    "length future unknown-topic unknown-command bad-time too-many-plots simulated outside-area doubled-key"
).split()
# What the memory of flights lets go where it is full, and why a report of a person is refused after the door.
GIVEN_UP = ("searches", "new_tracks", "trail_pages", "ledger_entries", "message_numbers", "numbers_begun_anew")
REPORT_REASONS = ("overload", "id-used", "future", "outside-area")
BIAS_PARAMETERS = ("range_m", "range_gain", "azimuth_rad", "elevation_rad", "time_s", "pressure_height_m")
HEALTH_STATES = ("never", "ok", "stale", "degraded", "off")
STAGES = ("decode", "fuse", "encode", "publish", "arrival_to_published", "alert")
# From half a millisecond (one decode) to ten seconds (a backlog); 0.25 s is the promise for arrival to published.
STAGE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Real sensors are one to three seconds late; more than ten is late for fusing.
AGE_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
# The reaction clock: a drone 23 km out is over the border in eight minutes. The first steps are the machine's, the
# later ones those of people, who need seconds to many minutes.
REACTIONS = ("first_plot_to_confirmed", "confirmed_to_alert", "alert_to_acknowledged", "acknowledged_to_taken")
REACTION_BUCKETS_S = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0)


class Metrics:
    """The service's numbers. Call from one thread; rendering may happen on another."""

    def __init__(self, registry: CollectorRegistry | None = None, config_hash: str = "") -> None:
        """A registry of its own keeps two services in one process (tests) apart."""
        self.registry = CollectorRegistry(auto_describe=False) if registry is None else registry
        self._live = _Live()
        self.registry.register(self._live)
        if platform.system() == "Linux":
            ProcessCollector(registry=self.registry)
        self._tracks = Gauge("vedette_tracks", "Tracks held, by status.", ["status"], registry=self.registry)
        self._transitions = Counter(
            "vedette_alert_transitions",
            "Alert transitions, by rule, severity (1 highest) and new state.",
            ["rule", "severity", "state"],
            registry=self.registry,
        )
        self._open = Gauge(
            "vedette_alerts_open", "Alerts not closed, by rule and severity.", ["rule", "severity"],
            registry=self.registry,
        )  # fmt: skip
        self._stage = Histogram(
            "vedette_stage_seconds", "Time spent in one stage of the path from input to output.", ["stage"],
            buckets=STAGE_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self._age = Histogram(
            "vedette_data_age_seconds", "Measurement to publication, of the tracks published.",
            buckets=AGE_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self._reaction = Histogram(
            "vedette_reaction_seconds", "From one step of an incident to the next: by the machine, then by people.",
            ["step"], buckets=REACTION_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self._incidents = Counter(
            "vedette_incident_transitions", "Incident transitions, by severity (1 highest) and what changed.",
            ["severity", "change"], registry=self.registry,
        )  # fmt: skip
        self._incidents_open = Gauge("vedette_incidents_open", "Incidents not closed.", registry=self.registry)
        self._database = Counter(
            "vedette_incident_database_failures",
            "Ticks whose incidents the database did not take: locked or full disk. The journal has them.",
            registry=self.registry,
        )
        self._broker = Gauge(
            "vedette_broker_connected", "1 while the connection to the broker is up.", ["connection"],
            registry=self.registry,
        )  # fmt: skip
        self._connects = Counter(
            "vedette_broker_connects", "Connections made to the broker, the first one included.", ["connection"],
            registry=self.registry,
        )  # fmt: skip
        self._denied = Counter(
            "vedette_publish_denied", "Messages the broker refused.", ["kind"], registry=self.registry
        )
        self._quarantined = Counter(
            "vedette_quarantined", "Refused input offered to the quarantine file, by what became of it.", ["result"],
            registry=self.registry,
        )  # fmt: skip
        build = Gauge(
            "vedette_build_info", "1; the labels say what runs.", ["version", "python", "config"],
            registry=self.registry,
        )  # fmt: skip
        build.labels(package_version(), platform.python_version(), config_hash[:12]).set(1)
        self._reactions = {step: self._reaction.labels(step) for step in REACTIONS}
        for change in CHANGES:
            self._incidents.labels("1", change)
        self._stages = {stage: self._stage.labels(stage) for stage in STAGES}
        for status in TrackStatus:
            self._tracks.labels(status.name.lower()).set(0)
        for result in ("written", "skipped"):
            self._quarantined.labels(result)
        self._up: dict[str, bool] = {}

    def accounting(self, counters: Counters, load_level: int = 0) -> None:
        """Take over a snapshot of the message accounting, and how much is left out now."""
        self._live.counters, self._live.load_level = deepcopy(counters), load_level

    def alerts_untold(self, refused: int, withheld: int) -> None:
        """Alerts that found no room among the open ones, since the start."""
        self._live.alerts_refused, self._live.alerts_withheld = refused, withheld

    def memory(self, given_up: Sequence[int], refused: Mapping[str, int]) -> None:
        """What was given up for room since the start, in the order of GIVEN_UP, and reports refused by reason."""
        self._live.given_up, self._live.reports = tuple(given_up), dict(refused)

    def integrity(self, events: int, open_events: int, unwatched: int) -> None:
        """GNSS interference events since the start and open now, and claims that found no room in the book."""
        self._live.integrity = events, open_events, unwatched

    def pressure(self, estimate: PressureEstimate) -> None:
        """What is added to pressure heights."""
        self._live.pressure = estimate

    def recording(self, recorder: Recorder) -> None:
        """What was recorded, what no disk took, and what gave way to the budget, since the start."""
        counts = (recorder.frames, recorder.lost, recorder.files_deleted)
        self._live.recording = Recording(not recorder.problem, *counts, recorder.folder_bytes)

    def limits(self, limits: TrackerLimits) -> None:
        """How often the tracker reached one of its limits, since the start."""
        self._live.limits = limits

    def tracks(self, counts: Mapping[str, int]) -> None:
        """Tracks by status name, in either case ("CONFIRMED" or "confirmed"); a status not given is zero."""
        given = {name.lower(): count for name, count in counts.items()}
        for status in TrackStatus:
            name = status.name.lower()
            self._tracks.labels(name).set(given.pop(name, 0))
        if given:
            raise ValueError(f"unknown track status: {sorted(given)}")

    def alert_transition(self, rule: str, severity: int, state: str) -> None:
        """Count one transition of an alert: raised, updated, acknowledged, closed."""
        self._transitions.labels(rule, str(severity), state).inc()

    def open_alerts(self, counts: Mapping[tuple[str, int], int]) -> None:
        """Alerts not closed, by (rule, severity). One not given is none."""
        self._open.clear()
        for (rule, severity), count in counts.items():
            self._open.labels(rule, str(severity)).set(count)

    def incident(self, changed: Incident) -> None:
        """Count one transition of an incident, and what it says of the reaction to it."""
        self._incidents.labels(str(changed.severity), changed.change).inc()
        told = clock(changed)
        if changed.change in ("raised", "joined"):
            for item in changed.members if changed.change == "joined" else changed.members[:1]:
                if changed.change == "raised" or item.alert_us == changed.t_us:
                    self._reacted("first_plot_to_confirmed", item.first_plot_us, item.confirmed_us)
                    self._reacted("confirmed_to_alert", item.confirmed_us, item.alert_us)
        elif changed.change == "acknowledged":
            self._reacted("alert_to_acknowledged", told.called_us, told.acknowledged_us)
        elif changed.change == "taken":
            self._reacted("acknowledged_to_taken", told.acknowledged_us, told.taken_us)

    def _reacted(self, step: str, from_us: int, to_us: int) -> None:
        if from_us >= 0 and to_us >= 0:
            self._reactions[step].observe(max(0, to_us - from_us) / US_PER_S)

    def incidents(self, open_incidents: int, refused: int, overflowed: int, lost: int) -> None:
        """Incidents open now; since the start: looks without room for one, objects too many for theirs, and items that
        the database never got."""
        self._incidents_open.set(open_incidents)
        self._live.incidents = refused, overflowed, lost

    def database_failed(self) -> None:
        """The incident database did not take what happened in a tick."""
        self._database.inc()

    def stage(self, name: str, seconds: float) -> None:
        """Time one stage took: one of `STAGES`."""
        self._stages[name].observe(seconds)

    def data_age(self, seconds: float) -> None:
        """Age of the newest measurement behind one published track."""
        self._age.observe(seconds)

    def health(self, health: Health) -> None:
        """The newest health of one sensor."""
        self._live.sensors[health.sensor] = health

    def broker(self, connection: str, up: bool) -> None:
        """A connection ("plots", "alerts") came up or went down. Saying the same twice changes nothing."""
        if up and not self._up.get(connection, False):
            self._connects.labels(connection).inc()
        self._up[connection] = up
        self._broker.labels(connection).set(1 if up else 0)

    def publish_denied(self, kind: str) -> None:
        """The broker refused a message of this kind ("track", "picture", "alert", "status"...)."""
        self._denied.labels(kind).inc()

    def quarantine(self, written: bool) -> None:
        """Refused input was offered to the quarantine file: written, or skipped by its sampling."""
        self._quarantined.labels("written" if written else "skipped").inc()

    def render(self) -> bytes:
        """The whole in Prometheus text format 0.0.4."""
        return generate_latest(self.registry)


@dataclass(frozen=True, slots=True)
class Recording:
    """The recorder's numbers at one moment."""

    up: bool = True
    frames: int = 0
    lost: int = 0
    files_deleted: int = 0
    folder_bytes: int = 0


class _Live(Collector):
    """Turns the latest accounting and sensor health into metrics at the moment of a scrape."""

    def __init__(self) -> None:
        self.counters, self.load_level = Counters(), 0
        self.alerts_refused = self.alerts_withheld = 0
        self.incidents = (0, 0, 0)
        self.integrity = (0, 0, 0)
        self.limits = TrackerLimits(0, 0, 0)
        self.recording = Recording()
        self.given_up: tuple[int, ...] = (0,) * len(GIVEN_UP)
        self.reports: dict[str, int] = {}
        self.pressure: PressureEstimate | None = None
        self.sensors: dict[str, Health] = {}

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        yield from _accounting(self.counters, self.load_level)
        yield CounterMetricFamily(
            "vedette_alerts_refused",
            "Looks at which an alert was due and found no room: too many are open.",
            value=self.alerts_refused,
        )
        yield CounterMetricFamily(
            "vedette_alerts_withheld",
            "Times that a red line held and no alert was raised, because the activity is notified.",
            value=self.alerts_withheld,
        )
        refused, overflowed, lost = self.incidents
        yield CounterMetricFamily(
            "vedette_incidents_refused", "Looks at which an alert found no room for an incident.", value=refused
        )
        yield CounterMetricFamily(
            "vedette_incidents_overflowed", "Objects that began another incident, theirs being full.", value=overflowed
        )
        yield CounterMetricFamily(
            "vedette_incident_database_lost",
            "Items that waited too long for the incident database and fell. The journal has alerts and incidents.",
            value=lost,
        )
        events, open_events, unwatched = self.integrity
        yield CounterMetricFamily("vedette_interference_events", "GNSS interference events.", value=events)
        yield GaugeMetricFamily("vedette_interference_open", "GNSS interference events not over.", value=open_events)
        yield CounterMetricFamily(
            "vedette_claims_unwatched", "Claims not checked, because too many identities are alive.", value=unwatched
        )
        yield from _limits(self.limits)
        yield from _recording(self.recording)
        yield from _memory(self.given_up, self.reports)
        if self.pressure is not None:
            yield from _pressure(self.pressure)
        yield from _sensors([self.sensors[name] for name in sorted(self.sensors)])


def _limits(limits: TrackerLimits) -> Iterable[Metric]:
    numbers = (
        ("tracks_refused", "Plots that could have started a track in a table that was full.", limits.refused),
        ("pairs_left_out", "Pairs of plot and track beyond the sixteen best of a plot.", limits.pairs_left_out),
        ("clusters_split", "Clusters too large for the best joint explanation, cut into parts.", limits.clusters_split),
    )
    for name, text, value in numbers:
        yield CounterMetricFamily(f"vedette_{name}", text, value=value)
    text = "What the alignment of radars to each other left out for its limits."
    left_out = CounterMetricFamily("vedette_alignment_left_out", text, labels=["class"])
    alignment = limits.alignment
    for what, count in (("plots", alignment.plots), ("unchained", alignment.unchained), ("pairs", alignment.pairs)):
        left_out.add_metric([what], count)
    yield left_out
    text = "Radars, and couples of radars that overlap, which are never compared: there are more than are aligned."
    never = GaugeMetricFamily("vedette_alignment_never", text, labels=["class"])
    for what, count in (("radars", alignment.radars), ("couples", alignment.couples)):
        never.add_metric([what], count)
    yield never


def _recording(now: Recording) -> Iterable[Metric]:
    up = "1 while frames are recorded, 0 while the disk refuses."
    yield GaugeMetricFamily("vedette_recorder_up", up, value=int(now.up))
    held = "Bytes of recordings on disk when the newest file began."
    yield GaugeMetricFamily("vedette_recordings_bytes", held, value=now.folder_bytes)
    numbers = (
        ("frames_recorded", "Frames recorded, ticks included.", now.frames),
        ("frames_unrecorded", "Frames that no disk took: a replay lacks them.", now.lost),
        ("recordings_deleted", "Oldest recordings deleted to stay within the budget.", now.files_deleted),
    )
    for name, text, value in numbers:
        yield CounterMetricFamily(f"vedette_{name}", text, value=value)


def _memory(given_up: Sequence[int], reports: Mapping[str, int]) -> Iterable[Metric]:
    text = "What was remembered and gave way to something that matters more, and numbered messages that never came."
    gave_way = CounterMetricFamily("vedette_memory_given_up", text, labels=["class"])
    for name, count in zip(GIVEN_UP, given_up, strict=True):
        gave_way.add_metric([name], count)
    yield gave_way
    text = "Reports by people that were understood and not judged, by reason."
    refused = CounterMetricFamily("vedette_reports_refused", text, labels=["reason"])
    for reason in sorted({*REPORT_REASONS, *reports}):
        refused.add_metric([reason], reports.get(reason, 0))
    yield refused


def _pressure(estimate: PressureEstimate) -> Iterable[Metric]:
    numbers = (
        (
            "correction_metres",
            "Added to a pressure height near the ground, for metres above mean sea level.",
            estimate.offset_m,
        ),
        ("sigma_metres", "One sigma of a pressure height near the ground after that.", estimate.sigma_m),
        ("aircraft", "Aircraft with both heights whose agreement says so; 0: nothing was learnt.", estimate.aircraft),
    )
    for name, text, value in numbers:
        yield GaugeMetricFamily(f"vedette_pressure_{name}", text, value=value)


def _accounting(c: Counters, level: int) -> Iterable[Metric]:
    plain = (
        ("received", "Plots received, and messages that hold none.", c.received),
        ("used", "Received items that went into the picture.", c.used),
        ("duplicate", "Received items seen before (sensor, boot, seq).", c.duplicate),
        ("late", "Received items measured too long ago to be fused.", c.late),
    )
    for name, text, value in plain:
        yield CounterMetricFamily(f"vedette_items_{name}", text, value=value)
    rejected = CounterMetricFamily("vedette_items_rejected", "Received items refused, by reason.", labels=["reason"])
    for reason in sorted({*REJECT_REASONS, *c.rejected}):
        rejected.add_metric([reason], c.rejected.get(reason, 0))
    yield rejected
    shed = CounterMetricFamily("vedette_items_shed", "Received items dropped under load, by class.", labels=["class"])
    for name in sorted({CLASS, *c.shed}):
        shed.add_metric([name], c.shed.get(name, 0))
    yield shed
    yield GaugeMetricFamily(
        "vedette_load_level", "0: the service keeps up; 1 to 3: claims of known airliners are thinned.", value=level
    )
    yield GaugeMetricFamily(
        "vedette_items_unaccounted",
        "Received less all that items became: anything but 0 is a fault.",
        value=c.balance(),
    )


def _sensors(sensors: list[Health]) -> Iterable[Metric]:
    state = GaugeMetricFamily("vedette_sensor_state", "1 for the state the sensor is in.", labels=["sensor", "state"])
    measured = _gauge("last_measurement_timestamp_seconds", "Newest measured time; absent before the first.")
    arrived = _gauge("last_arrival_timestamp_seconds", "Newest arrival; absent before the first.")
    rate = _gauge("rate_hertz", "Plots per second over the last 30 s.")
    lag = _gauge("lag_seconds", "Median of arrival minus measurement; absent while unknown.")
    nis = _gauge("innovation_ratio", "Mean normalised innovation squared per degree of freedom: about 1 when honest.")
    hits = CounterMetricFamily("vedette_sensor_hits", "Looks at confirmed tracks that saw them.", labels=["sensor"])
    misses = CounterMetricFamily("vedette_sensor_misses", "Looks that should have seen and did not.", labels=["sensor"])
    for health in sensors:
        name = [health.sensor]
        for known in HEALTH_STATES:
            state.add_metric([health.sensor, known], 1.0 if known == health.state else 0.0)
        if health.last_us >= 0:
            measured.add_metric(name, health.last_us / US_PER_S)
        if health.last_rx_us >= 0:
            arrived.add_metric(name, health.last_rx_us / US_PER_S)
        rate.add_metric(name, health.rate_hz)
        if math.isfinite(health.lag_s):
            lag.add_metric(name, health.lag_s)
        if math.isfinite(health.nis):
            nis.add_metric(name, health.nis)
        hits.add_metric(name, health.hits)
        misses.add_metric(name, health.misses)
    yield from (state, measured, arrived, rate, lag, nis, hits, misses)
    yield from _biases([health.bias for health in sensors if health.bias is not None])


def _biases(biases: list[SensorBias]) -> Iterable[Metric]:
    """Registration: one gauge for the bias and one for its sigma, a label for what is biased; absent while unknown."""
    labels = ["sensor", "parameter"]
    value = GaugeMetricFamily("vedette_sensor_bias", "Measured minus true; the unit ends the parameter.", labels=labels)
    sigma = GaugeMetricFamily("vedette_sensor_bias_sigma", "One sigma of `vedette_sensor_bias`.", labels=labels)
    believed = _gauge("believed", "1 while registration believes the radar; 0: its plots are not used.")
    applied = _gauge("bias_applied", "1 while a bias is taken off the radar's plots.")
    for bias in biases:
        for parameter in BIAS_PARAMETERS:
            if math.isfinite(getattr(bias, f"sigma_{parameter}")):
                value.add_metric([bias.sensor, parameter], getattr(bias, parameter))
                sigma.add_metric([bias.sensor, parameter], getattr(bias, f"sigma_{parameter}"))
        believed.add_metric([bias.sensor], float(bias.believed))
        applied.add_metric([bias.sensor], float(bias.applied))
    yield from (value, sigma, believed, applied)


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"vedette_sensor_{name}", text, labels=["sensor"])
