"""Registry: the offices of the province as one frozen value.

An office has one canonical code and may be written in other forms; every form
leads to the same office, and no form is ever given to another. A registry is
replaced, not changed, so that one envelope is judged by one roll from
beginning to end.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Any

from cryptography import x509

from axis import seal


class Status(StrEnum):
    """Whether an office takes part, as the roll says it."""

    ACTIVE = "active"
    SUSPENDED = "suspended"  # For a while; what is sent to it is refused, with that reason.
    CLOSED = "closed"  # For good; its codes stay taken.


class Standing(StrEnum):
    """Whether an office takes part on a certain day: its status and its dates together."""

    ACTIVE = "active"
    NOT_OPEN = "not-open"
    SUSPENDED = "suspended"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Tier:
    """A level of government, as the roll names it. The next reform only changes data."""

    code: str
    name: str
    rank: int  # 0 is the highest.


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """One office."""

    code: str  # Canonical OrganId.
    name: str
    tier: str
    code102: str | None = None  # The same office in the form of QCVN 102:2016.
    aliases: tuple[str, ...] = ()  # Other forms in use.
    parent: str | None = None
    status: Status = Status.ACTIVE
    opened_on: date | None = None
    closed_on: date | None = None
    successors: tuple[str, ...] = ()
    adapter: str = "sdk"  # What kind of adapter it runs: for people; the axis treats all alike.
    certificates: tuple[str, ...] = ()  # PEM; several while keys are changed.

    @property
    def forms(self) -> tuple[str, ...]:
        """Every identifier that means this office."""
        return tuple(form for form in (self.code, self.code102, *self.aliases) if form)

    def standing_on(self, day: date) -> Standing:
        """Return whether the office takes part on a day in Viet Nam."""
        if self.status is Status.CLOSED or (self.closed_on is not None and self.closed_on <= day):
            return Standing.CLOSED
        if self.status is Status.SUSPENDED:
            return Standing.SUSPENDED
        if self.opened_on is not None and day < self.opened_on:
            return Standing.NOT_OPEN
        return Standing.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Whether some offices may send some kind of message to some offices. The first rule that fits decides."""

    name: str
    allow: bool
    sender: str = "*"  # A tier, an OrganId, or "*".
    addressee: str = "*"
    kind: str = "*"  # document, status, or "*".
    because_vi: str = ""
    because_en: str = ""

    def fits(self, sender: Office, addressee: Office, kind: str) -> bool:
        """Tell whether the rule speaks about this message."""
        return _fits(self.sender, sender) and _fits(self.addressee, addressee) and self.kind in ("*", kind)


def _fits(pattern: str, office: Office) -> bool:
    return pattern == "*" or pattern == office.tier or pattern in office.forms


@dataclass(frozen=True)
class Registry:
    """All offices, tiers and rules."""

    by_code: Mapping[str, Office]
    tiers: Mapping[str, Tier] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    _by_form: Mapping[str, Office] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        forms = {form: office for office in self.by_code.values() for form in office.forms}
        object.__setattr__(self, "_by_form", forms)

    @classmethod
    def of(cls, offices: Iterable[Office], tiers: Iterable[Tier] = (), rules: Sequence[Rule] = ()) -> "Registry":
        """Build a registry from its parts."""
        return cls({office.code: office for office in offices}, {tier.code: tier for tier in tiers}, tuple(rules))

    def find(self, organ_id: str) -> Office | None:
        """Return the office that an identifier means, in any of its forms."""
        return self._by_form.get(organ_id)

    def offices(self) -> tuple[Office, ...]:
        """Return every office, by code."""
        return tuple(self.by_code[code] for code in sorted(self.by_code))

    def rule_for(self, sender: Office, addressee: Office, kind: str) -> Rule | None:
        """Return the first rule that speaks about this message; None means nothing forbids it."""
        return next((rule for rule in self.rules if rule.fits(sender, addressee, kind)), None)

    @cached_property
    def version(self) -> str:
        """SHA-256 of the content: equal rolls have equal versions."""
        return sha256(json.dumps(self.to_rows(), ensure_ascii=False, sort_keys=True).encode()).hexdigest()

    def trust(
        self,
        authorities: tuple[x509.Certificate, ...],
        crls: tuple[x509.CertificateRevocationList, ...],
        *,
        require_fresh_crl: bool = False,
    ) -> seal.Trust:
        """Return the trust that follows from the roll: each office's certificates, under each of its names."""
        signers = {}
        for office in self.by_code.values():
            certificates = tuple(x509.load_pem_x509_certificate(pem.encode()) for pem in office.certificates)
            if certificates:
                signers.update(dict.fromkeys(office.forms, certificates))
        return seal.Trust(authorities, crls, signers, require_fresh_crl=require_fresh_crl)

    def to_rows(self) -> list[dict[str, Any]]:
        """Return the registry as JSON-ready rows: `{"kind": "office" | "tier" | "rule", "code": ..., "content": {...}}`."""
        rows = [{"kind": "office", "code": office.code, "content": _plain(asdict(office))} for office in self.offices()]
        # By code, so that equal rolls have equal rows in whatever order a person wrote them.
        rows += [{"kind": "tier", "code": code, "content": asdict(self.tiers[code])} for code in sorted(self.tiers)]
        # Rules are tried in order, so their order is part of them.
        rows += [
            {"kind": "rule", "code": f"{number:06}", "content": asdict(rule)} for number, rule in enumerate(self.rules)
        ]
        return rows

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> "Registry":
        """Return the registry that `to_rows` wrote."""
        content: dict[str, list[dict[str, Any]]] = {"office": [], "tier": [], "rule": []}
        for row in sorted(rows, key=lambda row: (row["kind"], row["code"])):
            content[row["kind"]].append(dict(row["content"]))
        return cls.of(
            map(_office, content["office"]),
            (Tier(**one) for one in content["tier"]),
            [Rule(**one) for one in content["rule"]],
        )


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in fields.items()}


def _office(fields: dict[str, Any]) -> Office:
    for name in ("opened_on", "closed_on"):
        fields[name] = None if fields[name] is None else date.fromisoformat(fields[name])
    for name in ("aliases", "successors", "certificates"):
        fields[name] = tuple(fields[name])
    return Office(**fields | {"status": Status(fields["status"])})
