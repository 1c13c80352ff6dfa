"""Clock: the only place where the axis asks what time it is.

Inside, every time is an aware datetime in UTC. On the wire edXML writes
Vietnamese local time without a zone; `edxml.values` converts.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

VIETNAM = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")  # Without summer time: a fixed offset, on every machine.

Clock = Callable[[], datetime]  # What a room that needs the time is given.


def now() -> datetime:
    """Return the present moment, aware, UTC."""
    return datetime.now(UTC)
