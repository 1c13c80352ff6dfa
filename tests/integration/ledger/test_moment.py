"""What an audit looks at stands still while it looks."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.util import await_only

from axis.ledger import tables as t
from axis.ledger.engine import open_database
from axis.ledger.insert import insert
from tests.province import AT

_EVENT: dict[str, Any] = {"envelope_id": "e1", "addressee": None, "event": "a", "at": AT, "detail": {}}


@pytest.mark.parametrize(("how", "seen"), [("look", (0, 0)), ("read", (0, 1))])
async def test_look_sees_one_moment_and_a_reading_each_its_own(
    postgres_url: str, how: str, seen: tuple[int, int]
) -> None:
    """Somebody else commits between two questions of one work."""
    count = sa.select(sa.func.count()).select_from(t.events)

    async with open_database(postgres_url) as ours, open_database(postgres_url) as theirs:

        def work(connection: sa.Connection) -> tuple[Any, Any]:
            before = connection.execute(count).scalar()
            await_only(theirs.write(lambda c: insert(c, t.events, [_EVENT])))
            return before, connection.execute(count).scalar()

        assert await {"look": ours.look, "read": ours.read}[how](work) == seen
