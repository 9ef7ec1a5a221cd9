"""The command line. Every command imports what it needs when it runs, so that `--help` is quick.

Exit status: 0 done; 1 it ran, and the answer is no or it failed; 2 the question was wrong (usage, configuration).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from adapters import lean, log
from adapters.bridges.command import bridge
from adapters.brokerchoice import chosen
from adapters.commands.dossier import dossier, verify
from adapters.commands.incidents import incidents
from adapters.commands.pki import pki
from adapters.commands.record import record
from adapters.commands.rules import dry_run, rules
from adapters.commands.top import top
from adapters.commands.ui import ui
from adapters.errors import ConfigError
from adapters.errors import refusals as _refusals
from adapters.errors import refuse as _refuse
from adapters.outlets import noticecommands
from adapters.outlets.command import out as outlet

DONE, FAILED = 0, 1
DEFAULT_FOLDER = Path("config")

app = typer.Typer(
    name="vedette",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.add_typer(bridge, name="bridge")
app.add_typer(incidents, name="incidents")
app.add_typer(outlet, name="out")
noticecommands.add(outlet)
app.add_typer(record, name="record")
app.add_typer(rules, name="rules")
app.command()(dossier)
app.command()(verify)
app.command()(pki)
app.command()(ui)
app.command()(top)


class Clock(StrEnum):
    """Where time comes from."""

    live = "live"
    feed = "feed"


class Subject(StrEnum):
    """What `vedette tail` listens to."""

    tracks = "tracks"
    alerts = "alerts"
    status = "status"


class Level(StrEnum):
    """How much is logged."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


class Style(StrEnum):
    """How it is logged."""

    auto = "auto"
    text = "text"
    json = "json"


Folder = Annotated[Path, typer.Option("--config", "-c", help="Folder with service.toml and sensors.toml.")]
LogLevel = Annotated[Level, typer.Option("--log-level", help="Least severe event to log.")]
LogStyle = Annotated[Style, typer.Option("--log-style", help="auto: text on a terminal, json elsewhere.")]
Broker = Annotated[str, typer.Option("--broker", help="HOST or HOST:PORT instead of the configured broker.")]
Site = Annotated[
    str, typer.Option("--site", help="Site in the topics, vedette/v1/SITE/...; default: the configured one.")
]


def _version(wanted: bool) -> None:
    if wanted:
        from adapters.version import package_version

        print(f"vedette {package_version()}")
        raise typer.Exit(DONE)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it and end.")
    ] = False,
) -> None:
    """Vedette watches the air along a border: it fuses radar, ADS-B and other sensors that report over MQTT into one
    track per object, and warns of low and slow objects near or inside allied borders.

    Start with `vedette demo`. Exit status: 0 done, 1 failed, 2 wrong usage or configuration.
    """


@app.command()
def run(
    config: Folder = DEFAULT_FOLDER,
    clock: Annotated[Clock | None, typer.Option(help="live: our own clock; feed: time from a replay.")] = None,
    standby: Annotated[
        bool, typer.Option("--standby", help="Wait, warmed up, until the running service ends.")
    ] = False,
    log_level: LogLevel = Level.info,
    log_style: LogStyle = Style.auto,
) -> None:
    """Run the service: sensors in, tracks and alerts out, /metrics for Prometheus.

    Ends on SIGTERM or Ctrl-C. VEDETTE_BROKER_HOST, _PORT, _USER, _PASSWORD, _PASSWORD_FILE, VEDETTE_HTTP_HOST,
    VEDETTE_HTTP_PORT, VEDETTE_DATA_DIR and VEDETTE_SITE override the files.

    \b
    Examples:
      vedette run --config config/
      vedette run --config config/ --standby          # takes over at once when the first one is killed
      vedette run --config config/ --clock feed       # with `vedette replay` as the source
      VEDETTE_BROKER_HOST=mqtt.example vedette run    # the rest from config/
    """
    log.setup(log_level.value, log_style.value)
    with _refusals():
        from adapters import config as configuration
        from adapters.running import memory
        from adapters.store import JournalError

        memory.give_back()
        configuration.load_broker(config)  # a wrong folder is refused at once, not after a minute of compiling
        _prepare(log.get("run").info)
        from adapters.running.live import RunOptions, run_live

        loaded = configuration.load(config)
        try:
            code = run_live(loaded, RunOptions(clock.value if clock else loaded.clock, standby))
        except JournalError as error:
            log.get("run").error("the alert journal cannot be used", problem=str(error))
            code = FAILED
    raise typer.Exit(code)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Folder with service.toml and sensors.toml.")] = DEFAULT_FOLDER,
    borders: Annotated[bool, typer.Option(help="Read borders and terrain too (seconds).")] = True,
) -> None:
    """Check a configuration and the rules' own tests without starting anything.

    Every problem is one line: file, key, what is wrong, and the cure; then status 2.

    \b
    Examples:
      vedette check config/
      vedette check config/ --no-borders
    """
    with _refusals():
        if sys.stderr.isatty():
            _prepare(_say)
        from adapters import config as configuration
        from adapters.commands.check import summary

        found = configuration.problems(folder)
        if found:
            _refuse(found)
        loaded = configuration.load(folder)
        zones = configuration.load_zones(loaded) if borders else None
        print(summary(loaded, zones, configuration.load_coverage(loaded, zones) if zones else None))


@app.command()
def track() -> None:
    """Fuse plain JSON lines from standard input into tracks on standard output, without a broker.

    \b
    Example:
      vedette track < plots.jsonl > tracks.jsonl
    """
    from adapters import main as entry

    raise typer.Exit(entry.track())


@app.command()
def score(
    truth: Annotated[Path, typer.Argument(help="Truth: JSON lines (plain, .gz, .zst) or a NumPy archive .npz.")],
    tracks: Annotated[str, typer.Argument(help="What `vedette track` wrote (plain, .gz, .zst); - standard input.")],
    threshold: Annotated[float, typer.Option(min=0.001, help="Metres; further away a track is not on it.")] = 1_000.0,
    step: Annotated[float, typer.Option(min=0.001, help="Seconds between samples.")] = 5.0,
    start: Annotated[float | None, typer.Option(help="Time of the first sample; default: 30 s of warm-up.")] = None,
    end: Annotated[float | None, typer.Option(help="What is later does not count; default: the whole truth.")] = None,
    origin: Annotated[str, typer.Option(help="LAT,LON: distances in the plane that touches the earth there.")] = "",
    json: Annotated[Path | None, typer.Option("--json", help="Write every number to this file.")] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="Draw pictures into this folder.")] = None,
) -> None:
    """Judge tracks by the truth: GOSPA, OSPA, SIAP, initiation delays, per class of object.

    \b
    Examples:
      vedette score truth.jsonl.zst tracks.jsonl
      vedette score truth.jsonl tracks.jsonl --json score.json --plots pictures/
      vedette track < plots.jsonl | vedette score truth.npz -
    """
    with _refusals():
        from adapters.commands import score as score_command
        from replay.score import Rules

        rules = Rules(threshold, step, start_s=start, end_s=end, origin_rad=score_command.origin(origin))
        code = score_command.score(truth, tracks, rules, json, plots)
        _close_stdout()
    raise typer.Exit(code)


@app.command()
def tail(
    what: Annotated[Subject, typer.Argument(help="What to listen to.")] = Subject.tracks,
    config: Folder = DEFAULT_FOLDER,
    broker: Broker = "",
    site: Site = "",
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="End after so many lines.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="End after so many seconds.")] = None,
    log_level: LogLevel = Level.info,
    log_style: LogStyle = Style.auto,
) -> None:
    """Print what the service publishes: one JSON object a line on standard output, logs on standard error.

    \b
    Examples:
      vedette tail alerts
      vedette tail tracks --broker 127.0.0.1:1883 --site demo | jq .id
      vedette tail status --count 1
    """
    log.setup(log_level.value, log_style.value)
    with _refusals():
        from adapters.commands import tail as listening

        place, settings = chosen(config, broker, site)
        code = listening.listen(place, settings, what.value, sys.stdout, count, seconds)
        _close_stdout()
    raise typer.Exit(code)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="Recording: .mcap, .jsonl, .jsonl.gz or .jsonl.zst.")],
    speed: Annotated[
        str, typer.Option(help="1, 10 ... times real time, or max. Default: 1, and max with --offline.")
    ] = "",
    config: Folder = DEFAULT_FOLDER,
    broker: Broker = "",
    site: Site = "",
    wait: Annotated[bool, typer.Option(help="End only when the service has shown everything.")] = True,
    start: Annotated[str, typer.Option("--from", help="RFC 3339 time, or +SECONDS after the beginning.")] = "",
    end: Annotated[str, typer.Option("--to", help="The same; what is later is left out.")] = "",
    loop: Annotated[bool, typer.Option("--loop", help="Begin again for ever.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline/--publish", help="Into an engine of this process, compared with what was said.")
    ] = False,
    what_if: Annotated[str, typer.Option(help="Rules to try: alerts gained, lost and changed; as rules dry-run.")] = "",
) -> None:
    """Publish a recorded feed, with its recorded time as the clock of `vedette run --clock feed`.

    With --offline no broker is needed: the recording runs through an engine of this process, and status 1 says that it
    does not come to the tracks, alerts and incidents that the service recorded, bit for bit.

    \b
    Examples:
      vedette replay recording.jsonl.zst
      vedette replay recording.jsonl.gz --speed 10 --broker 127.0.0.1:1883 --site demo
      vedette replay recording.jsonl --speed max --no-wait
      vedette replay night.mcap --offline --from 2026-11-26T02:10:00Z
      vedette replay night.mcap --what-if new-rules.toml
    """
    log.setup()
    if loop and (offline or what_if):
        raise typer.BadParameter("--loop needs a broker: leave out --offline and --what-if")
    if what_if and (start or end):
        raise typer.BadParameter("--what-if runs the whole recording: cut the part out first, vedette record cut")
    if what_if:
        dry_run(file, what_if, config)
    with _refusals():
        from adapters.commands import replay as replay_command

        if offline:
            _prepare(_say)
            code = replay_command.offline(file, config, speed or "max", sys.stderr, start, end)
        else:
            place, settings = chosen(config, broker, site)
            code = replay_command.replay(file, settings, place, speed or "1", wait, sys.stderr, start, end, loop)
    raise typer.Exit(code)


@app.command()
def simulate(
    scenario: Annotated[str, typer.Argument(help="Name of a shipped scenario, or a TOML file.")],
    out: Annotated[Path | None, typer.Option(help="Write a frame log: .jsonl, .jsonl.gz or .jsonl.zst.")] = None,
    publish: Annotated[bool, typer.Option("--publish", help="Publish it as live sensors, in real time.")] = False,
    config: Folder = DEFAULT_FOLDER,
    broker: Broker = "",
    site: Site = "",
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Only so much of it.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another draw of noise, clutter and traffic.")] = None,
    stream: Annotated[Path | None, typer.Option(help="Write plots as `vedette track` reads them (or .gz).")] = None,
    truth: Annotated[Path | None, typer.Option(help="Write what really was, a line an object and second.")] = None,
    objects: Annotated[int | None, typer.Option(min=1, help="Draw so many objects: scenes with traffic.")] = None,
) -> None:
    """Make sensor data from a scenario: into files, or to a broker as live sensors would.

    Without --out, --stream, --truth and --publish it says what the scenario is.

    \b
    Examples:
      vedette simulate lithuania-2025-07-28
      vedette simulate lithuania-2025-07-28 --out scene.jsonl.zst
      vedette simulate hungary-from-serbia --publish --broker 127.0.0.1:1883
      vedette simulate mixed-sky --seed 7 --objects 1000 --stream sky.jsonl --truth truth.jsonl
    """
    log.setup()
    if publish and not (out is None and stream is None and truth is None):
        raise typer.BadParameter("--publish writes no files: leave out --out, --stream and --truth")
    with _refusals():
        place, settings = chosen(config, broker, site) if publish else ("", None)
        from adapters.commands import simulate as simulate_command

        code = simulate_command.simulate(
            scenario, out, settings, place, seconds, seed, sys.stderr, stream, truth, objects
        )
    raise typer.Exit(code)


@app.command()
def journal(
    file: Annotated[Path, typer.Argument(help="Alert journal, alerts.jsonl in the data folder.")],
    entries: Annotated[bool, typer.Option("--entries", help="Print the alert transitions, one a line.")] = False,
) -> None:
    """Verify the hash chain of an alert journal: status 0 when every entry is there and unchanged, else 1.

    \b
    Examples:
      vedette journal var/alerts.jsonl
      vedette journal var/alerts.jsonl --entries | jq .sentence
    """
    with _refusals():
        from adapters.store import AlertJournal, verify

        if not file.is_file():
            raise ConfigError("command line", "FILE", f"{file} is not a file", "name the alerts.jsonl of a data folder")
        found = verify(file)
        if entries:
            for payload in islice(AlertJournal(file).entries(), found.entries):
                print(payload.decode())
        out = sys.stderr if entries else sys.stdout
        if not found.ok:
            print(f"vedette: {file}:{found.line}: {found.problem}", file=sys.stderr)
            raise typer.Exit(FAILED)
        print(f"{found.entries} entries, every one unchanged; head {found.head}", file=out)


@app.command()
def demo(
    seconds: Annotated[float | None, typer.Option(min=1.0, help="End by itself after so many seconds.")] = None,
    scenario: Annotated[str, typer.Option(help="Name of a shipped scenario, or a TOML file.")] = "",
) -> None:
    """Show it all on this machine: a broker, simulated sensors, the service and an alert within a minute.

    Nothing is installed or left behind; Ctrl-C ends it. With --seconds: status 0 when every alert that the scenario
    expects has come by then, else 1.

    \b
    Examples:
      vedette demo
      vedette demo --seconds 90
      vedette demo --scenario plauru-2023-09-04
    """
    log.setup("warning")
    with _refusals():
        from adapters.commands.demo import SCENARIO
        from adapters.commands.demo import demo as show

        code = show(seconds, scenario or SCENARIO)
    raise typer.Exit(code)


def _prepare(report: Callable[[str], None]) -> None:
    """Compile the kernels with a word about it: the first time takes about a minute."""
    from adapters.warm import warm

    warm(report)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _close_stdout() -> None:
    """Flush now: a reader that has gone (`| head`) is no error, also not while Python ends."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """The command line; `adapters.main` is the entry point of the `vedette` command."""
    log.prepare_numerics()
    lean.install_with_numba()
    app()


if __name__ == "__main__":
    main()
