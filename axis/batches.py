"""Batches: what is ready at the same moment is done together.

One commit, one change of threads, one message serve many items. A lone item
never waits: the first one is begun at once, and those that become ready while it
runs form the next batch. Where turn after turn of the event loop makes more of
them ready, they join, for some milliseconds. Each caller gets its own answer,
after the batch that holds its item. An item that spoils a batch spoils only its
own: the others are done without it.

Spec: docs/adr/0011, 0013, 0038.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from axis.errors import TransientError

T = TypeVar("T")
R = TypeVar("R")

JOIN_S = 0.005  # So long, at the most, what becomes ready may join.


class Batches(Generic[T, R]):
    """Turn single requests into batches for `do`, which answers in order, or raises with nothing done.

    An answer that is an exception is raised to the caller whose item it answers.
    """

    def __init__(self, do: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]], *, most: int) -> None:
        self._do = do
        self._most = most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def add(self, item: T) -> R:
        """Return what `do` answered for this item; raise what it raised."""
        return await self.put(item)

    def put(self, item: T) -> asyncio.Future[R]:
        """Add an item; what `do` answers for it is to be awaited. For many at once this takes less than a task for each."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._drain())
        return future

    async def finish(self) -> None:
        """Wait until everything that was added has been answered."""
        while self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._join()
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._one(batch)
        finally:
            self._running = None

    async def _join(self) -> None:
        """Let those join that become ready in these moments: what comes in comes a few at a time."""
        began, seen = time.perf_counter(), 0
        while seen < len(self._waiting) < self._most and time.perf_counter() - began < JOIN_S:
            seen = len(self._waiting)
            await asyncio.sleep(0)

    async def _one(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._do([item for item, _ in batch])
        except BaseException as error:
            if len(batch) > 1 and isinstance(error, Exception) and not isinstance(error, TransientError):
                for one in batch:
                    await self._one([one])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():  # The caller may have gone away; what was done stands all the same.
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
