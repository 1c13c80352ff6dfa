"""Clock: the only place where the axis asks what time it is.

Inside, every time is an aware datetime in UTC. On the wire edXML writes
Vietnamese local time without a zone; `edxml.values` converts.

A deadline of five days cannot be shown in a second of real time. So whatever is
started inside `shifted` - an axis, its offices, every task and thread of theirs -
lives at another time, which may be moved on while it runs; what runs beside it
does not notice. Only `axis flow` does this: nothing that serves offices may.
What time it is moves; how long something takes does not.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

VIETNAM = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")  # Without summer time: a fixed offset, on every machine.

ALLOWANCE = timedelta(minutes=1)  # By which the clocks of several processes may differ.

Clock = Callable[[], datetime]  # What a room that needs the time is given.


@dataclass(slots=True)
class Shift:
    """By how much the time inside a `shifted` block is ahead of the world's; it may be moved on."""

    by: timedelta = timedelta(0)


_SHIFT: ContextVar[Shift | None] = ContextVar("axis_clock_shift", default=None)


def now() -> datetime:
    """Return the present moment, aware, UTC."""
    shift = _SHIFT.get()
    return datetime.now(UTC) if shift is None else datetime.now(UTC) + shift.by


@contextlib.contextmanager
def shifted(shift: Shift) -> Iterator[None]:
    """Let what is started inside live at another time: tasks and threads take it over from who starts them."""
    token = _SHIFT.set(shift)
    try:
        yield
    finally:
        _SHIFT.reset(token)
