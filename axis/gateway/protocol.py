"""Protocol: HTTP as uvicorn speaks it, with an end to how much and how long a stranger may say before a request.

The parser has no limit of its own: without these, a connection that has shown
no token could send a head without end, or nothing at all for ever.
"""

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class BoundedHttp(HttpToolsProtocol):
    """Closes a connection whose request line and headers are too large, or do not come."""

    head_most_bytes: ClassVar[int] = 64 * 1024
    first_within_s: ClassVar[float] = 30.0

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._head_bytes = 0
        self._in_head = False
        self._first: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request its time."""
        super().connection_made(transport)
        self._first = self.loop.call_later(self.first_within_s, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes before a request is known."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.head_most_bytes:
                self.transport.close()

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._head_bytes, self._in_head = 0, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """End counting: the rest is the application's to read, or not."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def _stop_waiting(self) -> None:
        if self._first is not None:
            self._first.cancel()
            self._first = None
