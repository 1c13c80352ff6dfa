"""Stand: a broker, an axis and two offices under one folder, each a process of its own, ended by their ids."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from axis import clock, registry, seal
from axis.app import office_passwords
from axis.broker import PrivateNode
from axis.office.gateway import GatewayClient
from axis.seal import pki
from tests.bench.journal import Journal, Seen
from tests.bench.meters import command, cpu_s, machine_s
from tests.bench.office import Order
from tests.laboratory import Laboratory, axis

AXIS, ORIGINATOR, ADDRESSEE = "H56.TRUC", "H56.05", "H56.112"
_ROLL = Path(__file__).parents[2] / "config" / "offices.toml"
_READY_S = 60.0
_PROCESSES = {"axis": "axis up", ORIGINATOR: "originator", ADDRESSEE: "addressee"}

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

    # --- starting -------------------------------------------------------------------------

    async def start_broker(self) -> None:
        """Start a private node."""
        await self.node.start()

    async def start_axis(self) -> None:
        """Make keys, and start the axis and the two offices as an administrator would."""
        await asyncio.to_thread(self._make_keys)
        await self.node.set_offices(office_passwords(self.data / "secrets", (ORIGINATOR, ADDRESSEE)))
        await self.laboratory.start(
            "axis",
            *axis("up"),
            more={
                "AXIS_DATA": str(self.data),
                "AXIS_BROKER_URL": self.node.url,
                "AXIS_GATEWAY__PORT": "0",
                "AXIS_LOG_FORMAT": "json",
            },
        )
        await self._until((self.data / "gateway.address").exists)
        self.orders.mkdir()
        await self._start_office(ADDRESSEE, {})
        await self._start_office(ORIGINATOR, {"BENCH_ORDERS": str(self.orders)})
        await self._until((self.orders / "open").exists)

    def _make_keys(self) -> None:
        trust = self.data / "trust"
        pki.init(trust, name="CA (ví dụ)", now=clock.now())
        shutil.copy(_ROLL, trust / "offices.toml")
        names = registry.load_offices(trust / "offices.toml").by_code
        for code in (AXIS, ORIGINATOR, ADDRESSEE):
            pki.issue(trust, code, name=names[code].name, now=clock.now())

    async def _start_office(self, code: str, more: dict[str, str]) -> None:
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
                "AXIS_GATEWAY_URL": self._gateway(),
                "AXIS_LOG_FORMAT": "json",
                **more,
            },
        )

    def _gateway(self) -> str:
        return (self.data / "gateway.address").read_text()

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
        used = {what: cpu_s(self.laboratory.running[name].process.pid) for name, what in _PROCESSES.items()}
        return used | {"broker": cpu_s(self.node.pid or 0)}

    def others_s(self) -> float:
        """Return the processor seconds that the machine has used for what is not measured."""
        return machine_s() - sum(self.cpu().values()) - cpu_s(os.getpid())

    async def carry(self, order: Order, *, within_s: float) -> dict[str, Seen]:
        """Let the originator carry out an order; return what it saw once every receipt was heard."""
        journal = Journal(self.orders / f"{order.name}.journal")
        order.put(self.orders)
        whole, told = 0, asyncio.get_running_loop().time()
        async with asyncio.timeout(within_s):
            while whole < order.documents:
                await asyncio.sleep(0.2)
                self.require_alive()
                seen = journal.read()
                whole = sum(one.is_whole for one in seen.values())
                if asyncio.get_running_loop().time() - told > 5:
                    told = asyncio.get_running_loop().time()
                    self.said(f"{order.name}: {whole} of {order.documents}")
        return seen

    def entries(self) -> dict[str, Entry]:
        """Return what the ledger says, by document id."""
        with closing(self._ledger()) as book:
            return {document_id: Entry(*map(_seconds, times)) for document_id, *times in book.execute(_TIMES)}

    def sizes(self) -> tuple[int, int]:
        """Return the mean size of an envelope and of a receipt, as they travelled."""
        with closing(self._ledger()) as book:
            envelope = book.execute("SELECT avg(length(sealed)) FROM envelopes").fetchone()[0]
            receipt = book.execute("SELECT avg(length(xml)) FROM receipts").fetchone()[0]
        return round(envelope), round(receipt)

    def _ledger(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.data / 'ledger.sqlite'}?mode=ro", uri=True)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[GatewayClient]:
        """Speak to the gateway as the originator does."""
        trust = self.data / "trust"
        key = seal.SigningKey.load(trust / "keys" / f"{ORIGINATOR}.key.pem", trust / "certs" / f"{ORIGINATOR}.pem")
        async with GatewayClient.connect(self._gateway(), office=ORIGINATOR, key=key, now=clock.now) as client:
            yield client


_TIMES = """
    SELECT e.document_id, e.accepted_at, attempted.at, r.at, recorded.at FROM envelopes e
    JOIN receipts r ON r.envelope_id = e.id AND r.level = 'registered'
    JOIN events attempted ON attempted.envelope_id = e.id AND attempted.event = 'delivery.attempted'
    JOIN events recorded ON recorded.envelope_id = e.id AND recorded.event LIKE 'receipt.registered%'
"""


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@asynccontextmanager
async def stand(folder: Path, said: Said) -> AsyncIterator[Stand]:
    """Start nothing yet; stop all that was started when the block ends."""
    folder.mkdir(parents=True)
    made = Stand(folder, said, PrivateNode(folder / "broker"), Laboratory(folder))
    try:
        yield made
    finally:
        said("stopping everything")
        await made.laboratory.stop_all()
        await made.node.stop()
