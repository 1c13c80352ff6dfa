"""Answers: what an office's system says about a document.

A handler returns one of these; the counter makes signed receipts of it. A
refusal is an answer of the business and is never retried. Unavailable means "not
now", and that the document was not taken. Any other exception, and silence, says
nothing about what was done before: it is retried, the document counts as one that
may be here, and the text stays in the office, because receipts are read by
others. Only Permanent, Unavailable and Uncertain carry words that leave it.

An order is answered with Agreed or Declined, at once or later; Delivered says
that a clerk will decide.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from axis.edxml import codes
from axis.errors import fit

_MOST_CHARS = 1000  # Of one text, as in a receipt.
_OWN_ANSWER = {"02": "Refused", "03": "Registered"}


def _said(text: object) -> str:
    """Return a text as the state and a receipt can carry it; None, as a register has it for "not there", says nothing."""
    return "" if text is None else fit(str(text).strip(), _MOST_CHARS)


@dataclass(frozen=True, slots=True)
class Registered:
    """The document is in the incoming register under this number."""

    number: str
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "number", _said(self.number))
        object.__setattr__(self, "note", _said(self.note))
        if not self.number:
            raise ValueError("a registered document has a number")


@dataclass(frozen=True, slots=True)
class Refused:
    """The office does not take the document, for this reason. The originator reads it."""

    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", _said(self.reason))
        if not self.reason:
            raise ValueError("a refusal gives its reason")


@dataclass(frozen=True, slots=True)
class Delivered:
    """The office's system has the document; what a clerk decides is reported later."""


@dataclass(frozen=True, slots=True)
class Progress:
    """News of the work on a document: 01 arrived, 04 assigned, 05 in work, 06 done, ..."""

    status_code: str
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "note", _said(self.note))
        if self.status_code in _OWN_ANSWER:
            raise ValueError(f"status {self.status_code} is said with {_OWN_ANSWER[self.status_code]}")
        known = codes.STATUSES.get(self.status_code)
        if known is None:
            raise ValueError(f"no such status: {self.status_code}")
        if known.needs_reason and not self.note:
            raise ValueError(f"status {self.status_code} ({known.name}) needs a note")


@dataclass(frozen=True, slots=True)
class Agreed:
    """The office does what the order says. With a number: what came with it is in the incoming register."""

    note: str = ""
    number: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "note", _said(self.note))
        object.__setattr__(self, "number", _said(self.number))


@dataclass(frozen=True, slots=True)
class Declined:
    """The office does not do what the order says, for this reason. The originator reads it."""

    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", _said(self.reason))
        if not self.reason:
            raise ValueError("an order is declined with a reason")


class Permanent(Exception):
    """Trying again cannot help: a person must act. The reason is read by others."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Unavailable(Exception):
    """Not now, and nothing was taken; the delivery is tried again. The reason is read by others."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Uncertain(Exception):
    """The document may have been taken or not; the delivery is tried again. The reason is read by others."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


Answer = Registered | Refused | Delivered
Decision = Agreed | Declined | Delivered
Report = Registered | Refused | Progress | Agreed | Declined
Said = Answer | Decision | Report

_KINDS: Mapping[str, type[Said]] = {
    one.__name__.lower(): one for one in (Registered, Refused, Delivered, Progress, Agreed, Declined)
}


def dump(answer: Said) -> str:
    """Write an answer as it is kept in the office's state."""
    return json.dumps({"kind": type(answer).__name__.lower(), **asdict(answer)}, ensure_ascii=False)


def load(text: str) -> Said:
    """Read what `dump` wrote."""
    fields = json.loads(text)
    return _KINDS[fields.pop("kind")](**fields)
