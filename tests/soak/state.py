"""What has run: one file a campaign, one line for each time that a piece ended, under the code that it ran on.

Lines are only ever added: what failed once can be read although it passed later. The files are committed beside the
page, so that a campaign goes on, on another machine, where this one stopped.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from tests.conftest import ROOT
from tests.soak.campaign import Campaign, Counts

FOLDER = ROOT / "docs" / "soak"
CODE = ("fusion", "adapters", "replay", "tests", "config", "pyproject.toml", "constraints.txt")
RESULT = r" docs/soak(\.md|/.*)?$"  # in a line of git status: what we write ourselves
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
    changed = [line for line in _git("status", "--porcelain").splitlines() if not re.search(RESULT, line)]
    return (head or "no commit") + (" with changes" if changed else "")


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip("\n") if done.returncode == 0 else ""


def keep(folder: Path, record: Record) -> None:
    """Add it. One write, so that several soaks may run beside each other; a torn line costs that line only."""
    folder.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"piece": record.piece, **asdict(record)})
    with _path(folder, record.campaign).open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        torn = size > 0 and not _ends_a_line(file, size)
        file.write(b"\n" * torn + line.encode() + b"\n")


def _ends_a_line(file: BinaryIO, size: int) -> bool:
    file.seek(size - 1)
    return file.read(1) == b"\n"


def kept(folder: Path, campaign: Campaign, of_code: str) -> dict[str, Record]:
    """The last that is kept of each piece that the campaign has now, in their order; `of_code` "" takes any code."""
    path = _path(folder, campaign.name)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = {record.piece: record for record in map(_read, lines) if record and of_code in ("", record.code)}
    return {piece: found[piece] for piece in campaign.pieces if piece in found}


def _read(line: str) -> Record | None:
    try:
        return Record(**json.loads(line))
    except (ValueError, TypeError):
        return None  # torn, or written by another version of this file


def _path(folder: Path, campaign: str) -> Path:
    return folder / f"{quote(campaign, safe='')}.jsonl"


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
