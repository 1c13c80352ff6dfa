"""Submission: an envelope comes in, in whatever form, and is kept, or only judged.

A key of idempotence is claimed when the whole body is here and before anything
comes of it. It gives the first answer again and does nothing else: that an
envelope is accepted once rests on its business key, with this key or without.

Spec: docs/protocol/gateway.md 4, 10; IETF draft-ietf-httpapi-idempotency-key-header.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from axis import clock, errors
from axis.edxml import AttachmentRef, Split, Splitter
from axis.errors import Refusal, refuse
from axis.gateway import files, problems, whole
from axis.gateway.multipart import KIND, Parts
from axis.gateway.rooms import AllRooms, Office, Rooms, require_plain
from axis.intake import Foreseen, Rejected
from axis.spool import Blob, Staged

router = APIRouter()

_JSON, _PROBLEM = "application/json", "application/problem+json"
_MOST_KEY = 255
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FORM: dict[str, Any] = {
    "schema": {
        "type": "object",
        "required": ["envelope"],
        "properties": {"envelope": {"type": "string", "format": "binary"}},
        "additionalProperties": {"type": "string", "format": "binary"},
    }
}
BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/xml": _BINARY, KIND: _FORM}}}

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="A name of the sender's for this request, in quotes or not: the first answer comes again.",
    ),
]


class Violation(BaseModel):
    """One thing that is wrong."""

    code: str
    line: int | None
    path: str
    rule: str
    vi: str
    en: str
    who_must_act: str
    next: str


class Verdict(BaseModel):
    """What would become of one addressee."""

    code: str
    verdict: Literal["served", "refused"]
    reason: str
    addressed: str


class File(BaseModel):
    """What is known of one attachment."""

    name: str
    sha256: str
    size_bytes: int
    state: Literal["here", "missing", "different"]


class Validation(BaseModel):
    """What would be answered to an envelope."""

    acceptable: bool
    duplicate: bool
    envelope_id: str | None
    document_id: str | None
    digest: str | None
    violations: list[Violation]
    addressees: list[Verdict]
    attachments: list[File]


async def submit(request: Request, rooms: AllRooms, office: str, key: str | None) -> Response:
    """Take custody of what a request brings, or answer as before."""
    name = _key(key)

    async def brought(blob: Blob) -> None:
        await rooms.ledger.record_upload(office, blob.sha256, blob.size_bytes, clock.now())

    async with _received(request, rooms) as split:

        async def accept() -> Response:
            if split.attachments:  # Nothing is to be kept for an envelope that is refused whatever it brings.
                await rooms.intake.judge(split.sealed, submitter=office, via="http")
                await whole.keep(split, rooms.spool, brought, rooms.attachment_bytes)
            acceptance = await rooms.intake.accept(split.sealed, submitter=office, via="http")
            body = {
                "envelope_id": acceptance.envelope_id,
                "duplicate": acceptance.duplicate,
                "receipt": acceptance.receipt_xml.decode(),
            }
            return JSONResponse(body, status_code=200 if acceptance.duplicate else 201)

        if name is None:
            return await accept()
        return await _once(rooms, office, name, whole.fingerprint(split), accept)


@router.post("/v1/validations", response_model=Validation, openapi_extra=BODY)
async def validate(request: Request, rooms: Rooms, office: Office) -> dict[str, Any]:
    """Judge an envelope exactly as it would be judged, list all that is wrong with it, and keep nothing."""
    compared, wrong = dict[str, bool](), list[errors.Violation]()
    try:
        async with _received(request, rooms) as split:
            with contextlib.suppress(Refusal):  # A manifest that cannot be read: intake says what is wrong with it.
                compared, wrong = await whole.compare(split, rooms.spool, rooms.attachment_bytes)
            foreseen = await rooms.intake.foresee(split.sealed, submitter=office, carried=compared)
    except Refusal as refusal:  # It cannot be read so far.
        foreseen = Foreseen(violations=refusal.violations)
    violations = [*foreseen.violations, *wrong]
    received = None if foreseen.examined is None else foreseen.examined.verified
    return {
        "acceptable": not violations,
        "duplicate": foreseen.duplicate and not wrong,
        "envelope_id": foreseen.envelope_id,
        "document_id": None if received is None else received.received.document_id,
        "digest": None if received is None else received.digest,
        "violations": [found.as_dict() for found in violations],
        "addressees": [one._asdict() for one in foreseen.verdicts],
        "attachments": [_file(ref, foreseen, compared) for ref in foreseen.attachments],
    }


def _file(ref: AttachmentRef, foreseen: Foreseen, compared: Mapping[str, bool]) -> dict[str, Any]:
    state = "missing" if ref in foreseen.missing else "here" if compared.get(ref.sha256, True) else "different"
    return {
        "name": ref.name,
        "sha256": ref.sha256,
        "size_bytes": ref.size_bytes,
        "state": state,
    }


@contextlib.asynccontextmanager
async def _received(request: Request, rooms: AllRooms) -> AsyncIterator[Split]:
    """Read a body: a message with its attachments inside, or the parts of a form."""
    require_plain(request)
    kind = request.headers.get("content-type", "")

    def reader(open_sink: Callable[[], Staged]) -> whole.Reader:
        if kind.partition(";")[0].strip().lower() == KIND:
            return Parts(kind, open_sink, rooms.attachment_bytes)
        return Splitter(open_sink)

    try:
        async with whole.received(files.patiently(request.receive), rooms.spool, reader) as split:
            yield split
    except ClientDisconnect as error:
        raise HTTPException(408) from error


def _key(header: str | None) -> str | None:
    """Read the header: a string of RFC 8941, or the same without quotes.

    Raises:
        Refusal: API.PARAMETER
    """
    if header is None:
        return None
    text = header.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not (0 < len(text) <= _MOST_KEY and text.isascii() and text.isprintable()) or set(text) & set('"\\'):
        raise refuse("API.PARAMETER", "Idempotency-Key")
    return text


async def _once(
    rooms: AllRooms, office: str, key: str, digest: str, work: Callable[[], Awaitable[Response]]
) -> Response:
    """Do the work of a key, unless it was done: then give its answer again.

    What is accepted, or refused with a signed receipt, stands for as long as the key lives; any other end gives the key
    back.

    Raises:
        Refusal: API.KEY_REUSED, API.KEY_BUSY
    """
    known = await rooms.ledger.claim_key(office, key, digest, clock.now())
    if known is not None:
        if known.digest != digest:
            raise refuse("API.KEY_REUSED", key)
        if known.status is None or known.answer is None:
            raise refuse("API.KEY_BUSY", key)
        kind = _JSON if known.status < 400 else _PROBLEM
        return Response(known.answer, known.status, {"Idempotency-Replayed": "true"}, kind)
    try:
        answer = await work()
    except Rejected as rejected:
        answer = await problems.of_axis(None, rejected)
    except BaseException:
        await rooms.ledger.release_key(office, key)
        raise
    await rooms.ledger.settle_key(office, key, answer.status_code, bytes(answer.body), clock.now())
    return answer
