"""Outbound: what is due goes to its inbox.

An attempt is on record, with the time at which silence will be looked into,
before it is made: a crash between the two costs one wait, never a document. A
publish whose fate is unknown is put back and made again; the addressee's
runtime knows an envelope that it has seen. One that certainly reached no queue
was no attempt, and is counted as none.

While the broker takes nothing, nothing is begun that needs it: it is tried out,
and what is due waits, and says so.

What a commit makes due is begun in that same commit (`along`): an envelope that
has just come in is on its way when its acceptance is on the disk. What is due
by the clock is found by a look from time to time (`go_round`).

A circular reaches many of its addressees by one publish: what costs is to bring a
message to the broker, not to have it put into one more inbox.

An office that asks the gateway gets nothing from the broker: an attempt is on
record, and with it the delivery is in the inbox that the office is shown.

Spec: docs/protocol/deliveries.md; design law 3; docs/adr/0013, 0019, 0030, 0033.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from axis.broker import Broker, NotPublished, Packed, carried, pack, topology
from axis.clock import Clock
from axis.dispatch.carriage import Carriage, Files
from axis.errors import AxisError, TransientError
from axis.ledger import PUT_OFF, Attempt, DeliveryRow, DueNotice, Ledger, Numbered
from axis.receipts import bundle
from axis.telemetry import events, metrics

T = TypeVar("T")

_AT_ONCE_BYTES = 16 * 1024 * 1024  # On their way to the broker; what is large is packed once for all its addressees.
# After a publish that failed; then a fifth of how long nothing has got through there. Some inboxes nobody makes again.
_SOON, _MOST = timedelta(seconds=2), PUT_OFF
_AT_A_TIME = 1000  # Deliveries in one commit.
_BROKER = ""  # Among the offices to which nothing gets through: to all of them.
# So many first attempts at one envelope that are alike are published at once. An inbox that takes nothing says no for all of them:
# so the next attempts are made each for itself.
_CIRCULAR = 16
_Leaving = tuple[tuple[Attempt, ...], Packed]  # Attempts, and the message that makes all of them.
_MOST_ROUNDS = 4  # Beside each other; what is due then waits for one of them to end.
_LOOK_AGAIN = timedelta(seconds=10)  # For an inbox that is missing: longer than it takes to make one again.


@dataclass(frozen=True, slots=True)
class _Unmade:
    """An attempt whose publish has failed."""

    attempt: Attempt
    is_certain: bool  # Its message is in no queue; else nobody knows.
    towards: str  # Where nothing gets through.


class _Failing:
    """Since when nothing gets through, to an office or to the broker, as far as this process knows."""

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}

    def __contains__(self, towards: str) -> bool:
        return towards in self._since

    def begins(self, towards: str, now: datetime) -> None:
        """Note that something did not get through."""
        self._since.setdefault(towards, now)

    def ends(self, towards: str) -> None:
        """Note that something did."""
        self._since.pop(towards, None)

    def until(self, towards: str, now: datetime) -> datetime:
        """Return when to try again."""
        return now + min(max(_SOON, (now - self._since.get(towards, now)) / 5), _MOST)


def _nobody() -> Collection[str]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Outbound:
    """Publishes deliveries and notices."""

    ledger: Ledger
    broker: Broker
    answer_within: timedelta
    batch: int
    ring: Callable[[], None]  # Something may be due now.
    now: Clock
    carriage: Carriage = field(default_factory=Carriage)
    asking: Callable[[], Collection[str]] = _nobody  # The offices that ask the gateway for what is sent to them.
    _sending: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _under_way: set[asyncio.Future[None]] = field(default_factory=set, init=False)  # Done when a round is published.
    _failing: _Failing = field(default_factory=_Failing, init=False)

    @property
    def most_at_once(self) -> int:
        """Attempts that may have been begun here and not published yet."""
        return (_MOST_ROUNDS + 1) * self.batch  # What a commit begins, and what the clock does.

    async def along(self, committing: Awaitable[T]) -> T:
        """Await a write to the ledger, and begin what it makes due in the same commit.

        Raises:
            AxisError: What the write raised.
        """
        if len(self._sending) >= _MOST_ROUNDS:
            result = await committing
            self.ring()
            return result
        # In this order, and at the same moment: so they stand in one transaction.
        written, begun = await asyncio.gather(committing, self._begin(), return_exceptions=True)
        if not isinstance(begun, BaseException):
            self._start(*begun)
        elif not isinstance(begun, AxisError):
            events.service_failed(name="dispatch.along", error=begun)
        if isinstance(written, BaseException):
            raise written
        return written

    async def go_round(self) -> bool:
        """Begin and send what is due now; return whether there was anything.

        Raises:
            TransientError: SYS.BROKER; it takes nothing, and what is due for it waits and says so. SYS.LEDGER.
        """
        attempts, notices = await self._begin()
        await self._send(attempts, notices)
        if _BROKER not in self._failing:
            return bool(attempts or notices)
        if not await self._takes_again():
            raise TransientError("SYS.BROKER")
        return True  # What has not been looked at.

    async def _takes_again(self) -> bool:
        """Try the broker out; if it takes nothing, let what is due for it say so."""
        if await self._takes():
            return True
        now, asking = self.now(), self.asking()
        while await self.ledger.show_why(now, "SYS.BROKER", but_for=asking, limit=_AT_A_TIME) == _AT_A_TIME:
            pass
        return False

    async def _takes(self) -> bool:
        """Try the broker out."""
        try:
            await self.broker.try_out()
        except TransientError:
            self._failing.begins(_BROKER, self.now())
            return False
        self._failing.ends(_BROKER)
        return True

    async def left(self) -> None:
        """Wait until what is being published at this moment lies in its inboxes, or does not."""
        if self._under_way:
            await asyncio.wait(tuple(self._under_way))

    async def finish(self) -> None:
        """Wait until what has been begun is on its way, or put back."""
        while self._sending:
            await asyncio.gather(*self._sending, return_exceptions=True)

    async def _begin(self) -> tuple[list[Attempt], list[DueNotice]]:
        """Put attempts on record, and claim notices; while the broker takes nothing, what needs none of it."""
        now = self.now()
        if _BROKER in self._failing:
            asking = self.asking()
            if not asking:
                return [], []
            return await self.ledger.begin_attempts(now, self.answer_within, self.batch, only=asking), []
        attempts, notices = await asyncio.gather(
            self.ledger.begin_attempts(now, self.answer_within, self.batch), self.ledger.notices_due(now, self.batch)
        )
        return attempts, notices

    def _start(self, attempts: list[Attempt], notices: list[DueNotice]) -> None:
        if not attempts and not notices:
            return
        task = asyncio.create_task(self._send_or_tell(attempts, notices))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send_or_tell(self, attempts: list[Attempt], notices: list[DueNotice]) -> None:
        try:
            await self._send(attempts, notices)
        except TransientError as error:
            # What could not be noted is due again when its claim or its wait is over.
            events.room_unavailable(room="dispatch.outbound", code=error.code, retry_s=0)
        except Exception as error:
            events.service_failed(name="dispatch.outbound", error=error)
        if len(attempts) >= self.batch or len(notices) >= self.batch:
            self.ring()  # There is more.

    async def _send(self, attempts: list[Attempt], notices: list[DueNotice]) -> None:
        await asyncio.gather(self._send_attempts(attempts), self._send_notices(notices))

    async def _send_attempts(self, attempts: Sequence[Attempt]) -> None:
        published = asyncio.get_running_loop().create_future()
        self._under_way.add(published)
        try:
            await self._publish_all(attempts)
        finally:
            self._under_way.discard(published)
            published.set_result(None)

    async def _publish_all(self, attempts: Sequence[Attempt]) -> None:
        asking = self.asking()
        files = {envelope_id: self.carriage.take(envelope_id) for envelope_id in {one.envelope_id for one in attempts}}
        leaving = await self._packed([one for one in attempts if one.addressee not in asking], files)
        failed: list[_Unmade] = []
        for some in _portions(leaving):
            for bad in await asyncio.gather(*(self._publish(alike, body) for alike, body in some)):
                failed += bad
        await self._put_back(failed)
        for one in attempts:
            if one.addressee in asking:
                _tell_attempted(one)
        if not all(one.is_certain for one in failed):
            await self._takes()  # One inbox may hang, or all of them.

    async def _packed(self, attempts: Sequence[Attempt], files: Mapping[str, Files]) -> list[_Leaving]:
        """Return a round as the messages that make it; files go along with what is for one addressee alone."""
        sealed = {one.envelope_id: one.sealed for one in attempts}
        packed = {envelope_id: await pack(octets) for envelope_id, octets in sealed.items()}
        leaving: list[_Leaving] = []
        for alike in _alike(attempts):
            first, *others = alike
            body = packed[first.envelope_id]
            leaving.append((alike, body if others else self.carriage.load(first, body, files[first.envelope_id])))
        return leaving

    async def _put_back(self, failed: Sequence[_Unmade]) -> None:
        now = self.now()
        certain: dict[datetime, list[Attempt]] = defaultdict(list)
        unknown: dict[datetime, list[Numbered]] = defaultdict(list)
        for one in failed:
            until = self._failing.until(one.towards, now)
            if one.is_certain:
                certain[until].append(one.attempt)
            else:
                unknown[until].append(one.attempt.numbered)
        for until, attempts in certain.items():
            await self.ledger.unmake(attempts, until, "SYS.BROKER", now)
        for until, uncertain in unknown.items():
            await self.ledger.put_back(uncertain, until, "SYS.BROKER")

    def _note(self, error: TransientError | None, offices: Sequence[str]) -> None:
        """Note what a publish tells of the broker and of some inboxes."""
        if error is None or _is_answer(error):
            self._failing.ends(_BROKER)
        elif isinstance(error, NotPublished):  # Else it may be that inbox alone.
            self._failing.begins(_BROKER, self.now())
        for office in offices:
            if error is None:
                self._failing.ends(office)
            else:
                self._failing.begins(office, self.now())

    async def _publish(self, attempts: Sequence[Attempt], body: Packed) -> list[_Unmade]:
        """Publish what makes some attempts that are alike; return those for which that failed."""
        first, *others = attempts
        try:
            await self.broker.publish(
                topology.DELIVER,
                _key(first),
                body,
                type="envelope",
                headers={
                    "envelope-id": first.envelope_id,
                    "envelope-digest": first.digest,
                    "attempt": first.attempt_no,
                    "previous-receipt": first.chain_head,
                },
                also=[_key(one) for one in others],
            )
        except TransientError as error:
            is_certain, never_left = isinstance(error, NotPublished), _never_left(error)
            self._note(error, () if never_left else [one.addressee for one in attempts])
            for one in attempts:
                self.carriage.unmade(one)
                metrics.ATTEMPTS.labels("unpublished").inc()
                events.delivery_unpublished(
                    envelope_id=one.envelope_id, addressee=one.addressee, attempt=one.attempt_no, code=error.code
                )
            return [_Unmade(one, is_certain, _BROKER if never_left else one.addressee) for one in attempts]
        self._note(None, [one.addressee for one in attempts])
        for one in attempts:
            _tell_attempted(one)
        return []

    async def _send_notices(self, notices: Sequence[DueNotice]) -> None:
        """Publish receipts to the offices that wait for them, those of one office together."""
        by_office: dict[str, list[tuple[bytes, int]]] = {}
        asking = self.asking()
        ids = [notice.id for notice in notices if notice.target in asking]  # They are in its feed of receipts.
        for notice in notices:
            if notice.target not in asking:
                by_office.setdefault(notice.target, []).append((notice.xml, notice.id))
        sent = await asyncio.gather(
            *(
                self._notify(office, portion)
                for office, of_office in by_office.items()
                for portion in bundle.portions(of_office)
            )
        )
        ids += [one for some in sent for one in some]
        if ids:
            await self.ledger.notices_sent(ids)
        now = self.now()
        for office in by_office:  # What one inbox does not take must not fill the next round, too.
            if office in self._failing:
                await self.ledger.put_off_notices(office, self._failing.until(office, now))

    async def _notify(self, office: str, portion: Sequence[tuple[bytes, int]]) -> list[int]:
        """Publish receipts; return the ids of their notices if that worked. Otherwise they are due again once their claim has run out."""
        kind, body = bundle.pack([xml for xml, _ in portion])
        try:
            await self.broker.publish(
                topology.DELIVER, topology.deliver_key(office), body, type=kind, headers=carried.TAKEN
            )
        except TransientError as error:
            self._note(error, () if _never_left(error) else (office,))
            return []
        self._note(None, (office,))
        return [notice_id for _, notice_id in portion]

    async def audit_inboxes(self, now: datetime, unanswered: Sequence[DeliveryRow]) -> None:
        """Look after deliveries that nobody answered: still in the inbox, they wait on; lost, they go again.

        The broker may have lost its store, or an operator purged a queue: an
        inbox that is empty cannot hold what the ledger says it holds. One that
        is missing says nothing, and keeps nobody waiting: it is made again, if
        the roll still has its office, and is looked at once more.

        Raises:
            TransientError: SYS.BROKER, SYS.LEDGER
        """
        by_queue: dict[tuple[str, bool], list[DeliveryRow]] = {}
        for row in unanswered:
            by_queue.setdefault((row.addressee, topology.is_urgent(row.priority)), []).append(row)
        asking = self.asking()
        for (office, urgent), rows in by_queue.items():
            these = [row.numbered for row in rows]
            if office in asking:  # What it is shown is the ledger itself, and cannot be lost.
                await self.ledger.extend_wait(these, now + self.answer_within)
                continue
            # Both queues: an office reads both or neither, and that one is missing is noticed by looking at it.
            depth = (await self.broker.depths(topology.inboxes(office)))[topology.inbox(office, urgent)]
            if depth is None:
                await self.ledger.extend_wait(these, now + _LOOK_AGAIN)
                events.inbox_missing(office=office, unanswered=len(rows))
                continue
            if depth >= len(rows):
                await self.ledger.extend_wait(these, now + self.answer_within)
                continue
            lost = await self.ledger.put_back(these, now, "DLV.NO_ANSWER")
            if lost:  # Else another router has looked meanwhile.
                metrics.ATTEMPTS.labels("unanswered").inc(lost)
                events.inbox_audited(office=office, waiting=depth, republished=lost)


def _is_answer(error: TransientError) -> bool:
    """Tell whether the broker is there, and has said no."""
    return isinstance(error, NotPublished) and error.was_answered


def _never_left(error: TransientError) -> bool:
    """Tell whether the broker is not there: it says nothing of any inbox."""
    return isinstance(error, NotPublished) and not error.was_answered


def _tell_attempted(attempt: Attempt) -> None:
    events.delivery_attempted(envelope_id=attempt.envelope_id, addressee=attempt.addressee, attempt=attempt.attempt_no)


def _key(attempt: Attempt) -> str:
    return topology.deliver_key(attempt.addressee, topology.is_urgent(attempt.priority))


def _alike(attempts: Sequence[Attempt]) -> Iterator[tuple[Attempt, ...]]:
    """Put those attempts together that one publish can make; few are made each for itself."""
    same: dict[tuple[str, int, str, bool], list[Attempt]] = {}
    for one in attempts:
        what = (one.envelope_id, one.attempt_no, one.chain_head, topology.is_urgent(one.priority))
        same.setdefault(what, []).append(one)
    for some in same.values():
        if len(some) >= _CIRCULAR and some[0].attempt_no == 1:
            yield tuple(some)
        else:
            yield from ((one,) for one in some)


def _portions(leaving: Sequence[_Leaving]) -> Iterator[list[_Leaving]]:
    """Divide a round into what may be on its way at once; no portion is empty."""
    portion: list[_Leaving] = []
    size_bytes = 0
    for alike, body in leaving:
        if portion and size_bytes + len(body.body) > _AT_ONCE_BYTES:
            yield portion
            portion, size_bytes = [], 0
        portion.append((alike, body))
        size_bytes += len(body.body)
    if portion:
        yield portion
