"""Readers of others for maps, in an environment apart: GDAL's, and a library of CZML."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

PYTHON = ROOT / ".venv" / "judges" / "maps" / "bin" / "python"


def read(how: str, payload: bytes, path: Path) -> Any:
    """What they find in a file; `how`: ogr, table or czml. An error with the line that installs them, never a skip."""
    if not PYTHON.exists():
        raise RuntimeError(f"pyogrio and czml3 are not installed at {PYTHON}. Cure: make test")
    path.write_bytes(payload)
    line = [str(PYTHON), str(ROOT / "tests" / "judges" / "maps.py"), how, str(path)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return json.loads(done.stdout)
