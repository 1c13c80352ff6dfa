"""Brief: what only computes, and not for long, is done where it stands.

Threads of one interpreter compute in turn. Beside an event loop that is busy, a
thread waits for the interpreter at every step, and the loop waits for the thread:
to read and verify an envelope costs less than that. So a thread is for what waits
- for a disk, a database, another machine - and for what would keep everybody else
waiting.

How long a message may take is told by its bytes and its tags (`weight`). To read
and verify 16 KiB takes some 1.2 ms; to list all that may be wrong with them, 25.

Spec: docs/adr/0036.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST_BYTES = 16 * 1024  # An ordinary envelope has 4 KiB, and 140 tags.
_TAG_BYTES = 32
_TURN_S = 0.01


def weight(xml: bytes) -> int:
    """Return how many bytes a message counts for: of many small elements more than it has."""
    return max(len(xml), _TAG_BYTES * xml.count(b"<"))


async def each(work: Callable[[T], R], items: Sequence[T], size_of: Callable[[T], int]) -> list[R]:
    """Return what `work` makes of each item, which only computes; after ten milliseconds others have their turn.

    Args:
        work: What to do; in a thread with an item that has more than `MOST_BYTES`.
        items: With what.
        size_of: How many bytes an item has.
    """
    made: list[R] = []
    began = time.perf_counter()
    for item in items:
        if size_of(item) > MOST_BYTES:
            made.append(await asyncio.to_thread(work, item))
            began = time.perf_counter()
            continue
        if time.perf_counter() - began > _TURN_S:
            await asyncio.sleep(0)
            began = time.perf_counter()
        made.append(work(item))
    return made
