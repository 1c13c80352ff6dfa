"""Tus: resumable uploads as many clients speak them, over the same staging as uploads by digest.

An upload is named by the digest and the size of its file, which the metadata
`sha256` and Upload-Length give: there is nothing to remember about one but the
bytes that came. When the last byte is here the file is compared with the digest
and is in the spool; the office may send it from then on.

Spec: tus resumable upload protocol 1.0.0 with creation, termination, checksum and expiration; docs/protocol/gateway.md 14.
"""

import binascii
import contextlib
import re
from base64 import b64decode
from collections.abc import AsyncIterator
from email.utils import format_datetime
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from axis import clock
from axis.errors import PermanentError, refuse
from axis.gateway import files
from axis.gateway.description import no
from axis.gateway.rooms import AllRooms, Office, Rooms, require_plain
from axis.spool import ABANDONED, Blob

router = APIRouter()

VERSION = "1.0.0"
_PIECE = "application/offset+octet-stream"
_NUMBER = re.compile(r"[0-9]{1,18}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ALWAYS = {"Tus-Resumable": VERSION, "Cache-Control": "no-store"}

Upload = Annotated[
    str, Path(pattern=r"^[0-9a-f]{64}-[0-9]{1,18}$", description="SHA-256 of the file and its size in bytes.")
]


def _header(name: str, what: str, pattern: str, *, required: bool = True) -> dict[str, Any]:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", "required": required, "description": what, "schema": schema}


_RESUMABLE = _header("Tus-Resumable", "Version of the protocol.", r"^1\.0\.0$")
_BODY = {"required": True, "content": {_PIECE: {"schema": {"type": "string", "format": "binary"}}}}


_ALIKE: dict[int | str, dict[str, Any]] = {412: no("The version of the protocol is not spoken here.")}
_BEGUN = _ALIKE | {
    409: no("Another upload of this file is at work."),
    413: no("It is too large."),
    422: no("It is empty, or has come whole, and has another digest."),
}
_TOLD: dict[int | str, dict[str, Any]] = {
    409: no("Another is just bringing its end.", is_shown=False),
    412: no("The version of the protocol is not spoken here.", is_shown=False),
    422: no("It has come whole, and has another digest: it is gone.", is_shown=False),
}
_TAKEN = _ALIKE | {460: no("The piece differs from its checksum.")}


class _Spoilt(Exception):
    """A piece is not what its checksum says, or did not come whole."""


@router.options("/v1/tus", status_code=204, response_class=Response)
async def describe(rooms: Rooms, office: Office) -> Response:
    """Say what of the protocol is spoken here."""
    said = {
        "Tus-Version": VERSION,
        "Tus-Extension": "creation,termination,checksum,expiration",
        "Tus-Checksum-Algorithm": "sha256",
        "Tus-Max-Size": str(rooms.attachment_bytes),
    }
    return Response(status_code=204, headers=_ALWAYS | said)


@router.post(
    "/v1/tus",
    status_code=201,
    response_class=Response,
    responses=_BEGUN,
    openapi_extra={
        "parameters": [
            _RESUMABLE,
            _header("Upload-Length", "Size of the file in bytes.", r"^[0-9]{1,18}$"),
            _header(
                "Upload-Metadata", "Holds `sha256`: the digest in hex, in base64.", r"^.*sha256 [A-Za-z0-9+/=]+.*$"
            ),
        ]
    },
)
async def create(request: Request, rooms: Rooms, office: Office) -> Response:
    """Begin the upload of a file; where it was begun before, it goes on from there."""
    _require_version(request)
    length, digest = _number(request, "Upload-Length"), _digest_of(request)
    if length > rooms.attachment_bytes:
        raise refuse("ATT.SIZE", f"{length} > {rooms.attachment_bytes} bytes")
    if await _come(rooms, office, digest, length) is None:
        await _append(rooms, office, digest, 0, length, _nothing())  # An empty file is complete with that.
    return _answer(201, {"Location": f"/v1/tus/{digest}-{length}", "Upload-Expires": _expires()})


@router.head("/v1/tus/{upload}", response_class=Response, responses=_TOLD, openapi_extra={"parameters": [_RESUMABLE]})
async def ask(upload: Upload, request: Request, rooms: Rooms, office: Office) -> Response:
    """Say how much of a file has come."""
    _require_version(request)
    digest, length = _named(upload)
    come = await _come(rooms, office, digest, length)
    if come is None:
        raise PermanentError("API.NOT_FOUND")
    return _answer(200, {"Upload-Offset": str(come), "Upload-Length": str(length)})


@router.patch(
    "/v1/tus/{upload}",
    status_code=204,
    response_class=Response,
    responses=_TAKEN,
    openapi_extra={
        "parameters": [
            _RESUMABLE,
            _header("Upload-Offset", "Where the bytes belong.", r"^[0-9]{1,18}$"),
            _header(
                "Upload-Checksum", "`sha256` and the digest of the piece in base64.", r"^sha256 .+$", required=False
            ),
        ],
        "requestBody": _BODY,
    },
)
async def append(upload: Upload, request: Request, rooms: Rooms, office: Office) -> Response:
    """Bring the next piece of a file."""
    return await _take_piece(upload, request, rooms, office)


@router.delete(
    "/v1/tus/{upload}",
    status_code=204,
    response_class=Response,
    responses=_ALIKE,
    openapi_extra={"parameters": [_RESUMABLE]},
)
async def terminate(upload: Upload, request: Request, rooms: Rooms, office: Office) -> Response:
    """Give up an upload that is not complete."""
    return await _terminate(upload, request, rooms, office)


@router.post(
    "/v1/tus/{upload}",
    status_code=204,
    response_class=Response,
    responses=_TAKEN,
    openapi_extra={
        "parameters": [_RESUMABLE, _header("X-HTTP-Method-Override", "What is meant.", r"^(PATCH|DELETE)$")],
        "requestBody": _BODY,
    },
)
async def override(upload: Upload, request: Request, rooms: Rooms, office: Office) -> Response:
    """Do what a client means whose environment knows no such method."""
    meant = request.headers.get("x-http-method-override", "")
    does = {"PATCH": _take_piece, "DELETE": _terminate}.get(meant)
    if does is None:
        raise refuse("API.PARAMETER", "X-HTTP-Method-Override")
    return await does(upload, request, rooms, office)


async def _take_piece(upload: str, request: Request, rooms: AllRooms, office: str) -> Response:
    _require_version(request)
    require_plain(request)
    if request.headers.get("content-type", "").partition(";")[0].strip() != _PIECE:
        raise refuse("API.MEDIA_TYPE", _PIECE)
    digest, length = _named(upload)
    offset, checksum = _number(request, "Upload-Offset"), _checksum(request)
    come = await _come(rooms, office, digest, length)
    if come is None:
        raise PermanentError("API.NOT_FOUND")
    if come != offset:
        raise refuse("API.OFFSET", str(come))
    if come == length:
        return _answer(204, {"Upload-Offset": str(length)})  # It is complete, and nothing can follow.
    pieces = _whatever_comes(request) if checksum is None else _compared(request, checksum)
    try:
        come = await _append(rooms, office, digest, offset, length, pieces)
    except _Spoilt as error:
        await rooms.spool.cut_back(office, digest, offset)
        raise refuse("API.CHECKSUM", "sha256") from error
    return _answer(204, {"Upload-Offset": str(come), "Upload-Expires": _expires()})


async def _terminate(upload: str, request: Request, rooms: AllRooms, office: str) -> Response:
    _require_version(request)
    digest, length = _named(upload)
    if not await rooms.spool.give_up(office, digest):
        if await _come(rooms, office, digest, length) is not None:
            raise refuse("MSG.NOT_ALLOWED", "complete", detail_vi="đã tải lên xong")
        raise PermanentError("API.NOT_FOUND")
    return _answer(204, {})


async def _append(
    rooms: AllRooms, office: str, digest: str, offset: int, length: int, pieces: AsyncIterator[bytes]
) -> int:
    """Append to an upload; return how much has come. What is whole is in the spool, and on record as the office's."""
    result = await rooms.spool.append(office, digest, offset=offset, total=length, chunks=pieces)
    if not isinstance(result, Blob):
        return result
    await rooms.ledger.record_upload(office, digest, result.size_bytes, clock.now())
    return result.size_bytes


async def _come(rooms: AllRooms, office: str, digest: str, length: int) -> int | None:
    """Return how much of a file has come from an office; None if no upload of it was begun.

    An upload of which all has come, and which could not get its place then, gets it now: a client that is told that the
    last byte is here sends nothing more.

    Raises:
        Refusal: API.OFFSET, somebody else is just doing that; ATT.DIGEST
        TransientError: SYS.LEDGER, SYS.SPOOL
    """
    there = await rooms.spool.exists(digest)
    if there == length and await rooms.ledger.may_read(office, digest):
        return there
    if length > rooms.attachment_bytes:  # The length is a part of the name: whoever asks may put any there.
        return None
    come = await rooms.spool.unfinished(office, digest)
    return come if come != length else await _append(rooms, office, digest, come, length, _nothing())


async def _nothing() -> AsyncIterator[bytes]:
    for piece in tuple[bytes, ...]():
        yield piece


async def _whatever_comes(request: Request) -> AsyncIterator[bytes]:
    """Yield the body; a caller that goes away or falls silent ends it, and what came is kept."""
    with contextlib.suppress(ClientDisconnect, HTTPException):
        async for chunk in files.patiently(request.receive):
            yield chunk


async def _compared(request: Request, checksum: bytes) -> AsyncIterator[bytes]:
    """Yield the body, and compare it with its checksum at the end; one that is cut cannot be compared.

    Raises:
        _Spoilt: It is another.
    """
    found = sha256()
    try:
        async for chunk in files.patiently(request.receive):
            found.update(chunk)
            yield chunk
    except (ClientDisconnect, HTTPException) as error:
        raise _Spoilt from error
    if found.digest() != checksum:
        raise _Spoilt


# --- headers --------------------------------------------------------------------------------------


def _answer(status: int, headers: dict[str, str]) -> Response:
    return Response(status_code=status, headers=_ALWAYS | headers)


def _require_version(request: Request) -> None:
    if request.headers.get("tus-resumable") != VERSION:
        raise refuse("API.VERSION", f"Tus-Resumable: {VERSION}")


def _number(request: Request, header: str) -> int:
    text = request.headers.get(header.lower(), "")
    if _NUMBER.fullmatch(text) is None:
        raise refuse("API.PARAMETER", f"{header}: a number from 0")
    return int(text)


def _named(upload: str) -> tuple[str, int]:
    digest, _, length = upload.partition("-")
    return digest, int(length)


def _digest_of(request: Request) -> str:
    """Return the digest that Upload-Metadata gives."""
    for pair in request.headers.get("upload-metadata", "").split(","):
        name, _, value = pair.strip().partition(" ")
        if name == "sha256":
            found = _unbased(value).decode("ascii", "replace").lower()
            if _DIGEST.fullmatch(found):
                return found
    raise refuse("API.PARAMETER", "Upload-Metadata: sha256")


def _checksum(request: Request) -> bytes | None:
    header = request.headers.get("upload-checksum")
    if header is None:
        return None
    algorithm, _, value = header.partition(" ")
    if algorithm != "sha256":
        raise refuse("API.PARAMETER", "Upload-Checksum: sha256")
    return _unbased(value)


def _unbased(text: str) -> bytes:
    try:
        return b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise refuse("API.PARAMETER", "base64") from error


def _expires() -> str:
    return format_datetime(clock.now() + ABANDONED, usegmt=True)
