"""Brief: what only computes, and not for long, is done where it stands.

Threads of one interpreter compute in turn. Beside an event loop that is busy, a
thread waits for the interpreter at every step, and the loop waits for the thread:
to read and verify an envelope costs less than that. So a thread is for what waits
- for a disk, a database, another machine - and for what would keep everybody else
waiting.

How long something takes is told by its bytes: to read and verify them some
75 microseconds for each KiB.

Spec: docs/adr/0036.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST_BYTES = 128 * 1024  # Some ten milliseconds.


async def each(work: Callable[[T], R], items: Sequence[T], size_of: Callable[[T], int]) -> list[R]:
    """Return what `work` makes of each item, which only computes; after so many bytes others have their turn.

    Args:
        work: What to do; in a thread with an item that has more than `MOST_BYTES`.
        items: With what.
        size_of: How many bytes an item has.
    """
    made: list[R] = []
    in_a_row = 0
    for item in items:
        size_bytes = size_of(item)
        if size_bytes > MOST_BYTES:
            made.append(await asyncio.to_thread(work, item))
            in_a_row = 0
            continue
        if in_a_row + size_bytes > MOST_BYTES:
            await asyncio.sleep(0)
            in_a_row = 0
        in_a_row += size_bytes
        made.append(work(item))
    return made
