"""Table: the figures of one run, for a person."""

from statistics import median

from rich.console import Console
from rich.table import Table

from tests.bench.as2 import As2
from tests.bench.fan_out import GOALS_S, FanOut
from tests.bench.growth import Growth
from tests.bench.meters import Machine, Spread
from tests.bench.offices import Offices
from tests.bench.recovery import Recovery
from tests.bench.rows import GOAL_LONE_MS, GOAL_PACED_MS, PACED_PER_S, Chain, Lone, Paced, Relay
from tests.bench.size import GOAL_MIB, GOAL_TIMES, Cut, Several, Size
from tests.bench.steps import Steps
from tests.bench.usual.row import Usual

Row = Chain | Relay | Steps | Lone | Paced | Size | Several | Cut | Usual | As2 | Offices | FanOut | Growth | Recovery
Rows = dict[str, Row]
Lines = list[tuple[str, str, str]]

# How many times as much as these the chain ought to carry.
GOAL_USUAL, GOAL_AS2 = 4, 3
_QUIET_CORES = 0.1  # What others may use before documents per second of two rows cannot be compared.


def show(console: Console, rows: Rows, machine: Machine) -> None:
    """Print what was measured, and the ratios."""
    table = Table("row", "figure", "value", "ratio", title=f"{machine.model}, {machine.cores} cores, {machine.gib} GiB")
    for name, row in rows.items():
        for number, (figure, value, ratio) in enumerate(_lines(row, rows)):
            table.add_row(name if number == 0 else "", figure, value, ratio)
        table.add_section()
    console.print(table)


def _lines(row: Row, rows: Rows) -> Lines:
    match row:
        case Chain():
            return _chain(row, rows)
        case Relay():
            return _relay(row, rows.get("chain"))
        case Steps():
            return _steps(row)
        case Lone():
            return _lone(row)
        case Paced():
            return _paced(row)
        case Size():
            return _size(row)
        case Several():
            return _several(row)
        case Cut():
            return _cut(row)
        case Usual():
            return _usual(row, rows.get("chain, PostgreSQL" if "ledger" in row.cpu_ms else "chain"))
        case As2():
            return _as2(row)
        case Offices():
            return _offices(row, rows)
        case FanOut():
            return _fan_out(row)
        case Growth():
            return _growth(row)
        case Recovery():
            return _recovery(row)


def _chain(row: Chain, rows: Rows) -> Lines:
    usual = rows.get("chain")
    beside = f"of chain {row.per_second / usual.per_second:.2f}" if isinstance(usual, Chain) and usual != row else ""
    carried = f"{row.documents} x ({row.envelope_bytes} B + {row.file_bytes // 1024} KiB) in {row.seconds} s"
    return [
        (f"documents per second: {carried}", f"{row.per_second}", beside),
        *_cpu(row.cpu_ms),
        ("accepted to registered, waiting included", _spread(row.registered), ""),
        ("processors that others used meanwhile", f"{row.others_cores}", ""),
        ("a page of memory that was free", f"{row.page_us} µs", ""),
    ]


def _relay(row: Relay, chain: Row | None) -> Lines:
    carried = f"{row.documents} x {row.document_bytes} B in {row.seconds} s"
    ratio = f"chain / relay {chain.per_second / row.per_second:.3f}" if isinstance(chain, Chain) else ""
    dearer = f"chain / relay {chain.cpu_ms['all'] / row.cpu_ms['all']:.1f}" if isinstance(chain, Chain) else ""
    first, *rest = _cpu(row.cpu_ms)
    return [(f"documents per second: {carried}", f"{row.per_second}", ratio), (first[0], first[1], dearer), *rest]


def _cpu(used: dict[str, float], each: str = "document") -> Lines:
    parts = sorted(((name, ms) for name, ms in used.items() if name != "all"), key=lambda part: -part[1])
    return [
        (f"CPU for each {each}, all processes", f"{used['all']} ms", ""),
        *((f"  {name}", f"{ms} ms", f"{ms / used['all']:.0%}" if used["all"] else "") for name, ms in parts),
    ]


def _steps(row: Steps) -> Lines:
    return [
        (
            name + (f", {step.times} times a document" if step.times > 1 else ""),
            f"{step.ours_ms} ms",
            f"floor {step.floor_ms:.3f} ms, {step.ours_ms / step.floor_ms:.1f} times",
        )
        for name, step in row.steps.items()
    ]


def _lone(row: Lone) -> Lines:
    whole = sum(row.steps_ms.values())
    return [
        ("accepted to registered", _spread(row.registered), ""),
        ("handed in to last receipt heard", _spread(row.heard), _of_goal(row.heard.p95, GOAL_LONE_MS, "p95")),
        *((f"  {step}", f"{ms} ms", f"{ms / whole:.0%}") for step, ms in row.steps_ms.items()),
    ]


def _paced(row: Paced) -> Lines:
    is_goal = row.offered_per_second == PACED_PER_S[-1]
    goal = _of_goal(row.heard.p95, GOAL_PACED_MS, "p95") if is_goal else ""
    return [
        (f"accepted to registered, {row.offered_per_second:.0f} a second", _spread(row.registered), ""),
        ("due to last receipt heard", _spread(row.heard), goal),
        ("processors in use", f"{row.cpu_cores}", ""),
        ("processors that others used meanwhile", f"{row.others_cores}", ""),
    ]


def _size(row: Size) -> Lines:
    return [
        ("SHA-256 and copy on the same disk", f"{row.copy_s} s", ""),
        *_against_copy("upload", row.upload_s, row.copy_s),
        *_against_copy("download", row.download_s, row.copy_s),
        ("as a document, handed in to registered heard", f"{row.document_s} s", f"document / copy {row.document_s / row.copy_s:.1f}"),
        *_peaks(row.peaks_mib),
    ]  # fmt: skip


def _several(row: Several) -> Lines:
    return [
        (f"SHA-256 and copy of {row.files} x {row.mib} MiB, one after the other", f"{row.copy_s} s", ""),
        *_against_copy("upload, all at once", row.upload_s, row.copy_s),
        *_against_copy("download, all at once", row.download_s, row.copy_s),
        *_peaks(row.peaks_mib),
    ]


def _cut(row: Cut) -> Lines:
    return [
        (f"passed again of {row.mib} MiB: {what}", f"{again} MiB", f"{again / row.mib:.3f} of it")
        for what, again in row.again_mib.items()
    ]


def _against_copy(way: str, took_s: float, copy_s: float) -> Lines:
    return [(way, f"{took_s} s", f"{way.split(',')[0]} / copy {took_s / copy_s:.1f} (goal {GOAL_TIMES:.0f})")]


def _peaks(peaks_mib: dict[str, float]) -> Lines:
    return [
        (f"growth of peak memory: {name}", f"{grown} MiB", _of_goal(grown, GOAL_MIB))
        for name, grown in peaks_mib.items()
    ]


def _of_goal(figure: float, goal: float, what: str = "") -> str:
    return f"{what} of the goal {figure / goal:.2f}".strip()


def _usual(row: Usual, chain: Row | None) -> Lines:
    carried = f"{row.documents} x ({row.envelope_bytes} B + file) in {row.seconds} s"
    faster = cheaper = ""
    if isinstance(chain, Chain):
        quiet = max(chain.others_cores, row.others_cores) <= _QUIET_CORES
        faster = (
            f"chain / usual {chain.per_second / row.per_second:.2f} (goal {GOAL_USUAL}){'' if quiet else ', disturbed'}"
        )
        cheaper = f"usual / chain {row.cpu_ms['all'] / chain.cpu_ms['all']:.2f}"
    first, *rest = _cpu(row.cpu_ms)
    return [
        (f"documents per second: {carried}", f"{row.per_second}", faster),
        (first[0], first[1], cheaper),
        *rest,
        ("accepted to registered, waiting included", _spread(row.registered), ""),
        ("processors that others used meanwhile", f"{row.others_cores}", ""),
    ]


def _as2(row: As2) -> Lines:
    ratio = f"chain / AS2 {median(row.ratios):.2f} (goal {GOAL_AS2})" if row.ratios else ""
    turns = [("the same, turn by turn", "  ".join(f"{one:.2f}" for one in row.ratios), "")] if row.ratios else []
    return [
        (f"documents per CPU second: {row.documents} x {row.document_bytes} B", f"{row.per_cpu_second}", ratio),
        *turns,
        *_cpu(row.cpu_ms),
    ]


def _offices(row: Offices, rows: Rows) -> Lines:
    fewest = min((one for one in rows.values() if isinstance(one, Offices)), key=lambda one: one.offices)
    of = f"{row.offices:,} / {fewest.offices:,} offices"
    cpu, fewest_cpu = row.chain.cpu_ms, fewest.chain.cpu_ms
    return [
        (f"CPU for each document beside {row.offices:,} offices", f"{cpu['all']} ms", f"{of} {cpu['all'] / fewest_cpu['all']:.2f}"),
        *((f"  {name}", f"{ms} ms", f"{ms / fewest_cpu[name]:.2f}" if fewest_cpu.get(name) else "") for name, ms in cpu.items() if name != "all"),
        ("documents per second", f"{row.chain.per_second}", f"{of} {row.chain.per_second / fewest.chain.per_second:.2f}"),
        ("accepted to registered, waiting included", _spread(row.chain.registered), ""),
        *((f"processors in use at rest: {name}", f"{cores}", "") for name, cores in row.rest_cores.items() if cores >= 0.005),
        ("memory of the broker, of the axis", f"{row.broker_mib}, {row.axis_mib} MiB", ""),
        ("start of the axis, all queues declared", f"{row.axis_started_s} s", ""),
        ("processors that others used meanwhile", f"{row.chain.others_cores}", ""),
    ]  # fmt: skip


def _spread(spread: Spread) -> str:
    return f"p50 {spread.p50:.0f}  p95 {spread.p95:.0f}  p99 {spread.p99:.0f} ms"


def _fan_out(row: FanOut) -> Lines:
    goal = GOALS_S.get(row.addressees)
    return [
        ("handed in to acceptance heard", f"{row.accepted_s} s", ""),
        ("handed in to last delivery heard", f"{row.delivered_s} s", f"of the goal {row.delivered_s / goal:.2f}" if goal else ""),
        *_cpu(row.cpu_ms, "addressee"),
        ("growth of the axis's peak memory", f"{row.axis_peak_mib} MiB", ""),
        ("memory of the broker", f"{row.broker_mib} MiB", ""),
        ("start of the axis, all queues declared", f"{row.axis_started_s} s", ""),
    ]  # fmt: skip


def _growth(row: Growth) -> Lines:
    empty, full = row.empty, row.full
    return [
        (f"CPU for each document, {row.documents:,} in the ledger", f"{full.cpu_ms['all']} ms", f"full / empty {full.cpu_ms['all'] / empty.cpu_ms['all']:.2f}"),
        ("  of which the ledger", f"{full.cpu_ms['ledger']} ms", f"full / empty {full.cpu_ms['ledger'] / empty.cpu_ms['ledger']:.2f}"),
        ("documents per second", f"{full.per_second}", f"full / empty {full.per_second / empty.per_second:.2f}"),
        ("size of the ledger", f"{row.ledger_mib} MiB", ""),
    ]  # fmt: skip


def _recovery(row: Recovery) -> Lines:
    return [
        (f"{row.documents:,} accepted, their addressee away", f"{row.loading_s} s", ""),
        ("killed to axis ready", f"{row.ready_s} s", ""),
        ("killed to last receipt heard", f"{row.drained_s} s", f"{row.per_second} documents/s"),
        *_cpu(row.cpu_ms),
    ]
