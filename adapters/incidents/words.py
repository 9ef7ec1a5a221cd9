"""The whole record of one incident in words: the same sections for the terminal and for the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adapters.incidents.drawing import degrees
from adapters.incidents.reading import Dossier
from adapters.incidents.recorded import Look, Recorded
from adapters.wire import rfc3339
from fusion.cases.casefile import clock
from fusion.cases.record import Incident, Member
from fusion.redlines.sentence import join_text
from fusion.schema import US_PER_S, Alert, Quantity


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the record: a table, or lines where it has no columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def sections(of: Dossier, seen: Recorded | None = None) -> list[Section]:
    """Every part that has something in it, in the order in which one would ask. `seen`: what recordings have of it;
    None: nobody looked."""
    incident = of.incident
    parts = [
        Section("What", (), _what(incident)),
        Section("Reaction clock", ("step", "time", "after the step before"), _clock(incident)),
        Section("Timeline", ("time", "what", "in words"), _timeline(of)),
        Section("Objects", ("track", "state", "last place", "first alert", "states passed", "identity"), _objects(of)),
        Section("States passed", ("time", "track", "what", "state", "place", "probability"), _passages(of)),
        Section("Rules and numbers", ("alert", "rule", "quantity", "value", "limit"), _numbers(of)),
        Section("Sensors", ("alert", "track", "seen by", "closes when"), _sensors(of)),
        *([Section("Detections", DETECTIONS, _detections(seen))] if seen else []),
        Section("Operator actions", ("time", "who", "what", "reason", "answer"), _actions(of)),
        Section("Searches", ("track", "lost", "how", "contour", "area"), _searches(of)),
        Section("Reports by people", ("report", "time", "by", "in words", "what became of it"), _reports(of)),
        Section("Journal", (), _journal(of)),
        *(_recording(of, seen) if seen else []),
    ]
    return [part for part in parts if part.rows]


DETECTIONS = ("time", "track", "plots since the line before, and in all", "newest plot", "seen by", "where", "how")
NO_DETECTIONS = "no recording of its time is left, or none was made"


def when(us: int) -> str:
    """A time as people read it, "" for none."""
    return rfc3339(us)[:-5].replace("T", " ") + " UTC" if us >= 0 else ""


def iso(us: int) -> str:
    """A time as programs read it (RFC 3339, whole seconds), "" for none."""
    return rfc3339(us)[:-5] + "Z" if us >= 0 else ""


def place(lat_rad: float, lon_rad: float) -> str:
    """Such as "54.5431 N 25.7298 E"."""
    if not (math.isfinite(lat_rad) and math.isfinite(lon_rad)):
        return "not known"
    lat, lon = degrees(lat_rad), degrees(lon_rad)
    return f"{abs(lat):.4f} {'NS'[lat < 0]} {abs(lon):.4f} {'EW'[lon < 0]}"


def states(codes: Sequence[str]) -> str:
    """States in order; the open sea by its name."""
    return ", ".join(code or "open sea" for code in codes)


def _what(i: Incident) -> tuple[tuple[str, ...], ...]:
    marks = [word for word, true in (("simulated", i.simulated), (f"in {i.mode} mode", i.mode != "peace")) if true]
    rows = [
        ("incident", i.id),
        ("state", f"{i.state}{': ' + i.close_reason if i.close_reason else ''}"),
        ("severity", f"{i.severity_reason} (worst {i.worst})"),
        ("said", i.sentence),
        ("raised", when(i.raised_us)),
        ("near", i.near_state),
        ("states passed", states(i.states)),
        ("identity", f"{i.identity}{_by(i.identity_by, i.identity_reason)}"),
        ("acknowledged", f"{when(i.acknowledged_us)} by {i.acknowledged_by}" if i.acknowledged_by else ""),
        ("handed over", _handed(i)),
        ("taken", f"{when(i.taken_us)} by {i.taken_by}" if i.taken_by else ""),
        ("told to", ", ".join(i.recipients)),
        ("marked", ", ".join(marks)),
    ]
    return tuple(row for row in rows if row[1])


def _handed(i: Incident) -> str:
    return f"to {i.handed_to}, {when(i.handed_us)}{_by(i.handed_by, i.handed_reason)}" if i.handed_to else ""


def _by(who: str, why: str) -> str:
    return f" (by {who}{': ' + why if why else ''})" if who else ""


def _clock(i: Incident) -> tuple[tuple[str, ...], ...]:
    told = clock(i)
    steps = (
        ("first plot", told.first_plot_us),
        ("confirmed", told.confirmed_us),
        ("alert", told.alert_us),
        ("reopened", i.reopened_us),
        ("acknowledged", told.acknowledged_us),
        ("taken by the neighbour", told.taken_us),
    )
    rows, before = [], -1
    for name, us in steps:
        if us >= 0:
            rows.append((name, when(us), f"{(us - before) / US_PER_S:.1f} s" if before >= 0 else ""))
            before = us
    return tuple(rows)


def _timeline(of: Dossier) -> tuple[tuple[str, ...], ...]:
    told = [item.incident for item in of.transitions if item.incident.change != "updated"]
    return tuple((when(i.t_us), i.change, _happened(i)) for i in told)


def _happened(i: Incident) -> str:
    """What one transition says that the one before did not."""
    lost = [m.track for m in i.members if m.state not in ("in sight", "coasting")]
    words = {
        "raised": i.sentence,
        "reopened": i.sentence,
        "joined": f"{len(i.members)} objects: {join_text([m.track for m in i.members])}",
        "severity": i.severity_reason,
        "acknowledged": f"by {i.acknowledged_by}",
        "identified": f"{i.identity}{_by(i.identity_by, i.identity_reason)}",
        "handed-over": f"to {i.handed_to}{_by(i.handed_by, i.handed_reason)}",
        "taken": f"by {i.taken_by}",
        "lost": f"not seen any more: {join_text(lost)}",
        "found": "; ".join(f"{m.track}: {m.state}" for m in i.members if m.state not in ("in sight", "coasting")),
        "closed": i.close_reason,
    }
    return words.get(i.change, "")


def _objects(of: Dossier) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (m.track, m.state, place(m.lat_rad, m.lon_rad), when(m.alert_us), states(m.states), _identity(m))
        for m in of.incident.members
    )


def _identity(m: Member) -> str:
    return f"{m.identity}{_by(m.identity_by, '')}"


def _passages(of: Dossier) -> tuple[tuple[str, ...], ...]:
    rows = []
    for p in of.passages:
        marks = [word for word, true in (("disputed", p["disputed"]), ("territorial sea", p["sea"])) if true]
        state = ", ".join([states([p["state"]]), *marks])
        spread = f"{when(p['t_us'])} (plus or minus {_nan(p['sigma_t_s']):.0f} s)"
        where = place(_nan(p["lat_rad"]), _nan(p["lon_rad"]))
        rows.append((spread, p["track"], p["kind"], state, where, f"{_nan(p['probability']):.2f}"))
    return tuple(rows)


def _nan(value: Any) -> float:
    return math.nan if value is None else float(value)


def _numbers(of: Dossier) -> tuple[tuple[str, ...], ...]:
    """A line a number; which alert and rule it is of stands in the first one, so that a page holds them all."""
    return tuple(
        (*(("", "") if n else (alert.id, _rule(alert))), q.name, _value(q), q.condition)
        for alert in of.alerts
        for n, q in enumerate(alert.quantities)
    )


def _rule(alert: Alert) -> str:
    return f"{alert.rule} version {alert.rule_version}, severity {alert.severity}"


def _value(q: Quantity) -> str:
    if isinstance(q.value, bool):
        return "yes" if q.value else "no"
    if isinstance(q.value, str):
        return q.value
    spread = f" (plus or minus {q.sigma:.3g})" if q.sigma is not None and math.isfinite(q.sigma) else ""
    return f"{q.value:.6g}{spread}" if math.isfinite(q.value) else "not known"


def _sensors(of: Dossier) -> tuple[tuple[str, ...], ...]:
    return tuple((alert.id, alert.track, join_text(alert.sensors), alert.clears) for alert in of.alerts)


def _actions(of: Dossier) -> tuple[tuple[str, ...], ...]:
    rows = []
    for a in of.actions:
        what = " ".join(
            word for word in (a.verb, a.identity, f"to {a.recipient}" if a.recipient else "", a.about) if word
        )
        rows.append((when(a.t_us), a.operator, what, a.reason, f"{'' if a.ok else 'refused: '}{a.detail}"))
    return tuple(rows)


def _searches(of: Dossier) -> tuple[tuple[str, ...], ...]:
    rows = []
    for search in of.searches:
        seen, *contours = [item["properties"] for item in search["features"]]
        for contour in contours or [{}]:
            share = f"{contour['probability']:.0%}" if contour else "none"
            area = f"{contour['area_m2'] / 1e6:,.1f} km2" if contour else ""
            rows.append((seen["track"], when(seen["lost_time_us"]), seen["why"], share, area))
    return tuple(rows)


def _reports(of: Dossier) -> tuple[tuple[str, ...], ...]:
    known = [
        (r.name, when(r.t_us), r.reporter, r.words, f"{'a find on the ground: ' if r.found else ''}{r.detail}")
        for r in of.reports
    ]
    names = [row[0] for row in known]
    return (
        *known,
        *((name, "", "", "", "not in this database") for name in of.incident.sightings if name not in names),
    )


def _journal(of: Dossier) -> tuple[tuple[str, ...], ...]:
    known = [item for item in of.transitions if item.journal_head]
    if not known:
        return (("hash", "not known: the database was made anew from the journal"),)
    last = known[-1]
    return (("entries", str(last.journal_entries)), ("hash of the last one", last.journal_head))


# --- what recordings have of it ---


def _detections(seen: Recorded) -> tuple[tuple[str, ...], ...]:
    """How the tracks were fed, a line for every look that found plots."""
    if not seen.looks:
        return (("", "", NO_DETECTIONS, "", "", "", ""),)
    return tuple(
        (
            when(look.t_us), look.track, f"{look.more} of {look.plots}", _newest(look),
            join_text(look.sensors), _where(look), _how(look),
        )
        for look in seen.looks
    )  # fmt: skip


def _newest(look: Look) -> str:
    if look.newest_us < 0:
        return "not told"
    return f"{when(look.newest_us)[11:]} ({(look.t_us - look.newest_us) / US_PER_S:.1f} s old)"


def _where(look: Look) -> str:
    at = place(math.radians(_nan(look.lat_deg)), math.radians(_nan(look.lon_deg)))
    return at if look.sigma_m is None else f"{at} (plus or minus {look.sigma_m:.0f} m)"


def _how(look: Look) -> str:
    told = ((look.height_m, "m above the ellipsoid"), (look.speed_mps, "m/s"))
    return ", ".join(f"{value:.0f} {unit}" for value, unit in told if value is not None)


def _recording(of: Dossier, seen: Recorded) -> list[Section]:
    """With which configuration and versions it was made, and where it can be run again from."""
    runs: list[tuple[str, ...]] = []
    for run in seen.runs:
        versions = ", ".join(f"{name} {number}" for name, number in run.versions)
        runs += [(f"configuration hash, epoch {run.epoch}", run.config_hash), ("versions", versions)]
        runs += [("processor", run.processor), ("said by", run.file)]
    files = f"{len(seen.files)}: {', '.join(_ends(seen.files))}" if seen.files else NO_DETECTIONS
    rows = [("recordings of its time", files)]
    if seen.looks:
        apart = (
            f"a look every {seen.step_s} s, a line where there were plots; "
            "which single plot went into which track, running it again tells"
        )
        rows.append(("detections above", apart))
    if seen.piece_sha256:
        rows += [("SHA-256 of recording.mcap", seen.piece_sha256), ("run it again", "vedette verify this dossier")]
    else:
        rows.append(("the piece of it, with its SHA-256", dossier_command(of.incident.id)))
    return [Section("Configuration and versions", (), tuple(runs)), Section("Recording", (), tuple(rows))]


def dossier_command(incident: str) -> str:
    """What makes one file of everything about it."""
    return f"vedette dossier {incident} --out incident-{incident}.zip"


def _ends(names: Sequence[str]) -> list[str]:
    return list(names) if len(names) <= 4 else [*names[:2], "...", *names[-2:]]
