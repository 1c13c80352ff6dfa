"""Succession: mail of a closed office is held until a person or the roll says who gets it, and nobody gets it twice."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from axis import audit, receipts
from axis.dispatch.orders import Orders
from axis.dispatch.succession import Succession
from axis.edxml import Business, BusinessType, Document, Organization, Priority, ResponseFor, Status
from axis.edxml.model import Update
from axis.errors import Refusal
from axis.ledger import BEGINNING
from axis.office.answers import Delivered, Refused, Registered
from axis.registry import AfterClosing, Office, Registry
from axis.registry import Status as OfficeStatus
from tests.house import AXIS, COMMUNE, LIFETIME, OTHER, SENDER, STRANGER, House, together

GONE = "H56.901"


def holding(home: House, **more: Any) -> Registry:
    """Return the roll of the house with an office that is closed, and whose mail is held."""
    fields: dict[str, Any] = {
        "status": OfficeStatus.CLOSED,
        "closed_on": date(2025, 7, 1),
        "successors": (COMMUNE, OTHER),
        "after_closing": AfterClosing.HOLD,
    }
    gone = Office(code=GONE, name="UBND xã cũ (ví dụ)", tier="commune", **fields | more)
    kept = [one for one in home.roll.offices() if one.code != GONE]
    return Registry.of([*kept, gone], home.roll.tiers.values())


def close(home: House, code: str, *, successors: tuple[str, ...]) -> None:
    """Close an office by now, and hold its mail."""
    closing = replace(
        home.roll.by_code[code],
        status=OfficeStatus.CLOSED,
        closed_on=date(2026, 8, 1),
        successors=successors,
        after_closing=AfterClosing.HOLD,
    )
    others = [one for one in home.roll.offices() if one.code != code]
    home.roll = Registry.of([*others, closing], home.roll.tiers.values())


@pytest.fixture
async def home(home: House) -> House:
    home.roll = holding(home)
    return home


async def send(home: House, *, to: tuple[str, ...] = (GONE,), **fields: Any) -> tuple[str, Document]:
    document = home.document(to=to, **fields)
    return (await home.accept(home.seal(document))).envelope_id, document


async def order(home: House, about: Document, kind: BusinessType, *, to: tuple[str, ...] = (GONE,)) -> str:
    update = Update(content_changed=True, receivers_changed=False) if kind is BusinessType.UPDATE else None
    business = Business(kind, reason="Ban hành nhầm (ví dụ)", document_id=about.document_id, update=update)
    return (await send(home, to=to, business=business))[0]


async def forward(home: House, envelope_id: str, *to: str) -> bool:
    row = await home.row(envelope_id, GONE)
    return await home.succession.forward(row, to, by="vanthu", reason="sáp nhập (ví dụ)")


async def stand(home: House, envelope_id: str) -> dict[str, tuple[str, str | None]]:
    return {row.addressee: (row.state, row.code) for row in await home.ledger.deliveries_of(envelope_id)}


async def said(home: House, envelope_id: str) -> list[receipts.Receipt]:
    return [home.read(one.xml) for one in await home.ledger.receipts_of(envelope_id)]


async def require_sound(home: House) -> None:
    """Hold the book against all that it promises."""
    assert (await home.ledger.audit(home.at)).findings == ()
    checks: list[audit.Check] = [audit.History(), audit.Evidence(home.province.trust(), AXIS)]
    assert (await audit.walk(home.ledger, checks, whole=True)).findings == []


async def test_mail_of_a_closed_office_is_accepted_and_held_and_its_originator_is_told(home: House) -> None:
    answer = await home.accept(home.seal(home.document(to=(GONE, OTHER))))
    assert await stand(home, answer.envelope_id) == {GONE: ("held", "DLV.HELD"), OTHER: ("queued", None)}
    (verdict,) = (one for one in home.read(answer.receipt_xml).addressees if one.code == GONE)
    assert verdict.verdict == "served"
    assert "được giữ lại" in verdict.reason
    assert f"({COMMUNE}" in verdict.reason
    _, held = await said(home, answer.envelope_id)
    assert (held.level, held.addressee, held.code, held.who_must_act, held.status) == (
        "held", GONE, "DLV.HELD", "operator", "4.2.1",
    )  # fmt: skip
    assert [one.level for one in await notices(home)] == ["accepted", "held"]
    row = await home.row(answer.envelope_id, GONE)
    assert (row.who_must_act, row.next_at, row.attempts) == ("operator", None, 0)
    assert [one.addressee for one in await home.attempt()] == [OTHER]
    await home.say(Registered("417"), await home.row(answer.envelope_id, OTHER))
    home.pass_time(timedelta(days=4))
    assert await home.attempt() == []
    assert (await home.ledger.figures(home.at)).waiting["held"] == 1
    report = await home.ledger.audit(home.at)
    assert (report.held, report.findings) == (1, ())


async def notices(home: House) -> list[receipts.Receipt]:
    """Return the receipts that are on their way to the originator, and see them off."""
    due = await home.ledger.notices_due(home.at, 100)
    await home.ledger.notices_sent([one.id for one in due])
    return [home.read(one.xml) for one in due if one.target == SENDER]


async def test_what_is_held_is_nothing_to_anybody_but_its_originator(home: House) -> None:
    content = b"%PDF-1.7 (example)"
    digest = await home.bring(SENDER, content)
    envelope = home.seal(home.document(to=(GONE,)), {"cong-van.pdf": content})
    envelope_id = (await home.accept(envelope)).envelope_id
    for office in (GONE, COMMUNE):
        assert not await home.ledger.may_read(office, digest)
        found = await home.ledger.look_up(office, digest=digest, document_id=None, code=None, limit=9, now=home.at)
        assert found == []
        seen = await home.ledger.events_for(office, BEGINNING, 100, now=home.at)
        assert seen.rows == ()
    own = await home.ledger.events_for(SENDER, BEGINNING, 100, now=home.at)
    assert [row["event"] for row in own.rows] == ["envelope.accepted", "receipt.held"]
    assert await forward(home, envelope_id, COMMUNE)
    assert [await home.ledger.may_read(office, digest) for office in (GONE, COMMUNE)] == [False, True]
    await require_sound(home)


async def test_what_was_held_to_the_end_of_its_life_is_still_nothing_to_a_closed_office(home: House) -> None:
    digest = await home.bring(SENDER, b"%PDF-1.7 (example)")
    envelope = home.seal(home.document(to=(GONE,)), {"cong-van.pdf": b"%PDF-1.7 (example)"})
    envelope_id = (await home.accept(envelope)).envelope_id
    home.pass_time(LIFETIME)
    (row,) = await home.ledger.expiring(home.at, 9)
    await home.answers.expire(row, home.at)
    row = await home.row(envelope_id, GONE)
    assert (row.state, row.is_readable(home.at)) == ("expired", False)
    assert not await home.ledger.may_read(GONE, digest)
    assert await home.ledger.look_up(GONE, digest=digest, document_id=None, code=None, limit=9, now=home.at) == []
    assert (await home.ledger.events_for(GONE, BEGINNING, 100, now=home.at)).rows == ()


async def test_forwarding_names_both_codes_and_begins_a_delivery_with_a_life_of_its_own(home: House) -> None:
    envelope_id, _ = await send(home, due_on=date(2026, 8, 26), priority=Priority.URGENT)
    home.pass_time(timedelta(days=4))
    await notices(home)
    assert await forward(home, envelope_id, COMMUNE)
    gone, heir = await home.row(envelope_id, GONE), await home.row(envelope_id, COMMUNE)
    assert (gone.state, gone.code, gone.who_must_act, gone.next_at) == ("forwarded", "DLV.FORWARDED", "nobody", None)
    told = (await said(home, envelope_id))[-1]
    assert (told.level, told.addressee, told.status) == ("forwarded", GONE, "2.1.5")
    assert [(one.code, one.addressed) for one in told.addressees] == [(COMMUNE, GONE)]
    assert told.reason.endswith(f"UBND xã cũ (ví dụ) ({GONE}) → {COMMUNE} (ví dụ) ({COMMUNE})")
    targets = {one.target for one in await home.ledger.notices_due(home.at, 9)}
    assert targets == {SENDER, COMMUNE}
    assert (heir.in_place_of, heir.state, heir.accepted_at) == (GONE, "queued", home.at)
    assert heir.expires_at == home.at + LIFETIME
    # The day that the document asked for is past: it does not run against who gets it only now.
    assert (heir.process_by, heir.due_by) == (None, None)
    (attempt,) = await home.attempt()
    assert (attempt.addressee, attempt.attempt_no) == (COMMUNE, 1)
    await home.say(Registered("417"), await home.row(envelope_id, COMMUNE))
    heir = await home.row(envelope_id, COMMUNE)
    assert (heir.state, heir.business) == ("delivered", "03")
    assert heir.register_by is not None
    assert heir.register_by > home.at
    event = next(one for one in await home.ledger.events_of(envelope_id) if one["event"] == "receipt.forwarded")
    assert (event["detail"]["by"], event["detail"]["reason"]) == ("vanthu", "sáp nhập (ví dụ)")
    await require_sound(home)


async def test_several_successors_get_it_each_once(home: House) -> None:
    envelope_id, _ = await send(home, to=(GONE, OTHER))
    await home.attempt()
    assert await forward(home, envelope_id, OTHER, COMMUNE, OTHER)
    assert {code: state for code, (state, _) in (await stand(home, envelope_id)).items()} == {
        GONE: "forwarded",
        OTHER: "sent",  # It was an addressee itself.
        COMMUNE: "queued",
    }
    assert [one.addressee for one in await home.attempt()] == [COMMUNE]
    assert (await home.row(envelope_id, OTHER)).in_place_of is None
    await require_sound(home)


async def test_of_operators_who_decide_at_once_one_does(home: House) -> None:
    envelope_id, _ = await send(home)
    row = await home.row(envelope_id, GONE)
    done = await together(
        home.succession.forward(row, (COMMUNE,), by="a", reason=""),
        home.succession.forward(row, (OTHER,), by="b", reason=""),
        home.succession.give_back(row, by="c", reason="gửi lại (ví dụ)"),
    )
    assert sorted(done) == [False, False, True]
    assert not await forward(home, envelope_id, COMMUNE)
    assert len(await home.ledger.receipts_of(envelope_id)) == 3
    await require_sound(home)


async def test_what_is_returned_is_refused_with_the_reason_and_what_nobody_decides_on_expires(home: House) -> None:
    envelope_id, _ = await send(home)
    row = await home.row(envelope_id, GONE)
    assert await home.succession.give_back(row, by="vanthu", reason="gửi lại cho phường (ví dụ)")
    assert await stand(home, envelope_id) == {GONE: ("refused", "DLV.RETURNED")}
    told = (await said(home, envelope_id))[-1]
    assert (told.level, told.code, told.who_must_act) == ("rejected", "DLV.RETURNED", "originator")
    assert told.reason.endswith("gửi lại cho phường (ví dụ)")
    assert [one.level for one in await notices(home)] == ["accepted", "held", "rejected"]
    forgotten, _ = await send(home)
    home.pass_time(LIFETIME)
    (row,) = await home.ledger.expiring(home.at, 9)
    await home.answers.expire(row, home.at)
    assert await stand(home, forgotten) == {GONE: ("expired", "DLV.EXPIRED")}
    assert not await forward(home, forgotten, COMMUNE)
    await require_sound(home)


async def test_what_its_heir_has_refused_by_the_commit_is_not_forwarded_to_it(home: House) -> None:
    envelope_id, _ = await send(home, to=(GONE, OTHER))
    await home.attempt()
    row = await home.row(envelope_id, GONE)
    # As of somebody who has looked before that.
    await home.say(Refused("Không đúng thẩm quyền (ví dụ)"), await home.row(envelope_id, OTHER))
    assert not await home.answers.forward(row, home.at, heirs=(COMMUNE, OTHER), by="vanthu", reason="")
    assert await stand(home, envelope_id) == {GONE: ("held", "DLV.HELD"), OTHER: ("refused", "DLV.REFUSED")}
    assert await home.answers.forward(row, home.at, heirs=(COMMUNE,), by="vanthu", reason="")
    await require_sound(home)


async def test_only_a_successor_that_can_still_get_it_may_be_chosen(home: House) -> None:
    envelope_id, _ = await send(home, to=(GONE, OTHER))
    await home.attempt()
    await home.say(Refused("Không đúng thẩm quyền (ví dụ)"), await home.row(envelope_id, OTHER))
    for code in (STRANGER, SENDER, OTHER):
        with pytest.raises(Refusal) as refused:
            await forward(home, envelope_id, COMMUNE, code)
        assert refused.value.code == "DLV.NO_HEIR"
    assert await stand(home, envelope_id) == {GONE: ("held", "DLV.HELD"), OTHER: ("refused", "DLV.REFUSED")}


# --- the roll ---------------------------------------------------------------------------------


async def test_office_that_takes_part_again_gets_its_mail(home: House) -> None:
    hour = home.at + timedelta(hours=3)
    envelope_id, _ = await send(home)
    timed, _ = await send(home, priority=Priority.TIMED, release_at=hour)
    # A roll that has come to refuse mail, or only suspends the office, decides nothing about what is here.
    suspended = {"status": OfficeStatus.SUSPENDED, "closed_on": None}
    for changes in ({}, {"after_closing": AfterClosing.REJECT}, suspended):
        home.roll = holding(home, **changes)
        await home.succession.go_round()
        assert await stand(home, envelope_id) == {GONE: ("held", "DLV.HELD")}
    home.roll = holding(home, status=OfficeStatus.ACTIVE, closed_on=None)
    await home.succession.go_round()
    row = await home.row(envelope_id, GONE)
    assert (row.state, row.code, row.reason, row.who_must_act) == ("queued", None, "", "nobody")
    assert [(one.envelope_id, one.attempt_no) for one in await home.attempt()] == [(envelope_id, 1)]
    await require_sound(home)
    home.pass_time(timedelta(hours=3))
    assert [one.envelope_id for one in await home.attempt()] == [timed]


async def test_roll_that_has_come_to_forward_decides(home: House) -> None:
    hour = home.at + timedelta(hours=3)
    envelope_id, _ = await send(home, to=(GONE,))
    timed, _ = await send(home, priority=Priority.TIMED, release_at=hour)
    refused, _ = await send(home, to=(GONE, OTHER))
    await home.attempt()
    await home.say(Refused("Không đúng thẩm quyền (ví dụ)"), await home.row(refused, OTHER))
    home.roll = holding(home, after_closing=AfterClosing.FORWARD, forward_to=(OTHER,))
    await home.succession.go_round()
    await home.succession.go_round()
    assert await stand(home, envelope_id) == {GONE: ("forwarded", "DLV.FORWARDED"), OTHER: ("queued", None)}
    heir = await home.row(timed, OTHER)
    assert (heir.release_at, heir.next_at, heir.expires_at) == (hour, hour, hour + LIFETIME)
    # The heir has said no to it before: a person decides.
    assert await stand(home, refused) == {GONE: ("held", "DLV.HELD"), OTHER: ("refused", "DLV.REFUSED")}
    assert [one.envelope_id for one in await home.attempt()] == [envelope_id]
    event = next(one for one in await home.ledger.events_of(envelope_id) if one["event"] == "receipt.forwarded")
    assert event["detail"]["by"] == "roll"
    await require_sound(home)


async def test_heirs_get_much_that_was_held_a_few_at_a_time(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = [(await send(home))[0] for _ in range(20)]
    home.roll = holding(home, after_closing=AfterClosing.FORWARD, forward_to=(OTHER,))
    running, most, plain = 0, 0, Succession._hand_on

    async def count(self: Succession, *args: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await plain(self, *args)
        running -= 1

    monkeypatch.setattr(Succession, "_hand_on", count)
    await home.succession.go_round()
    assert most == 8
    assert [(await stand(home, one))[GONE][0] for one in sent] == ["forwarded"] * 20


# --- orders -----------------------------------------------------------------------------------


async def test_recall_of_any_kind_takes_out_what_is_held(home: House, orders: Orders) -> None:
    first, document = await send(home)
    second, of_status = await send(home)
    third, of_heir = await send(home)
    recall = await order(home, document, BusinessType.RECALL)
    status = Status(
        originator=Organization(SENDER),
        response_for=ResponseFor(GONE, of_status.code, of_status.document_id, of_status.promulgated_on),
        status_code="13",
        description="Gửi nhầm (ví dụ)",
        at=home.at,
    )
    await home.accept(home.seal(status))
    await order(home, of_heir, BusinessType.RECALL, to=(COMMUNE,))
    await orders.go_round()
    for envelope_id in (first, second, third):
        assert await stand(home, envelope_id) == {GONE: ("recalled", "ORD.TAKEN_BACK")}
    assert await stand(home, recall) == {GONE: ("recalled", "ORD.NOTHING_THERE")}
    assert not await forward(home, first, COMMUNE)
    await require_sound(home)


async def test_order_for_an_heir_that_has_a_copy_leaves_alone_what_is_held(home: House, orders: Orders) -> None:
    for kind in (BusinessType.RECALL, BusinessType.UPDATE):
        envelope_id, document = await send(home, to=(GONE, COMMUNE))
        of_heir = await order(home, document, kind, to=(COMMUNE,))
        await orders.go_round()
        assert await stand(home, envelope_id) == {
            GONE: ("held", "DLV.HELD"),
            COMMUNE: ("recalled", "ORD.TAKEN_BACK"),
        }
        assert (await stand(home, of_heir))[COMMUNE][0] == ("recalled" if kind is BusinessType.RECALL else "queued")
        assert await forward(home, envelope_id, OTHER)
    await require_sound(home)


async def test_update_takes_the_place_of_what_is_held(home: House, orders: Orders) -> None:
    envelope_id, document = await send(home)
    update = await order(home, document, BusinessType.UPDATE)
    with pytest.raises(Refusal) as refused:
        await forward(home, update, COMMUNE)
    assert refused.value.code == "ORD.WAITS"
    home.roll = holding(home, status=OfficeStatus.ACTIVE, closed_on=None)
    await home.succession.go_round()
    assert (await stand(home, update))[GONE] == ("held", "DLV.HELD")  # It is not known yet what it speaks of.
    home.roll = holding(home)
    (first,) = [row for row in await home.ledger.deliveries_of(envelope_id) if row.state == "queued"]
    assert first.addressee == GONE
    await orders.go_round()
    assert (await stand(home, envelope_id))[GONE] == ("recalled", "ORD.TAKEN_BACK")
    assert await stand(home, update) == {GONE: ("held", "DLV.HELD")}
    assert await forward(home, update, COMMUNE)
    assert [one.envelope_id for one in await home.attempt()] == [update]
    await require_sound(home)


async def test_order_follows_its_document_to_whom_that_was_forwarded(home: House, orders: Orders) -> None:
    envelope_id, document = await send(home)
    assert await forward(home, envelope_id, COMMUNE, OTHER)
    for attempt in await home.attempt():
        if attempt.addressee == COMMUNE:
            await home.say(Registered("417"), await home.row(envelope_id, COMMUNE))
    await home.ledger.put_back([(await home.row(envelope_id, OTHER)).numbered], home.at, "SYS.BROKER")
    recall = await order(home, document, BusinessType.RECALL)
    await orders.go_round()
    # One has it and is asked; of the other it is not known, so it is asked, too.
    assert {code: state for code, (state, _) in (await stand(home, recall)).items()} == {
        GONE: "forwarded",
        COMMUNE: "queued",
        OTHER: "queued",
    }
    told = next(one for one in await said(home, recall) if one.level == "forwarded")
    assert [(one.code, one.addressed) for one in told.addressees] == [(COMMUNE, GONE), (OTHER, GONE)]
    await orders.go_round()
    assert len(await home.ledger.receipts_of(recall)) == 3
    await require_sound(home)


async def test_order_that_is_not_judged_yet_is_not_returned(home: House, orders: Orders) -> None:
    envelope_id, document = await send(home)
    recall = await order(home, document, BusinessType.RECALL)
    row = await home.row(recall, GONE)
    with pytest.raises(Refusal) as refused:
        await home.succession.give_back(row, by="vanthu", reason="gửi lại (ví dụ)")
    assert refused.value.code == "ORD.WAITS"
    assert await stand(home, recall) == {GONE: ("held", "DLV.HELD")}
    await orders.go_round()
    assert await stand(home, envelope_id) == {GONE: ("recalled", "ORD.TAKEN_BACK")}
    assert await stand(home, recall) == {GONE: ("recalled", "ORD.NOTHING_THERE")}
    assert not await home.succession.give_back(row, by="vanthu", reason="gửi lại (ví dụ)")
    await require_sound(home)


async def test_order_is_never_forwarded_to_its_own_addressee_nor_to_an_office_that_is_closed(
    home: House, orders: Orders
) -> None:
    envelope_id, document = await send(home)
    assert await forward(home, envelope_id, COMMUNE, OTHER)
    for attempt in await home.attempt():
        await home.say(Registered("417"), await home.row(envelope_id, attempt.addressee))
    close(home, COMMUNE, successors=(STRANGER,))
    # It names the heir, which is closed by now: the copy of the heir beside it is none of its business.
    of_heir = await order(home, document, BusinessType.UPDATE, to=(COMMUNE,))
    of_both = await order(home, document, BusinessType.RECALL)
    await orders.go_round()
    assert await stand(home, of_heir) == {COMMUNE: ("held", "DLV.HELD")}
    assert await stand(home, of_both) == {GONE: ("held", "DLV.HELD")}
    row = await home.row(of_heir, COMMUNE)
    assert await home.succession.forward(row, (STRANGER,), by="vanthu", reason="")
    assert await forward(home, of_both, STRANGER, OTHER)
    going = {(one.envelope_id, one.addressee) for one in await home.attempt()}
    assert going == {(of_heir, STRANGER), (of_both, STRANGER), (of_both, OTHER)}
    await require_sound(home)


async def test_recall_takes_back_what_waits_for_the_heir_and_ends(home: House, orders: Orders) -> None:
    envelope_id, document = await send(home)
    assert await forward(home, envelope_id, COMMUNE)
    recall = await order(home, document, BusinessType.RECALL)
    await orders.go_round()
    assert await stand(home, envelope_id) == {
        GONE: ("forwarded", "DLV.FORWARDED"),
        COMMUNE: ("recalled", "ORD.TAKEN_BACK"),
    }
    assert await stand(home, recall) == {GONE: ("recalled", "ORD.NOTHING_THERE")}
    await require_sound(home)


async def test_recall_of_what_the_office_had_before_it_was_closed_is_held(home: House, orders: Orders) -> None:
    home.roll = holding(home, status=OfficeStatus.ACTIVE, closed_on=None)
    envelope_id, document = await send(home)
    await home.attempt()
    await home.ledger.put_back([(await home.row(envelope_id, GONE)).numbered], home.at, "SYS.BROKER")
    home.roll = holding(home)
    recall = await order(home, document, BusinessType.RECALL)
    await orders.go_round()
    assert await stand(home, recall) == {GONE: ("held", "DLV.HELD")}
    assert await forward(home, recall, COMMUNE)
    assert (await stand(home, recall))[COMMUNE] == ("queued", None)
    # What the closed office was never sent cannot be recalled from it.
    _, elsewhere = await send(home, to=(COMMUNE,))
    recall = await order(home, elsewhere, BusinessType.RECALL)
    await orders.go_round()
    assert await stand(home, recall) == {GONE: ("refused", "ORD.NOT_SENT_TO")}


def report(document: Document, by: str, code: str, at: datetime) -> Status:
    """Return what an office says of a document of the sender's."""
    about = ResponseFor(SENDER, document.code, document.document_id, document.promulgated_on)
    return Status(originator=Organization(by), response_for=about, status_code=code, description="(ví dụ)", at=at)


async def test_heir_reports_on_its_own_copy_and_on_no_other_that_it_was_not_given(home: House, orders: Orders) -> None:
    async def reports(by: str, code: str) -> str:
        return (await home.accept(home.seal(report(document, by, code, home.at), by=by), by=by)).envelope_id

    envelope_id, document = await send(home, to=(COMMUNE, GONE))
    await home.attempt()
    await home.say(Delivered(), await home.row(envelope_id, COMMUNE))
    await reports(COMMUNE, "03")
    beside = [await reports(OTHER, "03")]
    await orders.go_round()
    assert await forward(home, envelope_id, COMMUNE)
    beside.append(await reports(OTHER, "04"))
    await reports(COMMUNE, "04")
    await orders.go_round()
    assert (await home.row(envelope_id, COMMUNE)).business == "04"
    assert (await home.row(envelope_id, GONE)).business is None
    for message in beside:
        assert await stand(home, message) == {SENDER: ("refused", "ORD.NOT_ADDRESSEE")}
    await require_sound(home)


async def test_heir_answers_the_order_that_it_was_given(home: House, orders: Orders) -> None:
    envelope_id, document = await send(home, to=(COMMUNE, GONE))
    assert await forward(home, envelope_id, COMMUNE)
    await home.attempt()
    await home.say(Registered("417"), await home.row(envelope_id, COMMUNE))
    update = await order(home, document, BusinessType.UPDATE, to=(COMMUNE, GONE))
    await orders.go_round()
    await home.attempt()
    await home.accept(home.seal(report(document, COMMUNE, "16", home.at), by=COMMUNE), by=COMMUNE)
    await orders.go_round()
    assert (await home.row(update, COMMUNE)).business == "16"
    assert (await home.row(update, GONE)).business is None


async def test_status_about_a_document_of_a_closed_office_is_held_and_counts(home: House, orders: Orders) -> None:
    """Its documents are known by its own code; who took over from it is to hear what became of them."""
    document = home.document(to=(COMMUNE,), originator=Organization(OTHER), document_id=f"{OTHER},2026/08/25,9/UBND")
    envelope_id = (await home.accept(home.seal(document, by=OTHER), by=OTHER)).envelope_id
    await home.attempt()
    await home.say(Delivered(), await home.row(envelope_id, COMMUNE))
    close(home, OTHER, successors=(STRANGER,))
    status = Status(
        originator=Organization(COMMUNE),
        response_for=ResponseFor(OTHER, document.code, document.document_id, document.promulgated_on),
        status_code="03",
        at=home.at,
    )
    message = (await home.accept(home.seal(status, by=COMMUNE), by=COMMUNE)).envelope_id
    await orders.go_round()
    assert (await home.row(envelope_id, COMMUNE)).business == "03"
    assert (await home.row(message, OTHER)).state == "held"
    row = await home.row(message, OTHER)
    assert await home.succession.forward(row, (STRANGER,), by="vanthu", reason="")
    assert [one.addressee for one in await home.attempt()] == [STRANGER]
    await home.say(Delivered(), await home.row(message, STRANGER))
    await require_sound(home)
