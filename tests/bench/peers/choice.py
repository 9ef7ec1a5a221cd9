"""The peers as the table names them, with the parameters that the search found.

What was tried, on a scene of 200 objects and 200 s that no table uses, one number at a time around these (judged by
GOSPA first; drones' completeness second): SEARCHED
"""

from __future__ import annotations

from collections.abc import Callable

from fusion.schema import F8, SensorSpec
from tests.bench.peers.filters import Imm, Kalman
from tests.bench.peers.perfect import Perfect
from tests.bench.peers.plane import Plane
from tests.bench.peers.soup import Soup
from tests.bench.peers.tracker import Classical, Settings
from tests.bench.scenes import ORIGIN

KALMAN_Q = 10.0  # m2/s3
IMM_Q, IMM_STAY_S = (0.5, 30.0), (60.0, 20.0)
SOUP_Q = 10.0
HITS_OF_PERFECT = 2
PERFECT = "told + filterpy IMM"


def _kalman(x: F8, cov: F8) -> Kalman:
    return Kalman(x, cov, KALMAN_Q)


def _imm(x: F8, cov: F8) -> Imm:
    return Imm(x, cov, IMM_Q, IMM_STAY_S)


Make = Callable[[tuple[SensorSpec, ...], float], Classical]


def makers() -> dict[str, Make]:
    """By name: sensors, and how long the buffer holds plots back to fuse them in order."""

    def of(kind: Callable[..., Classical], *more: object, hits: int = 3) -> Make:
        return lambda sensors, hold_s: kind(Plane(sensors, *ORIGIN), *more, settings=Settings(hold_s=hold_s, hits=hits))

    return {
        "filterpy KF": of(Classical, _kalman),
        "filterpy IMM": of(Classical, _imm),
        "Stone Soup GNN": of(Soup, False, SOUP_Q),
        "Stone Soup JPDA": of(Soup, True, SOUP_Q),
        PERFECT: of(Perfect, _imm, hits=HITS_OF_PERFECT),
    }
