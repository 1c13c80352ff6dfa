"""Links: what an accepted envelope is to an earlier document, until it has been acted on, and ever after.

A link that is due belongs to the process that claimed it, for a while: to act
on it twice does no harm, because every step compares before it sets.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from axis.deadlines import Clocks
from axis.edxml import BusinessType, Kind
from axis.ledger import deliveries
from axis.ledger import tables as t
from axis.ledger.deliveries import UNJUDGED, released
from axis.ledger.insert import insert
from axis.ledger.values import CLOCKS, DeliveryRow, DueLink, Relation
from axis.routing import ANSWERS, LinkKind

LINK_CLAIM = timedelta(seconds=30)
_MOST_RELATED = 500  # Envelopes of a family.
_NO_ORDERS = (*ANSWERS, LinkKind.STATUS)

_d, _e, _k = t.deliveries.c, t.envelopes.c, t.links.c
_NOW: sa.BindParameter[datetime] = sa.bindparam("now", type_=t.Moment)
_WAITING = sa.select(sa.literal(1)).where(_k.due_at <= _NOW).limit(1)
_OPEN = (
    sa.select(
        _k.envelope_id, _k.number, _k.kind, _k.originator, _k.document_id, _k.addressee, _k.status_code,
        _e.originator.label("sender"), _e.document_id.label("sent_as"), _e.accepted_at,
    )
    .join(t.envelopes, _e.id == _k.envelope_id)
    .order_by(_k.due_at, _k.envelope_id, _k.number)
)  # fmt: skip
_DUE = _OPEN.where(_k.due_at <= _NOW).with_for_update(of=t.links, skip_locked=True)


def waiting(connection: sa.Connection, now: datetime) -> bool:
    """Tell, without locking anything, whether a link is due."""
    return connection.execute(_WAITING, {"now": now}).first() is not None


def due(connection: sa.Connection, now: datetime, limit: int) -> list[DueLink]:
    """Claim links to act on; a claim that is not kept runs out."""
    found = [DueLink(**row._mapping) for row in connection.execute(_DUE.limit(limit), {"now": now})]
    for one in found:
        connection.execute(sa.update(t.links).where(_this(one)).values(due_at=now + LINK_CLAIM))
    return found


def unsettled(connection: sa.Connection, envelope_id: str, kind: str) -> list[DueLink]:
    """Return what an envelope says of documents and has not been acted on, whether it is due now or not."""
    found = _OPEN.where(_k.envelope_id == envelope_id, _k.kind == kind, _k.due_at.is_not(None))
    return [DueLink(**row._mapping) for row in connection.execute(found)]


def _this(link: DueLink) -> sa.ColumnElement[bool]:
    return sa.and_(_k.envelope_id == link.envelope_id, _k.number == link.number)


def put_off(connection: sa.Connection, links: Sequence[DueLink], until: datetime, unjudged_until: datetime) -> None:
    """Act on links later, and let their deliveries wait for longer than that."""
    for one in links:
        connection.execute(sa.update(t.links).where(_this(one), _k.due_at.is_not(None)).values(due_at=until))
    _of_unjudged(connection, links, next_at=unjudged_until)


def settle(
    connection: sa.Connection, links: Sequence[DueLink], about: Mapping[str, str], to: Collection[str], now: datetime
) -> None:
    """Note that links of one envelope have been acted on, and let its deliveries to some offices go.

    Args:
        connection: In a transaction.
        links: Of one envelope; all that a delivery waits for which is to go.
        about: The envelopes of their documents, by document id; of those that are here.
        to: Offices that are to get the envelope now, or at its hour.
        now: Now.
    """
    for one in links:
        connection.execute(sa.update(t.links).where(_this(one)).values(due_at=None, about=about.get(one.document_id)))
    going = [one for one in links if one.deliver_to in to]
    _of_unjudged(connection, going, next_at=released(now), code=None, reason="", who_must_act="nobody", updated_at=now)


def _of_unjudged(connection: sa.Connection, links: Sequence[DueLink], **values: object) -> None:
    for one in links:
        connection.execute(
            sa.update(t.deliveries)
            .where(
                _d.envelope_id == one.envelope_id,
                _d.addressee == one.deliver_to,
                _d.state == "queued",
                _d.code == UNJUDGED,
            )
            .values(**values)
        )


def copies(
    connection: sa.Connection, originators: Collection[str], document_id: str, *, but: str = ""
) -> list[DeliveryRow] | None:
    """Return the deliveries of a document; None if it is not here.

    Args:
        connection: In a transaction.
        originators: The office whose document it is, in all that it has been.
        document_id: As the originator named it.
        but: An envelope that is not meant, though it has the same id.
    """
    envelopes = list(
        connection.execute(
            sa.select(_e.id).where(
                _e.document_id == document_id,
                _e.originator.in_(originators),
                _e.kind == Kind.DOCUMENT,
                _e.business_type != BusinessType.RECALL,  # Such an envelope is no copy of the document.
                _e.id != but,
            )
        ).scalars()
    )
    return deliveries.rows(connection, _d.envelope_id.in_(envelopes)) if envelopes else None


def orders_about(connection: sa.Connection, about: Collection[str], addressees: Collection[str]) -> list[DeliveryRow]:
    """Return the deliveries, to some offices, of the orders about some envelopes, oldest first."""
    ordering = sa.select(_k.envelope_id).where(
        _k.about.in_(about), _k.addressee.in_(addressees), _k.kind.not_in(_NO_ORDERS)
    )
    return deliveries.rows(connection, _d.envelope_id.in_(ordering), _d.addressee.in_(addressees))


def ordered(connection: sa.Connection, document_ids: Collection[str]) -> set[tuple[str, str, str]]:
    """Return whose copies of some documents an order was about: originator, document id and addressee.

    Another may have sent a document of its own under the same id. An order names the newest of the envelopes that have
    the document, and means all of them.
    """
    query = (
        sa.select(_e.originator, _e.document_id, _k.addressee)
        .join(t.links, _k.about == _e.id)
        .where(_e.document_id.in_(document_ids), _k.kind.not_in(_NO_ORDERS))
    )
    return {(row.originator, row.document_id, row.addressee) for row in connection.execute(query)}


def take_status(
    connection: sa.Connection,
    row: DeliveryRow,
    link: DueLink,
    clocks: Clocks | None,
    *,
    about: Mapping[str, str],
    at: datetime,
) -> bool:
    """Write down that a status message spoke of a delivery, and what it moves, and settle its link.

    Nothing is written where the link has been settled meanwhile: a claim runs out while its process lives.

    Args:
        connection: In a transaction.
        row: The delivery as it was seen.
        link: What the message says.
        clocks: Those of the addressee from now on, where it is to stand as `business`; None: it is late, and only
            written down.
        about: As in `settle`.
        at: Now.

    Returns:
        False if the delivery has moved meanwhile.
    """
    status_code = link.status_code or ""
    is_open = sa.update(t.links).where(_this(link), _k.due_at.is_not(None)).values(due_at=_k.due_at)
    if not connection.execute(is_open).rowcount:
        return True
    if clocks is not None:
        unmoved = (_d[name].is_not_distinct_from(getattr(row, name)) for name in ("business", *CLOCKS))
        moved = {name: getattr(clocks, name) for name in CLOCKS}
        changed = connection.execute(
            sa.update(t.deliveries)
            .where(_d.id == row.delivery_id, *unmoved)
            .values(business=status_code, updated_at=at, **moved)
        )
        if not changed.rowcount:
            return False
    detail = {"status": status_code, "by": link.envelope_id}
    event = "status.late" if clocks is None else "status.taken"
    insert(
        connection,
        t.events,
        [{"envelope_id": row.envelope_id, "addressee": row.addressee, "event": event, "at": at, "detail": detail}],
    )
    settle(connection, [link], about, {link.originator}, at)
    return True


def family(connection: sa.Connection, envelope_id: str) -> list[Relation]:
    """Return which envelopes speak of which in the family of one - orders, replies, statuses, near and far - oldest first."""
    found: dict[tuple[datetime, str, str, str], set[str]] = {}
    seen, asked = {envelope_id}, [envelope_id]
    while asked and len(seen) <= _MOST_RELATED:
        here, asked = asked, []
        near = sa.or_(_k.envelope_id.in_(here), _k.about.in_(here))
        rows = connection.execute(
            sa.select(_e.accepted_at, _k.envelope_id, _k.kind, _k.about, _k.addressee)
            .join(t.envelopes, _e.id == _k.envelope_id)
            .where(near, _k.about.is_not(None))
        )
        for row in rows:
            found.setdefault((row.accepted_at, row.envelope_id, row.kind, row.about), set()).add(row.addressee)
            new = [one for one in (row.envelope_id, row.about) if one not in seen]
            seen.update(new)
            asked += new
    return [
        Relation(envelope_id=speaker, kind=kind, about=about, addressees=tuple(sorted(filter(None, offices))))
        for (_, speaker, kind, about), offices in sorted(found.items())
    ]
