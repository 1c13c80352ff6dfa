"""Verification: Received becomes Verified, or is refused.

Order: the shape of the seal, the key registered for the claimed originator,
the signature, the certificate, the digests. Only then is the message read, and
it is read from the bytes that were digested. Verification raises; it never
returns a bool.

Spec: docs/protocol/envelope.md (the axis profile), docs/protocol/keys.md.
"""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from axis import edxml
from axis.edxml import Message, Received
from axis.errors import Refusal, refuse
from axis.seal import profile
from axis.seal.profile import DSIG, Method, Seal
from axis.seal.trust import Signer, Trust, day

_ECDSA = ec.ECDSA(hashes.SHA256())
_HEADER = "/edXML:edXML/edXML:edXMLEnvelope/edXML:edXMLHeader/edXML:MessageHeader"


@dataclass(frozen=True, slots=True)
class Opened:
    """The signed parts of a message whose seal holds."""

    parts: Mapping[str, bytes]  # Canonical bytes by Id, in the order of the profile.
    signer: Signer
    good_until: datetime  # The certificate.
    digest: str


@dataclass(frozen=True, slots=True)
class Verified:
    """An envelope whose seal holds: what its originator says, in the originator's own bytes."""

    received: Received
    parts: Mapping[str, bytes]
    message: Message  # Read from `parts`.
    signer: str  # Fingerprint of the certificate,
    good_until: datetime  # which ends then.
    digest: str  # SHA-256 over `parts`: THE digest of the envelope, in receipts and for knowing it again.

    @property
    def by_originator(self) -> bool:
        """Whether the originator itself has sealed it. If not, a notary says what came in; nobody says who wrote it."""
        return self.received.notary is None


def verify(received: Received, trust: Trust, *, at: datetime, notary: str | None = None) -> Verified:
    """Check the seal of an envelope and read what was signed.

    Args:
        received: As parsed, under caps.
        trust: Whose certificates are believed.
        at: When the axis received it; certificates are judged at that time.
        notary: OrganId of the axis, the only one that may seal in another's place; None: nobody may.

    Raises:
        Refusal: SIG.* or KEY.*; ENV.SCHEMA or RULE.DATE if what is signed cannot be read as a message.
        TransientError: KEY.REVOCATION_UNKNOWN
    """
    return _as_formed(received, trust, at) or _as_it_is(received, trust, at, notary)


def _as_formed(received: Received, trust: Trust, at: datetime) -> Verified | None:
    """Verify a document in the usual form; None where its seal does not hold: what is wrong is for the other way to say.

    Raises:
        Refusal: KEY.*
        TransientError: KEY.REVOCATION_UNKNOWN
    """
    formed = received.formed
    if formed is None:
        return None
    digests = [(name, sha256(octets).digest()) for name, octets in formed.parts.items()]
    seal = profile.as_written(formed.seal, digests)
    signer = None if seal is None else signer_of(received.originator, *seal, trust)
    if signer is None:
        return None
    good_until = trust.require(signer, at=at)
    digest = profile.digest_of(formed.parts)
    return Verified(received, formed.parts, formed.document, signer.fingerprint, good_until, digest)


def _as_it_is(received: Received, trust: Trust, at: datetime, notary: str | None) -> Verified:
    parts = {name: received.part(name) for name in edxml.PARTS[received.kind]}
    mark = received.notary
    if mark is not None and mark.organ_id != notary:
        raise refuse("SIG.NOTARY", mark.organ_id, path=_HEADER, rule="seal:notary")
    claimed = received.originator if mark is None else mark.organ_id
    opened = open_seal(received.root, received.header, parts, claimed=claimed, trust=trust, at=at)
    message = _read(received, opened.parts)
    if message.originator.organ_id != received.originator:
        raise refuse("KEY.WRONG_SIGNER", received.originator)
    return Verified(received, opened.parts, message, opened.signer.fingerprint, opened.good_until, opened.digest)


def open_seal(
    root: etree._Element,
    holder: etree._Element | None,
    parts: Mapping[str, etree._Element | None],
    *,
    claimed: str,
    trust: Trust,
    at: datetime,
    made_at: datetime | None = None,
) -> Opened:
    """Check a seal of the closed profile and return what it covers.

    Args:
        root: The message, parsed under caps, without comments, with unique Ids.
        holder: The element whose last child the Signature must be.
        parts: The elements that must be signed, by Id, in the order of the References.
        claimed: OrganId of the office that the message says it is from.
        trust: Whose certificates are believed.
        at: The time at which certificates are judged.
        made_at: When the seal was made, if it says so: see `Trust.require`.

    Raises:
        Refusal: SIG.* or KEY.*
        TransientError: KEY.REVOCATION_UNKNOWN
    """
    seal = profile.read_seal(root, holder, parts)
    signer = _signer(seal, claimed, trust)
    good_until = trust.require(signer, at=at, made_at=made_at)
    opened = profile.open_parts(seal, {name: part for name, part in parts.items() if part is not None})
    return Opened(opened, signer, good_until, profile.digest_of(opened))


def require_still_good(verified: Verified, at: datetime) -> None:
    """Refuse an envelope whose certificate has ended since it was verified.

    Raises:
        Refusal: KEY.EXPIRED
    """
    if at > verified.good_until:
        raise refuse("KEY.EXPIRED", day(verified.good_until))


def _signer(seal: Seal, claimed: str, trust: Trust) -> Signer:
    """Return the registered certificate of the claimed originator whose key made the signature."""
    if not trust.signers_of(claimed):
        raise refuse("KEY.UNKNOWN_SIGNER", claimed[:80])
    signer = signer_of(claimed, seal.method, seal.signed_info, seal.value, trust)
    if signer is not None:
        return signer
    # It is refused either way; KeyInfo only helps to say why, and only where it names a key that we know.
    shown = _shown_fingerprint(seal)
    owner = None if shown is None else trust.owner_of(shown)
    if owner is not None and claimed not in _names_of(owner, trust):
        raise refuse("KEY.WRONG_SIGNER", f"{owner} ≠ {claimed[:80]}")
    raise refuse("SIG.VALUE", line=profile.line_of(seal.signature), path="//ds:SignatureValue")


def signer_of(claimed: str, method: Method, signed_info: bytes, value: bytes, trust: Trust) -> Signer | None:
    """Return the registered certificate of an office whose key made this signature; None if none did.

    Whether that certificate is good is for `Trust.require` to say.
    """
    return next((one for one in trust.signers_of(claimed) if _made_by(one, method, signed_info, value)), None)


def _made_by(signer: Signer, method: Method, signed_info: bytes, value: bytes) -> bool:
    """Whether this key made the signature; the algorithm must be the one that goes with the key."""
    key = signer.key
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and method is Method.ECDSA:
            key.verify(_der(value, key), signed_info, _ECDSA)
            return True
        if isinstance(key, rsa.RSAPublicKey) and method is Method.RSA:
            key.verify(value, signed_info, padding.PKCS1v15(), hashes.SHA256())
            return True
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, OverflowError):
        return False
    return False


def _der(value: bytes, key: ec.EllipticCurvePublicKey) -> bytes:
    """Return an XMLDSig ECDSA value as DER.

    Raises:
        ValueError: It is not r and s at the full width of the field.
    """
    width = (key.curve.key_size + 7) // 8
    if len(value) != 2 * width:
        raise ValueError("length")
    return encode_dss_signature(int.from_bytes(value[:width], "big"), int.from_bytes(value[width:], "big"))


def _shown_fingerprint(seal: Seal) -> str | None:
    shown = seal.signature.findtext(f"{{{DSIG}}}KeyInfo/{{{DSIG}}}X509Data/{{{DSIG}}}X509Certificate")
    try:
        return None if shown is None else sha256(b64decode("".join(shown.split()))).hexdigest()
    except ValueError:
        return None


def _names_of(organ_id: str, trust: Trust) -> set[str]:
    """Return every form under which the certificates of an office are registered."""
    own = set(trust.signers[organ_id])
    return {name for name, certificates in trust.signers.items() if own & set(certificates)}


def _read(received: Received, parts: Mapping[str, bytes]) -> Message:
    try:
        return edxml.read(received.kind, parts)
    except (Refusal, ValueError, LookupError) as error:
        # The schema says it better, and says everything at once.
        edxml.gate(received)
        if isinstance(error, Refusal):
            raise
        raise refuse("ENV.SCHEMA", "a value cannot be read", detail_vi="có giá trị không đọc được") from error


def digest_of(received: Received) -> str:
    """Return the digest under which an envelope will be known, without believing it.

    An originator knows its own envelope in receipts by this.

    Raises:
        Refusal: SIG.REFERENCE, SIG.C14N
    """
    if received.formed is not None:
        return profile.digest_of(received.formed.parts)
    parts = {}
    for name in edxml.PARTS[received.kind]:
        part = received.part(name)
        if part is None:
            raise refuse("SIG.REFERENCE", f"#{name}")
        parts[name] = profile.canonical(part)
    return profile.digest_of(parts)
