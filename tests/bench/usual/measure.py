"""The row `usual`: the same documents the usual way, and whether all of it was really done.

When the last receipt has been heard, everything is looked at again by the
axis's own code, which shares nothing with signxml's verifier: every envelope
and every receipt in the ledger must be sealed by whom it is from and fit its
schema, every file must be at the addressee under its digest, and every delivery
must be registered under a number of its own. If not, there is no figure.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from sqlalchemy import select

from axis import clock, edxml, receipts, seal
from tests.bench.journal import Journal, Seen
from tests.bench.meters import Spread, command, cpu_s, each_ms, family_cpu_s, less, machine_s
from tests.bench.order import Order
from tests.bench.rows import FILE_BYTES, OFFERED_PER_S
from tests.bench.stand import Stand
from tests.bench.usual import ledger
from tests.bench.usual.row import Usual
from tests.bench.usual.told import ADDRESSEE, AXIS, ORIGINATOR, Told

_ROLES = ("gateway", "router", "addressee", "originator")
_WARMING = 100  # Some two seconds.
_WITHIN_S = 180.0


@dataclass(frozen=True, slots=True)
class _Work:
    """What was done."""

    envelope_bytes: int
    receipt_bytes: int
    waits_s: dict[str, float]  # From acceptance to registered, by document id.


async def measure(stand: Stand, documents: int, *, on_postgresql: bool) -> Usual:
    """Start the four processes, let them carry the documents, and look at what they did."""
    told = await _told(stand, on_postgresql=on_postgresql)
    pids = {role: await _start(stand, role, told) for role in _ROLES}
    await _carry(stand, told["originator"], _order("warm", _WARMING))
    before, machine = _cpu(stand, pids, on_postgresql=on_postgresql), machine_s()
    seen = await _carry(stand, told["originator"], _order("usual", documents))
    used = less(_cpu(stand, pids, on_postgresql=on_postgresql), before)
    seconds = max(one.ended for one in seen.values()) - min(one.due for one in seen.values())
    others = machine_s() - machine - sum(used.values())
    for role in _ROLES:
        await stand.laboratory.stop(f"usual {role}")
    work = await _looked_at(told, documents + _WARMING)
    return Usual(
        documents=documents,
        envelope_bytes=work.envelope_bytes,
        receipt_bytes=work.receipt_bytes,
        seconds=round(seconds, 2),
        per_second=round(documents / seconds, 1),
        cpu_ms=each_ms(used, documents),
        others_cores=round(max(0.0, others) / seconds, 2),
        registered=Spread.of([work.waits_s[document_id] for document_id in seen]),
    )


def _order(name: str, documents: int) -> Order:
    return Order(name=name, addressees=(ADDRESSEE,), documents=documents, file_bytes=FILE_BYTES, per_s=OFFERED_PER_S)


async def _told(stand: Stand, *, on_postgresql: bool) -> dict[str, Told]:
    """Say to each process what it must know."""
    folder = stand.folder / ("usual-postgresql" if on_postgresql else "usual")
    for role in ("spool", *_ROLES):
        (folder / role).mkdir(parents=True)
    url = f"sqlite:///{folder / 'ledger.sqlite'}"
    if on_postgresql:
        assert stand.postgres is not None
        url = await asyncio.to_thread(stand.postgres.new_database)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    return {
        role: Told(
            broker_url=stand.node.url,
            ledger_url=url,
            gateway_port=port,
            gateway_key="usual",
            spool=str(folder / "spool"),
            trust=str(stand.data / "trust"),
            folder=str(folder / role),
        )
        for role in _ROLES
    }


async def _start(stand: Stand, role: str, told: Mapping[str, Told]) -> int:
    running = await stand.laboratory.start(
        f"usual {role}", *command(f"tests.bench.usual.{role}"), more=told[role].env()
    )
    async with asyncio.timeout(_WITHIN_S):
        while not await _is_ready(role, told[role]):
            stand.require_alive()
            await asyncio.sleep(0.05)
    return running.process.pid


async def _is_ready(role: str, told: Told) -> bool:
    if role != "gateway":
        return told.place(f"{role}.ready").exists()
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", told.gateway_port)
        writer.close()
        return True
    return False


def _cpu(stand: Stand, pids: Mapping[str, int], *, on_postgresql: bool) -> dict[str, float]:
    used = {role: cpu_s(pid) for role, pid in pids.items()} | {"broker": cpu_s(stand.node.pid or 0)}
    if on_postgresql:
        assert stand.postgres is not None
        used["ledger"] = family_cpu_s(stand.postgres.pid)
    return used


async def _carry(stand: Stand, originator: Told, order: Order) -> dict[str, Seen]:
    """Let the originator carry out an order; return what it saw once every receipt was heard."""
    journal = Journal(originator.place(f"{order.name}.journal"))
    order.put(originator.place("."))
    async with asyncio.timeout(_WITHIN_S):
        while True:
            await asyncio.sleep(0.2)
            stand.require_alive()
            seen = journal.read()
            if sum(one.is_whole(order.awaited) for one in seen.values()) >= order.documents:
                return seen


# --- whether it was done ------------------------------------------------------------------


async def _looked_at(told: Mapping[str, Told], documents: int) -> _Work:
    """Verify everything again.

    Raises:
        Refusal: A seal does not hold, or a schema is broken.
        RuntimeError: Something is missing.
    """
    engine = ledger.engine(told["router"].ledger_url)
    async with engine.connect() as book:
        envelopes = (await book.execute(select(ledger.EnvelopeRow.__table__))).all()
        deliveries = (await book.execute(select(ledger.DeliveryRow.__table__))).all()
        said = (await book.execute(select(ledger.ReceiptRow.__table__))).all()
    await engine.dispose()
    trust = seal.load_trust(Path(told["router"].trust))
    messages = [_message(bytes(row.sealed), trust) for row in envelopes]
    signed = [receipts.read_receipt(bytes(row.xml), trust, at=clock.now(), axis=AXIS) for row in said]
    files = [ref.sha256 for message in messages for ref in message.attachments]
    _require("envelopes", documents, len({message.document_id for message in messages}))
    _require("originators", {ORIGINATOR}, {message.originator.organ_id for message in messages})
    _require("receipts", dict.fromkeys(("accepted", "delivered", "registered"), documents), _levels(signed))
    _require("states", {"registered": documents}, dict(Counter(row.state for row in deliveries)))
    _require("numbers", documents, len({one.receipt.number for one in signed} - {None}))
    _require("files", sorted(files), sorted(map(_digest, told["addressee"].place(".").glob("[0-9a-f]" * 64))))
    accepted = {row.document_id: row.accepted_at for row in envelopes}
    return _Work(
        envelope_bytes=round(sum(len(row.sealed) for row in envelopes) / len(envelopes)),
        receipt_bytes=round(sum(len(row.xml) for row in said) / len(said)),
        waits_s={
            one.receipt.document_id: one.receipt.at.timestamp() - accepted[one.receipt.document_id]
            for one in signed
            if one.receipt.level == "registered"
        },
    )


def _message(sealed: bytes, trust: seal.Trust) -> edxml.Document:
    received = edxml.parse(sealed)
    edxml.gate(received)
    message = seal.verify(received, trust, at=clock.now()).message
    assert isinstance(message, edxml.Document)
    return message


def _levels(signed: list[receipts.SignedReceipt]) -> dict[str, int]:
    return {str(level): count for level, count in Counter(one.receipt.level for one in signed).items()}


def _digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


def _require(what: str, expected: object, found: object) -> None:
    if expected != found:
        raise RuntimeError(f"usual: {what}: expected {str(expected)[:200]}, found {str(found)[:200]}")
