"""The live service under load: arrival of a plot to its track published, at 2,000 plots a second, over Mosquitto.

The service measures itself on its own clock (`vedette_stage_seconds{stage="arrival_to_published"}`); the simulator,
the broker and the service share this machine, so the figure is an upper bound for a machine of the service's own.
`python -m tests.bench.bench_live [plots per second] [seconds]`
"""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from adapters.broker import BrokerSettings, now_us
from adapters.commands import simulate
from adapters.log import prepare_numerics
from fusion.schema import SensorKind, SensorSpec
from replay.motion import from_points
from replay.scenario import Plan, SimObject, SimSensor, Transponder
from replay.simulate import Scenario
from tests.running import Mosquitto, Service, ports, write_config

WARM_UP_S = 20.0
PROMISE_S = 0.25
RADARS = ((54.6, 25.2), (53.9, 23.0), (55.6, 23.4), (52.6, 22.4))


def scene(plots_per_s: int, seconds: float) -> Scenario:
    """A sky over four states that makes about so many plots: half from ADS-B, half from four radars of 5 s."""
    draw = random.Random(20250728)
    aircraft = round(plots_per_s / (1.0 + len(RADARS) * 0.85 / 5.0))
    sensors = [SimSensor(SensorSpec("A1", 0, SensorKind.ADSB, detection_probability=0.99, latency_s=0.4))]
    for i, (lat, lon) in enumerate(RADARS, 1):
        spec = SensorSpec(
            id=f"R{i}",
            index=i,
            kind=SensorKind.RADAR_2D,
            lat_rad=np.radians(lat),
            lon_rad=np.radians(lon),
            height_m=200.0,
            period_s=5.0,
            range_max_m=450_000.0,
            sigma_range_m=60.0,
            sigma_azimuth_rad=np.radians(0.08),
            clutter_per_scan=10.0,
            latency_s=0.4,
        )
        sensors.append(SimSensor(spec, secondary=True, mode_s=True, rpm_phase=i / 5))
    objects = []
    for i in range(aircraft):
        lat, lon, height = draw.uniform(52.0, 56.5), draw.uniform(20.0, 27.5), draw.uniform(5_000.0, 12_000.0)
        speed, course = draw.uniform(120.0, 250.0), draw.uniform(0.0, 2 * np.pi)
        reach = np.radians(np.array([-1.0, 1.0]) * speed * seconds / 111_000.0)
        lats = np.radians(lat) + reach * np.cos(course)
        lons = np.radians(lon) + reach * np.sin(course) / np.cos(np.radians(lat))
        flight = from_points(np.array([-1.0, 2.0 * seconds]), lats, lons, np.full(2, height))
        says = Transponder(0x480000 + i, f"LOAD{i}".encode(), i % 4096)
        objects.append(SimObject(f"a{i}", flight, 40.0, says))
    start_us = now_us() + 2_000_000
    plan = Plan("load", "A full sky", (), 1, start_us, seconds, 0.0, 1013.25, 0.0, tuple(sensors), tuple(objects))
    return Scenario(plan, boot=start_us // 1_000_000)


def publish(port: int, scenario: Scenario) -> None:
    """Send the scene as live sensors do; in a process of its own."""
    settings = BrokerSettings("127.0.0.1", port, client_id="load")
    asyncio.run(simulate._publish(scenario, scenario.end_us, settings, "test", io.StringIO()))


def histogram(service: Service, stage: str) -> dict[float, float]:
    """Cumulated counts by upper limit."""
    found = service.metrics("vedette_stage_seconds_bucket")
    rows = [(name.split('le="')[1].split('"')[0], value) for name, value in found.items() if f'"{stage}"' in name]
    return {float(limit): value for limit, value in rows}


def quantile(before: dict[float, float], after: dict[float, float], part: float) -> float:
    """The smallest bucket limit that holds this part."""
    gained = {limit: after[limit] - before[limit] for limit in sorted(after)}
    total = gained[float("inf")]
    return next(limit for limit, count in gained.items() if count >= part * total)


def main(arguments: list[str]) -> int:
    """Run it and print the figures; status 1 where plots were lost."""
    plots_per_s = int(arguments[0]) if arguments else 2_000
    seconds = float(arguments[1]) if len(arguments) > 1 else 60.0
    prepare_numerics()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario = scene(plots_per_s, WARM_UP_S + seconds + 10.0)
        http_port, _ = ports()
        with Mosquitto(folder / "broker") as broker:
            formats = simulate.formats(scenario)
            config = write_config(folder / "config", broker.port, scenario.sensors, formats, http_port)
            with Service(config, http_port) as service:
                scenario = scene(plots_per_s, WARM_UP_S + seconds + 10.0)
                sender = multiprocessing.Process(target=publish, args=(broker.port, scenario))
                sender.start()
                while service.metric("vedette_items_received_total") == 0:
                    time.sleep(0.2)
                time.sleep(WARM_UP_S)
                start_s, used = time.monotonic(), service.metric("vedette_items_used_total")
                cpu_s = service.metric("process_cpu_seconds_total")
                before = histogram(service, "arrival_to_published")
                stages = {s: stage_mean(service, s) for s in ("decode", "fuse", "encode", "publish")}
                time.sleep(seconds)
                span_s = time.monotonic() - start_s
                after = histogram(service, "arrival_to_published")
                rate = (service.metric("vedette_items_used_total") - used) / span_s
                cpu = (service.metric("process_cpu_seconds_total") - cpu_s) / span_s
                tracks = service.metric('vedette_tracks{status="confirmed"}')
                unaccounted = service.metric("vedette_items_unaccounted")
                sender.terminate()
                sender.join(30)
    within = (after[PROMISE_S] - before[PROMISE_S]) / (after[float("inf")] - before[float("inf")])
    print(f"  {rate:.0f} plots/s, {tracks:.0f} tracks, {cpu:.2f} cores used by the service")
    print("  mean ms per tick: " + ", ".join(f"{name} {1e3 * value:.1f}" for name, value in stages.items()))
    for part in (0.5, 0.9, 0.99, 0.999):
        print(f"  arrival to published, p{100 * part:g}: at most {quantile(before, after, part):g} s")
    print(f"  within {PROMISE_S} s: {100 * within:.2f} %")
    return int(unaccounted != 0)


def stage_mean(service: Service, stage: str) -> float:
    """Mean seconds of one stage since the start."""
    total = service.metric(f'vedette_stage_seconds_sum{{stage="{stage}"}}')
    return total / max(service.metric(f'vedette_stage_seconds_count{{stage="{stage}"}}'), 1.0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
