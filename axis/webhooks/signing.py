"""Signing: the three headers of Standard Webhooks, by shared secret (v1, HMAC-SHA256).

While a secret is renewed, the old one signs too: a receiver takes whichever of
the signatures it knows.

Spec: Standard Webhooks 1.0, "Signature scheme"; docs/adr/0020 (why not v1a).
"""

import secrets
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook

_BYTES = 32  # Standard Webhooks asks for 24 to 64.
_PREFIX = "whsec_"


def make_secret() -> str:
    """Return a new secret, as receivers write it."""
    return _PREFIX + b64encode(secrets.token_bytes(_BYTES)).decode()


def headers(message_id: str, now: datetime, body: bytes, keys: Sequence[str]) -> dict[str, str]:
    """Return the headers that prove a body to be ours.

    Args:
        message_id: Of the message.
        now: When it is sent; a receiver takes none that is old.
        body: As it is sent.
        keys: The secrets that sign, the newest first.
    """
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(key).sign(message_id, now, body.decode()) for key in keys),
    }
