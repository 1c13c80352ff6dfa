"""The application: routes, who may call them, and how much at a time."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import StringConstraints
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from axis import clock, routing, seal
from axis.edxml.values import local_date
from axis.errors import AxisError, PermanentError, Refusal, refuse
from axis.gateway import problems
from axis.gateway.ranges import parse_range
from axis.gateway.whole import receive_whole
from axis.intake import Intake
from axis.ledger import DeliveryRow, EnvelopeRow, Ledger
from axis.registry import Registry
from axis.spool import Blob, Spool
from axis.telemetry import metrics

Digest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the file, lower-case hex.")]
EnvelopeIdText = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
EnvelopeId = Annotated[EnvelopeIdText, Path(description="Id that the axis gave the envelope.")]

_SILENCE_S = 60.0  # Of a thin line; then the place is somebody else's, and what came is kept.
_READS = ("GET", "HEAD")
_XML = "application/xml"
_PROM = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class _Rooms:
    intake: Intake
    ledger: Ledger
    spool: Spool
    roll: Callable[[], tuple[Registry, seal.Trust]]
    attachment_bytes: int
    per_office: int
    ring: Callable[[], None]


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
    ring: Callable[[], None],
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
        ring: Called when something may be due for dispatch.
    """
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
        roll=roll,
        attachment_bytes=attachment_bytes,
        per_office=per_office,
        ring=ring,
    )
    app.state.busy = Counter[str]()
    app.state.tokens = seal.Tokens()
    app.add_exception_handler(AxisError, problems.of_axis)
    app.add_exception_handler(HTTPException, problems.of_http)
    app.add_exception_handler(RequestValidationError, problems.of_parameters)
    app.add_exception_handler(Exception, problems.of_the_unforeseen)
    _add_health(app, metrics_text, ready)
    _add_uploads(app)
    _add_attachments(app)
    _add_envelopes(app)
    app.add_middleware(_Counting)
    return app


def _rooms(request: Request) -> _Rooms:
    rooms: _Rooms = request.app.state.rooms
    return rooms


async def _given_rooms(request: Request) -> _Rooms:
    """The same as a dependency: one that is not asynchronous is run in a thread, for every request."""
    return _rooms(request)


Rooms = Annotated[_Rooms, Depends(_given_rooms)]


async def _office(request: Request, authorization: Annotated[str | None, Header()] = None) -> AsyncIterator[str]:
    """Yield the code of the office that calls; hold one of its places meanwhile."""
    rooms = _rooms(request)
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.casefold() != "bearer" or not token:
        raise refuse("API.AUTH", "Bearer token")
    roll, trust = rooms.roll()
    tokens: seal.Tokens = request.app.state.tokens
    office = roll.find(tokens.check(token, trust, clock.now()))
    if office is None:
        raise refuse("API.AUTH", "office")
    if request.method not in _READS:  # What it was sent it may still read.
        routing.require_active(office, local_date(clock.now()))
    busy: Counter[str] = request.app.state.busy
    if busy[office.code] >= rooms.per_office:
        raise HTTPException(429, headers={"Retry-After": "2"})
    busy[office.code] += 1
    try:
        yield office.code
    finally:
        busy[office.code] -= 1


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


def _add_uploads(app: FastAPI) -> None:
    @app.head("/v1/uploads/{digest}")
    async def ask_offset(digest: Digest, rooms: Rooms, office: Office) -> Response:
        """How much of a file has arrived from this office."""
        there = await _own_size(rooms, office, digest)
        offset = await rooms.spool.upload_offset(office, digest) if there is None else there
        return Response(headers={"Upload-Offset": str(offset)})

    @app.patch("/v1/uploads/{digest}")
    async def append(
        digest: Digest,
        request: Request,
        rooms: Rooms,
        office: Office,
        upload_offset: Annotated[int, Header(ge=0)],
        upload_length: Annotated[int, Header(ge=0)],
    ) -> Response:
        """Append to a file from an offset. 201 when it is complete and has the digest."""
        return await _append(digest, request, rooms, office, upload_offset, upload_length)

    @app.put("/v1/uploads/{digest}")
    async def put_whole(
        digest: Digest, request: Request, rooms: Rooms, office: Office, content_length: Annotated[int, Header(ge=0)]
    ) -> Response:
        """Bring a whole file at once."""
        return await _append(digest, request, rooms, office, None, content_length)


async def _append(
    digest: str, request: Request, rooms: _Rooms, office: str, offset: int | None, length: int
) -> Response:
    _require_plain(request)
    if length > rooms.attachment_bytes:
        raise refuse("ATT.SIZE", f"{length} > {rooms.attachment_bytes} bytes")
    there = await _own_size(rooms, office, digest)
    if there is not None:
        return Response(status_code=201, headers={"Upload-Offset": str(there)})
    result = await rooms.spool.append(office, digest, offset=offset, total=length, chunks=_body(request))
    if isinstance(result, Blob):
        await rooms.ledger.record_upload(office, digest, result.size_bytes, clock.now())
        return Response(status_code=201, headers={"Upload-Offset": str(result.size_bytes)})
    return Response(status_code=204, headers={"Upload-Offset": str(result)})


async def _own_size(rooms: _Rooms, office: str, digest: str) -> int | None:
    """Return the size of a file that is in the spool and this office's to read; None says nothing about others' files."""
    there = await rooms.spool.exists(digest)  # Asked first: it costs nothing, and mostly the file is new.
    return there if there is not None and await rooms.ledger.may_read(office, digest) else None


async def _body(request: Request) -> AsyncIterator[bytes]:
    """Yield the body; a caller that goes away ends it, and what came is kept."""
    with contextlib.suppress(ClientDisconnect, HTTPException):
        async for chunk in _patiently(request):
            yield chunk


async def _patiently(request: Request) -> AsyncIterator[bytes]:
    """Yield the body as it comes; a caller who says nothing for a while gives up its place.

    Raises:
        HTTPException: 408
        ClientDisconnect: It went away.
    """
    chunks = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(_SILENCE_S):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise HTTPException(408, headers={"Connection": "close"}) from error
        if chunk:
            yield chunk


def _require_plain(request: Request) -> None:
    """Refuse a compressed body: its size could not be known before it is unpacked."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise refuse("ENV.ENCODING", "Content-Encoding")


def _add_attachments(app: FastAPI) -> None:
    @app.head("/v1/attachments/{digest}")
    @app.get("/v1/attachments/{digest}")
    async def read_attachment(
        digest: Digest,
        request: Request,
        rooms: Rooms,
        office: Office,
        wanted: Annotated[str | None, Header(alias="range")] = None,
    ) -> Response:
        """Read a file that the office brought, sent or was sent; whole or a range of it."""
        # In this order: how long a no takes must not tell whether somebody else has the file.
        size = await rooms.spool.exists(digest) if await rooms.ledger.may_read(office, digest) else None
        if size is None:
            raise PermanentError("API.NOT_FOUND")
        if request.method == "HEAD":  # RFC 9110 §14.2: a range is for GET alone.
            wanted = None
        try:
            start, end = parse_range(wanted, size)
        except Refusal as refusal:
            return problems.out_of_range(refusal, size)
        headers = {
            "ETag": f'"{digest}"',
            "Accept-Ranges": "bytes",
            "Content-Length": str(end - start),
            # Whatever the file is, a browser must not open it as part of this site.
            "Content-Disposition": f'attachment; filename="{digest}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, immutable",
        }
        partial = wanted is not None and (start, end) != (0, size)
        if partial:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        status = 206 if partial else 200
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        return StreamingResponse(
            rooms.spool.stream(digest, start, end, size=size),
            status_code=status,
            headers=headers,
            media_type="application/octet-stream",
        )


def _add_envelopes(app: FastAPI) -> None:
    @app.post("/v1/envelopes", status_code=201)
    async def submit(request: Request, rooms: Rooms, office: Office) -> Response:
        """Hand in an edXML message, with its attachments inside or uploaded before."""
        _require_plain(request)

        async def brought(blob: Blob) -> None:
            await rooms.ledger.record_upload(office, blob.sha256, blob.size_bytes, clock.now())

        async def judge(sealed: bytes) -> None:
            await rooms.intake.judge(sealed, submitter=office, via="http")

        try:
            sealed = await receive_whole(
                _patiently(request), rooms.spool, judge, brought, attachment_bytes=rooms.attachment_bytes
            )
        except ClientDisconnect as error:
            raise HTTPException(408) from error
        acceptance = await rooms.intake.accept(sealed, submitter=office, via="http")
        rooms.ring()
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
            "accepted_at": envelope.accepted_at,
            "expires_at": envelope.expires_at,
            "deliveries": [_delivery(row) for row in rows],
        }

    @app.get("/v1/envelopes/{envelope_id}/content")
    async def read_content(envelope_id: EnvelopeId, rooms: Rooms, office: Office) -> Response:
        """Read the sealed envelope, byte for byte."""
        await _visible(rooms, envelope_id, office)
        return Response(await rooms.ledger.sealed(envelope_id), media_type=_XML)

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

    @app.get("/v1/receipts")
    async def compare(
        rooms: Rooms, office: Office, envelope: Annotated[list[EnvelopeIdText], Query(min_length=1, max_length=100)]
    ) -> dict[str, Any]:
        """Say which receipts about some envelopes are on record: so an office finds what was lost on the way."""
        return {"receipts": await rooms.ledger.receipts_known(office, envelope)}


async def _visible(rooms: _Rooms, envelope_id: str, office: str) -> tuple[EnvelopeRow, list[DeliveryRow]]:
    """Return what an office may see of an envelope.

    Raises:
        PermanentError: API.NOT_FOUND; it is not there, or not the office's to see.
    """
    envelope = await rooms.ledger.envelope(envelope_id)
    rows = [] if envelope is None else await rooms.ledger.deliveries_of(envelope_id)
    if envelope is not None and envelope.originator != office:
        rows = [row for row in rows if row.addressee == office and row.state != "refused"]
    if envelope is None or not rows:
        raise PermanentError("API.NOT_FOUND")
    return envelope, rows


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
