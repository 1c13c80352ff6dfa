"""Interface: what the document system calls.

    POST /documents                            a letter with files (multipart), or a whole edXML message
    GET  /submissions/{id}                     what has become of it
    GET  /documents/{envelope}                 a document that came
    GET  /documents/{envelope}/envelope        as it was sealed
    GET  /documents/{envelope}/files/{sha256}  one of its files, with ranges
    POST /documents/{envelope}/answer          registered, refused or progress, after it was delivered; an order: agreed, declined
    POST /submissions/{id}/recall              the order to give up what was sent
    GET  /healthz

The system shows its token. Every refusal is a problem document with a code of
the catalogue.

Spec: docs/adapters.md; RFC 6750 (bearer tokens); RFC 9457 (problems).
"""

import asyncio
import contextlib
import hmac
import json
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import uvicorn
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from adapters.http.options import HttpOptions, secret_in
from adapters.http.store import Store
from adapters.letters import Letter, now
from axis import (
    Agreed,
    AxisError,
    Declined,
    File,
    Office,
    PermanentError,
    Progress,
    Refusal,
    Refused,
    Registered,
    TransientError,
)

_MOST_FILES = 100
_MOST_LETTER_BYTES = 256 * 1024
_MOST_MESSAGE_BYTES = 4 * 1024**3  # An edXML message with its files in base64.
_XML = frozenset({"application/xml", "text/xml", "application/edxml+xml"})
_STOP_S = 5
_COMING = ".coming-"  # Begins the name of a folder for what is being posted.

Endpoint = Callable[[Request], Awaitable[Response]]


class _Answer(BaseModel):
    """What the system says later about a document or an order."""

    model_config = ConfigDict(extra="forbid")

    answer: Literal["registered", "refused", "progress", "agreed", "declined"]
    number: str = ""
    reason: str = ""
    status_code: str = ""
    note: str = ""

    def report(self) -> Registered | Refused | Progress | Agreed | Declined:
        """Return it as the office says it.

        Raises:
            ValueError: Something that belongs to it is missing.
        """
        match self.answer:
            case "registered":
                return Registered(self.number, self.note)
            case "refused":
                return Refused(self.reason)
            case "agreed":
                return Agreed(self.note, self.number)
            case "declined":
                return Declined(self.reason)
            case _:
                return Progress(self.status_code, self.note)


class _Recall(BaseModel):
    """Why something that was sent is to be given up, and by whom."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1)
    addressees: list[str] | None = Field(None, min_length=1)  # All whom it was sent to, if it is not given.


class _Server(uvicorn.Server):
    """A server inside a process that has its own way to end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(slots=True)
class Interface:
    """Serves the document system."""

    office: Office
    options: HttpOptions
    store: Store
    _token: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._token = secret_in(self.options.token_file)

    # --- serving -----------------------------------------------------------------------

    async def serve(self) -> None:
        """Serve until the office closes. What keeps the port from being had is told, and tried again."""
        # The open office has the state folder to itself, and nothing is posted before we listen: a killed process left these.
        for left in self.office.settings.state.glob(f"{_COMING}*"):
            await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)
        with socket.create_server((self.options.host, self.options.port)) as listening:
            host, port = listening.getsockname()[:2]
            (self.office.settings.state / "adapter.address").write_text(f"http://{host}:{port}\n", encoding="ascii")
            config = uvicorn.Config(
                self.app(),
                log_config=None,
                lifespan="off",
                timeout_graceful_shutdown=_STOP_S,
                server_header=False,
                http="h11",
            )
            server = _Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                await asyncio.shield(serving)
            finally:
                server.should_exit = True
                await serving

    def app(self) -> Starlette:
        """Return the application."""
        routes = [
            ("POST", "/documents", self.send),
            ("GET", "/submissions/{submission_id}", self.submission),
            ("POST", "/submissions/{submission_id}/recall", self.recall),
            ("GET", "/documents/{envelope_id}", self.document),
            ("GET", "/documents/{envelope_id}/envelope", self.envelope),
            ("GET", "/documents/{envelope_id}/files/{sha256}", self.file),
            ("POST", "/documents/{envelope_id}/answer", self.answer),
        ]
        return Starlette(
            routes=[
                Route("/healthz", _alive, methods=["GET"]),
                *(Route(path, self._guarded(endpoint), methods=[method]) for method, path, endpoint in routes),
            ],
            exception_handlers={AxisError: _of_axis, HTTPException: _of_http},
        )

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        """Let only the system in."""

        async def guarded(request: Request) -> Response:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme.casefold() != "bearer" or not hmac.compare_digest(token.encode(), self._token.encode()):
                return _problem(401, "API.AUTH", "Chưa xác thực. / Not authenticated.", {"WWW-Authenticate": "Bearer"})
            return await endpoint(request)

        return guarded

    # --- what the system sends -----------------------------------------------------------

    async def send(self, request: Request) -> Response:
        """Take a document; 202 says that it is on our disk and on its way."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
        scratch = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=_COMING, dir=self.office.settings.state))
        try:
            if kind in _XML:
                message = scratch / "message.edxml"
                await _save(request.stream(), message)
                submission_id = await self.office.submit(message)
            elif kind == "multipart/form-data":
                submission_id = await self._send_letter(request, scratch)
            else:
                return _problem(415, "API.PARAMETER", "multipart/form-data, application/xml")
        except ClientDisconnect:
            return Response(status_code=499)
        except OSError as error:
            raise TransientError("SYS.STATE") from error
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        submission = await self.office.submission(submission_id)
        return JSONResponse(
            {"submission_id": submission_id, "document_id": submission.document_id if submission else ""},
            status_code=202,
        )

    async def _send_letter(self, request: Request, scratch: Path) -> str:
        async with request.form(max_files=_MOST_FILES, max_fields=1, max_part_size=_MOST_LETTER_BYTES) as form:
            text = form.get("letter")
            if not isinstance(text, str):
                raise HTTPException(400, "thiếu phần letter / the part 'letter' is missing")
            try:
                letter = Letter.model_validate_json(text)
            except ValidationError as error:
                raise HTTPException(400, _wrong(error)) from error
            files = []
            for number, part in enumerate(form.getlist("file")):
                if not isinstance(part, UploadFile):
                    raise HTTPException(400, "'file' is not a file")
                path = scratch / str(number)
                await _save(_chunks(part), path)
                files.append(File(part.filename or f"{number}", path, part.content_type or ""))
        settings = self.office.settings
        draft = letter.draft(office=settings.code, office_name=settings.name, at=now())
        return await self.office.send(draft, files)

    async def recall(self, request: Request) -> Response:
        """Order the addressees of something that was sent to give it up."""
        try:
            asked = _Recall.model_validate_json(await request.body())
        except ValidationError as error:
            raise HTTPException(400, _wrong(error)) from error
        sent = request.path_params["submission_id"]
        submission_id = await self.office.recall(sent, reason=asked.reason, addressees=asked.addressees)
        return JSONResponse({"submission_id": submission_id}, status_code=202)

    async def answer(self, request: Request) -> Response:
        """Take what the system says about a document that it was given; the same twice is once."""
        try:
            report = _Answer.model_validate_json(await request.body()).report()
        except ValidationError as error:
            raise HTTPException(400, _wrong(error)) from error
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        await self.office.report(request.path_params["envelope_id"], report)
        return Response(status_code=204)

    # --- what the system asks ---------------------------------------------------------------

    async def submission(self, request: Request) -> Response:
        """Return what has become of a submission."""
        found = await self.office.submission(request.path_params["submission_id"])
        if found is None:
            raise HTTPException(404)
        return JSONResponse(
            {
                "submission_id": found.id,
                "document_id": found.document_id,
                "state": found.state,
                "envelope_id": found.envelope_id,
                "code": found.code,
                "reason": found.reason,
                "receipt": found.receipt.decode() if found.receipt else None,
            }
        )

    async def document(self, request: Request) -> Response:
        """Return the facts about a document that came."""
        facts = self.store.facts(request.path_params["envelope_id"])
        if facts is None:
            raise HTTPException(404)
        return JSONResponse(facts)

    async def envelope(self, request: Request) -> Response:
        """Return a document as it was sealed."""
        path = self.store.envelope(request.path_params["envelope_id"])
        if path is None:
            raise HTTPException(404)
        return FileResponse(path, media_type="application/xml")

    async def file(self, request: Request) -> Response:
        """Return a file of a document, always as something to be saved."""
        found = self.store.file(request.path_params["envelope_id"], request.path_params["sha256"])
        if found is None:
            raise HTTPException(404)
        path, entry = found
        return FileResponse(
            path,
            media_type="application/octet-stream",
            filename=entry["name"],
            headers={"X-Content-Type-Options": "nosniff"},
        )


async def _alive(_request: Request) -> Response:
    return JSONResponse({"alive": True})


async def _save(chunks: AsyncIterator[bytes], path: Path) -> None:
    total = 0
    with path.open("wb") as target:
        async for chunk in chunks:
            total += len(chunk)
            if total > _MOST_MESSAGE_BYTES:
                raise HTTPException(413)
            await asyncio.to_thread(target.write, chunk)


async def _chunks(part: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await part.read(1024 * 1024):
        yield chunk


# --- problems -------------------------------------------------------------------------


def _problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    body = {"type": f"urn:axis:problem:{code}", "title": code, "status": status, "detail": detail, "code": code}
    return JSONResponse(body | more, status_code=status, headers=headers or {}, media_type="application/problem+json")


async def _of_axis(_request: Request, error: Exception) -> Response:
    if isinstance(error, Refusal):
        violations = [one.as_dict() for one in error.violations]
        return _problem(error.entry.http, error.code, error.violations[0].vi, violations=violations)
    if isinstance(error, TransientError):
        return _problem(503, error.code, str(error), {"Retry-After": "5"})
    if isinstance(error, PermanentError):
        return _problem(error.entry.http, error.code, str(error))
    raise error


async def _of_http(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else ""
    return _problem(status, "API.NOT_FOUND" if status in (404, 405) else "API.PARAMETER", detail)


def _wrong(error: ValidationError) -> str:
    return json.dumps(
        [{"field": ".".join(map(str, one["loc"])), "problem": one["msg"]} for one in error.errors()],
        ensure_ascii=False,
    )
