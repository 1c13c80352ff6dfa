"""Insert: many rows by one statement, and rows that may be there already, on either database.

A document makes fourteen rows. SQLAlchemy looks at every value by itself, and
asyncpg sends every row by itself. So the statement is made once for a table and
its columns, and PostgreSQL gets each column as an array.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import asyncpg

from axis.ledger.values import Row

_Written = Callable[[Any], Any]
_DIALECTS: dict[str, sa.Dialect] = {"sqlite": sqlite.dialect(), "postgresql": asyncpg.dialect()}  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class _Statement:
    """An INSERT of rows with certain columns."""

    text: str
    columns: tuple[tuple[str, _Written | None], ...]  # With what its values are written by; None: as they are.
    as_arrays: bool


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows in their order. All name the same columns; there may be none.

    Raises:
        ValueError: They name different columns.
    """
    if not rows:
        return
    names = tuple(rows[0])
    statement = _insert(connection.dialect.name, table, names)
    if any(len(row) != len(names) for row in rows):
        raise ValueError(f"rows of {table.name} that name different columns")
    columns = [
        [row[name] for row in rows] if written is None else [written(row[name]) for row in rows]
        for name, written in statement.columns
    ]
    values: Any = tuple(columns) if statement.as_arrays else list(zip(*columns, strict=True))
    connection.exec_driver_sql(statement.text, values)


@cache
def _insert(dialect: str, table: sa.Table, names: tuple[str, ...]) -> _Statement:
    spoken = _DIALECTS[dialect]
    columns = [table.c[name] for name in names]
    written = tuple((column.name, column.type.dialect_impl(spoken).bind_processor(spoken)) for column in columns)
    quoted = [spoken.identifier_preparer.quote(name) for name in names]
    into = f"INSERT INTO {table.name} ({', '.join(quoted)})"
    if dialect == "sqlite":
        return _Statement(f"{into} VALUES ({', '.join('?' * len(names))})", written, as_arrays=False)
    arrays = ", ".join(f"${at}::{_element(column)}[]" for at, column in enumerate(columns, 1))
    found = ", ".join(
        f"{name}::json" if isinstance(column.type, sa.JSON) else name
        for name, column in zip(quoted, columns, strict=True)
    )
    text = f"{into} SELECT {found} FROM unnest({arrays}) AS given ({', '.join(quoted)})"  # noqa: S608 - our own words.
    return _Statement(text, written, as_arrays=True)


def _element(column: sa.Column[Any]) -> str:
    """Return the type of which PostgreSQL gets an array. A cast to varchar(32) would cut off what is longer."""
    is_text = isinstance(column.type, sa.String | sa.JSON)
    return "text" if is_text else column.type.compile(_DIALECTS["postgresql"])


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
