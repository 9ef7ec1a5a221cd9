"""Schemas of recorded payloads: every documented message has one that names its fields, and rubbish has none."""

from __future__ import annotations

import json

from adapters.payloadschema import schemas
from adapters.samples import samples
from replay.mcapfile import tick_data


def test_every_example_has_a_schema_with_all_its_fields() -> None:
    schema_of = schemas()
    for sample in samples():
        payload = sample.payload() if sample.payload else b""
        if not payload:
            continue
        found = schema_of(f"in/A1/{sample.topic.rpartition('/')[2]}", payload)
        assert found is not None, sample.topic
        named = json.loads(found[1])
        told = json.loads(payload)
        assert named["type"] == "object"
        if told.get("schema"):
            assert found[0] == told["schema"]


def test_ticks_marked_plots_and_rubbish() -> None:
    schema_of = schemas()
    tick = schema_of("tick", tick_data(5))
    assert tick is not None
    assert json.loads(tick[1]) == {"type": "object", "properties": {"time_us": {"type": "number"}}}
    marked = schema_of("in/R1/plots", b'{"simulated":true,"schema":"vedette.plots.v1","plots":[]}')
    assert marked is not None
    assert marked[0] == "vedette.plots.v1"
    for rubbish in (b"", b"\xff\xfe", b'{"schema":"vedette.made-up.v9",', b'[1,"schema":"x"]', b'"schema":"vedette.x"'):
        assert schema_of("in/R1/status", rubbish) is None
