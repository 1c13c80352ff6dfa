"""Pipes: what the counter needs of the world outside, and no more.

`axis.broker.Broker` and `GatewayClient` are the real ones; the test axis has
others in memory. The counter cannot tell which it works with.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from axis.broker import Incoming, Packed


class Consumer(Protocol):
    """Somebody who reads a queue."""

    async def stop(self) -> None:
        """Take no more, and finish what has been begun."""


class Pipes(Protocol):
    """Messages to and from the axis."""

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes | Packed,
        *,
        type: str,  # noqa: A002 - AMQP's own name for it.
        headers: dict[str, Any] | None = None,
        user_id: str | None = None,
    ) -> None:
        """Return once the broker has it. Raises TransientError."""

    async def consume_each(
        self, queue: str, callback: Callable[[Incoming], Awaitable[None]], *, at_once: int, before: str | None = None
    ) -> Consumer:
        """Hand each message to a callback of its own, those of the queue `before` first, and ack it when that returns."""

    async def ping(self) -> None:
        """Raise TransientError if the broker cannot be reached."""


class Gateway(Protocol):
    """Attachments to and from the axis."""

    async def upload(self, source: Path | bytes, sha256: str, size_bytes: int) -> None:
        """Return once the axis has the file, going on where an earlier upload ended. Raises AxisError."""

    async def receipts_known(self, envelope_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return level by digest of the receipts that the axis has and we may see, for each envelope with any. Raises AxisError."""

    async def receipts_of(self, envelope_id: str) -> list[bytes]:
        """Return the receipts about an envelope. Raises AxisError."""

    def stream(self, sha256: str, size_bytes: int, *, start: int = 0) -> AsyncIterator[bytes]:
        """Yield a file from a byte on, going on after a cut. The bytes are not checked here. Raises AxisError."""
