"""A third decoder of others beside ours: Wireshark's, as `tshark` reads a capture. One record a data block."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.asterixitems import FOOT_M, NM_M
from tests.asterixpeer import BITS, CLIMB, LEVEL_M, RAD
from tests.conftest import need
from tests.test_bridges_asterix import capture

PORT = 8600  # of the captures that are made here
# Fields of ours by what tshark calls the number, and the unit of that
NUMBERS: Mapping[int, Mapping[str, tuple[str, float]]] = {
    4: {"time_to_s": ("070_TC_VALUE", 1.0)},
    15: {
        "lat_rad": ("600_P84_LATITUDE", RAD), "lon_rad": ("600_P84_LONGITUDE", RAD),
        "sigma_x_m": ("600_HPP_SDHPX", 1.0), "sigma_y_m": ("600_HPP_SDHPY", 1.0), "height_m": ("601_GH_VALUE", 1.0),
        "sigma_height_m": ("601_SDGH_VALUE", 1.0), "velocity_x_mps": ("602_HV_X", 1.0),
        "velocity_y_mps": ("602_HV_Y", 1.0), "sigma_velocity_x_mps": ("602_SDHV_X", 1.0),
        "sigma_velocity_y_mps": ("602_SDHV_Y", 1.0), "climb_mps": ("604_VV_VALUE", 1.0),
        "range_m": ("625_R_VALUE", 1.0), "sigma_range_m": ("625_SDR_VALUE", 1.0),
        "range_rate_mps": ("625_RR_VALUE", 1.0), "azimuth_rad": ("627_AZ_VALUE", RAD),
        "sigma_azimuth_rad": ("627_SDASZ_VALUE", RAD), "elevation_rad": ("628_EL_VALUE", RAD),
        "sigma_elevation_rad": ("628_SDEL_VALUE", RAD),
    },
    21: {
        "lat_rad": ("131_LAT", RAD), "lon_rad": ("131_LON", RAD), "height_m": ("140_VALUE", FOOT_M),
        "pressure_height_m": ("145_VALUE", LEVEL_M), "speed_mps": ("160_GS", NM_M), "course_rad": ("160_TA", RAD),
        "climb_mps": ("157_GVR", CLIMB), "pressure_climb_mps": ("155_BVR", CLIMB),
    },
    48: {
        "range_m": ("040_RHO", NM_M), "azimuth_rad": ("040_THETA", RAD), "pressure_height_m": ("090_FL", LEVEL_M),
        "height_m": ("110_3DH", FOOT_M), "doppler_mps": ("120_CAL_CAL", 1.0), "speed_mps": ("200_GSP", NM_M),
        "heading_rad": ("200_HDG", RAD),
    },
    62: {
        "lat_rad": ("105_LAT", RAD), "lon_rad": ("105_LON", RAD), "x_m": ("100_X", 1.0), "y_m": ("100_Y", 1.0),
        "velocity_x_mps": ("185_VX", 1.0), "velocity_y_mps": ("185_VY", 1.0), "acceleration_x_mps2": ("210_AX", 1.0),
        "acceleration_y_mps2": ("210_AY", 1.0), "height_m": ("130_VALUE", FOOT_M), "level_m": ("135_CTB", LEVEL_M),
        "pressure_height_m": ("136_VALUE", LEVEL_M), "climb_mps": ("220_VALUE", CLIMB),
        "age_s": ("290_TRK_VALUE", 1.0), "psr_age_s": ("290_PSR_VALUE", 1.0), "ssr_age_s": ("290_SSR_VALUE", 1.0),
        "modes_age_s": ("290_MDS_VALUE", 1.0), "adsb_age_s": ("290_ES_VALUE", 1.0),
        "pressure_height_age_s": ("295_MFL_VALUE", 1.0), "sigma_x_m": ("500_APC_X", 1.0),
        "sigma_y_m": ("500_APC_Y", 1.0), "sigma_lat_rad": ("500_APW_LAT", RAD), "sigma_lon_rad": ("500_APW_LON", RAD),
        "sigma_height_m": ("500_AGA_VALUE", FOOT_M), "sigma_velocity_x_mps": ("500_ATV_X", 1.0),
        "sigma_velocity_y_mps": ("500_ATV_Y", 1.0), "sigma_climb_mps": ("500_ARC_VALUE", CLIMB),
    },
    63: {
        "time_bias_s": ("070_VALUE", 1e-3), "range_gain": ("090_PRG", 1.0), "range_bias_m": ("090_PRB", NM_M),
        "azimuth_bias_rad": ("091_VALUE", RAD), "elevation_bias_rad": ("092_VALUE", RAD),
    },
    65: {},
}  # fmt: skip
WORDS: Mapping[int, Mapping[str, str]] = {
    4: {
        "kind": "000_VALUE", "alert": "040_VALUE", "status": "045_STAT", "track": "030_VALUE",
        "mode3a": "170_M31_MODE3A",
    },
    15: {
        "sac": "010_SAC", "sic": "010_SIC", "kind": "000_MT", "arrangement": "020_MOMU", "taxonomy": "020_TTAX",
        "number": "161_VALUE", "coasting": "170_CSTP", "tentative": "170_CNF",
    },
    21: {
        "address": "080_VALUE", "mode3a": "070_MODE3A", "category": "020_VALUE", "version": "210_VN",
        "nacp": "090_NACP",
        "integrity": "090_NUCPNIC", "velocity_accuracy": "090_NUCRNACV", "sil": "090_SIL", "gva": "090_GVA",
        "track": "161_TRNUM", "address_kind": "040_ATP", "on_ground": "040_GBS",
    },
    48: {"address": "220_VALUE", "mode3a": "070_MODE3A", "track": "161_TRN", "kind": "020_TYP"},
    62: {
        "address": "380_ADR_VALUE", "mode3a": "060_MODE3A", "number": "040_VALUE", "category": "380_EMC_VALUE",
        "service": "015_VALUE", "turn": "200_TRANS", "pace": "200_LONG", "vertical": "200_VERT",
    },
    63: {"service": "015_VALUE", "sensor_sac": "050_SAC", "sensor_sic": "050_SIC", "state": "060_CON"},
    65: {"kind": "000_VALUE", "service": "015_VALUE", "batch": "020_VALUE", "state": "040_NOGO", "report": "050_VALUE"},
}  # fmt: skip
CALLSIGN: Mapping[int, str] = {4: "170_AI1_VALUE", 21: "170_VALUE", 48: "240_VALUE", 62: "245_CHR"}


def read(blocks: Sequence[bytes], file: Path) -> list[dict[str, str]]:
    """Every block as it dissects it: what it calls a number, without the category before it, and the number as text."""
    capture(file, *((1_774_000_000.0 + n, block) for n, block in enumerate(blocks)))
    line = [need("tshark"), "-n", "-r", str(file), "-d", f"udp.port=={PORT},asterix", "-T", "json"]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=300)
    layers = [packet["_source"]["layers"].get("asterix") for packet in json.loads(done.stdout)]
    return [dict(_leaves(layer)) for layer in layers if layer is not None]


def _leaves(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in found.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield name.removeprefix("asterix.").partition("_")[2], str(value)


def differences(category: int, ours: Mapping[str, Any], record: Mapping[str, str]) -> list[str]:
    """Fields that it reads otherwise. Levels of CAT048 below zero are left out: Wireshark 4.0 reads them unsigned."""
    found = []
    for name, (place, unit) in NUMBERS[category].items():
        own, said = ours[name], record.get(place)
        alike = math.isnan(own) if said is None else math.isclose(own, float(said) * unit, rel_tol=1e-9, abs_tol=1e-6)
        unsigned = category == 48 and name == "pressure_height_m" and own < 0.0
        found += [] if alike or unsigned else [name]
    found += [name for name, place in WORDS[category].items() if int(record.get(place, "-1"), 0) != ours[name]]
    for name, (item, *words) in BITS[category].items():
        part = {"CCP": "CC", "CNP": "CN"}  # as asterix-decoder calls the parts of I004/120
        place = "_".join([item[1:], *(part.get(word, word) for word in words)])
        found += [] if int(record.get(place, "0")) == ours[name] else [name]
    if category in CALLSIGN:
        own = ours["callsign"]
        own = own.decode() if isinstance(own, bytes) else own
        found += [] if record.get(CALLSIGN[category], "").rstrip() == own else ["callsign"]
    return found
