"""Stories: the book read through, envelope by envelope, for those who hold it against something.

A story is what the book says of one envelope at one moment: a page of them is
read from one snapshot, so that an envelope which moves meanwhile is seen before
or after its move, and never half-way. Pages are small: the book may be large.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from axis.ledger import tables as t
from axis.ledger.values import AttachmentRow, EnvelopeRow, ReceiptRow, Row

_ENVELOPES = 50  # To a page: one of them may have thousands of addressees.
_ROWS = 1000  # To a page, of what is small.

_e, _a, _d, _r, _ev, _u = (
    table.c for table in (t.envelopes, t.envelope_attachments, t.deliveries, t.receipts, t.events, t.uploads)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a delivery stands."""

    addressee: str
    state: str
    attempts: int
    chain_head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a delivery."""

    addressee: str
    event: str
    detail: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One envelope, and all that the book says of it."""

    envelope: EnvelopeRow
    sealed_digest: str
    sealed: bytes  # b"" where bytes were not asked for; the same for the XML of receipts.
    files: tuple[AttachmentRow, ...]
    deliveries: tuple[Standing, ...]
    receipts: tuple[ReceiptRow, ...]
    events: tuple[Event, ...]  # In their order.


def stories(connection: sa.Connection, envelopes: sa.Select[Any], after: str, *, whole: bool) -> list[Story]:
    """Return the stories of a page of envelopes.

    Args:
        connection: All of whose questions see the same moment; see `Database.look`.
        envelopes: Selects envelope rows.
        after: Id of the last envelope of the page before; "" for the first page.
        whole: With the bytes of envelopes and receipts.
    """
    more = (_e.sealed_digest, *((_e.sealed,) if whole else ()))
    heads = connection.execute(
        envelopes.add_columns(*more).where(_e.id > after).order_by(_e.id).limit(_ENVELOPES)
    ).all()
    ids = [head.envelope_id for head in heads]
    files = _by_envelope(connection, _files().where(_a.envelope_id.in_(ids)))
    deliveries = _by_envelope(connection, _standings().where(_d.envelope_id.in_(ids)))
    receipts = _by_envelope(connection, _receipts(whole).where(_r.envelope_id.in_(ids)))
    events = _by_envelope(connection, _events().where(_ev.envelope_id.in_(ids)))
    return [_story(dict(head._mapping), files, deliveries, receipts, events) for head in heads]


def _story(head: Row, *parts: dict[str, list[Row]]) -> Story:
    sealed_digest, sealed = head.pop("sealed_digest"), head.pop("sealed", b"")
    files, deliveries, receipts, events = (part[head["envelope_id"]] for part in parts)
    return Story(
        envelope=EnvelopeRow(**head),
        sealed_digest=sealed_digest,
        sealed=bytes(sealed),
        files=tuple(AttachmentRow(**row) for row in files),
        deliveries=tuple(Standing(**row) for row in deliveries),
        receipts=tuple(map(_receipt, receipts)),
        events=tuple(Event(**row) for row in events),
    )


def refusals(connection: sa.Connection, after: str) -> list[ReceiptRow]:
    """Return a page of the receipts that refuse an envelope: they are about none that the book holds."""
    page = _receipts(whole=True).where(_r.envelope_id == "", _r.digest > after).order_by(None)
    found = connection.execute(page.order_by(_r.digest).limit(_ROWS))
    return [_receipt({name: value for name, value in row._mapping.items() if name != "about"}) for row in found]


def uploads(connection: sa.Connection, after: tuple[str, str]) -> list[tuple[str, str, int]]:
    """Return a page of files that no envelope names yet: who brought them, digest, size."""
    named = sa.exists().where(_a.sha256 == _u.sha256)
    found = connection.execute(
        sa.select(_u.office, _u.sha256, _u.size_bytes)
        .where(~named, sa.tuple_(_u.office, _u.sha256) > after)
        .order_by(_u.office, _u.sha256)
        .limit(_ROWS)
    )
    return [(row.office, row.sha256, row.size_bytes) for row in found]


def _files() -> sa.Select[Any]:
    about = _a.envelope_id.label("about")
    return sa.select(about, _a.sha256, _a.size_bytes, _a.name, _a.content_type).order_by(_a.number)


def _standings() -> sa.Select[Any]:
    about = _d.envelope_id.label("about")
    return sa.select(about, _d.addressee, _d.state, _d.attempts, _d.chain_head).order_by(_d.id)


def _receipts(whole: bool) -> sa.Select[Any]:
    about, xml = _r.envelope_id.label("about"), (_r.xml,) if whole else ()
    return sa.select(about, _r.digest, _r.level, _r.issuer, _r.addressee, _r.previous, _r.at, *xml).order_by(_r.at)


def _events() -> sa.Select[Any]:
    about = _ev.envelope_id.label("about")
    return sa.select(about, _ev.addressee, _ev.event, _ev.detail).where(_ev.addressee.is_not(None)).order_by(_ev.seq)


def _by_envelope(connection: sa.Connection, query: sa.Select[Any]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in connection.execute(query):
        fields = dict(row._mapping)
        found[fields.pop("about")].append(fields)
    return found


def _receipt(fields: Row) -> ReceiptRow:
    return ReceiptRow(**{**fields, "xml": bytes(fields.get("xml", b""))})
