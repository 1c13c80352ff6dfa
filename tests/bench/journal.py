"""Journal: what the measured originator saw of each document, one line each, with the time of day.

Times of the journal and of the ledger come from one clock, because everything
runs on one machine. Nothing is forced to the disk: a journal is not a promise.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from os import SEEK_CUR
from pathlib import Path
from typing import IO


@dataclass(slots=True)
class Seen:
    """One document, as its originator saw it. Seconds since 1970."""

    due: float = 0.0  # When it was to be handed in; a late generator makes nothing look fast.
    kept: float = 0.0  # When `send` returned.
    heard: dict[str, float] = field(default_factory=dict)  # When each receipt reached the handler, by `word`.

    def is_whole(self, awaited: Collection[str]) -> bool:
        """Whether it was handed in, and each of these was heard."""
        return bool(self.kept) and all(word in self.heard for word in awaited)

    @property
    def ended(self) -> float:
        """When the last receipt was heard."""
        return max(self.heard.values())


def word(level: str, addressee: str | None) -> str:
    """Return what a receipt is called in a journal."""
    return f"{level} {addressee}" if addressee else level


class Journal:
    """A file that one process writes and another reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None  # Open once something is written.
        self._reading: IO[bytes] | None = None
        self._seen: dict[str, Seen] = {}

    def sent(self, document_id: str, due: float) -> None:
        """Note that a document was handed in."""
        self._write("sent", document_id, due, time.time())

    def heard(self, document_id: str, said: str) -> None:
        """Note a receipt."""
        self._write("heard", document_id, said, time.time())

    def _write(self, *words: object) -> None:
        if self._file is None:
            self._file = self._path.open("a", encoding="utf-8", buffering=1)
        self._file.write("\t".join(map(str, words)) + "\n")

    def read(self) -> dict[str, Seen]:
        """Return what was seen so far, by document id.

        Each line is read once: who watches a measurement must not be what it measures.
        """
        if self._reading is None:
            if not self._path.exists():
                return {}
            self._reading = self._path.open("rb")
        for line in self._reading:
            if not line.endswith(b"\n"):  # It is being written.
                self._reading.seek(-len(line), SEEK_CUR)
                break
            self._note(line.decode().rstrip("\n"))
        return self._seen

    def _note(self, line: str) -> None:
        what, document_id, third, at = line.split("\t")
        seen = self._seen.setdefault(document_id, Seen())
        if what == "sent":
            seen.due, seen.kept = float(third), float(at)
        else:
            seen.heard[third] = float(at)
