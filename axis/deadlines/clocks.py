"""Clocks: the two that run for a document at an office, what starts, stops and reminds.

An office that has taken custody of a document is to register it (03) by one
time, and to be done with it (06) by another, if it has one. Rule 1: a clock
that has stopped never runs again. Rule 2: it moves no delivery: what is overdue
is told, and it is the office that ends it. A reminder is due at each mark: a
while before a deadline, and when it is over.

Spec: docs/protocol/deliveries.md 11; QCVN 102:2016 (status codes); Decree 30/2020/NĐ-CP Art. 21.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import NamedTuple

from axis.clock import VIETNAM
from axis.deadlines.calendar import Calendar
from axis.deadlines.terms import THE_DAY, Term

_LATEST = timedelta(days=3660)  # A document that is due later than that is due never; and dates have an end.

# What an office reports, by edXML status code, and which clocks that stops. 01 says only that its software has it.
REGISTERED, DONE = "registered", "done"
STOPS: dict[str, frozenset[str]] = {
    "02": frozenset({REGISTERED, DONE}),  # Refused by a clerk: that is an answer, too.
    "03": frozenset({REGISTERED}),
    "04": frozenset({REGISTERED}),  # What is assigned or in work has been registered.
    "05": frozenset({REGISTERED}),
    "06": frozenset({REGISTERED, DONE}),
    "15": frozenset({REGISTERED, DONE}),  # Of an order: agreed,
    "16": frozenset({REGISTERED, DONE}),  # or declined.
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The clocks of one delivery."""

    register_by: datetime | None = None  # None before the office took custody, and where there is no deadline.
    process_by: datetime | None = None  # Known before custody where the document says it.
    registered_at: datetime | None = None
    done_at: datetime | None = None
    remind_at: datetime | None = None  # The next mark that nobody has been told of.
    due_by: datetime | None = None  # The first deadline of a clock that runs; None: none runs.


class Reminder(NamedTuple):
    """What is to be told now."""

    is_over: bool
    detail: str  # In Vietnamese: what is due by when.


class _Mark(NamedTuple):
    at: datetime
    is_over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """The table of what is due when, by priority 0 to 4."""

    calendar: Calendar = field(default_factory=Calendar)
    register: tuple[Term | None, ...] = (THE_DAY,) * 5
    process: tuple[Term | None, ...] = (None,) * 5
    warn_register: tuple[timedelta, ...] = (timedelta(hours=1),) * 5  # Before the deadline.
    warn_process: tuple[timedelta, ...] = (timedelta(days=1),) * 5

    def asked_for(self, due_on: date | None, at: datetime) -> datetime | None:
        """Return by when a document that is accepted at a moment asks to be dealt with, if it does."""
        if due_on is None or due_on > (at + _LATEST).date():
            return None
        return self.calendar.end_of(due_on)

    def begun(self, clocks: Clocks, *, priority: int, at: datetime) -> Clocks:
        """Return the clocks of an office that has just taken custody."""
        register, process = self.register[priority], self.process[priority]
        started = replace(
            clocks,
            register_by=None if register is None else register.ends(at, self.calendar),
            process_by=clocks.process_by or (None if process is None else process.ends(at, self.calendar)),
        )
        # What would have been told before custody began is told no more, but for a deadline that is over already.
        marks = [mark for mark in self._marks(started, priority) if mark.is_over or mark.at > at]
        return _with_marks(started, marks)

    def after(self, clocks: Clocks, *, status_code: str | None, withdrawn: bool, priority: int, at: datetime) -> Clocks:
        """Return the clocks after something that the office has said.

        Args:
            clocks: As they stand.
            status_code: What it reports; None: nothing.
            withdrawn: It no longer has the document.
            priority: 0 to 4.
            at: Now.
        """
        stopped = STOPS.get(status_code or "", frozenset()) | (STOPS["06"] if withdrawn else frozenset())
        changed = replace(
            clocks,
            registered_at=clocks.registered_at or (at if REGISTERED in stopped else None),
            done_at=clocks.done_at or (at if DONE in stopped else None),
        )
        if changed == clocks:
            return clocks
        since = clocks.remind_at
        untold = [mark for mark in self._marks(changed, priority) if since is not None and mark.at >= since]
        return _with_marks(changed, untold)

    def remind(self, clocks: Clocks, *, priority: int, now: datetime) -> tuple[Reminder, Clocks] | None:
        """Return what is to be told now, and the clocks after that; None if nothing is."""
        if clocks.remind_at is None or clocks.remind_at > now:
            return None
        marks = list(self._marks(clocks, priority))
        due = [mark for mark in marks if clocks.remind_at <= mark.at <= now]
        # Where the settings have moved the marks meanwhile, whatever is over counts.
        is_over = any(mark.is_over for mark in due or [mark for mark in marks if mark.at <= now])
        told = Reminder(is_over, _detail(clocks, now, is_over))
        return told, _with_marks(clocks, [mark for mark in marks if mark.at > now])

    def _marks(self, clocks: Clocks, priority: int) -> Iterator[_Mark]:
        for by, warning in (
            (_running(clocks.register_by, clocks.registered_at), self.warn_register[priority]),
            (_running(clocks.process_by, clocks.done_at), self.warn_process[priority]),
        ):
            if by is not None:
                yield _Mark(by - warning, is_over=False)
                yield _Mark(by, is_over=True)


def _running(by: datetime | None, stopped_at: datetime | None) -> datetime | None:
    return by if stopped_at is None else None


def _with_marks(clocks: Clocks, untold: list[_Mark]) -> Clocks:
    running = (_running(clocks.register_by, clocks.registered_at), _running(clocks.process_by, clocks.done_at))
    return replace(
        clocks,
        remind_at=min((mark.at for mark in untold), default=None),
        due_by=min((by for by in running if by is not None), default=None),
    )


def _detail(clocks: Clocks, now: datetime, is_over: bool) -> str:
    """Say what is due, or over."""
    running = (
        ("vào sổ", _running(clocks.register_by, clocks.registered_at)),
        ("xử lý xong", _running(clocks.process_by, clocks.done_at)),
    )
    told = [(what, by) for what, by in running if by is not None and (by <= now or not is_over)]
    return "; ".join(f"{what} trước {by.astimezone(VIETNAM):%H:%M %d/%m/%Y}" for what, by in told)
