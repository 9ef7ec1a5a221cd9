"""Where compiled kernels are kept: a folder named after the source that they were compiled from.

numba knows a kernel's cached code by the file it is in and that file's time. It does not see that a function in another
file, which was compiled into it, has changed, and would go on running the old one (numba documents this). With a
folder per state of all kernel sources, an upgrade can never mix old code with new.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("fusion", "replay", "adapters")
KEPT = 4  # folders: the running version, the one before it, and two of a developer's branches
_NAME = "kernels-"


def sources() -> tuple[Path, ...]:
    """Our files that hold compiled kernels or that these take constants from, in order of name."""
    found = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    texts = {path: path.read_text(encoding="utf-8") for path in found}
    return tuple(path for path, text in texts.items() if _counts(path, text))


def _counts(path: Path, text: str) -> bool:
    if path.relative_to(ROOT).parts[0] == "adapters":  # most speak of numba without giving it anything to compile
        return "\n@njit(" in text
    return "numba" in text or path.name == "params.py"


def fingerprint() -> str:
    """Sixteen hex digits over name and content of all kernel sources."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def folder(base: Path) -> Path:
    """The cache folder under `base` for the kernels as they are now; made, with the oldest others removed.

    Raises:
        OSError: `base` cannot be written.
    """
    mine = base / f"{_NAME}{fingerprint()}"
    mine.mkdir(parents=True, exist_ok=True)
    mine.touch()  # used now: never the oldest
    others = sorted(base.glob(f"{_NAME}*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in others[KEPT:]:
        with contextlib.suppress(OSError):  # another process may be removing it too
            shutil.rmtree(old)
    return mine


def processor() -> str:
    """Name and a hash of the features: compiled code may round differently where they differ."""
    name, flags = platform.machine(), ""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags = " ".join(sorted(value.split()))
                break
    except OSError:
        pass
    return f"{name}, features {hashlib.sha256(flags.encode()).hexdigest()[:12]}"


def whole() -> Path:
    """The file that says that the cache holds every kernel, of these sources, this numba and this processor."""
    about = f"{fingerprint()} {version('numba')} {processor()}"
    return Path(os.environ["NUMBA_CACHE_DIR"]) / f"whole-{hashlib.sha256(about.encode()).hexdigest()[:16]}"


def prepare() -> None:
    """Before numba or numpy is imported: where compiled kernels are kept, and one thread for linear algebra.

    Values set by the user stay. The cache follows XDG; where that cannot be written (a read-only root) the kernels are
    compiled into a temporary folder, which costs half a minute at every start and nothing else.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # more threads make sums depend on the machine
    if "NUMBA_CACHE_DIR" not in os.environ:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        try:
            mine = folder(base / "vedette")
            usable = os.access(mine, os.W_OK)
        except OSError:
            usable = False
        if not usable:
            mine = folder(Path(tempfile.gettempdir()) / "vedette")
        os.environ["NUMBA_CACHE_DIR"] = str(mine)
