"""Standard deviations of what ADS-B claims, against the bounds of the standard and an independent quantile."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from adapters.modes.accuracies import NIC_BY_NUCP, SIGMA_BY_GVA_M, SIGMA_BY_NACP_M, SIGMA_BY_NACV_MPS

RC_BY_NIC_M = [np.inf, 37_040, 14_816, 7_408, 3_704, 1_852, 1_111.2, 370.4, 185.2, 75, 25, 7.5]  # DO-260B, table 2-14
HPL_BY_NUCP_M = [np.inf, 37_040, 18_520, 3_704, 1_852, 926, 370.4, 185.2, 25, 7.5]  # DO-260, table 2-11


@pytest.mark.parametrize(("category", "radius_m"), [(4, 1852.0), (8, 92.6), (9, 30.0), (10, 10.0), (11, 3.0)])
def test_a_claimed_radius_holds_95_percent(category: int, radius_m: float) -> None:
    assert stats.rayleigh(scale=SIGMA_BY_NACP_M[category + 1]).cdf(radius_m) == pytest.approx(0.95)


def test_speed_and_height_too() -> None:
    assert stats.rayleigh(scale=SIGMA_BY_NACV_MPS[2 + 1]).cdf(3.0) == pytest.approx(0.95)
    within = stats.norm(scale=SIGMA_BY_GVA_M[2 + 1])
    assert within.cdf(45.0) - within.cdf(-45.0) == pytest.approx(0.95)
    assert all(np.isnan(table[0]) for table in (SIGMA_BY_NACP_M, SIGMA_BY_NACV_MPS, SIGMA_BY_GVA_M))


@pytest.mark.parametrize("nucp", range(1, 10))
def test_an_old_integrity_is_never_told_as_a_better_one(nucp: int) -> None:
    nic = int(NIC_BY_NUCP[nucp])
    assert RC_BY_NIC_M[nic] >= HPL_BY_NUCP_M[nucp]
    assert all(radius_m < HPL_BY_NUCP_M[nucp] for radius_m in RC_BY_NIC_M[nic + 1 :])
