"""Health: /metrics, /healthz and /readyz for a process without HTTP of its own.

/healthz answers 200 while the process lives. /readyz answers 200 when every
check passes and 503 with the failing ones otherwise. Checks name rooms, never
hosts or errors' texts.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from axis.telemetry import metrics

Ready = Callable[[], Awaitable[dict[str, str]]]  # room -> "ok" or a code of errors.CATALOGUE

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_JSON = "application/json"


class HealthServer:
    """Serve three fixed paths over HTTP/1.1, one request per connection."""

    def __init__(
        self, host: str, port: int, ready: Ready, exposition: Callable[[], bytes] = metrics.exposition
    ) -> None:
        self._host = host
        self._port = port
        self._ready = ready
        self._exposition = exposition
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, also where 0 was asked for."""
        if self._server is None:
            raise AssertionError("the server has not been started")
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
            status, kind, body = await self._answer(head)
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # A watcher that went away or spoke nonsense is no event of the axis.
        finally:
            writer.close()

    async def _answer(self, head: bytes) -> tuple[str, str, bytes]:
        parts = head.split(b" ", 2)
        path = parts[1] if len(parts) > 2 and parts[0] == b"GET" else b""
        if path == b"/metrics":
            return "200 OK", _TEXT, self._exposition()
        if path == b"/healthz":
            return "200 OK", _JSON, b'{"alive": true}'
        if path == b"/readyz":
            checks = await self._ready()
            good = all(state == "ok" for state in checks.values())
            return ("200 OK" if good else "503 Service Unavailable"), _JSON, json.dumps(checks).encode()
        return "404 Not Found", _JSON, b"{}"
