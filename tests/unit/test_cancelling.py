"""Pauses: they end with their time, or with the word."""

import asyncio
import time

import pytest

from axis.cancelling import pause


async def test_pause_lasts_its_time() -> None:
    began = time.perf_counter()
    await pause(0.05, unless=asyncio.Event())
    assert time.perf_counter() - began >= 0.05


async def test_pause_ends_with_the_word() -> None:
    word = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, word.set)
    async with asyncio.timeout(5):
        await pause(60, unless=word)


async def test_pause_ends_for_who_is_told_to_end() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await pause(60, unless=asyncio.Event())
