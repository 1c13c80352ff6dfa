"""Order: what an originator asks for about a document that it has sent.

A recall and a take-back ask for a copy to be given up; an update and a
replacement ask for another document to take its place. A document that an
order is about is its *target*. Which targets this office still has, and what is
said without asking anybody, is decided here, by tables and without I/O.

Spec: QCVN 102:2016 (BussinessDocType; status 13, 15, 16); Decree 30/2020/NĐ-CP
Art. 18 (recall); docs/protocol/office-orders.md; docs/adr/0016.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from axis import edxml
from axis.edxml import BusinessType, Organization
from axis.office.answers import Agreed, Declined
from axis.office.document import Document, StatusReport
from axis.receipts import Level


class OrderKind(StrEnum):
    """What is ordered."""

    RECALL = "recall"  # The document is to be given up.
    UPDATE = "update"  # Another takes its place: its content or its addressees changed.
    REPLACE = "replace"  # Another takes its place.
    TAKE_BACK = "take-back"  # As a recall, said in a status message.


_KINDS = {
    BusinessType.RECALL: OrderKind.RECALL,
    BusinessType.UPDATE: OrderKind.UPDATE,
    BusinessType.REPLACE: OrderKind.REPLACE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A document that an order is about, as this office knows it."""

    envelope_id: str
    document_id: str
    code: str  # Number and notation; "" if it came before the office kept them.
    level: Level | None  # What the office said about it last; None: an attempt gave no answer, it may have it or not.
    number: str | None  # In the incoming register, if it was registered.


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A verified order about documents that this office has."""

    envelope_id: str  # The key with which it is answered.
    digest: str  # Of the signed content, in hex.
    attempt: int  # 1 the first time.
    sealed: bytes  # As the originator sealed it: keep it as evidence.
    kind: OrderKind
    reason: str  # The originator's own words; "" if it gave none.
    originator: Organization
    document_id: str  # The order's own.
    targets: tuple[Target, ...]  # At least one; several where a replacement names several.
    document: Document | None  # What takes the place of the targets; None for a recall and a take-back.
    verified: bool  # The originator's own key has sealed it; else the axis, for an older system.

    @property
    def target(self) -> Target:
        """The document that it is about; the newest, if there are several."""
        return self.targets[0]


@dataclass(frozen=True, slots=True)
class Asked:
    """What an order asks for, before anybody has looked whether its targets are here."""

    kind: OrderKind
    document_ids: tuple[str, ...]  # Of the targets.

    @property
    def brings(self) -> bool:
        """Whether another document is to take the place of the targets."""
        return self.kind in (OrderKind.UPDATE, OrderKind.REPLACE)


def asked_of(message: edxml.Message, *, is_for_others: Callable[[str], bool]) -> Asked | None:
    """Return what a message orders; None if it is a document or a status like any other.

    Args:
        message: As read from its signed bytes.
        is_for_others: Whether an OrganId surely means another office than this one.
    """
    if isinstance(message, edxml.Status):
        return Asked(OrderKind.TAKE_BACK, (message.response_for.document_id,)) if message.takes_back else None
    kind = _KINDS.get(message.business_type)
    if kind is None:
        return None
    named: tuple[str, ...] = (message.ordered_id,)
    if kind is OrderKind.REPLACE:
        named = tuple(
            one.document_id
            for one in message.business.replacements
            if not one.organ_ids or not all(map(is_for_others, one.organ_ids))
        )
    return Asked(kind, tuple(dict.fromkeys(named))) if named else None


def order_of(content: Document | StatusReport, asked: Asked, targets: tuple[Target, ...]) -> Order:
    """Return an order as its handler gets it."""
    message = content.message
    return Order(
        envelope_id=content.envelope_id,
        digest=content.digest,
        attempt=content.attempt,
        sealed=content.sealed,
        kind=asked.kind,
        reason=message.description if isinstance(message, edxml.Status) else message.business.reason,
        originator=message.originator,
        document_id="" if isinstance(message, edxml.Status) else message.document_id,
        targets=targets,
        document=content if isinstance(content, Document) and asked.brings else None,
        verified=content.verified,
    )


# --- what is said without asking anybody ------------------------------------------------------

NOT_ITS_ORIGINATOR = Declined(
    "Đơn vị ra lệnh không phải là nơi gửi văn bản. / Who orders is not the originator of the document."
)

_NEVER = (
    "Đơn vị chưa tiếp nhận văn bản này; văn bản đến sau sẽ không được tiếp nhận."
    " / This office has not taken the document, and will not take it if it comes later."
)
_GONE: Mapping[Level | None, str] = {
    Level.REFUSED: "Đơn vị đã từ chối văn bản này; không có gì để thu hồi. / This office refused it; there is nothing to withdraw.",
    Level.RECALLED: "Văn bản này đã được thu hồi trước đó. / This document was withdrawn before.",
}


def agreed_without(level: Level | None) -> Agreed:
    """Return the answer to an order whose target is not here.

    Args:
        level: What the office said last about the newest copy; None if there never was one.
    """
    return Agreed(_GONE.get(level, _NEVER))


def withdrawn_by(document_id: str) -> str:
    """Return why a copy was given up. The originator reads it.

    Args:
        document_id: Of the order.
    """
    return f"Thu hồi theo lệnh của nơi gửi: {document_id} / Withdrawn by order of its originator: {document_id}"
