"""Scale: from what one document was measured to cost, to the machines that a province and the country need.

    python -m tests.bench.scale            # print the tables
    python -m tests.bench.scale --write    # put them into docs/scale.md

Every figure is a product of what a row of results.jsonl says and of what is
assumed; the assumptions are options, and are printed. The newest line that
holds every row is taken, and no row of another: figures of two machines, or of
two versions, have no product.

Limits: what was measured on one machine with two processors is multiplied as if
machines did not wait for each other. docs/scale.md says what that leaves out.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.jsonl")
PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
BEGIN, END = "<!-- Written by `python -m tests.bench.scale --write`. -->", "<!-- Until here. -->"
NEEDED = (
    "chain",
    "chain, PostgreSQL",
    "chain, PostgreSQL, 2 routers",
    "fan-out, 700",
    "fan-out, 3321",
    "offices, 100",
    "offices, 3321",
    "growth",
    "recovery",
)
_NODES = 3  # Of a broker's cluster; a quorum queue has a replica on each.
_FILLED = (300, 3 * 200)  # Bytes of an envelope and of its receipts in the ledger that `growth` fills.


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is assumed. Nobody publishes these figures; each is an option."""

    offices: int = 111_000  # Registered for the national exchange.
    provinces: int = 34
    documents: float = 10.0  # That an office sends in a working day.
    addressees: float = 3.0  # Of a document.
    busiest: float = 0.2  # Share of a day's documents in its busiest hour.
    outside: float = 0.1  # Share of documents that leave their province.
    load: float = 0.5  # Share of a processor that may be used in that hour.
    file_kib: float = 300.0  # Of a document's files together.
    days: int = 250  # Working days of a year.
    away_hours: float = 2.0  # Outage after which everything comes at once.

    def per_second(self, offices: float) -> float:
        """Return documents per second of so many offices in the busiest hour."""
        return offices * self.documents * self.busiest / 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What was measured, in the units that are multiplied."""

    single: Mapping[str, float]  # Milliseconds of a processor for a document to one office, SQLite, by process.
    cluster: Mapping[str, float]  # The same with several routers on PostgreSQL.
    addressee: Mapping[str, float]  # For each further addressee.
    grown: float  # Times as dear in a full ledger.
    ledger_bytes: float  # For each document.
    broker_mib: tuple[float, float]  # Without offices, and for each.
    axis_mib: tuple[float, float]
    rest_cores: tuple[float, float]  # Of the broker, while nothing is sent.
    start_s: float  # For each office, when all queues are new.
    country_s: float  # One document to 3,321 offices.
    drained_per_s: float  # Of what waited.

    def document_ms(self, costs: Mapping[str, float], process: str, addressees: float) -> float:
        """Return the processor time of one process for a document to so many offices."""
        of_addressee = {"axis up": "axis up", "broker": "broker"}.get(process, "axis up")
        first = costs[process]
        # The ledger of the fan-out is in the axis's own process; on PostgreSQL it grows as the axis does.
        each = self.addressee[of_addressee] * (first / costs["axis up"] if process == "ledger" else 1.0)
        return (first + (addressees - 1) * each) * (self.grown if process == "ledger" else 1.0)


def costs_of(rows: Mapping[str, Any]) -> Costs:
    """Read the unit costs out of one line's rows."""
    growth, few, many = rows["growth"], rows["offices, 100"], rows["offices, 3321"]
    chain = rows["chain, PostgreSQL"]
    filled = growth["ledger_mib"] * 1024**2 / growth["documents"]
    written = chain["envelope_bytes"] - _FILLED[0] + 3 * chain["receipt_bytes"] - _FILLED[1]
    return Costs(
        single=rows["chain"]["cpu_ms"],
        cluster=rows["chain, PostgreSQL, 2 routers"]["cpu_ms"],
        addressee=rows["fan-out, 700"]["cpu_ms"],
        grown=growth["full"]["cpu_ms"]["ledger"] / growth["empty"]["cpu_ms"]["ledger"],
        ledger_bytes=filled + written,
        broker_mib=_line(few, many, lambda row: row["broker_mib"]),
        axis_mib=_line(few, many, lambda row: row["axis_mib"]),
        rest_cores=_line(few, many, lambda row: row["rest_cores"]["broker"]),
        start_s=many["axis_started_s"] / many["offices"],
        country_s=rows["fan-out, 3321"]["delivered_s"],
        drained_per_s=rows["recovery"]["per_second"],
    )


def _line(few: Mapping[str, Any], many: Mapping[str, Any], figure: Any) -> tuple[float, float]:
    """Return what there is without offices, and what each adds."""
    each = (figure(many) - figure(few)) / (many["offices"] - few["offices"])
    return figure(few) - each * few["offices"], each


# --- the tables ---------------------------------------------------------------------------

Row = tuple[str, str, str]  # What, how it is reckoned, what comes out.


def unit_costs(costs: Costs) -> Iterator[Row]:
    """What was measured."""
    yield "document to one office, one process, SQLite", "`chain`", _parts(costs.single)
    yield "document to one office, several routers, PostgreSQL", "`chain, PostgreSQL, 2 routers`", _parts(costs.cluster)
    yield "each further addressee", "`fan-out, 700`", _parts(costs.addressee)
    yield "ledger when it is full, times as when empty", "`growth`", f"{costs.grown:.2f}"
    yield (
        "ledger for each document",
        "`growth`, with envelope and receipts at full length",
        f"{_kib(costs.ledger_bytes)}",
    )
    yield "memory of the broker, and for each office", "`offices`, 100 and 3,321", _both(costs.broker_mib, "MiB")
    yield "memory of a router, and for each office", "`offices`, 100 and 3,321", _both(costs.axis_mib, "MiB")
    yield "processors of the broker at rest, and for each office", "`offices`", _both(costs.rest_cores, "", digits=5)
    yield "start with new queues, for each office", "`offices`, 3,321", f"{costs.start_s * 1000:.0f} ms"


def asked_for(asked: Asked) -> Iterator[Row]:
    """What is assumed, and what that makes in a second."""
    each = asked.offices / asked.provinces
    yield "offices", f"{asked.offices:,} in {asked.provinces} provinces", f"{each:,.0f} a province"
    yield "documents a day", f"{asked.documents:g} an office", f"{each * asked.documents:,.0f} a province"
    yield (
        "documents a second in the busiest hour",
        f"{asked.busiest:.0%} of a day's in one hour",
        f"{asked.per_second(each):.2f} a province, {asked.per_second(asked.offices):.0f} the country",
    )
    yield "addressees of a document; leave the province", "", f"{asked.addressees:g}; {asked.outside:.0%}"
    yield "files of a document", "", f"{asked.file_kib:g} KiB"
    yield "share of a processor in use at most", "the rest is for what comes at once", f"{asked.load:.0%}"


def one_machine(asked: Asked, costs: Costs) -> Iterator[Row]:
    """`axis up` on one machine: one Python process, SQLite, a broker beside it."""
    axis, broker = (costs.document_ms(costs.single, name, asked.addressees) for name in ("axis up", "broker"))
    most = asked.load * 1000 / axis
    offices = most / asked.per_second(1)
    yield "processor time of a document", f"`axis up` {axis:.1f} + broker {broker:.1f} ms", f"{axis + broker:.1f} ms"
    yield "documents a second", f"{asked.load:g} x 1,000 / {axis:.1f} ms: one interpreter", f"{most:.1f}"
    yield "processors that the broker needs for that", f"{most:.1f} x {broker:.1f} ms", f"{most * broker / 1000:.2f}"
    yield "offices that send so much", f"{most:.1f} / {asked.per_second(1):.5f} a second each", f"{offices:,.0f}"


def one_cluster(asked: Asked, costs: Costs, offices: float) -> Iterator[Row]:
    """Routers and gateways on several machines, PostgreSQL, three nodes of RabbitMQ, a bucket."""
    per_s = asked.per_second(offices)
    named = {"axis up": "routers and gateways", "ledger": "PostgreSQL", "broker": "RabbitMQ, each of 3 nodes"}
    for process, name in named.items():
        ms = costs.document_ms(costs.cluster, process, asked.addressees)
        yield (
            f"processors: {name}",
            f"{per_s:.2f} x {ms:.1f} ms / {asked.load:g}",
            f"{per_s * ms / 1000 / asked.load:.2f}",
        )
    yield from _of_offices(costs, offices)
    documents = offices * asked.documents * asked.days
    yield "ledger, a year", f"{documents:,.0f} x {_kib(costs.ledger_bytes)}", _gib(documents * costs.ledger_bytes)
    yield "spool, a year", f"{documents:,.0f} x {asked.file_kib:g} KiB", _gib(documents * asked.file_kib * 1024)
    waits = offices * asked.documents * asked.addressees * asked.away_hours * asked.busiest
    yield (
        f"what {asked.away_hours:g} busiest hours of an outage have left",
        f"{waits:,.0f} deliveries / {costs.drained_per_s:g} a second",
        f"{waits / costs.drained_per_s / 60:.0f} min",
    )
    yield "a circular to 3,321 offices", "`country`", f"{costs.country_s:g} s"


def _of_offices(costs: Costs, offices: float) -> Iterator[Row]:
    """What offices cost that send nothing."""
    broker, rest, axis = (base + each * offices for base, each in (costs.broker_mib, costs.rest_cores, costs.axis_mib))
    yield "memory of each broker", f"{_both(costs.broker_mib, 'MiB')} x {offices:,.0f}", f"{broker / 1024:.1f} GiB"
    yield (
        "processors of each broker at rest",
        f"{_both(costs.rest_cores, '', digits=5)} x {offices:,.0f}",
        f"{rest:.2f}",
    )
    yield "memory of each router", f"{_both(costs.axis_mib, 'MiB')} x {offices:,.0f}", f"{axis / 1024:.2f} GiB"
    yield "first start", f"{costs.start_s * 1000:.0f} ms x {offices:,.0f}", f"{costs.start_s * offices / 60:.0f} min"


def the_country(asked: Asked, costs: Costs) -> Iterator[Row]:
    """As one cluster, which it is not, and as one for each province."""
    cpu = {name: costs.document_ms(costs.cluster, name, asked.addressees) for name in ("axis up", "ledger", "broker")}
    per_s = asked.per_second(asked.offices)
    crossing = per_s * asked.outside
    # Who passes a document on takes custody of it and answers for it: each side once more.
    twice = (per_s + crossing) * sum(cpu.values()) / 1000 / asked.load
    yield "documents a second", f"{asked.offices:,} offices", f"{per_s:.0f}, of which {crossing:.1f} cross a border"
    yield (
        "processors, all provinces",
        f"({per_s:.0f} + {crossing:.1f}) x {sum(cpu.values()):.1f} ms / {asked.load:g}",
        f"{twice:.1f}",
    )
    each = costs.broker_mib[1] * asked.offices / 1024
    yield (
        "one broker for all: memory of each node",
        f"{costs.broker_mib[1]:.3f} MiB x {asked.offices:,}",
        f"{each:.0f} GiB",
    )
    yield (
        "one broker for all: processors at rest",
        f"{costs.rest_cores[1]:.5f} x {asked.offices:,}",
        f"{costs.rest_cores[1] * asked.offices:.0f} on each of {_NODES} nodes",
    )
    yield "one broker for all: first start", f"{costs.start_s * 1000:.0f} ms x {asked.offices:,}", f"{costs.start_s * asked.offices / 3600:.1f} h"  # fmt: skip


def _parts(costs: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {ms:g}" for name, ms in costs.items() if name not in ("all", "crowd")) + " ms"


def _both(line: tuple[float, float], unit: str, digits: int = 3) -> str:
    return f"{line[0]:.{min(digits, 2)}f} + {line[1]:.{digits}f} {unit}".strip()


def _kib(size_bytes: float) -> str:
    return f"{size_bytes / 1024:.1f} KiB"


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / 1024**3:,.0f} GiB"


# --- the page -----------------------------------------------------------------------------


def newest(lines: Iterable[str]) -> dict[str, Any] | None:
    """Return the newest line that holds every row."""
    measured: list[dict[str, Any]] = [json.loads(line) for line in lines if line.strip()]
    return next((one for one in reversed(measured) if set(NEEDED) <= set(one["rows"])), None)


def missing(lines: Sequence[str]) -> list[str]:
    """Return the rows that the newest line lacks."""
    return [name for name in NEEDED if not lines or name not in json.loads(lines[-1])["rows"]]


def written(asked: Asked, lines: Sequence[str]) -> Iterator[str]:
    """Write the tables in Markdown, or say what has not been measured."""
    line = newest(lines)
    if line is None:
        yield "No line of `tests/bench/results.jsonl` holds every row that is needed. The newest lacks:"
        yield f"{', '.join(f'`{name}`' for name in missing(lines))}."
        return
    costs, machine, versions = costs_of(line["rows"]), line["machine"], line["versions"]
    yield (
        f"Measured {line['at'][:10]} at {versions['commit']}: {machine['cores']} processors ({machine['model']}), "
        f"{machine['gib']} GiB, Python {versions['python']}, RabbitMQ {versions['rabbitmq']}. "
        f"Others used {line['rows']['chain']['others_cores']} processors during `chain`."
    )
    province = asked.offices / asked.provinces
    for title, rows in (
        ("What is assumed", asked_for(asked)),
        ("Unit costs", unit_costs(costs)),
        ("One machine", one_machine(asked, costs)),
        (f"One cluster: a province of {province:,.0f} offices", one_cluster(asked, costs, province)),
        ("The country", the_country(asked, costs)),
    ):
        yield ""
        yield f"### {title}"
        yield ""
        yield "| What | How | Figure |"
        yield "|---|---|---|"
        yield from ("| " + " | ".join(row) + " |" for row in rows)


def put(page: Path, text: str) -> None:
    """Put the tables into a page, in the place of those that are there."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def _arguments(words: Sequence[str]) -> tuple[Asked, argparse.Namespace]:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description="From unit costs to machines.")
    for one in fields(Asked):
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=type(one.default), default=one.default)
    parser.add_argument("--results", type=Path, default=RESULTS, help="another file with lines of figures")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    given = parser.parse_args(words)
    return Asked(**{one.name: getattr(given, one.name) for one in fields(Asked)}), given


def main(words: Sequence[str]) -> None:
    """Print the tables, or put them into the page."""
    asked, given = _arguments(words)
    text = "\n".join(written(asked, given.results.read_text(encoding="utf-8").splitlines()))
    print(text)
    if given.write:
        put(PAGE, text)


if __name__ == "__main__":
    main(sys.argv[1:])
