"""Verification: what is read is what was signed, and the claim must be the same."""

from dataclasses import replace

import pytest

from axis import edxml, seal
from axis.errors import Refusal
from tests.province import AT, DOCUMENT, province, sealed, verify


def test_digest_is_of_the_signed_parts() -> None:
    of = province()
    first, again = verify(sealed(of), of.trust()), verify(sealed(of), of.trust())
    assert first.received.digest != again.received.digest
    assert first.digest == again.digest


def test_trace_outside_the_seal_may_grow() -> None:
    of = province()
    envelope = sealed(of)
    hop = b"<edXML:TraceHeader><edXML:OrganId>H56.TRUC</edXML:OrganId><edXML:Timestamp>2026/08/25 09:31:00</edXML:Timestamp></edXML:TraceHeader>"
    grown = envelope.replace(b"</edXML:TraceHeader>", b"</edXML:TraceHeader>" + hop, 1)
    assert verify(grown, of.trust()).digest == verify(envelope, of.trust()).digest


def test_claim_must_be_what_was_signed() -> None:
    """Whoever looks the key up by one name must read the same name in the signed bytes."""
    of = province()
    trust = of.trust()
    alias = seal.Trust(trust.authorities, (), {**trust.signers, "000.00.05.H56": trust.signers["H56.05"]})
    received = replace(edxml.parse(sealed(of)), originator="000.00.05.H56")
    with pytest.raises(Refusal) as caught:
        seal.verify(received, alias, at=AT)
    assert caught.value.code == "KEY.WRONG_SIGNER"


@pytest.mark.parametrize(
    ("old", "new", "codes"),
    [
        ("<edXML:Priority>1", "<edXML:Priority>9", {"ENV.SCHEMA"}),
        ("<edXML:Priority>1", "<edXML:Priority>x", {"ENV.SCHEMA"}),
        ("2026/08/25</edXML:PromulgationDate>", "2026/02/30</edXML:PromulgationDate>", {"RULE.DATE"}),
        ("<edXML:BussinessDocType>0", "<edXML:BussinessDocType>7", {"ENV.SCHEMA"}),
    ],
    ids=["priority", "no number", "date", "business"],
)
def test_signed_nonsense_is_explained_by_the_schema(old: str, new: str, codes: set[str]) -> None:
    of = province()
    with pytest.raises(Refusal) as caught:
        verify(sealed(of, text=DOCUMENT.replace(old, new, 1)), of.trust())
    assert {found.code for found in caught.value.violations} == codes
    assert all(found.line is not None for found in caught.value.violations)


def test_all_that_is_wrong_is_said_at_once() -> None:
    of = province()
    text = DOCUMENT.replace("<edXML:Priority>1", "<edXML:Priority>9").replace("<edXML:Type>2", "<edXML:Type>x")
    with pytest.raises(Refusal) as caught:
        verify(sealed(of, text=text), of.trust())
    assert len(caught.value.violations) == 2
