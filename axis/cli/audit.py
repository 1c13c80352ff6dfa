"""`axis audit`: does the axis keep its promises?"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from axis import audit as audits
from axis import clock, ledger, seal, spool
from axis.broker import Broker, PrivateNode
from axis.cli import ledgers, options, output
from axis.errors import PermanentError
from axis.settings import Settings

Effects = Annotated[
    list[str] | None,
    typer.Option(
        metavar="OFFICE=FILE",
        help="What an office's system did, an envelope id a line, the digest behind it if known. May be repeated.",
    ),
]
Receipts = Annotated[
    bool, typer.Option("--receipts", help="Verify every envelope and receipt again: bytes, seal, chain.")
]
Files = Annotated[bool, typer.Option("--spool", help="Read every attachment and compare it with its digest.")]
Queues = Annotated[bool, typer.Option("--broker", help="Look for missing queues and dead letters at the broker.")]
AtRest = Annotated[
    bool,
    typer.Option(
        "--at-rest", help="Nothing is on its way any more, at the broker or in offices: what could be is missing."
    ),
]


@dataclass(slots=True)
class _Report:
    """What was found, and what was looked at."""

    book: ledger.AuditReport
    findings: list[ledger.AuditFinding]
    checked: dict[str, int]
    queues: dict[str, int] = field(default_factory=dict)  # Messages that wait, where the broker was asked.

    def as_dict(self) -> dict[str, Any]:
        """Return it for a program."""
        found = [{"rule": one.rule, "envelope_id": one.envelope_id, "addressee": one.addressee, "text": one.text} for one in self.findings]  # fmt: skip
        more = {"checked": self.checked, "queues": self.queues}
        return self.book.as_dict() | {"findings": found, "lost": len(found)} | more


def audit(
    effects: Effects = None,
    receipts: Receipts = False,
    spool: Files = False,
    broker: Queues = False,
    at_rest: AtRest = False,
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """Check that every accepted document has, for each addressee, one end with its receipt, or a reason why it waits.

    The ledger is always checked, with the moves of every delivery; the rest where it is asked for. The axis may go on
    meanwhile: a receipt that has overtaken another is no finding until nothing was heard of its delivery for ten minutes.
    What the numbers of the findings mean: docs/promises.md.

    Exit code: 0 if all is well, 1 if something was found.

    Example: axis audit --receipts --spool --broker --effects H56.112=/srv/office/effects.log
    """
    logs = [_log(one) for one in effects or ()]

    async def look() -> _Report:
        settings = options.settings(data).filled()
        async with ledgers.opened(data) as book, AsyncExitStack() as stack:
            checks: list[audits.Check] = [audits.History(), *(audits.Effects.read(*log) for log in logs)]
            if receipts:
                checks.append(audits.Evidence(await _trust(book, settings), settings.organ_id))
            if spool:
                checks.append(audits.Files(await stack.enter_async_context(_spool(settings))))
            report = await book.audit(clock.now(), at_rest=at_rest)
            walked = await audits.walk(book, checks, whole=receipts)
            found = _Report(report, [*report.findings, *walked.findings], walked.counted)
            if broker:
                await _ask(await stack.enter_async_context(_pipes(settings)), book, found)
            return found

    report = output.run(look())
    if json:
        output.as_json(report.as_dict())
    else:
        _show(report)
    if report.findings:
        raise typer.Exit(output.REFUSED)


def _show(report: _Report) -> None:
    book = report.book
    output.console.print(
        f"{book.documents} documents, {book.deliveries} deliveries: {book.terminal} ended, {book.waiting} waiting, "
        f"{book.dead} dead letters, {book.held} held; {book.receipts} receipts, {book.rejections} rejections, {len(report.findings)} findings"
    )
    output.console.print(
        "checked: " + ", ".join(f"{count} {what}" for what, count in report.checked.items()), markup=False
    )
    for name, depth in report.queues.items():
        if depth:
            output.console.print(f"  {name}: {depth} messages wait", markup=False)
    for found in report.findings:
        output.console.print(
            f"  {found.rule} {found.envelope_id} {found.addressee}: {found.text}", markup=False, style="red"
        )


def _log(text: str) -> tuple[str, Path]:
    office, equals, file = text.partition("=")
    if not (office and equals and file):
        raise typer.BadParameter(f"OFFICE=FILE, not {text}", param_hint="--effects")
    return office, Path(file)


async def _trust(book: ledger.Ledger, settings: Settings) -> seal.Trust:
    """Return the keys that are registered now, under the authorities of the trust folder."""
    assert settings.trust is not None  # noqa: S101 - filled() has set it.
    roll = await ledgers.roll_of(book)
    return roll.trust(*seal.load_authorities(settings.trust))


@asynccontextmanager
async def _spool(settings: Settings) -> AsyncIterator[spool.Spool]:
    async with spool.Spool.open(settings.spool_url, settings.data / "staging") as store:
        yield store


@asynccontextmanager
async def _pipes(settings: Settings) -> AsyncIterator[Broker]:
    if not settings.broker_url and not (settings.data / "broker" / "node.json").exists():
        raise PermanentError("CFG.INVALID", "no broker is given, and there is no private node yet")
    url = settings.broker_url or PrivateNode(settings.data / "broker").url
    async with Broker.connect(url, name="axis audit") as pipes:
        yield pipes


async def _ask(pipes: Broker, book: ledger.Ledger, found: _Report) -> None:
    roll = await ledgers.roll_of(book)
    offices = [office.code for office in roll.offices() if office.tier != "axis"]
    findings, found.queues = await audits.check_queues(pipes, offices)
    found.findings += findings
    found.checked["queues"] = len(found.queues) + sum(one.text.endswith("is not there") for one in findings)
