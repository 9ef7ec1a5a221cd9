"""A TCP relay between a client and a broker that a test can cut, refuse, hold and slow, and open again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Self

PIECE_BYTES = 4_096  # of a slow line
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: what is closed says RST


class Relay:
    """Listens on a port of its own and passes bytes to `target_port`, while it is open."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self._target_port = target_port
        self._is_open = True
        self._delay_s = self._s_per_byte = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")
        self._writers: list[asyncio.StreamWriter] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self.cut()
        self._loop.call_soon_threadsafe(self._flowing.set)
        self._call(asyncio.sleep(0.05))  # until what was held has seen its end
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> None:
        """Drop every connection with a reset, and every new one until `open`."""
        self._call(self._cut())

    def refuse(self) -> None:
        """As `cut`, and nobody listens any more until `open`: a connection is refused."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._call(self._cut())

    def hold(self) -> None:
        """A black hole until `open`: connections stay and are taken, and not a byte comes through."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def slow(self, delay_s: float, bytes_per_s: float) -> None:
        """A slow line until `open`."""
        self._delay_s, self._s_per_byte = delay_s, 1.0 / bytes_per_s

    def open(self) -> None:
        """Let everything through again."""
        self._is_open = True
        self._delay_s = self._s_per_byte = 0.0
        self._loop.call_soon_threadsafe(self._flowing.set)
        if not self._server.is_serving():
            self._call(self._listen())

    def _call(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        if not self.port:
            self._flowing = asyncio.Event()
            self._flowing.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        self._is_open = False
        for writer in self._writers:
            _reset(writer)
        self._writers.clear()
        await asyncio.sleep(0.05)  # until the tasks of these connections have seen it

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._is_open:
            _reset(writer)
            return
        with contextlib.suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            self._writers += [writer, there_writer]
            await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))
            return
        _reset(writer)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE_BYTES if self._s_per_byte else 65_536):
                await self._flowing.wait()
                if self._s_per_byte:
                    await asyncio.sleep(self._delay_s + len(data) * self._s_per_byte)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


def _reset(writer: asyncio.StreamWriter) -> None:
    here = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
