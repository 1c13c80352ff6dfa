"""Orders act: what waits is taken back, what was delivered is asked for, and nobody orders what is another's."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from axis import audit
from axis.broker import Broker, Incoming, topology
from axis.deadlines import Deadlines
from axis.dispatch.answers import Answers
from axis.dispatch.orders import Orders
from axis.dispatch.outbound import Outbound
from axis.edxml import Business, BusinessType, Document, Organization, Replacement, ResponseFor, Status
from axis.edxml.model import Update
from axis.errors import TransientError
from axis.intake import Rejected
from axis.ledger import DeliveryRow, DueLink
from axis.office.answers import Delivered, Progress, Refused, Registered
from axis.office.speech import Deferred, Failed, Withdrawn
from axis.registry import Office, Registry
from axis.registry import Status as OfficeStatus
from tests.house import COMMUNE, OTHER, PATIENCE, SENDER, STRANGER, House


def recall(home: House, document: Document, *, to: tuple[str, ...] = (COMMUNE,), **fields: Any) -> Document:
    order = Business(BusinessType.RECALL, reason="Ban hành nhầm (ví dụ)", document_id=document.document_id)
    return home.document(to=to, **{"business": order} | fields)


def update(home: House, document: Document, *, to: tuple[str, ...] = (COMMUNE,)) -> Document:
    order = Business(
        BusinessType.UPDATE,
        reason="Sửa phụ lục (ví dụ)",
        document_id=document.document_id,
        update=Update(content_changed=True, receivers_changed=False),
    )
    return home.document(to=to, business=order)


def status(
    home: House, document: Document, code: str, *, by: str = COMMUNE, to: str = SENDER, text: str = ""
) -> Status:
    return Status(
        originator=Organization(by),
        response_for=ResponseFor(to, document.code, document.document_id, document.promulgated_on),
        status_code=code,
        description=text,
        at=home.at,
    )


async def accept(home: House, message: Document | Status, *, by: str = SENDER) -> str:
    return (await home.accept(home.seal(message, by=by), by=by)).envelope_id


async def receipts_of(home: House, envelope_id: str) -> list[tuple[str, str | None, str | None]]:
    said = [home.read(one.xml) for one in await home.ledger.receipts_of(envelope_id)]
    return [(one.level.value, one.addressee, one.code) for one in said]


async def stands(home: House, envelope_id: str, office: str = COMMUNE) -> tuple[str, str | None]:
    row = await home.row(envelope_id, office)
    return row.state, row.code


async def waiting(pipes: Broker, office: str = COMMUNE) -> int:
    return await pipes.depth(topology.inbox(office))


def everything(_: Incoming) -> bool:
    return True


# --- before delivery ----------------------------------------------------------------


async def test_recall_of_what_was_never_sent_ends_both_and_is_signed(home: House, orders: Orders) -> None:
    document = home.document()
    envelope_id = await accept(home, document)
    order_id = await accept(home, recall(home, document))
    assert await stands(home, order_id) == ("queued", "ORD.WAITS")
    await orders.go_round()
    assert await stands(home, envelope_id) == ("recalled", "ORD.TAKEN_BACK")
    assert await stands(home, order_id) == ("recalled", "ORD.NOTHING_THERE")
    assert await receipts_of(home, envelope_id) == [
        ("accepted", None, None),
        ("recalled", COMMUNE, "ORD.TAKEN_BACK"),
    ]
    assert await home.attempt() == []
    assert (await home.ledger.audit(home.at)).findings == ()


async def test_recall_takes_the_message_out_of_the_inbox_and_leaves_the_others_in_their_order(
    home: House, orders: Orders, outbound: Outbound, pipes: Broker
) -> None:
    before, document, behind = home.document(), home.document(), home.document()
    ids = []
    for one in (before, document, behind):
        ids.append(await accept(home, one))
        await outbound.go_round()
    notices = await waiting(pipes)
    assert notices == 3
    order_id = await accept(home, recall(home, document))
    await orders.go_round()
    assert await stands(home, ids[1]) == ("recalled", "ORD.TAKEN_BACK")
    taken = await pipes.take_out(
        topology.inbox(COMMUNE), everything, exchange=topology.DELIVER, routing_key=COMMUNE, most=100
    )
    assert [one.headers["envelope-id"] for one in taken] == [ids[0], ids[2]]
    assert [one.type for one in taken] == ["envelope", "envelope"]
    # It may have been handed out before, so the office is told: what turns up later is not to be taken.
    assert await stands(home, order_id) == ("queued", None)


async def test_recall_finds_what_is_on_its_way_to_the_inbox(
    home: House, orders: Orders, outbound: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt is on record before its message is there."""
    document = home.document()
    envelope_id = await accept(home, document)
    begun, go_on = asyncio.Event(), asyncio.Event()
    plain = Broker.publish

    async def slow(self: Broker, *args: Any, **named: Any) -> None:
        begun.set()
        await go_on.wait()
        await plain(self, *args, **named)

    monkeypatch.setattr(Broker, "publish", slow)
    publishing = asyncio.create_task(outbound.go_round())
    await begun.wait()
    await accept(home, recall(home, document))
    judging = asyncio.create_task(orders.go_round())
    await asyncio.sleep(0.2)  # It looks for the message meanwhile.
    go_on.set()
    await asyncio.gather(publishing, judging)
    assert await stands(home, envelope_id) == ("recalled", "ORD.TAKEN_BACK")


async def test_recall_of_what_a_reader_holds_is_let_go_to_it(
    home: House, orders: Orders, outbound: Outbound, pipes: Broker
) -> None:
    document = home.document()
    envelope_id = await accept(home, document)
    await outbound.go_round()
    await pipes.take_out(topology.inbox(COMMUNE), everything, exchange=topology.DELIVER, routing_key=COMMUNE, most=100)
    order_id = await accept(home, recall(home, document))
    await orders.go_round()
    assert await stands(home, envelope_id) == ("sent", None)
    (attempt,) = [one for one in await home.attempt() if one.envelope_id == order_id]
    assert attempt.addressee == COMMUNE


async def test_deferred_delivery_is_taken_back_at_once(home: House, orders: Orders, outbound: Outbound) -> None:
    document = home.document()
    envelope_id = await accept(home, document)
    await outbound.go_round()
    await home.say(Deferred("bảo trì (ví dụ)"), await home.row(envelope_id))
    await accept(home, recall(home, document))
    await orders.go_round()
    assert await stands(home, envelope_id) == ("recalled", "ORD.TAKEN_BACK")


async def test_dead_letter_that_its_addressee_could_not_take_is_taken_back_at_once(
    home: House, orders: Orders, outbound: Outbound
) -> None:
    document = home.document()
    envelope_id = await accept(home, document)
    await outbound.go_round()
    await home.say(Failed("DLV.FAILED", "cột quá ngắn (ví dụ)"), await home.row(envelope_id))
    await accept(home, recall(home, document))
    await orders.go_round()
    assert await stands(home, envelope_id) == ("recalled", "ORD.TAKEN_BACK")


@pytest.mark.parametrize(
    ("said", "state", "code"),
    [
        (Deferred("không trả lời kịp (ví dụ)", is_uncertain=True), "deferred", "DLV.UNCERTAIN"),
        (Failed("DLV.FAILED_UNCERTAIN", "trùng mã (ví dụ)"), "dead", "DLV.FAILED_UNCERTAIN"),
        (Failed("DLV.POISON", "5 lần (ví dụ)"), "dead", "DLV.POISON"),
        (None, "dead", "DLV.POISON"),  # By the axis: its process took the message so often, and answered nothing.
    ],
)
async def test_recall_of_what_an_addressee_may_have_taken_is_its_own_to_answer(
    home: House, orders: Orders, outbound: Outbound, said: Deferred | Failed | None, state: str, code: str
) -> None:
    document = home.document()
    envelope_id = await accept(home, document)
    await outbound.go_round()
    row = await home.row(envelope_id)
    if said is None:
        await home.answers.give_up(row, home.at, code="DLV.POISON", detail=COMMUNE)
    else:
        await home.say(said, row)
    order_id = await accept(home, recall(home, document))
    await orders.go_round()
    assert await stands(home, envelope_id) == (state, code)
    assert await stands(home, order_id) == ("queued", None)  # It leaves for the office, which says what it has.
    await outbound.go_round()
    await home.say(Progress("15"), await home.row(order_id))  # type: ignore[arg-type]
    await home.say(Withdrawn("Thu hồi (ví dụ)"), await home.row(envelope_id))  # type: ignore[arg-type]
    after = await home.row(envelope_id)
    assert (after.state, after.next_at) == ("recalled", None)
    assert (await home.row(order_id)).business == "15"
    assert (await home.ledger.audit(home.at)).findings == ()


@pytest.mark.parametrize("late", [Deferred("bảo trì (ví dụ)"), Failed("DLV.FAILED", "cột quá ngắn (ví dụ)")])
async def test_what_an_addressee_said_of_an_earlier_attempt_does_not_take_back_the_last(
    home: House, orders: Orders, outbound: Outbound, late: Deferred | Failed
) -> None:
    """Its receipt was held up on the way, and what it speaks of is over: the last attempt is in the addressee's hands."""
    document = home.document()
    envelope_id = await accept(home, document)
    await outbound.go_round()
    first = await home.row(envelope_id)
    await home.ledger.put_back([first.numbered], home.at, "DLV.NO_ANSWER")
    await outbound.go_round()
    assert (await home.row(envelope_id)).attempts == 2
    await home.say(late, first)
    await accept(home, recall(home, document))
    await orders.go_round()
    assert (await home.row(envelope_id)).state == "sent"
    assert [one.level for one in await home.ledger.receipts_of(envelope_id)][1:] == [
        "deferred" if isinstance(late, Deferred) else "failed"
    ]
    assert (await audit.walk(home.ledger, [audit.History()])).findings == []


async def test_long_inbox_is_left_alone(home: House, outbound: Outbound, pipes: Broker) -> None:
    await accept(home, home.document())
    await outbound.go_round()
    assert not await pipes.take_out(
        topology.inbox(COMMUNE), everything, exchange=topology.DELIVER, routing_key=COMMUNE, most=0
    )
    assert await waiting(pipes) == 1


async def test_recall_for_one_addressee_leaves_the_other(home: House, orders: Orders) -> None:
    document = home.document(to=(COMMUNE, OTHER))
    envelope_id = await accept(home, document)
    await accept(home, recall(home, document, to=(OTHER,)))
    await orders.go_round()
    assert (await stands(home, envelope_id, OTHER))[0] == "recalled"
    assert (await stands(home, envelope_id, COMMUNE))[0] == "queued"


async def test_take_back_by_status_13_is_an_order(home: House, orders: Orders) -> None:
    document = home.document()
    envelope_id = await accept(home, document)
    order_id = await accept(home, status(home, document, "13", by=SENDER, to=COMMUNE, text="Gửi nhầm (ví dụ)"))
    await orders.go_round()
    assert (await stands(home, envelope_id))[0] == "recalled"
    assert (await stands(home, order_id))[0] == "recalled"


async def test_document_is_taken_back_from_two_offices_in_one_second(home: House, orders: Orders) -> None:
    document = home.document(to=(COMMUNE, OTHER))
    envelope_id = await accept(home, document)
    for office in (COMMUNE, OTHER):
        await accept(home, status(home, document, "13", by=SENDER, to=office, text="Gửi nhầm (ví dụ)"))
    await orders.go_round()
    assert [(await stands(home, envelope_id, office))[0] for office in (COMMUNE, OTHER)] == ["recalled", "recalled"]


# --- after delivery -----------------------------------------------------------------


async def _delivered(home: House, outbound: Outbound, document: Document) -> DeliveryRow:
    envelope_id = await accept(home, document)
    await outbound.go_round()
    await home.say(Registered("417"), await home.row(envelope_id))
    return await home.row(envelope_id)


async def test_recall_of_what_was_delivered_goes_to_the_office_and_is_answered(
    home: House, orders: Orders, outbound: Outbound
) -> None:
    document = home.document()
    row = await _delivered(home, outbound, document)
    order_id = await accept(home, recall(home, document))
    await orders.go_round()
    assert await stands(home, order_id) == ("queued", None)
    await outbound.go_round()
    order = await home.row(order_id)
    await home.say(Delivered(), order)
    await home.say(Progress("16", "Đã thi hành xong (ví dụ)"), await home.row(order_id))  # type: ignore[arg-type]
    assert (await home.row(order_id)).business == "16"
    after = await home.row(row.envelope_id)
    assert (after.state, after.business) == ("delivered", "03")


async def test_refused_document_leaves_nothing_to_recall(home: House, orders: Orders, outbound: Outbound) -> None:
    document = home.document()
    envelope_id = await accept(home, document)
    await outbound.go_round()
    await home.say(Refused("Không đúng thẩm quyền (ví dụ)"), await home.row(envelope_id))
    order_id = await accept(home, recall(home, document))
    await orders.go_round()
    assert await stands(home, order_id) == ("recalled", "ORD.NOTHING_THERE")


# --- update and replace ----------------------------------------------------------------


async def test_update_takes_the_old_one_back_where_it_waits_and_goes_to_everybody(
    home: House, orders: Orders, outbound: Outbound
) -> None:
    document = home.document(to=(COMMUNE, OTHER))
    envelope_id = await accept(home, document)
    await outbound.go_round()
    await home.say(Registered("417"), await home.row(envelope_id, COMMUNE))
    order_id = await accept(home, update(home, document, to=(COMMUNE, OTHER, STRANGER)))
    await orders.go_round()
    assert [(await stands(home, envelope_id, office))[0] for office in (COMMUNE, OTHER)] == ["delivered", "recalled"]
    for office in (COMMUNE, OTHER, STRANGER):
        assert await stands(home, order_id, office) == ("queued", None)


async def test_replacement_acts_for_the_offices_that_it_names_alone(home: House, orders: Orders) -> None:
    old, other = home.document(to=(COMMUNE, OTHER)), home.document(to=(COMMUNE, OTHER))
    old_id, other_id = await accept(home, old), await accept(home, other)
    business = Business(
        BusinessType.REPLACE,
        replacements=(Replacement(old.document_id, (COMMUNE,)), Replacement(other.document_id, (OTHER,))),
    )
    new_id = await accept(home, home.document(to=(COMMUNE, OTHER), business=business))
    await orders.go_round()
    assert [(await stands(home, old_id, office))[0] for office in (COMMUNE, OTHER)] == ["recalled", "queued"]
    assert [(await stands(home, other_id, office))[0] for office in (COMMUNE, OTHER)] == ["queued", "recalled"]
    assert [await stands(home, new_id, office) for office in (COMMUNE, OTHER)] == [("queued", None)] * 2


def replacement(
    home: House, *documents: tuple[Document, tuple[str, ...]], to: tuple[str, ...] = (COMMUNE,)
) -> Document:
    replaced = tuple(Replacement(document.document_id, offices) for document, offices in documents)
    return home.document(to=to, business=Business(BusinessType.REPLACE, replacements=replaced))


async def test_replacement_of_a_document_that_is_not_here_takes_no_other_back(home: House, orders: Orders) -> None:
    """It is refused as a whole in the end: who was to get it would have neither."""
    here, elsewhere = home.document(), home.document()
    here_id = await accept(home, here)
    new_id = await accept(home, replacement(home, (here, (COMMUNE,)), (elsewhere, (COMMUNE,))))
    for _ in range(2):
        await orders.go_round()
        assert await stands(home, here_id) == ("queued", None)
        assert await stands(home, new_id) == ("queued", "ORD.WAITS")
        home.pass_time(PATIENCE / 2)
    await orders.go_round()
    assert await stands(home, here_id) == ("queued", None)
    assert await stands(home, new_id) == ("refused", "ORD.UNKNOWN_DOCUMENT")
    assert not await home.ledger.links_waiting(home.at + timedelta(days=1))
    assert [attempt.envelope_id for attempt in await home.attempt()] == [here_id]
    assert (await home.ledger.audit(home.at)).findings == ()


async def test_replacement_of_several_leaves_when_all_of_them_are_here(home: House, orders: Orders) -> None:
    first, second = home.document(), home.document()
    first_id = await accept(home, first)
    new_id = await accept(home, replacement(home, (first, (COMMUNE,)), (second, (COMMUNE,))))
    await orders.go_round()
    second_id = await accept(home, second)
    home.pass_time(timedelta(seconds=30))
    await orders.go_round()
    assert [(await stands(home, one))[0] for one in (first_id, second_id)] == ["recalled", "recalled"]
    assert await stands(home, new_id) == ("queued", None)


async def test_replacement_is_decided_for_each_addressee_by_itself(home: House, orders: Orders) -> None:
    both = (COMMUNE, OTHER)
    here, elsewhere = home.document(to=both), home.document(to=both)
    here_id = await accept(home, here)
    new_id = await accept(home, replacement(home, (here, both), (elsewhere, (OTHER,)), to=both))
    await orders.go_round()
    assert [(await stands(home, here_id, office))[0] for office in both] == ["recalled", "queued"]
    assert [await stands(home, new_id, office) for office in both] == [("queued", None), ("queued", "ORD.WAITS")]
    home.pass_time(PATIENCE)
    await orders.go_round()
    assert [(await stands(home, new_id, office))[0] for office in both] == ["queued", "refused"]
    assert (await stands(home, here_id, OTHER))[0] == "queued"


async def test_who_has_claimed_a_part_of_a_replacement_decides_on_all_of_it(home: House, orders: Orders) -> None:
    here, elsewhere = home.document(), home.document()
    here_id = await accept(home, here)
    new_id = await accept(home, replacement(home, (here, (COMMUNE,)), (elsewhere, (COMMUNE,))))
    (link,) = await home.ledger.links_due(home.at, 1)
    assert link.document_id == here.document_id
    await orders._judge([link], home.at)
    assert (await stands(home, here_id))[0] == "queued"
    assert await stands(home, new_id) == ("queued", "ORD.WAITS")


async def test_replacement_takes_nothing_out_of_an_inbox_but_what_it_replaces_there(
    home: House, orders: Orders, outbound: Outbound, pipes: Broker
) -> None:
    both = (COMMUNE, OTHER)
    first, second = home.document(to=both), home.document(to=both)
    first_id, second_id = await accept(home, first), await accept(home, second)
    await outbound.go_round()
    await accept(home, replacement(home, (first, (COMMUNE,)), (second, (OTHER,)), to=both))
    await orders.go_round()
    stand = {(one, office): (await stands(home, one, office))[0] for one in (first_id, second_id) for office in both}
    assert stand == {
        (first_id, COMMUNE): "recalled",
        (first_id, OTHER): "sent",
        (second_id, COMMUNE): "sent",
        (second_id, OTHER): "recalled",
    }
    for office, left in ((COMMUNE, second_id), (OTHER, first_id)):
        taken = await pipes.take_out(
            topology.inbox(office), everything, exchange=topology.DELIVER, routing_key=office, most=100
        )
        assert [one.headers["envelope-id"] for one in taken] == [left]


@pytest.mark.parametrize("fails_at", [COMMUNE, OTHER])
async def test_what_was_taken_out_before_the_line_broke_is_on_record(
    home: House, orders: Orders, outbound: Outbound, pipes: Broker, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    both = (COMMUNE, OTHER)
    document = home.document(to=both)
    envelope_id = await accept(home, document)
    await outbound.go_round()
    behind = await accept(home, home.document(to=both))
    await outbound.go_round()
    await accept(home, recall(home, document, to=both))
    plain, broken = Broker.publish, True

    async def publish(self: Broker, exchange: str, routing_key: str, *args: Any, **named: Any) -> None:
        if routing_key == fails_at and broken:  # While what is behind is led round.
            raise TransientError("SYS.BROKER")
        await plain(self, exchange, routing_key, *args, **named)

    monkeypatch.setattr(Broker, "publish", publish)
    with contextlib.suppress(TransientError):
        await orders.go_round()
    broken = False
    home.pass_time(timedelta(minutes=1))
    await orders.go_round()
    for office in both:
        taken = await pipes.take_out(
            topology.inbox(office), everything, exchange=topology.DELIVER, routing_key=office, most=100
        )
        assert [one.headers["envelope-id"] for one in taken] == [behind]
        assert await stands(home, envelope_id, office) == ("recalled", "ORD.TAKEN_BACK")
        assert (await receipts_of(home, envelope_id)).count(("recalled", office, "ORD.TAKEN_BACK")) == 1


async def test_document_whose_taking_back_could_not_be_recorded_is_its_addressees_to_answer_for(
    home: House, orders: Orders, outbound: Outbound, pipes: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is signed of it: it could have been handed out."""
    document = home.document()
    envelope_id = await accept(home, document)
    await outbound.go_round()
    order_id = await accept(home, recall(home, document))
    plain = Answers.take_back

    async def fail(self: Answers, *args: Any, removed: bool, **named: Any) -> bool:
        if removed:
            assert await waiting(pipes) == 0
            raise TransientError("SYS.LEDGER")
        return await plain(self, *args, removed=removed, **named)

    with monkeypatch.context() as patched, pytest.raises(TransientError):
        patched.setattr(Answers, "take_back", fail)
        await orders.go_round()
    home.pass_time(timedelta(minutes=1))
    await orders.go_round()
    assert await stands(home, envelope_id) == ("sent", None)
    assert await stands(home, order_id) == ("queued", None)


async def test_replacement_that_was_recalled_replaces_nothing(home: House, orders: Orders) -> None:
    """It waited for its document, and was taken back before that came."""
    old = home.document()
    new = replacement(home, (old, (COMMUNE,)))
    new_id = await accept(home, new)
    await orders.go_round()
    await accept(home, recall(home, new))
    await orders.go_round()
    assert (await stands(home, new_id))[0] == "recalled"
    old_id = await accept(home, old)
    home.pass_time(timedelta(minutes=1))
    await orders.go_round()
    assert await stands(home, old_id) == ("queued", None)


async def test_replacement_for_an_office_that_is_no_addressee_is_refused(home: House) -> None:
    business = Business(BusinessType.REPLACE, replacements=(Replacement("a", (OTHER,)),))
    with pytest.raises(Rejected) as refused:
        await accept(home, home.document(business=business))
    assert [found.rule for found in refused.value.refusal.violations] == ["rule:business.replace-for-addressees"]


async def test_update_that_removes_a_receiver_is_refused(home: House) -> None:
    business = Business(
        BusinessType.UPDATE, document_id="a", update=Update(False, True, receivers=((COMMUNE, 0), (OTHER, 1)))
    )
    with pytest.raises(Rejected) as refused:
        await accept(home, home.document(business=business))
    assert [found.rule for found in refused.value.refusal.violations] == ["rule:business.remove-by-recall"]


# --- who may, and when --------------------------------------------------------------------


async def test_order_that_overtakes_its_document_waits_for_it(home: House, orders: Orders) -> None:
    document = home.document()
    order_id = await accept(home, recall(home, document))
    await orders.go_round()
    assert await stands(home, order_id) == ("queued", "ORD.WAITS")
    home.pass_time(timedelta(minutes=9))
    await home.ledger.heartbeat(COMMUNE, home.at, "1")  # An office that comes back does not let it go.
    assert await home.attempt() == []
    assert (await home.ledger.audit(home.at)).findings == ()
    envelope_id = await accept(home, document)
    await orders.go_round()
    assert (await stands(home, envelope_id))[0] == "recalled"
    assert (await stands(home, order_id))[0] == "recalled"


async def test_order_that_came_while_a_clock_was_ahead_is_judged_when_it_is_right_again(
    home: House, orders: Orders
) -> None:
    document = home.document()
    envelope_id = await accept(home, document)
    right, longest = home.at, timedelta(minutes=73)
    home.pass_time(timedelta(hours=20))
    order_id = await accept(home, recall(home, document))
    home.at = right
    await orders.go_round()
    assert await stands(home, order_id) == ("queued", "ORD.WAITS")
    assert await home.ledger.bring_near(home.at, longest) > 0
    assert await home.ledger.bring_near(home.at, longest) == 0
    await orders.go_round()
    assert [(await stands(home, one))[0] for one in (envelope_id, order_id)] == ["recalled", "recalled"]


async def test_order_about_nothing_is_refused_in_the_end(home: House, orders: Orders) -> None:
    order_id = await accept(home, recall(home, home.document()))
    await orders.go_round()
    home.pass_time(PATIENCE)
    await orders.go_round()
    assert await stands(home, order_id) == ("refused", "ORD.UNKNOWN_DOCUMENT")
    assert (await receipts_of(home, order_id))[-1] == ("rejected", COMMUNE, "ORD.UNKNOWN_DOCUMENT")
    await orders.go_round()
    assert (await home.ledger.audit(home.at)).findings == ()


async def test_document_of_another_is_as_good_as_none(home: House, orders: Orders) -> None:
    document = home.document()
    envelope_id = await accept(home, document)
    theft = recall(home, document, originator=Organization(OTHER))
    order_id = await accept(home, theft, by=OTHER)
    home.pass_time(PATIENCE)
    await orders.go_round()
    assert (await stands(home, order_id))[1] == "ORD.UNKNOWN_DOCUMENT"
    assert (await stands(home, envelope_id))[0] == "queued"


async def test_addressee_that_never_was_one_is_refused_alone(home: House, orders: Orders) -> None:
    document = home.document()
    await accept(home, document)
    order_id = await accept(home, recall(home, document, to=(COMMUNE, OTHER)))
    await orders.go_round()
    assert await stands(home, order_id, OTHER) == ("refused", "ORD.NOT_SENT_TO")
    assert (await stands(home, order_id, COMMUNE))[0] == "recalled"


async def test_heir_recalls_what_its_predecessor_sent(home: House, orders: Orders) -> None:
    document = home.document()
    envelope_id = await accept(home, document)
    roll, trust = home.answers.roll()
    closed = replace(roll.by_code[SENDER], status=OfficeStatus.CLOSED, successors=(OTHER,))
    later = Registry.of([*(one for one in roll.offices() if one.code != SENDER), closed], roll.tiers.values())
    order_id = await accept(home, recall(home, document, originator=Organization(OTHER)), by=OTHER)
    heirs = replace(orders, roll=lambda: (later, trust))
    await heirs.go_round()
    assert (await stands(home, envelope_id))[0] == "recalled"
    assert (await stands(home, order_id))[0] == "recalled"
    told = await home.ledger.notices_due(home.at, 100)
    about = [(one.target, home.read(one.xml).code) for one in told if one.envelope_id == envelope_id]
    assert ("H56.05", "ORD.TAKEN_BACK") in about
    assert (OTHER, "ORD.TAKEN_BACK") in about


async def test_line_of_an_office_goes_back_through_all_that_it_took_over() -> None:
    def office(code: str, *successors: str) -> Office:
        return Office(code=code, name=code, tier="commune", successors=successors)

    roll = Registry.of([office("A", "B"), office("B", "C"), office("C", "A"), office("D")])
    assert roll.line_of("C") == {"A", "B", "C"}
    assert roll.line_of("D") == {"D"}
    assert roll.line_of("nobody") == {"nobody"}


async def test_acting_twice_changes_nothing(home: House, orders: Orders, outbound: Outbound) -> None:
    """As after a death between an act and its note: the claim runs out, and all of it is done again."""
    document = home.document(to=(COMMUNE, OTHER))
    envelope_id = await accept(home, document)
    await outbound.go_round()
    order_id = await accept(home, recall(home, document, to=(COMMUNE, OTHER)))
    links = await home.ledger.links_due(home.at, 100)
    await orders._judge(links, home.at)
    said, about = await receipts_of(home, envelope_id), await receipts_of(home, order_id)
    await orders._judge(links, home.at)
    assert await receipts_of(home, envelope_id) == said
    assert await receipts_of(home, order_id) == about
    assert (await home.ledger.audit(home.at)).findings == ()


@pytest.mark.parametrize("wrong", [ValueError("x"), TransientError("SYS.BROKER")], ids=["fault", "outage"])
async def test_order_that_cannot_be_judged_stands_in_nobodys_way(
    home: House, orders: Orders, monkeypatch: pytest.MonkeyPatch, wrong: Exception
) -> None:
    first, second = home.document(), home.document()
    about = {await accept(home, one): await accept(home, recall(home, one)) for one in (first, second)}
    (hard, _), (easy, _) = sorted(about.items(), key=lambda pair: pair[1])  # As they are judged.
    judge, failing = Orders._judge, True

    async def fail(self: Orders, links: Sequence[DueLink], now: datetime) -> None:
        if failing and links[0].envelope_id == about[hard]:
            raise wrong
        await judge(self, links, now)

    monkeypatch.setattr(Orders, "_judge", fail)
    for _ in range(2):  # What was claimed with it is due before it is.
        with contextlib.suppress(TransientError):
            await orders.go_round()
        home.pass_time(timedelta(seconds=31))
    assert [(await stands(home, one))[0] for one in (hard, easy)] == ["queued", "recalled"]
    failing = False
    home.pass_time(timedelta(minutes=1))
    await orders.go_round()
    assert (await stands(home, hard))[0] == "recalled"


# --- statuses and replies ---------------------------------------------------------------


async def test_status_message_moves_what_is_known_of_the_work(home: House, orders: Orders, outbound: Outbound) -> None:
    document = home.document()
    row = await _delivered(home, outbound, document)
    for code, business in (("04", "04"), ("01", "04"), ("06", "06"), ("05", "06")):
        home.pass_time(timedelta(seconds=1))
        told = await accept(home, status(home, document, code), by=COMMUNE)
        await orders.go_round()
        assert (await home.row(row.envelope_id)).business == business
        assert await stands(home, told, SENDER) == ("queued", None)
    happened = [one["event"] for one in await home.ledger.events_of(row.envelope_id)]
    assert [one for one in happened if one.startswith("status")] == [
        "status.taken", "status.late", "status.taken", "status.late",
    ]  # fmt: skip


async def test_status_whose_claim_ran_out_counts_once(home: House, orders: Orders) -> None:
    document = home.document()
    envelope_id = await accept(home, document)
    await accept(home, status(home, document, "03"), by=COMMUNE)
    first = await home.ledger.links_due(home.at, 1)
    home.pass_time(timedelta(seconds=31))
    second = await home.ledger.links_due(home.at, 1)
    await orders._judge(second, home.at)
    await orders._judge(first, home.at)
    happened = [one["event"] for one in await home.ledger.events_of(envelope_id)]
    assert [one for one in happened if one.startswith("status")] == ["status.taken"]


async def test_status_message_stops_the_clocks_as_a_receipt_does(
    home: House, orders: Orders, outbound: Outbound
) -> None:
    home.answers = replace(home.answers, deadlines=Deadlines())
    orders = replace(orders, answers=home.answers)
    document = home.document()
    envelope_id = await accept(home, document)
    await outbound.go_round()
    await home.say(Delivered(), await home.row(envelope_id))
    row = await home.row(envelope_id)
    assert row.due_by is not None
    await accept(home, status(home, document, "03"), by=COMMUNE)
    await orders.go_round()
    row = await home.row(row.envelope_id)
    assert (row.business, row.registered_at, row.due_by, row.remind_at) == ("03", home.at, None, None)


async def test_status_of_an_office_that_is_no_addressee_is_refused(home: House, orders: Orders) -> None:
    document = home.document()
    await accept(home, document)
    told = await accept(home, status(home, document, "03", by=OTHER), by=OTHER)
    await orders.go_round()
    assert await stands(home, told, SENDER) == ("refused", "ORD.NOT_ADDRESSEE")


async def test_status_about_a_document_that_came_another_way_is_passed_on(home: House, orders: Orders) -> None:
    told = await accept(home, status(home, home.document(), "03"), by=COMMUNE)
    await orders.go_round()
    assert await stands(home, told, SENDER) == ("queued", None)


async def test_answer_by_status_message_is_about_the_order(home: House, orders: Orders, outbound: Outbound) -> None:
    document = home.document()
    row = await _delivered(home, outbound, document)
    order_id = await accept(home, recall(home, document))
    await orders.go_round()
    await accept(home, status(home, document, "16", text="Đã thi hành (ví dụ)"), by=COMMUNE)
    await orders.go_round()
    assert (await home.row(order_id)).business == "16"
    assert (await home.row(row.envelope_id)).business == "03"


async def test_family_is_shown_from_every_member(home: House, orders: Orders) -> None:
    first = home.document()
    first_id = await accept(home, first)
    home.at += timedelta(seconds=1)
    second = update(home, first)
    second_id = await accept(home, second)
    home.at += timedelta(seconds=1)
    answer = home.document(
        to=(SENDER,), originator=Organization(COMMUNE), responses=(ResponseFor(SENDER, first.code, first.document_id),)
    )
    answer_id = await accept(home, answer, by=COMMUNE)
    home.at += timedelta(seconds=1)
    third_id = await accept(home, recall(home, second))
    await orders.go_round()
    expected = [
        (second_id, "update", first_id, (COMMUNE,)),
        (answer_id, "reply", first_id, ()),
        (third_id, "recall", second_id, (COMMUNE,)),
    ]
    for member in (first_id, second_id, answer_id, third_id):
        family = await home.ledger.family(member)
        assert [(one.envelope_id, one.kind, one.about, one.addressees) for one in family] == expected


async def test_ordinary_document_has_no_links(home: House, orders: Orders) -> None:
    await accept(home, home.document())
    assert not await home.ledger.links_waiting(home.at + timedelta(days=1))
    assert await orders.go_round() is False
