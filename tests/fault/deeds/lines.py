"""Lines are cut at any byte, go dead, and grow thin."""

import asyncio
import random
from collections.abc import Sequence

from tests.fault.proxy import Pace, Proxy, Way
from tests.fault.trial import Trial

_FOR_S = 20.0
_DEAD_S = 45.0  # Longer than a heartbeat may be late: both ends have given the line up.
_BYTES = 12_000  # Some messages with all their frames.
_THIN = Pace(latency_s=0.25, slice_bytes=1, bytes_per_s=64_000)


async def cut_anywhere(trial: Trial, draw: random.Random) -> None:
    """One connection after another, at a byte of either direction, with a reset or an end, whole or half."""
    lines = _lines(trial)
    until = asyncio.get_running_loop().time() + _FOR_S
    while asyncio.get_running_loop().time() < until:
        line, way = draw.choice(lines), draw.choice(list(Way))
        if draw.random() < 0.2:
            line.close_half(way)
            trial.done["halves closed"] += 1
        else:
            line.cut_after(way, draw.randrange(_BYTES), reset=draw.random() < 0.5)
        await asyncio.sleep(draw.uniform(0.05, 1.0))
    trial.done["cuts"] += sum(line.cuts for line in lines)


async def go_dead(trial: Trial, draw: random.Random) -> None:
    """Nothing comes through, and nobody says so; afterwards what has waited comes, or the line is reset."""
    assert trial.lines is not None
    line = draw.choice(trial.lines.all)
    trial.done["black holes"] += 1
    line.stop()
    await asyncio.sleep(_DEAD_S)
    line.go_on()
    if draw.random() < 0.5:
        line.cut()


async def grow_thin(trial: Trial, draw: random.Random) -> None:
    """A quarter of a second away, 64 kB in a second, every byte in a packet of its own."""
    trial.done["thin lines"] += 1
    for line in _lines(trial):
        line.pace = _THIN
    await asyncio.sleep(_FOR_S)
    for line in _lines(trial):
        line.pace = Pace()


def _lines(trial: Trial) -> Sequence[Proxy]:
    assert trial.lines is not None
    return trial.lines.all
