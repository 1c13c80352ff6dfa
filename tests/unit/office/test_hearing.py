"""Hearing: a refusal is about what was sent before it, and what is submitted anew waits for an answer of its own."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from axis import File, Notice, Office, edxml, seal
from axis.edxml import Organization
from axis.errors import Refusal, TransientError, refuse
from axis.office import OfficeSettings, hearing
from axis.office.state import Submission
from axis.office.testing import OFFICE, SENDER, TestAxis
from axis.receipts import Level, SignedReceipt, Verdict
from tests.unit.office import disk

_FILE = b"%PDF-1.7"
_SOON_S = 30.0


def _no_settings() -> OfficeSettings:
    raise AssertionError("the test axis brings its own")


@dataclass
class _Desk:
    """An office that hands in one envelope, and an axis that answers when it is told to."""

    axis: TestAxis
    office: Office
    sealed: bytes
    arrived: list[bytes] = field(default_factory=list)
    heard: list[Notice] = field(default_factory=list)
    is_away: bool = False  # The office's own system.
    hangs: bool = False  # It is asked, and does not answer before it `goes_on`.
    asked: int = 0
    asking: asyncio.Event = field(default_factory=asyncio.Event)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def submit(self) -> str:
        return await self.office.submit(self.sealed, [File("1.pdf", _FILE)])

    async def stands(self, submission_id: str) -> Submission:
        found = await self.office.submission(submission_id)
        assert found is not None
        return found

    async def until_arrived(self, count: int) -> None:
        async with asyncio.timeout(_SOON_S):
            while len(self.arrived) < count:  # noqa: ASYNC110 - what the axis in memory takes, nobody tells.
                await asyncio.sleep(0.01)

    async def until_put_off(self, submission_id: str) -> None:
        async with asyncio.timeout(_SOON_S):
            while (await self.stands(submission_id)).code != "SYS.BROKER":  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def until_heard(self, count: int) -> None:
        async with asyncio.timeout(_SOON_S):
            while len(self.heard) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def until_offered(self, tries: int) -> None:
        """Wait until what was heard has been offered in vain, and that is on record."""
        state = self.office._open.state
        async with asyncio.timeout(_SOON_S):
            while await state._commit(lambda db: db.execute("SELECT max(tries) FROM heard").fetchone()[0]) < tries:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def tell(self, receipt: SignedReceipt) -> None:
        await self.axis._bring("receipt", receipt.xml, {"envelope-id": receipt.receipt.envelope_id})

    def refusal(self) -> SignedReceipt:
        return self.axis._rejection(self.sealed, _missing())

    def acceptance(self, envelope_id: str = "1" * 32) -> SignedReceipt:
        received = edxml.parse(self.sealed)
        about: dict[str, Any] = {"originator": OFFICE, "document_id": received.document_id}
        return self.axis._axis.say(
            **about, level=Level.ACCEPTED, envelope_id=envelope_id, envelope_digest=seal.digest_of(received), addressee=None,
            previous=None, at=self.axis._axis.key.certificate.not_valid_before_utc, status="2.0.0",
            addressees=(Verdict(SENDER, "served", ""),),
        )  # fmt: skip

    async def files_left(self) -> list[str]:
        state = self.office._open.state
        rows = await state._commit(lambda db: db.execute("SELECT submission_id FROM files").fetchall())
        return [row["submission_id"] for row in rows]


def _missing() -> Refusal:
    return refuse("ATT.MISSING", "1.pdf")


@pytest.fixture
async def desk() -> Any:
    office = Office(_no_settings)
    made: _Desk | None = None

    @office.on_document
    async def receive(doc: Any) -> Any:
        raise AssertionError("nothing is sent to this office")

    @office.on_receipt
    async def hear(notice: Notice) -> None:
        assert made is not None
        made.asked += 1
        if made.hangs:
            made.asking.set()
            await made.goes_on.wait()
        if made.is_away:
            raise ConnectionError("hệ thống đang bảo trì (ví dụ)")
        made.heard.append(notice)

    async with TestAxis(office) as axis:
        draft = axis.document(
            originator=Organization(OFFICE, "UBND phường mẫu (ví dụ)"),
            addressees=(Organization(SENDER),),
            document_id=f"{OFFICE},2026/08/25,125/UBND-VP",
        )
        listing = axis._listing(draft, {"1.pdf": _FILE})
        axis.gateway.files.clear()
        made = _Desk(axis, office, seal.seal_message(listing, axis.key(OFFICE)).octets)

        async def arrives(sealed: bytes) -> None:
            made.arrived.append(sealed)

        axis._accept = arrives  # type: ignore[method-assign]
        yield made


async def test_system_that_is_slow_to_take_a_receipt_holds_up_nothing_that_is_sent(desk: _Desk) -> None:
    desk.hangs = True
    await desk.submit()
    await desk.until_arrived(1)
    await desk.tell(desk.acceptance())
    async with asyncio.timeout(_SOON_S):
        await desk.asking.wait()
    await desk.submit()  # The same once more: it goes out again.
    await desk.until_arrived(2)


@pytest.mark.parametrize("is_away", [False, True])
async def test_full_disk_does_not_make_the_system_hear_a_receipt_again(
    desk: _Desk, is_away: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "_PAUSES", (timedelta(hours=1),))
    submission_id = await desk.submit()
    await desk.until_arrived(1)
    desk.hangs = True
    await desk.tell(desk.acceptance())
    async with asyncio.timeout(_SOON_S):
        await desk.asking.wait()
    state, offering = desk.office._open.state, desk.office._open.hearing
    async with disk.full(state):
        desk.hangs, desk.is_away = False, is_away
        desk.goes_on.set()
        async with asyncio.timeout(_SOON_S):
            while not offering._unwritten:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for _ in range(3):
            with pytest.raises(TransientError, match=r"SYS\.STATE"):
                await offering.offer()
        assert desk.asked == 1
    await offering.offer()
    assert offering._unwritten == {}
    assert desk.asked == 1
    assert [one.submission_id for one in desk.heard] == ([] if is_away else [submission_id])
    assert (await state.counts())["untaken"] == is_away


async def test_receipt_that_the_system_hangs_over_holds_up_no_other(desk: _Desk) -> None:
    await desk.submit()
    await desk.until_arrived(1)
    desk.hangs = True
    await desk.tell(desk.acceptance("1" * 32))
    async with asyncio.timeout(_SOON_S):
        await desk.asking.wait()
    desk.hangs = False
    others = [f"{number:032}" for number in range(2, 2 + 2 * hearing._AT_ONCE)]
    await asyncio.gather(*(desk.tell(desk.acceptance(one)) for one in others))
    await desk.until_heard(len(others))
    assert desk.asked == 1 + len(others)
    desk.goes_on.set()
    await desk.until_heard(1 + len(others))
    assert desk.asked == 1 + len(others)
    assert desk.heard[-1].envelope_id == "1" * 32
    offering = desk.office._open.hearing
    async with asyncio.timeout(_SOON_S):
        while offering._offering:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await desk.office._open.state.counts())["untaken"] == 0


async def test_office_that_stops_breaks_off_what_its_system_hangs_over(desk: _Desk) -> None:
    await desk.submit()
    await desk.until_arrived(1)
    desk.hangs = True
    await desk.tell(desk.acceptance())
    async with asyncio.timeout(_SOON_S):
        await desk.asking.wait()
    offering = desk.office._open.hearing
    (task,) = offering._offering.values()
    await offering.stop()
    assert task.cancelled()
    assert (await desk.office._open.state.counts())["untaken"] == 1


async def test_office_that_stops_notes_what_its_system_took_late(desk: _Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "_PATIENCE_S", 0.0)
    await desk.submit()
    await desk.until_arrived(1)
    state, offering = desk.office._open.state, desk.office._open.hearing
    monkeypatch.setattr(type(offering), "_end", _nothing)  # The loop does not come by again.
    await desk.tell(desk.acceptance())
    await desk.until_heard(1)
    assert (await state.counts())["untaken"] == 1
    await offering.stop()
    assert (await state.counts())["untaken"] == 0
    assert desk.asked == 1


async def _nothing(*_: Any) -> None:
    pass


async def _refused_once(desk: _Desk) -> tuple[str, SignedReceipt]:
    submission_id, refusal = await desk.submit(), desk.refusal()
    await desk.until_arrived(1)
    await desk.tell(refusal)
    assert (await desk.stands(submission_id)).state == "rejected"
    return submission_id, refusal


async def test_refusal_that_comes_again_does_not_end_what_is_submitted_anew(desk: _Desk) -> None:
    submission_id, refusal = await _refused_once(desk)
    desk.axis.pipes.down = True  # It is kept, and not on its way.
    assert await desk.submit() == submission_id
    await desk.until_put_off(submission_id)
    await desk.tell(refusal)
    assert (await desk.stands(submission_id)).state == "waiting"
    assert await desk.files_left() == [submission_id]
    desk.axis.pipes.down = False
    await desk.office._open.state.hasten(["SYS.BROKER"], desk.office._open.now())
    desk.office._open.to_send.set()
    await desk.until_arrived(2)
    await desk.tell(desk.acceptance())
    assert (await desk.stands(submission_id)).state == "accepted"


async def test_refusal_that_the_system_does_not_take_ends_nothing_again(desk: _Desk) -> None:
    """It is offered for hours, and each time it was taken for an answer."""
    desk.is_away = True
    submission_id, _ = await _refused_once(desk)
    await desk.until_offered(1)
    await desk.submit()
    await desk.until_arrived(2)  # It is on its way: what is offered is what was heard before.
    await desk.office._open.state._commit(lambda db: db.execute("UPDATE heard SET next_at = ''"))
    desk.office._open.to_offer.set()
    await desk.until_offered(2)
    assert (await desk.stands(submission_id)).state in ("waiting", "published")


async def test_same_refusal_of_what_was_submitted_anew_ends_it_and_is_heard(desk: _Desk) -> None:
    """The axis answers the same bytes, wrong for the same reason, with the very same receipt."""
    submission_id, refusal = await _refused_once(desk)
    await desk.until_heard(1)
    await desk.submit()
    await desk.until_arrived(2)
    await desk.tell(refusal)
    assert (await desk.stands(submission_id)).state == "rejected"
    await desk.until_heard(2)
    assert [(one.level, one.submission_id) for one in desk.heard] == [(Level.REJECTED, submission_id)] * 2


async def test_old_refusal_that_comes_while_the_new_answer_is_on_its_way_does_not_have_the_last_word(
    desk: _Desk,
) -> None:
    submission_id, refusal = await _refused_once(desk)
    await desk.submit()
    await desk.until_arrived(2)
    await desk.tell(refusal)  # Handed out once more by the broker: nobody can tell.
    await desk.tell(desk.acceptance())
    found = await desk.stands(submission_id)
    assert (found.state, found.envelope_id, found.code) == ("accepted", "1" * 32, None)
    await desk.tell(refusal)
    assert (await desk.stands(submission_id)).state == "accepted"


async def test_death_between_hearing_a_refusal_and_ending_what_it_is_about(
    desk: _Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission_id, refusal = await desk.submit(), desk.refusal()
    await desk.until_arrived(1)
    state = desk.office._open.state

    async def dies(*_: Any, **__: Any) -> list[str]:
        raise TransientError("SYS.STATE")

    monkeypatch.setattr(type(state), "ended", dies)
    with pytest.raises(TransientError):
        await desk.office._open.hearing.hear(refusal.xml, "")
    monkeypatch.undo()
    assert (await desk.stands(submission_id)).state == "published"
    await desk.tell(refusal)
    assert (await desk.stands(submission_id)).state == "rejected"
