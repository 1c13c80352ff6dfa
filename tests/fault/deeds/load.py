"""The load is the fault: documents that are poison, more of them than anybody can take, and who comes all at once."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import aio_pika
import aiohttp
from aiormq import spec

from axis import clock, edxml, seal
from axis.broker import Broker, Incoming, topology
from axis.errors import CATALOGUE, TransientError
from tests.fault.deeds import broker
from tests.fault.office import POISON, POISON_EVERY, letter
from tests.fault.reckoning import Other
from tests.fault.trial import ADDRESSEES, FLOODER, SENDER, Trial
from tests.laboratory import axis

_FLOOD = 300  # Envelopes, each way.
_AT_ONCE = 100
_LATER = (429, 503)
_SHORT_S = 4.0
_FEW = '{"max-length": 20}'
_EACH_KIND = 8  # Hostile envelopes, every other one over HTTP.
_BURDEN = 300  # Documents for an office that is away.
_MEASURED = 60  # Documents, before and meanwhile.
_FAST_S = (
    2.0  # What takes less is fast, with more processes at work than processors: an attempt that failed takes longer.
)
_HERD = 200  # Readers, each on a connection of its own.
_BACK_S = 60.0


async def be_hostile(trial: Trial, draw: random.Random) -> None:
    """An office hands in what no axis may accept, by both ways, while others work: each is refused."""
    hostile = [(one, number % 2 == 0) for number in range(_EACH_KIND) for one in _hostile(trial, number)]
    draw.shuffle(hostile)
    account = trial.node.url_of(FLOODER, (trial.data / "secrets" / FLOODER).read_text(encoding="ascii"))
    async with Broker.connect(account, name="hostile") as pipes, aiohttp.ClientSession() as http:
        for envelope, over_http in hostile:
            if over_http:  # What cannot be read far enough to be judged is refused in the answer alone.
                trial.hostile += await _refused(trial, http, envelope)
            else:
                await _publish(pipes, envelope)
                trial.hostile += 1
            trial.done["hostile envelopes"] += 1
            await asyncio.sleep(draw.uniform(0, 0.2))
    async with await aio_pika.connect(account) as connection, connection.channel() as channel:
        line = await channel.get_underlay_channel()
        for number in range(_EACH_KIND):
            exchange, odd = topology.office_exchange(FLOODER), b"<odd>%d</odd>" % number
            await line.basic_publish(odd, exchange=exchange, routing_key="submit", properties=_Odd())
            trial.hostile += 1
            trial.done["messages with odd properties"] += 1
            await asyncio.sleep(draw.uniform(0, 0.2))


class _Odd(spec.Basic.Properties):
    """A content-encoding that is no UTF-8, which no client library writes."""

    def marshal(self) -> bytes:
        return b"\x40\x00\x05\xff\xffip."


async def _refused(trial: Trial, http: aiohttp.ClientSession, envelope: bytes) -> bool:
    """Hand in what must be refused; return whether the answer brings the signed rejection that is on record."""
    async with http.post(_door(trial), data=envelope, headers=_headers(_key(trial))) as answer:
        problem = await answer.json(content_type=None)
    assert 400 <= answer.status < 500, answer.status
    assert problem["code"] in CATALOGUE
    assert problem["violations"]
    return problem["receipt"] is not None


def _hostile(trial: Trial, number: int) -> list[bytes]:
    """Return one of each kind, another one for each number."""
    own = _key(trial)
    of_sender = seal.SigningKey.load(
        trial.trust / "keys" / f"{SENDER}.key.pem", trial.trust / "certs" / f"{SENDER}.pem"
    )
    first = trial.conditions.documents + number  # What nobody else sends.
    mine, theirs = (edxml.render(letter(code, ADDRESSEES, first)) for code in (FLOODER, SENDER))
    text = ascii(number)
    return [
        f"<!DOCTYPE x [<!ENTITY a '{text}'>]><x>&a;</x>".encode(),
        f"<Signature xmlns='http://www.w3.org/2000/09/xmldsig#'>{text}</Signature>".encode(),
        f"<x xmlns:ds='http://www.w3.org/2000/09/xmldsig#'><ds:Signature/>{'<y>' * 60}{text}".encode(),
        f"http://www.w3.org/2000/09/xmldsig# {text} \x00".encode(),
        mine,  # Without a seal.
        seal.seal(mine, own).replace(b"(v\xc3\xad d", b"(v\xc3\xac d"),  # Changed after it was sealed.
        seal.seal(theirs, own),  # In the name of another.
        seal.seal(theirs, of_sender),  # Another's own, as if it were ours.
    ]


async def poison(trial: Trial, _draw: random.Random) -> None:
    """Some documents kill the process that takes them, some never end, some eat all memory; then the system is mended.

    Until then every other document gets through. Those that kill become dead letters, and a person replays them;
    the others are put off, and go on by themselves.
    """
    numbers = range(trial.conditions.documents)
    kinds = Counter(POISON[number % POISON_EVERY] for number in numbers if number % POISON_EVERY in POISON)
    trial.done["poisonous documents"] += kinds.total()
    harmless = len(numbers) - kinds.total()
    await trial.until_true(lambda: [len(one) for one in trial.books.registered()] == [harmless] * len(ADDRESSEES))
    async with asyncio.timeout(120):
        while len(dead := await _dead_letters(trial)) < kinds["crash"] * len(ADDRESSEES):  # noqa: ASYNC110
            await asyncio.sleep(1)
    assert {one["code"] for one in dead} == {"DLV.POISON"}
    assert len(dead) == kinds["crash"] * len(ADDRESSEES)
    for code in ADDRESSEES:
        (trial.place(code) / "mended").touch()
    # One that its office has answered since is a dead letter no more, and is not replayed.
    await trial.command(
        *axis("deadletters", "replay", *(str(one["delivery_id"]) for one in dead), "--reason", "đã sửa (ví dụ)")
    )
    async with asyncio.timeout(120):
        while await _dead_letters(trial):  # noqa: ASYNC110 - It rings no bell.
            await asyncio.sleep(1)


async def _dead_letters(trial: Trial) -> list[dict[str, str]]:
    code, out = await trial.command(*axis("deadletters", "list", "--json"))
    assert code == 0, out
    letters: list[dict[str, str]] = json.loads(out)
    return letters


async def flood(trial: Trial, _draw: random.Random) -> None:
    """An office hands in far more than its allowance, by both ways at once, while queues are too short for it.

    Over HTTP it is told to come later, and does not come again. Over AMQP the broker says no, and it asks again. What
    was answered otherwise must be in custody, and what was not must not.
    """
    http, amqp = _letters(0), _letters(_FLOOD)
    answers, _, _ = await asyncio.gather(_post(trial, http), _publish_all(trial, amqp), _shorten(trial))
    trial.done |= {"answered later": sum(answers[status] for status in _LATER)}
    assert set(answers) <= {201, *_LATER}, answers
    assert answers[429], answers
    await trial.until_true(lambda: len(trial.others) == answers[201] + len(amqp))


def _letters(first: int) -> list[tuple[str, bytes]]:
    """Return documents of the flooder with their ids, not sealed yet."""
    drafts = (letter(FLOODER, ADDRESSEES, number) for number in range(first, first + _FLOOD))
    return [(draft.document_id, edxml.render(draft)) for draft in drafts]


def _key(trial: Trial) -> seal.SigningKey:
    return seal.SigningKey.load(trial.trust / "keys" / f"{FLOODER}.key.pem", trial.trust / "certs" / f"{FLOODER}.pem")


async def _post(trial: Trial, letters: Sequence[tuple[str, bytes]]) -> Counter[int]:
    """Hand documents in over HTTP, many at once; return how often each status was the answer."""
    key, answers, places = _key(trial), Counter[int](), asyncio.Semaphore(_AT_ONCE)
    headers = _headers(key)

    async def post(document_id: str, message: bytes) -> None:
        sealed = await asyncio.to_thread(seal.seal, message, key)
        async with places, http.post(_door(trial), data=sealed, headers=headers) as answer:
            answers[answer.status] += 1
            if answer.status == 201:
                trial.others.append(Other(document_id, ADDRESSEES))
            elif answer.status in _LATER:
                assert int(answer.headers["Retry-After"]) > 0

    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:
        await asyncio.gather(*(post(*one) for one in letters))
    return answers


def _door(trial: Trial) -> str:
    return f"{trial.gateway_url}/v1/envelopes"


def _headers(key: seal.SigningKey) -> dict[str, str]:
    token = seal.make_token(FLOODER, key, clock.now())
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/xml"}


async def _publish_all(trial: Trial, letters: Sequence[tuple[str, bytes]]) -> None:
    """Hand documents in over AMQP as fast as the broker takes them, each until it is confirmed."""
    key = _key(trial)
    account = trial.node.url_of(FLOODER, (trial.data / "secrets" / FLOODER).read_text(encoding="ascii"))

    async def publish(document_id: str, message: bytes) -> None:
        sealed = await asyncio.to_thread(seal.seal, message, key)
        while True:
            try:
                await _publish(pipes, sealed)
            except TransientError:
                trial.done["publishes refused"] += 1
                await asyncio.sleep(0.5)
            else:
                trial.others.append(Other(document_id, ADDRESSEES))
                return

    async with Broker.connect(account, name="flood") as pipes:
        await asyncio.gather(*(publish(*one) for one in letters))


async def _publish(pipes: Broker, sealed: bytes) -> None:
    await pipes.publish(topology.office_exchange(FLOODER), "submit", sealed, type="envelope", user_id=FLOODER)


async def _shorten(trial: Trial) -> None:
    queues = f"^({topology.SUBMIT}|{topology.SUBMIT_LATER})$"
    await trial.node.ctl("set_policy", "--apply-to", "queues", "short", queues, _FEW)
    await asyncio.sleep(_SHORT_S)
    await trial.node.ctl("clear_policy", "short")


# --- neighbours --------------------------------------------------------------------------------


async def be_noisy(trial: Trial, _draw: random.Random) -> None:
    """An office is away while hundreds of documents for it alone come in, and something else eats the processors.

    The other office gets its own as fast as before, as far as that can be told apart here.
    """
    noisy, neighbour = ADDRESSEES
    await trial.until_true(lambda: _registered(trial, neighbour) >= _MEASURED)
    before_s = _slow_s(trial, neighbour)
    trial.signal(noisy, signal.SIGSTOP)
    hogs = [f"hog{number}" for number in range(os.cpu_count() or 1)]
    try:
        await _burden(trial, noisy)
        for hog in hogs:
            await trial.laboratory.start(hog, "nice", sys.executable, "-c", "while True: pass")
        since = clock.now()
        had = _registered(trial, neighbour)
        await trial.until_true(lambda: _registered(trial, neighbour) >= had + _MEASURED)
        meanwhile_s = _slow_s(trial, neighbour, since)
    finally:
        for hog in hogs:
            if hog in trial.laboratory.running:
                await trial.laboratory.stop(hog)
        trial.signal(noisy, signal.SIGCONT)
    trial.done["documents for one that is away"] += _BURDEN
    assert meanwhile_s <= max(2 * before_s, _FAST_S), (before_s, meanwhile_s)
    await trial.until_true(lambda: trial.books.registered_at(noisy) >= {one.document_id for one in trial.others})


async def _burden(trial: Trial, office: str) -> None:
    """Hand in documents for one office; beyond the allowance of who does that they are judged behind others'."""
    key = _key(trial)
    account = trial.node.url_of(FLOODER, (trial.data / "secrets" / FLOODER).read_text(encoding="ascii"))
    async with Broker.connect(account, name="burden") as pipes:
        for number in range(_BURDEN):
            draft = letter(FLOODER, (office,), number)
            await _publish(pipes, seal.seal(edxml.render(draft), key))
            trial.others.append(Other(draft.document_id, (office,)))


def _registered(trial: Trial, office: str) -> int:
    return len(trial.books.registered_at(office))


def _slow_s(trial: Trial, office: str, since: datetime | None = None) -> float:
    """Return within how many seconds of its acceptance 19 of 20 documents were registered, of those accepted since."""
    query = "SELECT accepted_at, registered_at FROM deliveries WHERE addressee = ? AND registered_at IS NOT NULL"
    with contextlib.closing(sqlite3.connect(trial.data / "ledger.sqlite")) as book:
        spans = [tuple(map(datetime.fromisoformat, row)) for row in book.execute(query, (office,))]
    took_s = [(end - begin).total_seconds() for begin, end in spans if since is None or begin >= since]
    assert len(took_s) >= _MEASURED // 2, took_s
    return statistics.quantiles(took_s, n=20)[-1]


async def stampede(trial: Trial, draw: random.Random) -> None:
    """The broker dies under hundreds of readers, and all of them want to come back at once."""
    queue = topology.inbox(FLOODER)
    async with contextlib.AsyncExitStack() as stack:
        for number in range(_HERD):
            pipes = await stack.enter_async_context(Broker.connect(trial.node.url, name=f"herd {number}"))
            reader = await pipes.consume_each(queue, _ignore, at_once=1)
            stack.push_async_callback(reader.stop)
        await _until_read_by(trial, queue, _HERD)
        await broker.kill(trial, draw)
        await trial.until_ready()
        await _until_read_by(trial, queue, _HERD)
        trial.done["readers that came back"] += _HERD


async def _until_read_by(trial: Trial, queue: str, readers: int) -> None:
    async with asyncio.timeout(_BACK_S):
        # Not the queue's own count: that is of its last look at itself, once a minute.
        while (await trial.node.ctl("list_consumers", "queue_name")).splitlines().count(queue) != readers:  # noqa: ASYNC110
            await asyncio.sleep(0.5)


async def _ignore(_message: Incoming) -> None:
    raise AssertionError("nobody writes to this office")
