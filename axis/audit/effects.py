"""Effects: what an office's system did, by its own log, against what the book says that it was given.

A log has a line for each effect: the envelope id, and behind a blank, if the
system knows it, the digest of the content. A last line without its end is one
that a crash cut short.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from axis.edxml import BusinessType, Kind
from axis.errors import PermanentError
from axis.ledger import AuditFinding, Ledger, Story
from axis.receipts import Level

_HAD = frozenset({Level.DELIVERED, Level.REGISTERED})  # After one of these the office's system has it.


@dataclass(slots=True)
class Effects:
    """I1, I2 and I4 at one office."""

    office: str
    _log: Path
    _times: Counter[str]
    _digests: dict[str, set[str]]  # As the log names them, by envelope id.
    counted: dict[str, int] = field(default_factory=dict)
    _unknown: set[str] = field(default_factory=set)  # Envelopes of the log that no story was about so far.
    _acted: set[str] = field(default_factory=set)  # Contents that the log has an effect of.
    _missing: dict[str, str] = field(default_factory=dict)  # Envelopes that the office had, without an effect: content.

    @classmethod
    def read(cls, office: str, log: Path) -> "Effects":
        """Read an office's log.

        Raises:
            PermanentError: CFG.INVALID
        """
        times: Counter[str] = Counter()
        digests: dict[str, set[str]] = {}
        for words in _lines(log):
            times[words[0]] += 1
            digests.setdefault(words[0], set()).update(words[1:2])
        return cls(office, log, times, digests, {f"effects of {office}": times.total()}, set(times))

    async def story(self, story: Story) -> AsyncIterator[AuditFinding]:
        """Judge one envelope."""
        about = story.envelope.envelope_id
        self._unknown.discard(about)
        times = self._times[about]
        if not times:
            self._note_missing(story)
            return
        self._acted.add(story.envelope.digest)
        if times > 1:
            yield AuditFinding("I2", about, self.office, f"{times} effects of one envelope")
        if self._digests[about] - {story.envelope.digest}:
            yield AuditFinding("I4", about, self.office, "an effect of other content than was accepted")
        if not any(one.addressee == self.office for one in story.deliveries):
            yield AuditFinding("I4", about, self.office, "an effect at an office that it was not sent to")
        elif any(one.addressee == self.office and one.level == Level.REJECTED for one in story.receipts):
            yield AuditFinding("I4", about, self.office, "an effect of what the axis refused for this office")

    def _note_missing(self, story: Story) -> None:
        # Nobody else may say so of it: its own word, signed by itself or written down by the axis.
        had = any(one.addressee == self.office and one.level in _HAD for one in story.receipts)
        # A recall is answered without an effect where there is nothing to withdraw.
        owes = story.envelope.kind == Kind.DOCUMENT and story.envelope.business_type != BusinessType.RECALL
        if had and owes:
            self._missing[story.envelope.envelope_id] = story.envelope.digest

    async def rest(self, _book: Ledger) -> AsyncIterator[AuditFinding]:
        """Judge what only the whole log shows."""
        for about in sorted(self._unknown):
            yield AuditFinding("I4", about, self.office, "an effect of an envelope that was never accepted")
        # What the office has done since we read its log was delivered since; and the same content under another id
        # has one effect and two answers. That id may be one of a ledger that was lost: then only the log tells it.
        by_now = {words[0] for words in _lines(self._log)} if self._missing else set()
        acted = self._acted.union(*(self._digests[about] for about in self._unknown))
        for about, digest in self._missing.items():
            if about not in by_now and digest not in acted:
                yield AuditFinding("I1", about, self.office, "delivered, and without an effect")


def _lines(log: Path) -> Iterator[list[str]]:
    try:
        with log.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n") and line.strip():
                    yield line.split()
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError("CFG.INVALID", f"{log}: {error}") from error
