"""On time, late, and why."""

from datetime import date, datetime, timedelta

import pytest

from axis.contents import DossierStatus as S
from axis.contents import Reason, Step, Verdict, judge, judge_task
from tests.contents import at

_DUE = at(20, 17)
_ACCEPTED = Step(S.ACCEPTED, at(10), _DUE)
_END = at(30)
_WORKING = Step(S.IN_PROGRESS, at(11))


def _judged(*steps: Step, now: datetime = _END) -> tuple[Verdict, Reason]:
    said = judge(steps, now=now)
    return said.verdict, said.reason


@pytest.mark.parametrize(
    ("finished", "expected"),
    [
        (_DUE, (Verdict.ON_TIME, Reason.IN_TIME)),
        (_DUE + timedelta(seconds=1), (Verdict.LATE, Reason.AFTER_DUE)),
    ],
)
def test_finished_by_the_promised_moment_is_on_time(finished: datetime, expected: tuple[Verdict, Reason]) -> None:
    assert _judged(_ACCEPTED, _WORKING, Step(S.DONE, finished)) == expected
    # Returning it later changes nothing, and the order in which it was heard neither.
    assert _judged(Step(S.RETURNED, at(29)), Step(S.DONE, finished), _WORKING, _ACCEPTED) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [(_DUE, (Verdict.RUNNING, Reason.NOT_DUE)), (_DUE + timedelta(seconds=1), (Verdict.OVERDUE, Reason.PAST_DUE))],
)
def test_what_is_not_finished_runs_until_it_is_due(now: datetime, expected: tuple[Verdict, Reason]) -> None:
    assert _judged(_ACCEPTED, _WORKING, now=now) == expected


@pytest.mark.parametrize("waiting", [S.SUPPLEMENT_ASKED, S.PAYMENT_ASKED])
def test_what_the_citizen_takes_is_not_the_offices_time(waiting: S) -> None:
    steps = (_ACCEPTED, Step(waiting, at(12)), Step(S.IN_PROGRESS, at(15)))
    said = judge((*steps, Step(S.DONE, _DUE + timedelta(days=3))), now=at(30))
    assert (said.verdict, said.due_at, said.waited) == (Verdict.ON_TIME, _DUE + timedelta(days=3), timedelta(days=3))
    late = judge((*steps, Step(S.DONE, _DUE + timedelta(days=3, seconds=1))), now=at(30))
    assert (late.verdict, late.reason) == (Verdict.LATE, Reason.AFTER_DUE)


def test_a_day_promised_after_the_wait_stands_as_it_is() -> None:
    steps = (_ACCEPTED, Step(S.SUPPLEMENT_ASKED, at(12)), Step(S.IN_PROGRESS, at(15), at(21)))
    assert judge((*steps, Step(S.DONE, at(22))), now=at(30)).verdict is Verdict.LATE
    same = (_ACCEPTED, Step(S.SUPPLEMENT_ASKED, at(12)), Step(S.IN_PROGRESS, at(15), _DUE))
    assert judge((*same, Step(S.DONE, at(22))), now=at(30)).verdict is Verdict.ON_TIME


def test_while_the_citizen_is_waited_for_nothing_is_overdue() -> None:
    said = judge((_ACCEPTED, Step(S.SUPPLEMENT_ASKED, at(12))), now=at(30))
    assert (said.verdict, said.reason, said.waited) == (Verdict.RUNNING, Reason.WAITING, timedelta(days=18))


def test_a_second_request_for_supplements_is_late_whatever_day_it_is() -> None:
    once = (_ACCEPTED, Step(S.SUPPLEMENT_ASKED, at(12)), Step(S.SUPPLEMENT_ASKED, at(13)), Step(S.IN_PROGRESS, at(14)))
    assert _judged(*once, Step(S.DONE, at(15))) == (Verdict.ON_TIME, Reason.IN_TIME)
    twice = (*once, Step(S.SUPPLEMENT_ASKED, at(16)), Step(S.IN_PROGRESS, at(17)))
    assert _judged(*twice, Step(S.DONE, at(18))) == (Verdict.LATE, Reason.SUPPLEMENTS)
    assert _judged(*twice, now=at(18)) == (Verdict.LATE, Reason.SUPPLEMENTS)
    assert judge(twice, now=at(18)).supplements == 2


@pytest.mark.parametrize("end", [S.NOT_ACCEPTED, S.STOPPED])
def test_what_ends_without_a_result_is_not_judged(end: S) -> None:
    assert _judged(_ACCEPTED, Step(end, at(29))) == (Verdict.UNJUDGED, Reason.NO_RESULT)


def test_what_was_not_promised_is_not_judged() -> None:
    assert _judged(Step(S.IN_PROGRESS, at(11)), Step(S.DONE, at(12))) == (Verdict.UNJUDGED, Reason.NO_DUE)
    assert _judged() == (Verdict.UNJUDGED, Reason.NO_DUE)


@pytest.mark.parametrize(
    ("due_on", "completed_at", "now", "expected"),
    [
        (date(2026, 8, 20), at(20, 23), at(30), (Verdict.ON_TIME, Reason.IN_TIME)),
        (date(2026, 8, 20), at(21, 0), at(30), (Verdict.LATE, Reason.AFTER_DUE)),
        (date(2026, 8, 20), None, at(20, 23), (Verdict.RUNNING, Reason.NOT_DUE)),
        (date(2026, 8, 20), None, at(21, 0), (Verdict.OVERDUE, Reason.PAST_DUE)),
        (None, None, at(21), (Verdict.UNJUDGED, Reason.NO_DUE)),
    ],
)
def test_a_task_is_in_time_until_its_day_ends_in_viet_nam(
    due_on: date | None, completed_at: datetime | None, now: datetime, expected: tuple[Verdict, Reason]
) -> None:
    assert judge_task(due_on, completed_at, now=now) == expected
