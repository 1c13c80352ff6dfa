"""Letters: a document described by a few plain fields, for those who do not write edXML.

A clerk writes them in `letter.toml`, a document system in JSON. What is not
given follows from what is: the identifier from office, date and number, the
date from today in Viet Nam.

Spec: QCVN 102:2016 (MessageHeader); Decree 30/2020/NĐ-CP (components of a document).
"""

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from axis import Business, BusinessType, Draft, Organization, Priority, ResponseFor, Staff

VIETNAM = dt.timezone(dt.timedelta(hours=7))


def now() -> dt.datetime:
    """Return the time, aware."""
    return dt.datetime.now(dt.UTC)


_PRIORITIES = {
    "thường": Priority.ORDINARY,
    "khẩn": Priority.URGENT,
    "thượng khẩn": Priority.VERY_URGENT,
    "hỏa tốc": Priority.EXPRESS,
    "hỏa tốc hẹn giờ": Priority.TIMED,
}


def _priority(value: object) -> object:
    return _PRIORITIES.get(value.strip().casefold(), value) if isinstance(value, str) else value


def _organization(value: object) -> object:
    return {"office": value} if isinstance(value, str) else value


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Addressee(_Form):
    """An office that the letter goes to; its OrganId alone is enough."""

    office: str
    name: str = ""


class Answered(_Form):
    """The document that this letter answers."""

    office: str
    code: str = ""
    document_id: str = ""
    date: dt.date | None = None


class Letter(_Form):
    """One letter. Field names are those that a person or a system writes."""

    to: list[Annotated[Addressee, BeforeValidator(_organization)]] = Field(min_length=1)
    number: str = Field(min_length=1, coerce_numbers_to_str=True)
    notation: str = Field(min_length=1)
    subject: str = Field(min_length=1)
    signer: str = Field(min_length=1)  # The person's full name.
    kind: str = "Công văn"
    date: dt.date | None = None  # Of promulgation; today in Viet Nam if it is not given.
    place: str = "Thanh Hóa"
    content: str = ""
    position: str = ""
    competence: str = ""
    contact: str = ""
    contact_email: str = ""
    due: dt.date | None = None
    priority: Annotated[Priority, BeforeValidator(_priority)] = Priority.ORDINARY
    release: dt.datetime | None = None  # The hour of a timed one; without a zone it is that of Viet Nam.
    pages: int | None = Field(None, ge=1)
    copies_to: list[str] = []  # "Nơi nhận", as printed on the document.
    answers: list[Answered] = []
    business: Literal["new", "recall"] = "new"
    document_id: str = ""  # Of an earlier document, for a recall; else it follows from the rest.
    reason: str = ""  # Of a recall.

    def draft(self, *, office: str, office_name: str, at: dt.datetime) -> Draft:
        """Return the letter as a document of an office.

        Args:
            office: OrganId of the originator.
            office_name: Its name.
            at: Now, aware.
        """
        day = self.date or at.astimezone(VIETNAM).date()
        recall = self.business == "recall"
        return Draft(
            originator=Organization(office, office_name),
            addressees=tuple(Organization(one.office, one.name) for one in self.to),
            document_id=self.document_id or f"{office},{day:%Y/%m/%d},{self.number}/{self.notation}",
            code_number=self.number,
            code_notation=self.notation,
            place=self.place,
            promulgated_on=day,
            type_name=self.kind,
            subject=self.subject,
            content=self.content,
            signer_competence=self.competence,
            signer_position=self.position,
            signer_name=self.signer,
            due_on=self.due,
            priority=self.priority,
            release_at=self.release and (self.release if self.release.tzinfo else self.release.replace(tzinfo=VIETNAM)),
            pages=self.pages,
            responses=tuple(ResponseFor(one.office, one.code, one.document_id, one.date) for one in self.answers),
            to_places=tuple(self.copies_to),
            business=Business(
                type=BusinessType.RECALL if recall else BusinessType.NEW,
                reason=self.reason or ("" if recall else "Văn bản điện tử mới"),
                staff=Staff(staff=self.contact, email=self.contact_email) if self.contact else None,
            ),
        )
