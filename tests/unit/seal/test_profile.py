"""A SignedInfo as the axis writes it is known by its bytes; what others write is walked, with the same result."""

import re

import pytest
from lxml import etree

from axis.errors import Refusal
from axis.seal import profile
from axis.seal.profile import DSIG, Method

_DIGESTS = [("header", b"\x01" * 32), ("business", b"\xfe" * 32), ("manifest", bytes(range(32)))]


def _signed(octets: bytes) -> tuple[etree._Element, dict[str, etree._Element]]:
    """Return a message that carries a SignedInfo, and its parts."""
    parts = "".join(f'<p Id="{name}"/>' for name, _ in _DIGESTS)
    signature = (
        f'<ds:Signature xmlns:ds="{DSIG}">{octets.decode()}'
        "<ds:SignatureValue>AAAA</ds:SignatureValue><ds:KeyInfo/></ds:Signature>"
    )
    root = etree.fromstring(f"<root>{parts}{signature}</root>")
    return root, {str(part.get("Id")): part for part in root.iter("p")}


@pytest.mark.parametrize("method", list(Method))
def test_what_the_axis_writes_is_known_without_a_walk(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    root, parts = _signed(profile.signed_info(_DIGESTS, method)[1])
    walked = profile._walked(root[-1][0], list(parts))
    monkeypatch.setattr(profile, "_walked", None)
    seal = profile.read_seal(root, root, parts)
    assert (seal.method, seal.digests) == walked == (method, tuple(digest for _, digest in _DIGESTS))


def test_what_others_write_is_walked() -> None:
    written = profile.signed_info(_DIGESTS, Method.ECDSA)[1]
    for other in (
        written.replace(b"<ds:Reference", b"\n  <ds:Reference"),
        written.replace(b"<ds:SignedInfo>", f'<ds:SignedInfo xmlns:d="{DSIG}">'.encode()).replace(
            b"ds:Digest", b"d:Digest"
        ),
    ):
        root, parts = _signed(other)
        seal = profile.read_seal(root, root, parts)
        assert seal.digests == tuple(digest for _, digest in _DIGESTS)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"#header", b"#heade", "SIG.REFERENCE"),
        (b'URI="#header"', b'URI="#business"', "SIG.STRUCTURE"),
        (b'URI="#header"', b'URI="#header" Id="x"', "SIG.STRUCTURE"),
        (b"xmlenc#sha256", b"xmlenc#sha512", "SIG.ALGORITHM"),
        (b"ecdsa-sha256", b"ecdsa-sha1", "SIG.ALGORITHM"),
        (b"</ds:SignedInfo>", b"<ds:Object/></ds:SignedInfo>", "SIG.STRUCTURE"),
        (b"<ds:SignedInfo>", b'<ds:SignedInfo Id="s">', "SIG.STRUCTURE"),
        (b"<ds:DigestValue>", b"<ds:DigestValue>AAAA", "SIG.STRUCTURE"),
        (b"<ds:DigestValue>", b"<ds:DigestValue>!", "SIG.STRUCTURE"),
    ],
)
def test_one_change_is_refused(old: bytes, new: bytes, code: str) -> None:
    written = profile.signed_info(_DIGESTS, Method.ECDSA)[1]
    root, parts = _signed(written.replace(old, new, 1))
    with pytest.raises(Refusal, match=re.escape(code)):
        profile.read_seal(root, root, parts)
