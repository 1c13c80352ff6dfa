"""Vectors S01-S30: envelopes whose seal is wrong in exactly one way, and a few that are right in an odd one.

Each is made from the good document of `tests.province`; home-made after the
attacks known from other products (signature wrapping, SignedInfo and
DigestValue doubling, algorithm confusion, transforms, references to files).
`codes` is what the axis must answer; empty means accepted. `other` is why
signxml, asked to find the registered certificate's signature in the same
place, may think otherwise: it checks signatures, not our closed profile.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from lxml import etree

from axis.edxml.values import EDXML
from tests import province as provinces
from tests.conformance.seal import forge as forging
from tests.conformance.seal.forge import DSIG, EXC, ONLY_EXC, Forgery, Reference, forge
from tests.province import DOCUMENT, Province

DS = f"{{{DSIG}}}"
E = f"{{{EDXML}}}"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

CLOSED = "signxml allows shapes outside the closed profile"
WRAPPED = "signxml returns the signed element wherever it stands; the caller must look at nothing else"
UNSIGNED = "the change is outside what is signed; the schema or the position rule refuses it"


@dataclass(frozen=True)
class Vector:
    """One envelope and what must be said about it."""

    id: str
    what: str
    make: Callable[[Province], bytes]
    codes: frozenset[str]
    other: str = ""

    def __str__(self) -> str:
        return f"{self.id}: {self.what}"


def _good(province: Province) -> bytes:
    return provinces.sealed(province)


def _edit(change: Callable[[etree._Element], object]) -> Callable[[Province], bytes]:
    """Change the tree of a good envelope."""

    def make(province: Province) -> bytes:
        root = etree.fromstring(_good(province))
        changed = change(root)
        return etree.tostring(
            changed if isinstance(changed, etree._Element) else root, encoding="UTF-8", xml_declaration=True
        )

    return make


def _text(*swaps: tuple[str, str]) -> Callable[[Province], bytes]:
    """Change the text of a good envelope."""

    def make(province: Province) -> bytes:
        text = _good(province).decode()
        for old, new in swaps:
            assert old in text, old
            text = text.replace(old, new, 1)
        return text.encode()

    return make


def _forge(make: Callable[[Province], Forgery], text: str = DOCUMENT) -> Callable[[Province], bytes]:
    return lambda province: forge(text, province.signer("H56.05"), make(province))


def _signature(root: etree._Element) -> etree._Element:
    return next(root.iter(f"{DS}Signature"))


def _header(root: etree._Element) -> etree._Element:
    return root.find(f"{E}edXMLEnvelope/{E}edXMLHeader")  # type: ignore[return-value]


def _flip(name: str) -> Callable[[Province], bytes]:
    """Change one bit of a base64 value of the Signature."""

    def change(root: etree._Element) -> None:
        element = next(root.iter(f"{DS}{name}"))
        octets = bytearray(b64decode(element.text or ""))
        octets[5] ^= 1
        element.text = b64encode(octets).decode()

    return _edit(change)


def _references(*references: Reference) -> Callable[[Province], bytes]:
    return _forge(lambda _: Forgery(references=references))


def _first(reference: Reference) -> Callable[[Province], bytes]:
    """Forge with another first Reference."""
    return _references(reference, Reference("#business"), Reference("#manifest"))


def _move(place: str) -> Callable[[Province], bytes]:
    def change(root: etree._Element) -> None:
        signature, header = _signature(root), _header(root)
        header.remove(signature)
        match place:
            case "first":
                header.insert(0, signature)
            case "envelope":
                root[0].append(signature)
            case "root":
                root.append(signature)
            case "nested":
                header[0].append(signature)

    return _edit(change)


def _drop(name: str) -> Callable[[etree._Element], None]:
    def change(root: etree._Element) -> None:
        element = next(root.iter(f"{DS}{name}"))
        element.getparent().remove(element)  # type: ignore[union-attr]

    return change


def _double(name: str) -> Callable[[etree._Element], None]:
    def change(root: etree._Element) -> None:
        element = next(root.iter(f"{DS}{name}"))
        element.addnext(deepcopy(element))

    return change


def _sign_der(province: Province) -> Forgery:
    key = province.keys["H56.05"]
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Forgery(sign=lambda octets: key.sign(octets, ec.ECDSA(hashes.SHA256())))


def _reshape(change: Callable[[int, int], bytes]) -> Callable[[Province], bytes]:
    """Write r and s of a good signature in another way."""

    def make(province: Province) -> Forgery:
        def sign(octets: bytes) -> bytes:
            value = province.signer("H56.05").sign(octets)
            return change(int.from_bytes(value[:32], "big"), int.from_bytes(value[32:], "big"))

        return Forgery(sign=sign)

    return _forge(make)


def _twin(province: Province) -> bytes:
    """(r, n-s) is a good signature as well: the same message, not another."""
    return _reshape(lambda r, s: r.to_bytes(32, "big") + (P256_ORDER - s).to_bytes(32, "big"))(province)


def _hmac(algorithm: str, digest: str, encoding: serialization.Encoding) -> Callable[[Province], bytes]:
    def make(province: Province) -> Forgery:
        public = (
            province.keys["H56.05"].public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        return Forgery(
            method=f'<ds:SignatureMethod Algorithm="{algorithm}"/>',
            sign=lambda octets: hmac.new(public, octets, digest).digest(),
        )

    return _forge(make)


def _method(algorithm: str, inside: str = "") -> Callable[[Province], bytes]:
    return _forge(
        lambda _: Forgery(method=f'<ds:SignatureMethod Algorithm="{algorithm}">{inside}</ds:SignatureMethod>')
    )


def _rsa_sha1(province: Province) -> bytes:
    key = provinces.rsa_key()
    signer = province.register("H56.05", key)
    return forge(
        DOCUMENT,
        signer,
        Forgery(
            method=f'<ds:SignatureMethod Algorithm="{DSIG}rsa-sha1"/>',
            sign=lambda octets: key.sign(octets, padding.PKCS1v15(), hashes.SHA1()),  # noqa: S303
        ),
    )


def _ecdsa_with_rsa(province: Province) -> bytes:
    """The registered key is RSA, the Signature says ECDSA."""
    signer = province.register("H56.05", provinces.rsa_key())
    province.certificates["H56.05"] = [signer.certificate]
    return forge(DOCUMENT, signer, Forgery())


def _digest_method(name: str) -> Callable[[Province], bytes]:
    algorithms = {
        "sha1": f"{DSIG}sha1",
        "md5": "http://www.w3.org/2001/04/xmldsig-more#md5",
        "sha512": "http://www.w3.org/2001/04/xmlenc#sha512",
    }

    def make(province: Province) -> bytes:
        message = etree.fromstring(forging.with_ids(DOCUMENT).encode())
        octets = forging.canonical(next(message.iter(f"{E}MessageHeader")))
        return _first(Reference("#header", digest_method=algorithms[name], digest=hashlib.new(name, octets).digest()))(
            province
        )

    return make


def _signed_info_c14n(c14n: str, *, exclusive: bool) -> Callable[[Province], bytes]:
    return _forge(lambda _: Forgery(c14n=c14n, exclusive=exclusive))


def _transforms(*algorithms: str, inside: str = "") -> str:
    return (
        "<ds:Transforms>"
        + "".join(f'<ds:Transform Algorithm="{one}">{inside}</ds:Transform>' for one in algorithms)
        + "</ds:Transforms>"
    )


XSLT = '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"><xsl:template match="/"><x/></xsl:template></xsl:stylesheet>'
XPATH = "<ds:XPath>false()</ds:XPath>"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ENVELOPED = f"{DSIG}enveloped-signature"


def _foreign_key(province: Province, key_info: str | None = None) -> bytes:
    """An attacker's key and the attacker's own certificate in KeyInfo."""
    attacker = Province(ca_name="CA khác (ví dụ)").register("H56.05")
    return forge(DOCUMENT, attacker, Forgery(key_info=key_info))


def _other_office(province: Province) -> bytes:
    """Office H56.112 signs, with its own good key, what claims to come from H56.05."""
    return forge(DOCUMENT, province.signer("H56.112"), Forgery())


KEY_VALUE = "<ds:KeyInfo><ds:KeyValue><ds:RSAKeyValue><ds:Modulus>AQAB</ds:Modulus><ds:Exponent>AQAB</ds:Exponent></ds:RSAKeyValue></ds:KeyValue></ds:KeyInfo>"
GARBAGE = "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>é*</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
RETRIEVAL = '<ds:KeyInfo><ds:RetrievalMethod URI="http://127.0.0.1:9/key"/></ds:KeyInfo>'


def _many_certificates(province: Province) -> bytes:
    one = b64encode(province.signer("H56.112").certificate.public_bytes(serialization.Encoding.DER)).decode()
    data = f"<ds:X509Data>{f'<ds:X509Certificate>{one}</ds:X509Certificate>' * 50}</ds:X509Data>"
    return _forge(lambda _: Forgery(key_info=f"<ds:KeyInfo>{data}</ds:KeyInfo>"))(province)


# --- signature wrapping, XSW1-8: the signed original is kept somewhere, the root says something else ----------------


def _evil(root: etree._Element) -> etree._Element:
    """Return a copy of the message that names another addressee."""
    evil = deepcopy(root)
    next(evil.iter(f"{E}To"))[0].text = "H56.666"
    return evil


def _without_ids(element: etree._Element) -> etree._Element:
    for one in element.iter():
        one.attrib.pop("Id", None)
    return element


def _without_signature(root: etree._Element) -> etree._Element:
    signature = _signature(root)
    signature.getparent().remove(signature)  # type: ignore[union-attr]
    return root


def _xsw(number: int, ids: bool) -> Callable[[Province], bytes]:
    def change(root: etree._Element) -> etree._Element:
        evil = _evil(root)
        original = _without_signature(deepcopy(root))
        if not ids:
            _without_ids(original)
        signature = _signature(evil)
        match number:
            case 1:
                signature.append(original)
            case 2:
                signature.addprevious(original)
            case 3 | 5:
                wrapper = etree.Element("wrapper")
                pair = (evil, original) if number == 3 else (original, evil)
                wrapper.extend(pair)
                return wrapper
            case 4:
                nested = deepcopy(root) if ids else _without_ids(deepcopy(root))
                _without_signature(evil).append(nested)
            case 6:
                next(signature.iter(f"{DS}KeyInfo")).append(original)
            case 7:
                etree.SubElement(_header(evil)[0], f"{E}Extensions").append(original)
            case 8:
                etree.SubElement(signature, f"{DS}Object").append(original)
        return evil

    return _edit(change)


def _part_elsewhere(name: str, ids: bool) -> Callable[[Province], bytes]:
    """The signed part itself moves under ds:Object; an evil one takes its place."""

    def change(root: etree._Element) -> None:
        part = next(root.iter(f"{E}{name}"))
        evil = deepcopy(part)
        (evil[-1] if len(evil) else evil).text = "evil"
        part.getparent().replace(part, evil)  # type: ignore[union-attr]
        if not ids:
            evil.attrib.pop("Id", None)
        etree.SubElement(_signature(root), f"{DS}Object").append(part)

    return _edit(change)


def _second_header(root: etree._Element) -> None:
    """Two MessageHeaders in the one edXMLHeader, the signed one second."""
    header = _header(root)
    header.insert(0, _without_ids(deepcopy(_evil(root).find(f".//{E}MessageHeader"))))  # type: ignore[arg-type]


def _set(path: str, name: str, value: str) -> Callable[[Province], bytes]:
    return _edit(lambda root: next(root.iter(path)).set(name, value))


def _vectors() -> Iterator[Vector]:
    def vector(id_: str, what: str, make: Callable[[Province], bytes], *codes: str, other: str = "") -> Vector:
        return Vector(id_, what, make, frozenset(codes), other)

    yield vector("S00", "a good envelope", _good)
    yield vector("S00s", "a good status", lambda p: provinces.sealed(p, "H56.112", provinces.STATUS))
    yield vector("S00r", "a good envelope, RSA", lambda p: (p.register("H56.05", provinces.rsa_key()), _good(p))[1])
    yield vector("S00f", "the forge, asked for nothing odd", _forge(lambda _: Forgery()))
    yield vector("S01", "no Signature", lambda p: forging.with_ids(DOCUMENT).encode(), "SIG.MISSING")
    yield vector(
        "S02",
        "Signature in no xmldsig namespace",
        _text(('xmlns:ds="http://www.w3.org/2000/09/xmldsig#"', f'xmlns:ds="{EDXML}"')),
        "SIG.MISSING",
    )
    yield vector("S03", "Signature without SignedInfo", _edit(_drop("SignedInfo")), "SIG.STRUCTURE")
    yield vector("S03", "Signature without SignatureValue", _edit(_drop("SignatureValue")), "SIG.STRUCTURE")
    yield vector("S03", "Signature without KeyInfo", _edit(_drop("KeyInfo")), "SIG.STRUCTURE", other=CLOSED)
    yield vector("S03", "empty Signature", _edit(lambda root: _signature(root).clear()), "SIG.STRUCTURE")
    for place in ("first", "envelope", "root", "nested"):
        yield vector(
            "S04", f"Signature {place}", _move(place), "SIG.POSITION", other=CLOSED if place == "first" else ""
        )
    yield vector(
        "S05",
        "two Signatures",
        _edit(lambda root: _signature(root).addnext(deepcopy(_signature(root)))),
        "SIG.POSITION",
        other=CLOSED,
    )
    yield vector("S06", "two SignedInfo", _edit(_double("SignedInfo")), "SIG.STRUCTURE")
    yield vector("S06", "two SignatureValue", _edit(_double("SignatureValue")), "SIG.STRUCTURE")
    yield vector("S07", "two DigestValue", _edit(_double("DigestValue")), "SIG.STRUCTURE")
    yield vector("S07", "two DigestMethod", _edit(_double("DigestMethod")), "SIG.STRUCTURE")
    yield vector(
        "S07",
        "comment in DigestValue",
        _text(("<ds:DigestValue>", "<ds:DigestValue><!-- -->")),
        "ENV.COMMENT_OR_PI",
        other=CLOSED,
    )
    yield vector(
        "S06",
        "SignedInfo with something more",
        _forge(lambda _: Forgery(c14n=f'<ds:CanonicalizationMethod Algorithm="{EXC}"/><ds:Object/>')),
        "SIG.STRUCTURE",
    )
    yield vector("S08", "no Reference", _references(), "SIG.STRUCTURE")
    yield vector(
        "S08", "the same Reference three times", _references(*[Reference("#header")] * 3), "SIG.STRUCTURE", other=CLOSED
    )
    yield vector(
        "S08",
        "a fourth Reference",
        _references(*map(Reference, ("#header", "#business", "#manifest", "#other"))),
        "SIG.STRUCTURE",
    )
    yield vector(
        "S08", "only two References", _references(Reference("#header"), Reference("#manifest")), "SIG.REFERENCE"
    )
    yield vector(
        "S08",
        "References in another order",
        _references(*map(Reference, ("#business", "#header", "#manifest"))),
        "SIG.REFERENCE",
        other=CLOSED,
    )
    yield vector("S09", "Reference without URI", _first(Reference(None)), "SIG.REFERENCE")
    for uri in (
        "",
        "#",
        "#other",
        "#xpointer(/)",
        "#xpointer(id('header'))",
        "file:///etc/passwd",
        "secret.txt",
        "http://127.0.0.1:9/",
    ):
        yield vector("S09", f"URI “{uri}”", _first(Reference(uri)), "SIG.REFERENCE")
    yield vector(
        "S09",
        "Reference with a Type",
        _first(Reference("#header", attributes=' Type="urn:x"')),
        "SIG.STRUCTURE",
        other=CLOSED,
    )
    yield vector(
        "S09",
        "Reference with more behind",
        _first(Reference("#header", extra="<ds:DigestValue>AA==</ds:DigestValue>")),
        "SIG.STRUCTURE",
    )
    yield vector("S10", "only a child of the header is signed", _references(Reference("#a1")), "SIG.REFERENCE")
    for what, transforms in {
        "none": "",
        "empty": "<ds:Transforms/>",
        "enveloped-signature only": _transforms(ENVELOPED),
        "enveloped-signature and c14n": _transforms(ENVELOPED, EXC),
        "c14n twice": _transforms(EXC, EXC),
        "XSLT": _transforms("http://www.w3.org/TR/1999/REC-xslt-19991116", inside=XSLT),
        "XPath": _transforms("http://www.w3.org/TR/1999/REC-xpath-19991116", inside=XPATH),
        "XPath filter 2": _transforms("http://www.w3.org/2002/06/xmldsig-filter2"),
        "base64": _transforms(f"{DSIG}base64"),
    }.items():
        other = CLOSED if what == "enveloped-signature and c14n" else ""
        yield vector(
            "S11",
            f"transforms: {what}",
            _first(Reference("#header", transforms=transforms)),
            "SIG.TRANSFORM",
            other=other,
        )
    yield vector(
        "S11",
        "Transforms with an attribute",
        _first(Reference("#header", transforms=ONLY_EXC.replace("<ds:Transforms>", '<ds:Transforms Id="t">'))),
        "SIG.STRUCTURE",
        "ENV.ID_ATTRIBUTE",
    )
    yield vector(
        "S12",
        "XPath that selects nothing, digest of nothing",
        _first(
            Reference(
                "#header",
                transforms=_transforms("http://www.w3.org/TR/1999/REC-xpath-19991116", inside=XPATH),
                digest=hashlib.sha256(b"").digest(),
            )
        ),
        "SIG.TRANSFORM",
    )
    for what, algorithm in {
        "inclusive": INCLUSIVE,
        "inclusive 1.1": "http://www.w3.org/2006/12/xml-c14n11",
        "exclusive with comments": f"{EXC}WithComments",
        "unknown": "urn:x",
    }.items():
        c14n = f'<ds:CanonicalizationMethod Algorithm="{algorithm}"/>'
        exclusive = "exclusive" in what
        yield vector(
            "S13",
            f"SignedInfo c14n {what}",
            _signed_info_c14n(c14n, exclusive=exclusive),
            "SIG.TRANSFORM",
            other="" if what == "unknown" else CLOSED,
        )
        yield vector(
            "S13",
            f"Reference c14n {what}",
            _first(Reference("#header", transforms=_transforms(algorithm))),
            "SIG.TRANSFORM",
            other=CLOSED if "comments" in what else "",
        )
    prefixes = f'<ec:InclusiveNamespaces xmlns:ec="{EXC}" PrefixList="edXML"/>'
    yield vector(
        "S14",
        "PrefixList in a transform",
        _first(Reference("#header", transforms=_transforms(EXC, inside=prefixes))),
        "SIG.STRUCTURE",
        other=CLOSED,
    )
    yield vector(
        "S14",
        "PrefixList in SignedInfo's c14n",
        _forge(
            lambda _: Forgery(
                c14n=f'<ds:CanonicalizationMethod Algorithm="{EXC}">{prefixes}</ds:CanonicalizationMethod>'
            )
        ),
        "SIG.STRUCTURE",
    )
    for form, encoding in (("PEM", serialization.Encoding.PEM), ("DER", serialization.Encoding.DER)):
        yield vector(
            "S15",
            f"hmac-sha1 with the public key, {form}",
            _hmac(f"{DSIG}hmac-sha1", "sha1", encoding),
            "SIG.ALGORITHM",
        )
        yield vector(
            "S15",
            f"hmac-sha256 with the public key, {form}",
            _hmac("http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", "sha256", encoding),
            "SIG.ALGORITHM",
        )
    for length in (1, 8):
        yield vector(
            "S16",
            f"HMACOutputLength {length}",
            _method(
                "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
                f"<ds:HMACOutputLength>{length}</ds:HMACOutputLength>",
            ),
            "SIG.ALGORITHM",
        )
    yield vector(
        "S16",
        "a parameter in an allowed method",
        _method(forging.ECDSA, "<ds:HMACOutputLength>8</ds:HMACOutputLength>"),
        "SIG.STRUCTURE",
        other=CLOSED,
    )
    yield vector("S17", "rsa-sha1", _rsa_sha1, "SIG.ALGORITHM")
    for algorithm in (
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1",
        f"{DSIG}dsa-sha1",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-md5",
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
        "",
    ):
        yield vector("S17", f"method “{algorithm.rsplit('#', 1)[-1]}”", _method(algorithm), "SIG.ALGORITHM")
    for name in ("sha1", "md5", "sha512"):
        yield vector("S17", f"digest {name}", _digest_method(name), "SIG.ALGORITHM")
    yield vector(
        "S19",
        "P-384 with sha256",
        lambda p: (p.register("H56.05", ec.generate_private_key(ec.SECP384R1())), _good(p))[1],
    )
    yield vector("S20", "ECDSA value as DER", _forge(_sign_der), "SIG.VALUE")
    yield vector("S20", "r = 0", _reshape(lambda _, s: bytes(32) + s.to_bytes(32, "big")), "SIG.VALUE")
    yield vector("S20", "s = 0", _reshape(lambda r, _: r.to_bytes(32, "big") + bytes(32)), "SIG.VALUE")
    yield vector("S20", "r = s = 0", _reshape(lambda _r, _s: bytes(64)), "SIG.VALUE")
    yield vector("S20", "r >= n", _reshape(lambda _, s: b"\xff" * 32 + s.to_bytes(32, "big")), "SIG.VALUE")
    yield vector(
        "S20", "63 octets", _reshape(lambda r, s: (r.to_bytes(32, "big") + s.to_bytes(32, "big"))[:63]), "SIG.VALUE"
    )
    yield vector(
        "S20", "65 octets", _reshape(lambda r, s: b"\0" + r.to_bytes(32, "big") + s.to_bytes(32, "big")), "SIG.VALUE"
    )
    yield vector("S20", "no octets", _reshape(lambda _r, _s: b""), "SIG.VALUE")
    yield vector("S20", "ECDSA said, RSA registered", _ecdsa_with_rsa, "SIG.VALUE")
    yield vector("S21", "the twin signature (r, n-s)", _twin)
    yield vector("S22", "a bit of SignatureValue", _flip("SignatureValue"), "SIG.VALUE")
    yield vector("S22", "a bit of DigestValue", _flip("DigestValue"), "SIG.VALUE")
    yield vector("S22", "another addressee", _text(("H56.112", "H56.113")), "SIG.DIGEST")
    yield vector("S22", "another attachment digest", _text(("ba7816bf", "ba7816be")), "SIG.DIGEST")
    yield vector(
        "S22",
        "another kind of business",
        _text(("<edXML:BussinessDocType>0", "<edXML:BussinessDocType>1")),
        "SIG.DIGEST",
    )
    yield vector(
        "S23",
        "SignatureValue is not base64",
        _text(("<ds:SignatureValue>", "<ds:SignatureValue>*")),
        "SIG.STRUCTURE",
        other="Python's b64decode skips what is not base64",
    )
    yield vector("S23", "DigestValue is not base64", _text(("<ds:DigestValue>", "<ds:DigestValue>é")), "SIG.STRUCTURE")
    yield vector(
        "S23", "an element in DigestValue", _text(("<ds:DigestValue>", "<ds:DigestValue><x/>")), "SIG.STRUCTURE"
    )
    yield vector("S23", "DigestValue of 31 octets", _first(Reference("#header", digest=b"\0" * 31)), "SIG.STRUCTURE")
    yield vector(
        "S23", "blanks in SignatureValue", _forge(lambda _: Forgery(encode=lambda v: " \n".join(b64encode(v).decode())))
    )
    yield vector("S24", "the attacker's key and certificate", _foreign_key, "SIG.VALUE")
    yield vector("S25", "KeyValue in KeyInfo", _forge(lambda _: Forgery(key_info=KEY_VALUE)), other=CLOSED)
    yield vector("S25", "RetrievalMethod in KeyInfo", _forge(lambda _: Forgery(key_info=RETRIEVAL)))
    yield vector("S25", "the attacker's key, KeyValue in KeyInfo", lambda p: _foreign_key(p, KEY_VALUE), "SIG.VALUE")
    yield vector(
        "S25",
        "the attacker's key, garbage as certificate",
        lambda p: _foreign_key(p, GARBAGE),
        "SIG.VALUE",
    )
    yield vector(
        "S25",
        "garbage as certificate",
        _forge(lambda _: Forgery(key_info=GARBAGE)),
    )
    yield vector("S25", "fifty certificates of another office", _many_certificates)
    for number in range(1, 9):
        for ids in (True, False):
            yield vector(
                "S26",
                f"XSW{number}, the clone {'with' if ids else 'without'} Ids",
                _xsw(number, ids),
                "SIG.DUPLICATE_ID",
                "SIG.STRUCTURE",
                "SIG.POSITION",
                "SIG.DIGEST",
                "SIG.MISSING",
                "ENV.WRONG_ROOT",
            )
    for name in ("MessageHeader", "Bussiness", "edXMLManifest"):
        for ids in (True, False):
            yield vector(
                "S26",
                f"{name} moved into ds:Object, Id {'twice' if ids else 'once'}",
                _part_elsewhere(name, ids),
                "SIG.DUPLICATE_ID",
                "SIG.REFERENCE",
                "SIG.STRUCTURE",
                other="" if ids else WRAPPED,
            )
    yield vector("S26", "two MessageHeaders", _edit(_second_header), "SIG.POSITION", other=WRAPPED)
    yield vector("S27", "ID on the root", _set(f"{E}edXML", "ID", "header"), "ENV.ID_ATTRIBUTE", other=UNSIGNED)
    yield vector(
        "S27",
        "xml:id on the root",
        _set(f"{E}edXML", "{http://www.w3.org/XML/1998/namespace}id", "header"),
        "ENV.ID_ATTRIBUTE",
        other=UNSIGNED,
    )
    yield vector("S27", "a namespaced Id", _set(f"{E}edXML", "{urn:x}Id", "header"), "ENV.ID_ATTRIBUTE")
    yield vector("S27", "the same Id twice", _set(f"{E}edXML", "Id", "header"), "SIG.DUPLICATE_ID")
    yield vector("S27", "the Signature with an Id", _set(f"{DS}Signature", "Id", "s"), "SIG.STRUCTURE", other=CLOSED)
    yield vector("S28", "the signed original in ds:Object", _xsw(8, ids=False), "SIG.STRUCTURE")
    yield vector(
        "S29",
        "an element after Signature",
        _edit(lambda root: _signature(root).addnext(etree.Element(f"{E}Extra"))),
        "SIG.POSITION",
        other=UNSIGNED,
    )
    yield vector("S29", "text after Signature", _text(("</ds:Signature>", "</ds:Signature>evil")), "SIG.POSITION")
    yield vector("S30", "an attribute on a signed part", _set(f"{E}MessageHeader", "x", "1"), "SIG.DIGEST")
    yield vector(
        "S30",
        "a prefix renamed",
        lambda p: _good(p).replace(b"edXML:", b"edx:").replace(b"xmlns:edXML=", b"xmlns:edx="),
        "SIG.DIGEST",
    )
    yield vector("S30", "a blank in a signed part", _text(("<edXML:From>", "<edXML:From> ")), "SIG.DIGEST")
    yield vector("S30", "a blank in SignedInfo", _text(("<ds:SignedInfo>", "<ds:SignedInfo> ")), "SIG.VALUE")
    yield vector("S30", "a part without its Id", _text((' Id="business"', "")), "SIG.REFERENCE")
    yield vector("S30", "a part that is not there", _edit(lambda root: root[0].remove(root[0][1])), "SIG.REFERENCE")
    yield vector(
        "X20",
        "a comment in signed text",
        _text(("<edXML:CodeNumber>1", "<edXML:CodeNumber>1<!---->")),
        "ENV.COMMENT_OR_PI",
        other=CLOSED,
    )
    yield vector(
        "X22", "CDATA for the same text", _text(("<edXML:Place>Thanh Hóa<", "<edXML:Place><![CDATA[Thanh Hóa]]><"))
    )
    yield vector(
        "X29",
        "a relative namespace in a signed part",
        _text(("<edXML:Subject>", '<edXML:Subject xmlns:v="1" v:x="1">')),
        "SIG.C14N",
    )
    yield vector(
        "K01",
        "an office without a key",
        lambda p: forge(DOCUMENT.replace("H56.05<", "H56.77<", 1), p.signer("H56.05"), Forgery()),
        "KEY.UNKNOWN_SIGNER",
    )
    yield vector("K02", "another office's good key", _other_office, "KEY.WRONG_SIGNER")


VECTORS = tuple(_vectors())
