"""A house on each kind of ledger, a receiver that listens, and senders; log events are captured."""

from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from axis.dispatch.retry import RetrySchedule
from axis.webhooks import Allowed, Post, Sender, Terms
from tests.house import House, house
from tests.integration.webhooks.receiver import Receiver, receiving

_PATIENCE = timedelta(seconds=3)  # Of a sender: others use this machine too.
WAIT = timedelta(seconds=10)
GIVE_UP = timedelta(days=5)
Make = Callable[..., Sender]


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as events:
        yield events


@pytest.fixture
async def home(ledger_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with house(ledger_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    async with receiving(made):
        yield made


def sender_of(home: House, name: str, *, allowed: Allowed | None = None, authorities: Path | None = None) -> Sender:
    """Return a sender of a process."""
    return Sender(
        ledger=home.ledger,
        post=Post.open(allowed or Allowed.of([], plain_loopback=True), _PATIENCE, authorities),
        terms=Terms(schedule=RetrySchedule(waits=(WAIT,), spread=0), give_up_after=GIVE_UP, at_once=4),
        takes_part=lambda office: home.roll.find(office) is not None,
        name=name,
        now=home.now,
    )


@pytest.fixture
async def make(home: House) -> AsyncIterator[Make]:
    """Makes senders; what they have begun ends with the test."""
    made: list[Sender] = []

    def sender(name: str = "one", **more: Any) -> Sender:
        made.append(sender_of(home, name, **more))
        return made[-1]

    yield sender
    for one in made:
        await one.finish()
