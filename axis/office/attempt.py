"""Attempt: one envelope from the inbox is answered.

It is received and verified, compared with what was answered before, put on
record before the handler sees it, handed over, and answered with signed
receipts that are kept in one commit and then published. The message is acked
when `take` returns. A crash at any line leads back here with the same envelope:
it is then answered with the very same bytes, or tried again, alone, and counted.

Spec: docs/protocol/deliveries.md; design laws 3 and 5.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import timedelta
from weakref import WeakValueDictionary

from axis import edxml, seal
from axis.broker import Incoming
from axis.clock import Clock
from axis.errors import Refusal, TransientError, refuse
from axis.office import answers, metrics
from axis.office.answers import Delivered, Permanent, Refused, Registered, Unavailable
from axis.office.courier import Courier
from axis.office.document import Attachment, Document, StatusReport
from axis.office.handlers import Handlers
from axis.office.pipes import Gateway
from axis.office.speech import About, Deferred, Failed, Outcome, Unsealed, say
from axis.office.state import Begun, State
from axis.office.suspects import Suspects
from axis.office.trust import LiveTrust
from axis.receipts.voice import Voice
from axis.telemetry import events

MOST_UNANSWERED = 5  # Attempts that may die without any answer before the envelope is called poison.
_NOT_NOW = "thử lại sau / to be tried again"
_TOO_SLOW = "không trả lời kịp / it did not answer in time"
_NO_STATUS = "Đơn vị này không nhận bản tin trạng thái edXML. / This office takes no edXML status messages."

_Content = Document | StatusReport | Outcome  # What can be handed over, or what is to be said without it.


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """Answers envelopes with the office's handlers."""

    voice: Voice
    trust: LiveTrust
    state: State
    courier: Courier
    gateway: Gateway
    handlers: Handlers
    answer_within: timedelta
    now: Clock
    axis: str  # OrganId of the axis, which seals what comes from older systems.
    suspects: Suspects = field(default_factory=Suspects)
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary, init=False)

    async def take(self, message: Incoming) -> None:
        """Answer one envelope; when this returns, the answer cannot be lost.

        Raises:
            TransientError: SYS.STATE; nothing was promised.
        """
        began = time.perf_counter()
        attempt = int(message.headers["attempt"])
        about, content = self._open(message, attempt)
        turn = self._turns.setdefault(about.envelope_id, asyncio.Lock())
        async with turn:  # The broker may hand out an envelope again while its first attempt still runs.
            said = await self._answer(message, content, about, attempt, alone=False)
            if said is None:
                said = await self._answer(message, content, about, attempt, alone=True) or ()
        metrics.ATTEMPT_SECONDS.observe(time.perf_counter() - began)
        await self.courier.send(said)

    async def _answer(
        self, message: Incoming, content: _Content, about: About, attempt: int, *, alone: bool
    ) -> tuple[bytes, ...] | None:
        """Make one attempt and return what was said; None if it is to be made alone."""
        async with self.suspects.turn(alone=alone):
            begun = await self.state.begin(about, attempt, self.now(), alone=alone)
            if begun.is_suspect:
                return None
            if begun.repeat:
                return begun.repeat
            outcome = await self._outcome(content, begun, about, attempt)
            previous = message.headers.get("previous-receipt") or begun.head
            return await self._keep(outcome, about, previous, attempt)

    def _open(self, message: Incoming, attempt: int) -> tuple[About, _Content]:
        """Read and verify an envelope; what is wrong with it is an outcome."""
        envelope_id, digest = str(message.headers["envelope-id"]), str(message.headers["envelope-digest"])
        received = edxml.parse(message.body)
        about = About(
            envelope_id=envelope_id,
            envelope_digest=digest,
            originator=self.trust.canonical(received.originator),
            document_id=received.document_id,
        )
        try:
            verified = seal.verify(received, self.trust.trust, at=self.now(), notary=self.axis)
            if verified.digest != digest:
                raise refuse("SIG.DIGEST", f"{verified.digest[:12]} ≠ {digest[:12]}")
        except TransientError as error:
            return about, Deferred(error.entry.vi.format(detail=error.detail))
        except Refusal as refusal:
            # Law 5: the axis knows every signer; that we do not know one means that our trust folder is behind.
            is_unknown = refusal.code == "KEY.UNKNOWN_SIGNER"
            return about, Deferred(refusal.violations[0].vi) if is_unknown else Unsealed(refusal)
        said = verified.message
        if isinstance(said, edxml.Status):
            return about, StatusReport(
                envelope_id=envelope_id,
                digest=digest,
                attempt=attempt,
                sealed=message.body,
                message=said,
                verified=verified.by_originator,
            )
        return about, Document(
            envelope_id=envelope_id,
            digest=digest,
            attempt=attempt,
            sealed=message.body,
            message=said,
            verified=verified.by_originator,
            attachments=tuple(Attachment(ref, self.gateway) for ref in said.attachments),
        )

    async def _outcome(self, content: _Content, begun: Begun, about: About, attempt: int) -> Outcome:
        """Return what comes of an attempt. Every exception ends here."""
        if begun.unanswered >= MOST_UNANSWERED:
            return Failed("DLV.POISON", f"{begun.unanswered} lần / attempts")
        if not isinstance(content, Document | StatusReport):
            return content
        if begun.twin is not None:
            return answers.load(begun.twin)
        try:
            async with asyncio.timeout(self.answer_within.total_seconds()):
                return await self._call(content)
        except asyncio.CancelledError:
            await self.state.release(about.envelope_id)  # It is we who stop; the document did nothing wrong.
            raise
        except Permanent as error:
            events.attempt_failed(envelope_id=about.envelope_id, attempt=attempt, error=error)
            return Failed("DLV.FAILED", error.reason)
        except Unavailable as error:
            return Deferred(error.reason)
        except Exception as error:
            # Its text stays in our own log: it may name hosts, paths and persons.
            events.attempt_failed(envelope_id=about.envelope_id, attempt=attempt, error=error)
            return Deferred(_TOO_SLOW if isinstance(error, TimeoutError) else _NOT_NOW)

    async def _call(self, content: Document | StatusReport) -> Outcome:
        if isinstance(content, StatusReport):
            if self.handlers.status is None:
                return Refused(_NO_STATUS)
            await self.handlers.status(content)
            return Delivered()
        if self.handlers.document is None:
            raise AssertionError("an office that runs has a handler for documents")
        answer: object = await self.handlers.document(content)
        if not isinstance(answer, Registered | Refused | Delivered):
            raise TypeError(f"a handler returns Registered, Refused or Delivered, not {type(answer).__name__}")
        return answer

    async def _keep(self, outcome: Outcome, about: About, previous: str | None, attempt: int) -> tuple[bytes, ...]:
        """Sign what is to be said and keep it in one commit."""
        at = self.now()
        signed = say(outcome, about, voice=self.voice, previous=previous, attempt=attempt, at=at)
        answer = answers.dump(outcome) if isinstance(outcome, Registered | Refused | Delivered) else None
        await self.state.keep(about.envelope_id, signed, attempt=attempt, answer=answer, at=at)
        level = signed[-1].receipt.level
        metrics.ATTEMPTS.labels(level).inc()
        events.attempt_answered(envelope_id=about.envelope_id, attempt=attempt, level=level)
        return tuple(one.xml for one in signed)
