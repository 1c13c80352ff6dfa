"""Files: attachments up and down, by digest, in front of the framework.

Every document goes this way twice, and a framework that reads parameters by
their types takes longer than the disk. So these two paths are plain ASGI: who
calls, what is asked, the bytes. All else goes on to the application behind, and
`PATHS` is what its OpenAPI says of these.

Spec: docs/protocol/gateway.md 2, 3; RFC 9110 (ranges), RFC 9457 (problems).
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from axis import clock
from axis.errors import AxisError, PermanentError, Refusal, refuse
from axis.gateway import problems
from axis.gateway.description import no
from axis.gateway.desk import Desk
from axis.gateway.ranges import parse_range
from axis.ledger import Ledger
from axis.spool import Blob, Spool
from axis.telemetry import metrics

UPLOADS, ATTACHMENTS = "/v1/uploads/{digest}", "/v1/attachments/{digest}"
METHODS = {UPLOADS: ("HEAD", "PATCH", "PUT"), ATTACHMENTS: ("GET", "HEAD")}
SILENCE_S = 60.0  # Of a thin line; then the place is somebody else's, and what came is kept.

_PLACE = re.compile(r"/v1/(uploads|attachments)/([^/]*)")
_ROUTES = {"uploads": UPLOADS, "attachments": ATTACHMENTS}
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SMALL_BYTES = 256 * 1024  # A file that is taken in at one go.

_Headers = Mapping[str, str]


class _Wrong(Exception):
    """A parameter has not the form that it must have."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One request."""

    method: str
    digest: str
    headers: _Headers
    office: str
    receive: Receive
    send: Send

    def number(self, header: str) -> int:
        """Return a header that must be a number.

        Raises:
            _Wrong: It is none.
        """
        text = self.headers.get(header, "")
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise _Wrong(f"{header}: a number from 0")
        return int(text)

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Send a whole answer."""
        await self.send({"type": "http.response.start", "status": status, "headers": _raw(headers)})
        await self.send({"type": "http.response.body", "body": body})


class Files:
    """Serves the two paths of files, and hands on everything else."""

    def __init__(self, app: ASGIApp, *, desk: Desk, ledger: Ledger, spool: Spool, most_bytes: int) -> None:
        self._app = app
        self._desk = desk
        self._ledger = ledger
        self._spool = spool
        self._most_bytes = most_bytes
        self._serving: Mapping[str, Callable[[_Call], Awaitable[None]]] = {
            UPLOADS: self._upload,
            ATTACHMENTS: self._attachment,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        found = _PLACE.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        route, begun = _ROUTES[found[1]], False

        async def counting(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                metrics.HTTP_REQUESTS.labels(route, f"{message['status'] // 100}xx").inc()
            await send(message)

        try:
            await self._serve(route, found[2], scope, receive, counting)
        except Exception as error:
            if begun:
                raise  # Half an answer cannot be taken back: the server cuts the line.
            await (await _no(error))(scope, receive, counting)

    async def _serve(self, route: str, digest: str, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in METHODS[route]:
            raise HTTPException(405, headers={"Allow": ", ".join(METHODS[route])})
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        office = self._desk.caller(scope)
        if _DIGEST.fullmatch(digest) is None:
            raise _Wrong("digest: SHA-256 in lower-case hex")
        with self._desk.place(office):
            await self._serving[route](_Call(scope["method"], digest, headers, office, receive, send))

    # --- up --------------------------------------------------------------------------------

    async def _upload(self, call: _Call) -> None:
        if call.method == "HEAD":
            come = await self._spool.unfinished(call.office, call.digest)
            if come is None:
                come = await self._own_size(call) or 0
            await call.answer(200, {"Upload-Offset": str(come)})
            return
        is_piece = call.method == "PATCH"
        offset = call.number("upload-offset") if is_piece else None
        length = call.number("upload-length" if is_piece else "content-length")
        if call.headers.get("content-encoding", "identity") != "identity":
            raise refuse("ENV.ENCODING", "Content-Encoding")  # Its size could not be known before it is unpacked.
        if length > self._most_bytes:
            raise refuse("ATT.SIZE", f"{length} > {self._most_bytes} bytes")
        if await self._own_size(call) == length:  # One of another size was damaged: what comes takes its place.
            await call.answer(201, {"Upload-Offset": str(length)})
            return
        result = await (self._piece(call, offset, length) if offset is not None else self._whole(call, length))
        if isinstance(result, Blob):
            await self._ledger.record_upload(call.office, call.digest, result.size_bytes, clock.now())
            await call.answer(201, {"Upload-Offset": str(result.size_bytes)})
        else:
            await call.answer(204, {"Upload-Offset": str(result)})

    async def _whole(self, call: _Call, length: int) -> Blob | int:
        """Take a file that comes at once; what a cut line brought of it is kept."""
        if length > _SMALL_BYTES:
            return await self._spool.append(
                call.office, call.digest, offset=None, total=length, chunks=_whatever_comes(call)
            )
        content = b"".join([chunk async for chunk in _whatever_comes(call)])
        if len(content) == length:
            return await self._spool.put(call.digest, content)
        return await self._spool.append(call.office, call.digest, offset=None, total=length, chunks=_one(content))

    async def _piece(self, call: _Call, offset: int, length: int) -> Blob | int:
        return await self._spool.append(
            call.office, call.digest, offset=offset, total=length, chunks=_whatever_comes(call)
        )

    async def _own_size(self, call: _Call) -> int | None:
        """Return the size of a file that is in the spool and this office's to read; None says nothing about others' files."""
        there = await self._spool.exists(call.digest)  # Asked first: it costs nothing, and mostly the file is new.
        return there if there is not None and await self._ledger.may_read(call.office, call.digest) else None

    # --- down ------------------------------------------------------------------------------

    async def _attachment(self, call: _Call) -> None:
        # In this order: how long a no takes must not tell whether somebody else has the file.
        may_read = await self._ledger.may_read(call.office, call.digest)
        size = await self._spool.exists(call.digest) if may_read else None
        if size is None:
            raise PermanentError("API.NOT_FOUND")
        wanted = call.headers.get("range") if call.method == "GET" else None  # RFC 9110 §14.2: for GET alone.
        try:
            start, end = parse_range(wanted, size)
        except Refusal as refusal:
            raise _OutOfRange(refusal, size) from refusal
        is_partial = wanted is not None and (start, end) != (0, size)
        headers = {
            "ETag": f'"{call.digest}"',
            "Accept-Ranges": "bytes",
            "Content-Length": str(end - start),
            "Content-Type": "application/octet-stream",
            # Whatever the file is, a browser must not open it as part of this site.
            "Content-Disposition": f'attachment; filename="{call.digest}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, immutable",
        }
        if is_partial:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        status = 206 if is_partial else 200
        if call.method == "HEAD":
            await call.answer(status, headers)
            return
        chunks = self._spool.stream(call.digest, start, end, size=size)
        first = await anext(chunks, b"")  # Before the head is sent: a spool that fails now can still be told.
        await call.send({"type": "http.response.start", "status": status, "headers": _raw(headers)})
        if len(first) == end - start:
            await call.send({"type": "http.response.body", "body": first})
        else:
            await _send_all(call, first, chunks)


class _OutOfRange(Exception):
    """The file has no such bytes."""

    def __init__(self, refusal: Refusal, size: int) -> None:
        self.refusal = refusal
        self.size = size
        super().__init__(refusal.code)


async def _no(error: Exception) -> ASGIApp:
    """Return the problem document that an error is."""
    match error:
        case _Wrong():
            return problems.problem("API.PARAMETER", detail=str(error))
        case _OutOfRange(refusal=refusal, size=size):
            return problems.out_of_range(refusal, size)
        case HTTPException():
            return await problems.of_http(None, error)
        case AxisError():
            return await problems.of_axis(None, error)
    return await problems.of_the_unforeseen(None, error)


async def _send_all(call: _Call, first: bytes, chunks: AsyncIterator[bytes]) -> None:
    """Send a body in chunks, until its end or until nobody reads it any more."""
    gone = asyncio.ensure_future(_gone(call.receive))
    try:
        await call.send({"type": "http.response.body", "body": first, "more_body": True})
        async for chunk in chunks:
            if gone.done():
                return
            await call.send({"type": "http.response.body", "body": chunk, "more_body": True})
        await call.send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _whatever_comes(call: _Call) -> AsyncIterator[bytes]:
    """Yield the body; a caller that goes away or falls silent ends it, and what came is kept."""
    with contextlib.suppress(ClientDisconnect, HTTPException):
        async for chunk in patiently(call.receive):
            yield chunk


async def patiently(receive: Receive) -> AsyncIterator[bytes]:
    """Yield a body as it comes; a caller who says nothing for a while gives up its place.

    Raises:
        HTTPException: 408
        ClientDisconnect: It went away.
    """
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                message = await receive()
        except TimeoutError as error:
            raise HTTPException(408, headers={"Connection": "close"}) from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return


async def small(receive: Receive, most_bytes: int) -> bytes:
    """Return a body that is held whole.

    Raises:
        Refusal: ENV.TOO_LARGE
        HTTPException: 408
    """
    body = bytearray()
    try:
        async for chunk in patiently(receive):
            body += chunk
            if len(body) > most_bytes:
                raise refuse("ENV.TOO_LARGE", f"> {most_bytes} bytes")
    except ClientDisconnect as error:
        raise HTTPException(408) from error
    return bytes(body)


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


# --- what OpenAPI says of it ------------------------------------------------------------------


def _header(name: str, what: str, *, required: bool = True) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 0}
    return {"name": name, "in": "header", "required": required, "description": what, "schema": schema}


_NAME: dict[str, Any] = {
    "name": "digest",
    "in": "path",
    "required": True,
    "description": "SHA-256 of the file, lower-case hex.",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
}
_BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
_OFFSET = {
    "required": True,
    "description": "How much of the file is there.",
    "schema": {"type": "integer", "minimum": 0},
}
_RANGE = {"name": "Range", "in": "header", "required": False, "schema": {"type": "string"}}
_TEXT = {"required": True, "schema": {"type": "string"}}
_SAVED = {"ETag": _TEXT, "Accept-Ranges": _TEXT, "Content-Disposition": _TEXT, "X-Content-Type-Options": _TEXT}


def _come(what: str) -> dict[str, Any]:
    return {"description": what, "headers": {"Upload-Offset": _OFFSET}}


def _operation(
    what: str, answers: Mapping[str, Mapping[str, Any]], *more: dict[str, Any], body: bool = False
) -> dict[str, Any]:
    said: dict[str, Any] = {"summary": what, "parameters": [_NAME, *more], "responses": dict(answers)}
    return said | ({"requestBody": _BYTES | {"required": True}} if body else {})


PATHS: dict[str, dict[str, Any]] = {
    UPLOADS: {
        "head": _operation("How much of a file has arrived from this office.", {"200": _come("So much.")}),
        "patch": _operation(
            "Append to a file from an offset.",
            {"201": _come("It is complete and has the digest."), "204": _come("So much has come.")},
            _header("Upload-Offset", "Where the bytes belong."),
            _header("Upload-Length", "Size of the whole file."),
            body=True,
        ),
        "put": _operation(
            "Bring a whole file at once.",
            {"201": _come("It has the digest."), "204": _come("The line was cut there.")},
            body=True,
        ),
    },
    ATTACHMENTS: {
        method: _operation(
            "Read a file that the office brought, sent or was sent; whole or a range of it.",
            {
                "200": {"description": "The file.", "headers": _SAVED} | (_BYTES if method == "get" else {}),
            }
            | (
                {
                    "206": {"description": "The range.", "headers": _SAVED | {"Content-Range": _TEXT}} | _BYTES,
                    "416": no("The file has no such bytes.", {"Content-Range": _TEXT}),
                }
                if method == "get"
                else {}
            ),
            *((_RANGE,) if method == "get" else ()),  # RFC 9110 §14.2: for GET alone.
        )
        for method in ("get", "head")
    },
}
