"""Custody: an envelope enters the book, or is refused on record."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from axis.ledger import tables as t
from axis.ledger import told
from axis.ledger.insert import insert, insert_once
from axis.ledger.values import (
    UNREADABLE,
    Conflict,
    Custody,
    CustodyAnswer,
    Known,
    Notice,
    ReceiptRow,
    Rejection,
    Row,
    Taken,
)


def take(connection: sa.Connection, batch: Sequence[Custody]) -> list[CustodyAnswer]:
    """Take envelopes into custody; those whose key is taken are told apart by their content."""
    statement = insert_once(connection, t.envelopes, returning="id")
    taken = set((connection.execute(statement, [_envelope(one) for one in batch])).scalars())
    fresh = [one for one in batch if one.envelope_id in taken]
    impossible = told.take(connection, fresh)
    if impossible:
        connection.execute(sa.delete(t.envelopes).where(t.envelopes.c.id.in_(impossible)))
        fresh = [one for one in fresh if one.envelope_id not in impossible]
    for table, rows in (
        (t.envelope_attachments, [row for one in fresh for row in _attachments(one)]),
        (t.deliveries, [row for one in fresh for row in _deliveries(one)]),
        (t.links, [row for one in fresh for row in _links(one)]),
        (t.receipts, [receipt_row(receipt, one.envelope_id) for one in fresh for receipt in one.receipts]),
        (t.outbox, [notice_row(notice, one.accepted_at) for one in fresh for notice in one.notices]),
        (t.events, [row for one in fresh for row in (_event(one), *_held(one))]),
    ):
        insert(connection, table, rows)
    refused = {one.key: impossible[one.envelope_id] for one in batch if one.envelope_id in impossible}
    kept = {one.envelope_id for one in fresh}
    # The same envelope may be twice in a batch: what the one that was put in is told is true of the other.
    return [Taken() if one.envelope_id in kept else refused.get(one.key) or _known(connection, one) for one in batch]


def _known(connection: sa.Connection, custody: Custody) -> CustodyAnswer:
    """Say what stands under a key that was taken before."""
    answer = standing_under(connection, custody.key, custody.digest)
    if answer is None:
        raise AssertionError("the key was taken")
    return answer


def standing_under(connection: sa.Connection, key: tuple[str, str, str, int], digest: str) -> Known | Conflict | None:
    """Say what stands under a business key; None if nothing does."""
    e = t.envelopes.c
    originator, kind, document_id, business_type = key
    row = connection.execute(
        sa.select(e.id, e.digest).where(
            e.originator == originator,
            e.kind == kind,
            e.document_id == document_id,
            e.business_type == business_type,
        )
    ).first()
    if row is None:
        return None
    return Known(row.id, accepted_xml(connection, row.id)) if row.digest == digest else Conflict(row.id)


def accepted_xml(connection: sa.Connection, envelope_id: str) -> bytes:
    """Return the acceptance receipt of an envelope."""
    r = t.receipts.c
    found = connection.execute(sa.select(r.xml).where(r.envelope_id == envelope_id, r.level == "accepted"))
    return bytes(found.scalar_one())


_e, _a, _d, _u = t.envelopes.c, t.envelope_attachments.c, t.deliveries.c, t.uploads.c
_OFFICES: sa.BindParameter[list[str]] = sa.bindparam("offices", expanding=True)
_DIGESTS: sa.BindParameter[list[str]] = sa.bindparam("digests", expanding=True)
# A delivery that was refused, taken back or forwarded, or was over before it went out, never gave its addressee anything.
IS_ITS_OWN = sa.and_(_d.state.not_in(UNREADABLE), sa.or_(_d.state != "expired", _d.attempts > 0))
_READERS = (  # Asked one after the other, as long as something is not answered.
    sa.select(_u.office, _u.sha256).where(_u.office.in_(_OFFICES), _u.sha256.in_(_DIGESTS)),
    sa.select(_d.addressee, _a.sha256).where(
        # What waits for its hour has not given its addressee anything yet.
        _a.sha256.in_(_DIGESTS), _d.envelope_id == _a.envelope_id, _d.addressee.in_(_OFFICES),
        IS_ITS_OWN, sa.or_(_d.release_at.is_(None), _d.attempts > 0),
    ),
    sa.select(_e.originator, _a.sha256).where(
        _a.sha256.in_(_DIGESTS), _e.id == _a.envelope_id, _e.originator.in_(_OFFICES)
    ),
)  # fmt: skip


def readable(connection: sa.Connection, wanted: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those pairs of an office and a digest where the office brought, sent or was sent the file."""
    asked, found = set(wanted), set[tuple[str, str]]()
    for readers in _READERS:
        rest = asked - found
        if not rest:
            break
        offices, digests = {office for office, _ in rest}, {digest for _, digest in rest}
        rows = connection.execute(readers, {"offices": list(offices), "digests": list(digests)})
        found |= {(row[0], row[1]) for row in rows} & rest
    return found


def accepted_bytes(connection: sa.Connection, originator: str, digest: str) -> Known | None:
    """Return the acceptance of exactly these bytes from this office, if there was one."""
    return _accepted(connection, originator, sa.or_(_e.sealed_digest == digest, _e.original == digest))


def accepted_content(connection: sa.Connection, originator: str, digest: str) -> Known | None:
    """Return the acceptance of this signed content of this office, if there was one."""
    return _accepted(connection, originator, _e.digest == digest)


def _accepted(connection: sa.Connection, originator: str, which: sa.ColumnElement[bool]) -> Known | None:
    found = connection.execute(sa.select(_e.id).where(which, _e.originator == originator).limit(1)).scalar()
    return None if found is None else Known(found, accepted_xml(connection, found))


def reject(connection: sa.Connection, rejection: Rejection) -> bytes:
    """Put a refusal on record; return its receipt, or the first one if the same bytes were refused for the same reason."""
    r = t.rejections.c
    same = sa.and_(
        r.submitter == rejection.submitter, r.sealed_digest == rejection.sealed_digest, r.code == rejection.code
    )
    receipt = rejection.receipt
    insert(connection, t.receipts, [receipt_row(receipt, "")])
    connection.execute(
        insert_once(connection, t.rejections),
        [
            {
                "submitter": rejection.submitter,
                "sealed_digest": rejection.sealed_digest,
                "code": rejection.code,
                "violations": list(rejection.violations),
                "at": rejection.at,
                "via": rejection.via,
                "receipt_digest": receipt.digest,
            }
        ],
    )
    # Whoever was first has committed by now: its row is the one that stands, and is ours to change.
    known = connection.execute(
        sa.select(t.receipts.c.xml, t.receipts.c.digest, r.violations)
        .join(t.receipts, t.receipts.c.digest == r.receipt_digest)
        .where(same)
        .with_for_update(of=t.rejections)
    ).one()
    if list(known.violations) != list(rejection.violations):  # The receipt says what is wrong now, not what was then.
        news = {"violations": list(rejection.violations), "at": rejection.at, "receipt_digest": receipt.digest}
        connection.execute(sa.update(t.rejections).where(same).values(**news))
        digest, xml = receipt.digest, receipt.xml
    else:
        digest, xml = known.digest, bytes(known.xml)
        if digest != receipt.digest:
            connection.execute(sa.delete(t.receipts).where(t.receipts.c.digest == receipt.digest))
    if rejection.notice is not None:
        notice = Notice(target=rejection.notice.target, receipt_digest=digest)
        insert(connection, t.outbox, [notice_row(notice, rejection.at)])
    return xml


def notify_again(connection: sa.Connection, envelope_id: str, target: str, at: datetime) -> None:
    """Send the acceptance of an envelope once more: its originator asked again."""
    r = t.receipts.c
    digest = (
        connection.execute(sa.select(r.digest).where(r.envelope_id == envelope_id, r.level == "accepted"))
    ).scalar_one()
    insert(connection, t.outbox, [notice_row(Notice(target=target, receipt_digest=digest), at)])


def receipt_row(receipt: ReceiptRow, envelope_id: str) -> Row:
    """Return a receipt as a row."""
    return {
        "digest": receipt.digest,
        "envelope_id": envelope_id,
        "addressee": receipt.addressee,
        "level": receipt.level,
        "issuer": receipt.issuer,
        "previous": receipt.previous,
        "at": receipt.at,
        "xml": receipt.xml,
    }


def notice_row(notice: Notice, at: datetime) -> Row:
    """Return a notice as a row, due at once."""
    return {"target": notice.target, "receipt_digest": notice.receipt_digest, "created_at": at, "due_at": at}


def _envelope(one: Custody) -> Row:
    return {
        "id": one.envelope_id,
        "originator": one.originator,
        "kind": one.kind,
        "document_id": one.document_id,
        "business_type": one.business_type,
        "digest": one.digest,
        "sealed_digest": one.sealed_digest,
        "code": one.code,
        "subject": one.subject,
        "priority": one.priority,
        "via": one.via,
        "accepted_at": one.accepted_at,
        "expires_at": one.expires_at,
        "sealed": one.sealed,
        "original": one.original,
    }


def _attachments(one: Custody) -> list[Row]:
    return [
        {
            "envelope_id": one.envelope_id,
            "number": number,
            "sha256": file.sha256,
            "size_bytes": file.size_bytes,
            "name": file.name,
            "content_type": file.content_type,
        }
        for number, file in enumerate(one.attachments)
    ]


def _deliveries(one: Custody) -> list[Row]:
    heads = {receipt.addressee: receipt.digest for receipt in one.receipts}
    return [
        {
            "envelope_id": one.envelope_id,
            "addressee": delivery.addressee,
            "state": delivery.state,
            "code": delivery.code,
            "reason": delivery.reason,
            "who_must_act": delivery.who_must_act,
            "next_at": delivery.next_at,
            # The chain of a delivery begins with the acceptance, or with the refusal that follows it.
            "chain_head": heads.get(delivery.addressee, one.receipts[0].digest),
            "priority": one.priority,
            "accepted_at": one.accepted_at,
            "expires_at": one.expires_at,
            "updated_at": one.accepted_at,
            "release_at": one.release_at,
            "process_by": one.process_by,
        }
        for delivery in one.deliveries
    ]


def _links(one: Custody) -> list[Row]:
    return [
        {
            "envelope_id": one.envelope_id,
            "number": number,
            "kind": link.kind,
            "originator": link.originator,
            "document_id": link.document_id,
            "addressee": link.addressee,
            "status_code": link.status_code,
            "due_at": link.due_at,
        }
        for number, link in enumerate(one.links)
    ]


def _event(one: Custody) -> Row:
    return {
        "envelope_id": one.envelope_id,
        "addressee": None,
        "event": "envelope.accepted",
        "at": one.accepted_at,
        "detail": {"via": one.via, "addressees": len(one.deliveries)},
    }


def _held(one: Custody) -> list[Row]:
    """Return the events of what is held from the beginning."""
    heads = {receipt.addressee: receipt.digest for receipt in one.receipts}
    return [
        {
            "envelope_id": one.envelope_id,
            "addressee": delivery.addressee,
            "event": "receipt.held",
            "at": one.accepted_at,
            "detail": {"digest": heads[delivery.addressee], "state": delivery.state, "code": delivery.code},
        }
        for delivery in one.deliveries
        if delivery.state == "held"
    ]
