"""Tables: the pages of docs/reference/, written from the code that they describe.

`python -m scripts.tables` writes them, `--check` says which are out of date and
exits with 1. A table that a person had to keep would be wrong within a month.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import typer
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from adapters.folder.options import FolderOptions
from adapters.http.options import HttpOptions
from axis import contents, flow
from axis.broker import topology
from axis.cli.main import root
from axis.dispatch import business
from axis.dispatch.states import ANSWERS, MOVES, TERMINAL, State
from axis.edxml import catalogue
from axis.edxml.codes import STATUSES
from axis.edxml.dialects import DIALECTS, WORDS, Dialect, Package
from axis.errors import CATALOGUE
from axis.gateway.compat import words
from axis.office import OfficeSettings
from axis.office import metrics as office_metrics
from axis.office.settings import ADAPTER_PREFIX, ENVIRONMENT
from axis.receipts import SAID_BY, Level
from axis.settings import Settings
from axis.telemetry import metrics
from scripts import interfaces
from tests.fault.faults import FAULTS

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
FLOWS = FOLDER.parent / "flows"
_MADE = "<!-- Written by `make docs` from the code. Edits here are lost. -->"
_EXAMPLE = "H56.112"


def pages() -> dict[str, str]:
    """Return every page of the reference: name of the file, content."""
    makers: dict[str, Callable[[], Iterator[str]]] = {
        "errors.md": errors,
        "statuses.md": statuses,
        "states.md": states,
        "contents.md": content_tables,
        "settings.md": settings,
        "metrics.md": series,
        "commands.md": commands,
        "topology.md": layout,
        "faults.md": faults,
        "dialects.md": dialects,
        "compat.md": compat,
        "../flows/README.md": flows,
    }
    written = {name: "\n".join([_MADE, "", *make()]).rstrip() + "\n" for name, make in makers.items()}
    return written | interfaces.pages()


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""


def faults() -> Iterator[str]:
    """What is done to an axis at work by `make fault`."""
    yield from (
        "# Faults",
        "",
        "Each is done to an axis and three offices at work, all of them real processes, with the seeds that it is given by",
        "`make fault`; `make fault F=F09 SEEDS=3` does one. Whatever was done, at the end every document that an office has",
        "handed in stands once in the register of each addressee, or its sender was told otherwise; the sender has heard",
        "every receipt; what had to be refused was refused; `axis audit` finds nothing in the ledger, receipts, spool, broker",
        "and registers - after F39 exactly what offices have registered under ids that only the lost ledger knew, and where",
        "addressees die exactly what their systems were asked again before there was an answer; and that within two and a half",
        "minutes of the last fault. [Promises](../promises.md) 1, 2, 4, 6 and 7 are held to this.",
        "",
    )
    yield from _table(
        ("", "What is done", "Times", "Seeds", "Documents", "`make test`"),
        [
            (name, one.what, one.times, one.seeds, one.conditions.documents, "yes" if one.always else "")
            for name, one in FAULTS.items()
        ],
    )


def flows() -> Iterator[str]:
    """The flows that there are, and the vocabulary in which they are written."""
    yield from (
        "# Flows",
        "",
        "Each file here is one business flow from beginning to end: which offices take part, what they do, and what must",
        "come of it. `axis flow run` plays it on a real axis - RabbitMQ, ledger, gateway, offices with keys of their own - and",
        "says what differed, with the receipts. `make test` plays them all.",
        "",
        "```",
        "axis flow run docs/flows/*.toml",
        "```",
        "",
    )
    read = [flow.read(file) for file in sorted(FLOWS.glob("*.toml"))]
    yield from _table(
        ("Flow", "Luồng", "What it shows", "Clauses"),
        [
            (f"[{one.file.stem}]({one.file.name})", one.title_vi, one.title_en, ", ".join(map(_clause, one.about)))
            for one in read
        ],
    )
    yield from (
        "## Writing one",
        "",
        "A flow has a title in both languages and `offices`: `code`, `name`, `tier`, and whatever the",
        "[roll](../../config/offices.toml) may say of an office; `connected = false` for one that does not run. `groups` and",
        "`rules` are those of the roll, `axis` holds [settings](../reference/settings.md) that differ, and `starts_at` is when",
        "it begins: in a flow no time is waited for, it is passed. Every flow has a province of its own, so codes may repeat.",
        "",
        "`steps` are taken in their order; each begins with `do`. What is expected is waited for, ten seconds unless `within`",
        "says otherwise; the steps of a flow together have three minutes unless `--timeout` does. When all steps are done, the",
        "ledger is audited and every chain of receipts is checked. `note` may stand in any step.",
        "",
    )
    for verb in flow.VERBS.values():
        yield from (f"### {verb.name}", "", (verb.act.__doc__ or "").strip(), "")
        fields = [
            (f"`{field.alias or name}`", _default(field, "must be given"), field.description or "")
            for name, field in verb.model.model_fields.items()
            if name != "note"
        ]
        if fields:
            yield from _table(("Field", "If it is not given", "What it is"), fields)


def _clause(text: str) -> str:
    page, _, number = text.partition(" ")
    return f"[{page}](../protocol/{page}.md) {number}"


def dialects() -> Iterator[str]:
    """How older systems write edXML, and what of it is tolerated."""
    yield from (
        "# Dialects",
        "",
        "The roll states the dialect of an office whose system cannot write the profile. See",
        "[protocol/dialects.md](../protocol/dialects.md).",
        "",
    )
    yield from _table(
        ("Dialect", "Seen in", "Namespace", "Frame", "Prefix", "Days", "Files", "Besides"),
        [
            (
                f"`{one.name}`",
                one.seen,
                f"`{one.namespace}`",
                f"`{one.frame}`",
                "`edXML:`" if one.prefixed else "none",
                f"`{one.clock}`",
                f"`{one.packing}`" + (" in parts" if one.package is Package.MIME else ""),
                "; ".join(_besides(one)),
            )
            for one in DIALECTS.values()
        ],
    )
    yield from (
        "## What is tolerated",
        "",
        "In every dialect. `axis lint --dialect` says it of a file, line by line; the acceptance names the quirks.",
        "",
    )
    yield from _table(("Quirk", "Tiếng Việt", "English"), [(f"`{quirk}`", vi, en) for quirk, (vi, en) in WORDS.items()])


def compat() -> Iterator[str]:
    """Numbers and words of older axes, and what they stand for."""
    yield from (
        "# Words of older axes",
        "",
        "What the calls under `/compat/v1` answer and understand. See [protocol/compat.md](../protocol/compat.md).",
        "",
        "## Numbers",
        "",
        "`errorCode` of a no. What may be tried again has none.",
        "",
    )
    codes: dict[int | None, list[str]] = {}
    for code in CATALOGUE:
        codes.setdefault(words.number_of(code), []).append(f"`{code}`")
    yield from _table(
        ("errorCode", "Tiếng Việt", "English", "For"),
        [(number, vi, en, ", ".join(codes.get(number, ["success"]))) for number, (vi, en) in words.NUMBERS.items()]
        + [("null", "Thử lại sau", "Try again later", ", ".join(codes[None]))],
    )
    yield from (
        f"`MSG.NOT_ALLOWED` is {words.number_of('MSG.NOT_ALLOWED', 'route:originator-')} where it is the originator that takes no part.",
        "",
        "## Where a message stands",
        "",
    )
    yield from _table(
        ("Word", "Tiếng Việt", "States"),
        [
            (f"`{word}`", text, ", ".join(f"`{state}`" for state, one in words.STATES.items() if one == word))
            for word, text in words.STATE_WORDS.items()
        ],
    )
    yield from ("## What updateStatus may bring", "")
    yield from _table(
        ("status", "Receipt", "Status code"),
        [
            (f"`{word}`", "none", "") if said is None else (f"`{word}`", f"`{said.level}`", f"`{said.status_code}`")
            for word, said in words.STATUSES.items()
        ],
    )


def _besides(one: Dialect) -> Iterator[str]:
    if one.flat_type:
        yield "`Type` is the number of the kind"
    if one.is_complete:
        yield "every element is written, and an `ErrorList`"
    if one.signature:
        yield f"an empty `{one.signature}`"
    if one.status_in_body:
        yield "a status is `Status` in the body"
    if one.order:
        yield f"another order in {', '.join(f'`{parent}`' for parent in one.order)}"
    if one.blanks:
        yield f"{', '.join(f'`{blank}`' for blank in one.blanks)} is empty"


def errors() -> Iterator[str]:
    """The catalogue of codes."""
    yield from (
        "# Codes",
        "",
        "Every no carries one of these codes: in the signed receipt, the HTTP answer and the command line alike.",
        "`{detail}` stands for what exactly it is about. A status that begins with 4 is transient: it was not judged, and is",
        "tried again; one that begins with 5 is final, with 2 nothing is wrong. See [protocol/errors.md](../protocol/errors.md).",
        "",
    )
    yield from _table(
        _CODE_COLUMNS,
        [_code_row(row) for row in catalogue.rows() if row.what == "error"],
    )


_CODE_COLUMNS = ("Code", "Class", "HTTP", "RFC 3463", "Who must act", "Tiếng Việt", "English", "What happens next")


def _code_row(row: catalogue.Row) -> tuple[object, ...]:
    return f"`{row.code}`", row.kind, row.http, row.status, row.who_must_act, row.vi, row.en, row.next


def statuses() -> Iterator[str]:
    """What an office may report about a document."""
    yield from (
        "# Statuses",
        "",
        "What an office reports about a document, in a receipt or in a status message of the national form. Transport says",
        "that it came; business says what clerks do with it, and never moves a delivery; order is the answer to a recall, an",
        "update or a take-back. The numbers are those of QCVN 102:2016; 07 to 12 and 14 are defined nowhere. HTTP is how an",
        "answer tells of it: a status is never a no. See [protocol/receipts.md](../protocol/receipts.md) and, for errors,",
        "[errors](errors.md).",
        "",
    )
    yield from _table(
        (*_CODE_COLUMNS, "Reason"),
        [
            (*_code_row(row), "must be given" if row.needs_reason else "")
            for row in catalogue.rows()
            if row.what == "status"
        ],
    )


def states() -> Iterator[str]:
    """What may happen to a delivery."""
    yield from (
        "# States of a delivery",
        "",
        "A delivery is one envelope on its way to one addressee. It ends in exactly one of",
        f"{', '.join(f'`{state}`' for state in State if state in TERMINAL)}.",
        "See [protocol/deliveries.md](../protocol/deliveries.md).",
        "",
        "## What a receipt does",
        "",
        "Rows are receipts with who may say them, columns are states. “late”: recorded, and changes nothing.",
        "",
    )
    yield from _table(
        ("Receipt", "Said by", *(f"in `{state}`" for state in State)),
        [
            (f"`{level}`", " or ".join(sorted(SAID_BY[level])), *(ANSWERS[level][state] or "late" for state in State))
            for level in Level
        ],
    )
    yield from ("## What the axis does by itself", "")
    yield from _table(
        ("Move", "From", "To"),
        [(move, " or ".join(sorted(before)), after) for move, (before, after) in MOVES.items()],
    )
    yield from (
        "## What clerks report",
        "",
        "Which status may follow which, in the `business` of a delivery. Any other is late: recorded, and changes nothing.",
        "See [protocol/orders.md](../protocol/orders.md) 6.",
        "",
    )
    yield from _table(
        ("After", "about a document", "about an order"),
        [
            (
                "nothing" if before is None else f"`{before}` {STATUSES[before].name}",
                _codes(business.OF_DOCUMENT.get(before, ())),
                _codes(business.OF_ORDER.get(before, ())),
            )
            for before in business.OF_ORDER
        ],
    )


def _codes(codes: Iterable[str]) -> str:
    return ", ".join(f"`{code}`" for code in sorted(codes)) or "—"


def content_tables() -> Iterator[str]:
    """Kinds of contents, and what may become of a dossier and a task."""
    yield from (
        "# Contents",
        "",
        "What a document may carry that is more than a file. See [protocol/contents.md](../protocol/contents.md).",
        "",
        "## Kinds",
        "",
    )
    yield from _table(
        ("Kind", "ContentType", "Name", "Root", "What it is"),
        [
            (
                f"`{one.kind}`",
                f"`{contents.KINDS[one.kind].content_type}`",
                f"`{contents.KINDS[one.kind].file_name}`",
                f"`{one.element}`",
                f"`{one.shape.type.__name__}`: {(one.shape.type.__doc__ or '').partition(': ')[2]}",
            )
            for one in contents.shapes.ROOTS
        ],
    )
    yield from (
        "## Statuses of a dossier",
        "",
        "A status may be said again, and steps may be left out; what no way leads to is refused. “Needs” is what",
        "`DongBoHoSoMC` must hold; in `CapNhatTienDoHoSoMC` a status with a mark in the last column needs `NoiDungXuLy`. The",
        "receiver is the organ in `MaHoSo` or one above or below it, a handler any other office.",
        f"{', '.join(str(int(status)) for status in sorted(contents.dossier.ENDED))} end a dossier.",
        "",
    )
    sample = contents.shapes.BY_TYPE[contents.Dossier].shape
    elements = {field.name: field.element for field in sample.fields}
    yield from _table(
        ("Status", "Name", "After", "Said by", "Needs", "Says why"),
        [
            (
                int(status),
                state.name,
                ", ".join([*(["the beginning"] if state.starts else []), *map(str, sorted(map(int, state.after)))]),
                " or ".join(sorted(state.said_by)),
                ", ".join(" or ".join(f"`{elements[name]}`" for name in group) for group in state.needs),
                "yes" if state.needs_note else "",
            )
            for status, state in contents.dossier.STATES.items()
        ],
    )
    yield from (
        "## Statuses of a task",
        "",
        "Each office that a task was given to has its own. 1 is said by `GiaoNhiemVu`, 6 by `HoanThanhNhiemVu`, the rest by",
        "`CapNhatNhiemVu`, which says why in `NoiDung` where the last column has a mark. A status may be said again.",
        "",
    )
    yield from _table(
        ("Status", "Name", "After", "Said by", "Says why"),
        [
            (
                int(status),
                state.name,
                ", ".join(
                    [
                        *(["the beginning"] if contents.task.starts(status) else []),
                        *map(str, sorted(map(int, state.after))),
                    ]
                ),
                " or ".join(sorted(state.said_by)),
                "yes" if state.needs_note else "",
            )
            for status, state in contents.task.STATES.items()
        ],
    )


def settings() -> Iterator[str]:
    """Every setting, where it is read from, what it is when nobody sets it."""
    yield from (
        "# Settings",
        "",
        "## The axis",
        "",
        "From `axis.toml` in the working directory and from the environment, which wins. `a.b` is the key `b` of the",
        "table `[a]`. Durations are written as in ISO 8601 (`PT30S`, `P5D`), lists as JSON. An unknown key is an error.",
        "A sample is [config/axis.toml](../../config/axis.toml).",
        "",
    )
    columns = ("Key", "Variable", "When it is not set", "What it is")
    yield from _table(
        columns,
        [(f"`{name}`", f"`{_variable(name)}`", _default(field), field.description) for name, field in leaves(Settings)],
    )
    yield from (
        "## An office",
        "",
        "From the table `[office]` of the office's file and from the environment, which wins.",
        "`AXIS_OFFICE_ROOT` says where relative paths begin; otherwise they begin at the file.",
        "",
    )
    variables = {field: name for name, field in ENVIRONMENT.items()}
    yield from _table(
        columns,
        [
            (f"`{name}`", f"`{variables[name]}`", _default(field), field.description)
            for name, field in leaves(OfficeSettings)
            if name in variables
        ],
    )
    for title, options in (("The folder adapter", FolderOptions), ("The HTTP adapter", HttpOptions)):
        kind = options.model_fields["kind"].default
        yield from (f"## {title}", "", f'From the table `[adapter]` with `kind = "{kind}"`.', "")
        yield from _table(
            columns,
            [
                (f"`{name}`", f"`{ADAPTER_PREFIX}{name.upper()}`", _default(field), field.description)
                for name, field in leaves(options)
                if name != "kind"
            ],
        )


def leaves(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield each setting of a tree with its dotted name."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from leaves(kind, f"{before}{name}.")
        else:
            yield f"{before}{name}", field


def _variable(name: str) -> str:
    return "AXIS_" + name.upper().replace(".", "__")


def _default(field: FieldInfo, required: str = "must be set") -> str:
    if field.is_required():
        return required
    value = field.default
    if value is PydanticUndefined:
        return ""
    if value in (None, "", (), {}):
        return "—"
    return f"`{_plain(value)}`"


def _plain(value: object) -> str:
    """Return a default as a person writes it in a file."""
    written = TypeAdapter(type(value)).dump_python(value, mode="json")
    return ", ".join(map(str, written)) if isinstance(written, list) else str(written)


def series() -> Iterator[str]:
    """What /metrics of each process shows."""
    yield from (
        "# Metrics",
        "",
        "In the Prometheus text format at `/metrics`. Gauges are read from the ledger, so that every router and gateway",
        "shows the same. No label is an identifier of a document.",
        "",
        "## Router and gateway",
        "",
    )
    yield from _series(metrics.REGISTRY)
    yield from ("## Office", "")
    yield from _series(office_metrics.REGISTRY)


def _series(registry: CollectorRegistry) -> Iterator[str]:
    rows = []
    for collector in registry._collector_to_names:
        (metric,) = cast("Any", collector).describe()
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        rows.append((f"`{name}`", metric.type, ", ".join(cast("Any", collector)._labelnames), metric.documentation))
    yield from _table(("Series", "Kind", "Labels", "What it is"), rows)


def commands() -> Iterator[str]:
    """Every command with its example."""
    yield from (
        "# Commands",
        "",
        "`axis COMMAND --help` shows arguments and options. Exit codes: 0 done or accepted, 1 refused or something found,",
        "2 wrong use, 3 the axis could not do it now, 4 accepted, and the receipt could not be written. `--json` prints what",
        "a program would read.",
        "",
    )
    for name, command in leaf_commands():
        text = (command.help or "").strip()
        said, _, example = text.partition("Example:")
        yield f"## axis {name}"
        yield ""
        yield " ".join(said.split())
        yield ""
        if example:
            yield from ("```", " ".join(example.split()), "```", "")


def leaf_commands() -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, with its full name."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
            return
        for word, one in inner.items():
            yield from walk(f"{name} {word}".strip(), one)

    yield from walk("", typer.main.get_command(root()))


def layout() -> Iterator[str]:
    """The broker's layout for one office."""
    plan = topology.province([_EXAMPLE])
    allowed = topology.permissions(_EXAMPLE)
    yield from (
        "# Layout at the broker",
        "",
        f"For one office, `{_EXAMPLE}`; each further office adds an exchange, an inbox and their bindings. All exchanges are",
        "direct and durable. See [protocol/broker.md](../protocol/broker.md).",
        "",
    )
    yield from _table(
        ("Queue", "Arguments"),
        [
            (f"`{queue.name}`", ", ".join(f"`{key}={value}`" for key, value in queue.arguments.items()))
            for queue in plan.queues
        ],
    )
    yield from _table(
        ("Exchange", "Routing key", "Queue"),
        [(f"`{one.exchange}`", f"`{one.key}`", f"`{one.queue}`") for one in plan.bindings],
    )
    yield from _table(
        ("Account", "configure", "write", "read"),
        [(f"`{_EXAMPLE}`", f"`{allowed.configure}`", f"`{allowed.write}`", f"`{allowed.read}`")],
    )


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or check them; return the exit code."""
    made = pages()
    if "--check" in arguments:
        stale = [name for name, text in made.items() if _written(name) != text]
        sys.stdout.writelines(f"out of date: docs/reference/{name}; run make docs\n" for name in stale)
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"docs/reference/{name}\n")
    return 0


def _written(name: str) -> str:
    path = FOLDER / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
