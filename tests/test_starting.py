"""How a service starts: from checkpoint and recorded frames it comes to the state that it had, or starts cold."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import pytest

from adapters import config as configuration
from adapters import store
from adapters.broker import Outgoing, now_us
from adapters.commands import simulate
from adapters.config import Config
from adapters.formats import skip
from adapters.running import startframe, starting
from adapters.running.checkpoint import About, Data, Kept, code, frozen, packed, save
from adapters.running.outbox import Turn
from adapters.running.outputs import Digest
from adapters.running.recorder import Recorder
from adapters.running.starting import LOST_IDS, SAVE_EVERY_US, Marks, Saver, Start, journal_rest, start
from adapters.running.told import Told
from adapters.service import Core
from adapters.store import AlertJournal, DataDir
from fusion.associate import NEXT_ID
from fusion.numbers import Run
from fusion.schema import US_PER_S, Frame
from replay.log import LEFT, START, TICK
from replay.simulate import Scenario
from tests import shipped
from tests.crashes import crash, play, refused
from tests.running import write_config

SAVED_S, CRASHED_S, END_S = 12, 16, 20


@dataclass
class Crashed:
    """A service that died at 16 s of a scene with a checkpoint of 12 s, and what it would have said at 16 and 20 s."""

    config: Config
    data: bytes
    about: About
    rest: list[Frame]
    at_crash: Digest
    at_end: Digest
    last_seq: int


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crashed]:
    scene = Scenario.load("lithuania-2025-07-28")
    folder = tmp_path_factory.mktemp("crashed")
    write_config(folder, 1883, scene.sensors, simulate.formats(scene), 9464)
    loaded = configuration.load(folder, environ={})
    until = {s: scene.start_us + s * US_PER_S for s in (SAVED_S, CRASHED_S, END_S)}
    played = takewhile(lambda frame: frame.rx_us <= until[END_S], scene.frames(simulate.encode))
    frames = [replace(f, seq=f.seq + 2) for f in played]
    core = Core(loaded, shipped.zones(), 1, refused)
    with ThreadPoolExecutor(1) as syncer:
        recorder = Recorder(loaded.record_dir, loaded.record, lambda _topic, _payload: None, syncer)
        recorder.begin(1, Frame(1, scene.start_us, START, startframe.encode(loaded, 1, scene.start_us)))
        parts = [
            [f for f in frames if f.rx_us <= until[SAVED_S]],
            [f for f in frames if until[SAVED_S] < f.rx_us <= until[CRASHED_S]],
            [f for f in frames if f.rx_us > until[CRASHED_S]],
        ]
        for part in parts[:2]:
            for frame in part:
                recorder.write([frame], frame.rx_us)
        play(core, parts[0])
        about = About(1, parts[0][-1].seq, parts[0][-1].rx_us, loaded.hash, code())
        data = bytes(packed(about, frozen(core.snapshot())))
        play(core, parts[1])
        at_crash = core.outputs.digest
        play(core, parts[2])
        yield Crashed(loaded, data, about, parts[2], at_crash, core.outputs.digest, parts[1][-1].seq)
        recorder.close()


def begun(crashed: Crashed, checkpoint: Data | None, is_feed: bool = False) -> Start:
    """A start with this checkpoint in the folder."""
    with DataDir(crashed.config.data_dir) as folder:
        if checkpoint is None:
            folder.checkpoint_path.unlink(missing_ok=True)
        else:
            save(folder.checkpoint_path, checkpoint)
        (folder.path / "epoch").write_text("1\n", encoding="utf-8")
        return start(crashed.config, shipped.zones(), folder, refused, is_feed)


def test_it_goes_on_as_if_nothing_had_happened(crashed: Crashed) -> None:
    found = begun(crashed, crashed.data)
    assert (found.reason, found.epoch, found.seq) == ("", 1, crashed.last_seq)
    assert len(found.turns) == 10 * (CRASHED_S - SAVED_S)
    assert found.core.outputs.digest == crashed.at_crash
    play(found.core, crashed.rest)
    assert found.core.outputs.digest == crashed.at_end
    assert found.core.engine.counters.balance() == 0


@pytest.mark.parametrize("seed", [1])
def test_it_may_die_at_any_tick_and_in_the_middle_of_one(tmp_path: Path, seed: int) -> None:
    """A seeded sample; all of them are a campaign of the soak."""
    went = crash(tmp_path, seed)
    assert went.reason == ""
    assert went.digest_after == went.digest_whole
    assert went.ticks == 241


def test_whatever_cannot_be_used_is_named_and_the_start_is_cold(crashed: Crashed) -> None:
    ahead = packed(replace(crashed.about, tick_us=now_us() + 3_600_000_000), frozen({}))
    other = packed(replace(crashed.about, epoch=5, code="0" * 64), frozen({}))
    for checkpoint, reason, epoch in (
        (None, "there is no checkpoint", 2),
        (crashed.data[:-1], "truncated or damaged", 2),
        (b"", "not a checkpoint", 2),
        (packed(replace(crashed.about, config_hash="0" * 64), frozen({})), "another configuration", 2),
        (packed(replace(crashed.about, code="0" * 64), frozen({})), "another version of the program", 2),
        (packed(replace(crashed.about, epoch=3), frozen({})), "of epoch 3, the newest is 1", 4),
        (other, "another version of the program", 6),
        (ahead, "a time that our clock has not reached", 2),
    ):
        found = begun(crashed, checkpoint)
        assert reason in found.reason
        assert (found.epoch, found.seq, found.turns) == (epoch, 0, [])  # no track id comes twice


def test_after_a_power_cut_track_ids_that_may_have_been_given_out_are_passed_over(
    crashed: Crashed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("one", encoding="ascii")
    monkeypatch.setattr(store, "BOOT_ID", boot)
    kept_in = crashed.config.data_dir / "boot"  # by the real machine's id, of the tests before
    kept_in.unlink(missing_ok=True)
    begun(crashed, crashed.data)  # knows of no start of the machine before this one
    assert begun(crashed, crashed.data).left == []  # kill -9: nothing is lost
    boot.write_text("two", encoding="ascii")
    assert passed_over(begun(crashed, crashed.data)) == LOST_IDS  # and is killed before it has written anything
    found = begun(crashed, crashed.data)
    first = replace(found.first(Frame(0, crashed.rest[0].rx_us, START, b""))[0], seq=found.seq + 1)
    assert first.source == LEFT
    before = int(found.core.engine.tracker.snapshot()["counts"][NEXT_ID])
    found.core.enter([first])
    assert int(found.core.engine.tracker.snapshot()["counts"][NEXT_ID]) == before + LOST_IDS
    state, last_us = frozen(found.core.snapshot()), found.turns[-1][0]
    play(found.core, crashed.rest)
    assert found.core.engine.counters.balance() == 0
    boot.write_text("three", encoding="ascii")  # once more, before a state with these ids was on the disk
    again = begun(crashed, crashed.data)
    assert passed_over(again) == 2 * LOST_IDS
    with ThreadPoolExecutor(1) as syncer:
        kept = Saver(crashed.config.data_dir / "checkpoint", crashed.config.hash, syncer, again.boots)
        about = kept.about(1, Frame(first.seq, last_us, TICK, b""))
    known = packed(about, state)
    assert begun(crashed, known).left == []  # a state that knows of it
    boot.write_text("four", encoding="ascii")
    assert passed_over(begun(crashed, known)) == LOST_IDS
    kept_in.unlink()


def passed_over(found: Start) -> int:
    (frame,) = found.left
    return skip.decode(frame.payload)


def test_numbers_of_messages_never_fall(crashed: Crashed) -> None:
    before_us = now_us()
    for checkpoint in (crashed.data, None):
        assert begun(crashed, checkpoint).core.outbox._next() > before_us


def test_answers_of_recorded_ticks_and_cleared_topics_are_sent_once_more(
    crashed: Crashed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was killed may not have sent them; pictures are told again anyway."""
    answer, track = Outgoing("somebody/waits", b"{}", qos=1), Outgoing("track/1:1", b"{}", retain=True)
    gone, area = Outgoing("track/1:2", b"", retain=True), Outgoing("area/1", b"{}", qos=1, retain=True)
    delta = Outgoing("picture-delta", b"{}")
    monkeypatch.setattr(Core, "work", lambda *_: ([], Turn(others=[answer, track, gone, area, delta]), None))
    found = begun(crashed, crashed.data)
    assert found.owed == [answer, gone] * (10 * (CRASHED_S - SAVED_S))


@pytest.mark.parametrize("changed", ['"site":"test"', '"epoch":1', '"config_hash":"'])
def test_recordings_of_somebody_else_are_let_be(crashed: Crashed, tmp_path: Path, changed: str) -> None:
    """A name says nothing: what was copied into the folder would be fused as ours."""
    said = startframe.encode(crashed.config, 1, crashed.about.tick_us)
    other = said.replace(changed.encode(), changed[:-1].encode() + b"7" + changed[-1:].encode())
    assert other != said
    for payload, ticks in ((said, 1), (other, 0)):
        folder = tmp_path / str(ticks)
        with ThreadPoolExecutor(1) as syncer:
            recorder = Recorder(folder, crashed.config.record, lambda _topic, _payload: None, syncer)
            recorder.go_on(1, Frame(0, crashed.about.tick_us, START, payload))
            recorder.write([Frame(crashed.about.seq + 1, crashed.about.tick_us + 100_000, TICK, b"")], 1)
            recorder.close()
        found = begun(replace(crashed, config=replace(crashed.config, record_dir=folder)), crashed.data)
        assert (found.reason, len(found.turns)) == ("", ticks)


def test_sensors_are_told_of_what_a_state_on_the_disk_holds(tmp_path: Path) -> None:
    to_7, to_9, to_12 = ({"R1": (Run(1, 0, last),)} for last in (7, 9, 12))
    with ThreadPoolExecutor(1) as syncer:
        saver = Saver(tmp_path / "checkpoint", "c" * 64, syncer)

        def keep(tick_us: int, marks: Marks) -> None:
            saver.keep(Kept(saver.about(1, Frame(1, tick_us, TICK, b"")), frozen({})), marks)
            assert saver._save is not None
            saver._save.result()

        assert saver.sure(to_7) == {}
        keep(10**15 + 1, to_7)
        assert saver.sure(to_9) == to_7
        (tmp_path / "checkpoint.new").mkdir()  # the disk refuses
        keep(10**15 + 2, to_9)
        assert saver.problem
        assert saver.sure(to_12) == to_7
        assert Saver(None, "", syncer).sure(to_12) == to_12


def test_a_replay_never_goes_on(crashed: Crashed) -> None:
    assert begun(crashed, crashed.data, is_feed=True).reason == "a replay begins"


def test_without_its_recording_the_checkpoint_alone_counts(crashed: Crashed) -> None:
    moved = replace(crashed.config, record_dir=Path("/nowhere"))
    found = begun(replace(crashed, config=moved), crashed.data)
    assert (found.reason, found.seq, found.turns) == ("", crashed.about.seq, [])


def test_the_state_is_kept_every_second_and_in_the_recording_every_minute(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as syncer:
        saver = Saver(tmp_path / "checkpoint", "c" * 64, syncer)
        saved = recorded = 0
        for n in range(1_201):  # two minutes
            tick = Frame(n, 10**15 + n * 100_000, TICK, b"")
            recorded += saver.is_due_in_recording(tick.rx_us, False)
            if saver.is_due(tick.rx_us):
                saver.keep(Kept(saver.about(1, tick), frozen({"n": n})), {})
                assert saver._save is not None
                saver._save.result()
                saved += 1
        assert (saved, recorded) == (121, 2)
        assert saver.is_due_in_recording(10**15 + 121_000_000, is_fresh=True)
        assert SAVE_EVERY_US == US_PER_S
        blocked = Saver(tmp_path / "none" / "checkpoint", "c" * 64, syncer)
        blocked.keep(Kept(blocked.about(1, tick), frozen({})), {})
        assert blocked._save is not None
        blocked._save.result()
        assert blocked.problem == "No such file or directory"
        assert not Saver(None, "", syncer).is_due(10**15)


def test_what_kills_the_service_on_record_does_not_kill_every_start(
    crashed: Crashed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a tick that nobody survives")

    monkeypatch.setattr(Core, "work", broken)
    found = begun(crashed, crashed.data)
    assert "going on failed (ZeroDivisionError)" in found.reason
    assert (found.epoch, found.turns) == (2, [])
    assert found.core.engine.counters.received == 0


def test_who_has_too_much_to_catch_up_with_starts_cold(crashed: Crashed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "MOST_TICKS", 10 * (CRASHED_S - SAVED_S))
    assert begun(crashed, crashed.data).reason == ""
    monkeypatch.setattr(starting, "MOST_TICKS", 10 * (CRASHED_S - SAVED_S) - 1)
    found = begun(crashed, crashed.data)
    assert "ticks were recorded after the checkpoint" in found.reason
    assert (found.epoch, found.turns) == (2, [])


def test_who_records_nothing_starts_cold(crashed: Crashed) -> None:
    quiet = replace(crashed.config, record=crashed.config.record.model_copy(update={"enabled": False}))
    assert "nothing is recorded" in begun(replace(crashed, config=quiet), crashed.data).reason


def test_while_nothing_is_recorded_no_state_is_kept_and_the_old_one_goes(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(b"of before")
    with ThreadPoolExecutor(1) as syncer:
        saver = Saver(path, "c" * 64, syncer)
        saver.is_sure = False
        assert not saver.is_due(10**15)
        assert not path.exists()
        saver.is_sure = True
        assert saver.is_due(10**15)


def test_alerts_of_recorded_ticks_are_journalled_once_before_anything_is_told(crashed: Crashed, tmp_path: Path) -> None:
    """A tick that the journal has taken is not journalled again, and is not told again either."""
    found = begun(crashed, crashed.data)
    told = [turn for turn in found.turns if turn[2].journal]
    assert told, "nothing was alerted between checkpoint and crash: the scene does not try it"
    with AlertJournal(tmp_path / "alerts.jsonl") as journal:
        journal_rest(found, journal, Told(tmp_path / "told", 0))
        once = list(journal.entries())
        assert once == [entry for _, _, turn in told for entry in turn.journal]
        again = begun(crashed, crashed.data)
        journal_rest(again, journal, Told(tmp_path / "told", 0))
        assert list(journal.entries()) == once
        assert not any(turn.journal for _, _, turn in again.turns)
