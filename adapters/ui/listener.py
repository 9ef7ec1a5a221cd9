"""The page's ear and mouth at the broker: what the service publishes into a `Sky`, commands out, answers back."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from adapters import log
from adapters.broker import BrokerSettings, Incoming, PublishError
from adapters.formats import command, sighting
from adapters.mqtt import Connection
from adapters.ui.sky import Sky
from adapters.wire import load_json
from fusion.schema import US_PER_S, Command, Invalid

ANSWER_PATIENCE_S = 5  # the service answers with its next tick
WAITING_MAX = 100  # commands under way; more at once is no person
LOSSES_EVERY_S = 10.0
YIELD_EVERY = 200  # messages worked on without letting the viewers have their turn
SUBJECTS = (
    ("status", 1),
    ("picture/+", 0),
    ("picture-delta", 0),
    ("track/+", 0),
    ("alert/+", 1),
    ("incident/+", 1),
    ("ledger/+", 1),
    ("search/+", 1),
    ("area/+", 1),
    ("interference/+", 1),
    ("sensor/+/health", 0),
)


class NoAnswer(Exception):
    """A command that nobody answered; says why."""


class Listener:
    """Keeps `sky` as the topics tell it, and `news` set whenever something is to be told at once."""

    def __init__(self, site: str, broker: BrokerSettings) -> None:
        own = f"{broker.client_id}-ui-{os.getpid()}-{secrets.token_hex(3)}"
        settings = replace(broker, client_id=own, session_expiry_s=0, clean_start=True)
        self._base = f"vedette/v1/{site}/"
        self._answers = f"{self._base}answer/{own}"
        topics = [(self._base + subject, qos) for subject, qos in SUBJECTS]
        self.sky = Sky()
        self.site = site
        self.news = asyncio.Event()
        self._lag_s = 0.0  # of the newest picture when it came: clock against its own time
        self._waiting: dict[bytes, asyncio.Future[dict[str, Any]]] = {}
        self._connection = Connection(settings, [*topics, (f"{self._answers}/#", 1)], on_change=self._changed)
        self._lost = {"dropped: too many at once": 0}
        self._lost_s = float("-inf")
        self._generation = -1  # of the connection that the newest message came on

    async def run(self) -> None:
        """Listen until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._connection.run(), name="ui-connection")
            tasks.create_task(self._read(), name="ui-reader")
            tasks.create_task(self._tidy(), name="ui-tidy")

    def _changed(self, connected: bool, why: str) -> None:
        self.news.set()
        log.get("ui").info("broker", connected=connected, problem=why)

    async def _read(self) -> None:
        inbox, sky = self._connection.inbox, self.sky
        while True:
            incoming = await inbox.get()
            for _ in range(YIELD_EVERY):
                self._take(incoming, sky)
                if inbox.empty():
                    break
                incoming = inbox.get_nowait()
            else:
                self._take(incoming, sky)
            await asyncio.sleep(0)

    def _take(self, incoming: Incoming, sky: Sky) -> None:
        subject, urgent = incoming.topic.removeprefix(self._base), sky.urgent
        if incoming.generation != self._generation:
            if self._generation >= 0:
                sky.reset()
            self._generation = incoming.generation
        if subject.startswith("answer/"):
            self._answered(incoming)
        else:
            sky.take(subject, incoming.payload, time.monotonic())
            if subject.startswith("picture"):
                self._lag_s = incoming.rx_us / US_PER_S - sky.picture_us / US_PER_S
        self._connection.ack(incoming)
        if sky.urgent != urgent:
            self.news.set()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.sky.tidy(time.monotonic())
            self._say_losses()

    def _say_losses(self) -> None:
        """What was counted since the last word about it; at most one every `LOSSES_EVERY_S`."""
        lost = {**self.sky.refused, "dropped: too many at once": self._connection.traffic.overflow}
        now_s = time.monotonic()
        if lost != self._lost and now_s - self._lost_s >= LOSSES_EVERY_S:
            log.get("ui").warning("not shown", **{reason: count for reason, count in sorted(lost.items()) if count})
            self._lost, self._lost_s = lost, now_s

    def pulse(self) -> dict[str, Any]:
        """How alive it all is. `age_s`: since the newest picture came; `lag_s`: how old that was by its own time."""
        age_s = time.monotonic() - self.sky.picture_s
        told = {"picture_us": self.sky.picture_us, "age_s": round(age_s, 2), "lag_s": round(self._lag_s, 2)}
        return {
            "connected": self._connection.connected,
            "problem": self._connection.problem,
            "site": self.site,
            **(told if self.sky.picture_us >= 0 else {}),
        }

    # --- commands ---

    async def say(self, wanted: Command) -> dict[str, Any]:
        """Publish a command; the service's answer. Raises NoAnswer as `ask`."""
        return await self.ask(f"cmd/{wanted.verb}", command.encode(wanted), wanted.verb)

    async def ask(self, subject: str, payload: bytes, about: str) -> dict[str, Any]:
        """Publish what the service answers; its answer. `about` is the last level of the topic that it answers to.

        Raises:
            NoAnswer: no connection, refused by the broker, or nobody answered in time.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise NoAnswer("too many commands wait for an answer")
        correlation = secrets.token_bytes(8)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[correlation] = future
        try:
            async with asyncio.timeout(ANSWER_PATIENCE_S):
                await self._connection.publish(
                    self._base + subject, payload, correlation=correlation, response_topic=f"{self._answers}/{about}",
                    expiry_s=ANSWER_PATIENCE_S,  # who was told that it is not done must not find it done later
                )  # fmt: skip
                return await future
        except PublishError as error:
            raise NoAnswer(f"the broker did not take it: {error}") from None
        except TimeoutError:
            raise NoAnswer("the service did not answer") from None
        finally:
            del self._waiting[correlation]

    def _answered(self, incoming: Incoming) -> None:
        future = self._waiting.get(incoming.correlation)
        with suppress(Invalid):
            if future is not None and not future.done():
                said = load_json(incoming.payload)
                if said.get("schema") in (command.ANSWER_SCHEMA, sighting.ANSWER_SCHEMA):
                    future.set_result(said)
