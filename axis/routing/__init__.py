"""SORTING (room 4): a verified message and the roll become routes, one for each addressee.

Pure, and able to say why. Each addressee is decided by itself: one that cannot
be served takes nothing away from the others. `links` tells what a message is to
earlier documents.

Spec: docs/protocol/intake.md, orders.md.
"""

from axis.routing.links import ANSWERS, EMPTY_HANDED, JUDGED, Link, LinkKind, amiss, deliver_to, links, wrong_with
from axis.routing.resolve import Held, Resolution, Route, heirs_of, require_active, require_heir, resolve

__all__ = [
    "ANSWERS",
    "EMPTY_HANDED",
    "JUDGED",
    "Held",
    "Link",
    "LinkKind",
    "Resolution",
    "Route",
    "amiss",
    "deliver_to",
    "heirs_of",
    "links",
    "require_active",
    "require_heir",
    "resolve",
    "wrong_with",
]
