"""Attempt: one envelope from the inbox is answered.

It is received and verified, compared with what was answered before, put on
record before the handler sees it, handed over, and answered with signed
receipts that are kept in one commit and then published. The message is acked
when `take` returns. An order waits until nobody is at work on its targets. A crash at any line leads back here with the same envelope:
it is then answered with the very same bytes, or tried again, alone, and counted.

An attempt that ends without the handler's own word may have done its work: until
there is such a word the document counts as one that may be here.

Spec: docs/protocol/deliveries.md, office-orders.md; design laws 3 and 5.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from weakref import WeakValueDictionary

from axis import edxml, seal
from axis.broker import Incoming
from axis.clock import Clock
from axis.errors import PermanentError, Refusal, TransientError, refuse
from axis.office import answers, metrics
from axis.office.answers import Agreed, Declined, Delivered, Permanent, Refused, Registered, Unavailable, Uncertain
from axis.office.copies import Carries
from axis.office.courier import Courier
from axis.office.document import Attachment, Document, StatusReport
from axis.office.handlers import Handlers
from axis.office.order import NOT_ITS_ORIGINATOR, Asked, Order, agreed_without, asked_of, order_of, withdrawn_by
from axis.office.orders import Orders, targets_of
from axis.office.pipes import Gateway
from axis.office.speech import About, Deferred, Failed, Outcome, Unsealed, Withdrawn, in_doubt, say
from axis.office.state import Begun, Coming, State
from axis.office.suspects import Suspects
from axis.office.trust import LiveTrust
from axis.receipts.voice import Voice
from axis.telemetry import events

MOST_UNANSWERED = 5  # Attempts that may die without any answer before the envelope is called poison.
_NOT_NOW = "thử lại sau / to be tried again"
_TOO_SLOW = "không trả lời kịp / it did not answer in time"
_NO_STATUS = "Đơn vị này không nhận bản tin trạng thái edXML. / This office takes no edXML status messages."

_Content = Document | StatusReport | Outcome  # What can be handed over, or what is to be said without it.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """An envelope that was read."""

    about: About
    content: _Content
    coming: Coming
    asked: Asked | None = None  # What it orders.

    @property
    def touches(self) -> frozenset[str]:
        """Ids of the documents that nobody else may be at work on meanwhile."""
        own = (self.about.document_id,) if self.coming.carries is Carries.DOCUMENT else ()
        return frozenset((*own, *self.coming.targets))


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """Answers envelopes with the office's handlers."""

    voice: Voice
    trust: LiveTrust
    state: State
    courier: Courier
    orders: Orders
    gateway: Gateway
    handlers: Handlers
    answer_within: timedelta
    now: Clock
    axis: str  # OrganId of the axis, which seals what comes from older systems.
    suspects: Suspects = field(default_factory=Suspects)
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary, init=False)
    _at_work: set[str] = field(default_factory=set, init=False)  # Envelope ids.

    async def take(self, message: Incoming) -> None:
        """Answer one envelope; when this returns, the answer cannot be lost.

        Raises:
            TransientError: SYS.STATE, SYS.KEY; nothing was promised.
        """
        self.voice.key.require(self.now())  # What is not going to be answered is not worked on.
        began = time.perf_counter()
        attempt = int(message.headers["attempt"])
        opened = self._open(message, attempt)
        # The broker may hand out an envelope again while its first attempt still runs.
        async with self._turn(opened.about.envelope_id), self._documents(opened.touches):
            self._at_work.add(opened.about.envelope_id)
            try:
                said = await self._answer(message, opened, attempt, alone=False)
                if said is None:
                    said = await self._answer(message, opened, attempt, alone=True) or ()
            finally:
                self._at_work.discard(opened.about.envelope_id)
        metrics.ATTEMPT_SECONDS.observe(time.perf_counter() - began)
        await self.courier.send(said)

    @contextlib.asynccontextmanager
    async def deciding(self, order_id: str, document_ids: Iterable[str]) -> AsyncIterator[None]:
        """Keep others from the targets of an order while it is decided otherwise than by its attempt."""
        if order_id in self._at_work:  # Its attempt keeps them away, and may be waiting for us.
            yield
            return
        async with self._documents(document_ids):
            yield

    @contextlib.asynccontextmanager
    async def _documents(self, document_ids: Iterable[str]) -> AsyncIterator[None]:
        """Hold the turns of documents while the block runs; all take them in one order, so nobody waits in a ring."""
        async with contextlib.AsyncExitStack() as stack:
            for document_id in sorted(document_ids):
                await stack.enter_async_context(self._turn(f"document {document_id}"))
            yield

    def _turn(self, key: str) -> asyncio.Lock:
        return self._turns.setdefault(key, asyncio.Lock())

    async def _answer(
        self, message: Incoming, opened: _Opened, attempt: int, *, alone: bool
    ) -> tuple[bytes, ...] | None:
        """Make one attempt and return what was said; None if it is to be made alone."""
        async with self.suspects.turn(alone=alone):
            try:
                begun = await self.state.begin(
                    opened.about,
                    attempt,
                    self.now(),
                    alone=alone,
                    coming=opened.coming,
                    may_order=self.trust.may_order,
                )
                if begun.is_suspect:
                    return None
                if begun.repeat:
                    return begun.repeat
                outcome = await self._outcome(opened, begun, attempt)
                if begun.is_uncertain:
                    outcome = in_doubt(outcome)
                previous = opened.coming.previous or begun.head
                return await self._keep(outcome, opened, begun, previous, attempt)
            except asyncio.CancelledError:
                # It is we who stop; the document did nothing wrong.
                await self.state.release(opened.about.envelope_id, attempt)
                raise

    def _verified(self, received: edxml.Received) -> seal.Verified:
        """Verify an envelope, by what is in the trust folder now: a key may be younger than our last look into it.

        Raises:
            Refusal: SIG.*, KEY.*
            TransientError: It cannot be told now.
        """
        try:
            return seal.verify(received, self.trust.trust, at=self.now(), notary=self.axis)
        except Refusal:
            if not self._has_trust_changed():
                raise
        return seal.verify(received, self.trust.trust, at=self.now(), notary=self.axis)

    def _has_trust_changed(self) -> bool:
        """Look into the trust folder; where it cannot be read, what was read before stays in force."""
        try:
            return self.trust.refresh()
        except PermanentError:
            return False

    def _open(self, message: Incoming, attempt: int) -> _Opened:
        """Read and verify an envelope; what is wrong with it is an outcome."""
        envelope_id, digest = str(message.headers["envelope-id"]), str(message.headers["envelope-digest"])
        received = edxml.parse(message.body)
        about = About(
            envelope_id=envelope_id,
            envelope_digest=digest,
            originator=self.trust.canonical(received.originator),
            document_id=received.document_id,
        )
        previous = message.headers.get("previous-receipt") or None
        unknown = Coming(carries=Carries.UNKNOWN, previous=previous)
        try:
            verified = self._verified(received)
            if verified.digest != digest:
                raise refuse("SIG.DIGEST", f"{verified.digest[:12]} ≠ {digest[:12]}")
        except TransientError as error:
            return _Opened(about=about, content=Deferred(error.entry.vi.format(detail=error.detail)), coming=unknown)
        except Refusal as refusal:
            # Law 5: the axis knows every signer; that we do not know one means that our trust folder is behind.
            is_unknown = refusal.code == "KEY.UNKNOWN_SIGNER"
            content = Deferred(refusal.violations[0].vi) if is_unknown else Unsealed(refusal)
            return _Opened(about=about, content=content, coming=unknown)
        said = verified.message
        asked = asked_of(said, is_for_others=self._is_for_others)
        came: dict[str, Any] = {
            "envelope_id": envelope_id,
            "digest": digest,
            "attempt": attempt,
            "sealed": message.body,
            "verified": verified.by_originator,
        }
        targets = () if asked is None else asked.document_ids
        if isinstance(said, edxml.Status):
            coming = Coming(
                carries=Carries.STATUS if asked is None else Carries.ORDER, previous=previous, targets=targets
            )
            return _Opened(about=about, content=StatusReport(**came, message=said), coming=coming, asked=asked)
        carries = Carries.DOCUMENT if asked is None or asked.brings else Carries.ORDER
        attachments = tuple(Attachment(ref, self.gateway, message.files.get(ref.sha256)) for ref in said.attachments)
        return _Opened(
            about=about,
            content=Document(**came, message=said, attachments=attachments),
            coming=Coming(carries=carries, code=said.code, previous=previous, targets=targets),
            asked=asked,
        )

    def _is_for_others(self, organ_id: str) -> bool:
        return self.trust.means_another(organ_id, self.voice.organ_id)

    async def _outcome(self, opened: _Opened, begun: Begun, attempt: int) -> Outcome:
        """Return what comes of an attempt. Every exception ends here."""
        content, asked = opened.content, opened.asked
        envelope_id = opened.about.envelope_id
        if begun.withdrawn_by is not None:
            return Withdrawn(withdrawn_by(begun.withdrawn_by))
        if begun.unanswered >= MOST_UNANSWERED:
            return Failed("DLV.POISON", f"{begun.unanswered} lần / attempts")
        if not isinstance(content, Document | StatusReport):
            return content
        if begun.twin is not None:
            return answers.load(begun.twin)
        if begun.is_foreign:
            return NOT_ITS_ORIGINATOR
        order = None if asked is None or not begun.held else order_of(content, asked, targets_of(begun.held))
        if asked is not None and order is None and not asked.brings:
            return agreed_without(begun.copies[0].level if begun.copies else None)
        try:
            async with asyncio.timeout(self.answer_within.total_seconds()):
                return await self._call(order or content)
        except Permanent as error:
            events.attempt_failed(envelope_id=envelope_id, attempt=attempt, error=error)
            return Failed("DLV.FAILED", error.reason)
        except Unavailable as error:
            return Deferred(error.reason)
        except Uncertain as error:
            events.attempt_failed(envelope_id=envelope_id, attempt=attempt, error=error)
            return Deferred(error.reason, is_uncertain=True)
        except Exception as error:
            # Its text stays in our own log: it may name hosts, paths and persons.
            events.attempt_failed(envelope_id=envelope_id, attempt=attempt, error=error)
            return Deferred(_TOO_SLOW if isinstance(error, TimeoutError) else _NOT_NOW, is_uncertain=True)

    async def _call(self, content: Document | StatusReport | Order) -> Outcome:
        if isinstance(content, Order):
            return await self._call_about_order(content)
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

    async def _call_about_order(self, order: Order) -> Outcome:
        if self.handlers.order is None:
            return Delivered()  # A person decides; `Office.report` says it.
        answer: object = await self.handlers.order(order)
        if not isinstance(answer, Agreed | Declined | Delivered):
            raise TypeError(f"an order is answered with Agreed, Declined or Delivered, not {type(answer).__name__}")
        return answer

    async def _keep(
        self, outcome: Outcome, opened: _Opened, begun: Begun, previous: str | None, attempt: int
    ) -> tuple[bytes, ...]:
        """Sign what is to be said and keep it in one commit.

        Raises:
            TransientError: SYS.STATE; the order was answered meanwhile, and the attempt is to begin anew. SYS.KEY; the
                next key signs what the office has said.
        """
        at, about = self.now(), opened.about
        try:
            self.voice.key.require(at)
        except TransientError:
            if isinstance(outcome, answers.Said):
                await self.state.answered(about.envelope_id, answers.dump(outcome))
            raise
        if begun.held:
            kept = await self.orders.settle(outcome, about, begun.held, previous=previous, attempt=attempt, at=at)
            if kept is None:
                raise TransientError("SYS.STATE")
            said = [list(words.signed) for words in kept]
        else:
            said = [say(outcome, about, voice=self.voice, previous=previous, attempt=attempt, at=at)]
            answer = answers.dump(outcome) if isinstance(outcome, answers.Said) else None
            await self.state.keep(about.envelope_id, said[0], attempt=attempt, answer=answer, at=at)
        level = said[0][-1].receipt.level
        metrics.ATTEMPTS.labels(level).inc()
        events.attempt_answered(envelope_id=about.envelope_id, attempt=attempt, level=level)
        return tuple(one.xml for signed in said for one in signed)
