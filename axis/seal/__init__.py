"""THE SEAL (room 2): who said it, and that nobody changed it.

`seal` and `seal_message` sign for an office; `verify` turns Received into
Verified, which is the only way for content to reach routing, storage or an
addressee. `trust` judges certificates, `pki` makes them, `token` and `peer` use
the same keys at the gateway, and `password` is for systems that have none.

Spec: docs/protocol/envelope.md (the axis profile), docs/protocol/keys.md.
"""

from axis.seal.folder import load_authorities, load_certificates, load_trust
from axis.seal.password import make_password, password_digest
from axis.seal.peer import check_peer
from axis.seal.sign import Sealed, SigningKey, seal, seal_message
from axis.seal.token import Tokens, check_token, make_token
from axis.seal.trust import Trust, days_left
from axis.seal.verify import Verified, digest_of, require_still_good, verify

__all__ = [
    "Sealed",
    "SigningKey",
    "Tokens",
    "Trust",
    "Verified",
    "check_peer",
    "check_token",
    "days_left",
    "digest_of",
    "load_authorities",
    "load_certificates",
    "load_trust",
    "make_password",
    "make_token",
    "password_digest",
    "require_still_good",
    "seal",
    "seal_message",
    "verify",
]
