"""One track at a time, for tests of the kernels: measurement rows of an object, and a track that fuses them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fusion.bias.pressure import Pressure
from fusion.filters.imm import imm_table
from fusion.filters.models import STATE
from fusion.filters.params import ImmParams
from fusion.kernels import SCRATCH, SLAB, Rec, T, X, ahead_n, fuse_1, start_1, state_at_1, undo_1
from fusion.rows import head_of, plots_of
from fusion.schema import F8, Plots, SensorSpec
from tests.sky import SENSORS, SITES

ANYTHING = 1e18  # a gate that lets everything in
TABLE = imm_table(ImmParams())
AHEAD = np.zeros(1, np.int64)


def rows_of(batches: list[Plots], sensors: tuple[SensorSpec, ...] = SENSORS, sites: F8 = SITES) -> Rec:
    """Plots as the tracker takes them (n,) of PLOT, in order of time."""
    head = {spec.id: head_of(spec) for spec in sensors}
    found = plots_of(
        batches, [head[batch.sensor] for batch in batches], sites, None, Pressure(sensors, None, 100.0).numbers
    )
    return found[np.argsort(found["t_us"], kind="stable")]


@dataclass
class Lone:
    """A track by itself, `b` (SLAB,)."""

    sites: F8 = field(default_factory=lambda: SITES)
    b: F8 = field(default_factory=lambda: np.zeros(SLAB))
    w: F8 = field(default_factory=lambda: np.empty(SCRATCH))

    def start(self, plot: np.void, v_sigma_mps: float = 100.0) -> Lone:
        """Begin with a plot."""
        start_1(self.b, 0, float(plot["t_us"]), plot["row"].copy(), 0, v_sigma_mps, self.sites, TABLE, self.w)
        return self

    def fuse(self, plot: np.void, gate: float = ANYTHING) -> tuple[float, float, float]:
        """As kernels.fuse_1."""
        done, nis, comps = fuse_1(
            self.b, 0, float(plot["t_us"]), plot["row"].copy(), 0, gate, self.sites, TABLE, self.w
        )
        return float(done), float(nis), float(comps)

    def undo(self, plot: np.void) -> int:
        """As kernels.undo_1."""
        return int(undo_1(self.b, 0, float(plot["t_us"]), plot["row"].copy(), 0, self.sites, TABLE, self.w))

    def at(self, t_us: float) -> tuple[F8, F8]:
        """State (6,) and covariance (6, 6) at t_us."""
        x, p, mode = np.empty((1, 6)), np.empty((1, 6, 6)), np.empty((1, 3))
        ahead_n(AHEAD, t_us, self.b, TABLE, x, p, mode)
        return x[0], p[0]

    @property
    def state(self) -> F8:
        """The filter's state (STATE,) at the newest plot."""
        at = state_at_1(self.b, 0)
        return self.b[at : at + STATE]

    @property
    def mean(self) -> F8:
        """State (6,) at the newest plot."""
        return self.b[X : X + 6]

    @property
    def t_us(self) -> float:
        """Of the newest plot."""
        return float(self.b[T])


def all_in_order(plots: Rec, sites: F8 = SITES) -> Lone:
    """A track of all plots, which are in order of time."""
    track = Lone(sites).start(plots[0])
    for plot in plots[1:]:
        track.fuse(plot)
    return track
