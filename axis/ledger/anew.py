"""Anew: what has expired of a document begins again, because its originator has submitted the document again.

In the commit that answers that the document is known. A delivery that waits or
has ended otherwise is left alone, and so is one whose addressee has said since
that it has the document, or says no to it: its runtime would only repeat that.
What an order was about stays ended: the originator has taken it back, or sent
something instead.

Spec: docs/protocol/deliveries.md 7; docs/adr/0032.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa

from axis.deadlines import Clocks
from axis.ledger import deliveries, links
from axis.ledger import tables as t
from axis.ledger.insert import insert
from axis.ledger.values import CLOCKS, Custody, CustodyAnswer, DeliveryRow, Known, Row

_d, _r = t.deliveries.c, t.receipts.c
_LAST_WORDS = ("delivered", "registered", "progress", "refused", "recalled")  # Of an addressee: it is done, either way.


def with_known(
    connection: sa.Connection, batch: Sequence[Custody], answers: Sequence[CustodyAnswer]
) -> list[CustodyAnswer]:
    """Begin anew what has expired of the envelopes of a batch that are known; return the answers, which say so."""
    again = {answer.envelope_id: one for one, answer in zip(batch, answers, strict=True) if isinstance(answer, Known)}
    begun = begin(connection, again)
    # Of one that is twice in the batch, the first has done it.
    return [
        replace(answer, begun_anew=begun.pop(answer.envelope_id, ())) if isinstance(answer, Known) else answer
        for answer in answers
    ]


def begin(connection: sa.Connection, again: Mapping[str, Custody]) -> dict[str, tuple[str, ...]]:
    """Begin anew what has expired of some envelopes; return the addressees, by envelope.

    Args:
        connection: In a transaction.
        again: What was submitted again, by the id of the envelope that it is.
    """
    if not again:
        return {}
    begun: dict[str, list[DeliveryRow]] = defaultdict(list)
    for row in _left(connection, deliveries.expired(connection, again)):
        if again[row.envelope_id].reaches(row):
            begun[row.envelope_id].append(row)
    for envelope_id, rows in begun.items():
        _begin(connection, rows, again[envelope_id])
    return {envelope_id: tuple(row.addressee for row in rows) for envelope_id, rows in begun.items()}


def _left(connection: sa.Connection, rows: Sequence[DeliveryRow]) -> list[DeliveryRow]:
    """Return those that nothing has been said about since, by their addressees or by an order."""
    envelopes = {row.envelope_id for row in rows}
    if not envelopes:
        return []
    answered = _answered(connection, envelopes)
    ordered = links.ordered(connection, {row.document_id for row in rows})
    unjudged = {one for one in envelopes if deliveries.is_unjudged(connection, one)}
    return [
        row
        for row in rows
        if row.business is None
        and row.envelope_id not in unjudged  # A router has not been there for as long as it lived: it is still to come.
        and all(
            (row.envelope_id, office) not in answered and (row.originator, row.document_id, office) not in ordered
            for office in (row.addressee, row.in_place_of)
        )
    ]


def _answered(connection: sa.Connection, envelopes: Collection[str]) -> set[tuple[str, str]]:
    query = sa.select(_r.envelope_id, _r.addressee).where(
        _r.envelope_id.in_(envelopes), _r.addressee.is_not(None), _r.level.in_(_LAST_WORDS)
    )
    return {(row.envelope_id, row.addressee) for row in connection.execute(query)}


def _begin(connection: sa.Connection, rows: Sequence[DeliveryRow], again: Custody) -> None:
    """Make some deliveries of an envelope what they would be if it had been accepted now; what was said of them stands."""
    clocks = Clocks(process_by=again.process_by)
    connection.execute(
        sa.update(t.deliveries)
        .where(_d.id.in_([row.delivery_id for row in rows]), _d.state == "expired")
        .values(
            state="queued",
            code=None,
            reason="",
            who_must_act="nobody",
            next_at=again.release_at or again.accepted_at,
            told_at=None,
            accepted_at=again.accepted_at,
            expires_at=again.expires_at,
            updated_at=again.accepted_at,
            release_at=again.release_at,
            **{name: getattr(clocks, name) for name in CLOCKS},
        )
    )
    insert(connection, t.events, [_event(row, again) for row in rows])


def _event(row: DeliveryRow, again: Custody) -> Row:
    return {
        "envelope_id": row.envelope_id,
        "addressee": row.addressee,
        "event": "delivery.begun_anew",
        "at": again.accepted_at,
        "detail": {"via": again.via},
    }
