"""When the ledger cannot be used just now: nothing is promised, and afterwards everything goes on."""

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from axis.broker import Broker
from axis.dispatch.clock import Bell, Dispatch
from axis.dispatch.outbound import Outbound
from axis.errors import TransientError
from axis.ledger import engine
from axis.office.answers import Delivered
from tests.house import OTHER, House, house
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


def _without_broker(home: House, broker: Broker) -> Outbound:
    return Outbound(
        ledger=home.ledger,
        broker=broker,
        answer_within=timedelta(minutes=5),
        batch=100,
        ring=lambda: None,
        now=home.now,
    )


async def test_deadlines_run_while_the_broker_is_away(home: House) -> None:
    """What nobody answered cannot be looked for then; who is late is reminded, and what is over expires."""
    unanswered = (await home.accept(home.seal(home.document(to=(OTHER,))))).envelope_id
    given = (await home.accept(home.seal(home.document()))).envelope_id
    await home.attempt()
    await home.say(Delivered(), await home.row(given))
    home.pass_time(timedelta(days=4))
    async with Broker.connect(_NOWHERE, name="test") as broker:
        outbound = _without_broker(home, broker)
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


async def _has(home: House, envelope_id: str, level: str, code: str) -> bool:
    said = [home.read(one.xml) for one in await home.ledger.receipts_of(envelope_id)]
    return (level, code) in [(one.level.value, one.code) for one in said]
