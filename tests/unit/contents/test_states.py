"""The state tables: nothing is unreachable, nothing is a trap, and what has ended stays so."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

import pytest

from axis.contents import DossierStatus, TaskStatus, dossier, task
from axis.contents.dossier import Role, lineage, move, role_of
from axis.contents.moves import Move
from axis.contents.task import Speaker

_TABLES: dict[str, tuple[type[IntEnum], Mapping[Any, Any], set[IntEnum], frozenset[Any]]] = {
    "dossier": (
        DossierStatus,
        dossier.STATES,
        {status for status, state in dossier.STATES.items() if state.starts},
        dossier.ENDED,
    ),
    "task": (TaskStatus, task.STATES, {TaskStatus.GIVEN}, task.ENDED),
}


def _reached(table: Mapping[Any, Any], start: Iterable[Any]) -> set[Any]:
    seen: set[Any] = set()
    ahead = set(start)
    while ahead:
        seen |= ahead
        ahead = {status for status, state in table.items() if state.after & ahead} - seen
    return seen


@pytest.mark.parametrize(("statuses", "table", "start", "ended"), _TABLES.values(), ids=_TABLES)
def test_table_is_total_and_every_status_can_be_reached_and_left(
    statuses: type[IntEnum], table: Mapping[Any, Any], start: set[Any], ended: frozenset[Any]
) -> None:
    assert set(table) == set(statuses)
    assert len({state.name for state in table.values()}) == len(table)
    assert all(state.said_by for state in table.values())
    assert _reached(table, start) == set(statuses)
    assert all(_reached(table, {status}) & ended for status in statuses)


def test_what_ends_a_dossier_and_a_task() -> None:
    assert sorted(dossier.ENDED) == [DossierStatus.NOT_ACCEPTED, DossierStatus.STOPPED, DossierStatus.RETURNED]
    assert sorted(task.ENDED) == [TaskStatus.CONFIRMED, TaskStatus.CANCELLED]


@pytest.mark.parametrize("status", DossierStatus)
def test_moves_of_a_dossier(status: DossierStatus) -> None:
    assert move(None, status) is Move.FIRST
    assert move(status, status) is Move.SAME
    for before in DossierStatus:
        if before is not status:
            is_reached = status in _reached(dossier.STATES, {before})
            expected = Move.NEXT if before in dossier.STATES[status].after else Move.GAP
            assert move(before, status) is (expected if is_reached else Move.IMPOSSIBLE)


@pytest.mark.parametrize(
    ("before", "status", "expected"), [(1, 4, Move.GAP), (4, 10, Move.GAP), (9, 10, Move.NEXT), (9, 4, Move.IMPOSSIBLE)]
)
def test_what_was_left_out_is_no_contradiction(before: int, status: int, expected: Move) -> None:
    assert move(DossierStatus(before), DossierStatus(status)) is expected


@pytest.mark.parametrize("status", sorted(dossier.ENDED))
def test_nothing_follows_the_end_of_a_dossier(status: DossierStatus) -> None:
    assert {move(status, other) for other in DossierStatus if other is not status} == {Move.IMPOSSIBLE}


@pytest.mark.parametrize("speaker", Speaker)
@pytest.mark.parametrize("status", TaskStatus)
def test_moves_of_a_task(status: TaskStatus, speaker: Speaker) -> None:
    assert task.starts(status) is (status is TaskStatus.GIVEN)
    assert task.move(None, status, speaker) is Move.FIRST
    assert task.move(status, status, speaker) is Move.SAME
    for before in TaskStatus:
        if before in task.STATES[status].after:
            assert task.move(before, status, speaker) is Move.NEXT


_T, _GIVER, _ASSIGNEE = TaskStatus, Speaker.GIVER, Speaker.ASSIGNEE


@pytest.mark.parametrize(
    ("before", "status", "speaker", "expected"),
    [
        (_T.PAUSED, _T.COMPLETED, _ASSIGNEE, Move.GAP),  # It went on, and did not say so.
        (_T.COMPLETED, _T.IN_PROGRESS, _ASSIGNEE, Move.IMPOSSIBLE),  # Only the giver opens it again.
        (_T.COMPLETED, _T.CANCELLED, _GIVER, Move.GAP),
        (_T.DECLINED, _T.IN_PROGRESS, _ASSIGNEE, Move.IMPOSSIBLE),  # Only the giver gives it again.
        (_T.IN_PROGRESS, _T.CONFIRMED, _GIVER, Move.IMPOSSIBLE),  # Nobody has said that it is done.
        (_T.IN_PROGRESS, _T.GIVEN, _GIVER, Move.SAME),
        (_T.DECLINED, _T.GIVEN, _GIVER, Move.NEXT),
    ],
)
def test_nobody_leaves_out_what_the_other_has_to_say(
    before: TaskStatus, status: TaskStatus, speaker: Speaker, expected: Move
) -> None:
    assert task.move(before, status, speaker) is expected


@pytest.mark.parametrize("status", sorted(task.ENDED))
def test_nothing_follows_the_end_of_a_task(status: TaskStatus) -> None:
    others = [other for other in TaskStatus if other not in (status, TaskStatus.GIVEN)]
    assert {task.move(status, other, speaker) for other in others for speaker in Speaker} == {Move.IMPOSSIBLE}


@pytest.mark.parametrize(
    ("organ_id", "levels"),
    [
        ("H56.05.02", ("H56", "05", "02")),
        ("000.02.05.H56", ("H56", "05", "02")),
        ("000.00.05.H56", ("H56", "05")),
        ("H56", ("H56",)),
    ],
)
def test_levels_of_an_organ(organ_id: str, levels: tuple[str, ...]) -> None:
    assert lineage(organ_id) == levels


@pytest.mark.parametrize(
    ("speaker", "receiver", "role"),
    [
        ("H56.05", "H56.05", Role.RECEIVER),
        ("H56.05", "H56.05.02", Role.RECEIVER),
        ("H56.05.02", "000.00.05.H56", Role.RECEIVER),
        ("H56", "H56", Role.RECEIVER),
        ("H56", "H56.05", Role.HANDLER),
        ("H56.051", "H56.05", Role.HANDLER),
        ("H56.112", "H56.05", Role.HANDLER),
    ],
)
def test_who_deals_with_the_citizen(speaker: str, receiver: str, role: Role) -> None:
    assert role_of(speaker, receiver) is role
