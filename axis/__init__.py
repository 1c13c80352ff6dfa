"""The document axis. A document walks through these rooms, in this order:

    edxml/      1 READING     bytes -> Received: hardened parse, attachments split off, schema, rules
    seal/       2 THE SEAL    Received -> Verified: who said it, and that nobody changed it
    registry/   3 THE ROLL    which offices there are, under which names, who may write to whom
    routing/    4 SORTING     a verified message -> one route for each addressee
    intake/     5 CUSTODY     accept: judge it, take custody in one commit, answer
    ledger/     6 THE BOOK    envelopes, deliveries, events, receipts, outbox
    spool/      7 THE STORE   attachments by digest
    dispatch/   8 THE CLOCK   what is due goes to its inbox; answers move deliveries
    receipts/   9 ANSWERS     what was said about it, signed and chained
    office/    10 THE COUNTER what an office's system speaks to

    broker/     the pipes between the rooms and the offices
    gateway/    HTTP for offices
    telemetry/  log events, metrics, health
    cli/        one command file per noun
    flow/       business flows as files, played on a real axis
    app.py      the processes, put together from the rooms
    audit/      the book held against itself, the offices, the broker and the spool
    backup.py   ledger and spool, as they were together
    batches.py  what is ready together is done together
    garbage.py  how often a process looks for it

What an integrator imports stands below, and nothing else of the axis is for
adapters: `from axis import Office, Document, Registered, Refused`. The names
are loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from axis.edxml import (
        AttachmentRef,
        Business,
        BusinessType,
        Organization,
        Priority,
        Replacement,
        ResponseFor,
        Staff,
        Status,
    )
    from axis.edxml import Document as Draft
    from axis.edxml.rules import name_problem
    from axis.errors import AxisError, PermanentError, Refusal, TransientError, Violation
    from axis.office import (
        Attachment,
        Delivered,
        Document,
        File,
        Notice,
        Office,
        OfficeSettings,
        Permanent,
        Progress,
        Refused,
        Registered,
        StatusReport,
        Submission,
        Unavailable,
    )
    from axis.receipts import Level

_ROOMS = {
    "axis.edxml": (
        "AttachmentRef",
        "Business",
        "BusinessType",
        "Organization",
        "Priority",
        "Replacement",
        "ResponseFor",
        "Staff",
        "Status",
    ),
    "axis.edxml.rules": ("name_problem",),
    "axis.errors": ("AxisError", "PermanentError", "Refusal", "TransientError", "Violation"),
    "axis.office": (
        "Attachment",
        "Delivered",
        "Document",
        "File",
        "Notice",
        "Office",
        "OfficeSettings",
        "Permanent",
        "Progress",
        "Refused",
        "Registered",
        "StatusReport",
        "Submission",
        "Unavailable",
    ),
    "axis.receipts": ("Level",),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

# A `Document` has come to this office; a `Draft` is one that it writes.
__all__ = [
    "Attachment",
    "AttachmentRef",
    "AxisError",
    "Business",
    "BusinessType",
    "Delivered",
    "Document",
    "Draft",
    "File",
    "Level",
    "Notice",
    "Office",
    "OfficeSettings",
    "Organization",
    "Permanent",
    "PermanentError",
    "Priority",
    "Progress",
    "Refusal",
    "Refused",
    "Registered",
    "Replacement",
    "ResponseFor",
    "Staff",
    "Status",
    "StatusReport",
    "Submission",
    "TransientError",
    "Unavailable",
    "Violation",
    "name_problem",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its room."""
    from importlib import import_module

    if name == "Draft":
        return import_module("axis.edxml").Document
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'axis' has no attribute {name!r}")
