"""Links: what a message is to an earlier document - an order about it, an answer to it, news of it.

An order is an order for each addressee by itself. What it speaks of is named by
its originator and its document id; whether that document is here, and where it
stands, is for the ledger to say later: an order may overtake its document.

    recall      Bussiness/DocumentId; where that is missing the message's own DocumentId
    update      Bussiness/DocumentId
    replace     ReplacementInfo: each document, for the offices that it lists
    take-back   a status 13 of the originator: ResponseFor/DocumentId, for the office it is sent to
    status      any other status: ResponseFor/DocumentId, about the sender's own copy
    reply       ResponseFor of a document
    task        ResponseForTask of a document: the document that gave the task; which one it is, the ledger knows

Spec: docs/protocol/orders.md; QCVN 102:2016 clauses 1.12, 2.2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from axis.edxml import BusinessType, Document, Message, Status
from axis.errors import Refusal, Violation, violation
from axis.registry import Registry
from axis.routing.resolve import Resolution, resolve

_HEADER = "/edXML:edXML/edXML:edXMLEnvelope/edXML:edXMLHeader"
_REPLACED = f"{_HEADER}/edXML:TraceHeaderList/edXML:Bussiness/edXML:ReplacementInfoList/edXML:ReplacementInfo"


class LinkKind(StrEnum):
    """What a message is to an earlier document."""

    RECALL = "recall"
    UPDATE = "update"
    REPLACE = "replace"
    TAKE_BACK = "take-back"
    STATUS = "status"
    REPLY = "reply"
    TASK = "task"


ANSWERS = frozenset({LinkKind.REPLY, LinkKind.TASK})
# They wait until it is known what they speak of; an answer goes its way like any document.
JUDGED = frozenset(LinkKind) - ANSWERS
# Orders that bring nothing: where there is nothing to take back, there is nothing to deliver.
EMPTY_HANDED = frozenset({LinkKind.RECALL, LinkKind.TAKE_BACK})


def deliver_to(kind: str, originator: str, addressee: str) -> str:
    """Return the office whose delivery of the message waits for a link: a status goes to whose document it is."""
    return originator if kind == LinkKind.STATUS else addressee


@dataclass(frozen=True, slots=True)
class Link:
    """One document that a message speaks of, for one addressee."""

    kind: LinkKind
    originator: str  # Whose document it is, by code.
    document_id: str
    addressee: str  # Whose copy is meant, by code; "" for an answer.
    status_code: str | None = None


def links(message: Message, resolution: Resolution, registry: Registry) -> tuple[Link, ...]:
    """Return what a message is to earlier documents."""
    if not isinstance(message, Document):
        return tuple(_of_status(message, resolution))
    order = message.business
    if order.type is BusinessType.NEW and not message.responses:
        return ()
    return (*_of_order(message, resolution, registry), *_replies(message, registry))


def unreached(message: Message, resolution: Resolution, registry: Registry) -> Iterator[Violation]:
    """Yield offices for which a message replaces a document and which it does not reach."""
    if not isinstance(message, Document):
        return
    reached = set(_reached(resolution))
    for number, replaced in enumerate(message.business.replacements, 1):
        for organ_id in replaced.organ_ids:
            office = registry.find(organ_id)
            if office is None or office.code not in reached:
                yield violation(
                    "RULE.BUSINESS",
                    f"{organ_id} is to have {replaced.document_id} replaced, and is no addressee",
                    detail_vi=f"{organ_id} được thay {replaced.document_id} nhưng không có trong nơi nhận",
                    path=f"{_REPLACED}[{number}]/edXML:OrganIdList",
                    rule="rule:business.replace-for-addressees",
                )


def amiss(message: Message, resolution: Resolution, registry: Registry) -> tuple[Violation, ...]:
    """Return what the roll finds wrong with a message: whom it does not reach and ought to, and why nobody is served."""
    routes = resolution.routes
    nobody = (
        () if any(route.served for route in routes) else (one.violation for one in routes if one.violation is not None)
    )
    return (*unreached(message, resolution, registry), *nobody)


def wrong_with(message: Message, registry: Registry, at: datetime) -> tuple[Violation, ...]:
    """Return the same of a message that is not resolved yet."""
    try:
        return amiss(message, resolve(message, registry, at), registry)
    except Refusal as refusal:
        return refusal.violations


def _reached(resolution: Resolution) -> Iterator[str]:
    """Yield the code of each office that gets the message, or is named and refused."""
    return (route.office.code for route in resolution.routes if route.office is not None)


def _served(resolution: Resolution) -> Iterator[str]:
    return (route.office.code for route in resolution.routes if route.office is not None and route.served)


def _of_status(message: Status, resolution: Resolution) -> Iterator[Link]:
    sender, code, document_id = resolution.originator.code, message.status_code, message.response_for.document_id
    for office in _served(resolution):
        if message.takes_back:
            yield Link(LinkKind.TAKE_BACK, sender, document_id, office, code)
        else:
            yield Link(LinkKind.STATUS, office, document_id, sender, code)


def _of_order(message: Document, resolution: Resolution, registry: Registry) -> Iterator[Link]:
    order, sender = message.business, resolution.originator.code
    match order.type:
        case BusinessType.RECALL:
            for office in _served(resolution):
                yield Link(LinkKind.RECALL, sender, message.ordered_id, office)
        case BusinessType.UPDATE:
            for office in _served(resolution):
                yield Link(LinkKind.UPDATE, sender, message.ordered_id, office)
        case BusinessType.REPLACE:
            served = set(_served(resolution))
            for replaced in order.replacements:
                for named in filter(None, map(registry.find, replaced.organ_ids)):
                    if named.code in served:
                        yield Link(LinkKind.REPLACE, sender, replaced.document_id, named.code)
        case BusinessType.NEW:
            pass


def _replies(message: Document, registry: Registry) -> Iterator[Link]:
    for answered in message.responses:
        office = registry.find(answered.organ_id)
        if office is not None and answered.document_id:
            yield Link(LinkKind.REPLY, office.code, answered.document_id, "")
