"""Clock: the loops that keep deliveries moving.

Each loop asks the ledger what is due, does it, and sleeps until its period is
over or somebody rings. A loop that meets an unforeseen error says so and goes
on: one bad row must not stop every office.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta

from axis import clock, ledger
from axis.cancelling import ends_when_told, pause
from axis.dispatch.answers import Answers
from axis.dispatch.orders import Orders
from axis.dispatch.outbound import Outbound
from axis.dispatch.succession import Succession
from axis.errors import PermanentError, TransientError
from axis.telemetry import events

_FOLLOW_EVERY = timedelta(seconds=5)  # What the roll says of what is held.
_TEND_EVERY = timedelta(seconds=1)  # Expiry, silence and deadlines: seconds are soon enough.
_TELL_EVERY = timedelta(seconds=5)  # What is told at the age of an hour is told in time.
_PAUSE_MOST_S = 10.0
_ROWS = 500


class Bell:
    """Wakes a loop before its period is over: something is due now."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the loop."""
        self._event.set()

    async def wait(self, at_most: timedelta) -> None:
        """Sleep until rung, or for `at_most`."""
        await pause(at_most.total_seconds(), unless=self._event)
        self._event.clear()


async def keep_doing(name: str, once: Callable[[], Awaitable[bool]], bell: Bell, period: timedelta) -> None:
    """Call `once` for ever: at once again while it finds work, else after `period` or a ring."""
    pause_s = 1.0
    while True:
        try:
            with ends_when_told():
                busy = await once()
            pause_s = 1.0
            if not busy:
                await bell.wait(period)
        except Exception as error:
            _tell(name, error, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _PAUSE_MOST_S)


def _tell(name: str, error: Exception, pause_s: float) -> None:
    if isinstance(error, TransientError):
        events.room_unavailable(room=name, code=error.code, retry_s=pause_s)
    elif isinstance(error, PermanentError) and error.code == "CFG.INVALID":
        events.configuration_unusable(name=name, detail=error.detail)
    else:
        events.service_failed(name=name, error=error)


class Dispatch:
    """The running clock: attempts, notices, orders, silence, expiry, deadlines and succession."""

    def __init__(
        self,
        outbound: Outbound,
        answers: Answers,
        orders: Orders,
        succession: Succession,
        book: ledger.Ledger,
        *,
        poll: timedelta,
        bell: Bell,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._bell = bell
        self._outbound = outbound
        self._answers = answers
        self._orders = orders
        self._succession = succession
        self._ledger = book
        self._poll = poll
        self._now = now
        self._told_up_to: ledger.DeliveryRow | None = None  # Of what cannot leave; None: from the beginning.

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the loops until the block ends; what was begun is finished or safely due again."""
        loops = [
            asyncio.create_task(keep_doing("dispatch.outbound", self._send, self._bell, self._poll)),
            asyncio.create_task(keep_doing("dispatch.orders", self._orders.go_round, Bell(), self._poll)),
            asyncio.create_task(keep_doing("dispatch.succession", self._succession.go_round, Bell(), _FOLLOW_EVERY)),
            asyncio.create_task(keep_doing("dispatch.deadlines", self._tend, Bell(), _TEND_EVERY)),
            asyncio.create_task(keep_doing("dispatch.silence", self._look_after, Bell(), _TEND_EVERY)),
            asyncio.create_task(keep_doing("dispatch.delays", self._tell_of_delays, Bell(), _TELL_EVERY)),
        ]
        try:
            yield
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self._outbound.finish()

    async def _send(self) -> bool:
        """Send what is due, deliveries and notices side by side."""
        # To ask takes no lock; to look for work does, on SQLite the only one.
        return await self._ledger.due(self._now()) and await self._outbound.go_round()

    async def _tend(self) -> bool:
        """Expire what is over, and remind those who are late. All of this is the ledger's, whatever the broker does."""
        now = self._now()
        await self._set_right(now)
        expiring = await self._ledger.expiring(now, _ROWS)
        await asyncio.gather(*(self._answers.expire(row, now) for row in expiring))
        late = await self._ledger.to_remind(now, _ROWS)
        await asyncio.gather(*(self._answers.remind(row, now) for row in late))
        return False

    async def _look_after(self) -> bool:
        """Tell of what nobody answered, and look for it in the inboxes."""
        now = self._now()
        unanswered = await self._ledger.unanswered(now, _ROWS)
        if unanswered:
            await asyncio.gather(*(self._answers.warn(row, now, code="DLV.NO_ANSWER") for row in unanswered))
            await self._outbound.audit_inboxes(now, unanswered)
        return False

    async def _tell_of_delays(self) -> bool:
        """Tell of what cannot leave, once it is as old as is worth a notice; of many some at a time."""
        now, marks = self._now(), self._answers.notices_after
        if not marks:
            return False
        late = await self._ledger.not_leaving(now, now - min(marks), self._told_up_to, _ROWS)
        await asyncio.gather(*(self._answers.warn(row, now, code=code) for row, code in late))
        self._told_up_to = late[-1][0] if len(late) == _ROWS else None
        return False

    async def _set_right(self, now: datetime) -> None:
        """Find what a clock that was ahead has put off until it is that late."""
        # An order waits for its document by a part of that patience at a time.
        longest = max(self._answers.schedule.longest, self._outbound.answer_within, self._orders.patience)
        moved = await self._ledger.bring_near(now, longest)
        if moved:
            events.clock_set_right(room="dispatch", moved=moved)
