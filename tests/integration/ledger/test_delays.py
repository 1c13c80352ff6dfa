"""Delays: what cannot leave is told to its originator by the same marks as what nobody answers, on each kind of ledger."""

from datetime import timedelta
from typing import Any, cast

import pytest

from axis import audit, receipts
from axis.dispatch.clock import Bell, Dispatch
from axis.edxml import Business, BusinessType, Priority
from axis.office.answers import Delivered
from axis.office.speech import Deferred
from axis.receipts import Level
from tests.house import COMMUNE, OTHER, SENDER, WAIT, House

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)  # The house tells after an hour.


def _clockwork(home: House) -> Dispatch:
    nobody = cast("Any", None)  # None of them is asked here.
    return Dispatch(
        nobody,
        home.answers,
        nobody,
        home.succession,
        home.ledger,
        poll=timedelta(seconds=1),
        bell=Bell(),
        now=home.now,
    )


async def _accepted(home: House, **fields: Any) -> str:
    return (await home.accept(home.seal(home.document(**fields)))).envelope_id


async def _open_breaker(home: House) -> str:
    """Let the commune put a document off until it gets probes alone; return that document."""
    envelope_id = await _accepted(home)
    for _ in range(3):
        await home.attempt()
        await home.say(Deferred("đang bảo trì (ví dụ)"), await home.row(envelope_id))
        home.pass_time(WAIT)
    return envelope_id


async def _told(home: House, envelope_id: str, office: str = COMMUNE) -> list[receipts.Receipt]:
    """Return what the axis has said of a delay."""
    said = [home.read(one.xml) for one in await home.ledger.receipts_of(envelope_id)]
    return [one for one in said if one.level is Level.DEFERRED and one.issuer != office]


async def test_what_waits_behind_a_breaker_is_told_of_once_for_each_mark(home: House) -> None:
    probe = await _open_breaker(home)
    assert [attempt.envelope_id for attempt in await home.attempt()] == [probe]
    waits, other = await _accepted(home), await _accepted(home, to=(OTHER,))
    assert [attempt.envelope_id for attempt in await home.attempt()] == [other]
    clockwork = _clockwork(home)
    home.pass_time(HOUR - MINUTE)
    await clockwork._tell_of_delays()
    assert await _told(home, waits) == []
    home.pass_time(MINUTE)
    for _ in range(3):
        await clockwork._tell_of_delays()
        home.pass_time(MINUTE)
    (said,) = await _told(home, waits)
    assert (said.code, said.who_must_act) == ("DLV.OFFICE_UNAVAILABLE", "addressee")
    assert COMMUNE in said.reason
    row = await home.row(waits)
    assert (row.state, row.attempts, row.code, row.reason) == ("queued", 0, said.code, said.reason)
    assert await _told(home, other, OTHER) == []  # It is with its addressee; silence is looked into otherwise.
    notices = [one for one in await home.ledger.notices_due(home.at, 100) if one.envelope_id == waits]
    assert [one.target for one in notices if home.read(one.xml).level is Level.DEFERRED] == [SENDER]
    await home.say(Delivered(), await home.row(probe))
    assert waits in {attempt.envelope_id for attempt in await home.attempt()}
    row = await home.row(waits)
    assert (row.state, row.code, row.who_must_act) == ("sent", None, "addressee")
    assert (await audit.walk(home.ledger, [audit.History()], whole=True)).findings == []


async def test_what_was_put_off_before_the_breaker_opened_is_told_of_at_each_mark(home: House) -> None:
    documents = [await _accepted(home), await _accepted(home)]
    for _ in range(3):
        for attempt in await home.attempt():
            await home.say(Deferred("đang bảo trì (ví dụ)"), await home.row(attempt.envelope_id))
        home.pass_time(WAIT)
    before = [await home.row(one) for one in documents]
    assert [row.state for row in before] == ["deferred", "deferred"]
    clockwork = _clockwork(home)
    home.pass_time(HOUR)
    for _ in range(2):
        await clockwork._tell_of_delays()
    for envelope_id, row in zip(documents, before, strict=True):
        assert [said.code for said in await _told(home, envelope_id)] == ["DLV.OFFICE_UNAVAILABLE"]
        stands = await home.row(envelope_id)
        assert (stands.state, stands.attempts, stands.next_at) == (row.state, row.attempts, row.next_at)
        assert (stands.code, stands.reason) == (row.code, row.reason)
    assert (await audit.walk(home.ledger, [audit.History()], whole=True)).findings == []


async def test_what_an_office_may_have_taken_is_not_taken_back_because_of_what_the_axis_said(home: House) -> None:
    """Of what it put off, an order goes by the office's own word."""
    envelope_id = await _accepted(home)
    for _ in range(3):
        await home.attempt()
        await home.say(Deferred("không rõ đã ghi hay chưa (ví dụ)", is_uncertain=True), await home.row(envelope_id))
        home.pass_time(WAIT)
    before = await home.row(envelope_id)
    home.pass_time(HOUR)
    await _clockwork(home)._tell_of_delays()
    assert [said.code for said in await _told(home, envelope_id)] == ["DLV.OFFICE_UNAVAILABLE"]
    row = await home.row(envelope_id)
    assert (row.code, row.reason, row.who_must_act) == (before.code, before.reason, before.who_must_act)
    assert row.code == "DLV.UNCERTAIN"
    assert not await home.answers.take_back(row, home.at, by="x", told=SENDER, removed=False)


async def test_what_no_inbox_takes_is_told_of_as_the_operators(home: House) -> None:
    envelope_id = await _accepted(home)
    clockwork = _clockwork(home)
    for _ in range(7):
        await home.ledger.show_why(home.at, "SYS.BROKER", but_for=(), limit=100)
        await clockwork._tell_of_delays()
        home.pass_time(10 * MINUTE)
    (said,) = await _told(home, envelope_id)
    assert (said.code, said.who_must_act) == ("SYS.BROKER", "operator")


async def test_what_is_not_late_is_not_told_of(home: House) -> None:
    """What waits for its hour, and what waits for a document."""
    await _open_breaker(home)
    hour = home.at + 20 * HOUR
    timed = await _accepted(home, priority=Priority.TIMED, release_at=hour)
    unjudged = await _accepted(
        home, business=Business(BusinessType.RECALL, reason="Nhầm (ví dụ)", document_id="chưa tới")
    )
    clockwork = _clockwork(home)
    home.pass_time(2 * HOUR)
    await clockwork._tell_of_delays()
    assert [await _told(home, one) for one in (timed, unjudged)] == [[], []]
    home.at = hour + HOUR
    await clockwork._tell_of_delays()
    assert [one.code for one in await _told(home, timed)] == ["DLV.OFFICE_UNAVAILABLE"]
    assert await _told(home, unjudged) == []


async def test_of_many_some_are_told_of_at_a_time(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axis.dispatch.clock._ROWS", 2)
    waiting = [await _open_breaker(home), *[await _accepted(home) for _ in range(5)]]
    clockwork = _clockwork(home)
    home.pass_time(HOUR)
    for told in (2, 4, 6, 6, 6):
        await clockwork._tell_of_delays()
        assert sum([len(await _told(home, one)) for one in waiting]) == told


async def test_two_routers_tell_of_a_delay_once(home: House) -> None:
    await _open_breaker(home)
    envelope_id = await _accepted(home)
    home.pass_time(HOUR)
    seen = await home.row(envelope_id)
    for _ in range(2):
        await home.answers.warn(seen, home.at, code="DLV.OFFICE_UNAVAILABLE")
    assert len(await _told(home, envelope_id)) == 1
