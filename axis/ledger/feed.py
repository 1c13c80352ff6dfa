"""Feed: what happened, in an order in which nothing comes in behind a reader.

Events are numbered when they are written and seen when they are committed, and
PostgreSQL commits in any order: a reader who goes by the number alone passes by
what a slower transaction had numbered before. So the order is that of
transactions, and what is shown ends before the oldest one that is still at
work: whatever comes later has a higher number. On SQLite writers stand in a
row, every transaction counts as 0, and the number decides.

A book that is restored begins a new life, in which transactions and events are
numbered anew. What came with it keeps its order, before transaction 0. A reader
does not hold a place but a cursor: the moment and the number of the last event
that it has seen. Both together are those of no other event in any life. Where
the book holds that event, the reader goes on behind it; where it does not, the
reader remembers a life that is lost, and begins a while before that moment:
it reads again what it knows, and passes by nothing.

An office is shown what concerns it. One look reads a bounded stretch of the
book and says how far it came, so that an office with little news does not make
the axis read a year of it at once.

Spec: docs/protocol/gateway.md 12; docs/adr/0034; PostgreSQL, "System Information Functions" (pg_snapshot_xmin).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from axis.errors import refuse
from axis.ledger import deliveries
from axis.ledger import tables as t
from axis.ledger.values import ReceiptRow, Row

STRETCH = 5000  # Events that one look goes over.
KEPT = timedelta(days=30)  # How far back a reader without a cursor begins.

# How far before the last event of a lost life its reader begins again: clocks may differ, and what was numbered first may
# have been committed last.
_AGAIN = timedelta(days=2)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Cursors of earlier versions name a transaction where ours name a moment, in microseconds: none has come so far.
_FIRST_MOMENT = 10**15
_MOST_NUMBER = 2**63 - 1

_ev, _e, _r, _d = t.events.c, t.envelopes.c, t.receipts.c, t.deliveries.c


class Place(NamedTuple):
    """A place in the feed of one book; what stands behind it is news."""

    tx: int
    seq: int


BEGINNING = Place(0, 0)  # Of this life of the book; what a restore has brought stands before it.


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one look has found, and how far it came."""

    rows: tuple[Row, ...]  # Each with its `cursor`.
    until: Place
    cursor: str  # Of that place.
    is_end: bool  # There was nothing more when it was read.


def cursor(seq: int, at: datetime) -> str:
    """Return by what a reader asks for what stands behind an event."""
    return f"{_counted(at)}-{seq}"


def _counted(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def find(connection: sa.Connection, asked: str, now: datetime) -> Place:
    """Return the place that a cursor means in this book; "" means thirty days ago.

    Raises:
        Refusal: API.PARAMETER
    """
    if not asked:
        return _since(connection, now - KEPT)
    moment, seq = _read(asked)
    event = connection.execute(sa.select(_ev.tx, _ev.at).where(_ev.seq == seq)).first()
    if moment < _FIRST_MOMENT:
        # It means an event of the first life, if the book has not been restored since; else nobody knows of which.
        is_known = event is not None and event.tx == moment and not _was_restored(connection)
        return Place(moment, seq) if is_known else _since(connection, now - KEPT)
    if event is not None and cursor(seq, event.at) == asked:
        return Place(event.tx, seq)
    return _since(connection, _EPOCH + min(moment, _counted(now)) * _MICROSECOND - _AGAIN)


def _read(asked: str) -> tuple[int, int]:
    first, _, seq = asked.partition("-")
    if not all(text.isascii() and text.isdigit() and int(text[:20]) <= _MOST_NUMBER for text in (first, seq)):
        raise refuse("API.PARAMETER", "after")
    return int(first), int(seq)


def cursor_of(connection: sa.Connection, place: Place) -> str:
    """Return the cursor of a place; "" if no event stands there, as in a book in which nothing has happened."""
    at = connection.execute(sa.select(_ev.at).where(_ev.seq == place.seq)).scalar()
    return "" if at is None else cursor(place.seq, at)


def begin_life(connection: sa.Connection) -> None:
    """Put all that has happened before transaction 0, in its order, with the places of webhooks in it.

    Where a book is restored transactions are numbered anew, and may be numbered lower.
    """
    last = connection.execute(sa.select(sa.func.max(_ev.tx))).scalar() or 0
    connection.execute(sa.update(t.events).values(tx=_ev.tx - (last + 1)))
    connection.execute(sa.update(t.webhooks).values(tx=t.webhooks.c.tx - (last + 1)))


def _was_restored(connection: sa.Connection) -> bool:
    return (connection.execute(sa.select(sa.func.min(_ev.tx))).scalar() or 0) < 0


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


def events(connection: sa.Connection, office: str, after: Place, limit: int, now: datetime) -> Stretch:
    """Return what concerns an office behind a place: what it sent, and what was sent to it and is its to see."""
    page = (
        sa.select(_ev.tx, _ev.seq, _ev.envelope_id, _ev.addressee, _ev.event, _ev.at, _ev.detail)
        .where(_behind(after, connection))
        .order_by(_ev.tx, _ev.seq)
        .limit(STRETCH)
        .subquery()
    )
    last = connection.execute(
        sa.select(page.c.tx, page.c.seq, page.c.at).order_by(page.c.tx.desc(), page.c.seq.desc()).limit(1)
    ).first()
    if last is None:
        return Stretch((), after, cursor_of(connection, after), is_end=True)
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
    rows = tuple({**row._mapping, "cursor": cursor(row.seq, row.at)} for row in found)
    ends = [(Place(row["tx"], row["seq"]), row["cursor"]) for row in rows[-1:]]
    if len(rows) == limit:
        return Stretch(rows, *ends[0], is_end=False)
    whole = connection.execute(sa.select(sa.func.count()).select_from(page)).scalar_one()
    # Each statement sees what was committed before it: what the second one found beyond the first is not told again.
    until = max([(Place(last.tx, last.seq), cursor(last.seq, last.at)), *ends])
    return Stretch(rows, *until, is_end=whole < STRETCH)


def _since(connection: sa.Connection, moment: datetime) -> Place:
    """Return a place behind which everything stands that has happened since a moment."""
    number = _oldest(connection, moment)
    if number == 0:
        first = connection.execute(sa.select(sa.func.min(_ev.tx))).scalar()
        return BEGINNING if first is None else Place(first, 0)
    before = connection.execute(sa.select(_ev.tx, _ev.seq).where(_ev.seq >= number).order_by(_ev.seq).limit(1)).one()
    return Place(before.tx, before.seq)


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
