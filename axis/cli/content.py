"""`axis content`: the file of a dossier, a task or an invitation, for a person and for a calendar."""

import asyncio
import sys
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from axis import clock, contents
from axis.cli import options, output
from axis.contents import Content, Invitation
from axis.edxml import values
from axis.errors import refuse

app = typer.Typer(no_args_is_help=True, help="The file of a dossier, a task or an invitation: show, ics.")

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The file of a content.")]


@app.command()
def show(file: File, json: options.Json = False) -> None:
    """Show what a content says, field by field.

    Exit code: 0 shown, 1 refused.

    Example: axis content show docs/examples/ho-so.xml
    """
    content = output.run(_read(file))
    said = dict(_said(content))
    if json:
        output.as_json({"kind": contents.root_of(content).kind, "content": said})
    else:
        rows = [(name, _shown(value)) for name, value in said.items() if value not in ("", None, [])]
        output.table(contents.root_of(content).element, ("", ""), rows)


@app.command()
def ics(
    file: File,
    to: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write; standard output if absent.")
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Take the meeting out of calendars.")] = False,
) -> None:
    """Make a calendar file (RFC 5545) of an invitation.

    Exit code: 0 made, 1 refused.

    Example: axis content ics docs/examples/giay-moi.xml -o giay-moi.ics
    """
    from axis.contents.calendar import ics_of

    async def work() -> bytes:
        content = await _read(file)
        if not isinstance(content, Invitation):
            raise refuse("CON.KIND", contents.root_of(content).element, rule="rule:content.root")
        return ics_of(content, at=clock.now(), cancelled=cancel)

    made = output.run(work())
    if to is None:
        sys.stdout.buffer.write(made)
    else:
        to.write_bytes(made)


async def _read(file: Path) -> Content:
    with file.open("rb") as stream:
        xml = await asyncio.to_thread(stream.read, contents.MAX_CONTENT_BYTES + 1)
    return contents.examine(xml, today=values.local_date(clock.now()))


def _said(value: Any) -> list[tuple[str, Any]]:
    return [(field.name, _plain(getattr(value, field.name))) for field in fields(value)]


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; moments as the clocks of Viet Nam show them."""
    if is_dataclass(value):
        return dict(_said(value))
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(values.VIETNAM).isoformat()
    return value


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(_shown(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(str(one) for one in value.values() if one not in ("", None))
    return str(value)
