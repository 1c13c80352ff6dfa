"""The book itself, without the rooms around it: what each of its methods promises, on each kind of ledger."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from axis import ledger
from axis.errors import PermanentError, violation
from axis.ledger import (
    Asked,
    AttachmentRow,
    Conflict,
    Custody,
    DeliveryRow,
    Failure,
    Known,
    Ledger,
    NewDelivery,
    Notice,
    Outcome,
    ReceiptEntry,
    ReceiptRow,
    Recorded,
    Rejection,
    Taken,
    custody,
    deliveries,
    tables,
)
from axis.ledger.engine import open_database
from tests import ledgers
from tests.house import COMMUNE, OTHER, SENDER
from tests.province import AT

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
STATES = ("queued", "sent", "deferred", "dead", "held", "delivered", "refused", "recalled", "expired")
WAITING = STATES[:5]


@pytest.fixture
async def book(ledger_url: str) -> AsyncIterator[Ledger]:
    await ledgers.build(ledger_url)
    async with Ledger.open(ledger_url) as opened:
        yield opened


@pytest.fixture
async def second(ledger_url: str, book: Ledger) -> AsyncIterator[Ledger]:
    """The same ledger, as another process has it open."""
    async with Ledger.open(ledger_url) as opened:
        yield opened


@pytest.fixture
async def postgres_book(postgres_url: str) -> AsyncIterator[tuple[Ledger, str]]:
    """A ledger on PostgreSQL, where two transactions can write at the same time, and its address."""
    async with Ledger.open(postgres_url) as opened:
        yield opened, postgres_url


def _hex(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _receipt(text: str, *, level: str = "accepted", addressee: str | None = None, **fields: Any) -> ReceiptRow:
    made = {"issuer": "H56.TRUC", "previous": None, "at": AT, "xml": f"<r>{text}</r>".encode()}
    return ReceiptRow(digest=_hex(text), level=level, addressee=addressee, **{**made, **fields})


def _custody(name: str, *, to: tuple[str, ...] = (COMMUNE,), priority: int = 0, content: str = "") -> Custody:
    """Return an envelope of which nothing but the name matters; `content` makes another one under the same key."""
    about = f"{name}{content}"
    receipt = _receipt(f"accepted {about}")
    return Custody(
        envelope_id=_hex(about)[:32],
        originator=SENDER,
        document_id=f"{SENDER},2026/08/25,{name}",
        business_type=0,
        kind="document",
        digest=_hex(f"content {about}"),
        sealed=about.encode(),
        sealed_digest=_hex(f"sealed {about}"),
        code=f"{name}/SKHCN",
        subject="V/v mẫu (ví dụ)",
        priority=priority,
        via="amqp",
        accepted_at=AT,
        expires_at=AT + timedelta(days=5),
        attachments=(AttachmentRow(sha256=_hex(f"file {about}"), size_bytes=3, name="a.pdf", content_type="a/b"),),
        deliveries=tuple(
            NewDelivery(addressee=code, state="queued", code=None, reason="", who_must_act="nobody", next_at=AT)
            for code in to
        ),
        receipts=(receipt,),
        notices=(Notice(target=SENDER, receipt_digest=receipt.digest),),
    )


async def _take(book: Ledger, *names: str, **fields: Any) -> list[DeliveryRow]:
    """Take envelopes into custody; return their deliveries to the commune."""
    made = [_custody(name, **fields) for name in names]
    assert await book.take_custody(made) == [Taken()] * len(made)
    rows = [await book.delivery(one.envelope_id, COMMUNE) for one in made]
    return [row for row in rows if row is not None]


async def _set(book: Ledger, row: DeliveryRow, **values: Any) -> None:
    """Put a delivery where the test needs it, past every rule."""
    change = sa.update(tables.deliveries).where(tables.deliveries.c.id == row.delivery_id).values(**values)
    await book._database.write(lambda c: c.execute(change))


async def _in_every_state(book: Ledger, **values: Any) -> dict[str, DeliveryRow]:
    """Return a delivery in each state, by its state."""
    rows = dict(zip(STATES, await _take(book, *STATES), strict=True))
    for state, row in rows.items():
        await _set(book, row, state=state, **values)
    return rows


async def _lane(book: Ledger, office: str, **values: Any) -> None:
    row = {"office": office, **values}
    await book._database.write(lambda c: c.execute(sa.insert(tables.lanes), [row]))


async def _now(book: Ledger, row: DeliveryRow) -> DeliveryRow:
    found = await book.delivery_by_id(row.delivery_id)
    assert found is not None
    return found


# --- the schema -------------------------------------------------------------------------


def _shape(connection: sa.Connection) -> dict[str, Any]:
    """Return all that the database says about its tables; also what Alembic's comparison passes over."""
    inspector = sa.inspect(connection)
    return {
        name: {
            "columns": [
                (column["name"], str(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(name)
            ],
            "key": inspector.get_pk_constraint(name),
            "references": sorted(map(str, inspector.get_foreign_keys(name))),
            "unique": sorted(map(str, inspector.get_unique_constraints(name))),
            "indexes": sorted(
                (str(index["name"]), index["column_names"], _options(index)) for index in inspector.get_indexes(name)
            ),
        }
        for name in inspector.get_table_names()
        if name != "alembic_version"
    }


def _options(index: Any) -> list[str]:
    return sorted(f"{name}: {value}" for name, value in index.get("dialect_options", {}).items())


def _rebuilt(connection: sa.Connection) -> dict[str, Any]:
    tables.METADATA.drop_all(connection)
    tables.METADATA.create_all(connection)
    return _shape(connection)


async def test_migrations_build_what_the_code_describes_to_the_last_index(empty_url: str) -> None:
    await ledger.migrate(empty_url)
    async with open_database(empty_url) as database:
        migrated = await database.read(_shape)
        described = await database.write(_rebuilt)
    assert set(migrated) == set(tables.METADATA.tables)
    assert migrated == described


async def test_migrating_again_leaves_every_row(book: Ledger, ledger_url: str) -> None:
    (row,) = await _take(book, "1")
    await ledger.migrate(ledger_url)
    assert await _now(book, row) == row


_SCHEMAS = {"later": ("0042", "of a later version"), "older": ("0001", "brings it up to date")}


@pytest.mark.parametrize("age", _SCHEMAS)
async def test_ledger_with_the_schema_of_another_version_is_told_of(book: Ledger, ledger_url: str, age: str) -> None:
    revision, says = _SCHEMAS[age]
    named = sa.text("UPDATE alembic_version SET version_num = :revision").bindparams(revision=revision)
    await book._database.write(lambda c: c.execute(named))
    with pytest.raises(PermanentError, match=says) as caught:
        async with Ledger.open(ledger_url):
            pass
    assert caught.value.code == "CFG.INVALID"
    if age == "later":
        with pytest.raises(PermanentError, match=says):
            await ledger.migrate(ledger_url)


async def test_database_without_a_ledger_is_told_of(empty_url: str) -> None:
    async with open_database(empty_url) as database:
        await database.write(lambda c: c.execute(sa.text("CREATE TABLE another (id INTEGER)")))
    with pytest.raises(PermanentError, match="no ledger in this database yet") as caught:
        async with Ledger.open(empty_url):
            pass
    assert caught.value.code == "CFG.INVALID"


# --- custody ----------------------------------------------------------------------------


async def test_roll_that_two_processes_load_at_the_same_moment_is_loaded_whole(book: Ledger, second: Ledger) -> None:
    rows = [{"kind": "office", "code": f"H56.{number}", "content": {}} for number in range(200)]
    await asyncio.gather(book.ping(), second.ping())  # To connect would part them.
    await asyncio.gather(book.load_registry(rows, "a", AT), second.load_registry(rows, "b", AT))
    assert sorted(row["code"] for row in await book.registry_rows()) == sorted(str(row["code"]) for row in rows)
    assert await second.registry_version() in ("a", "b")


async def test_batch_is_answered_in_its_order(book: Ledger) -> None:
    first = _custody("1")
    await book.take_custody([first])
    again = replace(_custody("1"), envelope_id=_hex("another id")[:32], receipts=(_receipt("another"),))
    batch = [_custody("2"), again, _custody("1", content="other"), _custody("3")]
    assert await book.take_custody(batch) == [
        Taken(),
        Known(first.envelope_id, first.receipts[0].xml),
        Conflict(first.envelope_id),
        Taken(),
    ]
    assert {row.envelope_id for row in await book.envelopes()} == {
        one.envelope_id for one in (first, batch[0], batch[3])
    }
    assert {row.digest for row in await book.receipts()} == {
        one.receipts[0].digest for one in (first, batch[0], batch[3])
    }


async def test_batch_of_many_is_taken_whole(book: Ledger) -> None:
    batch = [_custody(str(number), to=(COMMUNE, OTHER)) for number in range(300)]
    assert await book.take_custody(batch) == [Taken()] * 300
    report = await book.audit(AT)
    assert (report.documents, report.deliveries, report.waiting, report.receipts) == (300, 600, 600, 300)
    assert report.findings == ()


async def test_failed_batch_leaves_nothing(book: Ledger) -> None:
    """The deliveries of the second one break a rule of the tables after its envelope was written."""
    broken = _custody("2", to=(COMMUNE, COMMUNE))
    with pytest.raises(sa.exc.IntegrityError):
        await book.take_custody([_custody("1"), broken])
    assert await book.envelopes() == []
    assert await book.notices_due(AT, 10) == []


async def test_each_of_two_processes_is_told_who_took_it(book: Ledger, second: Ledger) -> None:
    pairs = [(_custody(str(number)), _custody(str(number))) for number in range(10)]
    other_id = [replace(right, envelope_id=_hex(right.envelope_id)[:32]) for _, right in pairs]
    answers = await asyncio.gather(
        *(book.take_custody([left]) for left, _ in pairs), *(second.take_custody([right]) for right in other_id)
    )
    for number, (left, _) in enumerate(pairs):
        mine, theirs = answers[number][0], answers[number + 10][0]
        known = Known(
            other_id[number].envelope_id if isinstance(theirs, Taken) else left.envelope_id, left.receipts[0].xml
        )
        assert [mine, theirs] in ([Taken(), known], [known, Taken()])
    assert len(await book.envelopes()) == 10


# --- attempts ---------------------------------------------------------------------------


async def test_attempts_go_by_priority_then_by_how_long_they_are_due(book: Ledger) -> None:
    (late,) = await _take(book, "late")
    (early,) = await _take(book, "early")
    (urgent,) = await _take(book, "urgent", priority=3)
    await _take(book, "not yet due")
    await _set(book, late, next_at=AT - MINUTE)
    await _set(book, early, next_at=AT - HOUR)
    made = [await book.begin_attempts(AT - MINUTE, MINUTE, 1)]
    await _set(book, urgent, next_at=AT - MINUTE)
    made += [await book.begin_attempts(AT - MINUTE, MINUTE, 1) for _ in range(3)]
    assert [[attempt.delivery_id for attempt in batch] for batch in made] == [
        [early.delivery_id],
        [urgent.delivery_id],
        [late.delivery_id],
        [],
    ]


async def test_attempt_carries_what_the_inbox_needs(book: Ledger) -> None:
    (row,) = await _take(book, "1")
    await _set(book, row, state="deferred", attempts=3)
    (attempt,) = await book.begin_attempts(AT, MINUTE, 10)
    assert (attempt.sealed, attempt.digest, attempt.attempt_no, attempt.chain_head) == (
        b"1",
        row.digest,
        4,
        row.chain_head,
    )
    after = await _now(book, row)
    assert (after.state, after.attempts, after.next_at, after.who_must_act) == ("sent", 4, AT + MINUTE, "addressee")


async def test_only_what_is_queued_or_put_off_is_attempted(book: Ledger) -> None:
    rows = await _in_every_state(book)
    attempts = await book.begin_attempts(AT, MINUTE, 10)
    assert {one.delivery_id for one in attempts} == {rows[state].delivery_id for state in ("queued", "deferred")}


@pytest.mark.parametrize("lane", [{"paused": True}, {"open_until": AT + MINUTE}])
async def test_closed_lane_is_passed_over_and_the_others_go_on(book: Ledger, lane: dict[str, Any]) -> None:
    await _take(book, "1", to=(COMMUNE, OTHER))
    await _lane(book, COMMUNE, **lane)
    assert [attempt.addressee for attempt in await book.begin_attempts(AT, MINUTE, 10)] == [OTHER]


async def test_lane_gets_one_probe_and_then_waits_for_its_answer(book: Ledger) -> None:
    await _take(book, "1", "2", "3")
    await _lane(book, COMMUNE, failures=5, open_until=AT)
    assert len(await book.begin_attempts(AT, MINUTE, 10)) == 1
    assert await book.begin_attempts(AT + MINUTE / 2, MINUTE, 10) == []
    assert len(await book.begin_attempts(AT + MINUTE, MINUTE, 10)) == 1


async def test_two_dispatchers_send_one_probe(postgres_book: tuple[Ledger, str]) -> None:
    """The second one looks while the first has not yet committed."""
    there, url = postgres_book
    await _take(there, "1", "2")
    await _lane(there, COMMUNE, failures=5, open_until=AT)
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with engine.connect() as connection, connection.begin() as held:
            mine = await connection.run_sync(lambda c: deliveries.begin_attempts(c, AT, MINUTE, 1))
            other = asyncio.create_task(there.begin_attempts(AT, MINUTE, 1))
            await asyncio.wait([other], timeout=0.5)
            await held.commit()
        assert len(mine) + len(await other) == 1
    finally:
        await engine.dispose()


async def test_what_is_over_is_not_attempted_any_more(book: Ledger) -> None:
    """After an outage of days both loops start at once: what the one expires, the other must not hand out."""
    (row,) = await _take(book, "1")
    assert [one.delivery_id for one in await book.expiring(row.expires_at, 10)] == [row.delivery_id]
    assert await book.begin_attempts(row.expires_at, MINUTE, 10) == []


# --- answers ----------------------------------------------------------------------------


def _entry(receipt: ReceiptRow, **fields: Any) -> ReceiptEntry:
    made: dict[str, Any] = {
        "new_state": "delivered",
        "business": None,
        "code": None,
        "reason": "",
        "who_must_act": "nobody",
        "next_at": None,
        "notices": (Notice(target=SENDER, receipt_digest=receipt.digest),),
        "event": "receipt.delivered",
        "at": AT,
        "office_answered": True,
        "failure": None,
    }
    return ReceiptEntry(receipt=receipt, **{**made, **fields})


async def _record(book: Ledger, envelope_id: str, addressee: str, entry: ReceiptEntry | None) -> Recorded:
    """Record one receipt."""
    digest = None if entry is None else entry.receipt.digest
    asked = Asked(envelope_id=envelope_id, addressee=addressee, decide=lambda _: entry, digest=digest)
    (answer,) = await book.record([asked])
    assert isinstance(answer, Recorded)
    return answer


async def test_receipt_is_recorded_once_with_all_that_follows(book: Ledger) -> None:
    (row,) = await _take(book, "1")
    receipt = _receipt("delivered", level="delivered", addressee=COMMUNE, previous=row.chain_head)
    first = await _record(book, row.envelope_id, COMMUNE, _entry(receipt))
    assert (first.outcome, first.row) == (Outcome.RECORDED, row)
    after = await _now(book, row)
    assert (after.state, after.chain_head, after.next_at, after.told_at) == ("delivered", receipt.digest, None, AT)
    later = _entry(receipt, new_state="dead", event="receipt.failed", at=AT + HOUR)
    assert (await _record(book, row.envelope_id, COMMUNE, later)).outcome is Outcome.REPEATED
    assert await _now(book, row) == after
    assert [event["event"] for event in await book.events_of(row.envelope_id)] == [
        "envelope.accepted",
        "receipt.delivered",
    ]
    assert len(await book.notices_due(AT, 10)) == 2


async def test_where_nothing_is_decided_nothing_is_written(book: Ledger) -> None:
    (row,) = await _take(book, "1")
    receipt = _receipt("delivered", level="delivered", addressee=COMMUNE)

    assert (await _record(book, row.envelope_id, COMMUNE, None)).outcome is Outcome.NOTHING
    unknown = await _record(book, row.envelope_id, OTHER, _entry(receipt))
    assert (unknown.outcome, unknown.row) == (Outcome.NOTHING, None)
    assert await _now(book, row) == row
    assert len(await book.receipts()) == 1


async def test_receipts_of_one_delivery_in_one_commit_follow_each_other(book: Ledger) -> None:
    (row,) = await _take(book, "1")
    delivered = _receipt("delivered", level="delivered", addressee=COMMUNE, previous=row.chain_head)
    registered = _receipt("registered", level="registered", addressee=COMMUNE, previous=delivered.digest)
    seen: list[DeliveryRow | None] = []

    def asked(receipt: ReceiptRow, **fields: Any) -> Asked:
        def decide(found: DeliveryRow | None) -> ReceiptEntry:
            seen.append(found)
            return _entry(receipt, **fields)

        return Asked(envelope_id=row.envelope_id, addressee=COMMUNE, decide=decide, digest=receipt.digest)

    def fail(_: DeliveryRow | None) -> ReceiptEntry:
        raise LookupError

    wrong = Asked(envelope_id=row.envelope_id, addressee=COMMUNE, decide=fail)
    answers = await book.record([asked(delivered), wrong, asked(registered, business="03"), asked(delivered)])
    assert [one.outcome if isinstance(one, Recorded) else type(one) for one in answers] == [
        Outcome.RECORDED,
        LookupError,
        Outcome.RECORDED,
        Outcome.REPEATED,
    ]
    assert [one and (one.state, one.business, one.chain_head) for one in seen] == [
        ("queued", None, row.chain_head),
        ("delivered", None, delivered.digest),
        ("delivered", "03", registered.digest),
    ]
    after = await _now(book, row)
    assert (after.state, after.business, after.chain_head) == ("delivered", "03", registered.digest)
    assert [one.digest for one in await book.receipts_of(row.envelope_id)][1:] == [delivered.digest, registered.digest]


async def test_what_a_process_that_died_had_begun_is_due_again(book: Ledger) -> None:
    rows = [row for text in ("1", "2", "3") for row in await _take(book, text)]
    assert len(await book.begin_attempts(AT, HOUR, 1)) == 1
    assert len(await book.begin_attempts(AT + MINUTE, HOUR, 1)) == 1
    assert len(await book.notices_due(AT + MINUTE, 10)) == 3
    assert await book.take_up_again(AT + 2 * MINUTE, 10) == 1
    after = [await _now(book, row) for row in rows]
    assert [(row.state, row.next_at) for row in after] == [
        ("sent", AT + HOUR),
        ("queued", AT + 2 * MINUTE),
        ("queued", AT),
    ]
    assert len(await book.notices_due(AT + 2 * MINUTE, 10)) == 3


async def test_no_more_is_due_again_than_a_process_has_on_its_way(book: Ledger) -> None:
    """What has surely left must not come to its addressee a second time."""
    rows = [row for text in ("1", "2", "3") for row in await _take(book, text)]
    for second in range(3):
        assert len(await book.begin_attempts(AT + timedelta(seconds=second), HOUR, 1)) == 1
    assert await book.take_up_again(AT + MINUTE, 2) == 2
    after = [(await _now(book, row)).state for row in rows]
    assert after == ["sent", "queued", "queued"]


async def test_what_is_answered_just_now_is_not_due_again(postgres_book: tuple[Ledger, str]) -> None:
    """A router starts and looks what the last one left, while another has not yet committed an answer."""
    there, url = postgres_book
    (row,) = await _take(there, "1")
    assert len(await there.begin_attempts(AT, HOUR, 1)) == 1
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    answered = sa.update(tables.deliveries).where(tables.deliveries.c.id == row.delivery_id).values(state="delivered")
    try:
        async with engine.connect() as connection, connection.begin() as held:
            await connection.execute(answered)
            starting = asyncio.create_task(there.take_up_again(AT, 10))
            await asyncio.wait([starting], timeout=0.5)
            await held.commit()
        assert await starting == 0
    finally:
        await engine.dispose()
    assert (await _now(there, row)).state == "delivered"


async def test_only_what_was_sent_is_put_back(book: Ledger) -> None:
    rows = await _in_every_state(book, next_at=AT)
    await book.put_back([row.numbered for row in rows.values()], AT + HOUR, "SYS.BROKER")
    after = {state: await _now(book, row) for state, row in rows.items()}
    assert {state: (row.state, row.next_at, row.code) for state, row in after.items()} == {
        state: (state, AT, None) for state in STATES
    } | {"sent": ("queued", AT + HOUR, "SYS.BROKER")}


async def test_attempt_that_reached_nobody_is_none(book: Ledger) -> None:
    (row,) = await _take(book, "1")
    (attempt,) = await book.begin_attempts(AT, HOUR, 1)
    await book.unmake([attempt], AT + MINUTE, "SYS.BROKER", AT)
    after = await _now(book, row)
    assert (after.state, after.attempts, after.next_at) == ("queued", 0, AT + MINUTE)
    assert (after.code, after.who_must_act) == ("SYS.BROKER", "operator")
    assert [one.attempt_no for one in await book.begin_attempts(AT + MINUTE, HOUR, 1)] == [1]


async def test_attempt_that_another_has_begun_since_is_not_unmade(book: Ledger) -> None:
    """A router that starts takes up what the last one left, and that one was only slow."""
    (row,) = await _take(book, "1")
    (slow,) = await book.begin_attempts(AT, HOUR, 1)
    await book.take_up_again(AT, 10)
    (made,) = await book.begin_attempts(AT, HOUR, 1)
    await book.unmake([slow], AT + MINUTE, "SYS.BROKER", AT)
    after = await _now(book, row)
    assert (after.state, after.attempts) == ("sent", made.attempt_no)


async def test_only_what_was_sent_is_waited_for_longer(book: Ledger) -> None:
    rows = await _in_every_state(book, next_at=AT)
    await book.extend_wait([row.numbered for row in rows.values()], AT + HOUR)
    after = {state: await _now(book, row) for state, row in rows.items()}
    assert {state: (row.state, row.next_at) for state, row in after.items()} == {
        state: (state, AT + HOUR if state == "sent" else AT) for state in STATES
    }


async def test_what_waits_expires_and_silence_is_that_of_what_was_sent(book: Ledger) -> None:
    rows = await _in_every_state(book, next_at=AT + MINUTE)
    instant, end = timedelta(microseconds=1), rows["queued"].expires_at
    assert await book.expiring(end - instant, 10) == []
    assert {row.state for row in await book.expiring(end, 10)} == set(WAITING)
    assert len(await book.expiring(end, 3)) == 3
    assert await book.unanswered(AT + MINUTE - instant, 10) == []
    assert [row.state for row in await book.unanswered(AT + MINUTE, 10)] == ["sent"]
    assert await book.unanswered(end, 10) == []  # It is over, and only that is told.


async def test_only_a_dead_letter_is_replayed(book: Ledger) -> None:
    rows = await _in_every_state(book, next_at=None)
    moved = []
    for _ in range(2):
        moved += [
            state for state, row in rows.items() if await book.replay(row.delivery_id, by="an", reason="", now=AT)
        ]
    assert moved == ["dead"]
    after = {state: await _now(book, row) for state, row in rows.items()}
    assert {state: (row.state, row.next_at) for state, row in after.items()} == {
        state: (state, None) for state in STATES
    } | {"dead": ("queued", AT)}
    assert not await book.replay(0, by="an", reason="", now=AT)


async def test_two_processes_share_the_notices(book: Ledger, second: Ledger) -> None:
    await _take(book, *map(str, range(20)))
    claimed = await asyncio.gather(*(one.notices_due(AT, 5) for one in (book, second) for _ in range(3)))
    ids = [notice.id for batch in claimed for notice in batch]
    assert len(ids) == len(set(ids)) == 20


# --- lanes ------------------------------------------------------------------------------


async def _answer(book: Ledger, row: DeliveryRow, text: str, **fields: Any) -> None:
    receipt = _receipt(f"{text} {row.envelope_id}", level=text, addressee=COMMUNE, previous=row.chain_head)
    await _record(book, row.envelope_id, COMMUNE, _entry(receipt, **fields))


async def test_breaker_opens_at_the_threshold_and_an_answer_drives_what_waits(book: Ledger) -> None:
    *failing, good, waits = await _take(book, "1", "2", "3", "4", "5")
    await _set(book, waits, state="deferred", next_at=AT + HOUR)
    failure = Failure(threshold=3, probe_after=HOUR)
    opened = []
    for row in failing:
        await _answer(book, row, "deferred", new_state="deferred", next_at=AT + HOUR, failure=failure)
        opened += [(lane.failures, lane.open_until) for lane in await book.lanes()]
    assert opened == [(1, None), (2, None), (3, AT + HOUR)]
    assert await book.begin_attempts(AT + MINUTE, MINUTE, 10) == []
    await _answer(book, good, "delivered", at=AT + MINUTE)
    (lane,) = await book.lanes()
    assert (lane.failures, lane.open_until) == (0, None)
    assert len(await book.begin_attempts(AT + MINUTE, MINUTE, 10)) == 4


async def test_answer_beside_failures_drives_nothing_again(book: Ledger) -> None:
    """The breaker was not open: a document that always fails keeps its schedule."""
    bad, good = await _take(book, "1", "2")
    failure = Failure(threshold=3, probe_after=HOUR)
    await _answer(book, bad, "deferred", new_state="deferred", next_at=AT + HOUR, failure=failure)
    await _answer(book, good, "delivered")
    assert (await _now(book, bad)).next_at == AT + HOUR
    assert [lane.failures for lane in await book.lanes()] == [0]


async def test_heartbeat_after_silence_closes_the_breaker_and_drives_what_waits(book: Ledger) -> None:
    (row,) = await _take(book, "1")
    await _lane(book, COMMUNE, failures=5, open_until=AT + HOUR, heartbeat_at=AT)
    await _set(book, row, state="deferred", next_at=AT + HOUR)
    for seconds, due in ((75, AT + HOUR), (150, AT + HOUR), (226, AT + timedelta(seconds=226))):
        await book.heartbeat(COMMUNE, AT + timedelta(seconds=seconds), "2")
        assert (await _now(book, row)).next_at == due
    (lane,) = await book.lanes()
    assert (lane.failures, lane.open_until, lane.version) == (0, None, "2")


# --- who may read -----------------------------------------------------------------------


async def test_file_is_read_by_those_who_brought_sent_or_were_sent_it(book: Ledger) -> None:
    files = {state: _hex(f"file {state}") for state in STATES}
    for office in (SENDER, COMMUNE, OTHER):
        assert not await book.may_read(office, files["queued"])
    await _in_every_state(book)
    readable = {
        office: {state for state in STATES if await book.may_read(office, files[state])}
        for office in (SENDER, COMMUNE, OTHER)
    }
    never_its_own = {"refused", "recalled", "held", "expired"}  # The last was over before it went out.
    assert readable == {SENDER: set(STATES), COMMUNE: set(STATES) - never_its_own, OTHER: set()}
    for _ in range(2):
        await book.record_upload(OTHER, files["queued"], 3, AT)
    assert [state for state in STATES if await book.may_read(OTHER, files[state])] == ["queued"]


# --- refusals ---------------------------------------------------------------------------


def _rejection(text: str, *missing: str, submitter: str = SENDER, code: str = "ATT.MISSING") -> Rejection:
    receipt = _receipt(text, level="rejected")
    return Rejection(
        submitter=submitter,
        sealed_digest=_hex("the same bytes"),
        code=code,
        violations=tuple(violation(code, name).as_dict() for name in missing or ("a.pdf",)),
        at=AT,
        via="amqp",
        receipt=receipt,
        notice=Notice(target=submitter, receipt_digest=receipt.digest),
    )


async def test_same_refusal_gets_the_first_receipt(book: Ledger) -> None:
    texts = [await book.reject(_rejection(text)) for text in ("first", "second")]
    assert texts == [b"<r>first</r>"] * 2
    assert await book.reject(_rejection("other office", submitter=OTHER)) == b"<r>other office</r>"
    assert await book.reject(_rejection("other code", code="RULE.DATE")) == b"<r>other code</r>"
    assert [notice.xml for notice in await book.notices_due(AT, 10)] == [
        b"<r>first</r>",
        b"<r>first</r>",
        b"<r>other office</r>",
        b"<r>other code</r>",
    ]
    assert len(await book.rejections()) == 3


async def test_refusal_with_another_list_gets_its_own_receipt(book: Ledger) -> None:
    """The originator has brought one of two missing files: the receipt must not still name both."""
    await book.reject(_rejection("both", "a.pdf", "b.pdf"))
    assert await book.reject(_rejection("one", "b.pdf")) == b"<r>one</r>"


async def test_two_processes_that_refuse_the_same_say_the_same(postgres_book: tuple[Ledger, str]) -> None:
    """The second one refuses while the first has not yet committed."""
    there, url = postgres_book
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with engine.connect() as connection, connection.begin() as held:
            mine = await connection.run_sync(lambda c: custody.reject(c, _rejection("first")))
            other = asyncio.create_task(there.reject(_rejection("second")))
            await asyncio.wait([other], timeout=0.5)
            await held.commit()
        assert (mine, await other) == (b"<r>first</r>", b"<r>first</r>")
    finally:
        await engine.dispose()
    assert len(await there.receipts()) == 1


# --- audit ------------------------------------------------------------------------------

_COVER = {
    "delivered": "delivered",
    "refused": "refused",
    "recalled": "recalled",
    "expired": "expired",
    "dead": "failed",
    "held": "held",
}


async def test_book_in_which_everything_is_well_has_no_findings(book: Ledger) -> None:
    rows = await _take(book, *STATES)
    for row, state in zip(rows, STATES, strict=True):
        if state in _COVER:
            await _answer(book, row, _COVER[state], new_state=state)
        await _set(book, row, state=state)
    report = await book.audit(AT + MINUTE)
    assert report.findings == ()
    assert (report.documents, report.deliveries, report.terminal, report.waiting, report.dead) == (9, 9, 4, 3, 1)
    assert (report.held, report.receipts, report.notices_waiting) == (1, 15, 15)


async def test_audit_finds_an_end_that_no_receipt_states(book: Ledger) -> None:
    rows = await _in_every_state(book)
    ends = {rows[state].envelope_id for state in _COVER}
    for text, state in (("registered", "delivered"), ("rejected", "refused")):  # Another receipt covers it as well.
        await _answer(book, rows[state], text, new_state=state)
        ends.remove(rows[state].envelope_id)
    await _answer(book, rows["dead"], "deferred", new_state="dead")  # And this one does not.
    findings = (await book.audit(AT)).findings
    assert sorted((one.rule, one.envelope_id, one.addressee) for one in findings) == sorted(
        ("I3", envelope_id, COMMUNE) for envelope_id in ends
    )


async def test_audit_finds_what_outlived_its_lifetime(book: Ledger) -> None:
    rows = await _in_every_state(book)
    end = rows["queued"].expires_at
    for state, row in rows.items():
        if state in _COVER:
            await _answer(book, row, _COVER[state], new_state=state)
        await _set(book, row, next_at=end + HOUR)
    assert (await book.audit(end + 9 * MINUTE)).findings == ()
    found = {(one.rule, one.envelope_id) for one in (await book.audit(end + 11 * MINUTE)).findings}
    assert found == {("I1", rows[state].envelope_id) for state in WAITING}


async def test_audit_finds_a_lost_address_among_several(book: Ledger) -> None:
    await book.take_custody([_custody("1", to=(COMMUNE, OTHER))])
    lost = sa.delete(tables.deliveries).where(tables.deliveries.c.addressee == OTHER)
    await book._database.write(lambda c: c.execute(lost))
    assert len((await book.audit(AT)).findings) == 1


async def test_audit_knows_that_an_open_breaker_lets_documents_wait(book: Ledger) -> None:
    """An office is away for an hour; what is accepted for it meanwhile waits for the probe and is not lost."""
    await _take(book, "1")
    await _lane(book, COMMUNE, failures=5, open_until=AT + HOUR)
    assert await book.begin_attempts(AT + 30 * MINUTE, MINUTE, 10) == []
    assert (await book.audit(AT + 30 * MINUTE)).findings == ()


# --- figures ----------------------------------------------------------------------------


async def test_figures_count_every_state(book: Ledger) -> None:
    assert (await book.figures(AT)).waiting == dict.fromkeys(WAITING, 0)
    for number, state in enumerate(STATES, 1):
        for row in await _take(book, *(f"{state}{one}" for one in range(number)), priority=2):
            await _set(book, row, state=state)
    figures = await book.figures(AT + HOUR)
    numbers = {state: number for number, state in enumerate(STATES, 1)}
    assert figures.waiting | await book.ended() == numbers | {"forwarded": 0}
    assert (figures.oldest_s[2], figures.oldest_s[0], figures.outbox_lag_s) == (3600.0, 0.0, 3600.0)


# --- what older axes are asked ----------------------------------------------------------------


async def test_passwords_end_when_they_are_to_and_are_not_forgotten(book: Ledger) -> None:
    await book.add_password(COMMUNE, _hex("1"), AT, AT)
    await book.add_password(OTHER, _hex("other"), AT, AT)
    await book.add_password(COMMUNE, _hex("2"), AT + MINUTE, AT + HOUR)
    await book.add_password(COMMUNE, _hex("3"), AT + 2 * MINUTE, AT + 2 * HOUR)  # The first keeps its earlier end.
    ends = {row.digest: row.ends_at for row in await book.passwords(COMMUNE)}
    assert ends == {_hex("3"): None, _hex("2"): AT + 2 * HOUR, _hex("1"): AT + HOUR}
    known = await book.password(_hex("1"))
    assert known is not None
    assert (known.office, known.is_good(AT + HOUR - MINUTE), known.is_good(AT + HOUR)) == (COMMUNE, True, False)
    assert await book.end_passwords(COMMUNE, AT + HOUR) == 2
    assert [row.is_good(AT + HOUR) for row in await book.passwords()] == [False, False, False, True]
    assert await book.password(_hex("4")) is None


async def test_what_waits_is_counted_and_what_was_sent_is_listed_by_its_time(book: Ledger) -> None:
    await _take(book, "1", "2")
    assert await book.waiting(COMMUNE, "document") == 0  # Nothing has been attempted yet.
    await book.begin_attempts(AT, HOUR, 10)
    assert [await book.waiting(office, "document") for office in (COMMUNE, OTHER)] == [2, 0]
    assert await book.waiting(COMMUNE, "status") == 0
    spans = [(AT, AT + MINUTE), (AT - MINUTE, AT)]
    assert [len(await book.sent_by(SENDER, "document", *span, 10)) for span in spans] == [2, 0]
    assert len(await book.sent_by(SENDER, "document", *spans[0], 1)) == 1
    assert await book.sent_by(COMMUNE, "document", *spans[0], 10) == []


async def test_of_passwords_made_at_the_same_moment_one_is_left(book: Ledger, ledger_url: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        operators = [await stack.enter_async_context(Ledger.open(ledger_url)) for _ in range(6)]
        for _ in range(3):
            made = (one.add_password(COMMUNE, _hex(secrets.token_hex(4)), AT, AT) for one in operators)
            await asyncio.gather(*made)
            assert sum(row.ends_at is None for row in await book.passwords(COMMUNE)) == 1
