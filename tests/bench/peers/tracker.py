"""The body of a classical tracker, one for every peer: buffer, gate, assign, start by hits and score, end by silence.

Plots wait in a buffer until `hold_s` old, so that most late ones are fused in order; what comes later than that is
fused out of order if its track is not newer, else dropped. A slice holds the plots of one sensor in `SLICE_S`.
Published tracks choose first, tentative ones from what is left, and the rest start new tentative tracks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fusion.schema import F8, I8, Plots
from tests.bench.peers.clutter import Clutter
from tests.bench.peers.filters import Filter, noise
from tests.bench.peers.plane import UNKNOWN_SIGMA_M, Plane, Seen

SLICE_S = 0.25
LONG_AGO_S = -1e9
LATE_S = 0.5
DETECTION = 0.8
HEIGHTS_RAD = 0.1  # of elevation, over which a 3D radar spreads its false plots
CLAIM_SCORE = 10.0  # of an ADS-B plot: it carries a checksum
SPEED_SIGMA_MPS = 80.0  # of each axis after one radar plot


@dataclass(frozen=True, slots=True)
class Settings:
    """Found by a short search; choice.py says what was tried."""

    gate: float = 14.0  # squared Mahalanobis distance, two degrees of freedom
    hold_s: float = 1.0
    hits: int = 2  # that make a track, if its score is enough
    score: float = 8.0  # sum of log-likelihood ratios against clutter (Blackman and Popoli 1999, 6.2)
    tentative_looks: float = 2.4  # effective periods without a plot that end a tentative track
    looks: float = 7.0  # and a published one
    gate_q: float = 20.0  # process noise that widens the gate, m2/s3
    height_q: float = 25.0  # of height, m2/s
    merge_gate: float = 6.0


class Tracks:
    """Columns of every live track, so that gating is one array operation; the filters are objects beside them."""

    x: F8  # (n, 4) x, vx, y, vy of the plane
    p: F8  # (n, 4, 4)
    t: F8  # of the last plot, s
    h: F8  # height, m
    sh: F8  # its sigma
    born: F8
    score: F8  # log-likelihood ratio against clutter
    id: I8
    address: I8  # 24 bits, -1 none
    hits: I8
    public: NDArray[np.bool_]
    seen: F8  # (n, sensors) time of the last plot of each sensor

    def __init__(self, sensors: int) -> None:
        self.n, self.size = 0, 0
        self.filters: list[Any] = []
        self._shapes: dict[str, tuple[tuple[int, ...], type]] = {
            **dict.fromkeys(("t", "h", "sh", "born", "score"), ((), float)),
            **dict.fromkeys(("id", "address", "hits"), ((), int)),
            "x": ((4,), float),
            "p": ((4, 4), float),
            "seen": ((sensors,), float),
            "public": ((), bool),
        }
        self.grow(64)

    def grow(self, size: int) -> None:
        """Make room."""
        for name, (shape, kind) in self._shapes.items():
            fresh: NDArray[Any] = np.zeros((size, *shape), kind)
            if self.n:
                fresh[: self.n] = getattr(self, name)[: self.n]
            setattr(self, name, fresh)
        self.size = size

    def keep(self, which: NDArray[np.bool_]) -> None:
        """Drop the others."""
        at = np.flatnonzero(which)
        for name in self._shapes:
            column = getattr(self, name)
            column[: len(at)] = column[at]
        self.filters = [self.filters[i] for i in at]
        self.n = len(at)


class Classical:
    """A GNN tracker around any `Filter`; `start` is None where a subclass begins its tracks itself."""

    def __init__(
        self, plane: Plane, start: Callable[[F8, F8], Filter] | None, settings: Settings | None = None
    ) -> None:
        self.plane, self.settings = plane, settings or Settings()
        self._start = start
        self.tracks = Tracks(len(plane.sensors))
        self._buffer: list[Seen] = []
        self._next_id = 1
        self._merged_s = 0.0
        self._clutter = Clutter(plane.sensors)
        self.by_address: dict[int, int] = {}

    def step(self, batches: Sequence[Plots], now_us: int, owners: Sequence[I8] | None = None) -> int:
        """Take one window of batches; returns the plots taken."""
        for i, batch in enumerate(batches):
            self._buffer.append(self.plane.rows(batch, None if owners is None else owners[i]))
        if self._buffer:
            plots = np.concatenate(self._buffer)
            ripe = plots["t"] <= now_us / 1e6 - self.settings.hold_s
            self._buffer = [plots[~ripe]]
            if ripe.any():
                self._fuse_all(plots[ripe])
        self._end(now_us / 1e6 - self.settings.hold_s)
        return sum(len(batch) for batch in batches)

    def table(self, t_us: int) -> tuple[I8, F8, F8]:
        """Published tracks at a time: id, latitude, longitude."""
        tracks = self.tracks
        at = np.flatnonzero(tracks.public[: tracks.n])
        ahead = t_us / 1e6 - tracks.t[at]
        place = tracks.x[at][:, [0, 2]] + tracks.x[at][:, [1, 3]] * ahead[:, None]
        return tracks.id[at].copy(), *self.plane.geodetic(place)

    def _fuse_all(self, plots: Seen) -> None:
        slot = np.floor(plots["t"] / SLICE_S).astype(np.int64)
        order = np.lexsort((plots["t"], plots["sensor"], slot))
        plots, slot = plots[order], slot[order]
        cuts = np.flatnonzero((np.diff(slot) != 0) | (np.diff(plots["sensor"]) != 0)) + 1
        for group in np.split(plots, cuts):
            self._fuse(group)

    def _fuse(self, plots: Seen) -> None:
        height, sigma = self.plane.heights(plots)
        track_of, gain = np.full(len(plots), -1), np.zeros(len(plots))
        if not plots["radar"][0]:
            gain[:] = CLAIM_SCORE
            track_of[:] = [self.by_address.get(int(a), -1) for a in plots["address"]]
        pending = np.flatnonzero(track_of < 0)
        public = self.tracks.public[: self.tracks.n]
        for kind in (public, ~public):
            choosing = np.setdiff1d(np.flatnonzero(kind), track_of)
            if len(pending) and len(choosing):
                found = self._assign(choosing, plots[pending], height[pending], sigma[pending])
                track_of[pending], gain[pending] = found[0], gain[pending] + found[1]
                pending = np.flatnonzero(track_of < 0)
        if plots["radar"][0]:
            taken = np.append(self.tracks.public[: self.tracks.n], False)[track_of]
            self._clutter.learn(plots, ~taken)
        found_it = np.flatnonzero(track_of >= 0)
        self._update(track_of[found_it], plots[found_it], height[found_it], sigma[found_it], gain[found_it])
        for i in np.flatnonzero(track_of < 0):
            self._new(plots[i : i + 1], height[i : i + 1], sigma[i : i + 1])

    def _near(self, choosing: I8, plots: Seen, height: F8, sigma: F8) -> tuple[I8, I8]:
        """Pairs (row of plot, row of track) that a coarse circle lets through."""
        tracks = self.tracks
        rough, cov = self.plane.places(plots, height, np.minimum(sigma, 500.0))
        ahead = plots["t"].mean() - tracks.t[choosing]
        place = tracks.x[choosing][:, [0, 2]] + tracks.x[choosing][:, [1, 3]] * ahead[:, None]
        dt = np.abs(ahead)
        spread = np.trace(tracks.p[choosing][:, [0, 2]][:, :, [0, 2]], axis1=1, axis2=2)
        spread += dt**2 * np.trace(tracks.p[choosing][:, [1, 3]][:, :, [1, 3]], axis1=1, axis2=2)
        reach = np.sqrt(self.settings.gate * (spread + 2 * self.settings.gate_q * dt**3 / 3)) + 150.0
        wide = np.sqrt(self.settings.gate * np.trace(cov, axis1=1, axis2=2))
        if len(choosing) * len(plots) < 4_000_000:
            apart = np.hypot(rough[:, None, 0] - place[None, :, 0], rough[:, None, 1] - place[None, :, 1])
            lifted = np.where(plots["radar"], np.minimum(9_000.0, 0.5 * plots["a"]), 0.0)
            slack = lifted * np.minimum(1.0, 12_000.0 / np.maximum(plots["a"], 1.0)) * plots["radar"]
            row, col = np.nonzero(apart < reach[None, :] + (wide + slack)[:, None])
            return row, col
        found = cKDTree(place).query_ball_point(rough, float(np.percentile(reach, 99)) + wide)
        return np.repeat(np.arange(len(plots)), [len(f) for f in found]), np.concatenate(found).astype(np.int64)

    def _assign(self, choosing: I8, plots: Seen, height: F8, sigma: F8) -> tuple[I8, F8]:
        """Global nearest neighbour: the track of each plot, or -1, and what the pairing adds to its score."""
        tracks, out, gain = self.tracks, np.full(len(plots), -1), np.zeros(len(plots))
        row, col = self._near(choosing, plots, height, sigma)
        if not len(row):
            return out, gain
        track = choosing[col]
        free = (plots["address"][row] < 0) | (tracks.address[track] < 0)
        dh = height[row] - tracks.h[track]
        s_h = sigma[row] ** 2 + tracks.sh[track] ** 2 + 900.0
        ok = free & (dh**2 < 16.0 * s_h)
        row, col, track, dh, s_h = row[ok], col[ok], track[ok], dh[ok], s_h[ok]
        if not len(row):
            return out, gain
        dt = plots["t"][row] - tracks.t[track]
        fused, fused_s = _blend(tracks.h[track], tracks.sh[track], height[row], sigma[row])
        place, cov = self.plane.places(plots[row], fused, fused_s)
        x, p = tracks.x[track], tracks.p[track]
        miss = place - (x[:, [0, 2]] + x[:, [1, 3]] * dt[:, None])
        pp, pv, vv = (p[:, a][:, :, b] for a, b in (([0, 2], [0, 2]), ([0, 2], [1, 3]), ([1, 3], [1, 3])))
        d = dt[:, None, None]
        s = pp + d * (pv + pv.transpose(0, 2, 1)) + d**2 * vv + cov
        s += self.settings.gate_q * np.abs(d) ** 3 / 3 * np.eye(2)
        det = s[:, 0, 0] * s[:, 1, 1] - s[:, 0, 1] ** 2
        dist = (s[:, 1, 1] * miss[:, 0] ** 2 + s[:, 0, 0] * miss[:, 1] ** 2 - 2 * s[:, 0, 1] * miss.prod(axis=1)) / det
        ok = dist < self.settings.gate
        cost = dist + np.log(det)
        rises = not np.isnan(plots["c"][0])  # one sensor, so all of them or none
        if rises:
            cost += dh**2 / s_h + np.log(s_h)
        for plot, chosen in _pairs(row[ok], col[ok], cost[ok], len(plots), len(choosing)):
            out[plot] = choosing[chosen]
            gain[plot] = -0.5 * cost[(row == plot) & (col == chosen)][0]
        if plots["radar"][0]:
            gain += np.log(DETECTION / (2 * np.pi)) - self._clutter.log_density(plots)
            gain += np.log(plots["a"] * HEIGHTS_RAD / np.sqrt(2 * np.pi)) if rises else 0.0
        return out, np.where(out >= 0, gain, 0.0)

    def _update(self, i: I8, plots: Seen, height: F8, sigma: F8, gain: F8) -> None:
        """Fuse plots of one sensor, each into its track; what lies far behind its track a classical tracker drops."""
        tracks = self.tracks
        timely = plots["t"] - tracks.t[i] > -LATE_S
        i, plots, height, sigma, gain = i[timely], plots[timely], height[timely], sigma[timely], gain[timely]
        if not len(i):
            return
        dt = np.maximum(plots["t"] - tracks.t[i], 0.0)
        h, sh = tracks.h[i], np.sqrt(tracks.sh[i] ** 2 + self.settings.height_q * dt)
        if sigma[0] < UNKNOWN_SIGMA_M:
            h, sh = _blend(h, sh, height, sigma)
        z, cov = self.plane.places(plots, h, sh)
        tracks.h[i], tracks.sh[i] = h, sh
        for row, track in enumerate(i.tolist()):
            kf, plot = tracks.filters[track], plots[row : row + 1]
            kf.predict(max(float(plot["t"][0] - tracks.t[track]), 0.0))
            kf.update(*_with_velocity(z[row], cov[row], plot))
            tracks.x[track], tracks.p[track], tracks.t[track] = kf.x, kf.P, max(tracks.t[track], plot["t"][0])
            tracks.score[track] += gain[row]
            self._hit(track, plot)

    def _hit(self, i: int, plot: Seen) -> None:
        tracks = self.tracks
        tracks.hits[i] += 1
        tracks.seen[i, plot["sensor"][0]] = plot["t"][0]
        if plot["address"][0] >= 0 and tracks.address[i] < 0:
            tracks.address[i] = plot["address"][0]
            self.by_address[int(plot["address"][0])] = i
        tracks.public[i] |= tracks.hits[i] >= self.settings.hits and tracks.score[i] >= self.settings.score

    def _new(self, plot: Seen, height: F8, sigma: F8) -> None:
        z, cov = self.plane.places(plot, height, sigma)
        x, p = np.zeros(4), np.diag([0.0, SPEED_SIGMA_MPS**2, 0.0, SPEED_SIGMA_MPS**2])
        x[[0, 2]], p[np.ix_([0, 2], [0, 2])] = z[0], cov[0]
        if not plot["radar"][0] and not np.isnan(plot["vx"][0]):
            x[1], x[3], p[1, 1], p[3, 3] = plot["vx"][0], plot["vy"][0], plot["s_v"][0] ** 2, plot["s_v"][0] ** 2
        assert self._start is not None, "begins its tracks itself"
        self._begin(plot, x, p, (height[0], sigma[0]), self._start(x, p))

    def _begin(self, plot: Seen, x: F8, p: F8, height: tuple[float, float], kf: Any) -> None:
        """A new tentative track."""
        tracks = self.tracks
        if tracks.n == tracks.size:
            tracks.grow(2 * tracks.size)
        i, tracks.n = tracks.n, tracks.n + 1
        tracks.x[i], tracks.p[i], tracks.t[i], tracks.born[i] = x, p, plot["t"][0], plot["t"][0]
        tracks.h[i], tracks.sh[i] = height
        tracks.id[i], tracks.address[i], tracks.hits[i], tracks.public[i] = self._next_id, -1, 0, False
        tracks.seen[i], tracks.score[i] = LONG_AGO_S, 0.0
        tracks.filters.append(kf)
        self._next_id += 1
        self._hit(i, plot)

    def _end(self, now_s: float) -> None:
        """End what was silent too long: counted in periods of all sensors that saw the track of late."""
        tracks, n = self.tracks, self.tracks.n
        if not n:
            return
        recent = tracks.seen[:n] > (tracks.t[:n] - 3.0 * self.plane.period_s.max())[:, None]
        rate = (recent / self.plane.period_s).sum(axis=1)
        limit = np.where(tracks.public[:n], self.settings.looks, self.settings.tentative_looks)
        patience = limit / np.maximum(rate, 1e-3)
        patience = np.maximum(patience, np.where(tracks.public[:n], 8.0, 2.5))
        keep = now_s - tracks.t[:n] < patience
        if now_s - self._merged_s > 1.0:
            self._merged_s = now_s
            keep &= ~self._twins(now_s)
        if not keep.all():
            tracks.keep(keep)
            self.by_address = {int(a): i for i, a in enumerate(tracks.address[: tracks.n]) if a >= 0}

    def _twins(self, now_s: float) -> NDArray[np.bool_]:
        """Published tracks that are on the object of an older one and never shared a scan with it."""
        tracks = self.tracks
        drop = np.zeros(tracks.n, np.bool_)
        at = np.flatnonzero(tracks.public[: tracks.n])
        if len(at) < 2:
            return drop
        ahead = (now_s - tracks.t[at])[:, None]
        place = tracks.x[at][:, [0, 2]] + tracks.x[at][:, [1, 3]] * ahead
        for a, b in cKDTree(place).query_pairs(1_500.0, output_type="ndarray"):
            i, j = at[a], at[b]
            both = np.abs(tracks.seen[i] - tracks.seen[j]) < 0.5 * self.plane.period_s
            radar = ~np.isnan(self.plane.site_xy[:, 0])
            if (both & radar).any() or (tracks.address[i] >= 0 and tracks.address[j] >= 0):
                continue
            apart = tracks.x[i] - tracks.x[j]
            apart[[0, 2]] = place[a] - place[b]
            cov = tracks.p[i] + tracks.p[j] + noise(float(ahead[a, 0] + ahead[b, 0]) + 0.1, self.settings.gate_q)
            if apart @ np.linalg.solve(cov, apart) < self.settings.merge_gate * 1.5:
                drop[j if tracks.address[i] >= 0 or (tracks.id[i] < tracks.id[j] and tracks.address[j] < 0) else i] = (
                    True
                )
        return drop


def _blend(h1: Any, s1: Any, h2: Any, s2: Any) -> tuple[Any, Any]:
    w1, w2 = 1.0 / np.maximum(s1, 1.0) ** 2, 1.0 / np.maximum(s2, 1.0) ** 2
    return (h1 * w1 + h2 * w2) / (w1 + w2), 1.0 / np.sqrt(w1 + w2)


def _with_velocity(z: F8, cov: F8, plot: Seen) -> tuple[F8, F8]:
    if plot["radar"][0] or np.isnan(plot["vx"][0]):
        return z, cov
    full = np.zeros((4, 4))
    full[:2, :2], full[2, 2], full[3, 3] = cov, plot["s_v"][0] ** 2, plot["s_v"][0] ** 2
    return np.array([z[0], z[1], plot["vx"][0], plot["vy"][0]]), full


def _pairs(row: I8, col: I8, cost: F8, rows: int, cols: int) -> list[tuple[int, int]]:
    """Assignment of most pairs at least cost, cluster by cluster."""
    if not len(row):
        return []
    graph = coo_matrix((np.ones(len(row)), (row, col + rows)), shape=(rows + cols, rows + cols))
    label = connected_components(graph, directed=False)[1][row]
    out = []
    low = float(cost.min())
    order = np.argsort(label, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(label[order])) + 1):
        if len(part) == 1:
            out.append((int(row[part[0]]), int(col[part[0]])))
            continue
        r, ri = np.unique(row[part], return_inverse=True)
        c, ci = np.unique(col[part], return_inverse=True)
        table = np.full((len(r), len(c)), 1e6)
        table[ri, ci] = cost[part] - low
        for i, j in zip(*linear_sum_assignment(table), strict=True):
            if table[i, j] < 1e6:
                out.append((int(r[i]), int(c[j])))
    return out
