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
from typing import Any

from axis import Document, Draft, File, Notice, Office, Organization, Registered
from tests.bench.journal import Journal, word

_LOOK_S = 0.05
_BREATH_S = 0.1  # Between lone documents, so that each meets an axis at rest.

office = Office.from_env()
_RANDOM = os.urandom(128 * 1024)  # To draw so much for each document would cost more than to seal it.


@dataclass(frozen=True, slots=True)
class Order:
    """What the originator is to send."""

    name: str
    addressees: tuple[str, ...]
    documents: int
    file_bytes: int
    per_s: float | None  # None: one after the other.
    levels: tuple[str, ...] = ("delivered", "registered")  # What each addressee says.

    @property
    def awaited(self) -> frozenset[str]:
        """What will have been heard of each document when all is over."""
        said = {word(level, addressee) for level in self.levels for addressee in self.addressees}
        return frozenset({"accepted", *said})

    def put(self, folder: Path) -> None:
        """Leave it where the originator looks."""
        beside = folder / f"{self.name}.new"
        beside.write_text(json.dumps(asdict(self)), encoding="utf-8")
        beside.rename(folder / f"{self.name}.order")


def draft(order: Order, number: int) -> Draft:
    """Return a letter of about 4 KB when it is sealed."""
    return Draft(
        originator=Organization(office.settings.code, "Sở Khoa học và Công nghệ (ví dụ)"),
        addressees=tuple(Organization(code, "UBND phường Hàm Rồng (ví dụ)") for code in order.addressees),
        document_id=f"{office.settings.code},2026/08/25,{order.name}-{number}/TN",
        code_number=str(number),
        code_notation="TN",
        place="Thanh Hóa",
        promulgated_on=date(2026, 8, 25),
        subject=f"V/v đo lường {order.name} số {number} (ví dụ)",
        signer_name="Nguyễn Văn A (ví dụ)",
    )


def _order_of(document_id: str) -> str:
    """Return the name of the order that a document belongs to."""
    return document_id.split(",")[2].rpartition("-")[0]


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
            for file in sorted(self._folder.glob("*.order")):
                order = Order(**_tuples(json.loads(file.read_text(encoding="utf-8"))))
                file.unlink()
                await (self._one_by_one(order) if order.per_s is None else self._at_a_rate(order, order.per_s))
            await asyncio.sleep(_LOOK_S)

    async def hear(self, notice: Notice) -> None:
        """Write down a receipt."""
        said = word(notice.level, notice.addressee)
        self._journal(_order_of(notice.document_id)).heard(notice.document_id, said)
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
        letter = draft(order, number)
        self._missing[letter.document_id] = set(order.awaited)
        self._whole[letter.document_id] = asyncio.Event()
        # No two files are the same, so each is carried.
        content = b"%%PDF-1.7\n%b" % letter.document_id.encode() + _RANDOM
        await office.send(letter, [File(f"{number}.pdf", content[: order.file_bytes])])
        self._journal(order.name).sent(letter.document_id, due)
        return letter.document_id


def _tuples(fields: dict[str, object]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


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
