"""The AsyncAPI document: its makers' parser takes it, every example fits its schema, and it names every topic."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import jsonschema
import paho.mqtt.client as paho
import pytest

from adapters import asyncapi
from adapters.docs import FOLDER
from adapters.samples import samples
from adapters.wire import Names
from tests.conftest import ROOT, need
from tests.test_modes import sent

DOCUMENT: dict[str, Any] = json.loads(asyncapi.document())
ADDRESSES = [channel["address"].removeprefix(asyncapi.BASE) for channel in DOCUMENT["channels"].values()]
OPERATIONS = [
    (one["action"], DOCUMENT["channels"][one["channel"]["$ref"].rpartition("/")[2]]["address"])
    for one in DOCUMENT["operations"].values()
]


def fits(topic: str, where: str) -> bool:
    """Whether a topic below the site is one of an address."""
    return re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(where)), topic) is not None


@pytest.fixture(scope="module")
def parsed() -> dict[str, Any]:
    """What @asyncapi/parser makes of the file that ships."""
    modules = ROOT / ".venv" / "node"
    assert (modules / "node_modules" / "@asyncapi").is_dir(), "the AsyncAPI parser of npm is missing. Cure: make test"
    line = [need("node"), str(ROOT / "tests" / "node" / "asyncapi.mjs"), str(modules), str(FOLDER / "asyncapi.json")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_parser_of_its_makers_takes_it_and_finds_what_we_wrote(parsed: dict[str, Any]) -> None:
    assert parsed["complaints"] == []
    assert sorted(parsed["channels"]) == sorted(asyncapi.BASE + where for where in ADDRESSES)
    assert sorted(map(tuple, parsed["operations"])) == sorted(OPERATIONS)
    assert parsed["channels"]["vedette/v1/{site}/track/{track}"] == ["vedette.track.v1"]


@pytest.mark.parametrize("name", DOCUMENT["components"]["messages"])
def test_every_example_fits_its_schema_and_what_lacks_a_needed_field_does_not(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    validator = jsonschema.Draft7Validator(message["payload"])
    jsonschema.Draft7Validator.check_schema(message["payload"])
    for example in message["examples"]:
        validator.validate(example["payload"])
        for needed in message["payload"].get("required", ()):
            lacking = {key: value for key, value in example["payload"].items() if key != needed}
            assert not validator.is_valid(lacking), needed


def test_every_message_that_the_service_sends_fits_the_schema_of_its_address() -> None:
    checked = 0
    for topic, said in sent(Names("lt-east", ("BY", "LT"), ("Belarus", "Lithuania"), ("A1", "R1", "R2"))):
        if topic == "journal":
            continue
        below = topic.removeprefix("vedette/v1/lt-east/")
        (where,) = [where for where in ADDRESSES if fits(below, where)]
        channel = next(c for c in DOCUMENT["channels"].values() if c["address"] == asyncapi.BASE + where)
        assert said["schema"] in channel["messages"], topic
        jsonschema.Draft7Validator(DOCUMENT["components"]["messages"][said["schema"]]["payload"]).validate(said)
        checked += 1
    assert checked > 20


def test_every_sample_has_an_address_and_every_message_a_type_that_reads_it() -> None:
    for sample in samples():
        assert [where for where in ADDRESSES if fits(sample.topic, where)] == [asyncapi.address(sample.topic)]
    unread = [name for name in DOCUMENT["components"]["messages"] if name not in asyncapi.MODELS]
    # Answers, and what is only told: nothing of ours reads these back.
    assert sorted(unread) == [
        "vedette.answer.v1",
        "vedette.interference.v1",
        "vedette.sighting-answer.v1",
        "vedette.watermark.v1",
        "vedette.withheld.v1",
    ]


def allowed(user: str, verbs: str) -> list[str]:
    """The topic filters of one account in the shipped access list, patterns included."""
    rules = (ROOT / "config" / "mosquitto.acl").read_text(encoding="utf-8")
    part = rules.partition(f"user {user}\n")[2].partition("\nuser ")[0] if user else rules.partition("\nuser ")[0]
    return re.findall(rf"^(?:topic|pattern) (?:{verbs}) (\S+)$", part, re.MULTILINE)


def test_the_access_list_and_the_document_name_the_same_topics() -> None:
    """Every address may be said by who says it, and heard; and no filter of the list is for a topic without address."""
    examples = [re.sub(r"\{\w+\}", "x", f"vedette/v1/{{site}}/{where}") for where in ADDRESSES]
    filters = [
        *allowed("", "read|write"),
        *allowed("vedette", "read|write|readwrite"),
        *allowed("replay", "read|write"),
    ]
    filters = [one.replace("%u", "x") for one in filters]
    assert len(filters) > 25
    for one in filters:
        near = [topic for topic in examples if paho.topic_matches_sub(one, topic)]
        assert near, f"{one}: no address of the document"
    ours = allowed("vedette", "write|readwrite")
    hears = allowed("vedette", "read|readwrite") + [one.replace("%u", "x") for one in allowed("", "read")]
    for action, where in OPERATIONS:
        topic = re.sub(r"\{\w+\}", "x", where)
        filters = ours if action == "send" else hears
        assert any(paho.topic_matches_sub(one, topic) for one in filters), f"{action} {topic}"
