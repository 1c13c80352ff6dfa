"""ANSWERS (room 9): what offices and the axis say about an envelope, signed.

`issue` signs a receipt, `read_receipt` believes one, `check_chain` holds the
receipts of an envelope together. Nothing here does I/O or reads a clock.

Spec: schemas/receipt-1.xsd; docs/protocol/receipts.md.
"""

from axis.receipts.chain import check_chain
from axis.receipts.issue import issue
from axis.receipts.model import MAX_VIOLATIONS, SAID_BY, Level, Party, Receipt, SignedReceipt, Verdict, party_of
from axis.receipts.read import is_receipt, read_receipt

__all__ = [
    "MAX_VIOLATIONS",
    "SAID_BY",
    "Level",
    "Party",
    "Receipt",
    "SignedReceipt",
    "Verdict",
    "check_chain",
    "is_receipt",
    "issue",
    "party_of",
    "read_receipt",
]
