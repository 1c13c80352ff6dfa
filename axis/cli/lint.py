"""`axis lint`: what the axis would say to a file, without sending it."""

import asyncio
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from axis import clock, contents, registry, routing, seal
from axis.cli import options, output
from axis.cli.seal import ROLL, load_trust
from axis.edxml import Received, values
from axis.edxml.dialects import Policy
from axis.edxml.lint import Report, lint_dialect
from axis.edxml.lint import lint as lint_file
from axis.errors import Refusal, TransientError, Violation, violation

_CHUNK_BYTES = 1024 * 1024
_IN_MEMORY_BYTES = 8 * 1024 * 1024


def lint(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            help="An edXML file, sealed or not, with or without its attachments inside; or the file of a content.",
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    trust: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Folder with ca.pem, crl.pem and certs/ or offices.toml: check the seal too, and with a roll the addressees.",
        ),
    ] = None,
    dialect: Annotated[
        str, typer.Option("--dialect", help="Read it as an older system writes it, in this dialect.", metavar="NAME")
    ] = "",
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="With --dialect: as from an office that may send without a seal.")
    ] = False,
    axis: options.Axis = "H56.TRUC",
) -> None:
    """Check a file against the schema, the business rules and, with --trust, the seal and the roll.

    Says what the axis would say. The file of a dossier, a task or an invitation is told by its root, and held against the
    schema and the rules of its kind. With --dialect, say what is tolerated and what is refused. Needs no broker and no
    network. Exit code: 0 accepted, 1 refused, 2 wrong use.

    Example: axis lint 125-SKHCN.edxml --trust trust/
    """
    if dialect:
        policy = Policy(options.dialect_named(dialect), takes_unsigned=unsigned)
        report = output.run(asyncio.to_thread(_report_dialect, file, policy))
    else:
        report = output.run(asyncio.to_thread(_report, file, trust, axis))
    if json:
        output.as_json(report.as_dict())
        raise typer.Exit(0 if report.accepted else output.REFUSED)
    output.tolerated(report.tolerated or ())
    if report.accepted:
        output.console.print(f"Chấp nhận / Accepted: {report.kind}", style="green")
    else:
        output.violations(report.violations)
        output.console.print(f"Từ chối / Refused: {len(report.violations)}", style="red")
    raise typer.Exit(0 if report.accepted else output.REFUSED)


def _report_dialect(file: Path, policy: Policy) -> Report:
    with file.open("rb") as stream:
        return lint_dialect(
            iter(lambda: stream.read(_CHUNK_BYTES), b""),
            policy,
            today=values.local_date(clock.now()),
            open_scratch=scratch,
        )


def _report(file: Path, trust: Path | None, axis: str) -> Report:
    today = values.local_date(clock.now())
    with file.open("rb") as stream:
        row = contents.row_in(stream.read(contents.HEAD_BYTES))
        if row is not None:
            stream.seek(0)
            return _report_on_content(stream.read(contents.MAX_CONTENT_BYTES + 1), row.kind, today)
    check_seal = None if trust is None else _seal_checker(load_trust(trust), axis)
    roll = None if trust is None or not (trust / ROLL).exists() else registry.load_offices(trust / ROLL)
    with file.open("rb") as stream:
        return lint_file(
            iter(lambda: stream.read(_CHUNK_BYTES), b""),
            today=today,
            open_scratch=scratch,
            check_seal=check_seal,
            check_routes=None if roll is None else lambda message: routing.wrong_with(message, roll, clock.now()),
            check_contents=lambda document, fetch: contents.violations_of(document, fetch, today=today),
        )


def _report_on_content(xml: bytes, kind: contents.Kind, today: date) -> Report:
    try:
        contents.examine(xml, today=today)
    except Refusal as refusal:
        return Report(kind, refusal.violations)
    return Report(kind, ())


def scratch() -> BinaryIO:
    """Return a temporary file, in memory as long as it is small."""
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # type: ignore[return-value]


def _seal_checker(trust: seal.Trust, axis: str) -> Callable[[Received], tuple[Violation, ...]]:
    def check(received: Received) -> tuple[Violation, ...]:
        try:
            seal.verify(received, trust, at=clock.now(), notary=axis)
        except Refusal as refusal:
            return refusal.violations
        except TransientError as error:
            return (violation(error.code, error.detail),)
        return ()

    return check
