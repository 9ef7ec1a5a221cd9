"""`vedette rules`: check, test, compare rules, and try others on a recording before they go live."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.errors import ConfigError, refusals, refuse

if TYPE_CHECKING:
    from adapters.commands.dryrun import Life, Outcome
    from adapters.commands.rulecompare import Difference, Side

DONE, FAILED = 0, 1

rules = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Red lines as data: check, test, diff, dry-run. RULES is a rule file, a base with overlays joined by + "
    "(rules.toml+lt.toml), or a configuration folder.",
)
Rules = Annotated[str, typer.Argument(help="Rule file, BASE+OVERLAY, or configuration folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")]


@rules.command()
def check(of: Rules = "config") -> None:
    """Read rules and run their tests. Status 0 they may go live, 2 refused: file, line, key, and the cure.

    \b
    Examples:
      vedette rules check config/
      vedette rules check config/rules.toml
    """
    with refusals():
        from adapters.files import rulefile

        paths = _paths(of)
        ruleset, tested = rulefile.load_tested(paths[0], paths[1:])
        failed = [item.fault for item in tested if item.fault is not None]
        if failed:
            refuse(failed)
        print(f"{of}: {len(ruleset.rules)} rules, {len(tested)} tests")


@rules.command("test")
def run_tests(of: Rules = "config", as_json: Json = False) -> None:
    """Run the tests inside rule files and show each. Status 0 all pass, 1 some fail, 2 the files cannot be read.

    \b
    Examples:
      vedette rules test config/
      vedette rules test config/rules.toml --json
    """
    with refusals():
        from adapters.files import rulefile

        paths = _paths(of)
        _, tested = rulefile.load_tested(paths[0], paths[1:])
    failed = [item for item in tested if item.fault is not None]
    if as_json:
        plain = [{"rule": t.rule, "test": t.name, "expect": t.expect, "ok": t.fault is None,
                  "problem": str(t.fault) if t.fault else None} for t in tested]  # fmt: skip
        print(json.dumps({"failed_count": len(failed), "tests": plain}))
    else:
        for item in tested:
            print(f"{'ok  ' if item.fault is None else 'FAIL'}  {item.rule}: {item.name}")
            if item.fault is not None:
                print(f"      {item.fault}")
        print(f"{len(tested)} tests, {len(failed)} failed")
    raise typer.Exit(FAILED if failed else DONE)


@rules.command()
def diff(
    a: Rules,
    b: Rules,
    seed: Annotated[int, typer.Option(min=0, help="Another draw of situations.")] = 1,
    as_json: Json = False,
) -> None:
    """Show where two sets of rules differ in meaning, with a situation that they decide differently.

    Status 0 they mean the same, 1 they differ, 2 one cannot be read.

    \b
    Examples:
      vedette rules diff config/rules.toml config/
      vedette rules diff rules.toml rules.toml+lt.toml --json
    """
    with refusals():
        from adapters.commands import rulecompare

        found = rulecompare.compare(_side(a), _side(b), seed)
    if as_json:
        print(json.dumps({"a": a, "b": b, "differences": [asdict(item) for item in found]}))
    else:
        for item in found:
            _print(item)
        many = f"{len(found)} difference{'s' * (len(found) > 1)} between A ({a}) and B ({b})"
        print(many if found else f"{a} and {b} mean the same")
    raise typer.Exit(FAILED if found else DONE)


@rules.command("dry-run")
def dry_run(
    recording: Annotated[Path, typer.Argument(help="Recording: .mcap, .jsonl, .jsonl.gz or .jsonl.zst.")],
    other: Annotated[str, typer.Option("--rules", help="The rules to try: file, BASE+OVERLAY, or folder.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="Folder with the rules in force.")] = Path("config"),
    as_json: Json = False,
) -> None:
    """Run a recording under the rules in force and under others: alerts gained, lost and changed.

    Nothing is published and nothing is written. Status 0 no alert differs, 1 some do, 2 the question was wrong.

    \b
    Examples:
      vedette rules dry-run recording.jsonl.zst --rules new-rules.toml
      vedette rules dry-run scene.jsonl --rules config/rules.toml+lt.toml --config config/ --json
    """
    with refusals():
        from adapters import config as configuration
        from adapters.files import rulefile
        from adapters.warm import warm

        paths = _paths(other)
        tried = rulefile.load(paths[0], paths[1:])
        loaded = configuration.load(config)
        warm(lambda line: typer.echo(line, err=True))
        from adapters.commands.dryrun import dry_run as compare
        from adapters.commands.replay import recording as frames_of

        found, frames = frames_of(recording)
        if not found.damage.harmless:  # what came in then is under neither rules
            typer.echo(f"note: {recording}: {found.damage.words()}", err=True)
        outcome = compare(loaded, configuration.load_zones(loaded), tried, frames, frames_of(recording)[1])
    if as_json:
        head = {"recording": str(recording), "in_force": str(config), "rules": other, "frames_count": found.frames}
        print(json.dumps({**head, **outcome.plain()}))
    else:
        _print_outcome(outcome)
    raise typer.Exit(FAILED if outcome.gained or outcome.lost or outcome.changed else DONE)


def _paths(of: str) -> tuple[Path, ...]:
    """The files of a set of rules, the base first. Raises ConfigError."""
    if Path(of).is_dir():
        from adapters.config import rule_paths

        return rule_paths(Path(of))
    paths = tuple(Path(part) for part in of.split("+") if part)
    if not paths:
        raise ConfigError("command line", "RULES", f"is {of!r}", "name a rule file or a configuration folder")
    return paths


def _side(of: str) -> Side:
    from adapters.commands import rulecompare
    from adapters.files import rulefile

    paths = _paths(of)
    return rulecompare.side_of(of, paths, rulefile.load(paths[0], paths[1:]))


def _print(item: Difference) -> None:
    places = [f"{name} {place}" for name, place in (("A", item.place_a), ("B", item.place_b)) if place]
    kind = {"added": "only in B", "removed": "only in A", "changed": "differs", "meaning": "same text, other words"}
    print(f"{item.rule}: {kind[item.kind]} ({', '.join(places)})")
    for line in item.changes:
        print(f"  {line}")
    if item.example is not None:
        one, other = ("A", "B") if item.example.by == "a" else ("B", "A")
        does = {"raises": "raises it", "keeps": "keeps an open alert"}[item.example.what]
        print(f"  {item.example.given}\n    {one} {does}, {other} does not")


def _print_outcome(outcome: Outcome) -> None:
    from adapters.wire import rfc3339

    def line(word: str, life: Life) -> str:
        return f"{word:<8}{rfc3339(life.raised_us)}  {life.track}  {life.rule} ({life.severity})"

    rows = [(life.raised_us, 0, [line("gained", life), life.sentence]) for life in outcome.gained]
    rows += [(life.raised_us, 1, [line("lost", life), life.sentence]) for life in outcome.lost]
    rows += [(c.now.raised_us, 2, [line("changed", c.now), *c.what]) for c in outcome.changed]
    for _, _, lines in sorted(rows):
        print("\n    ".join(lines))
    for reason, count in sorted(outcome.refused.items()):
        cure = ". Cure: --config FOLDER whose sensors.toml has the recording's sensors" * (reason == "unknown-sensor")
        print(f"refused {count} of the recording's inputs: {reason}{cure}")
    counts = (len(outcome.gained), len(outcome.lost), len(outcome.changed), outcome.same)
    print("{} gained, {} lost, {} changed, {} the same".format(*counts))
