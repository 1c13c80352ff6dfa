"""Token: how an office's system shows at the gateway who it is.

A JWT of at most five minutes, signed with the same registered key that seals
the office's envelopes. The key is found by `iss` in our trust; the header
chooses nothing but between the two algorithms that the key's kind decides.

Spec: RFC 7519; RFC 8725 §3 (best current practices); RFC 7518 §3.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from axis.errors import PermanentError, Refusal, refuse
from axis.seal.sign import SigningKey
from axis.seal.trust import Signer, Trust

AUDIENCE = "axis"
LIFETIME = timedelta(minutes=5)
SKEW = timedelta(minutes=1)  # By which an office's clock may differ from ours.
_MAX_CHARS = 4096
_MAX_KNOWN = 10_000
_CLAIMS = ["iss", "aud", "iat", "exp", "jti"]
# PyJWT must not read the clock: times are judged below, at the time given.
_OPTIONS: Any = {"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False}


def make_token(organ_id: str, signer: SigningKey, now: datetime) -> str:
    """Return a token with which the office may call the gateway for five minutes.

    Raises:
        PermanentError: CFG.INVALID; the key is P-384, for which tokens have no algorithm.
    """
    algorithm = _algorithm(signer.key.public_key())
    if algorithm is None:
        raise PermanentError("CFG.INVALID", "tokens need a P-256 or RSA key")
    claims = {"iss": organ_id, "aud": AUDIENCE, "iat": now, "exp": now + LIFETIME, "jti": secrets.token_urlsafe(16)}
    return jwt.encode(claims, signer.key, algorithm=algorithm, headers={"typ": "JWT"})


class Tokens:
    """Remembers tokens that were found good, so that each is verified once and not with every request."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Trust, str, int]] = {}  # Until when, in seconds since 1970.

    def check(self, token: str, trust: Trust, now: datetime) -> str:
        """Return what `check_token` does. A token is verified anew when the trust has changed.

        Raises:
            Refusal: API.AUTH
            TransientError: KEY.REVOCATION_UNKNOWN
        """
        known = self._known.get(token)
        if known is not None and known[0] is trust and now.timestamp() < known[2]:
            return known[1]
        organ_id, expires = _checked(token, trust, now)
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()  # They live for minutes: nobody misses them for long.
        self._known[token] = trust, organ_id, expires
        return organ_id


def check_token(token: str, trust: Trust, now: datetime) -> str:
    """Return the OrganId for which a token speaks, as the token writes it.

    Raises:
        Refusal: API.AUTH
        TransientError: KEY.REVOCATION_UNKNOWN
    """
    return _checked(token, trust, now)[0]


def _checked(token: str, trust: Trust, now: datetime) -> tuple[str, int]:
    """Return for whom a token speaks, and until when by its own word."""
    if len(token) > _MAX_CHARS:
        raise refuse("API.AUTH", "token too long")
    organ_id = _claimed(token)
    for signer in trust.signers_of(organ_id):
        claims = _claims(token, signer)
        if claims is None:
            continue
        _require_times(claims, now)
        require_good(signer, trust, now)
        return organ_id, int(claims["exp"])
    raise refuse("API.AUTH", "not signed with a key registered for iss")


def require_good(signer: Signer, trust: Trust, now: datetime) -> None:
    """Refuse a caller whose certificate is not good now.

    Raises:
        Refusal: API.AUTH, in the words of what is wrong with it.
        TransientError: KEY.REVOCATION_UNKNOWN
    """
    try:
        trust.require(signer, at=now)
    except Refusal as error:
        raise refuse("API.AUTH", error.violations[0].en, detail_vi=error.violations[0].vi) from error


def _algorithm(key: object) -> str | None:
    if isinstance(key, rsa.RSAPublicKey):
        return "RS256"
    return "ES256" if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1" else None


def _claimed(token: str) -> str:
    """Return whom the token claims to be from, to look up the key by."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError) as error:
        raise refuse("API.AUTH", "not a token") from error
    organ_id = claims.get("iss")
    if not isinstance(organ_id, str):
        raise refuse("API.AUTH", "iss")
    return organ_id


def _claims(token: str, signer: Signer) -> dict[str, Any] | None:
    """Return the claims if this key signed them, with the one algorithm that goes with the key."""
    algorithm = _algorithm(signer.key)
    if algorithm is None or signer.key is None:
        return None
    try:
        return jwt.decode(token, signer.key, algorithms=[algorithm], audience=AUDIENCE, options=_OPTIONS)
    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
        return None
    except (jwt.PyJWTError, ValueError) as error:
        raise refuse("API.AUTH", type(error).__name__.removesuffix("Error")) from error


def _require_times(claims: dict[str, Any], now: datetime) -> None:
    issued, expires = claims["iat"], claims["exp"]
    if not isinstance(issued, int) or not isinstance(expires, int):
        raise refuse("API.AUTH", "iat, exp")
    moment = now.timestamp()
    if expires - issued > LIFETIME.total_seconds():
        raise refuse("API.AUTH", f"lives longer than {LIFETIME}")
    if moment < issued - SKEW.total_seconds():
        raise refuse("API.AUTH", "issued in the future")
    if moment >= expires + SKEW.total_seconds():
        raise refuse("API.AUTH", "expired")
