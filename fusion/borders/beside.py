"""What lies beside the state overflown: the state across the nearest edge, how far that is, and how likely each is.

The probability of two states, because an object near an edge is over the one or the other: a third counts only within
sigmas of a place where three meet, and there the two likeliest are told. One compiled loop over the rows, once a
second; `zones.facts`, ten times a second, needs none of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fusion import geo
from fusion.borders.segments import AREAS, SEGMENTS, Areas, Segments, contains_1, nearest_1, types
from fusion.schema import F8, I2, Assessment, Tracks
from fusion.zones import phi_1

if TYPE_CHECKING:
    from fusion.zones import ZoneFacts, Zones

SIGMAS = 6.0  # as far is looked for an edge at least: beyond, nothing is left to doubt
P_STATE, P_OTHER, EDGE, SIGMA_EDGE, CLOSING = range(5)  # columns of the compiled loop's output
_STRAIGHT_M = 1.0  # closer to an edge its direction is the edge's own normal, for that to one point is rounding

_ROW = types.float64[::1]
_TABLE = types.float64[:, ::1]
_VECTOR = types.UniTuple(types.float64, 3)


@dataclass(frozen=True, slots=True)
class Beside:
    """For every row of a `Tracks` table, in its order."""

    other: I2  # (n,) index of the state across the nearest edge, -1 open sea or no data; the state itself: none is near
    p_state: F8  # (n,) probability of the state overflown
    p_other: F8  # (n,) of the other; 0 where none is near
    edge_m: F8  # (n,) distance to that edge; where none is near, to where it was looked for
    sigma_edge_m: F8  # (n,) across it: of the track and of the drawing
    closing_mps: F8  # (n,) speed towards it, negative away from it


@njit(types.int64(AREAS, types.int16[::1], types.float64, types.float64), cache=True, nogil=True)
def _owner_1(held: Areas, order: I2, lat_rad: float, lon_rad: float) -> int:
    """Index of the state that a place belongs to, -1 none."""
    for state in order:
        if contains_1(held, state, lat_rad, lon_rad):
            return int(state)
    return -1


@njit(_VECTOR(SEGMENTS, types.int64, types.float64[::1], types.float64[::1], types.int64), cache=True, nogil=True)
def _towards_1(edges: Segments, k: int, place: F8, point: F8, own: int) -> tuple[float, float, float]:
    """ECEF unit vector across segment k, from a place at height 0 over the state `own` to the nearest point of k."""
    x = point[0] - place[0]
    y = point[1] - place[1]
    z = point[2] - place[2]
    away = math.sqrt(x * x + y * y + z * z)
    if away >= _STRAIGHT_M:
        return x / away, y / away, z / away
    dx = edges.ends[k, 3] - edges.ends[k, 0]
    dy = edges.ends[k, 4] - edges.ends[k, 1]
    dz = edges.ends[k, 5] - edges.ends[k, 2]
    # Up x along is left, where the state of the edge lies; a chord is off its line by more than a place may be.
    left_x = place[1] * dz - place[2] * dy
    left_y = place[2] * dx - place[0] * dz
    left_z = place[0] * dy - place[1] * dx
    length = max(math.sqrt(left_x * left_x + left_y * left_y + left_z * left_z), 1e-9)
    turn = -1.0 if edges.owner[k] == own else 1.0
    return turn * left_x / length, turn * left_y / length, turn * left_z / length


@njit(
    types.int64(SEGMENTS, AREAS, types.int16[::1], _ROW, _TABLE, _ROW, types.int64, _ROW),
    cache=True,
    nogil=True,
)
def _beside_1(edges: Segments, held: Areas, order: I2, state: F8, cov: F8, numbers: F8, own: int, out: F8) -> int:
    """Fill `out` (5,) for one row over the state `own`, and return the other state; `numbers`: accuracy, reach."""
    accuracy = numbers[0]
    lat, lon, _ = geo.geodetic_1(state[0], state[1], state[2])
    place = np.empty(3)
    place[0], place[1], place[2] = geo.ecef_1(lat, lon, 0.0)
    spread = math.sqrt(max(cov[0, 0] + cov[1, 1] + cov[2, 2], 0.0) + accuracy * accuracy)
    reach = max(numbers[1], SIGMAS * spread)
    k, along, away = nearest_1(edges, place[0], place[1], place[2], reach)
    if k < 0:
        out[P_STATE] = 1.0
        out[EDGE] = reach
        out[SIGMA_EDGE] = spread
        return own
    point = np.empty(3)
    for axis in range(3):
        point[axis] = edges.ends[k, axis] + along * (edges.ends[k, axis + 3] - edges.ends[k, axis])
    u = _towards_1(edges, k, place, point, own)
    variance = accuracy * accuracy
    for a in range(3):
        out[CLOSING] += u[a] * state[3 + a]
        for b in range(3):
            variance += u[a] * cov[a, b] * u[b]
    out[EDGE] = away
    out[SIGMA_EDGE] = math.sqrt(max(variance, accuracy * accuracy))
    out[P_STATE] = phi_1(away / out[SIGMA_EDGE])
    other = -1
    # Neighbours are drawn apart by up to the accuracy: twice and four times of it beyond the edge somebody's begins.
    for step in (2.0, 4.0):
        beyond = step * accuracy
        b_lat, b_lon, _ = geo.geodetic_1(point[0] + beyond * u[0], point[1] + beyond * u[1], point[2] + beyond * u[2])
        other = _owner_1(held, order, b_lat, b_lon)
        if other >= 0:
            break
    out[P_OTHER] = 1.0 - out[P_STATE] if other != own else 0.0
    return other


@njit(
    types.void(
        SEGMENTS, AREAS, types.int16[::1], _TABLE, types.float64[:, :, ::1], _ROW, types.int16[::1], _TABLE,
        types.int16[::1],
    ),
    cache=True,
    nogil=True,
)  # fmt: skip
def _beside(
    edges: Segments, held: Areas, order: I2, state: F8, cov: F8, numbers: F8, own: I2, out: F8, other: I2
) -> None:
    """Fill `out` (n, 5), all zero, and `other` (n,) for states (n, 6) and covariances (n, 6, 6)."""
    for row in range(state.shape[0]):
        if math.isnan(state[row, 0] + state[row, 1] + state[row, 2]):
            other[row] = own[row]
            continue
        other[row] = _beside_1(edges, held, order, state[row], cov[row], numbers, own[row], out[row])


def beside(zones: Zones, tracks: Tracks, assessment: Assessment | ZoneFacts, reach_m: float) -> Beside:
    """The neighbour of the state overflown for every row; edges are looked for within `reach_m`, and six sigmas."""
    n = len(tracks)
    out = np.zeros((n, 5))
    other: NDArray[np.int16] = np.full(n, -1, np.int16)
    edges, held, order = zones.claimed
    _beside(
        edges,
        held,
        order,
        np.ascontiguousarray(tracks.state),
        np.ascontiguousarray(tracks.cov),
        np.array([zones.accuracy_m, reach_m]),
        np.ascontiguousarray(assessment.state),
        out,
        other,
    )
    columns = [np.ascontiguousarray(out[:, i]) for i in range(5)]
    return Beside(other, *columns)
