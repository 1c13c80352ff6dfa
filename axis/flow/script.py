"""Script: a flow as a file, read and checked as a whole before anything is started.

A flow is TOML: a title in both languages, the offices with what the roll says
of them, and the steps in their order. What is wrong is said with the file, the
line of the step, its number and the field.

Spec: docs/flows/README.md.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from axis.edxml.values import ORGAN_ID

AXIS = "H56.TRUC"  # OrganId of the axis in every flow.

OrganId = Annotated[str, Field(pattern=rf"^(?:{ORGAN_ID.pattern})$", max_length=35)]

_STEP = re.compile(r"^[ \t]*(?:\{[ \t]*)?do[ \t]*=", re.M)  # Every step begins with what is done.


class Entry(BaseModel):
    """A table of a flow; a key that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Role(Enum):
    """What the text of a field means in a flow, so that it can be checked before anything runs."""

    NEW = auto()  # Names a message that this step hands in.
    SENT = auto()  # Names a message that a step before has handed in.
    RUNS = auto()  # An office that runs.


New = Annotated[str, Field(min_length=1, max_length=40, description="What the flow calls it."), Role.NEW]
Known = Annotated[str, Field(description="A message that was sent before."), Role.SENT]
Maybe = Annotated[str | None, Role.SENT]
Running = Annotated[OrganId, Field(description="An office that runs."), Role.RUNS]


class Step(Entry):
    """What every step may say."""

    note: str = Field("", description="Anything, for who reads it.")

    def named(self, role: Role) -> tuple[str, ...]:
        """Return what the fields of this role say."""
        values = [getattr(self, name) for name, field in type(self).model_fields.items() if role in field.metadata]
        return tuple(one for value in values for one in (value if isinstance(value, tuple) else (value,)) if one)


class Cast(BaseModel):
    """An office of a flow: what the roll says of it, and whether it runs."""

    model_config = ConfigDict(frozen=True, extra="allow")  # The rest is the roll's, which checks it.

    code: OrganId
    name: str
    tier: str = "department"
    connected: bool = Field(True, description="Whether the office runs; the roll knows it in any case.")

    @property
    def roll(self) -> dict[str, Any]:
        """What stands in the roll."""
        return self.model_dump(exclude={"connected"})


class _Head(Entry):
    title_vi: Annotated[str, Field(min_length=5, max_length=120)]
    title_en: Annotated[str, Field(min_length=5, max_length=120)]
    about: tuple[str, ...] = Field((), description="Clauses of docs/protocol that it shows.")
    starts_at: datetime | None = None
    axis: dict[str, Any] = {}  # Settings of the axis that differ.
    offices: Annotated[tuple[Cast, ...], Field(min_length=1)]
    groups: tuple[dict[str, Any], ...] = ()
    rules: tuple[dict[str, Any], ...] = ()
    steps: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]

    @field_validator("starts_at")
    @classmethod
    def _has_zone(cls, at: datetime | None) -> datetime | None:
        if at is not None and at.tzinfo is None:
            raise ValueError("write the zone: 2026-12-24T16:30:00+07:00")
        return at


@dataclass(frozen=True, slots=True)
class Written:
    """One step, and where it stands."""

    number: int
    line: int
    verb: str
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One flow that can be run."""

    file: Path
    title_vi: str
    title_en: str
    about: tuple[str, ...]
    starts_at: datetime | None
    settings: Mapping[str, Any]
    offices: tuple[Cast, ...]
    groups: tuple[dict[str, Any], ...]
    rules: tuple[dict[str, Any], ...]
    steps: tuple[Written, ...]

    @property
    def connected(self) -> tuple[Cast, ...]:
        """The offices that run."""
        return tuple(one for one in self.offices if one.connected)


class Misread(Exception):
    """A file is no flow; the text says everything that is wrong, a line each."""

    def __init__(self, file: Path, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{file}:{problem}" for problem in problems))


def read_flow(file: Path, verbs: Mapping[str, type[Step]]) -> Flow:
    """Read a flow.

    Args:
        file: The file; what its steps name beside it is found there.
        verbs: The model of each step, by its verb.

    Raises:
        Misread: With everything that is wrong.
    """
    try:
        text = file.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
        head = _Head.model_validate(raw)
    except OSError as error:
        raise Misread(file, [f"1: {error.strerror}"]) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Misread(file, [f"1: {error}"]) from error
    except ValidationError as error:
        raise Misread(file, [f"1: {one}" for one in _slips(error)]) from error
    lines = [text.count("\n", 0, found.start()) + 1 for found in _STEP.finditer(text)]
    problems: list[str] = []
    steps: list[Written] = []
    for number, fields in enumerate(head.steps, 1):
        line = lines[number - 1] if len(lines) == len(head.steps) else 1
        place = f"{line}: step {number}"
        read = _step(fields, verbs, place, problems)
        if read is not None:
            steps.append(Written(number, line, str(fields["do"]), read))
    problems += _strangers(head, steps)
    if problems:
        raise Misread(file, problems)
    return Flow(
        file=file,
        title_vi=head.title_vi,
        title_en=head.title_en,
        about=head.about,
        starts_at=head.starts_at,
        settings=head.axis,
        offices=head.offices,
        groups=head.groups,
        rules=head.rules,
        steps=tuple(steps),
    )


def _step(fields: Mapping[str, Any], verbs: Mapping[str, type[Step]], place: str, problems: list[str]) -> Step | None:
    verb = fields.get("do")
    model = verbs.get(verb) if isinstance(verb, str) else None
    if model is None:
        problems.append(f"{place}: do = {verb!r} is none of: {', '.join(verbs)}")
        return None
    try:
        return model.model_validate({name: value for name, value in fields.items() if name != "do"})
    except ValidationError as error:
        problems += [f"{place} ({verb}): {one}" for one in _slips(error)]
        return None


def _slips(error: ValidationError) -> list[str]:
    return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]


def _strangers(head: _Head, steps: list[Written]) -> Iterator[str]:
    """Say which steps speak of an office that does not run, or of a message that nobody has sent by then."""
    connected = {one.code for one in head.offices if one.connected}
    sent: set[str] = set()
    for one in steps:
        place = f"{one.line}: step {one.number} ({one.verb})"
        strangers = [code for code in one.step.named(Role.RUNS) if code not in connected]
        unsent = [name for name in one.step.named(Role.SENT) if name not in sent]
        again = [name for name in one.step.named(Role.NEW) if name in sent]
        yield from (f"{place}: no office {code} runs in this flow" for code in strangers)
        yield from (f"{place}: no step before has sent {name}" for name in unsent)
        yield from (f"{place}: {name} has been sent by a step before" for name in again)
        sent.update(one.step.named(Role.NEW))
