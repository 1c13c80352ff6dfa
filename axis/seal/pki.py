"""PKI: a small certificate authority for a province that runs its own.

It makes P-256 keys and certificates in the layout of the trust folder. A key
is written once, readable by its owner alone, and never overwritten; serials
are random; every list of revocations has a higher number than the one before.
What other authorities have issued lies in the same folder, and stays as it is:
their certificates they revoke themselves, and their lists are kept. An office
that makes its own key sends a certificate request, and its key never comes here.

Spec: RFC 5280 §4, §5; docs/protocol/keys.md.
Limits: one level, no OCSP, one operator at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from axis import private
from axis.edxml.values import ORGAN_ID
from axis.errors import PermanentError, Refusal
from axis.seal import folder as layout
from axis.seal.trust import DOCUMENT_SIGNING, PublicKey, is_list_of, require_strong

AUTHORITY_LIFETIME = timedelta(days=3650)
OFFICE_LIFETIME = timedelta(days=730)
CRL_LIFETIME = timedelta(days=7)

_BACKDATED = timedelta(minutes=5)  # A certificate is used at once, on machines whose clocks differ a little.
_MAX_NAME_CHARS = 64  # RFC 5280 appendix A.1, ub-organization-name.
_SERIALS_END = 1 << 159  # RFC 5280 §4.1.2.2: positive, and no longer than 20 octets.
_HASH = hashes.SHA256()

REASONS = {
    "unspecified": x509.ReasonFlags.unspecified,
    "key-compromise": x509.ReasonFlags.key_compromise,
    "affiliation-changed": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessation-of-operation": x509.ReasonFlags.cessation_of_operation,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A new certificate and where it lies."""

    certificate: x509.Certificate
    certificate_path: Path
    key_path: Path | None  # None: the office keeps its key.


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """Certificates that were revoked now, by their serial numbers."""

    serials: tuple[int, ...]
    left: tuple[int, ...]  # Of the same office, and issued by other authorities: only these can revoke them.


def init(folder: Path, *, name: str, now: datetime, lifetime: timedelta = AUTHORITY_LIFETIME) -> x509.Certificate:
    """Make a new authority in a folder, with an empty revocation list.

    Raises:
        PermanentError: CFG.INVALID; there is one already, or the folder cannot be written.
    """
    if (folder / layout.AUTHORITIES).exists():
        raise PermanentError("CFG.INVALID", f"{folder / layout.AUTHORITIES} exists already")
    _make_folders(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name, name)
    certificate = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=subject, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, _HASH)
    )
    _write_key(folder / layout.AUTHORITY_KEY, key)
    _replace(folder / layout.AUTHORITIES, certificate.public_bytes(Encoding.PEM))
    renew_crl(folder, now=now)
    return certificate


def issue(
    folder: Path,
    organ_id: str,
    *,
    name: str,
    now: datetime,
    lifetime: timedelta = OFFICE_LIFETIME,
    request: bytes | None = None,
    key_path: Path | None = None,
) -> Issued:
    """Issue a certificate to an office and put it before its earlier ones.

    Args:
        folder: The authority's.
        organ_id: The office's identifier; becomes the common name.
        name: The office's name.
        now: The present time.
        lifetime: How long it is valid; it ends with the authority at the latest.
        request: A PEM certificate request, for an office that has its own key; only its key is used.
        key_path: Where to write the new key, if not at its place in the folder.

    Raises:
        PermanentError: CFG.INVALID; e.g. the key exists already.
    """
    if ORGAN_ID.fullmatch(organ_id) is None:
        raise PermanentError("CFG.INVALID", f"not an OrganId: {organ_id[:40]}")
    authority, authority_key = _authority(folder)
    made = None if request is not None else ec.generate_private_key(ec.SECP256R1())
    public = _requested_key(request or b"") if made is None else made.public_key()
    where = None
    if made is not None:
        where = key_path or folder / layout.KEYS / f"{organ_id}.key.pem"
        _write_key(where, made)
    certificate = (
        x509.CertificateBuilder(subject_name=_name(organ_id, name), issuer_name=authority.subject, public_key=public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - _BACKDATED, authority.not_valid_before_utc))
        .not_valid_after(min(now + lifetime, authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([DOCUMENT_SIGNING, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, _HASH)
    )
    path = folder / layout.CERTIFICATES / f"{organ_id}.pem"
    earlier = path.read_bytes() if path.exists() else b""
    _replace(path, certificate.public_bytes(Encoding.PEM) + earlier)
    return Issued(certificate=certificate, certificate_path=path, key_path=where)


def revoke(
    folder: Path,
    which: str,
    *,
    now: datetime,
    reason: x509.ReasonFlags = x509.ReasonFlags.unspecified,
    invalid_from: datetime | None = None,
    unknown_serial: bool = False,
) -> Revoked:
    """Revoke certificates and write a new list.

    Args:
        folder: The authority's.
        which: An OrganId, for all certificates of that office; or one serial number in hex.
        now: The present time, from which on they are not believed.
        reason: Why.
        invalid_from: For a compromised key: since when others may have used it.
        unknown_serial: `which` is the serial number of a certificate that is in the folder no more.

    Raises:
        PermanentError: CFG.INVALID; this authority has issued no such certificate, or all of them are revoked already.
    """
    authority, _ = _authority(folder)
    ours, _ = _lists(folder, authority)
    known = {entry.serial_number for entry in _entries(ours)}
    named = Revoked(serials=(_serial(which),), left=()) if unknown_serial else _named(folder, which, authority)
    serials = tuple(serial for serial in named.serials if serial not in known)
    if not serials:
        raise PermanentError("CFG.INVALID", f"revoked already: {which[:60]}")
    entries = [_entry(serial, now, reason, invalid_from) for serial in serials]
    _write_crl(folder, entries, now=now, lifetime=CRL_LIFETIME)
    return replace(named, serials=serials)


def renew_crl(folder: Path, *, now: datetime, lifetime: timedelta = CRL_LIFETIME) -> x509.CertificateRevocationList:
    """Write a new revocation list with the same entries.

    Raises:
        PermanentError: CFG.INVALID
    """
    return _write_crl(folder, (), now=now, lifetime=lifetime)


def _write_crl(
    folder: Path, more: Iterable[x509.RevokedCertificate], *, now: datetime, lifetime: timedelta
) -> x509.CertificateRevocationList:
    """Write a new list of our own, with what it had and more, in front of those of other authorities."""
    authority, key = _authority(folder)
    ours, others = _lists(folder, authority)
    last = max(map(_number, ours), default=0)
    builder = (
        x509.CertificateRevocationListBuilder(authority.subject, now, now + lifetime)
        .add_extension(x509.CRLNumber(last + 1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    for entry in (*_entries(ours), *more):
        builder = builder.add_revoked_certificate(entry)
    crl = builder.sign(key, _HASH)
    _replace(folder / layout.REVOCATIONS, b"".join(one.public_bytes(Encoding.PEM) for one in (crl, *others)))
    return crl


def _entry(
    serial: int, at: datetime, reason: x509.ReasonFlags, invalid_from: datetime | None
) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(serial, at)
    if reason is not x509.ReasonFlags.unspecified:  # RFC 5280 §5.3.1: left out rather than said.
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    if invalid_from is not None:
        builder = builder.add_extension(x509.InvalidityDate(invalid_from.replace(tzinfo=None)), critical=False)
    return builder.build()


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    path = folder / layout.AUTHORITY_KEY
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise PermanentError("CFG.INVALID", f"{path}: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PermanentError("CFG.INVALID", f"{path}: not an EC key")
    authorities, _ = layout.load_authorities(folder)
    for authority in authorities:
        if authority.public_key() == key.public_key():
            return authority, key
    raise PermanentError("CFG.INVALID", f"{path} belongs to no certificate in {layout.AUTHORITIES}")


def _requested_key(request: bytes) -> PublicKey:
    """Return the public key of a certificate request whose sender holds the private one."""
    try:
        csr = x509.load_pem_x509_csr(request)
        key = csr.public_key()
        if not csr.is_signature_valid:
            raise PermanentError("CFG.INVALID", "the request is not signed with its own key")
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PermanentError("CFG.INVALID", f"not a certificate request: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise PermanentError("CFG.INVALID", "not P-256, P-384 or RSA")
    try:
        require_strong(key)
    except Refusal as error:
        raise PermanentError("CFG.INVALID", error.violations[0].en) from error
    return key


def _named(folder: Path, which: str, authority: x509.Certificate) -> Revoked:
    """Return the certificates that are meant, by an OrganId or a serial number; a slip of the pen is neither."""
    certificates = folder / layout.CERTIFICATES
    path = certificates / f"{which}.pem"
    if ORGAN_ID.fullmatch(which) is not None and path.exists():
        ours, others = _split(layout.load_certificates(path), authority)
        if not ours:
            raise PermanentError("CFG.INVALID", f"the certificates of {which} were issued by another authority")
        return Revoked(serials=ours, left=others)
    serial = _serial(which)
    for path in sorted(certificates.glob("*.pem")):
        ours, _ = _split(layout.load_certificates(path), authority)
        if serial in ours:
            return Revoked(serials=(serial,), left=())
    raise PermanentError(
        "CFG.INVALID",
        f"{which[:60]} is no office and no serial number of a certificate in {certificates} that this authority has issued;"
        " one whose file is gone is revoked with --unknown-serial",
    )


def _serial(which: str) -> int:
    try:
        serial = int(which.replace(":", ""), 16)
    except ValueError as error:
        raise PermanentError("CFG.INVALID", f"no certificate of {which[:40]}") from error
    if not 0 < serial < _SERIALS_END:
        raise PermanentError("CFG.INVALID", f"no serial number: {which[:60]}")
    return serial


def _split(found: Iterable[x509.Certificate], authority: x509.Certificate) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the serial numbers of what this authority has issued, and of what others have."""
    ours, others = list[int](), list[int]()
    for one in found:
        try:
            one.verify_directly_issued_by(authority)
        except (InvalidSignature, ValueError, TypeError):
            others.append(one.serial_number)
        else:
            ours.append(one.serial_number)
    return tuple(ours), tuple(others)


def _lists(
    folder: Path, authority: x509.Certificate
) -> tuple[list[x509.CertificateRevocationList], list[x509.CertificateRevocationList]]:
    """Return the revocation lists of this authority, and those of others."""
    found = layout.load_crls(folder / layout.REVOCATIONS)
    ours = [crl for crl in found if is_list_of(crl, authority)]
    return ours, [crl for crl in found if crl not in ours]


def _entries(lists: Iterable[x509.CertificateRevocationList]) -> list[x509.RevokedCertificate]:
    return [entry for crl in lists for entry in crl]


def _number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def _name(common: str, organization: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization[:_MAX_NAME_CHARS]),
            x509.NameAttribute(NameOID.COMMON_NAME, common[:_MAX_NAME_CHARS]),
        ]
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    """Return the key usage of an authority, or of an office."""
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=not certificates,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _make_folders(folder: Path) -> None:
    try:
        (folder / layout.CERTIFICATES).mkdir(parents=True, exist_ok=True)
        (folder / layout.KEYS).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise PermanentError("CFG.INVALID", f"{folder}: {error}") from error


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write a private key for its owner alone; there must not be one yet."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        private.write_secret(path, pem, replace=False)
    except FileExistsError as error:
        raise PermanentError("CFG.INVALID", f"{path} exists already; a key is never overwritten") from error
    except OSError as error:
        raise PermanentError("CFG.INVALID", f"{path}: {error}") from error


def _replace(path: Path, pem: bytes) -> None:
    """Write a public file in one step, so that nobody reads half of it."""
    try:
        private.write_public(path, pem)
    except OSError as error:
        raise PermanentError("CFG.INVALID", f"{path}: {error}") from error
