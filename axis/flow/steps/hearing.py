"""Steps that say what the axis answers, and where a delivery stands with it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from axis import clock
from axis.errors import Violation
from axis.flow.expect import eventually
from axis.flow.script import Known, Maybe, OrganId, Step
from axis.flow.stage import Stage
from axis.flow.steps.fields import Delivery, Within


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


def _codes(violations: tuple[Violation, ...]) -> dict[str, list[str]]:
    return {"codes": [one.code for one in violations]}


async def _refused_addressees(stage: Stage, envelope_id: str) -> dict[str, str]:
    """Return the code with which the axis refused single addressees, by their own signed rejections."""
    rows = await stage.rooms.ledger.receipts_of(envelope_id)
    said = [stage.read(row.xml).receipt for row in rows if row.level == "rejected"]
    return dict(sorted((one.addressee or "", one.code or "") for one in said))
