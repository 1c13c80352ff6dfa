"""Dossier: a one-stop dossier (hồ sơ), its ten statuses, and which may follow which.

`Dossier` is the whole as it stands now, `DossierProgress` one step of its way.
The names of their elements are those of the national portal's services; the
table STATES is the one place that says what a status needs, what may stand
before it, and who may say it.

Spec: schemas/dossier-1.xsd; docs/protocol/contents.md 3; Decree 61/2018/NĐ-CP (one-stop, code of a dossier).
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum, StrEnum

from axis.contents.moves import Move


class DossierStatus(IntEnum):
    """TrangThaiHoSo, TrangThai."""

    REGISTERED = 1
    ACCEPTED = 2
    NOT_ACCEPTED = 3
    IN_PROGRESS = 4
    SUPPLEMENT_ASKED = 5
    PAYMENT_ASKED = 6
    WITHDRAWN = 7
    STOPPED = 8
    DONE = 9
    RETURNED = 10

    @property
    def label(self) -> str:
        """Its name, as people read it."""
        return STATES[self].name


class ApplicantType(IntEnum):
    """LoaiDoiTuong."""

    OTHER = 0
    CITIZEN = 1
    BUSINESS = 2


class Channel(IntEnum):
    """HinhThuc: how the dossier was handed in."""

    COUNTER = 0
    ONLINE = 1
    POST = 2


@dataclass(frozen=True, slots=True)
class DossierFile:
    """TaiLieuNop: a paper that was handed in. Without a link, the file of that name travels with the document."""

    name: str
    file_id: str = ""
    deleted: bool = False
    component: str = ""  # MaThanhPhanHoSo
    link: str = ""


@dataclass(frozen=True, slots=True)
class DossierFee:
    """DanhSachLePhi: what the citizen pays."""

    name: str
    amount: int  # In đồng.
    code: str = ""
    collected_by: str = ""  # HinhThucThu
    type: str = ""  # LoaiPhiLePhi


@dataclass(frozen=True, slots=True)
class DossierPaper:
    """DanhSachTepDinhKemKhac: a paper beside the procedure's own."""

    name: str
    count: int | None = None
    type: str = ""


@dataclass(frozen=True, slots=True)
class DossierSupplement:
    """DanhSachHoSoBoSung: something that the citizen was asked to bring."""

    what: str
    asked_at: datetime
    supplement_id: str = ""
    asked_by: str = ""
    taken_by: str = ""
    taken_note: str = ""
    taken_at: datetime | None = None  # None: the citizen has not brought it yet.
    due_before: datetime | None = None
    due_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class DossierResult:
    """DanhSachGiayToKetQua: a paper that came of it."""

    name: str
    component: str = ""
    paper_id: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """DongBoHoSoMC: a dossier as it stands now."""

    code: str  # MaHoSo: organ, day, number.
    procedure_code: str  # MaTTHC
    procedure_name: str
    applicant: str  # ChuHoSo
    applicant_type: ApplicantType
    status: DossierStatus
    channel: Channel
    handled_by: str  # DonViXuLy
    updating: bool = False  # It was told before.
    field_code: str = ""  # MaLinhVuc
    field_name: str = ""
    slip: str = ""  # SoBienNhan: what the citizen was given at the counter.
    applicant_id: str = ""
    other: str = ""
    email: str = ""
    fax: str = ""
    telephone: str = ""
    subject: str = ""
    received_at: datetime | None = None
    due_at: datetime | None = None
    returned_at: datetime | None = None
    returned_note: str = ""  # ThongTinTra
    finished_at: datetime | None = None
    note: str = ""
    files: tuple[DossierFile, ...] = ()
    fees: tuple[DossierFee, ...] = ()
    papers: tuple[DossierPaper, ...] = ()
    supplements: tuple[DossierSupplement, ...] = ()
    results: tuple[DossierResult, ...] = ()

    @property
    def happened_at(self) -> datetime | None:
        """When the dossier came to its status, where it says so."""
        match self.status:
            case DossierStatus.ACCEPTED:
                return self.received_at
            case DossierStatus.SUPPLEMENT_ASKED:
                return max((one.asked_at for one in self.supplements), default=None)
            case DossierStatus.DONE:
                return self.finished_at
            case DossierStatus.RETURNED:
                return self.returned_at
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierProgress:
    """CapNhatTienDoHoSoMC: one step on the way of a dossier."""

    code: str
    status: DossierStatus
    person: str  # NguoiXuLy
    at: datetime  # ThoiDiemXuLy
    position: str = ""
    department: str = ""
    note: str = ""  # NoiDungXuLy
    began_at: datetime | None = None
    due_at: datetime | None = None  # NgayKetThucTheoQuyDinh: of this step.

    @property
    def happened_at(self) -> datetime:
        """When the dossier came to its status."""
        return self.at


class Role(StrEnum):
    """Who speaks about a dossier."""

    RECEIVER = "receiver"  # The organ in MaHoSo, or one above or below it: it deals with the citizen.
    HANDLER = "handler"  # Any other office, which works on it.


@dataclass(frozen=True, slots=True)
class State:
    """One status: a row of the table."""

    name: str
    starts: bool  # It may be the first.
    after: frozenset[DossierStatus]
    said_by: frozenset[Role]
    needs: tuple[tuple[str, ...], ...] = ()  # Of a Dossier: of each group of fields, one must be filled.
    needs_note: bool = False  # Of a DossierProgress: NoiDungXuLy says why, or what.


_ONE = frozenset({Role.RECEIVER})
_BOTH = frozenset(Role)
_DAYS = (("received_at",), ("due_at",))
_S = DossierStatus


def _after(*before: DossierStatus) -> frozenset[DossierStatus]:
    return frozenset(before)


STATES: dict[DossierStatus, State] = {
    _S.REGISTERED: State("Mới đăng ký", True, _after(), _ONE),
    _S.ACCEPTED: State(
        "Được tiếp nhận", True, _after(_S.REGISTERED, _S.SUPPLEMENT_ASKED, _S.PAYMENT_ASKED), _ONE, _DAYS
    ),
    _S.NOT_ACCEPTED: State(
        "Không được tiếp nhận", True, _after(_S.REGISTERED, _S.SUPPLEMENT_ASKED), _ONE, (("note",),), True
    ),
    _S.IN_PROGRESS: State(
        "Đang xử lý", False, _after(_S.ACCEPTED, _S.SUPPLEMENT_ASKED, _S.PAYMENT_ASKED, _S.WITHDRAWN), _BOTH, _DAYS
    ),
    _S.SUPPLEMENT_ASKED: State(
        "Yêu cầu bổ sung giấy tờ",
        False,
        _after(_S.REGISTERED, _S.ACCEPTED, _S.IN_PROGRESS),
        _BOTH,
        (("supplements",),),
        True,
    ),
    _S.PAYMENT_ASKED: State(
        "Yêu cầu thực hiện nghĩa vụ tài chính",
        False,
        _after(_S.REGISTERED, _S.ACCEPTED, _S.IN_PROGRESS),
        _BOTH,
        (("fees",),),
        True,
    ),
    _S.WITHDRAWN: State(
        "Công dân yêu cầu rút hồ sơ",
        False,
        _after(_S.REGISTERED, _S.ACCEPTED, _S.IN_PROGRESS, _S.SUPPLEMENT_ASKED, _S.PAYMENT_ASKED),
        _ONE,
    ),
    _S.STOPPED: State(
        "Dừng xử lý",
        False,
        _after(_S.ACCEPTED, _S.IN_PROGRESS, _S.SUPPLEMENT_ASKED, _S.PAYMENT_ASKED, _S.WITHDRAWN),
        _BOTH,
        (("note",),),
        True,
    ),
    _S.DONE: State(
        "Đã xử lý xong",
        False,
        _after(_S.ACCEPTED, _S.IN_PROGRESS, _S.PAYMENT_ASKED),
        _BOTH,
        (*_DAYS, ("finished_at",)),
    ),
    _S.RETURNED: State(
        "Đã trả kết quả",
        False,
        _after(_S.DONE),
        _ONE,
        (*_DAYS, ("finished_at",), ("returned_at",), ("results", "returned_note")),
        True,
    ),
}

WAITING = frozenset({_S.SUPPLEMENT_ASKED, _S.PAYMENT_ASKED})  # For the citizen: the office's time does not run.
ENDED = frozenset(status for status in _S if not any(status in state.after for state in STATES.values()))


def _ways(status: DossierStatus) -> frozenset[DossierStatus]:
    """Return every status from which some way leads to a status."""
    found: set[DossierStatus] = set()
    ahead = set(STATES[status].after)
    while ahead:
        found |= ahead
        ahead = {before for one in ahead for before in STATES[one].after} - found
    return frozenset(found)


BEFORE = {status: _ways(status) for status in _S}  # What may have stood before, whatever lay between.


def move(before: DossierStatus | None, status: DossierStatus) -> Move:
    """Tell what a status is after another. Whatever an office says first about a dossier is taken: others may have begun."""
    if before is None:
        return Move.FIRST
    if before is status:
        return Move.SAME
    if before in STATES[status].after:
        return Move.NEXT
    return Move.GAP if before in BEFORE[status] else Move.IMPOSSIBLE


def day_of(code: str) -> date | None:
    """Return the day in MaHoSo; None if there is no such day. Six digits, as older dossiers have, are of this century."""
    digits = code.rsplit("-", 2)[1]
    try:
        return date(
            int(digits[:-4].rjust(4, "0")) + (2000 if len(digits) == 6 else 0), int(digits[-4:-2]), int(digits[-2:])
        )
    except ValueError:
        return None


def lineage(organ_id: str) -> tuple[str, ...]:
    """Return the levels of an organ, the highest first, from either form of an identifier.

    `H56.05.02` and `000.02.05.H56` are the same organ; `000` holds the place of a level that there is not.
    """
    parts = organ_id.split(".")
    if parts[0][:1].isalpha() or not parts[-1][:1].isalpha():
        return tuple(parts)
    return tuple(part for part in reversed(parts) if part.strip("0"))


def role_of(speaker: str, receiver: str) -> Role:
    """Return as whom an organ speaks about a dossier.

    Args:
        speaker: Its OrganId.
        receiver: The OrganId in MaHoSo.
    """
    ours, theirs = lineage(speaker), lineage(receiver)
    shared = min(len(ours), len(theirs))
    # A whole province is the ancestor of everybody, and no counter.
    is_related = shared > 1 and ours[:shared] == theirs[:shared]
    return Role.RECEIVER if is_related or ours == theirs else Role.HANDLER
