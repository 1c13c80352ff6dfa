"""The bare relay: the same bytes over the same hops, by aio-pika alone.

Three processes, four quorum queues, seven confirmed publishes for each
document, every ack after the confirms of what it led to - and nothing else: no
seal, no check, no ledger, no promise. It is the yardstick of the full chain.

    originator --document--> router --document--> addressee
    originator <--accepted-- router <--delivered, registered-- addressee
    originator <--delivered, registered-- router
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from axis.broker import topology

SUBMIT, INBOX, RECEIPTS, HOME = "bare.submit", "bare.inbox", "bare.receipts", "bare.home"
ROLES = ("router", "addressee", "originator")
_PREFETCH = 128
_AT_ONCE = 128  # Documents of which the originator waits for a confirm.


@dataclass(frozen=True, slots=True)
class Load:
    """What is relayed."""

    documents: int
    document_bytes: int
    receipt_bytes: int


Took = Callable[[AbstractIncomingMessage], Awaitable[None]]


class Bare:
    """One process of the relay."""

    def __init__(self, channel: AbstractChannel, load: Load) -> None:
        self._channel = channel
        self._load = load
        self._receipt = os.urandom(load.receipt_bytes)
        self._heard = 0
        self._all = asyncio.Event()

    async def publish(self, queue: str, body: bytes) -> None:
        """Publish one message; return when the broker has confirmed it."""
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self._channel.default_exchange.publish(message, queue, mandatory=True)

    async def submitted(self, message: AbstractIncomingMessage) -> None:
        """Router: answer the originator, and pass the document on."""
        await asyncio.gather(self.publish(HOME, self._receipt), self.publish(INBOX, message.body))

    async def delivered(self, _message: AbstractIncomingMessage) -> None:
        """Addressee: answer with two receipts."""
        await asyncio.gather(self.publish(RECEIPTS, self._receipt), self.publish(RECEIPTS, self._receipt))

    async def answered(self, message: AbstractIncomingMessage) -> None:
        """Router: pass a receipt on."""
        await self.publish(HOME, message.body)

    async def heard(self, _message: AbstractIncomingMessage) -> None:
        """Originator: count."""
        self._heard += 1
        if self._heard == 3 * self._load.documents:
            self._all.set()

    async def originate(self) -> float:
        """Send everything; return the seconds until the last receipt."""
        body, turns = os.urandom(self._load.document_bytes), asyncio.Semaphore(_AT_ONCE)

        async def send() -> None:
            async with turns:
                await self.publish(SUBMIT, body)

        began = time.perf_counter()
        await asyncio.gather(*(send() for _ in range(self._load.documents)))
        await self._all.wait()
        return time.perf_counter() - began

    def tables(self, role: str) -> dict[str, Took]:
        """Return which queues a role reads, and what it does with each message."""
        tables: dict[str, dict[str, Took]] = {
            "router": {SUBMIT: self.submitted, RECEIPTS: self.answered},
            "addressee": {INBOX: self.delivered},
            "originator": {HOME: self.heard},
        }
        return tables[role]


async def declare(url: str) -> None:
    """Make the queues, with the arguments that the axis gives its own, and empty."""
    arguments = topology.province(()).queues[0].arguments
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        for name in (SUBMIT, INBOX, RECEIPTS, HOME):
            await channel.queue_delete(name)
            await channel.declare_queue(name, durable=True, arguments=arguments)


async def _read(channel: AbstractChannel, queue: str, took: Took) -> None:
    async def take(message: AbstractIncomingMessage) -> None:
        await took(message)
        await message.ack()

    await (await channel.get_queue(queue, ensure=False)).consume(take)


async def _serve(role: str, url: str, folder: Path, load: Load) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with await aio_pika.connect(url) as publishing, await aio_pika.connect(url) as consuming:
        bare = Bare(await publishing.channel(publisher_confirms=True, on_return_raises=True), load)
        channel = await consuming.channel()
        await channel.set_qos(prefetch_count=_PREFETCH)
        for queue, took in bare.tables(role).items():
            await _read(channel, queue, took)
        (folder / f"{role}.ready").touch()
        if role == "originator":
            seconds = await bare.originate()
            (folder / "result.new").write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
            (folder / "result.new").rename(folder / "result.json")
        await stop.wait()


def order(folder: Path, load: Load) -> None:
    """Write down what is to be relayed, for the three processes to read."""
    folder.mkdir()
    (folder / "load.json").write_text(json.dumps(asdict(load)), encoding="utf-8")


def seconds_of(result: Path) -> float:
    """Return what the originator wrote down."""
    return float(json.loads(result.read_text(encoding="utf-8"))["seconds"])


if __name__ == "__main__":
    place = Path(sys.argv[2])
    asyncio.run(
        _serve(
            sys.argv[1], os.environ["BENCH_BROKER_URL"], place, Load(**json.loads((place / "load.json").read_text()))
        )
    )
