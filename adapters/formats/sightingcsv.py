"""Reports of people as a table: a first line that names the columns, and a line for every report (CSV, RFC 4180).

    time;lat_deg;lon_deg;bearing_deg;words;reporter
    2026-11-23 08:13;54,571;25,688;172;"grey, like a moped, low";border guard

Columns are named as the fields of `vedette.sighting.v1`, in any order; others are passed over. `time`, `lat_deg` and
`lon_deg` must be there. Fields are set apart by commas, semicolons or tabs, as the first line has them; where that is
no comma, a comma in a number is a decimal point. A time without a zone is of the zone that whoever reads it is told. A
row without an `id` gets one made of its text, so that the same row is the same report. `encode` writes what `Table`
reads.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from adapters.wire import rfc3339_exact
from fusion.schema import Invalid

NUMBERS = (
    "lat_deg", "lon_deg", "sigma_m", "bearing_deg", "sigma_bearing_deg", "elevation_deg", "distance_m", "height_m",
    "sigma_time_s",
)  # fmt: skip
TEXTS = ("id", "words", "reporter")
NEEDED = ("time", "lat_deg", "lon_deg")
COLUMNS = ("time", *TEXTS, *NUMBERS, "found")
MOST_OCTETS = 16_384  # of one row
_YES, _NO = ("true", "yes", "1", "x"), ("", "false", "no", "0")
_ZONED = re.compile(r".*\d(Z|z|[+-]\d\d:?\d\d)")


class Table:
    """Rows of one table, in order. `zone`: of times that name none; None: those are refused."""

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._zone = zone
        self._columns: list[str] = []
        self._comma = ","
        self._torn = ""

    def line(self, line: bytes) -> dict[str, Any] | None:
        """The fields of a report, as they stand in its message; None: the line names the columns, or the row goes on.

        Raises:
            Invalid: not-utf8, oversized, malformed (quotes, a number), missing-field, bad-time, out-of-range.
        """
        try:
            text = self._torn + line.decode("utf-8-sig" if not self._columns else "utf-8")
        except UnicodeDecodeError:
            self._torn = ""
            raise Invalid("not-utf8", "save the table as CSV in UTF-8") from None
        self._torn = ""
        if len(text) > MOST_OCTETS:
            raise Invalid("oversized", "a row")
        if text.count('"') % 2:
            self._torn = text + "\n"
            return None
        if not self._columns:
            self._name(text)
            return None
        fields = self._fields(text)
        if len(fields) != len(self._columns):
            raise Invalid("malformed", f"{len(fields)} fields, and {len(self._columns)} columns")
        return self._message(dict(zip(self._columns, fields, strict=True)), text)

    def _name(self, text: str) -> None:
        self._comma = max(",;\t", key=text.count)
        named = [name.lower() for name in self._fields(text)]
        missing = [name for name in NEEDED if name not in named]
        if missing or len(dict.fromkeys(named)) != len(named):
            raise Invalid(
                "missing-field", f"columns {', '.join(missing)}" if missing else "a column stands there twice"
            )
        self._columns = named

    def _fields(self, text: str) -> list[str]:
        try:
            (fields,) = csv.reader([text], delimiter=self._comma, strict=True)
        except (csv.Error, ValueError):
            raise Invalid("malformed", "a row") from None
        return [field.strip() for field in fields]

    def _message(self, fields: Mapping[str, str], row: str) -> dict[str, Any]:
        missing = [name for name in NEEDED if not fields[name]]
        if missing:
            raise Invalid("missing-field", ", ".join(missing))
        made: dict[str, Any] = {"time": self._time(fields["time"])}
        made |= {name: fields[name] for name in TEXTS if fields.get(name)}
        made |= {name: self._number(name, fields[name]) for name in NUMBERS if fields.get(name)}
        found = fields.get("found", "").lower()
        if found not in (*_YES, *_NO):
            raise Invalid("malformed", "found is yes or no")
        made |= {"found": True} if found in _YES else {}
        made.setdefault("id", row_id(row.encode()))
        return made

    def _number(self, name: str, text: str) -> msgspec.Raw:
        try:
            value = Decimal(text if self._comma == "," else text.replace(",", "."))
        except InvalidOperation:
            raise Invalid("malformed", name) from None
        if not value.is_finite() or abs(value) > 1_000_000 or value.as_tuple().exponent < -30:  # type: ignore[operator]
            raise Invalid("out-of-range", name)
        return msgspec.Raw(f"{value:f}".encode())

    def _time(self, text: str) -> str:
        if _ZONED.fullmatch(text):
            return text.replace(" ", "T", 1)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise Invalid("bad-time", text[:40]) from None
        if self._zone is None:
            raise Invalid("bad-time", "no time zone")
        early, late = (moment.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        if early.utcoffset() != late.utcoffset():
            raise Invalid("bad-time", "an hour that is there twice, or never, since clocks are changed in it")
        return early.astimezone(UTC).isoformat().replace("+00:00", "Z")


def row_id(row: bytes) -> str:
    """The id of a report that has none: always the same for the same text."""
    return f"row-{hashlib.sha256(row).hexdigest()[:16]}"


def encode(messages: Sequence[Mapping[str, Any]], comma: str = ",") -> bytes:
    """A table that reads back as these messages: numbers, texts, times in microseconds UTC."""
    rows: list[Sequence[object]] = [COLUMNS]
    for message in messages:
        rows.append([rfc3339_exact(message["time"]), *(message.get(name, "") for name in COLUMNS[1:])])
    return "".join(comma.join(_field(str(field)) for field in row) + "\r\n" for row in rows).encode()


def _field(text: str) -> str:
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if re.search(r'[",;\t\r\n]', text) else text
