"""docs/http.md: the script that it prints, run as printed against an axis, by two offices that have nothing but curl."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axis.broker import Broker, topology
from tests.fault.trial import FLOODER, SENDER, Trial
from tests.laboratory import axis

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^<!-- run -->\n```bash\n(.*?)^```$", re.M | re.S)
ADDRESSEE = FLOODER
_TOOLS = ("bash", "curl", "openssl", "jq", "xxd")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Trial]:
    trial = Trial(tmp_path)
    await asyncio.to_thread(trial.make_keys)
    roll = trial.trust / "offices.toml"
    text = roll.read_text(encoding="utf-8")
    # The addressee of the page is the office of the sample that is served over HTTP, once that is said.
    roll.write_text(text.replace('# channel = "http" ', 'channel = "http" '), encoding="utf-8")
    try:
        await trial.start_axis()
        yield trial
    finally:
        await trial.laboratory.stop_all()
        await trial.node.stop()


def test_page_needs_only_what_it_says() -> None:
    assert [tool for tool in _TOOLS if shutil.which(tool) is None] == []
    assert len(_BLOCK.findall(PAGE)) >= 9


async def test_page_works_as_printed(running: Trial, tmp_path: Path) -> None:
    script = "\n".join(_BLOCK.findall(PAGE))
    place = tmp_path / "page"
    place.mkdir()
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euxo",
        "pipefail",
        "-c",
        script,
        cwd=place,
        env={
            **running.laboratory.base,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "AXIS": running.gateway_url,
            "TRUST": str(running.trust),
            "SENDER": SENDER,
            "ADDRESSEE": ADDRESSEE,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(120):
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()[-6000:]
    # Whom the roll serves over HTTP nothing was published to, and the books are in order.
    async with Broker.connect(running.node.url, name="test") as broker:
        assert await broker.depth(topology.inbox(ADDRESSEE)) == 0
    code, said = await running.command(*axis("audit", "--receipts", "--spool", "--broker", "--json"))
    assert code == 0, said
