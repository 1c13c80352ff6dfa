"""Dossiers: what each office has told of a dossier, one step for each envelope.

What one office tells of a dossier is held against what it told before, and
against nothing that others told: nobody can close another's dossier. What came
to be so before what was told already is recorded and moves nothing.

Spec: docs/protocol/contents.md 3.7.
"""

from datetime import datetime

import sqlalchemy as sa

from axis.contents.dossier import DossierStatus, move
from axis.contents.moves import Move
from axis.ledger import tables as t
from axis.ledger.insert import insert, insert_once
from axis.ledger.values import Custody, DossierSaid, DossierStepRow

_s, _d = t.dossier_steps.c, t.dossiers.c


def take_step(connection: sa.Connection, one: Custody, said: DossierSaid) -> int | None:
    """Record one step, or return the status from which it cannot follow."""
    at = said.at or said.not_before
    key = {"originator": one.originator, "code": said.code}
    statement = insert_once(connection, t.dossiers, returning="status")
    is_first = connection.execute(statement, [key | {"status": said.status, "at": at}]).first() is not None
    came = move(None, DossierStatus(said.status))
    if not is_first:
        here = sa.and_(_d.originator == one.originator, _d.code == said.code)
        stands = connection.execute(sa.select(_d.status, _d.at).where(here).with_for_update()).one()
        at, came = _moved(stands.status, stands.at, said)
        if came is Move.IMPOSSIBLE:
            return int(stands.status)
        if came is not Move.LATE:
            connection.execute(sa.update(t.dossiers).where(here).values(status=said.status, at=at))
    step = {"status": said.status, "move": came.value, "at": at, "due_at": said.due_at, "recorded_at": one.accepted_at}
    insert(connection, t.dossier_steps, [key | step | {"envelope_id": one.envelope_id}])
    return None


def _moved(status: int, since: datetime, said: DossierSaid) -> tuple[datetime, Move]:
    """Return when what is said came to be so, and how it follows a status that stands since a moment."""
    at = said.at or max(since, said.not_before)
    return at, move(DossierStatus(status), DossierStatus(said.status)) if at >= since else Move.LATE


def stands_against(connection: sa.Connection, originator: str, said: DossierSaid) -> int | None:
    """Return the status of a dossier from which what is said cannot follow; None if nothing stands against it."""
    stands = connection.execute(
        sa.select(_d.status, _d.at).where(_d.originator == originator, _d.code == said.code)
    ).first()
    if stands is None or _moved(stands.status, stands.at, said)[1] is not Move.IMPOSSIBLE:
        return None
    return int(stands.status)


def steps_of(connection: sa.Connection, code: str) -> list[DossierStepRow]:
    """Return what was told of a dossier, by office, the earliest first."""
    asked = sa.select(t.dossier_steps).where(_s.code == code).order_by(_s.originator, _s.at, _s.recorded_at)
    return [DossierStepRow(**row._mapping) for row in connection.execute(asked)]
