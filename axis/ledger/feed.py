"""Feed: what happened, in an order in which nothing comes in behind a reader.

Events are numbered when they are written and seen when they are committed, and
PostgreSQL commits in any order: a reader who goes by the number alone passes by
what a slower transaction had numbered before. So the order is that of
transactions, and what is shown ends before the oldest one that is still at
work: whatever comes later has a higher number. On SQLite writers stand in a
row, every transaction counts as 0, and the number decides.

An office is shown what concerns it. One look reads a bounded stretch of the
book and says how far it came, so that an office with little news does not make
the axis read a year of it at once.

Spec: docs/protocol/gateway.md 12; PostgreSQL, "System Information Functions" (pg_snapshot_xmin).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self

import sqlalchemy as sa

from axis.errors import refuse
from axis.ledger import deliveries
from axis.ledger import tables as t
from axis.ledger.values import ReceiptRow, Row

STRETCH = 5000  # Events that one look goes over.
_MOST_NUMBER = 2**63 - 1

_ev, _e, _r, _d = t.events.c, t.envelopes.c, t.receipts.c, t.deliveries.c


class Place(NamedTuple):
    """A place in the feed; what stands behind it is news."""

    tx: int
    seq: int

    @classmethod
    def read(cls, cursor: str) -> Self:
        """Read what `written` wrote; "" is the beginning.

        Raises:
            Refusal: API.PARAMETER
        """
        tx, _, seq = (cursor or "0-0").partition("-")
        if not all(text.isascii() and text.isdigit() and int(text[:20]) <= _MOST_NUMBER for text in (tx, seq)):
            raise refuse("API.PARAMETER", "after")
        return cls(int(tx), int(seq))

    @property
    def written(self) -> str:
        """As a cursor."""
        return f"{self.tx}-{self.seq}"


BEGINNING = Place(0, 0)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one look has found, and how far it came."""

    rows: tuple[Row, ...]
    until: Place
    is_end: bool  # There was nothing more when it was read.


def _behind(place: Place, connection: sa.Connection) -> sa.ColumnElement[bool]:
    behind = sa.tuple_(_ev.tx, _ev.seq) > sa.tuple_(sa.literal(place.tx), sa.literal(place.seq))
    if connection.dialect.name != "postgresql":
        return behind
    oldest: sa.ColumnElement[int] = sa.literal_column("(pg_snapshot_xmin(pg_current_snapshot()))::text::bigint")
    return sa.and_(behind, _ev.tx < oldest)


def end(connection: sa.Connection) -> Place:
    """Return the place behind all that can be shown now."""
    found = connection.execute(
        sa.select(_ev.tx, _ev.seq)
        .where(_behind(BEGINNING, connection))
        .order_by(_ev.tx.desc(), _ev.seq.desc())
        .limit(1)
    ).first()
    return BEGINNING if found is None else Place(found.tx, found.seq)


def concerned(connection: sa.Connection, after: Place) -> tuple[set[str], Place]:
    """Return the offices that the events behind a place concern, and how far they go."""
    found = connection.execute(
        sa.select(_ev.tx, _ev.seq, _ev.addressee, _e.originator)
        .outerjoin(t.envelopes, _e.id == _ev.envelope_id)
        .where(_behind(after, connection))
        .order_by(_ev.tx, _ev.seq)
        .limit(STRETCH)
    ).all()
    offices = {office for row in found for office in (row.addressee, row.originator) if office is not None}
    return offices, Place(found[-1].tx, found[-1].seq) if found else after


def events(connection: sa.Connection, office: str, after: Place, since: datetime, limit: int, now: datetime) -> Stretch:
    """Return what concerns an office behind a place: what it sent, and what was sent to it and is its to see."""
    stretch = _stretch(connection, after, since)
    page = stretch.limit(STRETCH).subquery()
    last = connection.execute(
        sa.select(page.c.tx, page.c.seq).order_by(page.c.tx.desc(), page.c.seq.desc()).limit(1)
    ).first()
    if last is None:
        return Stretch((), _known(connection, after), is_end=True)
    found = connection.execute(
        sa.select(page, _e.originator, _e.document_id)
        .outerjoin(t.envelopes, _e.id == page.c.envelope_id)
        .outerjoin(
            t.deliveries,
            sa.and_(_d.envelope_id == page.c.envelope_id, _d.addressee == page.c.addressee, _d.addressee == office),
        )
        .where(
            sa.or_(
                _e.originator == office,
                # What is about no delivery is about the office itself.
                sa.and_(page.c.addressee == office, sa.or_(_d.id.is_(None), deliveries.given(now))),
            )
        )
        .order_by(page.c.tx, page.c.seq)
        .limit(limit)
    )
    rows = tuple(dict(row._mapping) for row in found)
    if len(rows) == limit:
        return Stretch(rows, Place(rows[-1]["tx"], rows[-1]["seq"]), is_end=False)
    whole = connection.execute(sa.select(sa.func.count()).select_from(page)).scalar_one()
    # Each statement sees what was committed before it: what the second one found beyond the first is not told again.
    until = max([Place(last.tx, last.seq), *(Place(row["tx"], row["seq"]) for row in rows[-1:])])
    return Stretch(rows, until, is_end=whole < STRETCH)


def _stretch(connection: sa.Connection, after: Place, since: datetime) -> sa.Select[Any]:
    oldest = _oldest(connection, since) if after == BEGINNING else 0
    return (
        sa.select(_ev.tx, _ev.seq, _ev.envelope_id, _ev.addressee, _ev.event, _ev.at, _ev.detail)
        .where(_behind(after, connection), _ev.seq > oldest)
        .order_by(_ev.tx, _ev.seq)
    )


def _oldest(connection: sa.Connection, since: datetime) -> int:
    """Return a number below which everything is older than `since`, as exactly as clocks are.

    Numbers follow the clock: halving finds it without an index over times.
    """
    low, high = 0, int(connection.execute(sa.select(sa.func.max(_ev.seq))).scalar() or 0)
    while low < high:
        middle = (low + high + 1) // 2
        at = connection.execute(sa.select(_ev.at).where(_ev.seq >= middle).order_by(_ev.seq).limit(1)).scalar()
        if at is not None and at < since:
            low = middle
        else:
            high = middle - 1
    return low


def _known(connection: sa.Connection, after: Place) -> Place:
    """Return a place where nothing is behind it; the beginning if this book has never come so far.

    A book that was restored is younger than what its readers remember.
    """
    newest = connection.execute(sa.select(sa.func.max(_ev.seq))).scalar() or 0
    return after if after.seq <= newest else BEGINNING


def receipts(connection: sa.Connection, found: Stretch) -> dict[int, list[tuple[str, ReceiptRow]]]:
    """Return the receipts that events of a stretch are about, with their envelopes, by the number of the event."""
    said = {row["detail"].get("digest"): row["seq"] for row in found.rows if row["event"].startswith("receipt.")}
    accepted = {row["envelope_id"]: row["seq"] for row in found.rows if row["event"] == "envelope.accepted"}
    at_the_door = sa.and_(_r.envelope_id.in_(list(accepted)), _r.level.in_(("accepted", "rejected")))
    query = sa.select(_r.envelope_id, _r.digest, _r.level, _r.issuer, _r.addressee, _r.previous, _r.at, _r.xml).where(
        sa.or_(_r.digest.in_(list(said)), at_the_door)
    )
    by_event: dict[int, list[tuple[str, ReceiptRow]]] = {}
    for row in connection.execute(query.order_by(_r.at, _r.digest)):
        fields = dict(row._mapping)
        envelope_id = fields.pop("envelope_id")
        seq = said[row.digest] if row.digest in said else accepted[envelope_id]
        by_event.setdefault(seq, []).append((envelope_id, ReceiptRow(**fields | {"xml": bytes(row.xml)})))
    return by_event
