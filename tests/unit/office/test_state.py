"""The state of an office: what is asked for with every message is found by an index, however much there is."""

import re
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from axis.office import state
from axis.office.state import State

AT = datetime(2026, 9, 1, tzinfo=UTC)

_ASKED = {  # With every message, or every second.
    "due": f"{state._DUE} AND id NOT IN (?, ?) ORDER BY urgent DESC, seq LIMIT ?",
    "submission of a receipt": f"SELECT id FROM submissions WHERE {state._NEWEST}",  # noqa: S608
    "end of a submission": "SELECT id FROM submissions WHERE ended_at IS NULL AND (id = ? OR digest = ? OR sealed_digest = ?)",
    "unsent receipts": "SELECT seq FROM said WHERE published_at IS NULL AND said_at <= ? ORDER BY seq LIMIT ?",
    "untaken receipts": state._UNTAKEN,
    "twin": "SELECT answer FROM envelopes WHERE digest = ? AND envelope_id <> ? AND answer IS NOT NULL",
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
