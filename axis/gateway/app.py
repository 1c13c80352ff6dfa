"""The application: routes, who may call them, and how much at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from axis import registry, seal
from axis.dispatch.answers import Answers
from axis.errors import AxisError
from axis.gateway import bodies, description, feed, files, inbox, lookup, problems, submission, tus, webhooks
from axis.gateway.desk import Desk
from axis.gateway.rooms import AllRooms, EnvelopeId, Office, Rooms, visible
from axis.gateway.watch import Watch
from axis.intake import Allowance, Intake
from axis.ledger import DeliveryRow, Ledger
from axis.registry import Registry
from axis.spool import Spool
from axis.telemetry import metrics

_XML = "application/xml"
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    200: {"model": bodies.Accepted, "description": "It was accepted before."},
    201: {"model": bodies.Accepted, "description": "The axis has custody."},
}
_SEALED: dict[int | str, dict[str, Any]] = {200: {"content": {_XML: _BINARY}, "description": "As it was sealed."}}
_PROM = "text/plain; version=0.0.4; charset=utf-8"


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
    app = FastAPI(
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
    for routes in (submission.router, inbox.router, feed.router, lookup.router, tus.router, webhooks.router):
        app.router.routes.extend(routes.routes)
    app.add_middleware(_Counting)
    app.add_middleware(files.Files, desk=desk, ledger=ledger, spool=spool, most_bytes=attachment_bytes)
    description.describe(app, files.PATHS)
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
            "accepted_at": envelope.accepted_at,
            "expires_at": envelope.expires_at,
            "deliveries": [_delivery(row) for row in rows],
        }

    @app.get("/v1/envelopes/{envelope_id}/content", response_class=Response, responses=_SEALED)
    async def read_content(envelope_id: EnvelopeId, rooms: Rooms, office: Office) -> Response:
        """Read the sealed envelope, byte for byte."""
        await visible(rooms, envelope_id, office)
        return Response(await rooms.ledger.sealed(envelope_id), media_type=_XML)

    @app.get("/v1/envelopes/{envelope_id}/receipts", response_model=bodies.Receipts)
    async def read_receipts(envelope_id: EnvelopeId, rooms: Rooms, office: Office) -> dict[str, Any]:
        """Read the signed receipts: all to the originator, its own and the acceptance to an addressee."""
        envelope, _ = await visible(rooms, envelope_id, office)
        said = await rooms.ledger.receipts_of(envelope_id)
        if envelope.originator != office:
            said = [one for one in said if one.addressee in (None, office)]
        return {
            "receipts": [
                {"digest": one.digest, "level": one.level, "issuer": one.issuer, "addressee": one.addressee, "at": one.at, "xml": one.xml.decode()}
                for one in said
            ]
        }  # fmt: skip


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


def _delivery(row: DeliveryRow) -> dict[str, Any]:
    return {
        "addressee": row.addressee,
        "state": row.state,
        "business": row.business,
        "attempts": row.attempts,
        "code": row.code,
        "reason": row.reason,
        "who_must_act": row.who_must_act,
        "next_at": row.next_at,
        "expires_at": row.expires_at,
        "updated_at": row.updated_at,
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
