"""Tasks: who was given what, and where each office stands with it by what giver and assignee have told.

A task is its giver's code. What is told of it is held against what stands for
the office that it is about, whoever of the two has told that. A task that
nobody has given here may have been given elsewhere: of that everything is
recorded. Once it is given here, those that it was not given to have no word in
it, whatever they told before. What came to be so before what was told already
moves nothing.

Whoever tells of tasks locks them all first, in one order, so that two seldom
wait for each other's. They may all the same: several works share a transaction
(`ledger.engine`), and the order is that of each, not of the whole. PostgreSQL
breaks such a deadlock after a second (deadlock_timeout): nothing of the one
transaction is kept, and all its works fail with SYS.LEDGER and are tried again.

Spec: docs/protocol/contents.md 4.5, 4.6; docs/adr/0023.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from axis.contents import TaskStatus
from axis.contents.moves import Move
from axis.contents.task import Speaker, move
from axis.ledger import tables as t
from axis.ledger.insert import insert, insert_once
from axis.ledger.values import Custody, GivenTask, Impossible, TaskSaid, TaskStepRow

_t, _a, _s = t.tasks.c, t.task_assignees.c, t.task_steps.c
_MOVING = frozenset({Move.NEXT, Move.GAP})


class _State(NamedTuple):
    status: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """What an envelope tells of one office, judged."""

    assignee: str
    at: datetime
    move: Move
    moves: bool  # Whether the office stands so from now on.
    was_given: bool  # Whether the task was given here, and the office has it from that.


def lock(connection: sa.Connection, said: Iterable[TaskSaid]) -> None:
    """Let nobody else tell of these tasks until the commit."""
    keys = sorted({(one.given_by, one.code) for one in said})
    if not keys:
        return
    connection.execute(insert_once(connection, t.tasks), [{"given_by": giver, "code": code} for giver, code in keys])
    for given_by, code in keys:
        connection.execute(sa.select(_t.code).where(_this(given_by, code)).with_for_update())


def _this(given_by: str, code: str) -> sa.ColumnElement[bool]:
    return sa.and_(_t.given_by == given_by, _t.code == code)


def judged(connection: sa.Connection, said: TaskSaid) -> list[Step] | Impossible:
    """Return what becomes true of each office by what is said, or why it cannot."""
    here = _this(said.given_by, said.code)
    is_given = connection.execute(sa.select(_t.given_in).where(here)).scalar() is not None
    gives = said.status == TaskStatus.GIVEN
    asked = sa.select(_a.assignee, _a.status, _a.at).where(_a.given_by == said.given_by, _a.code == said.code)
    if is_given and not gives:  # Whoever told of it before, and was not given it, does not have it by that.
        asked = asked.where(_a.was_given.is_(sa.true()))
    states = {row.assignee: _State(row.status, row.at) for row in connection.execute(asked)}
    was_given = is_given or gives
    steps = []
    for assignee in said.assignees:
        before = _before(states, assignee, said)
        if before is None:
            if is_given and not gives and not said.stands_for & states.keys():
                return Impossible(None, assignee)
            steps.append(Step(assignee, said.at, Move.FIRST, moves=True, was_given=was_given))
            continue
        at = max(said.at, before.at) if gives else said.at
        came = move(TaskStatus(before.status), TaskStatus(said.status), Speaker(said.speaker))
        came = Move.LATE if at < before.at else came
        if came is Move.IMPOSSIBLE:
            return Impossible(before.status, assignee)
        # A task that is given again is given to those that have it too: they stand where they stood.
        moves = came in _MOVING or (came is Move.SAME and before.status == said.status)
        steps.append(Step(assignee, at, came, moves, was_given))
    return steps


def _before(states: dict[str, _State], assignee: str, said: TaskSaid) -> _State | None:
    """Return where an office stands; one that took over from the only office that has the task goes on where that stood."""
    own = states.get(assignee)
    inherited = [state for code, state in states.items() if code in said.stands_for]
    return own if own is not None or len(inherited) != 1 else inherited[0]


def record(connection: sa.Connection, one: Custody, said: TaskSaid, steps: Sequence[Step]) -> None:
    """Write down what an envelope tells, as it was judged in this transaction."""
    key = {"given_by": said.given_by, "code": said.code}
    mine = sa.and_(_a.given_by == said.given_by, _a.code == said.code)
    if said.status == TaskStatus.GIVEN:
        news = {"given_in": one.envelope_id, "due_on": said.due_on}
        connection.execute(sa.update(t.tasks).where(_this(said.given_by, said.code)).values(news))
        have = sa.and_(mine, _a.assignee.in_(said.assignees))
        connection.execute(sa.update(t.task_assignees).where(have).values(was_given=True))
    moving = [step for step in steps if step.moves]
    if moving:
        gone = [step.assignee for step in moving]
        connection.execute(sa.delete(t.task_assignees).where(mine, _a.assignee.in_(gone)))
        rows = [
            key | {"assignee": step.assignee, "status": said.status, "at": step.at, "was_given": step.was_given}
            for step in moving
        ]
        insert(connection, t.task_assignees, rows)
    told = {"originator": one.originator, "status": said.status, "recorded_at": one.accepted_at}
    rows = [
        key | told | {"envelope_id": one.envelope_id, "assignee": step.assignee, "at": step.at, "move": step.move.value}
        for step in steps
    ]
    insert(connection, t.task_steps, rows)


def stands_against(connection: sa.Connection, said: TaskSaid) -> Impossible | None:
    """Return why what is said of a task cannot be; None if nothing stands against it."""
    found = judged(connection, said)
    return found if isinstance(found, Impossible) else None


def given(
    connection: sa.Connection, codes: Collection[str], givers: Collection[str], offices: Collection[str]
) -> list[GivenTask]:
    """Return the tasks of some codes that some offices have given here, and whether some offices have them to do.

    Args:
        connection: In a transaction.
        codes: Of tasks.
        givers: Who may have given them.
        offices: Who may have them to do.
    """
    mine = sa.exists().where(
        _a.given_by == _t.given_by, _a.code == _t.code, _a.assignee.in_(offices), _a.was_given.is_(sa.true())
    )
    asked = (
        sa.select(_t.given_by, _t.code, t.envelopes.c.document_id, mine.label("is_assigned"))
        .join(t.envelopes, t.envelopes.c.id == _t.given_in)
        .where(_t.code.in_(codes), _t.given_by.in_(givers))
        .order_by(_t.code, _t.given_by)
    )
    return [
        GivenTask(given_by=row.given_by, code=row.code, document_id=row.document_id, is_assigned=bool(row.is_assigned))
        for row in connection.execute(asked)
    ]


def steps_of(connection: sa.Connection, code: str) -> list[TaskStepRow]:
    """Return what was told of the tasks of a code, by giver and office, the earliest first."""
    asked = (
        sa.select(t.task_steps, _t.due_on)
        .join(t.tasks, sa.and_(_t.given_by == _s.given_by, _t.code == _s.code))
        .where(_s.code == code)
        .order_by(_s.given_by, _s.assignee, _s.at, _s.recorded_at)
    )
    return [TaskStepRow(**row._mapping) for row in connection.execute(asked)]
