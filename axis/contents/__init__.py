"""CONTENTS (room 2): what travels beside a document, and is more than a file to those who know it.

A dossier of the one-stop counter, a task, an invitation: each is an attachment
with a media type of its own, under the seal like every file. `kinds` tells it
from other attachments, `examine` reads and judges it, `render` writes it,
`timeline` says whether a dossier or a task is in time, `calendar` (loaded by
whoever needs it) makes an .ics of an invitation. Nothing here does I/O or reads a clock.

Spec: docs/protocol/contents.md.
"""

from axis.contents.dossier import (
    ApplicantType,
    Channel,
    Dossier,
    DossierFee,
    DossierFile,
    DossierPaper,
    DossierProgress,
    DossierResult,
    DossierStatus,
    DossierSupplement,
)
from axis.contents.examine import MOST_VIOLATIONS, examine, violations_of
from axis.contents.invitation import Guest, Invitation
from axis.contents.kinds import (
    HEAD_BYTES,
    KINDS,
    MAX_CONTENT_BYTES,
    Kind,
    content_type_of,
    is_content_name,
    listed,
    row_in,
    row_of,
)
from axis.contents.read import read
from axis.contents.render import render
from axis.contents.rules import Carrier, check, check_manifest
from axis.contents.shapes import Content, path_to, root_of
from axis.contents.task import Assignee, DocumentRef, Part, Task, TaskCompletion, TaskProgress, TaskStatus
from axis.contents.timeline import DossierStep, Judgement, Timeliness, TimelinessReason, judge_dossier, judge_task

__all__ = [
    "HEAD_BYTES",
    "KINDS",
    "MAX_CONTENT_BYTES",
    "MOST_VIOLATIONS",
    "ApplicantType",
    "Assignee",
    "Carrier",
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
    "Kind",
    "Part",
    "Task",
    "TaskCompletion",
    "TaskProgress",
    "TaskStatus",
    "Timeliness",
    "TimelinessReason",
    "check",
    "check_manifest",
    "content_type_of",
    "examine",
    "is_content_name",
    "judge_dossier",
    "judge_task",
    "listed",
    "path_to",
    "read",
    "render",
    "root_of",
    "row_in",
    "row_of",
    "violations_of",
]
