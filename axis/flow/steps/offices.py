"""Steps in which an office's system and its clerks act: answers, decisions, reports, and the office itself at work or not."""

from pydantic import Field, model_validator

from axis.errors import PermanentError
from axis.flow.clerk import DECISIONS, HOW, Told
from axis.flow.expect import Unmet
from axis.flow.script import Known
from axis.flow.stage import Stage
from axis.flow.steps.fields import OfOffice
from axis.office import Agreed, Declined, Progress, Refused, Registered
from axis.office.answers import Report


class Answer(OfOffice):
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


class Decide(OfOffice):
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


async def leave(stage: Stage, step: OfOffice) -> None:
    """An office closes in order; what is for it waits."""
    await stage.clerk(step.office).close()


async def come_back(stage: Stage, step: OfOffice) -> None:
    """An office opens again, with what it had on its disk."""
    await stage.clerk(step.office).open()


async def kill(stage: Stage, step: OfOffice) -> None:
    """An office ends in the middle of its work, and is not started again by itself."""
    await stage.clerk(step.office).kill()


class Say(OfOffice):
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
