"""A house on each kind of ledger, with pipes to a real broker where they are asked for; log events are captured."""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from structlog.testing import capture_logs

from axis.broker import Broker, PrivateNode, topology
from axis.dispatch.orders import Orders
from axis.dispatch.outbound import Outbound
from tests.house import COMMUNE, OTHER, SENDER, STRANGER, House, house


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as events:
        yield events


@pytest.fixture
async def home(ledger_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with house(ledger_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def pipes(rabbitmq: PrivateNode) -> AsyncIterator[Broker]:
    offices = (SENDER, COMMUNE, OTHER, STRANGER)
    async with await aio_pika.connect(rabbitmq.url) as connection, connection.channel() as channel:
        for office in offices:
            await channel.queue_delete(topology.inbox(office))  # With what another test has left there.
    async with Broker.connect(rabbitmq.url, name="test") as broker:
        await broker.declare(topology.province(offices))
        yield broker


@pytest.fixture
def outbound(home: House, pipes: Broker) -> Outbound:
    return home.outbound(pipes)


@pytest.fixture
def orders(home: House, pipes: Broker, outbound: Outbound) -> Orders:
    return home.orders(pipes, outbound)
