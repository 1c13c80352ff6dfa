"""Papers: the documents of the demonstration. Offices, persons and contents are examples."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import file_digest
from pathlib import Path

from fpdf import FPDF

from axis import edxml
from axis.edxml import AttachmentRef, Business, Document, Organization, Priority, Staff

NAMES = {
    "H56.VP": "Văn phòng UBND tỉnh Thanh Hóa (ví dụ)",
    "H56.05": "Sở Khoa học và Công nghệ (ví dụ)",
    "H56.NR": "UBND huyện mẫu (ví dụ)",
    "H56.112": "UBND phường Hàm Rồng (ví dụ)",
    "H56.113": "UBND xã mẫu (ví dụ)",
    "H56.199": "UBND xã vắng mặt (ví dụ)",
    "H56.900": "UBND huyện đã giải thể (ví dụ)",
    "H56.888": "Đơn vị không có thật (ví dụ)",
}
_NOTATIONS = {
    "H56.VP": "UBND-VP",
    "H56.05": "SKHCN-CĐS",
    "H56.NR": "UBND-NR",
    "H56.112": "UBND-HR",
    "H56.113": "UBND-XM",
}


@dataclass(frozen=True, slots=True)
class Paper:
    """A document before it is sealed, with its files."""

    document: Document
    files: tuple[Path, ...]

    @property
    def code(self) -> str:
        """Number and notation."""
        return self.document.code

    @property
    def rendered(self) -> bytes:
        """The edXML message, not sealed."""
        return edxml.render(self.document)


class Desk:
    """Numbers and writes papers, one register for each office."""

    def __init__(self, folder: Path, day: date) -> None:
        self._folder = folder
        self._day = day
        self._last: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def paper(
        self,
        sender: str,
        to: Sequence[str],
        subject: str,
        *,
        priority: Priority = Priority.ORDINARY,
        pages: int = 1,
        more_bytes: int = 0,
    ) -> Paper:
        """Return a new document with one PDF; `more_bytes` adds a second, large file."""
        number = self._last[sender] = self._last.get(sender, 100) + 1
        notation = _NOTATIONS[sender]
        stem = f"{number}-{notation}".replace("Đ", "D")
        files = [_pdf(self._folder / f"{stem}.pdf", f"{number}/{stem}", pages)]
        if more_bytes:
            files.append(_large(self._folder / f"{stem}-phu-luc.bin", more_bytes))
        document = Document(
            originator=Organization(sender, NAMES[sender]),
            addressees=tuple(Organization(code, NAMES[code]) for code in to),
            document_id=f"{sender},{self._day:%Y/%m/%d},{number}/{notation}",
            code_number=str(number),
            code_notation=notation,
            place="Thanh Hóa",
            promulgated_on=self._day,
            type_detail=18,
            subject=f"{subject} (ví dụ)",
            content=subject,
            signer_position="Thủ trưởng",
            signer_name="Nguyễn Văn A (ví dụ)",
            priority=priority,
            pages=pages,
            to_places=("Như trên", "Lưu: VT"),
            business=Business(
                reason="Văn bản điện tử mới", staff=Staff("Văn thư", "Lê Thị B (ví dụ)", "vanthu@example.vn", "")
            ),
            attachments=tuple(_reference(n, file) for n, file in enumerate(files, 1)),
        )
        return Paper(document, tuple(files))


def _reference(number: int, file: Path) -> AttachmentRef:
    with file.open("rb") as content:
        digest = file_digest(content, "sha256").hexdigest()
    kind = "application/pdf" if file.suffix == ".pdf" else "application/octet-stream"
    return AttachmentRef(f"a{number}", file.name, kind, digest, file.stat().st_size)


def _pdf(path: Path, text: str, pages: int) -> Path:
    pdf = FPDF()
    for page in range(1, pages + 1):
        pdf.add_page()
        pdf.set_font("Helvetica", size=14)
        pdf.cell(text=f"VAN BAN MAU {text} - trang {page}/{pages} - khong co gia tri phap ly")
    pdf.output(str(path))
    return path


def _large(path: Path, size_bytes: int) -> Path:
    """Write a file that does not compress, a mebibyte at a time."""
    block = os.urandom(1024 * 1024)
    with path.open("wb") as file:
        for _ in range(size_bytes // len(block)):
            file.write(os.urandom(16) + block[16:])
    return path
