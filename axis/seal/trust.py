"""Trust: whose certificates are believed, for whom, and at what time.

The key that must have made a seal is the one registered for the office that
the message claims to come from. A certificate in the message chooses nothing.
On top of that pin, the certificate must be good: strong enough, meant for
signing, issued by the province's CA, valid at the time, not revoked.

"Could not check" is transient, "checked and bad" is permanent: a revocation
list that is out of date is still believed about what it revokes, and only a
trust that requires a fresh one puts messages off.

Spec: RFC 5280 §6; docs/protocol/keys.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from axis.errors import PermanentError, TransientError, refuse

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

MIN_RSA_BITS = 2048
CURVES = ("secp256r1", "secp384r1")

# What cryptography raises for parts of a certificate or list that it cannot make sense of.
_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)

DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336.
# An office's certificate may serve its connections too; one for web servers alone may not sign.
_PURPOSES = {
    DOCUMENT_SIGNING,
    ExtendedKeyUsageOID.CLIENT_AUTH,
    ExtendedKeyUsageOID.EMAIL_PROTECTION,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
}


@dataclass(frozen=True, slots=True)
class Signer:
    """One registered certificate, with what is costly to take out of it."""

    certificate: x509.Certificate
    key: PublicKey | None  # None: of a kind that the profile does not have.
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """What was found about a certificate that is good, and between which times it holds."""

    good_from: datetime
    good_until: datetime
    revoked_at: datetime | None
    revocation_known_until: datetime | None  # nextUpdate of the newest list of its issuer.


@dataclass(frozen=True, slots=True)
class Trust:
    """The authorities, their revocation lists and the registered signers; a value that is replaced, not changed."""

    authorities: tuple[x509.Certificate, ...]  # Each is an anchor; an office's certificate is issued by one directly.
    crls: tuple[x509.CertificateRevocationList, ...]
    signers: Mapping[str, tuple[x509.Certificate, ...]]  # By every form of OrganId.
    require_fresh_crl: bool = False
    _signers: dict[str, tuple[Signer, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _standings: dict[str, _Standing] = field(default_factory=dict, init=False, repr=False, compare=False)

    def signers_of(self, organ_id: str) -> tuple[Signer, ...]:
        """Return the registered certificates of an office, newest first; () if it has none."""
        known = self._signers.get(organ_id)
        if known is None:
            certificates = self.signers.get(organ_id, ())
            newest_first = sorted(certificates, key=lambda one: one.not_valid_before_utc, reverse=True)
            known = tuple(map(signer_of, newest_first))
            if known:  # Names that nobody has are not kept: they come from outside.
                self._signers[organ_id] = known
        return known

    def owner_of(self, fingerprint: str) -> str | None:
        """Return an office for which this certificate is registered."""
        for organ_id in self.signers:
            if any(signer.fingerprint == fingerprint for signer in self.signers_of(organ_id)):
                return organ_id
        return None

    def require(self, signer: Signer, *, at: datetime, made_at: datetime | None = None) -> datetime:
        """Refuse a certificate that was not good at that time; return until when it is.

        Args:
            signer: Whose.
            at: Now.
            made_at: When the seal says that it was made, if it says so and can be right: a certificate that has ended
                since is believed about it. One that has been revoked by now is not.

        Raises:
            Refusal: KEY.*
            TransientError: KEY.REVOCATION_UNKNOWN, if a fresh list is required and there is none.
        """
        has_ended = signer.certificate.not_valid_after_utc < at
        valid_at = made_at if made_at is not None and has_ended else at
        standing = self._standings.get(signer.fingerprint)
        if standing is None or not standing.good_from <= valid_at <= standing.good_until:
            standing = self._examine(signer, valid_at)
            self._standings[signer.fingerprint] = standing
        if standing.revoked_at is not None and standing.revoked_at <= at:
            raise refuse("KEY.REVOKED", day(standing.revoked_at))
        if self.require_fresh_crl:
            until = standing.revocation_known_until
            if until is None or until < at:
                raise TransientError("KEY.REVOCATION_UNKNOWN", "CRL" if until is None else f"CRL {day(until)}")
        return standing.good_until

    def _examine(self, signer: Signer, at: datetime) -> _Standing:
        certificate = signer.certificate
        require_strength(certificate)
        _require_validity(certificate, at)
        _require_usage(certificate)
        issuer = self._issuer(certificate, at)
        lists = [crl for crl in self.crls if is_list_of(crl, issuer)]
        revocations = [found for crl in lists if (found := _revoked_at(crl, certificate)) is not None]
        return _Standing(
            good_from=max(certificate.not_valid_before_utc, issuer.not_valid_before_utc),
            good_until=min(certificate.not_valid_after_utc, issuer.not_valid_after_utc),
            revoked_at=min(revocations, default=None),
            revocation_known_until=max(
                (crl.next_update_utc for crl in lists if crl.next_update_utc is not None), default=None
            ),
        )

    def _issuer(self, certificate: x509.Certificate, at: datetime) -> x509.Certificate:
        """Return the authority that issued a certificate, after checking that it did."""
        if not self.authorities:
            raise refuse("KEY.CHAIN", _subject(certificate))
        verifier = (
            PolicyBuilder()
            .store(Store(list(self.authorities)))
            .time(at)
            .max_chain_depth(0)
            .extension_policies(ca_policy=_AUTHORITY, ee_policy=ExtensionPolicy.permit_all())
            .build_client_verifier()
        )
        try:
            return verifier.verify(certificate, []).chain[-1]
        except (VerificationError, *_UNREADABLE) as error:
            raise refuse("KEY.CHAIN", _subject(certificate)) from error


def fingerprint_of(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate, in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def common_name(certificate: x509.Certificate) -> str:
    """Return whom a certificate names, the OrganId of an office; "" if nobody."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def require_strength(certificate: x509.Certificate) -> PublicKey:
    """Return the key of a certificate, if the profile can use it and it is strong enough.

    Raises:
        Refusal: KEY.WEAK
    """
    key = _public_key(certificate)
    if key is None:
        raise refuse("KEY.WEAK", "not P-256, P-384 or RSA")
    require_strong(key)
    return key


def require_strong(key: PublicKey) -> None:
    """Refuse a key below the profile's strength.

    Raises:
        Refusal: KEY.WEAK
    """
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in CURVES:
            raise refuse("KEY.WEAK", key.curve.name)
    elif key.key_size < MIN_RSA_BITS:
        raise refuse("KEY.WEAK", f"RSA {key.key_size} bit")


def days_left(certificates: Iterable[str], now: datetime) -> float:
    """Return for how many days an office can still sign: until the last of its PEM certificates ends.

    Raises:
        PermanentError: CFG.INVALID; one of them is no certificate.
    """
    try:
        ends = [
            one.not_valid_after_utc for pem in certificates for one in x509.load_pem_x509_certificates(pem.encode())
        ]
    except ValueError as error:
        raise PermanentError("CFG.INVALID", "certificate") from error
    return max((end - now).total_seconds() for end in ends) / 86_400 if ends else 0.0


def signer_of(certificate: x509.Certificate) -> Signer:
    """Return a certificate with what is costly to take out of it."""
    return Signer(certificate, _public_key(certificate), fingerprint_of(certificate))


def is_list_of(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    """Tell whether a revocation list is a full one, by this issuer, with a good signature."""
    if crl.issuer != issuer.subject:
        return False
    try:
        # RFC 5280 §5.2: a list with a critical extension that is not understood must not be used.
        if any(extension.critical for extension in crl.extensions):
            return False
        return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except (*_UNREADABLE, TypeError):
        return False


def _public_key(certificate: x509.Certificate) -> PublicKey | None:
    try:
        key = certificate.public_key()
    except _UNREADABLE:
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) else None


def _require_validity(certificate: x509.Certificate, at: datetime) -> None:
    if at < certificate.not_valid_before_utc:
        raise refuse("KEY.NOT_YET_VALID", day(certificate.not_valid_before_utc))
    if at > certificate.not_valid_after_utc:
        raise refuse("KEY.EXPIRED", day(certificate.not_valid_after_utc))


def _require_usage(certificate: x509.Certificate) -> None:
    """Check that the certificate says it may sign documents, and is nobody's authority."""
    try:
        extensions = certificate.extensions
    except _UNREADABLE as error:
        raise refuse("KEY.CHAIN", "extensions") from error
    found = {type(extension.value): extension.value for extension in extensions}
    basic = found.get(x509.BasicConstraints)
    if isinstance(basic, x509.BasicConstraints) and basic.ca:
        raise refuse("KEY.USAGE", "CA")
    usage = found.get(x509.KeyUsage)
    if not isinstance(usage, x509.KeyUsage) or not usage.digital_signature:
        raise refuse("KEY.USAGE", "digitalSignature")
    purposes = found.get(x509.ExtendedKeyUsage)
    if isinstance(purposes, x509.ExtendedKeyUsage) and _PURPOSES.isdisjoint(purposes):
        raise refuse("KEY.USAGE", "extendedKeyUsage")


def _require_ca(_policy: Policy, _certificate: x509.Certificate, basic: x509.BasicConstraints) -> None:
    if not basic.ca:
        raise ValueError("not a CA")


def _require_cert_sign(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage) -> None:
    if not usage.key_cert_sign:
        raise ValueError("keyCertSign")


_AUTHORITY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _require_ca)
    .require_present(x509.KeyUsage, Criticality.AGNOSTIC, _require_cert_sign)
)


def _revoked_at(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> datetime | None:
    """Return since when a list does not believe a certificate.

    What was sealed before a revocation stays good, but for a compromised key, which may have
    been used by others since its invalidity date.
    """
    entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
    if entry is None:
        return None
    try:
        values = {type(extension.value): extension.value for extension in entry.extensions}
    except _UNREADABLE:
        return certificate.not_valid_before_utc  # An entry that cannot be read revokes from the beginning.
    reason, invalid = values.get(x509.CRLReason), values.get(x509.InvalidityDate)
    if (
        isinstance(reason, x509.CRLReason)
        and reason.reason is x509.ReasonFlags.key_compromise
        and isinstance(invalid, x509.InvalidityDate)
    ):
        return min(entry.revocation_date_utc, invalid.invalidity_date_utc)
    return entry.revocation_date_utc


def day(moment: datetime) -> str:
    """Return how the end of a certificate is told."""
    return f"{moment:%Y-%m-%d %H:%M}Z"


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()[:120]
