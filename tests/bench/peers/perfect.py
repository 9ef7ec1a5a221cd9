"""The upper mark: filterpy's IMM told which object each plot is of. It needs two plots to publish, and no clutter."""

from __future__ import annotations

import numpy as np

from tests.bench.peers.plane import Seen
from tests.bench.peers.tracker import CLAIM_SCORE, Classical


class Perfect(Classical):
    """Tracks are found by owner instead of by place; plots of nobody are left out."""

    def _fuse(self, plots: Seen) -> None:
        plots = plots[plots["owner"] >= 0]
        height, sigma = self.plane.heights(plots)
        tracks = self.tracks
        for i in range(len(plots)):
            mine = np.flatnonzero(tracks.address[: tracks.n] == plots["owner"][i])
            plot = plots[i : i + 1].copy()
            plot["address"] = plot["owner"]
            if len(mine):
                tracks.score[mine[0]] += CLAIM_SCORE
                self._update(int(mine[0]), plot, height[i], sigma[i])
            else:
                self._new(plot, height[i : i + 1], sigma[i : i + 1])
