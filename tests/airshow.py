"""A service that only plays: publishes a made-up sky as `vedette run` does, and answers commands.

What moves is a function of time alone. Everything goes through a real broker in the service's own messages.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from adapters.broker import BrokerSettings, Incoming, NotConnected
from adapters.formats import picture
from adapters.mqtt import Connection
from adapters.wire import dump, load_json, rfc3339

Row = dict[str, Any]
CENTRE = (54.6, 25.4)
M_PER_DEG = 111_195.0


def civil(n: int, t_s: float, spread_deg: float = 3.0) -> Row:
    """An airliner that crosses the scene on a line of its own and comes back."""
    angle = math.radians(n * 137.508)
    course_deg = (n * 53) % 360
    along_m = ((t_s * 220.0 + n * 3_571.0) % 400_000.0) - 200_000.0
    reach = spread_deg * math.sqrt((n % 997) / 997)
    lat = CENTRE[0] + reach * math.sin(angle) * 0.6 + along_m * math.cos(math.radians(course_deg)) / M_PER_DEG
    east = along_m * math.sin(math.radians(course_deg)) / M_PER_DEG / 0.58
    return {
        "id": f"1:{n}",
        "status": "confirmed",
        "cooperative": True,
        "height_known": True,
        "sensors": ["A1", "R1"],
        "plots_count": 90,
        "lat_deg": round(lat, 6),
        "lon_deg": round(CENTRE[1] + reach * math.cos(angle) + east, 6),
        "height_m": 10_000.0,
        "agl_m": 9_800.0,
        "sigma_horizontal_m": 30.0,
        "speed_mps": 220.0,
        "course_deg": float(course_deg),
        "climb_mps": 0.0,
        "object_class": "airliner",
        "p_low": 0.0,
        "p_slow": 0.0,
        "state": "LT",
        "near_state": "LT",
        "border_distance_m": -40_000.0,
        "address": f"{0x500000 + n:06x}",
        "callsign": f"LTV{n % 1000:03d}",
        "last_plot_time": rfc3339(round(t_s * 1e6)),
    }


def drone(n: int, t_s: float, name: str = "") -> Row:
    """Low, slow, silent, and on its way to the border."""
    lat, lon = 54.50 + 0.035 * n, 25.78 + 0.02 * (n % 3)
    moved_m = (t_s % 200.0) * 42.0
    return {
        "id": f"1:9{n:04d}",
        "status": "coasting" if n % 5 == 4 else "confirmed",
        "cooperative": False,
        "height_known": True,
        "sensors": ["R1", "R2"],
        "plots_count": 14,
        "existence": 0.998,
        "lat_deg": round(lat + moved_m * 0.6 / M_PER_DEG, 6),
        "lon_deg": round(lon - moved_m * 0.8 / M_PER_DEG / 0.58, 6),
        "height_m": 371.0,
        "agl_m": 196.0 + n,
        "sigma_horizontal_m": 640.0,
        "var_east_m2": 60_000.0,
        "var_north_m2": 349_600.0,
        "cov_east_north_m2": 90_000.0,
        "speed_mps": 41.6,
        "course_deg": 307.0,
        "climb_mps": 0.2,
        "object_class": "fixed-wing-drone",
        "p_low": 1.0,
        "p_slow": 1.0,
        "state": "BY",
        "near_state": "LT",
        "border_distance_m": 9_000.0 + 700.0 * n - moved_m * 0.7,
        "time_to_border_s": max(5.0, 240.0 + 17.0 * n - (t_s % 200.0)),
        "last_plot_time": rfc3339(round((t_s - 1.0) * 1e6)),
        **({"callsign": name} if name else {}),
    }


def alert(n: int, t_s: float, **more: Any) -> Row:
    """The alert of `drone(n)`."""
    return {
        "schema": "vedette.alert.v1",
        "site": "demo",
        "time": rfc3339(round(t_s * 1e6)),
        "id": f"{0xA0000 + n:016x}",
        "state": "raised",
        "severity": 1 + n % 3,
        "sentence": f"Slow, low object, unknown, {9 + n} km outside Lithuania over Belarus; seen by R1 and R2.",
        "rule": "low-slow-near",
        "rule_version": 1,
        "track": f"1:9{n:04d}",
        "episode": 1,
        "raised_time": rfc3339(round(t_s * 1e6)),
        "lat_deg": 54.5,
        "lon_deg": 25.8,
        "overflown": "BY",
        "near_state": "LT",
        "disputed": False,
        "quantities": [
            {"name": "speed_mps", "value": 41.6, "sigma": 2.4, "condition": "<= 80 with p >= 0.8"},
            {"name": "distance_m", "value": 7190.0, "sigma": 66.0, "condition": "<= 30000"},
        ],
        "sensors": ["R1", "R2"],
        "clears": "more than 33 km from the border for 20 s",
        "delayed": False,
        "identity": "unknown",
        "simulated": True,
        "mode": "peace",
        **more,
    }


def incident(n: int, t_s: float) -> Row:
    """The incident of `alert(n)`."""
    return {
        "schema": "vedette.incident.v1",
        "site": "demo",
        "time": rfc3339(round(t_s * 1e6)),
        "id": f"{0xB0000 + n:016x}",
        "state": "raised",
        "severity": 1 + n % 3,
        "members": [{"track": f"1:9{n:04d}", "alerts": [f"{0xA0000 + n:016x}"]}],
    }


def health(name: str, t_s: float, state: str = "ok") -> Row:
    """What is known of a sensor."""
    now = rfc3339(round((t_s - 0.4) * 1e6))
    said: Row = {"schema": "vedette.health.v1", "sensor": name, "seq": 1, "time": now, "state": state}
    return {
        **said,
        "last_plot_time": now,
        "last_arrival_time": now,
        "rate_hz": 11.4,
        "hits_count": 812,
        "misses_count": 77,
    }


class Show:
    """Plays while it is entered. `said` are the commands that came; `alerts` may be changed with `raise_alert`."""

    def __init__(
        self, broker: BrokerSettings, civils: int = 40, drones: int = 5, alerts: int = 3, hz: float = 10.0
    ) -> None:
        self._settings = broker
        self._base = "vedette/v1/demo/"
        self.civils, self.drones, self.hz = civils, drones, hz
        now_s = time.time()
        self.alerts: dict[str, Row] = {one["id"]: one for one in (alert(n, now_s) for n in range(alerts))}
        self.incidents: dict[str, Row] = {one["id"]: one for one in (incident(n, now_s) for n in range(alerts))}
        self.names: dict[int, str] = {}  # drone -> callsign
        self.bad_sensor = False
        self.silent = False
        self.mode, self.load_level = "peace", 0
        self.said: list[tuple[str, Row]] = []
        self._seq = 0
        self._dirty: dict[str, None] = dict.fromkeys(self.alerts)
        self._told: dict[str, str] = {}  # incident -> time of what was published
        self._stop = threading.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="airshow")

    def __enter__(self) -> Show:
        self._thread.start()
        assert self._up.wait(30.0), "no broker"
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30.0)

    def raise_alert(self, n: int, **more: Any) -> str:
        """One more alert; its id."""
        made = alert(n, time.time(), **more)
        self.alerts[made["id"]] = made
        self._dirty[made["id"]] = None
        self.incidents[f"{0xB0000 + n:016x}"] = incident(n, time.time())
        return str(made["id"])

    def rows(self, t_s: float) -> list[Row]:
        """The sky at a moment."""
        silent = [drone(n, t_s, self.names.get(n, "")) for n in range(self.drones)]
        return [*silent, *(civil(n, t_s) for n in range(self.civils))]

    async def _main(self) -> None:
        connection = Connection(
            self._settings, [(f"{self._base}cmd/+", 1), (f"{self._base}in/+/sighting", 1)], on_change=self._changed
        )
        runner = asyncio.create_task(connection.run())
        await connection.wait_connected()
        self._up.set()
        turn = 0
        try:
            while not self._stop.is_set():
                if connection.connected and not self.silent:
                    with suppress(NotConnected):  # a test may take the broker away between two words
                        await self._publish(connection, time.time(), turn)
                while not connection.inbox.empty():
                    incoming = connection.inbox.get_nowait()
                    await self._answer(connection, incoming)
                    connection.ack(incoming)
                turn += 1
                await asyncio.sleep(1.0 / self.hz)
        finally:
            runner.cancel()
            await asyncio.gather(runner, return_exceptions=True)

    def _changed(self, up: bool, _why: str) -> None:
        if up:
            self._told.clear()
            self._dirty = dict.fromkeys(self.alerts)  # as the service does: the broker may have lost them

    async def _publish(self, connection: Connection, t_s: float, turn: int) -> None:
        rows, each = self.rows(t_s), max(1, round(self.hz))
        whole = turn % (5 * each) == 0
        changed = rows if whole else [row for i, row in enumerate(rows) if i % each == turn % each or i < 8]
        parts = self._parts(changed, t_s, whole)
        for part in parts:
            await connection.publish(f"{self._base}picture-delta", part, qos=0)
        if whole:
            for n, part in enumerate(parts):
                await connection.publish(f"{self._base}picture/{n}", part, qos=0, retain=True, expiry_s=15)
        if turn % each == 0:
            await self._slowly(connection, t_s, rows)
        for name in list(self._dirty):
            del self._dirty[name]
            await connection.publish(f"{self._base}alert/{name}", dump(self.alerts[name]), retain=True)
        for name, told in list(self.incidents.items()):
            if self._told.get(name) != told["time"]:
                self._told[name] = told["time"]
                await connection.publish(f"{self._base}incident/{name}", dump(told), retain=True)

    async def _slowly(self, connection: Connection, t_s: float, rows: Sequence[Row]) -> None:
        status = {"schema": "vedette.status.v1", "site": "demo", "time": rfc3339(round(t_s * 1e6)), "state": "live"}
        said = {**status, "simulated": True, "mode": self.mode, "load_level": self.load_level}
        await connection.publish(f"{self._base}status", dump(said), retain=True)
        for name in ("R1", "R2", "A1"):
            state = "stale" if self.bad_sensor and name == "R2" else "ok"
            await connection.publish(f"{self._base}sensor/{name}/health", dump(health(name, t_s, state)), retain=True)
        for row in rows[: self.drones]:
            more = {"sigma_border_distance_m": 66.0, "sigma_time_s": 11.0, "p_class": 0.86, "sigma_agl_m": 68.0}
            whole = {"schema": "vedette.track.v1", "time": rfc3339(round(t_s * 1e6)), **row, **more}
            await connection.publish(f"{self._base}track/{row['id']}", dump(whole), qos=0, retain=True, expiry_s=15)

    def _parts(self, rows: Sequence[Row], t_s: float, whole: bool) -> list[bytes]:
        """As `formats.picture` packs them."""
        self._seq += 1
        head = {"schema": picture.SCHEMA, "site": "demo", "seq": self._seq, "time": rfc3339(round(t_s * 1e6))}
        pieces = [rows[i : i + 60] for i in range(0, len(rows), 60)] or [[]]
        marks = {"simulated": True, "full": whole, "parts": len(pieces)}
        return [dump({**head, **marks, "part": n, "tracks": list(piece)}) for n, piece in enumerate(pieces)]

    def _obey(self, verb: str, said: Row) -> bool:
        """Do what was ordered; False: there is no such alert or incident."""
        if "incident_id" in said:
            of = self.incidents.get(said["incident_id"])
            if of is not None:
                of.update({"state": "handed-over", "handed_to": said["to"]} if verb == "hand-over" else {})
                of.update({"taken_by": said["operator"]} if verb == "take" else {})
                of["time"] = rfc3339(round(time.time() * 1e6))
            return of is not None
        found = self.alerts.get(said.get("alert_id", ""))
        if found is None:
            return False
        if verb == "acknowledge":
            now = rfc3339(round(time.time() * 1e6))
            found.update(acknowledged_by=said["operator"], acknowledged_time=now, state="acknowledged")
        elif verb == "identify":
            found.update(identity=said["identity"], identity_by=said["operator"], identity_reason=said["reason"])
        self._dirty[found["id"]] = None
        return True

    async def _answer(self, connection: Connection, incoming: Incoming) -> None:
        verb, said = incoming.topic.rpartition("/")[2], load_json(incoming.payload)
        self.said.append((verb, said))
        if verb == "sighting":
            answer: Row = {"schema": "vedette.sighting-answer.v1", "ok": True, "detail": "joined 1:90000"}
        else:
            ok = self._obey(verb, said)
            answer = {"schema": "vedette.answer.v1", "verb": verb, "ok": ok, "detail": "" if ok else "no such alert"}
        await connection.publish(incoming.response_topic, dump(answer), correlation=incoming.correlation)


@contextmanager
def showing(port: int, **wanted: Any) -> Iterator[Show]:
    """A show at a broker on 127.0.0.1."""
    with Show(BrokerSettings("127.0.0.1", port, client_id="airshow"), **wanted) as show:
        yield show
