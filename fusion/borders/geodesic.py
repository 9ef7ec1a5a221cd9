"""The WGS84 ellipsoid and its geodesics: distance and azimuths between places, and where an azimuth leads.

Vincenty's series (Survey Review 23(176), 1975) with Karney's arrangement (J. Geodesy 87, 2013, section 4) near
antipodes, where Vincenty's own iteration fails. Use them through fusion.geo, which also has them over arrays.
"""

from __future__ import annotations

import math

from numba import njit

# WGS84, NIMA TR8350.2: the two defining numbers, the rest follows.
A_M = 6_378_137.0
F = 1.0 / 298.257223563
B_M = A_M * (1.0 - F)
E2 = F * (2.0 - F)
EP2 = E2 / (1.0 - E2)
_TWO_PI = 2.0 * math.pi
_VINCENTY_STEPS = 20  # converges in 3-5 away from antipodes; past this the bisection takes over


@njit("float64(float64)", cache=True, nogil=True)
def wrap_pi_1(angle_rad: float) -> float:
    """The same angle in [-pi, pi]. Held there: just below pi the floor may round up and land an ulp below -pi."""
    a = angle_rad - _TWO_PI * math.floor((angle_rad + math.pi) / _TWO_PI)
    return -math.pi if a < -math.pi else a


@njit("float64(float64)", cache=True, nogil=True)
def wrap_two_pi_1(angle_rad: float) -> float:
    """The same angle in [0, 2 pi). Held there: a tiny negative angle may round to 2 pi or stay negative."""
    a = angle_rad - _TWO_PI * math.floor(angle_rad / _TWO_PI)
    return 0.0 if a >= _TWO_PI or a < 0.0 else a


@njit("UniTuple(float64, 2)(float64)", cache=True, nogil=True)
def _series_1(cos2_alpha: float) -> tuple[float, float]:
    """Vincenty's A and B for a geodesic whose equatorial azimuth has cos^2 = cos2_alpha."""
    u2 = cos2_alpha * EP2
    a = 1.0 + u2 / 16384.0 * (4096.0 + u2 * (-768.0 + u2 * (320.0 - 175.0 * u2)))
    b = u2 / 1024.0 * (256.0 + u2 * (-128.0 + u2 * (74.0 - 47.0 * u2)))
    return a, b


@njit("float64(float64, float64, float64, float64)", cache=True, nogil=True)
def _delta_sigma_1(b: float, sin_sigma: float, cos_sigma: float, cos_2m: float) -> float:
    """Vincenty's equation 6: what to take from the arc on the sphere."""
    c2 = cos_2m * cos_2m
    third = b / 6.0 * cos_2m * (4.0 * sin_sigma * sin_sigma - 3.0) * (4.0 * c2 - 3.0)
    return b * sin_sigma * (cos_2m + b / 4.0 * (cos_sigma * (2.0 * c2 - 1.0) - third))


@njit("float64(float64, float64, float64, float64, float64, float64)", cache=True, nogil=True)
def _lambda_less_longitude_1(
    sin_alpha: float, cos2_alpha: float, sigma: float, sin_sigma: float, cos_sigma: float, cos_2m: float
) -> float:
    """Vincenty's equations 10 and 11: longitude on the auxiliary sphere minus longitude on the ellipsoid."""
    c = F / 16.0 * cos2_alpha * (4.0 + F * (4.0 - 3.0 * cos2_alpha))
    tail = cos_2m + c * cos_sigma * (2.0 * cos_2m * cos_2m - 1.0)
    return (1.0 - c) * F * sin_alpha * (sigma + c * sin_sigma * tail)


@njit("UniTuple(float64, 5)(float64, float64, float64, float64, float64)", cache=True, nogil=True)
def _hybrid_1(alpha1: float, sin1: float, cos1: float, sin2: float, cos2: float) -> tuple[float, ...]:
    """Leave reduced latitude 1 at alpha1 and go to where reduced latitude 2 is first met going north.

    Returns (longitude gained, sigma, cos 2 sigma_m, cos^2 alpha0, alpha2): Karney (2013), section 4, with
    Vincenty's series. Needs |latitude 2| <= |latitude 1| and latitude 1 <= 0.
    """
    sa = math.sin(alpha1)
    ca = math.cos(alpha1)
    sin_alpha = sa * cos1
    cos2_alpha = (ca * ca) + (sa * sin1) * (sa * sin1)
    gap = (cos2 - cos1) * (cos2 + cos1) if cos1 < -sin1 else (sin1 - sin2) * (sin1 + sin2)
    ca2 = math.sqrt(max(0.0, (ca * cos1) * (ca * cos1) + gap)) / cos2
    sigma1 = math.atan2(sin1, ca * cos1)
    sigma2 = math.atan2(sin2, ca2 * cos2)
    sigma = sigma2 - sigma1
    omega = math.atan2(sin_alpha * sin2, ca2 * cos2) - math.atan2(sin_alpha * sin1, ca * cos1)
    cos_2m = math.cos(sigma1 + sigma2)
    gained = omega - _lambda_less_longitude_1(sin_alpha, cos2_alpha, sigma, math.sin(sigma), math.cos(sigma), cos_2m)
    return gained, sigma, cos_2m, cos2_alpha, math.atan2(sin_alpha, ca2 * cos2)


@njit("UniTuple(float64, 3)(float64, float64, float64)", cache=True, nogil=True)
def _inverse_antipodal_1(lat1: float, lat2: float, dlon: float) -> tuple[float, float, float]:
    """Distance and azimuths where Vincenty does not converge: bisection on the azimuth at point 1.

    In the canonical arrangement (point 1 the more southerly one, dlon in 0..pi) the longitude gained grows with the
    azimuth and has one root (Karney 2013), so bisection cannot fail.
    """
    east = dlon >= 0.0
    target = abs(dlon)
    swapped = abs(lat1) < abs(lat2)
    p1 = lat2 if swapped else lat1
    p2 = lat1 if swapped else lat2
    flipped = p1 > 0.0
    if flipped:
        p1 = -p1
        p2 = -p2
    u1 = math.atan2((1.0 - F) * math.sin(p1), math.cos(p1))
    u2 = math.atan2((1.0 - F) * math.sin(p2), math.cos(p2))
    s1 = min(math.sin(u1), -1e-200)  # a start exactly on the equator has no southern side: put it a hair south
    c1 = math.cos(u1)
    s2 = math.sin(u2)
    c2 = math.cos(u2)
    low = 0.0
    high = math.pi
    for _ in range(60):
        middle = 0.5 * (low + high)
        if _hybrid_1(middle, s1, c1, s2, c2)[0] < target:
            low = middle
        else:
            high = middle
    az1 = 0.5 * (low + high)
    _, sigma, cos_2m, cos2_alpha, az2 = _hybrid_1(az1, s1, c1, s2, c2)
    a, b = _series_1(cos2_alpha)
    distance = B_M * a * (sigma - _delta_sigma_1(b, math.sin(sigma), math.cos(sigma), cos_2m))
    if flipped:  # mirrored at the equator
        az1 = math.pi - az1
        az2 = math.pi - az2
    if swapped:  # walked from 2 to 1: the way back, with its longitude mirrored to keep going the same way round
        az1, az2 = math.pi - az2, math.pi - az1
    if not east:
        az1 = -az1
        az2 = -az2
    return distance, wrap_two_pi_1(az1), wrap_two_pi_1(az2)


@njit("UniTuple(float64, 3)(float64, float64, float64, float64)", cache=True, nogil=True)
def inverse_1(lat1_rad: float, lon1_rad: float, lat2_rad: float, lon2_rad: float) -> tuple[float, float, float]:
    """Geodesic from place 1 to place 2: (distance_m, azimuth at 1, azimuth at 2), both pointing onwards, 0..2 pi.

    Vincenty (1975), within 0.2 mm of the exact geodesic; near antipodes a bisection with the same
    series. Equal places give (0, 0, 0).
    """
    dlon = wrap_pi_1(lon2_rad - lon1_rad)
    u1 = math.atan2((1.0 - F) * math.sin(lat1_rad), math.cos(lat1_rad))
    u2 = math.atan2((1.0 - F) * math.sin(lat2_rad), math.cos(lat2_rad))
    s1 = math.sin(u1)
    c1 = math.cos(u1)
    s2 = math.sin(u2)
    c2 = math.cos(u2)
    lam = dlon
    for _ in range(_VINCENTY_STEPS):
        sl = math.sin(lam)
        cl = math.cos(lam)
        east = c2 * sl
        north = c1 * s2 - s1 * c2 * cl
        sin_sigma = math.hypot(east, north)
        if sin_sigma == 0.0 and cl > 0.0:
            return 0.0, 0.0, 0.0
        cos_sigma = s1 * s2 + c1 * c2 * cl
        sigma = math.atan2(sin_sigma, cos_sigma)
        sin_alpha = c1 * c2 * sl / sin_sigma if sin_sigma > 0.0 else 0.0
        cos2_alpha = 1.0 - sin_alpha * sin_alpha
        cos_2m = cos_sigma - 2.0 * s1 * s2 / cos2_alpha if cos2_alpha > 1e-15 else 0.0  # along the equator any will do
        last = lam
        lam = dlon + _lambda_less_longitude_1(sin_alpha, cos2_alpha, sigma, sin_sigma, cos_sigma, cos_2m)
        if abs(lam) > math.pi:
            break
        if abs(lam - last) < 1e-13:
            a, b = _series_1(cos2_alpha)
            distance = B_M * a * (sigma - _delta_sigma_1(b, sin_sigma, cos_sigma, cos_2m))
            az1 = math.atan2(east, north)
            az2 = math.atan2(c1 * sl, c1 * s2 * cl - s1 * c2)
            return distance, wrap_two_pi_1(az1), wrap_two_pi_1(az2)
    if math.isnan(lam):
        return math.nan, math.nan, math.nan
    return _inverse_antipodal_1(lat1_rad, lat2_rad, dlon)


@njit("UniTuple(float64, 3)(float64, float64, float64, float64)", cache=True, nogil=True)
def direct_1(lat_rad: float, lon_rad: float, azimuth_rad: float, distance_m: float) -> tuple[float, float, float]:
    """Go distance_m along the geodesic that leaves at azimuth_rad.

    Returns (lat_rad, lon_rad in -pi..pi, azimuth there in 0..2 pi).
    Vincenty (1975), below 0.2 mm to half round the earth. A negative distance goes backwards.
    """
    u1 = math.atan2((1.0 - F) * math.sin(lat_rad), math.cos(lat_rad))
    s1 = math.sin(u1)
    c1 = math.cos(u1)
    sa = math.sin(azimuth_rad)
    ca = math.cos(azimuth_rad)
    sigma1 = math.atan2(s1, ca * c1)
    sin_alpha = c1 * sa
    cos2_alpha = (ca * ca) + (sa * s1) * (sa * s1)
    a, b = _series_1(cos2_alpha)
    first = distance_m / (B_M * a)
    sigma = first
    for _ in range(_VINCENTY_STEPS):
        last = sigma
        cos_2m = math.cos(2.0 * sigma1 + sigma)
        sigma = first + _delta_sigma_1(b, math.sin(sigma), math.cos(sigma), cos_2m)
        if abs(sigma - last) < 1e-15:
            break
    ss = math.sin(sigma)
    cs = math.cos(sigma)
    north = c1 * cs * ca - s1 * ss
    lat2 = math.atan2(s1 * cs + c1 * ss * ca, (1.0 - F) * math.hypot(sin_alpha, north))
    lam = math.atan2(ss * sa, c1 * cs - s1 * ss * ca)
    turns = math.cos(2.0 * sigma1 + sigma)
    dlon = lam - _lambda_less_longitude_1(sin_alpha, cos2_alpha, sigma, ss, cs, turns)
    return lat2, wrap_pi_1(lon_rad + dlon), wrap_two_pi_1(math.atan2(sin_alpha, north))
