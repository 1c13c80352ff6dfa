"""Lanes: urgent envelopes pass ordinary ones in an office's inbox, at a real broker and with a real office."""

import asyncio
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import aio_pika
import pytest

from axis import Document, Draft, Office, OfficeSettings, Organization, Priority, Registered, clock, edxml, seal
from axis.broker import Broker, Incoming, Packed, PrivateNode, topology
from axis.dispatch.outbound import Outbound
from axis.ledger import Attempt, DeliveryRow, Numbered
from axis.seal import pki
from tests.fault.proxy import Pace, Proxy
from tests.province import AT

SENDER = "H56.05"
_SOON_S = 30.0


async def _publish(pipes: Broker, office: str, body: bytes, *, urgent: bool = False) -> None:
    await pipes.publish(topology.DELIVER, topology.deliver_key(office, urgent), body, type="envelope")


async def _fill(pipes: Broker, office: str, *, ordinary: int, urgent: int) -> None:
    for number in range(ordinary):
        await _publish(pipes, office, b"ordinary %d" % number)
    for number in range(urgent):
        await _publish(pipes, office, b"urgent %d" % number, urgent=True)


@pytest.mark.parametrize("at_once", [1, 4])
async def test_urgent_queue_goes_first_and_no_more_run_than_may(pipes: Broker, office: str, at_once: int) -> None:
    await _fill(pipes, office, ordinary=20, urgent=3)
    ordinary, urgent = topology.inboxes(office)
    order: list[bytes] = []
    running = most = 0

    async def take(message: Incoming) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        order.append(message.body)
        await asyncio.sleep(0.01)
        running -= 1

    consumer = await pipes.consume_each(ordinary, take, at_once=at_once, before=urgent)
    await _until(lambda: len(order) == 23)
    await consumer.stop()
    assert order[:3] == [b"urgent 0", b"urgent 1", b"urgent 2"]
    assert order[3:] == [b"ordinary %d" % number for number in range(20)]
    assert most == at_once


async def test_urgent_queue_goes_first_over_a_line_that_is_slower_than_the_work(
    pipes: Broker, rabbitmq: PrivateNode, office: str
) -> None:
    await _fill(pipes, office, ordinary=5, urgent=16)
    ordinary, urgent = topology.inboxes(office)
    order: list[bytes] = []

    async def take(message: Incoming) -> None:
        order.append(message.body)

    place, _, port = rabbitmq.address.partition(":")
    async with Proxy.to((place, int(port))) as proxy:
        far_url = rabbitmq.url.replace(rabbitmq.address, f"127.0.0.1:{proxy.port}")
        async with Broker.connect(far_url, name="far") as far:
            proxy.pace = Pace(latency_s=0.1)
            consumer = await far.consume_each(ordinary, take, at_once=1, before=urgent)
            await _until(lambda: len(order) == 21)
            await consumer.stop()
    assert order[:16] == [b"urgent %d" % number for number in range(16)]


async def test_urgent_message_waits_for_one_of_those_at_work_and_for_no_other(pipes: Broker, office: str) -> None:
    for number in range(10):
        await _publish(pipes, office, b"ordinary %d" % number)
    ordinary, urgent = topology.inboxes(office)
    order: list[bytes] = []
    go_on = asyncio.Event()

    async def take(message: Incoming) -> None:
        order.append(message.body)
        await go_on.wait()

    consumer = await pipes.consume_each(ordinary, take, at_once=2, before=urgent)
    await _until(lambda: len(order) == 2)
    await _publish(pipes, office, b"urgent", urgent=True)
    await _until_handed_out(pipes, urgent)
    go_on.set()
    await _until(lambda: len(order) == 11)
    await consumer.stop()
    assert order.index(b"urgent") == 2


async def test_stopped_reader_leaves_what_it_has_not_begun_to_the_queue(pipes: Broker, office: str) -> None:
    for number in range(6):
        await _publish(pipes, office, b"%d" % number, urgent=number % 2 == 0)
    ordinary, urgent = topology.inboxes(office)
    begun: list[bytes] = []
    go_on = asyncio.Event()

    async def take(message: Incoming) -> None:
        begun.append(message.body)
        await go_on.wait()

    consumer = await pipes.consume_each(ordinary, take, at_once=1, before=urgent)
    await _until(lambda: len(begun) == 1)
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.sleep(0)  # It has said so.
    go_on.set()
    await stopping
    assert begun == [b"0"]
    async with asyncio.timeout(_SOON_S):
        while (await pipes.depth(ordinary), await pipes.depth(urgent)) != (3, 2):  # noqa: ASYNC110 - Nobody rings.
            await asyncio.sleep(0.05)


async def test_silence_about_each_lane_is_looked_into_at_its_own_queue(pipes: Broker, office: str) -> None:
    """What lies in one queue says nothing of what the other has lost."""
    await _publish(pipes, office, b"<x/>")
    book = _Book()
    outbound = Outbound(
        ledger=cast("Any", book),
        broker=pipes,
        answer_within=clock.now() - AT,
        batch=10,
        ring=lambda: None,
        now=clock.now,
    )
    await outbound.audit_inboxes(AT, [_row(1, office, Priority.URGENT), _row(2, office, Priority.EXPRESS)])
    assert (book.waits_on, book.goes_again) == ([1], [2])


@pytest.mark.parametrize("urgent", [False, True])
async def test_silence_of_an_office_that_misses_a_queue_makes_it_again(
    pipes: Broker, rabbitmq: PrivateNode, office: str, urgent: bool
) -> None:
    """It reads both or neither, and to one of them nobody may publish for days."""
    connection = await aio_pika.connect(rabbitmq.url)
    async with connection, connection.channel() as channel:
        await channel.queue_delete(topology.inbox(office, urgent))
    outbound = Outbound(
        ledger=cast("Any", _Book()),
        broker=pipes,
        answer_within=clock.now() - AT,
        batch=10,
        ring=lambda: None,
        now=clock.now,
    )
    await outbound.audit_inboxes(AT, [_row(1, office, Priority.ORDINARY)])
    assert await pipes.mend()
    assert await pipes.depth(topology.inbox(office, urgent)) == 0


async def test_inbox_that_is_missing_keeps_no_other_office_waiting(pipes: Broker, office: str) -> None:
    """An office that has left the roll, and whose queues are gone with a store: nobody makes them again."""
    book = _Book()
    outbound = Outbound(
        ledger=cast("Any", book),
        broker=pipes,
        answer_within=clock.now() - AT,
        batch=10,
        ring=lambda: None,
        now=clock.now,
    )
    await outbound.audit_inboxes(AT, [_row(1, f"{office}.GONE", Priority.ORDINARY), _row(2, office, Priority.ORDINARY)])
    assert (book.waits_on, book.goes_again) == ([1], [2])


async def test_express_document_that_came_last_is_the_first_that_an_office_is_handed(
    rabbitmq: PrivateNode, pipes: Broker, tmp_path: Path
) -> None:
    office = f"H56.{uuid4().hex[:6].upper()}"
    await pipes.declare(topology.province([office]))
    trust = tmp_path / "trust"
    pki.init(trust, name="CA (ví dụ)", now=clock.now())
    for code in ("H56.TRUC", SENDER, office):
        pki.issue(trust, code, name=f"{code} (ví dụ)", now=clock.now())
    await rabbitmq.set_offices({office: "word"})
    key = seal.SigningKey.load(trust / "keys" / f"{SENDER}.key.pem", trust / "certs" / f"{SENDER}.pem")
    outbound = Outbound(
        ledger=cast("Any", None),
        broker=pipes,
        answer_within=clock.now() - AT,
        batch=10,
        ring=lambda: None,
        now=clock.now,
    )
    for number in range(201):
        attempt = _attempt(number, office, Priority.EXPRESS if number == 200 else Priority.ORDINARY, key)
        assert await outbound._publish([attempt], Packed(attempt.sealed)) == []

    handed: list[str] = []
    system = Office(lambda: settings)

    @system.on_document
    async def receive(document: Document) -> Registered:
        handed.append(document.message.code_number)
        return Registered(str(len(handed)))

    settings = OfficeSettings(
        code=office,
        key=trust / "keys" / f"{office}.key.pem",
        certificate=trust / "certs" / f"{office}.pem",
        trust=trust,
        broker_url="amqp://unused/",
        gateway_url="http://unused/",
        state=tmp_path / "state",
    )
    async with (
        Broker.connect(rabbitmq.url_of(office, "word"), name=office) as own,
        system.open(pipes=own, gateway=cast("Any", _NoGateway())),
    ):
        await _until(lambda: len(handed) == 201)
    assert handed[0] == "200"
    assert sorted(handed, key=int) == [str(number) for number in range(201)]


class _NoGateway:
    """These documents have no files."""

    async def receipts_known(self, _envelope_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        return {}


class _Book:
    """What the ledger is told about attempts that nobody answered."""

    def __init__(self) -> None:
        self.waits_on: list[int] = []
        self.goes_again: list[int] = []

    async def extend_wait(self, attempts: Sequence[Numbered], _next_at: object) -> None:
        self.waits_on += [number for number, _ in attempts]

    async def put_back(self, attempts: Sequence[Numbered], *_more: object) -> int:
        self.goes_again += [number for number, _ in attempts]
        return len(attempts)


def _row(number: int, office: str, priority: Priority) -> DeliveryRow:
    class Row:
        numbered, addressee = (number, 1), office

    Row.priority = priority  # type: ignore[attr-defined]
    return cast("DeliveryRow", Row)


def _attempt(number: int, office: str, priority: Priority, key: seal.SigningKey) -> Attempt:
    document = Draft(
        originator=Organization(SENDER, "Sở mẫu (ví dụ)"),
        addressees=(Organization(office),),
        document_id=f"{SENDER},2026/08/25,{number}/SKHCN",
        code_number=str(number),
        code_notation="SKHCN",
        place="Thanh Hóa",
        promulgated_on=date(2026, 8, 25),
        subject="V/v rà soát (ví dụ)",
        priority=priority,
    )
    sealed = seal.seal(edxml.render(document), key)
    return Attempt(
        delivery_id=number,
        envelope_id=f"{number:032x}",
        addressee=office,
        attempt_no=1,
        digest=seal.digest_of(edxml.parse(sealed)),
        sealed=sealed,
        priority=priority,
        chain_head="0" * 64,
    )


async def _until(true: Any) -> None:
    async with asyncio.timeout(_SOON_S):
        while not true():  # noqa: ASYNC110 - What is waited for happens elsewhere, and rings no bell.
            await asyncio.sleep(0.01)


async def _until_handed_out(pipes: Broker, queue: str) -> None:
    """Wait until a queue has given a reader what it holds."""
    async with asyncio.timeout(_SOON_S):
        while await pipes.depth(queue):  # noqa: ASYNC110 - Nobody rings.
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.05)  # From the broker to the reader.
