"""App: the processes of the axis, put together from its rooms.

Here, and only here, settings become open resources. `router` takes envelopes
and receipts from the broker and runs the clock, `gateway` serves HTTP, and
`everything` runs both beside a private broker node on one machine: the gateway
itself, and the routers as processes that it starts and watches. Any number of
routers and gateways may run: what they share is in the ledger, the spool and the
broker.
"""

import asyncio
import contextlib
import fcntl
import os
import resource
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import uvicorn

from axis import children, clock, deadlines, edxml, gateway, intake, ledger, private, registry, seal, spool, webhooks
from axis.broker import Broker, PrivateNode, require_descriptors, topology
from axis.dispatch.along import Along, alone
from axis.dispatch.answers import Answers
from axis.dispatch.carriage import Carriage
from axis.dispatch.clock import Bell, Dispatch, keep_doing
from axis.dispatch.orders import Orders
from axis.dispatch.outbound import Outbound
from axis.dispatch.retry import RetrySchedule
from axis.dispatch.succession import Succession
from axis.errors import AxisError, PermanentError
from axis.gateway.protocol import BoundedHttp
from axis.gateway.tls import Tls
from axis.receipts.voice import Voice
from axis.router import Router
from axis.settings import Gateway as GatewaySettings
from axis.settings import Settings
from axis.telemetry import events, metrics
from axis.telemetry.health import HealthServer

_ROLL_EVERY = timedelta(seconds=2)
_GAUGES_EVERY = timedelta(seconds=5)
_TOTALS_EVERY = timedelta(minutes=5)  # To count everything takes longer the more there is.
_NODE_EVERY = timedelta(seconds=1)
_MEND_EVERY = timedelta(seconds=2)
_WEBHOOKS_EVERY = timedelta(seconds=1)
_TIDY_EVERY = timedelta(hours=1)
_TLS_EVERY = timedelta(minutes=1)
_CONNECTIONS = 2000  # Of a gateway at once; beyond it the answer is 503.
_DESCRIPTORS = 65_536


class LiveRoll:
    """The roll of offices and the trust that follows from it, as the ledger and the trust folder have them now."""

    def __init__(self, book: ledger.Ledger, settings: Settings) -> None:
        self._ledger = book
        self._settings = settings
        self._version = ""
        self._stamp: tuple[int, ...] = ()
        self._now: tuple[registry.Registry, seal.Trust] | None = None
        self._refreshing = asyncio.Lock()

    def __call__(self) -> tuple[registry.Registry, seal.Trust]:
        """Return the registry and the trust of this moment."""
        if self._now is None:
            raise AssertionError("the roll is refreshed before it is asked")
        return self._now

    async def refresh(self) -> None:
        """Take over what changed; what is returned on being asked is the same object where nothing did."""
        async with self._refreshing:  # An older roll must not come after a newer one.
            await self._refresh()

    async def _refresh(self) -> None:
        folder = self._settings.trust
        assert folder is not None  # noqa: S101 - filled() has set it.
        stamp = tuple(private.changed_ns(folder / name) for name in ("ca.pem", "crl.pem"))
        version = await self._ledger.registry_version()
        if version == self._version and stamp == self._stamp:
            return
        roll = registry.Registry.from_rows(await self._ledger.registry_rows())
        authorities, crls = await asyncio.to_thread(seal.load_authorities, folder)
        trust = roll.trust(authorities, crls, require_fresh_crl=self._settings.require_fresh_crl)
        self._now, self._version, self._stamp = (roll, trust), version or "", stamp
        now = clock.now()
        for office in roll.offices():
            if office.certificates:
                metrics.CERTIFICATE_DAYS_LEFT.labels(office.code).set(seal.days_left(office.certificates, now))
        events.registry_loaded(version=self._version[:12], offices=len(roll.offices()))


@dataclass(frozen=True, kw_only=True)
class Rooms:
    """What every process of the axis opens."""

    settings: Settings
    ledger: ledger.Ledger
    spool: spool.Spool
    roll: LiveRoll
    voice: Voice
    deadlines: deadlines.Deadlines

    def intake(self, along: Along = alone, carriage: Carriage | None = None) -> intake.Intake:
        """Return the door that both the gateway and the router use.

        Args:
            along: Begins what an acceptance makes due.
            carriage: Where files that came with an envelope wait for that.
        """
        return intake.Intake(
            ledger=self.ledger,
            spool=self.spool,
            roll=self.roll,
            voice=self.voice,
            lifetimes=self.settings.dispatch.lifetimes,
            deadlines=self.deadlines,
            batch=self.settings.router.batch,
            along=along,
            carriage=carriage or Carriage(),
            attachment_bytes=self.settings.limits.attachment_bytes,
            renew=self.roll.refresh,
        )

    def answers(self, along: Along = alone) -> Answers:
        """Return where receipts go, from the gateway and the router alike."""
        place = self.settings.dispatch
        return Answers(
            ledger=self.ledger,
            roll=self.roll,
            voice=self.voice,
            schedule=RetrySchedule(waits=place.waits, urgent_factor=place.urgent_factor, spread=place.spread),
            lifetimes=place.lifetimes,
            notices_after=place.notices_after,
            breaker_after=place.breaker_after,
            deadlines=self.deadlines,
            along=along,
            renew=self.roll.refresh,
        )

    def succession(self, answers: Answers) -> Succession:
        """Return what decides on the mail of closed offices."""
        return Succession(ledger=self.ledger, answers=answers, roll=self.roll, now=clock.now)

    def asking(self) -> frozenset[str]:
        """Return the offices that ask the gateway for what is sent to them."""
        return self.roll()[0].asking

    async def ready(self) -> dict[str, str]:
        """Return what can be used now, room by room."""
        return {"ledger": await _state(self.ledger.ping), "spool": await _state(self.spool.ping)}

    def ready_with(self, pipes: Broker) -> Callable[[], Awaitable[dict[str, str]]]:
        """Return the same check for a process that has pipes."""

        async def ready() -> dict[str, str]:
            return await self.ready() | {"broker": await _state(pipes.ping)}

        return ready


async def _state(check: Callable[[], Awaitable[None]]) -> str:
    try:
        await check()
    except AxisError as error:
        return error.code
    return "ok"


@contextlib.asynccontextmanager
async def open_rooms(settings: Settings) -> AsyncIterator[Rooms]:
    """Open ledger and spool, bring the schema up to date and read the roll.

    Raises:
        AxisError: CFG.INVALID if the axis has no key or no roll, SYS.* if a room cannot be opened.
    """
    settings = settings.filled()
    table = settings.deadlines.table()
    private.make_folder(settings.data)
    _allow_descriptors()
    await ledger.migrate(settings.ledger_url)
    async with (
        ledger.Ledger.open(settings.ledger_url) as book,
        spool.Spool.open(
            settings.spool_url, settings.data / "staging", keep_free=settings.limits.keep_free_bytes
        ) as store,
    ):
        await _load_first_roll(book, settings)
        roll = LiveRoll(book, settings)
        await roll.refresh()
        assert settings.key is not None  # noqa: S101 - filled() has set it, and the next.
        assert settings.certificate is not None  # noqa: S101
        voice = Voice(settings.organ_id, seal.SigningKey.load(settings.key, settings.certificate))
        yield Rooms(settings=settings, ledger=book, spool=store, roll=roll, voice=voice, deadlines=table)


def _allow_descriptors() -> None:
    """Take as many files and connections as the machine gives us: the usual 1,024 are few for a gateway."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _load_first_roll(book: ledger.Ledger, settings: Settings) -> None:
    """Load offices.toml into a ledger that has no roll yet; later loads are a person's act."""
    if await book.registry_version() is not None:
        return
    assert settings.offices is not None  # noqa: S101 - filled() has set it.
    if not settings.offices.exists():
        raise PermanentError("CFG.INVALID", "the ledger holds no offices and there is no offices.toml to load")
    roll = registry.load_offices(settings.offices)
    await book.load_registry(roll.to_rows(), roll.version, clock.now())


@contextlib.asynccontextmanager
async def router(rooms: Rooms, broker_url: str) -> AsyncIterator[Broker]:
    """Run the router's consumers and the clock until the block ends."""
    settings = rooms.settings
    await rooms.spool.lay_out()
    bell = Bell()
    async with Broker.connect(broker_url, name="axis-router") as pipes:
        declared = rooms.roll()
        await asyncio.to_thread(edxml.compile_explainers)
        await declare(pipes, declared[0])
        carriage = Carriage()
        outbound = Outbound(
            ledger=rooms.ledger,
            broker=pipes,
            carriage=carriage,
            answer_within=settings.dispatch.answer_within,
            batch=settings.dispatch.batch,
            ring=bell.ring,
            now=clock.now,
            asking=rooms.asking,
        )
        await rooms.ledger.take_up_again(clock.now(), outbound.most_at_once)
        answers = rooms.answers(outbound.along)
        orders = Orders(
            ledger=rooms.ledger,
            broker=pipes,
            answers=answers,
            roll=rooms.roll,
            patience=settings.dispatch.order_patience,
            ring=bell.ring,
            now=clock.now,
            left=outbound.left,
        )
        clockwork = Dispatch(
            outbound, answers, orders, rooms.succession(answers), rooms.ledger, poll=settings.dispatch.poll, bell=bell
        )
        door = Router(
            ledger=rooms.ledger,
            broker=pipes,
            intake=rooms.intake(outbound.along, carriage),
            answers=answers,
            carriage=carriage,
            allowance=intake.Allowance(burst=settings.router.burst, per_second=settings.router.per_second),
            batch=settings.router.batch,
            prefetch=settings.router.prefetch,
            ring=bell.ring,
        )

        async def follow_roll() -> bool:
            nonlocal declared
            await rooms.roll.refresh()
            newest = rooms.roll()  # Somebody else may have taken it over.
            if newest is not declared:
                await declare(pipes, newest[0])
                declared = newest
            return False

        async def mend() -> bool:
            if await pipes.mend():
                events.layout_mended()
            return False

        async with (
            clockwork.running(),
            door.running(),
            looping("roll", follow_roll, _ROLL_EVERY),
            looping("layout", mend, _MEND_EVERY),
        ):
            yield pipes


async def declare(pipes: Broker, roll: registry.Registry) -> None:
    """Declare the topology for every office of the roll; what is there already stays."""
    await pipes.declare(topology.province([office.code for office in roll.offices() if office.tier != "axis"]))


@contextlib.asynccontextmanager
async def looping(name: str, once: Callable[[], Awaitable[bool]], period: timedelta) -> AsyncIterator[None]:
    """Keep doing one thing beside the block."""
    task = asyncio.create_task(keep_doing(name, once, Bell(), period))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def gauges(rooms: Rooms) -> AsyncIterator[None]:
    """Keep the gauges that come from the ledger and the spool fresh."""

    async def read() -> bool:
        figures = await rooms.ledger.figures(clock.now())
        for state, count in figures.waiting.items():
            metrics.DELIVERIES.labels(state).set(count)
        for priority, age_s in figures.oldest_s.items():
            metrics.OLDEST_UNDELIVERED_SECONDS.labels(str(priority)).set(age_s)
        metrics.OUTBOX_LAG_SECONDS.set(figures.outbox_lag_s)
        metrics.DEAD_LETTERS.set(figures.waiting["dead"])
        metrics.HELD.set(figures.waiting["held"])
        return False

    async def count() -> bool:
        for state, count in (await rooms.ledger.ended()).items():
            metrics.DELIVERIES.labels(state).set(count)
        for what, late in (await rooms.ledger.overdue(clock.now())).items():
            metrics.OVERDUE.labels(what).set(late)
        metrics.SPOOL_BYTES.set(await rooms.spool.used_bytes())
        return False

    async with looping("gauges", read, _GAUGES_EVERY), looping("totals", count, _TOTALS_EVERY):
        yield


@contextlib.asynccontextmanager
async def http(rooms: Rooms, ready: Callable[[], Awaitable[dict[str, str]]]) -> AsyncIterator[int]:
    """Serve the gateway until the block ends; yields the port."""
    await rooms.spool.lay_out()
    served = gateway.build(
        intake=rooms.intake(),
        answers=rooms.answers(),
        ledger=rooms.ledger,
        spool=rooms.spool,
        roll=rooms.roll,
        metrics_text=metrics.exposition,
        ready=ready,
        attachment_bytes=rooms.settings.limits.attachment_bytes,
        per_office=rooms.settings.gateway.per_office,
        hooks=gateway.Terms(
            allowed=allowed(rooms.settings),
            most=rooms.settings.webhooks.per_office,
            overlap=rooms.settings.webhooks.overlap,
        ),
        allowance=intake.Allowance(burst=rooms.settings.gateway.burst, per_second=rooms.settings.gateway.per_second),
    )
    place = rooms.settings.gateway
    tls = gateway_tls(place)
    config = uvicorn.Config(
        served,
        host=place.host,
        port=place.port,
        log_config=None,
        http=BoundedHttp,
        limit_concurrency=_CONNECTIONS,
        access_log=False,  # Answers are counted by route and status; who asked for what is in the ledger.
        proxy_headers=False,  # Nothing here depends on where a request comes from.
        lifespan="off",
        ssl_context_factory=None if tls is None else lambda _config, _usual: tls.listening,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    tidying = looping("staging", lambda: _tidy(rooms), _TIDY_EVERY)
    try:
        while not server.started:
            if task.done():
                task.result()
                raise PermanentError("CFG.INVALID", f"the gateway cannot listen on port {place.port}")
            await asyncio.sleep(0.02)
        async with tidying, _following(tls):
            yield int(server.servers[0].sockets[0].getsockname()[1])
    finally:
        served.state.rooms.watch.stop()  # Who waits for news is answered now.
        server.should_exit = True
        await task


def gateway_tls(place: GatewaySettings) -> Tls | None:
    """Return the gateway's side of TLS; None where it serves plain HTTP.

    Raises:
        PermanentError: CFG.INVALID; a file cannot be used.
    """
    if place.certificate is None or place.key is None:
        return None
    return Tls(place.certificate, place.key, place.authorities)


@contextlib.asynccontextmanager
async def _following(tls: Tls | None) -> AsyncIterator[None]:
    """Take over renewed certificates until the block ends, and keep the gauge of when the present one does."""
    if tls is None:
        yield
        return

    async def follow() -> bool:
        try:
            if await asyncio.to_thread(tls.refresh):
                events.gateway_certificate_renewed(until=tls.shown.not_valid_after_utc)
        except AxisError as error:
            events.gateway_certificate_unusable(detail=error.detail, until=tls.shown.not_valid_after_utc)
        left = tls.shown.not_valid_after_utc - clock.now()
        metrics.GATEWAY_CERTIFICATE_DAYS_LEFT.set(left / timedelta(days=1))
        return False

    async with looping("tls", follow, _TLS_EVERY):
        yield


def allowed(settings: Settings) -> webhooks.Allowed:
    """Return where webhooks may lead."""
    return webhooks.Allowed.of(settings.webhooks.allow, plain_loopback=settings.webhooks.plain_loopback)


def post(settings: Settings) -> webhooks.Post:
    """Return what tells webhooks.

    Raises:
        PermanentError: CFG.INVALID; the file of authorities cannot be used.
    """
    place = settings.webhooks
    try:
        return webhooks.Post.open(allowed(settings), place.timeout, place.authorities)
    except OSError as error:
        raise PermanentError("CFG.INVALID", f"webhooks.authorities: {error}") from error


@contextlib.asynccontextmanager
async def doorbell(rooms: Rooms) -> AsyncIterator[None]:
    """Tell webhooks until the block ends, if no other process does."""
    place = rooms.settings.webhooks
    sender = webhooks.Sender(
        ledger=rooms.ledger,
        post=post(rooms.settings),
        terms=webhooks.Terms(
            schedule=RetrySchedule(waits=place.waits), give_up_after=place.give_up_after, at_once=place.at_once
        ),
        takes_part=lambda office: rooms.roll()[0].find(office) is not None,
        name=secrets.token_hex(8),
        now=clock.now,
    )
    try:
        async with looping("webhooks", sender.go_round, _WEBHOOKS_EVERY):
            yield
    finally:
        with contextlib.suppress(AxisError):  # The lease ends by itself.
            await sender.finish()


async def _tidy(rooms: Rooms) -> bool:
    await rooms.spool.tidy(clock.now())
    await rooms.ledger.tidy_keys(clock.now())
    return False


@contextlib.asynccontextmanager
async def _alone(settings: Settings) -> AsyncIterator[None]:
    """Hold a data folder for one `axis up` at a time.

    Raises:
        PermanentError: CFG.INVALID; another one holds it.
    """
    data = settings.filled().data
    private.make_folder(data)
    with (data / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise PermanentError("CFG.INVALID", f"another axis up holds {data}") from error
        yield


@contextlib.asynccontextmanager
async def broker_for(rooms: Rooms, said: Callable[[str], None]) -> AsyncIterator[str]:
    """Yield the address of the broker: the one that is given, or a private node of ours, started again if it dies."""
    settings = rooms.settings
    if settings.broker_url:
        yield settings.broker_url
        return
    require_descriptors(len(rooms.roll()[0].by_code))
    node = PrivateNode(settings.data / "broker", said)
    try:
        await node.start()
        await _admit_offices(node, rooms)
        _leave(settings.data / "broker.address", node.address)
        is_whole = True

        async def watch() -> bool:
            nonlocal is_whole
            if node.pid is None:
                said("broker: it ended by itself")
                is_whole = False
                await node.start()
            if not is_whole:  # It may have lost its store, and every account with it.
                await _admit_offices(node, rooms)
                is_whole = True
            return False

        async with looping("broker", watch, _NODE_EVERY):
            yield node.url
    finally:
        await node.stop()


async def _admit_offices(node: PrivateNode, rooms: Rooms) -> None:
    """Give every office of the roll its account."""
    codes = [office.code for office in rooms.roll()[0].offices() if office.tier != "axis"]
    await node.set_offices(office_passwords(rooms.settings.data / "secrets", codes))


def office_passwords(folder: Path, codes: Sequence[str]) -> dict[str, str]:
    """Return the broker password of each office, made where it is missing and kept in `folder`/<OrganId>."""
    private.make_folder(folder)
    passwords = {}
    for code in codes:
        file = folder / code
        if not file.exists():
            private.write_secret(file, secrets.token_urlsafe(24).encode())
        passwords[code] = file.read_text(encoding="ascii").strip()
    return passwords


def _leave(file: Path, text: str) -> None:
    """Leave an address where commands on the same machine look for it."""
    beside = file.with_suffix(".new")
    beside.write_text(text, encoding="ascii")
    beside.rename(file)


async def until_stopped(*, with_parent: bool = False) -> None:
    """Wait for SIGTERM or SIGINT; or for the end of standard input, which a parent holds open while it lives."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def heard() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            stop.set()

    if with_parent:
        loop.add_reader(sys.stdin.fileno(), heard)
    await stop.wait()
    if with_parent:
        loop.remove_reader(sys.stdin.fileno())  # Its end is read again and again.


async def run_router(settings: Settings, said: Callable[[str], None], *, with_parent: bool = False) -> None:
    """The process `axis router`."""
    async with open_rooms(settings) as rooms:
        place = rooms.settings.router
        async with (
            broker_for(rooms, said) as url,
            router(rooms, url) as pipes,
            gauges(rooms),
            HealthServer(place.metrics_host, place.metrics_port, rooms.ready_with(pipes)) as health,
        ):
            said(f"router: ready; metrics on port {health.port}")
            events.service_started(name="router", detail=f"metrics port {health.port}")
            await until_stopped(with_parent=with_parent)
    events.service_stopped(name="router")


async def run_gateway(settings: Settings, said: Callable[[str], None]) -> None:
    """The process `axis gateway`."""
    async with open_rooms(settings) as rooms:

        async def follow_roll() -> bool:
            await rooms.roll.refresh()
            return False

        async with (
            http(rooms, rooms.ready) as port,
            doorbell(rooms),
            gauges(rooms),
            looping("roll", follow_roll, _ROLL_EVERY),
        ):
            said(f"gateway: ready on port {port}")
            events.service_started(name="gateway", detail=f"port {port}")
            await until_stopped()
    events.service_stopped(name="gateway")


async def run_everything(settings: Settings, said: Callable[[str], None], *, routers: int = 1) -> None:
    """The process `axis up`: broker, router and gateway on one machine.

    Raises:
        PermanentError: CFG.INVALID; among other reasons, several routers on a ledger in SQLite.
    """
    if routers > 1 and settings.filled().ledger_url.startswith("sqlite:"):
        raise PermanentError("CFG.INVALID", "several routers need a ledger in PostgreSQL (AXIS_LEDGER_URL)")
    async with (
        _alone(settings),
        open_rooms(settings) as rooms,
        broker_for(rooms, said) as url,
        _routers(rooms, url, routers, said) as pipes,
        http(rooms, rooms.ready_with(pipes)) as port,
        doorbell(rooms),
        gauges(rooms),
    ):
        _leave(rooms.settings.data / "gateway.address", f"{rooms.settings.gateway.scheme}://127.0.0.1:{port}")
        said(f"axis: ready; gateway on port {port}; data in {rooms.settings.data}")
        events.service_started(name="up", detail=f"gateway port {port}")
        await until_stopped()
        said("axis: stopping")
    events.service_stopped(name="up")


@contextlib.asynccontextmanager
async def _routers(rooms: Rooms, broker_url: str, number: int, said: Callable[[str], None]) -> AsyncIterator[Broker]:
    """Run routers in processes of their own until the block ends; yields pipes for this process.

    One that is alone has a process of its own, too: who brings a file must not wait for who examines an envelope.
    """
    place = rooms.settings.router
    async with Broker.connect(broker_url, name="axis-up") as pipes:
        await declare(pipes, rooms.roll()[0])  # Before any office is told where to connect.

        async def follow_roll() -> bool:
            await rooms.roll.refresh()  # The gateway asks it; the routers declare what is new.
            return False

        wanted = [
            children.Child(
                name=f"router {index + 1}",
                command=(sys.executable, "-m", "axis", "router", "--with-parent"),
                more={
                    "AXIS_DATA": str(rooms.settings.data),
                    "AXIS_BROKER_URL": broker_url,
                    "AXIS_ROUTER__METRICS_PORT": str(place.metrics_port and place.metrics_port + index),
                },
            )
            for index in range(number)
        ]
        async with looping("roll", follow_roll, _ROLL_EVERY), children.running(wanted, said):
            yield pipes
