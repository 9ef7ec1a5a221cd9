"""The systemd unit that is shipped: systemd understands it, and finds little that it would let the service do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT

UNIT = ROOT / "config" / "vedette.service"
EXPOSURE_MOST = 20  # tenths, as systemd-analyze counts: 0 nothing, 100 everything
WANTED = {
    "NoNewPrivileges": "true", "ProtectSystem": "strict", "ProtectHome": "true", "PrivateTmp": "true",
    "PrivateDevices": "true", "PrivateUsers": "true", "CapabilityBoundingSet": "", "AmbientCapabilities": "",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "RestrictNamespaces": "true", "RestrictSUIDSGID": "true",
    "LockPersonality": "true", "SystemCallArchitectures": "native", "UMask": "0077", "User": "vedette",
    "StateDirectory": "vedette", "StateDirectoryMode": "0700", "IPAddressDeny": "any", "Restart": "always",
}  # fmt: skip


def directives() -> list[tuple[str, str]]:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    return [(key, value) for line in lines for key, sep, value in [line.partition("=")] if sep and line[0] != "#"]


def analyzed(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    assert program is not None
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False)


def test_it_is_hardened() -> None:
    found = dict(directives())
    assert {key: found.get(key) for key in WANTED} == WANTED
    assert ("SystemCallFilter", "@system-service") in directives()
    assert "0.0.0.0" not in UNIT.read_text(encoding="utf-8")


def test_it_tells_no_password_and_runs_what_there_is() -> None:
    text = UNIT.read_text(encoding="utf-8")
    assert not re.search(r"^(Environment|ExecStart)=.*(PASSWORD=|password=)", text, re.MULTILINE)
    assert "ExecStart=/opt/vedette/.venv/bin/vedette run --config " in text


def test_two_of_it_are_a_service_and_its_spare(tmp_path: Path) -> None:
    """As a template: both share folder, account and cache, and whoever has the folder's lock works."""
    text = UNIT.read_text(encoding="utf-8")
    assert " --standby " in dict(directives())["ExecStart"]
    assert "%i" not in text
    assert "%n" not in text
    if shutil.which("systemd-analyze") is None:
        return
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", text, flags=re.MULTILINE)
    (tmp_path / "vedette@.service").write_text(text.replace("file:/opt", "file:///opt"), encoding="utf-8")
    done = analyzed("verify", str(tmp_path / "vedette@1.service"))
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_understands_it_and_counts_little_exposure(tmp_path: Path) -> None:
    """Where there is no systemd, every directive has at least the form of one."""
    assert all(re.fullmatch(r"[A-Z][A-Za-z0-9]+", key) for key, _ in directives())
    if shutil.which("systemd-analyze") is None:
        return
    unit = tmp_path / "vedette.service"
    text = re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", UNIT.read_text("utf-8"), flags=re.MULTILINE)
    unit.write_text(text.replace("file:/opt", "file:///opt"), encoding="utf-8")
    done = analyzed("verify", str(unit))
    assert (done.returncode, done.stderr) == (0, "")
    done = analyzed("security", "--offline=true", f"--threshold={EXPOSURE_MOST}", str(unit))
    assert done.returncode == 0, done.stdout[-500:]
