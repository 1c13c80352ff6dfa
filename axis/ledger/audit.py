"""Audit: the book against its own promises.

Every accepted envelope has exactly one delivery state for each addressee; a
state that ends is covered by a receipt that says so, a state that waits shows
why, until when, and who must act; every receipt's predecessor is there; what
the broker gave up is known. `axis.audit` holds the book against the rest.

Spec: docs/promises.md; the invariants I1, I3, I4, I7 and I9 of axis/audit/__init__.py.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from axis.ledger import tables as t
from axis.ledger.values import WITHOUT_IT, Figures

_d, _e, _r, _o, _l, _ev = t.deliveries.c, t.envelopes.c, t.receipts.c, t.outbox.c, t.lanes.c, t.events.c
_b, _j = t.buried.c, t.rejections.c

# Which receipt must cover which end.
_COVER = {
    "delivered": ("delivered", "registered", "progress"),
    "refused": ("refused", "rejected"),
    "recalled": ("recalled",),
    "expired": ("expired",),
    "dead": ("failed",),
    "held": ("held",),
    "forwarded": ("forwarded",),
}
_WAITING = ("queued", "sent", "deferred", "dead", "held")
_OVERDUE = timedelta(minutes=10)  # By which the clock may be late before a waiting delivery counts as forgotten.
_ON_ITS_WAY = timedelta(minutes=10)  # What one receipt follows may come after it; a lost one the office sends again.
_SINCE = sa.func.coalesce(_d.release_at, _d.accepted_at, type_=t.Moment)  # What waits for its hour is not late.
_MOST = 1000


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One promise that the book does not keep."""

    rule: str
    envelope_id: str
    addressee: str
    text: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit counted and found."""

    documents: int
    deliveries: int
    terminal: int
    waiting: int
    dead: int
    held: int
    receipts: int
    rejections: int
    notices_waiting: int
    findings: tuple[AuditFinding, ...]

    def as_dict(self) -> dict[str, object]:
        """Return the report as programs read it."""
        return asdict(self) | {"lost": len(self.findings)}


def audit(connection: sa.Connection, now: datetime, *, at_rest: bool = False) -> AuditReport:
    """Check the whole book; `at_rest`: nothing is on its way, and what could be is missing."""
    findings = [
        *_unequal(connection),
        *_in_nobodys_place(connection),
        *_orphans(connection),
        *_without_acceptance(connection),
        *_uncovered(connection),
        *_forgotten(connection, now),
        *_broken_chains(connection, None if at_rest else now - _ON_ITS_WAY),
        *_unexplained(connection),
    ]
    states = _states(connection)
    dead, held = states.get("dead", 0), states.get("held", 0)
    waiting = sum(states.get(state, 0) for state in ("queued", "sent", "deferred"))
    total = sum(states.values())
    return AuditReport(
        documents=_count(connection, t.envelopes),
        deliveries=total,
        terminal=total - waiting - dead - held,
        waiting=waiting,
        dead=dead,
        held=held,
        receipts=_count(connection, t.receipts),
        rejections=_count(connection, t.rejections),
        notices_waiting=_count(connection, t.outbox),
        findings=tuple(findings[:_MOST]),
    )


def _states(connection: sa.Connection) -> dict[str, int]:
    found = connection.execute(sa.select(_d.state, sa.func.count().label("number")).group_by(_d.state))
    return {row.state: row.number for row in found}


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return int((connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one())


def _unequal(connection: sa.Connection) -> list[AuditFinding]:
    """Find envelopes with fewer deliveries than they were accepted for, or more; what was forwarded began later."""
    there = sa.select(sa.func.count()).where(_d.envelope_id == _e.id, _d.in_place_of.is_(None)).scalar_subquery()
    owed = sa.func.coalesce(
        sa.select(_ev.detail["addressees"].as_integer())
        .where(_ev.envelope_id == _e.id, _ev.event == "envelope.accepted")
        .scalar_subquery(),
        1,
    )
    found = connection.execute(
        sa.select(_e.id, there.label("there"), owed.label("owed")).where(there != owed).limit(_MOST)
    )
    return [
        AuditFinding(
            "I1" if row.there < row.owed else "I4", row.id, "", f"accepted for {row.owed}, has {row.there} deliveries"
        )
        for row in found
    ]


def _in_nobodys_place(connection: sa.Connection) -> list[AuditFinding]:
    """Find deliveries in the place of one that was not forwarded, and such that were forwarded to nobody."""
    other, told, later = t.deliveries.alias(), t.events.alias(), t.events.alias()
    beside = sa.and_(other.c.envelope_id == _d.envelope_id, other.c.id != _d.id)
    forwarded = sa.exists().where(beside, other.c.addressee == _d.in_place_of, other.c.state == "forwarded")
    ended_later = sa.exists().where(
        later.c.envelope_id == other.c.envelope_id,
        later.c.addressee == other.c.addressee,
        later.c.seq > told.c.seq,
        later.c.detail["state"].as_string() == other.c.state,
    )
    # To an heir that the receipt names. One that had ended without the envelope before got nothing by it.
    taken_over = sa.exists().where(
        beside,
        told.c.envelope_id == _d.envelope_id,
        told.c.addressee == _d.addressee,
        told.c.event == "receipt.forwarded",
        told.c.detail["heirs"].as_string().contains(sa.literal('"') + other.c.addressee + sa.literal('"')),
        sa.or_(other.c.state.not_in(WITHOUT_IT), ended_later),
    )
    columns = sa.select(_d.envelope_id, _d.addressee, _d.in_place_of)
    strange = connection.execute(columns.where(_d.in_place_of.is_not(None), ~forwarded).limit(_MOST))
    lost = connection.execute(columns.where(_d.state == "forwarded", ~taken_over).limit(_MOST))
    return [
        *(
            AuditFinding("I4", row.envelope_id, row.addressee, f"in place of {row.in_place_of}, which has it itself")
            for row in strange
        ),
        *(AuditFinding("I1", row.envelope_id, row.addressee, "forwarded, and nobody gets it") for row in lost),
    ]


def _orphans(connection: sa.Connection) -> list[AuditFinding]:
    """Find deliveries and receipts of envelopes that were never accepted."""
    findings = []
    for what, c in (("delivery", _d), ("receipt", _r)):
        accepted = sa.exists().where(_e.id == c.envelope_id)
        found = connection.execute(
            sa.select(c.envelope_id, c.addressee).where(c.envelope_id != "", ~accepted).limit(_MOST)
        )
        findings += [
            AuditFinding("I4", row.envelope_id, row.addressee or "", f"a {what} of an envelope that is not here")
            for row in found
        ]
    return findings


def _without_acceptance(connection: sa.Connection) -> list[AuditFinding]:
    found = connection.execute(
        sa.select(_e.id).where(~sa.exists().where(_r.envelope_id == _e.id, _r.level == "accepted")).limit(_MOST)
    )
    return [AuditFinding("I3", row.id, "", "in custody without a receipt of acceptance") for row in found]


def _uncovered(connection: sa.Connection) -> list[AuditFinding]:
    findings = []
    for state, levels in _COVER.items():
        covered = sa.exists().where(
            _r.envelope_id == _d.envelope_id, _r.addressee == _d.addressee, _r.level.in_(levels)
        )
        found = connection.execute(
            sa.select(_d.envelope_id, _d.addressee).where(_d.state == state, ~covered).limit(_MOST)
        )
        findings += [
            AuditFinding("I3", row.envelope_id, row.addressee, f"{state} without a receipt that says so")
            for row in found
        ]
    return findings


def _forgotten(connection: sa.Connection, now: datetime) -> list[AuditFinding]:
    """Find what waits without a next step, or whose next step is long past."""
    late = now - _OVERDUE
    # Behind an open breaker the next step is the probe; a lane that a person has paused waits for that person.
    held = sa.and_(
        _d.state.in_(("queued", "deferred")),
        sa.func.coalesce(sa.or_(_l.paused, _l.open_until >= late), sa.false()),
    )
    overdue = sa.or_(_d.next_at.is_(None), sa.and_(_d.next_at < late, ~held))
    found = connection.execute(
        sa.select(_d.envelope_id, _d.addressee, _d.state, _d.next_at)
        .outerjoin(t.lanes, _l.office == _d.addressee)
        .where(
            sa.or_(
                sa.and_(_d.state.in_(("queued", "sent", "deferred")), overdue),
                sa.and_(t.WAITS, _d.expires_at < late),
            )
        )
        .limit(_MOST)
    )
    return [
        AuditFinding(
            "I1", row.envelope_id, row.addressee, f"{row.state} and nothing will happen: next_at {row.next_at}"
        )
        for row in found
    ]


def _broken_chains(connection: sa.Connection, quiet_since: datetime | None) -> list[AuditFinding]:
    """Find receipts that follow one which is not here, where nothing was heard of the delivery for a while."""
    earlier = t.receipts.alias()
    broken = sa.select(_r.envelope_id, _r.addressee, _r.digest).where(
        _r.previous.is_not(None), ~sa.exists().where(earlier.c.digest == _r.previous)
    )
    if quiet_since is not None:
        heard = (_ev.envelope_id == _r.envelope_id, _ev.addressee == _r.addressee, _ev.at > quiet_since)
        broken = broken.where(~sa.exists().where(*heard))
    found = connection.execute(broken.limit(_MOST))
    return [
        AuditFinding(
            "I9", row.envelope_id, row.addressee or "", f"receipt {row.digest[:12]} follows one that is not here"
        )
        for row in found
    ]


def _unexplained(connection: sa.Connection) -> list[AuditFinding]:
    """Find what the broker gave up and the book knows from nowhere else: a document or an answer may be lost in it.

    An envelope or a receipt that came again and was judged then is known by its digest; a delivery that died in an
    inbox has become a dead letter; a notice is fetched by whom it was for.
    """
    known = sa.or_(
        sa.exists().where(_e.sealed_digest == _b.digest),
        sa.exists().where(_j.sealed_digest == _b.digest),
        sa.exists().where(_r.digest == _b.digest),
        sa.exists().where(_ev.event == "receipt.refused", _ev.detail["digest"].as_string() == _b.digest),
        sa.exists().where(_d.envelope_id == _b.headers["envelope-id"].as_string()),
    )
    found = connection.execute(
        sa.select(_b.queue, _b.kind, _b.digest).where(_b.kind != "heartbeat", ~known).order_by(_b.id).limit(_MOST)
    )
    return [
        AuditFinding(
            "I7",
            "",
            "",
            f"dead letter {row.digest[:12]}, {row.kind or 'nothing known'} of {row.queue}, became of nothing",
        )
        for row in found
    ]


def figures(connection: sa.Connection, now: datetime) -> Figures:
    """Return what the gauges show; only what waits is looked at, however much has ended."""
    found = connection.execute(sa.select(_d.state, sa.func.count().label("number")).where(t.WAITS).group_by(_d.state))
    waiting = dict.fromkeys(_WAITING, 0) | {row.state: row.number for row in found}
    oldest = connection.execute(
        sa.select(_d.priority, sa.func.min(_SINCE).label("since"))
        .where(t.WAITS, _d.state != "held")  # It waits for a word, and has a figure of its own.
        .group_by(_d.priority)
    )
    lag = connection.execute(sa.select(sa.func.min(_o.created_at))).scalar()
    return Figures(
        waiting=waiting,
        oldest_s=dict.fromkeys(range(5), 0.0)
        | {row.priority: max(0.0, (now - row.since).total_seconds()) for row in oldest},
        outbox_lag_s=0.0 if lag is None else max(0.0, (now - lag).total_seconds()),
    )


def ended(connection: sa.Connection) -> dict[str, int]:
    """Return how many deliveries have ended, by state. It reads them all: not for every few seconds."""
    states = _states(connection)
    return {state: states.get(state, 0) for state in _COVER if state not in _WAITING}
