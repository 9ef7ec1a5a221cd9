"""Hostile input at the whole door: it changes no track, makes no metric series and stands nowhere as it came."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.config import Config, load_zones
from adapters.metrics import Metrics
from adapters.service import Core
from adapters.store import Quarantine
from adapters.wire import number_of
from fusion.schema import US_PER_S, Frame, Invalid
from replay.log import TICK
from tests.chaos import sky
from tests.test_formats_hostile import DECODERS, SPICE, mutated

START_US = 1_795_000_000_000_000
NAMES = 5_000
TRICKS = (
    "../../etc/passwd", "R1\n{}", "\x1b[31mR1", "<script>alert(1)</script>", "a\x00b", '"}\nvedette_up 1', "R1\u202e",
    "%2e%2e", "CON", "\ud7ff" * 40,
)  # fmt: skip


@pytest.fixture(name="config", scope="module")
def _config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return sky.loaded(sky.write(tmp_path_factory.mktemp("hostile"), 1883, 9464))


def feed() -> Iterator[list[Frame]]:
    """Ten seconds of two objects, one list a tick."""
    flights = [sky.Flight(n, low=not n, from_us=START_US) for n in range(2)]
    for n in range(100):
        t_us, frames = START_US + n * sky.TICK_US, []
        if n % 5 == 0:
            for sensor in sky.SENSORS:
                payload, _ = sky.message(flights, sensor, t_us, n // 5)
                frames.append(Frame(0, t_us, f"in/{sensor}/plots", payload))
        yield frames


def refused_only(rng: random.Random) -> Iterator[bytes]:
    """Injured messages that no decoder takes and whose number cannot be read: those of a sensor itself would count."""
    while True:
        name = rng.choice(sorted(DECODERS))
        payload = mutated(DECODERS[name][1], rng) if rng.random() < 0.7 else b"".join(rng.choices(SPICE, k=6))
        try:
            DECODERS["plots"][0](payload)
        except Invalid:
            if number_of(payload, "R1") is None and number_of(payload, "A") is None:
                yield payload


def run(config: Config, hostile: Iterator[Frame] | None, refused: list[str]) -> Core:
    """The feed through a core, with 40 hostile frames in every tick."""
    core = Core(config, load_zones(config), 1, lambda _frame, reason, _detail: refused.append(reason))
    for n, frames in enumerate(feed()):
        bad = [next(hostile) for _ in range(40)] if hostile else []
        core.work([*bad[:20], *frames, *bad[20:]], Frame(0, START_US + n * sky.TICK_US, TICK, b""))
    return core


def test_hostile_frames_change_no_track_alert_or_incident(config: Config) -> None:
    rng = random.Random(5)
    payloads = refused_only(rng)

    def hostile() -> Iterator[Frame]:
        while True:
            source = rng.choice(("in/A/plots", "in/B/plots", "in/x/plots", "in/A/x", "cmd/x", "a/b/c/d", ""))
            yield Frame(0, START_US, source, next(payloads))

    refused: list[str] = []
    plain, attacked = run(config, None, []), run(config, hostile(), refused)
    assert len(refused) == 4_000
    assert len({*refused}) >= 5
    assert len(plain.engine.open_alerts()) == 1
    assert attacked.outputs.digest == plain.outputs.digest
    assert attacked.engine.counters.balance() == 0


def test_five_thousand_bogus_names_make_no_series_no_file_and_stand_nowhere_raw(config: Config, tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "q" / "quarantine.jsonl", 1_000_000)
    quarantine.path.parent.mkdir()
    metrics = Metrics()
    details: list[str] = []

    def refused(frame: Frame, reason: str, detail: str) -> None:
        details.append(detail)
        metrics.quarantine(quarantine.add(frame.rx_us, reason, frame.source, frame.payload))

    core = Core(config, load_zones(config), 1, refused)
    for n in range(NAMES):
        name = TRICKS[n % len(TRICKS)] + str(n)
        core.door.enter(Frame(0, START_US + n, f"in/{name}/{'plots' if n % 3 else name}", b'{"sensor":"%d"}' % n))
    metrics.accounting(core.engine.counters)
    text = metrics.render().decode()
    series = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert core.engine.counters.received == NAMES == len(details)
    assert len(series) <= 500
    assert [path.name for path in quarantine.path.parent.iterdir()] == ["quarantine.jsonl"]
    raw = quarantine.path.read_bytes()
    for trick in TRICKS:
        assert trick not in text
    assert all(byte >= 0x20 or byte == 0x0A for byte in raw)
    assert raw.count(b"\n") == len(raw.splitlines()) <= NAMES


@pytest.mark.parametrize(
    "payload",
    [
        b'{"schema":"vedette.plots.v1","schema":"x","sensor":"A","kind":"position","plots":[]}',
        b'{"schema":"vedette.plots.v1","sensor":"A","kind":"position","plots":[{"time":NaN}]}',
        b'{"schema":"vedette.plots.v1","sensor":"A","kind":"position","plots":[{"lat_deg":1e999}]}',
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b" " * 65_537,
    ],
    ids=["key twice", "NaN", "1e999", "deep arrays", "deep objects", "64 KiB and one"],
)
def test_what_parsers_differ_about_is_refused_and_counted(config: Config, payload: bytes) -> None:
    found: list[str] = []
    core = Core(config, load_zones(config), 1, lambda _frame, reason, _detail: found.append(reason))
    core.door.enter(Frame(0, START_US, "in/A/plots", payload))
    core.work([], Frame(0, START_US + US_PER_S, TICK, b""))
    counters = core.engine.counters
    assert (len(found), counters.used, counters.balance()) == (1, 0, 0)
