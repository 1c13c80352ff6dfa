"""The roll as a file: `offices.toml`, checked as a whole.

Every error is reported with its place, not only the first: an administrator
corrects the file once. An error keeps the roll from being loaded; a warning
does not.

Spec: config/offices.toml (the documented sample).
"""

import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from axis.edxml.values import ORGAN_ID
from axis.errors import PermanentError
from axis.registry.model import Office, Registry, Rule, Status, Tier

_Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
_OrganId = Annotated[str, Field(pattern=rf"^{ORGAN_ID.pattern}$", max_length=35)]
_Text = Annotated[str, Field(min_length=1, max_length=200)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Tier(_Entry):
    name: _Text
    rank: int = Field(ge=0, le=99)


class _Office(_Entry):
    code: _OrganId
    name: _Text
    tier: _Word
    code102: _OrganId | None = None
    aliases: tuple[_OrganId, ...] = ()
    parent: _OrganId | None = None
    status: Status = Status.ACTIVE
    opened_on: date | None = None
    closed_on: date | None = None
    successors: tuple[_OrganId, ...] = ()
    adapter: _Word = "sdk"
    certificates: tuple[str, ...] | None = (
        None  # Files, relative to this one; default: certs/<code>.pem if it is there.
    )


class _Rule(_Entry):
    name: _Word
    allow: bool
    sender: str = "*"
    addressee: str = "*"
    kind: Annotated[str, Field(pattern=r"^(\*|document|status)$")] = "*"
    because_vi: str = ""
    because_en: str = ""


class _File(_Entry):
    tiers: dict[_Word, _Tier]
    offices: tuple[_Office, ...]
    rules: tuple[_Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a roll that a person should know."""

    is_error: bool
    place: str  # e.g. "offices[3] H56.05".
    text: str


def load_offices(path: Path) -> Registry:
    """Read a roll.

    Raises:
        PermanentError: CFG.INVALID, with every error.
    """
    registry, findings = check_offices(path)
    errors = [f"{found.place}: {found.text}" for found in findings if found.is_error]
    if registry is None or errors:
        raise PermanentError("CFG.INVALID", "; ".join(errors))
    return registry


def check_offices(path: Path) -> tuple[Registry | None, tuple[Finding, ...]]:
    """Read a roll and say everything that is wrong or odd about it.

    Returns:
        The registry, or None if the file cannot be read as one; and the findings.
    """
    try:
        content = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return None, (Finding(True, path.name, str(error)),)
    except ValidationError as error:
        return None, tuple(_of_pydantic(one) for one in error.errors())
    findings: list[Finding] = []
    offices = []
    for number, entry in enumerate(content.offices):
        pems, problems = _certificates(entry, path.parent)
        findings += [Finding(is_error, _place(number, entry), text) for is_error, text in problems]
        offices.append(Office(**entry.model_dump(exclude={"certificates"}), certificates=pems))
    findings += _across(content, offices)
    registry = Registry.of(
        offices,
        (Tier(code, tier.name, tier.rank) for code, tier in content.tiers.items()),
        [Rule(**rule.model_dump()) for rule in content.rules],
    )
    return registry, tuple(findings)


def _of_pydantic(error: Any) -> Finding:
    place = ".".join(str(step) for step in error["loc"])
    return Finding(True, place or "file", error["msg"])


def _place(number: int, entry: _Office) -> str:
    return f"offices[{number}] {entry.code}"


def _certificates(entry: _Office, folder: Path) -> tuple[tuple[str, ...], list[tuple[bool, str]]]:
    """Return an office's certificates as PEM, and what is wrong with them."""
    pems: list[str] = []
    problems: list[tuple[bool, str]] = []
    usual = f"certs/{entry.code}.pem"
    names = entry.certificates
    if names is None:
        names = (usual,) if (folder / usual).exists() else ()
    for name in names:
        try:
            text = (folder / name).read_text(encoding="ascii")
            pems += [one.public_bytes(Encoding.PEM).decode() for one in x509.load_pem_x509_certificates(text.encode())]
        except (OSError, ValueError) as error:
            problems.append((True, f"certificate {name}: {error}"))
    if not names and entry.status is Status.ACTIVE:
        problems.append((False, "has no certificate: it can receive but not send or sign receipts"))
    return tuple(pems), problems


def _across(content: _File, offices: list[Office]) -> Iterator[Finding]:
    """Check what only the whole file shows."""
    codes = {office.code for office in offices}
    taken = Counter(form for office in offices for form in set(office.forms))
    parents = {office.code: office.parent for office in offices}
    for number, (entry, office) in enumerate(zip(content.offices, offices, strict=True)):
        place = _place(number, entry)
        for form in office.forms:
            if taken[form] > 1:
                yield Finding(True, place, f"identifier {form} means more than one office")
        if office.tier not in content.tiers:
            yield Finding(True, place, f"tier {office.tier} is not in [tiers]")
        if office.parent is not None and office.parent not in codes:
            yield Finding(True, place, f"parent {office.parent} is not in the roll")
        elif _has_cycle(office.code, parents):
            yield Finding(True, place, "is its own ancestor")
        for successor in office.successors:
            if successor not in codes:
                yield Finding(True, place, f"successor {successor} is not in the roll")
        if office.status is Status.CLOSED and office.closed_on is None:
            yield Finding(False, place, "is closed without closed_on")
        if office.status is not Status.CLOSED and office.successors:
            yield Finding(False, place, "has successors but is not closed")
    known = codes | set(content.tiers) | {"*"}
    for number, rule in enumerate(content.rules):
        for side in (rule.sender, rule.addressee):
            if side not in known:
                yield Finding(True, f"rules[{number}] {rule.name}", f"{side} is neither a tier nor an office")


def _has_cycle(code: str, parents: dict[str, str | None]) -> bool:
    seen = {code}
    above = parents.get(code)
    while above is not None and above not in seen:
        seen.add(above)
        above = parents.get(above)
    return above == code
