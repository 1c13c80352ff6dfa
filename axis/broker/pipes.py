"""Pipes: one publish function, consumers that ack last, and a line that comes back.

Publishing and consuming use separate connections, because a broker that runs
short of memory stops reading from publishers. A publish succeeds when the
broker has confirmed it; anything else - returned, refused, timed out, cut - is
a TransientError and its fate unknown. Every publish has a message id of its
own: the client library matches returns to publishes by it.

A broker may come back without its store, and a person may delete a queue. So
what was declared is in doubt after every new connection, after a message that
nobody took, and when a queue to be read is gone; `mend` declares it again.

Spec: AMQP 0-9-1; RabbitMQ "Publisher Confirms", "Quorum Queues".
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity, ChannelPreconditionFailed, PublishError
from yarl import URL

from axis.broker.topology import Topology
from axis.errors import PermanentError, TransientError
from axis.telemetry import events

_HEARTBEAT_S = 15
_CONNECT_S = 10.0
_PUBLISH_S = 15.0
_PAUSE_FIRST_S = 0.2
_PAUSE_MOST_S = 10.0
# RabbitMQ 3.10 tells the readers of a queue that it is gone some 50 ms after it was deleted, and never if it has been made
# again by then.
_READERS_TOLD_S = 1.0

# What a line that is down, or going down, may raise.
_LINE_ERRORS = (AMQPError, OSError, TimeoutError, asyncio.TimeoutError, RuntimeError)

Headers = dict[str, Any]


@dataclass(slots=True)
class Incoming:
    """A message from a queue. It is acked when its batch's callback returns, unless it was given back."""

    body: bytes
    type: str
    headers: Headers
    exchange: str
    user_id: str | None
    redelivered: bool
    delivery_count: int  # Times it was handed out before.
    died_in: str  # Queue that gave it up, for a dead letter; else "".
    returned: bool = field(default=False, init=False)

    def give_back(self) -> None:
        """Return it to the queue; that counts towards the delivery limit."""
        self.returned = True


BatchCallback = Callable[[Sequence[Incoming]], Awaitable[None]]


class _Line:
    """One connection, opened when needed and again after it broke."""

    def __init__(self, url: str, name: str, opened: Callable[[], None]) -> None:
        self._url = URL(url).update_query(heartbeat=_HEARTBEAT_S)
        self._name = name
        self._opened = opened
        self._connection: AbstractConnection | None = None
        self._opening = asyncio.Lock()

    async def connection(self) -> AbstractConnection:
        async with self._opening:
            if self._connection is None or not _is_alive(self._connection):
                self._connection = await aio_pika.connect(
                    self._url, timeout=_CONNECT_S, client_properties={"connection_name": self._name}
                )
                self._opened()
            return self._connection

    async def close(self) -> None:
        if self._connection is not None and not self._connection.is_closed:
            with contextlib.suppress(*_LINE_ERRORS):
                await self._connection.close()


def _is_alive(connection: AbstractConnection) -> bool:
    """Tell whether a connection still has its line: the outer object does not notice a peer that vanished."""
    transport = connection.transport
    return not connection.is_closed and transport is not None and not transport.connection.is_closed


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
        """
        broker = cls(url, name)
        try:
            yield broker
        finally:
            await broker._publishing.close()
            await broker._consuming.close()

    async def ping(self) -> None:
        """Raise TransientError if the broker cannot be reached."""
        try:
            await asyncio.wait_for(self._publisher(), _CONNECT_S)
        except _LINE_ERRORS as error:
            raise TransientError("SYS.BROKER") from error

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        type: str,  # noqa: A002 - AMQP's own name for it.
        headers: Headers | None = None,
        user_id: str | None = None,
        timeout: float = _PUBLISH_S,
    ) -> None:
        """Publish one message, and return once the broker has it on disk.

        Raises:
            TransientError: SYS.BROKER; it is not there, or nobody knows.
        """
        message = aio_pika.Message(
            body,
            type=type,
            content_type="application/json" if type == "heartbeat" else "application/xml",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=uuid4().hex,
            headers=headers,
            user_id=user_id,
        )
        try:
            async with asyncio.timeout(timeout):
                channel = await self._publisher()
                place = await channel.get_exchange(exchange, ensure=False)
                await place.publish(message, routing_key, mandatory=True)
        except _LINE_ERRORS as error:
            if self._ought_to_take(exchange, routing_key, error):
                self._doubt.set()
            raise TransientError("SYS.BROKER") from error

    def _ought_to_take(self, exchange: str, routing_key: str, error: BaseException) -> bool:
        """Whether a publish has found that something is missing which was declared here."""
        if self._declared is None or not isinstance(error, PublishError | ChannelNotFoundEntity):
            return False
        return any((one.exchange, one.key) == (exchange, routing_key) for one in self._declared.bindings)

    async def _publisher(self) -> AbstractChannel:
        async with self._opening:
            connection = await self._publishing.connection()
            if self._channel is None or self._channel.is_closed or connection is not self._channel_of:
                self._channel_of = connection
                self._channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            return self._channel

    async def depth(self, queue: str) -> int:
        """Return how many messages wait in a queue, those being worked on not counted.

        Raises:
            TransientError: SYS.BROKER; also where the queue is missing.
        """
        try:
            async with asyncio.timeout(_PUBLISH_S):
                # A channel of its own: the broker closes it if the queue is missing.
                async with (await self._publishing.connection()).channel() as channel:
                    declared = await channel.declare_queue(queue, passive=True)
                    return declared.declaration_result.message_count or 0
        except _LINE_ERRORS as error:
            raise TransientError("SYS.BROKER") from error

    async def depths(self, queues: Sequence[str]) -> dict[str, int | None]:
        """Return how many messages wait in each of some queues, those being worked on not counted; None: it is missing.

        Raises:
            TransientError: SYS.BROKER
        """
        found: dict[str, int | None] = {}
        try:
            while len(found) < len(queues):
                # The broker closes a channel that asks for a queue which is missing.
                async with (await self._publishing.connection()).channel() as channel:
                    for queue in queues[len(found) :]:
                        found[queue] = await _depth(channel, queue)
                        if found[queue] is None:
                            break
        except _LINE_ERRORS as error:
            raise TransientError("SYS.BROKER") from error
        return found

    async def declare(self, wanted: Topology) -> None:
        """Make what is missing of a topology.

        Raises:
            PermanentError: CFG.INVALID; something is there with other arguments.
            TransientError: SYS.BROKER
        """
        doing = ""
        self._declared = wanted
        self._doubt.clear()  # What is found missing from here on is looked after the next time.
        try:
            async with (await self._publishing.connection()).channel() as channel:
                for name in wanted.exchanges:
                    doing = f"exchange {name}"
                    await channel.declare_exchange(name, aio_pika.ExchangeType.DIRECT, durable=True)
                for queue in wanted.queues:
                    doing = f"queue {queue.name}"
                    await channel.declare_queue(queue.name, durable=True, arguments=queue.arguments)
                for binding in wanted.bindings:
                    doing = f"binding of {binding.queue}"
                    bound = await channel.get_queue(binding.queue, ensure=False)
                    await bound.bind(binding.exchange, binding.key)
        except ChannelPreconditionFailed as error:
            raise PermanentError("CFG.INVALID", f"{doing} exists with other arguments") from error
        except _LINE_ERRORS as error:
            self._doubt.set()
            raise TransientError("SYS.BROKER") from error

    async def mend(self) -> bool:
        """Make again what was declared, if there is reason to doubt that it is there; return whether there was.

        Raises:
            PermanentError: CFG.INVALID; something is there with other arguments.
            TransientError: SYS.BROKER
        """
        if self._declared is None or not self._doubt.is_set():
            return False
        await asyncio.sleep(_READERS_TOLD_S)
        await self.declare(self._declared)
        return True

    async def consume_batches(
        self, queue: str, callback: BatchCallback, *, max_batch: int, prefetch: int
    ) -> "Consumer":
        """Hand what is in a queue to a callback, as many at once as are there, and ack when it returns.

        Args:
            queue: Must exist.
            callback: Gets 1 to `max_batch` messages. If it raises, they go back to the queue.
            max_batch: A lone message never waits for others.
            prefetch: Unacknowledged messages at a time.
        """
        consumer = Consumer(self._consuming, queue, callback, max_batch, prefetch, self._doubt.set)
        consumer.start()
        return consumer


async def _depth(channel: AbstractChannel, queue: str) -> int | None:
    try:
        async with asyncio.timeout(_PUBLISH_S):
            declared = await channel.declare_queue(queue, passive=True)
    except ChannelNotFoundEntity:
        return None
    return declared.declaration_result.message_count or 0


class Consumer:
    """Reads one queue until it is stopped, over as many connections as that takes."""

    def __init__(
        self,
        line: _Line,
        queue: str,
        callback: BatchCallback,
        max_batch: int,
        prefetch: int,
        missing: Callable[[], None],
    ) -> None:
        self._line = line
        self._queue = queue
        self._callback = callback
        self._max_batch = max_batch
        self._prefetch = prefetch
        self._missing = missing  # Called when the queue is not there.
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; returns at once."""
        self._task = asyncio.create_task(self._run(), name=f"consume {self._queue}")

    async def stop(self) -> None:
        """Take no more, finish the batch that runs, and leave the rest to the queue."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause_s = _PAUSE_FIRST_S
        while not self._stopping.is_set():
            try:
                await self._read()
                pause_s = _PAUSE_FIRST_S
            except _LINE_ERRORS as error:
                if isinstance(error, ChannelNotFoundEntity):
                    self._missing()
                events.room_unavailable(room=f"broker {self._queue}", code="SYS.BROKER", retry_s=pause_s)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause_s)
                pause_s = min(pause_s * 2, _PAUSE_MOST_S)

    async def _read(self) -> None:
        """Read over one channel until it closes, the queue is gone, or we stop."""
        connection = await self._line.connection()
        channel = await connection.channel()
        gone = asyncio.Event()
        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(lambda _: gone.set())
        try:
            await channel.set_qos(prefetch_count=self._prefetch)
            queue = await channel.get_queue(self._queue, ensure=False)
            arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
            tag = await queue.consume(arrived.put)
            while await self._next_batch(arrived, channel, gone):
                pass
            if not channel.is_closed and not gone.is_set():
                await queue.cancel(tag)
        finally:
            if not channel.is_closed:
                with contextlib.suppress(*_LINE_ERRORS):
                    await channel.close()

    async def _next_batch(
        self, arrived: asyncio.Queue[AbstractIncomingMessage], channel: AbstractChannel, gone: asyncio.Event
    ) -> bool:
        """Wait for messages and settle them; False when there is nothing to wait for any more."""
        first = await self._first(arrived, channel, gone)
        if first is None:
            return False
        batch = [first]
        while len(batch) < self._max_batch and not arrived.empty():
            batch.append(arrived.get_nowait())
        incoming = [_incoming(message) for message in batch]
        try:
            await self._callback(incoming)
        except Exception as error:
            events.service_failed(name=f"consumer {self._queue}", error=error)
            for message in incoming:
                message.give_back()
            await asyncio.sleep(_PAUSE_FIRST_S)
        await _settle(batch, incoming)
        return True

    async def _first(
        self, arrived: asyncio.Queue[AbstractIncomingMessage], channel: AbstractChannel, gone: asyncio.Event
    ) -> AbstractIncomingMessage | None:
        """Return the next message; None when we stop, or the channel or the queue is gone."""
        if self._stopping.is_set() or channel.is_closed or gone.is_set():
            return None
        if not arrived.empty():
            return arrived.get_nowait()
        waits: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(arrived.get()),
            asyncio.ensure_future(self._stopping.wait()),
            asyncio.ensure_future(gone.wait()),
            asyncio.ensure_future(_closed(channel)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return waits[0].result() if waits[0].done() else None
        finally:
            for wait in waits:
                wait.cancel()


async def _closed(channel: AbstractChannel) -> None:
    with contextlib.suppress(*_LINE_ERRORS, asyncio.CancelledError):
        await channel.closed()


async def _settle(batch: Sequence[AbstractIncomingMessage], incoming: Sequence[Incoming]) -> None:
    """Give back what was given back, and ack the rest at one stroke."""
    kept = None
    for message, seen in zip(batch, incoming, strict=True):
        if seen.returned:
            await message.reject(requeue=True)
        else:
            kept = message
    if kept is not None:
        # Everything before it is settled: earlier batches were, and what was given back has just been.
        await kept.ack(multiple=True)


def _incoming(message: AbstractIncomingMessage) -> Incoming:
    headers = dict(message.headers or {})
    delivered_before = headers.get("x-delivery-count", 0)
    return Incoming(
        body=message.body,
        type=message.type or "",
        headers=headers,
        exchange=message.exchange or "",
        user_id=message.user_id,
        redelivered=bool(message.redelivered),
        delivery_count=delivered_before if isinstance(delivered_before, int) else 0,
        died_in=_died_in(headers),
    )


def _died_in(headers: Headers) -> str:
    """Return the queue that gave a message up last.

    The broker puts the newest death first. Everything else about deaths, `x-first-death-queue` too, may have
    been written by whoever published the message.
    """
    deaths = headers.get("x-death")
    newest = deaths[0] if isinstance(deaths, list) and deaths else None
    return str(newest.get("queue", "")) if isinstance(newest, dict) else ""
