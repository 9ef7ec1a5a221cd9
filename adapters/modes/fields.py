"""Units and emitter categories of ADS-B: what every format of receivers turns into ours."""

from __future__ import annotations

FOOT_M = 0.3048
KNOT_MPS = 1852.0 / 3600.0
FOOT_PER_MINUTE_MPS = FOOT_M / 60.0

# Emitter categories, DO-260B letters to the numbers of ASTERIX CAT021 I020.
CATEGORY = {
    "A0": 0, "A1": 1, "A2": 2, "A3": 3, "A4": 4, "A5": 5, "A6": 6, "A7": 10,
    "B0": 0, "B1": 11, "B2": 12, "B3": 16, "B4": 15, "B6": 13, "B7": 14,
    "C0": 0, "C1": 20, "C2": 21, "C3": 22, "C4": 23, "C5": 24,
}  # fmt: skip
