"""Steps: the vocabulary of flows, one function each, in one table.

A step is a verb with its fields, both written down by its model; the function
does it on a stage. Whoever needs another step adds a model, a function and a row
of VERBS: reading, checking, running and the page docs/flows/README.md follow.

Spec: docs/flows/README.md.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from axis import clock, contents, edxml, seal
from axis.contents.calendar import ics_of
from axis.edxml import AttachmentRef, Business, BusinessType, Organization, Priority, Replacement, ResponseFor
from axis.edxml.inline import inline
from axis.edxml.model import Update
from axis.edxml.values import format_date, local_date
from axis.errors import PermanentError
from axis.flow.clerk import DECISIONS, HOW, Told
from axis.flow.expect import Unmet, eventually
from axis.flow.script import Entry, Known, Maybe, New, OrganId, Role, Running, Step
from axis.flow.stage import Sent, Stage
from axis.office import Agreed, Declined, File, Progress, Refused, Registered
from axis.office.answers import Report
from axis.seal import pki

Way = Literal["amqp", "http"]
Within = Annotated[float, Field(gt=0, le=120, description="How long to wait for it, in real seconds.")]
_NOTATION = "VP-TH"


# --- sending -----------------------------------------------------------------------------------


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
    over: Way = Field("amqp", description="By which way.")


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
        document = before.message
        if not isinstance(document, edxml.Document):
            raise PermanentError("CFG.INVALID", f"{step.message} is no document")
        refs = _refs_of(envelope)
        document = replace(document, attachments=refs, subject=step.subject or document.subject)
        envelope = seal.seal(edxml.render(document), stage.clerk(step.from_).key)
    sent = Sent(name=step.as_, office=step.from_, message=before.message, sealed=envelope)
    stage.sent[step.as_] = sent
    if step.over == "http":
        sent.over_http = await stage.post(step.from_, envelope)
    else:
        await stage.publish(step.from_, envelope)


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
    if step.over == "http":
        sent.over_http = await stage.post(step.from_, content)
    else:
        await stage.publish(step.from_, content)


class SendStatus(_Outgoing):
    """A status message of the national form."""

    status: New
    about: Known
    code: str
    copy_of: OrganId | None = Field(None, description="Whose copy is meant, of a 13; otherwise who sent the document.")
    reason: str = ""


async def send_status(stage: Stage, step: SendStatus) -> None:
    """An office sends an edXML status message about a document."""
    about = _document_of(stage, step.about)
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
        sent.sealed = seal.seal(edxml.render(status), stage.clerk(step.from_).key)
        sent.over_http = await stage.post(step.from_, sent.sealed)
    else:
        sent.submission_id = await stage.clerk(step.from_).office.send(status)


# --- what offices do ----------------------------------------------------------------------------


class _OfOffice(Step):
    office: Running


class Answer(_OfOffice):
    """How an office answers what comes next; without such a step it registers it."""

    how: str
    text: str = Field("", description="The reason, or the number in the register.")
    times: int | None = Field(None, ge=1, description="For so many documents; without it from now on.")

    @model_validator(mode="after")
    def _is_known(self) -> "Answer":
        if self.how not in HOW:
            raise ValueError(f"how is one of: {', '.join(HOW)}")
        return self


async def answer(stage: Stage, step: Answer) -> None:
    """From now on an office's system answers so: registered, refused, delivered, unavailable, exception, permanent, death, busy."""
    clerk = stage.clerk(step.office)
    if step.times is None:
        clerk.told.clear()
    clerk.told.append(Told(step.how, step.text, step.times))


class Decide(_OfOffice):
    """How an office answers the orders that come next; without such a step they wait for a `report`."""

    how: str = Field(description="agreed, declined, or delivered: a person will decide.")
    text: str = Field("", description="The reason, or a note.")
    number: str = Field("", description="In the register, of what an update or a replacement brings.")
    times: int | None = Field(None, ge=1, description="For so many orders; without it from now on.")

    @model_validator(mode="after")
    def _is_known(self) -> "Decide":
        if self.how not in DECISIONS:
            raise ValueError(f"how is one of: {', '.join(DECISIONS)}")
        return self


async def answer_orders(stage: Stage, step: Decide) -> None:
    """From now on an office's system answers orders so - recalls, updates, replacements, take-backs."""
    clerk = stage.clerk(step.office)
    if step.times is None:
        clerk.told_of_orders.clear()
    clerk.told_of_orders.append(Told(step.how, step.text, step.times, step.number))


class OfOffice(_OfOffice):
    """An office."""


async def leave(stage: Stage, step: OfOffice) -> None:
    """An office closes in order; what is for it waits."""
    await stage.clerk(step.office).close()


async def come_back(stage: Stage, step: OfOffice) -> None:
    """An office opens again, with what it had on its disk."""
    await stage.clerk(step.office).open()


async def kill(stage: Stage, step: OfOffice) -> None:
    """An office ends in the middle of its work, and is not started again by itself."""
    await stage.clerk(step.office).kill()


class Say(_OfOffice):
    """What an office says later about a document that it has."""

    document: Known
    code: str = Field(description="02 refused, 03 registered, 01, 04, 05, 06; about an order 15 agreed, 16 declined.")
    text: str = Field("", description="The reason, the number, or a note.")
    number: str = Field("", description="With 15: in the register, of what the order brings.")
    fails: str | None = Field(None, description="The code with which the office's own runtime says no.")


async def report(stage: Stage, step: Say) -> None:
    """An office reports what its clerks did with a document, or what they decided about an order."""
    clerk, envelope_id, said = stage.clerk(step.office), await stage.envelope_id(step.document), _report(step)
    try:
        if isinstance(said, Agreed | Declined):
            await clerk.decide(envelope_id, said)
        else:
            await clerk.office.report(envelope_id, said)
    except PermanentError as error:
        if error.code != step.fails:
            raise
    else:
        if step.fails is not None:
            raise Unmet({"fails": step.fails}, {"fails": None})


def _report(step: Say) -> Report:
    if step.code == "02":
        return Refused(step.text)
    if step.code == "15":
        return Agreed(step.text, step.number)
    if step.code == "16":
        return Declined(step.text)
    return Registered(step.text) if step.code == "03" else Progress(step.code, step.text)


# --- the axis, its time and its roll --------------------------------------------------------------


class Nothing(Step):
    """Nothing more is to be said."""


async def stop_axis(stage: Stage, _step: Nothing) -> None:
    """The router of the axis stops; what offices publish waits at the broker."""
    await stage.stop_router()


async def start_axis(stage: Stage, _step: Nothing) -> None:
    """The router of the axis starts again."""
    await stage.start_router()


class Time(Step):
    """A later time; nobody waits for it."""

    after: timedelta | None = Field(None, gt=timedelta(0), description="So much later: PT10M, P2D.")
    at: datetime | None = Field(None, description="At this moment, with its zone.")

    @model_validator(mode="after")
    def _is_one(self) -> "Time":
        if (self.after is None) == (self.at is None):
            raise ValueError("give either after or at")
        if self.at is not None and self.at.tzinfo is None:
            raise ValueError("write the zone: 2026-12-24T16:30:00+07:00")
        return self


async def pass_time(stage: Stage, step: Time) -> None:
    """Time passes at once, for the axis and its offices alike."""
    span = step.after if step.after is not None else (step.at or clock.now()) - clock.now()
    if span < timedelta(0):
        raise PermanentError("CFG.INVALID", f"it is {clock.now():%Y-%m-%d %H:%M}Z already: time passes forward")
    stage.shift.by += span


class Roll(Step):
    """A change in the roll."""

    office: OrganId
    set: dict[str, Any]


async def change_roll(stage: Stage, step: Roll) -> None:
    """The operator changes an office in the roll, and loads it."""
    await stage.change_roll(step.office, step.set)


async def revoke(stage: Stage, step: OfOffice) -> None:
    """The authority revokes the certificates of an office."""
    await asyncio.to_thread(pki.revoke, stage.trust_folder, step.office, now=clock.now())
    await stage.follow_trust()


class Delivery(Step):
    """A message on its way to one office."""

    document: Known
    office: OrganId


class Replay(Delivery):
    """A dead letter."""

    reason: str


async def replay(stage: Stage, step: Replay) -> None:
    """The operator sends a dead letter on its way again."""
    row = await stage.delivery(step.document, step.office)
    done = row is not None and await stage.rooms.ledger.replay(
        row.delivery_id, by="flow", reason=step.reason, now=clock.now()
    )
    if not done:
        raise Unmet({"replayed": True}, {"replayed": False, "state": None if row is None else row.state})


# --- what is expected ------------------------------------------------------------------------------


class Accepted(Step):
    """What the axis answered."""

    message: Known
    duplicate: bool | None = Field(None, description="Whether it is the first answer again; over HTTP alone.")
    same_as: Maybe = Field(None, description="The message whose envelope it is.")
    refuses: dict[str, str] = Field({}, description="Addressees that are not served, with the code.")
    serves: tuple[OrganId, ...] | None = Field(None, description="All offices that get it, by code.")
    addressed: dict[str, str] = Field({}, description="What the originator wrote, by the office that gets it.")
    within: Within = 10


async def expect_accepted(stage: Stage, step: Accepted) -> None:
    """The axis has taken custody, and its signed acceptance says who gets it and who does not."""
    same = None if step.same_as is None else await stage.envelope_id(step.same_as)
    expected = {
        "accepted": True,
        "duplicate": step.duplicate,
        "envelope": same,
        "refuses": dict(sorted(step.refuses.items())),
        "serves": None if step.serves is None else sorted(step.serves),
        "addressed": step.addressed or None,
    }

    async def look() -> Mapping[str, Any]:
        answered = await stage.answered(stage.sent[step.message])
        if answered is None or answered.receipt is None or not answered.accepted:
            return {
                "accepted": None if answered is None else False,
                **_codes(() if answered is None else answered.violations),
            }
        verdicts = answered.receipt.addressees
        return {
            "accepted": True,
            "duplicate": answered.duplicate,
            "envelope": answered.envelope_id,
            "refuses": await _refused_addressees(stage, answered.envelope_id),
            "serves": sorted(one.code for one in verdicts if one.verdict == "served"),
            "addressed": {one.code: one.addressed for one in verdicts if one.addressed},
        }

    await eventually(expected, look, step.within)


class Rejected(Step):
    """What the axis refused."""

    message: Known
    codes: tuple[str, ...] = Field(min_length=1, description="The code of every violation, in order.")
    rules: tuple[str, ...] | None = None
    says: str | None = Field(None, description="Words that its text has, in either language.")
    signed: bool = Field(True, description="Whether the no is a signed receipt.")
    within: Within = 10


async def expect_rejected(stage: Stage, step: Rejected) -> None:
    """The axis has refused the message, with these violations and a signed rejection."""
    expected = {
        "accepted": False,
        "codes": list(step.codes),
        "rules": None if step.rules is None else list(step.rules),
        "says": step.says,
        "signed": step.signed,
    }

    async def look() -> Mapping[str, Any]:
        answered = await stage.answered(stage.sent[step.message])
        if answered is None:
            return {}
        words = " ".join(f"{one.vi} {one.en}" for one in answered.violations)
        return {
            "accepted": answered.accepted,
            **_codes(answered.violations),
            "rules": [one.rule for one in answered.violations],
            "says": step.says if step.says is not None and step.says in words else words,
            "signed": answered.receipt is not None,
        }

    await eventually(expected, look, step.within)


class Stands(Delivery):
    """Where a delivery stands."""

    state: str | None = None
    business: str | None = Field(None, description="The last status code that the addressee reported.")
    code: str | None = None
    who_must_act: str | None = None
    attempts: int | None = None
    register_by: datetime | None = Field(None, description="By when its addressee is to register it, with the zone.")
    process_by: datetime | None = Field(None, description="By when its addressee is to be done with it.")
    overdue: bool | None = Field(None, description="Whether a deadline is over.")
    says: str | None = Field(None, description="Words that the reason has.")
    within: Within = 10


async def expect_delivery(stage: Stage, step: Stands) -> None:
    """A message stands so with an addressee: state, business, code, who must act, attempts, deadlines."""
    names = ("state", "business", "code", "who_must_act", "attempts", "register_by", "process_by")
    expected = {name: getattr(step, name) for name in (*names, "overdue", "says")}

    async def look() -> Mapping[str, Any]:
        row = await stage.delivery(step.document, step.office)
        if row is None:
            return {}
        seen = {name: getattr(row, name) for name in names} | {"overdue": bool(row.is_overdue(clock.now()))}
        return seen | {"says": step.says if step.says is not None and step.says in row.reason else row.reason}

    await eventually(expected, look, step.within)


class Heard(Step):
    """What the originator was told."""

    document: Known
    office: OrganId | None = Field(None, description="About this addressee, and about the whole.")
    levels: tuple[str, ...] = Field(description="Every receipt, in the order in which it came.")
    says: str | None = Field(None, description="Words that the last one has.")
    within: Within = 10


async def expect_receipts(stage: Stage, step: Heard) -> None:
    """The originator's system was handed exactly these receipts, verified, in this order, and they hang together."""
    sent = stage.sent[step.document]

    async def look() -> Mapping[str, Any]:
        envelope_id = await stage.envelope_id(step.document)
        told = [
            one
            for one in stage.clerk(sent.office).heard
            if one.envelope_id == envelope_id and (step.office is None or one.addressee in (None, step.office))
        ]
        last = told[-1].reason if told else ""
        return {
            "levels": [str(one.level) for one in told],
            "says": step.says if step.says is not None and step.says in last else last,
        }

    await eventually({"levels": list(step.levels), "says": step.says}, look, step.within)


class Registers(Delivery):
    """The incoming register of an office."""

    times: int = Field(1, ge=0, description="How often the document stands in it.")
    number: str | None = None
    files: tuple[str, ...] | None = Field(None, description="Names of the files that came, each as it was sent.")
    handed_over: int | None = Field(None, description="How often the office's system was called with it.")
    withdrawn: bool | None = Field(None, description="Whether the office has given its copy up.")
    verified: bool | None = Field(None, description="Whether the originator's own key has sealed it.")
    within: Within = 10


async def expect_register(stage: Stage, step: Registers) -> None:
    """The document stands so often in an office's incoming register, with its files byte for byte."""
    clerk = stage.clerk(step.office)
    expected = {
        "times": step.times,
        "number": step.number,
        "files": None if step.files is None else sorted(step.files),
        "handed_over": step.handed_over,
        "withdrawn": step.withdrawn,
        "verified": step.verified,
    }

    async def look() -> Mapping[str, Any]:
        envelope_id = await stage.envelope_id(step.document)
        document_id = await stage.document_id(step.document)
        lines = [one for one in clerk.register.values() if one.document_id == document_id]
        return {
            "times": len(lines),
            "number": lines[0].number if lines else None,
            "files": sorted(clerk.files.get(envelope_id, {})),
            "handed_over": sum(one.envelope_id == envelope_id for one in clerk.came),
            "withdrawn": envelope_id in clerk.withdrawn,
            "verified": next((one.verified for one in clerk.came if one.envelope_id == envelope_id), None),
        }

    await eventually(expected, look, step.within)


class Order(_OfOffice):
    """In which order messages came."""

    messages: Annotated[tuple[str, ...], Role.SENT] = Field(min_length=2)
    within: Within = 10


async def expect_order(stage: Stage, step: Order) -> None:
    """An office's system was handed these documents in this order, whatever came between."""
    clerk = stage.clerk(step.office)

    async def look() -> Mapping[str, Any]:
        names = {await stage.envelope_id(name): name for name in step.messages}
        came = dict.fromkeys(names[one.envelope_id] for one in clerk.came if one.envelope_id in names)
        return {"order": list(came)}

    await eventually({"order": list(step.messages)}, look, step.within)


class StatusHeard(_OfOffice):
    """A status message that came."""

    about: Known
    code: str
    says: str | None = None
    within: Within = 10


async def expect_status(stage: Stage, step: StatusHeard) -> None:
    """An office's system was handed a status message about a document."""
    clerk, document = stage.clerk(step.office), _document_of(stage, step.about)

    async def look() -> Mapping[str, Any]:
        about = [one.message for one in clerk.statuses if one.message.response_for.document_id == document.document_id]
        said = about[-1].description if about else ""
        return {
            "code": about[-1].status_code if about else None,
            "says": step.says if step.says is not None and step.says in said else said,
        }

    await eventually({"code": step.code, "says": step.says}, look, step.within)


class Ordered(_OfOffice):
    """An order that came."""

    order: Known
    kind: str = Field(description="recall, update, replace, or take-back.")
    targets: Annotated[tuple[str, ...], Role.SENT] = Field(min_length=1, description="The documents that it is about.")
    reason: str | None = None
    within: Within = 10


async def expect_order_handed(stage: Stage, step: Ordered) -> None:
    """An office's system was handed an order, about documents that it has."""
    clerk = stage.clerk(step.office)

    async def look() -> Mapping[str, Any]:
        envelope_id = await stage.envelope_id(step.order)
        came = next((one for one in clerk.orders if one.envelope_id == envelope_id), None)
        if came is None:
            return {}
        names = {await stage.envelope_id(name): name for name in stage.sent}
        targets = sorted(names.get(one.envelope_id, one.document_id) for one in came.targets)
        return {"kind": str(came.kind), "targets": targets, "reason": came.reason}

    expected = {"kind": step.kind, "targets": sorted(step.targets), "reason": step.reason}
    await eventually(expected, look, step.within)


class Reminded(_OfOffice):
    """What an office was reminded of."""

    document: Known
    codes: tuple[str, ...] = Field(description="The code of every reminder, in order: DUE.SOON, DUE.OVER.")
    within: Within = 10


async def expect_reminders(stage: Stage, step: Reminded) -> None:
    """An office - addressee or originator - was told exactly this of the deadlines of a document, signed by the axis."""
    clerk = stage.clerk(step.office)

    async def look() -> Mapping[str, Any]:
        envelope_id = await stage.envelope_id(step.document)
        about = [one for one in clerk.heard if one.envelope_id == envelope_id and str(one.level) == "reminded"]
        return {"codes": [one.code for one in about]}

    await eventually({"codes": list(step.codes)}, look, step.within)


class Carried(_OfOffice):
    """A content that came."""

    document: Known
    kind: str = Field(
        description="What it is: Dossier, DossierProgress, Task, TaskProgress, TaskCompletion, Invitation."
    )
    status: int | None = Field(None, description="Where the dossier or the task stands by it.")
    ics: tuple[str, ...] | None = Field(None, description="Lines that the .ics of an invitation has, without folding.")
    within: Within = 10


async def expect_content(stage: Stage, step: Carried) -> None:
    """An office reads a dossier, a task or an invitation from a document that it was handed."""
    clerk = stage.clerk(step.office)

    async def look() -> Mapping[str, Any]:
        envelope_id = await stage.envelope_id(step.document)
        came = next((one for one in clerk.came if one.envelope_id == envelope_id), None)
        found = () if came is None else await came.contents()
        if not found:
            return {}
        content = found[0]
        status = getattr(content, "status", None)
        said = ics_of(content, at=clock.now()).decode() if isinstance(content, contents.Invitation) else ""
        lines = said.replace("\r\n ", "").splitlines()
        return {
            "kind": type(content).__name__,
            "status": None if status is None else int(status),
            "ics": [one for one in step.ics or () if one in lines],
        }

    ics = None if step.ics is None else list(step.ics)
    await eventually({"kind": step.kind, "status": step.status, "ics": ics}, look, step.within)


class Dossier(Step):
    """What is known of a dossier."""

    code: str = Field(description="MaHoSo.")
    office: OrganId = Field(description="By what this office has told.")
    statuses: tuple[int, ...] = Field(description="In the order in which they came to be so.")
    within: Within = 10


async def expect_dossier(stage: Stage, step: Dossier) -> None:
    """The axis has kept these steps of a dossier, as an office has told them."""

    async def look() -> Mapping[str, Any]:
        steps = await stage.rooms.ledger.dossier_steps(step.code)
        return {"statuses": [one.status for one in steps if one.originator == step.office]}

    await eventually({"statuses": list(step.statuses)}, look, step.within)


class Call(_OfOffice):
    """A request to the gateway."""

    get: str = Field(description="Path; {NAME} stands for the envelope id of a message.")
    answers: int = Field(200, description="The HTTP status.")
    has: dict[str, Any] = Field({}, description="What the JSON holds, at least.")
    says: tuple[str, ...] = Field((), description="What the text holds, at least.")
    headers: dict[str, str] = Field({}, description="Headers that it has.")
    within: Within = 10


async def call(stage: Stage, step: Call) -> None:
    """An office asks the gateway, and gets this answer."""

    async def look() -> Mapping[str, Any]:
        ids = {name: await stage.envelope_id(name) for name in stage.sent}
        url = f"{stage.gateway_url}{step.get.format(**ids)}"
        async with stage.http.get(url, headers=stage.headers(step.office)) as answer:
            text = await answer.text()
            return {
                "answers": answer.status,
                "has": _overlap(step.has, json.loads(text)) if step.has else {},
                "says": [one for one in step.says if one in text],
                "headers": {name: answer.headers.get(name) for name in step.headers},
            }

    expected = {"answers": step.answers, "has": step.has, "says": list(step.says), "headers": step.headers}
    await eventually(expected, look, step.within)


def _overlap(wanted: Any, said: Any) -> Any:
    """Return what is said in the places that are asked about."""
    if isinstance(wanted, dict) and isinstance(said, dict):
        return {name: _overlap(value, said.get(name)) for name, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(said, list) and len(wanted) == len(said):
        return [_overlap(one, other) for one, other in zip(wanted, said, strict=True)]
    return said


# --- what the steps share --------------------------------------------------------------------------


def _document(stage: Stage, step: Send) -> edxml.Document:
    day = local_date(clock.now())
    number = str(stage.next_number())
    target_id = step.target_id if step.target is None else _document_of(stage, step.target).document_id
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
        responses=() if step.answers is None else (_response(_document_of(stage, step.answers)),),
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


def _document_of(stage: Stage, name: str) -> edxml.Document:
    message = stage.sent[name].message
    if not isinstance(message, edxml.Document):
        raise PermanentError("CFG.INVALID", f"{name} is no document")
    return message


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


def _codes(violations: tuple[Any, ...]) -> dict[str, list[str]]:
    return {"codes": [one.code for one in violations]}


async def _refused_addressees(stage: Stage, envelope_id: str) -> dict[str, str]:
    """Return the code with which the axis refused single addressees, by their own signed rejections."""
    rows = await stage.rooms.ledger.receipts_of(envelope_id)
    said = [stage.read(row.xml).receipt for row in rows if row.level == "rejected"]
    return dict(sorted((one.addressee or "", one.code or "") for one in said))


# --- the vocabulary ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verb:
    """A step that a flow may take."""

    name: str
    model: type[Step]
    act: Callable[[Stage, Any], Awaitable[None]]


VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("send", Send, send),
        Verb("send again", Again, send_again),
        Verb("send bytes", Raw, send_raw),
        Verb("send status", SendStatus, send_status),
        Verb("answer", Answer, answer),
        Verb("answer orders", Decide, answer_orders),
        Verb("report", Say, report),
        Verb("office leaves", OfOffice, leave),
        Verb("office comes back", OfOffice, come_back),
        Verb("office is killed", OfOffice, kill),
        Verb("axis stops", Nothing, stop_axis),
        Verb("axis starts", Nothing, start_axis),
        Verb("time passes", Time, pass_time),
        Verb("change roll", Roll, change_roll),
        Verb("revoke", OfOffice, revoke),
        Verb("replay", Replay, replay),
        Verb("expect accepted", Accepted, expect_accepted),
        Verb("expect rejected", Rejected, expect_rejected),
        Verb("expect delivery", Stands, expect_delivery),
        Verb("expect receipts", Heard, expect_receipts),
        Verb("expect register", Registers, expect_register),
        Verb("expect order", Order, expect_order),
        Verb("expect status", StatusHeard, expect_status),
        Verb("expect order handed over", Ordered, expect_order_handed),
        Verb("expect reminders", Reminded, expect_reminders),
        Verb("expect content", Carried, expect_content),
        Verb("expect dossier", Dossier, expect_dossier),
        Verb("expect answer", Call, call),
    )
}
