"""The ledger is killed, locked, made read-only, robbed of its disk, and taken back to an earlier time."""

import asyncio
import contextlib
import json
import os
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fault.journal import lines
from tests.fault.trial import SENDER, Trial
from tests.laboratory import axis

_LOCK_S = 40  # Longer than anybody waits for a connection to the database.
_SOME = 30  # Documents.
_PAUSES_S = 15  # Longer than anybody pauses between two tries.


async def kill(trial: Trial, draw: random.Random) -> None:
    """PostgreSQL with all its children."""
    assert trial.postgres is not None
    trial.done["kill -9 of PostgreSQL"] += 1
    await asyncio.to_thread(trial.postgres.kill)
    await asyncio.sleep(draw.uniform(0.2, 4))
    await asyncio.to_thread(trial.postgres.start)


async def lock(trial: Trial, _draw: random.Random) -> None:
    """Somebody holds every delivery locked, as a careless administrator's session does."""
    assert trial.postgres is not None
    trial.done["locks"] += 1
    await asyncio.to_thread(
        trial.postgres.run, trial.ledger_url, f"BEGIN; LOCK TABLE deliveries; SELECT pg_sleep({_LOCK_S})"
    )


async def forbid_writing(trial: Trial, draw: random.Random) -> None:
    """As after a failover to a copy that is not the leader yet."""
    assert trial.postgres is not None
    trial.done["times read-only"] += 1
    for word, for_s in (("on", draw.uniform(1, 4)), ("off", 0.0)):
        for statement in (f"ALTER SYSTEM SET default_transaction_read_only = {word}", "SELECT pg_reload_conf()"):
            await asyncio.to_thread(trial.postgres.run, trial.ledger_url, statement)
        await asyncio.sleep(for_s)


async def hold_sqlite(trial: Trial, draw: random.Random) -> None:
    """Another process holds the write lock of SQLite, longer than anybody waits for it."""
    trial.done["locks"] += 1
    with contextlib.closing(
        sqlite3.connect(trial.data / "ledger.sqlite", isolation_level=None, timeout=60, check_same_thread=False)
    ) as other:
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        try:
            await asyncio.sleep(draw.uniform(8, 25))
        finally:
            other.execute("ROLLBACK")


async def fill_disk(trial: Trial, draw: random.Random) -> None:
    """No byte is left where the ledger is."""
    trial.done["disks filled"] += 1
    disk = trial.disks["book"]
    disk.fill()
    try:
        await asyncio.sleep(draw.uniform(3, 8))
    finally:
        disk.free()


def can_trace() -> bool:
    """Tell whether we may get between a process and its disk."""
    return os.geteuid() == 0


async def fail_to_write(trial: Trial, draw: random.Random) -> None:
    """The disk answers every write, or every sync, of the ledger with an error for some seconds, in whatever is being done."""
    file, seen = trial.data / "ledger.sqlite", trial.folder / "strace"
    calls = draw.choice(("fdatasync,fsync", "pwrite64", "fdatasync,fsync,pwrite64"))
    process = await asyncio.create_subprocess_exec(
        *("strace", "-f", "-qq", "-o", str(seen), "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO"),
        *("-P", str(file), "-P", f"{file}-wal"),
        *(word for pid in trial.axis_pids() for word in ("-p", str(pid))),
    )

    def failed() -> int:
        return seen.read_text(errors="replace").count("(INJECTED)") if seen.exists() else 0

    try:
        await asyncio.sleep(draw.uniform(3, 8))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAUSES_S):
                while not failed():  # noqa: ASYNC110 - Another process writes.
                    await asyncio.sleep(0.1)
    finally:
        process.terminate()  # It lets go of what it has attached to.
        await process.wait()
    trial.done["failed writes"] += failed()
    assert failed()


# --- while the axis is down -------------------------------------------------------------------


async def restore_a_backup(trial: Trial, _draw: random.Random) -> None:
    """The disk of the ledger is lost, and a backup that was made under load is all there is; the broker is ahead of it.

    What was in custody since then is sent again by its originator, as docs/deploy.md asks: its clerks go back to where
    they were when the backup was begun. Who has a document already answers for it, and does not register it again.
    """
    backup = str(trial.folder / "backup")
    before = len(trial.books.sent())
    backing_up = asyncio.create_task(trial.command(*axis("backup", backup, "--json")))
    most, pause = trial.conditions.documents - 2 * _SOME, trial.place(SENDER) / "pause"
    await trial.until_true(lambda: backing_up.done() or len(trial.books.sent()) >= most)
    pause.touch()  # On a busy machine all of them would be in it.
    code, out = await backing_up
    assert code == 0, out
    held = json.loads(out)
    pause.unlink()
    await trial.until_true(lambda: trial.books.accepted() >= held["documents"] + _SOME)
    async with down(trial) as ledger:
        lost = ledger.rename(trial.folder / "lost.sqlite")
        code, out = await trial.command(*axis("restore", backup, "--json"))
        assert code == 0, out
        told = json.loads(out)
        assert told["gap_s"] > 0
        assert told["audit"]["documents"] == told["documents"] == held["documents"]
        assert told["audit"]["findings"] == []
        trial.forgotten = _envelopes_in(lost) - _envelopes_in(ledger)
        assert len(trial.forgotten) >= _SOME
        trial.done["documents that were in no backup"] += len(trial.forgotten)
    trial.down.add(SENDER)
    await trial.laboratory.stop(SENDER)
    sent = trial.place(SENDER) / "sent"
    sent.write_text("".join(f"{line}\n" for line in lines(sent)[:before]), encoding="utf-8")
    await trial.start_again(SENDER)


@asynccontextmanager
async def down(trial: Trial) -> AsyncIterator[Path]:
    """Let the power fail for the axis, and not for its broker; yield its ledger, which is one file with all that it holds."""
    trial.down.add("axis")
    trial.done["kill -9"] += await trial.laboratory.kill("axis")
    ledger = trial.data / "ledger.sqlite"
    await trial.until_true(lambda: _is_one_file(ledger))  # A process that was killed may not be gone yet.
    yield ledger
    await trial.start_axis()


def _is_one_file(ledger: Path) -> bool:
    """Bring what SQLite keeps beside a database into it; False if somebody still has it open."""
    with contextlib.closing(sqlite3.connect(ledger)) as book:
        book.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return not ledger.with_name(f"{ledger.name}-wal").exists()


def _envelopes_in(ledger: Path) -> frozenset[str]:
    with contextlib.closing(sqlite3.connect(ledger)) as book:
        return frozenset(one for (one,) in book.execute("SELECT id FROM envelopes"))
