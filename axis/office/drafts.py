"""Drafts of orders: from what an office has sent to the message that takes it back, or puts another in its place.

A recall repeats the header of its document and carries no file. Its own
DocumentId is a new one, so that there may be several about one document, and
`Bussiness/DocumentId` names the document: ours; a recall without it means its
own DocumentId, as the national SDK writes it.

Spec: QCVN 102:2016 (Bussiness, status 13); docs/protocol/office-orders.md.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from uuid import uuid4

from axis import edxml
from axis.edxml import Business, BusinessType, Document, Organization, Replacement, ResponseFor, Status
from axis.edxml.codes import TAKE_BACK
from axis.edxml.model import Update
from axis.edxml.read import read_trees
from axis.edxml.values import format_date
from axis.errors import Refusal


def document_in(sealed: bytes) -> Document | None:
    """Return the document that this office has sealed and sent; None if it is a status, an order to recall, or broken."""
    try:
        received = edxml.parse(sealed)
        parts = {name: part for name in ("header", "business", "manifest") if (part := received.part(name)) is not None}
        message = read_trees(received.kind, parts)
    except (Refusal, KeyError):
        return None
    return message if isinstance(message, Document) and message.business_type is not BusinessType.RECALL else None


def recall(document: Document, *, reason: str, addressees: Sequence[str] | None, on: date) -> Document:
    """Return the order to give a document up.

    Args:
        document: As it was sent.
        reason: Why; the addressees read it.
        addressees: OrganIds of those who are to give it up; None: all whom it was sent to.
        on: The day in Viet Nam.
    """
    names = {one.organ_id: one for one in document.addressees}
    return replace(
        document,
        addressees=document.addressees
        if addressees is None
        else tuple(names.get(one, Organization(one)) for one in addressees),
        document_id=f"{document.originator.organ_id},{format_date(on)},{uuid4().hex[:16]}/THU-HOI",
        business=Business(type=BusinessType.RECALL, reason=reason, document_id=document.document_id),
        attachments=(),
        traces=(),
    )


def update(document: Document, *, of: str, reason: str, receivers_changed: bool) -> Document:
    """Return a document as the one that takes the place of another whose content, or whose receivers, have changed.

    Args:
        document: What is to be valid from now on.
        of: DocumentId of what it takes the place of.
        reason: Why; the addressees read it.
        receivers_changed: Whether it goes to others than that.
    """
    business = Business(
        type=BusinessType.UPDATE,
        reason=reason,
        paper=document.business.paper,
        document_id=of,
        update=Update(content_changed=True, receivers_changed=receivers_changed),
        staff=document.business.staff,
    )
    return replace(document, business=business)


def replacement(document: Document, *, of: Sequence[str], reason: str) -> Document:
    """Return a document as the one that replaces others, for all whom it is sent to.

    Args:
        document: What is to be valid from now on.
        of: DocumentIds of what it replaces.
        reason: Why; the addressees read it.
    """
    organs = tuple(to.organ_id for to in document.addressees)
    business = Business(
        type=BusinessType.REPLACE,
        reason=reason,
        paper=document.business.paper,
        replacements=tuple(Replacement(one, organs) for one in of),
        staff=document.business.staff,
    )
    return replace(document, business=business)


def take_back(document: Document, *, addressee: str, reason: str, at: datetime) -> Status:
    """Return the status message that asks one addressee to give a document up.

    Args:
        document: As it was sent.
        addressee: OrganId.
        reason: Why; the addressee reads it.
        at: Now.
    """
    return Status(
        originator=document.originator,
        response_for=ResponseFor(addressee, document.code, document.document_id, document.promulgated_on),
        status_code=TAKE_BACK,
        description=reason,
        at=at,
    )
