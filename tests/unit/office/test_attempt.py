"""One attempt: what is said, what is said again, and what never leaves the office."""

import asyncio
import os
import sqlite3
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from axis import (
    Delivered,
    Document,
    Level,
    Office,
    Permanent,
    Progress,
    Refused,
    Registered,
    StatusReport,
    Unavailable,
    Uncertain,
    clock,
    seal,
)
from axis.edxml import Organization, ResponseFor, Status
from axis.errors import PermanentError, TransientError
from axis.office import OfficeSettings
from axis.office.answers import dump, load
from axis.office.suspects import Suspects
from axis.office.testing import OFFICE, SENDER, TestAxis
from axis.receipts.voice import Voice
from axis.seal import pki


def _no_settings() -> OfficeSettings:
    raise AssertionError("the test axis brings its own")


@pytest.fixture
def office() -> Office:
    return Office(_no_settings)


def _levels(delivery: object) -> list[str]:
    return [one.level for one in delivery.receipts]  # type: ignore[attr-defined]


async def test_registered_is_said_as_delivered_then_registered(office: Office) -> None:
    @office.on_document
    async def receive(doc: Document) -> Registered:
        assert await doc.attachments[0].read() == b"%PDF-1.7"
        return Registered("417")

    async with TestAxis(office) as axis:
        delivery = await axis.deliver(axis.document(), {"125.pdf": b"%PDF-1.7"})
    assert _levels(delivery) == ["delivered", "registered"]
    assert (delivery.last.number, delivery.last.status_code) == ("417", "03")


async def test_answer_that_cannot_be_signed_any_more_is_signed_with_the_next_key(
    office: Office, tmp_path: Path
) -> None:
    """The office's system has the document: it must not get it once more."""
    calls = []

    @office.on_document
    async def receive(doc: Document) -> Registered:
        calls.append(doc.attempt)
        while clock.now() <= short.certificate.not_valid_after_utc:  # noqa: ASYNC110 - nobody tells.
            await asyncio.sleep(0.05)
        return Registered("417")

    async with TestAxis(office) as axis:
        attempts = office._open.attempts
        voice = attempts.voice
        pki.init(tmp_path, name="CA (ví dụ)", now=clock.now())
        pki.issue(tmp_path, OFFICE, name="UBND xã (ví dụ)", now=clock.now(), lifetime=timedelta(seconds=2))
        keys, certificates = tmp_path / "keys", tmp_path / "certs"
        short = seal.SigningKey.load(keys / f"{OFFICE}.key.pem", certificates / f"{OFFICE}.pem")
        object.__setattr__(attempts, "voice", Voice(OFFICE, short))
        delivering = asyncio.create_task(axis.deliver(axis.document()))
        async with asyncio.timeout(30):
            while not await _answers(office):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        another = asyncio.create_task(axis.deliver(axis.document()))
        await asyncio.sleep(0.2)
        assert calls == [1]  # What is not going to be answered is not worked on.
        object.__setattr__(attempts, "voice", voice)
        delivery = await delivering
        another.cancel()
    assert _levels(delivery) == ["delivered", "registered"]
    assert calls[:1] == [1]


async def _answers(office: Office) -> list[str]:
    query = "SELECT answer FROM envelopes WHERE answer IS NOT NULL"
    return await office._open.state._commit(lambda db: [row["answer"] for row in db.execute(query)])


async def test_refused_is_signed_with_its_reason_and_never_tried_again(office: Office) -> None:
    calls = []

    @office.on_document
    async def receive(doc: Document) -> Refused:
        calls.append(doc.attempt)
        return Refused("không có tệp đính kèm")

    async with TestAxis(office) as axis:
        delivery = await axis.deliver(axis.document())
        delivery = await axis.again(delivery)
    assert _levels(delivery) == ["refused"]
    assert (delivery.last.status_code, delivery.last.reason) == ("02", "không có tệp đính kèm")
    assert calls == [1]


async def test_document_that_names_a_group_or_a_closed_office_is_taken_as_any_other(office: Office) -> None:
    @office.on_document
    async def receive(doc: Document) -> Registered:
        return Registered(", ".join(to.organ_id for to in doc.addressees))

    async with TestAxis(office) as axis:
        delivery = await axis.deliver(axis.document(addressees=(Organization("H56.VD.XP"), Organization("H56.900"))))
    assert (_levels(delivery), delivery.last.number) == (["delivered", "registered"], "H56.VD.XP, H56.900")


async def test_finished_envelope_that_comes_again_is_answered_with_the_same_bytes(office: Office) -> None:
    calls = []

    @office.on_document
    async def receive(doc: Document) -> Registered:
        calls.append(doc.envelope_id)
        return Registered(str(len(calls)))

    async with TestAxis(office) as axis:
        first = await axis.deliver(axis.document())
        said = list(axis._said)
        await axis.again(first)
        await axis.again(first, attempt=1)
        assert axis._said == said * 3
    assert len(calls) == 1


async def test_same_content_under_another_envelope_id_is_not_registered_twice(office: Office) -> None:
    calls = []

    @office.on_document
    async def receive(doc: Document) -> Registered:
        calls.append(doc.envelope_id)
        return Registered(str(len(calls)))

    async with TestAxis(office) as axis:
        sealed = axis.seal(axis.document())
        first, second = await axis.deliver(sealed), await axis.deliver(sealed)
    assert first.envelope_id != second.envelope_id
    assert (second.last.level, second.last.number) == (Level.REGISTERED, "1")
    assert len(calls) == 1


async def test_exception_defers_and_its_text_stays_in_the_office(office: Office) -> None:
    @office.on_document
    async def receive(doc: Document) -> Registered:
        if doc.attempt == 1:
            raise ConnectionError("db.internal:5432 password=secret")
        return Registered("1")

    async with TestAxis(office) as axis:
        delivery = await axis.deliver(axis.document())
        assert b"db.internal" not in delivery.chain[-1].xml
        assert (delivery.last.level, delivery.last.code) == (Level.DEFERRED, "DLV.UNCERTAIN")
        delivery = await axis.again(delivery)
    assert _levels(delivery) == ["deferred", "delivered", "registered"]
    assert delivery.receipts[1].previous == delivery.chain[1].digest


async def test_unavailable_defers_with_words_that_may_leave(office: Office) -> None:
    @office.on_document
    async def receive(doc: Document) -> Registered:
        raise Unavailable("hệ thống đang bảo trì")

    async with TestAxis(office) as axis:
        delivery = await axis.deliver(axis.document())
    assert "hệ thống đang bảo trì" in delivery.last.reason
    assert delivery.last.code == "DLV.OFFICE_UNAVAILABLE"


async def test_doubt_about_what_an_attempt_has_done_lasts_until_the_handler_speaks_of_the_document(
    office: Office,
) -> None:
    words = iter(
        [
            Unavailable("đang bảo trì"),
            ConnectionError("sau khi đã ghi"),
            Unavailable("đang bảo trì"),
            Permanent("không đọc được định dạng"),
            Uncertain("mất kết nối"),
        ]
    )

    @office.on_document
    async def receive(doc: Document) -> Registered:
        for word in words:
            raise word
        return Registered("417")

    async with TestAxis(office) as axis:
        delivery = await axis.deliver(axis.document())
        for _ in range(5):
            delivery = await axis.again(delivery)
    assert [one.code for one in delivery.receipts] == [
        "DLV.OFFICE_UNAVAILABLE",
        "DLV.UNCERTAIN",
        "DLV.UNCERTAIN",
        "DLV.FAILED_UNCERTAIN",
        "DLV.UNCERTAIN",
        None,
        None,
    ]
    assert "mất kết nối" in delivery.receipts[4].reason
    assert delivery.last.number == "417"


async def test_seal_that_is_not_believed_any_more_settles_no_doubt(office: Office) -> None:
    """The document was handed over when its seal was good: that it is not now does not take it out of the register."""

    @office.on_document
    async def receive(doc: Document) -> Registered:
        raise ConnectionError("sau khi đã ghi")

    async with TestAxis(office) as axis:
        delivery = await axis.deliver(axis.document())
        pki.revoke(axis._folder / "trust", SENDER, now=clock.now())
        await office._open._follow_trust()
        delivery = await axis.again(delivery)
    assert (delivery.last.level, delivery.last.code) == (Level.FAILED, "DLV.FAILED_UNCERTAIN")


async def test_permanent_fails_until_a_person_replays_it(office: Office) -> None:
    @office.on_document
    async def receive(doc: Document) -> Registered:
        if doc.attempt == 1:
            raise Permanent("không đọc được định dạng")
        return Registered("9")

    async with TestAxis(office) as axis:
        delivery = await axis.deliver(axis.document())
        assert (delivery.last.level, delivery.last.code) == (Level.FAILED, "DLV.FAILED")
        delivery = await axis.again(delivery)
    assert delivery.last.number == "9"


async def test_slow_handler_defers(office: Office) -> None:
    @office.on_document
    async def receive(doc: Document) -> Registered:
        await asyncio.Event().wait()
        raise AssertionError("never")

    async with TestAxis(office, answer_within=timedelta(milliseconds=20)) as axis:
        delivery = await axis.deliver(axis.document())
    assert (delivery.last.level, delivery.last.code) == (Level.DEFERRED, "DLV.UNCERTAIN")


async def test_handler_that_returns_nothing_defers(office: Office) -> None:
    @office.on_document
    async def receive(doc: Document) -> Registered:
        return None  # type: ignore[return-value]

    async with TestAxis(office) as axis:
        delivery = await axis.deliver(axis.document())
    assert delivery.last.level is Level.DEFERRED


async def test_broken_seal_is_refused_with_its_violations(office: Office) -> None:
    @office.on_document
    async def receive(doc: Document) -> Registered:
        raise AssertionError("unsigned content reached the handler")

    async with TestAxis(office) as axis:
        sealed = axis.seal(axis.document(subject="V/v một"))
        delivery = await axis.deliver(sealed.replace("V/v một".encode(), b"V/v hai"))
    assert delivery.last.level is Level.REFUSED
    assert [found.code for found in delivery.last.violations] == ["SIG.DIGEST"]


async def test_signer_that_the_trust_folder_does_not_know_yet_is_put_off(office: Office) -> None:
    office.on_document(_never)
    async with TestAxis(office) as axis:
        sealed = axis.seal(axis.document())
        (axis._folder / "trust" / "certs" / f"{SENDER}.pem").unlink()
        await axis._office._open._follow_trust()
        delivery = await axis.deliver(sealed)
    assert (delivery.last.level, delivery.last.code) == (Level.DEFERRED, "DLV.OFFICE_UNAVAILABLE")


async def test_key_that_is_younger_than_the_last_look_into_the_trust_folder_is_believed(office: Office) -> None:
    """The axis has believed it: a refusal would be final."""

    @office.on_document
    async def receive(doc: Document) -> Registered:
        return Registered("1")

    async with TestAxis(office) as axis:
        (axis._folder / "trust" / "keys" / f"{SENDER}.key.pem").unlink()
        pki.issue(axis._folder / "trust", SENDER, name=f"{SENDER} (ví dụ)", now=clock.now())
        axis.trust = seal.load_trust(axis._folder / "trust")
        delivery = await axis.deliver(axis.seal(axis.document()))
    assert delivery.last.level is Level.REGISTERED


async def _never(doc: Document) -> Registered:
    raise AssertionError("not to be called")


async def test_attempts_that_die_without_an_answer_are_counted_and_end_as_poison(
    office: Office, tmp_path: Path
) -> None:
    class Died(BaseException):
        pass

    @office.on_document
    async def receive(doc: Document) -> Registered:
        raise Died

    async with TestAxis(office, state=tmp_path / "state") as axis:
        delivery = None
        document = axis.document()
        sealed = axis.seal(document)
        with pytest.raises(Died):
            await axis.deliver(sealed)
        envelope_id = (await _only_envelope(office))[0]
        for attempt in range(2, 6):
            with pytest.raises(Died):
                await _bring(axis, sealed, envelope_id, attempt)
        await _bring(axis, sealed, envelope_id, 6)
        last = axis._said[-1]
        assert b"DLV.POISON" in last
        assert delivery is None


async def test_after_a_crash_each_envelope_that_was_at_work_is_tried_alone(office: Office, tmp_path: Path) -> None:
    """Or the poisonous one among them would take its neighbours with it, again and again."""
    running: set[str] = set()
    beside: dict[str, set[str]] = {}

    @office.on_document
    async def receive(doc: Document) -> Registered:
        running.add(doc.subject)
        for name in running:
            beside.setdefault(name, set()).update(running)
        await asyncio.sleep(0.01)
        running.discard(doc.subject)
        return Registered("1")

    async with TestAxis(office, state=tmp_path / "state") as axis:
        brought = [(name, axis.seal(axis.document(subject=name)), uuid4().hex) for name in "abcde"]
        await asyncio.gather(*(_bring(axis, sealed, envelope_id, 1) for _, sealed, envelope_id in brought))
        assert max(map(len, beside.values())) > 1  # Ordinarily they run beside each other.
        beside.clear()
        suspects = [envelope_id for name, _, envelope_id in brought if name in "abc"]
        await _say_that_attempts_died(office, [envelope_id for _, _, envelope_id in brought], suspects)
        await asyncio.gather(*(_bring(axis, sealed, envelope_id, 2) for _, sealed, envelope_id in brought))
    assert set(beside) == set("abcde")
    assert [beside[name] for name in "abc"] == [{"a"}, {"b"}, {"c"}]


async def test_suspect_that_takes_its_time_stops_nobody_for_long() -> None:
    suspects, order = Suspects(alone_s=0.05), list[str]()

    async def run(name: str, *, alone: bool, for_s: float) -> None:
        async with suspects.turn(alone=alone):
            order.append(name)
            await asyncio.sleep(for_s)
            order.append(f"{name} ends")

    slow = asyncio.create_task(run("slow", alone=False, for_s=0.3))
    await asyncio.sleep(0)
    tasks = [
        asyncio.create_task(run("suspect", alone=True, for_s=0.3)),
        asyncio.create_task(run("fresh", alone=False, for_s=0)),
    ]
    await asyncio.gather(slow, *tasks)
    assert order == ["slow", "suspect", "fresh", "fresh ends", "slow ends", "suspect ends"]


async def _say_that_attempts_died(office: Office, unanswered: list[str], dead: list[str]) -> None:
    """Let the state be as if none of these had been answered, and the process had died during some."""

    def work(db: sqlite3.Connection) -> None:
        for envelope_id in unanswered:
            values = (int(envelope_id in dead), envelope_id)
            db.execute(
                "UPDATE envelopes SET level = NULL, answer = NULL, answered_attempt = 0, unanswered = ?"
                " WHERE envelope_id = ?",
                values,
            )

    await office._open.state._commit(work)


async def _only_envelope(office: Office) -> list[str]:
    state = office._open.state
    return await state._commit(lambda db: [row["envelope_id"] for row in db.execute("SELECT * FROM envelopes")])


async def _bring(axis: TestAxis, sealed: bytes, envelope_id: str, attempt: int) -> None:
    from axis import edxml, seal

    await axis._bring(
        "envelope",
        sealed,
        {
            "envelope-id": envelope_id,
            "envelope-digest": seal.digest_of(edxml.parse(sealed)),
            "attempt": attempt,
            "previous-receipt": "0" * 64,
        },
    )


async def test_attempt_that_we_break_off_ourselves_is_not_counted(office: Office) -> None:
    started = asyncio.Event()

    @office.on_document
    async def receive(doc: Document) -> Registered:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    async with TestAxis(office) as axis:
        task = asyncio.create_task(axis.deliver(axis.document()))
        await started.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        counted = await office._open.state._commit(
            lambda db: [row["unanswered"] for row in db.execute("SELECT * FROM envelopes")]
        )
    assert counted == [0]


async def test_delivered_can_be_reported_on_later_and_the_same_is_said_once(office: Office) -> None:
    @office.on_document
    async def receive(doc: Document) -> Delivered:
        return Delivered()

    async with TestAxis(office) as axis:
        delivery = await axis.deliver(axis.document())
        assert _levels(delivery) == ["delivered"]
        await office.report(delivery.envelope_id, Registered("12"))
        await office.report(delivery.envelope_id, Registered("12"))
        await office.report(delivery.envelope_id, Progress("06", "đã trả lời"))
        delivery = axis.later(delivery)
    assert _levels(delivery) == ["delivered", "registered", "progress"]
    assert [one.status_code for one in delivery.receipts] == ["01", "03", "06"]


async def test_report_about_an_unknown_envelope_is_refused(office: Office) -> None:
    office.on_document(_never)
    async with TestAxis(office):
        with pytest.raises(PermanentError, match=r"RCT\.UNKNOWN"):
            await office.report("0" * 32, Registered("1"))


def _status() -> Status:
    from datetime import UTC, datetime

    return Status(
        originator=Organization(SENDER),
        response_for=ResponseFor("H56.112", "1/UBND", "H56.112,2026/01/05,1/UBND"),
        status_code="03",
        at=datetime(2026, 1, 5, tzinfo=UTC),
    )


async def test_status_message_goes_to_its_own_handler(office: Office) -> None:
    seen = []
    office.on_document(_never)

    @office.on_status
    async def told(report: StatusReport) -> None:
        seen.append(report.message.status_code)

    async with TestAxis(office) as axis:
        delivery = await axis.deliver(_status())
    assert (_levels(delivery), seen) == (["delivered"], ["03"])


async def test_status_message_is_refused_where_nobody_takes_it(office: Office) -> None:
    office.on_document(_never)
    async with TestAxis(office) as axis:
        delivery = await axis.deliver(_status())
    assert _levels(delivery) == ["refused"]


async def test_receipts_that_could_not_be_published_are_sent_again(office: Office) -> None:
    @office.on_document
    async def receive(doc: Document) -> Registered:
        axis.pipes.down = True
        return Registered("5")

    async with TestAxis(office) as axis:
        delivery = await axis.deliver(axis.document())
        assert delivery.receipts == ()
        axis.pipes.down = False
        await office._open.courier.send_again(grace=timedelta(0))
        assert _levels(axis.later(delivery)) == ["delivered", "registered"]
        assert await office._open.state.counts() == {
            "unsent": 0,
            "untaken": 0,
            "unanswered": 0,
            "undecided": 0,
        }


async def test_answer_survives_a_restart(office: Office, tmp_path: Path) -> None:
    calls = []

    @office.on_document
    async def receive(doc: Document) -> Registered:
        calls.append(doc.envelope_id)
        return Registered("7")

    async with TestAxis(office, state=tmp_path) as axis:
        sealed = axis.seal(axis.document())
        first = await axis.deliver(sealed)
        said = list(axis._said)
    second_office = Office(_no_settings)
    second_office.on_document(receive)
    async with TestAxis(second_office, state=tmp_path) as other:
        assert await second_office.receipts_about(first.envelope_id) == tuple(said)
        assert other.sent == []
    assert len(calls) == 1


async def test_state_folder_belongs_to_one_process(office: Office, tmp_path: Path) -> None:
    office.on_document(_never)
    second = Office(_no_settings)
    second.on_document(_never)
    async with TestAxis(office, state=tmp_path):
        with pytest.raises(PermanentError, match="in use"):
            async with TestAxis(second, state=tmp_path):
                raise AssertionError("two processes share a state")


async def test_office_whose_certificate_ends_closes_and_says_so(office: Office, tmp_path: Path) -> None:
    """What it said from then on, nobody would believe, and it could not be unsaid."""
    office.on_document(_never)
    trust, now = tmp_path / "trust", clock.now()
    pki.init(trust, name="CA (ví dụ)", now=now)
    pki.issue(trust, SENDER, name="VP (ví dụ)", now=now, lifetime=timedelta(seconds=3))
    office.__dict__["settings"] = OfficeSettings(
        code=SENDER,
        key=trust / "keys" / f"{SENDER}.key.pem",
        certificate=trust / "certs" / f"{SENDER}.pem",
        trust=trust,
        broker_url="amqp://127.0.0.1:1/",
        gateway_url="http://127.0.0.1:1",
        state=tmp_path / "state",
    )
    for _ in ("while it is open", "before it opens"):
        with pytest.raises(TransientError) as caught:
            async with asyncio.timeout(20):
                await office.serve(asyncio.Event())
        assert caught.value.code == "SYS.KEY"


@pytest.mark.parametrize("answer", [Registered("1", "vào sổ"), Refused("sai nơi nhận"), Delivered(), Progress("04")])
def test_answer_reads_back_as_it_was_kept(answer: object) -> None:
    assert load(dump(answer)) == answer  # type: ignore[arg-type]


@pytest.mark.parametrize(("code", "why"), [("03", "Registered"), ("02", "Refused"), ("99", "no such"), ("13", "note")])
def test_progress_takes_only_codes_that_are_news(code: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Progress(code)


def test_environment_is_not_read_before_the_office_opens() -> None:
    assert "AXIS_OFFICE" not in os.environ
    Office.from_env()
