"""Deliveries: what is due is taken, what comes of it is set.

Every change names the state it expects, so that two processes that act on one
delivery cannot both succeed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from axis.ledger import tables as t
from axis.ledger.custody import insert, notice_row, receipt_row
from axis.ledger.values import Attempt, DeliveryRow, DueNotice, LaneRow, Outcome, ReceiptEntry

_WAITING = ("queued", "sent", "deferred", "dead")
_SILENT = timedelta(seconds=75)  # Two heartbeats and a half: the office was away.

_d, _e, _l = t.deliveries.c, t.envelopes.c, t.lanes.c
_ROW = (
    sa.select(
        _d.id.label("delivery_id"),
        _d.envelope_id, _d.addressee, _d.state, _d.business, _d.attempts, _d.code, _d.reason, _d.who_must_act,
        _d.next_at, _d.told_at, _d.chain_head, _d.priority, _d.accepted_at, _d.expires_at, _d.updated_at,
        _e.originator, _e.document_id, _e.digest,
    )
    .join(t.envelopes, _e.id == _d.envelope_id)
)  # fmt: skip


class Moved(Exception):
    """The delivery is no longer where the entry expects it."""


async def rows(
    connection: AsyncConnection, *where: sa.ColumnElement[bool], limit: int | None = None
) -> list[DeliveryRow]:
    """Return deliveries, oldest first."""
    found = await connection.execute(_ROW.where(*where).order_by(_d.accepted_at, _d.id).limit(limit))
    return [DeliveryRow(**row._mapping) for row in found]


async def one(connection: AsyncConnection, envelope_id: str, addressee: str) -> DeliveryRow | None:
    """Return the delivery of an envelope to an office."""
    found = await rows(connection, _d.envelope_id == envelope_id, _d.addressee == addressee)
    return found[0] if found else None


async def begin_attempts(
    connection: AsyncConnection, now: datetime, answer_within: timedelta, limit: int
) -> list[Attempt]:
    """Record attempts for what is due, urgent first, and return them to be made.

    A lane that is paused, or whose breaker is open, is passed over; one whose
    breaker may close again gets one probe.
    """
    due = (
        sa.select(_d.id, _d.envelope_id, _d.addressee, _d.attempts, _d.chain_head, _d.priority, _l.open_until)
        .outerjoin(t.lanes, _l.office == _d.addressee)
        .where(
            _d.state.in_(("queued", "deferred")),
            _d.next_at <= now,
            sa.or_(_l.paused.is_(None), _l.paused.is_(sa.false())),
            sa.or_(_l.open_until.is_(None), _l.open_until <= now),
        )
        .order_by(_d.priority.desc(), _d.next_at, _d.id)
        .limit(limit)
        .with_for_update(of=t.deliveries, skip_locked=True)
    )
    chosen: list[Any] = []
    probed: set[str] = set()
    for row in (await connection.execute(due)).all():
        if row.open_until is not None:
            if row.addressee in probed:
                continue
            probed.add(row.addressee)
        chosen.append(row)
    if not chosen:
        return []
    await connection.execute(
        sa.update(t.deliveries)
        .where(_d.id.in_([row.id for row in chosen]))
        .values(
            state="sent",
            attempts=_d.attempts + 1,
            next_at=now + answer_within,
            updated_at=now,
            who_must_act="addressee",
        )
    )
    if probed:
        await connection.execute(sa.update(t.lanes).where(_l.office.in_(probed)).values(open_until=now + answer_within))
    await connection.execute(
        sa.insert(t.events),
        [
            {"envelope_id": row.envelope_id, "addressee": row.addressee, "event": "delivery.attempted", "at": now, "detail": {"attempt": row.attempts + 1}}
            for row in chosen
        ],
    )  # fmt: skip
    found = await connection.execute(
        sa.select(_e.id, _e.digest, _e.sealed).where(_e.id.in_({row.envelope_id for row in chosen}))
    )
    bytes_of = {row.id: (row.digest, bytes(row.sealed)) for row in found}
    return [
        Attempt(
            delivery_id=row.id,
            envelope_id=row.envelope_id,
            addressee=row.addressee,
            attempt_no=row.attempts + 1,
            digest=bytes_of[row.envelope_id][0],
            sealed=bytes_of[row.envelope_id][1],
            priority=row.priority,
            chain_head=row.chain_head,
        )
        for row in chosen
    ]


async def put_back(connection: AsyncConnection, ids: Sequence[int], next_at: datetime, code: str, reason: str) -> None:
    """Queue attempts again whose message did not get through, or got lost."""
    await connection.execute(
        sa.update(t.deliveries)
        .where(_d.id.in_(ids), _d.state == "sent")
        .values(state="queued", next_at=next_at, code=code, reason=reason)
    )


async def extend_wait(connection: AsyncConnection, ids: Sequence[int], next_at: datetime) -> None:
    """Look after these attempts later: their message is still in the inbox."""
    await connection.execute(sa.update(t.deliveries).where(_d.id.in_(ids), _d.state == "sent").values(next_at=next_at))


async def unanswered(connection: AsyncConnection, now: datetime, limit: int) -> list[DeliveryRow]:
    """Return attempts that nobody answered in time."""
    return await rows(connection, _d.state == "sent", _d.next_at <= now, limit=limit)


async def expiring(connection: AsyncConnection, now: datetime, limit: int) -> list[DeliveryRow]:
    """Return deliveries whose lifetime is over."""
    return await rows(connection, _d.state.in_(_WAITING), _d.expires_at <= now, limit=limit)


async def record(connection: AsyncConnection, entry: ReceiptEntry) -> Outcome:
    """Store a receipt, move its delivery and write its notices; raises Moved to undo all of it."""
    stored = await connection.execute(
        insert(connection, t.receipts).on_conflict_do_nothing().returning(t.receipts.c.digest),
        [receipt_row(entry.receipt, entry.envelope_id)],
    )
    if stored.first() is None:
        return Outcome.REPEATED
    values: dict[str, Any] = {"updated_at": entry.at}
    if entry.new_state is not None:
        values |= {
            "state": entry.new_state,
            "chain_head": entry.receipt.digest,
            "code": entry.code,
            "reason": entry.reason,
            "who_must_act": entry.who_must_act,
        }
        if entry.new_state != entry.expect_state or entry.next_at is not None:
            values["next_at"] = entry.next_at
    if entry.business is not None:
        values["business"] = entry.business
    if entry.notices:
        values["told_at"] = entry.at
    moved = await connection.execute(
        sa.update(t.deliveries).where(_d.id == entry.delivery_id, _d.state == entry.expect_state).values(**values)
    )
    if moved.rowcount == 0:
        raise Moved
    if entry.notices:
        await connection.execute(sa.insert(t.outbox), [notice_row(notice, entry.at) for notice in entry.notices])
    await connection.execute(
        sa.insert(t.events),
        [
            {
                "envelope_id": entry.envelope_id,
                "addressee": entry.receipt.addressee,
                "event": entry.event,
                "at": entry.at,
                "detail": {"digest": entry.receipt.digest, "state": entry.new_state, "code": entry.code},
            }
        ],
    )
    return Outcome.RECORDED


async def replay(connection: AsyncConnection, delivery_id: int, by: str, reason: str, now: datetime) -> bool:
    """Send a dead letter on its way again; False if it is none."""
    moved = await connection.execute(
        sa.update(t.deliveries)
        .where(_d.id == delivery_id, _d.state == "dead")
        .values(state="queued", next_at=now, updated_at=now)
        .returning(_d.envelope_id, _d.addressee)
    )
    row = moved.first()
    if row is None:
        return False
    await connection.execute(
        sa.insert(t.events),
        [{"envelope_id": row.envelope_id, "addressee": row.addressee, "event": "delivery.replayed", "at": now, "detail": {"by": by, "reason": reason}}],
    )  # fmt: skip
    return True


async def lane_failed(
    connection: AsyncConnection, office: str, now: datetime, threshold: int, probe_after: timedelta
) -> None:
    """Count a failure; after `threshold` in a row the breaker opens until a probe may be made."""
    await _ensure_lane(connection, office)
    row = (
        await connection.execute(
            sa.update(t.lanes).where(_l.office == office).values(failures=_l.failures + 1).returning(_l.failures)
        )
    ).one()
    if row.failures >= threshold:
        await connection.execute(sa.update(t.lanes).where(_l.office == office).values(open_until=now + probe_after))


async def lane_answered(connection: AsyncConnection, office: str, now: datetime) -> None:
    """Close an office's breaker; if it was open, what waits for the office is due now.

    Only then: one document that always fails must not be tried again each time another one succeeds.
    """
    row = (await connection.execute(sa.select(_l.failures, _l.open_until).where(_l.office == office))).first()
    if row is None or (row.failures == 0 and row.open_until is None):
        return
    await connection.execute(sa.update(t.lanes).where(_l.office == office).values(failures=0, open_until=None))
    if row.open_until is not None:
        await _drive_again(connection, office, now)


async def heartbeat(connection: AsyncConnection, office: str, now: datetime, version: str) -> None:
    """Note that an office is there; what it put off while it was away is due now."""
    await _ensure_lane(connection, office)
    before = (await connection.execute(sa.select(_l.heartbeat_at).where(_l.office == office))).scalar_one()
    values: dict[str, Any] = {"heartbeat_at": now, "version": version}
    if before is None or now - before > _SILENT:
        values |= {"failures": 0, "open_until": None}
        await _drive_again(connection, office, now)
    await connection.execute(sa.update(t.lanes).where(_l.office == office).values(**values))


async def _ensure_lane(connection: AsyncConnection, office: str) -> None:
    await connection.execute(insert(connection, t.lanes).on_conflict_do_nothing(), [{"office": office}])


async def _drive_again(connection: AsyncConnection, office: str, now: datetime) -> None:
    await connection.execute(
        sa.update(t.deliveries)
        .where(_d.addressee == office, _d.state.in_(("queued", "deferred")), _d.next_at > now)
        .values(next_at=now)
    )


async def lanes(connection: AsyncConnection) -> list[LaneRow]:
    """Return every lane that has shown anything."""
    found = await connection.execute(
        sa.select(_l.office, _l.failures, _l.open_until, _l.paused, _l.heartbeat_at, _l.version).order_by(_l.office)
    )
    return [LaneRow(**row._mapping) for row in found]


async def notices_due(connection: AsyncConnection, now: datetime, claim: timedelta, limit: int) -> list[DueNotice]:
    """Claim notices to publish; a claim that is not kept runs out."""
    o, r = t.outbox.c, t.receipts.c
    found = (
        await connection.execute(
            sa.select(o.id, o.target, r.envelope_id, r.xml)
            .join(t.receipts, r.digest == o.receipt_digest)
            .where(o.due_at <= now)
            .order_by(o.id)
            .limit(limit)
            .with_for_update(of=t.outbox, skip_locked=True)
        )
    ).all()
    if found:
        await connection.execute(
            sa.update(t.outbox).where(o.id.in_([row.id for row in found])).values(due_at=now + claim)
        )
    return [DueNotice(id=row.id, target=row.target, envelope_id=row.envelope_id, xml=bytes(row.xml)) for row in found]


async def notices_sent(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """Remove notices that the broker has confirmed; the receipts stay."""
    await connection.execute(sa.delete(t.outbox).where(t.outbox.c.id.in_(ids)))
