"""Orders: what a measured originator is to send, and the letter that it sends."""

import json
import os
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Self

from axis.edxml import AttachmentRef, Document, Organization
from tests.bench.journal import word

_FIRST = (
    "Bá", "Cẩm", "Đông", "Hà", "Hàm", "Hậu", "Hoằng", "Kim", "Lam", "Mường", "Nga", "Ngọc", "Như", "Phú", "Quan", "Quảng",
    "Sơn", "Tân", "Thạch", "Thiệu", "Thọ", "Triệu", "Vĩnh", "Yên",
)  # fmt: skip
_LAST = (
    "Bình", "Cường", "Giang", "Hải", "Hạnh", "Hòa", "Khánh", "Lâm", "Lập", "Lộc", "Minh", "Phong", "Quang", "Rồng", "Thắng",
    "Thành", "Thủy", "Tiên", "Tiến", "Trạch", "Vinh", "Xuân",
)  # fmt: skip
_RANDOM = os.urandom(128 * 1024)  # To draw so much for each document would cost more than to seal it.


@dataclass(frozen=True, slots=True)
class Order:
    """So many documents."""

    name: str
    addressees: tuple[str, ...]
    documents: int
    file_bytes: int
    per_s: float | None  # None: one after the other.
    levels: tuple[str, ...] = ("delivered", "registered")  # What each addressee says.
    file: str = ""  # Path of the file to send; without one, each document gets one of its own.

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

    @classmethod
    def take(cls, file: Path) -> Self:
        """Take the order that lies in a file away."""
        fields = json.loads(file.read_text(encoding="utf-8"))
        file.unlink()
        return cls(**_tuples(fields))


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def letter(originator: str, order: Order, number: int, attachments: tuple[AttachmentRef, ...] = ()) -> Document:
    """Return a letter of about 4 KB when it is sealed."""
    return Document(
        originator=Organization(originator, "Sở Khoa học và Công nghệ (ví dụ)"),
        addressees=tuple(map(_commune, order.addressees)),
        document_id=f"{originator},2026/08/25,{order.name}-{number}/TN",
        code_number=str(number),
        code_notation="TN",
        place="Thanh Hóa",
        promulgated_on=date(2026, 8, 25),
        subject=f"V/v đo lường {order.name} số {number} (ví dụ)",
        signer_name="Nguyễn Văn A (ví dụ)",
        attachments=attachments,
    )


@cache
def _commune(code: str) -> Organization:
    """Return a made-up addressee, no two alike: a circular that names one a thousand times would pack too well."""
    draw = Random(code)
    first, last = draw.choice(_FIRST), draw.choice(_LAST)
    return Organization(
        code,
        f"UBND {draw.choice(('xã', 'phường'))} {first} {last} (ví dụ)",
        email=f"{code.lower()}@example.vn",
    )


def content(order: Order, number: int) -> bytes:
    """Return the file of a document. No two are the same, so each is carried."""
    return (b"%%PDF-1.7\n%b-%d\n" % (order.name.encode(), number) + _RANDOM)[: order.file_bytes]


def order_of(document_id: str) -> str:
    """Return the name of the order that a document belongs to."""
    return document_id.split(",")[2].rpartition("-")[0]
