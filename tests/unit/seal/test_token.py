"""Tokens: short, for the axis, by the registered key, and nothing else."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from axis import seal
from axis.errors import PermanentError, Refusal, TransientError
from tests.province import AT, DAY, Province, province, revoked, rsa_key

MINUTE = timedelta(minutes=1)


def _claims(**changes: Any) -> dict[str, Any]:
    claims = {"iss": "H56.05", "aud": "axis", "iat": AT, "exp": AT + 5 * MINUTE, "jti": "1"} | changes
    return {name: value for name, value in claims.items() if value is not None}


def _signed(of: Province, organ_id: str = "H56.05", algorithm: str = "ES256", **changes: Any) -> str:
    payload = json.dumps(_claims(**changes), default=lambda at: int(at.timestamp())).encode()
    return jwt.PyJWS().encode(payload, of.keys[organ_id], algorithm=algorithm)


def _by_hand(of: Province, header: dict[str, Any]) -> str:
    """A token whose signature is the public key's HMAC, or nothing."""
    parts = [json.dumps(part, default=lambda at: int(at.timestamp())).encode() for part in (header, _claims())]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    if header["alg"] == "none":
        return text.decode() + "."
    import hashlib
    import hmac

    public = of.keys["H56.05"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    mac = base64.urlsafe_b64encode(hmac.new(public, text, hashlib.sha256).digest()).rstrip(b"=")
    return (text + b"." + mac).decode()


@pytest.mark.parametrize("key", [lambda: ec.generate_private_key(ec.SECP256R1()), rsa_key], ids=["ES256", "RS256"])
def test_token_speaks_for_its_office(key: Callable[[], Any]) -> None:
    of = Province()
    signer = of.register("H56.05", key())
    token = seal.make_token("H56.05", signer, AT)
    assert seal.check_token(token, of.trust(), AT) == "H56.05"


def test_tokens_differ() -> None:
    of = province()
    assert seal.make_token("H56.05", of.signer("H56.05"), AT) != seal.make_token("H56.05", of.signer("H56.05"), AT)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (lambda of: "", "empty"),
        (lambda of: "a.b.c", "garbage"),
        (lambda of: "é" * 30, "not ascii"),
        (lambda of: "x" * 5000, "too long"),
        (lambda of: _by_hand(of, {"alg": "none"}), "alg none"),
        (lambda of: _by_hand(of, {"alg": "HS256"}), "HMAC with the public key"),
        (lambda of: _by_hand(of, {"alg": "HS256", "kid": "../../dev/null"}), "kid"),
        (lambda of: _signed(of, "H56.112"), "another office's key"),
        (lambda of: _signed(of, iss="H56.77"), "unknown office"),
        (lambda of: _signed(of, iss=["H56.05"]), "iss is a list"),
        (lambda of: _signed(of, aud="other"), "other audience"),
        (lambda of: _signed(of, aud=None), "no audience"),
        (lambda of: _signed(of, jti=None), "no jti"),
        (lambda of: _signed(of, exp=None), "no end"),
        (lambda of: _signed(of, exp=AT + 6 * MINUTE), "lives too long"),
        (lambda of: _signed(of, iat="now"), "iat is text"),
        (lambda of: _signed(of, iat=AT + 2 * MINUTE), "from the future"),
        (lambda of: _signed(of, iat=AT - 7 * MINUTE, exp=AT - 2 * MINUTE), "expired"),
        (lambda of: _signed(of)[:-4], "truncated"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_tokens_are_refused(token: Callable[[Province], str], why: str) -> None:
    of = province()
    with pytest.raises(Refusal) as caught:
        seal.check_token(token(of), of.trust(), AT)
    assert caught.value.code == "API.AUTH", why


def test_clocks_may_differ_by_a_minute() -> None:
    of = province()
    token = seal.make_token("H56.05", of.signer("H56.05"), AT)
    for at in (AT - MINUTE / 2, AT + 5.5 * MINUTE):
        assert seal.check_token(token, of.trust(), at) == "H56.05"


def test_key_of_another_kind_beside_it_does_no_harm() -> None:
    of = province()
    token = seal.make_token("H56.05", of.signer("H56.05"), AT)
    of.register("H56.05", rsa_key(), not_before=AT - DAY)
    assert seal.check_token(token, of.trust(), AT) == "H56.05"


def test_revoked_certificate_opens_no_door() -> None:
    of = province()
    token = seal.make_token("H56.05", of.signer("H56.05"), AT)
    trust = of.trust(of.crl(revoked(of.certificates["H56.05"][0], AT - DAY)))
    with pytest.raises(Refusal) as caught:
        seal.check_token(token, trust, AT)
    assert caught.value.code == "API.AUTH"


def test_unknown_revocation_is_no_refusal() -> None:
    of = province()
    token = seal.make_token("H56.05", of.signer("H56.05"), AT)
    with pytest.raises(TransientError):
        seal.check_token(token, of.trust(require_fresh_crl=True), AT)


def test_key_without_algorithm_makes_no_token() -> None:
    of = Province()
    signer = of.register("H56.05", ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(PermanentError):
        seal.make_token("H56.05", signer, AT)
