"""Reading: canonical bytes become a message.

These are the bytes that the seal was checked over, each part parsed afresh, so
that what the axis acts on is what was signed and nothing beside it.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
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
from axis.edxml.parse import Received
from axis.edxml.values import PROFILE, RELEASE, collapse, parse_date, parse_moment, parse_timestamp, q
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
    top, several = _children(header)
    code, place, kind = _below(top, "Code"), _below(top, "PromulgationInfo"), _below(top, "DocumentType")
    signer, other = _below(top, "SignerInfo"), _below(top, "OtherInfo")
    return Document(
        originator=_organization(top.get(q("From"))),
        addressees=tuple(_organization(to) for to in several.get(q("To"), ())),
        document_id=_text(top, "DocumentId"),
        code_number=_text(code, "CodeNumber"),
        code_notation=_text(code, "CodeNotation"),
        place=_text(place, "Place"),
        promulgated_on=_date(place, "PromulgationDate", "PromulgationInfo/PromulgationDate"),
        type_group=_number(kind, "Type", default=2),
        type_detail=_optional_number(kind, "TypeDetail"),
        type_name=_text(kind, "TypeName"),
        subject=_text(top, "Subject"),
        content=_text(top, "Content"),
        signer_competence=_text(signer, "Competence"),
        signer_position=_text(signer, "Position"),
        signer_name=_text(signer, "FullName"),
        due_on=_date(top, "DueDate", "DueDate") if _text(top, "DueDate") else None,
        priority=_choice(Priority, other, "Priority"),
        release_at=_release(top.get(q("OtherInfo"))),
        sphere=_text(other, "SphereOfPromulgation"),
        typer=_text(other, "TyperNotation"),
        copies=_optional_number(other, "PromulgationAmount"),
        pages=_optional_number(other, "PageAmount"),
        direction={"true": True, "false": False}.get(_text(other, "Direction")),
        appendixes=_texts(other, "Appendixes", "Appendix"),
        responses=tuple(_response(answered) for answered in several.get(q("ResponseFor"), ())),
        steering=_number(top, "SteeringType", default=0),
        tasks=_texts(top, "ResponseForTask", "TaskCode"),
        to_places=_texts(top, "ToPlaces", "Place"),
        business=_business(business),
        attachments=read_manifest(manifest),
    )


def read_traces(received: Received) -> tuple[tuple[str, datetime], ...]:
    """Return office and time of each TraceHeader that says both. They stand outside the seal: anybody may have said it."""
    found = []
    for trace in received.root.iter(q("TraceHeader")):
        fields, _ = _children(trace)
        with suppress(ValueError):
            found.append((_text(fields, "OrganId"), parse_timestamp(_text(fields, "Timestamp"))))
    return tuple(found)


def _release(other: etree._Element | None) -> datetime | None:
    text = None if other is None else other.get(RELEASE)
    if text is None:
        return None
    try:
        return parse_moment(text)
    except ValueError as error:
        raise refuse(
            "RULE.DATE", f"axp:release {text[:40]}", path="edXML:MessageHeader/edXML:OtherInfo/@axp:release",
            rule="rule:date.exists",
        ) from error  # fmt: skip


def read_manifest(manifest: etree._Element) -> tuple[AttachmentRef, ...]:
    """Return the files that a manifest lists."""
    return tuple(_reference(reference) for reference in manifest.findall(q("Reference")))


def _status(header: etree._Element) -> Status:
    top, _ = _children(header)
    about = top.get(q("ResponseFor"))
    if about is None:
        raise refuse("ENV.SCHEMA", "ResponseFor")
    text = _text(top, "Timestamp")
    try:
        at = parse_timestamp(text)
    except ValueError as error:
        raise refuse(
            "RULE.DATE", text[:40], path="edXML:MessageHeader/edXML:Timestamp", rule="rule:date.exists"
        ) from error
    return Status(
        originator=_organization(top.get(q("From"))),
        response_for=_response(about),
        status_code=_text(top, "StatusCode"),
        description=_text(top, "Description"),
        at=at,
        staff=_staff(top.get(q("StaffInfo"))),
    )


def _organization(element: etree._Element | None) -> Organization:
    if element is None:
        raise refuse("ENV.SCHEMA", "From")
    fields, _ = _children(element)
    return Organization(
        organ_id=_text(fields, "OrganId"),
        name=_text(fields, "OrganName"),
        in_charge=_text(fields, "OrganizationInCharge"),
        address=_text(fields, "OrganAdd"),
        email=_text(fields, "Email"),
        telephone=_text(fields, "Telephone"),
        fax=_text(fields, "Fax"),
        website=_text(fields, "Website"),
    )


def _staff(element: etree._Element | None) -> Staff | None:
    if element is None:
        return None
    fields, _ = _children(element)
    return Staff(_text(fields, "Department"), _text(fields, "Staff"), _text(fields, "Email"), _text(fields, "Mobile"))


def _response(element: etree._Element) -> ResponseFor:
    fields, _ = _children(element)
    return ResponseFor(
        organ_id=_text(fields, "OrganId"),
        code=_text(fields, "Code"),
        document_id=_text(fields, "DocumentId"),
        promulgated_on=_date(fields, "PromulgationDate", "PromulgationDate")
        if _text(fields, "PromulgationDate")
        else None,
    )


def _business(element: etree._Element) -> Business:
    fields, _ = _children(element)
    details = fields.get(q("BussinessDocumentInfo"))
    return Business(
        type=_choice(BusinessType, fields, "BussinessDocType"),
        reason=_text(fields, "BussinessDocReason"),
        paper=_text(fields, "Paper") == "1",
        document_id=_text(fields, "DocumentId"),
        update=None if details is None else _update(details),
        replacements=tuple(
            _replacement(one) for one in element.findall(f"{q('ReplacementInfoList')}/{q('ReplacementInfo')}")
        ),
        staff=_staff(fields.get(q("StaffInfo"))),
    )


def _replacement(element: etree._Element) -> Replacement:
    fields, _ = _children(element)
    return Replacement(_text(fields, "DocumentId"), _texts(fields, "OrganIdList", "OrganId"))


def _update(element: etree._Element) -> Update:
    fields, _ = _children(element)
    return Update(
        content_changed=_text(fields, "DocumentInfo") == "1",
        receivers_changed=_text(fields, "DocumentReceiver") == "1",
        receivers=tuple(_receiver(one) for one in element.findall(f"{q('ReceiverList')}/{q('Receiver')}")),
    )


def _receiver(element: etree._Element) -> tuple[str, int]:
    fields, _ = _children(element)
    return _text(fields, "OrganId"), _number(fields, "ReceiverType", default=0)


def _reference(element: etree._Element) -> AttachmentRef:
    fields, _ = _children(element)
    return AttachmentRef(
        content_id=_text(fields, "ContentId").removeprefix("cid:"),
        name=_text(fields, "AttachmentName"),
        content_type=_text(fields, "ContentType"),
        description=_text(fields, "Description"),
        sha256=str(element.get(f"{{{PROFILE}}}sha256", "")),
        size_bytes=_count(str(element.get(f"{{{PROFILE}}}bytes", ""))),
    )


# --- what stands below an element, looked at once ---------------------------------------------

_Fields = Mapping[object, etree._Element]  # By tag.


def _children(element: etree._Element) -> tuple[_Fields, Mapping[object, list[etree._Element]]]:
    """Return the first child of each name, and all of each: to ask the tree for one name after the other takes longer."""
    first: dict[object, etree._Element] = {}
    every: dict[object, list[etree._Element]] = {}
    for one in element:
        tag = one.tag
        if first.setdefault(tag, one) is one:
            every[tag] = [one]
        else:
            every[tag].append(one)
    return first, every


def _below(fields: _Fields, name: str) -> _Fields:
    """Return the children of a child; none where it is missing."""
    found = fields.get(q(name))
    return {} if found is None else _children(found)[0]


def _text(fields: _Fields, name: str) -> str:
    found = fields.get(q(name))
    return "" if found is None else collapse(found.text)


def _texts(fields: _Fields, name: str, each: str) -> tuple[str, ...]:
    """Return the texts of a list."""
    found = fields.get(q(name))
    return () if found is None else tuple(collapse(one.text) for one in found.iterchildren(q(each)))


def _count(text: str) -> int:
    """Read a size; one that is missing or no number matches no file, and the gate says why."""
    return int(text) if text.isascii() and text.isdigit() else -1


def _number(fields: _Fields, name: str, *, default: int) -> int:
    found = _optional_number(fields, name)
    return default if found is None else found


def _choice(among: type[Choice], fields: _Fields, name: str) -> Choice:
    """Read a number of a table; its first row is meant where nothing is written."""
    number = _number(fields, name, default=0)
    try:
        return among(number)
    except ValueError as error:
        raise refuse("ENV.SCHEMA", f"{name}: {str(number)[:40]}") from error


def _optional_number(fields: _Fields, name: str) -> int | None:
    text = _text(fields, name)
    try:
        return int(text) if text else None  # More digits than int() takes are a ValueError as well.
    except ValueError as error:
        raise refuse("ENV.SCHEMA", f"{name}: {text[:40]}") from error


def _date(fields: _Fields, name: str, place: str) -> date:
    text = _text(fields, name)
    try:
        return parse_date(text)
    except ValueError as error:
        where = "/".join(f"edXML:{step}" for step in place.split("/"))
        raise refuse(
            "RULE.DATE", f"{name} {text[:40]}", path=f"edXML:MessageHeader/{where}", rule="rule:date.exists"
        ) from error
