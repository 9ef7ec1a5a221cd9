"""Campaigns of recordings: a service that dies anywhere goes on as if nothing had happened; damage invents nothing."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fusion.schema import Frame
from replay.log import BadLog
from replay.mcapfile import tails_of
from replay.mcapread import McapReader
from tests.soak.campaign import Campaign, Counts, Verdict, seeds, total

FRESH_S = 1.0
SPOILT = 200  # files of one piece


def died(key: str) -> Counts:
    """A scene whose service dies at a tick of chance, with a checkpoint of some ticks before, and goes on."""
    from tests.crashes import crash

    with tempfile.TemporaryDirectory() as folder:
        found = crash(Path(folder), int(key))
    assert found.reason == ""
    assert found.digest_after == found.digest_whole, "another picture, alert or incident after the restart"
    return {"restarts": 1, "ticks": found.ticks, "ticks_again": found.ticks_again}


def damaged(key: str) -> Counts:
    """Recordings with flipped bits, cut off, or with a hole: whatever is read was written, and what is not is said."""
    from tests.test_mcapfile import feed, written

    rng = random.Random(int(key))
    read = lost = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mcap"
        frames = feed(150)
        true = {frame.seq: frame for frame in frames}
        written(path, frames).finish()
        data = path.read_bytes()
        for _ in range(SPOILT):
            path.write_bytes(spoilt(data, rng))
            reader = McapReader(path)
            try:
                found = [item for item in reader if isinstance(item, Frame)]
            except BadLog:
                found = []
            assert not any(tail.exists() for tail in tails_of(path))
            assert all(true.get(frame.seq) == frame for frame in found)
            assert len(found) == len(frames) or not (reader.damage.harmless and reader.damage.finished)
            read, lost = read + len(found), lost + len(frames) - len(found)
    return {"files": SPOILT, "frames_read": read, "frames_lost": lost}


def spoilt(data: bytes, rng: random.Random) -> bytes:
    """One kind of damage at a place of chance."""
    at = rng.randrange(len(data))
    kind = rng.randrange(3)
    if kind == 0:
        return data[:at]
    whole = bytearray(data)
    if kind == 1:
        whole[at : at + rng.randrange(1, 4_096)] = bytes(rng.randrange(1, 4_096))
    else:
        for _ in range(rng.randrange(1, 8)):
            whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
    return bytes(whole)


def judge_restarts(found: Sequence[Counts]) -> list[Verdict]:
    """Each one is right by itself; the page shows how many there were."""
    count = total(found, "restarts")
    return [Verdict(count > 0, f"{count:g} services died and went on to the bit")]


def taken_over(_key: str) -> Counts:
    """Kill -9 of a working service of a thousand objects, with a spare that stands by, four times."""
    from tests.takeovers import take_over

    with tempfile.TemporaryDirectory() as folder:
        went = take_over(Path(folder), "mixed-sky", 1_000, kills=4)
    assert {*went.epochs} == {1}, "a spare started cold"
    assert not went.twice, f"raised twice: {', '.join(went.twice)}"
    slow = [step for step in went.steps if step.fresh_s > FRESH_S]
    longest = Counter(max(("lock", "going_on", "rest"), key=lambda name: getattr(step, f"{name}_s")) for step in slow)
    return {
        "kills": len(went.steps),
        "fresh_in_time": sum(step.fresh_s <= FRESH_S for step in went.steps),
        "fresh_s": sum(step.fresh_s for step in went.steps),
        "lock_s": sum(step.lock_s for step in went.steps),
        "going_on_s": sum(step.going_on_s for step in went.steps),
        "rest_s": sum(step.rest_s for step in went.steps),
        **{f"slow_by_{name}": longest[name] for name in ("lock", "going_on", "rest")},
        "tracks": went.tracks,
        "raised": went.raised,
    }


def judge_takeovers(found: Sequence[Counts]) -> list[Verdict]:
    """DESIGN 8: p95 at most one second."""
    kills, within = total(found, "kills"), total(found, "fresh_in_time")
    mean_s = total(found, "fresh_s") / kills
    words = (
        f"fresh tracks within {FRESH_S:g} s after {within:g} of {kills:g} kills (mean {mean_s:.2f} s); at least 95 %"
    )
    return [Verdict(within >= 0.95 * kills, words)]


CAMPAIGNS = (
    Campaign("restarts", "A service that dies at any tick goes on to the bit.", seeds(200), died, judge_restarts),
    Campaign("damaged-recordings", "Damage of recordings is noticed and invents no frame.", seeds(50), damaged),
    Campaign(
        "takeovers", "A spare that stands by goes on where a service is killed.", seeds(6), taken_over, judge_takeovers
    ),
)
