"""Orders: the answer to an order, and what it does to the copies that are here.

Where the office agrees, a signed receipt about each copy that it gives up is
kept in the very commit that keeps the answer: an order is never agreed to and
not carried out. An attempt and a later report come here alike.

Spec: docs/protocol/office-orders.md; docs/adr/0016; design law 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from axis.office import answers
from axis.office.answers import Agreed, Declined, Delivered
from axis.office.copies import Copy, OrderState
from axis.office.order import Target, withdrawn_by
from axis.office.speech import About, Outcome, Withdrawn, say
from axis.office.state import State, Words
from axis.office.trust import LiveTrust
from axis.receipts.voice import Voice
from axis.telemetry import events

_STATES: dict[type, OrderState] = {Agreed: OrderState.AGREED, Declined: OrderState.DECLINED}  # Else it stays open.


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Answers orders that are open."""

    voice: Voice
    state: State
    trust: LiveTrust

    async def settle(
        self,
        outcome: Outcome,
        order: About,
        held: Sequence[Copy],
        *,
        previous: str | None,
        attempt: int | None,
        at: datetime,
        delivered_before: bool = False,
    ) -> tuple[Words, ...] | None:
        """Sign and keep what is said about an open order, and about the copies that are given up.

        Args:
            outcome: What came of it. Only Agreed and Declined decide it; Agreed gives up what is held.
            order: The order's envelope.
            held: Copies of its targets, as they were when it was judged.
            previous: Digest of the receipt about the order that was before.
            attempt: Its number; None for what is reported later.
            at: Now.
            delivered_before: The office has said before that it has custody of the order.

        Returns:
            What was kept, the order first; None if it no longer fits: the order has been answered meanwhile, or its
            targets are not those that were judged.
        """
        decision = _STATES.get(type(outcome), OrderState.OPEN)
        said = Words(
            envelope_id=order.envelope_id,
            signed=say(
                outcome,
                order,
                voice=self.voice,
                previous=previous,
                attempt=attempt,
                at=at,
                delivered_before=delivered_before,
            ),
            head=previous,
            attempt=attempt,
            answer=answers.dump(outcome) if isinstance(outcome, Agreed | Declined | Delivered) else None,
        )
        withdrawn = [self._withdraw(copy, order, at) for copy in held] if decision is OrderState.AGREED else []
        kept = await self.state.keep_order(said, withdrawn, state=decision, at=at, may_order=self.trust.may_order)
        if not kept:
            return None
        if decision is not OrderState.OPEN:
            events.order_settled(envelope_id=order.envelope_id, state=decision, withdrawn=len(withdrawn))
        return (said, *withdrawn)

    def _withdraw(self, copy: Copy, order: About, at: datetime) -> Words:
        """Sign that a copy is given up."""
        reason = Withdrawn(withdrawn_by(order.document_id))
        signed = say(reason, copy.about, voice=self.voice, previous=copy.head, attempt=None, at=at)
        return Words(envelope_id=copy.about.envelope_id, signed=signed, head=copy.head)


def targets_of(held: Sequence[Copy]) -> tuple[Target, ...]:
    """Return the copies that an order is about as its handler sees them."""
    return tuple(
        Target(
            envelope_id=copy.about.envelope_id,
            document_id=copy.about.document_id,
            code=copy.code,
            level=copy.level,
            number=_number(copy.answer),
        )
        for copy in held
    )


def _number(answer: str | None) -> str | None:
    said = None if answer is None else answers.load(answer)
    return (getattr(said, "number", "") or None) if said is not None else None
