"""CAT062 beside an independent decoder: random records, real ones, and what we wrote ourselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.asterix import DAY_US, HEADER, blocks
from adapters.asterixitems import CLIMB_UNIT_MPS, FOOT_M, HEIGHT_UNIT_M, LEVEL_UNIT_M
from adapters.formats import cat062
from adapters.formats.cat062 import AGE_UNIT_S, PLACE_UNIT_RAD, PLANE_UNIT_M, VELOCITY_UNIT_MPS, SystemTracks
from fusion.schema import SensorKind, SensorSpec
from tests.asterixjudge import JUDGES, anything, follows, judged, ours, part, quantity, text, theirs, whole

CROATIA = "recordings/asterix-croatia-samples"
NEIGHBOUR = SensorSpec("N1", 0, SensorKind.TRACK)
RX_US = 20_500 * DAY_US + 40_000_000_000
# Numbers, as the other decoder has them: item, parts of it, its unit, and what one of that is in ours
NUMBERS: dict[str, tuple[str, tuple[str, ...], str, float]] = {
    "lat_rad": ("105", ("LAT",), "°", np.pi / 180.0),
    "lon_rad": ("105", ("LON",), "°", np.pi / 180.0),
    "x_m": ("100", ("X",), "m", 1.0),
    "y_m": ("100", ("Y",), "m", 1.0),
    "velocity_x_mps": ("185", ("VX",), "m/s", 1.0),
    "velocity_y_mps": ("185", ("VY",), "m/s", 1.0),
    "acceleration_x_mps2": ("210", ("AX",), "m/s²", 1.0),
    "acceleration_y_mps2": ("210", ("AY",), "m/s²", 1.0),
    "height_m": ("130", (), "ft", FOOT_M),
    "level_m": ("135", ("CTB",), "FL", 100.0 * FOOT_M),
    "pressure_height_m": ("136", (), "FL", 100.0 * FOOT_M),
    "climb_mps": ("220", (), "ft/min", FOOT_M / 60.0),
    "age_s": ("290", ("TRK",), "s", 1.0),
    "psr_age_s": ("290", ("PSR",), "s", 1.0),
    "ssr_age_s": ("290", ("SSR",), "s", 1.0),
    "modes_age_s": ("290", ("MDS",), "s", 1.0),
    "adsb_age_s": ("290", ("ES",), "s", 1.0),
    "pressure_height_age_s": ("295", ("MFL",), "s", 1.0),
    "sigma_x_m": ("500", ("APC", "X"), "m", 1.0),
    "sigma_y_m": ("500", ("APC", "Y"), "m", 1.0),
    "sigma_lat_rad": ("500", ("APW", "LAT"), "°", np.pi / 180.0),
    "sigma_lon_rad": ("500", ("APW", "LON"), "°", np.pi / 180.0),
    "sigma_height_m": ("500", ("AGA",), "ft", FOOT_M),
    "sigma_velocity_x_mps": ("500", ("ATV", "X"), "m/s", 1.0),
    "sigma_velocity_y_mps": ("500", ("ATV", "Y"), "m/s", 1.0),
    "sigma_climb_mps": ("500", ("ARC",), "ft/min", FOOT_M / 60.0),
}
WORDS = {  # whole numbers: item and part
    "service": ("015", ()), "number": ("040", ()), "address": ("380", ("ADR",)), "category": ("380", ("EMC",)),
    "mode3a": ("060", ("MODE3A",)), "turn": ("200", ("TRANS",)), "pace": ("200", ("LONG",)),
    "vertical": ("200", ("VERT",)),
}  # fmt: skip
BITS = {
    "mono": "MON", "spi": "SPI", "geometric": "MRH", "height_source": "SRC", "tentative": "CNF", "simulated": "SIM",
    "ended": "TSE", "begun": "TSB", "inconsistent": "AFF", "coasting": "CST", "psr_old": "PSR", "ssr_old": "SSR",
    "modes_old": "MDS", "adsb_old": "ADS", "sensing": "SDS", "emergency": "EMS", "doubtful": "PFT", "on_surface": "SFC",
}  # fmt: skip


def test_the_table_names_every_item_of_the_edition() -> None:
    names = [name for name in cat062.LAYOUT.column if "/" not in name]
    assert sorted(names) == sorted(JUDGES[62].cv_record.cv_items_dict)


def check(t: SystemTracks, row: int, record: Any) -> None:
    """One track beside the other decoder's."""
    items = {name: item for name in cat062.LAYOUT.column if "/" not in name and (item := record.get_item(name))}
    for field, (item, names, unit, scale) in NUMBERS.items():
        there = item in items and (not names or part(items[item], names[0]) is not None)
        value = quantity(items[item], unit, *names) * scale if there else np.nan
        assert getattr(t, field)[row] == pytest.approx(value, abs=1e-6, nan_ok=True), field
    root = part(items.get("500"), "COV")
    root_m = np.nan if root is None else quantity(items["500"], "m", "COV")
    assert t.cov_xy_m2[row] == pytest.approx(np.copysign(root_m**2, root_m), abs=1e-6, nan_ok=True)
    for field, (item, names) in WORDS.items():
        said = part(items.get(item), *names)
        assert getattr(t, field)[row] == (-1 if said is None else min(said, 127) if field == "category" else said), (
            field
        )
    for field, name in BITS.items():
        assert getattr(t, field)[row] == (part(items.get("080"), name) or 0), field
    if "070" in items:
        assert t.day_us[row] / 1e6 == pytest.approx(quantity(items["070"], "s"), abs=1e-6)
    name = text(items["245"], "CHR") if "245" in items else ""
    if not name and part(items.get("380"), "ID") is not None:
        name = text(items["380"], "ID")
    assert t.callsign[row].decode() == name


def test_any_record_says_what_the_other_decoder_reads() -> None:
    data = anything(cat062.LAYOUT, 50, seed=4)
    assert ours(cat062.LAYOUT, data) == theirs(cat062.LAYOUT, data)
    tracks, faults = cat062.decode(data)
    assert not faults
    assert len(tracks) == 50
    for row, record in enumerate(judged(62, data)):
        check(tracks, row, record)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["cat_062_065.pcap", "cat062cat065.raw"])
def test_real_tracks_are_read_as_the_other_decoder_reads_them(data: Path, name: str) -> None:
    octets = whole(data / CROATIA / name)
    tracks, faults = cat062.decode(octets)
    assert not faults
    assert len(tracks) == 2
    assert ours(cat062.LAYOUT, octets) == theirs(cat062.LAYOUT, octets)
    for row, record in enumerate(judged(62, octets)):
        check(tracks, row, record)
    same(tracks, cat062.decode(b"".join(cat062.encode(tracks)))[0])


@pytest.mark.real_data
def test_of_an_edition_that_nobody_knows_any_more_both_follow_the_same_blocks(data: Path) -> None:
    """A hundred blocks of 2008, with items in another order: most cannot be followed, and none stops us."""
    octets, followed = whole(data / CROATIA / "asterix.pcap"), 0
    for where in blocks(octets):
        block = octets[where.start - HEADER : where.stop]
        tracks, faults = cat062.decode(block)
        assert bool(faults) == (not follows(62, block))
        if not faults:
            followed += 1
            for row, record in enumerate(judged(62, block)):
                check(tracks, row, record)
    assert followed == 28


def random_tracks(rng: np.random.Generator, n: int) -> SystemTracks:
    """Tracks in the units of CAT062."""

    def column(low: int, high: int, kind: Any = np.int32) -> Any:
        return rng.integers(low, high, n, endpoint=True).astype(kind)

    def measured(low: int, high: int, unit: float, where: Any = None) -> Any:
        there = rng.random(n) < 0.7 if where is None else where
        return np.where(there, column(low, high, np.int64) * unit, np.nan)

    letters = np.frombuffer(b"ABCXYZ0189", "S1")
    names = [b"".join(rng.choice(letters, rng.integers(0, 9)).tolist()) for _ in range(n)]
    placed, plane, moving, speeding, mode, sx, sw, sv = (rng.random(n) < 0.7 for _ in range(8))
    bits: dict[str, Any] = {
        name: column(0, (1 << width) - 1, np.int8) for fields in cat062.STATUS for name, _, width in fields
    }
    quiet = rng.random(n) < 0.3
    bits = {name: np.where(quiet, 0, value).astype(np.int8) for name, value in bits.items()}
    modes: dict[str, Any] = {
        name: np.where(mode, column(0, 3), -1).astype(np.int8) for name in ("turn", "pace", "vertical")
    }
    ages: dict[str, Any] = {name: measured(0, 255, AGE_UNIT_S) for name in cat062.AGES.values()}
    root_m = measured(-32_768, 32_767, PLANE_UNIT_M)
    return SystemTracks(
        sac=column(0, 255), sic=column(0, 255), service=column(-1, 255), number=column(-1, 65_535),
        day_us=np.where(quiet, -1, column(0, 86_400 * 128 - 1, np.int64) * 15_625 // 2),
        lat_rad=measured(-(1 << 24), 1 << 24, PLACE_UNIT_RAD, placed),
        lon_rad=measured(-(1 << 25), (1 << 25) - 1, PLACE_UNIT_RAD, placed),
        x_m=measured(-(1 << 23), (1 << 23) - 1, PLANE_UNIT_M, plane),
        y_m=measured(-(1 << 23), (1 << 23) - 1, PLANE_UNIT_M, plane),
        velocity_x_mps=measured(-32_768, 32_767, VELOCITY_UNIT_MPS, moving),
        velocity_y_mps=measured(-32_768, 32_767, VELOCITY_UNIT_MPS, moving),
        acceleration_x_mps2=measured(-128, 127, VELOCITY_UNIT_MPS, speeding),
        acceleration_y_mps2=measured(-128, 127, VELOCITY_UNIT_MPS, speeding),
        height_m=measured(-240, 32_000, HEIGHT_UNIT_M), level_m=measured(-40, 6_000, LEVEL_UNIT_M),
        pressure_height_m=measured(-40, 6_000, LEVEL_UNIT_M), climb_mps=measured(-32_768, 32_767, CLIMB_UNIT_MPS),
        mode3a=column(-1, 0o7777), callsign=np.array(names, "S8"), address=column(-1, (1 << 24) - 1),
        category=column(-1, 24, np.int8), **modes, **bits, **ages,
        sigma_x_m=measured(0, 65_535, PLANE_UNIT_M, sx), sigma_y_m=measured(0, 65_535, PLANE_UNIT_M, sx),
        cov_xy_m2=np.sign(root_m) * root_m**2,
        sigma_lat_rad=measured(0, 65_535, PLACE_UNIT_RAD, sw), sigma_lon_rad=measured(0, 65_535, PLACE_UNIT_RAD, sw),
        sigma_height_m=measured(0, 255, HEIGHT_UNIT_M),
        sigma_velocity_x_mps=measured(0, 255, VELOCITY_UNIT_MPS, sv),
        sigma_velocity_y_mps=measured(0, 255, VELOCITY_UNIT_MPS, sv), sigma_climb_mps=measured(0, 255, CLIMB_UNIT_MPS),
    )  # fmt: skip


def same(one: SystemTracks, other: SystemTracks) -> None:
    """Field by field."""
    for name in SystemTracks.__dataclass_fields__:
        own, back = getattr(one, name), getattr(other, name)
        equal = np.isclose(own, back, rtol=1e-12, equal_nan=True) if own.dtype.kind == "f" else own == back
        assert equal.all(), name


@settings(max_examples=10)
@given(st.integers(0, 1 << 32), st.integers(1, 15))
def test_what_is_written_reads_back_here_and_there(seed: int, n: int) -> None:
    tracks = random_tracks(np.random.default_rng(seed), n)
    octets = b"".join(cat062.encode(tracks))
    again, faults = cat062.decode(octets)
    assert not faults
    same(tracks, again)
    others = judged(62, octets)
    assert len(others) == n
    for row, record in enumerate(others):
        check(tracks, row, record)


def test_blocks_keep_their_limit_and_their_order() -> None:
    tracks = random_tracks(np.random.default_rng(5), 300)
    made = cat062.encode(tracks, most=500)
    assert max(map(len, made)) <= 500
    assert len(made) > 20
    same(tracks, cat062.decode(b"".join(made))[0])


def blank(n: int, **given: Any) -> SystemTracks:
    """Good tracks of a neighbour, with these columns instead."""
    template = random_tracks(np.random.default_rng(1), n)
    columns = {name: np.full(n, -1, getattr(template, name).dtype) for name in SystemTracks.__dataclass_fields__}
    columns |= {name: np.full(n, np.nan) for name, column in columns.items() if column.dtype.kind == "f"}
    columns |= {name: np.zeros(n, np.int8) for name in BITS}
    columns |= {"callsign": np.full(n, b"LOT1", "S8"), "day_us": np.full(n, RX_US % DAY_US - 500_000)}
    columns |= {"lat_rad": np.full(n, 0.9), "lon_rad": np.full(n, 0.4), "address": np.full(n, 0x489ABC, np.int32)}
    columns |= {name: np.asarray(value, columns[name].dtype) for name, value in given.items()}
    return SystemTracks(**columns)


def test_only_what_is_new_becomes_a_neighbours_report() -> None:
    on = np.eye(7, dtype=np.int8)
    tracks = blank(7, ended=on[0], coasting=on[1], tentative=on[2], doubtful=on[3], simulated=on[4],
                   lat_rad=np.where(on[5] == 1, np.nan, 0.9))  # fmt: skip
    decoded = cat062.plots(tracks, NEIGHBOUR, RX_US)
    reasons = ("ended", "coasting", "tentative", "doubtful", "simulated", "missing-field")
    assert decoded.rejected == dict.fromkeys(reasons, 1)
    assert decoded.batch.t_us.tolist() == [RX_US - 500_000]
    assert decoded.batch.address.tolist() == [0x489ABC]


def test_an_identity_that_is_contradicted_is_not_passed_on() -> None:
    tracks = blank(2, inconsistent=[0, 1], sigma_x_m=[30.0, 0.0], sigma_y_m=[40.0, 0.0])
    batch = cat062.plots(tracks, NEIGHBOUR, RX_US).batch
    assert batch.address.tolist() == [0x489ABC, -1]
    assert batch.callsign.tolist() == [b"LOT1", b""]
    assert batch.sigma_position_m == pytest.approx([np.sqrt(1_250.0), 0.5])
