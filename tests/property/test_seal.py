"""Whatever is done to a sealed file: it is refused, or it still says the same."""

import importlib
import re
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axis import edxml, receipts, seal
from axis.edxml import AttachmentRef, Notary, ResponseFor, Staff
from axis.edxml.form import in_form
from axis.errors import CATALOGUE, Refusal, violation
from axis.receipts import Level, Receipt, Verdict, read
from tests.property.test_edxml import DOCUMENTS, STATUSES, WILD_DOCUMENTS
from tests.province import AT, DOCUMENT, STATUS, province, sealed, verify
from tests.unit.edxml.test_form import PLAIN

OF = province()
TRUST = OF.trust()
GOOD = sealed(OF)
GOOD_STATUS = sealed(OF, "H56.112", STATUS)
PARTS = verify(GOOD, TRUST).parts
STATUS_PARTS = verify(GOOD_STATUS, TRUST).parts
TAGS = sorted({match.span() for match in re.finditer(rb"<[^>]*>", GOOD)})

Mutation = Callable[[bytes], bytes]


def _at(share: float, octets: bytes) -> int:
    return int(share * len(octets))


_share = st.floats(0, 1, exclude_max=True)
_snippet = st.one_of(
    st.binary(min_size=1, max_size=6),
    st.sampled_from(
        [
            b"<!---->",
            b"<x/>",
            b"]]>",
            b"&#10;",
            b' Id="header"',
            b" ",
            b"&amp;",
            b"<![CDATA[a]]>",
            b"edXML:",
            b"=",
            b"\n",
            b"H56.113",
            b'<ds:Signature xmlns:ds="urn:x">a</ds:Signature>',
            b"</edXML:edXMLHeader><edXML:edXMLHeader>",
        ]
    ),
)


@st.composite
def mutations(draw: st.DrawFn) -> Mutation:
    """One change: a bit, bytes out, bytes in, a piece copied or moved, two tags exchanged."""
    a, b, c = draw(_share), draw(_share), draw(_share)
    kind = draw(st.sampled_from(["flip", "cut", "insert", "copy", "move", "tags"]))
    snippet, bit, length = draw(_snippet), draw(st.integers(0, 7)), draw(st.integers(1, 400))

    def mutate(octets: bytes) -> bytes:
        i, j = _at(a, octets), _at(b, octets)
        match kind:
            case "flip":
                return octets[:i] + bytes([octets[i] ^ (1 << bit)]) + octets[i + 1 :]
            case "cut":
                return octets[:i] + octets[i + length :]
            case "insert":
                return octets[:i] + snippet + octets[i:]
            case "copy":
                return octets[:j] + octets[i : i + length] + octets[j:]
            case "move":
                piece, rest = octets[i : i + length], octets[:i] + octets[i + length :]
                k = _at(c, rest)
                return rest[:k] + piece + rest[k:]
            case _:
                (p, q), (r, s) = sorted((TAGS[_at(a, bytes(len(TAGS)))], TAGS[_at(b, bytes(len(TAGS)))]))
                return octets if q > r else octets[:p] + octets[r:s] + octets[q:r] + octets[p:q] + octets[s:]

    return mutate


def _parts(envelope: bytes) -> dict[str, bytes] | None:
    try:
        return dict(verify(envelope, TRUST).parts)
    except Refusal:
        return None


@settings(max_examples=600, deadline=None)
@given(st.lists(mutations(), min_size=1, max_size=3))
def test_mutated_envelope_is_refused_or_says_the_same(changes: list[Mutation]) -> None:
    envelope = GOOD
    for change in changes:
        envelope = change(envelope)
    assert _parts(envelope) in (None, PARTS)


@settings(max_examples=300, deadline=None)
@given(st.lists(mutations(), min_size=1, max_size=2))
def test_mutated_status_is_refused_or_says_the_same(changes: list[Mutation]) -> None:
    envelope = GOOD_STATUS
    for change in changes:
        envelope = change(envelope)
    assert _parts(envelope) in (None, STATUS_PARTS)


@settings(max_examples=300, deadline=None)
@given(st.lists(mutations(), min_size=1, max_size=2))
def test_sealing_answers_only_with_a_refusal(changes: list[Mutation]) -> None:
    message = DOCUMENT.encode()
    for change in changes:
        message = change(message)
    try:
        envelope = seal.seal(message, OF.signer("H56.05"))
    except Refusal:
        return
    # Sealed in good faith, it may still be no message, or not that office's; the seal itself holds.
    assert _code(envelope)[:4] in {"", "ENV.", "RULE", "KEY."}


def _code(envelope: bytes) -> str:
    try:
        verify(envelope, TRUST)
    except Refusal as refusal:
        return refusal.code
    return ""


_text = st.text(max_size=60)
_id = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=40)
_digest = st.text("0123456789abcdef", min_size=64, max_size=64)
_moment = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def said(draw: st.DrawFn) -> Receipt:
    level = draw(st.sampled_from([Level.ACCEPTED, Level.REJECTED]))
    return Receipt(
        level=level,
        issuer="H56.TRUC",
        originator=draw(_id),
        document_id=draw(_text),
        envelope_id=draw(st.one_of(st.just(""), _id)),
        envelope_digest=draw(_digest),
        addressee=draw(st.one_of(st.none(), _id)),
        previous=draw(st.one_of(st.none(), _digest)),
        at=draw(_moment),
        status="2.0.0" if level is Level.ACCEPTED else "5.6.0",
        status_code=draw(st.sampled_from([None, "01", "16"])),
        number=draw(st.one_of(st.none(), _text)),
        reason=draw(_text),
        code=draw(st.one_of(st.none(), st.sampled_from(sorted(CATALOGUE)))),
        violations=tuple(
            violation(
                draw(st.sampled_from(sorted(CATALOGUE))),
                draw(_text),
                line=draw(st.one_of(st.none(), st.integers(0, 10**6))),
                path=draw(_text),
                rule=draw(_text),
            )
            for _ in range(draw(st.integers(0, 3)))
        ),
        addressees=tuple(
            Verdict(draw(_id), draw(st.sampled_from(["served", "refused"])), draw(_text), draw(_text))
            for _ in range(draw(st.integers(0, 3)))
        ),
        attempt=draw(st.one_of(st.none(), st.integers(0, 10**6))),
        next_at=draw(st.one_of(st.none(), _moment)),
        who_must_act=draw(st.one_of(st.sampled_from(["", "originator"]), _text)),
    )


def _outcome(xml: bytes) -> object:
    try:
        return receipts.read_receipt(xml, TRUST, at=AT)
    except Refusal as refusal:
        return refusal.code


def _outcome_by_tree(xml: bytes) -> object:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(read, "in_form", lambda _: None)
        return _outcome(xml)


@settings(max_examples=300, deadline=None)
@given(said(), st.lists(mutations(), max_size=1))
def test_receipt_in_the_usual_form_says_what_its_tree_says(receipt: Receipt, changes: list[Mutation]) -> None:
    """Most of what is drawn here is not in that form; what a receipt of every day holds is, and so is what changes only the seal."""
    xml = receipts.issue(receipt, OF.signer("H56.TRUC")).xml
    for change in changes:
        xml = change(xml)
    assert _outcome(xml) == _outcome_by_tree(xml)


@settings(max_examples=400, deadline=None)
@given(st.lists(mutations(), min_size=1, max_size=2))
def test_mutated_receipt_of_every_day_comes_out_the_same_both_ways(changes: list[Mutation]) -> None:
    xml = RECEIPT.xml
    for change in changes:
        xml = change(xml)
    assert _outcome(xml) == _outcome_by_tree(xml)


@settings(max_examples=300, deadline=None)
@given(said())
def test_receipt_that_can_be_built_reads_back_equal(receipt: Receipt) -> None:
    signed = receipts.issue(receipt, OF.signer("H56.TRUC"))
    assert receipts.read_receipt(signed.xml, TRUST, at=AT) == signed


RECEIPT = receipts.issue(
    Receipt(
        level=Level.ACCEPTED,
        issuer="H56.TRUC",
        originator="H56.05",
        document_id="H56.05,2026/08/25,125/SKHCN-CĐS",
        envelope_id="1",
        envelope_digest="a" * 64,
        addressee=None,
        previous=None,
        at=AT,
        status="2.0.0",
        addressees=(Verdict("H56.112", "served", "Có trong danh bạ"),),
    ),
    OF.signer("H56.TRUC"),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(mutations(), min_size=1, max_size=2))
def test_mutated_receipt_is_refused_or_says_the_same(changes: list[Mutation]) -> None:
    xml = RECEIPT.xml
    for change in changes:
        xml = change(xml)
    try:
        read = receipts.read_receipt(xml, TRUST, at=AT)
    except Refusal:
        return
    assert read.receipt == RECEIPT.receipt


def _judged(sealed: bytes) -> object:
    """Return all that the axis goes by in an envelope, or why it is refused."""
    try:
        received = edxml.parse(sealed)
        verified = seal.verify(received, TRUST, at=AT)
    except Refusal as refusal:
        return refusal.violations
    said = (received.digest, received.kind, received.originator, received.document_id, received.notary)
    shape = edxml.misshapes(received)
    return said, shape, dict(verified.parts), verified.message, verified.signer, verified.good_until, verified.digest


def _judged_by_tree(sealed: bytes) -> object:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(importlib.import_module("axis.edxml.parse"), "in_form", lambda _: None)
        return _judged(sealed)


_USUALLY = str.maketrans("&<>", "+++")


def _usual(value: Any) -> Any:
    """Return a value without what takes a document out of the usual form."""
    match value:
        case str():
            return value.translate(_USUALLY)
        case tuple():
            return tuple(map(_usual, value))
        case edxml.Document() | edxml.Organization() | edxml.Business() | Staff() | ResponseFor() | AttachmentRef():
            return replace(value, **{one.name: _usual(getattr(value, one.name)) for one in fields(value)})
        case _:
            return value


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, st.lists(mutations(), max_size=1))
def test_document_in_the_usual_form_says_what_its_tree_says(document: edxml.Document, changes: list[Mutation]) -> None:
    usual = replace(_usual(document), originator=edxml.Organization("H56.05"), release_at=None)
    sealed = seal.seal_message(usual, OF.signer("H56.05")).octets
    assert in_form(sealed) is not None
    for change in changes:
        sealed = change(sealed)
    assert _judged(sealed) == _judged_by_tree(sealed)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS | WILD_DOCUMENTS)
def test_document_of_whatever_form_says_what_its_tree_says(document: edxml.Document) -> None:
    """What the schema refuses is among them, and sealed in good faith."""
    try:
        made = seal.seal_message(replace(document, originator=edxml.Organization("H56.05")), OF.signer("H56.05"))
    except Refusal:
        return  # It cannot be written.
    assert _judged(made.octets) == _judged_by_tree(made.octets)


EVERY_DAY = seal.seal_message(
    replace(
        PLAIN,
        originator=edxml.Organization("H56.05", name="Sở mẫu (ví dụ)"),
        addressees=(*PLAIN.addressees, edxml.Organization("H56.113")),
        responses=(ResponseFor("H56.112", "12/UBND"),),
        to_places=("Như trên",),
    ),
    OF.signer("H56.05"),
).octets


@settings(max_examples=600, deadline=None)
@given(st.lists(mutations(), min_size=1, max_size=2))
def test_mutated_document_of_every_day_comes_out_the_same_both_ways(changes: list[Mutation]) -> None:
    sealed = EVERY_DAY
    assert in_form(sealed) is not None
    for change in changes:
        sealed = change(sealed)
    assert _judged(sealed) == _judged_by_tree(sealed)


_VALUE = re.compile(rb"<ds:SignatureValue>[^<]*")  # ECDSA makes another each time.


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS | STATUSES, st.none() | st.builds(Notary, _id, _digest))
def test_message_is_sealed_as_what_is_written_of_it_would_be(message: edxml.Message, notary: Notary | None) -> None:
    key = OF.signer("H56.05")
    made = seal.seal_message(message, key, notary)
    assert _VALUE.sub(b"", made.octets) == _VALUE.sub(b"", seal.seal(edxml.render(message, notary), key))
    assert seal.digest_of(edxml.parse(made.octets)) == made.digest
