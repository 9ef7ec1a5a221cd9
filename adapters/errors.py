"""The one way to refuse configuration: which file, which key, what is wrong, and the cure."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

WRONG = 2  # exit status: the question was wrong (usage, configuration)


@dataclass(slots=True)
class ConfigError(Exception):
    """Bad configuration, refused at start. `str()` is the line a person reads."""

    file: str
    key: str
    problem: str
    cure: str
    line: int = 0  # of the key in the file; 0: not known (`adapters/textlines.py` finds it)

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' * bool(self.line)}: {self.key}: {self.problem}. Cure: {self.cure}"


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
