"""Catalogue: every code that an office may meet, errors and statuses in one shape.

The errors are those of `axis.errors`, the statuses those of `codes`; nothing is
written twice. What a person reads in docs/reference, what `GET /v1/codes`
answers and what `axis codes` explains come from here.

Spec: docs/protocol/errors.md; RFC 3463; RFC 9110 §15.
"""

from dataclasses import asdict, dataclass

from axis.edxml.codes import STATUSES
from axis.errors import CATALOGUE

_READ = 200  # A status is what an answer tells; it is never a no.


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One code."""

    code: str
    what: str  # error, or status.
    kind: str  # Its class: done, transient, permanent; transport, business, order.
    http: int
    status: str  # RFC 3463, as receipts carry it.
    vi: str
    en: str
    who_must_act: str
    next: str
    needs_reason: bool = False

    def as_dict(self) -> dict[str, object]:
        """Return the row as programs read it; `kind` is called `class` there."""
        fields = asdict(self)
        return {"code": fields.pop("code"), "what": fields.pop("what"), "class": fields.pop("kind"), **fields}


def rows() -> tuple[Row, ...]:
    """Return the whole catalogue: errors, then statuses."""
    errors = (
        Row(
            code=code,
            what="error",
            kind=one.kind,
            http=one.http,
            status=one.status,
            vi=one.vi,
            en=one.en,
            who_must_act=one.actor.value,
            next=one.next,
        )
        for code, one in CATALOGUE.items()
    )
    statuses = (
        Row(
            code=one.code,
            what="status",
            kind=one.kind.value,
            http=_READ,
            status=one.status,
            vi=one.name,
            en=one.en,
            who_must_act=one.actor.value,
            next=one.next,
            needs_reason=one.needs_reason,
        )
        for one in STATUSES.values()
    )
    return (*errors, *statuses)


def find(code: str) -> Row | None:
    """Return the row of a code, however a person has written it: `sig.digest`, `3`."""
    wanted = code.strip().upper()
    wanted = wanted.zfill(2) if wanted.isdigit() else wanted
    return next((row for row in rows() if row.code == wanted), None)
