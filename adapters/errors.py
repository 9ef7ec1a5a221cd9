"""The one way to refuse configuration: which file, which key, what is wrong, and the cure."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

WRONG = 2  # exit status: the question was wrong (usage, configuration)


@dataclass(slots=True)
class ConfigError(Exception):
    """Bad configuration, refused at start. `str()` is the line a person reads."""

    file: str
    key: str
    problem: str
    cure: str
    line: int = 0  # of the key in the file; 0: not known (`adapters/files/textlines.py` finds it)

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' * bool(self.line)}: {self.key}: {self.problem}. Cure: {self.cure}"


UNREADABLE = (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, json.JSONDecodeError, RecursionError)


def unreadable(path: Path, error: Exception) -> ConfigError:
    """Why a file of configuration cannot be read as text, TOML or JSON: one of `UNREADABLE`."""
    if isinstance(error, OSError):
        return ConfigError(str(path), "(file)", f"cannot be read: {error.strerror}", "check path and rights")
    if isinstance(error, UnicodeDecodeError):
        return ConfigError(str(path), "(file)", f"is not UTF-8 text (byte {error.start})", "save it as UTF-8")
    if isinstance(error, RecursionError):
        return ConfigError(str(path), "(file)", "is nested too deep", "write it flat")
    kind = "TOML" if isinstance(error, tomllib.TOMLDecodeError) else "JSON"
    return ConfigError(str(path), "(file)", f"is not {kind}: {error}", "correct that line")


@contextmanager
def refusals() -> Iterator[None]:
    """A refused configuration is a line on standard error and status 2, not a traceback."""
    try:
        yield
    except ConfigError as error:
        refuse([error])


def refuse(errors: Sequence[ConfigError]) -> NoReturn:
    """Say what is wrong, a line each, and end the command."""
    import typer

    for error in errors:
        sys.stderr.write(f"vedette: {error}\n")
    raise typer.Exit(WRONG)
