"""The calendar: hours, holidays and make-up days as data, and the arithmetic of working time."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from axis.clock import VIETNAM
from axis.deadlines import Calendar, load_calendar
from axis.errors import PermanentError

SAMPLE = Path(__file__).parents[3] / "config" / "calendar.toml"
HOUR = timedelta(hours=1)

# Wednesday 2 September 2026 is a holiday, Saturday 5 September is worked.
CALENDAR = Calendar(
    holidays=frozenset({date(2026, 9, 2)}),
    makeup_days=frozenset({date(2026, 9, 5)}),
    makeup_hours=((time(8), time(12)),),
)


def at(day: int, hour: int, minute: int = 0, *, month: int = 9) -> datetime:
    """Return a time of Viet Nam in 2026."""
    return datetime(2026, month, day, hour, minute, tzinfo=VIETNAM).astimezone(UTC)


@pytest.mark.parametrize(
    ("moment", "works"),
    [
        (at(1, 7, 29), False),
        (at(1, 7, 30), True),
        (at(1, 11, 30), False),
        (at(1, 13, 30), True),
        (at(1, 17), False),
        (at(2, 9), False),
        (at(5, 9), True),
        (at(5, 14), False),
        (at(6, 9), False),
    ],
)
def test_offices_work_in_their_hours(moment: datetime, works: bool) -> None:
    assert CALENDAR.is_working(moment) is works


@pytest.mark.parametrize(
    ("moment", "end"),
    [
        (at(1, 3), at(1, 17)),
        (at(1, 9), at(1, 17)),
        (at(1, 12), at(1, 17)),
        (at(1, 16, 59), at(1, 17)),
        (at(1, 17), at(3, 17)),  # After hours, before a holiday.
        (at(2, 9), at(3, 17)),
        (at(4, 20), at(5, 12)),  # A Saturday that is worked.
        (at(5, 12), at(7, 17)),
    ],
)
def test_working_day_ends_with_its_last_hours_and_what_comes_later_belongs_to_the_next(
    moment: datetime, end: datetime
) -> None:
    assert CALENDAR.end_of_working_day(moment) == end


@pytest.mark.parametrize(
    ("day", "end"),
    [(date(2026, 9, 1), at(1, 17)), (date(2026, 9, 2), at(3, 17)), (date(2026, 9, 6), at(7, 17))],
)
def test_day_off_ends_with_the_next_working_day(day: date, end: datetime) -> None:
    assert CALENDAR.end_of(day) == end


def test_working_days_are_counted_after_the_first() -> None:
    assert CALENDAR.add_working_days(at(1, 9), 1) == at(3, 17)
    assert CALENDAR.add_working_days(at(1, 18), 1) == at(4, 17)  # It came in on the third, so to speak.
    assert CALENDAR.add_working_days(at(1, 9), 3) == at(5, 12)


@pytest.mark.parametrize(
    ("moment", "hours", "end"),
    [
        (at(1, 8), 2, at(1, 10)),
        (at(1, 10, 30), 2, at(1, 14, 30)),  # Over noon.
        (at(1, 16), 2, at(3, 8, 30)),  # Over a night and a holiday.
        (at(1, 10, 30), 1, at(1, 11, 30)),  # At the end of a shift, not at the beginning of the next.
        (at(1, 22), 1, at(3, 8, 30)),
        (at(4, 16), 6, at(7, 8, 30)),  # An hour, four of the Saturday, and one of the Monday.
    ],
)
def test_working_time_passes_in_working_hours_alone(moment: datetime, hours: int, end: datetime) -> None:
    assert CALENDAR.add_working_time(moment, hours * HOUR) == end


def test_day_is_that_of_viet_nam() -> None:
    evening = datetime(2026, 9, 1, 23, 30, tzinfo=UTC)  # The second, a holiday, there.
    assert CALENDAR.end_of_working_day(evening) == at(3, 17)


def test_sample_holds_the_days_of_two_years() -> None:
    calendar = load_calendar(SAMPLE)
    assert {day.year for day in calendar.holidays} == {2026, 2027}
    assert not calendar.is_working(at(2, 9))
    assert calendar.is_working(at(22, 9, month=8))  # A Saturday, worked for the Monday before the holiday.
    assert calendar.end_of_working_day(at(28, 17, month=8)) == at(3, 17)  # Over the whole holiday.
    for month, day in ((2, 17), (4, 30), (5, 1)):
        assert calendar.shifts_on(date(2026, month, day)) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[hours]\nmonday = ['7:30-11:30']", "hours.monday"),
        ("[hours]\nmonday = '07:30-11:30'", "hours.monday"),
        ("[hours]\nmonday = ['11:30-07:30']", "follow each other"),
        ("[hours]\nmonday = ['07:30-11:30', '11:00-12:00']", "follow each other"),
        ("[hours]\nmon = ['07:30-11:30']", "unknown key mon"),
        ("hours = 8", "a table"),
        ("[hours]\n", "some weekday"),
        ("holiday = []", "unknown key holiday"),
        ("[hours]\nmonday=['08:00-12:00']\n[[holidays]]\nday = '2026-09-02'", "`day` is a date"),
        ("[hours]\nmonday=['08:00-12:00']\n[[holidays]]\nday = 2026-09-02T00:00:00", "`day` is a date"),
        ("[hours]\nmonday=['08:00-12:00']\n[[holidays]]\nname = 'x'", "`day` is a date"),
        ("[hours]\nmonday=['08:00-12:00']\n[[holidays]]\nday=2026-09-02\n[[holidays]]\nday=2026-09-02", "twice"),
        ("[hours]\nmonday=['08:00-12:00']\n[[holidays]]\nday=2026-09-02\n[[makeup]]\nday=2026-09-02", "not both"),
        ("[hours]\ntuesday=['08:00-12:00']\n[[makeup]]\nday=2026-09-05", "`makeup` hours"),
        ("holidays = [3]", "a table"),
        ("[hours", "Expected"),
        ("\x00", "Invalid"),
    ],
)
def test_wrong_calendar_is_a_wrong_setting_that_says_where(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "calendar.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PermanentError) as caught:
        load_calendar(file)
    assert caught.value.code == "CFG.INVALID"
    assert said in str(caught.value)


def test_absent_calendar_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"CFG\.INVALID"):
        load_calendar(tmp_path / "absent.toml")
