"""Processes kill themselves at exact points of the code, until there is no point left.

Meanwhile documents must keep coming: the sender takes its time, and where that
may be too few, others hand in more, by HTTP or AMQP, as long as it takes.
"""

import asyncio
import contextlib
import itertools
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import aio_pika
import aio_pika.abc
import aiohttp

from axis import clock, edxml, seal
from axis.broker import Broker, topology
from axis.edxml import AttachmentRef
from axis.edxml.inline import inline
from tests.fault.deeds.processes import freeze_one
from tests.fault.office import letter
from tests.fault.reckoning import Order, Other
from tests.fault.trial import ABSENT, ADDRESSEES, CLOSED, FLOODER, Trial

_WITHIN_S = 240.0
_PAUSE_S = 0.5
_BACK_S = 60.0
_UNHURRIED_S = 1.0  # An order is judged before the document comes that it has overtaken.
_LATER = 1  # Letters that come between a letter and its recall, or the other way round.
_EVEN = 50_000  # Beyond what is counted, and even.
_EACH_SAYING = 8  # Turns, in which the roll says the same of a closed office.
_KINDS = 3  # Letters in each turn.
_ORDERS_FROM = 100_000  # So that an order has a number that no letter has.
SHORT_LIVED, GIVEN_UP = (
    edxml.Priority.EXPRESS,
    edxml.Priority.URGENT,
)  # See the lifetimes of the trials; each by an inbox of its own.
_ASLEEP_S = 12.0  # Twice as long as an answer may take here: the router may have to start first.

_HandIn = Callable[[edxml.Document], Awaitable[None]]


async def die(trial: Trial, _draw: random.Random) -> None:
    """Wait until a process has died at every point; one that nobody reaches is an error of the table."""
    with trial.slowly():
        try:
            await trial.until_true(lambda: not trial.deaths.left(), _WITHIN_S)
        except TimeoutError:
            never = "; ".join(f"{point.process}: {point.mark}" for point in trial.deaths.left())
            raise AssertionError(f"never reached: {never}\n{trial.told()}") from None
    trial.done["exact points"] += len(trial.deaths.points)


async def die_and_be_asked_again(trial: Trial, draw: random.Random) -> None:
    """Where an office dies between its system's commit and its own, its system is asked again, and knows the document."""
    await die(trial, draw)
    await trial.until_true(lambda: trial.books.asked_again() > 0)


async def die_while_others_publish(trial: Trial, draw: random.Random) -> None:
    """Others hand in by AMQP, and some of it has no seal."""
    account = trial.node.url_of(FLOODER, (trial.data / "secrets" / FLOODER).read_text(encoding="ascii"))
    turns = itertools.count()
    async with Broker.connect(account, name="others") as pipes:

        async def publish(draft: edxml.Document) -> None:
            sealed = await asyncio.to_thread(lambda: seal.seal(edxml.render(draft), _key(trial)))
            await pipes.publish(topology.office_exchange(FLOODER), "submit", sealed, type="envelope", user_id=FLOODER)
            if next(turns) % 4 == 0:
                bare = edxml.render(draft)
                await pipes.publish(topology.office_exchange(FLOODER), "submit", bare, type="envelope", user_id=FLOODER)
                trial.hostile += 1

        async with _handing_in(trial, publish):
            await die(trial, draw)


async def die_while_others_post(trial: Trial, draw: random.Random) -> None:
    """Others hand in by HTTP, with a file inside; without an answer they ask again."""
    key = _key(trial)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:

        async def post(draft: edxml.Document) -> None:
            await _post_twice(trial, http, await asyncio.to_thread(_with_file, draft, key), key)

        async with _handing_in(trial, post):
            await die(trial, draw)


async def die_while_others_recall(trial: Trial, draw: random.Random) -> None:
    """Others recall what they send: what its addressee has, what lies in its inbox, what has not left, what is still to come."""
    key, sent, overtaken = _key(trial), deque[edxml.Document](), deque[edxml.Document]()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:

        async def post(draft: edxml.Document) -> None:
            sealed = await asyncio.to_thread(seal.seal, edxml.render(draft), key)
            await _post_twice(trial, http, sealed, key)

        async def send(draft: edxml.Document) -> None:
            await post(draft)
            trial.others.append(Other(draft.document_id, tuple(one.organ_id for one in draft.addressees)))

        async def recall(draft: edxml.Document) -> None:
            order = _recall(draft)
            await post(order)
            offices = tuple(one.organ_id for one in order.addressees)
            trial.orders.append(Order(order.document_id, offices, about=draft.document_id))

        async def turn(number: int) -> None:
            if number % 2:
                unread = _left_lying(number) if number % 4 == 1 else _for_later(number)
                await send(unread)
                await recall(unread)
                return
            here, there = (waiting.popleft() if len(waiting) > _LATER else None for waiting in (sent, overtaken))
            sent.append(letter(FLOODER, ADDRESSEES, number))
            overtaken.append(letter(FLOODER, ADDRESSEES, number + _EVEN))
            await send(sent[-1])
            await recall(overtaken[-1])
            if here is not None and there is not None:
                await recall(here)
                await send(there)

        async with _in_turns(turn, _UNHURRIED_S):
            await die(trial, draw)
        for draft in overtaken:
            await send(draft)
    trial.done["recalls"] += len(trial.orders)


async def die_while_deliveries_end_otherwise(trial: Trial, draw: random.Random) -> None:
    """Others write to one that is never there: that expires, or the broker gives it up; and to a closed office.

    Its mail is held, and some seconds later handed on, as the roll says then.
    """
    key, sayings, given_up = _key(trial), itertools.cycle(("hold", "forward")), set[str]()
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http,
        await aio_pika.connect(trial.node.url) as connection,
        connection.channel() as channel,
    ):
        inbox = await channel.get_queue(topology.inbox(ABSENT), ensure=False)

        async def send(draft: edxml.Document, to: str, *told: tuple[str, str]) -> None:
            sealed = await asyncio.to_thread(seal.seal, edxml.render(draft), key)
            await _post_twice(trial, http, sealed, key)
            trial.others.append(Other(draft.document_id, (to,), frozenset(told)))

        async def turn(number: int) -> None:
            if number % _EACH_SAYING == 1:
                await trial.load_roll(after_closing=next(sayings))
            first = _KINDS * number
            await send(replace(letter(FLOODER, (ABSENT,), first), priority=SHORT_LIVED), ABSENT)
            await send(letter(FLOODER, (CLOSED,), first + 1), ADDRESSEES[0])
            await send(replace(letter(FLOODER, (ABSENT,), first + 2), priority=GIVEN_UP), ABSENT, ("failed", ABSENT))
            given_up.update(await _give_up(inbox))

        async with _in_turns(turn):
            await die(trial, draw)
        await trial.load_roll(after_closing="forward")
        async with asyncio.timeout(_BACK_S):
            while len(given_up) < sum(bool(one.told) for one in trial.others):
                given_up.update(await _give_up(inbox))
                await asyncio.sleep(_PAUSE_S)
    trial.done["messages given up"] += len(given_up)


async def die_while_an_office_sleeps(trial: Trial, draw: random.Random) -> None:
    """The same; and attempts are put back, as happens only where an office has taken them and does not answer."""
    dying = asyncio.create_task(die_while_others_post(trial, draw))
    while not dying.done():
        if all(point.place.endswith(".put_back") for point in trial.deaths.left()):
            await freeze_one(trial, draw.choice(ADDRESSEES), _ASLEEP_S)
        await asyncio.sleep(_PAUSE_S)
    await dying


# --- others, who hand in as long as it takes ----------------------------------------------------


@contextlib.asynccontextmanager
async def _handing_in(trial: Trial, hand_in: _HandIn) -> AsyncIterator[None]:
    """Hand in one document after the other until the block ends, the last one to its end."""

    async def turn(number: int) -> None:
        draft = letter(FLOODER, ADDRESSEES, number)
        await hand_in(draft)
        trial.others.append(Other(draft.document_id, ADDRESSEES))

    async with _in_turns(turn):
        yield


@contextlib.asynccontextmanager
async def _in_turns(turn: Callable[[int], Awaitable[None]], pause_s: float = _PAUSE_S) -> AsyncIterator[None]:
    """Take one turn after the other, numbered from 1, until the block ends; the last one to its end."""
    ended = asyncio.Event()

    async def turns() -> None:
        for number in itertools.count(1):
            await turn(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await ended.wait()
                return

    async with asyncio.TaskGroup() as beside:  # A turn that fails ends the wait of the block.
        beside.create_task(turns())
        yield
        ended.set()


def _left_lying(number: int) -> edxml.Document:
    """Return a letter that lies in an inbox and is not fetched."""
    return replace(letter(FLOODER, (ABSENT,), number), priority=SHORT_LIVED)


def _for_later(number: int) -> edxml.Document:
    """Return a letter that does not leave today."""
    later = clock.now() + timedelta(days=1)
    return replace(letter(FLOODER, ADDRESSEES, number), priority=edxml.Priority.TIMED, release_at=later)


def _recall(draft: edxml.Document) -> edxml.Document:
    """Return the order to give a letter up."""
    number = int(draft.code_number) + _ORDERS_FROM
    order = edxml.Business(edxml.BusinessType.RECALL, reason="Ban hành nhầm (ví dụ)", document_id=draft.document_id)
    addressees = tuple(one.organ_id for one in draft.addressees)
    return replace(letter(FLOODER, addressees, number), business=order, priority=draft.priority)


async def _give_up(inbox: aio_pika.abc.AbstractQueue) -> set[str]:
    """Refuse for ever what lies in an inbox, as the broker does after too many tries; return the envelopes."""
    gone = set()
    while (message := await inbox.get(fail=False)) is not None:
        await message.reject(requeue=False)
        gone.add(str(message.headers["envelope-id"]))
    return gone


def _key(trial: Trial) -> seal.SigningKey:
    return seal.SigningKey.load(trial.trust / "keys" / f"{FLOODER}.key.pem", trial.trust / "certs" / f"{FLOODER}.pem")


def _with_file(draft: edxml.Document, key: seal.SigningKey) -> bytes:
    """Return a sealed letter with a file inside."""
    content = f"%PDF-1.7 {draft.document_id}".encode() * 500
    ref = AttachmentRef(
        content_id="a1",
        name="125.pdf",
        content_type="application/pdf",
        sha256=sha256(content).hexdigest(),
        size_bytes=len(content),
    )
    sealed = seal.seal(edxml.render(replace(draft, attachments=(ref,))), key)
    return b"".join(inline(sealed, [(ref, [content])]))


async def _post_twice(trial: Trial, http: aiohttp.ClientSession, message: bytes, key: seal.SigningKey) -> None:
    """Ask until the document is in custody, and once more: the answer must be the same."""
    answers: list[tuple[str, str]] = []
    while len(answers) < 2:
        token = seal.make_token(FLOODER, key, clock.now())
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/xml"}
        try:
            async with http.post(f"{trial.gateway_url}/v1/envelopes", data=message, headers=headers) as answer:
                assert answer.status in (200, 201), (answer.status, await answer.text())
                said = await answer.json()
                answers.append((said["envelope_id"], said["receipt"]))
        except aiohttp.ClientError:
            trial.done["calls without an answer"] += 1
            await asyncio.sleep(_PAUSE_S)
    assert answers[0] == answers[1]
