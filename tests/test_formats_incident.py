"""An incident reads back as it was written, to the bit; only one too long for a message is cut, and says so."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adapters import wire
from adapters.formats import incident
from adapters.samples import happened
from fusion.cases.casefile import MAX_ALERTS, MAX_PASSED, MAX_SIGHTINGS
from fusion.cases.orders import MAX_TEXT
from fusion.cases.record import Incident, Member
from fusion.incidents import IncidentParams
from tests.scene import NAMES
from tests.test_formats_out import PLACES, TEXTS, same, values

TIMES = st.integers(wire.EARLIEST_US, wire.LATEST_US - 1)
LISTS = st.lists(TEXTS, max_size=4).map(tuple)


def drawn(kind: type[Any], **given_: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Any of a frozen type, by the names and types of its fields."""
    by_type = {"str": TEXTS, "int": st.integers(-(2**31), 2**31), "bool": st.booleans(), "tuple[str, ...]": LISTS}
    chosen = dict(given_)
    for field in fields(kind):
        if field.name not in chosen:
            chosen[field.name] = (
                TIMES | st.just(-1) if field.name.endswith("_us") else by_type.get(str(field.type), PLACES)
            )
    return st.builds(kind, **chosen)


MEMBERS = drawn(Member, lat_rad=PLACES | st.just(np.nan), lon_rad=PLACES | st.just(np.nan))
INCIDENTS = drawn(Incident, t_us=TIMES, raised_us=TIMES, members=st.lists(MEMBERS, max_size=3).map(tuple))


@given(INCIDENTS)
def test_every_incident_reads_back_exactly(made: Incident) -> None:
    payload = incident.encode(made, NAMES, 3)
    got = incident.decode(payload)
    assert same(got, made)
    assert incident.encode(got, NAMES, 3) == payload


def test_an_incident_says_who_reacted_when_and_has_no_nulls() -> None:
    said = json.loads(incident.encode(happened(), NAMES, 3))
    assert (next(iter(said)), said["schema"], said["seq"]) == ("schema", "vedette.incident.v1", 3)
    assert said["near_state_name"] == "Lithuania"
    assert said["reaction"] == {
        "first_plot_to_confirmed_s": 10.0, "confirmed_to_alert_s": 30.0, "alert_to_acknowledged_s": 21.0,
    }  # fmt: skip
    again = replace(happened(), reopened_us=happened().acknowledged_us - 5_000_000)
    assert json.loads(incident.encode(again, NAMES, 3))["reaction"] == {
        "first_plot_to_confirmed_s": 10.0, "confirmed_to_alert_s": 30.0, "alert_to_acknowledged_s": 5.0,
    }, "the alert came when it came; people were called anew"  # fmt: skip
    assert None not in values(said)
    assert not {"taken_time", "handed_to", "close_reason", "shortened"} & set(said)


def test_the_longest_incident_fits_a_message() -> None:
    """As many members, alerts, states and words as there can be."""
    text = "\u00e9" * MAX_TEXT
    long = replace(
        happened().members[0], alerts=("0123456789abcdef",) * MAX_ALERTS, states=("LT", "BY") * (MAX_PASSED // 2)
    )
    long = replace(long, identity_by="x" * 64, lat_rad=0.9512345678901234, lon_rad=0.4312345678901234)
    whole = replace(
        happened(), members=(long,) * IncidentParams().max_members, sightings=("G" * 40,) * MAX_SIGHTINGS,
        identity_reason=text, handed_reason=text, close_reason=text,
    )  # fmt: skip
    payload = incident.encode(whole, NAMES, 1)
    assert len(payload) <= wire.MAX_PAYLOAD_BYTES
    assert json.loads(payload)["shortened"] is True
    got = incident.decode(payload)
    assert {member.alerts for member in got.members} == {long.alerts[:2]}
    cut = tuple(replace(member, alerts=long.alerts, states=long.states) for member in got.members)
    assert replace(got, members=cut) == whole
