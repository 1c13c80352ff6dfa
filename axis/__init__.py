"""The document axis. A document walks through these rooms, in this order:

    edxml/      1 READING     bytes -> Received: hardened parse, attachments split off, schema, rules
    contents/     BESIDE IT    what a document carries that is more than a file: dossier, task, invitation
    seal/       2 THE SEAL    Received -> Verified: who said it, and that nobody changed it
    registry/   3 THE ROLL    which offices there are, under which names, who may write to whom
    routing/    4 SORTING     a verified message -> one route for each addressee
    intake/     5 CUSTODY     accept: judge it, take custody in one commit, answer
    ledger/     6 THE BOOK    envelopes, deliveries, events, receipts, outbox
    spool/      7 THE STORE   attachments by digest
    dispatch/   8 THE CLOCK   what is due goes to its inbox; answers move deliveries
    receipts/   9 ANSWERS     what was said about it, signed and chained
    office/    10 THE COUNTER what an office's system speaks to

    deadlines/  by when an office is to register a document and to be done with it; its calendar
    broker/     the pipes between the rooms and the offices
    gateway/    HTTP for offices
    webhooks/   an office's own address is told that there is something for it
    telemetry/  log events, metrics, health
    cli/        one command file per noun
    flow/       business flows as files, played on a real axis
    app.py      the processes, put together from the rooms
    audit/      the book held against itself, the offices, the broker and the spool
    backup.py   ledger and spool, as they were together
    batches.py  what is ready together is done together
    brief.py    what only computes, and not for long, is done where it stands
    garbage.py  how often a process looks for what holds itself
    turns.py    how long it keeps a processor that others wait for

What an integrator imports stands below, and nothing else of the axis is for
adapters: `from axis import Office, Document, Registered, Refused`. The names
are loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from axis.contents import (
        ApplicantType,
        Assignee,
        Channel,
        Content,
        DocumentRef,
        Dossier,
        DossierFee,
        DossierFile,
        DossierPaper,
        DossierProgress,
        DossierResult,
        DossierStatus,
        DossierStep,
        DossierSupplement,
        Guest,
        Invitation,
        Judgement,
        Part,
        Task,
        TaskCompletion,
        TaskProgress,
        TaskStatus,
        Timeliness,
        TimelinessReason,
        judge_dossier,
        judge_task,
    )
    from axis.contents import read as read_content
    from axis.contents import render as render_content
    from axis.contents.calendar import ics_of
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
        Agreed,
        Attachment,
        Declined,
        Delivered,
        Document,
        File,
        Notice,
        Office,
        OfficeSettings,
        Order,
        OrderKind,
        Permanent,
        Progress,
        Refused,
        Registered,
        StatusReport,
        Submission,
        Target,
        Unavailable,
        Uncertain,
    )
    from axis.receipts import Level

_ROOMS = {
    "axis.contents": (
        "ApplicantType",
        "Assignee",
        "Channel",
        "Content",
        "DocumentRef",
        "Dossier",
        "DossierFee",
        "DossierFile",
        "DossierPaper",
        "DossierProgress",
        "DossierResult",
        "DossierStatus",
        "DossierStep",
        "DossierSupplement",
        "Guest",
        "Invitation",
        "Judgement",
        "Part",
        "Task",
        "TaskCompletion",
        "TaskProgress",
        "TaskStatus",
        "Timeliness",
        "TimelinessReason",
        "judge_dossier",
        "judge_task",
    ),
    "axis.contents.calendar": ("ics_of",),
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
    ),
    "axis.receipts": ("Level",),
}
_HOMES = {name: (room, name) for room, names in _ROOMS.items() for name in names} | {
    "Draft": ("axis.edxml", "Document"),
    "read_content": ("axis.contents", "read"),
    "render_content": ("axis.contents", "render"),
}

# A `Document` has come to this office; a `Draft` is one that it writes.
__all__ = [
    "Agreed",
    "ApplicantType",
    "Assignee",
    "Attachment",
    "AttachmentRef",
    "AxisError",
    "Business",
    "BusinessType",
    "Channel",
    "Content",
    "Declined",
    "Delivered",
    "Document",
    "DocumentRef",
    "Dossier",
    "DossierFee",
    "DossierFile",
    "DossierPaper",
    "DossierProgress",
    "DossierResult",
    "DossierStatus",
    "DossierStep",
    "DossierSupplement",
    "Draft",
    "File",
    "Guest",
    "Invitation",
    "Judgement",
    "Level",
    "Notice",
    "Office",
    "OfficeSettings",
    "Order",
    "OrderKind",
    "Organization",
    "Part",
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
    "Target",
    "Task",
    "TaskCompletion",
    "TaskProgress",
    "TaskStatus",
    "Timeliness",
    "TimelinessReason",
    "TransientError",
    "Unavailable",
    "Uncertain",
    "Violation",
    "ics_of",
    "judge_dossier",
    "judge_task",
    "name_problem",
    "read_content",
    "render_content",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its room."""
    from importlib import import_module

    if name in _HOMES:
        room, there = _HOMES[name]
        return getattr(import_module(room), there)
    raise AttributeError(f"module 'axis' has no attribute {name!r}")
