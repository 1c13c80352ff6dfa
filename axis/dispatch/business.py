"""Business: what an office's clerks report about a document, and in which order that makes sense.

`NEXT` says which status may follow which. A status that may not is late: it is
recorded and shown, and changes nothing, because receipts and messages come
twice and out of order. Transport is never touched by it.

    of a document        01 02 03 04 05 06, and 15 once its copy is withdrawn
    of an order about one    15 or 16 is its answer; an update that is agreed to goes on like a document

Spec: QCVN 102:2016 (codes); docs/protocol/orders.md 6; Decree 30/2020/NĐ-CP Art. 21 to 24.
"""

from collections.abc import Mapping

from axis.edxml import BusinessType
from axis.edxml.codes import TAKE_BACK
from axis.ledger import DeliveryRow
from axis.receipts import Level

WITHDRAWN = "15"
ANSWERS = frozenset({"15", "16"})  # To an order; nothing else is answered by them.
OF_ORIGINATOR = frozenset({TAKE_BACK})  # The one status that only the originator of a document may send.

_WORK: Mapping[str | None, frozenset[str]] = {
    None: frozenset({"01", "02", "03", "04", "05", "06"}),
    "01": frozenset({"02", "03", "04", "05", "06"}),
    "02": frozenset(),
    "03": frozenset({"04", "05", "06"}),
    "04": frozenset({"05", "06"}),
    "05": frozenset({"04", "06"}),  # It may be given to somebody else.
    "06": frozenset(),
}

# What may follow, in what is reported about a document.
OF_DOCUMENT: Mapping[str | None, frozenset[str]] = {
    **{before: after | {WITHDRAWN} for before, after in _WORK.items()},
    WITHDRAWN: frozenset(),
}

# What may follow, in what is reported about an order.
OF_ORDER: Mapping[str | None, frozenset[str]] = {
    **{before: after | ANSWERS for before, after in _WORK.items()},
    "15": frozenset({"03", "04", "05", "06"}),
    "16": frozenset(),
}


def is_order(row: DeliveryRow) -> bool:
    """Tell whether a delivery brings an order."""
    return row.business_type != BusinessType.NEW


def follows(before: str | None, code: str, *, is_order: bool) -> bool:
    """Tell whether a status may stand where another stood; a repetition may not.

    Args:
        before: What was reported last; None if nothing was.
        code: What is reported now.
        is_order: Whether it is about an order, and not about a document.
    """
    return code in (OF_ORDER if is_order else OF_DOCUMENT).get(before, frozenset())


def stands(level: Level, code: str | None, before: str | None, *, is_order: bool) -> bool:
    """Tell whether what a receipt reports is to stand as the last word of the office's clerks."""
    if code is None or level not in _REPORTS:
        return False
    # A copy is withdrawn by the receipt that says so and names its digest, and by no bare status.
    if code == WITHDRAWN and not is_order and level is not Level.RECALLED:
        return False
    return follows(before, code, is_order=is_order)


_REPORTS = frozenset({Level.REGISTERED, Level.REFUSED, Level.PROGRESS, Level.RECALLED})
