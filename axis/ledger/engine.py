"""Engine: how the ledger is opened, and how work on it begins, shares a commit and fails.

Work is a plain function of a connection. Reading runs beside everything else.
Writes that are ready at the same moment share one transaction, and so one sync
of the disk; a lone one never waits. If one of them fails, it fails alone: the
others are done again without it.

SQLite runs in WAL with synchronous=FULL, so that a commit is on the disk when
we say so, in one thread that writes and a few that read: a driver that crosses
threads for every statement costs more than the statement. Every write begins
IMMEDIATE, so that two processes wait for each other instead of failing
half-way. What a database cannot do just now is a TransientError; what it will
never do, with this statement or these values, is our bug and is raised as it is.
"""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from axis.batches import Batches
from axis.errors import PermanentError, TransientError

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

_BUSY_S = 10
_SOON_S = 0.02
_READERS = 4
_TRUSTED_S = 1.0  # A connection that was used so lately is alive.
_MOST = 64  # Works that share one transaction.
_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x61786973  # "axis": one process migrates, the others wait.

RESTORING = "restore_not_finished"  # A table that is there until what waits in a restored ledger is set going again.


class _Kind(Enum):
    """What works do, and what they may see."""

    WRITES = "writes"  # All of them in one transaction.
    ASKS = "asks"  # Each question sees what is committed when it is asked.
    LOOKS = "looks"  # All questions see the same moment.


class _Driver(Protocol):
    """Runs works in order."""

    async def run(self, works: Sequence[Work[Any]], kind: _Kind) -> list[Any]:
        """Return what each returned; raise what the first failing one raised, with nothing written."""

    async def close(self) -> None:
        """Let go of every connection."""


class Database:
    """An open database; made by `open_database`."""

    def __init__(self, driver: _Driver) -> None:
        self._driver = driver
        self._commits: Batches[Work[Any], Any] = Batches(partial(self._run, kind=_Kind.WRITES), most=_MOST)

    async def read(self, work: Work[T]) -> T:
        """Run work that writes nothing. Each of its questions sees what was committed when it was asked.

        Raises:
            TransientError: SYS.LEDGER
        """
        (result,) = await self._run([work], _Kind.ASKS)
        return result  # type: ignore[no-any-return]

    async def look(self, work: Work[T]) -> T:
        """Run work that writes nothing, and all of whose questions see the same moment.

        Raises:
            TransientError: SYS.LEDGER
        """
        (result,) = await self._run([work], _Kind.LOOKS)
        return result  # type: ignore[no-any-return]

    async def write(self, work: Work[T]) -> T:
        """Run work in a transaction; what it wrote is on the disk when this returns.

        Raises:
            TransientError: SYS.LEDGER; nothing was written, or whether it was is unknown.
        """
        result: T = await self._commits.add(work)
        return result

    async def _run(self, works: Sequence[Work[Any]], kind: _Kind) -> list[Any]:
        try:
            return await self._driver.run(works, kind)
        except (IntegrityError, ProgrammingError):
            raise
        except (DBAPIError, PoolTimeoutError, OSError) as error:
            if isinstance(error, DBAPIError) and _is_about_data(error):
                raise
            raise TransientError("SYS.LEDGER") from error

    async def close(self) -> None:
        """Finish what is being written, and let go."""
        await self._commits.finish()
        await self._driver.close()


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """Open `sqlite:///path` or `postgresql://...`; nothing is connected before it is used.

    Raises:
        PermanentError: CFG.INVALID
    """
    scheme, found, rest = url.partition("://")
    if not found or scheme not in _DRIVERS:
        raise PermanentError("CFG.INVALID", "ledger_url must be sqlite:///PATH or postgresql://...")
    database = Database(_DRIVERS[scheme](rest))
    try:
        yield database
    finally:
        await database.close()


def _is_about_data(error: DBAPIError) -> bool:
    """Whether a database refuses the values themselves: trying again would fail for ever.

    Spec: PostgreSQL, "Error Codes", class 22; asyncpg refuses what it cannot encode with a ValueError.
    """
    code = str(getattr(error.orig, "sqlstate", None) or "")
    return code.startswith("22") or (error.orig is not None and isinstance(error.orig.__cause__, ValueError))


def keep_others_out(connection: sa.Connection, table: sa.Table) -> None:
    """Let nobody else write to a table until this transaction ends: what it finds there must be all that there is.

    On SQLite there is one writer in any case. Where two transactions have written to the table before they ask for
    this, PostgreSQL ends one of them, with nothing done.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"LOCK TABLE {table.name} IN EXCLUSIVE MODE"))


# --- SQLite -----------------------------------------------------------------------------


class _Sqlite:
    """One connection writes, always the same: what it has read of the file stays good until another process writes.

    To a connection that only reads, each commit of the other is a file of which it knows nothing.
    """

    def __init__(self, path: str) -> None:
        url = f"sqlite://{path}"
        self._writing = _sqlite(url, 1, "BEGIN IMMEDIATE", *_OF_THE_WRITER)
        self._reading = _sqlite(url, _READERS, "BEGIN")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ledger writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="ledger reader")

    async def run(self, works: Sequence[Work[Any]], kind: _Kind) -> list[Any]:
        writes = kind is _Kind.WRITES
        thread, engine = (self._writer, self._writing) if writes else (self._readers, self._reading)
        return await asyncio.get_running_loop().run_in_executor(thread, _transact, engine, works)

    async def close(self) -> None:
        for threads in (self._writer, self._readers):
            await asyncio.to_thread(threads.shutdown)
        for engine in (self._writing, self._reading):
            engine.dispose()


# A page that is written again before it is carried over from the log need not be carried over. And what is known of the
# file should be all that a batch touches: each row has a place in a dozen indexes.
_OF_THE_WRITER = ("wal_autocheckpoint=4000", "cache_size=-16000")  # In pages of 4 KiB; in KiB.


def _sqlite(url: str, most: int, begin: str, *pragmas: str) -> sa.Engine:
    """Return a source of so many connections, whose transactions begin in these words."""
    engine = sa.create_engine(
        url,
        connect_args={"timeout": _BUSY_S, "check_same_thread": False},
        hide_parameters=True,  # They are content, and errors are logged.
        poolclass=sa.QueuePool,
        pool_size=most,
        max_overflow=0,
    )
    sa.event.listen(engine, "do_connect", lambda *_: _make_private(engine.url.database))
    sa.event.listen(engine, "connect", partial(_tune_sqlite, pragmas))
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _transact(engine: sa.Engine, works: Sequence[Work[Any]]) -> list[Any]:
    with engine.connect() as connection, connection.begin():
        return [work(connection) for work in works]


def _make_private(path: str | None) -> None:
    """Make the file before SQLite does: for its owner alone. What SQLite puts beside it gets the same rights.

    A file that is there is not even opened: to close it again would end the locks that SQLite holds on it.
    """
    with contextlib.suppress(OSError):  # It is there; or it cannot be made, and SQLite says so better.
        os.close(os.open(path or "", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _tune_sqlite(pragmas: Sequence[str], connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # The driver must not begin on its own.
    cursor = connection.cursor()
    _write_ahead(cursor)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_S * 1000}", *pragmas):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    """Turn WAL on: once in the life of a file, and for that SQLite does not wait while another process has it open."""
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_SOON_S)
        else:
            return


# --- PostgreSQL --------------------------------------------------------------------------


class _Postgresql:
    def __init__(self, rest: str) -> None:
        self._engine: AsyncEngine = create_async_engine(
            f"postgresql+asyncpg://{rest}",
            hide_parameters=True,
            pool_size=10,
            max_overflow=10,
            pool_timeout=30,
        )
        # Each statement sees what is committed when it begins, in a transaction or without one, as PostgreSQL isolates them
        # where nothing is said; without one, a question is one message to the server and back.
        self._engines = {
            _Kind.WRITES: self._engine,
            _Kind.ASKS: self._engine.execution_options(isolation_level="AUTOCOMMIT"),
            _Kind.LOOKS: self._engine.execution_options(isolation_level="REPEATABLE READ"),
        }
        sa.event.listen(self._engine.sync_engine, "checkin", _note_time)
        sa.event.listen(self._engine.sync_engine, "checkout", partial(_require_alive, self._engine.dialect))

    async def run(self, works: Sequence[Work[Any]], kind: _Kind) -> list[Any]:
        async with self._engines[kind].connect() as connection, connection.begin():
            return await connection.run_sync(lambda plain: [work(plain) for work in works])

    async def close(self) -> None:
        await self._engine.dispose()


def _note_time(_connection: Any, record: Any) -> None:
    record.info["used_at"] = time.monotonic()


def _require_alive(dialect: sa.Dialect, connection: Any, record: Any, _fairy: Any) -> None:
    """Ask whether a connection is alive that nobody used for a while: the server may have gone, and come again.

    To ask each time, as SQLAlchemy offers, takes three messages there and back, more than most work does. A server that
    goes in between ends the work that was begun, which is transient in either case.

    Raises:
        sa.exc.InvalidatePoolError: It is not; the pool makes new ones.
    """
    used_at = record.info.get("used_at")
    if used_at is None or time.monotonic() - used_at < _TRUSTED_S:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise sa.exc.InvalidatePoolError from error


_DRIVERS: dict[str, Callable[[str], _Driver]] = {
    "sqlite": _Sqlite,
    "postgresql": _Postgresql,
    "postgres": _Postgresql,
}


# --- the schema ----------------------------------------------------------------------------


async def migrate(url: str) -> None:
    """Bring a ledger to the schema of this version; does nothing if it is there.

    Raises:
        PermanentError: CFG.INVALID; it was not restored to the end, or a later version has been at work on it.
        TransientError: SYS.LEDGER
    """
    async with open_database(url) as database:
        await database.write(upgrade)


def upgrade(connection: sa.Connection) -> None:
    """Bring a ledger to the schema of this version.

    Raises:
        PermanentError: CFG.INVALID; it was not restored to the end, or a later version has been at work on it.
    """
    lock_schema(connection)
    require_restored(connection)
    revision = revision_of(connection)
    if revision is not None:
        _require_known(revision)
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def lock_schema(connection: sa.Connection) -> None:
    """Let nobody else migrate, or begin to restore, until this transaction ends. On SQLite there is one writer in any case."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))


def revision_of(connection: sa.Connection) -> str | None:
    """Return which schema a database has; None where there is no ledger in it."""
    return MigrationContext.configure(connection).get_current_revision()


def knows(revision: str) -> bool:
    """Tell whether this version of the axis knows a schema."""
    return revision in {one.revision for one in _scripts().walk_revisions()}


def require_ready(connection: sa.Connection) -> None:
    """Refuse a database that holds no whole ledger with the schema of this version.

    Raises:
        PermanentError: CFG.INVALID
    """
    require_restored(connection)
    revision, newest = revision_of(connection), _scripts().get_current_head()
    if revision is None:
        raise PermanentError(
            "CFG.INVALID", "there is no ledger in this database yet; the first axis up, router or gateway makes it"
        )
    if revision != newest:
        _require_known(revision)
        raise PermanentError(
            "CFG.INVALID",
            f"the ledger has schema {revision}, and this version {newest}: the first axis up, router or gateway of this"
            " version brings it up to date",
        )


def _require_known(revision: str) -> None:
    if not knows(revision):
        raise PermanentError(
            "CFG.INVALID",
            f"the ledger has schema {revision}, of a later version of the axis: install that one here too, or restore a backup"
            " of before into a new database",
        )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_MIGRATIONS))


def require_restored(connection: sa.Connection) -> None:
    """Refuse a ledger that was not restored to the end: what waits in it would expire, or wait for ever.

    Raises:
        PermanentError: CFG.INVALID
    """
    if sa.inspect(connection).has_table(RESTORING):
        raise PermanentError(
            "CFG.INVALID",
            "a restore into the database of ledger_url is under way, or was broken off; then what is in it does not count:"
            " make a new one with createdb, name it in AXIS_LEDGER_URL, and restore again",
        )
