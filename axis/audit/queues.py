"""Queues: those that the layout wants are there, and what the broker gave up has been buried.

How much waits in an inbox is told and not judged: an office may hold what the
ledger has sent, or its answer may be on its way. What lies there too long is
looked after by dispatch; if it were not, the ledger's own audit names it (I1).
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from axis.broker import Broker, topology
from axis.ledger import AuditFinding

_SECOND_LOOK_S = 3.0  # A router that runs buries a dead letter within less.


async def check_queues(broker: Broker, offices: Sequence[str]) -> tuple[list[AuditFinding], dict[str, int]]:
    """Return what is wrong with the queues (I7), and how many messages wait in each.

    Args:
        broker: With the axis's own account.
        offices: Codes of those that have an inbox.

    Raises:
        TransientError: SYS.BROKER
    """
    names = [queue.name for queue in topology.province(offices).queues]
    depths = await broker.depths(names)
    if depths[topology.DEAD]:
        await asyncio.sleep(_SECOND_LOOK_S)
        depths |= await broker.depths([topology.DEAD])
    waiting = {name: depth for name, depth in depths.items() if depth is not None}
    return list(_wrong(depths)), waiting


def _wrong(depths: Mapping[str, int | None]) -> Iterator[AuditFinding]:
    for name, depth in depths.items():
        if depth is None:
            yield AuditFinding("I7", "", topology.inbox_owner(name) or "", f"queue {name} is not there")
    if depths[topology.DEAD]:
        text = f"{depths[topology.DEAD]} messages in {topology.DEAD} that no router has buried"
        yield AuditFinding("I7", "", "", text)
