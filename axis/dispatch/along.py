"""Along: a write to the ledger may make something due; who can publish begins that in the same commit.

`Outbound.along` is the one that does. A process without pipes commits alone, and
a router finds what is due when it looks.
"""

from collections.abc import Awaitable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Along(Protocol):
    """Awaits a write, and may begin what it makes due."""

    async def __call__(self, committing: Awaitable[T], /) -> T:
        """Return what the write returned; raise what it raised."""


async def alone(committing: Awaitable[T], /) -> T:
    """Await a write, and begin nothing."""
    return await committing
