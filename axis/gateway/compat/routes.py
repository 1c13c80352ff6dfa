"""Routes: the calls, one after the other, over the same rooms as all others.

A list shows what waits, whatever was fetched before, until its office says what
became of it: `fromDate` hides nothing of that. A no is answered in their words,
with the whole of ours beside it.

Spec: docs/protocol/compat.md; docs/adr/0026.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import date, timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from axis import clock
from axis.dispatch.states import TERMINAL, State
from axis.edxml import Kind
from axis.edxml.dialects import RELATED
from axis.edxml.values import begin_of, format_timestamp, local_date
from axis.errors import PermanentError, refuse
from axis.gateway import asked, files, outgoing, problems, submission
from axis.gateway.compat import bodies, words
from axis.gateway.compat.caller import Caller
from axis.gateway.compat.form import FILE, Form
from axis.gateway.multipart import KIND
from axis.gateway.rooms import AllRooms, EnvelopeIdText, Rooms, given, require_plain, says_verified, visible
from axis.ledger import DeliveryRow, EnvelopeRow, InboxItem
from axis.registry import AXIS_TIER, Office, Standing, Unsigned

PREFIX = "/compat/v1"
_PAGE, _MOST = 500, 5000  # Of a list.
_USUAL = timedelta(days=7)  # What a list of what was sent goes back, if it is not said.
_XML = "application/xml"
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FORM: dict[str, Any] = {
    "schema": {
        "type": "object",
        "required": [FILE],
        "properties": {FILE: {"type": "string", "format": "binary"}, "messageType": {"enum": ["edoc", "status"]}},
    }
}
_NOT_THERE: dict[int | str, dict[str, Any]] = {404: {"description": "It is not there, or it is not this office's."}}
_KINDS = {"edoc": Kind.DOCUMENT, "status": Kind.STATUS}
_TYPES = {kind.value: word for word, kind in _KINDS.items()}


class _Route(APIRoute):
    """Answers each no in their words."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await answer(request)
            except Exception as error:
                return _no(await problems.of_any(request, error))

        return answered


router = APIRouter(prefix=PREFIX, route_class=_Route)

_DAY = r"^[12][0-9]{3}[/-][0-9]{2}[/-][0-9]{2}$"
_TYPE = r"^([eE][dD][oO][cC]|[sS][tT][aA][tT][uU][sS])$"
MessageType = Annotated[
    str, Query(alias="messageType", pattern=_TYPE, description="edoc or status; `messagetype` is read as well.")
]
_AsOtherClientsWrite = Annotated[str | None, Query(alias="messagetype", pattern=_TYPE, include_in_schema=False)]
FromDate = Annotated[str | None, Query(alias="fromDate", pattern=_DAY, description="yyyy/MM/dd, local.")]
ToDate = Annotated[str | None, Query(alias="toDate", pattern=_DAY, description="yyyy/MM/dd, local; of that day too.")]
DocId = Annotated[EnvelopeIdText, Query(alias="docId", description="What sendEdoc answered, or a list shows.")]


@router.post(
    "/sendEdoc",
    response_model=bodies.Sent,
    openapi_extra={"requestBody": {"required": True, "content": {KIND: _FORM}}},
)
async def send_edoc(request: Request, rooms: Rooms, office: Caller) -> JSONResponse:
    """Hand in one edXML file, its attachments inside; the same again gets the first answer again."""
    require_plain(request)
    form = Form(request.headers.get("content-type", ""))
    chunks = form.file(files.patiently(request.receive))
    try:
        async with submission.message(rooms, office, chunks) as brought:
            _require_type(form)
            acceptance = await brought.accept()
    except ClientDisconnect as error:
        raise HTTPException(408) from error
    said = bodies.Sent(
        doc_id=acceptance.envelope_id,
        data=_done(acceptance.envelope_id, "success"),
        duplicate=acceptance.duplicate,
        receipt=acceptance.receipt_xml.decode(),
    )
    return JSONResponse(said.model_dump(by_alias=True))


def _require_type(form: Form) -> None:
    """Refuse a messageType that is none; which of the two a message is it says itself."""
    written = bytes(form.fields.get("messageType", b"edoc")).decode("utf-8", "replace")
    if written.lower() not in _KINDS:
        raise PermanentError("API.PARAMETER", f"messageType: {written}")


@router.get("/getReceivedEdocList", response_model=bodies.ReceivedList)
@router.get("/syncReceivedEdocList", response_model=bodies.ReceivedList)
async def list_received(
    rooms: Rooms,
    office: Caller,
    message_type: MessageType = "edoc",
    messagetype: _AsOtherClientsWrite = None,
    from_date: FromDate = None,
    to_date: ToDate = None,
) -> dict[str, Any]:
    """List all that waits for the office and that it has not confirmed, however long ago it came."""
    if from_date is not None:
        _day(from_date)  # It must be one, and hides nothing: what came late would be lost.
    until = None if to_date is None else begin_of(_day(to_date) + timedelta(days=1))
    found = await _waiting(rooms, office, _KINDS[(messagetype or message_type).lower()])
    shown = [one for one in found[:_MOST] if until is None or one.accepted_at < until]
    return {"count": len(shown), "data": [_received(one, office) for one in shown], "more": len(found) > _MOST}


async def _waiting(rooms: AllRooms, office: str, kind: Kind) -> list[InboxItem]:
    """Return all that waits for an office; at most a page more than is listed."""
    found: list[InboxItem] = []
    while True:
        after = found[-1].number if found else 0
        page = await rooms.ledger.inbox(office, after, clock.now(), _PAGE, kind.value)
        found += page
        if len(page) < _PAGE or len(found) > _MOST:
            return found


def _received(one: InboxItem, office: str) -> bodies.Received:
    state = words.STATES[State(one.state)]
    return bodies.Received(
        message_type=_TYPES[one.kind],
        doc_id=one.envelope_id,
        from_=one.originator,
        to=office,
        status=state,
        status_desc=words.STATE_WORDS[state],
        created_time=format_timestamp(one.accepted_at),
        updated_time=format_timestamp(one.accepted_at),
        document_id=one.document_id,
        code=one.code,
        subject=one.subject,
    )


@router.get("/countReceiveEdoc", response_model=bodies.Count)
async def count_documents(rooms: Rooms, office: Caller) -> dict[str, int]:
    """Say how many documents wait for the office."""
    return {"count": await rooms.ledger.waiting(office, Kind.DOCUMENT.value)}


@router.get("/countReceiveStatus", response_model=bodies.Count)
async def count_statuses(rooms: Rooms, office: Caller) -> dict[str, int]:
    """Say how many status messages wait for the office."""
    return {"count": await rooms.ledger.waiting(office, Kind.STATUS.value)}


@router.get("/getSentEdocList", response_model=bodies.SentList, responses=_NOT_THERE)
async def list_sent(
    rooms: Rooms,
    office: Caller,
    doc_id: Annotated[
        EnvelopeIdText | None, Query(alias="docId", description="Only this one; the dates say nothing then.")
    ] = None,
    message_type: MessageType = "edoc",
    messagetype: _AsOtherClientsWrite = None,
    from_date: FromDate = None,
    to_date: ToDate = None,
) -> dict[str, Any]:
    """List what the office sent, a row for each addressee: of some days, of the last seven, or one message."""
    if doc_id is not None:
        envelope, rows = await visible(rooms, doc_id, office)
        if envelope.originator != office:
            raise PermanentError("API.NOT_FOUND")
    else:
        last = local_date(clock.now()) if to_date is None else _day(to_date)
        first = last - _USUAL if from_date is None else _day(from_date)
        span = begin_of(first), begin_of(last + timedelta(days=1))
        kind = _KINDS[(messagetype or message_type).lower()]
        rows = await rooms.ledger.sent_by(office, kind.value, *span, _MOST + 1)
    return {
        "count": len(rows[:_MOST]),
        "data": [_sent(row) for row in rows[:_MOST]],
        "more": len(rows) > _MOST,
    }


def _sent(row: DeliveryRow) -> bodies.SentTo:
    state = State(row.state)
    word = words.STATES[state]
    return bodies.SentTo(
        message_type=_TYPES[row.kind],
        doc_id=row.envelope_id,
        from_=row.originator,
        to=row.addressee,
        document_id=row.document_id,
        send_status_desc=words.STATE_WORDS["done"],
        receive_status=word,
        receive_status_desc=row.reason or words.STATE_WORDS[word],
        sent_time=format_timestamp(row.accepted_at),
        received_time=format_timestamp(row.updated_at) if state in TERMINAL else None,
        business=row.business,
    )


@router.get(
    "/getEdoc",
    response_model=bodies.GivenEdoc,
    responses=_NOT_THERE
    | {
        200: {
            "content": {_XML: _BINARY, RELATED: _BINARY},
            "description": "The file; or JSON, where that is what the caller accepts.",
            "headers": {"Axis-Verified": {"required": True, "schema": {"type": "string", "enum": ["yes", "no"]}}},
        }
    },
)
async def get_edoc(request: Request, rooms: Rooms, office: Caller, doc_id: DocId) -> Response:
    """Read a message as one file, in the dialect of the office, its attachments inside. It stays in the list."""
    envelope, _ = await visible(rooms, doc_id, office)
    rendering = await outgoing.in_dialect(rooms, envelope, outgoing.own_dialect(rooms, office))
    headers = says_verified(envelope)
    chunks = outgoing.whole(rendering, rooms.spool)
    if "application/json" in request.headers.get("accept", ""):
        return outgoing.Stream(_in_json(_edoc(rooms, envelope), chunks), media_type="application/json", headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="{doc_id}.edxml"'
    return outgoing.Stream(chunks, media_type=rendering.media_type, headers=headers)


def _edoc(rooms: AllRooms, envelope: EnvelopeRow) -> bodies.GivenEdoc:
    originator = rooms.roll()[0].find(envelope.originator)
    return bodies.GivenEdoc(
        data=bodies.Edoc(
            doc_id=envelope.envelope_id,
            from_=envelope.originator,
            from_name="" if originator is None else originator.name,
            edoc_code=envelope.code,
            edoc_abstract=envelope.subject,
            verified=envelope.verified,
            edxml="",
        )
    )


async def _in_json(said: bodies.GivenEdoc, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield an answer with a file in base64 as the last member of its data, which is written empty."""
    written = orjson.dumps(said.model_dump(by_alias=True))
    end = b'"}}'
    yield written.removesuffix(end)
    left = b""
    async for chunk in chunks:
        left += chunk
        whole = len(left) // 3 * 3  # Of three bytes each, so that nothing is padded before the end.
        yield b64encode(left[:whole])
        left = left[whole:]
    yield b64encode(left) + end


@router.post(
    "/updateStatus",
    response_model=bodies.Done,
    openapi_extra=asked.taking(bodies.Update),
    responses=_NOT_THERE,
)
async def update_status(request: Request, rooms: Rooms, office: Caller) -> JSONResponse:
    """Say what became of a message: done takes it off the list, fail refuses it; said again, it changes nothing."""
    update = await asked.read(request, bodies.Update)
    row = await given(rooms, update.doc_id, office)
    said = words.STATUSES[update.status]
    if said is not None:
        _require_unsigned(rooms, row)
        row = await rooms.answers.notarise(
            row, clock.now(), level=said.level, status_code=said.status_code, reason=update.reason
        )
    done = bodies.Done(doc_id=row.envelope_id, data=_done(row.envelope_id, words.STATES[State(row.state)]))
    return JSONResponse(done.model_dump(by_alias=True))


def _require_unsigned(rooms: AllRooms, row: DeliveryRow) -> None:
    """Refuse the bare word of an office that signs: nobody could tell it from another's later."""
    office = rooms.roll()[0].find(row.addressee)
    if office is None or office.unsigned is not Unsigned.ACCEPT:
        raise refuse("RCT.UNSIGNED", f"/v1/inbox/{row.envelope_id}/confirmation")


@router.get("/getAgenciesList", response_model=bodies.Agencies)
async def list_agencies(rooms: Rooms, _office: Caller) -> dict[str, Any]:
    """List the offices to which one can send today."""
    return _agencies(rooms, lambda _: True)


@router.get("/getAgenciesListQD20", response_model=bodies.Agencies)
async def list_agencies_of_level(
    rooms: Rooms,
    _office: Caller,
    level: Annotated[
        int,
        Query(
            ge=1, le=9, description="How many parts the code has: 2 for an office under a province (Decision 20/2020)."
        ),
    ],
) -> dict[str, Any]:
    """List those of them whose code has so many parts."""
    return _agencies(rooms, lambda office: office.code.count(".") + 1 == level)


def _agencies(rooms: AllRooms, fits: Callable[[Office], bool]) -> dict[str, Any]:
    today = local_date(clock.now())
    found = [
        office
        for office in rooms.roll()[0].offices()
        if office.tier != AXIS_TIER and office.standing_on(today) is Standing.ACTIVE and fits(office)
    ]
    return {"count": len(found), "data": [_agency(office) for office in found]}


def _agency(office: Office) -> bodies.Agency:
    return bodies.Agency(
        code=office.code,
        name=office.name,
        pcode=office.parent,
        code102=office.code102,
        old_code=list(office.aliases),
        org_code=office.code,
        org_name=office.name,
        parent_code=office.parent,
    )


def _done(doc_id: str, status: str) -> bodies.Outcome:
    return bodies.Outcome(doc_id=doc_id, status=status, error_code=str(words.OK), error_desc=words.NUMBERS[words.OK][0])


def _no(answer: JSONResponse) -> JSONResponse:
    """Say a no in their words, with ours beside it."""
    problem = orjson.loads(bytes(answer.body))
    first = problem["violations"][0]
    number = words.number_of(problem["code"], first["rule"])
    said = bodies.Refused(
        message=problem["detail"] if number is None else words.NUMBERS[number][0],
        data=bodies.Outcome(
            doc_id=None,
            status="error",
            error_code=None if number is None else str(number),
            error_desc=f"{problem['code']}: {problem['detail']}",
        ),
        problem=problem,
    )
    headers = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
    return JSONResponse(said.model_dump(mode="json", by_alias=True), status_code=answer.status_code, headers=headers)


def _day(written: str) -> date:
    """Raises: Refusal: API.PARAMETER"""
    try:
        return date.fromisoformat(written.replace("/", "-"))
    except ValueError as error:
        raise refuse("API.PARAMETER", written) from error
