"""The HTTP adapter on the test axis, with a document system that really listens."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs

from adapters import http
from axis import BusinessType, Level, Office, OfficeSettings, PermanentError, Registered, edxml
from axis.office.testing import OFFICE, SENDER, TestAxis

_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_TOKEN = "mã-thử".encode().hex()
_SOON_S = 60.0  # A disk that others keep busy takes seconds for each sync.


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as events:
        yield events


@dataclass
class DocumentSystem:
    """A document system of an office, as an integrator would write it."""

    answer: Callable[[dict[str, Any]], Response] = lambda _event: Response(status_code=204)
    events: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    url: str = ""

    async def take(self, request: Request) -> Response:
        body = await request.body()
        Webhook(_SECRET).verify(body, dict(request.headers))
        event = json.loads(body)
        self.events.append(event)
        self.ids.append(request.headers["webhook-id"])
        return self.answer(event)


@asynccontextmanager
async def _listening(system: DocumentSystem) -> AsyncIterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = Starlette(routes=[Route("/hooks", system.take, methods=["POST"])])
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        task = asyncio.create_task(server._serve([listener]))
        system.url = f"http://127.0.0.1:{listener.getsockname()[1]}/hooks"
        try:
            yield
        finally:
            server.should_exit = True
            await task


@pytest.fixture
async def system() -> AsyncIterator[DocumentSystem]:
    one = DocumentSystem()
    async with _listening(one):
        yield one


def _office(tmp_path: Path, url: str, **adapter: object) -> tuple[Office, dict[str, Any]]:
    (tmp_path / "webhook").write_text(_SECRET)
    (tmp_path / "token").write_text(_TOKEN)
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    options = {
        "kind": "http",
        "system_url": url,
        "webhook_secret_file": str(tmp_path / "webhook"),
        "token_file": str(tmp_path / "token"),
        **adapter,
    }
    known = OfficeSettings(
        code=OFFICE, key=state, certificate=state, trust=state, broker_url="amqp://x/", gateway_url="http://x/",
        state=state, adapter=options,
    )  # fmt: skip
    office = Office(lambda: known)
    http.attach(office)
    return office, {"adapter": options, "state": state}


@pytest.fixture
async def axis(tmp_path: Path, system: DocumentSystem) -> AsyncIterator[TestAxis]:
    office, settings = _office(tmp_path, system.url)
    async with TestAxis(office, **settings) as one:
        yield one


@pytest.fixture
async def interface(axis: TestAxis, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    address = tmp_path / "state" / "adapter.address"
    async with asyncio.timeout(_SOON_S):
        while not address.exists():  # noqa: ASYNC110 - a file cannot be awaited.
            await asyncio.sleep(0.02)
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    async with httpx.AsyncClient(base_url=address.read_text().strip(), headers=headers) as client:
        yield client


# --- what comes -----------------------------------------------------------------------


async def test_registered_answer_becomes_the_receipt(axis: TestAxis, system: DocumentSystem) -> None:
    system.answer = lambda _event: JSONResponse({"answer": "registered", "number": 417})
    delivery = await axis.deliver(axis.document(subject="Một (ví dụ)"), {"1.pdf": b"%PDF"})
    assert [one.level for one in delivery.receipts] == [Level.DELIVERED, Level.REGISTERED]
    assert delivery.last.number == "417"
    (event,) = system.events
    assert event["type"] == "document.received"
    assert event["data"]["subject"] == "Một (ví dụ)"
    assert system.ids == [delivery.envelope_id]


async def test_null_in_an_answer_is_nothing_said(axis: TestAxis, system: DocumentSystem) -> None:
    system.answer = lambda _event: JSONResponse({"answer": "registered", "number": "417", "note": None})
    delivery = await axis.deliver(axis.document())
    assert (delivery.last.level, delivery.last.number, delivery.last.reason) == (Level.REGISTERED, "417", "")


_CANNOT, _MAY_HAVE = "DLV.OFFICE_UNAVAILABLE", "DLV.UNCERTAIN"


@pytest.mark.parametrize(
    ("answer", "level", "code", "says"),
    [
        (Response(status_code=204), Level.DELIVERED, None, ""),
        (JSONResponse({}), Level.DELIVERED, None, ""),
        (
            JSONResponse({"answer": "refused", "reason": "sai thẩm quyền"}),
            Level.REFUSED,
            "DLV.REFUSED",
            "sai thẩm quyền",
        ),
        (JSONResponse({"reason": "tệp hỏng"}, status_code=422), Level.FAILED, "DLV.FAILED", "tệp hỏng"),
        (Response(status_code=400), Level.FAILED, "DLV.FAILED", "400"),
        (Response(status_code=302), Level.DEFERRED, _CANNOT, "302"),
        (Response(status_code=401), Level.DEFERRED, _CANNOT, "401"),
        (Response(status_code=404), Level.DEFERRED, _CANNOT, "404"),
        (Response(status_code=429), Level.DEFERRED, _CANNOT, "429"),
        (Response("<html>stack trace at 10.0.0.5</html>", status_code=503), Level.DEFERRED, _CANNOT, "503"),
        (JSONResponse({"reason": "hỏng"}, status_code=500), Level.DEFERRED, _MAY_HAVE, "hỏng"),
        (Response("<html>upstream at 10.0.0.5</html>", status_code=502), Level.DEFERRED, _MAY_HAVE, "502"),
        (Response(status_code=504), Level.DEFERRED, _MAY_HAVE, "504"),
        (JSONResponse({"answer": "maybe"}), Level.DEFERRED, _MAY_HAVE, "sai quy ước"),
        (JSONResponse({"answer": "registered"}), Level.DEFERRED, _MAY_HAVE, "sai quy ước"),
        (JSONResponse({"answer": "registered", "number": None}), Level.DEFERRED, _MAY_HAVE, "sai quy ước"),
        (JSONResponse({"answer": "registered", "number": True}), Level.DEFERRED, _MAY_HAVE, "sai quy ước"),
        (JSONResponse({"answer": "registered", "number": [417]}), Level.DEFERRED, _MAY_HAVE, "sai quy ước"),
        (JSONResponse({"answer": "registered", "number": "1", "note": {}}), Level.DEFERRED, _MAY_HAVE, "sai quy ước"),
        (JSONResponse({"answer": "refused", "reason": None}), Level.DEFERRED, _MAY_HAVE, "sai quy ước"),
        (Response(r'{"answer": "refused", "reason": "hỏng \ud83d"}'), Level.REFUSED, "DLV.REFUSED", "hỏng \ufffd"),
        (Response(r'{"reason": "hỏng \ud83d"}', status_code=422), Level.FAILED, "DLV.FAILED", "hỏng \ufffd"),
        (Response(r'{"reason": "hỏng \ud83d"}', status_code=503), Level.DEFERRED, _CANNOT, "hỏng \ufffd"),
        (JSONResponse([1]), Level.DEFERRED, _MAY_HAVE, "sai quy ước"),
        (Response("not json"), Level.DEFERRED, _MAY_HAVE, "sai quy ước"),
    ],
)
async def test_answer_of_the_system_means(
    axis: TestAxis, system: DocumentSystem, answer: Response, level: Level, code: str | None, says: str
) -> None:
    system.answer = lambda _event: answer
    delivery = await axis.deliver(axis.document())
    assert (delivery.last.level, delivery.last.code) == (level, code)
    assert says in delivery.last.reason
    assert "10.0.0.5" not in delivery.last.reason


async def test_system_that_is_down_defers_and_gets_it_when_it_is_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    office, settings = _office(tmp_path, f"http://127.0.0.1:{port}/hooks")
    async with TestAxis(office, **settings) as axis:
        delivery = await axis.deliver(axis.document())
        assert (delivery.last.level, delivery.last.code) == (Level.DEFERRED, _CANNOT)
        assert "không nối được" in delivery.last.reason


async def test_slow_system_defers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/hooks"
        office, settings = _office(tmp_path, url, timeout_s=0.3)
        async with TestAxis(office, **settings) as axis:
            delivery = await axis.deliver(axis.document())
    assert (delivery.last.level, delivery.last.code) == (Level.DEFERRED, _MAY_HAVE)
    assert "không trả lời kịp" in delivery.last.reason


async def test_system_whose_line_breaks_may_have_taken_the_document(tmp_path: Path) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        office, settings = _office(tmp_path, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks")
        async with TestAxis(office, **settings) as axis:
            delivery = await axis.deliver(axis.document())
    assert (delivery.last.level, delivery.last.code) == (Level.DEFERRED, _MAY_HAVE)


async def test_recall_of_what_a_slow_system_has_registered_is_brought_to_it(tmp_path: Path) -> None:
    """It registers the document, and its answer is late: only it can say what becomes of that."""
    system, went_on = DocumentSystem(), asyncio.Event()

    async def take(request: Request) -> Response:
        system.events.append(json.loads(await request.body()))
        if system.events[-1]["type"] == "document.received":
            await went_on.wait()
        return JSONResponse({"answer": "agreed"})

    system.take = take  # type: ignore[method-assign]
    async with _listening(system):
        office, settings = _office(tmp_path, system.url, timeout_s=0.3)
        async with TestAxis(office, **settings) as axis:
            document = await axis.deliver(sent := axis.document())
            order = await axis.deliver(axis.order(sent))
            document = axis.later(document)
        went_on.set()
    assert [one["type"] for one in system.events] == ["document.received", "order.received"]
    (target,) = system.events[1]["data"]["targets"]
    assert (target["envelope_id"], target["level"]) == (document.envelope_id, None)
    assert [(one.level, one.status_code) for one in order.receipts] == [("delivered", "01"), ("progress", "15")]
    assert (document.last.level, document.last.status_code) == ("recalled", "15")


async def test_system_fetches_the_document_and_its_files(axis: TestAxis, interface: httpx.AsyncClient) -> None:
    content = bytes(range(256)) * 40
    delivery = await axis.deliver(axis.document(), {"phụ lục.bin": content})
    facts = (await interface.get(f"/documents/{delivery.envelope_id}")).json()
    (file,) = facts["files"]
    path = f"/documents/{delivery.envelope_id}/files/{file['sha256']}"
    whole = await interface.get(path)
    assert whole.content == content
    assert whole.headers["content-disposition"].startswith("attachment")
    part = await interface.get(path, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, content[100:200])
    assert (await interface.get(f"/documents/{delivery.envelope_id}/envelope")).content == delivery.sealed


async def test_system_is_told_what_is_not_verified(axis: TestAxis, interface: httpx.AsyncClient) -> None:
    for sealed, verified in (
        (axis.seal_as_notary(axis.document()), False),
        (axis.seal(axis.document()), True),
    ):
        delivery = await axis.deliver(sealed)
        facts = (await interface.get(f"/documents/{delivery.envelope_id}")).json()
        assert facts["verified"] is verified


@pytest.mark.parametrize(
    "path",
    [
        "/documents/" + "0" * 32,
        "/documents/..%2f..%2fstate",
        f"/documents/{'0' * 32}/files/{'0' * 64}",
        "/submissions/nothing",
        "/nothing",
    ],
)
async def test_what_is_not_there_is_not_found(interface: httpx.AsyncClient, path: str) -> None:
    answer = await interface.get(path)
    assert answer.status_code == 404


async def test_later_answer_is_reported_once(axis: TestAxis, interface: httpx.AsyncClient) -> None:
    delivery = await axis.deliver(axis.document())
    path = f"/documents/{delivery.envelope_id}/answer"
    for _ in range(2):
        assert (await interface.post(path, json={"answer": "registered", "number": "9"})).status_code == 204
    assert [one.level for one in axis.later(delivery).receipts] == [Level.DELIVERED, Level.REGISTERED]


@pytest.mark.parametrize(
    "body", ["", "[]", '{"answer":"registered"}', '{"answer":"progress","status_code":"99"}', '{"answer":"eaten"}']
)
async def test_bad_answer_is_a_coded_problem(axis: TestAxis, interface: httpx.AsyncClient, body: str) -> None:
    delivery = await axis.deliver(axis.document())
    answer = await interface.post(f"/documents/{delivery.envelope_id}/answer", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "API.PARAMETER")


async def test_answer_about_nothing_is_a_coded_problem(axis: TestAxis, interface: httpx.AsyncClient) -> None:
    answer = await interface.post(f"/documents/{'0' * 32}/answer", json={"answer": "refused", "reason": "x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "RCT.UNKNOWN")


# --- orders --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (JSONResponse({"answer": "agreed", "note": "đồng ý"}), [("delivered", "01"), ("progress", "15")]),
        (
            JSONResponse({"answer": "agreed", "note": None, "number": None}),
            [("delivered", "01"), ("progress", "15")],
        ),
        (JSONResponse({"answer": "declined", "reason": "đã xử lý"}), [("delivered", "01"), ("progress", "16")]),
        (Response(status_code=204), [("delivered", "01")]),
        (JSONResponse({"answer": "declined"}), [("deferred", None)]),
        (JSONResponse({"answer": "registered", "number": "1"}), [("deferred", None)]),
        (Response(status_code=503), [("deferred", None)]),
        (Response(status_code=409), [("failed", None)]),
    ],
)
async def test_answer_of_the_system_to_an_order_means(
    axis: TestAxis, system: DocumentSystem, answer: Response, said: list[tuple[str, str | None]]
) -> None:
    document = await axis.deliver(sent := axis.document())
    system.answer = lambda _event: answer
    order = await axis.deliver(axis.order(sent, reason="gửi nhầm nơi nhận"))
    assert [(one.level.value, one.status_code) for one in order.receipts] == said
    event = system.events[-1]
    assert event["type"] == "order.received"
    assert (event["data"]["order"], event["data"]["reason"]) == ("recall", "gửi nhầm nơi nhận")
    assert (event["data"]["envelope_id"], event["data"]["document"]) == (order.envelope_id, None)
    assert event["data"]["targets"] == [
        {
            "envelope_id": document.envelope_id,
            "document_id": sent.document_id,
            "code": sent.code,
            "level": "delivered",
            "number": None,
        }
    ]


async def test_system_fetches_what_an_update_brings_and_decides_later(
    axis: TestAxis, interface: httpx.AsyncClient, system: DocumentSystem
) -> None:
    document = await axis.deliver(sent := axis.document())
    order = await axis.deliver(axis.order(sent, BusinessType.UPDATE, subject="Bản mới (ví dụ)"), {"moi.pdf": b"%PDF"})
    facts = system.events[-1]["data"]["document"]
    assert facts["subject"] == "Bản mới (ví dụ)"
    file = await interface.get(f"/documents/{order.envelope_id}/files/{facts['files'][0]['sha256']}")
    assert file.content == b"%PDF"
    frozen = await interface.post(
        f"/documents/{document.envelope_id}/answer", json={"answer": "registered", "number": "1"}
    )
    assert (frozen.status_code, frozen.json()["code"]) == (409, "ORD.FROZEN")
    for _ in range(2):
        path = f"/documents/{order.envelope_id}/answer"
        assert (await interface.post(path, json={"answer": "agreed", "number": "9"})).status_code == 204
    assert [one.number for one in axis.later(order).receipts] == [None, None, "9"]
    assert axis.later(document).last.level is Level.RECALLED


async def test_system_recalls_what_it_has_sent(axis: TestAxis, interface: httpx.AsyncClient) -> None:
    answer = await interface.post("/documents", data={"letter": json.dumps(_LETTER)}, files=[("file", ("a.pdf", b"x"))])
    path = f"/submissions/{answer.json()['submission_id']}/recall"
    await axis.next_sent()
    recalled = await interface.post(path, json={"reason": "sai số liệu", "addressees": [SENDER]})
    assert recalled.status_code == 202
    order = (await axis.next_sent(2)).message
    assert isinstance(order, edxml.Document)
    assert (order.business_type, order.business.reason) == (BusinessType.RECALL, "sai số liệu")
    for body, status, code in (
        ({"reason": ""}, 400, "API.PARAMETER"),
        ({"reason": "x", "addressees": []}, 400, "API.PARAMETER"),
    ):
        refused = await interface.post(path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    unknown = await interface.post("/submissions/nothing/recall", json={"reason": "x"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "ORD.NOTHING_SENT")


# --- who may call -----------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", f"Basic {_TOKEN}", f"Bearer {_TOKEN}x"])
async def test_stranger_is_not_answered(axis: TestAxis, interface: httpx.AsyncClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with httpx.AsyncClient(base_url=interface.base_url, headers=headers) as stranger:
        for method, path in (("GET", f"/documents/{'0' * 32}"), ("POST", "/documents"), ("GET", "/submissions/1")):
            answer = await stranger.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (401, "API.AUTH")
    assert not axis.sent


# --- what the system sends ------------------------------------------------------------------

_LETTER = {"to": [SENDER], "number": 15, "notation": "SKHCN-VP", "subject": "Báo cáo (ví dụ)", "signer": "Nguyễn Văn A"}


async def test_letter_with_files_is_sent_and_its_receipt_comes_back(
    axis: TestAxis, interface: httpx.AsyncClient, system: DocumentSystem
) -> None:
    answer = await interface.post(
        "/documents",
        data={"letter": json.dumps(_LETTER)},
        files=[("file", ("báo cáo.pdf", b"%PDF", "application/pdf")), ("file", ("b.pdf", b"%PDF2"))],
    )
    assert answer.status_code == 202
    sent = await axis.next_sent()
    assert sent.message is not None
    assert [ref.name for ref in sent.message.attachments] == ["báo cáo.pdf", "b.pdf"]  # type: ignore[union-attr]
    await axis.answer(sent, Registered("88"))
    async with asyncio.timeout(_SOON_S):
        while not any(one["data"].get("number") == "88" for one in system.events):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    state = (await interface.get(f"/submissions/{answer.json()['submission_id']}")).json()
    assert (state["state"], state["envelope_id"]) == ("accepted", sent.envelope_id)
    levels = [one["data"]["level"] for one in system.events if one["type"] == "receipt.received"]
    assert levels == ["accepted", "delivered", "registered"]


async def test_letter_with_a_file_that_the_gateway_will_never_take_is_shown_as_failed_with_the_reason(
    axis: TestAxis, interface: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: object) -> None:
        raise PermanentError("ATT.SIZE", "2 > 1 bytes")

    monkeypatch.setattr(axis.gateway, "upload", refuses)
    files = [("file", ("a.pdf", b"%PDF" * 100_000, "application/pdf"))]
    answer = await interface.post("/documents", data={"letter": json.dumps(_LETTER)}, files=files)
    path = f"/submissions/{answer.json()['submission_id']}"
    async with asyncio.timeout(_SOON_S):
        while (state := (await interface.get(path)).json())["state"] != "failed":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (state["code"], state["receipt"]) == ("ATT.SIZE", None)
    assert "Tệp đính kèm quá lớn" in state["reason"]


async def test_whole_edxml_message_is_sent(axis: TestAxis, interface: httpx.AsyncClient) -> None:
    sealed = axis.seal(axis.document())
    answer = await interface.post("/documents", content=sealed, headers={"content-type": "application/xml"})
    assert answer.status_code == 202
    assert (await axis.next_sent()).sealed == sealed


async def test_what_a_killed_process_was_being_sent_is_removed(tmp_path: Path, system: DocumentSystem) -> None:
    office, settings = _office(tmp_path, system.url)
    left = tmp_path / "state" / ".coming-k3j2"
    left.mkdir()
    (left / "0").write_bytes(b"%PDF")
    async with TestAxis(office, **settings), asyncio.timeout(_SOON_S):
        while not (tmp_path / "state" / "adapter.address").exists():  # noqa: ASYNC110 - a file cannot be awaited.
            await asyncio.sleep(0.02)
        assert not left.exists()


@pytest.mark.parametrize(
    ("letter", "field"),
    [
        ({}, "to"),
        (_LETTER | {"to": []}, "to"),
        (_LETTER | {"colour": "red"}, "colour"),
        (_LETTER | {"date": "x"}, "date"),
    ],
)
async def test_wrong_letter_is_told_field_by_field(
    interface: httpx.AsyncClient, letter: dict[str, Any], field: str
) -> None:
    answer = await interface.post("/documents", data={"letter": json.dumps(letter)}, files=[("file", ("a", b"x"))])
    assert (answer.status_code, answer.json()["code"]) == (400, "API.PARAMETER")
    assert field in [one["field"].split(".")[0] for one in json.loads(answer.json()["detail"])]


async def test_other_media_type_is_told(interface: httpx.AsyncClient) -> None:
    answer = await interface.post("/documents", content=b"x", headers={"content-type": "text/plain"})
    assert answer.status_code == 415


async def test_receipt_waits_while_the_system_is_down(
    axis: TestAxis, interface: httpx.AsyncClient, system: DocumentSystem
) -> None:
    system.answer = lambda _event: Response(status_code=500 if len(system.events) == 1 else 204)
    await interface.post("/documents", data={"letter": json.dumps(_LETTER)}, files=[("file", ("a.pdf", b"x"))])
    await axis.next_sent()
    async with asyncio.timeout(_SOON_S):
        while len(system.events) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert system.ids[0] == system.ids[1]
    assert system.events[0]["data"] == system.events[1]["data"]


@pytest.mark.parametrize(
    "wrong", [{"system_url": "ftp://x"}, {"webhook_secret_file": "/nothing"}, {"keep_days": 1}, {"more": 1}]
)
def test_wrong_options_are_told(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(PermanentError, match=r"CFG\.INVALID|configuration"):
        _office(tmp_path, "http://x/", **wrong)
