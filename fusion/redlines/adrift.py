"""Alerts of an earlier epoch that are still open: a cold start knows them from the journal, but no track to go with.

Policies, in one place:
- They stay open. The first look tells each once, as not refreshed since the picture was reset; a person may
  acknowledge, identify or close it as ever. A close silences nothing: there is no track whose rules it could silence.
- An alert that the same rule, in the same version, raises where the old object can be by now goes on under the old id:
  acknowledgement, identification and incident stay. Of several old ones the nearest, then the one raised first.
- What is not found `LINK_S` after the first look is closed by name. What nobody has seen for longer than `OLD_S` before
  it, or nobody knows where, is closed at once: anything near would fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from fusion import geo
from fusion.schema import US_PER_S, Alert, Quantity

# A slow object is confirmed within 20 s of its first plot (DESIGN 8), rules hold back for 10 s, and a hill may hide it.
LINK_S = 120.0
OLD_S = 600.0  # at 50 m/s 30 km: there another object is as likely as this one
NEAR_M = 2_000.0  # of a first radar plot at long range, and of the picture 5 s before an alert's last word
SPEED_SHARE = 1.5  # what it can have sped up to since: a dive, or wind from behind
UNKNOWN_MPS = 80.0  # "slow" ends here
FAR_M = 30_000.0  # "near the border" ends here: whatever it flew, further away it is another object
UNSEEN = "unseen_s"  # the quantity that marks such an alert: age of its place, measured at `t_us`
RESET = "picture reset"
_HEAD = "Not seen since the picture was reset: "


def seen_us(alert: Alert) -> int:
    """When it was where it says."""
    unseen_s = next((q.value for q in alert.quantities if q.name == UNSEEN), 0.0)
    return alert.t_us - round(float(unseen_s) * US_PER_S)


def unfit(alert: Alert, now_us: int) -> str:
    """Why it cannot be found again; "" when it can."""
    if math.isnan(alert.lat_rad) or math.isnan(alert.lon_rad):
        return f"{RESET}: nobody knows where its object was"
    if now_us - seen_us(alert) > OLD_S * US_PER_S:
        return f"{RESET}: its object was not seen for {OLD_S:g} s before"
    return ""


def not_found() -> str:
    """Why it closes in the end."""
    return f"{RESET}: not found again within {LINK_S:g} s"


def told(alert: Alert, now_us: int) -> Alert:
    """An alert adrift as it is told once, at the first look since the reset."""
    unseen_s = max(0.0, (now_us - seen_us(alert)) / US_PER_S)
    mark = Quantity(UNSEEN, round(unseen_s, 1))
    return replace(
        alert,
        state="updated",
        t_us=now_us,
        quantities=(*(q for q in alert.quantities if q.name != UNSEEN), mark),
        sentence=_HEAD + alert.sentence.removeprefix(_HEAD),
        clears=f"goes on when the same rule is true of an object near there; closes when none is within {LINK_S:g} s",
    )


def reach_m(alert: Alert, now_us: int) -> float:
    """How far from its place its object can be by now."""
    speed = next((q.value for q in alert.quantities if q.name == "speed_mps"), UNKNOWN_MPS)
    speed_mps = speed if isinstance(speed, float) and math.isfinite(speed) else UNKNOWN_MPS
    flown_m = SPEED_SHARE * speed_mps * max(0.0, (now_us - seen_us(alert)) / US_PER_S)
    return min(NEAR_M + flown_m, FAR_M)


def nearest(adrift: Sequence[Alert], fresh: Alert) -> Alert | None:
    """Which of these goes on as the alert just raised: of the same rule and within reach."""
    same = [a for a in adrift if (a.rule, a.rule_version) == (fresh.rule, fresh.rule_version)]
    if not same:
        return None
    lats, lons = [a.lat_rad for a in same], [a.lon_rad for a in same]
    away_m = geo.inverse(lats, lons, [fresh.lat_rad] * len(same), [fresh.lon_rad] * len(same))[0].tolist()
    fits = [
        (away, a.raised_us, a.id, n)
        for n, (a, away) in enumerate(zip(same, away_m, strict=True))
        if away <= reach_m(a, fresh.t_us)
    ]
    return same[min(fits)[3]] if fits else None


def gone_on(old: Alert, fresh: Alert) -> Alert:
    """The alert just raised, as the old one that goes on."""
    said = old if old.identity_by else fresh
    return replace(
        fresh,
        id=old.id,
        state="updated",
        episode=old.episode,
        raised_us=old.raised_us,
        first_plot_us=old.first_plot_us,
        confirmed_us=old.confirmed_us,
        acknowledged_by=old.acknowledged_by,
        acknowledged_us=old.acknowledged_us,
        identity=said.identity,
        identity_by=said.identity_by,
        identity_reason=said.identity_reason,
    )
