"""Passwords: by which digests systems are known that cannot sign, for which office, until when.

What is kept proves nothing to who reads it. A new one ends those that the
office had before, after a while in which both are good; none is forgotten, so
that a person sees when each was made and when it ended.

Spec: docs/protocol/keys.md 9; docs/adr/0026.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from axis.ledger import tables as t
from axis.ledger.engine import keep_others_out
from axis.ledger.insert import insert

_p = t.passwords.c


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordRow:
    """One password of an office."""

    office: str
    digest: str
    made_at: datetime
    ends_at: datetime | None  # None: it is good until it is ended.

    def is_good(self, now: datetime) -> bool:
        """Tell whether it opens anything."""
        return self.ends_at is None or now < self.ends_at


def known(connection: sa.Connection, digest: str) -> PasswordRow | None:
    """Return what is known of a password."""
    row = connection.execute(sa.select(t.passwords).where(_p.digest == digest)).first()
    return None if row is None else PasswordRow(**row._mapping)


def listed(connection: sa.Connection, office: str | None) -> list[PasswordRow]:
    """Return the passwords of one office, or of all, each office's newest first."""
    query = sa.select(t.passwords).order_by(_p.office, _p.made_at.desc(), _p.digest)
    found = connection.execute(query if office is None else query.where(_p.office == office))
    return [PasswordRow(**row._mapping) for row in found]


def add(connection: sa.Connection, office: str, digest: str, now: datetime, others_end_at: datetime) -> None:
    """Add a password of an office; those that it has end at a time, if they do not before."""
    keep_others_out(connection, t.passwords)  # Two at the same moment would not end each other.
    _end(connection, others_end_at, _p.office == office)
    insert(connection, t.passwords, [{"office": office, "digest": digest, "made_at": now}])


def end(connection: sa.Connection, office: str, now: datetime) -> int:
    """End all passwords of an office; return how many were good."""
    return _end(connection, now, _p.office == office)


def _end(connection: sa.Connection, at: datetime, *where: sa.ColumnElement[bool]) -> int:
    is_later = sa.or_(_p.ends_at.is_(None), _p.ends_at > at)
    return connection.execute(sa.update(t.passwords).where(*where, is_later).values(ends_at=at)).rowcount
