"""Router: what comes out of the broker goes to the room that it is for.

Envelopes go to intake, receipts to dispatch, heartbeats to the lanes, and what
the broker gave up to the ledger. A message is acked when the room has
committed, never before; when a room cannot commit now, the message waits here,
unacknowledged, so that an outage of the ledger uses up no redeliveries. One
that the room cannot take while it takes others goes behind them.

Who speaks is the office whose exchange the message was published to: its user
alone may write there. No header and no field of the message can change that.
"""

import asyncio
import contextlib
import itertools
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from axis import clock
from axis.broker import Broker, Incoming, carried, topology
from axis.cancelling import pause
from axis.dispatch.answers import Answers
from axis.dispatch.carriage import Carriage
from axis.errors import PermanentError, Refusal, TransientError
from axis.intake import Allowance, Intake, Rejected
from axis.ledger import Ledger, Recorded
from axis.receipts import bundle
from axis.telemetry import events, metrics

_PAUSE_MOST_S = 10.0
_BEFORE_GIVING_BACK_S = 1.0  # So that the delivery limit is not used up in one breath.
_KEYS = {queue: key for key, queue in topology.OFFICE_KEYS.items()}
# After how many tries what cannot be settled now may be about one message alone, though no other has shown it: it must not
# hold others up. One file may be unreadable, as all of them are while the spool is away: then the queue goes round, slowly.
_TRIES = {"KEY.REVOCATION_UNKNOWN": 1, "SYS.SPOOL": 4}
_LATER_AT_ONCE = 8  # Of what stands behind: the others have several times as much.
_BEAT_MOST_BYTES = 4096
_TEXT_MOST = 100  # Of what an office says about itself.


@dataclass(frozen=True, kw_only=True)
class Router:
    """One callback per queue."""

    ledger: Ledger
    broker: Broker
    intake: Intake
    answers: Answers
    allowance: Allowance
    carriage: Carriage
    batch: int
    prefetch: int
    ring: Callable[[], None]  # Something may be due now.
    now: Callable[[], datetime] = clock.now
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Consume until the block ends; then finish what has been begun, and give back what cannot be settled now."""
        tables: tuple[tuple[str, Callable[[Incoming], Awaitable[None]], int], ...] = (
            (topology.SUBMIT_EXPRESS, self._submitted_in_turn, self.batch),
            (topology.SUBMIT, self._submitted_in_turn, self.batch),
            (topology.SUBMIT_LATER, self._submitted, min(self.batch, _LATER_AT_ONCE)),
            (topology.RECEIPTS, self._answered, self.batch),
            (topology.HEARTBEATS, self._beaten, self.batch),
            (topology.DEAD, self._buried, self.batch),
        )
        async with contextlib.AsyncExitStack() as stack:
            for queue, room, batch in tables:
                consumer = await self.broker.consume_batches(
                    queue,
                    self._batch_for(queue, room),
                    max_batch=batch,
                    prefetch=max(batch, self.prefetch * batch // self.batch),
                )
                stack.push_async_callback(consumer.stop)
            try:
                yield
            finally:
                self._stopping.set()

    def _batch_for(
        self, queue: str, room: Callable[[Incoming], Awaitable[None]]
    ) -> Callable[[Sequence[Incoming]], Awaitable[None]]:
        async def take(messages: Sequence[Incoming]) -> None:
            # Together, so that they share a commit; each settles its own fate, so none fails the batch.
            works = asyncio.Event()
            await asyncio.gather(*(self._until_committed(queue, room, message, works) for message in messages))

        return take

    async def _until_committed(
        self, queue: str, room: Callable[[Incoming], Awaitable[None]], message: Incoming, works: asyncio.Event
    ) -> None:
        """Give a message to its room until the room has it on record, or it is put behind those that the room can take.

        Args:
            queue: From which it came.
            room: Takes it.
            message: The message.
            works: Set once the room has taken one of the same batch: what it cannot take now is no outage.
        """
        pause_s = 0.5
        for tries in itertools.count(1):
            try:
                await room(message)
            except TransientError as error:
                events.room_unavailable(room="router", code=error.code, retry_s=pause_s)
                is_alone = works.is_set() or tries >= _TRIES.get(error.code, math.inf)
                if is_alone and await self._put_off(queue, message):
                    return
                if self._stopping.is_set():
                    message.give_back()  # An outage may last longer than anybody waits for us.
                    return
                await pause(pause_s, unless=self._stopping)
                pause_s = min(pause_s * 2, _PAUSE_MOST_S)
            except Exception as error:
                events.service_failed(name="router", error=error)
                await asyncio.sleep(_BEFORE_GIVING_BACK_S)
                message.give_back()
                return
            else:
                works.set()
                return

    async def _put_off(self, queue: str, message: Incoming) -> bool:
        """Put a message behind the others of its queue."""
        await asyncio.sleep(_BEFORE_GIVING_BACK_S)
        return await self._put(queue, message)

    async def _put(self, queue: str, message: Incoming) -> bool:
        """Put a message at the end of a queue; it is there twice before it is there once. False if it stays here."""
        headers = {name: value for name, value in message.headers.items() if not name.startswith("x-")}
        try:
            # To the exchange that it came through: that is whose word it is.
            await self.broker.publish(
                message.exchange, _KEYS[queue], message.as_it_came(), type=message.type, headers=headers
            )
        except TransientError:
            return False
        return True

    async def _submitted_in_turn(self, message: Incoming) -> None:
        """Hand an envelope in, or put it behind if its office has had its turn."""
        office = topology.office_of(message.exchange)
        if not self.allowance.take(office) and await self._put(topology.SUBMIT_LATER, message):
            metrics.ENVELOPES_PUT_BEHIND.inc()
            events.envelope_put_behind(office=office)
            return
        try:
            await self._submitted(message)
        except TransientError as error:
            # Its files cannot be kept now; those who bring none with them need no room for any.
            if error.code != "SYS.SPOOL" or not message.files or not await self._put(topology.SUBMIT_LATER, message):
                raise

    async def _submitted(self, message: Incoming) -> None:
        """Hand an envelope in; a refusal travels home as a receipt."""
        with contextlib.suppress(Rejected):
            await self.intake.accept(
                message.body, submitter=topology.office_of(message.exchange), via="amqp", carried=message.files
            )

    async def _answered(self, message: Incoming) -> None:
        """Take receipts in; one that cannot be believed is put on record and moves nothing."""
        submitter = topology.office_of(message.exchange)
        try:
            said = bundle.unpack(message.type, message.body)
        except Refusal as error:
            await self._refuse_receipt(error, message.body, submitter)
            return
        taken = await self.answers.take_all(said, submitter=submitter, now=self.now())
        for one in taken:
            if isinstance(one, Recorded) and one.row is not None:
                self.carriage.answered(submitter, one.row.envelope_id)
        refused = [(one, xml) for one, xml in zip(taken, said, strict=True) if isinstance(one, PermanentError)]
        await asyncio.gather(*(self._refuse_receipt(error, xml, submitter) for error, xml in refused))
        for one in taken:
            if isinstance(one, BaseException) and not isinstance(one, PermanentError):
                raise one

    async def _refuse_receipt(self, error: PermanentError, body: bytes, submitter: str) -> None:
        await self.answers.refuse_receipt(error, digest=sha256(body).hexdigest(), submitter=submitter, now=self.now())

    async def _beaten(self, message: Incoming) -> None:
        """Note that an office is there; if it had been away, its deliveries are due again."""
        version, takes_files = _said(message.body)
        await self.ledger.heartbeat(topology.office_of(message.exchange), self.now(), version, takes_files=takes_files)
        self.ring()

    async def _buried(self, message: Incoming) -> None:
        """Keep what the broker gave up; a delivery among it becomes a dead letter of the ledger.

        One that brought files goes once more without them: over a line that is cut again and again it was too long.
        """
        now = self.now()
        office, envelope_id = topology.inbox_owner(message.died_in), message.headers.get("envelope-id")
        is_attempt = office is not None and message.type == "envelope" and isinstance(envelope_id, str)
        row = await self.ledger.delivery(str(envelope_id), str(office)) if is_attempt else None
        if row is not None and message.files:
            await self.ledger.put_back([(row.delivery_id, int(message.headers["attempt"]))], now, "DLV.NO_ANSWER")
            events.delivery_gave_up_files(envelope_id=row.envelope_id, addressee=row.addressee)
            self.ring()
            return
        digest = sha256(message.body).hexdigest()
        await self.ledger.bury(
            queue=message.died_in, kind=message.type, digest=digest, body=message.body, headers=message.headers, at=now
        )
        events.message_dead_lettered(queue=message.died_in, kind=message.type, digest=digest)
        if row is not None:
            await self.answers.give_up(row, now, code="DLV.POISON", detail=row.addressee)


def _said(beat: bytes) -> tuple[str, int]:
    """Return what an office says it runs, and how many bytes of files it takes along; "" and 0 where that cannot be read."""
    if len(beat) > _BEAT_MOST_BYTES:
        return "", 0
    try:
        said = json.loads(beat)
    except (ValueError, RecursionError):
        return "", 0
    if not isinstance(said, dict):
        return "", 0
    version, files = str(said.get("version", "")), said.get("files", 0)
    takes = min(max(files, 0), carried.MOST_BYTES) if type(files) is int else 0
    return "".join(filter(str.isprintable, version))[:_TEXT_MOST], takes
