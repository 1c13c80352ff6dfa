"""Copies: what an office has of the documents that orders are about, as its state knows it.

An order is on record before anybody is asked about it, and what it is about is
frozen by that alone. Everything here is a query in a transaction of the
caller's: it sees the state as that transaction will leave it.

Spec: docs/protocol/office-orders.md.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from axis.office.speech import About
from axis.receipts import Level

MayOrder = Callable[[str, str], bool]  # (who orders, who sent the document); both in canonical form.

# After one of these the office has answered for good: the handler is not called again.
FINAL = frozenset({Level.DELIVERED, Level.REGISTERED, Level.REFUSED, Level.PROGRESS, Level.RECALLED})
HELD = frozenset({Level.DELIVERED, Level.REGISTERED, Level.PROGRESS})  # After one of these it has the document.


ORDERS_ABOUT = (
    "SELECT orders.envelope_id, orders.originator, document_id FROM orders JOIN envelopes USING (envelope_id)"
    " WHERE target = ? AND state = ? AND orders.envelope_id <> ?"
)


class Carries(StrEnum):
    """What an envelope is to this office."""

    DOCUMENT = "document"  # An order that brings a document too: it may become a target itself.
    ORDER = "order"  # One that brings none.
    STATUS = "status"
    UNKNOWN = "unknown"  # It could not be verified.


class OrderState(StrEnum):
    """How an order about one target stands."""

    OPEN = "open"  # Not decided; copies of the target are frozen.
    AGREED = "agreed"  # It stands: copies that come later are not taken.
    DECLINED = "declined"
    VOID = "void"  # The order itself was recalled before it was decided.


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """An envelope with a document that an order is about."""

    about: About
    code: str
    level: Level | None  # What we said last; None: nothing yet, or nobody knows what an attempt has done.
    answer: str | None
    head: str | None  # Digest of the last receipt about it that is known here.
    is_held: bool  # The office has it, or may have it: who gave no answer may have done his work.


def ordered(
    db: sqlite3.Connection, about: About, targets: Sequence[str], may_order: MayOrder
) -> tuple[tuple[Copy, ...], bool]:
    """Put an order on record, open if there is anything to decide; return the copies of its targets.

    Also returned: whether the only copies are of documents that somebody else has sent.
    """
    if not targets:
        return (), False
    found = [copy for target in targets for copy in _copies(db, target, about.envelope_id)]
    ours = tuple(copy for copy in found if may_order(about.originator, copy.about.originator))
    is_foreign = not ours and any(copy.is_held for copy in found)
    state = OrderState.OPEN if any(copy.is_held for copy in ours) else OrderState.AGREED
    db.executemany(
        "INSERT INTO orders (envelope_id, target, originator, state) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET state = excluded.state WHERE state = 'open'",
        [
            (about.envelope_id, target, about.originator, OrderState.DECLINED if is_foreign else state)
            for target in targets
        ],
    )
    return ours, is_foreign


def _copies(db: sqlite3.Connection, document_id: str, besides: str) -> list[Copy]:
    """Return what has come of a document, the newest first."""
    rows = db.execute(
        "SELECT *, (SELECT state FROM orders WHERE orders.envelope_id = envelopes.envelope_id LIMIT 1) AS decision"
        " FROM envelopes WHERE document_id = ? AND kind = ? AND envelope_id <> ? ORDER BY rowid DESC",
        (document_id, Carries.DOCUMENT, besides),
    )
    return [_copy(row) for row in rows]


def _copy(row: sqlite3.Row) -> Copy:
    head = row["head"] or row["previous"]
    is_uncertain = (row["uncertain"] or row["unanswered"] > 0) and row["level"] not in FINAL
    return Copy(
        about=about_in(row),
        code=row["code"],
        level=None if is_uncertain or row["level"] is None else Level(row["level"]),
        answer=row["answer"],
        head=head,
        # A document that was to take the place of another, and was declined, is not here.
        is_held=row["decision"] != OrderState.DECLINED
        and (row["level"] in HELD or (is_uncertain and head is not None)),
    )


def copies_of(db: sqlite3.Connection, order_id: str, may_order: MayOrder) -> tuple[Copy, ...]:
    """Return the copies of the targets of an order on record."""
    rows = db.execute("SELECT target, originator FROM orders WHERE envelope_id = ? ORDER BY rowid", (order_id,))
    return tuple(
        copy
        for row in rows.fetchall()
        for copy in _copies(db, row["target"], order_id)
        if may_order(row["originator"], copy.about.originator)
    )


def order_state(db: sqlite3.Connection, envelope_id: str) -> OrderState | None:
    """Return how an order stands; all its targets stand alike."""
    row = db.execute("SELECT state FROM orders WHERE envelope_id = ? LIMIT 1", (envelope_id,)).fetchone()
    return None if row is None else OrderState(row["state"])


def make_void(db: sqlite3.Connection, order_id: str) -> None:
    """Let an order that was recalled itself freeze nothing any more."""
    db.execute(
        "UPDATE orders SET state = ? WHERE envelope_id = ? AND state = ?", (OrderState.VOID, order_id, OrderState.OPEN)
    )


def standing(db: sqlite3.Connection, about: About, may_order: MayOrder) -> str | None:
    """Return the document id of an order that was agreed to before this document came."""
    rows = db.execute(ORDERS_ABOUT, (about.document_id, OrderState.AGREED, about.envelope_id))
    return next((row["document_id"] for row in rows if may_order(row["originator"], about.originator)), None)


def frozen_by(db: sqlite3.Connection, envelope_id: str, may_order: MayOrder) -> str | None:
    """Return the envelope id of an order about a document that is not decided."""
    row = db.execute("SELECT * FROM envelopes WHERE envelope_id = ?", (envelope_id,)).fetchone()
    if row["kind"] != Carries.DOCUMENT:
        return None
    orders = db.execute(ORDERS_ABOUT, (row["document_id"], OrderState.OPEN, envelope_id))
    return next((one["envelope_id"] for one in orders if may_order(one["originator"], row["originator"])), None)


def head_of(db: sqlite3.Connection, envelope_id: str) -> str | None:
    """Return the digest of the last receipt about an envelope that is known here."""
    row = db.execute("SELECT coalesce(head, previous) FROM envelopes WHERE envelope_id = ?", (envelope_id,)).fetchone()
    return None if row is None else row[0]


def about_in(row: sqlite3.Row) -> About:
    """Return what an envelope is, from its row."""
    return About(
        envelope_id=row["envelope_id"],
        envelope_digest=row["digest"],
        originator=row["originator"],
        document_id=row["document_id"],
    )
