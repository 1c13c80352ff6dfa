"""Deliveries: what is due is taken, what comes of it is set.

Every change names the state it expects, so that two processes that act on one
delivery cannot both succeed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from axis.clock import ALLOWANCE
from axis.errors import CATALOGUE
from axis.ledger import tables as t
from axis.ledger.custody import IS_ITS_OWN, notice_row, receipt_row
from axis.ledger.insert import insert, insert_once
from axis.ledger.values import (
    CLOCKS,
    WITHOUT_IT,
    Asked,
    Attempt,
    DeliveryRow,
    DueNotice,
    Failure,
    Heir,
    LaneRow,
    Numbered,
    Outcome,
    ReceiptEntry,
    Recorded,
    Row,
)
from axis.routing import JUDGED

CLAIM = timedelta(seconds=30)  # For how long a notice belongs to the process that publishes it.
PUT_OFF = timedelta(minutes=5)  # For so long, at most, a notice is put off; longer than a claim.
_ANSWERS_WITHIN = timedelta(seconds=5)  # Who takes longer gets no files along; carried.QUICK_S of the broker room.
_SILENT = timedelta(seconds=75)  # Two heartbeats and a half: the office was away.

UNJUDGED = "ORD.WAITS"  # Code of a delivery that waits until what it speaks of is known.
NOT_TAKEN = "SYS.BROKER"  # Of one that no inbox takes.
BEHIND = "DLV.OFFICE_UNAVAILABLE"  # Of one that waits until its office takes others again.

_d, _e, _l = t.deliveries.c, t.envelopes.c, t.lanes.c
_ROW = (
    sa.select(
        _d.id.label("delivery_id"),
        _d.envelope_id, _d.addressee, _d.state, _d.business, _d.attempts, _d.code, _d.reason, _d.who_must_act,
        _d.next_at, _d.told_at, _d.chain_head, _d.priority, _d.accepted_at, _d.expires_at, _d.updated_at, _d.release_at,
        _d.in_place_of, _e.originator, _e.document_id, _e.digest, _e.business_type, _e.kind, *(_d[name] for name in CLOCKS),
    )
    .join(t.envelopes, _e.id == _d.envelope_id)
)  # fmt: skip


def rows(
    connection: sa.Connection,
    *where: sa.ColumnElement[bool],
    limit: int | None = None,
    first: sa.ColumnElement[Any] = _d.accepted_at,
) -> list[DeliveryRow]:
    """Return deliveries, the oldest first unless another column says which come first."""
    found = connection.execute(_ROW.where(*where).order_by(first, _d.id).limit(limit))
    return [DeliveryRow(**row._mapping) for row in found]


def one(connection: sa.Connection, envelope_id: str, addressee: str) -> DeliveryRow | None:
    """Return the delivery of an envelope to an office."""
    found = rows(connection, _d.envelope_id == envelope_id, _d.addressee == addressee)
    return found[0] if found else None


def sent_by(
    connection: sa.Connection, office: str, kind: str, since: datetime, until: datetime, limit: int
) -> list[DeliveryRow]:
    """Return the deliveries of what an office sent in a span of time, the oldest first."""
    span = (_e.accepted_at >= since, _e.accepted_at < until)
    return rows(connection, _e.originator == office, _e.kind == kind, *span, limit=limit)


def due(connection: sa.Connection, now: datetime) -> bool:
    """Tell, without locking anything, whether an attempt or a notice is due."""
    return any(
        connection.execute(question, {"now": now}).first() is not None for question in (_ATTEMPT_DUE, _NOTICE_DUE)
    )


_NOW: sa.BindParameter[datetime] = sa.bindparam("now", type_=t.Moment)
_IS_JUDGED = sa.or_(_d.code.is_(None), _d.code != UNJUDGED)
# Whatever has moved its next time: before its hour a delivery does not leave.
_RELEASED = sa.or_(_d.release_at.is_(None), _d.release_at <= _NOW)
_ATTEMPT_DUE = (
    sa.select(sa.literal(1))
    .where(_d.state.in_(("queued", "deferred")), _d.next_at <= _NOW, _IS_JUDGED, _RELEASED)
    .limit(1)
)
_NOTICE_DUE = sa.select(sa.literal(1)).where(t.outbox.c.due_at <= _NOW).limit(1)


# Statements that every document needs are built once: to build one costs more than to run it.
_LIMIT: sa.BindParameter[int] = sa.bindparam("limit", type_=sa.Integer)
_OFFICES: sa.BindParameter[str] = sa.bindparam("offices", expanding=True)
_TO_ATTEMPT = (_d.id, _d.envelope_id, _d.addressee, _d.attempts, _d.chain_head, _d.priority)
_MAY_LEAVE = (
    _d.state.in_(("queued", "deferred")),
    _d.next_at <= _NOW,
    _RELEASED,
    _d.expires_at > _NOW,  # What is over is expired, not attempted.
    _IS_JUDGED,
)
_URGENT_FIRST = (_d.priority.desc(), _d.next_at, _d.id)
_DUE = (
    sa.select(*_TO_ATTEMPT, _l.open_until, _l.takes_files, _l.heartbeat_at)
    .outerjoin(t.lanes, _l.office == _d.addressee)
    .where(
        *_MAY_LEAVE,
        sa.or_(_l.paused.is_(None), _l.paused.is_(sa.false())),
        sa.or_(_l.open_until.is_(None), _l.open_until <= _NOW),
    )
    .order_by(*_URGENT_FIRST)
    .limit(_LIMIT)
    .with_for_update(of=t.deliveries, skip_locked=True)
)
# What has been tried least: one document that always fails must not take every probe.
_PROBE = (
    sa.select(*_TO_ATTEMPT)
    .where(*_MAY_LEAVE, _d.addressee == sa.bindparam("office", type_=sa.Text))
    .order_by(_d.attempts, *_URGENT_FIRST)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_DUE_FOR = _DUE.where(_d.addressee.in_(_OFFICES))
_DUE_IN_VAIN = _DUE.where(
    _d.addressee.not_in(_OFFICES),
    _d.state == "queued",
    sa.or_(_d.code.is_(None), _d.code != sa.bindparam("code", type_=sa.Text)),
)
_SENT = (
    sa.update(t.deliveries)
    .where(_d.id.in_(sa.bindparam("ids", expanding=True)))
    .values(
        state="sent",
        attempts=_d.attempts + 1,
        next_at=sa.bindparam("answer_by", type_=t.Moment),
        updated_at=_NOW,
        code=None,  # Why it has waited until now is over.
        reason="",
        who_must_act="addressee",
    )
)
# Offices where something has waited for an answer since some time; of an office that answers little is looked at.
_WAITING = (
    sa.select(_l.office)
    .where(_l.office.in_(_OFFICES))
    .where(sa.exists().where(_d.addressee == _l.office, _d.state == "sent", _d.updated_at < sa.bindparam("since", type_=t.Moment)))
)  # fmt: skip
_SEALED = sa.select(_e.id, _e.digest, _e.sealed).where(_e.id.in_(sa.bindparam("ids", expanding=True)))


def begin_attempts(
    connection: sa.Connection, now: datetime, answer_within: timedelta, limit: int, only: Collection[str] | None = None
) -> list[Attempt]:
    """Record attempts for what is due, urgent first, and return them to be made.

    A lane that is paused, or whose breaker is open, is passed over; one whose
    breaker may close again gets one probe, of what has been tried least.

    Args:
        connection: In a transaction.
        now: Now.
        answer_within: After so long, silence is looked into.
        limit: At most so many.
        only: The offices to which attempts may be made; None: to all.
    """
    due, offices = (_DUE, {}) if only is None else (_DUE_FOR, {"offices": list(only)})
    found = connection.execute(due, {"now": now, "limit": limit, **offices}).all()
    probes = _claim_probes(
        connection, {row.addressee for row in found if row.open_until is not None}, now, answer_within
    )
    chosen: list[Any] = [row for row in found if row.open_until is None]
    for office in sorted(probes):
        chosen += least_tried(connection, office, now)
    if not chosen:
        return []
    takes_files = _takes_files(connection, found, now)
    connection.execute(_SENT, {"ids": [row.id for row in chosen], "answer_by": now + answer_within, "now": now})
    insert(
        connection,
        t.events,
        [
            {"envelope_id": row.envelope_id, "addressee": row.addressee, "event": "delivery.attempted", "at": now, "detail": {"attempt": row.attempts + 1}}
            for row in chosen
        ],
    )  # fmt: skip
    envelopes = connection.execute(_SEALED, {"ids": list({row.envelope_id for row in chosen})})
    bytes_of = {row.id: (row.digest, bytes(row.sealed)) for row in envelopes}
    return [
        Attempt(
            delivery_id=row.id,
            envelope_id=row.envelope_id,
            addressee=row.addressee,
            attempt_no=row.attempts + 1,
            digest=bytes_of[row.envelope_id][0],
            sealed=bytes_of[row.envelope_id][1],
            priority=row.priority,
            chain_head=row.chain_head,
            is_probe=row.addressee in probes,
            takes_files=0 if row.attempts else takes_files.get(row.addressee, 0),
        )
        for row in chosen
    ]


def _takes_files(connection: sa.Connection, due: Sequence[Any], now: datetime) -> dict[str, int]:
    """Return how many bytes of files may go along to each office that is there, answers, and takes any; a probe goes alone."""
    takes = {
        row.addressee: row.takes_files
        for row in due
        if row.takes_files and not row.attempts and row.open_until is None and abs(now - row.heartbeat_at) <= _SILENT
    }
    if not takes:
        return {}
    waiting = connection.execute(_WAITING, {"offices": list(takes), "since": now - _ANSWERS_WITHIN}).scalars().all()
    return {office: size_bytes for office, size_bytes in takes.items() if office not in waiting}


def least_tried(connection: sa.Connection, office: str, now: datetime) -> Sequence[Any]:
    """Return, of all that is due to an office, the one delivery for its probe; none if other processes have locked them."""
    return connection.execute(_PROBE, {"office": office, "now": now}).all()


def _claim_probes(connection: sa.Connection, offices: set[str], now: datetime, answer_within: timedelta) -> set[str]:
    """Return the offices whose one probe is ours to send; whoever holds a lane just now sends its probe himself."""
    if not offices:
        return set()
    free = sa.select(_l.office).where(_l.office.in_(offices), _l.open_until <= now).with_for_update(skip_locked=True)
    claimed = set(connection.execute(free).scalars())
    connection.execute(sa.update(t.lanes).where(_l.office.in_(claimed)).values(open_until=now + answer_within))
    return claimed


def _why(code: str) -> Row:
    """Return what a delivery shows that waits for a reason of the catalogue."""
    entry = CATALOGUE[code]
    return {"code": code, "reason": entry.vi, "who_must_act": entry.actor}


def put_back(connection: sa.Connection, attempts: Sequence[Numbered], next_at: datetime, code: str) -> int:
    """Queue attempts again whose message may not have got through, or got lost; return how many that were.

    One after which another was made meanwhile has been looked after.
    """
    back = connection.execute(
        sa.update(t.deliveries)
        .where(_these(attempts), _d.state == "sent")
        .values(state="queued", next_at=next_at, **_why(code))
    )
    return back.rowcount


def _these(attempts: Sequence[Numbered]) -> sa.ColumnElement[bool]:
    # The first for the index: pairs in one list SQLite looks for in the whole table.
    return sa.and_(_d.id.in_([one for one, _ in attempts]), sa.tuple_(_d.id, _d.attempts).in_(attempts))


def unmake(connection: sa.Connection, attempts: Sequence[Attempt], next_at: datetime, code: str, now: datetime) -> None:
    """Queue attempts again whose message certainly is in no inbox: they count as none, and the next has their number.

    Where one was a probe, the breaker lets the next one through when that is due.
    """
    unmade = connection.execute(
        sa.update(t.deliveries)
        .where(_these([one.numbered for one in attempts]), _d.state == "sent")
        .values(state="queued", attempts=_d.attempts - 1, next_at=next_at, updated_at=now, **_why(code))
        .returning(_d.envelope_id, _d.addressee, _d.attempts)
    ).all()
    insert(
        connection,
        t.events,
        [
            {"envelope_id": row.envelope_id, "addressee": row.addressee, "event": "delivery.unpublished", "at": now, "detail": {"attempt": row.attempts + 1, "code": code}}
            for row in unmade
        ],
    )  # fmt: skip
    back = {(row.envelope_id, row.addressee) for row in unmade}
    probed = [one.addressee for one in attempts if one.is_probe and (one.envelope_id, one.addressee) in back]
    if probed:
        # A lane that another holds just now stays as it is: to wait for it, with deliveries in hand, could be a ring.
        shut = sa.select(_l.office).where(_l.office.in_(probed), _l.open_until > next_at)
        free = connection.execute(shut.with_for_update(skip_locked=True)).scalars().all()
        connection.execute(sa.update(t.lanes).where(_l.office.in_(free)).values(open_until=next_at))


def show_why(connection: sa.Connection, now: datetime, code: str, but_for: Collection[str], limit: int) -> int:
    """Let what is due and waits in vain show why; return how many deliveries that concerns.

    It stays due: another process may be able to send it.

    Args:
        connection: In a transaction.
        now: Now.
        code: Why. What its office has put off goes on showing the office's reason.
        but_for: Offices whose deliveries do not wait.
        limit: At most so many.
    """
    asked = {"now": now, "limit": limit, "offices": list(but_for), "code": code}
    found = [row.id for row in connection.execute(_DUE_IN_VAIN, asked)]
    if found:
        connection.execute(sa.update(t.deliveries).where(_d.id.in_(found)).values(**_why(code)))
    return len(found)


def extend_wait(connection: sa.Connection, attempts: Sequence[Numbered], next_at: datetime) -> None:
    """Look after these attempts later: their message is still in the inbox."""
    connection.execute(sa.update(t.deliveries).where(_these(attempts), _d.state == "sent").values(next_at=next_at))


_BEGUN_LATELY = timedelta(seconds=20)  # Longer than a publish may take.


def take_up_again(connection: sa.Connection, now: datetime, most: int) -> int:
    """Make due again what a process that has died may have begun and not sent; return how many deliveries that concerns.

    Attempts that were begun just before the last one on record, and are unanswered, may not have left; of them the newest
    `most`, which is how many a process has on their way at once. Notices that are claimed belong to nobody. What did
    leave, leaves twice, and costs its addressee as much as the first time; what is missed here is found when its office
    has been silent for too long.
    """
    on_their_way = (t.WAITS, _d.state == "sent")
    last = connection.execute(sa.select(sa.func.max(_d.updated_at, type_=t.Moment)).where(*on_their_way)).scalar()
    connection.execute(sa.update(t.outbox).where(t.outbox.c.due_at > now).values(due_at=now))
    if last is None:
        return 0
    newest = (
        sa.select(_d.id)
        .where(*on_their_way, _d.updated_at >= last - _BEGUN_LATELY)
        .order_by(_d.updated_at.desc(), _d.id.desc())
        .limit(most)
    )
    # The state is asked for once more: an answer may be committed between the look and the change.
    put_back = connection.execute(
        sa.update(t.deliveries)
        .where(_d.id.in_(newest), _d.state == "sent")
        .values(state="queued", next_at=now, who_must_act="nobody")
    )
    return put_back.rowcount


# Columns that say when something is looked at again, in rows that are still to be looked at. What waits for its hour is
# where it belongs.
_NOT_ITS_HOUR = sa.or_(_d.release_at.is_(None), _d.next_at != _d.release_at)
_LATER: tuple[tuple[sa.ColumnElement[bool], Any, str], ...] = (
    (sa.and_(t.WAITS, _NOT_ITS_HOUR), _d.next_at, "attempt"),
    (sa.true(), _l.open_until, "attempt"),
    (t.links.c.due_at.is_not(None), t.links.c.due_at, "attempt"),
    (sa.true(), t.outbox.c.due_at, "notice"),
)
_TOO_FAR = tuple(
    (column, sa.and_(still, column > sa.bindparam(limit, type_=t.Moment))) for still, column, limit in _LATER
)
_IS_TOO_FAR = tuple(sa.select(sa.literal(1)).where(far).limit(1) for _, far in _TOO_FAR)
_BRING_NEAR = tuple(
    sa.update(column.table).where(far).values({column.name: sa.bindparam("now", type_=t.Moment)})
    for column, far in _TOO_FAR
)


def too_far(connection: sa.Connection, now: datetime, longest: timedelta) -> bool:
    """Tell, without locking anything, whether something is to wait longer than anything may."""
    limits = _limits(now, longest)
    return any(connection.execute(question, limits).first() is not None for question in _IS_TOO_FAR)


def bring_near(connection: sa.Connection, now: datetime, longest: timedelta) -> int:
    """Make due now what is to wait longer than anything may; return how much that was.

    A clock that was ahead has put it there: what it put off, claimed or sent would wait until that time has come.
    """
    limits = _limits(now, longest)
    return sum(connection.execute(statement, limits).rowcount for statement in _BRING_NEAR)


def _limits(now: datetime, longest: timedelta) -> dict[str, datetime]:
    latest = now + ALLOWANCE  # It is now for another process, at the latest.
    return {"now": now, "attempt": latest + longest, "notice": latest + PUT_OFF}


def unanswered(connection: sa.Connection, now: datetime, limit: int) -> list[DeliveryRow]:
    """Return attempts that nobody answered in time, first those that have been due for longest; what is over is expired."""
    return rows(connection, _d.state == "sent", _d.next_at <= now, _d.expires_at > now, limit=limit, first=_d.next_at)


_SINCE: sa.BindParameter[datetime] = sa.bindparam("since", type_=t.Moment)
_IS_BEHIND = sa.func.coalesce(_l.open_until > _NOW, sa.false())
_NOT_LEAVING = (
    _ROW.add_columns(_IS_BEHIND.label("is_behind"))
    .outerjoin(t.lanes, _l.office == _d.addressee)
    .where(
        t.WAITS,
        _d.state.in_(("queued", "deferred")),
        _d.expires_at > _NOW,
        sa.func.coalesce(_d.release_at, _d.accepted_at, type_=t.Moment) <= _SINCE,
        _IS_JUDGED,
        sa.or_(_d.code == NOT_TAKEN, _l.open_until.is_not(None)),
    )
    .order_by(_d.expires_at, _d.id)
    .limit(_LIMIT)
)
_FURTHER_ON = sa.and_(
    _d.expires_at >= sa.bindparam("place", type_=t.Moment),  # For the index.
    sa.or_(_d.expires_at > sa.bindparam("place", type_=t.Moment), _d.id > sa.bindparam("number", type_=sa.BigInteger)),
)


def not_leaving(
    connection: sa.Connection, now: datetime, since: datetime, behind: DeliveryRow | None, limit: int
) -> list[tuple[DeliveryRow, str]]:
    """Return what was to leave a while ago and cannot, each with the code that says why, in order of expiry.

    That is what waits for the broker or for its inbox, and what waits behind the breaker of its office, attempted before or
    not. What waits for its hour, for a document that it speaks of, or for a word on who gets it, is not late.

    Args:
        connection: In a transaction.
        now: Now.
        since: When it was to leave, at the latest.
        behind: The last one of the stretch before this; None begins.
        limit: At most so many.
    """
    query, values = _NOT_LEAVING, {"now": now, "since": since, "limit": limit}
    if behind is not None:
        query = query.where(_FURTHER_ON)
        values |= {"place": behind.expires_at, "number": behind.delivery_id}
    found = [dict(row._mapping) for row in connection.execute(query, values)]
    behind_others = [row.pop("is_behind") for row in found]
    return [
        (DeliveryRow(**row), NOT_TAKEN if row["code"] == NOT_TAKEN and not is_behind else BEHIND)
        for row, is_behind in zip(found, behind_others, strict=True)
    ]


def expiring(connection: sa.Connection, now: datetime, limit: int) -> list[DeliveryRow]:
    """Return deliveries whose lifetime is over."""
    return rows(connection, t.WAITS, _d.expires_at <= now, limit=limit)


def to_remind(connection: sa.Connection, now: datetime, limit: int) -> list[DeliveryRow]:
    """Return deliveries whose addressee is to be reminded of a deadline."""
    return rows(connection, _d.remind_at <= now, limit=limit)


def record(connection: sa.Connection, asked: Sequence[Asked]) -> list[Recorded | Exception]:
    """Ask what each receipt does to its delivery as it stands, and do all of it; answers stand in the order of the asked.

    Several may be about one delivery: each is decided on what the one before it has left.
    """
    rows = _locked(connection, asked)
    known = _there(connection, [one.digest for one in asked if one.digest is not None])
    answers: list[Recorded | Exception] = []
    entries: list[tuple[Asked, ReceiptEntry]] = []
    moved: dict[int, Row] = {}
    for one in asked:
        row = rows.get((one.envelope_id, one.addressee))
        try:
            entry = one.decide(row)
        except Exception as error:  # It is about this one alone.
            answers.append(error)
            continue
        if row is None or entry is None or _has_ended(entry, one, rows):
            answers.append(Recorded(Outcome.NOTHING, row, entry))
            continue
        if entry.receipt.digest in known:
            answers.append(Recorded(Outcome.REPEATED, row, entry))
            continue
        known.add(entry.receipt.digest)
        entries.append((one, entry))
        fields = _moved(row, entry)
        moved[row.delivery_id] = {f"new_{name}": value for name, value in fields.items()} | {
            "delivery": row.delivery_id
        }
        rows[one.envelope_id, one.addressee] = replace(row, **fields)
        answers.append(Recorded(Outcome.RECORDED, row, entry))
    if entries:
        _write(connection, entries, list(moved.values()))
    return answers


def _has_ended(entry: ReceiptEntry, asked: Asked, rows: Mapping[tuple[str, str], DeliveryRow]) -> bool:
    """Tell whether an heir has ended without the envelope: it keeps that delivery, and would get nothing."""
    theirs = (rows.get((asked.envelope_id, heir.addressee)) for heir in entry.heirs)
    return any(one is not None and one.state in WITHOUT_IT for one in theirs)


def _write(connection: sa.Connection, entries: Sequence[tuple[Asked, ReceiptEntry]], moved: Sequence[Row]) -> None:
    """Write down what was decided."""
    insert(connection, t.receipts, [receipt_row(entry.receipt, asked.envelope_id) for asked, entry in entries])
    connection.execute(_MOVE, moved)
    heirs = [_inherited(heir, asked, entry) for asked, entry in entries for heir in entry.heirs]
    if heirs:
        connection.execute(insert_once(connection, t.deliveries), heirs)
    notices = [notice_row(notice, entry.at) for _, entry in entries for notice in entry.notices]
    insert(connection, t.outbox, notices)
    insert(
        connection,
        t.events,
        [
            {
                "envelope_id": asked.envelope_id,
                "addressee": asked.addressee,
                "event": entry.event,
                "at": entry.at,
                "detail": {"digest": entry.receipt.digest, "state": entry.new_state, "code": entry.code}
                | ({} if entry.receipt.verified else {"verified": False})
                | entry.note,
            }
            for asked, entry in entries
        ],
    )
    answered: dict[str, datetime] = {}
    for asked, entry in entries:
        if entry.failure is not None:
            _lane_failed(connection, asked.addressee, entry.at, entry.failure)
        elif entry.office_answered:
            answered[asked.addressee] = entry.at
    if answered:
        _lanes_answered(connection, answered)


def _inherited(heir: Heir, asked: Asked, entry: ReceiptEntry) -> Row:
    return {
        "envelope_id": asked.envelope_id,
        "state": "queued",
        "who_must_act": "nobody",
        "chain_head": entry.receipt.digest,
        "updated_at": entry.at,
        **asdict(heir),
    }


_MOVED = (
    "state", "business", "code", "reason", "who_must_act", "next_at", "told_at", "chain_head", "updated_at", *CLOCKS,
)  # fmt: skip
_MOVE = (
    sa.update(t.deliveries)
    .where(_d.id == sa.bindparam("delivery"))
    .values({name: sa.bindparam(f"new_{name}") for name in _MOVED})
)


def _moved(row: DeliveryRow, entry: ReceiptEntry) -> Row:
    """Return a delivery as a receipt leaves it: what the receipt says nothing about stays."""
    moves = entry.new_state is not None
    says_why = moves and not entry.why_stays
    clocks = row if entry.clocks is None else entry.clocks
    sets_time = moves and (entry.new_state != row.state or entry.next_at is not None)
    return {
        "state": entry.new_state if moves else row.state,
        "business": row.business if entry.business is None else entry.business,
        "code": entry.code if says_why else row.code,
        "reason": entry.reason if says_why else row.reason,
        "who_must_act": entry.who_must_act if says_why else row.who_must_act,
        "next_at": entry.next_at if sets_time else row.next_at,
        "told_at": entry.at if entry.notices else row.told_at,
        "chain_head": entry.receipt.digest if moves else row.chain_head,
        "updated_at": entry.at,
        **{name: getattr(clocks, name) for name in CLOCKS},
    }


# In the order of their ids: two processes that lock several must not wait for each other in a ring.
_THESE = _ROW.order_by(_d.id).with_for_update(of=t.deliveries)
_ALL_OF_ALL = _THESE.where(
    _d.envelope_id.in_(sa.bindparam("envelopes", expanding=True)),
    _d.addressee.in_(sa.bindparam("offices", expanding=True)),
)
_FEW_BESIDE = 4  # Times what is asked: more is not locked and read beside it.
_DIGESTS = sa.select(t.receipts.c.digest).where(t.receipts.c.digest.in_(sa.bindparam("digests", expanding=True)))


def _locked(connection: sa.Connection, asked: Sequence[Asked]) -> dict[tuple[str, str], DeliveryRow]:
    """Return deliveries that nobody else can move before this transaction ends, by envelope and addressee."""
    by_envelope: dict[str, set[str]] = {}
    for one in asked:
        by_envelope.setdefault(one.envelope_id, set()).update((one.addressee, *one.heirs))
    offices = set[str]().union(*by_envelope.values())
    if len(by_envelope) * len(offices) <= _FEW_BESIDE * sum(map(len, by_envelope.values())):
        found = connection.execute(_ALL_OF_ALL, {"envelopes": list(by_envelope), "offices": list(offices)})
    else:
        # About many circulars from many offices.
        pairs = (sa.and_(_d.envelope_id == about, _d.addressee.in_(some)) for about, some in by_envelope.items())
        found = connection.execute(_THESE.where(sa.or_(*pairs)))
    return {(row.envelope_id, row.addressee): DeliveryRow(**row._mapping) for row in found}


_EXPIRED = (
    _ROW.where(_d.envelope_id.in_(sa.bindparam("envelopes", expanding=True)), _d.state == "expired")
    .order_by(_d.id)
    .with_for_update(of=t.deliveries)
)


def expired(connection: sa.Connection, envelopes: Collection[str]) -> list[DeliveryRow]:
    """Return what has expired of some envelopes; nobody else can move it, or say more about it, before this transaction ends."""
    return [DeliveryRow(**row._mapping) for row in connection.execute(_EXPIRED, {"envelopes": list(envelopes)})]


def _there(connection: sa.Connection, digests: Sequence[str]) -> set[str]:
    """Return those receipts that are on record already. Their deliveries are locked: nobody adds one meanwhile."""
    return set(connection.execute(_DIGESTS, {"digests": list(digests)}).scalars()) if digests else set()


def readable(now: datetime) -> sa.ColumnElement[bool]:
    """As `DeliveryRow.is_readable`."""
    return sa.and_(IS_ITS_OWN, sa.or_(_d.release_at.is_(None), _d.release_at <= now, _d.attempts > 0))


def given(now: datetime) -> sa.ColumnElement[bool]:
    """As `DeliveryRow.was_given`."""
    return sa.or_(readable(now), sa.and_(_d.state == "refused", _d.attempts > 0))


def released(now: datetime) -> sa.Case[datetime]:
    """Now, or its hour where that is still to come."""
    return sa.case((_d.release_at > now, _d.release_at), else_=sa.literal(now, t.Moment))


def replay(connection: sa.Connection, delivery_id: int, by: str, reason: str, now: datetime) -> bool:
    """Send a dead letter on its way again; False if it is none."""
    moved = connection.execute(
        sa.update(t.deliveries)
        .where(_d.id == delivery_id, _d.state == "dead")
        .values(state="queued", next_at=released(now), updated_at=now, code=None, reason="", who_must_act="nobody")
        .returning(_d.envelope_id, _d.addressee)
    )
    row = moved.first()
    if row is None:
        return False
    insert(
        connection,
        t.events,
        [{"envelope_id": row.envelope_id, "addressee": row.addressee, "event": "delivery.replayed", "at": now, "detail": {"by": by, "reason": reason}}],
    )  # fmt: skip
    return True


def held_for(connection: sa.Connection) -> set[str]:
    """Return the closed offices for which something is held."""
    # Made distinct here: to do that, a database goes through an index of all deliveries.
    return set(connection.execute(sa.select(_d.addressee).where(t.WAITS, _d.state == "held")).scalars())


def held(connection: sa.Connection, office: str | None) -> list[DeliveryRow]:
    """Return what is held, for one office or for all."""
    of_office = [] if office is None else [_d.addressee == office]
    return rows(connection, t.WAITS, _d.state == "held", *of_office)


def is_unjudged(connection: sa.Connection, envelope_id: str) -> bool:
    """Tell whether it is not known yet what an envelope speaks of."""
    return connection.execute(sa.select(_speaks(sa.literal(envelope_id)))).scalar_one()


def _speaks(envelope_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    k = t.links.c
    return sa.exists().where(k.envelope_id == envelope_id, k.due_at.is_not(None), k.kind.in_(JUDGED))


def release(connection: sa.Connection, office: str, now: datetime) -> int:
    """Let go what is held for an office that takes part again, once it is judged; return how much that was."""
    moved = connection.execute(
        sa.update(t.deliveries)
        .where(_d.addressee == office, _d.state == "held", ~_speaks(_d.envelope_id))
        .values(state="queued", next_at=released(now), updated_at=now, code=None, reason="", who_must_act="nobody")
        .returning(_d.envelope_id)
    ).scalars()
    events = [
        {"envelope_id": envelope_id, "addressee": office, "event": "delivery.released", "at": now, "detail": {}}
        for envelope_id in moved
    ]
    insert(connection, t.events, events)
    return len(events)


def _lane_failed(connection: sa.Connection, office: str, now: datetime, failure: Failure) -> None:
    """Count a failure; after some in a row the breaker opens until a probe may be made."""
    _ensure_lane(connection, office)
    row = connection.execute(
        sa.update(t.lanes).where(_l.office == office).values(failures=_l.failures + 1).returning(_l.failures)
    ).one()
    if row.failures >= failure.threshold:
        connection.execute(sa.update(t.lanes).where(_l.office == office).values(open_until=now + failure.probe_after))


_TROUBLED = sa.select(_l.office, _l.open_until).where(
    _l.office.in_(sa.bindparam("offices", expanding=True)), sa.or_(_l.failures > 0, _l.open_until.is_not(None))
)


def _lanes_answered(connection: sa.Connection, answered: Mapping[str, datetime]) -> None:
    """Close the breakers of offices that answered; where one was open, what waits for the office is due now.

    Only then: one document that always fails must not be tried again each time another one succeeds.
    """
    for row in connection.execute(_TROUBLED, {"offices": list(answered)}).all():
        connection.execute(sa.update(t.lanes).where(_l.office == row.office).values(failures=0, open_until=None))
        if row.open_until is not None:
            _drive_again(connection, row.office, answered[row.office])


def heartbeat(connection: sa.Connection, office: str, now: datetime, version: str, takes_files: int) -> None:
    """Note that an office is there; what it put off while it was away is due now."""
    _ensure_lane(connection, office)
    before = (connection.execute(sa.select(_l.heartbeat_at).where(_l.office == office))).scalar_one()
    values: dict[str, Any] = {"heartbeat_at": now, "version": version, "takes_files": takes_files}
    if before is None or abs(now - before) > _SILENT:  # Also where a clock was ahead: who knows how long it was away.
        values |= {"failures": 0, "open_until": None}
        _drive_again(connection, office, now)
    connection.execute(sa.update(t.lanes).where(_l.office == office).values(**values))


def _ensure_lane(connection: sa.Connection, office: str) -> None:
    connection.execute(insert_once(connection, t.lanes), [{"office": office}])


def _drive_again(connection: sa.Connection, office: str, now: datetime) -> None:
    """Let all that waits for an office be due now, and be late from now on, if it is not attempted."""
    connection.execute(
        sa.update(t.deliveries)
        .where(
            _d.addressee == office,
            _d.state.in_(("queued", "deferred")),
            _IS_JUDGED,  # What is unjudged waits for a document, not for the office.
        )
        .values(next_at=released(now))
    )


def lanes(connection: sa.Connection) -> list[LaneRow]:
    """Return every lane that has shown anything."""
    found = connection.execute(
        sa.select(_l.office, _l.failures, _l.open_until, _l.paused, _l.heartbeat_at, _l.version).order_by(_l.office)
    )
    return [LaneRow(**row._mapping) for row in found]


_o, _r = t.outbox.c, t.receipts.c
_NOTICES_DUE = (
    sa.select(_o.id, _o.target, _r.envelope_id, _r.xml)
    .join(t.receipts, _r.digest == _o.receipt_digest)
    .where(_o.due_at <= _NOW)
    .order_by(_o.due_at, _o.id)  # What was claimed in vain stands behind what has come since.
    .limit(_LIMIT)
    .with_for_update(of=t.outbox, skip_locked=True)
)
_UNTIL: sa.BindParameter[datetime] = sa.bindparam("until", type_=t.Moment)
_CLAIM = sa.update(t.outbox).where(_o.id.in_(sa.bindparam("ids", expanding=True))).values(due_at=_UNTIL)
_PUT_OFF = (
    sa.update(t.outbox)
    .where(
        _o.id.in_(
            sa.select(_o.id)
            .where(_o.due_at < _UNTIL, _o.target == sa.bindparam("office", type_=sa.Text))
            .with_for_update(skip_locked=True)  # Another process claims it, and finds out for itself.
        )
    )
    .values(due_at=_UNTIL)
)
_GONE = sa.delete(t.outbox).where(_o.id.in_(sa.bindparam("ids", expanding=True)))


def notices_due(connection: sa.Connection, now: datetime, claim: timedelta, limit: int) -> list[DueNotice]:
    """Claim notices to publish; a claim that is not kept runs out."""
    found = connection.execute(_NOTICES_DUE, {"now": now, "limit": limit}).all()
    if found:
        connection.execute(_CLAIM, {"ids": [row.id for row in found], "until": now + claim})
    return [DueNotice(id=row.id, target=row.target, envelope_id=row.envelope_id, xml=bytes(row.xml)) for row in found]


def put_off_notices(connection: sa.Connection, office: str, until: datetime) -> None:
    """Claim none of the notices to an office before then: its inbox takes none, and nobody else is to wait for it."""
    connection.execute(_PUT_OFF, {"office": office, "until": until})


def notices_sent(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Remove notices that the broker has confirmed; the receipts stay."""
    connection.execute(_GONE, {"ids": list(ids)})
