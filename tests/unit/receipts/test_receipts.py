"""Receipts: signed, read back equal, believed only from who may say them."""

import shutil
import subprocess
from datetime import timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from axis import receipts
from axis.edxml import schemas
from axis.errors import CATALOGUE, Refusal, TransientError, violation
from axis.receipts import SAID_BY, Level, Party, Receipt, Verdict
from axis.receipts.voice import Voice
from axis.seal.profile import canonical
from tests.province import AT, DAY, Province, province, revoked, rsa_key

AXIS, OFFICE = "H56.TRUC", "H56.112"
DIGEST = "a" * 64
STATUS = {
    Level.ACCEPTED: "2.0.0",
    Level.REJECTED: "5.6.0",
    Level.DELIVERED: "2.0.0",
    Level.REGISTERED: "2.0.0",
    Level.REFUSED: "5.7.1",
    Level.PROGRESS: "2.0.0",
    Level.DEFERRED: "4.4.1",
    Level.EXPIRED: "5.4.7",
    Level.RECALLED: "2.0.0",
    Level.REMINDED: "4.4.7",
    Level.FAILED: "5.3.0",
    Level.HELD: "4.2.1",
    Level.FORWARDED: "2.1.5",
}


def receipt(level: Level = Level.REGISTERED, **fields: Any) -> Receipt:
    said: dict[str, Any] = {
        "level": level,
        "issuer": OFFICE if Party.ADDRESSEE in SAID_BY[level] else AXIS,
        "originator": "H56.05",
        "document_id": "H56.05,2026/08/25,125/SKHCN-CĐS",
        "envelope_id": "0198f5e2b9a77c3e9d1f4a5b6c7d8e9f",
        "envelope_digest": DIGEST,
        "addressee": OFFICE,
        "previous": "b" * 64,
        "at": AT,
        "status": STATUS[level],
        "status_code": "15" if level is Level.RECALLED else None,
    }
    return Receipt(**(said | fields))


FULL = receipt(
    Level.REJECTED,
    issuer=AXIS,
    status="5.6.0",
    status_code="02",
    number="417",
    reason='Sai <cấu trúc> & "dấu"\r\n\tdòng hai \U0001f600',
    code="ENV.SCHEMA",
    violations=(
        violation("ENV.SCHEMA", 'a\tb\r\n"<>&', line=12, path='/edXML:edXML[1]\t\n"<>&', rule="xsd:maxLength"),
        violation("RULE.DATE", "2014/02/30"),
    ),
    addressees=(Verdict("H56.112", "served", "Có trong danh bạ"), Verdict("H56.666", "refused", "")),
    attempt=3,
    next_at=AT + DAY,
    who_must_act="originator",
)


def _issue(of: Province, said: Receipt) -> receipts.SignedReceipt:
    return receipts.issue(said, of.signer(said.issuer))


def _read(of: Province, xml: bytes, **options: Any) -> receipts.SignedReceipt:
    return receipts.read_receipt(xml, of.trust(), at=AT, **options)


def _code(of: Province, xml: bytes, **options: Any) -> str:
    with pytest.raises(Refusal) as caught:
        _read(of, xml, **options)
    return caught.value.code


@pytest.mark.parametrize("said", [receipt(level) for level in Level] + [FULL], ids=[*Level, "full"])
def test_receipt_reads_back_equal(said: Receipt) -> None:
    of = province()
    signed = _issue(of, said)
    assert signed.digest == sha256(signed.xml).hexdigest()
    assert _read(of, signed.xml) == signed


@pytest.mark.parametrize("said", [receipt(), FULL], ids=["short", "full"])
def test_written_statement_is_its_canonical_form(said: Receipt) -> None:
    root = etree.fromstring(_issue(province(), said).xml)
    written = sha256(canonical(root[0])).digest()
    stated = root.findtext(".//{http://www.w3.org/2000/09/xmldsig#}DigestValue")
    assert stated is not None
    assert etree.tostring(root[1][0], method="c14n", exclusive=True).startswith(b"<ds:SignedInfo xmlns:ds=")
    import base64

    assert base64.b64decode(stated) == written


@pytest.mark.parametrize("key", [lambda: ec.generate_private_key(ec.SECP256R1()), rsa_key], ids=["P-256", "RSA"])
def test_signxml_believes_our_receipts(key: Any) -> None:
    of = province()
    of.register(AXIS, key())
    config = SignatureConfiguration(
        location="./",
        signature_methods=frozenset({SignatureMethod.ECDSA_SHA256, SignatureMethod.RSA_SHA256}),
        digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
        verification_time=AT,
    )
    signed = _issue(of, FULL)
    result = XMLVerifier().verify(signed.xml, x509_cert=of.certificates[AXIS][-1], expect_config=config)
    assert isinstance(result, VerifyResult)
    assert result.signed_data == canonical(etree.fromstring(signed.xml)[0])


@pytest.mark.skipif(shutil.which("xmlsec1") is None, reason="xmlsec1 is not installed")
@pytest.mark.parametrize("key", [lambda: ec.generate_private_key(ec.SECP256R1()), rsa_key], ids=["P-256", "RSA"])
def test_xmlsec1_believes_our_receipts(key: Any, tmp_path: Path) -> None:
    of = province()
    of.register(AXIS, key())
    ca, file = tmp_path / "ca.pem", tmp_path / "receipt.xml"
    ca.write_bytes(of.ca.public_bytes(Encoding.PEM))
    command = ["xmlsec1", "--verify", "--trusted-pem", str(ca), "--verification-time", f"{AT:%Y-%m-%d %H:%M:%S}"]
    command += ["--id-attr:Id", "urn:axis:receipt:1:Statement", str(file)]
    xml = _issue(of, FULL).xml
    for content, believed in ((xml, True), (xml.replace(b"417", b"418"), False)):
        file.write_bytes(content)
        assert (subprocess.run(command, capture_output=True, check=False).returncode == 0) is believed


def test_xmllint_agrees_with_the_schema(tmp_path: Path) -> None:
    file = tmp_path / "receipt.xml"
    file.write_bytes(_issue(province(), FULL).xml)
    command = ["xmllint", "--noout", "--schema", str(schemas.path("receipt-1")), str(file)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"<Number>417", b"<Number>418", "SIG.DIGEST"),
        (b"H56.TRUC</Issuer>", b"H56.112</Issuer>", "KEY.WRONG_SIGNER"),
        (b"H56.TRUC</Issuer>", b"H56.77</Issuer>", "KEY.UNKNOWN_SIGNER"),
        (b"<ds:SignatureValue>", b"<ds:SignatureValue>AAAA", "SIG.VALUE"),
        (b"</Statement>", b"</Statement><!-- -->", "RCT.INVALID"),
        (b"</Statement>", b"</Statement><Extra/>", "RCT.INVALID"),
        (b"</Receipt>", b"<Extra/></Receipt>", "SIG.POSITION"),
        (b'Id="statement"', b'Id="other"', "SIG.REFERENCE"),
        (b"urn:axis:receipt:1", b"urn:axis:receipt:2", "RCT.INVALID"),
        (b"</Receipt>", b"", "RCT.INVALID"),
        (b"<?xml", b'<!DOCTYPE Receipt SYSTEM "x"><?xml', "RCT.INVALID"),
    ],
)
def test_changed_receipt_is_refused(old: bytes, new: bytes, code: str) -> None:
    of = province()
    xml = _issue(of, FULL).xml
    assert old in xml
    assert _code(of, xml.replace(old, new, 1)) == code


@pytest.mark.parametrize("end", ["\n", "\t", "\x85", "\u2028"])
def test_line_that_is_two_is_refused(end: str) -> None:
    """A number is shown in lists of receipts: its second line would look like another office's word."""
    two = receipt(number=f"417{end}H56.113 | refused")
    assert two.number == "417 H56.113 | refused"
    object.__setattr__(two, "number", f"417{end}H56.113 | refused")  # As software of somebody else may write it.
    of = province(AXIS, OFFICE)
    assert _code(of, _issue(of, two).xml) == "RCT.INVALID"


def test_second_statement_is_refused() -> None:
    of = province()
    xml = _issue(of, FULL).xml
    statement = xml[xml.index(b"<Statement") : xml.index(b"</Statement>") + 12].replace(b"417", b"418")
    evil = xml.replace(b"<Statement ", statement.replace(b' Id="statement"', b"") + b"<Statement ", 1)
    assert _code(of, evil) in {"SIG.REFERENCE", "RCT.INVALID"}
    behind = xml.replace(b"</Statement>", b"</Statement>" + statement.replace(b' Id="statement"', b""), 1)
    assert _code(of, behind) == "RCT.INVALID"


def test_attribute_on_the_root_is_refused() -> None:
    of = province()
    assert _code(of, _issue(of, FULL).xml.replace(b"<Receipt ", b'<Receipt a="b" ', 1)) == "RCT.INVALID"


@pytest.mark.parametrize("level", [level for level in Level if SAID_BY[level] == {Party.AXIS}])
def test_addressee_may_not_say_what_is_the_axis_to_say(level: Level) -> None:
    of = province()
    assert _code(of, _issue(of, receipt(level, issuer=OFFICE)).xml) == "RCT.INVALID"


_OF_ADDRESSEE = [level for level in Level if Party.AXIS not in SAID_BY[level]]


@pytest.mark.parametrize("level", _OF_ADDRESSEE)
def test_nobody_may_speak_for_the_addressee(level: Level) -> None:
    of = province()
    for issuer in (AXIS, "H56.05"):
        assert _code(of, _issue(of, receipt(level, issuer=issuer)).xml) == "RCT.INVALID"
    assert _code(of, _issue(of, receipt(level, issuer="H56.05")).xml, axis=AXIS) == "RCT.INVALID"


@pytest.mark.parametrize("level", _OF_ADDRESSEE)
def test_axis_that_speaks_for_an_addressee_is_a_notary(level: Level) -> None:
    of = province()
    assert receipt(level).verified
    said = _read(of, _issue(of, receipt(level, issuer=AXIS)).xml, axis=AXIS).receipt
    assert (said.party, said.verified) == (Party.NOTARY, False)


def test_only_the_axis_speaks_as_the_axis() -> None:
    of = province()
    forged = _issue(of, receipt(Level.EXPIRED, issuer="H56.05")).xml
    assert _code(of, forged, axis=AXIS) == "RCT.INVALID"
    assert _read(of, _issue(of, receipt(Level.EXPIRED, issuer=AXIS)).xml, axis=AXIS)


@pytest.mark.parametrize("status_code", [None, "16"])
def test_addressee_that_gives_a_document_up_says_that_it_agreed(status_code: str | None) -> None:
    """The axis says `recalled` about what still waited, without a code; an addressee about its copy, with 15."""
    of = province()
    assert receipt(Level.RECALLED, issuer=AXIS, status_code=None).party is Party.AXIS
    with pytest.raises(ValueError, match="15"):
        receipt(Level.RECALLED, status_code=status_code)
    said = receipt(Level.RECALLED)
    object.__setattr__(said, "status_code", status_code)  # Another program signs what ours would not build.
    assert _code(of, _issue(of, said).xml) == "RCT.INVALID"


def test_receipt_signed_with_another_offices_key_is_refused() -> None:
    of = province()
    assert _code(of, receipts.issue(receipt(issuer=OFFICE), of.signer("H56.05")).xml) == "KEY.WRONG_SIGNER"


def test_receipt_of_a_revoked_key_is_refused_or_put_off() -> None:
    of = province()
    xml = _issue(of, receipt()).xml
    with pytest.raises(Refusal) as caught:
        receipts.read_receipt(xml, of.trust(of.crl(revoked(of.certificates[OFFICE][0], AT - DAY))), at=AT)
    assert caught.value.code == "KEY.REVOKED"
    with pytest.raises(TransientError):
        receipts.read_receipt(xml, of.trust(require_fresh_crl=True), at=AT)


@pytest.mark.parametrize(
    ("said", "read", "code"),
    [
        (timedelta(0), timedelta(days=29), None),  # Its line was down, and the certificate has ended meanwhile.
        (timedelta(0), timedelta(days=31), "KEY.EXPIRED"),  # Nobody needs so long; whoever has the old key might.
        (timedelta(hours=2), timedelta(hours=3), "KEY.EXPIRED"),  # Said when the certificate had ended.
        (timedelta(hours=4), timedelta(hours=3), "KEY.EXPIRED"),  # Said in the future.
    ],
)
def test_certificate_that_has_ended_is_believed_about_what_was_said_before(
    said: timedelta, read: timedelta, code: str | None
) -> None:
    of = province(AXIS)
    key = ec.generate_private_key(ec.SECP256R1())
    of.register(OFFICE, key, not_after=AT + timedelta(hours=1))
    xml = receipts.issue(receipt(at=AT + said), of.signer(OFFICE)).xml
    if code is None:
        assert receipts.read_receipt(xml, of.trust(), at=AT + read).receipt.at == AT + said
        return
    with pytest.raises(Refusal) as caught:
        receipts.read_receipt(xml, of.trust(), at=AT + read)
    assert caught.value.code == code


def test_revoked_key_is_not_believed_whenever_it_claims_to_have_spoken() -> None:
    """Whoever stole a key that has ended since could put any date below."""
    of = province(AXIS)
    of.register(OFFICE, not_after=AT + timedelta(hours=1))
    revocation = of.crl(revoked(of.certificates[OFFICE][0], AT + timedelta(minutes=30)), until=AT + 9 * DAY)
    xml = _issue(of, receipt()).xml
    with pytest.raises(Refusal) as caught:
        receipts.read_receipt(xml, of.trust(revocation), at=AT + DAY)
    assert caught.value.code == "KEY.REVOKED"


def test_nobody_speaks_with_a_certificate_that_is_not_valid() -> None:
    of = province(AXIS)
    of.register(OFFICE, not_before=AT, not_after=AT + DAY)
    voice = Voice(OFFICE, of.signer(OFFICE))
    fields = {name: getattr(receipt(), name) for name in receipt().__slots__ if name != "issuer"}
    assert voice.say(**fields).receipt == receipt()
    for at in (AT - DAY, AT + 2 * DAY):
        with pytest.raises(TransientError) as caught:
            voice.say(**{**fields, "at": at})
        assert caught.value.code == "SYS.KEY"


@pytest.mark.parametrize(("status", "place"), [("9.9.9", "rct:Status"), ("5.7.1", "")])
def test_signed_nonsense_is_refused(status: str, place: str) -> None:
    """The office's key signed it, but it is no receipt, or one that contradicts itself."""
    of = province()
    said = receipt()
    object.__setattr__(said, "status", status)
    with pytest.raises(Refusal) as caught:
        _read(of, _issue(of, said).xml)
    assert caught.value.code == "RCT.INVALID"
    assert place in caught.value.violations[0].path


def test_issuer_is_written_as_it_is_known() -> None:
    of = province()
    said = receipt(issuer=f" {OFFICE}", addressee=f" {OFFICE}")
    assert _code(of, receipts.issue(said, of.signer(OFFICE)).xml) == "KEY.WRONG_SIGNER"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"status": "4.4.1"}, "a registration is no delay"),
        ({"status": "2"}, "no RFC 3463 status"),
        ({"addressee": None}, "names its addressee"),
        ({"addressee": ""}, "names its addressee"),
        ({"at": AT.replace(tzinfo=None)}, "aware"),
        ({"next_at": AT.replace(tzinfo=None)}, "aware"),
        ({"envelope_digest": "A" * 64}, "digest"),
        ({"previous": "a"}, "digest"),
        ({"status_code": "3"}, "two digits"),
        ({"code": "nothing"}, "catalogue"),
        ({"attempt": -1}, "attempts"),
        ({"issuer": ""}, "identifier"),
        ({"originator": "x" * 101}, "identifier"),
        ({"addressees": (Verdict("", "served", ""),)}, "identifier"),
        ({"addressees": (Verdict("H56.05", "maybe", ""),)}, "verdict"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_contradictory_receipt_cannot_be_built(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError):
        receipt(**fields)


def test_times_are_kept_in_utc() -> None:
    local = AT.astimezone(timezone(timedelta(hours=7)))
    assert receipt(at=local) == receipt(at=AT)


def test_text_is_made_fit_for_xml() -> None:
    said = receipt(reason="a\x00\ud800b" + "x" * 2000, number="", code="")
    assert said.reason.startswith("a\ufffd\ufffdb")
    assert len(said.reason) == 1000
    assert said.reason.endswith("…")
    assert (said.number, said.code) == (None, None)


def test_as_many_violations_as_the_gate_lists_are_told() -> None:
    said = receipt(Level.REJECTED, issuer=AXIS, violations=(violation("ENV.SCHEMA", "x"),) * 300)
    of = province()
    assert len(_read(of, _issue(of, said).xml).receipt.violations) == 200


def test_word_about_each_of_many_addressees_is_read() -> None:
    of = province()
    many = tuple(Verdict(f"H56.{number}", "served", "Có trong danh bạ của trục " * 8) for number in range(5000))
    signed = _issue(of, receipt(Level.ACCEPTED, issuer=AXIS, addressee=None, previous=None, addressees=many))
    assert _read(of, signed.xml) == signed


def test_every_catalogue_code_can_be_told() -> None:
    of = province()
    said = receipt(Level.REJECTED, issuer=AXIS, violations=tuple(violation(code, "x") for code in CATALOGUE))
    assert _read(of, _issue(of, said).xml).receipt == said


def test_tables_are_total() -> None:
    assert set(SAID_BY) == set(Level) == set(STATUS)
    assert {level for level in Level if Party.ADDRESSEE in SAID_BY[level]} == {
        Level.DELIVERED,
        Level.REGISTERED,
        Level.REFUSED,
        Level.PROGRESS,
        Level.DEFERRED,
        Level.RECALLED,
        Level.FAILED,
    }


def test_file_that_is_no_receipt_is_told_apart() -> None:
    assert receipts.is_receipt(_issue(province(), receipt()).xml)
    assert not receipts.is_receipt(b"<edXML/>")
    assert not receipts.is_receipt(b"")
