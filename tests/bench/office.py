"""The two offices that are measured, written as an integrator writes them: one originates, one registers.

The originator carries out orders: so many documents, at a fixed rate whatever
becomes of them (an open loop), or each after the last one's receipts.
"""

import asyncio
import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from axis import Document, Draft, File, Notice, Office, Organization, Registered
from tests.bench.journal import RECEIPTS, Journal

_LOOK_S = 0.05
_BREATH_S = 0.1  # Between lone documents, so that each meets an axis at rest.

office = Office.from_env()


@dataclass(frozen=True, slots=True)
class Order:
    """What the originator is to send."""

    name: str
    addressee: str
    documents: int
    file_bytes: int
    per_s: float | None  # None: one after the other.

    def put(self, folder: Path) -> None:
        """Leave it where the originator looks."""
        beside = folder / f"{self.name}.new"
        beside.write_text(json.dumps(asdict(self)), encoding="utf-8")
        beside.rename(folder / f"{self.name}.order")


def draft(order: Order, number: int) -> Draft:
    """Return a letter of about 4 KB when it is sealed."""
    return Draft(
        originator=Organization(office.settings.code, "Sở Khoa học và Công nghệ (ví dụ)"),
        addressees=(Organization(order.addressee, "UBND phường Hàm Rồng (ví dụ)"),),
        document_id=f"{office.settings.code},2026/08/25,{order.name}-{number}/TN",
        code_number=str(number),
        code_notation="TN",
        place="Thanh Hóa",
        promulgated_on=date(2026, 8, 25),
        subject=f"V/v đo lường {order.name} số {number} (ví dụ)",
        signer_name="Nguyễn Văn A (ví dụ)",
    )


class Originator:
    """Carries out orders and writes down what it sees."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journals: dict[str, Journal] = {}
        self._missing: dict[str, set[str]] = {}  # Levels not heard yet, by document id.
        self._whole: dict[str, asyncio.Event] = {}

    async def work(self) -> None:
        """Look for orders until the office closes."""
        (self._folder / "open").touch()
        while True:
            for file in sorted(self._folder.glob("*.order")):
                order = Order(**json.loads(file.read_text(encoding="utf-8")))
                file.unlink()
                await (self._one_by_one(order) if order.per_s is None else self._at_a_rate(order, order.per_s))
            await asyncio.sleep(_LOOK_S)

    async def hear(self, notice: Notice) -> None:
        """Write down a receipt."""
        journal = self._journals.get(notice.document_id)
        if journal is None:
            return
        journal.heard(notice.document_id, notice.level)
        missing = self._missing[notice.document_id]
        missing.discard(notice.level)
        if not missing:
            self._whole[notice.document_id].set()

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
        letter = draft(order, number)
        journal = self._journals[letter.document_id] = Journal(self._folder / f"{order.name}.journal")
        self._missing[letter.document_id] = set(RECEIPTS)
        self._whole[letter.document_id] = asyncio.Event()
        # Random bytes: no two files are the same, so each is carried.
        await office.send(letter, [File(f"{number}.pdf", b"%PDF-1.7\n" + os.urandom(order.file_bytes - 9))])
        journal.sent(letter.document_id, due)
        return letter.document_id


@office.on_document
async def register(doc: Document) -> Registered:
    """Fetch the files and register the document."""
    for attachment in doc.attachments:
        await attachment.read()
    return Registered(doc.code)


if __name__ == "__main__":
    orders = os.environ.get("BENCH_ORDERS")
    if orders:
        originator = Originator(Path(orders))
        office.beside(originator.work)
        office.on_receipt(originator.hear)
    office.run()
