"""A sample of the soak's campaign on what leaves for maps and networks; and what is told otherwise is seen."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from adapters.formats import cot, czml, geojson, kml, readsb, sapient
from adapters.rows import Told
from tests.soak import texts
from tests.soak.texts import FORMATS, all_alike, any_track, there_and_back


def test_tracks_read_back_here_and_there_in_every_format() -> None:
    counts = there_and_back("1", 120)
    (verdict,) = all_alike([counts])
    assert verdict.holds, verdict.words
    assert len(counts) == 1 + len(FORMATS)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_place_that_is_told_otherwise_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One track of three is written a metre further north than it is."""
    rng = np.random.default_rng(2)
    rows = [any_track(rng, counter) for counter in range(3)]

    def moved(row: Told) -> Told:
        return msgspec.structs.replace(row, lat_deg=(row.lat_deg or 0.0) + 1e-5) if row is rows[1] else row

    def many(made: object) -> object:
        return lambda given, *rest: made([moved(row) for row in given], *rest)  # type: ignore[operator]

    def one(made: object) -> object:
        return lambda *given: made(*(moved(each) if isinstance(each, Told) else each for each in given))  # type: ignore[operator]

    places = {
        "cot": (cot, "encode"), "geojson": (geojson, "track"), "kml": (kml, "encode"), "czml": (czml, "track"),
        "aircraft": (readsb, "picture"), "sapient": (sapient, "detection"),
    }  # fmt: skip
    module, function = places[name]
    written = getattr(module, function)
    if name == "cot":
        monkeypatch.setattr(cot, "encode", lambda event: written(replace(event, lat_deg=event.lat_deg * 0.999)))
    else:
        monkeypatch.setattr(module, function, (many if name in ("kml", "aircraft") else one)(written))
    assert FORMATS[name](rows) >= 1
    assert texts.TRACKS * texts.PIECES == 100_000
