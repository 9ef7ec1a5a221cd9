"""A second decoder of others beside ours: asterix-decoder, in a process and an environment of its own."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from adapters.asterixitems import FOOT_M, NM_M
from tests.conftest import ROOT

PYTHON = ROOT / ".venv" / "judges" / "asterix" / "bin" / "python"
RAD = math.pi / 180.0
LEVEL_M = 100.0 * FOOT_M
CLIMB = FOOT_M / 60.0
Place = tuple[str, ...]  # item, and the words within it
# What one of the peer's numbers is in ours: field of ours: (where, unit)
NUMBERS: Mapping[int, Mapping[str, tuple[Place, float]]] = {
    4: {"time_to_s": (("I070", "TCP", "TC"), 1.0)},
    15: {
        "lat_rad": (("I600", "P84", "Lat"), RAD), "lon_rad": (("I600", "P84", "Lon"), RAD),
        "sigma_x_m": (("I600", "HPP", "SD_HPx"), 1.0), "sigma_y_m": (("I600", "HPP", "SD_HPy"), 1.0),
        "height_m": (("I601", "GH", "GH"), 1.0), "sigma_height_m": (("I601", "SD_GH", "SD_GH"), 1.0),
        "velocity_x_mps": (("I602", "HV", "HVx"), 1.0), "velocity_y_mps": (("I602", "HV", "HVy"), 1.0),
        "sigma_velocity_x_mps": (("I602", "SD_HV", "SD_HVx"), 1.0),
        "sigma_velocity_y_mps": (("I602", "SD_HV", "SD_HVy"), 1.0), "climb_mps": (("I604", "VV", "VV"), 1.0),
        "range_m": (("I625", "R", "RNG"), 1.0), "sigma_range_m": (("I625", "SD_R", "SD_R"), 1.0),
        "range_rate_mps": (("I625", "RR", "RR"), 1.0), "azimuth_rad": (("I627", "Az", "Az"), RAD),
        "sigma_azimuth_rad": (("I627", "SD_Az", "SD_Az"), RAD), "elevation_rad": (("I628", "El", "El"), RAD),
        "sigma_elevation_rad": (("I628", "SD_El", "SD_El"), RAD),
    },
    21: {
        "lat_rad": (("I131", "Lat"), RAD), "lon_rad": (("I131", "Lon"), RAD),
        "height_m": (("I140", "geometric_height"), FOOT_M), "pressure_height_m": (("I145", "FL"), LEVEL_M),
        "speed_mps": (("I160", "GS"), NM_M), "course_rad": (("I160", "TA"), RAD),
        "climb_mps": (("I157", "GVR"), CLIMB), "pressure_climb_mps": (("I155", "BVR"), CLIMB),
    },
    48: {
        "range_m": (("I040", "RHO"), NM_M), "azimuth_rad": (("I040", "THETA"), RAD),
        "pressure_height_m": (("I090", "FL"), LEVEL_M), "height_m": (("I110", "3D_Height"), FOOT_M),
        "doppler_mps": (("I120", "CAL", "CAL"), 1.0), "heading_rad": (("I200", "CHdg"), RAD),
    },
    62: {
        "lat_rad": (("I105", "Lat"), RAD), "lon_rad": (("I105", "Lon"), RAD), "x_m": (("I100", "X"), 1.0),
        "y_m": (("I100", "Y"), 1.0), "velocity_x_mps": (("I185", "Vx"), 1.0), "velocity_y_mps": (("I185", "Vy"), 1.0),
        "acceleration_x_mps2": (("I210", "Ax"), 1.0), "acceleration_y_mps2": (("I210", "Ay"), 1.0),
        "height_m": (("I130", "Alt"), FOOT_M), "level_m": (("I135", "CTBA"), FOOT_M),
        "pressure_height_m": (("I136", "MFL"), FOOT_M), "climb_mps": (("I220", "RoC"), CLIMB),
        "age_s": (("I290", "TRK", "TRK"), 1.0), "psr_age_s": (("I290", "PSR", "PSR"), 1.0),
        "ssr_age_s": (("I290", "SSR", "SSR"), 1.0), "modes_age_s": (("I290", "MDS", "MDS"), 1.0),
        "adsb_age_s": (("I290", "ES", "ES"), 1.0), "pressure_height_age_s": (("I295", "MFL", "MFL"), 1.0),
        "sigma_x_m": (("I500", "APC", "APC_X"), 1.0),
        "sigma_y_m": (("I500", "APC", "APC_Y"), 1.0), "sigma_lat_rad": (("I500", "APW", "APW_Lat"), RAD),
        "sigma_lon_rad": (("I500", "APW", "APW_Long"), RAD), "sigma_height_m": (("I500", "AGA", "AGA_Acc"), FOOT_M),
        "sigma_velocity_x_mps": (("I500", "ATV", "ATV_X"), 1.0),
        "sigma_velocity_y_mps": (("I500", "ATV", "ATV_Y"), 1.0), "sigma_climb_mps": (("I500", "ARC", "ARC_Acc"), CLIMB),
    },
    63: {
        "time_bias_s": (("I070", "TSB"), 1e-3), "range_gain": (("I090", "PRG"), 1.0),
        "range_bias_m": (("I090", "PRB"), NM_M), "azimuth_bias_rad": (("I091", "PAB"), RAD),
        "elevation_bias_rad": (("I092", "PEB"), RAD),
    },
    65: {},
    205: {
        "lat_rad": (("I050", "LAT"), RAD), "lon_rad": (("I050", "LON"), RAD), "bearing_rad": (("I070", "THETA"), RAD),
        "elevation_rad": (("I200", "ELEVATION"), RAD),
    },
}  # fmt: skip
WORDS: Mapping[int, Mapping[str, tuple[Place, int]]] = {  # whole numbers; the base where they are text
    4: {
        "kind": (("I000", "MessageType"), 0), "alert": (("I040", "AlrtI"), 0), "status": (("I045", "STAT"), 0),
        "track": (("I030", "TrkN"), 0), "mode3a": (("I170", "M31", "M31"), 8),
    },
    15: {
        "kind": (("I000", "MT"), 0), "arrangement": (("I020", "MoMu"), 0), "taxonomy": (("I020", "TTAX"), 0),
        "number": (("I161", "TrkN"), 0), "coasting": (("I170", "CSTP"), 0), "tentative": (("I170", "CNF"), 0),
    },
    21: {
        "address": (("I080", "TAddr"), 16), "mode3a": (("I070", "Mode3A"), 8), "category": (("I020", "ECAT"), 0),
        "version": (("I210", "VN"), 0), "integrity": (("I090", "NUCp_or_NIC"), 0), "nacp": (("I090", "NACp"), 0),
        "velocity_accuracy": (("I090", "NUCr_or_NACv"), 0), "sil": (("I090", "SIL"), 0), "gva": (("I090", "GVA"), 0),
        "track": (("I161", "TrackN"), 0), "address_kind": (("I040", "ATP"), 0), "on_ground": (("I040", "GBS"), 0),
    },
    48: {
        "address": (("I220", "ACAddr"), 16), "mode3a": (("I070", "Mode3A"), 8), "track": (("I161", "Tn"), 0),
        "kind": (("I020", "TYP"), 0),
    },
    62: {
        "address": (("I380", "ADR", "ADR"), 16), "mode3a": (("I060", "Mode3A"), 8), "number": (("I040", "TrkN"), 0),
        "category": (("I380", "EMC", "ECAT"), 0), "service": (("I015", "SID"), 0), "turn": (("I200", "TRANSA"), 0),
        "pace": (("I200", "LONGA"), 0), "vertical": (("I200", "VERTA"), 0),
    },
    63: {
        "service": (("I015", "ServiceID"), 0), "sensor_sac": (("I050", "SAC"), 0), "sensor_sic": (("I050", "SIC"), 0),
        "state": (("I060", "CON"), 0),
    },
    65: {
        "kind": (("I000", "Typ"), 0), "service": (("I015", "SID"), 0), "batch": (("I020", "BTN"), 0),
        "state": (("I040", "NOGO"), 0), "report": (("I050", "REPORT"), 0),
    },
    205: {"kind": (("I000", "TYP"), 0), "finder": (("I170", "IDENT"), 0), "quality": (("I190", "Quality"), 0)},
}  # fmt: skip
BITS: Mapping[int, Mapping[str, Place]] = {  # 0 where they are not there
    15: {},
    205: {},
    4: {"severe": ("I120", "CCP", "CS"), "predicted": ("I120", "CNP", "AIW")},
    21: {"simulated": ("I040", "SIM"), "no_go": ("I040", "NOGO")},
    48: {"simulated": ("I020", "SIM")},
    62: {
        name: ("I080", word)
        for name, word in {
            "mono": "MON", "spi": "SPI", "geometric": "MRH", "height_source": "SRC", "tentative": "CNF",
            "simulated": "SIM", "ended": "TSE", "begun": "TSB", "inconsistent": "AFF", "coasting": "CST",
            "psr_old": "PSR", "ssr_old": "SSR", "modes_old": "MDS", "adsb_old": "ADS", "sensing": "SDS",
            "emergency": "EMS", "doubtful": "PFT", "on_surface": "SFC",
        }.items()
    },
    63: {"inhibited": ("I060", "OPS"), "silent": ("I060", "NPW")},
    65: {"overload": ("I040", "OVL"), "bad_clock": ("I040", "TSV")},
}  # fmt: skip
# Where it takes a sign otherwise than the specification, libasterix and Wireshark do: what a number differs by.
SIGN_LOST = {(15, "elevation_rad"): 180.0 * RAD, (15, "sigma_x_m"): 16_384.0, (15, "sigma_y_m"): 16_384.0}
CALLSIGN: Mapping[int, Place] = {
    4: ("I170", "AI1", "AI1"),
    21: ("I170", "TId"),
    48: ("I240", "TId"),
    62: ("I245", "TId"),
}


class Peer:
    """The other decoder; a context manager."""

    def __enter__(self) -> Self:
        if not PYTHON.exists():
            raise RuntimeError(f"asterix-decoder is not installed at {PYTHON}. Cure: make test")
        line = [str(PYTHON), str(ROOT / "tests" / "judges" / "decoder.py")]
        self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60.0)

    def read(self, blocks: Sequence[bytes]) -> list[dict[str, Any]]:
        """Every record that it finds in them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        found: list[dict[str, Any]] = []
        for block in blocks:  # one at a time: it reads its input to the end before it answers, so no pipe fills up
            self._process.stdin.write(block.hex().encode() + b"\n")
            self._process.stdin.flush()
            found += json.loads(self._process.stdout.readline())
        return found


def there(record: Mapping[str, Any], place: Place) -> Any:
    """What stands at a place; None where nothing does."""
    found: Any = record
    for word in place:
        found = found.get(word) if isinstance(found, dict) else None
    return found


def differences(category: int, ours: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    """Fields that the peer reads otherwise."""
    found = []
    for name, (place, unit) in NUMBERS[category].items():
        said, lost = there(record, place), SIGN_LOST.get((category, name), 0.0)
        if not any(_near(ours[name] + turn, said, unit) for turn in dict.fromkeys((0.0, lost, -lost))):
            found.append(name)
    for name, (place, base) in WORDS[category].items():
        said = there(record, place)
        if (-1 if said is None else int(said, base) if base else said) != ours[name]:
            found.append(name)
    found += [name for name, place in BITS[category].items() if (there(record, place) or 0) != ours[name]]
    if category in CALLSIGN and str(there(record, CALLSIGN[category]) or "").rstrip() != _text(ours["callsign"]):
        found.append("callsign")
    return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _near(own: float, said: float | None, unit: float) -> bool:
    if said is None:
        return math.isnan(own)
    return math.isclose(own, said * unit, rel_tol=1e-9, abs_tol=1e-6)
