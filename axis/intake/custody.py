"""Custody: what the ledger is given when an envelope is accepted or refused.

One value holds everything that must be true together: the envelope, a delivery
for each addressee, the acceptance receipt, a rejection receipt for each
addressee that cannot be served, a receipt for each whose mail is held, and the
notices that carry them home.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from axis import edxml, ledger
from axis.contents import Content
from axis.deadlines import Deadlines
from axis.edxml import BusinessType, Document, Kind, Message
from axis.errors import CATALOGUE, Refusal
from axis.intake.enclosed import dossier_said, task_said
from axis.intake.examine import Examined
from axis.intake.notary import Original
from axis.ledger import UNJUDGED, AttachmentRow, Custody, DeliveryRow, NewDelivery, NewLink, Notice, Rejection
from axis.receipts import Level, SignedReceipt, Verdict
from axis.receipts.voice import Voice
from axis.registry import Registry
from axis.routing import JUDGED, Held, Link, Resolution, Route, deliver_to, require_heir

_JUDGED_WITHIN = timedelta(minutes=1)  # Longer than it takes a router to judge what the delivery speaks of.
_STATUS_PRIORITY = 1  # A status is small and somebody waits for it: before ordinary documents.


def custody_of(
    examined: Examined,
    *,
    envelope_id: str,
    voice: Voice,
    at: datetime,
    lifetimes: Sequence[timedelta],
    deadlines: Deadlines,
    via: str,
    enclosed: Sequence[Content],
    roll: Registry,
    answered: Sequence[Link] = (),
    original: Original | None = None,
) -> Custody:
    """Return what one commit must hold for this envelope."""
    verified, resolution = examined.verified, examined.resolution
    message, received = verified.message, verified.received
    about = {
        "originator": resolution.originator.code,
        "document_id": received.document_id,
        "envelope_id": envelope_id,
        "envelope_digest": verified.digest,
        "at": at,
    }
    accepted = voice.say(
        level=Level.ACCEPTED,
        addressee=None,
        previous=None,
        status="2.0.0",
        reason="" if original is None else original.reason,
        addressees=verdicts_of(examined),
        **about,
    )
    refusals = {
        _code(route): voice.say(
            level=Level.REJECTED,
            addressee=_code(route),
            previous=accepted.digest,
            status="5.1.1",
            code=route.violation.code,
            reason=route.violation.vi,
            who_must_act=route.violation.who_must_act,
            violations=(route.violation,),
            **about,
        )
        for route in resolution.routes
        if route.violation is not None
    }
    waits = CATALOGUE["DLV.HELD"]
    holds = [
        voice.say(
            level=Level.HELD,
            addressee=_code(route),
            previous=accepted.digest,
            status=waits.status,
            code="DLV.HELD",
            reason=waits.vi.format(detail=route.held),
            who_must_act=waits.actor,
            **about,
        )
        for route in resolution.routes
        if route.held
    ]
    said = [accepted, *refusals.values(), *holds]
    unjudged = {deliver_to(one.kind, one.originator, one.addressee) for one in examined.links if one.kind in JUDGED}
    priority = int(message.priority) if isinstance(message, Document) else _STATUS_PRIORITY
    release_at = _hour(message, at)
    return Custody(
        envelope_id=envelope_id,
        originator=resolution.originator.code,
        document_id=_business_key(message, received.document_id),
        business_type=int(business_type_of(message)),
        kind=received.kind.value,
        digest=verified.digest,
        sealed=received.sealed,
        sealed_digest=received.digest,
        original=None if original is None else original.sha256,
        code=message.code if isinstance(message, Document) else message.response_for.code,
        subject=message.subject if isinstance(message, Document) else f"Trạng thái {message.status_code}",
        priority=priority,
        via=via,
        accepted_at=at,
        expires_at=(release_at or at) + lifetimes[priority],
        attachments=tuple(
            AttachmentRow(sha256=ref.sha256, size_bytes=ref.size_bytes, name=ref.name, content_type=ref.content_type)
            for ref in examined.attachments
        ),
        deliveries=tuple(_delivery(route, release_at or at, unjudged) for route in resolution.routes),
        receipts=tuple(_row(receipt) for receipt in said),
        notices=tuple(Notice(target=resolution.originator.code, receipt_digest=receipt.digest) for receipt in said),
        links=tuple(_link(link, at) for link in (*examined.links, *answered)),
        dossier=dossier_said(enclosed, business_type_of(message)),
        task=task_said(enclosed, message, roll),
        release_at=release_at,
        process_by=deadlines.asked_for(message.due_on, at) if isinstance(message, Document) else None,
        reaches=_reaches(resolution, roll, at),
    )


def _reaches(resolution: Resolution, roll: Registry, at: datetime) -> Callable[[DeliveryRow], bool]:
    """Return what tells whether a delivery that has expired would go to its addressee today."""
    served = {_code(route) for route in resolution.routes if route.served and not route.held}

    def reaches(row: DeliveryRow) -> bool:
        if row.in_place_of is None or row.addressee in served:
            return row.addressee in served
        # A person has chosen it for a closed office: the message does not name it.
        closed = Held(addressee=row.in_place_of, originator=row.originator, kind=Kind(row.kind))
        try:
            require_heir(closed, row.addressee, roll, at)
        except Refusal:
            return False
        return True

    return reaches


def key_of(examined: Examined) -> tuple[str, str, str, int]:
    """Return what makes an envelope one of its kind; `Custody.key` of the same."""
    message, received = examined.verified.message, examined.verified.received
    originator, document_id = examined.resolution.originator.code, _business_key(message, received.document_id)
    return originator, received.kind.value, document_id, int(business_type_of(message))


def verdicts_of(examined: Examined) -> tuple[Verdict, ...]:
    """Return what an acceptance says of each addressee."""
    addressed = examined.resolution.addressed()
    return tuple(_verdict(route, addressed) for route in examined.resolution.routes)


def _hour(message: Message, at: datetime) -> datetime | None:
    """Return the hour before which no addressee gets a message; None where there is none, or it is past."""
    hour = message.release_at if isinstance(message, Document) else None
    return hour if hour is not None and hour > at else None


def rejection_of(
    sealed: bytes, refusal: Refusal, *, digest: str, submitter: str, voice: Voice, at: datetime, via: str
) -> Rejection:
    """Return what the ledger keeps of an envelope that was refused: no content, the digest and the reasons."""
    first = refusal.violations[0]
    receipt = voice.say(
        level=Level.REJECTED,
        originator=submitter,
        document_id=_claimed_id(sealed),
        envelope_id="",
        envelope_digest=digest,
        addressee=None,
        previous=None,
        at=at,
        status=refusal.entry.status,
        code=first.code,
        reason=first.vi,
        who_must_act=first.who_must_act,
        violations=refusal.violations,
    )
    return Rejection(
        submitter=submitter,
        sealed_digest=digest,
        code=first.code,
        violations=tuple(found.as_dict() for found in refusal.violations),
        at=at,
        via=via,
        receipt=_row(receipt),
        notice=Notice(target=submitter, receipt_digest=receipt.digest) if via == "amqp" else None,
    )


def _claimed_id(sealed: bytes) -> str:
    """What the refused envelope calls itself, as far as it can be read: a name for people, trusted for nothing."""
    try:
        return edxml.parse(sealed).document_id
    except Refusal:
        return ""


def _code(route: Route) -> str:
    """The addressee's canonical code where it has one, else what the originator wrote."""
    return route.office.code if route.office is not None else route.addressee_as_written


def _verdict(route: Route, addressed: Mapping[str, Sequence[str]]) -> Verdict:
    code = _code(route)
    verdict = "served" if route.served else "refused"
    return Verdict(code, verdict, route.explanation_vi, " ".join(addressed.get(code, ())))


def _link(link: Link, at: datetime) -> NewLink:
    return NewLink(
        kind=link.kind.value,
        originator=link.originator,
        document_id=link.document_id,
        addressee=link.addressee,
        status_code=link.status_code,
        due_at=at,
    )


def _delivery(route: Route, due_at: datetime, unjudged: Collection[str]) -> NewDelivery:
    wrong = route.violation
    if route.held:
        return NewDelivery(
            addressee=_code(route),
            state="held",
            code="DLV.HELD",
            reason=route.explanation_vi,
            who_must_act=CATALOGUE["DLV.HELD"].actor,
            next_at=None,
        )
    if wrong is None and _code(route) in unjudged:
        waits = CATALOGUE[UNJUDGED]
        return NewDelivery(
            addressee=_code(route),
            state="queued",
            code=UNJUDGED,
            reason=waits.vi,
            who_must_act=waits.actor,
            next_at=due_at + _JUDGED_WITHIN,
        )
    return NewDelivery(
        addressee=_code(route),
        state="queued" if wrong is None else "refused",
        code=None if wrong is None else wrong.code,
        reason="" if wrong is None else wrong.vi,
        who_must_act="nobody" if wrong is None else str(wrong.who_must_act),
        next_at=due_at if wrong is None else None,
    )


def business_type_of(message: Message) -> BusinessType:
    """Return what a message asks for; a status that takes a document back is an order to recall it."""
    if isinstance(message, Document):
        return message.business_type
    return BusinessType.RECALL if message.takes_back else BusinessType.NEW


def _business_key(message: Message, document_id: str) -> str:
    """What makes a message one of its kind: an office reports many statuses about one document.

    A document may be taken back from several offices in one second.
    """
    if isinstance(message, Document):
        return document_id
    whom = f" {message.response_for.organ_id}" if message.takes_back else ""
    return f"{document_id}#{message.status_code}@{message.at.isoformat()}{whom}"


def _row(receipt: SignedReceipt) -> ledger.ReceiptRow:
    said = receipt.receipt
    return ledger.ReceiptRow(
        digest=receipt.digest,
        level=said.level.value,
        issuer=said.issuer,
        addressee=said.addressee,
        previous=said.previous,
        at=said.at,
        xml=receipt.xml,
    )
