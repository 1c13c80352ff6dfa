"""The state of an office: what is asked for with every message is found by an index, however much there is."""

import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from axis.office import state
from axis.office.copies import ORDERS_ABOUT
from axis.office.speech import About
from axis.office.state import COMPARE_AFTER, State
from axis.receipts import Level, Receipt, SignedReceipt

AT = datetime(2026, 9, 1, tzinfo=UTC)

_ASKED = {  # With every message, or every second.
    "due": f"{state._DUE} AND id NOT IN (?, ?) ORDER BY urgent DESC, seq LIMIT ?",
    "submission of a receipt": f"SELECT id FROM submissions WHERE {state._NEWEST}",  # noqa: S608
    **{
        f"end of a submission, {word}": f"SELECT id FROM submissions WHERE {may} AND (id = ? OR digest = ? OR sealed_digest = ?)"  # noqa: S608
        for word, may in state._MAY_BE.items()
    },
    "unsent receipts": "SELECT seq FROM said WHERE published_at IS NULL AND said_at <= ? ORDER BY seq LIMIT ?",
    "untaken receipts": state._UNTAKEN,
    "order that stands": ORDERS_ABOUT,
    "what was sent": state._SENT,
    "twin": state._TWIN,
}


@pytest.mark.parametrize("name", _ASKED)
async def test_what_is_asked_often_reads_no_whole_table(name: str, tmp_path: Path) -> None:
    async with State.open(tmp_path):
        pass
    db = sqlite3.connect(tmp_path / "state.sqlite")
    query = _ASKED[name]
    plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", ("x",) * query.count("?"))]
    db.close()
    assert plan
    assert [step for step in plan if re.match(r"SCAN (?!CONSTANT)\w+$", step) or "TEMP B-TREE" in step] == []


async def test_due_passes_over_what_is_being_sent_and_puts_urgent_ones_first(tmp_path: Path) -> None:
    async with State.open(tmp_path) as office:
        for number in range(5):
            await office.submit(
                f"s{number}",
                sealed=b"<x/>",
                sealed_digest=f"{number:064}",
                digest=None,
                document_id=str(number),
                urgent=number == 3,
                files=(),
                at=AT,
            )
        assert [one.id for one in await office.due(AT, 3)] == ["s3", "s0", "s1"]
        assert [one.id for one in await office.due(AT, 3, besides=("s3", "s0"))] == ["s1", "s2", "s4"]


async def test_newest_submission_of_a_content_is_meant(tmp_path: Path) -> None:
    async with State.open(tmp_path) as office:
        for number in range(2):
            await office.submit(
                f"s{number}",
                sealed=b"<x/>",
                sealed_digest=f"{number:064}",
                digest="d" * 64,
                document_id="same",
                urgent=False,
                files=(),
                at=AT,
            )
        by_content, by_bytes = await office.submission_of("d" * 64), await office.submission_of("0" * 64)
        assert by_content is not None
        assert by_bytes is not None
        assert (by_content.id, by_bytes.id) == ("s1", "s0")
        assert await office.submission_of("e" * 64) is None


async def test_what_a_clock_that_was_ahead_put_off_is_due_when_it_is_right_again(tmp_path: Path) -> None:
    ahead, longest = AT + timedelta(days=1), timedelta(minutes=20)
    about = About(envelope_id="e1", envelope_digest="d" * 64, originator="H56.05", document_id="1")
    said = Receipt(
        level=Level.DELIVERED,
        issuer="H56.112",
        originator="H56.05",
        document_id="1",
        envelope_id="e1",
        envelope_digest="d" * 64,
        addressee="H56.112",
        previous=None,
        at=ahead,
        status="2.0.0",
    )
    async with State.open(tmp_path) as office:
        await office.submit("s1", sealed=b"<x/>", sealed_digest="0" * 64, digest=None, document_id="1", urgent=False, files=(), at=ahead)  # fmt: skip
        await office.hear("h" * 64, "e2", b"<x/>", ahead)
        await office.begin(about, 1, ahead)
        await office.keep("e1", [SignedReceipt(said, b"<y/>", "s" * 64)], attempt=1, answer=None, at=ahead)
        assert await office.bring_near(ahead, longest) == 0

        assert await office.due(AT, 10) == []
        assert await office.bring_near(AT, longest) == 4
        assert [one.id for one in await office.due(AT, 10)] == ["s1"]
        assert [one.digest for one in await office.untaken(AT, 10)] == ["h" * 64]
        assert await office.unsent(AT, 10) == [b"<y/>"]
        assert await office.comparisons(AT + COMPARE_AFTER, 10) == ["e1"]
