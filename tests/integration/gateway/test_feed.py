"""The feed: what concerns an office, in an order that nothing comes in behind, from any place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from axis.edxml import Organization
from axis.gateway import feed as served
from axis.ledger import BEGINNING, feed
from axis.ledger import tables as t
from axis.ledger.backup import resume
from axis.ledger.engine import open_database
from axis.office.answers import Registered
from tests.house import COMMUNE, OTHER, SENDER, STRANGER, House, house
from tests.integration.gateway.test_inbox import caller


async def _read(client: httpx.AsyncClient, **asked: Any) -> dict[str, Any]:
    answer = await client.get("/v1/events", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _registered(home: House, *, to: tuple[str, ...] = (COMMUNE,)) -> str:
    accepted = await home.accept(home.seal(home.document(to=to)))
    await home.attempt()
    for office in to:
        await home.say(Registered("417"), await home.row(accepted.envelope_id, office))
    return accepted.envelope_id


async def test_each_office_reads_what_concerns_it(app: FastAPI, home: House) -> None:
    envelope_id = await _registered(home, to=(COMMUNE, OTHER))
    said = ["delivery.attempted", "receipt.delivered", "receipt.registered"]
    async with caller(app, home, SENDER) as sender, caller(app, home, COMMUNE) as commune:
        whole = await _read(sender)
        own = await _read(commune)
    async with caller(app, home, STRANGER) as stranger:
        assert (await _read(stranger))["events"] == []
    assert sorted(one["event"] for one in whole["events"]) == sorted(["envelope.accepted", *said, *said])
    assert [one["event"] for one in own["events"]] == said
    last = own["events"][-1]
    assert (last["envelope_id"], last["originator"], last["addressee"]) == (envelope_id, SENDER, COMMUNE)
    assert (last["state"], len(last["digest"])) == ("delivered", 64)


async def test_feed_is_read_on_from_a_cursor_and_again_from_any_place(app: FastAPI, home: House) -> None:
    for _ in range(3):
        await _registered(home)
    async with caller(app, home, SENDER) as sender:
        whole = await _read(sender)
        assert not whole["more"]
        pieces, cursor, more = [], "", True
        while more:
            found = await _read(sender, after=cursor, limit=5)
            pieces += found["events"]
            cursor, more = found["cursor"], found["more"]
        assert pieces == whole["events"]
        third = whole["events"][2]["cursor"]
        assert (await _read(sender, after=third))["events"] == whole["events"][3:]
        assert (await sender.get("/v1/events", params={"after": "x"})).json()["code"] == "API.PARAMETER"


async def test_an_office_with_little_news_is_not_sent_back_empty(
    app: FastAPI, home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look goes over a bounded stretch, and is followed by others."""
    monkeypatch.setattr(feed, "STRETCH", 4)
    for _ in range(3):
        await _registered(home, to=(OTHER,))
    await _registered(home)
    async with caller(app, home, COMMUNE) as commune:
        found = await _read(commune, limit=2)
        assert [one["event"] for one in found["events"]] == ["delivery.attempted", "receipt.delivered"]
        rest = await _read(commune, after=found["cursor"], limit=2)
        assert [one["event"] for one in rest["events"]] == ["receipt.registered"]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/receipts"])
@pytest.mark.parametrize("wait", [0, 20])
async def test_an_answer_says_how_far_it_came_where_looking_takes_long(
    app: FastAPI, home: House, monkeypatch: pytest.MonkeyPatch, path: str, wait: int
) -> None:
    """No caller waits for all that has happened to others; it goes on from there, and misses nothing."""
    monkeypatch.setattr(feed, "STRETCH", 4)
    monkeypatch.setattr(served, "_LOOKING_S", 0.0)
    for _ in range(3):
        await _registered(home)
    theirs = home.document(to=(COMMUNE,), originator=Organization(OTHER), document_id=f"{OTHER},2026/08/25,1/A")
    await home.accept(home.seal(theirs, by=OTHER), by=OTHER)
    found: list[dict[str, Any]] = []
    empty, cursor = 0, ""
    async with caller(app, home, OTHER) as reader:
        while not found:
            said = (await reader.get(path, params={"after": cursor, "wait": wait})).json()
            found = said[path.rpartition("/")[2]]
            assert found or (said["more"] and said["cursor"] != cursor)
            empty, cursor = empty + (not found), said["cursor"]
        said = (await reader.get(path, params={"after": cursor})).json()
    assert empty > 1
    assert [one.get("event", one.get("level")) for one in found] == [
        "envelope.accepted" if path == "/v1/events" else "accepted"
    ]
    assert not said["more"]


async def test_who_waits_for_events_is_told(app: FastAPI, home: House) -> None:
    async with caller(app, home, SENDER) as sender:
        waiting = asyncio.create_task(_read(sender, wait=20))
        await asyncio.sleep(0.4)
        await home.accept(home.seal(home.document()))
        async with asyncio.timeout(5):
            found = await waiting
    assert [one["event"] for one in found["events"]] == ["envelope.accepted"]


async def test_reader_without_a_cursor_begins_thirty_days_ago(app: FastAPI, home: House) -> None:
    for _ in range(3):
        await home.accept(home.seal(home.document()))
    async with caller(app, home, SENDER) as sender:
        old = await _read(sender)
        home.pass_time(timedelta(days=29))
        late = await home.accept(home.seal(home.document()))
        assert len((await _read(sender))["events"]) == 4
        home.pass_time(timedelta(days=2))
        assert [one["envelope_id"] for one in (await _read(sender))["events"]] == [late.envelope_id]
        behind = await _read(sender, after=old["events"][0]["cursor"])
        assert len(behind["events"]) == 3  # A cursor is honoured, however old.


async def test_receipts_are_read_in_order_by_the_originator_alone(app: FastAPI, home: House) -> None:
    first = await _registered(home)
    second = await _registered(home)
    async with caller(app, home, SENDER) as sender, caller(app, home, COMMUNE) as commune:
        found = (await sender.get("/v1/receipts")).json()
        levels = ["accepted", "delivered", "registered"]
        assert [(one["envelope_id"], one["level"]) for one in found["receipts"]] == [
            *((first, level) for level in levels),
            *((second, level) for level in levels),
        ]
        for one in found["receipts"]:
            assert home.read(one["xml"].encode()).level == one["level"]
        rest = (await sender.get("/v1/receipts", params={"after": found["receipts"][3]["cursor"]})).json()
        assert [one["level"] for one in rest["receipts"]] == levels[1:]
        nothing = (await sender.get("/v1/receipts", params={"after": found["cursor"]})).json()
        assert (nothing["receipts"], nothing["cursor"]) == ([], found["cursor"])
        assert (await commune.get("/v1/receipts")).json()["receipts"] == []


@pytest.mark.parametrize("path", ["/v1/events", "/v1/receipts"])
async def test_book_that_was_restored_is_read_on_from_a_cursor_that_it_has(
    app: FastAPI, home: House, ledger_url: str, path: str
) -> None:
    await _registered(home)
    async with caller(app, home, SENDER) as sender:
        whole = (await sender.get(path)).json()
        kept = path.rpartition("/")[2]
        async with open_database(ledger_url) as database:
            await database.write(lambda c: resume(c, home.at, home.at))
        rest = (await sender.get(path, params={"after": whole[kept][0]["cursor"]})).json()
        assert rest[kept] == whole[kept][1:]
        await _registered(home)
        news = (await sender.get(path, params={"after": whole["cursor"]})).json()
        assert len(news[kept]) == len(whole[kept])
        assert (await sender.get(path, params={"after": news["cursor"]})).json()[kept] == []


@pytest.mark.parametrize("wait", [0, 20])
async def test_reader_whose_cursor_is_of_a_life_that_is_lost_is_told_again(
    app: FastAPI, home: House, ledger_url: str, wait: int
) -> None:
    """Its readers remember more than the book does: whatever they bring, they pass by nothing."""
    await _registered(home)
    async with open_database(ledger_url) as database:
        await database.write(lambda c: resume(c, home.at, home.at))
    lost = [feed.cursor(number, home.at + timedelta(seconds=1)) for number in (1, 3, 999_999)]
    far = [f"{2**63 - 1}"[:18] + "-2", f"{10**15}-2"]
    async with caller(app, home, SENDER) as sender:
        whole = await _read(sender)
        assert len(whole["events"]) == 4
        for cursor in (*lost, *far, "999999-999999", "0-0", "0-3", "5000000-3"):
            assert await _read(sender, after=cursor, wait=wait) == whole


# --- PostgreSQL commits in any order ------------------------------------------------------------


@asynccontextmanager
async def _session(url: str) -> AsyncIterator[AsyncConnection]:
    """A session of its own, in which a test writes step by step."""
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), poolclass=sa.NullPool)
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def test_what_is_committed_late_is_not_passed_by(tmp_path: Any, postgres_url: str) -> None:
    """One transaction numbers its event first and commits last; another, and a reader, come in between."""
    async with house(postgres_url, tmp_path) as home, _session(postgres_url) as late:
        row = {"event": "receipt.refused", "addressee": COMMUNE, "at": home.at, "detail": {"digest": "late"}}
        # The worst order: its event has a number before the transaction has one.
        seq = await late.scalar(sa.text("SELECT nextval(pg_get_serial_sequence('events', 'seq'))"))
        await late.commit()
        await _registered(home)
        early = await home.ledger.events_for(COMMUNE, BEGINNING, 100, now=home.at)
        assert len(early.rows) == 3
        await late.execute(sa.insert(t.events), [row | {"seq": seq}])
        await _registered(home)
        held = await home.ledger.events_for(COMMUNE, early.until, 100, now=home.at)
        assert (held.rows, held.until) == ((), early.until)  # The second document waits for the slow one.
        await late.commit()
        rest = await home.ledger.events_for(COMMUNE, early.until, 100, now=home.at)
        assert await home.ledger.feed_place(rest.cursor, home.at) == rest.until
    assert rest.rows[0]["detail"] == {"digest": "late"}
    assert len(rest.rows) == 4
    assert rest.rows[0]["seq"] < early.rows[0]["seq"]
