"""Whatever content is written reads back equal, and no history of a dossier leaves its table or breaks its judge."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import icalendar
from hypothesis import given, settings
from hypothesis import strategies as st

from axis.contents import (
    ApplicantType,
    Assignee,
    Channel,
    Content,
    DocumentRef,
    Dossier,
    DossierFee,
    DossierFile,
    DossierPaper,
    DossierProgress,
    DossierResult,
    DossierStatus,
    DossierStep,
    DossierSupplement,
    Guest,
    Invitation,
    Part,
    Task,
    TaskCompletion,
    TaskProgress,
    TaskStatus,
    Timeliness,
    examine,
    judge_dossier,
    read,
    render,
)
from axis.contents.calendar import ics_of
from axis.contents.dossier import WAITING
from axis.edxml import Priority
from axis.errors import CATALOGUE, Refusal, Violation

_LETTERS = st.characters(codec="utf-8", categories=("L", "N", "P", "S"), exclude_characters="\ufffe\uffff")


def _text(most: int, least: int = 0) -> st.SearchStrategy[str]:
    word = st.text(_LETTERS, min_size=1, max_size=min(most, 12))
    several = word if most < 25 else word | st.builds("{} {}".format, word, word)
    return several if least else st.just("") | several


def _few(one: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(one, max_size=3).map(tuple)


_FIRST = datetime(1976, 1, 1, tzinfo=UTC)  # Since then the clocks of the country have not been moved.
_MOMENTS = st.integers(0, 223 * 365 * 86400).map(lambda seconds: _FIRST + timedelta(seconds=seconds))
_MAYBE = st.none() | _MOMENTS
_DAYS = st.dates(date(1901, 1, 1), date(2199, 12, 31))
_ORGANS = st.sampled_from(["H56.05", "H56.112", "000.00.05.H56", "H56"])
_DOSSIER_CODES = st.sampled_from(["H56.05-20260810-0000123", "000.00.05.H56-260810-1"])
_TASK_CODES = st.from_regex(r"[!-~]{1,100}", fullmatch=True)
_LINKS = st.sampled_from(["", "https://a.example.vn/?x=1&y=%20"])
_REFS = st.none() | st.builds(DocumentRef, _ORGANS, _text(200), _text(50), st.none() | _DAYS)

_DOSSIERS = st.builds(
    Dossier,
    code=_DOSSIER_CODES,
    procedure_code=_text(100, 1),
    procedure_name=_text(1000, 1),
    applicant=_text(200, 1),
    applicant_type=st.sampled_from(ApplicantType),
    status=st.sampled_from(DossierStatus),
    channel=st.sampled_from(Channel),
    handled_by=_text(500, 1),
    updating=st.booleans(),
    field_code=_text(100),
    field_name=_text(500),
    slip=_text(100),
    applicant_id=_text(100),
    other=_text(1000),
    email=_text(100),
    fax=_text(50),
    telephone=_text(50),
    subject=_text(1000),
    received_at=_MAYBE,
    due_at=_MAYBE,
    returned_at=_MAYBE,
    returned_note=_text(1000),
    finished_at=_MAYBE,
    note=_text(1000),
    files=_few(st.builds(DossierFile, _text(255, 1), _text(100), st.booleans(), _text(100), _LINKS)),
    fees=_few(st.builds(DossierFee, _text(500, 1), st.integers(0, 10**15 - 1), _text(100), _text(50), _text(50))),
    papers=_few(st.builds(DossierPaper, _text(500, 1), st.none() | st.integers(0, 9999), _text(100))),
    supplements=_few(
        st.builds(
            DossierSupplement,
            _text(1000, 1),
            _MOMENTS,
            supplement_id=_text(100),
            asked_by=_text(200),
            taken_by=_text(200),
            taken_note=_text(1000),
            taken_at=_MAYBE,
            due_before=_MAYBE,
            due_after=_MAYBE,
        )
    ),
    results=_few(st.builds(DossierResult, _text(500, 1), _text(100), _text(100), _LINKS)),
)
_GUESTS = st.builds(
    Guest, _text(200), _text(200), st.just("") | _ORGANS, st.sampled_from(["", "a.b+c@example.vn", "x_1@y.vn"])
)
_INVITATIONS = st.builds(
    Invitation,
    code=_text(200, 1),
    inviter=_ORGANS,
    title=_text(500, 1),
    starts_at=_MOMENTS,
    chair=_GUESTS,
    guests=st.lists(_GUESTS, min_size=1, max_size=3).map(tuple),
    revision=st.integers(0, 999_999),
    ends_at=_MAYBE,
    place=_text(500),
    link=_LINKS,
    agenda=_few(_text(1000, 1)),
    documents=_few(_text(255, 1)),
    contact=_text(500),
)
CONTENTS = st.one_of(
    _DOSSIERS,
    st.builds(
        DossierProgress,
        code=_DOSSIER_CODES,
        status=st.sampled_from(DossierStatus),
        person=_text(200, 1),
        at=_MOMENTS,
        position=_text(200),
        department=_text(500),
        note=_text(1000),
        began_at=_MAYBE,
        due_at=_MAYBE,
    ),
    st.builds(
        Task,
        code=_TASK_CODES,
        given_by=_ORGANS,
        assignees=st.lists(st.builds(Assignee, _ORGANS, st.sampled_from(Part)), min_size=1, max_size=3).map(tuple),
        what=_text(2000, 1),
        due_on=st.none() | _DAYS,
        priority=st.sampled_from([one for one in Priority if one is not Priority.TIMED]),
        person=_text(200),
        document=_REFS,
    ),
    st.builds(
        TaskProgress,
        code=_TASK_CODES,
        given_by=_ORGANS,
        assignee=_ORGANS,
        status=st.sampled_from([one for one in TaskStatus if one not in (TaskStatus.GIVEN, TaskStatus.COMPLETED)]),
        at=_MOMENTS,
        percent=st.none() | st.integers(0, 100),
        note=_text(2000),
    ),
    st.builds(
        TaskCompletion,
        code=_TASK_CODES,
        given_by=_ORGANS,
        assignee=_ORGANS,
        completed_at=_MOMENTS,
        result=_text(2000, 1),
        document=_REFS,
    ),
    _INVITATIONS,
)


def _violations(reading: Callable[[], Content]) -> tuple[Violation, ...]:
    try:
        reading()
    except Refusal as refusal:
        return refusal.violations
    return ()


@settings(deadline=None)
@given(CONTENTS)
def test_what_is_written_reads_back_equal(content: Content) -> None:
    assert read(render(content)) == content


@settings(deadline=None)
@given(CONTENTS, st.dates(date(1990, 1, 1), date(2100, 1, 1)))
def test_rules_never_fail_and_say_only_what_the_catalogue_has(content: Content, today: date) -> None:
    xml = render(content)
    found = _violations(lambda: examine(xml, today=today))
    assert {one.code for one in found} <= {code for code in CATALOGUE if code.startswith("CON.")}
    assert all(one.line is not None for one in found)


@settings(deadline=None)
@given(CONTENTS, st.data())
def test_broken_bytes_are_refused_and_never_break_the_reader(content: Content, data: st.DataObject) -> None:
    xml = bytearray(render(content))
    for _ in range(data.draw(st.integers(1, 4))):
        xml[data.draw(st.integers(0, len(xml) - 1))] = data.draw(st.integers(0, 255))
    found = _violations(lambda: read(bytes(xml)))
    assert {one.code for one in found} <= {"CON.XML", "CON.KIND", "CON.SCHEMA"}


@settings(max_examples=50, deadline=None)
@given(_INVITATIONS)
def test_a_calendar_reads_every_invitation(content: Invitation) -> None:
    made = icalendar.Calendar.from_ical(ics_of(content, at=datetime(2026, 8, 25, tzinfo=UTC)))
    (event,) = made.walk("VEVENT")
    assert event.decoded("dtstart") == content.starts_at
    assert str(event["SUMMARY"]) == content.title


_STEPS = st.builds(DossierStep, st.sampled_from(DossierStatus), _MOMENTS, st.none() | _MOMENTS)


@settings(deadline=None)
@given(st.lists(_STEPS, max_size=12), _MOMENTS, st.randoms())
def test_a_judgement_does_not_depend_on_the_order_of_what_was_heard(
    history: list[DossierStep], now: datetime, chance: Any
) -> None:
    distinct = list({step.at: step for step in history}.values())
    said = judge_dossier(distinct, now=now)
    shuffled = list(distinct)
    chance.shuffle(shuffled)
    assert judge_dossier(shuffled, now=now) == said
    assert said.waited >= timedelta(0)
    if not any(step.status in WAITING for step in distinct):
        assert said.waited == timedelta(0)
    if said.verdict is Timeliness.ON_TIME:
        assert said.finished_at is not None
        assert said.due_at is not None
        assert said.finished_at <= said.due_at
