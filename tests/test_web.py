"""The page's own files: typed, linted, tested in Node, and what others made is as they published it."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

from tests.conftest import ROOT, need

WEB = ROOT / "adapters" / "web"
NODE = ROOT / "tests" / "node"
MODULES = ROOT / ".venv" / "node"
MAX_LINES = 400


def run(program: str, *arguments: str) -> None:
    """One program of npm, which must have nothing to say against it."""
    path = MODULES / "node_modules" / ".bin" / program
    assert path.exists(), f"{program} is missing. Cure: make test"
    done = subprocess.run([str(path), *arguments], capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_every_module_is_typed() -> None:
    run("tsc", "-p", str(NODE / "tsconfig.json"))


def test_every_module_is_linted() -> None:
    run("eslint", "--config", str(NODE / "eslint.config.mjs"), *map(str, sorted(WEB.glob("*.js"))))


def test_what_needs_no_browser_works() -> None:
    line = [need("node"), "--test", str(NODE / "page.test.mjs")]
    environment = {"PATH": str(Path(need("node")).parent), "MODULES": str(MODULES)}
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "# pass 1" in done.stdout


def test_modules_are_small_and_name_no_other_host() -> None:
    for path in sorted(path for path in WEB.iterdir() if path.is_file()):
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= MAX_LINES, path.name
        hosts = [host for host in re.findall(r"https?://([^/\s\"'`$]+)", text) if host != "www.w3.org"]
        assert hosts == [], f"{path.name} names {hosts}"


def test_nothing_is_inline_that_the_policy_would_stop() -> None:
    for path in sorted(WEB.glob("*.html")):
        text = path.read_text("utf-8")
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text), path.name


def test_what_others_made_is_as_they_published_it() -> None:
    vendor = WEB / "vendor"
    rows = re.findall(
        r"^\| `([^`]+)` \| [^|]+ \| [\d.]+ \| [^|]+`([^`]+)` \| `([0-9a-f]{64})` \|$",
        (vendor / "README.md").read_text("utf-8"),
        re.MULTILINE,
    )
    for name, licence, digest in rows:
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name
        assert (vendor / licence).is_file()
    named = {"README.md", *(name for name, _, _ in rows), *(licence for _, licence, _ in rows)}
    assert {path.name for path in vendor.iterdir()} == named
