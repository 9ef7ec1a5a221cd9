"""What aircraft claim of their own accuracy and integrity in ADS-B, as standard deviations; for every format of it."""

from __future__ import annotations

import numpy as np

NM_M = 1852.0
RAYLEIGH_95 = 2.4477468306808166  # sqrt(-2 ln 0.05): radius that holds 95 % of a circular normal, in sigmas of one axis
NORMAL_95 = 1.959963984540054  # the same for one dimension

# 95 % bounds by category: EPU of NACp (DO-260B 2.2.3.2.7.2.7), velocity error of NACv (2.2.3.2.6.1.5), vertical of GVA.
# Category 0 means "unknown, or worse than 1": taken as one sigma of the bound of category 1.
# Each is looked up by its category + 1; the first is of a category that was not given.
EPU_M = (10.0, 4.0, 2.0, 1.0, 0.5, 0.3, 0.1, 0.05)  # NM, categories 1-8
SIGMA_BY_NACP_M = np.array(
    [np.nan, 10 * NM_M, *(epu * NM_M / RAYLEIGH_95 for epu in EPU_M), *(m / RAYLEIGH_95 for m in (30.0, 10.0, 3.0))]
)
SIGMA_BY_NACV_MPS = np.array([np.nan, 10.0, *(mps / RAYLEIGH_95 for mps in (10.0, 3.0, 1.0, 0.3))])
SIGMA_BY_GVA_M = np.array([np.nan, 150.0, 150.0 / NORMAL_95, 45.0 / NORMAL_95])

# NUCp of DO-260 is the protection limit that NIC tells with other steps: the best NIC whose radius surely holds it
# (20, 10, 2, 1, 0.5, 0.2, 0.1 NM, 25 m, 7.5 m for NUCp 1-9). By NUCp; 0 and what it does not know: nothing is promised.
NIC_BY_NUCP = np.array([0, 1, 1, 4, 5, 6, 7, 8, 10, 11, -1, -1, -1, -1, -1, -1], np.int8)
