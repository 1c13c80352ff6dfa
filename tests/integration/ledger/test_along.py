"""What a commit makes due leaves with it, through a real broker: nothing waits for the next look."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

import aio_pika
import pytest

from axis.broker import Broker, Incoming, PrivateNode, topology
from axis.dispatch.outbound import Outbound
from axis.errors import TransientError
from tests.house import COMMUNE, OTHER, SENDER, House

_SOON_S = 10.0


class _Inboxes:
    """What came into the inboxes of the house's offices."""

    def __init__(self) -> None:
        self.came: dict[str, list[Incoming]] = {SENDER: [], COMMUNE: [], OTHER: []}

    async def until(self, office: str, number: int) -> list[Incoming]:
        async with asyncio.timeout(_SOON_S):
            while len(self.came[office]) < number:  # noqa: ASYNC110 - It rings no bell.
                await asyncio.sleep(0.02)
        return self.came[office]


async def _delete(node: PrivateNode, queue: str) -> None:
    async with await aio_pika.connect(node.url) as connection, connection.channel() as channel:
        await channel.queue_delete(queue)


@pytest.fixture
async def inboxes(pipes: Broker) -> AsyncIterator[_Inboxes]:
    found = _Inboxes()
    consumers = []
    for office, came in found.came.items():

        async def take(messages: Sequence[Incoming], came: list[Incoming] = came) -> None:
            came.extend(messages)

        consumers.append(await pipes.consume_batches(topology.inbox(office), take, max_batch=10, prefetch=10))
    yield found
    for consumer in consumers:
        await consumer.stop()


async def test_envelope_is_on_its_way_when_its_acceptance_is_on_the_disk(
    home: House, outbound: Outbound, inboxes: _Inboxes
) -> None:
    intake = replace(home.intake, along=outbound.along)
    sealed = home.seal(home.document(to=(COMMUNE, OTHER)))
    accepted = await intake.accept(sealed, submitter=SENDER, via="amqp")
    for office in (COMMUNE, OTHER):
        (envelope,) = await inboxes.until(office, 1)
        assert (envelope.type, envelope.body, envelope.headers["attempt"]) == ("envelope", sealed, 1)
        assert (await home.row(accepted.envelope_id, office)).state == "sent"
    (receipt,) = await inboxes.until(SENDER, 1)
    assert home.read(receipt.body).level == "accepted"
    await outbound.finish()
    assert await outbound.go_round() is False


async def test_write_that_fails_is_told_and_takes_nothing_with_it(
    home: House, outbound: Outbound, inboxes: _Inboxes
) -> None:
    """What was due before leaves all the same."""
    accepted = await home.accept(home.seal(home.document()))

    async def fail() -> None:
        raise TransientError("SYS.LEDGER")

    with pytest.raises(TransientError):
        await outbound.along(fail())
    (envelope,) = await inboxes.until(COMMUNE, 1)
    assert envelope.headers["envelope-id"] == accepted.envelope_id


async def test_what_the_broker_does_not_take_is_due_again(
    home: House, outbound: Outbound, rabbitmq: PrivateNode
) -> None:
    await _delete(rabbitmq, topology.inbox(COMMUNE))
    intake = replace(home.intake, along=outbound.along)
    accepted = await intake.accept(home.seal(home.document()), submitter=SENDER, via="amqp")
    await outbound.finish()
    row = await home.row(accepted.envelope_id)
    assert (row.state, row.code) == ("queued", "SYS.BROKER")
    assert row.next_at is not None
    assert home.at < row.next_at <= home.at + timedelta(seconds=2)
