"""Line: a TCP relay between an office and the gateway that counts what passes, and can be cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_PIECE = 256 * 1024


@dataclass(slots=True)
class Line:
    """What has passed, and when it breaks."""

    port: int = 0
    up_bytes: int = 0
    down_bytes: int = 0
    cut_after: int | None = None  # Bytes in both directions together; then it breaks once.
    was_cut: bool = False
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where an office finds the gateway."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def passed(self) -> int:
        """Bytes in both directions."""
        return self.up_bytes + self.down_bytes

    def count(self, passed: int, *, up: bool) -> None:
        """Note that so many bytes have passed."""
        if up:
            self.up_bytes += passed
        else:
            self.down_bytes += passed
        self._moved.set()

    async def until(self, passed: int) -> None:
        """Wait until so many bytes have passed in both directions."""
        while self.passed < passed:
            self._moved.clear()
            await self._moved.wait()

    def cut(self) -> None:
        """Break every connection that is open now."""
        self.was_cut, self.cut_after = True, None
        for end in self._ends:
            end.transport.abort()


@asynccontextmanager
async def line(gateway_url: str) -> AsyncIterator[Line]:
    """Open a line to a gateway."""
    host, _, port = gateway_url.removeprefix("http://").partition(":")
    made = Line()

    async def serve(office: asyncio.StreamReader, to_office: asyncio.StreamWriter) -> None:
        gateway, to_gateway = await asyncio.open_connection(host, int(port))
        ends = {to_office, to_gateway}
        made._ends |= ends
        try:
            await asyncio.gather(_carry(made, office, to_gateway, up=True), _carry(made, gateway, to_office, up=False))
        except OSError:
            pass  # One side is gone, or the line was cut.
        finally:
            made._ends -= ends
            for end in ends:
                end.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = int(server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()
        made.cut()
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await server.wait_closed()


async def _carry(made: Line, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, up: bool) -> None:
    while piece := await source.read(_PIECE):
        made.count(len(piece), up=up)
        if made.cut_after is not None and made.passed >= made.cut_after:
            made.cut()
            return
        target.write(piece)
        await target.drain()
    target.close()
