"""The chain: nothing missing, nothing foreign."""

import itertools
from typing import Any

import pytest

from axis import receipts
from axis.errors import Refusal
from axis.receipts import Level, SignedReceipt, Verdict
from tests.province import Province, province
from tests.unit.receipts.test_receipts import AXIS, OFFICE, receipt


def _chain(of: Province, **changes: Any) -> list[SignedReceipt]:
    """Accepted, delivered, registered; `changes` are fields of the last."""
    accepted = receipts.issue(receipt(Level.ACCEPTED, addressee=None, previous=None, issuer=AXIS), of.signer(AXIS))
    delivered = receipts.issue(receipt(Level.DELIVERED, previous=accepted.digest), of.signer(OFFICE))
    fields = {"previous": delivered.digest} | changes
    return [accepted, delivered, receipts.issue(receipt(Level.REGISTERED, **fields), of.signer(OFFICE))]


def test_chain_holds_in_any_order() -> None:
    for order in itertools.permutations(_chain(province())):
        receipts.check_chain(order)
    receipts.check_chain([])


@pytest.mark.parametrize("missing", [0, 1])
def test_missing_link_is_noticed(missing: int) -> None:
    chain = _chain(province())
    del chain[missing]
    with pytest.raises(Refusal) as caught:
        receipts.check_chain(chain)
    assert caught.value.code == "RCT.INVALID"


@pytest.mark.parametrize(
    "change",
    [
        {"envelope_digest": "c" * 64},
        {"envelope_id": "other"},
        {"originator": "H56.VP"},
        {"previous": "c" * 64},
        {"previous": None},
        {"addressee": "H56.113"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_foreign_receipt_is_noticed(change: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        receipts.check_chain(_chain(province(), **change))
    assert caught.value.code == "RCT.INVALID"


@pytest.mark.parametrize(
    ("level", "heir", "holds"),
    [(Level.FORWARDED, OFFICE, True), (Level.FORWARDED, "H56.113", False), (Level.HELD, OFFICE, False)],
)
def test_heir_goes_on_from_the_receipt_that_names_it(level: Level, heir: str, holds: bool) -> None:
    of = province()
    accepted = _chain(of)[0]
    status = "2.1.5" if level is Level.FORWARDED else "4.2.1"
    said = receipt(level, addressee="H56.901", previous=accepted.digest, status=status, addressees=(Verdict(heir, "served", "", "H56.901"),))  # fmt: skip
    forwarded = receipts.issue(said, of.signer(AXIS))
    delivered = receipts.issue(receipt(Level.DELIVERED, previous=forwarded.digest), of.signer(OFFICE))
    if holds:
        receipts.check_chain([accepted, forwarded, delivered])
        return
    with pytest.raises(Refusal, match="another addressee"):
        receipts.check_chain([accepted, forwarded, delivered])
