"""The upper mark: filterpy's IMM told which object each plot is of. It needs two plots to publish, and no clutter."""

from __future__ import annotations

import numpy as np

from tests.bench.peers.plane import Seen
from tests.bench.peers.tracker import CLAIM_SCORE, Classical


class Perfect(Classical):
    """Tracks are found by owner instead of by place; plots of nobody are left out."""

    def _fuse(self, plots: Seen) -> None:
        plots = plots[plots["owner"] >= 0]
        if not len(plots):
            return
        height, sigma = self.plane.heights(plots)
        plots["address"] = plots["owner"]
        track_of = np.array([self.by_address.get(int(owner), -1) for owner in plots["owner"]])
        known = np.flatnonzero(track_of >= 0)
        sure = np.full(len(known), CLAIM_SCORE)
        self._update(track_of[known], plots[known], height[known], sigma[known], sure)
        for i in np.flatnonzero(track_of < 0):
            self._new(plots[i : i + 1], height[i : i + 1], sigma[i : i + 1])
