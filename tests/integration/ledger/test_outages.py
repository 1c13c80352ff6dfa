"""When the ledger cannot be used just now: nothing is promised, and afterwards everything goes on."""

import asyncio
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from axis import audit
from axis.broker import Broker, topology
from axis.dispatch.clock import Bell, Dispatch
from axis.dispatch.retry import RetrySchedule
from axis.edxml import Business, BusinessType, Organization
from axis.errors import TransientError
from axis.ledger import PUT_OFF, engine
from axis.office.answers import Delivered
from axis.office.speech import Deferred
from tests.house import COMMUNE, OTHER, SENDER, House, house
from tests.postgres import PrivatePostgres

_NOWHERE = "amqp://axis@127.0.0.1:1/"
_SOON_S = 20.0


async def test_killed_postgresql_is_transient_and_forgets_nothing(
    postgres: PrivatePostgres, postgres_url: str, tmp_path: Path
) -> None:
    async with house(postgres_url, tmp_path) as home:
        before = await home.accept(home.seal(home.document()))
        second = home.seal(home.document())
        postgres.kill()
        try:
            for call in (home.ledger.ping(), home.accept(second), home.attempt()):
                with pytest.raises(TransientError) as caught:
                    await call
                assert caught.value.code == "SYS.LEDGER"
        finally:
            postgres.start()
        after = await home.accept(second)
        assert not after.duplicate
        known = {row.envelope_id for row in await home.ledger.envelopes()}
        assert known == {before.envelope_id, after.envelope_id}
        assert (await home.ledger.audit(home.at)).findings == ()


async def test_locked_sqlite_is_transient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_BUSY_S", 0)
    file = tmp_path / "ledger.sqlite"
    async with house(f"sqlite:///{file}", tmp_path) as home:
        envelope = home.seal(home.document())
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(TransientError) as caught:
                await home.accept(envelope)
            assert caught.value.code == "SYS.LEDGER"
            await home.ledger.ping()  # Reading goes on beside a writer.
        finally:
            other.execute("ROLLBACK")
            other.close()
        assert not (await home.accept(envelope)).duplicate


async def test_spool_that_cannot_be_written_is_transient(tmp_path: Path) -> None:
    async with house(f"sqlite:///{tmp_path / 'ledger.sqlite'}", tmp_path) as home:
        staging = tmp_path / "staging"
        staging.rmdir()
        staging.write_text("a file where a folder ought to be")
        with pytest.raises(TransientError) as caught:
            home.spool.stage()
        assert caught.value.code == "SYS.SPOOL"


async def test_deadlines_run_while_the_broker_is_away(home: House) -> None:
    """What nobody answered cannot be looked for then; who is late is reminded, and what is over expires."""
    unanswered = (await home.accept(home.seal(home.document(to=(OTHER,))))).envelope_id
    given = (await home.accept(home.seal(home.document()))).envelope_id
    await home.attempt()
    await home.say(Delivered(), await home.row(given))
    home.pass_time(timedelta(days=4))
    async with Broker.connect(_NOWHERE, name="test") as broker:
        outbound = home.outbound(broker)
        clockwork = Dispatch(
            outbound,
            home.answers,
            home.orders(broker),
            home.succession,
            home.ledger,
            poll=timedelta(seconds=1),
            bell=Bell(),
            now=home.now,
        )
        async with clockwork.running(), asyncio.timeout(_SOON_S):
            while not await _has(home, given, "reminded", "DUE.OVER"):  # noqa: ASYNC110 - Nobody rings.
                await asyncio.sleep(0.05)
            home.pass_time(timedelta(days=1))
            while not await _has(home, unanswered, "expired", "DLV.EXPIRED"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_what_could_not_be_published_was_no_attempt(home: House) -> None:
    """However long the broker is away: it is recalled by the axis alone, and its office is not made to wait for it later."""
    document = home.document()
    envelope_id = (await home.accept(home.seal(document))).envelope_id
    deferred = (await home.accept(home.seal(home.document(to=(OTHER,))))).envelope_id
    async with Broker.connect(_NOWHERE, name="test") as broker:
        outbound = home.outbound(broker)
        for _ in range(20):
            with pytest.raises(TransientError):
                await outbound.go_round()
            row = await home.row(envelope_id)
            assert (row.state, row.attempts, row.code, row.who_must_act) == ("queued", 0, "SYS.BROKER", "operator")
            assert row.reason
            home.pass_time(timedelta(seconds=10))
        assert [one["event"] for one in await home.ledger.events_of(envelope_id)].count("delivery.attempted") == 1
        assert (await home.ledger.audit(home.at)).findings == ()
        order = home.document(
            business=Business(BusinessType.RECALL, reason="Ban hành nhầm (ví dụ)", document_id=document.document_id)
        )
        order_id = (await home.accept(home.seal(order))).envelope_id
        await home.orders(broker).go_round()
    assert [(await home.row(one)).state for one in (envelope_id, order_id)] == ["recalled", "recalled"]
    (attempt,) = await home.attempt()
    assert (attempt.envelope_id, attempt.attempt_no) == (deferred, 1)
    assert (await home.row(deferred, OTHER)).code is None  # Why it waited is over.
    await _assert_sound(home)


async def _assert_sound(home: House) -> None:
    assert (await home.ledger.audit(home.at)).findings == ()
    checks: list[audit.Check] = [audit.History(), audit.Evidence(home.province.trust(), home.answers.voice.organ_id)]
    assert (await audit.walk(home.ledger, checks, whole=True)).findings == []


async def test_first_word_of_an_office_after_an_outage_is_its_first(home: House) -> None:
    home.answers = replace(
        home.answers, schedule=RetrySchedule(waits=(timedelta(seconds=10), timedelta(hours=1)), spread=0)
    )
    envelope_id = (await home.accept(home.seal(home.document()))).envelope_id
    async with Broker.connect(_NOWHERE, name="test") as broker:
        outbound = home.outbound(broker)
        for _ in range(3):
            with pytest.raises(TransientError):
                await outbound.go_round()
            home.pass_time(timedelta(minutes=1))
    await home.attempt()
    await home.say(Deferred("đang bảo trì (ví dụ)"), await home.row(envelope_id))
    row = await home.row(envelope_id)
    assert (row.state, row.attempts, row.next_at) == ("deferred", 1, home.at + timedelta(seconds=10))


async def test_broker_that_is_away_keeps_nobody_waiting_who_asks_the_gateway(home: House) -> None:
    async with Broker.connect(_NOWHERE, name="test") as broker:
        outbound = replace(home.outbound(broker), asking=lambda: (OTHER,))
        first = (await home.accept(home.seal(home.document(to=(COMMUNE, OTHER))))).envelope_id
        with pytest.raises(TransientError):
            await outbound.go_round()
        intake = replace(home.intake, along=outbound.along)
        sealed = home.seal(home.document(to=(COMMUNE, OTHER)))
        second = (await intake.accept(sealed, submitter=SENDER, via="amqp")).envelope_id
        third = (await home.accept(home.seal(home.document(to=(COMMUNE, OTHER))))).envelope_id
        with pytest.raises(TransientError):
            await outbound.go_round()
        await outbound.finish()
    for envelope_id in (first, second, third):
        waits, shown = await home.row(envelope_id, COMMUNE), await home.row(envelope_id, OTHER)
        assert (waits.state, waits.attempts, waits.code) == ("queued", 0, "SYS.BROKER")
        assert (shown.state, shown.attempts, shown.code) == ("sent", 1, None)


def _let_hang(patch: pytest.MonkeyPatch, inbox: str) -> None:
    """Let one inbox confirm nothing: a broker that is whole does that to nobody."""
    plain = Broker.publish

    async def hangs(self: Broker, exchange: str, routing_key: str, *args: Any, **named: Any) -> None:
        if routing_key == inbox:
            raise TransientError("SYS.BROKER")
        await plain(self, exchange, routing_key, *args, **named)

    patch.setattr(Broker, "publish", hangs)


async def test_inbox_that_does_not_confirm_keeps_nobody_else_waiting(
    home: House, pipes: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows what became of its message; that the broker takes others is found out at once."""
    _let_hang(monkeypatch, COMMUNE)
    outbound = home.outbound(pipes)
    hanging = (await home.accept(home.seal(home.document()))).envelope_id
    assert await outbound.go_round()
    intake = replace(home.intake, along=outbound.along)
    other = (await intake.accept(home.seal(home.document(to=(OTHER,))), submitter=SENDER, via="amqp")).envelope_id
    await outbound.finish()
    waits, sent = await home.row(hanging), await home.row(other, OTHER)
    assert (waits.state, waits.attempts, waits.code) == ("queued", 1, "SYS.BROKER")  # It may have got there.
    assert (sent.state, sent.attempts) == ("sent", 1)


async def test_receipts_for_an_inbox_that_does_not_confirm_keep_nobody_elses_waiting(
    home: House, pipes: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        await home.accept(home.seal(home.document()))
    await home.attempt()
    home.pass_time(timedelta(seconds=1))
    theirs = home.document(originator=Organization(OTHER, "Xã mẫu (ví dụ)"), document_id=f"{OTHER},2026/08/25,1/UBND")
    await home.accept(home.seal(theirs, by=OTHER), by=OTHER)
    await home.attempt()
    outbound = replace(home.outbound(pipes), batch=2)
    with monkeypatch.context() as patch:
        _let_hang(patch, SENDER)
        for _ in range(2):
            assert await outbound.go_round()
        assert await pipes.depth(topology.inbox(OTHER)) == 1
        for _ in range(60):
            home.pass_time(timedelta(minutes=1))
            await outbound.go_round()
        assert await home.ledger.bring_near(home.at, timedelta(hours=2)) == 0  # It is meant to wait.
    home.pass_time(PUT_OFF)
    while await outbound.go_round():
        pass
    assert await home.ledger.notices_due(home.at + timedelta(days=1), 100) == []
    assert await pipes.depth(topology.inbox(SENDER)) == 3  # Two and two together.


async def test_router_without_a_line_leaves_the_work_to_another(home: House, pipes: Broker) -> None:
    envelope_id = (await home.accept(home.seal(home.document()))).envelope_id
    async with Broker.connect(_NOWHERE, name="test") as away:
        cut_off = home.outbound(away)
        with pytest.raises(TransientError):
            await cut_off.go_round()
        home.pass_time(timedelta(seconds=2))
        with pytest.raises(TransientError):
            await cut_off.go_round()
        assert (await home.row(envelope_id)).code == "SYS.BROKER"
        assert await home.outbound(pipes).go_round()
    row = await home.row(envelope_id)
    assert (row.state, row.attempts, row.code) == ("sent", 1, None)


async def test_broker_that_is_back_gets_what_waited(home: House, pipes: Broker) -> None:
    """It is tried out with what leads nowhere, and no document is at stake."""
    envelope_id = (await home.accept(home.seal(home.document()))).envelope_id
    async with Broker.connect(_NOWHERE, name="test") as away:
        outbound = home.outbound(away)
        with pytest.raises(TransientError):
            await outbound.go_round()
        home.pass_time(timedelta(seconds=2))
        object.__setattr__(outbound, "broker", pipes)
        while await outbound.go_round():
            pass
    row = await home.row(envelope_id)
    assert (row.state, row.attempts, row.code, row.who_must_act) == ("sent", 1, None, "addressee")
    assert await pipes.depth(topology.inbox(COMMUNE)) == 1


async def _has(home: House, envelope_id: str, level: str, code: str) -> bool:
    said = [home.read(one.xml) for one in await home.ledger.receipts_of(envelope_id)]
    return (level, code) in [(one.level.value, one.code) for one in said]
