"""Vectors K01-K09: whose certificate is believed, for whom, and when."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from axis import seal
from axis.errors import Refusal, TransientError
from axis.seal.trust import DOCUMENT_SIGNING, Trust, fingerprint_of
from tests import province as provinces
from tests.province import AT, DAY, Province, province, revoked, sealed, usage, verify

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Case:
    """One trust, one good envelope of H56.05, one time."""

    id: str
    what: str
    code: str | None
    arrange: Callable[[Province], Trust]
    at: datetime = AT


def _office(**flaws: Any) -> Callable[[Province], Trust]:
    """The office's certificate has these flaws."""

    def arrange(of: Province) -> Trust:
        of.certificates.pop("H56.05", None)
        of.register("H56.05", **flaws)
        return of.trust()

    return arrange


def _listed(
    since: datetime, reason: x509.ReasonFlags | None = None, invalid_from: datetime | None = None, **crl: Any
) -> Callable[[Province], Trust]:
    """The office's certificate is on the revocation list."""

    def arrange(of: Province) -> Trust:
        entry = revoked(of.certificates["H56.05"][0], since, reason, invalid_from)
        return of.trust(of.crl(entry, **crl))

    return arrange


def _fresh(of: Province, *crls: x509.CertificateRevocationList) -> Trust:
    return of.trust(*crls, require_fresh_crl=True)


def _rotated(of: Province) -> Trust:
    """The key that seals is the old one; a successor is registered beside it."""
    old_key = of.keys["H56.05"]
    of.certificates["H56.05"] = [of.certificate("H56.05", old_key, not_after=AT - HOUR)]
    of.certificates["H56.05"].append(
        of.certificate("H56.05", ec.generate_private_key(ec.SECP256R1()), not_before=AT - DAY)
    )
    return of.trust()


def _overlapping(of: Province) -> Trust:
    of.certificates["H56.05"].append(
        of.certificate("H56.05", ec.generate_private_key(ec.SECP256R1()), not_before=AT - DAY)
    )
    return of.trust()


def _successor_too_early(of: Province) -> Trust:
    of.register("H56.05", not_before=AT + HOUR)
    return of.trust()


def _other_root(of: Province) -> Trust:
    return Trust((Province(ca_name="CA khác (ví dụ)").ca,), (), of.trust().signers)


def _same_name_other_key(of: Province) -> Trust:
    """An authority that has the same name as ours, and another key."""
    return Trust((Province(ca_name=of.ca_name).ca,), (), of.trust().signers)


def _leaf_as_issuer(of: Province) -> Trust:
    issuer = of.register("H56.900")
    of.certificates.pop("H56.05")
    of.register("H56.05", issuer="H56.900", issuer_key=issuer.key)
    return of.trust()


def _leaf_among_authorities(of: Province) -> Trust:
    """Somebody put an office's certificate into ca.pem."""
    trust = _leaf_as_issuer(of)
    return Trust((of.ca, of.certificates["H56.900"][0]), (), trust.signers)


def _authority_with(**extensions: tuple[Any, bool]) -> Callable[[Province], Trust]:
    """Our authority's certificate has other extensions."""

    def arrange(of: Province) -> Trust:
        odd = Province(ca_key=of.ca_key, ca_extensions=provinces.AUTHORITY_EXTENSIONS | extensions)
        return Trust((odd.ca,), (), of.trust().signers)

    return arrange


def _expired_authority(of: Province) -> Trust:
    short = Province(ca_key=of.ca_key, ca_lifetime=(AT - 1000 * DAY, AT - DAY))
    return Trust((short.ca,), (), of.trust().signers)


KEY_COMPROMISE = x509.ReasonFlags.key_compromise
UNKNOWN_CRITICAL = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
PATH = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)

CASES = (
    Case("K00", "all is well", None, lambda of: of.trust()),
    Case("K00", "all is well, with a fresh list", None, lambda of: _fresh(of, of.crl())),
    Case("K01", "no key is registered", "KEY.UNKNOWN_SIGNER", lambda of: Trust((of.ca,), (), {})),
    Case("K03", "expired when received", "KEY.EXPIRED", _office(not_after=AT - HOUR)),
    Case("K03", "expired later", None, _office(not_after=AT + HOUR)),
    Case("K04", "not yet valid", "KEY.NOT_YET_VALID", _office(not_before=AT + HOUR)),
    Case("K05", "revoked before", "KEY.REVOKED", _listed(AT - HOUR)),
    Case("K05", "superseded after", None, _listed(AT + HOUR, x509.ReasonFlags.superseded)),
    Case("K05", "key compromised after, unknown since when", None, _listed(AT + HOUR, KEY_COMPROMISE)),
    Case("K05", "key compromised since before", "KEY.REVOKED", _listed(AT + HOUR, KEY_COMPROMISE, AT - HOUR)),
    Case(
        "K05",
        "invalid since before for another reason",
        None,
        _listed(AT + HOUR, x509.ReasonFlags.superseded, AT - HOUR),
    ),
    Case(
        "K06",
        "on a list that is out of date",
        "KEY.REVOKED",
        _listed(AT - 9 * DAY, at=AT - 9 * DAY, until=AT - 2 * DAY),
    ),
    Case(
        "K06",
        "the list is out of date, and may be",
        None,
        lambda of: of.trust(of.crl(at=AT - 9 * DAY, until=AT - 2 * DAY)),
    ),
    Case(
        "K06",
        "the list is out of date, and may not be",
        "KEY.REVOCATION_UNKNOWN",
        lambda of: _fresh(of, of.crl(at=AT - 9 * DAY, until=AT - 2 * DAY)),
    ),
    Case(
        "K06",
        "an old list beside a fresh one",
        None,
        lambda of: _fresh(of, of.crl(at=AT - 9 * DAY, until=AT - 2 * DAY), of.crl(number=2)),
    ),
    Case("K06", "no list, and there must be", "KEY.REVOCATION_UNKNOWN", _fresh),
    Case(
        "K06",
        "a list signed by somebody else",
        "KEY.REVOCATION_UNKNOWN",
        lambda of: _fresh(of, of.crl(by=ec.generate_private_key(ec.SECP256R1()))),
    ),
    Case("K06", "a forged list revokes nothing", None, _listed(AT - HOUR, by=ec.generate_private_key(ec.SECP256R1()))),
    Case(
        "K06",
        "the list of another authority",
        "KEY.REVOCATION_UNKNOWN",
        lambda of: _fresh(of, Province(ca_name="CA khác (ví dụ)").crl()),
    ),
    Case("K07", "for web servers only", "KEY.USAGE", _office(purpose=PATH)),
    Case("K07", "for signing documents only", None, _office(purpose=(x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), True))),
    Case("K07", "without purposes", None, _office(purpose=None)),
    Case("K07", "without digitalSignature", "KEY.USAGE", _office(usage=(usage("key_encipherment"), True))),
    Case("K07", "without key usage", "KEY.USAGE", _office(usage=None)),
    Case(
        "K07",
        "an authority's certificate",
        "KEY.USAGE",
        _office(basic=(x509.BasicConstraints(ca=True, path_length=None), True)),
    ),
    Case("K08", "unknown critical extension", "KEY.CHAIN", _office(other=UNKNOWN_CRITICAL)),
    Case("K08", "another root", "KEY.CHAIN", _other_root),
    Case("K08", "a root of the same name", "KEY.CHAIN", _same_name_other_key),
    Case("K08", "no root at all", "KEY.CHAIN", lambda of: Trust((), (), of.trust().signers)),
    Case("K08", "issued by an office", "KEY.CHAIN", _leaf_as_issuer),
    Case("K08", "issued by an office that is in ca.pem", "KEY.CHAIN", _leaf_among_authorities),
    Case("K08", "the authority has expired", "KEY.CHAIN", _expired_authority),
    Case("K08", "the authority may not issue", "KEY.CHAIN", _authority_with(usage=(usage("digital_signature"), True))),
    Case(
        "K08",
        "the authority is none",
        "KEY.CHAIN",
        _authority_with(basic=(x509.BasicConstraints(ca=False, path_length=None), True)),
    ),
    Case("K09", "the old key after the change", "KEY.EXPIRED", _rotated),
    Case("K09", "the old key while both are valid", None, _overlapping),
    Case("K09", "the new key before its time", "KEY.NOT_YET_VALID", _successor_too_early),
    Case("S18", "RSA-1024", "KEY.WEAK", _office(key=provinces.rsa_key(1024))),
    Case("S18", "RSA-2048", None, _office(key=provinces.rsa_key())),
    Case("S19", "secp256k1", "KEY.WEAK", _office(key=ec.generate_private_key(ec.SECP256K1()))),
    Case("S19", "P-384", None, _office(key=ec.generate_private_key(ec.SECP384R1()))),
)


def _code(envelope: bytes, trust: Trust, at: datetime) -> str | None:
    try:
        verify(envelope, trust, at)
    except (Refusal, TransientError) as error:
        return error.code
    return None


@pytest.mark.parametrize("case", CASES, ids=[f"{case.id}-{case.what}" for case in CASES])
def test_certificate_is_judged(case: Case) -> None:
    of = province()
    trust = case.arrange(of)
    envelope = _sealed(of)
    assert _code(envelope, trust, case.at) == case.code
    assert _code(envelope, trust, case.at) == case.code, "and the same when asked again"


def _sealed(of: Province) -> bytes:
    certificates = of.certificates.get("H56.05", [])
    mine = [one for one in certificates if one.public_key() == of.keys["H56.05"].public_key()]
    signer = seal.SigningKey(of.keys["H56.05"], mine[0], fingerprint_of(mine[0]))
    return seal.seal(provinces.DOCUMENT.encode(), signer)


def test_time_decides_though_the_judgement_is_kept() -> None:
    of = province()
    trust = of.trust(of.crl(revoked(of.certificates["H56.05"][0], AT + HOUR)))
    envelope = sealed(of)
    answers = [_code(envelope, trust, at) for at in (AT, AT + 2 * HOUR, AT, AT + 200 * DAY, AT - 200 * DAY, AT)]
    assert answers == [None, "KEY.REVOKED", None, "KEY.EXPIRED", "KEY.NOT_YET_VALID", None]


def test_freshness_is_asked_at_each_time() -> None:
    of = province()
    trust = _fresh(of, of.crl(until=AT + DAY))
    envelope = sealed(of)
    assert [_code(envelope, trust, at) for at in (AT, AT + 2 * DAY)] == [None, "KEY.REVOCATION_UNKNOWN"]
