"""The counter at work: what runs while an office is open.

So many documents are at work beside each other, each acked by itself, so that a
slow one holds up nobody but itself. Beside them small loops re-send, send what is
due, offer receipts, tell the axis that we live, and follow the trust folder. To
stop is to take no more, to finish what runs, and then to close.

Spec: docs/protocol/broker.md; design laws 3 and 5.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from axis import seal
from axis.broker import Incoming, carried, topology
from axis.cancelling import pause
from axis.clock import Clock
from axis.errors import AxisError, PermanentError, TransientError
from axis.office import answers, metrics
from axis.office.answers import Agreed, Declined, Progress, Report
from axis.office.attempt import Attempts
from axis.office.compare import Compare
from axis.office.copies import OrderState
from axis.office.courier import Courier
from axis.office.handlers import Handlers
from axis.office.hearing import Hearing
from axis.office.orders import Orders
from axis.office.outbound import Outbound
from axis.office.pipes import Consumer, Gateway, Pipes
from axis.office.settings import OfficeSettings
from axis.office.speech import say
from axis.office.state import Kept, State, Words
from axis.office.trust import LiveTrust
from axis.receipts import Level, SignedReceipt
from axis.receipts.voice import Voice
from axis.telemetry import events

FINISH_WITHIN_S = 20.0
_PAUSE_FIRST_S, _PAUSE_MOST_S = 0.5, 10.0
_GIVEN_BACK_MOST_S = 60.0
_OFTEN, _SELDOM = timedelta(seconds=1), timedelta(seconds=5)
_TIDY = timedelta(minutes=1)
_CLOCK = timedelta(seconds=20)
_LONGEST = timedelta(minutes=20)  # Nothing that an office puts off waits longer.
_COMPARE = timedelta(seconds=15)
_PACKAGE = "document-axis"


@dataclass(frozen=True, kw_only=True)
class Counter:
    """An office that is open."""

    settings: OfficeSettings
    handlers: Handlers
    voice: Voice
    trust: LiveTrust
    state: State
    pipes: Pipes
    courier: Courier
    attempts: Attempts
    orders: Orders
    hearing: Hearing
    outbound: Outbound
    compare: Compare
    now: Clock
    to_send: asyncio.Event  # Rung when something may be due to be sent,
    to_offer: asyncio.Event  # and when something may be due for the handler of receipts.
    stopping: asyncio.Event

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        settings: OfficeSettings,
        handlers: Handlers,
        *,
        key: seal.SigningKey,
        pipes: Pipes,
        gateway: Gateway,
        now: Clock,
    ) -> AsyncIterator["Counter"]:
        """Open the office, and close it when the block ends.

        Raises:
            PermanentError: CFG.INVALID
        """
        trust = LiveTrust(settings.trust)
        await asyncio.to_thread(trust.refresh)
        to_send = asyncio.Event()
        async with State.open(settings.state) as state:
            voice = Voice(settings.code, key)
            courier = Courier(office=settings.code, pipes=pipes, state=state, now=now)
            line = carried.Window()
            hearing = Hearing(
                axis=settings.axis, trust=trust, state=state, handlers=handlers, now=now, ended=line.answered
            )
            orders = Orders(voice=voice, state=state, trust=trust)
            counter = cls(
                settings=settings,
                handlers=handlers,
                voice=voice,
                trust=trust,
                state=state,
                pipes=pipes,
                courier=courier,
                attempts=Attempts(
                    axis=settings.axis,
                    voice=voice,
                    trust=trust,
                    state=state,
                    courier=courier,
                    orders=orders,
                    gateway=gateway,
                    handlers=handlers,
                    answer_within=settings.answer_within,
                    now=now,
                ),
                orders=orders,
                hearing=hearing,
                compare=Compare(state=state, gateway=gateway, hearing=hearing, now=now),
                outbound=Outbound(
                    office=settings.code,
                    key=key,
                    state=state,
                    pipes=pipes,
                    gateway=gateway,
                    now=now,
                    ring=to_send.set,
                    line=line,
                ),
                now=now,
                to_send=to_send,
                to_offer=asyncio.Event(),
                stopping=asyncio.Event(),
            )
            yield counter

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Take documents and send ours until the block ends; then finish what runs."""
        loops = [asyncio.create_task(work, name=name) for name, work in self._loops()]
        ordinary, urgent = topology.inboxes(self.settings.code)
        consumer = await self.pipes.consume_each(
            ordinary, self._until_kept, at_once=self.settings.at_once, before=urgent
        )
        events.service_started(name=f"office {self.settings.code}", detail=self._adapter)
        try:
            yield
        finally:
            self.stopping.set()
            await self._stop(consumer)
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self.outbound.stop()
            await self.hearing.stop()
            events.service_stopped(name=f"office {self.settings.code}")

    async def report(self, envelope_id: str, report: Report) -> None:
        """Say more about an envelope that was taken before; see `Office.report`."""
        signed = None
        while signed is None:  # Something else was said about it just now: look again.
            kept = await self.state.envelope(envelope_id, self.trust.may_order)
            if kept is None:
                raise PermanentError("RCT.UNKNOWN", envelope_id)
            if isinstance(report, Agreed | Declined):
                signed = await self._decide(kept, report)
            else:
                signed = await self._say_more(kept, report)
        await self.courier.send([one.xml for one in signed])

    async def _say_more(self, kept: Kept, report: Report) -> Sequence[SignedReceipt] | None:
        """Sign and keep news of a document; None if it is not as it was."""
        about, text = kept.about, answers.dump(report)
        if kept.order in (OrderState.OPEN, OrderState.DECLINED):
            raise PermanentError("ORD.ANSWER", about.envelope_id)
        if kept.answer == text:
            return ()  # Said before; it is on its way if it has not arrived.
        if kept.level == Level.RECALLED:
            raise PermanentError("ORD.WITHDRAWN", about.envelope_id)
        if kept.frozen_by is not None:
            raise PermanentError("ORD.FROZEN", kept.frozen_by)
        at = self.now()
        signed = say(
            report, about, voice=self.voice, previous=kept.head, attempt=None, at=at, delivered_before=kept.delivered
        )
        # What a register says about a document outlives the news of the work on it.
        answer = None if isinstance(report, Progress) else text
        words = Words(envelope_id=about.envelope_id, signed=signed, head=kept.head, answer=answer)
        return signed if await self.state.keep_report(words, at, self.trust.may_order) else None

    async def _decide(self, kept: Kept, decision: Agreed | Declined) -> Sequence[SignedReceipt] | None:
        """Sign and keep the answer to an order; None if it is not as it was."""
        about = kept.about
        if kept.order is not OrderState.OPEN:
            said_before = OrderState.AGREED if isinstance(decision, Agreed) else OrderState.DECLINED
            if kept.order is said_before:
                return ()
            raise PermanentError("ORD.ANSWER", about.envelope_id)
        if kept.frozen_by is not None and isinstance(decision, Agreed):
            raise PermanentError("ORD.FROZEN", kept.frozen_by)
        async with self.attempts.deciding(about.envelope_id, {copy.about.document_id for copy in kept.copies}):
            words = await self.orders.settle(
                decision,
                about,
                kept.held,
                previous=kept.head,
                attempt=None,
                at=self.now(),
                delivered_before=kept.delivered,
            )
        return None if words is None else [one for some in words for one in some.signed]

    async def _until_kept(self, message: Incoming) -> None:
        """Take a message from the inbox; it is acked when it is safe, and waits here while it cannot be."""
        room = self.attempts.take if message.type == "envelope" else self.hearing.take
        pause_s = _PAUSE_FIRST_S
        while True:
            try:
                await room(message)
            except TransientError as error:
                # Our own disk: nobody else can mend it, and giving the message back would use up its deliveries.
                events.room_unavailable(room="office", code=error.code, retry_s=pause_s)
                if self.stopping.is_set():
                    message.give_back()
                    return
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _PAUSE_MOST_S)
            except Exception as error:
                # No answer can be made of it: the broker counts, and the axis makes a dead letter of it. Where it is we who are
                # broken, and not the message, all of the inbox would go that way: it takes a quarter of an hour.
                events.service_failed(name="office inbox", error=error)
                pause_s = min(_PAUSE_FIRST_S * 2 ** min(message.delivery_count, 10), _GIVEN_BACK_MOST_S)
                await pause(pause_s, unless=self.stopping)
                message.give_back()
                return
            else:
                if message.type != "envelope":
                    self.outbound.told(message.headers.get(carried.TAKES_FILES))
                    self.to_offer.set()
                return

    async def _stop(self, consumer: Consumer) -> None:
        """Stop taking; what has not finished in time is broken off, unacknowledged."""
        try:
            async with asyncio.timeout(FINISH_WITHIN_S):
                await consumer.stop()
        except TimeoutError:
            events.room_unavailable(room="office handler", code="DLV.OFFICE_UNAVAILABLE", retry_s=0)

    def _loops(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        async def send_again_first() -> None:
            await self.courier.send_again(grace=timedelta(0))

        return [
            ("first re-sending", self._once("re-sending", send_again_first)),
            ("re-sending", self._repeat("re-sending", self.courier.send_again, _SELDOM)),
            # Each in its own time: a system that is slow to take receipts holds up nothing that is to leave.
            ("sending", self._repeat("sending", self.outbound.send_due, _OFTEN, bell=self.to_send)),
            ("offering", self._repeat("offering", self._offer_all, _OFTEN, bell=self.to_offer)),
            ("heartbeat", self._repeat("heartbeat", self._beat, self.settings.heartbeat)),
            ("comparing", self._repeat("comparing", self.compare.look, _COMPARE)),
            ("trust", self._repeat("trust", self._follow_trust, _SELDOM)),
            ("clock", self._repeat("clock", self._set_right, _CLOCK)),
            ("tidying", self._repeat("tidying", self.outbound.tidy, _TIDY)),
            ("gauges", self._repeat("gauges", self._gauge, _SELDOM)),
            *(
                (getattr(beside, "__name__", "beside"), self._repeat("adapter", beside, _OFTEN))
                for beside in self.handlers.beside
            ),
        ]

    async def _repeat(
        self, name: str, once: Callable[[], Awaitable[None]], period: timedelta, bell: asyncio.Event | None = None
    ) -> None:
        """Do one thing over and over; what goes wrong is told, and tried again."""
        wake = bell or self.stopping
        while not self.stopping.is_set():
            await self._once(name, once)
            await pause(period.total_seconds(), unless=wake)
            if bell is not None:
                bell.clear()

    async def _once(self, name: str, once: Callable[[], Awaitable[None]]) -> None:
        try:
            await once()
        except AxisError as error:
            if error.code == "CFG.INVALID":
                events.configuration_unusable(name=f"office {name}", detail=error.detail)
            else:
                events.room_unavailable(room=f"office {name}", code=error.code, retry_s=0)
        except Exception as error:
            events.service_failed(name=f"office {name}", error=error)

    async def _offer_all(self) -> None:
        while await self.hearing.offer():
            pass

    async def _beat(self) -> None:
        beat = {
            "office": self.settings.code,
            "version": version(_PACKAGE),
            "adapter": self._adapter,
            "at": self.now().isoformat(),
            "files": carried.MOST_BYTES,
        }
        await self.pipes.publish(
            topology.office_exchange(self.settings.code),
            "heartbeat",
            json.dumps(beat).encode(),
            type="heartbeat",
            user_id=self.settings.code,
        )
        self.outbound.reached_broker()

    async def _set_right(self) -> None:
        """Find what a clock that was ahead has put off until it is that late."""
        moved = await self.state.bring_near(self.now(), _LONGEST)
        if moved:
            events.clock_set_right(room="office", moved=moved)
            self.to_send.set()
            self.to_offer.set()

    async def _follow_trust(self) -> None:
        await asyncio.to_thread(self.trust.refresh)

    async def _gauge(self) -> None:
        for what, count in (await self.state.counts()).items():
            metrics.WAITING.labels(what).set(count)
        metrics.OFFICE.labels(self.settings.code, self._adapter, version(_PACKAGE)).set(1)
        left = self.voice.key.certificate.not_valid_after_utc - self.now()
        metrics.CERTIFICATE_DAYS_LEFT.set(left / timedelta(days=1))

    async def ready(self) -> dict[str, str]:
        """Return what can be used now, for /readyz."""
        return {"state": await _code_of(self.state.counts()), "broker": await _code_of(self.pipes.ping())}

    @property
    def _adapter(self) -> str:
        return str(self.settings.adapter.get("kind", "sdk"))


async def _code_of(check: Awaitable[object]) -> str:
    try:
        await check
    except AxisError as error:
        return error.code
    return "ok"
