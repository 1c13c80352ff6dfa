"""What offices tell of a dossier is held against what they told before, in the commit that accepts it."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from axis import contents
from axis.cli.main import root
from axis.contents import DossierStatus
from axis.contents.moves import Move
from axis.edxml import Business, BusinessType
from axis.intake import Acceptance, Intake, Rejected
from tests.contents import DOSSIER, PROGRESS, RETURNED, at
from tests.house import COMMUNE, OTHER, SENDER, House, together

S = DossierStatus
_CODE = DOSSIER.code
_WHOLE = replace(RETURNED, files=(), note="Lý do (ví dụ)")  # Nothing that any status needs is missing.


def _dossier(status: S, **fields: Any) -> contents.Dossier:
    return replace(_WHOLE, status=status, **fields)


def _step(status: S, when: datetime) -> contents.DossierProgress:
    return replace(PROGRESS, status=status, at=when, note="Lý do (ví dụ)")


async def _sealed(home: House, said: contents.Content, *, by: str = SENDER, **fields: Any) -> bytes:
    """Return a sealed document that tells of a dossier; its files are in the spool."""
    files: Mapping[str, bytes] = {"ho-so.xml": contents.render(said)}
    await home.bring(by, files["ho-so.xml"])
    to = (COMMUNE,) if by != COMMUNE else (OTHER,)
    document = home.document(to=to, **fields)
    if by != SENDER:
        document = replace(document, originator=replace(document.originator, organ_id=by))
    return home.seal(document, files, by=by)


async def _tell(home: House, said: contents.Content, *, by: str = SENDER, **fields: Any) -> Acceptance:
    return await home.accept(await _sealed(home, said, by=by, **fields), by=by)


async def _moves(home: House) -> list[tuple[str, int, str]]:
    return [(row.originator, row.status, row.move) for row in await home.ledger.dossier_steps(_CODE)]


async def test_steps_are_recorded_with_what_they_are(home: House) -> None:
    for said in (
        _dossier(S.ACCEPTED),
        _dossier(S.IN_PROGRESS),
        _step(S.SUPPLEMENT_ASKED, at(12)),
        _step(S.IN_PROGRESS, at(14)),
        _dossier(S.DONE),
        _dossier(S.DONE),
        _dossier(S.RETURNED),
    ):
        await _tell(home, said)
    assert await _moves(home) == [
        (SENDER, 2, Move.FIRST),
        (SENDER, 4, Move.NEXT),
        (SENDER, 5, Move.NEXT),
        (SENDER, 4, Move.NEXT),
        (SENDER, 9, Move.NEXT),
        (SENDER, 9, Move.SAME),
        (SENDER, 10, Move.NEXT),
    ]


async def test_what_overtook_another_on_its_way_is_taken_and_what_it_overtook_too(home: House) -> None:
    for said in (_dossier(S.ACCEPTED), _dossier(S.RETURNED), _dossier(S.DONE), _step(S.IN_PROGRESS, at(11))):
        await _tell(home, said)
    assert await _moves(home) == [
        (SENDER, 2, Move.FIRST),
        (SENDER, 4, Move.LATE),
        (SENDER, 9, Move.LATE),
        (SENDER, 10, Move.GAP),
    ]


async def test_what_cannot_follow_is_refused_and_nothing_of_it_is_kept(home: House) -> None:
    await _tell(home, _dossier(S.RETURNED))
    envelope = await _sealed(home, _dossier(S.IN_PROGRESS))
    for _ in range(2):
        with pytest.raises(Rejected) as caught:
            await home.accept(envelope)
        (found,) = caught.value.refusal.violations
        assert (found.code, found.path) == ("CON.TRANSITION", "/dos:DongBoHoSoMC/dos:TrangThaiHoSo")
        assert "10 (Đã trả kết quả) → 4 (Đang xử lý)" in found.vi
        assert home.read(caught.value.receipt_xml).violations == (found,)
    assert await _moves(home) == [(SENDER, 10, Move.FIRST)]
    assert len(await home.attempt()) == 1


async def test_an_envelope_that_was_accepted_stays_so_whatever_was_told_since(home: House) -> None:
    envelope = await _sealed(home, _dossier(S.IN_PROGRESS))
    first = await home.accept(envelope)
    await _tell(home, _dossier(S.RETURNED))
    again = await home.accept(envelope)
    assert (again.envelope_id, again.duplicate) == (first.envelope_id, True)
    assert len(await _moves(home)) == 2


async def test_no_office_closes_the_dossier_of_another(home: House) -> None:
    await _tell(home, _step(S.STOPPED, at(15)), by=COMMUNE)
    await _tell(home, _dossier(S.ACCEPTED))
    await _tell(home, _dossier(S.IN_PROGRESS))
    assert await _moves(home) == [(SENDER, 2, Move.FIRST), (SENDER, 4, Move.NEXT), (COMMUNE, 8, Move.FIRST)]


async def test_a_recall_tells_nothing_of_the_dossier_that_it_carries(home: House) -> None:
    await _tell(home, _dossier(S.ACCEPTED), business=Business(type=BusinessType.RECALL, reason="Nhầm (ví dụ)"))
    assert await _moves(home) == []


@pytest.mark.parametrize("one_batch", [True, False], ids=["one commit", "several commits"])
async def test_of_two_ends_at_the_same_time_one_is_told(home: House, one_batch: bool) -> None:
    await _tell(home, _dossier(S.IN_PROGRESS))
    desks: list[Intake] = [home.intake, home.intake if one_batch else replace(home.intake)]
    ends = [await _sealed(home, said) for said in (_dossier(S.DONE), _dossier(S.STOPPED)) for _ in range(2)]
    answers = await together(
        *(desks[number % 2].accept(end, submitter=SENDER, via="amqp") for number, end in enumerate(ends))
    )
    taken = [one for one in answers if isinstance(one, Acceptance)]
    refused = [one for one in answers if isinstance(one, Rejected)]
    assert (len(taken), len(refused)) == (2, 2)
    assert {one.refusal.code for one in refused} == {"CON.TRANSITION"}
    assert len({status for _, status, _ in await _moves(home)}) == 2


async def test_the_same_impossible_envelope_twice_at_once_is_refused_twice(home: House) -> None:
    await _tell(home, _dossier(S.RETURNED))
    envelope = await _sealed(home, _dossier(S.IN_PROGRESS))
    answers = await together(*(home.accept(envelope) for _ in range(4)))
    assert [one.refusal.code for one in answers] == ["CON.TRANSITION"] * 4


async def test_history_says_what_was_told_and_whether_it_is_in_time(home: House, ledger_url: str) -> None:
    for said in (_dossier(S.ACCEPTED), _dossier(S.DONE)):
        await _tell(home, said)

    def history(*words: str) -> Any:
        return CliRunner().invoke(root(), ["content", "history", *words], env={"AXIS_LEDGER_URL": ledger_url})

    shown = await asyncio.to_thread(history, _CODE, "--json")
    (told,) = json.loads(shown.stdout)
    assert (told["office"], told["verdict"], told["reason"]) == (SENDER, "on-time", "finished-in-time")
    assert [one["status"] for one in told["steps"]] == [2, 9]
    assert "9 Đã xử lý xong" in (await asyncio.to_thread(history, _CODE)).stdout
    assert (await asyncio.to_thread(history, "H56.05-20260810-9")).exit_code == 1
