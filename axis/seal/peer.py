"""Peer: how an office's connection shows at the gateway who it is.

A client certificate, whose key the caller has proven to hold when the connection
was made. It is judged like a seal: the name in it says only where to look, the
key must be one that the roll has registered for that office, and the registered
certificate must be good now. What is shown may be another certificate for the
same key, a renewed one that the roll does not have yet; then it must be good, too.

Spec: RFC 8446 §4.4.2, §4.4.3; RFC 5280 §6; docs/protocol/keys.md 6.1.
"""

from datetime import datetime

from cryptography import x509

from axis.errors import refuse
from axis.seal.token import require_good
from axis.seal.trust import Trust, common_name, signer_of


def check_peer(certificate: str, trust: Trust, now: datetime) -> str:
    """Return the OrganId for which a client certificate speaks, as it writes it.

    Args:
        certificate: In PEM form; the caller holds its key.
        trust: Whose certificates are believed.
        now: The present time.

    Raises:
        Refusal: API.AUTH
        TransientError: KEY.REVOCATION_UNKNOWN
    """
    try:
        shown = signer_of(x509.load_pem_x509_certificate(certificate.encode()))
        organ_id = common_name(shown.certificate)
    except (ValueError, x509.InvalidVersion) as error:
        raise refuse("API.AUTH", "not a certificate", detail_vi="không phải chứng thư") from error
    for registered in trust.signers_of(organ_id):
        if registered.key is not None and registered.key == shown.key:
            require_good(registered, trust, now)
            if shown.fingerprint != registered.fingerprint:
                require_good(shown, trust, now)
            return organ_id
    raise refuse(
        "API.AUTH",
        f"the certificate's key is not registered for {organ_id[:40] or '?'}",
        detail_vi=f"khóa của chứng thư chưa đăng ký cho {organ_id[:40] or '?'}",
    )
