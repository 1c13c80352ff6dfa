"""Forge: seals of other shapes, validly signed, for an adversary who holds a registered key.

The Signature is written as text, put into the envelope, and its SignedInfo is
canonicalised and signed as it says; so each forgery differs from a good seal
in exactly what it was asked to.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from axis import edxml, seal

DSIG = "http://www.w3.org/2000/09/xmldsig#"
EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
ECDSA = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
RSA = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
ONLY_EXC = f'<ds:Transforms><ds:Transform Algorithm="{EXC}"/></ds:Transforms>'

Sign = Callable[[bytes], bytes]


@dataclass
class Reference:
    """One Reference as text."""

    uri: str | None
    transforms: str = ONLY_EXC
    digest_method: str = SHA256
    digest: bytes | None = None  # None: the right one for the part of that name.
    attributes: str = ""
    extra: str = ""

    def text(self, digests: dict[str, bytes]) -> str:
        digest = self.digest if self.digest is not None else digests.get((self.uri or "").removeprefix("#"), b"\0" * 32)
        uri = "" if self.uri is None else f' URI="{self.uri}"'
        return (
            f'<ds:Reference{uri}{self.attributes}>{self.transforms}<ds:DigestMethod Algorithm="{self.digest_method}"/>'
            f"<ds:DigestValue>{b64encode(digest).decode()}</ds:DigestValue>{self.extra}</ds:Reference>"
        )


@dataclass
class Forgery:
    """A Signature as text; what is not given is as the profile has it."""

    references: Sequence[Reference] | None = None
    c14n: str = f'<ds:CanonicalizationMethod Algorithm="{EXC}"/>'
    method: str = f'<ds:SignatureMethod Algorithm="{ECDSA}"/>'
    attributes: str = ""
    before_value: str = ""
    after_key_info: str = ""
    key_info: str | None = None
    sign: Sign | None = None
    exclusive: bool = True
    encode: Callable[[bytes], str] = field(default=lambda value: b64encode(value).decode())


def with_ids(text: str) -> str:
    """Return an unsealed document with its Ids."""
    return (
        text.replace("<edXML:MessageHeader>", '<edXML:MessageHeader Id="header">', 1)
        .replace("<edXML:Bussiness>", '<edXML:Bussiness Id="business">', 1)
        .replace("<edXML:edXMLManifest ", '<edXML:edXMLManifest Id="manifest" ', 1)
    )


def canonical(element: etree._Element, *, exclusive: bool = True) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=exclusive, with_comments=False)


def forge(text: str, signer: seal.SigningKey, forgery: Forgery) -> bytes:
    """Return an envelope that carries this forgery, signed with the key of `signer`."""
    message = with_ids(text)
    received = edxml.parse(message.encode())
    names = edxml.PARTS[received.kind]
    parts = {name: received.part(name) for name in names}
    digests = {name: sha256(canonical(part)).digest() for name, part in parts.items() if part is not None}
    references = [Reference(f"#{name}") for name in names] if forgery.references is None else forgery.references
    certificate = b64encode(signer.certificate.public_bytes(Encoding.DER)).decode()
    key_info = (
        f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
        if forgery.key_info is None
        else forgery.key_info
    )
    signed_info = (
        f"<ds:SignedInfo>{forgery.c14n}{forgery.method}"
        + "".join(reference.text(digests) for reference in references)
        + "</ds:SignedInfo>"
    )
    signature = (
        f'<ds:Signature xmlns:ds="{DSIG}"{forgery.attributes}>{signed_info}{forgery.before_value}'
        f"<ds:SignatureValue>@VALUE@</ds:SignatureValue>{key_info}{forgery.after_key_info}</ds:Signature>"
    )
    whole = message.replace("</edXML:edXMLHeader>", f"{signature}</edXML:edXMLHeader>", 1)
    node = next(etree.fromstring(whole.encode()).iter(f"{{{DSIG}}}SignedInfo"))
    value = (forgery.sign or signer.sign)(canonical(node, exclusive=forgery.exclusive))
    return whole.replace("@VALUE@", forgery.encode(value), 1).encode()
