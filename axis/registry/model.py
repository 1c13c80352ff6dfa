"""Registry: the offices of the province as one frozen value.

An office has one canonical code and may be written in other forms; every form
leads to the same office, and no form is ever given to another, not even after
its office has left the roll. A group is an identifier that means several
offices. A registry is replaced, not changed, so that one envelope is judged by
one roll from beginning to end.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Any

from cryptography import x509

from axis import seal
from axis.edxml.dialects import DIALECTS, Policy


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


class AfterClosing(StrEnum):
    """What becomes of what is sent to an office that is closed, as the roll says it."""

    REJECT = "reject"  # It is refused, with the names of the successors.
    FORWARD = "forward"  # The successor gets it.
    HOLD = "hold"  # It is held until it is decided who gets it.


class Channel(StrEnum):
    """How an office gets what is sent to it."""

    AMQP = "amqp"  # It is brought to its inbox at the broker.
    HTTP = "http"  # It asks the gateway; nothing is published to it.


class Unsigned(StrEnum):
    """What becomes of a message in a dialect that carries no seal of the profile."""

    REFUSE = "refuse"
    ACCEPT = "accept"  # The axis seals it; it counts as unverified wherever it is shown.


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
    after_closing: AfterClosing = AfterClosing.REJECT
    forward_to: tuple[str, ...] = ()  # Which successors get its mail; none named: the only one that there is.
    fields: tuple[str, ...] = ()  # What it works in, as words of the roll; groups go by them.
    unit_code: str | None = None  # Of the administrative unit that it governs, as the statistics office numbers them.
    channel: Channel = Channel.AMQP
    adapter: str = "sdk"  # What kind of adapter it runs: for people; the axis treats all alike.
    dialect: str | None = None  # Of edXML, that its system speaks over HTTP; None: the profile, as everybody.
    unsigned: Unsigned = Unsigned.REFUSE
    certificates: tuple[str, ...] = ()  # PEM; several while keys are changed.

    @property
    def forms(self) -> tuple[str, ...]:
        """Every identifier that means this office."""
        return tuple(form for form in (self.code, self.code102, *self.aliases) if form)

    @property
    def policy(self) -> Policy | None:
        """How messages in its dialect are read; None: it speaks none."""
        if self.dialect is None:
            return None
        return Policy(DIALECTS[self.dialect], takes_unsigned=self.unsigned is Unsigned.ACCEPT)

    @property
    def heirs(self) -> tuple[str, ...]:
        """Codes of the offices that get its mail once it is closed; none where that is refused."""
        if self.after_closing is not AfterClosing.FORWARD:
            return ()
        return self.forward_to or (self.successors if len(self.successors) == 1 else ())

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
class Group:
    """An identifier that means several offices: those that it lists, and those that fit all that it asks for."""

    code: str  # In the form of an OrganId; no office has it.
    name: str
    members: tuple[str, ...] = ()
    tier: str | None = None
    parent: str | None = None
    field: str | None = None

    def holds(self, office: Office) -> bool:
        """Tell whether an office belongs to it, whatever day it is."""
        return office.code in self.members or (
            bool(self.tier or self.parent or self.field)
            and self.tier in (None, office.tier)
            and self.parent in (None, office.parent)
            and (self.field is None or self.field in office.fields)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Whether some offices may send some kind of message to some offices. The first rule that fits decides."""

    name: str
    allow: bool
    sender: str = "*"  # A tier, an OrganId, or "*".
    addressee: str = "*"  # The same, or the code of a group.
    kind: str = "*"  # document, status, or "*".
    because_vi: str = ""
    because_en: str = ""

    def fits(self, sender: Office, addressee: Office, kind: str) -> bool:
        """Tell whether the rule speaks about this message."""
        return _fits(self.sender, sender) and _fits(self.addressee, addressee) and self.kind in ("*", kind)

    def fits_group(self, sender: Office, group: Group, kind: str) -> bool:
        """Tell whether the rule speaks about this message to a group as such; of its offices it speaks one by one."""
        return _fits(self.sender, sender) and self.addressee in ("*", group.code) and self.kind in ("*", kind)


def _fits(pattern: str, office: Office) -> bool:
    return pattern == "*" or pattern == office.tier or pattern in office.forms


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What changed from one roll to the next, by the number of the load; see `directory`."""

    number: int = 0  # Of the last load that changed something.
    known: Mapping[str, int] = field(default_factory=dict)  # Cursor of a roll: its number.
    changed: Mapping[str, int] = field(default_factory=dict)  # Code of an office: when it last changed.


@dataclass(frozen=True)
class Registry:
    """All offices, tiers, rules and groups."""

    by_code: Mapping[str, Office]
    tiers: Mapping[str, Tier] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    groups: Mapping[str, Group] = field(default_factory=dict)
    retired: dict[str, str] = field(default_factory=dict)  # Identifiers of the past, and whose they were.
    history: History = History()
    _by_form: Mapping[str, Office] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        forms = {form: office for office in self.by_code.values() for form in office.forms}
        object.__setattr__(self, "_by_form", forms)

    @classmethod
    def of(
        cls,
        offices: Iterable[Office],
        tiers: Iterable[Tier] = (),
        rules: Sequence[Rule] = (),
        groups: Iterable[Group] = (),
    ) -> "Registry":
        """Build a registry from its parts."""
        return cls(
            {office.code: office for office in offices},
            {tier.code: tier for tier in tiers},
            tuple(rules),
            {group.code: group for group in groups},
        )

    def find(self, organ_id: str) -> Office | None:
        """Return the office that an identifier means, in any of its forms."""
        return self._by_form.get(organ_id)

    def offices(self) -> tuple[Office, ...]:
        """Return every office, by code."""
        return tuple(self.by_code[code] for code in sorted(self.by_code))

    @cached_property
    def asking(self) -> frozenset[str]:
        """The offices that ask the gateway for what is sent to them, by code."""
        return frozenset(office.code for office in self.by_code.values() if office.channel is Channel.HTTP)

    def line_of(self, code: str) -> frozenset[str]:
        """Return an office and every closed one that it took over from, near or far, by code: whose affairs are now its own."""
        return _reached(code, lambda one: self._predecessors.get(one, frozenset()))

    def succession_of(self, code: str) -> frozenset[str]:
        """Return every office that took over from one, near or far, by code."""
        return _reached(code, self._successors) - {code}

    def _successors(self, code: str) -> frozenset[str]:
        office = self.find(code)
        heirs = () if office is None else filter(None, map(self.find, office.successors))
        return frozenset(heir.code for heir in heirs)

    @cached_property
    def _predecessors(self) -> Mapping[str, frozenset[str]]:
        """Which offices each took over from directly."""
        gone: dict[str, set[str]] = {}
        for office in self.by_code.values():
            for heir in self._successors(office.code):
                gone.setdefault(heir, set()).add(office.code)
        return {heir: frozenset(codes) for heir, codes in gone.items()}

    def members(self, group: Group) -> tuple[Office, ...]:
        """Return every office that belongs to a group, by code, whatever day it is."""
        return self._members.get(group.code, ())

    @cached_property
    def _members(self) -> Mapping[str, tuple[Office, ...]]:
        """Which offices belong to which group: a circular must not look through the roll again."""
        return {
            group.code: tuple(office for office in self.offices() if group.holds(office))
            for group in self.groups.values()
        }

    def rule_for(self, sender: Office, addressee: Office, kind: str) -> Rule | None:
        """Return the first rule that speaks about this message; None means nothing forbids it."""
        return next((rule for rule in self.rules if rule.fits(sender, addressee, kind)), None)

    def rule_for_group(self, sender: Office, group: Group, kind: str) -> Rule | None:
        """Return the first rule that speaks about this message to a group as such."""
        return next((rule for rule in self.rules if rule.fits_group(sender, group, kind)), None)

    def meanings(self) -> dict[str, str]:
        """Return every identifier that the roll knows or has known, and whose it is."""
        offices = {form: office.code for office in self.by_code.values() for form in office.forms}
        return {**self.retired, **{code: f"group {code}" for code in self.groups}, **offices}

    def remembering(self, before: "Registry") -> "Registry":
        """Return this roll with every identifier that an earlier one knew and this one does not."""
        known = self.meanings()
        gone = {form: owner for form, owner in before.meanings().items() if form not in known}
        return replace(self, retired=self.retired | gone)

    @cached_property
    def known(self) -> Mapping[str, Any]:
        """What every office may know, JSON-ready: each office by its code, `groups` and `tiers`."""
        return {
            **{office.code: _entry(office) for office in self.by_code.values()},
            "groups": [asdict(self.groups[code]) for code in sorted(self.groups)],
            "tiers": [asdict(tier) for tier in sorted(self.tiers.values(), key=lambda tier: (tier.rank, tier.code))],
        }

    @cached_property
    def cursor(self) -> str:
        """Digest of what every office may know: equal where nothing of that is new."""
        return sha256(json.dumps(self.known, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:32]

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
        """Return the registry as JSON-ready rows: `{"kind": ..., "code": ..., "content": {...}}`.

        The kinds are office, tier, rule, group, retired for an identifier of the past, and one history.
        """
        rows = [{"kind": "office", "code": office.code, "content": _office_row(office)} for office in self.offices()]
        # By code, so that equal rolls have equal rows in whatever order a person wrote them.
        rows += [{"kind": "tier", "code": code, "content": asdict(self.tiers[code])} for code in sorted(self.tiers)]
        # Rules are tried in order, so their order is part of them.
        rows += [
            {"kind": "rule", "code": f"{number:06}", "content": asdict(rule)} for number, rule in enumerate(self.rules)
        ]
        rows += [{"kind": "group", "code": code, "content": asdict(self.groups[code])} for code in sorted(self.groups)]
        rows += [
            {"kind": "retired", "code": form, "content": {"of": self.retired[form]}} for form in sorted(self.retired)
        ]
        if self.history.number:
            rows.append({"kind": "history", "code": "", "content": asdict(self.history)})
        return rows

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> "Registry":
        """Return the registry that `to_rows` wrote."""
        content: dict[str, dict[str, dict[str, Any]]] = {
            kind: {} for kind in ("office", "tier", "rule", "group", "retired", "history")
        }
        for row in sorted(rows, key=lambda row: (row["kind"], row["code"])):
            content[row["kind"]][row["code"]] = dict(row["content"])
        roll = cls.of(
            map(_office, content["office"].values()),
            (Tier(**one) for one in content["tier"].values()),
            [Rule(**one) for one in content["rule"].values()],
            (Group(**one | {"members": tuple(one["members"])}) for one in content["group"].values()),
        )
        retired = {form: one["of"] for form, one in content["retired"].items()}
        return replace(roll, retired=retired, history=History(**content["history"].get("", {})))


_PRIVATE = (
    "adapter",
    "channel",
    "certificates",
    "dialect",
    "unsigned",
)  # Nobody's business, and somebody else's: the trust folder has them.


def _reached(begin: str, beyond: Callable[[str], frozenset[str]]) -> frozenset[str]:
    """Return all that is reached from a code, near or far, itself included."""
    found, asked = {begin}, [begin]
    while asked:
        new = beyond(asked.pop()) - found
        found |= new
        asked += new
    return frozenset(found)


def _entry(office: Office) -> dict[str, Any]:
    return {name: value for name, value in _plain(asdict(office)).items() if name not in _PRIVATE}


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in fields.items()}


_LATER = (
    "after_closing",
    "forward_to",
    "fields",
    "unit_code",
    "channel",
    "dialect",
    "unsigned",
)  # Not in the rows of every release.
_LISTS = ("aliases", "successors", "forward_to", "fields", "certificates")
_DATES = ("opened_on", "closed_on")
DEFAULTS = {one.name: one.default for one in fields(Office)}  # Of an office, by field.


def _office_row(office: Office) -> dict[str, Any]:
    """Return an office JSON-ready; what came later is left out where it says nothing: old rolls stay as they were."""
    return {
        name: value for name, value in _plain(asdict(office)).items() if name not in _LATER or value != DEFAULTS[name]
    }


def _office(row: dict[str, Any]) -> Office:
    read: dict[str, Any] = {name: tuple(value) if name in _LISTS else value for name, value in row.items()}
    read |= {name: date.fromisoformat(read[name]) for name in _DATES if read[name] is not None}
    closing = AfterClosing(read.get("after_closing", AfterClosing.REJECT))
    channel = Channel(read.get("channel", Channel.AMQP))
    unsigned = Unsigned(read.get("unsigned", Unsigned.REFUSE))
    known = {"status": Status(read["status"]), "after_closing": closing, "channel": channel, "unsigned": unsigned}
    return Office(**read | known)
