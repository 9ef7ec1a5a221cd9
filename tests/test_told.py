"""How far of the journal was published: kept, and never believed to be more than it is."""

from __future__ import annotations

from pathlib import Path

from adapters.running.told import Told

RECENT = [(number, b"%d" % number) for number in range(3, 9)]


def test_a_start_says_what_was_journalled_and_not_published(tmp_path: Path) -> None:
    path = tmp_path / "told"
    Told(path, 2).note(5)
    told = Told(path, 8)
    assert told.count == 5
    assert told.unsaid(RECENT, 7) == [b"6", b"7"]  # the eighth is of this start, which publishes it itself
    told.note(8)
    assert Told(path, 8).unsaid(RECENT, 8) == []


def test_before_there_was_such_a_file_everything_counts_as_published(tmp_path: Path) -> None:
    assert Told(tmp_path / "told", 8).unsaid(RECENT, 8) == []


def test_a_damaged_number_costs_repeats(tmp_path: Path) -> None:
    for text in (b"", b"00000000000", bytes(20), b"x" * 20):
        path = tmp_path / "told"
        path.write_bytes(text)
        assert Told(path, 8).unsaid(RECENT, 8) == [payload for _, payload in RECENT]


def test_a_disk_that_refuses_costs_repeats(tmp_path: Path) -> None:
    told = Told(tmp_path / "told", 2)
    told.close()  # so that every write fails
    told.note(5)
    assert told.count == 2
