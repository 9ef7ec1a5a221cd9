"""What a display is told: all tracks, all state, every alert under one number from its first word to its end."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import samples
from adapters.asterix import Block, blocks
from adapters.broker import BrokerSettings
from adapters.formats import alert as alerts
from adapters.formats import cat004, cat062, cat063, cat065, health
from adapters.formats import status as status_format
from adapters.outlets import asterix as outlet
from adapters.outlets.asterix import END_TIMES, AsterixOutlet, Teller
from adapters.outlets.cot import Datagrams
from adapters.outlets.held import EXPIRY_US, Held
from adapters.outlets.listener import Listener
from adapters.outlets.systemtracks import Sender
from adapters.samples import NAMES
from fusion.bias.sensorbias import SensorBias
from fusion.schema import Alert, Health
from tests.test_outlets_held import BASE, track_payload

T_US = 1_774_000_000_000_000
SENDER = Sender(25, 100)
STATUS = status_format.StatusInfo(NAMES.site, T_US, "live", 5)
BIAS = SensorBias("R1", "ok", range_m=86.8, range_gain=5e-5, azimuth_rad=0.002, time_s=0.05)
HEALTH = Health("R1", T_US, "ok", T_US, T_US, 11.4, 0.41, 1.04, 812, 77, bias=BIAS)


def held(*counters: int, status: Any = None) -> Held:
    """A picture with these tracks."""
    found = Held(NAMES.site)
    said = replace(STATUS, t_us=T_US, state="live") if status is None else status
    found.take(BASE + "status", status_format.encode(said), True, T_US)
    for counter in counters:
        found.take(BASE + f"track/5:{counter}", track_payload(counter, T_US), False, T_US)
    return found


def say(to: Held, said: Alert) -> None:
    to.take(BASE + f"alert/{said.id}", alerts.encode(said, NAMES, 1), False, T_US)


def teller(**sensors: tuple[int, int]) -> Teller:
    return Teller(SENDER, sensors)


def batch(one: Teller, picture: Held, connected: bool, t_us: int) -> list[bytes]:
    return [block for piece in one.batch(picture, connected, t_us) for block in piece]


def tracks_of(sent: list[bytes]) -> cat062.SystemTracks:
    found, faults = cat062.decode(b"".join(sent))
    assert not faults
    return found


def warnings_of(sent: list[bytes]) -> list[cat004.Warned]:
    return [message for message in cat004.decode(b"".join(sent))[0] if message.kind != cat004.ALIVE]


def test_a_batch_is_state_tracks_end_life_and_alerts_in_order() -> None:
    picture = held(9, 17, 3)
    say(picture, samples.alarm())
    sent = batch(teller(), picture, True, T_US)
    assert [next(blocks(block)).category for block in sent] == [65, 62, 65, 4, 4]
    t = tracks_of(sent)
    assert t.number.tolist() == [3, 9, 17]
    assert t.begun.tolist() == [1, 1, 1]
    state, end = cat065.decode(b"".join(sent))[0]
    assert (state.kind, state.state, state.service) == (cat065.SDPS_STATUS, cat065.OPERATIONAL, 1)
    assert (end.kind, end.batch) == (cat065.END_OF_BATCH, 1)
    (warned,) = warnings_of(sent)
    assert (warned.kind, warned.track, warned.area) == (cat004.AIRSPACE_INFRINGEMENT, 17, "LT")
    assert warned.predicted  # 7 km outside
    assert all(isinstance(block, Block) for block in blocks(b"".join(sent)))


def test_a_track_that_is_no_more_is_ended_by_its_number() -> None:
    one, picture = teller(), held(9, 17)
    batch(one, picture, True, T_US)
    picture.take(BASE + "track/5:9", b"", False, T_US)
    ended = []
    for n in range(END_TIMES + 1):
        t = tracks_of(batch(one, picture, True, T_US + n))
        ended.append([number for number, last in zip(t.number.tolist(), t.ended.tolist(), strict=True) if last])
        assert t.begun.tolist() == [0] * len(t)
    assert ended == [[9]] * END_TIMES + [[]]


def test_a_track_that_is_back_is_not_ended_any_more() -> None:
    one, picture = teller(), held(9, 17)
    batch(one, picture, True, T_US)
    assert 9 in tracks_of(batch(one, held(17), True, T_US)).number.tolist()
    t = tracks_of(batch(one, picture, True, T_US))
    assert (t.number.tolist(), t.ended.tolist(), t.begun.tolist()) == ([9, 17], [0, 0], [1, 0])


def test_a_large_picture_comes_in_pieces_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet, "TOGETHER", 2)
    pieces = list(teller().batch(held(5, 4, 3, 2, 1), True, T_US))
    assert len([piece for piece in pieces if piece and piece[0][0] == cat062.CATEGORY]) == 3
    assert tracks_of([block for piece in pieces for block in piece]).number.tolist() == [1, 2, 3, 4, 5]


def test_an_alert_has_one_number_from_its_first_word_to_its_end() -> None:
    one, picture = teller(), held(17)
    batch(one, picture, True, T_US)
    said = samples.alarm()
    lives = []
    for state in ("raised", "updated", "acknowledged", "closed"):
        lives += warnings_of(one.alerts(picture, [replace(said, state=state)], False, T_US))
    assert [w.kind for w in lives] == [cat004.AIRSPACE_INFRINGEMENT] * 3 + [cat004.END_OF_CONFLICT]
    assert len(dict.fromkeys(w.alert for w in lives)) == 1
    assert [w.status for w in lives] == [cat004.OPEN, cat004.OPEN, cat004.ACKNOWLEDGED, cat004.ACKNOWLEDGED]
    again = [warnings_of(batch(one, picture, True, T_US)) for _ in range(END_TIMES + 1)]
    assert [[w.kind for w in found] for found in again] == [[cat004.END_OF_CONFLICT]] * END_TIMES + [[]]
    (back,) = warnings_of(one.alerts(picture, [said], False, T_US))
    assert back.alert == lives[0].alert


def test_an_alert_that_ended_unheard_is_ended_too() -> None:
    one, picture = teller(), held(17)
    say(picture, samples.alarm())
    (first,) = warnings_of(batch(one, picture, True, T_US))
    (last,) = warnings_of(batch(one, held(17), True, T_US))
    assert (last.kind, last.alert) == (cat004.END_OF_CONFLICT, first.alert)


@pytest.mark.parametrize(
    ("changes", "state"), [({"simulated": True}, "live"), ({"mode": "exercise"}, "live"), ({}, "replay")]
)
def test_what_is_played_never_passes_for_real(changes: dict[str, Any], state: str) -> None:
    one, picture = teller(), held(status=replace(STATUS, t_us=T_US, state=state))
    names = replace(NAMES, **changes)
    payload = track_payload(17, T_US)
    marks = b"".join(b',"%s":%s' % (k.encode(), b"true" if v is True else b'"exercise"') for k, v in changes.items())
    picture.take(BASE + "track/5:17", payload[:-1] + marks + b"}", False, T_US)
    said = replace(samples.alarm(), **changes)
    picture.take(BASE + f"alert/{said.id}", alerts.encode(said, names, 1), False, T_US)
    sent = batch(one, picture, True, T_US)
    assert tracks_of(sent).simulated.tolist() == [1]
    assert warnings_of(sent) == []
    assert "1 alerts" in one.words()
    picture.take(BASE + "track/5:17", b"", False, T_US)
    ended = tracks_of(batch(one, picture, True, T_US))
    assert (ended.ended.tolist(), ended.simulated.tolist()) == ([1], [1])


@pytest.mark.parametrize(
    ("state", "connected", "told"),
    [("live", True, cat065.OPERATIONAL), ("starting", True, cat065.DEGRADED), ("replay", True, cat065.DEGRADED),
     ("offline", True, cat065.NOT_CONNECTED), ("live", False, cat065.NOT_CONNECTED)],
)  # fmt: skip
def test_the_state_of_the_service_is_told(state: str, connected: bool, told: int) -> None:
    said = replace(STATUS, t_us=T_US, state=state, load_level=2)
    sent = batch(teller(), held(status=said), connected, T_US)
    status = cat065.decode(sent[0])[0][0]
    assert (status.state, status.overload) == (told, True)


def test_sensors_that_are_named_are_told_with_their_biases() -> None:
    picture, said = held(), HEALTH
    picture.take(BASE + f"sensor/{said.sensor}/health", health.encode(said, 1), False, T_US)
    quiet = replace(said, sensor="R9", state="stale", bias=None)
    picture.take(BASE + "sensor/R9/health", health.encode(quiet, 1), False, T_US)
    unnamed = replace(said, sensor="R7")
    picture.take(BASE + "sensor/R7/health", health.encode(unnamed, 1), False, T_US)
    s, _ = cat063.decode(b"".join(batch(teller(**{said.sensor: (25, 1), "R9": (25, 9)}), picture, True, T_US)))
    assert sorted(zip(s.sensor_sac.tolist(), s.sensor_sic.tolist(), strict=True)) == [(25, 1), (25, 9)]
    known, silent = s.sensor_sic.tolist().index(1), s.sensor_sic.tolist().index(9)
    assert (s.state[silent], s.silent[silent]) == (cat063.DEGRADED, True)
    assert np.isnan([s.range_bias_m[silent], s.azimuth_bias_rad[silent]]).all()
    assert (s.state[known], s.silent[known], s.inhibited[known]) == (cat063.OPERATIONAL, False, False)
    told = [s.range_bias_m[known], s.range_gain[known], s.azimuth_bias_rad[known], s.time_bias_s[known]]
    assert told == pytest.approx([86.8, 5e-5, 0.002, 0.05], rel=0.01)


def test_a_display_and_a_file_get_the_same_and_an_alert_at_once(tmp_path: Path) -> None:
    display = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    display.bind(("127.0.0.1", 0))
    display.settimeout(30.0)
    path = tmp_path / "told.ast"
    to = Listener(BrokerSettings("127.0.0.1"), NAMES.site, "test")
    to.held = held(17)

    async def play() -> list[bytes]:
        teller_of = AsterixOutlet(teller(), 600.0, Datagrams("127.0.0.1", display.getsockname()[1]), path)
        task = asyncio.create_task(teller_of.serve(to))
        got = [await asyncio.to_thread(display.recv, 65_536) for _ in range(4)]
        say(to.held, samples.alarm())
        to.ring()
        got.append(await asyncio.to_thread(display.recv, 65_536))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert "5 data blocks sent" in teller_of.words()
        return got

    with display:
        got = asyncio.run(play())
    assert tracks_of(got).number.tolist() == [17]
    assert [w.kind for w in warnings_of(got[-1:])] == [cat004.AIRSPACE_INFRINGEMENT]
    assert path.read_bytes() == b"".join(got)


def test_nobody_there_stops_nothing_and_what_is_old_goes() -> None:
    one, picture = teller(), held(17)
    batch(one, picture, True, T_US)
    picture.expire(T_US + 2 * EXPIRY_US)
    t = tracks_of(batch(one, picture, False, T_US + 2 * EXPIRY_US))
    assert (t.number.tolist(), t.ended.tolist()) == ([17], [1])
