"""`axis office`: an office by one of the installed adapters.

An adapter is an entry point of the group `axis.adapters`: a function that is
given an `axis.Office` and registers its handlers. `kind` in the table
`[adapter]` of the office's file names it.
"""

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from axis.cli import options, output
from axis.errors import PermanentError
from axis.office import Office

app = typer.Typer(no_args_is_help=True, help="An office by an installed adapter: run, check.")

GROUP = "axis.adapters"

_Config = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="The office's file, e.g. config/offices/commune-mau.toml.")
]


@app.command()
def run(config: _Config) -> None:
    """Run an office until SIGTERM or Ctrl-C; then finish what runs.

    The environment wins over the file: AXIS_OFFICE, AXIS_OFFICE_KEY, AXIS_BROKER_URL, AXIS_GATEWAY_URL, ...

    Example: AXIS_BROKER_URL=amqp://mq.example.vn/ axis office run config/offices/commune-mau.toml
    """
    _prepared(config).run()


@app.command()
def check(config: _Config, json: options.Json = False) -> None:
    """Read an office's file and its adapter's options, say what is wrong, and connect to nothing.

    Example: axis office check config/offices/commune-mau.toml
    """
    settings = _prepared(config).settings
    if json:
        output.as_json(settings.model_dump(mode="json"))
        return
    rows = [(name, value) for name, value in settings.model_dump(mode="json").items() if name != "adapter"]
    rows += [(f"adapter.{name}", value) for name, value in settings.adapter.items()]
    output.table("", ("mục / setting", "giá trị / value"), rows)


def _prepared(config: Path) -> Office:
    """Return the office with its adapter attached."""
    office = Office.from_file(config)
    with output.in_words():
        attached(str(office.settings.adapter.get("kind", "")))(office)
    return office


def attached(kind: str) -> Callable[[Office], None]:
    """Return the function that attaches an adapter to an office.

    Raises:
        PermanentError: CFG.INVALID; no such adapter is installed.
    """
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in installed:
        known = ", ".join(sorted(installed)) or "none"
        raise PermanentError("CFG.INVALID", f"adapter.kind: {kind or 'missing'}; installed: {known}")
    attach: Callable[[Office], None] = installed[kind].load()
    return attach
