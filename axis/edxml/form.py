"""Form: a document that stands, byte for byte, as `render` writes it.

Nearly all do that offices write with our SDK, and each is read by the axis and
by every addressee. Of such a one the canonical parts are at hand, and neither a
tree nor the schema has more to say about it: a pattern, which holds what the
schema says of each text, takes out what the document says, and writing that
again must give the same bytes. Whatever stands otherwise is left to `parse`,
which also says what is wrong.

Spec: schemas/document-1.xsd; docs/protocol/envelope.md.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from axis.edxml import limits
from axis.edxml.model import (
    AttachmentRef,
    Business,
    BusinessType,
    Document,
    Organization,
    Priority,
    ResponseFor,
    Staff,
)
from axis.edxml.render import BEGIN, END, write
from axis.edxml.values import DSIG, parse_date


@dataclass(frozen=True, slots=True)
class Formed:
    """What a document says, which may pass, and the seal that stands on it, which nobody has held against it yet."""

    document: Document
    parts: Mapping[str, bytes]  # The canonical form of each of its `PARTS`.
    seal: str  # The Signature, as it stands.


_ORGAN_ID = r"(?=[^<]{1,35}<)[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)*"
_DATE = "[0-9]{4}/[0-9]{2}/[0-9]{2}"
_MOST_ID = 200 - len("cid:")


def _chars(most: int) -> str:
    """Return the pattern of a text.

    What XML writes as a reference, and what it cannot carry, is left to others; so are blanks that the schema does not count,
    of which two in a row are looked for in the whole.
    """
    return rf"(?! )[^<>&\x00-\x1f\ufffe\uffff]{{1,{most}}}(?<! )"


def _value(name: str, value: str) -> str:
    """Return the pattern of a text that is there."""
    return f"<edXML:{name}>({value})</edXML:{name}>"


def _some(name: str, most: int) -> str:
    return _value(name, _chars(most))


def _text(name: str, most: int) -> str:
    """Return the pattern of a text that may be empty."""
    return f"<edXML:{name}(?:/>|>({_chars(most)})</edXML:{name}>)"


def _branch(name: str, *inside: str) -> str:
    return f"<edXML:{name}>{''.join(inside)}</edXML:{name}>"


def _list(name: str, each: str, most: int) -> str:
    return f"<edXML:{name}(?:/>|>({_mute(each)}{{1,{most}}})</edXML:{name}>)"


def _maybe(pattern: str) -> str:
    return f"(?:{pattern})?"


def _mute(pattern: str) -> str:
    """Return a pattern without its groups, to be repeated."""
    return f"(?:{_GROUP.sub('(?:', pattern)})"


_GROUP = re.compile(r"\((?!\?)")
_ORGANIZATION = (
    _value("OrganId", _ORGAN_ID),
    _text("OrganizationInCharge", 500),
    _text("OrganName", 200),
    _text("OrganAdd", 500),
    _text("Email", 100),
    _text("Telephone", 50),
    _text("Fax", 50),
    _text("Website", 200),
)
_TO = _branch("To", *_ORGANIZATION)
_RESPONSE = _branch(
    "ResponseFor",
    _value("OrganId", _ORGAN_ID),
    _text("Code", 50),
    _maybe(_value("PromulgationDate", _DATE)),
    _text("DocumentId", 200),
)
_REFERENCE = (
    '<edXML:Reference axp:bytes="([0-9]{1,13})" axp:sha256="([0-9a-f]{64})">'
    + "".join(
        (
            f"<edXML:ContentId>cid:({_chars(_MOST_ID)})</edXML:ContentId>",
            _some("ContentType", 100),
            _text("Description", 500),
            _some("AttachmentName", 255),
        )
    )
    + "</edXML:Reference>"
)
_APPENDIX, _TASK, _PLACE = _some("Appendix", 500), _some("TaskCode", 100), _some("Place", 1000)
_HEADER = "".join(
    (
        _branch("From", *_ORGANIZATION),
        f"({_mute(_TO)}{{1,5000}})",
        _some("DocumentId", 200),
        _branch("Code", _some("CodeNumber", 11), _some("CodeNotation", 30)),
        _branch("PromulgationInfo", _text("Place", 150), _value("PromulgationDate", _DATE)),
        _branch(
            "DocumentType",
            _value("Type", "[0-9]{1,3}"),
            _maybe(_value("TypeDetail", "[0-9]{1,3}")),
            _some("TypeName", 100),
        ),
        _some("Subject", 500),
        _text("Content", 500),
        _branch("SignerInfo", _text("Competence", 100), _text("Position", 100), _some("FullName", 50)),
        _maybe(_value("DueDate", _DATE)),
        _branch(
            "OtherInfo",
            _value("Priority", "[0-4]"),
            _text("SphereOfPromulgation", 100),
            _text("TyperNotation", 10),
            _maybe(_value("PromulgationAmount", "[0-9]{1,6}")),
            _maybe(_value("PageAmount", "[0-9]{1,6}")),
            _maybe(_value("Direction", "true|false")),
            _list("Appendixes", _APPENDIX, 100),
        ),
        f"({_mute(_RESPONSE)}{{0,100}})",
        _value("SteeringType", "[0-2]"),
        _maybe(_branch("ResponseForTask", f"({_mute(_TASK)}{{1,100}})")),
        _list("ToPlaces", _PLACE, 5000),
    )
)
_STAFF = _branch("StaffInfo", _text("Department", 300), _text("Staff", 300), _text("Email", 100), _text("Mobile", 50))
_BUSINESS = "".join(
    (
        _maybe(_some("DocumentId", 200)),
        _value("BussinessDocType", "[0-3]"),
        _text("BussinessDocReason", 500),
        _value("Paper", "[01]"),
        f"({_STAFF})?",
    )
)
# Of the seal it holds the shape, so that nothing else can stand there; what the seal says, room 2 looks at.
_URI, _BASE64 = "[0-9A-Za-z./:#-]{1,100}", "[0-9A-Za-z+/]+={0,2}"


def _algorithm(name: str) -> str:
    return f'<ds:{name} Algorithm="{_URI}"></ds:{name}>'


def _reference_to(part: str) -> str:
    return (
        f'<ds:Reference URI="#{part}"><ds:Transforms>{_algorithm("Transform")}</ds:Transforms>'
        f"{_algorithm('DigestMethod')}<ds:DigestValue>{_BASE64}</ds:DigestValue></ds:Reference>"
    )


_SEAL = (
    f'(?P<seal><ds:Signature xmlns:ds="{re.escape(DSIG)}"><ds:SignedInfo>'
    f"{_algorithm('CanonicalizationMethod')}{_algorithm('SignatureMethod')}"
    f"{''.join(map(_reference_to, ('header', 'business', 'manifest')))}</ds:SignedInfo>"
    f"<ds:SignatureValue>{_BASE64}</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{_BASE64}"
    "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>)"
)
_FORM = re.compile(
    f'{re.escape(BEGIN)}<edXML:MessageHeader Id="header">{_HEADER}</edXML:MessageHeader>'
    f'<edXML:TraceHeaderList><edXML:Bussiness Id="business">{_BUSINESS}</edXML:Bussiness></edXML:TraceHeaderList>{_SEAL}'
    '</edXML:edXMLHeader><edXML:edXMLBody><edXML:edXMLManifest Id="manifest" version="1.0"'
    f"(?:/>|>({_mute(_REFERENCE)}+)</edXML:edXMLManifest>)</edXML:edXMLBody>{re.escape(END)}"
)
_EACH_TO, _EACH_RESPONSE, _EACH_REFERENCE = re.compile(_TO), re.compile(_RESPONSE), re.compile(_REFERENCE)
_EACH_APPENDIX, _EACH_TASK, _EACH_PLACE = re.compile(_APPENDIX), re.compile(_TASK), re.compile(_PLACE)


def in_form(sealed: bytes) -> Formed | None:
    """Take a sealed document of the usual form apart; None if it is not exactly that, whatever else it may be."""
    if len(sealed) > limits.MAX_ENVELOPE_BYTES or sealed.count(b"<") > limits.MAX_ELEMENTS:
        return None
    try:
        text = sealed.decode()
    except UnicodeDecodeError:
        return None
    found = _FORM.fullmatch(text)
    if found is None or "  " in text:
        return None
    try:
        document = _document(found)
    except ValueError:
        return None
    written = write(document)
    begin, end = found.span("seal")
    is_it = f"{text[:begin]}{text[end:]}".encode() == written.octets
    return Formed(document, written.parts, text[begin:end]) if is_it else None


def _document(found: re.Match[str]) -> Document:
    """Build what is said from the groups of the pattern.

    Raises:
        ValueError: It says what cannot be.
    """
    said = [one or "" for one in found.groups()]
    (to, document_id, number, notation, place, promulgated_on, group, detail, kind, subject, content, competence,
     position, signer, due_on, priority, sphere, typer, copies, pages, direction, appendixes, responses, steering,
     tasks, places, ordered, order, reason, paper, staff, *person, _, references) = said[8:]  # fmt: skip
    attachments = tuple(map(_reference, _EACH_REFERENCE.findall(references)))
    if len({one.content_id for one in attachments}) < len(attachments):
        raise ValueError("two files of one name")
    return Document(
        originator=_organization(said[:8]),
        addressees=tuple(map(_organization, _EACH_TO.findall(to))),
        document_id=document_id,
        code_number=number,
        code_notation=notation,
        place=place,
        promulgated_on=parse_date(promulgated_on),
        type_group=int(group),
        type_detail=int(detail) if detail else None,
        type_name=kind,
        subject=subject,
        content=content,
        signer_competence=competence,
        signer_position=position,
        signer_name=signer,
        due_on=parse_date(due_on) if due_on else None,
        priority=Priority(int(priority)),
        sphere=sphere,
        typer=typer,
        copies=int(copies) if copies else None,
        pages=int(pages) if pages else None,
        direction={"true": True, "false": False}.get(direction),
        appendixes=tuple(_EACH_APPENDIX.findall(appendixes)),
        responses=tuple(map(_response, _EACH_RESPONSE.findall(responses))),
        steering=int(steering),
        tasks=tuple(_EACH_TASK.findall(tasks)),
        to_places=tuple(_EACH_PLACE.findall(places)),
        business=Business(
            type=BusinessType(int(order)),
            reason=reason,
            paper=paper == "1",
            document_id=ordered,
            staff=Staff(*person) if staff else None,
        ),
        attachments=attachments,
    )


def _organization(said: Sequence[str]) -> Organization:
    organ_id, in_charge, name, address, email, telephone, fax, website = said
    return Organization(organ_id, name, in_charge, address, email, telephone, fax, website)


def _response(said: Sequence[str]) -> ResponseFor:
    organ_id, code, promulgated_on, document_id = said
    return ResponseFor(organ_id, code, document_id, parse_date(promulgated_on) if promulgated_on else None)


def _reference(said: Sequence[str]) -> AttachmentRef:
    size_bytes, digest, content_id, content_type, description, name = said
    return AttachmentRef(content_id, name, content_type, digest, int(size_bytes), description)
