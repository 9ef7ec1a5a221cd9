"""What is installed is ours and complete, and nothing else on the machine claims our package names."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("adapters", "fusion", "replay")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_no_other_distribution_claims_our_packages() -> None:
    owners = packages_distributions()
    others = {name: sorted({*owners.get(name, [])} - {"vedette"}) for name in PACKAGES}
    assert not any(others.values()), f"import would pick one of two packages: {others}"


def test_packages_are_imported_from_this_project() -> None:
    line = "import adapters, fusion, replay; print(*(m.__path__[0] for m in (adapters, fusion, replay)), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-P", "-c", line], capture_output=True, text=True, check=True, cwd=ROOT.parent, timeout=60
    )
    assert done.stdout.split() == [str(ROOT / name) for name in PACKAGES]


def test_installed_version_is_the_one_in_the_source() -> None:
    assert distribution("vedette").version == PROJECT["version"]
    assert f"\n## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_dependency_is_pinned() -> None:
    pinned = set(re.findall(r"(?m)^([a-z0-9-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8")))
    needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    names = {re.split(r"[<>=!~\[ ;]", line)[0].lower().replace("_", "-") for line in needed}
    assert names <= pinned, f"run `make constraints`: {sorted(names - pinned)}"


def test_nothing_under_a_copyleft_licence_is_a_dependency() -> None:
    """Such packages may judge our results in tests, but never be part of what we ship."""
    for line in PROJECT["dependencies"]:
        name = re.split(r"[<>=!~\[ ;]", line)[0]
        about = distribution(name).metadata
        words = [word for key in ("License-Expression", "License", "Classifier") for word in about.get_all(key) or []]
        licence = " ".join(word for word in words if len(word) < 200)
        assert licence, f"{name} states no licence"
        assert not re.search(r"\b[AL]?GPL|General Public", licence), f"{name}: {licence}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in a freshly built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in PACKAGES:
        for path in (ROOT / name).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                copy = source / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    line = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        return archive.namelist()


def test_wheel_holds_all_of_our_files_and_nothing_else(wheel: list[str]) -> None:
    ours = {
        str(path.relative_to(ROOT))
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel if ".dist-info/" not in name}
    assert packed == ours
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


def test_command_is_installed() -> None:
    command = Path(sys.executable).parent / "vedette"
    done = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"vedette {PROJECT['version']}"
