"""Whatever is lost, doubled, put in another order or dies on the way: a document arrives once, and its sender hears the truth.

Intake, ledger, dispatch, the router's rooms and the office's side are the real
ones, on SQLite. Between them stands a broker that keeps nothing but the
promises of one: what it confirmed comes at least once, in any order - unless
somebody purges a queue. The model is the office's own document system: what it
was asked, what it has registered, what it refuses.
"""

import asyncio
import contextlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from axis import audit, edxml
from axis.broker import Broker, Incoming, NotPublished, Packed, carried, pack, topology
from axis.broker.packing import unpack
from axis.dispatch.carriage import Carriage
from axis.dispatch.clock import Bell, Dispatch
from axis.dispatch.outbound import Outbound
from axis.edxml import Priority
from axis.errors import TransientError
from axis.intake import Allowance
from axis.ledger import tables as t
from axis.office.answers import Agreed, Answer, Declined, Delivered, Refused, Registered, Unavailable
from axis.office.attempt import Attempts
from axis.office.compare import Compare
from axis.office.courier import Courier
from axis.office.document import Document
from axis.office.handlers import Handlers
from axis.office.hearing import Hearing
from axis.office.order import Order
from axis.office.orders import Orders as OfficeOrders
from axis.office.state import State
from axis.receipts import bundle
from axis.receipts.voice import Voice
from axis.router import Router
from axis.seal import Trust
from tests.house import AXIS, COMMUNE, SENDER, House, house
from tests.property.search import WITHIN_S, search

_ANSWER_WITHIN = timedelta(minutes=5)
_NUMBERS = st.integers(0, 5)
_SPANS = st.sampled_from([timedelta(0), timedelta(seconds=15), timedelta(minutes=6), timedelta(hours=2)])
_ENDED = ("delivered", "refused", "recalled", "expired")
_INBOXES = topology.inboxes(COMMUNE)
_INBOX_OF = {
    one.key: one.queue for one in topology.province([SENDER, COMMUNE]).bindings if one.exchange == topology.DELIVER
}
_ROUNDS = 60  # Of quiet, in which everything must come to its end.


class _Died(BaseException):
    """The office's process ends here."""


class Carrier:
    """A broker: what it has confirmed is in one of its queues, until it is acked or purged."""

    def __init__(self) -> None:
        self.queues: defaultdict[str, list[Incoming]] = defaultdict(list)
        self.says_no = 0  # To the next publishes.
        self.forgets_to_confirm = 0  # Of the next publishes, though it has them.

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes | Packed,
        *,
        type: str,  # noqa: A002 - AMQP's own name for it.
        headers: dict[str, Any] | None = None,
        user_id: str | None = None,
        also: Sequence[str] = (),
    ) -> None:
        """Take a message, or not, or take it and not say so."""
        assert not also  # So few attempts are made each for itself.
        if self.says_no:
            self.says_no -= 1
            raise NotPublished(was_answered=self.says_no % 2 == 0)
        packed = body if isinstance(body, Packed) else await pack(body)
        plain = unpack(packed.body, packed.encoding, topology.MOST_BYTES)
        files: dict[str, bytes] = {}
        if packed.files:
            plain, files = carried.unload(plain, packed.files)
        queue = _INBOX_OF[routing_key] if exchange == topology.DELIVER else topology.OFFICE_KEYS[routing_key]
        self.queues[queue].append(
            Incoming(
                body=plain,
                files=files,
                type=type,
                headers=headers or {},
                exchange=exchange,
                user_id=user_id,
                redelivered=False,
                delivery_count=0,
                died_in="",
            )
        )
        if self.forgets_to_confirm:
            self.forgets_to_confirm -= 1
            raise TransientError("SYS.BROKER")

    async def try_out(self) -> None:
        """Take something, or not."""
        if self.says_no:
            self.says_no -= 1
            raise TransientError("SYS.BROKER")

    async def depth(self, queue: str) -> int:
        """Return how many messages wait."""
        return len(self.queues[queue])

    async def depths(self, queues: Sequence[str]) -> dict[str, int]:
        """Return how many messages wait in each."""
        return {queue: len(self.queues[queue]) for queue in queues}

    async def take_out(self, queue: str, is_meant: Callable[[Incoming], bool], **_: Any) -> list[Incoming]:
        """Take some messages out."""
        waiting = self.queues[queue]
        taken = [one for one in waiting if is_meant(one)]
        self.queues[queue] = [one for one in waiting if not is_meant(one)]
        return taken


@dataclass(frozen=True)
class _Gateway:
    """What the office asks the axis over HTTP."""

    home: House

    async def receipts_known(self, envelope_ids: Sequence[str]) -> dict[str, dict[str, str]]:
        known: dict[str, dict[str, str]] = {}
        for row in await self.home.ledger.receipts_known(COMMUNE, envelope_ids):
            known.setdefault(row["envelope_id"], {})[row["digest"]] = row["level"]
        return known

    async def receipts_of(self, envelope_id: str) -> list[bytes]:
        return [row.xml for row in await self.home.ledger.receipts_of(envelope_id)]

    async def stream(self, sha256: str, size_bytes: int, *, start: int = 0) -> AsyncIterator[bytes]:
        async for chunk in self.home.spool.stream(sha256, start, size=size_bytes):
            yield chunk


@dataclass(frozen=True)
class _Believed:
    """The office's trust: that of the house."""

    trust: Trust

    def canonical(self, code: str) -> str:
        return code

    def may_order(self, who: str, originator: str) -> bool:
        return who == originator

    def is_for_others(self, code: str) -> bool:
        return code != COMMUNE


@dataclass
class System:
    """The office's own document system: the model. It knows a document that it has seen by the envelope's id.

    It decides about an order for a document once, and stays with that.
    """

    mood: str = "registers"
    dies: str = ""  # "before" or "after" the next effect.
    register: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    shelved: set[str] = field(default_factory=set)  # Taken, and not decided.
    agrees: bool = True  # To orders.
    withdrawn: set[str] = field(default_factory=set)  # Given up by order: in the register, and struck out.
    kept: set[str] = field(default_factory=set)  # An order about it was declined.
    asked: Counter[str] = field(default_factory=Counter)
    excuses: Counter[str] = field(default_factory=Counter)  # Times that it may be asked again.

    async def receive(self, doc: Document) -> Answer:
        """Do what a document system does, and fail as they do."""
        assert doc.envelope_id not in self.withdrawn
        self.asked[doc.envelope_id] += 1
        dies, self.dies = self.dies, ""
        if dies:
            self.excuses[doc.envelope_id] += 1
        if dies == "before":
            raise _Died
        try:
            for file in doc.attachments:
                await file.read()
        except TransientError:
            assert doc.attempt == 1  # Only with the first attempt files come along, and may be damaged.
            self.excuses[doc.envelope_id] += 1
            raise
        answer = self._act(doc.envelope_id)
        if dies == "after":
            raise _Died
        return answer

    async def obey(self, order: Order) -> Agreed | Declined:
        """Strike a document out, or keep it."""
        dies, self.dies = self.dies, ""
        if dies == "before":
            raise _Died
        target = order.target
        # Of what an attempt may have done there may be nothing: then there is nothing to keep.
        is_here = target.envelope_id in self.register.keys() | self.shelved
        assert is_here or target.level is None
        agrees = self.agrees and target.envelope_id not in self.kept
        if target.envelope_id in self.withdrawn or agrees or not is_here:
            self.withdrawn |= {one.envelope_id for one in order.targets}
        else:
            self.kept.add(target.envelope_id)
        if dies == "after":
            raise _Died
        if target.envelope_id in self.withdrawn:
            return Agreed()
        return Declined("Đã thi hành (ví dụ)")

    def _act(self, envelope_id: str) -> Answer:
        if envelope_id in self.register:
            return Registered(self.register[envelope_id])
        if envelope_id in self.refused:
            return Refused("Không đúng thẩm quyền (ví dụ)")
        match self.mood:
            case "is away":
                self.excuses[envelope_id] += 1
                raise Unavailable("Đang bảo trì (ví dụ)")
            case "breaks":
                self.excuses[envelope_id] += 1
                raise ValueError("lỗi (ví dụ)")
            case "refuses":
                self.refused.add(envelope_id)
                return Refused("Không đúng thẩm quyền (ví dụ)")
            case "shelves":
                self.shelved.add(envelope_id)
                return Delivered()
        self.register[envelope_id] = str(len(self.register) + 1)
        if self.mood == "breaks after":
            self.excuses[envelope_id] += 1
            raise ValueError("lỗi sau khi đã ghi (ví dụ)")
        return Registered(self.register[envelope_id])


class Machine:
    """A sender, an axis and a commune, and all that can happen between them."""

    def __init__(self, home: House, folder: Path) -> None:
        self.home, self.folder = home, folder
        self.carrier, self.system = Carrier(), System()
        self.accepted: dict[str, bytes] = {}  # Envelopes by id.
        self.documents: dict[str, edxml.Document] = {}
        self.recalled: dict[str, str] = {}  # Id of a recall, and of the envelope that it is about.
        self.heard: dict[str, set[str]] = defaultdict(set)  # Levels of receipts that came home.
        self.was_sent = True  # All that was due when it was looked at last.
        pipes: Any = self.carrier
        carriage = Carriage()
        self.intake = replace(home.intake, carriage=carriage)
        outbound = Outbound(
            ledger=home.ledger,
            broker=pipes,
            answer_within=_ANSWER_WITHIN,
            batch=50,
            ring=lambda: None,
            now=home.now,
            carriage=carriage,
        )
        self.orders = home.orders(pipes)
        self.dispatch = Dispatch(
            outbound,
            home.answers,
            self.orders,
            home.succession,
            home.ledger,
            poll=timedelta(seconds=1),
            bell=Bell(),
            now=home.now,
        )
        broker: Broker = pipes
        self.router = Router(
            ledger=home.ledger,
            broker=broker,
            intake=home.intake,
            answers=home.answers,
            allowance=Allowance(burst=1000, per_second=1000.0),
            carriage=carriage,
            batch=64,
            prefetch=128,
            ring=lambda: None,
            now=home.now,
        )
        self._stack = contextlib.AsyncExitStack()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Machine"]:
        """Open the office, and close it in the end."""
        await self.home.ledger.heartbeat(COMMUNE, self.home.at, "1", takes_files=carried.MOST_BYTES)
        await self._start_office()
        try:
            yield self
        finally:
            await self._stack.aclose()

    async def _start_office(self) -> None:
        """Open the office with the state that it had; what it may not have said it says again."""
        home, trust = self.home, _Believed(self.home.province.trust())
        self.state = await self._stack.enter_async_context(State.open(self.folder / "office"))
        self.courier = Courier(office=COMMUNE, pipes=self.carrier, state=self.state, now=home.now)  # type: ignore[arg-type]
        handlers = Handlers(document=self.system.receive, order=self.system.obey)
        gateway: Any = _Gateway(home)
        live: Any = trust
        voice = Voice(COMMUNE, home.province.signer(COMMUNE))
        self.attempts = Attempts(
            axis=AXIS,
            voice=voice,
            trust=live,
            state=self.state,
            courier=self.courier,
            orders=OfficeOrders(voice=voice, state=self.state, trust=live),
            gateway=gateway,
            handlers=handlers,
            answer_within=timedelta(seconds=30),
            now=home.now,
        )
        hearing = Hearing(axis=AXIS, trust=live, state=self.state, handlers=handlers, now=home.now)
        self.compare = Compare(state=self.state, gateway=gateway, hearing=hearing, now=home.now)
        await self.courier.send_again(grace=timedelta(0))

    async def _die(self) -> None:
        await self._stack.aclose()
        await self._start_office()

    # --- what happens -----------------------------------------------------------------------

    async def hand_in(self, again: bool, number: int) -> None:
        if again and self.accepted:
            envelope_id, envelope = list(self.accepted.items())[-1 - number % len(self.accepted)]
            answer = await self.home.accept(envelope)
            assert (answer.duplicate, answer.envelope_id) == (True, envelope_id)
            return
        document = self.home.document(priority=Priority(number % 4))  # Some by the urgent inbox.
        page = b"%%PDF-1.7 %d" % len(self.accepted)
        envelope = self.home.seal(document, {"1.pdf": page} if number else None)  # Most with a file, which comes along.
        answer = await self.intake.accept(
            envelope, submitter=SENDER, via="amqp", carried={sha256(page).hexdigest(): page}
        )
        assert not answer.duplicate
        self.accepted[answer.envelope_id] = envelope
        self.documents[answer.envelope_id] = document

    async def recall(self, number: int) -> None:
        """The sender takes a document back."""
        envelope_id, document = list(self.documents.items())[-1 - number % len(self.documents)]
        order = edxml.Business(
            edxml.BusinessType.RECALL, reason="Ban hành nhầm (ví dụ)", document_id=document.document_id
        )
        answer = await self.home.accept(self.home.seal(self.home.document(business=order)))
        self.recalled[answer.envelope_id] = envelope_id

    async def judge(self) -> None:
        """The router looks what orders speak of."""
        await self.orders.go_round()

    async def change_mind(self, agrees: bool) -> None:
        self.system.agrees = agrees

    async def set_mood(self, mood: str) -> None:
        self.system.mood = mood

    async def pass_time(self, span: timedelta) -> None:
        """Let it be later, and let the loops of both sides do what they do then."""
        self.home.pass_time(span)
        await self._beat()
        await self.dispatch._tend()
        await self.dispatch._look_after()
        await self.orders.go_round()
        await self._send()
        await self.courier.send_again()
        await self.compare.look()

    async def _beat(self) -> None:
        """The office has been there all the time."""
        beat = sa.update(t.lanes).values(heartbeat_at=self.home.at)
        await self.home.ledger._database.write(lambda c: c.execute(beat))

    async def _send(self) -> None:
        """What the loop of dispatch does until it finds nothing, or the broker takes nothing."""
        self.was_sent = False
        with contextlib.suppress(TransientError):
            while await self.dispatch._send():
                pass
            self.was_sent = True

    async def say_no(self, number: int, silently: bool) -> None:
        """The broker refuses what is published next; or takes it, and its word for that is lost."""
        if silently:
            self.carrier.forgets_to_confirm = number
        else:
            self.carrier.says_no = number

    async def purge(self, queue: str) -> None:
        self.carrier.queues[queue].clear()

    async def damage(self, queue: str) -> None:
        """What goes along in a queue arrives as something else."""
        self.carrier.queues[queue] = [
            replace(one, files={name: content[::-1] for name, content in one.files.items()})
            for one in self.carrier.queues[queue]
        ]

    async def double(self, queue: str, number: int) -> None:
        """The broker hands a message out twice."""
        waiting = self.carrier.queues[queue]
        if waiting:
            at = number % len(waiting)
            waiting[at] = _handed_out(waiting[at])
            waiting.append(waiting[at])

    async def take(self, number: int, dies: str) -> None:
        """The office takes one message from its inbox, whichever comes first."""
        inboxes = [self.carrier.queues[queue] for queue in _INBOXES]
        inbox = inboxes[number % 2] or inboxes[1 - number % 2]
        if not inbox:
            return
        message = inbox.pop(number % len(inbox))
        if message.type != "envelope":
            said = [self.home.read(xml) for xml in bundle.unpack(message.type, message.body)]
            assert {one.level for one in said} == {"reminded"}  # Nothing else is said to who has sent nothing.
            return
        self.system.dies = dies if dies in ("before", "after") else ""
        self.carrier.says_no = 100 if dies == "answered" else self.carrier.says_no
        self.carrier.forgets_to_confirm = 100 if dies == "published" else self.carrier.forgets_to_confirm
        try:
            await self.attempts.take(message)
        except _Died:
            dies = "handling"
        self.system.dies = ""
        if dies in ("handling", "answered", "published"):
            self.carrier.says_no = self.carrier.forgets_to_confirm = 0
            inbox.append(_handed_out(message))  # It was not acked.
            await self._die()

    async def carry(self, number: int, dies: bool) -> None:
        """The router takes one message of an office's receipts; perhaps it ends before the ack."""
        waiting = self.carrier.queues[topology.RECEIPTS]
        if not waiting:
            return
        message = waiting.pop(number % len(waiting))
        await self.router._answered(message)
        if dies:
            waiting.append(message)

    async def hear(self) -> None:
        """The sender takes what came home."""
        home = self.carrier.queues[topology.inbox(SENDER)]
        while home:
            message = home.pop()
            for xml in bundle.unpack(message.type, message.body):
                said = self.home.read(xml)
                self.heard[said.envelope_id].add(said.level)
                if said.level == "registered":
                    assert said.number == self.system.register[said.envelope_id]

    # --- what holds always ----------------------------------------------------------------------

    async def check(self) -> None:
        """Compare the book, the office and the sender."""
        ledger, system = self.home.ledger, self.system
        rows = {row.envelope_id: row for row in await ledger.deliveries_in()}
        assert set(rows) == self.accepted.keys() | self.recalled
        has = system.register.keys() | system.shelved
        for envelope_id in self.accepted:
            row = rows[envelope_id]
            if row.state == "delivered":
                assert envelope_id in has
            if row.state == "refused":
                assert envelope_id in system.refused
            if row.state == "recalled":
                assert envelope_id not in has - system.withdrawn
        assert not any(rows[order].state == "refused" for order in self.recalled)
        # The system is asked again only after it could not answer, or died on it.
        assert all(number <= 1 + system.excuses[envelope_id] for envelope_id, number in system.asked.items())
        # Hours pass in one step here. What a purge took the office says again late, and where the broker took nothing just
        # now, its loop has not looked again. In the end all must be there.
        late = ["follows one that is not here", *([] if self.was_sent else ["nothing will happen"])]
        findings = (await ledger.audit(self.home.at)).findings
        assert [one for one in findings if not any(words in one.text for words in late)] == []
        assert (await audit.walk(ledger, [audit.History()])).findings == []

    async def settle(self) -> None:
        """Let nothing go wrong any more: all must end, and be heard of."""
        self.system.mood = "registers"
        self.carrier.says_no = self.carrier.forgets_to_confirm = 0
        for _ in range(_ROUNDS):
            await self.pass_time(timedelta(minutes=6))
            while any(self.carrier.queues[queue] for queue in _INBOXES):
                await self.take(0, "")
            while self.carrier.queues[topology.RECEIPTS]:
                await self.carry(0, False)
            await self._send()
            await self.hear()
            rows = await self.home.ledger.deliveries_in()
            for row in rows:
                if row.state == "dead":
                    await self.home.ledger.replay(row.delivery_id, by="x", reason="thử", now=self.home.at)
            await self.check()
            if all(row.state in _ENDED for row in rows):
                break
        for _ in range(2):  # What a purge took the office finds when it compares, and says again when it looks next.
            await self.pass_time(timedelta(minutes=6))
            while self.carrier.queues[topology.RECEIPTS]:
                await self.carry(0, False)
        await self._send()
        await self.hear()
        for row in await self.home.ledger.deliveries_in():
            assert row.state in _ENDED
            # The sender was told of it: nobody has purged its inbox.
            assert {"accepted", row.state} <= self.heard[row.envelope_id]
            registered = row.state == "delivered" and row.envelope_id in self.system.register
            assert ("registered" in self.heard[row.envelope_id]) or not registered
        await self._check_orders()

    async def _check_orders(self) -> None:
        """Every order has its answer, and the office's system has done what was answered."""
        has = self.system.register.keys() | self.system.shelved
        for order, about in self.recalled.items():
            row = await self.home.row(order)
            if row.state == "delivered":
                assert row.business in ("15", "16")
                assert (about in has - self.system.withdrawn) == (row.business == "16")
            else:
                assert row.state in ("recalled", "expired")
                assert row.state == "expired" or about not in has


def _handed_out(message: Incoming) -> Incoming:
    """Return a message as a broker hands it out once more."""
    return replace(message, redelivered=True, delivery_count=message.delivery_count + 1)


_QUEUES = st.sampled_from([*_INBOXES, topology.RECEIPTS])
_EVENTS = st.one_of(
    st.tuples(st.just("hand_in"), st.booleans(), _NUMBERS),
    st.tuples(st.just("pass_time"), _SPANS),
    st.tuples(st.just("pass_time"), _SPANS),
    st.tuples(st.just("take"), _NUMBERS, st.sampled_from(["", "", "", "before", "after", "answered", "published"])),
    st.tuples(st.just("take"), _NUMBERS, st.sampled_from(["", "before", "after", "answered", "published"])),
    st.tuples(st.just("carry"), _NUMBERS, st.booleans()),
    st.tuples(st.just("carry"), _NUMBERS, st.booleans()),
    st.tuples(st.just("hear")),
    st.tuples(st.just("recall"), _NUMBERS),
    st.tuples(st.just("judge")),
    st.tuples(st.just("change_mind"), st.booleans()),
    st.tuples(
        st.just("set_mood"), st.sampled_from(["registers", "refuses", "shelves", "is away", "breaks", "breaks after"])
    ),
    st.tuples(st.just("double"), _QUEUES, _NUMBERS),
    st.tuples(st.just("purge"), _QUEUES),
    st.tuples(st.just("damage"), _QUEUES),
    st.tuples(st.just("say_no"), st.integers(1, 3), st.booleans()),
)


# The office's system has done its work and did not come to say so, and then the document is recalled.
_NO_WORD: list[tuple[Any, ...]] = [
    ("set_mood", "breaks after"),
    ("take", 0, ""),
    ("carry", 0, False),
    ("recall", 0),
    ("judge",),
    ("pass_time", timedelta(0)),
    ("take", 0, ""),
]
# A document is registered, and given up by order, and the axis hears of the second first.
_OVERTAKEN: list[tuple[Any, ...]] = [
    ("take", 0, ""),
    ("recall", 0),
    ("judge",),
    ("pass_time", timedelta(0)),
    ("take", 0, ""),
    ("carry", 1, False),
]
# What an office has said of a document is lost, and what it says of an order comes home alone.
_FORGOTTEN: list[tuple[Any, ...]] = [
    ("hand_in", False, 0),
    ("pass_time", timedelta(0)),
    ("recall", 1),
    ("purge", _INBOXES[1]),
    ("take", 0, ""),
    ("double", _INBOXES[0], 0),
    ("purge", topology.RECEIPTS),
]
# The same, where the office has compared just before it says the last of it.
_COMPARED: list[tuple[Any, ...]] = [
    ("recall", 0),
    ("hand_in", False, 0),
    ("take", 0, ""),
    ("pass_time", timedelta(0)),
    ("purge", topology.RECEIPTS),
    ("hand_in", False, 0),
    ("take", 0, ""),
    ("carry", 0, False),
    ("pass_time", timedelta(hours=2)),
]
# A broker that takes nothing, and goes on with that when hours have passed.
_REFUSED: list[tuple[Any, ...]] = [
    ("hand_in", False, 0),
    ("say_no", 3, False),
    ("pass_time", timedelta(0)),
    ("pass_time", timedelta(0)),
    ("say_no", 1, False),
    ("pass_time", timedelta(hours=2)),
]
_JOURNEYS = st.lists(_EVENTS, min_size=10, max_size=50)


@settings(max_examples=25, derandomize=True, deadline=None)
@given(_JOURNEYS)
@example(_NO_WORD)
@example([("change_mind", False), *_NO_WORD])
@example(_OVERTAKEN)
@example(_FORGOTTEN)
@example(_COMPARED)
@example(_REFUSED)
def test_document_arrives_once_whatever_happens(events: list[tuple[Any, ...]]) -> None:
    _play(events)


@pytest.mark.fault
@pytest.mark.timeout(WITHIN_S)
def test_document_arrives_once_whatever_else_happens() -> None:
    search(_play, _JOURNEYS)


def _play(events: list[tuple[Any, ...]]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory(prefix="axis-journey-") as name:
            async with (
                house(f"sqlite:///{name}/ledger.sqlite", Path(name)) as home,
                Machine(home, Path(name)).running() as machine,
            ):
                await machine.hand_in(False, 0)
                await machine.pass_time(timedelta(0))
                for method, *arguments in events:
                    await getattr(machine, method)(*arguments)
                    await machine.check()
                await machine.settle()
                assert (await home.ledger.audit(home.at, at_rest=True)).findings == ()
                evidence = audit.Evidence(home.province.trust(), AXIS)
                assert (await audit.walk(home.ledger, [evidence], whole=True)).findings == []

    with capture_logs():
        asyncio.run(run())
