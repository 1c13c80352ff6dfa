"""Courier: signed receipts of ours travel to the axis.

They are in the state before they are published, so a publish that fails, or
whose fate is unknown, is simply made again later with the same bytes: at the
start, and whenever something has stayed unsent for a while. What is ready at the
same moment travels in one message.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

from axis.batches import Batches
from axis.broker import topology
from axis.clock import Clock
from axis.errors import TransientError
from axis.office import metrics
from axis.office.pipes import Pipes
from axis.office.state import State
from axis.receipts import bundle

_AT_ONCE = 100
_GRACE = timedelta(seconds=10)  # What was said just now is being published by who said it.


@dataclass(frozen=True, kw_only=True)
class Courier:
    """Publishes receipts."""

    office: str
    pipes: Pipes
    state: State
    now: Clock
    _publishing: Batches[bytes, bool] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_publishing", Batches(self._publish, most=_AT_ONCE))

    async def send(self, receipts: Iterable[bytes]) -> bool:
        """Publish kept receipts in order; False if some of them must wait for `send_again`."""
        return all(await asyncio.gather(*map(self._publishing.put, receipts)))

    async def send_again(self, *, grace: timedelta = _GRACE) -> None:
        """Publish what was kept some time ago and may not have reached the axis."""
        while unsent := await self.state.unsent(self.now() - grace, _AT_ONCE):
            if not await self.send(unsent):
                return

    async def _publish(self, receipts: Sequence[bytes]) -> list[bool]:
        """Publish receipts in as few messages as may be, and note those that the broker has."""
        portions = list(bundle.portions((xml, None) for xml in receipts))
        # Side by side, in this order on the line: to wait for each confirm would double the way home.
        done = await asyncio.gather(*(self._publish_one([xml for xml, _ in portion]) for portion in portions))
        sent = [xml for portion, good in zip(portions, done, strict=True) if good for xml, _ in portion]
        if sent:
            metrics.RECEIPTS_SENT.inc(len(sent))
            await self.state.published([sha256(xml).hexdigest() for xml in sent], self.now())
        return [good for portion, good in zip(portions, done, strict=True) for _ in portion]

    async def _publish_one(self, receipts: Sequence[bytes]) -> bool:
        kind, body = bundle.pack(receipts)
        try:
            await self.pipes.publish(
                topology.office_exchange(self.office), "receipt", body, type=kind, user_id=self.office
            )
        except TransientError:
            return False
        return True
