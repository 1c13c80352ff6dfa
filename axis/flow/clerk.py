"""Clerk: an office of a flow, with a document system that answers as it is told.

Behind the clerk works the very runtime that an integrator gets (`Office`), over
the broker and the gateway, with its state on the disk. The clerk keeps a
register as docs/adapters.md asks: the envelope id is the key, so that a document
that comes twice stands in it once.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

from axis import seal
from axis.broker import Broker
from axis.clock import now
from axis.errors import AxisError
from axis.office import (
    Agreed,
    Declined,
    Delivered,
    Document,
    Notice,
    Office,
    OfficeSettings,
    Order,
    Permanent,
    Refused,
    Registered,
    StatusReport,
    Unavailable,
)
from axis.office.answers import Answer, Decision
from axis.office.counter import Counter
from axis.office.gateway import GatewayClient

_SOON_S = 10.0


class Died(BaseException):
    """The end of the office's process, as far as one process can play it: nothing that could answer catches it."""


@dataclass(frozen=True, slots=True)
class Told:
    """How the next documents are to be answered."""

    how: str = "registered"
    text: str = ""  # The reason, or the number.
    times: int | None = None  # None: from now on.
    number: str = ""  # In the register, of what an order brings.


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the incoming register."""

    envelope_id: str
    originator: str
    document_id: str
    number: str


@dataclass
class Clerk:
    """One office that runs."""

    settings: OfficeSettings
    told: deque[Told] = field(default_factory=deque)
    told_of_orders: deque[Told] = field(default_factory=deque)
    register: dict[str, Entry] = field(default_factory=dict)  # By envelope id.
    refused: dict[str, str] = field(default_factory=dict)  # The reason by envelope id.
    came: list[Document] = field(default_factory=list)  # Each time that one was handed over.
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)  # By envelope id and name.
    statuses: list[StatusReport] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)  # Each time that one was handed over.
    withdrawn: set[str] = field(
        default_factory=set
    )  # Envelope ids of copies that were given up; they stay in the register.
    heard: list[Notice] = field(default_factory=list)
    deaths: int = 0
    _counter: Counter | None = field(default=None, init=False)
    _running: asyncio.Task[None] | None = field(default=None, init=False)
    _stop: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _death: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self.office = Office(lambda: self.settings)
        self.office.on_document(self._take)
        self.office.on_order(self._take_order)
        self.office.on_status(self._take_status)
        self.office.on_receipt(self._hear)

    @property
    def code(self) -> str:
        """OrganId."""
        return self.settings.code

    @property
    def is_open(self) -> bool:
        """Whether the office runs."""
        return self._counter is not None

    @property
    def key(self) -> seal.SigningKey:
        """The key with which the office seals."""
        return seal.SigningKey.load(self.settings.key, self.settings.certificate)

    # --- coming and going --------------------------------------------------------------

    async def open(self) -> None:
        """Start the office; returns when it takes documents."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(self._run(ready), name=f"office {self.code}")
        await ready

    async def close(self) -> None:
        """Stop the office in order; what is for it waits."""
        running, self._running = self._running, None
        self._death.set()
        self._stop.set()
        if running is not None:
            await asyncio.gather(running, return_exceptions=True)

    async def kill(self) -> None:
        """End the office while it works; it is not started again."""
        await self.close()
        self.deaths += 1

    async def follow_trust(self) -> None:
        """Take over now what changed in the trust folder."""
        if self._counter is not None:
            await asyncio.to_thread(self._counter.trust.refresh)

    async def _run(self, ready: asyncio.Future[None]) -> None:
        """Run the office, again and again where it dies by itself, as a supervisor would."""
        while not self._stop.is_set():
            self._death = asyncio.Event()
            try:
                async with self._opened():
                    if not ready.done():
                        ready.set_result(None)
                    await self._death.wait()
            except AxisError as error:
                if ready.done():
                    raise
                ready.set_exception(error)
                return

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        settings = self.settings
        async with (
            Broker.connect(settings.broker_url, name=f"office {settings.code}") as pipes,
            GatewayClient.connect(settings.gateway_url, office=settings.code, key=self.key, now=now) as gateway,
            self.office.open(pipes=pipes, gateway=gateway, settings=settings) as counter,
        ):
            self._counter = counter
            try:
                yield
            finally:
                self._counter = None

    # --- the document system -----------------------------------------------------------

    async def decide(self, envelope_id: str, decision: Agreed | Declined) -> None:
        """Answer an order that waits for its clerk.

        Raises:
            AxisError: As `Office.report`.
        """
        await self.office.report(envelope_id, decision)
        for order in self.orders:
            if order.envelope_id == envelope_id:
                await self._carry_out(order, decision)

    async def _take(self, document: Document) -> Answer:
        self.came.append(document)
        told = _next(self.told, Told())
        return await HOW[told.how](self, document, told.text)

    async def _take_order(self, order: Order) -> Decision:
        self.orders.append(order)
        told = _next(self.told_of_orders, Told("delivered"))
        decision = DECISIONS[told.how](told)
        await self._carry_out(order, decision)
        return decision

    async def _carry_out(self, order: Order, decision: Decision) -> None:
        """Give up what an order says, and register what it brings; the same order twice does the same once."""
        if not isinstance(decision, Agreed):
            return
        self.withdrawn.update(one.envelope_id for one in order.targets)
        if order.document is not None and decision.number:
            await self._register(order.document, decision.number)

    async def _take_status(self, report: StatusReport) -> None:
        self.statuses.append(report)

    async def _hear(self, notice: Notice) -> None:
        self.heard.append(notice)

    async def _register(self, document: Document, number: str) -> Answer:
        files = {one.name: await one.read() for one in document.attachments}
        known = self.register.get(document.envelope_id)
        if known is None:
            known = Entry(
                document.envelope_id,
                document.originator.organ_id,
                document.document_id,
                number or str(len(self.register) + 1),
            )
            self.register[document.envelope_id] = known
            self.files[document.envelope_id] = files
        return Registered(known.number)

    async def _refuse(self, document: Document, reason: str) -> Answer:
        self.refused[document.envelope_id] = reason
        return Refused(reason)

    async def _keep(self, document: Document, _text: str) -> Answer:
        return Delivered()

    async def _put_off(self, _document: Document, reason: str) -> Answer:
        raise Unavailable(reason)

    async def _fail(self, _document: Document, reason: str) -> Answer:
        raise RuntimeError(reason)

    async def _choke(self, _document: Document, reason: str) -> Answer:
        raise Permanent(reason)

    async def _die(self, _document: Document, _text: str) -> Answer:
        self.deaths += 1
        self._death.set()
        raise _last_word()

    async def _be_busy(self, _document: Document, _text: str) -> Answer:
        """Work on it until the office ends."""
        await self._death.wait()
        raise _last_word()


def _next(told: deque[Told], otherwise: Told) -> Told:
    """Take from the queue how the next one is to be answered."""
    if not told:
        return otherwise
    first = told[0]
    if first.times is not None:
        told.popleft()
        if first.times > 1:
            told.appendleft(replace(first, times=first.times - 1))
    return first


def _last_word() -> Died:
    task = asyncio.current_task()
    if task is not None:
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # Nobody else asks for it.
    return Died()


HOW: dict[str, Callable[[Clerk, Document, str], Awaitable[Answer]]] = {  # How a document can be answered.
    "registered": Clerk._register,
    "refused": Clerk._refuse,
    "delivered": Clerk._keep,
    "unavailable": Clerk._put_off,
    "exception": Clerk._fail,
    "permanent": Clerk._choke,
    "death": Clerk._die,
    "busy": Clerk._be_busy,
}

DECISIONS: dict[str, Callable[[Told], Decision]] = {  # How an order can be answered.
    "agreed": lambda told: Agreed(told.text, told.number),
    "declined": lambda told: Declined(told.text),
    "delivered": lambda _told: Delivered(),  # A person will decide.
}
