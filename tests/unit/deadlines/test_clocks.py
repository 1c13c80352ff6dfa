"""Clocks: what starts, stops and reminds; terms as a person writes them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from axis.clock import VIETNAM
from axis.deadlines import Calendar, Clocks, Deadlines, Term, parse_term

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """Return a time of Viet Nam in September 2026; the first is a Tuesday."""
    return datetime(2026, 9, day, hour, minute, tzinfo=VIETNAM).astimezone(UTC)


TABLE = Deadlines(
    register=tuple(map(parse_term, ("day", "2 hours", "1 hour", "30 minutes clock", "never"))),
    process=tuple(map(parse_term, ("never", "1 day", "2 days", "1 day", "never"))),
    warn_register=(HOUR,) * 5,
    warn_process=(2 * HOUR,) * 5,
)
MORNING = at(1, 9)


def _begun(priority: int = 0, when: datetime = MORNING, **known: datetime) -> Clocks:
    return TABLE.begun(Clocks(**known), priority=priority, at=when)


def _after(clocks: Clocks, code: str | None, when: datetime, *, priority: int = 0, withdrawn: bool = False) -> Clocks:
    return TABLE.after(clocks, status_code=code, withdrawn=withdrawn, priority=priority, at=when)


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("never", None),
        ("day", Term(days=0)),
        ("1 day", Term(days=1)),
        ("10 days", Term(days=10)),
        ("2 hours", Term(time=2 * HOUR)),
        ("45 minutes", Term(time=timedelta(minutes=45))),
        ("30 minutes clock", Term(time=timedelta(minutes=30), by_the_clock=True)),
    ],
)
def test_term_is_read(text: str, term: Term | None) -> None:
    assert parse_term(text) == term


@pytest.mark.parametrize(
    "text", ["", "0 days", "2 days clock", "-1 hours", "1.5 hours", "PT2H", "days", "2 weeks", "99999 days"]
)
def test_what_is_no_term_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a term"):
        parse_term(text)


@pytest.mark.parametrize(
    ("priority", "when", "register_by", "process_by"),
    [
        (0, MORNING, at(1, 17), None),
        (0, at(1, 18), at(2, 17), None),  # After hours: the end of the next working day.
        (0, at(5, 10), at(7, 17), None),  # A Saturday.
        (1, at(1, 16), at(2, 8, 30), at(2, 17)),
        (2, MORNING, at(1, 10), at(3, 17)),
        (3, at(5, 23), at(5, 23, 30), at(8, 17)),  # By the clock, day and night.
        (4, MORNING, None, None),
    ],
)
def test_clocks_begin_with_custody(
    priority: int, when: datetime, register_by: datetime | None, process_by: datetime | None
) -> None:
    clocks = _begun(priority, when)
    assert (clocks.register_by, clocks.process_by) == (register_by, process_by)
    assert clocks.due_by == min((by for by in (register_by, process_by) if by), default=None)


def test_document_says_itself_by_when_it_is_due() -> None:
    asked = TABLE.asked_for(date(2026, 9, 6), MORNING)  # A Sunday.
    assert asked == at(7, 17)
    assert _begun(1, process_by=at(7, 17)).process_by == at(7, 17)
    assert TABLE.asked_for(None, MORNING) is None


@pytest.mark.parametrize("day", [date(9999, 12, 31), date(2037, 1, 1)])
def test_document_that_is_due_in_another_age_is_due_never(day: date) -> None:
    assert TABLE.asked_for(day, MORNING) is None


@pytest.mark.parametrize(
    ("code", "registered", "done"),
    [
        ("01", False, False),
        ("02", True, True),
        ("03", True, False),
        ("04", True, False),
        ("05", True, False),
        ("06", True, True),
        ("13", False, False),
        ("15", True, True),
        ("16", True, True),
        (None, False, False),
    ],
)
def test_what_an_office_reports_stops_its_clocks(code: str | None, registered: bool, done: bool) -> None:
    later = MORNING + HOUR
    clocks = _after(_begun(1), code, later, priority=1)
    assert clocks.registered_at == (later if registered else None)
    assert clocks.done_at == (later if done else None)
    assert (clocks.due_by is None) == (registered and done)


def test_copy_that_was_withdrawn_is_due_no_more() -> None:
    clocks = _after(_begun(1), None, MORNING, priority=1, withdrawn=True)
    assert (clocks.due_by, clocks.remind_at) == (None, None)


def test_clock_that_has_stopped_keeps_its_time() -> None:
    first = _after(_begun(), "03", MORNING)
    assert _after(first, "03", MORNING + HOUR).registered_at == MORNING
    assert _after(_after(first, "05", MORNING + HOUR), "06", MORNING + DAY).registered_at == MORNING


def test_reminders_come_before_the_deadline_and_when_it_is_over_and_never_again() -> None:
    clocks = _begun()
    assert clocks.remind_at == at(1, 16)
    assert TABLE.remind(clocks, priority=0, now=at(1, 15, 59)) is None
    told = TABLE.remind(clocks, priority=0, now=at(1, 16))
    assert told is not None
    (soon, clocks) = told
    assert (soon.is_over, soon.detail) == (False, "vào sổ trước 17:00 01/09/2026")
    assert TABLE.remind(clocks, priority=0, now=at(1, 16, 59)) is None
    told = TABLE.remind(clocks, priority=0, now=at(1, 17))
    assert told is not None
    (over, clocks) = told
    assert over.is_over
    assert (clocks.remind_at, clocks.due_by) == (None, at(1, 17))  # Told, and still overdue.
    assert TABLE.remind(clocks, priority=0, now=at(9, 9)) is None


def test_what_comes_late_in_the_day_is_not_reminded_at_once() -> None:
    assert _begun(when=at(1, 16, 30)).remind_at == at(1, 17)


def test_axis_that_was_away_says_once_what_is_over() -> None:
    told = TABLE.remind(_begun(1), priority=1, now=at(20, 9))
    assert told is not None
    reminder, clocks = told
    assert reminder.is_over
    assert reminder.detail == "vào sổ trước 11:00 01/09/2026; xử lý xong trước 17:00 02/09/2026"
    assert clocks.remind_at is None


def test_registration_leaves_the_reminders_of_the_work() -> None:
    clocks = _after(_begun(1), "03", at(1, 10), priority=1)
    assert (clocks.remind_at, clocks.due_by) == (at(2, 15), at(2, 17))
    told = TABLE.remind(clocks, priority=1, now=at(2, 15))
    assert told is not None
    assert told[0].detail == "xử lý xong trước 17:00 02/09/2026"


def test_due_date_that_is_past_before_custody_is_told_at_once() -> None:
    clocks = _begun(4, process_by=at(1, 8))
    assert clocks.remind_at == at(1, 8)
    told = TABLE.remind(clocks, priority=4, now=MORNING)
    assert told is not None
    assert told[0].is_over


def test_settings_that_change_meanwhile_remind_once_and_go_on() -> None:
    clocks = _begun()
    patient = Deadlines(calendar=Calendar(), warn_register=(timedelta(minutes=5),) * 5)
    told = patient.remind(clocks, priority=0, now=at(1, 16))
    assert told is not None
    reminder, clocks = told
    assert not reminder.is_over
    assert clocks.remind_at == at(1, 16, 55)
