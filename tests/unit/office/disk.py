"""A state that can be read and not written, as on a full disk."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable

from axis.office.state import State

_WRITES = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE)


@contextlib.asynccontextmanager
async def full(state: State) -> AsyncIterator[None]:
    """Let nothing be written until the block ends."""
    await _set(state, lambda action, *_: sqlite3.SQLITE_DENY if action in _WRITES else sqlite3.SQLITE_OK)
    try:
        yield
    finally:
        await _set(state, None)


async def _set(state: State, may: Callable[..., int] | None) -> None:
    await asyncio.get_running_loop().run_in_executor(state._thread, state._connection.set_authorizer, may)
