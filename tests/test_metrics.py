"""What Prometheus sees: balanced, linted by promtool, scraped by a real Prometheus, and never a track id."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters import http, metrics
from adapters.metrics import GIVEN_UP, Metrics
from fusion.bias.mutual import AlignmentLimits
from fusion.bias.sensorbias import SensorBias
from fusion.cases.record import Incident, Member
from fusion.schema import US_PER_S, Counters, Health
from fusion.tracker import TrackerLimits
from tests.conftest import need


def health(sensor: str, **given: object) -> Health:
    values: dict[str, object] = {
        "t_us": 1_700_000_010_000_000,
        "state": "ok",
        "last_us": 1_700_000_009_500_000,
        "last_rx_us": 1_700_000_009_900_000,
        "rate_hz": 12.5,
        "lag_s": 0.4,
        "nis": 1.1,
        "hits": 90,
        "misses": 10,
        **given,
    }
    return Health(sensor, **values)  # type: ignore[arg-type]


def reactions() -> list[Incident]:
    """One incident of two objects, from the first plot to the neighbour."""
    first = Member("5:1", ("a",), 0, 12 * US_PER_S, 17 * US_PER_S, "in sight", 0, 0.9, 0.4, ())
    second = replace(
        first, track="5:2", first_plot_us=20 * US_PER_S, confirmed_us=28 * US_PER_S, alert_us=34 * US_PER_S
    )
    blank = {"severity_reason": "", "title": "", "sentence": "", "near_state": "LT", "states": (), "recipients": ()}
    raised = Incident("i", 1, "raised", "open", 17 * US_PER_S, 17 * US_PER_S, 2, 2, members=(first,), **blank)  # type: ignore[arg-type]
    joined = replace(raised, change="joined", t_us=34 * US_PER_S, members=(first, second))
    seen = replace(joined, change="acknowledged", acknowledged_us=60 * US_PER_S)
    return [raised, joined, seen, replace(seen, change="taken", taken_us=200 * US_PER_S)]


def busy() -> Metrics:
    """Metrics with something in every one of them."""
    m = Metrics(config_hash="0123456789abcdef")
    counters = Counters(received=100, used=80, duplicate=5, late=3, shed={"adsb": 2})
    counters.rejected = {"malformed": 4, "future": 6}
    m.accounting(counters)
    m.tracks({"CONFIRMED": 12, "TENTATIVE": 7})
    m.alert_transition("low-slow-near", 1, "raised")
    m.open_alerts({("low-slow-near", 1): 1})
    m.incidents(2, 3, 4, 5)
    m.limits(TrackerLimits(refused=5, pairs_left_out=6, clusters_split=7, alignment=AlignmentLimits(1, 2, 3, 4, 5)))
    m.memory((8, 9, 10, 11, 12, 13), {"overload": 12})
    m.database_failed()
    for told in reactions():
        m.incident(told)
    for stage in metrics.STAGES:
        m.stage(stage, 0.004)
    m.data_age(0.9)
    bias = SensorBias("R1", "ok", applied=True, azimuth_rad=0.0094, sigma_azimuth_rad=0.0001)
    m.health(health("R1", bias=bias))
    m.health(health("R2", state="never", last_us=-1, last_rx_us=-1, lag_s=np.nan, nis=np.nan))
    m.broker("plots", True)
    m.publish_denied("alert")
    m.quarantine(True)
    return m


def samples(text: bytes) -> dict[tuple[str, ...], float]:
    """Every sample by (name, label value...), labels in order of their names."""
    return {
        (s.name, *(s.labels[key] for key in sorted(s.labels))): s.value
        for family in text_string_to_metric_families(text.decode())
        for s in family.samples
    }


@pytest.mark.parametrize("make", [Metrics, busy])
def test_promtool_finds_nothing_to_say(make: type[Metrics]) -> None:
    run = subprocess.run(
        [need("promtool"), "check", "metrics"], input=make().render(), capture_output=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")


def test_the_reaction_clock_counts_every_object_and_every_person_once() -> None:
    seen = samples(busy().render())
    sums = {step: seen["vedette_reaction_seconds_sum", step] for step in metrics.REACTIONS}
    assert sums == {
        "first_plot_to_confirmed": 12.0 + 8.0,
        "confirmed_to_alert": 5.0 + 6.0,
        "alert_to_acknowledged": 43.0,
        "acknowledged_to_taken": 140.0,
    }
    assert [seen["vedette_reaction_seconds_count", step] for step in metrics.REACTIONS] == [2.0, 2.0, 1.0, 1.0]
    assert seen["vedette_incident_transitions_total", "joined", "2"] == 1.0
    assert [seen[f"vedette_incidents_{name}",] for name in ("open", "refused_total", "overflowed_total")] == [2, 3, 4]
    assert seen["vedette_incident_database_lost_total",] == 5


def test_what_memory_gives_up_is_counted_and_starts_at_zero() -> None:
    for made, expected, overload in ((Metrics(), [0, 0, 0, 0, 0, 0], 0), (busy(), [8, 9, 10, 11, 12, 13], 12)):
        seen = samples(made.render())
        assert [seen["vedette_memory_given_up_total", what] for what in GIVEN_UP] == expected
        assert seen["vedette_reports_refused_total", "overload"] == overload
        assert seen["vedette_reports_refused_total", "id-used"] == 0


def test_the_limits_of_the_tracker_are_counted_and_start_at_zero() -> None:
    names = ("tracks_refused", "pairs_left_out", "clusters_split")
    for made, expected in ((Metrics(), [0, 0, 0]), (busy(), [5, 6, 7])):
        seen = samples(made.render())
        assert [seen[f"vedette_{name}_total",] for name in names] == expected


def test_what_the_alignment_of_radars_leaves_out_is_counted_and_starts_at_zero() -> None:
    for made, never, expected in ((Metrics(), [0, 0], [0, 0, 0]), (busy(), [1, 2], [3, 4, 5])):
        seen = samples(made.render())
        assert [seen["vedette_alignment_never", what] for what in ("radars", "couples")] == never
        left_out = [seen["vedette_alignment_left_out_total", what] for what in ("plots", "unchained", "pairs")]
        assert left_out == expected


def test_the_accounting_that_is_scraped_balances() -> None:
    seen = samples(busy().render())
    total = dict.fromkeys(("received", "used", "duplicate", "late", "rejected", "shed"), 0.0)
    for (name, *_), value in seen.items():
        found = re.fullmatch(r"vedette_items_(\w+)_total", name)
        if found:
            total[found[1]] += value
    assert total == {"received": 100, "used": 80, "duplicate": 5, "late": 3, "rejected": 10, "shed": 2}
    assert total.pop("received") == sum(total.values())
    assert seen["vedette_items_unaccounted",] == 0


def test_an_imbalance_is_shown_not_hidden() -> None:
    m = Metrics()
    m.accounting(Counters(received=10, used=9))
    assert samples(m.render())["vedette_items_unaccounted",] == 1


def test_a_scrape_shows_one_moment_even_while_the_engine_counts_on() -> None:
    m, counters = Metrics(), Counters(received=1, used=1)
    counters.rejected["malformed"] = 0
    m.accounting(counters)
    counters.received += 5
    counters.reject("malformed", 3)
    seen = samples(m.render())
    assert seen["vedette_items_received_total",] == 1
    assert seen["vedette_items_rejected_total", "malformed"] == 0


def test_every_known_reason_is_there_before_it_happens() -> None:
    seen = samples(Metrics().render())
    assert len(metrics.REJECT_REASONS) == 18
    for reason in metrics.REJECT_REASONS:
        assert seen["vedette_items_rejected_total", reason] == 0


def test_a_reason_nobody_foresaw_is_counted_all_the_same() -> None:
    m = Metrics()
    m.accounting(Counters(received=2, rejected={"brand-new": 2}))
    assert samples(m.render())["vedette_items_rejected_total", "brand-new"] == 2


def test_tracks_by_status_and_a_status_without_tracks_falls_to_zero() -> None:
    m = Metrics()
    m.tracks({"CONFIRMED": 5, "tentative": 2})
    m.tracks({"COASTING": 1})
    seen = samples(m.render())
    found = {labels[0]: value for (name, *labels), value in seen.items() if name == "vedette_tracks"}
    assert found == {"confirmed": 0, "tentative": 0, "coasting": 1}
    with pytest.raises(ValueError, match="flying"):
        m.tracks({"flying": 1})


def test_sensor_numbers_are_absent_while_unknown_never_a_sentinel() -> None:
    seen = samples(busy().render())
    assert seen["vedette_sensor_last_measurement_timestamp_seconds", "R1"] == 1_700_000_009.5
    assert seen["vedette_sensor_rate_hertz", "R1"] == 12.5
    assert seen["vedette_sensor_hits_total", "R1"] == 90
    for name in ("last_measurement_timestamp_seconds", "last_arrival_timestamp_seconds", "lag_seconds"):
        assert (f"vedette_sensor_{name}", "R2") not in seen
    states = {
        labels[1]: v for (name, *labels), v in seen.items() if name == "vedette_sensor_state" and labels[0] == "R2"
    }
    assert states == {"never": 1, "ok": 0, "stale": 0, "degraded": 0, "off": 0}
    assert not any(np.isnan(value) for value in seen.values())


def test_an_alert_that_closed_leaves_the_open_ones() -> None:
    m = Metrics()
    m.open_alerts({("low-slow-near", 1): 2, ("incursion", 2): 1})
    m.open_alerts({("incursion", 2): 1})
    seen = samples(m.render())
    assert [key for key in seen if key[0] == "vedette_alerts_open"] == [("vedette_alerts_open", "incursion", "2")]


def test_a_connection_counts_only_when_it_comes_up() -> None:
    m = Metrics()
    for up in (True, True, False, False, True):
        m.broker("plots", up)
    seen = samples(m.render())
    assert seen["vedette_broker_connects_total", "plots"] == 2
    assert seen["vedette_broker_connected", "plots"] == 1


def test_stage_times_land_in_the_bucket_they_belong_to() -> None:
    m = Metrics()
    m.stage("decode", 0.25)  # on the edge of a bucket is inside it
    m.stage("decode", 0.2501)
    seen = samples(m.render())
    assert seen["vedette_stage_seconds_bucket", "0.25", "decode"] == 1
    assert seen["vedette_stage_seconds_bucket", "0.5", "decode"] == 2
    with pytest.raises(KeyError):
        m.stage("coffee", 1.0)


def test_labels_are_few_and_never_a_track_or_an_alert() -> None:
    names = {
        label
        for family in text_string_to_metric_families(busy().render().decode())
        for sample in family.samples
        for label in sample.labels
    }
    known = "status rule severity state stage connection kind result version python config reason class sensor le"
    assert names - {*known.split(), "parameter", "change", "step"} == set()


def test_two_services_in_one_process_do_not_share_numbers() -> None:
    one, two = Metrics(), Metrics()
    one.quarantine(True)
    assert samples(two.render())["vedette_quarantined_total", "written"] == 0


PROMETHEUS_START_S = 20.0
SPENT = "{__name__=~'vedette_items_(used|duplicate|late|rejected|shed)_total'}"
BALANCE = f"vedette_items_received_total - on() sum({SPENT})"


def ask(port: int, query: str) -> list[dict[str, object]]:
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(url, timeout=2) as answer:
        found: list[dict[str, object]] = json.load(answer)["data"]["result"]
    return found


def test_a_real_prometheus_scrapes_it(tmp_path: Path) -> None:
    async def scene() -> dict[str, float]:
        async with http.serve("127.0.0.1", 0, busy(), lambda: (True, "ready")) as port:
            return await asyncio.to_thread(scrape, tmp_path, port)

    found = asyncio.run(scene())
    assert found == {
        "up": 1.0,
        "vedette_items_received_total": 100.0,
        'vedette_items_rejected_total{reason="future"}': 6.0,
        'vedette_sensor_rate_hertz{sensor="R1"}': 12.5,
        "sum(vedette_tracks)": 19.0,
        'histogram_quantile(0.99,vedette_stage_seconds_bucket{stage="fuse"}) <= bool 0.005': 1.0,
        BALANCE: 0.0,
    }


def scrape(folder: Path, target: int) -> dict[str, float]:
    """Let a Prometheus of our own scrape once and answer."""
    with http.bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 500ms, scrape_timeout: 400ms}\nscrape_configs:\n"
        f"  - job_name: vedette\n    static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
    )
    arguments = [
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(
        [need("prometheus"), *arguments], stdout=log, stderr=log
    ) as server:  # fmt: skip
        try:
            end = time.monotonic() + PROMETHEUS_START_S
            while True:
                try:
                    if ask(port, "up == 1"):
                        break
                except OSError:
                    pass
                assert server.poll() is None, (folder / "prometheus.log").read_text()
                assert time.monotonic() < end, (folder / "prometheus.log").read_text()
                time.sleep(0.1)
            queries = (
                "up",
                "vedette_items_received_total",
                'vedette_items_rejected_total{reason="future"}',
                'vedette_sensor_rate_hertz{sensor="R1"}',
                "sum(vedette_tracks)",
                'histogram_quantile(0.99,vedette_stage_seconds_bucket{stage="fuse"}) <= bool 0.005',
                BALANCE,
            )
            return {query: float(ask(port, query)[0]["value"][1]) for query in queries}  # type: ignore[index]
        finally:
            server.terminate()
            server.wait(10)


def test_a_bias_is_a_gauge_by_parameter_and_absent_while_unknown() -> None:
    read = samples(busy().render())
    assert read["vedette_sensor_bias", "azimuth_rad", "R1"] == 0.0094
    assert read["vedette_sensor_bias_sigma", "azimuth_rad", "R1"] == 0.0001
    assert read["vedette_sensor_believed", "R1"] == 1.0 and read["vedette_sensor_bias_applied", "R1"] == 1.0
    assert not [key for key in read if "range_m" in key or ("vedette_sensor_believed" in key and "R2" in key)]
