"""Incoming: a document becomes a folder in inbox/, and a clerk's file becomes a signed receipt.

The folder appears whole under its name: the document as it was sealed, its
files, and a page to read. `register.txt` holds the incoming number,
`refuse.txt` the reason; when the receipt is signed, `answer.txt` says so.
"""

import asyncio
import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from adapters.folder.options import FolderOptions
from adapters.folder.places import Places, Settling, free_name, move, read_facts, safe_name, write_facts, write_whole
from adapters.letters import VIETNAM, now
from axis import Delivered, Document, Office, PermanentError, Refused, Registered

_FACTS = "document.json"
_ANSWERED = "answer.txt"
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

    async def receive(self, doc: Document) -> Registered | Delivered:
        """Keep a document with its files; when this returns it is on the disk."""
        folder = self.places.find("inbox", doc.envelope_id)
        if folder is None:
            folder = await self._keep(doc)
        if self.options.register_by == "clerk":
            return Delivered()
        async with self._writing:
            number = await asyncio.to_thread(self._number, doc)
        answer = Registered(number)
        await asyncio.to_thread(_note_answer, folder, answer)
        return answer

    async def _keep(self, doc: Document) -> Path:
        """Build the folder beside its place, and rename it there."""
        building = self.places.inbox / f".{doc.envelope_id}"
        await asyncio.to_thread(building.mkdir, exist_ok=True)
        names: list[str] = []
        for attachment in doc.attachments:
            name = _free(safe_name(attachment.name), names)
            names.append(name)
            if not (building / name).exists():  # An earlier attempt may have brought it.
                await attachment.save(building / name)
        async with self._writing:
            return await asyncio.to_thread(self._finish, building, doc, names)

    def _finish(self, building: Path, doc: Document, names: list[str]) -> Path:
        write_whole(building / "document.edxml", doc.sealed)
        write_facts(building / _FACTS, _facts(doc, names))
        write_whole(building / "van-ban.txt", _page(doc, names).encode())
        name = safe_name(f"{doc.promulgated_on:%Y-%m-%d} {doc.code} {doc.originator.organ_id}")
        target = free_name(self.places.inbox, name)
        self.places.remember("inbox", doc.envelope_id, target)  # Before the move: a crash between builds it again.
        return move(building, target)

    # --- the incoming register ---------------------------------------------------------

    def _number(self, doc: Document) -> str:
        """Return the document's number in the register, giving it the next one of the year if it has none."""
        path = self.places.root / "register.csv"
        rows = _rows(path)
        for row in rows:
            if row["envelope_id"] == doc.envelope_id:
                return row["number"]
        at = now().astimezone(VIETNAM)
        year = f"/{at.year}"
        taken = [int(row["number"].removesuffix(year)) for row in rows if row["number"].endswith(year)]
        number = f"{max(taken, default=0) + 1}{year}"
        row = {
            "number": number,
            "registered_at": at.isoformat(timespec="seconds"),
            "originator": doc.originator.organ_id,
            "code": _cell(doc.code),
            "promulgated_on": doc.promulgated_on.isoformat(),
            "subject": _cell(doc.subject),
            "envelope_id": doc.envelope_id,
            "verified": "yes" if doc.verified else "no",
        }
        write_whole(path, _csv([*rows, row]))
        return number

    # --- a clerk's answer ----------------------------------------------------------------

    async def look_for_answers(self) -> None:
        """Report what clerks have written since the last look."""
        for folder in sorted(self.places.inbox.iterdir()):
            if folder.name.startswith(".") or not folder.is_dir() or (folder / _ANSWERED).exists():
                self._settling.pop(folder, None)
                continue
            answer = await asyncio.to_thread(self._answer, folder)
            if answer is None:
                continue
            facts = await asyncio.to_thread(read_facts, folder / _FACTS)
            if facts is not None:
                await self._report(folder, facts["envelope_id"], answer)

    def _answer(self, folder: Path) -> Registered | Refused | None:
        """Return what a clerk has written and finished writing."""
        if not any((folder / name).exists() for name in _ANSWERS):
            return None
        settling = self._settling.setdefault(folder, Settling(self.options.settle_s))
        for path in settling.settled(folder):
            make = _ANSWERS.get(path.name)
            text = "" if make is None else path.read_text(encoding="utf-8-sig", errors="replace").strip()
            if make is not None and text:
                return make(" ".join(text.split()))
        return None

    async def _report(self, folder: Path, envelope_id: str, answer: Registered | Refused) -> None:
        try:
            await self.office.report(envelope_id, answer)
        except PermanentError as error:
            await asyncio.to_thread(write_whole, folder / _ANSWERED, f"{error}\n".encode())
        else:
            await asyncio.to_thread(_note_answer, folder, answer)


_ANSWERS: dict[str, Callable[[str], Registered | Refused]] = {
    "register.txt": lambda text: Registered(text[:_NUMBER_CHARS]),
    "refuse.txt": lambda text: Refused(text[:_REASON_CHARS]),
}


def _note_answer(folder: Path, answer: Registered | Refused) -> None:
    at = f"{now().astimezone(VIETNAM):%Y-%m-%d %H:%M:%S}"
    said = f"đã vào sổ số đến {answer.number}" if isinstance(answer, Registered) else f"đã từ chối: {answer.reason}"
    write_whole(folder / _ANSWERED, f"{at}: {said}\n".encode())


def _free(name: str, taken: list[str]) -> str:
    """Return a name that is neither taken nor one of ours."""
    ours = {"document.edxml", _FACTS, "van-ban.txt", _ANSWERED, *_ANSWERS}
    folded = {one.casefold() for one in taken} | ours
    stem, dot, suffix = name.rpartition(".")
    free, number = name, 1
    while free.casefold() in folded:
        number += 1
        free = f"{stem or suffix} ({number}){dot}{suffix if stem else ''}"
    return free


def _facts(doc: Document, names: list[str]) -> dict[str, object]:
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
        "files": [
            {"name": name, "as_sent": one.name, "sha256": one.sha256, "bytes": one.size_bytes}
            for name, one in zip(names, doc.attachments, strict=True)
        ],
    }


_UNVERIFIED = "CHƯA XÁC THỰC NƠI GỬI: phần mềm cũ, không có chữ ký số của đơn vị. Hỏi lại nơi gửi nếu nghi ngờ."


def _page(doc: Document, names: list[str]) -> str:
    lines = [
        f"{doc.type_name} {doc.code} ngày {doc.promulgated_on:%d/%m/%Y}",
        f"Nơi gửi: {doc.originator.name or doc.originator.organ_id} ({doc.originator.organ_id})",
        *([] if doc.verified else [_UNVERIFIED]),
        f"Trích yếu: {doc.subject}",
        f"Người ký: {doc.signer_name}",
        *([f"Hạn trả lời: {doc.due_on:%d/%m/%Y}"] if doc.due_on else []),
        "",
        *(f"Tệp: {name}" for name in names),
        "",
        "Vào sổ: ghi số đến vào tệp register.txt trong thư mục này.",
        "Từ chối: ghi lý do vào tệp refuse.txt.",
        "",
    ]
    return "\n".join(lines)


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
