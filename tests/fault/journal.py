"""Journal: lines that are on the disk before anybody goes on, for offices to write and a trial to count."""

import os
from pathlib import Path


def note(file: Path, line: str) -> None:
    """Put a line on the disk."""
    with file.open("a", encoding="utf-8") as journal:
        journal.write(line + "\n")
        journal.flush()
        os.fsync(journal.fileno())


def lines(file: Path) -> list[str]:
    """Return the whole lines of a journal; one that a crash cut short is none."""
    if not file.exists():
        return []
    text = file.read_text(encoding="utf-8")
    return [line.removesuffix("\n") for line in text.splitlines(keepends=True) if line.endswith("\n")]
