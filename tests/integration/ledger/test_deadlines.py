"""Deadlines of addressees and the hour of timed documents, on each kind of ledger."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from axis import audit, clock, edxml, receipts
from axis.cli.main import root
from axis.clock import VIETNAM
from axis.deadlines import Deadlines, parse_term
from axis.dispatch.answers import Answers
from axis.dispatch.clock import Bell, Dispatch
from axis.edxml import Organization, Priority, ResponseFor
from axis.errors import Refusal
from axis.intake import Rejected
from axis.ledger import DeliveryRow
from axis.ledger.values import CLOCKS
from axis.office.answers import Delivered, Progress, Refused, Registered
from axis.office.speech import Deferred
from axis.receipts import Level
from tests.house import COMMUNE, LIFETIME, OTHER, SENDER, House, together

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TERMS = ("day", "2 hours", "1 hour", "30 minutes clock", "30 minutes clock")
TABLE = Deadlines(register=tuple(map(parse_term, TERMS)))


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """Return a time of Viet Nam in September 2026; the first is a Tuesday, and the house opens at 9:30."""
    return datetime(2026, 9, day, hour, minute, tzinfo=VIETNAM).astimezone(UTC)


@pytest.fixture
def answers(home: House) -> Answers:
    home.answers = replace(home.answers, deadlines=TABLE)
    return home.answers


class _NoOutbound:
    answer_within = timedelta(minutes=5)


class _NoOrders:
    patience = timedelta(minutes=10)


def _clockwork(home: House) -> Dispatch:
    outbound, orders = cast("Any", _NoOutbound()), cast("Any", _NoOrders())  # None of them is asked here.
    return Dispatch(
        outbound,
        home.answers,
        orders,
        home.succession,
        home.ledger,
        poll=timedelta(seconds=1),
        bell=Bell(),
        now=home.now,
    )


async def _given(home: House, *, to: str = COMMUNE, answer: Any = None, **fields: Any) -> DeliveryRow:
    """Accept a document, deliver it and let its addressee answer; return the delivery."""
    envelope_id = (await home.accept(home.seal(home.document(to=(to,), **fields)))).envelope_id
    await home.attempt()
    await home.say(answer or Delivered(), await home.row(envelope_id, to))
    return await home.row(envelope_id, to)


async def _report(home: House, row: DeliveryRow, answer: Any) -> DeliveryRow:
    await home.say(answer, await home.row(row.envelope_id, row.addressee))
    return await home.row(row.envelope_id, row.addressee)


async def _reminders(home: House, envelope_id: str) -> list[receipts.Receipt]:
    said = [home.read(one.xml) for one in await home.ledger.receipts_of(envelope_id)]
    return [one for one in said if one.level is Level.REMINDED]


async def _told(home: House) -> list[tuple[str, str | None]]:
    """Return whom reminders go to, and of what."""
    notices = await home.ledger.notices_due(home.at + HOUR, 100)
    said = [(one.target, home.read(one.xml)) for one in notices]
    return sorted((target, one.code) for target, one in said if one.level is Level.REMINDED)


async def _assert_sound(home: House) -> None:
    assert (await home.ledger.audit(home.at)).findings == ()
    checks: list[audit.Check] = [audit.History(), audit.Evidence(home.province.trust(), home.answers.voice.organ_id)]
    assert (await audit.walk(home.ledger, checks, whole=True)).findings == []


async def test_clock_begins_with_custody_and_not_before(home: House, answers: Answers) -> None:
    envelope_id = (await home.accept(home.seal(home.document()))).envelope_id
    home.pass_time(DAY)
    await home.attempt()
    assert (await home.row(envelope_id)).due_by is None
    await home.say(Deferred("đang bảo trì"), await home.row(envelope_id))
    assert (await home.row(envelope_id)).due_by is None
    home.at = at(2, 18)
    await home.attempt()
    await home.say(Delivered(), await home.row(envelope_id))
    row = await home.row(envelope_id)
    assert (row.register_by, row.due_by, row.remind_at) == (at(3, 17), at(3, 17), at(3, 16))


async def test_document_that_is_registered_at_once_was_never_waited_for(home: House, answers: Answers) -> None:
    row = await _given(home, answer=Registered("417"))
    assert (row.register_by, row.registered_at) == (at(1, 17), home.at)
    assert (row.due_by, row.remind_at) == (None, None)


async def test_late_office_is_reminded_alone_and_then_its_originator_is_told(home: House, answers: Answers) -> None:
    row = await _given(home)
    clockwork = _clockwork(home)
    home.at = at(1, 15, 59)
    await clockwork._tend()
    assert await _told(home) == []
    home.at = at(1, 16)
    await clockwork._tend()
    await clockwork._tend()
    assert await _told(home) == [(COMMUNE, "DUE.SOON")]
    (soon,) = await _reminders(home, row.envelope_id)
    assert (soon.reason, soon.who_must_act) == ("Sắp đến hạn: vào sổ trước 17:00 01/09/2026", "addressee")
    home.at = at(1, 17)
    await clockwork._tend()
    home.pass_time(3 * DAY)
    await clockwork._tend()
    assert await _told(home) == [(SENDER, "DUE.OVER"), (COMMUNE, "DUE.OVER"), (COMMUNE, "DUE.SOON")]
    row = await home.row(row.envelope_id)
    assert (row.state, row.business, row.code, row.who_must_act) == ("delivered", None, "DUE.OVER", "addressee")
    assert row.is_overdue(home.at)
    assert await home.ledger.overdue(home.at) == {"registered": 1, "done": 0}
    await _assert_sound(home)


async def test_registration_ends_it_also_when_it_is_late(home: House, answers: Answers) -> None:
    row = await _given(home)
    home.at = at(1, 17, 30)
    await _clockwork(home)._tend()
    row = await _report(home, row, Registered("417"))
    assert (row.registered_at, row.due_by, row.code, row.who_must_act) == (home.at, None, None, "nobody")
    assert await home.ledger.running(until=home.at + 30 * DAY, office=None, limit=10) == []
    await _assert_sound(home)


@pytest.mark.parametrize(
    ("answer", "due_by"),
    [
        (Registered("417"), at(7, 17)),
        (Progress("05"), at(7, 17)),
        (Progress("06"), None),
        (Refused("sai thẩm quyền"), None),
    ],
    ids=["registered", "in work", "done", "refused"],
)
async def test_due_date_is_a_second_deadline(
    home: House, answers: Answers, answer: Any, due_by: datetime | None
) -> None:
    row = await _given(home, due_on=date(2026, 9, 6))  # A Sunday: the Monday after it counts.
    assert (row.register_by, row.process_by, row.due_by) == (at(1, 17), at(7, 17), at(1, 17))
    row = await _report(home, row, answer)
    assert (row.due_by, row.state) == (due_by, "delivered")


async def test_urgent_document_is_due_in_minutes_day_and_night(home: House, answers: Answers) -> None:
    home.at = at(5, 23)
    row = await _given(home, priority=Priority.EXPRESS)
    assert row.register_by == at(5, 23, 30)


async def test_two_routers_remind_once(home: House, answers: Answers) -> None:
    row = await _given(home)
    home.at = at(1, 17)
    assert await together(*(answers.remind(row, home.at) for _ in range(5))) == [None] * 5
    assert len(await _reminders(home, row.envelope_id)) == 1


async def test_registration_that_overtakes_the_reminder_is_not_reminded_of(home: House, answers: Answers) -> None:
    row = await _given(home)
    home.at = at(1, 17)
    await _report(home, row, Registered("417"))
    await answers.remind(row, home.at)  # The look was before.
    assert await _reminders(home, row.envelope_id) == []


async def test_same_receipt_twice_does_not_begin_again(home: House, answers: Answers) -> None:
    row = await _given(home)
    home.at = at(2, 9)
    row = await _report(home, row, Delivered())  # A new state of the office: other bytes, the same word.
    assert row.register_by == at(1, 17)


async def test_status_has_no_deadline(home: House, answers: Answers) -> None:
    about = ResponseFor(SENDER, "125/SKHCN", f"{SENDER},2026/08/25,125/SKHCN")
    status = edxml.Status(
        originator=Organization(COMMUNE), response_for=about, status_code="03", description="", at=home.at
    )
    envelope_id = (await home.accept(home.seal(status, by=COMMUNE), by=COMMUNE)).envelope_id
    await home.attempt()
    await home.say(Delivered(), await home.row(envelope_id, SENDER))
    row = await home.row(envelope_id, SENDER)
    assert row.state == "delivered"
    assert [getattr(row, name) for name in CLOCKS] == [None] * len(CLOCKS)


async def test_expired_delivery_has_no_clock(home: House, answers: Answers) -> None:
    envelope_id = (await home.accept(home.seal(home.document(due_on=date(2026, 9, 3))))).envelope_id
    home.pass_time(LIFETIME)
    clockwork = _clockwork(home)
    await clockwork._tend()
    await clockwork._tend()
    row = await home.row(envelope_id)
    assert (row.state, row.due_by) == ("expired", None)
    assert await _told(home) == []


async def test_reminder_from_an_office_is_not_believed(home: House, answers: Answers) -> None:
    """Who is late is the axis's word."""
    row = await _given(home)
    voice = replace(answers.voice, organ_id=COMMUNE, key=home.province.signer(COMMUNE))
    said = voice.say(
        level=Level.REMINDED, addressee=COMMUNE, originator=row.originator, document_id=row.document_id,
        envelope_id=row.envelope_id, envelope_digest=row.digest, previous=row.chain_head, at=home.at, status="4.4.7",
    )  # fmt: skip
    with pytest.raises(Refusal) as caught:
        await answers.take(said.xml, submitter=COMMUNE, now=home.at)
    assert caught.value.code == "RCT.INVALID"


async def test_summary_counts_what_was_registered_in_time(home: House, answers: Answers) -> None:
    await _given(home, answer=Registered("1"))
    await _given(home, answer=Refused("sai thẩm quyền"))  # Before custody: there was nothing to register.
    late = await _given(home)
    await _given(home)  # Overdue.
    await _given(home, to=OTHER, answer=Registered("1"))
    home.at = at(1, 18)
    await _report(home, late, Registered("2"))
    await _given(home)  # Not over yet.
    first, second = await home.ledger.punctuality(home.at, since=home.at - DAY, office=None)
    assert (first.office, first.documents, first.on_time, first.late, first.overdue) == (COMMUNE, 4, 1, 1, 1)
    assert first.rate == pytest.approx(1 / 3)
    assert (second.office, second.documents, second.rate) == (OTHER, 1, 1.0)
    assert await home.ledger.punctuality(home.at, since=home.at + DAY, office=None) == []
    (only,) = await home.ledger.punctuality(home.at, since=home.at - DAY, office=OTHER)
    assert only == second


async def test_list_is_of_what_runs_the_first_to_end_first(home: House, answers: Answers) -> None:
    ordinary = await _given(home)
    express = await _given(home, priority=Priority.EXPRESS, to=OTHER)
    found = await home.ledger.running(until=at(1, 17), office=None, limit=10)
    assert [row.delivery_id for row in found] == [express.delivery_id, ordinary.delivery_id]
    assert [row.addressee for row in await home.ledger.running(until=at(1, 17), office=COMMUNE, limit=10)] == [COMMUNE]
    assert await home.ledger.running(until=at(1, 9), office=None, limit=10) == []


# --- what an operator sees ---


async def _command(home: House, monkeypatch: pytest.MonkeyPatch, url: str, *words: str) -> str:
    monkeypatch.setattr(clock, "now", home.now)
    answer = await asyncio.to_thread(
        CliRunner().invoke, root(), [*words], env={"AXIS_LEDGER_URL": url, "COLUMNS": "200"}
    )
    assert answer.exit_code == 0, answer.output
    return answer.output


async def test_command_lists_what_is_due_and_who_is_on_time(
    home: House, answers: Answers, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await _given(home, due_on=date(2026, 9, 10))
    await _given(home, to=OTHER, answer=Registered("1"))
    home.at = at(1, 18)
    found = json.loads(await _command(home, monkeypatch, ledger_url, "deadlines", "--json"))
    assert [(one["document_id"], one["what"], one["overdue"]) for one in found] == [
        (row.document_id, ["register"], True)
    ]
    shown = await _command(home, monkeypatch, ledger_url, "deadlines", "--overdue", "--office", COMMUNE)
    assert all(word in shown for word in ("01/09/2026 17:00", "quá hạn", "vào sổ", row.document_id))
    assert "Không có" in await _command(home, monkeypatch, ledger_url, "deadlines", "--office", OTHER)
    rates = json.loads(await _command(home, monkeypatch, ledger_url, "deadlines", "--summary", "--json"))
    assert [(one["office"], one["documents"], one["rate"]) for one in rates] == [(COMMUNE, 1, 0.0), (OTHER, 1, 1.0)]
    assert "100.0%" in await _command(home, monkeypatch, ledger_url, "deadlines", "--summary")
    await _report(home, row, Registered("417"))
    assert "Không có" in await _command(home, monkeypatch, ledger_url, "deadlines")
    further = json.loads(await _command(home, monkeypatch, ledger_url, "deadlines", "--within", "500", "--json"))
    assert [one["what"] for one in further] == [["process"]]


async def test_track_shows_the_hour_the_deadline_and_the_end_of_life(
    home: House, answers: Answers, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = await _timed(home)
    shown = await _command(home, monkeypatch, ledger_url, "track", timed)
    assert "chờ đến giờ hẹn" in shown
    assert "phát hành 03/09/2026 08:00" in shown
    waiting = (await home.accept(home.seal(home.document()))).envelope_id
    assert "hết hạn 06/09/2026 09:30" in await _command(home, monkeypatch, ledger_url, "track", waiting)
    row = await _given(home)
    assert "đến 01/09/2026 17:00" in await _command(home, monkeypatch, ledger_url, "track", row.envelope_id)
    home.at = at(1, 17)
    assert "quá hạn 01/09/2026 17:00" in await _command(home, monkeypatch, ledger_url, "track", row.envelope_id)
    (story,) = json.loads(await _command(home, monkeypatch, ledger_url, "track", row.envelope_id, "--json"))
    assert [(one["overdue"], one["waits_for_its_hour"]) for one in story["deliveries"]] == [(True, False)]


# --- the hour of a timed document ---------------------------------------------------------------

_HOUR = at(3, 8)


async def _timed(home: House, hour: datetime = _HOUR) -> str:
    """Accept a timed document; its acceptance has gone home."""
    document = home.document(priority=Priority.TIMED, release_at=hour)
    envelope_id = (await home.accept(home.seal(document))).envelope_id
    await home.ledger.notices_sent([one.id for one in await home.ledger.notices_due(home.at, 10)])
    return envelope_id


async def test_timed_document_waits_for_its_hour_and_lives_from_then(home: House) -> None:
    envelope_id = await _timed(home)
    row = await home.row(envelope_id)
    assert (row.state, row.next_at, row.release_at, row.expires_at) == ("queued", _HOUR, _HOUR, _HOUR + LIFETIME)
    assert row.waits_for_its_hour(home.at)
    home.at = _HOUR - timedelta(microseconds=1)
    assert not await home.ledger.due(home.at)
    assert await home.attempt() == []
    await _assert_sound(home)
    home.at = _HOUR
    assert await home.ledger.due(home.at)
    (attempt,) = await home.attempt()
    assert attempt.envelope_id == envelope_id
    assert not (await home.row(envelope_id)).waits_for_its_hour(home.at)


async def test_past_hour_is_now(home: House) -> None:
    envelope_id = await _timed(home, home.at - HOUR)
    row = await home.row(envelope_id)
    assert (row.release_at, row.next_at, row.expires_at) == (None, home.at, home.at + LIFETIME)
    assert [one.envelope_id for one in await home.attempt()] == [envelope_id]


async def test_urgency_without_an_hour_leaves_at_once(home: House) -> None:
    document = home.document(priority=Priority.TIMED)
    envelope_id = (await home.accept(home.seal(document))).envelope_id
    assert [one.envelope_id for one in await home.attempt()] == [envelope_id]


@pytest.mark.parametrize(
    "what", ["a heartbeat", "a breaker that closes", "a clock that was wrong", "a router that starts"]
)
async def test_nothing_releases_it_before_its_hour(home: House, what: str) -> None:
    envelope_id = await _timed(home)
    if what == "a heartbeat":
        await home.ledger.heartbeat(COMMUNE, home.at, "1")
    elif what == "a breaker that closes":
        for _ in range(3):
            row = await _given(home, answer=Deferred("đang bảo trì"))
            home.pass_time(timedelta(seconds=11))
            await home.attempt()
        await home.say(Registered("1"), row)
        assert [lane.open_until for lane in await home.ledger.lanes()] == [None]
    elif what == "a clock that was wrong":
        assert await home.ledger.bring_near(home.at, timedelta(minutes=73)) == 0
    else:
        await home.ledger.take_up_again(home.at, 100)
    row = await home.row(envelope_id)
    assert (row.state, row.next_at) == ("queued", _HOUR)
    assert envelope_id not in [one.envelope_id for one in await home.attempt()]


async def test_whatever_has_moved_its_next_time_it_does_not_leave(home: House) -> None:
    """The addressee may say what it likes about a document that it does not have."""
    envelope_id = await _timed(home)
    await home.say(Deferred("gửi ngay"), await home.row(envelope_id))
    home.pass_time(HOUR)
    await home.ledger.notices_sent([one.id for one in await home.ledger.notices_due(home.at, 10)])
    assert not await home.ledger.due(home.at)
    assert await home.attempt() == []
    home.at = _HOUR
    assert [one.envelope_id for one in await home.attempt()] == [envelope_id]


async def test_clock_that_was_wrong_is_set_right_for_what_was_released(home: House) -> None:
    envelope_id = await _timed(home)
    home.at = _HOUR
    await home.attempt()
    home.pass_time(10 * DAY)  # The clock is ahead.
    await home.say(Deferred("đang bảo trì"), await home.row(envelope_id))
    home.at = _HOUR + HOUR
    assert await home.ledger.bring_near(home.at, timedelta(minutes=73)) == 2  # And the notice of it.
    assert [one.envelope_id for one in await home.attempt()] == [envelope_id]


async def test_file_of_a_timed_document_is_nobodys_before_its_hour(home: House) -> None:
    digest = await home.bring(SENDER, b"abc")
    document = home.document(priority=Priority.TIMED, release_at=_HOUR)
    await home.accept(home.seal(document, {"a.pdf": b"abc"}))
    assert not await home.ledger.may_read(COMMUNE, digest)
    assert await home.ledger.may_read(SENDER, digest)
    home.at = _HOUR
    await home.attempt()
    assert await home.ledger.may_read(COMMUNE, digest)


async def test_what_waits_for_its_hour_is_not_old(home: House) -> None:
    await _timed(home)
    home.pass_time(DAY)
    assert (await home.ledger.figures(home.at)).oldest_s[Priority.TIMED] == 0
    home.at = _HOUR + HOUR
    assert (await home.ledger.figures(home.at)).oldest_s[Priority.TIMED] == 3600


async def test_expired_unreleased_never(home: House) -> None:
    """However short a life is, it begins with the hour."""
    far = home.at + 20 * DAY
    envelope_id = await _timed(home, far)
    home.pass_time(LIFETIME + DAY)
    await _clockwork(home)._tend()
    assert (await home.row(envelope_id)).state == "queued"
    home.at = far + LIFETIME
    await _clockwork(home)._tend()
    row = await home.row(envelope_id)
    assert (row.state, row.code) == ("expired", "DLV.EXPIRED")


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"priority": Priority.EXPRESS, "release_at": _HOUR}, "rule:release.priority"),
        ({"priority": Priority.TIMED, "release_at": at(1, 9) - 10 * DAY}, "rule:release.after-promulgation"),
        ({"priority": Priority.TIMED, "release_at": at(1, 9) + 31 * DAY}, "rule:release.soon"),
    ],
)
async def test_hour_that_makes_no_sense_is_refused(home: House, fields: dict[str, Any], rule: str) -> None:
    with pytest.raises(Rejected) as caught:
        await home.accept(home.seal(home.document(**fields)))
    assert [(found.code, found.rule) for found in caught.value.refusal.violations] == [("RULE.RELEASE", rule)]
