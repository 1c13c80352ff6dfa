"""Timeline: whether a dossier or a task was dealt with in time, and why it is said so.

On time is what was finished by the day that was promised. The time that a
citizen takes to bring what is missing or to pay is not the office's, unless a
new day was promised after it; who asks for a supplement a second time is late
whatever day it is, because it should have asked for all at once.

Nothing here reads a clock.

Spec: docs/protocol/contents.md 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from axis.contents.dossier import ENDED, WAITING, DossierStatus
from axis.edxml.values import local_date

MOST_SUPPLEMENTS = 1  # Requests that a dossier may see and still be on time.
_FINISHED = frozenset({DossierStatus.DONE, DossierStatus.RETURNED})


class Timeliness(StrEnum):
    """Whether it was in time."""

    ON_TIME = "on-time"  # Finished, in time.
    LATE = "late"  # Finished too late, or late whenever it will be finished.
    RUNNING = "running"  # Not finished, and not due yet.
    OVERDUE = "overdue"  # Not finished, and due.
    UNJUDGED = "unjudged"  # It ended without a result, or nothing was promised.


class TimelinessReason(StrEnum):
    """Why a verdict is what it is."""

    IN_TIME = "finished-in-time"
    AFTER_DUE = "finished-after-due"
    SUPPLEMENTS = "asked-for-supplements-too-often"
    NOT_DUE = "not-due-yet"
    WAITING = "waiting-for-the-citizen"
    PAST_DUE = "past-due"
    NO_RESULT = "ended-without-a-result"
    NO_DUE = "nothing-was-promised"


@dataclass(frozen=True, slots=True)
class DossierStep:
    """A status that was said, when it came to be so, and what day was promised then."""

    status: DossierStatus
    at: datetime
    due_at: datetime | None = None  # None: nothing was said about it.


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a history comes to."""

    verdict: Timeliness
    reason: TimelinessReason
    due_at: datetime | None  # The promised day, moved by what the citizen took.
    finished_at: datetime | None
    waited: timedelta  # For the citizen, in all.
    supplements: int  # Requests.


def judge_dossier(history: Sequence[DossierStep], *, now: datetime) -> Judgement:
    """Say whether a dossier is in time.

    Args:
        history: What was said about it, in any order.
        now: The moment for which it is said.
    """
    steps = sorted(history, key=lambda step: step.at)
    due_at, waited = _due(steps, now)
    finished_at = next((step.at for step in steps if step.status in _FINISHED), None)
    supplements = _supplements(steps)
    verdict, reason = _verdict(steps, due_at, finished_at, supplements, now)
    return Judgement(
        verdict=verdict,
        reason=reason,
        due_at=due_at,
        finished_at=finished_at,
        waited=waited,
        supplements=supplements,
    )


def _due(steps: Sequence[DossierStep], now: datetime) -> tuple[datetime | None, timedelta]:
    """Return the day that counts, and how long the citizen was waited for in all."""
    due_at, moved, waited = None, timedelta(0), timedelta(0)
    ends = [*steps, *([DossierStep(steps[-1].status, now)] if steps and steps[-1].at < now else [])]
    for before, step in pairwise(
        [DossierStep(DossierStatus.REGISTERED, datetime.min.replace(tzinfo=now.tzinfo)), *ends]
    ):
        if before.status in WAITING:
            moved += step.at - before.at
            waited += step.at - before.at
        if step.due_at is not None and step.due_at != due_at:  # A day promised now takes what has been into account.
            due_at, moved = step.due_at, timedelta(0)
    return None if due_at is None else due_at + moved, waited


def _supplements(steps: Sequence[DossierStep]) -> int:
    asked = [step.status is DossierStatus.SUPPLEMENT_ASKED for step in steps]
    return sum(now and not before for before, now in pairwise([False, *asked]))


def _verdict(
    steps: Sequence[DossierStep], due_at: datetime | None, finished_at: datetime | None, supplements: int, now: datetime
) -> tuple[Timeliness, TimelinessReason]:
    last = steps[-1].status if steps else None
    if last in ENDED and finished_at is None:
        return Timeliness.UNJUDGED, TimelinessReason.NO_RESULT
    if supplements > MOST_SUPPLEMENTS:
        return Timeliness.LATE, TimelinessReason.SUPPLEMENTS
    if due_at is None:
        return Timeliness.UNJUDGED, TimelinessReason.NO_DUE
    if finished_at is not None:
        return (
            (Timeliness.ON_TIME, TimelinessReason.IN_TIME)
            if finished_at <= due_at
            else (Timeliness.LATE, TimelinessReason.AFTER_DUE)
        )
    if last in WAITING:
        return Timeliness.RUNNING, TimelinessReason.WAITING
    return (
        (Timeliness.RUNNING, TimelinessReason.NOT_DUE)
        if now <= due_at
        else (Timeliness.OVERDUE, TimelinessReason.PAST_DUE)
    )


def judge_task(
    due_on: date | None, completed_at: datetime | None, *, now: datetime
) -> tuple[Timeliness, TimelinessReason]:
    """Say whether a task is in time: it is until the end of its day in Viet Nam.

    Args:
        due_on: HanXuLy; None: it has no end.
        completed_at: NgayHoanThanh of the completion that stands; None: not completed.
        now: The moment for which it is said.
    """
    if due_on is None:
        return Timeliness.UNJUDGED, TimelinessReason.NO_DUE
    if completed_at is not None:
        in_time = local_date(completed_at) <= due_on
        return (
            (Timeliness.ON_TIME, TimelinessReason.IN_TIME) if in_time else (Timeliness.LATE, TimelinessReason.AFTER_DUE)
        )
    return (
        (Timeliness.RUNNING, TimelinessReason.NOT_DUE)
        if local_date(now) <= due_on
        else (Timeliness.OVERDUE, TimelinessReason.PAST_DUE)
    )
