"""What the red lines of a configuration folder are made of: rules, notified activities, protected areas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.errors import ConfigError
from adapters.files.configfile import ServiceFile
from fusion.schema import SensorSpec

if TYPE_CHECKING:
    from fusion.borders.outlook import Area
    from fusion.redlines.declared import Declared
    from fusion.rules import RuleSet

SERVICE_FILE = "service.toml"


@dataclass(frozen=True, slots=True)
class RedLines:
    """All of them, checked, and the files that they come from."""

    rules: RuleSet
    rule_paths: tuple[Path, ...]  # the base first
    declared: Declared
    protected: tuple[Area, ...]
    paths: tuple[Path, ...]


def read(
    folder: Path, service: ServiceFile, sensors: tuple[SensorSpec, ...], found: list[ConfigError]
) -> RedLines | None:
    """The red lines that `service.toml` names; None, and why in `found`, where they cannot be used."""
    from adapters.files import protectedfile, rulefile, volumefile

    before = len(found)
    base, *overlays = rule_paths(folder, service, found)
    volumes = tuple(
        existing(folder, name, f"rules.volumes[{row}]", found) for row, name in enumerate(service.rules.volumes)
    )
    guarded = tuple(folder / name for name in service.zones.protected)
    protected, wrong = protectedfile.load(guarded, sensors)
    found += wrong
    declared, wrong = volumefile.load([path for path in volumes if path.is_file()], sensors)
    found += wrong
    rules = None
    if all(path.is_file() for path in (base, *overlays)):
        try:
            rules = rulefile.load(base, overlays)
        except ConfigError as error:
            found.append(error)
    if len(found) > before or rules is None:
        return None
    return RedLines(rules, (base, *overlays), declared, protected, (base, *overlays, *volumes, *guarded))


def rule_paths(folder: Path, service: ServiceFile, found: list[ConfigError]) -> tuple[Path, ...]:
    """The rule files that `service.toml` names, the base first."""
    keys = ("rules.base", *(f"rules.overlays[{row}]" for row in range(len(service.rules.overlays))))
    names = (service.rules.base, *service.rules.overlays)
    return tuple(existing(folder, name, key, found) for name, key in zip(names, keys, strict=True))


def existing(folder: Path, name: str, key: str, found: list[ConfigError]) -> Path:
    """The path that a key of `service.toml` names."""
    path = folder / name
    if not path.is_file():
        cure = "correct the path, relative to the folder"
        found.append(ConfigError(str(folder / SERVICE_FILE), key, f"names {path}, which is not a file", cure))
    return path
