"""Campaigns over seeds: what `make test` asks of one sky is asked of many, and the numbers are added up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusion.borders.ledger import Ledger
from tests import crossings, ghosts, overflight, shipped
from tests.losses import losses, told_at_impact
from tests.soak.campaign import Campaign, Counts, Verdict, seeds, total
from tests.test_forecast import judged, within
from tests.test_ledger import NOISY, ON_S, PLOTS_M, SEEDS, TOO_COARSE, by_track, check_chain, kinds
from tests.test_lost import holds

LOSSES = 330


def lost(piece: str) -> Counts:
    """As many losses of this seed: how often the true impact lies inside the contours that are told next."""
    half = most = 0
    for loss in losses(LOSSES, seed=int(piece)):
        _, (inner, outer), impact = told_at_impact(loss)
        half += holds(inner, *impact)
        most += holds(outer, *impact)
    return {"losses": LOSSES, "inside_50_count": half, "inside_90_count": most}


def contours_hold(found: Sequence[Counts]) -> list[Verdict]:
    n = total(found, "losses")
    half, most = total(found, "inside_50_count") / n, total(found, "inside_90_count") / n
    return [
        Verdict(
            most >= 0.85, f"the impact lies inside the 90 % contour in {most:.1%} of {n:,.0f} losses; at least 85 %"
        ),
        Verdict(0.4 <= half <= 0.75, f"and inside the 50 % contour in {half:.1%}; 40 to 75 %"),
    ]


def crossed(piece: str) -> Counts:
    """270 flights at the border: how often the true time lies inside the interval that was told."""
    flown = crossings.run(seed=int(piece))
    rows = judged(flown)
    return {
        "crossings": len(np.unique(flown.who[rows])),
        "looks": int(rows.sum()),
        "inside_count": int(within(flown)[rows].sum()),
    }


def intervals_hold(found: Sequence[Counts]) -> list[Verdict]:
    n, objects = total(found, "looks"), total(found, "crossings")
    part = total(found, "inside_count") / n
    words = (
        f"the true time lies in the 90 % interval in {part:.1%} of {n:,.0f} looks at {objects:,.0f} objects; 85 to 95 %"
    )
    return [Verdict(0.85 <= part <= 0.95, words)]


def passed(piece: str) -> Counts:
    """Real ways as a tracker sees them, with other errors: "grindu-2023 7"."""
    name, seed = piece.split()
    way, speed_mps, expected = overflight.WAYS[name]
    wanted = [code for code, _ in expected]
    flown = overflight.truth(way, speed_mps, step_s=2.0, on_s=ON_S.get(name, 0.0))
    right = count = told = same = 0
    for plot_m in (p for p in PLOTS_M if (name, p) not in TOO_COARSE):
        looks = overflight.filtered(flown, plot_m, 5 * SEEDS, seed=1_000 + int(seed))
        lists = by_track(overflight.fly(Ledger(shipped.zones(), overflight.SENSOR_IDS), looks))
        assert len(lists) == 5 * SEEDS
        for entries in lists:
            check_chain(entries)
            assert kinds(entries).count("seam") <= len(wanted)
            count += 1
            found = overflight.states(entries)
            right += found == wanted
            told += len(found)
            same += overflight.agreed(found, wanted)
    counts = {"events_count": count * len(wanted), "told_count": told, "agreed_count": same}
    return {"flights": count, "right_count": right, **counts}


def order_holds(found: Sequence[Counts]) -> list[Verdict]:
    n, right = total(found, "flights"), total(found, "right_count")
    events, told, same = (total(found, name) for name in ("events_count", "told_count", "agreed_count"))
    f1 = 2.0 * same / (told + events)
    return [
        Verdict(right >= 0.99 * n, f"{right:,.0f} of {n:,.0f} flights passed the states in their order; at least 99 %"),
        Verdict(
            f1 >= 0.99,
            f"border events: F1 {f1:.4f}, {same:,.0f} as they were of {told:,.0f} told and {events:,.0f} true; "
            "at least 0.99",
        ),
    ]


def haunted(piece: str) -> Counts:
    """Five skies with ghosts."""
    skies = [ghosts.fly(seed) for seed in range(5 * int(piece), 5 * int(piece) + 5)]
    named_s = np.concatenate([sky.named_s for sky in skies])
    return {
        "ghosts": len(named_s),
        "named_in_15_s_count": int((named_s <= 15.0).sum()),
        "never_named_count": int(np.isinf(named_s).sum()),
        **{f"named_in_{s}_s_count": int((named_s <= s).sum()) for s in (5, 10, 20)},
        "honest_rows": sum(sky.rows for sky in skies),
        "doubted_rows": sum(sky.doubted for sky in skies),
        "contradicted_rows": sum(sky.wronged for sky in skies),
    }


def ghosts_named(found: Sequence[Counts]) -> list[Verdict]:
    n, rows = total(found, "ghosts"), total(found, "honest_rows")
    soon, doubted = total(found, "named_in_15_s_count"), total(found, "doubted_rows")
    wronged = total(found, "contradicted_rows")
    return [
        Verdict(soon >= 0.99 * n, f"{soon:,.0f} of {n:,.0f} ghosts in coverage named within 15 s; at least 99 %"),
        Verdict(
            doubted <= 0.001 * rows,
            f"{doubted:,.0f} of {rows:,.0f} rows of honest aircraft carried a doubt, {wronged:,.0f} were called "
            "contradicted; at most 0.1 % may carry one",
        ),
    ]


CAMPAIGNS = (
    Campaign("losses", "Objects that fly on unseen and come down: the search areas hold them as often as they say.",
             seeds(30), lost, contours_hold),
    Campaign("crossings", "Objects that fly at the border, straight and turning: the time until they cross is told "
             "with an interval that holds as often as it says.", seeds(20, first=101), crossed, intervals_hold),
    Campaign("ledger", "The ways of real incidents with the errors of a tracker: the ledger tells the states in the "
             "order in which they were passed.", tuple(f"{name} {seed}" for seed in range(1, 11) for name in NOISY),
             passed, order_holds),
    Campaign("ghosts", "Claims of aircraft that are not there, among 60 that are, under three radars: they are named, "
             "and honest ones are not.", seeds(12, first=401), haunted, ghosts_named),
)  # fmt: skip
