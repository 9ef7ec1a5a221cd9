"""A validator of others that holds CAP to the schema of OASIS, in an environment apart."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from tests.conftest import ROOT

PYTHON = ROOT / ".venv" / "judges" / "cap" / "bin" / "python"


def verdicts(messages: Sequence[bytes]) -> list[str]:
    """ "fine" of each, or why not; an error with the line that installs the judge, never a skip."""
    if not PYTHON.exists():
        raise RuntimeError(f"capvalidator is not installed at {PYTHON}. Cure: make test")
    text = "".join(message.hex() + "\n" for message in messages)
    line = [str(PYTHON), str(ROOT / "tests" / "judges" / "cap.py")]
    done = subprocess.run(line, input=text, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()
