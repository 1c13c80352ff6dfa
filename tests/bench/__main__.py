"""`python -m tests.bench`: measure, print a table, and append one line to results.jsonl."""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tests.bench import rows, table
from tests.bench.meters import Machine, versions
from tests.bench.stand import Stand, stand

ROWS = ("chain", "relay", "lone", "paced", "size")
RESULTS = Path(__file__).with_name("results.jsonl")
_WITHIN_S = 300.0


async def main(wanted: tuple[str, ...], documents: int, console: Console) -> None:
    """Measure in a new folder, which goes when all went well."""
    began, at, load = time.monotonic(), datetime.now(UTC), os.getloadavg()[0]
    folder = Path("var/bench").absolute() / f"run-{at:%Y%m%d-%H%M%S}"

    def said(text: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {text}", markup=False)

    _end_in_order()
    async with asyncio.timeout(_WITHIN_S), stand(folder, said) as made:
        await made.start_broker()
        broker = (await made.node.ctl("version")).strip()
        found = await _measure(made, wanted, documents)
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


async def _measure(made: Stand, wanted: tuple[str, ...], documents: int) -> table.Rows:
    found: table.Rows = {}
    full: rows.Chain | None = None
    if set(wanted) - {"relay"}:
        made.said("starting the axis and two offices")
        await made.start_axis()
        made.said("warming up")
        await rows.warm(made)
    if "chain" in wanted:
        made.said(f"chain: {documents} documents, as fast as they can be carried")
        found["chain"] = full = await rows.chain(made, documents)
    if "relay" in wanted:
        made.said("relay: the same bytes by a bare client, with the file and without")
        found["relay"] = await rows.relayed(made, "whole", documents, full, with_file=True)
        found["relay, no file"] = await rows.relayed(made, "envelope", documents, full, with_file=False)
    if "lone" in wanted:
        made.said("lone: one document at a time")
        found["lone"] = await rows.lone(made)
    if "paced" in wanted:
        made.said("paced: a steady rate")
        found["paced"] = await rows.paced(made)
    if "size" in wanted:
        for size_bytes in rows.SIZES:
            made.said(f"size: {size_bytes // rows.MIB} MiB up and down")
            found[f"size, {size_bytes // rows.MIB} MiB"] = await rows.size(made, size_bytes)
    return found


def _arguments() -> tuple[tuple[str, ...], int]:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the axis as it runs.")
    parser.add_argument("--rows", default=",".join(ROWS), help=f"some of {','.join(ROWS)}")
    parser.add_argument("--documents", type=int, default=400, help="documents of the full chain")
    given = parser.parse_args()
    wanted = tuple(given.rows.split(","))
    if set(wanted) - set(ROWS) or given.documents < 1:
        parser.error(f"--rows takes {','.join(ROWS)}; --documents a number above 0")
    return wanted, given.documents


if __name__ == "__main__":
    asyncio.run(main(*_arguments(), Console(highlight=False, width=None if sys.stdout.isatty() else 140)))
