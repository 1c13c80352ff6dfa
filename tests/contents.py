"""Good contents, one of each shape, and the document that carries them; all invented."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

from axis import contents, edxml
from axis.contents import (
    KINDS,
    ApplicantType,
    Assignee,
    Carrier,
    Channel,
    Content,
    DocumentRef,
    Dossier,
    DossierFee,
    DossierFile,
    DossierPaper,
    DossierProgress,
    DossierResult,
    DossierStatus,
    DossierSupplement,
    Guest,
    Invitation,
    Part,
    Task,
    TaskCompletion,
    TaskProgress,
    TaskStatus,
)
from axis.edxml import AttachmentRef, Organization, Priority

TODAY = date(2026, 8, 25)
GIVER, DOER, OTHER = "H56.05", "H56.112", "H56.113"


def at(day: int, hour: int = 8, *, month: int = 8) -> datetime:
    """Return a moment of the year of the samples, by the clocks of Viet Nam."""
    return datetime(2026, month, day, hour, tzinfo=UTC) - timedelta(hours=7)


DOSSIER = Dossier(
    code="H56.05-20260810-0000123",
    procedure_code="2.000001",
    procedure_name="Cấp giấy phép mẫu (ví dụ)",
    field_code="LV01",
    field_name="Khoa học và công nghệ",
    slip="BN-123",
    applicant="Nguyễn Văn A (ví dụ)",
    applicant_type=ApplicantType.CITIZEN,
    applicant_id="038000000000",
    email="a@example.vn",
    telephone="0900000000",
    subject="Cấp mới giấy phép mẫu",
    received_at=at(10),
    due_at=at(28, 17),
    status=DossierStatus.IN_PROGRESS,
    channel=Channel.ONLINE,
    handled_by="Phòng Quản lý mẫu (ví dụ)",
    updating=True,
    files=(
        DossierFile("don-de-nghi.pdf", component="TP01"),
        DossierFile("ban-ve.pdf", component="TP02", link="https://hoso.example.vn/tep/2"),
    ),
    fees=(DossierFee("Phí thẩm định mẫu", 150_000, code="P01"),),
    papers=(DossierPaper("Bản sao giấy tờ tùy thân", 1, "Bản sao"),),
    supplements=(
        DossierSupplement(
            "Bổ sung bản vẽ hiện trạng",
            at(12),
            asked_by="Trần Thị B (ví dụ)",
            taken_at=at(14),
            due_before=at(26, 17),
            due_after=at(28, 17),
        ),
    ),
)
RETURNED = replace(
    DOSSIER,
    status=DossierStatus.RETURNED,
    finished_at=at(20),
    returned_at=at(21),
    returned_note="Trả tại bộ phận một cửa",
    results=(DossierResult("Giấy phép mẫu số 1/GP", paper_id="GP-1"),),
)
PROGRESS = DossierProgress(
    code=DOSSIER.code,
    status=DossierStatus.SUPPLEMENT_ASKED,
    person="Trần Thị B (ví dụ)",
    position="Chuyên viên",
    department="Phòng Quản lý mẫu (ví dụ)",
    at=at(12),
    note="Bổ sung bản vẽ hiện trạng",
    began_at=at(10),
    due_at=at(26, 17),
)
TASK = Task(
    code="NV-2026-0042",
    given_by=GIVER,
    person="Nguyễn Văn A (ví dụ)",
    assignees=(Assignee(DOER), Assignee(OTHER, Part.HELP)),
    document=DocumentRef("H56.VP", code="99/VP-TH", promulgated_on=date(2026, 8, 20)),
    what="Rà soát mã định danh của các đơn vị trực thuộc",
    due_on=date(2026, 9, 5),
    priority=Priority.URGENT,
)
TASK_PROGRESS = TaskProgress(
    code=TASK.code,
    given_by=GIVER,
    assignee=DOER,
    status=TaskStatus.IN_PROGRESS,
    percent=40,
    note="Đã rà soát xong khối văn phòng",
    at=at(24),
)
TASK_COMPLETION = TaskCompletion(
    code=TASK.code,
    given_by=GIVER,
    assignee=DOER,
    completed_at=at(25),
    result="Đã rà soát 12 đơn vị; kết quả trong báo cáo kèm theo",
    document=DocumentRef(DOER, document_id="H56.112,2026/08/25,30/BC-UBND"),
)
INVITATION = Invitation(
    code="H56.05,2026/08/25,7/GM-SKHCN",
    inviter=GIVER,
    title="Họp triển khai trục liên thông; rà soát mã định danh",
    starts_at=at(1, month=9),
    ends_at=at(1, 11, month=9),
    place="Phòng họp số 2, trụ sở Sở mẫu (ví dụ)",
    link="https://hop.example.vn/abc",
    chair=Guest("Nguyễn Văn A (ví dụ)", "Giám đốc", GIVER),
    guests=(
        Guest("", "Đại diện lãnh đạo", DOER, "vanthu@example.vn"),
        Guest(organ_id=OTHER),
        Guest("Lê Văn C (ví dụ)", "Chuyên gia"),
    ),
    agenda=("Báo cáo hiện trạng", "Thảo luận"),
    documents=("bao-cao.pdf",),
    contact="Lê Thị B (ví dụ), 02370000000",
)

# Every shape, under the name of its example in docs/examples.
SAMPLES: dict[str, Content] = {
    "ho-so.xml": DOSSIER,
    "ho-so-tra-ket-qua.xml": RETURNED,
    "ho-so-tien-do.xml": PROGRESS,
    "nhiem-vu-giao.xml": TASK,
    "nhiem-vu-tien-do.xml": TASK_PROGRESS,
    "nhiem-vu-hoan-thanh.xml": TASK_COMPLETION,
    "giay-moi.xml": INVITATION,
}


def ref_of(content: Content | bytes, *, kind: contents.Kind | None = None) -> AttachmentRef:
    """Return how a manifest lists a content."""
    xml = content if isinstance(content, bytes) else contents.render(content)
    wanted = kind if isinstance(content, bytes) else contents.root_of(content).kind
    assert wanted is not None
    row = KINDS[wanted]
    return AttachmentRef(str(wanted), row.file_name, row.content_type, sha256(xml).hexdigest(), len(xml))


def file_ref(name: str) -> AttachmentRef:
    """Return how a manifest lists any other file."""
    return AttachmentRef(name, name, "application/pdf", "0" * 64, 1)


def document(originator: str = GIVER, **fields: Any) -> edxml.Document:
    """Return a document that may carry every sample of its originator."""
    good: dict[str, Any] = {
        "originator": Organization(originator, f"{originator} (ví dụ)"),
        "addressees": (Organization(DOER), Organization(OTHER)),
        "document_id": INVITATION.code,
        "code_number": "7",
        "code_notation": "GM-SKHCN",
        "place": "Thanh Hóa",
        "promulgated_on": TODAY,
        "type_name": "Giấy mời",
        "subject": "V/v họp (ví dụ)",
        "signer_name": "Nguyễn Văn A",
        "attachments": (file_ref("bao-cao.pdf"), file_ref("don-de-nghi.pdf")),
    }
    return edxml.Document(**good | fields)


def carrier(originator: str = GIVER, **fields: Any) -> Carrier:
    """Return what rules may know of that document."""
    return Carrier(document(originator, **fields), reached=frozenset({DOER, OTHER}))
