"""`axis offices`: the roll of offices, in the file and in the ledger."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from axis import clock, ledger, private, registry
from axis.cli import ledgers, options, output
from axis.registry import columns, importing, sheets

app = typer.Typer(no_args_is_help=True, help="The roll of offices: list, check, load, and tables of offices.")

_File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A roll, e.g. config/offices.toml.")]


@app.command("list")
def list_them(
    file: Annotated[
        Path | None, typer.Option("--file", exists=True, dir_okay=False, help="Read this roll instead of the ledger.")
    ] = None,
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """List the offices that take part: from the ledger, or from a file.

    Example: axis offices list --file config/offices.toml
    """

    roll = output.run(_roll(file, data))
    if json:
        output.as_json([_facts(office) for office in roll.offices()])
        return
    rows = [
        (
            office.code,
            office.code102,
            office.name,
            office.tier,
            office.status,
            ", ".join(office.successors),
            len(office.certificates),
        )
        for office in roll.offices()
    ]
    output.table("", ("mã", "mã QCVN 102", "tên", "cấp", "trạng thái", "kế thừa", "chứng thư"), rows)
    if roll.groups:
        groups = [(code, group.name, len(roll.members(group))) for code, group in sorted(roll.groups.items())]
        output.table("", ("mã nhóm", "tên", "đơn vị"), groups)


async def _roll(file: Path | None, data: options.Data) -> registry.Registry:
    if file is not None:
        return registry.load_offices(file)
    async with ledgers.opened(data) as book:
        return await ledgers.roll_of(book)


def _facts(office: registry.Office) -> dict[str, Any]:
    return asdict(office) | {"certificates": len(office.certificates)}


@app.command()
def check(file: _File, json: options.Json = False) -> None:
    """Say everything that is wrong with a roll, and what is odd about it. Exit code 1 if there are errors.

    Example: axis offices check config/offices.toml
    """
    roll, findings = registry.check_offices(file, at=clock.now())
    errors = [found for found in findings if found.is_error]
    if json:
        count = 0 if roll is None else len(roll.offices())
        output.as_json({"good": not errors, "offices": count, "findings": [asdict(found) for found in findings]})
    else:
        _say(findings)
        if roll is not None and not errors:
            output.console.print(f"{len(roll.offices())} đơn vị / offices: tốt / good", style="green")
    if errors:
        raise typer.Exit(output.REFUSED)


@app.command()
def load(file: _File, json: options.Json = False, data: options.Data = None) -> None:
    """Put a roll into the ledger; running routers and gateways take it over within seconds.

    A roll in which a code comes to mean another office than before is refused: receipts of years ago still name it. The
    ledger remembers the codes of offices that are in no roll any more.

    Example: axis offices load trust/offices.toml --data var/axis
    """

    async def work() -> tuple[registry.Registry, tuple[registry.Finding, ...]]:
        roll = registry.load_offices(file)
        settings = options.settings(data).filled()
        private.make_folder(settings.data)
        await ledger.migrate(settings.ledger_url)
        async with ledger.Ledger.open(settings.ledger_url) as book:
            before = await ledgers.roll_of(book)
            findings = registry.check_replacement(before, roll)
            roll = registry.following(before, roll)
            if not any(found.is_error for found in findings):
                await book.load_registry(roll.to_rows(), roll.version, clock.now())
        return roll, findings

    roll, findings = output.run(work())
    if not json:
        _say(findings)
    if any(found.is_error for found in findings):
        if json:
            output.as_json({"loaded": False, "findings": [asdict(found) for found in findings]})
        raise typer.Exit(output.REFUSED)
    if json:
        facts = {"loaded": True, "version": roll.version, "offices": len(roll.offices())}
        output.as_json(facts | {"findings": [asdict(found) for found in findings]})
    else:
        output.console.print(f"{len(roll.offices())} đơn vị / offices, {roll.version[:12]}")


@app.command("import")
def import_table(
    table: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A table of offices: .csv or .xlsx.")],
    roll: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The roll that gets them.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    json: options.Json = False,
) -> None:
    """Put the rows of a table into a roll: offices that it has are changed, others are added, none is removed.

    If anything is to be mended, all of it is listed - row, column, what, how - and nothing is written.
    Exit code: 0 done, 1 something is to be mended.

    Example: axis offices import offices.xlsx --roll province/trust/offices.toml --dry-run
    """
    planned = importing.plan_import(table, roll, at=clock.now())
    writes = planned.text is not None and bool(planned.changes) and not dry_run
    if planned.text is not None and writes:
        with output.in_words():
            private.replace_text(roll, planned.text)
    if json:
        output.as_json({"good": not planned.slips, "written": writes} | _plan_facts(planned))
    else:
        _show_plan(planned, writes)
    if planned.slips:
        raise typer.Exit(output.REFUSED)


def _plan_facts(planned: importing.Import) -> dict[str, Any]:
    return {
        "changes": [asdict(change) for change in planned.changes],
        "slips": [asdict(slip) for slip in planned.slips],
        "warnings": [asdict(found) for found in planned.warnings],
    }


def _show_plan(planned: importing.Import, written: bool) -> None:
    for text, times in Counter(found.text for found in planned.warnings).items():
        output.console.print(f"lưu ý / warning: {times} × {text}", markup=False, style="yellow")
    if planned.slips:
        output.table(
            "Cần sửa, chưa ghi gì / To be mended, nothing was written",
            ("dòng", "cột", "sai gì", "sửa thế nào"),
            [
                (slip.row, slip.column, f"{slip.vi}\n{slip.en}", f"{slip.mend_vi}\n{slip.mend_en}")
                for slip in planned.slips
            ],
        )
        return
    if planned.changes:
        _show_changes(planned.changes, written)
    added = sum(one.is_new for one in planned.changes)
    output.console.print(f"{added} mới / new, {len(planned.changes) - added} sửa / changed")


def _show_changes(changes: Sequence[importing.Change], written: bool) -> None:
    output.table(
        "Đã ghi / Written" if written else "Sẽ ghi / Would be written",
        ("dòng", "mã", "", "thay đổi"),
        [(one.row, one.code, "mới" if one.is_new else "sửa", _difference(one)) for one in changes],
    )


def _difference(change: importing.Change) -> str:
    if change.is_new:
        return _shown(change.fields.get("name", (None, None))[1])
    return "\n".join(f"{field}: {_shown(before)} → {_shown(after)}" for field, (before, after) in change.fields.items())


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "–"
    return "; ".join(value) if isinstance(value, list) else str(value)


@app.command("export")
def export_table(
    table: Annotated[Path, typer.Argument(dir_okay=False, help="The table to write: .csv or .xlsx.")],
    file: Annotated[
        Path | None, typer.Option("--file", exists=True, dir_okay=False, help="Of this roll instead of the ledger's.")
    ] = None,
    data: options.Data = None,
) -> None:
    """Write the offices of a roll as a table, one row each, without certificates. To import it again changes nothing.

    Example: axis offices export offices.xlsx --file province/trust/offices.toml
    """
    roll = output.run(_roll(file, data))
    rows = [columns.row_of(office) for office in roll.offices()]
    try:
        with output.in_words():
            sheets.write_sheet(table, [column.title for column in columns.COLUMNS], rows)
    except ValueError as problem:
        output.stop(f"Tên tệp phải có đuôi .csv hoặc .xlsx / The name must end in {problem}", output.WRONG_USE)
    output.console.print(f"{len(roll.offices())} đơn vị / offices → {table.name}", markup=False)


def _say(findings: Sequence[registry.Finding]) -> None:
    for found in findings:
        word, style = ("lỗi / error", "red") if found.is_error else ("lưu ý / warning", "yellow")
        output.console.print(f"{word}: {found.place}: {found.text}", markup=False, style=style)
