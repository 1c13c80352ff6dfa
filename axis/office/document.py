"""Document: what a handler is given.

Its fields were read from the bytes that the originator signed. Attachments lie
at the axis until they are asked for, but for small ones that came along; what is
read or saved has been compared with the digest that was signed, and a file appears
under its name only whole.
"""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from axis import contents, edxml
from axis.cancelling import to_its_end
from axis.contents import Content
from axis.edxml import AttachmentRef, BusinessType, Organization, Priority
from axis.errors import TransientError, refuse
from axis.office.pipes import Gateway
from axis.private import open_alone, sync_folder

_CHUNK_BYTES = 1024 * 1024
_LITTLE_BYTES = 4 * 1024 * 1024  # A file of which nothing is left lying about: it is soon fetched again.


@dataclass(frozen=True, slots=True)
class Attachment:
    """One file of a document."""

    ref: AttachmentRef
    _gateway: Gateway = field(repr=False, compare=False)
    _came: bytes | None = field(default=None, repr=False, compare=False)  # With the envelope; it may be damaged.

    @property
    def name(self) -> str:
        """The file's name as the originator wrote it: a label, not a path."""
        return self.ref.name

    @property
    def content_type(self) -> str:
        """The media type that the originator stated."""
        return self.ref.content_type

    @property
    def sha256(self) -> str:
        """Lower-case hex."""
        return self.ref.sha256

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self.ref.size_bytes

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the file. Use nothing of it before the end: only there is it known to be what was signed.

        Raises:
            TransientError: It cannot be had now, or what came is not what was signed.
        """
        seen = _Seen()
        async for chunk in self._from(0):
            seen.add(chunk)
            yield chunk
        self._require_whole(seen)

    async def _from(self, start: int) -> AsyncIterator[bytes]:
        if self._came is not None:
            yield self._came[start:]
            return
        async for chunk in self._gateway.stream(self.sha256, self.size_bytes, start=start):
            yield chunk

    def _require_whole(self, seen: "_Seen") -> None:
        if seen.digest.hexdigest() != self.sha256 or seen.size_bytes != self.size_bytes:
            raise TransientError("ATT.DIGEST", self.name)

    async def read(self) -> bytes:
        """Return the whole file.

        Raises:
            TransientError: As `stream`.
        """
        return b"".join([chunk async for chunk in self.stream()])

    async def save(self, path: Path) -> Path:
        """Write the file, so that under `path` there is all of it or nothing.

        What came of a large file stays beside it, under a hidden name, until it is saved into that folder again: over a
        thin line nothing comes twice, not even after a crash.

        Raises:
            TransientError: As `stream`.
            OSError: It cannot be written.
        """
        partial = await to_its_end(_Partial.open, path.parent, self.ref, undo=_Partial.let_go)
        is_kept = partial.is_found_again
        try:
            with partial.file:
                async for chunk in self._from(partial.seen.size_bytes):
                    await to_its_end(partial.add, chunk)
                is_kept = False  # Whole, or of no use.
                self._require_whole(partial.seen)
                await to_its_end(partial.become, path)
        finally:
            if not is_kept:
                partial.path.unlink(missing_ok=True)
        return path


class _Seen:
    """What has come of a file so far."""

    def __init__(self) -> None:
        self.digest = sha256()
        self.size_bytes = 0

    @classmethod
    def of(cls, file: BinaryIO, most: int) -> "_Seen":
        """Read what a file holds; more than `most` bytes are not of it, and are removed."""
        seen = cls()
        if os.fstat(file.fileno()).st_size > most:
            file.truncate(0)
        file.seek(0)
        while chunk := file.read(_CHUNK_BYTES):
            seen.add(chunk)
        return seen

    def add(self, chunk: bytes) -> None:
        """Take the next bytes into account."""
        self.digest.update(chunk)
        self.size_bytes += len(chunk)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Partial:
    """A file of which not all has come, in a folder where it is to be saved. Use from one thread at a time."""

    path: Path
    file: BinaryIO
    seen: _Seen
    is_found_again: bool  # What is left of it, the next time; else it is to be removed.

    @classmethod
    def open(cls, folder: Path, ref: AttachmentRef) -> "_Partial":
        """Open what an earlier attempt has left; where somebody is at it now, a new file, which nobody would find again.

        Raises:
            OSError: It cannot be opened.
        """
        path = folder / f".{ref.sha256[:32]}.part"
        file, is_found_again = open_alone(path), ref.size_bytes > _LITTLE_BYTES
        if file is None:
            path, is_found_again = folder / f".{uuid4().hex}.part", False
            file = path.open("x+b")
        try:
            return cls(path=path, file=file, seen=_Seen.of(file, ref.size_bytes), is_found_again=is_found_again)
        except BaseException:
            file.close()
            raise

    def let_go(self) -> None:
        """Leave it to the next attempt, or to nobody."""
        self.file.close()
        if not self.is_found_again:
            self.path.unlink(missing_ok=True)

    def add(self, chunk: bytes) -> None:
        """Append what has come."""
        self.file.write(chunk)
        self.seen.add(chunk)

    def become(self, path: Path) -> None:
        """Stand under a name, whole and on the disk."""
        flush_to_disk(self.file)
        self.path.replace(path)
        sync_folder(path.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A verified document for this office."""

    envelope_id: str  # The axis's; the key to everything that is said about it.
    digest: str  # Of the signed content, in hex.
    attempt: int  # 1 the first time.
    sealed: bytes  # The envelope as the originator sealed it: keep it as evidence.
    message: edxml.Document  # Everything that it says.
    attachments: tuple[Attachment, ...]
    verified: bool = True  # False: an older system sent it and the axis sealed it; who wrote it is not verified.

    async def contents(self) -> tuple[Content, ...]:
        """Fetch and return what it carries beside its files: a dossier, a task, an invitation; of most documents nothing.

        They are among the attachments too. One of a kind that this version does not know is an attachment alone.

        Raises:
            Refusal: CON.*, ATT.SIZE; it is not what it says it is.
            TransientError: As `Attachment.stream`.
        """
        found = []
        for attachment in self.attachments:
            row = contents.row_of(attachment.ref)
            if row is None:
                continue
            if attachment.size_bytes > contents.MAX_CONTENT_BYTES:
                raise refuse("ATT.SIZE", attachment.name, rule="rule:content.size")
            content = contents.read(await attachment.read())
            if contents.root_of(content).kind is not row.kind:
                raise refuse("CON.KIND", attachment.name, rule="rule:content.root")
            found.append(content)
        return tuple(found)

    @property
    def originator(self) -> Organization:
        """Who sent and sealed it."""
        return self.message.originator

    @property
    def addressees(self) -> tuple[Organization, ...]:
        """All whom it was sent to."""
        return self.message.addressees

    @property
    def document_id(self) -> str:
        """The originator's identifier of the document."""
        return self.message.document_id

    @property
    def code(self) -> str:
        """Number and notation, "125/SKHCN-CĐS"."""
        return self.message.code

    @property
    def promulgated_on(self) -> date:
        """Its date."""
        return self.message.promulgated_on

    @property
    def type_name(self) -> str:
        """Its kind, "Công văn"."""
        return self.message.type_name

    @property
    def subject(self) -> str:
        """What it is about."""
        return self.message.subject

    @property
    def content(self) -> str:
        """Its summary."""
        return self.message.content

    @property
    def signer_name(self) -> str:
        """The person who signed it."""
        return self.message.signer_name

    @property
    def due_on(self) -> date | None:
        """The day by which an answer is asked for."""
        return self.message.due_on

    @property
    def priority(self) -> Priority:
        """How urgent it is."""
        return self.message.priority

    @property
    def business_type(self) -> BusinessType:
        """Whether it is new, or recalls, updates or replaces another."""
        return self.message.business_type


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """A verified edXML status message: what another office says about a document of ours, in the national form."""

    envelope_id: str
    digest: str
    attempt: int
    sealed: bytes
    message: edxml.Status
    verified: bool = True  # As of a Document.


def flush_to_disk(file: BinaryIO) -> None:
    """Return when the bytes of an open file are on the disk."""
    file.flush()
    os.fsync(file.fileno())
