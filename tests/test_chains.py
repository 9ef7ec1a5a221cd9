"""Plots of one object make one chain and clutter makes none; what two radars measure of it differs by their biases."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.bias.chains import (
    CHAINS,
    COUPLE,
    H_COUNT,
    HEAD,
    L_AZ,
    L_H,
    L_R,
    L_T,
    L_VAZ,
    L_VH,
    L_VR,
    LINK,
    LINKS,
    LONG,
    Q_G,
    Q_H,
    Q_R,
    Q_Y,
    compare_1,
    couple_1,
    follow_1,
)
from fusion.bias.traffic import HELD
from fusion.filters.params import M_A, M_B, M_C, M_H, M_SA, M_SB, M_SC, M_SH
from fusion.geo import ecef, ecef_from_range_height, enu_axes, geodetic, polar, site_row
from fusion.kernels import Rec
from fusion.schema import US_PER_S

SITES = np.stack([site_row(np.radians(54.95), np.radians(23.9), 100.0), site_row(0.944, 0.4, 150.0)])
PLACE = ecef(np.radians(54.6), np.radians(23.3), 8_000.0)[0]
EAST, NORTH, _ = enu_axes(np.radians(54.6), np.radians(23.3))[0]


def seen(site: np.ndarray, places: np.ndarray, t_s: np.ndarray, told: bool = True) -> Rec:
    """Plots without noise of places (n, 3) at times (n,), with their height or without."""
    height_m = geodetic(places)[2] if told else np.nan
    r, azimuth, _ = polar(site, places)
    out = np.zeros(len(t_s), HELD)
    out["row"] = np.nan
    out["row"][:, M_A], out["row"][:, M_B], out["row"][:, M_H] = r, azimuth, height_m
    out["row"][:, M_SA], out["row"][:, M_SB], out["row"][:, M_SH] = 60.0, 0.00175, 30.0
    out["t_us"], out["address"], out["mode3a"] = np.round(t_s * US_PER_S), -1, -1
    return out


class Followed:
    """Chains of one radar, fed scan by scan."""

    def __init__(self, site: np.ndarray, period_s: float) -> None:
        self.site, self.period_us, self.number = site, period_s * US_PER_S, 0
        self.links, self.heads = np.full((CHAINS, LINKS, LINK), np.nan), np.zeros((CHAINS, HEAD), np.int64)
        self.left_out = np.zeros(1, np.int64)

    def hear(self, plots: Rec) -> None:
        order = np.argsort(plots["t_us"], kind="stable")
        self.number = follow_1(
            plots, order, 512, self.period_us, self.site, self.number, self.links, self.heads, self.left_out
        )  # fmt: skip

    @property
    def long(self) -> int:
        return int((self.heads[:, H_COUNT] >= LONG).sum())


def flight(t_s: np.ndarray) -> np.ndarray:
    return np.asarray(PLACE + np.outer(t_s, 180.0 * EAST + 90.0 * NORTH))


def test_an_aircraft_among_clutter_is_one_chain_and_clutter_none() -> None:
    radar, luck = Followed(SITES[0], 5.0), np.random.default_rng(1)
    for scan in range(8):
        t_s = np.array([5.0 * scan + 1.0])
        false = seen(SITES[0], flight(t_s), t_s)[np.zeros(40, np.int64)].copy()
        false["row"][:, M_A], false["row"][:, M_B] = luck.uniform(2e4, 2e5, 40), luck.uniform(0.0, 6.28, 40)
        radar.hear(np.concatenate([false, seen(SITES[0], flight(t_s), t_s)]))
    assert radar.heads[:, H_COUNT].max() == 8
    assert radar.long == 1
    assert radar.left_out[0] == 0


def test_a_full_table_keeps_what_has_a_way() -> None:
    radar, luck = Followed(SITES[0], 5.0), np.random.default_rng(2)
    for scan in range(6):
        t_s = np.array([5.0 * scan + 1.0])
        false = seen(SITES[0], flight(t_s), t_s)[np.zeros(400, np.int64)].copy()
        false["row"][:, M_A], false["row"][:, M_B] = luck.uniform(2e4, 2e5, 400), luck.uniform(0.0, 6.28, 400)
        radar.hear(np.concatenate([seen(SITES[0], flight(t_s), t_s), false]))
    assert radar.heads[:, H_COUNT].max() >= 4
    assert radar.left_out[0] > 400, "what found no room is counted"


@pytest.mark.parametrize("height_m", [300.0, 9_000.0])
def test_dependences_are_those_of_differences(height_m: float) -> None:
    link = np.full(LINK, np.nan)
    link[[L_T, L_R, L_AZ, L_VR, L_VAZ, L_H, L_VH]] = 0.0, 70_000.0, 3.6, 3_600.0, 3e-6, height_m, 900.0
    q = np.empty(COUPLE)
    assert compare_1(link, SITES[0], SITES[1], height_m, 900.0, q)

    def expected(r: float, azimuth: float, h: float) -> np.ndarray:
        range_b, azimuth_b, _ = polar(SITES[1], ecef_from_range_height(SITES[0], r, azimuth, h))
        return np.array([range_b[0], azimuth_b[0]])

    here = expected(70_000.0, 3.6, height_m)
    assert np.allclose(q[Q_Y : Q_Y + 2], here, rtol=1e-12)
    by_range = (expected(70_050.0, 3.6, height_m) - expected(69_950.0, 3.6, height_m)) / 100.0
    by_azimuth = (expected(70_000.0, 3.601, height_m) - expected(70_000.0, 3.599, height_m)) / 0.002
    by_height = (expected(70_000.0, 3.6, height_m + 50.0) - expected(70_000.0, 3.6, height_m - 50.0)) / 100.0
    measured = np.array([[q[Q_H], q[Q_H + 1]], [q[Q_H + 2], q[Q_H + 3]]])
    assert np.allclose(measured, -np.stack([by_range, by_azimuth], axis=1), rtol=0.01, atol=1e-8)
    assert np.allclose(q[Q_G : Q_G + 2], by_height, rtol=0.02, atol=2e-8)
    noise = measured @ np.diag(link[[L_VR, L_VAZ]]) @ measured.T
    assert np.allclose([q[Q_R], q[Q_R + 1], q[Q_R + 2]], noise[[0, 0, 1], [0, 1, 1]], rtol=1e-9)


def test_pairs_of_two_true_radars_differ_by_nothing_and_of_a_wrong_one_by_its_bias() -> None:
    for range_m, azimuth_rad in ((0.0, 0.0), (300.0, 0.0087)):
        slow, fast = Followed(SITES[0], 10.0), Followed(SITES[1], 4.0)
        for scan in range(6):
            t_s = np.array([10.0 * scan + 3.0])
            slow.hear(seen(SITES[0], flight(t_s), t_s))
        for scan in range(15):
            t_s = np.array([4.0 * scan + 1.0])
            plots = seen(SITES[1], flight(t_s), t_s)
            plots["row"][:, M_A] += range_m
            plots["row"][:, M_B] += azimuth_rad
            fast.hear(plots)
        out = np.empty((64, COUPLE))
        count = couple_1(
            slow.links, slow.heads, SITES[0], 0, fast.links, fast.heads, SITES[1], 1, 35e6, 50e6, out, 64
        )  # fmt: skip
        assert count == 1  # of the plots of 43 s; that of 53 s is not asked for
        assert abs(out[0, Q_Y] - range_m) < 1.0 and abs(out[0, Q_Y + 1] - azimuth_rad) < 1e-5
        assert not np.isnan(out[:count]).any()
        none = np.empty((0, COUPLE))
        there = couple_1(
            slow.links, slow.heads, SITES[0], 0, fast.links, fast.heads, SITES[1], 1, 35e6, 50e6, none, 0
        )  # fmt: skip
        assert there == 1, "what there is no room for is counted all the same"


def test_without_height_elevation_serves() -> None:
    radar = Followed(SITES[0], 5.0)
    plots = seen(SITES[0], flight(np.array([1.0])), np.array([1.0]), told=False)
    _, _, elevation = polar(SITES[0], flight(np.array([1.0])))
    plots["row"][:, M_C], plots["row"][:, M_SC] = elevation, 0.005
    radar.hear(plots)
    mine = radar.heads[:, H_COUNT].argmax()
    newest = radar.links[mine, radar.heads[mine, 1]]
    assert abs(newest[L_H] - 8_000.0) < 5.0 and np.sqrt(newest[L_VH]) > 100.0
