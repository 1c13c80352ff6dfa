"""Proxy: a line on loopback that a trial can cut at any byte, stop, slow down, half close or lead elsewhere.

It knows nothing of what it carries. THERE is from the client to the server,
BACK the other way. What is set holds for the connections of now and of later.
"""

import asyncio
import contextlib
import math
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

Address = tuple[str, int]
_CHUNK_BYTES = 65_536
_NO_LINGER = struct.pack("ii", 1, 0)  # What is closed with it is reset: the other side reads an error, not an end.


class Way(Enum):
    """A direction."""

    THERE = auto()
    BACK = auto()


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a line is."""

    latency_s: float = 0.0
    slice_bytes: int = _CHUNK_BYTES  # So many at a time, each in a packet of its own.
    bytes_per_s: float = math.inf


@dataclass(slots=True, eq=False)
class _Link:
    """One connection, with both its ends."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter

    def end(self, *, reset: bool) -> None:
        for writer in (self.client, self.server):
            if reset:
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                writer.transport.abort()
            else:
                writer.close()


@dataclass(slots=True)
class Proxy:
    """A port of our own that leads to the first of some servers that answers."""

    servers: Sequence[Address]
    pace: Pace = field(default_factory=Pace)
    port: int = 0
    passed: dict[Way, int] = field(default_factory=lambda: dict.fromkeys(Way, 0))  # Bytes, so far.
    cuts: int = 0  # Connections that were cut, so far.
    _left: dict[Way, int] = field(default_factory=dict)  # Bytes until the cut that was ordered.
    _reset: bool = True
    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _links: set[_Link] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def to(cls, *servers: Address) -> AsyncIterator["Proxy"]:
        """Listen until the block ends."""
        proxy = cls(servers)
        proxy._flows.set()
        listening = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
        proxy.port = int(listening.sockets[0].getsockname()[1])
        try:
            async with listening:
                yield proxy
        finally:
            proxy.go_on()
            proxy.cut()
            for task in proxy._tasks:
                task.cancel()
            await asyncio.gather(*proxy._tasks, return_exceptions=True)

    # --- what can be done to it ------------------------------------------------------------

    def cut(self, *, reset: bool = True) -> None:
        """Cut every connection now; new ones are served."""
        self.cuts += len(self._links)
        for link in tuple(self._links):
            link.end(reset=reset)
        self._links.clear()

    def cut_after(self, way: Way, count: int, *, reset: bool = True) -> None:
        """Cut the connection that carries the byte behind the next `count` bytes that way; only once."""
        self._left[way], self._reset = count, reset

    def close_half(self, way: Way) -> None:
        """End one direction of every connection, as a peer does that has no more to say; the other goes on."""
        for link in self._links:
            writer = link.server if way is Way.THERE else link.client
            with contextlib.suppress(OSError, RuntimeError):
                writer.write_eof()

    def stop(self) -> None:
        """Swallow everything, and say nothing: connections stand, and new ones are taken."""
        self._flows.clear()

    def go_on(self) -> None:
        """Carry again, first what has waited."""
        self._flows.set()

    # --- carrying --------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(asyncio.CancelledError):  # The server would tell of it as an error of ours.
            await self._serve(reader, client)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        far = await self._connect()
        if far is None:
            client.transport.abort()
            return
        link = _Link(client, far[1])
        self._links.add(link)
        pumps = (
            asyncio.create_task(self._pump(reader, far[1], Way.THERE, link)),
            asyncio.create_task(self._pump(far[0], client, Way.BACK, link)),
        )
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            self._links.discard(link)
            link.end(reset=False)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for host, port in self.servers:
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(host, port)
        return None

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way, link: _Link) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._flows.wait()
                if self.pace.latency_s:
                    await asyncio.sleep(self.pace.latency_s)
                left = memoryview(data)
                while left:  # The pace may change before all of it has gone.
                    size_bytes = self.pace.slice_bytes
                    if not await self._carry(left[:size_bytes], writer, way, link):
                        return
                    left = left[size_bytes:]
            writer.write_eof()

    async def _carry(self, data: memoryview, writer: asyncio.StreamWriter, way: Way, link: _Link) -> bool:
        """Carry some bytes; False if the line was cut in them."""
        left = self._left.get(way)
        is_cut = left is not None and left <= len(data)
        carried = data[:left] if is_cut else data
        if left is not None:
            self._left[way] = left - len(carried)
        writer.write(carried)
        self.passed[way] += len(carried)
        await writer.drain()
        if not math.isinf(self.pace.bytes_per_s):
            await asyncio.sleep(len(carried) / self.pace.bytes_per_s)
        if is_cut:
            self._left.pop(way, None)
            self.cuts += 1
            self._links.discard(link)
            link.end(reset=self._reset)
        return not is_cut
