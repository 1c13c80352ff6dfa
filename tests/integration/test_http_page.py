"""docs/http.md: the script that it prints, run as printed against an axis, by two offices that have nothing but curl.

It speaks to a gateway over HTTPS, whose certificate was made as docs/deploy.md says.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from axis.broker import Broker, topology
from axis.broker.private_node import free_ports
from axis.gateway.tls import believing
from tests.fault.trial import FLOODER, SENDER, Trial
from tests.laboratory import axis
from tests.pages import axis_with, blocks, run

pytestmark = pytest.mark.xdist_group("whole axis")  # One at a time: each is several processes.

ADDRESSEE = FLOODER
_HOST = "localhost"
_TOOLS = ("bash", "curl", "openssl", "jq", "xxd")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Trial]:
    # The addressee of the page is the office of the sample that is served over HTTP, once that is said.
    async with axis_with({'# channel = "http" ': 'channel = "http" '}, tmp_path) as trial:
        yield trial


def test_page_needs_only_what_it_says() -> None:
    assert [tool for tool in _TOOLS if shutil.which(tool) is None] == []
    assert len(blocks("http.md")) >= 9


async def _https(running: Trial, folder: Path) -> str:
    """Start a gateway that serves HTTPS, beside the one that `axis up` serves; return its address."""
    await run(running, "deploy.md", folder, HOST=_HOST)
    (port,) = free_ports(1)
    await running.start(
        "https",
        *axis("gateway"),
        more={
            "AXIS_DATA": str(running.data),
            "AXIS_LOG_FORMAT": "json",
            "AXIS_GATEWAY__PORT": str(port),
            "AXIS_GATEWAY__CERTIFICATE": str(folder / "gateway.pem"),
            "AXIS_GATEWAY__KEY": str(folder / "gateway.key.pem"),
            "AXIS_GATEWAY__AUTHORITIES": str(running.trust / "ca.pem"),
        },
    )
    async with (
        asyncio.timeout(60),
        httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=believing(folder / "gateway.pem")) as http,
    ):
        while not await _is_ready(http):  # noqa: ASYNC110 - Another process comes up.
            await asyncio.sleep(0.1)
    return f"https://{_HOST}:{port}"


async def _is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).is_success
    except httpx.HTTPError:
        return False


async def test_page_works_as_printed(running: Trial, tmp_path: Path) -> None:
    place = tmp_path / "page"
    place.mkdir()
    address = await _https(running, place)
    bundle = str(running.trust / "ca.pem")
    await run(running, "http.md", place, AXIS=address, CURL_CA_BUNDLE=bundle, SENDER=SENDER, ADDRESSEE=ADDRESSEE)
    again = axis("send", str(place / "125.sealed.edxml"), "--as", SENDER, "--gateway", address, "--json")
    code, said = await running.command(*again, "--authorities", bundle)
    assert (code, json.loads(said)["duplicate"]) == (0, True), said
    # Whom the roll serves over HTTP nothing was published to, and the books are in order.
    async with Broker.connect(running.node.url, name="test") as broker:
        assert await broker.depth(topology.inbox(ADDRESSEE)) == 0
    code, said = await running.command(*axis("audit", "--receipts", "--spool", "--broker", "--json"))
    assert code == 0, said
