"""The first frame of a run: who started with what. `vedette.start.v1`, with the configuration as text.

It says what an investigator needs to run the same again: epoch, versions, processor, and name, size and sha256 of every
file of the configuration; small files with their text, without passwords. Borders and terrain are too large for a
frame: their hashes tell whether they are the same.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from adapters.config import SERVICE_FILE, Config
from adapters.kernelcache import processor
from adapters.version import package_version
from adapters.wire import dump, load_json, rfc3339_exact

SCHEMA = "vedette.start.v1"
TEXT_BYTES = 65_536  # of one file ...
TEXTS_BYTES = 200_000  # ... and of all: a frame must fit into a line of an exported recording
LIBRARIES = ("numpy", "numba", "scipy", "shapely")  # whose versions can change a bit of an answer
_PASSWORD = re.compile(rb"""(\bpassword\s*=\s*)("(?:[^"\\\n]|\\.)*"|'[^'\n]*')""")


def encode(config: Config, epoch: int, t_us: int) -> bytes:
    """The frame's payload."""
    return dump(
        {
            "schema": SCHEMA,
            "time": rfc3339_exact(t_us),
            "site": config.site,
            "epoch": epoch,
            "simulated": config.simulated,
            "mode": config.mode,
            "config_hash": config.hash,
            "versions": versions(),
            "processor": processor(),
            "files": _files(config),
        }
    )


def decode(payload: bytes) -> dict[str, Any]:
    """The frame's fields. Raises Invalid: not a start frame."""
    return load_json(payload, SCHEMA)


def epoch_of(told: dict[str, Any]) -> int:
    """The epoch that a start frame tells; 0 where it tells none."""
    epoch = told.get("epoch")
    return epoch if isinstance(epoch, int) else 0


def versions() -> dict[str, str]:
    """Of everything that can change a bit of an answer."""
    ours = {"vedette": package_version(), "python": platform.python_version()}
    return ours | {name: version(name) for name in LIBRARIES}


def _files(config: Config) -> list[dict[str, Any]]:
    described = []
    room = TEXTS_BYTES
    for path in config.files:
        content = path.read_bytes()
        about = {
            "name": os.path.relpath(path, config.folder),
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        text = _text(path, content)
        if text is not None and len(text) <= min(TEXT_BYTES, room):
            room -= len(text)
            described.append({**about, "text": text})
        else:
            described.append(about)
    return described


def _text(path: Path, content: bytes) -> str | None:
    """The text of a TOML file; None for what is none, or would tell a password."""
    if path.suffix != ".toml":
        return None
    if path.name == SERVICE_FILE:
        secret = tomllib.loads(content.decode("utf-8")).get("broker", {}).get("password", "")
        content = _PASSWORD.sub(rb'\1"***"', content)
        if secret and secret.encode() in content:  # written in a way, or said in a place, that we do not look for
            return None
    return content.decode("utf-8")
