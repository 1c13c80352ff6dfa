"""Hearing: receipts of the axis and of addressees, about what this office sent.

A receipt is on the disk before the message is acked, and stays there until the
office's handler took it: a document system that is down loses no receipt. The
receipts of one envelope are offered in the order in which they came. One that
cannot be verified is kept too, and looked at again: certificates may be late.
What the handler took and the state cannot note is kept in mind, and nothing is
offered before it is noted: a full disk does not make the handler hear it again.

Spec: docs/protocol/receipts.md.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

from axis import brief, receipts
from axis.broker import Incoming
from axis.clock import Clock
from axis.errors import AxisError, TransientError
from axis.office import metrics
from axis.office.handlers import Handlers, Notice
from axis.office.state import Heard, NotTaken, State, Taken
from axis.office.trust import LiveTrust
from axis.receipts import Level, Receipt, SignedReceipt, bundle
from axis.telemetry import events

_AT_ONCE = 100
_MOST_KEPT = 1000
_TAKE_WITHIN_S = 60.0
_PATIENCE_S = 1.0  # So long the receipts of other envelopes wait for a handler that does not come back.
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
    ended: Callable[[str], None] = lambda _submission_id: None  # The axis has answered it.
    _verified: dict[str, SignedReceipt] = field(default_factory=dict, init=False)
    _unwritten: dict[str, Taken | NotTaken] = field(default_factory=dict, init=False)  # By digest; _AT_ONCE at most.
    _offering: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)  # By envelope.

    async def take(self, message: Incoming) -> None:
        """Keep one receipt or many; when this returns, they cannot be lost.

        Raises:
            TransientError: SYS.STATE
        """
        said = bundle.unpack(message.type, message.body)
        signed = await brief.each(self._read_or_why_not, said, brief.weight)
        claimed = str(message.headers.get("envelope-id") or "")
        await asyncio.gather(*(self._keep(xml, one, claimed) for xml, one in zip(said, signed, strict=True)))

    async def hear(self, xml: bytes, envelope_id: str) -> None:
        """Keep one receipt that came by another way.

        Args:
            xml: The receipt.
            envelope_id: What it is said to be about, or "".

        Raises:
            TransientError: SYS.STATE
        """
        await self._keep(xml, self._read_or_why_not(xml), envelope_id)

    async def _keep(self, xml: bytes, signed: SignedReceipt | AxisError, claimed: str) -> None:
        digest = sha256(xml).hexdigest()
        if isinstance(signed, AxisError):
            metrics.RECEIPTS_HEARD.labels("invalid").inc()
            events.receipt_refused(submitter=self.axis, digest=digest, code=signed.code)
            await self.state.hear(digest, claimed or digest, xml, self.now())
            return
        said = signed.receipt
        self._remember(signed)
        metrics.RECEIPTS_HEARD.labels(said.level).inc()
        kept = self.state.hear(digest, said.envelope_id or digest, xml, self.now(), about=said.envelope_digest)
        # At the same moment, so that they share a commit. That it is known ends nothing less: a crash may have come between them,
        # and the same refusal is the answer to the same bytes, however often they are submitted. And each by a task, also what
        # ends nothing: so what came first in a message goes first into the state.
        ends = [self._end_submission(signed)] if _end_in(said) else []
        await asyncio.gather(kept, *ends)

    async def offer(self) -> int:
        """Offer what is due to the handler; return how many receipts were looked at.

        What takes the handler long goes on by itself, and is noted by a later call.

        Raises:
            TransientError: SYS.STATE; what came of it is noted before anything else is offered.
        """
        await self._end()
        due = await self.state.untaken(self.now(), _AT_ONCE - len(self._offering), besides=self._offering.keys())
        by_envelope: dict[str, list[Heard]] = {}
        for one in due:
            by_envelope.setdefault(one.envelope_id, []).append(one)
        begun = {about: asyncio.create_task(self._offer(heard)) for about, heard in by_envelope.items()}
        self._offering.update(begun)
        if begun:
            await asyncio.wait(begun.values(), timeout=_PATIENCE_S)
            await self._end()
        return len(due)

    async def stop(self) -> None:
        """Break off what the handler is being offered, which is offered again; note what it took."""
        for task in self._offering.values():
            task.cancel()
        await asyncio.gather(*self._offering.values(), return_exceptions=True)
        with contextlib.suppress(TransientError):  # It is offered again, too.
            await self._write_down()

    async def _end(self) -> None:
        """Write down what came of offering, then let go of those envelopes: not before, or they were offered again."""
        ended = [about for about, task in self._offering.items() if task.done()]
        await self._write_down()
        for about in ended:
            del self._offering[about]

    async def _write_down(self) -> None:
        """Put what came of offering into the state."""
        outcomes = list(self._unwritten.values())
        if not outcomes:
            return
        await self.state.offered(outcomes, self.now())
        for one in outcomes:
            self._unwritten.pop(one.digest, None)

    async def _offer(self, heard: Sequence[Heard]) -> None:
        """Offer the receipts of one envelope, one after the other, until one is not taken."""
        for one in heard:
            outcome = self._unwritten[one.digest] = await self._offer_one(one)
            if isinstance(outcome, NotTaken):
                return

    async def _offer_one(self, heard: Heard) -> Taken | NotTaken:
        try:
            signed = self._verified.pop(heard.digest, None) or self._read(heard.xml)
            said = signed.receipt
            submission_id = heard.submission_id
            if not heard.was_verified:  # It could not be when it came.
                about = said.envelope_digest
                await asyncio.gather(self.state.verified(heard.digest, about), self._end_submission(signed))
                mine = await self.state.submission_of(said.envelope_digest)
                submission_id = None if mine is None else mine.id
            if self.handlers.receipt is not None:
                async with asyncio.timeout(_TAKE_WITHIN_S):
                    await self.handlers.receipt(Notice(signed=signed, submission_id=submission_id))
        except Exception as error:
            events.receipt_not_taken(
                envelope_id=heard.envelope_id, digest=heard.digest, tries=heard.tries + 1, error=error
            )
            pause = _PAUSES[min(heard.tries, len(_PAUSES) - 1)]
            return NotTaken(heard.digest, type(error).__name__, self.now() + pause)
        events.receipt_heard(envelope_id=said.envelope_id, issuer=said.issuer, level=said.level)
        return Taken(heard.digest)

    def _read_or_why_not(self, xml: bytes) -> SignedReceipt | AxisError:
        try:
            return self._read(xml)
        except AxisError as error:
            return error

    def _read(self, xml: bytes) -> SignedReceipt:
        return receipts.read_receipt(xml, self.trust.trust, at=self.now(), axis=self.axis)

    def _remember(self, signed: SignedReceipt) -> None:
        """Keep what was verified until it is offered, a moment later: verifying costs more than offering."""
        if len(self._verified) < _MOST_KEPT:
            self._verified[signed.digest] = signed

    async def _end_submission(self, signed: SignedReceipt) -> None:
        """Note that the axis has answered what we submitted."""
        said = signed.receipt
        state = _end_in(said)
        if state is None:
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
            receipt=signed,
        )
        for submission_id in ended:
            self.ended(submission_id)
            metrics.SUBMISSIONS.labels(state).inc()
            events.submission_ended(submission_id=submission_id, state=state, code=said.code)


def _end_in(said: Receipt) -> str | None:
    """Return how a receipt ends what was submitted; None if it does not."""
    return _ENDS.get(said.level) if said.addressee is None else None
