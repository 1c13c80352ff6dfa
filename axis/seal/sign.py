"""Signing: an envelope and an office's key become a sealed envelope.

`seal_message` writes a message and seals it. `seal` leaves one that was written
elsewhere as it is, byte for byte: it adds the three Ids where they are missing,
and the Signature before the end of edXMLHeader. Attachments that are still
inline stay where they are; the seal covers them by the digests in the manifest.

The profile allows one shape, so the Signature is written down, not built: it is
already in its canonical form when it is signed. Tests hold it against signxml
and xmlsec1; a library that builds trees takes ten times as long.

Spec: W3C XMLDSig 1.1; docs/protocol/envelope.md.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Self
from xml.parsers import expat

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from lxml import etree

from axis import edxml
from axis.edxml import limits
from axis.edxml.values import EDXML
from axis.errors import PermanentError, Refusal, TransientError, refuse
from axis.seal.profile import DSIG, Method, canonical, digest_of, signed_info
from axis.seal.trust import fingerprint_of, require_strong

_ECDSA = ec.ECDSA(hashes.SHA256())
_END_OF_HEADER = b"</edXML:edXMLHeader>"

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key of an office, and the certificate that says so."""

    key: PrivateKey
    certificate: x509.Certificate
    fingerprint: str
    shown: bytes = field(init=False, repr=False)  # The certificate as KeyInfo carries it, in base64.

    def __post_init__(self) -> None:
        object.__setattr__(self, "shown", b64encode(self.certificate.public_bytes(Encoding.DER)))

    @classmethod
    def load(cls, key_path: Path, certificate_path: Path) -> Self:
        """Read a key and the certificate that belongs to it, both PEM.

        Args:
            key_path: A private key without a passphrase.
            certificate_path: One certificate, or several, e.g. of a key and its successor.

        Raises:
            PermanentError: CFG.INVALID; a file cannot be used, or the two do not belong together.
        """
        try:
            key = load_pem_private_key(key_path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise PermanentError("CFG.INVALID", f"{key_path}: {error}") from error
        try:
            certificates = x509.load_pem_x509_certificates(certificate_path.read_bytes())
        except (OSError, ValueError) as error:
            raise PermanentError("CFG.INVALID", f"{certificate_path}: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise PermanentError("CFG.INVALID", f"{key_path}: not P-256, P-384 or RSA")
        for certificate in certificates:
            if certificate.public_key() == key.public_key():
                return cls.of(key, certificate)
        raise PermanentError("CFG.INVALID", f"{certificate_path} is not the certificate of {key_path}")

    @classmethod
    def of(cls, key: PrivateKey, certificate: x509.Certificate) -> Self:
        """Put a key and its certificate together.

        Raises:
            PermanentError: CFG.INVALID; the key is below the profile's strength.
        """
        try:
            require_strong(key.public_key())
        except Refusal as error:
            raise PermanentError("CFG.INVALID", error.violations[0].en) from error
        return cls(key, certificate, fingerprint_of(certificate))

    @property
    def method(self) -> Method:
        """The signature algorithm that goes with the key."""
        return Method.ECDSA if isinstance(self.key, ec.EllipticCurvePrivateKey) else Method.RSA

    def require(self, at: datetime) -> None:
        """Make sure that what is signed now will be believed: what was signed with an ended certificate cannot be unsaid.

        Raises:
            TransientError: SYS.KEY; there may be a new certificate soon, or the clock is wrong.
        """
        begin, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        if not begin <= at <= end:
            raise TransientError("SYS.KEY", f"{begin:%Y-%m-%d %H:%M}Z - {end:%Y-%m-%d %H:%M}Z")

    def sign(self, octets: bytes) -> bytes:
        """Return the signature over octets in the form that XMLDSig has for it."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(octets, padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self.key.sign(octets, _ECDSA))
        # XMLDSig 1.1 §6.4.3: r and s at the full width of the field, one after the other; not DER.
        width = (self.key.curve.key_size + 7) // 8
        return r.to_bytes(width, "big") + s.to_bytes(width, "big")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message that has just been sealed."""

    octets: bytes
    digest: str  # Of the signed parts: how receipts name it.


def seal_message(message: edxml.Message, signer: SigningKey, notary: edxml.Notary | None = None) -> Sealed:
    """Write and seal a message.

    Args:
        message: What it says.
        signer: The originator's key, or the notary's.
        notary: Who seals it, where that is not its originator.

    Raises:
        Refusal: ENV.NOT_WELL_FORMED, ENV.TOO_LARGE, ENV.TOO_COMPLEX; it cannot be written as a message that is taken.
    """
    written = edxml.write(message, notary)
    end = written.octets.rindex(_END_OF_HEADER)  # The tag alone is written so: in a text it would be `&lt;`.
    sealed = written.octets[:end] + _over(written.parts, signer) + written.octets[end:]
    if sealed.count(b"<") - sealed.count(b"</") - 1 > limits.MAX_ELEMENTS:  # One is the declaration.
        raise refuse("ENV.TOO_COMPLEX", f"more than {limits.MAX_ELEMENTS} elements")
    if len(sealed) > limits.MAX_ENVELOPE_BYTES:
        raise refuse("ENV.TOO_LARGE", f"{len(sealed)} > {limits.MAX_ENVELOPE_BYTES} bytes")
    return Sealed(sealed, digest_of(written.parts))


def seal(unsealed: bytes, signer: SigningKey) -> bytes:
    """Seal an edXML document or status, and leave it as it is.

    Args:
        unsealed: The message; with or without Ids, with or without inline attachments.
        signer: The originator's key.

    Raises:
        Refusal: ENV.* if it is not an edXML message, SIG.POSITION if it is sealed already.
    """
    places = _places(unsealed)
    if places.seal is None:
        raise refuse("ENV.WRONG_ROOT", "edXMLEnvelope/edXMLHeader")
    named = _edited(unsealed, places.names)
    # Attachments may be far beyond the caps of an envelope; nothing that is signed stands in them.
    received = edxml.parse(_edited(unsealed, [*places.names, *places.attachments]) if places.attachments else named)
    if next(received.root.iter(f"{{{DSIG}}}Signature"), None) is not None:
        raise refuse("SIG.POSITION", "the message is sealed already", detail_vi="gói tin đã được ký")
    made = _over(_canonical_parts({name: received.part(name) for name in edxml.PARTS[received.kind]}), signer)
    end = places.seal + sum(len(new) - (stop - start) for start, stop, new in places.names if start < places.seal)
    return named[:end] + made + named[end:]


def _canonical_parts(parts: Mapping[str, etree._Element | None]) -> dict[str, bytes]:
    octets = {}
    for name, part in parts.items():
        if part is None or part.get("Id") != name:
            raise refuse("SIG.REFERENCE", f"#{name}")
        octets[name] = canonical(part)
    return octets


def _over(parts: Mapping[str, bytes], signer: SigningKey) -> bytes:
    return signature([(name, sha256(octets).digest()) for name, octets in parts.items()], signer)


def signature(digests: Sequence[tuple[str, bytes]], signer: SigningKey) -> bytes:
    """Return a Signature of the profile over parts whose canonical form is known.

    Args:
        digests: Id and SHA-256 of the canonical form of each part, in order.
        signer: The issuer's key.
    """
    octets, written = signed_info(digests, signer.method)
    return b"".join(
        (
            f'<ds:Signature xmlns:ds="{DSIG}">'.encode(),
            written,
            b"<ds:SignatureValue>",
            b64encode(signer.sign(octets)),
            b"</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>",
            signer.shown,
            b"</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>",
        )
    )


_Edit = tuple[int, int, bytes]  # From, to, instead.


def _place(*names: str) -> tuple[str, ...]:
    """Return a path as expat names its elements."""
    return tuple(f"{EDXML} {name}" for name in names)


_HEADER = _place("edXML", "edXMLEnvelope", "edXMLHeader")
_ATTACHMENTS = _place("edXML", "AttachmentEncoded")
_PLACES = {  # Where the parts stand; `edxml.parse` has the last word on it.
    (*_HEADER, *_place("MessageHeader")): "header",
    (*_HEADER, *_place("TraceHeaderList", "Bussiness")): "business",
    _place("edXML", "edXMLEnvelope", "edXMLBody", "edXMLManifest"): "manifest",
}
_WATCHED = {place[-1] for place in (_HEADER, _ATTACHMENTS, *_PLACES)}  # Most elements have another name.


class _Places:
    """Byte positions of what sealing touches."""

    def __init__(self) -> None:
        self.names: list[_Edit] = []
        self.attachments: list[_Edit] = []
        self.seal: int | None = None


def _places(message: bytes) -> _Places:
    """Find by byte position: the parts without an Id, the end of edXMLHeader, inline attachments."""
    found = _Places()
    path: list[str] = []
    opened = 0
    parser = expat.ParserCreate(namespace_separator=" ")

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal opened
        path.append(name)
        if name not in _WATCHED:
            return
        here = tuple(path)
        if here == _ATTACHMENTS:
            opened = parser.CurrentByteIndex
        part = _PLACES.get(here)
        if part is not None and "Id" not in attributes:
            at = _after_name(message, parser.CurrentByteIndex)
            found.names.append((at, at, f' Id="{part}"'.encode()))

    def end(name: str) -> None:
        here = tuple(path) if name in _WATCHED else ()
        at = parser.CurrentByteIndex
        if here == _HEADER and message.startswith(b"</", at):
            found.seal = at
        elif here == _ATTACHMENTS:
            # An empty element ends where it starts; else the end is that of its end tag.
            found.attachments.append((opened, message.index(b">", at) + 1, b""))
        path.pop()

    def refuse_doctype(*_: object) -> None:
        raise refuse("ENV.DTD", "DOCTYPE", line=parser.CurrentLineNumber)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = refuse_doctype
    try:
        parser.Parse(message, True)
    except expat.ExpatError as error:
        raise refuse("ENV.NOT_WELL_FORMED", expat.ErrorString(error.code), line=error.lineno) from error
    except (LookupError, ValueError) as error:  # What it says of its encoding is no encoding, or none that can be read.
        raise refuse("ENV.ENCODING", str(error), line=1) from error
    return found


def _after_name(message: bytes, start_tag: int) -> int:
    """Return the position after the name in a start tag."""
    at = start_tag + 1
    while message[at] not in b" \t\r\n/>":
        at += 1
    return at


def _edited(message: bytes, edits: Sequence[_Edit]) -> bytes:
    pieces, done = [], 0
    for start, stop, new in sorted(edits):
        pieces += [message[done:start], new]
        done = stop
    return b"".join([*pieces, message[done:]])
