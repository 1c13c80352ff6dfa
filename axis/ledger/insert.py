"""Insert: a row that is there already is left alone, on either database."""

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


def insert_once(connection: sa.Connection, table: sa.Table, *, returning: str = "") -> Any:
    """Return an INSERT that leaves alone what is there already.

    Args:
        connection: Says for which database.
        table: Into which table.
        returning: A column of the rows that were new.
    """
    return _insert_once(connection.dialect.name, table, returning)


@cache
def _insert_once(dialect: str, table: sa.Table, returning: str) -> Any:
    statement = (sqlite if dialect == "sqlite" else postgresql).insert(table).on_conflict_do_nothing()
    return statement.returning(table.c[returning]) if returning else statement
