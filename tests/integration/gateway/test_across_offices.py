"""Nobody reads across offices: every route, asked by everybody who must not be told.

`CASES` says for each route how it is asked for something that one office has,
and for the same thing where there is none. A route without a case fails the
test. Each case is proven first by its owner, to whom the route must tell it: a
case that asks for nothing shows nothing.

Spec: docs/protocol/gateway.md 1; docs/promises.md 5.
"""

import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from axis import edxml, seal
from axis.gateway import bodies, files
from axis.ledger import DeliveryRow
from axis.office.answers import Delivered, Registered
from axis.office.speech import About, say
from axis.receipts.voice import Voice
from axis.registry import Registry, Status
from axis.webhooks import make_secret
from tests.house import COMMUNE, OTHER, SENDER, STRANGER, House
from tests.province import AT

PDF = b"%PDF-1.7 the paper of one office" + bytes(2000)
ABSENT_FILE = b"%PDF-1.7 the paper of no office!" + bytes(2000)
SUBJECT = "V/v chỉ một nơi được đọc (ví dụ)"


@dataclass(frozen=True, kw_only=True)
class There:
    """What one office has; or the same things where there are none."""

    envelope_id: str
    file: bytes
    begun: bytes  # A file of which the first bytes have come.
    envelope: bytes  # Sealed by its originator, addressed to somebody else.
    waiting_id: str  # An envelope that its addressee has not answered.
    answer: bytes  # What its addressee would say.
    webhook_id: str
    old_id: str  # An envelope that the axis has sealed in the place of an older system.

    @property
    def upload(self) -> str:
        """The name of the file as an upload."""
        return f"{self.digest}-{len(self.file)}"

    @property
    def begun_upload(self) -> str:
        """The name of the upload that has begun."""
        return f"{self.begun_digest}-{len(self.begun)}"

    @property
    def digest(self) -> str:
        """The digest of the file."""
        return sha256(self.file).hexdigest()

    @property
    def begun_digest(self) -> str:
        """The digest of the file that has not come whole."""
        return sha256(self.begun).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Case:
    """How a route is asked, and what a stranger is told."""

    ask: Callable[[There], Ask]
    owner: int  # Status for the office whose thing it is.
    stranger: int  # Status for any other: the same whether the thing is there or not.
    by: str = SENDER  # The owner.
    holds: Callable[[There], str] = lambda _: ""  # What its owner is told, where the status says too little.


def _upload(content: Callable[[There], bytes], **headers: str) -> Callable[[There], Ask]:
    def ask(one: There) -> Ask:
        whole = content(one)
        return Ask(path=f"/v1/uploads/{sha256(whole).hexdigest()}", headers=headers, content=whole)

    return ask


def _resumed(one: There, **headers: str) -> Ask:
    """Go on with what was begun, as tus."""
    always = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": "100"}
    return Ask(path=f"/v1/tus/{one.begun_upload}", headers=always | headers, content=one.begun[100:])


def _begun(one: There) -> Ask:
    """Begin what is there already."""
    named = f"sha256 {b64encode(one.digest.encode()).decode()}"
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(one.file)), "Upload-Metadata": named}
    return Ask(path="/v1/tus", headers=headers)


def _wrong_bytes(one: There) -> Ask:
    """Whoever knows a digest and has not the bytes: is the file there?"""
    return Ask(path=f"/v1/uploads/{one.digest}", content=b"x" * len(one.file))


def _compat(call: str, **query: str) -> Callable[[There], Ask]:
    return lambda _: Ask(path=f"/compat/v1/{call}", query=query)


def _as_form(one: There) -> Ask:
    body = b'--b\r\nContent-Disposition: form-data; name="edocFile"\r\n\r\n' + one.envelope + b"\r\n--b--\r\n"
    return Ask(path="/compat/v1/sendEdoc", headers={"Content-Type": "multipart/form-data; boundary=b"}, content=body)


def _processing(one: There) -> Ask:
    said = b'{"docId": "' + one.waiting_id.encode() + b'", "status": "processing"}'
    return Ask(path="/compat/v1/updateStatus", content=said)


# One or more cases for each method and path. A new route gets one here.
CASES: dict[tuple[str, str], tuple[Case, ...]] = {
    ("GET", "/v1/attachments/{digest}"): (
        Case(ask=lambda one: Ask(path=f"/v1/attachments/{one.digest}"), owner=200, stranger=404),
        Case(
            ask=lambda one: Ask(path=f"/v1/attachments/{one.digest}", headers={"Range": "bytes=0-9"}),
            owner=206,
            stranger=404,
        ),
        Case(ask=lambda one: Ask(path=f"/v1/attachments/{one.digest}"), owner=200, stranger=404, by=COMMUNE),
    ),
    ("HEAD", "/v1/attachments/{digest}"): (
        Case(ask=lambda one: Ask(path=f"/v1/attachments/{one.digest}"), owner=200, stranger=404),
    ),
    ("HEAD", "/v1/uploads/{digest}"): (
        Case(ask=lambda one: Ask(path=f"/v1/uploads/{one.digest}"), owner=200, stranger=200),
        Case(ask=lambda one: Ask(path=f"/v1/uploads/{one.begun_digest}"), owner=200, stranger=200),
    ),
    ("PATCH", "/v1/uploads/{digest}"): (
        # To go on with what another office has begun.
        Case(
            ask=lambda one: Ask(
                path=f"/v1/uploads/{one.begun_digest}",
                headers={"Upload-Offset": "100", "Upload-Length": str(len(one.begun))},
                content=one.begun[100:],
            ),
            owner=201,
            stranger=409,
        ),
        Case(
            ask=lambda one: Ask(
                path=f"/v1/uploads/{one.digest}",
                headers={"Upload-Offset": str(len(one.file)), "Upload-Length": str(len(one.file))},
            ),
            owner=201,
            stranger=409,
        ),
    ),
    ("PUT", "/v1/uploads/{digest}"): (Case(ask=_wrong_bytes, owner=201, stranger=422),),
    ("POST", "/v1/envelopes"): (
        Case(ask=lambda one: Ask(path="/v1/envelopes", content=one.envelope), owner=200, stranger=403),
    ),
    ("GET", "/v1/envelopes"): (
        Case(
            ask=lambda one: Ask(path="/v1/envelopes", query={"digest": one.digest}),
            owner=200,
            stranger=200,
            holds=lambda one: one.envelope_id,
        ),
        Case(
            ask=lambda one: Ask(path="/v1/envelopes", query={"digest": one.digest}),
            owner=200,
            stranger=200,
            holds=lambda one: one.envelope_id,
            by=COMMUNE,
        ),
    ),
    ("POST", "/v1/validations"): (
        Case(
            ask=lambda one: Ask(path="/v1/validations", content=one.envelope),
            owner=200,
            stranger=200,
            holds=lambda one: one.envelope_id,
        ),
    ),
    # What is spoken is told to everybody who belongs here.
    ("OPTIONS", "/v1/tus"): (Case(ask=lambda _: Ask(path="/v1/tus"), owner=204, stranger=204),),
    # Another's file is as good as absent: one begins it anew.
    ("POST", "/v1/tus"): (Case(ask=_begun, owner=201, stranger=201),),
    ("HEAD", "/v1/tus/{upload}"): (
        Case(
            ask=lambda one: Ask(path=f"/v1/tus/{one.upload}", headers={"Tus-Resumable": "1.0.0"}),
            owner=200,
            stranger=404,
        ),
        Case(
            ask=lambda one: Ask(path=f"/v1/tus/{one.begun_upload}", headers={"Tus-Resumable": "1.0.0"}),
            owner=200,
            stranger=404,
        ),
    ),
    ("PATCH", "/v1/tus/{upload}"): (Case(ask=_resumed, owner=204, stranger=404),),
    ("POST", "/v1/tus/{upload}"): (
        Case(ask=lambda one: _resumed(one, **{"X-HTTP-Method-Override": "PATCH"}), owner=204, stranger=404),
        Case(ask=lambda one: _resumed(one, **{"X-HTTP-Method-Override": "DELETE"}), owner=204, stranger=404),
    ),
    ("DELETE", "/v1/tus/{upload}"): (
        Case(
            ask=lambda one: Ask(path=f"/v1/tus/{one.begun_upload}", headers={"Tus-Resumable": "1.0.0"}),
            owner=204,
            stranger=404,
        ),
    ),
    ("GET", "/v1/envelopes/{envelope_id}/original"): (
        Case(ask=lambda one: Ask(path=f"/v1/envelopes/{one.old_id}/original"), owner=200, stranger=404),
        Case(ask=lambda one: Ask(path=f"/v1/envelopes/{one.old_id}/original"), owner=200, stranger=404, by=COMMUNE),
    ),
    ("GET", "/v1/envelopes/{envelope_id}/edxml"): (
        Case(ask=lambda one: Ask(path=f"/v1/envelopes/{one.envelope_id}/edxml"), owner=200, stranger=404),
        Case(ask=lambda one: Ask(path=f"/v1/envelopes/{one.envelope_id}/edxml"), owner=200, stranger=404, by=COMMUNE),
    ),
    ("GET", "/v1/envelopes/{envelope_id}/family"): (
        Case(
            ask=lambda one: Ask(path=f"/v1/envelopes/{one.envelope_id}/family"),
            owner=200,
            stranger=404,
            holds=lambda one: one.envelope_id,
        ),
    ),
    ("GET", "/v1/envelopes/{envelope_id}"): (
        Case(ask=lambda one: Ask(path=f"/v1/envelopes/{one.envelope_id}"), owner=200, stranger=404),
        Case(ask=lambda one: Ask(path=f"/v1/envelopes/{one.envelope_id}"), owner=200, stranger=404, by=COMMUNE),
    ),
    ("GET", "/v1/envelopes/{envelope_id}/content"): (
        Case(ask=lambda one: Ask(path=f"/v1/envelopes/{one.envelope_id}/content"), owner=200, stranger=404),
    ),
    ("GET", "/v1/envelopes/{envelope_id}/receipts"): (
        Case(ask=lambda one: Ask(path=f"/v1/envelopes/{one.envelope_id}/receipts"), owner=200, stranger=404),
    ),
    ("GET", "/v1/receipts"): (
        # A list of what is known: for a stranger it is as empty as for an id that is nowhere.
        Case(
            ask=lambda one: Ask(path="/v1/receipts", query={"envelope": one.envelope_id}),
            owner=200,
            stranger=200,
            holds=lambda one: one.envelope_id,
        ),
        Case(ask=lambda _: Ask(path="/v1/receipts"), owner=200, stranger=200, holds=lambda one: one.envelope_id),
    ),
    ("GET", "/v1/events"): (
        Case(ask=lambda _: Ask(path="/v1/events"), owner=200, stranger=200, holds=lambda one: one.envelope_id),
        Case(
            ask=lambda _: Ask(path="/v1/events", query={"after": "0-1"}),
            owner=200,
            stranger=200,
            holds=lambda one: one.waiting_id,
            by=COMMUNE,
        ),
    ),
    ("GET", "/v1/inbox"): (
        Case(
            ask=lambda _: Ask(path="/v1/inbox"), owner=200, stranger=200, holds=lambda one: one.waiting_id, by=COMMUNE
        ),
    ),
    ("POST", "/v1/inbox/{envelope_id}/confirmation"): (
        Case(
            ask=lambda one: Ask(path=f"/v1/inbox/{one.waiting_id}/confirmation", content=one.answer),
            owner=200,
            stranger=404,
            by=COMMUNE,
        ),
    ),
    ("GET", "/v1/webhooks"): (
        Case(ask=lambda _: Ask(path="/v1/webhooks"), owner=200, stranger=200, holds=lambda one: one.webhook_id),
    ),
    ("GET", "/v1/webhooks/{webhook_id}"): (
        Case(ask=lambda one: Ask(path=f"/v1/webhooks/{one.webhook_id}"), owner=200, stranger=404),
    ),
    ("PUT", "/v1/webhooks/{webhook_id}"): (
        # A name is an office's own: another's is not changed by it, and not even seen.
        Case(
            ask=lambda one: Ask(path=f"/v1/webhooks/{one.webhook_id}", content=b'{"url": "http://127.0.0.1:9/other"}'),
            owner=200,
            stranger=201,
        ),
    ),
    ("DELETE", "/v1/webhooks/{webhook_id}"): (
        Case(ask=lambda one: Ask(path=f"/v1/webhooks/{one.webhook_id}"), owner=204, stranger=404),
    ),
    ("POST", "/v1/webhooks/{webhook_id}/secret"): (
        Case(ask=lambda one: Ask(path=f"/v1/webhooks/{one.webhook_id}/secret"), owner=200, stranger=404),
    ),
    ("POST", "/v1/webhooks/{webhook_id}/replay"): (
        Case(
            ask=lambda one: Ask(path=f"/v1/webhooks/{one.webhook_id}/replay", content=b'{"after": ""}'),
            owner=200,
            stranger=404,
        ),
    ),
    ("POST", "/compat/v1/sendEdoc"): (Case(ask=_as_form, owner=200, stranger=403, holds=lambda one: one.envelope_id),),
    **{
        ("GET", f"/compat/v1/{call}"): (
            Case(
                ask=_compat(call),
                owner=200,
                stranger=200,
                holds=lambda one: one.waiting_id,
                by=COMMUNE,
            ),
        )
        for call in ("getReceivedEdocList", "syncReceivedEdocList")
    },
    **{
        ("GET", f"/compat/v1/{call}"): (
            Case(ask=_compat(call), owner=200, stranger=200, holds=lambda _: '"count"', by=COMMUNE),
        )
        for call in ("countReceiveEdoc", "countReceiveStatus")
    },
    ("GET", "/compat/v1/getSentEdocList"): (
        Case(ask=_compat("getSentEdocList"), owner=200, stranger=200, holds=lambda one: one.envelope_id),
        Case(
            ask=lambda one: _compat("getSentEdocList", docId=one.envelope_id)(one),
            owner=200,
            stranger=404,
            holds=lambda one: one.envelope_id,
        ),
    ),
    ("GET", "/compat/v1/getEdoc"): (
        Case(ask=lambda one: _compat("getEdoc", docId=one.envelope_id)(one), owner=200, stranger=404),
        Case(ask=lambda one: _compat("getEdoc", docId=one.waiting_id)(one), owner=200, stranger=404, by=COMMUNE),
    ),
    ("POST", "/compat/v1/updateStatus"): (
        Case(ask=_processing, owner=200, stranger=404, holds=lambda one: one.waiting_id, by=COMMUNE),
    ),
    ("GET", "/compat/v1/getAgenciesList"): (Case(ask=_compat("getAgenciesList"), owner=200, stranger=200),),
    ("GET", "/compat/v1/getAgenciesListQD20"): (
        Case(ask=_compat("getAgenciesListQD20", level="2"), owner=200, stranger=200),
    ),
    ("GET", "/v1/codes"): (Case(ask=lambda _: Ask(path="/v1/codes"), owner=200, stranger=200),),
    ("GET", "/v1/offices"): (Case(ask=lambda _: Ask(path="/v1/offices"), owner=200, stranger=200),),
}

# What needs no token: it shows nothing of any office's documents.
OPEN = {("GET", "/metrics"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/openapi.json")}


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    """One kind: who may read what is asked of both in test_gateway.py."""
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture
async def there(app: FastAPI, home: House) -> There:
    """An office's file, a file that it has begun, a document with receipts."""
    digest = await home.bring(SENDER, PDF)
    envelope = home.seal(home.document(subject=SUBJECT), {"125.pdf": PDF})
    envelope_id = (await home.accept(envelope)).envelope_id
    await home.attempt()
    await home.say(Registered("417"), await home.row(envelope_id, COMMUNE))
    waiting_id = (await home.accept(home.seal(home.document(subject=SUBJECT)))).envelope_id
    await home.attempt()
    url = "http://127.0.0.1:9/axis"
    await home.ledger.put_webhook(SENDER, "qlvb", url=url, kinds=[], secret=make_secret(), now=home.now(), most=10)
    one = There(
        envelope_id=envelope_id,
        file=PDF,
        begun=PDF + b"more",
        envelope=envelope,
        waiting_id=waiting_id,
        answer=_answer(home, await home.row(waiting_id)),
        webhook_id="qlvb",
        old_id=(await home.accept_from_older_system(home.document(subject=SUBJECT), b"<edXML/>")).envelope_id,
    )
    assert one.digest == digest
    async with _caller(app, home, SENDER) as sender:
        length = {"Upload-Offset": "0", "Upload-Length": str(len(one.begun))}
        come = await sender.patch(f"/v1/uploads/{one.begun_digest}", content=one.begun[:100], headers=length)
        assert come.headers["Upload-Offset"] == "100"
    return one


@pytest.fixture
def nowhere(home: House) -> There:
    """The same things, as nobody has them."""
    return There(
        envelope_id="0" * 32,
        file=ABSENT_FILE,
        begun=ABSENT_FILE + b"more",
        envelope=home.seal(home.document(subject=SUBJECT), {"125.pdf": ABSENT_FILE}),
        waiting_id="1" * 32,
        answer=b"<receipt/>",
        webhook_id="nowhere",
        old_id="2" * 32,
    )


def _answer(home: House, row: DeliveryRow) -> bytes:
    about = About(
        envelope_id=row.envelope_id,
        envelope_digest=row.digest,
        originator=row.originator,
        document_id=row.document_id,
    )
    voice = Voice(row.addressee, home.province.signer(row.addressee))
    said = say(Delivered(), about, voice=voice, previous=row.chain_head, attempt=row.attempts, at=home.now())
    return said[0].xml


@asynccontextmanager
async def _caller(app: FastAPI, home: House, office: str) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(app, seal.make_token(office, home.province.signer(office), home.now()), office) as client:
        yield client


@asynccontextmanager
async def _caller_by_certificate(app: FastAPI, home: House, office: str) -> AsyncIterator[httpx.AsyncClient]:
    async with _client(_with_certificate(app, home, office), None, office) as client:
        yield client


def _with_certificate(app: FastAPI, home: House, office: str) -> ASGIApp:
    """Return the application as the server calls it for who has shown the certificate of an office."""
    shown = home.province.signer(office).certificate.public_bytes(Encoding.PEM).decode()

    async def over_tls(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "extensions": {"tls": {"client_cert_chain": [shown]}}}, receive, send)

    return over_tls


@asynccontextmanager
async def _client(app: ASGIApp, token: str | None, office: str = SENDER) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client that shows a token in both ways in which that is done."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    shown = {} if token is None else {"Authorization": f"Bearer {token}", "X-SecretKey": token}
    headers = {"X-SystemId": office, **shown}
    async with httpx.AsyncClient(transport=transport, base_url="http://axis", headers=headers) as client:
        yield client


async def _send(client: httpx.AsyncClient, method: str, ask: Ask) -> httpx.Response:
    return await client.request(
        method, ask.path, params=dict(ask.query), headers=dict(ask.headers), content=ask.content
    )


def routes(app: FastAPI) -> set[tuple[str, str]]:
    """Return every method and path that the gateway serves: by its routes, in front of them, and by its description."""
    described = {(method.upper(), path) for path, ways in app.openapi()["paths"].items() for method in ways}
    in_front = {(method, path) for path, methods in files.METHODS.items() for method in methods}
    return described | in_front | set(_served(app.routes, ""))


def _served(found: Any, before: str) -> Iterator[tuple[str, str]]:
    for route in found:
        if isinstance(route, Mount):
            yield from _served(route.routes, before + route.path)
            assert route.routes, f"{route.path}: an application that does not say its routes cannot be walked"
            continue
        assert isinstance(route, Route | APIRoute), f"{route}: what is it, and who may call it?"
        for method in route.methods or ():
            if not (method == "HEAD" and not isinstance(route, APIRoute)):  # Starlette's own, beside GET.
                yield method, before + route.path


def test_every_route_has_a_case(app: FastAPI) -> None:
    served = routes(app)
    missing = sorted(served - OPEN - set(CASES))
    assert missing == [], (
        "a route without a case in CASES: say how another office, no office and a suspended one would ask for "
        "what one office has, and what they are told"
    )
    assert sorted((OPEN | set(CASES)) - served) == [], "a case without a route"


def _cases() -> Iterator[Any]:
    for (method, path), cases in CASES.items():
        for number, case in enumerate(cases, 1):
            yield pytest.param(method, path, case, id=f"{method} {path} {number}")


every_case = pytest.mark.parametrize(("method", "path", "case"), list(_cases()))


@every_case
async def test_case_asks_for_what_is_there(
    app: FastAPI, home: House, there: There, method: str, path: str, case: Case
) -> None:
    ask = case.ask(there)
    pattern = re.sub(r"\\\{[^/]+\\\}", "[^/]+", re.escape(path))
    assert re.fullmatch(pattern, ask.path), "a case asks for its own route"
    async with _caller(app, home, case.by) as owner:
        answer = await _send(owner, method, ask)
    assert answer.status_code == case.owner, answer.text
    assert case.holds(there) in answer.text


@every_case
@pytest.mark.parametrize(
    ("office", "by"), [(OTHER, _caller_by_certificate), (STRANGER, _caller)], ids=["by certificate", "by token"]
)
async def test_another_office_is_told_nothing(
    app: FastAPI, home: House, there: There, nowhere: There, method: str, path: str, case: Case, office: str, by: Any
) -> None:
    """What is there and what is not are answered alike, and nothing of it is told, however it has shown who it is."""
    async with by(app, home, office) as stranger:
        seen = await _send(stranger, method, case.ask(there))
        nothing = await _send(stranger, method, case.ask(nowhere))
    assert (seen.status_code, nothing.status_code) == (case.stranger, case.stranger), seen.text
    assert _what_is_said(seen, there) == _what_is_said(nothing, nowhere)
    _require_nothing_told(seen, there)
    if case.stranger == 404 and method != "HEAD":
        assert _problem(seen).code == "API.NOT_FOUND"


def _problem(answer: httpx.Response) -> bodies.Problem:
    """Return the problem of a no, which stands beside their words where it is said in those."""
    said = answer.json()
    return bodies.Problem.model_validate(said.get("problem", said))


def _what_is_said(answer: httpx.Response, asked: There) -> tuple[Any, Any]:
    """Return headers and body, without the names that the caller has given and what is signed anew each time."""
    given = (asked.envelope_id, asked.waiting_id, asked.old_id, asked.webhook_id, asked.digest, asked.begun_digest)

    def without(text: str) -> str:
        for name in given:
            text = text.replace(name, "")
        return text

    headers = {name: without(value) for name, value in answer.headers.items() if name not in ("content-length", "date")}
    text = without(answer.text)
    return headers, re.sub(r'"(receipt|secret)":\s*"[^"\\]*(?:\\.[^"\\]*)*"', "", text)


def _require_nothing_told(answer: httpx.Response, there: There) -> None:
    """Refuse an answer that holds anything of the document but what the caller has said himself."""
    assert b"%PDF" not in answer.content
    text = answer.text
    assert SUBJECT not in text
    assert there.waiting_id not in text.replace(str(answer.url), "")


NOBODIES: dict[str, Callable[[House], str | None]] = {
    "no token": lambda _home: None,
    "nonsense": lambda _home: "x.y.z",
    "another office's signature": lambda home: seal.make_token(SENDER, home.province.signer(STRANGER), AT),
    "an office that is none": lambda home: seal.make_token("H56.888", home.province.signer(STRANGER), AT),
    "an old token": lambda home: seal.make_token(SENDER, home.province.signer(SENDER), AT - timedelta(hours=1)),
    "a token of tomorrow": lambda home: seal.make_token(SENDER, home.province.signer(SENDER), AT + timedelta(days=1)),
    "a token with another payload": lambda home: _altered(seal.make_token(STRANGER, home.province.signer(STRANGER), AT), seal.make_token(SENDER, home.province.signer(SENDER), AT)),
    "a token without a signature": lambda home: _unsigned(seal.make_token(SENDER, home.province.signer(SENDER), AT)),
}  # fmt: skip


def _altered(mine: str, theirs: str) -> str:
    head, _, signature = mine.split(".")
    return ".".join((head, theirs.split(".")[1], signature))


def _unsigned(token: str) -> str:
    none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"  # {"alg":"none","typ":"JWT"}
    return f"{none}.{token.split('.')[1]}."


@pytest.mark.parametrize("nobody", NOBODIES)
async def test_who_proves_nothing_is_told_nothing_by_any_route(
    app: FastAPI, home: House, there: There, nowhere: There, nobody: str
) -> None:
    await _require_told_nothing(app, NOBODIES[nobody](home), home, there, nowhere)


async def test_certificate_beside_the_token_of_another_is_told_nothing_by_any_route(
    app: FastAPI, home: House, there: There, nowhere: There
) -> None:
    token = seal.make_token(SENDER, home.province.signer(SENDER), AT)
    await _require_told_nothing(_with_certificate(app, home, STRANGER), token, home, there, nowhere)


async def _require_told_nothing(app: ASGIApp, token: str | None, home: House, there: There, nowhere: There) -> None:
    before = await home.spool.used_bytes()
    async with _client(app, token) as client:
        for (method, path), cases in CASES.items():
            for case in cases:
                answers = [await _send(client, method, case.ask(one)) for one in (there, nowhere)]
                for answer in answers:
                    assert answer.status_code == 401, (method, path)
                    assert answer.headers["WWW-Authenticate"] == "Bearer"
                    if method != "HEAD":
                        assert _problem(answer).code == "API.AUTH", (method, path)
                assert answers[0].content == answers[1].content
    # And nothing came of it.
    assert await home.spool.used_bytes() == before


@pytest.mark.parametrize("change", [Status.SUSPENDED, None])
async def test_office_that_takes_no_part_reads_its_own_at_most_and_brings_nothing(
    app: FastAPI, home: House, there: There, nowhere: There, change: Status | None
) -> None:
    """Suspended it reads what it was sent (docs/protocol/gateway.md 1); out of the roll it is nobody."""
    offices = {
        one.code: replace(one, status=change) if one.code in (SENDER, STRANGER) and change else one
        for one in home.roll.offices()
    }
    if change is None:
        del offices[SENDER], offices[STRANGER]
    home.roll = Registry.of(offices.values(), home.roll.tiers.values())
    async with _caller(app, home, SENDER) as owner, _caller(app, home, STRANGER) as stranger:
        for (method, path), cases in CASES.items():
            for case in cases:
                seen = await _send(stranger, method, case.ask(there))
                nothing = await _send(stranger, method, case.ask(nowhere))
                assert _what_is_said(seen, there) == _what_is_said(nothing, nowhere), (method, path)
                _require_nothing_told(seen, there)
                is_reading = method in ("GET", "HEAD")
                wanted = 401 if change is None else case.stranger if is_reading else 403
                assert seen.status_code == nothing.status_code == wanted, (method, path)
                if case.by == SENDER:
                    own = await _send(owner, method, case.ask(there))
                    wanted = 401 if change is None else case.owner if is_reading else 403
                    assert own.status_code == wanted, (method, path)


async def test_what_needs_no_token_shows_no_document(app: FastAPI, there: There) -> None:
    async with _client(app, None) as client:
        for method, path in OPEN:
            answer = await client.request(method, path)
            assert answer.status_code == 200, path
            for name in (there.envelope_id, there.digest, SUBJECT, SENDER, COMMUNE):
                assert name not in answer.text, path


def _filled(path: str, one: There) -> str:
    for name, value in (
        ("envelope_id", one.envelope_id),
        ("digest", one.digest),
        ("webhook_id", one.webhook_id),
        ("upload", one.upload),
    ):
        path = path.replace(f"{{{name}}}", value)
    return path


async def test_method_that_a_route_does_not_serve_tells_nothing(
    app: FastAPI, home: House, there: There, nowhere: There
) -> None:
    served = routes(app)
    async with _caller(app, home, STRANGER) as stranger:
        for path in {path for _, path in CASES}:
            for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}:
                if (method, path) in served:
                    continue
                asked = [_filled(path, one) for one in (there, nowhere)]
                assert not any("{" in one for one in asked), "say what stands for this parameter"
                seen, nothing = [await stranger.request(method, one) for one in asked]
                assert (seen.status_code, seen.content) == (nothing.status_code, nothing.content)
                assert seen.status_code in (404, 405), (method, path)


async def test_addressee_of_another_document_is_another_office(app: FastAPI, home: House, there: There) -> None:
    """Being known to the axis, and to the same originator, opens nothing."""
    theirs = home.document(to=(OTHER,), originator=edxml.Organization(SENDER))
    await home.accept(home.seal(theirs))
    async with _caller(app, home, OTHER) as other:
        for path in ("", "/content", "/receipts"):
            assert (await other.get(f"/v1/envelopes/{there.envelope_id}{path}")).status_code == 404
