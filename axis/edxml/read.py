"""Reading: canonical bytes become a message.

These are the bytes that the seal was checked over, each part parsed afresh, so
that what the axis acts on is what was signed and nothing beside it.
"""

from collections.abc import Mapping
from datetime import date
from enum import IntEnum
from typing import TypeVar

from lxml import etree

from axis.edxml.model import (
    AttachmentRef,
    Business,
    BusinessType,
    Document,
    Kind,
    Message,
    Organization,
    Priority,
    Replacement,
    ResponseFor,
    Staff,
    Status,
    Update,
)
from axis.edxml.values import PROFILE, child, collapse, parse_date, parse_timestamp, q
from axis.errors import refuse

Choice = TypeVar("Choice", bound=IntEnum)


def read(kind: Kind, parts: Mapping[str, bytes]) -> Message:
    """Turn signed parts into a message.

    Args:
        kind: Which message it is.
        parts: Canonical bytes by part name, as `PARTS` lists them.

    Raises:
        Refusal: RULE.DATE or ENV.SCHEMA where a value cannot be what its field means.
    """
    trees = {
        name: etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True))
        for name, xml in parts.items()
    }
    return read_trees(kind, trees)


def read_trees(kind: Kind, parts: Mapping[str, etree._Element]) -> Message:
    """Like `read`, from elements: for rendering tests and for files that carry no seal yet."""
    if kind is Kind.STATUS:
        return _status(parts["header"])
    return _document(parts["header"], parts["business"], parts["manifest"])


def _document(header: etree._Element, business: etree._Element, manifest: etree._Element) -> Document:
    other = child(header, "OtherInfo")
    return Document(
        originator=_organization(child(header, "From")),
        addressees=tuple(_organization(to) for to in header.findall(q("To"))),
        document_id=_text(header, "DocumentId"),
        code_number=_text(header, "Code", "CodeNumber"),
        code_notation=_text(header, "Code", "CodeNotation"),
        place=_text(header, "PromulgationInfo", "Place"),
        promulgated_on=_date(header, "PromulgationInfo", "PromulgationDate"),
        type_group=_number(header, "DocumentType", "Type", default=2),
        type_detail=_optional_number(header, "DocumentType", "TypeDetail"),
        type_name=_text(header, "DocumentType", "TypeName"),
        subject=_text(header, "Subject"),
        content=_text(header, "Content"),
        signer_competence=_text(header, "SignerInfo", "Competence"),
        signer_position=_text(header, "SignerInfo", "Position"),
        signer_name=_text(header, "SignerInfo", "FullName"),
        due_on=_date(header, "DueDate") if _text(header, "DueDate") else None,
        priority=_choice(Priority, header, "OtherInfo", "Priority"),
        sphere=_text(header, "OtherInfo", "SphereOfPromulgation"),
        typer=_text(header, "OtherInfo", "TyperNotation"),
        copies=_optional_number(header, "OtherInfo", "PromulgationAmount"),
        pages=_optional_number(header, "OtherInfo", "PageAmount"),
        direction={"true": True, "false": False}.get(_text(header, "OtherInfo", "Direction")),
        appendixes=() if other is None else tuple(_own(a) for a in other.findall(f"{q('Appendixes')}/{q('Appendix')}")),
        responses=tuple(_response(answered) for answered in header.findall(q("ResponseFor"))),
        steering=_number(header, "SteeringType", default=0),
        to_places=tuple(_own(place) for place in header.findall(f"{q('ToPlaces')}/{q('Place')}")),
        business=_business(business),
        attachments=read_manifest(manifest),
    )


def read_manifest(manifest: etree._Element) -> tuple[AttachmentRef, ...]:
    """Return the files that a manifest lists."""
    return tuple(_reference(reference) for reference in manifest.findall(q("Reference")))


def _status(header: etree._Element) -> Status:
    about = child(header, "ResponseFor")
    if about is None:
        raise refuse("ENV.SCHEMA", "ResponseFor")
    text = _text(header, "Timestamp")
    try:
        at = parse_timestamp(text)
    except ValueError as error:
        raise refuse(
            "RULE.DATE", text[:40], path="edXML:MessageHeader/edXML:Timestamp", rule="rule:date.exists"
        ) from error
    return Status(
        originator=_organization(child(header, "From")),
        response_for=_response(about),
        status_code=_text(header, "StatusCode"),
        description=_text(header, "Description"),
        at=at,
        staff=_staff(child(header, "StaffInfo")),
    )


def _organization(element: etree._Element | None) -> Organization:
    if element is None:
        raise refuse("ENV.SCHEMA", "From")
    return Organization(
        organ_id=_text(element, "OrganId"),
        name=_text(element, "OrganName"),
        in_charge=_text(element, "OrganizationInCharge"),
        address=_text(element, "OrganAdd"),
        email=_text(element, "Email"),
        telephone=_text(element, "Telephone"),
        fax=_text(element, "Fax"),
        website=_text(element, "Website"),
    )


def _staff(element: etree._Element | None) -> Staff | None:
    if element is None:
        return None
    return Staff(
        _text(element, "Department"), _text(element, "Staff"), _text(element, "Email"), _text(element, "Mobile")
    )


def _response(element: etree._Element) -> ResponseFor:
    return ResponseFor(
        organ_id=_text(element, "OrganId"),
        code=_text(element, "Code"),
        document_id=_text(element, "DocumentId"),
        promulgated_on=_date(element, "PromulgationDate") if _text(element, "PromulgationDate") else None,
    )


def _business(element: etree._Element) -> Business:
    details = child(element, "BussinessDocumentInfo")
    return Business(
        type=_choice(BusinessType, element, "BussinessDocType"),
        reason=_text(element, "BussinessDocReason"),
        paper=_text(element, "Paper") == "1",
        document_id=_text(element, "DocumentId"),
        update=None if details is None else _update(details),
        replacements=tuple(
            Replacement(
                _text(one, "DocumentId"),
                tuple(_own(organ) for organ in one.findall(f"{q('OrganIdList')}/{q('OrganId')}")),
            )
            for one in element.findall(f"{q('ReplacementInfoList')}/{q('ReplacementInfo')}")
        ),
        staff=_staff(child(element, "StaffInfo")),
    )


def _update(element: etree._Element) -> Update:
    return Update(
        content_changed=_text(element, "DocumentInfo") == "1",
        receivers_changed=_text(element, "DocumentReceiver") == "1",
        receivers=tuple(
            (_text(one, "OrganId"), _number(one, "ReceiverType", default=0))
            for one in element.findall(f"{q('ReceiverList')}/{q('Receiver')}")
        ),
    )


def _reference(element: etree._Element) -> AttachmentRef:
    return AttachmentRef(
        content_id=_text(element, "ContentId").removeprefix("cid:"),
        name=_text(element, "AttachmentName"),
        content_type=_text(element, "ContentType"),
        description=_text(element, "Description"),
        sha256=str(element.get(f"{{{PROFILE}}}sha256", "")),
        size_bytes=_count(str(element.get(f"{{{PROFILE}}}bytes", ""))),
    )


def _count(text: str) -> int:
    """Read a size; one that is missing or no number matches no file, and the gate says why."""
    return int(text) if text.isascii() and text.isdigit() else -1


def _own(element: etree._Element) -> str:
    return collapse(element.text)


def _text(element: etree._Element, *path: str) -> str:
    found = child(element, *path)
    return "" if found is None else _own(found)


def _number(element: etree._Element, *path: str, default: int) -> int:
    found = _optional_number(element, *path)
    return default if found is None else found


def _choice(among: type[Choice], element: etree._Element, *path: str) -> Choice:
    """Read a number of a table; its first row is meant where nothing is written."""
    number = _number(element, *path, default=0)
    try:
        return among(number)
    except ValueError as error:
        raise refuse("ENV.SCHEMA", f"{path[-1]}: {str(number)[:40]}") from error


def _optional_number(element: etree._Element, *path: str) -> int | None:
    text = _text(element, *path)
    try:
        return int(text) if text else None  # More digits than int() takes are a ValueError as well.
    except ValueError as error:
        raise refuse("ENV.SCHEMA", f"{path[-1]}: {text[:40]}") from error


def _date(element: etree._Element, *path: str) -> date:
    text = _text(element, *path)
    try:
        return parse_date(text)
    except ValueError as error:
        where = "/".join(f"edXML:{name}" for name in path)
        raise refuse(
            "RULE.DATE", f"{path[-1]} {text[:40]}", path=f"edXML:MessageHeader/{where}", rule="rule:date.exists"
        ) from error
