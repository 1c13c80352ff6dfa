"""`axis deadlines`: which office is to do what by when, and who is late."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from axis import clock, ledger
from axis.cli import ledgers, options, output

_WORDS = {"register": "vào sổ", "process": "xử lý xong"}


def deadlines(
    office: Annotated[str | None, typer.Option(help="Of this addressee alone, by its OrganId.")] = None,
    within: Annotated[
        int,
        typer.Option(
            help="Due within so many hours from now; what is overdue is always listed.", min=0, max=options.MOST_HOURS
        ),
    ] = 24,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what is overdue.")] = False,
    summary: Annotated[
        bool, typer.Option("--summary", help="How punctually each office registered what it got.")
    ] = False,
    days: Annotated[
        int, typer.Option(help="With --summary: of what was accepted in so many days.", min=1, max=36525)
    ] = 30,
    limit: Annotated[
        int, typer.Option(help="At most so many, the first to end first.", min=1, max=options.MOST_NUMBER)
    ] = 1000,
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """List what offices are to register or to be done with soon, or should have been, in the time of Viet Nam.

    With --summary, how many documents each office had to register, how many of them it registered in time (03, or another
    answer), later, or not yet; the rate is of those whose time is over or that are registered.

    Example: axis deadlines --office H56.112 --overdue
    """
    now = clock.now()

    async def read() -> list[dict[str, Any]]:
        async with ledgers.opened(data) as book:
            if summary:
                since = now - timedelta(days=days)
                return [_punctuality(one) for one in await book.punctuality(now, since=since, office=office)]
            until = now if overdue else now + timedelta(hours=within)
            return [_running(row, now) for row in await book.running(until=until, office=office, limit=limit)]

    rows = output.run(read())
    if json:
        output.as_json(rows)
    elif not rows:
        output.console.print("Không có / None")
    elif summary:
        _show_summary(rows)
    else:
        _show(rows)


def _running(row: ledger.DeliveryRow, now: datetime) -> dict[str, Any]:
    return {
        "office": row.addressee,
        "originator": row.originator,
        "document_id": row.document_id,
        "envelope_id": row.envelope_id,
        "priority": row.priority,
        "business": row.business,
        "due_by": row.due_by,
        "overdue": row.is_overdue(now),
        "what": [what for what, by in _clocks(row) if by == row.due_by],
        "register_by": row.register_by,
        "registered_at": row.registered_at,
        "process_by": row.process_by,
        "done_at": row.done_at,
    }


def _clocks(row: ledger.DeliveryRow) -> list[tuple[str, datetime | None]]:
    """Return the clocks that run, and when they end."""
    return [
        ("register", row.register_by if row.registered_at is None else None),
        ("process", row.process_by if row.done_at is None else None),
    ]


def _punctuality(one: ledger.Punctuality) -> dict[str, Any]:
    return {
        "office": one.office,
        "documents": one.documents,
        "on_time": one.on_time,
        "late": one.late,
        "overdue": one.overdue,
        "rate": None if one.rate is None else round(one.rate, 4),
    }


def _show(rows: list[dict[str, Any]]) -> None:
    output.table(
        "",
        ("hạn", "", "việc", "nơi nhận", "văn bản", "độ khẩn", "nghiệp vụ"),
        [
            (
                f"{row['due_by'].astimezone(clock.VIETNAM):%d/%m/%Y %H:%M}",
                "quá hạn" if row["overdue"] else "",
                ", ".join(_WORDS[what] for what in row["what"]),
                row["office"],
                row["document_id"],
                row["priority"],
                row["business"],
            )
            for row in rows
        ],
    )


def _show_summary(rows: list[dict[str, Any]]) -> None:
    output.table(
        "",
        ("nơi nhận", "văn bản", "đúng hạn", "muộn", "quá hạn", "tỷ lệ đúng hạn"),
        [
            (
                row["office"],
                row["documents"],
                row["on_time"],
                row["late"],
                row["overdue"],
                "" if row["rate"] is None else f"{row['rate']:.1%}",
            )
            for row in rows
        ],
    )
