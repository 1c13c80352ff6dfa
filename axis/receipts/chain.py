"""The chain: the receipts of one envelope hang together.

Each receipt but the first of a chain names the digest of the one before it.
Digests cannot be made to meet in a ring, so it is enough that every named
receipt is there, is about the same content, and is about the same addressee or
about the whole envelope. What was forwarded goes on from the receipt that says
so: that one names each office which gets it instead.

Spec: docs/protocol/receipts.md.
"""

from collections.abc import Sequence

from axis.errors import refuse
from axis.receipts.model import Level, Receipt, SignedReceipt

_FIRST = frozenset({Level.ACCEPTED, Level.REJECTED})  # The levels with which a chain may begin.


def check_chain(receipts: Sequence[SignedReceipt]) -> None:
    """Check that the receipts of one envelope, in any order, hang together.

    Raises:
        Refusal: RCT.INVALID
    """
    said = {signed.digest: signed.receipt for signed in receipts}
    about = {(one.envelope_id, one.envelope_digest, one.originator) for one in said.values()}
    if len(about) > 1:
        raise refuse("RCT.INVALID", "receipts of different envelopes in one chain")
    for digest, receipt in said.items():
        _require_link(digest, receipt, said)


def _require_link(digest: str, receipt: Receipt, said: dict[str, Receipt]) -> None:
    if receipt.previous is None:
        if receipt.level not in _FIRST:
            raise refuse("RCT.INVALID", f"{digest[:12]} “{receipt.level}” names no receipt before it")
        return
    before = said.get(receipt.previous)
    if before is None:
        raise refuse("RCT.INVALID", f"{digest[:12]}: {receipt.previous[:12]} is missing")
    if before.addressee not in (None, receipt.addressee) and receipt.addressee not in _heirs(before):
        raise refuse("RCT.INVALID", f"{digest[:12]}: {receipt.previous[:12]} is about another addressee")


def _heirs(receipt: Receipt) -> frozenset[str]:
    """Return the offices whose chain goes on from a receipt that is about another."""
    return frozenset(one.code for one in receipt.addressees if receipt.level is Level.FORWARDED)
