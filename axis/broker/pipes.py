"""Pipes: one publish function, consumers that ack last, and a line that comes back.

Publishing and consuming use separate connections, because a broker that runs
short of memory stops reading from publishers. A publish succeeds when the
broker has confirmed it; anything else is a TransientError. Returned, refused by
its queue, or with no line to go over: it certainly is nowhere (NotPublished).
Timed out or cut: its fate is unknown. Every publish has a message id of its
own: the client library matches returns to publishes by it.

A broker may come back without its store, and a person may delete a queue. So
what was declared is in doubt after a connection that had to be opened again,
after a message that nobody took, when a queue to be read is gone, and where
declaring it was broken off; `mend` declares it again. A queue that is made again
as soon as it is deleted has lost its readers, and tells them nothing: `mend` waits
until they know, and a reader to whom nothing comes for minutes begins anew.

Spec: AMQP 0-9-1; RabbitMQ "Publisher Confirms", "Quorum Queues", "Sender-selected Distribution".
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile
from typing import Any, cast
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import (
    AMQPError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
    PublishError,
)
from aiormq import spec
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel as Line
from yarl import URL

from axis.batches import JOIN_S
from axis.broker import carried, topology
from axis.broker.frames import expect_any_properties
from axis.broker.packing import Packed, pack, unpack
from axis.broker.topology import Binding, Queue, Topology
from axis.cancelling import ends_when_told, pause
from axis.edxml.limits import MAX_ENVELOPE_BYTES
from axis.errors import PermanentError, TransientError
from axis.receipts.bundle import RECEIPT, RECEIPTS
from axis.telemetry import events

_HEARTBEAT_S = 15
_CONNECT_S = 10.0
_PUBLISH_S = 15.0
_PAUSE_FIRST_S = 0.2
_PAUSE_MOST_S = 10.0
_TOGETHER_BYTES = 32 * 1024 * 1024  # Of a batch: packed, 4 MiB travel as 4 KB.
_AHEAD = 16  # Of what goes first, so many wait here for those that run: 200 ms of a line, where each runs for some 12.
_NOWHERE = ""  # A routing key of nobody.
_MISSING_MOST = 100  # Of queues that are looked for; each costs a channel, and a line in the log of the broker.
_DIFFERS_MOST = 5  # Of what is there with other arguments, to be told in one line.
# RabbitMQ 3.10 tells the readers of a queue that it is gone some 50 ms after it was deleted, and never if it has been made
# again by then.
_READERS_TOLD_S = 1.0
_RENEW_S = 300.0  # A reader to whom nothing came for so long begins anew: it may be one that nobody has told.

# What a line that is down, or going down, may raise.
_LINE_ERRORS = (AMQPError, OSError, TimeoutError, asyncio.TimeoutError, RuntimeError)

expect_any_properties()

Headers = dict[str, Any]

_CONTENT_TYPES = {"heartbeat": "application/json", "receipts": "application/x-netstrings"}  # By type; else XML.


@dataclass(slots=True)
class Incoming:
    """A message from a queue. It is acked when the callback that has it returns, unless it was given back."""

    body: bytes
    type: str
    headers: Headers
    exchange: str
    user_id: str | None
    redelivered: bool
    delivery_count: int  # Times it was handed out before.
    died_in: str  # Queue that gave it up, for a dead letter; else "".
    files: Mapping[str, bytes] = field(default_factory=dict)  # What came along, by the digests that it is said to have.
    returned: bool = field(default=False, init=False)

    @property
    def was_handed_out(self) -> bool:
        """Whether a reader has had it before, and may have done its work with it."""
        return self.redelivered or self.delivery_count > 0

    def as_it_came(self) -> bytes | Packed:
        """Return the body with what came along, to be published once more."""
        return carried.load(self.body, self.files) if self.files else self.body

    def give_back(self) -> None:
        """Return it to the queue; that counts towards the delivery limit."""
        self.returned = True


class NotPublished(TransientError):
    """A message is in no queue, and will be in none: it was returned, or refused by its queue, or never left."""

    def __init__(self, *, was_answered: bool) -> None:
        super().__init__("SYS.BROKER")
        self.was_answered = was_answered  # The broker is there, and has said no.


Callback = Callable[[Incoming], Awaitable[None]]
BatchCallback = Callable[[Sequence[Incoming]], Awaitable[None]]


@contextlib.contextmanager
def _true_cancellation() -> Iterator[None]:
    """Let a cancellation through if somebody has asked for it, and only then.

    When its line breaks, aiormq may cancel what waits for an answer: that must not end the loop which asked.
    And aio-pika swallows one that comes while it closes a channel.
    """
    try:
        with ends_when_told():
            yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionError("the line broke") from error


@contextlib.contextmanager
def _dead_line_is_transient() -> Iterator[None]:
    try:
        with _true_cancellation():
            yield
    except _LINE_ERRORS as error:
        raise TransientError("SYS.BROKER") from error


class _Connection(aio_pika.Connection):
    """A connection that is closed by its line, or has broken, or was never opened.

    The library closes one that is collected, from whichever thread that happens in: where no loop runs it cannot.
    """

    def __del__(self) -> None:
        pass


class _Line:
    """One connection, opened when needed and again after it broke."""

    def __init__(self, url: str, name: str, opened_again: Callable[[], None]) -> None:
        self._url = URL(url).update_query(heartbeat=_HEARTBEAT_S)
        self._name = name
        self._opened_again = opened_again
        self._connection: AbstractConnection | None = None
        self._opening = asyncio.Lock()

    async def connection(self) -> AbstractConnection:
        async with self._opening:
            if self._connection is None or not _is_alive(self._connection):
                was_open = self._connection is not None
                self._connection = await aio_pika.connect(
                    self._url,
                    timeout=_CONNECT_S,
                    client_properties={"connection_name": self._name},
                    connection_class=_Connection,
                )
                if was_open:
                    self._opened_again()
            return self._connection

    async def close(self) -> None:
        if self._connection is not None and not self._connection.is_closed:
            with contextlib.suppress(*_LINE_ERRORS):
                await self._connection.close()


def _is_alive(connection: AbstractConnection) -> bool:
    """Tell whether a connection still has its line: the outer object does not notice a peer that vanished."""
    transport = connection.transport
    return not connection.is_closed and transport is not None and not transport.connection.is_closed


def _require_address(url: str) -> None:
    """A broker that is away may come back; one whose address is wrong never will."""
    try:
        place = URL(url)
        is_one = place.scheme in ("amqp", "amqps") and bool(place.host)
    except ValueError:
        is_one = False
    if not is_one:  # It is not shown: there is a password in it.
        raise PermanentError("CFG.INVALID", "broker_url must be amqp(s)://USER:PASSWORD@HOST:PORT/VHOST")


class Broker:
    """The pipes of one process; made by `connect`."""

    def __init__(self, url: str, name: str) -> None:
        self._doubt = asyncio.Event()  # Whether what was declared is there.
        self._declared: Topology | None = None
        self._publishing = _Line(url, f"{name} publish", self._doubt.set)
        self._consuming = _Line(url, f"{name} consume", self._doubt.set)
        self._channel: AbstractChannel | None = None
        self._channel_of: AbstractConnection | None = None
        self._opening = asyncio.Lock()

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, url: str, *, name: str) -> AsyncIterator["Broker"]:
        """Open the pipes; the broker may be away, and come later.

        Args:
            url: amqp(s)://USER:PASSWORD@HOST:PORT/VHOST
            name: Shown in the broker's list of connections.

        Raises:
            PermanentError: CFG.INVALID; that is no address of a broker.
        """
        _require_address(url)
        broker = cls(url, name)
        try:
            yield broker
        finally:
            await broker._publishing.close()
            await broker._consuming.close()

    async def ping(self) -> None:
        """Raise TransientError if the broker cannot be reached."""
        with _dead_line_is_transient():
            async with asyncio.timeout(_CONNECT_S):
                await self._publisher()

    async def try_out(self) -> None:
        """Raise TransientError if nothing can be published just now: what leads nowhere comes back, if somebody reads it."""
        try:
            await self.publish(topology.DELIVER, _NOWHERE, b"", type="probe")
        except NotPublished as error:
            if not error.was_answered:
                raise

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes | Packed,
        *,
        type: str,  # noqa: A002 - AMQP's own name for it.
        headers: Headers | None = None,
        user_id: str | None = None,
        also: Sequence[str] = (),
        timeout: float = _PUBLISH_S,
    ) -> None:
        """Publish one message, and return once the broker has it on disk.

        Args:
            exchange: Where to,
            routing_key: and with which key.
            body: Bytes, which are packed if they are many; or what was packed before, for several messages, or carries files.
            type: What kind of message it is.
            headers: Of the message.
            user_id: The account that publishes, to be shown to the reader.
            also: Further routing keys. The message goes wherever one of all its keys leads to; it is returned if none
                leads anywhere, and refused if a single queue refuses it, though the others have it.
            timeout: Seconds until its fate is called unknown.

        Raises:
            NotPublished: SYS.BROKER; no queue has it.
            TransientError: SYS.BROKER; nobody knows which queue has it.
        """
        packed = body if isinstance(body, Packed) else await pack(body)
        written = dict(headers or {})
        if packed.files:
            written[carried.FILES] = packed.files
        if also:
            written["BCC"] = list(also)  # The broker takes it off again.
        properties = spec.Basic.Properties(
            message_type=type,
            content_type=_CONTENT_TYPES.get(type, "application/xml"),
            content_encoding=packed.encoding,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=uuid4().hex,
            headers=written or None,
            user_id=user_id,
        )
        has_left = False
        try:
            with _true_cancellation():
                async with asyncio.timeout(timeout):
                    line = await self._publisher()
                    has_left = True  # From here on nobody can tell but the broker.
                    # Straight to the protocol: the layer above it does nothing for a publish that this function does not.
                    await line.basic_publish(
                        packed.body,
                        exchange=exchange,
                        routing_key=routing_key,
                        properties=properties,
                        mandatory=True,
                        wait=False,
                    )
        except _LINE_ERRORS as error:
            if self._ought_to_take(exchange, routing_key, error):
                self._doubt.set()
            raise _failed(error, has_left=has_left, is_for_one=not also) from error

    def _ought_to_take(self, exchange: str, routing_key: str, error: BaseException) -> bool:
        """Whether a publish has found that something is missing which was declared here."""
        if self._declared is None or not isinstance(error, PublishError | ChannelNotFoundEntity):
            return False
        return any((one.exchange, one.key) == (exchange, routing_key) for one in self._declared.bindings)

    async def _publisher(self) -> Line:
        async with self._opening:
            connection = await self._publishing.connection()
            if self._channel is None or self._channel.is_closed or connection is not self._channel_of:
                self._channel_of = connection
                self._channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            return cast("Line", await self._channel.get_underlay_channel())

    async def depth(self, queue: str) -> int:
        """Return how many messages wait in a queue, those being worked on not counted.

        Raises:
            TransientError: SYS.BROKER; also where the queue is missing.
        """
        depth = (await self.depths([queue]))[queue]
        if depth is None:
            raise TransientError("SYS.BROKER")
        return depth

    async def depths(self, queues: Sequence[str]) -> dict[str, int | None]:
        """Return how many messages wait in each of some queues, those being worked on not counted; None: it is missing.

        One that was declared here and is missing is a reason for doubt.

        Raises:
            TransientError: SYS.BROKER
        """
        found: dict[str, int | None] = {}
        with _dead_line_is_transient():
            while len(found) < len(queues):
                # Over the line that reads: of one that publishes nothing is taken under an alarm, this question neither. And
                # the broker closes a channel that asks for a queue which is missing.
                async with _channel(await self._consuming.connection()) as channel:
                    for queue in queues[len(found) :]:
                        found[queue] = await _depth(channel, queue)
                        if found[queue] is None:
                            if self._declared is not None and queue in {one.name for one in self._declared.queues}:
                                self._doubt.set()
                            break
        return found

    async def take_out(
        self, queue: str, is_meant: Callable[[Incoming], bool], *, exchange: str, routing_key: str, most: int
    ) -> list[Incoming]:
        """Take some messages out of a queue, wherever in it they wait, and return them.

        The queue is led round once: each message that is not meant is published behind the others before it is
        acked in front, so that it is there twice before it is there once. What a reader has been handed cannot be
        reached.

        Args:
            queue: Must exist.
            is_meant: Whether a message is to be taken out.
            exchange: Through which the others come back,
            routing_key: and with which key.
            most: A queue that is longer stays as it is.

        Returns:
            What certainly is in the queue no more. Where the others cannot be led round any more, what was taken until then.

        Raises:
            TransientError: SYS.BROKER; what was led round until then stays so, and whether anything was taken is unknown.
        """
        taken: list[Incoming] = []
        with _dead_line_is_transient():
            async with _channel(await self._consuming.connection()) as channel:
                depth = await _depth(channel, queue) or 0
                if depth > most:
                    return []
                line = cast("Line", await channel.get_underlay_channel())
                for _ in range(depth):
                    async with asyncio.timeout(_PUBLISH_S):
                        message = await line.basic_get(queue)
                    if not isinstance(message.delivery, spec.Basic.GetOk):
                        break  # A reader was faster.
                    (incoming,) = await _unpacked([message])
                    if is_meant(incoming):
                        taken.append(incoming)
                    else:
                        # What begins with x- the broker has written: it begins anew.
                        headers = {name: one for name, one in incoming.headers.items() if not name.startswith("x-")}
                        try:
                            await self.publish(
                                exchange, routing_key, incoming.as_it_came(), type=incoming.type, headers=headers
                            )
                        except TransientError:
                            if not taken:
                                raise
                            break
                    await line.basic_ack(_tag(message))
                # Answered in order: by then the broker has every ack.
                await _depth(channel, queue)
        return taken

    async def declare(self, wanted: Topology) -> None:
        """Make what is missing of a topology, all of it: what is there with other arguments is told afterwards.

        Raises:
            PermanentError: CFG.INVALID; something is there with other arguments.
            TransientError: SYS.BROKER
        """
        self._declared = wanted
        await self._put_right(partial(_make, wanted))

    async def mend(self) -> bool:
        """Make again what was declared, if there is reason to doubt that it is there; return whether there was.

        A queue that is missing is made again when its readers have been told.

        Raises:
            PermanentError: CFG.INVALID; something is there with other arguments.
            TransientError: SYS.BROKER
        """
        if self._declared is None or not self._doubt.is_set():
            return False
        await self._put_right(partial(_make_again, self._declared))
        return True

    async def _put_right(self, make: Callable[[AbstractConnection], Awaitable[list[str]]]) -> None:
        is_done = False
        try:
            with _true_cancellation():
                connection = await self._publishing.connection()
                self._doubt.clear()  # What is found missing from here on is looked after the next time.
                differs = await make(connection)
            is_done = not differs
        except _LINE_ERRORS as error:
            raise TransientError("SYS.BROKER") from error
        finally:
            if not is_done:
                self._doubt.set()
        if differs:
            raise PermanentError("CFG.INVALID", "; ".join(differs[:_DIFFERS_MOST]))

    async def consume_batches(
        self, queue: str, callback: BatchCallback, *, max_batch: int, prefetch: int
    ) -> "Consumer":
        """Hand what is in a queue to a callback, as many at once as are there, and ack when it returns.

        Args:
            queue: Must exist.
            callback: Gets 1 to `max_batch` messages. If it raises, they go back to the queue.
            max_batch: A lone message never waits for others, and fewer come where they are large.
            prefetch: Unacknowledged messages at a time.
        """
        return self._consume({queue: prefetch}, partial(_in_batches, callback, max_batch))

    async def consume_each(
        self, queue: str, callback: Callback, *, at_once: int, before: str | None = None
    ) -> "Consumer":
        """Hand each message of a queue to a callback of its own, and ack it when that returns.

        Args:
            queue: Must exist.
            callback: A slow one holds up nobody but itself. If it raises, its message goes back to the queue.
            at_once: So many run beside each other.
            before: A second queue, which must exist. What has come of it goes first, and more of it comes than may run:
                else an ordinary one would slip in while the broker hears of an ack and sends the next.
        """
        first = {} if before is None else {before: at_once + _AHEAD}
        return self._consume({**first, queue: at_once}, partial(_each_alone, callback, at_once))

    def _consume(self, queues: Mapping[str, int], work: Callable[["_Arrivals"], Awaitable[None]]) -> "Consumer":
        consumer = Consumer(self._consuming, queues, work, self._doubt.set)
        consumer.start()
        return consumer


def _failed(error: BaseException, *, has_left: bool, is_for_one: bool) -> TransientError:
    """Return what is known of a publish that failed."""
    # What is returned was put into none of its queues. A queue refuses for itself: others may have the message.
    was_answered = isinstance(error, PublishError) or (is_for_one and isinstance(error, DeliveryError))
    return NotPublished(was_answered=was_answered) if was_answered or not has_left else TransientError("SYS.BROKER")


@contextlib.asynccontextmanager
async def _channel(connection: AbstractConnection) -> AsyncIterator[AbstractChannel]:
    """Yield a channel; a broker that does not read the line, as under an alarm, would never answer that it is open."""
    channel = connection.channel()
    async with asyncio.timeout(_PUBLISH_S):
        await channel.initialize()
    try:
        yield channel
    finally:
        with contextlib.suppress(*_LINE_ERRORS):  # What was answered counts.
            async with asyncio.timeout(_PUBLISH_S):
                await channel.close()


_Step = tuple[str, Callable[[AbstractChannel], Awaitable[object]]]


async def _make(wanted: Topology, connection: AbstractConnection) -> list[str]:
    """Make what is missing of a topology; return what is there with other arguments, each in the words of the broker."""
    refused: dict[str, AMQPError] = {}
    await _do(_steps(wanted), connection, refused, ChannelPreconditionFailed)
    return _differing(refused)


async def _make_again(wanted: Topology, connection: AbstractConnection) -> list[str]:
    """Do the same where queues may have been deleted just now: one that is missing is made after a while, not at once.

    One that is deleted meanwhile is not made, and what is to bind it fails.
    """
    steps = {f"queue {queue.name}": partial(_require_queue, queue) for queue in wanted.queues}
    refused: dict[str, AMQPError] = {}
    looks = takewhile(lambda _: len(refused) < _MISSING_MOST, steps.items())
    await _do(looks, connection, refused, ChannelNotFoundEntity, ChannelPreconditionFailed)
    differs = {doing: error for doing, error in refused.items() if isinstance(error, ChannelPreconditionFailed)}
    # Where so many are missing that we have not looked to the end, the store is gone, and with it every reader.
    missing = (refused.keys() if len(refused) < _MISSING_MOST else steps.keys()) - differs.keys()
    if missing:
        await asyncio.sleep(_READERS_TOLD_S)
    queues = tuple(queue for queue in wanted.queues if f"queue {queue.name}" in missing)
    return _differing(differs) + await _make(replace(wanted, queues=queues), connection)


async def _do(
    steps: Iterable[_Step],
    connection: AbstractConnection,
    refused: dict[str, AMQPError],
    *tolerated: type[AMQPError],
) -> None:
    """Take one step after the other; note which of them the broker refused, by what they do."""
    left = iter(steps)
    is_whole = False
    while not is_whole:
        # With each refusal the broker closes the channel.
        async with _channel(connection) as channel:
            for doing, step in left:
                try:
                    async with asyncio.timeout(_PUBLISH_S):
                        await step(channel)
                except tolerated as error:
                    refused[doing] = error
                    break
            else:
                is_whole = True


def _differing(refused: Mapping[str, AMQPError]) -> list[str]:
    return [f"{doing} exists with other arguments: {error}" for doing, error in refused.items()]


def _steps(wanted: Topology) -> Iterator[_Step]:
    for name in wanted.exchanges:
        yield f"exchange {name}", partial(_make_exchange, name)
    for queue in wanted.queues:
        yield f"queue {queue.name}", partial(_make_queue, queue)
    for binding in wanted.bindings:
        yield f"binding of {binding.queue}", partial(_bind, binding)


async def _make_exchange(name: str, channel: AbstractChannel) -> None:
    await channel.declare_exchange(name, aio_pika.ExchangeType.DIRECT, durable=True)


async def _make_queue(queue: Queue, channel: AbstractChannel) -> None:
    await channel.declare_queue(queue.name, durable=True, arguments=queue.arguments)


async def _require_queue(queue: Queue, channel: AbstractChannel) -> None:
    await channel.declare_queue(queue.name, passive=True)
    await _make_queue(queue, channel)  # It is there: this tells whether its arguments are ours.


async def _bind(binding: Binding, channel: AbstractChannel) -> None:
    bound = await channel.get_queue(binding.queue, ensure=False)
    await bound.bind(binding.exchange, binding.key)


async def _depth(channel: AbstractChannel, queue: str) -> int | None:
    try:
        async with asyncio.timeout(_PUBLISH_S):
            declared = await channel.declare_queue(queue, passive=True)
    except ChannelNotFoundEntity:
        return None
    return declared.declaration_result.message_count or 0


class Consumer:
    """Reads its queues until it is stopped, over as many connections as that takes; the first of them goes first."""

    def __init__(
        self,
        line: _Line,
        queues: Mapping[str, int],
        work: Callable[["_Arrivals"], Awaitable[None]],
        missing: Callable[[], None],
    ) -> None:
        self._line = line
        self._queues = queues  # With how many unacknowledged messages each may have here.
        *_, self._name = queues  # As it stands in the log.
        self._work = work
        self._missing = missing  # Called when the queue is not there.
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; returns at once."""
        self._task = asyncio.create_task(self._run(), name=f"consume {self._name}")

    async def stop(self) -> None:
        """Take no more, finish what runs, and leave the rest to the queue.

        If this is cancelled, what runs is too, and has ended when it returns.
        """
        self._stopping.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause_s = _PAUSE_FIRST_S
        while not self._stopping.is_set():
            try:
                with _true_cancellation():
                    await self._read()
                pause_s = _PAUSE_FIRST_S
                continue
            except _LINE_ERRORS as error:
                if isinstance(error, ChannelNotFoundEntity):
                    self._missing()
                events.room_unavailable(room=f"broker {self._name}", code="SYS.BROKER", retry_s=pause_s)
            except Exception as error:  # A queue that nobody reads any more would be noticed by nobody.
                events.service_failed(name=f"consumer {self._name}", error=error)
            await pause(pause_s, unless=self._stopping)
            pause_s = min(pause_s * 2, _PAUSE_MOST_S)

    async def _read(self) -> None:
        """Read over one channel until it closes, a queue is gone, or we stop."""
        connection = await self._line.connection()
        channel = await connection.channel()
        try:
            line = cast("Line", await channel.get_underlay_channel())
            arrivals = _Arrivals(self._name, line)
            line.on_consumer_cancel_callbacks.add(arrivals.end)  # By the broker: somebody has deleted the queue.
            endings = [
                asyncio.create_task(arrivals.end_after(self._stopping.wait())),
                asyncio.create_task(arrivals.end_after(_closed(channel))),
                asyncio.create_task(arrivals.end_after(arrivals.quiet(_RENEW_S))),
            ]
            tags = []
            try:
                for rank, (queue, prefetch) in enumerate(self._queues.items()):
                    await channel.set_qos(prefetch_count=prefetch)  # Of the reader that is begun next.
                    consuming = await line.basic_consume(queue, partial(arrivals.put, rank))
                    tags.append(consuming.consumer_tag)
                await self._work(arrivals)
            finally:
                for ending in endings:
                    ending.cancel()
            for tag in tags:
                if not channel.is_closed and tag is not None:
                    await line.basic_cancel(tag)
        finally:
            if not channel.is_closed:
                with contextlib.suppress(*_LINE_ERRORS):
                    await channel.close()


_END = 9  # Behind everything that has come.


class _Arrivals:
    """What comes out of queues over one channel, by the rank of its queue; None when nothing more is to be taken."""

    def __init__(self, name: str, line: Line) -> None:
        self.name = name
        self.has_ended = False
        self._line = line
        self._come = 0  # Of one rank, what came first goes first; messages are not compared.
        self._settled = 0
        # Messages that come over one channel are numbered from 1, whatever their queues.
        self._settled_to = 0  # Everything up to this number was acked or given back, or is just being acked.
        self._settled_beyond: set[int] = set()
        self._to_ack: list[int] = []
        self._is_acking = False
        self._arrived: asyncio.PriorityQueue[tuple[int, int, DeliveredMessage | None]] = asyncio.PriorityQueue()

    async def put(self, rank: int, message: DeliveredMessage) -> None:
        self._put(rank, message)

    def _put(self, rank: int, message: DeliveredMessage | None) -> None:
        self._come += 1
        self._arrived.put_nowait((rank, self._come, message))

    async def end_after(self, ending: Awaitable[object]) -> None:
        """Give the word that nothing more is to be taken when something has happened."""
        await ending
        self.end()

    async def quiet(self, seconds: float) -> None:
        """Wait until nothing has come for so long, and of what came before nothing is in hand."""
        come = -1
        while come < self._come or self._settled < come:
            come = self._come
            await asyncio.sleep(seconds)

    def end(self, *_: object) -> None:
        """Give the word that nothing more is to be taken."""
        self.has_ended = True
        self._put(_END, None)

    async def next(self, most: int = 1, *, not_before: float = 0.0) -> list[DeliveredMessage]:
        """Return what is there, at least one message, and no more than may be unpacked together; [] at the end.

        Until a moment of `time.perf_counter` more may join, if there is room for more.
        """
        taken: list[DeliveredMessage] = []
        size_bytes = 0
        while not taken or (len(taken) < most and size_bytes < _TOGETHER_BYTES):
            if taken and self._arrived.empty():
                pause_s = not_before - time.perf_counter()
                if pause_s <= 0:
                    break
                await asyncio.sleep(pause_s)
                continue
            _, _, message = await self._arrived.get()
            if message is None:
                self._put(_END, None)  # For the next who asks.
                break
            taken.append(message)
            size_bytes += _most_bytes(message) if message.header.properties.content_encoding else len(message.body)
        return taken

    async def settle(self, messages: Sequence[DeliveredMessage], seen: Sequence[Incoming]) -> None:
        """Give back what was given back, and ack the rest at one stroke; all that came before has been settled."""
        kept = None
        for message, one in zip(messages, seen, strict=True):
            if one.returned:
                await self._line.basic_reject(_tag(message), requeue=True)
            else:
                kept = message
        if kept is not None:
            await self._line.basic_ack(_tag(kept), multiple=True)
        self._settled += len(messages)

    async def settle_one(self, message: DeliveredMessage, seen: Incoming) -> None:
        """Give back or ack one message, whatever becomes of the others; what is acked at one moment is acked together."""
        tag = _tag(message)
        if seen.returned:
            await self._line.basic_reject(tag, requeue=True)
            self._settled_beyond.add(tag)
        else:
            self._to_ack.append(tag)
            await self._ack_all()
        self._settled += 1

    async def _ack_all(self) -> None:
        """Ack what there is, one caller for all: a number that was acked must not be acked again."""
        if self._is_acking:
            return
        self._is_acking = True
        try:
            await asyncio.sleep(0)  # Who shares a commit comes in the same turn.
            while self._to_ack:
                await self._ack(self._taken())
        finally:
            self._is_acking = False

    def _taken(self) -> list[int]:
        """Take what is to be acked, and count it as settled."""
        tags, self._to_ack = self._to_ack, []
        self._settled_beyond.update(tags)
        while self._settled_to + 1 in self._settled_beyond:
            self._settled_to += 1
            self._settled_beyond.remove(self._settled_to)
        return tags

    async def _ack(self, tags: Sequence[int]) -> None:
        """Ack these: by one word where nothing before them is left."""
        together = [tag for tag in tags if tag <= self._settled_to]
        if together:
            await self._line.basic_ack(max(together), multiple=len(together) > 1)
        for tag in tags:
            if tag > self._settled_to:
                await self._line.basic_ack(tag)


async def _in_batches(callback: BatchCallback, max_batch: int, arrivals: _Arrivals) -> None:
    not_before = 0.0
    while messages := await arrivals.next(max_batch, not_before=not_before):
        incoming = await _unpacked(messages)
        try:
            await callback(incoming)
        except Exception as error:
            events.service_failed(name=f"consumer {arrivals.name}", error=error)
            for one in incoming:
                one.give_back()
            await asyncio.sleep(_PAUSE_FIRST_S)
        await arrivals.settle(messages, incoming)
        # What comes so soon after others waits a little for those behind it: a commit for each would leave less for the others.
        not_before = time.perf_counter() + JOIN_S


async def _each_alone(callback: Callback, at_once: int, arrivals: _Arrivals) -> None:
    free = asyncio.Semaphore(at_once)

    async def one(message: DeliveredMessage) -> None:
        (incoming,) = await _unpacked([message])
        try:
            await callback(incoming)
        except Exception as error:
            events.service_failed(name=f"consumer {arrivals.name}", error=error)
            incoming.give_back()
            await asyncio.sleep(_PAUSE_FIRST_S)
        # Where the channel has gone, the broker hands the message out again.
        with contextlib.suppress(*_LINE_ERRORS):
            await arrivals.settle_one(message, incoming)

    running: set[asyncio.Task[None]] = set()

    def ended(task: asyncio.Task[None]) -> None:
        running.discard(task)
        free.release()

    try:
        while True:
            # In this order: more has come than may run, and what goes first is chosen when one may begin.
            await free.acquire()
            messages = [] if arrivals.has_ended else await arrivals.next()
            if not messages:
                break  # What has come and not begun goes back to its queue.
            task = asyncio.create_task(one(messages[0]))
            running.add(task)
            task.add_done_callback(ended)
        await asyncio.gather(*running, return_exceptions=True)
    finally:
        # Who is told to end ends what it has begun, before anything that this needs is closed.
        left = tuple(running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _closed(channel: AbstractChannel) -> None:
    with contextlib.suppress(*_LINE_ERRORS, asyncio.CancelledError):
        await channel.closed()


def _tag(message: DeliveredMessage) -> int:
    tag = message.delivery_tag
    if tag is None:
        raise AssertionError("a message that was consumed has a delivery tag")
    return tag


async def _unpacked(messages: Sequence[DeliveredMessage]) -> list[Incoming]:
    """Return messages as they were published: where one is packed, in a thread."""
    if any(message.header.properties.content_encoding for message in messages):
        return await asyncio.to_thread(lambda: list(map(_incoming, messages)))
    return list(map(_incoming, messages))


def _incoming(message: DeliveredMessage) -> Incoming:
    properties = message.header.properties
    headers: Headers = dict(properties.headers or {})
    delivered_before = headers.get("x-delivery-count", 0)
    said = headers.pop(carried.FILES, None)
    body, files = (_body(message), {}) if properties.content_encoding else _unloaded(message.body, said)
    return Incoming(
        body=body,
        files=files,
        type=properties.message_type or "",
        headers=headers,
        exchange=message.exchange or "",
        user_id=properties.user_id,
        redelivered=bool(message.redelivered),
        delivery_count=delivered_before if isinstance(delivered_before, int) else 0,
        died_in=_died_in(headers),
    )


def _body(message: DeliveredMessage) -> bytes:
    """Return a body unpacked. One that cannot be is left for whoever reads it to refuse: it is no envelope."""
    try:
        return unpack(message.body, message.header.properties.content_encoding, _most_bytes(message))
    except ValueError:
        return message.body


def _unloaded(body: bytes, said: object) -> tuple[bytes, Mapping[str, bytes]]:
    """Return a body without the files that it carries. One that is not as its header says is left as it is, too."""
    if not isinstance(said, str):
        return body, {}
    try:
        return carried.unload(body, said)
    except ValueError:
        return body, {}


def _most_bytes(message: DeliveredMessage) -> int:
    """Return how large a body may be, unpacked."""
    is_said = message.header.properties.message_type in (RECEIPT, RECEIPTS)
    return topology.MOST_BYTES if is_said else MAX_ENVELOPE_BYTES


def _died_in(headers: Headers) -> str:
    """Return the queue that gave a message up last.

    The broker puts the newest death first. Everything else about deaths, `x-first-death-queue` too, may have
    been written by whoever published the message.
    """
    deaths = headers.get("x-death")
    newest = deaths[0] if isinstance(deaths, list) and deaths else None
    return str(newest.get("queue", "")) if isinstance(newest, dict) else ""
