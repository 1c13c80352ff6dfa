"""Evidence: every envelope and every receipt is verified once more, from its bytes alone.

Certificates are judged at the time at which a seal was taken or made, as they
were then. The keys are those of the roll: what was sealed with a key that has
been taken out of it, or revoked back to that time, proves nothing any more, and
that is a finding.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from axis import edxml, receipts, seal
from axis.errors import Refusal
from axis.ledger import AuditFinding, Ledger, ReceiptRow, Story
from axis.receipts import SignedReceipt


@dataclass(frozen=True, slots=True)
class _Wrong:
    """What does not hold about a receipt."""

    rule: str
    text: str


@dataclass(slots=True)
class Evidence:
    """I3, I4 and I9, by signatures and digests."""

    trust: seal.Trust
    axis: str  # OrganId: only it may say what is the axis's to say.
    counted: dict[str, int] = field(default_factory=lambda: {"envelopes": 0, "receipts": 0})

    async def story(self, story: Story) -> AsyncIterator[AuditFinding]:
        """Verify one envelope and its receipts."""
        about = story.envelope.envelope_id
        self.counted["envelopes"] += 1
        for text in self._envelope(story):
            yield AuditFinding("I9", about, "", text)
        said = [(row, self._receipt(row)) for row in story.receipts]
        for row, signed in said:
            if isinstance(signed, _Wrong):
                yield AuditFinding(signed.rule, about, row.addressee or "", _of(row, signed))
            elif (signed.receipt.envelope_id, signed.receipt.envelope_digest) != (about, story.envelope.digest):
                text = f"receipt {row.digest[:12]} is about other content"
                yield AuditFinding("I4", about, row.addressee or "", text)
        good = [signed for _, signed in said if isinstance(signed, SignedReceipt)]
        if len(good) == len(said):
            for text in _chain(good):
                yield AuditFinding("I9", about, "", text)

    async def rest(self, book: Ledger) -> AsyncIterator[AuditFinding]:
        """Verify the receipts that refuse an envelope."""
        async for row in book.refusals():
            signed = self._receipt(row)
            if isinstance(signed, _Wrong):
                yield AuditFinding(signed.rule, "", "", _of(row, signed))

    def _envelope(self, story: Story) -> Iterator[str]:
        if sha256(story.sealed).hexdigest() != story.sealed_digest:
            yield "the envelope is not the bytes that were accepted"
            return
        try:
            received = edxml.parse(story.sealed)
            notary = None if story.envelope.verified else self.axis
            verified = seal.verify(received, self.trust, at=story.envelope.accepted_at, notary=notary)
        except Refusal as refusal:
            yield f"the seal of the envelope does not hold: {refusal}"
            return
        if received.notary is not None and received.notary.original != story.envelope.original:
            yield "the envelope is of another original than the book says"
        if verified.digest != story.envelope.digest:
            yield "the envelope has other content than the book says"

    def _receipt(self, row: ReceiptRow) -> SignedReceipt | _Wrong:
        self.counted["receipts"] += 1
        if sha256(row.xml).hexdigest() != row.digest:
            return _Wrong("I9", "is not the bytes that it was")
        try:
            signed = receipts.read_receipt(row.xml, self.trust, at=row.at, axis=self.axis)
        except Refusal as refusal:
            return _Wrong("I3", f"is not what its issuer signed: {refusal}")
        said = signed.receipt
        told = (row.level, row.issuer, row.addressee, row.previous, row.at)
        if told != (said.level, said.issuer, said.addressee, said.previous, said.at):
            return _Wrong("I9", "says otherwise than the book")
        return signed


def _of(row: ReceiptRow, wrong: _Wrong) -> str:
    return f"receipt {row.digest[:12]}, {row.level} by {row.issuer}, {wrong.text}"


def _chain(said: list[SignedReceipt]) -> Iterator[str]:
    try:
        receipts.check_chain(said)
    except Refusal as refusal:
        yield f"the chain of receipts is broken: {refusal}"
