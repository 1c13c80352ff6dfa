"""Cancelling: who is told to end, ends.

A library that catches a cancellation - while it closes something, or because its
answer came in the same moment - and then returns as if nothing had been, leaves
a loop that goes on for ever, and whoever waits for its end waits with it.

Spec: Python, `asyncio.Task.cancelling`: requests that nobody has taken back with `uncancel`.
"""

import asyncio
import contextlib
from collections.abc import Iterator


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
