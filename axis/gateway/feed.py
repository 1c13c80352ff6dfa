"""Feed: everything that concerns an office, in order, to be read again from any place.

Receipts are read by the same cursors as events: a receipt is in the feed where
the event stands that put it on record.

Spec: docs/protocol/gateway.md 12; docs/adr/0019, docs/adr/0034.
"""

import time
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, StringConstraints

from axis import clock
from axis.gateway.inbox import Wait
from axis.gateway.rooms import AllRooms, EnvelopeIdText, Office, Rooms
from axis.ledger import Stretch

router = APIRouter()

_LOOKING_S = 2.0  # Through what concerns others; then the answer is how far that was.
_FACTS = ("cursor", "event", "at", "envelope_id", "originator", "document_id", "addressee")
# Of what is kept with an event; who replayed it is nobody's business.
_SHOWN = ("attempt", "digest", "state", "code", "verified")

Cursor = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,18}-[0-9]{1,18})?$")]
After = Annotated[Cursor, Query(description="Cursor of an earlier answer; empty: from thirty days ago.")]
Limit = Annotated[int, Query(ge=1, le=500)]


class Event(BaseModel):
    """Something that happened."""

    cursor: str
    event: str
    at: datetime
    envelope_id: str | None
    originator: str | None
    document_id: str | None
    addressee: str | None
    attempt: int | None = None
    digest: str | None = None
    state: str | None = None
    code: str | None = None
    verified: bool | None = None  # False: of a receipt that the axis has written for an addressee; else left out.


class Events(BaseModel):
    """A stretch of the feed."""

    events: list[Event]
    cursor: str
    more: bool


class ReceiptOnRecord(BaseModel):
    """A signed receipt, or what is known of one."""

    digest: str
    level: str
    envelope_id: str
    issuer: str | None = None
    verified: bool | None = None
    addressee: str | None = None
    at: datetime | None = None
    xml: str | None = None
    cursor: str | None = None


class ReceiptsOnRecord(BaseModel):
    """Receipts; with a cursor where they were asked for in order."""

    receipts: list[ReceiptOnRecord]
    cursor: str | None = None
    more: bool | None = None


@router.get("/v1/events", response_model=Events, response_model_exclude_unset=True)
async def read_events(
    request: Request, rooms: Rooms, office: Office, after: After = "", limit: Limit = 100, wait: Wait = 0
) -> dict[str, Any]:
    """Read what happened to what the office sent, and to what was sent to it."""
    found = await _news(request, rooms, office, after, limit, wait)
    return {
        "events": [
            {
                **{name: row[name] for name in _FACTS},
                **{name: row["detail"][name] for name in _SHOWN if name in row["detail"]},
            }
            for row in found.rows
        ],
        "cursor": found.cursor,
        "more": not found.is_end,
    }


@router.get("/v1/receipts", response_model=ReceiptsOnRecord, response_model_exclude_unset=True)
async def read_receipts(
    request: Request,
    rooms: Rooms,
    office: Office,
    envelope: Annotated[
        list[EnvelopeIdText] | None,
        Query(min_length=1, max_length=100, description="Say only which receipts about these envelopes are on record."),
    ] = None,
    after: After = "",
    limit: Limit = 100,
    wait: Wait = 0,
) -> dict[str, Any]:
    """Read the signed receipts about what the office sent; or which are on record, to find what was lost on the way."""
    if envelope is not None:
        return {"receipts": await rooms.ledger.receipts_known(office, envelope)}
    found = await _news(request, rooms, office, after, limit, wait)
    said = await rooms.ledger.receipts_in(
        replace(found, rows=tuple(row for row in found.rows if row["originator"] == office))
    )
    return {
        "receipts": [
            {
                "cursor": row["cursor"],
                "envelope_id": envelope_id,
                "digest": one.digest,
                "level": one.level,
                "issuer": one.issuer,
                "verified": one.verified,
                "addressee": one.addressee,
                "at": one.at,
                "xml": one.xml.decode(),
            }
            for row in found.rows
            for envelope_id, one in said.get(row["seq"], ())
        ],
        "cursor": found.cursor,
        "more": not found.is_end,
    }


async def _news(request: Request, rooms: AllRooms, office: str, after: str, limit: int, wait: int) -> Stretch:
    """Return the next stretch that holds anything; an empty one at the end of the feed, or as far as it was read in a while.

    What others do may be far more than what concerns an office: a caller that has no answer for long asks again, and would
    be looked for twice.
    """
    place = await rooms.ledger.feed_place(after, clock.now())
    latest = Stretch((), place, after, is_end=False)

    async def look() -> Stretch | None:
        nonlocal latest
        until = time.monotonic() + _LOOKING_S
        while True:
            latest = await rooms.ledger.events_for(office, latest.until, limit, now=clock.now())
            if latest.rows or (not latest.is_end and time.monotonic() >= until):
                return latest
            if latest.is_end:
                return None

    return await rooms.watch.news(office, look, wait_s=wait, receive=request.receive) or latest
