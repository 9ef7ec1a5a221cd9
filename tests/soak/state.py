"""What has run: one small file a piece, under the code that it ran on. Written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from tests.conftest import ROOT
from tests.soak.campaign import Campaign, Counts

FOLDER = ROOT / "var" / "soak"
CODE = ("fusion", "adapters", "replay", "tests", "config", "pyproject.toml", "constraints.txt")
MAX_WORDS = 300


@dataclass(frozen=True, slots=True)
class Record:
    """A piece that has ended. `words` say why it failed, "" when it did not."""

    campaign: str
    piece: str
    code: str
    commit: str
    machine: str  # and versions, one line
    began: str  # RFC 3339, UTC
    seconds: float
    counts: Counts
    words: str = ""


def code() -> str:
    """Sixteen hex digits over all that decides an answer: another state of it begins anew, a new page does not."""
    digest = hashlib.sha256()
    for name in CODE:
        top = ROOT / name
        for path in [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file()):
            if "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def commit() -> str:
    """The commit, and whether that is all; "no commit" outside of a repository."""
    head = _git("rev-parse", "--short=9", "HEAD")
    changed = [line for line in _git("status", "--porcelain").splitlines() if not line.endswith("docs/soak.md")]
    return (head or "no commit") + (" with changes" if changed else "")


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip("\n") if done.returncode == 0 else ""


def keep(folder: Path, record: Record) -> None:
    """Put it in place of an older one."""
    path = _path(folder, record.campaign, record.piece)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(asdict(record)), encoding="utf-8")
    new.replace(path)


def kept(folder: Path, campaign: Campaign, of_code: str) -> dict[str, Record]:
    """What is kept of the pieces that the campaign has now, in their order; `of_code` "" takes any code."""
    found = {}
    for piece in campaign.pieces:
        try:
            record = Record(**json.loads(_path(folder, campaign.name, piece).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue  # never run, or written by another version of this file
        if of_code in ("", record.code):
            found[piece] = record
    return found


def _path(folder: Path, campaign: str, piece: str) -> Path:
    return folder / quote(campaign, safe="") / f"{quote(piece, safe='')}.json"


def checked(counts: object) -> Counts:
    """Counts as a piece gave them.

    Raises:
        ValueError: they are none.
    """
    if not isinstance(counts, dict) or not counts:
        raise ValueError("a piece counts at least one thing")
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}, not a finite number")
    return counts


def last_words(said: str) -> str:
    """The line of an output that says most: pytest's first error, else the last; without places of this machine."""
    lines = [line.strip() for line in said.replace(f"{ROOT}/", "").splitlines() if line.strip()]
    errors = [line.removeprefix("E ") for line in lines if line.startswith("E  ")]
    words = errors[0] if errors else lines[-1] if lines else "said nothing"
    return " ".join(words.replace("`", "'").replace("|", "/").split())[:MAX_WORDS]
