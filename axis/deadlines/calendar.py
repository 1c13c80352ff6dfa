"""Calendar: when the offices of the province work.

Hours by weekday, holidays, and days off that are worked instead of others. A
moment belongs to the day that it is in Viet Nam; the country has no summer time.

Spec: Labour Code 45/2019/QH14 Art. 111, 112 (days off); Civil Code 91/2015/QH13
Art. 148 (a time that ends on a day off ends with the next working day).
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from axis.clock import VIETNAM
from axis.errors import PermanentError

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

Shift = tuple[time, time]  # From, until; local, and on one day.

_DAY = timedelta(days=1)
_USUAL: tuple[Shift, ...] = ((time(7, 30), time(11, 30)), (time(13, 30), time(17, 0)))
_SHIFT = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Working hours, and the days that differ. Building one in which nobody ever works raises ValueError."""

    hours: tuple[tuple[Shift, ...], ...] = (*(_USUAL,) * 5, (), ())  # Of each weekday, Monday first.
    makeup_hours: tuple[Shift, ...] = _USUAL
    holidays: frozenset[date] = frozenset()
    makeup_days: frozenset[date] = frozenset()  # Days off that are worked instead of others.

    def __post_init__(self) -> None:
        if len(self.hours) != len(WEEKDAYS):
            raise ValueError("calendar: hours are those of seven weekdays")
        for shifts in (*self.hours, self.makeup_hours):
            moments = [moment for shift in shifts for moment in shift]
            if any(one >= next_one for one, next_one in pairwise(moments)):
                raise ValueError("calendar: the hours of a day follow each other, and none is empty")
        if not any(self.hours):
            raise ValueError("calendar: some weekday has working hours")
        if self.makeup_days and not self.makeup_hours:
            raise ValueError("calendar: days that are worked instead of others need `makeup` hours")
        if self.holidays & self.makeup_days:
            raise ValueError("calendar: a day is off or worked, not both")

    def shifts_on(self, day: date) -> tuple[Shift, ...]:
        """Return the working hours of a day; none on a day off."""
        if day in self.makeup_days:
            return self.makeup_hours
        return () if day in self.holidays else self.hours[day.weekday()]

    def is_working(self, at: datetime) -> bool:
        """Tell whether offices work at a moment; the end of a shift is not of it."""
        local = at.astimezone(VIETNAM)
        return any(begin <= local.time() < end for begin, end in self.shifts_on(local.date()))

    def end_of_working_day(self, at: datetime) -> datetime:
        """Return the end of the working day that a moment is in or before: what comes after hours belongs to the next one."""
        day = at.astimezone(VIETNAM).date()
        shifts = self.shifts_on(day)
        if shifts and at < (end := _moment(day, shifts[-1][1])):
            return end
        return self._end_from(day + _DAY)

    def end_of(self, day: date) -> datetime:
        """Return the end of a day's working hours, or of the next day that has any."""
        return self._end_from(day)

    def add_working_days(self, at: datetime, days: int) -> datetime:
        """Return the end of the `days`-th working day after the one that a moment is in or before; `days` > 0."""
        day = self.end_of_working_day(at).astimezone(VIETNAM).date()
        for _ in range(days):
            day = next(self._working_days(day + _DAY))
        return _moment(day, self.shifts_on(day)[-1][1])

    def add_working_time(self, at: datetime, duration: timedelta) -> datetime:
        """Return the moment by which offices will have worked for so long, from a moment on.

        Args:
            at: If nobody works then, the time begins with the next shift.
            duration: More than nothing.
        """
        left = duration
        for begin, end in self._shifts_after(at):
            if left <= end - begin:
                return begin + left
            left -= end - begin
        raise AssertionError("there is always another shift")

    def _shifts_after(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield what is left of each shift after a moment."""
        for day in self._working_days(at.astimezone(VIETNAM).date()):
            for begin, end in self.shifts_on(day):
                if at < (until := _moment(day, end)):
                    yield max(at, _moment(day, begin)), until

    def _working_days(self, day: date) -> Iterator[date]:
        """Yield the working days from a day on. Only so many days are holidays, and some weekday is worked: one comes."""
        while True:
            if self.shifts_on(day):
                yield day
            day += _DAY

    def _end_from(self, day: date) -> datetime:
        worked = next(self._working_days(day))
        return _moment(worked, self.shifts_on(worked)[-1][1])


def _moment(day: date, at: time) -> datetime:
    return datetime.combine(day, at, VIETNAM).astimezone(UTC)


# --- the file -----------------------------------------------------------------------------------


def load_calendar(file: Path) -> Calendar:
    """Read a calendar.

    Raises:
        PermanentError: CFG.INVALID; with what is wrong.
    """
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
        return _calendar(said)
    except (OSError, UnicodeDecodeError, ValueError) as error:  # What TOML cannot be read is a ValueError, too.
        raise PermanentError("CFG.INVALID", f"{file.name}: {error}") from error


def _calendar(said: dict[str, Any]) -> Calendar:
    _require_keys("the calendar", said, {"hours", "holidays", "makeup"})
    hours = said.get("hours", {})
    _require_keys("hours", hours, {*WEEKDAYS, "makeup"})
    return Calendar(
        hours=tuple(_shifts(name, hours.get(name, [])) for name in WEEKDAYS),
        makeup_hours=_shifts("makeup", hours.get("makeup", hours.get("monday", []))),
        holidays=_days("holidays", said.get("holidays", [])),
        makeup_days=_days("makeup", said.get("makeup", [])),
    )


def _require_keys(where: str, given: object, known: set[str]) -> None:
    if not isinstance(given, dict):
        raise ValueError(f"{where}: a table is expected")  # noqa: TRY004 - It is the file that is wrong.
    unknown = given.keys() - known
    if unknown:
        raise ValueError(f"{where}: unknown key {', '.join(sorted(unknown))}")


def _shifts(name: str, written: object) -> tuple[Shift, ...]:
    if not isinstance(written, list):
        raise ValueError(f'hours.{name}: a list like ["07:30-11:30", "13:30-17:00"] is expected')  # noqa: TRY004
    found = [_SHIFT.fullmatch(str(one)) for one in written]
    if not all(found):
        raise ValueError(f"hours.{name}: not of the form 07:30-11:30: {written}")
    numbers = [tuple(map(int, one.groups())) for one in found if one is not None]
    return tuple((time(a, b), time(c, d)) for a, b, c, d in numbers)


def _days(name: str, written: Iterable[object]) -> frozenset[date]:
    days = []
    for one in written if isinstance(written, list) else [written]:
        _require_keys(f"[[{name}]]", one, {"day", "name"})
        day = one["day"] if isinstance(one, dict) and "day" in one else None
        if not isinstance(day, date) or isinstance(day, datetime):
            raise ValueError(f"[[{name}]]: `day` is a date like 2026-09-02, not {day!r}")  # noqa: TRY004
        days.append(day)
    if len(set(days)) < len(days):
        raise ValueError(f"[[{name}]]: a day is there twice")
    return frozenset(days)
