"""Told: what envelopes tell of dossiers and tasks is held against what stands, before anything else of them is kept.

An envelope that carries both is taken with both or not at all. Rows are locked
in one order, which makes deadlocks seldom and does not rule them out: what
becomes of one is said in `ledger.tasks`.

Spec: docs/protocol/contents.md 3.7, 4.5.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from axis.ledger import dossiers, tasks
from axis.ledger.values import Custody, Impossible


def take(connection: sa.Connection, fresh: Sequence[Custody]) -> dict[str, Impossible]:
    """Record what envelopes tell; return by envelope what stands against it, where it cannot be."""
    telling = [one for one in fresh if one.dossier is not None or one.task is not None]
    tasks.lock(connection, [one.task for one in telling if one.task is not None])
    # By their dossiers, which are locked as they are taken. The tasks are locked by now, and judged as they came.
    telling.sort(key=lambda one: ("", "") if one.dossier is None else (one.originator, one.dossier.code))
    refused = {one.envelope_id: _take(connection, one) for one in telling}
    return {envelope_id: found for envelope_id, found in refused.items() if found is not None}


def _take(connection: sa.Connection, one: Custody) -> Impossible | None:
    steps = [] if one.task is None else tasks.judged(connection, one.task)
    if isinstance(steps, Impossible):
        return steps
    if one.dossier is not None:
        before = dossiers.take_step(connection, one, one.dossier)
        if before is not None:
            return Impossible(before)
    if one.task is not None:
        tasks.record(connection, one, one.task, steps)
    return None
