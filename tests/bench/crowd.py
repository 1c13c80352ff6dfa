"""The crowd: one process that answers for many offices.

For each envelope in an inbox it signs *delivered* with the key of that inbox's
office, and publishes it through that office's exchange. It verifies nothing and
keeps nothing: offices do that on machines of their own, side by side; what is
measured here is the axis and the broker.
"""

import asyncio
import os
import signal
import sys
from functools import cache, partial
from pathlib import Path

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from axis import clock, edxml
from axis.broker import topology
from axis.broker.packing import unpack
from axis.office.answers import Delivered
from axis.office.speech import About, say
from axis.receipts.voice import Voice
from axis.seal import SigningKey

_PREFETCH = 64


class Crowd:
    """Offices that only say that they have something."""

    def __init__(self, trust: Path, publishing: AbstractChannel) -> None:
        self._trust = trust
        self._publishing = publishing
        self._voice = cache(self._load)
        self._abouts: dict[str, About] = {}  # By envelope: one is parsed once, however many inboxes it comes to.

    def _load(self, code: str) -> Voice:
        keys, certificates = self._trust / "keys", self._trust / "certs"
        return Voice(code, SigningKey.load(keys / f"{code}.key.pem", certificates / f"{code}.pem"))

    def know(self, code: str) -> None:
        """Load the key of an office."""
        self._voice(code)

    async def take(self, code: str, message: AbstractIncomingMessage) -> None:
        """Answer one envelope; ack after the confirm."""
        about = self._about(message)
        (receipt,) = say(
            Delivered(),
            about,
            voice=self._voice(code),
            previous=str(message.headers["previous-receipt"]),
            attempt=int(str(message.headers["attempt"])),
            at=clock.now(),
        )
        place = await self._publishing.get_exchange(topology.office_exchange(code), ensure=False)
        answer = aio_pika.Message(
            receipt.xml,
            type="receipt",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            headers={"envelope-id": about.envelope_id},
        )
        await place.publish(answer, "receipt", mandatory=True)
        await message.ack()

    def _about(self, message: AbstractIncomingMessage) -> About:
        envelope_id = str(message.headers["envelope-id"])
        if envelope_id not in self._abouts:
            received = edxml.parse(unpack(message.body, message.content_encoding, topology.MOST_BYTES))
            self._abouts[envelope_id] = About(
                envelope_id=envelope_id,
                envelope_digest=str(message.headers["envelope-digest"]),
                originator=received.originator,
                document_id=received.document_id,
            )
        return self._abouts[envelope_id]


async def _serve(url: str, trust: Path, codes: list[str], ready: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with await aio_pika.connect(url) as publishing, await aio_pika.connect(url) as consuming:
        crowd = Crowd(trust, await publishing.channel(publisher_confirms=True, on_return_raises=True))
        channel = await consuming.channel()
        await channel.set_qos(prefetch_count=_PREFETCH, global_=False)
        for code in codes:
            crowd.know(code)
            queue = await channel.get_queue(topology.inbox(code), ensure=False)
            await queue.consume(partial(crowd.take, code))
        ready.touch()
        await stop.wait()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    asyncio.run(
        _serve(
            os.environ["BENCH_BROKER_URL"],
            Path(os.environ["BENCH_TRUST"]),
            (folder / "codes").read_text(encoding="ascii").split(),
            folder / "crowd.ready",
        )
    )
