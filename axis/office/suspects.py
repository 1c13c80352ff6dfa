"""Suspects: an envelope during whose attempt the process died is tried again alone.

Several envelopes are at work when a process dies, and one of them may be the
cause. The broker hands all of them out again, at once: if they ran beside each
other, the poisonous one would take its neighbours with it each time, and all of
them would be called poison. Alone, only it can be to blame.

Limits: "alone" has an end, on both sides. A suspect does not wait longer for
what runs, nor make others wait longer for it: one whose handler merely takes
its time must not stop the office.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from axis.cancelling import pause

_ALONE_S = 30.0


@dataclass(frozen=True)
class Suspects:
    """Who may run beside whom."""

    alone_s: float = _ALONE_S
    _one: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)  # One suspect at a time.
    _free: asyncio.Event = field(default_factory=asyncio.Event, init=False)  # No suspect keeps others from running.
    _quiet: asyncio.Event = field(default_factory=asyncio.Event, init=False)  # Nothing runs.
    _running: set[object] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._free.set()
        self._quiet.set()

    @contextlib.asynccontextmanager
    async def turn(self, *, alone: bool) -> AsyncIterator[None]:
        """Wait for one's turn, and hold it while the block runs."""
        if not alone:
            await self._free.wait()
            with self._runs():
                yield
            return
        async with self._one:
            self._free.clear()
            try:
                await pause(self.alone_s, unless=self._quiet)
                long_enough = asyncio.get_running_loop().call_later(self.alone_s, self._free.set)
                try:
                    with self._runs():
                        yield
                finally:
                    long_enough.cancel()
            finally:
                self._free.set()

    @contextlib.contextmanager
    def _runs(self) -> Iterator[None]:
        """Count what runs."""
        one = object()
        self._running.add(one)
        self._quiet.clear()
        try:
            yield
        finally:
            self._running.discard(one)
            if not self._running:
                self._quiet.set()
