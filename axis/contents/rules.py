"""Business rules of contents: what their schemas cannot know.

One function per kind of content, each yielding violations. Some rules hold a
content against the document that carries it; where only the file is there, a
person's desk or a system's own check, they are left out.

Spec: docs/protocol/contents.md 3, 4, 5; docs/reference/contents.md.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Any

from axis.contents import dossier as dossiers
from axis.contents import task as tasks
from axis.contents.dossier import Dossier, DossierProgress
from axis.contents.invitation import Guest, Invitation
from axis.contents.kinds import KINDS, MAX_CONTENT_BYTES, claims, listed, row_of
from axis.contents.shapes import Content, path_to
from axis.contents.task import DocumentRef, Part, Speaker, Task, TaskCompletion, TaskProgress, TaskStatus
from axis.edxml import AttachmentRef, BusinessType, Document
from axis.edxml.values import ORGAN_ID, local_date
from axis.errors import Violation, violation

_MANIFEST = "/edXML:edXML/edXML:edXMLEnvelope/edXML:edXMLBody/edXML:edXMLManifest"


def _same(organ_id: str) -> str:
    return organ_id


@dataclass(frozen=True, slots=True)
class Carrier:
    """The document that carries a content, as far as rules ask about it."""

    document: Document
    reached: frozenset[str] | None = None  # Codes of the offices that get it; None: not known here.
    canonical: Callable[[str], str] = _same  # The one form of an identifier that may be written in several.

    def is_originator(self, organ_id: str) -> bool:
        """Tell whether an identifier means the office that sends the document."""
        return self.canonical(organ_id) == self.canonical(self.document.originator.organ_id)

    def has_file(self, name: str) -> bool:
        """Tell whether a file of that name travels with the document."""
        return any(ref.name == name and not claims(ref) for ref in self.document.attachments)


def check(content: Content, *, today: date, carrier: Carrier | None = None) -> tuple[Violation, ...]:
    """Return every business rule that a content breaks.

    Args:
        content: As read.
        today: The day in Viet Nam.
        carrier: The document that it travels with; None leaves out what only that can tell.
    """
    rules: Callable[[Any, date, Carrier | None], Iterator[Violation]] = _RULES[type(content)]
    return tuple(rules(content, today, carrier))


def check_manifest(refs: Sequence[AttachmentRef]) -> tuple[Violation, ...]:
    """Return what is wrong with how a document lists its contents; nothing, if it lists none."""
    return tuple(_manifest(refs)) if listed(refs) else ()


def _manifest(refs: Sequence[AttachmentRef]) -> Iterator[Violation]:
    seen: Counter[str] = Counter()
    for number, ref in enumerate(refs, 1):
        if not claims(ref):
            continue
        path = f"{_MANIFEST}/edXML:Reference" + (f"[{number}]" if len(refs) > 1 else "")
        row = row_of(ref)
        if row is None:
            known = ", ".join(one.content_type for one in KINDS.values())
            yield violation(
                "CON.KIND",
                f"{ref.content_type}; known: {known}",
                detail_vi=f"{ref.content_type}; trục biết: {known}",
                path=f"{path}/edXML:ContentType",
                rule="rule:content.kind",
            )
            continue
        seen[row.kind] += 1
        if seen[row.kind] == 2:
            yield violation("CON.ONCE", row.kind, path=path, rule="rule:content.once")
        if ref.name != row.file_name:
            yield violation(
                "ATT.NAME",
                f"{ref.name} ≠ {row.file_name}",
                path=f"{path}/edXML:AttachmentName",
                rule="rule:content.name",
            )
        if ref.size_bytes > MAX_CONTENT_BYTES:
            yield violation(
                "ATT.SIZE",
                f"{ref.name}: {ref.size_bytes} > {MAX_CONTENT_BYTES} bytes",
                path=path,
                rule="rule:content.size",
            )


# --- dossiers -----------------------------------------------------------------------------------


def _dossier(said: Dossier, today: date, carrier: Carrier | None) -> Iterator[Violation]:
    yield from _dossier_code(said, today)
    state = dossiers.STATES[said.status]
    for group in state.needs:
        if not any(getattr(said, name) for name in group):
            wanted = " / ".join(_element(said, name) for name in group)
            yield _missing(
                f"status {said.status} needs {wanted}",
                f"trạng thái {said.status} ({state.name}) phải có {wanted}",
                path_to(said, "status"),
                "rule:dossier.needs",
            )
    yield from _in_order(said, ("received_at", "due_at"), ("received_at", "finished_at", "returned_at"))
    for name in ("received_at", "finished_at", "returned_at"):
        yield from _not_in_future(said, name, getattr(said, name), today)
    for number, one in enumerate(said.supplements, 1):
        if one.taken_at is not None and one.taken_at < one.asked_at:
            place = _nth("supplements", number, said.supplements)
            yield _wrong_order(said, (place, "asked_at"), (place, "taken_at"))
    yield from _dossier_speaker(said, carrier)
    for number, file in enumerate(said.files, 1):
        if not file.link and not file.deleted:
            yield from _file(said, file.name, carrier, _nth("files", number, said.files), "name")


def _dossier_progress(said: DossierProgress, today: date, carrier: Carrier | None) -> Iterator[Violation]:
    yield from _dossier_code(said, today)
    yield from _needed_note(said, dossiers.STATES[said.status], "rule:dossier.needs")
    yield from _in_order(said, ("began_at", "due_at"), ("began_at", "at"))
    yield from _not_in_future(said, "at", said.at, today)
    yield from _dossier_speaker(said, carrier)


def _dossier_code(said: Dossier | DossierProgress, today: date) -> Iterator[Violation]:
    """MaHoSo: organ, day, number."""
    if ORGAN_ID.fullmatch(said.code.rsplit("-", 2)[0]) is None:
        yield violation("CON.CODE", said.code, path=path_to(said, "code"), rule="rule:dossier.code-organ")
    day = dossiers.day_of(said.code)
    if day is None or day > today:
        yield violation("CON.CODE", said.code, path=path_to(said, "code"), rule="rule:dossier.code-day")


def _dossier_speaker(said: Dossier | DossierProgress, carrier: Carrier | None) -> Iterator[Violation]:
    if carrier is None:
        return
    state = dossiers.STATES[said.status]
    originator = carrier.document.originator.organ_id
    receiver = carrier.canonical(said.code.rsplit("-", 2)[0])
    if dossiers.role_of(carrier.canonical(originator), receiver) not in state.said_by:
        yield violation(
            "CON.PARTY",
            f"{originator} may not say status {said.status} of {said.code}",
            detail_vi=f"{originator} không được báo trạng thái {said.status} ({state.name}) của {said.code}",
            path=path_to(said, "status"),
            rule="rule:dossier.said-by",
        )


# --- tasks --------------------------------------------------------------------------------------


def _task(said: Task, _today: date, carrier: Carrier | None) -> Iterator[Violation]:
    yield from _organ(said, said.given_by, "given_by")
    seen: Counter[str] = Counter()
    for number, one in enumerate(said.assignees, 1):
        path = (_nth("assignees", number, said.assignees), "organ_id")
        yield from _organ(said, one.organ_id, *path)
        seen[one.organ_id] += 1
        if seen[one.organ_id] == 2 or one.organ_id == said.given_by:
            yield _party(f"{one.organ_id}", path_to(said, *path), "rule:task.assignee-once")
        if (
            carrier is not None
            and carrier.reached is not None
            and carrier.canonical(one.organ_id) not in carrier.reached
        ):
            yield violation(
                "CON.PARTY",
                f"{one.organ_id} does not get this document",
                detail_vi=f"{one.organ_id} không nhận được văn bản này",
                path=path_to(said, *path),
                rule="rule:task.reached",
            )
    if not any(one.part is Part.LEAD for one in said.assignees):
        yield _missing("no office leads", "không có cơ quan chủ trì", path_to(said, "assignees"), "rule:task.lead")
    yield from _document(said, said.document)
    if carrier is None:
        return
    if said.due_on is not None and said.due_on < carrier.document.promulgated_on:
        yield violation(
            "CON.DATE", said.due_on.isoformat(), path=path_to(said, "due_on"), rule="rule:task.due-after-promulgation"
        )
    yield from _spoken_by(said, {Speaker.GIVER}, carrier)


def _task_progress(said: TaskProgress, today: date, carrier: Carrier | None) -> Iterator[Violation]:
    yield from _needed_note(said, tasks.STATES[said.status], "rule:task.needs")
    yield from _task_parties(said)
    yield from _not_in_future(said, "at", said.at, today)
    if carrier is not None:
        yield from _spoken_by(said, tasks.STATES[said.status].said_by, carrier)


def _task_completion(said: TaskCompletion, today: date, carrier: Carrier | None) -> Iterator[Violation]:
    yield from _task_parties(said)
    yield from _document(said, said.document)
    yield from _not_in_future(said, "completed_at", said.completed_at, today)
    if carrier is not None:
        yield from _spoken_by(said, tasks.STATES[TaskStatus.COMPLETED].said_by, carrier)


def _task_parties(said: TaskProgress | TaskCompletion) -> Iterator[Violation]:
    yield from _organ(said, said.given_by, "given_by")
    yield from _organ(said, said.assignee, "assignee")
    if said.given_by == said.assignee:
        yield _party(said.assignee, path_to(said, "assignee"), "rule:task.assignee-once")


def _spoken_by(
    said: Task | TaskProgress | TaskCompletion, speakers: set[Speaker] | frozenset[Speaker], carrier: Carrier
) -> Iterator[Violation]:
    names = {Speaker.GIVER: "given_by", Speaker.ASSIGNEE: "assignee"}
    allowed = [names[one] for one in Speaker if one in speakers]
    if not any(carrier.is_originator(getattr(said, name)) for name in allowed):
        yield _party(carrier.document.originator.organ_id, path_to(said, allowed[0]), "rule:task.said-by")


def _document(said: Task | TaskCompletion, ref: DocumentRef | None) -> Iterator[Violation]:
    if ref is None:
        return
    yield from _organ(said, ref.organ_id, "document", "organ_id")
    if not ref.document_id and not (ref.code and ref.promulgated_on):
        yield _missing(
            "DocumentId, or Code and PromulgationDate",
            "phải có DocumentId, hoặc Code và PromulgationDate",
            path_to(said, "document"),
            "rule:task.document",
        )


# --- invitations --------------------------------------------------------------------------------


def _invitation(said: Invitation, _today: date, carrier: Carrier | None) -> Iterator[Violation]:
    yield from _organ(said, said.inviter, "inviter")
    if not said.place and not said.link:
        wanted = f"{_element(said, 'place')} / {_element(said, 'link')}"
        yield _missing(wanted, f"phải có {wanted}", path_to(said), "rule:invitation.place")
    if said.ends_at is not None and said.ends_at <= said.starts_at:
        yield _wrong_order(said, ("starts_at",), ("ends_at",))
    yield from _guest(said, said.chair, "chair")
    for number, guest in enumerate(said.guests, 1):
        yield from _guest(said, guest, _nth("guests", number, said.guests))
    for number, name in enumerate(said.documents, 1):
        yield from _file(said, name, carrier, _nth("documents", number, said.documents))
    if carrier is not None:
        yield from _carried_invitation(said, carrier)


def _carried_invitation(said: Invitation, carrier: Carrier) -> Iterator[Violation]:
    document = carrier.document
    if not carrier.is_originator(said.inviter):
        yield _party(document.originator.organ_id, path_to(said, "inviter"), "rule:invitation.said-by")
    if local_date(said.starts_at) < document.promulgated_on:
        yield violation(
            "CON.DATE",
            f"{_element(said, 'starts_at')} {local_date(said.starts_at)}",
            path=path_to(said, "starts_at"),
            rule="rule:invitation.after-promulgation",
        )
    match document.business_type:
        case BusinessType.NEW if said.code != document.document_id:
            yield violation(
                "CON.CODE",
                f"{said.code} ≠ {document.document_id}",
                path=path_to(said, "code"),
                rule="rule:invitation.code",
            )
        case BusinessType.NEW if said.revision != 0:
            yield violation(
                "CON.CODE",
                f"LanSua {said.revision} ≠ 0",
                path=path_to(said, "revision"),
                rule="rule:invitation.revision",
            )
        case BusinessType.UPDATE | BusinessType.REPLACE if said.revision == 0:
            yield violation("CON.CODE", "LanSua 0", path=path_to(said, "revision"), rule="rule:invitation.revision")
        case _:
            pass


def _guest(said: Invitation, guest: Guest, place: str) -> Iterator[Violation]:
    if not guest.name and not guest.organ_id:
        yield _missing("HoTen / OrganId", "phải có HoTen hoặc OrganId", path_to(said, place), "rule:invitation.guest")
    if guest.organ_id:
        yield from _organ(said, guest.organ_id, place, "organ_id")


# --- what several kinds ask ---------------------------------------------------------------------


def _organ(said: Content, organ_id: str, *names: str) -> Iterator[Violation]:
    if ORGAN_ID.fullmatch(organ_id) is None:
        yield violation("CON.CODE", organ_id, path=path_to(said, *names), rule="rule:organ.form")


def _file(said: Content, name: str, carrier: Carrier | None, *names: str) -> Iterator[Violation]:
    if carrier is not None and not carrier.has_file(name):
        yield violation("CON.FILE", name, path=path_to(said, *names), rule="rule:content.file")


def _in_order(said: Content, *sequences: tuple[str, ...]) -> Iterator[Violation]:
    """Yield where a moment lies before one that comes first; moments that are not said are no matter."""
    for names in sequences:
        stated = [name for name in names if getattr(said, name) is not None]
        for earlier, later in pairwise(stated):
            if getattr(said, later) < getattr(said, earlier):
                yield _wrong_order(said, (earlier,), (later,))


def _wrong_order(said: Content, earlier: tuple[str, ...], later: tuple[str, ...]) -> Violation:
    first, second = (path_to(said, *names).rpartition(":")[2] for names in (earlier, later))
    return violation(
        "CON.DATE",
        f"{second} lies before {first}",
        detail_vi=f"{second} trước {first}",
        path=path_to(said, *later),
        rule="rule:content.order",
    )


def _not_in_future(said: Content, name: str, at: datetime | None, today: date) -> Iterator[Violation]:
    if at is not None and local_date(at) > today:
        element = _element(said, name)
        yield violation(
            "CON.DATE",
            f"{element} lies in the future",
            detail_vi=f"{element} ở tương lai",
            path=path_to(said, name),
            rule="rule:content.not-future",
        )


def _needed_note(
    said: DossierProgress | TaskProgress, state: dossiers.State | tasks.State, rule: str
) -> Iterator[Violation]:
    if state.needs_note and not said.note:
        wanted = _element(said, "note")
        yield _missing(
            f"status {said.status} needs {wanted}",
            f"trạng thái {said.status} ({state.name}) phải có {wanted}",
            path_to(said, "status"),
            rule,
        )


def _missing(en: str, vi: str, path: str, rule: str) -> Violation:
    return violation("CON.INCOMPLETE", en, detail_vi=vi, path=path, rule=rule)


def _party(organ_id: str, path: str, rule: str) -> Violation:
    return violation("CON.PARTY", organ_id, path=path, rule=rule)


def _nth(name: str, number: int, among: Sequence[object]) -> str:
    """Name one of several; a position only where there are several."""
    return f"{name}[{number}]" if len(among) > 1 else name


def _element(said: Content, name: str) -> str:
    return path_to(said, name).rpartition(":")[2]


_RULES: dict[type[Any], Callable[[Any, date, Carrier | None], Iterator[Violation]]] = {
    Dossier: _dossier,
    DossierProgress: _dossier_progress,
    Task: _task,
    TaskProgress: _task_progress,
    TaskCompletion: _task_completion,
    Invitation: _invitation,
}
