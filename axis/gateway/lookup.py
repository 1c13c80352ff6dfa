"""Lookup: which envelope a digest, a document id or a number and notation belongs to, among what the office may see.

Spec: docs/protocol/gateway.md 13.
"""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel

from axis import clock
from axis.errors import refuse
from axis.gateway.rooms import Office, Rooms

router = APIRouter()


class Found(BaseModel):
    """An envelope, as it is found."""

    envelope_id: str
    originator: str
    kind: str
    business_type: int
    document_id: str
    code: str
    subject: str
    digest: str
    accepted_at: datetime
    href: str


class Envelopes(BaseModel):
    """What was found, the newest first."""

    envelopes: list[Found]
    more: bool


@router.get("/v1/envelopes", response_model=Envelopes)
async def look_up(
    rooms: Rooms,
    office: Office,
    digest: Annotated[
        str | None,
        Query(
            pattern=r"^[0-9a-f]{64}$", description="Of the signed content, the sealed envelope, or one of its files."
        ),
    ] = None,
    document_id: Annotated[str | None, Query(min_length=1, max_length=300)] = None,
    code: Annotated[str | None, Query(min_length=1, max_length=300, description="Number and notation.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> dict[str, Any]:
    """Find what the office sent or was sent; what is given must all fit."""
    if digest is document_id is code is None:
        raise refuse("API.PARAMETER", "digest, document_id, code")
    if "\0" in f"{document_id}{code}":  # PostgreSQL has no place for it, and nothing that is kept has it.
        return {"envelopes": [], "more": False}
    found = await rooms.ledger.look_up(
        office, digest=digest, document_id=document_id, code=code, limit=limit + 1, now=clock.now()
    )
    return {
        "envelopes": [
            {
                "envelope_id": one.envelope_id,
                "originator": one.originator,
                "kind": one.kind,
                "business_type": one.business_type,
                "document_id": one.document_id,
                "code": one.code,
                "subject": one.subject,
                "digest": one.digest,
                "accepted_at": one.accepted_at,
                "href": f"/v1/envelopes/{one.envelope_id}",
            }
            for one in found[:limit]
        ],
        "more": len(found) > limit,
    }
