"""The calls of older axes: two offices with nothing but these, and what they may not do."""

from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI
from lxml import etree
from starlette.types import ASGIApp, Receive, Scope, Send

from axis import clock, seal
from axis.audit import History
from axis.audit.evidence import Evidence
from axis.cli import output, track
from axis.edxml import Organization, ResponseFor, Status
from axis.edxml.dialects import DIALECTS, render
from axis.errors import TransientError
from axis.gateway.compat import bodies
from axis.ledger import Ledger
from axis.receipts import Level, Party
from axis.registry import Status as Standing
from axis.registry import Unsigned
from tests.house import AXIS, COMMUNE, LIFETIME, OTHER, SENDER, STRANGER, House
from tests.integration.gateway.older import PDF, change, speaks, written
from tests.province import AT

NUMBER_OF_DAY = f"{AT.astimezone(clock.VIETNAM):%Y/%m/%d}"


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    """One kind: what the calls ask of the book is asked of both in ../ledger/test_ledger.py."""
    return f"sqlite:///{tmp_path / 'ledger.sqlite'}"


@pytest.fixture(autouse=True)
def legacy(home: House) -> None:
    """Let the sender and one commune have systems that cannot sign, and another one that only speaks a dialect."""
    speaks(home, SENDER, "edoc", Unsigned.ACCEPT)
    speaks(home, COMMUNE, "go", Unsigned.ACCEPT)
    speaks(home, OTHER, "sdk", Unsigned.REFUSE)


@asynccontextmanager
async def _system(app: ASGIApp, office: str, secret: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    # As such a system does: it also sends a token that means nothing here.
    sent = {"X-SystemId": office, "X-SecretKey": secret, "Authorization": "Bearer abc"}
    headers = httpx.Headers(sent, encoding="latin-1")
    async with httpx.AsyncClient(transport=transport, base_url="http://axis/compat/v1", headers=headers) as client:
        yield client


async def _password(home: House, office: str, ends_at: datetime | None = None) -> str:
    password = seal.make_password()
    digest = seal.password_digest(password)
    assert digest is not None
    await home.ledger.add_password(office, digest, home.now(), home.now())
    if ends_at is not None:
        await home.ledger.end_passwords(office, ends_at)
    return password


@pytest.fixture
async def sender(app: FastAPI, home: House) -> AsyncIterator[httpx.AsyncClient]:
    async with _system(app, SENDER, await _password(home, SENDER)) as client:
        yield client


@pytest.fixture
async def commune(app: FastAPI, home: House) -> AsyncIterator[httpx.AsyncClient]:
    async with _system(app, COMMUNE, await _password(home, COMMUNE)) as client:
        yield client


@pytest.fixture
async def signs(app: FastAPI, home: House) -> AsyncIterator[httpx.AsyncClient]:
    """An office that signs: its token is its secret."""
    async with _system(app, OTHER, seal.make_token(OTHER, home.province.signer(OTHER), AT)) as client:
        yield client


async def _post(client: httpx.AsyncClient, octets: bytes, **fields: str) -> httpx.Response:
    return await client.post("/sendEdoc", files={"edocFile": ("7.edxml", octets, "application/xml")}, data=fields)


async def _sent(client: httpx.AsyncClient, home: House, octets: bytes, **fields: str) -> str:
    answer = await _post(client, octets, **fields)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["success"], said["data"]["errorCode"]) == (True, "0")
    await home.attempt()
    return str(said["docId"])


async def _list(client: httpx.AsyncClient, name: str = "getReceivedEdocList", **query: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/{name}", params=query)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["success"], said["count"], said["more"]) == (True, len(said["data"]), False)
    return list(said["data"])


async def _update(client: httpx.AsyncClient, doc_id: str, status: str, **more: str) -> httpx.Response:
    return await client.post("/updateStatus", json={"docId": doc_id, "status": status, **more})


def _refused(answer: httpx.Response) -> tuple[int, str | None, str]:
    """Return the status, their number and our code of a no."""
    said = bodies.Refused.model_validate(answer.json())
    assert said.problem.status == answer.status_code
    assert said.data.error_desc.startswith(said.problem.code)
    return answer.status_code, said.data.error_code, said.problem.code


# --- an exchange -------------------------------------------------------------------------


@pytest.mark.parametrize("listing", ["getReceivedEdocList", "syncReceivedEdocList"])
async def test_document_goes_from_one_system_to_the_other(
    sender: httpx.AsyncClient, commune: httpx.AsyncClient, home: House, listing: str
) -> None:
    doc_id = await _sent(sender, home, written(), messageType="edoc")
    window = {"messageType": "edoc", "fromDate": NUMBER_OF_DAY, "toDate": NUMBER_OF_DAY}
    for _ in range(2):  # Reading removes nothing.
        (item,) = await _list(commune, listing, **window)
        assert {name: item[name] for name in ("docId", "from", "to", "status", "messageType", "serviceType")} == {
            "docId": doc_id,
            "from": SENDER,
            "to": COMMUNE,
            "status": "initial",
            "messageType": "edoc",
            "serviceType": "eDoc",
        }
        assert (await commune.get("/countReceiveEdoc")).json()["count"] == 1
        file = await commune.get("/getEdoc", params={"docId": doc_id})
        assert (file.status_code, file.headers["axis-verified"]) == (200, "no")
        assert "http://www.go.vn/eDoc" in file.text
    assert (await _list(sender, "getSentEdocList"))[0]["receiveStatus"] == "initial"

    done = await _update(commune, doc_id, "done")
    assert (done.status_code, done.json()["data"]["status"]) == (200, "done")
    assert await _list(commune, listing, **window) == []
    assert (await commune.get("/countReceiveEdoc")).json()["count"] == 0
    assert (await commune.get("/getEdoc", params={"docId": doc_id})).status_code == 200
    (row,) = await _list(sender, "getSentEdocList", docId=doc_id)
    assert (row["to"], row["sendStatus"], row["receiveStatus"]) == (COMMUNE, "done", "done")
    assert (await _list(sender, "getSentEdocList", fromDate=NUMBER_OF_DAY, toDate=NUMBER_OF_DAY)) == [row]


async def test_status_message_goes_back(sender: httpx.AsyncClient, commune: httpx.AsyncClient, home: House) -> None:
    about = await _sent(sender, home, written())
    await _update(commune, about, "done")
    status = Status(
        originator=Organization(COMMUNE),
        response_for=ResponseFor(SENDER, "7/SKHCN", f"{SENDER},2026/08/25,7/SKHCN", date(2026, 8, 25)),
        status_code="03",
        description="Đã tiếp nhận (ví dụ)",
        at=AT - timedelta(minutes=1),
    )
    doc_id = await _sent(commune, home, b"".join(render(DIALECTS["go"], status)), messageType="status")
    links = await home.ledger.links_due(home.now(), 10)
    await home.ledger.settle_links(links, {links[0].document_id: about}, [SENDER], home.now())
    await home.attempt()
    assert await _list(sender) == []
    (item,) = await _list(sender, messagetype="status")
    assert (item["docId"], item["messageType"]) == (doc_id, "status")
    assert (await sender.get("/countReceiveStatus")).json()["count"] == 1
    assert (await _update(sender, doc_id, "done")).status_code == 200
    assert await _list(sender, messageType="status") == []
    assert [one["docId"] for one in await _list(commune, "getSentEdocList", messageType="status")] == [doc_id]


async def test_file_and_json_are_the_same_message(
    sender: httpx.AsyncClient, commune: httpx.AsyncClient, home: House
) -> None:
    doc_id = await _sent(sender, home, written())
    query = {"docId": doc_id}
    file = await commune.get("/getEdoc", params=query)
    answer = await commune.get("/getEdoc", params=query, headers={"Accept": "application/json"})
    said = bodies.GivenEdoc.model_validate(answer.json()).data
    assert b64decode(said.edxml) == file.content
    assert (said.doc_id, said.from_, said.edoc_code, said.verified) == (doc_id, SENDER, "7/SKHCN", False)
    content = etree.fromstring(file.content).findtext("{*}Manifest/{*}Attachment/{*}Content")
    assert content is not None
    assert b64decode(content) == PDF


async def test_same_document_gets_the_same_id(sender: httpx.AsyncClient, home: House) -> None:
    """In the same bytes, and written anew, as such a system does."""
    doc_id = await _sent(sender, home, written())
    later = written(traces=((SENDER, datetime(2026, 8, 26, tzinfo=UTC)),))
    for octets in (written(), later):
        answer = await _post(sender, octets, messageType="edoc")
        assert (answer.json()["docId"], answer.json()["duplicate"]) == (doc_id, True)
    conflict = await _post(sender, written(subject="V/v khác (ví dụ)"))
    assert _refused(conflict) == (409, "10", "MSG.CONFLICT")
    assert len(await home.ledger.envelopes()) == 1


async def test_what_came_days_ago_is_in_the_list_of_today(
    sender: httpx.AsyncClient, commune: httpx.AsyncClient, home: House
) -> None:
    doc_id = await _sent(sender, home, written())
    home.pass_time(timedelta(days=3))
    today = f"{home.now().astimezone(clock.VIETNAM):%Y/%m/%d}"
    assert [one["docId"] for one in await _list(commune, fromDate=today, toDate=today)] == [doc_id]
    yesterday = f"{(AT - timedelta(days=1)).astimezone(clock.VIETNAM):%Y/%m/%d}"
    assert await _list(commune, fromDate=yesterday, toDate=yesterday) == []
    assert await _list(sender, "getSentEdocList", fromDate=today) == []
    assert [one["docId"] for one in await _list(sender, "getSentEdocList")] == [doc_id]


async def test_long_list_is_listed_whole(
    sender: httpx.AsyncClient, commune: httpx.AsyncClient, home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axis.gateway.compat.routes._PAGE", 2)
    sent = [await _sent(sender, home, written(document_id=f"{SENDER},2026/08/25,{n}/SKHCN")) for n in range(5)]
    assert [one["docId"] for one in await _list(commune)] == sent
    monkeypatch.setattr("axis.gateway.compat.routes._MOST", 3)
    for name, client in (("getReceivedEdocList", commune), ("getSentEdocList", sender)):
        said = (await client.get(f"/{name}")).json()
        assert (said["count"], len(said["data"]), said["more"]) == (3, 3, True)


# --- who has said it ----------------------------------------------------------------------


async def test_axis_writes_down_what_an_office_does_not_sign(
    sender: httpx.AsyncClient, commune: httpx.AsyncClient, home: House, capsys: pytest.CaptureFixture[str]
) -> None:
    doc_id = await _sent(sender, home, written())
    for _ in range(3):  # Said again, it changes nothing.
        assert (await _update(commune, doc_id, "done")).json()["data"]["status"] == "done"
    said = [home.read(one.xml) for one in await home.ledger.receipts_of(doc_id)]
    assert [one.level for one in said] == [Level.ACCEPTED, Level.DELIVERED]
    assert (said[1].issuer, said[1].addressee, said[1].party, said[1].verified) == (AXIS, COMMUNE, Party.NOTARY, False)
    assert (said[1].code, said[1].status_code) == ("RCT.NOTARY", "01")
    assert "did not sign" in said[1].reason
    row = await home.row(doc_id)
    assert (row.state, row.register_by is not None) == ("delivered", True)  # Its clocks run like anybody's.
    # Everywhere where it is shown.
    (envelope,) = await home.ledger.envelopes()
    story = await track._story(home.ledger, envelope)
    assert [one["verified"] for one in story["receipts"]] == [True, False]
    track._show(story)
    assert output.BY_NOTARY.split(":")[0] in capsys.readouterr().out
    # And to those who audit.
    evidence, history = Evidence(home.province.trust(), AXIS), History()
    stories = [one async for one in home.ledger.stories(whole=True)]
    assert [found for one in stories async for found in evidence.story(one)] == []
    assert [found for one in stories async for found in history.story(one)] == []
    assert (await home.ledger.audit(home.now())).findings == ()


async def test_originator_is_told_that_it_is_not_signed(app: FastAPI, sender: httpx.AsyncClient, commune: httpx.AsyncClient, home: House) -> None:  # fmt: skip
    doc_id = await _sent(sender, home, written())
    await _update(commune, doc_id, "done")
    token = seal.make_token(SENDER, home.province.signer(SENDER), AT)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://axis/v1", headers=headers) as client:
        receipts = (await client.get(f"/envelopes/{doc_id}/receipts")).json()["receipts"]
        assert [(one["level"], one["verified"]) for one in receipts] == [("accepted", True), ("delivered", False)]
        heard = (await client.get("/receipts")).json()["receipts"]
        assert [(one["level"], one["verified"]) for one in heard] == [("accepted", True), ("delivered", False)]
        events = (await client.get("/events")).json()["events"]
        assert [(one["event"], one.get("verified")) for one in events if one["event"].startswith("receipt")] == [
            ("receipt.delivered", False)
        ]


@pytest.mark.parametrize(
    ("status", "state", "business"),
    [("fail", "refused", "02"), ("02", "refused", "02"), ("01", "delivered", None), ("03", "delivered", "03"), ("06", "delivered", "06")],
)  # fmt: skip
async def test_every_status_means_what_the_table_says(sender: httpx.AsyncClient, commune: httpx.AsyncClient, home: House, status: str, state: str, business: str | None) -> None:  # fmt: skip
    doc_id = await _sent(sender, home, written())
    answers = [await _update(commune, doc_id, status, reason="Sai nơi nhận (ví dụ)") for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    row = await home.row(doc_id)
    assert (row.state, row.business) == (state, business)
    (said,) = [home.read(one.xml) for one in (await home.ledger.receipts_of(doc_id))[1:]]
    assert said.reason.endswith("Sai nơi nhận (ví dụ)")
    assert (said.who_must_act == "originator") == (state == "refused")
    assert await _list(commune) == []


async def test_work_is_reported_step_by_step(sender: httpx.AsyncClient, commune: httpx.AsyncClient, home: House) -> None:  # fmt: skip
    doc_id = await _sent(sender, home, written())
    for status in ("done", "03", "03", "05", "04", "05", "05", "06", "done"):
        assert (await _update(commune, doc_id, status)).status_code == 200
    levels = [(one.level, home.read(one.xml).status_code) for one in await home.ledger.receipts_of(doc_id)]
    assert [code for _, code in levels] == [None, "01", "03", "05", "04", "05", "06"]
    (row,) = await _list(sender, "getSentEdocList", docId=doc_id)
    assert row["business"] == "06"


@pytest.mark.parametrize("status", ["processing", "initial"])
async def test_processing_keeps_it_in_the_list(sender: httpx.AsyncClient, commune: httpx.AsyncClient, home: House, status: str) -> None:  # fmt: skip
    doc_id = await _sent(sender, home, written())
    assert (await _update(commune, doc_id, status)).json()["data"]["status"] == "initial"
    assert [one["docId"] for one in await _list(commune)] == [doc_id]
    assert len(await home.ledger.receipts_of(doc_id)) == 1


async def test_office_that_signs_confirms_with_its_signature(
    sender: httpx.AsyncClient, signs: httpx.AsyncClient, home: House
) -> None:
    doc_id = await _sent(sender, home, written(addressees=(Organization(OTHER),)))
    assert [one["docId"] for one in await _list(signs)] == [doc_id]
    for status in ("done", "fail", "03"):
        answer = await _update(signs, doc_id, status)
        assert _refused(answer) == (403, "20", "RCT.UNSIGNED")
        assert f"/v1/inbox/{doc_id}/confirmation" in answer.json()["problem"]["violations"][0]["en"]
    assert (await home.row(doc_id, OTHER)).state == "sent"
    assert len(await home.ledger.receipts_of(doc_id)) == 1


async def test_word_that_comes_too_late_is_kept_once(
    sender: httpx.AsyncClient, commune: httpx.AsyncClient, home: House
) -> None:
    doc_id = await _sent(sender, home, written())
    home.pass_time(LIFETIME + timedelta(minutes=1))
    await home.answers.expire(await home.row(doc_id), home.now())
    for _ in range(2):
        answer = await _update(commune, doc_id, "done")
        assert (answer.status_code, answer.json()["data"]["status"]) == (200, "fail")
    assert (await home.row(doc_id)).state == "expired"
    levels = [one.level for one in await home.ledger.receipts_of(doc_id)]
    assert levels == ["accepted", "expired", "delivered"]
    assert [one["event"] for one in await home.ledger.events_of(doc_id)][-1] == "receipt.delivered.late"


async def test_stranger_confirms_nothing(app: FastAPI, sender: httpx.AsyncClient, home: House) -> None:
    doc_id = await _sent(sender, home, written())
    speaks(home, STRANGER, "sdk", Unsigned.ACCEPT)
    async with _system(app, STRANGER, await _password(home, STRANGER)) as stranger:
        for id_ in (doc_id, "0" * 32):
            assert _refused(await _update(stranger, id_, "done")) == (404, "20", "API.NOT_FOUND")
            assert _refused(await stranger.get("/getEdoc", params={"docId": id_})) == (404, "20", "API.NOT_FOUND")
            assert (await stranger.get("/getSentEdocList", params={"docId": id_})).status_code == 404
        assert await _list(stranger) == []
    # Who sent it does not say for the addressee that it has come.
    assert _refused(await _update(sender, doc_id, "done"))[0] == 404


# --- who calls ----------------------------------------------------------------------------


async def test_password_opens_what_its_office_has_until_it_ends(app: FastAPI, home: House) -> None:
    first = await _password(home, COMMUNE)
    digest = seal.password_digest(second := seal.make_password())
    assert digest is not None
    await home.ledger.add_password(COMMUNE, digest, home.now(), home.now() + timedelta(hours=1))
    for password in (first, second):
        async with _system(app, COMMUNE, password) as system:
            assert await _list(system) == []
    home.pass_time(timedelta(hours=1))
    async with _system(app, COMMUNE, first) as system:
        assert _refused(await system.get("/getReceivedEdocList")) == (401, "15", "API.AUTH")
    async with _system(app, COMMUNE, second) as system:
        assert await _list(system) == []
        assert await home.ledger.end_passwords(COMMUNE, home.now()) == 1
        assert _refused(await system.get("/getReceivedEdocList"))[0] == 401
    assert await home.ledger.end_passwords(COMMUNE, home.now()) == 0
    assert [one.is_good(home.now()) for one in await home.ledger.passwords(COMMUNE)] == [False, False]


async def test_password_is_kept_as_a_digest(home: House) -> None:
    password = await _password(home, COMMUNE)
    (row,) = await home.ledger.passwords()
    assert row.digest == sha256(password.encode()).hexdigest()
    assert password not in str(row)


async def test_who_proves_nothing_is_told_nothing(app: FastAPI, home: House) -> None:
    good = await _password(home, COMMUNE)
    token = seal.make_token(OTHER, home.province.signer(OTHER), AT)
    callers = {
        "no secret": (COMMUNE, ""),
        "nonsense": (COMMUNE, "axp_" + "x" * 43),
        "no ASCII": (COMMUNE, "axp_" + "x" * 42 + "\xe9"),
        "another's password": (SENDER, good),
        "another's token": (SENDER, token),
        "nobody's name": ("H56.888", good),
        "no name": ("", good),
    }
    for who, (office, secret) in callers.items():
        async with _system(app, office, secret) as system:
            answer = await system.get("/getReceivedEdocList")
            assert _refused(answer) == (401, "15", "API.AUTH"), who


async def test_certificate_of_the_connection_is_enough_and_must_say_the_same(app: FastAPI, home: House) -> None:
    def over_tls(office: str) -> ASGIApp:
        shown = home.province.signer(office).certificate.public_bytes(Encoding.PEM).decode()

        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "extensions": {"tls": {"client_cert_chain": [shown]}}}, receive, send)

        return served

    password = await _password(home, COMMUNE)
    for by, office, secret, status in (
        (OTHER, OTHER, "", 200),
        (COMMUNE, COMMUNE, password, 200),
        (OTHER, COMMUNE, password, 401),
        (OTHER, COMMUNE, "", 401),
    ):
        async with _system(over_tls(by), office, secret) as system:
            assert (await system.get("/getReceivedEdocList")).status_code == status, (by, office)


async def test_password_is_worth_nothing_once_the_roll_takes_no_unsigned(app: FastAPI, home: House) -> None:
    async with _system(app, COMMUNE, await _password(home, COMMUNE)) as system:
        assert await _list(system) == []
        speaks(home, COMMUNE, "go", Unsigned.REFUSE)
        assert _refused(await system.get("/getReceivedEdocList")) == (401, "15", "API.AUTH")


async def test_any_form_of_the_code_names_the_office(app: FastAPI, home: House) -> None:
    change(home, COMMUNE, code102="000.12.31.H56")
    async with _system(app, "000.12.31.H56", await _password(home, COMMUNE)) as system:
        assert await _list(system) == []


async def test_suspended_office_reads_and_brings_nothing(
    app: FastAPI, sender: httpx.AsyncClient, commune: httpx.AsyncClient, home: House
) -> None:
    doc_id = await _sent(sender, home, written())
    change(home, COMMUNE, status=Standing.SUSPENDED)
    assert [one["docId"] for one in await _list(commune)] == [doc_id]
    assert _refused(await _update(commune, doc_id, "done")) == (403, "19", "MSG.NOT_ALLOWED")


# --- noes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"khong phai XML", (400, "10", "ENV.NOT_WELL_FORMED")),
        (b"<edXML/>", (400, "22", "ENV.WRONG_ROOT")),
        (written(addressees=(Organization("H56.999"),)), (422, "18", "MSG.UNKNOWN_ADDRESSEE")),
        (written(originator=Organization(OTHER)), (403, "19", "MSG.WRONG_SENDER")),
        (written(type_name="Công văn mật (ví dụ)"), (400, "22", "RULE.DOCUMENT_TYPE")),
        (written().replace(b"7.pdf", b"../7.pdf"), (400, "21", "ATT.NAME")),
    ],
)
async def test_no_is_said_in_their_words_and_ours(
    sender: httpx.AsyncClient, home: House, octets: bytes, expected: tuple[int, str, str]
) -> None:
    answer = await _post(sender, octets)
    assert _refused(answer) == expected
    problem = answer.json()["problem"]
    assert home.read(problem["receipt"].encode()).violations[0].code == expected[2]
    assert await home.ledger.envelopes() == []


@pytest.mark.parametrize("standing", [Standing.CLOSED, Standing.SUSPENDED])
async def test_addressee_that_takes_no_part_is_locked(sender: httpx.AsyncClient, home: House, standing: Standing) -> None:  # fmt: skip
    change(home, COMMUNE, status=standing)
    assert _refused(await _post(sender, written()))[1] == "23"


async def test_what_may_be_tried_again_has_no_number(
    sender: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: Any, **__: Any) -> None:
        raise TransientError("SYS.LEDGER")

    monkeypatch.setattr(Ledger, "take_custody", down)
    answer = await _post(sender, written())
    assert _refused(answer) == (503, None, "SYS.LEDGER")
    assert answer.headers["Retry-After"]
    monkeypatch.undo()

    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr(Ledger, "waiting", broken)
    answer = await sender.get("/countReceiveEdoc")
    assert _refused(answer) == (500, None, "SYS.INTERNAL")
    assert "secret of the house" not in answer.text


async def test_office_that_asks_too_much_is_told_when_to_come_again(sender: httpx.AsyncClient, app: FastAPI) -> None:
    desk = app.state.rooms.desk
    with desk.place(SENDER), desk.place(SENDER), desk.place(SENDER), desk.place(SENDER):
        answer = await sender.get("/countReceiveEdoc")
    assert _refused(answer) == (429, None, "API.BUSY")
    assert answer.headers["Retry-After"] == "2"


_END = b"\r\n--b--\r\n"


def _part(name: str, content: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + content + b"\r\n"


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        ("application/xml", written(), "API.MEDIA_TYPE"),
        ("multipart/form-data", _part("edocFile", written()) + _END, "API.MEDIA_TYPE"),
        ("multipart/form-data; boundary=" + "b" * 300, _part("edocFile", written()) + _END, "API.MEDIA_TYPE"),
        ("multipart/form-data; boundary=b", _part("edocFile", written()), "API.PARAMETER"),
        ("multipart/form-data; boundary=b", _part("messageType", b"edoc") + _END[2:], "API.PARAMETER"),
        ("multipart/form-data; boundary=b", b"nothing of the kind", "API.PARAMETER"),
        (
            "multipart/form-data; boundary=b",
            _part("edocFile", written()) + _part("edocFile", written()) + _END[2:],
            "API.PARAMETER",
        ),
        (
            "multipart/form-data; boundary=b",
            _part("edocFile", written()) + _part("messageType", b"fax") + _END[2:],
            "API.PARAMETER",
        ),
        (
            "multipart/form-data; boundary=b",
            _part("messageType", b"x" * 201) + _part("edocFile", written()) + _END[2:],
            "API.PARAMETER",
        ),
        (
            "multipart/form-data; boundary=b",
            b"".join(_part(str(n), b"") for n in range(21)) + _part("edocFile", written()) + _END[2:],
            "API.PARAMETER",
        ),
    ],
)
@pytest.mark.parametrize("office", [SENDER, OTHER])
async def test_what_is_no_such_form_is_refused_and_nothing_is_kept(
    app: FastAPI, home: House, office: str, kind: str, body: bytes, code: str
) -> None:
    """Of an office that speaks a dialect, and of one that speaks none."""
    if office == OTHER:
        change(home, OTHER, dialect=None)
    async with _system(app, office, seal.make_token(office, home.province.signer(office), AT)) as system:
        answer = await system.post("/sendEdoc", content=body, headers={"Content-Type": kind})
    assert _refused(answer)[1:] == ("20", code)
    assert await home.spool.used_bytes() == 0
    assert await home.ledger.rejections() == []


async def test_type_may_stand_before_the_file_and_in_capitals(sender: httpx.AsyncClient) -> None:
    body = _part("messageType", b"EDOC") + _part("edocFile", written()) + _END[2:]
    answer = await sender.post("/sendEdoc", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("query", [{"fromDate": "25/08/2026"}, {"toDate": "2026/02/30"}, {"messageType": "fax"}])
async def test_wrong_parameter_is_named(commune: httpx.AsyncClient, query: dict[str, str]) -> None:
    for name in ("getReceivedEdocList", "getSentEdocList"):
        assert _refused(await commune.get(f"/{name}", params=query)) == (400, "20", "API.PARAMETER")


async def test_unknown_status_is_named(commune: httpx.AsyncClient) -> None:
    assert _refused(await _update(commune, "0" * 32, "xong"))[2] == "API.PARAMETER"


# --- the roll ---------------------------------------------------------------------------------


async def test_agencies_are_those_to_which_one_can_send(commune: httpx.AsyncClient, home: House) -> None:
    change(home, STRANGER, status=Standing.CLOSED)
    said = (await commune.get("/getAgenciesList")).json()
    assert [one["code"] for one in said["data"]] == [SENDER, COMMUNE, OTHER]
    assert said["data"][0] == {
        "code": SENDER,
        "name": f"{SENDER} (ví dụ)",
        "pcode": None,
        "code102": None,
        "oldCode": [],
        "orgCode": SENDER,
        "orgName": f"{SENDER} (ví dụ)",
        "parentCode": None,
    }
    two = (await commune.get("/getAgenciesListQD20", params={"level": 2})).json()
    assert two["data"] == said["data"]
    assert (await commune.get("/getAgenciesListQD20", params={"level": 1})).json()["count"] == 0
