"""`make soak`: run what has not run yet, piece by piece, keep each, write docs/soak.md. Stop it whenever you like.

    make soak                            everything that is left, for hours
    make soak ARGS=--list                what there is, and what has run
    make soak ARGS="--for 30m"           begin nothing after half an hour
    make soak ARGS="--only losses"       this campaign, or several
    make soak ARGS=--again               what has failed once more
    make soak ARGS=--any-code            pieces that ran on other code count as run; the page names all commits

Status 1 when a piece failed or a verdict does not hold, 0 also when not everything has run yet.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from tests.bench import table
from tests.conftest import ROOT
from tests.soak import page, registry, state
from tests.soak.campaign import Campaign
from tests.soak.state import Record

PAGE = ROOT / "docs" / "soak.md"
UNITS_S = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def duration_s(words: str) -> float:
    """ "90s", "30m", "8h" or "2d" as seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", words)
    if found is None:
        raise argparse.ArgumentTypeError(f"{words!r} is no time. Cure: 90s, 30m, 8h or 2d")
    return float(found[1]) * UNITS_S[found[2]]


def one_piece(campaign: Campaign, piece: str, modules: Sequence[str]) -> tuple[dict[str, float], str]:
    """Run it in a process of its own, which finds it in `modules`: (its counts, "") or ({}, why it failed)."""
    with tempfile.TemporaryDirectory() as folder:
        answer, said = Path(folder, "answer"), Path(folder, "said")
        words = [sys.executable, "-m", "tests.soak", "--inside", campaign.name, piece, str(answer), *modules]
        with said.open("wb") as out:
            child = subprocess.Popen(
                words, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                env={**os.environ, "VEDETTE_HYPOTHESIS": "soak"}, start_new_session=True,
            )  # fmt: skip
            try:
                status = child.wait(campaign.patience_s)
            except subprocess.TimeoutExpired:
                return {}, f"took longer than {campaign.patience_s:,.0f} s"
            finally:  # also when we are stopped: it and all that it has started
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
        if status < 0:
            return {}, f"ended by signal {-status}"
        heard = said.read_text(encoding="utf-8", errors="replace")
        if status:
            return {}, state.last_words(heard)
        try:
            return dict(state.checked(json.loads(answer.read_text(encoding="utf-8")))), ""
        except (OSError, ValueError) as error:
            return {}, f"gave no counts: {error}"


def inside(name: str, piece: str, answer: str, *modules: str) -> None:
    """In the process of a piece."""
    campaign = next(one for one in registry.campaigns(modules) if one.name == name)
    Path(answer).write_text(json.dumps(dict(campaign.run(piece))), encoding="utf-8")


def in_turn(campaigns: Sequence[Campaign]) -> list[tuple[Campaign, str]]:
    """Every piece, so that of all campaigns about the same part has run whenever it is stopped."""
    found = [
        ((number + 0.5) / len(campaign.pieces), order, campaign, piece)
        for order, campaign in enumerate(campaigns)
        for number, piece in enumerate(campaign.pieces)
    ]
    return [(campaign, piece) for _, _, campaign, piece in sorted(found, key=lambda item: item[:2])]


def soak(
    folder: Path, paper: Path, only: Sequence[str] = (), for_s: float = float("inf"), again: bool = False,
    any_code: bool = False, modules: Sequence[str] = registry.MODULES,
) -> int:  # fmt: skip
    """Run what is left of all campaigns, or those named `only`, keep it in `folder`, write `paper`. The exit status."""
    campaigns = registry.campaigns(modules)
    code, commit, until = state.code(), state.commit(), time.monotonic() + for_s
    asked = [campaign for campaign in campaigns if not only or campaign.name in only]
    of_code = "" if any_code else code
    done = {campaign.name: state.kept(folder, campaign, of_code) for campaign in asked}
    left = [
        (campaign, piece)
        for campaign, piece in in_turn(asked)
        if piece not in done[campaign.name] or (again and done[campaign.name][piece].words)
    ]
    print(f"{len(left):,} pieces to run", flush=True)
    write(campaigns, folder, paper, of_code)
    for number, (campaign, piece) in enumerate(left, 1):
        if time.monotonic() >= until:
            print(f"time is over, {len(left) - number + 1:,} pieces are left", flush=True)
            break
        start, began = time.monotonic(), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        counts, words = one_piece(campaign, piece, modules)
        seconds = round(time.monotonic() - start, 1)
        state.keep(folder, Record(campaign.name, piece, code, commit, machine(), began, seconds, counts, words))
        write(campaigns, folder, paper, of_code)
        told = words or ", ".join(f"{name} {value:,.10g}" for name, value in counts.items())
        print(f"{number:,}/{len(left):,} {campaign.name} {piece}, {seconds:.0f} s: {told}", flush=True)
    stands = [page.standing(campaign, state.kept(folder, campaign, of_code)) for campaign in asked]
    return int(any(one.word == "FAILED" for one in stands))


def write(campaigns: Sequence[Campaign], folder: Path, paper: Path, of_code: str) -> None:
    """The page as things stand."""
    stands = [page.standing(campaign, state.kept(folder, campaign, of_code)) for campaign in campaigns]
    paper.write_text(page.text(stands), encoding="utf-8")


def machine() -> str:
    """Processor and versions, as `make bench` tells them, in one line."""
    _, model, versions = table.machine().splitlines()
    return f"{model.removeprefix('- ').split(';')[0]}; {versions.removeprefix('- ')}"


def listed(campaigns: Sequence[Campaign], folder: Path, of_code: str) -> None:
    for campaign in campaigns:
        one = page.standing(campaign, state.kept(folder, campaign, of_code))
        print(f"{campaign.name}: {len(one.records):,} of {len(campaign.pieces):,} pieces, {one.word}")
        print(f"  {campaign.about}")


def main() -> int:
    if sys.argv[1:2] == ["--inside"]:
        inside(*sys.argv[2:])
        return 0
    ask = argparse.ArgumentParser(prog="make soak", description=__doc__.splitlines()[0])
    ask.add_argument("--list", action="store_true", help="show campaigns and what of them has run")
    ask.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these campaigns")
    ask.add_argument("--for", dest="for_s", type=duration_s, default=float("inf"), help="begin nothing later: 30m, 8h")
    ask.add_argument("--again", action="store_true", help="run what has failed once more")
    ask.add_argument("--any-code", action="store_true", help="what ran on other code counts as run")
    given = ask.parse_args()
    campaigns = registry.campaigns()
    unknown = [name for name in given.only if name not in {campaign.name for campaign in campaigns}]
    if unknown:
        ask.error(f"no campaign {', '.join(unknown)}. Cure: one of {', '.join(c.name for c in campaigns)}")
    if given.list:
        listed(campaigns, state.FOLDER, "" if given.any_code else state.code())
        return 0

    def stop(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)  # what runs is lost, what is kept stays

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return soak(state.FOLDER, PAGE, given.only, given.for_s, given.again, given.any_code)


if __name__ == "__main__":
    sys.exit(main())
