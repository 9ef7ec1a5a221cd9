"""A table of tracks for tests of the formats: seeded, with every kind of gap that a real one has."""

from __future__ import annotations

import numpy as np

from adapters.wire import Names
from fusion.schema import Assessment, ObjectClass, Tracks, TrackStatus

T_US = 1_795_414_500_123_000  # 2026-11-23T06:15:00.123Z
NAMES = Names("test", ("LT", "BY", "PL"), ("Lithuania", "Belarus", "Poland"), ("A1", "R1", "R2"))


def table(n: int, seed: int = 1) -> tuple[Tracks, Assessment]:
    """`n` tracks and their assessment."""
    luck = np.random.default_rng(seed)

    def gaps(values: np.ndarray, share: float = 0.3) -> np.ndarray:
        return np.where(luck.random(n) < share, np.nan, values)

    def times(share: float) -> np.ndarray:
        return np.where(luck.random(n) < share, -1, T_US - luck.integers(0, 30_000_000, n))

    tracks = Tracks(
        epoch=7,
        t_us=T_US,
        id=np.arange(1, n + 1, dtype=np.int64),
        birth_us=T_US - luck.integers(30_000_000, 900_000_000, n),
        confirmed_us=T_US - luck.integers(20_000_000, 30_000_000, n),
        update_us=T_US - luck.integers(0, 5_000_000, n),
        rx_us=T_US - luck.integers(0, 4_000_000, n),
        state=luck.normal(0, 1e6, (n, 6)),
        cov=np.tile(np.eye(6) * 100.0, (n, 1, 1)),
        mode=np.tile([0.5, 0.3, 0.2], (n, 1)),
        existence=luck.uniform(0.9, 1.0, n),
        status=luck.choice([TrackStatus.CONFIRMED, TrackStatus.COASTING], n).astype(np.int8),
        address=np.where(luck.random(n) < 0.5, -1, luck.integers(0, 1 << 24, n)).astype(np.int32),
        mode3a=np.where(luck.random(n) < 0.5, -1, luck.integers(0, 0o10000, n)).astype(np.int32),
        mode3a_us=np.full(n, T_US - 2_000_000),
        category=luck.integers(-1, 25, n).astype(np.int8),
        callsign=luck.choice(np.array([b"", b"LOT123", b"DLH4"], "S8"), n),
        serial=luck.choice(np.array([b"", b"1596F3"], "S20"), n),
        claim_us=times(0.5),
        radar_us=times(0.2),
        height_us=times(0.3),
        pressure_height_m=np.where(np.arange(n) % 3 == 0, np.nan, 25.0 * np.arange(n) - 50.0),
        pressure_height_us=np.where(np.arange(n) % 3 == 0, -1, T_US - 1_500_000),
        hits=luck.integers(2, 500, n).astype(np.int32),
        unseen=np.zeros(n),
        sensors=luck.integers(0, 8, n).astype(np.uint64),
    )
    known = luck.random(n) < 0.7
    assessment = Assessment(
        lat_rad=np.radians(luck.uniform(54, 56, n)),
        lon_rad=np.radians(luck.uniform(22, 27, n)),
        height_m=luck.uniform(0, 12_000, n),
        sigma_height_m=luck.uniform(10, 300, n),
        sigma_horizontal_m=luck.uniform(20, 900, n),
        speed_mps=luck.uniform(0, 260, n),
        sigma_speed_mps=luck.uniform(0.5, 10, n),
        course_rad=luck.uniform(0, 2 * np.pi, n),
        climb_mps=luck.normal(0, 5, n),
        state=luck.integers(-1, 3, n).astype(np.int16),
        p_state=luck.uniform(0.5, 1, n),
        disputed=luck.random(n) < 0.05,
        near_state=luck.integers(-1, 3, n).astype(np.int16),
        distance_m=gaps(luck.uniform(-80_000, 80_000, n)),
        sigma_distance_m=gaps(luck.uniform(20, 900, n)),
        p_inside=gaps(luck.random(n)),
        time_to_border_s=gaps(luck.uniform(0, 900, n), 0.7),
        sigma_time_s=gaps(luck.uniform(1, 60, n), 0.7),
        crossing_lat_rad=gaps(np.radians(luck.uniform(54, 56, n)), 0.7),
        crossing_lon_rad=gaps(np.radians(luck.uniform(22, 27, n)), 0.7),
        agl_m=luck.uniform(0, 12_000, n),
        sigma_agl_m=luck.uniform(10, 300, n),
        height_known=known,
        p_low=np.where(known, luck.random(n), np.nan),
        p_slow=luck.random(n),
        cooperative=luck.random(n) < 0.5,
        contradicted=luck.random(n) < 0.02,
        doubt=(np.arange(n) % 10).astype(np.int8),
        object_class=luck.integers(0, len(ObjectClass), n).astype(np.int8),
        p_class=luck.uniform(0.3, 1, n),
        p_classes=luck.dirichlet(np.full(len(ObjectClass), 0.3), n),
    )
    return tracks, assessment
