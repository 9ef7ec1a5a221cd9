"""What the filter and its oracle must agree on: the models, their numbers, and the layout of one measurement row.

The state is [x y z vx vy vz] in ECEF, metres and m/s: one frame for the whole earth, so that a track crosses a
continent without a seam. Three models share it:

    cruise      constant velocity, little noise
    manoeuvre   constant velocity, strong noise (turns, climbs)
    slow        velocity decays with a time constant (hover, drift, thermals), medium noise

Transition of one model over dt seconds, with b = exp(-dt/tau), a = tau (1 - b) (cruise, manoeuvre: a = dt, b = 1):

    position <- position + a velocity        velocity <- b velocity

Process noise is white acceleration, isotropic in the horizontal plane with spectral density q_h and q_v along the
vertical. With u the ellipsoid normal at the model's own mixed mean, proportional to (x/A^2, y/A^2, z/B^2), and
D = q_h I + (q_v - q_h) u u^T, the blocks of Q are s_pp D, s_pv D, s_vv D where (Bar-Shalom, Li, Kirubarajan 2001,
6.2.2 for constant velocity; the integrated Ornstein-Uhlenbeck process for the slow model)

    constant velocity:  s_pp = dt^3/3   s_pv = dt^2/2   s_vv = dt
    slow:               s_pp = tau^2 (dt - 2a + tau/2 (1 - b^2))   s_pv = tau^2/2 (1 - b)^2   s_vv = tau/2 (1 - b^2)

Mode transitions over dt: stay with probability exp(-dt/stay_s[i]); leave to j with the rest times leave[i][j].
"""

from __future__ import annotations

from dataclasses import dataclass

CRUISE, MANOEUVRE, SLOW = 0, 1, 2
MODELS = 3

# One measurement as a row of float64[ROW]; NaN where a component was not measured.
# POSITION: components E, N, U, VE, VN, VU in that order, along the ENU axes at the measured place;
#           without height the measured place is put at the height of the model's predicted state.
# POLAR:    components range, azimuth, elevation, height, range rate in that order; BEARING: azimuth, elevation.
# All Jacobians of a row are taken at the model's predicted state; the update is the joint one (done as scalars).
# Range rate is the velocity along the measured line of sight (elevation as predicted where none was measured). That
# line is wrong by the noise of the azimuth, which turns speed across it into a false range rate: its variance is
# sigma^2 + (speed across the line x sigma of azimuth)^2.
# Columns 7 to 10 hold velocity for POSITION and height and range rate for POLAR: no plot carries both.
M_KIND = 0  # PlotKind
M_A = 1  # lat_rad | range_m
M_B = 2  # lon_rad | azimuth_rad
M_C = 3  # height_m (ellipsoid) | elevation_rad
M_SA = 4  # sigma_position_m | sigma_range_m
M_SB = 5  # unused | sigma_azimuth_rad
M_SC = 6  # sigma_height_m | sigma_elevation_rad
M_VE = 7  # POSITION: velocity
M_VN = 8
M_VU = 9
M_SV = 10  # sigma_velocity_mps, every axis
M_H = 7  # POLAR: height_m above the ellipsoid from pressure, already corrected
M_SH = 8
M_RATE = 9  # POLAR: range rate, m/s, positive away
M_SRATE = 10
M_SITE = 11  # row of the site table, -1 none
ROW = 12

# One site as a row of float64[SITE]: ECEF x y z, then the ENU axes as rows (E, N, U), then lat, lon, height.
SITE = 15


@dataclass(frozen=True, slots=True)
class ImmParams:
    """Numbers of the three models, in order cruise, manoeuvre, slow."""

    tau_s: tuple[float, float, float] = (float("inf"), float("inf"), 40.0)  # slow: its speed settles at some 6 m/s
    # m^2/s^3, about square of the acceleration times how long it lasts until it is felt: a turn at 25 degrees of bank
    # is 4.6 m/s^2, and 40 lets it grow over 2 s; an accurate radar that looks every 8 s sees all of it.
    q_horizontal: tuple[float, float, float] = (0.1, 40.0, 2.0)
    q_vertical: tuple[float, float, float] = (0.05, 3.0, 0.3)  # m^2/s^3
    stay_s: tuple[float, float, float] = (300.0, 15.0, 120.0)  # mean time in a mode: long legs, turns of 45 degrees
    leave: tuple[tuple[float, float, float], ...] = ((0.0, 0.8, 0.2), (0.7, 0.0, 0.3), (0.3, 0.7, 0.0))
    start: tuple[float, float, float] = (0.4, 0.3, 0.3)  # mode probabilities of a new track
