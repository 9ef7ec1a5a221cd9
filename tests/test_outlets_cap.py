"""Drafts of warnings: two levels, updates, all-clear and cancel under one incident; never Actual of what is played."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import shapely
from geographiclib.geodesic import Geodesic
from msgspec.structs import replace as changed

from adapters import samples
from adapters.broker import now_us
from adapters.errors import ConfigError
from adapters.files.warnareas import load
from adapters.formats import alert as alerts
from adapters.formats import cap, track
from adapters.formats import status as statuses
from adapters.formats.cap import Draft
from adapters.mqtt import Connection
from adapters.outlets.cap import AGAIN_S, CapFiles, Drafter, Place, Wanted
from adapters.outlets.held import Held
from adapters.outlets.reach import Reach, polygon
from adapters.rows import Told
from adapters.samples import NAMES
from fusion.schema import US_PER_S, Alert
from tests.broker_scene import until
from tests.capjudge import verdicts
from tests.test_outlets_cot import hear, listener, say
from tests.test_outlets_held import BASE, track_payload

WANTED = Wanted(NAMES.site, "warnings@example.org")
T_US = samples.NOW_US
RAISED = samples.alarm()


def told(**changes: Any) -> Told:
    return changed(track.told(track_payload(17, T_US)), **changes)


def picture(said: Alert | None = RAISED, t_us: int = T_US, **changes: Any) -> Held:
    """A picture in which the object is as the changes say."""
    held = Held(NAMES.site)
    held.take(BASE + "status", statuses.encode(statuses.StatusInfo(NAMES.site, t_us, "live", 5)), True, t_us)
    message = {**json.loads(track_payload(17, t_us)), **changes}
    held.take(BASE + "track/5:17", json.dumps(message).encode(), False, t_us)
    if said is not None:
        held.take(BASE + f"alert/{said.id}", alerts.encode(said, NAMES, 1), False, t_us)
    assert not held.refused
    return held


def due(drafter: Drafter, held: Held, after_s: float = 0.0) -> list[Draft]:
    return [draft for _, _, draft in drafter.due(held, True, T_US + round(after_s * US_PER_S))]


def test_a_life_in_two_levels_with_updates_and_an_all_clear() -> None:
    drafter = Drafter(WANTED)
    (first,) = due(drafter, picture(time_to_border_s=500.0))
    assert (first.type, first.level, first.status, first.references) == ("Alert", "yellow", "Test", ())
    assert due(drafter, picture(time_to_border_s=400.0), 30.0) == []
    (second,) = due(drafter, picture(time_to_border_s=290.0), 40.0)
    assert (second.type, second.level, second.references) == ("Update", "red", (first.id,))
    (third,) = due(drafter, picture(time_to_border_s=200.0), 40.0 + AGAIN_S)
    assert (third.level, third.references) == ("red", (first.id, second.id))
    (last,) = due(drafter, picture(None), 50.0 + AGAIN_S)
    assert (last.type, last.level, last.references) == ("Update", "clear", (first.id, second.id, third.id))
    every = [first, second, third, last]
    assert {draft.incident for draft in every} == {f"vedette.{NAMES.site}.{RAISED.id}"}
    assert len({draft.id.identifier for draft in every}) == 4
    assert verdicts([cap.encode(draft) for draft in every]) == ["fine"] * 4
    assert due(drafter, picture(None), 60.0 + AGAIN_S) == []
    (again,) = due(drafter, picture(border_distance_m=-20.0), 70.0 + AGAIN_S)
    assert (again.type, again.level, again.references) == ("Alert", "red", ())


@pytest.mark.parametrize(("why", "identity"), [("closed by J. Petraitis: a balloon", "unknown"), ("", "friend")])
def test_what_a_person_takes_back_is_cancelled(why: str, identity: str) -> None:
    drafter = Drafter(WANTED)
    (first,) = due(drafter, picture())
    if why:
        ends = list(drafter.ended(RAISED.id, why, "unknown", T_US + 9))
    else:
        ends = list(drafter.due(picture(replace(RAISED, identity=identity, identity_by="ada", identity_reason="seen")), True, T_US + 9))  # noqa: E501 # fmt: skip
    ((_, number, draft),) = ends
    assert (number, draft.type, draft.level, draft.references) == (2, "Cancel", "clear", (first.id,))


def test_what_is_played_is_never_actual() -> None:
    actual = replace(WANTED, status="Actual")
    assert due(Drafter(actual), picture())[0].status == "Actual"
    for said, status in ((replace(RAISED, simulated=True), "Test"), (replace(RAISED, mode="exercise"), "Exercise")):
        (draft,) = due(Drafter(actual), picture(said))
        assert draft.status == status
        assert draft.description.startswith(("SIMULATED.", "EXERCISE."))
    held = picture()
    replayed = statuses.StatusInfo(NAMES.site, T_US, "replay", 5)
    held.take(BASE + "status", statuses.encode(replayed), True, T_US)
    assert due(Drafter(actual), held)[0].status == "Test"


def test_only_what_is_asked_for_is_drafted() -> None:
    assert due(Drafter(WANTED), picture(replace(RAISED, severity=3))) == []
    assert due(Drafter(replace(WANTED, states=("LV",))), picture()) == []
    assert len(due(Drafter(replace(WANTED, states=("LT",))), picture())) == 1


def test_nobody_gives_the_all_clear_while_the_service_is_not_heard() -> None:
    drafter = Drafter(WANTED)
    assert len(due(drafter, picture())) == 1
    assert list(drafter.due(picture(None), False, T_US)) == []
    assert list(drafter.due(Held(NAMES.site), True, T_US)) == []


def test_areas_of_the_user_are_named_by_their_codes() -> None:
    near, far = shapely.box(25.6, 54.5, 25.8, 54.6), shapely.box(21.0, 55.0, 21.1, 55.1)
    places = (Place("Near", ("EMMA_ID", "LT1"), near), Place("Far", ("EMMA_ID", "LT2"), far))
    drafter = Drafter(replace(WANTED, places=places))
    (draft,) = due(drafter, picture())
    assert [(area.words, area.codes, area.rings) for area in draft.areas] == [("Near", (("EMMA_ID", "LT1"),), ())]
    (moved,) = due(drafter, picture(lat_deg=55.05, lon_deg=21.05), 70.0)
    assert [area.words for area in moved.areas] == ["Far"]
    (gone,) = due(drafter, picture(lat_deg=50.0, lon_deg=10.0), 140.0)
    assert (gone.level, gone.type) == ("clear", "Update")


@pytest.mark.parametrize("turn_deg", [30.0, 90.0, 170.0, 180.0])
def test_what_the_object_can_reach_is_inside_and_nothing_much_beyond(turn_deg: float) -> None:
    row, reach = told(course_deg=340.0, speed_mps=50.0, sigma_speed_mps=0.0), Reach(600.0, turn_deg)
    shape = polygon(row, reach)
    assert shape is not None
    assert shape.is_valid
    for turned in range(-180, 181, 10):
        for far_m, there in ((29_900.0, abs(turned) <= turn_deg), (31_500.0, False)):
            end = Geodesic.WGS84.Direct(row.lat_deg, row.lon_deg, 340.0 + turned, far_m)
            if abs(abs(turned) - turn_deg) > 1.0 or not there:
                near_edge = abs(abs(turned) - turn_deg) <= 1.0
                assert shape.contains(shapely.Point(end["lon2"], end["lat2"])) == there or near_edge, (turned, far_m)
    nowhere = polygon(changed(row, course_deg=None), reach)
    assert nowhere is not None
    back = Geodesic.WGS84.Direct(row.lat_deg, row.lon_deg, 160.0, 47_000.0)
    assert nowhere.contains(shapely.Point(back["lon2"], back["lat2"]))
    assert polygon(changed(row, lat_deg=None), reach) is None


@pytest.mark.parametrize("course_deg", [90.0, 270.0, None])
def test_what_reaches_across_the_180th_meridian_is_cut_there(course_deg: float | None) -> None:
    row = told(lat_deg=65.0, lon_deg=-179.95 if course_deg == 270.0 else 179.95, course_deg=course_deg, speed_mps=50.0)
    shape = polygon(row, Reach())
    assert shape is not None
    assert shape.is_valid
    assert len(shapely.get_parts(shape)) == 2
    for azimuth in (90.0, 270.0) if course_deg is None else (course_deg,):
        end = Geodesic.WGS84.Direct(65.0, row.lon_deg, azimuth, 25_000.0)
        assert shape.contains(shapely.Point(end["lon2"], end["lat2"]))
    assert not shape.contains(shapely.Point(0.0, 65.0))
    drafter = Drafter(WANTED)
    (draft,) = due(drafter, picture(lat_deg=65.0, lon_deg=row.lon_deg))
    assert verdicts([cap.encode(draft)]) == ["fine"]


@pytest.mark.parametrize(
    "changes", [{"sigma_horizontal_m": 1e8}, {"sigma_horizontal_m": 3e6}, {"speed_mps": 1e5}, {"lat_deg": 89.9},
                {"lat_deg": -84.0}, {"lat_deg": -90.0, "course_deg": None}],
)  # fmt: skip
def test_what_reaches_very_far_or_to_a_pole_is_a_polygon_too(changes: dict[str, Any]) -> None:
    row = told(**{"var_east_m2": None, **changes})
    shape = polygon(row, Reach())
    assert shape is not None
    assert shape.is_valid
    assert shape.covers(shapely.Point(row.lon_deg, row.lat_deg))


def test_what_has_no_place_is_not_cleared() -> None:
    drafter = Drafter(WANTED)
    assert len(due(drafter, picture())) == 1
    assert due(drafter, picture(lat_deg=None, lon_deg=None), 70.0) == []


def test_a_replay_clears_nothing_that_was_real_and_only_a_service_at_work_clears() -> None:
    drafter = Drafter(replace(WANTED, status="Actual"))
    assert due(drafter, picture())[0].status == "Actual"
    held = picture(None)
    for state in ("replay", "starting", "catching-up", "offline"):
        held.take(BASE + "status", statuses.encode(statuses.StatusInfo(NAMES.site, T_US, state, 5)), True, T_US)
        assert due(drafter, held) == [], state
    assert [draft.level for draft in due(drafter, picture(None))] == ["clear"]


def test_a_draft_that_a_person_changed_and_those_of_another_site_stand(tmp_path: Path) -> None:
    for wanted, name in ((replace(WANTED, site="elsewhere"), "1" * 16), (WANTED, RAISED.id)):
        CapFiles(Drafter(wanted), tmp_path)._write(list(Drafter(wanted).due(picture(), True, T_US)))
        text = (tmp_path / f"{RAISED.id}.1.xml").read_text().replace(RAISED.id, name)
        (tmp_path / f"{RAISED.id}.1.xml").unlink()
        (tmp_path / f"{name}.1.xml").write_text(text)
    ours = (tmp_path / f"{RAISED.id}.1.xml").read_bytes()
    theirs = ours.replace(WANTED.sender.encode(), b"Civil protection")  # no sender that CAP knows
    (tmp_path / f"{RAISED.id}.2.xml").write_bytes(theirs)
    files = CapFiles(Drafter(WANTED), tmp_path)
    (new,) = files._drafter.due(picture(None), True, T_US)
    assert (new[0], new[1], new[2].level) == (RAISED.id, 3, "clear")
    files._write([new])
    assert (files.refused, files.written) == (1, 1)
    assert (tmp_path / f"{RAISED.id}.2.xml").read_bytes() == theirs


def test_the_folder_is_the_memory_and_holds_every_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "connected", True)
    to = listener()
    hear(to, "status", statuses.encode(statuses.StatusInfo(NAMES.site, now_us(), "live", 5)))
    hear(to, "track/5:17", track_payload(17, now_us()))

    async def play(said: Alert, files: int) -> CapFiles:
        out = CapFiles(Drafter(WANTED), tmp_path / "drafts")
        task = asyncio.create_task(out.serve(to))
        say(to, said)
        await until(lambda: len(list((tmp_path / "drafts").glob("*.xml"))) >= files)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return out

    asyncio.run(play(RAISED, 1))
    (tmp_path / "drafts" / f"{'0' * 16}.1.xml").write_bytes(b"<alert/>")  # what cannot be read stops nothing
    out = asyncio.run(play(replace(RAISED, state="updated", severity=1), 2))
    assert out.refused == 1
    out = asyncio.run(play(replace(RAISED, state="closed", close_reason="left the area"), 3))
    assert "none was sent" in out.words()
    found = [cap.decode((tmp_path / "drafts" / f"{RAISED.id}.{n}.xml").read_bytes()) for n in (1, 2)]
    assert [(draft.type, draft.level) for draft in found] == [("Alert", "red"), ("Update", "clear")]
    assert found[1].references == (found[0].id,)


def test_a_file_of_areas_is_read_or_refused_with_the_cure(tmp_path: Path) -> None:
    def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
        return {"type": "Feature", "geometry": geometry, "properties": properties}

    square = json.loads(shapely.to_geojson(shapely.box(25.0, 54.0, 26.0, 55.0)))
    knot = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    path = tmp_path / "areas.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature(square, EMMA_ID="LT1", name="A")]}))
    (place,) = load(path, "EMMA_ID", "name")
    assert (place.words, place.code, place.shape.area) == ("A", ("EMMA_ID", "LT1"), pytest.approx(1.0))
    for features in (
        [], [feature(knot, EMMA_ID="1", name="A")], [feature(square, name="A")],
        [feature(json.loads(shapely.to_geojson(shapely.box(5e5, 6e6, 6e5, 61e5))), EMMA_ID="1", name="A")],
        [feature(square, EMMA_ID=True, name="A")], [feature(None, EMMA_ID="1", name="A")], [7],
        [feature({"type": "Point", "coordinates": [1, 2]}, EMMA_ID="1", name="A")],
    ):  # fmt: skip
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        with pytest.raises(ConfigError, match="features"):
            load(path, "EMMA_ID", "name")
    path.write_text("[]")
    with pytest.raises(ConfigError):
        load(path, "EMMA_ID", "name")
    with pytest.raises(ConfigError):
        load(tmp_path / "none.geojson", "EMMA_ID", "name")
    assert math.isfinite(place.shape.area)
