"""Files: what envelopes name by digest is in the spool, byte for byte."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256

from axis.dispatch.states import WAITING
from axis.errors import TransientError
from axis.ledger import AuditFinding, Ledger, Story
from axis.spool import Spool


@dataclass(slots=True)
class Files:
    """I8: every file that a delivery needs, or had."""

    spool: Spool
    counted: dict[str, int] = field(default_factory=lambda: {"files": 0})
    _known: dict[str, str] = field(default_factory=dict)  # What is wrong with a file, "" if nothing is, by its digest.

    async def story(self, story: Story) -> AsyncIterator[AuditFinding]:
        """Judge the files of one envelope."""
        waiting = sum(one.state in WAITING for one in story.deliveries)
        needed = f"{waiting} deliveries still need it" if waiting else "every delivery has ended"
        for file in story.files:
            wrong = await self._wrong(file.sha256, file.size_bytes)
            if wrong:
                text = f"file {file.sha256} “{file.name}” {wrong}; {needed}"
                yield AuditFinding("I8", story.envelope.envelope_id, "", text)

    async def rest(self, book: Ledger) -> AsyncIterator[AuditFinding]:
        """Judge files that were brought for envelopes to come."""
        async for office, digest, size in book.uploads():
            wrong = await self._wrong(digest, size)
            if wrong:
                yield AuditFinding("I8", "", office, f"file {digest} {wrong}; no envelope lists it")

    async def _wrong(self, digest: str, size: int) -> str:
        if digest not in self._known:
            self.counted["files"] += 1
            self._known[digest] = await self._look(digest, size)
        return self._known[digest]

    async def _look(self, digest: str, size: int) -> str:
        try:
            return await self._compare(digest, size)
        except TransientError:  # Of a damaged disk, perhaps.
            await self.spool.ping()  # Raises if it is not this file alone.
            return "cannot be read"

    async def _compare(self, digest: str, size: int) -> str:
        there = await self.spool.exists(digest)
        if there is None:
            return "is not there"
        if there != size:
            return f"has {there} of {size} bytes" if there < size else f"has {there} bytes, not {size}"
        found = sha256()
        async for chunk in self.spool.stream(digest, size=size):
            found.update(chunk)
        return "" if found.hexdigest() == digest else f"holds other bytes, {found.hexdigest()[:12]}"
