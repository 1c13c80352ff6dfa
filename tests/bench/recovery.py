"""Recovery: very many documents are on their way, and everything is killed at once.

The addressee is away while they are handed in, so that each is accepted and
waits in its inbox. Then router, gateway, broker and both offices get SIGKILL.
What is measured begins with the first command that starts them again and ends
when the originator has heard every receipt. The goal: 10,000 in 60 s.
"""

import asyncio
import time
from dataclasses import dataclass

from tests.bench.journal import Journal
from tests.bench.meters import each_ms, less
from tests.bench.order import Order
from tests.bench.stand import ADDRESSEE, ORIGINATOR, Stand

DOCUMENTS = 10_000
_FILE_BYTES = 1024
_OFFERED_PER_S = 400.0
_WITHIN_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How long it takes to be where one was."""

    documents: int
    loading_s: float  # Until all had been accepted.
    ready_s: float  # From the restart until the axis took connections.
    drained_s: float  # From the restart until the last receipt was heard.
    per_second: float
    cpu_ms: dict[str, float]  # For each document, by process, since the restart.


async def measure(stand: Stand, documents: int) -> Recovery:
    """Fill the inbox of an office that is away, kill everything, and start it again."""
    assert await stand.laboratory.stop(ADDRESSEE) == 0
    order = Order(
        name="recovery", addressees=(ADDRESSEE,), documents=documents, file_bytes=_FILE_BYTES, per_s=_OFFERED_PER_S
    )
    journal = Journal(stand.orders / f"{order.name}.journal")
    began = time.monotonic()
    order.put(stand.orders)
    await _until(stand, journal, frozenset({"accepted"}), documents)
    loading_s = time.monotonic() - began
    for name in (ORIGINATOR, "axis"):
        await stand.laboratory.kill(name)
    await asyncio.to_thread(stand.node.kill)

    began = time.monotonic()
    await stand.node.start()
    await stand.start_router()
    ready_s, before = time.monotonic() - began, {}
    for code in (ADDRESSEE, ORIGINATOR):
        await stand.start_office(code)
    before = stand.cpu()
    await _until(stand, journal, order.awaited, documents)
    drained_s = time.monotonic() - began
    return Recovery(
        documents=documents,
        loading_s=round(loading_s, 1),
        ready_s=round(ready_s, 1),
        drained_s=round(drained_s, 1),
        per_second=round(documents / drained_s, 1),
        cpu_ms=each_ms(less(stand.cpu(), before), documents),
    )


async def _until(stand: Stand, journal: Journal, awaited: frozenset[str], documents: int) -> None:
    """Wait until each document has been heard of so far."""
    told = time.monotonic()
    async with asyncio.timeout(_WITHIN_S):
        while True:
            await asyncio.sleep(0.5)
            stand.require_alive()
            whole = sum(one.is_whole(awaited) for one in journal.read().values())
            if whole >= documents:
                return
            if time.monotonic() - told > 5:
                told = time.monotonic()
                stand.said(f"recovery: {whole} of {documents} {'accepted' if len(awaited) == 1 else 'home'}")
