"""A recording of every type of sensor through an engine: to the bit at any speed, in parts, entered at a checkpoint;
and what is not the same is said."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from adapters import config as configuration
from adapters.commands import replay as replay_command
from adapters.running import starting
from adapters.running.offline import Offline
from adapters.running.outputs import CHECKPOINT, DIGEST
from fusion.schema import US_PER_S, Frame
from replay import recording
from replay.log import START
from replay.mcapfile import Output
from replay.mcapread import Item
from tests import recorded, shipped
from tests.recorded import Recorded

SECONDS = 8


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Entered every three seconds instead of every minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starting, "RECORD_EVERY_US", 3 * US_PER_S)
        found = recorded.record(tmp_path_factory.mktemp("offline") / "config", SECONDS)
    assert found.raised > 0, "nothing is alerted: the scene does not try it"
    return found


def items(made: Recorded) -> list[Item]:
    return list(recording.items(made.path))


def run(
    made: Recorded, capsys: pytest.CaptureFixture[str], speed: str = "max", start: str = "", end: str = ""
) -> tuple[int, str, list[str]]:
    """Status, what it said, and the digests it printed."""
    err = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(configuration, "load_zones", lambda _config: shipped.zones())
        status = replay_command.offline(made.path, made.config.folder, speed, err, start, end)
    return status, err.getvalue(), capsys.readouterr().out.split()[1::2]


def digest_of(made: Recorded) -> list[str]:
    return [made.digest.tracks, made.digest.alerts, made.digest.incidents]


@pytest.mark.parametrize("speed", ["max", "20"])
def test_at_any_speed_it_comes_out_to_the_bit(made: Recorded, capsys: pytest.CaptureFixture[str], speed: str) -> None:
    status, said, digest = run(made, capsys, speed)
    assert (status, digest) == (0, digest_of(made)), said
    assert f"identical: {SECONDS + 1} digests" in said
    assert "note" not in said


def test_entered_in_the_middle_it_comes_to_the_same_end(made: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [i.t_us for i in items(made) if isinstance(i, Output) and i.topic == CHECKPOINT]
    assert len(entries) == 2
    status, said, digest = run(made, capsys, start="+5.5")
    assert (status, digest) == (0, digest_of(made)), said
    left = [i.t_us for i in items(made) if isinstance(i, Output) and i.topic == DIGEST and i.t_us > entries[0]]
    assert f"identical: {len(left)} digests" in said
    assert f"{10 * SECONDS - (entries[0] - recorded.T0_US) // 100_000} ticks" in said


def test_what_is_later_is_left_out(made: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    status, said, _ = run(made, capsys, end="+4.05")
    assert status == 0
    assert "identical: 5 digests" in said
    assert "41 ticks" in said


def test_a_frame_less_is_told_with_its_moment(made: Recorded) -> None:
    plots = [i for i in items(made) if isinstance(i, Frame) and i.source == "in/R3/plots"]
    gone = plots[len(plots) // 2]
    verdict = Offline(made.config, shipped.zones()).run(i for i in items(made) if i != gone)
    assert "tracks" in verdict.differs
    assert gone.rx_us <= verdict.differs_us <= gone.rx_us + 2 * US_PER_S
    assert verdict.words().startswith("DIFFERENT from 2025-07-28T02:40:")


def test_another_configuration_is_said(made: Recorded) -> None:
    other = replace(made.config, hash="0" * 64)
    until = recorded.T0_US + US_PER_S
    short = [i for i in items(made) if (i.t_us if isinstance(i, Output) else i.rx_us) <= until]
    verdict = Offline(other, shipped.zones()).run(short)
    assert verdict.notes == ["the configuration is not the one that was recorded"]


def test_without_digests_nothing_is_claimed(made: Recorded) -> None:
    verdict = Offline(made.config, shipped.zones()).run(
        i for i in items(made)[:200] if isinstance(i, Frame) and i.source != START
    )
    assert not verdict.same
    assert verdict.words().startswith("nothing to compare with")
