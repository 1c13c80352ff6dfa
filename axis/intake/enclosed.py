"""Enclosed: the contents that a document lists are read and judged before custody begins.

Of an ordinary document nothing is read: its manifest names no content.

Spec: docs/protocol/contents.md 2; docs/protocol/intake.md 1.7.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from axis import contents
from axis.contents import Carrier, Content, Dossier, DossierProgress, DossierStatus
from axis.contents.dossier import day_of
from axis.edxml import AttachmentRef, BusinessType, Document
from axis.edxml.values import VIETNAM
from axis.errors import Refusal, Violation, refuse
from axis.intake.examine import Examined
from axis.ledger import DossierSaid
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
        not_before=received_at or datetime(day.year, day.month, day.day, tzinfo=VIETNAM),
        due_at=due_at,
    )


def impossible(enclosed: Sequence[Content], before: int) -> Refusal:
    """Return the refusal of a document whose dossier stands where no way leads on from."""
    content = next(one for one in enclosed if isinstance(one, Dossier | DossierProgress))
    stands = DossierStatus(before)
    return refuse(
        "CON.TRANSITION",
        f"{content.code}: {before} → {content.status}",
        detail_vi=f"{content.code}: {before} ({stands.label}) → {content.status} ({content.status.label})",
        path=contents.path_to(content, "status"),
        rule="rule:dossier.transition",
    )


def _code(roll: Registry, organ_id: str) -> str:
    office = roll.find(organ_id)
    return organ_id if office is None else office.code
