"""Receipt: one fact about one envelope, said by one office, and signed.

A receipt is written once and never edited; later news is a later receipt that
names the one before it. Each names the digest of the envelope's signed parts,
so it is about that content and no other.

Text that people wrote is made fit for XML when a receipt is built, so that a
receipt which exists can be signed and reads back equal to itself.

Spec: RFC 3464 §2.3.3 (action), RFC 3463 §2 (status); docs/protocol/receipts.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from axis.errors import Violation, fit, one_line


class Level(StrEnum):
    """What happened."""

    ACCEPTED = "accepted"  # The axis took custody of the envelope.
    REJECTED = "rejected"  # The axis refused the envelope, or one addressee of it.
    DELIVERED = "delivered"  # The addressee's adapter took custody.
    REGISTERED = "registered"  # The addressee's system gave it a number in the incoming register.
    REFUSED = "refused"  # The addressee refuses it.
    PROGRESS = "progress"  # News of the business: assigned, in work, done.
    DEFERRED = "deferred"  # Not yet; attempts go on.
    EXPIRED = "expired"  # The lifetime of the delivery is over.
    RECALLED = "recalled"  # The originator took it back: before it was delivered, or the addressee gave it up.
    FAILED = "failed"  # A dead letter: a person must act.
    REMINDED = "reminded"  # A deadline of the addressee is near, or over.
    HELD = "held"  # The addressee is closed: it is kept until it is decided who gets it instead.
    FORWARDED = "forwarded"  # Successors of the addressee get it instead.


class Party(StrEnum):
    """Who speaks, as seen from the delivery."""

    AXIS = "axis"
    ADDRESSEE = "addressee"
    NOTARY = "notary"  # The axis, on the unsigned word of an addressee.


_AXIS, _ADDRESSEE = frozenset({Party.AXIS}), frozenset({Party.ADDRESSEE})
_OR_NOTARY = _ADDRESSEE | {Party.NOTARY}

# Who may say what.
SAID_BY: Mapping[Level, frozenset[Party]] = MappingProxyType(
    {
        Level.ACCEPTED: _AXIS,
        Level.REJECTED: _AXIS,
        Level.DELIVERED: _OR_NOTARY,
        Level.REGISTERED: _OR_NOTARY,
        Level.REFUSED: _OR_NOTARY,
        Level.PROGRESS: _OR_NOTARY,
        Level.DEFERRED: _AXIS | _ADDRESSEE,
        Level.EXPIRED: _AXIS,
        Level.RECALLED: _AXIS | _ADDRESSEE,
        Level.FAILED: _AXIS | _ADDRESSEE,
        Level.REMINDED: _AXIS,
        Level.HELD: _AXIS,
        Level.FORWARDED: _AXIS,
    }
)


def party_of(level: Level, issuer: str, addressee: str | None) -> Party:
    """Return who speaks: the addressee, or else the axis; as a notary where it has nothing to say for itself."""
    if issuer == addressee:
        return Party.ADDRESSEE
    return Party.AXIS if Party.AXIS in SAID_BY[level] else Party.NOTARY


# The classes of RFC 3463 that go with a level. Giving up may carry class 4: the status is the last cause.
_CLASSES = {
    Level.ACCEPTED: "2",
    Level.REJECTED: "5",
    Level.DELIVERED: "2",
    Level.REGISTERED: "2",
    Level.REFUSED: "5",
    Level.PROGRESS: "2",
    Level.DEFERRED: "4",
    Level.EXPIRED: "45",
    Level.RECALLED: "25",
    Level.FAILED: "45",
    Level.REMINDED: "4",
    Level.HELD: "4",
    Level.FORWARDED: "2",
}

# What an addressee says with `recalled`: it agreed. Without a code it is the axis's word, about what still waited.
_AGREED = "15"

# Levels that may be about the envelope as a whole.
_ABOUT_ALL = frozenset({Level.ACCEPTED, Level.REJECTED})

VERDICTS = ("served", "refused")  # On each addressee of an accepted envelope; on each heir that it is forwarded to.

MAX_VIOLATIONS = 200  # As many as the schema gate lists; a file with more is not what it claims to be.
MAX_RECEIPT_BYTES = 4 * 1024 * 1024  # A word about each of 5,000 addressees.
_MAX_REASON_CHARS = 1000  # Decision of the national document systems for a refusal's reason.
_MAX_ID_CHARS = 100

_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_STATUS_CODE = re.compile(r"[0-9]{2}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CODE = re.compile(r"[A-Z]+(\.[A-Z0-9_]+)+")


class Verdict(NamedTuple):
    """What an acceptance says about one addressee, or a receipt that something is forwarded about one heir."""

    code: str
    verdict: str  # One of VERDICTS.
    reason: str
    addressed: str = ""  # What the originator wrote, where that is not the code alone.


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is said. Building a contradictory one raises ValueError."""

    level: Level
    issuer: str  # OrganId of the office that says it.
    originator: str
    document_id: str
    envelope_id: str  # "" for an envelope that was rejected before it had one.
    envelope_digest: str  # Of the signed parts; of the file as received where the envelope was rejected.
    addressee: str | None  # None: about the whole envelope.
    previous: str | None  # Digest of the receipt before this one.
    at: datetime
    status: str  # RFC 3463.
    status_code: str | None = None  # edXML business status, e.g. "03".
    number: str | None = None  # In the addressee's incoming register.
    reason: str = ""  # The originator reads it: no hosts, keys, traces.
    code: str | None = None  # Of the catalogue of errors.
    violations: tuple[Violation, ...] = ()
    addressees: tuple[Verdict, ...] = ()  # Of ACCEPTED and FORWARDED.
    attempt: int | None = None
    next_at: datetime | None = None
    who_must_act: str = ""

    def __post_init__(self) -> None:
        self._require_sense()
        put = object.__setattr__  # The value is frozen from here on.
        put(self, "level", Level(self.level))
        put(self, "at", self.at.astimezone(UTC))
        put(self, "next_at", None if self.next_at is None else self.next_at.astimezone(UTC))
        put(self, "document_id", one_line(self.document_id))
        put(self, "number", one_line(self.number or "") or None)
        put(self, "code", self.code or None)
        put(self, "reason", fit(self.reason, _MAX_REASON_CHARS))
        put(self, "who_must_act", fit(self.who_must_act, _MAX_ID_CHARS))
        put(self, "violations", tuple(map(_fit_violation, self.violations[:MAX_VIOLATIONS])))
        put(self, "addressees", tuple(map(_fit_verdict, self.addressees)))

    def _require_sense(self) -> None:
        """Refuse a receipt that contradicts itself."""
        if not _STATUS.fullmatch(self.status) or self.status[0] not in _CLASSES[self.level]:
            raise ValueError(f"a receipt “{self.level}” cannot carry status {self.status}")
        if self.at.tzinfo is None or (self.next_at is not None and self.next_at.tzinfo is None):
            raise ValueError("a receipt needs aware times")
        if not self.addressee and (self.addressee is not None or self.level not in _ABOUT_ALL):
            raise ValueError(f"a receipt “{self.level}” names its addressee")
        ids = [self.issuer, self.originator, self.addressee or "-", self.envelope_id or "-"]
        ids += [one.code for one in self.addressees]
        if not all(one and fit(one, _MAX_ID_CHARS) == one for one in ids):
            raise ValueError(f"an identifier has 1 to {_MAX_ID_CHARS} characters")
        if any(one.verdict not in VERDICTS for one in self.addressees):
            raise ValueError(f"a verdict is one of {', '.join(VERDICTS)}")
        for digest in (self.envelope_digest, self.previous):
            if digest is not None and not _DIGEST.fullmatch(digest):
                raise ValueError("a digest is 64 lower-case hex digits")
        if self.status_code is not None and not _STATUS_CODE.fullmatch(self.status_code):
            raise ValueError(f"not an edXML status code: {self.status_code}")
        if self.level is Level.RECALLED and self.party is Party.ADDRESSEE and self.status_code != _AGREED:
            raise ValueError(f"an addressee says “{self.level}” with status code {_AGREED}")
        if self.code and not _CODE.fullmatch(self.code):
            raise ValueError(f"not a code of the catalogue: {self.code}")
        if self.attempt is not None and self.attempt < 0:
            raise ValueError("attempts are counted from 0")

    @property
    def party(self) -> Party:
        """Who speaks."""
        return party_of(self.level, self.issuer, self.addressee)

    @property
    def verified(self) -> bool:
        """Whether it is signed by whose word it is."""
        return self.party is not Party.NOTARY


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt with the bytes that prove it."""

    receipt: Receipt
    xml: bytes
    digest: str  # SHA-256 of `xml`, in hex; how later receipts name this one.


def _fit_verdict(one: Verdict) -> Verdict:
    return one._replace(reason=one_line(one.reason), addressed=one_line(one.addressed))


def _fit_violation(found: Violation) -> Violation:
    return replace(
        found,
        path=one_line(found.path),
        rule=one_line(found.rule),
        vi=one_line(found.vi),
        en=one_line(found.en),
        who_must_act=str(found.who_must_act),
        next=one_line(found.next),
    )
