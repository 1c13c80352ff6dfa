"""Steps in which an office hands something in: documents, orders, statuses, bytes - as it ought to, or not."""

import asyncio
from dataclasses import replace
from datetime import date, datetime
from hashlib import sha256
from typing import Literal

from pydantic import Field, model_validator

from axis import clock, contents, edxml, seal
from axis.edxml import AttachmentRef, Business, BusinessType, Organization, Priority, Replacement, ResponseFor
from axis.edxml.inline import inline
from axis.edxml.model import Update
from axis.edxml.values import format_date, local_date
from axis.errors import PermanentError
from axis.flow.script import Entry, Known, Maybe, New, OrganId, Running, Step
from axis.flow.stage import Sent, Stage
from axis.office import File

_NOTATION = "VP-TH"


class FileOf(Entry):
    """A file of a document."""

    name: str
    text: str = ""
    size: int | None = Field(None, ge=0, le=200_000_000, description="So many bytes instead of a text.")

    @property
    def content(self) -> bytes:
        """What is in it: for a size, something that no other file has."""
        if self.size is None:
            return self.text.encode()
        grain = sha256(self.name.encode()).digest()
        return (grain * (self.size // len(grain) + 1))[: self.size]


class Swap(Entry):
    """A text in an envelope, and what stands there instead once it has been sealed."""

    old: str
    new: str


class _Outgoing(Step):
    """What everything that is handed in may say."""

    from_: Running = Field(alias="from", description="The office that hands it in.")
    over: Literal["amqp", "http"] = Field("amqp", description="By which way.")


class Send(_Outgoing):
    """A document, as an office writes it; what is not said is made up."""

    document: New
    to: tuple[OrganId, ...] = Field(min_length=1, description="Offices or groups, in any of their forms.")
    subject: str = "V/v thử nghiệm (ví dụ)"
    document_id: str | None = Field(None, description="Default: from office, day, number and notation.")
    type_name: str = "Công văn"
    priority: Priority = Priority.ORDINARY
    sphere: str = ""
    promulgated_on: date | None = Field(None, description="Default: today.")
    due_on: date | None = None
    files: tuple[FileOf, ...] = ()
    answers: Maybe = Field(None, description="The document that this one answers (ResponseFor).")
    tasks: tuple[str, ...] = Field((), description="Codes of tasks that it answers (ResponseForTask).")
    order: Literal["recall", "update", "replace"] | None = Field(
        None, description="What it asks for, if it is not new."
    )
    target: Maybe = Field(None, description="The document that the order is about.")
    target_id: str = Field("", description="Instead of it, the id of one that nobody has sent yet.")
    replaces_for: tuple[OrganId, ...] = Field((), description="The addressees for whom it replaces that; default: all.")
    reason: str = ""
    release: datetime | None = Field(None, description="Of a timed document: its hour, with its zone.")
    contents: tuple[str, ...] = Field((), description="Files beside the flow: a dossier, a task, an invitation.")
    forgotten: tuple[str, ...] = Field((), description="Files that the manifest lists and nobody uploads.")
    sealed_by: OrganId | Literal[""] | None = Field(None, description='Another office whose key seals it; "": nobody.')
    swap: tuple[Swap, ...] = Field((), description="What is changed after it was sealed.")

    @property
    def is_forged(self) -> bool:
        """Whether the office's own runtime would not send such a thing."""
        return self.sealed_by is not None or bool(self.swap) or bool(self.forgotten)


async def send(stage: Stage, step: Send) -> None:
    """An office sends a document through its runtime, or hands it in over HTTP."""
    document = _document(stage, step)
    stage.sent[step.document] = sent = Sent(name=step.document, office=step.from_, message=document)
    if step.over == "amqp" and not step.is_forged:
        files = [File(one.name, one.content) for one in step.files]
        carried = [await asyncio.to_thread(_content, stage, name) for name in step.contents]
        sent.submission_id = await stage.clerk(step.from_).office.send(document, files, contents=carried)
        return
    sent.sealed = _sealed(stage, document, step)
    kept = [one for one in step.files if one.name not in step.forgotten]
    if step.over == "http":
        sent.over_http = await stage.post(step.from_, _whole(sent.sealed, kept))
        return
    for one in kept:
        await stage.bring(step.from_, one.content)
    await stage.publish(step.from_, sent.sealed)


class Again(_Outgoing):
    """A message that was handed in before, once more."""

    message: Known = Field(description="What was handed in before.")
    as_: New = Field(alias="as", description="What the flow calls it now.")
    seal: Literal["same", "anew"] = Field("same", description="The same bytes, or the same content sealed anew.")
    subject: str | None = Field(None, description="Another subject: other content under the same id.")


async def send_again(stage: Stage, step: Again) -> None:
    """An office hands in what it handed in before: the same bytes, sealed anew, or with other content."""
    before = stage.sent[step.message]
    if not before.sealed:
        await stage.answered(before)
    envelope = before.sealed
    if step.subject is not None or step.seal == "anew":
        document = before.document
        document = replace(document, attachments=_refs_of(envelope), subject=step.subject or document.subject)
        envelope = seal.seal_message(document, stage.clerk(step.from_).key).octets
    sent = Sent(name=step.as_, office=step.from_, message=before.message, sealed=envelope)
    stage.sent[step.as_] = sent
    await _hand_in(stage, step, sent)


class Raw(_Outgoing):
    """Bytes as they are."""

    message: New
    file: str | None = Field(None, description="A file beside the flow.")
    text: str | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Raw":
        if (self.file is None) == (self.text is None):
            raise ValueError("give either file or text")
        return self


async def send_raw(stage: Stage, step: Raw) -> None:
    """An office's system hands in bytes, whatever they are."""
    content = (step.text or "").encode()
    if step.file is not None:
        content = await asyncio.to_thread((stage.flow.file.parent / step.file).read_bytes)
    sent = Sent(name=step.message, office=step.from_, message=None, sealed=content)
    stage.sent[step.message] = sent
    await _hand_in(stage, step, sent)


async def _hand_in(stage: Stage, step: _Outgoing, sent: Sent) -> None:
    """Hand in a message as it is, by the way that the step says."""
    if step.over == "http":
        sent.over_http = await stage.post(step.from_, sent.sealed)
    else:
        await stage.publish(step.from_, sent.sealed)


class SendStatus(_Outgoing):
    """A status message of the national form."""

    status: New
    about: Known
    code: str
    copy_of: OrganId | None = Field(None, description="Whose copy is meant, of a 13; otherwise who sent the document.")
    reason: str = ""


async def send_status(stage: Stage, step: SendStatus) -> None:
    """An office sends an edXML status message about a document."""
    about = stage.sent[step.about].document
    status = edxml.Status(
        originator=_organ(stage, step.from_),
        response_for=replace(_response(about), organ_id=step.copy_of or about.originator.organ_id),
        status_code=step.code,
        description=step.reason,
        at=clock.now(),
    )
    sent = Sent(name=step.status, office=step.from_, message=status)
    stage.sent[step.status] = sent
    if step.over == "http":
        sent.sealed = seal.seal_message(status, stage.clerk(step.from_).key).octets
        sent.over_http = await stage.post(step.from_, sent.sealed)
    else:
        sent.submission_id = await stage.clerk(step.from_).office.send(status)


def _document(stage: Stage, step: Send) -> edxml.Document:
    day = local_date(clock.now())
    number = str(stage.next_number())
    target_id = step.target_id if step.target is None else stage.sent[step.target].document.document_id
    refs = tuple(
        AttachmentRef(f"a{at}", one.name, "application/octet-stream", sha256(one.content).hexdigest(), len(one.content))
        for at, one in enumerate(step.files, 1)
    )
    return edxml.Document(
        originator=_organ(stage, step.from_),
        addressees=tuple(_organ(stage, code) for code in step.to),
        document_id=step.document_id or f"{step.from_},{format_date(day)},{number}/{_NOTATION}",
        code_number=number,
        code_notation=_NOTATION,
        place="Thanh Hóa",
        promulgated_on=step.promulgated_on or day,
        type_name=step.type_name,
        subject=step.subject,
        signer_position="Giám đốc",
        signer_name="Nguyễn Văn A",
        due_on=step.due_on,
        priority=step.priority,
        sphere=step.sphere,
        release_at=step.release,
        responses=() if step.answers is None else (_response(stage.sent[step.answers].document),),
        tasks=step.tasks,
        business=_business(step, target_id),
        attachments=refs,
    )


def _content(stage: Stage, name: str) -> contents.Content:
    """Read a content that lies beside the flow."""
    return contents.read((stage.flow.file.parent / name).read_bytes())


def _business(step: Send, document_id: str) -> Business:
    match step.order:
        case "recall":
            return Business(BusinessType.RECALL, reason=step.reason, document_id=document_id)
        case "update":
            return Business(
                BusinessType.UPDATE, reason=step.reason, document_id=document_id, update=Update(True, False)
            )
        case "replace":
            return Business(
                BusinessType.REPLACE,
                reason=step.reason,
                replacements=(Replacement(document_id, step.replaces_for or step.to),),
            )
        case None:
            return Business(reason=step.reason)


def _organ(stage: Stage, code: str) -> Organization:
    return Organization(code, str(stage.cast.get(code, {}).get("name", "")))


def _response(document: edxml.Document) -> ResponseFor:
    return ResponseFor(document.originator.organ_id, document.code, document.document_id, document.promulgated_on)


def _sealed(stage: Stage, document: edxml.Document, step: Send) -> bytes:
    """Seal a document as somebody would who follows the protocol, or who does not."""
    envelope = edxml.render(document)
    if step.sealed_by != "":
        by = step.sealed_by or step.from_
        trust = stage.trust_folder
        envelope = seal.seal(
            envelope, seal.SigningKey.load(trust / "keys" / f"{by}.key.pem", trust / "certs" / f"{by}.pem")
        )
    for one in step.swap:
        if one.old.encode() not in envelope:
            raise PermanentError("CFG.INVALID", f"the envelope does not hold {one.old}")
        envelope = envelope.replace(one.old.encode(), one.new.encode(), 1)
    return envelope


def _whole(sealed: bytes, kept: list[FileOf]) -> bytes:
    """Put the files inside, as a system does that knows no other way."""
    if not kept:
        return sealed
    refs = {one.name: one for one in _refs_of(sealed)}
    return b"".join(inline(sealed, [(refs[one.name], [one.content]) for one in kept]))


def _refs_of(envelope: bytes) -> tuple[AttachmentRef, ...]:
    manifest = edxml.parse(envelope).part("manifest")
    return () if manifest is None else edxml.read_manifest(manifest)
