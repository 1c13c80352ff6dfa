"""One publisher alone on a line that is cut behind every byte of a publish and of its confirm, one after the other.

Whatever the byte: a publish that succeeded is in the queue, one whose fate is
unknown says so, and the next one gets through.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest
from structlog.testing import capture_logs

from axis.broker import Broker, PrivateNode, topology
from axis.errors import TransientError
from tests.fault.proxy import Pace, Proxy, Way

_BODY = b"<x>a small envelope</x>"


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as events:
        yield events


@asynccontextmanager
async def _line(node: PrivateNode, office: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Yield a line to the broker, and its address with an account."""
    place = urlsplit(node.url)
    assert place.port is not None
    async with Broker.connect(node.url, name="test") as direct:
        await direct.declare(topology.province([office]))
    async with Proxy.to(("127.0.0.1", place.port)) as proxy:
        yield proxy, f"amqp://{place.username}:{place.password}@127.0.0.1:{proxy.port}/"


async def _publish(pipes: Broker, office: str, name: str, timeout: float = 5.0) -> bool:
    """Publish one message; return whether it was confirmed."""
    headers = {"envelope-id": name}
    try:
        await pipes.publish(topology.DELIVER, office, _BODY, type="envelope", headers=headers, timeout=timeout)
    except TransientError:
        return False
    return True


async def _until_published(pipes: Broker, office: str, name: str) -> None:
    """Publish until it is confirmed, as whoever has something to publish does."""
    async with asyncio.timeout(30):
        while not await _publish(pipes, office, name):  # noqa: ASYNC110 - Nobody rings.
            await asyncio.sleep(0.05)


async def _held(node: PrivateNode, office: str) -> set[str]:
    """Empty an inbox; return the names of what was in it."""
    found: set[str] = set()
    connection = await aio_pika.connect(node.url)
    async with connection, connection.channel() as channel:
        inbox = await channel.get_queue(topology.inbox(office), ensure=False)
        while (message := await inbox.get(fail=False)) is not None:
            found.add(str(message.headers["envelope-id"]))
            await message.ack()
    return found


async def _bytes_of_a_publish(pipes: Broker, proxy: Proxy, office: str) -> dict[Way, int]:
    """Return how many bytes a publish and its confirm have on a line that is open."""
    assert await _publish(pipes, office, "first")
    before = dict(proxy.passed)
    assert await _publish(pipes, office, "second")
    return {way: proxy.passed[way] - before[way] for way in Way}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("way", list(Way), ids=["publish", "confirm"])
async def test_cut_at_every_byte_loses_nothing_that_was_confirmed(
    rabbitmq: PrivateNode, office: str, way: Way, reset: bool
) -> None:
    async with _line(rabbitmq, office) as (proxy, url), Broker.connect(url, name="alone") as pipes:
        size = (await _bytes_of_a_publish(pipes, proxy, office))[way]
        await _held(rabbitmq, office)
        confirmed: set[str] = set()
        again: set[str] = set()
        for byte in range(size + 1):
            name = f"{byte:06}"  # As long as "second" is.
            proxy.cut_after(way, byte, reset=reset)
            if await _publish(pipes, office, name):
                confirmed.add(name)
            await _until_published(pipes, office, f"{name} again")
            again.add(f"{name} again")
        held = await _held(rabbitmq, office)
        assert proxy.cuts == size + 1
    assert confirmed | again <= held
    # Behind its last byte a publish has come, and may have been confirmed; before it nobody can know.
    cut_short = {f"{byte:06}" for byte in range(size)}
    assert confirmed & cut_short == set()
    assert held & cut_short == (cut_short if way is Way.BACK else set())


async def test_publish_into_a_black_hole_ends(rabbitmq: PrivateNode, office: str) -> None:
    async with _line(rabbitmq, office) as (proxy, url), Broker.connect(url, name="alone") as pipes:
        assert await _publish(pipes, office, "before")
        proxy.stop()
        assert not await _publish(pipes, office, "in it", timeout=1)
        proxy.go_on()
        assert await _publish(pipes, office, "behind it")
        assert {"before", "behind it"} <= await _held(rabbitmq, office)


async def test_thin_line_is_slow_and_no_dead_one(rabbitmq: PrivateNode, office: str) -> None:
    async with _line(rabbitmq, office) as (proxy, url), Broker.connect(url, name="alone") as pipes:
        proxy.pace = Pace(latency_s=0.2, slice_bytes=1, bytes_per_s=20_000)
        began = asyncio.get_running_loop().time()
        assert await _publish(pipes, office, "slowly", timeout=15)
        assert asyncio.get_running_loop().time() - began > 1
        assert await _held(rabbitmq, office) == {"slowly"}


async def test_half_of_a_line_that_ends_ends_it(rabbitmq: PrivateNode, office: str) -> None:
    async with _line(rabbitmq, office) as (proxy, url), Broker.connect(url, name="alone") as pipes:
        for way in Way:
            assert await _publish(pipes, office, f"before {way}")
            proxy.close_half(way)
            await asyncio.sleep(0.2)
            await _until_published(pipes, office, f"behind {way}")
        expected = {f"{when} {way}" for way in Way for when in ("before", "behind")}
        assert expected <= await _held(rabbitmq, office)
