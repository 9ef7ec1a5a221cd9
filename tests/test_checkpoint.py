"""Checkpoints: what is put in comes out, what is not ours is refused with a reason, and a run goes on to the bit."""

from __future__ import annotations

import base64
import hashlib
import pickle
import tracemalloc
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import IntEnum
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from numpy.typing import NDArray

from adapters import config as configuration
from adapters.commands import simulate
from adapters.running import checkpoint
from adapters.running.checkpoint import (
    About,
    BadCheckpoint,
    Kept,
    Parts,
    code,
    frozen,
    messages,
    of_messages,
    packed,
    save,
    unpacked,
)  # fmt: skip
from adapters.running.offline import Offline
from adapters.running.outputs import CHECKPOINT, Outputs
from adapters.running.startframe import encode
from adapters.service import Core
from fusion.schema import US_PER_S, Frame, Plots
from replay.log import START, TICK
from replay.mcapfile import Output
from replay.mcapread import Item
from replay.simulate import Scenario
from tests import shipped, states
from tests.running import write_config

ABOUT = About(3, 41, 1_795_414_500_000_000, "c" * 64, code())
STATE = {"a": [1, 2.5, None], "b": {"x": (b"1", "2")}}
SECONDS, CUT_S = 24, 14


def test_it_reads_back() -> None:
    data = packed(ABOUT, frozen(STATE))
    assert unpacked(data, ABOUT.config_hash) == (ABOUT, STATE)
    assert of_messages([*messages(data, ABOUT.tick_us)]) == data


def test_packing_lets_go_of_the_state_as_it_goes() -> None:
    """Of a flood a state has sixty megabytes: two forms of it side by side are too much."""
    luck = np.random.default_rng(1)
    state = {str(n): luck.integers(0, 2**60, 2**18) for n in range(20)}  # 2 MiB each, which hardly shrink
    tracemalloc.start()
    parts = frozen({name: array.copy() for name, array in state.items()})
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    kept = Kept(ABOUT, parts)
    data = kept.packed()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert before > 40 * 2**20
    assert peak < before + 12 * 2**20
    assert kept.packed() is data
    _, found = unpacked(data, ABOUT.config_hash)
    assert states.bits(found) == states.bits(state)


def test_a_recording_holds_it_in_parts_and_only_a_whole_one_is_entered_by() -> None:
    data = packed(ABOUT, frozen({"a": np.random.default_rng(1).integers(0, 2**60, 400_000)}))
    told = [*messages(data, ABOUT.tick_us)]
    assert len(told) == -(-len(data) // checkpoint.PART_BYTES) >= 3
    assert of_messages(told) == data

    def places(payloads: list[bytes]) -> list[int]:
        parts = Parts()
        return [place for at, payload in enumerate(payloads) if (place := parts.hear(payload, at)) >= 0]

    torn = [*told[:-1], *told, *told[1:], told[0], *told[2:], *told]
    assert places(told) == [0]
    assert places(torn) == [len(told) - 1, len(torn) - len(told)]
    assert places([_as_it_was(data)]) == [0]
    assert of_messages([_as_it_was(data)]) == data
    many = b'{"schema":"x","time":"t","part":%d,"parts":%d,"state_b64":""}'
    assert places([many % (n + 1, 600) for n in range(600)]) == []


def _as_it_was(data: bytes | bytearray) -> bytes:
    """One message of all of it, as recordings of before parts hold it."""
    return b'{"schema":"vedette.checkpoint.v1","time":"2026-11-19T11:21:40Z","state_b64":"%s"}' % base64.b64encode(data)


def test_every_truncation_and_every_flip_is_refused() -> None:
    data = packed(ABOUT, frozen(STATE))
    for n in range(len(data)):
        with pytest.raises(BadCheckpoint):
            unpacked(data[:n], ABOUT.config_hash)
        for bit in range(8):
            spoilt = bytearray(data)
            spoilt[n] ^= 1 << bit
            with pytest.raises(BadCheckpoint):
                unpacked(bytes(spoilt), ABOUT.config_hash)


def test_the_foreign_and_the_future_are_refused_with_their_reason() -> None:
    data = packed(ABOUT, frozen(STATE))
    with pytest.raises(BadCheckpoint, match="another configuration"):
        unpacked(data, "d" * 64)
    other = packed(About(3, 41, 5, "c" * 64, "0" * 64), frozen(STATE))
    with pytest.raises(BadCheckpoint, match="another version of the program"):
        unpacked(other, "c" * 64)
    with pytest.raises(BadCheckpoint, match="it has version 3"):
        unpacked(data.replace(b"checkpoint 2\n", b"checkpoint 3\n", 1), "c" * 64)
    with pytest.raises(BadCheckpoint, match="not a checkpoint"):
        unpacked(b"", "c" * 64)


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("I ran",)


def test_a_forged_state_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever can write a file can also write its hash."""
    forged = (pickle.dumps({"a": _Evil()}), b"cfusion.engine\nEngine\n.", b"cfusion.schema\nnp.load\n.", b"\x80\x05")
    for state in forged:
        with pytest.raises(BadCheckpoint, match="cannot be read"):
            unpacked(packed(ABOUT, [state]), ABOUT.config_hash)
    with pytest.raises(BadCheckpoint):
        unpacked(packed(ABOUT, frozen([1])), ABOUT.config_hash)  # type: ignore[arg-type]
    assert capsys.readouterr().out == ""


def test_a_state_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decompressor allocates what the frame's own head says, and takes no notice of a limit beside it."""
    data = packed(ABOUT, frozen({"a": bytes(10_000)}))
    monkeypatch.setattr(checkpoint, "MAX_STATE_BYTES", 9_000)
    with pytest.raises(BadCheckpoint, match="too large"):
        unpacked(data, ABOUT.config_hash)


@pytest.mark.parametrize("cut", [slice(0, 8), slice(0, 30), slice(0, -1), slice(8, None)])
def test_a_forged_table_of_parts_is_refused(cut: slice) -> None:
    """Its hash is right, and what it says of its parts is not."""
    part = pickle.dumps({"a": 1})
    whole = np.array([2, len(part), 8], "<i8").tobytes() + part + bytes(8)
    rest = packed(ABOUT, [b""]).split(b"\n")[2] + b"\n" + zstandard.ZstdCompressor().compress(whole[cut])
    forged = b"vedette checkpoint 2\n" + hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest
    with pytest.raises(BadCheckpoint, match="cannot be read"):
        unpacked(forged, ABOUT.config_hash)


def test_arrays_come_back_as_one_can_work_with_them() -> None:
    """Of their own bytes, writable, in line: compiled code takes no others."""
    sky = {"a": np.arange(7), "b": np.zeros((0, 3)), "c": [np.ones((3, 2), np.int8).T, np.array([True])], "d": np.inf}
    found = states.kept(sky)
    assert states.bits(found) == states.bits(sky)
    for array in (found["a"], found["b"], found["c"][1]):
        assert array.flags.writeable
        assert array.flags.aligned


class Reduced(IntEnum):
    """Reduced as Python 3.11.2 does it with every enumeration."""

    ONE = 1

    def __reduce_ex__(self, protocol: Any) -> Any:
        return getattr, (type(self), self.name)


def test_members_of_enumerations_are_written_by_class_and_value_whatever_the_python() -> None:
    body = bytes(checkpoint.frozen({"one": Reduced.ONE})[0])
    assert b"getattr" not in body
    assert pickle.loads(body) == {"one": Reduced.ONE}


def test_a_snapshot_shares_nothing_that_changes(night: tuple[configuration.Config, list[Item]]) -> None:
    """It is packed while the engine works on. Only received plots, which nobody changes, are not copied."""
    loaded, items = night
    core = Core(loaded, shipped.zones(), 5, lambda _frame, _reason, _detail: None)
    waiting: list[Frame] = []
    for frame in (item for item in items if isinstance(item, Frame) and item.source != START):
        waiting.append(frame)
        if frame.source == TICK:
            core.work(waiting[:-1], frame)
            waiting.clear()
    one, other = core.snapshot(), core.snapshot()
    found = [dict(_arrays(state, "")) for state in (one, other)]
    assert len(found[0]) > 100
    shared = [name for name, array in found[0].items() if np.shares_memory(array, found[1][name])]
    assert shared == []


def _arrays(value: object, name: str) -> Iterator[tuple[str, NDArray[Any]]]:
    if isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _arrays(one, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for n, one in enumerate(value):
            yield from _arrays(one, f"{name}[{n}]")
    elif is_dataclass(value) and not isinstance(value, Plots):
        for each in fields(value):
            yield from _arrays(getattr(value, each.name), f"{name}.{each.name}")


def test_saving_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    save(path, b"one")
    (tmp_path / "checkpoint.new").write_bytes(b"torn")
    save(path, b"two")
    assert path.read_bytes() == b"two"
    (tmp_path / "checkpoint.new").mkdir()
    with pytest.raises(OSError):
        save(path, b"three")
    assert path.read_bytes() == b"two"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[configuration.Config, list[Item]]:
    """A scene as the service would record it, with a checkpoint in the middle."""
    scene = Scenario.load("lithuania-2025-07-28")
    until_us = scene.start_us + SECONDS * US_PER_S
    folder = tmp_path_factory.mktemp("night")
    write_config(folder, 1883, scene.sensors, simulate.formats(scene), 9464)
    loaded = configuration.load(folder, environ={})
    core = Core(loaded, shipped.zones(), 5, lambda _frame, _reason, _detail: None)
    items: list[Item] = [Frame(0, scene.start_us, START, encode(loaded, 5, scene.start_us))]
    waiting: list[Frame] = []
    for frame in takewhile(lambda frame: frame.rx_us <= until_us, scene.frames(simulate.encode)):
        items.append(Frame(frame.seq + 1, frame.rx_us, frame.source, frame.payload))
        if frame.source != TICK:
            waiting.append(frame)
            continue
        _, turn, _ = core.work(waiting, frame)
        waiting = []
        items += turn.outputs
        if frame.rx_us == scene.start_us + CUT_S * US_PER_S:
            about = About(5, frame.seq + 1, frame.rx_us, loaded.hash, code())
            data = packed(about, frozen(core.snapshot()))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(checkpoint, "PART_BYTES", len(data) // 3 + 1)
                parts = [*messages(data, frame.rx_us)]
            assert len(parts) == 3
            items += [Output(frame.rx_us, CHECKPOINT, part) for part in parts]
    return loaded, items


def test_whole_or_entered_at_a_checkpoint_the_end_is_the_same(night: tuple[configuration.Config, list[Item]]) -> None:
    """The digest is a chain over the whole run, so the last one tells of everything before it too."""
    loaded, items = night
    whole = Offline(loaded, shipped.zones()).run(items)
    assert whole.same, whole.words()
    at = next(n for n, item in enumerate(items) if isinstance(item, Output) and item.topic == CHECKPOINT)
    rest = [Output(0, START, b"{}"), *items[at - 40 : at], *items[at:]]  # a rolled file: frames before its checkpoint
    entered = Offline(loaded, shipped.zones()).run(rest)
    assert entered.same, entered.words()
    assert entered.notes == []
    assert entered.digest == whole.digest
    assert 0 < entered.compared < whole.compared
    assert entered.digest.alerts != Outputs().digest.alerts


def test_a_checkpoint_that_cannot_be_used_is_told(night: tuple[configuration.Config, list[Item]]) -> None:
    loaded, items = night
    at = next(n for n, item in enumerate(items) if isinstance(item, Output) and item.topic == CHECKPOINT)
    broken = Output(0, CHECKPOINT, b'{"schema":"x","state_b64":"AAAA"}')
    verdict = Offline(loaded, shipped.zones()).run([broken, *items[at + 1 :]])
    assert not verdict.same
    assert "not a checkpoint" in verdict.notes[0]
