"""A changed kernel source never meets code compiled from the old one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from adapters import kernelcache


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of our sources that a test may change."""
    for name in kernelcache.PACKAGES:
        shutil.copytree(kernelcache.ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(kernelcache, "ROOT", tmp_path)
    return tmp_path


def test_every_kernel_source_counts() -> None:
    names = [path.name for path in kernelcache.sources()]
    assert {"geo.py", "imm.py", "params.py", "kernels.py", "associate.py", "existence.py"} <= {*names}


def test_a_change_of_an_inner_function_takes_another_folder(copy: Path, tmp_path: Path) -> None:
    before = kernelcache.folder(tmp_path / "cache")
    assert kernelcache.folder(tmp_path / "cache") == before
    geo = copy / "fusion" / "geo.py"
    stamp = geo.stat().st_mtime_ns
    geo.write_text(geo.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    os.utime(geo, ns=(stamp, stamp))
    assert kernelcache.folder(tmp_path / "cache") != before


def test_old_folders_are_removed_and_the_one_in_use_never(tmp_path: Path) -> None:
    for age, letter in enumerate("abcdef"):
        old = tmp_path / f"kernels-{letter}"
        old.mkdir()
        os.utime(old, (1_000 - age, 1_000 - age))
    (tmp_path / "something-else").mkdir()
    mine = kernelcache.folder(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {mine.name, "kernels-a", "kernels-b", "kernels-c", "something-else"}


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        kernelcache.folder(tmp_path / "file")
