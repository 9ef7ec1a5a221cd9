"""Where every track is and what that means: state, distance to the border, time to cross it, height above ground.

Every number comes with its uncertainty, made of the track's covariance, the declared accuracy of the border and the
error of terrain and geoid. One compiled loop over the rows: the answer for a track does not depend on its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fusion import geo
from fusion.borders import border as border_of
from fusion.borders.segments import (
    AREAS,
    SEGMENTS,
    Areas,
    Segments,
    areas,
    contains_1,
    crossing_1,
    nearest_1,
    segments,
    types,
)
from fusion.borders.terrain import Grid, local_sigma_1, sample_1, slope_1
from fusion.schema import B1, F8, I1, I2, US_PER_S, Tracks

EVERYWHERE_M = 2e7  # no two places on earth are further apart


@dataclass(frozen=True, slots=True)
class ZoneParams:
    """The numbers of this file, each with its unit and reason."""

    height_age_s: float = 60.0  # a height not measured for longer than this is a guess: 60 s is 300 m at 5 m/s climb
    sigma_agl_max_m: float = 300.0  # more than this and "below 1,000 m" is no statement at all
    horizon_s: float = 1800.0  # no straight path is believed further ahead
    speed_min_mps: float = 1.0  # below this, heading is noise and there is no path
    drift_q: float = 0.2  # m^2/s^3, white acceleration of an object that means to fly straight (params.py, cruise)
    sigma_geoid_m: float = 0.5  # EGM2008 itself is 0.1 m; half a cell of a 5-minute grid in the Alps makes it 0.5 m


@dataclass(frozen=True, slots=True)
class ZoneFacts:
    """What place and motion mean for every row of a `Tracks` table; fields as in `schema.Assessment`."""

    lat_rad: F8  # (n,)
    lon_rad: F8  # (n,)
    height_m: F8  # (n,) above the ellipsoid
    sigma_height_m: F8  # (n,)
    sigma_horizontal_m: F8  # (n,) sqrt of the mean of the two horizontal variances
    speed_mps: F8  # (n,) over ground
    sigma_speed_mps: F8  # (n,)
    course_rad: F8  # (n,) 0..2pi from true north; NaN when it does not move
    climb_mps: F8  # (n,)
    state: I2  # (n,) index into Zones.codes; -1 none
    p_state: F8  # (n,) probability of that state, or of none
    disputed: B1  # (n,)
    near_state: I2  # (n,) allied state of the nearest border point; -1 when there is no border
    distance_m: F8  # (n,) signed geodesic distance to the allied border, positive outside; NaN when there is no border
    sigma_distance_m: F8  # (n,)
    p_inside: F8  # (n,)
    time_to_border_s: F8  # (n,) NaN inside, standing, flying away, or further than the horizon
    sigma_time_s: F8  # (n,)
    crossing_lat_rad: F8  # (n,)
    crossing_lon_rad: F8  # (n,)
    agl_m: F8  # (n,) NaN where terrain or geoid are not known
    sigma_agl_m: F8  # (n,)
    height_known: B1  # (n,)


# Columns of the compiled loop's float output, in order: the float fields of ZoneFacts.
_FLOATS = (
    "lat_rad lon_rad height_m sigma_height_m sigma_horizontal_m speed_mps sigma_speed_mps course_rad climb_mps p_state "
    "distance_m sigma_distance_m p_inside time_to_border_s sigma_time_s crossing_lat_rad crossing_lon_rad agl_m "
    "sigma_agl_m"
).split()
(
    LAT, LON, HEIGHT, SIGMA_HEIGHT, SIGMA_HORIZONTAL, SPEED, SIGMA_SPEED, COURSE, CLIMB, P_STATE,
    DISTANCE, SIGMA_DISTANCE, P_INSIDE, TIME, SIGMA_TIME, CROSSING_LAT, CROSSING_LON, AGL, SIGMA_AGL,
) = range(19)  # fmt: skip
STATE, NEAR, DISPUTED = range(3)  # columns of its integer output


class _Land(NamedTuple):
    """All that the compiled loop reads, in one piece."""

    border: Segments  # the allied border, allied ground on the left
    edges: Segments  # every edge of every state
    areas: Areas  # one layer a state, then the closed allied union, then the disputed overlaps
    order: I2  # (states,) in which order to ask the states' layers
    ground: NDArray[np.float32]  # terrain
    ground_at: F8  # (3,) its lat0, lon0, step
    geoid: NDArray[np.float32]
    geoid_at: F8  # (3,)
    numbers: F8  # (5,) accuracy, horizon, least speed, drift, sigma of the geoid


_GRID = types.Array(types.float32, 2, "C", readonly=True)
_ROW = types.float64[::1]
_LAND = types.NamedTuple((SEGMENTS, SEGMENTS, AREAS, types.int16[::1], _GRID, _ROW, _GRID, _ROW, _ROW), _Land)
_VECTOR = types.UniTuple(types.float64, 3)
_TWO_ROWS = types.void(_LAND, types.float64[:, ::1], _ROW, types.int16[::1])


@njit("float64(float64)", cache=True, nogil=True)
def phi_1(z: float) -> float:
    """The normal distribution function."""
    return 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))


@njit(types.float64(types.float64[:, ::1], types.int64, types.int64, _VECTOR), cache=True, nogil=True)
def _along_1(cov: F8, i: int, j: int, d: tuple[float, float, float]) -> float:
    """d' C d, with C the 3 x 3 block of `cov` that starts at (i, j)."""
    total = 0.0
    for a in range(3):
        for b in range(3):
            total += d[a] * cov[i + a, j + b] * d[b]
    return total


@njit(types.float64(types.float64[:, ::1], types.float64, types.float64, _VECTOR), cache=True, nogil=True)
def ahead_variance_1(cov: F8, t_s: float, drift_q: float, d: tuple[float, float, float]) -> float:
    """Variance of the position along d after flying straight for t_s, m^2."""
    grown = _along_1(cov, 0, 0, d) + t_s * (_along_1(cov, 0, 3, d) + _along_1(cov, 3, 0, d))
    ahead: float = grown + t_s * t_s * _along_1(cov, 3, 3, d) + drift_q * t_s**3 / 3.0
    return max(ahead, 0.0)


@njit(_VECTOR(types.float64, types.float64, types.float64), cache=True, nogil=True)
def heading_1(lat_rad: float, lon_rad: float, azimuth_rad: float) -> tuple[float, float, float]:
    """ECEF unit vector of a horizontal heading."""
    ex, ey, ez, nx, ny, nz, _, _, _ = geo.enu_axes_1(lat_rad, lon_rad)
    s = math.sin(azimuth_rad)
    c = math.cos(azimuth_rad)
    return s * ex + c * nx, s * ey + c * ny, s * ez + c * nz


@njit(types.void(_ROW, types.float64[:, ::1], _ROW), cache=True, nogil=True)
def _motion_1(state: F8, cov: F8, out: F8) -> None:
    """Place, height, speed, course and climb of one row, with their sigmas."""
    lat, lon, height = geo.geodetic_1(state[0], state[1], state[2])
    ex, ey, ez, nx, ny, nz, ux, uy, uz = geo.enu_axes_1(lat, lon)
    east = (ex, ey, ez)
    north = (nx, ny, nz)
    up = (ux, uy, uz)
    v_east = ex * state[3] + ey * state[4] + ez * state[5]
    v_north = nx * state[3] + ny * state[4] + nz * state[5]
    speed = math.hypot(v_east, v_north)
    out[LAT] = lat
    out[LON] = lon
    out[HEIGHT] = height
    out[SIGMA_HEIGHT] = math.sqrt(max(_along_1(cov, 0, 0, up), 0.0))
    out[SIGMA_HORIZONTAL] = math.sqrt(max(0.5 * (_along_1(cov, 0, 0, east) + _along_1(cov, 0, 0, north)), 0.0))
    out[SPEED] = speed
    out[CLIMB] = ux * state[3] + uy * state[4] + uz * state[5]
    if speed > 0.0:
        course = math.atan2(v_east, v_north)
        out[COURSE] = course + 2.0 * math.pi if course < 0.0 else course
        out[SIGMA_SPEED] = math.sqrt(max(_along_1(cov, 3, 3, heading_1(lat, lon, course)), 0.0))
    else:
        out[SIGMA_SPEED] = math.sqrt(max(0.5 * (_along_1(cov, 3, 3, east) + _along_1(cov, 3, 3, north)), 0.0))


@njit(types.void(_LAND, _ROW, types.int16[::1]), cache=True, nogil=True)
def _state_1(land: _Land, out: F8, which: I2) -> None:
    """The state overflown, its probability, and whether the ground is disputed."""
    lat = out[LAT]
    lon = out[LON]
    accuracy = land.numbers[0]
    for state in land.order:
        if contains_1(land.areas, state, lat, lon):
            which[STATE] = state
            break
    sigma = math.hypot(out[SIGMA_HORIZONTAL], accuracy)
    x, y, z = geo.ecef_1(lat, lon, 0.0)
    # Six sigmas from the next edge nothing is left to doubt.
    edge, _, away = nearest_1(land.edges, x, y, z, max(6.0 * sigma, 1.0))
    if which[STATE] < 0 and edge >= 0 and away <= accuracy:
        which[STATE] = land.edges.owner[edge]  # a gap of drawing between two neighbours
        out[P_STATE] = 0.5
    else:
        out[P_STATE] = phi_1(away / sigma) if edge >= 0 and sigma > 0.0 else 1.0
    which[DISPUTED] = contains_1(land.areas, len(land.order) + 1, lat, lon)


@njit(_TWO_ROWS, cache=True, nogil=True)
def _border_1(land: _Land, cov: F8, out: F8, which: I2) -> None:
    """Signed distance to the allied border and the probability to be inside."""
    lat = out[LAT]
    lon = out[LON]
    inside = contains_1(land.areas, len(land.order), lat, lon)
    out[P_INSIDE] = 1.0 if inside else 0.0
    x, y, z = geo.ecef_1(lat, lon, 0.0)
    k, along, _ = nearest_1(land.border, x, y, z, EVERYWHERE_M)
    if k < 0:
        return
    p = land.border.places[k]
    distance, azimuth, _ = geo.inverse_1(lat, lon, p[0] + along * (p[2] - p[0]), p[1] + along * (p[3] - p[1]))
    sigma = math.sqrt(max(_along_1(cov, 0, 0, heading_1(lat, lon, azimuth)), 0.0) + land.numbers[0] ** 2)
    which[NEAR] = land.border.owner[k]
    out[DISTANCE] = -distance if inside else distance
    out[SIGMA_DISTANCE] = sigma
    if sigma > 0.0:
        out[P_INSIDE] = phi_1(-out[DISTANCE] / sigma)


@njit(_VECTOR(_LAND, _ROW, types.float64), cache=True, nogil=True)
def _path_1(land: _Land, out: F8, turned_rad: float) -> tuple[float, float, float]:
    """(seconds, lat, lon) of the first crossing inwards on the straight path, turned by an angle; NaN: none."""
    lat = out[LAT]
    lon = out[LON]
    speed = out[SPEED]
    path = np.empty(9)
    path[0], path[1], path[2] = geo.ecef_1(lat, lon, 0.0)
    path[3], path[4], path[5] = heading_1(lat, lon, out[COURSE] + turned_rad)
    path[6], path[7], path[8] = heading_1(lat, lon, out[COURSE] + turned_rad - 0.5 * math.pi)
    k, along = crossing_1(land.border, path, speed * land.numbers[1])
    if k < 0:
        return math.nan, math.nan, math.nan
    p = land.border.places[k]
    to_lat = p[0] + along * (p[2] - p[0])
    to_lon = p[1] + along * (p[3] - p[1])
    distance, _, _ = geo.inverse_1(lat, lon, to_lat, to_lon)
    return distance / speed, to_lat, to_lon


@njit(types.void(_LAND, types.float64[:, ::1], _ROW), cache=True, nogil=True)
def _time_1(land: _Land, cov: F8, out: F8) -> None:
    """Predicted crossing of the border inwards: when, where, and how sure.

    Two things make the time uncertain: where along the path the object will be, and by which side it will have
    strayed, which matters as much as the border is slanted there: so the path is also flown one sigma to each side.
    """
    if not out[SPEED] >= land.numbers[2]:
        return
    seconds, to_lat, to_lon = _path_1(land, out, 0.0)
    if not seconds <= land.numbers[1]:
        return
    out[TIME] = seconds
    out[CROSSING_LAT] = to_lat
    out[CROSSING_LON] = to_lon
    drift = land.numbers[3]
    ahead = heading_1(out[LAT], out[LON], out[COURSE])
    aside = heading_1(out[LAT], out[LON], out[COURSE] - 0.5 * math.pi)
    variance = (ahead_variance_1(cov, seconds, drift, ahead) + land.numbers[0] ** 2) / out[SPEED] ** 2
    strayed = math.sqrt(ahead_variance_1(cov, seconds, drift, aside))
    turn = math.atan2(strayed, max(seconds * out[SPEED], 1.0))
    for side in (-1.0, 1.0):
        other, _, _ = _path_1(land, out, side * turn)
        # A side on which it would not cross at all leaves the time as open as it is long.
        off = other - seconds if other <= land.numbers[1] else seconds
        variance += 0.5 * off * off
    out[SIGMA_TIME] = math.sqrt(variance)


@njit(types.void(_LAND, _ROW), cache=True, nogil=True)
def _ground_1(land: _Land, out: F8) -> None:
    """Height above ground: ellipsoid height less geoid less terrain, with the errors of all four."""
    lat = out[LAT]
    lon = out[LON]
    g = land.ground_at
    ground = sample_1(land.ground, g[0], g[1], g[2], lat, lon)
    sea = sample_1(land.geoid, land.geoid_at[0], land.geoid_at[1], land.geoid_at[2], lat, lon)
    out[AGL] = out[HEIGHT] - sea - ground
    if not math.isnan(out[AGL]):
        own = local_sigma_1(land.ground, g[0], g[1], g[2], lat, lon)
        slide = slope_1(land.ground, g[0], g[1], g[2], lat, lon) * out[SIGMA_HORIZONTAL]
        out[SIGMA_AGL] = math.sqrt(out[SIGMA_HEIGHT] ** 2 + own * own + slide * slide + land.numbers[4] ** 2)


@njit(
    types.void(_LAND, types.float64[:, ::1], types.float64[:, :, ::1], types.float64[:, ::1], types.int16[:, ::1]),
    cache=True,
    nogil=True,
)
def _facts(land: _Land, state: F8, cov: F8, out: F8, which: I2) -> None:
    """Fill `out` (n, 19), all NaN, and `which` (n, 3), all -1 -1 0, for states (n, 6) and covariances (n, 6, 6)."""
    for row in range(state.shape[0]):
        _motion_1(state[row], cov[row], out[row])
        if math.isnan(out[row, LAT]):
            continue
        _state_1(land, out[row], which[row])
        _border_1(land, cov[row], out[row], which[row])
        if out[row, DISTANCE] > 0.0:
            _time_1(land, cov[row], out[row])
        _ground_1(land, out[row])


class Outline(NamedTuple):
    """What is computed from the polygons, as plain arrays: all that is slow, and fit to be kept for the next start."""

    edges: F8  # (k, 4) lat, lon, lat, lon radians: every edge of every state, the state on the left
    owner: I2  # (k,) index of that state
    order: I2  # (states,) in which order states claim a place
    lines: F8  # (m, 4) the outer edge of the allied union, pieces of about 1 km
    facing: I1  # (m,) what each faces
    near_state: I2  # (m,) the ally each belongs to
    allied: F8  # (a, 4) edges of the closed allied union
    disputed: F8  # (d, 4) edges of the disputed overlaps


@dataclass(frozen=True, slots=True)
class Zones:
    """States, the allied border, terrain and geoid. Made by `build`; index i of every per-state tuple is one state."""

    codes: tuple[str, ...]  # ISO 3166-1 alpha-2, sorted
    names: tuple[str, ...]  # readable English
    alliance: tuple[str, ...]  # ally, partner, other
    accuracy_m: float  # declared accuracy of the polygons
    geoid: Grid  # metres above the ellipsoid
    terrain: Grid  # metres above mean sea level; the sea is 0
    attribution: str  # to be shown wherever border geometry is shown
    edge: F8  # (k, 4) lat, lon, lat, lon radians: the outer edge of the allied union, pieces of about 1 km
    facing: I1  # (k,) index into border.FACING: what each piece faces; the first two are border
    params: ZoneParams
    _land: _Land = field(repr=False)

    @property
    def border_tree(self) -> Segments:
        """The allied border as the compiled loops read it, allied ground on the left."""
        return self._land.border

    def facts(self, tracks: Tracks) -> ZoneFacts:
        """Facts for every row of `tracks`, in its order. A row whose state is not finite gets NaN and -1."""
        n = len(tracks)
        out, which = self._fill(np.ascontiguousarray(tracks.state), np.ascontiguousarray(tracks.cov))
        age_s = (tracks.t_us - tracks.height_us) / US_PER_S
        known = np.asarray(
            (tracks.height_us >= 0)
            & (age_s <= self.params.height_age_s)
            & (out[:, SIGMA_AGL] <= self.params.sigma_agl_max_m)
        )
        columns = {name: np.ascontiguousarray(out[:, i]) for i, name in enumerate(_FLOATS)}
        return ZoneFacts(
            **columns,
            state=which[:, STATE].copy(),
            near_state=which[:, NEAR].copy(),
            disputed=which[:, DISPUTED] != 0,
            height_known=known.reshape(n),
        )

    def at(self, lat_rad: float, lon_rad: float) -> tuple[str, float]:
        """(ISO code of the state, "" none; signed distance to the allied border in metres) of one place."""
        state = np.zeros((1, 6))
        state[0, :3] = geo.ecef_1(lat_rad, lon_rad, 0.0)
        out, which = self._fill(state, np.zeros((1, 6, 6)))
        code = self.codes[which[0, STATE]] if which[0, STATE] >= 0 else ""
        return code, float(out[0, DISTANCE])

    @property
    def claimed(self) -> tuple[Segments, Areas, I2]:
        """Every state as compiled loops read it: its edges, its area as a layer, and in which order states claim."""
        return self._land.edges, self._land.areas, self._land.order

    def _fill(self, state: F8, cov: F8) -> tuple[F8, I2]:
        out = np.full((len(state), len(_FLOATS)), np.nan)
        which = np.full((len(state), 3), -1, np.int16)
        which[:, DISPUTED] = 0
        _facts(self._land, state, cov, out, which)
        return out, which


def outline(
    states: Sequence[border_of.State], terrain: Grid, accuracy_m: float, cut: border_of.Cut | None = None
) -> Outline:
    """All that follows from the polygons of states (sorted by code, one entry a code); `cut` as in `border.trace`.

    Raises:
        ValueError: states out of order, two with one code, or an accuracy that is not positive.
    """
    codes = [s.code for s in states]
    if codes != sorted(dict.fromkeys(codes)):
        raise ValueError("states in order of code, one entry each")
    if not accuracy_m > 0.0:
        raise ValueError("the accuracy of the border is more than 0 m")
    traced = border_of.trace(states, terrain, accuracy_m, cut)
    own = [border_of.edges(s.shape) for s in states]
    # Where two states claim one place: the ally before the partner before the other (DESIGN 5), then the smaller one.
    rank = [(border_of.ALLIANCES.index(s.alliance), border_of.area_m2(s.shape), s.code) for s in states]
    return Outline(
        edges=np.vstack([np.empty((0, 4)), *own]),
        owner=np.repeat(np.arange(len(states)), [len(e) for e in own]).astype(np.int16),
        order=np.asarray(sorted(range(len(states)), key=lambda i: rank[i]), np.int16),
        lines=traced.lines,
        facing=traced.facing,
        near_state=traced.near_state,
        allied=border_of.edges(traced.allied),
        disputed=border_of.edges(traced.disputed),
    )


def assemble(
    names: Mapping[str, tuple[str, str]],
    drawn: Outline,
    terrain: Grid,
    geoid: Grid,
    accuracy_m: float,
    attribution: str = "",
    params: ZoneParams | None = None,
) -> Zones:
    """Zones out of an outline and the two grids; `names`: code to (readable name, alliance), in the outline's order."""
    params = params or ZoneParams()
    kept = (drawn.facing == border_of.OTHER) | (drawn.facing == border_of.SEA)
    # The sea floor is no ground: whoever is above the sea is above its surface.
    ground = Grid(terrain.lat0_rad, terrain.lon0_rad, terrain.step_rad, _frozen(np.maximum(terrain.values, 0)))
    geoid = Grid(geoid.lat0_rad, geoid.lon0_rad, geoid.step_rad, _frozen(geoid.values))
    own = [drawn.edges[drawn.owner == i] for i in range(len(names))]
    land = _Land(
        segments(drawn.lines[kept], drawn.near_state[kept]),
        segments(drawn.edges, drawn.owner),
        areas([*own, drawn.allied, drawn.disputed]),
        drawn.order,
        ground.values,
        np.asarray([ground.lat0_rad, ground.lon0_rad, ground.step_rad]),
        geoid.values,
        np.asarray([geoid.lat0_rad, geoid.lon0_rad, geoid.step_rad]),
        np.asarray([accuracy_m, params.horizon_s, params.speed_min_mps, params.drift_q, params.sigma_geoid_m]),
    )
    return Zones(
        codes=tuple(names),
        names=tuple(name for name, _ in names.values()),
        alliance=tuple(alliance for _, alliance in names.values()),
        accuracy_m=accuracy_m,
        geoid=geoid,
        terrain=ground,
        attribution=attribution,
        edge=drawn.lines,
        facing=drawn.facing,
        params=params,
        _land=land,
    )


def build(
    states: Sequence[border_of.State],
    terrain: Grid,
    geoid: Grid,
    accuracy_m: float,
    attribution: str = "",
    cut: border_of.Cut | None = None,
    params: ZoneParams | None = None,
) -> Zones:
    """`outline` and `assemble` in one go, for states in any order."""
    states = sorted(states, key=lambda s: s.code)
    names = {s.code: (s.name, s.alliance) for s in states}
    return assemble(names, outline(states, terrain, accuracy_m, cut), terrain, geoid, accuracy_m, attribution, params)


def _frozen(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy that nobody can write to, as the compiled loop takes it."""
    copy = np.array(values, np.float32, order="C")
    copy.setflags(write=False)
    return copy
