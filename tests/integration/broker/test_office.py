"""An office at a real broker: what it has in its hands when it is stopped, or when its own state is broken."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from axis import Document, Office, Registered, edxml, seal
from axis.broker import Broker, Incoming, PrivateNode, topology
from axis.office import OfficeSettings, counter
from axis.office.attempt import Attempts
from axis.office.testing import TestAxis

_SOON_S = 30.0
_PLACES = 3


@pytest.fixture
def office() -> str:
    """An office that no other test has, as the authority can name it."""
    return ".".join(("H56", *(f"{uuid4().int % 1000:03}" for _ in range(2))))


@pytest.fixture
async def account(rabbitmq: PrivateNode, pipes: Broker, office: str) -> AsyncIterator[Broker]:
    await rabbitmq.set_offices({office: "word"})
    async with Broker.connect(rabbitmq.url_of(office, "word"), name="office") as opened:
        yield opened


def _no_settings() -> OfficeSettings:
    raise AssertionError("the test axis brings its own")


def _at_the_broker(office: Office, account: Broker, code: str, state: Path) -> TestAxis:
    """Return a test axis whose office reads its inbox at the broker."""
    axis = TestAxis(office, code=code, state=state, at_once=_PLACES)
    axis.pipes = account  # type: ignore[assignment]
    return axis


async def _send(axis: TestAxis, pipes: Broker, number: int) -> None:
    sealed = axis.seal(axis.document())
    headers: dict[str, Any] = {
        "envelope-id": f"{number:032}",
        "envelope-digest": seal.digest_of(edxml.parse(sealed)),
        "attempt": 1,
        "previous-receipt": "0" * 64,
    }
    await pipes.publish(topology.DELIVER, axis.code, sealed, type="envelope", headers=headers)


async def test_office_that_is_stopped_with_all_its_places_taken_releases_what_it_breaks_off(
    pipes: Broker, account: Broker, office: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counter, "FINISH_WITHIN_S", 0.2)
    handling, begun, broken_off = Office(_no_settings), asyncio.Semaphore(0), list[str]()

    @handling.on_document
    async def receive(doc: Document) -> Registered:
        begun.release()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            broken_off.append(doc.envelope_id)
            raise
        raise AssertionError("never")

    async with _at_the_broker(handling, account, office, tmp_path / "state") as axis:
        for number in range(_PLACES + 2):
            await _send(axis, pipes, number)
        async with asyncio.timeout(_SOON_S):
            for _ in range(_PLACES):
                await begun.acquire()
    assert len(broken_off) == _PLACES
    with sqlite3.connect(tmp_path / "state" / "state.sqlite") as db:
        rows = db.execute("SELECT envelope_id, unanswered, uncertain FROM envelopes ORDER BY envelope_id").fetchall()
    # No death is counted; but nobody knows how far the handler had come.
    assert rows == [(f"{number:032}", 0, 1) for number in range(_PLACES)]
    await _until_depth(pipes, office, _PLACES + 2)


async def test_office_whose_state_is_damaged_keeps_its_inbox_until_that_is_mended(
    pipes: Broker, account: Broker, office: str, tmp_path: Path
) -> None:
    """It was made a dead letter of everything that waited, within a second."""
    handling, taken = Office(_no_settings), list[str]()
    file = tmp_path / "state" / "state.sqlite"

    @handling.on_document
    async def receive(doc: Document) -> Registered:
        taken.append(doc.envelope_id)
        return Registered("1")

    async with _at_the_broker(handling, account, office, tmp_path / "state"):
        pass
    whole = file.read_bytes()
    with sqlite3.connect(file) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'envelopes'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    damaged = bytearray(whole)
    damaged[(page - 1) * size : page * size] = b"\xff" * size
    file.write_bytes(damaged)
    before = await pipes.depth(topology.DEAD)
    async with _at_the_broker(handling, account, office, tmp_path / "state") as axis:
        await _send(axis, pipes, 1)
        await asyncio.sleep(2)
    assert (await pipes.depth(topology.DEAD), taken) == (before, [])
    await _until_depth(pipes, office, 1)


async def test_message_that_the_office_cannot_deal_with_is_not_given_back_at_once(
    pipes: Broker, account: Broker, office: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handling, tried = Office(_no_settings), list[int]()
    handling.on_document(_never)

    async def take(_attempts: Attempts, message: Incoming) -> None:
        tried.append(message.delivery_count)
        raise ZeroDivisionError

    monkeypatch.setattr(Attempts, "take", take)
    async with _at_the_broker(handling, account, office, tmp_path / "state") as axis:
        await _send(axis, pipes, 1)
        async with asyncio.timeout(_SOON_S):
            while len(tried) < 2:  # noqa: ASYNC110 - the broker rings no bell.
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        assert len(tried) <= 3
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 1.5  # Who is stopped waits for no pause.
    await _until_depth(pipes, office, 1)


async def _never(_doc: Document) -> Registered:
    raise AssertionError("not to be called")


async def _until_depth(pipes: Broker, office: str, depth: int) -> None:
    async with asyncio.timeout(_SOON_S):
        while await pipes.depth(topology.inbox(office)) != depth:  # noqa: ASYNC110 - the broker rings no bell.
            await asyncio.sleep(0.05)
