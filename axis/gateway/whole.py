"""Whole envelopes: a stream with its attachments inside becomes a sealed envelope and files in the spool.

Each file is checked against the manifest before it is committed: as it is, or
out of its single-entry zip; the digest decides which. The envelope is judged
before any of them is unpacked or kept. What fails to match is refused, and
nothing of it stays.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import BinaryIO, cast

from axis import edxml
from axis.edxml import AttachmentRef, Inline, Split, Splitter
from axis.edxml.split import Beginning, is_no_zip, unwrap
from axis.errors import Refusal, Violation, refuse, violation
from axis.spool import Blob, Spool, Staged

_SIP_BYTES = 64 * 1024


class Unfit(Exception):
    """A message that cannot be taken in, and the bytes by whose digest that can be said."""

    def __init__(self, refusal: Refusal, octets: bytes) -> None:
        self.refusal, self.octets = refusal, octets
        super().__init__(str(refusal))


async def receive_whole(
    chunks: AsyncIterator[bytes],
    spool: Spool,
    judge: Callable[[bytes], Awaitable[object]],
    brought: Callable[[Blob], Awaitable[None]],
    *,
    attachment_bytes: int,
) -> bytes:
    """Read a message that may hold its attachments; return the sealed envelope.

    Args:
        chunks: The message as it arrives.
        spool: Where the attachments go.
        judge: Called with the envelope before any attachment is kept; raises what is to be raised.
        brought: Called for each attachment that is now in the spool.
        attachment_bytes: Largest attachment.

    Raises:
        Unfit: ENV.*, ATT.*; what was received, as far as it was read apart.
        Refusal: ENV.*, ATT.*; of a message that is too long to be read to its end for that.
        TransientError: SYS.SPOOL
    """
    staged: list[Staged] = []

    def open_sink() -> Staged:
        staged.append(spool.stage())
        return staged[-1]

    try:
        split = await _split(chunks, Splitter(open_sink))
        if split.attachments:
            await judge(split.sealed)
            try:
                await _store(split.sealed, split.attachments, spool, brought, attachment_bytes)
            except Refusal as refusal:
                raise Unfit(refusal, split.sealed) from refusal
        return split.sealed
    finally:
        for one in staged:
            with contextlib.suppress(OSError):
                one.discard()


async def _split(chunks: AsyncIterator[bytes], splitter: Splitter) -> Split:
    """Read a stream to its end; one that is refused too, unless that takes long: a refusal names the digest of the whole."""
    beginning = Beginning()
    coming = sips(chunks)
    try:
        async for sip in coming:
            beginning.add(sip)
            # Decoding and hashing a large file is work for a thread; the event loop serves others meanwhile.
            await asyncio.to_thread(splitter.feed, sip)
        return await asyncio.to_thread(splitter.close)
    except Refusal as refusal:
        async for sip in coming:
            beginning.add(sip)
            if beginning.is_over:
                break
        if beginning.is_over:
            raise
        found = await asyncio.to_thread(beginning.refusal, refusal)
        raise Unfit(found, bytes(beginning.octets)) from refusal


async def sips(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield a stream in pieces that are worth a thread: a line may bring it in crumbs, and each costs a scan."""
    gathered = bytearray()
    async for chunk in chunks:
        gathered += chunk
        if len(gathered) >= _SIP_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


async def _store(
    sealed: bytes,
    carried: tuple[Inline, ...],
    spool: Spool,
    brought: Callable[[Blob], Awaitable[None]],
    attachment_bytes: int,
) -> None:
    """Commit what the manifest lists; its digests are checked under the seal later, by intake."""
    refs = _manifest(sealed)
    wrong: list[Violation] = []
    for file in carried:
        ref = refs.pop(file.content_id, None)  # Each comes once.
        if ref is None:
            wrong.append(violation("ATT.UNLISTED", file.name or file.content_id, rule="attachment:listed"))
            continue
        if ref.size_bytes > attachment_bytes:
            wrong.append(violation("ATT.SIZE", f"{ref.size_bytes} > {attachment_bytes} bytes", rule="attachment:most"))
            continue
        try:
            await brought(await _commit(cast("Staged", file.sink), ref, spool))
        except Refusal as refusal:
            wrong += refusal.violations
    if wrong:
        raise Refusal(wrong)


async def _commit(packed: Staged, ref: AttachmentRef, spool: Spool) -> Blob:
    if packed.sha256 == ref.sha256:
        return await spool.commit(packed)
    plain = spool.stage()
    try:
        await asyncio.to_thread(_unpack, packed, plain, ref)
        if plain.sha256 != ref.sha256:
            raise refuse("ATT.DIGEST", ref.name, rule="attachment:digest")
        return await spool.commit(plain)
    finally:
        plain.discard()


def _unpack(packed: Staged, plain: Staged, ref: AttachmentRef) -> None:
    try:
        for chunk in unwrap(cast("BinaryIO", packed.reader())):
            plain.write(chunk)
            if plain.size_bytes > ref.size_bytes:
                raise refuse("ATT.DIGEST", ref.name, rule="attachment:digest")
    except Refusal as refusal:
        if is_no_zip(refusal):
            raise refuse("ATT.DIGEST", ref.name, rule="attachment:digest") from refusal
        raise


def _manifest(sealed: bytes) -> dict[str, AttachmentRef]:
    received = edxml.parse(sealed)
    manifest = received.part("manifest")
    if manifest is None:
        return {}
    refs = edxml.read_manifest(manifest)
    return {ref.content_id: ref for ref in refs}
