"""THE BOOK (room 6): what the axis has promised, and what became of it.

The ledger is the truth. Envelopes, deliveries, receipts and notices change
together, in one commit, on SQLite or PostgreSQL alike. A delivery in state
`queued` is its own outbox row; `outbox` holds the receipts on their way to
offices. What is done with deliveries is decided by dispatch: the ledger
compares and sets.

Spec: design laws 1, 3, 4; docs/adr/0003, 0004.
"""

from axis.ledger.audit import AuditFinding, AuditReport
from axis.ledger.book import Ledger
from axis.ledger.deliveries import PUT_OFF, UNJUDGED
from axis.ledger.engine import migrate
from axis.ledger.feed import BEGINNING, Place, Stretch
from axis.ledger.links import LINK_CLAIM
from axis.ledger.passwords import PasswordRow
from axis.ledger.stories import Event, Standing, Story
from axis.ledger.values import (
    WITHOUT_IT,
    Asked,
    AttachmentRow,
    Attempt,
    Conflict,
    Custody,
    CustodyAnswer,
    DeliveryRow,
    DossierSaid,
    DossierStepRow,
    DueLink,
    DueNotice,
    EnvelopeRow,
    Failure,
    Figures,
    GivenTask,
    Heir,
    Impossible,
    InboxItem,
    KeyRow,
    Known,
    LaneRow,
    NewDelivery,
    NewLink,
    Notice,
    Numbered,
    Outcome,
    Punctuality,
    ReceiptEntry,
    ReceiptRow,
    Recorded,
    Rejection,
    Relation,
    Taken,
    TaskSaid,
    TaskStepRow,
)
from axis.ledger.webhooks import NotTold, WebhookRow

__all__ = [
    "BEGINNING",
    "LINK_CLAIM",
    "PUT_OFF",
    "UNJUDGED",
    "WITHOUT_IT",
    "Asked",
    "AttachmentRow",
    "Attempt",
    "AuditFinding",
    "AuditReport",
    "Conflict",
    "Custody",
    "CustodyAnswer",
    "DeliveryRow",
    "DossierSaid",
    "DossierStepRow",
    "DueLink",
    "DueNotice",
    "EnvelopeRow",
    "Event",
    "Failure",
    "Figures",
    "GivenTask",
    "Heir",
    "Impossible",
    "InboxItem",
    "KeyRow",
    "Known",
    "LaneRow",
    "Ledger",
    "NewDelivery",
    "NewLink",
    "NotTold",
    "Notice",
    "Numbered",
    "Outcome",
    "PasswordRow",
    "Place",
    "Punctuality",
    "ReceiptEntry",
    "ReceiptRow",
    "Recorded",
    "Rejection",
    "Relation",
    "Standing",
    "Story",
    "Stretch",
    "Taken",
    "TaskSaid",
    "TaskStepRow",
    "WebhookRow",
    "migrate",
]
