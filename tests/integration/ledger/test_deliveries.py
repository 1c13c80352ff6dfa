"""Deliveries: attempts, answers, silence, expiry, dead letters and lanes, on each kind of ledger."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from axis.broker import Packed
from axis.dispatch.outbound import Outbound
from axis.dispatch.retry import RetrySchedule
from axis.edxml import Priority
from axis.errors import Refusal
from axis.ledger import PUT_OFF, Asked, DeliveryRow, Ledger, deliveries
from axis.office.answers import Delivered, Refused, Registered
from axis.office.speech import About, Deferred, Failed, say
from axis.receipts import Level
from axis.receipts.voice import Voice
from axis.registry import Registry
from tests.house import AXIS, COMMUNE, OTHER, SENDER, STRANGER, WAIT, House, together

MINUTE = timedelta(minutes=1)


async def _accepted(home: House, **fields: Any) -> str:
    return (await home.accept(home.seal(home.document(**fields)))).envelope_id


async def _levels(home: House, envelope_id: str) -> list[str]:
    return sorted(one.level for one in await home.ledger.receipts_of(envelope_id))


async def test_registered_ends_a_delivery_and_tells_the_originator(home: House) -> None:
    envelope_id = await _accepted(home)
    (attempt,) = await home.attempt()
    assert (attempt.envelope_id, attempt.addressee, attempt.attempt_no) == (envelope_id, COMMUNE, 1)
    await home.say(Registered("417"), await home.row(envelope_id))
    row = await home.row(envelope_id)
    assert (row.state, row.business, row.next_at) == ("delivered", "03", None)
    assert await _levels(home, envelope_id) == ["accepted", "delivered", "registered"]
    assert len(await home.ledger.notices_due(home.at, 10)) == 3
    assert (await home.ledger.audit(home.at)).terminal == 1


class _Witness:
    """A broker that looks into the ledger, by a connection of its own, when it is asked to publish an attempt."""

    def __init__(self, book: Ledger) -> None:
        self._book = book
        self.seen: dict[str, DeliveryRow | None] = {}  # By addressee: the delivery as it was on record then.

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes | Packed,
        *,
        type: str,  # noqa: A002 - AMQP's own name for it.
        headers: dict[str, Any] | None = None,
        also: Sequence[str] = (),
    ) -> None:
        """Look, and take it."""
        if type == "envelope" and headers is not None:
            for office in (routing_key, *also):
                self.seen[office] = await self._book.delivery(headers["envelope-id"], office)


@pytest.mark.parametrize("begun", ["by the clock", "along with its acceptance"])
async def test_attempt_is_on_record_before_it_is_made(home: House, ledger_url: str, begun: str) -> None:
    async with Ledger.open(ledger_url) as book:
        witness = _Witness(book)
        broker: Any = witness
        outbound = Outbound(
            ledger=home.ledger, broker=broker, answer_within=5 * MINUTE, batch=10, ring=lambda: None, now=home.now
        )
        sealed = home.seal(home.document(to=(COMMUNE, OTHER)))
        if begun == "by the clock":
            await home.accept(sealed)
            await outbound.go_round()
        else:
            await replace(home.intake, along=outbound.along).accept(sealed, submitter=SENDER, via="amqp")
            await outbound.finish()
        assert witness.seen.keys() == {COMMUNE, OTHER}
        for row in witness.seen.values():
            assert row is not None
            # With the time at which silence will be looked into: who dies now has lost nothing.
            assert (row.state, row.attempts, row.next_at) == ("sent", 1, home.at + 5 * MINUTE)
    assert await home.attempt() == []  # It is nobody else's to make.


async def test_what_is_sent_again_shows_no_reason_of_before(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    await home.say(Deferred("đang bảo trì"), await home.row(envelope_id))
    home.pass_time(WAIT)
    await home.attempt()
    row = await home.row(envelope_id)
    assert (row.state, row.code, row.reason, row.who_must_act) == ("sent", None, "", "addressee")
    await home.say(Failed("DLV.FAILED", "hỏng"), row)
    row = await home.row(envelope_id)
    assert await home.ledger.replay(row.delivery_id, by="x", reason="y", now=home.at)
    row = await home.row(envelope_id)
    assert (row.state, row.code, row.reason, row.who_must_act) == ("queued", None, "", "nobody")


async def test_two_dispatchers_never_make_one_attempt(home: House, ledger_url: str) -> None:
    ids = [await _accepted(home, to=(COMMUNE, OTHER)) for _ in range(10)]
    async with Ledger.open(ledger_url) as second:
        made = await together(
            *(book.begin_attempts(home.at, 5 * MINUTE, 7) for book in (home.ledger, second) for _ in range(3))
        )
    taken = [attempt.delivery_id for batch in made for attempt in batch]
    assert len(taken) == len(set(taken)) == 2 * len(ids)


async def test_urgent_documents_go_first(home: House) -> None:
    for priority in (Priority.ORDINARY, Priority.EXPRESS, Priority.URGENT):
        await _accepted(home, priority=priority)
    assert [attempt.priority for attempt in await home.attempt()] == [3, 1, 0]


async def test_same_receipt_twice_changes_nothing(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    said = await home.say(Delivered(), await home.row(envelope_id))
    before = await home.row(envelope_id)
    home.pass_time(MINUTE)
    await home.answers.take(said[0].xml, submitter=COMMUNE, now=home.at)
    assert await home.row(envelope_id) == before
    assert await _levels(home, envelope_id) == ["accepted", "delivered"]


async def test_registered_that_overtakes_delivered_is_both(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    row = await home.row(envelope_id)
    about = [*(await _unsaid(home, Registered("417"), row))]
    for one in reversed(about):
        await home.answers.take(one, submitter=COMMUNE, now=home.at)
    after = await home.row(envelope_id)
    assert (after.state, after.business) == ("delivered", "03")
    assert await _levels(home, envelope_id) == ["accepted", "delivered", "registered"]


async def _unsaid(home: House, outcome: Any, row: Any) -> list[bytes]:
    """Sign an answer and do not hand it in."""
    about = About(
        envelope_id=row.envelope_id,
        envelope_digest=row.digest,
        originator=row.originator,
        document_id=row.document_id,
    )
    voice = Voice(row.addressee, home.province.signer(row.addressee))
    said = say(outcome, about, voice=voice, previous=row.chain_head, attempt=1, at=home.at)
    return [one.xml for one in said]


async def test_receipt_of_an_office_about_anothers_delivery_is_refused(home: House) -> None:
    envelope_id = await _accepted(home, to=(COMMUNE, OTHER))
    (xml,) = await _unsaid(home, Delivered(), await home.row(envelope_id, OTHER))
    with pytest.raises(Refusal) as caught:
        await home.answers.take(xml, submitter=COMMUNE, now=home.at)
    assert caught.value.code == "RCT.INVALID"
    assert (await home.row(envelope_id, OTHER)).state == "queued"


@pytest.mark.parametrize(
    "otherwise",
    [
        {"document_id": f"{SENDER},2026/08/25,999/KHAC"},
        {"originator": OTHER},
        {"originator": "H99.1"},
        {"previous": None},
    ],
    ids=["another document", "another originator", "an unknown originator", "no chain"],
)
async def test_receipt_that_contradicts_its_envelope_moves_nothing(home: House, otherwise: dict[str, Any]) -> None:
    """The originator reads what a receipt says, and is not to read of documents that were never sent."""
    row = await home.row(await _accepted(home))
    await home.attempt()
    voice = Voice(COMMUNE, home.province.signer(COMMUNE))
    about: dict[str, Any] = {
        "level": Level.DELIVERED,
        "addressee": COMMUNE,
        "originator": row.originator,
        "document_id": row.document_id,
        "envelope_id": row.envelope_id,
        "envelope_digest": row.digest,
        "previous": row.chain_head,
        "at": home.at,
        "status": "2.1.5",
        "status_code": "01",
    }
    with pytest.raises(Refusal) as caught:
        await home.answers.take(voice.say(**about | otherwise).xml, submitter=COMMUNE, now=home.at)
    assert caught.value.code == "RCT.INVALID"
    assert (await home.row(row.envelope_id)).state == "sent"
    await home.answers.take(voice.say(**about).xml, submitter=COMMUNE, now=home.at)
    assert (await home.row(row.envelope_id)).state == "delivered"


async def test_receipt_about_no_delivery_is_refused(home: House) -> None:
    envelope_id = await _accepted(home)
    row = await home.row(envelope_id)
    object.__setattr__(row, "envelope_id", "0" * 32)
    (xml,) = await _unsaid(home, Delivered(), row)
    with pytest.raises(Refusal) as caught:
        await home.answers.take(xml, submitter=COMMUNE, now=home.at)
    assert caught.value.code == "RCT.UNKNOWN"


async def test_deferred_is_due_again_and_told_once(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    await home.say(Deferred("đang bảo trì"), await home.row(envelope_id))
    row = await home.row(envelope_id)
    assert (row.state, row.next_at, row.code, row.who_must_act) == (
        "deferred",
        home.at + WAIT,
        "DLV.OFFICE_UNAVAILABLE",
        "addressee",
    )
    assert "đang bảo trì" in row.reason
    assert await home.attempt() == []
    told = len(await home.ledger.notices_due(home.at, 10))
    home.pass_time(WAIT)
    await home.attempt()
    await home.say(Deferred("đang bảo trì"), await home.row(envelope_id))
    assert len(await home.ledger.notices_due(home.at, 10)) == 0
    home.pass_time(timedelta(hours=1))  # Now the delay is news again.
    await home.attempt()
    await home.say(Deferred("đang bảo trì"), await home.row(envelope_id))
    due = await home.ledger.notices_due(home.at, 10)
    assert len(due) == told + 1  # And the earlier ones, whose claims have run out.


async def test_refused_by_the_office_is_the_end(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    await home.say(Refused("sai thẩm quyền"), await home.row(envelope_id))
    row = await home.row(envelope_id)
    assert (row.state, row.business, row.code, row.reason) == ("refused", "02", "DLV.REFUSED", "sai thẩm quyền")
    home.pass_time(timedelta(days=1))
    assert await home.attempt() == []


async def test_dead_letter_waits_for_a_person_and_is_replayed_once(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    await home.say(Failed("DLV.FAILED", "cột quá ngắn"), await home.row(envelope_id))
    row = await home.row(envelope_id)
    assert (row.state, row.who_must_act) == ("dead", "addressee")
    assert await home.attempt() == []
    assert await home.ledger.replay(row.delivery_id, by="an", reason="đã sửa", now=home.at)
    assert not await home.ledger.replay(row.delivery_id, by="an", reason="đã sửa", now=home.at)
    (attempt,) = await home.attempt()
    assert attempt.attempt_no == 2
    await home.say(Registered("1"), await home.row(envelope_id))
    assert (await home.row(envelope_id)).state == "delivered"
    story = [event["event"] for event in await home.ledger.events_of(envelope_id)]
    assert "delivery.replayed" in story
    assert (await home.ledger.audit(home.at)).findings == ()


async def test_delivery_expires_with_a_signed_receipt(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    home.pass_time(timedelta(days=5))
    (row,) = await home.ledger.expiring(home.at, 10)
    await home.answers.expire(row, home.at)
    row = await home.row(envelope_id)
    assert (row.state, row.code) == ("expired", "DLV.EXPIRED")
    said = {one.level: home.read(one.xml) for one in await home.ledger.receipts_of(envelope_id)}
    assert said["expired"].addressee == COMMUNE
    assert await home.ledger.expiring(home.at, 10) == []


async def test_delivered_after_expiry_is_kept_and_moves_nothing(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    row = await home.row(envelope_id)
    home.pass_time(timedelta(days=5))
    await home.answers.expire(row, home.at)
    await home.say(Delivered(), row)
    assert (await home.row(envelope_id)).state == "expired"
    assert await _levels(home, envelope_id) == ["accepted", "delivered", "expired"]
    assert "receipt.delivered.late" in [one["event"] for one in await home.ledger.events_of(envelope_id)]


async def test_silence_is_told_and_moves_no_state(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    home.pass_time(5 * MINUTE)
    (row,) = await home.ledger.unanswered(home.at, 10)
    await home.answers.warn(row, home.at, code="DLV.NO_ANSWER")
    await home.answers.warn(await home.row(envelope_id), home.at, code="DLV.NO_ANSWER")
    assert (await home.row(envelope_id)).state == "sent"
    assert await _levels(home, envelope_id) == ["accepted", "deferred"]
    await home.ledger.extend_wait([row.numbered], home.at + MINUTE)
    assert await home.ledger.unanswered(home.at, 10) == []
    home.pass_time(MINUTE)
    await home.ledger.put_back([row.numbered], home.at, "DLV.NO_ANSWER")
    assert [attempt.attempt_no for attempt in await home.attempt()] == [2]
    # Another router has looked at the first attempt as well, and comes too late.
    assert await home.ledger.put_back([row.numbered], home.at, "DLV.NO_ANSWER") == 0
    await home.ledger.extend_wait([row.numbered], home.at + timedelta(days=1))
    assert (await home.row(envelope_id)).state == "sent"
    assert (await home.row(envelope_id)).next_at != home.at + timedelta(days=1)


async def test_refusal_after_delivery_is_business_and_moves_no_state(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    before = await home.row(envelope_id)
    await home.say(Delivered(), before)
    (late,) = await _unsaid(home, Refused("muộn"), before)
    await home.answers.take(late, submitter=COMMUNE, now=home.at)
    row = await home.row(envelope_id)
    assert (row.state, row.business) == ("delivered", "02")
    assert await _levels(home, envelope_id) == ["accepted", "delivered", "refused"]


async def test_receipts_that_come_at_once_are_each_recorded_once(home: House, ledger_url: str) -> None:
    """Two routers, every receipt twice, all at the same moment."""
    ids = [await _accepted(home) for _ in range(5)]
    await home.attempt()
    said = [xml for one in ids for xml in await _unsaid(home, Registered("1"), await home.row(one))]
    async with Ledger.open(ledger_url) as second:
        other = replace(home.answers, ledger=second)
        done = await together(
            *(door.take(xml, submitter=COMMUNE, now=home.at) for xml in said for door in (home.answers, other))
        )
    assert sorted(one.outcome.name for one in done) == ["RECORDED"] * 10 + ["REPEATED"] * 10
    for one in ids:
        assert await _levels(home, one) == ["accepted", "delivered", "registered"]
        assert (await home.row(one)).state == "delivered"
    assert len(await home.ledger.notices_due(home.at, 100)) == 15
    assert (await home.ledger.audit(home.at)).findings == ()


async def test_receipt_that_cannot_be_believed_does_not_spoil_those_beside_it(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    row = await home.row(envelope_id)
    good = await _unsaid(home, Registered("1"), row)
    object.__setattr__(row, "envelope_id", "0" * 32)
    bad = await _unsaid(home, Registered("1"), row)
    done = await together(*(home.answers.take(xml, submitter=COMMUNE, now=home.at) for xml in (*bad, *good)))
    assert [type(one).__name__ for one in done] == ["Refusal", "Refusal", "Recorded", "Recorded"]
    assert (await home.row(envelope_id)).state == "delivered"


async def test_breaker_lets_one_probe_through_and_closes_when_the_office_answers(home: House) -> None:
    ids = [await _accepted(home) for _ in range(4)]
    await home.attempt()
    for envelope_id in ids[:3]:
        await home.say(Deferred("ngừng"), await home.row(envelope_id))
    (lane,) = await home.ledger.lanes()
    assert (lane.office, lane.failures, lane.open_until) == (COMMUNE, 3, home.at + WAIT)
    home.pass_time(WAIT)
    probe = await home.attempt()
    assert len(probe) == 1
    assert await home.attempt() == []
    await home.say(Delivered(), await home.row(probe[0].envelope_id))
    (lane,) = await home.ledger.lanes()
    assert (lane.failures, lane.open_until) == (0, None)
    assert len(await home.attempt()) == 2  # What waited is due at once.


async def test_document_that_always_fails_does_not_take_every_probe(home: House) -> None:
    bad = await _accepted(home, priority=Priority.EXPRESS)
    for _ in range(3):
        (attempt,) = await home.attempt()
        assert attempt.envelope_id == bad
        await home.say(Deferred("ngừng"), await home.row(bad))
        home.pass_time(WAIT)
    good = [await _accepted(home) for _ in range(2)]
    (probe,) = await home.attempt()
    assert probe.envelope_id == good[0]
    await home.say(Delivered(), await home.row(good[0]))
    assert [one.envelope_id for one in await home.attempt()] == [bad, good[1]]


async def test_probe_is_what_was_tried_least_of_all_that_waits(home: House) -> None:
    """Also where so much of what has failed is more urgent that no round looks further."""
    bad = [await _accepted(home, priority=Priority.EXPRESS) for _ in range(3)]
    await home.attempt()
    for one in bad:
        await home.say(Deferred("ngừng"), await home.row(one))
    home.pass_time(WAIT)
    good = await _accepted(home)
    begun = await home.ledger.begin_attempts(home.at, 5 * MINUTE, 2)
    assert [one.envelope_id for one in begun] == [good]


async def test_probe_that_reached_no_inbox_is_made_again_when_it_is_due(home: House) -> None:
    envelope_id = await _accepted(home)
    for _ in range(3):
        await home.attempt()
        await home.say(Deferred("ngừng"), await home.row(envelope_id))
        home.pass_time(WAIT)
    (probe,) = await home.attempt()
    assert probe.is_probe
    await home.ledger.unmake([probe], home.at + timedelta(seconds=2), "SYS.BROKER", home.at)
    home.pass_time(timedelta(seconds=2))
    (again,) = await home.attempt()
    assert (again.is_probe, again.attempt_no) == (True, probe.attempt_no)
    await home.ledger.heartbeat(COMMUNE, home.at, "1")  # Its office is back, and the breaker closed.
    await home.ledger.unmake([again], home.at + WAIT, "SYS.BROKER", home.at)
    (lane,) = await home.ledger.lanes()
    assert lane.open_until is None


async def test_heartbeat_after_a_silence_makes_everything_due(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.ledger.heartbeat(COMMUNE, home.at, "1")
    await home.attempt()
    await home.say(Deferred("ngừng"), await home.row(envelope_id))
    for second in range(1, 3):
        home.pass_time(timedelta(seconds=second))
        await home.ledger.heartbeat(COMMUNE, home.at, "1")
        assert await home.attempt() == []  # It was there all the time, and waits its turn.
    home.pass_time(WAIT)
    await home.attempt()
    home.answers = replace(home.answers, schedule=RetrySchedule(waits=(timedelta(hours=1),), spread=0))
    await home.say(Deferred("ngừng"), await home.row(envelope_id))
    home.pass_time(timedelta(seconds=80))
    assert await home.attempt() == []
    await home.ledger.heartbeat(COMMUNE, home.at, "1")
    assert len(await home.attempt()) == 1


async def test_notice_is_claimed_by_one_and_due_again_if_it_was_not_sent(home: House, ledger_url: str) -> None:
    await _accepted(home)
    async with Ledger.open(ledger_url) as second:
        (mine,) = await home.ledger.notices_due(home.at, 10)
        assert await second.notices_due(home.at, 10) == []
        home.pass_time(timedelta(seconds=31))
        (again,) = await second.notices_due(home.at, 10)
    assert again.xml == mine.xml
    await home.ledger.notices_sent([mine.id])
    home.pass_time(timedelta(seconds=31))
    assert await home.ledger.notices_due(home.at, 10) == []


async def test_notice_that_was_claimed_in_vain_stands_behind_what_has_come_since(home: House) -> None:
    claimed = [await _accepted(home) for _ in range(2)]
    assert len(await home.ledger.notices_due(home.at, 10)) == 2
    home.pass_time(timedelta(seconds=1))
    since = await _accepted(home)
    home.pass_time(timedelta(seconds=31))
    due = [one.envelope_id for one in await home.ledger.notices_due(home.at, 10)]
    assert due == [since, *claimed]


async def test_what_the_broker_gave_up_is_kept_once(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    for _ in range(2):
        await home.ledger.bury(
            queue="inbox.H56.112",
            kind="envelope",
            digest="0" * 64,
            body=b"<x/>",
            headers={"a": [1]},
            at=home.at,
        )
    await home.answers.give_up(await home.row(envelope_id), home.at, code="DLV.POISON", detail=COMMUNE)
    row = await home.row(envelope_id)
    assert (row.state, row.code, row.who_must_act) == ("dead", "DLV.POISON", "operator")


async def test_figures_are_those_of_the_book(home: House) -> None:
    for priority in (Priority.ORDINARY, Priority.EXPRESS):
        await _accepted(home, priority=priority)
    home.pass_time(MINUTE)
    figures = await home.ledger.figures(home.at)
    assert figures.waiting == {"queued": 2, "sent": 0, "deferred": 0, "dead": 0, "held": 0}
    assert figures.oldest_s == {0: 60.0, 1: 0.0, 2: 0.0, 3: 60.0, 4: 0.0}
    assert figures.outbox_lag_s == 60.0
    assert await home.ledger.ended() == {
        "delivered": 0,
        "refused": 0,
        "recalled": 0,
        "expired": 0,
        "forwarded": 0,
    }


async def test_what_a_clock_that_was_ahead_put_off_is_due_when_it_is_right_again(home: House) -> None:
    waits, sent = await _accepted(home), await _accepted(home, to=(OTHER,))
    right, longest = home.at, 2 * MINUTE
    home.pass_time(timedelta(days=1))
    await home.attempt()
    for _ in range(3):  # So that the breaker opens.
        await home.say(Deferred("ngừng"), await home.row(waits))
        home.pass_time(WAIT)
        await home.attempt()
    await home.ledger.notices_due(home.at, 10)
    home.at = right + timedelta(seconds=1)
    assert await home.attempt() == []
    assert await home.ledger.notices_due(home.at, 10) == []
    assert await home.ledger.bring_near(home.at, longest) > 0
    assert await home.ledger.bring_near(home.at, longest) == 0
    assert [row.envelope_id for row in await home.ledger.unanswered(home.at, 10)] == [waits, sent]
    assert {one.target for one in await home.ledger.notices_due(home.at, 10)} == {SENDER}
    assert (await home.ledger.lanes())[0].open_until == home.at


async def test_what_waits_as_long_as_it_may_is_left_alone(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    await home.say(Deferred("ngừng"), await home.row(envelope_id))
    before = await home.row(envelope_id)
    assert await home.ledger.bring_near(home.at, WAIT) == 0
    assert await home.row(envelope_id) == before


async def test_router_whose_clock_is_behind_by_little_takes_nothing_from_another(home: House) -> None:
    """Neither what it has claimed, nor what it has put off for as long as it may."""
    envelope_id = await _accepted(home)
    await home.attempt()
    await home.say(Deferred("ngừng"), await home.row(envelope_id))
    assert len(await home.ledger.notices_due(home.at, 10)) == 2
    behind = home.at - timedelta(milliseconds=200)
    assert await home.ledger.bring_near(behind, WAIT) == 0
    await home.ledger.put_off_notices(SENDER, home.at + PUT_OFF)
    assert await home.ledger.bring_near(behind, WAIT) == 0
    assert await home.ledger.bring_near(home.at - 2 * MINUTE, WAIT) == 3


async def test_heartbeat_from_the_future_does_not_hide_that_an_office_was_away(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.ledger.heartbeat(COMMUNE, home.at + timedelta(days=1), "1")
    await home.attempt()
    await home.say(Deferred("ngừng"), await home.row(envelope_id))
    assert await home.attempt() == []
    await home.ledger.heartbeat(COMMUNE, home.at, "1")
    assert len(await home.attempt()) == 1


async def test_office_answers_for_the_document_of_one_that_has_left_the_roll(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    home.roll = Registry.of([one for one in home.roll.offices() if one.code != SENDER], home.roll.tiers.values())
    await home.say(Registered("417"), await home.row(envelope_id))
    assert (await home.row(envelope_id)).state == "delivered"


async def test_receipts_of_many_offices_about_many_envelopes_lock_no_other_deliveries(home: House) -> None:
    offices = (COMMUNE, OTHER, AXIS, STRANGER, SENDER)
    envelopes = [await _accepted(home, to=(COMMUNE, OTHER)) for _ in offices]
    pairs = list(zip(envelopes, offices, strict=True))
    asked = [Asked(envelope_id=about, addressee=office, decide=lambda _: None) for about, office in pairs]
    assert set(await home.ledger._database.write(lambda c: deliveries._locked(c, asked))) == set(pairs[:2])


# --- audit -----------------------------------------------------------------------------

_FAULTS = {
    "no delivery": ("DELETE FROM deliveries", "I1"),
    "delivered without a receipt": ("UPDATE deliveries SET state = 'delivered'", "I3"),
    "waits without a next step": ("UPDATE deliveries SET next_at = NULL", "I1"),
    "an acceptance that is gone": ("DELETE FROM outbox; DELETE FROM receipts", "I3"),
}


@pytest.mark.parametrize("fault", _FAULTS)
async def test_audit_finds_what_is_wrong(home: House, fault: str) -> None:
    await _accepted(home)
    statements, rule = _FAULTS[fault]
    for statement in statements.split("; "):
        await home.ledger._database.write(lambda c, text=statement: c.execute(sa.text(text)))  # type: ignore[misc]
    report = await home.ledger.audit(home.at)
    assert {finding.rule for finding in report.findings} == {rule}
    assert report.as_dict()["lost"] == len(report.findings)


async def test_gap_in_a_chain_counts_when_what_is_missing_cannot_be_on_its_way(home: House) -> None:
    envelope_id = await _accepted(home)
    await home.attempt()
    await home.say(Deferred("ngừng"), await home.row(envelope_id))
    gap = sa.text("UPDATE receipts SET previous = 'gone' WHERE level = 'deferred'")
    await home.ledger._database.write(lambda c: c.execute(gap))
    assert (await home.ledger.audit(home.at + 9 * MINUTE)).findings == ()
    (at_rest,) = (await home.ledger.audit(home.at, at_rest=True)).findings
    assert (at_rest.rule, at_rest.envelope_id, at_rest.addressee) == ("I9", envelope_id, COMMUNE)
    assert at_rest in (await home.ledger.audit(home.at + 11 * MINUTE)).findings


async def test_audit_finds_what_the_clock_has_forgotten(home: House) -> None:
    await _accepted(home)
    assert (await home.ledger.audit(home.at + 9 * MINUTE)).findings == ()
    assert len((await home.ledger.audit(home.at + 11 * MINUTE)).findings) == 1
