"""A document that has expired and is submitted again is delivered again; nothing else of it moves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from axis import audit
from axis.dispatch.orders import Orders
from axis.edxml import Business, BusinessType, Document, Organization, ResponseFor
from axis.edxml import Status as StatusMessage
from axis.edxml.model import Update
from axis.intake import Acceptance
from axis.ledger import Ledger
from axis.office.answers import Answer, Delivered, Progress, Refused, Registered
from axis.office.speech import Deferred, Failed
from axis.receipts import SignedReceipt, check_chain, read_receipt
from axis.registry import AfterClosing, Office, Registry, Status
from tests.house import AXIS, COMMUNE, LIFETIME, OTHER, SENDER, House, together

GONE = "H56.901"


async def submit(home: House, document: Document, *, via: str = "amqp") -> Acceptance:
    return await home.accept(home.seal(document), via=via)  # Sealed anew: ECDSA gives other bytes.


async def expire(home: House) -> None:
    """Let the time pass that anything lives."""
    home.pass_time(LIFETIME)
    for row in await home.ledger.expiring(home.at, 100):
        await home.answers.expire(row, home.at)


async def expired(home: House, *, to: tuple[str, ...] = (COMMUNE,), **fields: Any) -> tuple[Document, str]:
    """Return a document that was attempted and has expired, and the id of its envelope."""
    document = home.document(to=to, **fields)
    answer = await submit(home, document)
    await home.attempt()
    await expire(home)
    home.pass_time(timedelta(days=1))
    return document, answer.envelope_id


async def stand(home: House, envelope_id: str) -> dict[str, str]:
    return {row.addressee: row.state for row in await home.ledger.deliveries_of(envelope_id)}


async def levels(home: House, envelope_id: str) -> list[str]:
    return [one.level for one in await home.ledger.receipts_of(envelope_id)]


async def story(home: House, envelope_id: str) -> list[str]:
    return [row["event"] for row in await home.ledger.events_of(envelope_id)]


async def require_sound(home: House) -> None:
    """Hold the book against all that it promises."""
    assert (await home.ledger.audit(home.at)).findings == ()
    evidence = audit.Evidence(home.province.trust(), AXIS)
    assert (await audit.walk(home.ledger, [audit.History(), evidence], whole=True)).findings == []


@pytest.mark.parametrize("via", ["amqp", "http"])
async def test_expired_document_that_is_submitted_again_is_delivered(home: House, via: str) -> None:
    document, envelope_id = await expired(home)
    before = await home.row(envelope_id)
    await home.ledger.notices_sent([one.id for one in await home.ledger.notices_due(home.at, 100)])
    again = await submit(home, document, via=via)
    assert (again.duplicate, again.envelope_id, again.begun_anew) == (True, envelope_id, (COMMUNE,))
    row = await home.row(envelope_id)
    assert row == replace(
        before,
        state="queued",
        code=None,
        reason="",
        who_must_act="nobody",
        next_at=home.at,
        told_at=None,
        accepted_at=home.at,
        expires_at=home.at + LIFETIME,
        updated_at=home.at,
    )
    heard = [home.read(one.xml).level for one in await home.ledger.notices_due(home.at, 100)]
    assert heard == (["accepted"] if via == "amqp" else [])  # Over HTTP the answer itself carries it.
    (attempt,) = await home.attempt()
    assert (attempt.attempt_no, attempt.chain_head) == (2, before.chain_head)
    said = await home.say(Registered("7"), await home.row(envelope_id))
    assert said[0].receipt.previous == before.chain_head
    assert await stand(home, envelope_id) == {COMMUNE: "delivered"}
    assert await levels(home, envelope_id) == ["accepted", "expired", "delivered", "registered"]
    assert await story(home, envelope_id) == [
        "envelope.accepted",
        "delivery.attempted",
        "receipt.expired",
        "delivery.begun_anew",
        "delivery.attempted",
        "receipt.delivered",
        "receipt.registered",
    ]
    rows = await home.ledger.receipts_of(envelope_id)
    signed = [read_receipt(one.xml, home.province.trust(), at=home.at, axis=AXIS) for one in rows]
    check_chain(signed)
    await require_sound(home)


async def test_recall_by_another_of_a_document_under_the_same_id_is_nothing_to_it(home: House, orders: Orders) -> None:
    document, _ = await expired(home)
    theirs = replace(document, originator=Organization(OTHER))
    order = Business(BusinessType.RECALL, reason="Nhầm (ví dụ)", document_id=document.document_id)
    for one in (theirs, home.document(business=order, originator=Organization(OTHER))):
        await home.accept(home.seal(one, by=OTHER), by=OTHER)
    await orders.go_round()
    assert (await submit(home, document)).begun_anew == (COMMUNE,)


async def test_what_expires_again_is_told_again_and_may_begin_once_more(home: House) -> None:
    document, envelope_id = await expired(home)
    for times in (2, 3):
        await submit(home, document)
        assert [one.attempt_no for one in await home.attempt()] == [times]
        await expire(home)
        assert await stand(home, envelope_id) == {COMMUNE: "expired"}
        assert (await levels(home, envelope_id)).count("expired") == times
        await require_sound(home)


async def test_router_that_has_looked_before_does_not_end_what_has_begun_anew(home: House) -> None:
    sealed = home.seal(home.document())
    envelope_id = (await home.accept(sealed)).envelope_id
    home.pass_time(LIFETIME)
    one, another = [await home.ledger.expiring(home.at, 10) for _ in range(2)]
    await home.answers.expire(one[0], home.at)
    await home.accept(sealed)
    await home.answers.expire(another[0], home.at)
    row = await home.row(envelope_id)
    assert (row.state, row.expires_at) == ("queued", home.at + LIFETIME)
    assert [said.level for said in await home.ledger.receipts_of(envelope_id)] == ["accepted", "expired"]


async def test_only_what_has_expired_begins_anew(home: House) -> None:
    document = home.document(to=(COMMUNE, OTHER, "H56.888"))
    envelope_id = (await submit(home, document)).envelope_id
    await home.attempt()
    await home.say(Registered("1"), await home.row(envelope_id, OTHER))
    assert (await submit(home, document)).begun_anew == ()  # The runtime of an office asks until it is answered.
    before = {row.addressee: row for row in await home.ledger.deliveries_of(envelope_id)}
    assert {code: row.state for code, row in before.items()} == {
        COMMUNE: "sent",
        OTHER: "delivered",
        "H56.888": "refused",
    }
    await expire(home)
    assert (await submit(home, document)).begun_anew == (COMMUNE,)
    after = {row.addressee: row for row in await home.ledger.deliveries_of(envelope_id)}
    assert after.pop(COMMUNE).state == "queued"
    assert after == {code: row for code, row in before.items() if code != COMMUNE}
    await require_sound(home)


@pytest.mark.parametrize("word", [Delivered(), Registered("1"), Progress("04"), Refused("Không đúng (ví dụ)")])
async def test_addressee_that_has_answered_late_gets_it_no_second_time(home: House, word: Answer) -> None:
    """Its runtime would say the same again, and the axis knows that already: the delivery would only wait and expire."""
    document, envelope_id = await expired(home)
    await home.say(word, await home.row(envelope_id))
    assert (await submit(home, document)).begun_anew == ()
    assert await stand(home, envelope_id) == {COMMUNE: "expired"}
    await require_sound(home)


async def test_addressee_that_has_reported_by_a_status_gets_it_no_second_time(home: House, orders: Orders) -> None:
    document, envelope_id = await expired(home)
    about = ResponseFor(SENDER, document.code, document.document_id, document.promulgated_on)
    status = StatusMessage(
        originator=Organization(COMMUNE), response_for=about, status_code="03", description="", at=home.at
    )
    await home.accept(home.seal(status, by=COMMUNE), by=COMMUNE)
    await orders.go_round()
    assert (await home.row(envelope_id)).business == "03"
    assert (await submit(home, document)).begun_anew == ()


@pytest.mark.parametrize("word", [Deferred("Đang bảo trì (ví dụ)"), Failed("DLV.FAILED", "lỗi (ví dụ)")])
async def test_addressee_that_could_not_take_it_gets_it_again(home: House, word: Deferred | Failed) -> None:
    document, envelope_id = await expired(home)
    await home.say(word, await home.row(envelope_id))
    assert (await submit(home, document)).begun_anew == (COMMUNE,)
    assert len(await home.attempt()) == 1
    await home.say(Registered("1"), await home.row(envelope_id))
    assert await stand(home, envelope_id) == {COMMUNE: "delivered"}
    await require_sound(home)


async def test_of_many_submissions_at_once_one_begins_it(home: House, ledger_url: str) -> None:
    document, envelope_id = await expired(home, to=(COMMUNE, OTHER))
    async with Ledger.open(ledger_url) as second:
        doors = [home.intake, replace(home.intake, ledger=second)]
        answers = await together(
            *(doors[number % 2].accept(home.seal(document), submitter=SENDER, via="http") for number in range(8))
        )
    assert sorted(code for answer in answers for code in answer.begun_anew) == [COMMUNE, OTHER]
    assert (await story(home, envelope_id)).count("delivery.begun_anew") == 2
    assert len(await home.attempt()) == 2
    await require_sound(home)


async def test_late_word_and_submission_at_the_same_moment_come_to_one_end(home: House, ledger_url: str) -> None:
    """Whichever is first: the word is late and nothing begins, or it has begun and the word ends it."""
    async with Ledger.open(ledger_url) as second:
        door = replace(home.intake, ledger=second)
        for number in range(6):
            document, envelope_id = await expired(home)
            answer, said = await together(
                door.accept(home.seal(document), submitter=SENDER, via="http"),
                home.say(Registered(str(number)), await home.row(envelope_id)),
            )
            assert all(isinstance(one, SignedReceipt) for one in said)
            assert (await home.row(envelope_id)).state == ("delivered" if answer.begun_anew else "expired")
            await require_sound(home)


async def test_document_that_was_ordered_back_stays_ended(home: House, orders: Orders) -> None:
    document, envelope_id = await expired(home, to=(COMMUNE, OTHER))
    order = Business(BusinessType.RECALL, reason="Ban hành nhầm (ví dụ)", document_id=document.document_id)
    await submit(home, home.document(business=order))
    await orders.go_round()
    assert (await submit(home, document)).begun_anew == (OTHER,)  # It was ordered back from the other one alone.
    assert await stand(home, envelope_id) == {COMMUNE: "expired", OTHER: "queued"}


async def test_order_about_a_document_means_every_envelope_that_has_it(home: House, orders: Orders) -> None:
    """It names the newest; an older one of the same document begins anew no more than that."""
    document, envelope_id = await expired(home, to=(COMMUNE, OTHER))
    again = Business(
        BusinessType.UPDATE,
        reason="Sửa phụ lục (ví dụ)",
        document_id=document.document_id,
        update=Update(content_changed=True, receivers_changed=False),
    )
    await submit(home, replace(document, addressees=(Organization(OTHER),), business=again))
    order = Business(BusinessType.RECALL, reason="gửi nhầm (ví dụ)", document_id=document.document_id)
    await submit(home, home.document(to=(COMMUNE,), business=order))
    home.pass_time(timedelta(minutes=1))
    await orders.go_round()
    assert (await submit(home, document)).begun_anew == ()  # OTHER has got something in its place.
    assert await stand(home, envelope_id) == {COMMUNE: "expired", OTHER: "expired"}


async def test_order_that_nobody_has_judged_yet_does_not_go_out(home: House) -> None:
    """No router ran for as long as it lived."""
    order = Business(BusinessType.RECALL, reason="Ban hành nhầm (ví dụ)", document_id="H56.05,2026/08/01,1/SKHCN")
    document, envelope_id = await expired(home, business=order)
    assert (await submit(home, document)).begun_anew == ()
    assert await stand(home, envelope_id) == {COMMUNE: "expired"}


def _closing(home: House, code: str, **fields: Any) -> Registry:
    closed = replace(home.roll.by_code[code], status=Status.CLOSED, **fields)
    return Registry.of([one for one in home.roll.offices() if one.code != code] + [closed], home.roll.tiers.values())


@pytest.mark.parametrize("after_closing", [AfterClosing.REJECT, AfterClosing.HOLD])
async def test_nothing_goes_to_an_office_that_has_been_closed_since(home: House, after_closing: AfterClosing) -> None:
    document, envelope_id = await expired(home, to=(COMMUNE, OTHER))
    home.roll = _closing(home, COMMUNE, successors=(OTHER,), after_closing=after_closing)
    assert (await submit(home, document)).begun_anew == (OTHER,)
    assert await stand(home, envelope_id) == {COMMUNE: "expired", OTHER: "queued"}
    await require_sound(home)


async def test_heir_of_a_closed_office_gets_it_as_long_as_it_is_one(home: House) -> None:
    gone = Office(
        code=GONE, name="UBND xã cũ (ví dụ)", tier="commune", status=Status.CLOSED, successors=(COMMUNE, OTHER),
        after_closing=AfterClosing.HOLD,
    )  # fmt: skip
    home.roll = Registry.of([*home.roll.offices(), gone], home.roll.tiers.values())
    document = home.document(to=(GONE,))
    envelope_id = (await submit(home, document)).envelope_id
    held = await home.row(envelope_id, GONE)
    assert await home.succession.forward(held, (COMMUNE, OTHER), by="vanthu", reason="sáp nhập (ví dụ)")
    await home.attempt()
    await expire(home)
    home.roll = _closing(home, OTHER)
    assert (await submit(home, document)).begun_anew == (COMMUNE,)
    assert await stand(home, envelope_id) == {GONE: "forwarded", COMMUNE: "queued", OTHER: "expired"}
    await require_sound(home)


async def test_what_was_held_to_the_end_stays_ended(home: House) -> None:
    home.roll = _closing(home, COMMUNE, successors=(OTHER,), after_closing=AfterClosing.HOLD)
    document, envelope_id = await expired(home)
    assert (await submit(home, document)).begun_anew == ()
    assert await stand(home, envelope_id) == {COMMUNE: "expired"}


async def test_older_system_that_writes_it_anew_gets_it_delivered(home: House) -> None:
    document = home.document()
    first = await home.accept_from_older_system(document, b"<edXML/>")
    await home.attempt()
    await expire(home)
    for original, begun in ((b"<edXML/>", (COMMUNE,)), (b"<edXML> </edXML>", ())):
        again = await home.accept_from_older_system(document, original)
        assert (again.envelope_id, again.duplicate, again.begun_anew) == (first.envelope_id, True, begun)
    await home.attempt()
    await expire(home)
    again = await home.accept_from_older_system(document, b"<edXML>  </edXML>")  # Other bytes, the same document.
    assert (again.receipt_xml, again.begun_anew) == (first.receipt_xml, (COMMUNE,))
    assert [one.attempt_no for one in await home.attempt()] == [3]
    await require_sound(home)


async def test_hour_that_is_past_and_clocks_are_those_of_a_new_delivery(home: House) -> None:
    hour = home.at + timedelta(hours=1)
    document = home.document(priority=4, release_at=hour, due_on=datetime(2027, 1, 4, tzinfo=UTC).date())
    envelope_id = (await submit(home, document)).envelope_id
    first = await home.row(envelope_id)
    assert (first.release_at, first.next_at) == (hour, hour)
    home.pass_time(timedelta(hours=1))
    await home.attempt()
    await expire(home)
    await submit(home, document)
    row = await home.row(envelope_id)
    assert (row.release_at, row.next_at, row.expires_at) == (None, home.at, home.at + LIFETIME)
    assert row.clocks == first.clocks
    assert row.process_by is not None


async def test_same_twice_in_one_commit_begins_once(home: House) -> None:
    document, envelope_id = await expired(home)
    answers = await together(*(home.accept(home.seal(document), via="http") for _ in range(3)))
    assert sorted(answer.begun_anew for answer in answers) == [(), (), (COMMUNE,)]
    assert (await story(home, envelope_id)).count("delivery.begun_anew") == 1


async def test_audit_names_what_began_anew_and_had_not_expired_and_an_end_too_many(home: House) -> None:
    document, envelope_id = await expired(home)
    await submit(home, document)
    await expire(home)
    await require_sound(home)
    database = home.ledger._database
    for statement, rules in (
        ("UPDATE events SET event = 'delivery.replayed' WHERE event = 'delivery.begun_anew'", {"I6", "I3"}),
        ("UPDATE events SET event = 'delivery.begun_anew' WHERE event = 'delivery.replayed'", set()),
        ("UPDATE events SET event = 'delivery.begun_anew' WHERE event = 'delivery.attempted'", {"I6"}),
    ):
        await database.write(partial(sa.Connection.exec_driver_sql, statement=statement))
        found = (await audit.walk(home.ledger, [audit.History()])).findings
        assert {one.rule for one in found} == rules
        assert {one.envelope_id for one in found} <= {envelope_id}
