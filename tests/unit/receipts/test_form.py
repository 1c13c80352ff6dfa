"""The usual form: ours is read without a tree, and nothing is that which is not, byte for byte, what we write."""

import re

import pytest

from axis.errors import violation
from axis.receipts import Level, Receipt, Verdict, issue
from axis.receipts.form import in_form
from tests.province import AT, DAY, province, rsa_key
from tests.unit.receipts.test_receipts import AXIS, FULL, receipt

OF = province()

LONG = receipt(
    Level.DEFERRED,
    status_code="04",
    number="417/2026",
    reason='Lãnh đạo đi vắng, "chờ ký"',
    code="DLV.OFFICE_UNAVAILABLE",
    attempt=3,
    next_at=AT + DAY,
    who_must_act="addressee",
)
TO_MANY = receipt(
    Level.ACCEPTED,
    issuer=AXIS,
    addressee=None,
    previous=None,
    addressees=(Verdict("H56.112", "served", ""), Verdict("H56.666", "refused", "Không có trong danh bạ")),
)
USUAL = [receipt(level) for level in Level] + [LONG, TO_MANY]


def _xml(said: Receipt) -> bytes:
    return issue(said, OF.signer(said.issuer)).xml


@pytest.mark.parametrize("said", USUAL, ids=[*Level, "long", "to many"])
def test_what_we_write_is_in_the_form(said: Receipt) -> None:
    formed = in_form(_xml(said))
    assert formed is not None
    assert formed.receipt == said


def test_so_is_what_is_signed_with_rsa() -> None:
    said = receipt(Level.ACCEPTED, issuer=AXIS)
    formed = in_form(issue(said, province().register(AXIS, rsa_key())).xml)
    assert formed is not None
    assert formed.receipt == said


@pytest.mark.parametrize(
    "said",
    [
        FULL,
        receipt(reason="một & hai"),
        receipt(reason="một\rhai"),
        receipt(Level.ACCEPTED, issuer=AXIS, addressees=(Verdict("H56.112", "served", "", "H56.113"),)),
        receipt(Level.REJECTED, issuer=AXIS, violations=(violation("ENV.SCHEMA"),)),
    ],
    ids=["full", "reference", "carriage return", "addressed", "violations"],
)
def test_what_is_seldom_is_left_to_the_other_way(said: Receipt) -> None:
    assert in_form(_xml(said)) is None


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (b"<?xml", b" <?xml"),
        (b"UTF-8", b"utf-8"),
        (b"</Receipt>\n", b"</Receipt>"),
        (b"</Receipt>\n", b"</Receipt>\n\n"),
        (b"<Level>registered", b"<Level>refused"),  # What it contradicts,
        (b"<Level>registered", b"<Level>delivered"),  # and what it does not: the digest is another's.
        (b"<Level>registered", b"<Level>enrolled"),
        (b"</Level>", b"</Level>\n"),
        (b"</Level>", b"</Level><!---->"),
        (b"H56.05<", b"H56.05 <"),
        (b"H56.05<", b"H56.&#48;5<"),
        (b"H56.05<", b"H56.\x01<"),
        (b"H56.05<", b"H56.\xef\xbf\xbe<"),  # U+FFFE
        (b"<Issuer>H56.112", b"<Issuer> H56.112"),
        (b"</Status>", b"</Status><WhoMustAct>a\x1b[31m</WhoMustAct>"),
        (b"H56.05<", b"H56.\xff<"),
        (b"H56.05<", b"H56.\x00<"),
        (b"H56.05<", b"H56.\xed\xa0\x80<"),
        (b"<Addressee>", b"<Addressee >"),
        (b"<Status>2.0.0", b"<Status>2.0.00"),
        (b"</Status>", b"</Status><Number></Number>"),
        (b"</Status>", b"</Status><Attempt>03</Attempt>"),
        (b"</Status>", b"</Status><Addressees></Addressees>"),
        (b'Id="statement"', b"Id='statement'"),
        (b"xml-exc-c14n#", b"xml-exc-c14n#WithComments"),
        (b'"#statement"', b'"#Statement"'),
        (b"<ds:KeyInfo>", b"<ds:KeyInfo><x/>"),
    ],
)
def test_what_stands_otherwise_is_not(there: bytes, instead: bytes) -> None:
    xml = _xml(receipt())
    assert there in xml
    assert in_form(xml.replace(there, instead, 1)) is None


def test_day_that_does_not_exist_is_not() -> None:
    xml = re.sub(rb"<At>....-..-..", b"<At>2026-02-30", _xml(receipt()))
    assert in_form(xml) is None


def test_seal_has_one_spelling() -> None:
    """Base64 leaves bits over at the end that say nothing."""
    xml = _xml(receipt())
    last = xml.index(b"==</ds:SignatureValue>") - 1
    assert in_form(xml[:last] + bytes([xml[last] + 1]) + xml[last + 1 :]) is None


def test_cap_on_elements_holds_here_too() -> None:
    many = tuple(Verdict(f"H56.{number}", "served", "") for number in range(25_000))
    assert in_form(_xml(receipt(Level.ACCEPTED, issuer=AXIS, addressee=None, previous=None, addressees=many))) is None


def test_what_is_to_be_said_can_be_carried() -> None:
    said = receipt(who_must_act="a\x00\x1b" + "b" * 200)
    assert len(said.who_must_act) == 100
    formed = in_form(_xml(said))
    assert formed is not None
    assert formed.receipt == said
