"""`axis track`: what became of a document."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from axis import clock, ids, ledger
from axis.cli import ledgers, options, output
from axis.dispatch.states import WAITING

# What brings a delivery back that waited for a person or had ended; nobody signs it.
_MOVES = {
    "delivery.replayed": "phát lại / replayed",
    "delivery.released": "cho đi tiếp / released",
    "delivery.begun_anew": "gửi lại, bắt đầu lại / submitted again, begun anew",
}


def track(
    document: Annotated[
        str, typer.Argument(help="Document id, number/notation, or envelope id (its last six characters are enough).")
    ],
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """Show where a document is, addressee by addressee: state, reason, next attempt, who must act.

    Example: axis track "125/SKHCN-CĐS"
    """
    found = output.run(_read(document, data))
    if json:
        output.as_json(found)
    elif not found:
        output.stop(f"Không có văn bản nào: {document} / No such document", output.REFUSED)
    else:
        for one in found:
            _show(one)
    if not found:
        raise typer.Exit(output.REFUSED)


async def _read(document: str, data: options.Data) -> list[dict[str, Any]]:
    async with ledgers.opened(data) as book:
        return [await _story(book, envelope) for envelope in await book.find_envelopes(document)]


async def _story(book: ledger.Ledger, envelope: ledger.EnvelopeRow) -> dict[str, Any]:
    rows = await book.deliveries_of(envelope.envelope_id)
    said = await book.receipts_of(envelope.envelope_id)
    events = await book.events_of(envelope.envelope_id)
    return asdict(envelope) | {
        "verified": envelope.verified,
        "deliveries": [_delivery(row, clock.now()) for row in rows],
        "receipts": [
            {
                "level": one.level,
                "issuer": one.issuer,
                "verified": one.verified,
                "addressee": one.addressee,
                "at": one.at,
                "digest": one.digest,
            }
            for one in said
        ],
        "moves": [
            {"event": one["event"], "addressee": one["addressee"], "at": one["at"]}
            for one in events
            if one["event"] in _MOVES
        ],
        "family": [await _related(book, one) for one in await book.family(envelope.envelope_id)],
    }


async def _related(book: ledger.Ledger, relation: ledger.Relation) -> dict[str, Any]:
    """Return a relation with the numbers that people know the two documents by."""
    speaker, about = await book.envelope(relation.envelope_id), await book.envelope(relation.about)
    codes = {"code": speaker and speaker.code, "about_code": about and about.code}
    return asdict(relation) | codes


def _delivery(row: ledger.DeliveryRow, now: datetime) -> dict[str, Any]:
    return asdict(row) | {"waits_for_its_hour": row.waits_for_its_hour(now), "overdue": row.is_overdue(now)}


def _deadline(row: dict[str, Any]) -> str:
    """Say by when something must happen: that it is released, or delivered, or that its addressee answers."""
    if row["waits_for_its_hour"]:
        return f"phát hành {_local(row['release_at'])}"
    if row["state"] in WAITING:
        return f"hết hạn {_local(row['expires_at'])}"
    return f"{'quá hạn' if row['overdue'] else 'đến'} {_local(row['due_by'])}" if row["due_by"] else ""


def _addressee(row: dict[str, Any]) -> str:
    return f"{row['addressee']} (thay {row['in_place_of']})" if row["in_place_of"] else str(row["addressee"])


def _local(at: datetime) -> str:
    return f"{at.astimezone(clock.VIETNAM):%d/%m/%Y %H:%M}"


def _receipt(one: dict[str, Any]) -> str:
    notary = "" if one["verified"] else f"  ({output.BY_NOTARY})"
    return f"{one['level']:<10}  {one['issuer']}  → {one['addressee'] or '*'}{notary}"


def _show(story: dict[str, Any]) -> None:
    output.console.print(f"{story['code']}  {story['subject']}", style="bold", markup=False)
    output.console.print(
        f"  {story['originator']} · {story['document_id']} · {story['envelope_id']} · {story['accepted_at']:%Y-%m-%d %H:%M:%S}Z",
        markup=False,
    )
    if not story["verified"]:
        output.console.print(f"  {output.UNVERIFIED} · {story['original']}", style="yellow", markup=False)
    output.table(
        "",
        ("nơi nhận", "trạng thái", "nghiệp vụ", "lần", "lý do", "thử lại", "hạn", "ai xử lý"),
        [
            (
                _addressee(row),
                row["state"],
                row["business"],
                row["attempts"],
                "chờ đến giờ hẹn" if row["waits_for_its_hour"] else row["reason"],
                f"{row['next_at']:%H:%M:%S}Z" if row["next_at"] else "",
                _deadline(row),
                row["who_must_act"],
            )
            for row in story["deliveries"]
        ],
    )
    said = [(one["at"], _receipt(one)) for one in story["receipts"]]
    moved = [(one["at"], f"{_MOVES[one['event']]}  → {one['addressee']}") for one in story["moves"]]
    for at, text in sorted([*said, *moved], key=lambda line: line[0]):
        output.console.print(f"  {at:%Y-%m-%d %H:%M:%S}Z  {text}", markup=False)
    for one in story["family"]:
        for_whom = f"  → {', '.join(one['addressees'])}" if one["addressees"] else ""
        output.console.print(
            f"  {one['code']} ({ids.short(one['envelope_id'])})  {one['kind']}  {one['about_code']} ({ids.short(one['about'])}){for_whom}",
            markup=False,
        )
