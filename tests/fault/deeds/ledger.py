"""The ledger is killed, locked, made read-only, and its disk is filled."""

import asyncio
import contextlib
import random
import sqlite3

from tests.fault.trial import Trial

_LOCK_S = 60


async def kill(trial: Trial, draw: random.Random) -> None:
    """PostgreSQL with all its children."""
    assert trial.postgres is not None
    trial.done["kill -9 of PostgreSQL"] += 1
    await asyncio.to_thread(trial.postgres.kill)
    await asyncio.sleep(draw.uniform(0.2, 4))
    await asyncio.to_thread(trial.postgres.start)


async def lock(trial: Trial, _draw: random.Random) -> None:
    """Somebody holds every delivery locked for a minute, as a careless administrator's session does."""
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
