"""The interface is as its description says: every route, rightly and wrongly asked, on a real socket.

Nothing here names a route: one that is new is asked too.
"""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.exceptions import HTTPException

from axis import seal
from axis.edxml import Organization
from axis.gateway import bodies
from axis.office.answers import Delivered, Registered
from axis.office.speech import About, say
from axis.receipts.voice import Voice
from axis.webhooks import Kind
from tests.house import COMMUNE, SENDER, House
from tests.province import AT

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
_EXAMPLES = 6  # Of each kind, for each operation: seconds in all.
PDF = b"%PDF-1.7" + bytes(1000)


@dataclass(frozen=True)
class Known:
    """What is there: values of parameters of paths, and bodies that are good, by media type."""

    places: dict[str, str]  # By operation, or else by parameter.
    bodies: dict[str, Any]  # By operation, or else by media type.
    queries: dict[str, dict[str, Any]]  # By operation.
    headers: dict[str, dict[str, str]]  # By operation.
    token: str


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    """One kind is enough: what an answer looks like does not depend on it."""
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
async def known(home: House) -> Known:
    """An envelope that an office sent, with a file and receipts, and one that it may send."""
    digest = await home.bring(SENDER, PDF)
    envelope_id = (await home.accept(home.seal(home.document(), {"125.pdf": PDF}))).envelope_id
    await home.attempt()
    await home.say(Registered("417"), await home.row(envelope_id, COMMUNE))
    url = "http://127.0.0.1:9/axis"
    await home.ledger.put_webhook(SENDER, "qlvb", url=url, kinds=list(Kind), secret="", now=home.now(), most=10)
    theirs = home.document(
        to=(SENDER,), originator=Organization(COMMUNE), document_id="H56.112,2026/08/25,9/UBND", code_notation="UBND"
    )
    waiting_id = (await home.accept(home.seal(theirs, by=COMMUNE), by=COMMUNE)).envelope_id
    await home.attempt()
    row = await home.row(waiting_id, SENDER)
    about = About(
        envelope_id=waiting_id,
        envelope_digest=row.digest,
        originator=row.originator,
        document_id=row.document_id,
    )
    voice = Voice(SENDER, home.province.signer(SENDER))
    said = say(Delivered(), about, voice=voice, previous=row.chain_head, attempt=row.attempts, at=home.now())
    old_id = (await home.accept_from_older_system(home.document(), b"<edXML/>")).envelope_id
    begun = sha256(PDF + b"more").hexdigest()
    await home.spool.append(SENDER, begun, offset=0, total=len(PDF) + 4, chunks=_one(PDF))
    resumable = {"Tus-Resumable": "1.0.0"}
    last = resumable | {"Upload-Offset": str(len(PDF))}
    named = f"sha256 {b64encode(sha256(PDF + b'new').hexdigest().encode()).decode()}"
    return Known(
        places={
            "envelope_id": envelope_id,
            "digest": digest,
            "webhook_id": "qlvb",
            "POST /v1/inbox/{envelope_id}/confirmation": waiting_id,
            "GET /v1/envelopes/{envelope_id}/original": old_id,
            "upload": f"{digest}-{len(PDF)}",
            "DELETE /v1/tus/{upload}": f"{begun}-{len(PDF) + 4}",
        },
        bodies={
            "application/xml": home.seal(home.document(), {"125.pdf": PDF}),
            "PATCH /v1/uploads/{digest}": b"",
            "PUT /v1/uploads/{digest}": PDF,
            "PUT /v1/webhooks/{webhook_id}": {"url": url},
            "POST /v1/webhooks/{webhook_id}/replay": {"after": ""},
            "POST /v1/inbox/{envelope_id}/confirmation": said[0].xml,
            "POST /compat/v1/sendEdoc": {
                "edocFile": home.seal(home.document(), {"125.pdf": PDF}),
                "messageType": "edoc",
            },
            "POST /compat/v1/updateStatus": {"docId": waiting_id, "status": "processing"},
        },
        queries={
            "GET /v1/envelopes": {"digest": digest},
            "GET /v1/receipts": {"envelope": [envelope_id]},
            "GET /compat/v1/getEdoc": {"docId": envelope_id},
            "GET /compat/v1/getAgenciesListQD20": {"level": 2},
        },
        headers={
            "PATCH /v1/uploads/{digest}": {"Upload-Offset": str(len(PDF)), "Upload-Length": str(len(PDF))},
            "POST /v1/tus": resumable | {"Upload-Length": str(len(PDF) + 3), "Upload-Metadata": named},
            "HEAD /v1/tus/{upload}": resumable,
            "PATCH /v1/tus/{upload}": last,
            "POST /v1/tus/{upload}": last | {"X-HTTP-Method-Override": "PATCH"},
            "DELETE /v1/tus/{upload}": resumable,
        },
        token=seal.make_token(SENDER, home.province.signer(SENDER), AT),
    )


async def _one(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk


def _operations(url: str) -> Iterator[Any]:
    schema: Any = schemathesis.openapi.from_url(f"{url}/openapi.json")
    # What removes comes last: the others ask for it.
    for found in sorted(schema.get_all_operations(), key=lambda one: one.ok().method.upper() == "DELETE"):
        yield found.ok()


def _ask(operation: Any, mode: GenerationMode, known: Known, *, real: bool, seen: dict[str, set[int]]) -> None:
    """Ask one operation some times.

    Args:
        operation: Of the description.
        mode: As the description says, or against it.
        known: What is there.
        real: Ask for that, and bring that.
        seen: Filled with what was answered, by operation.
    """

    @given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis_settings(
        max_examples=1 if real else _EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        if real:
            case.path_parameters = {
                name: known.places.get(operation.label, known.places.get(name, value))
                for name, value in case.path_parameters.items()
            }
            taken = operation.get_request_payload_content_types()
            if taken:
                case.media_type = taken[0]
            case.body = known.bodies.get(operation.label, known.bodies.get(case.media_type, case.body))
            case.query = known.queries.get(operation.label, {})
            # What may be left out is.
            told = known.headers.get(operation.label, {})
            for name in [
                one for one in case.headers if one.casefold().startswith(("upload-", "range", "idempotency-"))
            ]:
                del case.headers[name]
            case.headers.update(told)
        elif case.query and isinstance(case.query.get("wait"), int):
            case.query["wait"] = min(case.query["wait"], 1)  # As good as thirty, and sooner over.
        shown = {"Authorization": f"Bearer {known.token}", "X-SystemId": SENDER, "X-SecretKey": known.token}
        answer = case.call(headers=shown)
        seen.setdefault(operation.label, set()).add(answer.status_code)
        case.validate_response(answer, checks=_CHECKS)

    ask()


async def test_every_route_answers_as_its_description_says(url: str, known: Known) -> None:
    wrong: list[str] = []
    seen: dict[str, set[int]] = {}

    def ask_all() -> None:
        for operation in _operations(url):
            for mode, real in (
                (GenerationMode.POSITIVE, True),
                (GenerationMode.POSITIVE, False),
                (GenerationMode.NEGATIVE, False),
            ):
                try:
                    _ask(operation, mode, known, real=real, seen=seen)
                except Exception as error:  # All of them are told, not the first one.
                    wrong.append(f"{operation.label} ({mode.value}): {error}")

    await asyncio.to_thread(ask_all)
    assert wrong == [], "\n\n".join(wrong)
    never = [label for label, statuses in seen.items() if not any(200 <= status < 300 for status in statuses)]
    assert never == [], "give the fixture `known` what these need, so that a good answer of theirs is looked at too"
    assert any(400 in statuses for statuses in seen.values())


def test_description_is_openapi(app: FastAPI) -> None:
    validate(app.openapi())


def test_description_says_every_no_of_every_route(app: FastAPI) -> None:
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            is_compat = path.startswith("/compat/")
            asked = [("systemId", "secretKey")] if is_compat else [("token",), ("certificate",)]
            assert operation["security"] == [{name: [] for name in schemes} for schemes in asked], path
            noes = {status: one for status, one in operation["responses"].items() if status >= "400"}
            assert {"401", "429", "500", "503"} <= set(noes), path
            for status, one in noes.items():
                kind = "application/json" if is_compat else "application/problem+json"
                assert method == "head" or list(one["content"]) == [kind], (path, status)
                assert ("Retry-After" in one.get("headers", {})) == (status in ("429", "500", "503")), (path, status)


# --- what the framework and the server refuse by themselves ----------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "API.NOT_FOUND"),
        ("GET", "/v1/offices/", 404, "API.NOT_FOUND"),
        ("DELETE", "/v1/offices", 405, "API.METHOD"),
        ("POST", f"/v1/attachments/{'0' * 64}", 405, "API.METHOD"),
        ("GET", "/v1/receipts?envelope=", 400, "API.PARAMETER"),
        ("GET", "/v1/envelopes/x", 400, "API.PARAMETER"),
        ("GET", "/v1/receipts?envelope=%00", 400, "API.PARAMETER"),
    ],
)
async def test_no_of_the_framework_is_a_problem(
    url: str, known: Known, method: str, path: str, status: int, code: str
) -> None:
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {known.token}"}) as client:
        answer = await client.request(method, path)
    said = _problem(answer)
    assert (answer.status_code, said["code"]) == (status, code)
    assert (status == 405) == ("Allow" in answer.headers)


@pytest.mark.parametrize(
    "status", [400, 403, 404, 405, 406, 408, 411, 413, 414, 415, 416, 417, 422, 429, 431, 500, 501]
)
async def test_any_status_that_a_framework_may_raise_is_a_problem(app: FastAPI, status: int) -> None:
    @app.get("/raised")
    async def raise_it() -> None:
        raise HTTPException(status, "(ví dụ)")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://axis") as client:
        answer = await client.get("/raised")
    _problem(answer)
    assert answer.status_code == status
    assert ("Retry-After" in answer.headers) == (status in (429, 500, 503))


async def test_fault_of_ours_is_a_problem_without_details(app: FastAPI) -> None:
    @app.get("/raised")
    async def raise_it() -> None:
        raise RuntimeError("a secret of the house")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://axis") as client:
        answer = await client.get("/raised")
    assert (answer.status_code, _problem(answer)["code"]) == (500, "SYS.INTERNAL")
    assert "secret" not in answer.text


def _problem(answer: httpx.Response) -> dict[str, Any]:
    """Return a problem document that has its shape."""
    assert answer.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    assert bodies.Problem.model_validate(said).status == answer.status_code
    return said
