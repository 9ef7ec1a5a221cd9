"""`make bench`: one run, one table. Parts by name: `make bench ARGS="speed quality"`; `ARGS=live` and
`ARGS=page` are runs of their own.

`--write` writes docs/benchmarks.md, after a whole run only. Status 1 when something fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

from tests.bench import bench_asterix, bench_beast, bench_filter, bench_ledger, bench_stages, quality, speed, table
from tests.bench.peers.choice import PERFECT, makers
from tests.bench.quality import Judged
from tests.bench.scenes import WINDOW_US, Scene, scene
from tests.bench.table import OURS, Table


@dataclass(frozen=True, slots=True)
class Size:
    """How many objects, for how long, what of it is warm-up, and who else runs it."""

    objects: int
    seconds: float
    warm_s: float
    peers: tuple[str, ...]


ALL = tuple(name for name in makers() if name != PERFECT)
SIZES = (
    Size(100, 60.0, 20.0, ALL),
    Size(1_000, 30.0, 20.0, ALL),
    Size(5_000, 24.0, 16.0, ("filterpy KF",)),
    Size(20_000, 20.0, 16.0, ()),
)
GROWTH_FROM = 1_000  # objects; with fewer, a step costs more than its plots
MIXED = Size(1_000, 30.0, 20.0, ("filterpy KF",))
QUALITY = Size(200, 240.0, 0.0, tuple(makers()))
QUALITY_SEED = 5  # no search of parameters has seen this sky
HOLD_S, HOLD_MIXED_S = 1.0, 1.5  # of the peers' buffers: they wait for most of what is late
TICK_S = 1.0


def speeds(out: Table) -> None:
    """Throughput, growth and latency at every size."""
    rates: dict[str, float] = {}
    small: dict[str, float] = {}
    for size in SIZES:
        sky = scene(size.objects, size.seconds)
        name = f"{size.objects:,} objects"
        for column in (OURS, *size.peers):
            got = _speed(column, sky, size.warm_s)
            rates[column] = got.plots_per_cpu_s
            _show(out, name, column, got)
            out.put(f"{name}: cost of a plot, us", column, 1e6 / rates[column], ",.1f")
            if size.objects == GROWTH_FROM:
                small[column] = rates[column]
            if column in small:
                out.put(f"{name}: cost of a plot against {GROWTH_FROM:,}", column, small[column] / rates[column], ".2f")
        missing = [peer for peer in ALL if peer not in size.peers]
        if missing:
            needs = ", ".join(f"{peer} {sky.plots / rates[peer] / 60:.1f}" for peer in missing)
            out.note(f"{name}: not run with {sky.plots:,} plots; minutes at its last rate above: {needs}.")


def _speed(column: str, sky: Scene, warm_s: float) -> speed.Speed:
    return speed.ours(sky, warm_s) if column == OURS else speed.peer(sky, warm_s, makers()[column], HOLD_S)


def _show(out: Table, name: str, column: str, got: speed.Speed) -> None:
    out.put(f"{name}: plots per CPU-second", column, got.plots_per_cpu_s)
    out.put(f"{name}: tracks at the end", column, got.tracks)
    out.put(f"{name}: step of 0.1 s, p50 / p99, ms", column, f"{got.p50_ms:.1f} / {got.p99_ms:.1f}")


def stages(out: Table) -> None:
    """Where the time of a step goes."""
    for size in SIZES[1:]:
        for stage, us in bench_stages.measure(scene(size.objects, size.seconds), size.warm_s).items():
            out.put(f"{size.objects:,} objects: {stage}, us per plot", OURS, us, ".2f")


def mixed(out: Table) -> None:
    """Sensors 0.2 s and 1.3 s late by turns."""
    sky = scene(MIXED.objects, MIXED.seconds, mixed_latency=True)
    row = f"{MIXED.objects:,} objects, latencies of 0.2 and 1.3 s: plots per CPU-second"
    out.put(row, OURS, speed.ours(sky, MIXED.warm_s).plots_per_cpu_s)
    for peer in MIXED.peers:
        out.put(row, peer, speed.peer(sky, MIXED.warm_s, makers()[peer], HOLD_MIXED_S).plots_per_cpu_s)


def lines(out: Table) -> None:
    """JSON lines in and out."""
    sky = scene(MIXED.objects, MIXED.seconds)
    got = speed.through_lines(sky, MIXED.warm_s)
    out.put(f"{MIXED.objects:,} objects, JSON lines in and out: plots per CPU-second", OURS, got)


def memory(out: Table) -> None:
    """Resident growth, and arrays."""
    for objects in (1_000, 5_000):
        got = speed.memory(objects, 20.0)
        row = f"{objects:,} objects: kB per track, resident growth / arrays"
        per = [got[key] / got["tracks"] / 1e3 for key in ("resident", "arrays")]
        out.put(row, OURS, f"{per[0]:.1f} / {per[1]:.1f}")


def filters(out: Table) -> None:
    """One step of the filter."""
    ours_us, oracle_us = bench_filter.measure()
    row = "three-model IMM, one predict and update, us"
    out.put(row, OURS, ours_us, ".2f")
    out.put(row, "filterpy IMM", oracle_us, ",.0f")
    out.note(f"The row of one IMM step: the same three models and the same 3D plot, {oracle_us / ours_us:.0f} to 1.")


def ledgers(out: Table) -> None:
    """One look of the jurisdiction ledger, which takes one a second."""
    for border_km, where in ((0.0, "anywhere"), (5.0, "within 5 km of the border")):
        median_ms, most_ms = bench_ledger.measure(border_km=border_km)
        row = f"{bench_ledger.OBJECTS:,} tracks {where}: ledger, CPU per second of feed, p50 / most, ms"
        out.put(row, OURS, f"{median_ms:.1f} / {most_ms:.1f}")


def beasts(out: Table) -> None:
    """Raw frames of 1090 MHz into plots."""
    ours, theirs = bench_beast.measure()
    row = f"Beast, {bench_beast.AIRCRAFT:,} aircraft: frames per CPU-second"
    out.put(row, OURS, ours)
    out.put(row, "rs1090", theirs)
    out.note("The row of Beast: octets to plots in batches of 0.1 s; rs1090 reads the same frames, from hex, at once.")


def asterix(out: Table) -> None:
    """Radar plots in, system tracks out."""
    for row, rates in bench_asterix.measure().items():
        for column, rate in rates.items():
            out.put(f"ASTERIX, {row} per CPU-second", column, rate)


def qualities(out: Table) -> None:
    """All on the same measurements."""
    sky = scene(QUALITY.objects, QUALITY.seconds, QUALITY_SEED, told=True)
    _judged(out, quality.judge(OURS, sky, *quality.ours(sky)))
    for name in QUALITY.peers:
        _judged(out, judge_peer(sky, name))
    out.note(
        f"Quality: {QUALITY.objects} objects, {QUALITY.seconds:g} s, {sky.plots:,} plots, judged by replay/score.py "
        "every 5 s from 30 s on, 1,000 m, in the plane. Delays count from an object's first plot."
    )
    out.note(f'"{PERFECT}" is told by the truth which plot is whose: no tracker can be, and it is the upper mark.')


def judge_peer(sky: Scene, name: str) -> Judged:
    """One peer over a scene with owners."""
    one = makers()[name](sky.sensors, HOLD_S)
    return quality.judge(name, sky, lambda w: one.step(sky.windows[w], (w + 1) * WINDOW_US, sky.owners[w]), one.table)


def _judged(out: Table, got: Judged) -> None:
    whole, parts = got.score.overall, {part.name: part for part in got.score.classes}

    def put(row: str, value: float, form: str) -> None:
        out.put(f"quality: {row}", got.name, value, form)

    put("completeness", whole.siap.completeness, ".4f")
    put("completeness, drones", parts["drones"].siap.completeness, ".4f")
    put("completeness, slow", parts["slow"].siap.completeness, ".4f")
    put("spuriousness", whole.siap.spuriousness, ".4f")
    put("GOSPA, m", float(got.score.gospa.total_m.mean()), ",.0f")
    put("OSPA, m", float(got.score.ospa_m.mean()), ".1f")
    put("track-number changes per hour", whole.siap.number_changes_per_s * 3_600, ".2f")
    put("mean position error, m", whole.siap.position_accuracy_m, ".1f")
    for name in ("drones", "slow"):
        delays = parts[name].delays
        out.put(f"quality: first track, {name}, p50 / p95, s", got.name, f"{delays.p50_s:.1f} / {delays.p95_s:.1f}")
    put("plots per CPU-second", got.plots_per_cpu_s, ",.0f")


PARTS = {
    "speed": speeds, "stages": stages, "mixed": mixed, "stream": lines, "memory": memory, "filter": filters,
    "ledger": ledgers, "beast": beasts, "asterix": asterix, "quality": qualities,
}  # fmt: skip


def main() -> int:
    """See the head of the file."""
    ask = argparse.ArgumentParser(prog="make bench", description=__doc__)
    ask.add_argument(
        "parts", nargs="*", choices=[*PARTS, "live", "page", []], help="all but live and page when none is named"
    )
    ask.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    said = ask.parse_args()
    if "live" in said.parts:
        from tests.bench import bench_live

        return bench_live.main([])
    if "page" in said.parts:
        from tests.bench import bench_page

        return bench_page.main([])
    if said.write and said.parts:
        ask.error("--write takes a whole run")
    out, about, start = Table(), table.machine(), time.monotonic()
    print(f"{about}\n", flush=True)
    for name in said.parts or PARTS:
        began = time.monotonic()
        PARTS[name](out)
        print(f"  {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(out.text(), flush=True)
    if said.write:
        table.write(about, out, (time.monotonic() - start) / 60)
    return 0


if __name__ == "__main__":
    sys.exit(main())
