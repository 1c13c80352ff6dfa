"""`axis flow`: business flows as files, played on a real axis with real offices."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from axis import flow, private
from axis.cli import options, output
from axis.telemetry import events

app = typer.Typer(no_args_is_help=True, help="Business flows as files: run them, check them.")

_Files = Annotated[
    list[Path], typer.Argument(exists=True, dir_okay=False, readable=True, help="Flows, docs/flows/*.toml.")
]


@app.command()
def run(
    files: _Files,
    at_once: Annotated[int, typer.Option(min=1, max=16, help="So many flows beside each other.")] = 3,
    timeout: Annotated[
        float, typer.Option(min=1, help="So many seconds for the steps of one flow; one that needs more has failed.")
    ] = flow.DEFAULT_LIMIT_S,
    keep: Annotated[
        Path | None, typer.Option(file_okay=False, help="Keep ledgers, states and keys in this new folder.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Run flows, each on an axis of its own over one private RabbitMQ node, and say what came of each.

    Exit code: 0 all is as the flows expect, 1 something is not, 2 a file is no flow.

    Example: axis flow run docs/flows/*.toml
    """
    flows = _read(files)

    async def work(folder: Path) -> list[flow.Result]:
        _log_to(folder / "events.jsonl")
        async with flow.private_node(folder / "broker", _said(json)) as node:
            return await flow.run_all(flows, node, folder, at_once=at_once, limit_s=timeout, told=_show(json))

    if keep is not None:
        results = output.run(work(keep.absolute()))
    else:
        with tempfile.TemporaryDirectory(prefix="axis-flow-") as folder:
            results = output.run(work(Path(folder)))
    failed = [one for one in results if not one.passed]
    if json:
        output.as_json([asdict(one) | {"passed": one.passed} for one in results])
    else:
        for one in failed:
            output.console.print(explanation(one), markup=False, soft_wrap=True)
        passed = f"{len(results) - len(failed)} đạt / passed"
        output.console.print(passed + (f", {len(failed)} không đạt / failed" if failed else ""))
    if failed:
        raise typer.Exit(output.REFUSED)


@app.command()
def check(files: _Files, json: options.Json = False) -> None:
    """Read flows without running them, and say everything that is wrong with each. Exit code: 0 good, 2 not.

    Example: axis flow check docs/flows/*.toml
    """
    flows = _read(files)
    if json:
        output.as_json([{"file": str(one.file), "title_vi": one.title_vi, "title_en": one.title_en, "steps": len(one.steps)} for one in flows])  # fmt: skip
    else:
        output.console.print(f"{len(flows)} tốt / good")


def _read(files: Sequence[Path]) -> list[flow.Flow]:
    flows, problems = [], []
    for file in files:
        try:
            flows.append(flow.read(file))
        except flow.Misread as misread:
            problems.append(str(misread))
    if problems:
        output.stop("\n".join(problems), output.WRONG_USE)
    return flows


def _log_to(file: Path) -> None:
    """Let the axis and the offices write their log beside what they leave: a flow that ought to fail is full of errors."""
    private.make_folder(file.parent)
    with contextlib.redirect_stderr(file.open("w", encoding="utf-8")):
        events.configure(level="info", json=True, service="flow")


def _said(json: bool) -> Any:
    return lambda text: None if json else output.console.print(text, markup=False, style="dim")


def _show(json: bool) -> Any:
    def show(result: flow.Result) -> None:
        if json:
            return
        word, style = ("đạt", "green") if result.passed else ("KHÔNG ĐẠT", "red")
        output.console.print(
            f"{word:<10} {result.file.stem:<34} {result.done:>2}/{result.steps:<2} {result.seconds:4.1f} s  {result.title_vi} / {result.title_en}",
            markup=False,
            style=style,
            soft_wrap=True,
        )

    return show


def explanation(result: flow.Result) -> str:
    """Return why a flow failed: what was expected, what came, and what was said until then."""
    failure = result.failure
    if failure is None:
        return ""
    lines = [f"\n{result.file}:{failure.line}: bước / step {failure.step} ({failure.do})"]
    if failure.problem:
        lines.append(f"  {failure.problem}")
    if failure.expected:
        lines += [
            f"  mong đợi / expected   {_facts(failure.expected)}",
            f"  thực tế / came        {_facts(failure.came)}",
        ]
    lines += [f"  biên nhận / receipts  {one}" for one in failure.receipts]
    return "\n".join(lines)


def _facts(facts: Mapping[str, Any]) -> str:
    def one(value: Any) -> Iterator[str]:
        if isinstance(value, list):
            yield ", ".join(map(str, value)) or "–"
        elif isinstance(value, dict):
            yield ", ".join(f"{name}: {each}" for name, each in value.items()) or "–"
        else:
            yield "–" if value is None else str(value)

    return " · ".join(f"{name} = {''.join(one(value))}" for name, value in facts.items())
