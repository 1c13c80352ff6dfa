"""`axis passwords`: for systems that cannot sign, of offices from which the roll takes messages without a seal."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer

from axis import clock, registry, seal
from axis.cli import ledgers, options, output
from axis.errors import refuse
from axis.ledger import Ledger

app = typer.Typer(no_args_is_help=True, help="Passwords of systems that cannot sign: new, list, end.")

Office = Annotated[str, typer.Argument(help="OrganId of the office.")]


@app.command("new")
def make_one(
    office: Office,
    overlap: Annotated[
        float, typer.Option(min=0, max=options.MOST_HOURS, help="For how many hours the one before stays good.")
    ] = 24,
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """Make a password and show it, once; those that the office has end after a while.

    The roll must take messages without a seal from the office (`unsigned = "accept"`).

    Example: axis passwords new H56.112
    """
    password = seal.make_password()
    digest = seal.password_digest(password)
    assert digest is not None  # noqa: S101 - We have just made it.

    async def add() -> str:
        now = clock.now()
        async with ledgers.opened(data) as book:
            code = await _permitted(book, office)
            await book.add_password(code, digest, now, now + timedelta(hours=overlap))
        return code

    code = output.run(add())
    if json:
        output.as_json({"office": code, "password": password})
    else:
        output.console.print(f"{code}: {password}", markup=False)
        output.console.print("Chỉ hiện một lần / Shown this once", style="yellow")


async def _permitted(book: Ledger, office: str) -> str:
    """Return the code of an office that may have a password.

    Raises:
        Refusal: KEY.UNKNOWN_SIGNER, there is no such office; MSG.NOT_ALLOWED
    """
    known = (await ledgers.roll_of(book)).find(office)
    if known is None:
        raise refuse("KEY.UNKNOWN_SIGNER", office)
    if known.unsigned is not registry.Unsigned.ACCEPT:
        raise refuse("MSG.NOT_ALLOWED", f'{known.code}: unsigned = "accept"')
    return known.code


@app.command("list")
def list_them(json: options.Json = False, data: options.Data = None) -> None:
    """List the passwords of all offices by the first digits of their digests: when each was made, and when it ends.

    Example: axis passwords list
    """

    async def read() -> list[dict[str, Any]]:
        now = clock.now()
        async with ledgers.opened(data) as book:
            return [asdict(row) | {"good": row.is_good(now)} for row in await book.passwords()]

    output.listing(
        output.run(read()),
        json,
        ("đơn vị", "mã băm", "tạo lúc", "hết lúc", "còn dùng"),
        lambda row: (row["office"], row["digest"][:12], f"{row['made_at']:%Y-%m-%d %H:%M}Z", row["ends_at"] and f"{row['ends_at']:%Y-%m-%d %H:%M}Z", "có" if row["good"] else "không"),
    )  # fmt: skip


@app.command("end")
def end_them(office: Office, json: options.Json = False, data: options.Data = None) -> None:
    """End all passwords of an office, now. Exit code 1 if it has none that is good.

    Example: axis passwords end H56.112
    """

    async def end() -> int:
        async with ledgers.opened(data) as book:
            known = (await ledgers.roll_of(book)).find(office)  # One that has left the roll may still have some.
            return await book.end_passwords(office if known is None else known.code, clock.now())

    ended = output.run(end())
    if json:
        output.as_json({"office": office, "ended": ended})
    elif not ended:
        output.stop(f"Không có mật khẩu nào còn dùng / No password that is good: {office}", output.REFUSED)
    else:
        output.console.print(f"{office}: {ended} hết hiệu lực / ended", markup=False)
    if not ended:
        raise typer.Exit(output.REFUSED)
