"""volumes.toml: notified activities in, `fusion.redlines.volumes.Declared` out, or every refusal with file, line and
cure.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from adapters.errors import UNREADABLE, ConfigError, unreadable
from adapters.files.configfile import Strict, Word
from adapters.files.polygonfile import BadPolygon, Box, Round, beside, shape_of
from adapters.files.protectedfile import LATITUDE, LONGITUDE, Position
from adapters.files.refuse import validate
from adapters.files.textlines import located
from fusion.redlines.declared import MOST_VOLUMES, Declared, Volume
from fusion.redlines.sentence import check_words
from fusion.schema import SensorSpec

Ring = Annotated[list[Position], Field(max_length=100_000)]
Words = Annotated[str, Field(min_length=1, max_length=200)]
Metres = Annotated[float, Field(ge=-500, le=60_000)]


class VolumeFile(Strict):
    """`[[volume]]`: what flies in it by arrangement raises no alert."""

    id: Word = Field(description="name of the activity: letters, digits, _ . -")
    owner: Words = Field(description="who flies there and answers for it")
    reason: Words = Field(description="why: it stands in the record of every alert that was not raised")
    from_time: datetime = Field(description="start in UTC, such as 2026-11-23T06:00:00Z")
    until_time: datetime = Field(description="end in UTC, such as 2026-11-23T18:00:00Z")
    lat_deg: float | None = Field(default=None, ge=-90, le=90, description=LATITUDE)
    lon_deg: float | None = Field(default=None, ge=-180, le=180, description=LONGITUDE)
    radius_m: float | None = Field(default=None, gt=0, le=200_000, description="radius of a circle, metres")
    polygon: Ring | None = Field(
        default=None, description="instead of a circle: positions in degrees, longitude first, closed"
    )
    holes: list[Ring] = Field(
        default=[], max_length=100, description="what is not part of the polygon, in the same way"
    )
    floor_m: Metres | None = Field(default=None, description="lowest height, metres; or no floor")
    ceiling_m: Metres | None = Field(default=None, description="highest height, metres; or no ceiling")
    above: Literal["ground", "sea", "ellipsoid"] = Field(
        default="ground", description="what floor_m and ceiling_m are above: ground, sea (mean level) or ellipsoid"
    )
    address: str = Field(
        default="",
        pattern="^([0-9A-Fa-f]{6})?$",
        description="only the aircraft of this 24-bit address, six hex digits",
    )
    serial: str = Field(
        default="", max_length=20, pattern="^[ -~]*$", description="only the drone of this Remote ID serial number"
    )


class VolumesFile(Strict):
    """volumes.toml."""

    p_within: float = Field(
        default=0.95, ge=0.5, lt=1, description="probability from which an object counts as within, 0.5 to 1"
    )
    volume: list[VolumeFile] = Field(default=[], max_length=MOST_VOLUMES, description="one block for every activity")


def load(paths: Sequence[Path], sensors: Sequence[SensorSpec] = ()) -> tuple[Declared, list[ConfigError]]:
    """The activities of all files, or everything wrong with them. The most careful `p_within` of all counts."""
    volumes: list[Volume] = []
    found: list[ConfigError] = []
    named: dict[str, str] = {}
    p_within = 0.0
    for path in paths:
        file = _read(path, found)
        if file is None:
            continue
        p_within = max(p_within, file.p_within)
        for row, block in enumerate(file.volume):
            key = f"volume[{row}]"
            if block.id in named:
                problem = f'"{block.id}" is also in {named[block.id]}'
                found.append(ConfigError(str(path), f"{key}.id", problem, "give every activity an id of its own"))
            named.setdefault(block.id, f"{path} ({key})")
            volume = _volume(block, str(path), key, beside(sensors), found)
            if volume is not None:
                volumes.append(volume)
    if len(volumes) > MOST_VOLUMES:
        found.append(ConfigError(str(paths[-1]), "volume", f"is one of more than {MOST_VOLUMES:,}", "leave some out"))
    if found:
        return Declared(), [located(error) for error in found]
    return Declared(tuple(volumes), p_within) if paths else Declared(), []


def _read(path: Path, found: list[ConfigError]) -> VolumesFile | None:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except UNREADABLE as error:
        found.append(unreadable(path, error))
    else:
        model, wrong = validate(VolumesFile, data, str(path))
        found += wrong
        return model
    return None


def _volume(block: VolumeFile, file: str, key: str, box: Box | None, found: list[ConfigError]) -> Volume | None:
    before = len(found)
    try:
        check_words(block.reason)  # the owner is a name, and the forces of a state are called armed
    except ValueError as error:
        found.append(ConfigError(file, f"{key}.reason", str(error), "say only what is flown, and what for"))
    from_us = _time_us(block.from_time, file, f"{key}.from_time", found)
    until_us = _time_us(block.until_time, file, f"{key}.until_time", found)
    if len(found) == before and until_us <= from_us:
        found.append(ConfigError(file, f"{key}.until_time", "is not after from_time", "correct the times"))
    floor_m = -math.inf if block.floor_m is None else block.floor_m
    ceiling_m = math.inf if block.ceiling_m is None else block.ceiling_m
    if floor_m >= ceiling_m:
        found.append(
            ConfigError(file, f"{key}.floor_m", "is not below ceiling_m", f"correct the two, above {block.above}")
        )
    try:
        shape = shape_of(
            None if block.polygon is None else [[block.polygon, *block.holes]],
            Round(block.lat_deg, block.lon_deg, block.radius_m),
            box,
        )
    except BadPolygon as bad:
        where = f"{key}.polygon" if block.polygon is not None else key
        found.append(ConfigError(file, where, f'"{block.id}" {bad.problem}', bad.cure))
        return None
    if len(found) > before:
        return None
    address = int(block.address, 16) if block.address else -1
    times = from_us, until_us
    return Volume(
        block.id, block.owner, block.reason, shape, *times, floor_m, ceiling_m, block.above, address,
        block.serial.strip().encode(),
    )  # fmt: skip


def _time_us(time: datetime, file: str, key: str, found: list[ConfigError]) -> int:
    if time.tzinfo is None:
        cure = f"write UTC with a Z at the end, such as {time.isoformat()}Z if it is UTC"
        found.append(ConfigError(file, key, "has no time zone", cure))
        return 0
    if time.utcoffset():
        utc = time.astimezone(UTC).isoformat().replace("+00:00", "Z")
        found.append(ConfigError(file, key, f"is {time.isoformat()}, which is not UTC", f"write {utc}"))
        return 0
    return round(time.timestamp() * 1_000_000)
