"""Terms: how long an office has for something, as a person writes it.

day                    until the end of the working day
3 days                 until the end of the third working day after it
2 hours, 45 minutes    of working time
30 minutes clock       of any time, day and night
never                  it has no deadline
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from axis.deadlines.calendar import Calendar

_AMOUNT = re.compile(r"([1-9][0-9]{0,3}) (day|hour|minute)s?( clock)?")


@dataclass(frozen=True, slots=True)
class Term:
    """How long: working days, or a time; `days` 0 is the day itself."""

    days: int | None = None
    time: timedelta | None = None
    by_the_clock: bool = False  # Nights and holidays count.

    def ends(self, at: datetime, calendar: Calendar) -> datetime:
        """Return when a term that begins at a moment is over."""
        if self.time is not None:
            return at + self.time if self.by_the_clock else calendar.add_working_time(at, self.time)
        return calendar.add_working_days(at, self.days) if self.days else calendar.end_of_working_day(at)


THE_DAY = Term(days=0)


def parse_term(text: str) -> Term | None:
    """Read a term; None is `never`.

    Raises:
        ValueError: It is none.
    """
    if text == "never":
        return None
    if text == "day":
        return THE_DAY
    found = _AMOUNT.fullmatch(text)
    if found is None or (found[2] == "day" and found[3]):
        raise ValueError(f"not a term like day, 3 days, 2 hours, 30 minutes clock or never: {text}")
    amount = int(found[1])
    if found[2] == "day":
        return Term(days=amount)
    return Term(time=timedelta(**{f"{found[2]}s": amount}), by_the_clock=found[3] is not None)
