"""An office that has nothing but HTTP: what waits for it, what it says about it, and who hears of that."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from axis import seal
from axis.broker import Broker
from axis.dispatch.outbound import Outbound
from axis.ledger.engine import open_database
from axis.ledger.inbox import number
from axis.office.answers import Delivered, Progress, Refused, Registered
from axis.office.speech import About, Deferred, Failed, say
from axis.receipts import SignedReceipt, bundle
from axis.receipts.voice import Voice
from tests.house import COMMUNE, OTHER, SENDER, House

PDF = b"%PDF-1.7 (v\xc3\xad d\xe1\xbb\xa5)"


@asynccontextmanager
async def caller(app: FastAPI, home: House, office: str) -> AsyncIterator[httpx.AsyncClient]:
    async def sign(request: httpx.Request) -> None:
        token = seal.make_token(office, home.province.signer(office), home.at)
        request.headers["Authorization"] = f"Bearer {token}"

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False),
        base_url="http://axis",
        event_hooks={"request": [sign]},
        timeout=60,
    ) as client:
        yield client


@pytest.fixture
async def commune(app: FastAPI, home: House) -> AsyncIterator[httpx.AsyncClient]:
    async with caller(app, home, COMMUNE) as client:
        yield client


@pytest.fixture
async def sender(app: FastAPI, home: House) -> AsyncIterator[httpx.AsyncClient]:
    async with caller(app, home, SENDER) as client:
        yield client


async def _sent(home: House, **fields: Any) -> str:
    """Hand a document in, and let its attempts begin; return the envelope's id."""
    accepted = await home.accept(home.seal(home.document(**fields)))
    await home.attempt()
    return accepted.envelope_id


async def _inbox(client: httpx.AsyncClient, **asked: Any) -> dict[str, Any]:
    answer = await client.get("/v1/inbox", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _say(home: House, outcome: Any, item: dict[str, Any], *, by: str = COMMUNE, **other: Any) -> list[SignedReceipt]:
    """Sign what an office says, from what the inbox tells alone."""
    about = About(
        envelope_id=item["envelope_id"],
        envelope_digest=item["digest"],
        originator=item["originator"],
        document_id=item["document_id"],
    )
    voice = Voice(by, home.province.signer(by))
    return say(outcome, about, voice=voice, previous=item["previous_receipt"], attempt=item["attempt"], at=home.at)


async def _confirm(client: httpx.AsyncClient, item: dict[str, Any], said: list[SignedReceipt]) -> httpx.Response:
    _, body = bundle.pack([one.xml for one in said])
    return await client.post(item["links"]["confirmation"], content=body)


# --- what is shown --------------------------------------------------------------------------


async def test_what_was_sent_is_shown_with_all_that_is_needed_to_answer(
    commune: httpx.AsyncClient, home: House
) -> None:
    digest = await home.bring(SENDER, PDF)
    accepted = await home.accept(home.seal(home.document(priority=2), {"125.pdf": PDF}))
    assert await _inbox(commune) == {"items": [], "cursor": "", "more": False}  # No attempt was made yet.
    await home.attempt()
    found = await _inbox(commune)
    (item,) = found["items"]
    row = await home.row(accepted.envelope_id)
    assert found["cursor"] == item["cursor"]
    assert {name: item[name] for name in ("envelope_id", "originator", "kind", "business_type", "subject")} == {
        "envelope_id": accepted.envelope_id,
        "originator": SENDER,
        "kind": "document",
        "business_type": 0,
        "subject": "V/v rà soát (ví dụ)",
    }
    assert (item["digest"], item["previous_receipt"], item["state"]) == (row.digest, row.chain_head, "sent")
    (file,) = item["attachments"]
    assert (file["sha256"], file["name"]) == (digest, "125.pdf")
    assert (await commune.get(file["href"])).content == PDF
    assert (await commune.get(item["links"]["content"])).content == await home.ledger.sealed(accepted.envelope_id)


async def test_reading_removes_nothing_and_a_cursor_goes_on(commune: httpx.AsyncClient, home: House) -> None:
    ids = [await _sent(home) for _ in range(5)]
    first = await _inbox(commune, limit=2)
    assert ([one["envelope_id"] for one in first["items"]], first["more"]) == (ids[:2], True)
    rest = await _inbox(commune, after=first["cursor"])
    assert ([one["envelope_id"] for one in rest["items"]], rest["more"]) == (ids[2:], False)
    nothing = await _inbox(commune, after=rest["cursor"])
    assert (nothing["items"], nothing["cursor"]) == ([], rest["cursor"])
    assert [one["envelope_id"] for one in (await _inbox(commune))["items"]] == ids


async def test_nobody_sees_the_inbox_of_another(app: FastAPI, home: House) -> None:
    await _sent(home)
    for office in (OTHER, SENDER):
        async with caller(app, home, office) as client:
            assert (await _inbox(client))["items"] == []


async def test_urgent_documents_are_shown_first_and_kinds_apart(commune: httpx.AsyncClient, home: House) -> None:
    plain = await home.accept(home.seal(home.document()))
    urgent = await home.accept(home.seal(home.document(priority=3)))
    await home.attempt()
    found = await _inbox(commune, kind="document")
    assert [one["envelope_id"] for one in found["items"]] == [urgent.envelope_id, plain.envelope_id]
    assert (await _inbox(commune, kind="status"))["items"] == []
    assert (await commune.get("/v1/inbox", params={"kind": "letter"})).json()["code"] == "API.PARAMETER"
    assert (await commune.get("/v1/inbox", params={"after": "yesterday"})).json()["code"] == "API.PARAMETER"


async def test_numbers_never_go_back(home: House, ledger_url: str) -> None:
    """Also where a clock does: an office that has read on would not see what is numbered below."""
    await _sent(home)
    (first,) = await home.ledger.inbox(COMMUNE, 0, home.at, 10, None)
    await _sent(home)
    (second,) = await home.ledger.inbox(COMMUNE, first.number, home.at - timedelta(days=1), 10, None)
    assert second.number == first.number + 1
    async with open_database(ledger_url) as database:  # To look again changes nothing.
        await database.write(lambda c: number(c, COMMUNE, home.at))
    assert [one.number for one in await home.ledger.inbox(COMMUNE, 0, home.at, 10, None)] == [
        first.number,
        second.number,
    ]


async def test_two_who_look_at_once_see_the_same_numbers(home: House) -> None:
    for _ in range(4):
        await _sent(home)
    looks = await asyncio.gather(*(home.ledger.inbox(COMMUNE, 0, home.at, 10, None) for _ in range(8)))
    assert all(look == looks[0] for look in looks)
    assert len(looks[0]) == 4


# --- what is said ----------------------------------------------------------------------------


async def test_signed_receipts_end_the_delivery_and_reach_the_originator(
    commune: httpx.AsyncClient, sender: httpx.AsyncClient, home: House
) -> None:
    envelope_id = await _sent(home)
    (item,) = (await _inbox(commune))["items"]
    said = _say(home, Registered("417"), item)
    answer = await _confirm(commune, item, said)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "envelope_id": envelope_id,
        "state": "delivered",
        "business": "03",
        "receipts": [{"digest": one.digest, "repeated": False} for one in said],
    }
    assert (await _inbox(commune))["items"] == []
    again = await _confirm(commune, item, said)
    assert [one["repeated"] for one in again.json()["receipts"]] == [True, True]
    heard = (await sender.get("/v1/receipts", params={"after": ""})).json()["receipts"]
    assert [home.read(one["xml"].encode()).level for one in heard] == ["accepted", "delivered", "registered"]
    later = _say(home, Progress("06", "Đã xử lý xong (ví dụ)"), item | {"previous_receipt": said[-1].digest})
    assert (await _confirm(commune, item, later)).json()["business"] == "06"


async def test_refusal_ends_it_too(commune: httpx.AsyncClient, home: House) -> None:
    await _sent(home)
    (item,) = (await _inbox(commune))["items"]
    answer = await _confirm(commune, item, _say(home, Refused("Gửi nhầm nơi nhận (ví dụ)"), item))
    assert answer.json()["state"] == "refused"
    assert (await _inbox(commune))["items"] == []


async def test_what_was_put_off_is_shown_again_behind_every_cursor(commune: httpx.AsyncClient, home: House) -> None:
    await _sent(home)
    found = await _inbox(commune)
    (item,) = found["items"]
    assert (await _confirm(commune, item, _say(home, Deferred("đang nâng cấp (ví dụ)"), item))).json()[
        "state"
    ] == "deferred"
    assert (await _inbox(commune, after=found["cursor"]))["items"] == []
    home.pass_time(timedelta(minutes=1))
    await home.attempt()
    (again,) = (await _inbox(commune, after=found["cursor"]))["items"]
    assert (again["envelope_id"], again["attempt"], again["state"]) == (item["envelope_id"], 2, "sent")


async def test_dead_letter_is_shown_again_once_it_is_replayed(commune: httpx.AsyncClient, home: House) -> None:
    envelope_id = await _sent(home)
    found = await _inbox(commune)
    (item,) = found["items"]
    failed = _say(home, Failed("DLV.FAILED", "cột quá ngắn (ví dụ)"), item)
    assert (await _confirm(commune, item, failed)).json()["state"] == "dead"
    assert (await _inbox(commune))["items"] == []
    row = await home.row(envelope_id)
    assert await home.ledger.replay(row.delivery_id, by="operator", reason="mended", now=home.at)
    await home.attempt()
    (again,) = (await _inbox(commune, after=found["cursor"]))["items"]
    assert again["envelope_id"] == envelope_id


async def test_what_only_another_could_say_is_refused_and_moves_nothing(
    app: FastAPI, commune: httpx.AsyncClient, home: House
) -> None:
    first, second = await _sent(home, to=(COMMUNE, OTHER)), await _sent(home)
    items = {one["envelope_id"]: one for one in (await _inbox(commune))["items"]}
    forged = _say(home, Delivered(), items[first], by=OTHER)
    elsewhere = _say(home, Delivered(), items[second])
    spoilt = _say(home, Delivered(), items[first])[0]
    for body, code in (
        (forged[0].xml, "RCT.INVALID"),
        (elsewhere[0].xml, "RCT.INVALID"),
        (spoilt.xml.replace(b"delivered", b"progress_"), "SIG.DIGEST"),
        (b"<delivered/>", "RCT.INVALID"),
        (b'{"level": "delivered"}', "RCT.INVALID"),
        (b"9:abc,", "RCT.INVALID"),
        (b"", "RCT.INVALID"),
    ):
        answer = await commune.post(items[first]["links"]["confirmation"], content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert (await home.row(first)).state == (await home.row(second)).state == "sent"
    async with caller(app, home, SENDER) as stranger:
        answer = await stranger.post(items[first]["links"]["confirmation"], content=spoilt.xml)
        assert answer.json()["code"] == "API.NOT_FOUND"
    async with caller(app, home, OTHER) as other:
        answer = await other.post(items[first]["links"]["confirmation"], content=spoilt.xml)
        assert answer.json()["code"] == "RCT.INVALID"


async def test_office_on_amqp_and_its_view_over_http_agree(commune: httpx.AsyncClient, home: House) -> None:
    envelope_id = await _sent(home)
    assert len((await _inbox(commune))["items"]) == 1
    await home.say(Registered("9"), await home.row(envelope_id))  # As its adapter publishes it.
    assert (await _inbox(commune))["items"] == []


# --- waiting -----------------------------------------------------------------------------------


async def test_who_waits_is_told_promptly(commune: httpx.AsyncClient, home: House) -> None:
    waiting = asyncio.create_task(_inbox(commune, wait=20))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    began = time.monotonic()
    envelope_id = await _sent(home)
    (item,) = (await waiting)["items"]
    assert item["envelope_id"] == envelope_id
    assert time.monotonic() - began < 3


async def test_news_of_others_wakes_nobody_and_time_runs_out(commune: httpx.AsyncClient, home: House) -> None:
    waiting = asyncio.create_task(_inbox(commune, wait=1))
    await asyncio.sleep(0.2)
    await _sent(home, to=(OTHER,))
    assert (await waiting)["items"] == []


async def test_many_wait_and_the_ledger_is_asked_once_for_all(
    app: FastAPI, home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    concerned = home.ledger.concerned

    async def counting(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return await concerned(*arguments)

    monkeypatch.setattr(home.ledger, "concerned", counting)
    async with caller(app, home, COMMUNE) as one, caller(app, home, OTHER) as two:
        await asyncio.gather(*(_inbox(client, wait=1) for client in (one, one, two, two)))
        assert 1 <= asked <= 5
        before = asked
        await asyncio.sleep(0.6)
    assert asked == before  # Nobody waits, nobody asks.


async def test_gateway_that_ends_lets_nobody_wait(app: FastAPI, commune: httpx.AsyncClient) -> None:
    waiting = asyncio.create_task(_inbox(commune, wait=30))
    await asyncio.sleep(0.3)
    app.state.rooms.watch.stop()
    async with asyncio.timeout(3):
        assert (await waiting)["items"] == []


# --- nothing is published to it --------------------------------------------------------------------


class _NoBroker(Broker):
    """To publish, or to look into an inbox, would be the fault that is looked for."""

    def __init__(self) -> None:
        """Connect to nothing."""


async def test_office_that_asks_needs_no_broker(commune: httpx.AsyncClient, home: House) -> None:
    outbound = Outbound(
        ledger=home.ledger,
        broker=_NoBroker(),
        answer_within=timedelta(minutes=5),
        batch=100,
        ring=lambda: None,
        now=home.now,
        asking=lambda: (COMMUNE, SENDER),
    )
    intake = replace(home.intake, along=outbound.along)
    accepted = await intake.accept(home.seal(home.document()), submitter=SENDER, via="http")
    await outbound.finish()
    (item,) = (await _inbox(commune))["items"]
    assert (await home.row(accepted.envelope_id)).state == "sent"
    assert await home.ledger.notices_due(home.at + timedelta(hours=1), 10) == []  # The originator asks, too.

    home.pass_time(timedelta(minutes=6))
    unanswered = await home.ledger.unanswered(home.at, 10)
    await outbound.audit_inboxes(home.at, unanswered)
    row = await home.row(accepted.envelope_id)
    assert (row.state, row.attempts, row.next_at) == ("sent", 1, home.at + timedelta(minutes=5))
    assert (await _inbox(commune, after=item["cursor"]))["items"] == []

    home.pass_time(timedelta(days=6))
    (late,) = await home.ledger.expiring(home.at, 10)
    await home.answers.expire(late, home.at)
    assert (await _inbox(commune))["items"] == []
