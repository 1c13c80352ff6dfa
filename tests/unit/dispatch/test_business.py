"""Statuses of business: one table says what may follow what."""

import pytest

from axis.dispatch.business import ANSWERS, OF_DOCUMENT, OF_ORDER, OF_ORIGINATOR, follows, stands
from axis.edxml.codes import STATUSES
from axis.receipts import Level

ADDRESSEE = frozenset(STATUSES) - OF_ORIGINATOR


def test_tables_know_every_status_that_an_addressee_may_send() -> None:
    assert set(OF_ORDER) == {None, *ADDRESSEE}
    assert set().union(*OF_ORDER.values()) == ADDRESSEE
    assert set(OF_DOCUMENT) == {None, *ADDRESSEE - {"16"}}
    assert set().union(*OF_DOCUMENT.values()) == ADDRESSEE - {"16"}


@pytest.mark.parametrize("is_order", [True, False])
@pytest.mark.parametrize("code", sorted(STATUSES))
def test_repetition_and_what_only_the_originator_sends_change_nothing(code: str, is_order: bool) -> None:
    assert not follows(code, code, is_order=is_order)
    assert not any(follows(before, "13", is_order=is_order) for before in (None, *STATUSES))


def test_work_goes_on_and_not_back() -> None:
    assert all(follows(before, after, is_order=False) for before, after in (("01", "03"), ("03", "04"), ("05", "04")))
    assert not any(
        follows(before, after, is_order=False) for before, after in (("03", "01"), ("06", "05"), ("02", "03"))
    )


def test_order_is_answered_once() -> None:
    assert follows("01", "15", is_order=True)
    assert follows("03", "16", is_order=True)
    assert not any(follows("16", code, is_order=True) for code in STATUSES)
    assert not follows("15", "16", is_order=True)
    assert follows("15", "03", is_order=True)  # An update that was agreed to is registered like a document.


def test_copy_is_withdrawn_by_its_own_receipt_alone() -> None:
    assert stands(Level.RECALLED, "15", "06", is_order=False)
    assert not stands(Level.PROGRESS, "15", "06", is_order=False)
    assert all(stands(Level.PROGRESS, code, None, is_order=True) for code in ANSWERS)


def test_what_is_no_report_moves_nothing() -> None:
    assert not stands(Level.DELIVERED, "01", None, is_order=False)
    assert not stands(Level.RECALLED, None, None, is_order=False)
