"""Handlers: the functions that an office's programmer registers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from axis.errors import Violation
from axis.office.answers import Answer, Decision
from axis.office.document import Document, StatusReport
from axis.office.order import Order
from axis.receipts import Level, SignedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A verified receipt about something that this office sent, or a reminder of what it was given and is late with."""

    signed: SignedReceipt
    submission_id: str | None  # None: sent by other means, or before this state was begun.

    @property
    def level(self) -> Level:
        """What happened."""
        return self.signed.receipt.level

    @property
    def document_id(self) -> str:
        """Our document."""
        return self.signed.receipt.document_id

    @property
    def envelope_id(self) -> str:
        """The axis's id of the envelope; "" if it was rejected."""
        return self.signed.receipt.envelope_id

    @property
    def issuer(self) -> str:
        """Who says it."""
        return self.signed.receipt.issuer

    @property
    def verified(self) -> bool:
        """Whether it is signed by whose word it is; else the axis wrote it down for an addressee that does not sign."""
        return self.signed.receipt.verified

    @property
    def addressee(self) -> str | None:
        """The addressee it is about; None: the whole envelope."""
        return self.signed.receipt.addressee

    @property
    def number(self) -> str | None:
        """The number in the addressee's incoming register."""
        return self.signed.receipt.number

    @property
    def status_code(self) -> str | None:
        """The edXML status."""
        return self.signed.receipt.status_code

    @property
    def reason(self) -> str:
        """Why, or a note."""
        return self.signed.receipt.reason

    @property
    def code(self) -> str | None:
        """Code of the catalogue of errors."""
        return self.signed.receipt.code

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Everything that is wrong, if it was refused for faults of its form."""
        return self.signed.receipt.violations

    @property
    def who_must_act(self) -> str:
        """Who must act next."""
        return self.signed.receipt.who_must_act

    @property
    def at(self) -> datetime:
        """When it was said."""
        return self.signed.receipt.at

    @property
    def digest(self) -> str:
        """SHA-256 of the receipt: its name."""
        return self.signed.digest

    @property
    def xml(self) -> bytes:
        """The signed receipt."""
        return self.signed.xml


OnDocument = Callable[[Document], Awaitable[Answer]]
OnOrder = Callable[[Order], Awaitable[Decision]]
OnStatus = Callable[[StatusReport], Awaitable[None]]
OnReceipt = Callable[[Notice], Awaitable[None]]
Beside = Callable[[], Awaitable[None]]


@dataclass
class Handlers:
    """What has been registered so far."""

    document: OnDocument | None = None
    order: OnOrder | None = None
    status: OnStatus | None = None
    receipt: OnReceipt | None = None
    beside: list[Beside] = field(default_factory=list)
