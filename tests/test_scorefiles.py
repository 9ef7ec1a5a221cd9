"""Truth and tracks read from files: what is taken, what is skipped and told, what is refused."""

from __future__ import annotations

import gzip
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from replay import scorefiles
from replay.scorefiles import BadTracks, BadTruth

HEADER = {"truth": 1, "scenario": "small"}
OBJECT = {"time": 0.0, "id": "a", "class": "gerbera", "lat": 54.0, "lon": 24.0, "alt": 300.0, "ve": 40.0, "vn": -3.0,
          "vu": 0.0, "seen": True}  # fmt: skip
TRACK = {"time": 1.0, "track_id": "7", "lat": 54.0, "lon": 24.0, "alt": 1.0, "ve": 2.0, "vn": 3.0, "vu": 0.0}


def text(*values: object) -> bytes:
    """JSON lines."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def write_truth(folder: Path, *values: object) -> Path:
    path = folder / "truth.jsonl"
    path.write_bytes(text(*values))
    return path


def tracks(payload: bytes) -> tuple[scorefiles.TracksFile, list[tuple[int, str]]]:
    """What was read, and what was told."""
    told: list[tuple[int, str]] = []
    return scorefiles.read_tracks(io.BytesIO(payload), lambda number, reason: told.append((number, reason))), told


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_truth_is_read_plain_and_compressed(tmp_path: Path, ending: str) -> None:
    rows = [{**OBJECT, "time": t, "id": name, "seen": t > 0} for t in (0.0, 1.0) for name in ("a", "b")]
    rows += [{**OBJECT, "time": 2.0, "id": "c", "class": "balloon", "seen": False}]
    whole = text(HEADER, *rows)
    packed = {".jsonl": whole, ".jsonl.gz": gzip.compress(whole), ".jsonl.zst": zstandard.compress(whole)}
    path = tmp_path / f"truth{ending}"
    path.write_bytes(packed[ending])
    truth = scorefiles.read_truth(path)
    assert (truth.names, truth.classes, truth.class_of.tolist()) == (("a", "b", "c"), ("gerbera", "balloon"), [0, 0, 1])
    assert truth.states.time_ms.tolist() == [0, 0, 1_000, 1_000, 2_000]
    assert truth.states.who.tolist() == [0, 1, 0, 1, 2]
    assert truth.seen.tolist() == [False, False, True, True, False]
    assert np.degrees(truth.states.lat_rad).tolist() == pytest.approx([54.0] * 5)
    assert (truth.states.east_mps[0], truth.states.north_mps[0]) == (40.0, -3.0)
    assert truth.first_hit_s.tolist()[:2] == [1.0, 1.0]  # nobody said: the first second seen
    assert math.isnan(truth.first_hit_s[2])


def test_a_first_hit_that_is_told_is_taken_and_then_the_others_had_none(tmp_path: Path) -> None:
    rows = [OBJECT, {**OBJECT, "id": "b"}, {**OBJECT, "time": 1.0, "first_hit": 0.4}]
    truth = scorefiles.read_truth(write_truth(tmp_path, HEADER, *rows))
    assert truth.first_hit_s[0] == 0.4
    assert math.isnan(truth.first_hit_s[1])


def test_what_is_only_claimed_is_no_object_and_a_class_may_be_left_open(tmp_path: Path) -> None:
    rows = [
        {**OBJECT, "class": ""},
        {**OBJECT, "id": "g", "fault": "ghost"},
        {**OBJECT, "id": "r", "fault": "replayed"},
    ]
    truth = scorefiles.read_truth(write_truth(tmp_path, HEADER, *rows, {**OBJECT, "id": "n", "fault": "frozen"}))
    assert truth.names == ("a", "n")
    assert truth.classes == ("unnamed", "gerbera")


def test_truth_in_the_order_of_objects_is_put_in_the_order_of_time(tmp_path: Path) -> None:
    rows = [{**OBJECT, "time": t, "id": name, "seen": name == "a"} for name in ("a", "b") for t in (0.0, 1.0)]
    truth = scorefiles.read_truth(write_truth(tmp_path, HEADER, *rows))
    assert truth.states.time_ms.tolist() == [0, 0, 1_000, 1_000]
    assert truth.seen.tolist() == [True, False, True, False]
    assert truth.states.at(1_000) == slice(2, 4)


@pytest.mark.parametrize(
    ("lines", "where", "problem"),
    [
        ([], "line 1", "the file is empty"),
        ([{"hdr": 1}], "line 1", "truth"),
        ([{"truth": 2}], "line 1", "version 1"),
        ([HEADER], "everywhere", "ever seen"),
        ([HEADER, {**OBJECT, "seen": False}], "everywhere", "ever seen"),
        ([HEADER, OBJECT, OBJECT], "line 3", "does not rise"),
        ([HEADER, OBJECT, {**OBJECT, "time": 1.0, "class": "b"}], "line 3", "class of a changes"),
        ([HEADER, OBJECT, {**OBJECT, "time": "1"}], "line 3", "time"),
        ([HEADER, {**OBJECT, "lat": 91.0}], "line 2", "lat"),
        ([HEADER, {key: value for key, value in OBJECT.items() if key != "seen"}], "line 2", "seen"),
        ([HEADER, [OBJECT]], "line 2", "object"),
    ],
)
def test_truth_with_a_fault_is_refused_with_its_place(
    tmp_path: Path, lines: list[object], where: str, problem: str
) -> None:
    with pytest.raises(BadTruth) as refused:
        scorefiles.read_truth(write_truth(tmp_path, *lines))
    assert refused.value.where == where
    assert problem in refused.value.problem


def test_compressed_truth_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    rows = [{**OBJECT, "time": float(t)} for t in range(2_000)]
    for ending, pack in ((".gz", gzip.compress), (".zst", zstandard.compress)):
        path = tmp_path / f"truth.jsonl{ending}"
        whole = pack(text(HEADER, *rows))
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BadTruth):
            scorefiles.read_truth(path)
        path.write_bytes(b"no such thing")
        with pytest.raises(BadTruth):
            scorefiles.read_truth(path)


def archive(**changes: Any) -> dict[str, Any]:
    """The arrays of a scene with two objects and three seconds."""
    grid = np.ones((2, 3))
    measured = np.array([(0.7, 1), (0.2, -1), (0.4, 1)], [("t", "f8"), ("truth", "i4")])
    return {
        "T_lat": 54 * grid, "T_lon": 24 * grid, "T_ve": grid, "T_vn": grid, "T_cls": np.array([3, 0]),
        "T_cov": np.array([[0, 1, 1], [1, 1, 1]], bool), "T_alive": np.array([[1, 1, 1], [0, 1, 1]], bool),
        "meas": measured, **changes,
    }  # fmt: skip


def test_an_archive_is_read_as_objects_by_seconds(tmp_path: Path) -> None:
    path = tmp_path / "scene.npz"
    np.savez(path, **archive())
    truth = scorefiles.read_truth(path)
    assert truth.classes == ("airliner", "slow")
    assert truth.class_of.tolist() == [1, 0]
    assert truth.states.time_ms.tolist() == [0, 1_000, 1_000, 2_000, 2_000]
    assert truth.states.who.tolist() == [0, 0, 1, 0, 1]
    assert truth.seen.tolist() == [False, True, True, True, True]
    assert math.isnan(truth.first_hit_s[0])
    assert truth.first_hit_s[1] == 0.4


def test_classes_of_an_archive_may_be_names(tmp_path: Path) -> None:
    path = tmp_path / "scene.npz"
    np.savez(path, **archive(T_cls=np.array(["kite", "jet"])))
    assert scorefiles.read_truth(path).classes == ("jet", "kite")
    np.savez(path, **archive(T_cls=np.array([9, 0])))
    assert scorefiles.read_truth(path).classes == ("airliner", "9")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"T_lat": np.ones((2, 2))}, "differ in shape"),
        ({"T_cls": np.zeros(3)}, "differ in shape"),
        ({"T_lat": np.full((2, 3), np.nan)}, "not finite"),
        ({"T_cov": np.zeros((2, 3), bool)}, "ever seen"),
        ({"meas": np.zeros(3)}, "meas"),
        ({"meas": np.array([(0.7, 5)], [("t", "f8"), ("truth", "i4")])}, "meas"),
        ({"T_ve": np.full((2, 3), "fast")}, "fast"),
        ({"T_alive": None}, "T_alive"),
    ],
)
def test_an_archive_with_a_fault_is_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    path = tmp_path / "scene.npz"
    np.savez(path, **{name: value for name, value in archive(**changes).items() if value is not None})
    with pytest.raises(BadTruth, match=problem):
        scorefiles.read_truth(path)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scene.npz"
    for payload in (b"", b"PK\x03\x04nonsense", b"nonsense"):
        path.write_bytes(payload)
        with pytest.raises(BadTruth, match="it is no archive of NumPy"):
            scorefiles.read_truth(path)
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(BadTruth):
        scorefiles.read_truth(path)


def test_tracks_are_read_and_closing_lines_passed_over() -> None:
    found, told = tracks(
        text(TRACK, {"tick": 1.0, "n": 1}, {**TRACK, "track_id": 8, "time": 2.0}, {"tick": 2.0, "n": 1})
    )
    assert (told, found.malformed, found.names) == ([], 0, ("7", "8"))
    assert found.states.time_ms.tolist() == [1_000, 2_000]
    assert (found.states.east_mps[0], found.states.north_mps[0]) == (2.0, 3.0)
    assert np.isnan(found.covariance_m2).all()


def test_velocity_and_covariance_may_be_there_or_not() -> None:
    rows = [{**TRACK, "cov": [4.0, 1.0, 9.0]}, {"time": 1.0, "track_id": "8", "lat": 54.0, "lon": 24.0}]
    found, told = tracks(text(*rows))
    assert told == []
    assert math.isnan(found.states.east_mps[1])
    assert found.covariance_m2[0].tolist() == [4.0, 1.0, 9.0]
    assert np.isnan(found.covariance_m2[1]).all()


def test_malformed_tracks_are_told_with_line_and_reason_and_skipped() -> None:
    lines = [
        text(TRACK),
        b"{nonsense\n",
        text({**TRACK, "time": 1.0}),
        b"\n",
        text({**TRACK, "time": 2.0, "lat": None}),
        text({**TRACK, "time": 2.0, "lon": 181.0}),
        text({"plot": 1}),
        b'{"time":' + b" " * 70_000 + b"1.0}\n",
        text({**TRACK, "time": 2.0, "cov": [1.0]}),
        text({**TRACK, "time": 3.0})[:-1],  # without its newline
    ]
    found, told = tracks(b"".join(lines))
    assert found.states.time_ms.tolist() == [1_000, 3_000]
    assert [number for number, _ in told] == [2, 3, 5, 6, 7, 8, 9]
    assert found.malformed == 7
    reasons = dict(told)
    assert "does not rise" in reasons[3]
    assert reasons[5] == "lat missing"
    assert "lon" in reasons[6]
    assert reasons[7] == "neither a track nor a tick"


def test_tracks_in_a_wrong_order_of_times_are_sorted() -> None:
    rows = [{**TRACK, "time": 5.0, "cov": [5.0, 0.0, 5.0]}, {**TRACK, "track_id": "8", "time": 1.0}]
    found, _ = tracks(text(*rows))
    assert found.states.time_ms.tolist() == [1_000, 5_000]
    assert found.states.who.tolist() == [1, 0]
    assert found.covariance_m2[1].tolist() == [5.0, 0.0, 5.0]


def test_damaged_tracks_and_too_many_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tracks.jsonl.gz"
    path.write_bytes(gzip.compress(text(*({**TRACK, "time": float(t)} for t in range(2_000))))[:-900])
    with gzip.open(path) as stream, pytest.raises(BadTracks, match="cut off"):
        scorefiles.read_tracks(stream, lambda number, reason: None)  # type: ignore[arg-type]
    monkeypatch.setattr(scorefiles, "MOST_ROWS", 3)
    with pytest.raises(BadTracks, match="more than 3 states"):
        tracks(text(*({**TRACK, "time": float(t)} for t in range(4))))


@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([text(TRACK), text(OBJECT), b'{"track_id":1e999}\n']), max_size=9)
)
def test_no_bytes_break_the_reader_of_tracks(parts: list[bytes]) -> None:
    found, told = tracks(b"\n".join(parts))
    assert found.malformed == len(told)
    assert len(found.states) <= len(parts)
