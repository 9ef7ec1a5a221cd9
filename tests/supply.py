"""What Vedette is made of, and whether anything of it is known to be bad: `make sbom`, `make audit`.

    python -m tests.supply sbom FILE    CycloneDX 1.6 of what the installed program needs, with the tested versions
    python -m tests.supply audit        every pinned version against the OSV database, those of other systems and of
                                        the tests' judges included; what was not looked at fails it

Versions are those of constraints.txt. The same files give the same bytes: no time and no random number goes in.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from uuid import UUID

from packaging.requirements import Requirement

from tests.conftest import ROOT

PINS = ROOT / "constraints.txt"
JUDGES = ROOT / "tests" / "judges"
PATIENCE_S = 600
CURE = "Cure: run it where https://api.osv.dev answers, behind a proxy with HTTPS_PROXY; names and versions are sent."


def pinned(text: str) -> dict[str, str]:
    """Name and version of every pin that holds for this Python, in order of name."""
    found = {}
    for line in text.splitlines():
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate():
            found[plain(wanted.name)] = str(wanted.specifier).removeprefix("==")
    return dict(sorted(found.items()))


def rounds() -> list[dict[str, str]]:
    """Every pin once, as pip-audit takes them: a name has one version in each round."""
    found = [pinned(PINS.read_text(encoding="utf-8"))]
    for path in (PINS, *sorted(JUDGES.glob("*.txt"))):
        for line in re.sub(r" *;.*", "", path.read_text(encoding="utf-8")).splitlines():
            name, _, version = line.partition("==")
            name = plain(name)
            if all(one.get(name) != version for one in found):
                next_one = next((one for one in found[1:] if name not in one), None)
                if next_one is None:
                    found.append(next_one := {})
                next_one[name] = version
    return found


def plain(name: str) -> str:
    """A name as packaging compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(root: str = "vedette") -> dict[str, list[str]]:
    """Every package that the installed program needs, with what it needs itself; extras where they are asked for."""
    found: dict[str, list[str]] = {}
    waiting = [(root, frozenset[str]())]
    while waiting:
        name, extras = waiting.pop()
        below = []
        for line in metadata.requires(name) or []:
            wanted = Requirement(line)
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": e}) for e in (extras or {""})):
                below.append(plain(wanted.name))
                if plain(wanted.name) not in found or wanted.extras:
                    found.setdefault(plain(wanted.name), [])
                    waiting.append((plain(wanted.name), frozenset(wanted.extras)))
        found[name] = sorted({*found.get(name, []), *below})
    return dict(sorted(found.items()))


def sbom() -> str:
    """The bill of materials as JSON, valid by the schema of CycloneDX 1.6.

    Raises:
        ValueError: a package is needed and not pinned, or the result is not valid.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from packageurl import PackageURL

    tree, pins = needed(), pinned(PINS.read_text(encoding="utf-8"))
    ours = Component(
        name="vedette", version=metadata.version("vedette"), type=ComponentType.APPLICATION, bom_ref="vedette"
    )
    missing = [name for name in tree if name not in pins and name != "vedette"]
    if missing:
        raise ValueError(f"needed and not in constraints.txt: {', '.join(missing)}. Cure: make constraints")
    parts = {
        name: Component(
            name=name, version=pins[name], bom_ref=name, purl=PackageURL("pypi", name=name, version=pins[name])
        )
        for name in tree
        if name != "vedette"
    }
    bom = Bom(components=parts.values(), serial_number=_serial(tree, pins))
    bom.metadata.component = ours
    for name, below in tree.items():
        bom.register_dependency(parts.get(name, ours), [parts[one] for one in below])
    told = json.loads(JsonV1Dot6(bom).output_as_string())
    told["metadata"].pop("timestamp", None)
    text = json.dumps(told, indent=1, sort_keys=True) + "\n"
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        raise ValueError(f"not valid: {fault}")
    return text


def _serial(tree: dict[str, list[str]], pins: dict[str, str]) -> UUID:
    content = json.dumps([[name, pins.get(name, "")] for name in tree]).encode()
    return UUID(bytes=hashlib.sha256(content).digest()[:16], version=4)


def audit() -> tuple[int, list[str]]:
    """(status, lines): 0 only when every pin was looked up and nothing is known of any."""
    found = [_looked_up(pins) for pins in rounds()]
    lines = [line for _, told in found for line in told if line != CURE]
    cure = [CURE] if any(line.startswith("NOT AUDITED") for line in lines) else []
    return max(status for status, _ in found), [*lines, *cure]


def _looked_up(pins: dict[str, str]) -> tuple[int, list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "pins.txt"
        wanted.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()), encoding="utf-8")
        line = [sys.executable, "-m", "pip_audit", "--requirement", str(wanted), "--no-deps", "--disable-pip"]
        line += ["--vulnerability-service", "osv", "--format", "json", "--progress-spinner", "off"]
        try:
            done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        except subprocess.TimeoutExpired:
            return 1, [f"NOT AUDITED: all {len(pins)} packages: no answer within {PATIENCE_S} s", CURE]
    return judged(pins, done.stdout, done.stderr)


def judged(pins: dict[str, str], answer: str, words: str) -> tuple[int, list[str]]:
    """What pip-audit's answer comes to: whatever it does not name was not looked at."""
    try:
        told = {plain(one["name"]): one for one in json.loads(answer)["dependencies"]}
    except (ValueError, KeyError, TypeError):
        why = (words.strip().splitlines() or ["it said nothing"])[-1][-300:]
        return 1, [f"NOT AUDITED: all {len(pins)} packages: {why}", CURE]
    lines = []
    for name, version in pins.items():
        one = told.get(name, {"skip_reason": "no answer"})
        if "skip_reason" in one:
            lines.append(f"NOT AUDITED: {name} {version}: {one['skip_reason']}")
        elif one.get("version") != version:
            lines.append(f"NOT AUDITED: {name} {version}: the answer is about {one.get('version')}")
        lines += [f"BAD: {name} {version}: {bad['id']}, cured in {bad['fix_versions']}" for bad in one.get("vulns", [])]
    if any(line.startswith("NOT AUDITED") for line in lines):
        lines.append(CURE)
    return int(bool(lines)), lines or [f"{len(pins)} packages looked up, nothing is known of any"]


def main(words: Sequence[str]) -> int:
    """The command."""
    if words[0] == "sbom":
        path = Path(words[1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sbom(), encoding="utf-8")
        print(f"{path}: {len(json.loads(path.read_text(encoding='utf-8'))['components'])} components")
        return 0
    status, lines = audit()
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
