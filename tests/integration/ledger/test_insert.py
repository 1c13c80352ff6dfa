"""Rows are on record as they were given, whatever way a database takes them."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from axis.ledger import tables as t
from axis.ledger.engine import Database, open_database
from axis.ledger.insert import insert
from tests.ledgers import build

AT = datetime(2026, 9, 1, 2, 30, 0, 123456, tzinfo=UTC)
_EVENT = {
    "envelope_id": "e1",
    "addressee": None,
    "event": "a",
    "at": AT,
    "detail": {"of": "Thường Xuân", "n": [1, None]},
}


async def _kept(database: Database, table: sa.Table, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    await database.write(lambda c: insert(c, table, rows))
    names = list(rows[0])
    order = next(iter(table.primary_key.columns))
    found = await database.read(
        lambda c: c.execute(sa.select(*(table.c[name] for name in names)).order_by(order)).all()
    )
    return [dict(row._mapping) for row in found]


async def test_rows_are_kept_as_they_were_given_and_in_their_order(ledger_url: str) -> None:
    events = [
        _EVENT | {"event": f"e{number}", "addressee": office} for number, office in enumerate(["H56.05", None, ""])
    ]
    webhook = {
        "office": "H56.05", "id": "h", "url": "https://example.vn/", "kinds": [], "secret": "{}", "made_at": AT,
        "tx": 2**40, "seq": 7, "next_at": AT, "told_at": None, "failures": 2**31 - 1,
    }  # fmt: skip
    task = {"given_by": "H56.05", "code": "T1", "given_in": None, "due_on": date(2026, 9, 30)}
    assignee = {"given_by": "H56.05", "code": "T1", "assignee": "H56.112", "status": 1, "at": AT, "was_given": True}
    buried = {"queue": "q", "kind": "", "digest": "0" * 64, "headers": {}, "body": bytes(range(256)), "at": AT}
    await build(ledger_url)
    async with open_database(ledger_url) as database:
        assert await _kept(database, t.events, events) == events
        for table, row in (
            (t.webhooks, webhook),
            (t.tasks, task),
            (t.task_assignees, assignee),
            (t.buried, buried),
        ):
            assert await _kept(database, table, [row]) == [row]
        await database.write(lambda c: insert(c, t.events, []))


async def test_rows_that_name_different_columns_are_our_mistake(ledger_url: str) -> None:
    await build(ledger_url)
    async with open_database(ledger_url) as database:
        for other in (_EVENT | {"seq": 7}, {"event": "b", "at": AT, "detail": {}}):
            with pytest.raises(ValueError, match="different columns"):
                await database.write(lambda c, other=other: insert(c, t.events, [_EVENT, other]))  # type: ignore[misc]
        found = await database.read(lambda c: c.execute(sa.select(sa.func.count()).select_from(t.events)).scalar())
    assert found == 0


async def test_what_is_too_long_for_its_column_is_not_cut_off(postgres_url: str) -> None:
    async with open_database(postgres_url) as database:
        with pytest.raises(DBAPIError):
            await database.write(lambda c: insert(c, t.events, [_EVENT | {"envelope_id": "e" * 33}]))
