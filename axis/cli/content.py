"""`axis content`: the file of a dossier, a task or an invitation, for a person and for a calendar."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from axis import clock, contents, ids
from axis.cli import ledgers, options, output
from axis.contents import Content, DossierStatus, DossierStep, Invitation, TaskStatus
from axis.edxml import values
from axis.errors import refuse
from axis.ledger import DossierStepRow, TaskStepRow

app = typer.Typer(
    no_args_is_help=True,
    help="The file of a dossier, a task or an invitation: show, ics; what was told of a dossier or a task: history.",
)

_Told = TypeVar("_Told")
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
    to: options.Output = None,
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

    output.write(output.run(work()), to)


@app.command()
def history(
    code: Annotated[str, typer.Argument(help="MaHoSo or MaNhiemVu: the code of a dossier or a task.")],
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """Show what offices have told of a dossier or a task, and whether it is on time by what each told.

    Exit code: 0 shown, 1 nobody has told of it.

    Example: axis content history H56.05-20260810-0000123
    """

    async def work() -> tuple[list[DossierStepRow], list[TaskStepRow]]:
        async with ledgers.opened(data) as book:
            return await book.dossier_steps(code), await book.task_steps(code)

    dossier, task = output.run(work())
    told = [*map(_of_dossier, _grouped(dossier, _by_office)), *map(_of_task, _grouped(task, _by_part))]
    if json:
        output.as_json(told)
    elif not told:
        output.stop(f"Chưa có đơn vị nào báo: {code} / Nobody has told of this", output.REFUSED)
    else:
        for one in told:
            _show_told(one)
    if not told:
        raise typer.Exit(output.REFUSED)


def _by_office(row: DossierStepRow) -> str:
    return row.originator


def _by_part(row: TaskStepRow) -> tuple[str, str]:
    return row.given_by, row.assignee


def _grouped(rows: list[_Told], key: Callable[[_Told], Any]) -> Iterator[list[_Told]]:
    return (list(group) for _, group in groupby(rows, key=key))


def _of_dossier(rows: list[DossierStepRow]) -> dict[str, Any]:
    steps = [DossierStep(DossierStatus(row.status), row.at, row.due_at) for row in rows]
    judgement = contents.judge_dossier(steps, now=clock.now())
    return {
        "office": rows[0].originator,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "due_at": _plain(judgement.due_at),
        "finished_at": _plain(judgement.finished_at),
        "supplements": judgement.supplements,
        "steps": [dict(_said(row)) | {"label": DossierStatus(row.status).label} for row in rows],
    }


def _of_task(rows: list[TaskStepRow]) -> dict[str, Any]:
    done = [row.at for row in rows if row.status == TaskStatus.COMPLETED]
    is_open = TaskStatus.REOPENED in {row.status for row in rows if done and row.at > done[-1]}
    verdict, reason = contents.judge_task(rows[0].due_on, done[-1] if done and not is_open else None, now=clock.now())
    return {
        "office": rows[0].assignee,
        "given_by": rows[0].given_by,
        "verdict": verdict,
        "reason": reason,
        "due_at": _plain(rows[0].due_on),
        "steps": [dict(_said(row)) | {"label": TaskStatus(row.status).label} for row in rows],
    }


def _show_told(one: dict[str, Any]) -> None:
    giver = f" ← {one['given_by']}" if "given_by" in one else ""
    output.table(
        f"{one['office']}{giver}: {one['verdict']} ({one['reason']})",
        ("trạng thái", "lúc", "hẹn trả", "", "gói tin"),
        [
            (
                f"{step['status']} {step['label']}",
                step["at"],
                step.get("due_at") or step.get("due_on"),
                step["move"],
                ids.short(step["envelope_id"]),
            )
            for step in one["steps"]
        ],
    )


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
    if isinstance(value, date):
        return value.isoformat()
    return value


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(_shown(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(str(one) for one in value.values() if one not in ("", None))
    return str(value)
