"""Processes kill themselves at exact points of the code, until there is no point left.

Meanwhile documents must keep coming: the sender takes its time, and where that
may be too few, others hand in more, by HTTP or AMQP, as long as it takes.
"""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from hashlib import sha256

import aiohttp

from axis import clock, edxml, seal
from axis.broker import Broker, topology
from axis.edxml import AttachmentRef
from axis.edxml.inline import inline
from tests.fault.deeds.processes import freeze_one
from tests.fault.office import letter
from tests.fault.reckoning import Other
from tests.fault.trial import ADDRESSEES, FLOODER, Trial

_WITHIN_S = 240.0
_PAUSE_S = 0.5
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
    ended = asyncio.Event()

    async def others() -> None:
        for number in itertools.count(1):
            draft = letter(FLOODER, ADDRESSEES, number)
            await hand_in(draft)
            trial.others.append(Other(draft.document_id, ADDRESSEES))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE_S):
                    await ended.wait()
                return

    task = asyncio.create_task(others())
    try:
        yield
    finally:
        ended.set()
        await task


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
