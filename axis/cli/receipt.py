"""`axis receipt`: what an office says about a message that it was shown, signed, without being connected to anything."""

import asyncio
import json as jsons
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from axis import clock
from axis.cli import options, output
from axis.errors import PermanentError
from axis.office.answers import Delivered, Progress, Refused, Registered
from axis.office.speech import About, Outcome, say
from axis.receipts import SignedReceipt, bundle
from axis.receipts.voice import Voice
from axis.seal import SigningKey

app = typer.Typer(no_args_is_help=True, help="Sign receipts about what the inbox shows.")


@app.callback()
def _group() -> None:
    """Keep `make` a word of its own while it is the only one."""


@app.command()
def make(
    item: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="One item of the inbox, as JSON.")],
    office: Annotated[str, typer.Option("--as", help="OrganId of the office that says it.")],
    key: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The office's private key, PEM.")],
    certificate: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Its certificate, PEM.")],
    delivered: Annotated[bool, typer.Option("--delivered", help="The office has it.")] = False,
    registered: Annotated[str, typer.Option(help="It is in the incoming register under this number.")] = "",
    refused: Annotated[str, typer.Option(help="The office does not take it, for this reason.")] = "",
    progress: Annotated[str, typer.Option(help="News of the work: an edXML status code such as 06.")] = "",
    note: Annotated[str, typer.Option(help="A word to --progress or --registered; the originator reads it.")] = "",
    previous: Annotated[
        str, typer.Option(help="Digest of the receipt before.", show_default="the item's previous_receipt")
    ] = "",
    to: options.Output = None,
    json: options.Json = False,
) -> None:
    """Sign the receipts that say what became of a message; several of them make a bundle.

    What is written is the body for POST /v1/inbox/{id}/confirmation. A number says both that the office has the
    message and that it is registered; where --previous is given, the office has said the first before.

    Example: axis receipt make item.json --as H56.112 --registered 417 --key keys/H56.112.key.pem --certificate certs/H56.112.pem -o answer
    """
    chosen: dict[str, Callable[[], Outcome]] = {
        "delivered": Delivered,
        "registered": lambda: Registered(registered, note),
        "refused": lambda: Refused(refused),
        "progress": lambda: Progress(progress, note),
    }
    given = {"delivered": delivered, "registered": registered, "refused": refused, "progress": progress}
    named = [name for name, value in given.items() if value]
    if len(named) != 1:
        output.stop("Chọn một / Choose one: --delivered, --registered, --refused, --progress", output.WRONG_USE)
    try:
        outcome = chosen[named[0]]()
    except ValueError as error:
        output.stop(f"--{named[0]}: {error}", output.WRONG_USE)
    said = output.run(
        asyncio.to_thread(lambda: _said(outcome, item, office, SigningKey.load(key, certificate), previous))
    )
    _, body = bundle.pack([one.xml for one in said])
    output.write(body, to)
    if to is None:
        return  # Whoever reads it gets these bytes alone.
    if json:
        output.as_json([{"level": one.receipt.level, "digest": one.digest} for one in said])
    else:
        output.table(str(to), ("", ""), [(one.receipt.level.value, one.digest) for one in said])


def _said(outcome: Outcome, item: Path, office: str, key: SigningKey, previous: str) -> list[SignedReceipt]:
    """Sign what is said about an item.

    Raises:
        PermanentError: CFG.INVALID; the file is no item of an inbox.
        TransientError: SYS.KEY; the certificate is not valid now.
    """
    try:
        found = jsons.loads(item.read_bytes())
        about = About(
            envelope_id=found["envelope_id"],
            envelope_digest=found["digest"],
            originator=found["originator"],
            document_id=found["document_id"],
        )
        return say(
            outcome,
            about,
            voice=Voice(office, key),
            previous=previous or found["previous_receipt"],
            attempt=found["attempt"],
            at=clock.now(),
            delivered_before=bool(previous),  # Who names a receipt of its own has said so.
        )
    except (ValueError, KeyError, TypeError) as error:
        raise PermanentError("CFG.INVALID", f"{item}: not one item of an inbox: {error!r}") from error
