"""What giver and assignees tell of a task is held against what stands, in the commit that accepts it."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from axis import contents
from axis.cli.main import root
from axis.contents import Assignee, Part, TaskStatus
from axis.contents.moves import Move
from axis.contents.task import Speaker
from axis.edxml import Business, BusinessType, Organization, ResponseFor
from axis.errors import TransientError
from axis.intake import Acceptance, Rejected
from axis.ledger import TaskSaid, tasks
from axis.ledger import tables as t
from axis.ledger.engine import Work, open_database
from axis.registry import AfterClosing, Registry, Status
from tests.contents import DOSSIER, RETURNED, TASK, TASK_COMPLETION, TASK_PROGRESS, at
from tests.house import COMMUNE, OTHER, SENDER, House, together
from tests.province import AT

S = TaskStatus
_DONE = replace(TASK_COMPLETION, document=None)


def _to(*offices: str) -> contents.Task:
    return replace(TASK, assignees=tuple(Assignee(one, Part.LEAD) for one in offices))


def _news(status: S, when: datetime, of: str = COMMUNE) -> contents.TaskProgress:
    return replace(TASK_PROGRESS, status=status, at=when, assignee=of, note="Lý do (ví dụ)")


def _done(when: datetime, of: str = COMMUNE) -> contents.TaskCompletion:
    return replace(_DONE, completed_at=when, assignee=of)


async def _sealed(home: House, *said: contents.Content, by: str = SENDER, **fields: Any) -> bytes:
    """Return a sealed document that tells of a task; its files are in the spool."""
    files: Mapping[str, bytes] = {
        contents.KINDS[contents.root_of(one).kind].file_name: contents.render(one) for one in said
    }
    for file in files.values():
        await home.bring(by, file)
    to = (COMMUNE, OTHER) if by == SENDER else (SENDER,)
    good: dict[str, Any] = {"originator": Organization(by), "promulgated_on": date(2026, 8, 20)}
    return home.seal(home.document(to=to, **{**good, **fields}), files, by=by)


async def _tell(home: House, *said: contents.Content, by: str = SENDER, **fields: Any) -> Acceptance:
    return await home.accept(await _sealed(home, *said, by=by, **fields), by=by)


async def _moves(home: House, of: str = COMMUNE) -> list[tuple[int, str]]:
    return [(row.status, row.move) for row in await home.ledger.task_steps(TASK.code) if row.assignee == of]


def _close(home: House, code: str, *, successor: str) -> None:
    gone = replace(
        home.roll.by_code[code], status=Status.CLOSED, successors=(successor,), after_closing=AfterClosing.FORWARD
    )
    home.roll = Registry.of({**home.roll.by_code, code: gone}.values(), home.roll.tiers.values())
    roll, trust = home.roll, home.province.trust()
    object.__setattr__(home.intake, "roll", lambda: (roll, trust))


async def _refused(home: House, said: contents.Content, *, by: str = COMMUNE, **fields: Any) -> tuple[str, str, str]:
    before = await home.ledger.task_steps(TASK.code)
    envelope = await _sealed(home, said, by=by, **fields)
    foreseen = await home.intake.foresee(envelope, submitter=by)
    with pytest.raises(Rejected) as caught:
        await home.accept(envelope, by=by)
    assert foreseen.violations == caught.value.refusal.violations
    assert await home.ledger.task_steps(TASK.code) == before
    (found,) = caught.value.refusal.violations
    return found.code, found.rule, found.vi.partition(": ")[2]


async def test_steps_are_recorded_with_what_they_are(home: House) -> None:
    await _tell(home, _to(COMMUNE, OTHER))
    await _tell(home, _news(S.TAKEN, at(21)), by=COMMUNE)
    await _tell(home, _news(S.IN_PROGRESS, at(22)), by=COMMUNE)
    await _tell(home, _news(S.IN_PROGRESS, at(23)), by=COMMUNE)
    await _tell(home, _done(at(24)), by=COMMUNE)
    await _tell(home, _news(S.REOPENED, at(24, 9)))
    await _tell(home, _done(at(24, 10)), by=COMMUNE)
    await _tell(home, _news(S.CONFIRMED, at(24, 11)))
    assert await _moves(home) == [
        (1, Move.FIRST),
        (2, Move.NEXT),
        (3, Move.NEXT),
        (3, Move.SAME),
        (6, Move.NEXT),
        (8, Move.NEXT),
        (6, Move.NEXT),
        (7, Move.NEXT),
    ]
    assert await _moves(home, OTHER) == [(1, Move.FIRST)]


async def test_progress_after_completion_is_refused_and_nothing_of_it_is_kept(home: House) -> None:
    await _tell(home, _to(COMMUNE))
    await _tell(home, _done(at(23)), by=COMMUNE)
    assert await _refused(home, _news(S.IN_PROGRESS, at(24))) == (
        "CON.TRANSITION",
        "rule:task.transition",
        f"{TASK.code}: 6 (Đã hoàn thành) → 3 (Đang thực hiện)",
    )


async def test_progress_from_before_the_completion_is_late_and_moves_nothing(home: House) -> None:
    await _tell(home, _to(COMMUNE))
    await _tell(home, _done(at(23)), by=COMMUNE)
    await _tell(home, _news(S.IN_PROGRESS, at(22)), by=COMMUNE)
    await _tell(home, _news(S.CONFIRMED, at(24)))
    assert await _moves(home) == [(1, Move.FIRST), (3, Move.LATE), (6, Move.NEXT), (7, Move.NEXT)]


async def test_completion_after_a_cancellation_is_refused_until_it_is_told_of_an_earlier_hour(home: House) -> None:
    await _tell(home, _to(COMMUNE))
    await _tell(home, _news(S.CANCELLED, at(23)))
    assert (await _refused(home, _done(at(24))))[:2] == ("CON.TRANSITION", "rule:task.transition")
    await _tell(home, _done(at(22)), by=COMMUNE)
    assert await _moves(home) == [(1, Move.FIRST), (6, Move.LATE), (9, Move.NEXT)]


async def test_office_that_was_not_given_the_task_says_nothing_of_it(home: House) -> None:
    await _tell(home, _to(COMMUNE))
    for said in (_news(S.TAKEN, at(21), OTHER), _done(at(22), OTHER)):
        assert await _refused(home, said, by=OTHER) == (
            "CON.PARTY",
            "rule:task.assigned",
            f"{OTHER} không được giao {TASK.code}",
        )
    assert await _refused(home, _news(S.CANCELLED, at(22), OTHER), by=SENDER) == (
        "CON.PARTY",
        "rule:task.assigned",
        f"{OTHER} không được giao {TASK.code}",
    )


async def test_task_that_was_given_elsewhere_is_recorded_as_it_is_told(home: House) -> None:
    await _tell(home, _news(S.IN_PROGRESS, at(22)), by=COMMUNE)
    await _tell(home, _news(S.TAKEN, at(22), OTHER), by=OTHER)
    await _tell(home, _done(at(23)), by=COMMUNE)
    assert await _moves(home) == [(3, Move.FIRST), (6, Move.NEXT)]
    assert (await _refused(home, _news(S.IN_PROGRESS, at(24))))[0] == "CON.TRANSITION"
    await _tell(home, _to(COMMUNE))  # It comes after all, and moves nothing.
    assert (await _moves(home))[-1] == (1, Move.SAME)


async def test_office_that_told_of_a_task_before_others_were_given_it_says_nothing_of_it_since(home: House) -> None:
    await _tell(home, _news(S.IN_PROGRESS, at(21), OTHER), by=OTHER)
    await _tell(home, _to(COMMUNE))
    for by, said in ((OTHER, _done(at(22), OTHER)), (SENDER, _news(S.CANCELLED, at(22), OTHER))):
        assert (await _refused(home, said, by=by))[:2] == ("CON.PARTY", "rule:task.assigned")
    with pytest.raises(Rejected, match=r"MSG\.TASK"):
        await _tell(home, by=OTHER, tasks=(TASK.code,))
    assert await _links(home) == []
    await _tell(home, _to(OTHER))  # It goes on where it stood by its own word.
    await _tell(home, _done(at(23), OTHER), by=OTHER)
    await _tell(home, by=OTHER, tasks=(TASK.code,))
    assert sorted(await _moves(home, OTHER)) == [(1, Move.SAME), (3, Move.FIRST), (6, Move.NEXT)]
    assert [kind for kind, *_ in await _links(home)] == ["task"]


async def test_task_that_is_given_again_moves_only_who_declined_or_is_new(home: House) -> None:
    await _tell(home, _to(COMMUNE))
    await _tell(home, _done(at(22)), by=COMMUNE)
    await _tell(home, _to(COMMUNE, OTHER))
    await _tell(home, _news(S.DECLINED, at(23), OTHER), by=OTHER)
    await _tell(home, _to(COMMUNE, OTHER))
    await _tell(home, _news(S.TAKEN, at(24), OTHER), by=OTHER)
    await _tell(home, _news(S.CONFIRMED, at(24)))
    assert sorted(await _moves(home)) == [
        (1, Move.FIRST),
        (1, Move.SAME),
        (1, Move.SAME),
        (6, Move.NEXT),
        (7, Move.NEXT),
    ]
    assert [status for status, _ in await _moves(home, OTHER)] == [1, 4, 1, 2]


async def test_office_goes_on_with_the_task_of_the_one_that_it_took_over_from(home: House) -> None:
    await _tell(home, _to(COMMUNE))
    await _tell(home, _done(at(22)), by=COMMUNE)
    _close(home, COMMUNE, successor=OTHER)
    said = _news(S.IN_PROGRESS, at(24), OTHER)
    assert (await _refused(home, said, by=OTHER))[0] == "CON.TRANSITION"
    await _tell(home, _news(S.CONFIRMED, at(24), OTHER), addressees=(Organization(OTHER),))
    assert await _moves(home, OTHER) == [(7, Move.NEXT)]


async def test_office_that_took_over_goes_on_with_what_was_given_and_not_with_its_own_word_before(home: House) -> None:
    await _tell(home, _news(S.IN_PROGRESS, at(21), OTHER), by=OTHER)
    await _tell(home, _to(COMMUNE))
    await _tell(home, _done(at(22)), by=COMMUNE)
    _close(home, COMMUNE, successor=OTHER)
    await _tell(home, _news(S.CONFIRMED, at(24), OTHER), addressees=(Organization(OTHER),))
    again = _news(S.REOPENED, at(24, 9), OTHER)
    found = await _refused(home, again, by=SENDER, addressees=(Organization(OTHER),))
    assert found[::2] == ("CON.TRANSITION", f"{TASK.code}: 7 ({S.CONFIRMED.label}) → 8 ({S.REOPENED.label})")


async def test_a_recall_tells_nothing_of_the_task_that_it_carries(home: House) -> None:
    await _tell(home, _to(COMMUNE), business=Business(type=BusinessType.RECALL, reason="Nhầm (ví dụ)"))
    assert await _moves(home) == []


async def test_dossier_and_task_of_one_document_are_both_kept_or_none(home: House) -> None:
    await _tell(home, _to(COMMUNE), replace(RETURNED, files=(), note="Lý do (ví dụ)"))
    await _tell(home, _done(at(23)), by=COMMUNE)
    closed = replace(RETURNED, files=(), status=contents.DossierStatus.IN_PROGRESS)
    for said in (
        (_news(S.CONFIRMED, at(24)), closed),  # The dossier cannot.
        (_news(S.PAUSED, at(24)), replace(RETURNED, files=())),  # The task cannot.
    ):
        with pytest.raises(Rejected) as caught:
            await _tell(home, *said)
        assert caught.value.code == "CON.TRANSITION"
    assert await _moves(home) == [(1, Move.FIRST), (6, Move.NEXT)]
    assert len(await home.ledger.dossier_steps(DOSSIER.code)) == 1
    both = await _sealed(home, closed, _news(S.PAUSED, at(24)))
    foreseen = await home.intake.foresee(both, submitter=SENDER)
    with pytest.raises(Rejected) as caught:  # What is wrong with the one does not hide what is wrong with the other.
        await home.accept(both)
    assert [one.code for one in caught.value.refusal.violations] == ["CON.TRANSITION", "CON.TRANSITION"]
    assert foreseen.violations == caught.value.refusal.violations


async def test_an_envelope_that_was_accepted_stays_so_whatever_was_told_since(home: House) -> None:
    await _tell(home, _to(COMMUNE))
    envelope = await _sealed(home, _news(S.IN_PROGRESS, at(22)), by=COMMUNE)
    first = await home.accept(envelope, by=COMMUNE)
    await _tell(home, _done(at(23)), by=COMMUNE)
    again = await home.accept(envelope, by=COMMUNE)
    assert (again.envelope_id, again.duplicate) == (first.envelope_id, True)


async def test_of_two_ends_at_the_same_time_one_is_told(home: House) -> None:
    await _tell(home, _to(COMMUNE))
    await _tell(home, _done(at(22)), by=COMMUNE)
    desks = [home.intake, replace(home.intake)]
    ends = [await _sealed(home, said) for said in (_news(S.CONFIRMED, at(24)), _news(S.REOPENED, at(24))) for _ in "ab"]
    answers = await together(
        *(desks[number % 2].accept(end, submitter=SENDER, via="amqp") for number, end in enumerate(ends))
    )
    assert [one.refusal.code for one in answers if isinstance(one, Rejected)] == ["CON.TRANSITION"] * 2
    assert len({status for status, _ in (await _moves(home))[2:]}) == 1


async def test_of_transactions_that_wait_for_each_others_tasks_one_is_ended_and_can_be_tried_again(
    postgres_url: str,
) -> None:
    said = TaskSaid(
        given_by=SENDER,
        code="",
        assignees=(COMMUNE,),
        stands_for=frozenset(),
        status=int(S.TAKEN),
        at=AT,
        speaker=Speaker.ASSIGNEE,
        due_on=None,
    )

    def works(*codes: str) -> Work[None]:
        def lock_all(connection: sa.Connection) -> None:
            for code in codes:
                tasks.lock(connection, [replace(said, code=code)])
                connection.exec_driver_sql("SELECT pg_sleep(0.3)")

        return lock_all

    def known(connection: sa.Connection) -> set[str]:
        return set(connection.execute(sa.select(t.tasks.c.code)).scalars())

    async with open_database(postgres_url) as one, open_database(postgres_url) as other:
        ways = [(one, works("of-one", "a", "b")), (other, works("of-other", "b", "a"))]
        answers = await together(*(database.write(work) for database, work in ways))
        (ended,) = [number for number, answer in enumerate(answers) if answer is not None]
        assert isinstance(answers[ended], TransientError)
        assert await one.read(known) == {"a", "b", "of-other" if ended == 0 else "of-one"}
        database, work = ways[ended]
        await database.write(work)
        assert await one.read(known) == {"a", "b", "of-one", "of-other"}


async def test_history_says_what_was_told_and_whether_it_is_in_time(home: House, ledger_url: str) -> None:
    await _tell(home, _to(COMMUNE, OTHER))
    await _tell(home, _done(at(24)), by=COMMUNE)

    def history(*words: str) -> Any:
        return CliRunner().invoke(root(), ["content", "history", *words], env={"AXIS_LEDGER_URL": ledger_url})

    shown = await asyncio.to_thread(history, TASK.code, "--json")
    told, other = json.loads(shown.stdout)
    assert (told["office"], told["given_by"], told["verdict"]) == (COMMUNE, SENDER, "on-time")
    assert [(one["status"], one["due_on"]) for one in told["steps"]] == [(1, "2026-09-05"), (6, "2026-09-05")]
    assert [one["status"] for one in other["steps"]] == [1]
    assert "6 Đã hoàn thành" in (await asyncio.to_thread(history, TASK.code)).stdout


# --- documents that answer a task ------------------------------------------------------------------


async def _links(home: House) -> list[tuple[str, str, str]]:
    return [(one.kind, one.originator, one.document_id) for one in await home.ledger.links_due(AT, 10)]


async def test_document_that_answers_a_task_belongs_to_the_document_that_gave_it(home: House) -> None:
    await _tell(home, _to(COMMUNE), document_id="giao-1")
    await _tell(home, _to(COMMUNE), document_id="giao-2")
    await _tell(home, by=COMMUNE, tasks=(TASK.code, "NV-khac"))
    await _tell(home, tasks=(TASK.code,))  # Its giver reminds of it.
    assert await _links(home) == [("task", SENDER, "giao-2")] * 2


async def test_answer_to_the_task_of_others_is_refused(home: House) -> None:
    await _tell(home, _to(COMMUNE))
    envelope = await _sealed(home, by=OTHER, tasks=("NV-khac", TASK.code))
    foreseen = await home.intake.foresee(envelope, submitter=OTHER)
    with pytest.raises(Rejected) as caught:
        await home.accept(envelope, by=OTHER)
    (found,) = caught.value.refusal.violations
    assert foreseen.violations == (found,)
    assert (found.code, found.rule, found.path.rpartition("/")[2]) == ("MSG.TASK", "task:assigned", "edXML:TaskCode[2]")
    assert found.line is not None
    assert found.vi.endswith(f"{OTHER}, {TASK.code}")


async def test_refusal_lists_files_task_and_conflict_at_once(home: House) -> None:
    """As long as one is not hidden behind the other, its originator hears of all: each with its place."""
    await _tell(home, _to(COMMUNE))
    await _tell(home, by=OTHER, document_id="trả-lời-1")
    here = await home.bring(OTHER, b"%PDF-1.7")
    document = home.document(originator=Organization(OTHER), to=(SENDER,), document_id="trả-lời-1", tasks=(TASK.code,))
    files = {"a.pdf": b"%PDF-1.7", "b.pdf": b"nobody brings it", "c.pdf": b"nor this"}
    envelope = home.seal(document, files, by=OTHER)
    foreseen = await home.intake.foresee(envelope, submitter=OTHER)
    with pytest.raises(Rejected) as caught:
        await home.accept(envelope, by=OTHER)
    found = caught.value.refusal.violations
    assert found == foreseen.violations == home.read(caught.value.receipt_xml).violations
    assert [(one.code, one.path.rpartition("/")[2]) for one in found] == [
        ("ATT.MISSING", "edXML:Reference[2]"),
        ("ATT.MISSING", "edXML:Reference[3]"),
        ("MSG.TASK", "edXML:TaskCode"),
        ("MSG.CONFLICT", "edXML:DocumentId"),
    ]
    lines = envelope.decode().split("\n")
    words = ("Reference", "Reference", "TaskCode", "DocumentId")
    assert all(one.line and word in lines[one.line - 1] for one, word in zip(found, words, strict=True))
    assert here not in {ref.sha256 for ref in foreseen.missing}


async def test_task_of_an_office_that_is_not_addressed_is_another_task(home: House) -> None:
    await _tell(home, _to(COMMUNE))
    elsewhere = {"addressees": (Organization(COMMUNE),), "tasks": (TASK.code,)}
    await _tell(home, by=OTHER, **elsewhere)
    with pytest.raises(Rejected, match=r"MSG\.TASK"):
        answered = ResponseFor(SENDER, document_id="giao-1")
        await _tell(home, by=OTHER, **elsewhere, responses=(answered,), document_id="tra-loi-2")
    assert await _links(home) == []


async def test_recall_of_an_answer_is_judged_by_nobody(home: House) -> None:
    await _tell(home, _to(COMMUNE))
    recall = Business(type=BusinessType.RECALL, reason="Nhầm (ví dụ)")
    await _tell(home, by=OTHER, tasks=(TASK.code,), business=recall)
    assert {kind for kind, *_ in await _links(home)} == {"recall"}
