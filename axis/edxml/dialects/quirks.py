"""Quirks: what is tolerated in a message of a dialect, and said of it.

Spec: docs/protocol/dialects.md 3.
"""

from dataclasses import dataclass
from enum import StrEnum


class Quirk(StrEnum):
    """One thing that is not as it should be, and harms nobody."""

    JUNK = "junk"
    BOM = "bom"
    COMMENT = "comment"
    NAMESPACE = "namespace"
    FRAME = "frame"
    NAME = "name"
    ORDER = "order"
    DATE = "date"
    BLANK = "blank"
    RESPONSE = "empty-response"
    TRACE = "trace"
    TYPE = "type"
    ABSENT = "absent"
    DOCUMENT_ID = "document-id"
    LEFT_OUT = "left-out"
    MEDIA_TYPE = "media-type"
    LINK = "link"
    UNSIGNED = "unsigned"
    SIGNATURE = "signature"


WORDS: dict[Quirk, tuple[str, str]] = {  # Vietnamese, English; either may hold one {detail}.
    Quirk.JUNK: ("Có ký tự thừa trước XML: {detail}", "There is something before the XML: {detail}"),
    Quirk.BOM: ("Có dấu thứ tự byte (BOM) ở đầu", "It begins with a byte order mark"),
    Quirk.COMMENT: ("Chú thích, chỉ thị xử lý bị bỏ qua", "Comments and processing instructions are left out"),
    Quirk.NAMESPACE: ("Không gian tên cũ: {detail}", "An older namespace: {detail}"),
    Quirk.FRAME: ("Khung gói tin khác: {detail}", "Another frame around the message: {detail}"),
    Quirk.NAME: ("Tên phần tử viết khác: {detail}", "Another name of an element: {detail}"),
    Quirk.ORDER: ("Thứ tự phần tử khác trong {detail}", "Another order of elements in {detail}"),
    Quirk.DATE: ("Ngày giờ viết khác: {detail}", "Another form of a date: {detail}"),
    Quirk.BLANK: ("Coi là để trống: {detail}", "Taken as empty: {detail}"),
    Quirk.RESPONSE: ("ResponseFor trống bị bỏ qua", "An empty ResponseFor is left out"),
    Quirk.TRACE: ("TraceHeader không rõ đơn vị hoặc thời điểm bị bỏ qua: {detail}", "A TraceHeader without office or time is left out: {detail}"),
    Quirk.TYPE: ("Loại văn bản xác định theo tên: {detail}", "The document type follows from its name: {detail}"),
    Quirk.ABSENT: ("Phần tử thiếu được thêm: {detail}", "An element that is missing was added: {detail}"),
    Quirk.DOCUMENT_ID: ("Thiếu DocumentId, lập theo số, ký hiệu, ngày: {detail}", "DocumentId is missing and was made of office, day and number: {detail}"),
    Quirk.LEFT_OUT: ("Phần tử không dùng bị bỏ qua: {detail}", "An element that nobody uses is left out: {detail}"),
    Quirk.MEDIA_TYPE: ("Kiểu tệp khai sai: {detail}", "The media type is not that of the file: {detail}"),
    Quirk.LINK: ("Tệp tìm theo tên: {detail}", "The file was found by its name: {detail}"),
    Quirk.UNSIGNED: ("Không có chữ ký: chưa xác thực nơi gửi", "It carries no signature: unverified"),
    Quirk.SIGNATURE: ("Chữ ký kiểu cũ không kiểm tra được, chưa xác thực nơi gửi: {detail}", "Its signature cannot be checked, unverified: {detail}"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tolerated:
    """One quirk of a message."""

    quirk: Quirk
    detail: str = ""
    line: int | None = None  # In the file as it came.

    @property
    def vi(self) -> str:
        """In Vietnamese."""
        return WORDS[self.quirk][0].format(detail=self.detail)

    @property
    def en(self) -> str:
        """In English."""
        return WORDS[self.quirk][1].format(detail=self.detail)

    def as_dict(self) -> dict[str, object]:
        """Return it as programs read it."""
        return {"quirk": self.quirk.value, "line": self.line, "vi": self.vi, "en": self.en}
