"""Table: the figures of one run, for a person."""

from rich.console import Console
from rich.table import Table

from tests.bench.fan_out import GOALS_S, FanOut
from tests.bench.growth import Growth
from tests.bench.meters import Machine, Spread
from tests.bench.recovery import Recovery
from tests.bench.rows import Chain, Lone, Paced, Relay, Size

Row = Chain | Relay | Lone | Paced | Size | FanOut | Growth | Recovery
Rows = dict[str, Row]


def show(console: Console, rows: Rows, machine: Machine) -> None:
    """Print what was measured, and the ratios."""
    table = Table("row", "figure", "value", "ratio", title=f"{machine.model}, {machine.cores} cores, {machine.gib} GiB")
    for name, row in rows.items():
        for number, (figure, value, ratio) in enumerate(_lines(row, rows)):
            table.add_row(name if number == 0 else "", figure, value, ratio)
        table.add_section()
    console.print(table)


def _lines(row: Row, rows: Rows) -> list[tuple[str, str, str]]:
    match row:
        case Chain():
            return _chain(row, rows)
        case Relay():
            return _relay(row, rows.get("chain"))
        case Lone():
            return _lone(row)
        case Paced():
            return _paced(row)
        case Size():
            return _size(row)
        case FanOut():
            return _fan_out(row)
        case Growth():
            return _growth(row)
        case Recovery():
            return _recovery(row)


def _chain(row: Chain, rows: Rows) -> list[tuple[str, str, str]]:
    usual = rows.get("chain")
    beside = f"of chain {row.per_second / usual.per_second:.2f}" if isinstance(usual, Chain) and usual != row else ""
    carried = f"{row.documents} x ({row.envelope_bytes} B + {row.file_bytes // 1024} KiB) in {row.seconds} s"
    return [
        (f"documents per second: {carried}", f"{row.per_second}", beside),
        *_cpu(row.cpu_ms),
        ("accepted to registered, waiting included", _spread(row.registered), ""),
        ("processors that others used meanwhile", f"{row.others_cores}", ""),
    ]


def _relay(row: Relay, chain: Row | None) -> list[tuple[str, str, str]]:
    carried = f"{row.documents} x {row.document_bytes} B in {row.seconds} s"
    ratio = f"chain / relay {chain.per_second / row.per_second:.3f}" if isinstance(chain, Chain) else ""
    dearer = f"chain / relay {chain.cpu_ms['all'] / row.cpu_ms['all']:.1f}" if isinstance(chain, Chain) else ""
    first, *rest = _cpu(row.cpu_ms)
    return [(f"documents per second: {carried}", f"{row.per_second}", ratio), (first[0], first[1], dearer), *rest]


def _cpu(used: dict[str, float], each: str = "document") -> list[tuple[str, str, str]]:
    parts = sorted(((name, ms) for name, ms in used.items() if name != "all"), key=lambda part: -part[1])
    return [
        (f"CPU for each {each}, all processes", f"{used['all']} ms", ""),
        *((f"  {name}", f"{ms} ms", f"{ms / used['all']:.0%}" if used["all"] else "") for name, ms in parts),
    ]


def _lone(row: Lone) -> list[tuple[str, str, str]]:
    whole = sum(row.steps_ms.values())
    return [
        ("accepted to registered", _spread(row.registered), ""),
        ("handed in to last receipt heard", _spread(row.heard), ""),
        *((f"  {step}", f"{ms} ms", f"{ms / whole:.0%}") for step, ms in row.steps_ms.items()),
    ]


def _paced(row: Paced) -> list[tuple[str, str, str]]:
    return [
        (f"accepted to registered, {row.offered_per_second:.0f} a second", _spread(row.registered), ""),
        ("due to last receipt heard", _spread(row.heard), ""),
        ("processors in use", f"{row.cpu_cores}", ""),
        ("processors that others used meanwhile", f"{row.others_cores}", ""),
    ]


def _size(row: Size) -> list[tuple[str, str, str]]:
    return [
        ("SHA-256 and copy on the same disk", f"{row.copy_s} s", ""),
        ("upload", f"{row.upload_s} s", f"upload / copy {row.upload_s / row.copy_s:.1f}"),
        ("download", f"{row.download_s} s", f"download / copy {row.download_s / row.copy_s:.1f}"),
        ("growth of the gateway's peak memory, up", f"{row.upload_peak_mib} MiB", f"{row.upload_peak_mib / row.mib:.2f} of it"),
        ("growth of the gateway's peak memory, down", f"{row.download_peak_mib} MiB", f"{row.download_peak_mib / row.mib:.2f} of it"),
    ]  # fmt: skip


def _spread(spread: Spread) -> str:
    return f"p50 {spread.p50:.0f}  p95 {spread.p95:.0f}  p99 {spread.p99:.0f} ms"


def _fan_out(row: FanOut) -> list[tuple[str, str, str]]:
    goal = GOALS_S.get(row.addressees)
    return [
        ("handed in to acceptance heard", f"{row.accepted_s} s", ""),
        ("handed in to last delivery heard", f"{row.delivered_s} s", f"of the goal {row.delivered_s / goal:.2f}" if goal else ""),
        *_cpu(row.cpu_ms, "addressee"),
        ("growth of the axis's peak memory", f"{row.axis_peak_mib} MiB", ""),
        ("memory of the broker", f"{row.broker_mib} MiB", ""),
        ("start of the axis, all queues declared", f"{row.axis_started_s} s", ""),
    ]  # fmt: skip


def _growth(row: Growth) -> list[tuple[str, str, str]]:
    empty, full = row.empty, row.full
    return [
        (f"CPU for each document, {row.documents:,} in the ledger", f"{full.cpu_ms['all']} ms", f"full / empty {full.cpu_ms['all'] / empty.cpu_ms['all']:.2f}"),
        ("  of which the ledger", f"{full.cpu_ms['ledger']} ms", f"full / empty {full.cpu_ms['ledger'] / empty.cpu_ms['ledger']:.2f}"),
        ("documents per second", f"{full.per_second}", f"full / empty {full.per_second / empty.per_second:.2f}"),
        ("size of the ledger", f"{row.ledger_mib} MiB", ""),
    ]  # fmt: skip


def _recovery(row: Recovery) -> list[tuple[str, str, str]]:
    return [
        (f"{row.documents:,} accepted, their addressee away", f"{row.loading_s} s", ""),
        ("killed to axis ready", f"{row.ready_s} s", ""),
        ("killed to last receipt heard", f"{row.drained_s} s", f"{row.per_second} documents/s"),
        *_cpu(row.cpu_ms),
    ]
