"""Steps of the axis, its time, its roll and its operator."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field, model_validator

from axis import clock
from axis.errors import PermanentError
from axis.flow.expect import Unmet
from axis.flow.script import OrganId, Step
from axis.flow.stage import Stage
from axis.flow.steps.fields import Delivery, OfOffice
from axis.seal import pki


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


class Forward(Delivery):
    """What is held for a closed office."""

    to: tuple[OrganId, ...] = Field(min_length=1, description="Offices that took over from it.")


async def forward(stage: Stage, step: Forward) -> None:
    """The operator forwards to successors what is held for a closed office."""
    row = await stage.delivery(step.document, step.office)
    done = row is not None and await stage.succession.forward(row, step.to, by="flow", reason="")
    if not done:
        raise Unmet({"forwarded": True}, {"forwarded": False, "state": None if row is None else row.state})


class Return(Delivery):
    """What is held for a closed office."""

    reason: str


async def give_back(stage: Stage, step: Return) -> None:
    """The operator returns to its originator what is held for a closed office."""
    row = await stage.delivery(step.document, step.office)
    done = row is not None and await stage.succession.give_back(row, by="flow", reason=step.reason)
    if not done:
        raise Unmet({"returned": True}, {"returned": False, "state": None if row is None else row.state})
