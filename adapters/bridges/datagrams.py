"""Datagrams as they arrive at an address or in a multicast group, handed on every `TOGETHER_S`."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from adapters.bridges.common import TOGETHER_S, Heard
from adapters.broker import now_us

MOST_DATAGRAMS = 10_000  # between two looks; more are dropped and counted


class Hearing(Protocol):
    """Makes batches of datagrams."""

    def hear(self, datagrams: Sequence[tuple[int, bytes]], heard: Heard) -> None:
        """Add what these (arrival, octets) say."""


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.waiting: list[tuple[int, bytes]] = []
        self.dropped = 0

    def datagram_received(self, data: bytes, addr: object) -> None:
        if len(self.waiting) < MOST_DATAGRAMS:
            self.waiting.append((now_us(), data))
        else:
            self.dropped += 1


def _listening(host: str, port: int, group: str) -> socket.socket:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if group:  # which several may hear; at an address a second listener would take everything from the first
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receiver.bind((group or host, port))
        if group:
            member = struct.pack("4s4s", socket.inet_aton(group), socket.inet_aton(host))
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    except OSError:
        receiver.close()
        raise
    return receiver


async def from_udp(host: str, port: int, group: str, ear: Hearing) -> AsyncIterator[Heard]:
    """What arrives at an address, or in a multicast group on it, every `TOGETHER_S`; for ever.

    Raises:
        OSError: the address cannot be used.
    """
    receiver = _listening(host, port, group)
    transport, got = await asyncio.get_running_loop().create_datagram_endpoint(_Datagrams, sock=receiver)
    try:
        while True:
            await asyncio.sleep(TOGETHER_S)
            heard = Heard()
            if got.dropped:
                heard.refused["overload"], got.dropped = got.dropped, 0
            ear.hear(got.waiting, heard)
            got.waiting = []
            yield heard
    finally:
        transport.close()
