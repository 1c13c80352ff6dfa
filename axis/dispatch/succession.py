"""Succession: who gets what is held for a closed office.

A person decides, or the roll by what it says now: an office that takes part
again gets its mail, and where the roll says `forward` the heirs get it. Only
offices that took over from the closed one may be chosen, and each is judged as
if the message had been sent to it; the seal was checked when it was accepted,
and what it sealed is forwarded as it is. Until then a delivery is held, and
lives as long as any other. What speaks of an earlier document is decided on
after it has been judged.

Every step is one commit that compares before it sets: of two who decide at
once, one does.

Spec: docs/protocol/registry.md 4; docs/adr/0024.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from axis import seal
from axis.clock import Clock
from axis.dispatch.answers import Answers
from axis.edxml import Kind
from axis.edxml.values import local_date
from axis.errors import refuse
from axis.ledger import WITHOUT_IT, DeliveryRow, Ledger
from axis.registry import Registry, Standing
from axis.routing import Held, heirs_of, require_heir

_BY_THE_ROLL = "roll"  # Who has decided, where no person has.
_AT_ONCE = 8  # Handed on side by side: an office may leave years of mail, and others' is not to wait for it.


@dataclass(frozen=True, kw_only=True)
class Succession:
    """Decides on what is held."""

    ledger: Ledger
    answers: Answers
    roll: Callable[[], tuple[Registry, seal.Trust]]
    now: Clock

    async def forward(self, row: DeliveryRow, to: Sequence[str], *, by: str, reason: str) -> bool:
        """Give what is held to successors that a person has chosen.

        Args:
            row: The delivery to the closed office.
            to: The successors, in any of their forms; at least one.
            by: Who has decided.
            reason: Why; "" if nothing is said.

        Returns:
            False if it is not held any more, or one of them has ended the envelope just now.

        Raises:
            Refusal: DLV.NO_HEIR, one of them did not take over from the office, takes no part, or has had the envelope and
                ended it otherwise; or why a message from its originator is nothing for it. ORD.WAITS, it is not judged yet.
        """
        now = self.now()
        heirs = {office.code: None for office in (require_heir(held_of(row), one, self.roll()[0], now) for one in to)}
        for one in await self._done_with(row, heirs):
            raise refuse("DLV.NO_HEIR", f"{one.addressee}: {one.state}")
        if await self.ledger.is_unjudged(row.envelope_id):
            raise refuse("ORD.WAITS")
        return await self.answers.forward(row, now, heirs=tuple(heirs), by=by, reason=reason)

    async def give_back(self, row: DeliveryRow, *, by: str, reason: str) -> bool:
        """Return what is held to its originator, who is told why; False if it is not held any more.

        Raises:
            Refusal: ORD.WAITS, it is not judged yet: an order that has ended would act all the same.
        """
        if await self.ledger.is_unjudged(row.envelope_id):
            raise refuse("ORD.WAITS")
        return await self.answers.give_back(row, self.now(), by=by, reason=reason)

    async def go_round(self) -> bool:
        """Follow the roll, where that has come to say something about what is held."""
        now = self.now()
        roll, _ = self.roll()
        for code in await self.ledger.held_for():
            office = roll.find(code)
            if office is None:
                continue
            if office.standing_on(local_date(now)) is Standing.ACTIVE:
                await self.ledger.release(code, now)
            elif office.heirs:
                rows = await self.ledger.held(code)
                for at in range(0, len(rows), _AT_ONCE):
                    await asyncio.gather(*(self._hand_on(row, roll, now) for row in rows[at : at + _AT_ONCE]))
        return False

    async def _hand_on(self, row: DeliveryRow, roll: Registry, now: datetime) -> None:
        heirs = tuple(office.code for office in heirs_of(held_of(row), roll, now))
        if not heirs or await self._done_with(row, heirs) or await self.ledger.is_unjudged(row.envelope_id):
            return
        await self.answers.forward(row, now, heirs=heirs, by=_BY_THE_ROLL, reason="")

    async def _done_with(self, row: DeliveryRow, heirs: Collection[str]) -> list[DeliveryRow]:
        """Return the deliveries of the same envelope to heirs that have ended without it: they get it no second time."""
        theirs = await self.ledger.deliveries_of(row.envelope_id, to=heirs)
        return [one for one in theirs if one.state in WITHOUT_IT]


def held_of(row: DeliveryRow) -> Held:
    """Return what routing asks of a delivery that is held."""
    return Held(addressee=row.addressee, originator=row.originator, kind=Kind(row.kind))
