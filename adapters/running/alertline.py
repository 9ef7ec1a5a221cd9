"""The connection that alerts leave by, and the order they leave in.

Alerts are journalled before they come here. One sender at a time: after a reconnect what waited goes first, then every
open alert as it stands, and only then what the next tick says; so an older state never overwrites a newer one. What was
taken off the broker lately is taken off again: a broker that was killed comes back with what it had saved before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from adapters.broker import BrokerSettings, Outgoing, PublishDenied
from adapters.mqtt import Connection

KEPT_MAX = 20_000  # alert messages kept while there is no broker; beyond it the oldest fall, and the journal has them

CLEARED_MAX = 1_000  # topics of ended alerts remembered: Mosquitto saves every half hour, and so many are a busy night

_log = structlog.get_logger("vedette.alerts")


class AlertLine:
    """Sends alerts in order, and keeps what could not be sent.

    Args:
        open_again: the messages of every open alert as it stands, asked for after each reconnect.
        denied: told of every message that the broker refused: it is not sent again.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        open_again: Callable[[], Awaitable[list[Outgoing]]],
        denied: Callable[[Outgoing, PublishDenied], None],
        on_change: Callable[[bool, str], None],
    ) -> None:
        self.link = Connection(settings, name="alerts", birth=self._born, on_change=on_change)
        self._open_again = open_again
        self._denied = denied
        self._kept: list[Outgoing] = []
        self._cleared: dict[str, Outgoing] = {}  # by topic, the oldest first
        self._turn = asyncio.Lock()

    @property
    def is_through(self) -> bool:
        """Nothing waits for the broker."""
        return not self._kept

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Send these after all that waits. What finds no connection is kept for the next one."""
        async with self._turn:
            await self._push([*self._kept, *messages])

    async def _born(self, _link: Connection) -> None:
        async with self._turn:
            await self._push([*self._kept, *self._cleared.values(), *await self._open_again()])

    async def _push(self, messages: list[Outgoing]) -> None:
        """Send all; from the first that found no connection on, all are kept, in order. Caller holds the turn."""
        self._kept = messages
        self._note(messages)
        for at in range(0, len(messages), 500):
            part = messages[at : at + 500]
            for n, error in enumerate(await self.link.publish_many(part)):
                if isinstance(error, PublishDenied):
                    self._denied(part[n], error)
                elif error is not None:
                    self._keep(messages[at + n :])
                    return
        self._kept = []

    def _note(self, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            if message.retain:
                self._cleared.pop(message.topic, None)
                if not message.payload:
                    self._cleared[message.topic] = message
        for topic in [*self._cleared][:-CLEARED_MAX]:
            del self._cleared[topic]

    def _keep(self, messages: list[Outgoing]) -> None:
        lost = max(0, len(messages) - KEPT_MAX)
        if lost:
            _log.error("alert messages dropped after a long time without broker; the journal holds them", count=lost)
        self._kept = messages[lost:]
