"""Pages: what docs/ prints as a script, run as printed against an axis."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fault.trial import Trial

DOCS = Path(__file__).parents[1] / "docs"
_BLOCK = re.compile(r"^<!-- run -->\n```bash\n(.*?)^```$", re.M | re.S)


def blocks(page: str) -> list[str]:
    """Return the blocks of a page that are run."""
    return _BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))


@asynccontextmanager
async def axis_with(roll: Mapping[str, str], folder: Path) -> AsyncIterator[Trial]:
    """Run an axis with the roll of the sample, in which some things are written otherwise."""
    trial = Trial(folder)
    await asyncio.to_thread(trial.make_keys)
    file = trial.trust / "offices.toml"
    text = file.read_text(encoding="utf-8")
    for written, otherwise in roll.items():
        assert text.count(written) == 1
        text = text.replace(written, otherwise)
    file.write_text(text, encoding="utf-8")
    try:
        await trial.start_axis()
        yield trial
    finally:
        await trial.laboratory.stop_all()
        await trial.node.stop()


async def run(running: Trial, page: str, folder: Path, **more: str) -> None:
    """Run what a page prints."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euxo",
        "pipefail",
        "-c",
        "\n".join(blocks(page)),
        cwd=folder,
        env={
            **running.laboratory.base,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TRUST": str(running.trust),
            **more,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(120):
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()[-6000:]
