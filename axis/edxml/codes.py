"""Code tables: what the law and the field have numbered, as data.

Spec: Decree 30/2020/NĐ-CP Art. 7 and App. III (kinds of administrative
documents and their abbreviations), Art. 21 (registered the same day);
QCVN 102:2016 (statuses, priorities).
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from axis.errors import CATALOGUE, Actor


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """One kind of administrative document."""

    code: str  # Two digits, as in records-management identifiers.
    name: str
    abbreviation: str  # "" where the law gives none.


DOCUMENT_KINDS = tuple(
    DocumentKind(code, name, abbreviation)
    for code, name, abbreviation in (
        ("01", "Nghị quyết", "NQ"),
        ("02", "Quyết định", "QĐ"),
        ("03", "Chỉ thị", "CT"),
        ("04", "Quy chế", "QC"),
        ("05", "Quy định", "QyĐ"),
        ("06", "Thông cáo", "TC"),
        ("07", "Thông báo", "TB"),
        ("08", "Hướng dẫn", "HD"),
        ("09", "Chương trình", "CTr"),
        ("10", "Kế hoạch", "KH"),
        ("11", "Phương án", "PA"),
        ("12", "Đề án", "ĐA"),
        ("13", "Dự án", "DA"),
        ("14", "Báo cáo", "BC"),
        ("15", "Tờ trình", "TTr"),
        ("16", "Giấy ủy quyền", "GUQ"),
        ("17", "Phiếu gửi", "PG"),
        ("18", "Phiếu chuyển", "PC"),
        ("19", "Phiếu báo", "PB"),
        ("20", "Biên bản", "BB"),
        ("21", "Hợp đồng", "HĐ"),
        ("22", "Công văn", ""),
        ("23", "Công điện", "CĐ"),
        ("24", "Bản ghi nhớ", "BGN"),
        ("25", "Bản thỏa thuận", "BTT"),
        ("26", "Giấy mời", "GM"),
        ("27", "Giấy giới thiệu", "GGT"),
        ("28", "Giấy nghỉ phép", "GNP"),
        ("29", "Thư công", ""),
    )
)

# QCVN 102 lists legal norms beside the 29 administrative kinds; they travel with DocumentType/Type 1.
LEGAL_KINDS = (
    "Hiến pháp",
    "Bộ luật",
    "Luật",
    "Pháp lệnh",
    "Lệnh",
    "Nghị quyết",
    "Nghị quyết liên tịch",
    "Nghị định",
    "Quyết định",
    "Thông tư",
    "Thông tư liên tịch",
    "Chỉ thị",
)

PRIORITIES = {0: "Thường", 1: "Khẩn", 2: "Thượng khẩn", 3: "Hỏa tốc", 4: "Hỏa tốc hẹn giờ"}


class StatusClass(StrEnum):
    """What a status is about. Transport is the axis's: only 01 is said where a software takes a document."""

    TRANSPORT = "transport"  # That it came.
    BUSINESS = "business"  # What clerks do with it.
    ORDER = "order"  # What becomes of a recall, an update, a take-back.


@dataclass(frozen=True, slots=True)
class StatusCode:
    """One status that an office may report about a document: a row of the catalogue, as those of axis.errors are."""

    code: str
    kind: StatusClass
    name: str  # In Vietnamese, as the field has it.
    en: str
    actor: Actor  # Who must act now.
    next: str
    needs_reason: bool = False
    status: str = "2.0.0"  # RFC 3463, as receipts carry it.


_LATER = "Nơi nhận xử lý tiếp và báo trạng thái. / The addressee goes on and reports."

STATUSES = {
    one.code: one
    for one in (
        StatusCode("01", StatusClass.TRANSPORT, "Đã đến", "Arrived", Actor.ADDRESSEE, "Văn thư tiếp nhận hoặc từ chối trong ngày. / A clerk registers or refuses it the same day."),
        StatusCode("02", StatusClass.BUSINESS, "Từ chối tiếp nhận", "Refused", Actor.ORIGINATOR, "Sửa theo lý do rồi gửi văn bản mới. / Correct what the reason says and send a new document.", needs_reason=True, status=CATALOGUE["DLV.REFUSED"].status),
        StatusCode("03", StatusClass.BUSINESS, "Đã tiếp nhận", "Registered", Actor.ADDRESSEE, _LATER),
        StatusCode("04", StatusClass.BUSINESS, "Phân công", "Assigned", Actor.ADDRESSEE, _LATER),
        StatusCode("05", StatusClass.BUSINESS, "Đang xử lý", "In work", Actor.ADDRESSEE, _LATER),
        StatusCode("06", StatusClass.BUSINESS, "Hoàn thành", "Done", Actor.NOBODY, "Không cần làm gì thêm. / Nothing more is to be done."),
        StatusCode("13", StatusClass.ORDER, "Lấy lại", "Take back", Actor.ADDRESSEE, "Nơi nhận trả lời 15 hoặc 16. / The addressee answers with 15 or 16.", needs_reason=True),
        StatusCode("15", StatusClass.ORDER, "Đồng ý cập nhật, lấy lại", "Update or take-back agreed", Actor.NOBODY, "Nơi nhận đã làm theo. / The addressee has done so."),
        StatusCode("16", StatusClass.ORDER, "Từ chối cập nhật, lấy lại", "Update or take-back declined", Actor.ORIGINATOR, "Văn bản giữ nguyên; liên hệ nơi nhận. / The document stays; call the addressee.", needs_reason=True),
    )
}  # fmt: skip

# "Mật", "Tối mật", "Tuyệt mật" close a kind or a sphere, in brackets or not; "bảo mật" and "bí mật" are subjects.
_SECRECY_MARK = re.compile(r"(?<!\w)(?<!bảo )(?<!bí )mật\W*\Z")


TAKE_BACK = "13"  # The one status that the originator of a document sends: it asks for what a recall asks for.


def fold(text: str) -> str:
    """Return text as names are compared: NFC, single spaces, lower case, without what stands in brackets."""
    plain = unicodedata.normalize("NFC", text).split("(", 1)[0]
    return " ".join(plain.split()).casefold()


def is_marked_secret(text: str) -> bool:
    """Tell whether a kind or a sphere carries a mark of secrecy."""
    plain = " ".join(unicodedata.normalize("NFC", text).split()).casefold()
    return _SECRECY_MARK.search(plain) is not None


_KINDS = {fold(kind.name): kind for kind in DOCUMENT_KINDS}
_LEGAL = {fold(name) for name in LEGAL_KINDS}


def kind_named(type_name: str) -> DocumentKind | None:
    """Return the administrative kind that a TypeName means, or None."""
    return _KINDS.get(fold(type_name))


def is_legal_norm(type_name: str) -> bool:
    """Tell whether a TypeName names a legal norm; some of those names are those of administrative kinds, too."""
    return fold(type_name) in _LEGAL


def is_known_kind(type_name: str) -> bool:
    """Tell whether a TypeName names a kind of Decree 30 or a legal norm."""
    return fold(type_name) in _KINDS or is_legal_norm(type_name)
