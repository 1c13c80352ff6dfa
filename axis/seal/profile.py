"""Profile: the one shape of seal that the axis makes and believes.

The profile is closed. A seal is a detached XMLDSig Signature, last in the
element that holds it, with one same-document Reference for each signed part,
each with the one transform exclusive c14n and SHA-256. Reading a seal never
interprets what the message says about transforms, URIs or algorithms: it
compares them with the only allowed ones and takes the parts from their fixed
places. KeyInfo is carried for other people's tools and is never read here.

What is digested is returned as canonical bytes; whoever acts on a sealed
message reads those bytes and nothing else of it.

Spec: W3C XMLDSig 1.1 §4; Exclusive XML Canonicalization 1.0;
docs/protocol/envelope.md (the axis profile).
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Any

from lxml import etree

from axis.edxml.gate import path_of
from axis.errors import Refusal, refuse

DSIG = "http://www.w3.org/2000/09/xmldsig#"
EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"


class Method(StrEnum):
    """The signature algorithms of the profile."""

    ECDSA = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
    RSA = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"


_METHODS = {method.value: method for method in Method}


def _ds(name: str) -> str:
    return f"{{{DSIG}}}{name}"


SIGNATURE = _ds("Signature")
_SIGNATURE_CHILDREN = [_ds("SignedInfo"), _ds("SignatureValue"), _ds("KeyInfo")]
_REFERENCE = _ds("Reference")
_SIGNED_INFO_HEAD = [_ds("CanonicalizationMethod"), _ds("SignatureMethod")]
_REFERENCE_CHILDREN = [_ds("Transforms"), _ds("DigestMethod"), _ds("DigestValue")]
_TRANSFORMLESS = _REFERENCE_CHILDREN[1:]
_TRANSFORM = [_ds("Transform")]
_ALGORITHM = ["Algorithm"]


@dataclass(frozen=True, slots=True)
class Seal:
    """What a well-shaped Signature says: nothing of it is verified yet."""

    signed_info: bytes  # Canonical.
    method: Method
    value: bytes
    digests: tuple[bytes, ...]  # In the order of the parts.
    signature: etree._Element


def read_seal(root: etree._Element, holder: etree._Element | None, parts: Mapping[str, etree._Element | None]) -> Seal:
    """Hold the Signature of a message against the profile.

    Args:
        root: The message, parsed under caps, without comments, with unique Ids.
        holder: The element whose last child the Signature must be.
        parts: The elements that must be signed, by Id, in the order of the References.

    Raises:
        Refusal: SIG.*
    """
    signature = _the_signature(root, holder)
    for name, part in parts.items():
        if part is None or part.get("Id") != name:
            raise _no("SIG.REFERENCE", f"#{name}", root if part is None else part)
    if signature.attrib or _tags(signature) != _SIGNATURE_CHILDREN:
        raise _no("SIG.STRUCTURE", "Signature", signature)
    signed_info, value, _ = signature
    octets = canonical(signed_info)
    method, digests = _written(octets, tuple(parts)) or _walked(signed_info, list(parts))
    return Seal(octets, method, _base64(value), digests, signature)


def _written(octets: bytes, names: tuple[str, ...]) -> tuple[Method, tuple[bytes, ...]] | None:
    """Return what a SignedInfo says that is, byte for byte, as `signed_info` writes it; None if it is not.

    A canonical form stands for one element and no other, so this is all that there is to check. To walk the tree takes
    three times as long, and is left to what others have written.
    """
    found = _pattern(names).fullmatch(octets)
    if found is None:
        return None
    algorithm, *digests = found.groups()
    return _METHODS[algorithm.decode()], tuple(map(b64decode, digests))


@lru_cache(maxsize=8)
def _pattern(names: tuple[str, ...]) -> re.Pattern[bytes]:
    """Return what matches the canonical SignedInfo over these parts: its algorithm, and a digest for each."""
    nothing = bytes(sha256().digest_size)
    written, _ = signed_info([(name, nothing) for name in names], Method.ECDSA)
    methods = b"|".join(re.escape(method.encode()) for method in Method)
    return re.compile(
        re.escape(written)
        .replace(re.escape(Method.ECDSA.encode()), b"(%s)" % methods)
        .replace(re.escape(b64encode(nothing)), b"([A-Za-z0-9+/]{43}=)")
    )


def _walked(signed_info: etree._Element, names: Sequence[str]) -> tuple[Method, tuple[bytes, ...]]:
    """Hold a SignedInfo against the profile element by element, and return what it says.

    Raises:
        Refusal: SIG.*; where it differs.
    """
    references = list(signed_info)[2:]
    if signed_info.attrib or _tags(signed_info) != _SIGNED_INFO_HEAD + [_REFERENCE] * len(references):
        raise _no("SIG.STRUCTURE", "SignedInfo", signed_info)
    _require_algorithm(signed_info[0], EXC_C14N, "SIG.TRANSFORM")
    method = _method(signed_info[1])
    _require_references(references, names, signed_info)
    return method, tuple(_digest(reference) for reference in references)


def open_parts(seal: Seal, parts: Mapping[str, etree._Element]) -> dict[str, bytes]:
    """Return the canonical bytes of each part, once they have the digests that were signed.

    Raises:
        Refusal: SIG.DIGEST, or SIG.C14N where there is no canonical form.
    """
    opened = {}
    for (name, part), expected in zip(parts.items(), seal.digests, strict=True):
        octets = canonical(part)
        if sha256(octets).digest() != expected:
            raise _no("SIG.DIGEST", f"#{name}", part)
        opened[name] = octets
    return opened


def canonical(element: etree._Element) -> bytes:
    """Return the exclusive canonical form.

    Raises:
        Refusal: SIG.C14N, e.g. for a relative namespace URI.
    """
    try:
        octets = etree.tostring(element, method="c14n", exclusive=True, with_comments=False)
    except (etree.LxmlError, ValueError) as error:
        raise _no("SIG.C14N", str(element.tag).rsplit("}", 1)[-1], element) from error
    # A canonicaliser that fails silently would let every message have the digest of nothing.
    if not octets.startswith(b"<"):
        raise _no("SIG.C14N", "empty", element)
    return octets


def digest_of(parts: Mapping[str, bytes]) -> str:
    """Return the digest of a sealed message: SHA-256 over the canonical bytes of its parts, in order, in hex.

    It stays the same where a seal is made again over the same parts, or written differently.
    """
    digest = sha256()
    for octets in parts.values():
        digest.update(octets)
    return digest.hexdigest()


def signed_info(digests: Sequence[tuple[str, bytes]], method: Method) -> tuple[bytes, bytes]:
    """Write a SignedInfo over parts whose canonical digests are known.

    Args:
        digests: Id and SHA-256 of each part, in order.
        method: How it will be signed.

    Returns:
        The canonical form, which is signed; and the form that stands in a `ds:Signature` that declares the prefix.
    """
    body = (
        f'<ds:CanonicalizationMethod Algorithm="{EXC_C14N}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{method}"></ds:SignatureMethod>'
    )
    for name, digest in digests:
        body += (
            f'<ds:Reference URI="#{name}"><ds:Transforms><ds:Transform Algorithm="{EXC_C14N}"></ds:Transform>'
            f'</ds:Transforms><ds:DigestMethod Algorithm="{SHA256}"></ds:DigestMethod>'
            f"<ds:DigestValue>{b64encode(digest).decode()}</ds:DigestValue></ds:Reference>"
        )
    return (
        f'<ds:SignedInfo xmlns:ds="{DSIG}">{body}</ds:SignedInfo>'.encode(),
        f"<ds:SignedInfo>{body}</ds:SignedInfo>".encode(),
    )


_END_OF_SIGNATURE = re.compile(
    "([A-Za-z0-9+/]+={0,2})</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>[A-Za-z0-9+/]+={0,2}"
    "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>"
)


def as_written(signature: str, digests: Sequence[tuple[str, bytes]]) -> tuple[Method, bytes, bytes] | None:
    """Read a Signature that stands as `sign` writes it, in the only spelling that it has.

    Args:
        signature: The element, as it stands in its message.
        digests: Id and SHA-256 of the canonical form of each part that it must be over, in order.

    Returns:
        Its method, the canonical SignedInfo and the value, which nobody has checked; None where it stands otherwise.
    """
    for method in Method:
        canonical, stands = signed_info(digests, method)
        begin = f'<ds:Signature xmlns:ds="{DSIG}">{stands.decode()}<ds:SignatureValue>'
        if signature.startswith(begin):
            return _with_value(method, canonical, _END_OF_SIGNATURE.fullmatch(signature, len(begin)))
    return None


def _with_value(method: Method, signed_info: bytes, end: re.Match[str] | None) -> tuple[Method, bytes, bytes] | None:
    if end is None:
        return None
    try:
        value = b64decode(end[1])
    except Base64Error:
        return None
    return (method, signed_info, value) if b64encode(value).decode() == end[1] else None


def _the_signature(root: etree._Element, holder: etree._Element | None) -> etree._Element:
    """Return the only Signature of the message, if it stands last in its holder."""
    found = list(root.iter(SIGNATURE))
    if not found:
        place = root if holder is None else holder
        raise refuse("SIG.MISSING", line=line_of(place), path=path_of(place))
    if len(found) > 1:
        raise _no("SIG.POSITION", f"{len(found)} Signature", found[1])
    signature = found[0]
    if holder is None or signature.getparent() is not holder or signature.getnext() is not None:
        raise _no("SIG.POSITION", "Signature", signature)
    if (signature.tail or "").strip():
        raise _no("SIG.POSITION", "text after Signature", signature)
    return signature


def _require_references(
    references: Sequence[etree._Element], names: Sequence[str], signed_info: etree._Element
) -> None:
    """Check that exactly the parts are covered, in order, each by its bare Id."""
    for reference in references:
        if list(reference.attrib) != ["URI"]:
            code = "SIG.REFERENCE" if "URI" not in reference.attrib else "SIG.STRUCTURE"
            raise _no(code, "Reference/@URI", reference)
    uris = [str(reference.get("URI")) for reference in references]
    expected = [f"#{name}" for name in names]
    if uris == expected:
        return
    shown = " ".join(uris)[:80] or "no Reference"
    if not uris or len(set(uris)) < len(uris) or len(uris) > len(expected):
        raise _no("SIG.STRUCTURE", shown, signed_info)
    raise _no("SIG.REFERENCE", f"{shown} ≠ {' '.join(expected)}", signed_info)


def _digest(reference: etree._Element) -> bytes:
    """Return the digest that a Reference states, if everything else in it is the profile's."""
    children = _tags(reference)
    if children == _TRANSFORMLESS:
        raise _no("SIG.TRANSFORM", "none", reference)
    if children != _REFERENCE_CHILDREN:
        raise _no("SIG.STRUCTURE", "Reference", reference)
    transforms, digest_method, digest_value = reference
    if transforms.attrib:
        raise _no("SIG.STRUCTURE", "Transforms", transforms)
    if _tags(transforms) != _TRANSFORM:
        raise _no("SIG.TRANSFORM", f"{len(transforms)} transforms", transforms)
    _require_algorithm(transforms[0], EXC_C14N, "SIG.TRANSFORM")
    _require_algorithm(digest_method, SHA256, "SIG.ALGORITHM")
    digest = _base64(digest_value)
    if len(digest) != sha256().digest_size:
        raise _no("SIG.STRUCTURE", "DigestValue", digest_value)
    return digest


def _method(element: etree._Element) -> Method:
    method = _METHODS.get(element.get("Algorithm", ""))
    if method is None:
        raise _no("SIG.ALGORITHM", element.get("Algorithm", "")[:80], element)
    _require_algorithm(element, method.value, "SIG.ALGORITHM")
    return method


def _require_algorithm(element: etree._Element, algorithm: str, code: str) -> None:
    """Check that an element names this algorithm, and gives it no parameter."""
    if element.get("Algorithm") != algorithm:
        raise _no(code, element.get("Algorithm", "")[:80], element)
    if len(element) or list(element.attrib) != _ALGORITHM:
        raise _no("SIG.STRUCTURE", str(element.tag).rsplit("}", 1)[-1], element)


def _base64(element: etree._Element) -> bytes:
    """Read xs:base64Binary: blanks are allowed, anything else is not."""
    if len(element) or element.attrib:
        raise _no("SIG.STRUCTURE", str(element.tag).rsplit("}", 1)[-1], element)
    try:
        return b64decode("".join((element.text or "").split()), validate=True)
    except (Base64Error, ValueError) as error:
        raise _no("SIG.STRUCTURE", "base64", element) from error


def _tags(element: etree._Element) -> list[object]:
    return [child.tag for child in element]


def line_of(element: etree._Element) -> int | None:
    """Return where an element starts in the file as submitted."""
    line: Any = element.sourceline
    return None if line is None else int(line)


def _no(code: str, detail: str, element: etree._Element) -> Refusal:
    return refuse(code, detail, line=line_of(element), path=path_of(element))
