"""Options that many commands share, and what follows from them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from axis.edxml.dialects import DIALECTS, Dialect
from axis.settings import Settings

Data = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder of the axis (AXIS_DATA).", file_okay=False, show_default="var/axis"),
]
Axis = Annotated[
    str, typer.Option("--axis", envvar="AXIS_ORGAN_ID", help="OrganId of the axis, which seals for older systems.")
]
DialectName = Annotated[str, typer.Option("--dialect", help="A dialect of older systems.", metavar="NAME")]
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
    """
    given = {name: value for name, value in {"data": data, **more}.items() if value is not None}
    return Settings(**given)
