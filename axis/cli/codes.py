"""`axis codes`: what a code of the catalogue means, who must act, and what happens next."""

from typing import Annotated

import typer

from axis.cli import options, output
from axis.edxml import catalogue


def codes(
    code: Annotated[str, typer.Argument(help="A code, SIG.DIGEST or 03; none: all of them.")] = "",
    json: options.Json = False,
) -> None:
    """Explain a code of an error, or of a status that an office reports; without one, list them all.

    Exit code: 0 it is in the catalogue, 1 it is not.

    Example: axis codes SIG.DIGEST
    """
    if not code:
        _list(json)
        return
    row = catalogue.find(code)
    if row is None:
        output.stop(f"Không có mã {code} / No such code", output.REFUSED)
    if json:
        output.as_json(row.as_dict())
        return
    lines = [
        f"{row.code}  {row.kind} · HTTP {row.http} · RFC 3463 {row.status}",
        f"  {_plain(row.vi)}",
        f"  {_plain(row.en)}",
        f"  → {row.who_must_act}: {row.next}",
    ]
    if row.needs_reason:
        lines.append("  phải có lý do / needs a reason")
    output.console.print("\n".join(lines), markup=False, soft_wrap=True)


def _plain(text: str) -> str:
    return text.replace("{detail}", "…")  # What exactly is said where it happens.


def _list(json: bool) -> None:
    if json:
        output.as_json([row.as_dict() for row in catalogue.rows()])
        return
    output.table(
        "",
        ("mã", "loại", "HTTP", "ai xử lý", "nghĩa"),
        [
            (row.code, row.kind, row.http, row.who_must_act, f"{_plain(row.vi)}\n{_plain(row.en)}")
            for row in catalogue.rows()
        ],
    )
