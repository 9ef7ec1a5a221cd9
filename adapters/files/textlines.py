"""On which line of a TOML or JSON file a key stands, so that a refusal can be jumped to.

The readers of both formats say what a file holds and not where. This one scans the text again, once something in it has
been refused, and trusts that it is well-formed: the reader has read it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from adapters.errors import ConfigError

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(r'"""[\s\S]*?"{3,5}|\'\'\'[\s\S]*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
_PLAIN = re.compile(r"[^,\]}\n#]*")  # a number, a word, a time
_KEY = re.compile(r'\s*("(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|[A-Za-z0-9_-]+)\s*')
_SAID = re.compile(r"\bline (\d+)\b")  # where the reader itself names one
_JSON = (".json", ".geojson")


def located(error: ConfigError) -> ConfigError:
    """The same refusal with the line of its key; without one where the file cannot tell."""
    if error.line:
        return error
    try:
        text = Path(error.file).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return error
    said = _SAID.search(error.key) or (_SAID.search(error.problem) if error.key == "(file)" else None)
    return replace(error, line=int(said[1]) if said else line_of(text, error.key, Path(error.file).suffix in _JSON))


def line_of(text: str, key: str, json: bool = False) -> int:
    """Line, from 1, of a key such as `rule[2].when[0]`, or of the nearest thing around it that is there; 0: none."""
    places = places_of(text, json)
    while key and key not in places:
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return places.get(key, 0) if key else 0


@lru_cache(maxsize=4)  # a file with a thousand faults is walked once
def places_of(text: str, json: bool) -> Mapping[str, int]:
    """On which line every key and every element stands; nothing where the scanner does not know the text."""
    try:
        return _Scan(text).of_json() if json else _Scan(text).of_toml()
    except (RecursionError, _Lost):
        return {}


class _Lost(Exception):
    """The text is not what the scanner knows."""


class _Scan:
    """One walk over a text: `places` says on which line every key and every element stands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._sign = "="  # between key and value
        self._at = 0
        self._breaks = [found.start() for found in re.finditer("\n", text)]
        self._places: dict[str, int] = {}
        self._counts: dict[str, int] = {}  # of arrays of tables, by their path

    def of_json(self) -> dict[str, int]:
        self._sign = ":"
        self._blank()
        self._value("")
        return self._places

    def of_toml(self) -> dict[str, int]:
        head = ""
        while self._blank():
            if self._text[self._at] == "[":
                head = self._header()
            else:
                self._pair(head)
        return self._places

    def _blank(self) -> str:
        """Skip blanks and comments; the character that follows, "" at the end."""
        self._at = _BLANK.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches nothing, too
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise _Lost
        self._at = found.end()
        return found

    def _mark(self, path: str) -> None:
        self._places.setdefault(path, bisect_right(self._breaks, self._at - 1) + 1)

    def _header(self) -> str:
        array = self._text.startswith("[[", self._at)
        start = self._at
        self._at += 2 if array else 1
        *above, last = self._keys()
        path = ""
        for part in above:
            path = self._below(path, part)
            if path in self._counts:
                path += f"[{self._counts[path] - 1}]"
        path = self._below(path, last)
        self._at, end = start, self._at + (2 if array else 1)
        if array:
            self._counts[path] = self._counts.get(path, 0) + 1
            self._mark(path)
            path += f"[{self._counts[path] - 1}]"
        self._mark(path)
        self._at = end
        return path

    def _keys(self) -> list[str]:
        """The parts of a dotted key."""
        parts = [_bare(self._take(_KEY)[1])]
        while self._text.startswith(".", self._at):
            self._at += 1
            parts.append(_bare(self._take(_KEY)[1]))
        return parts

    def _below(self, path: str, part: str) -> str:
        return f"{path}.{part}" if path else part

    def _pair(self, path: str) -> None:
        start = self._at
        parts = self._keys()
        end, self._at = self._at, start
        for part in parts:
            path = self._below(path, part)
            self._mark(path)
        self._at = end
        if not self._text.startswith(self._sign, self._at):
            raise _Lost
        self._at += 1
        self._blank()
        self._value(path)

    def _value(self, path: str) -> None:
        if path:
            self._mark(path)
        first = self._text[self._at : self._at + 1]
        if first == "[":
            self._inside("]", lambda n: self._value(f"{path}[{n}]"))
        elif first == "{":
            self._inside("}", lambda _: self._pair(path))
        elif first in ('"', "'"):
            self._take(_STRING)
        else:
            self._take(_PLAIN)

    def _inside(self, end: str, one: Callable[[int], None]) -> None:
        """Everything between two brackets, commas between; a comma may stand at the end."""
        self._at += 1
        count = 0
        while (found := self._blank()) != end:
            if not found:
                raise _Lost
            one(count)
            count += 1
            if self._blank() == ",":
                self._at += 1
        self._at += 1


def _bare(key: str) -> str:
    return key[1:-1] if key[:1] in ("'", '"') else key
