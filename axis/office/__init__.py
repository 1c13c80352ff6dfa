"""THE COUNTER (room 10): what an office's system speaks to.

`office` is what an integrator holds, `attempt` how one envelope is answered,
`order` what an originator may ask for later, `orders` what that does,
`hearing` and `outbound` are the other two ways through the counter, `state` is
what must not be forgotten, `testing` is an axis for unit tests.

Spec: docs/adapters.md; docs/protocol/broker.md, gateway.md, receipts.md,
office-orders.md.
"""

from axis.office.answers import (
    Agreed,
    Declined,
    Delivered,
    Permanent,
    Progress,
    Refused,
    Registered,
    Unavailable,
    Uncertain,
)
from axis.office.document import Attachment, Document, StatusReport
from axis.office.handlers import Notice
from axis.office.office import Office
from axis.office.order import Order, OrderKind, Target
from axis.office.prepare import File
from axis.office.settings import OfficeSettings
from axis.office.state import Submission

__all__ = [
    "Agreed",
    "Attachment",
    "Declined",
    "Delivered",
    "Document",
    "File",
    "Notice",
    "Office",
    "OfficeSettings",
    "Order",
    "OrderKind",
    "Permanent",
    "Progress",
    "Refused",
    "Registered",
    "StatusReport",
    "Submission",
    "Target",
    "Unavailable",
    "Uncertain",
]
