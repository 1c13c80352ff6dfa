"""Reckoning: what the ledger says at the end, against what ought to be there.

Every number of the last line is counted from the ledger; every receipt is
written to a file and verified again from that file alone.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from axis import clock, ids, ledger, receipts, registry, seal
from axis.errors import AxisError
from axis.receipts import SignedReceipt
from tests.demo.day import Handed

WAITING = ("queued", "sent", "deferred", "dead")
_REJECTED = "rejected"
_REFUSED = "02"  # QCVN 102:2016, status code: the addressee refuses to receive.
_STATES = {
    "delivered": ("đã đến", "green"),
    "refused": ("từ chối", "yellow"),
    "expired": ("quá hạn", "yellow"),
    "recalled": ("thu hồi", "yellow"),
    "dead": ("thư chết", "red"),
}


@dataclass(slots=True)
class Reckoning:
    """What was counted."""

    documents: int = 0
    deliveries: int = 0
    verified: int = 0
    refused: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)
    rows: list[tuple[str, str, str, str, str, str, str]] = field(default_factory=list)

    @property
    def line(self) -> str:
        """The last line."""
        return (
            f"demo: {self.documents} documents, {self.deliveries} deliveries, {self.verified} receipts verified, "
            f"{self.refused} refused with reasons, {self.lost} lost"
        )

    @property
    def good(self) -> bool:
        """Whether all is as it ought to be."""
        return not self.lost and not self.wrong

    def show(self, console: Console) -> None:
        """Write the table document x addressee x state x time."""
        grid = Table(title="văn bản × nơi nhận × trạng thái × thời gian", title_justify="left")
        for column in ("từ / from", "số / code", "nơi nhận / to", "trạng thái / state", "số đến / no.", "giây / s"):
            grid.add_column(column, no_wrap=True)
        grid.add_column("lý do / reason", overflow="fold", ratio=1)
        for *cells, reason in self.rows:
            word, style = _STATES.get(cells[3], (cells[3], ""))
            grid.add_row(
                *cells[:3], f"{word} / {cells[3]}" if word != cells[3] else word, *cells[4:], reason, style=style
            )
        console.print(grid)


def fate(row: ledger.DeliveryRow) -> str:
    """Return what became of a delivery: its state, or the answer of a person who refused what had arrived."""
    return "refused" if row.business == _REFUSED else row.state


async def settled(book: ledger.Ledger, handed: Sequence[Handed]) -> bool:
    """Tell whether nothing is on its way any more, notices and the answers of clerks included."""
    figures = await book.figures(clock.now())
    if any(figures.waiting.get(state, 0) for state in WAITING) or figures.outbox_lag_s > 0.0:
        return False
    refused = sum(list(one.fates.values()).count("refused") for one in handed)
    rows = [row for one in await book.envelopes() for row in await book.deliveries_of(one.envelope_id)]
    return sum(fate(row) == "refused" for row in rows) >= refused


async def reckon(book: ledger.Ledger, handed: Sequence[Handed], trust: Path, folder: Path) -> Reckoning:
    """Count, export, verify and compare.

    Args:
        book: The ledger.
        handed: What was handed in, and what ought to have become of it.
        trust: Trust folder of the axis, with the roll.
        folder: Where receipts are written, one file each.
    """
    result = Reckoning()
    envelopes = await book.envelopes()
    rejections = await book.rejections()
    result.documents = len(envelopes) + len(rejections)
    by_id = {(one.originator, one.document_id): one for one in envelopes}
    for envelope in sorted(envelopes, key=lambda one: one.accepted_at):
        rows = await book.deliveries_of(envelope.envelope_id)
        said = await book.receipts_of(envelope.envelope_id)
        numbers = _numbers(said, trust)
        for row in rows:
            became = fate(row)
            result.deliveries += 1
            result.refused += became == "refused"
            if became == "refused" and not row.reason:
                result.wrong.append(f"{row.document_id} → {row.addressee}: refused without a reason")
            seconds = (row.updated_at - envelope.accepted_at).total_seconds()
            result.rows.append(
                (envelope.originator, envelope.code, row.addressee, became, numbers.get(row.addressee, ""),
                 f"{seconds:.1f}", row.reason)
            )  # fmt: skip
    for one in rejections:
        result.refused += 1
        reasons = "; ".join(str(found["vi"]) for found in one["violations"])
        result.rows.append((one["submitter"], "—", "—", "trả lại / rejected", "", "—", reasons))
        if not reasons:
            result.wrong.append(f"{one['submitter']}: rejected without a reason")
    await _verify(book, trust, folder, result)
    await _compare(book, handed, by_id, rejections, result)
    return result


def _numbers(said: Sequence[ledger.ReceiptRow], trust: Path) -> dict[str, str]:
    """Return the incoming numbers that addressees gave."""
    believed, now = _trust(trust), clock.now()
    read = [receipts.read_receipt(one.xml, believed, at=now).receipt for one in said if one.level == "registered"]
    return {one.addressee: one.number for one in read if one.addressee and one.number}


def _trust(folder: Path) -> seal.Trust:
    authorities, crls = seal.load_authorities(folder)
    return registry.load_offices(folder / "offices.toml").trust(authorities, crls)


async def _verify(book: ledger.Ledger, trust: Path, folder: Path, result: Reckoning) -> None:
    """Write every receipt to a file, then believe only the files."""
    places: dict[str, Path] = {}
    for envelope in await book.envelopes():
        name = f"{envelope.code.replace('/', '-')} {envelope.originator} {ids.short(envelope.envelope_id)}"
        places |= {one.digest: folder / name for one in await book.receipts_of(envelope.envelope_id)}
    for one in await book.receipts():
        place = places.get(one.digest, folder / _REJECTED)  # A rejection is about no envelope of the ledger.
        place.mkdir(parents=True, exist_ok=True)
        name = f"{one.at:%H%M%S} {one.level} {one.issuer} {one.addressee or 'all'} {one.digest[:8]}.xml"
        (place / name).write_bytes(one.xml)
    believed, now = _trust(trust), clock.now()
    for place in sorted(folder.iterdir()):
        chain: list[SignedReceipt] = []
        for file in sorted(place.iterdir()):
            try:
                chain.append(receipts.read_receipt(file.read_bytes(), believed, at=now, axis="H56.TRUC"))
            except AxisError as error:
                result.wrong.append(f"{file}: {error}")
        if place.name != _REJECTED:
            try:
                receipts.check_chain(chain)
            except AxisError as error:
                result.wrong.append(f"{place}: {error}")
        result.verified += len(chain)


async def _compare(
    book: ledger.Ledger,
    handed: Sequence[Handed],
    by_id: dict[tuple[str, str], ledger.EnvelopeRow],
    rejections: Sequence[dict[str, Any]],
    result: Reckoning,
) -> None:
    """Find every document that was handed in, with the fate that it ought to have."""
    audit = await book.audit(clock.now())
    result.lost += len(audit.findings)
    result.wrong += [
        f"audit: {found.rule} {found.envelope_id} {found.addressee}: {found.text}" for found in audit.findings
    ]
    told: dict[tuple[str, ...], int] = defaultdict(int)
    for rejection in rejections:
        told[tuple(sorted(str(found["code"]) for found in rejection["violations"]))] += 1
    for one in handed:
        if one.codes:
            told[tuple(sorted(one.codes))] -= 1
            if told[tuple(sorted(one.codes))] < 0:
                result.lost += 1
                result.wrong.append(f"{one.title}: no rejection with {one.codes}")
            continue
        envelope = by_id.get((one.originator, one.document_id))
        if envelope is None:
            result.lost += 1
            result.wrong.append(f"{one.title}: {one.document_id} is not in the ledger")
            continue
        states = {row.addressee: fate(row) for row in await book.deliveries_of(envelope.envelope_id)}
        if states != one.fates:
            result.wrong.append(f"{one.title}: expected {one.fates}, is {states}")
