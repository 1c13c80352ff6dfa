"""Backup: the whole book as one file, and a book made from such a file.

SQLite is copied by its online backup, PostgreSQL by `pg_dump`, while the axis
goes on. Either reads one snapshot, and what we say of the copy is read from
the same snapshot: the files that it names are those that it needs.

A book is restored where there is none, and it is whole or not there at all:
in PostgreSQL a mark that comes before the dump, and goes in the commit that
sets going what waits, keeps everybody from opening it in between. What waits in
it goes on as if the time in between had not passed: the axis was not there to
use it.

Spec: docs/deploy.md (Backup); docs/promises.md, promise 1.
"""

import asyncio
import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from axis import private
from axis.errors import PermanentError, TransientError
from axis.ledger import audit as audits
from axis.ledger import feed, passwords
from axis.ledger import tables as t
from axis.ledger.engine import RESTORING, lock_schema, open_database, require_restored, revision_of, upgrade

Told = Callable[[int], None]  # Is told how many bytes have come.

SQLITE, POSTGRESQL = "sqlite", "postgresql"
FILES = {SQLITE: "ledger.sqlite", POSTGRESQL: "ledger.dump"}  # What a copy of each kind is called.

_BUSY_S = 10
_PAGES = 1024  # Copied before we say how far we are.
_BESIDE = ("", "-wal", "-shm", "-journal")  # What SQLite keeps beside a database; an old one spoils a new database.

_a, _d, _ev, _u = t.envelope_attachments.c, t.deliveries.c, t.events.c, t.uploads.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a copy of the book holds."""

    kind: str  # A key of FILES.
    revision: str  # Of the schema.
    documents: int
    deliveries: dict[str, int]  # By state.
    receipts: int
    last_event: int  # 0: nothing has happened yet.
    files: dict[str, int]  # What envelopes and uploads name: digest, size in bytes.


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What was set going again in a restored book, and what the audit says of it."""

    put_back: int  # Attempts without an answer, to be made again at once.
    overdue: int  # Deliveries whose next attempt fell into the time in between.
    prolonged: int  # Deliveries that wait; they keep the life that they had left.
    passwords: int  # Passwords of offices that are good, as they were then: one that was ended since is good again.
    audit: audits.AuditReport


def kind_of(url: str) -> str:
    """Return which kind of ledger a URL names.

    Raises:
        PermanentError: CFG.INVALID
    """
    kind = {"sqlite": SQLITE, "postgresql": POSTGRESQL, "postgres": POSTGRESQL}.get(url.partition("://")[0])
    if kind is None:
        raise PermanentError("CFG.INVALID", "ledger_url must be sqlite:///PATH or postgresql://...")
    return kind


async def size_bytes(url: str) -> int:
    """Return about how large a ledger is, for those who wait for its copy.

    Raises:
        PermanentError: CFG.INVALID; there is no ledger.
        TransientError: SYS.LEDGER
    """
    if kind_of(url) == SQLITE:
        return _present(url).stat().st_size
    async with open_database(url) as database:
        return await database.read(lambda c: int(c.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0))


async def copy(url: str, file: Path, told: Told) -> Contents:
    """Copy a ledger, in use or not, into a file that is not there yet; it is whole and on the disk when this returns.

    Raises:
        PermanentError: CFG.INVALID; there is no ledger, or a program that is needed does not work.
        TransientError: SYS.LEDGER
    """
    source = _present(url) if kind_of(url) == SQLITE else None
    _make_private(file)
    if source is not None:
        return await asyncio.to_thread(_copy_sqlite, source, file, told)
    return await _copy_postgresql(url, file)


async def require_none(url: str) -> None:
    """Make sure that nothing is where a ledger is to be restored.

    Raises:
        PermanentError: CFG.INVALID; something is there.
        TransientError: SYS.LEDGER
    """
    if kind_of(url) == SQLITE:
        place = _place(url)
        found = [one.name for one in map(place.with_name, _names(place)) if one.exists()]
        if found:
            raise PermanentError(
                "CFG.INVALID",
                f"{place.parent} holds a ledger already ({', '.join(found)}): stop the axis and move it away, or restore into another folder with --data",
            )
        return
    async with open_database(url) as database:
        await database.read(_require_empty)


async def restore(url: str, file: Path, *, made_at: datetime, now: datetime) -> Resumed:
    """Make a ledger from a copy of its kind, where there is none, and set going what waits in it.

    Args:
        url: Where it is to be.
        file: What `copy` made.
        made_at: When it did.
        now: When the axis goes on.

    Raises:
        PermanentError: CFG.INVALID; a ledger is there, or a program that is needed does not work.
        TransientError: SYS.LEDGER
    """
    await require_none(url)
    if kind_of(url) == POSTGRESQL:
        await _restore_postgresql(url, file)
        return await _resume(url, made_at, now)
    place = _place(url)
    beside = place.with_name(f".{place.name}.restoring")
    try:
        await asyncio.to_thread(_copy_plain, file, beside)
        resumed = await _resume(f"sqlite:///{beside}", made_at, now)
        await asyncio.to_thread(_give_place, beside, place)
    except OSError as error:
        raise TransientError("SYS.LEDGER") from error
    finally:
        _remove(beside)
    return resumed


# --- what is in it ----------------------------------------------------------------------------


def _contents(connection: sa.Connection, kind: str) -> Contents:
    require_restored(connection)
    revision = revision_of(connection)
    if revision is None:
        raise PermanentError("CFG.INVALID", "there is no ledger in this database yet")
    states = connection.execute(sa.select(_d.state, sa.func.count().label("number")).group_by(_d.state))
    named = sa.union(sa.select(_a.sha256, _a.size_bytes), sa.select(_u.sha256, _u.size_bytes))
    return Contents(
        kind=kind,
        revision=revision,
        documents=_number(connection, sa.select(sa.func.count()).select_from(t.envelopes)),
        deliveries={row.state: row.number for row in states},
        receipts=_number(connection, sa.select(sa.func.count()).select_from(t.receipts)),
        last_event=_number(connection, sa.select(sa.func.max(_ev.seq))),
        files={row.sha256: row.size_bytes for row in connection.execute(named)},
    )


def _number(connection: sa.Connection, query: sa.Select[Any]) -> int:
    return int(connection.scalar(query) or 0)


async def _resume(url: str, made_at: datetime, now: datetime) -> Resumed:
    async with open_database(url) as database:
        return await database.write(lambda c: _finish(c, made_at, now))


def _finish(connection: sa.Connection, made_at: datetime, now: datetime) -> Resumed:
    connection.execute(sa.text(f"DROP TABLE IF EXISTS {RESTORING}"))
    upgrade(connection)
    return resume(connection, made_at, now)


def resume(connection: sa.Connection, made_at: datetime, now: datetime) -> Resumed:
    """Set going what waits in a book that was restored, and put that on record.

    Attempts are made again whether or not their message survived in the
    broker: an addressee knows an envelope that it has seen, and answers as it did.
    """
    prolonged = _prolong(connection, max(now - made_at, timedelta()))
    waits = _d.state.in_(("queued", "deferred"))
    overdue = connection.execute(sa.update(t.deliveries).where(waits, _d.next_at < now).values(next_at=now)).rowcount
    put_back = connection.execute(
        sa.update(t.deliveries).where(_d.state == "sent").values(state="queued", next_at=now)
    ).rowcount
    detail = {"made_at": made_at.isoformat(), "put_back": put_back, "overdue": overdue, "prolonged": prolonged}
    feed.begin_life(connection)
    connection.execute(sa.insert(t.events), [{"event": "ledger.restored", "at": now, "detail": detail}])
    return Resumed(
        put_back=put_back,
        overdue=overdue,
        prolonged=prolonged,
        passwords=sum(one.is_good(now) for one in passwords.listed(connection, None)),
        audit=audits.audit(connection, now),
    )


def _prolong(connection: sa.Connection, away: timedelta) -> int:
    """Give every delivery that waits the time in which nobody could attempt it."""
    found = connection.execute(sa.select(_d.id, _d.expires_at).where(t.WAITS))
    later = [{"delivery": row.id, "until": row.expires_at + away} for row in found]
    if later:
        connection.execute(
            sa.update(t.deliveries).where(_d.id == sa.bindparam("delivery")).values(expires_at=sa.bindparam("until")),
            later,
        )
    return len(later)


# --- SQLite -----------------------------------------------------------------------------------


def _place(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///")).absolute()


def _present(url: str) -> Path:
    place = _place(url)
    if not place.exists():
        raise PermanentError("CFG.INVALID", f"there is no ledger at {place}; give --data or AXIS_LEDGER_URL")
    return place


def _names(place: Path) -> list[str]:
    return [f"{place.name}{suffix}" for suffix in _BESIDE]


def _remove(place: Path) -> None:
    for name in _names(place):
        place.with_name(name).unlink(missing_ok=True)


def _copy_sqlite(source: Path, file: Path, told: Told) -> Contents:
    try:
        with (
            contextlib.closing(_connect(source, "rw")) as book,
            contextlib.closing(_connect(file, "rwc")) as twin,
        ):
            # One snapshot from the first page to the last; without it every write would begin the copy anew.
            book.execute("BEGIN")
            book.execute("SELECT count(*) FROM sqlite_master").fetchone()
            page_bytes = int(book.execute("PRAGMA page_size").fetchone()[0])
            book.backup(twin, pages=_PAGES, progress=lambda _, left, total: told((total - left) * page_bytes))
            twin.execute("PRAGMA journal_mode=DELETE")  # One file, with nothing beside it.
            (verdict, *_) = twin.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.Error as error:
        raise TransientError("SYS.LEDGER") from error
    if verdict != "ok":
        raise PermanentError("CFG.INVALID", f"the ledger is damaged, its copy does not hold: {verdict}")
    _sync(file)
    return _contents_of_sqlite(file)


def _connect(file: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file))}?mode={mode}", uri=True, timeout=_BUSY_S, isolation_level=None)


def _contents_of_sqlite(file: Path) -> Contents:
    engine = sa.create_engine("sqlite://", creator=lambda: _connect(file, "ro"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        return _contents(connection, SQLITE)


def _copy_plain(file: Path, place: Path) -> None:
    private.make_folder(place.parent)
    _remove(place)
    _make_private(place)
    shutil.copyfile(file, place)


def _make_private(file: Path) -> None:
    """Make a file for its owner alone, before it is filled by somebody who would make it for everybody."""
    file.touch(mode=0o600, exist_ok=False)


def _give_place(beside: Path, place: Path) -> None:
    """Give a finished database its name, unless somebody has taken that meanwhile."""
    _sync(beside)
    try:
        os.link(beside, place)
    except FileExistsError as error:
        raise PermanentError("CFG.INVALID", f"{place} has come into being meanwhile; nothing was restored") from error
    beside.unlink()
    _sync(place.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- PostgreSQL ---------------------------------------------------------------------------------


async def _copy_postgresql(url: str, file: Path) -> Contents:
    engine = create_async_engine(
        f"postgresql+asyncpg://{url.partition('://')[2]}",
        isolation_level="REPEATABLE READ",
        poolclass=sa.NullPool,
    )
    try:
        async with engine.connect() as connection, connection.begin():
            snapshot = await connection.scalar(sa.text("SELECT pg_export_snapshot()"))
            contents = await connection.run_sync(_contents, POSTGRESQL)
            await _dump(connection, url, file, str(snapshot))
    except (DBAPIError, OSError) as error:
        raise TransientError("SYS.LEDGER") from error
    finally:
        await engine.dispose()
    return contents


async def _dump(connection: AsyncConnection, url: str, file: Path, snapshot: str) -> None:
    try:
        await _program(
            url, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}",
            f"--file={file}", _database(url),
        )  # fmt: skip
        _sync(file)
    except PermanentError:
        await connection.execute(sa.text("SELECT 1"))  # If the server is away, that is the reason.
        raise


async def _restore_postgresql(url: str, file: Path) -> None:
    async with open_database(url) as database:
        await database.write(_mark)
    await _program(
        url, "pg_restore", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error",
        f"--dbname={_database(url)}", str(file),
    )  # fmt: skip


def _mark(connection: sa.Connection) -> None:
    """Mark an empty database as one into which a ledger is being restored; pg_restore may have failed there before."""
    lock_schema(connection)
    _require_empty(connection)
    connection.execute(sa.text(f"CREATE TABLE IF NOT EXISTS {RESTORING} ()"))


def _require_empty(connection: sa.Connection) -> None:
    tables = set(sa.inspect(connection).get_table_names()) - {RESTORING}
    if tables:
        require_restored(connection)
        raise PermanentError(
            "CFG.INVALID",
            f"the database of ledger_url is not empty ({len(tables)} tables): make a new one with createdb, and name it in AXIS_LEDGER_URL",
        )


def _database(url: str) -> str:
    return sa.make_url(url).database or ""


def libpq_environment(url: str) -> dict[str, str]:
    """Return what PostgreSQL's programs need to reach a ledger, its password among it: nobody reads it in a list of processes."""
    parts = sa.make_url(url)
    named = {name: value if isinstance(value, str) else ",".join(value) for name, value in parts.query.items()}
    wanted = {
        "PGHOST": named.get("host", parts.host),
        "PGPORT": named.get("port", parts.port),
        "PGUSER": parts.username,
        "PGPASSWORD": parts.password,
        "PGSSLMODE": named.get("ssl"),
    }
    return {name: str(value) for name, value in wanted.items() if value}


async def _program(url: str, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on a ledger.

    Raises:
        PermanentError: CFG.INVALID; it is not installed, or says why it does not work.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "--no-password",
            *arguments,
            env=os.environ | libpq_environment(url),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise PermanentError("CFG.INVALID", f"{program} is not here: apt-get install postgresql-client") from error
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise PermanentError("CFG.INVALID", " / ".join(said.decode(errors="replace").split("\n")[:3]).strip(" /"))
