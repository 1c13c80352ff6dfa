"""Trial: an axis and three offices at work while something is done to them.

What it is made of is said by its Conditions: which ledger, whose broker,
whether lines can be cut, clocks moved and disks filled. Everything runs in
processes of its own, and is ended by its id. What must hold afterwards, however
it went, is in `reckoning`.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from axis import clock, registry
from axis.app import office_passwords
from axis.broker import PrivateNode
from axis.broker.private_node import free_ports
from axis.seal import pki
from tests.fault.clocks import Clocks
from tests.fault.cluster import Cluster
from tests.fault.deaths import Deaths, Point
from tests.fault.disks import SmallDisk, small_disk
from tests.fault.proxy import Proxy
from tests.fault.reckoning import Books, Order, Other, Reckoning
from tests.laboratory import Laboratory, axis
from tests.postgres import PrivatePostgres

AXIS, SENDER, ADDRESSEES = "H56.TRUC", "H56.05", ("H56.112", "H56.113")
FLOODER = "H56.199"  # A trial speaks for it; what it has been told it reads in the end.
ABSENT = "H56.VP"  # It never connects.
CLOSED = "H56.900"  # Both addressees have succeeded it.
_ROLL = Path(__file__).parents[2] / "config" / "offices.toml"
_READY_S = 240.0
_RENEWED = timedelta(days=2)  # That long ago, the revocation list.
_OLD = timedelta(days=30)  # A province did not get its keys this morning: its clocks may be wrong by days.
_ROUTER = re.compile(r"^router (\d+): process (\d+)$", re.MULTILINE)
_METRICS = re.compile(r"^router: ready; metrics on port (\d+)$", re.MULTILINE)
_SHOWN = ("level", "event", "code", "codes", "error")  # Of what a process says.


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a trial is made of, where that is not the usual: `axis up` with a ledger in SQLite and a broker of its own."""

    documents: int = 100
    on_postgresql: bool = False
    routers: int = 1  # Above 1: each a process of its own, started by `axis up`.
    apart: bool = False  # Router and gateway are started by themselves, as by systemd, beside a broker that is given.
    given: bool = False  # The broker is not of the axis's own.
    cluster: bool = False  # It has three nodes.
    lines: bool = False  # Everybody reaches broker and gateway over lines that can be cut.
    clocks: bool = False  # Everybody's clock can be wrong.
    small: Mapping[str, int] = field(default_factory=dict)  # Folders below `axis` with a disk of so many bytes.
    axis: Mapping[str, str] = field(default_factory=dict)  # More settings; DATA stands for its folder.
    office: Mapping[str, str] = field(default_factory=dict)
    lifetimes: Mapping[str, timedelta] = field(default_factory=dict)  # Of certificates, by office, from now on.
    may_end: frozenset[str] = frozenset()  # Ends of a delivery that are no loss here, if the originator was told.
    # An addressee's process dies, and its system may be asked again what it was being asked then; see `reckoning`.
    may_be_asked_again: bool = False
    restarted: bool = False  # A process that ends by itself is started again, as systemd does.
    points: tuple[Point, ...] = ()  # Where processes kill themselves.


@dataclass(slots=True)
class Lines:
    """The lines of a trial."""

    axis: Proxy  # To the broker.
    offices: Proxy  # To the broker.
    gateway: Proxy  # Of offices.

    @property
    def all(self) -> tuple[Proxy, ...]:
        """Each of them."""
        return (self.axis, self.offices, self.gateway)


@dataclass(slots=True)
class Trial:
    """A laboratory with an axis and three offices in it."""

    folder: Path
    conditions: Conditions = field(default_factory=Conditions)
    seed: str = ""
    laboratory: Laboratory = field(init=False)
    clocks: Clocks = field(init=False)
    deaths: Deaths = field(init=False)
    postgres: PrivatePostgres | None = field(default=None, init=False)  # The ledger is in SQLite without it.
    ledger_url: str = field(default="", init=False)
    cluster: Cluster | None = field(default=None, init=False)
    lines: Lines | None = field(default=None, init=False)
    disks: dict[str, SmallDisk] = field(default_factory=dict, init=False)
    done: Counter[str] = field(default_factory=Counter, init=False)  # What was done to it, and how often.
    others: list[Other] = field(default_factory=list, init=False)  # What the trial itself has handed in, as FLOODER.
    orders: list[Order] = field(default_factory=list, init=False)  # The same, about others.
    hostile: int = field(default=0, init=False)  # Envelopes of its own whose refusal is to be on record.
    forgotten: frozenset[str] = field(default=frozenset(), init=False)  # Envelopes in custody that no ledger knows now.
    born: datetime = field(default_factory=clock.now, init=False)
    passed: timedelta = field(default=timedelta(), init=False)  # That everybody's clock is ahead of ours.
    down: set[str] = field(default_factory=set, init=False)  # Processes that are not to be started again now.
    # Of the gateway and, if there is one only, of its router.
    _ports: list[int] = field(default_factory=lambda: free_ports(2), init=False)

    def __post_init__(self) -> None:
        self.laboratory = Laboratory(self.folder)
        self.clocks = Clocks(self.folder / "clocks")
        self.deaths = Deaths(self.folder / "deaths", self.conditions.points, self.seed)
        # Each needs to be what a process does first, and there is one such place.
        assert not (self.conditions.clocks and self.conditions.points)

    @property
    def data(self) -> Path:
        """Data folder of the axis."""
        return self.folder / "axis"

    @property
    def trust(self) -> Path:
        """Trust folder of everybody."""
        return self.data / "trust"

    @property
    def node(self) -> PrivateNode:
        """The private node of the axis, or the first of a cluster."""
        return self.cluster.nodes[0] if self.cluster else PrivateNode(self.data / "broker")

    def place(self, code: str) -> Path:
        """Folder of an office."""
        return self.folder / code

    # --- setting up ------------------------------------------------------------------------

    def make_keys(self) -> None:
        """Make the authority and everybody's keys, as they would be after some weeks."""
        born = clock.now() - _OLD
        pki.init(self.trust, name="CA (ví dụ)", now=born)
        shutil.copy(_ROLL, self.trust / "offices.toml")
        for code in (AXIS, SENDER, FLOODER, *ADDRESSEES):
            lifetime = self.conditions.lifetimes.get(code)
            self.issue(code, born, None if lifetime is None else self.born + lifetime)
        pki.renew_crl(self.trust, now=self.born - _RENEWED)

    def issue(self, code: str, at: datetime, until: datetime | None = None) -> None:
        """Issue a certificate to an office; a key that it had is put aside."""
        key = self.trust / "keys" / f"{code}.key.pem"
        if key.exists():
            key.rename(key.with_suffix(".old"))
        lifetime = pki.OFFICE_LIFETIME if until is None else until - at
        pki.issue(self.trust, code, name=f"{code} (ví dụ)", now=at, lifetime=lifetime)

    async def start_broker(self) -> None:
        """Start a broker that is not the axis's own, with everybody's accounts."""
        codes = [one.code for one in registry.load_offices(self.trust / "offices.toml").offices() if one.tier != "axis"]
        if self.cluster is None:
            await self.node.start()
        await self.node.set_offices(office_passwords(self.data / "secrets", codes))

    async def start_axis(self) -> None:
        """Start the axis; a broker that is there is used."""
        if self.conditions.apart:
            await self.start("router", *axis("router"), more=self.settings_of("router"))
            await self.start("gateway", *axis("gateway"), more=self.settings_of("gateway"))
        else:
            up = axis("up", "--routers", str(self.conditions.routers))
            await self.start("axis", *up, more=self.settings_of("axis"))
        await self.until_ready()

    async def start(self, name: str, *command: str, more: Mapping[str, str]) -> None:
        """Start a process."""
        self.down.discard(name)
        await self.laboratory.start(name, *command, more=more)

    async def start_again(self, name: str) -> None:
        """Start a process of the trial as it was started before."""
        if name in ("axis", "router", "gateway"):
            words = {"axis": axis("up", "--routers", str(self.conditions.routers))}.get(name, axis(name))
            await self.start(name, *words, more=self.settings_of(name))
        else:
            await self.start_office(name)

    async def until_ready(self) -> None:
        """Wait until the axis says that it can work."""
        try:
            async with asyncio.timeout(_READY_S):
                while not await self.is_ready():  # noqa: ASYNC110 - Another process comes up.
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise AssertionError(f"not ready in {_READY_S:.0f} s; ports {self._ports}\n{self.told()}") from error

    async def until_heeds(self, name: str) -> None:
        """Wait until a process that may just have been started ends in order when it is told to; before, it simply ends."""
        pid = self.laboratory.running[name].process.pid
        async with asyncio.timeout(_READY_S):
            while not _catches(pid, signal.SIGTERM):  # noqa: ASYNC110 - Another process comes up.
                await asyncio.sleep(0.05)

    async def is_ready(self) -> bool:
        """Whether the axis of now answers."""
        ports = self._ports if self.conditions.routers == 1 else self._ports[:1]
        try:
            async with httpx.AsyncClient(timeout=5) as http:
                answers = [await http.get(f"http://127.0.0.1:{port}/readyz") for port in ports]
        except httpx.HTTPError:
            return False
        return all(answer.is_success for answer in answers)

    def settings_of(self, name: str) -> dict[str, str]:
        """Return the settings of a process of the axis."""
        gateway, metrics = self._ports
        return {
            "AXIS_DATA": str(self.data),
            "AXIS_LOG_FORMAT": "json",
            "AXIS_GATEWAY__PORT": str(gateway),
            "AXIS_DISPATCH__WAITS": '["PT1S", "PT2S"]',
            "AXIS_DISPATCH__ANSWER_WITHIN": "PT5S",
            "AXIS_ROUTER__METRICS_PORT": str(metrics if self.conditions.routers == 1 else 0),
            **self._ledger,
            **({"AXIS_BROKER_URL": self._broker_url} if self._is_given else {}),
            **(self.clocks.of(name) if self.conditions.clocks else {}),
            **self.deaths.of(name),
            **self._more,
        }

    @property
    def _ledger(self) -> dict[str, str]:
        return {"AXIS_LEDGER_URL": self.ledger_url} if self.ledger_url else {}

    @property
    def _is_given(self) -> bool:
        return self.conditions.given or self.conditions.apart or self.conditions.cluster or self.conditions.lines

    @property
    def _broker_url(self) -> str:
        if self.lines is None:
            return self.node.url
        account = self.node.url.split("://", 1)[1].rsplit("@", 1)[0]
        return f"amqp://{account}@127.0.0.1:{self.lines.axis.port}/"

    @property
    def gateway_url(self) -> str:
        """Where offices find the gateway."""
        return f"http://127.0.0.1:{self.lines.gateway.port if self.lines else self._ports[0]}"

    async def start_office(self, code: str) -> None:
        """Start an office, with the state that it had."""
        place = self.place(code)
        place.mkdir(exist_ok=True)
        arguments = (str(self.conditions.documents), ",".join(ADDRESSEES)) if code == SENDER else ()
        broker = f"127.0.0.1:{self.lines.offices.port}" if self.lines else self.node.address
        await self.start(
            code,
            *(sys.executable, "-m", "tests.fault.office", *arguments),
            more={
                "TRIAL_FOLDER": str(place),
                "AXIS_OFFICE": code,
                "AXIS_OFFICE_KEY": str(self.trust / "keys" / f"{code}.key.pem"),
                "AXIS_OFFICE_CERTIFICATE": str(self.trust / "certs" / f"{code}.pem"),
                "AXIS_OFFICE_TRUST": str(self.trust),
                "AXIS_OFFICE_STATE": str(place / "state"),
                "AXIS_OFFICE_BROKER_PASSWORD_FILE": str(self.data / "secrets" / code),
                "AXIS_BROKER_URL": f"amqp://{broker}/",
                "AXIS_GATEWAY_URL": self.gateway_url,
                "AXIS_LOG_FORMAT": "json",
                **(self.clocks.of(code) if self.conditions.clocks else {}),
                **self.deaths.of(code),
                **self.conditions.office,
            },
        )

    # --- doing something to it -------------------------------------------------------------

    async def kill(self, name: str) -> None:
        """End a process as a power cut does, with the routers that it has started, and start it again."""
        self.down.add(name)
        self.done["kill -9"] += await self.laboratory.kill(name)
        await self.start_again(name)

    async def kill_alone(self, name: str) -> None:
        """End a process with SIGKILL, and start it again; what it has started has to notice by itself."""
        self.down.add(name)
        self.done["kill -9"] += 1
        await self.laboratory.stop(name, signal.SIGKILL)
        await self.start_again(name)

    async def kill_router(self, pid: int) -> None:
        """End a router that `axis up` has started, and wait until that has started it again."""
        with contextlib.suppress(ProcessLookupError):  # It is not there just now, because it could not start.
            os.kill(pid, signal.SIGKILL)
            self.done["kill -9"] += 1
        await self.until_true(lambda: pid not in self.router_pids())

    def router_address(self) -> str:
        """Return where the router that `axis up` has started serves its metrics."""
        return f"http://127.0.0.1:{_METRICS.findall(self.log_of('axis'))[-1]}"

    def router_pids(self) -> list[int]:
        """Return the processes of routers that run beside `axis up`, in their order."""
        return [int(pid) for _, pid in sorted(dict(_ROUTER.findall(self.log_of("axis"))).items())]

    def axis_pids(self) -> list[int]:
        """Return the processes of `axis up`: the gateway first, and its routers."""
        return [self.laboratory.running["axis"].process.pid, *self.router_pids()]

    def log_of(self, name: str) -> str:
        """Return what a process has written."""
        return (self.folder / "logs" / f"{name}.log").read_text(errors="replace")

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process."""
        self.laboratory.running[name].process.send_signal(number)

    async def command(self, *words: str) -> tuple[int, str]:
        """Run a command to its end; return its exit code and what it wrote."""
        clocks = self.clocks.of("axis") if self.conditions.clocks else {}
        broker = {"AXIS_BROKER_URL": self.node.url} if self._is_given else {}
        process = await asyncio.create_subprocess_exec(
            *words,
            env={
                **self.laboratory.base,
                "AXIS_DATA": str(self.data),
                **self._ledger,
                **broker,
                **clocks,
                **self._places,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode()

    @property
    def _places(self) -> dict[str, str]:
        """Settings that say where things are, for commands too."""
        return {name: value for name, value in self._more.items() if name.endswith("_URL")}

    @property
    def _more(self) -> dict[str, str]:
        return {name: value.replace("DATA", str(self.data)) for name, value in self.conditions.axis.items()}

    async def audit(self, *how: str) -> dict[str, Any]:
        """Return what `axis audit` says, a program of its own."""
        code, out = await self.command(*axis("audit", "--json", *how))
        if code not in (0, 1):
            raise RuntimeError(f"axis audit: exit code {code}")
        report: dict[str, Any] = json.loads(out)
        return report

    async def load_roll(self, *, after_closing: str) -> None:
        """Let the roll say what becomes of the mail of the closed office; the first addressee is its heir."""
        said = 'after_closing = "reject"'
        roll = _ROLL.read_text(encoding="utf-8")
        assert roll.count(said) == 1
        heirs = f'\nforward_to = ["{ADDRESSEES[0]}"]' if after_closing == "forward" else ""
        says = f'after_closing = "{after_closing}"{heirs}'
        (self.trust / "offices.toml").write_text(roll.replace(said, says), encoding="utf-8")
        loaded = await self.command(*axis("offices", "load", str(self.trust / "offices.toml")))
        assert loaded[0] == 0, loaded

    @contextlib.contextmanager
    def slowly(self) -> Iterator[None]:
        """Let the sender take its time until the block ends."""
        slowly = self.place(SENDER) / "slowly"
        slowly.touch()
        try:
            yield
        finally:
            slowly.unlink()

    # --- waiting and reckoning -------------------------------------------------------------

    @property
    def books(self) -> Books:
        """What the offices have written down."""
        return Books(
            sender=self.place(SENDER),
            flooder=self.place(FLOODER),
            addressees=tuple(map(self.place, ADDRESSEES)),
            may_end=self.conditions.may_end,
            may_be_asked_again=self.conditions.may_be_asked_again,
            others=tuple(self.others),
            orders=tuple(self.orders),
            hostile=self.hostile,
            forgotten=self.forgotten,
        )

    async def until(self, done: int) -> None:
        """Wait until so many documents have been sent."""
        await self.until_true(lambda: len(self.books.sent()) >= done)

    async def until_true(self, true: Callable[[], bool], within_s: float = _READY_S) -> None:
        """Wait for something that other processes do."""
        async with asyncio.timeout(within_s):
            while not true():  # noqa: ASYNC110 - It rings no bell here.
                await asyncio.sleep(0.05)

    async def settle(self, *, within_s: float) -> float:
        """Wait until everything has been sent, has ended and was heard of; return how long that took.

        Raises:
            AssertionError: Something waits still.
        """
        began = time.monotonic()
        if self.others or self.orders:
            await self.start_office(FLOODER)
        while waiting := await self._waiting():
            if time.monotonic() - began >= within_s:
                raise AssertionError(f"after {within_s:.0f} s there wait still: {waiting}\n{self.told()}")
            await asyncio.sleep(0.2)
        return time.monotonic() - began

    async def _waiting(self) -> dict[str, int]:
        """Return how much of each kind there is still to come; the axis is asked when the offices wait for nothing."""
        books = self.books
        here = {
            "documents to be sent": max(0, self.conditions.documents - len(books.sent())),
            "documents unheard": books.unheard(),
        }
        if any(here.values()):
            return here
        report = await self.audit()
        there = {
            "deliveries": report["deliveries"] - report["terminal"],
            "notices": report["notices_waiting"],
            "refusals": max(0, self.hostile - report["rejections"]),
        }
        return {kind: number for kind, number in there.items() if number}

    async def reckon(self, recovered_s: float) -> Reckoning:
        """Compare the books of all sides."""
        logs = [f"{code}={self.place(code) / 'register'}" for code in ADDRESSEES]
        for code in ADDRESSEES:
            (self.place(code) / "register").touch()
        effects = [word for log in logs for word in ("--effects", log)]
        report = await self.audit("--receipts", "--spool", "--broker", "--at-rest", *effects)
        return self.books.reckon(report, recovered_s)

    def told(self) -> str:
        """Return what the processes complained of, each kind once with its number: where to look when a trial fails."""
        kinds: Counter[tuple[str, ...]] = Counter()
        for log in sorted((self.folder / "logs").glob("*.log")):
            for line in log.read_text(errors="replace").splitlines():
                event = _event(line)
                if event.get("level") not in ("debug", "info") or event["event"] == "envelope.rejected":
                    kinds[log.stem, *(str(event[key]) for key in _SHOWN if key in event)] += 1
        return "\n".join(f"{number:6} {' '.join(kind)}" for kind, number in kinds.most_common(60))


def _event(line: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        event = json.loads(line)
        if isinstance(event, dict) and "event" in event:
            return event
    return {"event": line, "level": "text"}


@asynccontextmanager
async def trial(folder: Path, conditions: Conditions, seed: str = "") -> AsyncIterator[Trial]:
    """Start everything; stop everything that was started, broker, database and disks too."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Trial(folder, conditions, seed)
    async with AsyncExitStack() as stack:
        for name, size in conditions.small.items():
            made.disks[name] = stack.enter_context(small_disk(made.data / name, size))
        await asyncio.to_thread(made.make_keys)
        if conditions.on_postgresql:
            await _open_ledger(made, stack)
        stack.push_async_callback(_stop, made)
        await _open_broker(made, stack)
        await made.start_axis()
        await asyncio.sleep(1)  # RabbitMQ 3.10 puts the names of its queues on the disk every half second.
        for code in (*ADDRESSEES, SENDER):
            await made.start_office(code)
        if conditions.restarted:
            await stack.enter_async_context(_restarting(made))
        yield made


async def _open_ledger(made: Trial, stack: AsyncExitStack) -> None:
    place = Path(tempfile.mkdtemp(prefix="axis-trial-postgres-"))
    stack.callback(shutil.rmtree, place, ignore_errors=True)
    made.postgres = PrivatePostgres(place)
    await asyncio.to_thread(made.postgres.make)
    stack.push_async_callback(asyncio.to_thread, made.postgres.stop)
    made.ledger_url = await asyncio.to_thread(made.postgres.new_database)


async def _open_broker(made: Trial, stack: AsyncExitStack) -> None:
    """Start a broker that is given, and lay the lines."""
    if not made._is_given:
        return
    if made.conditions.cluster:
        made.cluster = await stack.enter_async_context(Cluster.open(made.folder / "cluster"))
    await made.start_broker()
    if made.conditions.lines or made.conditions.cluster:
        host, port = made.node.address.rsplit(":", 1)
        broker = made.cluster.addresses if made.cluster else [(host, int(port))]
        gateway = [("127.0.0.1", made._ports[0])]
        made.lines = Lines(
            *[await stack.enter_async_context(Proxy.to(*servers)) for servers in (broker, broker, gateway)]
        )


async def _stop(made: Trial) -> None:
    """Stop what the trial started, frozen processes too."""
    for name, one in made.laboratory.running.items():
        if one.process.returncode is None:
            made.signal(name, signal.SIGCONT)
    await made.laboratory.stop_all()
    if made.cluster is None:
        await made.node.stop()


@asynccontextmanager
async def _restarting(made: Trial) -> AsyncIterator[None]:
    """Start again what ends by itself, as systemd does."""

    async def watch() -> None:
        while True:
            for name in made.laboratory.dead():
                if name not in made.down:
                    await made.laboratory.stop(name)
                    await made.start_again(name)
            await asyncio.sleep(0.5)

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal. Spec: proc(5), `SigCgt`."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)
