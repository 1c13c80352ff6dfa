"""Options that many commands share, and what follows from them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from axis.settings import Settings

Data = Annotated[
    Path | None,
    typer.Option("--data", help="Data folder of the axis (AXIS_DATA).", file_okay=False, show_default="var/axis"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def settings(data: Path | None, **more: Any) -> Settings:
    """Return the settings of this command: arguments win over the environment, the environment over axis.toml.

    Raises:
        ValidationError: A setting is wrong.
    """
    given = {name: value for name, value in {"data": data, **more}.items() if value is not None}
    return Settings(**given)
