"""Keys of idempotence: what was answered to a request that came with a key of its sender's.

A key belongs to one office and to one body. It is claimed before the request
has any effect, and holds the answer until it ends. A claim that was left by a
process that died runs out: to do the request again is harmless, because an
envelope is known by its business key whatever key it comes with.

Spec: docs/protocol/gateway.md 10; IETF draft-ietf-httpapi-idempotency-key-header.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

from axis.ledger import tables as t
from axis.ledger.insert import insert_once
from axis.ledger.values import KeyRow

LIFE = timedelta(hours=24)
CLAIM = timedelta(minutes=2)  # For so long nobody else may try, if whoever does says nothing.

_k = t.idempotency_keys.c


def claim(connection: sa.Connection, office: str, key: str, digest: str, now: datetime) -> KeyRow | None:
    """Claim a key for a body; return what stands under it if somebody was first."""
    this = sa.and_(_k.office == office, _k.key == key)
    connection.execute(sa.delete(t.idempotency_keys).where(this, _k.until <= now))
    mine = {"office": office, "key": key, "digest": digest, "until": now + CLAIM}
    if connection.execute(insert_once(connection, t.idempotency_keys, returning="key"), [mine]).first() is not None:
        return None
    found = connection.execute(sa.select(_k.digest, _k.status, _k.answer).where(this)).one()
    return KeyRow(
        digest=found.digest, status=found.status, answer=None if found.answer is None else bytes(found.answer)
    )


def settle(connection: sa.Connection, office: str, key: str, status: int, answer: bytes, now: datetime) -> None:
    """Keep the answer to a key until the key ends."""
    connection.execute(
        sa.update(t.idempotency_keys)
        .where(_k.office == office, _k.key == key)
        .values(status=status, answer=answer, until=now + LIFE)
    )


def release(connection: sa.Connection, office: str, key: str) -> None:
    """Give a key back whose request came to no answer that would stand."""
    connection.execute(sa.delete(t.idempotency_keys).where(_k.office == office, _k.key == key, _k.status.is_(None)))


def tidy(connection: sa.Connection, now: datetime) -> int:
    """Forget the keys that have ended; return how many."""
    return connection.execute(sa.delete(t.idempotency_keys).where(_k.until <= now)).rowcount
