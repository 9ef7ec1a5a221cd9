"""What every test shares: where real recordings lie, which programs must be there, and an honest summary.

Real recordings may not be shipped, so a public clone has none. Tests that need them carry `@pytest.mark.real_data` and
take the fixture `data`. Without recordings they are left out before the run and the summary says how many
("NOT RUN: n real-data tests"). Where VEDETTE_DATA names a folder, or VEDETTE_REQUIRE_DATA is set, they always run and a
missing recording is a failure.

Mosquitto, Prometheus, Chromium, OpenSSL and Node are needed, not optional: a missing one is a failure with the line
that installs it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from adapters import lean, log

ROOT = Path(__file__).resolve().parent.parent
PACKAGE_OF = {  # program -> Debian package
    "dump1090-mutability": "dump1090-mutability",
    "mosquitto": "mosquitto",
    "mosquitto_sub": "mosquitto-clients",
    "mosquitto_pub": "mosquitto-clients",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "chromium": "chromium",
    "openssl": "openssl",
    "faketime": "faketime",
    "node": "nodejs",
    "npm": "npm",
    "tshark": "tshark",
}
# Debian puts servers where an ordinary account does not look.
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
# Tests and the commands that they start share one cache of compiled kernels, the user's own.
log.prepare_numerics()
lean.install_with_numba()
# Output is compared as text, so nothing may colour it.
os.environ.setdefault("NO_COLOR", "1")

# Timing faults on a busy machine are no finding; the seed is fixed so that a red run is red again.
settings.register_profile("vedette", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("VEDETTE_HYPOTHESIS", "vedette"))

_NOT_RUN = pytest.StashKey[list[str]]()


def data_dir() -> Path:
    """The folder of recordings, whether it is there or not."""
    given = os.environ.get("VEDETTE_DATA")
    return Path(given).expanduser().resolve() if given else ROOT.parent / "shared" / "data"


def data_required() -> bool:
    """True where a missing recording is a failure: somebody said that the recordings are there."""
    return bool(os.environ.get("VEDETTE_DATA") or os.environ.get("VEDETTE_REQUIRE_DATA"))


def need(program: str) -> str:
    """Path of a program that the tests need; fails with the line that installs it."""
    path = shutil.which(program)
    if path is None:
        pytest.fail(f"{program} is not installed. Cure: apt-get install {PACKAGE_OF[program]}", pytrace=False)
    return path


def pytest_configure(config: pytest.Config) -> None:
    """Start with nothing left out."""
    config.stash[_NOT_RUN] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave real-data tests out, and count them, where nobody said that there are recordings and there are none."""
    if data_required() or (data_dir() / "recordings").is_dir():
        return
    real = [item for item in items if item.get_closest_marker("real_data")]
    if real:
        config.stash[_NOT_RUN].append(f"{len(real)} real-data tests (no recordings at {data_dir()}; set VEDETTE_DATA)")
        items[:] = [item for item in items if not item.get_closest_marker("real_data")]
        config.hook.pytest_deselected(items=real)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """A process that ran a part of the tests is done: what it did not run is ours to tell, once."""
    ours: list[str] = node.config.stash[_NOT_RUN]  # type: ignore[attr-defined]
    ours += [note for note in getattr(node, "workeroutput", {}).get("not_run", ()) if note not in ours]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what was not run to the process that tells it, where that is another one."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["not_run"] = session.config.stash[_NOT_RUN]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say aloud what was not run."""
    for note in config.stash[_NOT_RUN]:
        terminalreporter.write_line(f"NOT RUN: {note}")


@pytest.fixture(scope="session")
def not_run(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Call it with what cannot be run on this machine: the summary repeats it."""
    return request.config.stash[_NOT_RUN].append


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of recordings; a missing one fails the test."""
    folder = data_dir()
    if not (folder / "recordings").is_dir():
        pytest.fail(f"no recordings at {folder}. Cure: set VEDETTE_DATA to the folder that holds them", pytrace=False)
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's own folder."""
    return ROOT


@pytest.fixture(autouse=True)
def _away_from_the_users_settings() -> Iterator[None]:
    """No test is steered by the settings of an installed Vedette: its environment variables are hidden."""
    kept = {"VEDETTE_DATA", "VEDETTE_REQUIRE_DATA", "VEDETTE_HYPOTHESIS"}
    hidden = {
        name: os.environ.pop(name) for name in list(os.environ) if name.startswith("VEDETTE_") and name not in kept
    }
    try:
        yield
    finally:
        os.environ.update(hidden)
