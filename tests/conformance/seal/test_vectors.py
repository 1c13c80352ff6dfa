"""Each vector gets the answer that it must get, here and from the second opinion."""

import pytest
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from axis import edxml
from axis.edxml.values import EDXML
from axis.errors import CATALOGUE, Refusal
from axis.seal.profile import canonical
from tests.conformance.seal.vectors import VECTORS, Vector
from tests.province import AT, Province, province, verify

IDS = [f"{number:03}-{vector.id}" for number, vector in enumerate(VECTORS)]


def _answer(envelope: bytes, of: Province) -> str:
    try:
        verify(envelope, of.trust())
    except Refusal as refusal:
        return refusal.code
    return "accepted"


def _second_opinion(envelope: bytes, of: Province) -> bool:
    """Whether signxml finds good signatures by the registered certificate over what stands at the fixed places."""
    root = etree.fromstring(envelope)
    claimed = root.findtext(f".//{{{EDXML}}}MessageHeader/{{{EDXML}}}From/{{{EDXML}}}OrganId") or ""
    status = root.find(f".//{{{EDXML}}}StatusCode") is not None
    config = SignatureConfiguration(
        location=f"./{{{EDXML}}}edXMLEnvelope/{{{EDXML}}}edXMLHeader/",
        expect_references=1 if status else 3,
        signature_methods=frozenset({SignatureMethod.ECDSA_SHA256, SignatureMethod.RSA_SHA256}),
        digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
        verification_time=AT,
    )
    try:
        XMLVerifier().verify(root, x509_cert=of.certificates[claimed][-1], expect_config=config)
    except (SignXMLException, etree.LxmlError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_vector_gets_its_code(vector: Vector) -> None:
    of = province()
    answer = _answer(vector.make(of), of)
    assert answer in (vector.codes or {"accepted"}), str(vector)


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_signxml_agrees_but_where_the_reason_is_known(vector: Vector) -> None:
    of = province()
    agrees = _second_opinion(vector.make(of), of) == (not vector.codes)
    assert agrees == (not vector.other), str(vector)


def test_codes_are_in_the_catalogue() -> None:
    assert all(code in CATALOGUE for vector in VECTORS for code in vector.codes)


def test_accepted_envelope_yields_the_bytes_at_the_fixed_places() -> None:
    for vector in VECTORS:
        if not vector.codes:
            of = province()
            envelope = vector.make(of)
            received = edxml.parse(envelope)
            expected = {name: canonical(received.part(name)) for name in edxml.PARTS[received.kind]}  # type: ignore[arg-type]
            assert verify(envelope, of.trust()).parts == expected


def test_twin_signature_is_the_same_message() -> None:
    of = province()
    twin = next(vector for vector in VECTORS if vector.id == "S21").make(of)
    good = next(vector for vector in VECTORS if vector.id == "S00").make(of)
    assert twin != good
    assert verify(twin, of.trust()).digest == verify(good, of.trust()).digest


def test_refusal_names_line_and_path() -> None:
    of = province()
    envelope = next(vector for vector in VECTORS if vector.what == "two DigestValue").make(of)
    with pytest.raises(Refusal) as caught:
        verify(envelope, of.trust())
    found = caught.value.violations[0]
    assert found.line is not None
    assert found.path == "/edXML:edXML/edXML:edXMLEnvelope/edXML:edXMLHeader/ds:Signature/ds:SignedInfo/ds:Reference[1]"
