"""Values: what goes into the ledger and what comes out of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from enum import Enum, auto
from typing import Any

from axis.deadlines import Clocks
from axis.receipts import Level, Party, party_of
from axis.routing import deliver_to

Row = dict[str, Any]
CLOCKS = tuple(field.name for field in fields(Clocks))  # The same names in a delivery.


# What ended so is not its addressee's to read, nor is what waits for somebody else.
UNREADABLE = frozenset({"refused", "recalled", "held", "forwarded"})
# What ended so is nothing that its addressee could be made the heir of: it has had its delivery.
WITHOUT_IT = frozenset({"refused", "recalled", "expired", "forwarded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentRow:
    """A file that an envelope carries by digest."""

    sha256: str
    size_bytes: int
    name: str
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """One addressee of an envelope at acceptance."""

    addressee: str
    state: str  # queued, held, or refused by the axis.
    code: str | None
    reason: str
    who_must_act: str
    next_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRow:
    """A signed receipt."""

    digest: str
    level: str
    issuer: str
    addressee: str | None
    previous: str | None
    at: datetime
    xml: bytes

    @property
    def verified(self) -> bool:
        """Whether it is signed by whose word it is; else the axis has written down what an addressee did not sign."""
        return party_of(Level(self.level), self.issuer, self.addressee) is not Party.NOTARY


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A receipt that an office must be told of."""

    target: str
    receipt_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLink:
    """What an envelope is to an earlier document; see `routing.links`."""

    kind: str
    originator: str
    document_id: str
    addressee: str
    status_code: str | None
    due_at: datetime  # When it is to be acted on.


@dataclass(frozen=True, slots=True, kw_only=True)
class DueLink:
    """A link to act on now, with what one needs to know of its envelope."""

    envelope_id: str
    number: int
    kind: str
    originator: str
    document_id: str
    addressee: str
    status_code: str | None
    sender: str  # Originator of the envelope.
    sent_as: str  # Document id of the envelope.
    accepted_at: datetime

    @property
    def deliver_to(self) -> str:
        """The addressee of the envelope's delivery that waits for this link."""
        return deliver_to(self.kind, self.originator, self.addressee)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """That one envelope speaks of another, in the family of a document."""

    envelope_id: str
    kind: str
    about: str  # Envelope id.
    addressees: tuple[str, ...]  # For whom; none for an answer.


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierSaid:
    """What an envelope tells of a dossier; see `contents.dossier`."""

    code: str
    status: int
    at: datetime | None  # When it came to be so; None: it does not say.
    not_before: datetime  # The dossier cannot have come to anything earlier.
    due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierStepRow:
    """A step of a dossier, as an office told it."""

    envelope_id: str
    originator: str
    code: str
    status: int
    move: str
    at: datetime
    due_at: datetime | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSaid:
    """What an envelope tells of a task; see `contents.task`."""

    given_by: str  # By code, as the others.
    code: str
    assignees: tuple[str, ...]
    stands_for: frozenset[str]  # The one assignee, and those that it took over from; of several, nobody.
    status: int
    at: datetime  # When it came to be so; of a task that is given, the earliest that it can have been.
    speaker: str
    due_on: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenTask:
    """A task that was given here."""

    given_by: str
    code: str
    document_id: str  # Of the last document that gave it.
    is_assigned: bool  # To one of the offices that was asked about.


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStepRow:
    """A step of one office with a task, as its giver or itself told it."""

    envelope_id: str
    assignee: str
    given_by: str
    code: str
    originator: str  # Who told it.
    status: int
    move: str
    at: datetime
    recorded_at: datetime
    due_on: date | None  # Of the task, as it was given last.


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """Everything that becomes true when an envelope is accepted."""

    envelope_id: str
    originator: str
    document_id: str
    business_type: int
    kind: str
    digest: str  # Of the signed content.
    sealed: bytes
    sealed_digest: str
    original: str | None = None  # SHA-256 of what an older system sent; the axis has sealed what it means.
    code: str
    subject: str
    priority: int
    via: str
    accepted_at: datetime
    expires_at: datetime
    attachments: tuple[AttachmentRow, ...]
    deliveries: tuple[NewDelivery, ...]
    receipts: tuple[ReceiptRow, ...]  # The acceptance first.
    notices: tuple[Notice, ...]
    links: tuple[NewLink, ...] = ()
    dossier: DossierSaid | None = None
    task: TaskSaid | None = None
    release_at: datetime | None = None  # No attempt before this hour.
    process_by: datetime | None = None  # By when it asks to be dealt with.
    # Tells of a delivery of the same document that has expired whether it may begin anew, as the roll is now.
    reaches: "Callable[[DeliveryRow], bool]" = lambda _row: True

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What makes the envelope one of its kind."""
        return self.originator, self.kind, self.document_id, self.business_type


@dataclass(frozen=True, slots=True)
class Taken:
    """The envelope is in custody since this commit."""


@dataclass(frozen=True, slots=True)
class Known:
    """The same content was accepted before."""

    envelope_id: str
    accepted_receipt_xml: bytes
    begun_anew: tuple[str, ...] = ()  # Addressees whose deliveries had expired, and begin again with this commit.


@dataclass(frozen=True, slots=True)
class Conflict:
    """The id was accepted before, for other content."""

    envelope_id: str


@dataclass(frozen=True, slots=True)
class Impossible:
    """What the envelope tells of a dossier or a task cannot follow what was told before."""

    before: int | None  # The status that stands; None: the office was not given the task.
    assignee: str | None = None  # Of a task: for whom; None: it is the dossier.


CustodyAnswer = Taken | Known | Conflict | Impossible


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """An envelope that was refused: who handed it in, its digest, why."""

    submitter: str
    sealed_digest: str
    code: str
    violations: tuple[dict[str, object], ...]
    at: datetime
    via: str
    receipt: ReceiptRow
    notice: Notice | None


Numbered = tuple[int, int]  # A delivery by its number, and which attempt at it.


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt that is on record and is to be made now."""

    delivery_id: int
    envelope_id: str
    addressee: str
    attempt_no: int
    digest: str
    sealed: bytes
    priority: int
    chain_head: str
    is_probe: bool = False  # Until it is answered, or a while has passed, no other attempt is made at its office.
    takes_files: int = 0  # Bytes of files that its office takes along with an envelope.

    @property
    def numbered(self) -> Numbered:
        """The delivery, and which attempt at it this is."""
        return self.delivery_id, self.attempt_no


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """A delivery as it stands, with what one needs to know of its envelope."""

    delivery_id: int
    envelope_id: str
    addressee: str
    state: str
    business: str | None
    attempts: int
    code: str | None
    reason: str
    who_must_act: str
    next_at: datetime | None
    told_at: datetime | None
    chain_head: str
    priority: int
    accepted_at: datetime
    expires_at: datetime
    updated_at: datetime
    originator: str
    document_id: str
    digest: str
    business_type: int
    kind: str
    release_at: datetime | None
    register_by: datetime | None
    process_by: datetime | None
    registered_at: datetime | None
    done_at: datetime | None
    remind_at: datetime | None
    due_by: datetime | None
    in_place_of: str | None  # The closed office that it was forwarded from.

    @property
    def clocks(self) -> Clocks:
        """The clocks of its addressee."""
        return Clocks(**{name: getattr(self, name) for name in CLOCKS})

    @property
    def numbered(self) -> Numbered:
        """The delivery, and the last attempt at it."""
        return self.delivery_id, self.attempts

    @property
    def since(self) -> datetime:
        """When it was to leave: at acceptance, or at its hour."""
        return self.release_at or self.accepted_at

    def was_released(self, now: datetime) -> bool:
        """Tell whether its hour has come, if it has one: before, it is nothing to its addressee.

        The clock of who attempted it may be ahead of who asks.
        """
        return self.release_at is None or self.release_at <= now or self.attempts > 0

    def is_readable(self, now: datetime) -> bool:
        """Tell whether its addressee may read it; what was over before it went out, held to the end, was never its own."""
        was_over = self.state == "expired" and not self.attempts
        return self.state not in UNREADABLE and not was_over and self.was_released(now)

    def was_given(self, now: datetime) -> bool:
        """Tell whether it was ever anything to its addressee: what the addressee itself refused was."""
        return self.is_readable(now) or (self.state == "refused" and self.attempts > 0)

    def waits_for_its_hour(self, now: datetime) -> bool:
        """Tell whether it waits for its hour and for nothing else."""
        return self.state == "queued" and not self.was_released(now)

    def is_overdue(self, now: datetime) -> bool:
        """Tell whether its addressee is late with it."""
        return self.due_by is not None and self.due_by <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeRow:
    """An envelope without its bytes."""

    envelope_id: str
    originator: str
    document_id: str
    business_type: int
    kind: str
    digest: str
    code: str
    subject: str
    priority: int
    via: str
    accepted_at: datetime
    expires_at: datetime
    original: str | None  # SHA-256 of what an older system sent, whose originator is not verified.

    @property
    def verified(self) -> bool:
        """Whether its originator has sealed it."""
        return self.original is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An office could not take a delivery: what that does to its lane."""

    threshold: int  # Failures in a row after which the breaker opens.
    probe_after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Heir:
    """An office that gets an envelope instead of a closed one, by a delivery that begins now."""

    addressee: str
    in_place_of: str
    priority: int
    accepted_at: datetime
    expires_at: datetime
    next_at: datetime
    release_at: datetime | None
    process_by: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptEntry:
    """One receipt and what it does to a delivery, to be recorded in one commit."""

    receipt: ReceiptRow
    new_state: str | None  # None: the receipt is late and moves nothing.
    business: str | None
    code: str | None
    reason: str
    who_must_act: str
    next_at: datetime | None
    notices: tuple[Notice, ...]
    event: str
    at: datetime
    office_answered: bool  # The office has shown that it is there.
    failure: Failure | None  # It has shown that it cannot.
    clocks: Clocks | None = None  # None: they stay as they are.
    why_stays: bool = False  # Code, reason and who must act are those of the office's own word.
    # Who gets the envelope instead, after this receipt; who has a delivery keeps that. If one has ended without it, nothing
    # is recorded.
    heirs: tuple[Heir, ...] = ()
    note: Row = field(default_factory=dict)  # What is kept with the event beside: who decided, and why.


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody wants to record about one delivery."""

    envelope_id: str
    addressee: str
    # Given the delivery as it stands, returns what is to be recorded about it; None: nothing. What it raises is answered,
    # with nothing written. It may be called more than once.
    decide: Callable[[DeliveryRow | None], ReceiptEntry | None]
    digest: str | None = None  # Of the receipt, where it may be there already.
    heirs: tuple[str, ...] = ()  # Who may get the envelope instead: their deliveries stand still meanwhile, too.


class Outcome(Enum):
    """What became of recording a receipt."""

    RECORDED = auto()
    REPEATED = auto()  # It was there already; nothing changed.
    NOTHING = auto()  # There was nothing to record.


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of recording a receipt, with the delivery as it was before."""

    outcome: Outcome
    row: DeliveryRow | None
    entry: ReceiptEntry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueNotice:
    """A receipt to publish to an office now."""

    id: int
    target: str
    envelope_id: str
    xml: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneRow:
    """How an office's lane is doing."""

    office: str
    failures: int
    open_until: datetime | None
    paused: bool
    heartbeat_at: datetime | None
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxItem:
    """A delivery that waits for its addressee, as the addressee is shown it."""

    number: int
    envelope_id: str
    state: str
    business: str | None
    attempts: int
    chain_head: str
    expires_at: datetime
    originator: str
    kind: str
    business_type: int
    document_id: str
    code: str
    subject: str
    priority: int
    digest: str
    accepted_at: datetime
    attachments: tuple[AttachmentRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """What stands under a key of idempotence."""

    digest: str  # Of the body that it came with.
    status: int | None  # Of the answer; None while it is being worked out.
    answer: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Punctuality:
    """How an office met the time by which it was to register documents."""

    office: str
    documents: int  # With such a time.
    on_time: int
    late: int  # Registered, or answered otherwise, but later.
    overdue: int  # Not yet, and late already.

    @property
    def rate(self) -> float | None:
        """What share of those whose time is over was registered in it; None while there is none."""
        over = self.on_time + self.late + self.overdue
        return self.on_time / over if over else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the gauges show."""

    waiting: dict[str, int] = field(default_factory=dict)  # Deliveries that have not ended, by state.
    oldest_s: dict[int, float] = field(default_factory=dict)  # By priority; 0 where nothing waits.
    outbox_lag_s: float = 0.0
