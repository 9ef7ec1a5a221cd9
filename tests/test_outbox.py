"""What leaves, on which topic and how often: seen from a broker that keeps what is retained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from adapters.broker import Outgoing
from adapters.envelope import Unfit, enveloped
from adapters.formats import alert, area, command, ledger, search, sighting, track
from adapters.running import outbox
from adapters.running.outbox import Outbox, Turn
from adapters.samples import crowd, joined, passages, reported, sought
from fusion.cases.record import Passage, PassageNoted, SearchChanged
from fusion.claims.gnss import Interference
from fusion.schema import (
    US_PER_S,
    Alert,
    AlertChanged,
    Answer,
    Assessment,
    Command,
    Event,
    Frame,
    Health,
    HealthChanged,
    Invalid,
    Picture,
    Tracks,
    take,
)
from tests.scene import NAMES, table

BASE = "vedette/v1/test/"
START_US = 1_795_414_500 * US_PER_S  # a whole five seconds
assert START_US % (5 * US_PER_S) == 0
ALERT = Alert(
    id="00ab",
    rule="low-slow-near",
    rule_version=1,
    severity=2,
    state="raised",
    track="7:3",
    episode=0,
    raised_us=START_US,
    t_us=START_US,
    first_plot_us=START_US,
    confirmed_us=START_US,
    lat_rad=0.95,
    lon_rad=0.44,
    overflown="BY",
    near_state="LT",
    disputed=False,
    quantities=(),
    sensors=("R1",),
    sentence="Slow, low object.",
    clears="it leaves",
)


class Broker:
    """Takes messages in order: what was said, and what is kept."""

    def __init__(self) -> None:
        self.said: list[Outgoing] = []
        self.kept: dict[str, Outgoing] = {}

    def take(self, messages: Sequence[Outgoing]) -> None:
        """Publish."""
        for message in messages:
            assert message.topic.startswith(BASE)
            self.said.append(replace(message, topic=message.topic.removeprefix(BASE)))
            if message.retain and message.payload:
                self.kept[message.topic.removeprefix(BASE)] = message
            elif message.retain:
                self.kept.pop(message.topic.removeprefix(BASE), None)

    def turn(self, turn: Turn) -> list[Outgoing]:
        """Publish a turn as the service does, alerts first; returns what was said."""
        before = len(self.said)
        self.take(turn.alerts)
        self.take(turn.others)
        return self.said[before:]

    def below(self, prefix: str) -> list[str]:
        """Retained topics that start so."""
        return sorted(topic for topic in self.kept if topic.startswith(prefix))


def quiet(n: int) -> tuple[Tracks, Assessment]:
    """Tracks that nobody must watch: cooperative, fast and high."""
    tracks, assessment = table(n)
    return tracks, replace(
        assessment,
        cooperative=np.ones(n, np.bool_),
        contradicted=np.zeros(n, np.bool_),
        p_low=np.zeros(n),
        p_slow=np.zeros(n),
    )


def full(shown: tuple[Tracks, Assessment], second: float, dropped: tuple[tuple[int, str], ...] = ()) -> Picture:
    """The full picture of a second."""
    tracks, assessment = shown
    t_us = START_US + round(second * US_PER_S)
    return Picture(t_us, True, replace(tracks, t_us=t_us), assessment, dropped)


def seconds(box: Outbox, broker: Broker, shown: tuple[Tracks, Assessment], start: int, count: int) -> list[list[str]]:
    """Full pictures once a second and nine empty ticks after each; the track topics said in each second."""
    said = []
    for second in range(start, start + count):
        now: list[str] = []
        for tick in range(10):
            events: list[Event] = [full(shown, second)] if tick == 0 else []
            now += [m.topic for m in broker.turn(box.turn(events)) if m.topic.startswith("track/")]
        said.append(now)
    return said


# --- ledgers ---


def entry(track: str, number: int, told_us: int) -> Passage:
    """One entry of a ledger."""
    return replace(passages()[0], track=track, number=number, told_us=told_us)


def noted(box: Outbox, broker: Broker, *events: Event) -> list[str]:
    """The ledgers said in a turn."""
    return [m.topic for m in broker.turn(box.turn(events)) if m.topic.startswith("ledger/")]


def test_a_ledger_is_told_whole_with_each_entry_again_in_time_and_until_its_track_ends() -> None:
    box, broker, shown = Outbox(NAMES), Broker(), quiet(3)
    counter = int(shown[0].id[0])
    name = shown[0].name(0)
    first, second = entry(name, 1, START_US), entry(name, 2, START_US)
    events: list[Event] = [PassageNoted(first, (first, second)), PassageNoted(second, (first, second))]
    assert noted(box, broker, *events, full(shown, 0)) == [f"ledger/{name}"]
    assert ledger.decode(broker.kept[f"ledger/{name}"].payload) == (first, second)
    every_s = outbox.LEDGER_EVERY_US // US_PER_S
    assert (broker.kept[f"ledger/{name}"].expiry_s or 0) > every_s
    assert not [said for at in range(1, every_s) for said in noted(box, broker, full(shown, at))]
    assert noted(box, broker, full(shown, every_s)) == [f"ledger/{name}"]
    box.again([])
    assert noted(box, broker) == [f"ledger/{name}"], "a broker that lost everything"
    assert noted(box, broker, full(quiet(0), every_s + 1, ((counter, "lost"),))) == [f"ledger/{name}"]
    assert not broker.below("ledger/")
    box.again([])
    assert not noted(box, broker, full(quiet(0), 3 * every_s))


def test_a_crowd_is_journalled_when_it_begins_and_ends_and_told_every_five_seconds() -> None:
    box, broker, event = Outbox(NAMES), Broker(), replace(crowd(), since_us=START_US, t_us=START_US)
    journal = []
    for second in range(12):
        turn = box.turn([replace(event, t_us=START_US + second * US_PER_S)])
        broker.turn(turn)
        journal += turn.journal
        assert len(turn.alerts) == len(turn.journal), "what is not journalled does not go where alerts go"
    assert [m.topic for m in broker.said] == ["area/4"] * 3
    assert len(journal) == 1
    assert area.decode(broker.kept["area/4"].payload).t_us == START_US + 10 * US_PER_S
    over = box.turn([replace(event, state="over", count=0)])
    broker.turn(over)
    assert [area.decode(entry).state for entry in (*journal, *over.journal)] == ["open", "over"]
    assert broker.below("area/") == []


def test_many_first_entries_are_spread_over_ticks_and_none_is_left_out() -> None:
    box, broker, shown = Outbox(NAMES), Broker(), quiet(0)
    some = [entry(f"7:{i}", 1, START_US) for i in range(1, 2 * outbox.LEDGERS_PER_TICK + 11)]
    first = noted(box, broker, *[PassageNoted(one, (one,)) for one in some], full(shown, 0))
    assert len(first) == outbox.LEDGERS_PER_TICK
    newer = entry("7:1000", 1, START_US)
    assert len(noted(box, broker, PassageNoted(newer, (newer,)))) == outbox.LEDGERS_PER_TICK
    assert len(noted(box, broker)) == 11
    assert len(broker.below("ledger/")) == len(some) + 1


# --- alerts ---


def test_an_alert_is_journalled_and_kept_until_it_is_closed() -> None:
    box, broker = Outbox(NAMES), Broker()
    raised = box.turn([AlertChanged(ALERT)])
    broker.turn(raised)
    assert [(m.topic, m.qos, m.retain) for m in broker.said] == [
        ("alert-log", 1, False),
        ("alert/00ab", 1, True),
    ]
    assert raised.journal == [broker.said[0].payload]
    assert alert.decode(broker.kept["alert/00ab"].payload) == ALERT
    assert broker.kept["alert/00ab"].expiry_s is None
    closed = replace(ALERT, state="closed", close_reason="it left")
    last = box.turn([AlertChanged(closed)])
    broker.turn(last)
    assert [(m.topic, m.qos, m.retain, bool(m.payload)) for m in broker.said[2:]] == [
        ("alert-log", 1, False, True),
        ("alert/00ab", 1, False, True),
        ("alert/00ab", 1, True, False),
    ]
    assert (last.changed, len(last.journal)) == ([closed], 1)
    assert broker.kept == {}


def test_open_alerts_are_said_again_as_they_stand() -> None:
    box, broker = Outbox(NAMES), Broker()
    acknowledged = replace(ALERT, state="acknowledged")
    broker.turn(box.turn([AlertChanged(ALERT), AlertChanged(replace(ALERT, id="00ac"))]))
    broker.kept.clear()
    broker.take(box.again([acknowledged, replace(ALERT, id="00ac")]))
    assert broker.below("") == ["alert/00ab", "alert/00ac"]
    assert alert.decode(broker.kept["alert/00ab"].payload) == acknowledged
    assert box.again([]) == []


# --- tracks ---


def test_the_watched_come_every_second_and_the_others_every_five() -> None:
    tracks, assessment = quiet(40)
    p_low, p_slow = assessment.p_low.copy(), assessment.p_slow.copy()
    cooperative = assessment.cooperative.copy()
    cooperative[0] = False  # nobody knows it
    p_low[1] = p_slow[1] = 0.8  # low and slow, whatever it says of itself
    p_low[2], p_slow[2] = np.nan, 0.8  # slow, and nobody knows how high
    p_low[3] = p_slow[3] = 0.6  # probably not both
    shown = tracks, replace(assessment, cooperative=cooperative, p_low=p_low, p_slow=p_slow)
    box, broker = Outbox(NAMES), Broker()
    first, *rest = seconds(box, broker, shown, 0, 11)
    assert sorted(first) == sorted(f"track/7:{i}" for i in range(1, 41))
    watched = {"track/7:1", "track/7:2", "track/7:3"}
    for now in rest:
        assert len(now) == len(set(now))
        assert watched <= set(now)
    said = [topic for now in rest for topic in now]
    for i in range(4, 41):
        assert said.count(f"track/7:{i}") == 2, i
    kept = broker.kept["track/7:1"]
    assert (kept.qos, kept.retain, kept.expiry_s) == (0, True, outbox.EXPIRY_S)
    assert json.loads(kept.payload)["schema"] == track.SCHEMA


def test_a_change_of_status_is_told_at_once() -> None:
    tracks, assessment = quiet(10)
    box, broker = Outbox(NAMES), Broker()
    seconds(box, broker, (tracks, assessment), 0, 1)
    status = tracks.status.copy()
    status[2] = 3 - status[2]  # confirmed to coasting, or back
    (now,) = seconds(box, broker, (replace(tracks, status=status), assessment), 1, 1)
    usual = {f"track/7:{i}" for i in tracks.id.tolist() if i % 5 == 1}
    assert set(now) == usual | {"track/7:3"}


def test_single_tracks_are_spread_over_the_ticks_of_their_second() -> None:
    box, broker = Outbox(NAMES), Broker()
    shown = quiet(80)
    sizes = []
    for tick in range(10):
        said = broker.turn(box.turn([full(shown, 0)] if tick == 0 else []))
        sizes.append(sum(m.topic.startswith("track/") for m in said))
    assert sizes == [10] * 8 + [0, 0]


def test_the_waiting_list_never_grows_beyond_the_picture() -> None:
    """Pictures faster than tracks are sent: a waiting row is replaced by its newer state, none is sent twice."""
    box, broker = Outbox(NAMES), Broker()
    tracks, assessment = quiet(60)
    shown = tracks, replace(assessment, cooperative=np.zeros(60, np.bool_))  # all of them due in every second
    for second in range(20):
        said = broker.turn(box.turn([full(shown, second)]))
        assert len(box._waiting) <= 60
        times = {json.loads(m.payload)["time"] for m in said if m.topic.startswith("track/")}
        assert times == {json.loads(broker.kept["picture/0"].payload)["time"][:17] + f"{second:02d}.000Z"}


def test_a_track_that_ended_is_cleared_and_does_not_come_back() -> None:
    box, broker = Outbox(NAMES), Broker()
    tracks, assessment = quiet(5)
    assessment = replace(assessment, cooperative=np.zeros(5, np.bool_))  # all of them due in every second
    seconds(box, broker, (tracks, assessment), 0, 1)
    assert broker.below("track/") == [f"track/7:{i}" for i in range(1, 6)]
    box.turn([full((tracks, assessment), 5)])  # all five wait again, one has left with this tick
    keep = tracks.id != 2
    rest = take(tracks, keep), take(assessment, keep)
    delta = Picture(START_US + 5_100_000, False, *rest, ((2, "left coverage"), (99, "never shown")))
    said = broker.turn(box.turn([delta]))
    assert [(m.topic, m.payload, m.retain) for m in said if not m.payload] == [("track/7:2", b"", True)]
    seconds(box, broker, rest, 6, 6)
    assert broker.below("track/") == ["track/7:1", "track/7:3", "track/7:4", "track/7:5"]


# --- pictures ---


def test_surplus_parts_of_a_picture_that_shrank_are_cleared() -> None:
    box, broker = Outbox(NAMES), Broker()
    broker.turn(box.turn([full(quiet(700), 0)]))
    many = len(broker.below("picture/"))
    assert many > 3
    assert broker.below("picture/") == sorted(f"picture/{i}" for i in range(many))
    assert {m.expiry_s for topic, m in broker.kept.items() if topic.startswith("picture/")} == {outbox.EXPIRY_S}
    broker.turn(box.turn([full(quiet(3), 5)]))
    assert broker.below("picture/") == ["picture/0"]
    assert len(json.loads(broker.kept["picture/0"].payload)["tracks"]) == 3


@pytest.mark.parametrize("full_s", [1, 5, 30])
def test_the_whole_picture_comes_as_often_as_asked_and_a_delta_with_every_picture(full_s: int) -> None:
    box, broker = Outbox(NAMES, full_s * US_PER_S), Broker()
    for second in range(60):
        broker.turn(box.turn([full(quiet(3), second)]))
    topics = [m.topic for m in broker.said]
    assert topics.count("picture/0") == 60 // full_s
    assert topics.count("picture-delta") == 60
    assert broker.kept["picture/0"].expiry_s == max(15, 3 * full_s)
    assert "picture-delta" not in broker.kept


def test_numbers_rise_with_every_message_and_arrivals_are_named_once() -> None:
    box, broker = Outbox(NAMES), Broker()
    tracks, assessment = quiet(30)
    first, again = (box.turn([full((tracks, assessment), second)]) for second in (1, 2))
    assert sorted(outbox.joined(first.arrivals_us)) == sorted(tracks.rx_us)
    assert len(outbox.joined(again.arrivals_us)) == 0
    assert len(outbox.joined([])) == 0
    broker.turn(first)
    broker.turn(again)
    numbers: dict[str, list[int]] = {}
    for message in broker.said:
        numbers.setdefault(message.topic, []).append(json.loads(message.payload)["seq"])
    assert all(seen == sorted(seen) for seen in numbers.values())
    single = [n for topic, seen in numbers.items() if topic.startswith("track/") for n in seen]
    assert len(single) == len(set(single)) > 0


# --- health, answers ---


def test_health_is_told_on_change_and_every_five_seconds() -> None:
    box, broker = Outbox(NAMES), Broker()
    for second, state in enumerate(["ok"] * 7 + ["stale"] * 3):
        health = Health("R1", START_US + second * US_PER_S, state, 1, 1, 1.0, 1.0, 1.0, 1, 1)
        broker.turn(box.turn([HealthChanged(health)]))
    assert [json.loads(m.payload)["time"][17:19] for m in broker.said] == ["00", "05", "07"]
    assert [m.topic for m in broker.said] == ["sensor/R1/health"] * 3
    assert broker.below("") == ["sensor/R1/health"]


def test_an_answer_goes_where_it_was_asked_for_or_nowhere() -> None:
    asked = Command(1, "close", "00ab", "ada", "over", correlation=b"\x01", response_topic=f"{BASE}answer/ada")
    nobody = replace(asked, response_topic="")
    (said,) = Outbox(NAMES).turn([Answer(asked, True, "closed"), Answer(nobody, True, "closed")]).others
    assert (said.topic, said.qos, said.retain, said.correlation) == (f"{BASE}answer/ada", 1, False, b"\x01")
    assert said.payload == command.encode_answer(Answer(asked, True, "closed"), NAMES, 1)


@pytest.mark.parametrize(
    ("to", "partners", "detail"),
    [
        ("LV", ("LV", "PL"), "handed over to LV"),
        ("EE", ("LV", "PL"), "handed over to EE, who hears nothing of it from here: publish.partners is LV and PL"),
        ("LV", (), "handed over to LV, who hears nothing of it from here: publish.partners is empty"),
    ],
)
def test_who_hands_over_to_nobody_who_hears_of_it_is_told(to: str, partners: tuple[str, ...], detail: str) -> None:
    asked = Command(1, "hand-over", "", "ada", "flies there", response_topic="ops/a", incident_id="00ab", to=to)
    (said,) = Outbox(NAMES, partners=partners).turn([Answer(asked, True, f"handed over to {to}")]).others
    assert json.loads(said.payload)["detail"] == detail


# --- partners ---

PARTNERS = ("LV", "PL")


def test_partners_get_every_alert_as_it_is_until_it_is_closed() -> None:
    box, broker = Outbox(NAMES, partners=PARTNERS), Broker()
    broker.turn(box.turn([AlertChanged(ALERT)]))
    everywhere = ["alert/00ab", "partner/LV/alert/00ab", "partner/PL/alert/00ab"]
    assert broker.below("") == everywhere
    assert len({broker.kept[topic].payload for topic in everywhere}) == 1
    assert {broker.kept[topic].qos for topic in everywhere} == {1}
    broker.kept.clear()  # as after a broker that lost what it held
    broker.take(box.again([ALERT]))
    assert broker.below("") == everywhere
    said = broker.turn(box.turn([AlertChanged(replace(ALERT, state="closed"))]))
    assert broker.kept == {}
    for name in PARTNERS:
        mine = [m for m in said if m.topic == f"partner/{name}/alert/00ab"]
        assert [(m.qos, m.retain, bool(m.payload)) for m in mine] == [(1, False, True), (1, True, False)]


def test_partners_get_a_track_while_it_has_an_open_alert() -> None:
    box, broker = Outbox(NAMES, partners=PARTNERS), Broker()
    shown = quiet(10)
    seconds(box, broker, shown, 0, 1)
    assert broker.below("partner/") == []
    broker.turn(box.turn([AlertChanged(ALERT), AlertChanged(replace(ALERT, id="00ac"))]))
    seconds(box, broker, shown, 1, 1)
    for name in PARTNERS:
        assert broker.below(f"partner/{name}/track/") == [f"partner/{name}/track/7:3"]
        copy = broker.kept[f"partner/{name}/track/7:3"]
        assert (copy.payload, copy.qos, copy.retain, copy.expiry_s) == (
            broker.kept["track/7:3"].payload,
            0,
            True,
            outbox.EXPIRY_S,
        )
    broker.turn(box.turn([AlertChanged(replace(ALERT, id="00ac", state="closed"))]))
    assert broker.below("partner/LV/track/") == ["partner/LV/track/7:3"]  # the other alert is still open
    box.turn([full(shown, 2)])  # it waits for its turn when the last alert closes
    broker.turn(box.turn([AlertChanged(replace(ALERT, state="closed"))]))
    seconds(box, broker, shown, 3, 6)
    assert broker.below("partner/") == []
    assert "track/7:3" in broker.below("track/")


@pytest.mark.parametrize("closes_first", [True, False])
def test_a_track_that_ended_is_cleared_at_the_partners(closes_first: bool) -> None:
    box, broker = Outbox(NAMES, partners=PARTNERS), Broker()
    tracks, assessment = quiet(10)
    broker.turn(box.turn([AlertChanged(ALERT)]))
    seconds(box, broker, (tracks, assessment), 0, 1)
    assert broker.below("partner/LV/track/") == ["partner/LV/track/7:3"]
    keep = tracks.id != 3
    rest = take(tracks, keep), take(assessment, keep)
    ended: list[Event] = [Picture(START_US + 1_100_000, False, *rest, ((3, "left coverage"),))]
    if closes_first:
        ended.insert(0, AlertChanged(replace(ALERT, state="closed")))
    said = broker.turn(box.turn(ended))
    cleared = [m.topic for m in said if not m.payload and "/track/" in m.topic]
    assert cleared == [f"partner/{name}/track/7:3" for name in PARTNERS]
    assert broker.below("partner/LV/track/") == []
    assert "track/7:3" not in broker.kept


def test_without_partners_nothing_is_said_to_any() -> None:
    box, broker = Outbox(NAMES), Broker()
    broker.turn(box.turn([AlertChanged(ALERT)]))
    seconds(box, broker, quiet(10), 0, 3)
    broker.turn(box.turn([AlertChanged(replace(ALERT, state="closed"))]))
    broker.take(box.again([ALERT]))
    assert not [m.topic for m in broker.said if m.topic.startswith("partner/")]


def test_interference_is_told_every_five_seconds_and_taken_off_when_it_is_over() -> None:
    broker, box = Broker(), Outbox(NAMES)
    for second in range(8):
        state = "over" if second == 7 else "open"
        event = Interference(2, state, START_US, START_US + second * US_PER_S, 0.95, 0.4, 8e4, 5, 6, 5)
        broker.turn(box.turn([event]))
    assert [m.topic for m in broker.said] == ["interference/2"] * 4  # at 0 and 5 s, over, and empty
    assert broker.below("") == []


def test_a_search_is_kept_as_it_grows_and_taken_off_when_it_ends() -> None:
    broker, box = Broker(), Outbox(NAMES, partners=("LV",))
    broker.turn(box.turn([SearchChanged(sought()), SearchChanged(replace(sought(), number=10))]))
    assert broker.below("") == ["partner/LV/search/5:17", "search/5:17"]
    assert broker.kept["partner/LV/search/5:17"].payload == broker.kept["search/5:17"].payload
    assert search.decode(broker.kept["search/5:17"].payload).number == 10
    broker.take(box.again([], [], [sought()]))
    assert search.decode(broker.kept["search/5:17"].payload) == sought()
    said = broker.turn(box.turn([SearchChanged(replace(sought(), number=11, ended=True, why="found: by a patrol"))]))
    assert search.decode(said[0].payload).why == "found: by a patrol"
    assert broker.below("") == []


def test_a_person_hears_what_became_of_a_report_only_where_asked() -> None:
    box = Outbox(NAMES)
    report = replace(reported(), response_topic="ops/answers", correlation=b"7")
    (said,) = box.turn([joined(), replace(joined(), sighting=report)]).others
    assert (said.topic, said.correlation, said.qos, said.retain) == ("ops/answers", b"7", 1, False)
    assert json.loads(said.payload)["detail"] == "joined to track 5:17, probability 0.98"
    frame = enveloped(Frame(1, 5, "in/G1/sighting", sighting.encode(report)), (), "ops/answers", b"8")
    (told,) = box.refusals([Unfit(frame, Invalid("out-of-range", "lat_deg"))])
    assert (told.topic, told.correlation) == ("ops/answers", b"8")
    assert json.loads(told.payload)["ok"] is False
