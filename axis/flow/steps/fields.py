"""What the steps of several files say in the same words."""

from typing import Annotated

from pydantic import Field

from axis.flow.script import Known, OrganId, Running, Step

Within = Annotated[float, Field(gt=0, le=120, description="How long to wait for it, in real seconds.")]


class OfOffice(Step):
    """An office."""

    office: Running


class Delivery(Step):
    """A message on its way to one office."""

    document: Known
    office: OrganId
