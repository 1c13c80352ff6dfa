"""Whole envelopes: a stream with its attachments inside becomes a sealed envelope and files in the spool.

Each file is checked against the manifest before it is committed: as it is, or
out of its single-entry zip; the digest decides which. The envelope is judged
before any of them is unpacked or kept. What fails to match is refused, and
nothing of it stays.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Protocol, cast

from axis import contents, edxml
from axis.edxml import AttachmentRef, Inline, Split, Splitter
from axis.edxml.split import Beginning, is_no_zip, unwrap
from axis.errors import Refusal, Violation, refuse, violation
from axis.intake import Acceptance, Foreseen
from axis.spool import Blob, Spool, Staged

_SIP_BYTES = 64 * 1024


class Unfit(Exception):
    """A message that cannot be taken in, and the bytes by whose digest that can be said."""

    def __init__(self, refusal: Refusal, octets: bytes) -> None:
        self.refusal, self.octets = refusal, octets
        super().__init__(str(refusal))


class Reader(Protocol):
    """Takes a message apart as it comes: `edxml.Splitter`, or what does the same for another form."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""

    def close(self) -> Split:
        """Return the envelope and what came with it."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What would become of a message."""

    foreseen: Foreseen
    wrong: tuple[Violation, ...] = ()  # With the files that it brings.
    different: frozenset[str] = frozenset()  # Digests of those that are not as sealed.


@dataclass(frozen=True, slots=True)
class Brought:
    """A message that is here whole, and of which nothing is kept yet."""

    digest: str  # Of all that came.
    accept: Callable[[], Awaitable[Acceptance]]
    foresee: Callable[[], Awaitable[Outlook]]


@contextlib.asynccontextmanager
async def received(
    chunks: AsyncIterator[bytes], spool: Spool, reader: Callable[[Callable[[], Staged]], Reader]
) -> AsyncIterator[Split]:
    """Read a message that may bring its attachments; what is not kept in the block is gone after it.

    Args:
        chunks: The message as it arrives.
        spool: Where files are staged.
        reader: Made with what opens a file to write to.

    Raises:
        Unfit: ENV.*, ATT.*; what was received, as far as it was read apart.
        Refusal: API.PARAMETER; or ENV.*, ATT.* of a message that is too long to be read to its end for that.
        TransientError: SYS.SPOOL
    """
    staged: list[Staged] = []

    def open_sink() -> Staged:
        staged.append(spool.stage())
        return staged[-1]

    taking_apart = reader(open_sink)
    try:
        yield await _split(chunks, taking_apart)
    finally:
        for one in staged:
            with contextlib.suppress(OSError):
                one.discard()


def fingerprint(split: Split) -> str:
    """Return a digest of what was brought, whatever form it came in."""
    carried = sorted(cast("Staged", file.sink).sha256 for file in split.attachments)
    return sha256("\n".join([sha256(split.sealed).hexdigest(), *carried]).encode()).hexdigest()


async def _split(chunks: AsyncIterator[bytes], reader: Reader) -> Split:
    """Read a stream to its end; one that is refused too, unless that takes long: a refusal names the digest of the whole."""
    beginning = Beginning()
    coming = sips(chunks)
    try:
        async for sip in coming:
            beginning.add(sip)
            # Decoding and hashing a large file is work for a thread; the event loop serves others meanwhile.
            await asyncio.to_thread(reader.feed, sip)
        return await asyncio.to_thread(reader.close)
    except Refusal as refusal:
        if not isinstance(reader, Splitter):  # A form is no message: its bytes are nobody's envelope.
            raise
        async for sip in coming:
            beginning.add(sip)
            if beginning.is_over:
                break
        if beginning.is_over:
            raise
        found = await asyncio.to_thread(beginning.refusal, refusal)
        raise Unfit(found, bytes(beginning.octets)) from refusal


async def keep(
    split: Split,
    spool: Spool,
    brought: Callable[[Blob], Awaitable[None]],
    most_bytes: int,
    *,
    by_name: bool = False,
) -> None:
    """Commit what the manifest lists; its digests are checked under the seal later, by intake.

    Args:
        split: What came.
        spool: Where the files go.
        brought: Called for each file that is now in the spool.
        most_bytes: Largest attachment.
        by_name: Whether a file may be known by its name alone, as in a form.

    Raises:
        Refusal: ATT.*
        TransientError: SYS.SPOOL
    """
    wrong: list[Violation] = []
    for file, ref in _matched(split, wrong, most_bytes, by_name=by_name):
        try:
            async with _plain(cast("Staged", file.sink), ref, spool) as plain:
                await brought(await spool.commit(plain))
        except Refusal as refusal:
            wrong += refusal.violations
    if wrong:
        raise Refusal(wrong)


async def compare(
    split: Split, spool: Spool, most_bytes: int, *, by_name: bool = False
) -> tuple[dict[str, bytes | None], list[Violation]]:
    """Say what `keep` would say, and keep nothing: the files that came, as `Intake.foresee` wants them, and what is wrong."""
    wrong: list[Violation] = []
    carried: dict[str, bytes | None] = {}
    for file, ref in _matched(split, wrong, most_bytes, by_name=by_name):
        try:
            async with _plain(cast("Staged", file.sink), ref, spool) as plain:
                carried[ref.sha256] = await asyncio.to_thread(content_of, plain, ref)
        except Refusal as refusal:
            carried[ref.sha256] = None
            wrong += refusal.violations
    return carried, wrong


def content_of(plain: Staged, ref: AttachmentRef) -> bytes:
    """Return the bytes of a file that is a content; nothing of any other."""
    is_content = bool(contents.listed((ref,))) and plain.size_bytes <= contents.MAX_CONTENT_BYTES
    return plain.reader().read() if is_content else b""


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


def _matched(
    split: Split, wrong: list[Violation], most_bytes: int, *, by_name: bool
) -> Iterator[tuple[Inline, AttachmentRef]]:
    """Yield each file that came with its entry in the manifest, by content id, or else by name; the rest is wrong."""
    refs = _manifest(split.sealed) if split.attachments else {}
    for file in split.attachments:
        named = [content_id for content_id, ref in refs.items() if by_name and ref.name == file.name]
        key = file.content_id if file.content_id in refs or len(named) != 1 else named[0]
        ref = refs.pop(key, None)  # Each comes once.
        if ref is None:
            wrong.append(violation("ATT.UNLISTED", file.name or file.content_id, rule="attachment:listed"))
        elif ref.size_bytes > most_bytes:
            wrong.append(violation("ATT.SIZE", f"{ref.size_bytes} > {most_bytes} bytes", rule="attachment:most"))
        else:
            yield file, ref


@contextlib.asynccontextmanager
async def _plain(packed: Staged, ref: AttachmentRef, spool: Spool) -> AsyncIterator[Staged]:
    """Yield the file that the manifest means: as it came, or out of its zip.

    Raises:
        Refusal: ATT.*
    """
    if packed.sha256 == ref.sha256:
        yield packed
        return
    plain = spool.stage()
    try:
        await asyncio.to_thread(_unpack, packed, plain, ref)
        if plain.sha256 != ref.sha256:
            raise refuse("ATT.DIGEST", ref.name, rule="attachment:digest")
        yield plain
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
