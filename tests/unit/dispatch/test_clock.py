"""Loops that wait end when they are told to, whatever happens at the same moment."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from axis.cancelling import ends_when_told
from axis.dispatch.clock import Bell, keep_doing
from axis.errors import PermanentError, TransientError

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


async def test_file_that_cannot_be_used_is_told_with_its_reason() -> None:
    async def read() -> bool:
        raise PermanentError("CFG.INVALID", "crl.pem: not whole")

    with capture_logs() as said:
        loop = asyncio.create_task(keep_doing("roll", read, Bell(), _HOUR))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        loop.cancel()
        await asyncio.wait([loop], timeout=1)
    assert said == [
        {"event": "configuration.unusable", "log_level": "error", "name": "roll", "detail": "crl.pem: not whole"}
    ]


@pytest.mark.parametrize("problem", [None, TransientError("SYS.LEDGER")], ids=["answers", "fails"])
async def test_loop_whose_work_swallows_its_end_ends_all_the_same(problem: Exception | None) -> None:
    async def swallows() -> bool:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(_HOUR.total_seconds())
        if problem is not None:
            raise problem
        return False

    loop = asyncio.create_task(keep_doing("x", swallows, Bell(), _HOUR))
    await asyncio.sleep(0.01)
    loop.cancel()
    await asyncio.wait([loop], timeout=1)
    assert loop.cancelled()


async def test_loop_that_cleans_up_after_its_end_may_ask_again() -> None:
    async def work() -> str:
        try:
            await asyncio.sleep(_HOUR.total_seconds())
        except asyncio.CancelledError:
            with ends_when_told():
                await asyncio.sleep(0)
            cleaned.append(True)
            raise
        return ""

    cleaned: list[bool] = []
    loop = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    loop.cancel()
    await asyncio.wait([loop], timeout=1)
    assert loop.cancelled()
    assert cleaned


@pytest.mark.parametrize("last", [None, RuntimeError("x"), KeyboardInterrupt()], ids=["answers", "fails", "ends all"])
async def test_what_ends_the_process_is_not_taken_for_a_cancellation(last: BaseException | None) -> None:
    task = asyncio.current_task()
    assert task is not None
    meant = KeyboardInterrupt if isinstance(last, KeyboardInterrupt) else asyncio.CancelledError
    with pytest.raises(meant), ends_when_told():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)
        if last is not None:
            raise last
    task.uncancel()
