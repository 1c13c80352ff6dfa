"""Retry schedule: waits grow, keep their bounds, and become news at set ages."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axis.dispatch.retry import RetrySchedule, is_news

WAITS = tuple(timedelta(seconds=s) for s in (10, 30, 120))
SCHEDULE = RetrySchedule(waits=WAITS)
HOUR = timedelta(hours=1)


@given(attempts=st.integers(1, 10_000), priority=st.integers(0, 4), draw=st.floats(0, 1, exclude_max=True))
def test_wait_stays_within_the_spread(attempts: int, priority: int, draw: float) -> None:
    wait = SCHEDULE.wait(attempts=attempts, priority=priority, draw=draw)

    base = WAITS[min(attempts, 3) - 1] * (0.5 if priority >= 2 else 1)
    assert base * 0.8 <= wait <= base * 1.2


def test_wait_grows_and_the_last_repeats() -> None:
    assert [SCHEDULE.wait(attempts=n, priority=0, draw=0.5) for n in (1, 2, 3, 4, 99)] == [*WAITS, WAITS[-1], WAITS[-1]]


@pytest.mark.parametrize(
    ("waits", "spread", "factor"), [((), 0.2, 0.5), ((timedelta(0),), 0.2, 0.5), (WAITS, 1.0, 0.5), (WAITS, 0.2, 0.0)]
)
def test_impossible_schedule_cannot_be_built(waits: tuple[timedelta, ...], spread: float, factor: float) -> None:
    with pytest.raises(ValueError, match="retry"):
        RetrySchedule(waits=waits, spread=spread, urgent_factor=factor)


def test_first_deferral_is_news() -> None:
    assert is_news(age=timedelta(0), told_at_age=None, marks=())


@pytest.mark.parametrize(
    ("told", "age", "news"),
    [
        (timedelta(0), HOUR - timedelta(seconds=1), False),
        (timedelta(0), HOUR, True),
        (HOUR, 2 * HOUR, False),
        (2 * HOUR, 25 * HOUR, True),
        (25 * HOUR, 90 * HOUR, False),
    ],
)
def test_each_mark_is_news_once(told: timedelta, age: timedelta, news: bool) -> None:
    assert is_news(age=age, told_at_age=told, marks=(HOUR, 24 * HOUR)) is news
