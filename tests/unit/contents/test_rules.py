"""Every rule of contents lets through what is right and refuses what is not, at its place."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from axis import contents, edxml
from axis.contents import (
    Assignee,
    Carrier,
    Content,
    DocumentRef,
    DossierFile,
    DossierStatus,
    Guest,
    Kind,
    Part,
    TaskStatus,
    check,
    check_manifest,
)
from axis.edxml import Business, BusinessType
from axis.edxml.model import Update
from tests.contents import (
    DOER,
    DOSSIER,
    GIVER,
    INVITATION,
    OTHER,
    PROGRESS,
    RETURNED,
    SAMPLES,
    TASK,
    TASK_COMPLETION,
    TASK_PROGRESS,
    TODAY,
    at,
    carrier,
    document,
    file_ref,
    ref_of,
)

_LATER = at(26)
_UPDATE = Business(type=BusinessType.UPDATE, document_id=INVITATION.code, update=Update(True, False))


def _from(content: Content) -> str:
    return DOER if content in (TASK_PROGRESS, TASK_COMPLETION) else GIVER


@pytest.mark.parametrize("content", SAMPLES.values(), ids=SAMPLES)
def test_good_contents_break_no_rule(content: Content) -> None:
    assert check(content, today=TODAY, carrier=carrier(_from(content))) == ()
    assert check(content, today=TODAY) == ()


# What is wrong, the one rule that it breaks, and where.
_BROKEN: dict[str, tuple[Content, str, str]] = {
    "organ of a dossier": (
        replace(DOSSIER, code="h56-20260810-1"),
        "rule:dossier.code-organ",
        "/dos:DongBoHoSoMC/dos:MaHoSo",
    ),
    "day of a dossier": (
        replace(DOSSIER, code="H56.05-20260230-1"),
        "rule:dossier.code-day",
        "/dos:DongBoHoSoMC/dos:MaHoSo",
    ),
    "day of a dossier to come": (
        replace(PROGRESS, code="H56.05-20260826-1"),
        "rule:dossier.code-day",
        "/dos:CapNhatTienDoHoSoMC/dos:MaHoSo",
    ),
    "short day of a dossier": (
        replace(DOSSIER, code="H56.05-261301-1"),
        "rule:dossier.code-day",
        "/dos:DongBoHoSoMC/dos:MaHoSo",
    ),
    "due before received": (
        replace(DOSSIER, due_at=at(9)),
        "rule:content.order",
        "/dos:DongBoHoSoMC/dos:NgayHenTra",
    ),
    "returned before finished": (
        replace(RETURNED, returned_at=at(19)),
        "rule:content.order",
        "/dos:DongBoHoSoMC/dos:NgayTra",
    ),
    "finished in the future": (
        replace(RETURNED, finished_at=_LATER, returned_at=None, status=DossierStatus.DONE),
        "rule:content.not-future",
        "/dos:DongBoHoSoMC/dos:NgayKetThucXuLy",
    ),
    "supplement brought before it was asked": (
        replace(DOSSIER, supplements=(replace(DOSSIER.supplements[0], taken_at=at(11)),)),
        "rule:content.order",
        "/dos:DongBoHoSoMC/dos:DanhSachHoSoBoSung/dos:NgayTiepNhanBoSung",
    ),
    "file of a dossier that is not there": (
        replace(DOSSIER, files=(*DOSSIER.files, DossierFile("khong-co.pdf"))),
        "rule:content.file",
        "/dos:DongBoHoSoMC/dos:TaiLieuNop[3]/dos:TenTepDinhKem",
    ),
    "progress in the future": (
        replace(PROGRESS, at=_LATER),
        "rule:content.not-future",
        "/dos:CapNhatTienDoHoSoMC/dos:ThoiDiemXuLy",
    ),
    "progress before it began": (
        replace(PROGRESS, at=at(9)),
        "rule:content.order",
        "/dos:CapNhatTienDoHoSoMC/dos:ThoiDiemXuLy",
    ),
    "giver of a task": (
        replace(TASK_PROGRESS, given_by="h56", status=TaskStatus.IN_PROGRESS),
        "rule:organ.form",
        "/tsk:CapNhatNhiemVu/tsk:CoQuanGiao",
    ),
    "assignee twice": (
        replace(TASK, assignees=(Assignee(DOER), Assignee(DOER, Part.HELP))),
        "rule:task.assignee-once",
        "/tsk:GiaoNhiemVu/tsk:CoQuanThucHien[2]/tsk:OrganId",
    ),
    "assignee that gives it": (
        replace(TASK_COMPLETION, given_by=DOER),
        "rule:task.assignee-once",
        "/tsk:HoanThanhNhiemVu/tsk:CoQuanThucHien",
    ),
    "assignee that is not reached": (
        replace(TASK, assignees=(Assignee(DOER), Assignee("H56.VP"))),
        "rule:task.reached",
        "/tsk:GiaoNhiemVu/tsk:CoQuanThucHien[2]/tsk:OrganId",
    ),
    "nobody leads": (
        replace(TASK, assignees=(Assignee(DOER, Part.HELP),)),
        "rule:task.lead",
        "/tsk:GiaoNhiemVu/tsk:CoQuanThucHien",
    ),
    "document of a task": (
        replace(TASK, document=DocumentRef("H56.VP", code="99/VP-TH")),
        "rule:task.document",
        "/tsk:GiaoNhiemVu/tsk:VanBan",
    ),
    "organ of the document of a task": (
        replace(TASK, document=DocumentRef("h56", document_id="1")),
        "rule:organ.form",
        "/tsk:GiaoNhiemVu/tsk:VanBan/tsk:OrganId",
    ),
    "result of a task": (
        replace(TASK_COMPLETION, document=DocumentRef(DOER)),
        "rule:task.document",
        "/tsk:HoanThanhNhiemVu/tsk:VanBanKetQua",
    ),
    "task due before it was given": (
        replace(TASK, due_on=TODAY - timedelta(days=1)),
        "rule:task.due-after-promulgation",
        "/tsk:GiaoNhiemVu/tsk:HanXuLy",
    ),
    "news of a task from the future": (
        replace(TASK_PROGRESS, at=_LATER),
        "rule:content.not-future",
        "/tsk:CapNhatNhiemVu/tsk:ThoiDiem",
    ),
    "completed in the future": (
        replace(TASK_COMPLETION, completed_at=_LATER),
        "rule:content.not-future",
        "/tsk:HoanThanhNhiemVu/tsk:NgayHoanThanh",
    ),
    "no place": (replace(INVITATION, place="", link=""), "rule:invitation.place", "/inv:GiayMoi"),
    "end before beginning": (
        replace(INVITATION, ends_at=INVITATION.starts_at),
        "rule:content.order",
        "/inv:GiayMoi/inv:ThoiGianKetThuc",
    ),
    "chair without a name": (
        replace(INVITATION, chair=Guest(position="Giám đốc")),
        "rule:invitation.guest",
        "/inv:GiayMoi/inv:ChuTri",
    ),
    "guest without a name": (
        replace(INVITATION, guests=(*INVITATION.guests, Guest())),
        "rule:invitation.guest",
        "/inv:GiayMoi/inv:NguoiDuocMoi[4]",
    ),
    "organ of a guest": (
        replace(INVITATION, guests=(Guest(organ_id="h56"),)),
        "rule:organ.form",
        "/inv:GiayMoi/inv:NguoiDuocMoi/inv:OrganId",
    ),
    "document of a meeting that is not there": (
        replace(INVITATION, documents=("khong-co.pdf",)),
        "rule:content.file",
        "/inv:GiayMoi/inv:TaiLieu",
    ),
    "meeting before its invitation": (
        replace(INVITATION, starts_at=at(24), ends_at=None),
        "rule:invitation.after-promulgation",
        "/inv:GiayMoi/inv:ThoiGianBatDau",
    ),
    "code of a new invitation": (
        replace(INVITATION, code="khác"),
        "rule:invitation.code",
        "/inv:GiayMoi/inv:MaGiayMoi",
    ),
    "number of a new invitation": (
        replace(INVITATION, revision=1),
        "rule:invitation.revision",
        "/inv:GiayMoi/inv:LanSua",
    ),
}


@pytest.mark.parametrize(("content", "rule", "path"), _BROKEN.values(), ids=_BROKEN)
def test_each_rule_is_said_once_at_its_place(content: Content, rule: str, path: str) -> None:
    originator = DOER if isinstance(content, type(TASK_PROGRESS) | type(TASK_COMPLETION)) else GIVER
    found = check(content, today=TODAY, carrier=carrier(originator))
    assert [(one.rule, one.path) for one in found if one.rule != "rule:task.said-by"] == [(rule, path)]


_FULL = replace(RETURNED, note="Lý do (ví dụ)")  # Nothing that any status needs is missing.
_NEEDED = [(status, group) for status, state in contents.dossier.STATES.items() for group in state.needs]


@pytest.mark.parametrize(("status", "group"), _NEEDED)
def test_a_status_needs_its_fields(status: DossierStatus, group: tuple[str, ...]) -> None:
    full = replace(_FULL, status=status)
    empty: dict[str, Any] = {name: type(getattr(full, name))() if "_at" not in name else None for name in group}
    assert check(full, today=TODAY) == ()
    assert [one.rule for one in check(replace(full, **empty), today=TODAY)] == ["rule:dossier.needs"]
    for name in group:  # One of a group is enough.
        if len(group) > 1:
            assert check(replace(full, **{name: empty[name]}), today=TODAY) == ()


@pytest.mark.parametrize("status", DossierStatus)
def test_a_step_says_why_where_the_table_asks_for_it(status: DossierStatus) -> None:
    silent = check(replace(PROGRESS, status=status, note=""), today=TODAY)
    asked = contents.dossier.STATES[status].needs_note
    assert [one.rule for one in silent] == (["rule:dossier.needs"] if asked else [])
    assert check(replace(PROGRESS, status=status), today=TODAY) == ()


@pytest.mark.parametrize("status", DossierStatus)
@pytest.mark.parametrize(("originator", "role"), [(GIVER, "receiver"), ("H56.05.02", "receiver"), (DOER, "handler")])
def test_who_says_a_status_of_a_dossier(status: DossierStatus, originator: str, role: str) -> None:
    found = check(replace(PROGRESS, status=status), today=TODAY, carrier=carrier(originator))
    allowed = role in contents.dossier.STATES[status].said_by
    assert [one.rule for one in found] == ([] if allowed else ["rule:dossier.said-by"])
    assert [one.code for one in found] == ([] if allowed else ["CON.PARTY"])


def test_an_organ_is_the_same_in_either_form_of_its_identifier() -> None:
    accepted = replace(PROGRESS, status=DossierStatus.ACCEPTED, code="000.00.05.H56-20260810-1")
    assert check(accepted, today=TODAY, carrier=carrier(GIVER)) == ()
    known = Carrier(document(DOER), canonical=lambda one: GIVER if one == DOER else one)
    assert check(accepted, today=TODAY, carrier=known) == ()


@pytest.mark.parametrize("status", [one for one in TaskStatus if one not in (TaskStatus.GIVEN, TaskStatus.COMPLETED)])
@pytest.mark.parametrize(("originator", "speaker"), [(GIVER, "giver"), (DOER, "assignee"), (OTHER, "nobody")])
def test_who_says_a_status_of_a_task(status: TaskStatus, originator: str, speaker: str) -> None:
    found = check(replace(TASK_PROGRESS, status=status), today=TODAY, carrier=carrier(originator))
    allowed = speaker in contents.task.STATES[status].said_by
    assert [one.rule for one in found] == ([] if allowed else ["rule:task.said-by"])
    silent = check(replace(TASK_PROGRESS, status=status, note=""), today=TODAY)
    assert [one.rule for one in silent] == (["rule:task.needs"] if contents.task.STATES[status].needs_note else [])


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (TASK, "rule:task.said-by"),
        (TASK_COMPLETION, "rule:task.said-by"),
        (INVITATION, "rule:invitation.said-by"),
    ],
    ids=["task", "completion", "invitation"],
)
def test_only_its_own_office_says_it(content: Any, rule: str) -> None:
    assert rule in [one.rule for one in check(content, today=TODAY, carrier=carrier("H56.VP"))]


def test_a_change_of_an_invitation_counts_on() -> None:
    changed = carrier(business=_UPDATE, document_id="H56.05,2026/08/26,8/GM-SKHCN")
    assert check(replace(INVITATION, revision=1), today=TODAY, carrier=changed) == ()
    assert [one.rule for one in check(INVITATION, today=TODAY, carrier=changed)] == ["rule:invitation.revision"]


def test_a_recall_may_carry_the_invitation_that_it_takes_back() -> None:
    recall = carrier(business=Business(type=BusinessType.RECALL, reason="Hoãn họp"), document_id="khác")
    assert check(INVITATION, today=TODAY, carrier=recall) == ()


def test_a_content_is_no_file_of_another() -> None:
    named = replace(INVITATION, documents=("ho-so.xml",))
    both = (ref_of(DOSSIER), ref_of(INVITATION))
    assert [one.rule for one in check(named, today=TODAY, carrier=carrier(attachments=both))] == ["rule:content.file"]


# --- the manifest -------------------------------------------------------------------------------


def test_a_manifest_may_list_one_content_of_each_kind() -> None:
    assert check_manifest((file_ref("1.pdf"), ref_of(DOSSIER), ref_of(TASK), ref_of(INVITATION))) == ()
    assert check_manifest((file_ref("1.pdf"),)) == ()


def _refs(**fields: Any) -> tuple[edxml.AttachmentRef, ...]:
    return (file_ref("1.pdf"), replace(ref_of(DOSSIER), **fields))


@pytest.mark.parametrize(
    ("refs", "code", "rule"),
    [
        (_refs(content_type="application/vnd.axis.dossier+xml;version=2"), "CON.KIND", "rule:content.kind"),
        (_refs(content_type="application/vnd.axis.dossier+xml"), "CON.KIND", "rule:content.kind"),
        (_refs(content_type="Application/VND.axis.khac+xml;version=1"), "CON.KIND", "rule:content.kind"),
        (_refs(name="ho-so-1.xml"), "ATT.NAME", "rule:content.name"),
        (_refs(size_bytes=contents.MAX_CONTENT_BYTES + 1), "ATT.SIZE", "rule:content.size"),
        ((ref_of(DOSSIER), ref_of(RETURNED)), "CON.ONCE", "rule:content.once"),
    ],
)
def test_a_manifest_lists_contents_as_they_must_be(refs: tuple[edxml.AttachmentRef, ...], code: str, rule: str) -> None:
    (found,) = check_manifest(refs)
    assert (found.code, found.rule) == (code, rule)
    assert "/edXML:Reference[2]" in found.path


def test_a_media_type_may_be_written_in_any_case_with_blanks() -> None:
    written = replace(ref_of(DOSSIER), content_type="application/VND.Axis.dossier+XML; version=1")
    assert contents.row_of(written) is contents.KINDS[Kind.DOSSIER]
    assert check_manifest((written,)) == ()


def test_the_short_day_of_an_older_dossier_is_a_day_of_this_century() -> None:
    assert check(replace(DOSSIER, code="H56.05-260810-0123"), today=date(2026, 8, 25)) == ()
