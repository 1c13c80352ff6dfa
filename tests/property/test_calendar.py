"""Working time is lawful whatever the calendar: it only passes in working hours, and adds up."""

from datetime import UTC, date, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from axis.deadlines import Calendar, Clocks, Deadlines, Term
from axis.deadlines.clocks import STOPS

_MINUTES = st.integers(0, 24 * 60 - 1).map(lambda minute: time(minute // 60, minute % 60))
_DAYS = st.dates(date(2026, 8, 20), date(2026, 10, 10))
_MOMENTS = st.datetimes(datetime(2026, 8, 20), datetime(2026, 10, 10)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
_SPANS = st.integers(1, 60 * 60 * 60).map(lambda seconds: timedelta(seconds=seconds))


@st.composite
def _shifts(draw: st.DrawFn, least: int = 0) -> tuple[tuple[time, time], ...]:
    moments = sorted(draw(st.sets(_MINUTES, min_size=2 * least, max_size=4)))
    moments = moments[: len(moments) // 2 * 2]
    return tuple(zip(moments[::2], moments[1::2], strict=True))


@st.composite
def _calendars(draw: st.DrawFn) -> Calendar:
    hours = [draw(_shifts()) for _ in range(7)]
    hours[draw(st.integers(0, 6))] = draw(_shifts(least=1))
    holidays = draw(st.frozensets(_DAYS, max_size=20))
    return Calendar(
        hours=tuple(hours),
        holidays=holidays,
        makeup_days=draw(st.frozensets(_DAYS, max_size=5)) - holidays,
        makeup_hours=draw(_shifts(least=1)),
    )


def _worked(calendar: Calendar, begin: datetime, end: datetime) -> timedelta:
    """Return how long offices work between two moments, by walking through the shifts of every day."""
    total = timedelta(0)
    day = (begin - timedelta(days=1)).date()
    while day <= (end + timedelta(days=1)).date():
        for since, until in calendar.shifts_on(day):
            opened = datetime.combine(day, since, UTC) - timedelta(hours=7)
            closed = datetime.combine(day, until, UTC) - timedelta(hours=7)
            total += max(timedelta(0), min(closed, end) - max(opened, begin))
        day += timedelta(days=1)
    return total


@given(_calendars(), _MOMENTS, _SPANS)
def test_so_much_was_worked_and_the_last_moment_was(calendar: Calendar, at: datetime, span: timedelta) -> None:
    end = calendar.add_working_time(at, span)
    assert end > at
    assert _worked(calendar, at, end) == span
    assert calendar.is_working(end - timedelta(microseconds=1))


@given(_calendars(), _MOMENTS, _SPANS, _SPANS)
def test_working_time_adds_up(calendar: Calendar, at: datetime, one: timedelta, two: timedelta) -> None:
    in_parts = calendar.add_working_time(calendar.add_working_time(at, one), two)
    assert in_parts == calendar.add_working_time(at, one + two)


@given(_calendars(), _MOMENTS, _SPANS, _SPANS)
def test_what_comes_later_is_never_due_earlier(
    calendar: Calendar, at: datetime, more: timedelta, span: timedelta
) -> None:
    later = at + more
    assert calendar.add_working_time(at, span) <= calendar.add_working_time(later, span)
    assert calendar.end_of_working_day(at) <= calendar.end_of_working_day(later)
    assert calendar.add_working_days(at, 3) <= calendar.add_working_days(later, 3)


@given(_calendars(), _MOMENTS)
def test_day_ends_after_the_moment_with_nothing_worked_between_it_and_the_next_day(
    calendar: Calendar, at: datetime
) -> None:
    end = calendar.end_of_working_day(at)
    assert end > at
    assert calendar.is_working(end - timedelta(microseconds=1))
    local_midnight = (end + timedelta(hours=7)).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(hours=17)
    assert _worked(calendar, end, max(end, local_midnight)) == timedelta(0)
    assert calendar.add_working_days(at, 1) > end


@given(
    _calendars(),
    st.sampled_from([None, Term(days=0), Term(days=2), Term(time=timedelta(hours=3))]),
    st.sampled_from([None, Term(days=1), Term(time=timedelta(minutes=10), by_the_clock=True)]),
    _MOMENTS,
    st.lists(st.tuples(st.sampled_from([*STOPS, "01", "remind"]), _SPANS), max_size=12),
)
def test_clocks_are_what_they_say_whatever_happens(
    calendar: Calendar, register: Term | None, process: Term | None, at: datetime, happens: list[tuple[str, timedelta]]
) -> None:
    table = Deadlines(calendar=calendar, register=(register,) * 5, process=(process,) * 5)
    clocks = table.begun(Clocks(), priority=0, at=at)
    over = 0
    for what, passes in happens:
        at += passes
        if what == "remind":
            told = table.remind(clocks, priority=0, now=at)
            if told is not None:
                assert told[0].detail
                over += told[0].is_over
                clocks = told[1]
                assert clocks.remind_at is None or clocks.remind_at > at
        else:
            clocks = table.after(clocks, status_code=what, withdrawn=False, priority=0, at=at)
        running = [
            by
            for by, stopped in ((clocks.register_by, clocks.registered_at), (clocks.process_by, clocks.done_at))
            if by is not None and stopped is None
        ]
        assert clocks.due_by == min(running, default=None)
        assert clocks.remind_at is None or running
    assert over <= 2
