"""`python -m tests.bench`: measure, print a table, and append one line to results.jsonl."""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console

from tests.bench import fan_out, growth, recovery, rows, table
from tests.bench.meters import MIB, Machine, versions
from tests.bench.stand import Stand, stand

QUICK = ("chain", "relay", "lone", "paced", "size")
LONG = ("postgresql", "routers", "fan-out", "country", "growth", "recovery")
RESULTS = Path(__file__).with_name("results.jsonl")
_WITHIN_S = 3600.0
_FANS = {"fan-out": (10, 100, 700), "country": (3_321,)}  # Each on a stand with as many offices as the largest.


async def main(wanted: tuple[str, ...], documents: int, console: Console) -> None:
    """Measure in a new folder, which goes when all went well."""
    began, at, load = time.monotonic(), datetime.now(UTC), os.getloadavg()[0]
    folder = Path("var/bench").absolute() / f"run-{at:%Y%m%d-%H%M%S}"

    def said(text: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {text}", markup=False)

    _end_in_order()
    found: table.Rows = {}
    broker = ""
    async with asyncio.timeout(_WITHIN_S):
        for number, (needed, on_stand, do) in enumerate(_STANDS):
            if set(needed) & set(wanted):
                async with on_stand(folder / str(number), said) as made:
                    await made.start_broker()
                    broker = (await made.node.ctl("version")).strip()
                    async for name, row in do(made, wanted, documents):
                        found[name] = row
    shutil.rmtree(folder)
    machine = Machine.here()
    table.show(console, found, machine)
    line = {
        "at": at.isoformat(timespec="seconds"),
        "versions": {**versions(), "rabbitmq": broker},
        "machine": {**asdict(machine), "load_before": round(load, 2)},
        "seconds": round(time.monotonic() - began, 1),
        "rows": {name: asdict(row) for name, row in found.items()},
    }
    with RESULTS.open("a", encoding="utf-8") as results:
        results.write(json.dumps(line) + "\n")
    said("one line appended to tests/bench/results.jsonl")


def _end_in_order() -> None:
    """Let SIGTERM end the run as Ctrl-C does: with everything stopped that was started."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


Measured = AsyncIterator[tuple[str, table.Row]]
OnStand = Callable[[Path, Callable[[str], None]], AbstractAsyncContextManager[Stand]]
Do = Callable[[Stand, tuple[str, ...], int], Measured]


async def _usual(made: Stand, wanted: tuple[str, ...], documents: int) -> Measured:
    """The axis as `axis up` starts it, with its ledger in SQLite."""
    full: rows.Chain | None = None
    if set(wanted) - {"relay"}:
        made.said("starting the axis and two offices")
        await made.start_axis()
        made.said("warming up")
        await rows.warm(made)
    if "chain" in wanted:
        made.said(f"chain: {documents} documents, as fast as they can be carried")
        full = await rows.chain(made, documents)
        yield "chain", full
    if "relay" in wanted:
        made.said("relay: the same bytes by a bare client, with the file and without")
        yield "relay", await rows.relayed(made, "whole", documents, full, with_file=True)
        yield "relay, no file", await rows.relayed(made, "envelope", documents, full, with_file=False)
    if "lone" in wanted:
        made.said("lone: one document at a time")
        yield "lone", await rows.lone(made)
    if "paced" in wanted:
        made.said("paced: a steady rate")
        yield "paced", await rows.paced(made)
    if "size" in wanted:
        for size_bytes in rows.SIZES:
            made.said(f"size: {size_bytes // MIB} MiB up and down")
            yield f"size, {size_bytes // MIB} MiB", await rows.size(made, size_bytes)


async def _postgresql(made: Stand, _wanted: tuple[str, ...], documents: int) -> Measured:
    what = "PostgreSQL" if made.routers == 1 else f"PostgreSQL, {made.routers} routers"
    made.said(f"chain, {what}: {documents} documents, as fast as they can be carried")
    await made.start_axis()
    await rows.warm(made)
    yield f"chain, {what}", await rows.chain(made, documents)


async def _fan_out(made: Stand, numbers: Sequence[int]) -> Measured:
    made.said(f"fan-out: an axis with {len(made.crowd)} offices")
    await made.start_axis()
    await fan_out.warm(made)
    for number in numbers:
        made.said(f"fan-out: one document to {number}")
        yield f"fan-out, {number}", await fan_out.measure(made, number)


async def _growth(made: Stand, _wanted: tuple[str, ...], _documents: int) -> Measured:
    made.said("growth: the chain in an empty ledger on PostgreSQL, and in a full one")
    await made.start_axis()
    await rows.warm(made)
    yield "growth", await growth.measure(made)


async def _recovery(made: Stand, _wanted: tuple[str, ...], _documents: int) -> Measured:
    made.said(f"recovery: {recovery.DOCUMENTS} documents on their way, everything killed")
    await made.start_axis()
    await rows.warm(made)
    yield "recovery", await recovery.measure(made, recovery.DOCUMENTS)


# Which rows, on which stand, measured how.
_STANDS: tuple[tuple[tuple[str, ...], OnStand, Do], ...] = (
    (QUICK, stand, _usual),
    (("postgresql",), partial(stand, on_postgresql=True), _postgresql),
    (("routers",), partial(stand, on_postgresql=True, routers=2), _postgresql),
    *(
        (
            (name,),
            partial(stand, crowd=fan_out.offices(numbers[-1])),
            lambda made, *_, numbers=numbers: _fan_out(made, numbers),
        )
        for name, numbers in _FANS.items()
    ),
    (("growth",), partial(stand, on_postgresql=True), _growth),
    (("recovery",), stand, _recovery),
)


def _arguments() -> tuple[tuple[str, ...], int]:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the axis as it runs.")
    parser.add_argument("--rows", default=",".join(QUICK), help=f"all, or some of {','.join((*QUICK, *LONG))}")
    parser.add_argument("--documents", type=int, default=400, help="documents of the full chain")
    given = parser.parse_args()
    wanted = (*QUICK, *LONG) if given.rows == "all" else tuple(given.rows.split(","))
    if set(wanted) - {*QUICK, *LONG} or given.documents < 1:
        parser.error(f"--rows takes all or {','.join((*QUICK, *LONG))}; --documents a number above 0")
    return wanted, given.documents


if __name__ == "__main__":
    asyncio.run(main(*_arguments(), Console(highlight=False, width=None if sys.stdout.isatty() else 140)))
