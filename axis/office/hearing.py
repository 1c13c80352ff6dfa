"""Hearing: receipts of the axis and of addressees, about what this office sent.

A receipt is on the disk before the message is acked, and stays there until the
office's handler took it: a document system that is down loses no receipt. The
receipts of one envelope are offered in the order in which they came. One that
cannot be verified is kept too, and looked at again: certificates may be late.

Spec: docs/protocol/receipts.md.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

from axis import receipts
from axis.broker import Incoming
from axis.clock import Clock
from axis.errors import AxisError
from axis.office import metrics
from axis.office.handlers import Handlers, Notice
from axis.office.state import Heard, State
from axis.office.trust import LiveTrust
from axis.receipts import Level, SignedReceipt
from axis.telemetry import events

_AT_ONCE = 16
_MOST_KEPT = 1000
_TAKE_WITHIN_S = 60.0
_PAUSES = tuple(timedelta(seconds=s) for s in (2, 5, 15, 60, 300, 900))  # The last one repeats.
_ENDS = {Level.ACCEPTED: "accepted", Level.REJECTED: "rejected"}


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """Takes receipts in and offers them to the handler."""

    axis: str
    trust: LiveTrust
    state: State
    handlers: Handlers
    now: Clock
    _verified: dict[str, SignedReceipt] = field(default_factory=dict, init=False)

    async def take(self, message: Incoming) -> None:
        """Keep one receipt; when this returns, it cannot be lost.

        Raises:
            TransientError: SYS.STATE
        """
        await self.hear(message.body, str(message.headers.get("envelope-id") or ""))

    async def hear(self, xml: bytes, envelope_id: str) -> None:
        """Keep one receipt, however it came.

        Args:
            xml: The receipt.
            envelope_id: What it is said to be about, or "".

        Raises:
            TransientError: SYS.STATE
        """
        digest = sha256(xml).hexdigest()
        signed = None
        try:
            signed = self._read(xml)
        except AxisError as error:
            metrics.RECEIPTS_HEARD.labels("invalid").inc()
            events.receipt_refused(submitter=self.axis, digest=digest, code=error.code)
        else:
            self._remember(signed)
            metrics.RECEIPTS_HEARD.labels(signed.receipt.level).inc()
        # At the same moment, so that they share a commit; done twice, after a crash between them, is done once.
        kept = self.state.hear(digest, envelope_id or digest, xml, self.now())
        await asyncio.gather(kept, *([] if signed is None else [self._end_submission(signed)]))

    async def offer(self) -> int:
        """Offer what is due to the handler; return how many receipts were looked at."""
        due = await self.state.untaken(self.now(), _AT_ONCE)
        await asyncio.gather(*map(self._offer, due))
        return len(due)

    async def _offer(self, heard: Heard) -> None:
        try:
            signed = self._verified.pop(heard.digest, None) or self._read(heard.xml)
            said = signed.receipt
            if heard.tries:
                await self._end_submission(signed)  # It may be the first time that it could be verified.
            if self.handlers.receipt is not None:
                mine = await self.state.submission_of(said.envelope_digest)
                notice = Notice(signed=signed, submission_id=None if mine is None else mine.id)
                async with asyncio.timeout(_TAKE_WITHIN_S):
                    await self.handlers.receipt(notice)
        except Exception as error:
            events.receipt_not_taken(
                envelope_id=heard.envelope_id, digest=heard.digest, tries=heard.tries + 1, error=error
            )
            pause = _PAUSES[min(heard.tries, len(_PAUSES) - 1)]
            await self.state.not_taken(heard.digest, type(error).__name__, self.now() + pause)
        else:
            events.receipt_heard(envelope_id=said.envelope_id, issuer=said.issuer, level=said.level)
            await self.state.taken(heard.digest, self.now())

    def _read(self, xml: bytes) -> SignedReceipt:
        return receipts.read_receipt(xml, self.trust.trust, at=self.now(), axis=self.axis)

    def _remember(self, signed: SignedReceipt) -> None:
        """Keep what was verified until it is offered, a moment later: verifying costs more than offering."""
        if len(self._verified) < _MOST_KEPT:
            self._verified[signed.digest] = signed

    async def _end_submission(self, signed: SignedReceipt) -> None:
        """Note that the axis has answered what we submitted."""
        said = signed.receipt
        state = _ENDS.get(said.level)
        if state is None or said.addressee is not None:
            return
        # An acceptance names the signed content; a rejection names the file, which may hold no such thing.
        by_content = said.level is Level.ACCEPTED
        ended = await self.state.ended(
            state=state,
            at=self.now(),
            digest=said.envelope_digest if by_content else None,
            sealed_digest=None if by_content else said.envelope_digest,
            envelope_id=said.envelope_id or None,
            code=said.code,
            reason=said.reason or None,
            receipt=signed.xml,
        )
        for submission_id in ended:
            metrics.SUBMISSIONS.labels(state).inc()
            events.submission_ended(submission_id=submission_id, state=state, code=said.code)
