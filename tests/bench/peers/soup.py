"""Stone Soup: its extended Kalman filter, hypothesisers, GNN and JPDA, in three dimensions of the tangent frame.

The body is the same as for filterpy (tracker.py): buffer, coarse gate by arrays, start by hits and score, ends.
Without that gate every track would be asked about every plot, one Python call each. JPDA lists joint hypotheses, of
which a cluster has exponentially many: where a cluster has more than JOINT_MOST pairs, Stone Soup's own loopy belief
propagation takes the place of the list.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from stonesoup.base import Property
from stonesoup.dataassociator.neighbour import GNNWith2DAssignment
from stonesoup.dataassociator.probability import JPDA, JPDAwithLBP
from stonesoup.functions import gm_reduce_single
from stonesoup.hypothesiser.distance import DistanceHypothesiser
from stonesoup.hypothesiser.probability import PDAHypothesiser
from stonesoup.measures import Mahalanobis
from stonesoup.models.measurement.base import MeasurementModel
from stonesoup.models.measurement.linear import LinearGaussian
from stonesoup.models.measurement.nonlinear import NonLinearGaussianMeasurement
from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity
from stonesoup.predictor.kalman import KalmanPredictor
from stonesoup.types.angle import Bearing, Elevation
from stonesoup.types.array import StateVector, StateVectors
from stonesoup.types.detection import Detection
from stonesoup.types.state import GaussianState
from stonesoup.types.track import Track
from stonesoup.types.update import GaussianStateUpdate
from stonesoup.updater.kalman import ExtendedKalmanUpdater

from fusion import geo
from fusion.schema import F8, I8
from tests.bench.peers.plane import Plane, Seen
from tests.bench.peers.tracker import CLAIM_SCORE, DETECTION, HEIGHTS_RAD, SPEED_SIGMA_MPS, Classical, Settings

START = datetime(2000, 1, 1)
PLACE = (0, 2, 4)
JOINT_MOST = 6
CLIMB_SIGMA_MPS = 10.0
GATE_PROBABILITY = 0.999


class SitePolar(NonLinearGaussianMeasurement):  # type: ignore[misc] # Stone Soup publishes no types
    """Slant range, azimuth and perhaps elevation at a site whose axes are tilted against the frame."""

    site_m: F8 = Property(doc="The antenna in the frame, (3,)")
    axes: F8 = Property(doc="East, north and up of the site in the frame, (3, 3)")

    @property
    def ndim_meas(self) -> int:
        """Three for a 3D radar, else two."""
        return int(self.noise_covar.shape[0])

    def _line(self, state: Any) -> F8:
        place = np.asarray(state.state_vector[PLACE, :], float)[:, 0]
        return np.asarray(self.axes @ (place - self.site_m))

    def function(self, state: Any, noise: Any = False, **kwargs: Any) -> Any:
        """Measurement of a state, without noise."""
        e, n, u = self._line(state)
        ground = np.hypot(e, n)
        full: list[Any] = [[np.hypot(ground, u)], [Bearing(np.arctan2(e, n))], [Elevation(np.arctan2(u, ground))]]
        return StateVector(full[: self.ndim_meas])

    def jacobian(self, state: Any, **kwargs: Any) -> F8:
        """Derivative (m, 6)."""
        e, n, u = self._line(state)
        ground, reach = max(np.hypot(e, n), 1.0), max(np.sqrt(e * e + n * n + u * u), 1.0)
        rows = np.array(
            [
                [e / reach, n / reach, u / reach],
                [n / ground**2, -e / ground**2, 0.0],
                [-e * u / (ground * reach**2), -n * u / (ground * reach**2), ground / reach**2],
            ]
        )[: self.ndim_meas]
        out = np.zeros((self.ndim_meas, 6))
        out[:, PLACE] = rows @ self.axes
        return out

    def rvs(self, num_samples: int = 1, **kwargs: Any) -> Any:
        """Not drawn from: plots are given."""
        return StateVectors(np.zeros((self.ndim_meas, num_samples)))


class Soup(Classical):
    """GNN, or JPDA for published tracks; tentative ones always by GNN."""

    def __init__(self, plane: Plane, joint: bool, q: float = 10.0, settings: Settings | None = None) -> None:
        super().__init__(plane, None, settings)
        self._joint = joint
        noise = [ConstantVelocity(q), ConstantVelocity(q), ConstantVelocity(1.0)]
        self._predictor = KalmanPredictor(CombinedLinearGaussianTransitionModel(noise))
        self._updater = ExtendedKalmanUpdater(None)
        distance = DistanceHypothesiser(
            self._predictor, self._updater, Mahalanobis(), missed_distance=float(np.sqrt(self.settings.gate))
        )
        self._gnn = GNNWith2DAssignment(distance)
        self._distance = distance
        self._by_sensor = [self._probabilistic(i) for i in range(len(plane.sensors))]
        self._frame = plane.frame
        axes = self._frame[3:12].reshape(3, 3)
        self._sites = [(axes @ (s[:3] - self._frame[:3]), s[3:12].reshape(3, 3) @ axes.T) for s in plane.sites]

    def _probabilistic(self, sensor: int) -> Any:
        """Clutter is declared per scan; its density is that over the measurement space of the sensor."""
        spec = self.plane.sensors[sensor]
        space = 2 * np.pi * spec.range_max_m * (HEIGHTS_RAD if not np.isnan(spec.sigma_elevation_rad) else 1.0)
        if not spec.has_site:
            return self._distance
        return PDAHypothesiser(
            self._predictor, self._updater, clutter_spatial_density=max(spec.clutter_per_scan, 1.0) / space,
            prob_detect=DETECTION, prob_gate=GATE_PROBABILITY,
        )  # fmt: skip

    def _detection(self, plot: Seen) -> Any:
        when = START + timedelta(seconds=float(plot["t"]))
        if not plot["radar"]:
            return self._claimed(plot, when)
        site, axes = self._sites[plot["sensor"]]
        three = not np.isnan(plot["c"])
        values: list[Any] = [[plot["a"]], [Bearing(plot["b"])]] + ([[Elevation(plot["c"])]] if three else [])
        sigmas = (plot["s_a"], plot["s_b"], plot["s_c"])[: 3 if three else 2]
        model = SitePolar(ndim_state=6, mapping=PLACE, noise_covar=np.diag(np.square(sigmas)), site_m=site, axes=axes)
        return Detection(StateVector(values), timestamp=when, measurement_model=model)

    def _claimed(self, plot: Seen, when: datetime) -> Any:
        place = self._enu(geo.ecef([plot["a"]], [plot["b"]], [plot["c"]]))[0]
        mapping: tuple[int, ...] = PLACE
        values, sigmas = list(place), [plot["s_a"], plot["s_a"], plot["s_c"]]
        if not np.isnan(plot["vx"]):
            mapping = (0, 2, 4, 1, 3)
            values += [plot["vx"], plot["vy"]]
            sigmas += [plot["s_v"], plot["s_v"]]
        model: MeasurementModel = LinearGaussian(6, mapping, np.diag(np.square(sigmas)))
        return Detection(StateVector([[float(v)] for v in values]), timestamp=when, measurement_model=model)

    def _enu(self, xyz_m: F8) -> F8:
        return np.asarray((xyz_m - self._frame[:3]) @ self._frame[3:12].reshape(3, 3).T)

    def _fuse(self, plots: Seen) -> None:
        height, sigma = self.plane.heights(plots)
        found = [self._detection(plot) for plot in plots]
        free = np.ones(len(plots), np.bool_)
        if not plots["radar"][0]:
            for i in range(len(plots)):
                track = self.by_address.get(int(plots["address"][i]), -1)
                if track >= 0:
                    free[i] = False
                    self._single(track, found[i], plots[i : i + 1])
        n, radar = self.tracks.n, bool(plots["radar"][0])
        for public in (True, False):
            choosing = np.flatnonzero(self.tracks.public[:n] == public)
            left = np.flatnonzero(free)
            if len(left) and len(choosing):
                self._clusters(choosing, left, plots, height, sigma, found, free, self._joint and public)
            if radar and public:
                self._clutter.learn(plots, free)
        for new in np.flatnonzero(free):
            self._new(plots[new : new + 1], height[new : new + 1], sigma[new : new + 1])

    def _clusters(
        self, choosing: I8, left: I8, plots: Seen, height: F8, sigma: F8, found: list[Any], free: Any, joint: bool
    ) -> None:
        row, col = self._near(choosing, plots[left], height[left], sigma[left])
        fits = (plots["address"][left[row]] < 0) | (self.tracks.address[choosing[col]] < 0)
        row, col = row[fits], col[fits]
        if not len(row):
            return
        size = len(left) + len(choosing)
        graph = coo_matrix((np.ones(len(row)), (row, col + len(left))), shape=(size, size))
        label = connected_components(graph, directed=False)[1][row]
        order = np.argsort(label, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(label[order])) + 1):
            mine, theirs = left[np.unique(row[part])], choosing[np.unique(col[part])]
            self._one_cluster(theirs, mine, plots, found, free, joint)

    def _one_cluster(self, tracks: I8, mine: I8, plots: Seen, found: list[Any], free: Any, joint: bool) -> None:
        row_of = {id(found[i]): int(i) for i in mine}
        slot_of = {self.tracks.filters[i]: int(i) for i in tracks}
        when = max(found[i].timestamp for i in mine)
        sensor = int(plots["sensor"][mine[0]])
        joint = joint and bool(plots["radar"][mine[0]])
        method = self._gnn
        if joint:
            kind = JPDA if len(tracks) * len(mine) <= JOINT_MOST else JPDAwithLBP
            method = kind(self._by_sensor[sensor])
        answer = method.associate(set(slot_of), {found[i] for i in mine}, when)
        for track, hypotheses in answer.items():
            slot = slot_of[track]
            if not joint:
                if hypotheses:
                    row = row_of[id(hypotheses.measurement)]
                    free[row] = False
                    plot = plots[row : row + 1]
                    self._store(slot, self._updater.update(hypotheses), plot, self._gain(hypotheses, plot))
                continue
            self._mixture(slot, hypotheses, row_of, plots, free)

    def _mixture(self, slot: int, hypotheses: Any, row_of: dict[int, int], plots: Seen, free: Any) -> None:
        """Moments over the association probabilities, as Stone Soup's JPDA tutorial has it."""
        means, covs, weights, best, row, chosen = [], [], [], 0.0, -1, None
        for one in hypotheses:
            weight = float(one.probability)
            state = self._updater.update(one) if one else one.prediction
            means.append(state.state_vector)
            covs.append(state.covar)
            weights.append(weight)
            if one:
                at = row_of[id(one.measurement)]
                free[at] &= weight < 0.2
                if weight > best:
                    best, row, chosen = weight, at, one
        if best < 0.2:
            return
        mean, cov = gm_reduce_single(StateVectors(means), np.stack(covs, axis=2), np.array(weights))
        when = max(one.measurement.timestamp for one in hypotheses if one)
        state = GaussianStateUpdate(mean, cov, hypotheses, when)
        self._store(slot, state, plots[row : row + 1], self._gain(chosen, plots[row : row + 1]))

    def _single(self, slot: int, detection: Any, plot: Seen) -> None:
        track = self.tracks.filters[slot]
        if detection.timestamp < track.timestamp - timedelta(seconds=0.5):
            return
        answer = self._distance.hypothesise(track, {detection}, detection.timestamp)
        hypothesis = next((one for one in answer if one), None)
        if hypothesis is not None:
            self._store(slot, self._updater.update(hypothesis), plot, CLAIM_SCORE)

    def _gain(self, hypothesis: Any, plot: Seen) -> float:
        """Log-likelihood ratio of a plot against clutter, in the space that is measured."""
        if not plot["radar"][0]:
            return CLAIM_SCORE
        predicted, got = hypothesis.measurement_prediction, hypothesis.measurement
        apart = np.asarray(got.state_vector - predicted.state_vector, float)[:, 0]
        cov = np.asarray(predicted.covar, float)
        spread = float(apart @ np.linalg.solve(cov, apart) + np.linalg.slogdet(2 * np.pi * cov)[1])
        per_m_rad = float(self._clutter.log_density(plot)[0] + np.log(plot["a"][0]))
        return float(np.log(DETECTION) - 0.5 * spread - per_m_rad + (np.log(HEIGHTS_RAD) if len(apart) == 3 else 0.0))

    def _store(self, slot: int, state: Any, plot: Seen, gain: float) -> None:
        tracks = self.tracks
        tracks.score[slot] += gain
        tracks.filters[slot].append(state)
        del tracks.filters[slot].states[:-1]  # it keeps its whole history otherwise
        x, cov = np.asarray(state.state_vector, float)[:, 0], np.asarray(state.covar, float)
        xyz = self._frame[:3] + x[list(PLACE)] @ self._frame[3:12].reshape(3, 3)
        lat, lon, height = geo.geodetic(xyz[None])
        place = self.plane.xy(lat, lon)[0]
        tracks.x[slot] = place[0], x[1], place[1], x[3]
        tracks.p[slot], tracks.h[slot], tracks.sh[slot] = cov[:4, :4], height[0], np.sqrt(cov[4, 4])
        tracks.t[slot] = max(tracks.t[slot], (state.timestamp - START).total_seconds())
        self._hit(slot, plot)

    def _new(self, plot: Seen, height: F8, sigma: F8) -> None:
        place2, cov2 = self.plane.places(plot, height, sigma)
        if plot["radar"][0]:
            site = self.plane.sites[plot["sensor"][0]]
            xyz = geo.ecef_from_range_height(site, plot["a"], plot["b"], height)
        else:
            xyz = geo.ecef(plot["a"], plot["b"], plot["c"])
        place = self._enu(xyz)[0]
        cov = np.diag([0.0, SPEED_SIGMA_MPS**2, 0.0, SPEED_SIGMA_MPS**2, sigma[0] ** 2, CLIMB_SIGMA_MPS**2])
        cov[np.ix_([0, 2], [0, 2])] = cov2[0]
        x = np.array([place[0], 0.0, place[1], 0.0, place[2], 0.0])
        if not plot["radar"][0] and not np.isnan(plot["vx"][0]):
            x[1], x[3] = plot["vx"][0], plot["vy"][0]
            cov[1, 1] = cov[3, 3] = plot["s_v"][0] ** 2
        when = START + timedelta(seconds=float(plot["t"][0]))
        track = Track([GaussianState(StateVector(x[:, None]), cov, timestamp=when)])
        flat = np.array([place2[0, 0], x[1], place2[0, 1], x[3]])
        self._begin(plot, flat, cov[:4, :4], (height[0], sigma[0]), track)
