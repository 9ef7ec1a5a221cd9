"""A spare waits for the folder of a working service, warmed up, and takes over from where it was killed."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from adapters import config as configuration
from adapters import store
from adapters.commands import simulate
from adapters.config import Config
from adapters.running import standby
from adapters.running.checkpoint import BadCheckpoint
from adapters.running.starting import Start
from adapters.service import Core
from adapters.store import AlertJournal, DataDir, InUse, JournalError, verify
from replay.simulate import Scenario
from tests import shipped
from tests.crashes import refused
from tests.running import write_config
from tests.takeovers import take_over, twice


def entries(count: int, first: int = 0) -> list[bytes]:
    return [b'{"n":%d}' % n for n in range(first, first + count)]


def test_a_folder_is_taken_as_soon_as_it_is_free(tmp_path: Path) -> None:
    holder, spare = DataDir(tmp_path), DataDir(tmp_path)
    with holder:
        assert not spare.taken(0.0)
        with pytest.raises(InUse):
            spare.open()
        with ThreadPoolExecutor(1) as other:
            taken = other.submit(spare.taken, 60.0)
            holder.close()
            assert taken.result()
    with spare:  # it is open already
        assert not DataDir(tmp_path).taken(0.0)
    assert DataDir(tmp_path).taken(0.0)


def test_a_journal_is_read_on_from_what_was_verified_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "alerts.jsonl"
    with AlertJournal(path) as journal:
        journal.append(entries(100))
    known = verify(path)
    with AlertJournal(path) as journal:
        journal.append(entries(3, 100))
    looked: list[int] = []
    check = store._check

    def watched(line: store._Line, n: int, head: str) -> str:
        looked.append(n)
        return check(line, n, head)

    monkeypatch.setattr(store, "_check", watched)
    with AlertJournal(path, known) as journal:
        assert len(journal) == 103
        assert looked == [100, 101, 102]
        journal.append(entries(1, 103))
        assert list(journal.entries()) == entries(104)
    assert verify(path).ok


def test_what_was_verified_before_does_not_count_where_the_end_was_cut_off_or_is_another(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    with AlertJournal(path) as journal:
        journal.append(entries(10))
        whole, size = path.read_bytes(), path.stat().st_size
        journal.append(entries(1, 10))
    known = verify(path)
    path.write_bytes(whole)  # the disk refused the last entry
    with AlertJournal(path, known) as journal:
        assert (len(journal), path.stat().st_size) == (10, size)
        journal.append([b'{"n":11}'])  # of the same length
    with AlertJournal(path, known) as journal:
        assert list(journal.entries()) == [*entries(10), b'{"n":11}']
        journal.append(entries(1, 12))
    assert verify(path).ok
    path.write_bytes(path.read_bytes().replace(b'{\\"n\\":12}', b'{\\"n\\":13}'))
    with pytest.raises(JournalError), AlertJournal(path, known):
        pass


def test_it_tries_to_warm_up_until_there_is_something_to_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(_config(tmp_path), data_dir=tmp_path / "var")
    holder = DataDir(config.data_dir).open()
    tries: list[int] = []

    def gone_on(*_: object, **__: object) -> Start:
        tries.append(1)
        if len(tries) == 1:
            raise BadCheckpoint("there is no checkpoint")
        holder.close()
        return Start(core, 7)

    core = Core(config, shipped.zones(), 7, refused)
    monkeypatch.setattr(standby, "gone_on", gone_on)
    monkeypatch.setattr(standby, "load_zones", lambda _config: shipped.zones())
    monkeypatch.setattr(standby, "AGAIN_S", 0.0)
    folder = DataDir(config.data_dir)
    ready = standby.wait(config, folder)
    try:
        assert len(tries) == 2
        assert ready.core is not None
        assert ready.core is not core
        assert ready.core.engine.config.epoch == 7
        assert not DataDir(config.data_dir).taken(0.0)
    finally:
        folder.close()


def test_waiting_ends_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(_config(tmp_path), data_dir=tmp_path / "var")
    monkeypatch.setattr(standby, "load_zones", lambda _config: shipped.zones())
    before = signal.getsignal(signal.SIGTERM)
    with DataDir(config.data_dir):
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        with pytest.raises(SystemExit) as ended:
            standby.wait(config, DataDir(config.data_dir))
    assert ended.value.code == 0
    assert signal.getsignal(signal.SIGTERM) is before


def _config(folder: Path) -> Config:
    scene = Scenario.load("lithuania-2025-07-28")
    write_config(folder, 1883, scene.sensors, simulate.formats(scene), 9464)
    return configuration.load(folder, environ={})


def test_what_counts_as_raised_twice() -> None:
    def told(state: str, name: str, rule: str = "near", seq: int = 1) -> dict[str, str | int]:
        return {"state": state, "id": name, "track": "1:7", "rule": rule, "seq": seq}

    fine = [told("raised", "a"), told("updated", "a"), told("closed", "a"), told("raised", "b", "inside")]
    assert twice([*fine, told("raised", "c")]) == []  # "a" was over
    assert twice([*fine, told("raised", "a")]) == []  # said again
    assert twice([*fine, told("raised", "a", seq=2)]) == ["a"]
    assert twice([*fine, told("raised", "d", "inside")]) == ["d"]


@pytest.mark.alone
def test_a_spare_goes_on_where_a_working_service_is_killed(tmp_path: Path) -> None:
    went = take_over(tmp_path, "lithuania-2025-07-28", None, kills=1)
    (step,) = went.steps
    assert step.lock_s >= 0.0
    assert 0.0 < step.going_on_s < step.fresh_s
    assert {*went.epochs} == {1}
    assert went.raised
    assert went.twice == []
    assert not [why for why in went.closed if "reset" in why]
