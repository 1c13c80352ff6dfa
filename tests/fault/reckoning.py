"""Reckoning: the books of all sides, compared.

What must hold however a trial went (docs/promises.md): every document that the
sender has noted was accepted, or it was told why not; every delivery ended;
each addressee's register holds each document once; the sender has heard every
receipt; and the invariants hold, as `axis audit` sees them.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fault.journal import lines

_GOOD = ("delivered", "registered")

Finding = tuple[str, str, str, str]  # Rule, envelope, addressee, text.


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What became of the documents of a trial."""

    documents: int
    lost: int  # Registered nowhere, or not at every addressee.
    doubled: int  # Registered twice.
    asked_twice: int  # Given to an addressee's system again, which knew them.
    excused: int  # Deliveries that ended otherwise, as they may in this trial, and the sender was told.
    unheard: int  # Whose receipts the sender has not all heard.
    unrefused: int  # Hostile envelopes that were not refused, or refusals of others.
    findings: tuple[Finding, ...]  # Of axis audit, without those that it had to make.
    overlooked: tuple[Finding, ...]  # What it had to find, and did not.
    recovered_s: float  # From the last fault until everything had ended.

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.doubled or self.unheard or self.unrefused or self.findings or self.overlooked)


@dataclass(frozen=True, slots=True)
class Books:
    """What the offices have written down."""

    sender: Path
    addressees: tuple[Path, ...]
    may_end: frozenset[str]
    others: tuple[str, ...]  # Documents of somebody who keeps no books.
    hostile: int  # Envelopes that were handed in and must be refused.
    forgotten: frozenset[str]  # Envelopes that were in custody before the ledger was taken back.

    def sent(self) -> list[str]:
        """Documents that the sender has noted."""
        return lines(self.sender / "sent")

    def accepted(self) -> int:
        """Documents that the sender has heard to be in custody."""
        heard = self._heard()
        return sum(("accepted", "") in heard[one] for one in self.sent())

    def delivered(self) -> int:
        """Deliveries that were made before their sender was told of another end."""
        heard = self._heard()
        ends = [(one, place.name) for one in self.sent() for place in self.addressees]
        return sum(not any((level, name) in heard[one] for level in self.may_end) for one, name in ends)

    def registered(self) -> list[list[str]]:
        """What each addressee has registered, by envelope id."""
        return [_envelopes(place) for place in self.addressees]

    def asked_twice(self) -> int:
        """Calls of an addressee's system for a document that it had been given before."""
        calls = [lines(place / "calls") for place in self.addressees]
        return sum(len(called) - len(set(called)) for called in calls)

    def _lost(self) -> int:
        """Deliveries that no register shows, though the sender was told of no other end."""
        wanted = {*self.sent(), *self.others}
        had = [{line.split()[2] for line in lines(place / "register")} for place in self.addressees]
        return sum(len(wanted - documents) for documents in had) - self.excused()

    def unheard(self) -> int:
        """Documents of which the sender has not heard every receipt."""
        heard = self._heard()
        return sum(not all(self._ended(heard[one], place.name) for place in self.addressees) for one in self.sent())

    def excused(self) -> int:
        """Deliveries that were not made, and may be so here."""
        heard = self._heard()
        return sum(self._excused(heard[one], place.name) for one in self.sent() for place in self.addressees)

    def _heard(self) -> dict[str, set[tuple[str, str]]]:
        """Return the receipts that the sender has heard about each document: level, addressee."""
        heard: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for line in lines(self.sender / "receipts"):
            level, document_id, addressee = line.split("\t")
            heard[document_id].add((level, addressee))
        return heard

    def _rejected(self) -> int:
        """Documents that were refused at the door, and the sender was told."""
        heard = self._heard()
        return sum(("rejected", "") in heard[one] for one in self.sent())

    def _ended(self, heard: set[tuple[str, str]], addressee: str) -> bool:
        good = ("accepted", "") in heard and all((level, addressee) in heard for level in _GOOD)
        return good or self._excused(heard, addressee)

    def _excused(self, heard: set[tuple[str, str]], addressee: str) -> bool:
        had = any((level, addressee) in heard for level in _GOOD)
        return not had and any((level, one) in heard for level in self.may_end for one in ("", addressee))

    def foreseen(self) -> set[Finding]:
        """Return what the audit must find: each effect that only the ledger of before explains."""
        had = ((place.name, one) for place in self.addressees for one in {*_envelopes(place)} & self.forgotten)
        return {("I4", one, office, "an effect of an envelope that was never accepted") for office, one in had}

    def reckon(self, report: dict[str, Any], recovered_s: float) -> Reckoning:
        """Count, with what `axis audit` has said at the end."""
        sent, registers, foreseen = self.sent(), self.registered(), self.foreseen()
        found = findings_in(report)
        return Reckoning(
            documents=len(sent) + len(self.others),
            lost=self._lost(),
            doubled=sum(len(register) - len(set(register)) for register in registers),
            asked_twice=self.asked_twice(),
            excused=self.excused(),
            unheard=self.unheard(),
            unrefused=abs(self.hostile + self._rejected() - int(report["rejections"])),
            findings=tuple(sorted(found - foreseen)),
            overlooked=tuple(sorted(foreseen - found)),
            recovered_s=recovered_s,
        )


def findings_in(report: dict[str, Any]) -> set[Finding]:
    """Return what `axis audit --json` has found."""
    return {(one["rule"], one["envelope_id"], one["addressee"], one["text"]) for one in report["findings"]}


def _envelopes(place: Path) -> list[str]:
    return [line.split()[0] for line in lines(place / "register")]
