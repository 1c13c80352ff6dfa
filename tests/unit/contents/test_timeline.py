"""On time, late, and why."""

from datetime import date, datetime, timedelta

import pytest

from axis.contents import DossierStatus as S
from axis.contents import DossierStep, Timeliness, TimelinessReason, judge_dossier, judge_task
from tests.contents import at

_DUE = at(20, 17)
_ACCEPTED = DossierStep(S.ACCEPTED, at(10), _DUE)
_END = at(30)
_WORKING = DossierStep(S.IN_PROGRESS, at(11))


def _judged(*steps: DossierStep, now: datetime = _END) -> tuple[Timeliness, TimelinessReason]:
    said = judge_dossier(steps, now=now)
    return said.verdict, said.reason


@pytest.mark.parametrize(
    ("finished", "expected"),
    [
        (_DUE, (Timeliness.ON_TIME, TimelinessReason.IN_TIME)),
        (_DUE + timedelta(seconds=1), (Timeliness.LATE, TimelinessReason.AFTER_DUE)),
    ],
)
def test_finished_by_the_promised_moment_is_on_time(
    finished: datetime, expected: tuple[Timeliness, TimelinessReason]
) -> None:
    assert _judged(_ACCEPTED, _WORKING, DossierStep(S.DONE, finished)) == expected
    # Returning it later changes nothing, and the order in which it was heard neither.
    assert _judged(DossierStep(S.RETURNED, at(29)), DossierStep(S.DONE, finished), _WORKING, _ACCEPTED) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (_DUE, (Timeliness.RUNNING, TimelinessReason.NOT_DUE)),
        (_DUE + timedelta(seconds=1), (Timeliness.OVERDUE, TimelinessReason.PAST_DUE)),
    ],
)
def test_what_is_not_finished_runs_until_it_is_due(
    now: datetime, expected: tuple[Timeliness, TimelinessReason]
) -> None:
    assert _judged(_ACCEPTED, _WORKING, now=now) == expected


@pytest.mark.parametrize("waiting", [S.SUPPLEMENT_ASKED, S.PAYMENT_ASKED])
def test_what_the_citizen_takes_is_not_the_offices_time(waiting: S) -> None:
    steps = (_ACCEPTED, DossierStep(waiting, at(12)), DossierStep(S.IN_PROGRESS, at(15)))
    said = judge_dossier((*steps, DossierStep(S.DONE, _DUE + timedelta(days=3))), now=at(30))
    assert (said.verdict, said.due_at, said.waited) == (Timeliness.ON_TIME, _DUE + timedelta(days=3), timedelta(days=3))
    late = judge_dossier((*steps, DossierStep(S.DONE, _DUE + timedelta(days=3, seconds=1))), now=at(30))
    assert (late.verdict, late.reason) == (Timeliness.LATE, TimelinessReason.AFTER_DUE)


def test_a_day_promised_after_the_wait_stands_as_it_is() -> None:
    steps = (_ACCEPTED, DossierStep(S.SUPPLEMENT_ASKED, at(12)), DossierStep(S.IN_PROGRESS, at(15), at(21)))
    assert judge_dossier((*steps, DossierStep(S.DONE, at(22))), now=at(30)).verdict is Timeliness.LATE
    same = (_ACCEPTED, DossierStep(S.SUPPLEMENT_ASKED, at(12)), DossierStep(S.IN_PROGRESS, at(15), _DUE))
    assert judge_dossier((*same, DossierStep(S.DONE, at(22))), now=at(30)).verdict is Timeliness.ON_TIME


def test_while_the_citizen_is_waited_for_nothing_is_overdue() -> None:
    said = judge_dossier((_ACCEPTED, DossierStep(S.SUPPLEMENT_ASKED, at(12))), now=at(30))
    assert (said.verdict, said.reason, said.waited) == (
        Timeliness.RUNNING,
        TimelinessReason.WAITING,
        timedelta(days=18),
    )


def test_a_second_request_for_supplements_is_late_whatever_day_it_is() -> None:
    once = (
        _ACCEPTED,
        DossierStep(S.SUPPLEMENT_ASKED, at(12)),
        DossierStep(S.SUPPLEMENT_ASKED, at(13)),
        DossierStep(S.IN_PROGRESS, at(14)),
    )
    assert _judged(*once, DossierStep(S.DONE, at(15))) == (Timeliness.ON_TIME, TimelinessReason.IN_TIME)
    twice = (*once, DossierStep(S.SUPPLEMENT_ASKED, at(16)), DossierStep(S.IN_PROGRESS, at(17)))
    assert _judged(*twice, DossierStep(S.DONE, at(18))) == (Timeliness.LATE, TimelinessReason.SUPPLEMENTS)
    assert _judged(*twice, now=at(18)) == (Timeliness.LATE, TimelinessReason.SUPPLEMENTS)
    assert judge_dossier(twice, now=at(18)).supplements == 2


@pytest.mark.parametrize("end", [S.NOT_ACCEPTED, S.STOPPED])
def test_what_ends_without_a_result_is_not_judged(end: S) -> None:
    assert _judged(_ACCEPTED, DossierStep(end, at(29))) == (Timeliness.UNJUDGED, TimelinessReason.NO_RESULT)


def test_what_was_not_promised_is_not_judged() -> None:
    assert _judged(DossierStep(S.IN_PROGRESS, at(11)), DossierStep(S.DONE, at(12))) == (
        Timeliness.UNJUDGED,
        TimelinessReason.NO_DUE,
    )
    assert _judged() == (Timeliness.UNJUDGED, TimelinessReason.NO_DUE)


@pytest.mark.parametrize(
    ("due_on", "completed_at", "now", "expected"),
    [
        (date(2026, 8, 20), at(20, 23), at(30), (Timeliness.ON_TIME, TimelinessReason.IN_TIME)),
        (date(2026, 8, 20), at(21, 0), at(30), (Timeliness.LATE, TimelinessReason.AFTER_DUE)),
        (date(2026, 8, 20), None, at(20, 23), (Timeliness.RUNNING, TimelinessReason.NOT_DUE)),
        (date(2026, 8, 20), None, at(21, 0), (Timeliness.OVERDUE, TimelinessReason.PAST_DUE)),
        (None, None, at(21), (Timeliness.UNJUDGED, TimelinessReason.NO_DUE)),
    ],
)
def test_a_task_is_in_time_until_its_day_ends_in_viet_nam(
    due_on: date | None, completed_at: datetime | None, now: datetime, expected: tuple[Timeliness, TimelinessReason]
) -> None:
    assert judge_task(due_on, completed_at, now=now) == expected
