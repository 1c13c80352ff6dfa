"""When the ledger cannot be used just now: nothing is promised, and afterwards everything goes on."""

import sqlite3
from pathlib import Path

import pytest

from axis.errors import TransientError
from axis.ledger import engine
from tests.house import house
from tests.postgres import PrivatePostgres


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
