"""`axis offices`: the roll of offices, in the file and in the ledger."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from axis import clock, ledger, private, registry
from axis.cli import ledgers, options, output

app = typer.Typer(no_args_is_help=True, help="The roll of offices: list, check, load.")

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

    async def read() -> registry.Registry:
        if file is not None:
            return registry.load_offices(file)
        async with ledgers.opened(data) as book:
            return registry.Registry.from_rows(await book.registry_rows())

    roll = output.run(read())
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
            before = registry.Registry.from_rows(await book.registry_rows())
            findings = registry.check_replacement(before, roll)
            roll = roll.remembering(before)
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


def _say(findings: Sequence[registry.Finding]) -> None:
    for found in findings:
        word, style = ("lỗi / error", "red") if found.is_error else ("lưu ý / warning", "yellow")
        output.console.print(f"{word}: {found.place}: {found.text}", markup=False, style=style)
