"""Commits: what is ready at the same moment shares one commit.

A lone item never waits: the first one starts a commit at once, and those that
become ready while it runs form the next. Each caller gets its own answer, after
the commit that holds its item. An item that spoils a commit spoils only its
own: the others are committed without it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from axis.errors import TransientError

T = TypeVar("T")
R = TypeVar("R")


class SharedCommits(Generic[T, R]):
    """Turn single requests into batches for `commit`, which answers in order, or raises with nothing done."""

    def __init__(self, commit: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, most: int) -> None:
        self._commit = commit
        self._most = most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._running: asyncio.Task[None] | None = None

    async def add(self, item: T) -> R:
        """Return what `commit` answered for this item; raise what it raised."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._drain())
        return await future

    async def finish(self) -> None:
        """Wait until everything that was added has been answered."""
        while self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._one(batch)
        finally:
            self._running = None

    async def _one(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._commit([item for item, _ in batch])
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
            if not future.done():  # The caller may have gone away; the commit stands all the same.
                future.set_result(answer)
