"""The sky of the page: whoever takes the news has what a newcomer gets, however slow he is, and nothing breaks it."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.formats import picture as picture_format
from adapters.ui import sky as sky_module
from adapters.ui.sky import Sky
from adapters.wire import dump

TIME = "2026-11-23T06:15:00.000Z"


def picture(names: list[int], seq: int, full: bool = False, dropped: list[int] | None = None, **more: Any) -> bytes:
    rows = [
        {
            "id": f"1:{n}",
            "status": "confirmed",
            "cooperative": n % 2 == 0,
            "height_known": True,
            "sensors": ["R1"],
            "plots_count": seq,
            "lat_deg": 54 + seq / 1000,
            "lon_deg": 25.0,
            "speed_mps": 40.0,
        }
        for n in names
    ]
    gone = [{"id": f"1:{n}", "reason": "left coverage"} for n in dropped or ()]
    head = {
        "schema": picture_format.SCHEMA,
        "site": "demo",
        "seq": seq,
        "time": TIME,
        "full": full,
        "part": 0,
        "parts": 1,
    }
    return dump({**head, "tracks": rows, "dropped": gone, **more})


def alert(name: str, track: int = 1, state: str = "raised") -> bytes:
    return dump({"schema": "vedette.alert.v1", "id": name, "track": f"1:{track}", "state": state, "severity": 2})


class Viewer:
    """A browser that only keeps what it is told."""

    def __init__(self) -> None:
        self.version = -1
        self.rows: dict[str, list[Any]] = {}
        self.things: dict[tuple[str, str], Any] = {}

    def look(self, sky: Sky, now_s: float = 0.0) -> dict[str, Any]:
        payload, self.version = sky.since(self.version, {"connected": True}, now_s)
        told: dict[str, Any] = msgspec.json.decode(payload)
        if told["kind"] == "whole":
            self.rows, self.things = {}, {}
        for row in told.get("rows", ()):
            self.rows[row[0]] = row
        for name in told.get("gone", ()):
            self.rows.pop(name, None)
        for kind, name, body in told.get("things", ()):
            if body is None:
                self.things.pop((kind, name), None)
            else:
                self.things[kind, name] = body
        assert told["pulse"] == {"connected": True}
        return told

    def holds(self) -> tuple[dict[str, list[Any]], dict[tuple[str, str], Any]]:
        return self.rows, self.things


NUMBER = st.integers(0, 6)
ONE = st.lists(NUMBER, min_size=1, max_size=1)
SUBJECTS = ("picture-delta", "alert/a", "track/1:1", "status", "sensor/R1/health", "search/1:1", "nonsense")
STEP = st.one_of(
    st.tuples(st.just("delta"), st.lists(NUMBER, max_size=4), st.lists(NUMBER, max_size=2)),
    st.tuples(st.just("full"), st.lists(NUMBER, max_size=6, unique=True), st.just([])),
    st.tuples(
        st.just("alert"), st.lists(NUMBER, min_size=1, max_size=1), st.sampled_from(["raised", "closed", "gone"])
    ),
    st.tuples(st.just("track"), st.lists(NUMBER, min_size=1, max_size=1), st.sampled_from(["there", "gone"])),
    st.tuples(st.just("look"), st.lists(st.integers(0, 2), min_size=1, max_size=1), st.just([])),
    st.tuples(st.just("tidy"), st.just([]), st.just([])),
    st.tuples(st.just("reset"), st.just([]), st.just([])),
)


@given(st.lists(STEP, max_size=40))
@settings(max_examples=150)
def test_news_add_up_to_the_whole_for_every_viewer(steps: list[Any]) -> None:
    sky, viewers, now_s = Sky(), [Viewer(), Viewer(), Viewer()], 0.0
    for seq, (kind, numbers, more) in enumerate(steps):
        now_s += 50.0
        if kind in ("delta", "full"):
            sky.take("picture-delta", picture(numbers, seq, kind == "full", more), now_s)
        elif kind == "alert":
            payload = b"" if more == "gone" else alert(f"a{numbers[0]}", numbers[0], more)
            sky.take(f"alert/a{numbers[0]}", payload, now_s)
        elif kind == "track":
            sky.take(f"track/1:{numbers[0]}", b"" if more == "gone" else dump({"id": "x", "n": seq}), now_s)
        elif kind == "look":
            viewers[numbers[0]].look(sky, now_s)
        elif kind == "tidy":
            sky.tidy(now_s)
        else:
            sky.reset()
    newcomer = Viewer()
    assert newcomer.look(sky, now_s)["kind"] == "whole"
    for viewer in viewers:
        viewer.look(sky, now_s)
        assert viewer.holds() == newcomer.holds()
    assert sky.refused == {}


@given(st.sampled_from(SUBJECTS), st.binary(max_size=200))
def test_what_cannot_be_read_is_counted_and_breaks_nothing(subject: str, payload: bytes) -> None:
    sky = Sky()
    sky.take(subject, payload, 0.0)
    Viewer().look(sky)
    assert set(sky.refused.values()) <= {1}


def test_a_slow_viewer_is_told_the_newest_only() -> None:
    sky, viewer = Sky(), Viewer()
    sky.take("picture-delta", picture([1, 2], 1), 0.0)
    viewer.look(sky)
    for seq in range(2, 500):
        sky.take("picture-delta", picture([1], seq), 0.1 * seq)
    told = viewer.look(sky)
    assert (told["kind"], [row[0] for row in told["rows"]], told["rows"][0][1]) == ("news", ["1:1"], 54.499)


def test_who_was_away_for_too_long_gets_the_whole() -> None:
    sky, viewer = Sky(), Viewer()
    viewer.look(sky)
    for n in range(sky_module.TOMBSTONES_MAX + 5):
        sky.take("picture-delta", picture([n], 2 * n), 0.0)
        sky.take("picture-delta", picture([], 2 * n + 1, dropped=[n]), 0.0)
    assert viewer.look(sky)["kind"] == "whole"
    assert viewer.rows == {}


def test_a_whole_picture_in_parts_ends_what_no_part_names() -> None:
    sky = Sky()
    sky.take("picture-delta", picture([1, 2, 3, 4], 1), 0.0)
    sky.take("picture-delta", picture([1], 2, True, parts=2, part=0), 0.0)
    assert sky.count == 4  # half of it has come
    sky.take("picture-delta", picture([3], 2, True, parts=2, part=1), 0.0)
    assert sky.count == 2


def test_a_closed_alert_stays_a_while_and_says_why() -> None:
    sky, viewer = Sky(), Viewer()
    sky.take("alert/a", alert("a"), 0.0)
    sky.take("alert/a", alert("a", state="closed"), 10.0)
    sky.take("alert/a", b"", 10.0)
    viewer.look(sky)
    assert viewer.things["alert", "a"]["state"] == "closed"
    sky.tidy(10.0 + sky_module.CLOSED_FOR_S + 1.0)
    viewer.look(sky)
    assert viewer.things == {}


def test_tracks_with_an_open_alert_are_told_in_full_and_lost_silent_ones_are_remembered() -> None:
    sky, viewer = Sky(), Viewer()
    whole = dump({"schema": "vedette.track.v1", "id": "1:1", "sigma_time_s": 11.0})
    sky.take("picture-delta", picture([1, 2, 3], 1), 0.0)
    sky.take("track/1:1", whole, 0.0)
    viewer.look(sky)
    assert viewer.things == {}
    sky.take("alert/a", alert("a"), 0.0)
    viewer.look(sky)
    assert viewer.things["detail", "1:1"]["sigma_time_s"] == 11.0
    assert sky.track("1:1") == whole
    sky.take("picture-delta", picture([], 2, dropped=[1, 2, 3]), 5.0)
    assert [lost["id"] for lost in viewer.look(sky, 8.0)["lost"]] == [
        "1:1"
    ]  # 1:2 says who it is, 1:3 is not low and slow
    told = Viewer().look(sky, 8.0)["lost"][0]
    assert (told["ago_s"], told["reason"], told["speed_mps"]) == (3.0, "left coverage", 40.0)
    sky.tidy(5.0 + sky_module.LOST_FOR_S + 1.0)
    assert Viewer().look(sky)["lost"] == []


def test_limits_are_counted() -> None:
    sky = Sky()
    for n in range(sky_module.THINGS_MAX + 7):
        sky.take(f"alert/{n}", alert(str(n)), 0.0)
    assert sky.refused == {"too many": 7}
