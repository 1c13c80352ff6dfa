"""Compare: what we have said and heard, against what the axis has on record.

A receipt that the broker has confirmed may still be lost: somebody purges a
queue, a store is wiped, a machine comes back from a backup. So the office asks
the axis from time to time, over HTTP and for many envelopes at once, which
receipts it has: what we lack is fetched and heard, what it lacks is said again.

Spec: docs/protocol/receipts.md 9.
"""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from axis.clock import Clock
from axis.office.hearing import Hearing
from axis.office.pipes import Gateway
from axis.office.state import COMPARE_AFTER, State
from axis.receipts import Level
from axis.telemetry import events

_AT_ONCE = 100  # As many as the axis answers for in one request.
# How long after the last thing happened to an envelope it is looked at: often while it is news, then rarely.
AGES = (COMPARE_AFTER, *(timedelta(seconds=s) for s in (300, 3600, 86_400, 7 * 86_400, 30 * 86_400)))

# Of those that put a delivery off, the axis tells the ones that are news; of reminders, an originator gets the last.
_NOT_ALL_TOLD = frozenset({Level.DEFERRED, Level.REMINDED})


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Compares for one office."""

    state: State
    gateway: Gateway
    hearing: Hearing
    now: Clock

    async def look(self) -> None:
        """Look at what is due.

        Raises:
            AxisError: The axis cannot be asked now; what is due stays so.
        """
        while due := await self.state.comparisons(self.now(), _AT_ONCE):
            known = await self.gateway.receipts_known(tuple(due))
            for envelope_id, theirs in known.items():
                await self._settle(envelope_id, theirs)
            await self.state.compared(due, self.now(), AGES)

    async def _settle(self, envelope_id: str, theirs: dict[str, str]) -> None:
        """Put right what differs.

        Args:
            envelope_id: Of an envelope about which the axis has receipts that we may see. If all that we said about one
                is lost, it is not among them: then its delivery is attempted again, and we say it again.
            theirs: Level by digest, of the receipts that we may see.
        """
        ours = await self.state.receipts_about(envelope_id)
        unsaid = ours.said - theirs.keys()
        if unsaid:
            await self.state.say_again(unsaid)
        news = {digest for digest, level in theirs.items() if level not in _NOT_ALL_TOLD}
        unheard = news - ours.said - ours.heard if ours.is_submission else frozenset()
        if unheard:
            for xml in await self.gateway.receipts_of(envelope_id):
                if sha256(xml).hexdigest() in unheard:
                    await self.hearing.hear(xml, envelope_id)
        if unsaid or unheard:
            events.receipts_compared(envelope_id=envelope_id, said_again=len(unsaid), heard_late=len(unheard))
