"""Engine: how the ledger is opened, and how a transaction begins and fails.

SQLite runs in WAL with synchronous=FULL, so that a commit is on the disk when
we say so, and every write begins IMMEDIATE, so that two processes wait for each
other instead of failing half-way. What a database cannot do just now is a
TransientError; what it will never do is our bug and is raised as it is.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from axis.errors import PermanentError, TransientError

_BUSY_S = 10
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x61786973  # "axis": one process migrates, the others wait.


def open_engine(url: str) -> AsyncEngine:
    """Return an engine for `sqlite:///path` or `postgresql://...`.

    Raises:
        PermanentError: CFG.INVALID
    """
    scheme, found, rest = url.partition("://")
    if not found or scheme not in _DRIVERS:
        raise PermanentError("CFG.INVALID", "ledger_url must be sqlite:///PATH or postgresql://...")
    address = f"{_DRIVERS[scheme]}://{rest}"
    if scheme == "sqlite":
        engine = create_async_engine(
            address, connect_args={"timeout": _BUSY_S}, pool_size=8, max_overflow=0, pool_timeout=30
        )
        sa.event.listen(engine.sync_engine, "connect", _tune_sqlite)
        sa.event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    return create_async_engine(address, pool_size=10, max_overflow=10, pool_timeout=30, pool_pre_ping=True)


def _tune_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # The driver must not begin on its own; _begin_sqlite does.
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_S * 1000}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    reading = connection.get_execution_options().get("axis_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@asynccontextmanager
async def transaction(engine: AsyncEngine, *, reading: bool = False) -> AsyncIterator[AsyncConnection]:
    """Run a block in one transaction.

    Raises:
        TransientError: SYS.LEDGER; nothing was written, or whether it was is unknown.
    """
    try:
        async with engine.connect() as connection:
            await connection.execution_options(axis_reading=reading)
            async with connection.begin():
                yield connection
    except (IntegrityError, ProgrammingError):
        raise
    except (DBAPIError, PoolTimeoutError, OSError) as error:
        raise TransientError("SYS.LEDGER") from error


async def migrate(url: str) -> None:
    """Bring a ledger to the schema of this version; does nothing if it is there.

    Raises:
        TransientError: SYS.LEDGER
    """
    engine = open_engine(url)
    try:
        async with transaction(engine) as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _upgrade(connection: sa.Connection) -> None:
    command.upgrade(migration_config(connection), "head")


def migration_config(connection: sa.Connection | None) -> Config:
    """Return Alembic's configuration, on an open connection."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config
