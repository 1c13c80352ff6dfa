"""`axis route`: where an envelope would go, and why."""

from pathlib import Path
from typing import Annotated, Any

import typer

from axis import clock, edxml, registry, routing
from axis.cli import options, output

app = typer.Typer(no_args_is_help=True, help="Where an envelope would go, and why.")

_CHUNK_BYTES = 1024 * 1024


class _Nowhere:
    """Inline files are not asked about: only the envelope decides where it goes."""

    def write(self, data: bytes, /) -> int:
        return len(data)


@app.callback()
def _group() -> None:
    """Keep `explain` a command of its own name."""


@app.command()
def explain(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An edXML file, sealed or not.")],
    offices: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The roll of offices.")],
    json: options.Json = False,
) -> None:
    """Say for each addressee of an envelope whether it would be served, and by which rule. Sends nothing.

    Exit code: 0 if every addressee would be served, 1 if not.

    Example: axis route explain 125-SKHCN.edxml --offices config/offices.toml
    """

    async def work() -> routing.Resolution:
        roll = registry.load_offices(offices)
        return routing.resolve(_message(file), roll, clock.now())

    resolution = output.run(work())
    if json:
        output.as_json(
            {"originator": resolution.originator.code, "routes": [_facts(route) for route in resolution.routes]}
        )
    else:
        output.table(
            f"{resolution.originator.code} {resolution.originator.name}",
            ("nơi nhận", "mã", "phục vụ", "quy tắc", "giải thích"),
            [
                (route.addressee_as_written, route.office.code if route.office else "", "✓" if route.served else "✗", route.rule, f"{route.explanation_vi}\n{route.explanation_en}")
                for route in resolution.routes
            ],
        )  # fmt: skip
    if not all(route.served for route in resolution.routes):
        raise typer.Exit(output.REFUSED)


def _message(file: Path) -> edxml.Message:
    splitter = edxml.Splitter(_Nowhere)
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            splitter.feed(chunk)
    received = edxml.parse(splitter.close().sealed)
    edxml.gate(received)
    parts = {name: part for name in edxml.PARTS[received.kind] if (part := received.part(name)) is not None}
    return edxml.read_trees(received.kind, parts)


def _facts(route: routing.Route) -> dict[str, Any]:
    return {
        "addressee": route.addressee_as_written,
        "office": route.office.code if route.office else None,
        "served": route.served,
        "rule": route.rule,
        "held": bool(route.held),
        "vi": route.explanation_vi,
        "en": route.explanation_en,
        "violation": route.violation.as_dict() if route.violation else None,
    }
