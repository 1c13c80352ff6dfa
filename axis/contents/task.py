"""Task: what one office tells others to do (nhiệm vụ), and what became of it.

`Task` gives it, `TaskProgress` says where one office stands with it,
`TaskCompletion` that it has done it. The task itself is named by its code and
by the office that gave it; each office that it was given to has a state of its
own.

Spec: schemas/task-1.xsd; docs/protocol/contents.md 4.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum, StrEnum

from axis.contents.moves import Move
from axis.edxml import Priority


class TaskStatus(IntEnum):
    """Where an office stands with a task. 1 and 6 are said by giving it and by completing it."""

    GIVEN = 1
    TAKEN = 2
    IN_PROGRESS = 3
    DECLINED = 4
    PAUSED = 5
    COMPLETED = 6
    CONFIRMED = 7
    REOPENED = 8
    CANCELLED = 9

    @property
    def label(self) -> str:
        """Its name, as people read it."""
        return STATES[self].name


class Part(StrEnum):
    """VaiTro: what an office has to do with a task that it was given."""

    LEAD = "chu-tri"
    HELP = "phoi-hop"


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """VanBan: a document, by its identifier or by number and day."""

    organ_id: str
    document_id: str = ""
    code: str = ""  # Number/notation, "125/SKHCN-CĐS".
    promulgated_on: date | None = None


@dataclass(frozen=True, slots=True)
class Assignee:
    """CoQuanThucHien: an office that has to do it."""

    organ_id: str
    part: Part = Part.LEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """GiaoNhiemVu: an office gives a task."""

    code: str
    given_by: str  # OrganId
    assignees: tuple[Assignee, ...]
    what: str
    due_on: date | None = None  # None: it has no end.
    priority: Priority = Priority.ORDINARY  # Up to EXPRESS.
    person: str = ""  # NguoiGiao
    document: DocumentRef | None = None  # That it comes from; None: the one that carries it.


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskProgress:
    """CapNhatNhiemVu: where one office stands."""

    code: str
    given_by: str
    assignee: str  # OrganId of the office whose state this is.
    status: TaskStatus
    at: datetime
    percent: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCompletion:
    """HoanThanhNhiemVu: one office has done it."""

    code: str
    given_by: str
    assignee: str
    completed_at: datetime
    result: str
    document: DocumentRef | None = None  # That is the result; None: the one that carries this.


class Speaker(StrEnum):
    """Who speaks about a task."""

    GIVER = "giver"
    ASSIGNEE = "assignee"


@dataclass(frozen=True, slots=True)
class State:
    """One status: a row of the table."""

    name: str
    after: frozenset[TaskStatus]
    said_by: frozenset[Speaker]
    needs_note: bool = False


_GIVER, _ASSIGNEE = frozenset({Speaker.GIVER}), frozenset({Speaker.ASSIGNEE})
_T = TaskStatus


def _after(*before: TaskStatus) -> frozenset[TaskStatus]:
    return frozenset(before)


STATES: dict[TaskStatus, State] = {
    _T.GIVEN: State("Đã giao", _after(_T.DECLINED), _GIVER),
    _T.TAKEN: State("Đã nhận", _after(_T.GIVEN, _T.REOPENED), _ASSIGNEE),
    _T.IN_PROGRESS: State("Đang thực hiện", _after(_T.GIVEN, _T.TAKEN, _T.PAUSED, _T.REOPENED), _ASSIGNEE),
    _T.DECLINED: State("Không nhận", _after(_T.GIVEN, _T.TAKEN, _T.REOPENED), _ASSIGNEE, True),
    _T.PAUSED: State("Tạm dừng", _after(_T.TAKEN, _T.IN_PROGRESS), _GIVER | _ASSIGNEE, True),
    _T.COMPLETED: State("Đã hoàn thành", _after(_T.GIVEN, _T.TAKEN, _T.IN_PROGRESS, _T.REOPENED), _ASSIGNEE),
    _T.CONFIRMED: State("Đã xác nhận hoàn thành", _after(_T.COMPLETED), _GIVER),
    _T.REOPENED: State("Yêu cầu thực hiện lại", _after(_T.COMPLETED), _GIVER, True),
    _T.CANCELLED: State(
        "Đã hủy", _after(_T.GIVEN, _T.TAKEN, _T.IN_PROGRESS, _T.DECLINED, _T.PAUSED, _T.REOPENED), _GIVER, True
    ),
}

ENDED = frozenset(status for status in _T if not any(status in state.after for state in STATES.values()))


def starts(status: TaskStatus) -> bool:
    """Tell whether an office may come to a status that was not given the task yet."""
    return status is TaskStatus.GIVEN


def _ways(status: TaskStatus, speaker: Speaker) -> frozenset[TaskStatus]:
    """Return every status from which some way leads to a status, over none but what the speaker could have said."""
    found: set[TaskStatus] = set()
    ahead = set(STATES[status].after)
    while ahead:
        found |= ahead
        ahead = {before for one in ahead if speaker in STATES[one].said_by for before in STATES[one].after} - found
    return frozenset(found)


BEFORE = {(status, speaker): _ways(status, speaker) for status in _T for speaker in Speaker}


def move(before: TaskStatus | None, status: TaskStatus, speaker: Speaker) -> Move:
    """Tell what a status is after another. A task that is given again stays where it stands, unless it was declined."""
    if before is None:
        return Move.FIRST
    if before is status:
        return Move.SAME
    if before in STATES[status].after:
        return Move.NEXT
    if status is TaskStatus.GIVEN:
        return Move.SAME
    return Move.GAP if before in BEFORE[status, speaker] else Move.IMPOSSIBLE
