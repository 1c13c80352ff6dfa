"""Loops that wait end when they are told to, whatever happens at the same moment."""

import asyncio
from datetime import timedelta

import pytest

from axis.dispatch.clock import Bell, keep_doing

_HOUR = timedelta(hours=1)


async def _idle() -> bool:
    return False


@pytest.mark.parametrize("turns", range(6))
async def test_loop_that_is_rung_and_ended_at_once_ends(turns: int) -> None:
    """So many turns of the event loop lie between the two."""
    bell = Bell()
    loop = asyncio.create_task(keep_doing("x", _idle, bell, _HOUR))
    await asyncio.sleep(0.01)
    bell.ring()
    for _ in range(turns):
        await asyncio.sleep(0)
    loop.cancel()
    await asyncio.wait([loop], timeout=1)
    assert loop.cancelled()


async def test_loop_that_is_ended_as_its_time_is_over_ends() -> None:
    loops = []
    for _ in range(200):
        loops.append(asyncio.create_task(keep_doing("x", _idle, Bell(), timedelta(milliseconds=2))))
        await asyncio.sleep(0.0001)
    for loop in loops:
        await asyncio.sleep(0)
        loop.cancel()
    await asyncio.wait(loops, timeout=2)
    assert all(loop.cancelled() for loop in loops)
