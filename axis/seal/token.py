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


def check_token(token: str, trust: Trust, now: datetime) -> str:
    """Return the OrganId for which a token speaks, as the token writes it.

    Raises:
        Refusal: API.AUTH
        TransientError: KEY.REVOCATION_UNKNOWN
    """
    if len(token) > _MAX_CHARS:
        raise refuse("API.AUTH", "token too long")
    organ_id = _claimed(token)
    for signer in trust.signers_of(organ_id):
        claims = _claims(token, signer)
        if claims is None:
            continue
        _require_times(claims, now)
        try:
            trust.require(signer, at=now)
        except Refusal as error:
            raise refuse("API.AUTH", error.violations[0].en, detail_vi=error.violations[0].vi) from error
        return organ_id
    raise refuse("API.AUTH", "not signed with a key registered for iss")


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
