"""ASTERIX to air traffic displays and to neighbours: CAT062 tracks, CAT065 and CAT063 state, CAT004 alerts.

Every `every_s` all there is to tell is told anew, so that who comes late or loses a datagram has it with the next: the
state of the service and of its sensors, all tracks in order of their numbers, the end of the batch, a sign of life of
the alerts and all that are open. An alert that changes is told at once. What ends is said `END_TIMES` times.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from adapters.asterix import DAY_US, MOST_OCTETS
from adapters.broker import now_us
from adapters.formats import cat004, cat062, cat063, cat065
from adapters.formats.cat004 import Warned
from adapters.outlets.cot import Datagrams
from adapters.outlets.held import Held
from adapters.outlets.listener import Listener
from adapters.outlets.numbering import NONE, Numbers
from adapters.outlets.systemtracks import Sender, ended_tracks, system_tracks
from adapters.played import marks
from adapters.rows import Told
from fusion.schema import Alert, Health

TOGETHER = 1_000  # tracks in one piece: some 20 ms
END_TIMES = 3  # what ends is said so often: a datagram may be lost
SEVERE = 1  # severity that CAT004 calls high; the others are low
Names = Mapping[str, tuple[int, int]]  # sensor: SAC, SIC


class Teller:
    """What is to be told, as data blocks, and what was: which numbers are whose, what has to be ended."""

    def __init__(self, sender: Sender, sensors: Names, most: int = MOST_OCTETS) -> None:
        self._sender, self._sensors, self._most = sender, dict(sensors), most
        self._tracks, self._alerts = Numbers(), Numbers()
        self._told: dict[str, bool] = {}  # tracks told so far, and whether as simulated
        self._ending_tracks: dict[int, tuple[bool, int]] = {}  # number: played, how often it is still to be said
        self._open: dict[str, Warned] = {}  # alerts told so far, as they were told last
        self._ending: dict[str, tuple[Warned, int]] = {}
        self._batch = 0
        self._replayed = False
        self.kept_back = 0  # alerts that are played: CAT004 cannot say so

    def words(self) -> str:
        """One line for people."""
        without = self._tracks.refused + self._alerts.refused
        left = f", {without} times without a number" if without else ""
        kept = f", {self.kept_back} alerts of a simulation, exercise or replay kept back" if self.kept_back else ""
        return f"{len(self._told)} tracks, {len(self._open)} alerts told{left}{kept}"

    def batch(self, held: Held, connected: bool, t_us: int) -> Iterator[list[bytes]]:
        """All there is to tell, in the order in which it is sent, in pieces that are soon made."""
        self._batch = (self._batch + 1) % 256
        self._replayed = held.replayed
        yield [self._status(held, connected, t_us)]
        yield self._health([held.health[name] for name in sorted(held.health)], t_us)
        yield from self._tracks_told(list(held.tracks()), t_us)
        end = cat065.Status(cat065.END_OF_BATCH, self._sender.sac, self._sender.sic, t_us % DAY_US)
        yield [cat065.encode(replace(end, service=self._sender.service, batch=self._batch))]
        yield [cat004.encode(Warned(cat004.ALIVE, self._sender.sac, self._sender.sic, t_us % DAY_US))]
        yield self.alerts(held, held.alerts(), True, t_us) + self._endings()

    def alerts(self, held: Held, said: Sequence[Alert], whole: bool, t_us: int) -> list[bytes]:
        """These alerts as they stand; with `whole` all others have ended."""
        if whole:
            there = [alert.id for alert in said]
            for name in [name for name in self._open if name not in there]:
                self._end_alert(name, t_us)
            self.kept_back = sum(map(self._is_played, said))
        blocks = []
        for alert in said:
            if self._is_played(alert):
                continue
            if alert.state == "closed":
                self._end_alert(alert.id, t_us)
                blocks += [cat004.encode(self._ending[alert.id][0])] if alert.id in self._ending else []
                continue
            if (number := self._alerts.of(alert.id, t_us)) != NONE:
                self._ending.pop(alert.id, None)
                track = self._tracks.of(alert.track, t_us) if alert.track in self._told else NONE
                self._open[alert.id] = _warned(alert, held.track(alert.track), number, track, self._sender, t_us)
                blocks.append(cat004.encode(self._open[alert.id]))
        return blocks

    def _is_played(self, said: Alert | Told) -> bool:
        """Of a simulation, an exercise or a replay: it must not pass for real."""
        return bool(marks(said.simulated, said.mode, self._replayed))

    def _end_alert(self, name: str, t_us: int) -> None:
        last = self._open.pop(name, None)
        if last is not None:
            ended = replace(last, kind=cat004.END_OF_CONFLICT, day_us=t_us % DAY_US, time_to_s=math.nan)
            self._ending[name] = (ended, END_TIMES)
            self._alerts.end(name, t_us)

    def _endings(self) -> list[bytes]:
        blocks = [cat004.encode(message) for message, _ in self._ending.values()]
        self._ending = {name: (message, left - 1) for name, (message, left) in self._ending.items() if left > 1}
        return blocks

    def _status(self, held: Held, connected: bool, t_us: int) -> bytes:
        said = held.status
        state = cat065.OPERATIONAL if said is not None and said.state == "live" else cat065.DEGRADED
        if not connected or said is None or said.state == "offline":
            state = cat065.NOT_CONNECTED
        status = cat065.Status(
            cat065.SDPS_STATUS,
            self._sender.sac,
            self._sender.sic,
            t_us % DAY_US,
            service=self._sender.service,
            state=state,
            overload=said is not None and said.load_level > 0,
        )
        return cat065.encode(status)

    def _tracks_told(self, rows: list[Told], t_us: int) -> Iterator[list[bytes]]:
        there = {row.id: None for row in rows}
        for name in [name for name in self._told if name not in there]:
            played = self._told.pop(name)
            number = self._tracks.end(name, t_us)
            if number != NONE:
                self._ending_tracks[number] = (played, END_TIMES)
        numbered = sorted((self._tracks.of(row.id, t_us), row.id, row) for row in rows if row.lat_deg is not None)
        numbered = [entry for entry in numbered if entry[0] != NONE]
        for first in range(0, len(numbered), TOGETHER):
            some = numbered[first : first + TOGETHER]
            found = [row for _, _, row in some]
            numbers = [number for number, _, _ in some]
            begun = [row.id not in self._told for row in found]
            simulated = [self._is_played(row) for row in found]
            self._told |= {row.id: played for row, played in zip(found, simulated, strict=True)}
            for number in numbers:
                self._ending_tracks.pop(number, None)  # it is back before its end was said for the last time
            yield cat062.encode(system_tracks(found, numbers, begun, simulated, self._sender), self._most)
        yield self._tracks_ended(t_us)

    def _tracks_ended(self, t_us: int) -> list[bytes]:
        blocks: list[bytes] = []
        for played in (False, True):
            numbers = [number for number, (was, _) in self._ending_tracks.items() if was == played]
            if numbers:
                blocks += cat062.encode(ended_tracks(sorted(numbers), t_us, played, self._sender), self._most)
        self._ending_tracks = {n: (was, left - 1) for n, (was, left) in self._ending_tracks.items() if left > 1}
        return blocks

    def _health(self, found: list[Health], t_us: int) -> list[bytes]:
        named = [health for health in found if health.sensor in self._sensors]
        if not named:
            return []
        biases = [h.bias if h.bias is not None and h.bias.state == "ok" else None for h in named]

        def told(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
            return np.array([math.nan if b is None else getattr(b, name) for b in biases], np.float64)

        who = np.array([self._sensors[health.sensor] for health in named], np.int32)
        n = len(named)
        sensors = cat063.Sensors(
            sac=np.full(n, self._sender.sac, np.int32),
            sic=np.full(n, self._sender.sic, np.int32),
            service=np.full(n, self._sender.service, np.int32),
            day_us=np.full(n, t_us % DAY_US),
            sensor_sac=who[:, 0],
            sensor_sic=who[:, 1],
            state=np.array([_STATES.get(health.state, cat063.NOT_CONNECTED) for health in named], np.int8),
            inhibited=np.array([health.state == "off" for health in named]),
            silent=np.array([health.state in ("stale", "never") for health in named]),
            time_bias_s=told("time_s"),
            range_gain=told("range_gain"),
            range_bias_m=told("range_m"),
            azimuth_bias_rad=told("azimuth_rad"),
            elevation_bias_rad=told("elevation_rad"),
        )
        return cat063.encode(sensors, self._most)


_STATES = {"ok": cat063.OPERATIONAL, "degraded": cat063.DEGRADED, "stale": cat063.DEGRADED}


def _warned(alert: Alert, told: Told | None, number: int, track: int, sender: Sender, t_us: int) -> Warned:
    told_of = {quantity.name: quantity.value for quantity in alert.quantities}
    distance_m = told_of.get("distance_m")
    ahead_s = told.time_to_border_s if told is not None else None
    return Warned(
        cat004.AIRSPACE_INFRINGEMENT,
        sender.sac,
        sender.sic,
        t_us % DAY_US,
        alert=number,
        status=cat004.ACKNOWLEDGED if alert.state == "acknowledged" or alert.acknowledged_by else cat004.OPEN,
        track=track,
        callsign=(told.callsign or "") if told is not None else "",
        mode3a=int(told.mode3a, 8) if told is not None and told.mode3a else -1,
        predicted=isinstance(distance_m, float) and distance_m > 0.0,  # positive: outside the border
        severe=alert.severity <= SEVERE,
        time_to_s=math.nan if ahead_s is None else ahead_s,
        area=alert.near_state,
    )


class AsterixOutlet:
    """Tells a display, a file, or both, until cancelled."""

    def __init__(self, teller: Teller, every_s: float, link: Datagrams | None, file: Path | None) -> None:
        self._teller, self._every_s = teller, every_s
        self._link, self._file = link, file
        self._alert_number = 0
        self.sent, self.problem = 0, ""

    def words(self) -> str:
        """One line for people."""
        trouble = f"; last problem: {self.problem}" if self.problem else ""
        return f"{self.sent} data blocks sent; {self._teller.words()}{trouble}"

    async def serve(self, listener: Listener) -> None:
        """Tell. Raises OSError where the address cannot be found or the file cannot be written."""
        if self._link is not None:
            await self._link.open()
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        try:
            while True:
                if loop.time() >= next_s:
                    next_s = max(next_s + self._every_s, loop.time())
                    self._alert_number = listener.held.alert_number
                    for blocks in self._teller.batch(listener.held, listener.connection.connected, now_us()):
                        await self._send(blocks)
                        await asyncio.sleep(0)  # the listener reads on
                # A word of the alerts comes at once, all else when it is time.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, next_s - loop.time())):
                        await listener.alerted(self._alert_number)
                        await self._alerts(listener)
        finally:
            if self._link is not None:
                self._link.close()

    async def _alerts(self, listener: Listener) -> None:
        found = listener.held.alert_changes(self._alert_number)
        self._alert_number = found.number
        await self._send(self._teller.alerts(listener.held, found.alerts, found.whole, now_us()))

    async def _send(self, blocks: list[bytes]) -> None:
        if self._file is not None:
            await asyncio.to_thread(_append, self._file, b"".join(blocks))
        if self._link is not None:
            try:
                await self._link.send(blocks)
            except OSError as error:  # no way there now; what is told next may find one
                self.problem = str(error)
        self.sent += len(blocks)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
