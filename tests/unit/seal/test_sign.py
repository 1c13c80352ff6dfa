"""Sealing: what it adds, what it leaves alone, and that other people's tools believe it."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.verifier import SignatureConfiguration, XMLVerifier

from axis import edxml, seal
from axis.edxml.values import EDXML
from axis.errors import PermanentError, Refusal
from tests import province as provinces
from tests.province import AT, DOCUMENT, INLINE, STATUS, province, rsa_key, sealed, verify

IDS = ((' Id="header"', ""), (' Id="business"', ""), (' Id="manifest"', ""))
KEYS: dict[str, Callable[[], provinces.PrivateKey]] = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA-2048": rsa_key,
}


def _without_seal(envelope: bytes) -> str:
    text = envelope.decode()
    start, stop = text.index("<ds:Signature "), text.index("</ds:Signature>") + len("</ds:Signature>")
    text = text[:start] + text[stop:]
    for name, nothing in IDS:
        text = text.replace(name, nothing, 1)
    return text


@pytest.mark.parametrize(
    "text",
    [DOCUMENT, STATUS, DOCUMENT.replace("\n", "\r\n"), DOCUMENT.replace("</edXML>\n", INLINE + "</edXML>")],
    ids=["document", "status", "crlf", "inline"],
)
def test_sealing_changes_no_other_byte(text: str) -> None:
    of = province()
    envelope = sealed(of, "H56.112" if text is STATUS else "H56.05", text)
    assert _without_seal(envelope) == text


def test_signature_is_last_in_the_header_and_has_the_profiles_shape() -> None:
    received = edxml.parse(sealed(province()))
    assert received.signature is not None
    uris = [
        reference.get("URI") for reference in received.signature.iter("{http://www.w3.org/2000/09/xmldsig#}Reference")
    ]
    assert uris == ["#header", "#business", "#manifest"]


def test_status_is_sealed_over_its_header_alone() -> None:
    of = province()
    assert list(verify(sealed(of, "H56.112", STATUS), of.trust()).parts) == ["header"]


def test_sealed_document_is_verified_and_read() -> None:
    of = province()
    verified = verify(sealed(of), of.trust())
    assert verified.message.originator.organ_id == "H56.05"
    assert verified.signer == of.signer("H56.05").fingerprint
    assert list(verified.parts) == ["header", "business", "manifest"]


def test_ids_that_are_there_are_kept() -> None:
    of = province()
    text = DOCUMENT.replace("<edXML:MessageHeader>", "<edXML:MessageHeader  Id = 'header' >", 1)
    assert b"<edXML:MessageHeader  Id = 'header' >" in sealed(of, text=text)
    assert verify(sealed(of, text=text), of.trust())


def test_wrong_id_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        sealed(province(), text=DOCUMENT.replace("<edXML:MessageHeader>", '<edXML:MessageHeader Id="kop">', 1))
    assert caught.value.code == "SIG.REFERENCE"


@pytest.mark.parametrize("encoding", ["TTF-8", "GB2312"])
def test_message_in_no_encoding_that_can_be_read_is_refused(encoding: str) -> None:
    with pytest.raises(Refusal) as caught:
        seal.seal(DOCUMENT.replace("UTF-8", encoding, 1).encode(), province().signer("H56.05"))
    assert caught.value.code == "ENV.ENCODING"


def test_inline_attachments_are_left_where_they_are() -> None:
    of = province()
    envelope = sealed(of, text=DOCUMENT.replace("</edXML>\n", INLINE + "</edXML>"))
    splitter = edxml.Splitter(_Sink)
    splitter.feed(envelope)
    split = splitter.close()
    assert INLINE.encode() in envelope
    assert verify(split.sealed, of.trust())


class _Sink:
    def write(self, data: bytes, /) -> int:
        return len(data)


def test_long_inline_attachment_is_no_hindrance() -> None:
    of = province()
    envelope = sealed(of, text=DOCUMENT.replace("</edXML>\n", INLINE.replace("YWJj", "YWJj" * 500_000) + "</edXML>"))
    assert len(envelope) > 2_000_000


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no xml", "ENV.NOT_WELL_FORMED"),
        ("<a/>", "ENV.WRONG_ROOT"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "ENV.DTD"),
        (DOCUMENT.replace("<edXML:BussinessDocType>", "<!-- --><edXML:BussinessDocType>"), "ENV.COMMENT_OR_PI"),
        (
            DOCUMENT.replace(
                DOCUMENT[DOCUMENT.index("   <edXML:TraceHeaderList") : DOCUMENT.index("  </edXML:edXMLHeader>")], ""
            ),
            "SIG.REFERENCE",
        ),
    ],
    ids=["text", "other xml", "doctype", "comment", "no business part"],
)
def test_what_is_no_envelope_is_not_sealed(text: str, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        sealed(province(), text=text)
    assert caught.value.code == code


def test_sealed_envelope_is_not_sealed_again() -> None:
    of = province()
    with pytest.raises(Refusal) as caught:
        seal.seal(sealed(of), of.signer("H56.05"))
    assert caught.value.code == "SIG.POSITION"


@pytest.mark.parametrize("kind", KEYS)
def test_signxml_believes_what_we_seal(kind: str) -> None:
    of = province()
    of.register("H56.05", KEYS[kind]())
    envelope = sealed(of)
    config = SignatureConfiguration(
        location=f"./{{{EDXML}}}edXMLEnvelope/{{{EDXML}}}edXMLHeader/",
        expect_references=3,
        signature_methods=frozenset({SignatureMethod.ECDSA_SHA256, SignatureMethod.RSA_SHA256}),
        digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
        verification_time=AT,
    )
    results = XMLVerifier().verify(envelope, x509_cert=of.certificates["H56.05"][-1], expect_config=config)
    assert isinstance(results, list)
    assert [result.signed_data for result in results] == list(verify(envelope, of.trust()).parts.values())


@pytest.mark.skipif(shutil.which("xmlsec1") is None, reason="xmlsec1 is not installed")
@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("how", ["--trusted-pem", "--pubkey-cert-pem"])
def test_xmlsec1_believes_what_we_seal(kind: str, how: str, tmp_path: Path) -> None:
    of = province()
    of.register("H56.05", KEYS[kind]())
    file, ca, own = tmp_path / "sealed.edxml", tmp_path / "ca.pem", tmp_path / "own.pem"
    file.write_bytes(sealed(of))
    ca.write_bytes(of.ca.public_bytes(Encoding.PEM))
    own.write_bytes(of.certificates["H56.05"][-1].public_bytes(Encoding.PEM))
    ids = [
        word for name in ("MessageHeader", "Bussiness", "edXMLManifest") for word in ("--id-attr:Id", f"{EDXML}:{name}")
    ]
    command = [
        "xmlsec1",
        "--verify",
        how,
        str(ca if how == "--trusted-pem" else own),
        "--verification-time",
        f"{AT:%Y-%m-%d %H:%M:%S}",
        *ids,
        str(file),
    ]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    file.write_bytes(sealed(of).replace(b"H56.112", b"H56.113"))
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def _write_key(path: Path, key: provinces.PrivateKey) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def test_key_finds_its_certificate_among_several(tmp_path: Path) -> None:
    of = province()
    of.register("H56.05")
    key = _write_key(tmp_path / "key.pem", of.keys["H56.05"])
    certificates = tmp_path / "certificates.pem"
    certificates.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in of.certificates["H56.05"]))
    assert seal.SigningKey.load(key, certificates).certificate == of.certificates["H56.05"][-1]


@pytest.mark.parametrize(
    "flaw", ["no key", "no certificate", "not a key", "not a certificate", "another's", "weak", "no signing key"]
)
def test_key_that_cannot_sign_is_refused(tmp_path: Path, flaw: str) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    of = province()
    key = of.keys["H56.05"]
    made = of.certificates["H56.05"][0]
    if flaw == "weak":
        made = of.certificate("H56.05", key := rsa_key(1024))
    key_path = _write_key(tmp_path / "key.pem", Ed25519PrivateKey.generate() if flaw == "no signing key" else key)  # type: ignore[arg-type]
    certificate_path = tmp_path / "certificate.pem"
    certificate_path.write_bytes(
        (of.certificates["H56.112"][0] if flaw == "another's" else made).public_bytes(Encoding.PEM)
    )
    match flaw:
        case "no key":
            key_path.unlink()
        case "no certificate":
            certificate_path.unlink()
        case "not a key":
            key_path.write_text("x")
        case "not a certificate":
            certificate_path.write_text("x")
    with pytest.raises(PermanentError) as caught:
        seal.SigningKey.load(key_path, certificate_path)
    assert caught.value.code == "CFG.INVALID"


@pytest.mark.parametrize(
    ("flaw", "code"),
    [
        ({"subject": "x" * 1_100_000}, "ENV.TOO_LARGE"),
        ({"appendixes": ("",) * 51_000}, "ENV.TOO_COMPLEX"),
        ({"subject": "a\x0bb"}, "ENV.NOT_WELL_FORMED"),
    ],
)
def test_message_that_nobody_would_take_is_not_sealed(flaw: dict[str, Any], code: str) -> None:
    of = province()
    message = verify(sealed(of), of.trust()).message
    assert isinstance(message, edxml.Document)
    with pytest.raises(Refusal) as caught:
        seal.seal_message(replace(message, **flaw), of.signer("H56.05"))
    assert caught.value.code == code
