"""Webhooks: an office says where it wants to be told, sees how that goes, and has things told again.

Spec: docs/protocol/webhooks.md 1 to 3, 8; docs/protocol/gateway.md 1.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from axis import clock
from axis.errors import PermanentError, refuse
from axis.gateway import asked, bodies
from axis.gateway.rooms import AllRooms, Office, Rooms
from axis.ledger import WebhookRow
from axis.webhooks import Allowed, Doing, Kind, make_secret, state

router = APIRouter()

WebhookId = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="Name that the office gives the webhook.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an office may have."""

    allowed: Allowed
    most: int  # Webhooks of one office.
    overlap: timedelta  # For which the old secret signs beside a new one.


async def _given_terms(request: Request) -> Terms:
    terms: Terms = request.app.state.webhooks
    return terms


_Terms = Annotated[Terms, Depends(_given_terms)]


class Wanted(BaseModel):
    """What an office wants to be told, and where."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2000, description="https://host[:port]/path", examples=["https://qlvb.example.vn/axis"])  # fmt: skip
    kinds: list[Kind] = Field(
        default_factory=lambda: list(Kind), min_length=1, max_length=len(Kind), description="All, if it is left out."
    )


class From(BaseModel):
    """Where to begin."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[str, Field(pattern=r"^([0-9]{1,18}-[0-9]{1,18})?$")] = Field(
        description="Cursor of a message or of the feed; empty: thirty days ago."
    )


class Webhook(bodies.Body):
    """A webhook, and how it is doing."""

    id: str
    url: str
    kinds: list[Kind]
    state: Doing
    note: str = Field(description="Why the last message was not taken; empty if it was.")
    failures: int = Field(ge=0, description="In a row.")
    failing_since: AwareDatetime | None
    next_at: AwareDatetime | None = Field(description="When it is tried again.")
    disabled_at: AwareDatetime | None
    told_at: AwareDatetime | None = Field(description="When it last took something.")
    cursor: str = Field(description="The place in the feed up to which it was told everything.")
    made_at: AwareDatetime
    old_secret_until: AwareDatetime | None


class WithSecret(Webhook):
    """The same, the one time that its secret is shown."""

    secret: str = Field(description="whsec_ and the key in base64; Standard Webhooks.")


class Webhooks(bodies.Body):
    """The webhooks of an office."""

    webhooks: list[Webhook]


def _shown(row: WebhookRow) -> dict[str, Any]:
    return Webhook(
        id=row.id,
        url=row.url,
        kinds=[Kind(kind) for kind in row.kinds],
        state=state(row),
        note=row.note,
        failures=row.failures,
        failing_since=row.failing_since,
        next_at=row.next_at if row.failures and row.disabled_at is None else None,
        disabled_at=row.disabled_at,
        told_at=row.told_at,
        cursor=row.cursor,
        made_at=row.made_at,
        old_secret_until=row.old_until,
    ).model_dump(mode="json")


@router.get("/v1/webhooks", response_model=Webhooks)
async def list_webhooks(rooms: Rooms, office: Office) -> dict[str, Any]:
    """List the office's webhooks, and how they are doing."""
    return {"webhooks": [_shown(row) for row in await rooms.ledger.webhooks_of(office)]}


@router.get("/v1/webhooks/{webhook_id}", response_model=Webhook)
async def read_webhook(webhook_id: WebhookId, rooms: Rooms, office: Office) -> dict[str, Any]:
    """Say how a webhook is doing."""
    return _shown(await _own(rooms, office, webhook_id))


@router.put(
    "/v1/webhooks/{webhook_id}",
    openapi_extra=asked.taking(Wanted),
    responses={
        200: {"model": Webhook, "description": "It was changed, and is on."},
        201: {"model": WithSecret, "description": "It was made; `secret` is shown now and never again."},
    },
)
async def put_webhook(
    webhook_id: WebhookId, request: Request, rooms: Rooms, office: Office, terms: _Terms
) -> JSONResponse:
    """Make a webhook, or change it; one that was disabled goes on where it stood."""
    wanted = await asked.read(request, Wanted)
    place = terms.allowed.read(wanted.url)
    if await terms.allowed.address_of(place) is None:
        raise refuse("API.WEBHOOK", "url: unknown, or not one that the axis may reach")
    secret = make_secret()
    kinds = [kind.value for kind in Kind if kind in wanted.kinds]
    is_new = await rooms.ledger.put_webhook(
        office, webhook_id, url=wanted.url, kinds=kinds, secret=secret, now=clock.now(), most=terms.most
    )
    if is_new is None:
        raise refuse("API.WEBHOOK", f"> {terms.most}")
    shown = _shown(await _own(rooms, office, webhook_id))
    return JSONResponse(shown | ({"secret": secret} if is_new else {}), status_code=201 if is_new else 200)


@router.delete("/v1/webhooks/{webhook_id}", status_code=204, response_class=Response)
async def delete_webhook(webhook_id: WebhookId, rooms: Rooms, office: Office) -> Response:
    """Remove a webhook."""
    if not await rooms.ledger.remove_webhook(office, webhook_id):
        raise PermanentError("API.NOT_FOUND")
    return Response(status_code=204)


@router.post("/v1/webhooks/{webhook_id}/secret", response_model=WithSecret)
async def renew_secret(webhook_id: WebhookId, rooms: Rooms, office: Office, terms: _Terms) -> JSONResponse:
    """Make a new secret, which is shown now and never again; the old one signs beside it for a while."""
    secret = make_secret()
    if not await rooms.ledger.renew_webhook_secret(office, webhook_id, secret, clock.now() + terms.overlap):
        raise PermanentError("API.NOT_FOUND")
    return JSONResponse(_shown(await _own(rooms, office, webhook_id)) | {"secret": secret})


@router.post("/v1/webhooks/{webhook_id}/replay", response_model=Webhook, openapi_extra=asked.taking(From))
async def replay(webhook_id: WebhookId, request: Request, rooms: Rooms, office: Office) -> JSONResponse:
    """Tell everything behind a cursor again, in order; a webhook that was disabled is on again."""
    begin = await asked.read(request, From)
    if not await rooms.ledger.set_webhook_back(office, webhook_id, begin.after, clock.now()):
        raise PermanentError("API.NOT_FOUND")
    return JSONResponse(_shown(await _own(rooms, office, webhook_id)))


async def _own(rooms: AllRooms, office: str, webhook_id: str) -> WebhookRow:
    """Return an office's own webhook.

    Raises:
        PermanentError: API.NOT_FOUND
    """
    row = await rooms.ledger.webhook(office, webhook_id)
    if row is None:
        raise PermanentError("API.NOT_FOUND")
    return row
