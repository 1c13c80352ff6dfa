"""Watch: who waits for news is woken when there is some, and the ledger is asked once for all of them.

While nobody waits, nothing is asked. Whoever waits is on the list before it
looks for the last time: what happens in between is seen by the one or by the
other.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

from starlette.types import Receive

from axis.errors import TransientError
from axis.ledger import Ledger, Place
from axis.telemetry import events

_EVERY_S = 0.25
_PAUSE_S = 2.0  # While the ledger cannot be asked.

T = TypeVar("T")


class Watch:
    """Looks for news on behalf of the callers of one gateway."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._stopped = False

    def stop(self) -> None:
        """Wake everybody, and let nobody wait any more: the gateway ends."""
        self._stopped = True
        self._wake(list(self._waiting))

    async def news(self, office: str, look: Callable[[], Awaitable[T]], *, wait_s: float, receive: Receive) -> T:
        """Return what `look` finds, at the latest when the time is over or the caller has gone.

        Args:
            office: Who waits.
            look: Returns something true if there is news for the office.
            wait_s: For how long to wait if there is none.
            receive: Tells when the caller goes away.
        """
        if wait_s <= 0:
            return await look()
        deadline = asyncio.get_running_loop().time() + wait_s
        gone = asyncio.ensure_future(_gone(receive))
        try:
            async with self._on_the_list(office) as rung:
                while True:
                    rung.clear()
                    found = await look()
                    left_s = deadline - asyncio.get_running_loop().time()
                    if found or left_s <= 0 or gone.done() or self._stopped:
                        return found
                    ringing = asyncio.ensure_future(rung.wait())
                    await asyncio.wait({ringing, gone}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                    ringing.cancel()
        finally:
            gone.cancel()

    @contextlib.asynccontextmanager
    async def _on_the_list(self, office: str) -> AsyncIterator[asyncio.Event]:
        rung = asyncio.Event()
        if self._looking is None or self._looking.done():
            since = await self._ledger.feed_end()
            if self._looking is None or self._looking.done():  # Somebody else may have begun meanwhile.
                self._looking = asyncio.create_task(self._look(since))
        self._waiting.setdefault(office, set()).add(rung)
        try:
            yield rung
        finally:
            self._waiting[office].discard(rung)
            if not self._waiting[office]:
                del self._waiting[office]
            if not self._waiting and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _look(self, since: Place) -> None:
        """Go through what happens, as long as anybody waits."""
        pause_s = _EVERY_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                offices, since = await self._ledger.concerned(since)
                pause_s = _EVERY_S
            except TransientError as error:
                pause_s = _PAUSE_S
                events.room_unavailable(room="gateway.watch", code=error.code, retry_s=pause_s)
                continue
            except Exception as error:
                pause_s = _PAUSE_S
                events.service_failed(name="gateway.watch", error=error)
                continue
            self._wake(offices)

    def _wake(self, offices: Iterable[str]) -> None:
        for office in offices:
            for rung in self._waiting.get(office, ()):
                rung.set()


async def _gone(receive: Receive) -> None:
    """Return when the caller has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass
