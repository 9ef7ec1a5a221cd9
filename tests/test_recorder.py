"""The recorder: files roll by time and size, the oldest go, and a disk that refuses costs frames and nothing else."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.files.configfile import RecordFile
from adapters.running.recorder import RESERVE_BYTES, RETRY_EVERY_US, Recorder
from fusion.schema import Frame
from replay import recording
from replay.mcapfile import Output
from tests.test_mcapfile import START_US, feed

LIMITS = RecordFile(file_s=10, file_bytes=1_000_000, budget_bytes=10_000_000)
START = Frame(1, START_US, "start", b"{}")


@contextmanager
def recorder(folder: Path, limits: RecordFile = LIMITS) -> Iterator[Recorder]:
    with ThreadPoolExecutor(1) as syncer:
        made = Recorder(folder, limits, lambda _topic, _payload: None, syncer)
        yield made
        made.close()


def ticks(count: int, size: int = 40) -> list[list[Frame]]:
    """Five frames a tick, numbered on from the start frame."""
    frames = [replace(f, seq=f.seq + 2) for f in feed(count, size)]
    return [frames[n : n + 5] for n in range(0, len(frames), 5)]


def play(into: Recorder, told: list[list[Frame]]) -> None:
    for frames in told:
        into.write(frames, frames[-1].rx_us)
        into.say([Output(frames[-1].rx_us, "digest", b"{}")])


def test_files_roll_by_time_and_stand_for_themselves(tmp_path: Path) -> None:
    told = ticks(250)
    with recorder(tmp_path) as made:
        made.begin(7, START)
        play(made, told)
        assert made.frames == 1 + 5 * 250
    files = sorted(tmp_path.iterdir())
    assert [f.name for f in files] == [
        "e000007-20250728T024000Z.mcap", "e000007-20250728T024010Z.mcap", "e000007-20250728T024020Z.mcap"
    ]  # fmt: skip
    frames = [frame for file in files for frame in recording.frames(file)]
    assert frames == [START, *(f for tick in told for f in tick)]
    assert all(recording.contents(file).damage.words() == "whole" for file in files)
    assert [recording.contents(file).outputs.get("start", 0) for file in files] == [0, 1, 1]


def test_files_roll_by_size_and_the_oldest_go(tmp_path: Path) -> None:
    limits = RecordFile(file_s=3600, file_bytes=1_000_000, budget_bytes=10_000_000)
    told = ticks(700, size=20_000)
    (tmp_path / "notes.txt").write_text("not ours", encoding="utf-8")
    with recorder(tmp_path, limits) as made:
        made.begin(1, START)
        for n, frames in enumerate(told):
            made.write(frames, frames[-1].rx_us)
            if n % 20 == 0:
                assert sum(file.stat().st_size for file in tmp_path.iterdir()) < limits.budget_bytes + 200_000
        deleted = made.files_deleted
    assert deleted > 10
    kept = [frame for file in sorted(tmp_path.glob("*.mcap")) for frame in recording.frames(file)]
    everything = [f for tick in told for f in tick]
    assert kept == everything[-len(kept) :]
    assert (tmp_path / "notes.txt").exists()


def test_a_new_run_has_a_file_of_its_own_even_in_the_same_second(tmp_path: Path) -> None:
    for _ in range(3):
        with recorder(tmp_path) as made:
            made.begin(7, START)
    assert len(list(tmp_path.glob("*.mcap"))) == 3


def test_a_full_disk_is_counted_and_tried_again(tmp_path: Path) -> None:
    """The real refusal of the system: a limit on the size of a file."""
    told = ticks(400, size=2_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with recorder(tmp_path, RecordFile(file_s=3600)) as made:
        made.begin(1, START)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            play(made, told[:100])
            assert made.problem == "File too large"
            lost = made.lost
            assert lost >= 5
            assert made.frames + lost == 1 + 500
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        play(made, told[100:])
        assert made.problem == ""
        assert 0 < made.lost - lost <= 5 * (RETRY_EVERY_US // 100_000)
        kept, gone = made.frames, made.lost
    first, *_, last = sorted(tmp_path.glob("*.mcap"))
    whole = [frame for file in sorted(tmp_path.glob("*.mcap")) for frame in recording.frames(file)]
    assert [f.seq for f in whole] == sorted({f.seq for f in whole})
    assert len(whole) >= kept
    assert kept + gone == 1 + 5 * 400
    assert not recording.contents(first).damage.finished  # torn where the disk refused, and readable until there
    assert recording.contents(last).damage.words() == "whole"


def test_a_folder_that_cannot_be_made_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with recorder(tmp_path / "taken") as made:
        made.begin(1, START)
        assert made.problem
        assert made.lost == 1


def test_nothing_is_written_where_nothing_shall_be(tmp_path: Path) -> None:
    with recorder(tmp_path / "r", LIMITS.model_copy(update={"enabled": False})) as made:
        made.begin(1, START)
        play(made, ticks(5))
        assert (made.problem, made.lost, made.frames) == ("", 0, 0)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("seconds", [1, 25])
def test_it_is_synced_every_second(tmp_path: Path, seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fdatasync", synced.append)
    with recorder(tmp_path, RecordFile(file_s=3600)) as made:
        made.begin(1, START)
        for frames in ticks(10 * seconds + 1):
            made.write(frames, frames[-1].rx_us)
            if made._syncing is not None:
                made._syncing.result()
        assert seconds - 1 <= len(synced) // 2 <= seconds


def test_files_of_one_second_sort_in_the_order_of_writing(tmp_path: Path) -> None:
    limits = RecordFile(file_s=3600, file_bytes=1_000_000, budget_bytes=100_000_000)
    with recorder(tmp_path, limits) as made:
        made.begin(1, START)
        for number in range(12):
            made.begin(1, replace(START, seq=number + 2))
    firsts = [next(iter(recording.frames(file))).seq for file in sorted(tmp_path.glob("*.mcap"))]
    assert firsts == list(range(1, 14))


def test_the_journal_keeps_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old recordings go before the disk is full; where that does not help, nothing is recorded."""
    made_free = {"bytes": 10**12}

    class Usage:
        def __init__(self, free: int) -> None:
            self.free = free

    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(made_free["bytes"]))
    with recorder(tmp_path) as made:
        made.begin(1, START)
        play(made, ticks(150))
        assert (made.problem, made.files_deleted) == ("", 0)
        made_free["bytes"] = RESERVE_BYTES - 1
        made.begin(1, replace(START, seq=10_000))
        assert "are free" in made.problem
        assert made.files_deleted == 2
        assert list(tmp_path.glob("*.mcap")) == []
