"""A dossier run again: identical, equal after rounding, or different, with the record, the track and the time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from adapters import config as configuration
from adapters.evidence import bundle, dossier, verify
from adapters.evidence.bundle import MANIFEST, Source
from adapters.evidence.verify import Comparison, Outcome, Result, _away
from adapters.incidents.database import read_only
from adapters.incidents.reading import dossier as all_of
from adapters.running.outputs import DIGEST
from adapters.service import names_of
from adapters.store import _digest, piece_of
from fusion.schema import Frame
from replay import recording
from replay.mcapfile import Output
from replay.mcapread import Item
from tests import shipped
from tests.watchedincident import watch

RECORDING = dossier.RECORDING


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    stand = watch(folder / "config", 18, close_s=15)
    with read_only(stand.config.data_dir / "incidents.db") as db:
        of = all_of(db, stand.incident.id)
    dossier.make(of, stand.config, names_of(stand.config, shipped.zones()), folder / "whole.zip")
    return folder / "whole.zip"


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "load_zones", lambda _config: shipped.zones())


def forged(whole: Path, folder: Path, change: Callable[[list[Item]], Sequence[Item]], **members: bytes) -> Outcome:
    """Somebody changes the recording, or other members by their first word, and writes the chain anew: the outcome."""
    found = bundle.check(whole)
    bundle.extract(whole, found, [RECORDING], folder)
    items = change(list(recording.items(folder / RECORDING)))
    (folder / RECORDING).unlink()
    recording.write(folder / RECORDING, iter(items))
    sources = []
    for name in found.members:
        content: Path | bytes = members.get(name.partition(".")[0], bundle.read(whole, found, name))
        if name != MANIFEST:
            sources.append(Source(name, folder / RECORDING if name == RECORDING else content))
    bundle.write(folder / "forged.zip", found.about, sources)
    again = bundle.check(folder / "forged.zip")
    assert again.fault is None  # a chain that is written anew fits: only its head tells, and the engine
    assert again.head != found.head
    return verify.rerun(folder / "forged.zip", again, folder / "work")


def pictures(items: Sequence[Item]) -> list[int]:
    return [n for n, item in enumerate(items) if isinstance(item, Output) and item.topic == "picture"]


def moved(item: Item, by_deg: float) -> Item:
    """Every track of a picture, a little to the north."""
    told = json.loads(item.payload)
    for row in told.get("tracks", []):
        row["lat_deg"] = round(row["lat_deg"] + by_deg, 7)
    return replace(item, payload=msgspec.json.encode(told))


def other_bits(item: Item) -> Item:
    """Digests as another processor would have them."""
    if not (isinstance(item, Output) and item.topic == DIGEST):
        return item
    told = json.loads(item.payload)
    told["tracks"] = hashlib.sha256(told["tracks"].encode()).hexdigest()
    return replace(item, payload=msgspec.json.encode(told))


def test_as_it_was_it_is_identical(whole: Path, tmp_path: Path) -> None:
    outcome = verify.rerun(whole, bundle.check(whole), tmp_path)
    assert (outcome.result, outcome.lines) == (Result.IDENTICAL, []), outcome


def test_another_processor_rounds_otherwise_and_that_is_said(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tracks 0.3 m away, other digests, the same alerts."""
    monkeypatch.setattr(verify, "processor", lambda: "another one")

    def change(items: list[Item]) -> list[Item]:
        at = pictures(items)
        return [moved(other_bits(item), 3e-6) if n in at else other_bits(item) for n, item in enumerate(items)]

    outcome = forged(whole, tmp_path, change)
    assert outcome.result is Result.ROUNDED, outcome
    assert outcome.words.startswith("within 1 m and 0.1 m/s, the same alerts; not bit for bit from 2025-07-28T03:30:0")
    assert outcome.lines[0].startswith("recorded on another processor: ")


def test_a_track_that_is_further_away_is_named_with_record_and_time(whole: Path, tmp_path: Path) -> None:
    at: list[int] = []

    def change(items: list[Item]) -> list[Item]:
        at.append(pictures(items)[12])
        items[at[0]] = moved(items[at[0]], 3e-5)
        return [other_bits(item) for item in items]

    outcome = forged(whole, tmp_path, change)
    assert outcome.result is Result.DIFFERENT
    assert outcome.words.startswith("at 2025-07-28T03:30:1")
    assert f"record {at[0]} of recording.mcap: track 1:" in outcome.words
    assert "comes out 3.3 m and 0.00 m/s away" in outcome.words


def test_a_picture_that_its_own_digest_denies_is_different(whole: Path, tmp_path: Path) -> None:
    """A little change, within rounding: the digests are those of the true one."""

    def change(items: list[Item]) -> list[Item]:
        at = pictures(items)[9]
        items[at] = moved(items[at], 1e-6)
        return items

    outcome = forged(whole, tmp_path, change)
    assert outcome.result is Result.DIFFERENT, outcome
    assert "digests say that it was said otherwise" in outcome.words


def test_a_frame_that_was_taken_out_changes_what_comes_out(whole: Path, tmp_path: Path) -> None:
    def change(items: list[Item]) -> list[Item]:
        seen = [n for n, item in enumerate(items) if isinstance(item, Frame) and item.source.endswith("R1/plots")]
        return [item for n, item in enumerate(items) if n not in seen[10:20]]

    outcome = forged(whole, tmp_path, change)
    assert outcome.result is Result.DIFFERENT
    assert "track 1:" in outcome.words


def test_an_alert_that_was_taken_out_is_named(whole: Path, tmp_path: Path) -> None:
    def without(items: list[Item]) -> list[Item]:
        return [item for item in items if not (isinstance(item, Output) and item.topic == "alert")]

    outcome = forged(whole, tmp_path, without)
    assert outcome.result is Result.DIFFERENT
    assert outcome.words.startswith("at 2025-07-28T03:30:10.800Z, nothing that was recorded: alert ")
    assert outcome.words.endswith("is raised when run again, and was not")


def test_a_journal_that_was_written_anew_is_not_what_was_recorded(whole: Path, tmp_path: Path) -> None:
    """With its own chain in order."""
    head, lines = "0" * 64, []
    entries, _ = piece_of(bundle.read(whole, bundle.check(whole), "journal.jsonl"))
    for entry in entries:
        payload = entry.payload.decode().replace("it has landed", "it was nothing")
        digest = _digest(head, entry.n, payload)
        lines.append(msgspec.json.encode({"n": entry.n, "previous": head, "hash": digest, "payload": payload}) + b"\n")
        head = digest
    outcome = forged(whole, tmp_path, lambda items: items, journal=b"".join(lines))
    assert outcome.result is Result.DIFFERENT, outcome
    assert "of journal.jsonl says what was not recorded: closed of the incident" in outcome.words


def test_other_rules_in_the_bundle_are_refused_by_their_hash(whole: Path, tmp_path: Path) -> None:
    found = bundle.check(whole)
    rules = bundle.read(whole, found, "config/rules.toml").replace(b"1000", b"1001")
    sources = [
        Source(name, rules if name == "config/rules.toml" else bundle.read(whole, found, name))
        for name in found.members
        if name != MANIFEST
    ]
    bundle.write(tmp_path / "forged.zip", found.about, sources)
    outcome = verify.rerun(tmp_path / "forged.zip", bundle.check(tmp_path / "forged.zip"), tmp_path / "work")
    assert outcome.result is Result.NOT_RUN
    assert "config/rules.toml: is not in it as it was" in outcome.words


@pytest.mark.parametrize(
    "old, new, key",
    [
        ('"terrain" = ', 'terrain = "/dev/zero" #', "zones.terrain"),
        ('"base" = ', 'base = "../../rules.toml" #', "rules.base"),
        ('["zones"]', '[broker]\npassword_file = "/etc/passwd"\n[zones]', "broker"),
    ],
)
def test_files_outside_of_the_bundle_are_not_opened(whole: Path, tmp_path: Path, old: str, new: str, key: str) -> None:
    service = bundle.read(whole, bundle.check(whole), dossier.RERUN).decode()
    assert service.count(old) == 1
    outcome = forged(whole, tmp_path, lambda items: items, rerun=service.replace(old, new).encode())
    assert outcome.result is Result.NOT_RUN
    assert f"rerun.toml {key}: " in outcome.words


def test_what_nobody_records_is_no_crash(whole: Path, tmp_path: Path) -> None:
    def change(items: list[Item]) -> list[Item]:
        at = pictures(items)[3]
        items[at] = replace(items[at], payload=b"not JSON")
        return items

    outcome = forged(whole, tmp_path, change, start=b"{}")
    assert outcome.result is Result.NOT_RUN
    (tmp_path / "again").mkdir()
    outcome = forged(whole, tmp_path / "again", change)
    assert outcome.result is Result.DIFFERENT
    assert "what no service records" in outcome.words


def test_what_no_engine_found_again_is_compared_on_neither_side() -> None:
    """After a cold start the service closes some alerts, and the engine those that it did not find again."""
    ended = {"schema": "vedette.alert.v1", "id": "a1", "state": "closed", "rule": "low-slow-inside"}
    of_service, of_engine = (
        msgspec.json.encode(ended | {"close_reason": f"{dossier.RESET}: {why}"})
        for why in ("the disk was full; raised again if still true", "not found again within 120 s")
    )
    comparison = Comparison()
    for record, payload in enumerate((of_service, of_engine)):
        comparison.recorded(record, Output(5, "alert", payload))
    comparison.ours([Output(5, "alert", of_engine)])
    comparison.settle()
    assert comparison.exact
    assert comparison.alerts_differ() is None
    other = msgspec.json.encode(ended | {"close_reason": "track ended: dropped"})
    comparison.ours([Output(6, "alert", other)])
    comparison.settle()
    assert comparison.alerts_differ() is not None


def test_distances_of_rows() -> None:
    row = {"lat_deg": 55.0, "lon_deg": 25.0, "height_m": 100.0, "speed_mps": 40.0, "course_deg": 359.99}
    assert _away(row, row) == (0.0, 0.0)
    away_m, away_mps = _away(row, row | {"lon_deg": 25.00001, "course_deg": 0.01})
    assert away_m == pytest.approx(0.6385, rel=0.01)
    assert away_mps == pytest.approx(0.01396, rel=0.01)
    assert _away(row, {key: value for key, value in row.items() if key != "height_m"})[0] == float("inf")
