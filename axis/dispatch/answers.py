"""Answers: a receipt comes in, and a delivery moves.

A receipt is believed when its seal is that of the office it names, and it has
effect when that office is the addressee. It is stored, the delivery moved and
the originator's notice written in one commit; the message is acked after it.
What an office says that cannot sign, the axis writes down as a notary.
Receipts may come twice, late or out of order: twice changes nothing, late is
recorded, and the state table settles the rest.

Spec: docs/protocol/receipts.md; docs/adr/0026; design laws 3 and 5.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from axis import brief, receipts
from axis.batches import Batches
from axis.deadlines import Clocks, Deadlines
from axis.dispatch import business
from axis.dispatch.along import Along, alone
from axis.dispatch.newest import Renew, Roll, as_it_is, by_newest
from axis.dispatch.retry import RetrySchedule, is_news
from axis.dispatch.states import LATE, OF_ONE_ATTEMPT, WAITING, State, after
from axis.edxml import BusinessType, Kind
from axis.errors import CATALOGUE, AxisError, PermanentError, refuse
from axis.ledger import Asked, DeliveryRow, Failure, Heir, Ledger, Notice, Outcome, ReceiptEntry, ReceiptRow, Recorded
from axis.receipts import Level, Party, Receipt, SignedReceipt, Verdict
from axis.receipts.voice import Voice
from axis.registry import Registry
from axis.telemetry import events, metrics

# Where an addressee says with this code that it has put a document off, or given it up, its system has not taken it. Any other
# code leaves that open, as does a dead letter that is the axis's own word.
_NOT_TAKEN = {State.DEFERRED: "DLV.OFFICE_UNAVAILABLE", State.DEAD: "DLV.FAILED"}
_TOGETHER = 100  # Receipts that are recorded in one commit.
_WHO_NEXT = {  # Who must act on a delivery in this state, if the receipt does not say.
    State.QUEUED: "nobody",
    State.SENT: "addressee",
    State.DEFERRED: "addressee",
    State.DEAD: "operator",
}


@dataclass(frozen=True, slots=True)
class _Came:
    """A receipt as an office published it."""

    xml: bytes
    submitter: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Takes receipts, from offices and from the axis itself, into the ledger."""

    ledger: Ledger
    roll: Callable[[], Roll]
    voice: Voice
    schedule: RetrySchedule
    lifetimes: Sequence[timedelta]  # By priority; of what is forwarded.
    notices_after: tuple[timedelta, ...]
    breaker_after: int
    deadlines: Deadlines
    along: Along = alone  # What a commit makes due is begun with it.
    renew: Renew = as_it_is
    _reading: Batches[_Came, SignedReceipt] = field(init=False)
    _recording: Batches[Asked, Recorded] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_reading", Batches(self._read, most=_TOGETHER))
        object.__setattr__(self, "_recording", Batches(self._record, most=_TOGETHER))

    async def take(self, xml: bytes, *, submitter: str, now: datetime, about: str | None = None) -> Recorded:
        """Take one receipt that an office published, or brought for the envelope `about`.

        Raises:
            Refusal: It is forged, malformed, or about no delivery of that office.
            TransientError: It could not be checked or kept now.
        """
        signed = await self._reading.add(_Came(xml, submitter, now))
        recorded = await self._recording.add(self._asked(signed, submitter, now, about))
        self._heard(recorded, signed, now)
        return recorded

    async def take_all(self, xmls: Sequence[bytes], *, submitter: str, now: datetime) -> list[Recorded | BaseException]:
        """Take receipts that an office published together; what `take` would raise for one of them is its answer."""
        read = await asyncio.gather(
            *(self._reading.put(_Came(xml, submitter, now)) for xml in xmls), return_exceptions=True
        )
        signed = [one for one in read if isinstance(one, SignedReceipt)]
        recorded = await asyncio.gather(
            *(self._recording.put(self._asked(one, submitter, now)) for one in signed), return_exceptions=True
        )
        for one, said in zip(recorded, signed, strict=True):
            if isinstance(one, Recorded):
                self._heard(one, said, now)
        kept = iter(recorded)
        return [next(kept) if isinstance(one, SignedReceipt) else one for one in read]

    def _heard(self, recorded: Recorded, signed: SignedReceipt, now: datetime) -> None:
        self._tell(recorded)
        metrics.RECEIPT_SECONDS.observe(max(0.0, (now - signed.receipt.at).total_seconds()))

    def _asked(self, signed: SignedReceipt, submitter: str, now: datetime, about: str | None = None) -> Asked:
        """Return what an office's receipt asks of the ledger."""
        said = signed.receipt
        roll, _ = self.roll()

        def decide(row: DeliveryRow | None) -> ReceiptEntry:
            if row is None or row.digest != said.envelope_digest:
                raise refuse("RCT.UNKNOWN", said.envelope_id)
            if about not in (None, said.envelope_id):
                raise refuse("RCT.INVALID", f"EnvelopeId: {said.envelope_id} ≠ {about}")
            _require_same(said, row, roll)
            return self._entry(signed, row, now)

        return Asked(envelope_id=said.envelope_id, addressee=submitter, decide=decide, digest=signed.digest)

    async def _read(self, came: Sequence[_Came]) -> list[SignedReceipt | Exception]:
        """Verify receipts; what is wrong with one is its own answer."""
        return await by_newest(self._read_one, came, self.roll, self.renew, lambda one: brief.weight(one.xml))

    def _read_one(self, came: _Came, roll: Roll) -> SignedReceipt | Exception:
        offices, trust = roll
        try:
            signed = receipts.read_receipt(came.xml, trust, at=came.at, axis=self.voice.organ_id)
            said = signed.receipt
            office = offices.find(said.issuer)
            if office is None or office.code != came.submitter or said.addressee != came.submitter:
                raise refuse("RCT.INVALID", f"{said.issuer} ≠ {came.submitter}")
            if said.status_code in business.OF_ORIGINATOR:
                raise refuse("RCT.INVALID", f"StatusCode: {said.status_code}")
        except AxisError as error:
            return error
        return signed

    async def _record(self, asked: Sequence[Asked]) -> Sequence[Recorded | Exception]:
        return await self.along(self.ledger.record(asked))

    def _entry(
        self,
        signed: SignedReceipt,
        row: DeliveryRow,
        now: datetime,
        *,
        clocks: Clocks | None = None,
        also: Collection[str] = (),
    ) -> ReceiptEntry:
        """Return the one commit that this receipt makes.

        Args:
            signed: The receipt.
            row: The delivery as it stands.
            now: Now.
            clocks: Those that it leaves, where it is the axis's own.
            also: Who is told of it beside those whom it concerns.
        """
        said = signed.receipt
        state = _state_after(signed, row)
        wait = self.schedule.wait(attempts=max(row.attempts, 1), priority=row.priority, draw=random.random())
        own_word = said.party is not Party.AXIS  # Where the axis speaks, the office has shown nothing.
        deferred = said.level is Level.DEFERRED
        return ReceiptEntry(
            receipt=ReceiptRow(
                digest=signed.digest,
                level=said.level.value,
                issuer=said.issuer,
                addressee=said.addressee,
                previous=said.previous,
                at=said.at,
                xml=signed.xml,
            ),
            new_state=state.value if state is not None else None,
            business=said.status_code if _stands(said, row) else None,
            code=said.code,
            reason=said.reason,
            who_must_act=said.who_must_act or (_WHO_NEXT.get(state, "nobody") if state else ""),
            next_at=now + wait if state is State.DEFERRED and own_word else None,
            notices=tuple(Notice(target=one, receipt_digest=signed.digest) for one in self._told(said, row, now, also)),
            event=f"receipt.{said.level.value}" + ("" if state is not None else ".late"),
            at=now,
            office_answered=own_word and not deferred,
            failure=Failure(threshold=self.breaker_after, probe_after=wait) if own_word and deferred else None,
            clocks=self._clocks(said, row, state, now) if clocks is None else clocks,
            # By its own word an office has, or has not, what it put off: an order goes by that.
            why_stays=deferred and not own_word and row.state == State.DEFERRED,
        )

    def _told(self, said: Receipt, row: DeliveryRow, now: datetime, also: Collection[str]) -> tuple[str, ...]:
        """Return the offices that a receipt goes to."""
        if said.level is Level.REMINDED:
            return (row.addressee,) if said.code == "DUE.SOON" else (row.originator, row.addressee)
        if said.level is Level.DEFERRED and not self._is_news(row, now):
            return ()
        return tuple(dict.fromkeys((row.originator, *also)))

    def clocks_after(self, row: DeliveryRow, status_code: str, now: datetime) -> Clocks:
        """Return the clocks of a delivery after a status message of its addressee."""
        runs = row.state == State.DELIVERED and row.kind == Kind.DOCUMENT and row.business_type != BusinessType.RECALL
        if not runs:
            return row.clocks
        return self.deadlines.after(row.clocks, status_code=status_code, withdrawn=False, priority=row.priority, at=now)

    def _clocks(self, said: Receipt, row: DeliveryRow, state: State | None, now: datetime) -> Clocks | None:
        """Return the clocks of an addressee after its own word; None: as they stand."""
        if state is not State.DELIVERED or said.party is Party.AXIS or row.kind != Kind.DOCUMENT:
            return None
        if row.business_type == BusinessType.RECALL:  # It is answered, not registered.
            return None
        clocks = row.clocks
        if row.state != State.DELIVERED:
            clocks = self.deadlines.begun(clocks, priority=row.priority, at=now)
        return self.deadlines.after(
            clocks,
            status_code=said.status_code,
            withdrawn=said.level is Level.RECALLED,
            priority=row.priority,
            at=now,
        )

    def _is_news(self, row: DeliveryRow, now: datetime) -> bool:
        told_at_age = None if row.told_at is None else row.told_at - row.since
        return is_news(age=now - row.since, told_at_age=told_at_age, marks=self.notices_after)

    def _tell(self, recorded: Recorded) -> None:
        """Tell those who watch."""
        row, entry = recorded.row, recorded.entry
        if recorded.outcome is not Outcome.RECORDED or row is None or entry is None:
            return
        level = Level(entry.receipt.level)
        if level is Level.REMINDED:
            metrics.REMINDERS.labels("soon" if entry.code == "DUE.SOON" else "over").inc()
            events.deadline_reminded(envelope_id=row.envelope_id, addressee=row.addressee, code=entry.code or "")
            return
        metrics.ATTEMPTS.labels(level.value).inc()
        if level is Level.DELIVERED:
            metrics.DELIVERY_SECONDS.observe(max(0.0, (entry.at - row.since).total_seconds()))
        events.delivery_changed(
            envelope_id=row.envelope_id,
            addressee=row.addressee,
            level=level.value,
            state=entry.new_state or row.state,
            attempt=row.attempts,
            next_at=entry.next_at,
        )
        if entry.new_state == State.DEAD and row.state != State.DEAD:
            events.delivery_dead_lettered(
                envelope_id=row.envelope_id, addressee=row.addressee, code=entry.code or "DLV.FAILED"
            )

    async def expire(self, row: DeliveryRow, now: datetime) -> None:
        """End a delivery whose lifetime is over, with a signed receipt."""

        def is_over(stands: DeliveryRow) -> bool:  # It may have ended, and begun anew, since it was looked at.
            return State(stands.state) in WAITING and stands.expires_at <= now

        await self._say(row, Level.EXPIRED, "DLV.EXPIRED", now, where=is_over)

    async def give_up(self, row: DeliveryRow, now: datetime, *, code: str, detail: str) -> None:
        """Make a dead letter of a delivery, with a signed receipt."""
        await self._say(row, Level.FAILED, code, now, detail=detail)

    async def warn(self, row: DeliveryRow, now: datetime, *, code: str) -> None:
        """Tell the originator that a delivery is late, and by the code why, if that is news."""

        def is_late(stands: DeliveryRow) -> bool:  # And nobody else has told it meanwhile.
            return stands.state == row.state and self._is_news(stands, now)

        if self._is_news(row, now):
            detail = _named(self.roll()[0], row.addressee)
            await self._say(row, Level.DEFERRED, code, now, detail=detail, where=is_late)

    async def take_back(self, row: DeliveryRow, now: datetime, *, by: str, told: str, removed: bool) -> bool:
        """Take a delivery back that waits, with a signed receipt; False if its addressee may have it, or it has ended.

        Args:
            row: The delivery.
            now: Now.
            by: Document id of the order.
            told: Who ordered it; told beside the originator, whose heir it may be.
            removed: Its only message was taken out of the inbox; otherwise what may have been published stays as it is.
        """

        def cannot_be_there(now: DeliveryRow) -> bool:
            state = State(now.state)
            if state is State.QUEUED:
                return not now.attempts
            if state in _NOT_TAKEN:
                return now.code == _NOT_TAKEN[state]
            # Its addressee is closed; or nobody has had its message.
            return state is State.HELD or (removed and state is State.SENT and now.attempts == 1)

        return await self._say(
            row, Level.RECALLED, "ORD.TAKEN_BACK", now, detail=by, where=cannot_be_there, also=(told,)
        )

    async def end_order(self, row: DeliveryRow, now: datetime, *, about: str) -> None:
        """End the delivery of an order that has nothing left to do at its addressee, with a signed receipt."""
        await self._say(row, Level.RECALLED, "ORD.NOTHING_THERE", now, detail=about)

    async def refuse_order(self, row: DeliveryRow, now: datetime, *, code: str, detail: str) -> None:
        """Refuse an order, or a status, for one addressee, with a signed receipt."""
        await self._say(row, Level.REJECTED, code, now, detail=detail, where=_is_untouched)

    async def forward(self, row: DeliveryRow, now: datetime, *, heirs: Sequence[str], by: str, reason: str) -> bool:
        """Give to successors what is held, by deliveries that begin in the same commit; a signed receipt names all of them.

        Args:
            row: The delivery to the closed office.
            now: Now.
            heirs: Codes of the offices that get it. One that has the envelope already gets it no second time.
            by: Who has decided it; kept with the event.
            reason: Why; likewise.

        Returns:
            False if it is not held any more, or an heir has ended without the envelope.
        """
        verdicts = [Verdict(code, "served", "", addressed=row.addressee) for code in heirs]
        roll, _ = self.roll()
        detail = f"{_named(roll, row.addressee)} → {'; '.join(_named(roll, code) for code in heirs)}"

        def decide(row: DeliveryRow) -> ReceiptEntry | None:
            if State(row.state) is not State.HELD:
                return None
            signed = self._signed(row, Level.FORWARDED, "DLV.FORWARDED", now, detail, verdicts)
            return replace(
                self._entry(signed, row, now, also=heirs),
                heirs=tuple(self._heir(code, row, now) for code in heirs),
                note={"by": by, "reason": reason, "heirs": list(heirs)},
            )

        return await self._decide(row, decide, heirs=heirs)

    def _heir(self, code: str, row: DeliveryRow, now: datetime) -> Heir:
        """Return a delivery that begins now: nothing of what its addressee has to do was its own before."""
        hour = row.release_at if row.release_at is not None and row.release_at > now else None
        asked = row.process_by
        return Heir(
            addressee=code,
            in_place_of=row.addressee,
            priority=row.priority,
            accepted_at=now,
            expires_at=(hour or now) + self.lifetimes[row.priority],
            next_at=hour or now,
            release_at=hour,
            process_by=asked if asked is not None and asked > now else None,
        )

    async def give_back(self, row: DeliveryRow, now: datetime, *, by: str, reason: str) -> bool:
        """End what is held with a no, which says why; False if it is not held any more."""

        def decide(row: DeliveryRow) -> ReceiptEntry | None:
            if State(row.state) is not State.HELD:
                return None
            signed = self._signed(row, Level.REJECTED, "DLV.RETURNED", now, reason)
            return replace(self._entry(signed, row, now), note={"by": by, "reason": reason})

        return await self._decide(row, decide)

    async def remind(self, about: DeliveryRow, now: datetime) -> None:
        """Remind an addressee of a deadline; if it is over, tell the originator too."""

        def decide(row: DeliveryRow) -> ReceiptEntry | None:
            due = self.deadlines.remind(row.clocks, priority=row.priority, now=now)
            if due is None:
                return None  # Somebody else has, or it was registered meanwhile.
            reminder, clocks = due
            code = "DUE.OVER" if reminder.is_over else "DUE.SOON"
            return self._entry(self._signed(row, Level.REMINDED, code, now, reminder.detail), row, now, clocks=clocks)

        await self._decide(about, decide)

    async def notarise(
        self, about: DeliveryRow, now: datetime, *, level: Level, status_code: str, reason: str = ""
    ) -> DeliveryRow:
        """Write down, in a receipt of the axis, what an addressee says that cannot sign; said again, it changes nothing.

        Args:
            about: The delivery.
            now: Now.
            level: What the addressee says.
            status_code: The same as an edXML status.
            reason: In the words of its clerks.

        Returns:
            The delivery as it stands then.

        Raises:
            TransientError: It could not be kept now.
        """
        # What is late moves nothing by which one could see that it was said.
        is_late = after(State(about.state), level) is None
        was_said = is_late and await self._was_said(about, level)

        def decide(row: DeliveryRow) -> ReceiptEntry | None:
            signed = self._notarised(row, now, level=level, status_code=status_code, reason=reason)
            state = _state_after(signed, row)
            is_news = not was_said if state is None else state is not State(row.state) or _stands(signed.receipt, row)
            return self._entry(signed, row, now) if is_news else None

        await self._decide(about, decide)
        return await self.ledger.delivery(about.envelope_id, about.addressee) or about

    async def _was_said(self, about: DeliveryRow, level: Level) -> bool:
        said = await self.ledger.receipts_of(about.envelope_id)
        return any(one.level == level and one.addressee == about.addressee for one in said)

    def _notarised(
        self, row: DeliveryRow, now: datetime, *, level: Level, status_code: str, reason: str
    ) -> SignedReceipt:
        entry, refusal = CATALOGUE["RCT.NOTARY"], CATALOGUE["DLV.REFUSED"]
        is_refusal = level is Level.REFUSED
        return self.voice.say(
            **_about(row),
            level=level,
            at=now,
            status=refusal.status if is_refusal else entry.status,
            status_code=status_code,
            code="RCT.NOTARY",
            reason=f"{entry.vi} / {entry.en}" + (f" {reason}" if reason else ""),
            who_must_act=refusal.actor if is_refusal else entry.actor,
        )

    async def _say(
        self,
        about: DeliveryRow,
        level: Level,
        code: str,
        now: datetime,
        *,
        detail: str = "",
        where: Callable[[DeliveryRow], bool] = lambda now: State(now.state) in WAITING,
        also: Collection[str] = (),
    ) -> bool:
        """Sign a receipt of the axis about a delivery that, as it stands now, still is one `where` it fits, and record it.

        Returns:
            False if it is not, and nothing is said.
        """

        def decide(row: DeliveryRow) -> ReceiptEntry | None:
            if not where(row):
                return None  # It has ended, or moved, meanwhile.
            return self._entry(self._signed(row, level, code, now, detail), row, now, also=also)

        return await self._decide(about, decide)

    async def _decide(
        self, about: DeliveryRow, decide: Callable[[DeliveryRow], ReceiptEntry | None], *, heirs: Sequence[str] = ()
    ) -> bool:
        """Record what the axis says about a delivery as it stands; False if it says nothing."""
        asked = Asked(
            envelope_id=about.envelope_id,
            addressee=about.addressee,
            decide=lambda row: None if row is None else decide(row),
            heirs=tuple(heirs),
        )
        recorded = await self._recording.add(asked)
        self._tell(recorded)
        return recorded.outcome is Outcome.RECORDED

    def _signed(
        self,
        row: DeliveryRow,
        level: Level,
        code: str,
        now: datetime,
        detail: str,
        addressees: Sequence[Verdict] = (),
    ) -> SignedReceipt:
        entry = CATALOGUE[code]
        return self.voice.say(
            **_about(row),
            level=level,
            at=now,
            status=entry.status,
            code=code,
            reason=entry.vi.format(detail=detail),
            addressees=tuple(addressees),
            who_must_act=entry.actor,
        )

    async def refuse_receipt(self, error: PermanentError, *, digest: str, submitter: str, now: datetime) -> None:
        """Put a refused receipt on record; nothing else changes."""
        metrics.RECEIPTS_REFUSED.labels(error.code).inc()
        events.receipt_refused(submitter=submitter, digest=digest, code=error.code)
        await self.ledger.note_refused_receipt(submitter=submitter, digest=digest, code=error.code, at=now)


def _about(row: DeliveryRow) -> dict[str, Any]:
    """Return what a receipt of the axis says of the delivery that it is about."""
    return {
        "originator": row.originator,
        "document_id": row.document_id,
        "envelope_id": row.envelope_id,
        "envelope_digest": row.digest,
        "addressee": row.addressee,
        "previous": row.chain_head,
        "attempt": row.attempts,
    }


def _is_untouched(row: DeliveryRow) -> bool:
    return State(row.state) in (State.QUEUED, State.HELD)


def _named(roll: Registry, code: str) -> str:
    office = roll.find(code)
    return code if office is None else f"{office.name} ({code})"


def _require_same(said: Receipt, row: DeliveryRow, roll: Registry) -> None:
    """Refuse a receipt that says other things about its envelope than the envelope does: the originator reads them."""
    # The roll is asked about another identifier alone: who has left it, or has just come into it, is who it is.
    if said.originator != row.originator:
        originator = roll.find(said.originator)
        if originator is None or originator.code != row.originator:
            raise refuse("RCT.INVALID", f"Originator: {said.originator} ≠ {row.originator}")
    # A status is kept under its document's id and more: an office reports many about one document.
    if said.document_id != row.document_id and not row.document_id.startswith(f"{said.document_id}#"):
        raise refuse("RCT.INVALID", f"DocumentId: {said.document_id[:80]}")
    if said.previous is None:
        raise refuse("RCT.INVALID", "Previous")


def _stands(said: Receipt, row: DeliveryRow) -> bool:
    """Tell whether what a receipt reports is to stand as the last word of the addressee's clerks."""
    return business.stands(said.level, said.status_code, row.business, is_order=business.is_order(row))


def _state_after(signed: SignedReceipt, row: DeliveryRow) -> State | None:
    """Return the state that a receipt leads to; None when it is late."""
    said = signed.receipt
    if said.level is Level.DEFERRED and said.issuer != row.addressee:
        return State(row.state)  # The axis tells of a delay; only the addressee can put a delivery off.
    if said.level in OF_ONE_ATTEMPT and said.attempt is not None and said.attempt < row.attempts:
        return LATE  # What the last attempt comes to is not known yet.
    return after(State(row.state), said.level)
