"""Incoming: a document becomes a folder in inbox/, and a clerk's file becomes a signed receipt.

The folder appears whole under its name: the document as it was sealed, its
files, a page to read, and of an invitation an .ics. `register.txt` holds the
incoming number, `refuse.txt` the reason; when the receipt is signed, `answer.txt`
says so.

An order is a folder there too, answered with `agree.txt` or `decline.txt`. Until
then a page lies in the folder of the document that it is about, and that one is
not answered; a document that is given up moves to withdrawn/.
"""

import asyncio
import csv
import io
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from adapters.folder.enclosed import cancelled, contents_of, event_of, told_of
from adapters.folder.options import FolderOptions
from adapters.folder.places import (
    ARRIVED,
    Places,
    Settling,
    folders_in,
    free_name,
    move,
    read_facts,
    safe_name,
    write_facts,
    write_whole,
)
from adapters.folder.turns import Turns
from adapters.folder.written import note_name, read_words
from adapters.letters import VIETNAM, now
from axis import (
    Agreed,
    Attachment,
    Content,
    Declined,
    Delivered,
    Document,
    Office,
    Order,
    OrderKind,
    PermanentError,
    Refused,
    Registered,
)

_ANSWERED = "answer.txt"
_FROZEN = "cho-quyet-dinh.txt"  # An order about the document waits for its answer.
_WITHDRAWN = "da-thu-hoi.txt"
_EVENT = "giay-moi.ics"
_CANCELLED = "huy-giay-moi.ics"  # Takes out of a calendar what the other has put into it.
_BUILDING = re.compile(r"\.[0-9a-f]{32}")  # Name of a folder in inbox/ until all of an envelope is in it.
_GONE = ".gone-"  # Begins the name of such a folder while it is removed.
_HOUR_S, _GIVEN_UP_S = 3600.0, 7 * 86400.0
_Page = Callable[[list[str], tuple[Content, ...]], str]  # From names of files, and what is to be told of contents.
_COLUMNS = ("number", "registered_at", "originator", "code", "promulgated_on", "subject", "envelope_id", "verified")
_NUMBER_CHARS, _REASON_CHARS = 50, 1000


@dataclass(slots=True)
class Incoming:
    """Puts documents into inbox/ and reads what clerks write there."""

    office: Office
    places: Places
    options: FolderOptions
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _settling: dict[Path, Settling] = field(default_factory=dict)
    _turns: Turns = field(default_factory=Turns)
    _tidied_at: float | None = None

    async def receive(self, doc: Document) -> Registered | Delivered:
        """Keep a document with its files; when this returns it is on the disk."""
        folder = self.places.find("inbox", doc.envelope_id)
        if folder is None:
            folder = await self._keep(doc)
        if self.options.register_by == "clerk":
            return Delivered()
        async with self._writing:
            number = await asyncio.to_thread(self._number, _facts(doc))
        answer = Registered(number)
        await asyncio.to_thread(_note_answer, folder, answer)
        return answer

    async def ask(self, order: Order) -> Delivered:
        """Keep an order for a clerk to decide, and say in the folders of its documents that they wait for that."""
        if self.places.find("inbox", order.envelope_id) is None:
            doc = order.document
            name = f"{_ORDERS[order.kind]} {order.target.code} {order.originator.organ_id}"
            facts = _order_facts(order) | (_facts(doc) if doc is not None else {})
            await self._build(order.envelope_id, order.sealed, facts, name, doc, _order_page(order))
        for folder in self._folders(target.envelope_id for target in order.targets):
            await asyncio.to_thread(write_whole, folder / _FROZEN, _frozen_page(order).encode())
        return Delivered()

    async def _keep(self, doc: Document) -> Path:
        name = f"{doc.promulgated_on:%Y-%m-%d} {doc.code} {doc.originator.organ_id}"
        return await self._build(doc.envelope_id, doc.sealed, _facts(doc), name, doc, _page(doc))

    async def _build(
        self,
        envelope_id: str,
        sealed: bytes,
        facts: dict[str, Any],
        title: str,
        doc: Document | None,
        page: _Page,
    ) -> Path:
        """Build a folder beside its place, and rename it there."""
        building = self.places.inbox / f".{envelope_id}"  # As _BUILDING.
        await asyncio.to_thread(building.mkdir, exist_ok=True)
        attachments: tuple[Attachment, ...] = () if doc is None else doc.attachments
        names: list[str] = []
        for attachment in attachments:
            name = _free(safe_name(attachment.name), names)
            names.append(name)
            if not (building / name).exists():  # An earlier attempt may have brought it.
                await attachment.save(building / name)
        contents = () if doc is None else await contents_of(doc)
        for event in event_of(contents):
            names.append(_free(_EVENT, names))
            await asyncio.to_thread(write_whole, building / names[-1], event)
        async with self._writing:
            files = [
                {"name": name, "as_sent": one.name, "sha256": one.sha256, "bytes": one.size_bytes}
                for name, one in zip(names, attachments, strict=False)  # An .ics is not of the document.
            ]
            whole = {**facts, "envelope_id": envelope_id, "files": files}
            return await asyncio.to_thread(self._finish, building, sealed, whole, title, page(names, contents))

    def _finish(self, building: Path, sealed: bytes, facts: dict[str, Any], title: str, page: str) -> Path:
        write_whole(building / "document.edxml", sealed)
        write_facts(building / ARRIVED, facts)
        write_whole(building / "van-ban.txt", page.encode())
        target = free_name(self.places.inbox, safe_name(title))
        # Before the move: a crash between builds it again, also if another has taken the name.
        self.places.remember("inbox", facts["envelope_id"], target)
        return move(building, target)

    async def tidy(self) -> None:
        """Remove, now and then, what was recalled or expired before all of it had come."""
        now_s = time.monotonic()
        if self._tidied_at is None or now_s - self._tidied_at >= _HOUR_S:
            self._tidied_at = now_s
            await asyncio.to_thread(self._tidy)

    def _tidy(self) -> None:
        for folder in self.places.inbox.glob(".*"):
            if _BUILDING.fullmatch(folder.name) and _changed_at(folder) < time.time() - _GIVEN_UP_S:
                # Whole and at once: if it begins to come again just now, that attempt fails, and the next begins anew.
                folder.rename(self.places.inbox / f"{_GONE}{folder.name[1:]}")
        for folder in self.places.inbox.glob(f"{_GONE}*"):
            shutil.rmtree(folder, ignore_errors=True)

    # --- the incoming register ---------------------------------------------------------

    def _number(self, facts: Mapping[str, Any]) -> str:
        """Return the document's number in the register, giving it the next one of the year if it has none."""
        path = self.places.root / "register.csv"
        rows = _rows(path)
        for row in rows:
            if row["envelope_id"] == facts["envelope_id"]:
                return row["number"]
        at = now().astimezone(VIETNAM)
        year = f"/{at.year}"
        taken = [int(row["number"].removesuffix(year)) for row in rows if row["number"].endswith(year)]
        number = f"{max(taken, default=0) + 1}{year}"
        row = {
            "number": number,
            "registered_at": at.isoformat(timespec="seconds"),
            "originator": facts["originator"],
            "code": _cell(facts["code"]),
            "promulgated_on": str(facts["promulgated_on"]),
            "subject": _cell(facts["subject"]),
            "envelope_id": facts["envelope_id"],
            "verified": "yes" if facts["verified"] else "no",
        }
        write_whole(path, _csv([*rows, row]))
        return number

    # --- a clerk's answer ----------------------------------------------------------------

    async def look_for_answers(self) -> None:
        """Report what clerks have written since the last look."""
        await self._turns.each(folders_in(self.places.inbox), self._look)

    async def _look(self, folder: Path) -> None:
        if (folder / _ANSWERED).exists():
            self._settling.pop(folder, None)
            return
        if (folder / _FROZEN).exists():
            return  # What a clerk has written there counts when the order is answered, if it is declined.
        written = await asyncio.to_thread(self._written, folder)
        facts = None if written is None else await asyncio.to_thread(read_facts, folder / ARRIVED)
        if written is not None and facts is not None:
            await self._report(folder, facts, *written)

    def _written(self, folder: Path) -> tuple[str, str] | None:
        """Return what a clerk has written and finished writing: the name of the file, and the text."""
        if not any((folder / name).exists() for name in (*_ANSWERS, *_DECISIONS)):
            return None
        settling = self._settling.setdefault(folder, Settling(self.options.settle_s))
        for path in settling.settled(folder):
            if path.name in _ANSWERS or path.name in _DECISIONS:
                text = read_words(path)
                if text:
                    return path.name, text
        return None

    async def _report(self, folder: Path, facts: dict[str, Any], file: str, text: str) -> None:
        answer = await self._meant(facts, file, text)
        try:
            await self.office.report(facts["envelope_id"], answer)
        except PermanentError as error:
            if error.code != "ORD.FROZEN":  # Else it is looked at again.
                await asyncio.to_thread(write_whole, folder / _ANSWERED, f"{error}\n".encode())
            return
        if isinstance(answer, Agreed | Declined):
            targets = self._folders(target["envelope_id"] for target in facts["targets"])
            await asyncio.to_thread(self._carry_out, answer, targets)
        await asyncio.to_thread(_note_answer, folder, answer)

    async def _meant(self, facts: dict[str, Any], file: str, text: str) -> Registered | Refused | Agreed | Declined:
        """Return what a clerk's file says. What agrees to a document is its number, or lets the adapter count."""
        if file in _ANSWERS:
            return _ANSWERS[file](text)
        brings = "subject" in facts
        if file == "agree.txt" and brings and self.options.register_by == "adapter":
            async with self._writing:
                return Agreed(number=await asyncio.to_thread(self._number, facts))
        return _DECISIONS[file](text, brings)

    def _folders(self, envelope_ids: Iterable[str]) -> list[Path]:
        """Return the folders of documents, of those that are still here."""
        return [folder for one in envelope_ids if (folder := self.places.find("inbox", one)) is not None]

    def _carry_out(self, decision: Agreed | Declined, folders: Sequence[Path]) -> None:
        """Move away what is given up, or let it be answered again. Done twice, after a crash, it is done once."""
        for folder in folders:
            (folder / _FROZEN).unlink(missing_ok=True)
            if isinstance(decision, Agreed):
                self._withdraw(folder)

    def _withdraw(self, folder: Path) -> None:
        """Move away a document; one that was an order itself holds up nothing any more."""
        facts = read_facts(folder / ARRIVED) or {}
        for waiting in self._folders(target["envelope_id"] for target in facts.get("targets", ())):
            (waiting / _FROZEN).unlink(missing_ok=True)
        for event in cancelled(folder):
            write_whole(folder / _CANCELLED, event)
        write_whole(folder / _WITHDRAWN, f"{_moment()}: đã thu hồi theo lệnh của nơi gửi\n".encode())
        move(folder, free_name(self.places.withdrawn, folder.name))


_ANSWERS: dict[str, Callable[[str], Registered | Refused]] = {
    "register.txt": lambda text: Registered(text[:_NUMBER_CHARS]),
    "refuse.txt": lambda text: Refused(text[:_REASON_CHARS]),
}

# The number of what comes with an order, or a word about one that brings nothing.
_DECISIONS: dict[str, Callable[[str, bool], Agreed | Declined]] = {
    "agree.txt": lambda text, brings: Agreed(number=text[:_NUMBER_CHARS]) if brings else Agreed(text[:_REASON_CHARS]),
    "decline.txt": lambda text, _brings: Declined(text[:_REASON_CHARS]),
}

_ORDERS = {
    OrderKind.RECALL: "THU HỒI",
    OrderKind.UPDATE: "CẬP NHẬT",
    OrderKind.REPLACE: "THAY THẾ",
    OrderKind.TAKE_BACK: "LẤY LẠI",
}


def _note_answer(folder: Path, answer: Registered | Refused | Agreed | Declined) -> None:
    match answer:
        case Registered():
            said = f"đã vào sổ số đến {answer.number}"
        case Refused():
            said = f"đã từ chối: {answer.reason}"
        case Agreed():
            said = f"đã đồng ý, vào sổ số đến {answer.number}" if answer.number else f"đã đồng ý: {answer.note}"
        case Declined():
            said = f"đã từ chối lệnh: {answer.reason}"
    write_whole(folder / _ANSWERED, f"{_moment()}: {said}\n".encode())


def _changed_at(folder: Path) -> float:
    """Return when the newest of a folder and what is in it was written."""
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))


def _moment() -> str:
    return f"{now().astimezone(VIETNAM):%Y-%m-%d %H:%M:%S}"


def _free(name: str, taken: list[str]) -> str:
    """Return a name that is neither taken nor one of ours."""
    ours = {
        "document.edxml",
        ARRIVED,
        "van-ban.txt",
        _ANSWERED,
        _FROZEN,
        _WITHDRAWN,
        _CANCELLED,
        *_ANSWERS,
        *_DECISIONS,
        *map(note_name, (*_ANSWERS, *_DECISIONS)),
    }
    folded = {one.casefold() for one in taken} | ours
    stem, dot, suffix = name.rpartition(".")
    free, number = name, 1
    while free.casefold() in folded:
        number += 1
        free = f"{stem or suffix} ({number}){dot}{suffix if stem else ''}"
    return free


def _facts(doc: Document) -> dict[str, Any]:
    return {
        "envelope_id": doc.envelope_id,
        "digest": doc.digest,
        "verified": doc.verified,
        "originator": doc.originator.organ_id,
        "originator_name": doc.originator.name,
        "document_id": doc.document_id,
        "code": doc.code,
        "promulgated_on": doc.promulgated_on,
        "kind": doc.type_name,
        "subject": doc.subject,
        "priority": int(doc.priority),
        "business": doc.business_type.name.lower(),
        "due_on": doc.due_on,
    }


_UNVERIFIED = "CHƯA XÁC THỰC NƠI GỬI: phần mềm cũ, không có chữ ký số của đơn vị. Hỏi lại nơi gửi nếu nghi ngờ."


def _order_facts(order: Order) -> dict[str, Any]:
    return {
        "digest": order.digest,
        "originator": order.originator.organ_id,
        "originator_name": order.originator.name,
        "order": order.kind.value,
        "reason": order.reason,
        "targets": [asdict(target) for target in order.targets],
        "verified": order.verified,
    }


def _page(doc: Document) -> _Page:
    """Return what writes the page of a document, once the names of its files are known."""
    asks = ("Vào sổ: ghi số đến vào tệp register.txt trong thư mục này.", "Từ chối: ghi lý do vào tệp refuse.txt.")
    return lambda names, contents: "\n".join((*_about(doc, names, contents), "", *asks, ""))


def _order_page(order: Order) -> _Page:
    """Return what writes the page of an order."""

    def page(names: list[str], contents: tuple[Content, ...]) -> str:
        brings = [] if order.document is None else ["", "Văn bản mới:", *_about(order.document, names, contents)]
        agree = "ghi số đến của văn bản mới" if brings else "ghi “đồng ý”"
        asks = (f"Đồng ý: {agree} vào tệp agree.txt trong thư mục này.", "Từ chối: ghi lý do vào tệp decline.txt.")
        return "\n".join((*_ordered(order), *brings, "", *asks, ""))

    return page


def _frozen_page(order: Order) -> str:
    return "\n".join((*_ordered(order), "", "Văn bản này chờ đơn vị trả lời lệnh trên, trong thư mục của lệnh.", ""))


def _ordered(order: Order) -> list[str]:
    return [
        f"LỆNH {_ORDERS[order.kind]}",
        *([] if order.verified else [_UNVERIFIED]),
        f"Nơi gửi: {order.originator.name or order.originator.organ_id} ({order.originator.organ_id})",
        *(
            f"Về văn bản: {target.code or target.document_id}{f', số đến {target.number}' if target.number else ''}"
            for target in order.targets
        ),
        f"Lý do: {order.reason}",
    ]


def _about(doc: Document, names: list[str], contents: tuple[Content, ...]) -> list[str]:
    return [
        f"{doc.type_name} {doc.code} ngày {doc.promulgated_on:%d/%m/%Y}",
        f"Nơi gửi: {doc.originator.name or doc.originator.organ_id} ({doc.originator.organ_id})",
        *([] if doc.verified else [_UNVERIFIED]),
        f"Trích yếu: {doc.subject}",
        f"Người ký: {doc.signer_name}",
        *([f"Hạn trả lời: {doc.due_on:%d/%m/%Y}"] if doc.due_on else []),
        *(line for content in contents for line in told_of(content)),
        "",
        *(f"Tệp: {name}" for name in names),
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _cell(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _csv(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
