"""The chain: nothing missing, nothing foreign."""

import itertools
from typing import Any

import pytest

from axis import receipts
from axis.errors import Refusal
from axis.receipts import Level, SignedReceipt
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
