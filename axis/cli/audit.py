"""`axis audit`: does the ledger keep its promises?"""

import typer

from axis import clock, ledger
from axis.cli import ledgers, options, output


def audit(json: options.Json = False, data: options.Data = None) -> None:
    """Check that every accepted document has, for each addressee, one end with its receipt, or a reason why it waits.

    Exit code: 0 if all is well, 1 if something was found.

    Example: axis audit --json
    """

    async def read() -> ledger.AuditReport:
        async with ledgers.opened(data) as book:
            return await book.audit(clock.now())

    report = output.run(read())
    if json:
        output.as_json(report.as_dict())
    else:
        output.console.print(
            f"{report.documents} documents, {report.deliveries} deliveries: {report.terminal} ended, {report.waiting} waiting, "
            f"{report.dead} dead letters; {report.receipts} receipts, {report.rejections} rejections, {len(report.findings)} findings"
        )
        for found in report.findings:
            output.console.print(
                f"  {found.rule} {found.envelope_id} {found.addressee}: {found.text}", markup=False, style="red"
            )
    if report.findings:
        raise typer.Exit(output.REFUSED)
