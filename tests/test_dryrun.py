"""A recording under two sets of rules: gained, lost, changed; and that one pass tells what two would."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapters import config
from adapters.cli import app
from adapters.commands import dryrun, simulate
from adapters.commands import rules as rules_command
from adapters.commands.dryrun import Life, compare
from adapters.commands.replay import recording
from adapters.formats import command
from adapters.running import startframe
from adapters.service import run
from fusion.cases.record import IncidentChanged
from fusion.rules import RuleSet
from fusion.schema import AlertChanged, Command, Event, Frame
from replay import log, player
from replay.simulate import Scenario
from tests import shipped
from tests.running import write_config

SECONDS = 40
TICK_US = 500_000  # a recording has its own; two passes over it take what they take


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[config.Config, Path]:
    """A configuration and a recording of the drone that flies into Lithuania."""
    folder = tmp_path_factory.mktemp("dryrun")
    made = Scenario.load("lithuania-2025-07-28", start_us=shipped.START_US)
    path = folder / "scene.jsonl"
    end_us = made.start_us + SECONDS * 1_000_000
    heard = (frame for frame in made.frames(simulate.encode, ticks=False) if frame.rx_us <= end_us)
    log.write(path, player.with_ticks(heard, TICK_US, made.start_us, end_us))
    where = write_config(folder / "config", 1883, made.sensors, simulate.formats(made), 9464)
    return config.load(where, environ={}), path


def tried(scene: tuple[config.Config, Path], other: RuleSet) -> dryrun.Outcome:
    loaded, path = scene
    return dryrun.dry_run(loaded, shipped.zones(), other, recording(path)[1], recording(path)[1])


def without(ruleset: RuleSet, rule_id: str, **changed: Any) -> RuleSet:
    """The rules with one changed, or gone."""
    rules = (replace(rule, **changed) if rule.id == rule_id else rule for rule in ruleset.rules)
    return replace(ruleset, rules=tuple(rule for rule in rules if changed or rule.id != rule_id))


def test_the_rules_in_force_change_nothing(scene: tuple[config.Config, Path]) -> None:
    outcome = tried(scene, scene[0].rules)
    assert (outcome.gained, outcome.lost, outcome.changed, outcome.refused) == ([], [], [], {})
    assert outcome.same >= 1


def test_a_rule_that_goes_loses_its_alert_and_the_way_back_gains_it(scene: tuple[config.Config, Path]) -> None:
    loaded, path = scene
    bare = replace(loaded.rules, rules=tuple(r for r in loaded.rules.rules if r.id == "low-slow-inside"))
    lost = tried(scene, bare)
    assert [life.rule for life in lost.lost] == ["low-slow-near"]
    back = dryrun.dry_run(
        replace(loaded, rules=bare), shipped.zones(), loaded.rules, recording(path)[1], recording(path)[1]
    )
    assert back.gained == lost.lost
    assert back.lost == []


def test_a_longer_dwell_raises_later_by_so_much(scene: tuple[config.Config, Path]) -> None:
    outcome = tried(scene, without(scene[0].rules, "low-slow-near", dwell_s=9.0, severity=1, recipients=("navy",)))
    (changed,) = outcome.changed
    assert changed.what[:2] == ("severity 2 -> 1", "raised 4.0 s later")
    assert changed.what[-1] == "recipients air-surveillance -> navy"
    assert (changed.now.track, changed.then.raised_us - changed.now.raised_us) == (changed.then.track, 4_000_000)


def test_other_words_run_the_recording_twice_and_tell_the_same_as_one_pass_where_they_may(
    scene: tuple[config.Config, Path],
) -> None:
    """A word that decides nothing here forces two passes: they must end as one pass does."""
    other = without(scene[0].rules, "low-slow-near", dwell_s=9.0)
    words = replace(other, words=replace(other.words, first_seen_m=other.words.first_seen_m + 1.0))
    assert tried(scene, words).plain() == tried(scene, other).plain()
    near = replace(scene[0].rules, words=replace(other.words, near_m=1_000.0))
    assert [life.rule for life in tried(scene, near).lost] == ["low-slow-near"]


def test_tracks_have_the_names_that_the_recorded_service_gave_them(scene: tuple[config.Config, Path]) -> None:
    loaded, path = scene
    frames = list(recording(path)[1])
    begun = Frame(0, frames[0].rx_us, log.START, startframe.encode(loaded, 7, frames[0].rx_us))
    bare = replace(loaded.rules, rules=())
    outcome = dryrun.dry_run(loaded, shipped.zones(), bare, [begun, *frames], frames)
    assert {life.track.partition(":")[0] for life in outcome.lost} == {"7"}


@pytest.mark.parametrize(("passes", "of_incident"), [(1, True), (2, False), (2, True)])
def test_what_a_person_closed_is_closed_for_other_rules_too(
    scene: tuple[config.Config, Path], passes: int, of_incident: bool
) -> None:
    """A rule has other alert ids with every version, and incidents with it: a person speaks of the object."""
    loaded, path = scene
    first_us = next(recording(path)[1]).rx_us
    frames = [frame for frame in recording(path)[1] if frame.rx_us <= first_us + 25_000_000]
    said: list[Event] = []
    engine = dryrun._engine(loaded, shipped.zones(), 0)
    run(iter(frames), engine, dryrun._door(engine, loaded), lambda _tick, events: said.extend(events))
    alert = next(e.alert for e in said if isinstance(e, AlertChanged))
    incident = next(e.incident for e in said if isinstance(e, IncidentChanged))
    at_us = alert.raised_us + 10_000_000
    about = ("", incident.id) if of_incident else (alert.id, "")
    order = Command(at_us, "close", about[0], "Lt Jonaitis", "our own", incident_id=about[1])
    at = next(i for i, frame in enumerate(frames) if frame.rx_us >= at_us)
    frames.insert(at, Frame(frames[at].seq, at_us, "cmd/close", command.encode(order)))
    rule = next(r for r in loaded.rules.rules if r.id == "low-slow-near")
    other = without(loaded.rules, "low-slow-near", version=rule.version + 1)
    if passes == 2:
        other = replace(other, words=replace(other.words, first_seen_m=other.words.first_seen_m + 1.0))
    outcome = dryrun.dry_run(loaded, shipped.zones(), other, frames, frames)
    assert (outcome.gained, outcome.lost, outcome.changed) == ([], [], [])
    assert outcome.same == 1


def life(rule: str, track: str, raised: int, closed: int = -1, **more: Any) -> Life:
    return Life(f"{rule}{raised}", rule, 1, 2, track, raised, "Object.", ("a",), closed, **more)


def test_alerts_are_paired_by_track_and_time_and_by_rule_first() -> None:
    now = [life("near", "1:1", 10, 20), life("near", "1:1", 40), life("x", "1:2", 10), life("y", "1:3", 1, 2)]
    then = [life("near", "1:1", 41), life("near", "1:1", 10, 20), life("z", "1:2", 10), life("y", "1:3", 3)]
    outcome = compare(now, then, {})
    assert outcome.same == 1
    assert [(c.now.rule, c.then.rule, c.what[0]) for c in outcome.changed] == [
        ("x", "z", "rule x -> z"),
        ("near", "near", "raised 0.0 s later"),
    ]
    assert [item.raised_us for item in outcome.lost] == [1]
    assert [item.raised_us for item in outcome.gained] == [3]


def test_command_prints_what_differs_and_ends_with_its_status(
    scene: tuple[config.Config, Path], tmp_path: Path
) -> None:
    loaded, path = scene
    folder = str(loaded.folder)
    overlay = tmp_path / "lt.toml"
    overlay.write_text('disable = ["low-slow-near", "low-slow-unknown-height"]\n', encoding="utf-8")
    base = f"{loaded.folder / 'rules.toml'}"
    same = CliRunner().invoke(app, ["rules", "dry-run", str(path), "--rules", base, "--config", folder])
    assert same.exit_code == 0
    assert same.stdout.startswith("0 gained, 0 lost, 0 changed, ")
    line = ["rules", "dry-run", str(path), "--rules", f"{base}+{overlay}", "--config", folder]
    lost = CliRunner().invoke(app, line)
    assert lost.exit_code == 1
    assert lost.stdout.startswith("lost    ")
    assert "low-slow-near (2)" in lost.stdout
    tried_out = CliRunner().invoke(app, ["replay", str(path), "--what-if", f"{base}+{overlay}", "--config", folder])
    assert (tried_out.exit_code, tried_out.stdout) == (1, lost.stdout)
    plain = json.loads(CliRunner().invoke(app, [*line, "--json"]).stdout)
    assert [item["rule"] for item in plain["lost"]] == ["low-slow-near"]
    wrong = CliRunner().invoke(app, ["rules", "dry-run", str(tmp_path / "none.jsonl"), "--rules", base, "-c", folder])
    assert wrong.exit_code == 2


def test_a_configuration_of_other_sensors_is_told_with_the_cure(capsys: pytest.CaptureFixture[str]) -> None:
    rules_command._print_outcome(dryrun.Outcome(refused={"future": 2, "unknown-sensor": 3}))
    first, second, last = capsys.readouterr().out.splitlines()
    assert first == "refused 2 of the recording's inputs: future"
    assert second.startswith("refused 3 of the recording's inputs: unknown-sensor. Cure: --config FOLDER ")
    assert last.startswith("0 gained")
