"""`axis doctor`: what it says of the calendar."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from axis import clock
from axis.cli.doctor import _calendar
from axis.settings import Deadlines, Settings

SAMPLE = Path(__file__).parents[3] / "config" / "calendar.toml"


@pytest.mark.parametrize(
    ("calendar", "year", "month", "state", "text"),
    [
        (None, 2026, 9, "odd", "no holidays"),
        (SAMPLE, 2026, 9, "good", "14 holidays of 2026"),
        (SAMPLE, 2027, 12, "odd", "0 holidays of 2028"),  # The next ones are not entered yet.
        (SAMPLE.with_name("absent.toml"), 2026, 9, "bad", "CFG.INVALID"),
    ],
    ids=["none", "sample", "next year", "absent"],
)
def test_calendar_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, calendar: Path | None, year: int, month: int, state: str, text: str
) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(year, month, 15, tzinfo=UTC))
    check = _calendar(Settings(deadlines=Deadlines(calendar=calendar)))
    assert check.state == state
    assert text in check.text
