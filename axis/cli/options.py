"""Options that many commands share, and what follows from them."""

import getpass
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_settings import SettingsError

from axis.edxml.dialects import DIALECTS, Dialect
from axis.errors import PermanentError
from axis.settings import Settings

MOST_NUMBER = 2**63 - 1  # Of a delivery; the ledger has no greater one.
MOST_HOURS = 100 * 8766  # Further than that the calendar ends somewhere.

Data = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder of the axis (AXIS_DATA).", file_okay=False, show_default="var/axis"),
]
Axis = Annotated[
    str, typer.Option("--axis", envvar="AXIS_ORGAN_ID", help="OrganId of the axis, which seals for older systems.")
]
DialectName = Annotated[str, typer.Option("--dialect", help="A dialect of older systems.", metavar="NAME")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", dir_okay=False, help="Where to write; standard output if absent.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def dialect_named(name: str) -> Dialect:
    """Return a dialect.

    Raises:
        BadParameter: There is none of this name.
    """
    if name not in DIALECTS:
        raise typer.BadParameter(f"{name}: {', '.join(DIALECTS)}", param_hint="--dialect")
    return DIALECTS[name]


def settings(data: Path | None, **more: Any) -> Settings:
    """Return the settings of this command: arguments win over the environment, the environment over axis.toml.

    Raises:
        ValidationError: A setting is wrong.
        PermanentError: CFG.INVALID; they cannot be read.
    """
    given = {name: value for name, value in {"data": data, **more}.items() if value is not None}
    try:
        return Settings(**given)
    except SettingsError as error:  # A table in the environment that is no JSON.
        raise PermanentError("CFG.INVALID", str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PermanentError("CFG.INVALID", f"axis.toml: {error}") from error


def account() -> str:
    """Return who runs this: by name, or by number where the machine has no name for it, as in a container."""
    try:
        return getpass.getuser()
    except KeyError:
        return str(os.getuid())
