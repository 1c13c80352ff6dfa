"""Outbound: what is due goes to its inbox.

An attempt is on record, with the time at which silence will be looked into,
before it is made: a crash between the two costs one wait, never a document.
A publish that fails, or whose fate is unknown, is put back and made again; the
addressee's runtime knows an envelope that it has seen.

Spec: docs/protocol/deliveries.md; design law 3.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from axis.broker import Broker, topology
from axis.errors import TransientError
from axis.ledger import Attempt, DeliveryRow, DueNotice, Ledger
from axis.telemetry import events, metrics

_AT_ONCE_BYTES = 16 * 1024 * 1024  # On their way to the broker; a circular to all communes is 0.8 MB for each of them.
_SOON = timedelta(seconds=2)  # After a publish that failed: the broker is back or it is not.


@dataclass(frozen=True, kw_only=True)
class Outbound:
    """Publishes deliveries and notices."""

    ledger: Ledger
    broker: Broker
    answer_within: timedelta
    batch: int

    async def send_due(self, now: datetime) -> int:
        """Attempt what is due now; return how many attempts were made."""
        attempts = await self.ledger.begin_attempts(now, self.answer_within, self.batch)
        failed: list[int] = []
        for some in _portions(attempts):
            failed += [bad for bad in await asyncio.gather(*map(self._publish, some)) if bad is not None]
        if failed:
            await self.ledger.put_back(failed, now + _SOON, "SYS.BROKER", "")
        return len(attempts)

    async def _publish(self, attempt: Attempt) -> int | None:
        """Publish one attempt; return the delivery's id if that failed."""
        try:
            await self.broker.publish(
                topology.DELIVER,
                attempt.addressee,
                attempt.sealed,
                type="envelope",
                headers={
                    "envelope-id": attempt.envelope_id,
                    "envelope-digest": attempt.digest,
                    "attempt": attempt.attempt_no,
                    "previous-receipt": attempt.chain_head,
                },
            )
        except TransientError as error:
            metrics.ATTEMPTS.labels("unpublished").inc()
            events.delivery_unpublished(
                envelope_id=attempt.envelope_id,
                addressee=attempt.addressee,
                attempt=attempt.attempt_no,
                code=error.code,
            )
            return attempt.delivery_id
        events.delivery_attempted(
            envelope_id=attempt.envelope_id, addressee=attempt.addressee, attempt=attempt.attempt_no
        )
        return None

    async def send_notices(self, now: datetime) -> int:
        """Publish receipts to the offices that wait for them; return how many went out."""
        notices = await self.ledger.notices_due(now, self.batch)
        sent = [good for good in await asyncio.gather(*map(self._notify, notices)) if good is not None]
        if sent:
            await self.ledger.notices_sent(sent)
        return len(sent)

    async def _notify(self, notice: DueNotice) -> int | None:
        """Publish one receipt; return the notice's id if that worked. Otherwise its claim runs out and it is due again."""
        try:
            await self.broker.publish(
                topology.DELIVER, notice.target, notice.xml, type="receipt", headers={"envelope-id": notice.envelope_id}
            )
        except TransientError:
            return None
        return notice.id

    async def audit_inboxes(self, now: datetime, unanswered: Sequence[DeliveryRow]) -> None:
        """Look after deliveries that nobody answered: still in the inbox, they wait on; lost, they go again.

        The broker may have lost its store, or an operator purged a queue: an
        inbox that is empty cannot hold what the ledger says it holds.
        """
        by_office: dict[str, list[DeliveryRow]] = {}
        for row in unanswered:
            by_office.setdefault(row.addressee, []).append(row)
        for office, rows in by_office.items():
            ids = [row.delivery_id for row in rows]
            depth = await self.broker.depth(topology.inbox(office))
            if depth >= len(rows):
                await self.ledger.extend_wait(ids, now + self.answer_within)
                continue
            metrics.ATTEMPTS.labels("unanswered").inc(len(rows))
            await self.ledger.put_back(ids, now, "DLV.NO_ANSWER", "")
            events.inbox_audited(office=office, waiting=depth, republished=len(rows))


def _portions(attempts: Sequence[Attempt]) -> Iterator[list[Attempt]]:
    """Divide a round into what may be on its way at once; no portion is empty."""
    portion: list[Attempt] = []
    for attempt in attempts:
        if portion and sum(len(one.sealed) for one in (*portion, attempt)) > _AT_ONCE_BYTES:
            yield portion
            portion = []
        portion.append(attempt)
    if portion:
        yield portion
