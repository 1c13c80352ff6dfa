"""Outgoing: from drop/ through sending/ to sent/ or rejected/, and the receipts that come back.

A thing is first renamed into sending/, where only we work, and then handed to
the office. If the process dies between the two, it is handed over again: the
axis knows a document by its signed content and answers as it did before.
"""

import asyncio
import contextlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from adapters.folder.options import FolderOptions
from adapters.folder.places import (
    SUBMITTED,
    Places,
    Settling,
    folders_in,
    free_name,
    is_half,
    is_litter,
    move,
    read_facts,
    safe_name,
    write_facts,
    write_whole,
)
from adapters.folder.turns import Turns
from adapters.folder.written import read_words
from adapters.letters import Letter, now
from axis import Draft, File, Level, Notice, Office, PermanentError, Refusal, StatusReport, Submission, Violation

_LETTER = "letter.toml"
_TAKING = ".taking-"  # Begins the name of a folder in sending/ until the file from drop/ is in it.
_RECALL, _RECALLED = "recall.txt", "recalled.txt"
_REASON_CHARS = 500  # As the schema allows in BussinessDocReason.


class _Unfit(Exception):
    """A thing in drop/ that is no document; the text is for its writer."""


@dataclass(slots=True)
class Outgoing:
    """Sends what is dropped and keeps what is said about it."""

    office: Office
    places: Places
    options: FolderOptions
    _settling: Settling = field(init=False)
    _recalling: dict[Path, Settling] = field(default_factory=dict, init=False)
    _moving: asyncio.Lock = field(default_factory=asyncio.Lock)
    _drops: Turns = field(default_factory=Turns, init=False)
    _taken: Turns = field(default_factory=Turns, init=False)
    _submitted: Turns = field(default_factory=Turns, init=False)
    _recalls: Turns = field(default_factory=Turns, init=False)

    def __post_init__(self) -> None:
        self._settling = Settling(self.options.settle_s)

    # --- drop/ -> sending/ -------------------------------------------------------------

    async def take_drops(self) -> None:
        """Take what has come into drop/, and what an earlier run has half taken."""
        half_taken = sorted(self.places.sending.glob(f"{_TAKING}*"))
        come = await asyncio.to_thread(self._settling.settled, self.places.drop)
        await self._drops.each([*half_taken, *come], self._take)

    async def _take(self, path: Path) -> None:
        await asyncio.to_thread(self._take_whole, path)

    def _take_whole(self, path: Path) -> None:
        """Give a thing a folder of its own in sending/, which appears there with all that is in it."""
        if path.is_file():
            taking = free_name(self.places.sending, _TAKING + safe_name(path.stem))
            taking.mkdir()
            path = move(path, taking / path.name).parent
        elif not any(path.iterdir()):
            path.rmdir()  # The file could not be moved into it.
            return
        move(path, free_name(self.places.sending, safe_name(path.name.removeprefix(_TAKING))))

    async def submit_taken(self) -> None:
        """Hand what is in sending/ to the office, also what an earlier run has left there."""
        await self._taken.each(folders_in(self.places.sending), self._submit)

    async def _submit(self, folder: Path) -> None:
        # The axis may answer before we have noted which folder it answers: that answer waits.
        async with self._moving:
            if not (folder / SUBMITTED).exists():
                await self._submit_new(folder)

    async def _submit_new(self, folder: Path) -> None:
        """Hand a folder to the office; what cannot be a document is rejected here."""
        try:
            submission_id = await self._hand_over(folder)
        except _Unfit as unfit:
            await asyncio.to_thread(self._reject, folder, str(unfit), None)
        except Refusal as refusal:
            await asyncio.to_thread(self._reject, folder, _told(refusal.violations), None)
        else:
            await asyncio.to_thread(write_facts, folder / SUBMITTED, {"submission_id": submission_id})
            await asyncio.to_thread(self.places.remember, "submission", submission_id, folder)

    async def _hand_over(self, folder: Path) -> str:
        """Return the id of the submission.

        Raises:
            _Unfit: It is neither an edXML message nor a letter with files.
            Refusal: It cannot be sealed.
        """
        files = sorted(path for path in folder.iterdir() if not is_half(path.name) and not is_litter(path.name))
        if not all(path.is_file() for path in files):
            raise _Unfit("Không được có thư mục con. / There must be no folder inside.")
        envelopes = [path for path in files if path.suffix.casefold() in (".edxml", ".xml")]
        letter = folder / _LETTER
        if letter in files:
            enclosed = [File(path.name, path) for path in files if path != letter]
            return await self.office.send(self._read_letter(letter), enclosed)
        if len(envelopes) != 1:
            raise _Unfit(
                f"Cần một tệp {_LETTER}, hoặc đúng một tệp .edxml; ở đây có {len(envelopes)} tệp .edxml.\n"
                f"A {_LETTER} or exactly one .edxml file is needed; there are {len(envelopes)} .edxml files."
            )
        enclosed = [File(path.name, path) for path in files if path != envelopes[0]]
        return await self.office.submit(envelopes[0], enclosed)

    def _read_letter(self, path: Path) -> Draft:
        try:
            letter = Letter.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
        except ValidationError as error:
            wrong = "\n".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise _Unfit(f"{_LETTER} sai / is wrong:\n{wrong}") from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise _Unfit(f"{_LETTER} không đọc được / cannot be read: {error}") from error
        settings = self.office.settings
        return letter.draft(office=settings.code, office_name=settings.name, at=now())

    # --- sending/ -> sent/ or rejected/ --------------------------------------------------

    async def follow_submissions(self) -> None:
        """Move what the axis has answered."""
        async with self._moving:
            await self._follow_submissions()

    async def _follow_submissions(self) -> None:
        await self._submitted.each(folders_in(self.places.sending), self._follow)

    async def _follow(self, folder: Path) -> None:
        facts = await asyncio.to_thread(read_facts, folder / SUBMITTED)
        if facts is None:
            return
        submission = await self.office.submission(facts["submission_id"])
        if submission is None:  # The office's state was lost: hand it over again.
            (folder / SUBMITTED).unlink()
        elif submission.state == "accepted":
            await asyncio.to_thread(self._keep_sent, folder, submission)
        elif submission.ended:
            why = f"{submission.code}: {submission.reason or ''}"
            await asyncio.to_thread(self._reject, folder, why, submission)

    def _keep_sent(self, folder: Path, submission: Submission) -> None:
        target = free_name(self.places.sent, folder.name)
        facts = {
            "submission_id": submission.id,
            "envelope_id": submission.envelope_id,
            "document_id": submission.document_id,
        }
        write_facts(folder / SUBMITTED, facts)
        self.places.remember("submission", submission.id, target)
        self.places.remember("envelope", submission.envelope_id or "", target)
        self.places.remember("document", submission.document_id, target)
        move(folder, target)

    def _reject(self, folder: Path, why: str, submission: Submission | None) -> None:
        write_whole(folder / "why.txt", why.strip().encode() + b"\n")
        target = free_name(self.places.rejected, folder.name)
        if submission is not None:
            self.places.remember("submission", submission.id, target)
        move(folder, target)

    # --- taking it back ---------------------------------------------------------------------

    async def look_for_recalls(self) -> None:
        """Order to give up what a clerk has written a reason for, in the folder of what was sent."""
        await self._recalls.each(await asyncio.to_thread(self._with_a_reason), self._look_for_recall)

    def _with_a_reason(self) -> list[Path]:
        return [path.parent for path in self.places.sent.glob(f"*/{_RECALL}")]

    async def _look_for_recall(self, folder: Path) -> None:
        if (folder / _RECALLED).exists():
            return
        reason = await asyncio.to_thread(self._reason, folder)
        facts = await asyncio.to_thread(read_facts, folder / SUBMITTED)
        if reason and facts is not None:
            # The axis may answer before we have noted which folder the order is about: that answer waits.
            async with self._moving:
                await self._recall(folder, facts, reason)

    def _reason(self, folder: Path) -> str:
        """Return what a clerk has written and finished writing."""
        settling = self._recalling.setdefault(folder, Settling(self.options.settle_s))
        written = [path for path in settling.settled(folder) if path.name == _RECALL]
        return read_words(written[0]) if written else ""

    async def _recall(self, folder: Path, facts: dict[str, Any], reason: str) -> None:
        """Send the order; what is said about it comes beside the document. After a crash it is sent twice, and means once."""
        try:
            submission_id = await self.office.recall(facts["envelope_id"], reason=reason[:_REASON_CHARS])
        except PermanentError as error:
            said = str(error)
        else:
            ordered = facts | {"recalls": [*facts.get("recalls", ()), submission_id]}
            await asyncio.to_thread(write_facts, folder / SUBMITTED, ordered)
            await asyncio.to_thread(self.places.remember, "recall", submission_id, folder)
            said = f"đã gửi lệnh thu hồi: {submission_id}"
        self._recalling.pop(folder, None)
        await asyncio.to_thread(write_whole, folder / _RECALLED, f"{said}\n".encode())

    # --- what is said about it ------------------------------------------------------------

    async def keep_receipt(self, notice: Notice) -> None:
        """Keep a receipt beside its document; called again until it succeeds."""
        async with self._moving:
            # The answer that brought the receipt may move its document. Another that cannot be moved is told of by the
            # round that tries it again, and holds up no receipt.
            with contextlib.suppress(ExceptionGroup):
                await self._follow_submissions()
            await asyncio.to_thread(self._keep_receipt, notice)

    def _keep_receipt(self, notice: Notice) -> None:
        folder = self._folder_of(notice)
        receipts = folder / "receipts"
        receipts.mkdir(parents=True, exist_ok=True)
        if notice.level is Level.REJECTED and notice.violations:
            write_whole(folder / "why.txt", _told(notice.violations).encode() + b"\n")
        name = f"{notice.at:%Y%m%dT%H%M%S} {notice.level} {notice.addressee or notice.issuer} {notice.digest[:8]}.xml"
        if (receipts / name).exists():
            return
        with (folder / "receipts.txt").open("a", encoding="utf-8") as journal:
            journal.write(_line(notice))
        write_whole(receipts / name, notice.xml)

    def _folder_of(self, notice: Notice) -> Path:
        """Return where a receipt belongs: to its document, or to a folder of its own in receipts/."""
        keys = {
            "submission": notice.submission_id,
            "recall": notice.submission_id,
            "envelope": notice.envelope_id,
        }
        found = (self.places.find(kind, key) for kind, key in keys.items() if key)
        return next(filter(None, found), None) or self.places.receipts / safe_name(
            notice.document_id or notice.envelope_id or notice.digest
        )

    async def note_status(self, report: StatusReport) -> None:
        """Keep an edXML status message beside the document that it is about."""
        await asyncio.to_thread(self._note_status, report)

    def _note_status(self, report: StatusReport) -> None:
        about = report.message.response_for
        folder = self.places.find("document", about.document_id) or (
            self.places.receipts / safe_name(about.document_id or about.code)
        )
        folder.mkdir(parents=True, exist_ok=True)
        name = f"status {report.message.status_code} {report.message.originator.organ_id} {report.digest[:8]}.edxml"
        write_whole(folder / name, report.sealed)


def _line(notice: Notice) -> str:
    said = notice.signed.receipt
    parts = [f"{notice.at:%Y-%m-%d %H:%M:%S}Z", notice.addressee or notice.issuer, notice.level.value]
    parts += [f"số đến {notice.number}"] if notice.number else []
    parts += [said.reason] if said.reason else []
    return " | ".join(" ".join(part.split()) for part in parts) + "\n"


def _told(violations: tuple[Violation, ...]) -> str:
    return "\n\n".join(
        f"{one.code} {f'(dòng / line {one.line}) ' if one.line else ''}{one.path}\n  {one.vi}\n  {one.en}"
        for one in violations
    )
