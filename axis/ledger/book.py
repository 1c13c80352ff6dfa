"""Ledger: the book, opened.

Each method is one transaction; what happens inside stands in the module of its
subject.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from axis.ledger import audit as audits
from axis.ledger import custody, deliveries
from axis.ledger import tables as t
from axis.ledger.engine import open_engine, transaction
from axis.ledger.values import (
    AttachmentRow,
    Attempt,
    Custody,
    CustodyAnswer,
    DeliveryRow,
    DueNotice,
    EnvelopeRow,
    Figures,
    Known,
    LaneRow,
    Outcome,
    ReceiptEntry,
    ReceiptRow,
    Rejection,
    Row,
)

_CLAIM = timedelta(seconds=30)  # For how long a notice belongs to the process that publishes it.

_e = t.envelopes.c
_ENVELOPE = sa.select(
    _e.id.label("envelope_id"), _e.originator, _e.document_id, _e.business_type, _e.kind, _e.digest,
    _e.code, _e.subject, _e.priority, _e.via, _e.accepted_at, _e.expires_at,
)  # fmt: skip


class Ledger:
    """The book; made by `open`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["Ledger"]:
        """Open a ledger whose schema is up to date.

        Raises:
            PermanentError: CFG.INVALID
        """
        engine = open_engine(url)
        try:
            yield cls(engine)
        finally:
            await engine.dispose()

    async def ping(self) -> None:
        """Raise TransientError if the ledger cannot be asked."""
        async with transaction(self._engine, reading=True) as connection:
            await connection.execute(sa.select(1))

    # --- intake ----------------------------------------------------------------

    async def take_custody(self, batch: Sequence[Custody]) -> list[CustodyAnswer]:
        """Take envelopes into custody in one commit; answers stand in the order of the batch."""
        async with transaction(self._engine) as connection:
            return await custody.take(connection, batch)

    async def accepted_bytes(self, originator: str, sealed_digest: str) -> Known | None:
        """Return the acceptance of exactly these bytes, if there was one."""
        async with transaction(self._engine, reading=True) as connection:
            return await custody.accepted_bytes(connection, originator, sealed_digest)

    async def reject(self, rejection: Rejection) -> bytes:
        """Put a refusal on record; returns the receipt that stands for it."""
        async with transaction(self._engine) as connection:
            return await custody.reject(connection, rejection)

    async def notify_again(self, envelope_id: str, target: str, at: datetime) -> None:
        """Send the acceptance of an envelope once more."""
        async with transaction(self._engine) as connection:
            await custody.notify_again(connection, envelope_id, target, at)

    async def record_upload(self, office: str, sha256: str, size_bytes: int, at: datetime) -> None:
        """Note that an office has brought a file."""
        row = {"office": office, "sha256": sha256, "size_bytes": size_bytes, "at": at}
        async with transaction(self._engine) as connection:
            await connection.execute(custody.insert(connection, t.uploads).on_conflict_do_nothing(), [row])

    async def may_read(self, office: str, sha256: str) -> bool:
        """Tell whether an office brought, sent or was sent a file."""
        a, d, u = t.envelope_attachments.c, t.deliveries.c, t.uploads.c
        brought = sa.select(1).where(u.office == office, u.sha256 == sha256)
        carried = sa.select(1).select_from(t.envelope_attachments).where(a.sha256 == sha256)
        sent = carried.where(sa.exists().where(_e.id == a.envelope_id, _e.originator == office))
        # A delivery that was refused never gave its addressee anything.
        was_sent = carried.where(
            sa.exists().where(d.envelope_id == a.envelope_id, d.addressee == office, d.state != "refused")
        )
        async with transaction(self._engine, reading=True) as connection:
            for question in (brought, sent, was_sent):
                if (await connection.execute(question.limit(1))).first() is not None:
                    return True
        return False

    # --- dispatch --------------------------------------------------------------

    async def begin_attempts(self, now: datetime, answer_within: timedelta, limit: int) -> list[Attempt]:
        """Record attempts for what is due, and return them to be made."""
        async with transaction(self._engine) as connection:
            return await deliveries.begin_attempts(connection, now, answer_within, limit)

    async def due(self, now: datetime) -> bool:
        """Tell, without locking anything, whether an attempt or a notice is due."""
        d, o = t.deliveries.c, t.outbox.c
        attempt = sa.select(1).where(d.state.in_(("queued", "deferred")), d.next_at <= now).limit(1)
        notice = sa.select(1).where(o.due_at <= now).limit(1)
        async with transaction(self._engine, reading=True) as connection:
            return any([(await connection.execute(question)).first() is not None for question in (attempt, notice)])

    async def put_back(self, ids: Sequence[int], next_at: datetime, code: str, reason: str) -> None:
        """Queue attempts again whose message did not get through, or got lost."""
        async with transaction(self._engine) as connection:
            await deliveries.put_back(connection, ids, next_at, code, reason)

    async def extend_wait(self, ids: Sequence[int], next_at: datetime) -> None:
        """Look after these attempts later."""
        async with transaction(self._engine) as connection:
            await deliveries.extend_wait(connection, ids, next_at)

    async def unanswered(self, now: datetime, limit: int) -> list[DeliveryRow]:
        """Return attempts that nobody answered in time."""
        async with transaction(self._engine, reading=True) as connection:
            return await deliveries.unanswered(connection, now, limit)

    async def expiring(self, now: datetime, limit: int) -> list[DeliveryRow]:
        """Return deliveries whose lifetime is over."""
        async with transaction(self._engine, reading=True) as connection:
            return await deliveries.expiring(connection, now, limit)

    async def record(self, entry: ReceiptEntry) -> Outcome:
        """Store a receipt and what follows from it, in one commit."""
        try:
            async with transaction(self._engine) as connection:
                return await deliveries.record(connection, entry)
        except deliveries.Moved:
            return Outcome.MOVED_ELSEWHERE

    async def notices_due(self, now: datetime, limit: int) -> list[DueNotice]:
        """Claim notices to publish now."""
        async with transaction(self._engine) as connection:
            return await deliveries.notices_due(connection, now, _CLAIM, limit)

    async def notices_sent(self, ids: Sequence[int]) -> None:
        """Remove notices that the broker has confirmed."""
        async with transaction(self._engine) as connection:
            await deliveries.notices_sent(connection, ids)

    async def replay(self, delivery_id: int, *, by: str, reason: str, now: datetime) -> bool:
        """Send a dead letter on its way again; False if it is none."""
        async with transaction(self._engine) as connection:
            return await deliveries.replay(connection, delivery_id, by, reason, now)

    async def lane_failed(self, office: str, now: datetime, *, threshold: int, probe_after: timedelta) -> None:
        """Count a failure of an office."""
        async with transaction(self._engine) as connection:
            await deliveries.lane_failed(connection, office, now, threshold, probe_after)

    async def lane_answered(self, office: str, now: datetime) -> None:
        """Close an office's breaker."""
        async with transaction(self._engine) as connection:
            await deliveries.lane_answered(connection, office, now)

    async def heartbeat(self, office: str, now: datetime, version: str) -> None:
        """Note that an office is there."""
        async with transaction(self._engine) as connection:
            await deliveries.heartbeat(connection, office, now, version)

    async def lanes(self) -> list[LaneRow]:
        """Return every lane that has shown anything."""
        async with transaction(self._engine, reading=True) as connection:
            return await deliveries.lanes(connection)

    async def bury(self, *, queue: str, kind: str, digest: str, body: bytes, headers: Row, at: datetime) -> None:
        """Keep a message that the broker gave up."""
        row = {"queue": queue, "kind": kind, "digest": digest, "body": body, "headers": _json_ready(headers), "at": at}
        async with transaction(self._engine) as connection:
            await connection.execute(custody.insert(connection, t.buried).on_conflict_do_nothing(), [row])

    async def note_refused_receipt(self, *, submitter: str, digest: str, code: str, at: datetime) -> None:
        """Put on record that a receipt was not believed."""
        row = {"envelope_id": None, "addressee": submitter, "event": "receipt.refused", "at": at, "detail": {"digest": digest, "code": code}}  # fmt: skip
        async with transaction(self._engine) as connection:
            await connection.execute(sa.insert(t.events), [row])

    # --- reading ---------------------------------------------------------------

    async def delivery(self, envelope_id: str, addressee: str) -> DeliveryRow | None:
        """Return the delivery of an envelope to an office."""
        async with transaction(self._engine, reading=True) as connection:
            return await deliveries.one(connection, envelope_id, addressee)

    async def deliveries_of(self, envelope_id: str) -> list[DeliveryRow]:
        """Return every delivery of an envelope."""
        async with transaction(self._engine, reading=True) as connection:
            return await deliveries.rows(connection, t.deliveries.c.envelope_id == envelope_id)

    async def deliveries_in(self, *states: str, limit: int | None = None) -> list[DeliveryRow]:
        """Return the deliveries in some states; all deliveries if none is named."""
        where = [t.deliveries.c.state.in_(states)] if states else []
        async with transaction(self._engine, reading=True) as connection:
            return await deliveries.rows(connection, *where, limit=limit)

    async def delivery_by_id(self, delivery_id: int) -> DeliveryRow | None:
        """Return a delivery by its number."""
        async with transaction(self._engine, reading=True) as connection:
            found = await deliveries.rows(connection, t.deliveries.c.id == delivery_id)
            return found[0] if found else None

    async def envelope(self, envelope_id: str) -> EnvelopeRow | None:
        """Return an envelope without its bytes."""
        async with transaction(self._engine, reading=True) as connection:
            row = (await connection.execute(_ENVELOPE.where(_e.id == envelope_id))).first()
            return None if row is None else EnvelopeRow(**row._mapping)

    async def envelopes(self, *, limit: int | None = None) -> list[EnvelopeRow]:
        """Return envelopes, oldest first."""
        async with transaction(self._engine, reading=True) as connection:
            found = await connection.execute(_ENVELOPE.order_by(_e.accepted_at, _e.id).limit(limit))
            return [EnvelopeRow(**row._mapping) for row in found]

    async def find_envelopes(self, text: str, *, limit: int = 50) -> list[EnvelopeRow]:
        """Return the envelopes that a person may mean: by envelope id or its beginning, document id, number and notation."""
        beginning = _e.id.startswith(text, autoescape=True) if len(text) >= 6 else sa.false()
        where = sa.or_(_e.document_id == text, _e.code == text, beginning)
        async with transaction(self._engine, reading=True) as connection:
            found = await connection.execute(_ENVELOPE.where(where).order_by(_e.accepted_at).limit(limit))
            return [EnvelopeRow(**row._mapping) for row in found]

    async def sealed(self, envelope_id: str) -> bytes | None:
        """Return an envelope's bytes as received."""
        async with transaction(self._engine, reading=True) as connection:
            found = (await connection.execute(sa.select(_e.sealed).where(_e.id == envelope_id))).scalar()
            return None if found is None else bytes(found)

    async def attachments_of(self, envelope_id: str) -> list[AttachmentRow]:
        """Return the files that an envelope carries."""
        a = t.envelope_attachments.c
        query = (
            sa.select(a.sha256, a.size_bytes, a.name, a.content_type)
            .where(a.envelope_id == envelope_id)
            .order_by(a.number)
        )
        async with transaction(self._engine, reading=True) as connection:
            return [AttachmentRow(**row._mapping) for row in await connection.execute(query)]

    async def receipts_of(self, envelope_id: str) -> list[ReceiptRow]:
        """Return every receipt about an envelope, in the order of their times."""
        return await self._receipts(t.receipts.c.envelope_id == envelope_id)

    async def receipts(self) -> list[ReceiptRow]:
        """Return every receipt."""
        return await self._receipts()

    async def _receipts(self, *where: sa.ColumnElement[bool]) -> list[ReceiptRow]:
        r = t.receipts.c
        query = (
            sa.select(r.digest, r.level, r.issuer, r.addressee, r.previous, r.at, r.xml)
            .where(*where)
            .order_by(r.at, r.digest)
        )
        async with transaction(self._engine, reading=True) as connection:
            return [ReceiptRow(**row._mapping) for row in await connection.execute(query)]

    async def events_of(self, envelope_id: str) -> list[Row]:
        """Return the story of an envelope."""
        ev = t.events.c
        query = (
            sa.select(ev.seq, ev.addressee, ev.event, ev.at, ev.detail)
            .where(ev.envelope_id == envelope_id)
            .order_by(ev.seq)
        )
        async with transaction(self._engine, reading=True) as connection:
            return [dict(row._mapping) for row in await connection.execute(query)]

    async def rejections(self) -> list[Row]:
        """Return every refusal of an envelope."""
        r = t.rejections.c
        query = sa.select(r.submitter, r.sealed_digest, r.code, r.violations, r.at, r.via, r.receipt_digest).order_by(
            r.id
        )
        async with transaction(self._engine, reading=True) as connection:
            return [dict(row._mapping) for row in await connection.execute(query)]

    async def audit(self, now: datetime) -> audits.AuditReport:
        """Check the book against its promises."""
        async with transaction(self._engine, reading=True) as connection:
            return await audits.audit(connection, now)

    async def figures(self, now: datetime) -> Figures:
        """Return what the gauges show."""
        async with transaction(self._engine, reading=True) as connection:
            return await audits.figures(connection, now)

    # --- the roll ---------------------------------------------------------------

    async def load_registry(self, rows: Iterable[Row], version: str, at: datetime) -> None:
        """Replace the roll of offices."""
        async with transaction(self._engine) as connection:
            await connection.execute(sa.delete(t.roll))
            await connection.execute(sa.insert(t.roll), list(rows))
            await connection.execute(sa.delete(t.roll_version))
            await connection.execute(sa.insert(t.roll_version), [{"id": 1, "version": version, "loaded_at": at}])

    async def registry_rows(self) -> list[Row]:
        """Return the roll as it was loaded."""
        async with transaction(self._engine, reading=True) as connection:
            found = await connection.execute(sa.select(t.roll.c.kind, t.roll.c.code, t.roll.c.content))
            return [dict(row._mapping) for row in found]

    async def registry_version(self) -> str | None:
        """Return the version of the roll; None if none was ever loaded."""
        async with transaction(self._engine, reading=True) as connection:
            return (await connection.execute(sa.select(t.roll_version.c.version))).scalar()


def _json_ready(headers: Row) -> dict[str, Any]:
    return {
        str(name): value if isinstance(value, str | int | float | bool | None) else str(value)
        for name, value in headers.items()
    }
