"""Courier: signed receipts of ours travel to the axis.

They are in the state before they are published, so a publish that fails, or
whose fate is unknown, is simply made again later with the same bytes: at the
start, and whenever something has stayed unsent for a while.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from axis.broker import topology
from axis.clock import Clock
from axis.errors import TransientError
from axis.office import metrics
from axis.office.pipes import Pipes
from axis.office.state import State

_AT_ONCE = 100
_GRACE = timedelta(seconds=10)  # What was said just now is being published by who said it.


@dataclass(frozen=True, kw_only=True)
class Courier:
    """Publishes receipts."""

    office: str
    pipes: Pipes
    state: State
    now: Clock

    async def send(self, envelope_id: str, receipts: Iterable[bytes]) -> bool:
        """Publish kept receipts in order; False if the rest must wait for `send_again`."""
        kept = list(receipts)
        # Side by side, in this order on the line: to wait for each confirm would double the way home.
        done = await asyncio.gather(*(self._publish(envelope_id, xml) for xml in kept))
        sent = [sha256(xml).hexdigest() for xml, good in zip(kept, done, strict=True) if good]
        if sent:
            metrics.RECEIPTS_SENT.inc(len(sent))
            await self.state.published(sent, self.now())
        return all(done)

    async def _publish(self, envelope_id: str, xml: bytes) -> bool:
        try:
            await self.pipes.publish(
                topology.office_exchange(self.office),
                "receipt",
                xml,
                type="receipt",
                headers={"envelope-id": envelope_id},
                user_id=self.office,
            )
        except TransientError:
            return False
        return True

    async def send_again(self, *, grace: timedelta = _GRACE) -> None:
        """Publish what was kept some time ago and may not have reached the axis."""
        while unsent := await self.state.unsent(self.now() - grace, _AT_ONCE):
            for one in unsent:
                if not await self.send(one.envelope_id, [one.xml]):
                    return
