"""What got lost between an office and the axis is found by comparing, on the real gateway and a real state."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from axis import Notice
from axis.ledger import ReceiptRow
from axis.office.answers import Delivered, Registered
from axis.office.compare import AGES, Compare
from axis.office.gateway import GatewayClient
from axis.office.handlers import Handlers
from axis.office.hearing import Hearing
from axis.office.speech import About, say
from axis.office.state import State
from axis.office.trust import LiveTrust
from axis.receipts.voice import Voice
from tests.house import AXIS, COMMUNE, OTHER, SENDER, STRANGER, House

SOON = AGES[0]


class _Trust(LiveTrust):
    """The trust of the house; there is no folder to follow."""

    def __init__(self, home: House) -> None:
        self._of = home.province.trust()

    @property
    def trust(self) -> Any:
        return self._of


@asynccontextmanager
async def _office(home: House, url: str, code: str, folder: Path) -> AsyncIterator[tuple[State, Compare, list[Notice]]]:
    heard: list[Notice] = []

    async def hear(notice: Notice) -> None:
        heard.append(notice)

    handlers = Handlers()
    handlers.receipt = hear
    async with (
        State.open(folder) as state,
        GatewayClient.connect(url, office=code, key=home.province.signer(code), now=home.now) as client,
    ):
        hearing = Hearing(axis=AXIS, trust=_Trust(home), state=state, handlers=handlers, now=home.now)
        yield state, Compare(state=state, gateway=client, hearing=hearing, now=home.now), heard


async def _submission(state: State, home: House, envelope: bytes, envelope_id: str) -> None:
    """Let the state hold what was sent and accepted."""
    digest = (await home.row(envelope_id)).digest
    await state.submit(
        "s1",
        sealed=envelope,
        sealed_digest=sha256(envelope).hexdigest(),
        digest=digest,
        document_id="x",
        urgent=False,
        files=(),
        at=home.at,
    )
    await state.ended(state="accepted", at=home.at, submission_id="s1", envelope_id=envelope_id)


async def test_receipts_that_did_not_reach_the_originator_are_fetched_once(
    home: House, url: str, tmp_path: Path
) -> None:
    envelope = home.seal(home.document())
    accepted = await home.accept(envelope)
    await home.attempt()
    async with _office(home, url, SENDER, tmp_path / "state") as (state, compare, heard):
        await _submission(state, home, envelope, accepted.envelope_id)
        await compare.hearing.hear(accepted.receipt_xml, accepted.envelope_id)
        await home.say(Registered("417"), await home.row(accepted.envelope_id))
        await compare.look()  # Too soon: they may be on their way.
        await compare.hearing.offer()
        assert [one.level for one in heard] == ["accepted"]
        for _ in range(2):
            home.pass_time(SOON)
            await compare.look()
            while await compare.hearing.offer():
                pass
        assert [one.level for one in heard] == ["accepted", "delivered", "registered"]
        assert heard[-1].number == "417"


async def test_reminder_that_was_for_the_addressee_alone_is_no_loss(home: House, url: str, tmp_path: Path) -> None:
    envelope = home.seal(home.document())
    accepted = await home.accept(envelope)
    await home.attempt()
    (delivered,) = await home.say(Delivered(), await home.row(accepted.envelope_id))
    async with _office(home, url, SENDER, tmp_path / "state") as (state, compare, heard):
        await _submission(state, home, envelope, accepted.envelope_id)
        for xml in (accepted.receipt_xml, delivered.xml):
            await compare.hearing.hear(xml, accepted.envelope_id)
        home.pass_time(timedelta(hours=7))  # Soon the working day is over.
        await home.answers.remind(await home.row(accepted.envelope_id), home.at)
        assert (await home.row(accepted.envelope_id)).code == "DUE.SOON"
        await compare.look()
        while await compare.hearing.offer():
            pass
        assert [one.level for one in heard] == ["accepted", "delivered"]


async def test_receipt_that_did_not_reach_the_axis_is_said_again(home: House, url: str, tmp_path: Path) -> None:
    accepted = await home.accept(home.seal(home.document()))
    await home.attempt()
    row = await home.row(accepted.envelope_id)
    about = About(
        envelope_id=row.envelope_id,
        envelope_digest=row.digest,
        originator=row.originator,
        document_id=row.document_id,
    )
    voice = Voice(COMMUNE, home.province.signer(COMMUNE))
    signed = say(Registered("417"), about, voice=voice, previous=row.chain_head, attempt=1, at=home.at)
    delivered, registered = signed
    async with _office(home, url, COMMUNE, tmp_path / "state") as (state, compare, heard):
        await state.begin(about, 1, home.at)
        await state.keep(row.envelope_id, signed, attempt=1, answer=None, at=home.at)
        await state.published([one.digest for one in signed], home.at)
        await home.answers.take(delivered.xml, submitter=COMMUNE, now=home.at)  # The other one was lost.
        home.pass_time(SOON)
        await compare.look()
        assert await state.unsent(home.at, 10) == [registered.xml]
        await state.published([registered.digest], home.at)
        await home.answers.take(registered.xml, submitter=COMMUNE, now=home.at)
        home.pass_time(timedelta(days=1))
        await compare.look()
        assert await state.unsent(home.at, 10) == []
        assert heard == []  # What the axis says is for the originator.


async def test_envelope_is_compared_ever_more_rarely_and_then_no_more(home: House, url: str, tmp_path: Path) -> None:
    envelope = home.seal(home.document())
    accepted = await home.accept(envelope)
    async with _office(home, url, SENDER, tmp_path / "state") as (state, compare, _):
        await _submission(state, home, envelope, accepted.envelope_id)
        began, looked = home.at, []
        for age in AGES:
            home.at = began + age - timedelta(seconds=1)
            assert await state.comparisons(home.at, 10) == []
            home.at = began + age
            looked += await state.comparisons(home.at, 10)
            await compare.look()
        home.pass_time(timedelta(days=1000))
        assert await state.comparisons(home.at, 10) == []
        assert looked == [accepted.envelope_id] * len(AGES)


@pytest.mark.parametrize(("office", "levels"), [(SENDER, 5), (COMMUNE, 2), (OTHER, 2), (STRANGER, 0)])
async def test_office_learns_of_receipts_that_it_may_see(home: House, url: str, office: str, levels: int) -> None:
    accepted = await home.accept(home.seal(home.document(to=(COMMUNE, OTHER))))
    await home.attempt()
    for code in (COMMUNE, OTHER):
        await home.say(Registered("1"), await home.row(accepted.envelope_id, code))
    async with GatewayClient.connect(url, office=office, key=home.province.signer(office), now=home.now) as client:
        known = await client.receipts_known([accepted.envelope_id, "0" * 32])
    assert sum(map(len, known.values())) == levels
    assert set(known) <= {accepted.envelope_id}


async def test_rejected_addressee_learns_nothing(home: House, url: str) -> None:
    accepted = await home.accept(home.seal(home.document(to=(COMMUNE, "H99.1"))))
    rows: list[ReceiptRow] = await home.ledger.receipts_of(accepted.envelope_id)
    assert sorted(row.level for row in rows) == ["accepted", "rejected"]
    assert await home.ledger.receipts_known("H99.1", [accepted.envelope_id]) == []
