"""Readers of others for maps: GDAL's (pyogrio, what ogrinfo is made of) and a library of CZML. In an environment apart.

python maps.py ogr FILE     layers with their features as GDAL finds them, as JSON
python maps.py table FILE   rows of a CSV file as GDAL finds them, every field as text, as JSON
python maps.py czml FILE    packets as czml3 reads them, which refuses what CZML does not know, as JSON
"""

from __future__ import annotations

import json
import struct
import sys
from typing import Any


def points(wkb: bytes) -> list[float] | str:
    """Coordinates of a point (two or three), or the kind of anything else."""
    kind = struct.unpack_from("<I", wkb, 1)[0]
    if kind in (1, 1001, 0x80000001):
        return list(struct.unpack_from("<dd" if kind == 1 else "<ddd", wkb, 5))
    return {3: "polygon", 1003: "polygon", 0x80000003: "polygon"}.get(kind, f"kind {kind}")


def ogr(path: str) -> dict[str, Any]:
    """Every layer of a file."""
    import pyogrio

    found: dict[str, Any] = {}
    for name in [str(row[0]) for row in pyogrio.list_layers(path)]:
        about = pyogrio.read_info(path, layer=name)
        meta, _, geometry, values = pyogrio.raw.read(path, layer=name)
        fields = [str(field) for field in meta["fields"]]
        rows = zip(*values, strict=True) if len(values) else [()] * len(geometry)
        found[name] = {
            "driver": about["driver"],
            "crs": str(about["crs"]),
            "features": [
                {"at": points(bytes(one)), **{key: str(value) for key, value in zip(fields, row, strict=True)}}
                for one, row in zip(geometry, rows, strict=True)
            ],
        }
    return found


def table(path: str) -> list[dict[str, str]]:
    """Every row of a table without places."""
    import pyogrio

    meta, _, _, values = pyogrio.raw.read(path, read_geometry=False, AUTODETECT_TYPE="NO")
    return [dict(zip(map(str, meta["fields"]), map(str, row), strict=True)) for row in zip(*values, strict=True)]


def czml(path: str) -> list[Any]:
    """Every packet of a file."""
    from czml3.core import Packet

    with open(path, encoding="utf-8") as file:
        return [json.loads(Packet.model_validate(one).model_dump_json(exclude_none=True)) for one in json.load(file)]


if __name__ == "__main__":
    print(json.dumps({"ogr": ogr, "table": table, "czml": czml}[sys.argv[1]](sys.argv[2])))
