"""Reckoning: the books of all sides, compared.

What must hold however a trial went (docs/promises.md): every document that was
handed in was accepted, or its originator was told why not; every delivery
ended, and its originator has heard every receipt; every addressee's system was
given each document once; and the invariants hold, as `axis audit` sees them.

An addressee's register has a line for each call of its system that took a
document, and knows nothing of those before. A second line for a document, under
whatever envelope id, is a double - but for the one case that docs/adapters.md
tells integrators of: the process died before its answer was kept.
"""

import contextlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.fault.journal import lines

_GOOD = ("delivered", "registered")
_GIVEN_UP, _EXPIRED = "recalled", "expired"  # Levels.
_YES, _NO = ("15", _GIVEN_UP), "16"  # Answers to an order: statuses, and that there was nothing for it to do.
_ANSWERED = (  # After one of these an office's system is not asked again.
    "SELECT document_id, min(said_at) FROM said JOIN envelopes USING (envelope_id)"
    " WHERE said.level IN ('delivered', 'registered', 'refused') GROUP BY document_id"
)

Finding = tuple[str, str, str, str]  # Rule, envelope, addressee, text.
_Delivery = tuple[str, str]  # Document, addressee.
_Heard = dict[str, set[tuple[str, str]]]  # Of each document: levels, and statuses, with whom they are about.


@dataclass(frozen=True, slots=True)
class Other:
    """A document that a trial itself has handed in, and who must get it."""

    document_id: str
    addressees: tuple[str, ...]
    told: frozenset[tuple[str, str]] = frozenset()  # Levels, and about whom, that must be heard of it besides.


@dataclass(frozen=True, slots=True)
class Order:
    """A recall that a trial itself has handed in."""

    document_id: str
    addressees: tuple[str, ...]
    about: str  # Document that is to be given up.


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an addressee's system that took a document: a line of its register."""

    envelope_id: str
    digest: str
    document_id: str
    run: str  # Of the office's process.
    at: datetime  # When it began, by the office's clock.

    @classmethod
    def read(cls, line: str) -> "Call":
        """Read a line."""
        envelope_id, digest, document_id, run, at = line.split()
        return cls(envelope_id, digest, document_id, run, datetime.fromisoformat(at))

    def __str__(self) -> str:
        """Write the line; envelope and digest stand where `axis audit --effects` looks for them."""
        return f"{self.envelope_id} {self.digest} {self.document_id} {self.run} {self.at.isoformat()}"


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What became of the documents of a trial."""

    documents: int
    lost: int  # Registered nowhere, or not at every addressee.
    doubled: int  # Given to an addressee's system again, though it had answered for them or nothing had died.
    asked_again: int  # Given to it again, as it may happen where its process dies.
    excused: int  # Deliveries that ended otherwise, as they may in this trial, and the originator was told.
    unheard: int  # Whose receipts the originator has not all heard.
    disobeyed: int  # Answers to orders that there are not, or that are not what became of the document.
    unrefused: int  # Hostile envelopes that were not refused, or refusals of others.
    findings: tuple[Finding, ...]  # Of axis audit, without those that it had to make.
    overlooked: tuple[Finding, ...]  # What it had to find, and did not.
    recovered_s: float  # From the last fault until everything had ended.

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        wrong = (self.lost, self.doubled, self.unheard, self.disobeyed, self.unrefused)
        return not (any(wrong) or self.findings or self.overlooked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the offices have written down."""

    sender: Path
    flooder: Path  # Of the office for which the trial itself has handed in the others.
    addressees: tuple[Path, ...]
    may_end: frozenset[str] = frozenset()
    may_be_asked_again: bool = False  # An addressee's process dies in this trial.
    others: tuple[Other, ...] = ()
    orders: tuple[Order, ...] = ()
    hostile: int = 0  # Envelopes that were handed in and must be refused.
    forgotten: frozenset[str] = frozenset()  # Envelopes that were in custody before the ledger was taken back.

    def sent(self) -> list[str]:
        """Documents that the sender has noted."""
        return lines(self.sender / "sent")

    def accepted(self) -> int:
        """Documents that the sender has heard to be in custody."""
        heard = _heard(self.sender)
        return sum(("accepted", "") in heard[one] for one in self.sent())

    def delivered(self) -> int:
        """Deliveries that were made before their sender was told of another end."""
        heard = _heard(self.sender)
        ends = [(one, place.name) for one in self.sent() for place in self.addressees]
        return sum(not any((level, name) in heard[one] for level in self.may_end) for one, name in ends)

    def registered(self) -> list[set[str]]:
        """Envelopes that each addressee has registered."""
        return [{call.envelope_id for call in _calls(place)} for place in self.addressees]

    def registered_at(self, office: str) -> set[str]:
        """Documents that an addressee has registered."""
        return {call.document_id for place in self.addressees if place.name == office for call in _calls(place)}

    # --- lost ------------------------------------------------------------------------------

    def _wanted(self) -> dict[Path, list[_Delivery]]:
        """Return the deliveries that must be made, by the books of who handed them in."""
        sent = [(one, place.name) for one in self.sent() for place in self.addressees]
        return {
            self.sender: sent,
            self.flooder: [(one.document_id, to) for one in self.others for to in one.addressees],
        }

    def _lost(self) -> set[_Delivery]:
        """Deliveries that no register shows, though their originator was told of no other end."""
        wanted = {one for some in self._wanted().values() for one in some}
        had = {(call.document_id, place.name) for place in self.addressees for call in _calls(place)}
        return wanted - had - self._excused()

    def _excused(self) -> set[_Delivery]:
        """Deliveries that were not made, and may be so here."""
        heard = {book: _heard(book) for book in self._wanted()}
        return {one for book, some in self._wanted().items() for one in some if self._is_excused(heard[book], one)}

    def unheard(self) -> int:
        """Documents and orders of which their originator has not heard every receipt."""
        heard = {book: _heard(book) for book in self._wanted()}
        waiting = {one[0] for book, some in self._wanted().items() for one in some if not self._ended(heard[book], one)}
        told = heard[self.flooder]
        waiting |= {one.document_id for one in self.others if not one.told <= told[one.document_id]}
        waiting |= {one.document_id for one in self.orders if not all(self._answers(told, one))}
        return len(waiting)

    def _disobeyed(self) -> int:
        """Answers to orders, where somebody has said yes and not given the document up, or no and given it up, or nothing."""
        heard = _heard(self.flooder)
        return sum(
            not answer or ((_GIVEN_UP, to) in heard[one.about]) != (answer in _YES)
            for one in self.orders
            for to, answer in zip(one.addressees, self._answers(heard, one), strict=True)
            if answer != _EXPIRED
        )

    def _answers(self, heard: _Heard, order: Order) -> list[str]:
        """Return how each addressee, or the axis for it, has answered an order: a word, "" for nothing so far."""
        told = heard[order.document_id]
        accepted = ("accepted", "") in told
        return [
            next((word for word in (*_YES, _NO, _EXPIRED) if accepted and (word, to) in told), "")
            for to in order.addressees
        ]

    def _rejected(self) -> int:
        """Documents that were refused at the door, and the sender was told."""
        heard = _heard(self.sender)
        return sum(("rejected", "") in heard[one] for one in self.sent())

    def _ended(self, heard: _Heard, one: _Delivery) -> bool:
        document_id, addressee = one
        told = heard[document_id]
        good = ("accepted", "") in told and all((level, addressee) in told for level in _GOOD)
        return good or self._is_excused(heard, one)

    def _is_excused(self, heard: _Heard, one: _Delivery) -> bool:
        document_id, addressee = one
        told = heard[document_id]
        had = any((level, addressee) in told for level in _GOOD)
        return not had and any((level, one) in told for level in self.may_end for one in ("", addressee))

    # --- doubled ---------------------------------------------------------------------------

    def asked_again(self) -> int:
        """Calls of an addressee's system for a document that it had taken before."""
        return sum(1 for place in self.addressees for _ in _again(place))

    def _doubled(self) -> list[tuple[Path, Call]]:
        """Calls that ought not to have been made.

        A system is asked again only by another process than the one that it has told that it has the document, and
        only if that one has kept no answer of its: those of a dead process, and nothing else, are open.
        """
        found = []
        for place in self.addressees:
            again = list(_again(place))
            answered = _answered(place) if again and self.may_be_asked_again else {}
            for before, call in again:
                since = answered.get(call.document_id)
                may_be = self.may_be_asked_again and before.run != call.run and (since is None or call.at <= since)
                if not may_be:
                    found.append((place, call))
        return found

    # --- what the audit says ---------------------------------------------------------------

    def foreseen(self) -> set[Finding]:
        """Return what the audit must find: effects that only the ledger of before explains, and those of who was asked again."""
        phantom = "an effect of an envelope that was never accepted"
        wrong = {(place, call.envelope_id) for place, call in self._doubled()}
        found: set[Finding] = set()
        for place in self.addressees:
            times = Counter(call.envelope_id for call in _calls(place))
            found |= {("I4", one, place.name, phantom) for one in times.keys() & self.forgotten}
            found |= {
                ("I2", one, place.name, f"{number} effects of one envelope")
                for one, number in times.items()
                if number > 1 and (place, one) not in wrong
            }
        return found

    def reckon(self, report: dict[str, Any], recovered_s: float) -> Reckoning:
        """Count, with what `axis audit` has said at the end."""
        foreseen, found, doubled = self.foreseen(), findings_in(report), len(self._doubled())
        return Reckoning(
            documents=len(self.sent()) + len(self.others),
            lost=len(self._lost()),
            doubled=doubled,
            asked_again=self.asked_again() - doubled,
            excused=len(self._excused()),
            unheard=self.unheard(),
            disobeyed=self._disobeyed(),
            unrefused=abs(self.hostile + self._rejected() - int(report["rejections"])),
            findings=tuple(sorted(found - foreseen)),
            overlooked=tuple(sorted(foreseen - found)),
            recovered_s=recovered_s,
        )


def findings_in(report: dict[str, Any]) -> set[Finding]:
    """Return what `axis audit --json` has found."""
    return {(one["rule"], one["envelope_id"], one["addressee"], one["text"]) for one in report["findings"]}


def _heard(book: Path) -> _Heard:
    """Return what an office has heard in receipts."""
    heard: _Heard = defaultdict(set)
    for line in lines(book / "receipts"):
        level, document_id, addressee, status = line.split("\t")
        heard[document_id] |= {(level, addressee), (status, addressee)}
    return heard


def _calls(place: Path) -> list[Call]:
    return [Call.read(line) for line in lines(place / "register")]


def _again(place: Path) -> Iterator[tuple[Call, Call]]:
    """Yield each call for a document that its system has taken before, behind the one before it."""
    last: dict[str, Call] = {}
    for call in _calls(place):
        if call.document_id in last:
            yield last[call.document_id], call
        last[call.document_id] = call


def _answered(place: Path) -> dict[str, datetime]:
    """Return when an office first had an answer about each document in its state, by its clock."""
    with contextlib.closing(sqlite3.connect(f"file:{place / 'state' / 'state.sqlite'}?mode=ro", uri=True)) as state:
        return {document_id: datetime.fromisoformat(at) for document_id, at in state.execute(_ANSWERED)}
