"""Submission: an envelope comes in, in whatever form, and is kept, or only judged.

A key of idempotence is claimed when the whole body is here and before anything
comes of it. It gives the first answer again and does nothing else: that an
envelope is accepted once rests on its business key, with this key or without.

Spec: docs/protocol/gateway.md 4, 10; IETF draft-ietf-httpapi-idempotency-key-header.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from axis import clock, errors
from axis.edxml import AttachmentRef, Splitter
from axis.errors import Refusal, refuse
from axis.gateway import bodies, files, problems, whole
from axis.gateway.legacy import Legacy
from axis.gateway.multipart import KIND, Parts
from axis.gateway.rooms import AllRooms, Office, Rooms, require_plain
from axis.intake import Acceptance, Foreseen, Rejected
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
    violations: list[bodies.Violation]
    addressees: list[Verdict]
    attachments: list[File]


async def submit(request: Request, rooms: AllRooms, office: str, key: str | None) -> Response:
    """Take custody of what a request brings, or answer as before."""
    name = _key(key)
    async with _received(request, rooms, office) as brought:

        async def accept() -> Response:
            acceptance = await brought.accept()
            body = {
                "envelope_id": acceptance.envelope_id,
                "duplicate": acceptance.duplicate,
                "receipt": acceptance.receipt_xml.decode(),
            }
            return JSONResponse(body, status_code=200 if acceptance.duplicate else 201)

        if name is None:
            return await accept()
        return await _once(rooms, office, name, brought.digest, accept)


@router.post("/v1/validations", response_model=Validation, openapi_extra=BODY)
async def validate(request: Request, rooms: Rooms, office: Office) -> dict[str, Any]:
    """Judge a message exactly as it would be judged, list all that is wrong with it, and keep nothing."""
    try:
        async with _received(request, rooms, office) as brought:
            outlook = await brought.foresee()
    except Refusal as refusal:  # It cannot be read so far.
        outlook = whole.Outlook(Foreseen(violations=refusal.violations))
    foreseen = outlook.foreseen
    violations = [*foreseen.violations, *outlook.wrong]
    received = None if foreseen.examined is None else foreseen.examined.verified
    return {
        "acceptable": not violations,
        "duplicate": foreseen.duplicate and not outlook.wrong,
        "envelope_id": foreseen.envelope_id,
        "document_id": None if received is None else received.received.document_id,
        "digest": None if received is None else received.digest,
        "violations": [found.as_dict() for found in violations],
        "addressees": [one._asdict() for one in foreseen.verdicts],
        "attachments": [_file(ref, outlook) for ref in foreseen.attachments],
    }


def _file(ref: AttachmentRef, outlook: whole.Outlook) -> dict[str, Any]:
    state = "missing" if ref in outlook.foreseen.missing else "different" if ref.sha256 in outlook.different else "here"
    return {
        "name": ref.name,
        "sha256": ref.sha256,
        "size_bytes": ref.size_bytes,
        "state": state,
    }


@contextlib.asynccontextmanager
async def _received(request: Request, rooms: AllRooms, office: str) -> AsyncIterator[whole.Brought]:
    """Read a body: a message with its attachments inside, in the profile or the office's dialect, or the parts of a form.

    Raises:
        Refusal: ENV.*, ATT.*, API.PARAMETER
        TransientError: SYS.SPOOL
        HTTPException: 408
    """
    require_plain(request)
    kind = request.headers.get("content-type", "")
    chunks = files.patiently(request.receive)

    def parts(open_sink: Callable[[], Staged]) -> Parts:
        return Parts(kind, open_sink, rooms.attachment_bytes)

    is_form = kind.partition(";")[0].strip().lower() == KIND
    reading = _ordinary(rooms, office, chunks, parts) if is_form else message(rooms, office, chunks, kind)
    try:
        async with reading as brought:
            yield brought
    except ClientDisconnect as error:
        raise HTTPException(408) from error


def message(
    rooms: AllRooms, office: str, chunks: AsyncIterator[bytes], kind: str = ""
) -> contextlib.AbstractAsyncContextManager[whole.Brought]:
    """Read a message with its attachments inside: in the profile, or in the dialect that the roll states for the office.

    Args:
        rooms: All of them.
        office: Who hands it in.
        chunks: The message as it arrives.
        kind: What HTTP says of it.

    Raises:
        Refusal: ENV.*, ATT.*
        TransientError: SYS.SPOOL
    """
    known = rooms.roll()[0].find(office)
    policy = None if known is None else known.policy
    if policy is None:
        return _ordinary(rooms, office, chunks, Splitter)
    return Legacy(
        office=office,
        policy=policy,
        intake=rooms.intake,
        spool=rooms.spool,
        brought=_recording(rooms, office),
        ordinary=lambda chunks: _ordinary(rooms, office, chunks, Splitter),
        attachment_bytes=rooms.attachment_bytes,
        content_type=kind,
    ).received(chunks)


@contextlib.asynccontextmanager
async def _ordinary(
    rooms: AllRooms, office: str, chunks: AsyncIterator[bytes], reader: Callable[[Callable[[], Staged]], whole.Reader]
) -> AsyncIterator[whole.Brought]:
    """Read a message of the profile; of one that cannot be taken in, what can be said of it."""
    by_name = reader is not Splitter
    async with contextlib.AsyncExitStack() as stack:
        try:
            split = await stack.enter_async_context(whole.received(chunks, rooms.spool, reader))
        except whole.Unfit as unfit:
            yield _unfit(rooms, office, unfit)
            return

        async def accept() -> Acceptance:
            if split.attachments:  # Nothing is to be kept for an envelope that is refused whatever it brings.
                known = await rooms.intake.judge(split.sealed, submitter=office, via="http")
                if known is not None:
                    return known
                try:
                    await whole.keep(
                        split, rooms.spool, _recording(rooms, office), rooms.attachment_bytes, by_name=by_name
                    )
                except Refusal as refusal:
                    return await rooms.intake.refuse(split.sealed, refusal, submitter=office, via="http")
            return await rooms.intake.accept(split.sealed, submitter=office, via="http")

        async def foresee() -> whole.Outlook:
            carried, wrong = dict[str, bytes | None](), list[errors.Violation]()
            with contextlib.suppress(Refusal):  # A manifest that cannot be read: intake says what is wrong with it.
                carried, wrong = await whole.compare(split, rooms.spool, rooms.attachment_bytes, by_name=by_name)
            foreseen = await rooms.intake.foresee(split.sealed, submitter=office, carried=carried)
            if wrong:  # As `accept`: what was accepted once is, whatever came with it this time.
                known = await rooms.intake.foresee_refusal(split.sealed, Refusal(wrong), submitter=office)
                wrong = [] if known.duplicate else wrong
            different = frozenset(digest for digest, file in carried.items() if file is None)
            return whole.Outlook(foreseen, tuple(wrong), different)

        yield whole.Brought(whole.fingerprint(split), accept, foresee)


def _unfit(rooms: AllRooms, office: str, unfit: whole.Unfit) -> whole.Brought:
    digest = sha256(unfit.octets).hexdigest()

    async def accept() -> Acceptance:
        return await rooms.intake.refuse(unfit.octets, unfit.refusal, submitter=office, via="http")

    async def foresee() -> whole.Outlook:
        return whole.Outlook(await rooms.intake.foresee_refusal(unfit.octets, unfit.refusal, submitter=office))

    return whole.Brought(digest, accept, foresee)


def _recording(rooms: AllRooms, office: str) -> Callable[[Blob], Awaitable[None]]:
    async def brought(blob: Blob) -> None:
        await rooms.ledger.record_upload(office, blob.sha256, blob.size_bytes, clock.now())

    return brought


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
