"""The frame log: what goes in comes out to the byte, and what is damaged is named by its line."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fusion.schema import Frame
from replay import log

FRAMES = [
    Frame(0, 1_753_670_400_000_000, "in/R1/plots", b'{"schema":"vedette.plots.v1"}'),
    Frame(1, 1_753_670_400_050_000, "in/R1/plots", b"\xff\xfe not text \x00"),
    Frame(2, 1_753_670_400_100_000, "tick", b""),
    Frame(7, 1_753_670_400_090_000, "cmd/acknowledge", "Übung \u2028 \x01".encode()),  # time may step back
]

frames = st.builds(
    Frame,
    st.integers(0, 2**53),
    st.integers(0, 2**53),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=60),
    st.binary(max_size=300) | st.text(st.characters(codec="utf-8"), max_size=100).map(lambda s: s.encode()),
)


@given(frames)
def test_a_line_gives_back_the_frame_to_the_byte(frame: Frame) -> None:
    text = log.encode_line(frame)
    assert b"\n" not in text
    assert log.decode_line(text) == frame


@given(st.binary(max_size=200))
def test_no_line_escapes_as_anything_but_a_value_error(text: bytes) -> None:
    with contextlib.suppress(ValueError):
        log.decode_line(text)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_a_file_gives_back_its_frames(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert log.write(path, FRAMES) == len(FRAMES)
    assert list(log.read(path)) == FRAMES
    assert [p.name for p in tmp_path.iterdir()] == [name]  # nothing half-made is left


def test_the_endings_mean_the_compression_they_say(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.gz", "a.zst"):
        log.write(tmp_path / name, FRAMES)
    plain = (tmp_path / "a.jsonl").read_bytes()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == plain
    with zstandard.ZstdDecompressor().stream_reader((tmp_path / "a.zst").read_bytes()) as stream:
        assert stream.read() == plain
    first = json.loads(plain.splitlines()[0])
    assert first == {"seq": 0, "rx_us": FRAMES[0].rx_us, "source": "in/R1/plots", "payload": FRAMES[0].payload.decode()}
    assert "payload_b64" in json.loads(plain.splitlines()[1])


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz", "a.zst", "b.zst"):
        log.write(tmp_path / name, FRAMES)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert (tmp_path / "a.zst").read_bytes() == (tmp_path / "b.zst").read_bytes()


GOOD = log.encode_line(FRAMES[0]).decode()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "truncated"),
        ('{"seq":1,"rx_us":1,"source":"tick"}', "exactly one"),
        ('{"seq":1,"rx_us":1,"source":"tick","payload":"","payload_b64":""}', "exactly one"),
        ('{"seq":1,"rx_us":1,"payload":""}', "source"),
        ('{"seq":1,"rx_us":1,"source":"","payload":""}', "source is empty"),
        ('{"seq":1,"rx_us":1.5,"source":"tick","payload":""}', "rx_us"),
        ('{"seq":1,"rx_us":-1,"source":"tick","payload":""}', "outside"),
        ('{"seq":-1,"rx_us":1,"source":"tick","payload":""}', "negative"),
        ('{"seq":1,"rx_us":1,"source":"tick","payload":"","extra":1}', "extra"),
        ('{"seq":1,"rx_us":1,"source":"tick","payload_b64":"*"}', "base64"),
        (GOOD, "does not rise"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{GOOD}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(log.BadLog, match=problem) as caught:
        list(log.read(path))
    assert caught.value.line == 3
    assert str(caught.value).startswith(f"{path}:3: ")


def test_a_line_without_its_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{GOOD}\n{log.encode_line(FRAMES[2]).decode()}", encoding="utf-8")
    with pytest.raises(log.BadLog, match="cut off") as caught:
        list(log.read(path))
    assert caught.value.line == 2


def test_a_line_without_bound_is_refused_early(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * (log.MAX_LINE_BYTES + 10) + b"\n")
    with pytest.raises(log.BadLog, match="longer than"):
        list(log.read(path))


@pytest.mark.parametrize("name", ["a.gz", "a.zst"])
def test_a_compressed_log_cut_in_the_middle_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    log.write(path, [Frame(n, n, "in/R1/plots", bytes([n * 37 % 251]) * 90) for n in range(2_000)])
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(log.BadLog):
        list(log.read(path))


def test_a_file_that_is_not_compressed_as_its_name_says_is_refused(tmp_path: Path) -> None:
    for name in ("a.gz", "a.zst"):
        (tmp_path / name).write_text(GOOD + "\n", encoding="utf-8")
        with pytest.raises(log.BadLog, match="damaged"):
            list(log.read(tmp_path / name))


def test_the_largest_payload_of_control_characters_fits_a_line() -> None:
    frame = Frame(1, 1, "in/R1/plots", b"\x01" * 65_536)
    assert len(log.encode_line(frame)) < log.MAX_LINE_BYTES
    assert log.decode_line(log.encode_line(frame)) == frame


def test_a_writer_left_by_an_error_leaves_no_file(tmp_path: Path) -> None:
    def frames_that_fail() -> Iterator[Frame]:
        yield FRAMES[0]
        raise RuntimeError("out")

    with pytest.raises(RuntimeError):
        log.write(tmp_path / "a.jsonl.gz", frames_that_fail())
    assert list(tmp_path.iterdir()) == []


def test_a_writer_refuses_a_number_that_does_not_rise(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not rise"):
        log.write(tmp_path / "a.jsonl", [FRAMES[1], FRAMES[0]])
    assert list(tmp_path.iterdir()) == []


def test_a_summary_counts_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    log.write(path, FRAMES)
    found = log.summary(path)
    assert (found.frames, found.ticks) == (4, 1)
    assert found.sources == {"cmd/acknowledge": 1, "in/R1/plots": 2, "tick": 1}
    assert found.duration_s == pytest.approx(0.1)
    log.write(path, [])
    assert log.summary(path) == log.Summary(0, 0, -1, -1, {})
