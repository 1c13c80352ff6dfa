"""Vectors: messages that differ from a good one in one place, and what the axis must say to each.

`SHAPES` are about the schema. Each names what is expected of the gate: nothing,
or every violation as (rule, last step of its path), in order. A rule that
begins with `xsd:` is the schema's, and `xmllint` must see the same; a rule
that begins with `rule:` is beyond what a schema can say.

`BYTES` are about the XML itself, and are refused before a schema is asked.

All are home-made from the good messages of `tests.province`. Clause numbers
are those of QCVN 102:2016; "profile" is the axis' own; "field" is a shape seen
in messages that real systems send (schemas/README.md).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.province import DOCUMENT, STATUS

Edit = Callable[[str], str]
Expected = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Shape:
    """One well-formed message and what the gate must find in it."""

    what: str
    clause: str
    xml: bytes
    expected: Expected
    schema: str = "document-1"

    @property
    def fits_the_schema(self) -> bool:
        """Whether the schema alone has nothing to say."""
        return not any(rule.startswith("xsd:") for rule, _ in self.expected)


@dataclass(frozen=True)
class Octets:
    """Bytes that are no message, and the one code for them."""

    id: str  # As in the catalogue of bad inputs: X01, X02, ...
    what: str
    content: bytes
    code: str


def put(old: str, new: str) -> Edit:
    """Write `new` for the first `old`."""

    def edit(text: str) -> str:
        assert old in text, old
        return text.replace(old, new, 1)

    return edit


def say(name: str, content: str) -> Edit:
    """Give the first element of this name another content."""

    def edit(text: str) -> str:
        changed, count = re.subn(
            rf"(<edXML:{name}(?: [^>]*)?>).*?(</edXML:{name}>)",
            lambda m: m[1] + content + m[2],
            text,
            count=1,
            flags=re.S,
        )
        assert count == 1, name
        return changed

    return edit


def drop(name: str) -> Edit:
    """Leave out the first element of this name."""
    return _whole(name, lambda _: "")


def twice(name: str) -> Edit:
    """Write the first element of this name twice."""
    return _whole(name, lambda whole: whole + whole)


def before(name: str, xml: str) -> Edit:
    """Write something before the first element of this name."""
    return put(f"<edXML:{name}", f"{xml}<edXML:{name}")


def after(name: str, xml: str) -> Edit:
    """Write something after the first element of this name."""
    return put(f"</edXML:{name}>", f"</edXML:{name}>{xml}")


def last_in(name: str, xml: str) -> Edit:
    """Write something at the end of the first element of this name."""
    return put(f"</edXML:{name}>", f"{xml}</edXML:{name}>")


def swap(first: str, second: str) -> Edit:
    """Exchange two neighbours."""

    def edit(text: str) -> str:
        one, other = _find(first, text), _find(second, text)
        return text.replace(one, "\0", 1).replace(other, one, 1).replace("\0", other, 1)

    return edit


def attribute(name: str, written: str) -> Edit:
    """Add to the start tag of the first element of this name."""
    return put(f"<edXML:{name}", f"<edXML:{name} {written}")


def _find(name: str, text: str) -> str:
    found = re.search(rf"<edXML:{name}[ >].*?</edXML:{name}>", text, flags=re.S)
    assert found is not None, name
    return found[0]


def _whole(name: str, change: Callable[[str], str]) -> Edit:
    def edit(text: str) -> str:
        whole = _find(name, text)
        return text.replace(whole, change(whole), 1)

    return edit


def _document(what: str, clause: str, *edits: Edit, expected: Expected = ()) -> Shape:
    return _made(DOCUMENT, "document-1", what, clause, edits, expected)


def _status(what: str, clause: str, *edits: Edit, expected: Expected = ()) -> Shape:
    return _made(STATUS, "status-1", what, clause, edits, expected)


def _made(text: str, schema: str, what: str, clause: str, edits: tuple[Edit, ...], expected: Expected) -> Shape:
    for edit in edits:
        changed = edit(text)
        assert changed != text, what
        text = changed
    return Shape(what, clause, text.encode(), expected, schema)


def _el(name: str, content: str) -> str:
    return f"<edXML:{name}>{content}</edXML:{name}>"


XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
XLINK = 'xmlns:xlink="http://www.w3.org/1999/xlink"'
DS = 'xmlns:ds="http://www.w3.org/2000/09/xmldsig#"'
_ORGAN = "".join(
    _el(name, content)
    for name, content in (
        ("Website", "https://vp.example.vn"),
        ("Fax", ""),
        ("Telephone", "02370000000"),
        ("Email", "vp@example.vn"),
        ("OrganAdd", "Phường Hạc Thành"),
        ("OrganName", "Văn phòng (ví dụ)"),
        ("OrganizationInCharge", "UBND tỉnh (ví dụ)"),
        ("OrganId", "H56.VP"),
    )
)
_ANSWERED = _el(
    "ResponseFor",
    _el("Code", "7/VP-TH") + _el("OrganId", "H56.VP") + _el("PromulgationDate", "") + _el("DocumentId", ""),
)
_TRACE = _el("TraceHeader", _el("OrganId", "H56.TRUC") + _el("Timestamp", "2026/08/25 09:30:06"))
_UPDATE = (
    _el("DocumentId", "old")
    + _el("BussinessDocType", "2")
    + _el(
        "BussinessDocumentInfo",
        _el("DocumentInfo", "1")
        + _el("DocumentReceiver", "1")
        + _el("ReceiverList", _el("Receiver", _el("OrganId", "H56.113") + _el("ReceiverType", "0"))),
    )
)
_REPLACE = _el("BussinessDocType", "3") + _el(
    "ReplacementInfoList",
    _el("ReplacementInfo", _el("DocumentId", "old") + _el("OrganIdList", _el("OrganId", "H56.112"))),
)
_STAFF = _el("StaffInfo", _el("Mobile", "84900000000") + _el("Staff", "Lê Thị B") + _el("Department", "Văn thư"))
_OTHER = "".join(
    _el(name, content)
    for name, content in (
        ("Priority", "4"),
        ("SphereOfPromulgation", "Chuyển đổi số"),
        ("TyperNotation", "NVA"),
        ("PromulgationAmount", "10"),
        ("PageAmount", ""),
        ("Direction", ""),
        ("Appendixes", _el("Appendix", "Danh mục") + _el("Appendix", "")),
    )
)
_MESSAGE_HEADER = "edXML:MessageHeader"


def _long(name: str, characters: int, clause: str) -> tuple[Shape, Shape]:
    """A text of the greatest length, and one character more."""
    return (
        _document(f"{name} of {characters} characters", clause, say(name, "ữ" * characters)),
        _document(
            f"{name} of {characters + 1} characters",
            clause,
            say(name, "ữ" * (characters + 1)),
            expected=(("xsd:maxLength", f"edXML:{name}"),),
        ),
    )


def _missing(name: str, clause: str, expected: Expected) -> Shape:
    return _document(f"no {name}", clause, drop(name), expected=expected)


def _empty(name: str, clause: str) -> Shape:
    return _document(f"{name} is empty", clause, say(name, ""), expected=(("xsd:minLength", f"edXML:{name}"),))


def _wrong(name: str, content: str, clause: str, rule: str = "xsd:pattern") -> Shape:
    return _document(f"{name} “{content}”", clause, say(name, content), expected=((rule, f"edXML:{name}"),))


def _released(hour: str, clause: str, rule: str = "") -> Shape:
    """A timed document with an hour in the profile's attribute."""
    hours = f'<edXML:OtherInfo xmlns:axp="urn:axis:profile:1" axp:release="{hour}">'
    expected = ((rule, "edXML:OtherInfo"),) if rule else ()
    return _document(
        f"axp:release “{hour}”", clause, put("<edXML:OtherInfo>", hours), say("Priority", "4"), expected=expected
    )


def _right(name: str, content: str, clause: str) -> Shape:
    return _document(f"{name} “{content}”", clause, say(name, content))


def _next(name: str) -> Expected:
    return (("xsd:unexpected", f"edXML:{name}"),)


def _lacks(name: str) -> Expected:
    return (("xsd:missing", f"edXML:{name}"),)


GOOD_DOCUMENTS = (
    _document("as it is", "1, 2"),
    _document("Bussiness before TraceHeader, as the SDK writes", "2", swap("TraceHeader", "Bussiness")),
    _document("TraceHeader on both sides of Bussiness", "2.1", after("Bussiness", _TRACE)),
    _document("no TraceHeader yet", "2.1", drop("TraceHeader")),
    _document("TraceHeader without a time", "field", say("Timestamp", "")),
    _document(
        "TraceHeaderList with its attributes",
        "2",
        attribute("TraceHeaderList", 'id="t" version="1.0" mustUnderstand="1" actor="http://schemas.xmlsoap.org/soap/actor/next"'),
    ),
    _document("From with every field, in another order", "1.1", say("From", _ORGAN)),
    _document("From and To with OrganId alone", "field", say("From", _el("OrganId", "H56.05"))),
    _right("OrganId", "000.00.05.H56", "1.1"),
    _document("another prefix", "field", lambda text: text.replace("edXML:", "x:").replace("xmlns:edXML", "xmlns:x")),
    _document("no prefix", "field", lambda text: text.replace("edXML:", "")),
    _document("CDATA and character references", "XML", say("Subject", "<![CDATA[V/v]]> r&#xE0; so&#225;t &amp; b&#225;o c&#225;o")),
    _document("blanks that do not count", "XML", say("Subject", "  V/v \n" + " " * 600 + "rà soát\t")),
    _document("blanks around a date", "XML", say("PromulgationDate", "\n 2026/08/25 \n")),
    _document("two blanks in a time", "XML", say("Timestamp", "2026/08/25  09:30:05")),
    _document("the leap day", "1.4", say("PromulgationDate", "2024/02/29")),
    _document("no TypeDetail", "1.5", drop("TypeDetail")),
    _right("TypeDetail", "", "1.5"),
    _document("no Content", "1.7", drop("Content")),
    _document("no Competence", "1.8", drop("Competence")),
    _document("with DueDate", "1.9", before("OtherInfo", _el("DueDate", "2026/09/05"))),
    _document("with an empty DueDate", "1.9", before("OtherInfo", _el("DueDate", ""))),
    _document("OtherInfo with every field", "1.11", say("OtherInfo", _OTHER)),
    _document("answers a document", "1.12", before("SteeringType", _ANSWERED)),
    _document("answers two documents", "1.12", before("SteeringType", _ANSWERED + _ANSWERED)),
    _document("no ToPlaces", "1.10", drop("ToPlaces")),
    _right("ToPlaces", "", "1.10"),
    _document("a recall", "2.2", say("BussinessDocType", "1")),
    _document("an update", "2.2", say("Bussiness", _UPDATE)),
    _document("a replacement", "2.2", say("Bussiness", _REPLACE)),
    _document("with StaffInfo, in another order", "2.2", last_in("Bussiness", _STAFF)),
    _document("no attachments", "profile", say("edXMLManifest", "")),
    _document(
        "xlink on a Reference",
        "field",
        attribute("Reference", f'{XLINK} xlink:href="cid:a1" xlink:role="attachment" xlink:type="simple"'),
    ),
    _document("Description on a Reference", "3", before("AttachmentName", _el("Description", "Công văn"))),
    _document(
        "Ids for the seal",
        "profile",
        attribute("MessageHeader", 'Id="header"'),
        attribute("Bussiness", 'Id="business"'),
        attribute("edXMLManifest", 'Id="manifest"'),
    ),
    _document("a Signature, which the seal judges", "profile", after("TraceHeaderList", f"<ds:Signature {DS}/>")),
    _document("a size of 13 digits", "profile", put('axp:bytes="3"', 'axp:bytes="9999999999999"')),
    _document("xsi:schemaLocation, which nobody follows", "XML", attribute("Subject", f'{XSI} xsi:schemaLocation="u http://127.0.0.1:9/x"')),
)  # fmt: skip

BAD_DOCUMENTS = (
    _missing("From", "1.1", _next("To[1]")),
    _document("no To", "1.2", drop("To"), drop("To"), expected=_next("DocumentId")),
    _missing("DocumentId", "1.14", _next("Code")),
    _missing("Code", "1.3", _next("PromulgationInfo")),
    _missing("CodeNumber", "1.3", _next("CodeNotation")),
    _missing("CodeNotation", "1.3", _lacks("Code")),
    _missing("PromulgationInfo", "1.4", _next("DocumentType")),
    _missing("Place", "1.4", _next("PromulgationDate")),
    _missing("PromulgationDate", "1.4", _lacks("PromulgationInfo")),
    _missing("DocumentType", "1.5", _next("Subject")),
    _missing("Type", "1.5", _next("TypeDetail")),
    _missing("TypeName", "1.5", _lacks("DocumentType")),
    _missing("Subject", "1.6", _next("Content")),
    _missing("SignerInfo", "1.8", _next("OtherInfo")),
    _missing("Position", "1.8", _next("FullName")),
    _missing("FullName", "1.8", _lacks("SignerInfo")),
    _missing("OtherInfo", "1.11", _next("SteeringType")),
    _missing("Priority", "1.11", _next("Direction")),
    _missing("SteeringType", "1.13", _next("ToPlaces")),
    _missing("TraceHeaderList", "2", _lacks("edXMLHeader")),
    _missing("Bussiness", "profile", _lacks("TraceHeaderList")),
    _missing("BussinessDocType", "2.2", _next("BussinessDocReason")),
    _missing("edXMLBody", "profile", _lacks("edXMLEnvelope")),
    _missing("edXMLManifest", "profile", _lacks("edXMLBody")),
    _missing("OrganId", "1.1", _lacks("From")),
    _missing("ContentId", "3", _next("ContentType")),
    _missing("ContentType", "3", _next("AttachmentName")),
    _missing("AttachmentName", "3", _lacks("Reference")),
    _document("no axp:sha256", "profile", lambda text: re.sub(r' axp:sha256="\w+"', "", text), expected=(("xsd:required-attribute", "edXML:Reference"),)),
    _document("no axp:bytes", "profile", put(' axp:bytes="3"', ""), expected=(("xsd:required-attribute", "edXML:Reference"),)),
    _document("two Subjects", "1.6", twice("Subject"), expected=_next("Subject[2]")),
    _document("two DocumentIds", "1.14", twice("DocumentId"), expected=_next("DocumentId[2]")),
    _document("two Bussinesses", "profile", twice("Bussiness"), expected=_next("Bussiness[2]")),
    _document("two OrganIds in From", "1.1", twice("OrganId"), expected=_next("OrganId[2]")),
    _document("two bodies", "profile", twice("edXMLBody"), expected=_next("edXMLBody[2]")),
    _document("two files of one ContentId", "profile", twice("Reference"), expected=(("xsd:unique", "edXML:Reference[2]"),)),
    _document("Subject before DocumentType", "1", swap("DocumentType", "Subject"), expected=_next("Subject")),
    _empty("DocumentId", "1.14"),
    _empty("CodeNumber", "1.3"),
    _empty("CodeNotation", "1.3"),
    _empty("TypeName", "1.5"),
    _empty("Subject", "1.6"),
    _empty("FullName", "1.8"),
    _empty("ContentId", "3"),
    _empty("AttachmentName", "3"),
    _document("Subject of blanks", "1.6", say("Subject", " \n\t "), expected=(("xsd:minLength", "edXML:Subject"),)),
    *_long("DocumentId", 200, "1.14"),
    *_long("CodeNumber", 11, "1.3"),
    *_long("CodeNotation", 30, "1.3"),
    *_long("Place", 150, "1.4"),
    *_long("TypeName", 100, "1.5"),
    *_long("Subject", 500, "1.6"),
    *_long("Content", 500, "1.7"),
    *_long("Competence", 100, "1.8"),
    *_long("Position", 100, "1.8"),
    *_long("FullName", 50, "1.8"),
    *_long("OrganName", 200, "1.1"),
    *_long("BussinessDocReason", 500, "2.2"),
    *_long("AttachmentName", 255, "3"),
    _wrong("PromulgationDate", "25/08/2026", "1.4"),
    _wrong("PromulgationDate", "2026-08-25", "1.4"),
    _wrong("PromulgationDate", "2026/8/25", "1.4"),
    _wrong("PromulgationDate", "２０２６/08/25", "1.4"),
    _wrong("PromulgationDate", "", "1.4"),
    _wrong("PromulgationDate", "2026/02/30", "1.4", "rule:date.exists"),
    _wrong("PromulgationDate", "2026/13/01", "1.4", "rule:date.exists"),
    _wrong("PromulgationDate", "0000/01/01", "1.4", "rule:date.exists"),
    _document("DueDate on a day that is not", "1.9", before("OtherInfo", _el("DueDate", "2026/02/29")), expected=(("rule:date.exists", "edXML:DueDate"),)),
    _wrong("Timestamp", "2026/08/25", "2.1"),
    _wrong("Timestamp", "2026/08/25T09:30:05", "2.1"),
    _wrong("Timestamp", "2026/08/25 24:00:00", "2.1", "rule:date.exists"),
    _wrong("Timestamp", "2026/08/25 10:61:00", "2.1", "rule:date.exists"),
    _wrong("Timestamp", "0001/01/01 00:00:00", "2.1", "rule:date.exists"),
    *(_released(hour, "profile") for hour in ("2026-08-26T08:00+07:00", "2026-08-26T01:00:00Z", "2026-12-31T23:59:59-11:30")),
    *(_released(hour, "profile", "xsd:pattern") for hour in ("", "2026-08-26", "2026-08-26T08:00:00", "2026/08/26 08:00:00", "2026-08-26T08:00:00.5Z")),
    *(_released(hour, "profile", "rule:date.exists") for hour in ("2026-02-30T08:00Z", "2026-08-26T24:30:00+07:00", "0001-01-01T00:00:00+07:00")),
    _wrong("Priority", "5", "1.11", "xsd:enumeration"),
    _wrong("Priority", "01", "1.11", "xsd:enumeration"),
    _wrong("Priority", "", "1.11", "xsd:enumeration"),
    _wrong("Priority", "１", "1.11", "xsd:enumeration"),
    _wrong("SteeringType", "3", "1.13"),
    _wrong("Type", "hai", "1.5"),
    _wrong("TypeDetail", "1234", "1.5"),
    _wrong("Direction", "yes", "1.11"),
    _wrong("BussinessDocType", "4", "2.2"),
    _wrong("Paper", "true", "2.2"),
    _wrong("OrganId", "H56 05", "1.1"),
    _wrong("OrganId", "H56..05", "1.1"),
    _wrong("OrganId", "Sở-KHCN", "1.1"),
    _wrong("OrganId", "null.", "field"),
    _document("PageAmount in words", "1.11", put("<edXML:Direction>", _el("PageAmount", "hai") + "<edXML:Direction>"), expected=(("xsd:pattern", "edXML:PageAmount"),)),
    _document("a digest in capitals", "profile", put("ba7816bf", "BA7816BF"), expected=(("xsd:pattern", "edXML:Reference"),)),
    _document("a digest too short", "profile", put("ba7816bf", "ba7816b"), expected=(("xsd:pattern", "edXML:Reference"),)),
    _document("a negative size", "profile", put('axp:bytes="3"', 'axp:bytes="-1"'), expected=(("xsd:pattern", "edXML:Reference"),)),
    _document("another Id", "profile", attribute("MessageHeader", 'Id="h"'), expected=(("xsd:fixed", _MESSAGE_HEADER),)),
    _document("an attribute of its own", "profile", attribute("Subject", 'lang="vi"'), expected=(("xsd:attribute", "edXML:Subject"),)),
    _document("an unknown attribute of a Reference", "profile", attribute("Reference", 'href="cid:a1"'), expected=(("xsd:attribute", "edXML:Reference"),)),
    _document("an element that is not known", "1", before("Subject", _el("Secret", "1")), expected=_next("Secret")),
    _document("an element of no namespace", "1", before("Subject", '<Note xmlns="">x</Note>'), expected=(("xsd:unexpected", "Note"),)),
    _document("an element of the older namespace", "1", before("Subject", '<Note xmlns="http://www.e-doc.vn/Schema/">x</Note>'), expected=(("xsd:unexpected", "Note"),)),
    _document("text between elements", "1", before("Subject", "văn bản"), expected=(("xsd:text", _MESSAGE_HEADER),)),
    _document("an element in a text", "1.6", say("Subject", "V/v <b>rà soát</b>"), expected=(("xsd:invalid", "edXML:Subject"),)),
    _document("an empty element in a text", "1.6", say("Subject", "V/v <edXML:br/>"), expected=(("xsd:invalid", "edXML:Subject"),)),
    _document("xsi:nil", "XML", attribute("Subject", f'{XSI} xsi:nil="true"'), expected=(("xsd:invalid", "edXML:Subject"),)),
    _document("xsi:type that is not known", "XML", attribute("Subject", f'{XSI} xsi:type="unknown"'), expected=(("xsd:invalid", "edXML:Subject"),)),
    _document("xsi:type that does not derive", "XML", attribute("Subject", f'{XSI} xmlns:xs="http://www.w3.org/2001/XMLSchema" xsi:type="xs:string"'), expected=(("xsd:invalid", _MESSAGE_HEADER), ("xsd:invalid", "edXML:Subject"))),
    _document("xi:include", "XML", say("Subject", '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/hostname"/>'), expected=(("xsd:invalid", "edXML:Subject"), ("xsd:minLength", "edXML:Subject"))),
    _document("a Signature of no namespace of its own", "field", after("TraceHeaderList", _el("Signature", "")), expected=_next("Signature")),
    _document("a DigitalSignature", "field", after("TraceHeaderList", _el("DigitalSignature", "")), expected=_next("DigitalSignature")),
    _document("two Signatures", "profile", after("TraceHeaderList", f"<ds:Signature {DS}/><ds:Signature {DS}/>"), expected=(("xsd:unexpected", "ds:Signature[2]"),)),
    _document("something after the Signature", "profile", after("TraceHeaderList", f"<ds:Signature {DS}/>" + _el("Subject", "x")), expected=_next("Subject")),
    _document("an empty ResponseFor", "field", before("SteeringType", "<edXML:ResponseFor/>"), expected=_lacks("ResponseFor")),
    _document("a tag in small letters", "1", put("<edXML:Subject>", "<edXML:subject>"), put("</edXML:Subject>", "</edXML:subject>"), expected=_next("subject")),
    _document(
        "five faults at once",
        "1",
        say("OrganId", "H56 05"),
        say("PromulgationDate", "25/08/2026"),
        say("TypeName", ""),
        say("Priority", "9"),
        say("AttachmentName", ""),
        expected=(
            ("xsd:pattern", "edXML:OrganId"),
            ("xsd:pattern", "edXML:PromulgationDate"),
            ("xsd:minLength", "edXML:TypeName"),
            ("xsd:enumeration", "edXML:Priority"),
            ("xsd:minLength", "edXML:AttachmentName"),
        ),
    ),
)  # fmt: skip

STATUSES = (
    _status("as it is", "status"),
    *(_status(f"StatusCode {code}", "status", say("StatusCode", code)) for code in ("01", "02", "04", "05", "06", "13", "15", "16")),
    _status("ResponseFor in another order", "status", swap("Code", "DocumentId")),
    _status("no date of the document", "status", drop("PromulgationDate")),
    _status("an empty date of the document", "status", say("PromulgationDate", "")),
    _status("with StaffInfo", "status", before("StatusCode", _STAFF)),
    _status("no Description", "status", drop("Description")),
    _status("Description of 1000 characters", "status", say("Description", "ữ" * 1000)),
    _status("its Id", "profile", attribute("MessageHeader", 'Id="header"')),
    _status("a Signature, which the seal judges", "profile", after("MessageHeader", f"<ds:Signature {DS}/>")),
    _status("no From", "status", drop("From"), expected=_next("ResponseFor")),
    _status("no ResponseFor", "status", drop("ResponseFor"), expected=_next("StatusCode")),
    _status("no Timestamp", "status", drop("Timestamp"), expected=_lacks("MessageHeader")),
    _status("ResponseFor without its Code", "status", drop("Code"), expected=_lacks("ResponseFor")),
    _status("ResponseFor without DocumentId", "status", drop("DocumentId"), expected=_lacks("ResponseFor")),
    _status("StatusCode 07", "status", say("StatusCode", "07"), expected=(("xsd:enumeration", "edXML:StatusCode"),)),
    _status("StatusCode 3", "status", say("StatusCode", "3"), expected=(("xsd:enumeration", "edXML:StatusCode"),)),
    _status("an empty StatusCode", "status", say("StatusCode", ""), expected=(("xsd:enumeration", "edXML:StatusCode"),)),
    _status("two StatusCodes", "status", twice("StatusCode"), expected=_next("StatusCode[2]")),
    _status("Description of 1001 characters", "status", say("Description", "ữ" * 1001), expected=(("xsd:maxLength", "edXML:Description"),)),
    _status("an empty Timestamp", "status", say("Timestamp", ""), expected=(("xsd:pattern", "edXML:Timestamp"),)),
    _status("a Timestamp with a zone", "status", say("Timestamp", "2026/08/25 10:02:11+07:00"), expected=(("xsd:pattern", "edXML:Timestamp"),)),
    _status("a Timestamp that is not", "status", say("Timestamp", "2026/02/30 10:02:11"), expected=(("rule:date.exists", "edXML:Timestamp"),)),
    _status("a Timestamp before time", "status", say("Timestamp", "0001/01/01 00:00:00"), expected=(("rule:date.exists", "edXML:Timestamp"),)),
    _status("a To", "status", before("ResponseFor", _el("To", _el("OrganId", "H56.05"))), expected=_next("To")),
    _status("a body", "status", after("edXMLHeader", _el("edXMLBody", "")), expected=_next("edXMLBody")),
    _status("a TraceHeaderList", "status", after("MessageHeader", _el("TraceHeaderList", "")), expected=_next("TraceHeaderList")),
    _status("order of status and description", "status", swap("StatusCode", "Description"), expected=_next("Description")),
)  # fmt: skip

SHAPES = GOOD_DOCUMENTS + BAD_DOCUMENTS + STATUSES

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_BARE = DOCUMENT.removeprefix(_DECLARATION)
_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


def _doctype(declaration: str, text: str = "", written: str = "") -> bytes:
    """Return the good document behind a DOCTYPE, with something in its Subject or as an attribute."""
    body = put("Subject>V/v", f"Subject{written}>{text}")(_BARE) if text or written else _BARE
    return f"{_DECLARATION}<!DOCTYPE {declaration}>\n{body}".encode()


def _inside(xml: str) -> bytes:
    return before("Content", xml)(DOCUMENT).encode()


def _declared(encoding: str, codec: str) -> bytes:
    return DOCUMENT.replace("UTF-8", encoding, 1).encode(codec, "xmlcharrefreplace")


BYTES = tuple(
    Octets(*row)
    for row in (
        ("X01", "an internal entity in a text", _doctype('edXML [<!ENTITY x "V/v">]', "&x;"), "ENV.DTD"),
        ("X02", "a file as an entity", _doctype('edXML [<!ENTITY x SYSTEM "file:///etc/hostname">]', "&x;"), "ENV.DTD"),
        ("X03", "a page as an entity", _doctype('edXML [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]', "&x;"), "ENV.DTD"),
        ("X04", "a parameter entity", _doctype('edXML [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p"> %p;]'), "ENV.DTD"),
        ("X05", "an external subset", _doctype('edXML SYSTEM "http://127.0.0.1:9/d"'), "ENV.DTD"),
        ("X05", "a public identifier", _doctype('edXML PUBLIC "-//x//y" "http://127.0.0.1:9/d"'), "ENV.DTD"),
        ("X05", "a DOCTYPE that declares nothing", _doctype("edXML"), "ENV.DTD"),
        ("X06", "a billion laughs", _doctype(f'edXML [<!ENTITY l0 "ha">{_LAUGHS}]', "&l9;"), "ENV.DTD"),
        ("X07", "a billion laughs in an attribute", _doctype(f'edXML [<!ENTITY l0 "ha">{_LAUGHS}]', "V/v", ' a="&l9;"'), "ENV.DTD"),
        ("X07", "entities in a circle", _doctype('edXML [<!ENTITY a "&b;"><!ENTITY b "&a;">]', "&a;"), "ENV.DTD"),
        ("X08", "a long entity many times", _doctype(f'edXML [<!ENTITY a "{"a" * 50_000}">]', "&a;" * 5000), "ENV.DTD"),
        ("X01", "an attribute default", _doctype('edXML [<!ATTLIST edXML:Subject a CDATA "b">]'), "ENV.DTD"),
        ("X01", "an entity that nobody declared", DOCUMENT.replace("V/v", "&x;").encode(), "ENV.NOT_WELL_FORMED"),
        ("X09", "UTF-7, which hides a DOCTYPE", b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE x+AD4-' + _BARE.encode("utf-7"), "ENV.ENCODING"),
        ("X10", "UTF-16 with its mark", _declared("UTF-16", "utf-16"), "ENV.ENCODING"),
        ("X10", "UTF-16 without its mark", _declared("UTF-16LE", "utf-16-le"), "ENV.ENCODING"),
        ("X10", "UTF-32", _declared("UTF-32", "utf-32"), "ENV.ENCODING"),
        ("X11", "a byte order mark", b"\xef\xbb\xbf" + DOCUMENT.encode(), "ENV.ENCODING"),
        ("X12", "UTF-8 that says it is Latin-1", _declared("iso-8859-1", "utf-8"), "ENV.ENCODING"),
        ("X12", "Latin-1", _declared("iso-8859-1", "latin-1"), "ENV.ENCODING"),
        ("X12", "windows-1258", _declared("windows-1258", "cp1258"), "ENV.ENCODING"),
        ("X12", "Shift JIS", _declared("Shift_JIS", "shift_jis"), "ENV.ENCODING"),
        ("X12", "an encoding that nobody knows", _declared("x-axis", "utf-8"), "ENV.ENCODING"),
        ("X13", "a mark and another declaration", b"\xef\xbb\xbf" + _declared("UTF-16", "utf-8"), "ENV.ENCODING"),
        ("X14", "a byte that is never UTF-8", DOCUMENT.encode().replace(b"V/v", b"V\xffv"), "ENV.ENCODING"),
        ("X14", "an overlong slash", DOCUMENT.encode().replace(b"V/v", b"V\xc0\xafv"), "ENV.ENCODING"),
        ("X14", "half of a pair", DOCUMENT.encode().replace(b"V/v", b"V\xed\xa0\x80v"), "ENV.ENCODING"),
        ("X14", "a letter cut short", DOCUMENT.encode().rstrip() + b"\xc3", "ENV.ENCODING"),
        ("X15", "NUL in a text", DOCUMENT.encode().replace(b"V/v", b"V\0v"), "ENV.ENCODING"),
        ("X15", "NUL behind the root", DOCUMENT.encode() + b"\0", "ENV.ENCODING"),
        ("X16", "a reference to NUL", DOCUMENT.replace("V/v", "&#0;").encode(), "ENV.NOT_WELL_FORMED"),
        ("X16", "a reference to a control", DOCUMENT.replace("V/v", "&#x1;").encode(), "ENV.NOT_WELL_FORMED"),
        ("X16", "a control", DOCUMENT.replace("V/v", "\x0b").encode(), "ENV.NOT_WELL_FORMED"),
        ("X17", "XML 1.1", DOCUMENT.replace('"1.0"', '"1.1"', 1).encode(), "ENV.NOT_WELL_FORMED"),
        ("X18", "two roots", DOCUMENT.encode() + _BARE.encode(), "ENV.NOT_WELL_FORMED"),
        ("X18", "something behind the root", DOCUMENT.encode() + b"x", "ENV.NOT_WELL_FORMED"),
        ("X18", "something before the declaration", b"1212" + DOCUMENT.encode(), "ENV.NOT_WELL_FORMED"),
        ("X18", "a blank before the declaration", b" " + DOCUMENT.encode(), "ENV.NOT_WELL_FORMED"),
        ("X18", "cut off in the middle", DOCUMENT.encode()[:1500], "ENV.NOT_WELL_FORMED"),
        ("X19", "nothing", b"", "ENV.NOT_WELL_FORMED"),
        ("X19", "blanks", b" \r\n\t", "ENV.NOT_WELL_FORMED"),
        ("X19", "a declaration", _DECLARATION.encode(), "ENV.NOT_WELL_FORMED"),
        ("X19", "JSON", b'{"edXML": {}}', "ENV.NOT_WELL_FORMED"),
        ("X20", "a comment in a text", DOCUMENT.replace("H56.112", "H56.1<!---->12").encode(), "ENV.COMMENT_OR_PI"),
        ("X21", "an instruction in a text", DOCUMENT.replace("H56.112", "H56.1<?x?>12").encode(), "ENV.COMMENT_OR_PI"),
        ("X21", "an instruction in a text, and no declaration", _BARE.replace("H56.112", "H56.1<?x?>12").encode(), "ENV.COMMENT_OR_PI"),
        ("X21", "an instruction for a declaration", b"<?x?>" + _BARE.encode(), "ENV.COMMENT_OR_PI"),
        ("X21", "a comment before the root", (_DECLARATION + "<!-- x -->" + _BARE).encode(), "ENV.COMMENT_OR_PI"),
        ("X21", "an instruction behind the root", DOCUMENT.encode() + b"<?x y?>", "ENV.COMMENT_OR_PI"),
        ("X21", "a stylesheet", (_DECLARATION + '<?xml-stylesheet href="http://127.0.0.1:9/s"?>' + _BARE).encode(), "ENV.COMMENT_OR_PI"),
        ("X23", "a depth of 41", _inside("<x>" * 37 + "</x>" * 37), "ENV.TOO_COMPLEX"),
        ("X23", "a depth of 250", _inside("<x>" * 246 + "</x>" * 246), "ENV.TOO_COMPLEX"),
        ("X23", "a depth of 100,000", _inside("<x>" * 100_000), "ENV.NOT_WELL_FORMED"),
        ("X24", "33 attributes", _inside("<x" + "".join(f' a{n}=""' for n in range(33)) + "/>"), "ENV.TOO_COMPLEX"),
        ("X24", "80,000 attributes", _inside("<x" + "".join(f' a{n}=""' for n in range(80_000)) + "/>"), "ENV.TOO_COMPLEX"),
        ("X25", "65 namespaces", _inside("<x" + "".join(f' xmlns:n{n}="urn:n"' for n in range(65)) + "/>"), "ENV.TOO_COMPLEX"),
        ("X25", "namespaces declared step by step", _inside("".join(f'<x xmlns:n{n}="urn:n" xmlns:m{n}="urn:m" xmlns:o{n}="urn:o">' for n in range(30)) + "</x>" * 30), "ENV.TOO_COMPLEX"),
        ("X25", "30,000 namespaces", _inside("<x" + "".join(f' xmlns:n{n}="urn:n"' for n in range(30_000)) + "/>"), "ENV.TOO_COMPLEX"),
        ("X26", "50,001 elements", _inside("<x/>" * 50_001), "ENV.TOO_COMPLEX"),
        ("X27", "a byte more than 1 MiB", DOCUMENT.encode() + b" " * (1024 * 1024 + 1 - len(DOCUMENT.encode())), "ENV.TOO_LARGE"),
        ("X27", "a text of 10 million characters", put("V/v", "a" * 10_100_000)(DOCUMENT).encode(), "ENV.TOO_LARGE"),
        ("X28", "a name of 60 KB", _inside(f"<{'x' * 60_000}/>"), "ENV.NOT_WELL_FORMED"),
        ("X33", "another root", DOCUMENT.replace("<edXML xmlns", "<EdXML xmlns").replace("</edXML>", "</EdXML>").encode(), "ENV.WRONG_ROOT"),
        ("X33", "the older namespace", DOCUMENT.replace("http://www.mic.gov.vn/TBT/QCVN_102_2016", "http://www.e-doc.vn/Schema/").encode(), "ENV.WRONG_ROOT"),
        ("X33", "no namespace", re.sub(r' xmlns="[^"]*"', "", DOCUMENT).encode(), "ENV.WRONG_ROOT"),
        ("X33", "no header", drop("edXMLHeader")(DOCUMENT).encode(), "ENV.WRONG_ROOT"),
        ("X33", "the body of a SOAP message", b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>', "ENV.WRONG_ROOT"),
        ("S26", "two headers", twice("edXMLHeader")(DOCUMENT).encode(), "SIG.POSITION"),
        ("S26", "two MessageHeaders", twice("MessageHeader")(DOCUMENT).encode(), "SIG.POSITION"),
        ("S27", "an Id twice", attribute("Subject", 'Id="a"')(attribute("Content", 'Id="a"')(DOCUMENT)).encode(), "SIG.DUPLICATE_ID"),
        ("S27", "an ID", attribute("MessageHeader", 'ID="header"')(DOCUMENT).encode(), "ENV.ID_ATTRIBUTE"),
        ("S27", "an xml:id", attribute("MessageHeader", 'xml:id="header"')(DOCUMENT).encode(), "ENV.ID_ATTRIBUTE"),
        ("S27", "an Id with a namespace", attribute("MessageHeader", 'xmlns:n="urn:n" n:Id="header"')(DOCUMENT).encode(), "ENV.ID_ATTRIBUTE"),
        ("X18", "an attribute twice", attribute("Subject", 'a="" a=""')(DOCUMENT).encode(), "ENV.NOT_WELL_FORMED"),
        ("X18", "an attribute twice by two prefixes", attribute("Subject", 'xmlns:a="urn:n" xmlns:b="urn:n" a:x="" b:x=""')(DOCUMENT).encode(), "ENV.NOT_WELL_FORMED"),
        ("X18", "a prefix that nobody declared", before("Subject", "<y:x/>")(DOCUMENT).encode(), "ENV.NOT_WELL_FORMED"),
        ("X18", "the prefix xml rebound", attribute("Subject", 'xmlns:xml="urn:n"')(DOCUMENT).encode(), "ENV.NOT_WELL_FORMED"),
    )
)  # fmt: skip
