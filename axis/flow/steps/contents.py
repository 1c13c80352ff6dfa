"""Steps that say what contents came, and what the axis keeps of them: dossiers, tasks, invitations."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from axis import clock, contents
from axis.contents.calendar import ics_of
from axis.flow.expect import eventually
from axis.flow.script import Known, OrganId, Step
from axis.flow.stage import Stage
from axis.flow.steps.fields import OfOffice, Within


class Carried(OfOffice):
    """A content that came."""

    document: Known
    kind: str = Field(
        description="What it is: Dossier, DossierProgress, Task, TaskProgress, TaskCompletion, Invitation."
    )
    status: int | None = Field(None, description="Where the dossier or the task stands by it.")
    ics: tuple[str, ...] | None = Field(
        None,
        description="Lines that the .ics of an invitation has, without folding; one that was given up is cancelled.",
    )
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
        said = b""
        if isinstance(content, contents.Invitation):
            said = ics_of(content, at=clock.now(), cancelled=envelope_id in clerk.withdrawn)
        lines = said.decode().replace("\r\n ", "").splitlines()
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


class Task(Step):
    """What is known of a task."""

    code: str = Field(description="MaNhiemVu.")
    given_by: OrganId
    office: OrganId = Field(description="Where this office stands with it.")
    statuses: tuple[int, ...] = Field(description="In the order in which they came to be so.")
    within: Within = 10


async def expect_task(stage: Stage, step: Task) -> None:
    """The axis has kept these steps of an office with a task, as its giver and the office have told them."""

    async def look() -> Mapping[str, Any]:
        steps = await stage.rooms.ledger.task_steps(step.code)
        mine = [one for one in steps if (one.given_by, one.assignee) == (step.given_by, step.office)]
        return {"statuses": [one.status for one in mine]}

    await eventually({"statuses": list(step.statuses)}, look, step.within)
