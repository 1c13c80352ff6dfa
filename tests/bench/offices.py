"""Offices: does a document between two of them cost more where thousands take part?

Each of them is on the roll, has an account, an exchange and an inbox at the
broker, and a consumer that waits there; nothing is sent to them. The chain is
that of every day, between the same two offices.
"""

import asyncio
from dataclasses import dataclass

from tests.bench import rows
from tests.bench.meters import MIB, less, memory_bytes
from tests.bench.stand import Stand

NUMBERS = (100, 700, 3_321)
_MEASURED = 400
_REST_S = 75.0  # More than a round of what a quorum queue does by itself, which is a minute at a private node.


@dataclass(frozen=True, slots=True, kw_only=True)
class Offices:
    """The chain beside so many offices."""

    offices: int
    chain: rows.Chain
    rest_cores: dict[str, float]  # Processors in use while nothing is sent, by process.
    broker_mib: float
    axis_mib: float
    axis_started_s: float  # With the queues of every office to be declared.


async def measure(stand: Stand) -> Offices:
    """Carry documents between two offices, the others looking on."""
    before = stand.cpu()
    await asyncio.sleep(_REST_S)
    rest = {name: round(used / _REST_S, 3) for name, used in less(stand.cpu(), before).items()}
    return Offices(
        offices=len(stand.bystanders) + 2,
        chain=await rows.chain(stand, _MEASURED),
        rest_cores=rest,
        broker_mib=round(memory_bytes(stand.node.pid or 0, "VmRSS") / MIB),
        axis_mib=round(memory_bytes(stand.axis_pid, "VmRSS") / MIB, 1),
        axis_started_s=round(stand.started_s, 1),
    )
