"""Circulars: one publish reaches many inboxes, and one that takes nothing holds up no other."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import pytest

from axis.broker import Broker, Incoming, PrivateNode, topology
from axis.dispatch.outbound import _CIRCULAR, Outbound
from axis.ledger import Attempt, Numbered
from tests.province import AT

_SOON_S = 30.0
_SEALED = b"<edXML/>" * 4096  # Large enough to be packed.


@dataclass(frozen=True)
class _Book:
    """What the ledger is told about attempts that did not get through."""

    goes_again: list[int]  # It may be in its inbox.
    were_none: list[int]

    async def put_back(self, attempts: Sequence[Numbered], *_more: object) -> int:
        self.goes_again.extend(number for number, _ in attempts)
        return len(attempts)

    async def unmake(self, attempts: Sequence[Attempt], *_more: object) -> None:
        self.were_none.extend(one.delivery_id for one in attempts)


@pytest.fixture
async def circular(rabbitmq: PrivateNode) -> AsyncIterator[tuple[Broker, Outbound, list[Attempt]]]:
    offices = [f"H56.{uuid4().hex[:8].upper()}" for _ in range(_CIRCULAR + 4)]
    async with Broker.connect(rabbitmq.url, name="test circular") as pipes:
        await pipes.declare(topology.province(offices))
        outbound = Outbound(
            ledger=cast("Any", _Book([], [])),
            broker=pipes,
            answer_within=timedelta(minutes=5),
            batch=200,
            ring=lambda: None,
            now=lambda: AT,
        )
        yield pipes, outbound, [_attempt(number, office) for number, office in enumerate(offices)]


def _attempt(number: int, office: str) -> Attempt:
    return Attempt(
        delivery_id=number,
        envelope_id="e" * 32,
        addressee=office,
        attempt_no=1,
        digest="d" * 64,
        sealed=_SEALED,
        priority=0,
        chain_head="c" * 64,
    )


async def _what_came(pipes: Broker, office: str, count: int) -> list[Incoming]:
    came: list[Incoming] = []

    async def take(messages: Sequence[Incoming]) -> None:
        came.extend(messages)

    consumer = await pipes.consume_batches(topology.inbox(office), take, max_batch=10, prefetch=10)
    async with asyncio.timeout(_SOON_S):
        while len(came) < count:  # noqa: ASYNC110 - Nobody rings.
            await asyncio.sleep(0.01)
    await consumer.stop()
    return came


async def test_each_addressee_gets_it_as_if_it_had_been_the_only_one(
    circular: tuple[Broker, Outbound, list[Attempt]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipes, outbound, attempts = circular
    published: list[int] = []
    plain = Broker.publish

    async def counted(self: Broker, *args: Any, **named: Any) -> None:
        published.append(1 + len(named["also"]))
        await plain(self, *args, **named)

    monkeypatch.setattr(Broker, "publish", counted)
    await outbound._send_attempts(attempts)
    assert published == [len(attempts)]
    assert outbound.ledger.goes_again == []  # type: ignore[attr-defined]
    for attempt in attempts:
        (came,) = await _what_came(pipes, attempt.addressee, 1)
        assert (came.body, came.type) == (_SEALED, "envelope")
        assert came.headers == {
            "envelope-id": "e" * 32,
            "envelope-digest": "d" * 64,
            "attempt": 1,
            "previous-receipt": "c" * 64,
        }


async def test_inbox_that_is_full_is_tried_again_alone(
    circular: tuple[Broker, Outbound, list[Attempt]], rabbitmq: PrivateNode
) -> None:
    """It says no for all of them: so each gets a second attempt of its own, with a number of its own."""
    pipes, outbound, attempts = circular
    full = topology.inbox(attempts[3].addressee)
    await rabbitmq.ctl("set_policy", full, f"^{full}$", '{"max-length":1}', "--apply-to", "queues")
    try:
        for _ in range(2):  # RabbitMQ looks at the length that a queue had before the message.
            await pipes.publish(topology.DELIVER, topology.deliver_key(attempts[3].addressee), b"<x/>", type="envelope")
        await outbound._send_attempts(attempts)
        book = cast("_Book", outbound.ledger)
        assert sorted(book.goes_again) == [one.delivery_id for one in attempts]
        assert book.were_none == []  # Some may have it.
        book.goes_again.clear()
        await outbound._send_attempts([replace(one, attempt_no=2) for one in attempts])
        assert (book.goes_again, book.were_none) == ([], [3])
        for attempt in attempts:
            if attempt.delivery_id != 3:
                numbers = [one.headers["attempt"] for one in await _what_came(pipes, attempt.addressee, 1)]
                assert numbers in ([1, 2], [2])
    finally:
        await rabbitmq.ctl("clear_policy", full)


async def test_inboxes_that_are_all_missing_are_made_again(
    circular: tuple[Broker, Outbound, list[Attempt]], rabbitmq: PrivateNode
) -> None:
    pipes, outbound, attempts = circular
    for attempt in attempts:
        await rabbitmq.ctl("delete_queue", topology.inbox(attempt.addressee))
    await outbound._send_attempts(attempts)
    assert sorted(outbound.ledger.were_none) == [one.delivery_id for one in attempts]  # type: ignore[attr-defined]
    assert await pipes.mend()
    outbound.ledger.were_none.clear()  # type: ignore[attr-defined]
    await outbound._send_attempts(attempts)
    assert outbound.ledger.were_none == []  # type: ignore[attr-defined]
    assert [await pipes.depth(topology.inbox(one.addressee)) for one in attempts] == [1] * len(attempts)


async def test_inbox_that_alone_is_missing_is_found_when_nobody_answers(
    circular: tuple[Broker, Outbound, list[Attempt]], rabbitmq: PrivateNode
) -> None:
    """The broker says nothing as long as one of them has it; what is not answered is looked after."""
    pipes, outbound, attempts = circular
    await rabbitmq.ctl("delete_queue", topology.inbox(attempts[3].addressee))
    await outbound._send_attempts(attempts)
    assert outbound.ledger.goes_again == []  # type: ignore[attr-defined]
    assert not await pipes.mend()
    assert (await pipes.depths([topology.inbox(attempts[3].addressee)])).popitem()[1] is None
    assert await pipes.mend()
