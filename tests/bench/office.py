"""The two offices that are measured, written as an integrator writes them: one originates, one registers.

The originator carries out orders: so many documents, at a fixed rate whatever
becomes of them (an open loop), or each after the last one's receipts.
"""

import asyncio
import os
import time
from pathlib import Path

from axis import Document, File, Notice, Office, Registered
from tests.bench.journal import Journal, word
from tests.bench.order import Order, content, letter, order_of

_LOOK_S = 0.05
_BREATH_S = 0.1  # Between lone documents, so that each meets an axis at rest.
_IN_MEMORY = 1024 * 1024  # Bytes of a file that a handler would read rather than save.

office = Office.from_env()


class Originator:
    """Carries out orders and writes down what it sees."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._missing: dict[str, set[str]] = {}  # Receipts not heard yet, by document id.
        self._whole: dict[str, asyncio.Event] = {}
        self._journals: dict[str, Journal] = {}

    async def work(self) -> None:
        """Look for orders until the office closes."""
        (self._folder / "open").touch()
        while True:
            # Not `glob`: it takes longer than to seal a document, and this process is measured with its work.
            for name in sorted(name for name in os.listdir(self._folder) if name.endswith(".order")):
                order = Order.take(self._folder / name)
                await (self._one_by_one(order) if order.per_s is None else self._at_a_rate(order, order.per_s))
            await asyncio.sleep(_LOOK_S)

    async def hear(self, notice: Notice) -> None:
        """Write down a receipt."""
        said = word(notice.level, notice.addressee)
        self._journal(order_of(notice.document_id)).heard(notice.document_id, said)
        if notice.document_id not in self._missing:
            return  # It was handed in before this process began.
        missing = self._missing[notice.document_id]
        missing.discard(said)
        if not missing:
            self._whole[notice.document_id].set()

    def _journal(self, order: str) -> Journal:
        if order not in self._journals:
            self._journals[order] = Journal(self._folder / f"{order}.journal")
        return self._journals[order]

    async def _at_a_rate(self, order: Order, per_s: float) -> None:
        began = time.time()
        async with asyncio.TaskGroup() as sending:
            for number in range(order.documents):
                due = began + number / per_s
                await asyncio.sleep(max(0.0, due - time.time()))
                sending.create_task(self._send(order, number, due))

    async def _one_by_one(self, order: Order) -> None:
        for number in range(order.documents):
            await self._whole[await self._send(order, number, time.time())].wait()
            await asyncio.sleep(_BREATH_S)

    async def _send(self, order: Order, number: int, due: float) -> str:
        document = letter(office.settings.code, order, number)
        self._missing[document.document_id] = set(order.awaited)
        self._whole[document.document_id] = asyncio.Event()
        await office.send(document, [File(f"{number}.pdf", Path(order.file) if order.file else content(order, number))])
        self._journal(order.name).sent(document.document_id, due)
        return document.document_id


@office.on_document
async def register(doc: Document) -> Registered:
    """Fetch the files and register the document."""
    for number, attachment in enumerate(doc.attachments):
        if attachment.size_bytes <= _IN_MEMORY:
            await attachment.read()
        else:
            place = office.settings.state / f"{doc.envelope_id}-{number}"
            await attachment.save(place)
            place.unlink()
    return Registered(doc.code)


if __name__ == "__main__":
    orders = os.environ.get("BENCH_ORDERS")
    if orders:
        originator = Originator(Path(orders))
        office.beside(originator.work)
        office.on_receipt(originator.hear)
    office.run()
