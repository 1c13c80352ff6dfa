"""Output: how every command speaks to a person, and to a program.

A person gets tables and plain sentences, a program gets JSON on standard
output. Exit codes: 0 done or accepted, 1 refused or something found, 2 wrong
use, 3 the axis could not do it now, 4 accepted, and the receipt could not be
written.
"""

import asyncio
import errno
import json
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn
from rich.table import Table

from axis.edxml.dialects import Tolerated
from axis.errors import AxisError, Refusal, TransientError, Violation

T = TypeVar("T")

console = Console(highlight=False)
complaints = Console(stderr=True, highlight=False)

UNVERIFIED = (
    "Chưa xác thực nơi gửi: trục ký thay phần mềm cũ / Originator not verified: sealed by the axis for an older system"
)
BY_NOTARY = (
    "Nơi nhận không ký: trục ghi theo lời hệ thống / Not signed by the addressee: written down by the axis on its word"
)
REFUSED, WRONG_USE, NOT_NOW, NOT_KEPT = 1, 2, 3, 4


def as_json(value: object) -> None:
    """Write one JSON value to standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table; columns without names get no line of their own."""
    grid = Table(title=title, title_justify="left", header_style="bold", show_header=any(columns))
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(grid)


def listing(
    rows: Sequence[dict[str, Any]],
    json: bool,
    columns: Sequence[str],
    cells: Callable[[dict[str, Any]], Sequence[object]],
) -> None:
    """Write what was found: as JSON, or as a table with a row for each; that there is nothing is said."""
    if json:
        as_json(rows)
    elif not rows:
        console.print("Không có / None")
    else:
        table("", columns, [cells(row) for row in rows])


def violations(found: Sequence[Violation]) -> None:
    """Write what is wrong, one row each, in both languages."""
    for number, one in enumerate(found, 1):
        place = f"dòng {one.line}: {one.path}" if one.line is not None else one.path
        console.print(f"[bold]{number}. {one.code}[/] {one.rule}", markup=True)
        if place:
            console.print(f"   {place}", markup=False)
        console.print(f"   {one.vi}\n   {one.en}", markup=False)
        console.print(f"   → {one.who_must_act}: {one.next}", markup=False)


def tolerated(found: Sequence[Tolerated]) -> None:
    """Write what is not as it should be and harms nobody, one row each, in both languages."""
    for one in found:
        place = f"dòng {one.line}: " if one.line is not None else ""
        console.print(f"~ {one.quirk}  {place}{one.vi} / {one.en}", markup=False)


def stop(message: str, code: int) -> NoReturn:
    """End the command with a sentence for a person."""
    complaints.print(message, markup=False, style="red" if code else None)
    raise typer.Exit(code)


def run(work: Coroutine[Any, Any, T], *, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    """Run a command's asynchronous part; what goes wrong in it is said `in_words`.

    Args:
        work: The part.
        loop_factory: The event loop of one that serves; a command that is done at once needs none of its own.
    """
    with in_words(), asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(work)


def write(content: bytes, to: Path | None) -> None:
    """Write what was made to a file, or to standard output."""
    if to is None:
        sys.stdout.buffer.write(content)
        return
    with in_words():
        to.write_bytes(content)


@contextmanager
def in_words() -> Iterator[None]:
    """Say what goes wrong in the block, and end the command: the axis' own errors, and files that cannot be used."""
    try:
        yield
    except Refusal as refusal:
        violations(refusal.violations)
        raise typer.Exit(REFUSED) from refusal
    except TransientError as error:
        stop(f"{error.entry.vi} / {error}", NOT_NOW)
    except AxisError as error:
        stop(str(error), WRONG_USE)
    except ValidationError as error:
        stop(settings_problem(error), WRONG_USE)
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:  # Not of a file: nobody foresaw it.
            raise
        is_mistaken = isinstance(error, FileNotFoundError | NotADirectoryError)
        place = "" if error.filename is None else f"{error.filename}: "
        text = f"Không đọc hay ghi được / Cannot be read or written: {place}{error.strerror}"
        stop(text, WRONG_USE if is_mistaken else NOT_NOW)


def settings_problem(error: ValidationError) -> str:
    """Return what is wrong with the settings, a line each."""
    lines = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return "Cấu hình sai / The settings are wrong:\n  " + "\n  ".join(lines)


@contextmanager
def progress(title: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show how far something of `total` bytes has come; yields a function that is told bytes done."""
    if quiet or not complaints.is_terminal:
        yield lambda _done: None
        return
    with Progress(
        "{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=complaints
    ) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)
