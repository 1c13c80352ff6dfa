"""Documents: sealed by signxml, verified by signxml, validated by xmlschema, read from what was signed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import xmlschema
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree
from signxml.algorithms import (
    CanonicalizationMethod,
    DigestAlgorithm,
    SignatureConstructionMethod,
    SignatureMethod,
)
from signxml.exceptions import SignXMLException
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, XMLVerifier

_SCHEMAS = Path(__file__).parents[3] / "schemas"
_EDXML = "{http://www.mic.gov.vn/TBT/QCVN_102_2016}"
_PROFILE = "{urn:axis:profile:1}"
_RECEIPT = "{urn:axis:receipt:1}"
_HEADER = f"./{_EDXML}edXMLEnvelope/{_EDXML}edXMLHeader"
_FROM = f"{_HEADER}/{_EDXML}MessageHeader/{_EDXML}From/{_EDXML}OrganId"
_PARTS = {"header": "MessageHeader", "business": "Bussiness", "manifest": "edXMLManifest"}


def _expected(location: str, references: int) -> SignatureConfiguration:
    return SignatureConfiguration(
        require_x509=True,
        location=location,
        expect_references=references,
        signature_methods=frozenset({SignatureMethod.ECDSA_SHA256}),
        digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
    )


_ENVELOPE_SEAL = _expected(f"{_HEADER}/", len(_PARTS))
_RECEIPT_SEAL = _expected("./", 1)


class RefusedError(Exception):
    """The message is not what it must be; each argument is one reason."""


@dataclass(frozen=True, slots=True)
class Key:
    """What an office signs with."""

    office: str
    private: Any
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class Envelope:
    """A verified and validated envelope."""

    originator: str
    document_id: str
    addressees: tuple[str, ...]
    files: tuple[tuple[str, int], ...]  # SHA-256 and size.
    digest: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt that was verified, or written by ourselves."""

    xml: bytes
    level: str
    issuer: str
    envelope_id: str
    document_id: str
    addressee: str | None
    at: datetime

    @property
    def digest(self) -> str:
        """SHA-256 of its bytes."""
        return sha256(self.xml).hexdigest()


class Directory:
    """Whose certificates are believed: those of the offices, read once."""

    def __init__(self, trust: Path) -> None:
        self._trust = trust
        self._certificates = {
            path.stem: x509.load_pem_x509_certificate(path.read_bytes()) for path in (trust / "certs").glob("*.pem")
        }

    def key(self, office: str) -> Key:
        """Load the key of an office."""
        pem = (self._trust / "keys" / f"{office}.key.pem").read_bytes()
        return Key(office, load_pem_private_key(pem, None), self._certificates[office])

    def certificate(self, office: str | None) -> x509.Certificate:
        """Return the certificate that is registered for an office.

        Raises:
            RefusedError: There is none.
        """
        if office not in self._certificates:
            raise RefusedError(f"unknown office: {office}")
        return self._certificates[office]


def seal(unsealed: bytes, key: Key) -> bytes:
    """Sign an envelope."""
    root = _parsed(unsealed)
    header = root.find(_HEADER)
    assert header is not None
    header.append(_signature(root, key, list(_PARTS)))
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def open_envelope(sealed: bytes, directory: Directory, *, validate: bool = False) -> Envelope:
    """Verify an envelope, and read it from what was signed.

    Args:
        sealed: As it came.
        directory: Whose certificates are believed.
        validate: Hold it against the schema too, as the router does for everybody.

    Raises:
        RefusedError: It is not signed by whom it says it is from, or does not fit the schema: every violation.
    """
    root = _parsed(sealed)
    if validate:
        _validate(root, "document-1")
    claimed = root.findtext(_FROM)
    signed = _verified(root, claimed, directory, _ENVELOPE_SEAL)
    for part, name in zip(signed, _PARTS.values(), strict=True):
        if part.tag != f"{_EDXML}{name}":
            raise RefusedError(f"signed is {part.tag!s}, not {name}")
    header, _business, manifest = signed
    originator = header.findtext(f"{_EDXML}From/{_EDXML}OrganId") or ""
    if originator != claimed:
        raise RefusedError("signed by another office")
    return Envelope(
        originator=originator,
        document_id=header.findtext(f"{_EDXML}DocumentId") or "",
        addressees=tuple(to.findtext(f"{_EDXML}OrganId") or "" for to in header.iterfind(f"{_EDXML}To")),
        files=tuple(
            (str(one.get(f"{_PROFILE}sha256")), int(one.get(f"{_PROFILE}bytes") or 0))
            for one in manifest.iterfind(f"{_EDXML}Reference")
        ),
        digest=sha256(sealed).hexdigest(),
    )


def write_receipt(
    level: str,
    key: Key,
    *,
    about: Envelope,
    envelope_id: str,
    addressee: str | None = None,
    previous: str | None = None,
    status_code: str | None = None,
    number: str | None = None,
) -> Receipt:
    """Write and sign a receipt."""
    now = datetime.now(UTC)
    root = etree.Element(f"{_RECEIPT}Receipt", nsmap={None: _RECEIPT[1:-1]})
    statement = etree.SubElement(root, f"{_RECEIPT}Statement", Id="statement")
    _text(statement, "Level", level)
    _text(statement, "Issuer", key.office)
    _text(statement, "At", f"{now:%Y-%m-%dT%H:%M:%S.%fZ}")
    envelope = etree.SubElement(statement, f"{_RECEIPT}Envelope")
    _text(envelope, "Originator", about.originator)
    _text(envelope, "DocumentId", about.document_id)
    _text(envelope, "EnvelopeId", envelope_id)
    _text(envelope, "Digest", about.digest)
    _text(statement, "Addressee", addressee)
    _text(statement, "Previous", previous)
    _text(statement, "Status", "2.0.0")
    _text(statement, "StatusCode", status_code)
    _text(statement, "Number", number)
    root.append(_signature(root, key, ["statement"]))
    xml = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return Receipt(xml, level, key.office, envelope_id, about.document_id, addressee, now)


def open_receipt(xml: bytes, directory: Directory, *, validate: bool = False) -> Receipt:
    """Verify a receipt, and read it from what was signed.

    Args:
        xml: As it came.
        directory: Whose certificates are believed.
        validate: Hold it against the schema too, as the router does for everybody.

    Raises:
        RefusedError: It is not signed by whom it says it is from, or does not fit the schema: every violation.
    """
    root = _parsed(xml)
    if validate:
        _validate(root, "receipt-1")
    claimed = root.findtext(f"{_RECEIPT}Statement/{_RECEIPT}Issuer")
    (statement,) = _verified(root, claimed, directory, _RECEIPT_SEAL)
    said = {str(child.tag).removeprefix(_RECEIPT): child.text or "" for child in statement.iter()}
    if statement.tag != f"{_RECEIPT}Statement" or said["Issuer"] != claimed:
        raise RefusedError("signed by another office")
    return Receipt(
        xml=xml,
        level=said["Level"],
        issuer=said["Issuer"],
        envelope_id=said["EnvelopeId"],
        document_id=said["DocumentId"],
        addressee=said.get("Addressee"),
        at=datetime.fromisoformat(said["At"]),
    )


def _parsed(xml: bytes) -> etree._Element:
    try:
        return etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    except etree.XMLSyntaxError as error:
        raise RefusedError(str(error)) from error


def _signature(root: etree._Element, key: Key, parts: list[str]) -> etree._Element:
    signer = XMLSigner(
        method=SignatureConstructionMethod.detached,
        signature_algorithm=SignatureMethod.ECDSA_SHA256,
        digest_algorithm=DigestAlgorithm.SHA256,
        c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    )
    made: etree._Element = signer.sign(
        root,
        key=key.private,
        cert=[key.certificate],
        reference_uri=[f"#{part}" for part in parts],
        id_attribute="Id",
    )
    return made


def _verified(
    root: etree._Element, claimed: str | None, directory: Directory, expected: SignatureConfiguration
) -> list[etree._Element]:
    """Return the elements that were signed, in the order of the References."""
    certificate = directory.certificate(claimed)
    try:
        results = XMLVerifier().verify(root, x509_cert=certificate, expect_config=expected, id_attribute="Id")
    except SignXMLException as error:
        raise RefusedError(str(error)) from error
    found = results if isinstance(results, list) else [results]
    signed = [one.signed_xml for one in found if one.signed_xml is not None]
    if len(signed) != len(found):
        raise RefusedError("what was signed is no XML")
    return signed


@cache
def _schema(name: str) -> xmlschema.XMLSchema10:
    return xmlschema.XMLSchema10(str(_SCHEMAS / f"{name}.xsd"))


def _validate(root: etree._Element, name: str) -> None:
    tree: Any = root
    violations = [error.reason or "not valid" for error in _schema(name).iter_errors(tree)]
    if violations:
        raise RefusedError(*violations)


def _text(parent: etree._Element, name: str, text: str | None) -> None:
    if text is not None:
        etree.SubElement(parent, f"{_RECEIPT}{name}").text = text
