"""Inbox: what waits for an office, numbered in the order in which the office is shown it.

Numbers are given when somebody looks, not when an attempt is made: an office
that is served over AMQP costs nothing here. They are given under a lock of the
office's own, so that a number that can be read is never followed by a smaller
one. Each attempt gives a delivery a new number: what was deferred, or replayed
by a person, is shown again to who has read on. Nothing is removed by reading; a
delivery that has ended leaves.

Numbers follow the clock, and never go back: also those of a book that was
restored are greater than what an office remembers of the time before.

Spec: docs/protocol/gateway.md 11; docs/adr/0019.
"""

from datetime import datetime

import sqlalchemy as sa

from axis.ledger import tables as t
from axis.ledger.insert import insert, insert_once
from axis.ledger.values import AttachmentRow, InboxItem

_MOST = 1000  # Numbered in one commit.

_d, _e, _n, _a, _i = t.deliveries.c, t.envelopes.c, t.inbox_numbers.c, t.envelope_attachments.c, t.inboxes.c
_OFFICE: sa.BindParameter[str] = sa.bindparam("office")
_SHOWN = _d.state.in_(("queued", "sent", "deferred"))
_UNNUMBERED = (
    sa.select(_d.id, _d.attempts)
    .outerjoin(t.inbox_numbers, _n.delivery_id == _d.id)
    .where(_d.addressee == _OFFICE, _SHOWN, _d.attempts > 0, sa.or_(_n.attempt.is_(None), _n.attempt != _d.attempts))
    .order_by(_d.priority.desc(), _d.id)
    .limit(_MOST)
)
_LISTED = (
    sa.select(
        _n.number, _d.envelope_id, _d.state, _d.business, _d.attempts, _d.chain_head, _d.expires_at,
        _e.originator, _e.kind, _e.business_type, _e.document_id, _e.code, _e.subject, _e.priority, _e.digest, _e.accepted_at,
    )
    .join(t.deliveries, _d.id == _n.delivery_id)
    .join(t.envelopes, _e.id == _d.envelope_id)
    .order_by(_n.number)
)  # fmt: skip


def has_unnumbered(connection: sa.Connection, office: str) -> bool:
    """Tell, without locking anything, whether something waits for an office that has no number yet."""
    return connection.execute(_UNNUMBERED.limit(1), {"office": office}).first() is not None


def count(connection: sa.Connection, office: str, kind: str) -> int:
    """Return how much waits for an office, numbered or not."""
    waits = sa.select(sa.func.count()).join(t.envelopes, _e.id == _d.envelope_id)
    return int(
        connection.execute(waits.where(_d.addressee == office, _SHOWN, _d.attempts > 0, _e.kind == kind)).scalar_one()
    )


def number(connection: sa.Connection, office: str, now: datetime) -> None:
    """Give numbers to what waits for an office and has none, urgent first; forget those of what has ended."""
    connection.execute(insert_once(connection, t.inboxes), [{"office": office}])
    last = connection.execute(sa.select(_i.last).where(_i.office == office).with_for_update()).scalar_one()
    found = connection.execute(_UNNUMBERED, {"office": office}).all()
    waits = sa.exists().where(_d.id == _n.delivery_id, _SHOWN)
    again = _n.delivery_id.in_([row.id for row in found])
    connection.execute(sa.delete(t.inbox_numbers).where(_n.office == office, sa.or_(again, ~waits)))
    if not found:
        return
    first = max(last + 1, int(now.timestamp() * 1_000_000))
    rows = [
        {"delivery_id": row.id, "office": office, "number": at, "attempt": row.attempts}
        for at, row in enumerate(found, first)
    ]
    insert(connection, t.inbox_numbers, rows)
    connection.execute(sa.update(t.inboxes).where(_i.office == office).values(last=rows[-1]["number"]))


def listed(connection: sa.Connection, office: str, after: int, limit: int, kind: str | None) -> list[InboxItem]:
    """Return what waits for an office behind a number, in order."""
    query = _LISTED.where(_n.office == office, _n.number > after, _SHOWN).limit(limit)
    if kind is not None:
        query = query.where(_e.kind == kind)
    found = connection.execute(query).all()
    files: dict[str, list[AttachmentRow]] = {row.envelope_id: [] for row in found}
    carried = (
        sa.select(_a.envelope_id, _a.sha256, _a.size_bytes, _a.name, _a.content_type)
        .where(_a.envelope_id.in_(list(files)))
        .order_by(_a.envelope_id, _a.number)
    )
    for row in connection.execute(carried):
        fields = dict(row._mapping)
        files[fields.pop("envelope_id")].append(AttachmentRow(**fields))
    return [InboxItem(**row._mapping, attachments=tuple(files[row.envelope_id])) for row in found]
