"""Pipes to a real broker for an office that no other test has; log events are captured."""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from axis.broker import Broker, PrivateNode, topology


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as events:
        yield events


@pytest.fixture
async def pipes(rabbitmq: PrivateNode, office: str) -> AsyncIterator[Broker]:
    async with Broker.connect(rabbitmq.url, name="test") as opened:
        await opened.declare(topology.province([office]))
        yield opened
