"""Webhooks: where offices want to be told, and how far each has been.

A webhook is a place in the feed: nothing is written for it when something
happens, and to tell it again is to set it back. It moves by comparing: who
finds that it stands elsewhere meanwhile - set back by its office, or moved by
another process - changes nothing.

Spec: docs/protocol/webhooks.md; docs/adr/0020.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from axis.ledger import tables as t
from axis.ledger.feed import Place, cursor
from axis.ledger.insert import insert_once

_w, _s, _ev = t.webhooks.c, t.leases.c, t.events.c


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRow:
    """One webhook of an office."""

    office: str
    id: str
    url: str
    kinds: tuple[str, ...]
    secret: str
    old_secret: str | None
    old_until: datetime | None
    made_at: datetime
    place: Place
    cursor: str  # Of that place, as it was when the row was read.
    told_at: datetime | None
    failures: int
    failing_since: datetime | None
    next_at: datetime
    disabled_at: datetime | None
    note: str

    @property
    def key(self) -> tuple[str, str]:
        """What makes it one of its kind."""
        return self.office, self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTold:
    """A webhook did not take something: when to try again, or that it is given up."""

    note: str
    at: datetime
    next_at: datetime
    is_the_end: bool


def rows(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> list[WebhookRow]:
    """Return webhooks, in the order of their names."""
    query = sa.select(t.webhooks, _ev.at.label("place_at")).outerjoin(t.events, _ev.seq == _w.seq)
    found = connection.execute(query.where(*where).order_by(_w.office, _w.id))
    return [_row(dict(row._mapping)) for row in found]


def _row(fields: dict[str, Any]) -> WebhookRow:
    place, at = Place(fields.pop("tx"), fields.pop("seq")), fields.pop("place_at")
    said = "" if at is None else cursor(place.seq, at)
    return WebhookRow(**fields | {"place": place, "cursor": said, "kinds": tuple(fields["kinds"])})


def of(connection: sa.Connection, office: str) -> list[WebhookRow]:
    """Return an office's webhooks."""
    return rows(connection, _w.office == office)


def one(connection: sa.Connection, office: str, webhook_id: str) -> WebhookRow | None:
    """Return a webhook."""
    found = rows(connection, _w.office == office, _w.id == webhook_id)
    return found[0] if found else None


def put(
    connection: sa.Connection,
    office: str,
    webhook_id: str,
    *,
    url: str,
    kinds: Sequence[str],
    secret: str,
    place: Place,
    now: datetime,
    most: int,
) -> bool | None:
    """Make a webhook, or change where it leads and what it is told; one that was given up is tried again.

    Returns:
        Whether it is new, and `secret` is its secret; None if the office has too many.
    """
    is_new = one(connection, office, webhook_id) is None
    if is_new:
        count = connection.execute(sa.select(sa.func.count()).where(_w.office == office)).scalar_one()
        if count >= most:
            return None
        fresh = {"office": office, "id": webhook_id, "url": url, "kinds": list(kinds), "secret": secret, "made_at": now, "tx": place.tx, "seq": place.seq, "next_at": now}  # fmt: skip
        made = connection.execute(insert_once(connection, t.webhooks, returning="id"), [fresh]).first()
        if made is not None:
            return True
    connection.execute(
        sa.update(t.webhooks)
        .where(_w.office == office, _w.id == webhook_id)
        .values(url=url, kinds=list(kinds), failures=0, failing_since=None, next_at=now, disabled_at=None, note="")
    )
    return False


def remove(connection: sa.Connection, office: str, webhook_id: str) -> bool:
    """Remove a webhook; False if there is none."""
    return connection.execute(sa.delete(t.webhooks).where(_w.office == office, _w.id == webhook_id)).rowcount > 0


def renew_secret(connection: sa.Connection, office: str, webhook_id: str, secret: str, old_until: datetime) -> bool:
    """Give a webhook a new secret; the one that it had signs beside it for a while. False if there is no webhook."""
    changed = connection.execute(
        sa.update(t.webhooks)
        .where(_w.office == office, _w.id == webhook_id)
        .values(secret=secret, old_secret=_w.secret, old_until=old_until)
    )
    return changed.rowcount > 0


def set_back(connection: sa.Connection, office: str, webhook_id: str, place: Place, now: datetime) -> bool:
    """Tell a webhook everything behind a place again, now; False if there is none."""
    changed = connection.execute(
        sa.update(t.webhooks)
        .where(_w.office == office, _w.id == webhook_id)
        .values(tx=place.tx, seq=place.seq, failures=0, failing_since=None, next_at=now, disabled_at=None, note="")
    )
    return changed.rowcount > 0


def told(connection: sa.Connection, webhook: WebhookRow, place: Place, at: datetime) -> bool:
    """Note that a webhook has taken everything up to a place; False if it stood elsewhere meanwhile."""
    changed = connection.execute(
        sa.update(t.webhooks)
        .where(_stands(webhook))
        .values(tx=place.tx, seq=place.seq, told_at=at, failures=0, failing_since=None, note="")
    )
    return changed.rowcount > 0


def had_no_news(connection: sa.Connection, webhooks: Sequence[WebhookRow], place: Place) -> None:
    """Move webhooks on over what did not concern them."""
    for webhook in webhooks:
        connection.execute(sa.update(t.webhooks).where(_stands(webhook)).values(tx=place.tx, seq=place.seq))


def not_told(connection: sa.Connection, webhook: WebhookRow, failure: NotTold) -> bool:
    """Note that a webhook did not take something; False if it stood elsewhere meanwhile."""
    changed = connection.execute(
        sa.update(t.webhooks)
        .where(_stands(webhook))
        .values(
            failures=_w.failures + 1,
            failing_since=sa.func.coalesce(_w.failing_since, sa.literal(failure.at, t.Moment)),
            next_at=failure.next_at,
            disabled_at=failure.at if failure.is_the_end else None,
            note=failure.note,
        )
    )
    return changed.rowcount > 0


def bring_near(connection: sa.Connection, now: datetime, latest: datetime) -> int:
    """Let webhooks be tried now that are to wait until after `latest`; return how many. A clock that was ahead put them off."""
    moved = connection.execute(
        sa.update(t.webhooks).where(_w.next_at > latest, _w.disabled_at.is_(None)).values(next_at=now)
    )
    return moved.rowcount


def _stands(webhook: WebhookRow) -> sa.ColumnElement[bool]:
    return sa.and_(
        _w.office == webhook.office,
        _w.id == webhook.id,
        _w.url == webhook.url,
        _w.tx == webhook.place.tx,
        _w.seq == webhook.place.seq,
        _w.disabled_at.is_(None),
    )


def hold(connection: sa.Connection, work: str, holder: str, now: datetime, span: timedelta) -> bool:
    """Take, or keep, what one process does for all; False if another holds it.

    A claim that a clock far ahead has made is nobody's: no right one lasts longer than two spans.
    """
    is_free = sa.or_(_s.holder == holder, _s.until <= now, _s.until > now + 2 * span)
    connection.execute(insert_once(connection, t.leases), [{"work": work, "holder": holder, "until": now}])
    changed = connection.execute(
        sa.update(t.leases).where(_s.work == work, is_free).values(holder=holder, until=now + span)
    )
    return changed.rowcount > 0


def let_go(connection: sa.Connection, work: str, holder: str) -> None:
    """Give up what one process does for all."""
    connection.execute(sa.delete(t.leases).where(_s.work == work, _s.holder == holder))
