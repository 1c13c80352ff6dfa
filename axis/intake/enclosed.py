"""Enclosed: the contents that a document lists are read and judged before custody begins.

Of an ordinary document nothing is read: its manifest names no content.

Spec: docs/protocol/contents.md 2; docs/protocol/intake.md 1.7.
"""

import asyncio
from collections.abc import Sequence
from datetime import date

from axis import contents
from axis.contents import Carrier, Content
from axis.edxml import AttachmentRef, Document
from axis.errors import Refusal, Violation
from axis.intake.examine import Examined
from axis.registry import Registry
from axis.spool import Spool


async def require_contents(examined: Examined, *, spool: Spool, roll: Registry, today: date) -> tuple[Content, ...]:
    """Return the contents of an envelope whose files are all in the spool.

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
    files = [b"".join([chunk async for chunk in spool.stream(ref.sha256, size=ref.size_bytes)]) for ref in listed]
    return await asyncio.to_thread(_judged, listed, files, carrier, today)


def _judged(
    listed: Sequence[AttachmentRef], files: Sequence[bytes], carrier: Carrier, today: date
) -> tuple[Content, ...]:
    found: list[Violation] = []
    read: list[Content] = []
    for ref, xml in zip(listed, files, strict=True):
        row = contents.row_of(ref)
        try:
            read.append(contents.examine(xml, today=today, kind=row.kind if row else None, carrier=carrier))
        except Refusal as refusal:
            found += refusal.violations
    if found:
        raise Refusal(found)
    return tuple(read)


def _code(roll: Registry, organ_id: str) -> str:
    office = roll.find(organ_id)
    return organ_id if office is None else office.code
