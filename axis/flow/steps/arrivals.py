"""Steps that say what an office's system was handed: documents, orders, statuses, reminders."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from axis.flow.expect import eventually
from axis.flow.script import Known, Role
from axis.flow.stage import Stage
from axis.flow.steps.fields import Delivery, OfOffice, Within


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


class Order(OfOffice):
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


class StatusHeard(OfOffice):
    """A status message that came."""

    about: Known
    code: str
    says: str | None = None
    within: Within = 10


async def expect_status(stage: Stage, step: StatusHeard) -> None:
    """An office's system was handed a status message about a document."""
    clerk, document = stage.clerk(step.office), stage.sent[step.about].document

    async def look() -> Mapping[str, Any]:
        about = [one.message for one in clerk.statuses if one.message.response_for.document_id == document.document_id]
        said = about[-1].description if about else ""
        return {
            "code": about[-1].status_code if about else None,
            "says": step.says if step.says is not None and step.says in said else said,
        }

    await eventually({"code": step.code, "says": step.says}, look, step.within)


class Ordered(OfOffice):
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


class Reminded(OfOffice):
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
