"""A gateway on a real ledger and spool, called in the same process or on a real socket; log events are captured."""

import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from structlog.testing import capture_logs

from axis import clock, gateway
from axis.intake import Allowance
from axis.webhooks import Allowed
from tests.house import House, house
from tests.province import AT

MOST_BYTES = 1_000_000


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as events:
        yield events


@pytest.fixture
async def home(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(clock, "now", lambda: AT)
    async with house(ledger_url, tmp_path) as opened:
        monkeypatch.setattr(clock, "now", opened.now)  # The test moves it.
        yield opened


@pytest.fixture
def app(home: House) -> FastAPI:
    trust = home.province.trust()

    async def ready() -> dict[str, str]:
        return {"ledger": "ok"}

    return gateway.build(
        intake=home.intake,
        answers=home.answers,
        ledger=home.ledger,
        spool=home.spool,
        roll=lambda: (home.roll, trust),
        metrics_text=lambda: b"axis 1\n",
        ready=ready,
        attachment_bytes=MOST_BYTES,
        per_office=4,
        hooks=gateway.Terms(allowed=Allowed.of([], plain_loopback=True), most=3, overlap=timedelta(days=1)),
        allowance=Allowance(burst=1000, per_second=1000),
    )


@pytest.fixture
async def url(app: FastAPI) -> AsyncIterator[str]:
    """Where the gateway listens."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - It rings no bell.
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
