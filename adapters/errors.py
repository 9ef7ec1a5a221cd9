"""The one way to refuse configuration: which file, which key, what is wrong, and the cure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ConfigError(Exception):
    """Bad configuration, refused at start. `str()` is the line a person reads."""

    file: str
    key: str
    problem: str
    cure: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.problem}. Cure: {self.cure}"
