"""Orders at the office: what is frozen, what is given up, what is never taken, and what a crash leaves."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from axis import (
    Agreed,
    BusinessType,
    Declined,
    Delivered,
    Document,
    Level,
    Office,
    Order,
    OrderKind,
    Permanent,
    PermanentError,
    Progress,
    Refused,
    Registered,
    StatusReport,
    Unavailable,
    clock,
    edxml,
    receipts,
    seal,
)
from axis.edxml import Organization, Replacement
from axis.errors import TransientError
from axis.office import OfficeSettings
from axis.office.answers import Answer, Decision
from axis.office.state import State
from axis.office.testing import OFFICE, SENDER, Delivery, TestAxis
from axis.seal import pki

OTHER = "H56.05"


def _no_settings() -> OfficeSettings:
    raise AssertionError("the test axis brings its own")


@dataclass
class Desk:
    """An office whose handlers do as they are told, and remember what they were given."""

    answers: dict[str, Answer | Exception] = field(default_factory=dict)  # By subject.
    decide: Callable[[Order], Decision] | None = lambda _order: Agreed()
    documents: list[Document] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    office: Office = field(default_factory=lambda: Office(_no_settings))

    def __post_init__(self) -> None:
        @self.office.on_document
        async def receive(doc: Document) -> Answer:
            self.documents.append(doc)
            answer = self.answers.get(doc.subject, Registered(str(len(self.documents))))
            if isinstance(answer, Exception):
                raise answer
            return answer

        if self.decide is None:
            return

        @self.office.on_order
        async def decide(order: Order) -> Decision:
            self.orders.append(order)
            assert self.decide is not None
            return self.decide(order)


def _said(delivery: Delivery) -> list[tuple[str, str | None]]:
    return [(one.level.value, one.status_code) for one in delivery.receipts]


_AGREED = [("delivered", "01"), ("progress", "15")]
_REGISTERED = [("delivered", "01"), ("registered", "03")]
_WITHDRAWN = [*_REGISTERED, ("recalled", "15")]


# --- a document that is here ------------------------------------------------------------


async def test_agreed_recall_withdraws_the_copy_with_a_receipt_that_proves_it() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        sent = axis.document()
        document = await axis.deliver(sent, {"1.pdf": b"%PDF"})
        order = await axis.deliver(axis.order(sent, reason="gửi nhầm nơi nhận"))
        document = axis.later(document)
    (given,) = desk.orders
    assert (given.kind, given.reason, given.originator.organ_id) == (OrderKind.RECALL, "gửi nhầm nơi nhận", SENDER)
    assert (given.envelope_id, given.sealed, given.document) == (order.envelope_id, order.sealed, None)
    target = given.target
    assert (target.envelope_id, target.document_id) == (document.envelope_id, sent.document_id)
    assert (target.code, target.level, target.number) == (sent.code, Level.REGISTERED, "1")
    assert _said(order) == _AGREED
    assert _said(document) == _WITHDRAWN
    assert document.last.envelope_digest == document.digest
    assert document.last.previous == document.chain[-2].digest
    assert order.last.document_id in document.last.reason
    assert len(desk.documents) == 1


async def test_document_that_was_withdrawn_is_spoken_of_no_more_and_comes_again_in_vain() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        sent = axis.document()
        document = await axis.deliver(sent)
        await axis.deliver(axis.order(sent))
        with pytest.raises(PermanentError, match=r"ORD\.WITHDRAWN"):
            await desk.office.report(document.envelope_id, Progress("06"))
        before = list(axis._said)
        document = await axis.again(document)
        assert axis._said[len(before) :] == [one.xml for one in document.chain[1:]]
        twin = await axis.deliver(document.sealed)  # The same content under another envelope id.
    assert _said(document) == _WITHDRAWN
    assert _said(twin) == [("recalled", "15")]
    assert len(desk.documents) == 1


async def test_declined_recall_gives_its_reason_and_changes_nothing() -> None:
    desk = Desk(decide=lambda _order: Declined("đã chuyển xử lý"))
    async with TestAxis(desk.office) as axis:
        sent = axis.document()
        document = await axis.deliver(sent)
        order = await axis.deliver(axis.order(sent))
        await desk.office.report(document.envelope_id, Progress("06"))
        document = axis.later(document)
    assert _said(order) == [("delivered", "01"), ("progress", "16")]
    assert order.last.reason == "đã chuyển xử lý"
    assert _said(document) == [*_REGISTERED, ("progress", "06")]


@pytest.mark.parametrize("has_handler", [True, False])
async def test_document_is_frozen_until_a_clerk_has_decided(*, has_handler: bool) -> None:
    desk = Desk(decide=(lambda _order: Delivered()) if has_handler else None)
    async with TestAxis(desk.office) as axis:
        sent = axis.document()
        document = await axis.deliver(sent, {"1.pdf": b"%PDF"})
        order = await axis.deliver(axis.order(sent))
        assert _said(order) == [("delivered", "01")]
        with pytest.raises(PermanentError, match=rf"ORD\.FROZEN.*{order.envelope_id}"):
            await desk.office.report(document.envelope_id, Progress("06"))
        assert await desk.documents[0].attachments[0].read() == b"%PDF"
        await desk.office.report(document.envelope_id, Registered("1"))  # It was said before.
        assert _said(axis.later(document)) == _REGISTERED
        await desk.office.report(order.envelope_id, Agreed("đồng ý"))
        await desk.office.report(order.envelope_id, Agreed("đồng ý"))
        order, document = axis.later(order), axis.later(document)
    assert (_said(order), order.last.reason) == (_AGREED, "đồng ý")
    assert _said(document) == _WITHDRAWN


async def test_clerk_who_declines_later_thaws_the_document() -> None:
    desk = Desk(decide=lambda _order: Delivered())
    async with TestAxis(desk.office) as axis:
        sent = axis.document()
        document = await axis.deliver(sent)
        order = await axis.deliver(axis.order(sent))
        await desk.office.report(desk.orders[0], Declined("đã thi hành"))
        await desk.office.report(document.envelope_id, Progress("05"))
        with pytest.raises(PermanentError, match=r"ORD\.ANSWER"):
            await desk.office.report(order.envelope_id, Agreed())
        order, document = axis.later(order), axis.later(document)
    assert _said(order) == [("delivered", "01"), ("progress", "16")]
    assert _said(document) == [*_REGISTERED, ("progress", "05")]


async def test_take_back_is_an_order_and_no_status_like_others() -> None:
    desk = Desk()

    @desk.office.on_status
    async def told(report: StatusReport) -> None:
        raise AssertionError("an order was told as news")

    async with TestAxis(desk.office) as axis:
        sent = axis.document()
        document = await axis.deliver(sent)
        order = await axis.deliver(axis.take_back(sent, reason="lấy lại"))
        document = axis.later(document)
    assert (desk.orders[0].kind, desk.orders[0].reason) == (OrderKind.TAKE_BACK, "lấy lại")
    assert (_said(order), _said(document)) == (_AGREED, _WITHDRAWN)


async def test_recall_that_repeats_the_id_of_its_document_means_that_document() -> None:
    """So the national SDK writes it: without Bussiness/DocumentId."""
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        sent = axis.document()
        document = await axis.deliver(sent)
        recall = axis.order(sent)
        plain = replace(recall, document_id=sent.document_id, business=replace(recall.business, document_id=""))
        order = await axis.deliver(plain)
        document = axis.later(document)
    assert (_said(order), _said(document)) == (_AGREED, _WITHDRAWN)


async def test_every_copy_of_the_document_is_withdrawn() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        sealed = axis.seal(sent := axis.document())
        one, two = await axis.deliver(sealed), await axis.deliver(sealed)
        await axis.deliver(axis.order(sent))
        assert [_said(axis.later(copy)) for copy in (one, two)] == [_WITHDRAWN, _WITHDRAWN]
    assert [target.envelope_id for target in desk.orders[0].targets] == [two.envelope_id, one.envelope_id]


@pytest.mark.parametrize("answer", [Declined("không"), Delivered(), Agreed()])
async def test_order_that_comes_again_gets_the_same_answer(answer: Decision) -> None:
    desk = Desk(decide=lambda _order: answer)
    async with TestAxis(desk.office) as axis:
        sealed = axis.seal(axis.order(sent := axis.document()))
        await axis.deliver(sent)
        order = await axis.deliver(sealed)
        before = len(axis._said)
        await axis.again(order)
        assert axis._said[before:] == [one.xml for one in order.chain[1:]]
        twin = await axis.deliver(sealed)
    assert _said(twin) == _said(order)
    assert len(desk.orders) == 1


async def test_second_order_about_a_document_that_is_gone_is_agreed_at_once() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        sent = axis.document()
        document = await axis.deliver(sent)
        await axis.deliver(axis.order(sent))
        second = await axis.deliver(axis.order(sent))
        document = axis.later(document)
    assert _said(second) == _AGREED
    assert "withdrawn before" in second.last.reason
    assert _said(document) == _WITHDRAWN
    assert len(desk.orders) == 1


async def test_two_orders_that_wait_do_not_withdraw_twice() -> None:
    desk = Desk(decide=lambda _order: Delivered())
    async with TestAxis(desk.office) as axis:
        sent = axis.document()
        document = await axis.deliver(sent)
        orders = [await axis.deliver(axis.order(sent)) for _ in range(2)]
        await asyncio.gather(*(desk.office.report(order.envelope_id, Agreed()) for order in orders))
        assert [_said(axis.later(order)) for order in orders] == [_AGREED, _AGREED]
        assert _said(axis.later(document)) == _WITHDRAWN


# --- a document that is not here ----------------------------------------------------------


@pytest.mark.parametrize("by_status", [False, True])
async def test_order_that_comes_first_keeps_its_document_out(*, by_status: bool) -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        sent = axis.document()
        order = await axis.deliver(axis.take_back(sent) if by_status else axis.order(sent))
        document = await axis.deliver(sent)
        unrelated = await axis.deliver(axis.document())
    assert _said(order) == _AGREED
    assert "never had" in order.last.reason or "has not taken" in order.last.reason
    assert _said(document) == [("recalled", "15")]
    assert document.last.previous == document.chain[0].digest
    assert _said(unrelated) == _REGISTERED
    assert desk.orders == []
    assert len(desk.documents) == 1


async def test_order_stands_after_a_restart(tmp_path: Path) -> None:
    first, second = Desk(), Desk()
    async with TestAxis(first.office, state=tmp_path) as axis:
        sent = axis.document()
        await axis.deliver(axis.order(sent))
    async with TestAxis(second.office, state=tmp_path) as axis:
        document = await axis.deliver(sent)
    assert _said(document) == [("recalled", "15")]
    assert second.documents == []


async def test_document_that_was_put_off_and_never_taken_is_as_one_that_never_came() -> None:
    desk = Desk(answers={"put off": Unavailable("đang bảo trì")})
    async with TestAxis(desk.office) as axis:
        sent = axis.document(subject="put off")
        document = await axis.deliver(sent)
        order = await axis.deliver(axis.order(sent))
        document = await axis.again(document)
    assert _said(order) == _AGREED
    assert _said(document) == [("deferred", None), ("recalled", "15")]
    assert len(desk.documents) == 1


async def test_document_that_was_refused_leaves_nothing_to_withdraw() -> None:
    desk = Desk(answers={"refused": Refused("sai thẩm quyền")})
    async with TestAxis(desk.office) as axis:
        sent = axis.document(subject="refused")
        document = await axis.deliver(sent)
        order = await axis.deliver(axis.order(sent))
        document = axis.later(document)
    assert _said(order) == _AGREED
    assert "refused" in order.last.reason
    assert _said(document) == [("refused", "02")]


@pytest.mark.parametrize(("answer", "is_asked"), [(Registered("9"), True), (Refused("không"), False)])
async def test_order_waits_for_the_attempt_that_runs(answer: Answer, *, is_asked: bool) -> None:
    desk, started, go_on = Desk(), asyncio.Event(), asyncio.Event()

    @desk.office.on_document
    async def receive(doc: Document) -> Answer:
        started.set()
        await go_on.wait()
        return answer

    async with TestAxis(desk.office) as axis:
        sent = axis.document()
        handling = asyncio.create_task(axis.deliver(sent))
        await started.wait()
        ordering = asyncio.create_task(axis.deliver(axis.order(sent)))
        await asyncio.sleep(0.05)
        assert not ordering.done()
        assert desk.orders == []
        go_on.set()
        document, order = await handling, await ordering
        document = axis.later(document)
    assert _said(order) == _AGREED
    assert _said(document) == (_WITHDRAWN if is_asked else [("refused", "02")])
    assert [one.target.number for one in desk.orders] == (["9"] if is_asked else [])


# --- who may order ------------------------------------------------------------------------


async def _order_of_another(axis: TestAxis, sent: Any) -> Delivery:
    """Deliver an order that another office has sealed, about a document of the sender's."""
    trust = axis._folder / "trust"
    pki.issue(trust, OTHER, name="Sở mẫu (ví dụ)", now=clock.now())
    await axis._office._open._follow_trust()
    axis.trust = seal.load_trust(trust)
    forged = replace(axis.order(sent), originator=Organization(OTHER, "Sở mẫu (ví dụ)"))
    return await axis.deliver(seal.seal(edxml.render(forged), axis.key(OTHER)))


async def test_order_of_an_office_that_is_not_the_originator_is_declined_and_freezes_nothing() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        document = await axis.deliver(sent := axis.document())
        order = await _order_of_another(axis, sent)
        await desk.office.report(document.envelope_id, Progress("05"))
        again = await axis.deliver(axis.document(document_id="H56.VP,2026/08/25,9/VP-TH"))
    assert _said(order) == [("delivered", "01"), ("progress", "16")]
    assert "not the originator" in order.last.reason
    assert desk.orders == []
    assert _said(again) == _REGISTERED


async def test_order_of_an_office_that_is_not_the_originator_keeps_nothing_out() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        sent = axis.document()
        order = await _order_of_another(axis, sent)
        document = await axis.deliver(sent)
    assert _said(order) == _AGREED  # This office never had such a document of that office's.
    assert _said(document) == _REGISTERED


_ROLL = """
[tiers]
province = {{ name = "Tỉnh", rank = 0 }}

[[offices]]
code = "{sender}"
name = "Văn phòng (ví dụ)"
tier = "province"
status = "closed"
successors = ["{other}"]
certificates = ["certs/{sender}.pem"]

[[offices]]
code = "{other}"
name = "Sở mẫu (ví dụ)"
tier = "province"
certificates = ["certs/{other}.pem"]

[[offices]]
code = "{office}"
name = "UBND phường mẫu (ví dụ)"
tier = "province"
certificates = ["certs/{office}.pem"]
"""


async def test_successor_of_the_originator_may_order_if_our_own_roll_names_it() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        document = await axis.deliver(sent := axis.document())
        roll = _ROLL.format(sender=SENDER, other=OTHER, office=OFFICE)
        (axis._folder / "trust" / "offices.toml").write_text(roll, encoding="utf-8")
        order = await _order_of_another(axis, sent)
        document = axis.later(document)
    assert (_said(order), _said(document)) == (_AGREED, _WITHDRAWN)


# --- what takes the place of a document ------------------------------------------------------

_BRINGS = [BusinessType.UPDATE, BusinessType.REPLACE]


@pytest.mark.parametrize("kind", _BRINGS)
async def test_agreed_update_takes_the_place_of_the_document(kind: BusinessType) -> None:
    desk = Desk(decide=lambda _order: Agreed(number="9a"))
    async with TestAxis(desk.office) as axis:
        document = await axis.deliver(old := axis.document())
        new = axis.order(old, kind, subject="Bản mới (ví dụ)")
        order = await axis.deliver(new, {"moi.pdf": b"%PDF new"})
        given = desk.orders[0].document
        assert given is not None
        assert (given.subject, await given.attachments[0].read()) == ("Bản mới (ví dụ)", b"%PDF new")
        assert _said(axis.later(document)) == _WITHDRAWN
        await desk.office.report(order.envelope_id, Progress("05"))
        order = axis.later(order)
        assert _said(order) == [*_AGREED, ("registered", "03"), ("progress", "05")]
        assert order.receipts[2].number == "9a"
        recall = await axis.deliver(axis.order(new))  # It is a document like any other now.
        order = axis.later(order)
    assert desk.orders[1].target.number == "9a"
    assert (_said(recall)[:2], order.last.level) == (_AGREED, Level.RECALLED)
    assert len(desk.documents) == 1


async def test_update_that_is_agreed_to_first_and_registered_later() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        await axis.deliver(old := axis.document())
        order = await axis.deliver(axis.order(old, BusinessType.UPDATE))
        await desk.office.report(order.envelope_id, Registered("10"))
        order = axis.later(order)
    assert _said(order) == [*_AGREED, ("registered", "03")]


@pytest.mark.parametrize("kind", _BRINGS)
async def test_declined_update_leaves_the_document_and_is_not_here(kind: BusinessType) -> None:
    desk = Desk(decide=lambda order: Declined("không") if order.kind is not OrderKind.RECALL else Agreed())
    async with TestAxis(desk.office) as axis:
        document = await axis.deliver(old := axis.document())
        order = await axis.deliver(new := axis.order(old, kind))
        with pytest.raises(PermanentError, match=r"ORD\.ANSWER"):
            await desk.office.report(order.envelope_id, Registered("5"))
        recall = await axis.deliver(axis.order(new))
        await desk.office.report(document.envelope_id, Progress("05"))
        order = axis.later(order)
    assert _said(recall) == _AGREED
    assert _said(order) == [("delivered", "01"), ("progress", "16")]
    assert len(desk.orders) == 1


@pytest.mark.parametrize("kind", _BRINGS)
async def test_update_of_a_document_that_never_came_is_a_document_like_any_other(kind: BusinessType) -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        order = await axis.deliver(axis.order(old := axis.document(), kind, subject="Bản mới (ví dụ)"))
        late = await axis.deliver(old)
    assert _said(order) == _REGISTERED
    assert _said(late) == [("recalled", "15")]
    assert [doc.subject for doc in desk.documents] == ["Bản mới (ví dụ)"]
    assert desk.documents[0].business_type is kind
    assert desk.orders == []


async def test_update_with_the_id_of_what_it_updates() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        document = await axis.deliver(old := axis.document())
        new = axis.order(old, BusinessType.UPDATE, document_id=old.document_id, subject="Bản mới (ví dụ)")
        order = await axis.deliver(new)
        assert (_said(order), _said(axis.later(document))) == (_AGREED, _WITHDRAWN)
        again = await axis.again(order)
        await axis.deliver(axis.order(old))
        assert axis.later(again).last.level is Level.RECALLED
    assert [one.target.envelope_id for one in desk.orders] == [document.envelope_id, order.envelope_id]


async def test_update_that_waits_can_be_recalled_itself() -> None:
    """Then it is void, and the document that it was about is as before."""
    desk = Desk(decide=lambda order: Agreed() if order.kind is OrderKind.RECALL else Delivered())
    async with TestAxis(desk.office) as axis:
        document = await axis.deliver(old := axis.document())
        order = await axis.deliver(new := axis.order(old, BusinessType.UPDATE))
        with pytest.raises(PermanentError, match=r"ORD\.FROZEN"):
            await desk.office.report(document.envelope_id, Progress("05"))
        await axis.deliver(axis.order(new))
        await desk.office.report(document.envelope_id, Progress("05"))
        with pytest.raises(PermanentError, match=r"ORD\.ANSWER"):
            await desk.office.report(order.envelope_id, Agreed())
        assert _said(axis.later(order)) == [("delivered", "01"), ("recalled", "15")]
        assert _said(axis.later(document)) == [*_REGISTERED, ("progress", "05")]


async def test_update_that_was_recalled_before_it_came_orders_nothing() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        document = await axis.deliver(old := axis.document())
        new = axis.order(old, BusinessType.UPDATE)
        await axis.deliver(axis.order(new))
        order = await axis.deliver(new)
        await desk.office.report(document.envelope_id, Progress("05"))
    assert _said(order) == [("recalled", "15")]
    assert desk.orders == []


async def test_replacement_of_several_acts_on_those_that_are_here_and_keeps_the_others_out() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        here, later, for_others = axis.document(), axis.document(), axis.document()
        first, third = await axis.deliver(here), await axis.deliver(for_others)
        new = axis.order(here, BusinessType.REPLACE)
        named = [(here, OFFICE), (later, OFFICE), (for_others, OTHER)]
        replacements = tuple(Replacement(one.document_id, (organ,)) for one, organ in named)
        await axis.deliver(replace(new, business=replace(new.business, replacements=replacements)))
        second = await axis.deliver(later)
        assert [_said(axis.later(one))[-1] for one in (first, second, third)] == [
            ("recalled", "15"),
            ("recalled", "15"),
            ("registered", "03"),
        ]
    assert [target.document_id for target in desk.orders[0].targets] == [here.document_id]


async def test_copy_that_comes_while_a_clerk_decides_is_frozen_and_withdrawn_with_the_others() -> None:
    desk = Desk(decide=lambda _order: Delivered())
    async with TestAxis(desk.office) as axis:
        here, later = axis.document(), axis.document()
        await axis.deliver(here)
        new = axis.order(here, BusinessType.REPLACE)
        replacements = tuple(Replacement(one.document_id, (OFFICE,)) for one in (here, later))
        order = await axis.deliver(replace(new, business=replace(new.business, replacements=replacements)))
        second = await axis.deliver(later)
        assert _said(second) == _REGISTERED
        with pytest.raises(PermanentError, match=r"ORD\.FROZEN"):
            await desk.office.report(second.envelope_id, Progress("05"))
        await desk.office.report(order.envelope_id, Agreed())
        assert _said(axis.later(second)) == _WITHDRAWN


async def test_replacement_for_others_alone_is_a_document_like_any_other() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        document = await axis.deliver(old := axis.document())
        new = axis.order(old, BusinessType.REPLACE)
        replacements = (Replacement(old.document_id, (OTHER,)),)
        order = await axis.deliver(replace(new, business=replace(new.business, replacements=replacements)))
        await desk.office.report(document.envelope_id, Progress("05"))
    assert _said(order) == _REGISTERED


# --- what goes wrong ----------------------------------------------------------------------


async def test_exception_puts_the_order_off_and_the_document_stays_frozen() -> None:
    desk = Desk()

    def decide(order: Order) -> Decision:
        if order.attempt == 1:
            raise ConnectionError("db.internal")
        return Agreed()

    desk.decide = decide
    async with TestAxis(desk.office) as axis:
        document = await axis.deliver(sent := axis.document())
        order = await axis.deliver(axis.order(sent))
        assert _said(order) == [("deferred", None)]
        with pytest.raises(PermanentError, match=r"ORD\.FROZEN"):
            await desk.office.report(document.envelope_id, Progress("05"))
        order = await axis.again(order)
        document = axis.later(document)
    assert _said(order) == [("deferred", None), *_AGREED]
    assert _said(document) == _WITHDRAWN


async def test_order_that_was_put_off_can_be_answered_by_a_report() -> None:
    desk = Desk()

    def decide(_order: Order) -> Decision:
        raise Unavailable("đang bảo trì")

    desk.decide = decide
    async with TestAxis(desk.office) as axis:
        document = await axis.deliver(sent := axis.document())
        order = await axis.deliver(axis.order(sent))
        await desk.office.report(order.envelope_id, Declined("đã thi hành"))
        order = await axis.again(axis.later(order))
        await desk.office.report(document.envelope_id, Progress("05"))
    assert _said(order) == [("deferred", None), ("delivered", "01"), ("progress", "16")]
    assert len(desk.orders) == 1


async def test_answer_of_another_kind_puts_the_order_off() -> None:
    desk = Desk(decide=lambda _order: Registered("1"))  # type: ignore[arg-type, return-value]
    async with TestAxis(desk.office) as axis:
        await axis.deliver(sent := axis.document())
        order = await axis.deliver(axis.order(sent))
    assert _said(order) == [("deferred", None)]


async def test_order_is_answered_once_and_in_its_own_words() -> None:
    desk = Desk(decide=lambda _order: Delivered())
    async with TestAxis(desk.office) as axis:
        document = await axis.deliver(sent := axis.document())
        order = await axis.deliver(axis.order(sent))
        for about, report in (
            (document.envelope_id, Agreed()),
            (document.envelope_id, Declined("không")),
            (order.envelope_id, Registered("1")),
            (order.envelope_id, Progress("06")),
        ):
            with pytest.raises(PermanentError, match=r"ORD\.ANSWER"):
                await desk.office.report(about, report)
        await desk.office.report(order.envelope_id, Agreed())
        with pytest.raises(PermanentError, match=r"ORD\.ANSWER"):
            await desk.office.report(order.envelope_id, Declined("thôi"))


async def test_system_may_answer_while_it_is_still_asked() -> None:
    """As one does that is told by a webhook and answers by a call of its own before it returns."""
    desk = Desk(decide=None)

    @desk.office.on_order
    async def decide(order: Order) -> Decision:
        await desk.office.report(order, Agreed("đồng ý"))
        return Delivered()

    async with TestAxis(desk.office, answer_within=timedelta(seconds=10)) as axis:
        document = await axis.deliver(sent := axis.document())
        order = await axis.deliver(axis.order(sent))
        assert (_said(order), _said(axis.later(document))) == (_AGREED, _WITHDRAWN)


async def test_unverified_order_freezes_nothing() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        document = await axis.deliver(sent := axis.document())
        sealed = axis.seal(axis.order(sent, reason="lý do một"))
        order = await axis.deliver(sealed.replace("lý do một".encode(), "lý do hai".encode()))
        await desk.office.report(document.envelope_id, Progress("05"))
    assert order.last.level is Level.REFUSED
    assert desk.orders == []


# --- what a crash leaves ----------------------------------------------------------------------


class _Died(BaseException):
    """The process ends here."""


async def _bring_again(axis: TestAxis, office: Office, sealed: bytes, attempt: int = 1) -> Delivery:
    """Let the inbox hand out once more what was not acked, or what was sent again."""
    digest = seal.digest_of(edxml.parse(sealed))
    (envelope_id, previous) = await office._open.state._commit(
        lambda db: tuple(
            db.execute("SELECT envelope_id, previous FROM envelopes WHERE digest = ?", (digest,)).fetchone()
        )
    )
    await axis._bring(
        "envelope",
        sealed,
        {"envelope-id": envelope_id, "envelope-digest": digest, "attempt": attempt, "previous-receipt": previous},
    )
    said = await office.receipts_about(envelope_id)
    return Delivery(envelope_id=envelope_id, sealed=sealed, digest=digest, attempts=attempt, chain=_read(axis, said))


def _read(axis: TestAxis, said: tuple[bytes, ...]) -> Any:
    first: Any = None  # In the place of the acceptance.
    return (first, *(receipts.read_receipt(xml, axis.trust, at=clock.now() + timedelta(seconds=1)) for xml in said))


async def test_handler_of_an_order_that_dies_is_asked_again(tmp_path: Path) -> None:
    desk = Desk()

    def decide(_order: Order) -> Decision:
        if len(desk.orders) == 1:
            raise _Died
        return Agreed()

    desk.decide = decide
    async with TestAxis(desk.office, state=tmp_path) as axis:
        document = await axis.deliver(sent := axis.document())
        sealed = axis.seal(axis.order(sent))
        with pytest.raises(_Died):
            await axis.deliver(sealed)
        with pytest.raises(PermanentError, match=r"ORD\.FROZEN"):  # From its arrival on.
            await desk.office.report(document.envelope_id, Progress("05"))
        order = await _bring_again(axis, desk.office, sealed)
        assert (_said(order), _said(axis.later(document))) == (_AGREED, _WITHDRAWN)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_death_around_the_commit_of_the_answer(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it nothing is said, after it everything; what was kept leaves, byte for byte, when the office opens again."""
    first, second = Desk(), Desk()
    keep = State.keep_order

    async def dies(self: State, *args: Any, **fields: Any) -> bool:
        if when == "after":
            await keep(self, *args, **fields)
        raise _Died

    async with TestAxis(first.office, state=tmp_path / "state") as axis:
        document = await axis.deliver(sent := axis.document())
        sealed = axis.seal(axis.order(sent))
        monkeypatch.setattr(State, "keep_order", dies)
        with pytest.raises(_Died):
            await axis.deliver(sealed)
        monkeypatch.undo()
        assert _said(axis.later(document)) == _REGISTERED  # Nothing has left.
        shutil.copytree(axis._folder / "trust", tmp_path / "trust")
    db = sqlite3.connect(tmp_path / "state" / "state.sqlite")
    kept = [row[0] for row in db.execute("SELECT level FROM said WHERE published_at IS NULL ORDER BY seq")]
    db.close()
    assert kept == ([] if when == "before" else ["delivered", "progress", "recalled"])

    async with _same_offices(TestAxis(second.office, state=tmp_path / "state"), tmp_path / "trust") as axis:
        order = await _bring_again(axis, second.office, sealed)
        assert _said(order) == _AGREED
        await second.office._open.courier.send_again(grace=timedelta(0))
        about_target = await second.office.receipts_about(document.envelope_id)
        about_order = await second.office.receipts_about(order.envelope_id)
        assert set(axis._said) >= {about_target[-1], *about_order}
    assert len(about_target) == 3
    assert len(second.orders) == (1 if when == "before" else 0)


def _same_offices(axis: TestAxis, trust: Path) -> TestAxis:
    """Let an axis go on with the keys of an earlier one."""
    set_up = axis._set_up

    async def again() -> None:
        issue, init = pki.issue, pki.init
        try:
            pki.init = lambda folder, **_: shutil.copytree(trust, folder)
            pki.issue = lambda *_, **__: None  # type: ignore[assignment]
            await set_up()
        finally:
            pki.issue, pki.init = issue, init

    axis._set_up = again  # type: ignore[method-assign]
    return axis


async def test_document_whose_attempt_died_may_be_here_and_its_order_is_asked_about() -> None:
    """The system may have committed before the process died: only it can tell."""
    desk = Desk()

    @desk.office.on_document
    async def receive(doc: Document) -> Answer:
        raise _Died

    async with TestAxis(desk.office) as axis:
        sealed = axis.seal(sent := axis.document())
        with pytest.raises(_Died):
            await axis.deliver(sealed)
        order = await axis.deliver(axis.order(sent))
        document = await _bring_again(axis, desk.office, sealed)
    assert (desk.orders[0].target.level, desk.orders[0].target.number) == (None, None)
    assert _said(order) == _AGREED
    assert [(one.level, one.status_code) for one in document.receipts] == [(Level.RECALLED, "15")]


@dataclass
class _Register:
    """A document system that does its work, and whose word of it may be lost."""

    number: str | None = None
    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, how: str) -> Answer:
        self.number = self.number or "417"
        self.told.set()
        if how == "raises":
            raise ConnectionError("sau khi đã ghi (ví dụ)")
        if how == "is slow":
            await asyncio.Event().wait()
        if how == "dies":
            raise _Died
        return Registered(self.number)


async def _attempt(axis: TestAxis, office: Office, sealed: bytes, register: _Register, how: str) -> None:
    """Make an attempt during which the system registers the document, and no word of that comes back."""
    if how == "is broken off":
        handling = asyncio.create_task(axis.deliver(sealed))
        await register.told.wait()
        handling.cancel()
        await asyncio.gather(handling, return_exceptions=True)
    elif how == "dies":
        with pytest.raises(_Died):
            await axis.deliver(sealed)
    else:
        await axis.deliver(sealed)


_SILENT = ["raises", "is slow", "dies", "is broken off"]


@pytest.mark.parametrize("how", _SILENT)
@pytest.mark.parametrize("then", [None, Unavailable("đang bảo trì (ví dụ)"), Permanent("trùng mã (ví dụ)")])
async def test_document_that_the_system_may_have_taken_is_asked_about(how: str, then: Exception | None) -> None:
    """It has it, and nobody heard of that; that it cannot take it now does not say otherwise."""
    desk, register = Desk(), _Register()
    hows = iter([{"is broken off": "is slow"}.get(how, how)])

    @desk.office.on_document
    async def receive(doc: Document) -> Answer:
        for one in hows:
            return await register.take(one)
        assert then is not None
        raise then

    patience = timedelta(seconds=30 if how == "is broken off" else 0.02)
    async with TestAxis(desk.office, answer_within=patience) as axis:
        sealed = axis.seal(sent := axis.document())
        await _attempt(axis, desk.office, sealed, register, how)
        if then is not None:
            await _bring_again(axis, desk.office, sealed, attempt=2)
        order = await axis.deliver(axis.order(sent))
        document = await _bring_again(axis, desk.office, sealed, attempt=3)
    assert [(one.target.level, one.target.number) for one in desk.orders] == [(None, None)]
    assert desk.orders[0].target.code == sent.code
    assert _said(order) == _AGREED
    assert _said(document)[-1] == ("recalled", "15")


@pytest.mark.parametrize("how", _SILENT)
async def test_system_that_keeps_what_it_may_have_taken_registers_it_in_the_end(how: str) -> None:
    desk, register = Desk(decide=lambda _order: Declined("đã vào sổ (ví dụ)")), _Register()
    hows = iter([{"is broken off": "is slow"}.get(how, how), "answers"])

    @desk.office.on_document
    async def receive(doc: Document) -> Answer:
        return await register.take(next(hows))

    patience = timedelta(seconds=30 if how == "is broken off" else 0.02)
    async with TestAxis(desk.office, answer_within=patience) as axis:
        sealed = axis.seal(sent := axis.document())
        await _attempt(axis, desk.office, sealed, register, how)
        order = await axis.deliver(axis.order(sent))
        document = await _bring_again(axis, desk.office, sealed, attempt=2)
        later = await axis.deliver(axis.order(sent))
    assert (_said(order)[-1], _said(document)[-2:]) == (("progress", "16"), _REGISTERED)
    assert (desk.orders[-1].target.level, desk.orders[-1].target.number) == (Level.REGISTERED, "417")
    assert _said(later)[-1] == ("progress", "16")


async def test_document_that_became_poison_is_asked_about() -> None:
    desk = Desk()

    @desk.office.on_document
    async def receive(doc: Document) -> Answer:
        raise _Died  # After its commit, each time.

    async with TestAxis(desk.office) as axis:
        sealed = axis.seal(sent := axis.document())
        with pytest.raises(_Died):
            await axis.deliver(sealed)
        for attempt in range(2, 6):
            with pytest.raises(_Died):
                await _bring_again(axis, desk.office, sealed, attempt=attempt)
        document = await _bring_again(axis, desk.office, sealed, attempt=6)
        assert document.last.code == "DLV.POISON"
        order = await axis.deliver(axis.order(sent))
        document = await _bring_again(axis, desk.office, sealed, attempt=7)
    assert len(desk.orders) == 1
    assert (_said(order), _said(document)[-1]) == (_AGREED, ("recalled", "15"))


async def test_seal_that_is_not_believed_any_more_does_not_hide_what_may_be_here() -> None:
    desk = Desk(answers={"V/v một": ConnectionError("sau khi đã ghi")})
    async with TestAxis(desk.office) as axis:
        sent = axis.document(subject="V/v một")
        order = axis.seal(axis.order(sent))
        document = await axis.deliver(sent)
        certificate = axis._folder / "trust" / "certs" / f"{SENDER}.pem"
        pem = certificate.read_bytes()
        certificate.unlink()
        await desk.office._open._follow_trust()
        document = await axis.again(document)
        certificate.write_bytes(pem)
        await desk.office._open._follow_trust()
        await axis.deliver(order)
    assert [one.code for one in document.receipts] == ["DLV.UNCERTAIN", "DLV.UNCERTAIN"]
    assert [(one.target.envelope_id, one.target.code) for one in desk.orders] == [(document.envelope_id, sent.code)]


async def test_what_an_earlier_version_has_put_off_may_be_here(tmp_path: Path) -> None:
    first, second = Desk(answers={"V/v một": Unavailable("như cũ")}), Desk()
    async with TestAxis(first.office, state=tmp_path / "state") as axis:
        await axis.deliver(sent := axis.document(subject="V/v một"))
        sealed = axis.seal(axis.order(sent))
        shutil.copytree(axis._folder / "trust", tmp_path / "trust")
    db = sqlite3.connect(tmp_path / "state" / "state.sqlite")
    db.executescript(
        "ALTER TABLE envelopes DROP COLUMN uncertain;"
        " ALTER TABLE submissions DROP COLUMN anew; PRAGMA user_version = 5;"
    )
    db.close()
    async with _same_offices(TestAxis(second.office, state=tmp_path / "state"), tmp_path / "trust") as axis:
        await axis.deliver(sealed)
    assert [one.target.level for one in second.orders] == [None]


async def test_full_disk_promises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    keep, calls = State.keep_order, []

    async def full_once(self: State, *args: Any, **fields: Any) -> bool:
        calls.append(1)
        if len(calls) == 1:
            raise TransientError("SYS.STATE")
        return await keep(self, *args, **fields)

    async with TestAxis(desk.office) as axis:
        document = await axis.deliver(sent := axis.document())
        monkeypatch.setattr(State, "keep_order", full_once)
        order = await axis.deliver(axis.order(sent))
        assert (_said(order), _said(axis.later(document))) == (_AGREED, _WITHDRAWN)


async def test_order_about_what_came_before_orders_were_known(tmp_path: Path) -> None:
    """A state folder of the version before: its schema is brought up, and what is in it counts as documents."""
    first, second = Desk(), Desk()
    async with TestAxis(first.office, state=tmp_path / "state") as axis:
        document = await axis.deliver(sent := axis.document())
        sealed = axis.seal(axis.order(sent))
        shutil.copytree(axis._folder / "trust", tmp_path / "trust")
    db = sqlite3.connect(tmp_path / "state" / "state.sqlite")
    db.executescript(
        "DROP TABLE orders; DROP INDEX envelopes_document; DROP INDEX submissions_document;"
        " ALTER TABLE envelopes DROP COLUMN kind; ALTER TABLE envelopes DROP COLUMN code;"
        " ALTER TABLE envelopes DROP COLUMN previous; ALTER TABLE files DROP COLUMN segment;"
        " ALTER TABLE files DROP COLUMN start; ALTER TABLE envelopes DROP COLUMN uncertain;"
        " ALTER TABLE submissions DROP COLUMN anew; PRAGMA user_version = 3;"
    )
    db.close()
    async with _same_offices(TestAxis(second.office, state=tmp_path / "state"), tmp_path / "trust") as axis:
        order = await axis.deliver(sealed)
        assert len(await second.office.receipts_about(document.envelope_id)) == 3
    assert _said(order) == _AGREED
    assert (second.orders[0].target.code, second.orders[0].target.number) == ("", "1")


async def test_orders_that_wait_are_counted(logged: list[MutableMapping[str, Any]]) -> None:
    desk = Desk(decide=lambda _order: Delivered())
    async with TestAxis(desk.office) as axis:
        await axis.deliver(sent := axis.document())
        order = await axis.deliver(axis.order(sent))
        assert (await desk.office._open.state.counts())["undecided"] == 1
        await desk.office.report(order.envelope_id, Agreed())
        assert (await desk.office._open.state.counts())["undecided"] == 0
    told = [one for one in logged if one["event"] == "order.settled"]
    assert [(one["envelope_id"], one["state"], one["withdrawn"]) for one in told] == [(order.envelope_id, "agreed", 1)]


# --- what the office orders itself ------------------------------------------------------------


def _draft(axis: TestAxis, **fields: Any) -> Any:
    """Return a document from the office to the sender."""
    good = {
        "originator": Organization(OFFICE, "UBND phường mẫu (ví dụ)"),
        "addressees": (Organization(SENDER, "VP (ví dụ)"), Organization(OTHER)),
        "document_id": f"{OFFICE},2026/08/25,125/UBND-VP",
    }
    return axis.document(**good | fields)


async def test_recall_repeats_what_was_sent_and_names_it() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        draft = _draft(axis)
        submission = await desk.office.send(draft)
        sent = await axis.next_sent()
        for number, key in enumerate((draft.document_id, submission, sent.envelope_id), 2):
            await desk.office.recall(key, reason="sai số liệu")
            order = (await axis.next_sent(number)).message
            assert isinstance(order, edxml.Document)
            assert order.business.document_id == draft.document_id
            assert order.document_id != draft.document_id
            assert (order.business_type, order.business.reason) == (BusinessType.RECALL, "sai số liệu")
            assert (order.code, order.subject, order.attachments) == (draft.code, draft.subject, ())
            assert order.addressees == draft.addressees
        await desk.office.recall(draft.document_id, reason="sai", addressees=[OTHER])
        one = (await axis.next_sent(5)).message
        assert isinstance(one, edxml.Document)
        assert [to.organ_id for to in one.addressees] == [OTHER]
        assert len({sent.answer.receipt.document_id for sent in axis.sent}) == 5


async def test_recall_without_a_reason_or_a_document_is_refused() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        with pytest.raises(PermanentError, match=r"ORD\.NOTHING_SENT"):
            await desk.office.recall("H56.112,2026/08/25,1/A", reason="sai")
        await desk.office.send(_draft(axis))
        await axis.next_sent()
        await desk.office.recall(f"{OFFICE},2026/08/25,125/UBND-VP", reason="")
        rejected = await axis.next_sent(2)
    assert rejected.answer.receipt.code == "RULE.BUSINESS"


async def test_update_and_replacement_name_what_they_take_the_place_of() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        new = _draft(axis, document_id=f"{OFFICE},2026/08/26,126/UBND-VP")
        await desk.office.update("old", new, reason="sửa số liệu", receivers_changed=True)
        update = (await axis.next_sent()).message
        await desk.office.replace(["old", "older"], new, reason="thay thế")
        replacement = (await axis.next_sent(2)).message
    assert isinstance(update, edxml.Document)
    assert isinstance(replacement, edxml.Document)
    assert update.business.update is not None
    assert (update.business.document_id, update.business.update.receivers_changed) == ("old", True)
    assert replacement.business.replacements == (
        Replacement("old", (SENDER, OTHER)),
        Replacement("older", (SENDER, OTHER)),
    )


async def test_take_back_is_a_status_to_one_addressee() -> None:
    desk = Desk()
    async with TestAxis(desk.office) as axis:
        draft = _draft(axis)
        await desk.office.send(draft)
        await axis.next_sent()
        await desk.office.take_back(draft.document_id, SENDER, reason="lấy lại")
        status = (await axis.next_sent(2)).message
    assert isinstance(status, edxml.Status)
    assert (status.status_code, status.description) == ("13", "lấy lại")
    assert status.response_for.organ_id == SENDER
    assert status.response_for.document_id == draft.document_id
