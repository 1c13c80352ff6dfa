"""Stand: a broker, an axis and offices under one folder, each a process of its own, ended by their ids."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from axis import clock, registry
from axis.app import office_passwords
from axis.broker import PrivateNode, require_descriptors
from axis.ledger import tables as t
from axis.ledger.engine import open_database
from axis.seal import pki
from tests.bench.journal import Journal, Seen
from tests.bench.meters import command, cpu_s, family_cpu_s, machine_s
from tests.bench.order import Order
from tests.laboratory import Laboratory, axis
from tests.postgres import PrivatePostgres

AXIS, ORIGINATOR, ADDRESSEE = "H56.TRUC", "H56.05", "H56.112"
_ROLL = Path(__file__).parents[2] / "config" / "offices.toml"
_READY_S = 300.0  # Thousands of queues are declared one after the other.
_PROCESSES = {"axis": "axis up", ORIGINATOR: "originator", ADDRESSEE: "addressee", "crowd": "crowd"}

Said = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger says about one document. Seconds since 1970."""

    accepted: float
    attempted: float
    registered: float  # As the addressee signed it.
    recorded: float  # When that receipt came to the axis.


@dataclass(slots=True)
class Stand:
    """Everything that is measured."""

    folder: Path
    said: Said
    node: PrivateNode
    laboratory: Laboratory
    postgres: PrivatePostgres | None = None  # The ledger is in SQLite without it.
    routers: int = 1  # Above 1: each a process of its own.
    crowd: tuple[str, ...] = ()  # Offices for which one process answers, instead of the addressee.
    bystanders: tuple[str, ...] = ()  # Offices that are there and listen, while the two carry on.
    ledger_url: str = field(default="", init=False)
    started_s: float = field(default=0.0, init=False)  # How long the axis took, with its queues to be declared.

    @property
    def data(self) -> Path:
        """Data folder of the axis."""
        return self.folder / "axis"

    @property
    def orders(self) -> Path:
        """Where the originator looks for orders."""
        return self.folder / "orders"

    @property
    def axis_pid(self) -> int:
        """The process that is router and gateway."""
        return self.laboratory.running["axis"].process.pid

    @property
    def gateway_url(self) -> str:
        """Where the gateway is."""
        return (self.data / "gateway.address").read_text()

    # --- starting -------------------------------------------------------------------------

    async def start_broker(self) -> None:
        """Start a private node."""
        await self.node.start()

    async def start_postgres(self) -> None:
        """Make an empty cluster and start it."""
        assert self.postgres is not None
        await asyncio.to_thread(self.postgres.make)

    async def make_keys(self) -> None:
        """Make an authority and issue a certificate to each office, as an administrator would."""
        await asyncio.to_thread(self._make_keys)

    async def start_axis(self) -> None:
        """Make keys, and start the axis and its offices as an administrator would."""
        require_descriptors(len(self.crowd) + len(self.bystanders) + 3)
        await self.make_keys()
        passwords = office_passwords(self.data / "secrets", (ORIGINATOR, ADDRESSEE, *self.bystanders))
        await self.node.set_offices(passwords)
        self.ledger_url = f"sqlite:///{self.data / 'ledger.sqlite'}"
        if self.postgres is not None:
            await self.start_postgres()
            self.ledger_url = await asyncio.to_thread(self.postgres.new_database)
        self.orders.mkdir()
        await self.start_again()

    async def start_again(self) -> None:
        """Start the axis and its offices, with what they have kept."""
        await self.start_router()
        if self.crowd or self.bystanders:
            await self._start_crowd((*self.crowd, *self.bystanders))
        if not self.crowd:
            await self.start_office(ADDRESSEE)
        await self.start_office(ORIGINATOR)
        await self._until((self.orders / "open").exists)

    async def start_router(self) -> None:
        """Start the axis alone."""
        began = asyncio.get_running_loop().time()
        (self.data / "gateway.address").unlink(missing_ok=True)
        (self.orders / "open").unlink(missing_ok=True)
        await self.laboratory.start(
            "axis",
            *axis("up", "--routers", str(self.routers)),
            more={
                "AXIS_DATA": str(self.data),
                "AXIS_BROKER_URL": self.node.url,
                "AXIS_LEDGER_URL": self.ledger_url,
                "AXIS_GATEWAY__PORT": "0",
                "AXIS_ROUTER__METRICS_PORT": "0",
                # One originator stands for all offices of a province: its turn is theirs together.
                "AXIS_ROUTER__BURST": "1000000",
                "AXIS_LOG_FORMAT": "json",
            },
        )
        await self._until((self.data / "gateway.address").exists)
        self.started_s = asyncio.get_running_loop().time() - began

    async def _start_crowd(self, codes: tuple[str, ...]) -> None:
        place = self.folder / "crowd"
        place.mkdir(exist_ok=True)
        (place / "codes").write_text("\n".join(codes), encoding="ascii")
        await self.laboratory.start(
            "crowd",
            *command("tests.bench.crowd", str(place)),
            more={"BENCH_BROKER_URL": self.node.url, "BENCH_TRUST": str(self.data / "trust")},
        )
        await self._until((place / "crowd.ready").exists)

    def _make_keys(self) -> None:
        trust = self.data / "trust"
        pki.init(trust, name="CA (ví dụ)", now=clock.now())
        communes = self.crowd or ((ADDRESSEE, *self.bystanders) if self.bystanders else ())
        (trust / "offices.toml").write_text(_roll_of(communes) if communes else _ROLL.read_text("utf-8"), "utf-8")
        names = registry.load_offices(trust / "offices.toml").by_code
        for code in (AXIS, ORIGINATOR, *(communes or (ADDRESSEE,))):
            pki.issue(trust, code, name=names[code].name, now=clock.now())

    async def start_office(self, code: str) -> None:
        """Start an office, with the state that it had."""
        trust = self.data / "trust"
        await self.laboratory.start(
            code,
            *command("tests.bench.office"),
            more={
                "AXIS_OFFICE": code,
                "AXIS_OFFICE_KEY": str(trust / "keys" / f"{code}.key.pem"),
                "AXIS_OFFICE_CERTIFICATE": str(trust / "certs" / f"{code}.pem"),
                "AXIS_OFFICE_TRUST": str(trust),
                "AXIS_OFFICE_STATE": str(self.folder / code),
                "AXIS_OFFICE_BROKER_PASSWORD_FILE": str(self.data / "secrets" / code),
                "AXIS_BROKER_URL": f"amqp://{self.node.address}/",
                "AXIS_GATEWAY_URL": self.gateway_url,
                "AXIS_LOG_FORMAT": "json",
                **({"BENCH_ORDERS": str(self.orders)} if code == ORIGINATOR else {}),
            },
        )

    async def _until(self, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(_READY_S):
            while not ready():
                self.require_alive()
                await asyncio.sleep(0.1)

    def require_alive(self) -> None:
        """Raise if something ended by itself."""
        dead = self.laboratory.dead()
        if dead:
            raise RuntimeError(f"{', '.join(dead)} ended early; see {self.folder / 'logs'}")

    # --- measuring ------------------------------------------------------------------------

    def cpu(self) -> dict[str, float]:
        """Return the processor seconds that each process has used."""
        used = {
            what: family_cpu_s(self.laboratory.running[name].process.pid)
            for name, what in _PROCESSES.items()
            if name in self.laboratory.running
        }
        if self.postgres is not None:
            used["ledger"] = family_cpu_s(self.postgres.pid)
        return used | {"broker": cpu_s(self.node.pid or 0)}

    def others_s(self) -> float:
        """Return the processor seconds that the machine has used for what is not measured."""
        return machine_s() - sum(self.cpu().values()) - cpu_s(os.getpid())

    async def carry(self, order: Order, *, within_s: float) -> dict[str, Seen]:
        """Let the originator carry out an order; return what it saw once every receipt was heard."""
        journal = Journal(self.orders / f"{order.name}.journal")
        order.put(self.orders)
        awaited = order.awaited
        whole, told = 0, asyncio.get_running_loop().time()
        async with asyncio.timeout(within_s):
            while whole < order.documents:
                await asyncio.sleep(0.2)
                self.require_alive()
                seen = journal.read()
                whole = sum(one.is_whole(awaited) for one in seen.values())
                if asyncio.get_running_loop().time() - told > 5:
                    told = asyncio.get_running_loop().time()
                    self.said(f"{order.name}: {whole} of {order.documents}")
        return seen

    async def entries(self) -> dict[str, Entry]:
        """Return what the ledger says, by document id."""
        async with open_database(self.ledger_url) as book:
            return await book.read(_entries)

    async def sizes(self) -> tuple[int, int]:
        """Return the mean size of an envelope and of a receipt, as they travelled."""
        async with open_database(self.ledger_url) as book:
            return await book.read(_sizes)


def _entries(connection: sa.Connection) -> dict[str, Entry]:
    """Read the times of every document that has been registered."""
    attempted, recorded = t.events.alias(), t.events.alias()
    found = connection.execute(
        sa.select(t.envelopes.c.document_id, t.envelopes.c.accepted_at, attempted.c.at, t.receipts.c.at, recorded.c.at)
        .join(t.receipts, (t.receipts.c.envelope_id == t.envelopes.c.id) & (t.receipts.c.level == "registered"))
        .join(attempted, (attempted.c.envelope_id == t.envelopes.c.id) & (attempted.c.event == "delivery.attempted"))
        .join(recorded, (recorded.c.envelope_id == t.envelopes.c.id) & recorded.c.event.like("receipt.registered%"))
    )
    return {document_id: Entry(*map(datetime.timestamp, times)) for document_id, *times in found}


def _sizes(connection: sa.Connection) -> tuple[int, int]:
    envelope = connection.execute(sa.select(sa.func.avg(sa.func.length(t.envelopes.c.sealed)))).scalar_one()
    receipt = connection.execute(sa.select(sa.func.avg(sa.func.length(t.receipts.c.xml)))).scalar_one()
    return round(envelope), round(receipt)


def _roll_of(codes: Sequence[str]) -> str:
    """Write a roll with the axis, the originator and these communes."""
    offices = [(AXIS, "Trục (ví dụ)", "axis"), (ORIGINATOR, "Sở (ví dụ)", "department")]
    offices += [(code, f"UBND xã {code} (ví dụ)", "commune") for code in codes]
    tiers = '[tiers]\naxis = { name = "Trục", rank = 0 }\n' + "".join(
        f'{tier} = {{ name = "{name}", rank = {rank} }}\n'
        for rank, (tier, name) in enumerate((("department", "Sở, ban, ngành"), ("commune", "Xã, phường")), 1)
    )
    return tiers + "".join(
        f'\n[[offices]]\ncode = "{code}"\nname = "{name}"\ntier = "{tier}"\n' for code, name, tier in offices
    )


@asynccontextmanager
async def stand(
    folder: Path,
    said: Said,
    *,
    on_postgresql: bool = False,
    routers: int = 1,
    crowd: tuple[str, ...] = (),
    bystanders: tuple[str, ...] = (),
) -> AsyncIterator[Stand]:
    """Start nothing yet; stop all that was started when the block ends."""
    folder.mkdir(parents=True)
    # Its account cannot reach a folder of ours.
    place = Path(tempfile.mkdtemp(prefix="axis-bench-postgres-")) if on_postgresql else None
    postgres = None if place is None else PrivatePostgres(place)
    made = Stand(folder, said, PrivateNode(folder / "broker"), Laboratory(folder), postgres, routers, crowd, bystanders)
    try:
        yield made
    finally:
        said("stopping everything")
        await made.laboratory.stop_all()
        await made.node.stop()
        if made.postgres is not None:
            await asyncio.to_thread(made.postgres.stop)
            shutil.rmtree(made.postgres.folder, ignore_errors=True)
