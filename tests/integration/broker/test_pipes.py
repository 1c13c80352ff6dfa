"""The pipes on a real broker: confirmed or an error, acked last, and nobody reads or writes what is another's."""

import asyncio
import contextlib
import gzip
import os
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.exceptions import AMQPError
from aiormq import Channel, spec

from axis.broker import Broker, Incoming, NotPublished, PrivateNode, carried, private_node, topology
from axis.broker import pipes as broker_pipes
from axis.broker.packing import GZIP, Packed
from axis.edxml.limits import MAX_ENVELOPE_BYTES
from axis.errors import PermanentError, TransientError

_SOON_S = 20.0


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(_SOON_S):
        while not true():  # noqa: ASYNC110 - What is waited for happens elsewhere, and rings no bell.
            await asyncio.sleep(0.02)


async def _deliver(pipes: Broker, office: str, body: bytes) -> None:
    await pipes.publish(topology.DELIVER, office, body, type="envelope", headers={"envelope-id": "e1"})


async def test_layout_is_declared_as_often_as_one_likes(pipes: Broker, office: str) -> None:
    await pipes.declare(topology.province([office]))
    assert await pipes.depth(topology.inbox(office)) == 0


async def test_queue_with_other_arguments_is_a_wrong_setting(pipes: Broker, rabbitmq: PrivateNode) -> None:
    code = f"H56.{uuid4().hex[:8]}"
    connection = await aio_pika.connect(rabbitmq.url)
    async with connection, connection.channel() as channel:
        await channel.declare_queue(topology.inbox(code), durable=True)
    with pytest.raises(PermanentError) as caught:
        await pipes.declare(topology.province([code]))
    assert caught.value.code == "CFG.INVALID"
    told = str(caught.value)
    assert topology.inbox(code) in told  # Which one it is,
    assert "but current is" in told  # and what differs, in the words of the broker.


async def test_what_is_missing_behind_a_queue_with_other_arguments_is_made(
    pipes: Broker, rabbitmq: PrivateNode
) -> None:
    wrong, *missing = (f"H56.{uuid4().hex[:8]}" for _ in range(3))
    connection = await aio_pika.connect(rabbitmq.url)
    async with connection, connection.channel() as channel:
        await channel.declare_queue(topology.inbox(wrong), durable=True)
    with pytest.raises(PermanentError) as caught:
        await pipes.declare(topology.province([wrong, *missing]))
    assert topology.inbox(wrong) in str(caught.value)
    for office in missing:
        await _deliver(pipes, office, b"<x/>")
        assert await pipes.depth(topology.inbox(office)) == 1


async def _declare(pipes: Broker, office: str) -> None:
    await pipes.declare(topology.province([office]))


async def _depths(pipes: Broker, office: str) -> None:
    await pipes.depths([topology.inbox(office)])


async def _ask(ask: Callable[[Broker, str], Awaitable[object]], pipes: Broker, office: str) -> None:
    await ask(pipes, office)


@pytest.mark.parametrize("ask", [_declare, _depths], ids=["declare", "depths"])
async def test_who_is_told_to_end_while_it_asks_the_broker_ends(
    pipes: Broker, office: str, ask: Callable[[Broker, str], Awaitable[object]]
) -> None:
    """Wherever the word comes: a library that closes a channel may swallow it, and the loop that asked would go on for ever."""
    began = time.monotonic()
    await ask(pipes, office)
    longest = time.monotonic() - began
    for number in range(200):
        asking = asyncio.create_task(_ask(ask, pipes, office))
        await asyncio.sleep(longest * number / 200)
        if asking.cancel():
            (end,) = await asyncio.gather(asking, return_exceptions=True)
            assert isinstance(end, asyncio.CancelledError)


async def test_alarm_that_stops_what_publishes_stops_no_look_at_a_queue(
    pipes: Broker, office: str, rabbitmq: PrivateNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_pipes, "_PUBLISH_S", 3.0)
    await _deliver(pipes, office, b"<one/>")
    await rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        with pytest.raises(TransientError):  # From here on the line that has published is not read.
            await pipes.publish(topology.DELIVER, office, b"<two/>", type="envelope", timeout=3)
        async with asyncio.timeout(_SOON_S):
            assert await pipes.depth(topology.inbox(office)) == 1
            with pytest.raises(TransientError):
                await pipes.declare(topology.province([office]))
    finally:
        await rabbitmq.ctl("set_vm_memory_high_watermark", "0.4")
    async with asyncio.timeout(_SOON_S):
        while True:
            with contextlib.suppress(TransientError):
                await pipes.declare(topology.province([office]))
                break
            await asyncio.sleep(0.5)


async def _publish_side_by_side(pipes: Broker, office: str) -> tuple[list[str], list[str]]:
    """Publish many messages at once, every other one to nobody; return what the inbox ought to have, and what is said to be safe."""
    keys = {f"<m{number}/>": office if number % 2 else f"nobody-{number}" for number in range(60)}

    async def publish(body: str, key: str) -> str | None:
        try:
            await _deliver(pipes, key, body.encode())
        except TransientError:
            return None
        return body

    said = await asyncio.gather(*(publish(body, key) for body, key in keys.items()))
    return [body for body, key in keys.items() if key == office], [body for body in said if body is not None]


async def test_publishes_side_by_side_are_not_taken_for_each_other(pipes: Broker, office: str) -> None:
    """What nobody takes is returned, and the library finds by its message id whose return that is."""
    routed, safe = await _publish_side_by_side(pipes, office)
    assert safe == routed
    assert await pipes.depth(topology.inbox(office)) == len(routed)


async def test_publishes_with_one_message_id_would_be_taken_for_each_other(
    pipes: Broker, office: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why each has one of its own: with one for all, the library says of some that nobody took that they are safe."""
    one = uuid4()
    monkeypatch.setattr(broker_pipes, "uuid4", lambda: one)
    routed, safe = await _publish_side_by_side(pipes, office)
    assert set(safe) - set(routed)


async def test_exchange_of_another_kind_is_a_wrong_setting(pipes: Broker, rabbitmq: PrivateNode, office: str) -> None:
    code = f"{office}y"
    connection = await aio_pika.connect(rabbitmq.url)
    async with connection, connection.channel() as channel:
        await channel.declare_exchange(topology.office_exchange(code), aio_pika.ExchangeType.TOPIC, durable=True)
    with pytest.raises(PermanentError) as caught:
        await pipes.declare(topology.province([code]))
    assert caught.value.code == "CFG.INVALID"
    await _deliver(pipes, office, b"<x/>")  # The pipe itself is well.


async def test_queue_that_somebody_deleted_is_made_again_and_read_again(
    pipes: Broker, rabbitmq: PrivateNode, office: str
) -> None:
    arrived: list[Incoming] = []

    async def take(messages: Sequence[Incoming]) -> None:
        arrived.extend(messages)

    consumer = await pipes.consume_batches(topology.inbox(office), take, max_batch=1, prefetch=1)
    await _deliver(pipes, office, b"<before/>")
    await _until(lambda: len(arrived) == 1)
    assert not await pipes.mend()
    await _delete(rabbitmq, topology.inbox(office))
    with pytest.raises(TransientError):
        await _deliver(pipes, office, b"<lost/>")
    assert await pipes.mend()
    await _deliver(pipes, office, b"<after/>")
    await _until(lambda: len(arrived) == 2)
    await consumer.stop()
    assert [one.body for one in arrived] == [b"<before/>", b"<after/>"]


async def test_reader_of_a_deleted_queue_notices_by_itself(pipes: Broker, rabbitmq: PrivateNode, office: str) -> None:
    """Nobody publishes to it meanwhile."""

    async def take(_messages: Sequence[Incoming]) -> None:
        pass

    consumer = await pipes.consume_batches(topology.inbox(office), take, max_batch=1, prefetch=1)
    await _until_read(rabbitmq, topology.inbox(office))
    await _delete(rabbitmq, topology.inbox(office))
    async with asyncio.timeout(_SOON_S):
        while not await pipes.mend():  # noqa: ASYNC110 - The broker tells the reader, who doubts then.
            await asyncio.sleep(0.1)
    await _until_read(rabbitmq, topology.inbox(office))
    await consumer.stop()


@pytest.mark.parametrize("is_office", [False, True])
async def test_reader_of_a_queue_that_is_made_again_before_it_is_told_notices_by_itself(
    pipes: Broker, rabbitmq: PrivateNode, office: str, is_office: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker goes on as if somebody read it."""
    monkeypatch.setattr(broker_pipes, "_RENEW_S", 0.5)
    arrived: list[Incoming] = []

    async def take(message: Incoming) -> None:
        arrived.append(message)

    url = rabbitmq.url
    if is_office:  # It may read its inbox, and declare nothing.
        await rabbitmq.set_offices({office: "secret-of-nobody"})
        url = f"amqp://{office}:secret-of-nobody@{rabbitmq.address}/"
    async with Broker.connect(url, name="reader") as reading:
        ordinary, urgent = topology.inboxes(office)
        consumer = await reading.consume_each(ordinary, take, at_once=2, before=urgent)
        for count, queue in enumerate((ordinary, urgent), 1):
            await _until_read(rabbitmq, queue)
            connection = await aio_pika.connect(rabbitmq.url)
            async with connection, connection.channel() as channel:
                await channel.queue_delete(queue)
                await pipes.declare(topology.province([office]))
            await pipes.publish(
                topology.DELIVER, topology.deliver_key(office, queue == urgent), b"<x/>", type="envelope"
            )
            await _until(lambda count=count: len(arrived) == count)  # type: ignore[misc]
        await consumer.stop()


async def test_line_that_broke_is_a_reason_for_doubt_and_a_new_one_is_none(
    pipes: Broker, rabbitmq: PrivateNode, office: str
) -> None:
    """A broker that was away may have lost its store; one that has just been told what there is has not."""

    async def take(_messages: Sequence[Incoming]) -> None:
        pass

    consumer = await pipes.consume_batches(topology.inbox(office), take, max_batch=1, prefetch=1)
    await _until_read(rabbitmq, topology.inbox(office))
    await _deliver(pipes, office, b"<before/>")
    assert not await pipes.mend()
    await rabbitmq.ctl("close_all_connections", "as if it had been away")
    async with asyncio.timeout(_SOON_S):
        while not await pipes.mend():  # noqa: ASYNC110 - The reader comes back, and doubts then.
            await asyncio.sleep(0.1)
    await _deliver(pipes, office, b"<after/>")
    await consumer.stop()


async def test_what_nobody_was_ever_to_take_is_no_reason_for_doubt(pipes: Broker) -> None:
    with pytest.raises(TransientError):
        await pipes.publish(topology.DELIVER, "nobody", b"<x/>", type="envelope")
    assert not await pipes.mend()


async def test_what_certainly_is_nowhere_is_known_to_be(pipes: Broker, rabbitmq: PrivateNode, office: str) -> None:
    """Returned, refused by its queue, or with no line to go over; of a queue that refuses, others may have the message."""
    inbox, second = topology.inbox(office), f"{office}z"
    await pipes.declare(topology.province([office, second]))
    with pytest.raises(NotPublished) as returned:
        await _deliver(pipes, "nobody", b"<x/>")
    assert returned.value.was_answered
    await rabbitmq.ctl("set_policy", "--apply-to", "queues", office, f"^{inbox}$", '{"max-length": 1}')
    with pytest.raises(NotPublished) as refused:
        for _ in range(50):
            await _deliver(pipes, office, b"<x/>")
    assert refused.value.was_answered
    with pytest.raises(TransientError) as unknown:
        await pipes.publish(topology.DELIVER, second, b"<x/>", type="envelope", also=[office])
    await rabbitmq.ctl("clear_policy", office)
    assert not isinstance(unknown.value, NotPublished)
    assert await pipes.depth(topology.inbox(second)) == 1
    async with Broker.connect("amqp://axis@127.0.0.1:1/", name="test") as away:
        with pytest.raises(NotPublished) as never_left:
            await _deliver(away, office, b"<x/>")
    assert not never_left.value.was_answered


async def test_broker_is_tried_out_with_what_leads_nowhere(pipes: Broker, office: str) -> None:
    await pipes.try_out()
    assert not await pipes.mend()
    assert await pipes.depth(topology.inbox(office)) == 0
    async with Broker.connect("amqp://axis@127.0.0.1:1/", name="test") as away:
        with pytest.raises(TransientError):
            await away.try_out()


async def _delete(node: PrivateNode, queue: str) -> None:
    connection = await aio_pika.connect(node.url)
    async with connection, connection.channel() as channel:
        await channel.queue_delete(queue)


async def _until_read(node: PrivateNode, queue: str) -> None:
    connection = await aio_pika.connect(node.url)
    async with connection, connection.channel() as channel, asyncio.timeout(_SOON_S):
        while not (  # noqa: ASYNC110 - The reader is another connection.
            await channel.declare_queue(queue, passive=True)
        ).declaration_result.consumer_count:
            await asyncio.sleep(0.1)


async def test_missing_queue_is_transient(pipes: Broker, office: str) -> None:
    with pytest.raises(TransientError) as caught:
        await pipes.depth(topology.inbox(f"{office}y"))
    assert caught.value.code == "SYS.BROKER"
    assert await pipes.depth(topology.inbox(office)) == 0


async def test_asking_for_depths_disturbs_no_reader(
    pipes: Broker, rabbitmq: PrivateNode, office: str, logged: list[MutableMapping[str, Any]]
) -> None:
    """It goes over the readers' connection, and the broker closes a channel that asks for a queue which is missing."""
    arrived: list[Incoming] = []

    async def take(messages: Sequence[Incoming]) -> None:
        arrived.extend(messages)

    consumer = await pipes.consume_batches(topology.inbox(office), take, max_batch=1, prefetch=1)
    await _until_read(rabbitmq, topology.inbox(office))
    for number in range(10):
        assert (await pipes.depths(["nobody", topology.inbox(office)]))["nobody"] is None
        await _deliver(pipes, office, b"<x/>")
        await _until(lambda: len(arrived) == number + 1)  # noqa: B023 - It is called here.
    await consumer.stop()
    assert not any(one.redelivered for one in arrived)
    assert not [event for event in logged if event["event"] == "room.unavailable"]


async def test_full_inbox_says_no_and_drops_nothing(pipes: Broker, rabbitmq: PrivateNode, office: str) -> None:
    inbox, sent = topology.inbox(office), 0
    await rabbitmq.ctl("set_policy", "--apply-to", "queues", office, f"^{inbox}$", '{"max-length": 3}')
    with pytest.raises(TransientError) as caught:
        while sent < 50:
            await _deliver(pipes, office, b"<x/>")
            sent += 1
    await rabbitmq.ctl("clear_policy", office)
    assert caught.value.code == "SYS.BROKER"
    assert 3 <= sent < 50
    await _until_depth(pipes, office, sent)


async def test_many_publish_at_once_and_each_knows_its_own_fate(pipes: Broker, office: str) -> None:
    """Returns and confirms come on one channel, in any order."""
    targets = [office if number % 2 else "nobody" for number in range(100)]
    done = await asyncio.gather(
        *(pipes.publish(topology.DELIVER, target, b"<x/>", type="envelope") for target in targets),
        return_exceptions=True,
    )
    assert [type(one) for one in done] == [type(None) if target == office else NotPublished for target in targets]
    await _until_depth(pipes, office, 50)


async def test_message_arrives_with_its_headers(pipes: Broker, office: str) -> None:
    await _deliver(pipes, office, b"<x/>")
    arrived = await _all_of(pipes, office, 1)
    assert (arrived[0].body, arrived[0].type, arrived[0].headers["envelope-id"]) == (b"<x/>", "envelope", "e1")
    assert await pipes.depth(topology.inbox(office)) == 0


_CIRCULAR = (
    b"<edXML>" + b"".join(b"<To><OrganId>H56.%d</OrganId></To>" % number for number in range(3000)) + b"</edXML>"
)


@pytest.mark.parametrize(
    ("body", "is_packed"),
    [(_CIRCULAR, True), (_CIRCULAR[:1000], False), (os.urandom(100_000), False)],
    ids=["large", "small", "does not become smaller"],
)
async def test_large_body_travels_packed_and_arrives_as_it_was(
    rabbitmq: PrivateNode, pipes: Broker, office: str, body: bytes, is_packed: bool
) -> None:
    await _deliver(pipes, office, body)
    async with await aio_pika.connect(rabbitmq.url) as connection, connection.channel() as channel:
        queue = await channel.get_queue(topology.inbox(office))
        message = await queue.get()
        assert (message.content_encoding == "gzip", len(message.body) < len(body) / 5) == (is_packed, is_packed)
        await message.nack()
    (arrived,) = await _all_of(pipes, office, 1)
    assert arrived.body == body


async def test_body_that_is_not_packed_as_it_says_arrives_as_it_is(
    rabbitmq: PrivateNode, pipes: Broker, office: str
) -> None:
    """Whoever reads it refuses it: it is no envelope. Of what would be too large there is just enough to say so."""
    bomb = gzip.compress(b" " * (topology.MOST_BYTES + 1))
    too_large = b" " * (MAX_ENVELOPE_BYTES + 1)
    br, two = gzip.compress(b"<x/>"), gzip.compress(b"<y/>") + b"z"
    sent = [(b"<x/>", "gzip"), (bomb, "gzip"), (br, "br"), (two, "gzip")]
    async with await aio_pika.connect(rabbitmq.url) as connection, connection.channel() as channel:
        exchange = await channel.get_exchange(topology.DELIVER)
        for body, encoding in sent:
            await exchange.publish(aio_pika.Message(body, content_encoding=encoding), topology.deliver_key(office))
    assert [one.body for one in await _all_of(pipes, office, len(sent))] == [b"<x/>", too_large, br, two]


async def test_files_travel_with_their_envelope(pipes: Broker, office: str) -> None:
    files = {sha256(content).hexdigest(): content for content in (os.urandom(100_000), b"x")}
    await pipes.publish(
        topology.DELIVER, office, carried.load(b"<x/>", files), type="envelope", headers={"envelope-id": "e1"}
    )
    (arrived,) = await _all_of(pipes, office, 1)
    assert (arrived.body, arrived.files) == (b"<x/>", files)
    assert carried.FILES not in arrived.headers


async def test_what_is_led_round_keeps_what_came_along(pipes: Broker, office: str) -> None:
    files = {"a" * 64: b"abc"}
    for name in ("e1", "e2"):
        message = carried.load(b"<x/>", files)
        await pipes.publish(topology.DELIVER, office, message, type="envelope", headers={"envelope-id": name})
    taken = await pipes.take_out(
        topology.inbox(office),
        lambda one: one.headers["envelope-id"] == "e1",
        exchange=topology.DELIVER,
        routing_key=topology.deliver_key(office),
        most=10,
    )
    (left,) = await _all_of(pipes, office, 1)
    assert ([one.files for one in taken], left.files, left.body) == ([files], files, b"<x/>")


async def test_body_that_is_not_as_its_files_say_arrives_as_it_is(
    rabbitmq: PrivateNode, pipes: Broker, office: str
) -> None:
    said: list[Any] = ["", f"{'a' * 64} 4", f"{'a' * 64} 5", 7, ["a"], None]
    async with await aio_pika.connect(rabbitmq.url) as connection, connection.channel() as channel:
        exchange = await channel.get_exchange(topology.DELIVER)
        for one in said:
            message = aio_pika.Message(b"<x/>", headers={carried.FILES: one}, type="envelope")
            await exchange.publish(message, topology.deliver_key(office))
    found = await _all_of(pipes, office, len(said))
    assert [(one.body, one.files) for one in found] == [(b"<x/>", {})] * len(said)


async def test_packed_body_carries_no_files(rabbitmq: PrivateNode, pipes: Broker, office: str) -> None:
    said: dict[str, Any] = {carried.FILES: f"{'a' * 64} 2"}
    async with await aio_pika.connect(rabbitmq.url) as connection, connection.channel() as channel:
        exchange = await channel.get_exchange(topology.DELIVER)
        message = aio_pika.Message(gzip.compress(b"<x/>ab"), headers=said, content_encoding="gzip", type="envelope")
        await exchange.publish(message, topology.deliver_key(office))
    (found,) = await _all_of(pipes, office, 1)
    assert (found.body, found.files) == (b"<x/>ab", {})


class _Raw(spec.Basic.Properties):
    """Properties in bytes that no client library writes: the bit of one, and its value."""

    def __init__(self, bit: int, value: bytes) -> None:
        super().__init__()
        self._bytes = struct.pack(">H", 1 << bit) + value

    def marshal(self) -> bytes:
        return self._bytes


def _nested(depth: int) -> bytes:
    table = b""
    for _ in range(depth):
        table = b"\x01aF" + struct.pack(">I", len(table)) + table
    return struct.pack(">I", len(table)) + table


@pytest.mark.parametrize(
    ("bit", "value"),
    [
        (15, b"\x03\xff\xfe\xfd"),
        (14, b"\x05\xff\xffip."),
        (5, b"\x01\xff"),
        (13, b"\0\0\0\x04\x01\xfft\x01"),
        (13, _nested(5_000)),
        (6, b"\xff" * 8),
    ],
    ids=["content type", "content encoding", "type", "name of a header", "nested headers", "time"],
)
async def test_message_whose_properties_cannot_be_read_arrives_without_any(
    rabbitmq: PrivateNode, pipes: Broker, office: str, bit: int, value: bytes
) -> None:
    """And what came before and after it arrives as ever: the line holds."""
    await _deliver(pipes, office, b"<before/>")
    async with await aio_pika.connect(rabbitmq.url) as connection, connection.channel() as channel:
        line = await channel.get_underlay_channel()
        await line.basic_publish(
            b"<odd/>",
            exchange=topology.DELIVER,
            routing_key=topology.deliver_key(office),
            properties=_Raw(bit, value),
        )
    await _deliver(pipes, office, b"<after/>")
    arrived = await _all_of(pipes, office, 3)
    assert [one.body for one in arrived] == [b"<before/>", b"<odd/>", b"<after/>"]
    assert [one.delivery_count for one in arrived] == [0, 0, 0]
    assert [one.type for one in arrived] == ["envelope", "", "envelope"]


async def _all_of(pipes: Broker, office: str, count: int) -> list[Incoming]:
    arrived: list[Incoming] = []

    async def take(messages: Sequence[Incoming]) -> None:
        arrived.extend(messages)

    consumer = await pipes.consume_batches(topology.inbox(office), take, max_batch=10, prefetch=10)
    await _until(lambda: len(arrived) == count)
    await consumer.stop()
    return arrived


@pytest.mark.parametrize(("exchange", "key"), [("office.nobody", "submit"), (topology.DELIVER, "nobody")])
async def test_message_that_reaches_no_queue_is_an_error(pipes: Broker, office: str, exchange: str, key: str) -> None:
    with pytest.raises(TransientError) as caught:
        await pipes.publish(exchange, key, b"<x/>", type="envelope")
    assert caught.value.code == "SYS.BROKER"
    await _deliver(pipes, office, b"<y/>")  # The pipe itself is well.


async def test_what_is_there_at_once_comes_as_one_batch(pipes: Broker, office: str) -> None:
    batches: list[int] = []

    async def take(messages: Sequence[Incoming]) -> None:
        batches.append(len(messages))
        await asyncio.sleep(0.2)  # While this one is worked on, the next one gathers.

    for _ in range(30):
        await _deliver(pipes, office, b"<x/>")
    consumer = await pipes.consume_batches(topology.inbox(office), take, max_batch=20, prefetch=40)
    await _until(lambda: sum(batches) == 30)
    await consumer.stop()
    assert max(batches) > 1
    assert max(batches) <= 20


async def test_what_is_unpacked_at_once_is_bounded(pipes: Broker, office: str) -> None:
    """Each travels as 4 KB: whoever publishes many would fill a router's memory."""
    waiting, batches = asyncio.Event(), list[int]()
    packed = Packed(gzip.compress(bytes(topology.MOST_BYTES)), GZIP)
    most_bytes = broker_pipes._TOGETHER_BYTES + topology.MOST_BYTES

    async def take(messages: Sequence[Incoming]) -> None:
        await waiting.wait()
        batches.append(sum(len(message.body) for message in messages))

    consumer = await pipes.consume_batches(topology.inbox(office), take, max_batch=64, prefetch=64)
    await pipes.publish(topology.DELIVER, office, b"first", type="receipts")
    for _ in range(20):
        await pipes.publish(topology.DELIVER, office, packed, type="receipts")
    await _until_depth(pipes, office, 0)
    waiting.set()
    await _until(lambda: sum(batches) == len(b"first") + 20 * topology.MOST_BYTES)
    await consumer.stop()
    assert max(batches) <= most_bytes


async def test_message_whose_room_failed_comes_again(pipes: Broker, office: str) -> None:
    seen: list[tuple[bytes, bool]] = []

    async def take(messages: Sequence[Incoming]) -> None:
        seen.extend((message.body, message.redelivered) for message in messages)
        if len(seen) == 1:
            raise RuntimeError

    await _deliver(pipes, office, b"<x/>")
    consumer = await pipes.consume_batches(topology.inbox(office), take, max_batch=10, prefetch=10)
    await _until(lambda: len(seen) == 2)
    await consumer.stop()
    assert seen == [(b"<x/>", False), (b"<x/>", True)]


async def test_given_back_message_comes_again_and_the_others_do_not(pipes: Broker, office: str) -> None:
    seen: list[bytes] = []

    async def take(messages: Sequence[Incoming]) -> None:
        for message in messages:
            seen.append(message.body)
            if message.body == b"2" and not message.redelivered:
                message.give_back()

    for body in (b"1", b"2", b"3"):
        await _deliver(pipes, office, body)
    consumer = await pipes.consume_batches(topology.inbox(office), take, max_batch=10, prefetch=10)
    await _until(lambda: len(seen) == 4)
    await consumer.stop()
    assert sorted(seen) == [b"1", b"2", b"2", b"3"]
    assert await pipes.depth(topology.inbox(office)) == 0


async def test_message_that_is_never_acked_ends_in_the_dead_queue(pipes: Broker, office: str) -> None:
    deaths: list[Incoming] = []
    handed = 0

    async def refuse(messages: Sequence[Incoming]) -> None:
        nonlocal handed
        for message in messages:
            handed += 1
            message.give_back()

    async def bury(messages: Sequence[Incoming]) -> None:
        deaths.extend(messages)

    body = office.encode()
    await _deliver(pipes, office, body)
    inbox = await pipes.consume_batches(topology.inbox(office), refuse, max_batch=1, prefetch=1)
    dead = await pipes.consume_batches(topology.DEAD, bury, max_batch=10, prefetch=10)
    await _until(lambda: any(one.body == body for one in deaths))
    await inbox.stop()
    await dead.stop()
    (grave,) = [one for one in deaths if one.body == body]
    assert (grave.died_in, grave.type, grave.headers["envelope-id"]) == (topology.inbox(office), "envelope", "e1")
    assert handed == 21


async def test_where_a_message_died_is_the_brokers_word(pipes: Broker, office: str) -> None:
    """An office that writes another's inbox into its message must not end another's delivery."""
    forged = topology.inbox("H56.112")
    dead: list[Incoming] = []

    async def refuse(messages: Sequence[Incoming]) -> None:
        for message in messages:
            message.give_back()

    async def bury(messages: Sequence[Incoming]) -> None:
        dead.extend(messages)

    body = office.encode()
    await pipes.publish(
        topology.DELIVER,
        office,
        body,
        type="envelope",
        headers={
            "x-death": [{"queue": forged, "reason": "rejected", "count": 1, "exchange": "", "routing-keys": ["x"]}],
            "x-first-death-queue": forged,
            "x-first-death-reason": "rejected",
            "x-first-death-exchange": "",
        },
    )
    inbox = await pipes.consume_batches(topology.inbox(office), refuse, max_batch=1, prefetch=1)
    graves = await pipes.consume_batches(topology.DEAD, bury, max_batch=10, prefetch=10)
    await _until(lambda: any(one.body == body for one in dead))
    await inbox.stop()
    await graves.stop()
    assert [one.died_in for one in dead if one.body == body] == [topology.inbox(office)]


async def test_message_larger_than_any_of_ours_is_refused_by_the_broker(rabbitmq: PrivateNode, office: str) -> None:
    connection = await aio_pika.connect(rabbitmq.url)
    async with connection, connection.channel() as channel:
        queue = await channel.declare_queue(f"large.{office}", exclusive=True)
        for size, error in ((topology.MOST_BYTES, None), (topology.MOST_BYTES + 1, AMQPError)):
            with pytest.raises(error) if error else contextlib.nullcontext():
                await channel.default_exchange.publish(aio_pika.Message(bytes(size)), routing_key=queue.name)


async def test_office_has_so_many_connections_and_not_more(rabbitmq: PrivateNode) -> None:
    code, most = f"H56.{uuid4().hex[:8]}", topology.ACCOUNT_LIMITS["max-connections"]
    await rabbitmq.set_offices({code: "a password of an example"})
    url = rabbitmq.url_of(code, "a password of an example")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(most):
            await stack.enter_async_context(await aio_pika.connect(url))
        with pytest.raises((AMQPError, ConnectionError)):
            await stack.enter_async_context(await aio_pika.connect(url))


async def test_stopped_consumer_finishes_its_batch_and_leaves_the_rest(pipes: Broker, office: str) -> None:
    begun = asyncio.Event()
    finished: list[Incoming] = []

    async def take(messages: Sequence[Incoming]) -> None:
        begun.set()
        await asyncio.sleep(0.2)
        finished.extend(messages)

    for _ in range(5):
        await _deliver(pipes, office, b"<x/>")
    consumer = await pipes.consume_batches(topology.inbox(office), take, max_batch=1, prefetch=1)
    await begun.wait()
    await consumer.stop()
    assert len(finished) == 1
    await _until_depth(pipes, office, 4)


async def test_consumer_that_is_not_given_the_time_ends_what_runs_before_it_is_stopped(
    pipes: Broker, office: str
) -> None:
    """With all its places taken, it waits for one that becomes free: it must not leave those who have them behind."""
    begun: list[Incoming] = []
    ended: list[Incoming] = []

    async def take(message: Incoming) -> None:
        begun.append(message)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)  # It puts something right before it goes.
            ended.append(message)
            raise

    for _ in range(5):
        await _deliver(pipes, office, b"<x/>")
    consumer = await pipes.consume_each(topology.inbox(office), take, at_once=3)
    await _until(lambda: len(begun) == 3)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await consumer.stop()
    assert len(ended) == 3
    await _until_depth(pipes, office, 5)


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_not_settled_is_never_acked_with_what_is(pipes: Broker, office: str, seed: int) -> None:
    """They end in any order, some are given back, and some never end: these are in their queues when the reader has gone."""
    draw = Random(seed)
    ordinary, urgent = topology.inboxes(office)
    queues = {b"%d" % number: draw.choice((ordinary, urgent)) for number in range(60)}
    for body, queue in queues.items():
        key = topology.deliver_key(office, queue == urgent)
        await pipes.publish(topology.DELIVER, key, body, type="envelope")
    stays = set(draw.sample(sorted(queues), 6))
    done = set[bytes]()

    async def take(message: Incoming) -> None:
        if message.body in stays:
            await asyncio.Event().wait()
        await asyncio.sleep(draw.choice((0, 0, 0.001, 0.02)))
        if draw.random() < 0.1:
            message.give_back()
        else:
            done.add(message.body)

    consumer = await pipes.consume_each(ordinary, take, at_once=12, before=urgent)
    await _until(lambda: done == queues.keys() - stays)
    await asyncio.sleep(0.1)  # What is to be acked has been.
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await consumer.stop()
    left = [queue for body, queue in queues.items() if body in stays]
    async with asyncio.timeout(_SOON_S):
        while [await pipes.depth(queue) for queue in (ordinary, urgent)] != [*map(left.count, (ordinary, urgent))]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_what_ends_together_is_acked_by_one_word(
    pipes: Broker, office: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[tuple[int, bool]] = []
    send = Channel.basic_ack

    async def ack(line: Channel, tag: int, multiple: bool = False, wait: bool = True) -> None:
        words.append((tag, multiple))
        await send(line, tag, multiple, wait)

    monkeypatch.setattr(Channel, "basic_ack", ack)
    for _ in range(8):
        await _deliver(pipes, office, b"<x/>")
    waiting, together = 0, asyncio.Event()

    async def take(message: Incoming) -> None:
        nonlocal waiting
        waiting += 1
        if waiting == 8:
            together.set()
        await together.wait()

    consumer = await pipes.consume_each(topology.inbox(office), take, at_once=8)
    await _until(lambda: bool(words))
    await consumer.stop()
    assert words == [(8, True)]
    assert await pipes.depth(topology.inbox(office)) == 0


async def _until_depth(pipes: Broker, office: str, depth: int) -> None:
    async with asyncio.timeout(_SOON_S):
        while await pipes.depth(topology.inbox(office)) != depth:  # noqa: ASYNC110 - The broker rings no bell.
            await asyncio.sleep(0.05)


@pytest.mark.timeout(180)
async def test_lines_come_back_after_the_broker_was_killed_and_it_forgot_nothing(
    rabbitmq: PrivateNode, pipes: Broker, office: str
) -> None:
    arrived: list[bytes] = []

    async def take(messages: Sequence[Incoming]) -> None:
        arrived.extend(message.body for message in messages)

    # RabbitMQ 3.10 puts the names of its queues on the disk every half second; docs/operations.md.
    await asyncio.sleep(2)
    await _deliver(pipes, office, b"before")
    rabbitmq.kill()
    with pytest.raises(TransientError):
        await pipes.publish(topology.DELIVER, office, b"during", type="envelope", timeout=5)
    consumer = await pipes.consume_batches(topology.inbox(office), take, max_batch=10, prefetch=10)
    await rabbitmq.start()
    await _again(lambda: _deliver(pipes, office, b"after"))
    await _until(lambda: len(arrived) >= 2)
    await consumer.stop()
    assert arrived == [b"before", b"after"]


async def _again(call: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await call()
                return
            except TransientError:
                await asyncio.sleep(0.2)


def _scripts(folder: Path, monkeypatch: pytest.MonkeyPatch, **before: str) -> None:
    """Let lines of shell come before what the broker's own scripts do."""
    folder.mkdir()
    for name in ("rabbitmq-server", "rabbitmqctl"):
        line = before.get(name.replace("-", "_"), ":")
        (folder / name).write_text(f'#!/bin/sh\n{line}\nexec {private_node._BIN / name} "$@"\n')
        (folder / name).chmod(0o755)
    monkeypatch.setattr(private_node, "_BIN", folder)


async def test_where_no_node_was_started_there_is_none_to_stop(tmp_path: Path) -> None:
    await PrivateNode(tmp_path / "broker").stop()
    assert not (tmp_path / "broker").exists()


async def test_node_that_is_not_up_in_time_says_what_it_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _scripts(tmp_path / "bin", monkeypatch, rabbitmqctl="echo no such cookie >&2; exit 69")
    monkeypatch.setattr(private_node, "_START_S", 10)
    node = PrivateNode(tmp_path / "broker")
    try:
        with pytest.raises(TransientError, match="not up in 10 s: rabbitmqctl await_startup: no such cookie; see"):
            await node.start()
    finally:
        await node.stop()


async def test_node_that_starts_slowly_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine it takes longer than it does here until there is a node at all."""
    _scripts(tmp_path / "bin", monkeypatch, rabbitmq_server="sleep 6")
    node = PrivateNode(tmp_path / "broker")
    try:
        await node.start()
        assert node.pid is not None
    finally:
        await node.stop()


async def test_node_that_ends_at_once_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _scripts(tmp_path / "bin", monkeypatch, rabbitmq_server="exit 1")
    with pytest.raises(TransientError, match=r"has ended; see .*broker/log"):
        async with asyncio.timeout(_SOON_S):
            await PrivateNode(tmp_path / "broker").start()


async def test_node_is_up_when_it_takes_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes connections before; who gives an office its account by a command then is refused."""
    asked = tmp_path / "asked"
    not_yet = f"echo >>{asked}; [ $(wc -l <{asked}) -gt 2 ] || exit 64"
    _scripts(tmp_path / "bin", monkeypatch, rabbitmqctl=not_yet)
    node = PrivateNode(tmp_path / "broker")
    try:
        await node.start()
        await node.set_offices({"H56.05": "word"})
    finally:
        await node.stop()


async def test_node_that_is_starting_is_found(tmp_path: Path) -> None:
    """Whoever began to start it has gone since."""
    before, after = PrivateNode(tmp_path / "broker"), PrivateNode(tmp_path / "broker")
    start = asyncio.create_task(before.start())
    try:
        while after.pid is None:
            assert not start.done()
            await asyncio.sleep(0.01)
        await _cancelled(start)
        await after.start()
        assert after.pid == before.pid
    finally:
        await before.stop()
    assert after.pid is None


async def test_node_is_stopped_before_it_has_said_which_process_it_is(tmp_path: Path) -> None:
    node = PrivateNode(tmp_path / "broker")
    start = asyncio.create_task(node.start())
    try:
        while (pid := node.pid) is None:  # noqa: ASYNC110 - It is there at once.
            await asyncio.sleep(0)
        assert not (tmp_path / "broker" / "node.pid").exists()
        await _cancelled(start)
    finally:
        await node.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_command_that_fails_says_what_it_was_told(rabbitmq: PrivateNode) -> None:
    with pytest.raises(TransientError, match=r"SYS\.BROKER: .* \(rabbitmqctl .*no_such_user"):
        await rabbitmq.ctl("delete_user", "no_such_user")


# --- accounts -----------------------------------------------------------------------


@pytest.fixture
async def account(rabbitmq: PrivateNode, pipes: Broker, office: str) -> AsyncIterator[aio_pika.abc.AbstractConnection]:
    """A connection with the account of an office; another office is there beside it."""
    await pipes.declare(topology.province([f"{office}x"]))
    await rabbitmq.set_offices({office: "word", f"{office}x": "other"})
    connection = await aio_pika.connect(rabbitmq.url_of(office, "word"))
    async with connection:
        yield connection


async def test_office_writes_to_its_exchange_and_reads_its_inbox(
    account: aio_pika.abc.AbstractConnection, pipes: Broker, office: str
) -> None:
    await _deliver(pipes, office, b"<x/>")
    channel = await account.channel(publisher_confirms=True)
    exchange = await channel.get_exchange(topology.office_exchange(office), ensure=False)
    for key in topology.OFFICE_KEYS:
        await exchange.publish(aio_pika.Message(b"<y/>"), key, mandatory=True)
    await pipes.publish(topology.DELIVER, topology.deliver_key(office, urgent=True), b"<z/>", type="envelope")
    for queue, body in zip(topology.inboxes(office), (b"<x/>", b"<z/>"), strict=True):
        got = await (await channel.get_queue(queue, ensure=False)).get(timeout=5)
        assert got is not None
        assert got.body == body
        await got.ack()


@pytest.mark.parametrize(
    "forbidden",
    [
        "write another's exchange",
        "write to inboxes",
        "write past the exchanges",
        "read another's inbox",
        "read another's urgent inbox",
        "read intake",
        "read the dead",
        "purge another's inbox",
        "make",
        "make an exchange",
        "bind",
        "delete its inbox",
        "speak as another",
    ],
)
async def test_office_can_do_nothing_else(
    account: aio_pika.abc.AbstractConnection, pipes: Broker, office: str, forbidden: str
) -> None:
    own, inbox, other = topology.office_exchange(office), topology.inbox(office), topology.inbox(f"{office}x")

    async def publish(exchange: str, key: str, user_id: str | None = None) -> None:
        place = await channel.get_exchange(exchange, ensure=False)
        await place.publish(aio_pika.Message(b"<x/>", user_id=user_id), key, mandatory=True)

    async def read(queue: str) -> None:
        await (await channel.get_queue(queue, ensure=False)).get(timeout=5, fail=False)

    async def bind() -> None:
        await (await channel.get_queue(inbox, ensure=False)).bind(topology.DELIVER, f"{office}x")

    async def purge() -> None:
        await (await channel.get_queue(other, ensure=False)).purge()

    channel = await account.channel(publisher_confirms=True)
    deeds: dict[str, Callable[[], Any]] = {
        "write another's exchange": lambda: publish(topology.office_exchange(f"{office}x"), "submit"),
        "write to inboxes": lambda: publish(topology.DELIVER, f"{office}x"),
        "write past the exchanges": lambda: channel.default_exchange.publish(aio_pika.Message(b"<x/>"), other),
        "read another's inbox": lambda: read(other),
        "read another's urgent inbox": lambda: read(topology.inbox(f"{office}x", urgent=True)),
        "read intake": lambda: read(topology.SUBMIT),
        "read the dead": lambda: read(topology.DEAD),
        "purge another's inbox": purge,
        "make": lambda: channel.declare_queue(f"{office}.own"),
        "make an exchange": lambda: channel.declare_exchange(f"{office}.own"),
        "bind": bind,
        "delete its inbox": lambda: channel.queue_delete(inbox),
        "speak as another": lambda: publish(own, "submit", user_id=f"{office}x"),
    }
    with pytest.raises(AMQPError, match=r"(?i)refused|user_id property"):
        await deeds[forbidden]()
    with contextlib.suppress(AMQPError, RuntimeError):
        await channel.close()
    assert [await pipes.depth(queue) for queue in (inbox, other)] == [0, 0]


async def test_nobody_else_gets_in(rabbitmq: PrivateNode) -> None:
    for user, word in (("guest", "guest"), ("axis", "axis")):
        with pytest.raises(AMQPError):
            await aio_pika.connect(rabbitmq.url_of(user, word), timeout=5)
