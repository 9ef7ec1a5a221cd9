"""The data folder: one owner, an epoch that never goes back, a bounded quarantine, a journal nobody edits unseen."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import store
from adapters.errors import ConfigError
from adapters.store import AlertJournal, DataDir, JournalError, Quarantine, verify


def test_a_second_owner_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with DataDir(tmp_path / "var"):
        with pytest.raises(ConfigError) as refused:
            DataDir(tmp_path / "var").open()
        assert f"process {os.getpid()}" in str(refused.value)
        assert refused.value.key == "data_dir"
    with DataDir(tmp_path / "var"):
        pass  # free again


def test_a_killed_owner_leaves_the_folder_free(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from adapters.store import DataDir; DataDir(pathlib.Path(sys.argv[1])).open();"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=f"process {owner.pid}"):
            DataDir(tmp_path).open()
        owner.kill()
    with DataDir(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_refused_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be written.*Cure: name a folder"):
        DataDir(tmp_path / "file" / "var").open()


def test_every_cold_start_gets_an_epoch_of_its_own(tmp_path: Path) -> None:
    with DataDir(tmp_path) as folder:
        assert folder.epoch() == 0
        assert [folder.raise_epoch(), folder.raise_epoch()] == [1, 2]
    with DataDir(tmp_path) as folder:
        assert folder.epoch() == 2
        assert folder.raise_epoch() == 3


@pytest.mark.parametrize("damage", [b"", b"12", b"-4\n", b"x\n", b"\xff\xfe\n"])
def test_a_damaged_epoch_stops_the_start_instead_of_giving_ids_twice(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "epoch").write_bytes(damage)
    with DataDir(tmp_path) as folder, pytest.raises(ConfigError, match="larger than the epoch"):
        folder.raise_epoch()


def test_the_epoch_is_never_taken_without_the_lock(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="must be open"):
        DataDir(tmp_path).raise_epoch()


def test_quarantine_keeps_reason_topic_and_the_first_bytes(tmp_path: Path) -> None:
    payload = bytes(range(256)) * 4
    assert Quarantine(tmp_path / "q.jsonl", 100_000).add(1_700_000_000_000_000, "not-utf8", "in/R1/plots", payload)
    sample = json.loads((tmp_path / "q.jsonl").read_text())
    assert base64.b64decode(sample.pop("head_b64")) == payload[: store.QUARANTINE_PAYLOAD_BYTES]
    assert sample == {"rx_us": 1_700_000_000_000_000, "reason": "not-utf8", "topic": "in/R1/plots", "size": 1024}


def test_quarantine_samples_a_flood_and_still_sees_the_rare_reason(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "q.jsonl", 10_000_000)
    written = sum(quarantine.add(i, "malformed", "in/R1/plots", b"{") for i in range(1_100))
    assert written == 110  # the first 100, then every hundredth of the 1,000 after them
    assert quarantine.add(2_000, "bad-time", "in/R1/plots", b"{}")


def test_quarantine_never_outgrows_its_bound_over_restarts(tmp_path: Path) -> None:
    path, most = tmp_path / "q.jsonl", 20_000
    for start in range(20):
        quarantine = Quarantine(path, most)
        for i in range(40):
            quarantine.add(start * 100 + i, "malformed", "in/R1/plots", os.urandom(400))
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= most
    newest = json.loads(path.read_text().splitlines()[-1])
    assert newest["rx_us"] == 1_939  # the newest is there, the oldest made room


def test_a_full_disk_loses_the_sample_and_nothing_else(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "not-there" / "q.jsonl", 20_000)
    assert not quarantine.add(1, "malformed", "in/R1/plots", b"{")
    assert quarantine.failed == 1


def fill(path: Path, payloads: list[bytes]) -> None:
    with AlertJournal(path) as journal:
        for payload in payloads:
            journal.append([payload])


@given(payloads=st.lists(st.text(max_size=50).map(str.encode), max_size=20), cut=st.integers(0, 20))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_appended_comes_back_in_any_batching(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], cut: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "alerts.jsonl"
    with AlertJournal(path) as journal:
        journal.append(payloads[:cut])
    with AlertJournal(path) as journal:
        assert len(journal) == len(payloads[:cut])
        journal.append(payloads[cut:])
        assert list(journal.entries()) == payloads
        head = journal.head
    found = verify(path)
    assert found.ok
    assert (found.entries, found.head) == (len(payloads), head)


def test_the_chain_is_the_documented_one(tmp_path: Path) -> None:
    import hashlib  # the formula of the class documentation, written out again

    fill(tmp_path / "j", [b'{"a":1}', "ž".encode()])
    lines = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    first = hashlib.sha256(f"{'0' * 64}\n0\n".encode() + b'{"a":1}').hexdigest()
    second = hashlib.sha256(f"{first}\n1\nž".encode()).hexdigest()
    assert [line["hash"] for line in lines] == [first, second]


def test_every_single_changed_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "j"
    fill(path, [b'{"alert":1}', b'{"alert":2}', b'{"alert":3}'])
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert not verify(path).ok, f"byte {place}"


@pytest.mark.parametrize("order", [[1, 2], [0, 2], [0, 2, 1], [0, 1, 1, 2]], ids=str)
def test_entries_taken_out_moved_or_doubled_are_found(tmp_path: Path, order: list[int]) -> None:
    path = tmp_path / "j"
    fill(path, [b"one", b"two", b"three"])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[i] for i in order))
    with pytest.raises(JournalError, match="j:"):
        AlertJournal(path).open()


def test_a_power_cut_in_the_last_line_loses_only_what_was_never_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "j"
    fill(path, [b"one", b"two"])
    whole = path.read_bytes()
    second = whole.index(b"\n") + 1
    for length in range(second, len(whole)):
        path.write_bytes(whole[:length])
        with AlertJournal(path) as journal:
            assert list(journal.entries()) == [b"one"]
            assert journal.dropped_bytes == length - second
            journal.append([b"again"])
        assert verify(path).ok
        assert list(AlertJournal(path).entries()) == [b"one", b"again"]


def test_a_batch_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j"
    with AlertJournal(path) as journal:
        journal.append([b"one"])
        before = path.read_bytes()

        def fail(_fd: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fdatasync", fail)
        with pytest.raises(JournalError, match="No space left"):
            journal.append([b"two", b"three"])
        monkeypatch.undo()
        assert path.read_bytes() == before
        with pytest.raises(JournalError):  # what the disk holds is unknown until it is read again
            journal.append([b"four"])
    with AlertJournal(path) as journal:
        journal.append([b"five"])
        assert list(journal.entries()) == [b"one", b"five"]


def test_an_entry_is_synced_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    path = tmp_path / "j"
    with AlertJournal(path) as journal:
        monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(os.fstat(fd).st_size))
        journal.append([b"one", b"two"])
        assert synced == [path.stat().st_size]
        journal.append([])
        assert len(synced) == 1  # nothing to write, nothing to wait for


def test_text_that_is_not_utf8_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    with AlertJournal(tmp_path / "j") as journal:
        with pytest.raises(ValueError, match="utf-8"):
            journal.append([b"good", b"\xff"])
        journal.append([b"next"])
        assert list(journal.entries()) == [b"next"]
