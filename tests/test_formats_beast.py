"""Beast frames: a real stream, however it is torn, and everything that is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.formats import beast
from adapters.modes import squitter

SAMPLE = "recordings/adsb-raw-1090/traffic_sample_dump1090_beast.bin"
MLAT = int.from_bytes(b"\xff\x00MLAT", "big")
OCTETS = st.binary(min_size=14, max_size=14)
FRAME = st.tuples(st.sampled_from(b"1235"), st.integers(1, 2**48 - 1), st.integers(0, 255), OCTETS)
NASTY = st.sampled_from([b"\x1a", b"\x1a\x1a", b"\x1a2", b"\x1a3", b"\x1a\xe3", b"1", bytes(15), bytes(22)])


def framed(told: list[tuple[int, int, int, bytes]]) -> beast.Frames:
    """Frames whose short ones stand behind seven zeros."""
    octets = [bytes(7) + o[:7] if kind == beast.SHORT else o for kind, _, _, o in told]
    return beast.Frames(
        np.array([kind for kind, *_ in told], np.uint8),
        np.array([ticks for _, ticks, *_ in told], np.int64),
        np.array([signal for _, _, signal, _ in told], np.uint8),
        np.frombuffer(b"".join(octets), np.uint8).reshape(-1, 14),
    )


def in_pieces(data: bytes, cuts: list[int]) -> tuple[list[beast.Frames], dict[str, int], bytes]:
    """Decoded piece by piece, as it comes over a network."""
    found, faults, rest = [], dict[str, int](), b""
    for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True):
        rest += data[a:b]
        frames, used, fallen = beast.decode(rest)
        rest = rest[used:]
        found.append(frames)
        for reason, count in fallen.items():
            faults[reason] = faults.get(reason, 0) + count
    return found, faults, rest


@settings(max_examples=100)
@given(st.lists(FRAME, min_size=1, max_size=6), st.data())
def test_frames_read_back_however_they_are_cut(told: list[tuple[int, int, int, bytes]], data: st.DataObject) -> None:
    sent = framed(told)
    octets = beast.encode(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=6)))
    found, faults, rest = in_pieces(octets, cuts)
    assert (faults, rest) == ({}, b"")
    assert np.concatenate([f.kind for f in found]).tolist() == sent.kind.tolist()
    assert np.concatenate([f.signal for f in found]).tolist() == sent.signal.tolist()
    ticks = np.where(sent.ticks == MLAT, -1, sent.ticks)
    assert np.concatenate([f.ticks for f in found]).tolist() == ticks.tolist()
    got = np.concatenate([f.octets for f in found])
    mode_s = sent.kind != beast.MODE_AC  # of others only the first two octets are theirs
    assert (got[mode_s] == sent.octets[mode_s]).all()
    assert (got[~mode_s, :2] == sent.octets[~mode_s, :2]).all()


@settings(max_examples=200)
@given(st.lists(NASTY | st.binary(max_size=30), max_size=12), st.data())
def test_no_octets_at_all_break_it_and_no_more_than_a_frame_waits(parts: list[bytes], data: st.DataObject) -> None:
    octets = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=4)))
    found, faults, rest = in_pieces(octets, cuts)
    assert len(rest) <= 2 * (beast.HEAD + beast.MODE_S_OCTETS)
    assert all(count > 0 for count in faults.values())
    whole, used, _ = beast.decode(octets)
    if not faults:  # what is sound is the same however it is cut
        assert sum(map(len, found)) == len(whole)
        assert octets[used:] == rest


def test_what_is_no_frame_falls_by_reason_and_the_next_is_found() -> None:
    good = beast.encode(framed([(beast.LONG, 7, 1, bytes(14))]))
    for bad, reason in (
        (b"tail of one\x1a", None),
        (b"of another", "not-a-frame"),
        (b"\x1aZ rest", "unknown-frame"),
        (good[:9], "truncated"),
        (good + b"more", "not-a-frame"),
        (b"\x1a\xe3" + bytes(8), None),
    ):
        frames, used, faults = beast.decode(bad + good)
        expected = {reason: 1} if reason else faults
        assert (used, faults) == (len(bad + good), expected), bad
        assert len(frames) == 1 + (good in bad) - (bad.endswith(b"\x1a")), bad


def test_a_time_that_says_nothing_is_not_said() -> None:
    frames = framed([(beast.SHORT, 0, 1, bytes(14)), (beast.SHORT, MLAT, 1, bytes(14))])
    assert beast.decode(beast.encode(frames))[0].ticks.tolist() == [-1, -1]


@pytest.mark.real_data
def test_a_real_stream_is_whole(data: Path) -> None:
    octets = (data / SAMPLE).read_bytes()
    frames, used, faults = beast.decode(octets)
    assert (len(frames), used, faults) == (239, len(octets), {})
    assert beast.encode(frames) == octets
    assert (np.diff(frames.ticks) > 0).all()
    s = squitter.messages(frames.octets, frames.kind == beast.LONG)
    squitters = np.isin(s.format, squitter.EXTENDED)
    assert squitters.any()
    assert s.sound[squitters].all()  # dump1090 passes on what parity says is whole
