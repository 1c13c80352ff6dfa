"""Whatever is written reads back equal, and what is cut out of a message was put into it."""

import io
from dataclasses import replace
from datetime import UTC, date, datetime
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from axis import edxml
from axis.edxml import AttachmentRef, Business, BusinessType, Document, Notary, Organization, Priority, Splitter, Staff
from axis.edxml.inline import inline
from axis.edxml.model import Kind, Message, Replacement, ResponseFor, Status, Update
from axis.edxml.split import unwrap
from axis.errors import Refusal

# Letters of the country and characters that XML must write as references; no blank at the ends, none twice.
_LETTERS = st.characters(codec="utf-8", categories=("L", "N", "P", "S"), exclude_characters="\ufffe\uffff")


def _text(most: int, least: int = 0) -> st.SearchStrategy[str]:
    words = st.lists(st.text(_LETTERS, min_size=1, max_size=12), max_size=6).map(" ".join)
    return words.map(lambda text: text[:most].strip()).filter(lambda text: len(text) >= least)


_CODES = st.sampled_from(["H56.05", "H56.112", "000.00.05.H56", "H56", "H37.DN.001"])
_ORGANS = st.builds(
    Organization, organ_id=_CODES, name=_text(200), in_charge=_text(200), email=_text(100), telephone=_text(50)
)
_DAYS = st.dates(date(1945, 9, 2), date(2999, 12, 31))
_RESPONSES = st.builds(ResponseFor, _CODES, code=_text(50), document_id=_text(200), promulgated_on=st.none() | _DAYS)
_BUSINESS = st.builds(
    Business,
    type=st.sampled_from([BusinessType.NEW, BusinessType.RECALL]),
    reason=_text(500),
    paper=st.booleans(),
    staff=st.none() | st.builds(Staff, department=_text(300), staff=_text(300), email=_text(100), mobile=_text(50)),
)
_REFS = st.builds(
    AttachmentRef,
    content_id=st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True),
    name=_text(255, 1),
    content_type=st.just("application/pdf"),
    sha256=st.binary(max_size=9).map(lambda octets: sha256(octets).hexdigest()),
    size_bytes=st.integers(0, 2**31),
    description=_text(500),
)
_MOMENTS = st.integers(0, 2_000_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))
DOCUMENTS = st.builds(
    Document,
    originator=_ORGANS,
    addressees=st.lists(_ORGANS, min_size=1, max_size=4).map(tuple),
    document_id=_text(200, 1),
    code_number=_text(11, 1),
    code_notation=_text(30, 1),
    place=_text(150),
    promulgated_on=_DAYS,
    type_group=st.integers(0, 999),
    type_detail=st.none() | st.integers(0, 999),
    type_name=_text(100, 1),
    subject=_text(500, 1),
    content=_text(500),
    signer_competence=_text(100),
    signer_position=_text(100),
    signer_name=_text(50, 1),
    due_on=st.none() | _DAYS,
    priority=st.sampled_from(Priority),
    release_at=st.none() | _MOMENTS,
    sphere=_text(100),
    typer=_text(10),
    copies=st.none() | st.integers(0, 999_999),
    pages=st.none() | st.integers(0, 999_999),
    direction=st.none() | st.booleans(),
    appendixes=st.lists(_text(500, 1), max_size=3).map(tuple),
    responses=st.lists(_RESPONSES, max_size=3).map(tuple),
    steering=st.integers(0, 2),
    tasks=st.lists(_text(100, 1), max_size=3).map(tuple),
    to_places=st.lists(_text(1000, 1), max_size=3).map(tuple),
    business=_BUSINESS,
    attachments=st.lists(_REFS, max_size=3, unique_by=lambda ref: ref.content_id).map(tuple),
)
STATUSES = st.builds(
    Status,
    originator=_ORGANS,
    response_for=st.builds(ResponseFor, _CODES, code=_text(50, 1), document_id=_text(200, 1), promulgated_on=_DAYS),
    status_code=st.sampled_from(["01", "02", "03", "04", "05", "06", "13", "15", "16"]),
    description=_text(1000),
    at=st.integers(86_400, 32_000_000_000).map(lambda second: datetime.fromtimestamp(second, UTC)),
)


def _read(message: bytes) -> Message:
    received = edxml.parse(message)
    edxml.gate(received)
    parts = {name: part for name in edxml.PARTS[received.kind] if (part := received.part(name)) is not None}
    return edxml.read_trees(received.kind, parts)


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS)
def test_document_fits_the_schema_and_reads_back_equal(document: Document) -> None:
    read = _read(edxml.render(document))
    assert isinstance(read, Document)
    assert replace(read, traces=()) == document


@settings(max_examples=60, deadline=None)
@given(STATUSES)
def test_status_fits_the_schema_and_reads_back_equal(status: Status) -> None:
    message = edxml.render(status)
    assert edxml.parse(message).kind is Kind.STATUS
    assert _read(message) == status


# What may mislead whoever writes XML as text; blanks at the ends, too.
_WILD = st.lists(
    st.sampled_from(
        [
            "<edXML:OtherInfo axp:",
            "<edXML:Email/>",
            "/>",
            "]]>",
            "&amp;",
            "&",
            '"',
            "'",
            "\r\n",
            "\t",
            "\n",
            " ",
            "ễ",
            "𠀋",
            "\x7f\x85",
        ]
    )
    | st.text(_LETTERS, max_size=5),
    max_size=6,
).map("".join)
_WILD_STAFF = st.builds(Staff, _WILD, _WILD, _WILD, _WILD)
_WILD_ORGANS = st.builds(Organization, _WILD, _WILD, _WILD, _WILD, _WILD, _WILD, _WILD, _WILD)
WILD_DOCUMENTS = st.builds(
    Document,
    originator=_WILD_ORGANS,
    addressees=st.lists(_WILD_ORGANS, max_size=2).map(tuple),
    document_id=_WILD,
    code_number=_WILD,
    code_notation=_WILD,
    place=_WILD,
    promulgated_on=_DAYS,
    subject=_WILD,
    content=_WILD,
    signer_name=_WILD,
    release_at=st.none() | _MOMENTS,
    appendixes=st.lists(_WILD, max_size=2).map(tuple),
    tasks=st.lists(_WILD, max_size=2).map(tuple),
    to_places=st.lists(_WILD, max_size=2).map(tuple),
    business=st.builds(
        Business,
        type=st.sampled_from(BusinessType),
        reason=_WILD,
        document_id=_WILD,
        update=st.none()
        | st.builds(
            Update, st.booleans(), st.booleans(), st.lists(st.tuples(_WILD, st.integers(0, 1)), max_size=2).map(tuple)
        ),
        replacements=st.lists(st.builds(Replacement, _WILD, st.lists(_WILD, max_size=2).map(tuple)), max_size=2).map(
            tuple
        ),
        staff=st.none() | _WILD_STAFF,
    ),
    attachments=st.lists(
        st.builds(AttachmentRef, _WILD, _WILD, _WILD, sha256=_WILD, size_bytes=st.integers(0, 9), description=_WILD),
        max_size=2,
    ).map(tuple),
)
_WILD_STATUSES = st.builds(
    Status,
    originator=_WILD_ORGANS,
    response_for=st.builds(ResponseFor, _WILD, code=_WILD, document_id=_WILD, promulgated_on=st.none() | _DAYS),
    status_code=_WILD,
    description=_WILD,
    at=_MOMENTS,
    staff=st.none() | _WILD_STAFF,
)


@settings(max_examples=300, deadline=None)
@given(WILD_DOCUMENTS | _WILD_STATUSES, st.none() | st.builds(Notary, _WILD, _WILD))
def test_parts_are_written_as_libxml2_makes_them_canonical(message: Message, notary: Notary | None) -> None:
    written = edxml.write(message, notary)
    received = edxml.parse(written.octets)
    parts = {name: received.part(name) for name in edxml.PARTS[received.kind]}
    assert written.parts == {
        name: etree.tostring(part, method="c14n", exclusive=True) for name, part in parts.items() if part is not None
    }


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_what_xml_cannot_carry_is_refused_wherever_it_stands(character: str) -> None:
    bad = f"a{character}b"
    for message, notary in (
        (replace(_PLAIN, subject=bad), None),
        (replace(_PLAIN, to_places=("", bad)), None),
        (replace(_PLAIN, attachments=(AttachmentRef("a", "a.pdf", "application/pdf", bad, 1),)), None),
        (_PLAIN, Notary("H56.TRUC", bad)),
    ):
        with pytest.raises(Refusal) as refused:
            edxml.render(message, notary)
        assert refused.value.violations[0].code == "ENV.NOT_WELL_FORMED"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=5000), max_size=4), st.integers(1, 5000))
def test_what_is_put_inside_comes_out(files: list[bytes], piece: int) -> None:
    refs = tuple(
        AttachmentRef(f"a{number}", f"{number}.pdf", "application/pdf", sha256(content).hexdigest(), len(content))
        for number, content in enumerate(files)
    )
    sealed = edxml.render(replace(_PLAIN, attachments=refs))
    whole = b"".join(inline(sealed, [(ref, [content]) for ref, content in zip(refs, files, strict=True)]))
    sinks: list[io.BytesIO] = []

    def open_sink() -> io.BytesIO:
        sinks.append(io.BytesIO())
        return sinks[-1]

    splitter = Splitter(open_sink)
    for start in range(0, len(whole), piece):
        splitter.feed(whole[start : start + piece])
    split = splitter.close()
    assert split.sealed == sealed
    assert [b"".join(unwrap(sink)) for sink in sinks] == files
    assert [one.content_id for one in split.attachments] == [ref.content_id for ref in refs]


_PLAIN = Document(
    originator=Organization("H56.05"),
    addressees=(Organization("H56.112"),),
    document_id="H56.05,2026/08/25,1/SKHCN",
    code_number="1",
    code_notation="SKHCN",
    place="Thanh Hóa",
    promulgated_on=date(2026, 8, 25),
    subject="V/v",
    signer_name="Nguyễn Văn A",
)
