"""Addressee: verifies, fetches the file, stores both, and signs two receipts."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from faststream import FastStream
from faststream.rabbit import RabbitMessage

from tests.bench.usual import documents, wire
from tests.bench.usual.documents import Envelope
from tests.bench.usual.files import Files
from tests.bench.usual.ledger import IncomingRow, Register
from tests.bench.usual.told import ADDRESSEE, Told

told = Told.from_env()
directory = documents.Directory(Path(told.trust))
key = directory.key(ADDRESSEE)
register = Register(f"sqlite:///{told.place('register.sqlite')}")
files = Files(told.gateway_url, told.gateway_key)
broker = wire.connect(told.broker_url)
numbers = itertools.count(1)


@broker.subscriber(wire.inbox(ADDRESSEE))
async def take(sealed: bytes, message: RabbitMessage) -> None:
    """Take a document into the register, and say so."""
    envelope_id = str(message.headers["envelope-id"])
    row = await register.find(envelope_id)
    if row is None:
        envelope = documents.open_envelope(sealed, directory)
        await _keep_files(envelope)
        row = _entry(envelope, envelope_id, str(message.headers["previous"]))
        await register.enter(row)
    await asyncio.gather(
        *(broker.publish(xml, queue=wire.RECEIPTS, persist=True) for xml in (row.delivered, row.registered))
    )


async def _keep_files(envelope: Envelope) -> None:
    for digest, size_bytes in envelope.files:
        content = await files.fetch(digest, size_bytes)
        await asyncio.to_thread(told.place(digest).write_bytes, content)


def _entry(envelope: Envelope, envelope_id: str, previous: str) -> IncomingRow:
    number = next(numbers)
    delivered = documents.write_receipt(
        "delivered",
        key,
        about=envelope,
        envelope_id=envelope_id,
        addressee=ADDRESSEE,
        previous=previous,
        status_code="01",
    )
    registered = documents.write_receipt(
        "registered",
        key,
        about=envelope,
        envelope_id=envelope_id,
        addressee=ADDRESSEE,
        previous=delivered.digest,
        status_code="03",
        number=str(number),
    )
    return IncomingRow(
        envelope_id=envelope_id,
        number=number,
        document_id=envelope.document_id,
        delivered=delivered.xml,
        registered=registered.xml,
    )


@asynccontextmanager
async def _open() -> AsyncIterator[None]:
    await register.open()
    yield
    await files.close()
    await register.close()


app = FastStream(broker, lifespan=_open)


@app.after_startup
async def _tell() -> None:
    told.place("addressee.ready").touch()


if __name__ == "__main__":
    wire.serve(app)
