"""Growth: what is asked for every document, or every second, is answered from an index, however much has ended."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from axis.ledger import Asked, audit, custody, deliveries, links, standing
from axis.ledger import tables as t
from axis.ledger.engine import Database, Work, open_database
from tests import ledgers
from tests.province import AT

_GROWING = ("deliveries", "envelopes", "envelope_attachments", "receipts", "events", "uploads", "rejections")

_ATTEMPT: Any = SimpleNamespace(numbered=(1, 1), is_probe=False, envelope_id="e", addressee="o")
_ROW: Any = SimpleNamespace(expires_at=AT, delivery_id=1)
_ASKED: dict[str, Work[Any]] = {
    "is anything due": lambda c: deliveries.due(c, AT),
    "attempts": lambda c: deliveries.begin_attempts(c, AT, timedelta(minutes=5), 100),
    "silence": lambda c: deliveries.unanswered(c, AT, 100),
    "delays": lambda c: [
        deliveries.not_leaving(c, AT, AT, None, 100),
        deliveries.not_leaving(c, AT, AT, _ROW, 100),
    ],
    "what waits for the broker": lambda c: deliveries.show_why(c, AT, "SYS.BROKER", ("o",), 100),
    "attempts at some offices": lambda c: deliveries.begin_attempts(c, AT, timedelta(minutes=5), 100, ("o", "p")),
    "a probe": lambda c: deliveries.least_tried(c, "o", AT),
    "what orders say": lambda c: links.unsettled(c, "e", "replace"),
    "expiry": lambda c: deliveries.expiring(c, AT, 100),
    "notices": lambda c: deliveries.notices_due(c, AT, timedelta(seconds=30), 100),
    "notices to put off": lambda c: deliveries.put_off_notices(c, "o", AT),
    "receipts": lambda c: deliveries.record(
        c, [Asked(envelope_id=one, addressee=one, decide=lambda _row: None, digest=one) for one in ("a", "b", "c")]
    ),
    "receipts about many circulars": lambda c: deliveries.record(
        c, [Asked(envelope_id=one, addressee=one, decide=lambda _row: None, digest=one) for one in "abcdefgh"]
    ),
    "what goes again": lambda c: deliveries.put_back(c, [(1, 1), (2, 1)], AT, "SYS.BROKER"),
    "what waits on": lambda c: deliveries.extend_wait(c, [(1, 1), (2, 1)], AT),
    "what has not left": lambda c: deliveries.unmake(c, [_ATTEMPT, _ATTEMPT], AT, "SYS.BROKER", AT),
    "one delivery": lambda c: deliveries.one(c, "e", "o"),
    "a clock that was ahead": lambda c: deliveries.too_far(c, AT, timedelta(hours=2)),
    "what it has put off": lambda c: deliveries.bring_near(c, AT, timedelta(hours=2)),
    "who answers late": lambda c: c.execute(deliveries._WAITING, {"offices": ["o", "p"], "since": AT}),
    "a heartbeat": lambda c: deliveries.heartbeat(c, "o", AT, "", 0),
    "which files of many": lambda c: custody.readable(c, [("o", "d"), ("o", "e"), ("p", "d")]),
    "the same bytes": lambda c: custody.accepted_bytes(c, "o", "d"),
    "for whom something is held": deliveries.held_for,
    "what is held": lambda c: deliveries.held(c, None),
    "what is held for an office": lambda c: deliveries.held(c, "o"),
    "who takes part again": lambda c: deliveries.release(c, "o", AT),
    "whether it is judged": lambda c: deliveries.is_unjudged(c, "e"),
    "gauges": lambda c: audit.figures(c, AT),
    "reminders": lambda c: deliveries.to_remind(c, AT, 100),
    "deadlines that run": lambda c: standing.running(c, AT, None, 100),
    "who is late": lambda c: standing.overdue(c, AT),
}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    await ledgers.build(url)
    async with open_database(url) as opened:
        yield opened


@pytest.mark.parametrize("name", _ASKED)
async def test_what_is_asked_often_reads_no_whole_table(database: Database, name: str) -> None:
    steps = await database.write(lambda c: _plan(c, _ASKED[name]))
    assert steps
    assert [
        step
        for step in steps
        if step.startswith("SCAN ") and step.split()[1] in _GROWING and "ix_deliveries_expires" not in step
    ] == []


def _plan(connection: sa.Connection, work: Work[Any]) -> list[str]:
    """Return how SQLite would find what the statements of some work look at."""
    asked: list[tuple[str, Any]] = []

    def listen(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            asked.append((statement, parameters[0] if many else parameters))

    sa.event.listen(connection, "before_cursor_execute", listen)
    work(connection)
    sa.event.remove(connection, "before_cursor_execute", listen)
    return [
        str(row[3])
        for statement, parameters in asked
        for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    ]


async def test_what_an_office_sent_in_a_span_of_time_is_found_without_what_it_sent_before(database: Database) -> None:
    steps = await database.write(
        lambda c: _plan(c, lambda c: deliveries.sent_by(c, "o", "k", AT - timedelta(days=1), AT, 100))
    )
    assert any("ix_envelopes_originator (originator=? AND accepted_at>? AND accepted_at<?)" in step for step in steps)


def test_an_envelope_that_is_deleted_again_is_looked_for_in_no_whole_table() -> None:
    """PostgreSQL looks in every table that refers to it, and no plan of a statement of ours shows that."""
    referring = [
        column for table in t.METADATA.tables.values() for column in table.c if column.references(t.envelopes.c.id)
    ]
    assert t.tasks.c.given_in in referring
    assert [str(column) for column in referring if column not in _first_of_indexes(column.table)] == []


def _first_of_indexes(table: sa.Table) -> list[Any]:
    keys = [one for one in table.constraints if isinstance(one, sa.PrimaryKeyConstraint | sa.UniqueConstraint)]
    return [next(iter(one.columns)) for one in (*keys, *table.indexes)]


async def test_postgresql_may_use_the_indexes_too(postgres_url: str) -> None:
    """With sequential reading forbidden it shows whether an index can answer at all."""
    due = sa.select(t.deliveries.c.id).where(t.deliveries.c.next_at <= sa.bindparam("now", AT, type_=t.Moment))
    late = sa.select(t.deliveries.c.id).where(
        t.WAITS, t.deliveries.c.expires_at <= sa.bindparam("now", AT, type_=t.Moment)
    )
    remind = sa.select(t.deliveries.c.id).where(t.deliveries.c.remind_at <= sa.bindparam("now", AT, type_=t.Moment))
    running = sa.select(t.deliveries.c.id).where(t.deliveries.c.due_by <= sa.bindparam("now", AT, type_=t.Moment))

    def work(connection: sa.Connection) -> list[str]:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plans = []
        for query in (due, late, remind, running):
            text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
            plans.append("\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {text}")))
        return plans

    async with open_database(postgres_url) as opened:
        plans = await opened.write(work)
    for name, plan in zip(("next_at", "expires_at", "remind_at", "due_by"), plans, strict=True):
        assert f"ix_deliveries_{name}" in plan
