"""Which Vedette this is. Apart from all else, so that saying it loads nothing."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def package_version() -> str:
    """Version of the installed distribution; "unknown" when run from a bare source tree."""
    try:
        return version("vedette")
    except PackageNotFoundError:
        return "unknown"
