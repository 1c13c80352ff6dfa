"""Enclosed: the contents that a document lists are read and judged before custody begins.

Of an ordinary document nothing is read: its manifest names no content.

Spec: docs/protocol/contents.md 2; docs/protocol/intake.md 1.6, 1.8.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date

from axis import contents
from axis.contents import (
    Carrier,
    Content,
    Dossier,
    DossierProgress,
    DossierStatus,
    Task,
    TaskCompletion,
    TaskProgress,
    TaskStatus,
)
from axis.contents.dossier import day_of
from axis.contents.task import Speaker
from axis.edxml import AttachmentRef, BusinessType, Document, Message
from axis.edxml.values import begin_of
from axis.errors import Refusal, Violation, refuse
from axis.intake.examine import Examined
from axis.ledger import DossierSaid, Impossible, TaskSaid
from axis.registry import Registry
from axis.spool import Spool

# Files that came with a message, by digest: the bytes of contents, nothing of any other, None for what is not as sealed.
Files = Mapping[str, bytes | None]


async def require_contents(
    examined: Examined, *, spool: Spool, roll: Registry, today: date, carried: Files
) -> tuple[Content, ...]:
    """Return the contents of an envelope whose files are all here.

    Args:
        examined: The envelope.
        spool: Where its files are.
        roll: The offices as known now.
        today: In Vietnam.
        carried: Files that are not in the spool; what is not as sealed is not read.

    Raises:
        Refusal: CON.*; every violation of every content.
        TransientError: SYS.SPOOL
    """
    message = examined.verified.message
    listed = contents.listed(examined.attachments)
    if not listed or not isinstance(message, Document):
        return ()
    carrier = Carrier(
        message,
        reached=frozenset(
            one.office.code for one in examined.resolution.routes if one.served and one.office is not None
        ),
        canonical=lambda organ_id: _code(roll, organ_id),
    )
    # `examine` has seen that none is larger than a content may be, and intake that the spool has what is listed.
    files = [carried[ref.sha256] if ref.sha256 in carried else await _read(spool, ref) for ref in listed]
    return await asyncio.to_thread(_judged, listed, files, carrier, today)


async def _read(spool: Spool, ref: AttachmentRef) -> bytes:
    return b"".join([chunk async for chunk in spool.stream(ref.sha256, size=ref.size_bytes)])


def _judged(
    listed: Sequence[AttachmentRef], files: Sequence[bytes | None], carrier: Carrier, today: date
) -> tuple[Content, ...]:
    found: list[Violation] = []
    read: list[Content] = []
    for ref, xml in zip(listed, files, strict=True):
        if xml is None:
            continue
        row = contents.row_of(ref)
        try:
            read.append(contents.examine(xml, today=today, kind=row.kind if row else None, carrier=carrier))
        except Refusal as refusal:
            found += refusal.violations
    if found:
        raise Refusal(found[: contents.MOST_VIOLATIONS])
    return tuple(read)


def dossier_said(enclosed: Sequence[Content], business: BusinessType) -> DossierSaid | None:
    """Return what a document tells of a dossier; one that takes a document back tells nothing."""
    content = next((one for one in enclosed if isinstance(one, Dossier | DossierProgress)), None)
    if content is None or business is BusinessType.RECALL:
        return None
    day = day_of(content.code)
    if day is None:
        raise AssertionError("the rules have seen that there is such a day")
    # What is due in a step is the step's own, not the dossier's.
    received_at, due_at = (content.received_at, content.due_at) if isinstance(content, Dossier) else (None, None)
    return DossierSaid(
        code=content.code,
        status=int(content.status),
        at=content.happened_at,
        not_before=received_at or begin_of(day),
        due_at=due_at,
    )


def task_said(enclosed: Sequence[Content], message: Message, roll: Registry) -> TaskSaid | None:
    """Return what a document tells of a task; one that takes a document back tells nothing."""
    content = next((one for one in enclosed if isinstance(one, Task | TaskProgress | TaskCompletion)), None)
    if content is None or not isinstance(message, Document) or message.business_type is BusinessType.RECALL:
        return None
    match content:
        case Task(assignees=assignees):
            organs = [one.organ_id for one in assignees]
            status, at = TaskStatus.GIVEN, begin_of(message.promulgated_on)
        case TaskProgress(status=status, at=at):
            organs = [content.assignee]
        case TaskCompletion(completed_at=at):
            organs, status = [content.assignee], TaskStatus.COMPLETED
    given_by = _code(roll, content.given_by)
    codes = tuple(sorted({_code(roll, one) for one in organs}))
    is_giver = _code(roll, message.originator.organ_id) == given_by
    return TaskSaid(
        given_by=given_by,
        code=content.code,
        assignees=codes,
        stands_for=roll.line_of(codes[0]) if status is not TaskStatus.GIVEN else frozenset(),
        status=int(status),
        at=at,
        speaker=Speaker.GIVER if is_giver else Speaker.ASSIGNEE,
        due_on=content.due_on if isinstance(content, Task) else None,
    )


def impossible(enclosed: Sequence[Content], found: Impossible) -> Refusal:
    """Return the refusal of a document that tells of a dossier or a task what cannot be."""
    if found.assignee is None:
        content = next(one for one in enclosed if isinstance(one, Dossier | DossierProgress))
        return _transition(content, DossierStatus(found.before or 0), content.status, "rule:dossier.transition")
    told = next(one for one in enclosed if isinstance(one, TaskProgress | TaskCompletion))
    if found.before is not None:
        status = told.status if isinstance(told, TaskProgress) else TaskStatus.COMPLETED
        return _transition(told, TaskStatus(found.before), status, "rule:task.transition")
    return refuse(
        "CON.PARTY",
        f"{found.assignee} was not given {told.code}",
        detail_vi=f"{found.assignee} không được giao {told.code}",
        path=contents.path_to(told, "assignee"),
        rule="rule:task.assigned",
    )


def _transition(
    content: Dossier | DossierProgress | TaskProgress | TaskCompletion,
    before: DossierStatus | TaskStatus,
    after: DossierStatus | TaskStatus,
    rule: str,
) -> Refusal:
    return refuse(
        "CON.TRANSITION",
        f"{content.code}: {before} → {after}",
        detail_vi=f"{content.code}: {before} ({before.label}) → {after} ({after.label})",
        path=contents.path_to(content, *([] if isinstance(content, TaskCompletion) else ["status"])),
        rule=rule,
    )


def _code(roll: Registry, organ_id: str) -> str:
    office = roll.find(organ_id)
    return organ_id if office is None else office.code
