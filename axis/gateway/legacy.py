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
from dataclasses import dataclass
from typing import BinaryIO, cast

from axis.edxml import Document, dialects, limits
from axis.edxml.dialects import Cut, Cutter, Normalised, Policy
from axis.errors import Refusal, refuse
from axis.gateway.whole import sips
from axis.intake import Acceptance, Intake, Original, notarise
from axis.spool import Blob, Spool, Staged

_CHUNK_BYTES = 1024 * 1024
_MOST_BYTES = limits.MAX_TOTAL_BYTES * 3 // 2 + limits.MAX_ENVELOPE_BYTES  # Files in base64, with line ends.
_VIA = "http"


@dataclass(frozen=True, kw_only=True)
class Legacy:
    """Takes messages of one office that speaks a dialect."""

    office: str
    policy: Policy
    intake: Intake
    spool: Spool
    brought: Callable[[Blob], Awaitable[None]]  # Called for each file that is now in the spool.
    ordinary: Callable[[AsyncIterator[bytes]], Awaitable[Acceptance]]  # For what carries a seal of the profile.
    attachment_bytes: int

    async def receive(self, chunks: AsyncIterator[bytes]) -> Acceptance:
        """Take one message.

        Raises:
            Rejected: It is refused; the refusal is on record.
            TransientError: It could not be judged or kept now; nothing was promised.
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
            try:
                cut = await asyncio.to_thread(_cut, whole, stage)
                if not dialects.is_sealed(cut):
                    return await self._normalise(whole, cut, stage)
            except Refusal as refusal:
                original = Original(whole.sha256)
                return await self.intake.refuse(b"", refusal, submitter=self.office, via=_VIA, original=original)
            return await self.ordinary(_chunks(whole))
        finally:
            for one in staged:
                with contextlib.suppress(OSError):
                    one.discard()

    async def _normalise(self, whole: Staged, cut: Cut, stage: Callable[[], Staged]) -> Acceptance:
        """Raises: Refusal, Rejected, TransientError"""
        normal = await asyncio.to_thread(dialects.normalise, cut, self.policy)
        files = await asyncio.to_thread(self._files, normal, stage)
        message = dialects.with_files(normal.message, [(file.sha256, file.size_bytes) for file in files])
        original = Original(whole.sha256, normal.tolerated)
        at, voice = self.intake.now(), self.intake.voice
        sealed = await asyncio.to_thread(notarise, message, original.sha256, voice, at=at)
        # Before a byte of it is kept, as with every other message.
        await self.intake.judge(sealed, submitter=self.office, via=_VIA, original=original)
        for file in (*files, whole):
            await self.brought(await self.spool.commit(file))
        return await self.intake.accept(sealed, submitter=self.office, via=_VIA, original=original)

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


def _cut(whole: Staged, stage: Callable[[], Staged]) -> Cut:
    """Raises: Refusal"""
    cutter = Cutter(stage)
    source = whole.reader()
    while chunk := source.read(_CHUNK_BYTES):
        cutter.feed(chunk)
    return cutter.close()


async def _chunks(whole: Staged) -> AsyncIterator[bytes]:
    source = whole.reader()
    while chunk := await asyncio.to_thread(source.read, _CHUNK_BYTES):
        yield chunk
