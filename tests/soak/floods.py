"""Campaign of overload: five times the load for a minute, at a real service and a real broker."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.soak.campaign import Campaign, Counts, Verdict, seeds, total

LATE_S, MEMORY_MB, NORMAL_S = 1.0, 512.0, 10.0


def flooded(key: str) -> Counts:
    """One flood; a drone without an alert, or a plot without account, is a failure."""
    from tests.flood import DRONES, flood

    with tempfile.TemporaryDirectory() as folder:
        found = flood(Path(folder), int(key))
    went = f"{found.plots_per_s:.0f} plots/s, slowest alert {max(found.alert_s):.1f} s, {found.memory_mb:.0f} MB"
    assert found.drones_told == DRONES, f"{found.drones_told} told, {DRONES} drones were there; {went}"
    assert found.unaccounted == 0
    return {
        "floods": 1,
        "flood_plots_per_s": found.plots_per_s,
        "alerts": len(found.alert_s),
        "alerts_late": sum(late_s > LATE_S for late_s in found.alert_s),
        "slowest_alert_s": max(found.alert_s),
        "peak_memory_mb": found.memory_mb,
        "shed": found.shed,
        "highest_level": found.level,
        "normal_s": found.normal_s,
    }


def judge(found: Sequence[Counts]) -> list[Verdict]:
    """Alerts in time, memory, and how soon it is over."""
    alerts, late = total(found, "alerts"), total(found, "alerts_late")
    memory_mb = max(counts["peak_memory_mb"] for counts in found)
    normal_s = max(counts["normal_s"] for counts in found)
    plots_per_s = min(counts["flood_plots_per_s"] for counts in found)
    return [
        Verdict(
            late <= 0.01 * alerts,
            f"{late:g} of {alerts:g} alerts came later than {LATE_S:g} s, at {plots_per_s:.0f} plots/s or more; "
            "1 in 100 may",
        ),
        Verdict(memory_mb <= MEMORY_MB, f"at most {memory_mb:.0f} MB resident; {MEMORY_MB:.0f} MB are allowed"),
        Verdict(normal_s <= NORMAL_S, f"nothing left out from {normal_s:.1f} s after the flood on; {NORMAL_S:g} s"),
    ]


CAMPAIGNS = (
    Campaign(
        "floods",
        "Five times the load for a minute: every drone is told in time, and a minute later nothing is left of it.",
        seeds(10),
        flooded,
        judge,
    ),
)
