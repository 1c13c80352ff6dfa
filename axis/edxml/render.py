"""Rendering: a message becomes XML, as the national SDK would write it.

Prefix `edXML` on every element, the SDK's order, the Ids and digests of the
axis profile. The result carries no seal yet.

A message is written as text, for a tree would be built only to be written; and
with it the canonical form of its parts, which is what is signed. The two differ
in their start tags alone: where nothing stands inside, and where a namespace is
declared. Every `<` of a text is written `&lt;`, so that a start tag is one
wherever it stands. Tests hold both against what libxml2 makes of them.

Spec: QCVN 102:2016; schemas/document-1.xsd; docs/protocol/envelope.md;
Exclusive XML Canonicalization 1.0.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from axis.edxml.characters import in_attribute, in_text, is_writable
from axis.edxml.model import Business, Document, Message, Notary, Organization, ResponseFor, Staff, Status
from axis.edxml.values import EDXML, PROFILE, format_date, format_moment, format_timestamp
from axis.errors import refuse

BEGIN = f"<?xml version='1.0' encoding='UTF-8'?>\n<edXML xmlns=\"{EDXML}\">"
# The default namespace stands on the root alone and `edXML` below, which the national axis demands.
BEGIN += f'<edXML:edXMLEnvelope xmlns:edXML="{EDXML}" xmlns:axp="{PROFILE}"><edXML:edXMLHeader>'
END = "</edXML:edXMLEnvelope></edXML>"

_EMPTY = re.compile("<edXML:[A-Za-z]+/>")
_DECLARED = f' xmlns:axp="{PROFILE}"'
_NEEDING = ("<edXML:OtherInfo", "<edXML:Reference")  # What may have attributes of the profile, but for a part itself.


@dataclass(frozen=True, slots=True)
class Written:
    """A message that is not sealed yet."""

    octets: bytes  # UTF-8.
    parts: Mapping[str, bytes]  # The exclusive canonical form of each of its `PARTS`.


def render(message: Message, notary: Notary | None = None) -> bytes:
    """Return a message as unsealed edXML, UTF-8; see `write`."""
    return write(message, notary).octets


def write(message: Message, notary: Notary | None = None) -> Written:
    """Write a message.

    Args:
        message: What it says.
        notary: Who will seal it, where that is not its originator.

    Raises:
        Refusal: ENV.NOT_WELL_FORMED; a text holds a character that XML has no way to write.
    """
    mark = "" if notary is None else _attributes(("axp:notary", notary.organ_id), ("axp:original", notary.original))
    if isinstance(message, Status):
        header = _Part("MessageHeader", f' Id="header"{mark}', _status(message))
        return Written(f"{BEGIN}{header}</edXML:edXMLHeader>{END}".encode(), {"header": header.canonical()})
    header = _Part("MessageHeader", f' Id="header"{mark}', _document_header(message))
    business = _Part("Bussiness", ' Id="business"', _business(message.business))
    manifest = _Part("edXMLManifest", ' Id="manifest" version="1.0"', _manifest(message))
    traces = "".join(
        _branch("TraceHeader", _text("OrganId", organ_id), _text("Timestamp", format_timestamp(at)))
        for organ_id, at in message.traces
    )
    octets = (
        f"{BEGIN}{header}<edXML:TraceHeaderList>{business}{traces}</edXML:TraceHeaderList></edXML:edXMLHeader>"
        f"<edXML:edXMLBody>{manifest}</edXML:edXMLBody>{END}"
    ).encode()
    parts = {"header": header.canonical(), "business": business.canonical(), "manifest": manifest.canonical()}
    return Written(octets, parts)


class _Part:
    """One signed part."""

    def __init__(self, name: str, attributes: str, inside: Iterator[str]) -> None:
        self._name = name
        self._attributes = attributes  # In their canonical order: those without a namespace first.
        self._inside = "".join(inside)

    def __str__(self) -> str:
        """Return it as it stands in the message."""
        return _branch(self._name, self._inside, attributes=self._attributes)

    def canonical(self) -> bytes:
        """Return it by itself, with what it needs of what is declared around it; nothing is declared twice."""
        inside, declared = _EMPTY.sub(_in_full, self._inside), f' xmlns:edXML="{EDXML}"'
        if " axp:" in self._attributes:
            declared = f"{_DECLARED}{declared}"
        else:
            for start in _NEEDING:
                inside = inside.replace(f"{start} axp:", f"{start}{_DECLARED} axp:")
        return f"<edXML:{self._name}{declared}{self._attributes}>{inside}</edXML:{self._name}>".encode()


def _in_full(empty: re.Match[str]) -> str:
    """Write an element in which nothing stands as canonical forms do."""
    name = empty[0][1:-2]
    return f"<{name}></{name}>"


def _document_header(document: Document) -> Iterator[str]:
    yield _organization("From", document.originator)
    for to in document.addressees:
        yield _organization("To", to)
    yield _text("DocumentId", document.document_id)
    yield _branch("Code", _text("CodeNumber", document.code_number), _text("CodeNotation", document.code_notation))
    yield _branch(
        "PromulgationInfo",
        _text("Place", document.place),
        _text("PromulgationDate", format_date(document.promulgated_on)),
    )
    detail = "" if document.type_detail is None else _text("TypeDetail", str(document.type_detail))
    yield _branch(
        "DocumentType", _text("Type", str(document.type_group)), detail, _text("TypeName", document.type_name)
    )
    yield _text("Subject", document.subject)
    yield _text("Content", document.content)
    yield _branch(
        "SignerInfo",
        _text("Competence", document.signer_competence),
        _text("Position", document.signer_position),
        _text("FullName", document.signer_name),
    )
    if document.due_on is not None:
        yield _text("DueDate", format_date(document.due_on))
    yield _other(document)
    yield from map(_response, document.responses)
    yield _text("SteeringType", str(document.steering))
    if document.tasks:
        yield _list("ResponseForTask", "TaskCode", document.tasks)
    yield _list("ToPlaces", "Place", document.to_places)


def _other(document: Document) -> str:
    release = "" if document.release_at is None else _attributes(("axp:release", format_moment(document.release_at)))
    said = [
        _text("Priority", str(int(document.priority))),
        _text("SphereOfPromulgation", document.sphere),
        _text("TyperNotation", document.typer),
    ]
    if document.copies is not None:
        said.append(_text("PromulgationAmount", str(document.copies)))
    if document.pages is not None:
        said.append(_text("PageAmount", str(document.pages)))
    if document.direction is not None:
        said.append(_text("Direction", "true" if document.direction else "false"))
    said.append(_list("Appendixes", "Appendix", document.appendixes))
    return _branch("OtherInfo", *said, attributes=release)


def _business(order: Business) -> Iterator[str]:
    if order.document_id:
        yield _text("DocumentId", order.document_id)
    yield _text("BussinessDocType", str(int(order.type)))
    yield _text("BussinessDocReason", order.reason)
    yield _text("Paper", "1" if order.paper else "0")
    if order.update is not None:
        receivers = (
            _branch("Receiver", _text("OrganId", organ_id), _text("ReceiverType", str(receiver_type)))
            for organ_id, receiver_type in order.update.receivers
        )
        yield _branch(
            "BussinessDocumentInfo",
            _text("DocumentInfo", "1" if order.update.content_changed else "0"),
            _text("DocumentReceiver", "1" if order.update.receivers_changed else "0"),
            _branch("ReceiverList", *receivers),
        )
    if order.replacements:
        replaced = (
            _branch(
                "ReplacementInfo", _text("DocumentId", one.document_id), _list("OrganIdList", "OrganId", one.organ_ids)
            )
            for one in order.replacements
        )
        yield _branch("ReplacementInfoList", *replaced)
    if order.staff is not None:
        yield _staff(order.staff)


def _manifest(document: Document) -> Iterator[str]:
    for ref in document.attachments:
        sealed = _attributes(("axp:bytes", str(ref.size_bytes)), ("axp:sha256", ref.sha256))
        yield _branch(
            "Reference",
            _text("ContentId", f"cid:{ref.content_id}"),
            _text("ContentType", ref.content_type),
            _text("Description", ref.description),
            _text("AttachmentName", ref.name),
            attributes=sealed,
        )


def _status(status: Status) -> Iterator[str]:
    yield _organization("From", status.originator)
    yield _response(status.response_for)
    if status.staff is not None:
        yield _staff(status.staff)
    yield _text("StatusCode", status.status_code)
    yield _text("Description", status.description)
    yield _text("Timestamp", format_timestamp(status.at))


def _organization(name: str, organ: Organization) -> str:
    return _branch(
        name,
        _text("OrganId", organ.organ_id),
        _text("OrganizationInCharge", organ.in_charge),
        _text("OrganName", organ.name),
        _text("OrganAdd", organ.address),
        _text("Email", organ.email),
        _text("Telephone", organ.telephone),
        _text("Fax", organ.fax),
        _text("Website", organ.website),
    )


def _staff(staff: Staff) -> str:
    return _branch(
        "StaffInfo",
        _text("Department", staff.department),
        _text("Staff", staff.staff),
        _text("Email", staff.email),
        _text("Mobile", staff.mobile),
    )


def _response(answered: ResponseFor) -> str:
    on = answered.promulgated_on
    return _branch(
        "ResponseFor",
        _text("OrganId", answered.organ_id),
        _text("Code", answered.code),
        "" if on is None else _text("PromulgationDate", format_date(on)),
        _text("DocumentId", answered.document_id),
    )


def _branch(name: str, *inside: str, attributes: str = "") -> str:
    said = "".join(inside)
    return f"<edXML:{name}{attributes}>{said}</edXML:{name}>" if said else f"<edXML:{name}{attributes}/>"


def _list(name: str, each: str, texts: tuple[str, ...]) -> str:
    return _branch(name, *(_text(each, text) for text in texts))


def _text(name: str, value: str) -> str:
    return f"<edXML:{name}>{in_text(_writable(name, value))}</edXML:{name}>" if value else f"<edXML:{name}/>"


def _attributes(*values: tuple[str, str]) -> str:
    """Write attributes, which are given in their canonical order: of one namespace, by name."""
    return "".join(f' {name}="{in_attribute(_writable(name, value))}"' for name, value in values)


def _writable(name: str, value: str) -> str:
    """Return a value that XML can carry.

    Raises:
        Refusal: ENV.NOT_WELL_FORMED
    """
    if not is_writable(value):
        raise refuse(
            "ENV.NOT_WELL_FORMED",
            f"{name} holds a control character",
            detail_vi=f"{name} có ký tự điều khiển",
            path=f"//edXML:{name}",
            rule="xml:char",
        )
    return value
