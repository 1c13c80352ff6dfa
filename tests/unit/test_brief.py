"""Brief: what computes is done here, in order; what is large goes to a thread, and others have their turn."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from axis import brief


async def test_small_items_are_done_here_and_large_ones_in_a_thread() -> None:
    def where(item: bytes) -> tuple[int, bool]:
        return len(item), threading.current_thread() is threading.main_thread()

    sizes = [1, brief.MOST_BYTES, brief.MOST_BYTES + 1, 2]
    made = await brief.each(where, [bytes(size) for size in sizes], len)

    assert made == [(1, True), (brief.MOST_BYTES, True), (brief.MOST_BYTES + 1, False), (2, True)]


@pytest.mark.parametrize(("each_ms", "items", "turns"), [(0.1, 50, 0), (4, 3, 0), (4, 4, 1), (25, 4, 3)])
async def test_others_have_their_turn_after_ten_milliseconds(
    monkeypatch: pytest.MonkeyPatch, each_ms: float, items: int, turns: int
) -> None:
    now, had = 100.0, 0
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    def compute(_item: int) -> None:
        nonlocal now
        now += each_ms / 1000

    async def other() -> None:
        nonlocal had
        while True:
            await asyncio.sleep(0)
            had += 1

    running = asyncio.create_task(other())
    await asyncio.sleep(0)  # It has begun.
    await brief.each(compute, range(items), lambda _: 1)
    running.cancel()

    assert had == turns


@pytest.mark.parametrize("size_of", [lambda _: 1, lambda _: brief.MOST_BYTES + 1])
async def test_what_is_raised_reaches_the_caller(size_of: Callable[[int], int]) -> None:
    def fail(item: int) -> None:
        raise ValueError(item)

    with pytest.raises(ValueError, match="7"):
        await brief.each(fail, [7], size_of)


async def test_nothing_makes_nothing() -> None:
    assert await brief.each(len, [], len) == []
