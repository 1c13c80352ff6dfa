"""Walk: every story of the book is shown to every check."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from axis.ledger import AuditFinding, Ledger, Story

MOST = 1000  # Findings: who has so many needs no longer list.


class Check(Protocol):
    """Judges one story after another, and at the end what is about none of them."""

    counted: dict[str, int]  # What was looked at, and how often.

    def story(self, story: Story) -> AsyncIterator[AuditFinding]:
        """Judge one envelope."""

    def rest(self, book: Ledger) -> AsyncIterator[AuditFinding]:
        """Judge what only the whole book shows."""


async def nothing() -> AsyncIterator[AuditFinding]:
    """Find nothing."""
    none: tuple[AuditFinding, ...] = ()
    for finding in none:
        yield finding


@dataclass(slots=True)
class Checked:
    """What was found, and how much was looked at."""

    findings: list[AuditFinding] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)

    async def take(self, found: AsyncIterator[AuditFinding]) -> None:
        """Note findings, as many as anybody wants to read."""
        async for finding in found:
            if len(self.findings) < MOST:
                self.findings.append(finding)


async def walk(book: Ledger, checks: Sequence[Check], *, whole: bool = False) -> Checked:
    """Show the book to some checks.

    Args:
        book: Open.
        checks: Each sees each story.
        whole: One of them needs the bytes of envelopes and receipts.

    Raises:
        TransientError: SYS.LEDGER, SYS.SPOOL
    """
    checked = Checked()
    async for story in book.stories(whole=whole):
        for check in checks:
            await checked.take(check.story(story))
    for check in checks:
        await checked.take(check.rest(book))
        checked.counted |= check.counted
    return checked
