"""Business rules: what a schema cannot know.

One function per rule group, each yielding violations; RULES lists them. A rule
reads the message that was signed and nothing else, so it names a path and no
line; `lint` finds the line.

Spec: Decree 30/2020/NĐ-CP Art. 7, 8, 18 and App. VI; Decision 28/2018/QĐ-TTg
(secret documents excluded); QCVN 102:2016.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import TypeVar

from axis.edxml import codes, limits
from axis.edxml.model import AttachmentRef, BusinessType, Document, Message, Organization, Priority, Status
from axis.edxml.values import ORGAN_ID, format_date, format_moment, local_date
from axis.errors import Violation, violation

_HEADER = "/edXML:edXML/edXML:edXMLEnvelope/edXML:edXMLHeader/edXML:MessageHeader"
_BUSINESS = "/edXML:edXML/edXML:edXMLEnvelope/edXML:edXMLHeader/edXML:TraceHeaderList/edXML:Bussiness"
_MANIFEST = "/edXML:edXML/edXML:edXMLEnvelope/edXML:edXMLBody/edXML:edXMLManifest"

_NUMBER = re.compile(r"[0-9]{1,7}[0-9A-Za-zĐđ.-]{0,4}")
_NOTATION = re.compile(r"[\w&.,()+-]+(?:[/ ][\w&.,()+-]+)*")
# Characters that change how a name looks or where a file lands; a name is a label, and must be an honest one.
_UNSAFE_NAME = re.compile(r"[/\\:*?\"<>|]")
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode categories: controls, directions, line ends.
_DEVICE_NAME = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9]) *(?:\..*)?", re.IGNORECASE)
_EXECUTABLE = frozenset(
    [
        "bat",
        "cmd",
        "com",
        "cpl",
        "dll",
        "exe",
        "hta",
        "jar",
        "js",
        "jse",
        "lnk",
        "msc",
        "msi",
        "msp",
        "pif",
        "ps1",
        "psm1",
        "reg",
        "scf",
        "scr",
        "sh",
        "vbe",
        "vbs",
        "wsf",
        "wsh",
    ]
)
_REMOVED = 1  # Receiver/ReceiverType, by our reading: 0 gets the update, 1 is to have the document no longer.
T = TypeVar("T")
_RELEASE_MOST = timedelta(days=30)  # Keys, offices and rules of then are not those of now.
_FIRST_DAY = date(1945, 9, 2)  # No document of this state is older.


def check(message: Message, *, today: date) -> tuple[Violation, ...]:
    """Return every business rule that a message breaks.

    Args:
        message: As read from its signed bytes.
        today: The day in Viet Nam.
    """
    if isinstance(message, Status):
        return tuple(_status(message))
    return tuple(found for rule in _DOCUMENT_RULES for found in rule(message, today))


def _organ(organ: Organization, path: str) -> Iterator[Violation]:
    if ORGAN_ID.fullmatch(organ.organ_id) is None:
        yield violation("RULE.ORGAN_ID", organ.organ_id, path=f"{path}/edXML:OrganId", rule="rule:organ.form")


def _organs(document: Document, _today: date) -> Iterator[Violation]:
    yield from _organ(document.originator, f"{_HEADER}/edXML:From")
    for path, to in _numbered(document.addressees, f"{_HEADER}/edXML:To"):
        yield from _organ(to, path)


def _addressees(document: Document, _today: date) -> Iterator[Violation]:
    seen: Counter[str] = Counter()
    for path, to in _numbered(document.addressees, f"{_HEADER}/edXML:To"):
        seen[to.organ_id] += 1
        if seen[to.organ_id] == 2:
            yield violation(
                "RULE.DUPLICATE_ADDRESSEE", to.organ_id, path=f"{path}/edXML:OrganId", rule="rule:addressee.once"
            )
        if to.organ_id == document.originator.organ_id:
            yield violation(
                "RULE.SELF_ADDRESSED", to.organ_id, path=f"{path}/edXML:OrganId", rule="rule:addressee.other"
            )


def _dates(document: Document, today: date) -> Iterator[Violation]:
    promulgated = f"{_HEADER}/edXML:PromulgationInfo/edXML:PromulgationDate"
    if document.promulgated_on > today:
        yield violation(
            "RULE.DATE",
            f"promulgated on {format_date(document.promulgated_on)}, in the future",
            detail_vi=f"ngày ban hành {format_date(document.promulgated_on)} ở tương lai",
            path=promulgated,
            rule="rule:date.not-future",
        )
    if document.promulgated_on < _FIRST_DAY:
        yield violation(
            "RULE.DATE", format_date(document.promulgated_on), path=promulgated, rule="rule:date.not-ancient"
        )
    if document.due_on is not None and document.due_on < document.promulgated_on:
        yield violation(
            "RULE.DATE",
            f"due on {format_date(document.due_on)}, before its promulgation",
            detail_vi=f"hạn {format_date(document.due_on)} trước ngày ban hành",
            path=f"{_HEADER}/edXML:DueDate",
            rule="rule:date.due-after-promulgation",
        )


def _release(document: Document, today: date) -> Iterator[Violation]:
    """The hour of a timed document. One without an hour leaves at once, as its priority says: edXML has no field for it."""
    if document.release_at is None:
        return
    path, hour = f"{_HEADER}/edXML:OtherInfo/@axp:release", format_moment(document.release_at)
    day = local_date(document.release_at)
    if document.priority is not Priority.TIMED:
        yield violation(
            "RULE.RELEASE", f"an hour needs priority 4, not {int(document.priority)}",
            detail_vi=f"chỉ văn bản hỏa tốc hẹn giờ (4) mới có giờ, không phải {int(document.priority)}",
            path=path, rule="rule:release.priority",
        )  # fmt: skip
    if day < document.promulgated_on:
        yield violation(
            "RULE.RELEASE", f"{hour} is before its promulgation", detail_vi=f"{hour} trước ngày ban hành",
            path=path, rule="rule:release.after-promulgation",
        )  # fmt: skip
    if day > today + _RELEASE_MOST:
        yield violation(
            "RULE.RELEASE", f"{hour} is more than {_RELEASE_MOST.days} days ahead",
            detail_vi=f"{hour} còn xa hơn {_RELEASE_MOST.days} ngày", path=path, rule="rule:release.soon",
        )  # fmt: skip


def _code(document: Document, _today: date) -> Iterator[Violation]:
    if _NUMBER.fullmatch(document.code_number) is None:
        yield violation(
            "RULE.CODE", document.code_number, path=f"{_HEADER}/edXML:Code/edXML:CodeNumber", rule="rule:code.number"
        )
    if _NOTATION.fullmatch(document.code_notation) is None:
        yield violation(
            "RULE.CODE",
            document.code_notation,
            path=f"{_HEADER}/edXML:Code/edXML:CodeNotation",
            rule="rule:code.notation",
        )


def _document_type(document: Document, _today: date) -> Iterator[Violation]:
    path = f"{_HEADER}/edXML:DocumentType/edXML:TypeName"
    if not codes.is_known_kind(document.type_name):
        yield violation("RULE.DOCUMENT_TYPE", document.type_name, path=path, rule="rule:type.decree-30")


def _secrecy(document: Document, _today: date) -> Iterator[Violation]:
    """Secret documents are outside Decision 28/2018 and QCVN 102.

    They are marked in their kind or their sphere; a subject may speak of secrecy without being secret.
    """
    for text, path in (
        (document.type_name, f"{_HEADER}/edXML:DocumentType/edXML:TypeName"),
        (document.sphere, f"{_HEADER}/edXML:OtherInfo/edXML:SphereOfPromulgation"),
    ):
        if codes.is_marked_secret(text):
            yield violation("RULE.SECRET", text, path=path, rule="rule:secret.mark")


def _business(document: Document, _today: date) -> Iterator[Violation]:
    order = document.business
    match order.type:
        case BusinessType.RECALL if not order.reason:
            yield violation(
                "RULE.BUSINESS", "a recall needs its reason", detail_vi="thu hồi phải có lý do",
                path=f"{_BUSINESS}/edXML:BussinessDocReason", rule="rule:business.recall-reason",
            )  # fmt: skip
        case BusinessType.UPDATE if not order.document_id or order.update is None:
            yield violation(
                "RULE.BUSINESS", "an update names the document and what changes",
                detail_vi="cập nhật phải nêu văn bản và nội dung thay đổi",
                path=_BUSINESS, rule="rule:business.update-parts",
            )  # fmt: skip
        case BusinessType.UPDATE if order.update and any(kind == _REMOVED for _, kind in order.update.receivers):
            yield violation(
                "RULE.BUSINESS", "an office that is to have the document no longer gets a recall",
                detail_vi="nơi nhận không còn được giữ văn bản thì phải gửi lệnh thu hồi",
                path=f"{_BUSINESS}/edXML:BussinessDocumentInfo/edXML:ReceiverList", rule="rule:business.remove-by-recall",
            )  # fmt: skip
        case BusinessType.REPLACE if not order.replacements:
            yield violation(
                "RULE.BUSINESS", "a replacement names what it replaces", detail_vi="thay thế phải nêu văn bản bị thay thế",
                path=_BUSINESS, rule="rule:business.replace-parts",
            )  # fmt: skip
        case _:
            pass


def _manifest(document: Document, _today: date) -> Iterator[Violation]:
    if len(document.attachments) > limits.MAX_ATTACHMENTS:
        yield violation(
            "ATT.COUNT",
            f"{len(document.attachments)} > {limits.MAX_ATTACHMENTS}",
            path=_MANIFEST,
            rule="rule:manifest.count",
        )
    if sum(ref.size_bytes for ref in document.attachments) > limits.MAX_TOTAL_BYTES:
        yield violation(
            "ATT.SIZE", f"total > {limits.MAX_TOTAL_BYTES} bytes", path=_MANIFEST, rule="rule:manifest.total"
        )
    names: Counter[str] = Counter()
    ids: Counter[str] = Counter()
    for path, ref in _numbered(document.attachments, f"{_MANIFEST}/edXML:Reference"):
        names[unicodedata.normalize("NFC", ref.name).casefold()] += 1
        ids[ref.content_id] += 1
        if ids[ref.content_id] == 2:
            yield violation(
                "RULE.MANIFEST", ref.content_id, path=f"{path}/edXML:ContentId", rule="rule:manifest.content-id-once"
            )
        if names[unicodedata.normalize("NFC", ref.name).casefold()] == 2:
            yield violation("ATT.NAME", ref.name, path=f"{path}/edXML:AttachmentName", rule="rule:manifest.name-once")
        if ref.size_bytes > limits.MAX_ATTACHMENT_BYTES:
            yield violation("ATT.SIZE", f"{ref.name}: {ref.size_bytes} bytes", path=path, rule="rule:manifest.size")
        problem = name_problem(ref.name)
        if problem:
            yield violation(
                "ATT.NAME",
                f"{printable(ref.name)} ({problem})",
                path=f"{path}/edXML:AttachmentName",
                rule="rule:manifest.name",
            )


def path_to_entry(attachments: Sequence[AttachmentRef], ref: AttachmentRef) -> str:
    """Return the path of the entry of a file in the manifest that lists `attachments`."""
    path = f"{_MANIFEST}/edXML:Reference"
    number = next(number for number, one in enumerate(attachments, 1) if one is ref)
    return f"{path}[{number}]" if len(attachments) > 1 else path


def path_to_id(message: Message) -> str:
    """Return the path of the document id under which a message is known."""
    return (
        f"{_HEADER}/edXML:DocumentId"
        if isinstance(message, Document)
        else f"{_HEADER}/edXML:ResponseFor/edXML:DocumentId"
    )


def name_problem(name: str) -> str:
    """Return why a file name cannot be accepted, or ""."""
    if not name.strip(". ") or len(name) > limits.MAX_NAME_CHARS:
        return "length"
    if _UNSAFE_NAME.search(name) or any(map(_is_invisible, name)):
        return "character"
    if _DEVICE_NAME.fullmatch(name):
        return "device"
    # Windows drops dots and spaces at the end, so "a.exe." is a program too.
    _, dot, suffix = name.rstrip(". ").rpartition(".")
    if dot and suffix.casefold() in _EXECUTABLE:
        return "executable"
    return ""


def printable(text: str) -> str:
    """Return text with control and direction characters shown as code points."""
    return "".join(f"[U+{ord(one):04X}]" if _is_invisible(one) else one for one in text)[:120]


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE


def _status(status: Status) -> Iterator[Violation]:
    yield from _organ(status.originator, f"{_HEADER}/edXML:From")
    known = codes.STATUSES.get(status.status_code)
    if known is None:
        yield violation("RULE.STATUS", status.status_code, path=f"{_HEADER}/edXML:StatusCode", rule="rule:status.known")
    elif known.needs_reason and not status.description:
        yield violation(
            "RULE.STATUS",
            f"{status.status_code} needs a reason",
            detail_vi=f"{status.status_code} ({known.name}) phải có lý do",
            path=f"{_HEADER}/edXML:Description",
            rule="rule:status.reason",
        )
    if not status.response_for.document_id:
        yield violation(
            "RULE.STATUS",
            "DocumentId",
            path=path_to_id(status),
            rule="rule:status.document",
        )


def _numbered(items: tuple[T, ...], path: str) -> Iterator[tuple[str, T]]:
    """Pair each item with its XPath; a position only where there are several."""
    for number, item in enumerate(items, 1):
        yield (f"{path}[{number}]" if len(items) > 1 else path), item


_DOCUMENT_RULES: tuple[Callable[[Document, date], Iterator[Violation]], ...] = (
    _organs,
    _addressees,
    _dates,
    _release,
    _code,
    _document_type,
    _secrecy,
    _business,
    _manifest,
)
