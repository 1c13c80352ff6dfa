"""THE DOORBELL: an office's own address is told, signed, that there is something for it.

What is told is thin - what happened, to which envelope, where to look - and the
office fetches the rest with its token: whoever holds the address learns no
content. At least once, in the order of the feed; what is not taken holds up
what stands behind it.

Spec: docs/protocol/webhooks.md; docs/adr/0020; Standard Webhooks 1.0.
"""

from axis.webhooks.messages import KINDS, Kind, Message, trial
from axis.webhooks.places import Allowed
from axis.webhooks.sender import Doing, Sender, Terms, state
from axis.webhooks.sending import Post, Told
from axis.webhooks.signing import make_secret

__all__ = [
    "KINDS",
    "Allowed",
    "Doing",
    "Kind",
    "Message",
    "Post",
    "Sender",
    "Terms",
    "Told",
    "make_secret",
    "state",
    "trial",
]
