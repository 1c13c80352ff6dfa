"""`axis held`: the mail of closed offices that waits for a word on who gets it, and that word."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer

from axis.cli import ledgers, options, output
from axis.dispatch.succession import Succession
from axis.errors import Refusal
from axis.ledger import DeliveryRow
from axis.telemetry import events

app = typer.Typer(no_args_is_help=True, help="Mail of closed offices that is held: list, forward, return.")

_Numbers = Annotated[
    list[int], typer.Argument(max=options.MOST_NUMBER, help="Numbers of the deliveries, from `axis held list`.")
]
_By = Annotated[str, typer.Option(help="Who does it.", show_default="your account")]


@app.command("list")
def list_them(
    office: Annotated[str | None, typer.Option(help="Of this closed office alone, by its OrganId.")] = None,
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """List what is held, with the offices that took over from each addressee.

    Example: axis held list --office H56.901
    """

    async def read() -> list[dict[str, Any]]:
        async with ledgers.opened(data) as book:
            roll = await ledgers.roll_of(book)
            found = None if office is None else roll.find(office)
            code = office if found is None else found.code
            return [
                asdict(row) | {"successors": sorted(roll.succession_of(row.addressee))} for row in await book.held(code)
            ]

    output.listing(
        output.run(read()),
        json,
        ("số", "văn bản", "nơi gửi", "nơi nhận", "đơn vị kế thừa", "từ", "hết hạn"),
        lambda row: (row["delivery_id"], row["document_id"], row["originator"], row["addressee"], ", ".join(row["successors"]), f"{row['accepted_at']:%Y-%m-%d %H:%M}Z", f"{row['expires_at']:%Y-%m-%d %H:%M}Z"),
    )  # fmt: skip


@app.command()
def forward(
    numbers: _Numbers,
    to: Annotated[
        list[str], typer.Option(help="A successor that gets it, by its OrganId; may be given several times.")
    ],
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")] = "",
    by: _By = "",
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """Forward what is held to offices that took over from its addressee; the originator gets a signed receipt.

    It is signed with the key of the axis: run it where a router runs. Exit code: 0 if all was forwarded, 1 if not.

    Example: axis held forward 17 18 --to H56.112
    """
    who = by or options.account()

    async def decide(succession: Succession, row: DeliveryRow) -> bool:
        return await succession.forward(row, to, by=who, reason=reason)

    _decide(numbers, decide, data, json, done="chuyển tiếp / forwarded")


@app.command("return")
def give_back(
    numbers: _Numbers,
    reason: Annotated[str, typer.Option(help="Why; the originator reads it in the signed receipt.")],
    by: _By = "",
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """Return what is held to its originator: it ends as refused, with a signed receipt.

    It is signed with the key of the axis: run it where a router runs. Exit code: 0 if all was returned, 1 if not.

    Example: axis held return 17 --reason "Gửi lại cho UBND phường Hàm Rồng"
    """
    who = by or options.account()

    async def decide(succession: Succession, row: DeliveryRow) -> bool:
        return await succession.give_back(row, by=who, reason=reason)

    _decide(numbers, decide, data, json, done="trả lại / returned")


def _decide(
    numbers: list[int],
    decide: Callable[[Succession, DeliveryRow], Awaitable[bool]],
    data: options.Data,
    json: bool,
    *,
    done: str,
) -> None:
    """Decide on each, one after the other; what cannot be done with one hinders no other."""

    async def work() -> list[dict[str, Any]]:
        async with _succession(data) as succession:
            return [await _outcome(succession, number, decide) for number in numbers]

    outcomes = output.run(work())
    if json:
        output.as_json(outcomes)
    else:
        for one in outcomes:
            word = done if one["done"] else one["why"] or "không bị giữ / not held"
            output.console.print(f"{one['delivery_id']}: {word}", markup=False)
    if not all(one["done"] for one in outcomes):
        raise typer.Exit(output.REFUSED)


async def _outcome(
    succession: Succession, number: int, decide: Callable[[Succession, DeliveryRow], Awaitable[bool]]
) -> dict[str, Any]:
    row = await succession.ledger.delivery_by_id(number)
    why, was_done = None, False
    try:
        was_done = row is not None and await decide(succession, row)
    except Refusal as refusal:
        why = "\n".join(f"{one.code}: {one.vi} / {one.en}" for one in refusal.violations)
    return {"delivery_id": number, "done": was_done, "why": why}


@asynccontextmanager
async def _succession(data: options.Data) -> AsyncIterator[Succession]:
    from axis.app import open_rooms  # With the libraries of those that serve, which a list does not need.

    settings = options.settings(data)
    ledgers.require(settings.filled())
    events.configure(level="warning", json=False, service="held")
    async with open_rooms(settings) as rooms:
        yield rooms.succession(rooms.answers())
