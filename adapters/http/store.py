"""Store: what has come, with its files, until the system has surely fetched it.

One folder per envelope: `document.json`, `envelope.edxml` and the files under
their digests. It is complete before the system hears of the document.
"""

import asyncio
import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axis import Document

_DAY_S = 86400.0
_HOUR_S = 3600.0
_NAME = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(slots=True)
class Store:
    """Documents on the office's disk."""

    folder: Path
    keep_days: int
    _tidied_at: float = 0.0

    async def keep(self, doc: Document) -> dict[str, Any]:
        """Keep a document and return the facts about it; done twice, it is the same."""
        folder = self.folder / doc.envelope_id
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        for attachment in doc.attachments:
            path = folder / attachment.sha256
            if not path.exists():
                await attachment.save(path)
        facts = facts_of(doc)
        await asyncio.to_thread(_write, folder / "envelope.edxml", doc.sealed)
        await asyncio.to_thread(_write, folder / "document.json", json.dumps(facts, ensure_ascii=False).encode())
        return facts

    def facts(self, envelope_id: str) -> dict[str, Any] | None:
        """Return the facts about a document that is kept."""
        path = self._in(envelope_id, "document.json")
        if path is None:
            return None
        facts: dict[str, Any] = json.loads(path.read_bytes())
        return facts

    def envelope(self, envelope_id: str) -> Path | None:
        """Return the document as it was sealed."""
        return self._in(envelope_id, "envelope.edxml")

    def file(self, envelope_id: str, sha256: str) -> tuple[Path, dict[str, Any]] | None:
        """Return a file of a document, and what the document says of it."""
        facts = self.facts(envelope_id)
        if facts is None or _DIGEST.fullmatch(sha256) is None:
            return None
        entry = next((one for one in facts["files"] if one["sha256"] == sha256), None)
        path = self._in(envelope_id, sha256)
        return None if entry is None or path is None else (path, entry)

    def _in(self, envelope_id: str, name: str) -> Path | None:
        if _NAME.fullmatch(envelope_id) is None:
            return None
        path = self.folder / envelope_id / name
        return path if path.exists() else None

    async def tidy(self) -> None:
        """Remove what is older than it need be, now and then."""
        if time.monotonic() - self._tidied_at < _HOUR_S and self._tidied_at:
            return
        self._tidied_at = time.monotonic()
        await asyncio.to_thread(self._tidy)

    def _tidy(self) -> None:
        oldest = time.time() - self.keep_days * _DAY_S
        for folder in self.folder.glob("*"):
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def facts_of(doc: Document) -> dict[str, Any]:
    """Return what a document says, JSON-ready."""
    return {
        "envelope_id": doc.envelope_id,
        "digest": doc.digest,
        "verified": doc.verified,
        "originator": {"office": doc.originator.organ_id, "name": doc.originator.name},
        "addressees": [{"office": to.organ_id, "name": to.name} for to in doc.addressees],
        "document_id": doc.document_id,
        "code": doc.code,
        "kind": doc.type_name,
        "promulgated_on": doc.promulgated_on.isoformat(),
        "subject": doc.subject,
        "content": doc.content,
        "signer": doc.signer_name,
        "due_on": None if doc.due_on is None else doc.due_on.isoformat(),
        "priority": int(doc.priority),
        "business": doc.business_type.name.lower(),
        "files": [
            {"name": one.name, "type": one.content_type, "sha256": one.sha256, "bytes": one.size_bytes}
            for one in doc.attachments
        ],
    }


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.part")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
