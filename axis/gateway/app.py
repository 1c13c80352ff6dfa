"""The application: routes, who may call them, and how much at a time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from fastapi import Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import StringConstraints
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from axis import clock, registry, seal
from axis.edxml import catalogue
from axis.edxml.dialects import DEFAULT, DIALECTS, Dialect
from axis.errors import AxisError, PermanentError, refuse
from axis.gateway import files, outgoing, problems
from axis.gateway.desk import Desk
from axis.gateway.legacy import Legacy
from axis.gateway.whole import Unfit, receive_whole
from axis.intake import Acceptance, Intake
from axis.ledger import DeliveryRow, EnvelopeRow, Ledger
from axis.registry import Registry
from axis.spool import Blob, Spool
from axis.telemetry import metrics

EnvelopeIdText = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
EnvelopeId = Annotated[EnvelopeIdText, Path(description="Id that the axis gave the envelope.")]

_XML = "application/xml"
_NEVER_GIVEN = frozenset({"refused", "recalled"})  # What was refused at the door, or taken back before it was there.
_PROM = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class _Rooms:
    intake: Intake
    ledger: Ledger
    spool: Spool
    desk: Desk
    roll: Callable[[], tuple[Registry, seal.Trust]]
    attachment_bytes: int

    @property
    def axis(self) -> str:
        """OrganId of the axis."""
        return self.intake.voice.organ_id


def build(
    *,
    intake: Intake,
    ledger: Ledger,
    spool: Spool,
    roll: Callable[[], tuple[Registry, seal.Trust]],
    metrics_text: Callable[[], bytes],
    ready: Callable[[], Awaitable[dict[str, str]]],
    attachment_bytes: int,
    per_office: int,
) -> FastAPI:
    """Return the gateway.

    Args:
        intake: Where envelopes go.
        ledger: Open.
        spool: Open.
        roll: The offices and the trust of this moment.
        metrics_text: What /metrics answers.
        ready: What /readyz asks.
        attachment_bytes: Largest attachment.
        per_office: Requests of one office that are served at once.
    """
    desk = Desk(roll, per_office)
    app = FastAPI(
        title="Document axis",
        version="1",
        description="HTTP for offices.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.rooms = _Rooms(
        intake=intake,
        ledger=ledger,
        spool=spool,
        desk=desk,
        roll=roll,
        attachment_bytes=attachment_bytes,
    )
    app.add_exception_handler(AxisError, problems.of_axis)
    app.add_exception_handler(HTTPException, problems.of_http)
    app.add_exception_handler(RequestValidationError, problems.of_parameters)
    app.add_exception_handler(Exception, problems.of_the_unforeseen)
    _add_health(app, metrics_text, ready)
    _add_envelopes(app)
    _add_offices(app)
    _add_codes(app)
    app.add_middleware(_Counting)
    app.add_middleware(files.Files, desk=desk, ledger=ledger, spool=spool, most_bytes=attachment_bytes)
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Let the description of the API hold what is served in front of the framework too."""
    described = app.openapi

    def whole() -> dict[str, Any]:
        said = described()
        said["paths"] = files.PATHS | said["paths"]
        return said

    app.openapi = whole  # type: ignore[method-assign]


def _rooms(request: Request) -> _Rooms:
    rooms: _Rooms = request.app.state.rooms
    return rooms


async def _given_rooms(request: Request) -> _Rooms:
    """The same as a dependency: one that is not asynchronous is run in a thread, for every request."""
    return _rooms(request)


Rooms = Annotated[_Rooms, Depends(_given_rooms)]


async def _office(request: Request, authorization: Annotated[str, Header()] = "") -> AsyncIterator[str]:
    """Yield the code of the office that calls; hold one of its places meanwhile."""
    desk = _rooms(request).desk
    office = desk.caller(authorization, request.method)
    with desk.place(office):
        yield office


Office = Annotated[str, Depends(_office)]


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


def _require_plain(request: Request) -> None:
    """Refuse a compressed body: its size could not be known before it is unpacked."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise refuse("ENV.ENCODING", "Content-Encoding")


def _add_envelopes(app: FastAPI) -> None:
    @app.post("/v1/envelopes", status_code=201)
    async def submit(request: Request, rooms: Rooms, office: Office) -> Response:
        """Hand in an edXML message, with its attachments inside or uploaded before."""
        _require_plain(request)
        try:
            acceptance = await _taken(rooms, office, files.patiently(request.receive))
        except ClientDisconnect as error:
            raise HTTPException(408) from error
        body = {
            "envelope_id": acceptance.envelope_id,
            "duplicate": acceptance.duplicate,
            "receipt": acceptance.receipt_xml.decode(),
        }
        return JSONResponse(body, status_code=200 if acceptance.duplicate else 201)

    @app.get("/v1/envelopes/{envelope_id}")
    async def show(envelope_id: EnvelopeId, rooms: Rooms, office: Office) -> dict[str, Any]:
        """Say what has become of an envelope: all of it to its originator, its own part to an addressee."""
        envelope, rows = await _visible(rooms, envelope_id, office)
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

    @app.get("/v1/envelopes/{envelope_id}/content")
    async def read_content(envelope_id: EnvelopeId, rooms: Rooms, office: Office) -> Response:
        """Read the sealed envelope, byte for byte."""
        envelope, _ = await _visible(rooms, envelope_id, office)
        return Response(await rooms.ledger.sealed(envelope_id), media_type=_XML, headers=_says_verified(envelope))

    @app.get("/v1/envelopes/{envelope_id}/original")
    async def read_original(envelope_id: EnvelopeId, rooms: Rooms, office: Office) -> Response:
        """Read what an older system sent, byte for byte; the envelope is what the axis has made of it."""
        envelope, _ = await _visible(rooms, envelope_id, office)
        size = None if envelope.original is None else await rooms.spool.exists(envelope.original)
        if envelope.original is None or size is None:
            raise PermanentError("API.NOT_FOUND")
        headers = _says_verified(envelope) | {
            "Content-Length": str(size),
            "Content-Disposition": f'attachment; filename="{envelope.original}"',
            "X-Content-Type-Options": "nosniff",
        }
        chunks = rooms.spool.stream(envelope.original, size=size)
        return StreamingResponse(chunks, media_type="application/octet-stream", headers=headers)

    @app.get("/v1/envelopes/{envelope_id}/edxml")
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
        envelope, _ = await _visible(rooms, envelope_id, office)
        sealed = await rooms.ledger.sealed(envelope_id)
        if sealed is None:
            raise PermanentError("API.NOT_FOUND")
        words = DIALECTS[dialect] if dialect else _own_dialect(rooms, office)
        rendering = await asyncio.to_thread(outgoing.rendered, sealed, words, envelope, rooms.axis)
        await outgoing.require_files(rendering, rooms.spool)
        chunks = outgoing.whole(rendering, rooms.spool)
        return StreamingResponse(chunks, media_type=_XML, headers=_says_verified(envelope))

    @app.get("/v1/envelopes/{envelope_id}/receipts")
    async def read_receipts(envelope_id: EnvelopeId, rooms: Rooms, office: Office) -> dict[str, Any]:
        """Read the signed receipts: all to the originator, its own and the acceptance to an addressee."""
        envelope, _ = await _visible(rooms, envelope_id, office)
        said = await rooms.ledger.receipts_of(envelope_id)
        if envelope.originator != office:
            said = [one for one in said if one.addressee in (None, office)]
        return {
            "receipts": [
                {"digest": one.digest, "level": one.level, "issuer": one.issuer, "addressee": one.addressee, "at": one.at, "xml": one.xml.decode()}
                for one in said
            ]
        }  # fmt: skip

    @app.get("/v1/envelopes/{envelope_id}/family")
    async def show_family(envelope_id: EnvelopeId, rooms: Rooms, office: Office) -> dict[str, Any]:
        """Say which envelopes recall, update, replace or answer which, as far as the caller may see them."""
        await _visible(rooms, envelope_id, office)
        related = await rooms.ledger.family(envelope_id)
        ids = {envelope_id, *(one.envelope_id for one in related), *(one.about for one in related)}
        members = {one: found for one in ids if (found := await _seen(rooms, one, office)) is not None}
        oldest_first = sorted(members.values(), key=lambda envelope: (envelope.accepted_at, envelope.envelope_id))
        return {
            "envelopes": [_member(envelope) for envelope in oldest_first],
            "relations": [asdict(one) for one in related if one.envelope_id in members and one.about in members],
        }

    @app.get("/v1/receipts")
    async def compare(
        rooms: Rooms, office: Office, envelope: Annotated[list[EnvelopeIdText], Query(min_length=1, max_length=100)]
    ) -> dict[str, Any]:
        """Say which receipts about some envelopes are on record: so an office finds what was lost on the way."""
        return {"receipts": await rooms.ledger.receipts_known(office, envelope)}


def _add_offices(app: FastAPI) -> None:
    @app.get("/v1/offices")
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


async def _taken(rooms: _Rooms, office: str, chunks: AsyncIterator[bytes]) -> Acceptance:
    """Take one message of an office, in the profile or in the dialect that the roll states for it.

    Raises:
        Refusal, TransientError, ClientDisconnect
    """

    async def brought(blob: Blob) -> None:
        await rooms.ledger.record_upload(office, blob.sha256, blob.size_bytes, clock.now())

    async def judge(sealed: bytes) -> None:
        await rooms.intake.judge(sealed, submitter=office, via="http")

    async def ordinary(coming: AsyncIterator[bytes]) -> Acceptance:
        try:
            sealed = await receive_whole(coming, rooms.spool, judge, brought, attachment_bytes=rooms.attachment_bytes)
        except Unfit as unfit:
            return await rooms.intake.refuse(unfit.octets, unfit.refusal, submitter=office, via="http")
        return await rooms.intake.accept(sealed, submitter=office, via="http")

    known = rooms.roll()[0].find(office)
    policy = None if known is None else known.policy
    if policy is None:
        return await ordinary(chunks)
    legacy = Legacy(
        office=office,
        policy=policy,
        intake=rooms.intake,
        spool=rooms.spool,
        brought=brought,
        ordinary=ordinary,
        attachment_bytes=rooms.attachment_bytes,
    )
    return await legacy.receive(chunks)


def _own_dialect(rooms: _Rooms, office: str) -> Dialect:
    known = rooms.roll()[0].find(office)
    policy = None if known is None else known.policy
    return DEFAULT if policy is None else policy.dialect


def _says_verified(envelope: EnvelopeRow) -> dict[str, str]:
    """Say whether an envelope is its originator's word; older forms have no place for it."""
    return {"Axis-Verified": "yes" if envelope.verified else "no"}


async def _visible(rooms: _Rooms, envelope_id: str, office: str) -> tuple[EnvelopeRow, list[DeliveryRow]]:
    """Return what an office may see of an envelope.

    Raises:
        PermanentError: API.NOT_FOUND; it is not there, or not the office's to see.
    """
    envelope = await rooms.ledger.envelope(envelope_id)
    rows = [] if envelope is None else await rooms.ledger.deliveries_of(envelope_id)
    if envelope is not None and envelope.originator != office:
        now = clock.now()
        rows = [
            row for row in rows if row.addressee == office and row.state not in _NEVER_GIVEN and row.was_released(now)
        ]
    if envelope is None or not rows:
        raise PermanentError("API.NOT_FOUND")
    return envelope, rows


async def _seen(rooms: _Rooms, envelope_id: str, office: str) -> EnvelopeRow | None:
    """Return an envelope if an office may see it."""
    try:
        return (await _visible(rooms, envelope_id, office))[0]
    except PermanentError:
        return None


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
