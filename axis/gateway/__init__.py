"""HTTP for offices: attachments up and down, whole envelopes in and out, receipts, the news of all that.

The same intake as over AMQP, the same violations, the same receipts. An office
sees what it sent or was sent; for everything else there is no difference
between forbidden and absent.

Spec: docs/protocol/gateway.md; RFC 9110 (ranges), RFC 9457 (problems).
"""

from axis.gateway.app import build
from axis.gateway.webhooks import Terms

__all__ = ["Terms", "build"]
