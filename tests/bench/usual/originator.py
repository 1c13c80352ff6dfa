"""Originator: seals and submits letters at a rate, and verifies each receipt."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from faststream import FastStream

from axis.edxml import AttachmentRef, render
from tests.bench.journal import Journal, word
from tests.bench.order import Order, content, letter, order_of
from tests.bench.usual import documents, wire
from tests.bench.usual.files import Files
from tests.bench.usual.told import ORIGINATOR, Told

_AT_ONCE = 32  # Documents that are being handed in.
_LOOK_S = 0.05


told = Told.from_env()
directory = documents.Directory(Path(told.trust))
key = directory.key(ORIGINATOR)
files = Files(told.gateway_url, told.gateway_key)
broker = wire.connect(told.broker_url)
turns = asyncio.Semaphore(_AT_ONCE)


async def send(order: Order, number: int, due: float) -> None:
    """Bring the file, seal the envelope, and return when the broker has it."""
    async with turns:
        digest = await files.bring(content(order, number))
        file = AttachmentRef("a1", f"{number}.pdf", "application/pdf", digest, order.file_bytes)
        document = letter(ORIGINATOR, order, number, (file,))
        await broker.publish(documents.seal(render(document), key), queue=wire.SUBMIT, persist=True)
    _journal(order.name).sent(document.document_id, due)


@broker.subscriber(wire.home(ORIGINATOR))
async def hear(xml: bytes) -> None:
    """Verify a receipt and write it down."""
    receipt = documents.open_receipt(xml, directory)
    _journal(order_of(receipt.document_id)).heard(receipt.document_id, word(receipt.level, receipt.addressee))


@cache
def _journal(order: str) -> Journal:
    return Journal(told.place(f"{order}.journal"))


async def _work() -> None:
    while True:
        for file in sorted(told.place(".").glob("*.order")):
            order = Order.take(file)
            began = time.time()
            async with asyncio.TaskGroup() as sending:
                for number in range(order.documents):
                    due = began + number / (order.per_s or 1)
                    await asyncio.sleep(max(0.0, due - time.time()))
                    sending.create_task(send(order, number, due))
        await asyncio.sleep(_LOOK_S)


@asynccontextmanager
async def _open() -> AsyncIterator[None]:
    yield
    await files.close()


app = FastStream(broker, lifespan=_open)


@app.after_startup
async def _begin() -> None:
    app.context.set_global("working", asyncio.create_task(_work()))
    told.place("originator.ready").touch()


if __name__ == "__main__":
    wire.serve(app)
