"""The door: which decoder a frame goes to, and what happens to one that is refused.

Every frame ends in exactly one of: fed to the engine (whole or in part), or counted by reason. Nothing raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from adapters.formats import command, met, plots, readsb, sensorstatus
from adapters.wire import Decoded
from fusion.engine import Engine
from fusion.schema import Frame, Invalid, SensorSpec

TICK = "tick"


class PlotDecoder(Protocol):
    """What every plot format offers. Raises Invalid for a fault of the whole message."""

    def __call__(self, payload: bytes, spec: SensorSpec, rx_us: int) -> Decoded:
        """Decode one message of one sensor."""


PLOT_FORMATS: Mapping[str, PlotDecoder] = {"plots": plots.decode, "readsb": readsb.decode}
Refused = Callable[[Frame, str, str], None]  # frame, reason, detail


class Door:
    """Decodes frames into an engine. `refused` is told of every refusal, for samples and the log."""

    def __init__(self, engine: Engine, formats: Mapping[str, str], refused: Refused) -> None:
        """`formats` gives each sensor's plot format by sensor id.

        Raises:
            KeyError: a format that does not exist: the configuration check has failed to see it.
        """
        self._engine = engine
        self._refused = refused
        self._sensors = {spec.id: spec for spec in engine.config.sensors}
        self._plots = {sensor: PLOT_FORMATS[name] for sensor, name in formats.items()}

    def enter(self, frame: Frame) -> None:
        """Decode one frame and feed what is valid in it."""
        try:
            self._enter(frame)
        except Invalid as fault:
            self._engine.counters.reject(fault.reason)
            self._refused(frame, fault.reason, fault.detail)

    def refuse(self, frame: Frame, reason: str, detail: str) -> None:
        """Count a frame that must not be decoded at all."""
        self._engine.counters.reject(reason)
        self._refused(frame, reason, detail)

    def _enter(self, frame: Frame) -> None:
        parts = frame.source.split("/")
        if len(parts) == 2 and parts[0] == "cmd":
            self._engine.feed(command.decode(frame.payload, parts[1], frame.rx_us))
            return
        if len(parts) != 3 or parts[0] != "in":
            raise Invalid("unknown-topic", frame.source)
        _, sensor, what = parts
        spec = self._sensors.get(sensor)
        if spec is None:
            raise Invalid("unknown-sensor", sensor)
        if what == "status":
            self._engine.feed(sensorstatus.decode(frame.payload, spec, frame.rx_us))
        elif what == "met":
            self._engine.feed(met.decode(frame.payload, spec, frame.rx_us))
        elif what in ("plots", "sighting"):
            self._enter_plots(frame, spec)
        else:
            raise Invalid("unknown-topic", frame.source)

    def _enter_plots(self, frame: Frame, spec: SensorSpec) -> None:
        decoded = self._plots[spec.id](frame.payload, spec, frame.rx_us)
        for reason, count in decoded.rejected.items():
            self._refused(frame, reason, f"{count} of the message's plots")
        self._engine.feed(decoded.batch, decoded.rejected)
