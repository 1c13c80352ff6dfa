"""`axis webhooks`: where offices are told, how that goes, and whether an address takes what it is told."""

import secrets
from dataclasses import asdict
from typing import Annotated, Any

import typer

from axis import app as processes
from axis import clock
from axis.cli import ledgers, options, output
from axis.webhooks import state, trial

app = typer.Typer(no_args_is_help=True, help="Webhooks of offices: list, test.")

_NOT_SHOWN = ("secret", "old_secret", "cursor")  # The cursor is shown as the place.


@app.command("list")
def list_them(json: options.Json = False, data: options.Data = None) -> None:
    """List the webhooks of all offices, and how they are doing.

    Example: axis webhooks list
    """

    async def read() -> list[dict[str, Any]]:
        async with ledgers.opened(data) as book:
            return [
                {name: value for name, value in asdict(row).items() if name not in _NOT_SHOWN}
                | {"place": row.cursor, "state": state(row)}
                for row in await book.webhooks()
            ]

    output.listing(
        output.run(read()),
        json,
        ("đơn vị", "tên", "địa chỉ", "trạng thái", "lần hỏng", "lý do", "nhận lần cuối"),
        lambda row: (row["office"], row["id"], row["url"], row["state"], row["failures"], row["note"], row["told_at"] and f"{row['told_at']:%Y-%m-%d %H:%M}Z"),
    )  # fmt: skip


@app.command("test")
def try_it(
    office: Annotated[str, typer.Argument(help="Whose.")],
    name: Annotated[str, typer.Argument(help="Which, from `axis webhooks list`.")],
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """Tell a webhook a message that means nothing, now, from this machine.

    Example: axis webhooks test H56.112 qlvb
    """

    async def tell() -> dict[str, Any] | None:
        post = processes.post(options.settings(data).filled())
        async with ledgers.opened(data) as book:
            row = await book.webhook(office, name)
        if row is None:
            return None
        now = clock.now()
        told = await post.tell(row.url, trial(now, secrets.token_hex(8)), [row.secret], now)
        return {"url": row.url, **asdict(told)}

    said = output.run(tell())
    if said is None:
        output.stop(f"Không có / No such webhook: {office} {name}", output.REFUSED)
    if json:
        output.as_json(said)
    else:
        word = "đã nhận / taken" if said["is_taken"] else "không nhận / not taken"
        output.console.print(f"{said['url']}: {word} ({said['note']})", markup=False)
    if not said["is_taken"]:
        raise typer.Exit(output.REFUSED)
