"""Which piece of which recordings an incident needs, and what is said when it is not all there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adapters.errors import ConfigError
from adapters.evidence.slices import BEFORE_US, NEAR_START_US, cold_start_after, earlier, slice_of
from fusion.schema import US_PER_S, Frame
from replay import recording
from replay.log import START
from replay.mcapfile import Output
from replay.mcapread import Item

T0_US = 1_753_670_400_000_000  # 2025-07-28T02:40:00Z
OPEN = 2**62


def night(folder: Path, minutes: int = 40, epoch: int = 7, start_us: int = T0_US) -> list[Path]:
    """A tick a second, a file every ten minutes, a checkpoint ten seconds after each begins and every two minutes."""
    files = []
    for first_s in range(0, minutes * 60, 600):
        items: list[Item] = []
        if first_s:
            items.append(Output(start_us + first_s * US_PER_S, START, b"start"))
        else:
            items.append(Frame(1, start_us, START, b"start"))
        for s in range(first_s, first_s + 600):
            at_us = start_us + s * US_PER_S
            items.append(Frame(s + 2, at_us, "tick", b""))
            if s > 0 and s % 120 == 10:
                items.append(Output(at_us, "checkpoint", b"{}"))
        stamp = f"20250728T{2 + (40 * 60 + first_s) // 3600:02d}{(40 * 60 + first_s) // 60 % 60:02d}00Z"
        files.append(folder / f"e{epoch:06d}-{stamp}.mcap")
        recording.write(files[-1], iter(items))
    return files


def at(seconds: float) -> int:
    return T0_US + round(seconds * US_PER_S)


def test_it_begins_at_the_newest_checkpoint_a_minute_before_the_first_plot_and_ends_behind_the_end(
    tmp_path: Path,
) -> None:
    night(tmp_path)
    found = slice_of(tmp_path, 7, at(1_500), at(1_560))
    items = list(found.read())
    assert (found.entered, found.entered_us, found.notes) == ("checkpoint", at(1_330), [])
    assert items[0] == Output(at(1_330), "checkpoint", b"{}")
    assert found.last_us == at(1_562)
    assert found.start == b"start"
    assert found.entered_us <= at(1_500) - BEFORE_US


def test_where_the_file_has_no_such_checkpoint_the_one_before_it_has(tmp_path: Path) -> None:
    night(tmp_path)
    found = slice_of(tmp_path, 7, at(1_205), at(1_300))
    assert (found.entered, found.entered_us) == ("checkpoint", at(1_090))
    assert [item for item in found.read() if isinstance(item, Output) and item.topic == START]
    assert found.notes == []  # a file that follows is no restart


def test_a_start_shortly_before_is_taken_as_a_whole(tmp_path: Path) -> None:
    night(tmp_path)
    found = slice_of(tmp_path, 7, at(BEFORE_US / 1e6 + NEAR_START_US / 1e6 - 1), at(700))
    assert (found.entered, found.entered_us) == ("start", T0_US)
    assert next(found.read()) == Frame(1, T0_US, START, b"start")
    assert slice_of(tmp_path, 7, at(5), at(700)).entered == "start"  # less than a minute before


def test_what_the_disk_budget_took_is_said(tmp_path: Path) -> None:
    files = night(tmp_path)
    for file in files[:2]:
        file.unlink()
    found = slice_of(tmp_path, 7, at(900), at(1_500))
    assert (found.entered, found.entered_us) == ("checkpoint", at(1_210))
    assert "can be entered from 2025-07-28T03:00:10.000Z on only" in found.notes[0]
    assert "disk budget" in found.notes[0]
    for file in files[2:]:
        file.unlink()
    found = slice_of(tmp_path, 7, at(900), at(1_500))
    assert (found.entered, found.files) == ("", [])
    assert "cannot be run again" in found.notes[0]
    assert "disk budget" in found.notes[0]


def test_a_recording_without_a_place_to_enter_is_kept_and_said(tmp_path: Path) -> None:
    recording.write(tmp_path / "e000007-20250728T024000Z.mcap", iter([Frame(5, at(s), "tick", b"") for s in (1,)]))
    found = slice_of(tmp_path, 7, at(0), OPEN)
    assert found.entered == ""
    assert len(list(found.read())) == 1
    assert "cannot be run again" in found.notes[0]


def test_a_file_that_goes_while_it_is_read_is_refused_with_the_cure(tmp_path: Path) -> None:
    files = night(tmp_path, 20)
    found = slice_of(tmp_path, 7, at(300), OPEN)
    os.unlink(files[1])
    with pytest.raises(ConfigError, match=r"disk budget took it meanwhile.*run it again"):
        list(found.read())


def test_a_restart_and_frames_that_no_disk_took_are_said(tmp_path: Path) -> None:
    night(tmp_path, 10)
    gone_on: list[Item] = [Output(at(620), START, b"another start")]
    gone_on += [Frame(700 + s, at(620 + s), "tick", b"") for s in range(9)]
    recording.write(tmp_path / "e000007-20250728T025020Z.mcap", iter(gone_on))
    found = slice_of(tmp_path, 7, at(300), OPEN)
    list(found.read())
    assert found.notes[0] == "the service was restarted at 2025-07-28T02:50:20.000Z and went on from its checkpoint"
    assert found.notes[1] == "98 frames before 2025-07-28T02:50:20.000Z were not recorded"


def test_a_cold_start_meanwhile_is_known_by_its_epoch(tmp_path: Path) -> None:
    night(tmp_path, 10)
    assert cold_start_after(tmp_path, 7, OPEN) == -1
    night(tmp_path, 10, epoch=8)
    assert cold_start_after(tmp_path, 7, OPEN) == T0_US
    assert cold_start_after(tmp_path, 8, OPEN) == -1


def test_an_incident_that_goes_on_over_a_cold_start_has_the_recording_of_both_runs(tmp_path: Path) -> None:
    files = night(tmp_path, 20, epoch=8)
    for number, file in enumerate(files):  # half an hour later, by its name; what is in it keeps its time
        file.rename(tmp_path / f"e000008-20250728T03{10 + 10 * number}00Z.mcap")
    night(tmp_path, 20, epoch=7)
    night(tmp_path, 10, epoch=6, start_us=T0_US - 3_600 * US_PER_S)[0].rename(
        tmp_path / "e000006-20250728T014000Z.mcap"
    )
    found = earlier(tmp_path, 8, at(1_100))
    assert [epoch for epoch, _ in found] == [7]  # the one before it had ended by then
    assert (found[0][1].entered, found[0][1].entered_us) == ("checkpoint", at(970))
    assert list(found[0][1].read())[-1] == Frame(1_201, at(1_199), "tick", b"")
    assert earlier(tmp_path, 8, at(1_801)) == []
    assert earlier(tmp_path, 7, at(-100))[0][0] == 6
    now = slice_of(tmp_path, 8, at(-60), OPEN)
    assert now.notes == [
        "the service started anew at 2025-07-28T02:40:00.000Z, without the picture, after the first plot at "
        "2025-07-28T02:39:00.000Z"
    ]
