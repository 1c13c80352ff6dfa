"""Cancelling: who is told to end, ends.

A library that catches a cancellation - while it closes something, or because its
answer came in the same moment - and then returns as if nothing had been, leaves
a loop that goes on for ever, and whoever waits for its end waits with it.

A pause is no reason to stay: whoever waits for its end waits for the word as well.

What runs in a thread cannot be told to end. Where it has a file in its hands,
whoever waits for it waits until it has let go, also when told to end.

Spec: Python, `asyncio.Task.cancelling`: requests that nobody has taken back with `uncancel`.
"""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def ends_when_told() -> Iterator[None]:
    """Raise a cancellation that came while the block ran, whatever has become of it there.

    One from before counts as known: cleaning up after it is let through. Whatever cancels the task by itself must take
    that back by the end of the block, as `asyncio.timeout` does; `asyncio.TaskGroup` of Python 3.11 does not always.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()

    def is_told() -> bool:
        return task is not None and task.cancelling() > before

    try:
        yield
    except Exception as error:
        if is_told():
            raise asyncio.CancelledError from error
        raise
    if is_told():
        raise asyncio.CancelledError


def cancelled_by_sigterm() -> Callable[[], bool]:
    """Let SIGTERM cancel the task that calls this, as Ctrl-C does: once, for a second one must not end the cleaning up.

    Outside the main thread nobody hears a signal, and nothing is done.

    Returns:
        Tells whether it has come.
    """
    task = asyncio.current_task()
    if task is None:
        raise AssertionError("nobody is here to be cancelled")
    is_told = asyncio.Event()

    def heed() -> None:
        if not task.cancelling():
            is_told.set()
            task.cancel()

    if threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, heed)
    return is_told.is_set


async def pause(seconds: float, unless: asyncio.Event) -> None:
    """Let time pass, or no more of it than until an event is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await unless.wait()


async def to_its_end(call: Callable[..., T], *given: Any, undo: Callable[[T], object] | None = None) -> T:
    """Do something in a thread, and wait for its end even where we are told to end.

    Args:
        call: What to do.
        given: With what.
        undo: Called with what it returned, where nobody waits for that any more.
    """
    running = asyncio.ensure_future(asyncio.to_thread(call, *given))
    try:
        await asyncio.wait([running])
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if running.exception() is None and undo is not None:
            undo(running.result())
        raise
    return running.result()
