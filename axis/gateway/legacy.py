"""Legacy: what an older system sends is kept as it came, and what it means is sealed by the axis.

The whole message is on our disk before anything is read of it, so that each
answer names its digest. It is normalised, its files are taken out of their
wrappings, the axis seals what came of it, and intake judges that as it judges
any envelope; only then does anything go into the spool. A message that carries
the seal of the profile goes the ordinary way, whatever the roll says.

Spec: docs/protocol/dialects.md 2 to 5.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import BinaryIO, cast

from axis.edxml import AttachmentRef, Document, dialects, limits
from axis.edxml.dialects import Cut, Cutter, Normalised, Policy
from axis.errors import Refusal, refuse
from axis.gateway.whole import Brought, Outlook, content_of, sips
from axis.intake import Acceptance, Intake, Original, notarise
from axis.spool import Blob, Spool, Staged

_CHUNK_BYTES = 1024 * 1024
_MOST_BYTES = limits.MAX_TOTAL_BYTES * 3 // 2 + limits.MAX_ENVELOPE_BYTES  # Files in base64, with line ends.
_VIA = "http"


@dataclass(frozen=True, slots=True)
class _Notarised:
    """What a message means, sealed by the axis, and its files."""

    sealed: bytes
    original: Original
    files: tuple[tuple[AttachmentRef, Staged], ...]


@dataclass(frozen=True, kw_only=True)
class Legacy:
    """Takes messages of one office that speaks a dialect."""

    office: str
    policy: Policy
    intake: Intake
    spool: Spool
    brought: Callable[[Blob], Awaitable[None]]  # Called for each file that is now in the spool.
    ordinary: Callable[[AsyncIterator[bytes]], AbstractAsyncContextManager[Brought]]  # Reads what carries a seal.
    attachment_bytes: int
    content_type: str = ""  # What HTTP says of the bytes.

    @contextlib.asynccontextmanager
    async def received(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[Brought]:
        """Read one message; what is not kept in the block is gone after it.

        Raises:
            Refusal: ENV.TOO_LARGE
            TransientError: SYS.SPOOL
        """
        staged: list[Staged] = []

        def stage() -> Staged:
            staged.append(self.spool.stage())
            return staged[-1]

        try:
            whole = stage()
            async for chunk in sips(chunks):
                await asyncio.to_thread(whole.write, chunk)
                if whole.size_bytes > _MOST_BYTES:
                    raise refuse("ENV.TOO_LARGE", f"> {_MOST_BYTES} bytes")
            yield Brought(
                digest=whole.sha256,
                accept=lambda: self._accept(whole, stage),
                foresee=lambda: self._foresee(whole, stage),
            )
        finally:
            for one in staged:
                with contextlib.suppress(OSError):
                    one.discard()

    async def _accept(self, whole: Staged, stage: Callable[[], Staged]) -> Acceptance:
        """Raises: Rejected, TransientError"""
        try:
            normal = await self._normalised(whole, stage)
        except Refusal as refusal:
            return await self.intake.refuse(
                b"", refusal, submitter=self.office, via=_VIA, original=Original(whole.sha256)
            )
        if normal is None:
            async with self.ordinary(_chunks(whole)) as brought:
                return await brought.accept()
        # Before a byte of it is kept, as with every other message.
        known = await self.intake.judge(normal.sealed, submitter=self.office, via=_VIA, original=normal.original)
        if known is not None:
            return known
        for _, file in normal.files:
            await self.brought(await self.spool.commit(file))
        await self.brought(await self.spool.commit(whole))
        return await self.intake.accept(normal.sealed, submitter=self.office, via=_VIA, original=normal.original)

    async def _foresee(self, whole: Staged, stage: Callable[[], Staged]) -> Outlook:
        try:
            normal = await self._normalised(whole, stage)
        except Refusal as refusal:
            original = Original(whole.sha256)
            return Outlook(await self.intake.foresee_refusal(b"", refusal, submitter=self.office, original=original))
        if normal is None:
            async with self.ordinary(_chunks(whole)) as brought:
                return await brought.foresee()
        carried = {ref.sha256: await asyncio.to_thread(content_of, file, ref) for ref, file in normal.files}
        foreseen = await self.intake.foresee(
            normal.sealed, submitter=self.office, carried=carried, original=normal.original
        )
        return Outlook(foreseen)

    async def _normalised(self, whole: Staged, stage: Callable[[], Staged]) -> _Notarised | None:
        """Return what a message means, sealed; None for one that carries a seal of the profile.

        Raises:
            Refusal: It cannot be read, or not be brought into the one form.
            TransientError: SYS.KEY, SYS.SPOOL
        """
        cut = await asyncio.to_thread(self._cut, whole, stage)
        if dialects.is_sealed(cut):
            return None
        normal = await asyncio.to_thread(dialects.normalise, cut, self.policy)
        files = await asyncio.to_thread(self._files, normal, stage)
        message = dialects.with_files(normal.message, [(file.sha256, file.size_bytes) for file in files])
        original = Original(whole.sha256, normal.tolerated)
        at, voice = self.intake.now(), self.intake.voice
        sealed = await asyncio.to_thread(notarise, message, original.sha256, voice, at=at)
        refs = message.attachments if isinstance(message, Document) else ()
        return _Notarised(sealed, original, tuple(zip(refs, files, strict=True)))

    def _cut(self, whole: Staged, stage: Callable[[], Staged]) -> Cut:
        """Raises: Refusal"""
        cutter = Cutter(stage, self.content_type)
        source = whole.reader()
        while chunk := source.read(_CHUNK_BYTES):
            cutter.feed(chunk)
        return cutter.close()

    def _files(self, normal: Normalised, stage: Callable[[], Staged]) -> list[Staged]:
        """Take each file out of its wrapping.

        Raises:
            Refusal: ATT.ARCHIVE, ATT.SIZE
        """
        refs = normal.message.attachments if isinstance(normal.message, Document) else ()
        files = []
        for ref, sink in zip(refs, normal.sinks, strict=True):
            plain = stage()
            packed = cast("BinaryIO", cast("Staged", sink).reader())
            for chunk in dialects.contents(packed, ref.name, self.policy.dialect):
                plain.write(chunk)
                if plain.size_bytes > self.attachment_bytes:
                    raise refuse("ATT.SIZE", f"{ref.name}: > {self.attachment_bytes} bytes", rule="attachment:most")
            files.append(plain)
        return files


async def _chunks(whole: Staged) -> AsyncIterator[bytes]:
    source = whole.reader()
    while chunk := await asyncio.to_thread(source.read, _CHUNK_BYTES):
        yield chunk
