"""The usual form: ours is read without a tree, and nothing is that which is not, byte for byte, what we write and may pass."""

import importlib
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from axis import edxml, seal
from axis.edxml import (
    AttachmentRef,
    Business,
    BusinessType,
    Document,
    Notary,
    Organization,
    Priority,
    ResponseFor,
    Staff,
)
from axis.edxml.form import in_form
from axis.edxml.model import Replacement, Update
from axis.errors import Refusal
from tests.province import AT, DAY, province, rsa_key, verify

OF = province()
TRUST = OF.trust()

FILE = AttachmentRef("a1", "125.pdf", "application/pdf", "ba78" * 16, 3)
PLAIN = Document(
    originator=Organization("H56.05"),
    addressees=(Organization("H56.112"),),
    document_id="H56.05,2026/08/25,125/SKHCN",
    code_number="125",
    code_notation="SKHCN",
    place="Thanh Hóa",
    promulgated_on=date(2026, 8, 25),
    subject="V/v rà soát (ví dụ)",
    signer_name="Nguyễn Văn A",
    attachments=(FILE,),
)
_OFFICE = Organization(
    "H56.05",
    "Sở mẫu (ví dụ)",
    "UBND tỉnh",
    "1 đường Mẫu",
    "van.thu@so.example",
    "0237 000 000",
    "0237 000 001",
    "so.example",
)
_PERSON = Staff("Văn phòng", "Trần Thị B", "b@so.example", "090 000 000")
FULL = replace(
    PLAIN,
    originator=_OFFICE,
    addressees=(replace(_OFFICE, organ_id="H56.112"), Organization("H56.113", name="UBND xã mẫu")),
    type_group=1,
    type_detail=18,
    type_name="Nghị quyết",
    content="Đề nghị rà soát",
    signer_competence="KT. GIÁM ĐỐC",
    signer_position="Phó Giám đốc",
    due_on=date(2026, 9, 25),
    priority=Priority.EXPRESS,
    sphere="Công nghệ",
    typer="NVA",
    copies=10,
    pages=3,
    direction=False,
    appendixes=("Phụ lục I", "Phụ lục II"),
    responses=(
        ResponseFor("H56.112", "12/UBND", "H56.112,2026/08/01,12/UBND", date(2026, 8, 1)),
        ResponseFor("H56.113", document_id="1"),
    ),
    steering=1,
    tasks=("NV-1", "NV-2"),
    to_places=("Như trên", 'Lưu: VT, "CĐS"'),
    business=Business(BusinessType.RECALL, "Sai số liệu", True, "H56.05,2026/08/24,124/SKHCN", staff=_PERSON),
    attachments=(FILE, replace(FILE, content_id="a2", name="126.pdf", description="Bản sao", size_bytes=2**31)),
)
EMPTY = replace(PLAIN, place="", attachments=(), business=Business(staff=Staff()))


def _sealed(document: Document, notary: Notary | None = None) -> bytes:
    return seal.seal_message(document, OF.signer("H56.05"), notary).octets


def _passes_the_gate(sealed: bytes) -> bool:
    try:
        edxml.gate(edxml.parse(sealed))
    except Refusal:
        return False
    return True


@pytest.mark.parametrize("document", [PLAIN, FULL, EMPTY], ids=["plain", "full", "empty"])
def test_what_we_write_is_in_the_form(document: Document) -> None:
    sealed = _sealed(document)
    formed = in_form(sealed)
    assert formed is not None
    assert formed.document == document
    assert _passes_the_gate(sealed)


@pytest.mark.parametrize("key", ["P-256", "RSA"])
def test_it_is_what_its_tree_says(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of = province()
    signer = of.register("H56.05", rsa_key() if key == "RSA" else None)
    sealed = seal.seal_message(FULL, signer).octets
    formed = verify(sealed, of.trust())
    assert formed.received.tree is None
    monkeypatch.setattr(importlib.import_module("axis.edxml.parse"), "in_form", lambda _: None)
    by_tree = verify(sealed, of.trust())
    assert by_tree.received.tree is not None
    assert (formed.parts, formed.message, formed.signer, formed.good_until, formed.digest) == (
        by_tree.parts, by_tree.message, by_tree.signer, by_tree.good_until, by_tree.digest
    )  # fmt: skip


def test_its_digest_needs_no_tree() -> None:
    received = edxml.parse(_sealed(FULL))
    assert seal.digest_of(received) == verify(_sealed(FULL), TRUST).digest
    assert received.tree is None


def test_its_tree_is_there_for_whoever_asks() -> None:
    received = edxml.parse(_sealed(PLAIN))
    assert received.tree is None
    assert received.part("business") is not None
    assert received.root is received.root


# The longest that the schema lets pass of each text: (field, characters).
_TEXTS = [
    ("document_id", 200), ("code_number", 11), ("code_notation", 30), ("place", 150), ("type_name", 100), ("subject", 500),
    ("content", 500), ("signer_competence", 100), ("signer_position", 100), ("signer_name", 50), ("sphere", 100), ("typer", 10),
]  # fmt: skip
_ORGAN = [
    ("organ_id", 35), ("name", 200), ("in_charge", 500), ("address", 500), ("email", 100), ("telephone", 50), ("fax", 50),
    ("website", 200),
]  # fmt: skip


def _with(place: str, field: str, value: Any) -> Document:
    """Return the full document with one value elsewhere than in its own fields."""
    match place:
        case "document":
            return replace(FULL, **{field: value})
        case "from":
            return replace(FULL, originator=replace(FULL.originator, **{field: value}))
        case "to":
            return replace(FULL, addressees=(FULL.addressees[0], replace(FULL.addressees[1], **{field: value})))
        case "response":
            return replace(FULL, responses=(replace(FULL.responses[0], **{field: value}),))
        case "staff":
            return replace(FULL, business=replace(FULL.business, staff=replace(_PERSON, **{field: value})))
        case "business":
            return replace(FULL, business=replace(FULL.business, **{field: value}))
        case "list":
            fields: dict[str, Any] = {field: (value, "b")}
            return replace(FULL, **fields)
        case _:
            return replace(FULL, attachments=(FILE, replace(FULL.attachments[1], **{field: value})))


_LONGEST = [
    *(("document", field, "ă" * most) for field, most in _TEXTS),
    *((place, field, "a" * most) for place in ("from", "to") for field, most in _ORGAN),
    ("response", "organ_id", "a" * 35),
    ("response", "code", "ă" * 50),
    ("response", "document_id", "ă" * 200),
    *(
        ("staff", field, "ă" * most)
        for field, most in [("department", 300), ("staff", 300), ("email", 100), ("mobile", 50)]
    ),
    ("business", "document_id", "ă" * 200),
    ("business", "reason", "ă" * 500),
    ("list", "appendixes", "ă" * 500),
    ("list", "tasks", "ă" * 100),
    ("list", "to_places", "ă" * 1000),
    ("file", "content_id", "ă" * 196),
    ("file", "content_type", "ă" * 100),
    ("file", "description", "ă" * 500),
    ("file", "name", "ă" * 255),
    ("document", "type_group", 999),
    ("document", "type_detail", 999),
    ("document", "copies", 999_999),
    ("document", "pages", 999_999),
    ("document", "steering", 2),
    ("file", "size_bytes", 10**13 - 1),
    ("document", "appendixes", ("a",) * 100),
    ("document", "tasks", ("a",) * 100),
    ("document", "responses", FULL.responses[:1] * 100),
    ("document", "to_places", ("a",) * 5000),
]


@pytest.mark.parametrize(
    ("place", "field", "longest"), _LONGEST, ids=[f"{place}.{field}" for place, field, _ in _LONGEST]
)
def test_bounds_are_those_of_the_schema(place: str, field: str, longest: Any) -> None:
    most = _sealed(_with(place, field, longest))
    assert in_form(most) is not None
    assert _passes_the_gate(most)


@pytest.mark.parametrize(
    ("place", "field", "longest"), _LONGEST, ids=[f"{place}.{field}" for place, field, _ in _LONGEST]
)
def test_what_is_longer_is_for_the_schema_to_refuse(place: str, field: str, longest: Any) -> None:
    one_more = "a" if isinstance(longest, str) else 1 if isinstance(longest, int) else longest[:1]
    longer = _sealed(_with(place, field, longest + one_more))
    assert in_form(longer) is None
    assert not _passes_the_gate(longer)


_NEEDED = ["document_id", "code_number", "code_notation", "type_name", "subject", "signer_name"]


@pytest.mark.parametrize("document", [replace(PLAIN, **{field: ""}) for field in _NEEDED], ids=_NEEDED)  # type: ignore[arg-type]
def test_what_must_not_be_empty_is_not_empty(document: Document) -> None:
    assert in_form(_sealed(document)) is None
    assert not _passes_the_gate(_sealed(document))


@pytest.mark.parametrize(
    "document",
    [
        replace(PLAIN, addressees=()),
        replace(PLAIN, originator=Organization("")),
        replace(PLAIN, originator=Organization("H56.")),
        replace(PLAIN, originator=Organization("H56,05")),
        replace(PLAIN, attachments=(FILE, replace(FILE, name="b.pdf"))),
        replace(PLAIN, attachments=(replace(FILE, sha256="A" * 64),)),
        replace(PLAIN, attachments=(replace(FILE, size_bytes=-1),)),
        replace(PLAIN, steering=3),
    ],
    ids=[
        "to nobody", "no office", "dot at the end", "comma", "two files of one id", "digest", "size", "steering",
    ],
)  # fmt: skip
def test_what_may_not_pass_is_not(document: Document) -> None:
    assert in_form(_sealed(document)) is None
    assert not _passes_the_gate(_sealed(document))


@pytest.mark.parametrize(
    "document",
    [
        replace(PLAIN, subject="một & hai"),
        replace(PLAIN, subject="một < hai"),
        replace(PLAIN, subject="một\rhai"),
        replace(PLAIN, subject="một\nhai"),
        replace(PLAIN, subject="một  hai"),
        replace(PLAIN, subject=" một"),
        replace(PLAIN, subject="một "),
        replace(PLAIN, to_places=("",)),
        replace(PLAIN, traces=(("H56.05", AT),)),
        replace(PLAIN, priority=Priority.TIMED, release_at=datetime(2026, 9, 2, tzinfo=UTC)),
        replace(PLAIN, business=Business(BusinessType.UPDATE, document_id="1", update=Update(True, False))),
        replace(PLAIN, business=Business(BusinessType.REPLACE, replacements=(Replacement("1", ("H56.112",)),))),
        replace(PLAIN, attachments=(replace(FILE, content_id=""),)),
    ],
    ids=[
        "reference", "less", "carriage return", "line", "two blanks", "blank before", "blank behind", "empty place", "trace",
        "release", "update", "replacement", "no content id",
    ],
)  # fmt: skip
def test_what_is_seldom_is_left_to_the_other_way(document: Document) -> None:
    assert in_form(_sealed(document)) is None
    assert _passes_the_gate(_sealed(document))


def test_so_is_what_a_notary_has_sealed() -> None:
    assert in_form(_sealed(PLAIN, Notary("H56.TRUC", "0" * 64))) is None


def test_so_is_what_nobody_has_sealed() -> None:
    assert in_form(edxml.render(PLAIN)) is None


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (b"<?xml", b" <?xml"),
        (b"<?xml", b"\xef\xbb\xbf<?xml"),
        (b"UTF-8", b"utf-8"),
        (b"?>\n", b"?>"),
        (b"?>\n", b"?><!DOCTYPE edXML>"),
        (b"</edXML>", b"</edXML>\n"),
        (b"H56.05<", b"H56.&#48;5<"),
        (b"H56.05<", b"H56.05 <"),
        (b"H56.05<", b"H56.\x00<"),
        (b"H56.05<", b"H56.\xff<"),
        (b"125/SKHCN<", b"125/SKHCN\xef\xbf\xbe<"),  # U+FFFE
        (b"125/SKHCN<", b"125/SKHCN\xed\xa0\x80<"),  # Half of a pair.
        (b"125/SKHCN<", b"125/SKHCN\x0b<"),
        (b"125/SKHCN<", b"125/SKHCN<!----><"),
        (b"125/SKHCN<", b"<![CDATA[125/SKHCN]]><"),
        (b"<edXML:Fax/>", b"<edXML:Fax></edXML:Fax>"),
        (b"<edXML:Fax/>", b"<edXML:Fax />"),
        (b"<edXML:Fax/>", b""),
        (b"<edXML:Fax/><edXML:Website/>", b"<edXML:Website/><edXML:Fax/>"),
        (b"<edXML:Type>2<", b"<edXML:Type>02<"),
        (b"<edXML:Paper>0<", b"<edXML:Paper>false<"),
        (b"2026/08/25<", b"2026/02/30<"),
        (b"2026/08/25<", b"2026-08-25<"),
        (b'Id="header"', b"Id='header'"),
        (b'Id="header"', b'Id="business"'),
        (b'axp:bytes="3"', b'axp:bytes="03"'),
        (b'version="1.0"', b'version="1.1"'),
        (b"</edXML:MessageHeader>", b"</edXML:MessageHeader><edXML:MessageHeader/>"),
        (b"</ds:Signature>", b"</ds:Signature>\n"),
        (b"edXML:Subject", b"edxml:Subject"),
        # Nothing stands beside the seal, or in it, that nobody reads.
        (b"<ds:Signature ", b'<ds:Signature xmlns:ds="urn:x">a</ds:Signature>b<c/><ds:Signature '),
        (b"<ds:Signature ", b'<ds:Signature xmlns:ds="urn:x"/><ds:Signature '),
        (b"<ds:Signature ", b'<ds:Signature Id="a" '),
        (b"<ds:Signature xmlns:ds=", b"<ds:Signature xmlns:ds='urn:x' a="),
        (b"<ds:KeyInfo>", b"<ds:KeyInfo><!---->"),
        (b"<ds:KeyInfo>", b'<ds:KeyInfo Id="header">'),
        (b"<ds:KeyInfo>", b"<ds:KeyInfo>&nope;"),
        (b"<ds:KeyInfo>", b"<ds:KeyInfo><ds:KeyName>a</ds:KeyName>"),
        (b"<ds:SignatureValue>", b"<ds:SignatureValue>="),
        (
            b"</edXML:edXMLHeader>",
            b"</edXML:edXMLHeader><edXML:edXMLHeader>a<ds:Signature>b</ds:Signature></edXML:edXMLHeader>",
        ),
        (
            b"</edXML:edXMLHeader>",
            b'</edXML:edXMLHeader><edXML:edXMLHeader xmlns:edXML="urn:x">a<ds:Signature xmlns:ds="urn:x">b</ds:Signature>'
            b"</edXML:edXMLHeader>",
        ),
    ],
)
def test_what_stands_otherwise_is_not(there: bytes, instead: bytes) -> None:
    sealed = _sealed(PLAIN)
    changed = sealed.replace(there, instead, 1)
    assert changed != sealed
    assert in_form(changed) is None


@pytest.mark.parametrize(
    ("there", "instead", "code"),
    [
        (b"<edXML:OrganId>H56.112<", b"<edXML:OrganId>H56.113<", "SIG.DIGEST"),
        (b"cid:a1<", b"cid:a2<", "SIG.DIGEST"),
        (b"<edXML:Paper>0<", b"<edXML:Paper>1<", "SIG.DIGEST"),
        (b"H56.05</edXML:OrganId>", b"H56.112</edXML:OrganId>", "KEY.WRONG_SIGNER"),
        (b"<ds:SignatureValue>", b"<ds:SignatureValue>AAAA", "SIG.VALUE"),
        (b"<ds:SignatureValue>", b"<ds:SignatureValue>\n", ""),  # Read by its tree, and right.
        (b"<ds:KeyInfo>", b"<ds:KeyInfo><x/>", ""),  # Nobody reads it.
        (b'"#business"', b'"#Business"', "SIG.REFERENCE"),
        (b"xml-exc-c14n#", b"xml-exc-c14n#WithComments", "SIG.TRANSFORM"),
        (b"<ds:Signature ", b"<ds:Signature a='b' ", "SIG.STRUCTURE"),
        (b"</ds:Signature>", b"</ds:Signature><ds:Signature xmlns:ds='http://www.w3.org/2000/09/xmldsig#'></ds:Signature>",
         "SIG.POSITION"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_its_seal_is_said_as_ever(there: bytes, instead: bytes, code: str) -> None:
    sealed, found = _sealed(PLAIN), ""
    changed = sealed.replace(there, instead, 1)
    assert changed != sealed
    try:
        verify(changed, TRUST)
    except Refusal as refusal:
        found = refusal.code
    assert found == code


def test_certificate_that_has_ended_is_refused_here_too() -> None:
    of = province()
    signer = of.register("H56.05", not_after=AT - DAY)
    sealed = seal.seal_message(PLAIN, signer).octets
    assert in_form(sealed) is not None
    with pytest.raises(Refusal, match=r"KEY\.EXPIRED"):
        verify(sealed, of.trust())


def test_form_is_matched_in_time_that_grows_with_the_message() -> None:
    """What fails at its very end has been matched to there, and nothing of it twice."""
    crowd = replace(PLAIN, addressees=tuple(replace(_OFFICE, organ_id=f"H56.{n}") for n in range(1500)))
    sealed = _sealed(crowd)
    assert in_form(sealed) is not None
    began = time.thread_time()
    assert in_form(sealed[:-2]) is None
    assert time.thread_time() - began < 1
