"""Outgoing: a message as an older system reads it, with its files inside.

It is read from the envelope that the ledger keeps, which was verified when it
was accepted, and each file comes out of the spool in chunks on its way into the
answer. The axis adds its own TraceHeader: readers of the older forms want one.

An older system holds no sealed digest that it could compare a file with: it
believes what is whole. So each file is hashed on its way, and an answer with one
that was damaged in the spool never comes to its end.

Spec: docs/protocol/dialects.md 6.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256

from fastapi.responses import StreamingResponse
from starlette.types import Send

from axis import edxml
from axis.edxml import Document
from axis.edxml.dialects import DEFAULT, Dialect, Rendering
from axis.edxml.dialects import rendered as write
from axis.errors import PermanentError
from axis.gateway.rooms import AllRooms
from axis.ledger import EnvelopeRow
from axis.spool import Spool
from axis.telemetry import events


class _Damaged(Exception):
    """A file is not what its digest says."""


class Stream(StreamingResponse):
    """An answer with files in it. Half of one cannot be taken back: without its end the server cuts the line."""

    async def stream_response(self, send: Send) -> None:
        """Send it, up to a file that is damaged."""
        with contextlib.suppress(_Damaged):  # It is told where it is found.
            await super().stream_response(send)


def own_dialect(rooms: AllRooms, office: str) -> Dialect:
    """Return the dialect that the roll states for an office, or else the usual one."""
    known = rooms.roll()[0].find(office)
    policy = None if known is None else known.policy
    return DEFAULT if policy is None else policy.dialect


async def in_dialect(rooms: AllRooms, envelope: EnvelopeRow, dialect: Dialect) -> Rendering:
    """Return an envelope in a dialect, all of whose files are there.

    Raises:
        PermanentError: API.NOT_FOUND, ATT.MISSING, ATT.DIGEST
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
    """Make sure, before the answer begins, that every file is there and as long as it was.

    Raises:
        PermanentError: ATT.MISSING, ATT.DIGEST
        TransientError: SYS.SPOOL
    """
    for ref in rendering.refs:
        size = await spool.exists(ref.sha256)
        if size is None:
            raise PermanentError("ATT.MISSING", ref.name)
        if size != ref.size_bytes:
            events.file_damaged(sha256=ref.sha256)
            raise PermanentError("ATT.DIGEST", ref.name)


async def whole(rendering: Rendering, spool: Spool) -> AsyncIterator[bytes]:
    """Yield the message with its files; for a `Stream`.

    Raises:
        TransientError: SYS.SPOOL
    """
    yield rendering.pieces[0]
    for ref, piece in zip(rendering.refs, rendering.pieces[1:], strict=True):
        packed = rendering.packed(ref)
        yield packed.begin()
        async for chunk in checked(spool, ref.sha256, ref.size_bytes):
            # To compress a megabyte takes long enough for others to wait.
            yield await asyncio.to_thread(packed.add, chunk)
        yield packed.end() + piece


async def checked(spool: Spool, digest: str, size_bytes: int) -> AsyncIterator[bytes]:
    """Yield a file, its last chunk only if the whole has its digest; for a `Stream`.

    Raises:
        TransientError: SYS.SPOOL
    """
    found, last = sha256(), b""
    async for chunk in spool.stream(digest, size=size_bytes):
        if last:
            yield last
        await asyncio.to_thread(found.update, chunk)
        last = chunk
    if found.hexdigest() != digest:
        events.file_damaged(sha256=digest)
        raise _Damaged
    yield last
