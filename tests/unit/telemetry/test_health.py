"""Health: three paths for watchers, and nothing for anybody else."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from axis.telemetry import metrics
from axis.telemetry.health import HealthServer


@pytest.fixture
async def checks() -> dict[str, str]:
    return {"ledger": "ok", "broker": "ok"}


@pytest.fixture
async def client(checks: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    async def ready() -> dict[str, str]:
        return checks

    async with (
        HealthServer("127.0.0.1", 0, ready) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as opened,
    ):
        yield opened


async def test_process_that_lives_says_so(client: httpx.AsyncClient) -> None:
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"alive": True})


async def test_process_is_ready_when_every_room_is(client: httpx.AsyncClient, checks: dict[str, str]) -> None:
    assert (await client.get("/readyz")).status_code == 200
    checks["broker"] = "SYS.BROKER"
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ledger": "ok", "broker": "SYS.BROKER"})


async def test_series_are_shown_in_the_text_format(client: httpx.AsyncClient) -> None:
    metrics.ATTEMPTS.labels("delivered").inc()
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'axis_attempts_total{result="delivered"}' in answer.text
    assert "_created" not in answer.text


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/metrics"), ("GET", "/metrics/../healthz")])
async def test_nothing_else_is_there(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, f"http://127.0.0.1:{client.base_url.port}{path}")
    assert answer.status_code in (200, 404)
    assert answer.status_code == 404 or path.endswith("healthz")


async def test_nonsense_and_silence_do_no_harm(client: httpx.AsyncClient) -> None:
    port = client.base_url.port
    for words in (b"", b"\r\n\r\n", b"x" * 100_000, b"GET\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(words)
        writer.write_eof()
        try:
            async with asyncio.timeout(10):
                await reader.read()
        except ConnectionError:
            pass
        writer.close()
    assert (await client.get("/healthz")).status_code == 200
