"""Rows: each measurement, from the order to its figures."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.bench import relay
from tests.bench.journal import Seen
from tests.bench.meters import Spread, command, cpu_s, each_ms, less, page_us
from tests.bench.order import Order
from tests.bench.stand import ADDRESSEE, Entry, Stand

FILE_BYTES = 100 * 1024
_WARMING = 500  # Some two seconds.
OFFERED_PER_S = 1_000.0  # Far more than can be carried: what is measured is how much is.
PACED_PER_S = (20.0, 50.0)
_PACED_S = 15
GOAL_PACED_MS, GOAL_LONE_MS = 500.0, 60.0  # Due, or handed in, to last receipt heard: 95 of 100.
_LONE = 30
_RELAYED, _RELAYED_MOST = 4, 3_000  # Times as many documents as in the full chain, because each takes so little.
_WITHIN_S = 120.0
USUAL_BYTES = (4_340, 3_300)  # Envelope and receipt, where no ledger can be asked.

# The way of a document, from one time that is on record to the next.
STEPS = (
    "copied, sealed, on the disk",
    "uploaded, submitted, examined",
    "custody, attempt begun",
    "inbox, file fetched, receipts signed",
    "receipts back at the axis",
    "recorded, notice home",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The full chain, offered more than it can carry."""

    documents: int
    envelope_bytes: int
    file_bytes: int
    receipt_bytes: int
    seconds: float
    per_second: float
    cpu_ms: dict[str, float]  # For each document, by process.
    others_cores: float  # Processors that others used meanwhile: above a tenth or so, the row says less.
    page_us: (
        float  # What a page of memory took before: where it is dear, a document takes more than it would elsewhere.
    )
    registered: Spread  # From acceptance to the registered receipt, by the ledger.


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """The bare relay of the same bytes."""

    documents: int
    document_bytes: int
    seconds: float
    per_second: float
    cpu_ms: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lone:
    """One document at a time."""

    documents: int
    registered: Spread
    heard: Spread  # From handing in to the last receipt at the originator.
    steps_ms: dict[str, float]  # Median of each step.


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """A steady rate."""

    documents: int
    offered_per_second: float
    registered: Spread
    heard: Spread
    cpu_cores: float  # Processors in use by all processes together.
    others_cores: float


async def warm(stand: Stand, name: str = "warm") -> None:
    """Let every process load, and ask the machine for, what it does once: memory, logs, files that are written over again."""
    await stand.carry(order(name, _WARMING, OFFERED_PER_S), within_s=_WITHIN_S)


def order(name: str, documents: int, per_s: float | None) -> Order:
    """Return an order of letters with a file of 100 KiB to the addressee."""
    return Order(name=name, addressees=(ADDRESSEE,), documents=documents, file_bytes=FILE_BYTES, per_s=per_s)


async def chain(stand: Stand, documents: int, name: str = "chain") -> Chain:
    """Offer documents faster than they can be carried, and see how fast they are."""
    page = page_us()
    before, others = stand.cpu(), stand.others_s()
    seen = await stand.carry(order(name, documents, OFFERED_PER_S), within_s=_WITHIN_S)
    used, others = less(stand.cpu(), before), stand.others_s() - others
    seconds = _span(seen)
    entries = await stand.entries()
    envelope_bytes, receipt_bytes = await stand.sizes()
    return Chain(
        documents=documents,
        envelope_bytes=envelope_bytes,
        file_bytes=FILE_BYTES,
        receipt_bytes=receipt_bytes,
        seconds=round(seconds, 2),
        per_second=round(documents / seconds, 1),
        cpu_ms=each_ms(used, documents),
        others_cores=round(max(0.0, others) / seconds, 2),
        page_us=page,
        registered=_registered(seen, entries),
    )


async def lone(stand: Stand) -> Lone:
    """Send one document after the other, each when nothing else is on its way."""
    seen = await stand.carry(order("lone", _LONE, None), within_s=_WITHIN_S)
    entries = await stand.entries()
    ways = [_way(one, entries[document_id]) for document_id, one in seen.items()]
    return Lone(
        documents=_LONE,
        registered=_registered(seen, entries),
        heard=_heard(seen),
        steps_ms={step: Spread.of([way[number] for way in ways]).p50 for number, step in enumerate(STEPS)},
    )


def _way(seen: Seen, entry: Entry) -> list[float]:
    """Return how long each step took."""
    times = [seen.due, seen.kept, entry.accepted, entry.attempted, entry.registered, entry.recorded, seen.ended]
    return [later - earlier for earlier, later in pairwise(times)]


async def paced(stand: Stand, per_s: float) -> Paced:
    """Send at a steady rate, whatever becomes of earlier documents."""
    documents = round(per_s * _PACED_S)
    before, others = stand.cpu(), stand.others_s()
    seen = await stand.carry(order(f"paced-{per_s:.0f}", documents, per_s), within_s=_WITHIN_S)
    used, others = less(stand.cpu(), before), stand.others_s() - others
    return Paced(
        documents=documents,
        offered_per_second=per_s,
        registered=_registered(seen, await stand.entries()),
        heard=_heard(seen),
        cpu_cores=round(sum(used.values()) / _span(seen), 2),
        others_cores=round(max(0.0, others) / _span(seen), 2),
    )


def _registered(seen: Mapping[str, Seen], entries: Mapping[str, Entry]) -> Spread:
    return Spread.of([entries[one].registered - entries[one].accepted for one in seen])


def _heard(seen: Mapping[str, Seen]) -> Spread:
    return Spread.of([one.ended - one.due for one in seen.values()])


def _span(seen: Mapping[str, Seen]) -> float:
    """Return the time from the first document to the last receipt."""
    return max(one.ended for one in seen.values()) - min(one.due for one in seen.values())


# --- the bare relay ---------------------------------------------------------------------


async def relayed(stand: Stand, name: str, documents: int, like: Chain | None, *, with_file: bool) -> Relay:
    """Relay the same bytes over the same broker; the axis rests meanwhile."""
    envelope_bytes, receipt_bytes = (like.envelope_bytes, like.receipt_bytes) if like else USUAL_BYTES
    load = relay.Load(
        min(documents * _RELAYED, _RELAYED_MOST), envelope_bytes + (FILE_BYTES if with_file else 0), receipt_bytes
    )
    folder = stand.folder / f"bare {name}".replace(", ", "-").replace(" ", "-")
    relay.order(folder, load)
    await relay.declare(stand.node.url)
    result = folder / "result.json"
    pids = {role: await _start_role(stand, role, folder) for role in relay.ROLES}
    before = _cpu(stand, pids)
    async with asyncio.timeout(_WITHIN_S):
        while not result.exists():
            stand.require_alive()
            await asyncio.sleep(0.05)
    used = less(_cpu(stand, pids), before)
    for role in relay.ROLES:
        await stand.laboratory.stop(f"bare {role}")
    seconds = relay.seconds_of(result)
    return Relay(
        documents=load.documents,
        document_bytes=load.document_bytes,
        seconds=round(seconds, 2),
        per_second=round(load.documents / seconds, 1),
        cpu_ms=each_ms(used, load.documents),
    )


async def _start_role(stand: Stand, role: str, folder: Path) -> int:
    running = await stand.laboratory.start(
        f"bare {role}",
        *command("tests.bench.relay", role, str(folder)),
        more={"BENCH_BROKER_URL": stand.node.url},
    )
    async with asyncio.timeout(_WITHIN_S):
        while not (folder / f"{role}.ready").exists():
            stand.require_alive()
            await asyncio.sleep(0.01)
    return running.process.pid


def _cpu(stand: Stand, pids: Mapping[str, int]) -> dict[str, float]:
    return {role: cpu_s(pid) for role, pid in pids.items()} | {"broker": cpu_s(stand.node.pid or 0)}
