"""Children: processes that this one starts, watches and stops.

One that ends by itself is started again, ever more slowly while it keeps ending
young. A child ends with us, however we end: its standard input is a pipe that we
alone hold open, and the end of that pipe is its order to stop in order.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

_STOP_S = 30.0
_PAUSE_FIRST_S, _PAUSE_MOST_S = 0.5, 30.0
_GROWN_UP_S = 60.0  # Whoever lived that long did not end because it could not start.


@dataclass(frozen=True, slots=True)
class Child:
    """A process to be kept running."""

    name: str
    command: tuple[str, ...]
    more: Mapping[str, str]  # Environment variables beside ours.


@contextlib.asynccontextmanager
async def running(wanted: Sequence[Child], said: Callable[[str], None]) -> AsyncIterator[None]:
    """Keep processes running until the block ends; then stop them side by side."""
    keepers = [asyncio.create_task(_keep(child, said), name=child.name) for child in wanted]
    try:
        yield
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)


async def _keep(child: Child, said: Callable[[str], None]) -> None:
    pause_s = _PAUSE_FIRST_S
    while True:
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *child.command,
            env={**os.environ, **child.more},
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,  # A Ctrl-C is ours; it is told to stop, in order, by us.
        )
        said(f"{child.name}: process {process.pid}")
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _stop(process)
            raise
        if time.monotonic() - began > _GROWN_UP_S:
            pause_s = _PAUSE_FIRST_S
        said(f"{child.name}: ended by itself with exit code {code}; started again in {pause_s:g} s")
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _PAUSE_MOST_S)


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
