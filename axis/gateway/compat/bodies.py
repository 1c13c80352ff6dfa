"""Bodies: what the calls of older axes are answered, field by field, named as their clients read them.

Times are local, `yyyy/MM/dd HH:mm:ss`. What their clients do not know stands
beside what they do, and is passed over by them.

Spec: docs/protocol/compat.md.
"""

from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from axis.gateway import bodies
from axis.gateway.bodies import Hex32
from axis.gateway.compat.words import STATUSES


class _Body(bodies.Body):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class _Yes(_Body):
    success: Literal[True] = True
    message: Literal["OK"] = "OK"


class Outcome(_Body):
    """What became of a call."""

    doc_id: Hex32 | None
    status: str
    error_code: str | None = Field(description="One of their numbers; null where trying again may help.")
    error_desc: str


class Refused(_Body):
    """A no, in their words; and in ours."""

    success: Literal[False] = False
    message: str
    data: Outcome
    problem: bodies.Problem = Field(description="The same, with every violation.")


class Done(_Yes):
    """It was done, or had been done before."""

    doc_id: Hex32
    data: Outcome


class Sent(Done):
    """The axis has custody."""

    duplicate: bool = Field(description="It was accepted before; this is the first answer again.")
    receipt: str = Field(description="The signed acceptance, XML.")


class Received(_Body):
    """A message that waits for the office."""

    service_type: Literal["eDoc"] = "eDoc"
    message_type: Literal["edoc", "status"]
    doc_id: Hex32
    from_: str = Field(alias="from")
    to: str
    status: str
    status_desc: str
    created_time: str
    updated_time: str
    document_id: str
    code: str = Field(description="Number and notation.")
    subject: str


class ReceivedList(_Yes):
    """What waits for the office."""

    count: int = Field(ge=0)
    data: list[Received]
    more: bool = Field(description="There is more; it is listed when some of this is confirmed.")


class SentTo(_Body):
    """What the office sent, on its way to one addressee."""

    service_type: Literal["eDoc"] = "eDoc"
    message_type: Literal["edoc", "status"]
    doc_id: Hex32
    from_: str = Field(alias="from")
    to: str
    document_id: str
    send_status: Literal["done"] = "done"  # The axis has custody: else it would not be listed.
    send_status_desc: str
    receive_status: str
    receive_status_desc: str
    sent_time: str
    received_time: str | None = Field(description="When the addressee's side was last heard of, once it has ended.")
    business: str | None = Field(description="Status code of the addressee's clerks, 01 to 16.")


class SentList(_Yes):
    """What the office sent."""

    count: int = Field(ge=0)
    data: list[SentTo]
    more: bool = Field(description="There is more; ask for a shorter span.")


class Count(_Yes):
    """How much waits."""

    count: int = Field(ge=0)


class Edoc(_Body):
    """A message, as their clients read it."""

    doc_id: Hex32
    from_: str = Field(alias="from")
    from_name: str
    edoc_code: str
    edoc_abstract: str
    verified: bool = Field(description="Its originator has sealed it.")
    edxml: str = Field(description="The message with its attachments inside, in base64.")


class GivenEdoc(_Yes):
    """The same, as it is answered."""

    data: Edoc


class Agency(_Body):
    """An office to which one can send, under the names of both interfaces that are known."""

    code: str
    name: str
    pcode: str | None
    code102: str | None = Field(alias="code102")
    old_code: list[str]
    org_code: str
    org_name: str
    parent_code: str | None


class Agencies(_Yes):
    """The offices to which one can send."""

    count: int = Field(ge=0)
    data: list[Agency]


class Update(BaseModel):
    """What an office says of a message that it was given."""

    model_config = ConfigDict(extra="ignore")

    doc_id: str = Field(validation_alias=AliasChoices("docId", "docid"), pattern=r"^[0-9a-f]{32}$")
    status: Literal[tuple(STATUSES)]  # type: ignore[valid-type]  # Known when the program starts.
    reason: str = Field(
        "",
        validation_alias=AliasChoices("reason", "statusDesc", "description"),
        max_length=500,
        description="For fail.",
    )
