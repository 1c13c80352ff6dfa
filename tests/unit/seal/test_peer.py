"""Client certificates: the registered key, good now, of the office that it names; the same judgement as for seals."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from axis import seal
from axis.errors import Refusal, TransientError
from tests.province import AT, DAY, Province, province, revoked, rsa_key, usage

_COMPROMISE = x509.ReasonFlags.key_compromise


def _shown(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _why(certificate: x509.Certificate, trust: seal.Trust, at: Any = AT) -> str:
    with pytest.raises(Refusal) as refused:
        seal.check_peer(_shown(certificate), trust, at)
    assert [found.code for found in refused.value.violations] == ["API.AUTH"]
    assert refused.value.violations[0].vi != refused.value.violations[0].en
    return refused.value.violations[0].en


@pytest.mark.parametrize(
    "key",
    [lambda: ec.generate_private_key(ec.SECP256R1()), lambda: ec.generate_private_key(ec.SECP384R1()), rsa_key],
    ids=["P-256", "P-384", "RSA"],
)
def test_certificate_speaks_for_its_office(key: Callable[[], Any]) -> None:
    of = Province()
    signer = of.register("H56.05", key())
    assert seal.check_peer(_shown(signer.certificate), of.trust(), AT) == "H56.05"


@pytest.mark.parametrize(
    ("flaws", "why"),
    [
        ({"not_after": AT - DAY}, "expired"),
        ({"not_before": AT + DAY}, "not yet valid"),
        ({"usage": (usage("key_agreement"), True)}, "digitalSignature"),
        ({"purpose": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)}, "extendedKeyUsage"),
        ({"basic": (x509.BasicConstraints(ca=True, path_length=0), True)}, "CA"),
        ({"issuer": "CA khác (ví dụ)"}, "does not chain"),
    ],
)
def test_registered_certificate_is_judged_as_for_a_seal(flaws: dict[str, Any], why: str) -> None:
    of = Province()
    signer = of.register("H56.05", **flaws)
    assert why in _why(signer.certificate, of.trust())


def test_revoked_certificate_is_refused() -> None:
    of = province()
    made = of.signer("H56.05").certificate
    assert "revoked" in _why(made, of.trust(of.crl(revoked(made, AT - DAY))))
    assert seal.check_peer(_shown(made), of.trust(of.crl(revoked(made, AT + DAY))), AT) == "H56.05"


def test_without_a_fresh_list_it_waits_where_one_is_required() -> None:
    of = province()
    with pytest.raises(TransientError, match=r"KEY\.REVOCATION_UNKNOWN"):
        seal.check_peer(_shown(of.signer("H56.05").certificate), of.trust(require_fresh_crl=True), AT)


def test_key_of_another_office_does_not_speak_for_the_one_that_is_named() -> None:
    of = province()
    assert "not registered for H56.05" in _why(of.certificate("H56.05", of.keys["H56.112"]), of.trust())


@pytest.mark.parametrize("name", ["H56.888", "UBND xã mẫu (ví dụ)"])
def test_name_that_nobody_has_is_refused(name: str) -> None:
    of = province()
    assert "not registered" in _why(of.certificate(name, of.keys["H56.05"]), of.trust())


def test_successor_and_predecessor_speak_while_both_are_registered() -> None:
    of = province()
    old = of.signer("H56.05")
    new = of.register("H56.05", not_before=AT - DAY)
    for signer in (old, new):
        assert seal.check_peer(_shown(signer.certificate), of.trust(), AT) == "H56.05"


def test_renewed_certificate_for_the_registered_key_need_not_be_in_the_roll_yet() -> None:
    of = province()
    renewed = of.certificate("H56.05", of.keys["H56.05"], not_before=AT - DAY)
    assert seal.check_peer(_shown(renewed), of.trust(), AT) == "H56.05"
    # But it must be good itself, and so must the one that is registered.
    assert "revoked" in _why(renewed, of.trust(of.crl(revoked(renewed, AT - DAY, _COMPROMISE))))
    registered = of.signer("H56.05").certificate
    assert "revoked" in _why(renewed, of.trust(of.crl(revoked(registered, AT - DAY, _COMPROMISE))))
    assert "expired" in _why(renewed, of.trust(), AT + 99 * DAY + 2 * DAY)


def test_what_is_no_certificate_is_refused() -> None:
    with pytest.raises(Refusal, match="not a certificate"):
        seal.check_peer("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", province().trust(), AT)
