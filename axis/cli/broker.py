"""`axis broker`: accounts of offices for a broker that an administrator runs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from axis import registry
from axis.app import office_passwords
from axis.broker.definitions import definitions as definitions_of
from axis.cli import output

app = typer.Typer(no_args_is_help=True, help="Accounts of offices for a broker of one's own.")


@app.callback()
def _group() -> None:
    """Keep `definitions` a command of its own name."""


@app.command()
def definitions(
    offices: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The roll of offices.")],
    secrets: Annotated[
        Path,
        typer.Option(file_okay=False, help="Folder of the passwords, one file for each office; missing ones are made."),
    ],
    vhost: Annotated[str, typer.Option(help="Virtual host of the axis.")] = "/",
    own: Annotated[
        str, typer.Option(help="Name of the axis's own account, to be made too; its password is a file of that name.")
    ] = "",
) -> None:
    """Print what `rabbitmqctl import_definitions` takes: an account for each office, allowed its own exchange and inbox.

    Example: axis broker definitions --offices trust/offices.toml --secrets secrets/ --own axis > definitions.json
    """

    with output.in_words():
        roll = registry.load_offices(offices)
        codes = [office.code for office in roll.offices() if office.tier != "axis"]
        passwords = office_passwords(secrets, codes)
        account = (own, office_passwords(secrets, [own])[own]) if own else None
    typer.echo(json.dumps(definitions_of(passwords, vhost=vhost, own=account), indent=2))
