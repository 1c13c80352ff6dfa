"""Shapes: which element each field of a content is, for reading and writing alike.

A field that is "" or None is not written; a schema says which must be.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from axis.contents.dossier import (
    ApplicantType,
    Channel,
    Dossier,
    DossierFee,
    DossierFile,
    DossierPaper,
    DossierProgress,
    DossierResult,
    DossierStatus,
    DossierSupplement,
)
from axis.contents.invitation import Guest, Invitation
from axis.contents.kinds import KINDS, Kind
from axis.contents.task import Assignee, DocumentRef, Part, Task, TaskCompletion, TaskProgress, TaskStatus
from axis.edxml import Priority
from axis.edxml.values import VIETNAM

Content = Dossier | DossierProgress | Task | TaskProgress | TaskCompletion | Invitation


@dataclass(frozen=True, slots=True)
class Form:
    """How a value stands in text; the schema has seen that it can be read."""

    read: Callable[[str], Any]
    write: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Field:
    """One field and its element."""

    name: str
    element: str
    form: "Form | Shape"
    many: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """The elements of one type, in the order of its schema."""

    type: type[Any]
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Root:
    """A content as the root of a file."""

    kind: Kind
    element: str
    shape: Shape


def _choice(among: Callable[[int], Any]) -> Form:
    return Form(lambda text: among(int(text)), lambda value: str(int(value)))


_TEXT = Form(str, str)
_COUNT = Form(int, str)
_TRUTH = Form(lambda text: text in ("true", "1"), lambda value: "true" if value else "false")
_DAY = Form(date.fromisoformat, date.isoformat)
_MOMENT = Form(
    lambda text: datetime.fromisoformat(text).astimezone(UTC),
    lambda at: at.astimezone(VIETNAM).isoformat(timespec="seconds"),
)

_DOCUMENT = Shape(
    DocumentRef,
    (
        Field("organ_id", "OrganId", _TEXT),
        Field("code", "Code", _TEXT),
        Field("document_id", "DocumentId", _TEXT),
        Field("promulgated_on", "PromulgationDate", _DAY),
    ),
)
_GUEST = Shape(
    Guest,
    (
        Field("name", "HoTen", _TEXT),
        Field("position", "ChucVu", _TEXT),
        Field("organ_id", "OrganId", _TEXT),
        Field("email", "Email", _TEXT),
    ),
)

ROOTS: tuple[Root, ...] = (
    Root(
        Kind.DOSSIER,
        "DongBoHoSoMC",
        Shape(
            Dossier,
            (
                Field("updating", "isUpdating", _TRUTH),
                Field("code", "MaHoSo", _TEXT),
                Field("procedure_code", "MaTTHC", _TEXT),
                Field("procedure_name", "TenTTHC", _TEXT),
                Field("field_code", "MaLinhVuc", _TEXT),
                Field("field_name", "TenLinhVuc", _TEXT),
                Field("slip", "SoBienNhan", _TEXT),
                Field("applicant", "ChuHoSo", _TEXT),
                Field("applicant_type", "LoaiDoiTuong", _choice(ApplicantType)),
                Field("applicant_id", "MaDoiTuong", _TEXT),
                Field("other", "ThongTinKhac", _TEXT),
                Field("email", "Email", _TEXT),
                Field("fax", "Fax", _TEXT),
                Field("telephone", "SoDienThoai", _TEXT),
                Field("subject", "TrichYeuHoSo", _TEXT),
                Field("received_at", "NgayTiepNhan", _MOMENT),
                Field("due_at", "NgayHenTra", _MOMENT),
                Field("status", "TrangThaiHoSo", _choice(DossierStatus)),
                Field("returned_at", "NgayTra", _MOMENT),
                Field("returned_note", "ThongTinTra", _TEXT),
                Field("channel", "HinhThuc", _choice(Channel)),
                Field("finished_at", "NgayKetThucXuLy", _MOMENT),
                Field("handled_by", "DonViXuLy", _TEXT),
                Field("note", "GhiChu", _TEXT),
                Field(
                    "files",
                    "TaiLieuNop",
                    Shape(
                        DossierFile,
                        (
                            Field("file_id", "TepDinhKemId", _TEXT),
                            Field("name", "TenTepDinhKem", _TEXT),
                            Field("deleted", "IsDeleted", _TRUTH),
                            Field("component", "MaThanhPhanHoSo", _TEXT),
                            Field("link", "DuongDanTaiTepTin", _TEXT),
                        ),
                    ),
                    many=True,
                ),
                Field(
                    "fees",
                    "DanhSachLePhi",
                    Shape(
                        DossierFee,
                        (
                            Field("name", "TenPhiLePhi", _TEXT),
                            Field("code", "MaPhiLePhi", _TEXT),
                            Field("collected_by", "HinhThucThu", _TEXT),
                            Field("amount", "Gia", _COUNT),
                            Field("type", "LoaiPhiLePhi", _TEXT),
                        ),
                    ),
                    many=True,
                ),
                Field(
                    "papers",
                    "DanhSachTepDinhKemKhac",
                    Shape(
                        DossierPaper,
                        (
                            Field("name", "TenGiayTo", _TEXT),
                            Field("count", "SoLuong", _COUNT),
                            Field("type", "LoaiGiayTo", _TEXT),
                        ),
                    ),
                    many=True,
                ),
                Field(
                    "supplements",
                    "DanhSachHoSoBoSung",
                    Shape(
                        DossierSupplement,
                        (
                            Field("supplement_id", "HoSoBoSungId", _TEXT),
                            Field("asked_by", "NguoiYeuCauBoSung", _TEXT),
                            Field("what", "NoiDungBoSung", _TEXT),
                            Field("asked_at", "NgayBoSung", _MOMENT),
                            Field("taken_by", "NguoiTiepNhanBoSung", _TEXT),
                            Field("taken_note", "ThongTinTiepNhan", _TEXT),
                            Field("taken_at", "NgayTiepNhanBoSung", _MOMENT),
                            Field("due_before", "NgayHenTraTruoc", _MOMENT),
                            Field("due_after", "NgayHenTraMoi", _MOMENT),
                        ),
                    ),
                    many=True,
                ),
                Field(
                    "results",
                    "DanhSachGiayToKetQua",
                    Shape(
                        DossierResult,
                        (
                            Field("name", "TenGiayTo", _TEXT),
                            Field("component", "MaThanhPhanHoSo", _TEXT),
                            Field("paper_id", "GiayToId", _TEXT),
                            Field("link", "DuongDanTepTinKetQua", _TEXT),
                        ),
                    ),
                    many=True,
                ),
            ),
        ),
    ),
    Root(
        Kind.DOSSIER,
        "CapNhatTienDoHoSoMC",
        Shape(
            DossierProgress,
            (
                Field("code", "MaHoSo", _TEXT),
                Field("person", "NguoiXuLy", _TEXT),
                Field("position", "ChucDanh", _TEXT),
                Field("at", "ThoiDiemXuLy", _MOMENT),
                Field("department", "PhongBanXuLy", _TEXT),
                Field("note", "NoiDungXuLy", _TEXT),
                Field("status", "TrangThai", _choice(DossierStatus)),
                Field("began_at", "NgayBatDau", _MOMENT),
                Field("due_at", "NgayKetThucTheoQuyDinh", _MOMENT),
            ),
        ),
    ),
    Root(
        Kind.TASK,
        "GiaoNhiemVu",
        Shape(
            Task,
            (
                Field("code", "MaNhiemVu", _TEXT),
                Field("given_by", "CoQuanGiao", _TEXT),
                Field("person", "NguoiGiao", _TEXT),
                Field(
                    "assignees",
                    "CoQuanThucHien",
                    Shape(Assignee, (Field("organ_id", "OrganId", _TEXT), Field("part", "VaiTro", Form(Part, str)))),
                    many=True,
                ),
                Field("document", "VanBan", _DOCUMENT),
                Field("what", "NoiDung", _TEXT),
                Field("due_on", "HanXuLy", _DAY),
                Field("priority", "DoUuTien", _choice(Priority)),
            ),
        ),
    ),
    Root(
        Kind.TASK,
        "CapNhatNhiemVu",
        Shape(
            TaskProgress,
            (
                Field("code", "MaNhiemVu", _TEXT),
                Field("given_by", "CoQuanGiao", _TEXT),
                Field("assignee", "CoQuanThucHien", _TEXT),
                Field("status", "TrangThai", _choice(TaskStatus)),
                Field("percent", "TienDo", _COUNT),
                Field("note", "NoiDung", _TEXT),
                Field("at", "ThoiDiem", _MOMENT),
            ),
        ),
    ),
    Root(
        Kind.TASK,
        "HoanThanhNhiemVu",
        Shape(
            TaskCompletion,
            (
                Field("code", "MaNhiemVu", _TEXT),
                Field("given_by", "CoQuanGiao", _TEXT),
                Field("assignee", "CoQuanThucHien", _TEXT),
                Field("completed_at", "NgayHoanThanh", _MOMENT),
                Field("result", "KetQua", _TEXT),
                Field("document", "VanBanKetQua", _DOCUMENT),
            ),
        ),
    ),
    Root(
        Kind.INVITATION,
        "GiayMoi",
        Shape(
            Invitation,
            (
                Field("code", "MaGiayMoi", _TEXT),
                Field("revision", "LanSua", _COUNT),
                Field("inviter", "CoQuanMoi", _TEXT),
                Field("title", "TieuDe", _TEXT),
                Field("starts_at", "ThoiGianBatDau", _MOMENT),
                Field("ends_at", "ThoiGianKetThuc", _MOMENT),
                Field("place", "DiaDiem", _TEXT),
                Field("link", "DuongDanTrucTuyen", _TEXT),
                Field("chair", "ChuTri", _GUEST),
                Field("guests", "NguoiDuocMoi", _GUEST, many=True),
                Field("agenda", "NoiDung", _TEXT, many=True),
                Field("documents", "TaiLieu", _TEXT, many=True),
                Field("contact", "LienHe", _TEXT),
            ),
        ),
    ),
)

BY_TYPE = {root.shape.type: root for root in ROOTS}
BY_TAG = {f"{{{KINDS[root.kind].namespace}}}{root.element}": root for root in ROOTS}


def root_of(content: Content) -> Root:
    """Return how a content stands in a file."""
    return BY_TYPE[type(content)]


def path_to(content: Content, *names: str) -> str:
    """Return the XPath of a field of a content, by the names of fields; one with a position is written `guests[2]`."""
    root = root_of(content)
    prefix = KINDS[root.kind].prefix
    steps, shape = [root.element], root.shape
    for name in names:
        plain, bracket, position = name.partition("[")
        field = next(one for one in shape.fields if one.name == plain)
        steps.append(f"{field.element}{bracket}{position}")
        shape = field.form if isinstance(field.form, Shape) else shape
    return "".join(f"/{prefix}{step}" for step in steps)
