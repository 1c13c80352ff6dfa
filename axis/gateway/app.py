"""The application: routes, who may call them, and how much at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from axis import clock, registry, seal
from axis.dispatch.answers import Answers
from axis.edxml import catalogue
from axis.edxml.dialects import DIALECTS, RELATED
from axis.errors import AxisError, PermanentError
from axis.gateway import bodies, description, feed, files, inbox, lookup, outgoing, problems, submission, tus, webhooks
from axis.gateway.compat import bodies as compat_bodies
from axis.gateway.compat import routes as compat
from axis.gateway.desk import Desk
from axis.gateway.rooms import AllRooms, EnvelopeId, Office, Rooms, says_verified, seen, visible
from axis.gateway.watch import Watch
from axis.intake import Allowance, Intake
from axis.ledger import DeliveryRow, EnvelopeRow, Ledger
from axis.registry import Registry
from axis.spool import Spool
from axis.telemetry import metrics

_XML = "application/xml"
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    200: {"model": bodies.Accepted, "description": "It was accepted before."},
    201: {"model": bodies.Accepted, "description": "The axis has custody."},
}
_PROM = "text/plain; version=0.0.4; charset=utf-8"
_VERIFIED: dict[str, Any] = {
    "Axis-Verified": {
        "required": True,
        "description": "Whether its originator has sealed it.",
        "schema": {"type": "string", "enum": ["yes", "no"]},
    }
}
_OF_COMPAT = {
    "systemId": ("X-SystemId", "OrganId of the office, in any of its forms."),
    "secretKey": ("X-SecretKey", "A token of the office, or a password of it (docs/protocol/keys.md 6, 9)."),
}


def _bytes(media_type: str, said: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media_type: _BINARY}, "description": said, "headers": _VERIFIED}}


_SEALED = _bytes(_XML, "As it was sealed.")
_ORIGINAL = _bytes("application/octet-stream", "As it came from an older system.")
_IN_DIALECT = _bytes(_XML, "As an older system reads it.") | {
    422: description.no("One of its files is not here, or damaged.")
}
_IN_DIALECT[200]["content"][RELATED] = _BINARY  # Where the dialect has files beside the message.


class _Application(FastAPI):
    """The framework's application behind what is in front of it: what the framework puts around each request takes its time."""

    def __init__(self, before: Callable[[ASGIApp], ASGIApp], **said: Any) -> None:
        super().__init__(**said)
        self._all = before(super().__call__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._all(scope, receive, send)


def build(
    *,
    intake: Intake,
    answers: Answers,
    ledger: Ledger,
    spool: Spool,
    roll: Callable[[], tuple[Registry, seal.Trust]],
    metrics_text: Callable[[], bytes],
    ready: Callable[[], Awaitable[dict[str, str]]],
    attachment_bytes: int,
    per_office: int,
    allowance: Allowance,
    hooks: webhooks.Terms,
) -> FastAPI:
    """Return the gateway.

    Args:
        intake: Where envelopes go.
        answers: Where receipts go.
        ledger: Open.
        spool: Open.
        roll: The offices and the trust of this moment.
        metrics_text: What /metrics answers.
        ready: What /readyz asks.
        attachment_bytes: Largest attachment.
        per_office: Requests of one office that are served at once.
        allowance: And how many of them in how much time.
        hooks: What an office may have of webhooks.
    """
    desk = Desk(roll, per_office, allowance)
    app = _Application(
        partial(files.Files, desk=desk, ledger=ledger, spool=spool, most_bytes=attachment_bytes),
        title="Document axis",
        version="1",
        description="HTTP for offices.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,  # A path is one of ours or none.
    )
    app.state.rooms = AllRooms(
        intake=intake,
        answers=answers,
        watch=Watch(ledger),
        ledger=ledger,
        spool=spool,
        desk=desk,
        roll=roll,
        attachment_bytes=attachment_bytes,
    )
    app.state.webhooks = hooks
    app.add_exception_handler(AxisError, problems.of_axis)
    app.add_exception_handler(HTTPException, problems.of_http)
    app.add_exception_handler(RequestValidationError, problems.of_parameters)
    app.add_exception_handler(Exception, problems.of_the_unforeseen)
    _add_health(app, metrics_text, ready)
    _add_envelopes(app)
    _add_offices(app)
    for routes in (
        submission.router,
        inbox.router,
        feed.router,
        lookup.router,
        tus.router,
        webhooks.router,
        compat.router,
    ):
        app.router.routes.extend(routes.routes)
    _add_codes(app)
    app.add_middleware(_Counting)
    description.describe(app, files.PATHS, {compat.PREFIX: description.Manner.of(compat_bodies.Refused, _OF_COMPAT)})
    return app


def _add_health(
    app: FastAPI, metrics_text: Callable[[], bytes], ready: Callable[[], Awaitable[dict[str, str]]]
) -> None:
    @app.get("/metrics", include_in_schema=False)
    async def show_metrics() -> Response:
        return Response(metrics_text(), media_type=_PROM)

    @app.get("/healthz", include_in_schema=False)
    async def show_life() -> dict[str, bool]:
        return {"alive": True}

    @app.get("/readyz", include_in_schema=False)
    async def show_readiness() -> JSONResponse:
        checks = await ready()
        return JSONResponse(checks, status_code=200 if all(state == "ok" for state in checks.values()) else 503)


def _add_envelopes(app: FastAPI) -> None:
    @app.post("/v1/envelopes", status_code=201, responses=_ACCEPTED, openapi_extra=submission.BODY)
    async def submit(request: Request, rooms: Rooms, office: Office, key: submission.Key = None) -> Response:
        """Hand in an edXML message, with its attachments inside, as parts of a form, or uploaded before."""
        return await submission.submit(request, rooms, office, key)

    @app.get("/v1/envelopes/{envelope_id}", response_model=bodies.Envelope)
    async def show(envelope_id: EnvelopeId, rooms: Rooms, office: Office) -> dict[str, Any]:
        """Say what has become of an envelope: all of it to its originator, its own part to an addressee."""
        envelope, rows = await visible(rooms, envelope_id, office)
        return {
            "envelope_id": envelope.envelope_id,
            "originator": envelope.originator,
            "document_id": envelope.document_id,
            "code": envelope.code,
            "subject": envelope.subject,
            "digest": envelope.digest,
            "verified": envelope.verified,
            "original": envelope.original,
            "accepted_at": envelope.accepted_at,
            "expires_at": envelope.expires_at,
            "deliveries": [_delivery(row, clock.now()) for row in rows],
        }

    @app.get("/v1/envelopes/{envelope_id}/content", response_class=Response, responses=_SEALED)
    async def read_content(envelope_id: EnvelopeId, rooms: Rooms, office: Office) -> Response:
        """Read the sealed envelope, byte for byte."""
        envelope, _ = await visible(rooms, envelope_id, office)
        return Response(await rooms.ledger.sealed(envelope_id), media_type=_XML, headers=says_verified(envelope))

    @app.get("/v1/envelopes/{envelope_id}/original", response_class=Response, responses=_ORIGINAL)
    async def read_original(envelope_id: EnvelopeId, rooms: Rooms, office: Office) -> Response:
        """Read what an older system sent, byte for byte; the envelope is what the axis has made of it."""
        envelope, _ = await visible(rooms, envelope_id, office)
        size = None if envelope.original is None else await rooms.spool.exists(envelope.original)
        if envelope.original is None or size is None:
            raise PermanentError("API.NOT_FOUND")
        headers = says_verified(envelope) | {
            "Content-Length": str(size),
            "Content-Disposition": f'attachment; filename="{envelope.original}"',
            "X-Content-Type-Options": "nosniff",
        }
        chunks = outgoing.checked(rooms.spool, envelope.original, size)
        return outgoing.Stream(chunks, media_type="application/octet-stream", headers=headers)

    @app.get("/v1/envelopes/{envelope_id}/edxml", response_class=Response, responses=_IN_DIALECT)
    async def read_in_dialect(
        envelope_id: EnvelopeId,
        rooms: Rooms,
        office: Office,
        dialect: Annotated[
            Literal[tuple(DIALECTS)] | None,  # type: ignore[valid-type]  # Known when the program starts.
            Query(description="In which dialect; that of the office in the roll if it is not given."),
        ] = None,
    ) -> Response:
        """Read a message in the words of an older system, with its attachments inside."""
        envelope, _ = await visible(rooms, envelope_id, office)
        words = DIALECTS[dialect] if dialect else outgoing.own_dialect(rooms, office)
        rendering = await outgoing.in_dialect(rooms, envelope, words)
        chunks = outgoing.whole(rendering, rooms.spool)
        return outgoing.Stream(chunks, media_type=rendering.media_type, headers=says_verified(envelope))

    @app.get("/v1/envelopes/{envelope_id}/receipts", response_model=bodies.Receipts)
    async def read_receipts(envelope_id: EnvelopeId, rooms: Rooms, office: Office) -> dict[str, Any]:
        """Read the signed receipts: all to the originator, its own and the acceptance to an addressee."""
        envelope, rows = await visible(rooms, envelope_id, office)
        said = await rooms.ledger.receipts_of(envelope_id)
        if envelope.originator != office:
            # What was forwarded to it has begun with the office in whose place it stands.
            own = {None, office, *(row.in_place_of for row in rows)}
            said = [one for one in said if one.addressee in own]
        return {
            "receipts": [
                {"digest": one.digest, "level": one.level, "issuer": one.issuer, "verified": one.verified, "addressee": one.addressee, "at": one.at, "xml": one.xml.decode()}
                for one in said
            ]
        }  # fmt: skip

    @app.get("/v1/envelopes/{envelope_id}/family", response_model=bodies.Family)
    async def show_family(envelope_id: EnvelopeId, rooms: Rooms, office: Office) -> dict[str, Any]:
        """Say which envelopes recall, update, replace or answer which, as far as the caller may see them."""
        await visible(rooms, envelope_id, office)
        related = await rooms.ledger.family(envelope_id)
        ids = {envelope_id, *(one.envelope_id for one in related), *(one.about for one in related)}
        members = {one: found for one in ids if (found := await seen(rooms, one, office)) is not None}
        oldest_first = sorted(members.values(), key=lambda envelope: (envelope.accepted_at, envelope.envelope_id))
        return {
            "envelopes": [_member(envelope) for envelope in oldest_first],
            "relations": [asdict(one) for one in related if one.envelope_id in members and one.about in members],
        }


def _add_offices(app: FastAPI) -> None:
    @app.get("/v1/offices", responses={200: {"model": bodies.Roll}})
    async def list_offices(
        rooms: Rooms,
        office: Office,
        since: Annotated[str, Query(max_length=64, description="Cursor of an earlier answer.")] = "",
    ) -> Response:
        """List the offices of the roll, or what is new in it since an earlier answer."""
        roll, _ = rooms.roll()
        # A whole province takes some milliseconds, in which others want to be served.
        said = await asyncio.to_thread(lambda: orjson.dumps(registry.since(roll, since)))
        return Response(said, media_type="application/json")


def _add_codes(app: FastAPI) -> None:
    said = orjson.dumps({"codes": [row.as_dict() for row in catalogue.rows()]})

    @app.get("/v1/codes")
    async def list_codes(_office: Office) -> Response:
        """List every code of an error and of a status: class, text in both languages, who must act, what happens next."""
        return Response(said, media_type="application/json")


def _member(envelope: EnvelopeRow) -> dict[str, Any]:
    return {
        "envelope_id": envelope.envelope_id,
        "originator": envelope.originator,
        "document_id": envelope.document_id,
        "business_type": envelope.business_type,
        "code": envelope.code,
        "subject": envelope.subject,
        "accepted_at": envelope.accepted_at,
    }


def _delivery(row: DeliveryRow, now: datetime) -> dict[str, Any]:
    return {
        "addressee": row.addressee,
        "in_place_of": row.in_place_of,
        "state": row.state,
        "business": row.business,
        "attempts": row.attempts,
        "code": row.code,
        "reason": row.reason,
        "who_must_act": row.who_must_act,
        "next_at": row.next_at,
        "expires_at": row.expires_at,
        "updated_at": row.updated_at,
        "release_at": row.release_at,
        "waits_for_its_hour": row.waits_for_its_hour(now),
        "register_by": row.register_by,
        "registered_at": row.registered_at,
        "process_by": row.process_by,
        "done_at": row.done_at,
        "overdue": row.is_overdue(now),
    }


class _Counting:
    """Counts answers by route and class of status.

    Plain ASGI: the framework's own kind of middleware puts every answer through a queue of its own.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "unknown")
                metrics.HTTP_REQUESTS.labels(route, f"{message['status'] // 100}xx").inc()
            await send(message)

        await self._app(scope, receive, counting)
