"""`python -m tests.bench`: measure, print a table, and append one line to results.jsonl."""

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console

from axis.cancelling import cancelled_by_sigterm
from axis.errors import PermanentError
from tests.bench import fan_out, ground, growth, offices, peers, recovery, rows, size, steps, table
from tests.bench.meters import Machine, versions
from tests.bench.stand import Stand, stand

QUICK = ("chain", "relay", "steps", "lone", "paced", "size", "cut", "postgresql", "usual", "as2")
LONG = ("several", "largest", "routers", "offices", "fan-out", "country", "growth", "recovery")
PEERS = ("usual", "as2")
RESULTS = Path(__file__).with_name("results.jsonl")
_WITHIN_S = 3600.0
_USUAL_MOST = 400  # Documents of what is slower than the chain.
_FANS = {"fan-out": (10, 100, 700), "country": (3_321,)}  # Each on a stand with as many offices as the largest.


async def main(wanted: tuple[str, ...], documents: int, console: Console) -> None:
    """Measure in a new folder, which goes when all went well."""
    if set(wanted) & set(PEERS):
        peers.require()
    began, at, load = time.monotonic(), datetime.now(UTC), os.getloadavg()[0]
    folder = Path("var/bench").absolute() / f"run-{at:%Y%m%d-%H%M%S}"

    def said(text: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {text}", markup=False)

    cancelled_by_sigterm()  # With everything stopped that was started.
    found: table.Rows = {}
    broker = ""
    async with asyncio.timeout(_WITHIN_S):
        for number, (needed, on_stand, do) in enumerate(_STANDS):
            if set(needed) & set(wanted):
                async with on_stand(ground.quick(folder / str(number)) / "stand", said) as made:
                    await made.start_broker()
                    broker = (await made.node.ctl("version")).strip()
                    try:
                        async for name, row in do(made, Wish(wanted, documents, found)):
                            found[name] = row
                    except PermanentError as error:  # This machine cannot hold so many offices.
                        said(f"left out: {error.detail}")
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


@dataclass(frozen=True, slots=True)
class Wish:
    """What a run is to measure."""

    wanted: tuple[str, ...]
    documents: int
    found: table.Rows  # So far.

    def chain(self, name: str = "chain") -> rows.Chain | None:
        """Return a chain that was measured in this run."""
        row = self.found.get(name)
        return row if isinstance(row, rows.Chain) else None


Measured = AsyncIterator[tuple[str, table.Row]]
OnStand = Callable[[Path, Callable[[str], None]], AbstractAsyncContextManager[Stand]]
Do = Callable[[Stand, Wish], Measured]


async def _everyday(made: Stand, wish: Wish) -> Measured:
    """The axis as `axis up` starts it, with its ledger in SQLite."""
    if set(wish.wanted) & _NEED_AXIS:
        made.said("starting the axis and two offices")
        await made.start_axis()
        made.said("warming up")
        await rows.warm(made)
    if "chain" in wish.wanted:
        made.said(f"chain: {wish.documents} documents, as fast as they can be carried")
        yield "chain", await rows.chain(made, wish.documents)
    if "as2" in wish.wanted:
        made.said("as2: the same bytes by pyas2lib, in one process; by turns with the chain")
        yield "as2", await peers.by_as2(made, wish.chain(), wish.documents)
    if "relay" in wish.wanted:
        made.said("relay: the same bytes by a bare client, with the file and without")
        for name, with_file in (("relay", True), ("relay, no file", False)):
            yield name, await rows.relayed(made, name, wish.documents, wish.chain(), with_file=with_file)
    if "lone" in wish.wanted:
        made.said("lone: one document at a time")
        yield "lone", await rows.lone(made)
    for per_s in rows.PACED_PER_S if "paced" in wish.wanted else ():
        made.said(f"paced: {per_s:.0f} a second")
        yield f"paced, {per_s:.0f}", await rows.paced(made, per_s)
    async for one in _sizes(made, wish):
        yield one


async def _sizes(made: Stand, wish: Wish) -> Measured:
    """Large files."""
    wanted = [
        *(size.USUAL_MIB if "size" in wish.wanted else ()),
        *([size.LARGEST_MIB] if "largest" in wish.wanted else []),
    ]
    for mib in wanted:
        made.said(f"size: {mib} MiB up and down, and as a document")
        yield f"size, {mib} MiB", await size.size(made, mib)
    if "several" in wish.wanted:
        made.said("several: large files at once")
        yield "several", await size.several(made)
    if "cut" in wish.wanted:
        made.said("cut: a large file, broken off half-way")
        yield "cut", await size.cut(made)


async def _postgresql(made: Stand, wish: Wish) -> Measured:
    what = "PostgreSQL" if made.routers == 1 else f"PostgreSQL, {made.routers} routers"
    made.said(f"chain, {what}: {wish.documents} documents, as fast as they can be carried")
    await made.start_axis()
    await rows.warm(made)
    yield f"chain, {what}", await rows.chain(made, wish.documents)


async def _usual(made: Stand, wish: Wish) -> Measured:
    """What a team would write instead, on a stand of its own, where no axis runs."""
    await made.make_keys()
    await made.start_postgres()
    for name, on_postgresql in (("usual", False), ("usual, PostgreSQL", True)):
        made.said(f"{name}: what a team would write instead")
        yield name, await peers.usual(made, min(wish.documents, _USUAL_MOST), on_postgresql=on_postgresql)


async def _offices(made: Stand, number: int) -> Measured:
    made.said(f"offices: an axis with {number} offices")
    await made.start_axis()
    await rows.warm(made)
    yield f"offices, {number}", await offices.measure(made)


async def _fan_out(made: Stand, numbers: Sequence[int]) -> Measured:
    made.said(f"fan-out: an axis with {len(made.crowd)} offices")
    await made.start_axis()
    await fan_out.warm(made)
    for number in numbers:
        made.said(f"fan-out: one document to {number}")
        yield f"fan-out, {number}", await fan_out.measure(made, number)


async def _growth(made: Stand, _wish: Wish) -> Measured:
    made.said("growth: the chain in an empty ledger on PostgreSQL, and in a full one")
    await made.start_axis()
    await rows.warm(made)
    yield "growth", await growth.measure(made)


async def _steps(made: Stand, _wish: Wish) -> Measured:
    made.said("steps: each by itself, and the least that it could take")
    made.folder.mkdir(parents=True, exist_ok=True)
    yield "steps", await steps.measure(made.folder)


async def _recovery(made: Stand, _wish: Wish) -> Measured:
    made.said(f"recovery: {recovery.DOCUMENTS} documents on their way, everything killed")
    await made.start_axis()
    await rows.warm(made)
    yield "recovery", await recovery.measure(made, recovery.DOCUMENTS)


_NEED_AXIS = {"chain", "lone", "paced", "size", "largest", "several", "cut"}

# Which rows, on which stand, measured how.
_STANDS: tuple[tuple[tuple[str, ...], OnStand, Do], ...] = (
    (("relay", "as2", *_NEED_AXIS), stand, _everyday),
    (("steps",), stand, _steps),
    (("postgresql",), partial(stand, on_postgresql=True), _postgresql),
    (("usual",), partial(stand, on_postgresql=True), _usual),
    (("routers",), partial(stand, on_postgresql=True, routers=2), _postgresql),
    *(
        (
            ("offices",),
            partial(stand, bystanders=fan_out.offices(number - 2)),
            lambda made, _wish, number=number: _offices(made, number),
        )
        for number in offices.NUMBERS
    ),
    *(
        (
            (name,),
            partial(stand, crowd=fan_out.offices(numbers[-1])),
            lambda made, _wish, numbers=numbers: _fan_out(made, numbers),
        )
        for name, numbers in _FANS.items()
    ),
    (("growth",), partial(stand, on_postgresql=True), _growth),
    (("recovery",), stand, _recovery),
)


def _arguments() -> tuple[tuple[str, ...], int]:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the axis as it runs.")
    parser.add_argument("--rows", default=",".join(QUICK), help=f"all, or some of {','.join((*QUICK, *LONG))}")
    parser.add_argument("--documents", type=int, default=1_500, help="documents of the full chain")
    given = parser.parse_args()
    wanted = (*QUICK, *LONG) if given.rows == "all" else tuple(given.rows.split(","))
    if set(wanted) - {*QUICK, *LONG} or given.documents < 1:
        parser.error(f"--rows takes all or {','.join((*QUICK, *LONG))}; --documents a number above 0")
    return wanted, given.documents


if __name__ == "__main__":
    asyncio.run(main(*_arguments(), Console(highlight=False, width=None if sys.stdout.isatty() else 140)))
