"""Inbox: what waits for an office is shown to it, and goes when the office says in a signed receipt what became of it.

Reading removes nothing, and says nothing to anybody. A confirmation is the same
receipt that an adapter publishes, and takes the same way: only the office's key
can make it.

Spec: docs/protocol/gateway.md 11; docs/protocol/receipts.md; docs/adr/0019.
"""

from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from axis import clock
from axis.errors import PermanentError
from axis.gateway import files
from axis.gateway.rooms import AllRooms, EnvelopeId, Office, Rooms, given, require_plain
from axis.ledger import InboxItem, Outcome
from axis.receipts import bundle
from axis.receipts.model import MAX_RECEIPT_BYTES

router = APIRouter()

MOST_WAIT_S = 30
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}

Wait = Annotated[
    int, Query(ge=0, le=MOST_WAIT_S, description="Seconds to wait for news if there is none; 0 answers at once.")
]


class Attachment(BaseModel):
    """A file that an envelope carries."""

    sha256: str
    size_bytes: int
    name: str
    content_type: str
    href: str


class Links(BaseModel):
    """Where the rest of an item is."""

    content: str
    receipts: str
    confirmation: str


class Item(BaseModel):
    """A message that waits for the office."""

    cursor: str
    envelope_id: str
    originator: str
    kind: Literal["document", "status"]
    business_type: int
    document_id: str
    code: str
    subject: str
    priority: int
    digest: str
    state: str
    business: str | None
    attempt: int
    previous_receipt: str
    accepted_at: datetime
    expires_at: datetime
    attachments: list[Attachment]
    links: Links


class Inbox(BaseModel):
    """What waits for an office."""

    items: list[Item]
    cursor: str
    more: bool


class Said(BaseModel):
    """A receipt that was brought."""

    digest: str
    repeated: bool


class Confirmed(BaseModel):
    """Where the delivery stands now."""

    envelope_id: str
    state: str
    business: str | None
    receipts: list[Said]


@router.get("/v1/inbox", response_model=Inbox)
async def read_inbox(
    request: Request,
    rooms: Rooms,
    office: Office,
    after: Annotated[
        str, Query(pattern=r"^[0-9]{0,18}$", description="Cursor of an earlier answer; empty: from the beginning.")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    wait: Wait = 0,
    kind: Annotated[Literal["document", "status"] | None, Query(description="Only messages of this kind.")] = None,
) -> dict[str, Any]:
    """List what waits for the office and is not confirmed, in an order that later calls go on from."""

    async def look() -> list[InboxItem]:
        # One more than is asked for: it says whether there is more.
        return await rooms.ledger.inbox(office, int(after or 0), clock.now(), limit + 1, kind)

    found = await rooms.watch.news(office, look, wait_s=wait, receive=request.receive)
    shown = found[:limit]
    return {
        "items": [_item(one) for one in shown],
        "cursor": str(shown[-1].number) if shown else after,
        "more": len(found) > limit,
    }


def _item(one: InboxItem) -> dict[str, Any]:
    place = f"/v1/envelopes/{one.envelope_id}"
    return {
        "cursor": str(one.number),
        "envelope_id": one.envelope_id,
        "originator": one.originator,
        "kind": one.kind,
        "business_type": one.business_type,
        "document_id": one.document_id,
        "code": one.code,
        "subject": one.subject,
        "priority": one.priority,
        "digest": one.digest,
        "state": one.state,
        "business": one.business,
        "attempt": one.attempts,
        "previous_receipt": one.chain_head,
        "accepted_at": one.accepted_at,
        "expires_at": one.expires_at,
        "attachments": [
            {
                "sha256": file.sha256,
                "size_bytes": file.size_bytes,
                "name": file.name,
                "content_type": file.content_type,
                "href": f"/v1/attachments/{file.sha256}",
            }
            for file in one.attachments
        ],
        "links": {
            "content": f"{place}/content",
            "receipts": f"{place}/receipts",
            "confirmation": f"/v1/inbox/{one.envelope_id}/confirmation",
        },
    }


@router.post(
    "/v1/inbox/{envelope_id}/confirmation",
    response_model=Confirmed,
    openapi_extra={"requestBody": {"required": True, "content": {"application/xml": _BINARY}}},
)
async def confirm(envelope_id: EnvelopeId, request: Request, rooms: Rooms, office: Office) -> dict[str, Any]:
    """Say what became of a message that was sent to the office: its signed receipt, or several as a bundle."""
    require_plain(request)
    await given(rooms, envelope_id, office)
    body = await files.small(request.receive, MAX_RECEIPT_BYTES)
    # In their order: each is decided on what the one before it has left.
    said = [await _take(rooms, xml, office, envelope_id) for xml in _receipts(body)]
    row = await rooms.ledger.delivery(envelope_id, office)
    if row is None:
        raise PermanentError("API.NOT_FOUND")
    return {"envelope_id": envelope_id, "state": row.state, "business": row.business, "receipts": said}


def _receipts(body: bytes) -> list[bytes]:
    """Return the receipts of a body: one, or a bundle.

    Raises:
        Refusal: RCT.INVALID
    """
    is_bundle = body[:1].isdigit()
    return bundle.unpack(bundle.RECEIPTS if is_bundle else bundle.RECEIPT, body)


async def _take(rooms: AllRooms, xml: bytes, office: str, envelope_id: str) -> dict[str, Any]:
    """Take one receipt; one that is not believed is put on record, as everywhere, and refused."""
    digest, now = sha256(xml).hexdigest(), clock.now()
    try:
        recorded = await rooms.answers.take(xml, submitter=office, now=now, about=envelope_id)
    except PermanentError as error:
        await rooms.answers.refuse_receipt(error, digest=digest, submitter=office, now=now)
        raise
    return {"digest": digest, "repeated": recorded.outcome is Outcome.REPEATED}
