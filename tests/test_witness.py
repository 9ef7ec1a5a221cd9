"""What a claim that comes to a track which radar had followed may do, and what it may not."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.claims.witness import AGREES_S, ALOFT_S, EARSHOT_S, FIRST_S, Finding, Sight, Witness
from fusion.schema import Tracks
from tests.airpicture import T0_US, S, picture

KEY = 0x503CAB


def look(
    made: Witness, second: float, row: dict[str, Any] | None = None, ids: tuple[int, ...] = (1,), **sight: Any
) -> Finding:
    """One look at tracks that radar sees now; a claim is there when `key` is given."""
    now_us = T0_US + round(second * S)
    fresh = {"radar_us": now_us, "hits": 5, "claim_us": now_us if "key" in sight else -1}
    if "key" in sight:
        fresh["address"] = sight["key"]
    tracks: Tracks = picture([{**fresh, **(row or {})} for _ in ids], now_us, ids)[0]
    n = len(ids)
    said: dict[str, Any] = {
        "key": np.full(n, -1), "claiming": np.full(n, "key" in sight), "coded": np.zeros(n, np.bool_),
        "p_low": np.ones(n), "p_slow": np.ones(n), "distance_m": np.full(n, 20_000.0),
        "followed": np.zeros(n, np.bool_), "doubted": np.zeros(n, np.bool_),
        "airliner": np.zeros(n, np.bool_), "earshot": np.ones(n, np.bool_), "alike": np.ones(n, np.bool_),
    }  # fmt: skip
    for name, value in sight.items():
        said[name] = np.full(n, value)
    return made.look(tracks, Sight(**said), now_us)


def test_a_claim_with_the_first_plots_is_an_ordinary_one() -> None:
    made = Witness()
    assert not look(made, 0, {"hits": 2}).unproven.any()
    for second in range(1, 40):
        result = look(made, second, key=KEY)
        assert not result.unproven.any()
    assert result.follows.all()


def test_a_claim_that_comes_to_a_bare_track_does_not_exempt_however_long_it_stays() -> None:
    made = Witness()
    look(made, 0)
    for second in range(1, 400):
        result = look(made, second, key=KEY, p_low=0.1, p_slow=0.0)
    assert result.unproven.all()
    assert result.p_low.tolist() == [1.0]
    assert result.p_slow.tolist() == [1.0]
    assert not result.follows.any()


@pytest.mark.parametrize("proof", [{"coded": True}, {"followed": True}])
def test_radar_itself_can_prove_it(proof: dict[str, Any]) -> None:
    made = Witness()
    look(made, 0)
    assert look(made, 1, key=KEY).unproven.all()
    assert not look(made, 2, {"mode3a": 0o4521}, key=KEY, **proof).unproven.any()


def test_far_from_any_border_it_is_earned_in_two_minutes() -> None:
    made = Witness()
    look(made, 0, distance_m=100_000.0)
    early = [look(made, second, key=KEY, distance_m=100_000.0) for second in range(1, 121)]
    assert all(result.unproven.all() for result in early)
    assert not look(made, 122, key=KEY, distance_m=20_000.0).unproven.any()


def test_the_identity_it_had_before_an_outage_is_its_own() -> None:
    made = Witness()
    look(made, 0, {"hits": 1}, key=KEY)
    look(made, 40)
    assert not look(made, 80, key=KEY).unproven.any()
    look(made, 120)
    assert look(made, 121, key=KEY + 1).unproven.all()


@pytest.mark.parametrize("gap_s", [0.1, 30.0])
def test_the_track_that_takes_its_place_is_the_same_object(gap_s: float) -> None:
    made = Witness()
    look(made, 0)
    result = look(made, gap_s, ids=(2,), key=KEY)
    assert result.unproven.all()
    assert not look(made, 200.0, ids=(3,), key=KEY + 1).unproven.any()


def test_beside_a_bare_track_is_near_its_way() -> None:
    made = Witness()
    look(made, 0)
    place = made.snapshot()["table"]["state"][:, :3]
    far = np.concatenate([place, place + 5_000.0])
    assert made.beside(far, np.full(2, T0_US), np.full(2, KEY), 4_000.0).tolist() == [True, False]
    assert not Witness().beside(far, np.full(2, T0_US), np.full(2, KEY), 4_000.0).any()


def test_a_snapshot_goes_on_as_if_nothing_had_happened() -> None:
    made, other = Witness(), Witness()
    look(made, 0)
    other.restore(copy.deepcopy(made.snapshot()))
    assert look(other, 1, key=KEY).unproven.all()


def test_another_epoch_remembers_nothing() -> None:
    made = Witness()
    look(made, 0)
    made.epoch = 3
    assert not look(made, 1, key=KEY, row={"hits": 1}).unproven.any()


@pytest.mark.parametrize(("claim_s", "ordinary"), [(FIRST_S - 0.5, True), (FIRST_S + 0.5, False)])
def test_three_quick_radars_do_not_make_the_first_claim_a_late_one(claim_s: float, ordinary: bool) -> None:
    made = Witness()
    born = {"birth_us": T0_US}
    assert made.snapshot()["table"]["bare"].size == 0
    look(made, 0.4, born)  # five plots, and bare
    assert made.snapshot()["table"]["bare"].all()
    look(made, claim_s, born, key=KEY)
    assert look(made, claim_s + 60.0, born, key=KEY).unproven.tolist() == [not ordinary]


@pytest.mark.parametrize("gap_s", [0.1, 2.0, 30.0])
def test_a_track_that_takes_the_place_of_a_bare_one_is_no_younger(gap_s: float) -> None:
    made = Witness()
    look(made, 0, {"birth_us": T0_US})
    start_s = max(gap_s, FIRST_S + 0.1)
    result = look(made, start_s, {"birth_us": T0_US + round(start_s * S)}, ids=(2,), key=KEY)
    assert result.unproven.all()


def flown(seconds: int, begins_s: int, **sight: Any) -> Finding:
    """A look a second at what radar follows alone until a claim begins; `sight` may be functions of the second."""
    made = Witness()
    for second in range(seconds):
        now = {name: value(second) if callable(value) else value for name, value in sight.items()}
        said: dict[str, Any] = {"key": KEY} if second >= begins_s else {}
        result = look(made, second, {"birth_us": T0_US - 20 * S}, **said, **now)
    return result


ALOFT = {"airliner": True, "earshot": False, "p_low": 0.0, "p_slow": 0.0}


def test_an_airliner_that_comes_into_earshot_is_an_ordinary_late_claim_once_radar_agrees() -> None:
    begins_s = round(ALOFT_S)
    assert flown(begins_s + round(AGREES_S) - 1, begins_s, **ALOFT).unproven.all()
    assert not flown(begins_s + round(AGREES_S) + 2, begins_s, **ALOFT).unproven.any()


@pytest.mark.parametrize(
    "otherwise",
    [
        {"airliner": False, "p_low": 1.0, "p_slow": 1.0},  # a drone below the horizon, and then above it
        {"airliner": lambda t_s: t_s >= 60, "p_low": 1.0},  # it climbed just before
        {"earshot": True},  # it kept silent where it would have been heard
        {"earshot": lambda t_s: t_s >= ALOFT_S - EARSHOT_S - 1},  # and where it came into earshot, too long
        {"alike": False},  # the claim says another flight
        {"alike": lambda t_s: t_s % 9 > 0},
        {"doubted": True},
    ],
)
def test_a_claim_that_begins_at_the_horizon_is_not_proven_by_that(otherwise: dict[str, Any]) -> None:
    begins_s = round(ALOFT_S)
    assert flown(begins_s + 200, begins_s, **{**ALOFT, **otherwise}).unproven.all()


@given(st.integers(5, 150), st.integers(0, 150), st.integers(0, 150), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_only_an_airliner_of_radar_that_nobody_could_have_heard_is_exempt(
    begins_s: int, climbs_s: int, heard_s: int, p_low: float, p_slow: float
) -> None:
    """Whatever the order in which it climbs, comes into earshot and begins to claim."""
    result = flown(
        begins_s + 30, begins_s,
        airliner=lambda t_s: t_s >= climbs_s, earshot=lambda t_s: t_s >= heard_s, p_low=p_low, p_slow=p_slow,
    )  # fmt: skip
    aloft = begins_s - climbs_s >= ALOFT_S
    silent = begins_s - max(heard_s, climbs_s) > EARSHOT_S
    assert result.unproven.tolist() == [not (aloft and not silent)]
    if result.unproven.all():
        assert (result.p_low.tolist(), result.p_slow.tolist()) == ([p_low], [p_slow])
