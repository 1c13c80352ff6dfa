"""`axis deadletters`: what the axis has given up, and sending it on its way again."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from axis import clock
from axis.cli import ledgers, options, output

app = typer.Typer(no_args_is_help=True, help="Deliveries that were given up: list, show, replay.")

_Number = Annotated[
    int, typer.Argument(max=options.MOST_NUMBER, help="Number of the delivery, from `axis deadletters list`.")
]


@app.command("list")
def list_them(json: options.Json = False, data: options.Data = None) -> None:
    """List deliveries that were given up and wait for a person.

    Example: axis deadletters list
    """

    async def read() -> list[dict[str, Any]]:
        async with ledgers.opened(data) as book:
            return [asdict(row) for row in await book.deliveries_in("dead")]

    output.listing(
        output.run(read()),
        json,
        ("số", "văn bản", "nơi nhận", "lần", "mã", "lý do", "hết hạn"),
        lambda row: (row["delivery_id"], row["document_id"], row["addressee"], row["attempts"], row["code"], row["reason"], f"{row['expires_at']:%Y-%m-%d %H:%M}Z"),
    )  # fmt: skip


@app.command()
def show(number: _Number, json: options.Json = False, data: options.Data = None) -> None:
    """Show one of them with its whole story.

    Example: axis deadletters show 17
    """

    async def read() -> dict[str, Any] | None:
        async with ledgers.opened(data) as book:
            row = await book.delivery_by_id(number)
            if row is None:
                return None
            story = [one for one in await book.events_of(row.envelope_id) if one["addressee"] in (None, row.addressee)]
            return asdict(row) | {"events": story}

    found = output.run(read())
    if found is None:
        output.stop(f"Không có số {number} / No delivery has this number", output.REFUSED)
    if json:
        output.as_json(found)
        return
    for name, value in found.items():
        if name != "events":
            output.console.print(f"{name:>14}  {'' if value is None else value}", markup=False)
    for one in found["events"]:
        output.console.print(f"  {one['at']:%Y-%m-%d %H:%M:%S}Z  {one['event']:<26} {one['detail']}", markup=False)


@app.command()
def replay(
    numbers: Annotated[
        list[int],
        typer.Argument(max=options.MOST_NUMBER, help="Numbers of the deliveries, from `axis deadletters list`."),
    ],
    reason: Annotated[str, typer.Option(help="Why it will work now; kept in the ledger.")],
    by: Annotated[str, typer.Option(help="Who does it.", show_default="your account")] = "",
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """Send dead letters on their way again.

    Example: axis deadletters replay 17 18 --reason "disk of the commune replaced"
    """
    who = by or options.account()

    async def work() -> list[dict[str, Any]]:
        outcomes = []
        async with ledgers.opened(data) as book:
            for number in numbers:
                done = await book.replay(number, by=who, reason=reason, now=clock.now())
                outcomes.append({"delivery_id": number, "replayed": done})
        return outcomes

    outcomes = output.run(work())
    if json:
        output.as_json(outcomes)
    else:
        for one in outcomes:
            word = "phát lại / replayed" if one["replayed"] else "không phải thư chết / not a dead letter"
            output.console.print(f"{one['delivery_id']}: {word}")
    if not all(one["replayed"] for one in outcomes):
        raise typer.Exit(output.REFUSED)
