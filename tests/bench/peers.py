"""Peers: what others have written for the same purpose, measured in the same run.

They come with the dependency group `bench`, which `make bench` installs; the
product depends on none of them. Where they are missing, their rows say so.
"""

import asyncio
import json
from dataclasses import replace
from importlib.util import find_spec

from tests.bench import as2, rows
from tests.bench.meters import command
from tests.bench.rows import FILE_BYTES, USUAL_BYTES, Chain
from tests.bench.stand import Stand
from tests.bench.usual.row import Usual

_AS2_DOCUMENTS = 200
_TURNS = 3  # A host is quicker in one minute than in another; odd, for the median.
_WITHIN_S = 120.0
_PACKAGES = ("aiosqlite", "faststream", "pyas2lib")


def require() -> None:
    """Raise SystemExit if the group is not installed."""
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}; `make bench` does it, or: uv sync --group bench")


async def by_as2(stand: Stand, chain: Chain | None, documents: int) -> as2.As2:
    """Let pyas2lib carry the same number of bytes, by turns with the chain; return the turn of the median.

    Args:
        stand: With an axis, if there is a chain.
        chain: The first turn of the chain; None: what it is compared with is not asked for.
        documents: How many the chain is to carry in each further turn.
    """
    if chain is None:
        return await _by_as2(stand, None)
    turns = [await _turn(stand, chain)]
    for number in range(2, _TURNS + 1):
        turns.append(await _turn(stand, await rows.chain(stand, documents, name=f"chain-{number}")))
    _, middle = sorted(turns, key=lambda turn: turn[0])[_TURNS // 2]
    return replace(middle, ratios=tuple(ratio for ratio, _ in turns))


async def _turn(stand: Stand, chain: Chain) -> tuple[float, as2.As2]:
    """Return what AS2 takes in the same minute as a chain, after how many times its documents the chain carries."""
    row = await _by_as2(stand, chain)
    return round(1000 / chain.cpu_ms["all"] / row.per_cpu_second, 3), row


async def _by_as2(stand: Stand, chain: Chain | None) -> as2.As2:
    """Let pyas2lib carry messages, in a process of its own."""
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
