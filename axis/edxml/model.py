"""Model: a document and a status message as frozen values.

Field names are English for edXML's own; the element each comes from stands in
its comment where it is not plain. Empty optional text is "", an absent date is
None.

Spec: QCVN 102:2016 clauses 1.1 to 1.14, 2.1, 2.2, as schemas/README.md lists them.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum, StrEnum

from axis.edxml.codes import TAKE_BACK


class Kind(StrEnum):
    """Which message it is."""

    DOCUMENT = "document"
    STATUS = "status"


class Priority(IntEnum):
    """OtherInfo/Priority: the urgency written on the document."""

    ORDINARY = 0  # Thường
    URGENT = 1  # Khẩn
    VERY_URGENT = 2  # Thượng khẩn
    EXPRESS = 3  # Hỏa tốc
    TIMED = 4  # Hỏa tốc hẹn giờ


class BusinessType(IntEnum):
    """Bussiness/BussinessDocType: what the message asks for."""

    NEW = 0
    RECALL = 1
    UPDATE = 2
    REPLACE = 3


@dataclass(frozen=True, slots=True)
class Organization:
    """From, To."""

    organ_id: str
    name: str = ""
    in_charge: str = ""  # OrganizationInCharge: the superior organ.
    address: str = ""
    email: str = ""
    telephone: str = ""
    fax: str = ""
    website: str = ""


@dataclass(frozen=True, slots=True)
class Staff:
    """StaffInfo: the person to ask."""

    department: str = ""
    staff: str = ""
    email: str = ""
    mobile: str = ""


@dataclass(frozen=True, slots=True)
class ResponseFor:
    """The document that this one answers, or that a status is about."""

    organ_id: str
    code: str = ""  # Number/notation, "125/SKHCN-CĐS".
    document_id: str = ""
    promulgated_on: date | None = None


@dataclass(frozen=True, slots=True)
class Replacement:
    """ReplacementInfo: a document that is replaced, and for whom."""

    document_id: str
    organ_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """BussinessDocumentInfo: what an update changes."""

    content_changed: bool
    receivers_changed: bool
    receivers: tuple[tuple[str, int], ...] = ()  # (OrganId, ReceiverType).


@dataclass(frozen=True, slots=True)
class Business:
    """Bussiness: the order that a document carries."""

    type: BusinessType = BusinessType.NEW
    reason: str = ""
    paper: bool = False  # A paper original follows.
    document_id: str = ""  # Of the document that an update is about.
    update: Update | None = None
    replacements: tuple[Replacement, ...] = ()
    staff: Staff | None = None


@dataclass(frozen=True, slots=True)
class AttachmentRef:
    """A Reference of the manifest: one file, by its digest."""

    content_id: str  # Without "cid:".
    name: str
    content_type: str
    sha256: str  # Lower-case hex, of the decoded file.
    size_bytes: int
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document on its way to one or more offices."""

    originator: Organization
    addressees: tuple[Organization, ...]
    document_id: str
    code_number: str
    code_notation: str
    place: str
    promulgated_on: date
    type_group: int = 2  # DocumentType/Type: 1 legal, 2 administrative.
    type_detail: int | None = None
    type_name: str = "Công văn"
    subject: str
    content: str = ""
    signer_competence: str = ""
    signer_position: str = ""
    signer_name: str = ""
    due_on: date | None = None
    priority: Priority = Priority.ORDINARY
    release_at: datetime | None = None  # axp:release: no addressee gets a timed document before. Aware.
    sphere: str = ""
    typer: str = ""
    copies: int | None = None
    pages: int | None = None
    direction: bool | None = None
    appendixes: tuple[str, ...] = ()
    responses: tuple[ResponseFor, ...] = ()
    steering: int = 0
    tasks: tuple[str, ...] = ()  # ResponseForTask/TaskCode: codes of tasks that it answers.
    to_places: tuple[str, ...] = ()
    business: Business = Business()
    traces: tuple[tuple[str, datetime], ...] = ()  # (OrganId, time) of TraceHeader; outside the seal.
    attachments: tuple[AttachmentRef, ...] = ()

    @property
    def code(self) -> str:
        """Number and notation as people write them."""
        return f"{self.code_number}/{self.code_notation}"

    @property
    def business_type(self) -> BusinessType:
        """What the message asks for."""
        return self.business.type

    @property
    def ordered_id(self) -> str:
        """Id of the document that a recall or an update is about: a recall as the national SDK makes it has none of its own."""
        return self.business.document_id or self.document_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What an office says about a document: 01 arrived, 03 registered, ..."""

    originator: Organization  # Who reports.
    response_for: ResponseFor  # About which document; OrganId is to whom.
    status_code: str
    description: str = ""
    at: datetime
    staff: Staff | None = None

    @property
    def takes_back(self) -> bool:
        """Whether it is an order of the document's originator, and no news of its addressee."""
        return self.status_code == TAKE_BACK


Message = Document | Status


@dataclass(frozen=True, slots=True)
class Notary:
    """Who sealed a message that its originator did not: its word is that this is what came, not who wrote it."""

    organ_id: str
    original: str  # SHA-256 of the bytes that came, lower-case hex.
