"""Outgoing: a message as an older system reads it, with its files inside.

It is read from the envelope that the ledger keeps, which was verified when it
was accepted, and each file comes out of the spool in chunks on its way into the
answer. The axis adds its own TraceHeader: readers of the older forms want one.

Spec: docs/protocol/dialects.md 6.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from axis import edxml
from axis.edxml import Document
from axis.edxml.dialects import DEFAULT, Dialect, Rendering
from axis.edxml.dialects import rendered as write
from axis.errors import PermanentError
from axis.gateway.rooms import AllRooms
from axis.ledger import EnvelopeRow
from axis.spool import Spool


def own_dialect(rooms: AllRooms, office: str) -> Dialect:
    """Return the dialect that the roll states for an office, or else the usual one."""
    known = rooms.roll()[0].find(office)
    policy = None if known is None else known.policy
    return DEFAULT if policy is None else policy.dialect


async def in_dialect(rooms: AllRooms, envelope: EnvelopeRow, dialect: Dialect) -> Rendering:
    """Return an envelope in a dialect, all of whose files are there.

    Raises:
        PermanentError: API.NOT_FOUND, ATT.MISSING
        TransientError: SYS.LEDGER, SYS.SPOOL
    """
    sealed = await rooms.ledger.sealed(envelope.envelope_id)
    if sealed is None:
        raise PermanentError("API.NOT_FOUND")
    rendering = await asyncio.to_thread(_rendered, sealed, dialect, envelope, rooms.axis)
    await _require_files(rendering, rooms.spool)
    return rendering


def _rendered(sealed: bytes, dialect: Dialect, envelope: EnvelopeRow, axis: str) -> Rendering:
    """Return an envelope in a dialect, with room for its files.

    Args:
        sealed: As it was accepted.
        dialect: In which.
        envelope: Its row.
        axis: OrganId of the axis.
    """
    received = edxml.parse(sealed)
    parts = {name: part for name in edxml.PARTS[received.kind] if (part := received.part(name)) is not None}
    message = edxml.read_trees(received.kind, parts)
    if isinstance(message, Document):
        message = replace(message, traces=(*edxml.read_traces(received), (axis, envelope.accepted_at)))
    return write(dialect, message)


async def _require_files(rendering: Rendering, spool: Spool) -> None:
    """Make sure that every file is there before the answer begins.

    Raises:
        PermanentError: ATT.MISSING
        TransientError: SYS.SPOOL
    """
    for ref in rendering.refs:
        if await spool.exists(ref.sha256) is None:
            raise PermanentError("ATT.MISSING", ref.name)


async def whole(rendering: Rendering, spool: Spool) -> AsyncIterator[bytes]:
    """Yield the message with its files.

    Raises:
        TransientError: SYS.SPOOL
    """
    yield rendering.pieces[0]
    for ref, piece in zip(rendering.refs, rendering.pieces[1:], strict=True):
        packed = rendering.packed(ref)
        yield packed.begin()
        async for chunk in spool.stream(ref.sha256, size=ref.size_bytes):
            # To compress a megabyte takes long enough for others to wait.
            yield await asyncio.to_thread(packed.add, chunk)
        yield packed.end() + piece
