"""Password: how a system that cannot sign shows at the gateway for which office it calls.

The axis makes it, shows it once and keeps its digest. It holds 256 random bits,
so that nothing slower than one SHA-256 is needed to keep it: there is nothing
to guess.

Spec: docs/protocol/keys.md 9; NIST SP 800-63B §5.1.2 (look-up secrets).
"""

import secrets
from hashlib import sha256

_PREFIX = "axp_"  # By which a scanner of source code, or a person, knows what has leaked.
_BYTES = 32
_CHARS = len(_PREFIX) + 43  # 32 bytes in base64 without padding.


def make_password() -> str:
    """Return a new password."""
    return _PREFIX + secrets.token_urlsafe(_BYTES)


def password_digest(password: str) -> str | None:
    """Return what is kept of a password; None for a text that is none."""
    if len(password) != _CHARS or not password.startswith(_PREFIX) or not password.isascii():
        return None
    return sha256(password.encode()).hexdigest()
