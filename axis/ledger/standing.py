"""Standing: how addressees are doing with their deadlines.

The clocks themselves are moved with the deliveries; this page only looks.
"""

from datetime import datetime

import sqlalchemy as sa

from axis.ledger import tables as t
from axis.ledger.deliveries import rows
from axis.ledger.values import DeliveryRow, Punctuality

_d = t.deliveries.c


def running(connection: sa.Connection, until: datetime, office: str | None, limit: int) -> list[DeliveryRow]:
    """Return deliveries with a deadline that runs and ends by a time, the first to end first."""
    where = [_d.due_by <= until, *([] if office is None else [_d.addressee == office])]
    return rows(connection, *where, limit=limit, first=_d.due_by)


def overdue(connection: sa.Connection, now: datetime) -> dict[str, int]:
    """Count what is not registered in time, and not done in time."""
    late = {
        "registered": sa.and_(_d.register_by <= now, _d.registered_at.is_(None)),
        "done": sa.and_(_d.process_by <= now, _d.done_at.is_(None)),
    }
    counts = [sa.func.count().filter(condition).label(what) for what, condition in late.items()]
    found = connection.execute(sa.select(*counts).select_from(t.deliveries).where(_d.due_by <= now)).one()
    return dict(found._mapping)


def punctuality(connection: sa.Connection, now: datetime, since: datetime, office: str | None) -> list[Punctuality]:
    """Count, for each office, what it registered in time of what was accepted since a time. It reads all deliveries."""
    came = sa.func.coalesce(_d.registered_at <= _d.register_by, sa.false())
    counts = {
        "documents": sa.true(),
        "on_time": came,
        "late": sa.and_(_d.registered_at.is_not(None), ~came),
        "overdue": sa.and_(_d.registered_at.is_(None), _d.register_by <= now),
    }
    found = connection.execute(
        sa.select(
            _d.addressee.label("office"),
            *(sa.func.count().filter(condition).label(name) for name, condition in counts.items()),
        )
        .where(
            _d.register_by.is_not(None), _d.accepted_at >= since, *([] if office is None else [_d.addressee == office])
        )
        .group_by(_d.addressee)
        .order_by(_d.addressee)
    )
    return [Punctuality(**row._mapping) for row in found]
