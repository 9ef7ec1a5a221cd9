"""The door: which decoder a frame goes to, and what happens to one that is refused.

Every frame ends in exactly one of: fed to the engine (whole or in part), or counted by reason. Nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from adapters.envelope import ORDERS, Unfit, opened
from adapters.formats import command, load, met, opensky, plots, readsb, remoteid, sensorstatus, sighting, skip, track
from adapters.incidents.database import entry_of
from adapters.wire import GEOMETRY, Decoded, number_of
from fusion.cases.record import Incident
from fusion.engine import Engine
from fusion.schema import Alert, Frame, Invalid, Met, SensorSpec, SensorStatus
from fusion.schema import plots as make_plots
from replay.log import LEFT

TICK = "tick"
MAX_UNFIT = 32  # reports and commands refused in a tick whose senders hear of it: more are a flood, only counted


class PlotDecoder(Protocol):
    """What every plot format offers. Raises Invalid for a fault of the whole message."""

    def __call__(self, payload: bytes, spec: SensorSpec, rx_us: int) -> Decoded:
        """Decode one message of one sensor."""


PLOT_FORMATS: Mapping[str, PlotDecoder] = {
    "opensky": opensky.decode,
    "plots": plots.decode,
    "readsb": readsb.decode,
    "remoteid": remoteid.decode,
    "track": track.decode,
}
# In a string of JSON the quotes would be escaped, so this is always a key; the encoders write it without blanks.
_SIMULATED = re.compile(rb'"simulated"\s*:\s*true')
_LETTER = re.compile(rb"\\u00([46][1-9a-fA-F]|[57][0-9aA])")  # a letter written as an escape, as JSON allows in a key
Refused = Callable[[Frame, str, str], None]  # frame, reason, detail


class Door:
    """Decodes frames into an engine. `refused` is told of every refusal, for samples and the log."""

    def __init__(
        self, engine: Engine, formats: Mapping[str, str], refused: Refused, partners: Sequence[str] = ()
    ) -> None:
        """`formats` gives each sensor's plot format by sensor id; `partners` are the neighbours who may say `take`.

        Raises:
            KeyError: a format that does not exist: the configuration check has failed to see it.
        """
        self._engine = engine
        self._refused = refused
        self._partners = tuple(partners)
        self._sensors = {spec.id: spec for spec in engine.config.sensors}
        self._unfit: list[Unfit] = []
        self._plots = {sensor: PLOT_FORMATS[name] for sensor, name in formats.items()}

    def report_to(self, refused: Refused) -> None:
        """Tell this of every refusal from now on."""
        self._refused = refused

    def enter(self, frame: Frame) -> None:
        """Decode one frame and feed what is valid in it."""
        try:
            self._enter(frame)
        except Invalid as fault:
            self._engine.counters.reject(fault.reason)
            self._refused(frame, fault.reason, fault.detail)
            person = frame.source.startswith(ORDERS) or frame.source.endswith("/sighting")
            if person and len(self._unfit) < MAX_UNFIT:
                self._unfit.append(Unfit(frame, fault))

    def refuse(self, frame: Frame, reason: str, detail: str) -> None:
        """Count a frame that must not be decoded at all."""
        self._engine.counters.reject(reason)
        self._refused(frame, reason, detail)

    def _check_real(self, payload: bytes) -> None:
        """A real service takes in nothing that says of itself that it is simulated: it would leave as real."""
        if b"\\u" in payload:
            payload = _LETTER.sub(lambda found: bytes([int(found[1], 16)]), payload)
        if not self._engine.config.simulated and _SIMULATED.search(payload):
            raise Invalid("simulated", "simulated data for a service that is not")

    def take_unfit(self) -> list[Unfit]:
        """Reports and commands of people refused since the last call, at most `MAX_UNFIT`."""
        unfit, self._unfit = self._unfit, []
        return unfit

    def _enter(self, frame: Frame) -> None:
        if frame.source == LEFT:
            self._inherit(frame)
            return
        parts = frame.source.split("/")
        if frame.source == load.SOURCE:
            self._engine.feed(load.decode(frame.payload, frame.rx_us))
            return
        if len(parts) == 2 and parts[0] == "cmd":
            self._engine.feed(command.decode(frame.payload, parts[1], frame.rx_us))
            return
        if len(parts) == 4 and parts[0] == "partner" and parts[2] == "cmd" and parts[1] in self._partners:
            self._engine.feed(command.decode_from(parts[1], frame.payload, parts[3], frame.rx_us))
            return
        if len(parts) != 3 or parts[0] != "in":
            raise Invalid("unknown-topic", frame.source)
        _, sensor, what = parts
        spec = self._sensors.get(sensor)
        if spec is None:
            raise Invalid("unknown-sensor", sensor)
        if what not in ("plots", "sighting"):
            self._check_real(frame.payload)
        if what == "status":
            self._say(frame, sensorstatus.decode(frame.payload, spec, frame.rx_us))
        elif what == "met":
            self._say(frame, met.decode(frame.payload, spec, frame.rx_us))
        elif what == "plots":
            self._enter_plots(frame, spec)
        elif what == "sighting":
            self._enter_report(frame, spec)
        else:
            raise Invalid("unknown-topic", frame.source)

    def _inherit(self, frame: Frame) -> None:
        """A journal entry, or track ids to pass over. The service alone writes these: no topic has that name."""
        if skip.SCHEMA.encode() in frame.payload[:40]:
            self._engine.tracker.pass_over(skip.decode(frame.payload))
            return
        told = entry_of(frame.payload)
        if not isinstance(told, Alert | Incident):
            raise Invalid("wrong-schema", "neither an alert nor an incident")
        self._engine.inherit(told)

    def _say(self, frame: Frame, word: SensorStatus | Met) -> None:
        if self._engine.feed(word):
            self._refused(frame, "future", "a word from the future")

    def _enter_report(self, frame: Frame, spec: SensorSpec) -> None:
        self._check_real(opened(frame.payload)[0])
        self._engine.feed(sighting.decode(frame.payload, spec, frame.rx_us))

    def _enter_plots(self, frame: Frame, spec: SensorSpec) -> None:
        try:
            self._check_real(frame.payload)
            decoded = self._plots[spec.id](frame.payload, spec, frame.rx_us)
        except Invalid as fault:
            number = number_of(frame.payload, spec.id)
            if number is None:
                raise
            # Refused as a whole, but its number can be read: it was seen, and must not be asked for again.
            empty = make_plots(spec.id, GEOMETRY[spec.kind][0], frame.rx_us, np.empty(0, np.int64), *number)
            self._engine.feed(empty, {fault.reason: 1})
            self._refused(frame, fault.reason, fault.detail)
            return
        for reason, count in decoded.rejected.items():
            self._refused(frame, reason, f"{count} of the message's plots")
        future = self._engine.feed(decoded.batch, decoded.rejected)
        if future:
            self._refused(frame, "future", f"{future} of the message's plots")
