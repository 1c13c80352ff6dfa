"""Peers: what others have written for the same purpose, measured in the same run.

They come with the dependency group `bench`, which `make bench` installs; the
product depends on none of them. Where they are missing, their rows say so.
"""

import asyncio
import json
from importlib.util import find_spec

from tests.bench import as2
from tests.bench.meters import command
from tests.bench.rows import FILE_BYTES, USUAL_BYTES, Chain
from tests.bench.stand import Stand
from tests.bench.usual.row import Usual

_AS2_DOCUMENTS = 200
_WITHIN_S = 120.0
_PACKAGES = ("aiosqlite", "faststream", "pyas2lib")


def require() -> None:
    """Raise SystemExit if the group is not installed."""
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}; `make bench` does it, or: uv sync --group bench")


async def by_as2(stand: Stand, chain: Chain | None) -> as2.As2:
    """Let pyas2lib carry the same number of bytes, in a process of its own."""
    envelope_bytes = chain.envelope_bytes if chain else USUAL_BYTES[0]
    result = stand.folder / "as2.json"
    running = await stand.laboratory.start(
        "as2", *command("tests.bench.as2", str(result), str(_AS2_DOCUMENTS), str(envelope_bytes + FILE_BYTES))
    )
    async with asyncio.timeout(_WITHIN_S):
        await running.process.wait()
    if await stand.laboratory.stop("as2") != 0:
        raise RuntimeError(f"as2 failed; see {stand.folder / 'logs'}")
    return as2.As2(**json.loads(result.read_text(encoding="utf-8")))


async def usual(stand: Stand, documents: int, *, on_postgresql: bool) -> Usual:
    """Let FastStream, signxml, xmlschema and SQLAlchemy carry the same documents."""
    from tests.bench.usual import measure  # It needs the group.

    return await measure.measure(stand, documents, on_postgresql=on_postgresql)
