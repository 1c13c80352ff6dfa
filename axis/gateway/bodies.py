"""Bodies: what the answers of the gateway hold, field by field.

Times are RFC 3339 in UTC, digests are SHA-256 in lower-case hex. The
description of the interface is made of these, and a test holds every answer
to it.

Spec: docs/protocol/gateway.md; docs/protocol/errors.md 1, 3; RFC 9457.
"""

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from axis.errors import Actor

Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Body(BaseModel):
    """What every body has in common: it holds what is listed, and nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Violation(Body):
    """One thing that is wrong."""

    code: str = Field(description="A key of the catalogue.", examples=["SIG.DIGEST"])
    line: int | None = Field(description="Line in the file as submitted.")
    path: str = Field(description="XPath with the prefix edXML, or empty.")
    rule: str = Field(description="Stable id of the rule.")
    vi: str
    en: str
    who_must_act: Actor
    next: str = Field(description="What happens next, or what to do; in both languages.")


class Problem(Body):
    """A no (RFC 9457)."""

    type: str = Field(examples=["urn:axis:problem:API.NOT_FOUND"])
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    code: str = Field(description="A key of the catalogue.")
    violations: list[Violation] = Field(min_length=1)
    receipt: str | None = Field(description="The signed rejection of an envelope, XML.")


class Accepted(Body):
    """The axis has custody."""

    envelope_id: Hex32
    duplicate: bool = Field(description="It was accepted before; this is the first answer again.")
    receipt: str = Field(description="The signed acceptance, XML.")


class Delivery(Body):
    """Where an envelope is on its way to one addressee."""

    addressee: str
    in_place_of: str | None = Field(description="The closed office that it was sent to, where it was forwarded.")
    state: str = Field(description="docs/reference/states.md")
    business: str | None = Field(description="Status code of the addressee's clerks, 01 to 16.")
    attempts: int = Field(ge=0)
    code: str | None
    reason: str
    who_must_act: str
    next_at: AwareDatetime | None
    expires_at: AwareDatetime
    updated_at: AwareDatetime
    release_at: AwareDatetime | None = Field(description="Its hour; no attempt before.")
    waits_for_its_hour: bool
    register_by: AwareDatetime | None
    registered_at: AwareDatetime | None
    process_by: AwareDatetime | None
    done_at: AwareDatetime | None
    overdue: bool = Field(description="The addressee is late with it.")


class Envelope(Body):
    """What has become of an envelope."""

    envelope_id: Hex32
    originator: str
    document_id: str
    code: str = Field(description="Number and notation.")
    subject: str
    digest: Hex64
    verified: bool = Field(description="Its originator has sealed it.")
    original: Hex64 | None = Field(description="SHA-256 of what an older system sent, which the axis has sealed.")
    accepted_at: AwareDatetime
    expires_at: AwareDatetime
    deliveries: list[Delivery] = Field(min_length=1)


class Member(Body):
    """An envelope of a family."""

    envelope_id: Hex32
    originator: str
    document_id: str
    business_type: int
    code: str = Field(description="Number and notation.")
    subject: str
    accepted_at: AwareDatetime


class Relation(Body):
    """That one envelope speaks of another."""

    envelope_id: Hex32
    kind: str
    about: Hex32
    addressees: list[str] = Field(description="For whom; none for an answer.")


class Family(Body):
    """The envelopes that recall, update, replace or answer each other."""

    envelopes: list[Member]
    relations: list[Relation]


class Receipt(Body):
    """One signed receipt."""

    digest: Hex64
    level: str
    issuer: str
    verified: bool = Field(description="Signed by whose word it is; else written down by the axis for the addressee.")
    addressee: str | None
    at: AwareDatetime
    xml: str


class Receipts(Body):
    """The receipts about an envelope, each after the one that it names."""

    receipts: list[Receipt]


class Roll(Body):
    """The roll of offices, or what is new in it."""

    cursor: str
    whole: bool
    offices: list[dict[str, Any]]
    gone: list[str]
    groups: list[dict[str, Any]] | None = None
    tiers: list[dict[str, Any]] | None = None
