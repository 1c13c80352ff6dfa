"""DEADLINES: by when an office is to register a document and to be done with it, in its working hours.

Values and arithmetic only: the calendar is data (`config/calendar.toml`), what is
due when is data (the table `[deadlines]` of the settings), and nothing here
reads a clock. Times come in and go out in UTC; the days are those of Viet Nam.

Spec: docs/protocol/deliveries.md 11; docs/adr/0017; Decree 30/2020/NĐ-CP Art. 4, 21, 22.
"""

from axis.deadlines.calendar import Calendar, load_calendar
from axis.deadlines.clocks import Clocks, Deadlines, Reminder
from axis.deadlines.terms import Term, parse_term

__all__ = ["Calendar", "Clocks", "Deadlines", "Reminder", "Term", "load_calendar", "parse_term"]
